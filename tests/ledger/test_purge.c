/* A purge removes what is due, and nothing else, and every verification says so. */
#include <tally/tally.h>

#include <stdio.h>
#include <string.h>

#include "check.h"
#include "ledger/purge.h"
#include "support/fake_clock.h"
#include "support/purging.h"

static void purges_on_the_day_and_not_before(struct tally_ledger *ledger)
{
    purging_append(ledger, "default", 20, "medium");
    purging_append(ledger, "critical", 5, "critical");
    purging_append(ledger, "low", 5, "low");
    purging_append(ledger, "high", 5, "high");
    /* Sealed on day 0 after midnight: kept for one day counts from the next midnight. */
    fake_clock_pass(DAY);
    (void)site_append(ledger, "wake-1", 1);
    struct tally_purged purged = purging_run(ledger);
    assert_int_equal(purged.purged, 0);
    assert_int_equal(purged.due, 0);
    assert_true(purged.seq == TALLY_SEQ_NONE);
    assert_int_equal(purging_count(ledger, "default", 20), 20);

    fake_clock_pass(DAY); /* now it is the first day on which they may go */
    purged = purging_run(ledger);
    assert_int_equal(purged.purged, 20);
    assert_int_equal(purged.due, 20);
    assert_int_equal(purged.held, 0);
    assert_int_equal(purged.remaining, 0);
    assert_int_equal(purged.ranges, 1);
    assert_true(purged.seq != TALLY_SEQ_NONE);
    assert_true(purged.bytes > 2000);
    assert_int_equal(purging_count(ledger, "default", 20), 0);
    assert_int_equal(purging_count(ledger, "critical", 5), 5);
    purging_verify(ledger);

    fake_clock_pass(2 * DAY);
    (void)site_append(ledger, "wake-2", 1);
    fake_clock_pass(DAY);
    purged = purging_run(ledger);
    assert_true(purged.purged >= 5);
    assert_int_equal(purging_count(ledger, "critical", 5), 0);
    assert_int_equal(purging_count(ledger, "low", 5), 5); /* 0 and less: for ever */
    assert_int_equal(purging_count(ledger, "high", 5), 5);
    purging_verify(ledger);
}

static void a_ledger_on_disk_purges_on_the_day_and_not_before(void **state)
{
    (void)state;
    struct tally_ledger *ledger = site_open(&purging_site);
    purges_on_the_day_and_not_before(ledger);
    tally_close(ledger);
    (void)site_verify(&purging_site);
}

static void a_ledger_in_memory_purges_on_the_day_and_not_before(void **state)
{
    (void)state;
    struct tally_ledger *ledger = purging_memory();
    purges_on_the_day_and_not_before(ledger);
    tally_close(ledger);
}

static void today_is_never_beyond_the_newest_record_plus_a_day(void **state)
{
    (void)state;
    assert_int_equal(tl_purge_today(10 * DAY, 10 * DAY - 1), 10);
    assert_int_equal(tl_purge_today(10 * DAY - 1, 10 * DAY - 1), 9);
    assert_int_equal(tl_purge_today(3650 * DAY, 10 * DAY), 11);
    assert_int_equal(tl_purge_today(5 * DAY, 10 * DAY), 5);
    assert_int_equal(tl_purge_today(-DAY, 10 * DAY), 0);
}

static void a_clock_that_jumps_ten_years_purges_nothing(void **state)
{
    (void)state;
    struct tally_ledger *ledger = site_open(&purging_site);
    purging_append(ledger, "a", 10, "medium");
    fake_clock_step(10 * FAKE_YEAR);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(purging_run(ledger).purged, 0);
    }
    assert_int_equal(purging_count(ledger, "a", 10), 10);
    fake_clock_step(-10 * FAKE_YEAR);
    purging_verify(ledger);
    tally_close(ledger);
}

static void a_dry_run_changes_nothing(void **state)
{
    (void)state;
    struct tally_ledger *ledger = site_open(&purging_site);
    purging_append(ledger, "a", 10, "medium");
    fake_clock_pass(2 * DAY);
    (void)site_append(ledger, "wake", 1);
    struct tally_purge_options options = TALLY_PURGE_OPTIONS_INIT;
    options.dry_run = 1;
    struct tally_purged purged = purging_run_with(ledger, &options);
    assert_int_equal(purged.purged, 10);
    assert_true(purged.seq == TALLY_SEQ_NONE);
    assert_true(purged.bytes > 0);
    assert_int_equal(purging_count(ledger, "a", 10), 10);
    assert_int_equal(site_count_kind(ledger, "purge", NULL, 0), 0);
    purging_verify(ledger);
    tally_close(ledger);
}

