/* ledger/logger.h - the insides of a logger, shared by its files alone. */
#ifndef TL_LEDGER_LOGGER_H
#define TL_LEDGER_LOGGER_H

#include <tally/log.h>

#include "base/counter.h"
#include "base/lane.h"
#include "ledger/ledger.h"
#include "model/event.h"

/* What one call works with; borrowed by one thread at a time, kept for the next. */
struct tl_log_context {
    bool is_made;
    struct tl_event_reader reader;
    struct tl_buf room;  /* a record of the spool: header, then the canonical text */
    struct tl_buf spare; /* for what is seldom: routes, tags */
};

/* As in struct tally_log_counters. */
struct tl_log_counts {
    struct tl_counter logged, accepted, disabled, unlisted, refused, lost, late, masked, truncated,
        unrouted;
};

#define TL_UNLISTED_MAX 64u /* actions that are told apart; the rest is counted as "*" */

/* Actions that no list of the policy names, since they were last recorded. */
struct tl_unlisted {
    struct tl_mutex mu;
    /* guarded by mu */
    struct {
        char action[64]; /* cut if it is longer */
        uint64_t count;
    } actions[TL_UNLISTED_MAX];
    size_t count;
    int64_t since_us; /* wall clock; 0: nothing is counted */
};

/* Internally synchronised. */
struct tally_logger {
    bool is_default; /* stands for another one, or none: all members but `swap`, `counts` unused */
    struct tl_swap swap; /* struct tl_config; of the default logger: struct tally_logger */
    struct tally_ledger *ledger;
    struct tally_logger_options options;
    struct tl_borrows borrows;
    struct tl_log_context contexts[TL_BORROWS_MAX];
    struct tl_log_counts counts;
    struct tl_unlisted unlisted;
    struct tl_fork_watch watch;
    struct {
        struct tl_mutex mu;
        int64_t warned_us; /* guarded by mu; steady clock; 0: never */
    } warning;
    struct {
        struct tl_mutex mu; /* held while the policy is replaced */
        char noted[65]; /* guarded by mu; SHA-256 of the one recorded last, as hex; "" at first */
    } policy;
};

/* One event to be logged. */
struct tl_log_call {
    const char *json;
    size_t len;
    bool own; /* the logger's own event: reserved action, no policy */
    struct tally_log_options options;
    struct tally_receipt *receipt; /* or NULL */
};

tally_status tl_logger_log(struct tally_logger *logger, const struct tl_log_call *call,
                           struct tally_error *err);

/* log_policy.c: reads the ledger's configuration again, with `settings` in front, and uses its policy
 * from now on. On failure the old one stays. */
tally_status tl_logger_load_policy(struct tally_logger *logger,
                                   const struct tally_setting *settings, size_t count,
                                   struct tally_error *err);

/* log_route.c: finds the ledger for the event in context->room, and makes the record one for it. */
tally_status tl_route_apply(struct tally_logger *logger, struct tl_log_context *context,
                            struct tl_spool_record *record, struct tally_error *err);

/* log_notes.c: what the logger itself records. Failures are no concern of the caller's: they are
 * counted like those of any event. */
void tl_logger_note_policy(struct tally_logger *logger);
void tl_logger_note_unlisted(struct tally_logger *logger, struct tl_str action);
void tl_logger_flush_unlisted(struct tally_logger *logger);

/* log_loss.c: counts, tells and declares an event that is lost. */
void tl_logger_lose(struct tally_logger *logger, tally_status status,
                    const struct tally_error *why);

/* activity.c: events of the process `pid`, or of all (0), that are in the spool and not recorded. */
tally_status tl_count_unrecorded(struct tally_ledger *ledger, uint32_t pid, uint64_t *count_out,
                                 struct tally_error *err);

#endif /* TL_LEDGER_LOGGER_H */
