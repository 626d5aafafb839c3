/* What is erased is in no file of the ledger any more, and the rest goes on verifying. */
#include <tally/tally.h>

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/io.h"
#include "check.h"
#include "support/erasing.h"
#include "support/fault.h"
#include "support/site.h"

#define FILE_MAX ((size_t)256 << 20)

/* ------------------------------------------------------------------------------------------- */

static size_t grep_file(const char *path, const char *value)
{
    char *data = NULL;
    size_t len = 0;
    check_ok(tl_io_read_file(path, FILE_MAX, &data, &len, NULL));
    size_t count = 0;
    const char *at = data;
    while ((at = memmem(at, len - (size_t)(at - data), value, strlen(value))) != NULL) {
        count++;
        at++;
    }
    tl_free(data);
    return count;
}

/* How often the value is in the files below `dir`. */
static size_t grep(const char *dir, const char *value)
{
    size_t count = 0;
    DIR *entries = opendir(dir);
    assert_non_null(entries);
    for (struct dirent *entry = readdir(entries); entry != NULL; entry = readdir(entries)) {
        char path[SITE_PATH_SIZE];
        struct stat st;
        if (entry->d_name[0] == '.') {
            continue;
        }
        check_path(path, sizeof(path), dir, entry->d_name);
        assert_int_equal(stat(path, &st), 0);
        size_t found = S_ISDIR(st.st_mode) ? grep(path, value) : grep_file(path, value);
        if (found > 0 && !S_ISDIR(st.st_mode)) {
            print_message("%s: %zu of '%.20s'\n", path, found, value);
        }
        count += found;
    }
    assert_int_equal(closedir(entries), 0);
    return count;
}

static uint64_t count_where(struct tally_ledger *ledger, const char *field, const char *value)
{
    const struct tally_condition condition = { field, value };
    struct tally_query query = TALLY_QUERY_INIT;
    query.conditions = &condition;
    query.condition_count = 1;
    uint64_t count = 0;
    int exact = 0;
    check_ok(tally_count(ledger, &query, &count, &exact, NULL));
    return count;
}

static void whole_records_are_gone(void **state)
{
    struct site site;
    site_init(&site, *state, NULL, 0);
    struct tally_ledger *ledger = site_open(&site);
    (void)site_append(ledger, "before", 1);
    append(ledger, FULL);
    (void)site_append(ledger, "after", 2);
    const struct tally_erase_options options = by_id("full", NULL, 0);
    struct tally_erased erased = erase(ledger, &options);
    assert_int_equal(erased.matched, 1);
    assert_int_equal(erased.erased, 1);
    assert_int_equal(erased.acts, 1);
    assert_int_equal(erased.seq, 5);
    (void)site_verify_open(ledger, &site);
    assert_int_equal(count_where(ledger, "actor_id", "u-41"), 0);
    assert_int_equal(count_where(ledger, "state", "erased"), 1);
    assert_int_equal(count_where(ledger, "state", "purged"), 0);
    assert_int_equal(site_count(ledger), 3);
    tally_close(ledger);
    (void)site_verify(&site);
    assert_int_equal(grep(site.dir, "Quibblethwaite"), 0);
    assert_int_equal(grep(site.dir, "\xf0\x9f\x90\xa7"), 0);
    assert_int_equal(grep(site.dir, NUMBER), 0);
    assert_int_equal(grep(site.dir, SHORT), 0);
    assert_int_equal(grep(site.dir, "u-41"), 0);
    assert_int_equal(grep(site.dir, "t-17"), 0);
    assert_int_equal(grep(site.dir, "xylophonic"), 0);
    assert_int_equal(grep(site.dir, "203.0.113.77"), 0);
}

