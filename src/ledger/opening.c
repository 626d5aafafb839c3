/* tally_opening_make(): the line of one record in openings.ndjson, without a bundle around it. */
#include "ledger/opening.h"

#include <inttypes.h>

#include "ledger/policies.h"

#define REST_MAX ((size_t)17 << 20)

enum tl_opening_state tl_opening_absent(const struct tl_excuse_scope *scope,
                                        const struct tl_leaf *leaf)
{
    struct tl_excuse excuse = tl_excuse_of(scope, leaf->seq, leaf->retain_until);
    return excuse.counted  ? TL_OPENING_PURGED
           : excuse.erased ? TL_OPENING_ERASED
                           : TL_OPENING_EVICTED;
}

tally_status tl_opening_of(struct tl_opening *out, const struct tally_record *record,
                           const struct tl_erasable_set *set,
                           const struct tl_erasable_set *withhold, struct tl_split *split,
                           struct tl_buf *rest, struct tally_error *err)
{
    const struct tl_opening_source source = {
        .event = { .text = record->event, .len = record->event_len },
        .seed = record->opened == NULL && record->seed_len == TL_SEED_LEN ? record->seed : NULL,
        .opened = record->opened,
        .opened_len = record->opened_len,
        .set = set,
    };
    struct tally_error why = TALLY_ERROR_INIT;
    tally_status status = TALLY_ECORRUPT;
    if (source.seed != NULL || source.opened != NULL) {
        status = tl_opening_fill(out, &source, withhold, split, rest, &why);
    }
    if (status == TALLY_ECORRUPT) {
        return tl_fail(err, status, "record %" PRIu64 " does not open; run 'tally verify'",
                       record->seq);
    }
    return status == TALLY_OK ? status : tl_fail_with(err, status, &why);
}

/* One line in the making. Large: allocated. */
struct opener {
    struct tl_policies policies;
    struct tl_acts acts;
    struct tl_excuse_scope scope;
    struct tl_opening opening;
    struct tl_split split;
    struct tl_buf rest;
    struct tl_buf line;
    bool met;
    struct tally_error *err;
};

static void release(struct opener *opener)
{
    tl_policies_release(&opener->policies);
    tl_excuse_scope_release(&opener->scope);
    tl_acts_release(&opener->acts);
    tl_buf_release(&opener->rest);
    tl_buf_release(&opener->line);
    tl_free(opener);
}

static tally_status open_entry(struct opener *opener, const struct tl_leaf *leaf,
                               const struct tally_record *record)
{
    if (record->event == NULL) {
        opener->opening.state = tl_opening_absent(&opener->scope, leaf);
        return TALLY_OK;
    }
    const struct tl_erasable_set *set = tl_policies_at(&opener->policies, record->seq);
    return tl_opening_of(&opener->opening, record, set, NULL, &opener->split, &opener->rest,
                         opener->err);
}

static tally_status open_record(void *ctx, const struct tally_record *record)
{
    struct opener *opener = ctx;
    struct tl_leaf leaf;
    TL_TRY(tl_leaf_decode(&leaf, record->leaf, record->leaf_len, opener->err));
    opener->met = true;
    opener->opening.seq = record->seq;
    opener->opening.leaf = record->leaf;
    opener->opening.leaf_len = record->leaf_len;
    opener->opening.state = TL_OPENING_CONTROL;
    if (leaf.kind == TL_LEAF_ENTRY) {
        TL_TRY(open_entry(opener, &leaf, record));
    }
    tl_opening_format(&opener->line, &opener->opening);
    return tl_buf_status(&opener->line);
}

static tally_status make_line(struct opener *opener, struct tally_store *store, uint64_t seq)
{
    TL_TRY(tl_acts_read(&opener->acts, store, opener->err));
    if (seq >= opener->acts.size) {
        return tl_fail(opener->err, TALLY_ENOTFOUND, "there is no record %" PRIu64, seq);
    }
    TL_TRY(tl_policies_read(&opener->policies, store, opener->err));
    TL_TRY(tl_excuse_scope_init(&opener->scope, &opener->acts.excuses));
    tl_excuse_scope_at(&opener->scope, seq);
    TL_TRY(tl_store_scan(store, seq, seq + 1, open_record, opener, opener->err));
    return opener->met ? TALLY_OK
                       : tl_fail(opener->err, TALLY_ECORRUPT,
                                 "record %" PRIu64 " is missing; run 'tally verify'", seq);
}

tally_status tally_opening_make(struct tally_ledger *ledger, uint64_t seq, char **line_out,
                                struct tally_error *err)
{
    struct tl_reader reader;
    TL_TRY(tl_reader_get(ledger, &reader, err));
    struct opener *opener = tl_alloc_array(1, sizeof(*opener));
    if (opener == NULL) {
        tl_reader_put(ledger, &reader);
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate an opening");
    }
    opener->err = err;
    tl_excuses_init(&opener->acts.excuses);
    tl_buf_init(&opener->rest, REST_MAX);
    tl_buf_init(&opener->line, TL_OPENING_LEN_MAX);
    tally_status status = tl_reader_begin(&reader, err);
    if (status == TALLY_OK) {
        status = make_line(opener, reader.store, seq);
    }
    tl_reader_put(ledger, &reader);
    char *line = status == TALLY_OK ? tl_buf_take(&opener->line, NULL) : NULL;
    release(opener);
    if (status == TALLY_OK && line == NULL) {
        status = TALLY_ENOMEM;
    }
    if (status != TALLY_OK) {
        return tl_fail(err, status, "cannot open the record");
    }
    *line_out = line;
    return TALLY_OK;
}
