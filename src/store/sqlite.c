#include "store/sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/io.h"
#include "store/sqlite_forks.h"

static tally_status status_of(int code)
{
    switch (code & 0xff) {
    case SQLITE_NOMEM:
        return TALLY_ENOMEM;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
        return TALLY_EBUSY;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_FORMAT:
    case SQLITE_ERROR: /* our statements are right, so the schema is not */
    case SQLITE_SCHEMA:
        return TALLY_ECORRUPT;
    case SQLITE_CONSTRAINT:
        return TALLY_ECONFLICT;
    case SQLITE_TOOBIG:
        return TALLY_ELIMIT;
    default:
        return TALLY_EIO;
    }
}

tally_status tl_sqlite_fail(sqlite3 *db, const char *what, struct tally_error *err)
{
    int code = sqlite3_errcode(db);
    if ((code & 0xff) == SQLITE_FULL) {
        return tl_fail_errno(err, TALLY_EIO, ENOSPC, "%s: no space is left on the device", what);
    }
    return tl_fail_errno(err, status_of(code), sqlite3_system_errno(db), "%s: %s", what,
                         sqlite3_errstr(code));
}

static int wait_a_millisecond(void *limit_ms, int times)
{
    if (times >= (int)(intptr_t)limit_ms) {
        return 0;
    }
    (void)sqlite3_sleep(1); /* says how long it was */
    return 1;
}

void tl_sqlite_wait_at_most(sqlite3 *db, int limit_ms)
{
    /* NOLINTNEXTLINE(performance-no-int-to-ptr): the handler gets a number, which outlives all */
    void *limit = (void *)(intptr_t)limit_ms;
    (void)sqlite3_busy_handler(db, wait_a_millisecond, limit); /* cannot fail */
}

tally_status tl_sqlite_exec(sqlite3 *db, const char *sql, struct tally_error *err)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK) {
        return tl_sqlite_fail(db, "cannot use database", err);
    }
    return TALLY_OK;
}

tally_status tl_sqlite_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **stmt_out,
                               struct tally_error *err)
{
    if (sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, stmt_out, NULL) != SQLITE_OK) {
        return tl_sqlite_fail(db, "cannot use database", err);
    }
    return TALLY_OK;
}

void tl_sqlite_finalizep(sqlite3_stmt **stmt)
{
    (void)sqlite3_finalize(*stmt); /* repeats what the last step said */
    *stmt = NULL;
}

tally_status tl_sqlite_next(sqlite3_stmt *stmt, bool *row_out, struct tally_error *err)
{
    int rc = sqlite3_step(stmt);
    *row_out = rc == SQLITE_ROW;
    if (rc == SQLITE_ROW) {
        return TALLY_OK;
    }
    tally_status status = TALLY_OK;
    if (rc != SQLITE_DONE) {
        bool reads = sqlite3_stmt_readonly(stmt) != 0;
        status = tl_sqlite_fail(sqlite3_db_handle(stmt),
                                reads ? "cannot read database" : "cannot write database", err);
    }
    (void)sqlite3_reset(stmt); /* repeats what the step said */
    return status;
}

tally_status tl_sqlite_run(sqlite3_stmt *stmt, struct tally_error *err)
{
    bool row = false;
    TL_TRY(tl_sqlite_next(stmt, &row, err));
    tl_assert(!row);
    return TALLY_OK;
}

int64_t tl_sqlite_log_size(sqlite3 *db)
{
    sqlite3_file *log = NULL;
    sqlite3_int64 size = -1;
    (void)sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, (void *)&log);
    if (log == NULL || log->pMethods == NULL) {
        return 0;
    }
    return log->pMethods->xFileSize(log, &size) == SQLITE_OK ? size : -1;
}

void tl_sqlite_cut_log(sqlite3 *db)
{
    char sql[64];
    int64_t size = tl_sqlite_log_size(db);
    if (size <= TL_SQLITE_LOG_KEPT) {
        return; /* which no limit that was set is below */
    }
    int64_t limit = size - TL_SQLITE_LOG_CUT;
    limit = limit < TL_SQLITE_LOG_KEPT ? TL_SQLITE_LOG_KEPT : limit;
    (void)snprintf(sql, sizeof(sql), "PRAGMA journal_size_limit=%lld", (long long)limit);
    (void)tl_sqlite_exec(db, sql, NULL); /* else it stays long for now */
}

void tl_sqlite_close(sqlite3 *db)
{
    char path[4096] = "";
    const char *name = db == NULL ? NULL : sqlite3_db_filename(db, "main");
    if (name != NULL) {
        (void)snprintf(path, sizeof(path), "%s", name);
    }
    /* Not _v2: a statement that is left open is a mistake of ours. */
    tl_assert(sqlite3_close(db) == SQLITE_OK);
    tl_sqlite_leave(path);
}

void tl_sqlite_closep(sqlite3 **db)
{
    tl_sqlite_close(*db);
    *db = NULL;
}

