/*
 * tally bench http: a server in this process, asked over connections that stay. The processor time is
 * that of the whole process less that of the threads that ask.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/parse.h"
#include "cli/bench.h"
#include "cli/bench_events.h"
#include "cli/bench_requests.h"
#include "server/server.h"

#define SECONDS_DEFAULT     5u
#define CONNECTIONS_DEFAULT 64u
#define CONNECTIONS_MAX     256u /* both ends of each are descriptors of this process */
#define MANY_CONNECTIONS    8u   /* with many events in each request these are enough */
#define DIFFERENT_EVENTS    256u /* of a load, at least */

struct load {
    const char *name; /* of its figures */
    const char *title;
    const char *head; /* of its requests, without what all have */
    const char *between;
    uint64_t events; /* in a request; 0: it has no body */
    unsigned connections_max;
    unsigned status; /* of a good reply */
};

#define POST "POST /v1/events HTTP/1.1\r\nContent-Type: "

static const struct load loads[] = {
    { "healthz", "GET /healthz", "GET /healthz HTTP/1.1\r\n", "", 0, UINT32_MAX, 200 },
    { "single", "one event", POST "application/json\r\n", "", 1, UINT32_MAX, 201 },
    { "array_100", "array of 100", POST "application/json\r\n", ",", 100, MANY_CONNECTIONS, 201 },
    { "ndjson_1000", "NDJSON of 1,000", POST "application/x-ndjson\r\n", "\n", 1000,
      MANY_CONNECTIONS, 201 },
    { "find", "find, first page", "GET /v1/events?limit=50 HTTP/1.1\r\n", "", 0, MANY_CONNECTIONS,
      200 },
};

#define LOADS TL_ARRAY_LEN(loads)

struct figures {
    unsigned connections;
    struct tl_bench_replies replies;
    int64_t cpu_us; /* of the server */
    uint64_t rss_kib;
};

/* One run. Large: allocate. */
struct bench {
    unsigned connections;
    unsigned seconds;
    bool verifies;
    const char *only; /* the name of a load; NULL: all */
    char dir[4096];
    char ledger[4096 + 16]; /* in it */
    char tokens[4096 + 16];
    uint16_t port;
    char token[TL_TOKEN_TEXT_SIZE];
    struct tl_buf texts;
    struct tl_str requests[DIFFERENT_EVENTS];
    struct figures figures[LOADS];
    uint64_t acknowledged; /* events of replies that said so */
    uint64_t unknown;      /* events of requests without such a reply */
    uint64_t counted;
    enum tally_verdict verdict;
};

/* Without its id: the server gives one. */
static void add_event(struct tl_buf *out, uint64_t number)
{
    struct tl_bench_event event;
    tl_bench_event_make(&event, number, false);
    const char *id = strstr(event.json, event.id);
    tl_assert(id != NULL); /* an event has its id in its text */
    const char *name = id - strlen("\"id\":\"");
    const char *rest = id + strlen(event.id) + strlen("\",");
    tl_buf_add(out, event.json, (size_t)(name - event.json));
    tl_buf_add(out, rest, event.len - (size_t)(rest - event.json));
}

static tally_status make_body(struct tl_buf *body, const struct load *load, uint64_t first)
{
    bool is_array = strcmp(load->between, ",") == 0;
    tl_buf_clear(body);
    tl_buf_add_text(body, is_array ? "[" : "");
    for (uint64_t i = 0; i < load->events; i++) {
        tl_buf_add_text(body, i > 0 ? load->between : "");
        add_event(body, first + i);
    }
    tl_buf_add_text(body, is_array ? "]" : "");
    return tl_buf_status(body);
}

