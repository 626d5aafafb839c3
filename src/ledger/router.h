/*
 * ledger/router.h - carries events from a ledger's spool on to the ledgers that a resolver named.
 *
 * The logger's part: ask the resolver, check the name with tl_route_name_is_valid(), and spool a
 * TL_SPOOL_ROUTED record; without a usable name an ordinary one, of the text from tl_route_tag().
 *
 * The sequencer's part, in each round:
 *
 *     tl_drain_take(), of at most tl_router_room() records
 *     tl_router_add() for each ROUTED one, with its segment as owner
 *     tl_router_deliver()
 *     tl_router_next() until NULL: what is HOME goes into the batch of this ledger, like a record of
 *         its own; what is REFUSED is a loss of its segment, to be counted if the batch is recorded
 *     then tl_drain_commit() and tl_router_commit(), or tl_drain_rollback() and tl_router_rollback()
 *     tl_drain_finish() only for segments of which !tl_router_holds()
 *     tl_router_next_report() until false: each is an act "tally.route.failed"
 *
 * So events that wait for their ledger keep their segment, and nothing else: a router holds them in
 * memory, and after a crash the segment is read again. All that is done twice then, or after a
 * rollback, is known by the events' ids. An event whose ledger comes back after a crash may be in
 * both ledgers.
 *
 * An event waits for 10 seconds at most, counted from when its ledger could not be had first; then
 * it is HOME. What does block is a store that takes its time: appending waits until it is RECORDED.
 * Ledgers that route to each other, and are open in two processes, would wait for each other.
 */
#ifndef TL_LEDGER_ROUTER_H
#define TL_LEDGER_ROUTER_H

#include "base/buf.h"
#include "spool/segment.h"

#define TL_ROUTE_NAME_MAX    64u
#define TL_ROUTER_EVENTS_MAX 8192u               /* held at a time, and half of it may wait */
#define TL_ROUTER_BYTES_MAX  ((size_t)128 << 20) /* of their text; see tl_router_room() */

/* 1 to 64 of A-Z a-z 0-9 . _ - and no dot first: a name is one step of a path, and stays below its
 * directory. An absent name is not valid. */
bool tl_route_name_is_valid(struct tl_str name);

/*
 * Appends the canonical event with the tag "tally:unrouted" to `out`; as it is, if it has that tag,
 * or as many tags as there may be. TALLY_ECORRUPT: it is no canonical object, `out` as it was.
 */
tally_status tl_route_tag(struct tl_buf *out, const char *event, size_t len);

/* Confined to one thread. */
struct tl_router;

/* Borrowed for the call. */
struct tl_router_options {
    const char *dir;   /* the ledger `name` lies at <dir>/<name> */
    const char *home;  /* the directory of the ledger whose spool is read */
    uint32_t open_max; /* ledgers open at a time; 0: 16 */
    bool create;       /* a ledger that is not there is made */
};

/* Errors: TALLY_EINVAL no directory, or a path that is too long; TALLY_ENOMEM */
tally_status tl_router_open(struct tl_router **router_out, const struct tl_router_options *options,
                            struct tally_error *err);

/* Forgets what is held, and closes the ledgers. NULL is allowed. */
void tl_router_close(struct tl_router *router);

/* How many records may be added now. 0: deliver first. */
size_t tl_router_room(const struct tl_router *router);

/*
 * Takes a copy of a ROUTED record. `owner` is given back with it.
 * Errors: TALLY_ELIMIT there is no room; TALLY_ENOMEM
 */
tally_status tl_router_add(struct tl_router *router, const struct tl_spool_record *record,
                           void *owner, struct tally_error *err);

/*
 * Appends what is held to its ledgers, and closes those that were idle for a minute; to be called
 * about every second even if nothing is held. Ledgers that cannot be had are tried again after 0.1
 * to 5 seconds. After a quarter of a second no more ledgers are opened: the others come next time.
 * Failures of single ledgers are no failure of the call.
 *
 * Errors: TALLY_ENOMEM some events that should be HOME are still held; call again later
 */
tally_status tl_router_deliver(struct tl_router *router, struct tally_error *err);

enum tl_route_end {
    TL_ROUTE_RECORDED = 1, /* in its ledger */
    TL_ROUTE_HOME,         /* it belongs into the home ledger, as record.text */
    TL_ROUTE_REFUSED,      /* its id is taken there by another event; or it is no event */
};

/* What became of an event. Borrowed until commit or rollback. */
struct tl_routed {
    enum tl_route_end end;
    void *owner;
    struct tl_spool_record record; /* kind EVENT; text with the tag, unless home is where it goes */
};

/* The result after `last`, NULL for the first; NULL if there are no more. The caller turns HOME into
 * REFUSED if the home ledger does not take the event either. */
struct tl_routed *tl_router_next(const struct tl_router *router, const struct tl_routed *last);

/* The results that were given are dealt with, and what was added is not taken from the spool again.
 * To be called once all results were asked for. */
void tl_router_commit(struct tl_router *router);

/* What was added since the last commit will be taken from the spool again, and is forgotten; other
 * results will be given again. */
void tl_router_rollback(struct tl_router *router);

/* Whether an event of this owner is held, with a result or without. */
bool tl_router_holds(const struct tl_router *router, const void *owner);

/* Events of a name that are HOME although they should not be. Borrowed until the next call. */
struct tl_route_report {
    const char *name; /* "" for names that cannot be used, and for too many others */
    const char *why;  /* UTF-8, one line */
    uint64_t events;  /* since the last report of this name */
};

/* At most one of a name in a minute, and 20 in all; the others come later. */
bool tl_router_next_report(struct tl_router *router, struct tl_route_report *report_out);

/* Appends a report as the JSON object that is the metadata of "tally.route.failed". */
void tl_route_report_write(struct tl_buf *out, const struct tl_route_report *report);

struct tl_router_counts {
    uint64_t recorded, home, refused; /* results, those of rolled back events included */
    uint64_t opened, failed;          /* attempts to open a ledger or to append to it */
    size_t held;                      /* now, with a result or without */
    size_t open;                      /* ledgers, now */
    size_t names;                     /* that are remembered, now */
};
void tl_router_count(const struct tl_router *router, struct tl_router_counts *counts_out);

#endif /* TL_LEDGER_ROUTER_H */
