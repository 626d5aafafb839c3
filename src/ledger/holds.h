/* ledger/holds.h - the holds of a ledger, gathered from its acts. */
#ifndef TL_LEDGER_HOLDS_H
#define TL_LEDGER_HOLDS_H

#include <tally/lifecycle.h>

#include "base/str.h"
#include "store/store.h"

/* Calls `fn` for each hold in the order in which they were set. */
tally_status tl_holds_each(struct tally_store *store, tally_hold_fn *fn, void *ctx,
                           struct tally_error *err);

/* The note of a HOLD leaf that has a reminder: "expires 2027-01-01T00:00:00Z". */
#define TL_HOLD_NOTE_SIZE 40u
void tl_hold_note_write(char out[TL_HOLD_NOTE_SIZE], int64_t expires_us);

/* TALLY_EINVAL for any other text. */
tally_status tl_hold_note_read(int64_t *expires_us_out, struct tl_str note);

#endif /* TL_LEDGER_HOLDS_H */