/* Runs a statement that gives one value, and copies it as text. */
static tally_status read_value(sqlite3 *db, const char *sql, char *text, size_t size,
                               struct tally_error *err)
{
    TL_CLEANUP(tl_sqlite_finalizep) sqlite3_stmt *stmt = NULL;
    TL_TRY(tl_sqlite_prepare(db, sql, &stmt, err));
    bool row = false;
    TL_TRY(tl_sqlite_next(stmt, &row, err));
    const unsigned char *value = row ? sqlite3_column_text(stmt, 0) : NULL;
    (void)snprintf(text, size, "%s", value == NULL ? (const unsigned char *)"" : value);
    return TALLY_OK;
}

static tally_status expect_value(sqlite3 *db, const char *get, const char *want,
                                 struct tally_error *err)
{
    char text[32];
    TL_TRY(read_value(db, get, text, sizeof(text), err));
    if (strcmp(text, want) != 0) {
        return tl_fail(err, TALLY_EIO, "'%s' gives '%s', not '%s'", get, text, want);
    }
    return TALLY_OK;
}

/* Whoever made the file may have put anything in it: views, triggers, damaged pages. */
static tally_status distrust(sqlite3 *db, struct tally_error *err)
{
    static const struct {
        int option, value;
    } table[] = {
        { SQLITE_DBCONFIG_DEFENSIVE, 1 },
        { SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0 },
        { SQLITE_DBCONFIG_ENABLE_TRIGGER, 0 },
        { SQLITE_DBCONFIG_ENABLE_VIEW, 0 },
        { SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0 },
        { SQLITE_DBCONFIG_DQS_DML, 0 },
        { SQLITE_DBCONFIG_DQS_DDL, 0 },
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(table); i++) {
        int now = -1;
        if (sqlite3_db_config(db, table[i].option, table[i].value, &now) != SQLITE_OK ||
            now != table[i].value) {
            return tl_fail(err, TALLY_ENOTSUP, "this SQLite lacks protection number %d",
                           table[i].option);
        }
    }
    TL_TRY(tl_sqlite_exec(db, "PRAGMA cell_size_check=ON; PRAGMA mmap_size=0", err));
    TL_TRY(expect_value(db, "PRAGMA cell_size_check", "1", err));
    return expect_value(db, "PRAGMA mmap_size", "0", err);
}

/* Compares a number of the file header, which is text only here. */
static tally_status read_number(sqlite3 *db, const char *sql, int64_t *out, struct tally_error *err)
{
    TL_CLEANUP(tl_sqlite_finalizep) sqlite3_stmt *stmt = NULL;
    TL_TRY(tl_sqlite_prepare(db, sql, &stmt, err));
    bool row = false;
    TL_TRY(tl_sqlite_next(stmt, &row, err));
    *out = row ? sqlite3_column_int64(stmt, 0) : 0;
    return TALLY_OK;
}

static tally_status check_kind(sqlite3 *db, const char *path, const struct tl_sqlite_kind *kind,
                               struct tally_error *err)
{
    int64_t application_id = 0;
    int64_t version = 0;
    TL_TRY(read_number(db, "PRAGMA application_id", &application_id, err));
    TL_TRY(read_number(db, "PRAGMA user_version", &version, err));
    if (application_id != kind->application_id || version < 1) {
        return tl_fail(err, TALLY_ECORRUPT, "'%s' is a database, but not a Tallystick %s", path,
                       kind->noun);
    }
    if (version != kind->version) {
        return tl_fail(err, TALLY_ENOTSUP, "'%s' is a %s of version %lld, which is not supported",
                       path, kind->noun, (long long)version);
    }
    return TALLY_OK;
}

static tally_status set_pragmas(sqlite3 *db, const struct tl_sqlite_kind *kind, bool writes,
                                struct tally_error *err)
{
    if (!writes) {
        /* All checkpoints are made by the connection that writes, also the one when it closes. */
        (void)sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        TL_TRY(tl_sqlite_exec(db, "PRAGMA wal_autocheckpoint=0; PRAGMA query_only=ON", err));
        TL_TRY(tl_sqlite_exec(db, kind->reader_cache, err));
        TL_TRY(expect_value(db, "PRAGMA wal_autocheckpoint", "0", err));
        return expect_value(db, "PRAGMA journal_mode", "wal", err);
    }
    for (const struct tl_sqlite_pragma *p = kind->pragmas; p->set != NULL; p++) {
        TL_TRY(tl_sqlite_exec(db, p->set, err));
        TL_TRY(expect_value(db, p->get, p->want, err));
    }
    return TALLY_OK;
}

/* SQLite takes some names for something other than a path. */
static tally_status check_path(const char *path, struct tally_error *err)
{
    if (path[0] == '\0' || path[0] == ':' || strncmp(path, "file:", 5) == 0) {
        return tl_fail(err, TALLY_EINVAL, "'%s' cannot be the path of a database", path);
    }
    return TALLY_OK;
}

