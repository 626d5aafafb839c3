#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "store/index_parts.h"

#define HEAP_MAX ((size_t)1 << 20) /* records held back because others may come before them */

struct hit {
    int64_t occurred;
    uint64_t seq;
};

struct search {
    struct tl_index *index;
    const struct tl_index_query *query;
    tl_index_fn *fn;
    void *ctx;
    uint64_t first, end; /* of the records in question */
    int64_t from, to;    /* likewise, occurred_at: from <= x < to, or INT64_MAX for no end */

    /* Where the cursor is. */
    uint64_t next; /* the record to come, or one past it going down */
    uint64_t stop; /* going up where it ends, going down the last one */

    /* Which records of a segment have the terms. */
    size_t segment;        /* SIZE_MAX: none was looked at */
    uint8_t *fits;         /* a bit for each of its records, in whole words */
    uint8_t *group;        /* the same, for one group of terms */
    bool *empty;           /* by segment: looked at, and nothing fits */
    struct tl_sheet sheet; /* memory to work in */

    /* By occurred_at. */
    struct hit *heap; /* the next to be named on top */
    size_t heap_count, heap_capacity;
};

#define WORD_BITS 64u

static size_t bitmap_len(const struct tl_segment *segment)
{
    return ((size_t)segment->records + WORD_BITS - 1) / WORD_BITS * sizeof(uint64_t);
}

static tally_status allocate(struct search *search, struct tally_error *err)
{
    const struct tl_index *index = search->index;
    size_t len = 0;
    for (size_t i = 0; i < index->segment_count; i++) {
        size_t own = bitmap_len(&index->segments[i]);
        len = own > len ? own : len;
    }
    search->fits = tl_alloc_array(len, 1);
    search->group = tl_alloc_array(len, 1);
    search->empty = tl_alloc_array(index->segment_count, sizeof(*search->empty));
    search->segment = SIZE_MAX;
    return search->fits != NULL && search->group != NULL && search->empty != NULL
               ? TALLY_OK
               : tl_fail(err, TALLY_ENOMEM, "cannot allocate what a search needs");
}

/* Sets the bits of the records that have one of the terms. */
static tally_status mark_group(struct search *search, const struct tl_segment *segment,
                               const struct tl_index_group *group, uint8_t *bitmap,
                               struct tally_error *err)
{
    memset(bitmap, 0, bitmap_len(segment));
    for (size_t i = 0; i < group->count; i++) {
        struct tl_str term = group->terms[i];
        if (term.len > 0 && term.len <= TL_INDEX_TERM_MAX) { /* others cannot have been entered */
            TL_TRY(tl_segment_mark(search->index, segment, term, &search->sheet, bitmap, err));
        }
    }
    return TALLY_OK;
}

/* Finds the records of a segment that have all the terms. */
static tally_status look_at(struct search *search, size_t which, struct tally_error *err)
{
    const struct tl_segment *segment = &search->index->segments[which];
    size_t len = bitmap_len(segment);
    bool any = true;
    if (search->segment == which || search->empty[which]) {
        return TALLY_OK;
    }
    search->segment = SIZE_MAX;
    for (size_t g = 0; any && g < search->query->group_count; g++) {
        uint8_t *to = g == 0 ? search->fits : search->group;
        TL_TRY(mark_group(search, segment, &search->query->groups[g], to, err));
        uint8_t all = 0;
        for (size_t i = 0; i < len; i++) {
            search->fits[i] &= to[i];
            all |= search->fits[i];
        }
        any = all != 0;
    }
    search->empty[which] = !any;
    search->segment = which;
    return TALLY_OK;
}

static uint64_t word_at(const struct search *search, size_t place)
{
    const uint8_t *p = search->fits + place / WORD_BITS * sizeof(uint64_t);
    return __builtin_bswap64(tl_get_be64(p));
}

/* The least fitting place from `place` on, below `end`; `end` if there is none. */
static size_t place_up(const struct search *search, size_t place, size_t end)
{
    uint64_t mask = UINT64_MAX << place % WORD_BITS;
    for (size_t at = place - place % WORD_BITS; at < end; at += WORD_BITS) {
        uint64_t word = word_at(search, at) & mask;
        if (word != 0) {
            size_t found = at + (size_t)__builtin_ctzll(word);
            return found < end ? found : end;
        }
        mask = UINT64_MAX;
    }
    return end;
}