static void members_go_one_after_the_other(void **state)
{
    struct site site;
    site_init(&site, *state, NULL, 0);
    struct tally_ledger *ledger = site_open(&site);
    append(ledger, FULL);
    static const char *const name[] = { "/actor/name" };
    static const char *const two[] = { "/reason", "/metadata" };
    static const char *const rest[] = { "/source/ip", "/targets", "/metadata", "/old_values" };
    struct tally_erase_options options = by_id("full", name, 1);
    struct tally_erased erased = erase(ledger, &options);
    assert_int_equal(erased.members, 1);
    expect_state(ledger, "full", "partial");
    (void)site_verify_open(ledger, &site);
    assert_int_equal(count_where(ledger, "actor_id", "u-41"), 1);
    assert_int_equal(count_where(ledger, "target_id", "t-17"), 1);
    assert_int_equal(count_where(ledger, "actor_name", NAME), 0);
    assert_int_equal(count_where(ledger, "state", "partial"), 1);

    options = by_id("full", two, 2);
    erased = erase(ledger, &options);
    assert_int_equal(erased.members, 2);
    (void)site_verify_open(ledger, &site);
    assert_int_equal(count_where(ledger, "text", "xylophonic"), 0);

    options = by_id("full", two, 2); /* once more: nothing is left of them */
    erased = erase(ledger, &options);
    assert_int_equal(erased.gone, 1);
    assert_int_equal(erased.erased, 0);
    assert_int_equal(erased.seq, TALLY_SEQ_NONE);

    options = by_id("full", rest, 4);
    erased = erase(ledger, &options);
    assert_int_equal(erased.members, 2);
    assert_int_equal(count_where(ledger, "target_id", "t-17"), 0);
    (void)site_verify_open(ledger, &site);
    struct tally_page *page = get(ledger, "full");
    assert_string_equal(page->items[0].state, "partial");
    assert_null(memmem(page->items[0].event, page->items[0].event_len, "targets", 7));
    tally_page_free(page);
    assert_int_equal(count_where(ledger, "action", "user.update"), 1);
    tally_close(ledger);
    assert_int_equal(grep(site.dir, "Quibblethwaite"), 0);
    assert_int_equal(grep(site.dir, "xylophonic"), 0);
    assert_int_equal(grep(site.dir, NUMBER), 0);
    assert_int_equal(grep(site.dir, "203.0.113.77"), 0);
    assert_true(grep(site.dir, "u-41") > 0);

    ledger = site_open(&site);
    options = by_id("full", NULL, 0);
    erased = erase(ledger, &options);
    assert_int_equal(erased.erased, 1);
    (void)site_verify_open(ledger, &site);
    tally_close(ledger);
    (void)site_verify(&site);
    assert_int_equal(grep(site.dir, "u-41"), 0);
}

static void long_values_leave_no_page_behind(void **state)
{
    struct site site;
    site_init(&site, *state, NULL, 0);
    struct tally_ledger *ledger = site_open(&site);
    static char text[200000];
    size_t len = (size_t)snprintf(text, sizeof(text),
                                  "{'id':'long','action':'a','reason':'x','metadata':{'v':'");
    for (unsigned i = 0; len < 150000; i++) { /* another mark on each page */
        len += (size_t)snprintf(text + len, sizeof(text) - len, "mark%05u-Aardvark ", i);
    }
    (void)snprintf(text + len, sizeof(text) - len, "'}}");
    append(ledger, text);
    (void)site_append(ledger, "other", 1);
    static const char *const metadata[] = { "/metadata" };
    const struct tally_erase_options options = by_id("long", metadata, 1);
    struct tally_erased erased = erase(ledger, &options);
    assert_true(erased.bytes > 149000);
    expect_state(ledger, "long", "partial");
    tally_close(ledger);
    (void)site_verify(&site);
    assert_int_equal(grep(site.dir, "Aardvark"), 0);
    assert_int_equal(grep(site.dir, "aardvark"), 0);
}

