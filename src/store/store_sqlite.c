#include "store/store_sqlite.h"

#include <string.h>

#include "store/store.h"
#include "store/store_sqlite_parts.h"

#define ROWS_AT_ONCE 64 /* in one statement: a third of the time per row goes into starting one */

#define TIMES_4(x)  x "," x "," x "," x
#define TIMES_64(x) TIMES_4(TIMES_4(TIMES_4(x)))

/* By enum tl_sqlite_stmt. */
static const char *const statements[TL_STMT_COUNT] = {
    [TL_STMT_BEGIN_WRITE] = "BEGIN IMMEDIATE",
    [TL_STMT_BEGIN_READ] = "BEGIN",
    [TL_STMT_COMMIT] = "COMMIT",
    [TL_STMT_HEAD] = "SELECT size, root, frontier, epoch FROM head WHERE one = 1",
    [TL_STMT_SET_HEAD] =
        "INSERT OR REPLACE INTO head(one, size, root, frontier, epoch) VALUES(1, ?, ?, ?, ?)",
    [TL_STMT_ADD_RECORD] =
        "INSERT INTO record(seq, leaf, event, seed, opened) VALUES(?, ?, ?, ?, ?)",
    [TL_STMT_ADD_RECORDS] =
        "INSERT INTO record(seq, leaf, event, seed, opened) VALUES" TIMES_64("(?, ?, ?, ?, ?)"),
    [TL_STMT_SCAN] = ("SELECT seq, leaf, event, seed, opened FROM record "
                      "WHERE seq >= ? AND seq < ? ORDER BY seq"),
    [TL_STMT_ADD_TILE] = "INSERT INTO tile(level, n, data) VALUES(?, ?, ?)",
    [TL_STMT_TILE] = "SELECT data FROM tile WHERE level = ? AND n = ?",
    [TL_STMT_SCAN_TILES] = "SELECT level, n, data FROM tile ORDER BY level, n",
    [TL_STMT_ADD_CHECKPOINT] = "INSERT INTO checkpoint(size, note) VALUES(?, ?)",
    /* One that cosign() was called for is a BLOB, and stays: what tells them apart has to lie in the
     * row itself, for the writer that drops is another process than the one that asked. */
    [TL_STMT_DROP_CHECKPOINT] = "DELETE FROM checkpoint WHERE size = ? AND typeof(note) = 'text'",
    [TL_STMT_COSIGN] = "INSERT OR REPLACE INTO checkpoint(size, note) VALUES(?, ?)",
    [TL_STMT_SCAN_CHECKPOINTS] = "SELECT size, note FROM checkpoint WHERE size >= ? ORDER BY size",
    [TL_STMT_NEWEST_CHECKPOINT] = "SELECT size FROM checkpoint ORDER BY size DESC LIMIT 1",
    [TL_STMT_FIND_ID] = "SELECT seq FROM event_id WHERE id = ?",
    [TL_STMT_LAST_ID] = "SELECT id FROM event_id ORDER BY id DESC LIMIT 1",
    [TL_STMT_ADD_ID] = "INSERT OR IGNORE INTO event_id(id, seq) VALUES(?, ?)",
    [TL_STMT_ADD_IDS] = "INSERT OR IGNORE INTO event_id(id, seq) VALUES" TIMES_64("(?, ?)"),
    [TL_STMT_ADD_RECENT] = "INSERT INTO event_id_recent(first, ids) VALUES(?, ?)",
    [TL_STMT_SCAN_RECENT] =
        "SELECT first, ids FROM event_id_recent WHERE first >= ? ORDER BY first",
    [TL_STMT_DROP_RECENT] = "DELETE FROM event_id_recent WHERE first < ?",
    [TL_STMT_REDUCE] = "UPDATE record SET event = ?, seed = NULL, opened = ? WHERE seq = ?",
    [TL_STMT_CONTENT_LEN] =
        ("SELECT coalesce(sum(length(leaf) + coalesce(length(CAST(event AS BLOB)), 0) + "
         "coalesce(length(seed), 0) + coalesce(length(opened), 0)), 0) FROM record "
         "WHERE seq >= ? AND seq < ?"),
    [TL_STMT_DROP_RECORDS] = "DELETE FROM record WHERE seq >= ? AND seq < ?",
};

