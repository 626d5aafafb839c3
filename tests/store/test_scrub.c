/* Copies that SQLite leaves in its pages are found and cleared, and nothing else is touched. */
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/parse.h"
#include "check.h"
#include "store/sqlite_scrub.h"

#define ROWS      20000u
#define MARK_BASE 10000u /* five digits, all of them of the number */
#define STEP      (UINT64_C(1) << 18)
#define STEPS_MAX 1000

static char path[300];

static int make_dir(void **state)
{
    int rc = check_mkdir(state);
    if (rc == 0) {
        check_path(path, sizeof(path), *state, "any.db");
    }
    return rc;
}

static void run_sql(sqlite3 *db, const char *sql)
{
    char *message = NULL;
    if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK) {
        fail_msg("%s: %s", sql, message);
    }
}

static sqlite3 *open_raw(void)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_busy_timeout(db, 1000), SQLITE_OK);
    run_sql(db, "PRAGMA page_size=4096; PRAGMA auto_vacuum=INCREMENTAL; PRAGMA journal_mode=WAL; "
                "PRAGMA secure_delete=ON; PRAGMA synchronous=OFF");
    return db;
}

static uint64_t mixed(uint64_t seq)
{
    return (seq + 1) * 0x9e3779b97f4a7c15;
}

/* Half of the rows, in no order: pages are split, and merged with their neighbours. */
static bool goes(uint64_t seq)
{
    return (mixed(seq) >> 20 & 1u) != 0;
}

/* Rows in a table and in an index, entered and deleted in no order. */
static void make_tables(sqlite3 *db)
{
    char sql[300];
    run_sql(db, "CREATE TABLE r(k INTEGER PRIMARY KEY, v TEXT); CREATE TABLE w(v TEXT PRIMARY KEY) "
                "WITHOUT ROWID; BEGIN");
    for (uint64_t i = 0; i < ROWS; i++) {
        uint64_t seq = i * 7919 % ROWS;
        (void)snprintf(sql, sizeof(sql),
                       "INSERT INTO r VALUES(%u, 'ROW%05uROW%0*d'); INSERT INTO w VALUES('%016llx "
                       "IDX%05uIDX')",
                       (unsigned)seq, (unsigned)(MARK_BASE + seq), (int)(mixed(seq) % 90 + 1), 0,
                       (unsigned long long)mixed(seq), (unsigned)(MARK_BASE + seq));
        run_sql(db, sql);
    }
    for (uint64_t i = 0; i < ROWS; i++) {
        uint64_t seq = i * 7907 % ROWS;
        if (goes(seq)) {
            (void)snprintf(sql, sizeof(sql),
                           "DELETE FROM r WHERE k = %u; DELETE FROM w WHERE v = '%016llx "
                           "IDX%05uIDX'",
                           (unsigned)seq, (unsigned long long)mixed(seq),
                           (unsigned)(MARK_BASE + seq));
            run_sql(db, sql);
        }
    }
    run_sql(db, "COMMIT");
    check_ok(tl_sqlite_empty_log(db, NULL));
}

/* How many traces of deleted rows are in the files. */
static size_t traces(const char *mark)
{
    static const char *const suffixes[] = { "", "-wal" };
    size_t found = 0;
    for (size_t i = 0; i < TL_ARRAY_LEN(suffixes); i++) {
        char name[320];
        struct stat st;
        (void)snprintf(name, sizeof(name), "%s%s", path, suffixes[i]);
        FILE *file = fopen(name, "rb");
        assert_non_null(file);
        assert_int_equal(fstat(fileno(file), &st), 0);
        char *bytes = tl_alloc_array((size_t)st.st_size + 16, 1);
        assert_non_null(bytes);
        assert_int_equal(fread(bytes, 1, (size_t)st.st_size, file), st.st_size);
        assert_int_equal(fclose(file), 0);
        const char *end = bytes + st.st_size;
        for (const char *at = bytes; (at = memmem(at, (size_t)(end - at), mark, 3)) != NULL; at++) {
            uint64_t seq = 0;
            found += tl_parse_u64(at + 3, 5, MARK_BASE + ROWS - 1, &seq) == TALLY_OK &&
                     memcmp(at + 8, mark, 3) == 0 && goes(seq - MARK_BASE);
        }
        tl_free(bytes);
    }
    return found;
}

