/*
 * spool/spool_impl.h - what the files of the spool's writing side share.
 *
 *   spool_write.c     the caller's path: reserve, fill, wait for space or for the disk
 *   spool_segments.c  the life of a segment: from a slot that is free to a file that is closed
 *   spool_files.c     the same on disk: one file at a time, no locks but `files`
 *   spool_sync.c      rounds of fdatasync, and what follows when one fails
 *   spool_work.c      the thread: what is due when
 *   spool.c           opening, closing, forking, counting
 *
 * A segment is a slot, and slots live as long as the spool. So a thread that has read `active` and
 * then slept for an hour may still try to reserve there: what it finds in `state` is a segment that
 * is open for writing now, whichever it is, or SEALED. Only from a reservation to `completed` does
 * the writer hold the descriptor, and no segment is closed while these two differ.
 */
#ifndef TL_SPOOL_SPOOL_IMPL_H
#define TL_SPOOL_SPOOL_IMPL_H

#include <stdatomic.h>

#include "base/fork.h"
#include "base/thread.h"
#include "spool/spool.h"

/* Descriptors that one spool may have open. As many segments fill up while a disk hangs in
 * fdatasync; two of them are kept for what a failed one leaves to be copied. */
#define TL_SPOOL_SLOTS         64u
#define TL_SPOOL_SLOTS_WRITERS (TL_SPOOL_SLOTS - 2)

/* Closed segments that wait for the reader, whatever bytes_max allows: each is asked for by name
 * whenever a writer waits for space. */
#define TL_SPOOL_CLOSED_MAX 4096u

#define TL_SPOOL_ID_LEN      16u
#define TL_SPOOL_ID_TEXT_LEN (2 * (size_t)TL_SPOOL_ID_LEN)

/* struct tl_spool_segment.state: where the next record goes. */
#define TL_STATE_SEALED      (UINT64_C(1) << 63) /* nothing may be reserved any more, or yet */
#define TL_STATE_INDEX_ONE   (UINT64_C(1) << 40) /* 23 bits: more records than 256 MiB can hold */
#define TL_STATE_OFFSET_MASK (TL_STATE_INDEX_ONE - 1)

/* struct tl_spool.attention: what a writer looks at after each write. */
enum {
    TL_ATTENTION_ARMED = 1,  /* call on_write */
    TL_ATTENTION_ASLEEP = 2, /* the thread waits for something to be written */
};

enum tl_slot_use {
    TL_SLOT_FREE = 0,
    TL_SLOT_MAKING, /* its file is being made, by one thread and without the lock */
    TL_SLOT_READY,  /* prepared: will be active next */
    TL_SLOT_ACTIVE,
    TL_SLOT_RETIRED, /* sealed; some writers may not be done */
    TL_SLOT_CLOSED   /* the file is, but somebody waits to hear whether it was synced */
};

/*
 * Hot fields stand 64 bytes apart, each on a line of its own. `fd`, `nonce` and names are written
 * while `state` is SEALED, read by writers after they reserved, and constant until the last of these has
 * added to `completed`.
 */
struct tl_spool_segment {
    /* SEALED | index of the next record | its offset. Opened with release by activate(); writers
     * reserve with acquire, and so see fd and nonce; sealed by retire(). */
    _Atomic uint64_t state;
    uint8_t pad_state[56];
    /* Records whose writers are done with the file, in whatever way. Added to with release; when
     * it equals the final index, read with acquire, nobody uses the descriptor. */
    _Atomic uint32_t completed;
    uint8_t pad_completed[60];

    int fd; /* -1: none. Changes under `files` */
    uint64_t nonce;
    int64_t created_us; /* the time in its name: later than that of every one before */
    uint8_t id[TL_SPOOL_ID_LEN];
    char *path;     /* <dir>/<id>.seg */
    char *name;     /* the last part of path */
    char *path_new; /* <dir>/<id>.new: its name until it is locked and has a header */

