/*
 * verify/ids.h - finds what occurs twice among any number of ids, in bounded memory.
 *
 * Ids are represented by a keyed 64-bit hash, the key being new for each verification. What it
 * names is a suspicion: the caller compares the two records.
 */
#ifndef TL_VERIFY_IDS_H
#define TL_VERIFY_IDS_H

#include "base/base.h"

struct tl_id_mark {
    uint64_t hash;
    uint64_t seq;
};

/* Confined to one thread. A zeroed one must be initialised. */
struct tl_ids {
    uint64_t key[4];
    struct tl_id_mark *marks; /* the run in memory */
    size_t count;
    size_t capacity;
    size_t run_max;       /* marks in memory before they go to the file */
    const char *temp_dir; /* borrowed */
    int fd;               /* of the unlinked file with the runs written; -1 if there is none */
    uint64_t runs;        /* all of run_max marks */
};

/* `run_max` is 0 for the default; tests ask for less. */
void tl_ids_init(struct tl_ids *ids, const char *temp_dir, size_t run_max);
void tl_ids_release(struct tl_ids *ids);

/* `bytes` is of 16 or more, of which 16 count. Errors: TALLY_ENOMEM, TALLY_EIO */
tally_status tl_ids_add(struct tl_ids *ids, const uint8_t *bytes, uint64_t seq,
                        struct tally_error *err);

typedef tally_status tl_ids_fn(void *ctx, uint64_t seq, uint64_t other);

/* Calls `fn` for each mark that equals the one before it in order; seq < other. Ends the adding.
 * Errors: TALLY_ENOMEM, TALLY_EIO, status of `fn` */
tally_status tl_ids_find(struct tl_ids *ids, tl_ids_fn *fn, void *ctx, struct tally_error *err);

#endif /* TL_VERIFY_IDS_H */
