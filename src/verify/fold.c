/* Takes the leaf hashes of each chunk into the tree, and compares the tree with the stored tiles. */
#include <inttypes.h>

#include "verify/run.h"

/* What a complete computation from the stored tiles of level 0 gives. */
struct recount {
    struct tl_frontier frontier;
    uint64_t end;
    bool hole;
};

static tally_status recount_leaf(void *ctx, const struct tally_record *record)
{
    struct recount *recount = ctx;
    if (record->seq != recount->frontier.size || record->leaf == NULL) {
        recount->hole = true;
        return TALLY_ECANCELED;
    }
    uint8_t hash[TL_HASH_LEN];
    tl_tree_hash_leaf(hash, record->leaf, record->leaf_len);
    tl_frontier_add(&recount->frontier, hash);
    return TALLY_OK;
}

/* Reads tile 0/n of `width` hashes. Only exports have tiles that are not full: elsewhere there is
 * nothing to compare the last leaves with. */
static tally_status read_level_0(struct tl_run *run, uint64_t n, uint32_t width, uint8_t *tile)
{
    const struct tl_handover *handover = run->in->handover;
    struct tally_error error = TALLY_ERROR_INIT;
    return width == TL_TILE_WIDTH
               ? tl_store_tile(run->in->store, 0, n, tile, &error)
               : handover->partial_tile(handover->ctx, 0, n, width, tile, run->err);
}

/* Takes the stored tiles of level 0 into the frontier. TALLY_ENOTFOUND if one is not there. */
static tally_status recount_tiles(struct tl_run *run, struct recount *recount, uint8_t *tile)
{
    uint64_t end = run->in->handover != NULL ? run->size : run->size - run->size % TL_TILE_WIDTH;
    while (recount->frontier.size < end) {
        uint64_t left = end - recount->frontier.size;
        uint32_t width = left < TL_TILE_WIDTH ? (uint32_t)left : TL_TILE_WIDTH;
        TL_TRY(read_level_0(run, recount->frontier.size / TL_TILE_WIDTH, width, tile));
        for (uint32_t i = 0; i < width; i++) {
            tl_frontier_add(&recount->frontier, tile + (size_t)i * TL_HASH_LEN);
        }
    }
    return TALLY_OK;
}

/*
 * Whether the stored tiles lead to the signed root. Asked at the first difference only; the answer
 * says on which side the fault is.
 */
static tally_status tiles_are_sound(struct tl_run *run, bool *sound_out)
{
    *sound_out = run->tiles == TL_TILES_SOUND;
    if (run->tiles != TL_TILES_UNASKED) {
        return TALLY_OK;
    }
    run->tiles = TL_TILES_DOUBTFUL;
    TL_CLEANUP(tl_freep) struct recount *recount = tl_alloc_array(1, sizeof(*recount));
    TL_CLEANUP(tl_freep) uint8_t *tile = tl_alloc_array(TALLY_TILE_LEN, 1);
    if (recount == NULL || tile == NULL) {
        return tl_fail(run->err, TALLY_ENOMEM, "cannot allocate a tile");
    }
    tally_status status = recount_tiles(run, recount, tile);
    if (status == TALLY_ENOTFOUND) {
        return TALLY_OK;
    }
    TL_TRY(status);
    status = tl_store_scan(run->in->store, recount->frontier.size, run->size, recount_leaf, recount,
                           run->err);
    if (status != TALLY_OK && status != TALLY_ECANCELED) {
        return status;
    }
    uint8_t root[TL_HASH_LEN];
    tl_frontier_root(&recount->frontier, root);
    if (recount->frontier.size == run->size && run->newest_parsed &&
        memcmp(root, run->root, sizeof(root)) == 0) {
        run->tiles = TL_TILES_SOUND;
        *sound_out = true;
    }
    return TALLY_OK;
}

/* Compares the leaves of one tile with the stored one, and lets sound ones stand in. */
static tally_status compare_leaves(struct tl_run *run, uint64_t n, uint32_t width,
                                   const uint8_t *tile)
{
    size_t at = (size_t)(n * TL_TILE_WIDTH - run->chunk_first);
    bool missing = memchr(run->marks + at, 0, width) != NULL;
    if (!missing && memcmp(run->hashes[at], tile, (size_t)width * TL_HASH_LEN) == 0) {
        return TALLY_OK;
    }
    bool sound = false;
    TL_TRY(tiles_are_sound(run, &sound));
    if (!sound && !missing) {
        tl_found(&run->found, TL_TILE_MISMATCH, n * TL_TILE_WIDTH,
                 "tile 0/%" PRIu64 " is not that of the leaves", n);
    }
    for (size_t i = 0; sound && i < width; i++) {
        if (run->marks[at + i] != 0 &&
            memcmp(run->hashes[at + i], tile + i * TL_HASH_LEN, TL_HASH_LEN) != 0) {
            run->marks[at + i] = TL_MARK_MODIFIED;
        }
        if (run->marks[at + i] == 0) {
            run->marks[at + i] = TL_MARK_REPLACED;
        }
        memcpy(run->hashes[at + i], tile + i * TL_HASH_LEN, TL_HASH_LEN);
    }
    return TALLY_OK;
}