static void every_run_leaves_an_event(void **state)
{
    (void)state;
    struct tally_ledger *ledger = site_open(&purging_site);
    purging_append(ledger, "a", 10, "medium");
    (void)purging_run(ledger);
    purging_check_event(ledger,
                        "'metadata':{'cutoff':'2026-01-01','dry_run':false,'evaluated':10,'held':0,"
                        "'purge_seq':null,'purged':0}",
                        "\"outcome\":\"success\"");
    fake_clock_pass(2 * DAY);
    (void)site_append(ledger, "wake", 1);
    struct tally_purge_options options = TALLY_PURGE_OPTIONS_INIT;
    options.dry_run = 1;
    (void)purging_run_with(ledger, &options);
    purging_check_event(ledger,
                        "'metadata':{'cutoff':'2026-01-03','dry_run':true,'evaluated':12,'held':0,"
                        "'purge_seq':null,'purged':10}",
                        "\"outcome\":\"success\"");
    struct tally_purged purged = purging_run(ledger);
    char wanted[256];
    (void)snprintf(wanted, sizeof(wanted),
                   "'metadata':{'cutoff':'2026-01-03','dry_run':false,'evaluated':13,'held':0,"
                   "'purge_seq':%llu,'purged':10}",
                   (unsigned long long)purged.seq);
    purging_check_event(ledger, wanted, "\"outcome\":\"success\"");
    tally_close(ledger);
}

static void old_records_behind_thousands_of_fresh_ones_are_purged(void **state)
{
    (void)state;
    struct tally_ledger *ledger = site_open(&purging_site);
    for (int i = 0; i < 3; i++) {
        char prefix[16];
        (void)snprintf(prefix, sizeof(prefix), "old%d", i);
        purging_append(ledger, prefix, 1000, i == 1 ? "critical" : "medium");
    }
    fake_clock_pass(2 * DAY);
    purging_append(ledger, "new", 4000, "medium");
    struct tally_purged purged = purging_run(ledger);
    assert_int_equal(purged.purged, 2000);
    assert_int_equal(purged.evaluated, 7000);
    assert_int_equal(purged.ranges, 2);
    purging_verify(ledger);
    tally_close(ledger);
}

static void a_bound_leaves_the_rest_due(void **state)
{
    (void)state;
    struct tally_ledger *ledger = site_open(&purging_site);
    purging_append(ledger, "a", 100, "medium");
    fake_clock_pass(2 * DAY);
    (void)site_append(ledger, "wake", 1);
    struct tally_purge_options options = TALLY_PURGE_OPTIONS_INIT;
    options.max_records = 30;
    struct tally_purged purged = purging_run_with(ledger, &options);
    assert_int_equal(purged.purged, 30);
    assert_int_equal(purged.due, 100);
    assert_int_equal(purged.remaining, 70);
    purging_verify(ledger);
    purged = purging_run(ledger);
    assert_int_equal(purged.purged, 70);
    purging_verify(ledger);
    tally_close(ledger);
}

static void a_day_only_narrows(void **state)
{
    (void)state;
    struct tally_ledger *ledger = site_open(&purging_site);
    purging_append(ledger, "a", 5, "medium");
    fake_clock_pass(DAY);
    purging_append(ledger, "b", 5, "medium");
    fake_clock_pass(2 * DAY);
    (void)site_append(ledger, "wake", 1);
    uint32_t first_due = (uint32_t)(FAKE_CLOCK_START / DAY) + 2;
    struct tally_purge_options options = TALLY_PURGE_OPTIONS_INIT;
    options.before_day = first_due;
    assert_int_equal(purging_run_with(ledger, &options).purged, 0);
    options.before_day = first_due + 1;
    assert_int_equal(purging_run_with(ledger, &options).purged, 5);
    assert_int_equal(purging_count(ledger, "b", 5), 5);
    options.before_day = first_due + 10000;
    assert_int_equal(purging_run_with(ledger, &options).purged, 5);
    purging_verify(ledger);
    tally_close(ledger);
}

static void a_longer_rule_counts_at_once(void **state)
{
    (void)state;
    struct tally_ledger *ledger = site_open(&purging_site);
    purging_append(ledger, "a", 10, "medium");
    purging_append(ledger, "b", 10, "critical");
    purging_append(ledger, "c", 10, "medium");
    tally_close(ledger);

    fake_clock_pass(9 * DAY);
    static const struct tally_setting longer[] = {
        { .key = "retention.default_days", .value = "30", .origin = "test" },
        { .key = "retention.by_severity.critical", .value = "3", .origin = "test" },
    };
    purging_site.settings = longer;
    purging_site.setting_count = TL_ARRAY_LEN(longer);
    purging_site.accept_clock = 1;
    ledger = site_open(&purging_site);
    (void)site_append(ledger, "wake", 1);
    struct tally_purged purged = purging_run(ledger);
    assert_int_equal(purged.purged, 10);
    assert_int_equal(purging_count(ledger, "a", 10), 10);
    assert_int_equal(purging_count(ledger, "b", 10), 0);
    (void)site_verify_open(ledger, NULL);
    assert_int_equal(purging_findings(ledger, "PURGE_COUNT"), 0);
    tally_close(ledger);

    /* A shorter rule changes nothing; what was permitted before goes without another leaf. */
    purging_site.settings = purging_rules;
    purging_site.setting_count = PURGING_RULES;
    ledger = site_open(&purging_site);
    purged = purging_run(ledger);
    assert_int_equal(purged.purged, 20);
    purging_verify(ledger);
    tally_close(ledger);
}

