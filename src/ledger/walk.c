#include "ledger/walk.h"

#include "base/clock.h"

#define BLOCK_RECORDS 512u /* read at a time where there is no index */

void tl_filter_freep(struct tl_filter **filter)
{
    tl_filter_free(*filter);
    *filter = NULL;
}

tally_status tl_walk_filter(struct tl_filter **filter_out, const struct tally_ledger *ledger,
                            const struct tally_query *query, struct tally_error *err)
{
    if (query->struct_size != sizeof(*query)) {
        return tl_fail(err, TALLY_EINVAL, "struct tally_query has an unknown size");
    }
    TL_CLEANUP(tl_filter_freep) struct tl_filter *filter = NULL;
    int64_t now_us = tl_clock->wall_us();
    const struct tl_str *members = ledger->config.text_members;
    size_t member_count = ledger->config.text_member_count;
    TL_TRY(tl_filter_new(&filter, query->conditions, query->condition_count, now_us, members,
                         member_count, err));
    if (query->within != NULL) {
        struct tl_filter *within = NULL;
        TL_TRY(tl_filter_new(&within, query->within, query->within_count, now_us, members,
                             member_count, err));
        TL_TRY(tl_filter_narrow(filter, within, err));
    }
    *filter_out = TL_TAKE(filter);
    return TALLY_OK;
}

void tl_walk_end(struct tl_walk **walk_ptr)
{
    struct tl_walk *walk = *walk_ptr;
    if (walk != NULL) {
        tl_reader_put(walk->ledger, &walk->reader);
        tl_arena_release(&walk->arena);
        tl_gone_release(&walk->gone);
        tl_free(walk->tail.keys);
        tl_free(walk);
    }
    *walk_ptr = NULL;
}

/* The time of a leaf, for searching by recorded time; those never decrease. */
static tally_status read_time(void *ctx, const struct tally_record *record)
{
    struct tl_leaf leaf;
    TL_TRY(tl_leaf_decode(&leaf, record->leaf, record->leaf_len, NULL));
    *(int64_t *)ctx = leaf.time_us;
    return TALLY_OK;
}

tally_status tl_walk_newest_time(struct tl_walk *walk, int64_t *time_us_out,
                                 struct tally_error *err)
{
    uint64_t size = walk->head.size;
    return tl_store_scan(walk->reader.store, size - 1, size, read_time, time_us_out, err);
}

/* The first seq whose record was sealed at `time_us` or later. */
static tally_status first_recorded_at(struct tl_walk *walk, int64_t time_us, uint64_t *seq_out,
                                      struct tally_error *err)
{
    uint64_t low = 0;
    uint64_t high = walk->head.size;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        int64_t found = INT64_MIN;
        TL_TRY(tl_store_scan(walk->reader.store, middle, middle + 1, read_time, &found, err));
        if (found == INT64_MIN) {
            return tl_fail(err, TALLY_ECORRUPT, "record %llu is missing; run 'tally verify'",
                           (unsigned long long)middle);
        }
        if (found < time_us) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    *seq_out = low;
    return TALLY_OK;
}

/* Turns the recorded times of the filter into positions, and cuts all ranges to what is there. */
static tally_status narrow(struct tl_walk *walk, struct tally_error *err)
{
    struct tl_filter_ranges *ranges = &walk->ranges;
    tl_filter_ranges(walk->filter, ranges);
    uint64_t bound = 0;
    if (ranges->recorded_from != INT64_MIN) {
        TL_TRY(first_recorded_at(walk, ranges->recorded_from, &bound, err));
        ranges->seq_first = bound > ranges->seq_first ? bound : ranges->seq_first;
    }
    if (ranges->recorded_to != INT64_MAX) {
        TL_TRY(first_recorded_at(walk, ranges->recorded_to, &bound, err));
        ranges->seq_end = bound < ranges->seq_end ? bound : ranges->seq_end;
    }
    ranges->seq_end = ranges->seq_end < walk->head.size ? ranges->seq_end : walk->head.size;
    ranges->seq_first = ranges->seq_first < ranges->seq_end ? ranges->seq_first : ranges->seq_end;
    return TALLY_OK;
}

