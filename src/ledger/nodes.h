/* ledger/nodes.h - nodes of a stored tree, from its tiles and leaves. */
#ifndef TL_LEDGER_NODES_H
#define TL_LEDGER_NODES_H

#include "store/store.h"
#include "tree/tree.h"

/* A tree of `size` leaves in a store. Caller serialises; keeps the tile it read last. */
struct tl_nodes {
    struct tally_store *store;
    uint64_t size;
    struct tally_error *err; /* details of failures; may be NULL */
    bool has_tile;
    uint32_t tile_level;
    uint64_t tile_n;
    uint8_t tile[TL_TILE_LEN];
    uint32_t filled; /* hashes, while a tile is made from leaves */
};

/* Fits tl_node_fn; `ctx` is a struct tl_nodes. Errors: TALLY_ECORRUPT for leaves or tiles that are
 * not there. */
tally_status tl_nodes_get(void *ctx, uint32_t level, uint64_t n, uint8_t out[TL_HASH_LEN]);

/* The root of the first `size` leaves, size <= nodes->size. */
tally_status tl_nodes_root(struct tl_nodes *nodes, uint64_t size, uint8_t out[TL_HASH_LEN]);

#endif /* TL_LEDGER_NODES_H */
