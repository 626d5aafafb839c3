/*
 * tests/support/mkledger.h - makes signed ledgers, sound or with exactly one thing wrong.
 *
 * Times and keys are fixed, so that a ledger made twice is the same.
 */
#ifndef TESTS_MKLEDGER_H
#define TESTS_MKLEDGER_H

#include "base/buf.h"
#include "evidence/control.h"
#include "evidence/keystate.h"
#include "evidence/mac.h"
#include "evidence/trust.h"
#include "support/image.h"
#include "tree/tree.h"

#define MK_ORIGIN        "audit.example.com/test-0011aabb"
#define MK_START_S       INT64_C(1767225600) /* 2026-01-01 */
#define MK_EPOCH_SECONDS 3600u

struct mk_key {
    uint8_t seed[TL_ED25519_KEY_LEN];
    struct tl_vkey key;
};

/* A ledger in the making. Large: static or allocated. */
struct mk {
    struct image image;
    char origin[TL_ORIGIN_LEN_MAX + 1];
    struct mk_key log;
    struct mk_key epoch_key;
    struct mk_key approver;
    struct mk_key witness;
    uint8_t k0[TL_MAC_KEY_LEN];
    struct tl_mac mac;
    uint32_t mac_gen;
    uint32_t incarnation;
    uint32_t epoch;
    uint32_t generation; /* of seeds: makes keys differ */
    int64_t time_us;     /* of the newest leaf */
    uint64_t seq;        /* of the next leaf */
    struct tl_erasable_set *set;
    struct tl_trust *trust; /* what an auditor pinned */
    struct tl_frontier frontier;
    struct tl_tiler *tiler;
    struct tl_buf scratch;

    /* What is wrong with the next leaf or checkpoint; reset by it. */
    void (*tweak)(struct tl_leaf *leaf); /* before it is MACed */
    void (*tweak_bytes)(uint8_t *leaf);  /* after */
    int64_t checkpoint_time_s;           /* 0: that of the leaf */
    bool no_log_line;
    bool no_epoch_line;
    bool bad_log_line;
    bool bad_epoch_line;
    bool bad_root;                   /* its last bit */
    const struct mk_key *second_log; /* signs also: KEY */
    bool witnessed;
    int32_t class_days; /* of the class that events get, default 30 */
    bool by_occurred;
};

void mk_key_make(struct mk_key *out, const char *name, uint8_t type, uint8_t fill);

/* Makes an empty one, and seals GENESIS with its checkpoint. */
void mk_init(struct mk *mk, const char *origin, uint8_t fill);
void mk_release(struct mk *mk);

/* The text of event number n of the tests. NUL-terminated. */
#define MK_EVENT_SIZE 1024u
void mk_event_text(char out[MK_EVENT_SIZE], uint64_t n);

void mk_event(struct mk *mk); /* with the text of its seq */
void mk_event_of(struct mk *mk, const char *event);
void mk_control(struct mk *mk, enum tl_leaf_kind kind, const char *payload); /* canonical JSON */
void mk_checkpoint(struct mk *mk);              /* seals what is there */
void mk_events(struct mk *mk, size_t count);    /* and a checkpoint */
void mk_switch(struct mk *mk, uint32_t epochs); /* EPOCH and seal */

/* Signs the checkpoint of the tree as it is in `image` again, with the keys given, and puts it in
 * the place of the newest. */
void mk_rebuild(struct mk *mk);

/* Replaces kept checkpoint `at` by one of the records as they are now, signed by the log key and, if
 * it is of an epoch whose key there still is, by that. */
void mk_forge(struct mk *mk, size_t at, bool has_epoch_key);

/* What an erasure of one member does to a record. */
void mk_erase_member(struct mk *mk, uint64_t seq, const char *pointer);
void mk_erase(struct mk *mk, uint64_t seq);

/* Base64 of an approval of `payload`. */
void mk_approve(struct mk *mk, enum tl_leaf_kind kind, const char *payload, char out[128]);

#endif /* TESTS_MKLEDGER_H */