tally_status tl_walk_begin(struct tl_walk **walk_out, struct tally_ledger *ledger,
                           const struct tl_filter *filter, struct tally_error *err)
{
    TL_CLEANUP(tl_walk_end) struct tl_walk *walk = tl_alloc_array(1, sizeof(*walk));
    if (walk == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a query");
    }
    walk->ledger = ledger;
    walk->filter = filter;
    tl_arena_init(&walk->arena, (size_t)32 << 20);
    TL_TRY(tl_reader_get(ledger, &walk->reader, err));
    TL_TRY(tl_reader_begin(&walk->reader, err));
    TL_TRY(tl_store_head(walk->reader.store, &walk->head, err));
    if (walk->reader.index != NULL) {
        /* An index that cannot be asked is none. */
        if (tl_index_position(walk->reader.index, &walk->indexed, NULL) != TALLY_OK) {
            walk->indexed = 0;
        }
        walk->indexed = walk->indexed < walk->head.size ? walk->indexed : walk->head.size;
    }
    TL_TRY(narrow(walk, err));
    *walk_out = TL_TAKE(walk);
    return TALLY_OK;
}

/* Checks one record against the filter, and hands it on. */
static tally_status meet(struct tl_walk *walk, const struct tally_record *record)
{
    struct tl_leaf leaf;
    struct tl_record_facts facts;
    struct tl_match match = { .record = record, .leaf = &leaf, .facts = &facts };
    walk->met = true;
    if (tl_leaf_decode(&leaf, record->leaf, record->leaf_len, walk->err) != TALLY_OK) {
        return TALLY_ECORRUPT;
    }
    tl_record_facts_of(&facts, record, &leaf, walk->ledger->is_volatile);
    match.occurred_us = leaf.time_us;
    if (record->event == NULL && leaf.kind == TL_LEAF_ENTRY) {
        facts.state = tl_gone_state(&walk->gone, walk->ledger, &leaf, facts.state);
    }
    if (record->event != NULL) {
        tl_arena_reset(&walk->arena);
        tally_status status =
            tl_event_view_read(&walk->view, &walk->arena, record->event, record->event_len);
        if (status != TALLY_OK) {
            return tl_fail(walk->err, status, "record %llu cannot be read; run 'tally verify'",
                           (unsigned long long)record->seq);
        }
        match.view = &walk->view;
        match.occurred_us = walk->view.occurred_us;
    }
    if (!tl_filter_matches(walk->filter, &facts, match.view)) {
        return TALLY_OK;
    }
    return walk->fn(walk->ctx, &match);
}

static tally_status meet_in_scan(void *ctx, const struct tally_record *record)
{
    struct tl_walk *walk = ctx;
    tally_status status = meet(walk, record);
    walk->stopped = status;
    return status;
}

static tally_status read_range(struct tl_walk *walk, uint64_t first, uint64_t end)
{
    walk->stopped = TALLY_OK;
    tally_status status =
        tl_store_scan(walk->reader.store, first, end, meet_in_scan, walk, walk->err);
    return walk->stopped != TALLY_OK ? walk->stopped : status;
}

static tally_status read_one(struct tl_walk *walk, uint64_t seq)
{
    walk->met = false;
    TL_TRY(read_range(walk, seq, seq + 1));
    if (!walk->met) {
        return tl_fail(walk->err, TALLY_ECORRUPT, "record %llu is missing; run 'tally verify'",
                       (unsigned long long)seq);
    }
    return TALLY_OK;
}

static void set_receiver(struct tl_walk *walk, tl_match_fn *fn, void *ctx, struct tally_error *err)
{
    walk->fn = fn;
    walk->ctx = ctx;
    walk->err = err;
}

tally_status tl_walk_one(struct tl_walk *walk, uint64_t seq, tl_match_fn *fn, void *ctx,
                         struct tally_error *err)
{
    set_receiver(walk, fn, ctx, err);
    if (seq < walk->ranges.seq_first || seq >= walk->ranges.seq_end) {
        return TALLY_OK;
    }
    return read_one(walk, seq);
}

/* Reads [first, end) backwards. Scans go forwards only, and one at a time would be slow. */
static tally_status read_backwards(struct tl_walk *walk, uint64_t first, uint64_t end)
{
    while (end > first) {
        TL_TRY(read_one(walk, --end));
    }
    return TALLY_OK;
}

/* The index's part of a query over [first, end). */
static void make_query(const struct tl_walk *walk, struct tl_index_query *query, uint64_t first,
                       uint64_t end)
{
    size_t count = 0;
    const struct tl_filter_group *groups = tl_filter_groups(walk->filter, &count);
    _Static_assert(sizeof(struct tl_filter_group) == sizeof(struct tl_index_group) &&
                       offsetof(struct tl_filter_group, count) ==
                           offsetof(struct tl_index_group, count),
                   "the two say the same on either side of the layers");
    *query = (struct tl_index_query){ .groups = (const struct tl_index_group *)(const void *)groups,
                                      .group_count = count,
                                      .seq_first = first,
                                      .seq_end = end,
                                      .occurred_from = walk->ranges.occurred_from,
                                      .occurred_to = walk->ranges.occurred_to,
                                      .by_occurred = walk->order.by_occurred,
                                      .ascending = walk->order.ascending,
                                      .has_after = walk->order.has_after,
                                      .after_occurred = walk->order.after_occurred,
                                      .after_seq = walk->order.after_seq };
}

