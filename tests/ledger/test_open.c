/* Making, opening and closing ledgers: locks, clocks, epochs, policies, what a crash leaves. */
#include <tally/tally.h>

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "fault.h"
#include "support/fake_clock.h"
#include "support/site.h"

#define EPOCH_S  INT64_C(60)
#define TEXT_MAX 4096u

static const struct tally_setting short_epochs[] = { { "epoch.seconds", "60", "test" } };

static struct site site;

static int set_up(void **state)
{
    if (check_mkdir(state) != 0) {
        return -1;
    }
    fake_clock_use();
    site_init(&site, *state, short_epochs, TL_ARRAY_LEN(short_epochs));
    return 0;
}

/* With epochs of an hour: ten years of minutes are more than a verifier follows. */
static int set_up_hours(void **state)
{
    if (check_mkdir(state) != 0) {
        return -1;
    }
    fake_clock_use();
    site_init(&site, *state, NULL, 0);
    return 0;
}

static int tear_down(void **state)
{
    fake_clock_end();
    return check_rmdir(state);
}

static void append_some(struct tally_ledger *ledger, const char *name, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        char id[64];
        (void)snprintf(id, sizeof(id), "%s/%u", name, i);
        (void)site_append(ledger, id, i);
    }
}

static uint32_t epoch_of(struct tally_ledger *ledger)
{
    struct tally_info info;
    check_ok(tally_info(ledger, &info, NULL));
    return info.epoch;
}

static void a_ledger_that_is_not_there_is_not_made(void **state)
{
    struct site missing;
    struct tally_ledger *ledger = NULL;
    struct tally_error error = TALLY_ERROR_INIT;
    char dir[SITE_PATH_SIZE];
    check_path(dir, sizeof(dir), *state, "nowhere");
    site_name(&missing, dir);
    check_status(site_try_open(&missing, 1, &ledger, &error), TALLY_ENOTFOUND);
    check_status(site_try_open(&missing, 0, &ledger, NULL), TALLY_ENOTFOUND);
    assert_int_equal(access(dir, F_OK), -1);
}

static void what_is_there_is_not_made_again(void **state)
{
    (void)state;
    struct tally_ledger *ledger = site_open(&site);
    append_some(ledger, "kept", 3);
    tally_close(ledger);
    check_status(site_try_init(&site, NULL), TALLY_ECONFLICT);
    ledger = site_open(&site);
    assert_int_equal(site_count(ledger), 3);
    tally_close(ledger);
}

static void readers_are_not_held_up_by_a_writer(void **state)
{
    (void)state;
    struct tally_ledger *writer = site_open(&site);
    struct tally_ledger *reader = site_open_read(&site);
    for (unsigned i = 0; i < 50; i++) {
        char id[32];
        (void)snprintf(id, sizeof(id), "r%u", i);
        (void)site_append(writer, id, i);
        assert_int_equal(site_count(reader), i + 1);
        assert_true(site_has(reader, id));
    }
    assert_string_equal(tally_origin(reader), tally_origin(writer));
    (void)site_verify_open(reader, &site);
    tally_close(reader);
    tally_close(writer);
}

static void check_resumed(struct tally_ledger *ledger, uint64_t times, const char *clean)
{
    char line[TEXT_MAX] = "";
    assert_int_equal(site_count_kind(ledger, "resume", line, sizeof(line)), times);
    assert_non_null(strstr(line, clean));
}

static void an_orderly_stop_is_told_from_a_crash(void **state)
{
    (void)state;
    struct tally_ledger *ledger = site_open(&site);
    append_some(ledger, "a", 2);
    check_resumed(ledger, 1, "\"clean\":true");
    tally_close(ledger);
    ledger = site_open(&site);
    check_resumed(ledger, 2, "\"clean\":true");
    append_some(ledger, "b", 2);
    tally_close(ledger);

    (void)fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct tally_ledger *doomed = site_open(&site);
        append_some(doomed, "c", 5);
        (void)kill(getpid(), SIGKILL);
        _exit(1);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    (void)site_verify(&site);
    ledger = site_open(&site);
    check_resumed(ledger, 4, "\"clean\":false");
    assert_int_equal(site_count(ledger), 9);
    tally_close(ledger);
    (void)site_verify(&site);
}

static void an_epoch_ends_at_a_batch_boundary(void **state)
{
    (void)state;
    struct tally_ledger *ledger = site_open(&site);
    append_some(ledger, "e0", 3);
    assert_int_equal(epoch_of(ledger), 0);
    fake_clock_pass(EPOCH_S * FAKE_SECOND);
    append_some(ledger, "e1", 1);
    assert_int_equal(epoch_of(ledger), 1);
    fake_clock_pass(5 * EPOCH_S * FAKE_SECOND); /* several at once */
    append_some(ledger, "e6", 1);
    assert_int_equal(epoch_of(ledger), 6);
    assert_int_equal(site_count_kind(ledger, "epoch", NULL, 0), 2);
    (void)site_verify_open(ledger, &site);
    fake_clock_pass(EPOCH_S * FAKE_SECOND);
    tally_close(ledger);

    fake_clock_pass(EPOCH_S * FAKE_SECOND);
    ledger = site_open(&site); /* the switch comes with RESUME */
    assert_int_equal(epoch_of(ledger), 8);
    tally_close(ledger);
    (void)site_verify(&site);
}

