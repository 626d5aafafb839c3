/* What a router holds: events, results, and the names they came with. */
#include "ledger/router.h"

#include <sys/stat.h>

#include "base/clock.h"
#include "base/random.h"
#include "ledger/router_impl.h"

#define MINUTE_US   INT64_C(60000000)
#define OPEN_MAX    16u
#define REPORTS_MAX 20u /* in a minute */

static const char nameless_why[] = "the name cannot be used, or too many others failed as well";

static void append(struct tl_held_list *list, struct tl_held *held)
{
    held->next = NULL;
    *list->end = held;
    list->end = &held->next;
}

static struct tl_held *take(struct tl_held_list *list, struct tl_held **at)
{
    struct tl_held *held = *at;
    *at = held->next;
    if (held->next == NULL) {
        list->end = at;
    }
    return held;
}

/* Frees the events of a list that came in this round, or all of them. */
static void forget(struct tl_router *router, struct tl_held_list *list, bool all)
{
    struct tl_held **at = &list->first;
    while (*at != NULL) {
        if (!all && (*at)->round != router->round) {
            at = &(*at)->next;
            continue;
        }
        struct tl_held *held = take(list, at);
        router->bytes -= held->bytes;
        router->counts.held--;
        tl_free(held->tagged);
        tl_free(held);
    }
}

void tl_router_end(struct tl_router *router, struct tl_held_list *list, struct tl_held **at,
                   enum tl_route_end end)
{
    struct tl_held *held = take(list, at);
    held->result.end = end;
    append(&router->results, held);
    switch (end) {
    case TL_ROUTE_RECORDED:
        router->counts.recorded++;
        break;
    case TL_ROUTE_HOME:
        router->counts.home++;
        break;
    case TL_ROUTE_REFUSED:
        router->counts.refused++;
        break;
    }
}

static struct tl_route **bucket_of(struct tl_router *router, struct tl_str name)
{
    return &router->buckets[tl_siphash(router->key, name.text, name.len) % TL_ROUTER_BUCKETS];
}

static void link_last(struct tl_router *router, struct tl_route *route)
{
    route->next = NULL;
    route->prev = router->last;
    *(router->last == NULL ? &router->first : &router->last->next) = route;
    router->last = route;
}

static void unlink_route(struct tl_router *router, struct tl_route *route)
{
    *(route->prev == NULL ? &router->first : &route->prev->next) = route->next;
    *(route->next == NULL ? &router->last : &route->next->prev) = route->prev;
}

void tl_router_touch(struct tl_router *router, struct tl_route *route)
{
    unlink_route(router, route);
    link_last(router, route);
}

/* The route of a name, made if there is none; NULL without memory. */
static struct tl_route *find_route(struct tl_router *router, struct tl_str name)
{
    struct tl_route **bucket = bucket_of(router, name);
    for (struct tl_route *route = *bucket; route != NULL; route = route->next_in_bucket) {
        if (tl_str_is(name, route->name)) {
            return route;
        }
    }
    struct tl_route *route = tl_alloc_array(1, sizeof(*route));
    if (route != NULL) {
        tl_str_copy(route->name, sizeof(route->name), name);
        tl_str_copy(route->why, sizeof(route->why), TL_STR(nameless_why));
        route->events.end = &route->events.first;
        route->reported_us = INT64_MIN;
        route->next_in_bucket = *bucket;
        *bucket = route;
        link_last(router, route);
        router->counts.names++;
    }
    return route;
}

tally_status tl_router_open(struct tl_router **router_out, const struct tl_router_options *options,
                            struct tally_error *err)
{
    struct stat home;
    size_t len = strlen(options->dir);
    if (len == 0 || len + TL_ROUTE_NAME_MAX + 2 > TL_PATH_SIZE) {
        return tl_fail(err, TALLY_EINVAL, "the directory of routed ledgers is missing or too long");
    }
    if (strncmp(options->dir, "memory:", 7) == 0) {
        return tl_fail(err, TALLY_EINVAL, "routed ledgers cannot be in memory");
    }
    struct tl_router *router = tl_alloc_array(1, sizeof(*router));
    if (router == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a router");
    }
    memcpy(router->dir, options->dir, len);
    if (stat(options->home, &home) == 0) {
        router->home_dev = home.st_dev;
        router->home_ino = home.st_ino;
    }
    router->open_max = options->open_max == 0 ? OPEN_MAX : options->open_max;
    router->create = options->create;
    router->results.end = &router->results.first;
    router->report_us = INT64_MIN;
    tl_random_bytes(router->key, sizeof(router->key));
    router->nameless = find_route(router, TL_STR(""));
    if (router->nameless == NULL) {
        tl_free(router);
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a router");
    }
    *router_out = router;
    return TALLY_OK;
}

static void drop_route(struct tl_router *router, struct tl_route *route)
{
    struct tl_route **at = bucket_of(router, tl_str_of(route->name));
    while (*at != route) {
        at = &(*at)->next_in_bucket;
    }
    *at = route->next_in_bucket;
    unlink_route(router, route);
    router->counts.names--;
    tl_free(route);
}

