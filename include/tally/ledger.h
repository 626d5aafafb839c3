/*
 * tally/ledger.h - make and open a ledger, and append events to it.
 *
 * Searching is in tally/query.h, checking in tally/verify.h, proofs in tally/proof.h.
 */
#ifndef TALLY_LEDGER_H
#define TALLY_LEDGER_H

#include <stddef.h>
#include <stdint.h>

#include <tally/error.h>
#include <tally/export.h>

TALLY_BEGIN_DECLS

/* An open ledger. Any thread may call any function with it, except tally_close(). */
struct tally_ledger;

/* One value of the configuration that takes precedence over the file; see tally/config.h. */
struct tally_setting {
    const char *key;    /* "retention.default_days" */
    const char *value;  /* as text; lists are comma-separated */
    const char *origin; /* where it came from, for messages: "flag", "TALLY_STORE"; never NULL */
};

/* Borrowed for the call. */
struct tally_options {
    size_t struct_size; /* bytes; set by TALLY_OPTIONS_INIT */
    /* A directory; "memory:1000" for a ledger that ends with the process; or "https://HOST:PORT" for
     * one behind `tally serve` ("http://" on this machine), which needs the setting remote.spool to be
     * written to; required. */
    const char *uri;
    const char *config_path; /* the configuration file; NULL: tally.yaml in the directory, if any */
    const struct tally_setting *settings;
    size_t setting_count;
    /* 1 to append; 0 to read only. Many processes may have a ledger open for writing. */
    int writable;
    /* 1 if a person says that a clock far ahead of the newest record is right. */
    int accept_clock;
    /* 1 to open a ledger for writing even if it cannot take records now: events wait in its spool,
     * and it is tried again. tally_activity_read() says why it could not. */
    int unattended;
};

#define TALLY_OPTIONS_INIT                                         \
    {                                                              \
        sizeof(struct tally_options), NULL, NULL, NULL, 0, 0, 0, 0 \
    }

/* What is made by tally_init(), for the operator to keep. Holds a secret: wipe it after use. */
struct tally_init_result {
    char origin[208];
    char log_key[320];   /* verifier key, public */
    char epoch_key[320]; /* first epoch's verifier key, public */
    char mac_key[128];   /* secret: auditors who want to check MACs need it; kept nowhere else */
};

/*
 * Makes a new ledger at options->uri: directory, keys, store, first leaf and checkpoint. `origin`
 * names it for ever; NULL picks "<host name>/<directory>-<random>". Not for memory ledgers, which
 * tally_open() makes by itself.
 *
 * Errors: TALLY_EINVAL    an option, a setting or the origin breaks a rule
 *         TALLY_ECONFLICT there is a ledger, or anything else, at that place
 *         TALLY_EIO, TALLY_ENOMEM
 */
TALLY_API tally_status tally_init(const struct tally_options *options, const char *origin,
                                  struct tally_init_result *result_out, struct tally_error *err);

/*
 * Opens a ledger. For writing it first tries for the lock. With it, it checks the newest checkpoint,
 * the frontier and the high-water mark, and records that it resumed: this process is the sequencer.
 * Without it, what is handed in goes through the spool, until the lock is free. On success the caller
 * owns *ledger_out and ends it with tally_close().
 *
 * Errors: TALLY_ENOTFOUND there is no ledger at that place
 *         TALLY_EINVAL    an option or the configuration is wrong; err names it
 *         TALLY_ECORRUPT  the head does not fit its checkpoint, the keys or the high-water mark:
 *                         nothing is appended to a ledger that looks tampered with
 *         TALLY_EIO, TALLY_ENOMEM, TALLY_ENOTSUP
 *
 * A remote ledger opens whether its server answers or not. It can be logged and appended to, searched,
 * counted and summarised; everything else is TALLY_ENOTSUP. docs/operating.md tells how it is run.
 */
TALLY_API tally_status tally_open(struct tally_ledger **ledger_out,
                                  const struct tally_options *options, struct tally_error *err);

