#include "store/tamper.h"

#include <string.h>

#include <sqlite3.h>

#include "check.h"
#include "fault.h"

static char from[256];
static char to[256];

static int make_database(void **state)
{
    sqlite3 *db = NULL;
    if (check_mkdir(state) != 0) {
        return -1;
    }
    check_path(from, sizeof(from), *state, "from.db");
    check_path(to, sizeof(to), *state, "to.db");
    assert_int_equal(sqlite3_open(from, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db,
                                  "PRAGMA journal_mode=WAL;"
                                  "CREATE TABLE t(k INTEGER PRIMARY KEY, v BLOB);"
                                  "CREATE TRIGGER guard BEFORE UPDATE ON t BEGIN "
                                  "SELECT RAISE(ABORT, 'no'); END;"
                                  "INSERT INTO t VALUES(1, x'0102'), (2, NULL)",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    return 0;
}

static struct tl_tamper *open_copy(void)
{
    struct tl_tamper *tamper = NULL;
    check_ok(tl_tamper_copy(from, to, NULL));
    check_ok(tl_tamper_open(&tamper, to, NULL));
    return tamper;
}

static void expect_bytes(struct tl_tamper *tamper, const char *want, size_t len)
{
    const struct tl_tamper_value key = tl_tamper_number(1);
    struct tl_buf got;
    tl_buf_init(&got, 100);
    check_ok(tl_tamper_get(tamper, "SELECT v FROM t WHERE k = ?", &key, 1, &got, NULL, NULL));
    assert_int_equal(got.len, len);
    assert_memory_equal(got.data, want, len);
    tl_buf_release(&got);
}

static void changes_the_copy_past_its_guards_and_nothing_else(void **state)
{
    (void)state;
    uint64_t changed = 0;
    struct tl_tamper *original = NULL;
    struct tl_tamper *copy = open_copy();
    const struct tl_tamper_value values[] = { tl_tamper_blob("\0z", 2), tl_tamper_number(1) };
    check_ok(tl_tamper_run(copy, "UPDATE t SET v = ? WHERE k = ?", values, 2, &changed, NULL));
    assert_int_equal(changed, 1);
    expect_bytes(copy, "\0z", 2);
    check_ok(tl_tamper_open(&original, from, NULL));
    expect_bytes(original, "\1\2", 2);
    tl_tamper_close(original);
    tl_tamper_close(copy);
}

static void copies_what_a_writer_has_committed_and_no_more(void **state)
{
    (void)state;
    sqlite3 *writer = NULL;
    uint64_t count = 0;
    assert_int_equal(sqlite3_open(from, &writer), SQLITE_OK);
    assert_int_equal(sqlite3_exec(writer,
                                  "INSERT INTO t VALUES(3, x'03'); BEGIN IMMEDIATE;"
                                  "INSERT INTO t VALUES(4, x'04')",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    struct tl_tamper *copy = open_copy();
    check_ok(tl_tamper_get(copy, "SELECT count(*) FROM t", NULL, 0, NULL, &count, NULL));
    assert_int_equal(count, 3);
    tl_tamper_close(copy);
    assert_int_equal(sqlite3_exec(writer, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(writer), SQLITE_OK);
}

static void tells_what_is_not_there(void **state)
{
    (void)state;
    uint64_t changed = 9;
    uint64_t number = 9;
    struct tl_tamper *missing = NULL;
    struct tl_tamper_value key = tl_tamper_number(7);
    check_status(tl_tamper_copy("/nonexistent/x.db", to, NULL), TALLY_ENOTFOUND);
    check_status(tl_tamper_open(&missing, "/nonexistent/x.db", NULL), TALLY_ENOTFOUND);
    assert_null(missing);
    struct tl_tamper *copy = open_copy();
    check_status(tl_tamper_get(copy, "SELECT v FROM t WHERE k = ?", &key, 1, NULL, &number, NULL),
                 TALLY_ENOTFOUND);
    key = tl_tamper_number(2);
    check_status(tl_tamper_get(copy, "SELECT v FROM t WHERE k = ?", &key, 1, NULL, &number, NULL),
                 TALLY_ENOTFOUND);
    assert_int_equal(number, 9);
    key = tl_tamper_number(7);
    check_ok(tl_tamper_run(copy, "DELETE FROM t WHERE k = ?", &key, 1, &changed, NULL));
    assert_int_equal(changed, 0);
    tl_tamper_close(copy);
}

static tally_status open_once(const void *ctx)
{
    struct tl_tamper *tamper = NULL;
    (void)ctx;
    TL_TRY(tl_tamper_open(&tamper, from, NULL));
    tl_tamper_close(tamper);
    return TALLY_OK;
}

static void survives_every_allocation_that_fails(void **state)
{
    (void)state;
    assert_true(fault_each_alloc(open_once, NULL) > 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_database, check_rmdir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(changes_the_copy_past_its_guards_and_nothing_else),
        TEST(copies_what_a_writer_has_committed_and_no_more),
        TEST(tells_what_is_not_there),
        TEST(survives_every_allocation_that_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
