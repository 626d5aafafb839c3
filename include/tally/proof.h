/*
 * tally/proof.h - checkpoints, and proofs that leave the house (RFC 9162, C2SP tlog-proof).
 */
#ifndef TALLY_PROOF_H
#define TALLY_PROOF_H

#include <tally/error.h>
#include <tally/export.h>
#include <tally/ledger.h>
#include <tally/verdict.h>

TALLY_BEGIN_DECLS

/*
 * Gives the checkpoint of `size` leaves, or the newest for 0, as note text. Owned: tally_free().
 * TALLY_ENOTFOUND if no checkpoint of that size is kept.
 */
TALLY_API tally_status tally_checkpoint(struct tally_ledger *ledger, uint64_t size, char **note_out,
                                        struct tally_error *err);

/*
 * Makes the proof that record `seq` is under the newest checkpoint, as C2SP tlog-proof text with the
 * leaf as `extra`. Owned: tally_free(). TALLY_ENOTFOUND if there is no such record.
 */
TALLY_API tally_status tally_proof_make(struct tally_ledger *ledger, uint64_t seq, char **proof_out,
                                        struct tally_error *err);

/* What a proof was found to say. */
struct tally_proof_result {
    enum tally_verdict verdict; /* UNVERIFIABLE: no key of the trust file signed it */
    uint64_t seq;
    uint64_t size;
    int64_t recorded_us;
    char origin[208];
    char reason[200]; /* why it is not VERIFIED; else "" */
};

/*
 * Checks a proof with nothing but the text of a trust file. TALLY_OK means that *result_out is
 * filled in. Errors: TALLY_EINVAL the trust file does not parse, TALLY_ENOMEM
 */
TALLY_API tally_status tally_proof_check(const char *proof, size_t proof_len, const char *trust,
                                         size_t trust_len, struct tally_proof_result *result_out,
                                         struct tally_error *err);

/*
 * Makes the proof that the tree of `old_size` leaves is the start of the newest checkpoint's: one
 * base64 hash a line, then an empty line and the checkpoint. Owned: tally_free().
 */
TALLY_API tally_status tally_consistency_make(struct tally_ledger *ledger, uint64_t old_size,
                                              char **proof_out, struct tally_error *err);

/*
 * What opens the commitment of record `seq` to somebody who has neither the ledger nor its seeds: its
 * line of a bundle's openings.ndjson (docs/evidence.md, section 12), without the newline. Owned:
 * tally_free(). TALLY_ENOTFOUND if there is no such record.
 */
TALLY_API tally_status tally_opening_make(struct tally_ledger *ledger, uint64_t seq,
                                          char **line_out, struct tally_error *err);

/* The trust file of the ledger's own keys, as text. Owned: tally_free(). */
TALLY_API tally_status tally_trust_text(struct tally_ledger *ledger, char **text_out,
                                        struct tally_error *err);

TALLY_END_DECLS

#endif /* TALLY_PROOF_H */