/*
 * Ends `ledger`. What tally_append() accepted is recorded. What was logged is recorded and indexed if
 * this process is the sequencer and that takes less than 5 seconds; else it stays in the spool. NULL
 * is allowed. No other thread may be inside a call.
 */
TALLY_API void tally_close(struct tally_ledger *ledger);

/* The name of the ledger; valid until it is closed. */
TALLY_API const char *tally_origin(const struct tally_ledger *ledger);

/* What is known of an event that was handed in. */
enum tally_level {
    TALLY_LEVEL_NONE = 0,
    TALLY_LEVEL_QUEUED = 1,   /* in the spool: survives the process */
    TALLY_LEVEL_SYNCED = 2,   /* on disk in the spool: survives the machine */
    TALLY_LEVEL_RECORDED = 3, /* sealed, and durable in the store with its checkpoint */
    TALLY_LEVEL_ANCHORED = 4  /* covered by a checkpoint that is kept elsewhere */
};

enum tally_receipt_flags {
    /* It was there already, with the same bytes; of a remote ledger, perhaps because its first answer
     * was lost on the way. */
    TALLY_RECEIPT_DUPLICATE = 1 << 0,
    TALLY_RECEIPT_ID_GENERATED = 1 << 1, /* it came without an id: a retry would double it */
    TALLY_RECEIPT_TRIMMED = 1 << 2,      /* too large: the largest members are now their hashes */
    TALLY_RECEIPT_VOLATILE = 1 << 3      /* the store is memory: gone when the process ends */
};

/* Proof, later, that the event was accepted: it can show an omission. */
struct tally_receipt {
    tally_status status;      /* TALLY_OK; TALLY_ECONFLICT: the id is taken by another event */
    enum tally_level level;   /* the level reached, never the one asked for */
    uint32_t flags;           /* enum tally_receipt_flags */
    uint64_t seq;             /* position in the ledger; with a conflict, of the record there */
    int64_t recorded_us;      /* microseconds since 1970, UTC */
    uint64_t checkpoint_size; /* leaves under the checkpoint that first covers it; 0: not told */
    uint8_t leaf_hash[32];
    char id[132]; /* NUL-terminated */
};

enum tally_event_flags {
    /* Input of an importer: what native ingest refuses in values is noted in metadata instead, and
     * unknown members move there. */
    TALLY_EVENT_IMPORT = 1 << 0,
    /* Retention counts from occurred_at, not from the time of recording. */
    TALLY_EVENT_RETAIN_OCCURRED = 1 << 1,
    /* An event without id, but with occurred_at, gets one made from its own bytes, so that handing
     * it in twice records it once. Two such events with equal bytes count as one. */
    TALLY_EVENT_ID_FROM_CONTENT = 1 << 2,
    /* occurred_at was filled in on the way, by who first took the event. Handed in again with another
     * one, it is the same event. */
    TALLY_EVENT_TIME_SUPPLIED = 1 << 3
};

/*
 * Events made ready for appending: validated, given id and time where absent, canonical. Confined
 * to one thread at a time; fill one while another is being appended.
 */
struct tally_events;

/* `ledger` gives limits and rules, and must outlive the result. Owned: tally_events_free(). */
TALLY_API tally_status tally_events_new(struct tally_events **events_out,
                                        struct tally_ledger *ledger, struct tally_error *err);
TALLY_API void tally_events_free(struct tally_events *events);
TALLY_API void tally_events_clear(struct tally_events *events);
TALLY_API size_t tally_events_count(const struct tally_events *events);

/*
 * Adds one event, the JSON text of an object (docs/events.md has members, aliases and limits).
 *
 * Errors: TALLY_EREFUSED err->code names the rule, err->pointer the member or err->offset the byte;
 *                        nothing was added
 *         TALLY_ELIMIT   4,096 events or 64 MiB are in already: append them first
 *         TALLY_ENOMEM
 */
TALLY_API tally_status tally_events_add(struct tally_events *events, const char *json, size_t len,
                                        uint32_t flags, struct tally_error *err);

/* The canonical text of event `index`; borrowed until the next change of `events`. */
TALLY_API const char *tally_events_text(const struct tally_events *events, size_t index,
                                        size_t *len_out);

