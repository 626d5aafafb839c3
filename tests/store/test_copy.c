/* Copies of a store: what is new is added, what is gone is taken away, in one step. */
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include "base/io.h"
#include "check.h"
#include "store/store_copy.h"
#include "store_fill.h"

static char from_path[300];
static char from_uri[320];
static char to_path[300];
static char to_uri[320];

static int set_up(void **state)
{
    if (check_mkdir(state) != 0) {
        return -1;
    }
    check_path(from_path, sizeof(from_path), *state, "from.db");
    check_path(to_path, sizeof(to_path), *state, "to.db");
    (void)snprintf(from_uri, sizeof(from_uri), "sqlite:%s", from_path);
    (void)snprintf(to_uri, sizeof(to_uri), "sqlite:%s", to_path);
    return 0;
}

static struct tally_store *open_store(const char *uri, enum tally_store_mode mode)
{
    struct tally_store *store = NULL;
    check_ok(tl_store_open(&store, uri, mode, NULL));
    return store;
}

static void append(struct tally_store *store, struct tally_head *head, size_t count)
{
    for (size_t left = count; left > 0;) {
        size_t step = left > 500 ? 500 : left;
        check_ok(fill_append(store, head, step, NULL));
        left -= step;
    }
}

static tally_status stop(void *ctx, uint64_t done, uint64_t total)
{
    (void)ctx;
    assert_true(done <= total);
    return TALLY_ECANCELED;
}

static struct tl_store_copied copy(struct tally_store *from, enum tl_store_copy_mode mode,
                                   bool commit)
{
    struct tl_store_copy *made = NULL;
    struct tl_store_copied copied;
    check_ok(tl_store_copy_open(&made, to_path, mode, NULL));
    check_ok(tl_store_begin_read(from, NULL));
    check_ok(tl_store_copy_fill(made, from, NULL, NULL, &copied, NULL));
    tl_store_end_read(from);
    fill_check(tl_store_copy_view(made), copied.size);
    if (commit) {
        check_ok(tl_store_copy_commit(made, NULL));
    }
    tl_store_copy_close(made);
    return copied;
}

static void check_copy(uint64_t size)
{
    struct tally_store *store = open_store(to_uri, TALLY_STORE_READ);
    fill_check(store, size);
    tl_store_close(store);
}

static void a_copy_grows_with_its_store(void **state)
{
    (void)state;
    static const size_t steps[] = { 700, 1, 255, 40000 };
    struct tally_store *from = open_store(from_uri, TALLY_STORE_CREATE);
    struct tally_head head = { 0 };
    uint64_t before = 0;
    for (size_t i = 0; i < TL_ARRAY_LEN(steps); i++) {
        append(from, &head, steps[i]);
        enum tl_store_copy_mode mode = i == 0 ? TL_STORE_COPY_NEW : TL_STORE_COPY_UPDATE;
        struct tl_store_copied copied = copy(from, mode, true);
        assert_int_equal(copied.from, before);
        assert_int_equal(copied.size, head.size);
        assert_int_equal(copied.reduced, 0);
        check_copy(head.size);
        before = head.size;
    }
    tl_store_close(from);
}

static void without_a_commit_it_is_what_it_was(void **state)
{
    (void)state;
    struct tally_store *from = open_store(from_uri, TALLY_STORE_CREATE);
    struct tally_head head = { 0 };
    append(from, &head, 300);
    (void)copy(from, TL_STORE_COPY_NEW, true);
    append(from, &head, 20000);
    (void)copy(from, TL_STORE_COPY_UPDATE, false);
    check_copy(300);
    struct tl_store_copy *made = NULL;
    struct tl_store_copied copied;
    check_ok(tl_store_copy_open(&made, to_path, TL_STORE_COPY_UPDATE, NULL));
    check_status(tl_store_copy_fill(made, from, stop, NULL, &copied, NULL), TALLY_ECANCELED);
    tl_store_copy_close(made);
    check_copy(300);
    (void)copy(from, TL_STORE_COPY_NEW, true); /* over what is there */
    check_copy(head.size);
    tl_store_close(from);
}

static void run_sql(const char *path, const char *sql)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    int off = 0;
    assert_int_equal(sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, &off), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static bool file_has(const char *path, const char *text)
{
    char *bytes = NULL;
    size_t len = 0;
    tally_status status = tl_io_read_file(path, (size_t)64 << 20, &bytes, &len, NULL);
    if (status == TALLY_ENOTFOUND) {
        return false;
    }
    check_ok(status);
    bool has = memmem(bytes, len, text, strlen(text)) != NULL;
    tl_free(bytes);
    return has;
}

