/*
 * Every file operation of a program that logs goes wrong, once or for a while: nothing hangs, nothing
 * is acknowledged that is not there, the service resumes, and what was lost is declared.
 */
#include <tally/tally.h>

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"
#include "check.h"
#include "fault.h"
#include "support/site.h"

#define EVENTS      16u
#define FILL        100000u /* bytes: the events of a run fill several segments */
#define TIMEOUT_MS  60u
#define PATIENCE_MS 5000u /* where no fault is an excuse: machines that run tests are busy */
#define RESUME_US   INT64_C(10000000)
#define CLOSE_MS    10000u
#define HOLES       3u  /* segments of a run whose end may be told of by their reader as well */
#define HANG_S      60u /* the watchdog kills a run that takes longer */

static const struct tally_setting settings[] = {
    { "spool.segment_bytes", "65536", "test" },
};

struct kind {
    enum fault_kind kind;
    int os_errno;
    size_t step;
    bool harmless; /* nothing may be lost by it */
};

static const struct kind kinds[] = {
    { FAULT_ERROR, EIO, 11, false },    { FAULT_FOREVER, EIO, 37, false },
    { FAULT_ERROR, ENOSPC, 23, false }, { FAULT_FOREVER, ENOSPC, 37, false },
    { FAULT_LATE, EIO, 23, false },     { FAULT_ERROR, EINTR, 23, true },
    { FAULT_SHORT, 0, 23, true },
};

/* What became of an event. */
enum fate {
    FATE_UNKNOWN, /* it is in the spool, says the library, but was not in time */
    FATE_ACKED,
    FATE_LOST,
};

static struct run {
    struct site site;
    const struct kind *kind;
    unsigned number;
    unsigned logged;
    enum fate fates[1000];
    atomic_uint told; /* to on_loss */
    uint64_t lost;    /* says the logger */
    uint64_t dropped; /* declared by the runs before */
    uint64_t doubled; /* of these, by the logger and by the reader of the segment */
} run;

static void count_loss(void *ctx, const struct tally_loss *loss)
{
    (void)ctx;
    assert_true(loss->status != TALLY_OK && loss->status != TALLY_EBUSY);
    if (run.kind->harmless) {
        print_error("run %u: %s (%d)\n", run.number, loss->message, loss->os_errno);
    }
    atomic_fetch_add(&run.told, 1);
}

static void make_id(char *out, size_t size, unsigned n)
{
    (void)snprintf(out, size, "run%u/%u", run.number, n);
}

static tally_status log_event(struct tally_logger *logger, enum tally_delivery delivery,
                              enum tally_level level)
{
    static char fill[FILL + 1];
    static char text[FILL + 256];
    char id[64];
    struct tally_log_options options = TALLY_LOG_OPTIONS_INIT;
    assert_true(run.logged < TL_ARRAY_LEN(run.fates));
    options.delivery = delivery;
    options.level = level;
    options.timeout_ms = run.kind->harmless ? PATIENCE_MS : TIMEOUT_MS;
    memset(fill, 'f', FILL);
    make_id(id, sizeof(id), run.logged);
    int len = snprintf(text, sizeof(text),
                       "{\"action\":\"test.fault\",\"id\":\"%s\",\"metadata\":{\"fill\":\"%s\"},"
                       "\"occurred_at\":\"2026-01-01T00:00:00Z\"}",
                       id, fill);
    tally_status status = tally_log_text(logger, text, (size_t)len, &options, NULL, NULL);
    run.fates[run.logged++] = status == TALLY_OK      ? FATE_ACKED
                              : status == TALLY_EBUSY ? FATE_UNKNOWN
                                                      : FATE_LOST;
    if (status != TALLY_OK && status != TALLY_EBUSY && status != TALLY_ELIMIT) {
        check_status(status, TALLY_EIO);
    }
    return status;
}

static void log_all_ways(struct tally_logger *logger)
{
    for (unsigned i = 0; i < EVENTS; i++) {
        enum tally_delivery delivery = i % 8 == 7   ? TALLY_DELIVERY_STRICT
                                       : i % 4 == 1 ? TALLY_DELIVERY_BEST_EFFORT
                                                    : TALLY_DELIVERY_DURABLE;
        (void)log_event(logger, delivery, i % 8 == 3 ? TALLY_LEVEL_SYNCED : TALLY_LEVEL_NONE);
    }
}

/* After the fault: logging works again by itself, and soon. */
static void check_resumes(struct tally_logger *logger)
{
    const enum tally_level levels[] = { TALLY_LEVEL_QUEUED, TALLY_LEVEL_SYNCED,
                                        TALLY_LEVEL_RECORDED };
    int64_t end_us = tl_clock->steady_us() + RESUME_US;
    for (size_t i = 0; i < TL_ARRAY_LEN(levels); i++) {
        while (log_event(logger, TALLY_DELIVERY_DURABLE, levels[i]) != TALLY_OK) {
            assert_true(tl_clock->steady_us() < end_us);
            (void)usleep(10000);
        }
    }
}

