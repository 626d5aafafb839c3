/* Purges beside others, archives, kills. */
#include <tally/tally.h>

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"
#include "check.h"
#include "fault.h"
#include "ledger/purge.h"
#include "ledger/purge_archive.h"
#include "ledger/removal_index.h"
#include "store/tamper.h"
#include "support/fake_clock.h"
#include "support/purging.h"

static void use_archive(const char *dir)
{
    static struct tally_setting with[PURGING_RULES + 1];
    memcpy(with, purging_rules, sizeof(purging_rules));
    with[PURGING_RULES] = (struct tally_setting){ "archive.dir", dir, "test" };
    purging_site.settings = with;
    purging_site.setting_count = TL_ARRAY_LEN(with);
}

static void contents_are_archived_before_they_go(void **state)
{
    (void)state;
    use_archive("archive");
    struct tally_ledger *ledger = site_open(&purging_site);
    purging_append(ledger, "a", 300, "medium");
    purging_append(ledger, "b", 10, "low");
    purging_append(ledger, "c", 7, "medium");
    fake_clock_pass(2 * DAY);
    (void)site_append(ledger, "wake", 1);
    struct tally_purged purged = purging_run(ledger);
    assert_int_equal(purged.purged, 307);
    assert_non_null(
        strstr(purged.archive, "/archive/purge-2-318-20260103T010000000000Z.ndjson.zst"));
    purging_check_event(ledger, "'archive':'", "\"outcome\":\"success\"");
    purging_verify(ledger);
    tally_close(ledger);

    static struct tl_archive_reader reader;
    reader = (struct tl_archive_reader){ .fd = -1 };
    struct tl_str line;
    unsigned lines = 0;
    unsigned secrets = 0;
    check_ok(tl_archive_open(&reader, purged.archive, NULL));
    tally_status status = TALLY_OK;
    while ((status = tl_archive_line(&reader, &line, NULL)) == TALLY_OK) {
        char *text = tl_alloc_array(line.len + 1, 1);
        assert_non_null(text);
        tl_str_copy(text, line.len + 1, line);
        lines++;
        secrets += strstr(text, "\\\"secret\\\":\\\"of ") != NULL ? 1 : 0;
        tl_free(text);
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
    struct tally_ledger *ledger = site_open(&purging_site);
    purging_append(ledger, "a", 10, "medium");
    fake_clock_pass(2 * DAY);
    (void)site_append(ledger, "wake", 1);
    const struct tally_purge_options options = TALLY_PURGE_OPTIONS_INIT;
    struct tally_purged purged;
    check_status(purging_try(ledger, &options, &purged, NULL), TALLY_EIO);
    assert_int_equal(purged.purged, 0);
    assert_int_equal(purging_count(ledger, "a", 10), 10);
    assert_int_equal(site_count_kind(ledger, "purge", NULL, 0), 0);
    purging_check_event(ledger, "'purged':0,'status':'TALLY_EIO'", "\"outcome\":\"failure\"");
    purging_verify(ledger);
    tally_close(ledger);
}

static void what_is_removed_by_hand_is_found(void **state)
{
    char path[512];
    struct tally_ledger *ledger = site_open(&purging_site);
    purging_append(ledger, "a", 10, "low");
    purging_append(ledger, "b", 10, "medium");
    fake_clock_pass(2 * DAY);
    (void)site_append(ledger, "wake", 1);
    assert_int_equal(purging_run(ledger).purged, 10);
    tally_close(ledger);
    (void)site_verify(&purging_site);
    struct tl_tamper *tamper = NULL;
    check_path(path, sizeof(path), *state, "ledger/ledger.db");
    check_ok(tl_tamper_open(&tamper, path, NULL));
    check_ok(tl_tamper_run(tamper,
                           "UPDATE record SET event = NULL, seed = NULL, opened = NULL "
                           "WHERE seq = 3",
                           NULL, 0, NULL, NULL));
    tl_tamper_close(tamper);
    assert_int_equal(
        purging_findings(NULL, "PURGE_EARLY") + purging_findings(NULL, "CONTENT_MISSING"), 1);
}

static void run_sql(sqlite3 *db, const char *sql)
{
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
}

static sqlite3 *open_index(void)
{
    char path[SITE_PATH_SIZE];
    sqlite3 *db = NULL;
    check_path(path, sizeof(path), purging_site.dir, "index.db");
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    return db;
}

static void what_is_left_for_a_reader_is_counted_and_cleared_later(void **state)
{
    (void)state;
    struct tally_ledger *ledger = site_open(&purging_site);
    purging_append(ledger, "a", 10, "medium");
    fake_clock_pass(2 * DAY);
    (void)site_append(ledger, "wake", 1);
    check_ok(tally_wait_indexed(ledger, NULL));
    sqlite3 *db = open_index();
    run_sql(db, "BEGIN; SELECT count(*) FROM meta");
    struct tally_purged purged = purging_run(ledger); /* waits for the reader to come to an end */
    assert_int_equal(purged.purged, 10);
    assert_true(purged.left > 0);
    purging_check_event(ledger, "'complete':false", "\"outcome\":\"success\"");
    run_sql(db, "COMMIT");
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    assert_int_equal(purging_run(ledger).left, 0);
    purging_verify(ledger);
    tally_close(ledger);
}

static void what_the_index_could_not_forget_is_counted(void **state)
{
    (void)state;
    struct tally_ledger *ledger = site_open(&purging_site);
    purging_append(ledger, "a", 10, "medium");
    check_ok(tally_wait_indexed(ledger, NULL));
    struct tl_forgetter forgetter;
    const struct tl_range range = { 2, 5 };
    uint64_t id = 0;
    uint64_t noted = 0;
    sqlite3 *db = open_index();
    check_ok(tl_forgetter_open(&forgetter, ledger, NULL));
    check_ok(tl_forgetter_note(&forgetter, &range, 1, &id, NULL));
    run_sql(db, "UPDATE meta SET position = position - 9"); /* it is behind */
    check_ok(tl_forgetter_rewrite(&forgetter, id, &range, 1, NULL));
    check_ok(tl_forgetter_noted(&forgetter, &noted, NULL));
    assert_int_equal(noted, 1);
    run_sql(db, "UPDATE meta SET position = position + 9");
    check_ok(tl_forgetter_rewrite(&forgetter, id, &range, 1, NULL));
    check_ok(tl_forgetter_noted(&forgetter, &noted, NULL));
    assert_int_equal(noted, 0);
    tl_forgetter_close(&forgetter);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    tally_close(ledger);
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
    site_init(&purging_site, *state, purging_rules, PURGING_RULES);
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
    struct tally_ledger *first = site_open(&purging_site);
    struct tally_ledger *second = site_open(&purging_site);
    const struct tally_purge_options options = TALLY_PURGE_OPTIONS_INIT;
    struct tally_purged purged;
    struct tl_removal *removal = NULL;
    check_ok(tl_removal_begin(&removal, first, NULL));
    check_status(purging_try(second, &options, &purged, NULL), TALLY_EBUSY);
    check_status(purging_try(first, &options, &purged, NULL), TALLY_EBUSY);
    tl_removal_end(&removal);
    check_ok(purging_try(second, &options, &purged, NULL));
    check_ok(purging_try(first, &options, &purged, NULL));
    tally_close(second);
    tally_close(first);
}

static tally_status pass_over(void *ctx, const struct tally_record *record, struct tl_arena *arena,
                              struct tally_reduction *left)
{
    (void)ctx;
    (void)record;
    (void)arena;
    (void)left;
    return TALLY_ENOTFOUND;
}

static int count_batch(void *ctx, uint64_t done, uint64_t total)
{
    (void)total;
    assert_int_equal(done, 0);
    ++*(unsigned *)ctx;
    return 0;
}

static void a_batch_that_finds_nothing_has_an_end(void **state)
{
    (void)state;
    struct tally_ledger *ledger = purging_memory();
    purging_append(ledger, "a", 4000, "low");
    purging_append(ledger, "b", 4000, "low");
    unsigned batches = 0;
    const struct tl_range range = { 0, 7999 };
    const struct tl_removal_order order = { .ranges = &range,
                                            .range_count = 1,
                                            .fn = pass_over,
                                            .progress = count_batch,
                                            .progress_ctx = &batches };
    struct tl_removal *removal = NULL;
    struct tl_removed removed = { 0 };
    check_ok(tl_removal_begin(&removal, ledger, NULL));
    check_ok(tl_removal_run(removal, &order, &removed, NULL));
    tl_removal_end(&removal);
    assert_true(batches > 1);
    assert_int_equal(removed.records, 0);
    tally_close(ledger);
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
        struct tally_error err = TALLY_ERROR_INIT;
        if (tally_append(crowd->ledger, text, (size_t)len, NULL, &err) != TALLY_OK) {
            print_error("%s\n", err.message);
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
        if (tally_verify_at(purging_site.dir, &options, &report, NULL) != TALLY_OK ||
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
    struct tally_ledger *first = site_open(&purging_site);
    for (int i = 0; i < 5; i++) {
        char prefix[16];
        (void)snprintf(prefix, sizeof(prefix), "p%d", i);
        purging_append(first, prefix, 2000, i % 2 == 0 ? "medium" : "low");
    }
    atomic_store(&moved_us, 2 * DAY);
    (void)site_append(first, "wake", 1);
    check_ok(tally_wait_indexed(first, NULL));
    struct tally_ledger *second = site_open(&purging_site);
    static struct crowd writer;
    static struct crowd reader;
    writer = (struct crowd){ .ledger = first, .good = true };
    reader = (struct crowd){ .good = true };
    pthread_t threads[2];
    assert_int_equal(pthread_create(&threads[0], NULL, append_all_the_time, &writer), 0);
    assert_int_equal(pthread_create(&threads[1], NULL, verify_all_the_time, &reader), 0);
    struct tally_purged purged = purging_run(second);
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
    purging_verify(first);
    tally_close(second);
    tally_close(first);
    (void)site_verify(&purging_site);
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
    struct tally_ledger *ledger = site_open(&purging_site);
    struct tally_purge_options options = TALLY_PURGE_OPTIONS_INIT;
    struct tally_purged purged;
    options.progress = kill_after_batches;
    batches_left = batches;
    fault_rearm(stop_at);
    tally_status status = purging_try(ledger, &options, &purged, NULL);
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
    struct tally_ledger *ledger = site_open(&purging_site);
    (void)snprintf(prefix, sizeof(prefix), "r%u", round);
    purging_append(ledger, prefix, count, "medium");
    fake_clock_pass(DAY);
    tally_close(ledger);
    ledger = site_open(&purging_site);
    fake_clock_pass(DAY);
    (void)snprintf(prefix, sizeof(prefix), "wake-%u", round);
    purging_append(ledger, prefix, 1, "low");
    tally_close(ledger);
}

/* The next purge does the rest. */
static void check_mended(unsigned round, unsigned count)
{
    char prefix[32];
    (void)site_verify(&purging_site);
    struct tally_ledger *ledger = site_open(&purging_site);
    struct tally_purged purged = purging_run(ledger);
    assert_int_equal(purged.remaining, 0);
    (void)snprintf(prefix, sizeof(prefix), "r%u", round);
    assert_int_equal(purging_count(ledger, prefix, count), 0);
    purging_verify(ledger);
    tally_close(ledger);
    (void)site_verify(&purging_site);
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
    tally_status status = purging_try(ledger, &how, &purged, NULL);
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
#define CASE(name)    cmocka_unit_test_setup_teardown(name, purging_set_up, purging_tear_down)
#define RUNNING(name) cmocka_unit_test_setup_teardown(name, set_up_running, tear_down_running)
    const struct CMUnitTest tests[] = {
        CASE(contents_are_archived_before_they_go),
        CASE(nothing_goes_that_cannot_be_archived),
        CASE(what_is_removed_by_hand_is_found),
        CASE(what_is_left_for_a_reader_is_counted_and_cleared_later),
        CASE(what_the_index_could_not_forget_is_counted),
        RUNNING(one_purge_is_at_work_at_a_time),
        CASE(a_batch_that_finds_nothing_has_an_end),
        RUNNING(a_follower_purges_while_others_write_and_verify),
        CASE(a_purge_that_is_killed_anywhere_is_completed_by_the_next),
        CASE(a_purge_that_is_killed_at_any_time_is_completed_by_the_next),
        RUNNING(runs_out_of_memory_without_a_leak),
    };
    return cmocka_run_group_tests_name("ledger/purge_live", tests, NULL, NULL);
}
