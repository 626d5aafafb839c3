/*
 * evidence/content.h - erasable members and the commitment to an event (docs/evidence.md).
 *
 * All functions work on the canonical bytes and never write JSON again.
 */
#ifndef TL_EVIDENCE_CONTENT_H
#define TL_EVIDENCE_CONTENT_H

#include "base/buf.h"
#include "base/str.h"
#include "codec/json.h"

#define TL_ERASABLE_MAX    64u
#define TL_POINTER_LEN_MAX 255u
#define TL_SEED_LEN        32u
#define TL_SALT_LEN        16u
#define TL_COMMIT_LEN      32u

/* One RFC 6901 pointer of one or two tokens. */
struct tl_pointer {
    char text[TL_POINTER_LEN_MAX + 1];
    uint8_t len;
    struct { /* the tokens as they stand in canonical JSON, between the quotes */
        char raw[TL_POINTER_LEN_MAX * 6 + 1];
        uint16_t len;
    } tokens[2];
    uint8_t token_count;
};

/* Reads a pointer that may be erasable. Errors: TALLY_EINVAL with the rule that is broken. */
tally_status tl_pointer_parse(struct tl_pointer *out, struct tl_str text, struct tally_error *err);

/* The erasable set in force: sorted by bytes, unique, none a prefix of another. Immutable after
 * it was made; owned by the policy that names it; a zeroed one is empty. Large: never on the
 * stack. */
struct tl_erasable_set {
    uint32_t count;
    struct tl_pointer pointers[TL_ERASABLE_MAX];
    uint8_t walk[TL_ERASABLE_MAX]; /* indexes into pointers, as canonical JSON orders the names */
};

/* The default set of docs/evidence.md. */
extern const char *const tl_erasable_default[10];

/* Adds to an empty or partial set, in order. Errors: TALLY_EINVAL with the rule that is broken. */
tally_status tl_erasable_add(struct tl_erasable_set *set, struct tl_str pointer,
                             struct tally_error *err);

bool tl_erasable_equal(const struct tl_erasable_set *a, const struct tl_erasable_set *b);

/* Where one member that is there lies in the event. */
struct tl_member {
    const struct tl_pointer *pointer;
    size_t cut_start; /* what to cut out, one comma included if there is one to go */
    size_t cut_end;
    size_t value_start; /* V(p) */
    size_t value_end;
};

/* An event taken apart: members in order of pointer, and in order of position for cutting. */
struct tl_split {
    uint32_t count;
    struct tl_member members[TL_ERASABLE_MAX]; /* sorted by pointer */
    uint8_t by_position[TL_ERASABLE_MAX];      /* indexes into members */
};

/* Compares names as tl_json_compare_names() does, but as they stand in canonical text. */
int tl_raw_name_compare(struct tl_str a, struct tl_str b);

/* Finds the erasable members of canonical `event`. Errors: TALLY_ECORRUPT if it is no canonical
 * object as far as was looked. */
tally_status tl_split_event(struct tl_split *split, const struct tl_erasable_set *set,
                            const char *event, size_t len);

/* The same for an event that is known to be canonical, by its index. */
tally_status tl_split_indexed(struct tl_split *split, const struct tl_erasable_set *set,
                              const char *event, size_t len, const struct tl_json_index *index);

/* Appends R: the event without the members. */
void tl_split_rest(struct tl_buf *out, const struct tl_split *split, const char *event, size_t len);

/* The content commitment of an event that is split, under `seed`. `scratch` is any buffer of the
 * caller's, changed. Errors: TALLY_ENOMEM. */
tally_status tl_commit_event(uint8_t commit_out[TL_COMMIT_LEN], const struct tl_split *split,
                             const char *event, size_t len, const uint8_t seed[TL_SEED_LEN],
                             struct tl_buf *scratch);

void tl_commit_control(uint8_t commit_out[TL_COMMIT_LEN], const char *payload, size_t len);

/* salt(p); p is "" for salt0. */
void tl_salt(uint8_t salt_out[TL_SALT_LEN], const uint8_t seed[TL_SEED_LEN], struct tl_str pointer);

/* d(p), the digest of one member. */
void tl_member_digest(uint8_t out[32], const uint8_t salt[TL_SALT_LEN], struct tl_str pointer,
                      struct tl_str value);

/* A commitment from its parts: what an opening or the `opened` column gives. */
struct tl_commit_part {
    struct tl_str pointer;
    uint8_t digest[32];
};
void tl_commit_parts(uint8_t commit_out[TL_COMMIT_LEN], const uint8_t salt0[TL_SALT_LEN],
                     struct tl_str rest, const struct tl_commit_part *parts, uint32_t count);

/* The `opened` column of a partly erased record, taken apart. Borrows from `bytes`. */
struct tl_opened_part {
    bool erased;
    struct tl_str pointer;
    const uint8_t *part; /* salt (16 bytes) if the member is still there, digest (32) if erased */
};
struct tl_opened {
    const uint8_t *salt0;
    uint32_t count;
    struct tl_opened_part parts[TL_ERASABLE_MAX];
};
/* Errors: TALLY_ECORRUPT */
tally_status tl_opened_decode(struct tl_opened *out, const uint8_t *bytes, size_t len);
void tl_opened_encode(struct tl_buf *out, const struct tl_opened *opened);

#endif /* TL_EVIDENCE_CONTENT_H */