/* One past the greatest fitting place below `end`, not below `first`; `first` if there is none. */
static size_t place_down(const struct search *search, size_t first, size_t end)
{
    while (end > first) {
        uint64_t word =
            word_at(search, end - 1) & UINT64_MAX >> (WORD_BITS - 1 - (end - 1) % WORD_BITS);
        size_t start = (end - 1) - (end - 1) % WORD_BITS;
        if (word != 0) {
            end = start + WORD_BITS - (size_t)__builtin_clzll(word);
            return end > first ? end : first;
        }
        end = start;
    }
    return first;
}

/* Starts with the records first <= seq < end that have the terms, up or down. */
static void cursor_open(struct search *search, uint64_t first, uint64_t end)
{
    bool up = search->query->ascending;
    end = first < end ? end : first;
    search->next = up ? first : end;
    search->stop = up ? end : first;
}

/* Moves `next` through the segment it is in; true if it stopped at a record. */
static tally_status step_through(struct search *search, bool *found_out, struct tally_error *err)
{
    bool up = search->query->ascending;
    size_t which = tl_segment_of(search->index, up ? search->next : search->next - 1);
    const struct tl_segment *segment = &search->index->segments[which];
    uint64_t low = segment->first;
    uint64_t high = segment->first + segment->records;
    TL_TRY(look_at(search, which, err));
    *found_out = false;
    if (up) {
        uint64_t end = search->stop < high ? search->stop : high;
        search->next = search->empty[which]
                           ? end
                           : low + place_up(search, search->next - low, (size_t)(end - low));
        *found_out = search->next < end;
    } else {
        uint64_t first = search->stop > low ? search->stop : low;
        search->next = search->empty[which] ? first
                                            : low + place_down(search, (size_t)(first - low),
                                                               (size_t)(search->next - low));
        *found_out = search->next > first;
    }
    return TALLY_OK;
}

/* Sets *seq_out to the next record, or to TALLY_SEQ_NONE after the last. */
static tally_status cursor_next(struct search *search, uint64_t *seq_out, struct tally_error *err)
{
    bool found = false;
    *seq_out = TALLY_SEQ_NONE;
    while (search->next != search->stop && !found) {
        found = search->query->group_count == 0;
        if (!found) {
            TL_TRY(step_through(search, &found, err));
        }
    }
    if (found) {
        *seq_out = search->query->ascending ? search->next++ : --search->next;
    }
    return TALLY_OK;
}

static bool in_time(const struct search *search, int64_t occurred)
{
    return occurred >= search->from && (occurred < search->to || search->to == INT64_MAX);
}

static bool zone_fits(const struct search *search, uint64_t block)
{
    const struct tl_zone *zone = &search->index->zones[block];
    return zone->high >= search->from && (zone->low < search->to || search->to == INT64_MAX);
}

/* Moves the cursor on, past all the blocks from `block` on that have nothing of the time range. */
static void skip_blocks(struct search *search, uint64_t block)
{
    uint64_t last = (search->end - 1) >> TL_INDEX_BLOCK_SHIFT;
    uint64_t stop = search->first >> TL_INDEX_BLOCK_SHIFT;
    if (search->query->ascending) {
        while (block <= last && !zone_fits(search, block)) {
            block++;
        }
        uint64_t first = block << TL_INDEX_BLOCK_SHIFT;
        cursor_open(search, first > search->first ? first : search->first, search->end);
        return;
    }
    while (block > stop && !zone_fits(search, block)) {
        block--;
    }
    uint64_t end = zone_fits(search, block) ? (block + 1) << TL_INDEX_BLOCK_SHIFT : 0;
    cursor_open(search, search->first, end < search->end ? end : search->end);
}