/* Real leaves: only contents of ENTRY leaves are ever reduced. */
static void make_entries(const char *path)
{
    run_sql(path, "UPDATE record SET leaf = x'544c593101' || substr(leaf, 6), "
                  "event = 'needle-' || seq || '-' || hex(zeroblob(300)), opened = NULL "
                  "WHERE event NOT NULL");
}

static void what_is_gone_there_is_gone_here(void **state)
{
    (void)state;
    char log[310];
    (void)snprintf(log, sizeof(log), "%s-wal", to_path);
    struct tally_store *from = open_store(from_uri, TALLY_STORE_CREATE);
    struct tally_head head = { 0 };
    append(from, &head, 300);
    tl_store_close(from);
    make_entries(from_path);
    from = open_store(from_uri, TALLY_STORE_READ);
    struct tl_store_copy *made = NULL;
    struct tl_store_copied copied;
    check_ok(tl_store_copy_open(&made, to_path, TL_STORE_COPY_NEW, NULL));
    check_ok(tl_store_copy_fill(made, from, NULL, NULL, &copied, NULL));
    check_ok(tl_store_copy_commit(made, NULL));
    tl_store_copy_close(made);
    tl_store_close(from);
    assert_true(file_has(to_path, "needle-101-") && file_has(to_path, "needle-103-"));

    run_sql(from_path,
            "UPDATE record SET event = NULL, seed = NULL WHERE seq = 101;"
            "UPDATE record SET event = '{}', seed = NULL, opened = x'01' WHERE seq = 103");
    from = open_store(from_uri, TALLY_STORE_READ);
    for (unsigned round = 0; round < 2; round++) {
        check_ok(tl_store_copy_open(&made, to_path, TL_STORE_COPY_UPDATE, NULL));
        check_ok(tl_store_copy_fill(made, from, NULL, NULL, &copied, NULL));
        assert_int_equal(copied.reduced, round == 0 ? 2 : 0);
        check_ok(tl_store_copy_commit(made, NULL));
        assert_false(file_has(log, "needle"));
        tl_store_copy_close(made);
    }
    tl_store_close(from);
    assert_false(file_has(to_path, "needle-101-") || file_has(to_path, "needle-103-"));
    assert_true(file_has(to_path, "needle-102-"));
}

static void update_copy(struct tally_store *from, enum tl_store_copy_mode mode)
{
    struct tl_store_copy *made = NULL;
    struct tl_store_copied copied;
    check_ok(tl_store_copy_open(&made, to_path, mode, NULL));
    check_ok(tl_store_copy_fill(made, from, NULL, NULL, &copied, NULL));
    check_ok(tl_store_copy_commit(made, NULL));
    tl_store_copy_close(made);
}

/* Rows that become longer push others to the next page, and these leave a copy where they were. The
 * lengths are such that some of them do. */
static void what_moved_before_it_went_is_gone_too(void **state)
{
    (void)state;
    struct tally_store *from = open_store(from_uri, TALLY_STORE_CREATE);
    struct tally_head head = { 0 };
    append(from, &head, 3000);
    tl_store_close(from);
    run_sql(from_path, "UPDATE record SET leaf = x'544c593101' || substr(leaf, 6), "
                       "event = 'needle-' || seq || '-' || hex(zeroblob(60 + seq * 7919 % 31)) "
                       "WHERE event NOT NULL");
    from = open_store(from_uri, TALLY_STORE_READ);
    update_copy(from, TL_STORE_COPY_NEW);
    run_sql(from_path, "UPDATE record SET event = '{}', seed = NULL, opened = zeroblob(200) "
                       "WHERE seq % 3 = 1 AND event NOT NULL");
    update_copy(from, TL_STORE_COPY_UPDATE);
    run_sql(from_path, "UPDATE record SET event = NULL, seed = NULL, opened = NULL "
                       "WHERE seq % 3 = 2 AND event NOT NULL");
    update_copy(from, TL_STORE_COPY_UPDATE);
    tl_store_close(from);
    char *bytes = NULL;
    size_t len = 0;
    check_ok(tl_io_read_file(to_path, (size_t)64 << 20, &bytes, &len, NULL));
    for (unsigned seq = 1; seq < 3000; seq++) {
        char needle[32];
        int needle_len = snprintf(needle, sizeof(needle), "needle-%u-", seq);
        assert_true(seq % 3 == 0 || memmem(bytes, len, needle, (size_t)needle_len) == NULL);
    }
    tl_free(bytes);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, check_rmdir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_copy_grows_with_its_store),
        TEST(without_a_commit_it_is_what_it_was),
        TEST(what_is_gone_there_is_gone_here),
        TEST(what_moved_before_it_went_is_gone_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