    /* guarded by mu */
    enum tl_slot_use use;
    uint32_t failed;       /* records that are not there: their place is void, or a hole */
    uint32_t holes;        /* of these: not even marked as void */
    uint32_t waiters;      /* in SYNCED writes; the slot is not used again before they are gone */
    int64_t first_us;      /* when a first record was noticed; 0: none yet */
    int64_t dirty_us;      /* when something to be synced was noticed; 0: nothing */
    uint32_t synced_count; /* `completed` before the last fdatasync that succeeded */
    uint64_t synced_round; /* the round of it; UINT64_MAX: nothing of it was or can be lost */
    bool has_name_synced;  /* the directory was synced after the file got its name */
    bool is_bad;           /* an fdatasync failed: there will never be another one on it */
    uint8_t rescues;       /* attempts to copy a bad one */
    bool is_settled;       /* complete, and synced, copied or given up: may be closed */
};

struct tl_spool {
    _Atomic(struct tl_spool_segment *) active; /* NULL: none; written under mu, a hint to writers */
    _Atomic uint32_t attention;                /* set by tl_spool_arm() and the thread */
    uint32_t size;                             /* of every segment */
    uint32_t segments_max;
    uint32_t half; /* the offset at which the next one is prepared */
    void (*on_write)(void *ctx);
    void *ctx;
    struct tl_spool_segment *slots; /* TL_SPOOL_SLOTS of them */

    /* immutable */
    uint32_t sync_interval_ms, segment_age_ms;
    char *dir;
    int dir_fd;
    char *paths;       /* of all slots */
    char *closed_path; /* of whoever is pruning */
    uint8_t *copy;     /* room for a record: of whoever is working */
    size_t copy_len;
    struct tl_fork_watch watch;

    /* Held from before a file is opened until its descriptor is in its slot, and while one is
     * closed: so a forked child knows all descriptors that it has to close. Before mu. */
    struct tl_mutex files;

    struct tl_mutex mu;
    struct tl_cond work;    /* the thread has something to do */
    struct tl_cond changed; /* a segment was made or closed, room was found, a round ended */
    struct tl_cond make;    /* a segment is wanted */
    pthread_t thread;
    pthread_t maker; /* makes segments, so that no caller waits for a disk beyond its bound */
    /* guarded by mu */
    bool has_thread;
    bool has_maker;
    bool is_stopping;
    bool is_working; /* one at a time does rounds, closes and rescues: the thread, or a caller */
    bool is_making;  /* one at a time makes the next segment */
    bool is_pruning; /* one at a time looks which of the closed ones are gone */
    bool wants_next; /* the active one is half full */
    int64_t last_name_us;
    int64_t next_make_us;     /* preparing failed: not before this */
    int64_t refused_until_us; /* writing failed twice: not tried before this ... */
    int refused_errno;        /* ... but refused for the same reason */
    uint64_t round_wanted, round_begun, round_done, round_synced; /* numbers of rounds */
    int round_errno;                                              /* why the last one failed */
    int64_t hold_until_us; /* syncing and copying failed: not tried before this */
    uint32_t hold_ms;
    bool has_lost; /* records could be neither synced nor copied, and no sync has told yet */
    uint8_t (*closed)[TL_SPOOL_ID_LEN]; /* those that are still there, at the last look */
    uint32_t closed_count;
    struct tl_spool_counts counts; /* `records` without those of open segments */
};

static inline uint32_t tl_state_count(uint64_t state)
{
    return (uint32_t)((state & ~TL_STATE_SEALED) >> 40);
}

static inline uint64_t tl_state_offset(uint64_t state)
{
    return state & TL_STATE_OFFSET_MASK;
}

/* spool_files.c: what may take long, on one segment that nobody else has. */