static void holds_go_first(void **state)
{
    struct site site;
    site_init(&site, *state, NULL, 0);
    struct tally_ledger *ledger = site_open(&site);
    for (unsigned i = 0; i < 4; i++) {
        char id[16];
        (void)snprintf(id, sizeof(id), "e%u", i);
        (void)site_append(ledger, id, i);
    }
    const struct tally_range held_range = { 2, 3 };
    const struct tally_range all = { 0, 100 };
    const struct tally_selection selection = { .ranges = &held_range, .range_count = 1 };
    const struct tally_actor lawyer = { .by = "legal" };
    struct tally_held held;
    check_ok(tally_hold_add(ledger, "case-7", &selection, 0, 0, &lawyer, &held, NULL, NULL));
    struct tally_erased erased;
    struct tally_error error;
    struct tally_erase_options options = by_id("e0", NULL, 0);
    check_status(try_erase(ledger, &options, &erased, &error), TALLY_EDENIED);
    assert_non_null(strstr(error.message, "case-7"));
    assert_int_equal(erased.held, 1);
    options = (struct tally_erase_options)TALLY_ERASE_OPTIONS_INIT;
    options.selection.ranges = &all;
    options.selection.range_count = 1;
    erased = erase(ledger, &options);
    assert_int_equal(erased.matched, 4);
    assert_int_equal(erased.held, 2);
    assert_int_equal(erased.erased, 2);
    (void)site_verify_open(ledger, &site);
    check_ok(tally_hold_release(ledger, "case-7", &lawyer, NULL, NULL));
    erased = erase(ledger, &options);
    assert_int_equal(erased.erased, 2);
    assert_int_equal(erased.gone, 2);
    tally_close(ledger);
    (void)site_verify(&site);
}

#define SUBJECT_EVENTS 2600u

static void fill_subjects(struct tally_ledger *ledger)
{
    struct tally_events *events = NULL;
    check_ok(tally_events_new(&events, ledger, NULL));
    for (unsigned i = 0; i < SUBJECT_EVENTS; i++) {
        char text[256];
        (void)snprintf(text, sizeof(text),
                       "{'id':'s/%u','action':'a.b','actor':{'type':'user','id':'person-%u'},"
                       "'targets':[{'type':'doc','id':'x:%u'},{'type':'other','id':'y'}]}",
                       i, i % 3, i % 5);
        site_add_text(events, text, 0);
    }
    struct tally_receipt *receipts = tl_alloc_array(SUBJECT_EVENTS, sizeof(*receipts));
    assert_non_null(receipts);
    check_ok(tally_append_events(ledger, events, receipts, NULL));
    tl_free(receipts);
    tally_events_free(events);
}

/* By actor, by target, and of each only what a filter says; all pages, and what the index has not
 * seen yet. */
static void subjects_are_found_wherever_they_are(void **state)
{
    struct site site;
    site_init(&site, *state, NULL, 0);
    struct tally_ledger *ledger = site_open(&site);
    fill_subjects(ledger);
    struct tally_erase_options options = TALLY_ERASE_OPTIONS_INIT;
    struct tally_erased erased;
    options.dry_run = 1;
    static const struct {
        const char *subject;
        uint64_t matched;
    } subjects[] = {
        { "actor:person-1", 867 },
        { "target:doc:x:2", 520 },
        { "target::x:2", 520 },
        { "target:other:y", 2600 },
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(subjects); i++) {
        options.subject = subjects[i].subject;
        erased = erase(ledger, &options);
        assert_int_equal(erased.matched, subjects[i].matched);
        assert_int_equal(erased.erased, subjects[i].matched);
    }
    /* A condition on the same field narrows: it is never an alternative. */
    const struct tally_condition other = { "actor_id", "person-2" };
    struct tally_query query = TALLY_QUERY_INIT;
    query.conditions = &other;
    query.condition_count = 1;
    options.selection.query = &query;
    options.subject = "actor:person-1";
    struct tally_error error;
    check_status(try_erase(ledger, &options, &erased, &error), TALLY_ENOTFOUND);
    options.subject = "target:doc:x:2";
    erased = erase(ledger, &options);
    assert_int_equal(erased.matched, 174);
    const struct tally_range half = { 2, 1301 };
    options.selection.query = NULL;
    options.selection.ranges = &half;
    options.selection.range_count = 1;
    erased = erase(ledger, &options);
    assert_int_equal(erased.matched, 260);

    options.selection.range_count = 0;
    options.subject = "actor:person-1";
    options.dry_run = 0;
    erased = erase(ledger, &options);
    assert_int_equal(erased.erased, 867);
    assert_int_equal(count_where(ledger, "actor_id", "person-1"), 0);
    assert_int_equal(count_where(ledger, "actor_id", "person-2"), 866);
    (void)site_verify_open(ledger, &site);
    tally_close(ledger);
    (void)site_verify(&site);
    /* Neither the act nor the event that records it names who is to be forgotten. */
    assert_int_equal(grep(site.dir, "person-1"), 0);
    ledger = site_open_read(&site);
    assert_int_equal(count_where(ledger, "action", "tally.erase"), 1);
    tally_close(ledger);
}

