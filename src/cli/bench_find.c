/* tally bench find: latency of the first page of each filter, and of pairs. */
#include <stdio.h>
#include <string.h>

#include "cli/bench.h"
#include "cli/bench_events.h"

#define ROUNDS 200u

/* One query: fields whose values are taken from an event of the ledger, or given. */
struct probe {
    const char *name;
    const char *fields[2];
    enum tally_order order;
};

static const struct probe probes[] = {
    { "none", { NULL, NULL }, TALLY_ORDER_SEQ },
    { "id", { "id", NULL }, TALLY_ORDER_SEQ },
    { "action", { "action", NULL }, TALLY_ORDER_SEQ },
    { "action prefix", { "action.*", NULL }, TALLY_ORDER_SEQ },
    { "actor_id", { "actor_id", NULL }, TALLY_ORDER_SEQ },
    { "target_type", { "target_type", NULL }, TALLY_ORDER_SEQ },
    { "target_id", { "target_id", NULL }, TALLY_ORDER_SEQ },
    { "outcome", { "outcome", NULL }, TALLY_ORDER_SEQ },
    { "severity", { "severity", NULL }, TALLY_ORDER_SEQ },
    { "severity_min", { "severity_min", NULL }, TALLY_ORDER_SEQ },
    { "tenant_id", { "tenant_id", NULL }, TALLY_ORDER_SEQ },
    { "service", { "service", NULL }, TALLY_ORDER_SEQ },
    { "ip", { "ip", NULL }, TALLY_ORDER_SEQ },
    { "text", { "text", NULL }, TALLY_ORDER_SEQ },
    { "from", { "from", NULL }, TALLY_ORDER_SEQ },
    { "to", { "to", NULL }, TALLY_ORDER_SEQ },
    { "an hour", { "from", "to" }, TALLY_ORDER_SEQ },
    { "nothing fits", { "actor_id!", NULL }, TALLY_ORDER_SEQ },
    { "action + actor_id", { "action", "actor_id" }, TALLY_ORDER_SEQ },
    { "action + outcome", { "action", "outcome" }, TALLY_ORDER_SEQ },
    { "actor_id + tenant_id", { "actor_id", "tenant_id" }, TALLY_ORDER_SEQ },
    { "actor_id + target_id", { "actor_id", "target_id" }, TALLY_ORDER_SEQ },
    { "target_type + target_id", { "target_type", "target_id" }, TALLY_ORDER_SEQ },
    { "tenant_id + severity", { "tenant_id", "severity" }, TALLY_ORDER_SEQ },
    { "tenant_id + outcome", { "tenant_id", "outcome" }, TALLY_ORDER_SEQ },
    { "action + from", { "action", "from" }, TALLY_ORDER_SEQ },
    { "actor_id + from", { "actor_id", "from" }, TALLY_ORDER_SEQ },
    { "outcome + severity", { "outcome", "severity" }, TALLY_ORDER_SEQ },
    { "by time: none", { NULL, NULL }, TALLY_ORDER_OCCURRED },
    { "by time: actor_id", { "actor_id", NULL }, TALLY_ORDER_OCCURRED },
    { "by time: action", { "action", NULL }, TALLY_ORDER_OCCURRED },
};

/* What a run is about. */
struct finder {
    const struct tl_cli *cli;
    struct tally_ledger *ledger;
    uint64_t events;
    struct tl_js js;
    double worst_ms;
};

/* The value of a field in `event`; `later` is an hour after it. */
static const char *value_of(const struct tl_bench_event *event, const struct tl_bench_event *later,
                            const char *field, char *scratch, size_t size)
{
    if (strcmp(field, "action.*") == 0) {
        const char *dot = strchr(event->action, '.');
        (void)snprintf(scratch, size, "%.*s.*", (int)(dot - event->action), event->action);
        return scratch;
    }
    const struct {
        const char *field;
        const char *value;
    } values[] = {
        { "id", event->id },
        { "action", event->action },
        { "actor_id", event->actor_id },
        { "actor_id!", "nobody at all" },
        { "target_type", event->target_type },
        { "target_id", event->target_id },
        { "outcome", event->outcome },
        { "severity", event->severity },
        { "severity_min", "critical" },
        { "tenant_id", event->tenant_id },
        { "service", "web" },
        { "ip", "192.0.2.7" },
        { "text", "requested ticket" },
        { "from", event->occurred_at },
        { "to", later->occurred_at },
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(values); i++) {
        if (strcmp(values[i].field, field) == 0) {
            return values[i].value;
        }
    }
    return "";
}

/* The name of the field of a condition: without what only the benchmark means by it. */
static const char *field_name(const char *field)
{
    return strcmp(field, "action.*") == 0    ? "action"
           : strcmp(field, "actor_id!") == 0 ? "actor_id"
                                             : field;
}

