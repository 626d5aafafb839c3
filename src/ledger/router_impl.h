/* ledger/router_impl.h - the insides of a router; for router.c and router_deliver.c alone. */
#ifndef TL_LEDGER_ROUTER_IMPL_H
#define TL_LEDGER_ROUTER_IMPL_H

#include <sys/types.h>

#include <tally/ledger.h>

#include "base/siphash.h"
#include "ledger/paths.h"
#include "ledger/router.h"

#define TL_ROUTER_BUCKETS   256u
#define TL_ROUTER_NAMES_MAX 1024u /* remembered without events: their ledgers' troubles */

/* An event. In the list of its route, and then in that of the results. */
struct tl_held {
    struct tl_routed result; /* first: tl_router_next() gives it out */
    struct tl_held *next;
    uint64_t round; /* in which it was added */
    size_t bytes;   /* of `text` */
    char *tagged;   /* owned: the text with the tag, once the event goes home; or NULL */
    char text[];
};

struct tl_held_list {
    struct tl_held *first;
    struct tl_held **end; /* where the next one goes */
};

/* A name, with what is known of its ledger. */
struct tl_route {
    struct tl_route *next_in_bucket;
    struct tl_route *prev, *next; /* of all, the one that was served last at the end */
    struct tl_held_list events;   /* not delivered yet */
    struct tally_ledger *ledger;  /* NULL: not open */
    bool is_home;                 /* the ledger is the one whose spool is read */
    bool is_away;                 /* the last attempt failed */
    int64_t used_us;              /* times of the steady clock: when it was served */
    int64_t away_us;              /* the first attempt that failed */
    int64_t retry_us;             /* the next attempt */
    int64_t pause_us;             /* between the two last ones */
    uint64_t unreported;          /* events that went home */
    int64_t reported_us;          /* when that was said last; INT64_MIN: never */
    char why[256];
    char name[TL_ROUTE_NAME_MAX + 1]; /* "" stands for all that cannot be used */
};

struct tl_router {
    /* immutable after open */
    char dir[TL_PATH_SIZE];
    dev_t home_dev;
    ino_t home_ino;
    size_t open_max;
    bool create;
    uint8_t key[TL_SIPHASH_KEY_LEN];

    uint64_t round; /* commits and rollbacks so far */
    struct tl_held_list results;
    size_t bytes; /* of the texts that are held */
    struct tl_route *first, *last;
    struct tl_route *buckets[TL_ROUTER_BUCKETS];
    struct tl_route *nameless; /* the route called "": always there */
    int64_t report_us;         /* the minute in which `reports` were given */
    uint32_t reports;
    struct tl_router_counts counts;
};

/* router.c: moves the event at *at, in a list, to the results. */
void tl_router_end(struct tl_router *router, struct tl_held_list *list, struct tl_held **at,
                   enum tl_route_end end);

/* router.c: makes this route the one that was served last. */
void tl_router_touch(struct tl_router *router, struct tl_route *route);

/* router.c: closes ledgers that nobody used for long, and forgets names. */
void tl_router_tidy(struct tl_router *router, int64_t now_us);

/* router_deliver.c: closes a route's ledger, if it is open. */
void tl_router_close_route(struct tl_router *router, struct tl_route *route);

#endif /* TL_LEDGER_ROUTER_IMPL_H */
