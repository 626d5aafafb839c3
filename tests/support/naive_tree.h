/*
 * tests/support/naive_tree.h - the tree as RFC 6962 defines it, by recursion: a second opinion.
 *
 * Leaf i is the number i in eight bytes.
 */
#ifndef TESTS_NAIVE_TREE_H
#define TESTS_NAIVE_TREE_H

#include <string.h>

#include "base/bytes.h"
#include "crypto/crypto.h"
#include "tree/tree.h"

static inline void naive_leaf(uint8_t *out, uint64_t i)
{
    uint8_t bytes[9] = { 0x00 };
    tl_put_be64(bytes + 1, i);
    tl_sha256(out, bytes, sizeof(bytes));
}

/* The largest power of two below `count` > 1. */
static inline uint64_t naive_split(uint64_t count)
{
    uint64_t split = 1;
    while (2 * split < count) {
        split *= 2;
    }
    return split;
}

/* The root over the leaves first ... first + count - 1. */
static inline void naive_root(uint8_t *out, uint64_t first, uint64_t count)
{
    if (count == 0) {
        tl_sha256(out, "", 0);
        return;
    }
    if (count == 1) {
        naive_leaf(out, first);
        return;
    }
    uint64_t split = naive_split(count);
    uint8_t bytes[65] = { 0x01 };
    naive_root(bytes + 1, first, split);
    naive_root(bytes + 33, first + split, count - split);
    tl_sha256(out, bytes, sizeof(bytes));
}

/* A tl_node_fn; `ctx` is the size of the tree, as uint64_t. */
static inline tally_status naive_node(void *ctx, uint32_t level, uint64_t n, uint8_t *out)
{
    const uint64_t *size = ctx;
    tl_assert((n + 1) << level <= *size); /* never asks for what is not complete */
    naive_root(out, n << level, (uint64_t)1 << level);
    return TALLY_OK;
}

static inline void naive_push(struct tl_proof *proof, uint64_t first, uint64_t count)
{
    naive_root(proof->hashes[proof->count++], first, count);
}

/* PATH(index, leaves first ... first + count - 1) of RFC 6962 §2.1.1, added to `proof`. */
static inline void naive_path(struct tl_proof *proof, uint64_t index, uint64_t first,
                              uint64_t count)
{
    if (count == 1) {
        return;
    }
    uint64_t split = naive_split(count);
    if (index < split) {
        naive_path(proof, index, first, split);
        naive_push(proof, first + split, count - split);
    } else {
        naive_path(proof, index - split, first + split, count - split);
        naive_push(proof, first, split);
    }
}

/* SUBPROOF(old_size, leaves first ... first + count - 1, is_known) of RFC 6962 §2.1.2. */
static inline void naive_subproof(struct tl_proof *proof, uint64_t old_size, uint64_t first,
                                  uint64_t count, bool is_known)
{
    if (old_size == count) {
        if (!is_known) {
            naive_push(proof, first, count);
        }
        return;
    }
    uint64_t split = naive_split(count);
    if (old_size <= split) {
        naive_subproof(proof, old_size, first, split, is_known);
        naive_push(proof, first + split, count - split);
    } else {
        naive_subproof(proof, old_size - split, first + split, count - split, false);
        naive_push(proof, first, split);
    }
}

#endif /* TESTS_NAIVE_TREE_H */
