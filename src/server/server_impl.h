/*
 * server/server_impl.h - what the files of the server share.
 *
 *   http_mhd.c    the adapter: connections, framing, bodies; the only one that knows libmicrohttpd
 *   server.c      start, stop, the threads that work
 *   routes.c      the table of paths, and who may call them
 *   cors.c        what pages of other servers may ask for
 *   ingest.c      the thread that appends what was posted, many requests at a time
 *   tail.c        the thread that feeds those who follow
 *   jobs.c        long work; job_*.c are its kinds
 *   exports.c     where the files of exports lie that jobs made
 *   reload.c      settings, certificate and tokens anew
 *   api_*.c       handlers
 *
 * A request is handed from the thread of its connection to one that works, and back: it has one
 * owner at a time.
 */
#ifndef TL_SERVER_SERVER_IMPL_H
#define TL_SERVER_SERVER_IMPL_H

#include "base/counter.h"
#include "base/thread.h"
#include "server/exports.h"
#include "server/problem.h"
#include "server/rate.h"
#include "server/request.h"
#include "show/show.h"

enum tl_lane {
    TL_LANE_WORK = 0, /* on a thread that may wait for the ledger */
    TL_LANE_INLINE,   /* at once: it neither waits nor works */
    TL_LANE_INGEST,   /* on the thread that appends */
};

/* Immutable. */
struct tl_route {
    const char *method;
    const char *path;   /* "/v1/events/{id}" */
    enum tl_role least; /* 0: anybody */
    bool is_whole;      /* about the ledger as a whole: not for tokens with tenants */
    bool is_tlog;       /* for anybody, if server.public_tlog says so */
    bool is_for_links;  /* viewer links may ask for it, and pages of others with them */
    enum tl_lane lane;
    const char
        *records; /* the act that is recorded before it is answered; NULL: none, or by itself */
    size_t body_max;
    const char
        *params; /* names, each between commas: ",limit,cursor,"; "" for none; "*" filters too */
    void (*handle)(struct tl_request *request);
    const char *summary;
};

extern const struct tl_route tl_routes[];
extern const size_t tl_route_count;

/* Finds the route, and sets request->route and args. A problem is the reply if there is none. */
bool tl_route_find(struct tl_request *request);
/* Whether it is not one of too many, of the same token or, without one in force, from the same place
 * (NULL: this machine); else a problem is the reply. */
bool tl_route_has_room(struct tl_request *request, const struct tl_rate_key *place);
/* Whether `name` is a parameter of it. A filter is none. */
bool tl_route_names(const struct tl_route *route, struct tl_str name);
/* Whether the role of `who` allows it; else a problem is the reply. */
bool tl_route_allows(struct tl_request *request);

struct tl_counters {
    struct tl_counter requests, refused, failed, events, duplicates, conflicts;
    struct tl_counter by_status[6];
    struct tl_counter latency[24]; /* replies that took less than 2^n microseconds */
    struct tl_counter latency_sum_us;
};

struct tl_queue {
    struct tl_mutex mu;
    struct tl_cond filled;
    struct tl_request *first, **last;
    size_t count;
    bool is_closed;
    bool is_there; /* it was initialised */
};

/* Tells of so many a second, and how many others there were. The caller serialises. */
struct tl_pace {
    int64_t since_us;
    uint64_t told, untold;
};
bool tl_pace_tells(struct tl_pace *pace, uint64_t per_s, uint64_t *untold_out);

#define TL_WORKERS 4u

struct tl_http;
struct tl_jobs;
struct tl_tail;
struct tl_ingest;

struct tl_server {
    struct tl_server_options options;
    struct tally_ledger *ledger;
    char origin[208];
    char *viewer_policy; /* owned: for the page that others may embed */
    struct tl_tokens *tokens;
    struct tl_http *http;
    struct tl_jobs *jobs;
    struct tl_tail *tail;
    struct tl_ingest *ingest;
    struct tl_exports kept; /* of jobs */
    struct tl_queue work;
    pthread_t workers[TL_WORKERS];
    size_t worker_count;
    struct tl_counters counters;
    struct tl_mutex reloading;
    struct tl_server_settings *now; /* guarded by reloading; owned; NULL: those of the start */
    struct tl_counter stopping;     /* 1: new requests are refused */
    int64_t started_us;
    struct tl_mutex mu;
    struct tl_cond export_ended;
    size_t exports;          /* guarded by mu, as is the rest */
    struct tl_pace refusals; /* that are recorded */
    bool has_rates;
    struct tl_rate address_rate; /* of requests without a token in force */
    struct tl_rate token_rate;
};

