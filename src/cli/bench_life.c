/* tally bench life: what purge and erasure cost, and how long writers wait meanwhile. */
#include <stdio.h>
#include <string.h>

#include <poll.h>

#include "base/clock.h"
#include "base/counter.h"
#include "base/thread.h"
#include "cli/bench.h"
#include "codec/time.h"

#define SUBJECTS       1000u /* that are erased */
#define RECORDS_EACH   10u   /* of each subject, at most: fewer if half of them were purged */
#define OLD_US         (INT64_C(30) * 86400 * 1000000)
#define WRITE_EVERY_MS 2
#define STEPS          4u

static const struct tally_actor who = { .by = "bench", .reason = "measuring" };

/* A thread that appends all the time, and notes the longest call. */
struct writer {
    struct tally_ledger *ledger;
    pthread_t thread;
    struct tl_counter stop; /* not zero: come to an end */
    uint64_t count;
    int64_t longest_us;
    tally_status status;
};

static void *keep_writing(void *ctx)
{
    struct writer *writer = ctx;
    static const char event[] = "{\"action\":\"bench.beside\",\"reason\":\"written meanwhile\"}";
    while (tl_counter_get(&writer->stop) == 0 && writer->status == TALLY_OK) {
        int64_t start_us = tl_bench_now_us();
        writer->status = tally_append(writer->ledger, event, sizeof(event) - 1, NULL, NULL);
        int64_t took_us = tl_bench_now_us() - start_us;
        writer->longest_us = took_us > writer->longest_us ? took_us : writer->longest_us;
        writer->count++;
        (void)poll(NULL, 0, WRITE_EVERY_MS);
    }
    return NULL;
}

/* One thing that was done. */
struct step {
    const char *name;
    uint64_t records;
    int64_t took_us;
    int64_t longest_write_us;
    uint64_t writes;
    uint64_t files_before, files_after; /* bytes of the ledger's directory */
};

/* A ledger at work. */
struct life {
    const struct tl_cli *cli;
    struct tally_ledger *ledger;
    char path[4096 + 16];
    uint64_t events;
    uint64_t actors;
    int64_t now_us;
    struct step steps[STEPS];
    size_t step_count;
};

static size_t make_event(const struct life *life, uint64_t n, char *out, size_t size)
{
    char time[TL_TIME_SIZE];
    (void)tl_time_format(time, life->now_us - (n % 2 == 0 ? OLD_US : 0));
    int len = snprintf(
        out, size,
        "{\"id\":\"bench-%012llu\",\"occurred_at\":\"%s\",\"action\":\"orders.order.update\","
        "\"actor\":{"
        "\"type\":\"user\",\"id\":\"u%llu\",\"name\":\"Name of user %llu\"},\"targets\":[{\"type\":"
        "\"order\",\"id\":\"o%llu\"}],\"tenant_id\":\"tenant-%llu\",\"source\":{\"service\":"
        "\"orders\","
        "\"ip\":\"10.1.%llu.%llu\",\"user_agent\":\"Mozilla/5.0 (X11; Linux x86_64) "
        "Firefox/128.0\"},"
        "\"reason\":\"the customer asked for it on the phone\",\"old_values\":{\"state\":\"open\","
        "\"total\":\"%llu.00\"},\"new_values\":{\"state\":\"closed\",\"total\":\"%llu.50\"},"
        "\"metadata\":{\"request\":\"r-%llu\",\"region\":\"eu-central-1\"}}",
        (unsigned long long)n, time, (unsigned long long)(n / 2 % life->actors),
        (unsigned long long)(n / 2 % life->actors), (unsigned long long)(n % 50000),
        (unsigned long long)(n % 40), (unsigned long long)(n % 250), (unsigned long long)(n % 199),
        (unsigned long long)(n % 1000), (unsigned long long)(n % 1000), (unsigned long long)n);
    return (size_t)len;
}

static void events_freep(struct tally_events **events)
{
    tally_events_free(*events);
    *events = NULL;
}