static tally_status count_rows(sqlite3 *db, const char *sql, int64_t *out)
{
    TL_CLEANUP(tl_sqlite_finalizep) sqlite3_stmt *stmt = NULL;
    bool row = false;
    TL_TRY(tl_sqlite_prepare(db, sql, &stmt, NULL));
    TL_TRY(tl_sqlite_next(stmt, &row, NULL));
    *out = row ? sqlite3_column_int64(stmt, 0) : -1;
    return TALLY_OK;
}

static void check_rows(sqlite3 *db)
{
    int64_t kept = 0;
    int64_t count = 0;
    for (uint64_t seq = 0; seq < ROWS; seq++) {
        kept += goes(seq) ? 0 : 1;
    }
    check_ok(count_rows(db, "SELECT count(*) FROM r WHERE substr(v, 4, 5) - 10000 = k", &count));
    assert_int_equal(count, kept);
    check_ok(count_rows(db, "SELECT count(*) FROM w WHERE v LIKE '% IDX%IDX'", &count));
    assert_int_equal(count, kept);
    check_ok(
        count_rows(db, "SELECT integrity_check = 'ok' FROM pragma_integrity_check(1)", &count));
    assert_int_equal(count, 1);
}

static void clears_copies_in_all_pages(void **state)
{
    (void)state;
    uint32_t page = 0;
    uint64_t left = 0;
    sqlite3 *db = open_raw();
    make_tables(db);
    sqlite3 *other = open_raw();
    check_rows(other); /* so that it has pages in memory */
    assert_true(traces("ROW") > 0 && traces("IDX") > 0);
    for (uint64_t before = UINT64_MAX; before > 0; before = left) {
        check_ok(tl_sqlite_scrub_all(db, &page, STEP, &left, NULL));
        assert_true(left < before && (left == 0) == (page == 0));
    }
    check_rows(db);
    run_sql(db, "UPDATE r SET v = v || 'y'");
    run_sql(db, "UPDATE r SET v = substr(v, 1, length(v) - 1)");
    run_sql(other, "UPDATE r SET v = v || 'x'; DELETE FROM w WHERE v < '0000f'");
    run_sql(other, "UPDATE r SET v = substr(v, 1, length(v) - 1)");
    left = 1;
    for (int i = 0; i < STEPS_MAX && left != 0; i++) {
        check_ok(tl_sqlite_give_back(db, STEP, NULL));
        check_ok(tl_sqlite_free_bytes(db, &left, NULL));
    }
    check_ok(tl_sqlite_empty_log(db, NULL));
    assert_true(traces("ROW") == 0 && traces("IDX") == 0);
    assert_int_equal(sqlite3_close(other), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void clears_copies_beside_some_rows(void **state)
{
    (void)state;
    int64_t next = 0;
    sqlite3 *db = open_raw();
    make_tables(db);
    size_t before = traces("ROW");
    size_t other = traces("IDX");
    while (next <= ROWS / 2) {
        check_ok(tl_sqlite_scrub_rows(db, "r", &next, ROWS / 2, STEP, NULL));
    }
    assert_int_equal(next, ROWS / 2 + 1);
    assert_true(traces("ROW") > 0 && traces("ROW") < before);
    while (next <= ROWS) {
        check_ok(tl_sqlite_scrub_rows(db, "r", &next, ROWS, 1, NULL));
    }
    assert_int_equal(traces("ROW"), 0);
    assert_int_equal(traces("IDX"), other);
    check_rows(db);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void waits_for_those_who_read_and_write(void **state)
{
    (void)state;
    uint32_t page = 0;
    uint64_t left = 0;
    sqlite3 *db = open_raw();
    make_tables(db);
    sqlite3 *other = open_raw();
    run_sql(other, "BEGIN IMMEDIATE");
    check_status(tl_sqlite_scrub_all(db, &page, STEP, &left, NULL), TALLY_EBUSY);
    run_sql(other, "COMMIT; BEGIN; SELECT count(*) FROM r");
    run_sql(db, "DELETE FROM r WHERE k < 9");
    check_status(tl_sqlite_scrub_all(db, &page, STEP, &left, NULL), TALLY_EBUSY);
    assert_int_equal(page, 0);
    run_sql(other, "COMMIT");
    check_ok(tl_sqlite_scrub_all(db, &page, STEP, &left, NULL));
    assert_true(page > 0);
    assert_int_equal(sqlite3_close(other), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* The size of the log, as each statement finds it. */
struct watch {
    sqlite3 *db;
    int64_t size;
    int64_t largest_cut;
    unsigned cuts;
};

static int watch_log(unsigned event, void *ctx, void *statement, void *text)
{
    struct watch *watch = ctx;
    (void)event;
    (void)statement;
    (void)text;
    int64_t size = tl_sqlite_log_size(watch->db);
    int64_t cut = watch->size - size;
    watch->cuts += cut > 0 ? 1 : 0;
    watch->largest_cut = cut > watch->largest_cut ? cut : watch->largest_cut;
    watch->size = size;
    return 0;
}

/* Nobody can write while the file system takes a piece back. */
static void a_long_log_is_emptied_piece_by_piece(void **state)
{
    (void)state;
    sqlite3 *db = open_raw();
    run_sql(db, "PRAGMA wal_autocheckpoint=0; CREATE TABLE long(v BLOB); "
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 330) "
                "INSERT INTO long SELECT zeroblob(1000000) FROM n");
    struct watch watch = { .db = db, .size = tl_sqlite_log_size(db) };
    assert_true(watch.size > TL_SQLITE_LOG_KEPT + 2 * TL_SQLITE_LOG_CUT);
    (void)sqlite3_trace_v2(db, SQLITE_TRACE_STMT, watch_log, &watch); /* cannot fail */
    check_ok(tl_sqlite_empty_log(db, NULL));
    assert_true(watch.cuts >= 2 && watch.largest_cut <= TL_SQLITE_LOG_CUT);
    assert_true(watch.size <= TL_SQLITE_LOG_KEPT + TL_SQLITE_LOG_CUT); /* the last two are unseen */
    assert_int_equal(tl_sqlite_log_size(db), 0);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* Writes bytes into a page of the file. */
static void damage(uint32_t page, size_t at, const void *bytes, size_t len)
{
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, (long)((size_t)(page - 1) * 4096 + at), SEEK_SET), 0);
    assert_int_equal(fwrite(bytes, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

static void leaves_damaged_pages_alone(void **state)
{
    (void)state;
    static const uint8_t many_cells[] = { 0xff, 0xff };
    uint32_t page = 0;
    uint64_t left = 0;
    int64_t root = 0;
    int64_t next = 0;
    sqlite3 *db = open_raw();
    make_tables(db);
    check_ok(count_rows(db, "SELECT rootpage FROM sqlite_schema WHERE name = 'r'", &root));
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    damage((uint32_t)root, 3, many_cells, sizeof(many_cells));
    db = open_raw();
    check_status(tl_sqlite_scrub_rows(db, "r", &next, 10, STEP, NULL), TALLY_ECORRUPT);
    check_status(tl_sqlite_scrub_rows(db, "none", &next, 10, STEP, NULL), TALLY_ECORRUPT);
    check_status(tl_sqlite_scrub_all(db, &page, UINT64_MAX, &left, NULL), TALLY_ECORRUPT);
    assert_int_not_equal(sqlite3_get_autocommit(db), 0);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

int main(void)
{
#define IN_DIR(test) cmocka_unit_test_setup_teardown(test, make_dir, check_rmdir)
    const struct CMUnitTest tests[] = {
        IN_DIR(clears_copies_in_all_pages),         IN_DIR(clears_copies_beside_some_rows),
        IN_DIR(waits_for_those_who_read_and_write), IN_DIR(a_long_log_is_emptied_piece_by_piece),
        IN_DIR(leaves_damaged_pages_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
