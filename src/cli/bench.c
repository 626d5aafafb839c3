#include "cli/bench.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/thread.h"
#include "cli/bench_events.h"

tally_status tl_bench_dir_make(char out[4096], const char *parent, struct tally_error *err)
{
    int len = snprintf(out, 4096, "%s/tally-bench-XXXXXX", parent);
    if (len < 0 || len >= 4096 || mkdtemp(out) == NULL) {
        return tl_fail(err, TALLY_EIO, "cannot make a directory in '%s'", parent);
    }
    return TALLY_OK;
}

/* Calls `fn` for each file below `path`, `depth` levels deep, and for the directories after them. */
static void each_entry(const char *path, int depth,
                       void (*fn)(void *ctx, const char *path, const struct stat *st), void *ctx)
{
    DIR *dir = opendir(path);
    if (dir == NULL) {
        return;
    }
    const struct dirent *entry = NULL;
    while ((entry = readdir(dir)) != NULL) { /* NOLINT: one thread, one stream */
        char name[4096 + 256];
        struct stat st;
        (void)snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
        bool special = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
        if (special || lstat(name, &st) != 0) {
            continue;
        }
        if (S_ISDIR(st.st_mode) && depth > 0 && strlen(name) < 4096) {
            each_entry(name, depth - 1, fn, ctx); /* NOLINT: as deep as `depth` says */
        }
        fn(ctx, name, &st);
    }
    (void)closedir(dir);
}

static void remove_entry(void *ctx, const char *path, const struct stat *st)
{
    (void)ctx;
    (void)(S_ISDIR(st->st_mode) ? rmdir(path) : tl_io->unlink(path)); /* what is left is seen */
}

void tl_bench_dir_remove(const char *path)
{
    each_entry(path, 3, remove_entry, NULL);
    (void)rmdir(path); /* as above */
}

static void add_bytes(void *ctx, const char *path, const struct stat *st)
{
    (void)path;
    *(uint64_t *)ctx += S_ISREG(st->st_mode) ? (uint64_t)st->st_size : 0;
}

uint64_t tl_bench_dir_bytes(const char *path)
{
    uint64_t bytes = 0;
    each_entry(path, 3, add_bytes, &bytes);
    return bytes;
}

int64_t tl_bench_now_us(void)
{
    return tl_clock->steady_us();
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return x < y ? -1 : x > y;
}

double tl_bench_percentile(double *values, size_t count, double share)
{
    if (count == 0) {
        return 0;
    }
    qsort(values, count, sizeof(*values), compare_doubles);
    size_t at = (size_t)((double)count * share);
    return values[at < count ? at : count - 1];
}

void tl_bench_js_number(struct tl_js *js, const char *key, double value)
{
    char text[400]; /* any double fits */
    int len = snprintf(text, sizeof(text), "%.2f", value);
    tl_js_raw(js, key, (struct tl_str){ .text = text, .len = (size_t)len });
}

uint64_t tl_bench_peak_kib(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? (uint64_t)usage.ru_maxrss : 0;
}

/* The two sides of a pipe. */
struct flow {
    const struct tl_bench_pipe *pipe;
    struct tl_mutex mu;
    struct tl_cond changed;
    /* guarded by mu */
    bool full[2];
    bool stop;
    tally_status status; /* of the producer */
    struct tally_error error;
};

static size_t batch_size(const struct tl_bench_pipe *pipe, uint64_t first)
{
    uint64_t left = pipe->total - first;
    return left < TL_BENCH_BATCH ? (size_t)left : TL_BENCH_BATCH;
}

/* Waits until the slot is full or empty; false if the other side has stopped. */
static bool wait_for(struct flow *flow, unsigned slot, bool full)
{
    tl_mutex_lock(&flow->mu);
    while (flow->full[slot] != full && !flow->stop) {
        tl_cond_wait(&flow->changed, &flow->mu);
    }
    bool there = flow->full[slot] == full;
    tl_mutex_unlock(&flow->mu);
    return there;
}

static void set(struct flow *flow, unsigned slot, bool full, bool stop)
{
    tl_mutex_lock(&flow->mu);
    flow->full[slot] = full;
    flow->stop = flow->stop || stop;
    tl_cond_broadcast(&flow->changed);
    tl_mutex_unlock(&flow->mu);
}

static void *run_producer(void *ctx)
{
    struct flow *flow = ctx;
    unsigned slot = 0;
    for (uint64_t first = 0; first < flow->pipe->total; first += TL_BENCH_BATCH, slot ^= 1) {
        if (!wait_for(flow, slot, false)) {
            return NULL;
        }
        flow->status = flow->pipe->produce(flow->pipe->ctx, slot, first,
                                           batch_size(flow->pipe, first), &flow->error);
        set(flow, slot, flow->status == TALLY_OK, flow->status != TALLY_OK);
        if (flow->status != TALLY_OK) {
            return NULL;
        }
    }
    return NULL;
}

static tally_status run_consumer(struct flow *flow, struct tally_error *err)
{
    unsigned slot = 0;
    for (uint64_t first = 0; first < flow->pipe->total; first += TL_BENCH_BATCH, slot ^= 1) {
        if (!wait_for(flow, slot, true)) {
            return TALLY_OK; /* the producer's failure counts */
        }
        tally_status status =
            flow->pipe->consume(flow->pipe->ctx, slot, batch_size(flow->pipe, first), err);
        set(flow, slot, false, status != TALLY_OK);
        TL_TRY(status);
    }
    return TALLY_OK;
}