/* The payload of a leaf holds about 11,000 numbers. */
#define MANY  16000u
#define BATCH 4000u

static void fill_many(struct tally_ledger *ledger)
{
    static struct tally_receipt receipts[BATCH];
    struct tally_events *events = NULL;
    check_ok(tally_events_new(&events, ledger, NULL));
    for (unsigned i = 0; i < MANY; i++) {
        char id[32];
        (void)snprintf(id, sizeof(id), "m/%u", i);
        site_add(events, id, i);
        if (tally_events_count(events) == BATCH) {
            check_ok(tally_append_events(ledger, events, receipts, NULL));
            tally_events_clear(events);
        }
    }
    tally_events_free(events);
}

/* Puts one record of fill_many() on hold. */
static void hold_one(struct tally_ledger *ledger, const char *id)
{
    const struct tally_condition condition = { "id", id };
    struct tally_query query = TALLY_QUERY_INIT;
    query.conditions = &condition;
    query.condition_count = 1;
    const struct tally_selection selection = { .query = &query };
    struct tally_held held;
    check_ok(tally_hold_add(ledger, "late", &selection, 0, 0, &dpo, &held, NULL, NULL));
    assert_int_equal(held.records, 1);
}

struct meddler {
    struct tally_ledger *ledger;
    unsigned calls;
    unsigned hold_at; /* puts the last record on hold after so many batches; 0: never */
    unsigned stop_at; /* 0: never */
};

static int meddle(void *ctx, uint64_t done, uint64_t total)
{
    struct meddler *meddler = ctx;
    assert_true(done <= total);
    meddler->calls++;
    if (meddler->calls == meddler->hold_at) {
        char id[32];
        (void)snprintf(id, sizeof(id), "m/%u", MANY - 1);
        hold_one(meddler->ledger, id);
    }
    return meddler->calls == meddler->stop_at;
}

static void large_erasures_are_several_acts(void **state)
{
    (void)state;
    struct tally_ledger *ledger = site_memory("memory:1000000");
    fill_many(ledger);
    const struct tally_range all = { 0, 1000000 };
    struct meddler meddler = { .ledger = ledger };
    struct tally_erase_options options = TALLY_ERASE_OPTIONS_INIT;
    options.selection.ranges = &all;
    options.selection.range_count = 1;
    options.progress = meddle;
    options.ctx = &meddler;
    struct tally_erased erased = erase(ledger, &options);
    assert_int_equal(erased.acts, 2);
    assert_int_equal(erased.erased, MANY);
    assert_true(meddler.calls > 2);
    assert_int_equal(site_count_kind(ledger, "erase", NULL, 0), 2);
    (void)site_verify_open(ledger, NULL);
    tally_close(ledger);
}

