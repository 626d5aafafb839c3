/* The policy of a logger: what it lets through, what it tells, and how it is replaced. */
#include <tally/tally.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "support/logs.h"
#include "support/site.h"

#define THREADS 8u
#define CHANGE  "tally.policy.change"
#define SUMMARY "tally.policy.unlisted"

static struct site site;
static struct tally_ledger *ledger;
static struct tally_logger *logger;
static char newest[1 << 16];

static int set_up(void **state)
{
    if (check_mkdir(state) != 0) {
        return -1;
    }
    site_init(&site, *state, NULL, 0);
    ledger = logs_open(&site);
    logger = logs_logger(ledger, NULL);
    return 0;
}

static void close_all(void)
{
    tally_logger_close(logger, LOGS_SOON_MS, NULL);
    tally_close(ledger);
    logger = NULL;
    ledger = NULL;
}

static int tear_down(void **state)
{
    close_all();
    return check_rmdir(state);
}

/* One setting of the policy. */
static tally_status set_one(const char *key, const char *value)
{
    const struct tally_setting setting = { key, value, "test" };
    return tally_logger_set_policy(logger, &setting, 1, NULL);
}

static tally_status put(const char *action)
{
    return logs_put(logger, action, action, 1, NULL, NULL);
}

static uint64_t count_of(const char *action)
{
    logs_flush(logger);
    return logs_count_action(ledger, action, newest, sizeof(newest));
}

static void an_empty_allow_list_allows_nothing_and_says_so(void **state)
{
    (void)state;
    check_ok(set_one("policy.allow", ""));
    check_status(put("a"), TALLY_EDISABLED);
    check_status(put("b.c"), TALLY_EDISABLED);
    check_status(put("a"), TALLY_EDISABLED);
    assert_int_equal(tally_logger_enabled(logger, "a"), 0);
    struct tally_log_counters counts = logs_check_balance(logger);
    assert_int_equal(counts.disabled, 3);
    assert_int_equal(counts.unlisted, 3);
    close_all();
    ledger = logs_open(&site);
    logger = logs_logger(ledger, NULL);
    assert_int_equal(count_of(SUMMARY), 1);
    assert_non_null(strstr(newest, "\"actions\":{\"a\":2,\"b.c\":1}"));
    assert_int_equal(site_count(ledger), 0);
}

static void what_is_switched_off_is_counted_and_not_unlisted(void **state)
{
    (void)state;
    check_ok(set_one("policy.enabled", "false"));
    check_status(put("a"), TALLY_EDISABLED);
    assert_int_equal(tally_logger_enabled(logger, "a"), 0);
    struct tally_log_counters counts = logs_check_balance(logger);
    assert_int_equal(counts.disabled, 1);
    assert_int_equal(counts.unlisted, 0);
    assert_true(count_of(CHANGE) >= 1); /* that it was switched off is on record */
    check_ok(set_one("policy.enabled", "true"));
    check_ok(put("a"));
    assert_int_equal(count_of("a"), 1);
}

static void more_actions_than_are_told_apart_are_summed_up(void **state)
{
    (void)state;
    check_ok(set_one("policy.allow", ""));
    for (unsigned i = 0; i < 100; i++) {
        char action[128];
        (void)snprintf(action, sizeof(action), "%s.%u",
                       i % 2 == 0 ? "short"
                                  : "long/long/long/"
                                    "long/long/long/long/long/long/long/long/long/long/long/long",
                       i);
        check_status(put(action), TALLY_EDISABLED);
    }
    close_all();
    ledger = logs_open(&site);
    logger = logs_logger(ledger, NULL);
    assert_int_equal(count_of(SUMMARY), 1);
    unsigned sum = 0;
    for (const char *at = strstr(newest, "\"actions\":{") + 10; *at != '}'; at++) {
        if (at[0] == '"' && at[1] == ':') {
            unsigned count = 0;
            for (at += 2; *at >= '0' && *at <= '9'; at++) {
                count = 10 * count + (unsigned)(*at - '0');
            }
            at--;
            sum += count;
        }
    }
    assert_int_equal(sum, 100);
}

