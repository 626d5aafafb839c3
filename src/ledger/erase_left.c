/* What erasures leave of records, and the end of those that were cut short. */
#include "ledger/erase.h"

void tl_eraser_free(struct tl_eraser **eraser)
{
    if (*eraser != NULL) {
        tl_policies_release(&(*eraser)->policies);
        tl_reducer_release(&(*eraser)->reducer);
        tl_free(*eraser);
    }
    *eraser = NULL;
}

/* Pointers are few: puts each where it belongs. */
static tally_status set_members(struct tl_eraser *eraser, const struct tl_str *pointers,
                                size_t count, struct tally_error *err)
{
    struct tl_str last = { 0 };
    for (size_t n = 0; n < count; n++) {
        const struct tl_str *next = NULL;
        for (size_t i = 0; i < count; i++) {
            bool is_left = last.text == NULL || tl_str_compare(pointers[i], last) > 0;
            if (is_left && (next == NULL || tl_str_compare(pointers[i], *next) < 0)) {
                next = &pointers[i];
            }
        }
        if (next == NULL) {
            return TALLY_OK; /* the rest is there twice */
        }
        TL_TRY(tl_erasable_add(&eraser->members, *next, err));
        last = *next;
    }
    return TALLY_OK;
}

tally_status tl_eraser_new(struct tl_eraser **eraser_out, const struct tl_str *pointers,
                           size_t count, struct tally_error *err)
{
    TL_CLEANUP(tl_eraser_free) struct tl_eraser *eraser = tl_alloc_array(1, sizeof(*eraser));
    if (eraser == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate an erasure");
    }
    tl_reducer_init(&eraser->reducer);
    eraser->whole = count == 0;
    TL_TRY(set_members(eraser, pointers, count, err));
    *eraser_out = TL_TAKE(eraser);
    return TALLY_OK;
}

tally_status tl_eraser_read(struct tl_eraser *eraser, struct tally_store *store,
                            struct tally_error *err)
{
    tl_assert(eraser != NULL);
    if (eraser->whole) {
        return TALLY_OK;
    }
    tl_policies_release(&eraser->policies);
    return tl_policies_read(&eraser->policies, store, err);
}

static const void *copy(struct tl_arena *arena, const struct tl_buf *from)
{
    void *to = tl_arena_alloc(arena, from->len);
    if (to != NULL) {
        memcpy(to, from->data, from->len);
    }
    return to;
}

tally_status tl_eraser_reduce(void *ctx, const struct tally_record *record, struct tl_arena *arena,
                              struct tally_reduction *left)
{
    struct tl_eraser *eraser = ctx;
    struct tl_reducer *reducer = &eraser->reducer;
    struct tl_leaf leaf;
    if (eraser->whole) {
        return TALLY_OK; /* nothing is left */
    }
    if (record->event == NULL) {
        return TALLY_ENOTFOUND; /* malformed: for verification to find */
    }
    TL_TRY(tl_leaf_decode(&leaf, record->leaf, record->leaf_len, NULL));
    TL_TRY(tl_reduce_record(reducer, record, tl_policies_at(&eraser->policies, record->seq),
                            &eraser->members, leaf.commit));
    left->event = copy(arena, &reducer->event);
    left->event_len = reducer->event.len;
    left->opened = copy(arena, &reducer->opened);
    left->opened_len = reducer->opened.len;
    if (left->event == NULL || left->opened == NULL) {
        return TALLY_ENOMEM;
    }
    eraser->erased += reducer->members;
    return TALLY_OK;
}

/* What one item of an ERASE covers. */
struct cover {
    struct tl_eraser *eraser;
    struct tl_excuse_scope scope;
    uint64_t seq; /* of the leaf */
    uint64_t left;
};

/* Also if it is an eraser's business: the leaf covers nothing that was on hold when it was sealed. */
static bool is_covered(struct cover *cover, uint64_t seq)
{
    tl_excuse_scope_at(&cover->scope, seq);
    return seq < cover->seq && !tl_excuse_held(&cover->scope, seq, cover->seq);
}

static tally_status reduce_covered(void *ctx, const struct tally_record *record,
                                   struct tl_arena *arena, struct tally_reduction *left)
{
    struct cover *cover = ctx;
    if (!is_covered(cover, record->seq)) {
        return TALLY_ENOTFOUND;
    }
    tally_status status = tl_eraser_reduce(cover->eraser, record, arena, left);
    /* What was never set apart stays. So does what is damaged: verification tells of it, and others'
     * erasures must not wait for it. */
    return status == TALLY_EINVAL || status == TALLY_ECORRUPT ? TALLY_ENOTFOUND : status;
}

