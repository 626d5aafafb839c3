/* ledger/opening.h - what opens the commitment of a record, from what the store holds of it. */
#ifndef TL_LEDGER_OPENING_H
#define TL_LEDGER_OPENING_H

#include "evidence/opening.h"
#include "store/store.h"
#include "verify/excuses.h"

/* Why an entry has no content, as the verifier will judge it. What has no reason at all is "evicted",
 * which only a ledger in memory may do. */
enum tl_opening_state tl_opening_absent(const struct tl_excuse_scope *scope,
                                        const struct tl_leaf *leaf);

/*
 * Fills in what is of TL_OPENING_CONTENT; `set` was in force at the record, whose bytes are borrowed.
 * `withhold` may be NULL; `split` and `rest` as for tl_opening_fill(). Errors: TALLY_ECORRUPT the record
 * does not open; those of tl_opening_fill()
 */
tally_status tl_opening_of(struct tl_opening *out, const struct tally_record *record,
                           const struct tl_erasable_set *set,
                           const struct tl_erasable_set *withhold, struct tl_split *split,
                           struct tl_buf *rest, struct tally_error *err);

#endif /* TL_LEDGER_OPENING_H */
