#include "ledger/trust.h"

#include "base/io.h"
#include "base/limits.h"
#include "evidence/control.h"

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

struct genesis {
    struct tl_trust *trust;
    struct tl_arena arena;
    bool found;
};

static tally_status read_genesis(void *ctx, const struct tally_record *record)
{
    struct genesis *genesis = ctx;
    struct tl_leaf leaf;
    TL_CLEANUP(tl_freep) struct tl_control *control = tl_alloc_array(1, sizeof(*control));
    if (control == NULL) {
        return TALLY_ENOMEM;
    }
    TL_TRY(tl_leaf_decode(&leaf, record->leaf, record->leaf_len, NULL));
    if (leaf.kind != TL_LEAF_GENESIS) {
        return TALLY_ECORRUPT;
    }
    TL_TRY(tl_control_parse(control, &genesis->arena, leaf.kind,
                            (const char *)record->leaf + TL_LEAF_LEN,
                            record->leaf_len - TL_LEAF_LEN, NULL));
    genesis->trust->logs[0] = control->log_key;
    genesis->trust->log_count = 1;
    genesis->trust->epochs[0] = control->epoch_key;
    genesis->trust->epoch_count = 1;
    genesis->found = true;
    return TALLY_OK;
}

tally_status tl_trust_from_genesis(struct tl_trust **trust_out, struct tally_store *store,
                                   struct tally_error *err)
{
    TL_CLEANUP(tl_freep) struct tl_trust *trust = NULL;
    TL_TRY(alloc_trust(&trust, err));
    struct genesis genesis = { .trust = trust };
    tl_arena_init(&genesis.arena, (size_t)4 << 20);
    tally_status status = tl_store_scan(store, 0, 1, read_genesis, &genesis, err);
    tl_arena_release(&genesis.arena);
    if (status == TALLY_OK && !genesis.found) {
        status = TALLY_ECORRUPT;
    }
    if (status != TALLY_OK) {
        return tl_fail(err, status, "the ledger does not begin with a GENESIS that can be read");
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