/* Names one record if its time fits; goes on elsewhere if that of its whole block does not. */
static tally_status visit(struct search *search, uint64_t seq, struct tally_error *err)
{
    uint64_t block = seq >> TL_INDEX_BLOCK_SHIFT;
    if (!zone_fits(search, block)) {
        skip_blocks(search, block);
        return TALLY_OK;
    }
    TL_TRY(tl_zone_times(search->index, block, err));
    int64_t occurred = search->index->times[seq % TL_INDEX_BLOCK];
    return in_time(search, occurred) ? search->fn(search->ctx, seq, occurred) : TALLY_OK;
}

static tally_status search_by_seq(struct search *search, struct tally_error *err)
{
    bool any_time =
        search->from == INT64_MIN && search->to == INT64_MAX && !search->query->with_time;
    cursor_open(search, search->first, search->end);
    for (;;) {
        uint64_t seq = TALLY_SEQ_NONE;
        TL_TRY(cursor_next(search, &seq, err));
        if (seq == TALLY_SEQ_NONE) {
            return TALLY_OK;
        }
        TL_TRY(any_time ? search->fn(search->ctx, seq, INT64_MIN) : visit(search, seq, err));
    }
}

/* Does `a` come before `b` in the order of the query? */
static bool comes_first(const struct search *search, struct hit a, struct hit b)
{
    bool less = a.occurred != b.occurred ? a.occurred < b.occurred : a.seq < b.seq;
    bool same = a.occurred == b.occurred && a.seq == b.seq;
    return search->query->ascending ? less : !less && !same;
}

static tally_status heap_push(struct search *search, struct hit hit, struct tally_error *err)
{
    if (search->heap_count == search->heap_capacity) {
        size_t capacity = search->heap_capacity == 0 ? TL_INDEX_BLOCK : 2 * search->heap_capacity;
        if (capacity > HEAP_MAX) {
            return tl_fail(err, TALLY_ELIMIT, "too many records overlap in time; narrow the range");
        }
        struct hit *heap = tl_realloc_array(search->heap, capacity, sizeof(*heap));
        if (heap == NULL) {
            return tl_fail(err, TALLY_ENOMEM, "cannot sort %zu records", capacity);
        }
        search->heap = heap;
        search->heap_capacity = capacity;
    }
    size_t at = search->heap_count++;
    while (at > 0 && comes_first(search, hit, search->heap[(at - 1) / 2])) {
        search->heap[at] = search->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    search->heap[at] = hit;
    return TALLY_OK;
}

static struct hit heap_pop(struct search *search)
{
    struct hit top = search->heap[0];
    struct hit last = search->heap[--search->heap_count];
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= search->heap_count) {
            break;
        }
        if (child + 1 < search->heap_count &&
            comes_first(search, search->heap[child + 1], search->heap[child])) {
            child++;
        }
        if (!comes_first(search, search->heap[child], last)) {
            break;
        }
        search->heap[at] = search->heap[child];
        at = child;
    }
    search->heap[at] = last;
    return top;
}

/* Puts a record on the heap if its time fits. */
static tally_status push_if_fits(struct search *search, uint64_t seq, struct tally_error *err)
{
    struct hit hit = { .seq = seq };
    struct hit after = { .occurred = search->query->after_occurred,
                         .seq = search->query->after_seq };
    TL_TRY(tl_zone_times(search->index, seq >> TL_INDEX_BLOCK_SHIFT, err));
    hit.occurred = search->index->times[seq % TL_INDEX_BLOCK];
    bool passed = search->query->has_after && !comes_first(search, after, hit);
    return in_time(search, hit.occurred) && !passed ? heap_push(search, hit, err) : TALLY_OK;
}

/* Puts the fitting records of one block on the heap. */
static tally_status gather(struct search *search, uint64_t block, struct tally_error *err)
{
    uint64_t first = block << TL_INDEX_BLOCK_SHIFT;
    uint64_t end = first + TL_INDEX_BLOCK;
    cursor_open(search, first > search->first ? first : search->first,
                end < search->end ? end : search->end);
    for (;;) {
        uint64_t seq = TALLY_SEQ_NONE;
        TL_TRY(cursor_next(search, &seq, err));
        if (seq == TALLY_SEQ_NONE) {
            return TALLY_OK;
        }
        TL_TRY(push_if_fits(search, seq, err));
    }
}

