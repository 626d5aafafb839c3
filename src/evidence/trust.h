/*
 * evidence/trust.h - trust files: which keys an auditor believes (docs/evidence.md, c2sp.org
 * tlog-policy, with lines "#tally ..." that other tools read as comments).
 */
#ifndef TL_EVIDENCE_TRUST_H
#define TL_EVIDENCE_TRUST_H

#include "base/buf.h"
#include "evidence/leaf.h"
#include "evidence/note.h"

#define TL_TRUST_KEYS_MAX 64u

/* Immutable after it was read. Large: never on the stack. */
struct tl_trust {
    struct tl_vkey logs[TL_TRUST_KEYS_MAX]; /* log keys; the name of each is an origin */
    uint32_t log_count;
    struct tl_vkey epochs[TL_TRUST_KEYS_MAX]; /* first epoch key of each incarnation */
    uint32_t epoch_count;
    struct tl_vkey approvers[TL_TRUST_KEYS_MAX];
    uint32_t approver_count;
    uint32_t approve_kinds; /* bit (kind - 0x80) for each kind that needs an approval */
    struct tl_trust_witness {
        struct tl_vkey key;
        char name[64];
    } witnesses[TL_TRUST_KEYS_MAX];
    uint32_t witness_count;
    struct tl_trust_group {
        char name[64];
        uint32_t threshold;                 /* how many members must hold */
        uint8_t members[TL_TRUST_KEYS_MAX]; /* index: witnesses first, then groups + 64 */
        uint32_t member_count;
    } groups[TL_TRUST_KEYS_MAX];
    uint32_t group_count;
    bool has_quorum;
    uint8_t quorum; /* as in members */
};

/* Errors: TALLY_EINVAL, with the line in the message */
tally_status tl_trust_parse(struct tl_trust *out, const char *text, size_t len,
                            struct tally_error *err);
void tl_trust_format(struct tl_buf *out, const struct tl_trust *trust);

/* Whether the witnesses whose cosignatures hold (bit i for witness i) make up the quorum; true if
 * none is asked for. */
bool tl_trust_quorum_holds(const struct tl_trust *trust, uint64_t witness_bits);

#endif /* TL_EVIDENCE_TRUST_H */