/* Bytes of the path of a segment, NUL included. */
size_t tl_spool_path_size(const struct tl_spool *spool);
/* Makes <id>.seg: whole, locked, with a header. Errors: TALLY_EIO; nothing is left then. */
tally_status tl_spool_file_make(struct tl_spool *spool, struct tl_spool_segment *segment,
                                struct tally_error *err);
/* Returns to the disk what a segment has no record in from `used` on. */
void tl_spool_file_give_back(const struct tl_spool *spool, const struct tl_spool_segment *segment,
                             uint64_t used);
/* Unlocks it and closes the descriptor; removes the file first if `removes`. */
void tl_spool_file_close(struct tl_spool *spool, struct tl_spool_segment *segment, bool removes);
/* Syncs data, and the directory if the name is new. Returns 0 or errno. */
int tl_spool_file_sync(const struct tl_spool *spool, const struct tl_spool_segment *segment);
/* Removes what processes left that died while they made a segment. */
void tl_spool_files_sweep(struct tl_spool *spool);
/* Whether the file of a closed segment is there; if that cannot be known, it is. For whoever is
 * pruning. */
bool tl_spool_file_exists(const struct tl_spool *spool, const uint8_t id[TL_SPOOL_ID_LEN]);

/* spool_segments.c */

/* Takes a free slot for a new segment; NULL if `in_use_max` are in use. */
struct tl_spool_segment *tl_spool_take_slot(struct tl_spool *spool, uint32_t in_use_max)
    TL_REQUIRES(spool->mu);
void tl_spool_free_slot(struct tl_spool_segment *segment);
/* Makes a segment READY. Releases the lock meanwhile; only one at a time (is_making). */
tally_status tl_spool_make_next(struct tl_spool *spool, struct tally_error *err)
    TL_REQUIRES(spool->mu);
struct tl_spool_segment *tl_spool_find_use(struct tl_spool *spool, enum tl_slot_use use)
    TL_REQUIRES(spool->mu);
void tl_spool_activate(struct tl_spool *spool, struct tl_spool_segment *segment)
    TL_REQUIRES(spool->mu);
/* From now on nothing is reserved in the active segment. */
void tl_spool_retire(struct tl_spool *spool, struct tl_spool_segment *segment)
    TL_REQUIRES(spool->mu);
/* Whether all that was reserved in a sealed segment is done. */
bool tl_spool_is_complete(const struct tl_spool_segment *segment);
/* Closes a segment that nobody writes to. Releases the lock meanwhile; for who is working. */
void tl_spool_close_segment(struct tl_spool *spool, struct tl_spool_segment *segment)
    TL_REQUIRES(spool->mu);
/* Files of this spool that are there, as far as is known. */
uint32_t tl_spool_file_count(const struct tl_spool *spool) TL_REQUIRES(spool->mu);
/* Whether writers may have another segment now. */
bool tl_spool_has_room(const struct tl_spool *spool) TL_REQUIRES(spool->mu);
/* Looks which of the closed ones are gone. Releases the lock meanwhile. */
void tl_spool_prune(struct tl_spool *spool) TL_REQUIRES(spool->mu);

/* spool_sync.c */

/* The number of a round that has not begun: it covers what is complete now. */
uint64_t tl_spool_want_round(struct tl_spool *spool) TL_REQUIRES(spool->mu);
/* Syncs every segment that needs it. Releases the lock meanwhile; for who is working. */
void tl_spool_run_round(struct tl_spool *spool) TL_REQUIRES(spool->mu);

/* spool_work.c */

/* Tries again if there is none. */
void tl_spool_start_threads(struct tl_spool *spool) TL_REQUIRES(spool->mu);
/* Tells the thread that something may be due; without a thread, does it here. */
void tl_spool_notify(struct tl_spool *spool) TL_REQUIRES(spool->mu);
/* Waits for a change, at most until `until_us`; without a thread, does what is due instead. */
void tl_spool_wait(struct tl_spool *spool, int64_t until_us) TL_REQUIRES(spool->mu);

#endif /* TL_SPOOL_SPOOL_IMPL_H */
