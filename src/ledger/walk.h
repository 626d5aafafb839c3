/*
 * ledger/walk.h - names the records that fit a filter, in order: the one way to read, shared by
 * find, count, statistics and export.
 *
 * Below the index's position it asks the index and checks each record that it names; above, it
 * reads every record.
 */
#ifndef TL_LEDGER_WALK_H
#define TL_LEDGER_WALK_H

#include "ledger/gone.h"

/* A record that fits. Borrowed for the callback. */
struct tl_match {
    const struct tally_record *record;
    const struct tl_leaf *leaf;
    const struct tl_record_facts *facts;
    const struct tl_event_view *view; /* NULL without content */
    int64_t occurred_us;              /* recorded time without content */
};

/* Anything but TALLY_OK stops; TALLY_ECANCELED stops with TALLY_OK. */
typedef tally_status tl_match_fn(void *ctx, const struct tl_match *match);

/* What is to be named, and where to go on. */
struct tl_walk_order {
    bool by_occurred;
    bool ascending;
    bool has_after; /* exclusive */
    int64_t after_occurred;
    uint64_t after_seq;
    size_t enough; /* by_occurred: the caller takes at most so many; 0: all */
};

/* Records above the index, in order of occurred_at: only their keys are kept. */
struct tl_tail_key {
    int64_t occurred_us;
    uint64_t seq;
};

struct tl_walk_tail {
    struct tl_tail_key *keys; /* sorted as the walk goes, first to come first */
    size_t count;
    size_t capacity;
    size_t at; /* next to hand on */
};

/* One walk over one state of the ledger. Large: allocate. Caller serialises. */
struct tl_walk {
    struct tally_ledger *ledger;
    struct tl_reader reader;
    const struct tl_filter *filter;
    struct tl_filter_ranges ranges;
    struct tally_head head;
    uint64_t indexed; /* records below are asked of the index */
    struct tl_arena arena;
    struct tl_event_view view;
    struct tl_walk_order order;
    tl_match_fn *fn;
    void *ctx;
    struct tally_error *err;
    tally_status stopped; /* what fn returned when it stopped a scan */
    uint64_t wanted;      /* seq that a single read is after */
    bool met;
    struct tl_gone gone;      /* why contents are absent */
    struct tl_walk_tail tail; /* by_occurred: what the index does not know yet */
};

/* Takes a reader and a snapshot. The filter outlives the walk. End it with tl_walk_end(). */
tally_status tl_walk_begin(struct tl_walk **walk_out, struct tally_ledger *ledger,
                           const struct tl_filter *filter, struct tally_error *err);
void tl_walk_end(struct tl_walk **walk); /* fits TL_CLEANUP */

/* Calls `fn` for each record that fits, in order. */
tally_status tl_walk_run(struct tl_walk *walk, const struct tl_walk_order *order, tl_match_fn *fn,
                         void *ctx, struct tally_error *err);

/* Calls `fn` with the time of each record that fits, in no order, without reading those that the index
 * is sure of. Without `with_time` such times may be INT64_MIN. Ends like tl_match_fn. */
typedef tally_status tl_time_fn(void *ctx, int64_t occurred_us);
tally_status tl_walk_times(struct tl_walk *walk, bool with_time, tl_time_fn *fn, void *ctx,
                           struct tally_error *err);

/* Counts the records that fit, up to `max`, likewise. */
tally_status tl_walk_count(struct tl_walk *walk, uint64_t max, uint64_t *count_out,
                           struct tally_error *err);

/* Calls `fn` for record `seq` if it fits. */
tally_status tl_walk_one(struct tl_walk *walk, uint64_t seq, tl_match_fn *fn, void *ctx,
                         struct tally_error *err);

/* The time at which the newest record was sealed; the ledger must not be empty. */
tally_status tl_walk_newest_time(struct tl_walk *walk, int64_t *time_us_out,
                                 struct tally_error *err);

/* Makes a filter for a query by the ledger's configuration. */
tally_status tl_walk_filter(struct tl_filter **filter_out, const struct tally_ledger *ledger,
                            const struct tally_query *query, struct tally_error *err);
void tl_filter_freep(struct tl_filter **filter);

#endif /* TL_LEDGER_WALK_H */
