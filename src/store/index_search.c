#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "store/index_parts.h"

#define MATCH_BYTES_MAX ((size_t)4 << 20)
#define FEW             512 /* hits that are sorted by themselves, without a look at the blocks */
#define HEAP_MAX        ((size_t)1 << 20) /* records held back because others may come before them */

struct hit {
    int64_t occurred;
    uint64_t seq;
};

struct search {
    struct tl_index *index;
    const struct tl_index_query *query;
    tl_index_fn *fn;
    void *ctx;
    struct tl_buf match; /* the terms as FTS5 wants them; empty: every record */
    uint64_t first, end; /* of the records in question */
    int64_t from, to;    /* likewise, occurred_at: from <= x < to, or INT64_MAX for no end */

    /* Where the cursor is. */
    sqlite3_stmt *stmt;
    uint64_t next; /* without terms: the record to come, or one past it going down */
    uint64_t stop; /* without terms: going up where it ends, going down the last one */

    /* By occurred_at: no record in empty_first ... empty_end - 1 has the terms. */
    uint64_t empty_first, empty_end;
    struct hit *heap; /* the next to be named on top */
    size_t heap_count, heap_capacity;
};

/* A term with these cannot have been entered. */
static bool is_possible(struct tl_str term)
{
    return term.len > 0 && memchr(term.text, TL_INDEX_SEPARATOR, term.len) == NULL &&
           memchr(term.text, '\0', term.len) == NULL;
}

/* Adds a term in quotes, in which a quote is doubled. */
static void add_quoted(struct tl_buf *match, struct tl_str term)
{
    tl_buf_add_char(match, '"');
    for (size_t i = 0; i < term.len; i++) {
        if (term.text[i] == '"') {
            tl_buf_add_char(match, '"');
        }
        tl_buf_add_char(match, term.text[i]);
    }
    tl_buf_add_char(match, '"');
}

/* Writes ("a" OR "b") AND ("c"). Sets *possible to false if some group cannot hold. */
static tally_status build_match(struct search *search, bool *possible, struct tally_error *err)
{
    *possible = true;
    for (size_t g = 0; g < search->query->group_count; g++) {
        const struct tl_index_group *group = &search->query->groups[g];
        size_t used = 0;
        tl_buf_add_text(&search->match, g == 0 ? "(" : " AND (");
        for (size_t i = 0; i < group->count; i++) {
            if (is_possible(group->terms[i])) {
                tl_buf_add_text(&search->match, used++ == 0 ? "" : " OR ");
                add_quoted(&search->match, group->terms[i]);
            }
        }
        tl_buf_add_char(&search->match, ')');
        *possible = *possible && used > 0;
    }
    tl_buf_add_char(&search->match, '\0');
    tally_status status = tl_buf_status(&search->match);
    return status == TALLY_OK ? TALLY_OK : tl_fail(err, status, "the query has too many terms");
}

static void cursor_close(struct search *search)
{
    if (search->stmt != NULL) {
        (void)sqlite3_reset(search->stmt); /* repeats what the last step said */
        search->stmt = NULL;
    }
}

/* Starts with the records first <= seq < end that have the terms, up or down. */
static tally_status cursor_open(struct search *search, uint64_t first, uint64_t end,
                                struct tally_error *err)
{
    bool up = search->query->ascending;
    cursor_close(search);
    search->next = up ? first : end;
    search->stop = up ? end : first;
    if (search->query->group_count == 0 || first >= end) {
        search->next = first >= end ? search->stop : search->next;
        return TALLY_OK;
    }
    TL_TRY(tl_index_stmt(search->index, up ? TL_INDEX_MATCH_UP : TL_INDEX_MATCH_DOWN, &search->stmt,
                         err));
    (void)sqlite3_bind_text64(search->stmt, 1, search->match.data, search->match.len - 1,
                              SQLITE_STATIC, SQLITE_UTF8); /* these cannot fail */
    (void)sqlite3_bind_int64(search->stmt, 2, (int64_t)first);
    (void)sqlite3_bind_int64(search->stmt, 3, (int64_t)(end - 1));
    return TALLY_OK;
}

