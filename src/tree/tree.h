/*
 * tree/tree.h - the Merkle tree of RFC 6962: hashes, frontier, tiles, proofs. Pure computation.
 *
 * A node is named by (level, n): level 0 are the leaves; node (l, n) covers the leaves
 * n * 2^l ... (n + 1) * 2^l - 1, all of which exist. Only such complete nodes have names.
 */
#ifndef TL_TREE_TREE_H
#define TL_TREE_TREE_H

#include "base/base.h"

#define TL_HASH_LEN     32u
#define TL_TILE_WIDTH   256u
#define TL_TILE_LEN     ((size_t)TL_TILE_WIDTH * TL_HASH_LEN)
#define TL_TILE_LEVELS  8u   /* enough for 2^63 leaves */
#define TL_PROOF_MAX    128u /* hashes; no proof of ours is longer */
#define TL_FRONTIER_MAX 64u  /* hashes */

void tl_tree_hash_empty(uint8_t out[TL_HASH_LEN]);
void tl_tree_hash_leaf(uint8_t out[TL_HASH_LEN], const uint8_t *leaf, size_t len);
void tl_tree_hash_node(uint8_t out[TL_HASH_LEN], const uint8_t left[TL_HASH_LEN],
                       const uint8_t right[TL_HASH_LEN]);

/* The roots of the complete subtrees a tree is made of, enough to add leaves and know the root. */
struct tl_frontier {
    uint64_t size;                               /* leaves */
    uint8_t nodes[TL_FRONTIER_MAX][TL_HASH_LEN]; /* nodes[l] is in use if bit l of size is set */
};

void tl_frontier_add(struct tl_frontier *frontier, const uint8_t leaf_hash[TL_HASH_LEN]);
void tl_frontier_root(const struct tl_frontier *frontier, uint8_t out[TL_HASH_LEN]);

/* Writes the nodes in use, highest level first; returns the bytes written. */
size_t tl_frontier_pack(const struct tl_frontier *frontier,
                        uint8_t out[TL_FRONTIER_MAX * TL_HASH_LEN]);

/* Errors: TALLY_ECORRUPT if `len` does not fit `size`, or size is above 2^62. */
tally_status tl_frontier_unpack(struct tl_frontier *frontier, uint64_t size, const uint8_t *bytes,
                                size_t len);

/* Gives the hash of node (level, n), which is complete in the tree at hand. */
typedef tally_status tl_node_fn(void *ctx, uint32_t level, uint64_t n, uint8_t out[TL_HASH_LEN]);

/* Receives each tile as it fills; `data` is TL_TILE_LEN bytes, borrowed. */
typedef tally_status tl_tile_fn(void *ctx, uint32_t level, uint64_t n, const uint8_t *data);

/* Builds tiles as leaves come. About 64 KiB: allocate it. A zeroed one stands for the empty tree. */
struct tl_tiler {
    uint64_t size;                               /* leaves */
    uint8_t hashes[TL_TILE_LEVELS][TL_TILE_LEN]; /* partial tile of each level */
};

/* Adds a leaf and hands over the tiles that became full. What `fn` returns is returned; after a
 * failure the tiler must not be used again. `fn` may be NULL. */
tally_status tl_tiler_add(struct tl_tiler *tiler, const uint8_t leaf_hash[TL_HASH_LEN],
                          tl_tile_fn *fn, void *ctx);

/*
 * Makes a tiler go on after the leaves of `frontier`: asks `fn` for the hashes in the partial tile
 * of each level, which are nodes (8 * level, ...), and checks them. After a failure the tiler must
 * not be used. Errors: TALLY_ECORRUPT if they do not give the frontier; what `fn` returns.
 */
tally_status tl_tiler_restore(struct tl_tiler *tiler, const struct tl_frontier *frontier,
                              tl_node_fn *fn, void *ctx);

/* How many hashes the partial tile of `level` has in a tree of `size` leaves: 0 to 255. */
uint32_t tl_tile_partial_width(uint64_t size, uint32_t level);

/* The root of a full tile. */
void tl_tile_root(uint8_t out[TL_HASH_LEN], const uint8_t data[TL_TILE_LEN]);

/* A proof: hashes in the order of RFC 9162 §2.1.3 and §2.1.4. */
struct tl_proof {
    uint32_t count;
    uint8_t hashes[TL_PROOF_MAX][TL_HASH_LEN];
};

/* Makes the proof that leaf `index` < `size` is in the tree of `size` leaves. Status of `fn`. */
tally_status tl_proof_inclusion(struct tl_proof *proof_out, uint64_t index, uint64_t size,
                                tl_node_fn *fn, void *ctx);

/* Makes the proof that the tree of `old_size` leaves is the start of that of `size`;
 * 1 <= old_size <= size. */
tally_status tl_proof_consistency(struct tl_proof *proof_out, uint64_t old_size, uint64_t size,
                                  tl_node_fn *fn, void *ctx);

/* Whether the proof proves it; used up exactly. False for index >= size. */
bool tl_proof_inclusion_holds(const struct tl_proof *proof, uint64_t index, uint64_t size,
                              const uint8_t leaf_hash[TL_HASH_LEN],
                              const uint8_t root[TL_HASH_LEN]);
bool tl_proof_consistency_holds(const struct tl_proof *proof, uint64_t old_size, uint64_t size,
                                const uint8_t old_root[TL_HASH_LEN],
                                const uint8_t root[TL_HASH_LEN]);

#endif /* TL_TREE_TREE_H */
