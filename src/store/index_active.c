#include <string.h>

#include "store/index_parts.h"

#define HOUR_US INT64_C(3600000000)

/* One look at a range of time. */
struct look {
    struct tl_index *index;
    struct tl_str prefix;
    int64_t from, to;
    struct tl_index_activity *out;
    const struct tl_segment *segment;
    uint8_t *owners; /* of each record of the segment: the number of its value, from 1; 0: none */
};

static bool has_time(const struct look *look, const struct tl_zone *zone)
{
    return zone->high >= look->from && zone->low < look->to;
}

/* The number of a value, from 1; 0 if there are too many. */
static uint8_t number_of(struct tl_index_activity *out, struct tl_str value)
{
    size_t i = 0;
    while (i < out->count && !tl_str_is(value, out->values[i].value)) {
        i++;
    }
    if (i == TL_INDEX_ACTIVE_MAX || value.len >= sizeof(out->values[0].value)) {
        out->is_cut = true;
        return 0;
    }
    if (i == out->count) {
        tl_str_copy(out->values[i].value, sizeof(out->values[i].value), value);
        out->count++;
    }
    return (uint8_t)(i + 1);
}

static tally_status take_sheet(const struct look *look, struct tl_sheet *sheet,
                               struct tally_error *err)
{
    bool more = true;
    for (;;) {
        if (tl_sheet_next(sheet, &more) != TALLY_OK) {
            return tl_fail(err, TALLY_ECORRUPT, "a sheet of the index is damaged");
        }
        struct tl_str term = { .text = sheet->term, .len = sheet->term_len };
        if (!more) {
            return TALLY_OK;
        }
        if (!tl_str_starts(term, look->prefix) || term.len == look->prefix.len) {
            continue;
        }
        struct tl_str value = { .text = term.text + look->prefix.len,
                                .len = term.len - look->prefix.len };
        uint8_t number = number_of(look->out, value);
        uint32_t place = 0;
        while (tl_places_next(&sheet->places, &place)) {
            look->owners[place] = number;
        }
    }
}

/* Of the sheets those that may have the prefix: from the last that begins before it. */
static tally_status find_owners(const struct look *look, struct tl_sheet *sheet,
                                struct tally_error *err)
{
    sqlite3_stmt *stmt = NULL;
    bool row = false;
    char end[16]; /* what is greater than all that begin with the prefix */
    tl_assert(look->prefix.len > 0 && look->prefix.len <= sizeof(end));
    memcpy(end, look->prefix.text, look->prefix.len);
    end[look->prefix.len - 1]++;
    TL_TRY(tl_index_stmt(look->index, TL_INDEX_SHEETS_OF, &stmt, err));
    (void)sqlite3_bind_int64(stmt, 1, (int64_t)look->segment->first); /* these cannot fail */
    (void)sqlite3_bind_blob64(stmt, 2, look->prefix.text, look->prefix.len, SQLITE_STATIC);
    (void)sqlite3_bind_blob64(stmt, 3, end, look->prefix.len, SQLITE_TRANSIENT);
    TL_TRY(tl_sqlite_next(stmt, &row, err));
    while (row) {
        tl_sheet_init(sheet, sqlite3_column_blob(stmt, 0), (size_t)sqlite3_column_bytes(stmt, 0),
                      look->segment->records);
        tally_status status = take_sheet(look, sheet, err);
        if (status != TALLY_OK) {
            (void)sqlite3_reset(stmt); /* it did not fail */
            return status;
        }
        TL_TRY(tl_sqlite_next(stmt, &row, err));
    }
    return TALLY_OK;
}

static void note(const struct look *look, uint8_t number, int64_t occurred)
{
    struct tl_index_active *value = &look->out->values[number - 1];
    uint64_t hour = (uint64_t)((occurred - look->from) / HOUR_US);
    tl_assert(hour < TL_INDEX_ACTIVE_HOURS);
    value->records++;
    value->last_us = value->records == 1 || occurred > value->last_us ? occurred : value->last_us;
    value->hours[hour / 8] |= (uint8_t)(1u << hour % 8);
}

static tally_status take_block(const struct look *look, uint64_t first, uint64_t end,
                               struct tally_error *err)
{
    bool is_loaded = false;
    for (uint64_t seq = first; seq < end; seq++) {
        uint8_t number = look->owners[seq - look->segment->first];
        if (number == 0) {
            continue;
        }
        if (!is_loaded) {
            TL_TRY(tl_zone_times(look->index, seq >> TL_INDEX_BLOCK_SHIFT, err));
            is_loaded = true;
        }
        int64_t occurred = look->index->times[seq % TL_INDEX_BLOCK];
        if (occurred >= look->from && occurred < look->to) {
            note(look, number, occurred);
        }
    }
    return TALLY_OK;
}

static tally_status take_segment(struct look *look, const struct tl_segment *segment,
                                 struct tl_sheet *sheet, struct tally_error *err)
{
    uint64_t end = segment->first + segment->records;
    bool has_owners = false;
    look->segment = segment;
    for (uint64_t seq = segment->first; seq < end;) {
        uint64_t block = seq >> TL_INDEX_BLOCK_SHIFT;
        uint64_t next = (block + 1) << TL_INDEX_BLOCK_SHIFT;
        next = next < end ? next : end;
        bool counts = has_time(look, &look->index->zones[block]);
        if (counts && !has_owners) {
            memset(look->owners, 0, segment->records);
            TL_TRY(find_owners(look, sheet, err));
            has_owners = true;
        }
        if (counts) {
            TL_TRY(take_block(look, seq, next, err));
        }
        seq = next;
    }
    return TALLY_OK;
}

static tally_status look_through(struct look *look, struct tally_error *err)
{
    struct tl_index *index = look->index;
    uint64_t position = 0;
    uint32_t records = 0;
    TL_TRY(tl_index_position(index, &position, err));
    TL_TRY(tl_zones_load(index, position, err));
    TL_TRY(tl_segments_load(index, position, err));
    for (size_t i = 0; i < index->segment_count; i++) {
        records = index->segments[i].records > records ? index->segments[i].records : records;
    }
    TL_CLEANUP(tl_freep) uint8_t *owners = tl_alloc_array(records, 1);
    TL_CLEANUP(tl_freep) struct tl_sheet *sheet = tl_alloc_array(1, sizeof(*sheet));
    if (owners == NULL || sheet == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a look at the index");
    }
    look->owners = owners;
    for (size_t i = index->segment_count; i-- > 0;) { /* the newest first: some may be left out */
        TL_TRY(take_segment(look, &index->segments[i], sheet, err));
    }
    return TALLY_OK;
}

tally_status tl_index_activity(struct tl_index *index, struct tl_str prefix, int64_t from_us,
                               struct tl_index_activity *out, struct tally_error *err)
{
    struct look look = { .index = index,
                         .prefix = prefix,
                         .from = from_us,
                         .to = from_us + TL_INDEX_ACTIVE_HOURS * HOUR_US,
                         .out = out };
    memset(out, 0, sizeof(*out));
    TL_TRY(tl_index_run(index, TL_INDEX_BEGIN_READ, err));
    tally_status status = look_through(&look, err);
    (void)tl_index_run(index, TL_INDEX_ROLLBACK, NULL); /* nothing was written */
    return status;
}
