/* Logging, seen by its callers: what they are told is what becomes of their events. */
#include <tally/tally.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "check.h"
#include "fault.h"
#include "support/logs.h"
#include "support/site.h"

#define THREADS 8u
#define BIG     1000u /* bytes of text in an event that is to fill a spool */

static struct site site;
static struct tally_ledger *ledger;
static struct tally_logger *logger;

/* The system's clock, and as much later as a test says. */
static atomic_int_least64_t later_us;

static int64_t shifted_wall(void)
{
    return tl_clock_system.wall_us() + atomic_load(&later_us);
}

static int64_t shifted_steady(void)
{
    return tl_clock_system.steady_us() + atomic_load(&later_us);
}

static bool is_not_synchronised(void)
{
    return false;
}

static const struct tl_clock_ops shifted = { shifted_wall, shifted_steady, is_not_synchronised };

static int set_up_with(void **state, const struct tally_setting *settings, size_t count)
{
    if (check_mkdir(state) != 0) {
        return -1;
    }
    site_init(&site, *state, settings, count);
    ledger = logs_open(&site);
    logger = logs_logger(ledger, NULL);
    return 0;
}

static int set_up(void **state)
{
    return set_up_with(state, NULL, 0);
}

/* One segment, and calls that wait for a fifth of a second. */
static int set_up_small(void **state)
{
    static const struct tally_setting small[] = { { "spool.max_bytes", "1MiB", "test" },
                                                  { "spool.segment_bytes", "64KiB", "test" },
                                                  { "log.timeout_ms", "200", "test" } };
    return set_up_with(state, small, TL_ARRAY_LEN(small));
}

