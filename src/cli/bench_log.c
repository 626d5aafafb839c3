/* tally bench log: how long a caller waits, beside what programs do otherwise, in one run. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "cli/bench.h"
#include "cli/bench_others.h"

#define PACED_SECONDS  5u
#define EVENT_BYTES    1024u /* more than one takes in the spool, on average */
#define SQLITE_MAX     2000u /* of INSERTs that each wait for the disk */
#define FLUSH_MS       120000u
#define FLUSH_INTO_MS  3000u /* whoever records there may be stopped on purpose */
#define EVENTS_DEFAULT 100000u

/* What one way of writing gave: as fast as possible, and at a pace. */
struct figures {
    bool has_burst;
    bool has_paced;
    struct tl_bench_loaded burst;
    struct tl_bench_loaded paced;
};

/* One run. Large: allocate. */
struct bench {
    unsigned threads;
    uint64_t events;
    uint64_t pace;
    uint64_t seconds;
    uint32_t timeout_ms;
    const char *class_word;
    const char *into; /* an existing ledger; NULL: one of our own */
    bool alone;
    unsigned runs; /* so far */
    uint64_t seed; /* of ids: another one for each run into a ledger that stays */
    struct tally_ledger *ledger;
    struct tally_logger *logger;
    struct tally_log_options options;
    double recorded_per_s;
    bool all_recorded;
    struct tally_left left;
    struct tally_log_counters counters;
    struct figures ours;
    struct figures others[TL_BENCH_OTHERS];
};

static tally_status log_event(void *ctx, struct tl_bench_event *event)
{
    struct bench *bench = ctx;
    return tally_log_text(bench->logger, event->json, event->len, &bench->options, NULL, NULL);
}

static struct tl_bench_load load_of(struct bench *bench, tl_bench_write_fn *write, void *ctx)
{
    return (struct tl_bench_load){
        .threads = bench->threads, .seed = bench->seed, .write = write, .ctx = ctx
    };
}

static tally_status run_burst(struct bench *bench, struct tl_bench_load load, uint64_t events,
                              struct figures *figures, struct tally_error *err)
{
    load.events = events;
    figures->has_burst = true;
    load.run = bench->runs++;
    return tl_bench_load_run(&load, &figures->burst, err);
}

static tally_status run_paced(struct bench *bench, struct tl_bench_load load,
                              struct figures *figures, struct tally_error *err)
{
    if (bench->pace == 0) {
        return TALLY_OK;
    }
    load.events = bench->pace * bench->seconds;
    load.pace = bench->pace;
    load.seconds = bench->seconds;
    figures->has_paced = true;
    load.run = bench->runs++;
    return tl_bench_load_run(&load, &figures->paced, err);
}

/* Waits until all that was logged is recorded, or not any longer: the figures then say so. */
static tally_status flush(struct bench *bench, struct tally_error *err)
{
    bench->left = (struct tally_left){ .struct_size = sizeof(bench->left) };
    tally_status status =
        tally_flush(bench->logger, TALLY_LEVEL_RECORDED,
                    bench->into != NULL ? FLUSH_INTO_MS : FLUSH_MS, &bench->left, err);
    bench->all_recorded = status == TALLY_OK;
    return status == TALLY_EBUSY ? TALLY_OK : status;
}

static tally_status burst_ours(struct bench *bench, struct tl_bench_load load,
                               struct tally_error *err)
{
    int64_t started_us = tl_bench_now_us();
    TL_TRY(run_burst(bench, load, bench->events, &bench->ours, err));
    TL_TRY(flush(bench, err));
    if (bench->into == NULL) { /* else another process may be the one that indexes */
        TL_TRY(tally_wait_indexed(bench->ledger, err));
    }
    bench->recorded_per_s =
        (double)bench->events * 1e6 / (double)(tl_bench_now_us() - started_us + 1);
    return TALLY_OK;
}

