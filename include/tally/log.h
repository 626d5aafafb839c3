/*
 * tally/log.h - the call for applications: fire and forget that loses nothing silently.
 *
 * A logger applies the policy, makes the event canonical and writes it into the ledger's spool; that
 * takes about a microsecond and survives the process. From the spool it is recorded by whichever
 * process holds the ledger's lock. docs/logging.md tells what each acknowledgement means.
 *
 * Signals: no function of this library may be called from a signal handler.
 */
#ifndef TALLY_LOG_H
#define TALLY_LOG_H

#include <stddef.h>
#include <stdint.h>

#include <tally/error.h>
#include <tally/event.h>
#include <tally/export.h>
#include <tally/ledger.h>

TALLY_BEGIN_DECLS

/*
 * Takes events for a ledger. Any thread may call any function with it, except tally_logger_close().
 * Survives fork(): parent and child go on with the same handle, each on its own.
 */
struct tally_logger;

/* What may happen to an event that cannot be taken at once. */
enum tally_delivery {
    TALLY_DELIVERY_DEFAULT = 0, /* of the policy's rule, else of the logger: durable */
    /* does not wait for room (but up to 50 ms while a segment is made): else dropped, declared */
    TALLY_DELIVERY_BEST_EFFORT = 1,
    TALLY_DELIVERY_DURABLE = 2, /* waits for room up to the bound; then fails: as above */
    TALLY_DELIVERY_STRICT = 3   /* waits up to the bound until it is RECORDED, or fails */
};

/* An event was lost: it is in no spool, and will be part of a GAP record. */
struct tally_loss {
    size_t struct_size;
    tally_status status; /* why: TALLY_ELIMIT the spool is full, TALLY_EIO the disk, TALLY_ENOMEM */
    int os_errno;        /* ENOSPC, EIO; or 0 */
    uint64_t lost;       /* by this logger so far, this one included */
    const char *message; /* one line; borrowed for the call; without contents of the event */
};
/* Called on the thread that logs, once per lost event, without any lock held: must be quick. */
typedef void tally_loss_fn(void *ctx, const struct tally_loss *loss);

/* A warning for the application's own log: at most one line every 10 seconds for each name. `name`
 * is "audit.log_failed" and such, `fields` is key=value pairs without contents of events. */
typedef void tally_warning_fn(void *ctx, const char *name, const char *fields);

/* What a resolver sees of an event: each text is NUL-terminated, "" if absent, borrowed. */
struct tally_route_input {
    size_t struct_size;
    const char *action;
    const char *tenant_id;
    const char *actor_id;
    const char *service;
    const char *target_type; /* of the first target */
    const char *target_id;
};
/*
 * Names the ledger for one event; called on the thread that logs. NULL: it cannot say. Names have 1
 * to 64 characters of A-Z a-z 0-9 . _ - and do not begin with a dot; the ledger is the directory of
 * that name in `route.dir`. Events without a usable name stay in the logger's own ledger, with the
 * tag "tally:unrouted", and are counted. So do, later, events whose ledger cannot be had within 10
 * seconds. A call can wait until a routed event is SYNCED, not until it is RECORDED:
 * one that is strict says TALLY_EBUSY.
 */
typedef const char *tally_route_fn(void *ctx, const struct tally_route_input *input);

struct tally_logger_options {
    size_t struct_size;           /* bytes; set by TALLY_LOGGER_OPTIONS_INIT */
    enum tally_delivery delivery; /* where neither call nor rule says; 0: durable */
    uint32_t timeout_ms;          /* bound of waiting; 0: the ledger's `log.timeout_ms` */
    tally_loss_fn *on_loss;       /* NULL: none */
    void *on_loss_ctx;
    tally_warning_fn *on_warning; /* NULL: none */
    void *on_warning_ctx;
    tally_route_fn
        *route; /* NULL: everything goes to the logger's own ledger; else see the settings
                            * route.dir, route.create and route.open_max */
    void *route_ctx;
};

#define TALLY_LOGGER_OPTIONS_INIT                                                               \
    {                                                                                           \
        sizeof(struct tally_logger_options), TALLY_DELIVERY_DEFAULT, 0, NULL, NULL, NULL, NULL, \
            NULL, NULL                                                                          \
    }

