/*
 * store/idset.h - a set of leaf ids in memory, each with its seq.
 *
 * The hash is keyed anew for each set, because clients choose ids.
 */
#ifndef TL_STORE_IDSET_H
#define TL_STORE_IDSET_H

#include <tally/store.h>

#include "base/siphash.h"

struct tl_idset_entry {
    uint8_t id[TALLY_LEAF_ID_LEN];
    uint64_t seq;
};

/* Caller serialises. A zeroed one is empty, but must be initialised before ids are added. */
struct tl_idset {
    struct tl_idset_entry *entries; /* in order of adding */
    size_t count;
    size_t capacity;
    uint32_t *slots;   /* index + 1 of an entry, or 0 */
    size_t slot_count; /* a power of two, or 0 */
    uint8_t key[TL_SIPHASH_KEY_LEN];
    uint8_t greatest[TALLY_LEAF_ID_LEN]; /* no id is greater: those that begin with the time come */
};                                       /* in order, and are found absent without a search */

void tl_idset_init(struct tl_idset *set);
void tl_idset_release(struct tl_idset *set);

/* Makes room for `extra` more ids. Errors: TALLY_ENOMEM, TALLY_ELIMIT (beyond 2^31). */
tally_status tl_idset_reserve(struct tl_idset *set, size_t extra, struct tally_error *err);

/* Adds an id for which there is room; returns false, and changes nothing, if it is there. */
bool tl_idset_add(struct tl_idset *set, const uint8_t id[TALLY_LEAF_ID_LEN], uint64_t seq);

/* Returns the seq of `id`, or TALLY_SEQ_NONE. */
uint64_t tl_idset_find(const struct tl_idset *set, const uint8_t id[TALLY_LEAF_ID_LEN]);

/* Takes out the ids added last until `count` are left; 0 empties the set and keeps its memory. */
void tl_idset_truncate(struct tl_idset *set, size_t count);

#endif /* TL_STORE_IDSET_H */
