/* What other retention rules would do to the records that are there. */
#include "base/clock.h"
#include "ledger/keeping.h"
#include "ledger/purge.h"

#define CHUNK 4096u
#define SOON  30u /* days */

/* One walk over all records. Large: allocate. */
struct trial {
    struct tl_keeping keeping;
    struct tl_acts acts;
    struct tl_excuse_scope scope;
    uint64_t size;
    uint32_t today;
    struct tally_retention_effect effect;
    struct tally_error *err;
};

static tally_status look(void *ctx, const struct tally_record *record)
{
    struct trial *trial = ctx;
    struct tl_leaf leaf;
    TL_TRY(tl_leaf_decode(&leaf, record->leaf, record->leaf_len, trial->err));
    if (leaf.kind != TL_LEAF_ENTRY) {
        return tl_keeping_control(&trial->keeping, &leaf, record, trial->err);
    }
    if (record->event == NULL) {
        return TALLY_OK;
    }
    struct tally_retention_effect *effect = &trial->effect;
    uint32_t wanted = tl_keeping_until(&trial->keeping, &leaf, record);
    uint32_t until = wanted > leaf.retain_until ? wanted : leaf.retain_until;
    effect->records++;
    effect->longer += wanted > leaf.retain_until ? 1 : 0;
    effect->shorter += wanted < leaf.retain_until ? 1 : 0;
    if (tl_excuse_held(&trial->scope, record->seq, trial->size)) {
        effect->held++;
    } else if (until <= trial->today) {
        effect->due_now++;
    } else if (until <= trial->today + SOON) {
        effect->due_30++;
    }
    return TALLY_OK;
}

static tally_status walk(struct trial *trial, struct tally_store *store)
{
    TL_TRY(tl_acts_read(&trial->acts, store, trial->err));
    trial->size = trial->acts.size;
    trial->today = tl_purge_today(tl_clock->wall_us(), trial->acts.newest_us);
    TL_TRY(tl_excuse_scope_init(&trial->scope, &trial->acts.excuses));
    for (uint64_t first = 0; first < trial->size; first += CHUNK) {
        uint64_t end = trial->size - first < CHUNK ? trial->size : first + CHUNK;
        tl_excuse_scope_set(&trial->scope, first, end);
        TL_TRY(tl_store_scan(store, first, end, look, trial, trial->err));
    }
    return TALLY_OK;
}

static tally_status run(struct tally_ledger *ledger, struct trial *trial)
{
    struct tl_reader reader;
    TL_TRY(tl_reader_get(ledger, &reader, trial->err));
    tally_status status = tl_reader_begin(&reader, trial->err);
    if (status == TALLY_OK) {
        status = walk(trial, reader.store);
    }
    tl_reader_put(ledger, &reader);
    return status;
}

tally_status tally_retention_test(struct tally_ledger *ledger, const struct tally_setting *settings,
                                  size_t count, struct tally_retention_effect *effect_out,
                                  struct tally_error *err)
{
    TL_CLEANUP(tl_config_freep) struct tl_config *config = NULL;
    TL_TRY(tl_config_reread(ledger, settings, count, &config, err));
    struct trial *trial = tl_alloc_array(1, sizeof(*trial));
    if (trial == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a walk");
    }
    trial->err = err;
    tl_keeping_init(&trial->keeping, &config->retention);
    tally_status status = run(ledger, trial);
    *effect_out = trial->effect;
    tl_excuse_scope_release(&trial->scope);
    tl_acts_release(&trial->acts);
    tl_keeping_release(&trial->keeping);
    tl_free(trial);
    return status == TALLY_ENOMEM ? tl_fail(err, status, "out of memory") : status;
}
