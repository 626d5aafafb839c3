#include "server/server.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "server/server_impl.h"

#define EXPORTS_MAX    8u
#define REFUSALS_PER_S 5u
#define GATHER_NS      400000

tally_status tl_queue_init(struct tl_queue *queue)
{
    TL_TRY(tl_mutex_init(&queue->mu));
    tally_status status = tl_cond_init(&queue->filled);
    if (status != TALLY_OK) {
        tl_mutex_release(&queue->mu);
        return status;
    }
    queue->first = NULL;
    queue->last = &queue->first;
    queue->is_there = true;
    return TALLY_OK;
}

void tl_queue_release(struct tl_queue *queue)
{
    if (queue->is_there) {
        tl_cond_release(&queue->filled);
        tl_mutex_release(&queue->mu);
    }
    queue->is_there = false;
}

void tl_queue_put(struct tl_queue *queue, struct tl_request *request)
{
    request->next = NULL;
    tl_mutex_lock(&queue->mu);
    *queue->last = request;
    queue->last = &request->next;
    queue->count++;
    tl_cond_signal(&queue->filled);
    tl_mutex_unlock(&queue->mu);
}

struct tl_request *tl_queue_take(struct tl_queue *queue)
{
    tl_mutex_lock(&queue->mu);
    while (queue->first == NULL && !queue->is_closed) {
        tl_cond_wait(&queue->filled, &queue->mu);
    }
    struct tl_request *request = queue->first;
    if (request != NULL) {
        queue->first = request->next;
        queue->last = queue->first == NULL ? &queue->first : queue->last;
        queue->count--;
        request->next = NULL;
    }
    tl_mutex_unlock(&queue->mu);
    return request;
}

struct tl_request *tl_queue_take_all(struct tl_queue *queue, size_t *count)
{
    const struct timespec pause = { .tv_nsec = GATHER_NS };
    tl_mutex_lock(&queue->mu);
    while (queue->first == NULL && !queue->is_closed) {
        tl_cond_wait(&queue->filled, &queue->mu);
    }
    if (queue->count < *count / 2 && !queue->is_closed) {
        tl_mutex_unlock(&queue->mu);
        (void)nanosleep(&pause, NULL); /* a signal only shortens it */
        tl_mutex_lock(&queue->mu);
    }
    struct tl_request *all = queue->first;
    *count = queue->count;
    queue->first = NULL;
    queue->last = &queue->first;
    queue->count = 0;
    tl_mutex_unlock(&queue->mu);
    return all;
}

void tl_queue_close(struct tl_queue *queue)
{
    tl_mutex_lock(&queue->mu);
    queue->is_closed = true;
    tl_cond_broadcast(&queue->filled);
    tl_mutex_unlock(&queue->mu);
}

bool tl_pace_tells(struct tl_pace *pace, uint64_t per_s, uint64_t *untold_out)
{
    int64_t now_us = tl_clock->steady_us();
    if (now_us - pace->since_us > 1000000) {
        pace->since_us = now_us;
        pace->told = 0;
    }
    if (pace->told == per_s) {
        pace->untold++;
        return false;
    }
    pace->told++;
    *untold_out = pace->untold;
    pace->untold = 0;
    return true;
}

void tl_server_log(const struct tl_server *server, const char *fmt, ...)
{
    char line[512];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(line, sizeof(line), fmt, args);
    va_end(args);
    server->options.log(server->options.log_ctx, line);
}

void tl_request_log(const struct tl_request *request, const struct tally_error *err)
{
    tl_server_log(request->server, "failed request=%s path=%s status=%s what=\"%s\"", request->id,
                  request->route == NULL ? "" : request->route->path,
                  tally_status_name(err->status), err->message);
}

/* The metadata of an act: which path, with which filters; never what was searched for. */
static void describe(struct tl_js *js, const struct tl_request *request, uint64_t untold)
{
    tl_js_open(js, NULL, '{');
    tl_js_text(js, "method", request->method);
    tl_js_text(js, "path", request->route == NULL ? "" : request->route->path);
    tl_js_text(js, "request_id", request->id);
    if (request->peer[0] != '\0') {
        tl_js_text(js, "peer", request->peer);
    }
    if (request->reply.status != 0) {
        tl_js_u64(js, "status", request->reply.status);
    }
    if (request->about.len > 0) {
        tl_js_raw(js, "about", request->about);
    }
    if (untold > 0) {
        tl_js_u64(js, "others_not_recorded", untold);
    }
    /* Whoever has no token does not say what is recorded. */
    if (request->param_count > 0 && request->who.role != 0) {
        tl_js_open(js, "parameters", '[');
        for (size_t i = 0; i < request->param_count; i++) {
            tl_js_str(js, NULL, request->params[i].name);
        }
        tl_js_close(js, ']');
    }
    if (request->who.tenant_count > 0) {
        tl_js_open(js, "tenants", '[');
        for (size_t i = 0; i < request->who.tenant_count; i++) {
            tl_js_text(js, NULL, request->who.tenants[i]);
        }
        tl_js_close(js, ']');
    }
    tl_js_close(js, '}');
}

