/* Figures for Prometheus, in its text format 0.0.4. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "server/server_impl.h"

#define METRICS_BYTES_MAX ((size_t)1 << 20)
#define CONTENT_TYPE      "text/plain; version=0.0.4; charset=utf-8"

static void declare(struct tl_buf *out, const char *name, const char *type, const char *help)
{
    tl_buf_addf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void add(struct tl_buf *out, const char *name, const char *type, const char *help,
                uint64_t value)
{
    declare(out, name, type, help);
    tl_buf_addf(out, "%s %" PRIu64 "\n", name, value);
}

/* A time that is not known has no sample: absent() finds that out, and 0 would look fresh. */
static void add_age(struct tl_buf *out, const char *name, const char *help, int64_t age_s)
{
    declare(out, name, "gauge", help);
    if (age_s >= 0) {
        tl_buf_addf(out, "%s %" PRId64 "\n", name, age_s);
    }
}

static void add_requests(struct tl_buf *out, struct tl_counters *counters)
{
    declare(out, "tally_http_requests_total", "counter", "Replies, by class of status.");
    for (unsigned i = 1; i < TL_ARRAY_LEN(counters->by_status); i++) {
        tl_buf_addf(out, "tally_http_requests_total{code=\"%uxx\"} %" PRIu64 "\n", i,
                    tl_counter_get(&counters->by_status[i]));
    }
    add(out, "tally_http_refused_total", "counter", "Requests without a token that allows them.",
        tl_counter_get(&counters->refused));
}

/* The last counter is of all that took longer: it has no bound, and is in +Inf alone. */
static void add_latency(struct tl_buf *out, struct tl_counters *counters)
{
    uint64_t sum_us = tl_counter_get(&counters->latency_sum_us);
    uint64_t count = 0;
    declare(out, "tally_http_request_duration_seconds", "histogram",
            "From the request's first byte to the end of its reply.");
    for (size_t i = 0; i + 1 < TL_ARRAY_LEN(counters->latency); i++) {
        uint64_t bound_us = UINT64_C(1) << i;
        count += tl_counter_get(&counters->latency[i]);
        tl_buf_addf(out,
                    "tally_http_request_duration_seconds_bucket{le=\"%" PRIu64 ".%06" PRIu64
                    "\"} %" PRIu64 "\n",
                    bound_us / 1000000, bound_us % 1000000, count);
    }
    count += tl_counter_get(&counters->latency[TL_ARRAY_LEN(counters->latency) - 1]);
    tl_buf_addf(out,
                "tally_http_request_duration_seconds_bucket{le=\"+Inf\"} %" PRIu64
                "\ntally_http_request_duration_seconds_sum %" PRIu64 ".%06" PRIu64
                "\ntally_http_request_duration_seconds_count %" PRIu64 "\n",
                count, sum_us / 1000000, sum_us % 1000000, count);
}

static void add_server(struct tl_buf *out, struct tl_server *server)
{
    struct tl_counters *counters = &server->counters;
    declare(out, "tally_build_info", "gauge", "1, with the version.");
    tl_buf_addf(out, "tally_build_info{version=\"%s\"} 1\n", tally_version());
    add(out, "tally_start_time_seconds", "gauge", "When the server was started, since 1970.",
        (uint64_t)(server->started_us / 1000000));
    add_requests(out, counters);
    add_latency(out, counters);
    add(out, "tally_http_connections", "gauge", "Connections that are open.",
        tl_http_connections(server->http));
    add(out, "tally_jobs_running", "gauge", "Long work, that which waits included.",
        tl_jobs_running(server->jobs));
    add(out, "tally_events_recorded_total", "counter", "Events this server recorded.",
        tl_counter_get(&counters->events));
    add(out, "tally_events_duplicate_total", "counter", "Events that were recorded before.",
        tl_counter_get(&counters->duplicates));
    add(out, "tally_events_conflict_total", "counter", "Events whose id was taken by another.",
        tl_counter_get(&counters->conflicts));
    add(out, "tally_events_failed_total", "counter", "Requests whose events failed to be recorded.",
        tl_counter_get(&counters->failed));
}

