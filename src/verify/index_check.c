/*
 * Compares the search index with the records, by sums of keyed digests over blocks of records. Blocks
 * in which contents were being removed between the first look at the index and the last are left out,
 * and the report says so.
 */
#include <inttypes.h>

#include "base/random.h"
#include "model/filter.h"
#include "verify/run.h"

/* So many sums: 8 MiB; the record is named exactly as long as there are no more records. */
#define SUMS_MAX        ((uint64_t)1 << 20)
#define VIEW_BYTES_MAX  ((size_t)32 << 20)
#define TERMS_BYTES_MAX ((size_t)8 << 20)

struct comparison {
    struct tl_run *run;
    uint8_t key[16];
    uint32_t shift;
    uint64_t *sums; /* of the index, less those of the records */
    uint64_t count;
    struct tl_arena arena;
    struct tl_buf terms;
    struct tl_event_view view;
};

/* "event", or the kind of control leaf in lower case. */
static struct tl_str kind_of(enum tl_leaf_kind kind, char out[16])
{
    if (kind == TL_LEAF_ENTRY) {
        return TL_STR("event");
    }
    const char *name = tl_leaf_kind_name(kind);
    size_t len = 0;
    for (; len < 15 && name[len] != '\0'; len++) {
        out[len] = (char)(name[len] >= 'A' && name[len] <= 'Z' ? name[len] - 'A' + 'a' : name[len]);
    }
    return (struct tl_str){ .text = out, .len = len };
}

static struct tl_str state_of(const struct tl_verify_input *in, const struct tl_leaf *leaf,
                              const struct tally_record *record)
{
    if (leaf->kind == TL_LEAF_ENTRY && record->event == NULL) {
        bool drops = (tl_store_caps(in->store) & TALLY_STORE_VOLATILE) != 0;
        return drops ? TL_STR("evicted") : TL_STR("purged");
    }
    return record->opened != NULL ? TL_STR("partial") : TL_STR("present");
}

static void subtract_terms(struct comparison *comparison, uint64_t seq, uint64_t *sum)
{
    struct tl_str all = tl_buf_str(&comparison->terms);
    size_t start = 0;
    for (size_t i = 0; i <= all.len; i++) {
        if (i < all.len && all.text[i] != TL_INDEX_SEPARATOR) {
            continue;
        }
        struct tl_str term = { .text = all.text + start, .len = i - start };
        if (term.len > 0) {
            *sum -= tl_index_digest_term(comparison->key, term, seq);
        }
        start = i + 1;
    }
}

static tally_status compare_record(void *ctx, const struct tally_record *record)
{
    struct comparison *comparison = ctx;
    const struct tl_verify_input *in = comparison->run->in;
    struct tl_leaf leaf;
    if (record->leaf == NULL ||
        tl_leaf_decode(&leaf, record->leaf, record->leaf_len, NULL) != TALLY_OK) {
        return TALLY_OK; /* found already */
    }
    char kind[16];
    struct tl_record_facts facts = {
        .seq = record->seq,
        .recorded_us = leaf.time_us,
        .kind = kind_of(leaf.kind, kind),
        .state = state_of(in, &leaf, record),
    };
    const struct tl_event_view *view = NULL;
    tl_arena_reset(&comparison->arena);
    if (record->event != NULL) {
        tally_status status = tl_event_view_read(&comparison->view, &comparison->arena,
                                                 record->event, record->event_len);
        if (status == TALLY_ENOMEM) {
            return status;
        }
        view = status == TALLY_OK ? &comparison->view : NULL;
    }
    tl_buf_clear(&comparison->terms);
    tl_terms_add(&comparison->terms, &facts, view, in->text_members, in->text_member_count);
    TL_TRY(tl_buf_status(&comparison->terms));
    uint64_t *sum = &comparison->sums[record->seq >> comparison->shift];
    int64_t occurred_us = view == NULL ? leaf.time_us : view->occurred_us;
    subtract_terms(comparison, record->seq, sum);
    *sum -= tl_index_digest_time(comparison->key, occurred_us, record->seq);
    return TALLY_OK;
}

static void add_unsettled(struct tl_unsettled *unsettled, const struct tl_index_removal *removal)
{
    if (unsettled->count == TL_UNSETTLED_MAX || removal->first > removal->last) {
        unsettled->all = true;
        return;
    }
    unsettled->ranges[unsettled->count].first = removal->first;
    unsettled->ranges[unsettled->count++].last = removal->last;
}

static bool is_unsettled(const struct tl_unsettled *unsettled, uint64_t first, uint64_t last)
{
    bool found = unsettled->all;
    for (size_t i = 0; !found && i < unsettled->count; i++) {
        found = unsettled->ranges[i].first <= last && unsettled->ranges[i].last >= first;
    }
    return found;
}

/* What was under way before the records were looked at. */
static tally_status take_noted(void *ctx, const struct tl_index_removal *removal)
{
    struct tl_unsettled *unsettled = ctx;
    if (removal->stage == TL_REMOVAL_NOTED) {
        add_unsettled(unsettled, removal);
    }
    unsettled->newest = removal->id;
    return TALLY_OK;
}

/* What began meanwhile, also if it is done. Ids follow on one another: where some are missing, they
 * were forgotten. */