void tl_router_close(struct tl_router *router)
{
    if (router == NULL) {
        return;
    }
    while (router->first != NULL) {
        struct tl_route *route = router->first;
        forget(router, &route->events, true);
        tl_router_close_route(router, route);
        drop_route(router, route);
    }
    forget(router, &router->results, true);
    tl_free(router);
}

size_t tl_router_room(const struct tl_router *router)
{
    return router->bytes >= TL_ROUTER_BYTES_MAX ? 0 : TL_ROUTER_EVENTS_MAX - router->counts.held;
}

tally_status tl_router_add(struct tl_router *router, const struct tl_spool_record *record,
                           void *owner, struct tally_error *err)
{
    if (tl_router_room(router) == 0) {
        return tl_fail(err, TALLY_ELIMIT, "the router is full: deliver first");
    }
    const char *line = record->len == 0 ? NULL : memchr(record->text, '\n', record->len);
    struct tl_str name = { record->text, line == NULL ? 0 : (size_t)(line - record->text) };
    size_t start = line == NULL ? 0 : name.len + 1; /* without a name, all of it is the event */
    size_t len = record->len - start;
    struct tl_held *held = tl_alloc_array(1, sizeof(*held) + len);
    struct tl_route *route =
        held == NULL ? NULL : find_route(router, tl_route_name_is_valid(name) ? name : TL_STR(""));
    if (route == NULL) {
        tl_free(held);
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a routed event");
    }
    if (len > 0) {
        memcpy(held->text, record->text + start, len);
    }
    held->round = router->round;
    held->bytes = len;
    held->result.owner = owner;
    held->result.record = *record;
    held->result.record.kind = TL_SPOOL_EVENT;
    held->result.record.text = held->text;
    held->result.record.len = (uint32_t)len;
    append(&route->events, held);
    router->bytes += len;
    router->counts.held++;
    return TALLY_OK;
}

struct tl_routed *tl_router_next(const struct tl_router *router, const struct tl_routed *last)
{
    struct tl_held *held = router->results.first;
    if (last != NULL) {
        held = ((const struct tl_held *)(const void *)last)->next;
    }
    return held == NULL ? NULL : &held->result;
}

void tl_router_commit(struct tl_router *router)
{
    forget(router, &router->results, true);
    router->round++;
}

void tl_router_rollback(struct tl_router *router)
{
    for (struct tl_route *route = router->first; route != NULL; route = route->next) {
        forget(router, &route->events, false);
    }
    forget(router, &router->results, false);
    router->round++;
}

static bool list_holds(const struct tl_held_list *list, const void *owner)
{
    const struct tl_held *held = list->first;
    while (held != NULL && held->result.owner != owner) {
        held = held->next;
    }
    return held != NULL;
}

bool tl_router_holds(const struct tl_router *router, const void *owner)
{
    const struct tl_route *route = router->first;
    while (route != NULL && !list_holds(&route->events, owner)) {
        route = route->next;
    }
    return route != NULL || list_holds(&router->results, owner);
}

/* Whether a minute has passed; a time of INT64_MIN was never. */
static bool is_past(int64_t then_us, int64_t now_us)
{
    return then_us == INT64_MIN || now_us - then_us >= MINUTE_US;
}

static bool is_forgettable(const struct tl_route *route, int64_t now_us)
{
    return route->unreported == 0 && is_past(route->reported_us, now_us) &&
           (!route->is_away || is_past(route->used_us, now_us));
}

void tl_router_tidy(struct tl_router *router, int64_t now_us)
{
    struct tl_route *next = NULL;
    for (struct tl_route *route = router->first; route != NULL; route = next) {
        next = route->next;
        if (route->ledger != NULL && is_past(route->used_us, now_us)) {
            tl_router_close_route(router, route);
        }
        if (route->ledger != NULL || route->events.first != NULL || route->name[0] == '\0') {
            continue;
        }
        if (is_forgettable(route, now_us)) {
            drop_route(router, route);
        } else if (router->counts.names > TL_ROUTER_NAMES_MAX) {
            router->nameless->unreported += route->unreported;
            drop_route(router, route);
        }
    }
}

bool tl_router_next_report(struct tl_router *router, struct tl_route_report *report_out)
{
    int64_t now_us = tl_clock->steady_us();
    if (is_past(router->report_us, now_us)) {
        router->report_us = now_us;
        router->reports = 0;
    }
    struct tl_route *route = router->reports < REPORTS_MAX ? router->first : NULL;
    while (route != NULL && (route->unreported == 0 || !is_past(route->reported_us, now_us))) {
        route = route->next;
    }
    if (route == NULL) {
        return false;
    }
    *report_out = (struct tl_route_report){ .name = route->name,
                                            .why = route->why,
                                            .events = route->unreported };
    route->unreported = 0;
    route->reported_us = now_us;
    router->reports++;
    return true;
}

void tl_router_count(const struct tl_router *router, struct tl_router_counts *counts_out)
{
    *counts_out = router->counts;
}
