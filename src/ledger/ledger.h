/*
 * ledger/ledger.h - an open ledger: its parts, threads and locks.
 *
 * Threads of a ledger open for writing: `sequence` has or seeks the ledger's lock, and with it seals
 * what callers hand in and what all processes have spooled; `index` feeds the search index while the
 * lock is held; the spool has one of its own. Lock order: queue.mu, losses.mu, state.mu, readers.mu;
 * none is held while another layer works, but for the lock file (queue.mu, see role.c).
 */
#ifndef TL_LEDGER_LEDGER_H
#define TL_LEDGER_LEDGER_H

#include <tally/tally.h>

#include "base/fork.h"
#include "base/thread.h"
#include "ledger/act_text.h"
#include "ledger/disk.h"
#include "ledger/losses.h"
#include "ledger/paths.h"
#include "ledger/sequencer.h"

#include "model/config.h"
#include "model/filter.h"
#include "spool/drain.h"
#include "spool/spool.h"
#include "store/index.h"
#include "store/store.h"

#define TL_READERS_MAX 8u /* idle ones that are kept; more are opened and closed as needed */

/* A view of store and index for one query at a time. */
struct tl_reader {
    struct tally_store *store;
    struct tl_index *index; /* NULL without one */
    bool in_snapshot;       /* after tl_reader_begin() */
};

enum tl_request_kind {
    TL_REQUEST_EVENTS = 0,
    TL_REQUEST_CONTROL, /* a GAP */
    TL_REQUEST_ACT,
    TL_REQUEST_REDUCE /* of a ledger in memory */
};

/* A call that the thread `sequence` works off, waiting in its caller's frame. */
struct tl_request {
    struct tl_request *next;
    enum tl_request_kind kind;
    struct tl_entry *entries;
    size_t count; /* of entries, or of reductions */
    const struct tl_control *control;
    const struct tl_act_request *act;
    uint64_t seq; /* of what was sealed for `act` */
    const struct tally_reduction *reductions;
    tally_status status;
    struct tally_error error;
    bool done;
};

/*
 * What the holder of the lock has. Confined to the thread `sequence` while that runs, else to the
 * thread that opens or closes the ledger.
 */
struct tl_role {
    bool held;
    struct tally_store *store; /* for writing */
    struct tl_sequencer *sequencer;
    struct tl_drain *drain;      /* NULL in memory */
    struct tl_drain_item *items; /* TL_BATCH_EVENTS_MAX of each */
    struct tl_entry *entries;
    struct tally_receipt *receipts;
    struct tl_router *router; /* NULL before the first routed event */
    int64_t carried_us;       /* when it was last given time */
    uint32_t *origins;        /* index of the item of each entry */
    bool recheck;             /* part of what is taken next may have been dealt with already */
    int64_t drain_again_us;
    int64_t try_again_us;  /* steady clock: not before */
    int64_t tick_again_us; /* when the epoch is looked at again */
    bool tick_failed;
    int64_t swept_us; /* when old answers were last removed */
    bool reread; /* the configuration, when the lock is got: the ledger was opened some time ago */
    uint32_t failures; /* to get or use it, one after the other */
};

/* What one thread at a time may do, of all that have the ledger open in any process. */
enum tl_gate {
    TL_GATE_REMOVAL,  /* a purge or an erasure */
    TL_GATE_BATCH,    /* one batch of it; or to seal a hold, which it has to see */
    TL_GATE_SCHEDULE, /* write down what was run */
    TL_GATE_COUNT
};

struct tl_remote;

struct tally_ledger {
    /* immutable after open */
    struct tl_paths paths;
    struct tl_config config;
    struct tl_erasable_set *erasable; /* of `config`; NULL: the sequencer makes all commitments */
    struct tl_arena options_arena;
    struct tally_options options;       /* as they were given, to read the configuration again */
    char origin[TL_ORIGIN_LEN_MAX + 1]; /* "" if nothing that tells it could be read */
    bool writable;
    bool unattended;
    bool accept_clock;
    bool is_volatile;
    uint32_t generation;      /* of the process that opened it: in a forked child it only spools */
    struct tl_spool *spool;   /* NULL in memory, and read-only */
    struct tl_remote *remote; /* NULL if it is on this machine */
    struct tl_fork_watch watch;

    struct tl_role role;
    pthread_t sequence_thread;
    pthread_t index_thread;
    bool sequence_runs;
    bool index_runs; /* changed by `sequence` only; read by others under state.mu */