/* Writes all requests of a load into bench->texts. */
static tally_status make_requests(struct bench *bench, const struct load *load, size_t *count_out)
{
    TL_CLEANUP(tl_buf_release) struct tl_buf body = { 0 };
    size_t ends[DIFFERENT_EVENTS] = { 0 };
    size_t count = load->events == 0 ? 1 : DIFFERENT_EVENTS / load->events + 1;
    count = count < DIFFERENT_EVENTS ? count : DIFFERENT_EVENTS;
    tl_buf_init(&body, (size_t)16 << 20);
    tl_buf_clear(&bench->texts);
    for (size_t i = 0; i < count; i++) {
        TL_TRY(make_body(&body, load, i * load->events));
        tl_buf_addf(&bench->texts, "%sHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\n", load->head,
                    bench->token);
        if (load->events > 0) {
            tl_buf_addf(&bench->texts, "Content-Length: %zu\r\n", body.len);
        }
        tl_buf_add_text(&bench->texts, "\r\n");
        tl_buf_add(&bench->texts, body.data, body.len);
        ends[i] = bench->texts.len;
    }
    TL_TRY(tl_buf_status(&bench->texts));
    size_t start = 0;
    for (size_t i = 0; i < count; i++) { /* the buffer moves no more */
        bench->requests[i] = (struct tl_str){ bench->texts.data + start, ends[i] - start };
        start = ends[i];
    }
    *count_out = count;
    return TALLY_OK;
}

static bool is_wanted(const struct bench *bench, const struct load *load)
{
    return bench->only == NULL || strcmp(bench->only, load->name) == 0;
}

static int64_t cpu_us(void)
{
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0) {
        return 0;
    }
    return (int64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
           usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
}

/* The second number of /proc/self/statm, in pages; 0 if it cannot be read. */
static uint64_t rss_kib(void)
{
    TL_CLEANUP(tl_freep) char *text = NULL;
    size_t len = 0;
    uint64_t pages = 0;
    if (tl_file_read("/proc/self/statm", 256, &text, &len, NULL) != TALLY_OK) {
        return 0;
    }
    const char *start = memchr(text, ' ', len);
    const char *end =
        start == NULL ? NULL : memchr(start + 1, ' ', len - (size_t)(start + 1 - text));
    if (end == NULL ||
        tl_parse_u64(start + 1, (size_t)(end - start - 1), UINT32_MAX, &pages) != TALLY_OK) {
        return 0;
    }
    return pages * (uint64_t)sysconf(_SC_PAGESIZE) / 1024;
}

static tally_status measure_load(struct bench *bench, const struct load *load,
                                 struct figures *figures, struct tally_error *err)
{
    struct tl_bench_requests requests = { .port = bench->port,
                                          .seconds = bench->seconds,
                                          .status = load->status,
                                          .texts = bench->requests };
    figures->connections =
        bench->connections < load->connections_max ? bench->connections : load->connections_max;
    requests.connections = figures->connections;
    if (make_requests(bench, load, &requests.text_count) != TALLY_OK) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate requests");
    }
    int64_t before_us = cpu_us();
    TL_TRY(tl_bench_requests_run(&requests, &figures->replies, err));
    figures->cpu_us = cpu_us() - before_us - figures->replies.cpu_us;
    figures->rss_kib = rss_kib();
    bench->acknowledged += figures->replies.took.count * load->events;
    bench->unknown += figures->replies.failed * load->events;
    return TALLY_OK;
}

static tally_status measure_all(struct bench *bench, const struct tl_server *server,
                                struct tally_ledger *ledger, struct tally_error *err)
{
    const char *address = tl_server_address(server, 0);
    const char *port_text = strrchr(address, ':') + 1;
    uint64_t port = 0;
    TL_TRY(tl_parse_u64(port_text, strlen(port_text), UINT16_MAX, &port));
    bench->port = (uint16_t)port;
    for (size_t i = 0; i < LOADS; i++) {
        if (is_wanted(bench, &loads[i])) {
            TL_TRY(measure_load(bench, &loads[i], &bench->figures[i], err));
        }
    }
    struct tally_query query = TALLY_QUERY_INIT;
    int exact = 0;
    query.count = TALLY_COUNT_EXACT;
    TL_TRY(tally_wait_indexed(ledger, err));
    return tally_count(ledger, &query, &bench->counted, &exact, err);
}

static void log_line(void *ctx, const char *line)
{
    const struct tl_cli *cli = ctx;
    if (cli->verbose) {
        (void)fprintf(stderr, "%s\n", line);
    }
}