static void close_all(void)
{
    tally_set_default_logger(NULL);
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

/* Opens the ledger again so that nobody records: events pile up. Needs the ledger to be closed. */
static void open_without_store(const struct tally_logger_options *options)
{
    close_all();
    logs_hide_store(&site);
    ledger = logs_open(&site);
    logger = logs_logger(ledger, options);
}

static tally_status put_big(enum tally_delivery delivery)
{
    static const char head[] = "{\"action\":\"big\",\"reason\":\"";
    char text[sizeof(head) + BIG + 2];
    struct tally_log_options options = TALLY_LOG_OPTIONS_INIT;
    options.delivery = delivery;
    memcpy(text, head, sizeof(head) - 1);
    memset(text + sizeof(head) - 1, 'x', BIG);
    text[sizeof(head) - 1 + BIG] = '"';
    text[sizeof(head) + BIG] = '}';
    return tally_log_text(logger, text, sizeof(head) + BIG + 1, &options, NULL, NULL);
}

/* Returns how many events it took. */
static uint64_t fill_spool(void)
{
    uint64_t taken = 0;
    while (put_big(TALLY_DELIVERY_BEST_EFFORT) == TALLY_OK) {
        taken++;
    }
    return taken;
}

static void each_level_is_reached_and_told(void **state)
{
    (void)state;
    static const enum tally_level levels[] = { TALLY_LEVEL_NONE, TALLY_LEVEL_QUEUED,
                                               TALLY_LEVEL_SYNCED, TALLY_LEVEL_RECORDED };
    static const enum tally_level wanted[] = { TALLY_LEVEL_QUEUED, TALLY_LEVEL_QUEUED,
                                               TALLY_LEVEL_SYNCED, TALLY_LEVEL_RECORDED };
    for (unsigned i = 0; i < TL_ARRAY_LEN(levels); i++) {
        struct tally_log_options options = TALLY_LOG_OPTIONS_INIT;
        struct tally_receipt receipt;
        char id[16];
        (void)snprintf(id, sizeof(id), "level/%u", i);
        options.level = levels[i];
        options.timeout_ms = LOGS_SOON_MS;
        check_ok(logs_put(logger, id, "a", i, &options, &receipt));
        assert_int_equal(receipt.level, wanted[i]);
        assert_string_equal(receipt.id, id);
        check_ok(receipt.status);
        assert_int_equal(receipt.flags, 0);
        if (receipt.level == TALLY_LEVEL_RECORDED) {
            struct tally_page *page = NULL;
            check_ok(tally_get_by_id(ledger, id, &page, NULL));
            assert_int_equal(page->items[0].seq, receipt.seq);
            assert_memory_equal(page->items[0].leaf_hash, receipt.leaf_hash, 32);
            tally_page_free(page);
        }
    }
    struct tally_log_options options = TALLY_LOG_OPTIONS_INIT;
    options.level = TALLY_LEVEL_ANCHORED;
    check_status(logs_put(logger, "x", "a", 1, &options, NULL), TALLY_EINVAL);
    options.level = TALLY_LEVEL_NONE;
    options.delivery = (enum tally_delivery)4;
    check_status(logs_put(logger, "x", "a", 1, &options, NULL), TALLY_EINVAL);
    check_status(tally_flush(logger, TALLY_LEVEL_QUEUED, 0, NULL, NULL), TALLY_EINVAL);
    logs_flush(logger);
    assert_int_equal(logs_check_balance(logger).accepted, 5); /* with the policy */
}

static void a_strict_event_is_recorded_or_its_caller_is_told(void **state)
{
    (void)state;
    struct tally_log_options options = TALLY_LOG_OPTIONS_INIT;
    struct tally_receipt first;
    struct tally_receipt receipt;
    options.delivery = TALLY_DELIVERY_STRICT;
    options.timeout_ms = LOGS_SOON_MS;
    check_ok(logs_put(logger, "one", "a", 1, &options, &first));
    assert_int_equal(first.level, TALLY_LEVEL_RECORDED);
    check_ok(logs_put(logger, "one", "a", 1, &options, &receipt));
    assert_int_equal(receipt.flags, TALLY_RECEIPT_DUPLICATE);
    assert_int_equal(receipt.seq, first.seq);
    check_status(logs_put(logger, "one", "b", 1, &options, &receipt), TALLY_ECONFLICT);
    assert_int_equal(receipt.seq, first.seq);
    assert_int_equal(receipt.level, TALLY_LEVEL_NONE);
    assert_int_equal(logs_check_balance(logger).refused, 1);
    logs_flush(logger);
    assert_int_equal(logs_gaps_of(ledger, NULL).records, 0);
}

static void best_effort_never_waits_for_room(void **state)
{
    (void)state;
    open_without_store(NULL);
    assert_true(fill_spool() > 100);
    uint64_t lost = logs_counts(logger).lost;
    int64_t began_ms = logs_now_ms();
    for (unsigned i = 0; i < 100; i++) {
        check_status(put_big(TALLY_DELIVERY_BEST_EFFORT), TALLY_ELIMIT);
    }
    assert_true(logs_now_ms() - began_ms < 5000); /* 20,000 if each waited for its bound */
    assert_int_equal(logs_check_balance(logger).lost, lost + 100);
    logs_show_store(&site);
    logs_flush(logger);
}

static void durable_waits_for_room_no_longer_than_its_bound(void **state)
{
    (void)state;
    open_without_store(NULL);
    (void)fill_spool();
    int64_t began_ms = logs_now_ms();
    check_status(put_big(TALLY_DELIVERY_DURABLE), TALLY_ELIMIT);
    int64_t took_ms = logs_now_ms() - began_ms;
    assert_true(took_ms >= 190 && took_ms < 5000);
    assert_true(logs_check_balance(logger).waited > 0);
    logs_show_store(&site);
    struct tally_log_options options = TALLY_LOG_OPTIONS_INIT;
    options.timeout_ms = LOGS_SOON_MS;
    check_ok(logs_put(logger, "waited", "a", 1, &options, NULL)); /* until there is room */
    logs_flush(logger);
    assert_true(site_has(ledger, "waited"));
}

struct told {
    atomic_uint losses, warnings;
    uint64_t lost;
    tally_status status;
};

static void on_loss(void *ctx, const struct tally_loss *loss)
{
    struct told *told = ctx;
    atomic_fetch_add(&told->losses, 1);
    told->lost = loss->lost;
    told->status = loss->status;
    assert_int_equal(loss->struct_size, sizeof(*loss));
    assert_null(strstr(loss->message, "xxx"));
    assert_true(loss->message[0] != '\0');
}

static void on_warning(void *ctx, const char *name, const char *fields)
{
    struct told *told = ctx;
    atomic_fetch_add(&told->warnings, 1);
    assert_string_equal(name, "audit.log_failed");
    assert_non_null(strstr(fields, "lost="));
}

static void losses_are_told_and_become_one_exact_gap(void **state)
{
    (void)state;
    static struct told told;
    struct tally_logger_options options = TALLY_LOGGER_OPTIONS_INIT;
    told.losses = 0;
    told.warnings = 0;
    options.on_loss = on_loss;
    options.on_loss_ctx = &told;
    options.on_warning = on_warning;
    options.on_warning_ctx = &told;
    open_without_store(&options);
    uint64_t taken = fill_spool();
    int64_t from_us = tl_clock->wall_us();
    while (logs_counts(logger).lost < 50) {
        check_status(put_big(TALLY_DELIVERY_BEST_EFFORT), TALLY_ELIMIT);
    }
    int64_t to_us = tl_clock->wall_us();
    assert_int_equal(atomic_load(&told.losses), 50);
    assert_int_equal(told.lost, 50);
    check_status(told.status, TALLY_ELIMIT);
    assert_int_equal(atomic_load(&told.warnings), 1); /* in 10 seconds */
    atomic_fetch_add(&later_us, INT64_C(11000000));
    check_status(put_big(TALLY_DELIVERY_BEST_EFFORT), TALLY_ELIMIT);
    check_status(put_big(TALLY_DELIVERY_BEST_EFFORT), TALLY_ELIMIT);
    assert_int_equal(atomic_load(&told.warnings), 2);

    struct tally_left left = { .struct_size = sizeof(left) };
    check_status(tally_flush(logger, TALLY_LEVEL_RECORDED, 20, &left, NULL), TALLY_EBUSY);
    assert_int_equal(left.lost, 52);
    assert_int_equal(logs_counts(logger).declared, 0);

    logs_show_store(&site);
    logs_flush(logger);
    struct logs_gaps gaps = logs_gaps_of(ledger, NULL);
    assert_int_equal(gaps.records, 1);
    assert_int_equal(gaps.events, 52);
    assert_true(gaps.exact);
    assert_int_equal(logs_gaps_of(ledger, "spool full").records, 1);
    assert_true(gaps.from_us <= from_us && gaps.from_us > from_us - 60000000);
    assert_true(gaps.to_us >= to_us && gaps.to_us < to_us + 60000000);
    struct tally_log_counters counts = logs_check_balance(logger);
    assert_int_equal(counts.declared, 52);
    assert_int_equal(logs_count_action(ledger, "big", NULL, 0), taken);
    close_all();
    (void)site_verify(&site);
}

/* What a ledger that nobody records told at its end is declared by the next one. */
static void check_declared_later(uint64_t lost)
{
    logs_show_store(&site);
    ledger = logs_open(&site);
    logger = logs_logger(ledger, NULL);
    check_soon(logs_gaps_of(ledger, "spool full").events >= lost);
    struct logs_gaps gaps = logs_gaps_of(ledger, NULL);
    assert_int_equal(gaps.events, lost);
    assert_true(gaps.exact);
    close_all();
    (void)site_verify(&site);
}

static void a_spool_that_is_still_full_at_the_end_tells_what_was_lost(void **state)
{
    (void)state;
    open_without_store(NULL);
    (void)fill_spool();
    for (unsigned i = 0; i < 5; i++) {
        check_status(put_big(TALLY_DELIVERY_BEST_EFFORT), TALLY_ELIMIT);
        (void)usleep(60000); /* so that it is tried in vain to hand over a part of them */
    }
    uint64_t lost = logs_counts(logger).lost;
    assert_int_equal(logs_counts(logger).declared, 0);
    tally_logger_close(logger, 20, NULL);
    tally_close(ledger);
    check_declared_later(lost);
}

static void so_does_the_child_of_a_fork(void **state)
{
    (void)state;
    open_without_store(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)fill_spool(); /* the last one is lost */
        bool is_lost = logs_counts(logger).lost == 1 && put_big(TALLY_DELIVERY_DURABLE) != TALLY_OK;
        tally_logger_close(logger, 20, NULL);
        tally_close(ledger);
        _exit(is_lost ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    close_all();
    check_declared_later(2);
}

static void flush_and_close_report_what_is_left(void **state)
{
    (void)state;
    logs_flush(logger);
    open_without_store(NULL);
    check_ok(logs_one(logger, "a", 1));
    struct tally_left left = { .struct_size = sizeof(left) };
    check_ok(tally_flush(logger, TALLY_LEVEL_SYNCED, LOGS_SOON_MS, &left, NULL));
    assert_int_equal(left.unsynced, 0);
    assert_true(left.events > 0);
    struct tally_error err = TALLY_ERROR_INIT;
    int64_t began_ms = logs_now_ms();
    check_status(tally_flush(logger, TALLY_LEVEL_RECORDED, 50, &left, &err), TALLY_EBUSY);
    assert_true(left.events > 0 && err.message[0] != '\0');
    memset(&left, 0, sizeof(left));
    tally_logger_close(logger, 50, &left);
    assert_true(logs_now_ms() - began_ms < 5000);
    assert_true(left.events > 0);
    tally_close(ledger);
    logs_show_store(&site);
    ledger = logs_open(&site);
    logger = logs_logger(ledger, NULL);
    check_soon(site_has(ledger, "a"));
    memset(&left, 1, sizeof(left));
    tally_logger_close(logger, LOGS_SOON_MS, &left);
    assert_int_equal(left.events + left.lost + left.unsynced, 0);
    logger = NULL;
}

static void losses_of_a_ledger_in_memory_are_declared_too(void **state)
{
    (void)state;
    struct tally_ledger *memory = site_memory("memory:100");
    struct tally_logger *small = logs_logger(memory, NULL);
    struct tally_receipt receipt;
    check_ok(logs_put(small, "a", "a", 1, NULL, &receipt));
    assert_int_equal(receipt.level, TALLY_LEVEL_RECORDED);
    assert_int_equal(receipt.flags, TALLY_RECEIPT_VOLATILE);
    check_status(logs_put(small, "a", "b", 1, NULL, &receipt), TALLY_ECONFLICT);
    logs_flush(small);
    assert_int_equal(site_count(memory), 1);
    tally_status status = TALLY_OK;
    for (unsigned i = 0; i < 200 && status == TALLY_OK; i++) {
        char id[16];
        (void)snprintf(id, sizeof(id), "%u", i);
        status = logs_one(small, id, i);
    }
    check_status(status, TALLY_ELIMIT);
    assert_int_equal(logs_check_balance(small).lost, 1);
    struct tally_left left = { .struct_size = sizeof(left) };
    tally_logger_close(small, 10, &left);
    assert_int_equal(left.lost, 1); /* there is no room for the declaration either */
    tally_close(memory);
}

static _Thread_local bool fails_in_logging; /* in the tests' thread alone */

static bool fail_if_asked(void)
{
    return fails_in_logging;
}

static void without_memory_the_event_is_declared_lost(void **state)
{
    (void)state;
    close_all();
    tl_alloc_should_fail = fail_if_asked; /* while no thread runs */
    ledger = logs_open(&site);
    logger = logs_logger(ledger, NULL);
    struct tally_ledger *ledgers[] = { site_memory("memory:100"), ledger };
    struct tally_logger *loggers[] = { logs_logger(ledgers[0], NULL), logs_logger(ledger, NULL) };
    for (unsigned i = 0; i < 2; i++) {
        struct tally_event *event = NULL;
        fails_in_logging = true;
        (void)tally_event_new(&event, NULL);
        check_status(tally_log(loggers[i], event), TALLY_ENOMEM);
        fails_in_logging = false;
        logs_flush(loggers[i]);
        struct logs_gaps gaps = logs_gaps_of(ledgers[i], "out of memory");
        assert_true(gaps.records == 1 && gaps.events == 1 && gaps.exact);
        assert_int_equal(logs_check_balance(loggers[i]).lost, 1);
        tally_logger_close(loggers[i], 1000, NULL);
    }
    tally_close(ledgers[0]);
    close_all();
    tl_alloc_should_fail = NULL;
}

static uint64_t accepted_in_all, declared_in_all;

/* Opens all, logs, and closes it: what was accepted will be recorded, and what was not is told. */
static tally_status log_from_open_to_close(const void *ctx)
{
    (void)ctx;
    static unsigned round_number;
    char id[32];
    struct tally_options options = logs_options(&site);
    struct tally_ledger *opened = NULL;
    struct tally_logger *made = NULL;
    struct tally_left left = { .struct_size = sizeof(left) };
    (void)snprintf(id, sizeof(id), "round/%u", round_number++);
    TL_TRY(tally_open(&opened, &options, NULL));
    tally_status status = tally_logger_open(&made, opened, NULL, NULL);
    if (status == TALLY_OK) {
        status = logs_one(made, id, 1);
        accepted_in_all += status == TALLY_OK;
        struct tally_log_counters counts = logs_check_balance(made);
        tally_logger_close(made, LOGS_SOON_MS, &left);
        declared_in_all += counts.lost - left.lost;
    }
    tally_close(opened);
    return status;
}

static void each_failed_allocation_is_a_loss_or_nothing(void **state)
{
    (void)state;
    close_all();
    accepted_in_all = 0;
    declared_in_all = 0;
    assert_true(fault_each_alloc_or_ok(log_from_open_to_close, NULL) > 50);
    ledger = logs_open(&site);
    logger = logs_logger(ledger, NULL);
    logs_flush(logger);
    check_soon(logs_spool_files(&site, ".seg") == 0);
    assert_int_equal(logs_count_action(ledger, "test.event", NULL, 0), accepted_in_all);
    assert_int_equal(logs_gaps_of(ledger, NULL).events, declared_in_all);
}

static void hostile_text_is_refused_and_counted(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "null",
        "[]",
        "{",
        "{}",
        "{\"action\":1}",
        "\x00\xff",
        "{\"action\":\"tally.policy.change\"}",
        "{\"action\":\"a\",\"action\":\"b\"}",
        "{\"action\":\"a\"}x",
        "{\"action\":\"a\",\"no_such_member\":1}",
        "{\"id\":\"00000000-0000-0000-0000-000000000000\",\"action\":\"a\"}",
    };
    static char deep[100000];
    for (unsigned i = 0; i < TL_ARRAY_LEN(texts); i++) {
        struct tally_error err = TALLY_ERROR_INIT;
        struct tally_receipt receipt = { .seq = 77 };
        tally_status status =
            tally_log_text(logger, texts[i], strlen(texts[i]), NULL, &receipt, &err);
        if (status != TALLY_EREFUSED) {
            print_error("%s\n", texts[i]);
        }
        check_status(status, TALLY_EREFUSED);
        assert_true(err.code[0] != '\0');
        assert_int_equal(logs_check_balance(logger).refused, i + 1);
    }
    memset(deep, '[', sizeof(deep));
    check_status(tally_log_text(logger, deep, sizeof(deep), NULL, NULL, NULL), TALLY_EREFUSED);
    check_status(tally_log_text(logger, NULL, 0, NULL, NULL, NULL), TALLY_EREFUSED);
    logs_flush(logger);
    assert_int_equal(logs_gaps_of(ledger, NULL).records, 0);
    assert_int_equal(site_count(ledger), 0);
}

static void later_changes_to_the_event_change_nothing(void **state)
{
    (void)state;
    char text[] = "{\"id\":\"fixed\",\"action\":\"before.it\"}";
    check_ok(tally_log_text(logger, text, sizeof(text) - 1, NULL, NULL, NULL));
    memset(text, 'X', sizeof(text) - 1);
    struct tally_event *event = NULL;
    check_ok(tally_event_new(&event, NULL));
    tally_event_set(event, TALLY_ACTION, "built.before");
    check_ok(tally_log(logger, event));
    tally_event_set(event, TALLY_ACTION, "built.after");
    tally_event_free(event);
    logs_flush(logger);
    assert_int_equal(logs_count_action(ledger, "before.it", NULL, 0), 1);
    assert_int_equal(logs_count_action(ledger, "built.before", NULL, 0), 1);
    assert_int_equal(logs_count_action(ledger, "built.after", NULL, 0), 0);
}

static void the_default_logger_counts_what_it_discards(void **state)
{
    (void)state;
    struct tally_logger *standard = tally_default_logger();
    struct tally_log_counters before = logs_counts(standard);
    check_status(logs_one(standard, "a", 1), TALLY_EDISABLED);
    check_status(logs_one(NULL, "b", 1), TALLY_EDISABLED);
    assert_int_equal(tally_logger_enabled(standard, "a"), 0);
    check_status(tally_logger_set_policy(standard, NULL, 0, NULL), TALLY_EDISABLED);
    struct tally_left left = { .events = 1 };
    check_ok(tally_flush(standard, TALLY_LEVEL_RECORDED, 0, &left, NULL));
    assert_int_equal(left.events, 0);
    struct tally_log_counters after = logs_counts(standard);
    assert_int_equal(after.logged - before.logged, 3); /* the policy is counted with them */
    assert_int_equal(after.disabled - before.disabled, 3);
    assert_int_equal(after.accepted, 0);

    tally_set_default_logger(logger);
    check_ok(logs_one(standard, "c", 1));
    check_ok(logs_one(NULL, "d", 1));
    assert_int_equal(tally_logger_enabled(NULL, "a"), 1);
    assert_int_equal(logs_counts(standard).accepted, logs_counts(logger).accepted);
    tally_logger_close(standard, 0, NULL); /* which is allowed, and does nothing */
    tally_set_default_logger(standard);    /* not to itself: to nowhere */
    check_status(logs_one(standard, "e", 1), TALLY_EDISABLED);
    logs_flush(logger);
    assert_true(site_has(ledger, "c") && site_has(ledger, "d") && !site_has(ledger, "a"));
}

static atomic_bool stop;
static atomic_uint_least64_t taken_by_default, discarded_by_default;

static void *log_to_default(void *ctx)
{
    unsigned number = *(const unsigned *)ctx;
    for (unsigned i = 0; !atomic_load(&stop); i++) {
        char id[32];
        (void)snprintf(id, sizeof(id), "%u/%u", number, i);
        tally_status status = logs_one(tally_default_logger(), id, i);
        assert_true(status == TALLY_OK || status == TALLY_EDISABLED);
        atomic_fetch_add(status == TALLY_OK ? &taken_by_default : &discarded_by_default, 1);
    }
    return NULL;
}

static void the_default_logger_is_replaced_under_load(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    unsigned numbers[THREADS];
    struct tally_log_counters before = logs_counts(tally_default_logger());
    uint64_t accepted = 0;
    atomic_store(&stop, false);
    atomic_store(&taken_by_default, 0);
    atomic_store(&discarded_by_default, 0);
    for (unsigned i = 0; i < THREADS; i++) {
        numbers[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, log_to_default, &numbers[i]), 0);
    }
    for (unsigned i = 0; i < 30; i++) {
        struct tally_logger *next = logs_logger(ledger, NULL);
        uint64_t own = logs_counts(next).accepted; /* its policy, if the ledger has it not */
        tally_set_default_logger(next);
        check_soon(logs_counts(next).accepted > own);
        tally_set_default_logger(NULL);
        accepted += logs_check_balance(next).accepted - own;
        tally_logger_close(next, 0, NULL); /* nobody is inside any more */
    }
    atomic_store(&stop, true);
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(accepted, atomic_load(&taken_by_default));
    assert_int_equal(logs_counts(tally_default_logger()).disabled - before.disabled,
                     atomic_load(&discarded_by_default));
    logs_flush(logger);
    assert_int_equal(logs_count_action(ledger, "test.event", NULL, 0), accepted);
}

