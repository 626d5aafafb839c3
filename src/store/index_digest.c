#include <string.h>

#include "base/bytes.h"
#include "base/siphash.h"
#include "store/index_parts.h"

/* The key is mixed with the seq, and with what kind of thing is hashed. */
static uint64_t digest(const uint8_t key[16], uint8_t kind, uint64_t seq, const void *bytes,
                       size_t len)
{
    uint8_t head[9] = { kind };
    uint8_t derived[TL_SIPHASH_KEY_LEN];
    tl_put_be64(head + 1, seq);
    tl_put_be64(derived, tl_siphash(key, head, sizeof(head)));
    head[0] = (uint8_t)(kind + 1);
    tl_put_be64(derived + 8, tl_siphash(key, head, sizeof(head)));
    return tl_siphash(derived, bytes, len);
}

uint64_t tl_index_digest_term(const uint8_t key[16], struct tl_str term, uint64_t seq)
{
    return digest(key, 0, seq, term.text, term.len);
}

uint64_t tl_index_digest_time(const uint8_t key[16], int64_t occurred_us, uint64_t seq)
{
    uint8_t bytes[8];
    tl_put_be64(bytes, (uint64_t)occurred_us);
    return digest(key, 2, seq, bytes, sizeof(bytes));
}

struct sums {
    const uint8_t *key;
    uint32_t shift;
    uint64_t *sums;
    size_t count;
    uint64_t end;      /* what comes from here to `position` is left out */
    uint64_t position; /* of the index */
};

static tally_status add_sum(const struct sums *sums, uint64_t seq, uint64_t value,
                            struct tally_error *err)
{
    uint64_t at = seq >> sums->shift;
    if (seq >= sums->end && seq < sums->position) {
        return TALLY_OK;
    }
    if (at >= sums->count) {
        return tl_fail(err, TALLY_ECORRUPT, "the index knows records that do not exist");
    }
    sums->sums[at] += value;
    return TALLY_OK;
}

static tally_status each_row(struct tl_index *index, const char *sql,
                             tally_status (*fn)(const struct sums *sums, sqlite3_stmt *row,
                                                struct tally_error *err),
                             const struct sums *sums, struct tally_error *err)
{
    TL_CLEANUP(tl_sqlite_finalizep) sqlite3_stmt *stmt = NULL;
    bool row = false;
    TL_TRY(tl_sqlite_prepare(index->db, sql, &stmt, err));
    TL_TRY(tl_sqlite_next(stmt, &row, err));
    while (row) {
        TL_TRY(fn(sums, stmt, err));
        TL_TRY(tl_sqlite_next(stmt, &row, err));
    }
    return TALLY_OK;
}

static tally_status check_page(const struct sums *sums, sqlite3_stmt *row, struct tally_error *err)
{
    (void)sums;
    const char *text = (const char *)sqlite3_column_text(row, 0);
    if (text == NULL || strcmp(text, "ok") != 0) {
        return tl_fail(err, TALLY_ECORRUPT, "the index has damaged pages");
    }
    return TALLY_OK;
}

/* Where the terms of a segment go. */
struct segment_sums {
    const struct sums *sums;
    uint64_t first;
};

static tally_status add_term(void *ctx, struct tl_sheet *sheet, struct tally_error *err)
{
    const struct segment_sums *to = ctx;
    struct tl_str term = { .text = sheet->term, .len = sheet->term_len };
    uint32_t place = 0;
    while (tl_places_next(&sheet->places, &place)) {
        uint64_t seq = to->first + place;
        TL_TRY(add_sum(to->sums, seq, tl_index_digest_term(to->sums->key, term, seq), err));
    }
    return tl_places_end(&sheet->places) == TALLY_OK
               ? TALLY_OK
               : tl_fail(err, TALLY_ECORRUPT, "the terms in the index are damaged");
}

static tally_status add_terms(struct tl_index *index, const struct sums *sums,
                              struct tally_error *err)
{
    for (size_t i = 0; i < index->segment_count; i++) {
        struct segment_sums to = { .sums = sums, .first = index->segments[i].first };
        TL_TRY(tl_segment_each(index, &index->segments[i], add_term, &to, err));
    }
    return TALLY_OK;
}

static tally_status add_times(struct tl_index *index, const struct sums *sums,
                              struct tally_error *err)
{
    for (uint64_t block = 0; block < index->zone_count; block++) {
        TL_TRY(tl_zone_times(index, block, err));
        for (size_t i = 0; i < index->time_count; i++) {
            uint64_t seq = (block << TL_INDEX_BLOCK_SHIFT) + i;
            TL_TRY(add_sum(sums, seq, tl_index_digest_time(sums->key, index->times[i], seq), err));
        }
    }
    return TALLY_OK;
}

static tally_status digest_all(struct tl_index *index, struct sums *sums, struct tally_error *err)
{
    TL_TRY(tl_index_position(index, &sums->position, err));
    tl_index_forget(index); /* what is in memory proves nothing about the file */
    TL_TRY(tl_zones_load(index, sums->position, err));
    TL_TRY(tl_segments_load(index, sums->position, err));
    TL_TRY(each_row(index, "PRAGMA quick_check(1)", check_page, sums, err));
    TL_TRY(add_terms(index, sums, err));
    return add_times(index, sums, err);
}

tally_status tl_index_digest(struct tl_index *index, const uint8_t key[16], uint32_t shift,
                             uint64_t *sums, size_t count, uint64_t end, struct tally_error *err)
{
    struct sums all = { .key = key, .shift = shift, .sums = sums, .count = count, .end = end };
    TL_TRY(tl_index_run(index, TL_INDEX_BEGIN_READ, err));
    tally_status status = digest_all(index, &all, err);
    (void)tl_index_run(index, TL_INDEX_ROLLBACK, NULL); /* nothing was written */
    return status;
}
