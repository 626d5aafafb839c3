/* Work that comes back: run by the thread, by hand, and missed. */
#include <tally/tally.h>

#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "check.h"
#include "ledger/schedule_jobs.h"
#include "support/logs.h"
#include "support/site.h"

#define MINUTE_US INT64_C(60000000)
#define WAIT_US   1000
#define WAITS_MAX 20000 /* 20 s */

static struct site site;
static atomic_llong ahead_us; /* of the real clock */

static int64_t shifted_wall(void)
{
    return tl_clock_system.wall_us() + atomic_load(&ahead_us);
}

static const struct tally_setting settings[] = {
    { "verify.schedule", "* * * * *", "test" },
    { "verify.part", "4", "test" },
    { "retention.schedule", "*/2 * * * *", "test" },
    { "anchor.schedule", "off", "test" },
};

static int set_up(void **state)
{
    static struct tl_clock_ops ops;
    if (check_mkdir(state) != 0) {
        return -1;
    }
    ops = tl_clock_system;
    ops.wall_us = shifted_wall;
    tl_clock = &ops;
    atomic_store(&ahead_us, 0);
    site_init(&site, *state, settings, TL_ARRAY_LEN(settings));
    return 0;
}

static int tear_down(void **state)
{
    tl_clock = &tl_clock_system;
    return check_rmdir(state);
}

/* A copy of what is told of one job. */
struct seen {
    const char *name;
    struct tally_job job;
    char when[64];
    char detail[256];
};

static int see(void *ctx, const struct tally_job *job)
{
    struct seen *seen = ctx;
    if (strcmp(job->name, seen->name) != 0) {
        return 0;
    }
    seen->job = *job;
    (void)snprintf(seen->when, sizeof(seen->when), "%s", job->when);
    (void)snprintf(seen->detail, sizeof(seen->detail), "%s", job->detail);
    return 1;
}

static struct seen look(const char *name)
{
    struct seen seen = { .name = name };
    struct tally_options options = logs_options(&site);
    check_ok(tally_schedule_each(&options, see, &seen, NULL));
    return seen;
}

static void wait_for_runs(const char *name, uint64_t runs)
{
    for (unsigned i = 0; look(name).job.runs < runs; i++) {
        assert_true(i < WAITS_MAX);
        (void)usleep(WAIT_US);
    }
}

static void says_when_jobs_will_run(void **state)
{
    (void)state;
    struct seen seen = look("verify");
    assert_string_equal(seen.when, "* * * * *");
    assert_int_equal(seen.job.runs, 0);
    assert_int_equal(seen.job.missed, 0);
    assert_int_equal(seen.job.verdict, TALLY_VERDICT_UNKNOWN);
    assert_true(seen.job.next_us > shifted_wall() - MINUTE_US);
    seen = look("backup");
    assert_string_equal(seen.when, "off");
    assert_int_equal(seen.job.next_us, 0);
}

static void runs_what_is_due_and_counts_what_was_missed(void **state)
{
    (void)state;
    struct tally_ledger *ledger = site_open(&site);
    struct tally_scheduler *scheduler = NULL;
    check_ok(tally_scheduler_start(&scheduler, ledger, NULL));
    (void)usleep(50000);
    atomic_store(&ahead_us, MINUTE_US);
    wait_for_runs("verify", 1);
    assert_in_range(look("verify").job.missed, 0, 1); /* a minute may end just now */
    atomic_store(&ahead_us, 11 * MINUTE_US);
    wait_for_runs("verify", 2);
    struct seen seen = look("verify");
    assert_in_range(seen.job.missed, 8, 11);
    assert_int_equal(seen.job.status, TALLY_OK);
    assert_int_equal(seen.job.verdict, TALLY_VERDICT_VERIFIED);
    wait_for_runs("purge", 1);
    tally_scheduler_stop(scheduler);
    tally_close(ledger);
    atomic_store(&ahead_us, 41 * MINUTE_US); /* nobody was there */
    assert_in_range(look("verify").job.missed - seen.job.missed, 28, 31);
}

