/* Acts: reads those that were sealed, and has one sealed by whoever is the sequencer. */
#include "ledger/act.h"

#include <tally/store.h>

#include "ledger/act_text.h"
#include "ledger/remote.h"
#include "ledger/sizes.h"

/* The leaf that is looked at; its payload is copied, so that the store is free again. */
struct found {
    bool (*wanted)(enum tl_leaf_kind kind);
    struct tl_leaf leaf;
    struct tl_buf payload;
    bool is_there;
};

static tally_status copy_leaf(void *ctx, const struct tally_record *record)
{
    struct found *found = ctx;
    TL_TRY(tl_leaf_decode(&found->leaf, record->leaf, record->leaf_len, NULL));
    if (found->leaf.seq != record->seq) {
        return TALLY_ECORRUPT;
    }
    found->is_there = true;
    if (!found->wanted(found->leaf.kind)) {
        return TALLY_OK;
    }
    tl_buf_add(&found->payload, record->leaf + TL_LEAF_LEN, record->leaf_len - TL_LEAF_LEN);
    return tl_buf_status(&found->payload);
}

/* What cannot be read might be a hold: nothing is decided then. */
static tally_status damaged(uint64_t seq, struct tally_error *err)
{
    return tl_fail(err, TALLY_ECORRUPT,
                   "leaf %llu is missing or damaged, and may be an act; run 'tally verify'",
                   (unsigned long long)seq);
}

static tally_status visit(struct tally_store *store, uint64_t seq, struct found *found,
                          struct tl_arena *arena, tl_act_fn *fn, void *ctx, struct tally_error *err)
{
    found->is_there = false;
    tl_buf_clear(&found->payload);
    tally_status status = tl_store_scan(store, seq, seq + 1, copy_leaf, found, err);
    if (status == TALLY_ECORRUPT || (status == TALLY_OK && !found->is_there)) {
        return damaged(seq, err);
    }
    TL_TRY(status);
    if (!found->wanted(found->leaf.kind)) {
        return TALLY_OK;
    }
    struct tl_control control;
    tl_arena_reset(arena);
    status = tl_control_parse(&control, arena, found->leaf.kind, found->payload.data,
                              found->payload.len, NULL);
    if (status != TALLY_OK) {
        return status == TALLY_ENOMEM ? tl_fail(err, status, "out of memory") : damaged(seq, err);
    }
    return fn(ctx, &found->leaf, &control);
}

static tally_status each(struct tally_store *store, const struct tl_sizes *sizes,
                         bool (*wanted)(enum tl_leaf_kind kind), tl_act_fn *fn, void *ctx,
                         struct tally_error *err)
{
    TL_CLEANUP(tl_arena_release) struct tl_arena arena = { 0 };
    struct found found = { .wanted = wanted };
    tl_arena_init(&arena, (size_t)16 << 20);
    tl_buf_init(&found.payload, TL_LEAF_PAYLOAD_MAX);
    tally_status status = TALLY_OK;
    for (size_t i = 0; i < sizes->count && status == TALLY_OK; i++) {
        if (sizes->items[i] > 0) {
            status = visit(store, sizes->items[i] - 1, &found, &arena, fn, ctx, err);
        }
    }
    tl_buf_release(&found.payload);
    return status;
}

tally_status tl_kept_each(struct tally_store *store, bool (*wanted)(enum tl_leaf_kind kind),
                          tl_act_fn *fn, void *ctx, struct tally_error *err)
{
    struct tl_sizes sizes = { 0 };
    tally_status status = tl_store_scan_checkpoints(store, 0, tl_sizes_note, &sizes, err);
    if (status == TALLY_OK) {
        status = each(store, &sizes, wanted, fn, ctx, err);
    }
    tl_sizes_release(&sizes);
    return status;
}

tally_status tl_acts_each(struct tally_store *store, tl_act_fn *fn, void *ctx,
                          struct tally_error *err)
{
    return tl_kept_each(store, tl_leaf_is_act, fn, ctx, err);
}

/* What verification calls CONTROL_INVALID has no effect, here as there. */
static tally_status take_act(void *ctx, const struct tl_leaf *leaf,
                             const struct tl_control *control)
{
    struct tl_acts *acts = ctx;
    acts->newest = leaf->seq;
    if (!tl_excuses_concern(leaf->kind)) {
        return TALLY_OK;
    }
    bool invalid = tl_excuse_fault(control, leaf->seq, leaf->time_us) != NULL;
    tally_status status = tl_excuses_add(&acts->excuses, leaf->seq, control, invalid);
    return status == TALLY_ENOTFOUND || status == TALLY_ECONFLICT ? TALLY_OK : status;
}