struct store_sqlite *tl_store_sqlite_of(struct tally_store *store)
{
    tl_assert(store->ops == &tl_store_sqlite_ops); /* the ops pointer is the type tag */
    return tl_container_of(store, struct store_sqlite, base);
}

static void close_db(struct store_sqlite *store)
{
    for (size_t i = 0; i < TL_STMT_COUNT; i++) {
        tl_sqlite_finalizep(&store->stmts[i]);
    }
    tl_sqlite_close(TL_TAKE(store->db));
    tl_sqlite_ids_release(&store->ids);
    store->reading = false;
}

/* What happened there is read anew. */
tally_status tl_store_sqlite_reopen(struct store_sqlite *store, struct tally_error *err)
{
    if (store->db != NULL) {
        return TALLY_OK;
    }
    TL_TRY(tl_sqlite_open(&store->db, store->path, &tl_sqlite_ledger_kind, store->mode, err));
    tl_sqlite_ids_init(&store->ids);
    return TALLY_OK;
}

tally_status tl_store_sqlite_stmt(struct store_sqlite *store, enum tl_sqlite_stmt which,
                                  sqlite3_stmt **stmt_out, struct tally_error *err)
{
    TL_TRY(tl_store_sqlite_reopen(store, err));
    if (store->stmts[which] == NULL) {
        TL_TRY(tl_sqlite_prepare(store->db, statements[which], &store->stmts[which], err));
    }
    *stmt_out = store->stmts[which];
    return TALLY_OK;
}

tally_status tl_store_sqlite_run(struct store_sqlite *store, enum tl_sqlite_stmt which,
                                 struct tally_error *err)
{
    sqlite3_stmt *stmt = NULL;
    TL_TRY(tl_store_sqlite_stmt(store, which, &stmt, err));
    return tl_sqlite_run(stmt, err);
}

void tl_store_sqlite_rollback(struct store_sqlite *store)
{
    if (store->db != NULL && sqlite3_get_autocommit(store->db) == 0) {
        (void)tl_sqlite_exec(store->db, "ROLLBACK", NULL); /* looked at below */
        if (sqlite3_get_autocommit(store->db) == 0) {
            close_db(store); /* nothing can be left half done in a connection that is gone */
        }
    }
}

static tally_status sqlite_begin_read(struct tally_store *base, struct tally_error *err)
{
    struct store_sqlite *store = tl_store_sqlite_of(base);
    tl_assert(!store->reading);
    if (store->copying) { /* in the transaction that writes it */
        store->reading = true;
        return TALLY_OK;
    }
    TL_TRY(tl_store_sqlite_run(store, TL_STMT_BEGIN_READ, err));
    struct tally_head head; /* the snapshot is taken with the first read, not by BEGIN */
    tally_status status = tl_store_sqlite_head(store, &head, err);
    store->reading = status == TALLY_OK;
    if (status != TALLY_OK) {
        tl_store_sqlite_rollback(store);
    }
    return status;
}

static void sqlite_end_read(struct tally_store *base)
{
    struct store_sqlite *store = tl_store_sqlite_of(base);
    tl_assert(store->reading);
    store->reading = false;
    if (!store->copying) {
        tl_store_sqlite_rollback(store);
    }
}