static tally_status run_ours(struct bench *bench, struct tally_error *err)
{
    struct tl_bench_load load = load_of(bench, log_event, bench);
    load.bound_ns = (uint64_t)bench->timeout_ms * 1000000;
    if (bench->events > 0) {
        TL_TRY(burst_ours(bench, load, err));
    }
    bool burst_recorded = bench->events == 0 || bench->all_recorded;
    TL_TRY(run_paced(bench, load, &bench->ours, err));
    if (bench->pace > 0) {
        TL_TRY(flush(bench, err));
        bench->all_recorded = bench->all_recorded && burst_recorded;
    }
    bench->counters.struct_size = sizeof(bench->counters);
    tally_logger_count(bench->logger, &bench->counters);
    return TALLY_OK;
}

static enum tally_delivery delivery_of(const char *word)
{
    if (strcmp(word, "best_effort") == 0) {
        return TALLY_DELIVERY_BEST_EFFORT;
    }
    return strcmp(word, "strict") == 0 ? TALLY_DELIVERY_STRICT : TALLY_DELIVERY_DURABLE;
}

/* Settings come in order of precedence from the back: the user's own stand behind ours. */
static tally_status open_ledger(struct bench *bench, const struct tl_cli *cli, const char *path,
                                struct tally_error *err)
{
    char room[24];
    struct tally_setting settings[TL_CLI_SETTINGS_MAX + 1] = {
        { .key = "spool.max_bytes", .value = room, .origin = "benchmark" }
    };
    (void)snprintf(room, sizeof(room), "%" PRIu64,
                   (UINT64_C(64) << 20) + bench->events * EVENT_BYTES);
    memcpy(&settings[1], cli->settings, cli->setting_count * sizeof(settings[0]));
    struct tally_options options = tl_cli_options(cli);
    options.uri = bench->into != NULL ? bench->into : path;
    options.settings = bench->into != NULL ? cli->settings : settings;
    options.setting_count = cli->setting_count + (bench->into != NULL ? 0 : 1);
    options.writable = 1;
    options.unattended = 1;
    if (bench->into == NULL) {
        struct tally_init_result init;
        TL_TRY(tally_init(&options, NULL, &init, err));
    }
    return tally_open(&bench->ledger, &options, err);
}

static tally_status measure_ours(struct bench *bench, const struct tl_cli *cli, const char *dir,
                                 struct tally_error *err)
{
    char path[4096 + 16];
    (void)snprintf(path, sizeof(path), "%s/ledger", dir);
    struct tally_logger_options options = TALLY_LOGGER_OPTIONS_INIT;
    options.timeout_ms = bench->timeout_ms;
    bench->options = (struct tally_log_options)TALLY_LOG_OPTIONS_INIT;
    bench->options.delivery = delivery_of(bench->class_word);
    TL_TRY(open_ledger(bench, cli, path, err));
    tally_status status = tally_logger_open(&bench->logger, bench->ledger, &options, err);
    if (status == TALLY_OK) {
        status = run_ours(bench, err);
    }
    tally_logger_close(bench->logger, 0, NULL);
    tally_close(bench->ledger);
    return status;
}

static tally_status measure_other(struct bench *bench, enum tl_bench_other kind, const char *dir,
                                  struct tally_error *err)
{
    bool is_sqlite = kind == TL_BENCH_SQLITE_NORMAL || kind == TL_BENCH_SQLITE_FULL;
    uint64_t events = is_sqlite && bench->events > SQLITE_MAX ? SQLITE_MAX : bench->events;
    struct tl_bench_others *other = NULL;
    TL_TRY(tl_bench_other_open(&other, kind, dir, err));
    struct tl_bench_load load = load_of(bench, tl_bench_other_write, other);
    tally_status status = TALLY_OK;
    if (events > 0) {
        status = run_burst(bench, load, events, &bench->others[kind], err);
    }
    if (status == TALLY_OK && !is_sqlite) {
        status = run_paced(bench, load, &bench->others[kind], err);
    }
    tl_bench_other_close(other);
    return status;
}

static tally_status measure(struct bench *bench, const struct tl_cli *cli, const char *parent,
                            struct tally_error *err)
{
    char dir[4096];
    TL_TRY(tl_bench_dir_make(dir, parent, err));
    tally_status status = measure_ours(bench, cli, dir, err);
    for (int kind = 0; kind < TL_BENCH_OTHERS && status == TALLY_OK && !bench->alone; kind++) {
        status = measure_other(bench, (enum tl_bench_other)kind, dir, err);
    }
    tl_bench_dir_remove(dir);
    return status;
}

