/* Spans on a ledger in memory, by a clock that the tests move. */
#include <tally/tally.h>

#include <string.h>

#include "check.h"
#include "fake_clock.h"
#include "fault.h"
#include "support/site.h"

#define T0 "2026-01-01T00:00:00Z"
#define T2 "2026-01-01T00:00:02Z"

static struct tally_ledger *ledger;
static struct tally_logger *logger;

static int set_up(void **state)
{
    (void)state;
    fake_clock_use();
    ledger = site_memory("memory:1000");
    check_ok(tally_logger_open(&logger, ledger, NULL, NULL));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    tally_logger_close(logger, 1000, NULL);
    tally_close(ledger);
    fake_clock_end();
    return 0;
}

/* Checks that there are so many events, and that the newest holds each of these texts. */
static void check_recorded(uint64_t count, const char *const *texts, size_t text_count)
{
    check_ok(tally_flush(logger, TALLY_LEVEL_RECORDED, 10000, NULL, NULL));
    assert_int_equal(site_count(ledger), count);
    if (count == 0) {
        return;
    }
    struct tally_query query = TALLY_QUERY_INIT;
    struct tally_page *page = NULL;
    check_ok(tally_find(ledger, &query, &page, NULL));
    for (size_t i = 0; i < text_count; i++) {
        if (strstr(page->items[0].event, texts[i]) == NULL) {
            fail_msg("%s is not in %s", texts[i], page->items[0].event);
        }
    }
    tally_page_free(page);
}

#define check_newest(count, ...)                                  \
    check_recorded((count), (const char *const[]){ __VA_ARGS__ }, \
                   sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(const char *))

static void records_one_event_with_begin_end_and_outcome(void **state)
{
    (void)state;
    struct tally_span span;
    tally_span_begin(&span, logger, "job.run");
    fake_clock_pass(2 * FAKE_SECOND);
    tally_event_add_int(tally_span_event(&span), TALLY_RESPONSE, "status", 200);
    check_recorded(0, NULL, 0);
    check_ok(tally_span_end(&span, TALLY_OUTCOME_PENDING, "queued", NULL));
    check_newest(1, "\"action\":\"job.run\"", "\"ended_at\":\"" T2 "\"",
                 "\"occurred_at\":\"" T0 "\"", "\"started_at\":\"" T0 "\"",
                 "\"outcome\":\"pending\"", "\"reason\":\"queued\"",
                 "\"response\":{\"status\":200}");
}

static void knows_every_outcome(void **state)
{
    (void)state;
    static const struct {
        enum tally_outcome outcome;
        const char *want;
    } cases[] = {
        { TALLY_OUTCOME_SUCCESS, "\"outcome\":\"success\"" },
        { TALLY_OUTCOME_FAILURE, "\"outcome\":\"failure\"" },
        { TALLY_OUTCOME_PENDING, "\"outcome\":\"pending\"" },
        { TALLY_OUTCOME_UNKNOWN, "\"outcome\":\"unknown\"" },
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(cases); i++) {
        struct tally_span span;
        tally_span_begin(&span, logger, "a");
        check_ok(tally_span_end(&span, cases[i].outcome, NULL, NULL));
        check_newest(i + 1, cases[i].want);
    }
}

static void a_clock_that_is_set_back_gives_no_negative_duration(void **state)
{
    (void)state;
    struct tally_span span;
    tally_span_begin(&span, logger, "a");
    fake_clock_pass(2 * FAKE_SECOND);
    fake_clock_step(-FAKE_HOUR);
    check_ok(tally_span_end(&span, TALLY_OUTCOME_SUCCESS, NULL, NULL));
    check_newest(1, "\"ended_at\":\"" T2 "\"", "\"started_at\":\"" T0 "\"");
}

static void its_times_are_its_own_whatever_the_event_carries(void **state)
{
    (void)state;
    struct tally_span span;
    tally_span_begin(&span, logger, "a");
    struct tally_event *event = tally_span_event(&span);
    tally_event_set(event, TALLY_STARTED_AT, "1999-01-01T00:00:00Z");
    tally_event_set(event, TALLY_OCCURRED_AT, "1999-01-01T00:00:00Z");
    tally_event_set(event, TALLY_ENDED_AT, "1999-01-01T00:00:00Z");
    tally_event_set(event, TALLY_REASON, "kept");
    fake_clock_pass(2 * FAKE_SECOND);
    check_ok(tally_span_end(&span, TALLY_OUTCOME_SUCCESS, NULL, NULL));
    check_newest(1, "\"ended_at\":\"" T2 "\"", "\"occurred_at\":\"" T0 "\"",
                 "\"started_at\":\"" T0 "\"", "\"reason\":\"kept\"");
}

/* Leaves in one of four ways, of which one has an outcome. */
static int leave_somehow(int way)
{
    for (int i = 0; i < 3; i++) {
        TALLY_SPAN(span, logger, "scope.left");
        if (way == 0) {
            return 7;
        }
        if (way == 1) {
            break;
        }
        if (way == 2) {
            tally_event_set(tally_span_event(&span), TALLY_REASON, "replaced");
            continue;
        }
        check_ok(tally_span_end(&span, TALLY_OUTCOME_SUCCESS, NULL, NULL));
    }
    return 0;
}

static void a_scope_left_without_an_outcome_is_a_failure(void **state)
{
    (void)state;
    static const char failure[] = "\"outcome\":\"failure\",\"reason\":\"scope left without an "
                                  "outcome\"";
    assert_int_equal(leave_somehow(0), 7);
    check_newest(1, failure);
    (void)leave_somehow(1);
    check_newest(2, failure);
    (void)leave_somehow(2);
    check_newest(5, failure);
    (void)leave_somehow(3);
    check_newest(8, "\"outcome\":\"success\"");
}

