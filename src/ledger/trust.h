/* ledger/trust.h - trust files, and the keys that a ledger names itself. */
#ifndef TL_LEDGER_TRUST_H
#define TL_LEDGER_TRUST_H

#include "evidence/trust.h"
#include "ledger/keys.h"
#include "store/store.h"

/* Reads a trust file. The caller frees *trust_out with tl_free(). */
tally_status tl_trust_read(struct tl_trust **trust_out, const char *path, struct tally_error *err);

/*
 * The keys in the ledger's own GENESIS, and in each RESTORE and KEY since. They prove nothing about the past: for a ledger in memory,
 * whose keys live and end with this very process, and to be pinned on first use.
 */
tally_status tl_trust_from_genesis(struct tl_trust **trust_out, struct tally_store *store,
                                   struct tally_error *err);

/*
 * Adds the log key and the first epoch key of an incarnation to `trust`, and writes what an auditor who
 * trusts them must pin: kept beside the keys until it is kept elsewhere. TALLY_ELIMIT: it is full
 */
tally_status tl_trust_write(struct tl_trust *trust, const struct tl_keys *keys, const char *path,
                            struct tally_error *err);

/*
 * Refuses to make a record of `kind`, whose content is known only when it is sealed, if the ledger's own
 * trust file asks for a second signature of such records: it could not be given.
 *
 * Errors: TALLY_ENOTSUP; those of tl_trust_read()
 */
tally_status tl_refuse_approval(const struct tl_paths *paths, enum tl_leaf_kind kind,
                                struct tally_error *err);

#endif /* TL_LEDGER_TRUST_H */