static tally_status take_begun(void *ctx, const struct tl_index_removal *removal)
{
    struct tl_unsettled *unsettled = ctx;
    if (removal->id > unsettled->newest) {
        unsettled->all = unsettled->all || removal->id != unsettled->newest + 1;
        add_unsettled(unsettled, removal);
        unsettled->newest = removal->id;
    }
    return TALLY_OK;
}

static void report(struct comparison *comparison, uint64_t position)
{
    for (uint64_t i = 0; i < comparison->count; i++) {
        uint64_t first = i << comparison->shift;
        uint64_t last = ((i + 1) << comparison->shift) - 1;
        if (is_unsettled(&comparison->run->unsettled, first, last)) {
            comparison->run->report->qualifiers |= TALLY_QUALIFIER_INDEX_UNCHECKED;
            continue;
        }
        /* A record that was tampered with differs from what was indexed: one cause, one finding. */
        if (comparison->sums[i] != 0 &&
            !tl_findings_tampered_in(&comparison->run->found, first, last)) {
            tl_found(&comparison->run->found, TL_INDEX_MISMATCH, first,
                     "the index differs from a record of %" PRIu64 " to %" PRIu64, first,
                     last < position ? last : position - 1);
        }
    }
}

static tally_status compare(struct comparison *comparison, uint64_t position)
{
    struct tl_run *run = comparison->run;
    struct tally_error error = TALLY_ERROR_INIT;
    tally_status status =
        tl_index_digest(run->in->index, comparison->key, comparison->shift, comparison->sums,
                        (size_t)comparison->count, position, &error);
    if (status == TALLY_OK) {
        status = tl_index_removals(run->in->index, take_begun, &run->unsettled, &error);
    }
    if (status == TALLY_ECORRUPT) {
        tl_found(&run->found, TL_INDEX_MISMATCH, TALLY_SEQ_NONE, "%s", error.message);
        return TALLY_OK;
    }
    if (status == TALLY_ENOMEM) {
        return status;
    }
    if (status != TALLY_OK) {
        tl_found(&run->found, TL_STORE_ERROR, TALLY_SEQ_NONE, "the index: %s", error.message);
        return TALLY_OK;
    }
    TL_TRY(tl_store_scan(run->in->store, 0, position, compare_record, comparison, run->err));
    report(comparison, position);
    return TALLY_OK;
}

static tally_status set_up(struct comparison *comparison, uint64_t position)
{
    while ((position - 1) >> comparison->shift >= SUMS_MAX) {
        comparison->shift++;
    }
    comparison->count = ((position - 1) >> comparison->shift) + 1;
    comparison->sums = tl_alloc_array((size_t)comparison->count, sizeof(uint64_t));
    tl_random_bytes(comparison->key, sizeof(comparison->key));
    tl_arena_init(&comparison->arena, VIEW_BYTES_MAX);
    tl_buf_init(&comparison->terms, TERMS_BYTES_MAX);
    return comparison->sums == NULL ? TALLY_ENOMEM : TALLY_OK;
}

static void release(struct comparison *comparison)
{
    tl_free(comparison->sums);
    tl_arena_release(&comparison->arena);
    tl_buf_release(&comparison->terms);
}

static bool is_asked_for(const struct tl_run *run)
{
    return run->in->index != NULL && run->in->options->skip_index == 0;
}

/* Before the snapshot is taken: a writer that is active moves the index on, but never past the
 * records that are there. */
tally_status tl_index_note_position(struct tl_run *run)
{
    if (!is_asked_for(run)) {
        return TALLY_OK;
    }
    struct tally_error error = TALLY_ERROR_INIT;
    tally_status status = tl_index_position(run->in->index, &run->index_position, &error);
    if (status == TALLY_OK) {
        status = tl_index_removals(run->in->index, take_noted, &run->unsettled, &error);
    }
    if (status == TALLY_ENOMEM) {
        return status;
    }
    if (status != TALLY_OK) {
        tl_found(&run->found, status == TALLY_ECORRUPT ? TL_INDEX_MISMATCH : TL_STORE_ERROR,
                 TALLY_SEQ_NONE, "the index: %s", error.message);
    }
    return TALLY_OK;
}

tally_status tl_index_check(struct tl_run *run)
{
    if (!is_asked_for(run)) {
        run->report->qualifiers |=
            run->in->handover == NULL ? (uint32_t)TALLY_QUALIFIER_INDEX_UNCHECKED : 0;
        return TALLY_OK;
    }
    uint64_t position = run->index_position;
    if (position > run->size) {
        tl_found_numbers(&run->found, TL_INDEX_MISMATCH, TALLY_SEQ_NONE, (int64_t)run->size,
                         (int64_t)position, "the index knows more records than there are");
        return TALLY_OK;
    }
    if (position == 0) {
        return TALLY_OK;
    }
    TL_CLEANUP(tl_freep) struct comparison *comparison = tl_alloc_array(1, sizeof(*comparison));
    if (comparison == NULL) {
        return TALLY_ENOMEM;
    }
    comparison->run = run;
    tally_status status = set_up(comparison, position);
    if (status == TALLY_OK) {
        status = compare(comparison, position);
    }
    release(comparison);
    return status;
}