static uint64_t count_action(struct tally_ledger *ledger, const char *action)
{
    const struct tally_condition condition = { "action", action };
    struct tally_query query = TALLY_QUERY_INIT;
    uint64_t count = 0;
    int exact = 0;
    query.conditions = &condition;
    query.condition_count = 1;
    check_ok(tally_count(ledger, &query, &count, &exact, NULL));
    return count;
}

static void verifies_contents_in_turns(void **state)
{
    (void)state;
    struct tally_ledger *ledger = site_open(&site);
    for (unsigned i = 0; i < 6; i++) {
        char id[16];
        (void)snprintf(id, sizeof(id), "e%u", i);
        (void)site_append(ledger, id, i);
    }
    check_ok(tally_schedule_run(ledger, "verify", NULL));
    struct seen seen = look("verify");
    assert_int_equal(seen.job.verified_to, 4);
    assert_int_equal(seen.job.full_pass_us, 0);
    check_ok(tally_schedule_run(ledger, "verify", NULL));
    check_ok(tally_schedule_run(ledger, "verify", NULL));
    seen = look("verify");
    assert_int_equal(seen.job.verified_to, 0);
    assert_true(seen.job.full_pass_us > 0);
    assert_int_equal(seen.job.runs, 3);
    assert_int_equal(count_action(ledger, "tally.verify"), 3);
    tally_close(ledger);
    (void)site_verify(&site);
}

static void a_clock_that_was_set_back_stops_nothing(void **state)
{
    (void)state;
    struct tally_ledger *ledger = site_open(&site);
    struct tally_scheduler *scheduler = NULL;
    check_ok(tally_scheduler_start(&scheduler, ledger, NULL));
    (void)usleep(50000);
    atomic_store(&ahead_us, 1000 * MINUTE_US);
    wait_for_runs("verify", 1);
    atomic_store(&ahead_us, 0);
    for (unsigned i = 0; look("verify").job.runs < 2; i++) {
        assert_true(i < 10);
        (void)sleep(1);
        atomic_fetch_add(&ahead_us, MINUTE_US);
    }
    tally_scheduler_stop(scheduler);
    tally_close(ledger);
}

static void what_others_ran_meanwhile_is_kept(void **state)
{
    (void)state;
    static const struct tally_setting rarely[] = { { "verify.schedule", "0 0 29 2 *", "test" },
                                                   { "retention.schedule", "* * * * *", "test" },
                                                   { "anchor.schedule", "off", "test" } };
    site.settings = rarely;
    site.setting_count = TL_ARRAY_LEN(rarely);
    struct tally_ledger *ledger = site_open(&site);
    struct tally_ledger *other = site_open(&site);
    struct tally_scheduler *scheduler = NULL;
    check_ok(tally_scheduler_start(&scheduler, ledger, NULL));
    (void)usleep(50000);
    check_ok(tally_schedule_run(other, "verify", NULL));
    check_ok(tally_schedule_run(other, "purge", NULL));
    atomic_store(&ahead_us, MINUTE_US);
    wait_for_runs("purge", 2);
    assert_int_equal(look("verify").job.runs, 1);
    assert_int_equal(look("verify").job.verdict, TALLY_VERDICT_VERIFIED);
    tally_scheduler_stop(scheduler);
    tally_close(other);
    tally_close(ledger);
}

static bool stop_at_once(void *ctx)
{
    (void)ctx;
    return true;
}

static void a_verification_that_was_stopped_has_no_verdict(void **state)
{
    (void)state;
    struct tally_ledger *ledger = site_open(&site);
    struct tl_job_state job = { .verdict = TALLY_VERDICT_VERIFIED, .verified_to = 3 };
    check_status(tl_job_run(ledger, TL_JOB_VERIFY, &job, stop_at_once, NULL, NULL),
                 TALLY_ECANCELED);
    assert_int_equal(job.verdict, TALLY_VERDICT_VERIFIED);
    assert_int_equal(job.verified_to, 3);
    tally_close(ledger);
}