static uint64_t not_negative(int64_t value)
{
    return value > 0 ? (uint64_t)value : 0;
}

static void add_ledger(struct tl_buf *out, const struct tally_activity *activity)
{
    struct tl_health health;
    tl_health_judge(&health, activity);
    add(out, "tally_recording", "gauge", "1 while events are recorded; 0: see /v1/status.",
        tl_health_is_grave(&health) ? 0 : 1);
    add(out, "tally_ledger_records", "gauge", "Records in the ledger.", activity->size);
    add(out, "tally_ledger_indexed_records", "gauge", "Records below which the index is complete.",
        activity->indexed_to);
    add_age(out, "tally_ledger_newest_record_age_seconds", "Age of the newest record.",
            activity->size == 0 ? -1 : (int64_t)not_negative(activity->newest_s));
    add(out, "tally_spool_events", "gauge", "Events that wait to be recorded.",
        activity->spool_events);
    add(out, "tally_spool_oldest_event_age_seconds", "gauge", "Age of the oldest that waits; or 0.",
        not_negative(activity->oldest_unsent_s));
    add(out, "tally_spool_bytes", "gauge", "Size of the spool.", activity->spool_bytes);
    add(out, "tally_spool_quarantined_segments", "gauge", "Segments put aside as damaged.",
        activity->quarantined);
    add(out, "tally_events_dropped_total", "counter", "Events known to be lost, at least.",
        activity->dropped);
    add(out, "tally_gaps_total", "counter", "Records that declare a loss.", activity->gaps);
    add(out, "tally_anchor_targets", "gauge", "Anchor targets that are configured.",
        activity->anchor_targets);
    add_age(out, "tally_anchor_age_seconds", "Since all anchor targets had a checkpoint.",
            activity->anchored_s);
    add(out, "tally_disk_free_bytes", "gauge", "Free on the ledger's disk.",
        activity->disk_free_bytes);
}

static int add_verification(void *ctx, const struct tally_job *job)
{
    static const char *const words[] = { "unknown", "verified", "tampered", "unverifiable" };
    struct tl_buf *out = ctx;
    if (strcmp(job->name, "verify") != 0) {
        return 0;
    }
    int64_t age_us = tl_clock->wall_us() - job->last_us;
    add_age(out, "tally_verification_age_seconds", "Since the last scheduled verification began.",
            job->last_us == 0 ? -1 : (int64_t)not_negative(age_us) / 1000000);
    declare(out, "tally_verification_verdict", "gauge",
            "1 for the verdict of the last scheduled verification.");
    for (unsigned i = 0; i < TL_ARRAY_LEN(words); i++) {
        tl_buf_addf(out, "tally_verification_verdict{verdict=\"%s\"} %u\n", words[i],
                    i == (unsigned)job->verdict ? 1u : 0u);
    }
    return 0;
}

void tl_api_metrics(struct tl_request *request)
{
    struct tl_server *server = request->server;
    struct tally_error err = TALLY_ERROR_INIT;
    struct tally_activity activity = TALLY_ACTIVITY_INIT;
    TL_CLEANUP(tl_buf_release) struct tl_buf text = { 0 };
    tl_buf_init(&text, METRICS_BYTES_MAX);
    tally_status status = tally_activity_read(server->options.location, &activity, &err);
    if (status == TALLY_OK) {
        add_server(&text, server);
        add_ledger(&text, &activity);
        status = tally_schedule_each(server->options.location, add_verification, &text, &err);
    }
    if (status == TALLY_OK && tl_buf_status(&text) != TALLY_OK) {
        status = tl_fail(&err, TALLY_ENOMEM, "out of memory");
    }
    if (status != TALLY_OK) {
        tl_reply_error(request, &err);
        return;
    }
    tl_reply_text(request, 200, CONTENT_TYPE, text.data, text.len);
}
