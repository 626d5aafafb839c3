#include "store/lexigram_rows.h"

#include <sqlite3.h>
#include <string.h>

#include "base/buf.h"

#define COLUMNS_MAX 64u

static void close_database(sqlite3 **db)
{
    (void)sqlite3_close(*db); /* only read, and all statements are finalised */
}

static void finalize(sqlite3_stmt **statement)
{
    (void)sqlite3_finalize(*statement); /* tells the failure of the last step again */
}

static tally_status fail(sqlite3 *db, const char *path, struct tally_error *err)
{
    int rc = sqlite3_errcode(db);
    tally_status status = rc == SQLITE_NOMEM                          ? TALLY_ENOMEM
                          : rc == SQLITE_CANTOPEN                     ? TALLY_ENOTFOUND
                          : rc == SQLITE_BUSY || rc == SQLITE_LOCKED  ? TALLY_EBUSY
                          : rc == SQLITE_NOTADB || rc == SQLITE_ERROR ? TALLY_EINVAL
                                                                      : TALLY_EIO;
    return tl_fail(err, status, "cannot read '%s': %s", path, sqlite3_errmsg(db));
}

static tally_status open_database(sqlite3 **db, const char *path, struct tally_error *err)
{
    int rc = sqlite3_open_v2(path, db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc != SQLITE_OK) {
        return *db == NULL ? tl_fail(err, TALLY_ENOMEM, "out of memory") : fail(*db, path, err);
    }
    (void)sqlite3_busy_timeout(*db, 5000); /* cannot fail */
    if (sqlite3_exec(*db, "BEGIN", NULL, NULL, NULL) != SQLITE_OK) {
        return fail(*db, path, err);
    }
    return TALLY_OK;
}

/* A name of a table cannot be bound: it is quoted, which leaves it one name. */
static tally_status prepare(sqlite3 *db, sqlite3_stmt **statement, const char *before,
                            const char *table, const char *after, struct tally_error *err)
{
    TL_CLEANUP(tl_buf_release) struct tl_buf sql = { 0 };
    tl_buf_init(&sql, 4096);
    tl_buf_add_text(&sql, before);
    tl_buf_add_char(&sql, '"');
    for (const char *at = table; *at != '\0'; at++) {
        tl_buf_add_text(&sql, *at == '"' ? "\"" : "");
        tl_buf_add_char(&sql, *at);
    }
    tl_buf_add_char(&sql, '"');
    tl_buf_add_text(&sql, after);
    if (tl_buf_status(&sql) != TALLY_OK) {
        return tl_fail(err, TALLY_EINVAL, "the name of the table is too long");
    }
    if (sqlite3_prepare_v2(db, sql.data, (int)sql.len, statement, NULL) != SQLITE_OK) {
        return fail(db, table, err);
    }
    return TALLY_OK;
}

static tally_status count_shared(sqlite3 *db, const char *table, uint64_t *shared_out,
                                 struct tally_error *err)
{
    TL_CLEANUP(finalize) sqlite3_stmt *statement = NULL;
    TL_TRY(prepare(db, &statement, "SELECT COALESCE(SUM(n), 0) FROM (SELECT COUNT(*) AS n FROM ",
                   table, " WHERE checksum <> '' GROUP BY checksum HAVING COUNT(*) > 1)", err));
    if (sqlite3_step(statement) != SQLITE_ROW) {
        return fail(db, table, err);
    }
    *shared_out = (uint64_t)sqlite3_column_int64(statement, 0);
    return TALLY_OK;
}

static tally_status find_id(const char *const *names, size_t count, int *column_out,
                            struct tally_error *err)
{
    for (size_t i = 0; i < count; i++) {
        if (names[i] != NULL && strcmp(names[i], "id") == 0) {
            *column_out = (int)i;
            return TALLY_OK;
        }
    }
    return tl_fail(err, TALLY_EINVAL, "the table has no column 'id'");
}

static tally_status read_row(sqlite3_stmt *statement, struct tl_str *values, size_t count,
                             struct tally_error *err)
{
    for (size_t i = 0; i < count; i++) {
        if (sqlite3_column_type(statement, (int)i) == SQLITE_NULL) {
            values[i] = (struct tl_str){ NULL, 0 };
            continue;
        }
        const unsigned char *text = sqlite3_column_text(statement, (int)i);
        if (text == NULL) {
            return tl_fail(err, TALLY_ENOMEM, "out of memory");
        }
        values[i] =
            (struct tl_str){ (const char *)text, (size_t)sqlite3_column_bytes(statement, (int)i) };
    }
    return TALLY_OK;
}

static tally_status each_row(sqlite3 *db, sqlite3_stmt *statement, const char *path,
                             tl_lexigram_cells_fn *fn, void *ctx, struct tally_error *err)
{
    const char *names[COLUMNS_MAX];
    struct tl_str values[COLUMNS_MAX];
    size_t count = (size_t)sqlite3_column_count(statement);
    if (count > COLUMNS_MAX) {
        return tl_fail(err, TALLY_EINVAL, "the table has %zu columns", count);
    }
    for (size_t i = 0; i < count; i++) {
        names[i] = sqlite3_column_name(statement, (int)i);
    }
    int id_column = 0;
    TL_TRY(find_id(names, count, &id_column, err));
    for (;;) {
        int rc = sqlite3_step(statement);
        if (rc == SQLITE_DONE) {
            return TALLY_OK;
        }
        if (rc != SQLITE_ROW) {
            return fail(db, path, err);
        }
        struct tl_lexigram_cells cells = {
            .id = sqlite3_column_int64(statement, id_column),
            .count = count,
            .names = names,
            .values = values,
        };
        TL_TRY(read_row(statement, values, count, err));
        TL_TRY(fn(ctx, &cells, err));
    }
}

tally_status tl_lexigram_rows(const char *path, const char *table, tl_lexigram_cells_fn *fn,
                              void *ctx, uint64_t *shared_out, struct tally_error *err)
{
    TL_CLEANUP(close_database) sqlite3 *db = NULL;
    TL_TRY(open_database(&db, path, err));
    TL_CLEANUP(finalize) sqlite3_stmt *statement = NULL;
    TL_TRY(prepare(db, &statement, "SELECT * FROM ", table, " ORDER BY id", err));
    if (shared_out != NULL) {
        TL_TRY(count_shared(db, table, shared_out, err));
    }
    return each_row(db, statement, path, fn, ctx, err);
}