tally_status tl_queue_init(struct tl_queue *queue);
void tl_queue_release(struct tl_queue *queue);
void tl_queue_put(struct tl_queue *queue, struct tl_request *request);
/* Waits; NULL when it was closed and is empty. */
struct tl_request *tl_queue_take(struct tl_queue *queue);
/* All that is there, as a list. Waits for one; if that is less than three quarters of `count`, what
 * the call before gave, also a moment for more: who has just been answered asks again. One thread may
 * call it. */
struct tl_request *tl_queue_take_all(struct tl_queue *queue, size_t *count);
void tl_queue_close(struct tl_queue *queue);

void tl_server_log(const struct tl_server *server, const char *fmt, ...) TL_PRINTF(2, 3);

/* server.c: a request is there as a whole, allowed, and its connection waits. */
void tl_server_dispatch(struct tl_request *request);
/* Its reply is filled in: wakes the connection. */
void tl_server_answer(struct tl_request *request);
/* A reply is out, or its connection gone. */
void tl_server_count(const struct tl_request *request);
/* Records what a request is about to do, or was refused, as an act. False, with a problem as reply,
 * if that cannot be done: what cannot be recorded is not done. */
bool tl_server_record(struct tl_request *request, const char *action);
/* The same, with what it is about: one JSON value. */
bool tl_server_record_about(struct tl_request *request, const char *action,
                            const struct tl_js *about);

/* The same for what was refused: a few every second, with the number of others. Whoever has no token
 * may not fill the ledger. */
void tl_server_record_refusal(struct tl_request *request);

/* server.c: a thread for an export; there are few at a time. False: too many, or no thread. The
 * thread says when it is about to end. */
bool tl_server_start_export(struct tl_server *server, void *(*run)(void *ctx), void *ctx);
void tl_server_export_ended(struct tl_server *server);

/* http_mhd.c: sets server->http, before the first request comes; if it fails, stop it all the same. */
tally_status tl_http_start(struct tl_server *server, struct tally_error *err);
void tl_http_refuse_new(struct tl_http *http);
void tl_http_stop(struct tl_http *http);
void tl_http_resume(struct tl_request *request);
const char *tl_http_address(const struct tl_http *http, size_t index);
tally_status tl_http_reload(struct tl_http *http, struct tally_error *err);
uint64_t tl_http_connections(struct tl_http *http);
/* Decodes %XX in place. False: half an escape, or a NUL. */
bool tl_http_decode(char *text);

/* cors.c: checks the origins of the options, and sets server->viewer_policy. TALLY_EINVAL, ENOMEM */
tally_status tl_cors_start(struct tl_server *server, struct tally_error *err);
/* Answers whether a page may ask for a route of this path, if it is that what is asked. */
bool tl_cors_preflight(struct tl_request *request, const struct tl_route *route);
/* Lets the page that asked see the reply, if it came with a viewer link, or with nothing in force. */
void tl_cors_add(struct tl_request *request);
/* The same for a file that is for anybody. */
void tl_cors_add_file(struct tl_request *request);
bool tl_cors_has_origin(const struct tl_server *server, const char *origin);

/* ingest.c */
tally_status tl_ingest_start(struct tl_ingest **ingest_out, struct tl_server *server,
                             struct tally_error *err);
void tl_ingest_stop(struct tl_ingest *ingest);
void tl_ingest_put(struct tl_ingest *ingest, struct tl_request *request);

/* tail.c */
tally_status tl_tail_start(struct tl_tail **tail_out, struct tl_server *server,
                           struct tally_error *err);
/* Ends all streams; who comes later is refused. */
void tl_tail_stop(struct tl_tail *tail);
void tl_tail_free(struct tl_tail *tail);
void tl_api_tail(struct tl_request *request);

/* jobs.c */
tally_status tl_jobs_start(struct tl_jobs **jobs_out, struct tl_server *server,
                           struct tally_error *err);
