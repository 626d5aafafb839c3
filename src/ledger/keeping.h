/*
 * ledger/keeping.h - until which day the rules in force now keep a record, whatever was sealed.
 *
 * Records are shown to it in order of seq, because what the days of a class count from is said by the
 * policy of its time.
 */
#ifndef TL_LEDGER_KEEPING_H
#define TL_LEDGER_KEEPING_H

#include <tally/store.h>

#include "evidence/control.h"
#include "model/retention.h"

#define TL_CLASS_COUNT 65536u

/* Large: allocate. Confined to one thread. */
struct tl_keeping {
    const struct tl_retention *rules;
    struct tl_arena arena;
    uint8_t by_occurred[TL_CLASS_COUNT / 8]; /* which classes of the policy at hand count from it */
};

void tl_keeping_init(struct tl_keeping *keeping, const struct tl_retention *rules);
void tl_keeping_release(struct tl_keeping *keeping);

/* Shows it a control record. Errors: TALLY_ECORRUPT, TALLY_ENOMEM */
tally_status tl_keeping_control(struct tl_keeping *keeping, const struct tl_leaf *leaf,
                                const struct tally_record *record, struct tally_error *err);

/* The day since 1970 of a record with contents; what cannot be read is kept for ever. */
uint32_t tl_keeping_until(const struct tl_keeping *keeping, const struct tl_leaf *leaf,
                          const struct tally_record *record);

#endif /* TL_LEDGER_KEEPING_H */
