/*
 * project/witness.h - what is said to a witness and what it answers (c2sp.org/tlog-witness,
 * c2sp.org/tlog-cosignature). Computes over bytes; sends nothing.
 */
#ifndef TL_PROJECT_WITNESS_H
#define TL_PROJECT_WITNESS_H

#include "base/buf.h"
#include "evidence/note.h"
#include "tree/tree.h"

/* Appends the body of an add-checkpoint request: the checkpoint in `note`, and the proof that the
 * tree of `old_size` leaves, the newest that the witness is believed to know, is its start. */
void tl_witness_request(struct tl_buf *out, uint64_t old_size, const struct tl_proof *proof,
                        struct tl_str note);

/* Reads the size that a witness answers a conflict with: a number and a newline. TALLY_ECORRUPT */
tally_status tl_witness_read_size(uint64_t *size_out, struct tl_str answer);

/*
 * Looks among the lines that a witness answered for one that `key` signed `note` with, and appends
 * that line alone to `line_out`; *time_out gets its seconds. What others are said to have signed is
 * passed over.
 *
 * Errors: TALLY_ECORRUPT no line of this key, or its signature is wrong, with the reason; TALLY_ENOMEM
 */
tally_status tl_witness_read_line(struct tl_buf *line_out, uint64_t *time_out, struct tl_str note,
                                  struct tl_str answer, const struct tl_vkey *key,
                                  struct tally_error *err);

#endif /* TL_PROJECT_WITNESS_H */