static void lists_and_rules_decide(void **state)
{
    (void)state;
    static const struct tally_setting settings[] = {
        { "policy.allow", "user.*,order.pay", "test" },
        { "policy.deny", "user.ping", "test" },
        { "policy.rules",
          "[{\"action\":\"user.read\",\"level\":\"none\"},"
          "{\"action\":\"user.*\",\"level\":\"metadata\",\"set_severity\":\"high\"}]",
          "test" },
    };
    struct tally_error err = TALLY_ERROR_INIT;
    tally_status status = tally_logger_set_policy(logger, settings, 3, &err);
    if (status != TALLY_OK) {
        print_error("%s\n", err.message);
    }
    check_ok(status);
    check_status(put("user.ping"), TALLY_EDISABLED);
    check_status(put("user.read"), TALLY_EDISABLED);
    check_status(put("other"), TALLY_EDISABLED);
    assert_int_equal(tally_logger_enabled(logger, "user.ping"), 0);
    assert_int_equal(tally_logger_enabled(logger, "user.login"), 1);
    check_ok(put("order.pay"));
    static const char text[] = "{\"action\":\"user.login\",\"request\":{\"a\":1}}";
    check_ok(tally_log_text(logger, text, sizeof(text) - 1, NULL, NULL, NULL));
    assert_int_equal(count_of("user.login"), 1);
    assert_non_null(strstr(newest, "\"severity\":\"high\""));
    assert_null(strstr(newest, "\"request\""));
    struct tally_log_counters counts = logs_check_balance(logger);
    assert_int_equal(counts.disabled, 3);
    assert_int_equal(counts.unlisted, 1);
}

static void secrets_are_masked_before_anything_is_stored(void **state)
{
    (void)state;
    static const char text[] = "{\"action\":\"a\",\"request\":{\"Password\":\"hunter2\",\"n\":1}}";
    check_ok(tally_log_text(logger, text, sizeof(text) - 1, NULL, NULL, NULL));
    assert_int_equal(count_of("a"), 1);
    assert_null(strstr(newest, "hunter2"));
    assert_non_null(strstr(newest, "\"n\":1"));
    assert_int_equal(logs_check_balance(logger).masked, 1);
    check_ok(set_one("policy.text_bytes", "64"));
    char longer[400];
    int len =
        snprintf(longer, sizeof(longer), "{\"action\":\"b\",\"request\":{\"a\":\"%0200d\"}}", 7);
    check_ok(tally_log_text(logger, longer, (size_t)len, NULL, NULL, NULL));
    assert_int_equal(logs_check_balance(logger).truncated, 1);
}

static void each_change_of_policy_is_recorded_once(void **state)
{
    (void)state;
    assert_int_equal(count_of(CHANGE), 1); /* what was in force at first */
    check_ok(set_one("policy.deny", "x"));
    check_ok(set_one("policy.deny", "x")); /* no change */
    assert_int_equal(count_of(CHANGE), 2);
    assert_non_null(strstr(newest, "\"sha256\":\""));
    assert_non_null(strstr(newest, "\"deny\":[\"x\"]"));
    /* There and back, before anything of it can have been recorded. */
    check_ok(set_one("policy.deny", "y"));
    check_ok(set_one("policy.deny", "x"));
    assert_int_equal(count_of(CHANGE), 4);
    assert_non_null(strstr(newest, "\"deny\":[\"x\"]"));
    check_ok(tally_logger_set_policy(logger, NULL, 0, NULL));
    assert_int_equal(count_of(CHANGE), 5);
    close_all();
    ledger = logs_open(&site);
    logger = logs_logger(ledger, NULL); /* with the same policy */
    assert_int_equal(count_of(CHANGE), 5);
    struct tally_logger *another = logs_logger(ledger, NULL);
    assert_int_equal(count_of(CHANGE), 5);
    tally_logger_close(another, 1000, NULL);
}