    struct tl_queue {
        struct tl_mutex mu;
        struct tl_cond work; /* there is a request, or a record in the spool, or stop */
        struct tl_cond done; /* a request is done */
        /* guarded by mu */
        struct tl_request *first;
        struct tl_request *last;
        int lock_fd;     /* -1 without the lock */
        bool sequencing; /* requests are served */
        bool wanted;     /* something was spooled while `sequence` slept */
        bool stop;
        tally_status stopped; /* not TALLY_OK: refuses for good, with this status and error */
        struct tally_error why;
    } queue;

    struct tl_disk disk;
    struct tl_losses losses;

    struct tl_state {
        struct tl_mutex mu;
        struct tl_cond changed;
        /* guarded by mu */
        uint64_t size;    /* durable records */
        uint64_t indexed; /* position of the index */
        bool index_stop;
        bool index_failed;
        struct tally_error index_error;
        char trouble[256]; /* why nothing can be recorded; "" if it can, or another process does */
    } state;

    struct tl_gates {
        struct tl_mutex mu;
        struct tl_cond changed;
        /* guarded by mu */
        bool taken[TL_GATE_COUNT];
        int fds[TL_GATE_COUNT]; /* of the lock files; -1 */
    } gates;

    struct tl_readers {
        struct tl_mutex mu;
        /* guarded by mu */
        struct tally_store *base; /* readers are opened from it; NULL before the first */
        struct tl_reader idle[TL_READERS_MAX];
        size_t count;
    } readers;
};

/* readers.c: lends a reader; tl_reader_put() takes it back and ends its snapshot. */
tally_status tl_reader_get(struct tally_ledger *ledger, struct tl_reader *reader_out,
                           struct tally_error *err);
tally_status tl_reader_begin(struct tl_reader *reader, struct tally_error *err);
void tl_reader_put(struct tally_ledger *ledger, struct tl_reader *reader);
void tl_readers_close(struct tally_ledger *ledger);

/* indexer.c */
tally_status tl_indexer_start(struct tally_ledger *ledger, struct tally_error *err);
void tl_indexer_stop(struct tally_ledger *ledger, bool drain);

/*
 * Enters records [index position, end) of `store`, in chunks; `progress` may be NULL. Used by the
 * thread and by tally_reindex().
 */
tally_status tl_index_fill(struct tl_index *index, struct tally_store *store, uint64_t end,
                           const struct tl_config *config, tally_progress_fn *progress, void *ctx,
                           struct tally_error *err);

/* Enters records of `ranges`, which ascend, anew, as they are in `store` now. Errors: those of
 * tl_index_rewrite() */
tally_status tl_index_redo(struct tl_index *index, struct tally_store *store,
                           const struct tl_range *ranges, size_t count,
                           const struct tl_config *config, struct tally_error *err);

/* role.c: becomes the sequencer. *elsewhere_out: another process, or handle, has the lock (and then
 * TALLY_EBUSY). After any failure nothing is held. */
tally_status tl_role_take(struct tally_ledger *ledger, bool *elsewhere_out,
                          struct tally_error *err);
/* Buffers, store and sequencer of a ledger in memory, whose role never ends. */
tally_status tl_role_prepare(struct tally_ledger *ledger, struct tally_error *err);
/* Seals an act; the lock is held. Errors: those of tl_sequencer_act() */
tally_status tl_role_act(struct tally_ledger *ledger, const struct tl_act_request *act,
                         uint64_t *seq_out, struct tally_error *err);
void tl_role_drop(struct tally_ledger *ledger, bool drain_index);
/* Whether any process holds the lock. */
bool tl_lock_is_held(const char *path);
/* The process that holds the lock; 0 nobody, -1 somebody who did not say. */
int64_t tl_lock_holder(const char *path);

/* gate.c. Errors: TALLY_EBUSY it is taken, and we are not to wait; TALLY_EIO */
tally_status tl_gate_enter(struct tally_ledger *ledger, enum tl_gate gate, bool wait,
                           struct tally_error *err);
void tl_gate_leave(struct tally_ledger *ledger, enum tl_gate gate);

/* serve.c: the thread. */
tally_status tl_sequence_start(struct tally_ledger *ledger, struct tally_error *err);
/* Seals what this process has handed in, as far as the store allows, and ends the thread. */
void tl_sequence_stop(struct tally_ledger *ledger);
/* If this process is the sequencer: hands it a request, waits, sets *status_out, and returns true. */
bool tl_queue_run(struct tally_ledger *ledger, struct tl_request *request, tally_status *status_out,
                  struct tally_error *err);
