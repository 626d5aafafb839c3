/* Decides which contents are due. Reads every record once; keeps a bit for each. */
#include "base/clock.h"
#include "ledger/keeping.h"
#include "ledger/purge.h"

#define CHUNK_RECORDS 4096u /* between two of them writers may clean up their log */

/* One walk over all records. Large: allocate. */
struct decider {
    struct tl_purge_plan *plan;
    struct tl_keeping keeping; /* by the rules in force now */
    const struct tally_purge_options *options;
    struct tl_excuse_scope scope;
    uint64_t size;
    size_t range;     /* of options->ranges: the first that may still matter */
    uint64_t covered; /* by the new leaf, up to here */
    struct tally_error *err;
};

void tl_purge_plan_release(struct tl_purge_plan *plan)
{
    tl_bits_release(&plan->go);
    *plan = (struct tl_purge_plan){ 0 };
}

static uint32_t day_of(int64_t us)
{
    return us < 0 ? 0 : (uint32_t)(us / TL_DAY_US);
}

uint32_t tl_purge_today(int64_t now_us, int64_t newest_us)
{
    uint32_t today = day_of(now_us);
    uint32_t bound = day_of(newest_us) + 1;
    return today < bound ? today : bound;
}

/* Whether the record is one that this purge is about. */
static bool is_due(struct decider *decider, const struct tl_leaf *leaf)
{
    const struct tally_purge_options *options = decider->options;
    if (options->range_count == 0) {
        return leaf->retain_until <= decider->plan->cutoff_day;
    }
    while (decider->range < options->range_count &&
           options->ranges[decider->range].last < leaf->seq) {
        decider->range++;
    }
    return decider->range < options->range_count &&
           leaf->seq >= options->ranges[decider->range].first;
}

/* A record with contents whose time is over. */
static void take_due(struct decider *decider, const struct tally_record *record, bool is_covered,
                     bool is_held)
{
    struct tl_purge_plan *plan = decider->plan;
    uint64_t max = decider->options->max_records;
    plan->due++;
    if (is_held) {
        plan->held++;
        return;
    }
    if (max > 0 && plan->go_count >= max) {
        plan->remaining++;
        return;
    }
    tl_bits_set(&plan->go, record->seq);
    plan->go_count++;
    plan->bytes += record->event_len + record->seed_len + record->opened_len;
    if (!is_covered) {
        plan->needs_leaf = true;
        plan->count = decider->covered; /* this record included: see decide_entry() */
        plan->before_seq = record->seq + 1;
    }
}

/*
 * The leaf covers whatever its formula says, not only what goes: records that newer rules keep are
 * counted in, as a verifier will count them.
 */
static void decide_entry(struct decider *decider, const struct tl_leaf *leaf,
                         const struct tally_record *record)
{
    bool early = decider->options->range_count > 0;
    struct tl_excuse excuse = tl_excuse_of(&decider->scope, record->seq, leaf->retain_until);
    bool is_covered = excuse.purged || excuse.erased;
    bool due = is_due(decider, leaf);
    bool is_held = tl_excuse_held(&decider->scope, record->seq, decider->size);
    decider->plan->evaluated++;
    decider->covered += due && !is_covered && !is_held ? 1 : 0;
    bool is_there = record->event != NULL || record->seed != NULL || record->opened != NULL;
    if (!is_there || !(due || (is_covered && !early))) {
        return;
    }
    bool decided = early || excuse.erased || tl_excuse_overridden(&decider->scope, record->seq);
    if (!decided && record->event != NULL &&
        tl_keeping_until(&decider->keeping, leaf, record) > decider->plan->cutoff_day) {
        return;
    }
    take_due(decider, record, is_covered, is_held);
}

static tally_status decide_record(void *ctx, const struct tally_record *record)
{
    struct decider *decider = ctx;
    struct tl_leaf leaf;
    if (tl_leaf_decode(&leaf, record->leaf, record->leaf_len, NULL) != TALLY_OK ||
        leaf.seq != record->seq) {
        return tl_fail(decider->err, TALLY_ECORRUPT,
                       "the leaf of record %llu is damaged; run 'tally verify'",
                       (unsigned long long)record->seq);
    }
    if (leaf.kind != TL_LEAF_ENTRY) {
        return tl_keeping_control(&decider->keeping, &leaf, record, decider->err);
    }
    decide_entry(decider, &leaf, record);
    return TALLY_OK;
}

static tally_status decide_all(struct decider *decider, struct tally_store *store,
                               struct tally_error *err)
{
    const struct tally_purge_options *options = decider->options;
    for (uint64_t first = 0; first < decider->size;) {
        uint64_t end =
            first + CHUNK_RECORDS < decider->size ? first + CHUNK_RECORDS : decider->size;
        tl_excuse_scope_set(&decider->scope, first, end);
        tally_status status = tl_store_scan(store, first, end, decide_record, decider, err);
        if (status != TALLY_OK) {
            return tl_fail(err, status, "cannot read records");
        }
        if (options->progress != NULL && options->progress(options->ctx, 0, 0) != 0) {
            return tl_fail(err, TALLY_ECANCELED, "stopped before anything was removed");
        }
        first = end;
    }
    return TALLY_OK;
}

static void count_runs(struct tl_purge_plan *plan)
{
    struct tl_range range = { 0 };
    for (uint64_t at = 0; tl_bits_next(&plan->go, at, &range); at = range.last + 1) {
        plan->ranges++;
    }
}

static tally_status decide(struct decider *decider, struct tally_ledger *ledger,
                           const struct tl_acts *acts, struct tally_error *err)
{
    struct tl_purge_plan *plan = decider->plan;
    struct tl_reader reader;
    TL_TRY(tl_bits_init(&plan->go, acts->size, err));
    if (tl_excuse_scope_init(&decider->scope, &acts->excuses) != TALLY_OK) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate what holds and purges say");
    }
    TL_TRY(tl_reader_get(ledger, &reader, err));
    tally_status status = decide_all(decider, reader.store, err);
    tl_reader_put(ledger, &reader);
    if (decider->options->range_count > 0) {
        plan->count = decider->covered; /* its leaf has no bound but the ranges */
    }
    count_runs(plan);
    return status;
}

tally_status tl_purge_decide(struct tl_purge_plan *plan, struct tally_ledger *ledger,
                             const struct tl_acts *acts, const struct tl_retention *retention,
                             const struct tally_purge_options *options, struct tally_error *err)
{
    *plan = (struct tl_purge_plan){ .newest = acts->newest };
    plan->cutoff_day = tl_purge_today(tl_clock->wall_us(), acts->newest_us);
    if (options->before_day > 0 && options->before_day - 1 < plan->cutoff_day) {
        plan->cutoff_day = options->before_day - 1;
    }
    struct decider *decider = tl_alloc_array(1, sizeof(*decider));
    if (decider == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a purge");
    }
    decider->plan = plan;
    tl_keeping_init(&decider->keeping, retention);
    decider->options = options;
    decider->size = acts->size;
    decider->err = err;
    tally_status status = decide(decider, ledger, acts, err);
    tl_excuse_scope_release(&decider->scope);
    tl_keeping_release(&decider->keeping);
    tl_free(decider);
    if (status != TALLY_OK) {
        tl_purge_plan_release(plan);
    }
    return status;
}
