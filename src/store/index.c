#include "store/index.h"

#include <sys/stat.h>

#include "base/random.h"
#include "store/index_parts.h"

/* By enum tl_index_stmt. */
static const char *const statements[TL_INDEX_STMT_COUNT] = {
    [TL_INDEX_BEGIN_READ] = "BEGIN",
    [TL_INDEX_BEGIN_WRITE] = "BEGIN IMMEDIATE",
    [TL_INDEX_COMMIT] = "COMMIT",
    [TL_INDEX_ROLLBACK] = "ROLLBACK",
    [TL_INDEX_POSITION] = "SELECT position, revision FROM meta WHERE one = 1",
    [TL_INDEX_SET_POSITION] = ("INSERT INTO meta(one, position, revision) VALUES(1, ?, 0) "
                               "ON CONFLICT(one) DO UPDATE SET position = excluded.position"),
    [TL_INDEX_SCAN_SEGMENTS] = "SELECT first, records FROM segment ORDER BY first",
    [TL_INDEX_ADD_SEGMENT] = "INSERT INTO segment(first, records) VALUES(?, ?)",
    [TL_INDEX_DROP_SEGMENTS] = "DELETE FROM segment WHERE first >= ?",
    [TL_INDEX_DROP_SHEETS] = "DELETE FROM sheet WHERE segment >= ?",
    [TL_INDEX_ADD_SHEET] = "INSERT INTO sheet(segment, term, entries) VALUES(?, ?, ?)",
    [TL_INDEX_FIND_SHEET] =
        "SELECT entries FROM sheet WHERE segment = ? AND term <= ? ORDER BY term DESC LIMIT 1",
    [TL_INDEX_SCAN_SHEETS] = "SELECT term, entries FROM sheet WHERE segment = ? ORDER BY term",
    [TL_INDEX_SHEETS_OF] =
        ("SELECT entries FROM sheet WHERE segment = ?1 AND term < ?3 AND term >= "
         "coalesce((SELECT max(term) FROM sheet WHERE segment = ?1 AND term <= ?2), ?2) "
         "ORDER BY term"),
    [TL_INDEX_SET_ZONE] = "INSERT OR REPLACE INTO zone(block, low, high, times) VALUES(?, ?, ?, ?)",
    [TL_INDEX_SCAN_ZONES] = "SELECT block, low, high FROM zone WHERE block >= ? ORDER BY block",
    [TL_INDEX_TIMES] = "SELECT times FROM zone WHERE block = ?",
    [TL_INDEX_CLEAR_SHEETS] = "DELETE FROM sheet WHERE segment = ?",
    [TL_INDEX_SET_REVISION] = "UPDATE meta SET revision = ? WHERE one = 1",
    [TL_INDEX_ADD_REMOVAL] = ("INSERT INTO removal(id, first, last, stage) "
                              "SELECT coalesce(max(id), 0) + 1, ?, ?, ? FROM removal"),
    [TL_INDEX_SET_REMOVAL] = "UPDATE removal SET stage = ? WHERE id = ?",
    [TL_INDEX_TRIM_REMOVALS] =
        "DELETE FROM removal WHERE stage = ? AND id + ? <= (SELECT max(id) FROM removal)",
    [TL_INDEX_SCAN_REMOVALS] = "SELECT id, first, last, stage FROM removal ORDER BY id",
};

/*
 * The position moves in the transaction that enters the records, so a crash may lose the newest
 * entries but never leaves an index that claims them: synchronous=NORMAL is enough.
 */
static const struct tl_sqlite_kind kind = {
    .noun = "index",
    .application_id = 0x544c5949, /* "TLYI" */
    .version = 4,
    .layout = "PRAGMA page_size=4096; PRAGMA auto_vacuum=INCREMENTAL; PRAGMA encoding='UTF-8'",
    .schema = "BEGIN IMMEDIATE;"
              "CREATE TABLE meta(one INTEGER PRIMARY KEY CHECK(one = 1), position INTEGER, "
              "revision INTEGER);"
              "CREATE TABLE removal(id INTEGER PRIMARY KEY, first INTEGER, last INTEGER, stage "
              "INTEGER);"
              "CREATE TABLE zone(block INTEGER PRIMARY KEY, low INTEGER, high INTEGER, times BLOB);"
              "CREATE TABLE segment(first INTEGER PRIMARY KEY, records INTEGER);"
              "CREATE TABLE sheet(segment INTEGER, term BLOB, entries BLOB);"
              "CREATE UNIQUE INDEX sheet_term ON sheet(segment, term);"
              "PRAGMA application_id=0x544c5949; PRAGMA user_version=4; COMMIT",
    .pragmas =
        (const struct tl_sqlite_pragma[]){
            { "PRAGMA journal_mode=WAL", "PRAGMA journal_mode", "wal" },
            { "PRAGMA synchronous=NORMAL", "PRAGMA synchronous", "1" },
            /* Terms may be personal, and most of them are on pages that become free. */
            { "PRAGMA secure_delete=ON", "PRAGMA secure_delete", "1" },
            { "PRAGMA wal_autocheckpoint=8192", "PRAGMA wal_autocheckpoint", "8192" },
            { "PRAGMA cache_size=-16384", "PRAGMA cache_size", "-16384" }, /* KiB */
            { 0 },
        },
    .reader_cache = "PRAGMA cache_size=-8192",
};

