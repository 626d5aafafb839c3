/*
 * bundle/bundle.h - an evidence bundle, or a tlog-tiles directory, as a store that is only read, so
 * that it is checked like any ledger. Every file of it is hostile: bounded, and never believed.
 */
#ifndef TL_BUNDLE_BUNDLE_H
#define TL_BUNDLE_BUNDLE_H

#include "store/store.h"
#include "verify/verify.h"

/* Whether `dir` looks like one: it has a file `checkpoint` and a directory `tile`, and no part of a
 * ledger. */
bool tl_bundle_is(const char *dir);

/*
 * Opens the bundle at `dir` for reading. Whatever is there opens; what is missing or wrong shows when
 * it is read, and in self_check(). End it with tl_store_close().
 *
 * Errors: TALLY_EIO, TALLY_ENOMEM, TALLY_EINVAL (the path is too long); TALLY_ELIMIT the checkpoint
 *         claims so many leaves more than there are entries that there is no use in looking
 */
tally_status tl_bundle_open(struct tally_store **store_out, const char *dir,
                            struct tally_error *err);

/* For the verification of such a store, which must outlive the result. */
struct tl_handover tl_bundle_handover(struct tally_store *store);

#endif /* TL_BUNDLE_BUNDLE_H */
