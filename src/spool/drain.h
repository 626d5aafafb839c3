/*
 * spool/drain.h - reads what all processes have put into a spool's directory, oldest segment first.
 *
 * One at a time per directory: who holds the ledger's lock. Confined to one thread. It keeps no
 * position on disk: after a crash segments are read from their start again, and events that are
 * recorded already are known by their ids. docs/spool-format.md says what counts as which loss, and
 * who removes what.
 */
#ifndef TL_SPOOL_DRAIN_H
#define TL_SPOOL_DRAIN_H

#include "spool/segment.h"

#define TL_DRAIN_NAME_SIZE 64u

/* Why records of a segment are missing or unusable. */
enum tl_drain_loss {
    TL_DRAIN_IN_FLIGHT = 1, /* space was reserved, and its writer ended before writing there */
    TL_DRAIN_TORN,          /* a header without a text that fits it */
    TL_DRAIN_DAMAGED,       /* bytes that are no record: moved to quarantine, not removed */
    /* counted by the caller: */
    TL_DRAIN_REFUSED, /* the ledger cannot take the record */
    TL_DRAIN_UNKEPT,  /* nor was there room to put it aside */
    TL_DRAIN_UNFIT,   /* it is whole, but neither event nor gap: see keep_aside */
    TL_DRAIN_LOSSES
};

struct tl_drain_count {
    uint64_t count;
    bool exact; /* else: at least so many */
};

/* A segment being read. Borrowed from the drain, until it is finished. */
struct tl_drain_segment {
    char name[TL_DRAIN_NAME_SIZE]; /* of the file */
    struct tl_segment header;
    bool inherited; /* was there when the drain was opened: parts may have been dealt with before */
    int64_t from_us, to_us; /* of the records read so far: when the first and last were handed in */
    struct tl_drain_count lost[TL_DRAIN_LOSSES]; /* what is the caller's to count is touched neither
                                                    by commit nor by rollback */
    bool keep_aside; /* the caller's: to quarantine, not to be removed */
};

struct tl_drain_item {
    struct tl_spool_record record; /* none is VOID; text borrowed until the next take */
    struct tl_drain_segment *segment;
    enum tl_drain_loss lost_as; /* for the caller: 0, until it finds that the record is lost */
};

struct tl_drain;

/* `dir` is copied and need not exist yet. Errors: TALLY_ENOMEM */
tally_status tl_drain_open(struct tl_drain **drain_out, const char *dir, struct tally_error *err);
void tl_drain_close(struct tl_drain *drain);

/*
 * Takes the next records, at most `max` and about `bytes_max` of text, all whole and checked. None
 * (*count_out 0) means that there is nothing now; look again later. Looks for new segments in the
 * directory, but not more often than every 20 ms. A segment that cannot be read is passed over until
 * it can; the others go on.
 *
 * Errors: TALLY_EIO the directory cannot be read; TALLY_ENOMEM. Nothing was taken.
 */
tally_status tl_drain_take(struct tl_drain *drain, struct tl_drain_item *items, size_t max,
                           size_t bytes_max, size_t *count_out, struct tally_error *err);

/* What was taken since the last call is durable elsewhere: it is not taken again. */
void tl_drain_commit(struct tl_drain *drain);

/* What was taken since the last commit will be taken again. */
void tl_drain_rollback(struct tl_drain *drain);

/*
 * A segment whose writer is gone, or has closed it, and whose records are all committed; NULL if
 * there is none. Its losses are final: declare them, then call tl_drain_finish().
 */
struct tl_drain_segment *tl_drain_ended(struct tl_drain *drain);

/* Removes a segment that tl_drain_ended() gave, or moves it to <dir>/quarantine/ if some of its
 * bytes were not understood. A failure leaves the file: it is tried again later. */
void tl_drain_finish(struct tl_drain *drain, struct tl_drain_segment *segment);

/* What lies in a spool's directory, for status: counted by reading it all, without a lock. */
struct tl_spool_segment_view {
    char name[TL_DRAIN_NAME_SIZE];
    struct tl_segment header;
    bool is_live;                          /* its writer has it locked */
    const struct tl_spool_record *records; /* whole ones, in order; texts are borrowed too */
    size_t record_count;
    bool has_damage;
};
typedef tally_status tl_spool_view_fn(void *ctx, const struct tl_spool_segment_view *view);

/* Calls `fn` for each segment, oldest first, of which void records are left out, as are files that
 * vanish meanwhile, that are still being made, or that are none; a status other than TALLY_OK ends it. A directory that
 * is not there has none. Errors: those of fn; TALLY_EIO, TALLY_ENOMEM */
tally_status tl_spool_each_segment(const char *dir, tl_spool_view_fn *fn, void *ctx,
                                   struct tally_error *err);

#endif /* TL_SPOOL_DRAIN_H */
