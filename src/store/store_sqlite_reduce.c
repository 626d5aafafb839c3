/*
 * Removes contents from the SQLite store, and gives their room back.
 *
 * A row that became shorter leaves room on its page, which SQLite uses for nothing but rows of the
 * same neighbourhood, and there will be none. So where much was removed, the rows are deleted and
 * entered again in their order: pages become free, and the others full.
 */
#include "store/sqlite_scrub.h"
#include "store/store_sqlite_parts.h"

/* Reductions that are close to one another are taken together. */
#define RUN_GAP  32u   /* records between two of them, at most */
#define RUN_ROWS 1024u /* records in all, at most */

/* Rows are entered again if at least this was removed, and a quarter of what there was. */
#define REMOVED_MIN   (UINT64_C(16) << 10) /* bytes */
#define REWRITTEN_MAX (UINT64_C(8) << 20)  /* bytes: these are held in memory */

/* Copies may be on the pages beside those that the rows are on: no page has more records than this,
 * because each has a leaf, and SQLite moves rows by two pages at most. */
#define TOUCHED_MARGIN 1024u

/* After so many pages in the log this connection moves them into the database: were there more, the
 * one that appends would have to do it, and whoever records would wait. */
#define LOG_PAGES 256

#define PARTS 4 /* of a record, beside its seq */

/* A row that is out of the table for a moment. */
struct row {
    sqlite3_int64 seq;
    sqlite3_value *parts[PARTS];
};

struct rows {
    struct row *rows;
    size_t count;
};

static void rows_release(struct rows *rows)
{
    for (size_t i = 0; i < rows->count; i++) {
        for (int part = 0; part < PARTS; part++) {
            sqlite3_value_free(rows->rows[i].parts[part]);
        }
    }
    tl_free(rows->rows);
}

static tally_status no_memory(struct tally_error *err)
{
    return tl_fail(err, TALLY_ENOMEM, "cannot copy records");
}

static tally_status reduce_one(struct store_sqlite *store, const struct tally_reduction *reduction,
                               struct tally_error *err)
{
    sqlite3_stmt *stmt = NULL;
    TL_TRY(tl_store_sqlite_stmt(store, TL_STMT_REDUCE, &stmt, err));
    int rc = sqlite3_bind_text64(stmt, 1, reduction->event, reduction->event_len, SQLITE_STATIC,
                                 SQLITE_UTF8);
    rc |= sqlite3_bind_blob64(stmt, 2, reduction->opened, reduction->opened_len, SQLITE_STATIC);
    rc |= sqlite3_bind_int64(stmt, 3, (int64_t)reduction->seq);
    if (rc != SQLITE_OK) {
        return tl_fail(err, TALLY_ELIMIT, "record %llu is too long for SQLite",
                       (unsigned long long)reduction->seq);
    }
    TL_TRY(tl_sqlite_run(stmt, err));
    return sqlite3_changes(store->db) == 1
               ? TALLY_OK
               : tl_fail(err, TALLY_ENOTFOUND, "there is no record %llu",
                         (unsigned long long)reduction->seq);
}

/* Borrows a statement over a range of records. */
static tally_status over(struct store_sqlite *store, enum tl_sqlite_stmt which,
                         const struct tl_sqlite_range *range, sqlite3_stmt **stmt_out,
                         struct tally_error *err)
{
    TL_TRY(tl_store_sqlite_stmt(store, which, stmt_out, err));
    (void)sqlite3_bind_int64(*stmt_out, 1, (int64_t)range->first); /* these cannot fail */
    (void)sqlite3_bind_int64(*stmt_out, 2, (int64_t)range->last + 1);
    return TALLY_OK;
}

static tally_status content_len(struct store_sqlite *store, const struct tl_sqlite_range *range,
                                uint64_t *bytes_out, struct tally_error *err)
{
    sqlite3_stmt *stmt = NULL;
    bool row = false;
    TL_TRY(over(store, TL_STMT_CONTENT_LEN, range, &stmt, err));
    TL_TRY(tl_sqlite_next(stmt, &row, err));
    *bytes_out = row ? (uint64_t)sqlite3_column_int64(stmt, 0) : 0;
    (void)sqlite3_reset(stmt); /* it did not fail */
    return TALLY_OK;
}

