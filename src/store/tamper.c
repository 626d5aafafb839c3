#include "store/tamper.h"

#include <errno.h>

#include "store/sqlite.h"

#define BUSY_TIMEOUT_MS 5000 /* the end of a large log of a writer that just stopped */

struct tl_tamper {
    sqlite3 *db;
};

/* The permissions are those of a ledger: SQLite gives a new file what the umask leaves. */
static tally_status open_raw(sqlite3 **db_out, const char *path, int flags, struct tally_error *err)
{
    TL_CLEANUP(tl_sqlite_closep) sqlite3 *db = NULL;
    if (sqlite3_open_v2(path, &db, flags | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK) {
        if (db == NULL) {
            return tl_fail(err, TALLY_ENOMEM, "cannot allocate a database connection");
        }
        int os_errno = sqlite3_system_errno(db);
        return tl_fail_errno(err, os_errno == ENOENT ? TALLY_ENOTFOUND : TALLY_EIO, os_errno,
                             "cannot open '%s'", path);
    }
    (void)sqlite3_busy_timeout(db, BUSY_TIMEOUT_MS); /* cannot fail */
    *db_out = TL_TAKE(db);
    return TALLY_OK;
}

tally_status tl_tamper_copy(const char *from, const char *to, struct tally_error *err)
{
    TL_CLEANUP(tl_sqlite_closep) sqlite3 *source = NULL;
    TL_CLEANUP(tl_sqlite_closep) sqlite3 *copy = NULL;
    TL_TRY(open_raw(&source, from, SQLITE_OPEN_READONLY, err));
    (void)sqlite3_db_config(source, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    TL_TRY(open_raw(&copy, to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, err));
    /* A copy that is lost with the machine is no loss. */
    TL_TRY(tl_sqlite_exec(copy, "PRAGMA synchronous=OFF", err));
    sqlite3_backup *backup = sqlite3_backup_init(copy, "main", source, "main");
    if (backup == NULL) {
        return tl_sqlite_fail(copy, "cannot copy database", err);
    }
    (void)sqlite3_backup_step(backup, -1); /* repeated by the next call */
    if (sqlite3_backup_finish(backup) != SQLITE_OK) {
        return tl_sqlite_fail(copy, "cannot copy database", err);
    }
    return TALLY_OK;
}

tally_status tl_tamper_open(struct tl_tamper **tamper_out, const char *path,
                            struct tally_error *err)
{
    TL_CLEANUP(tl_freep) struct tl_tamper *tamper = tl_alloc_array(1, sizeof(*tamper));
    TL_CLEANUP(tl_sqlite_closep) sqlite3 *db = NULL;
    if (tamper == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a database connection");
    }
    TL_TRY(open_raw(&db, path, SQLITE_OPEN_READWRITE, err));
    (void)sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL); /* cannot fail */
    TL_TRY(tl_sqlite_exec(db, "PRAGMA synchronous=OFF", err));
    tamper->db = TL_TAKE(db);
    *tamper_out = TL_TAKE(tamper);
    return TALLY_OK;
}

void tl_tamper_close(struct tl_tamper *tamper)
{
    if (tamper != NULL) {
        tl_sqlite_close(tamper->db);
        tl_free(tamper);
    }
}

static tally_status bind_value(sqlite3_stmt *stmt, int at, const struct tl_tamper_value *value,
                               struct tally_error *err)
{
    int rc = SQLITE_OK;
    switch (value->type) {
    case TL_TAMPER_NULL:
        break;
    case TL_TAMPER_NUMBER:
        rc = sqlite3_bind_int64(stmt, at, value->number);
        break;
    case TL_TAMPER_TEXT:
        rc = sqlite3_bind_text64(stmt, at, value->bytes, value->len, SQLITE_STATIC, SQLITE_UTF8);
        break;
    case TL_TAMPER_BLOB:
        rc = sqlite3_bind_blob64(stmt, at, value->bytes, value->len, SQLITE_STATIC);
        break;
    }
    return rc == SQLITE_OK ? TALLY_OK
                           : tl_sqlite_fail(sqlite3_db_handle(stmt), "cannot bind a value", err);
}

static tally_status prepare(struct tl_tamper *tamper, const char *sql,
                            const struct tl_tamper_value *values, size_t count,
                            sqlite3_stmt **stmt_out, struct tally_error *err)
{
    TL_CLEANUP(tl_sqlite_finalizep) sqlite3_stmt *stmt = NULL;
    TL_TRY(tl_sqlite_prepare(tamper->db, sql, &stmt, err));
    for (size_t i = 0; i < count; i++) {
        TL_TRY(bind_value(stmt, (int)i + 1, &values[i], err));
    }
    *stmt_out = TL_TAKE(stmt);
    return TALLY_OK;
}

tally_status tl_tamper_run(struct tl_tamper *tamper, const char *sql,
                           const struct tl_tamper_value *values, size_t count,
                           uint64_t *changed_out, struct tally_error *err)
{
    TL_CLEANUP(tl_sqlite_finalizep) sqlite3_stmt *stmt = NULL;
    TL_TRY(prepare(tamper, sql, values, count, &stmt, err));
    TL_TRY(tl_sqlite_run(stmt, err));
    if (changed_out != NULL) {
        *changed_out = (uint64_t)sqlite3_changes(tamper->db);
    }
    return TALLY_OK;
}

tally_status tl_tamper_get(struct tl_tamper *tamper, const char *sql,
                           const struct tl_tamper_value *values, size_t count,
                           struct tl_buf *bytes_out, uint64_t *number_out, struct tally_error *err)
{
    TL_CLEANUP(tl_sqlite_finalizep) sqlite3_stmt *stmt = NULL;
    TL_TRY(prepare(tamper, sql, values, count, &stmt, err));
    bool row = false;
    TL_TRY(tl_sqlite_next(stmt, &row, err));
    if (!row || sqlite3_column_type(stmt, 0) == SQLITE_NULL) {
        return tl_fail(err, TALLY_ENOTFOUND, "the ledger has no such record");
    }
    if (number_out != NULL) {
        *number_out = (uint64_t)sqlite3_column_int64(stmt, 0);
    }
    if (bytes_out != NULL) {
        const void *bytes = sqlite3_column_blob(stmt, 0);
        size_t len = (size_t)sqlite3_column_bytes(stmt, 0);
        tl_buf_add(bytes_out, bytes == NULL ? "" : bytes, len);
        TL_TRY(tl_buf_status(bytes_out));
    }
    return TALLY_OK;
}