static tally_status take_newest_time(void *ctx, const struct tally_record *record)
{
    struct tl_acts *acts = ctx;
    struct tl_leaf leaf;
    TL_TRY(tl_leaf_decode(&leaf, record->leaf, record->leaf_len, NULL));
    acts->newest_us = leaf.time_us;
    return TALLY_OK;
}

tally_status tl_acts_read(struct tl_acts *acts_out, struct tally_store *store,
                          struct tally_error *err)
{
    *acts_out = (struct tl_acts){ .newest = TALLY_SEQ_NONE };
    tl_excuses_init(&acts_out->excuses);
    TL_CLEANUP(tl_freep) struct tally_head *head = tl_alloc_array(1, sizeof(*head));
    if (head == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "out of memory");
    }
    TL_TRY(tl_store_head(store, head, err));
    acts_out->size = head->size;
    if (head->size > 0) {
        TL_TRY(tl_store_scan(store, head->size - 1, head->size, take_newest_time, acts_out, err));
    }
    tally_status status = tl_acts_each(store, take_act, acts_out, err);
    if (status == TALLY_ENOMEM || status == TALLY_ELIMIT) {
        return tl_fail(err, status, "there are more holds, purges and erasures than fit in memory");
    }
    return status;
}

void tl_acts_release(struct tl_acts *acts)
{
    tl_excuses_release(&acts->excuses);
}

tally_status tl_acts_newest(struct tally_ledger *ledger, uint64_t *newest_out,
                            struct tally_error *err)
{
    struct tl_acts acts = { 0 };
    struct tl_reader reader;
    TL_TRY(tl_reader_get(ledger, &reader, err));
    tally_status status = tl_reader_begin(&reader, err);
    if (status == TALLY_OK) {
        status = tl_acts_read(&acts, reader.store, err);
    }
    if (status == TALLY_OK) {
        *newest_out = acts.newest;
    }
    tl_acts_release(&acts);
    tl_reader_put(ledger, &reader);
    return status;
}

static tally_status refuse_request(const struct tally_ledger *ledger,
                                   const struct tl_act_request *act, struct tally_error *err)
{
    if (!ledger->writable) {
        return tl_fail(err, TALLY_EINVAL, "the ledger is open for reading only");
    }
    TL_TRY(tl_remote_refuse(ledger, err));
    TL_TRY(tl_refuse_inherited(ledger, err));
    return tl_act_check(act, err);
}

static tally_status ask(struct tally_ledger *ledger, const struct tl_act_request *act,
                        uint64_t *seq_out, struct tally_error *err)
{
    *seq_out = TALLY_SEQ_NONE;
    TL_TRY(refuse_request(ledger, act, err));
    struct tl_request request = {
        .kind = TL_REQUEST_ACT, .act = act, .seq = TALLY_SEQ_NONE, .error = TALLY_ERROR_INIT
    };
    tally_status status = TALLY_OK;
    if (tl_queue_run(ledger, &request, &status, err)) {
        *seq_out = request.seq;
        return status;
    }
    if (ledger->spool == NULL) {
        return tl_fail(err, TALLY_EIO, "the sequencer has stopped");
    }
    return tl_follow_act(ledger, act, seq_out, err);
}

tally_status tl_act_seal(struct tally_ledger *ledger, const struct tl_control *control,
                         uint64_t newest, uint64_t *seq_out, struct tally_error *err)
{
    const struct tl_act_request act = { .control = control, .newest = newest };
    return ask(ledger, &act, seq_out, err);
}

tally_status tl_act_seal_key(struct tally_ledger *ledger, const struct tl_control *control,
                             uint64_t newest, char *mac_key_out, uint64_t *seq_out,
                             struct tally_error *err)
{
    const struct tl_act_request act = { .control = control,
                                        .newest = newest,
                                        .mac_key_out = ledger->paths.memory ? mac_key_out : NULL };
    return ask(ledger, &act, seq_out, err);
}

tally_status tl_act_reduce(struct tally_ledger *ledger, struct tally_store *writer,
                           const struct tally_reduction *reductions, size_t count,
                           struct tally_error *err)
{
    if (!ledger->paths.memory) {
        return tl_store_reduce(writer, reductions, count, err);
    }
    TL_TRY(tl_refuse_inherited(ledger, err));
    struct tl_request request = { .kind = TL_REQUEST_REDUCE,
                                  .reductions = reductions,
                                  .count = count,
                                  .error = TALLY_ERROR_INIT };
    tally_status status = TALLY_OK;
    return tl_queue_run(ledger, &request, &status, err)
               ? status
               : tl_fail(err, TALLY_EIO, "the sequencer has stopped");
}