static void a_step_of_an_hour_or_less_is_followed(void **state)
{
    (void)state;
    struct tally_ledger *ledger = site_open(&site);
    append_some(ledger, "before", 1);
    fake_clock_step(FAKE_HOUR);
    struct tally_receipt ahead = site_append(ledger, "ahead", 1);
    assert_int_equal(ahead.recorded_us, FAKE_CLOCK_START + FAKE_HOUR);
    fake_clock_step(-FAKE_HOUR);
    struct tally_receipt behind = site_append(ledger, "behind", 1);
    assert_int_equal(behind.recorded_us, ahead.recorded_us); /* never before the last one */
    tally_close(ledger);
    (void)site_verify(&site);
}

static void a_step_of_years_is_not_followed(void **state)
{
    (void)state;
    struct tally_ledger *ledger = site_open(&site);
    fake_clock_step(10 * FAKE_YEAR);
    fake_clock_pass(FAKE_SECOND);
    struct tally_receipt receipt = site_append(ledger, "a", 1);
    assert_int_equal(receipt.recorded_us, FAKE_CLOCK_START + FAKE_SECOND);
    fake_clock_pass(FAKE_SECOND);
    receipt = site_append(ledger, "b", 1);
    assert_int_equal(receipt.recorded_us, FAKE_CLOCK_START + 2 * FAKE_SECOND);
    fake_clock_step(-10 * FAKE_YEAR);
    receipt = site_append(ledger, "c", 1);
    assert_int_equal(receipt.recorded_us, FAKE_CLOCK_START + 2 * FAKE_SECOND);
    tally_close(ledger);
    (void)site_verify(&site);
}

static void a_clock_that_went_back_is_held_and_flagged(void **state)
{
    (void)state;
    struct tally_ledger *ledger = site_open(&site);
    (void)site_append(ledger, "a", 1);
    fake_clock_step(-10 * FAKE_YEAR);
    struct tally_receipt receipt = site_append(ledger, "b", 1);
    assert_int_equal(receipt.recorded_us, FAKE_CLOCK_START);
    char *proof = NULL;
    check_ok(tally_proof_make(ledger, receipt.seq, &proof, NULL));
    tally_free(proof);
    tally_close(ledger);
    ledger = site_open(&site); /* and at a start */
    tally_close(ledger);
    fake_clock_step(10 * FAKE_YEAR);
    (void)site_verify(&site);
}

static void a_clock_far_ahead_at_start_needs_a_person(void **state)
{
    (void)state;
    struct tally_ledger *ledger = site_open(&site);
    append_some(ledger, "a", 1);
    tally_close(ledger);
    fake_clock_pass(10 * FAKE_YEAR);

    struct tally_error error = TALLY_ERROR_INIT;
    check_status(site_try_open(&site, 1, &ledger, &error), TALLY_EINVAL);
    assert_non_null(strstr(error.message, "clock"));
    ledger = site_open_read(&site); /* reading is harmless */
    tally_close(ledger);
    (void)site_verify(&site);

    struct site accepting = site;
    accepting.accept_clock = 1;
    ledger = site_open(&accepting);
    append_some(ledger, "b", 1);
    check_resumed(ledger, 2, "\"clean\":true"); /* the refusal was no start */
    tally_close(ledger);
    (void)site_verify(&site);
}

static void a_synchronised_clock_is_believed_at_start(void **state)
{
    (void)state;
    fake_clock_pass(10 * FAKE_YEAR);
    fake_clock_synchronise(true);
    struct tally_ledger *ledger = site_open(&site);
    append_some(ledger, "b", 1);
    tally_close(ledger);
    (void)site_verify(&site);
}

static void another_policy_is_recorded_once(void **state)
{
    (void)state;
    static const struct tally_setting other[] = { { "retention.default_days", "30", "test" },
                                                  { "retention.by_action", "login:7,user.*:90",
                                                    "test" },
                                                  { "erasable", "/metadata", "test" } };
    struct tally_ledger *ledger = site_open(&site);
    append_some(ledger, "a", 2);
    assert_int_equal(site_count_kind(ledger, "policy", NULL, 0), 0);
    tally_close(ledger);
    struct site changed = site;
    changed.settings = other;
    changed.setting_count = 1;
    for (unsigned i = 0; i < 2; i++) {
        ledger = site_open(&changed);
        append_some(ledger, i == 0 ? "b" : "c", 2);
        assert_int_equal(site_count_kind(ledger, "policy", NULL, 0), 1);
        tally_close(ledger);
    }
    ledger = site_open(&site); /* and back */
    append_some(ledger, "d", 2);
    assert_int_equal(site_count_kind(ledger, "policy", NULL, 0), 2);
    tally_close(ledger);
    (void)site_verify(&site);

    changed.setting_count = 3;
    ledger = NULL;
    if (site_try_open(&changed, 1, &ledger, NULL) != TALLY_OK) {
        changed.setting_count = 1; /* maps are given key by key */
        ledger = site_open(&changed);
    }
    append_some(ledger, "e", 2);
    tally_close(ledger);
    (void)site_verify(&site);
}

