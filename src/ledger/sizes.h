/* ledger/sizes.h - the sizes of kept checkpoints: leaves of interest end them. */
#ifndef TL_LEDGER_SIZES_H
#define TL_LEDGER_SIZES_H

#include <tally/store.h>

#include "base/base.h"

/* Ascending, as they were scanned. Confined to one thread; a zeroed one is empty. */
struct tl_sizes {
    uint64_t *items; /* owned */
    size_t count;
    size_t capacity;
};

void tl_sizes_release(struct tl_sizes *sizes);

/* Adds the size of a checkpoint. Errors: TALLY_ENOMEM */
tally_status tl_sizes_add(struct tl_sizes *sizes, uint64_t size);

/* The same; fits tally_checkpoint_fn, with a struct tl_sizes as `ctx`. */
tally_status tl_sizes_note(void *ctx, const struct tally_checkpoint *checkpoint);

#endif /* TL_LEDGER_SIZES_H */
