/* What only the SQLite store can do, or get wrong. */
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "store/store.h"
#include "store/store_sqlite_parts.h"
#include "store_fill.h"

static char path[300];
static char uri[320];

static int make_dir(void **state)
{
    int rc = check_mkdir(state);
    if (rc == 0) {
        check_path(path, sizeof(path), *state, "ledger.db");
        (void)snprintf(uri, sizeof(uri), "sqlite:%s", path);
    }
    return rc;
}

static struct tally_store *open_store(enum tally_store_mode mode)
{
    struct tally_error err = TALLY_ERROR_INIT;
    struct tally_store *store = NULL;
    if (tl_store_open(&store, uri, mode, &err) != TALLY_OK) {
        fail_msg("%s", err.message);
    }
    return store;
}

/* Makes a store of `count` records and closes it. */
static void make_store(size_t count)
{
    struct tally_store *store = open_store(TALLY_STORE_CREATE);
    struct tally_head head = { 0 };
    check_ok(fill_append(store, &head, count, NULL));
    tl_store_close(store);
}

/* Runs SQL as any other program would; returns what SQLite says. */
static int run_sql(const char *sql, char *message, size_t size)
{
    sqlite3 *db = NULL;
    char *text = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    int rc = sqlite3_exec(db, sql, NULL, NULL, &text);
    if (message != NULL) {
        (void)snprintf(message, size, "%s", text == NULL ? "" : text);
    }
    sqlite3_free(text);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    return rc;
}

static void tamper(const char *sql)
{
    char message[200];
    if (run_sql(sql, message, sizeof(message)) != SQLITE_OK) {
        fail_msg("%s: %s", sql, message);
    }
}

static void other_programs_cannot_change_what_was_recorded_by_accident(void **state)
{
    (void)state;
    make_store(300);
    static const char *const statements[] = {
        "UPDATE record SET event = 'x'",  "DELETE FROM record WHERE seq = 3",
        "UPDATE tile SET data = NULL",    "DELETE FROM tile",
        "UPDATE checkpoint SET size = 1", "DELETE FROM checkpoint",
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(statements); i++) {
        char message[200];
        assert_int_equal(run_sql(statements[i], message, sizeof(message)), SQLITE_CONSTRAINT);
        assert_non_null(strstr(message, "append-only: "));
    }
    struct tally_store *store = open_store(TALLY_STORE_READ);
    fill_check(store, 300);
    tl_store_close(store);
}

static void other_programs_read_events_as_columns(void **state)
{
    (void)state;
    make_store(1);
    tamper("INSERT INTO record(seq, event) VALUES(99, '{\"action\":\"a\",\"targets\":[{\"id\":"
           "\"t\"}]}')");
    assert_int_equal(run_sql("CREATE TEMP TABLE t(x CHECK(x = 'a/t/')); INSERT INTO t SELECT "
                             "action || '/' || target_id || '/' || coalesce(actor_id, '') FROM "
                             "event WHERE seq = 99",
                             NULL, 0),
                     SQLITE_OK);
}

