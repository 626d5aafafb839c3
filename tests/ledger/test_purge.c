/* A purge removes what is due, and nothing else, and every verification says so. */
#include <tally/tally.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/io.h"
#include "check.h"
#include "fault.h"
#include "ledger/purge.h"
#include "store/tamper.h"
#include "support/fake_clock.h"
#include "support/site.h"

#define DAY (24 * FAKE_HOUR)

static struct site site;
static const struct tally_actor operator= { .by = "alice" };

static const struct tally_setting one_day[] = {
    { .key = "retention.default_days", .value = "1", .origin = "test" },
    { .key = "retention.by_severity.critical", .value = "3", .origin = "test" },
    { .key = "retention.by_severity.low", .value = "0", .origin = "test" },
    { .key = "retention.by_severity.high", .value = "-7", .origin = "test" },
};

static int set_up(void **state)
{
    if (check_mkdir(state) != 0) {
        return -1;
    }
    fake_clock_use();
    fake_clock_pass(FAKE_HOUR); /* the day has begun */
    site_init(&site, *state, one_day, TL_ARRAY_LEN(one_day));
    return 0;
}

static int tear_down(void **state)
{
    fake_clock_end();
    return check_rmdir(state);
}

static struct tally_ledger *open_memory(void)
{
    struct tally_options options = TALLY_OPTIONS_INIT;
    options.uri = "memory:10000";
    options.settings = one_day;
    options.setting_count = TL_ARRAY_LEN(one_day);
    struct tally_ledger *ledger = NULL;
    check_ok(tally_open(&ledger, &options, NULL));
    return ledger;
}

static void add(struct tally_events *events, const char *id, const char *severity)
{
    char text[256];
    (void)snprintf(
        text, sizeof(text),
        "{'id':'%s','action':'test.event','severity':'%s','metadata':{'secret':'of %s'}}", id,
        severity, id);
    site_add_text(events, text, 0);
}

/* Appends `count` events of a severity, "<prefix>-0" and so on. */
static void append_many(struct tally_ledger *ledger, const char *prefix, unsigned count,
                        const char *severity)
{
    static struct tally_receipt receipts[4096];
    struct tally_events *events = NULL;
    check_ok(tally_events_new(&events, ledger, NULL));
    for (unsigned n = 0; n < count; n++) {
        char id[64];
        (void)snprintf(id, sizeof(id), "%s-%u", prefix, n);
        add(events, id, severity);
    }
    check_ok(tally_append_events(ledger, events, receipts, NULL));
    tally_events_free(events);
}

/* How many of "<prefix>-0" ... have contents. */
static unsigned count_there(struct tally_ledger *ledger, const char *prefix, unsigned count)
{
    unsigned there = 0;
    for (unsigned n = 0; n < count; n++) {
        char id[64];
        struct tally_page *page = NULL;
        (void)snprintf(id, sizeof(id), "%s-%u", prefix, n);
        /* Without its contents a record is not found by its id. */
        there += tally_get_by_id(ledger, id, &page, NULL) == TALLY_OK ? 1 : 0;
        tally_page_free(page);
    }
    return there;
}

static tally_status try_purge(struct tally_ledger *ledger,
                              const struct tally_purge_options *options, struct tally_purged *out,
                              struct tally_error *err)
{
    return tally_purge(ledger, options, &operator, out, NULL, err);
}

static struct tally_purged purge_with(struct tally_ledger *ledger,
                                      const struct tally_purge_options *options)
{
    struct tally_purged purged;
    struct tally_error error = TALLY_ERROR_INIT;
    tally_status status = try_purge(ledger, options, &purged, &error);
    if (status != TALLY_OK) {
        print_error("%s\n", error.message);
    }
    check_ok(status);
    return purged;
}

static struct tally_purged purge(struct tally_ledger *ledger)
{
    const struct tally_purge_options options = TALLY_PURGE_OPTIONS_INIT;
    return purge_with(ledger, &options);
}

/* Verifies, and counts the findings of a code. */
static unsigned verify_counting(struct tally_ledger *ledger, const char *code)
{
    struct tally_verify_options options = TALLY_VERIFY_OPTIONS_INIT;
    struct tally_report *report = NULL;
    options.mac_key_path = ledger == NULL ? site.mac_key : NULL;
    check_ok(ledger != NULL ? tally_verify(ledger, &options, &report, NULL)
                            : tally_verify_at(site.dir, &options, &report, NULL));
    unsigned found = 0;
    for (size_t i = 0; i < report->finding_count; i++) {
        found += strcmp(report->findings[i].code, code) == 0 ? 1 : 0;
    }
    tally_report_free(report);
    return found;
}