tally_status tl_index_stmt(struct tl_index *index, enum tl_index_stmt which,
                           sqlite3_stmt **stmt_out, struct tally_error *err)
{
    if (index->stmts[which] == NULL) {
        TL_TRY(tl_sqlite_prepare(index->db, statements[which], &index->stmts[which], err));
    }
    *stmt_out = index->stmts[which];
    return TALLY_OK;
}

tally_status tl_index_run(struct tl_index *index, enum tl_index_stmt which, struct tally_error *err)
{
    sqlite3_stmt *stmt = NULL;
    TL_TRY(tl_index_stmt(index, which, &stmt, err));
    return tl_sqlite_run(stmt, err);
}

void tl_index_forget(struct tl_index *index)
{
    index->time_count = 0;
    index->zones_position = 0;
    index->segments_position = 0;
}

tally_status tl_index_position(struct tl_index *index, uint64_t *position_out,
                               struct tally_error *err)
{
    sqlite3_stmt *stmt = NULL;
    bool row = false;
    TL_TRY(tl_index_stmt(index, TL_INDEX_POSITION, &stmt, err));
    TL_TRY(tl_sqlite_next(stmt, &row, err));
    int64_t position = row ? sqlite3_column_int64(stmt, 0) : 0;
    uint64_t revision = row ? (uint64_t)sqlite3_column_int64(stmt, 1) : 0;
    (void)sqlite3_reset(stmt); /* it did not fail */
    if (position < 0) {
        return tl_fail(err, TALLY_ECORRUPT, "the position of the index is negative");
    }
    if (revision != index->revision) {
        tl_index_forget(index);
        index->revision = revision;
    }
    *position_out = (uint64_t)position;
    return TALLY_OK;
}

static tally_status add_all(struct tl_index *index, const struct tl_index_entry *entries,
                            size_t count, struct tally_error *err)
{
    uint64_t position = 0;
    TL_TRY(tl_index_position(index, &position, err));
    for (size_t i = 0; i < count; i++) {
        if (entries[i].seq != position + i) {
            return tl_fail(err, TALLY_ECONFLICT, "the index goes on at record %llu",
                           (unsigned long long)position);
        }
    }
    TL_TRY(tl_segments_add(index, position, entries, count, err));
    TL_TRY(tl_zones_add(index, position, entries, count, err));
    sqlite3_stmt *stmt = NULL;
    TL_TRY(tl_index_stmt(index, TL_INDEX_SET_POSITION, &stmt, err));
    (void)sqlite3_bind_int64(stmt, 1, (int64_t)(position + count)); /* cannot fail */
    TL_TRY(tl_sqlite_run(stmt, err));
    return tl_index_run(index, TL_INDEX_COMMIT, err);
}

tally_status tl_index_add(struct tl_index *index, const struct tl_index_entry *entries,
                          size_t count, struct tally_error *err)
{
    tl_assert(index->mode != TALLY_STORE_READ);
    if (count == 0) {
        return TALLY_OK;
    }
    TL_TRY(tl_index_run(index, TL_INDEX_BEGIN_WRITE, err));
    tally_status status = add_all(index, entries, count, err);
    if (status != TALLY_OK) {
        tl_index_forget(index); /* what is known may be ahead of the database */
        if (sqlite3_get_autocommit(index->db) == 0) {
            (void)tl_index_run(index, TL_INDEX_ROLLBACK, NULL); /* the failure is told already */
        }
    }
    return status;
}

static void index_closep(struct tl_index **index)
{
    tl_index_close(*index);
}

/* A file that cannot be used is made anew: nothing is lost that the ledger does not have. */
static tally_status open_or_make(sqlite3 **db_out, const char *path, enum tally_store_mode mode,
                                 struct tally_error *err)
{
    if (mode == TALLY_STORE_CREATE) {
        tl_sqlite_remove(path); /* whoever has it open goes on with the old one */
    }
    tally_status status =
        tl_sqlite_open(db_out, path, &kind, mode, mode == TALLY_STORE_WRITE ? NULL : err);
    if (mode != TALLY_STORE_WRITE || status == TALLY_OK) {
        return status;
    }
    if (status == TALLY_ECORRUPT || status == TALLY_ENOTSUP) {
        tl_sqlite_remove(path);
    } else if (status != TALLY_ENOTFOUND) {
        return tl_sqlite_open(db_out, path, &kind, mode, err); /* once more, for the message */
    }
    return tl_sqlite_open(db_out, path, &kind, TALLY_STORE_CREATE, err);
}

tally_status tl_index_open(struct tl_index **index_out, const char *path,
                           enum tally_store_mode mode, struct tally_error *err)
{
    TL_CLEANUP(index_closep) struct tl_index *index = tl_alloc_array(1, sizeof(*index));
    if (index == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate an index");
    }
    index->mode = mode;
    tl_random_bytes(index->hash_key, sizeof(index->hash_key));
    TL_TRY(open_or_make(&index->db, path, mode, err));
    struct stat st;
    if (stat(path, &st) == 0) {
        index->device = st.st_dev;
        index->inode = st.st_ino;
    }
    *index_out = TL_TAKE(index);
    return TALLY_OK;
}

void tl_index_close(struct tl_index *index)
{
    if (index == NULL) {
        return;
    }
    for (size_t i = 0; i < TL_INDEX_STMT_COUNT; i++) {
        tl_sqlite_finalizep(&index->stmts[i]);
    }
    tl_sqlite_close(index->db);
    tl_free(index->segments);
    tl_free(index->zones);
    tl_free(index);
}
