/*
 * spool/spool.h - where events wait for the ledger: written by any thread of one process.
 *
 * Writers reserve space in the segment in use with one atomic operation and fill it with one
 * pwrite(); they take no lock unless the segment is full. A thread of the spool syncs, prepares the
 * next segment and closes what is full. Segments lie in a directory that many processes share; a
 * segment is locked (flock) for as long as its writer may still write to it. Who removes them, and
 * only after their records are durable elsewhere, is the reader: spool/drain.h.
 */
#ifndef TL_SPOOL_SPOOL_H
#define TL_SPOOL_SPOOL_H

#include "spool/segment.h"

#define TL_SPOOL_SUFFIX    ".seg" /* <UUIDv7 as hex>.seg: sorted by name is sorted by age */
#define TL_SPOOL_NAME_SIZE 40u

/* Internally synchronised. Survives fork(): the child shares nothing and writes its own segments. */
struct tl_spool;

struct tl_spool_options {
    const char *dir;           /* exists; copied */
    uint32_t segment_bytes;    /* 64 KiB to 256 MiB; raised if the largest record would not fit */
    uint64_t bytes_max;        /* of this spool's segments that are still there; one may always be,
                                  and never more than 4,096 */
    uint32_t sync_interval_ms; /* what was written is synced after at most so long; 0: never */
    uint32_t segment_age_ms; /* a segment that holds something is closed after so long; 0: never */
    void (*on_write)(void *ctx); /* once after tl_spool_arm(); on a writer's thread; may be NULL */
    void *ctx;
};

/*
 * Takes no disk space yet: the first write makes the first segment, and starts the thread.
 * Removes what processes left that died while they made a segment.
 * Errors: TALLY_EINVAL an option is out of range; TALLY_EIO no such directory; TALLY_ENOMEM
 */
tally_status tl_spool_open(struct tl_spool **spool_out, const struct tl_spool_options *options,
                           struct tally_error *err);

/* Syncs what was written, closes the segments (the reader may then finish them) and frees. No other
 * thread may be inside a call. NULL is allowed. Never waits for the reader. */
void tl_spool_close(struct tl_spool *spool);

/* How far an event has come. Values as of enum tally_level. */
enum tl_spool_level { TL_SPOOL_NONE = 0, TL_SPOOL_QUEUED = 1, TL_SPOOL_SYNCED = 2 };

/* What became of a record, and where a reader will find it. */
struct tl_spool_place {
    enum tl_spool_level level;
    uint32_t index;                   /* in its segment */
    char segment[TL_SPOOL_NAME_SIZE]; /* name of the file; "" with TL_SPOOL_NONE */
};

/*
 * Writes one record, index excepted, whose text lies at room + TL_SPOOL_HEADER_LEN; room has
 * tl_spool_span() bytes and is changed. Waits for space, and for the disk if `level` is
 * TL_SPOOL_SYNCED, until tl_clock->steady_us() is `until_us`; a time that is past means not to wait.
 * Making a segment is a part of writing: up to 50 ms are spent even then, if another thread is at it.
 * place_out->level is what was reached, also on failure: TL_SPOOL_NONE says that the record will
 * never be seen by a reader.
 *
 * Errors: TALLY_ELIMIT the spool has bytes_max and the reader did not make room in time
 *         TALLY_EIO    the disk is full (err->os_errno ENOSPC), fails, or does not answer in time
 *                      (ETIMEDOUT); another segment was tried. For 20 ms other writes that need a
 *                      new segment fail at once. Or: written, but it could not be synced
 *         TALLY_EBUSY  written, but not synced in time
 *         TALLY_EINVAL the text is longer than TL_SPOOL_TEXT_MAX
 */
tally_status tl_spool_write(struct tl_spool *spool, const struct tl_spool_record *record,
                            uint8_t *room, enum tl_spool_level level, int64_t until_us,
                            struct tl_spool_place *place_out, struct tally_error *err);

/*
 * Makes everything that was written before the call survive power loss; waits at most until
 * `until_us`. Errors: TALLY_EBUSY not in time; TALLY_EIO, also, once, if something that was written
 * before could be neither synced nor copied, and was closed for the reader as it is
 */
tally_status tl_spool_sync(struct tl_spool *spool, int64_t until_us, struct tally_error *err);

/* Closes the segment in use, if it holds anything, so that the reader can finish and remove it. */
void tl_spool_rotate(struct tl_spool *spool);

/* Allows one segment beyond bytes_max, for what has to be said before the end. */
void tl_spool_lift(struct tl_spool *spool);

/* Whether the reader has removed every segment that this spool ever closed, and the one in use is
 * empty. Looks at the directory. */
bool tl_spool_is_drained(struct tl_spool *spool);

/* The same, whatever the one in use holds: after tl_spool_rotate(), whether all that was written
 * before it has been dealt with. */
bool tl_spool_is_read(struct tl_spool *spool);

/* Asks for one call of on_write after the next write. */
void tl_spool_arm(struct tl_spool *spool);

/* Counts since it was opened (in a forked child: since the fork). */
struct tl_spool_counts {
    uint64_t records;      /* written */
    uint64_t bytes;        /* of the segments that are still there, this moment */
    uint64_t segments;     /* made */
    uint64_t waits;        /* writes that had to wait for space */
    uint64_t syncs;        /* done */
    uint64_t failed_syncs; /* each was followed by a new segment */
    uint64_t failed_writes;
    int64_t longest_wait_us;
};
void tl_spool_count(struct tl_spool *spool, struct tl_spool_counts *counts_out);

#endif /* TL_SPOOL_SPOOL_H */
