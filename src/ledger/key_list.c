/* tally_keys_each(): one pass over the kept leaves for each kind of key. */
#include <tally/keys.h>

#include "base/bytes.h"
#include "ledger/act.h"
#include "ledger/keys.h"
#include "ledger/trust.h"

enum key_kind { KEY_LOG, KEY_MAC, KEY_EPOCH };
static const char *const kind_names[] = { "log", "mac", "epoch" };

/* One key is held back until the leaf is seen that replaces it. */
struct listing {
    tally_key_fn *fn;
    void *ctx;
    enum key_kind kind;
    const struct tl_keys *here; /* NULL: those in force are, in memory; or none can be read */
    bool is_memory;
    bool has_key;
    struct tally_key key;
    char text[TL_VKEY_SIZE];
    uint32_t mac_gen;
};

static bool names_keys(enum tl_leaf_kind kind)
{
    return kind == TL_LEAF_GENESIS || kind == TL_LEAF_EPOCH || kind == TL_LEAF_KEY ||
           kind == TL_LEAF_RESTORE;
}

static bool is_here(const struct listing *listing)
{
    if (listing->here == NULL) {
        return listing->is_memory && listing->key.until_us == 0;
    }
    char text[TL_VKEY_SIZE];
    switch (listing->kind) {
    case KEY_MAC:
        return listing->here->state.mac_gen == listing->mac_gen;
    case KEY_LOG:
        tl_vkey_format(text, &listing->here->log_key);
        break;
    case KEY_EPOCH:
        tl_vkey_format(text, &listing->here->epoch_key);
        break;
    }
    return strcmp(text, listing->text) == 0;
}

static tally_status show(struct listing *listing)
{
    if (!listing->has_key) {
        return TALLY_OK;
    }
    listing->has_key = false;
    listing->key.is_here = is_here(listing);
    return listing->fn(listing->ctx, &listing->key) == 0 ? TALLY_OK : TALLY_ECANCELED;
}

static bool is_named(const struct listing *listing, const struct tl_control *control)
{
    switch (listing->kind) {
    case KEY_LOG:
        return control->has_log_key;
    case KEY_MAC:
        return control->has_mac_id;
    case KEY_EPOCH:
        break;
    }
    return control->has_epoch_key;
}

static void name_key(struct listing *listing, const struct tl_control *control)
{
    switch (listing->kind) {
    case KEY_LOG:
        tl_vkey_format(listing->text, &control->log_key);
        break;
    case KEY_MAC:
        listing->mac_gen = tl_get_be32(control->mac_id);
        tl_hex_encode(listing->text, control->mac_id, sizeof(control->mac_id));
        break;
    case KEY_EPOCH:
        tl_vkey_format(listing->text, &control->epoch_key);
        break;
    }
}

static tally_status take_leaf(void *ctx, const struct tl_leaf *leaf,
                              const struct tl_control *control)
{
    struct listing *listing = ctx;
    if (!is_named(listing, control)) {
        return TALLY_OK;
    }
    listing->key.until_us = leaf->time_us;
    TL_TRY(show(listing));
    name_key(listing, control);
    listing->has_key = true;
    listing->key = (struct tally_key){ .kind = kind_names[listing->kind],
                                       .vkey = listing->text,
                                       .epoch = control->kind == TL_LEAF_EPOCH ? control->epoch_to
                                                                               : leaf->epoch,
                                       .seq = leaf->seq,
                                       .since_us = leaf->time_us };
    return TALLY_OK;
}

static tally_status list_leaves(struct tally_store *store, struct listing *listing,
                                struct tally_error *err)
{
    for (enum key_kind kind = KEY_LOG; kind <= KEY_EPOCH; kind++) {
        listing->kind = kind;
        TL_TRY(tl_kept_each(store, names_keys, take_leaf, listing, err));
        TL_TRY(show(listing));
    }
    return TALLY_OK;
}

/* Whom the ledger's own trust file pins. Where it cannot be read there is nobody to list. */
static tally_status list_approvers(const struct tally_ledger *ledger, struct listing *listing)
{
    TL_CLEANUP(tl_freep) struct tl_trust *trust = NULL;
    if (ledger->paths.memory || tl_trust_read(&trust, ledger->paths.trust, NULL) != TALLY_OK) {
        return TALLY_OK;
    }
    for (uint32_t i = 0; i < trust->approver_count; i++) {
        tl_vkey_format(listing->text, &trust->approvers[i]);
        const struct tally_key key = { .kind = "approver",
                                       .vkey = listing->text,
                                       .seq = TALLY_SEQ_NONE };
        if (listing->fn(listing->ctx, &key) != 0) {
            return TALLY_ECANCELED;
        }
    }
    return TALLY_OK;
}

static tally_status list(struct tally_ledger *ledger, struct tl_reader *reader,
                         struct listing *listing, struct tally_error *err)
{
    TL_TRY(tl_reader_begin(reader, err));
    TL_TRY(list_leaves(reader->store, listing, err));
    return list_approvers(ledger, listing);
}

tally_status tally_keys_each(struct tally_ledger *ledger, tally_key_fn *fn, void *ctx,
                             struct tally_error *err)
{
    TL_CLEANUP(tl_keys_freep) struct tl_keys *here = NULL;
    struct tl_reader reader;
    TL_TRY(tl_reader_get(ledger, &reader, err));
    if (!ledger->paths.memory) {
        (void)tl_keys_load(&here, ledger->paths.keys, NULL); /* then none is here, for us */
    }
    struct listing listing = {
        .fn = fn, .ctx = ctx, .here = here, .is_memory = ledger->paths.memory
    };
    tally_status status = list(ledger, &reader, &listing, err);
    tl_reader_put(ledger, &reader);
    return status == TALLY_ECANCELED ? TALLY_OK : status;
}
