/* ledger/entry.h - makes an event that is canonical already ready for the sequencer. */
#ifndef TL_LEDGER_ENTRY_H
#define TL_LEDGER_ENTRY_H

#include "ledger/sequencer.h"

/*
 * Fills in *entry and the id of *receipt from a canonical event; `flags` is enum tl_spool_flags.
 * Borrows text and receipt. Errors: TALLY_ECORRUPT, TALLY_EINVAL for what is no such event.
 */
tally_status tl_entry_prepare(struct tl_entry *entry, struct tally_receipt *receipt,
                              const struct tl_config *config, struct tl_str text, uint32_t flags);

/*
 * Makes the commitment to a canonical event, with a fresh seed. `split` and `scratch` are the calling
 * thread's, changed. Errors: TALLY_ECORRUPT it is no canonical object, TALLY_ENOMEM
 */
tally_status tl_commitment_make(struct tl_commitment *out, const struct tl_erasable_set *set,
                                struct tl_str event, struct tl_split *split,
                                struct tl_buf *scratch);

/* The failure that a receipt tells of; TALLY_OK if it tells of none. */
tally_status tl_receipt_failure(const struct tally_receipt *receipt, struct tally_error *err);

/* Copies an id that stands between quotes to out, of 132 bytes, without escapes. */
tally_status tl_id_copy(char *out, struct tl_str raw);

#endif /* TL_LEDGER_ENTRY_H */
