/*
 * evidence/leaf.h - the 104 bytes that stand for a record in the tree (docs/evidence.md, "Leaf").
 */
#ifndef TL_EVIDENCE_LEAF_H
#define TL_EVIDENCE_LEAF_H

#include "base/base.h"
#include "base/str.h"

#define TL_LEAF_LEN         104u
#define TL_LEAF_MAC_AT      88u /* bytes before this offset are what the MAC covers */
#define TL_LEAF_MAC_LEN     16u
#define TL_LEAF_ID_LEN      16u
#define TL_LEAF_PAYLOAD_MAX 65431u
#define TL_RETAIN_FOREVER   UINT32_MAX
#define TL_DAY_US           INT64_C(86400000000)

enum tl_leaf_kind {
    TL_LEAF_ENTRY = 0x01,
    TL_LEAF_GENESIS = 0x80,
    TL_LEAF_EPOCH = 0x81,
    TL_LEAF_POLICY = 0x82,
    TL_LEAF_PURGE = 0x83,
    TL_LEAF_ERASE = 0x84,
    TL_LEAF_HOLD = 0x85,
    TL_LEAF_RELEASE = 0x86,
    TL_LEAF_KEY = 0x87,
    TL_LEAF_ANCHOR = 0x88,
    TL_LEAF_GAP = 0x89,
    TL_LEAF_RESUME = 0x8A,
    TL_LEAF_RESTORE = 0x8B,
};

enum tl_leaf_flags {
    TL_LEAF_HAS_MEMBERS = 1 << 0, /* an erasable member is there */
    TL_LEAF_TIME_HELD = 1 << 1,   /* the clock was behind */
};

struct tl_leaf {
    enum tl_leaf_kind kind;
    uint32_t flags;
    uint16_t class_id; /* retention class; 0 in control leaves */
    uint64_t seq;
    int64_t time_us;       /* microseconds since 1970, when it was sealed */
    uint32_t retain_until; /* day since 1970 */
    uint32_t epoch;
    uint8_t id[TL_LEAF_ID_LEN];
    uint8_t commit[32];
    uint32_t mac_gen;
    uint32_t incarnation;
    uint8_t mac[TL_LEAF_MAC_LEN];
};

/* Writes the 104 bytes. Asserts that the fields are in range. */
void tl_leaf_encode(uint8_t out[TL_LEAF_LEN], const struct tl_leaf *leaf);

/*
 * Reads a leaf of `len` bytes: ENTRY has 104 exactly, a control leaf 106 to 65,535. Checks magic,
 * kind, unused flags and what must be zero; not what depends on other leaves.
 *
 * Errors: TALLY_ECORRUPT, err says why; *out is then undefined
 */
tally_status tl_leaf_decode(struct tl_leaf *out, const uint8_t *bytes, size_t len,
                            struct tally_error *err);

bool tl_leaf_is_control(enum tl_leaf_kind kind);
/* Whether somebody decided it: PURGE, ERASE, HOLD, RELEASE, POLICY, KEY, ANCHOR, RESTORE. */
bool tl_leaf_is_act(enum tl_leaf_kind kind);
const char *tl_leaf_kind_name(enum tl_leaf_kind kind); /* "GENESIS"; "ENTRY" */

/* The leaf id of an event id. Errors: TALLY_EINVAL for the nil UUID. */
tally_status tl_leaf_id(uint8_t out[TL_LEAF_ID_LEN], struct tl_str id);

/* The epoch in which `time_us` lies; times before `start_us` are in epoch 0. */
uint32_t tl_epoch_of(int64_t start_us, uint32_t epoch_seconds, int64_t time_us);

/* The first day on which content may go: days -1 is never. */
uint32_t tl_retain_until(int64_t basis_us, int32_t days);

#endif /* TL_EVIDENCE_LEAF_H */