static int newest_first(const void *a, const void *b)
{
    const struct tl_zone *x = a;
    const struct tl_zone *y = b;
    if (x->high != y->high) {
        return x->high < y->high ? 1 : -1;
    }
    return x->block < y->block ? 1 : -1;
}

static int oldest_first(const void *a, const void *b)
{
    const struct tl_zone *x = a;
    const struct tl_zone *y = b;
    if (x->low != y->low) {
        return x->low < y->low ? -1 : 1;
    }
    return x->block < y->block ? -1 : 1;
}

/* Names what is on the heap and comes before anything that a block of `zone` may hold. */
static tally_status name_before(struct search *search, const struct tl_zone *zone)
{
    bool up = search->query->ascending;
    while (search->heap_count > 0) {
        int64_t occurred = search->heap[0].occurred;
        if (zone != NULL && (up ? occurred >= zone->low : occurred <= zone->high)) {
            return TALLY_OK;
        }
        struct hit hit = heap_pop(search);
        TL_TRY(search->fn(search->ctx, hit.seq, hit.occurred));
    }
    return TALLY_OK;
}

/* Goes through the blocks in order of time, and holds back what a later block may overtake. */
static tally_status search_by_occurred(struct search *search, struct tally_error *err)
{
    struct tl_index *index = search->index;
    TL_CLEANUP(tl_freep) struct tl_zone *zones = tl_alloc_array(index->zone_count, sizeof(*zones));
    if (zones == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate %zu zones", index->zone_count);
    }
    size_t count = 0;
    for (uint64_t block = search->first >> TL_INDEX_BLOCK_SHIFT;
         block <= (search->end - 1) >> TL_INDEX_BLOCK_SHIFT; block++) {
        if (zone_fits(search, block)) {
            zones[count++] = index->zones[block];
        }
    }
    qsort(zones, count, sizeof(*zones), search->query->ascending ? oldest_first : newest_first);
    for (size_t i = 0; i < count; i++) {
        TL_TRY(name_before(search, &zones[i]));
        TL_TRY(gather(search, zones[i].block, err));
    }
    return name_before(search, NULL);
}

/* Narrows the time range to what comes after the given record. */
static void narrow(struct search *search)
{
    const struct tl_index_query *query = search->query;
    search->from = query->occurred_from;
    search->to = query->occurred_to;
    if (!query->by_occurred || !query->has_after) {
        return;
    }
    if (query->ascending && query->after_occurred > search->from) {
        search->from = query->after_occurred;
    }
    if (!query->ascending && query->after_occurred < search->to &&
        query->after_occurred < INT64_MAX) {
        search->to = query->after_occurred + 1;
    }
}

static tally_status search_snapshot(struct search *search, struct tally_error *err)
{
    const struct tl_index_query *query = search->query;
    uint64_t position = 0;
    TL_TRY(tl_index_position(search->index, &position, err));
    search->first = query->seq_first;
    search->end = query->seq_end < position ? query->seq_end : position;
    if (search->first >= search->end) {
        return TALLY_OK;
    }
    TL_TRY(tl_zones_load(search->index, position, err));
    TL_TRY(tl_segments_load(search->index, position, err));
    TL_TRY(allocate(search, err));
    narrow(search);
    return query->by_occurred ? search_by_occurred(search, err) : search_by_seq(search, err);
}

tally_status tl_index_search(struct tl_index *index, const struct tl_index_query *query,
                             tl_index_fn *fn, void *ctx, struct tally_error *err)
{
    struct search search = { .index = index, .query = query, .fn = fn, .ctx = ctx };
    tally_status status = tl_index_run(index, TL_INDEX_BEGIN_READ, err);
    if (status == TALLY_OK) {
        status = search_snapshot(&search, err);
        (void)tl_index_run(index, TL_INDEX_ROLLBACK, NULL); /* nothing was written */
    }
    tl_free(search.heap);
    tl_free(search.fits);
    tl_free(search.group);
    tl_free(search.empty);
    return status == TALLY_ECANCELED ? TALLY_OK : status;
}