static bool record(struct tl_request *request, const char *action, uint64_t untold)
{
    struct tally_error err = TALLY_ERROR_INIT;
    TL_CLEANUP(tl_js_release) struct tl_js js = { 0 };
    char who[TL_WHO_SIZE];
    tl_js_init(&js);
    describe(&js, request, untold);
    tl_buf_add_char(&js.buf, '\0');
    tl_identity_text(&request->who, who);
    tally_status status = tl_buf_status(&js.buf);
    if (status == TALLY_OK) {
        status = tally_queue_act(request->server->ledger, action, who, js.buf.data, &err);
    }
    if (status == TALLY_OK) {
        return true;
    }
    tl_server_log(request->server, "unrecorded action=%s request=%s status=%s", action, request->id,
                  tally_status_name(status));
    if (request->reply.status == 0) {
        err.status = status;
        tl_reply_error(request, &err);
    }
    return false;
}

bool tl_server_record(struct tl_request *request, const char *action)
{
    return record(request, action, 0);
}

void tl_server_record_refusal(struct tl_request *request)
{
    struct tl_server *server = request->server;
    uint64_t untold = 0;
    tl_mutex_lock(&server->mu);
    bool tells = tl_pace_tells(&server->refusals, REFUSALS_PER_S, &untold);
    tl_mutex_unlock(&server->mu);
    if (tells) {
        (void)record(request, "tally.refused", untold); /* it stays refused if that fails */
    }
}

static void *work(void *ctx)
{
    struct tl_server *server = ctx;
    for (;;) {
        struct tl_request *request = tl_queue_take(&server->work);
        if (request == NULL) {
            return NULL;
        }
        const char *act = request->route->records;
        if (act == NULL || tl_server_record(request, act)) {
            request->route->handle(request);
        }
        tl_server_answer(request);
    }
}

void tl_server_dispatch(struct tl_request *request)
{
    if (request->route->lane == TL_LANE_INGEST) {
        tl_ingest_put(request->server->ingest, request);
    } else {
        tl_queue_put(&request->server->work, request);
    }
}

void tl_server_answer(struct tl_request *request)
{
    tl_assert(request->reply.status != 0);
    tl_http_resume(request);
}

void tl_server_count(const struct tl_request *request)
{
    struct tl_counters *counters = &request->server->counters;
    int64_t took_us = tl_clock->steady_us() - request->began_us;
    unsigned class = request->reply.status / 100;
    size_t bucket = 0;
    while (bucket + 1 < TL_ARRAY_LEN(counters->latency) && took_us >= (INT64_C(1) << bucket)) {
        bucket++;
    }
    tl_counter_add(&counters->requests, 1);
    tl_counter_add(&counters->by_status[class < 6 ? class : 5], 1);
    tl_counter_add(&counters->latency[bucket], 1);
    tl_counter_add(&counters->latency_sum_us, (uint64_t)(took_us < 0 ? 0 : took_us));
}

bool tl_server_start_export(struct tl_server *server, void *(*run)(void *ctx), void *ctx)
{
    pthread_t thread;
    tl_mutex_lock(&server->mu);
    bool may = server->exports < EXPORTS_MAX;
    server->exports += may ? 1 : 0;
    tl_mutex_unlock(&server->mu);
    if (!may) {
        return false;
    }
    if (tl_thread_start(&thread, "tally-export", run, ctx) != TALLY_OK) {
        tl_server_export_ended(server);
        return false;
    }
    (void)pthread_detach(thread); /* a joinable one, which nobody joins */
    return true;
}

void tl_server_export_ended(struct tl_server *server)
{
    tl_mutex_lock(&server->mu);
    server->exports--;
    tl_cond_broadcast(&server->export_ended);
    tl_mutex_unlock(&server->mu);
}

static void wait_for_exports(struct tl_server *server)
{
    tl_mutex_lock(&server->mu);
    while (server->exports > 0) {
        tl_cond_wait(&server->export_ended, &server->mu);
    }
    tl_mutex_unlock(&server->mu);
}

