#include <string.h>

#include "crypto/crypto.h"
#include "tree/tree.h"

/* The first byte of what is hashed: no leaf can be passed off as a node. */
#define LEAF_PREFIX 0x00
#define NODE_PREFIX 0x01

_Static_assert(TL_HASH_LEN == TL_SHA256_LEN, "nodes are SHA-256 hashes");

void tl_tree_hash_empty(uint8_t out[TL_HASH_LEN])
{
    tl_sha256(out, NULL, 0);
}

void tl_tree_hash_leaf(uint8_t out[TL_HASH_LEN], const uint8_t *leaf, size_t len)
{
    const uint8_t prefix = LEAF_PREFIX;
    struct tl_sha256 hash;
    tl_sha256_init(&hash);
    tl_sha256_add(&hash, &prefix, 1);
    tl_sha256_add(&hash, leaf, len);
    tl_sha256_end(&hash, out);
}

void tl_tree_hash_node(uint8_t out[TL_HASH_LEN], const uint8_t left[TL_HASH_LEN],
                       const uint8_t right[TL_HASH_LEN])
{
    uint8_t bytes[1 + 2 * TL_HASH_LEN];
    bytes[0] = NODE_PREFIX;
    memcpy(bytes + 1, left, TL_HASH_LEN);
    memcpy(bytes + 1 + TL_HASH_LEN, right, TL_HASH_LEN);
    tl_sha256(out, bytes, sizeof(bytes));
}