/* Copies a row, with the types that its values have. */
static bool take_row(sqlite3_stmt *stmt, struct row *row)
{
    bool whole = true;
    row->seq = sqlite3_column_int64(stmt, 0);
    for (int part = 0; part < PARTS; part++) {
        row->parts[part] = sqlite3_value_dup(sqlite3_column_value(stmt, part + 1));
        whole = whole && row->parts[part] != NULL;
    }
    return whole;
}

static tally_status take_rows(struct store_sqlite *store, const struct tl_sqlite_range *range,
                              struct rows *rows, struct tally_error *err)
{
    sqlite3_stmt *stmt = NULL;
    bool row = false;
    size_t capacity = (size_t)(range->last - range->first) + 1;
    rows->rows = tl_alloc_array(capacity, sizeof(*rows->rows));
    if (rows->rows == NULL) {
        return no_memory(err);
    }
    TL_TRY(over(store, TL_STMT_SCAN, range, &stmt, err));
    TL_TRY(tl_sqlite_next(stmt, &row, err));
    while (row) {
        tl_assert(rows->count < capacity);
        if (!take_row(stmt, &rows->rows[rows->count++])) {
            (void)sqlite3_reset(stmt); /* it did not fail */
            return no_memory(err);
        }
        TL_TRY(tl_sqlite_next(stmt, &row, err));
    }
    return TALLY_OK;
}

/* Enters the records of a range anew, so that they fill their pages. */
static tally_status rewrite(struct store_sqlite *store, const struct tl_sqlite_range *range,
                            struct tally_error *err)
{
    TL_CLEANUP(rows_release) struct rows rows = { 0 };
    sqlite3_stmt *stmt = NULL;
    TL_TRY(take_rows(store, range, &rows, err));
    TL_TRY(over(store, TL_STMT_DROP_RECORDS, range, &stmt, err));
    TL_TRY(tl_sqlite_run(stmt, err));
    TL_TRY(tl_store_sqlite_stmt(store, TL_STMT_ADD_RECORD, &stmt, err));
    for (size_t i = 0; i < rows.count; i++) {
        int rc = sqlite3_bind_int64(stmt, 1, rows.rows[i].seq);
        for (int part = 0; part < PARTS; part++) {
            rc |= sqlite3_bind_value(stmt, part + 2, rows.rows[i].parts[part]);
        }
        if (rc != SQLITE_OK) {
            return no_memory(err);
        }
        TL_TRY(tl_sqlite_run(stmt, err));
    }
    return TALLY_OK;
}

/* Notes that reclaim() has to look for copies. Ranges mostly come in order. */
static tally_status touch(struct store_sqlite *store, uint64_t first, uint64_t last_seq,
                          struct tally_error *err)
{
    const struct tl_sqlite_range range = {
        .first = first < TOUCHED_MARGIN ? 0 : first - TOUCHED_MARGIN,
        .last = last_seq > INT64_MAX - UINT64_C(2) * TOUCHED_MARGIN ? INT64_MAX - 1
                                                                    : last_seq + TOUCHED_MARGIN
    };
    struct tl_sqlite_range *last =
        store->touched_count == 0 ? NULL : &store->touched[store->touched_count - 1];
    if (last != NULL && range.first >= last->first && range.first <= last->last) {
        last->last = range.last > last->last ? range.last : last->last;
        return TALLY_OK;
    }
    if (store->touched_count == store->touched_capacity) {
        size_t capacity = store->touched_capacity == 0 ? 64 : 2 * store->touched_capacity;
        struct tl_sqlite_range *grown =
            tl_realloc_array(store->touched, capacity, sizeof(*store->touched));
        if (grown == NULL) {
            return no_memory(err);
        }
        store->touched = grown;
        store->touched_capacity = capacity;
    }
    tl_assert(store->touched != NULL);
    store->touched[store->touched_count++] = range;
    return TALLY_OK;
}

/* One that stands alone and leaves nothing only becomes shorter: no row moves. */
static bool may_move_rows(const struct tally_reduction *reductions, size_t count)
{
    return count > 1 || reductions[0].event != NULL;
}

