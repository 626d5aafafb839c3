/* A purge removes what is due, and nothing else, and every verification says so. */
#include <tally/tally.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/io.h"
#include "check.h"
#include "fault.h"
#include "ledger/purge.h"
#include "ledger/purge_archive.h"
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

/* --------------------------------------------------------------------------------------------- */

static void use_archive(const char *dir)
{
    static struct tally_setting with[TL_ARRAY_LEN(one_day) + 1];
    memcpy(with, one_day, sizeof(one_day));
    with[TL_ARRAY_LEN(one_day)] = (struct tally_setting){ "archive.dir", dir, "test" };
    site.settings = with;
    site.setting_count = TL_ARRAY_LEN(with);
}

static void contents_are_archived_before_they_go(void **state)
{
    (void)state;
    use_archive("archive");
    struct tally_ledger *ledger = site_open(&site);
    append_many(ledger, "a", 300, "medium");
    append_many(ledger, "b", 10, "low");
    append_many(ledger, "c", 7, "medium");
    fake_clock_pass(2 * DAY);
    (void)site_append(ledger, "wake", 1);
    struct tally_purged purged = purge(ledger);
    assert_int_equal(purged.purged, 307);
    assert_non_null(
        strstr(purged.archive, "/archive/purge-2-318-20260103T010000000000Z.ndjson.zst"));
    check_event(ledger, "'archive':'", "\"outcome\":\"success\"");
    verify_clean(ledger);
    tally_close(ledger);

    static struct tl_archive_reader reader;
    reader = (struct tl_archive_reader){ .fd = -1 };
    struct tl_str line;
    unsigned lines = 0;
    unsigned secrets = 0;
    check_ok(tl_archive_open(&reader, purged.archive, NULL));
    tally_status status = TALLY_OK;
    while ((status = tl_archive_line(&reader, &line, NULL)) == TALLY_OK) {
        char *text = strndup(line.text, line.len);
        assert_non_null(text);
        lines++;
        secrets += strstr(text, "\\\"secret\\\":\\\"of ") != NULL ? 1 : 0;
        free(text);
    }
    check_status(status, TALLY_ENOTFOUND);
    tl_archive_reader_close(&reader);
    assert_int_equal(lines, 2 * (1 + 307));
    assert_int_equal(secrets, 307);
}

static void nothing_goes_that_cannot_be_archived(void **state)
{
    char path[512];
    check_path(path, sizeof(path), *state, "ledger/occupied");
    use_archive("occupied");
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    (void)close(fd);
    struct tally_ledger *ledger = site_open(&site);
    append_many(ledger, "a", 10, "medium");
    fake_clock_pass(2 * DAY);
    (void)site_append(ledger, "wake", 1);
    const struct tally_purge_options options = TALLY_PURGE_OPTIONS_INIT;
    struct tally_purged purged;
    check_status(try_purge(ledger, &options, &purged, NULL), TALLY_EIO);
    assert_int_equal(purged.purged, 0);
    assert_int_equal(count_there(ledger, "a", 10), 10);
    assert_int_equal(site_count_kind(ledger, "purge", NULL, 0), 0);
    check_event(ledger, "'purged':0,'status':'TALLY_EIO'", "\"outcome\":\"failure\"");
    verify_clean(ledger);
    tally_close(ledger);
}

static void what_is_removed_by_hand_is_found(void **state)
{
    char path[512];
    struct tally_ledger *ledger = site_open(&site);
    append_many(ledger, "a", 10, "low");
    append_many(ledger, "b", 10, "medium");
    fake_clock_pass(2 * DAY);
    (void)site_append(ledger, "wake", 1);
    assert_int_equal(purge(ledger).purged, 10);
    tally_close(ledger);
    (void)site_verify(&site);
    struct tl_tamper *tamper = NULL;
    check_path(path, sizeof(path), *state, "ledger/ledger.db");
    check_ok(tl_tamper_open(&tamper, path, NULL));
    check_ok(tl_tamper_run(tamper,
                           "UPDATE record SET event = NULL, seed = NULL, opened = NULL "
                           "WHERE seq = 3",
                           NULL, 0, NULL, NULL));
    tl_tamper_close(tamper);
    assert_int_equal(
        verify_counting(NULL, "PURGE_EARLY") + verify_counting(NULL, "CONTENT_MISSING"), 1);
}

/* --------------------------------------------------------------------------------------------- */

/* A clock that runs, and can be moved: both of it. */
static _Atomic int64_t moved_us;

static int64_t moved_wall(void)
{
    return tl_clock_system.wall_us() + atomic_load(&moved_us);
}