static tally_status serve(struct bench *bench, struct tl_cli *cli,
                          const struct tally_options *location, struct tally_error *err)
{
    static const char *const listen[] = { "127.0.0.1:0" };
    const struct tl_token_request token = { .name = "benchmark", .role = TL_ROLE_ADMIN };
    char id[TL_TOKEN_ID_SIZE];
    TL_CLEANUP(tl_ledger_closep) struct tally_ledger *ledger = NULL;
    struct tl_server *server = NULL;
    TL_TRY(tl_token_create(bench->tokens, &token, bench->token, id, err));
    TL_TRY(tally_open(&ledger, location, err));
    const struct tl_server_options options = { .ledger = ledger,
                                               .location = location,
                                               .listen = listen,
                                               .listen_count = 1,
                                               .token_path = bench->tokens,
                                               .log = log_line,
                                               .log_ctx = cli };
    TL_TRY(tl_server_start(&server, &options, err));
    tally_status status = measure_all(bench, server, ledger, err);
    tl_server_stop(server);
    return status;
}

static tally_status verify(struct bench *bench, struct tally_error *err)
{
    struct tally_verify_options options = TALLY_VERIFY_OPTIONS_INIT;
    struct tally_report *report = NULL;
    TL_TRY(tally_verify_at(bench->ledger, &options, &report, err));
    bench->verdict = report->verdict;
    tally_report_free(report);
    return TALLY_OK;
}

static tally_status measure(struct bench *bench, struct tl_cli *cli, struct tally_error *err)
{
    struct tally_init_result init;
    struct tally_options options = tl_cli_options(cli);
    (void)snprintf(bench->ledger, sizeof(bench->ledger), "%s/ledger", bench->dir);
    (void)snprintf(bench->tokens, sizeof(bench->tokens), "%s/tokens.json", bench->dir);
    options.uri = bench->ledger;
    options.writable = 1;
    TL_TRY(tally_init(&options, NULL, &init, err));
    explicit_bzero(init.mac_key, sizeof(init.mac_key));
    tl_service_spare_memory(); /* as 'tally serve' does */
    tl_buf_init(&bench->texts, (size_t)64 << 20);
    TL_TRY(serve(bench, cli, &options, err));
    return bench->verifies ? verify(bench, err) : TALLY_OK;
}

static double millis(const struct tl_bench_replies *replies, double share)
{
    uint64_t ns = tl_histogram_value(&replies->took, share);
    return (double)ns / 1e6;
}

/* The server's processor time for each request, in microseconds. */
static double cpu_each(const struct figures *figures)
{
    uint64_t count = figures->replies.took.count;
    return count == 0 ? 0 : (double)figures->cpu_us / (double)count;
}

static void add_figures(struct tl_js *js, const struct load *load, const struct figures *figures)
{
    const struct tl_bench_replies *replies = &figures->replies;
    double events = (double)load->events;
    tl_js_open(js, load->name, '{');
    tl_js_u64(js, "connections", figures->connections);
    tl_js_u64(js, "requests", replies->took.count);
    tl_bench_js_number(js, "requests_per_s", replies->per_s);
    tl_bench_js_number(js, "p50_ms", millis(replies, 0.5));
    tl_bench_js_number(js, "p99_ms", millis(replies, 0.99));
    tl_bench_js_number(js, "max_ms", (double)replies->took.max / 1e6);
    tl_js_u64(js, "failed", replies->failed);
    tl_bench_js_number(js, "cpu_us_per_request", cpu_each(figures));
    if (load->events > 0) {
        tl_bench_js_number(js, "events_per_s", replies->per_s * events);
        tl_bench_js_number(js, "cpu_us_per_event", cpu_each(figures) / events);
    }
    tl_js_u64(js, "rss_kib", figures->rss_kib);
    tl_js_close(js, '}');
}

/* Who got no good reply does not know. */
static bool is_all_there(const struct bench *bench)
{
    return bench->counted >= bench->acknowledged &&
           bench->counted <= bench->acknowledged + bench->unknown;
}