/* Each stored tile of level 0 that the chunk has all leaves of. */
static tally_status compare_level_0(struct tl_run *run)
{
    TL_CLEANUP(tl_freep) uint8_t *tile = tl_alloc_array(TALLY_TILE_LEN, 1);
    if (tile == NULL) {
        return tl_fail(run->err, TALLY_ENOMEM, "cannot allocate a tile");
    }
    for (uint64_t first = run->chunk_first; first < run->chunk_end; first += TL_TILE_WIDTH) {
        uint64_t n = first / TL_TILE_WIDTH;
        uint64_t left = run->chunk_end - first;
        if (left < TL_TILE_WIDTH && run->in->handover == NULL) {
            break;
        }
        uint32_t width = left < TL_TILE_WIDTH ? (uint32_t)left : TL_TILE_WIDTH;
        tally_status status = read_level_0(run, n, width, tile);
        if (status == TALLY_ENOTFOUND) {
            tl_found(&run->found, TL_TILE_MISSING, first, "tile 0/%" PRIu64 " is missing", n);
            continue;
        }
        TL_TRY(status);
        TL_TRY(compare_leaves(run, n, width, tile));
    }
    return TALLY_OK;
}

/* Receives each tile as it fills up; those of level 0 were compared before. */
static tally_status compare_tile(void *ctx, uint32_t level, uint64_t n, const uint8_t *data)
{
    struct tl_run *run = ctx;
    if (level == 0) {
        return TALLY_OK;
    }
    TL_CLEANUP(tl_freep) uint8_t *tile = tl_alloc_array(TALLY_TILE_LEN, 1);
    if (tile == NULL) {
        return tl_fail(run->err, TALLY_ENOMEM, "cannot allocate a tile");
    }
    uint64_t first = n << (8 * (level + 1));
    struct tally_error error = TALLY_ERROR_INIT;
    tally_status status = tl_store_tile(run->in->store, level, n, tile, &error);
    if (status == TALLY_ENOTFOUND) {
        tl_found(&run->found, TL_TILE_MISSING, first, "tile %" PRIu32 "/%" PRIu64 " is missing",
                 level, n);
        return TALLY_OK;
    }
    TL_TRY(status);
    if (memcmp(tile, data, TALLY_TILE_LEN) != 0) {
        tl_found(&run->found, TL_TILE_MISMATCH, first,
                 "tile %" PRIu32 "/%" PRIu64 " is not that of the tree", level, n);
    }
    return TALLY_OK;
}

static bool is_modified(void *ctx, uint64_t seq)
{
    const struct tl_run *run = ctx;
    return seq >= run->chunk_first && seq < run->chunk_end &&
           run->marks[seq - run->chunk_first] == TL_MARK_MODIFIED;
}

/* The next size at which somebody wants to know the root. */
static uint64_t next_stop(const struct tl_run *run)
{
    uint64_t stop = UINT64_MAX;
    if (run->fold_kept_at < run->kept_count) {
        stop = run->kept[run->fold_kept_at].size;
    }
    if (run->watch_at < run->watch_count && run->watches[run->watch_at].size < stop) {
        stop = run->watches[run->watch_at].size;
    }
    return stop;
}

/* The root of the complete subtree over `width` hashes, a power of two up to 128. */
static void subtree_root(uint8_t out[TL_HASH_LEN], const uint8_t *hashes, uint32_t width)
{
    uint8_t level[TL_TILE_WIDTH / 2][TL_HASH_LEN];
    memcpy(level, hashes, (size_t)width * TL_HASH_LEN);
    for (; width > 1; width /= 2) {
        for (uint32_t i = 0; i < width / 2; i++) {
            tl_tree_hash_node(level[i], level[(size_t)i * 2], level[(size_t)i * 2 + 1]);
        }
    }
    memcpy(out, level[0], TL_HASH_LEN);
}

/* Roots are asked for now and then only: that is cheaper than keeping a frontier beside the tiles,
 * which would hash every node twice. */
static void make_frontier(struct tl_frontier *frontier, const struct tl_tiler *tiler)
{
    memset(frontier, 0, sizeof(*frontier));
    frontier->size = tiler->size;
    for (uint32_t level = 0; level < TL_TILE_LEVELS; level++) {
        uint32_t partial = tl_tile_partial_width(tiler->size, level);
        uint32_t at = 0;
        for (uint32_t k = 8; k-- > 0;) {
            if ((partial >> k & 1) != 0) {
                subtree_root(frontier->nodes[level * 8 + k],
                             tiler->hashes[level] + (size_t)at * TL_HASH_LEN, 1u << k);
                at += 1u << k;
            }
        }
    }
}