static void its_files_belong_to_their_owner_alone(void **state)
{
    (void)state;
    mode_t before = umask(0);
    struct tally_store *store = open_store(TALLY_STORE_CREATE);
    struct tally_head head = { 0 };
    check_ok(fill_append(store, &head, 1, NULL));
    (void)umask(before);
    static const char *const suffixes[] = { "", "-wal", "-shm" };
    for (size_t i = 0; i < TL_ARRAY_LEN(suffixes); i++) {
        char name[320];
        struct stat st;
        (void)snprintf(name, sizeof(name), "%s%s", path, suffixes[i]);
        assert_int_equal(stat(name, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
    }
    tl_store_close(store);
}

static void opens_only_what_is_a_ledger_of_this_version(void **state)
{
    (void)state;
    struct tally_store *store = NULL;
    check_status(tl_store_open(&store, uri, TALLY_STORE_READ, NULL), TALLY_ENOTFOUND);
    check_status(tl_store_open(&store, uri, TALLY_STORE_WRITE, NULL), TALLY_ENOTFOUND);
    check_status(tl_store_open(&store, "sqlite:", TALLY_STORE_CREATE, NULL), TALLY_EINVAL);
    check_status(tl_store_open(&store, "sqlite::memory:", TALLY_STORE_CREATE, NULL), TALLY_EINVAL);
    check_status(tl_store_open(&store, "sqlite:file:x?vfs=y", TALLY_STORE_CREATE, NULL),
                 TALLY_EINVAL);
    make_store(1);
    check_status(tl_store_open(&store, uri, TALLY_STORE_CREATE, NULL), TALLY_ECONFLICT);
    tamper("PRAGMA user_version=2");
    check_status(tl_store_open(&store, uri, TALLY_STORE_WRITE, NULL), TALLY_ENOTSUP);
    tamper("PRAGMA user_version=1; PRAGMA application_id=7");
    struct tally_error err = TALLY_ERROR_INIT;
    check_status(tl_store_open(&store, uri, TALLY_STORE_READ, &err), TALLY_ECORRUPT);
    assert_non_null(strstr(err.message, "not a Tallystick ledger"));
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (int i = 0; i < 100; i++) {
        assert_true(fputs("this is text and no database. ", file) > 0);
    }
    assert_int_equal(fclose(file), 0);
    check_status(tl_store_open(&store, uri, TALLY_STORE_READ, NULL), TALLY_ECORRUPT);
}

static void of_two_writers_one_is_told_of_the_other(void **state)
{
    (void)state;
    struct tally_store *first = open_store(TALLY_STORE_CREATE);
    struct tally_store *second = open_store(TALLY_STORE_WRITE);
    struct tally_head head = { 0 };
    struct tally_head stale = { 0 };
    check_ok(fill_append(first, &head, 3, NULL));
    check_status(fill_append(second, &stale, 3, NULL), TALLY_ECONFLICT);
    stale = head;
    check_ok(fill_append(second, &stale, 4, NULL));
    check_status(fill_append(first, &head, 1, NULL), TALLY_ECONFLICT);
    fill_check(first, 7); /* ids that the other one entered included */
    check_ok(fill_append(first, &stale, 1, NULL));
    fill_check(second, 8);
    tl_store_close(first);
    tl_store_close(second);
}

static void waits_for_no_other_writer(void **state)
{
    (void)state;
    make_store(1);
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    struct tally_store *store = open_store(TALLY_STORE_WRITE);
    assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    struct tally_head head;
    check_ok(tl_store_head(store, &head, NULL));
    check_status(fill_append(store, &head, 1, NULL), TALLY_EBUSY);
    assert_int_equal(sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    check_ok(fill_append(store, &head, 1, NULL));
    tl_store_close(store);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void no_finding(void *ctx, const char *code, uint64_t seq, const char *what)
{
    fail_msg("%s at %llu: %s", code, (unsigned long long)seq, what);
    (void)ctx;
}

static void ids_are_found_wherever_they_are_on_their_way(void **state)
{
    (void)state;
    size_t before = tl_sqlite_ids_waiting;
    tl_sqlite_ids_waiting = 40;
    struct tally_store *store = open_store(TALLY_STORE_CREATE);
    struct tally_store *reader = NULL;
    check_ok(tl_store_open_reader(store, &reader, NULL));
    struct tally_head head = { 0 };
    for (int i = 0; i < 60; i++) {
        check_ok(fill_append(store, &head, (size_t)(i % 13 + 1), NULL));
        fill_check(reader, head.size);
        check_ok(tl_store_self_check(reader, no_finding, NULL, NULL));
        if (i % 9 == 8) { /* a new process goes on where this one was */
            tl_store_close(reader);
            tl_store_close(store);
            store = open_store(TALLY_STORE_WRITE);
            check_ok(tl_store_open_reader(store, &reader, NULL));
        }
        fill_check(store, head.size);
    }
    tl_store_close(reader);
    tl_store_close(store);
    tl_sqlite_ids_waiting = before;
}

static void removes_contents_beside_the_one_that_appends(void **state)
{
    (void)state;
    struct tally_store *first = open_store(TALLY_STORE_CREATE);
    struct tally_store *second = open_store(TALLY_STORE_WRITE);
    struct tally_head head = { 0 };
    check_ok(fill_append(first, &head, 300, NULL));
    const struct tally_reduction reductions[] = { { .seq = 7 }, { .seq = 299 } };
    check_ok(tl_store_reduce(second, reductions, 2, NULL));
    check_ok(fill_append(first, &head, 100, NULL));
    check_ok(tl_store_reduce(second, reductions, 2, NULL));
    check_ok(fill_append(first, &head, 100, NULL));
    check_ok(tl_store_self_check(first, no_finding, NULL, NULL));
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    check_status(tl_store_reduce(second, reductions, 2, NULL), TALLY_EBUSY);
    assert_int_equal(sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    check_ok(tl_store_reduce(second, reductions, 2, NULL));
    tl_store_close(second);
    tl_store_close(first);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

struct findings {
    const char *code; /* wanted */
    uint64_t seq;
    bool found;
};

static void look_for(void *ctx, const char *code, uint64_t seq, const char *what)
{
    struct findings *findings = ctx;
    assert_true(what[0] != '\0');
    findings->found =
        findings->found || (strcmp(code, findings->code) == 0 && seq == findings->seq);
}

static void its_own_check_names_what_does_not_fit(void **state)
{
    size_t before = tl_sqlite_ids_waiting;
    static const struct {
        const char *sql, *code;
        uint64_t seq;
    } table[] = {
        { "INSERT INTO record(seq, leaf) VALUES(300, x'00')", "LEAF_EXTRA", 300 },
        { "UPDATE record SET event = x'7b7d' WHERE seq = 7", "RECORD_MALFORMED", 7 },
        { "UPDATE record SET leaf = 'text' WHERE seq = 7", "RECORD_MALFORMED", 7 },
        { "DELETE FROM event_id WHERE seq = 12", "INDEX_MISMATCH", 12 },
        { "UPDATE event_id SET seq = 13 WHERE seq = 12", "INDEX_MISMATCH", 12 },
        { "INSERT INTO event_id VALUES(x'000102030405060708090a0b0c0d0e0f', 9)", "INDEX_MISMATCH",
          9 },
        { "INSERT INTO event_id VALUES(x'000102030405060708090a0b0c0d0e0f', 900)", "INDEX_MISMATCH",
          900 },
        { "INSERT INTO event_id VALUES('text', 9)", "INDEX_MISMATCH", 9 },
        { "DELETE FROM event_id_recent", "INDEX_MISMATCH", 299 },
        { "UPDATE event_id_recent SET ids = x'00' WHERE first = 200", "INDEX_MISMATCH", 200 },
        { "UPDATE tile SET data = x'00'", "TILE_MISMATCH", 0 },
        { "INSERT INTO tile VALUES(0, 1, zeroblob(8192))", "TILE_MISMATCH", TALLY_SEQ_NONE },
        { "CREATE TABLE other(x)", "STORE_ERROR", TALLY_SEQ_NONE },
        { "CREATE TRIGGER t AFTER INSERT ON record BEGIN DELETE FROM head; END", "STORE_ERROR",
          TALLY_SEQ_NONE },
    };
    tl_sqlite_ids_waiting = 40;
    for (size_t i = 0; i < TL_ARRAY_LEN(table); i++) {
        struct tally_store *store = open_store(TALLY_STORE_CREATE);
        struct tally_head head = { 0 };
        for (int batch = 0; batch < 3; batch++) {
            check_ok(fill_append(store, &head, 100, NULL));
        }
        tl_store_close(store);
        tamper("DROP TRIGGER record_no_UPDATE; DROP TRIGGER event_id_no_UPDATE; DROP TRIGGER "
               "event_id_no_DELETE; DROP TRIGGER tile_no_UPDATE");
        tamper(table[i].sql);
        store = open_store(TALLY_STORE_READ);
        struct findings findings = { .code = table[i].code, .seq = table[i].seq };
        check_ok(tl_store_self_check(store, look_for, &findings, NULL));
        if (!findings.found) {
            fail_msg("not found: %s", table[i].sql);
        }
        tl_store_close(store);
        assert_int_equal(unlink(path), 0);
    }
    tl_sqlite_ids_waiting = before;
    (void)state;
}

static void a_head_that_does_not_parse_is_corrupt(void **state)
{
    (void)state;
    make_store(3);
    tamper("UPDATE head SET root = x'00'");
    struct tally_store *store = open_store(TALLY_STORE_READ);
    struct tally_head head;
    check_status(tl_store_head(store, &head, NULL), TALLY_ECORRUPT);
    check_status(tl_store_begin_read(store, NULL), TALLY_ECORRUPT);
    tl_store_close(store);
}

int main(void)
{
#define IN_DIR(test) cmocka_unit_test_setup_teardown(test, make_dir, check_rmdir)
    const struct CMUnitTest tests[] = {
        IN_DIR(other_programs_cannot_change_what_was_recorded_by_accident),
        IN_DIR(other_programs_read_events_as_columns),
        IN_DIR(its_files_belong_to_their_owner_alone),
        IN_DIR(opens_only_what_is_a_ledger_of_this_version),
        IN_DIR(of_two_writers_one_is_told_of_the_other),
        IN_DIR(waits_for_no_other_writer),
        IN_DIR(ids_are_found_wherever_they_are_on_their_way),
        IN_DIR(removes_contents_beside_the_one_that_appends),
        IN_DIR(its_own_check_names_what_does_not_fit),
        IN_DIR(a_head_that_does_not_parse_is_corrupt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