/* Who puts something on hold between two acts of one erasure is heeded. */
static void a_hold_that_comes_in_between_is_kept(void **state)
{
    (void)state;
    struct tally_ledger *ledger = site_memory("memory:1000000");
    fill_many(ledger);
    const struct tally_range all = { 0, 1000000 };
    struct meddler meddler = { .ledger = ledger, .hold_at = 1 };
    struct tally_erase_options options = TALLY_ERASE_OPTIONS_INIT;
    options.selection.ranges = &all;
    options.selection.range_count = 1;
    options.progress = meddle;
    options.ctx = &meddler;
    struct tally_erased erased = erase(ledger, &options);
    assert_int_equal(erased.erased, MANY - 1);
    assert_int_equal(erased.held, 1);
    char id[32];
    (void)snprintf(id, sizeof(id), "m/%u", MANY - 1);
    expect_state(ledger, id, "present");
    (void)site_verify_open(ledger, NULL);
    tally_close(ledger);
}

static void what_was_stopped_is_finished_by_the_next(void **state)
{
    struct site site;
    site_init(&site, *state, NULL, 0);
    struct tally_ledger *ledger = site_open(&site);
    fill_many(ledger);
    const struct tally_range all = { 0, 1000000 };
    struct meddler meddler = { .ledger = ledger, .stop_at = 2 };
    struct tally_erase_options options = TALLY_ERASE_OPTIONS_INIT;
    options.selection.ranges = &all;
    options.selection.range_count = 1;
    options.progress = meddle;
    options.ctx = &meddler;
    struct tally_erased erased;
    struct tally_error error;
    check_status(try_erase(ledger, &options, &erased, &error), TALLY_ECANCELED);
    assert_int_equal(erased.acts, 1);
    assert_true(erased.erased > 0 && erased.erased < MANY);
    (void)site_verify_open(ledger, &site);
    options = by_id("m/15999", NULL, 0); /* another erasure; it ends the first as well */
    erased = erase(ledger, &options);
    assert_int_equal(erased.erased, 1);
    assert_false(site_has(ledger, "m/0"));
    assert_false(site_has(ledger, "m/9000"));
    tally_close(ledger);
    (void)site_verify(&site);
}

static void any_process_may_erase(void **state)
{
    struct site site;
    site_init(&site, *state, NULL, 0);
    struct tally_ledger *sequencer = site_open(&site);
    struct tally_ledger *follower = site_open(&site);
    append(follower, FULL);
    (void)site_append(sequencer, "other", 1);
    static const char *const name[] = { "/actor/name" };
    struct tally_erase_options options = by_id("full", name, 1);
    struct tally_erased erased = erase(follower, &options);
    assert_int_equal(erased.erased, 1);
    (void)site_verify_open(sequencer, &site);
    options = by_id("full", NULL, 0);
    erased = erase(follower, &options);
    assert_int_equal(erased.erased, 1);
    (void)site_append(sequencer, "more", 2);
    (void)site_verify_open(follower, &site);
    tally_close(follower);
    tally_close(sequencer);
    (void)site_verify(&site);
    assert_int_equal(grep(site.dir, "Quibblethwaite"), 0);
    assert_int_equal(grep(site.dir, "u-41"), 0);
}

static void ledgers_in_memory_erase_as_well(void **state)
{
    (void)state;
    static const char *const name[] = { "/actor/name" };
    struct tally_ledger *ledger = site_memory("memory:1000");
    append(ledger, FULL);
    struct tally_erase_options options = by_id("full", name, 1);
    struct tally_erased erased = erase(ledger, &options);
    assert_int_equal(erased.members, 1);
    expect_state(ledger, "full", "partial");
    assert_int_equal(count_where(ledger, "state", "partial"), 1);
    (void)site_verify_open(ledger, NULL);
    assert_int_equal(count_where(ledger, "actor_name", NAME), 0);
    options = by_id("full", NULL, 0);
    erased = erase(ledger, &options);
    assert_int_equal(erased.erased, 1);
    assert_int_equal(count_where(ledger, "state", "erased"), 1);
    assert_int_equal(count_where(ledger, "state", "evicted"), 0);
    (void)site_verify_open(ledger, NULL);
    tally_close(ledger);
}