/* Copies the row of the head; returns false if it cannot be one. */
static bool read_head_row(sqlite3_stmt *stmt, struct tally_head *head)
{
    const void *root = sqlite3_column_blob(stmt, 1);
    const void *frontier = sqlite3_column_blob(stmt, 2);
    int frontier_len = sqlite3_column_bytes(stmt, 2);
    int64_t size = sqlite3_column_int64(stmt, 0);
    int64_t epoch = sqlite3_column_int64(stmt, 3);
    if (sqlite3_column_type(stmt, 0) != SQLITE_INTEGER || size < 0 || root == NULL ||
        sqlite3_column_bytes(stmt, 1) != TALLY_HASH_LEN || frontier_len > TALLY_FRONTIER_MAX ||
        epoch < 0 || epoch > UINT32_MAX) {
        return false;
    }
    head->size = (uint64_t)size;
    memcpy(head->root, root, TALLY_HASH_LEN);
    if (frontier != NULL) {
        memcpy(head->frontier, frontier, (size_t)frontier_len);
    }
    head->frontier_len = (size_t)frontier_len;
    head->epoch = (uint32_t)epoch;
    return true;
}

tally_status tl_store_sqlite_head(struct store_sqlite *store, struct tally_head *head_out,
                                  struct tally_error *err)
{
    sqlite3_stmt *stmt = NULL;
    bool row = false;
    TL_TRY(tl_store_sqlite_stmt(store, TL_STMT_HEAD, &stmt, err));
    TL_TRY(tl_sqlite_next(stmt, &row, err));
    struct tally_head head = { 0 };
    if (row && !read_head_row(stmt, &head)) {
        (void)sqlite3_reset(stmt); /* it did not fail */
        return tl_fail(err, TALLY_ECORRUPT, "the head of the ledger does not parse");
    }
    (void)sqlite3_reset(stmt);
    *head_out = head;
    return TALLY_OK;
}

static tally_status sqlite_head(struct tally_store *base, struct tally_head *head_out,
                                struct tally_error *err)
{
    return tl_store_sqlite_head(tl_store_sqlite_of(base), head_out, err);
}

int tl_store_sqlite_bind(sqlite3_stmt *stmt, int param, const struct tally_record *record)
{
    int rc = sqlite3_bind_int64(stmt, param + 1, (int64_t)record->seq);
    rc |= sqlite3_bind_blob64(stmt, param + 2, record->leaf, record->leaf_len, SQLITE_STATIC);
    rc |= sqlite3_bind_text64(stmt, param + 3, record->event, record->event_len, SQLITE_STATIC,
                              SQLITE_UTF8);
    rc |= sqlite3_bind_blob64(stmt, param + 4, record->seed, record->seed_len, SQLITE_STATIC);
    rc |= sqlite3_bind_blob64(stmt, param + 5, record->opened, record->opened_len, SQLITE_STATIC);
    return rc;
}

static tally_status add_records(struct store_sqlite *store, const struct tally_batch *batch,
                                struct tally_error *err)
{
    for (size_t at = 0; at < batch->count;) {
        size_t rows = batch->count - at >= ROWS_AT_ONCE ? ROWS_AT_ONCE : 1;
        sqlite3_stmt *stmt = NULL;
        TL_TRY(tl_store_sqlite_stmt(store, rows > 1 ? TL_STMT_ADD_RECORDS : TL_STMT_ADD_RECORD,
                                    &stmt, err));
        for (size_t i = 0; i < rows; i++, at++) {
            if (tl_store_sqlite_bind(stmt, (int)(5 * i), &batch->records[at]) != SQLITE_OK) {
                return tl_fail(err, TALLY_ELIMIT, "record %llu is too long for SQLite",
                               (unsigned long long)batch->records[at].seq);
            }
        }
        TL_TRY(tl_sqlite_run(stmt, err));
    }
    return TALLY_OK;
}

static tally_status add_tiles(struct store_sqlite *store, const struct tally_batch *batch,
                              struct tally_error *err)
{
    for (size_t i = 0; i < batch->tile_count; i++) {
        const struct tally_tile *tile = &batch->tiles[i];
        sqlite3_stmt *stmt = NULL;
        TL_TRY(tl_store_sqlite_stmt(store, TL_STMT_ADD_TILE, &stmt, err));
        (void)sqlite3_bind_int64(stmt, 1, tile->level); /* these cannot fail */
        (void)sqlite3_bind_int64(stmt, 2, (int64_t)tile->n);
        (void)sqlite3_bind_blob(stmt, 3, tile->data, TALLY_TILE_LEN, SQLITE_STATIC);
        TL_TRY(tl_sqlite_run(stmt, err));
    }
    return TALLY_OK;
}