/* VERIFIED, and nothing about purges but that there were some. */
static void verify_clean(struct tally_ledger *ledger)
{
    (void)site_verify_open(ledger, NULL);
    assert_int_equal(verify_counting(ledger, "PURGE_COUNT"), 0);
    assert_int_equal(verify_counting(ledger, "PURGE_INCOMPLETE"), 0);
}

/* --------------------------------------------------------------------------------------------- */

static void purges_on_the_day_and_not_before(struct tally_ledger *ledger)
{
    append_many(ledger, "default", 20, "medium");
    append_many(ledger, "critical", 5, "critical");
    append_many(ledger, "low", 5, "low");
    append_many(ledger, "high", 5, "high");
    /* Sealed on day 0 after midnight: kept for one day counts from the next midnight. */
    fake_clock_pass(DAY);
    (void)site_append(ledger, "wake-1", 1);
    struct tally_purged purged = purge(ledger);
    assert_int_equal(purged.purged, 0);
    assert_int_equal(purged.due, 0);
    assert_true(purged.seq == TALLY_SEQ_NONE);
    assert_int_equal(count_there(ledger, "default", 20), 20);

    fake_clock_pass(DAY); /* now it is the first day on which they may go */
    purged = purge(ledger);
    assert_int_equal(purged.purged, 20);
    assert_int_equal(purged.due, 20);
    assert_int_equal(purged.held, 0);
    assert_int_equal(purged.remaining, 0);
    assert_int_equal(purged.ranges, 1);
    assert_true(purged.seq != TALLY_SEQ_NONE);
    assert_true(purged.bytes > 20 * 100);
    assert_int_equal(count_there(ledger, "default", 20), 0);
    assert_int_equal(count_there(ledger, "critical", 5), 5);
    verify_clean(ledger);

    fake_clock_pass(2 * DAY);
    (void)site_append(ledger, "wake-2", 1);
    fake_clock_pass(DAY);
    purged = purge(ledger);
    assert_int_equal(count_there(ledger, "critical", 5), 0);
    assert_int_equal(count_there(ledger, "low", 5), 5); /* 0 and less: for ever */
    assert_int_equal(count_there(ledger, "high", 5), 5);
    verify_clean(ledger);
}

static void a_ledger_on_disk_purges_on_the_day_and_not_before(void **state)
{
    (void)state;
    struct tally_ledger *ledger = site_open(&site);
    purges_on_the_day_and_not_before(ledger);
    tally_close(ledger);
    (void)site_verify(&site);
}

static void a_ledger_in_memory_purges_on_the_day_and_not_before(void **state)
{
    (void)state;
    struct tally_ledger *ledger = open_memory();
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
    struct tally_ledger *ledger = site_open(&site);
    append_many(ledger, "a", 10, "medium");
    fake_clock_step(10 * FAKE_YEAR);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(purge(ledger).purged, 0);
    }
    assert_int_equal(count_there(ledger, "a", 10), 10);
    fake_clock_step(-10 * FAKE_YEAR);
    verify_clean(ledger);
    tally_close(ledger);
}

static void a_dry_run_changes_nothing(void **state)
{
    (void)state;
    struct tally_ledger *ledger = site_open(&site);
    append_many(ledger, "a", 10, "medium");
    fake_clock_pass(2 * DAY);
    (void)site_append(ledger, "wake", 1);
    struct tally_purge_options options = TALLY_PURGE_OPTIONS_INIT;
    options.dry_run = 1;
    struct tally_purged purged = purge_with(ledger, &options);
    assert_int_equal(purged.purged, 10);
    assert_true(purged.seq == TALLY_SEQ_NONE);
    assert_true(purged.bytes > 0);
    assert_int_equal(count_there(ledger, "a", 10), 10);
    assert_int_equal(site_count_kind(ledger, "purge", NULL, 0), 0);
    verify_clean(ledger);
    tally_close(ledger);
}