/* A process that dies anywhere in an erasure leaves a ledger that verifies, and the next one ends what
 * was sealed. */
static void erase_in_child(const struct site *site, unsigned stop_at)
{
    static const char *const reason[] = { "/reason" };
    fault_die_at_io(SIZE_MAX);
    struct tally_ledger *ledger = site_open(site);
    struct tally_erase_options options = TALLY_ERASE_OPTIONS_INIT;
    struct tally_erased erased;
    options.subject = "actor:u-41";
    options.members = reason;
    options.member_count = 1;
    fault_rearm(stop_at);
    _exit(tally_erase(ledger, &options, &dpo, &erased, NULL, NULL) == TALLY_OK ? 0 : 1);
}

static void end_erasure(const struct site *site)
{
    struct tally_ledger *ledger = site_open(site);
    struct tally_erased erased;
    struct tally_error error;
    static const char *const reason[] = { "/reason" };
    struct tally_erase_options options = TALLY_ERASE_OPTIONS_INIT;
    options.subject = "actor:u-41";
    options.members = reason;
    options.member_count = 1;
    check_ok(try_erase(ledger, &options, &erased, &error));
    assert_int_equal(erased.matched, erased.gone + erased.erased);
    tally_close(ledger);
    (void)site_verify(site);
    assert_int_equal(grep(site->dir, "Xylophonic"), 0);
    assert_int_equal(grep(site->dir, "xylophonic"), 0);
}

static void append_full(const struct site *site, unsigned n)
{
    struct tally_ledger *ledger = site_open(site);
    for (unsigned i = 0; i < 3; i++) {
        char text[512];
        (void)snprintf(text, sizeof(text),
                       "{'id':'c/%u/%u','action':'a','actor':{'id':'u-41'},'reason':'Xylophonic'}",
                       n, i);
        append(ledger, text);
    }
    tally_close(ledger);
}

static void a_crash_anywhere_is_mended(void **state)
{
    struct site site;
    site_init(&site, *state, NULL, 0);
    unsigned steps = 0;
    for (unsigned stop_at = 1; steps == 0; stop_at += 1 + stop_at / 3) {
        append_full(&site, stop_at);
        (void)fflush(NULL);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            erase_in_child(&site, stop_at);
        }
        int status = 0;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (WIFEXITED(status)) {
            assert_int_equal(WEXITSTATUS(status), 0);
            steps = stop_at;
        }
        (void)site_verify(&site);
        end_erasure(&site);
    }
    assert_true(steps > 5);
}

#define KILLS 8u

static void a_kill_at_any_time_is_mended(void **state)
{
    struct site site;
    site_init(&site, *state, NULL, 0);
    for (unsigned n = 0; n < KILLS; n++) {
        append_full(&site, 1000 + n);
        (void)fflush(NULL);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            erase_in_child(&site, UINT32_MAX);
        }
        struct timespec pause = { .tv_nsec = (long)(n * 6) * 1000000 };
        (void)nanosleep(&pause, NULL);
        assert_int_equal(kill(pid, SIGKILL), 0);
        int status = 0;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        (void)site_verify(&site);
        end_erasure(&site);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, check_mkdir, check_rmdir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(whole_records_are_gone),
        TEST(members_go_one_after_the_other),
        TEST(long_values_leave_no_page_behind),
        TEST(holds_go_first),
        TEST(subjects_are_found_wherever_they_are),
        TEST(large_erasures_are_several_acts),
        TEST(a_hold_that_comes_in_between_is_kept),
        TEST(what_was_stopped_is_finished_by_the_next),
        TEST(any_process_may_erase),
        TEST(ledgers_in_memory_erase_as_well),
        TEST(a_crash_anywhere_is_mended),
        TEST(a_kill_at_any_time_is_mended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