static tally_status set_checkpoint(struct store_sqlite *store, const struct tally_batch *batch,
                                   struct tally_error *err)
{
    sqlite3_stmt *stmt = NULL;
    TL_TRY(tl_store_sqlite_stmt(store, TL_STMT_ADD_CHECKPOINT, &stmt, err));
    (void)sqlite3_bind_int64(stmt, 1, (int64_t)batch->checkpoint.size); /* these cannot fail */
    (void)sqlite3_bind_text64(stmt, 2, batch->checkpoint.note, batch->checkpoint.note_len,
                              SQLITE_STATIC, SQLITE_UTF8);
    TL_TRY(tl_sqlite_run(stmt, err));
    if (batch->drop_checkpoint == 0) {
        return TALLY_OK;
    }
    TL_TRY(tl_store_sqlite_stmt(store, TL_STMT_DROP_CHECKPOINT, &stmt, err));
    (void)sqlite3_bind_int64(stmt, 1, (int64_t)batch->drop_checkpoint); /* cannot fail */
    return tl_sqlite_run(stmt, err);
}

static tally_status set_head(struct store_sqlite *store, const struct tally_head *head,
                             struct tally_error *err)
{
    sqlite3_stmt *stmt = NULL;
    TL_TRY(tl_store_sqlite_stmt(store, TL_STMT_SET_HEAD, &stmt, err));
    (void)sqlite3_bind_int64(stmt, 1, (int64_t)head->size); /* these cannot fail */
    (void)sqlite3_bind_blob(stmt, 2, head->root, TALLY_HASH_LEN, SQLITE_STATIC);
    (void)sqlite3_bind_blob64(stmt, 3, head->frontier, head->frontier_len, SQLITE_STATIC);
    (void)sqlite3_bind_int64(stmt, 4, head->epoch);
    return tl_sqlite_run(stmt, err);
}

static tally_status write_batch(struct store_sqlite *store, const struct tally_head *expected,
                                const struct tally_batch *batch, struct tally_error *err)
{
    struct tally_head now;
    TL_TRY(tl_store_sqlite_head(store, &now, err));
    if (!tl_head_equal(&now, expected)) {
        return tl_fail(err, TALLY_ECONFLICT, "the ledger has grown since its head was read");
    }
    TL_TRY(tl_sqlite_ids_add(store, batch, err));
    TL_TRY(add_records(store, batch, err));
    TL_TRY(add_tiles(store, batch, err));
    TL_TRY(set_checkpoint(store, batch, err));
    return set_head(store, &batch->head, err);
}

/* Only a new connection can tell what reached the disk. */
tally_status tl_store_sqlite_commit(struct store_sqlite *store, struct tally_error *err)
{
    tl_sqlite_cut_log(store->db);
    tally_status status = tl_store_sqlite_run(store, TL_STMT_COMMIT, NULL);
    if (status == TALLY_OK) {
        return TALLY_OK;
    }
    int code = sqlite3_extended_errcode(store->db);
    int os_errno = sqlite3_system_errno(store->db);
    close_db(store);
    return tl_fail_errno(err, TALLY_EIO, os_errno,
                         "cannot commit (%s): unknown whether the change was recorded",
                         sqlite3_errstr(code));
}

