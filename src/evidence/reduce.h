/*
 * evidence/reduce.h - what is left of a record when members of it are erased (docs/evidence.md,
 * "Erasable members"). Pure, and strict: nothing comes out that does not open the commitment.
 */
#ifndef TL_EVIDENCE_REDUCE_H
#define TL_EVIDENCE_REDUCE_H

#include <tally/store.h>

#include "evidence/content.h"

/* What one record after the other is reduced with. Large: allocate. Confined to one thread. */
struct tl_reducer {
    struct tl_buf event;  /* what is left of the event */
    struct tl_buf opened; /* and how it opens */
    uint32_t members;     /* how many were erased by this call */
    uint64_t bytes;       /* by which the event became shorter */
    /* in between */
    struct tl_split all;
    struct tl_split gone;
    struct tl_opened parts;
    struct tl_buf rest;
    uint8_t part_bytes[TL_ERASABLE_MAX][TL_COMMIT_LEN]; /* salts and digests that are new */
    uint8_t salt0[TL_SALT_LEN];
};

void tl_reducer_init(struct tl_reducer *reducer);
void tl_reducer_release(struct tl_reducer *reducer);

/* Whether the set names the pointer. */
bool tl_erasable_has(const struct tl_erasable_set *set, struct tl_str pointer);

/*
 * Takes the members of `erase` out of a record that has contents, whole or in part. `set` was in force
 * when it was sealed, `commit` is what its leaf binds. The result is in reducer->event and
 * reducer->opened until the next call.
 *
 * Errors: TALLY_ENOTFOUND it has none of the members (any more)
 *         TALLY_EINVAL    it has one that `set` does not name: only what was set apart can go
 *         TALLY_ECORRUPT  what is stored is not what was sealed; TALLY_ENOMEM
 */
tally_status tl_reduce_record(struct tl_reducer *reducer, const struct tally_record *record,
                              const struct tl_erasable_set *set,
                              const struct tl_erasable_set *erase,
                              const uint8_t commit[TL_COMMIT_LEN]);

#endif /* TL_EVIDENCE_REDUCE_H */