/*
 * Makes a logger for a ledger that is open for writing and outlives it; tally_options.unattended is
 * meant for programs that log. `options` is borrowed for the call; NULL for the defaults.
 *
 * Errors: TALLY_EINVAL the ledger is read-only, or an option is wrong; TALLY_ENOMEM
 */
TALLY_API tally_status tally_logger_open(struct tally_logger **logger_out,
                                         struct tally_ledger *ledger,
                                         const struct tally_logger_options *options,
                                         struct tally_error *err);

/* What is not recorded yet. */
struct tally_left {
    size_t struct_size;
    uint64_t events;   /* of this process, in the spool; they will be recorded later */
    uint64_t unsynced; /* of these: not on stable storage yet */
    uint64_t lost;     /* losses that no GAP record declares yet */
};

/*
 * Waits until everything logged before the call has reached `level` (SYNCED or RECORDED), at most
 * `timeout_ms`. *left_out, if not NULL, tells what has not.
 *
 * Errors: TALLY_EBUSY not in time; TALLY_EIO the disk failed; TALLY_EINVAL another level
 */
TALLY_API tally_status tally_flush(struct tally_logger *logger, enum tally_level level,
                                   uint32_t timeout_ms, struct tally_left *left_out,
                                   struct tally_error *err);

/* Flushes to RECORDED for at most `timeout_ms`, then frees the logger; what is left stays in the
 * spool, and is told. NULL is allowed. No other thread may be inside a call with it. */
TALLY_API void tally_logger_close(struct tally_logger *logger, uint32_t timeout_ms,
                                  struct tally_left *left_out);

/* Of one call. */
struct tally_log_options {
    size_t struct_size;
    enum tally_delivery delivery; /* takes precedence over rules */
    enum tally_level level;       /* to wait for; NONE: QUEUED, or RECORDED if strict */
    uint32_t timeout_ms;          /* 0: the logger's */
    uint32_t flags;               /* enum tally_event_flags */
};

#define TALLY_LOG_OPTIONS_INIT                                                           \
    {                                                                                    \
        sizeof(struct tally_log_options), TALLY_DELIVERY_DEFAULT, TALLY_LEVEL_NONE, 0, 0 \
    }

/*
 * Logs an event. The status may be dropped (write (void)): what is lost is counted, told to on_loss
 * and declared by a GAP record. Never aborts, and never blocks longer than the logger's bound.
 *
 * Errors: TALLY_EDISABLED policy says that it is not recorded, or no logger is set
 *         TALLY_EREFUSED  the event breaks a rule: counted, and not part of a GAP record; strict only: the
 *                         server of a remote ledger refuses it
 *         TALLY_ELIMIT    the spool is full, and stayed so; the event is lost
 *         TALLY_EIO       the disk failed or is full; the event is lost
 *         TALLY_EBUSY     it is in the spool, but did not get to the level in time: not lost, unless its
 *                         id turns out to be taken by another event, which nobody is told then
 *         TALLY_ECONFLICT strict only: its id is taken by another event
 *         TALLY_ENOMEM    the event is lost
 */
TALLY_API tally_status tally_log(struct tally_logger *logger, struct tally_event *event);

/* The same for the JSON text of an event. `options`, `receipt_out` and `err` may be NULL. The receipt
 * says which level was reached; seq and leaf are there if it is RECORDED. */
TALLY_API tally_status tally_log_text(struct tally_logger *logger, const char *json, size_t len,
                                      const struct tally_log_options *options,
                                      struct tally_receipt *receipt_out, struct tally_error *err);

/* tally_log() with everything. */
TALLY_API tally_status tally_log_event(struct tally_logger *logger, struct tally_event *event,
                                       const struct tally_log_options *options,
                                       struct tally_receipt *receipt_out, struct tally_error *err);

/* Whether the policy would record an event of this action, so that nobody builds it in vain. 1 or
 * 0; other members may still decide otherwise. */
TALLY_API int tally_logger_enabled(struct tally_logger *logger, const char *action);