static void report_roots(struct tl_run *run)
{
    if (next_stop(run) > run->tiler->size) {
        return;
    }
    struct tl_frontier frontier;
    uint8_t root[TL_HASH_LEN];
    make_frontier(&frontier, run->tiler);
    tl_frontier_root(&frontier, root);
    tl_checkpoint_roots(run, run->tiler->size, root);
}

/* Findings of before explain nothing once the leaf is known to be another. */
static void report_modified(struct tl_run *run)
{
    tl_findings_let_go(&run->found, is_modified, run);
    for (uint64_t seq = run->chunk_first; seq < run->chunk_end; seq++) {
        if (is_modified(run, seq)) {
            tl_leaf_damaged(run, seq);
            tl_found(&run->found, TL_LEAF_MODIFIED, seq,
                     "the leaf is not the one under the signed root");
        }
    }
}

tally_status tl_fold_chunk(struct tl_run *run)
{
    TL_TRY(compare_level_0(run));
    report_modified(run);
    size_t count = (size_t)(run->chunk_end - run->chunk_first);
    report_roots(run);
    for (size_t i = 0; i < count && !run->tree_broken; i++) {
        if (run->marks[i] == 0) {
            run->tree_broken = true;
            break;
        }
        TL_TRY(tl_tiler_add(run->tiler, run->hashes[i], compare_tile, run));
        report_roots(run);
    }
    /* What the tree could not reach is passed over; the missing leaf is a finding. */
    while (run->fold_kept_at < run->kept_count &&
           run->kept[run->fold_kept_at].size <= run->chunk_end) {
        run->fold_kept_at++;
    }
    while (run->kept_at < run->kept_count && run->kept[run->kept_at].size <= run->chunk_end) {
        run->kept_at++;
    }
    return TALLY_OK;
}

static tally_status find_extra_tile(void *ctx, const struct tally_tile *tile)
{
    struct tl_run *run = ctx;
    bool deep = tile->level >= TL_TILE_LEVELS - 1;
    uint64_t full = deep ? 0 : run->size >> (8 * (tile->level + 1));
    if (tile->n >= full) {
        tl_found(&run->found, TL_TILE_MISMATCH, TALLY_SEQ_NONE,
                 "tile %" PRIu32 "/%" PRIu64 " is none of this tree", tile->level, tile->n);
    }
    return TALLY_OK;
}

/* With EPOCH for its last leaf, the ledger is between two epochs. */
static bool is_epoch_of_head(const struct tl_state *state, uint32_t epoch)
{
    bool switched = state->names_keys && state->kind == TL_LEAF_EPOCH;
    return epoch == state->epoch || (switched && epoch == state->epoch_before);
}

/* The tiles above level 0 that are not full, of an export: the tree is at its end. */
static tally_status compare_partial(struct tl_run *run, const struct tl_handover *handover)
{
    TL_CLEANUP(tl_freep) uint8_t *tile = tl_alloc_array(TALLY_TILE_LEN, 1);
    if (tile == NULL) {
        return tl_fail(run->err, TALLY_ENOMEM, "cannot allocate a tile");
    }
    for (uint32_t level = 1; level < TL_TILE_LEVELS && !run->tree_broken; level++) {
        uint32_t width = tl_tile_partial_width(run->size, level);
        uint64_t n = run->size >> (8 * level) >> 8;
        if (width == 0) {
            continue;
        }
        tally_status status =
            handover->partial_tile(handover->ctx, level, n, width, tile, run->err);
        if (status == TALLY_ENOTFOUND) {
            tl_found(&run->found, TL_TILE_MISSING, TALLY_SEQ_NONE,
                     "tile %" PRIu32 "/%" PRIu64 " is missing", level, n);
            continue;
        }
        TL_TRY(status);
        if (memcmp(tile, run->tiler->hashes[level], (size_t)width * TL_HASH_LEN) != 0) {
            tl_found(&run->found, TL_TILE_MISMATCH, TALLY_SEQ_NONE,
                     "tile %" PRIu32 "/%" PRIu64 " is not that of the tree", level, n);
        }
    }
    return TALLY_OK;
}

/* The head's frontier and epoch, and tiles that should not be. */
tally_status tl_fold_end(struct tl_run *run)
{
    report_roots(run);
    const struct tally_head *head = &run->head;
    if (run->in->handover != NULL) {
        TL_TRY(compare_partial(run, run->in->handover));
    } else if (run->newest_rooted && head->size == run->size) {
        struct tl_frontier frontier;
        uint8_t packed[TL_FRONTIER_MAX * TL_HASH_LEN];
        make_frontier(&frontier, run->tiler);
        size_t len = tl_frontier_pack(&frontier, packed);
        bool same = head->frontier_len == len && memcmp(head->frontier, packed, len) == 0;
        if (!same || !is_epoch_of_head(&run->state, head->epoch)) {
            tl_found(&run->found, TL_HEAD_MISMATCH, TALLY_SEQ_NONE, "%s",
                     same ? "the head names another epoch" : "the head has another frontier");
        }
    }
    return tl_store_scan_tiles(run->in->store, find_extra_tile, run, run->err);
}
