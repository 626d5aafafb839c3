/* tally bench ingest: a ledger beside the same events in plain SQLite, in one run. */
#include <stdio.h>
#include <string.h>

#include "cli/bench.h"
#include "cli/bench_baseline.h"
#include "cli/bench_events.h"

/* A table to compare with, while it fills. */
struct baseline_run {
    struct tl_baseline *baseline;
    struct tl_bench_event *events[2];
    bool random_ids;
};

static tally_status produce(void *ctx, unsigned slot, uint64_t first, size_t count,
                            struct tally_error *err)
{
    (void)err;
    struct baseline_run *run = ctx;
    for (size_t i = 0; i < count; i++) {
        tl_bench_event_make(&run->events[slot][i], first + i, run->random_ids);
    }
    return TALLY_OK;
}

static tally_status consume(void *ctx, unsigned slot, size_t count, struct tally_error *err)
{
    struct baseline_run *run = ctx;
    return tl_baseline_insert(run->baseline, run->events[slot], count, err);
}

static tally_status run_baseline(const char *path, enum tl_baseline_kind kind, uint64_t count,
                                 bool random_ids, double *per_s_out, struct tally_error *err)
{
    struct baseline_run run = { .random_ids = random_ids };
    run.events[0] = tl_alloc_array(TL_BENCH_BATCH, sizeof(struct tl_bench_event));
    run.events[1] = tl_alloc_array(TL_BENCH_BATCH, sizeof(struct tl_bench_event));
    tally_status status = run.events[0] == NULL || run.events[1] == NULL
                              ? tl_fail(err, TALLY_ENOMEM, "cannot allocate events")
                              : tl_baseline_open(&run.baseline, path, kind, err);
    int64_t started_us = tl_bench_now_us();
    if (status == TALLY_OK) {
        const struct tl_bench_pipe pipe = {
            .total = count, .produce = produce, .consume = consume, .ctx = &run
        };
        status = tl_bench_pipe_run(&pipe, err);
    }
    *per_s_out = (double)count * 1e6 / (double)(tl_bench_now_us() - started_us + 1);
    tl_baseline_close(run.baseline);
    tl_free(run.events[0]);
    tl_free(run.events[1]);
    return status;
}

/* All that one run measures. */
struct figures {
    uint64_t events;
    bool random_ids;
    bool compared;
    struct tl_bench_fill_result fill;
    double ordinary_per_s;
    double plain_per_s;
    double bytes_per_record;
    double bytes_beyond_event;
};

static void path_in(char out[4096 + 16], const char *dir, const char *name)
{
    (void)snprintf(out, 4096 + 16, "%s/%s", dir, name);
}

static tally_status measure(const struct tl_cli *cli, const char *dir, struct figures *figures,
                            struct tally_error *err)
{
    char path[4096 + 16];
    path_in(path, dir, "ledger");
    TL_TRY(tl_bench_fill(cli, path, figures->events, figures->random_ids, &figures->fill, err));
    uint64_t bytes = tl_bench_dir_bytes(path);
    uint64_t beyond = bytes - figures->fill.event_bytes;
    figures->bytes_per_record = (double)bytes / (double)figures->events;
    figures->bytes_beyond_event = (double)beyond / (double)figures->events;
    tl_bench_dir_remove(path);
    if (!figures->compared) {
        return TALLY_OK;
    }
    path_in(path, dir, "plain.db");
    TL_TRY(run_baseline(path, TL_BASELINE_PLAIN, figures->events, figures->random_ids,
                        &figures->plain_per_s, err));
    path_in(path, dir, "ordinary.db");
    return run_baseline(path, TL_BASELINE_ORDINARY, figures->events, figures->random_ids,
                        &figures->ordinary_per_s, err);
}