static void add_loaded(struct tl_js *js, const struct tl_bench_loaded *loaded)
{
    tl_js_u64(js, "calls", loaded->calls.count);
    tl_js_u64(js, "p50_ns", tl_histogram_value(&loaded->calls, 0.5));
    tl_js_u64(js, "p99_ns", tl_histogram_value(&loaded->calls, 0.99));
    tl_js_u64(js, "p999_ns", tl_histogram_value(&loaded->calls, 0.999));
    tl_js_u64(js, "max_ns", loaded->calls.max);
    tl_bench_js_number(js, "events_per_s", loaded->per_s);
    tl_js_u64(js, "failed", loaded->failed);
    tl_js_u64(js, "over_bound", loaded->over_bound);
}

static void add_figures(struct tl_js *js, const struct figures *figures)
{
    if (figures->has_burst) {
        add_loaded(js, &figures->burst);
    }
    if (figures->has_paced) {
        tl_js_open(js, "paced", '{');
        add_loaded(js, &figures->paced);
        tl_js_close(js, '}');
    }
}

static void add_counters(struct tl_js *js, const struct bench *bench)
{
    const struct tally_log_counters *counters = &bench->counters;
    tl_js_open(js, "logger", '{');
    tl_js_u64(js, "logged", counters->logged);
    tl_js_u64(js, "accepted", counters->accepted);
    tl_js_u64(js, "disabled", counters->disabled);
    tl_js_u64(js, "refused", counters->refused);
    tl_js_u64(js, "lost", counters->lost);
    tl_js_u64(js, "late", counters->late);
    tl_js_u64(js, "waited", counters->waited);
    tl_js_u64(js, "failed_syncs", counters->failed_syncs);
    tl_js_close(js, '}');
    tl_js_u64(js, "left", bench->left.events);
    tl_js_bool(js, "all_recorded", bench->all_recorded);
}

static uint64_t event_bytes_of(const struct figures *figures)
{
    return figures->has_burst ? figures->burst.event_bytes : figures->paced.event_bytes;
}

static tally_status print_json(const struct bench *bench, struct tally_error *err)
{
    TL_CLEANUP(tl_js_release) struct tl_js js = { 0 };
    tl_js_init(&js);
    tl_js_open(&js, NULL, '{');
    tl_js_u64(&js, "threads", bench->threads);
    tl_js_u64(&js, "events", bench->events);
    tl_js_u64(&js, "event_bytes", event_bytes_of(&bench->ours));
    tl_js_text(&js, "class", bench->class_word);
    tl_js_u64(&js, "timeout_ms", bench->timeout_ms);
    tl_js_u64(&js, "pace_per_s", bench->pace);
    add_figures(&js, &bench->ours);
    if (bench->ours.has_burst) {
        tl_bench_js_number(&js, "recorded_per_s", bench->recorded_per_s);
    }
    add_counters(&js, bench);
    for (int kind = 0; kind < TL_BENCH_OTHERS && !bench->alone; kind++) {
        tl_js_open(&js, tl_bench_other_names[kind], '{');
        add_figures(&js, &bench->others[kind]);
        tl_js_close(&js, '}');
    }
    tl_js_close(&js, '}');
    return tl_js_print(&js, stdout, err);
}

static double micros(const struct tl_bench_loaded *loaded, double share)
{
    uint64_t ns = tl_histogram_value(&loaded->calls, share);
    return (double)ns / 1e3;
}

static void print_row(const char *name, bool is_there, const struct tl_bench_loaded *loaded)
{
    if (is_there) {
        printf("  %-22s%10.2f%10.2f%11.2f%12.2f%14.0f\n", name, micros(loaded, 0.5),
               micros(loaded, 0.99), micros(loaded, 0.999), (double)loaded->calls.max / 1e3,
               loaded->per_s);
    }
}