static void ends_once(void **state)
{
    (void)state;
    struct tally_span span;
    tally_span_begin(&span, logger, "a");
    check_ok(tally_span_end(&span, TALLY_OUTCOME_SUCCESS, NULL, NULL));
    struct tally_error err = TALLY_ERROR_INIT;
    check_status(tally_span_end(&span, TALLY_OUTCOME_SUCCESS, NULL, &err), TALLY_EINVAL);
    assert_true(err.message[0] != '\0');
    tally_span_leave(&span);
    assert_null(tally_span_event(&span));
    tally_event_set(tally_span_event(&span), TALLY_ACTION, "b");
    check_newest(1, "\"outcome\":\"success\"");
}

static void a_zeroed_span_is_harmless(void **state)
{
    (void)state;
    struct tally_span span = { 0 };
    assert_null(tally_span_event(&span));
    check_status(tally_span_end(&span, TALLY_OUTCOME_SUCCESS, NULL, NULL), TALLY_EINVAL);
    tally_span_leave(&span);
    check_recorded(0, NULL, 0);
}

static void a_wrong_outcome_leaves_it_open(void **state)
{
    (void)state;
    struct tally_span span;
    tally_span_begin(&span, logger, "a");
    check_status(tally_span_end(&span, (enum tally_outcome)5, NULL, NULL), TALLY_EINVAL);
    tally_span_leave(&span);
    check_newest(1, "\"outcome\":\"failure\"");
}

static void says_that_its_event_was_refused(void **state)
{
    (void)state;
    struct tally_span span;
    struct tally_error err = TALLY_ERROR_INIT;
    tally_span_begin(&span, logger, "a");
    tally_event_add_null(tally_span_event(&span), TALLY_METADATA, "n");
    tally_event_add_null(tally_span_event(&span), TALLY_METADATA, "n");
    check_status(tally_span_end(&span, TALLY_OUTCOME_SUCCESS, NULL, &err), TALLY_EREFUSED);
    assert_string_equal(err.code, "duplicate_name");
    check_recorded(0, NULL, 0);
}

static bool always(void)
{
    return true;
}

static void without_memory_its_end_says_so_and_the_loss_is_counted(void **state)
{
    (void)state;
    struct tally_span span;
    fault_set_alloc_hook(always);
    tally_span_begin(&span, logger, "a");
    fault_set_alloc_hook(NULL);
    assert_null(tally_span_event(&span));
    tally_event_add_int(tally_span_event(&span), TALLY_METADATA, "n", 1);
    check_status(tally_span_end(&span, TALLY_OUTCOME_SUCCESS, NULL, NULL), TALLY_ENOMEM);
    struct tally_log_counters counters = { .struct_size = sizeof(counters) };
    tally_logger_count(logger, &counters);
    assert_int_equal(counters.lost, 1);
    check_recorded(0, NULL, 0);
}

static tally_status run_one(const void *unused)
{
    (void)unused;
    struct tally_span span;
    tally_span_begin(&span, logger, "a");
    tally_event_add_text(tally_span_event(&span), TALLY_REQUEST, "path", "/x");
    return tally_span_end(&span, TALLY_OUTCOME_SUCCESS, "done", NULL);
}

static void each_span_is_recorded_or_says_that_it_is_not(void **state)
{
    (void)state;
    struct tally_log_counters before = { .struct_size = sizeof(before) };
    struct tally_log_counters after = { .struct_size = sizeof(after) };
    tally_logger_count(logger, &before);
    size_t failed = fault_each_alloc_or_ok(run_one, NULL);
    tally_logger_count(logger, &after);
    assert_true(failed > 0);
    assert_int_equal(after.logged - before.logged, failed + 1);
    check_recorded(failed + 1 - (after.lost - before.lost), NULL, 0);
}

static void takes_the_default_logger_if_none_is_named(void **state)
{
    (void)state;
    struct tally_span span;
    tally_span_begin(&span, NULL, "a");
    check_status(tally_span_end(&span, TALLY_OUTCOME_SUCCESS, NULL, NULL), TALLY_EDISABLED);
    tally_span_begin(&span, NULL, "a");
    tally_set_default_logger(logger); /* late, but the span goes there when it ends */
    check_ok(tally_span_end(&span, TALLY_OUTCOME_SUCCESS, NULL, NULL));
    tally_set_default_logger(NULL);
    check_newest(1, "\"action\":\"a\"");
}

int main(void)
{
#define ON_LEDGER(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        ON_LEDGER(records_one_event_with_begin_end_and_outcome),
        ON_LEDGER(knows_every_outcome),
        ON_LEDGER(a_clock_that_is_set_back_gives_no_negative_duration),
        ON_LEDGER(its_times_are_its_own_whatever_the_event_carries),
        ON_LEDGER(a_scope_left_without_an_outcome_is_a_failure),
        ON_LEDGER(ends_once),
        ON_LEDGER(a_zeroed_span_is_harmless),
        ON_LEDGER(a_wrong_outcome_leaves_it_open),
        ON_LEDGER(says_that_its_event_was_refused),
        ON_LEDGER(without_memory_its_end_says_so_and_the_loss_is_counted),
        ON_LEDGER(each_span_is_recorded_or_says_that_it_is_not),
        ON_LEDGER(takes_the_default_logger_if_none_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
