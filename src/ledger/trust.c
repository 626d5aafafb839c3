#include "ledger/trust.h"

#include "base/io.h"
#include "base/limits.h"
#include "evidence/control.h"
#include "ledger/sizes.h"

static tally_status alloc_trust(struct tl_trust **trust_out, struct tally_error *err)
{
    *trust_out = tl_alloc_array(1, sizeof(**trust_out));
    return *trust_out != NULL ? TALLY_OK
                              : tl_fail(err, TALLY_ENOMEM, "cannot allocate a trust file");
}

tally_status tl_trust_read(struct tl_trust **trust_out, const char *path, struct tally_error *err)
{
    TL_CLEANUP(tl_freep) char *text = NULL;
    TL_CLEANUP(tl_freep) struct tl_trust *trust = NULL;
    size_t len = 0;
    TL_TRY(tl_io_read_file(path, TL_CONFIG_BYTES_MAX, &text, &len, err));
    TL_TRY(alloc_trust(&trust, err));
    TL_TRY(tl_trust_parse(trust, text, len, err));
    *trust_out = TL_TAKE(trust);
    return TALLY_OK;
}

/* The leaves that name keys end a checkpoint that is kept for ever. */
struct naming {
    struct tl_trust *trust;
    struct tl_arena arena;
    struct tl_control *control;
    struct tl_sizes sizes;
    bool begun; /* GENESIS was read */
};

static void naming_release(struct naming *naming)
{
    tl_arena_release(&naming->arena);
    tl_free(naming->control);
    tl_sizes_release(&naming->sizes);
}

static tally_status take_keys(struct naming *naming)
{
    struct tl_trust *trust = naming->trust;
    const struct tl_control *control = naming->control;
    bool full = trust->log_count == TL_TRUST_KEYS_MAX || trust->epoch_count == TL_TRUST_KEYS_MAX;
    if (full) {
        return TALLY_ELIMIT;
    }
    if (control->has_log_key) {
        trust->logs[trust->log_count++] = control->log_key;
    }
    if (control->has_epoch_key) {
        trust->epochs[trust->epoch_count++] = control->epoch_key;
    }
    return TALLY_OK;
}

static tally_status read_naming(void *ctx, const struct tally_record *record)
{
    struct naming *naming = ctx;
    struct tl_leaf leaf;
    TL_TRY(tl_leaf_decode(&leaf, record->leaf, record->leaf_len, NULL));
    bool names = leaf.kind == (record->seq == 0 ? TL_LEAF_GENESIS : TL_LEAF_RESTORE) ||
                 leaf.kind == TL_LEAF_KEY;
    if (!names) {
        return record->seq == 0 ? TALLY_ECORRUPT : TALLY_OK;
    }
    naming->begun = true;
    tl_arena_reset(&naming->arena);
    TL_TRY(tl_control_parse(naming->control, &naming->arena, leaf.kind,
                            (const char *)record->leaf + TL_LEAF_LEN,
                            record->leaf_len - TL_LEAF_LEN, NULL));
    return take_keys(naming);
}

static tally_status read_all(struct naming *naming, struct tally_store *store,
                             struct tally_error *err)
{
    TL_TRY(tl_store_scan(store, 0, 1, read_naming, naming, err));
    TL_TRY(tl_store_scan_checkpoints(store, 2, tl_sizes_note, &naming->sizes, err));
    for (size_t i = 0; i < naming->sizes.count; i++) {
        uint64_t size = naming->sizes.items[i];
        TL_TRY(tl_store_scan(store, size - 1, size, read_naming, naming, err));
    }
    return naming->begun ? TALLY_OK : TALLY_ECORRUPT;
}

tally_status tl_trust_from_genesis(struct tl_trust **trust_out, struct tally_store *store,
                                   struct tally_error *err)
{
    TL_CLEANUP(tl_freep) struct tl_trust *trust = NULL;
    TL_TRY(alloc_trust(&trust, err));
    TL_CLEANUP(naming_release) struct naming naming = { .trust = trust };
    tl_arena_init(&naming.arena, (size_t)4 << 20);
    naming.control = tl_alloc_array(1, sizeof(*naming.control));
    tally_status status = naming.control == NULL ? TALLY_ENOMEM : read_all(&naming, store, err);
    if (status != TALLY_OK) {
        return tl_fail(err, status,
                       "the ledger does not begin with a GENESIS that can be read, or "
                       "the keys that followed cannot");
    }
    *trust_out = TL_TAKE(trust);
    return TALLY_OK;
}

tally_status tl_trust_write(struct tl_trust *trust, const struct tl_keys *keys, const char *path,
                            struct tally_error *err)
{
    if (trust->log_count == TL_TRUST_KEYS_MAX || trust->epoch_count == TL_TRUST_KEYS_MAX) {
        return tl_fail(err, TALLY_ELIMIT, "a trust file holds %u keys of a kind",
                       TL_TRUST_KEYS_MAX);
    }
    trust->logs[trust->log_count++] = keys->log_key;
    trust->epochs[trust->epoch_count++] = keys->epoch_key;
    struct tl_buf text;
    tl_buf_init(&text, TL_CONFIG_BYTES_MAX);
    tl_trust_format(&text, trust);
    tally_status status = tl_buf_status(&text);
    if (status == TALLY_OK) {
        status = tl_io_replace_file(path, text.data, text.len, 0644, err);
    }
    tl_buf_release(&text);
    return status;
}

tally_status tl_refuse_approval(const struct tl_paths *paths, enum tl_leaf_kind kind,
                                struct tally_error *err)
{
    TL_CLEANUP(tl_freep) struct tl_trust *trust = NULL;
    if (paths->memory) {
        return TALLY_OK;
    }
    TL_TRY(tl_trust_read(&trust, paths->trust, err));
    return (trust->approve_kinds >> ((uint32_t)kind - TL_LEAF_GENESIS) & 1) == 0
               ? TALLY_OK
               : tl_fail(err, TALLY_ENOTSUP,
                         "a %s record is to be made, and '%s' asks for a second signature of it, "
                         "which cannot be given before it is there",
                         tl_leaf_kind_name(kind), paths->trust);
}