/* The newest event of tally.purge. */
static void check_event(struct tally_ledger *ledger, const char *metadata, const char *outcome)
{
    const struct tally_condition conditions[] = { { "action", "tally.purge" } };
    struct tally_query query = TALLY_QUERY_INIT;
    query.conditions = conditions;
    query.condition_count = 1;
    struct tally_page *page = NULL;
    char wanted[512];
    check_ok(tally_find(ledger, &query, &page, NULL));
    assert_true(page->count > 0);
    const char *event = page->items[0].event;
    site_unquote(wanted, sizeof(wanted), metadata);
    if (strstr(event, wanted) == NULL) {
        print_error("%s\nis not in\n%s\n", wanted, event);
        fail();
    }
    assert_non_null(strstr(event, outcome));
    assert_non_null(strstr(event, "\"severity\":\"low\""));
    assert_non_null(strstr(event, "\"service\":\"tally.purge\""));
    assert_non_null(strstr(event, "\"type\":\"ledger\""));
    assert_non_null(strstr(event, "\"alice\""));
    tally_page_free(page);
}

static void every_run_leaves_an_event(void **state)
{
    (void)state;
    struct tally_ledger *ledger = site_open(&site);
    append_many(ledger, "a", 10, "medium");
    (void)purge(ledger);
    check_event(ledger,
                "'metadata':{'cutoff':'2026-01-01','dry_run':false,'evaluated':10,'held':0,"
                "'purge_seq':null,'purged':0}",
                "\"outcome\":\"success\"");
    fake_clock_pass(2 * DAY);
    (void)site_append(ledger, "wake", 1);
    struct tally_purge_options options = TALLY_PURGE_OPTIONS_INIT;
    options.dry_run = 1;
    (void)purge_with(ledger, &options);
    check_event(ledger,
                "'metadata':{'cutoff':'2026-01-03','dry_run':true,'evaluated':12,'held':0,"
                "'purge_seq':null,'purged':10}",
                "\"outcome\":\"success\"");
    struct tally_purged purged = purge(ledger);
    char wanted[256];
    (void)snprintf(wanted, sizeof(wanted),
                   "'metadata':{'cutoff':'2026-01-03','dry_run':false,'evaluated':13,'held':0,"
                   "'purge_seq':%llu,'purged':10}",
                   (unsigned long long)purged.seq);
    check_event(ledger, wanted, "\"outcome\":\"success\"");
    tally_close(ledger);
}

static void old_records_behind_thousands_of_fresh_ones_are_purged(void **state)
{
    (void)state;
    struct tally_ledger *ledger = site_open(&site);
    for (int i = 0; i < 3; i++) {
        char prefix[16];
        (void)snprintf(prefix, sizeof(prefix), "old%d", i);
        append_many(ledger, prefix, 1000, i == 1 ? "critical" : "medium");
    }
    fake_clock_pass(2 * DAY);
    append_many(ledger, "new", 4000, "medium");
    struct tally_purged purged = purge(ledger);
    assert_int_equal(purged.purged, 2000);
    assert_int_equal(purged.evaluated, 7000);
    assert_int_equal(purged.ranges, 2);
    verify_clean(ledger);
    tally_close(ledger);
}

static void a_bound_leaves_the_rest_due(void **state)
{
    (void)state;
    struct tally_ledger *ledger = site_open(&site);
    append_many(ledger, "a", 100, "medium");
    fake_clock_pass(2 * DAY);
    (void)site_append(ledger, "wake", 1);
    struct tally_purge_options options = TALLY_PURGE_OPTIONS_INIT;
    options.max_records = 30;
    struct tally_purged purged = purge_with(ledger, &options);
    assert_int_equal(purged.purged, 30);
    assert_int_equal(purged.due, 100);
    assert_int_equal(purged.remaining, 70);
    verify_clean(ledger);
    purged = purge(ledger);
    assert_int_equal(purged.purged, 70);
    verify_clean(ledger);
    tally_close(ledger);
}

static void a_day_only_narrows(void **state)
{
    (void)state;
    struct tally_ledger *ledger = site_open(&site);
    append_many(ledger, "a", 5, "medium");
    fake_clock_pass(DAY);
    append_many(ledger, "b", 5, "medium");
    fake_clock_pass(2 * DAY);
    (void)site_append(ledger, "wake", 1);
    uint32_t first_due = (uint32_t)(FAKE_CLOCK_START / DAY) + 2;
    struct tally_purge_options options = TALLY_PURGE_OPTIONS_INIT;
    options.before_day = first_due;
    assert_int_equal(purge_with(ledger, &options).purged, 0);
    options.before_day = first_due + 1;
    assert_int_equal(purge_with(ledger, &options).purged, 5);
    assert_int_equal(count_there(ledger, "b", 5), 5);
    options.before_day = first_due + 10000;
    assert_int_equal(purge_with(ledger, &options).purged, 5);
    verify_clean(ledger);
    tally_close(ledger);
}

