#include <string.h>

#include "tree/tree.h"

#define TILE_BITS 8u /* levels of the tree in a tile */

_Static_assert(TL_TILE_WIDTH == 1u << TILE_BITS, "a full tile is a complete subtree");
_Static_assert(TL_TILE_LEVELS *TILE_BITS >= 64, "positions of 64 bits have a tile");

/* The root of the complete subtree over `count` hashes, a power of two up to TL_TILE_WIDTH. */
static void subtree_root(uint8_t out[TL_HASH_LEN], const uint8_t *hashes, uint32_t count)
{
    uint8_t row[TL_TILE_LEN / 2];
    for (; count > 1; count /= 2, hashes = row) {
        for (uint32_t i = 0; i < count / 2; i++) {
            const uint8_t *pair = hashes + (size_t)2 * i * TL_HASH_LEN;
            tl_tree_hash_node(row + (size_t)i * TL_HASH_LEN, pair, pair + TL_HASH_LEN);
        }
    }
    memcpy(out, hashes, TL_HASH_LEN);
}

void tl_tile_root(uint8_t out[TL_HASH_LEN], const uint8_t data[TL_TILE_LEN])
{
    subtree_root(out, data, TL_TILE_WIDTH);
}

uint32_t tl_tile_partial_width(uint64_t size, uint32_t level)
{
    return level < TL_TILE_LEVELS ? (uint32_t)(size >> (TILE_BITS * level)) % TL_TILE_WIDTH : 0;
}

static tally_status hand_over(const struct tl_tiler *tiler, uint32_t level, tl_tile_fn *fn,
                              void *ctx)
{
    uint64_t n = tiler->size >> (TILE_BITS * level) >> TILE_BITS;
    return fn == NULL ? TALLY_OK : fn(ctx, level, n, tiler->hashes[level]);
}

tally_status tl_tiler_add(struct tl_tiler *tiler, const uint8_t leaf_hash[TL_HASH_LEN],
                          tl_tile_fn *fn, void *ctx)
{
    tl_assert(tiler->size < UINT64_MAX);
    uint8_t hash[TL_HASH_LEN];
    memcpy(hash, leaf_hash, sizeof(hash));
    for (uint32_t level = 0; level < TL_TILE_LEVELS; level++) {
        uint32_t width = tl_tile_partial_width(tiler->size, level);
        uint8_t *tile = tiler->hashes[level];
        memcpy(tile + (size_t)width * TL_HASH_LEN, hash, sizeof(hash));
        if (width + 1 < TL_TILE_WIDTH) {
            break;
        }
        TL_TRY(hand_over(tiler, level, fn, ctx));
        tl_tile_root(hash, tile);
    }
    tiler->size++;
    return TALLY_OK;
}

/* Whether the partial tiles give the nodes of the frontier. */
static bool fits(const struct tl_tiler *tiler, const struct tl_frontier *frontier)
{
    for (uint32_t level = 0; level < TL_TILE_LEVELS; level++) {
        const uint8_t *next = tiler->hashes[level];
        uint32_t width = tl_tile_partial_width(frontier->size, level);
        for (uint32_t bit = TILE_BITS; bit-- > 0;) {
            uint32_t count = 1u << bit;
            if ((width & count) == 0) {
                continue;
            }
            uint8_t root[TL_HASH_LEN];
            subtree_root(root, next, count);
            if (memcmp(root, frontier->nodes[TILE_BITS * level + bit], sizeof(root)) != 0) {
                return false;
            }
            next += (size_t)count * TL_HASH_LEN;
        }
    }
    return true;
}

static tally_status read_partial(struct tl_tiler *tiler, uint32_t level, tl_node_fn *fn, void *ctx)
{
    uint32_t width = tl_tile_partial_width(tiler->size, level);
    uint64_t first = (tiler->size >> (TILE_BITS * level)) - width;
    for (uint32_t i = 0; i < width; i++) {
        uint8_t *to = tiler->hashes[level] + (size_t)i * TL_HASH_LEN;
        TL_TRY(fn(ctx, TILE_BITS * level, first + i, to));
    }
    return TALLY_OK;
}

tally_status tl_tiler_restore(struct tl_tiler *tiler, const struct tl_frontier *frontier,
                              tl_node_fn *fn, void *ctx)
{
    tiler->size = frontier->size;
    for (uint32_t level = 0; level < TL_TILE_LEVELS; level++) {
        TL_TRY(read_partial(tiler, level, fn, ctx));
    }
    return fits(tiler, frontier) ? TALLY_OK : TALLY_ECORRUPT;
}