static tally_status reduce_run(struct store_sqlite *store, const struct tally_reduction *reductions,
                               size_t count, struct tally_error *err)
{
    const struct tl_sqlite_range range = { .first = reductions[0].seq,
                                           .last = reductions[count - 1].seq };
    uint64_t before = 0;
    uint64_t after = 0;
    if (may_move_rows(reductions, count)) {
        TL_TRY(touch(store, range.first, range.last, err));
    }
    if (count < 2) {
        return reduce_one(store, &reductions[0], err);
    }
    TL_TRY(content_len(store, &range, &before, err));
    for (size_t i = 0; i < count; i++) {
        TL_TRY(reduce_one(store, &reductions[i], err));
    }
    TL_TRY(content_len(store, &range, &after, err));
    if (before < after + REMOVED_MIN || (before - after) * 4 < before || after > REWRITTEN_MAX) {
        return TALLY_OK;
    }
    return rewrite(store, &range, err);
}

/* How many of the reductions are taken together. */
static size_t run_len(const struct tally_reduction *reductions, size_t count)
{
    size_t len = 1;
    while (len < count && reductions[len].seq - reductions[len - 1].seq <= RUN_GAP &&
           reductions[len].seq - reductions[0].seq < RUN_ROWS) {
        len++;
    }
    return len;
}

static tally_status reduce_all(struct store_sqlite *store, const struct tally_reduction *reductions,
                               size_t count, struct tally_error *err)
{
    if (reductions[count - 1].seq >= INT64_MAX) {
        return tl_fail(err, TALLY_ENOTFOUND, "there is no record %llu",
                       (unsigned long long)reductions[count - 1].seq);
    }
    for (size_t at = 0; at < count;) {
        size_t len = run_len(reductions + at, count - at);
        TL_TRY(reduce_run(store, reductions + at, len, err));
        at += len;
    }
    return TALLY_OK;
}

tally_status tl_store_sqlite_reduce(struct tally_store *base,
                                    const struct tally_reduction *reductions, size_t count,
                                    struct tally_error *err)
{
    struct store_sqlite *store = tl_store_sqlite_of(base);
    tl_assert(store->mode == TALLY_STORE_WRITE && !store->reading);
    TL_TRY(tl_store_sqlite_reopen(store, err));
    (void)sqlite3_wal_autocheckpoint(store->db, LOG_PAGES); /* cannot fail */
    TL_TRY(tl_store_sqlite_run(store, TL_STMT_BEGIN_WRITE, err));
    tally_status status = reduce_all(store, reductions, count, err);
    if (status != TALLY_OK) {
        tl_store_sqlite_rollback(store);
        return status;
    }
    return tl_store_sqlite_commit(store, err);
}

/* Clears what the range that was noted last may have left in pages. */
static tally_status clear_copies(struct store_sqlite *store, uint64_t max_bytes,
                                 struct tally_error *err)
{
    struct tl_sqlite_range *range = &store->touched[store->touched_count - 1];
    int64_t next = (int64_t)range->first;
    TL_TRY(tl_sqlite_scrub_rows(store->db, "record", &next, (int64_t)range->last, max_bytes, err));
    range->first = (uint64_t)next;
    store->touched_count -= range->first > range->last ? 1 : 0;
    return TALLY_OK;
}

/* In records: what they take on their pages, nobody knows without looking. */
static uint64_t count_touched(const struct store_sqlite *store)
{
    uint64_t records = 0;
    for (size_t i = 0; i < store->touched_count; i++) {
        records += store->touched[i].last - store->touched[i].first + 1;
    }
    return records;
}

tally_status tl_store_sqlite_reclaim(struct tally_store *base, uint64_t max_bytes,
                                     uint64_t *left_out, struct tally_error *err)
{
    struct store_sqlite *store = tl_store_sqlite_of(base);
    uint64_t free_bytes = 0;
    tl_assert(store->mode == TALLY_STORE_WRITE && !store->reading);
    *left_out = max_bytes == 0 ? 1 : max_bytes; /* should it fail */
    TL_TRY(tl_store_sqlite_reopen(store, err));
    if (store->touched_count > 0) {
        TL_TRY(clear_copies(store, max_bytes, err));
    } else {
        TL_TRY(tl_sqlite_give_back(store->db, max_bytes, err));
    }
    TL_TRY(tl_sqlite_empty_log(store->db, err));
    TL_TRY(tl_sqlite_free_bytes(store->db, &free_bytes, err));
    *left_out = free_bytes + count_touched(store);
    return TALLY_OK;
}