static void a_longer_rule_counts_at_once(void **state)
{
    (void)state;
    struct tally_ledger *ledger = site_open(&site);
    append_many(ledger, "a", 10, "medium");
    append_many(ledger, "b", 10, "critical");
    append_many(ledger, "c", 10, "medium");
    tally_close(ledger);

    fake_clock_pass(9 * DAY);
    static const struct tally_setting longer[] = {
        { .key = "retention.default_days", .value = "30", .origin = "test" },
        { .key = "retention.by_severity.critical", .value = "3", .origin = "test" },
    };
    site.settings = longer;
    site.setting_count = TL_ARRAY_LEN(longer);
    site.accept_clock = 1;
    ledger = site_open(&site);
    (void)site_append(ledger, "wake", 1);
    struct tally_purged purged = purge(ledger);
    assert_int_equal(purged.purged, 10);
    assert_int_equal(count_there(ledger, "a", 10), 10);
    assert_int_equal(count_there(ledger, "b", 10), 0);
    (void)site_verify_open(ledger, NULL);
    assert_int_equal(verify_counting(ledger, "PURGE_COUNT"), 0);
    tally_close(ledger);

    /* A shorter rule changes nothing; what was permitted before goes without another leaf. */
    site.settings = one_day;
    site.setting_count = TL_ARRAY_LEN(one_day);
    ledger = site_open(&site);
    purged = purge(ledger);
    assert_int_equal(purged.purged, 20);
    verify_clean(ledger);
    tally_close(ledger);
}

/* --------------------------------------------------------------------------------------------- */

static uint64_t hold(struct tally_ledger *ledger, const char *id, uint64_t first, uint64_t last)
{
    const struct tally_range range = { .first = first, .last = last };
    const struct tally_selection selection = { .ranges = &range, .range_count = 1 };
    struct tally_held held;
    check_ok(tally_hold_add(ledger, id, &selection, 0, 0, &operator, & held, NULL, NULL));
    return held.seq;
}

static void held_records_stay(struct tally_ledger *ledger)
{
    append_many(ledger, "a", 20, "medium"); /* from seq 1 on, if the ledger is new */
    struct tally_page *page = NULL;
    check_ok(tally_get_by_id(ledger, "a-0", &page, NULL));
    uint64_t first = page->items[0].seq;
    tally_page_free(page);
    (void)hold(ledger, "case-1", first + 5, first + 9);
    (void)hold(ledger, "case-2", first + 8, first + 12);
    fake_clock_pass(2 * DAY);
    (void)site_append(ledger, "wake", 1);
    struct tally_purged purged = purge(ledger);
    assert_int_equal(purged.due, 20);
    assert_int_equal(purged.held, 8);
    assert_int_equal(purged.purged, 12);
    assert_int_equal(purged.ranges, 2);
    verify_clean(ledger);

    check_ok(tally_hold_release(ledger, "case-1", &operator, NULL, NULL));
    purged = purge(ledger);
    assert_int_equal(purged.held, 5);
    assert_int_equal(purged.purged, 3);
    check_ok(tally_hold_release(ledger, "case-2", &operator, NULL, NULL));
    purged = purge(ledger);
    assert_int_equal(purged.held, 0);
    assert_int_equal(purged.purged, 5);
    assert_int_equal(count_there(ledger, "a", 20), 0);
    verify_clean(ledger);
}

static void held_records_stay_on_disk(void **state)
{
    (void)state;
    struct tally_ledger *ledger = site_open(&site);
    held_records_stay(ledger);
    tally_close(ledger);
}