static tally_status print_json(const struct figures *figures, struct tally_error *err)
{
    TL_CLEANUP(tl_js_release) struct tl_js js = { 0 };
    tl_js_init(&js);
    tl_js_open(&js, NULL, '{');
    tl_js_u64(&js, "events", figures->events);
    tl_js_text(&js, "ids", figures->random_ids ? "v4" : "v7");
    tl_bench_js_number(&js, "tally_events_per_s", figures->fill.all_per_s);
    tl_bench_js_number(&js, "first_million_per_s", figures->fill.first_per_s);
    tl_bench_js_number(&js, "last_million_per_s", figures->fill.last_per_s);
    tl_js_u64(&js, "window", figures->fill.window);
    tl_bench_js_number(&js, "bytes_per_record", figures->bytes_per_record);
    tl_bench_js_number(&js, "bytes_beyond_event_per_record", figures->bytes_beyond_event);
    if (figures->compared) {
        tl_bench_js_number(&js, "ordinary_table_events_per_s", figures->ordinary_per_s);
        tl_bench_js_number(&js, "plain_rows_events_per_s", figures->plain_per_s);
        tl_bench_js_number(&js, "times_ordinary_table",
                           figures->fill.all_per_s / figures->ordinary_per_s);
        tl_bench_js_number(&js, "times_plain_rows", figures->fill.all_per_s / figures->plain_per_s);
    }
    tl_js_u64(&js, "peak_kib", tl_bench_peak_kib());
    tl_js_close(&js, '}');
    return tl_js_print(&js, stdout, err);
}

static void print_text(const struct figures *figures)
{
    printf("%llu events of %.0f bytes, %s ids, batches of %u, 2 threads to hand in\n",
           (unsigned long long)figures->events,
           (double)figures->fill.event_bytes / (double)figures->events,
           figures->random_ids ? "random (v4)" : "time-ordered (v7)", TL_BENCH_BATCH);
    printf("  recorded and indexed   %10.0f events/s\n", figures->fill.all_per_s);
    printf("    first %8llu       %10.0f events/s\n", (unsigned long long)figures->fill.window,
           figures->fill.first_per_s);
    printf("    last  %8llu       %10.0f events/s\n", (unsigned long long)figures->fill.window,
           figures->fill.last_per_s);
    if (figures->compared) {
        printf("  ordinary audit table   %10.0f events/s  (ledger: %.2f times)\n",
               figures->ordinary_per_s, figures->fill.all_per_s / figures->ordinary_per_s);
        printf("  plain SQLite rows      %10.0f events/s  (ledger: %.2f times)\n",
               figures->plain_per_s, figures->fill.all_per_s / figures->plain_per_s);
    }
    printf("  bytes per record       %10.0f, %.0f of them beyond the event's own\n",
           figures->bytes_per_record, figures->bytes_beyond_event);
    printf("  peak memory            %10llu KiB\n", (unsigned long long)tl_bench_peak_kib());
}

enum tl_exit tl_bench_ingest(struct tl_cli *cli, const struct tl_args *args)
{
    struct tally_error err = TALLY_ERROR_INIT;
    const char *parent = tl_args_value(args, "dir");
    const char *ids = tl_args_value(args, "ids");
    struct figures figures = { .events = tl_args_number(args, "events", 1000000),
                               .random_ids = ids != NULL && strcmp(ids, "v4") == 0,
                               .compared = !tl_args_has(args, "alone") };
    if (figures.events < 2) {
        return tl_cli_usage(cli, "--events must be 2 or more");
    }
    char dir[4096];
    if (tl_bench_dir_make(dir, parent == NULL ? "." : parent, &err) != TALLY_OK) {
        return tl_cli_fail(cli, &err);
    }
    tally_status status = measure(cli, dir, &figures, &err);
    tl_bench_dir_remove(dir);
    if (status == TALLY_OK && cli->json) {
        status = print_json(&figures, &err);
    } else if (status == TALLY_OK) {
        print_text(&figures);
    }
    return status == TALLY_OK ? TL_EXIT_OK : tl_cli_fail(cli, &err);
}