/* Makes the empty file. SQLite gives its log and its lock file the same permissions. */
static tally_status create_file(const char *path, const struct tl_sqlite_kind *kind,
                                struct tally_error *err)
{
    int fd = tl_io->open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        tally_status status = errno == EEXIST ? TALLY_ECONFLICT : TALLY_EIO;
        return tl_fail_errno(err, status, errno, "cannot create %s '%s'", kind->noun, path);
    }
    if (tl_io->close(fd) != 0) {
        int os_errno = errno;
        (void)tl_io->unlink(path); /* the failure is told already */
        return tl_fail_errno(err, TALLY_EIO, os_errno, "cannot create %s '%s'", kind->noun, path);
    }
    return tl_io_sync_directory_of(path, err);
}

void tl_sqlite_remove(const char *path)
{
    static const char *const suffixes[] = { "", "-wal", "-shm" };
    char name[4096];
    for (size_t i = 0; i < TL_ARRAY_LEN(suffixes); i++) {
        int len = snprintf(name, sizeof(name), "%s%s", path, suffixes[i]);
        if (len > 0 && (size_t)len < sizeof(name)) {
            (void)tl_io->unlink(name); /* most are not there */
        }
    }
}

static tally_status fail_open(sqlite3 *db, const char *path, const struct tl_sqlite_kind *kind,
                              struct tally_error *err)
{
    if (db == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a database connection");
    }
    int os_errno = sqlite3_system_errno(db);
    if (sqlite3_errcode(db) == SQLITE_CANTOPEN) {
        tally_status status = os_errno == ENOENT ? TALLY_ENOTFOUND : TALLY_EIO;
        return tl_fail_errno(err, status, os_errno, "cannot open %s '%s'", kind->noun, path);
    }
    return tl_sqlite_fail(db, "cannot open database", err);
}

/* Touches the file for the first time: this is where SQLite finds out what it cannot do. */
static tally_status first_read(sqlite3 *db, const char *path, const struct tl_sqlite_kind *kind,
                               struct tally_error *err)
{
    int rc = sqlite3_exec(db, "SELECT 1 FROM sqlite_schema LIMIT 1", NULL, NULL, NULL);
    if (rc == SQLITE_CANTOPEN || (rc & 0xff) == SQLITE_READONLY) {
        return tl_fail_errno(err, TALLY_EIO, sqlite3_system_errno(db),
                             "cannot open %s '%s': its lock file '-shm' cannot be used; reading, "
                             "too, needs write access to the directory",
                             kind->noun, path);
    }
    if (rc == SQLITE_NOTADB) {
        return tl_fail(err, TALLY_ECORRUPT, "'%s' is not a database", path);
    }
    return rc == SQLITE_OK ? TALLY_OK : tl_sqlite_fail(db, "cannot open database", err);
}

static tally_status open_db(sqlite3 **db_out, const char *path, const struct tl_sqlite_kind *kind,
                            enum tally_store_mode mode, struct tally_error *err)
{
    bool writes = mode != TALLY_STORE_READ;
    int flags = SQLITE_OPEN_NOMUTEX | (writes ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY);
    TL_TRY(tl_sqlite_enter(path, err));
    TL_CLEANUP(tl_sqlite_closep) sqlite3 *db = NULL;
    if (sqlite3_open_v2(path, &db, flags, NULL) != SQLITE_OK) {
        return fail_open(db, path, kind, err);
    }
    if (writes && sqlite3_db_readonly(db, "main") == 1) {
        return tl_fail_errno(err, TALLY_EIO, EACCES, "cannot open %s '%s' for writing", kind->noun,
                             path);
    }
    (void)sqlite3_extended_result_codes(db, 1); /* cannot fail */
    tl_sqlite_wait_at_most(db, writes ? TL_SQLITE_TURN_TIMEOUT_MS : TL_SQLITE_BUSY_TIMEOUT_MS);
    if (mode == TALLY_STORE_CREATE) {
        TL_TRY(tl_sqlite_exec(db, kind->layout, err));
    }
    TL_TRY(distrust(db, err));
    if (mode != TALLY_STORE_CREATE) {
        TL_TRY(first_read(db, path, kind, err));
        TL_TRY(check_kind(db, path, kind, err));
    }
    TL_TRY(set_pragmas(db, kind, writes, err));
    if (mode == TALLY_STORE_CREATE) {
        TL_TRY(tl_sqlite_exec(db, kind->schema, err));
    }
    *db_out = TL_TAKE(db);
    return TALLY_OK;
}

tally_status tl_sqlite_open(sqlite3 **db_out, const char *path, const struct tl_sqlite_kind *kind,
                            enum tally_store_mode mode, struct tally_error *err)
{
    TL_TRY(check_path(path, err));
    if (mode == TALLY_STORE_CREATE) {
        TL_TRY(create_file(path, kind, err));
    }
    tally_status status = open_db(db_out, path, kind, mode, err);
    if (status != TALLY_OK && mode == TALLY_STORE_CREATE) {
        tl_sqlite_remove(path);
    }
    return status;
}
