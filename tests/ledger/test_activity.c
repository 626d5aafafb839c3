/* What is seen of logging from outside, figure by figure. */
#include <tally/tally.h>

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "fault.h"
#include "support/logs.h"
#include "support/site.h"
#include "support/spooled.h"

static struct site site;

static int set_up(void **state)
{
    if (check_mkdir(state) != 0) {
        return -1;
    }
    site_init(&site, *state, NULL, 0);
    return 0;
}

static tally_status try_look(struct tally_activity *activity)
{
    struct tally_options options = logs_options(&site);
    return tally_activity_read(&options, activity, NULL);
}

static struct tally_activity look(void)
{
    struct tally_activity activity = TALLY_ACTIVITY_INIT;
    check_ok(try_look(&activity));
    return activity;
}

static void an_idle_audit_log_says_so(void **state)
{
    (void)state;
    struct tally_activity activity = look();
    assert_string_equal(activity.origin, "test.example/site");
    assert_int_equal(activity.size, 1);
    assert_int_equal(activity.spool_events + activity.spool_bytes + activity.spool_segments, 0);
    assert_int_equal(activity.spool_writers + activity.quarantined, 0);
    assert_int_equal(activity.gaps + activity.dropped, 0);
    assert_int_equal(activity.dropped_is_exact, 1);
    assert_int_equal(activity.oldest_unsent_s, 0);
    assert_int_equal(activity.sequencer_pid, 0);
    assert_int_equal(activity.recorded_60s, 1);
    assert_true(activity.newest_s >= 0 && activity.newest_s < 60);
    assert_true(activity.disk_free_bytes > 0);
    assert_string_equal(activity.trouble, "");
}

static void who_holds_the_lock_and_what_is_recorded_shows(void **state)
{
    (void)state;
    struct tally_ledger *ledger = site_open(&site);
    assert_int_equal(look().sequencer_pid, getpid());
    uint64_t before = look().recorded_60s;
    (void)site_append(ledger, "a", 1);
    (void)site_append(ledger, "b", 1);
    check_ok(tally_wait_indexed(ledger, NULL));
    struct tally_activity activity = look();
    assert_int_equal(activity.recorded_60s, before + 2);
    assert_int_equal(activity.size, activity.indexed_to);
    tally_close(ledger);
    assert_int_equal(look().sequencer_pid, 0);
}

static void what_waits_in_the_spool_is_counted(void **state)
{
    (void)state;
    logs_hide_store(&site);
    struct tally_ledger *ledger = logs_open(&site);
    struct tally_logger *logger = logs_logger(ledger, NULL);
    for (unsigned i = 0; i < 7; i++) {
        char id[16];
        (void)snprintf(id, sizeof(id), "%u", i);
        check_ok(logs_one(logger, id, i));
    }
    tally_logger_close(logger, 0, NULL);
    tally_close(ledger);
    logs_show_store(&site);
    struct tally_activity activity = look();
    assert_int_equal(activity.spool_events, 8); /* with the policy */
    assert_int_equal(activity.spool_segments, 1);
    assert_true(activity.spool_bytes >= 1 << 16);
    assert_int_equal(activity.spool_writers, 0);
    assert_true(activity.oldest_unsent_s >= 0 && activity.oldest_unsent_s < 60);
    assert_true(activity.trouble[0] != '\0'); /* as it was last noted */
    ledger = logs_open(&site);
    check_soon(look().spool_segments == 0);
    activity = look();
    assert_int_equal(activity.spool_events, 0);
    assert_string_equal(activity.trouble, "");
    tally_close(ledger);
}

/* In a segment that is still open, what is recorded already does not wait. */
static void what_is_recorded_does_not_wait(void **state)
{
    (void)state;
    struct tally_ledger *ledger = logs_open(&site);
    struct tally_logger *logger = logs_logger(ledger, NULL);
    for (unsigned i = 0; i < 9; i++) {
        char id[16];
        (void)snprintf(id, sizeof(id), "%u", i);
        check_ok(logs_one(logger, id, i));
    }
    check_soon(site_has(ledger, "8"));
    struct tally_activity activity = look();
    assert_int_equal(activity.spool_events, 0);
    assert_int_equal(activity.spool_writers, 1);
    assert_true(activity.spool_segments >= 1);
    tally_logger_close(logger, 0, NULL);
    tally_close(ledger);
}

static void a_gap_is_counted_once_on_its_way_and_after(void **state)
{
    (void)state;
    struct tally_ledger *first = logs_open(&site);
    struct tally_ledger *second = logs_open(&site);
    check_ok(tally_declare_gap(first, 3, 1, 1000, 2000, "one", NULL));
    check_ok(tally_declare_gap(second, 4, 1, 1000, 2000, "two", NULL));
    check_soon(logs_gaps_of(first, NULL).records == 2);
    struct tally_activity activity = look(); /* the second lies in an open segment still */
    assert_true(activity.spool_segments > 0);
    assert_int_equal(activity.gaps, 2);
    assert_int_equal(activity.dropped, 7);
    assert_int_equal(activity.dropped_is_exact, 1);
    check_ok(tally_declare_gap(first, 1, 0, 1000, 2000, "three", NULL));
    activity = look();
    assert_int_equal(activity.dropped, 8);
    assert_int_equal(activity.dropped_is_exact, 0);
    tally_close(second);
    tally_close(first);
    activity = look();
    assert_int_equal(activity.gaps, 3);
    assert_int_equal(activity.dropped, 8);
}

static void quarantined_segments_are_counted(void **state)
{
    (void)state;
    char spool[SITE_PATH_SIZE];
    char quarantine[SITE_PATH_SIZE];
    check_path(spool, sizeof(spool), site.dir, "spool");
    check_path(quarantine, sizeof(quarantine), spool, "quarantine");
    assert_int_equal(mkdir(quarantine, 0700), 0);
    spooled_write_bytes(quarantine, "a.seg", "x", 1);
    spooled_write_bytes(quarantine, "b.seg", "x", 1);
    assert_int_equal(look().quarantined, 2);
}

static void says_why_there_is_nothing_to_see(void **state)
{
    (void)state;
    struct tally_activity activity = { .struct_size = 77 };
    struct tally_options options = TALLY_OPTIONS_INIT;
    options.uri = "/nonexistent/ledger";
    check_status(tally_activity_read(&options, &activity, NULL), TALLY_ENOTFOUND);
    options.uri = "memory:10";
    check_status(tally_activity_read(&options, &activity, NULL), TALLY_EINVAL);
    logs_hide_store(&site);
    assert_true(try_look(&activity) != TALLY_OK);
    assert_int_equal(activity.struct_size, 77); /* untouched */
    logs_show_store(&site);
}

static tally_status look_once(const void *ctx)
{
    (void)ctx;
    struct tally_activity activity = TALLY_ACTIVITY_INIT;
    return try_look(&activity);
}

static void says_when_there_is_no_memory(void **state)
{
    (void)state;
    assert_true(fault_each_alloc_or_ok(look_once, NULL) > 10);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, check_rmdir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_idle_audit_log_says_so),
        TEST(who_holds_the_lock_and_what_is_recorded_shows),
        TEST(what_waits_in_the_spool_is_counted),
        TEST(what_is_recorded_does_not_wait),
        TEST(a_gap_is_counted_once_on_its_way_and_after),
        TEST(quarantined_segments_are_counted),
        TEST(says_why_there_is_nothing_to_see),
        TEST(says_when_there_is_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