static tally_status fill(struct life *life, struct tally_error *err)
{
    TL_CLEANUP(events_freep) struct tally_events *events = NULL;
    TL_CLEANUP(tl_freep)
    struct tally_receipt *receipts = tl_alloc_array(TL_BENCH_BATCH, sizeof(*receipts));
    if (receipts == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate receipts");
    }
    TL_TRY(tally_events_new(&events, life->ledger, err));
    for (uint64_t n = 0; n < life->events; n++) {
        char text[1024];
        size_t len = make_event(life, n, text, sizeof(text));
        TL_TRY(tally_events_add(events, text, len, 0, err));
        if (tally_events_count(events) == TL_BENCH_BATCH || n + 1 == life->events) {
            TL_TRY(tally_append_events(life->ledger, events, receipts, err));
            tally_events_clear(events);
        }
    }
    return tally_wait_indexed(life->ledger, err);
}

static tally_status open_ledger(struct life *life, struct tally_error *err)
{
    static const struct tally_setting settings[] = {
        { "retention.basis", "occurred", "bench" },
        { "retention.default_days", "10", "bench" },
        { "retention.schedule", "off", "bench" },
    };
    struct tally_options options = TALLY_OPTIONS_INIT;
    options.uri = life->path;
    options.settings = settings;
    options.setting_count = TL_ARRAY_LEN(settings);
    options.writable = 1;
    options.accept_clock = 1;
    struct tally_init_result made;
    tally_status status = tally_init(&options, NULL, &made, err);
    explicit_bzero(&made, sizeof(made));
    TL_TRY(status);
    return tally_open(&life->ledger, &options, err);
}

static tally_status do_verify(struct life *life, struct step *step, struct tally_error *err)
{
    struct tally_verify_options options = TALLY_VERIFY_OPTIONS_INIT;
    struct tally_report *report = NULL;
    TL_TRY(tally_verify(life->ledger, &options, &report, err));
    step->records = report->checked;
    tally_status status = report->verdict == TALLY_VERDICT_VERIFIED
                              ? TALLY_OK
                              : tl_fail(err, TALLY_ECORRUPT, "the verdict is %s",
                                        tally_verdict_name(report->verdict));
    tally_report_free(report);
    return status;
}

static tally_status do_purge(struct life *life, struct step *step, struct tally_error *err)
{
    struct tally_purge_options options = TALLY_PURGE_OPTIONS_INIT;
    struct tally_purged purged;
    TL_TRY(tally_purge(life->ledger, &options, &who, &purged, NULL, err));
    step->records = purged.purged;
    return TALLY_OK;
}

static tally_status do_erase(struct life *life, struct step *step, struct tally_error *err)
{
    static struct tally_condition conditions[SUBJECTS];
    static char ids[SUBJECTS][24];
    for (unsigned i = 0; i < SUBJECTS; i++) {
        (void)snprintf(ids[i], sizeof(ids[i]), "u%llu",
                       (unsigned long long)(i * (life->actors / SUBJECTS + 1) % life->actors));
        conditions[i] = (struct tally_condition){ "actor_id", ids[i] };
    }
    struct tally_query query = TALLY_QUERY_INIT;
    query.conditions = conditions;
    query.condition_count = SUBJECTS;
    struct tally_erase_options options = TALLY_ERASE_OPTIONS_INIT;
    options.selection.query = &query;
    struct tally_erased erased;
    TL_TRY(tally_erase(life->ledger, &options, &who, &erased, NULL, err));
    step->records = erased.erased;
    return TALLY_OK;
}

typedef tally_status step_fn(struct life *life, struct step *step, struct tally_error *err);

