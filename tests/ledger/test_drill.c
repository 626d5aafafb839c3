/* A drill on a ledger that was made by the public interface alone. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <tally/tally.h>

#include "base/clock.h"
#include "base/io.h"
#include "check.h"

#define EVENTS  300u
#define ATTACKS 98u
#define BEYOND  2u /* of them: nothing that lies with the ledger can tell */

struct rows {
    size_t count;
    size_t skipped;
    size_t missed;
};

static int take_row(void *ctx, const struct tally_drill_row *row)
{
    struct rows *rows = ctx;
    rows->count++;
    assert_non_null(row->attack);
    assert_non_null(row->told_by);
    if (row->skipped != NULL) {
        rows->skipped++;
        assert_int_equal(row->found, 0);
        assert_string_equal(row->codes, "");
        return 0;
    }
    if (row->found == 0) {
        rows->missed++;
        print_message("# missed: %s: wanted %s, got %s\n", row->attack, row->expected, row->codes);
    }
    return 0;
}

static void make_ledger(const char *dir, unsigned int count)
{
    struct tally_options options = TALLY_OPTIONS_INIT;
    struct tally_init_result result;
    struct tally_ledger *ledger = NULL;
    struct tally_error err = TALLY_ERROR_INIT;
    options.uri = dir;
    options.writable = 1;
    check_ok(tally_init(&options, NULL, &result, &err));
    check_ok(tally_open(&ledger, &options, &err));
    struct tally_events *events = NULL;
    static struct tally_receipt receipts[EVENTS];
    check_ok(tally_events_new(&events, ledger, &err));
    for (unsigned int i = 0; i < count; i++) {
        char json[200];
        int len =
            snprintf(json, sizeof(json),
                     "{\"action\":\"user.login\",\"actor\":{\"id\":\"u-%u\",\"name\":\"Ann\"},"
                     "\"reason\":\"test %u\"}",
                     i % 7, i);
        check_ok(tally_events_add(events, json, (size_t)len, 0, &err));
    }
    if (count > 0) {
        check_ok(tally_append_events(ledger, events, receipts, &err));
    }
    tally_events_free(events);
    tally_close(ledger);
}

static void expect_verified(const char *dir)
{
    struct tally_verify_options options = TALLY_VERIFY_OPTIONS_INIT;
    struct tally_report *report = NULL;
    check_ok(tally_verify_at(dir, &options, &report, NULL));
    assert_int_equal(report->verdict, TALLY_VERDICT_VERIFIED);
    tally_report_free(report);
}

static void drill(const char *dir, const char *work_dir, struct rows *rows)
{
    struct tally_options options = TALLY_OPTIONS_INIT;
    struct tally_error err = TALLY_ERROR_INIT;
    struct stat st;
    uint64_t missed = 99;
    options.uri = dir;
    tally_status status = tally_drill(&options, work_dir, take_row, rows, &missed, &err);
    if (status != TALLY_OK) {
        print_message("# %s\n", err.message);
    }
    check_ok(status);
    assert_int_equal(missed, 0);
    assert_int_equal(rows->missed, 0);
    assert_int_equal(rows->count, ATTACKS);
    assert_int_not_equal(stat(work_dir, &st), 0);
}

static void finds_every_attack_and_leaves_the_ledger_as_it_was(void **state)
{
    char dir[256];
    char work[256];
    char store[300];
    char *before = NULL;
    char *after = NULL;
    size_t before_len = 0;
    size_t after_len = 0;
    struct rows rows = { 0 };
    check_path(dir, sizeof(dir), *state, "ledger");
    check_path(work, sizeof(work), *state, "work");
    check_path(store, sizeof(store), dir, "ledger.db");
    make_ledger(dir, EVENTS);
    expect_verified(dir);
    check_ok(tl_io_read_file(store, (size_t)64 << 20, &before, &before_len, NULL));
    drill(dir, work, &rows);
    check_ok(tl_io_read_file(store, (size_t)64 << 20, &after, &after_len, NULL));
    assert_int_equal(rows.skipped, BEYOND + 1); /* no epoch is closed yet */
    assert_int_equal(before_len, after_len);
    assert_memory_equal(before, after, after_len);
    expect_verified(dir);
    tl_free(before);
    tl_free(after);
}

static void finds_every_attack_on_an_empty_ledger(void **state)
{
    char dir[256];
    char work[256];
    struct rows rows = { 0 };
    check_path(dir, sizeof(dir), *state, "ledger");
    check_path(work, sizeof(work), *state, "work");
    make_ledger(dir, 0);
    drill(dir, work, &rows);
}

static int64_t days_ago_us(void)
{
    return tl_clock_system.wall_us() - INT64_C(3) * 24 * 3600 * 1000000;
}

static void skips_nothing_once_an_epoch_is_closed(void **state)
{
    static struct tl_clock_ops slow;
    char dir[256];
    char work[256];
    struct rows rows = { 0 };
    check_path(dir, sizeof(dir), *state, "ledger");
    check_path(work, sizeof(work), *state, "work");
    slow = tl_clock_system;
    slow.wall_us = days_ago_us;
    tl_clock = &slow;
    make_ledger(dir, 10);
    tl_clock = &tl_clock_system;
    drill(dir, work, &rows);
    assert_int_equal(rows.skipped, BEYOND);
}