static tally_status print_json(const struct bench *bench, struct tally_error *err)
{
    TL_CLEANUP(tl_js_release) struct tl_js js = { 0 };
    tl_js_init(&js);
    tl_js_open(&js, NULL, '{');
    tl_js_u64(&js, "connections", bench->connections);
    tl_js_u64(&js, "seconds", bench->seconds);
    for (size_t i = 0; i < LOADS; i++) {
        if (is_wanted(bench, &loads[i])) {
            add_figures(&js, &loads[i], &bench->figures[i]);
        }
    }
    tl_js_u64(&js, "acknowledged", bench->acknowledged);
    tl_js_u64(&js, "recorded", bench->counted);
    tl_js_bool(&js, "all_recorded", is_all_there(bench));
    tl_js_u64(&js, "peak_kib", tl_bench_peak_kib());
    if (bench->verifies) {
        tl_js_text(&js, "verdict", tally_verdict_name(bench->verdict));
    }
    tl_js_close(&js, '}');
    return tl_js_print(&js, stdout, err);
}

static void print_row(const struct load *load, const struct figures *figures)
{
    const struct tl_bench_replies *replies = &figures->replies;
    char events_per_s[400] = ""; /* any double fits */
    if (load->events > 0) {
        (void)snprintf(events_per_s, sizeof(events_per_s), "%.0f",
                       replies->per_s * (double)load->events);
    }
    printf("  %-17s%6u%12.0f%12s%9.2f%9.2f%10.2f%8" PRIu64 "%12.1f%9" PRIu64 "\n", load->title,
           figures->connections, replies->per_s, events_per_s, millis(replies, 0.5),
           millis(replies, 0.99), (double)replies->took.max / 1e6, replies->failed,
           cpu_each(figures), figures->rss_kib / 1024);
}

static void print_text(const struct bench *bench)
{
    printf("%u seconds each; CPU: the server's processor time for a request, in microseconds\n",
           bench->seconds);
    printf("  %-17s%6s%12s%12s%9s%9s%10s%8s%12s%9s\n", "", "conns", "requests/s", "events/s",
           "p50 ms", "p99 ms", "max ms", "failed", "CPU", "RSS MiB");
    for (size_t i = 0; i < LOADS; i++) {
        if (is_wanted(bench, &loads[i])) {
            print_row(&loads[i], &bench->figures[i]);
        }
    }
    printf("acknowledged: %" PRIu64 " events; in the ledger: %" PRIu64 "\n", bench->acknowledged,
           bench->counted);
    if (bench->verifies) {
        printf("verification: %s\n", tally_verdict_name(bench->verdict));
    }
}

static enum tl_exit read_options(struct bench *bench, const struct tl_cli *cli,
                                 const struct tl_args *args)
{
    uint64_t connections = tl_args_number(args, "connections", CONNECTIONS_DEFAULT);
    uint64_t seconds = tl_args_number(args, "seconds", SECONDS_DEFAULT);
    if (connections == 0 || connections > CONNECTIONS_MAX) {
        return tl_cli_usage(cli, "--connections must be 1 to %u", CONNECTIONS_MAX);
    }
    if (seconds == 0 || seconds > 3600) {
        return tl_cli_usage(cli, "--seconds must be 1 to 3600");
    }
    bench->connections = (unsigned)connections;
    bench->seconds = (unsigned)seconds;
    bench->verifies = tl_args_has(args, "verify");
    bench->only = tl_args_value(args, "only");
    return TL_EXIT_OK;
}

static enum tl_exit report(const struct bench *bench, const struct tl_cli *cli)
{
    struct tally_error err = TALLY_ERROR_INIT;
    if (!cli->json) {
        print_text(bench);
    } else if (print_json(bench, &err) != TALLY_OK) {
        return tl_cli_fail(cli, &err);
    }
    bool is_good =
        is_all_there(bench) && (!bench->verifies || bench->verdict == TALLY_VERDICT_VERIFIED);
    return is_good ? TL_EXIT_OK : TL_EXIT_NO;
}

enum tl_exit tl_bench_http(struct tl_cli *cli, const struct tl_args *args)
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
    if (tl_bench_dir_make(bench->dir, parent == NULL ? "." : parent, &err) != TALLY_OK) {
        return tl_cli_fail(cli, &err);
    }
    tally_status status = measure(bench, cli, &err);
    tl_bench_dir_remove(bench->dir);
    tl_buf_release(&bench->texts);
    explicit_bzero(bench->token, sizeof(bench->token));
    return status == TALLY_OK ? report(bench, cli) : tl_cli_fail(cli, &err);
}