/* Does one thing while the writer writes. */
static tally_status measure(struct life *life, const char *name, step_fn *fn,
                            struct tally_error *err)
{
    struct step *step = &life->steps[life->step_count++];
    struct writer writer = { .ledger = life->ledger };
    *step = (struct step){ .name = name, .files_before = tl_bench_dir_bytes(life->path) };
    if (tl_thread_start(&writer.thread, "tally-bench", keep_writing, &writer) != TALLY_OK) {
        return tl_fail(err, TALLY_ENOMEM, "cannot start a thread");
    }
    int64_t start_us = tl_bench_now_us();
    tally_status status = fn(life, step, err);
    step->took_us = tl_bench_now_us() - start_us;
    tl_counter_add(&writer.stop, 1);
    tl_thread_join(writer.thread);
    step->longest_write_us = writer.longest_us;
    step->writes = writer.count;
    step->files_after = tl_bench_dir_bytes(life->path);
    return status != TALLY_OK || writer.status == TALLY_OK
               ? status
               : tl_fail(err, writer.status, "the writer beside it failed");
}

static tally_status run(struct life *life, struct tally_error *err)
{
    TL_TRY(open_ledger(life, err));
    TL_TRY(fill(life, err));
    TL_TRY(measure(life, "verify", do_verify, err));
    TL_TRY(measure(life, "purge", do_purge, err));
    TL_TRY(measure(life, "erase", do_erase, err));
    return measure(life, "verify_after", do_verify, err);
}

static tally_status print(const struct life *life, struct tally_error *err)
{
    TL_CLEANUP(tl_js_release) struct tl_js js = { 0 };
    tl_js_init(&js);
    tl_js_open(&js, NULL, '{');
    tl_js_u64(&js, "events", life->events);
    for (size_t i = 0; i < life->step_count; i++) {
        const struct step *step = &life->steps[i];
        tl_js_open(&js, step->name, '{');
        tl_js_u64(&js, "records", step->records);
        tl_bench_js_number(&js, "seconds", (double)step->took_us / 1e6);
        tl_bench_js_number(&js, "longest_write_ms", (double)step->longest_write_us / 1e3);
        tl_js_u64(&js, "writes", step->writes);
        tl_js_u64(&js, "bytes_before", step->files_before);
        tl_js_u64(&js, "bytes_after", step->files_after);
        tl_js_close(&js, '}');
        if (!life->cli->json) {
            printf("%-12s %10llu records %8.2f s, longest write beside it %7.1f ms of %llu; "
                   "%llu MiB before, %llu after\n",
                   step->name, (unsigned long long)step->records, (double)step->took_us / 1e6,
                   (double)step->longest_write_us / 1e3, (unsigned long long)step->writes,
                   (unsigned long long)(step->files_before >> 20),
                   (unsigned long long)(step->files_after >> 20));
        }
    }
    tl_js_close(&js, '}');
    return life->cli->json ? tl_js_print(&js, stdout, err) : TALLY_OK;
}

enum tl_exit tl_bench_life(struct tl_cli *cli, const struct tl_args *args)
{
    static struct life life; /* large */
    struct tally_error err = TALLY_ERROR_INIT;
    char dir[4096];
    const char *parent = tl_args_value(args, "dir");
    life.cli = cli;
    life.events = tl_args_number(args, "events", 1000000);
    if (life.events < (uint64_t)2 * SUBJECTS * RECORDS_EACH) {
        return tl_cli_usage(cli, "'tally bench life' needs at least %u events",
                            2 * SUBJECTS * RECORDS_EACH);
    }
    life.actors = life.events / 2 / RECORDS_EACH;
    if (tl_bench_dir_make(dir, parent == NULL ? "." : parent, &err) != TALLY_OK) {
        return tl_cli_fail(cli, &err);
    }
    (void)snprintf(life.path, sizeof(life.path), "%s/ledger", dir);
    life.now_us = tl_clock->wall_us();
    tally_status status = run(&life, &err);
    tally_close(life.ledger);
    if (status == TALLY_OK) {
        status = print(&life, &err);
    }
    tl_bench_dir_remove(dir);
    return status == TALLY_OK ? TL_EXIT_OK : tl_cli_fail(cli, &err);
}
