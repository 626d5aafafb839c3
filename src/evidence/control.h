/*
 * evidence/control.h - payloads of control leaves (docs/evidence.md, "Control leaves").
 *
 * Reading is strict: canonical JSON with exactly the members of its kind.
 */
#ifndef TL_EVIDENCE_CONTROL_H
#define TL_EVIDENCE_CONTROL_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"
#include "evidence/content.h"
#include "evidence/leaf.h"
#include "evidence/note.h"

/* A retention class of a policy. */
struct tl_class {
    uint16_t id;
    int32_t days; /* -1 for ever */
    struct tl_str name;
    bool by_occurred; /* counts from occurred_at, else from the time of sealing */
};

/* What GENESIS and POLICY put in force. */
struct tl_policy {
    uint64_t number;
    const struct tl_erasable_set *erasable;
    const struct tl_class *classes; /* ascending id */
    uint32_t class_count;
};

/* NULL if the policy has no such class. */
const struct tl_class *tl_policy_class(const struct tl_policy *policy, uint16_t id);

struct tl_range { /* inclusive; lists of them ascend and do not overlap */
    uint64_t first;
    uint64_t last;
};

struct tl_erase_item {
    const struct tl_str *pointers; /* sorted; "" is the whole content and then alone */
    uint32_t pointer_count;
    const struct tl_range *seqs; /* written out as single numbers, runs of which are ranges here */
    uint32_t seq_count;
};

/* One payload. Members that a kind does not have are zero. Lives in an arena. */
struct tl_control {
    enum tl_leaf_kind kind;
    struct tl_str by;       /* any kind; absent if not given */
    struct tl_str note;     /* any kind */
    struct tl_str approval; /* any kind: base64 text */

    /* GENESIS, RESTORE, EPOCH, KEY */
    struct tl_str origin;
    struct tl_vkey log_key;
    struct tl_vkey epoch_key;
    uint8_t mac_id[32];
    uint32_t epoch_seconds;
    int64_t start_us;
    uint32_t epoch_from;
    uint32_t epoch_to;

    struct tl_policy policy; /* GENESIS, POLICY */

    /* PURGE, ERASE, HOLD, RELEASE */
    uint32_t cutoff_day;
    uint64_t before_seq;
    uint64_t count; /* also GAP */
    const struct tl_range *ranges;
    uint32_t range_count;
    const struct tl_erase_item *items;
    uint32_t item_count;
    struct tl_str basis;
    struct tl_str ticket;
    struct tl_str hold;

    /* ANCHOR, RESUME, RESTORE */
    struct tl_str anchor_kind;
    uint64_t size; /* RESUME: newest checkpoint found; RESTORE: from_size */
    uint8_t root[32];
    uint8_t digest[32];
    struct tl_str ref;
    uint64_t tail_bytes;
    uint8_t tail_sha256[32];
    struct tl_str from_origin;
    uint64_t lost_size;
    uint8_t lost_root[32];
    struct tl_str reason; /* GAP, RESTORE */

    /* GAP */
    int64_t from_us;
    int64_t to_us;
    struct tl_str source;

    bool has_log_key; /* GENESIS, RESTORE, KEY */
    bool has_epoch_key;
    bool has_mac_id;
    bool is_volatile;   /* GENESIS */
    bool override_days; /* PURGE: of `ranges`, in place of what is due */
    bool clean;         /* RESUME */
    bool has_tail_sha256;
    bool exact;         /* GAP */
    bool has_lost_root; /* RESTORE */
};

/* Reads a payload; what is borrowed lives in `arena` or in `payload`. Errors: TALLY_ECORRUPT with
 * the member that is wrong; TALLY_ENOMEM. */
tally_status tl_control_parse(struct tl_control *out, struct tl_arena *arena,
                              enum tl_leaf_kind kind, const char *payload, size_t len,
                              struct tally_error *err);

/* Appends the payload, canonical; what it writes, tl_control_parse() reads. Errors: TALLY_EINVAL
 * (a value that the format does not allow), TALLY_ENOMEM, TALLY_ELIMIT. */
tally_status tl_control_format(struct tl_buf *out, const struct tl_control *control,
                               struct tally_error *err);

/* Says which value of `control` the format does not allow, or NULL if all are in order; texts and
 * integers too long are found by tl_control_format() alone. */
const char *tl_control_fault(const struct tl_control *control);

/* The same for a payload that is to be written: also what is read, though no sound writer writes it. */
const char *tl_control_writing_fault(const struct tl_control *control);

/* The text an approver signs: the payload without its approval. */
tally_status tl_approval_text(struct tl_buf *out, struct tl_str origin, enum tl_leaf_kind kind,
                              const char *payload, size_t len, struct tl_arena *arena);

#endif /* TL_EVIDENCE_CONTROL_H */