static tally_status sqlite_append(struct tally_store *base, const struct tally_head *expected,
                                  const struct tally_batch *batch, struct tally_error *err)
{
    struct store_sqlite *store = tl_store_sqlite_of(base);
    tl_assert(store->mode == TALLY_STORE_WRITE && !store->reading);
    TL_TRY(tl_store_sqlite_run(store, TL_STMT_BEGIN_WRITE, err));
    tally_status status = write_batch(store, expected, batch, err);
    if (status != TALLY_OK) {
        tl_sqlite_ids_undo(&store->ids);
        tl_store_sqlite_rollback(store);
        return status;
    }
    TL_TRY(tl_store_sqlite_commit(store, err));
    tl_sqlite_ids_done(&store->ids, batch);
    return TALLY_OK;
}

static tally_status sqlite_find_ids(struct tally_store *base,
                                    const uint8_t (*ids)[TALLY_LEAF_ID_LEN], size_t count,
                                    uint64_t *seqs_out, struct tally_error *err)
{
    struct store_sqlite *store = tl_store_sqlite_of(base);
    TL_TRY(tl_store_sqlite_reopen(store, err)); /* which empties what is known about ids */
    if (store->reading) {
        return tl_sqlite_ids_find(store, (const uint8_t *)ids, count, seqs_out, err);
    }
    TL_TRY(sqlite_begin_read(base, err)); /* one set of locks for all of them */
    tally_status status = tl_sqlite_ids_find(store, (const uint8_t *)ids, count, seqs_out, err);
    sqlite_end_read(base);
    return status;
}

/* The bytes of a column; NULL only for SQL NULL, not for what is merely empty. */
static const void *column(sqlite3_stmt *stmt, int i, size_t *len_out)
{
    if (sqlite3_column_type(stmt, i) == SQLITE_NULL) {
        *len_out = 0;
        return NULL;
    }
    const void *bytes = sqlite3_column_blob(stmt, i);
    *len_out = (size_t)sqlite3_column_bytes(stmt, i);
    return bytes == NULL ? "" : bytes;
}

/* SQLite counts rows and records in signed numbers. */
static int64_t signed_of(uint64_t value)
{
    return value > INT64_MAX ? INT64_MAX : (int64_t)value;
}

static tally_status sqlite_scan(struct tally_store *base, uint64_t first, uint64_t end,
                                tally_record_fn *fn, void *ctx, struct tally_error *err)
{
    sqlite3_stmt *stmt = NULL;
    bool row = false;
    TL_TRY(tl_store_sqlite_stmt(tl_store_sqlite_of(base), TL_STMT_SCAN, &stmt, err));
    (void)sqlite3_bind_int64(stmt, 1, signed_of(first)); /* these cannot fail */
    (void)sqlite3_bind_int64(stmt, 2, signed_of(end));
    TL_TRY(tl_sqlite_next(stmt, &row, err));
    while (row) {
        struct tally_record record = { .seq = (uint64_t)sqlite3_column_int64(stmt, 0) };
        record.leaf = column(stmt, 1, &record.leaf_len);
        record.leaf = record.leaf == NULL ? (const uint8_t *)"" : record.leaf; /* never absent */
        record.event = column(stmt, 2, &record.event_len);
        record.seed = column(stmt, 3, &record.seed_len);
        record.opened = column(stmt, 4, &record.opened_len);
        tally_status status = fn(ctx, &record);
        if (status != TALLY_OK) {
            (void)sqlite3_reset(stmt); /* it did not fail */
            return status;
        }
        TL_TRY(tl_sqlite_next(stmt, &row, err));
    }
    return TALLY_OK;
}

static tally_status sqlite_scan_tiles(struct tally_store *base, tally_tile_fn *fn, void *ctx,
                                      struct tally_error *err)
{
    static const uint8_t nothing[TALLY_TILE_LEN];
    sqlite3_stmt *stmt = NULL;
    bool row = false;
    TL_TRY(tl_store_sqlite_stmt(tl_store_sqlite_of(base), TL_STMT_SCAN_TILES, &stmt, err));
    TL_TRY(tl_sqlite_next(stmt, &row, err));
    while (row) {
        struct tally_tile tile = { .level = (uint32_t)sqlite3_column_int64(stmt, 0),
                                   .n = (uint64_t)sqlite3_column_int64(stmt, 1) };
        size_t len = 0;
        tile.data = column(stmt, 2, &len);
        if (len != TALLY_TILE_LEN) {
            tile.data = nothing; /* no tile looks so; self_check() says more */
        }
        tally_status status = fn(ctx, &tile);
        if (status != TALLY_OK) {
            (void)sqlite3_reset(stmt); /* it did not fail */
            return status;
        }
        TL_TRY(tl_sqlite_next(stmt, &row, err));
    }
    return TALLY_OK;
}