static void held_records_stay_in_memory(void **state)
{
    (void)state;
    struct tally_ledger *ledger = open_memory();
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
    struct tally_ledger *ledger = site_open(&site);
    append_many(ledger, "a", 1000, "medium");
    fake_clock_pass(2 * DAY);
    (void)site_append(ledger, "wake", 1);
    struct tally_purge_options options = TALLY_PURGE_OPTIONS_INIT;
    options.progress = stop_at_once;
    struct tally_purged purged;
    check_status(try_purge(ledger, &options, &purged, NULL), TALLY_ECANCELED);
    assert_in_range(purged.purged, 1, 999);
    assert_int_equal(purged.remaining, 1000 - purged.purged);
    (void)site_verify_open(ledger, NULL);
    unsigned gone = 1000 - count_there(ledger, "a", 1000);
    assert_int_equal(gone, purged.purged);

    /* A hold that was set meanwhile is respected, although the leaf permits more. */
    struct tally_page *page = NULL;
    check_ok(tally_get_by_id(ledger, "a-990", &page, NULL));
    (void)hold(ledger, "late", page->items[0].seq, page->items[0].seq + 4);
    tally_page_free(page);
    purged = purge(ledger);
    assert_int_equal(purged.purged, 1000 - gone - 5);
    assert_int_equal(purged.held, 5);
    assert_true(purged.seq == TALLY_SEQ_NONE);
    assert_int_equal(site_count_kind(ledger, "purge", NULL, 0), 1);
    (void)site_verify_open(ledger, NULL);

    check_ok(tally_hold_release(ledger, "late", &operator, NULL, NULL));
    assert_int_equal(purge(ledger).purged, 5);
    verify_clean(ledger);
    tally_close(ledger);
}

static void an_early_purge_needs_a_second_person(void **state)
{
    (void)state;
    struct tally_ledger *ledger = site_open(&site);
    append_many(ledger, "a", 10, "low");
    const struct tally_range range = { .first = 1, .last = 5 };
    struct tally_purge_options options = TALLY_PURGE_OPTIONS_INIT;
    options.ranges = &range;
    options.range_count = 1;
    struct tally_purged purged;
    char *request = NULL;
    check_status(tally_purge(ledger, &options, &operator, & purged, &request, NULL), TALLY_EDENIED);
    assert_non_null(request);
    assert_non_null(strstr(request, "override"));
    tally_free(request);
    assert_int_equal(count_there(ledger, "a", 10), 10);
    assert_int_equal(site_count_kind(ledger, "purge", NULL, 0), 0);
    tally_close(ledger);
}

static void nonsense_is_refused(void **state)
{
    (void)state;
    struct tally_ledger *ledger = site_open(&site);
    append_many(ledger, "a", 10, "low");
    struct tally_purged purged;
    struct tally_purge_options options = TALLY_PURGE_OPTIONS_INIT;
    options.struct_size--;
    check_status(try_purge(ledger, &options, &purged, NULL), TALLY_EINVAL);
    const struct tally_range bad[] = { { 3, 5 }, { 5, 6 } };
    const struct tally_range far = { 3, 500 };
    options = (struct tally_purge_options)TALLY_PURGE_OPTIONS_INIT;
    options.ranges = bad;
    options.range_count = 2;
    check_status(try_purge(ledger, &options, &purged, NULL), TALLY_EINVAL);
    options.ranges = &far;
    options.range_count = 1;
    check_status(try_purge(ledger, &options, &purged, NULL), TALLY_EINVAL);
    options.before_day = 1;
    check_status(try_purge(ledger, &options, &purged, NULL), TALLY_EINVAL);
    options = (struct tally_purge_options)TALLY_PURGE_OPTIONS_INIT;
    const struct tally_actor nobody = { .by = "" };
    check_status(tally_purge(ledger, &options, &nobody, &purged, NULL, NULL), TALLY_EINVAL);
    tally_close(ledger);
    ledger = site_open_read(&site);
    check_status(try_purge(ledger, &options, &purged, NULL), TALLY_EINVAL);
    tally_close(ledger);
}

static void one_purge_is_at_work_at_a_time(void **state)
{
    (void)state;
    struct tally_ledger *first = site_open(&site);
    struct tally_ledger *second = site_open(&site);
    const struct tally_purge_options options = TALLY_PURGE_OPTIONS_INIT;
    struct tally_purged purged;
    struct tl_removal *removal = NULL;
    check_ok(tl_removal_begin(&removal, first, NULL));
    check_status(try_purge(second, &options, &purged, NULL), TALLY_EBUSY);
    check_status(try_purge(first, &options, &purged, NULL), TALLY_EBUSY);
    tl_removal_end(&removal);
    check_ok(try_purge(second, &options, &purged, NULL));
    check_ok(try_purge(first, &options, &purged, NULL));
    tally_close(second);
    tally_close(first);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
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
        CASE(nonsense_is_refused),
        CASE(one_purge_is_at_work_at_a_time),
    };
    return cmocka_run_group_tests_name("ledger/purge", tests, NULL, NULL);
}
