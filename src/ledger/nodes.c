#include "ledger/nodes.h"

#include <string.h>

static tally_status hash_record(void *ctx, const struct tally_record *record)
{
    struct tl_nodes *nodes = ctx;
    if (record->seq != nodes->tile_n * TL_TILE_WIDTH + nodes->filled) {
        return TALLY_ECORRUPT; /* a record before this one is missing */
    }
    tl_tree_hash_leaf(nodes->tile + (size_t)nodes->filled * TL_HASH_LEN, record->leaf,
                      record->leaf_len);
    nodes->filled++;
    return TALLY_OK;
}

/* Makes the hashes of a level-0 tile, whole or partial, from the leaves. */
static tally_status tile_from_leaves(struct tl_nodes *nodes, uint64_t n)
{
    uint64_t first = n * TL_TILE_WIDTH;
    uint64_t end = nodes->size - first < TL_TILE_WIDTH ? nodes->size : first + TL_TILE_WIDTH;
    nodes->has_tile = false;
    nodes->tile_n = n;
    nodes->filled = 0;
    tally_status status = tl_store_scan(nodes->store, first, end, hash_record, nodes, nodes->err);
    if (status == TALLY_OK && nodes->filled != end - first) {
        status = TALLY_ECORRUPT;
    }
    if (status == TALLY_ECORRUPT) {
        return tl_fail(nodes->err, TALLY_ECORRUPT, "leaf %llu is not in the store",
                       (unsigned long long)first + nodes->filled);
    }
    return status;
}

/* Makes the hashes of a partial tile from the full tiles below it. */
static tally_status tile_from_tiles(struct tl_nodes *nodes, uint32_t level, uint64_t n)
{
    TL_CLEANUP(tl_freep) uint8_t *below = tl_alloc_array(1, TL_TILE_LEN);
    if (below == NULL) {
        return tl_fail(nodes->err, TALLY_ENOMEM, "cannot allocate a tile");
    }
    nodes->has_tile = false;
    uint32_t width = tl_tile_partial_width(nodes->size, level);
    for (uint32_t i = 0; i < width; i++) {
        tally_status status =
            tl_store_tile(nodes->store, level - 1, n * TL_TILE_WIDTH + i, below, nodes->err);
        if (status != TALLY_OK) {
            return status == TALLY_ENOTFOUND
                       ? tl_fail(nodes->err, TALLY_ECORRUPT, "a tile is not in the store")
                       : status;
        }
        tl_tile_root(nodes->tile + (size_t)i * TL_HASH_LEN, below);
    }
    return TALLY_OK;
}

static tally_status load_tile(struct tl_nodes *nodes, uint32_t level, uint64_t n)
{
    if (nodes->has_tile && nodes->tile_level == level && nodes->tile_n == n) {
        return TALLY_OK;
    }
    uint64_t full = level * 8 >= 64 ? 0 : (nodes->size >> (8 * level)) / TL_TILE_WIDTH;
    if (n < full) {
        nodes->has_tile = false;
        tally_status status = tl_store_tile(nodes->store, level, n, nodes->tile, nodes->err);
        if (status == TALLY_ENOTFOUND) {
            return tl_fail(nodes->err, TALLY_ECORRUPT, "a tile is not in the store");
        }
        TL_TRY(status);
    } else if (level == 0) {
        TL_TRY(tile_from_leaves(nodes, n));
    } else {
        TL_TRY(tile_from_tiles(nodes, level, n));
    }
    nodes->has_tile = true;
    nodes->tile_level = level;
    nodes->tile_n = n;
    return TALLY_OK;
}

tally_status tl_nodes_get(void *ctx, uint32_t level, uint64_t n, uint8_t out[TL_HASH_LEN])
{
    struct tl_nodes *nodes = ctx;
    uint32_t height = level % 8;
    uint64_t first = n << height; /* within tree level (level / 8) * 8 */
    TL_TRY(load_tile(nodes, level / 8, first / TL_TILE_WIDTH));

    /* Fold 2^height neighbouring hashes of the tile into one. */
    uint8_t fold[TL_TILE_WIDTH / 2][TL_HASH_LEN];
    uint32_t width = 1u << height;
    memcpy(fold, nodes->tile + (size_t)(first % TL_TILE_WIDTH) * TL_HASH_LEN,
           (size_t)width * TL_HASH_LEN);
    for (; width > 1; width /= 2) {
        for (size_t i = 0; i < width / 2; i++) {
            tl_tree_hash_node(fold[i], fold[2 * i], fold[2 * i + 1]);
        }
    }
    memcpy(out, fold[0], TL_HASH_LEN);
    return TALLY_OK;
}

tally_status tl_nodes_root(struct tl_nodes *nodes, uint64_t size, uint8_t out[TL_HASH_LEN])
{
    tl_assert(size <= nodes->size);
    struct tl_frontier frontier = { .size = size };
    uint64_t end = size;
    for (uint32_t level = 0; level < TL_FRONTIER_MAX; level++) {
        if ((size >> level & 1) == 0) {
            continue;
        }
        uint64_t leaves = UINT64_C(1) << level;
        TL_TRY(tl_nodes_get(nodes, level, end / leaves - 1, frontier.nodes[level]));
        end -= leaves;
    }
    tl_frontier_root(&frontier, out);
    return TALLY_OK;
}