static unsigned count_lost(void)
{
    unsigned lost = 0;
    for (unsigned i = 0; i < run.logged; i++) {
        lost += run.fates[i] == FATE_LOST ? 1 : 0;
    }
    return lost;
}

static void check_counters(struct tally_logger *logger)
{
    struct tally_log_counters counters = { .struct_size = sizeof(counters) };
    tally_logger_count(logger, &counters);
    uint64_t own = counters.logged - run.logged; /* that it began with a policy */
    assert_true(own <= 1);
    assert_in_range(counters.lost, count_lost(), count_lost() + own);
    assert_int_equal(counters.lost, atomic_load(&run.told));
    assert_int_equal(counters.logged, counters.accepted + counters.lost);
    run.lost = counters.lost;
}

/*
 * The law of conservation: what is neither there nor waiting was declared as lost. If not even a void
 * could be written in its place, whoever reads the segment finds a hole there, and declares it too.
 */
static void check_ledger(void)
{
    struct tally_options options = TALLY_OPTIONS_INIT;
    struct tally_activity activity = { .struct_size = sizeof(activity) };
    struct tally_ledger *ledger = site_open(&run.site);
    for (unsigned i = 0; i < run.logged; i++) {
        char id[64];
        make_id(id, sizeof(id), i);
        assert_int_equal(site_has(ledger, id), run.fates[i] != FATE_LOST);
    }
    tally_close(ledger);
    options.uri = run.site.dir;
    check_ok(tally_activity_read(&options, &activity, NULL));
    assert_int_equal(activity.spool_events, 0);
    assert_int_equal(activity.quarantined, 0);
    uint64_t declared = activity.dropped - run.dropped;
    if (declared < run.lost || declared > run.lost + HOLES) {
        print_error("run %u: %llu lost, %llu declared\n", run.number, (unsigned long long)run.lost,
                    (unsigned long long)declared);
    }
    assert_in_range(declared, run.lost, run.lost + HOLES);
    run.doubled += declared - run.lost;
    run.dropped = activity.dropped;
    if (run.kind->harmless) {
        assert_int_equal(run.lost, 0);
    }
}

static tally_status open_logger(struct tally_ledger **ledger, struct tally_logger **logger)
{
    struct tally_options options = TALLY_OPTIONS_INIT;
    struct tally_logger_options logging = TALLY_LOGGER_OPTIONS_INIT;
    options.uri = run.site.dir;
    options.settings = settings;
    options.setting_count = TL_ARRAY_LEN(settings);
    options.writable = 1;
    options.unattended = 1;
    logging.on_loss = count_loss;
    TL_TRY(tally_open(ledger, &options, NULL));
    tally_status status = tally_logger_open(logger, *ledger, &logging, NULL);
    if (status != TALLY_OK) {
        tally_close(*ledger);
    }
    return status;
}

static void log_with_fault(void *ctx, const atomic_bool *hit)
{
    struct tally_ledger *ledger = NULL;
    struct tally_logger *logger = NULL;
    run.kind = ctx;
    run.number++;
    run.logged = 0;
    atomic_store(&run.told, 0);
    (void)alarm(HANG_S);
    tally_status status = open_logger(&ledger, &logger);
    if (status != TALLY_OK) {
        /* Without a ledger nothing is promised: the program is told, and tries again. */
        assert_true(atomic_load(hit) && !run.kind->harmless);
        check_status(status, TALLY_EIO);
        fault_relent();
        check_ok(open_logger(&ledger, &logger));
    }
    log_all_ways(logger);
    fault_relent();
    check_resumes(logger);
    check_ok(tally_flush(logger, TALLY_LEVEL_RECORDED, CLOSE_MS, NULL, NULL));
    check_counters(logger);
    struct tally_left left = { .struct_size = sizeof(left) };
    tally_logger_close(logger, CLOSE_MS, &left);
    assert_int_equal(left.events, 0);
    assert_int_equal(left.lost, 0);
    tally_close(ledger);
    tl_io = &tl_io_posix;
    check_ledger();
    (void)alarm(0);
}

static void no_failed_file_operation_loses_an_event_in_silence(void **state)
{
    for (size_t i = 0; i < TL_ARRAY_LEN(kinds); i++) {
        char dir[SITE_PATH_SIZE];
        char name[32];
        struct kind kind = kinds[i];
        (void)snprintf(name, sizeof(name), "kind%zu", i);
        check_path(dir, sizeof(dir), *state, name);
        assert_int_equal(mkdir(dir, 0700), 0);
        run = (struct run){ .number = 0 };
        site_init(&run.site, dir, settings, TL_ARRAY_LEN(settings));
        size_t count = fault_each_io_by(fault_step(kind.step), kind.kind, kind.os_errno,
                                        log_with_fault, &kind);
        assert_true(count > 50);
        print_message(
            "kind %zu: %zu operations, %u runs, %llu losses declared, %llu of them twice\n", i,
            count, run.number, (unsigned long long)run.dropped, (unsigned long long)run.doubled);
        (void)site_verify(&run.site);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(no_failed_file_operation_loses_an_event_in_silence,
                                        check_mkdir, check_rmdir),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