static tally_status start_workers(struct tl_server *server)
{
    for (size_t i = 0; i < TL_WORKERS; i++) {
        TL_TRY(tl_thread_start(&server->workers[i], "tally-work", work, server));
        server->worker_count++;
    }
    return TALLY_OK;
}

static tally_status init_rates(struct tl_server *server, struct tally_error *err)
{
    tally_status status = tl_rate_init(&server->address_rate, server->options.rate_per_address);
    if (status == TALLY_OK) {
        status = tl_rate_init(&server->token_rate, server->options.rate_per_token);
        if (status != TALLY_OK) {
            tl_rate_release(&server->address_rate);
        }
    }
    server->has_rates = status == TALLY_OK;
    return status == TALLY_OK ? TALLY_OK : tl_fail(err, status, "out of memory");
}

static tally_status start(struct tl_server *server, struct tally_error *err)
{
    TL_TRY(init_rates(server, err));
    struct tally_activity activity = TALLY_ACTIVITY_INIT;
    TL_TRY(tally_activity_read(server->options.location, &activity, err));
    (void)snprintf(server->origin, sizeof(server->origin), "%s", activity.origin);
    TL_TRY(tl_cors_start(server, err));
    TL_TRY(tl_tokens_open(&server->tokens, server->options.token_path, err));
    if (tl_queue_init(&server->work) != TALLY_OK) {
        return tl_fail(err, TALLY_ENOMEM, "out of memory");
    }
    TL_TRY(tl_jobs_start(&server->jobs, server, err));
    TL_TRY(tl_ingest_start(&server->ingest, server, err));
    TL_TRY(tl_tail_start(&server->tail, server, err));
    if (start_workers(server) != TALLY_OK) {
        return tl_fail(err, TALLY_ENOMEM, "cannot start a thread");
    }
    return tl_http_start(server, err);
}

tally_status tl_server_start(struct tl_server **server_out, const struct tl_server_options *options,
                             struct tally_error *err)
{
    struct tl_server *server = tl_alloc_array(1, sizeof(*server));
    if (server == NULL || tl_mutex_init(&server->mu) != TALLY_OK) {
        tl_free(server);
        return tl_fail(err, TALLY_ENOMEM, "out of memory");
    }
    if (tl_cond_init(&server->export_ended) != TALLY_OK) {
        tl_mutex_release(&server->mu);
        tl_free(server);
        return tl_fail(err, TALLY_ENOMEM, "out of memory");
    }
    if (tl_mutex_init(&server->reloading) != TALLY_OK) {
        tl_cond_release(&server->export_ended);
        tl_mutex_release(&server->mu);
        tl_free(server);
        return tl_fail(err, TALLY_ENOMEM, "out of memory");
    }
    server->options = *options;
    server->ledger = options->ledger;
    server->started_us = tl_clock->wall_us();
    tally_status status = start(server, err);
    if (status != TALLY_OK) {
        tl_server_stop(server);
        return status;
    }
    *server_out = server;
    return TALLY_OK;
}

/* What was accepted is finished first, by the threads that work; then these end. */
void tl_server_stop(struct tl_server *server)
{
    if (server == NULL) {
        return;
    }
    tl_counter_set(&server->stopping, 1);
    tl_mutex_lock(&server->reloading); /* nothing begins to listen anew from here on */
    if (server->http != NULL) {
        tl_http_refuse_new(server->http);
    }
    tl_mutex_unlock(&server->reloading);
    tl_tail_stop(server->tail); /* streams end, so that their requests do */
    tl_http_stop(server->http);
    wait_for_exports(server);
    if (server->work.is_there) {
        tl_queue_close(&server->work);
    }
    for (size_t i = 0; i < server->worker_count; i++) {
        tl_thread_join(server->workers[i]);
    }
    tl_ingest_stop(server->ingest);
    tl_jobs_stop(server->jobs);
    tl_queue_release(&server->work);
    tl_tail_free(server->tail);
    tl_tokens_close(server->tokens);
    tl_server_settings_free(server->now);
    if (server->has_rates) {
        tl_rate_release(&server->token_rate);
        tl_rate_release(&server->address_rate);
    }
    tl_mutex_release(&server->reloading);
    tl_cond_release(&server->export_ended);
    tl_mutex_release(&server->mu);
    tl_free(server->viewer_policy);
    tl_free(server);
}

const char *tl_server_address(const struct tl_server *server, size_t index)
{
    return tl_http_address(server->http, index);
}