static void a_broken_policy_leaves_the_old_one(void **state)
{
    (void)state;
    check_ok(set_one("policy.deny", "x"));
    struct tally_error err = TALLY_ERROR_INIT;
    const struct tally_setting bad = { "policy.rules", "[{", "test" };
    check_status(tally_logger_set_policy(logger, &bad, 1, &err), TALLY_EINVAL);
    assert_non_null(strstr(err.message, "policy.rules"));
    check_status(set_one("policy.no_such_thing", "1"), TALLY_EINVAL);
    check_status(set_one("policy.enabled", "perhaps"), TALLY_EINVAL);
    check_status(put("x"), TALLY_EDISABLED);
    check_ok(put("y"));
    assert_int_equal(count_of(CHANGE), 2);
}

static void a_broken_policy_file_leaves_the_old_policy(void **state)
{
    (void)state;
    char path[SITE_PATH_SIZE];
    check_path(path, sizeof(path), site.dir, "tally.yaml");
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs("policy:\n  deny: [x]\n", file) >= 0);
    assert_int_equal(fflush(file), 0);
    check_ok(tally_logger_set_policy(logger, NULL, 0, NULL));
    check_status(put("x"), TALLY_EDISABLED);
    assert_true(fputs("  allow: {\n", file) >= 0);
    assert_int_equal(fclose(file), 0);
    check_status(tally_logger_set_policy(logger, NULL, 0, NULL), TALLY_EINVAL);
    check_status(put("x"), TALLY_EDISABLED);
    check_ok(put("y"));
    assert_int_equal(unlink(path), 0);
}

static atomic_bool stop;
static atomic_uint_least64_t taken, refused;

static void *log_both(void *ctx)
{
    unsigned number = *(const unsigned *)ctx;
    for (unsigned i = 0; !atomic_load(&stop); i++) {
        char id[32];
        (void)snprintf(id, sizeof(id), "%u/%u", number, i);
        tally_status status = logs_put(logger, id, i % 2 == 0 ? "even" : "odd", i, NULL, NULL);
        assert_true(status == TALLY_OK || status == TALLY_EDISABLED);
        atomic_fetch_add(status == TALLY_OK ? &taken : &refused, 1);
        (void)tally_logger_enabled(logger, "odd");
    }
    return NULL;
}

static void is_replaced_while_threads_log(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    unsigned numbers[THREADS];
    logs_flush(logger);
    uint64_t before = logs_counts(logger).accepted;
    atomic_store(&stop, false);
    for (unsigned i = 0; i < THREADS; i++) {
        numbers[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, log_both, &numbers[i]), 0);
    }
    for (unsigned i = 0; i < 60; i++) {
        check_ok(set_one(i % 4 < 2 ? "policy.deny" : "policy.allow", i % 2 == 0 ? "odd" : "even"));
    }
    atomic_store(&stop, true);
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    struct tally_log_counters counts = logs_check_balance(logger);
    assert_int_equal(counts.accepted - before, atomic_load(&taken) + 60);
    assert_int_equal(counts.disabled, atomic_load(&refused));
    assert_int_equal(count_of(CHANGE), 61);
    assert_int_equal(site_count(ledger), atomic_load(&taken));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_empty_allow_list_allows_nothing_and_says_so),
        TEST(what_is_switched_off_is_counted_and_not_unlisted),
        TEST(more_actions_than_are_told_apart_are_summed_up),
        TEST(lists_and_rules_decide),
        TEST(secrets_are_masked_before_anything_is_stored),
        TEST(each_change_of_policy_is_recorded_once),
        TEST(a_broken_policy_leaves_the_old_one),
        TEST(a_broken_policy_file_leaves_the_old_policy),
        TEST(is_replaced_while_threads_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
