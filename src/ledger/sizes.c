#include "ledger/sizes.h"

void tl_sizes_release(struct tl_sizes *sizes)
{
    tl_free(sizes->items);
    *sizes = (struct tl_sizes){ 0 };
}

tally_status tl_sizes_add(struct tl_sizes *sizes, uint64_t size)
{
    if (sizes->count == sizes->capacity) {
        size_t capacity = sizes->capacity == 0 ? 64 : 2 * sizes->capacity;
        uint64_t *items = tl_realloc_array(sizes->items, capacity, sizeof(*items));
        if (items == NULL) {
            return TALLY_ENOMEM;
        }
        sizes->items = items;
        sizes->capacity = capacity;
    }
    sizes->items[sizes->count++] = size;
    return TALLY_OK;
}

tally_status tl_sizes_note(void *ctx, const struct tally_checkpoint *checkpoint)
{
    return tl_sizes_add(ctx, checkpoint->size);
}