/* The thread is the parent's. */
static void a_forked_child_stops_nothing(void **state)
{
    (void)state;
    struct tally_ledger *ledger = site_open(&site);
    struct tally_scheduler *scheduler = NULL;
    check_ok(tally_scheduler_start(&scheduler, ledger, NULL));
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)alarm(20);
        tally_scheduler_stop(scheduler);
        scheduler = NULL;
        _exit(tally_scheduler_start(&scheduler, ledger, NULL) == TALLY_ENOTSUP ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    atomic_store(&ahead_us, MINUTE_US);
    wait_for_runs("verify", 1);
    tally_scheduler_stop(scheduler);
    tally_close(ledger);
}

static void goes_on_with_what_is_configured_now(void **state)
{
    (void)state;
    site_configure(&site, "verify.schedule: off\nretention.schedule: off\nanchor.schedule: off\n");
    site.setting_count = 0;
    struct tally_ledger *ledger = site_open(&site);
    struct tally_scheduler *scheduler = NULL;
    struct tally_error err = TALLY_ERROR_INIT;
    check_ok(tally_scheduler_start(&scheduler, ledger, NULL));
    site_configure(&site,
                   "verify.schedule: '* * * *'\nretention.schedule: off\nanchor.schedule: off\n");
    check_status(tally_scheduler_reload(scheduler, &err), TALLY_EINVAL);
    assert_non_null(strstr(err.message, "tally.yaml:1:18: 'verify.schedule'"));
    site_configure(&site,
                   "verify.schedule: '* * * * *'\nretention.schedule: off\nanchor.schedule: off\n");
    check_ok(tally_scheduler_reload(scheduler, NULL));
    check_ok(tally_scheduler_reload(scheduler, NULL)); /* before the first was taken, perhaps */
    (void)usleep(1100000);
    atomic_store(&ahead_us, 2 * MINUTE_US);
    wait_for_runs("verify", 1);
    assert_int_equal(look("purge").job.runs, 0);
    tally_scheduler_stop(scheduler);
    tally_close(ledger);
}

static void refuses_what_cannot_be_scheduled(void **state)
{
    (void)state;
    struct tally_ledger *ledger = site_open(&site);
    check_status(tally_schedule_run(ledger, "sleep", NULL), TALLY_EINVAL);
    check_status(tally_schedule_run(ledger, "backup", NULL), TALLY_EINVAL); /* whereto? */
    tally_close(ledger);
    struct tally_scheduler *scheduler = NULL;
    ledger = site_open_read(&site);
    check_status(tally_scheduler_start(&scheduler, ledger, NULL), TALLY_EINVAL);
    tally_close(ledger);
    ledger = site_memory("memory:100");
    check_status(tally_scheduler_start(&scheduler, ledger, NULL), TALLY_EINVAL);
    tally_close(ledger);
    static const struct tally_setting wrong[] = { { "verify.schedule", "61 * * * *", "test" } };
    struct tally_options options = logs_options(&site);
    options.uri = "/nowhere/ledger";
    check_status(tally_schedule_each(&options, see, NULL, NULL), TALLY_ENOTFOUND);
    site.settings = wrong;
    site.setting_count = 1;
    ledger = site_open(&site);
    struct tally_error err = TALLY_ERROR_INIT;
    check_status(tally_scheduler_start(&scheduler, ledger, &err), TALLY_EINVAL);
    assert_non_null(strstr(err.message, "verify"));
    tally_close(ledger);
    tally_scheduler_stop(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(says_when_jobs_will_run, set_up, tear_down),
        cmocka_unit_test_setup_teardown(runs_what_is_due_and_counts_what_was_missed, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(verifies_contents_in_turns, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_clock_that_was_set_back_stops_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_others_ran_meanwhile_is_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_verification_that_was_stopped_has_no_verdict, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_forked_child_stops_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(goes_on_with_what_is_configured_now, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses_what_cannot_be_scheduled, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