static int64_t moved_steady(void)
{
    return tl_clock_system.steady_us() + atomic_load(&moved_us);
}

static bool is_good(void)
{
    return true;
}

static const struct tl_clock_ops moved_clock = { moved_wall, moved_steady, is_good };

static int set_up_running(void **state)
{
    if (check_mkdir(state) != 0) {
        return -1;
    }
    atomic_store(&moved_us, 0);
    tl_clock = &moved_clock;
    site_init(&site, *state, one_day, TL_ARRAY_LEN(one_day));
    return 0;
}

static int tear_down_running(void **state)
{
    tl_clock = &tl_clock_system;
    return check_rmdir(state);
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

/* Somebody who appends all the time, and somebody who verifies. */
struct crowd {
    struct tally_ledger *ledger;
    atomic_bool stop;
    int64_t longest_us;
    unsigned appended;
    unsigned verified;
    bool good;
};

static void *append_all_the_time(void *ctx)
{
    struct crowd *crowd = ctx;
    while (!atomic_load(&crowd->stop)) {
        char text[128];
        int len = snprintf(text, sizeof(text), "{\"action\":\"test.busy\",\"reason\":\"%u\"}",
                           crowd->appended++);
        int64_t start_us = tl_clock->steady_us();
        if (tally_append(crowd->ledger, text, (size_t)len, NULL, NULL) != TALLY_OK) {
            crowd->good = false;
        }
        int64_t took_us = tl_clock->steady_us() - start_us;
        crowd->longest_us = took_us > crowd->longest_us ? took_us : crowd->longest_us;
        (void)usleep(1000);
    }
    return NULL;
}

static void *verify_all_the_time(void *ctx)
{
    struct crowd *crowd = ctx;
    while (!atomic_load(&crowd->stop)) {
        struct tally_verify_options options = TALLY_VERIFY_OPTIONS_INIT;
        struct tally_report *report = NULL;
        if (tally_verify_at(site.dir, &options, &report, NULL) != TALLY_OK ||
            report->verdict != TALLY_VERDICT_VERIFIED) {
            for (size_t i = 0; report != NULL && i < report->finding_count; i++) {
                print_error("%s: %s\n", report->findings[i].code, report->findings[i].what);
            }
            crowd->good = false;
        }
        tally_report_free(report);
        crowd->verified++;
    }
    return NULL;
}

static void a_follower_purges_while_others_write_and_verify(void **state)
{
    (void)state;
    struct tally_ledger *first = site_open(&site);
    for (int i = 0; i < 5; i++) {
        char prefix[16];
        (void)snprintf(prefix, sizeof(prefix), "p%d", i);
        append_many(first, prefix, 2000, i % 2 == 0 ? "medium" : "low");
    }
    atomic_store(&moved_us, 2 * DAY);
    (void)site_append(first, "wake", 1);
    check_ok(tally_wait_indexed(first, NULL));
    struct tally_ledger *second = site_open(&site);
    static struct crowd writer;
    static struct crowd reader;
    writer = (struct crowd){ .ledger = first, .good = true };
    reader = (struct crowd){ .good = true };
    pthread_t threads[2];
    assert_int_equal(pthread_create(&threads[0], NULL, append_all_the_time, &writer), 0);
    assert_int_equal(pthread_create(&threads[1], NULL, verify_all_the_time, &reader), 0);
    struct tally_purged purged = purge(second);
    atomic_store(&writer.stop, true);
    atomic_store(&reader.stop, true);
    (void)pthread_join(threads[0], NULL);
    (void)pthread_join(threads[1], NULL);
    print_message("longest append %lld us among %u; %u verifications; %llu bytes freed\n",
                  (long long)writer.longest_us, writer.appended, reader.verified,
                  (unsigned long long)purged.freed);
    assert_true(writer.good);
    assert_true(reader.good);
    assert_int_equal(purged.purged, 6000);
    assert_int_equal(purged.remaining, 0);
    assert_true(purged.freed > 0);
    assert_true(writer.longest_us < 1000000); /* 100 ms on a machine that has nothing else to do */
    verify_clean(first);
    tally_close(second);
    tally_close(first);
    (void)site_verify(&site);
}

/* --------------------------------------------------------------------------------------------- */

static unsigned batches_left;

static int kill_after_batches(void *ctx, uint64_t done, uint64_t total)
{
    (void)ctx;
    (void)total;
    if (done > 0 && batches_left-- == 0) {
        (void)raise(SIGKILL);
    }
    return 0;
}

/* In a child: purges, and dies at a file operation, or after some batches. */
static void purge_and_die(size_t stop_at, unsigned batches)
{
    fault_die_at_io(SIZE_MAX);
    struct tally_ledger *ledger = site_open(&site);
    struct tally_purge_options options = TALLY_PURGE_OPTIONS_INIT;
    struct tally_purged purged;
    options.progress = kill_after_batches;
    batches_left = batches;
    fault_rearm(stop_at);
    tally_status status = try_purge(ledger, &options, &purged, NULL);
    fault_rearm(SIZE_MAX);
    _exit(status == TALLY_OK ? 0 : 1);
}

/* Whether the child came to its end. */
static bool run_in_child(size_t stop_at, unsigned batches)
{
    int status = 0;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        purge_and_die(stop_at, batches);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) || (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL));
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* Makes some records due, for one round. */
static void make_due(unsigned round, unsigned count)
{
    char prefix[32];
    struct tally_ledger *ledger = site_open(&site);
    (void)snprintf(prefix, sizeof(prefix), "r%u", round);
    append_many(ledger, prefix, count, "medium");
    fake_clock_pass(DAY);
    tally_close(ledger);
    ledger = site_open(&site);
    fake_clock_pass(DAY);
    (void)snprintf(prefix, sizeof(prefix), "wake-%u", round);
    append_many(ledger, prefix, 1, "low");
    tally_close(ledger);
}