static tally_status count_covered(void *ctx, const struct tally_record *record)
{
    struct cover *cover = ctx;
    struct tl_reducer *reducer = &cover->eraser->reducer;
    if (record->event == NULL || !is_covered(cover, record->seq)) {
        return TALLY_OK;
    }
    if (!cover->eraser->whole) {
        TL_TRY(tl_split_event(&reducer->gone, &cover->eraser->members, record->event,
                              record->event_len));
    }
    cover->left += cover->eraser->whole || reducer->gone.count > 0;
    return TALLY_OK;
}

/* Does something with all that one item covers. */
typedef tally_status cover_fn(void *ctx, struct cover *cover, const struct tl_erasure *erasure,
                              struct tally_error *err);

static tally_status cover_item(struct tally_store *store, const struct tl_acts *acts,
                               const struct tl_erasure *erasure, cover_fn *fn, void *ctx,
                               struct tally_error *err)
{
    TL_CLEANUP(tl_eraser_free) struct tl_eraser *eraser = NULL;
    tally_status status = tl_eraser_new(&eraser, erasure->pointers,
                                        erasure->whole ? 0 : erasure->pointer_count, NULL);
    if (status == TALLY_EINVAL) {
        return TALLY_OK; /* pointers that can never have been set apart together cover nothing */
    }
    TL_TRY(status);
    TL_TRY(tl_eraser_read(eraser, store, err));
    struct cover cover = { .eraser = eraser, .seq = erasure->seq };
    status = tl_excuse_scope_init(&cover.scope, &acts->excuses);
    if (status == TALLY_OK) {
        status = fn(ctx, &cover, erasure, err);
    }
    tl_excuse_scope_release(&cover.scope);
    return status;
}

/* Whoever erases finishes all that was sealed before, but for what is on hold by then: to look at each
 * erasure again, each time, would cost more and more. */
static bool may_be_unfinished(const struct tl_excuses *excuses, const struct tl_erasure *erasure)
{
    return erasure->seq == excuses->erasures[excuses->erasure_count - 1].seq ||
           tl_excuse_was_kept(excuses, erasure);
}

/* *seq_out is that of the newest ERASE. */
static tally_status cover_unfinished(struct tally_store *store, uint64_t *seq_out, cover_fn *fn,
                                     void *ctx, struct tally_error *err)
{
    struct tl_acts acts;
    tally_status status = tl_acts_read(&acts, store, err);
    const struct tl_excuses *excuses = &acts.excuses;
    *seq_out = TALLY_SEQ_NONE;
    for (size_t i = 0; i < excuses->erasure_count && status == TALLY_OK; i++) {
        const struct tl_erasure *erasure = &excuses->erasures[i];
        *seq_out = erasure->seq;
        if (may_be_unfinished(excuses, erasure)) {
            status = cover_item(store, &acts, erasure, fn, ctx, err);
        }
    }
    tl_acts_release(&acts);
    return status == TALLY_OK ? TALLY_OK : tl_fail(err, status, "cannot look at earlier erasures");
}

/* Where a removal goes on. */
struct finish {
    struct tl_removal *removal;
    struct tl_removed *removed;
};

static tally_status remove_covered(void *ctx, struct cover *cover, const struct tl_erasure *erasure,
                                   struct tally_error *err)
{
    const struct finish *finish = ctx;
    const struct tl_removal_order order = { .ranges = erasure->seqs,
                                            .range_count = erasure->seq_count,
                                            .fn = reduce_covered,
                                            .ctx = cover };
    return tl_removal_run(finish->removal, &order, finish->removed, err);
}

tally_status tl_erase_finish(struct tl_removal *removal, struct tally_ledger *ledger,
                             struct tl_removed *removed, struct tally_error *err)
{
    struct finish finish = { removal, removed };
    struct tl_reader reader;
    uint64_t seq = TALLY_SEQ_NONE;
    TL_TRY(tl_reader_get(ledger, &reader, err));
    tally_status status = cover_unfinished(reader.store, &seq, remove_covered, &finish, err);
    tl_reader_put(ledger, &reader);
    return status;
}

/* A count over all items. */
struct count {
    struct tally_store *store;
    uint64_t records;
};

static tally_status scan_covered(void *ctx, struct cover *cover, const struct tl_erasure *erasure,
                                 struct tally_error *err)
{
    struct count *count = ctx;
    for (uint32_t i = 0; i < erasure->seq_count; i++) {
        TL_TRY(tl_store_scan(count->store, erasure->seqs[i].first, erasure->seqs[i].last + 1,
                             count_covered, cover, err));
    }
    count->records += cover->left;
    return TALLY_OK;
}

tally_status tl_erase_left(struct tally_store *store, uint64_t *seq_out, uint64_t *records_out,
                           struct tally_error *err)
{
    struct count count = { .store = store };
    TL_TRY(cover_unfinished(store, seq_out, scan_covered, &count, err));
    *records_out = count.records;
    return TALLY_OK;
}
