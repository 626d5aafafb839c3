#include <string.h>

#include "check.h"
#include "naive_tree.h"

#define LEAVES 70000u

static void widths_agree_with_the_vectors(void **state)
{
    (void)state;
    static const struct {
        uint64_t size;
        uint32_t widths[4];
    } table[] = {
        { 0, { 0 } },
        { 1, { 1 } },
        { 2, { 2 } },
        { 255, { 255 } },
        { 256, { 0, 1 } },
        { 257, { 1, 1 } },
        { 65535, { 255, 255 } },
        { 65536, { 0, 0, 1 } },
        { 65537, { 1, 0, 1 } },
        { 70000, { 112, 17, 1 } },
        { (uint64_t)1 << 24, { 0, 0, 0, 1 } },
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(table); i++) {
        for (uint32_t level = 0; level < TL_TILE_LEVELS + 2; level++) {
            uint32_t want = level < 4 ? table[i].widths[level] : 0;
            assert_int_equal(tl_tile_partial_width(table[i].size, level), want);
        }
    }
    assert_int_equal(tl_tile_partial_width(UINT64_MAX, TL_TILE_LEVELS - 1), 255);
}

/* What the tiles of each level have been so far. */
struct seen {
    uint64_t tiles[TL_TILE_LEVELS];
    uint64_t fails_at; /* a tile of level 0 */
};

static tally_status check_tile(void *ctx, uint32_t level, uint64_t n, const uint8_t *data)
{
    struct seen *seen = ctx;
    if (level == 0 && n == seen->fails_at) {
        return TALLY_EIO;
    }
    assert_in_range(level, 0, 1);
    assert_int_equal(n, seen->tiles[level]++);
    for (uint64_t i = 0; i < TL_TILE_WIDTH; i++) {
        uint8_t want[TL_HASH_LEN];
        uint64_t width = (uint64_t)1 << (8 * level);
        naive_root(want, (n * TL_TILE_WIDTH + i) * width, width);
        assert_memory_equal(data + i * TL_HASH_LEN, want, sizeof(want));
    }
    uint8_t root[TL_HASH_LEN];
    uint8_t want[TL_HASH_LEN];
    uint64_t leaves = (uint64_t)TL_TILE_WIDTH << (8 * level);
    tl_tile_root(root, data);
    naive_root(want, n * leaves, leaves);
    assert_memory_equal(root, want, sizeof(want));
    return TALLY_OK;
}

/* Compares what a tiler says of the tree; beyond the widths there may be anything. */
static void check_equal(const struct tl_tiler *a, const struct tl_tiler *b)
{
    assert_int_equal(a->size, b->size);
    for (uint32_t level = 0; level < TL_TILE_LEVELS; level++) {
        size_t len = (size_t)tl_tile_partial_width(a->size, level) * TL_HASH_LEN;
        assert_memory_equal(a->hashes[level], b->hashes[level], len);
    }
}

static void check_restored(const struct tl_tiler *want, const struct tl_frontier *frontier)
{
    static struct tl_tiler restored;
    memset(&restored, 0xff, sizeof(restored));
    uint64_t size = frontier->size;
    check_ok(tl_tiler_restore(&restored, frontier, naive_node, &size));
    check_equal(&restored, want);
}

static void hands_over_each_tile_once_and_can_go_on_at_any_size(void **state)
{
    (void)state;
    static struct tl_tiler tiler;
    struct tl_frontier frontier = { 0 };
    struct seen seen = { .fails_at = UINT64_MAX };
    for (uint64_t i = 0; i < LEAVES; i++) {
        if (i <= 513 || i % 8191 == 0 || (i >= 65535 && i <= 65537)) {
            check_restored(&tiler, &frontier);
        }
        uint8_t hash[TL_HASH_LEN];
        naive_leaf(hash, i);
        check_ok(tl_tiler_add(&tiler, hash, check_tile, &seen));
        tl_frontier_add(&frontier, hash);
    }
    check_restored(&tiler, &frontier);
    assert_int_equal(seen.tiles[0], LEAVES / 256);
    assert_int_equal(seen.tiles[1], LEAVES / 65536);
}

static void counts_without_anybody_to_take_the_tiles(void **state)
{
    (void)state;
    static struct tl_tiler tiler;
    struct tl_frontier frontier = { 0 };
    for (uint64_t i = 0; i < 300; i++) {
        uint8_t hash[TL_HASH_LEN];
        naive_leaf(hash, i);
        check_ok(tl_tiler_add(&tiler, hash, NULL, NULL));
        tl_frontier_add(&frontier, hash);
    }
    check_restored(&tiler, &frontier);
}

static void passes_on_why_a_tile_was_not_taken(void **state)
{
    (void)state;
    static struct tl_tiler tiler;
    struct seen seen = { .fails_at = 1 };
    for (uint64_t i = 0; i < 512; i++) {
        uint8_t hash[TL_HASH_LEN];
        naive_leaf(hash, i);
        check_status(tl_tiler_add(&tiler, hash, check_tile, &seen), i < 511 ? TALLY_OK : TALLY_EIO);
    }
}

/* A source of hashes in which the one asked for as the `wrong`th has a bit flipped. */
struct liar {
    uint64_t size;
    uint32_t wrong;
    uint32_t asked;
    tally_status status;
};

static tally_status lie(void *ctx, uint32_t level, uint64_t n, uint8_t *out)
{
    struct liar *liar = ctx;
    TL_TRY(naive_node(&liar->size, level, n, out));
    if (liar->asked++ == liar->wrong) {
        out[liar->wrong % TL_HASH_LEN] ^= 1;
    }
    return liar->status;
}

static void does_not_go_on_from_a_wrong_hash(void **state)
{
    (void)state;
    static struct tl_tiler tiler;
    struct tl_frontier frontier = { 0 };
    const uint64_t size = 3 * 256 + 77;
    for (uint64_t i = 0; i < size; i++) {
        uint8_t hash[TL_HASH_LEN];
        naive_leaf(hash, i);
        tl_frontier_add(&frontier, hash);
    }
    for (uint32_t wrong = 0; wrong < 3 + 77; wrong++) {
        struct liar liar = { .size = size, .wrong = wrong };
        check_status(tl_tiler_restore(&tiler, &frontier, lie, &liar), TALLY_ECORRUPT);
        assert_int_equal(liar.asked, 3 + 77);
    }
    struct liar broken = { .size = size, .wrong = UINT32_MAX, .status = TALLY_EIO };
    check_status(tl_tiler_restore(&tiler, &frontier, lie, &broken), TALLY_EIO);
    assert_int_equal(broken.asked, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(widths_agree_with_the_vectors),
        cmocka_unit_test(hands_over_each_tile_once_and_can_go_on_at_any_size),
        cmocka_unit_test(counts_without_anybody_to_take_the_tiles),
        cmocka_unit_test(passes_on_why_a_tile_was_not_taken),
        cmocka_unit_test(does_not_go_on_from_a_wrong_hash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