/* Slower than they are recorded, or a flush would wait for a backlog that only grows. */
static void *log_steadily(void *ctx)
{
    for (unsigned i = 0; !atomic_load(&stop); i++) {
        char id[32];
        (void)snprintf(id, sizeof(id), "steady/%u", i);
        check_ok(logs_one(ctx, id, i));
        logs_pause();
    }
    return NULL;
}

static void a_flush_does_not_wait_for_what_is_logged_meanwhile(void **state)
{
    (void)state;
    pthread_t thread;
    atomic_store(&stop, false);
    assert_int_equal(pthread_create(&thread, NULL, log_steadily, logger), 0);
    for (unsigned i = 0; i < 5; i++) {
        char id[16];
        (void)snprintf(id, sizeof(id), "own/%u", i);
        check_ok(logs_one(logger, id, i));
        logs_flush(logger);
        assert_true(site_has(ledger, id));
    }
    atomic_store(&stop, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static void logs_before_start_and_during_shutdown(void **state)
{
    (void)state;
    logs_flush(logger);
    open_without_store(NULL); /* nothing can be recorded yet */
    check_ok(logs_one(logger, "before start", 1));
    close_all();
    logs_show_store(&site);
    ledger = logs_open(&site);
    logger = logs_logger(ledger, NULL);
    tally_set_default_logger(logger);
    check_ok(logs_one(NULL, "during", 1));
    tally_set_default_logger(NULL);
    check_status(logs_one(NULL, "too late", 1), TALLY_EDISABLED);
    check_ok(logs_one(logger, "at the end", 1));
    tally_logger_close(logger, 0, NULL); /* does not wait at all */
    tally_close(ledger);
    logger = NULL;
    ledger = site_open(&site);
    check_soon(logs_spool_files(&site, ".seg") == 0);
    assert_true(site_has(ledger, "before start") && site_has(ledger, "during"));
    assert_true(site_has(ledger, "at the end") && !site_has(ledger, "too late"));
}

static void wrong_options_are_refused(void **state)
{
    (void)state;
    struct tally_logger *made = NULL;
    struct tally_logger_options options = TALLY_LOGGER_OPTIONS_INIT;
    struct tally_ledger *reader = site_open_read(&site);
    check_status(tally_logger_open(&made, reader, NULL, NULL), TALLY_EINVAL);
    tally_close(reader);
    options.delivery = (enum tally_delivery)7;
    check_status(tally_logger_open(&made, ledger, &options, NULL), TALLY_EINVAL);
    options.delivery = TALLY_DELIVERY_DEFAULT;
    options.struct_size = 1;
    check_status(tally_logger_open(&made, ledger, &options, NULL), TALLY_EINVAL);
    assert_null(made);
    tally_logger_close(NULL, 0, NULL);
}

#define TEST(name)  cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define SMALL(name) cmocka_unit_test_setup_teardown(name, set_up_small, tear_down)

int main(void)
{
    tl_clock = &shifted;
    const struct CMUnitTest tests[] = {
        TEST(each_level_is_reached_and_told),
        TEST(a_strict_event_is_recorded_or_its_caller_is_told),
        SMALL(best_effort_never_waits_for_room),
        SMALL(durable_waits_for_room_no_longer_than_its_bound),
        SMALL(a_spool_that_is_still_full_at_the_end_tells_what_was_lost),
        SMALL(so_does_the_child_of_a_fork),
        SMALL(losses_are_told_and_become_one_exact_gap),
        TEST(flush_and_close_report_what_is_left),
        TEST(losses_of_a_ledger_in_memory_are_declared_too),
        TEST(without_memory_the_event_is_declared_lost),
        TEST(each_failed_allocation_is_a_loss_or_nothing),
        TEST(hostile_text_is_refused_and_counted),
        TEST(later_changes_to_the_event_change_nothing),
        TEST(the_default_logger_counts_what_it_discards),
        TEST(the_default_logger_is_replaced_under_load),
        TEST(a_flush_does_not_wait_for_what_is_logged_meanwhile),
        TEST(logs_before_start_and_during_shutdown),
        TEST(wrong_options_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