/* --------------------------------------------------------------------------------------------- */

static uint64_t hold(struct tally_ledger *ledger, const char *id, uint64_t first, uint64_t last)
{
    const struct tally_range range = { .first = first, .last = last };
    const struct tally_selection selection = { .ranges = &range, .range_count = 1 };
    struct tally_held held;
    check_ok(tally_hold_add(ledger, id, &selection, 0, 0, &purging_operator, &held, NULL, NULL));
    return held.seq;
}

static void held_records_stay(struct tally_ledger *ledger)
{
    purging_append(ledger, "a", 20, "medium"); /* from seq 1 on, if the ledger is new */
    struct tally_page *page = NULL;
    check_ok(tally_get_by_id(ledger, "a-0", &page, NULL));
    uint64_t first = page->items[0].seq;
    tally_page_free(page);
    (void)hold(ledger, "case-1", first + 5, first + 9);
    (void)hold(ledger, "case-2", first + 8, first + 12);
    fake_clock_pass(2 * DAY);
    (void)site_append(ledger, "wake", 1);
    struct tally_purged purged = purging_run(ledger);
    assert_int_equal(purged.due, 20);
    assert_int_equal(purged.held, 8);
    assert_int_equal(purged.purged, 12);
    assert_int_equal(purged.ranges, 2);
    purging_verify(ledger);

    check_ok(tally_hold_release(ledger, "case-1", &purging_operator, NULL, NULL));
    purged = purging_run(ledger);
    assert_int_equal(purged.held, 5);
    assert_int_equal(purged.purged, 3);
    check_ok(tally_hold_release(ledger, "case-2", &purging_operator, NULL, NULL));
    purged = purging_run(ledger);
    assert_int_equal(purged.held, 0);
    assert_int_equal(purged.purged, 5);
    assert_int_equal(purging_count(ledger, "a", 20), 0);
    purging_verify(ledger);
}

static void held_records_stay_on_disk(void **state)
{
    (void)state;
    struct tally_ledger *ledger = site_open(&purging_site);
    held_records_stay(ledger);
    tally_close(ledger);
}

static void held_records_stay_in_memory(void **state)
{
    (void)state;
    struct tally_ledger *ledger = purging_memory();
    held_records_stay(ledger);
    tally_close(ledger);
}

/* Stops after the first batch. */
static int stop_at_once(void *ctx, uint64_t done, uint64_t total)
{
    (void)ctx;
    (void)total;
    return done > 0 ? 1 : 0;
}

static void a_purge_that_was_cut_short_goes_on_with_the_next(void **state)
{
    (void)state;
    struct tally_ledger *ledger = site_open(&purging_site);
    purging_append(ledger, "a", 1000, "medium");
    fake_clock_pass(2 * DAY);
    (void)site_append(ledger, "wake", 1);
    struct tally_purge_options options = TALLY_PURGE_OPTIONS_INIT;
    options.progress = stop_at_once;
    struct tally_purged purged;
    check_status(purging_try(ledger, &options, &purged, NULL), TALLY_ECANCELED);
    assert_in_range(purged.purged, 1, 999);
    assert_int_equal(purged.remaining, 1000 - purged.purged);
    (void)site_verify_open(ledger, NULL);
    unsigned gone = 1000 - purging_count(ledger, "a", 1000);
    assert_int_equal(gone, purged.purged);

    /* A hold that was set meanwhile is respected, although the leaf permits more. */
    struct tally_page *page = NULL;
    check_ok(tally_get_by_id(ledger, "a-990", &page, NULL));
    (void)hold(ledger, "late", page->items[0].seq, page->items[0].seq + 4);
    tally_page_free(page);
    purged = purging_run(ledger);
    assert_int_equal(purged.purged, 1000 - gone - 5);
    assert_int_equal(purged.held, 5);
    assert_true(purged.seq == TALLY_SEQ_NONE);
    assert_int_equal(site_count_kind(ledger, "purge", NULL, 0), 1);
    (void)site_verify_open(ledger, NULL);

    check_ok(tally_hold_release(ledger, "late", &purging_operator, NULL, NULL));
    assert_int_equal(purging_run(ledger).purged, 5);
    purging_verify(ledger);
    tally_close(ledger);
}

