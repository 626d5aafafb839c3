/*
 * evidence/note.h - C2SP signed notes, verifier keys and checkpoints (docs/evidence.md,
 * c2sp.org/signed-note, c2sp.org/tlog-checkpoint, c2sp.org/tlog-cosignature).
 */
#ifndef TL_EVIDENCE_NOTE_H
#define TL_EVIDENCE_NOTE_H

#include "base/buf.h"
#include "base/str.h"
#include "crypto/crypto.h"

#define TL_NOTE_LEN_MAX       65536u
#define TL_NOTE_LINES_MAX     64u
#define TL_ORIGIN_LEN_MAX     200u
#define TL_KEY_NAME_LEN_MAX   240u /* an origin and "/epoch/4294967295" */
#define TL_VKEY_SIZE          320u
#define TL_NOTE_TYPE_ED25519  1u
#define TL_NOTE_TYPE_COSIGNED 4u

/* A verifier key: public. */
struct tl_vkey {
    char name[TL_KEY_NAME_LEN_MAX + 1];
    uint8_t type; /* TL_NOTE_TYPE_* */
    uint8_t public_key[TL_ED25519_KEY_LEN];
    uint32_t key_id;
};

/* Makes one from its parts; computes the key id. TALLY_EINVAL for a name that is no key name. */
tally_status tl_vkey_make(struct tl_vkey *out, struct tl_str name, uint8_t type,
                          const uint8_t public_key[TL_ED25519_KEY_LEN], struct tally_error *err);
void tl_vkey_format(char out[TL_VKEY_SIZE], const struct tl_vkey *key);
tally_status tl_vkey_parse(struct tl_vkey *out, struct tl_str text, struct tally_error *err);
bool tl_vkey_equal(const struct tl_vkey *a, const struct tl_vkey *b);

/* Whether `origin` may name a ledger: 1-200 bytes, UTF-8, no white space, no '+'. */
bool tl_origin_is_valid(struct tl_str origin);

/* One signature line. Borrows from the note. */
struct tl_note_line {
    struct tl_str name;
    uint32_t key_id;
    uint8_t blob[72]; /* without the key id: 64 bytes of signature, or 8 of time and 64 */
    size_t blob_len;  /* bytes kept; lines of other lengths have 0 here and are ignored */
};

/* A note taken apart. Borrows from the text. Large: never on a small stack. */
struct tl_note {
    struct tl_str body; /* with its last newline */
    uint32_t line_count;
    struct tl_note_line lines[TL_NOTE_LINES_MAX];
};

/* Errors: TALLY_ECORRUPT */
tally_status tl_note_parse(struct tl_note *out, const char *text, size_t len,
                           struct tally_error *err);

enum tl_note_verdict {
    TL_NOTE_NO_LINE = 0, /* no line of this key */
    TL_NOTE_GOOD,
    TL_NOTE_BAD, /* a line names the key, and its signature is wrong */
};

/*
 * Looks for the line of `key` and checks it. *time_out gets the seconds of a cosignature (type 4),
 * else 0; NULL is allowed. Errors: TALLY_ENOMEM.
 */
tally_status tl_note_verify(const struct tl_note *note, const struct tl_vkey *key,
                            enum tl_note_verdict *verdict_out, uint64_t *time_out);

/* Appends a signature line for the body that `out` holds from its start up to `body_len`. The empty
 * line between must be there. For type 4, `time_s` is signed with it. Errors: TALLY_ENOMEM. */
tally_status tl_note_sign(struct tl_buf *out, size_t body_len, const struct tl_vkey *key,
                          const uint8_t seed[TL_ED25519_KEY_LEN], uint64_t time_s);

/* The three lines of a checkpoint. Borrows. */
struct tl_checkpoint_body {
    struct tl_str origin;
    uint64_t size;
    uint8_t root[32];
};

/* Exactly three lines, no extensions. Errors: TALLY_ECORRUPT */
tally_status tl_checkpoint_parse(struct tl_checkpoint_body *out, struct tl_str body,
                                 struct tally_error *err);
void tl_checkpoint_format(struct tl_buf *out, const struct tl_checkpoint_body *body);

#endif /* TL_EVIDENCE_NOTE_H */
