/* The segments of the index: what they are, how they are read, and how new ones come to be. */
#include <string.h>

#include "store/index_parts.h"

/* A sheet is full with this: large enough that what SQLite leaves free between rows is little, and
 * small enough to be read through for one term. */
#define SHEET_BYTES     ((size_t)12 << 10)
#define SHEET_BYTES_MAX ((size_t)1 << 30)

/*
 * Segments are merged when there are eight of one level, which is the logarithm of their size to
 * base 8. So a record is written once for each level that it goes through, and a search asks at
 * most seven segments of each level but the last.
 */
#define LEVEL_SHIFT 3
#define LEVEL_LAST  5 /* of 32,768 records and more: these are not merged */
#define MERGE       8

static tally_status damaged(struct tally_error *err)
{
    return tl_fail(err, TALLY_ECORRUPT, "the terms in the index are damaged");
}

static tally_status load_segment(struct tl_index *index, sqlite3_stmt *row, uint64_t position,
                                 uint64_t *end, struct tally_error *err)
{
    int64_t records = sqlite3_column_int64(row, 1);
    if ((uint64_t)sqlite3_column_int64(row, 0) != *end || records <= 0 || records > UINT32_MAX ||
        (uint64_t)records > position - *end) {
        return damaged(err);
    }
    if (index->segment_count == index->segment_capacity) {
        size_t capacity = index->segment_capacity == 0 ? 64 : 2 * index->segment_capacity;
        struct tl_segment *segments =
            tl_realloc_array(index->segments, capacity, sizeof(*segments));
        if (segments == NULL) {
            return tl_fail(err, TALLY_ENOMEM, "cannot allocate %zu segments", capacity);
        }
        index->segments = segments;
        index->segment_capacity = capacity;
    }
    index->segments[index->segment_count++] =
        (struct tl_segment){ .first = *end, .records = (uint32_t)records };
    *end += (uint64_t)records;
    return TALLY_OK;
}

tally_status tl_segments_load(struct tl_index *index, uint64_t position, struct tally_error *err)
{
    if (position == index->segments_position) {
        return TALLY_OK;
    }
    sqlite3_stmt *stmt = NULL;
    bool row = false;
    uint64_t end = 0;
    index->segment_count = 0;
    index->segments_position = 0;
    TL_TRY(tl_index_stmt(index, TL_INDEX_SCAN_SEGMENTS, &stmt, err));
    TL_TRY(tl_sqlite_next(stmt, &row, err));
    while (row) {
        tally_status status = load_segment(index, stmt, position, &end, err);
        if (status != TALLY_OK) {
            (void)sqlite3_reset(stmt); /* it did not fail */
            return status;
        }
        TL_TRY(tl_sqlite_next(stmt, &row, err));
    }
    if (end != position) {
        return damaged(err);
    }
    index->segments_position = position;
    return TALLY_OK;
}