/* Whether a request would be served now. */
bool tl_queue_is_served(struct tally_ledger *ledger);
void tl_sequence_wake(struct tally_ledger *ledger);

/* drained.c: seals what lies in the spool; true if there was anything. */
bool tl_drain_serve(struct tally_ledger *ledger);

/* follow.c: spools the entries and waits for the sequencer's answers until `until_us` of the steady
 * clock. TALLY_EBUSY: they are in the spool, but not recorded yet. */
tally_status tl_follow_append(struct tally_ledger *ledger, struct tl_entry *entries, size_t count,
                              int64_t until_us, struct tally_error *err);
/* Spools an entry without waiting for anything. */
tally_status tl_follow_spool(struct tally_ledger *ledger, const struct tl_entry *entry,
                             struct tally_error *err);
/* The same for an act. Errors: those of tl_act_seal() */
tally_status tl_follow_act(struct tally_ledger *ledger, const struct tl_act_request *act,
                           uint64_t *seq_out, struct tally_error *err);
/* append.c: tally_record_act() for the thread `sequence`, which cannot wait for itself. */
tally_status tl_act_spool(struct tally_ledger *ledger, const char *action, const char *metadata,
                          struct tally_error *err);
/* Waits for one record that was spooled as strict. */
tally_status tl_follow_await(struct tally_ledger *ledger, const struct tl_spool_place *place,
                             int64_t until_us, struct tally_receipt *receipt,
                             struct tally_error *err);

/* trouble.c: why nothing is recorded, for people and for tally_activity_read(). */
void tl_trouble_note(struct tally_ledger *ledger, tally_status status,
                     const struct tally_error *error);
void tl_trouble_clear(struct tally_ledger *ledger);

/* forked.c: a ledger in the child of the process that opened it can be logged to, and closed. */
void tl_ledger_watch_forks(struct tally_ledger *ledger);
bool tl_ledger_is_inherited(const struct tally_ledger *ledger);
tally_status tl_refuse_inherited(const struct tally_ledger *ledger, struct tally_error *err);

/* facts.c: what a record is besides its event. The strings are static. */
void tl_record_facts_of(struct tl_record_facts *facts, const struct tally_record *record,
                        const struct tl_leaf *leaf, bool is_volatile);

/* open.c: paths and configuration for options; the caller releases *config_out. TALLY_ENOTSUP for a
 * remote ledger, but not by tl_options_read_any(). */
tally_status tl_options_read(const struct tally_options *options, struct tl_paths *paths_out,
                             struct tl_config *config_out, struct tally_error *err);
tally_status tl_options_read_any(const struct tally_options *options, struct tl_paths *paths_out,
                                 struct tl_config *config_out, struct tally_error *err);
tally_status tl_origin_make(char out[TL_ORIGIN_LEN_MAX + 1], const struct tl_paths *paths,
                            const char *wanted, struct tally_error *err);
tally_status tl_make_directories(const struct tl_paths *paths, struct tally_error *err);
void tl_init_result_fill(struct tally_init_result *result, const struct tl_keys *keys);
/* settings.c: reads the file again, with `settings` in front; of those with the same name the last one
 * counts. Owned: tl_config_freep(). */
tally_status tl_config_reread(const struct tally_ledger *ledger,
                              const struct tally_setting *settings, size_t count,
                              struct tl_config **config_out, struct tally_error *err);
tally_status tl_lock_take(const char *path, int *fd_out, struct tally_error *err);
tally_status tl_create_sequencer(struct tl_sequencer **sequencer_out, const struct tl_paths *paths,
                                 const struct tl_config *config, struct tally_store *store,
                                 const char *origin, struct tally_init_result *result,
                                 struct tally_error *err);

/* scheduler.c: whether the schedules can be read. TALLY_EINVAL with the place; TALLY_ENOMEM */
tally_status tl_schedule_check(const struct tl_config *config, struct tally_error *err);

/* verify.c: tally_verify_at(), where paths and configuration are known. */
tally_status tl_verify_files(const struct tl_paths *paths, const struct tl_config *config,
                             const struct tally_verify_options *options,
                             struct tally_report **report_out, struct tally_error *err);

/* events.c: hashes for trimmed members. */
void tl_event_hash(uint8_t out[32], const void *bytes, size_t len);

#endif /* TL_LEDGER_LEDGER_H */