/* The next purge does the rest. */
static void check_mended(unsigned round, unsigned count)
{
    char prefix[32];
    (void)site_verify(&site);
    struct tally_ledger *ledger = site_open(&site);
    struct tally_purged purged = purge(ledger);
    assert_int_equal(purged.remaining, 0);
    (void)snprintf(prefix, sizeof(prefix), "r%u", round);
    assert_int_equal(count_there(ledger, prefix, count), 0);
    verify_clean(ledger);
    tally_close(ledger);
    (void)site_verify(&site);
}

static void a_purge_that_is_killed_anywhere_is_completed_by_the_next(void **state)
{
    (void)state;
    use_archive("archive");
    unsigned round = 0;
    unsigned killed = 0;
    bool done = false;
    for (size_t n = 1; !done; n += 1 + n / 2, round++) {
        make_due(round, 40);
        done = run_in_child(n, UINT32_MAX);
        killed += done ? 0 : 1;
        check_mended(round, 40);
    }
    assert_true(killed > 5);
    for (unsigned batches = 0; batches < 2; batches++, round++) {
        make_due(round, 600);
        assert_false(run_in_child(SIZE_MAX, batches));
        check_mended(round, 600);
    }
}

/* The parent kills at some time: also within the store's own writing. */
static void a_purge_that_is_killed_at_any_time_is_completed_by_the_next(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 6; round++) {
        make_due(round, 1000);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            purge_and_die(SIZE_MAX, UINT32_MAX);
        }
        (void)usleep(5000 + round * 18000);
        (void)kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        check_mended(round, 1000);
    }
}

/* One purge on a fresh ledger in memory. */
static tally_status purge_in_memory(const void *ctx)
{
    (void)ctx;
    struct tally_options options = TALLY_OPTIONS_INIT;
    struct tally_ledger *ledger = NULL;
    struct tally_purged purged;
    const struct tally_purge_options how = TALLY_PURGE_OPTIONS_INIT;
    options.uri = "memory:100";
    TL_TRY(tally_open(&ledger, &options, NULL));
    tally_status status = try_purge(ledger, &how, &purged, NULL);
    tally_close(ledger);
    return status;
}

static void runs_out_of_memory_without_a_leak(void **state)
{
    (void)state;
    assert_true(fault_each_alloc_or_ok(purge_in_memory, NULL) > 0);
}

int main(void)
{
#define CASE(name)    cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define RUNNING(name) cmocka_unit_test_setup_teardown(name, set_up_running, tear_down_running)
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
        CASE(contents_are_archived_before_they_go),
        CASE(nothing_goes_that_cannot_be_archived),
        CASE(what_is_removed_by_hand_is_found),
        RUNNING(one_purge_is_at_work_at_a_time),
        RUNNING(a_follower_purges_while_others_write_and_verify),
        CASE(a_purge_that_is_killed_anywhere_is_completed_by_the_next),
        CASE(a_purge_that_is_killed_at_any_time_is_completed_by_the_next),
        RUNNING(runs_out_of_memory_without_a_leak),
    };
    return cmocka_run_group_tests_name("ledger/purge", tests, NULL, NULL);
}
