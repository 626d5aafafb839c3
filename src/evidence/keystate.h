/*
 * evidence/keystate.h - the bytes of the files in keys/: state and high-water mark. Secret, but
 * for the mark. Pure: who reads and writes the files is in ledger/.
 */
#ifndef TL_EVIDENCE_KEYSTATE_H
#define TL_EVIDENCE_KEYSTATE_H

#include "base/base.h"
#include "base/str.h"
#include "evidence/mac.h"
#include "evidence/note.h"

/* One epoch's secrets. */
struct tl_epoch_secret {
    uint32_t epoch;
    uint8_t seed[TL_ED25519_KEY_LEN]; /* of the epoch key */
    uint8_t mac_key[TL_MAC_KEY_LEN];  /* K[epoch] */
};

/* Secrets that a KEY leaf is about to put in force: a new log key, a new MAC generation, or both. */
struct tl_key_change {
    bool has_log;
    bool has_mac;
    uint32_t mac_gen;
    uint8_t log_seed[TL_ED25519_KEY_LEN];
    uint8_t mac_key[TL_MAC_KEY_LEN]; /* K0, which is K[epoch] of the epoch in force */
};

/* keys/state. Wipe with explicit_bzero(). `next` and `change` are never there together. */
struct tl_keystate {
    char origin[TL_ORIGIN_LEN_MAX + 1];
    uint32_t incarnation;
    uint32_t mac_gen;
    uint64_t log_seq; /* of the leaf that named the log key in force: GENESIS or KEY */
    uint64_t mac_seq; /* the same of the MAC generation */
    struct tl_epoch_secret current;
    bool has_next;
    struct tl_epoch_secret next;
    struct tl_key_change change;
};

#define TL_KEYSTATE_LEN 512u /* bytes, always: overwriting the old inode then covers all of it */
void tl_keystate_encode(uint8_t out[TL_KEYSTATE_LEN], const struct tl_keystate *state);
/* Errors: TALLY_ECORRUPT (magic, version, checksum, ranges) */
tally_status tl_keystate_decode(struct tl_keystate *out, const uint8_t *bytes, size_t len,
                                struct tally_error *err);

/* keys/highwater: two slots of 64 bytes, written in turn. */
#define TL_HIGHWATER_SLOT_LEN 64u
struct tl_highwater {
    uint64_t size;
    uint8_t root[32];
    bool clean; /* the sequencer stopped in order */
};
void tl_highwater_encode(uint8_t out[TL_HIGHWATER_SLOT_LEN], const struct tl_highwater *mark);
/* Takes the valid slot with the larger size; *slot_out is where the next one goes. Errors:
 * TALLY_ECORRUPT if no slot is valid */
tally_status tl_highwater_decode(struct tl_highwater *out, uint32_t *slot_out, const uint8_t *bytes,
                                 size_t len, struct tally_error *err);

#endif /* TL_EVIDENCE_KEYSTATE_H */
