#include <string.h>

#include "store/index_parts.h"

#define WIDTH_MAX 8 /* bytes */
#define UNIT_LEN  8 /* bytes */
#define HEAD_LEN  (1 + UNIT_LEN)

/* The greatest number that divides both: of milliseconds, and of what comes at a steady rate, there
 * are fewer than of microseconds. */
static uint64_t common_unit(uint64_t a, uint64_t b)
{
    while (b != 0) {
        uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

static size_t width_of(uint64_t span)
{
    size_t width = 1;
    while (width < WIDTH_MAX && span >> (8 * width) != 0) {
        width++;
    }
    return width;
}

static uint64_t read_offset(const uint8_t *bytes, size_t width)
{
    uint64_t value = 0;
    for (size_t i = 0; i < width; i++) {
        value = value << 8 | bytes[i];
    }
    return value;
}

static void write_offset(uint8_t *bytes, size_t width, uint64_t value)
{
    for (size_t i = width; i > 0; i--, value >>= 8) {
        bytes[i - 1] = (uint8_t)value;
    }
}

static tally_status damaged(struct tally_error *err)
{
    return tl_fail(err, TALLY_ECORRUPT, "the times in the index are damaged");
}

static tally_status reserve_zones(struct tl_index *index, size_t count, struct tally_error *err)
{
    if (count <= index->zone_capacity) {
        return TALLY_OK;
    }
    size_t capacity = count > 2 * index->zone_capacity ? count : 2 * index->zone_capacity;
    struct tl_zone *zones = tl_realloc_array(index->zones, capacity, sizeof(*zones));
    if (zones == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate %zu zones", capacity);
    }
    index->zones = zones;
    index->zone_capacity = capacity;
    return TALLY_OK;
}

static tally_status load_zone(struct tl_index *index, sqlite3_stmt *row, struct tally_error *err)
{
    struct tl_zone zone = { .block = (uint64_t)sqlite3_column_int64(row, 0),
                            .low = sqlite3_column_int64(row, 1),
                            .high = sqlite3_column_int64(row, 2) };
    if (zone.block != index->zone_count || zone.low > zone.high) {
        return damaged(err);
    }
    TL_TRY(reserve_zones(index, index->zone_count + 1, err));
    index->zones[index->zone_count++] = zone;
    return TALLY_OK;
}

tally_status tl_zones_load(struct tl_index *index, uint64_t position, struct tally_error *err)
{
    if (position == index->zones_position) {
        return TALLY_OK;
    }
    /* The last block may have grown, or the index was made anew. */
    uint64_t first =
        position > index->zones_position ? index->zones_position >> TL_INDEX_BLOCK_SHIFT : 0;
    index->zone_count = (size_t)first;
    index->zones_position = first << TL_INDEX_BLOCK_SHIFT;
    index->time_count = 0;
    sqlite3_stmt *stmt = NULL;
    bool row = false;
    TL_TRY(tl_index_stmt(index, TL_INDEX_SCAN_ZONES, &stmt, err));
    (void)sqlite3_bind_int64(stmt, 1, (int64_t)first); /* cannot fail */
    TL_TRY(tl_sqlite_next(stmt, &row, err));
    while (row) {
        tally_status status = load_zone(index, stmt, err);
        if (status != TALLY_OK) {
            (void)sqlite3_reset(stmt); /* it did not fail */
            return status;
        }
        TL_TRY(tl_sqlite_next(stmt, &row, err));
    }
    if (index->zone_count != (position + TL_INDEX_BLOCK - 1) >> TL_INDEX_BLOCK_SHIFT) {
        return damaged(err);
    }
    index->zones_position = position;
    return TALLY_OK;
}

/* Reads "width, unit, offset, offset ..." into index->times. */
static tally_status unpack(struct tl_index *index, const struct tl_zone *zone, const uint8_t *bytes,
                           size_t len, struct tally_error *err)
{
    size_t width = bytes == NULL ? 0 : bytes[0];
    uint64_t first = zone->block << TL_INDEX_BLOCK_SHIFT;
    uint64_t left = index->zones_position - first;
    size_t count = left < TL_INDEX_BLOCK ? (size_t)left : TL_INDEX_BLOCK;
    if (width < 1 || width > WIDTH_MAX || len != HEAD_LEN + count * width) {
        return damaged(err);
    }
    uint64_t unit = read_offset(bytes + 1, UNIT_LEN);
    uint64_t span = (uint64_t)zone->high - (uint64_t)zone->low;
    if (unit == 0) {
        return damaged(err);
    }
    for (size_t i = 0; i < count; i++) {
        uint64_t offset = read_offset(bytes + HEAD_LEN + i * width, width);
        if (offset > span / unit) {
            return damaged(err);
        }
        index->times[i] = (int64_t)((uint64_t)zone->low + offset * unit);
    }
    index->time_block = zone->block;
    index->time_count = count;
    return TALLY_OK;
}

tally_status tl_zone_times(struct tl_index *index, uint64_t block, struct tally_error *err)
{
    tl_assert(block < index->zone_count);
    if (index->time_count > 0 && index->time_block == block) {
        return TALLY_OK;
    }
    index->time_count = 0;
    sqlite3_stmt *stmt = NULL;
    bool row = false;
    TL_TRY(tl_index_stmt(index, TL_INDEX_TIMES, &stmt, err));
    (void)sqlite3_bind_int64(stmt, 1, (int64_t)block); /* cannot fail */
    TL_TRY(tl_sqlite_next(stmt, &row, err));
    if (!row) {
        return damaged(err);
    }
    const uint8_t *bytes = sqlite3_column_blob(stmt, 0);
    tally_status status =
        unpack(index, &index->zones[block], bytes, (size_t)sqlite3_column_bytes(stmt, 0), err);
    (void)sqlite3_reset(stmt); /* it did not fail */
    return status;
}

/* Writes index->times as the row of their block. */
static tally_status save_block(struct tl_index *index, struct tally_error *err)
{
    uint8_t bytes[HEAD_LEN + TL_INDEX_BLOCK * 3]; /* for the usual widths */
    struct tl_zone zone = { .block = index->time_block,
                            .low = index->times[0],
                            .high = index->times[0] };
    for (size_t i = 1; i < index->time_count; i++) {
        zone.low = index->times[i] < zone.low ? index->times[i] : zone.low;
        zone.high = index->times[i] > zone.high ? index->times[i] : zone.high;
    }
    uint64_t unit = 0;
    for (size_t i = 0; i < index->time_count; i++) {
        unit = common_unit((uint64_t)index->times[i] - (uint64_t)zone.low, unit);
    }
    unit = unit == 0 ? 1 : unit;
    size_t width = width_of(((uint64_t)zone.high - (uint64_t)zone.low) / unit);
    size_t len = HEAD_LEN + index->time_count * width;
    TL_CLEANUP(tl_freep) uint8_t *more = len > sizeof(bytes) ? tl_alloc_array(len, 1) : NULL;
    uint8_t *to = len > sizeof(bytes) ? more : bytes;
    if (to == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate the times of a block");
    }
    to[0] = (uint8_t)width;
    write_offset(to + 1, UNIT_LEN, unit);
    for (size_t i = 0; i < index->time_count; i++) {
        uint64_t offset = (uint64_t)index->times[i] - (uint64_t)zone.low;
        write_offset(to + HEAD_LEN + i * width, width, offset / unit);
    }
    if (zone.block < index->zone_count) {
        index->zones[zone.block] = zone;
    }
    sqlite3_stmt *stmt = NULL;
    TL_TRY(tl_index_stmt(index, TL_INDEX_SET_ZONE, &stmt, err));
    (void)sqlite3_bind_int64(stmt, 1, (int64_t)zone.block); /* these cannot fail */
    (void)sqlite3_bind_int64(stmt, 2, zone.low);
    (void)sqlite3_bind_int64(stmt, 3, zone.high);
    (void)sqlite3_bind_blob64(stmt, 4, to, len, SQLITE_STATIC);
    return tl_sqlite_run(stmt, err);
}

tally_status tl_zones_add(struct tl_index *index, uint64_t position,
                          const struct tl_index_entry *entries, size_t count,
                          struct tally_error *err)
{
    size_t at = (size_t)(position % TL_INDEX_BLOCK);
    uint64_t block = position >> TL_INDEX_BLOCK_SHIFT;
    if (at > 0) {
        TL_TRY(tl_zones_load(index, position, err));
        TL_TRY(tl_zone_times(index, block, err));
    }
    for (size_t i = 0; i < count;) {
        while (i < count && at < TL_INDEX_BLOCK) {
            index->times[at++] = entries[i++].occurred_us;
        }
        index->time_block = block++;
        index->time_count = at;
        TL_TRY(save_block(index, err));
        at = 0;
    }
    return TALLY_OK;
}

tally_status tl_zones_change(struct tl_index *index, const struct tl_index_entry *entries,
                             size_t count, struct tally_error *err)
{
    for (size_t i = 0; i < count;) {
        uint64_t block = entries[i].seq >> TL_INDEX_BLOCK_SHIFT;
        TL_TRY(tl_zone_times(index, block, err));
        for (; i < count && entries[i].seq >> TL_INDEX_BLOCK_SHIFT == block; i++) {
            size_t at = (size_t)(entries[i].seq % TL_INDEX_BLOCK);
            tl_assert(at < index->time_count);
            index->times[at] = entries[i].occurred_us;
        }
        TL_TRY(save_block(index, err));
    }
    return TALLY_OK;
}