void tl_jobs_stop(struct tl_jobs *jobs);
uint64_t tl_jobs_running(struct tl_jobs *jobs); /* those that wait included */
void tl_api_jobs(struct tl_request *request);
void tl_api_job(struct tl_request *request);
void tl_api_job_cancel(struct tl_request *request);
void tl_api_verify(struct tl_request *request);
void tl_api_verify_last(struct tl_request *request);
void tl_api_purge(struct tl_request *request);
void tl_api_erase(struct tl_request *request);
void tl_api_export_job(struct tl_request *request);
void tl_api_job_file(struct tl_request *request);

/* reload.c */
void tl_api_config_reload(struct tl_request *request);

/* settings.c: calls `fn` with the name of each setting that is not the same in both. */
typedef void tl_setting_fn(void *ctx, const char *name);
void tl_server_settings_compare(const struct tl_server_settings *a,
                                const struct tl_server_settings *b, tl_setting_fn *fn, void *ctx);

/* api_read.c */
void tl_api_find(struct tl_request *request);
void tl_api_get(struct tl_request *request);
void tl_api_record(struct tl_request *request);
void tl_api_count(struct tl_request *request);
void tl_api_stats(struct tl_request *request);
void tl_api_sources(struct tl_request *request);
void tl_api_export(struct tl_request *request);
void tl_api_proof_id(struct tl_request *request);
void tl_api_proof_seq(struct tl_request *request);
void tl_api_checkpoint(struct tl_request *request);
void tl_api_consistency(struct tl_request *request);
void tl_api_trust(struct tl_request *request);

/* The record that the path names by id or position, if its tenants allow it. False: the reply is a
 * problem. */
bool tl_api_one(struct tl_request *request, bool by_id, struct tally_page **page_out);
/* The reply for a record whose content was removed. */
void tl_api_gone(struct tl_request *request, const struct tally_item *item);

/* api_evidence.c */
void tl_api_opening_id(struct tl_request *request);
void tl_api_opening_seq(struct tl_request *request);
void tl_api_tlog_checkpoint(struct tl_request *request);
void tl_api_tlog_tile(struct tl_request *request);

/* The conditions of a request's parameters, with those of its tenants. In the arena; NULL: the reply
 * is a problem. `from` an object {field: value or values} if it is not NULL, else the parameters. */
bool tl_api_conditions(struct tl_request *request, const struct tl_json *from,
                       struct tally_query *query_out);
/* As they stand in an object, at most `max`, with no tenants added. False: the reply is a problem. */
bool tl_api_filter(struct tl_request *request, const struct tl_json *from, size_t max,
                   const struct tally_condition **conditions_out, size_t *count_out);
/* Whether it can be answered: a search that makes no sense is refused before a stream begins. */
bool tl_api_try(struct tl_request *request, const struct tally_query *query);

/* api_life.c */
void tl_api_retention(struct tl_request *request);
void tl_api_retention_test(struct tl_request *request);
void tl_api_holds(struct tl_request *request);
void tl_api_hold_add(struct tl_request *request);
void tl_api_hold_release(struct tl_request *request);
/* An actor from the members reason, ticket and approval of a body. */
bool tl_api_actor(struct tl_request *request, const struct tl_json *body,
                  struct tally_actor *actor_out);
/* The reply if an act failed: `act` what must be signed, if anything; freed. */
void tl_api_act_failed(struct tl_request *request, char *act, const struct tally_error *err);
/* The same as JSON; `instance` is the id of a request, or NULL. */
void tl_show_act_problem(struct tl_js *js, const char *key, const char *instance, const char *act,
                         const struct tally_error *err);

/* api_viewer.c */
void tl_api_viewer_link_add(struct tl_request *request);

/* api_admin.c */
void tl_api_tokens(struct tl_request *request);
void tl_api_token_add(struct tl_request *request);
void tl_api_token_revoke(struct tl_request *request);
void tl_api_whoami(struct tl_request *request);
void tl_api_status(struct tl_request *request);
void tl_api_schedules(struct tl_request *request);
void tl_api_keys(struct tl_request *request);
void tl_api_healthz(struct tl_request *request);
void tl_api_readyz(struct tl_request *request);
void tl_api_version(struct tl_request *request);
void tl_api_metrics(struct tl_request *request);
void tl_api_problem(struct tl_request *request);
void tl_api_openapi(struct tl_request *request);
void tl_api_ui(struct tl_request *request);

#endif /* TL_SERVER_SERVER_IMPL_H */