static tally_status sqlite_tile(struct tally_store *base, uint32_t level, uint64_t n,
                                uint8_t *data_out, struct tally_error *err)
{
    sqlite3_stmt *stmt = NULL;
    bool row = false;
    TL_TRY(tl_store_sqlite_stmt(tl_store_sqlite_of(base), TL_STMT_TILE, &stmt, err));
    (void)sqlite3_bind_int64(stmt, 1, level); /* these cannot fail */
    (void)sqlite3_bind_int64(stmt, 2, signed_of(n));
    TL_TRY(tl_sqlite_next(stmt, &row, err));
    if (!row) {
        return tl_fail(err, TALLY_ENOTFOUND, "there is no such tile");
    }
    size_t len = 0;
    const void *data = column(stmt, 0, &len);
    bool whole = len == TALLY_TILE_LEN;
    if (whole) {
        memcpy(data_out, data, TALLY_TILE_LEN);
    }
    (void)sqlite3_reset(stmt); /* it did not fail */
    return whole ? TALLY_OK : tl_fail(err, TALLY_ECORRUPT, "a tile has the wrong length");
}

static tally_status sqlite_scan_checkpoints(struct tally_store *base, uint64_t first,
                                            tally_checkpoint_fn *fn, void *ctx,
                                            struct tally_error *err)
{
    sqlite3_stmt *stmt = NULL;
    bool row = false;
    TL_TRY(tl_store_sqlite_stmt(tl_store_sqlite_of(base), TL_STMT_SCAN_CHECKPOINTS, &stmt, err));
    (void)sqlite3_bind_int64(stmt, 1, signed_of(first)); /* cannot fail */
    TL_TRY(tl_sqlite_next(stmt, &row, err));
    while (row) {
        struct tally_checkpoint checkpoint = { .size = (uint64_t)sqlite3_column_int64(stmt, 0) };
        const char *note = column(stmt, 1, &checkpoint.note_len);
        checkpoint.note = note == NULL ? "" : note;
        tally_status status = fn(ctx, &checkpoint);
        if (status != TALLY_OK) {
            (void)sqlite3_reset(stmt); /* it did not fail */
            return status;
        }
        TL_TRY(tl_sqlite_next(stmt, &row, err));
    }
    return TALLY_OK;
}

static tally_status sqlite_newest_checkpoint(struct tally_store *base, uint64_t *size_out,
                                             struct tally_error *err)
{
    sqlite3_stmt *stmt = NULL;
    bool row = false;
    TL_TRY(tl_store_sqlite_stmt(tl_store_sqlite_of(base), TL_STMT_NEWEST_CHECKPOINT, &stmt, err));
    TL_TRY(tl_sqlite_next(stmt, &row, err));
    *size_out = row ? (uint64_t)sqlite3_column_int64(stmt, 0) : 0;
    (void)sqlite3_reset(stmt); /* it did not fail */
    return TALLY_OK;
}

static tally_status sqlite_self_check(struct tally_store *base,
                                      void (*fn)(void *ctx, const char *code, uint64_t seq,
                                                 const char *what),
                                      void *ctx, struct tally_error *err)
{
    struct store_sqlite *store = tl_store_sqlite_of(base);
    if (store->reading) {
        return tl_store_sqlite_check(store, fn, ctx, err);
    }
    TL_TRY(sqlite_begin_read(base, err));
    tally_status status = tl_store_sqlite_check(store, fn, ctx, err);
    sqlite_end_read(base);
    return status;
}

