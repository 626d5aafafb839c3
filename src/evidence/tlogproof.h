/*
 * evidence/tlogproof.h - proofs of inclusion as text (c2sp.org/tlog-proof, version 1).
 *
 * Reads and writes the text alone: whether its checkpoint is signed by a key that is believed, and
 * whether the hashes lead to its root, is for the caller (evidence/note.h, tree/tree.h).
 */
#ifndef TL_EVIDENCE_TLOGPROOF_H
#define TL_EVIDENCE_TLOGPROOF_H

#include "base/buf.h"
#include "base/str.h"
#include "tree/tree.h"

/* `extra` is a whole leaf at most, in base64, beside the hashes and the note. */
#define TL_TLOGPROOF_LEN_MAX ((size_t)192 << 10)

struct tl_tlogproof {
    const uint8_t *extra; /* borrowed; NULL if there is none. Not authenticated by the format */
    size_t extra_len;
    uint64_t index; /* of the leaf in the tree */
    struct tl_proof proof;
    struct tl_str note; /* the signed checkpoint, borrowed; for tl_note_parse() */
};

/*
 * Reads a proof. The note borrows from `text`; the extra bytes replace what is in `extra_buf`, and
 * are borrowed from there. Other spellings than those of tl_tlogproof_format() are refused.
 *
 * Errors: TALLY_ECORRUPT; TALLY_ENOMEM, TALLY_ELIMIT (`extra_buf` is too small). *out is then
 * undefined.
 */
tally_status tl_tlogproof_parse(struct tl_tlogproof *out, struct tl_buf *extra_buf,
                                const char *text, size_t len, struct tally_error *err);

/* Appends the text. Check tl_buf_status() afterwards. */
void tl_tlogproof_format(struct tl_buf *out, const struct tl_tlogproof *proof);

#endif /* TL_EVIDENCE_TLOGPROOF_H */
