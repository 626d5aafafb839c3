/* Takes events to their ledgers, and home if that cannot be. */
#include <sys/stat.h>

#include <tally/tally.h>

#include "base/clock.h"
#include "codec/utf8.h"
#include "ledger/events.h"
#include "ledger/router_impl.h"

#define AWAY_MAX_US  INT64_C(10000000)
#define PAUSE_MIN_US INT64_C(100000)
#define PAUSE_MAX_US INT64_C(5000000)
#define BUDGET_US    INT64_C(250000)  /* of one call, for opening ledgers */
#define APPEND_US    INT64_C(1000000) /* for the sequencer of another process to answer */
#define WAITING_MAX  (TL_ROUTER_EVENTS_MAX / 2)

void tl_router_close_route(struct tl_router *router, struct tl_route *route)
{
    if (route->ledger != NULL) {
        tally_close(route->ledger);
        route->ledger = NULL;
        router->counts.open--;
    }
}

static void say_why(struct tl_route *route, tally_status status, const char *message)
{
    const char *why = message[0] == '\0' ? tally_status_name(status) : message;
    /* A message is cut to fit, perhaps inside a character. */
    tl_str_copy(route->why, sizeof(route->why),
                (struct tl_str){ why, tl_utf8_valid_len(why, strlen(why)) });
}

static void note_failure(struct tl_router *router, struct tl_route *route, int64_t now_us,
                         const struct tally_error *why)
{
    tl_router_close_route(router, route);
    say_why(route, why->status, why->message);
    if (!route->is_away) {
        route->is_away = true;
        route->away_us = now_us;
        route->pause_us = PAUSE_MIN_US / 2;
    }
    route->pause_us = 2 * route->pause_us > PAUSE_MAX_US ? PAUSE_MAX_US : 2 * route->pause_us;
    route->retry_us = now_us + route->pause_us;
    router->counts.failed++;
}

/* Closes the ledger that was used longest ago, if no more may be open. */
static void make_room(struct tl_router *router)
{
    struct tl_route *route = router->first;
    while (router->counts.open >= router->open_max && route != NULL) {
        tl_router_close_route(router, route);
        route = route->next;
    }
}

static tally_status create(const struct tally_options *options, struct tally_error *err)
{
    struct tally_init_result result;
    tally_status status = tally_init(options, NULL, &result, err);
    explicit_bzero(&result, sizeof(result));
    /* Another process may have been faster, which is as good. */
    return status == TALLY_ECONFLICT ? TALLY_OK : status;
}

static tally_status open_route(struct tl_router *router, struct tl_route *route,
                               struct tally_error *err)
{
    char path[TL_PATH_SIZE];
    struct stat found;
    TL_TRY(tl_path_join(path, router->dir, route->name, err));
    bool is_there = stat(path, &found) == 0;
    route->is_home =
        is_there && found.st_dev == router->home_dev && found.st_ino == router->home_ino;
    if (route->is_home) {
        return TALLY_OK; /* opened once more, it would wait for itself */
    }
    if (!is_there && !router->create) {
        return tl_fail(err, TALLY_ENOTFOUND, "there is no ledger at '%s'", path);
    }
    make_room(router);
    struct tally_options options = TALLY_OPTIONS_INIT;
    options.uri = path;
    options.writable = 1;
    if (!is_there) {
        struct tally_error why = TALLY_ERROR_INIT;
        tally_status status = create(&options, &why);
        if (status != TALLY_OK) {
            return tl_fail_errno(err, status, why.os_errno, "%s", why.message);
        }
    }
    TL_TRY(tally_open(&route->ledger, &options, err));
    router->counts.open++;
    router->counts.opened++;
    return TALLY_OK;
}

/* Moves an event to the results. Without a tag, if this ledger is what its name stands for. */
static tally_status send_home(struct tl_router *router, struct tl_route *route, struct tl_held **at)
{
    struct tl_held *held = *at;
    if (!route->is_home) {
        struct tl_buf text;
        tl_buf_init(&text, held->bytes + 64); /* the tag needs less */
        tally_status status = tl_route_tag(&text, held->text, held->bytes);
        if (status == TALLY_ECORRUPT) {
            tl_buf_release(&text);
            tl_router_end(router, &route->events, at, TL_ROUTE_REFUSED);
            return TALLY_OK;
        }
        size_t len = 0;
        held->tagged = tl_buf_take(&text, &len);
        if (held->tagged == NULL) {
            tl_buf_release(&text);
            return TALLY_ENOMEM;
        }
        held->result.record.text = held->tagged;
        held->result.record.len = (uint32_t)len;
        route->unreported++;
    }
    tl_router_end(router, &route->events, at, TL_ROUTE_HOME);
    return TALLY_OK;
}

static tally_status send_all_home(struct tl_router *router, struct tl_route *route)
{
    while (route->events.first != NULL) {
        TL_TRY(send_home(router, route, &route->events.first));
    }
    return TALLY_OK;
}