static void an_early_purge_needs_a_second_person(void **state)
{
    (void)state;
    struct tally_ledger *ledger = site_open(&purging_site);
    purging_append(ledger, "a", 10, "low");
    const struct tally_range range = { .first = 1, .last = 5 };
    struct tally_purge_options options = TALLY_PURGE_OPTIONS_INIT;
    options.ranges = &range;
    options.range_count = 1;
    struct tally_purged purged;
    char *request = NULL;
    check_status(tally_purge(ledger, &options, &purging_operator, &purged, &request, NULL),
                 TALLY_EDENIED);
    assert_non_null(request);
    assert_non_null(strstr(request, "override"));
    tally_free(request);
    assert_int_equal(purging_count(ledger, "a", 10), 10);
    assert_int_equal(site_count_kind(ledger, "purge", NULL, 0), 0);
    tally_close(ledger);
}

static void what_cannot_be_recorded_is_not_done(void **state)
{
    (void)state;
    struct tally_ledger *ledger = site_open(&purging_site);
    const struct tally_purge_options options = TALLY_PURGE_OPTIONS_INIT;
    struct tally_purged purged;
    struct tally_error error = TALLY_ERROR_INIT;
    char reason[4098];
    memset(reason, 'x', sizeof(reason) - 1);
    reason[sizeof(reason) - 1] = '\0';
    const struct tally_actor wordy = { .by = "operator", .reason = reason };
    purging_append(ledger, "default", 5, "medium");
    fake_clock_pass(400 * DAY);
    (void)site_append(ledger, "wake", 1);
    check_status(tally_purge(ledger, &options, &wordy, &purged, NULL, &error), TALLY_EREFUSED);
    assert_string_equal(error.code, "too_long");
    assert_string_equal(error.pointer, "/reason");
    assert_int_equal(purged.purged, 0);
    assert_int_equal(purging_count(ledger, "default", 5), 5);
    assert_int_equal(site_count_kind(ledger, "purge", NULL, 0), 0);
    reason[4096] = '\0';
    check_ok(tally_purge(ledger, &options, &wordy, &purged, NULL, NULL));
    assert_int_equal(purged.purged, 5);
    tally_close(ledger);
}

static void nonsense_is_refused(void **state)
{
    (void)state;
    struct tally_ledger *ledger = site_open(&purging_site);
    purging_append(ledger, "a", 10, "low");
    struct tally_purged purged;
    struct tally_purge_options options = TALLY_PURGE_OPTIONS_INIT;
    options.struct_size--;
    check_status(purging_try(ledger, &options, &purged, NULL), TALLY_EINVAL);
    const struct tally_range bad[] = { { 3, 5 }, { 5, 6 } };
    const struct tally_range far = { 3, 500 };
    options = (struct tally_purge_options)TALLY_PURGE_OPTIONS_INIT;
    options.ranges = bad;
    options.range_count = 2;
    check_status(purging_try(ledger, &options, &purged, NULL), TALLY_EINVAL);
    options.ranges = &far;
    options.range_count = 1;
    check_status(purging_try(ledger, &options, &purged, NULL), TALLY_EINVAL);
    options.before_day = 1;
    check_status(purging_try(ledger, &options, &purged, NULL), TALLY_EINVAL);
    options = (struct tally_purge_options)TALLY_PURGE_OPTIONS_INIT;
    const struct tally_actor nobody = { .by = "" };
    check_status(tally_purge(ledger, &options, &nobody, &purged, NULL, NULL), TALLY_EINVAL);
    tally_close(ledger);
    ledger = site_open_read(&purging_site);
    check_status(purging_try(ledger, &options, &purged, NULL), TALLY_EINVAL);
    tally_close(ledger);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, purging_set_up, purging_tear_down)
    const struct CMUnitTest tests[] = {
        CASE(a_ledger_on_disk_purges_on_the_day_and_not_before),
        CASE(a_ledger_in_memory_purges_on_the_day_and_not_before),
        CASE(today_is_never_beyond_the_newest_record_plus_a_day),
        CASE(a_clock_that_jumps_ten_years_purges_nothing),
        CASE(a_dry_run_changes_nothing),
        CASE(every_run_leaves_an_event),
        CASE(old_records_behind_thousands_of_fresh_ones_are_purged),
        CASE(a_bound_leaves_the_rest_due),
        CASE(a_day_only_narrows),
        CASE(a_longer_rule_counts_at_once),
        CASE(held_records_stay_on_disk),
        CASE(held_records_stay_in_memory),
        CASE(a_purge_that_was_cut_short_goes_on_with_the_next),
        CASE(an_early_purge_needs_a_second_person),
        CASE(what_cannot_be_recorded_is_not_done),
        CASE(nonsense_is_refused),
    };
    return cmocka_run_group_tests_name("ledger/purge", tests, NULL, NULL);
}
