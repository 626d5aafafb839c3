/* A drill on a ledger that was made by the public interface alone. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <tally/tally.h>

#include "base/clock.h"
#include "base/io.h"
#include "check.h"
#include "ledger/drill.h"

#define EVENTS  300u
#define ATTACKS 99u
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

/* ------------------------------------------------------------------------------------------- */

/* To the drill, a verification that does not see an attack and an attack that is none are the same. */
static tally_status do_nothing(struct tl_drill *drill, const struct tl_attack *attack,
                               struct tally_error *err)
{
    (void)drill;
    (void)attack;
    (void)err;
    return TALLY_OK;
}

static tally_status delete_one(struct tl_drill *drill, const struct tl_attack *attack,
                               struct tally_error *err)
{
    (void)attack;
    return tl_edit_run1(drill, "DELETE FROM record WHERE seq = ?1", drill->first, err);
}

static tally_status find_nothing(struct tl_drill *drill, const struct tl_attack *attack,
                                 struct tally_error *err)
{
    (void)attack;
    return tl_edit_run1(drill, "DELETE FROM record WHERE seq = ?1", drill->size + 5, err);
}

static tally_status break_down(struct tl_drill *drill, const struct tl_attack *attack,
                               struct tally_error *err)
{
    (void)attack;
    return tl_edit_run(drill, "DELETE FROM no_such_table", err);
}

/* What became of each. */
struct outcome {
    int found;
    bool skipped;
    char codes[200];
};
struct outcomes {
    struct outcome items[8];
    size_t count;
};

static int take_outcome(void *ctx, const struct tally_drill_row *row)
{
    struct outcomes *outcomes = ctx;
    assert_true(outcomes->count < TL_ARRAY_LEN(outcomes->items));
    struct outcome *outcome = &outcomes->items[outcomes->count++];
    outcome->found = row->found;
    outcome->skipped = row->skipped != NULL;
    (void)snprintf(outcome->codes, sizeof(outcome->codes), "%s", row->codes);
    return 0;
}

static tally_status drill_with(void *const *state, const struct tl_attack *attacks, size_t count,
                               struct outcomes *outcomes, uint64_t *missed)
{
    char dir[256];
    char work[256];
    const struct tl_attack_list lists[] = { { attacks, count }, { 0 } };
    struct tally_options options = TALLY_OPTIONS_INIT;
    struct stat st;
    check_path(dir, sizeof(dir), *state, "ledger");
    check_path(work, sizeof(work), *state, "work");
    make_ledger(dir, 3);
    options.uri = dir;
    tally_status status = tl_drill_run(&options, work, lists, take_outcome, outcomes, missed, NULL);
    assert_int_not_equal(stat(work, &st), 0);
    return status;
}

static void says_so_if_verification_is_blind(void **state)
{
    static const struct tl_attack attacks[] = {
        { .name = "unseen", .expected = "LEAF_MISSING", .told_by = "-", .run = do_nothing },
        { .name = "a usual warning",
          .expected = "PURGE_OVERRIDE",
          .told_by = "-",
          .run = do_nothing },
        { .name = "mistaken", .expected = "TILE_MISSING", .told_by = "-", .run = delete_one },
        { .name = "seen", .expected = "LEAF_MISSING", .told_by = "-", .run = delete_one },
        { .name = "impossible", .expected = "LEAF_MISSING", .told_by = "-", .run = find_nothing },
        { .name = "beyond",
          .expected = "LEAF_MISSING",
          .told_by = "-",
          .run = do_nothing,
          .beyond = "nobody can tell" },
        { .name = "less far",
          .expected = "LEAF_MISSING",
          .told_by = "-",
          .run = delete_one,
          .beyond = "nobody can tell" },
    };
    struct outcomes outcomes = { 0 };
    uint64_t missed = 0;
    check_ok(drill_with(state, attacks, TL_ARRAY_LEN(attacks), &outcomes, &missed));
    assert_int_equal(missed, 3);
    assert_int_equal(outcomes.count, TL_ARRAY_LEN(attacks));
    static const struct outcome wanted[] = {
        { 0, false, "" },
        { 0, false, "" },
        { 0, false, "LEAF_MISSING,INDEX_MISMATCH" },
        { 1, false, "LEAF_MISSING,INDEX_MISMATCH" },
        { 0, true, "" },
        { 0, true, "" },
        { 1, false, "LEAF_MISSING,INDEX_MISMATCH" },
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(wanted); i++) {
        assert_int_equal(outcomes.items[i].found, wanted[i].found);
        assert_int_equal(outcomes.items[i].skipped, wanted[i].skipped);
        assert_string_equal(outcomes.items[i].codes, wanted[i].codes);
    }
}

static void ends_if_an_attack_cannot_be_made(void **state)
{
    static const struct tl_attack attack = {
        .name = "broken", .expected = "LEAF_MISSING", .told_by = "-", .run = break_down
    };
    struct outcomes outcomes = { 0 };
    uint64_t missed = 99;
    assert_int_not_equal(drill_with(state, &attack, 1, &outcomes, &missed), TALLY_OK);
    assert_int_equal(outcomes.count, 0);
    assert_int_equal(missed, 99);
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
        TEST(says_so_if_verification_is_blind),
        TEST(ends_if_an_attack_cannot_be_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