static tally_status write_cosigned(struct store_sqlite *store, uint64_t size, const char *note,
                                   size_t note_len, struct tally_error *err)
{
    struct tally_head head = { .size = 0 };
    TL_TRY(tl_store_sqlite_head(store, &head, err));
    if (size > head.size) {
        return tl_fail(err, TALLY_EINVAL, "the ledger has no checkpoint of %llu leaves yet",
                       (unsigned long long)size);
    }
    sqlite3_stmt *stmt = NULL;
    TL_TRY(tl_store_sqlite_stmt(store, TL_STMT_COSIGN, &stmt, err));
    (void)sqlite3_bind_int64(stmt, 1, (int64_t)size); /* these cannot fail */
    (void)sqlite3_bind_blob64(stmt, 2, note, note_len, SQLITE_STATIC);
    return tl_sqlite_run(stmt, err);
}

static tally_status sqlite_cosign(struct tally_store *base, uint64_t size, const char *note,
                                  size_t note_len, struct tally_error *err)
{
    struct store_sqlite *store = tl_store_sqlite_of(base);
    tl_assert(store->mode == TALLY_STORE_WRITE && !store->reading);
    TL_TRY(tl_store_sqlite_run(store, TL_STMT_BEGIN_WRITE, err));
    tally_status status = write_cosigned(store, size, note, note_len, err);
    if (status != TALLY_OK) {
        tl_store_sqlite_rollback(store);
        return status;
    }
    return tl_store_sqlite_commit(store, err);
}

static void sqlite_close(struct tally_store *base)
{
    struct store_sqlite *store = tl_store_sqlite_of(base);
    tl_store_sqlite_rollback(store);
    close_db(store);
    tl_free(store->touched);
    tl_free(store->path);
    tl_free(store);
}

static void sqlite_closep(struct store_sqlite **store)
{
    if (*store != NULL) {
        sqlite_close(&(*store)->base);
    }
}

static tally_status sqlite_open(struct tally_store **store_out, const char *path,
                                enum tally_store_mode mode, struct tally_error *err)
{
    TL_CLEANUP(sqlite_closep) struct store_sqlite *store = tl_alloc_array(1, sizeof(*store));
    if (store == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a store");
    }
    store->base.ops = &tl_store_sqlite_ops;
    store->mode = mode == TALLY_STORE_READ ? TALLY_STORE_READ : TALLY_STORE_WRITE;
    store->path = tl_strdup(path);
    if (store->path == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a path");
    }
    TL_TRY(tl_sqlite_open(&store->db, path, &tl_sqlite_ledger_kind, mode, err));
    tl_sqlite_ids_init(&store->ids);
    *store_out = &TL_TAKE(store)->base;
    return TALLY_OK;
}

static tally_status sqlite_open_reader(struct tally_store *base, struct tally_store **reader_out,
                                       struct tally_error *err)
{
    return sqlite_open(reader_out, tl_store_sqlite_of(base)->path, TALLY_STORE_READ, err);
}

const struct tally_store_ops tl_store_sqlite_ops = {
    .version = TALLY_STORE_VERSION,
    .caps = TALLY_STORE_DURABLE,
    .scheme = "sqlite",
    .open = sqlite_open,
    .open_reader = sqlite_open_reader,
    .begin_read = sqlite_begin_read,
    .end_read = sqlite_end_read,
    .head = sqlite_head,
    .append = sqlite_append,
    .find_ids = sqlite_find_ids,
    .scan = sqlite_scan,
    .scan_tiles = sqlite_scan_tiles,
    .tile = sqlite_tile,
    .scan_checkpoints = sqlite_scan_checkpoints,
    .newest_checkpoint = sqlite_newest_checkpoint,
    .self_check = sqlite_self_check,
    .close = sqlite_close,
    .reduce = tl_store_sqlite_reduce,
    .reclaim = tl_store_sqlite_reclaim,
    .cosign = sqlite_cosign,
};