/* Whether a comes before b in the order of the walk. */
static bool comes_before(const struct tl_walk_order *order, struct tl_tail_key a,
                         struct tl_tail_key b)
{
    bool less = a.occurred_us != b.occurred_us ? a.occurred_us < b.occurred_us : a.seq < b.seq;
    bool same = a.occurred_us == b.occurred_us && a.seq == b.seq;
    return order->ascending ? less : !less && !same;
}

static tally_status grow_tail(struct tl_walk_tail *tail, struct tally_error *err)
{
    if (tail->count < tail->capacity) {
        return TALLY_OK;
    }
    size_t capacity = tail->capacity == 0 ? 64 : 2 * tail->capacity;
    struct tl_tail_key *keys = tl_realloc_array(tail->keys, capacity, sizeof(*keys));
    if (keys == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot sort records by time");
    }
    tail->keys = keys;
    tail->capacity = capacity;
    return TALLY_OK;
}

/* Takes the key of a record into the tail, unless enough others come before it. */
static tally_status collect(void *ctx, const struct tl_match *match)
{
    struct tl_walk *walk = ctx;
    struct tl_walk_tail *tail = &walk->tail;
    const struct tl_walk_order *order = &walk->order;
    const struct tl_tail_key key = { .occurred_us = match->occurred_us, .seq = match->record->seq };
    const struct tl_tail_key after = { .occurred_us = order->after_occurred,
                                       .seq = order->after_seq };
    if (order->has_after && !comes_before(order, after, key)) {
        return TALLY_OK;
    }
    bool full = order->enough > 0 && tail->count == order->enough;
    if (full && !comes_before(order, key, tail->keys[tail->count - 1])) {
        return TALLY_OK;
    }
    TL_TRY(grow_tail(tail, walk->err));
    tail->count -= full ? 1 : 0;
    size_t at = tail->count;
    while (at > 0 && comes_before(order, key, tail->keys[at - 1])) {
        at--;
    }
    memmove(tail->keys + at + 1, tail->keys + at, (tail->count - at) * sizeof(*tail->keys));
    tail->keys[at] = key;
    tail->count++;
    return TALLY_OK;
}

/* Hands on the tail's records that come before `key`, or all of them. */
static tally_status hand_on_before(struct tl_walk *walk, const struct tl_tail_key *key)
{
    struct tl_walk_tail *tail = &walk->tail;
    while (tail->at < tail->count &&
           (key == NULL || comes_before(&walk->order, tail->keys[tail->at], *key))) {
        TL_TRY(read_one(walk, tail->keys[tail->at++].seq));
    }
    return TALLY_OK;
}

static tally_status meet_indexed(void *ctx, uint64_t seq, int64_t occurred_us)
{
    struct tl_walk *walk = ctx;
    if (walk->order.by_occurred) {
        const struct tl_tail_key key = { .occurred_us = occurred_us, .seq = seq };
        TL_TRY(hand_on_before(walk, &key));
    }
    return read_one(walk, seq);
}

/* Asks the index. What is wrong with the index itself comes with the way out of it. */
static tally_status search_index(struct tl_walk *walk, const struct tl_index_query *query,
                                 tl_index_fn *fn, void *ctx)
{
    struct tally_error why = TALLY_ERROR_INIT;
    tally_status status = tl_index_search(walk->reader.index, query, fn, ctx, &why);
    if (status == TALLY_OK || why.status == TALLY_OK) {
        return status == TALLY_OK ? walk->stopped : status; /* `fn` has told walk->err */
    }
    return tl_fail(walk->err, status, "%s; 'tally reindex' makes it anew", why.message);
}

static tally_status ask_index(struct tl_walk *walk, uint64_t first, uint64_t end)
{
    if (first >= end) {
        return TALLY_OK;
    }
    struct tl_index_query query;
    make_query(walk, &query, first, end);
    /* The index takes ECANCELED for its own end; here it must end the whole walk. */
    walk->stopped = TALLY_OK;
    return search_index(walk, &query, meet_indexed, walk);
}

