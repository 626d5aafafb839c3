/*
 * ledger/reapply.h - the acts that a backup does not know yet, taken from a bundle of the lost ledger
 * and done again: what was purged or erased does not come back, and what was on hold stays on hold.
 */
#ifndef TL_LEDGER_REAPPLY_H
#define TL_LEDGER_REAPPLY_H

#include "evidence/trust.h"
#include "ledger/ranges.h"
#include "ledger/removal.h"

/* An act of the lost ledger, cut to the records that the backup has. */
struct tl_lost_act {
    uint64_t seq; /* there */
    struct tl_control control;
};

/* What a bundle says beyond the backup. Confined to one thread. */
struct tl_reapply {
    uint64_t size; /* of the bundle */
    uint8_t root[TALLY_HASH_LEN];
    uint64_t from_size;
    struct tl_arena arena; /* of the acts */
    struct tl_lost_act *acts;
    size_t count;
    size_t capacity;
    struct tl_bits there; /* contents that the bundle shows: no purge had removed them */
};

/*
 * Reads the HOLD, RELEASE, PURGE and ERASE records from `from_size` on of the bundle or tlog-tiles
 * directory `dir`, which must be VERIFIED by `trust`, and hold the backup's root at its size. The caller
 * releases *out, also on failure.
 *
 * Errors: TALLY_EINVAL    it is no bundle
 *         TALLY_ECORRUPT  it does not verify, or is of another ledger
 *         TALLY_ECONFLICT FORK; ROLLBACK: it is older than the backup
 *         TALLY_EDENIED   one of the acts needs an approval, which holds for the lost ledger alone
 */
tally_status tl_reapply_read(struct tl_reapply *out, const char *dir, const struct tl_trust *trust,
                             uint64_t from_size, const uint8_t from_root[TALLY_HASH_LEN],
                             struct tally_error *err);
void tl_reapply_release(struct tl_reapply *reapply);

/* Whether `root` is that of the first `size` records of the bundle at `dir`, size <= that of the bundle. */
tally_status tl_reapply_has_root(const char *dir, uint64_t size, const uint8_t root[TALLY_HASH_LEN],
                                 bool *has_out, struct tally_error *err);

/*
 * Seals the acts again in a restored ledger, in their order, each naming the lost one as `origin`, and
 * removes what they cover. *records_out: how many records it removed contents from.
 */
tally_status tl_reapply_run(const struct tl_reapply *reapply, struct tally_ledger *ledger,
                            const char *by, const char *origin, uint64_t *records_out,
                            struct tally_error *err);

#endif /* TL_LEDGER_REAPPLY_H */