/*
 * Appends all events and waits until they are RECORDED. receipts_out has room for each. Events
 * whose id holds other bytes get a receipt with TALLY_ECONFLICT, and the rest goes on (of a remote
 * ledger, also events that its server refuses for good: TALLY_EREFUSED): TALLY_OK
 * means that every receipt is filled in. All events of one call are recorded in order; in one
 * transaction if this process is the sequencer, else, through the spool, perhaps in several. Blocks
 * for as long as the store and the sequencer need; for a minute, if the ledger is remote.
 *
 * Errors: TALLY_EINVAL   the ledger is open for reading only
 *         TALLY_ELIMIT   a memory store is full; nothing was recorded
 *         TALLY_EIO      store or spool failed, or the sequencer's answer was lost. It is not known
 *                        whether the events are there: appending them again, with the same ids, is
 *                        safe. err->os_errno ENOSPC: disk full
 *         TALLY_EBUSY    they are in the spool, but no process has been the sequencer for 5 seconds;
 *                        or the server of a remote ledger did not answer in time
 *         TALLY_ECORRUPT another writer changed the ledger; this one stops for good
 *         TALLY_EBUSY    no process has been able to record for 5 seconds. What is in the spool will
 *                        be recorded; appending again, with the same ids, is safe
 *         TALLY_ENOMEM
 */
TALLY_API tally_status tally_append_events(struct tally_ledger *ledger, struct tally_events *events,
                                           struct tally_receipt *receipts_out,
                                           struct tally_error *err);

/*
 * Appends one event, and waits until it is RECORDED. Errors as of tally_events_add() and
 * tally_append_events(); TALLY_ECONFLICT if its id is taken by another event.
 */
TALLY_API tally_status tally_append(struct tally_ledger *ledger, const char *json, size_t len,
                                    struct tally_receipt *receipt_out, struct tally_error *err);

/*
 * Records an act on the ledger itself, such as "tally.import": an event with the reserved prefix,
 * actor `by` (NULL: the system) and the ledger as target. `metadata` is the JSON text of an object,
 * or NULL. Errors as of tally_append().
 */
TALLY_API tally_status tally_record_act(struct tally_ledger *ledger, const char *action,
                                        const char *by, const char *metadata,
                                        struct tally_receipt *receipt_out, struct tally_error *err);

/* The same, but returns once it is in the spool, where it survives the process. Errors: TALLY_EINVAL,
 * TALLY_ELIMIT the spool is full; TALLY_EIO, TALLY_ENOMEM */
TALLY_API tally_status tally_queue_act(struct tally_ledger *ledger, const char *action,
                                       const char *by, const char *metadata,
                                       struct tally_error *err);

/*
 * Declares in the ledger that `count` events were lost between two times, and why; `exact` 0 means
 * at least so many. The record is a GAP leaf. Returns once it is recorded or, if another process is
 * the sequencer, in the spool.
 */
TALLY_API tally_status tally_declare_gap(struct tally_ledger *ledger, uint64_t count, int exact,
                                         int64_t from_us, int64_t to_us, const char *reason,
                                         struct tally_error *err);

/* Waits until everything recorded so far is in the search index. TALLY_ENOTSUP without one. */
TALLY_API tally_status tally_wait_indexed(struct tally_ledger *ledger, struct tally_error *err);

/* What a ledger holds, at one moment. */
struct tally_info {
    uint64_t size; /* leaves, control leaves included */
    uint8_t root[32];
    uint64_t indexed_to; /* the search index is complete below this seq */
    uint32_t epoch;
    int64_t newest_us; /* when the newest leaf was sealed */
    int is_volatile;
    uint64_t checkpoint_size; /* of the newest checkpoint */
};
TALLY_API tally_status tally_info(struct tally_ledger *ledger, struct tally_info *info_out,
                                  struct tally_error *err);

/* Frees text that a function of this library handed over. NULL is allowed. */
TALLY_API void tally_free(void *text);

TALLY_END_DECLS

#endif /* TALLY_LEDGER_H */
