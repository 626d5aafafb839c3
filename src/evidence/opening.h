/*
 * evidence/opening.h - lines of openings.ndjson: what opens the commitment of one leaf to somebody
 * who has neither the ledger nor its seeds (docs/evidence.md, "Evidence bundle").
 */
#ifndef TL_EVIDENCE_OPENING_H
#define TL_EVIDENCE_OPENING_H

#include "base/arena.h"
#include "evidence/content.h"
#include "evidence/leaf.h"

/* A line, in bytes: the longest event the format knows, with each character escaped, and some. */
#define TL_OPENING_LEN_MAX ((size_t)40 << 20)

/* The first line. */
struct tl_openings_head {
    bool complete;        /* there is a line for every leaf */
    uint64_t count;       /* lines after this one */
    struct tl_str origin; /* borrowed */
    uint64_t size;        /* leaves of the checkpoint */
};

/* Reads a first line, without its newline. Errors: TALLY_ECORRUPT, TALLY_ENOMEM */
tally_status tl_openings_head_parse(struct tl_openings_head *out, struct tl_arena *arena,
                                    struct tl_str line, struct tally_error *err);
void tl_openings_head_format(struct tl_buf *out, const struct tl_openings_head *head);

enum tl_opening_state {
    TL_OPENING_CONTROL, /* a control leaf, which has no content */
    TL_OPENING_CONTENT,
    TL_OPENING_PURGED,
    TL_OPENING_ERASED,
    TL_OPENING_EVICTED,
    TL_OPENING_WITHHELD,
};

/* One member that was split off. */
struct tl_opening_member {
    struct tl_str pointer;
    bool gone;           /* there is a digest only */
    bool withheld;       /* it is gone from this line alone, not from the ledger */
    uint8_t part[32];    /* the digest, or else 16 bytes of salt */
    struct tl_str value; /* absent if it is gone */
};

/* A line taken apart. Borrows. Large: never on a small stack. */
struct tl_opening {
    uint64_t seq;
    const uint8_t *leaf;
    size_t leaf_len;
    enum tl_opening_state state;
    struct tl_str rest; /* the rest is of TL_OPENING_CONTENT alone */
    uint8_t salt0[TL_SALT_LEN];
    uint32_t count;
    struct tl_opening_member members[TL_ERASABLE_MAX]; /* ascending */
};

/* Reads one line, without its newline, in the one spelling that tl_opening_format() gives it. What is
 * borrowed lives in `arena`. Errors: TALLY_ECORRUPT, TALLY_ENOMEM */
tally_status tl_opening_parse(struct tl_opening *out, struct tl_arena *arena, struct tl_str line,
                              struct tally_error *err);
void tl_opening_format(struct tl_buf *out, const struct tl_opening *opening);

/*
 * Puts an event together again, as far as it is open: what the columns `event` and `opened` of a
 * store hold. `set` is scratch. Errors: TALLY_ECORRUPT if the members have no place in the rest, or
 * that is not canonical as far as was looked; `opened` is made all the same
 */
tally_status tl_opening_join(struct tl_buf *event, struct tl_buf *opened,
                             const struct tl_opening *opening, struct tl_erasable_set *set);

/* The content commitment of a line. It is of bytes: they need be no canonical text. */
void tl_opening_commit(uint8_t commit_out[TL_COMMIT_LEN], const struct tl_opening *opening);

/* A record with content, as a store keeps it: either `seed` or `opened` is given. */
struct tl_opening_source {
    struct tl_str event;
    const uint8_t *seed; /* TL_SEED_LEN bytes */
    const uint8_t *opened;
    size_t opened_len;
    const struct tl_erasable_set *set; /* in force at the record */
};

/*
 * Fills in what is of TL_OPENING_CONTENT. `split` is scratch, `rest` gets R. The members at the
 * pointers of `withhold` go along as digests. Errors: TALLY_ECORRUPT if the record does not fit
 * together; TALLY_EINVAL for a pointer of `withhold` to a member that was not split off; TALLY_ENOMEM
 */
tally_status tl_opening_fill(struct tl_opening *out, const struct tl_opening_source *source,
                             const struct tl_erasable_set *withhold, struct tl_split *split,
                             struct tl_buf *rest, struct tally_error *err);

#endif /* TL_EVIDENCE_OPENING_H */
