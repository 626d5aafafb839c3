#include <string.h>

#include "check.h"
#include "naive_tree.h"
#include "rfc6962.h"

static void node_of(uint8_t *out, char name)
{
    const char *text = rfc6962_nodes[name - 'a'];
    check_ok(tl_hex_decode(out, TL_HASH_LEN, text, strlen(text)));
}

static void agrees_with_the_vectors_of_rfc6962(void **state)
{
    (void)state;
    struct tl_frontier frontier = { 0 };
    for (size_t i = 0; i < TL_ARRAY_LEN(rfc6962_leaves); i++) {
        uint8_t leaf[16];
        size_t len = strlen(rfc6962_leaves[i]) / 2;
        check_ok(tl_hex_decode(leaf, len, rfc6962_leaves[i], 2 * len));
        uint8_t hash[TL_HASH_LEN];
        uint8_t want[TL_HASH_LEN];
        tl_tree_hash_leaf(hash, leaf, len);
        node_of(want, (char)('a' + i));
        assert_memory_equal(hash, want, sizeof(want));

        tl_frontier_add(&frontier, hash);
        tl_frontier_root(&frontier, hash);
        node_of(want, rfc6962_roots[i]);
        assert_memory_equal(hash, want, sizeof(want));
    }
}

static void check_root(const struct tl_frontier *frontier)
{
    uint8_t root[TL_HASH_LEN];
    uint8_t want[TL_HASH_LEN];
    tl_frontier_root(frontier, root);
    naive_root(want, 0, frontier->size);
    assert_memory_equal(root, want, sizeof(want));
}

/* Adds leaves until there are `size`. */
static void grow(struct tl_frontier *frontier, uint64_t size)
{
    while (frontier->size < size) {
        uint8_t hash[TL_HASH_LEN];
        naive_leaf(hash, frontier->size);
        tl_frontier_add(frontier, hash);
    }
}

static void frontier_has_the_root_of_a_naive_tree_at_every_size(void **state)
{
    (void)state;
    struct tl_frontier frontier = { 0 };
    for (uint64_t size = 0; size <= 257; size++) {
        grow(&frontier, size);
        check_root(&frontier);
    }
    static const uint64_t large[] = { 1000, 4095, 4096, 4097, 65535, 65536, 65537, 70000 };
    for (size_t i = 0; i < TL_ARRAY_LEN(large); i++) {
        grow(&frontier, large[i]);
        check_root(&frontier);
    }
}

static void frontier_goes_on_after_being_packed_and_unpacked(void **state)
{
    (void)state;
    struct tl_frontier frontier = { 0 };
    for (uint64_t size = 0; size <= 257; size++) {
        grow(&frontier, size);
        uint8_t bytes[TL_FRONTIER_MAX * TL_HASH_LEN];
        size_t len = tl_frontier_pack(&frontier, bytes);
        memset(&frontier, 0xff, sizeof(frontier));
        check_ok(tl_frontier_unpack(&frontier, size, bytes, len));
        check_root(&frontier);
    }
}

static void packs_the_highest_node_first(void **state)
{
    (void)state;
    struct tl_frontier frontier = { 0 };
    grow(&frontier, 11); /* 8 + 2 + 1 */
    uint8_t bytes[TL_FRONTIER_MAX * TL_HASH_LEN];
    uint8_t want[3 * TL_HASH_LEN];
    naive_root(want, 0, 8);
    naive_root(want + TL_HASH_LEN, 8, 2);
    naive_root(want + (size_t)2 * TL_HASH_LEN, 10, 1);
    assert_int_equal(tl_frontier_pack(&frontier, bytes), sizeof(want));
    assert_memory_equal(bytes, want, sizeof(want));
}

static void refuses_to_unpack_what_does_not_fit_the_size(void **state)
{
    (void)state;
    static const struct {
        uint64_t size;
        size_t hashes;
        size_t bytes_more;
    } table[] = {
        { 0, 1, 0 },  { 1, 0, 0 },  { 1, 2, 0 },           { 3, 1, 0 },
        { 3, 2, 31 }, { 7, 2, 31 }, { UINT64_MAX, 64, 0 }, { ((uint64_t)1 << 62) + 1, 2, 0 },
    };
    static const uint8_t bytes[65 * TL_HASH_LEN];
    for (size_t i = 0; i < TL_ARRAY_LEN(table); i++) {
        struct tl_frontier frontier = { .size = 99 };
        size_t len = table[i].hashes * TL_HASH_LEN + table[i].bytes_more;
        check_status(tl_frontier_unpack(&frontier, table[i].size, bytes, len), TALLY_ECORRUPT);
        assert_int_equal(frontier.size, 99);
    }
    struct tl_frontier frontier = { 0 };
    check_ok(tl_frontier_unpack(&frontier, (uint64_t)1 << 62, bytes, TL_HASH_LEN));
}

static void add_to_a_full_frontier(void *ctx)
{
    struct tl_frontier *frontier = ctx;
    static const uint8_t hash[TL_HASH_LEN];
    tl_frontier_add(frontier, hash);
}

static void never_grows_past_its_largest_size(void **state)
{
    (void)state;
    struct tl_frontier frontier = { .size = ((uint64_t)1 << 62) - 1 };
    add_to_a_full_frontier(&frontier);
    assert_int_equal(frontier.size, (uint64_t)1 << 62);
    check_asserts(add_to_a_full_frontier, &frontier);
}

static void a_leaf_that_looks_like_a_node_has_another_hash(void **state)
{
    (void)state;
    uint8_t pair[2 * TL_HASH_LEN];
    naive_leaf(pair, 0);
    naive_leaf(pair + TL_HASH_LEN, 1);
    uint8_t node_hash[TL_HASH_LEN];
    uint8_t hash[TL_HASH_LEN];
    tl_tree_hash_node(node_hash, pair, pair + TL_HASH_LEN);
    tl_tree_hash_leaf(hash, pair, sizeof(pair));
    assert_memory_not_equal(node_hash, hash, sizeof(node_hash));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_the_vectors_of_rfc6962),
        cmocka_unit_test(frontier_has_the_root_of_a_naive_tree_at_every_size),
        cmocka_unit_test(frontier_goes_on_after_being_packed_and_unpacked),
        cmocka_unit_test(packs_the_highest_node_first),
        cmocka_unit_test(refuses_to_unpack_what_does_not_fit_the_size),
        cmocka_unit_test(never_grows_past_its_largest_size),
        cmocka_unit_test(a_leaf_that_looks_like_a_node_has_another_hash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
