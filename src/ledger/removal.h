/*
 * ledger/removal.h - removes contents that a sealed act permits to be absent: for purge and erasure.
 *
 * The order: the index notes what it must forget; batch by batch, holds are looked at again and the
 * store reduces records, durably; the index is rewritten without their terms; room is given back, and
 * what was removed is cleared from logs and free pages; the note ends. A crash between two steps leaves
 * contents, or traces of them, and the note: the next removal, of whatever kind, does the rest.
 *
 * A batch is as large as takes about 50 ms, and a pause of at least the same length follows it, in
 * which writers go first. Each holds TL_GATE_BATCH (ledger/ledger.h); who seals a HOLD holds it too, so
 * that no batch is under way that has not seen it.
 */
#ifndef TL_LEDGER_REMOVAL_H
#define TL_LEDGER_REMOVAL_H

#include "ledger/act.h"
#include "ledger/ranges.h"

/* One removal at a time in a ledger, among all processes. Confined to the thread that began it. */
struct tl_removal;

/*
 * Begins: opens handles on store and index to remove with.
 *
 * Errors: TALLY_EBUSY another purge or erasure is at work; TALLY_EINVAL the ledger is open for reading
 *         only; TALLY_ENOTSUP the store cannot remove contents; TALLY_EIO, TALLY_ENOMEM
 */
tally_status tl_removal_begin(struct tl_removal **removal_out, struct tally_ledger *ledger,
                              struct tally_error *err);
void tl_removal_end(struct tl_removal **removal); /* fits TL_CLEANUP; NULL is allowed */

/* The acts as they are now, read again if there are new ones. Borrowed until the next call on
 * `removal`. */
tally_status tl_removal_acts(struct tl_removal *removal, const struct tl_acts **acts_out,
                             struct tally_error *err);

/*
 * Says what is left of a record that has contents and is on no hold. *left comes with its seq and
 * nothing left. What it is made to point to lives in `arena`, which lasts until the batch is done;
 * `record` is borrowed for the call. TALLY_ENOTFOUND passes the record over; any other failure ends
 * the removal.
 */
typedef tally_status tl_reduce_fn(void *ctx, const struct tally_record *record,
                                  struct tl_arena *arena, struct tally_reduction *left);

struct tl_removal_order {
    const struct tl_range *ranges; /* ascending, disjoint; borrowed for the call */
    size_t range_count;
    tl_reduce_fn *fn; /* NULL: nothing is left */
    void *ctx;
    tally_progress_fn *progress; /* NULL is allowed; after each batch; 1 stops */
    void *progress_ctx;
    uint64_t total; /* for progress: records to be removed in all */
};

/* What was done; each call adds to it. */
struct tl_removed {
    uint64_t records; /* reduced */
    uint64_t held;    /* passed over, for they are on hold by now */
    uint64_t bytes;   /* of the contents that went */
    uint64_t freed;   /* bytes by which the files of the ledger became smaller */
    uint64_t left;    /* about how much is still to be cleared, given back, or forgotten */
};

/*
 * Removes the contents of the records of `order`, which sealed acts cover. Records without contents
 * are passed over. May be called several times in one removal.
 *
 * Errors: TALLY_ECANCELED progress stopped it, after a whole batch; TALLY_EIO, TALLY_ENOMEM;
 *         *removed then says what was done before
 */
tally_status tl_removal_run(struct tl_removal *removal, const struct tl_removal_order *order,
                            struct tl_removed *removed, struct tally_error *err);

/* The same for the records of `bits`, some thousand runs of them at a time. The ranges of `order` are
 * not looked at. */
tally_status tl_removal_run_bits(struct tl_removal *removal, const struct tl_bits *bits,
                                 const struct tl_removal_order *order, struct tl_removed *removed,
                                 struct tally_error *err);

/* Finishes what an earlier removal could not, gives room back and clears what was removed from logs and
 * free pages, until nothing is left to do or readers are in the way for too long: removed->left. To be
 * called at the end of each removal, also if there was nothing to remove. */
tally_status tl_removal_reclaim(struct tl_removal *removal, struct tl_removed *removed,
                                struct tally_error *err);

#endif /* TL_LEDGER_REMOVAL_H */
