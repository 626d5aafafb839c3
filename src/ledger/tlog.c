/* tally_tlog_tile(): one tile of the tree, as bundle/writer.h would write it. */
#include <tally/bundle.h>

#include "bundle/layout.h"
#include "ledger/ledger.h"
#include "ledger/nodes.h"

static tally_status add_hashes(struct tl_buf *out, struct tally_store *store, uint64_t size,
                               const struct tl_bundle_tile *tile, struct tally_error *err)
{
    TL_CLEANUP(tl_freep) struct tl_nodes *nodes = tl_alloc_array(1, sizeof(*nodes));
    if (nodes == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a tile");
    }
    *nodes = (struct tl_nodes){ .store = store, .size = size, .err = err };
    for (uint32_t i = 0; i < tile->width; i++) {
        uint8_t hash[TL_HASH_LEN];
        TL_TRY(tl_nodes_get(nodes, 8 * tile->level, tile->n * TL_TILE_WIDTH + i, hash));
        tl_buf_add(out, hash, sizeof(hash));
    }
    return tl_buf_status(out);
}

/* Collects the leaves of a tile. */
struct entries {
    struct tl_buf *out;
    uint64_t next;
    struct tally_error *err;
};

static tally_status add_entry(void *ctx, const struct tally_record *record)
{
    struct entries *entries = ctx;
    if (record->seq != entries->next) {
        return TALLY_ECORRUPT; /* one before this one is missing */
    }
    entries->next++;
    return tl_bundle_add_entry(entries->out, record->leaf, record->leaf_len, entries->err);
}

static tally_status add_entries(struct tl_buf *out, struct tally_store *store,
                                const struct tl_bundle_tile *tile, struct tally_error *err)
{
    struct entries entries = { .out = out, .next = tile->n * TL_TILE_WIDTH, .err = err };
    uint64_t end = entries.next + tile->width;
    tally_status status = tl_store_scan(store, entries.next, end, add_entry, &entries, err);
    if (status == TALLY_ECORRUPT || (status == TALLY_OK && entries.next != end)) {
        return tl_fail(err, TALLY_ECORRUPT, "record %llu is missing; run 'tally verify'",
                       (unsigned long long)entries.next);
    }
    return status;
}

static tally_status add_tile(struct tl_buf *out, struct tally_store *store,
                             const struct tl_bundle_tile *tile, struct tally_error *err)
{
    uint64_t size = 0;
    TL_TRY(tl_store_newest_checkpoint(store, &size, err));
    if (!tl_bundle_tile_reaches(tile, size)) {
        return tl_fail(err, TALLY_ENOTFOUND, "the tree has no such tile");
    }
    return tile->level == TL_BUNDLE_ENTRIES ? add_entries(out, store, tile, err)
                                            : add_hashes(out, store, size, tile, err);
}

tally_status tally_tlog_tile(struct tally_ledger *ledger, const char *path, void **bytes_out,
                             size_t *len_out, struct tally_error *err)
{
    struct tl_bundle_tile tile;
    struct tl_reader reader;
    struct tl_buf out;
    if (tl_bundle_tile_parse(&tile, path) != TALLY_OK) {
        return tl_fail(err, TALLY_ENOTFOUND, "this is no path of a tile");
    }
    TL_TRY(tl_reader_get(ledger, &reader, err));
    tl_buf_init(&out, TL_BUNDLE_ENTRIES_LEN_MAX);
    tally_status status = tl_reader_begin(&reader, err);
    if (status == TALLY_OK) {
        status = add_tile(&out, reader.store, &tile, err);
    }
    tl_reader_put(ledger, &reader);
    size_t len = 0;
    char *bytes = status == TALLY_OK ? tl_buf_take(&out, &len) : NULL;
    tl_buf_release(&out);
    if (status == TALLY_OK && bytes == NULL) {
        status = TALLY_ENOMEM;
    }
    if (status != TALLY_OK) {
        return tl_fail(err, status, "cannot read the tile");
    }
    *bytes_out = bytes;
    *len_out = len;
    return TALLY_OK;
}