size_t tl_segment_of(const struct tl_index *index, uint64_t seq)
{
    size_t low = 0;
    size_t high = index->segment_count;
    tl_assert(seq < index->segments_position);
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (index->segments[middle].first <= seq) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

tally_status tl_segment_mark(struct tl_index *index, const struct tl_segment *segment,
                             struct tl_str term, struct tl_sheet *sheet, uint8_t *bitmap,
                             struct tally_error *err)
{
    sqlite3_stmt *stmt = NULL;
    bool row = false;
    bool found = false;
    TL_TRY(tl_index_stmt(index, TL_INDEX_FIND_SHEET, &stmt, err));
    (void)sqlite3_bind_int64(stmt, 1, (int64_t)segment->first); /* these cannot fail */
    (void)sqlite3_bind_blob64(stmt, 2, term.text, term.len, SQLITE_STATIC);
    TL_TRY(tl_sqlite_next(stmt, &row, err));
    if (!row) {
        return TALLY_OK;
    }
    const uint8_t *bytes = sqlite3_column_blob(stmt, 0);
    tl_sheet_init(sheet, bytes, (size_t)sqlite3_column_bytes(stmt, 0), segment->records);
    tally_status status = tl_sheet_find(sheet, term, &found);
    if (status == TALLY_OK && found) {
        status = tl_places_mark(&sheet->places, bitmap);
    }
    (void)sqlite3_reset(stmt); /* it did not fail */
    return status == TALLY_OK ? TALLY_OK : damaged(err);
}

/* Reads one sheet through. A search goes by the first term of each, so it must be that. */
static tally_status each_entry(sqlite3_stmt *row, struct tl_sheet *sheet, uint32_t records,
                               tl_sheet_fn *fn, void *ctx, struct tally_error *err)
{
    struct tl_str first = { .text = sqlite3_column_blob(row, 0),
                            .len = (size_t)sqlite3_column_bytes(row, 0) };
    const uint8_t *bytes = sqlite3_column_blob(row, 1);
    /* The last term of the sheet before comes before the first of this one. */
    size_t len = first.len < sheet->term_len ? first.len : sheet->term_len;
    int order = len == 0 ? 0 : memcmp(sheet->term, first.text, len);
    if (order > 0 || (order == 0 && sheet->term_len >= first.len)) {
        return damaged(err);
    }
    tl_sheet_init(sheet, bytes, (size_t)sqlite3_column_bytes(row, 1), records);
    for (bool more = true, begun = false;; begun = true) {
        if (tl_sheet_next(sheet, &more) != TALLY_OK ||
            (!begun && (!more || sheet->term_len != first.len ||
                        memcmp(sheet->term, first.text, first.len) != 0))) {
            return damaged(err);
        }
        if (!more) {
            return TALLY_OK;
        }
        TL_TRY(fn(ctx, sheet, err));
    }
}

tally_status tl_segment_each(struct tl_index *index, const struct tl_segment *segment,
                             tl_sheet_fn *fn, void *ctx, struct tally_error *err)
{
    struct tl_sheet sheet;
    sqlite3_stmt *stmt = NULL;
    bool row = false;
    tl_sheet_init(&sheet, NULL, 0, segment->records);
    TL_TRY(tl_index_stmt(index, TL_INDEX_SCAN_SHEETS, &stmt, err));
    (void)sqlite3_bind_int64(stmt, 1, (int64_t)segment->first); /* cannot fail */
    TL_TRY(tl_sqlite_next(stmt, &row, err));
    while (row) {
        tally_status status = each_entry(stmt, &sheet, segment->records, fn, ctx, err);
        if (status != TALLY_OK) {
            (void)sqlite3_reset(stmt); /* it did not fail */
            return status;
        }
        TL_TRY(tl_sqlite_next(stmt, &row, err));
    }
    return TALLY_OK;
}

static unsigned level_of(uint64_t records)
{
    unsigned level = 0;
    while (level < LEVEL_LAST && records >> (LEVEL_SHIFT * (level + 1)) != 0) {
        level++;
    }
    return level;
}

/* Which segments, counted from the end, become one with `records` new ones: those of a lower level,
 * and those of the same if there are enough. */
static size_t choose_merge(const struct tl_index *index, uint64_t records)
{
    size_t left = index->segment_count;
    for (;;) {
        size_t same = 0;
        while (left > 0 && level_of(index->segments[left - 1].records) < level_of(records)) {
            records += index->segments[--left].records;
        }
        unsigned level = level_of(records);
        while (level < LEVEL_LAST && same < left &&
               level_of(index->segments[left - 1 - same].records) == level) {
            same++;
        }
        if (same + 1 < MERGE) {
            return index->segment_count - left;
        }
        while (same-- > 0) {
            records += index->segments[--left].records;
        }
    }
}

/* What is known of the segments that are merged. */
struct merger {
    struct tl_gather *gather;
    uint32_t shift;
};

static tally_status take_entry(void *ctx, struct tl_sheet *sheet, struct tally_error *err)
{
    const struct merger *merger = ctx;
    return tl_gather_sheet(merger->gather, sheet, merger->shift, NULL, err);
}

static tally_status run_with(struct tl_index *index, enum tl_index_stmt which, uint64_t first,
                             uint64_t second, struct tally_error *err)
{
    sqlite3_stmt *stmt = NULL;
    TL_TRY(tl_index_stmt(index, which, &stmt, err));
    (void)sqlite3_bind_int64(stmt, 1, (int64_t)first);  /* these cannot fail; the second may */
    (void)sqlite3_bind_int64(stmt, 2, (int64_t)second); /* not be there */
    return tl_sqlite_run(stmt, err);
}

static tally_status write_sheet(struct tl_index *index, uint64_t segment, struct tl_str first,
                                const struct tl_buf *sheet, struct tally_error *err)
{
    sqlite3_stmt *stmt = NULL;
    TL_TRY(tl_buf_status(sheet) == TALLY_OK
               ? TALLY_OK
               : tl_fail(err, tl_buf_status(sheet), "cannot write the terms of a segment"));
    TL_TRY(tl_index_stmt(index, TL_INDEX_ADD_SHEET, &stmt, err));
    (void)sqlite3_bind_int64(stmt, 1, (int64_t)segment); /* these cannot fail */
    (void)sqlite3_bind_blob64(stmt, 2, first.text, first.len, SQLITE_STATIC);
    (void)sqlite3_bind_blob64(stmt, 3, sheet->data, sheet->len, SQLITE_STATIC);
    return tl_sqlite_run(stmt, err);
}

static tally_status write_sheets(struct tl_index *index, const struct tl_gather *gather,
                                 const struct tl_segment *segment, struct tally_error *err)
{
    TL_CLEANUP(tl_buf_release) struct tl_buf sheet = { 0 };
    tl_buf_init(&sheet, SHEET_BYTES_MAX);
    struct tl_str first = { 0 };
    struct tl_str before = { 0 };
    for (size_t i = 0; i < gather->count; i++) {
        const struct tl_gathered *term = &gather->terms[i];
        struct tl_str text = { .text = term->text, .len = term->len };
        if (sheet.len == 0) {
            first = text;
        }
        tl_sheet_add(&sheet, before, text, gather->places + term->first, term->count,
                     segment->records);
        before = text;
        if (sheet.len >= SHEET_BYTES || i + 1 == gather->count) {
            TL_TRY(write_sheet(index, segment->first, first, &sheet, err));
            tl_buf_clear(&sheet);
            before = (struct tl_str){ 0 };
        }
    }
    return TALLY_OK;
}

static tally_status gather_all(struct tl_index *index, struct tl_gather *gather, size_t merged,
                               const struct tl_index_entry *entries, size_t count,
                               struct tally_error *err)
{
    struct merger merger = { .gather = gather };
    for (size_t i = index->segment_count - merged; i < index->segment_count; i++) {
        TL_TRY(tl_segment_each(index, &index->segments[i], take_entry, &merger, err));
        merger.shift += index->segments[i].records;
    }
    for (size_t i = 0; i < count; i++) {
        TL_TRY(tl_gather_entry(gather, entries[i].terms, merger.shift + (uint32_t)i, err));
    }
    return tl_gather_sort(gather, err);
}

tally_status tl_segments_add(struct tl_index *index, uint64_t position,
                             const struct tl_index_entry *entries, size_t count,
                             struct tally_error *err)
{
    TL_TRY(tl_segments_load(index, position, err));
    size_t merged = choose_merge(index, count);
    struct tl_segment segment = { .first = position, .records = (uint32_t)count };
    TL_CLEANUP(tl_gather_release) struct tl_gather gather = { 0 };
    tl_gather_init(&gather, index->hash_key, count);
    TL_TRY(gather_all(index, &gather, merged, entries, count, err));
    if (merged > 0) {
        segment.first = index->segments[index->segment_count - merged].first;
        segment.records = (uint32_t)(position - segment.first + count);
        TL_TRY(run_with(index, TL_INDEX_DROP_SHEETS, segment.first, 0, err));
        TL_TRY(run_with(index, TL_INDEX_DROP_SEGMENTS, segment.first, 0, err));
    }
    TL_TRY(write_sheets(index, &gather, &segment, err));
    return run_with(index, TL_INDEX_ADD_SEGMENT, segment.first, segment.records, err);
}

/* What is known of a segment in which records change. */
struct changer {
    struct tl_gather *gather;
    uint8_t *changed; /* a bit for each record of the segment */
};

static tally_status take_unchanged(void *ctx, struct tl_sheet *sheet, struct tally_error *err)
{
    const struct changer *changer = ctx;
    return tl_gather_sheet(changer->gather, sheet, 0, changer->changed, err);
}

tally_status tl_segment_gather(struct tl_index *index, const struct tl_segment *segment,
                               const struct tl_index_entry *entries, size_t count,
                               struct tl_gather *gather, struct tally_error *err)
{
    TL_CLEANUP(tl_freep) uint8_t *changed = tl_alloc_array(segment->records / 8 + 1, 1);
    if (changed == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a bit for each record");
    }
    for (size_t i = 0; i < count; i++) {
        uint64_t place = entries[i].seq - segment->first;
        tl_assert(entries[i].seq >= segment->first && place < segment->records);
        changed[place / 8] |= (uint8_t)(1u << (place % 8));
    }
    gather->any_order = true;
    struct changer changer = { .gather = gather, .changed = changed };
    TL_TRY(tl_segment_each(index, segment, take_unchanged, &changer, err));
    for (size_t i = 0; i < count; i++) {
        uint32_t place = (uint32_t)(entries[i].seq - segment->first);
        TL_TRY(tl_gather_entry(gather, entries[i].terms, place, err));
    }
    return tl_gather_sort(gather, err);
}

tally_status tl_segment_replace(struct tl_index *index, const struct tl_segment *segment,
                                const struct tl_gather *gather, struct tally_error *err)
{
    sqlite3_stmt *stmt = NULL;
    TL_TRY(tl_index_stmt(index, TL_INDEX_CLEAR_SHEETS, &stmt, err));
    (void)sqlite3_bind_int64(stmt, 1, (int64_t)segment->first); /* cannot fail */
    TL_TRY(tl_sqlite_run(stmt, err));
    return write_sheets(index, gather, segment, err);
}
