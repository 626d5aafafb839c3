/*
 * store/store_copy.h - a store copied into a SQLite file, whole or what came since the last time.
 *
 * Everything that changes an older copy is one transaction: until tl_store_copy_commit() the file is
 * what it was, after a crash too. A copy made anew is filled in several, and worth nothing before the
 * commit; the caller knows whether there was one.
 */
#ifndef TL_STORE_STORE_COPY_H
#define TL_STORE_STORE_COPY_H

#include "store/store.h"

struct tl_store_copy; /* opaque; one thread */

enum tl_store_copy_mode {
    TL_STORE_COPY_NEW = 0, /* what is left of an attempt before is removed */
    TL_STORE_COPY_UPDATE = 1
};

/* What was done so far. */
struct tl_store_copied {
    uint64_t from;    /* records that were there before */
    uint64_t size;    /* records there are */
    uint64_t reduced; /* older records whose contents were taken away now */
    uint64_t bytes;   /* that were handed to the store */
};

/* Opens the file at `path` and begins. Errors: those of opening a store; TALLY_EBUSY somebody writes */
tally_status tl_store_copy_open(struct tl_store_copy **copy_out, const char *path,
                                enum tl_store_copy_mode mode, struct tally_error *err);

/* The copy as a store, for reading, with all that was done to it. Borrowed; its owner neither begins
 * nor appends anything in it. */
struct tally_store *tl_store_copy_view(struct tl_store_copy *copy);

/* Told after every some thousand records; a status other than TALLY_OK ends the copying. */
typedef tally_status tl_store_copy_fn(void *ctx, uint64_t done, uint64_t total);

/*
 * Takes over what the copy lacks of `from`, a reader in a snapshot, and takes away contents that are
 * gone there. That the copy is an older state of the same ledger is for the caller to have checked.
 */
tally_status tl_store_copy_fill(struct tl_store_copy *copy, struct tally_store *from,
                                tl_store_copy_fn *progress, void *ctx,
                                struct tl_store_copied *copied_out, struct tally_error *err);

/*
 * Makes it durable, and clears log and pages of what was taken away. TALLY_EBUSY: it is durable, but
 * they could not be cleared because somebody reads the copy; an update, later, makes up for it.
 */
tally_status tl_store_copy_commit(struct tl_store_copy *copy, struct tally_error *err);

/* Forgets what was not committed. NULL is allowed. */
void tl_store_copy_close(struct tl_store_copy *copy);
void tl_store_copy_closep(struct tl_store_copy **copy);

#endif /* TL_STORE_STORE_COPY_H */