/*
 * Adds events from the first of the route on, until the batch is full. What the ledger refuses as
 * such goes home.
 */
static tally_status fill_batch(struct tl_router *router, struct tl_route *route,
                               struct tally_events *events, struct tally_error *err)
{
    struct tl_held **at = &route->events.first;
    while (*at != NULL) {
        struct tally_error why = TALLY_ERROR_INIT;
        const struct tl_spool_record *record = &(*at)->result.record;
        bool by_occurred = (record->flags & TL_SPOOL_BY_OCCURRED) != 0;
        tally_status status =
            tally_events_add(events, record->text, record->len,
                             by_occurred ? (uint32_t)TALLY_EVENT_RETAIN_OCCURRED : 0u, &why);
        if (status == TALLY_ELIMIT && events->count > 0) {
            return TALLY_OK;
        }
        if (status == TALLY_EREFUSED) {
            say_why(route, status, why.message);
            status = send_home(router, route, at);
        } else if (status == TALLY_OK) {
            if ((record->flags & TL_SPOOL_TIME_IS_OURS) != 0) {
                events->items[events->count - 1].time_is_ours = true;
            }
            at = &(*at)->next;
        }
        if (status != TALLY_OK) {
            return tl_fail(err, status, "cannot make a batch");
        }
    }
    return TALLY_OK;
}

static tally_status append_batch(struct tl_router *router, struct tl_route *route,
                                 struct tally_events *events, struct tally_error *err)
{
    TL_CLEANUP(tl_freep)
    struct tally_receipt *receipts = tl_alloc_array(events->count, sizeof(*receipts));
    if (receipts == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate receipts");
    }
    int64_t until_us = tl_clock->steady_us() + APPEND_US;
    TL_TRY(tl_append_events_until(route->ledger, events, receipts, until_us, err));
    for (size_t i = 0; i < events->count; i++) {
        bool is_taken = receipts[i].status == TALLY_ECONFLICT;
        tl_router_end(router, &route->events, &route->events.first,
                      is_taken ? TL_ROUTE_REFUSED : TL_ROUTE_RECORDED);
    }
    return TALLY_OK;
}

static tally_status append_all(struct tl_router *router, struct tl_route *route,
                               struct tally_error *err)
{
    struct tally_events *events = NULL;
    tally_status status = tally_events_new(&events, route->ledger, err);
    while (status == TALLY_OK && route->events.first != NULL) {
        tally_events_clear(events);
        status = fill_batch(router, route, events, err);
        if (status == TALLY_OK && events->count > 0) {
            status = append_batch(router, route, events, err);
        }
    }
    tally_events_free(events);
    return status;
}

static tally_status open_and_append(struct tl_router *router, struct tl_route *route,
                                    struct tally_error *err)
{
    if (route->ledger == NULL) {
        TL_TRY(open_route(router, route, err));
    }
    return route->is_home ? TALLY_OK : append_all(router, route, err);
}

static tally_status serve(struct tl_router *router, struct tl_route *route, int64_t now_us)
{
    struct tally_error why = TALLY_ERROR_INIT;
    if (route == router->nameless) {
        return send_all_home(router, route);
    }
    if (!route->is_away || now_us >= route->retry_us) {
        route->used_us = now_us;
        tally_status status = open_and_append(router, route, &why);
        tl_router_touch(router, route);
        if (status == TALLY_OK) {
            route->is_away = false;
        } else {
            note_failure(router, route, now_us, &why);
        }
    }
    bool is_late = route->is_away &&
                   (now_us - route->away_us >= AWAY_MAX_US || router->counts.held > WAITING_MAX);
    return route->is_home || is_late ? send_all_home(router, route) : TALLY_OK;
}

/* Serves routes with events, one after the other from the one that was served longest ago. */
static tally_status serve_all(struct tl_router *router, bool are_open)
{
    const int64_t start_us = tl_clock->steady_us();
    struct tl_route *last = router->last;
    struct tl_route *next = router->first;
    struct tl_route *route = NULL;
    tally_status status = TALLY_OK;
    while (route != last && status == TALLY_OK) {
        int64_t now_us = tl_clock->steady_us();
        route = next;
        next = route->next;
        if (!are_open && now_us - start_us >= BUDGET_US) {
            break;
        }
        if (route->events.first != NULL && (route->ledger != NULL) == are_open) {
            status = serve(router, route, now_us);
        }
    }
    return status;
}

tally_status tl_router_deliver(struct tl_router *router, struct tally_error *err)
{
    tally_status status = serve_all(router, true);
    if (status == TALLY_OK) {
        status = serve_all(router, false);
    }
    tl_router_tidy(router, tl_clock->steady_us());
    return status == TALLY_OK ? status : tl_fail(err, status, "cannot send events home");
}