static void print_figures(const char *name, const struct figures *figures)
{
    char paced[40];
    (void)snprintf(paced, sizeof(paced), "%s, paced", name);
    print_row(name, figures->has_burst, &figures->burst);
    print_row(paced, figures->has_paced, &figures->paced);
}

static void print_text(const struct bench *bench)
{
    uint64_t over = bench->ours.burst.over_bound + bench->ours.paced.over_bound;
    uint64_t failed = bench->ours.burst.failed + bench->ours.paced.failed;
    printf("%u threads, events of about %" PRIu64 " bytes, class %s; microseconds a call\n",
           bench->threads, event_bytes_of(&bench->ours), bench->class_word);
    printf("  %-22s%10s%10s%11s%12s%14s\n", "", "p50", "p99", "p99.9", "max", "calls/s");
    print_figures("tally_log", &bench->ours);
    for (int kind = 0; kind < TL_BENCH_OTHERS && !bench->alone; kind++) {
        print_figures(tl_bench_other_names[kind], &bench->others[kind]);
    }
    if (bench->ours.has_burst) {
        printf("recorded%s: %.0f events/s\n", bench->into == NULL ? " and indexed" : "",
               bench->recorded_per_s);
    }
    printf("bound of a call: %u ms, exceeded by %" PRIu64 " calls; failed: %" PRIu64
           "; lost: %" PRIu64 "; not recorded yet: %" PRIu64 "\n",
           bench->timeout_ms, over, failed, bench->counters.lost, bench->left.events);
}

static enum tl_exit read_options(struct bench *bench, const struct tl_cli *cli,
                                 const struct tl_args *args)
{
    uint64_t threads = tl_args_number(args, "threads", 1);
    uint64_t timeout_ms = tl_args_number(args, "timeout-ms", 1000);
    const char *class_word = tl_args_value(args, "class");
    bench->events = tl_args_number(args, "events", EVENTS_DEFAULT);
    bench->pace = tl_args_number(args, "pace", 10000);
    bench->seconds = tl_args_number(args, "seconds", PACED_SECONDS);
    bench->class_word = class_word == NULL ? "durable" : class_word;
    bench->into = tl_args_value(args, "into");
    bench->alone = tl_args_has(args, "alone") || bench->into != NULL;
    bench->seed = bench->into == NULL ? 0 : (uint64_t)tl_clock->wall_us() / 1000000 % 10000;
    bench->threads = (unsigned)threads;
    bench->timeout_ms = (uint32_t)timeout_ms;
    if (threads == 0 || threads > TL_BENCH_THREADS_MAX) {
        return tl_cli_usage(cli, "--threads must be 1 to %u", TL_BENCH_THREADS_MAX);
    }
    if (timeout_ms == 0 || timeout_ms > 3600000) {
        return tl_cli_usage(cli, "--timeout-ms must be 1 to 3600000");
    }
    if (bench->events > UINT32_MAX || bench->pace > 10000000 || bench->seconds > 86400) {
        return tl_cli_usage(cli, "--events, --pace or --seconds is too large");
    }
    if (bench->events < 1 && bench->pace * bench->seconds < 1) {
        return tl_cli_usage(cli, "there is nothing to measure: give --events or --pace");
    }
    return TL_EXIT_OK;
}

enum tl_exit tl_bench_log(struct tl_cli *cli, const struct tl_args *args)
{
    struct tally_error err = TALLY_ERROR_INIT;
    const char *parent = tl_args_value(args, "dir");
    TL_CLEANUP(tl_freep) struct bench *bench = tl_alloc_array(1, sizeof(*bench));
    if (bench == NULL) {
        (void)tl_fail(&err, TALLY_ENOMEM, "out of memory"); /* told below */
        return tl_cli_fail(cli, &err);
    }
    enum tl_exit exit_status = read_options(bench, cli, args);
    if (exit_status != TL_EXIT_OK) {
        return exit_status;
    }
    tally_status status = measure(bench, cli, parent == NULL ? "." : parent, &err);
    if (status == TALLY_OK && cli->json) {
        status = print_json(bench, &err);
    } else if (status == TALLY_OK) {
        print_text(bench);
    }
    return status == TALLY_OK ? TL_EXIT_OK : tl_cli_fail(cli, &err);
}