/*
 * Replaces the policy: the ledger's configuration, with these settings ("policy.allow") in front.
 * The old one stays if a setting is wrong. Threads that log meanwhile use the one or the other. The
 * change is recorded in the ledger as `tally.policy.change`.
 *
 * Errors: TALLY_EINVAL with the setting's name; TALLY_ENOMEM
 */
TALLY_API tally_status tally_logger_set_policy(struct tally_logger *logger,
                                               const struct tally_setting *settings, size_t count,
                                               struct tally_error *err);

/* What a logger has done, since it was made (in a forked child: since the fork). */
struct tally_log_counters {
    size_t struct_size;
    uint64_t logged;   /* events that were handed in, those of the logger itself included */
    uint64_t accepted; /* of these: in the spool, or recorded */
    uint64_t disabled; /* not recorded because policy says so; `unlisted` among them */
    uint64_t unlisted; /* of an action that neither list names */
    uint64_t refused;  /* broke a rule of the event model, or, if strict, had an id that is taken */
    uint64_t lost;     /* told to on_loss */
    uint64_t declared; /* of these: handed over to be declared by GAP records */
    uint64_t late;     /* in the spool, but not at their level in time */
    uint64_t waited;   /* had to wait for room */
    uint64_t masked;   /* had a value masked */
    uint64_t truncated; /* had a value cut */
    uint64_t unrouted;  /* the resolver had no usable name */
    uint64_t failed_syncs;
    uint64_t spool_bytes; /* in use by this process, now */
};
TALLY_API void tally_logger_count(struct tally_logger *logger,
                                  struct tally_log_counters *counters_out);

/*
 * The logger of the process. It is always there: until one is set it records nothing, returns
 * TALLY_EDISABLED and counts, so that libraries may log without asking. Never close it.
 */
TALLY_API struct tally_logger *tally_default_logger(void);

/*
 * Sets where the default logger's events go; NULL: nowhere. Returns when no thread uses the one
 * before any more, which then may be closed. Any thread may call it; not from a callback.
 */
TALLY_API void tally_set_default_logger(struct tally_logger *logger);

/*
 * One operation with its begin, end and outcome: exactly one event, recorded when it ends. The
 * caller's storage; confined to one thread at a time. Zeroed, or ended, is allowed everywhere.
 */
struct tally_span {
    struct tally_logger *logger;
    struct tally_event *event;
    int64_t started_us; /* wall clock, microseconds since 1970 */
    int64_t steady_us;  /* the same moment on a clock that does not step */
    int open;
};

enum tally_outcome {
    TALLY_OUTCOME_SUCCESS = 1,
    TALLY_OUTCOME_FAILURE = 2,
    TALLY_OUTCOME_PENDING = 3,
    TALLY_OUTCOME_UNKNOWN = 4
};

/*
 * Begins a span of `action`: started_at and occurred_at are now. NULL for the default logger. Never
 * fails visibly: without memory, the span records nothing and its end says TALLY_ENOMEM.
 */
TALLY_API void tally_span_begin(struct tally_span *span, struct tally_logger *logger,
                                const char *action);

/* The event, for members to be added until the end. NULL if there is no memory; all functions of
 * tally/event.h take that. */
TALLY_API struct tally_event *tally_span_event(struct tally_span *span);

/* Ends and logs it, with ended_at and the outcome; `reason` may be NULL. Errors: of tally_log();
 * TALLY_EINVAL if it has ended already. */
TALLY_API tally_status tally_span_end(struct tally_span *span, enum tally_outcome outcome,
                                      const char *reason, struct tally_error *err);

/* Ends a span that is still open: outcome failure, reason "scope left without an outcome". For
 * TALLY_SPAN; also right before giving up. */
TALLY_API void tally_span_leave(struct tally_span *span);

/*
 * Declares a span that ends with the scope (gcc and clang): a scope that is left before
 * tally_span_end(), by return, break or an exception of C++, is recorded as a failure. C code that
 * exceptions pass through needs -fexceptions for that; longjmp() and exit() skip it always.
 */
#if defined(__GNUC__)
#    define TALLY_SPAN(name, logger, action)                               \
        __attribute__((cleanup(tally_span_leave))) struct tally_span name; \
        tally_span_begin(&(name), (logger), (action))
#endif

TALLY_END_DECLS

#endif /* TALLY_LOG_H */
