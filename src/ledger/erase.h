/*
 * ledger/erase.h - the parts of tally_erase(): which records, what is left of them, and the end of
 * erasures that were cut short.
 */
#ifndef TL_LEDGER_ERASE_H
#define TL_LEDGER_ERASE_H

#include "evidence/reduce.h"
#include "ledger/policies.h"
#include "ledger/ranges.h"
#include "ledger/removal.h"

#define TL_ERASE_RUNS_MAX \
    ((size_t)4 << 20) /* runs of neighbouring records in one erasure: 64 MiB */

/* What is erased of each record, and with what. Large: allocate. Confined to one thread. */
struct tl_eraser {
    bool whole;
    struct tl_erasable_set members; /* if not */
    struct tl_policies policies;
    struct tl_reducer reducer;
    uint64_t erased; /* members, so far */
};

/*
 * Pointers in any order; none: whole contents.
 * Errors: TALLY_EINVAL a pointer is none, or lies within another; TALLY_ENOMEM
 */
tally_status tl_eraser_new(struct tl_eraser **eraser_out, const struct tl_str *pointers,
                           size_t count, struct tally_error *err);

/* Reads the policies, or once more, from a store that a reader has a snapshot of: before records of
 * that snapshot are reduced. Errors: those of tl_policies_read() */
tally_status tl_eraser_read(struct tl_eraser *eraser, struct tally_store *store,
                            struct tally_error *err);
void tl_eraser_free(struct tl_eraser **eraser); /* fits TL_CLEANUP */

/* Is a tl_reduce_fn; `ctx` is the eraser. */
tally_status tl_eraser_reduce(void *ctx, const struct tally_record *record, struct tl_arena *arena,
                              struct tally_reduction *left);

/* What an erasure is about. */
struct tl_erase_found {
    struct tl_ranges records; /* to be erased: there, and not on hold */
    uint64_t matched;
    uint64_t held;
    uint64_t gone;
    uint64_t members;
    uint64_t bytes;
    char hold[65]; /* one that is in the way */
};

/*
 * Finds the records of the options, among those that were there when `acts` and the eraser's policies
 * were read. The caller releases found->records, also on failure. Errors: TALLY_EINVAL, TALLY_EREFUSED the options make no sense, or a record has a
 * member that its policy does not set apart; TALLY_ELIMIT, TALLY_ECORRUPT, TALLY_EIO, TALLY_ENOMEM
 */
tally_status tl_erase_find(struct tl_erase_found *found, struct tally_ledger *ledger,
                           const struct tally_erase_options *options, struct tl_eraser *eraser,
                           const struct tl_acts *acts, struct tally_error *err);

/* The name of a hold that is active on the record, or absent. Borrowed from the acts. */
struct tl_str tl_hold_on(struct tl_excuse_scope *scope, uint64_t seq);

/*
 * Removes what ERASE leaves cover and is there all the same: what a process that ended in between has
 * left of the newest, and of all what was put on hold afterwards and is not any more. It is called before
 * another one is sealed.
 */
tally_status tl_erase_finish(struct tl_removal *removal, struct tally_ledger *ledger,
                             struct tl_removed *removed, struct tally_error *err);

/* How many records have contents that it would remove. *seq_out is the newest ERASE, or
 * TALLY_SEQ_NONE. */
tally_status tl_erase_left(struct tally_store *store, uint64_t *seq_out, uint64_t *records_out,
                           struct tally_error *err);

#endif /* TL_LEDGER_ERASE_H */