/* Keys elsewhere, and settings: a copy must keep its hands off what they name. */
static void leaves_keys_that_lie_elsewhere_alone(void **state)
{
    char dir[256];
    char work[256];
    char keys[256];
    char state_path[300];
    char *before = NULL;
    char *after = NULL;
    size_t before_len = 0;
    size_t after_len = 0;
    uint64_t missed = 99;
    struct rows rows = { 0 };
    struct tally_init_result result;
    struct tally_options options = TALLY_OPTIONS_INIT;
    check_path(dir, sizeof(dir), *state, "ledger");
    check_path(work, sizeof(work), *state, "work");
    check_path(keys, sizeof(keys), *state, "keys-elsewhere");
    check_path(state_path, sizeof(state_path), keys, "highwater");
    const struct tally_setting setting = { "keys.dir", keys, "test" };
    options.uri = dir;
    options.settings = &setting;
    options.setting_count = 1;
    check_ok(tally_init(&options, NULL, &result, NULL));
    check_ok(tl_io_read_file(state_path, 4096, &before, &before_len, NULL));
    check_ok(tally_drill(&options, work, take_row, &rows, &missed, NULL));
    assert_int_equal(missed, 0);
    check_ok(tl_io_read_file(state_path, 4096, &after, &after_len, NULL));
    assert_int_equal(before_len, after_len);
    assert_memory_equal(before, after, after_len);
    tl_free(before);
    tl_free(after);
}

static void works_beside_a_writer(void **state)
{
    char dir[256];
    char work[256];
    struct rows rows = { 0 };
    struct tally_options options = TALLY_OPTIONS_INIT;
    struct tally_ledger *ledger = NULL;
    check_path(dir, sizeof(dir), *state, "ledger");
    check_path(work, sizeof(work), *state, "work");
    make_ledger(dir, 10);
    options.uri = dir;
    options.writable = 1;
    check_ok(tally_open(&ledger, &options, NULL));
    drill(dir, work, &rows);
    tally_close(ledger);
    expect_verified(dir);
}

static void keeps_away_from_a_directory_that_is_there(void **state)
{
    char dir[256];
    struct stat st;
    struct rows rows = { 0 };
    struct tally_options options = TALLY_OPTIONS_INIT;
    uint64_t missed = 99;
    check_path(dir, sizeof(dir), *state, "ledger");
    make_ledger(dir, 1);
    options.uri = dir;
    check_status(tally_drill(&options, *state, take_row, &rows, &missed, NULL), TALLY_ECONFLICT);
    assert_int_equal(missed, 99);
    assert_int_equal(rows.count, 0);
    assert_int_equal(stat(dir, &st), 0);
}

static int stop_at_third(void *ctx, const struct tally_drill_row *row)
{
    struct rows *rows = ctx;
    (void)row;
    rows->count++;
    return rows->count == 3;
}

static void leaves_nothing_behind_when_it_is_stopped(void **state)
{
    char dir[256];
    char work[256];
    struct stat st;
    struct rows rows = { 0 };
    struct tally_options options = TALLY_OPTIONS_INIT;
    uint64_t missed = 99;
    check_path(dir, sizeof(dir), *state, "ledger");
    check_path(work, sizeof(work), *state, "work");
    make_ledger(dir, 1);
    options.uri = dir;
    check_status(tally_drill(&options, work, stop_at_third, &rows, &missed, NULL), TALLY_ECANCELED);
    assert_int_equal(rows.count, 3);
    assert_int_equal(missed, 99);
    assert_int_not_equal(stat(work, &st), 0);
}

static void refuses_what_cannot_be_copied(void **state)
{
    char dir[256];
    char work[256];
    struct stat st;
    struct rows rows = { 0 };
    struct tally_options options = TALLY_OPTIONS_INIT;
    uint64_t missed = 99;
    check_path(dir, sizeof(dir), *state, "nothing");
    check_path(work, sizeof(work), *state, "work");
    options.uri = "memory:100";
    check_status(tally_drill(&options, work, take_row, &rows, &missed, NULL), TALLY_ENOTSUP);
    options.uri = dir;
    check_status(tally_drill(&options, work, take_row, &rows, &missed, NULL), TALLY_ENOTFOUND);
    assert_int_equal(rows.count, 0);
    assert_int_not_equal(stat(work, &st), 0);
}

static void refuses_a_ledger_that_is_not_sound(void **state)
{
    char dir[256];
    char work[256];
    char trust[300];
    struct rows rows = { 0 };
    struct tally_options options = TALLY_OPTIONS_INIT;
    struct tally_error err = TALLY_ERROR_INIT;
    uint64_t missed = 99;
    check_path(dir, sizeof(dir), *state, "ledger");
    check_path(work, sizeof(work), *state, "work");
    check_path(trust, sizeof(trust), dir, "keys/trust.txt");
    make_ledger(dir, 5);
    check_ok(tl_io_replace_file(trust, "", 0, 0600, NULL));
    options.uri = dir;
    check_status(tally_drill(&options, work, take_row, &rows, &missed, &err), TALLY_ECORRUPT);
    assert_non_null(strstr(err.message, "UNVERIFIABLE"));
    assert_int_equal(rows.count, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, check_mkdir, check_rmdir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(finds_every_attack_and_leaves_the_ledger_as_it_was),
        TEST(finds_every_attack_on_an_empty_ledger),
        TEST(skips_nothing_once_an_epoch_is_closed),
        TEST(leaves_keys_that_lie_elsewhere_alone),
        TEST(works_beside_a_writer),
        TEST(keeps_away_from_a_directory_that_is_there),
        TEST(leaves_nothing_behind_when_it_is_stopped),
        TEST(refuses_what_cannot_be_copied),
        TEST(refuses_a_ledger_that_is_not_sound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
