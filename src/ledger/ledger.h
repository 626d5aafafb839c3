/*
 * ledger/ledger.h - an open ledger: its parts, threads and locks.
 *
 * Threads of a ledger open for writing: `sequence` seals what callers hand in, `index` feeds the
 * search index. Lock order: queue.mu, state.mu, readers.mu; none is held while another layer works.
 */
#ifndef TL_LEDGER_LEDGER_H
#define TL_LEDGER_LEDGER_H

#include <tally/tally.h>

#include "base/thread.h"
#include "ledger/paths.h"
#include "ledger/sequencer.h"

#include "model/config.h"
#include "model/filter.h"
#include "store/index.h"
#include "store/store.h"

#define TL_READERS_MAX 8u /* idle ones that are kept; more are opened and closed as needed */

/* A view of store and index for one query at a time. */
struct tl_reader {
    struct tally_store *store;
    struct tl_index *index; /* NULL without one */
    bool in_snapshot;       /* after tl_reader_begin() */
};

/* A call of tally_append_events() or tally_declare_gap(), waiting in its caller's frame. */
struct tl_request {
    struct tl_request *next;
    struct tl_entry *entries; /* NULL for a control leaf */
    size_t count;
    const struct tl_control *control;
    tally_status status;
    struct tally_error error;
    bool done;
};

struct tally_ledger {
    /* immutable after open */
    struct tl_paths paths;
    struct tl_config config;
    char origin[TL_ORIGIN_LEN_MAX + 1];
    bool writable;
    bool is_volatile;
    bool has_index;
    int lock_fd;                    /* -1 without the lock */
    struct tally_store *store;      /* for writing, with the sequencer; or the first reader */
    struct tl_sequencer *sequencer; /* NULL if read-only; confined to `sequence` once that runs */
    pthread_t sequence_thread;
    pthread_t index_thread;
    bool sequence_runs;
    bool index_runs;

    struct tl_queue {
        struct tl_mutex mu;
        struct tl_cond work; /* there is a request, or stop */
        struct tl_cond done; /* a request is done */
        /* guarded by mu */
        struct tl_request *first;
        struct tl_request *last;
        bool stop;
    } queue;

    struct tl_state {
        struct tl_mutex mu;
        struct tl_cond changed;
        /* guarded by mu */
        uint64_t size;    /* durable records */
        uint64_t indexed; /* position of the index */
        bool index_stop;
        bool index_failed;
        struct tally_error index_error;
    } state;

    struct tl_readers {
        struct tl_mutex mu;
        /* guarded by mu */
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

/* queue.c */
tally_status tl_queue_start(struct tally_ledger *ledger, struct tally_error *err);
void tl_queue_stop(struct tally_ledger *ledger);
/* Hands a request to the sequencer and waits; returns its status, with details in err. */
tally_status tl_queue_run(struct tally_ledger *ledger, struct tl_request *request,
                          struct tally_error *err);

/* facts.c: what a record is besides its event. The strings are static. */
void tl_record_facts_of(struct tl_record_facts *facts, const struct tally_record *record,
                        const struct tl_leaf *leaf, bool is_volatile);

/* open.c: paths and configuration for options; the caller releases *config_out. */
tally_status tl_options_read(const struct tally_options *options, struct tl_paths *paths_out,
                             struct tl_config *config_out, struct tally_error *err);
tally_status tl_lock_take(const char *path, int *fd_out, struct tally_error *err);

/* verify.c: tally_verify_at(), where paths and configuration are known. */
tally_status tl_verify_files(const struct tl_paths *paths, const struct tl_config *config,
                             const struct tally_verify_options *options,
                             struct tally_report **report_out, struct tally_error *err);

/* events.c: hashes for trimmed members. */
void tl_event_hash(uint8_t out[32], const void *bytes, size_t len);

#endif /* TL_LEDGER_LEDGER_H */
