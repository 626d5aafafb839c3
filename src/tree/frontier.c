#include <string.h>

#include "tree/tree.h"

/* Beyond this, sums of sizes and positions could overflow; no ledger comes near. */
#define SIZE_MAX_LEAVES ((uint64_t)1 << 62)

static bool is_used(uint64_t size, uint32_t level)
{
    return (size >> level & 1) != 0;
}

void tl_frontier_add(struct tl_frontier *frontier, const uint8_t leaf_hash[TL_HASH_LEN])
{
    tl_assert(frontier->size < SIZE_MAX_LEAVES);
    uint8_t hash[TL_HASH_LEN];
    memcpy(hash, leaf_hash, sizeof(hash));
    uint32_t level = 0;
    for (; is_used(frontier->size, level); level++) {
        tl_tree_hash_node(hash, frontier->nodes[level], hash);
    }
    memcpy(frontier->nodes[level], hash, sizeof(hash));
    frontier->size++;
}

void tl_frontier_root(const struct tl_frontier *frontier, uint8_t out[TL_HASH_LEN])
{
    if (frontier->size == 0) {
        tl_tree_hash_empty(out);
        return;
    }
    uint32_t level = (uint32_t)__builtin_ctzll(frontier->size);
    uint8_t hash[TL_HASH_LEN];
    memcpy(hash, frontier->nodes[level], sizeof(hash));
    for (level++; level < TL_FRONTIER_MAX; level++) {
        if (is_used(frontier->size, level)) {
            tl_tree_hash_node(hash, frontier->nodes[level], hash);
        }
    }
    memcpy(out, hash, sizeof(hash));
}

size_t tl_frontier_pack(const struct tl_frontier *frontier,
                        uint8_t out[TL_FRONTIER_MAX * TL_HASH_LEN])
{
    size_t len = 0;
    for (uint32_t level = TL_FRONTIER_MAX; level-- > 0;) {
        if (is_used(frontier->size, level)) {
            memcpy(out + len, frontier->nodes[level], TL_HASH_LEN);
            len += TL_HASH_LEN;
        }
    }
    return len;
}

tally_status tl_frontier_unpack(struct tl_frontier *frontier, uint64_t size, const uint8_t *bytes,
                                size_t len)
{
    if (size > SIZE_MAX_LEAVES || len != (size_t)__builtin_popcountll(size) * TL_HASH_LEN) {
        return TALLY_ECORRUPT;
    }
    *frontier = (struct tl_frontier){ .size = size };
    for (uint32_t level = TL_FRONTIER_MAX; level-- > 0;) {
        if (is_used(size, level)) {
            memcpy(frontier->nodes[level], bytes, TL_HASH_LEN);
            bytes += TL_HASH_LEN;
        }
    }
    return TALLY_OK;
}
