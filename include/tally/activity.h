/*
 * tally/activity.h - how a ledger's logging is doing, seen from outside.
 */
#ifndef TALLY_ACTIVITY_H
#define TALLY_ACTIVITY_H

#include <stddef.h>
#include <stdint.h>

#include <tally/error.h>
#include <tally/export.h>
#include <tally/ledger.h>

TALLY_BEGIN_DECLS

struct tally_activity {
    size_t struct_size;
    char origin[208];
    uint64_t size;       /* leaves */
    uint64_t indexed_to; /* the search index is complete below this seq */
    /* Handed in and not recorded yet, of all processes. Events for other ledgers are counted until
     * their segment is removed. */
    uint64_t spool_events;
    uint64_t spool_bytes; /* of segments that are still there */
    uint64_t spool_segments;
    uint64_t spool_writers;  /* processes that have a segment open */
    uint64_t quarantined;    /* segments that were put aside as damaged */
    int64_t oldest_unsent_s; /* age of the oldest event that is not recorded; 0: there is none */
    uint64_t gaps;           /* GAP records in the ledger */
    uint64_t dropped;        /* events that they declare, and those that wait to be declared */
    int dropped_is_exact;    /* 0: at least so many */
    int64_t sequencer_pid;   /* who holds the lock; 0: nobody; -1: somebody, who did not say */
    uint64_t recorded_60s;   /* records sealed in the last minute */
    int64_t newest_s;        /* age of the newest record */
    uint64_t disk_free_bytes;
    char trouble[256]; /* why nothing is recorded, as the sequencer last noted; "" if nothing */
    uint64_t anchor_targets; /* configured */
    int64_t anchored_s;      /* since all of them had a checkpoint; -1: never */
    /* Of a remote ledger: events that its server refused for good, which lie in refused.ndjson. What
     * is in the ledger itself is not told then: sizes and rates are 0. */
    uint64_t refused;
};

#define TALLY_ACTIVITY_INIT                                                                        \
    {                                                                                              \
        sizeof(struct tally_activity), "", 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, "", 0, -1, \
            0                                                                                      \
    }

/*
 * Reads it, from store and spool, without the lock: any process may, at any time. A spool that is
 * being written changes meanwhile: figures may be a moment old.
 *
 * Errors: TALLY_ENOTFOUND there is no ledger at that place; TALLY_EINVAL, TALLY_EIO, TALLY_ENOMEM
 */
TALLY_API tally_status tally_activity_read(const struct tally_options *options,
                                           struct tally_activity *activity_out,
                                           struct tally_error *err);

TALLY_END_DECLS

#endif /* TALLY_ACTIVITY_H */