/* Sets *seq_out to the next record, or to TALLY_SEQ_NONE after the last. */
static tally_status cursor_next(struct search *search, uint64_t *seq_out, struct tally_error *err)
{
    *seq_out = TALLY_SEQ_NONE;
    if (search->stmt == NULL) {
        if (search->next != search->stop) {
            *seq_out = search->query->ascending ? search->next++ : --search->next;
        }
        return TALLY_OK;
    }
    bool row = false;
    tally_status status = tl_sqlite_next(search->stmt, &row, err);
    if (row) {
        *seq_out = (uint64_t)sqlite3_column_int64(search->stmt, 0);
        return TALLY_OK;
    }
    search->stmt = NULL;
    search->next = search->stop;
    return status;
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
static tally_status skip_blocks(struct search *search, uint64_t block, struct tally_error *err)
{
    uint64_t last = (search->end - 1) >> TL_INDEX_BLOCK_SHIFT;
    uint64_t stop = search->first >> TL_INDEX_BLOCK_SHIFT;
    if (search->query->ascending) {
        while (block <= last && !zone_fits(search, block)) {
            block++;
        }
        uint64_t first = block << TL_INDEX_BLOCK_SHIFT;
        return cursor_open(search, first > search->first ? first : search->first, search->end, err);
    }
    while (block > stop && !zone_fits(search, block)) {
        block--;
    }
    if (!zone_fits(search, block)) {
        return cursor_open(search, 0, 0, err);
    }
    uint64_t end = (block + 1) << TL_INDEX_BLOCK_SHIFT;
    return cursor_open(search, search->first, end < search->end ? end : search->end, err);
}

/* Names one record if its time fits; goes on elsewhere if that of its whole block does not. */
static tally_status visit(struct search *search, uint64_t seq, struct tally_error *err)
{
    uint64_t block = seq >> TL_INDEX_BLOCK_SHIFT;
    if (!zone_fits(search, block)) {
        return skip_blocks(search, block, err);
    }
    TL_TRY(tl_zone_times(search->index, block, err));
    int64_t occurred = search->index->times[seq % TL_INDEX_BLOCK];
    return in_time(search, occurred) ? search->fn(search->ctx, seq, occurred) : TALLY_OK;
}

static tally_status search_by_seq(struct search *search, struct tally_error *err)
{
    bool any_time = search->from == INT64_MIN && search->to == INT64_MAX;
    TL_TRY(cursor_open(search, search->first, search->end, err));
    for (;;) {
        uint64_t seq = TALLY_SEQ_NONE;
        TL_TRY(cursor_next(search, &seq, err));
        if (seq == TALLY_SEQ_NONE) {
            return TALLY_OK;
        }
        if (seq < search->first || seq >= search->end) {
            return tl_fail(err, TALLY_ECORRUPT, "the index knows records that do not exist");
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
    first = first > search->first ? first : search->first;
    end = end < search->end ? end : search->end;
    if (first >= end || (first >= search->empty_first && end <= search->empty_end)) {
        return TALLY_OK;
    }
    bool up = search->query->ascending;
    /* Without a bound on the far side: the record after the block says which blocks to pass over. */
    bool open = search->query->group_count > 0;
    TL_TRY(cursor_open(search, open && !up ? search->first : first, open && up ? search->end : end,
                       err));
    for (;;) {
        uint64_t seq = TALLY_SEQ_NONE;
        TL_TRY(cursor_next(search, &seq, err));
        if (seq == TALLY_SEQ_NONE || seq < first || seq >= end) {
            if (open) {
                search->empty_first = up ? end : seq == TALLY_SEQ_NONE ? 0 : seq + 1;
                search->empty_end = up ? seq : first;
            }
            cursor_close(search);
            return TALLY_OK;
        }
        TL_TRY(push_if_fits(search, seq, err));
    }
}

/*
 * Puts all that has the terms on the heap, if that is little. Opening a cursor for every block
 * would take far longer then: one in which a rare term meets a common one takes a millisecond.
 */
static tally_status gather_few(struct search *search, bool *all_out, struct tally_error *err)
{
    TL_TRY(cursor_open(search, search->first, search->end, err));
    for (size_t i = 0; i <= FEW; i++) {
        uint64_t seq = TALLY_SEQ_NONE;
        TL_TRY(cursor_next(search, &seq, err));
        *all_out = seq == TALLY_SEQ_NONE;
        if (*all_out) {
            return TALLY_OK;
        }
        if (zone_fits(search, seq >> TL_INDEX_BLOCK_SHIFT)) {
            TL_TRY(push_if_fits(search, seq, err));
        }
    }
    search->heap_count = 0;
    return TALLY_OK;
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
    bool all = false;
    TL_TRY(search->query->group_count > 0 ? gather_few(search, &all, err) : TALLY_OK);
    if (all) {
        return name_before(search, NULL);
    }
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
    bool possible = false;
    TL_TRY(tl_index_position(search->index, &position, err));
    TL_TRY(build_match(search, &possible, err));
    search->first = query->seq_first;
    search->end = query->seq_end < position ? query->seq_end : position;
    if (!possible || search->first >= search->end) {
        return TALLY_OK;
    }
    TL_TRY(tl_zones_load(search->index, position, err));
    narrow(search);
    return query->by_occurred ? search_by_occurred(search, err) : search_by_seq(search, err);
}

tally_status tl_index_search(struct tl_index *index, const struct tl_index_query *query,
                             tl_index_fn *fn, void *ctx, struct tally_error *err)
{
    struct search search = { .index = index, .query = query, .fn = fn, .ctx = ctx };
    tl_buf_init(&search.match, MATCH_BYTES_MAX);
    tally_status status = tl_index_run(index, TL_INDEX_BEGIN_READ, err);
    if (status == TALLY_OK) {
        status = search_snapshot(&search, err);
        cursor_close(&search);
        (void)tl_index_run(index, TL_INDEX_ROLLBACK, NULL); /* nothing was written */
    }
    tl_buf_release(&search.match);
    tl_free(search.heap);
    return status == TALLY_ECANCELED ? TALLY_OK : status;
}