static tally_status ask_once(struct finder *finder, const struct probe *probe, uint64_t n,
                             double *ms_out, struct tally_error *err)
{
    struct tl_bench_event event;
    struct tl_bench_event later;
    struct tally_condition conditions[2];
    char scratch[2][64];
    struct tally_query query = TALLY_QUERY_INIT;
    tl_bench_event_make(&event, n, false);
    tl_bench_event_make(&later, n + 360000, false); /* events are 10 ms apart */
    for (size_t i = 0; i < 2 && probe->fields[i] != NULL; i++) {
        conditions[i].field = field_name(probe->fields[i]);
        conditions[i].value =
            value_of(&event, &later, probe->fields[i], scratch[i], sizeof(scratch[i]));
        query.condition_count++;
    }
    query.conditions = conditions;
    query.order = probe->order;
    struct tally_page *page = NULL;
    int64_t started_us = tl_bench_now_us();
    TL_TRY(tally_find(finder->ledger, &query, &page, err));
    *ms_out = (double)(tl_bench_now_us() - started_us) / 1000;
    tally_page_free(page);
    return TALLY_OK;
}

static void report(struct finder *finder, const char *name, double p50, double p99)
{
    finder->worst_ms = p99 > finder->worst_ms ? p99 : finder->worst_ms;
    if (!finder->cli->json) {
        printf("  %-26s %9.3f ms %9.3f ms\n", name, p50, p99);
        return;
    }
    tl_js_open(&finder->js, name, '{');
    tl_bench_js_number(&finder->js, "p50_ms", p50);
    tl_bench_js_number(&finder->js, "p99_ms", p99);
    tl_js_close(&finder->js, '}');
}

static tally_status run_probe(struct finder *finder, const struct probe *probe,
                              struct tally_error *err)
{
    double ms[ROUNDS];
    for (size_t i = 0; i < ROUNDS; i++) {
        /* A multiplier without a common factor visits events all over the ledger. */
        uint64_t n = (uint64_t)i * 7919 % ROUNDS * (finder->events / ROUNDS);
        TL_TRY(ask_once(finder, probe, n, &ms[i], err));
    }
    report(finder, probe->name, tl_bench_percentile(ms, ROUNDS, 0.5),
           tl_bench_percentile(ms, ROUNDS, 0.99));
    return TALLY_OK;
}

static tally_status run_probes(struct finder *finder, struct tally_error *err)
{
    tl_js_init(&finder->js);
    tl_js_open(&finder->js, NULL, '{');
    tl_js_u64(&finder->js, "events", finder->events);
    tl_js_u64(&finder->js, "rounds", ROUNDS);
    tl_js_open(&finder->js, "filters", '{');
    if (!finder->cli->json) {
        printf("first pages of 50 among %llu records, %u each: p50 and p99\n",
               (unsigned long long)finder->events, ROUNDS);
    }
    for (size_t i = 0; i < TL_ARRAY_LEN(probes); i++) {
        TL_TRY(run_probe(finder, &probes[i], err));
    }
    tl_js_close(&finder->js, '}');
    tl_bench_js_number(&finder->js, "worst_p99_ms", finder->worst_ms);
    tl_js_close(&finder->js, '}');
    return finder->cli->json ? tl_js_print(&finder->js, stdout, err) : TALLY_OK;
}

static tally_status measure(const struct tl_cli *cli, const char *dir, uint64_t events,
                            struct tally_error *err)
{
    char path[4096 + 16];
    struct tl_bench_fill_result result;
    (void)snprintf(path, sizeof(path), "%s/ledger", dir);
    TL_TRY(tl_bench_fill(cli, path, events, false, &result, err));
    struct tally_options options = tl_cli_options(cli);
    options.uri = path;
    TL_CLEANUP(tl_ledger_closep) struct tally_ledger *ledger = NULL;
    TL_TRY(tally_open(&ledger, &options, err));
    struct finder finder = { .cli = cli, .ledger = ledger, .events = events };
    tally_status status = run_probes(&finder, err);
    tl_js_release(&finder.js);
    return status;
}

enum tl_exit tl_bench_find(struct tl_cli *cli, const struct tl_args *args)
{
    struct tally_error err = TALLY_ERROR_INIT;
    const char *parent = tl_args_value(args, "dir");
    uint64_t events = tl_args_number(args, "events", 1000000);
    if (events < ROUNDS) {
        return tl_cli_usage(cli, "--events must be %u or more", ROUNDS);
    }
    char dir[4096];
    if (tl_bench_dir_make(dir, parent == NULL ? "." : parent, &err) != TALLY_OK) {
        return tl_cli_fail(cli, &err);
    }
    tally_status status = measure(cli, dir, events, &err);
    tl_bench_dir_remove(dir);
    return status == TALLY_OK ? TL_EXIT_OK : tl_cli_fail(cli, &err);
}