tally_status tl_bench_pipe_run(const struct tl_bench_pipe *pipe, struct tally_error *err)
{
    struct flow flow = { .pipe = pipe, .error = TALLY_ERROR_INIT };
    pthread_t thread;
    TL_TRY(tl_mutex_init(&flow.mu));
    TL_TRY(tl_cond_init(&flow.changed));
    TL_TRY(tl_thread_start(&thread, "bench-events", run_producer, &flow));
    tally_status status = run_consumer(&flow, err);
    tl_thread_join(thread);
    tl_cond_release(&flow.changed);
    tl_mutex_release(&flow.mu);
    if (status == TALLY_OK && flow.status != TALLY_OK) {
        status = tl_fail(err, flow.status, "%s", flow.error.message);
    }
    return status;
}

/* A ledger that is being filled. */
struct fill {
    struct tally_ledger *ledger;
    struct tally_events *events[2];
    struct tally_receipt *receipts;
    bool random_ids;
    uint64_t total;
    uint64_t window;
    uint64_t event_bytes;
    int64_t started_us;
    int64_t first_done_us; /* when the first window was indexed */
    int64_t last_begun_us; /* when all but the last window was */
};

static tally_status produce(void *ctx, unsigned slot, uint64_t first, size_t count,
                            struct tally_error *err)
{
    struct fill *fill = ctx;
    struct tl_bench_event event;
    tally_events_clear(fill->events[slot]);
    for (size_t i = 0; i < count; i++) {
        tl_bench_event_make(&event, first + i, fill->random_ids);
        TL_TRY(tally_events_add(fill->events[slot], event.json, event.len, 0, err));
        fill->event_bytes += event.len;
    }
    return TALLY_OK;
}

/* Notes when the index passes a mark: an event counts when it can be found. */
static void look_at_marks(struct fill *fill, uint64_t indexed)
{
    int64_t now = tl_bench_now_us();
    if (fill->first_done_us == 0 && indexed >= fill->window) {
        fill->first_done_us = now;
    }
    if (fill->last_begun_us == 0 && indexed >= fill->total - fill->window) {
        fill->last_begun_us = now;
    }
}

static tally_status consume(void *ctx, unsigned slot, size_t count, struct tally_error *err)
{
    struct fill *fill = ctx;
    struct tally_info info;
    TL_TRY(tally_append_events(fill->ledger, fill->events[slot], fill->receipts, err));
    for (size_t i = 0; i < count; i++) {
        if (fill->receipts[i].status != TALLY_OK) {
            return tl_fail(err, fill->receipts[i].status, "event %zu was not recorded", i);
        }
    }
    TL_TRY(tally_info(fill->ledger, &info, err));
    look_at_marks(fill, info.indexed_to);
    return TALLY_OK;
}

static double per_second(uint64_t count, int64_t us)
{
    return us <= 0 ? 0 : (double)count * 1e6 / (double)us;
}

static tally_status fill_open(struct fill *fill, struct tl_bench_fill_result *result,
                              struct tally_error *err)
{
    for (size_t i = 0; i < 2; i++) {
        TL_TRY(tally_events_new(&fill->events[i], fill->ledger, err));
    }
    fill->receipts = tl_alloc_array(TL_BENCH_BATCH, sizeof(*fill->receipts));
    if (fill->receipts == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate receipts");
    }
    fill->window = fill->total >= 2000000 ? 1000000 : fill->total / 2;
    const struct tl_bench_pipe pipe = {
        .total = fill->total, .produce = produce, .consume = consume, .ctx = fill
    };
    fill->started_us = tl_bench_now_us();
    TL_TRY(tl_bench_pipe_run(&pipe, err));
    TL_TRY(tally_wait_indexed(fill->ledger, err));
    int64_t ended_us = tl_bench_now_us();
    look_at_marks(fill, fill->total);
    *result = (struct tl_bench_fill_result){
        .all_per_s = per_second(fill->total, ended_us - fill->started_us),
        .first_per_s = per_second(fill->window, fill->first_done_us - fill->started_us),
        .last_per_s = per_second(fill->window, ended_us - fill->last_begun_us),
        .window = fill->window,
        .event_bytes = fill->event_bytes,
    };
    return TALLY_OK;
}

tally_status tl_bench_fill(const struct tl_cli *cli, const char *path, uint64_t count,
                           bool random_ids, struct tl_bench_fill_result *result,
                           struct tally_error *err)
{
    struct tally_options options = tl_cli_options(cli);
    struct tally_init_result init;
    options.uri = path;
    options.writable = 1;
    TL_TRY(tally_init(&options, NULL, &init, err));
    struct fill fill = { .random_ids = random_ids, .total = count };
    TL_TRY(tally_open(&fill.ledger, &options, err));
    tally_status status = fill_open(&fill, result, err);
    tally_events_free(fill.events[0]);
    tally_events_free(fill.events[1]);
    tl_free(fill.receipts);
    tally_close(fill.ledger);
    return status;
}
