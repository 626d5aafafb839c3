#include <string.h>

#include "tree/tree.h"

#define DEPTH_MAX 65u /* sizes of 64 bits are halved 64 times, and the old root may follow */

/* The leaves first ... end - 1, a subtree that RFC 6962 names: complete, or at the right edge. */
struct range {
    uint64_t first;
    uint64_t end;
};

/* Subtrees beside the way from the root down, in this order. */
struct path {
    uint32_t count;
    struct range ranges[DEPTH_MAX];
};

/* The largest power of two below `count` > 1. */
static uint64_t split_of(uint64_t count)
{
    return (uint64_t)1 << (63 - __builtin_clzll(count - 1));
}

/* Narrows `at` to that half in which leaf `end - 1` is, and adds the other to `path`. Returns
 * whether it went left. */
static bool descend(struct path *path, struct range *at, uint64_t end)
{
    tl_assert(path->count < DEPTH_MAX);
    uint64_t middle = at->first + split_of(at->end - at->first);
    struct range left = { at->first, middle };
    struct range right = { middle, at->end };
    bool goes_left = end <= middle;
    *at = goes_left ? left : right;
    path->ranges[path->count++] = goes_left ? right : left;
    return goes_left;
}

/*
 * The hash of a subtree. It falls into complete nodes, one for each bit set in its length, the
 * largest first; for one away from the right edge this is a single node.
 */
static tally_status hash_range(uint8_t out[TL_HASH_LEN], struct range range, tl_node_fn *fn,
                               void *ctx)
{
    uint64_t left = range.end - range.first;
    tl_assert(left > 0);
    uint32_t level = (uint32_t)__builtin_ctzll(left);
    uint64_t end = range.end;
    TL_TRY(fn(ctx, level, (end >> level) - 1, out));
    for (left &= left - 1; left != 0; left &= left - 1) {
        end -= (uint64_t)1 << level;
        level = (uint32_t)__builtin_ctzll(left);
        uint8_t node[TL_HASH_LEN];
        TL_TRY(fn(ctx, level, (end >> level) - 1, node));
        tl_tree_hash_node(out, node, out);
    }
    return TALLY_OK;
}

/* Proofs run from the leaves up. */
static tally_status make_proof(struct tl_proof *proof_out, const struct path *path, tl_node_fn *fn,
                               void *ctx)
{
    struct tl_proof proof = { .count = path->count };
    for (uint32_t i = 0; i < path->count; i++) {
        TL_TRY(hash_range(proof.hashes[i], path->ranges[path->count - 1 - i], fn, ctx));
    }
    *proof_out = proof;
    return TALLY_OK;
}

tally_status tl_proof_inclusion(struct tl_proof *proof_out, uint64_t index, uint64_t size,
                                tl_node_fn *fn, void *ctx)
{
    tl_assert(index < size);
    struct path path = { 0 };
    struct range at = { 0, size };
    while (at.end - at.first > 1) {
        (void)descend(&path, &at, index + 1);
    }
    tl_assert(at.first == index);
    return make_proof(proof_out, &path, fn, ctx);
}

tally_status tl_proof_consistency(struct tl_proof *proof_out, uint64_t old_size, uint64_t size,
                                  tl_node_fn *fn, void *ctx)
{
    tl_assert(old_size >= 1);
    tl_assert(old_size <= size);
    struct path path = { 0 };
    struct range at = { 0, size };
    bool is_old_root = true; /* `at` starts with leaf 0, so that its hash is known when it ends */
    while (at.end != old_size) {
        is_old_root = descend(&path, &at, old_size) && is_old_root;
    }
    if (!is_old_root) {
        tl_assert(path.count < DEPTH_MAX);
        path.ranges[path.count++] = at;
    }
    return make_proof(proof_out, &path, fn, ctx);
}

static bool is_odd(uint64_t n)
{
    return (n & 1) != 0;
}

/* The position of a node in its row, and that of the row's last node. */
struct place {
    uint64_t n;
    uint64_t last;
};

/*
 * Takes the place one row up, or further where the node has no sibling in its row. Returns whether
 * the sibling that the proof gives is to the left.
 */
static bool step_up(struct place *at)
{
    bool sibling_is_left = is_odd(at->n) || at->n == at->last;
    while (sibling_is_left && !is_odd(at->n) && at->n != 0) {
        at->n >>= 1;
        at->last >>= 1;
    }
    at->n >>= 1;
    at->last >>= 1;
    return sibling_is_left;
}

bool tl_proof_inclusion_holds(const struct tl_proof *proof, uint64_t index, uint64_t size,
                              const uint8_t leaf_hash[TL_HASH_LEN], const uint8_t root[TL_HASH_LEN])
{
    if (index >= size || proof->count > TL_PROOF_MAX) {
        return false;
    }
    struct place at = { index, size - 1 };
    uint8_t hash[TL_HASH_LEN];
    memcpy(hash, leaf_hash, sizeof(hash));
    for (uint32_t i = 0; i < proof->count; i++) {
        const uint8_t *sibling = proof->hashes[i];
        if (at.last == 0) {
            return false; /* more hashes than the tree has rows */
        }
        bool is_left = step_up(&at);
        tl_tree_hash_node(hash, is_left ? sibling : hash, is_left ? hash : sibling);
    }
    return at.last == 0 && memcmp(hash, root, sizeof(hash)) == 0;
}

/* The old tree ends in a complete subtree, whose hash is where both roots are computed from. */
static struct place start_of(uint64_t old_size, uint64_t size)
{
    uint32_t level = (uint32_t)__builtin_ctzll(old_size);
    return (struct place){ (old_size - 1) >> level, (size - 1) >> level };
}

bool tl_proof_consistency_holds(const struct tl_proof *proof, uint64_t old_size, uint64_t size,
                                const uint8_t old_root[TL_HASH_LEN],
                                const uint8_t root[TL_HASH_LEN])
{
    if (old_size == 0 || old_size > size || proof->count > TL_PROOF_MAX) {
        return false;
    }
    if (old_size == size) {
        return proof->count == 0 && memcmp(old_root, root, TL_HASH_LEN) == 0;
    }
    struct place at = start_of(old_size, size);
    bool is_old_root = at.n == 0; /* that subtree is all of the old tree: not in the proof */
    if (!is_old_root && proof->count == 0) {
        return false;
    }
    uint8_t old_hash[TL_HASH_LEN];
    uint8_t hash[TL_HASH_LEN];
    memcpy(hash, is_old_root ? old_root : proof->hashes[0], sizeof(hash));
    memcpy(old_hash, hash, sizeof(hash));
    for (uint32_t i = is_old_root ? 0 : 1; i < proof->count; i++) {
        const uint8_t *sibling = proof->hashes[i];
        if (at.last == 0) {
            return false;
        }
        bool is_left = step_up(&at);
        if (is_left) {
            tl_tree_hash_node(old_hash, sibling, old_hash);
        }
        tl_tree_hash_node(hash, is_left ? sibling : hash, is_left ? hash : sibling);
    }
    return at.last == 0 && memcmp(old_hash, old_root, sizeof(hash)) == 0 &&
           memcmp(hash, root, sizeof(hash)) == 0;
}