static void a_wrong_setting_is_named(void **state)
{
    (void)state;
    static const struct tally_setting wrong[] = { { "epoch.secconds", "60", "flag" } };
    struct site bad = site;
    bad.settings = wrong;
    bad.setting_count = 1;
    struct tally_ledger *ledger = NULL;
    struct tally_error error = TALLY_ERROR_INIT;
    check_status(site_try_open(&bad, 1, &ledger, &error), TALLY_EINVAL);
    assert_non_null(strstr(error.message, "secconds"));
    struct tally_options options = TALLY_OPTIONS_INIT;
    check_status(tally_open(&ledger, &options, NULL), TALLY_EINVAL);
    options.struct_size = 3;
    check_status(tally_open(&ledger, &options, NULL), TALLY_EINVAL);
}

/* Copies the ledger as it was when file operation number `stop_at` was about to happen: a process
 * that dies leaves what it had done until then. */
static void a_crash_at_each_step_of_a_switch_is_mended(void **state)
{
    (void)state;
    unsigned steps = 0;
    for (unsigned stop_at = 1; steps == 0; stop_at++) {
        (void)fflush(NULL);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            fault_die_at_io(SIZE_MAX);
            struct tally_ledger *doomed = site_open(&site);
            fake_clock_pass((int64_t)stop_at * EPOCH_S * FAKE_SECOND);
            fault_rearm(stop_at);
            char id[32];
            (void)snprintf(id, sizeof(id), "step/%u", stop_at);
            (void)site_append(doomed, id, stop_at);
            _exit(0);
        }
        int status = 0;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (WIFEXITED(status)) {
            assert_int_equal(WEXITSTATUS(status), 0);
            steps = stop_at;
        }
        fake_clock_pass((int64_t)stop_at * EPOCH_S * FAKE_SECOND);
        (void)site_verify(&site);
        struct tally_ledger *ledger = site_open(&site);
        char id[32];
        (void)snprintf(id, sizeof(id), "after/%u", stop_at);
        (void)site_append(ledger, id, stop_at);
        tally_close(ledger);
        (void)site_verify(&site);
    }
    assert_true(steps > 10);
}

static int ends_with(const char *text, const char *end)
{
    size_t len = strlen(text);
    size_t end_len = strlen(end);
    return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

static void secrets_are_for_the_owner_alone(void **state)
{
    (void)state;
    static const char *const names[] = { "keys/log.key", "keys/state", "keys/highwater" };
    for (size_t i = 0; i < TL_ARRAY_LEN(names); i++) {
        char path[SITE_PATH_SIZE];
        struct stat st;
        check_path(path, sizeof(path), site.dir, names[i]);
        assert_true(ends_with(path, names[i]));
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 077, 0);
    }
}

static void a_copy_taken_back_is_refused(void **state)
{
    char old_db[SITE_PATH_SIZE];
    char new_db[SITE_PATH_SIZE];
    char copy[SITE_PATH_SIZE];
    struct tally_ledger *ledger = site_open(&site);
    append_some(ledger, "a", 3);
    tally_close(ledger);
    check_path(copy, sizeof(copy), *state, "copy");
    site_copy(site.dir, copy);
    ledger = site_open(&site);
    append_some(ledger, "b", 3);
    tally_close(ledger);

    check_path(old_db, sizeof(old_db), copy, "ledger.db");
    check_path(new_db, sizeof(new_db), site.dir, "ledger.db");
    assert_int_equal(rename(old_db, new_db), 0); /* the store of before, the keys of now */
    struct tally_error error = TALLY_ERROR_INIT;
    check_status(site_try_open(&site, 1, &ledger, &error), TALLY_ECORRUPT);
    assert_non_null(strstr(error.message, "ROLLBACK"));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#define CASE_HOURS(name) cmocka_unit_test_setup_teardown(name, set_up_hours, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_ledger_that_is_not_there_is_not_made),
        CASE(what_is_there_is_not_made_again),
        CASE(readers_are_not_held_up_by_a_writer),
        CASE(an_orderly_stop_is_told_from_a_crash),
        CASE(an_epoch_ends_at_a_batch_boundary),
        CASE_HOURS(a_step_of_an_hour_or_less_is_followed),
        CASE_HOURS(a_step_of_years_is_not_followed),
        CASE_HOURS(a_clock_that_went_back_is_held_and_flagged),
        CASE_HOURS(a_clock_far_ahead_at_start_needs_a_person),
        CASE_HOURS(a_synchronised_clock_is_believed_at_start),
        CASE(another_policy_is_recorded_once),
        CASE(a_wrong_setting_is_named),
        CASE(a_crash_at_each_step_of_a_switch_is_mended),
        CASE(secrets_are_for_the_owner_alone),
        CASE(a_copy_taken_back_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