static tally_status run_by_seq(struct tl_walk *walk)
{
    uint64_t first = walk->ranges.seq_first;
    uint64_t end = walk->ranges.seq_end;
    if (walk->order.has_after) {
        if (walk->order.ascending) {
            first = walk->order.after_seq + 1 > first ? walk->order.after_seq + 1 : first;
        } else {
            end = walk->order.after_seq < end ? walk->order.after_seq : end;
        }
    }
    first = first < end ? first : end;
    uint64_t border = walk->indexed < first ? first : walk->indexed < end ? walk->indexed : end;
    if (walk->order.ascending) {
        TL_TRY(ask_index(walk, first, border));
        return read_range(walk, border, end);
    }
    TL_TRY(read_backwards(walk, border, end));
    return ask_index(walk, first, border);
}

static tally_status run_by_occurred(struct tl_walk *walk)
{
    uint64_t first = walk->ranges.seq_first;
    uint64_t end = walk->ranges.seq_end;
    uint64_t border = walk->indexed < first ? first : walk->indexed < end ? walk->indexed : end;
    tl_match_fn *fn = walk->fn;
    void *ctx = walk->ctx;
    walk->tail.count = 0;
    walk->tail.at = 0;
    walk->fn = collect;
    walk->ctx = walk;
    tally_status status = read_range(walk, border, end);
    walk->fn = fn;
    walk->ctx = ctx;
    if (status == TALLY_OK) {
        status = ask_index(walk, first, border);
    }
    if (status == TALLY_OK) {
        status = hand_on_before(walk, NULL);
    }
    return status;
}

tally_status tl_walk_run(struct tl_walk *walk, const struct tl_walk_order *order, tl_match_fn *fn,
                         void *ctx, struct tally_error *err)
{
    walk->order = *order;
    set_receiver(walk, fn, ctx, err);
    tally_status status = order->by_occurred ? run_by_occurred(walk) : run_by_seq(walk);
    return status == TALLY_ECANCELED ? TALLY_OK : status;
}

/* Times need not be read where the index knows them. */
struct timer {
    struct tl_walk *walk;
    tl_time_fn *fn;
    void *ctx;
};

static tally_status time_match(void *ctx, const struct tl_match *match)
{
    struct timer *timer = ctx;
    return timer->fn(timer->ctx, match->occurred_us);
}

static tally_status time_named(void *ctx, uint64_t seq, int64_t occurred_us)
{
    (void)seq;
    struct timer *timer = ctx;
    timer->walk->stopped = timer->fn(timer->ctx, occurred_us); /* the index takes it for its own */
    return timer->walk->stopped;
}

/* The same for a filter of which the index knows all. */
static tally_status time_exactly(struct tl_walk *walk, bool with_time, struct timer *timer)
{
    uint64_t first = walk->ranges.seq_first;
    uint64_t end = walk->ranges.seq_end;
    uint64_t border = walk->indexed < first ? first : walk->indexed < end ? walk->indexed : end;
    if (border > first) {
        struct tl_index_query query;
        make_query(walk, &query, first, border);
        query.with_time = with_time;
        walk->stopped = TALLY_OK;
        TL_TRY(search_index(walk, &query, time_named, timer));
    }
    return read_range(walk, border, end);
}

tally_status tl_walk_times(struct tl_walk *walk, bool with_time, tl_time_fn *fn, void *ctx,
                           struct tally_error *err)
{
    struct timer timer = { .walk = walk, .fn = fn, .ctx = ctx };
    struct tl_walk_order order = { .ascending = true };
    if (!tl_filter_is_exact(walk->filter)) {
        return tl_walk_run(walk, &order, time_match, &timer, err);
    }
    walk->order = order;
    set_receiver(walk, time_match, &timer, err);
    tally_status status = time_exactly(walk, with_time, &timer);
    return status == TALLY_ECANCELED ? TALLY_OK : status;
}

struct counter {
    uint64_t count;
    uint64_t max;
};

static tally_status count_one(void *ctx, int64_t occurred_us)
{
    (void)occurred_us;
    struct counter *counter = ctx;
    return ++counter->count >= counter->max ? TALLY_ECANCELED : TALLY_OK;
}

tally_status tl_walk_count(struct tl_walk *walk, uint64_t max, uint64_t *count_out,
                           struct tally_error *err)
{
    struct counter counter = { .max = max };
    TL_TRY(tl_walk_times(walk, false, count_one, &counter, err));
    *count_out = counter.count;
    return TALLY_OK;
}
