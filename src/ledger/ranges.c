#include "ledger/ranges.h"

#include <stdlib.h>

#include "ledger/walk.h"

void tl_ranges_release(struct tl_ranges *ranges)
{
    tl_free(ranges->items);
    *ranges = (struct tl_ranges){ 0 };
}

tally_status tl_ranges_push(struct tl_ranges *ranges, struct tl_range range)
{
    if (ranges->count == ranges->capacity) {
        size_t capacity = ranges->capacity == 0 ? 16 : 2 * ranges->capacity;
        struct tl_range *items = tl_realloc_array(ranges->items, capacity, sizeof(*items));
        if (items == NULL) {
            return TALLY_ENOMEM;
        }
        ranges->items = items;
        ranges->capacity = capacity;
    }
    ranges->items[ranges->count++] = range;
    ranges->records += range.last - range.first + 1;
    return TALLY_OK;
}

tally_status tl_ranges_add(struct tl_ranges *ranges, uint64_t first, uint64_t last)
{
    tl_assert(first <= last);
    if (ranges->count > 0) {
        struct tl_range *newest = &ranges->items[ranges->count - 1];
        tl_assert(first > newest->last);
        if (first == newest->last + 1) {
            newest->last = last;
            ranges->records += last - first + 1;
            return TALLY_OK;
        }
    }
    return ranges->count == ranges->max
               ? TALLY_ELIMIT
               : tl_ranges_push(ranges, (struct tl_range){ .first = first, .last = last });
}

static int compare_ranges(const void *a, const void *b)
{
    const struct tl_range *left = a;
    const struct tl_range *right = b;
    return left->first < right->first ? -1 : left->first > right->first ? 1 : 0;
}

void tl_ranges_tidy(struct tl_ranges *ranges)
{
    if (ranges->count == 0) {
        return;
    }
    qsort(ranges->items, ranges->count, sizeof(*ranges->items), compare_ranges);
    size_t kept = 0;
    for (size_t i = 1; i < ranges->count; i++) {
        struct tl_range *before = &ranges->items[kept];
        const struct tl_range *next = &ranges->items[i];
        if (next->first <= before->last + 1) {
            before->last = next->last > before->last ? next->last : before->last;
        } else {
            ranges->items[++kept] = *next;
        }
    }
    ranges->count = kept + 1;
    ranges->records = 0;
    for (size_t i = 0; i < ranges->count; i++) {
        ranges->records += ranges->items[i].last - ranges->items[i].first + 1;
    }
}

tally_status tl_ranges_check(const struct tally_range *ranges, size_t count,
                             struct tally_error *err)
{
    for (size_t i = 0; i < count; i++) {
        if (ranges[i].first > ranges[i].last || ranges[i].last == UINT64_MAX ||
            (i > 0 && ranges[i].first <= ranges[i - 1].last)) {
            return tl_fail(err, TALLY_EINVAL, "ranges must ascend and not overlap");
        }
    }
    return TALLY_OK;
}

/* A selection while it is walked. */
struct select {
    struct tl_ranges *out;
    const struct tally_selection *selection;
    size_t at; /* of its ranges */
};

static tally_status take(void *ctx, const struct tl_match *match)
{
    struct select *select = ctx;
    const struct tally_selection *selection = select->selection;
    uint64_t seq = match->record->seq;
    while (select->at < selection->range_count && selection->ranges[select->at].last < seq) {
        select->at++;
    }
    if (selection->range_count > 0) {
        if (select->at == selection->range_count) {
            return TALLY_ECANCELED;
        }
        if (seq < selection->ranges[select->at].first) {
            return TALLY_OK;
        }
    }
    return tl_ranges_add(select->out, seq, seq);
}

static tally_status select_by_query(struct tl_ranges *out, struct tally_ledger *ledger,
                                    const struct tally_selection *selection,
                                    struct tally_error *err)
{
    TL_CLEANUP(tl_filter_freep) struct tl_filter *filter = NULL;
    TL_CLEANUP(tl_walk_end) struct tl_walk *walk = NULL;
    TL_TRY(tl_walk_filter(&filter, ledger, selection->query, err));
    TL_TRY(tl_walk_begin(&walk, ledger, filter, err));
    const struct tl_walk_order order = { .ascending = true };
    struct select select = { .out = out, .selection = selection };
    return tl_walk_run(walk, &order, take, &select, err);
}

static tally_status select_by_range(struct tl_ranges *out, struct tally_ledger *ledger,
                                    const struct tally_selection *selection,
                                    struct tally_error *err)
{
    struct tl_reader reader;
    struct tally_head head = { 0 };
    TL_TRY(tl_reader_get(ledger, &reader, err));
    tally_status status = tl_store_head(reader.store, &head, err);
    tl_reader_put(ledger, &reader);
    if (status == TALLY_OK && selection->range_count == 0 && head.size > 0) {
        status = tl_ranges_add(out, 0, head.size - 1);
    }
    for (size_t i = 0; i < selection->range_count && status == TALLY_OK; i++) {
        const struct tally_range *range = &selection->ranges[i];
        if (range->first < head.size) {
            uint64_t last = range->last < head.size ? range->last : head.size - 1;
            status = tl_ranges_add(out, range->first, last);
        }
    }
    return status;
}

tally_status tl_select(struct tl_ranges *out, struct tally_ledger *ledger,
                       const struct tally_selection *selection, struct tally_error *err)
{
    TL_TRY(tl_ranges_check(selection->ranges, selection->range_count, err));
    tally_status status = selection->query != NULL ? select_by_query(out, ledger, selection, err)
                                                   : select_by_range(out, ledger, selection, err);
    if (status == TALLY_ELIMIT) {
        return tl_fail(
            err, status,
            "the selection falls into more than %zu runs of neighbouring records: name a "
            "wider range",
            out->max);
    }
    return status == TALLY_OK ? status : tl_fail(err, status, "the selection cannot be made");
}

tally_status tl_bits_init(struct tl_bits *bits, uint64_t size, struct tally_error *err)
{
    bits->size = size;
    bits->words = tl_alloc_array((size_t)(size / 64 + 1), sizeof(*bits->words));
    return bits->words != NULL
               ? TALLY_OK
               : tl_fail(err, TALLY_ENOMEM, "cannot mark %llu records", (unsigned long long)size);
}

void tl_bits_release(struct tl_bits *bits)
{
    tl_free(bits->words);
    *bits = (struct tl_bits){ 0 };
}

void tl_bits_set(struct tl_bits *bits, uint64_t seq)
{
    tl_assert(seq < bits->size);
    bits->words[seq / 64] |= UINT64_C(1) << (seq % 64);
}

/* The first position from `at` on whose bit is `set`; at most bits->size. */
static uint64_t find_bit(const struct tl_bits *bits, uint64_t at, bool set)
{
    while (at < bits->size) {
        uint64_t word = bits->words[at / 64];
        word = (set ? word : ~word) >> (at % 64);
        if (word != 0) {
            at += (uint64_t)__builtin_ctzll(word);
            return at < bits->size ? at : bits->size;
        }
        at += 64 - at % 64;
    }
    return bits->size;
}

bool tl_bits_next(const struct tl_bits *bits, uint64_t from, struct tl_range *range_out)
{
    uint64_t first = find_bit(bits, from, true);
    if (first == bits->size) {
        return false;
    }
    *range_out = (struct tl_range){ .first = first, .last = find_bit(bits, first, false) - 1 };
    return true;
}
