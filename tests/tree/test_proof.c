#include <string.h>

#include "check.h"
#include "naive_tree.h"
#include "rfc6962.h"

#define SIZE_MAX_TRIED 64u

/* One claim of either kind, with all that it is checked against. */
struct claim {
    bool is_consistency;
    uint64_t first; /* leaf index, or the smaller size */
    uint64_t size;
    uint8_t from[TL_HASH_LEN]; /* leaf hash, or the smaller tree's root */
    uint8_t root[TL_HASH_LEN];
};

static bool holds(const struct claim *claim, const struct tl_proof *proof)
{
    return claim->is_consistency ? tl_proof_consistency_holds(proof, claim->first, claim->size,
                                                              claim->from, claim->root)
                                 : tl_proof_inclusion_holds(proof, claim->first, claim->size,
                                                            claim->from, claim->root);
}

static struct claim claim_of(bool is_consistency, uint64_t first, uint64_t size)
{
    struct claim claim = { .is_consistency = is_consistency, .first = first, .size = size };
    naive_root(claim.from, is_consistency ? 0 : first, is_consistency ? first : 1);
    naive_root(claim.root, 0, size);
    return claim;
}

static void make(struct tl_proof *proof, const struct claim *claim)
{
    uint64_t size = claim->size;
    if (claim->is_consistency) {
        check_ok(tl_proof_consistency(proof, claim->first, size, naive_node, &size));
    } else {
        check_ok(tl_proof_inclusion(proof, claim->first, size, naive_node, &size));
    }
}

static void check_same(const struct tl_proof *proof, const struct tl_proof *want)
{
    assert_int_equal(proof->count, want->count);
    assert_memory_equal(proof->hashes, want->hashes, (size_t)want->count * TL_HASH_LEN);
}

/* Calls `check` with each claim about the trees of up to SIZE_MAX_TRIED leaves. */
static void for_each_claim(void (*check)(const struct claim *claim, const struct tl_proof *proof))
{
    for (uint64_t size = 1; size <= SIZE_MAX_TRIED; size++) {
        for (uint64_t i = 0; i < size; i++) {
            struct tl_proof proof = { 0 };
            struct claim inclusion = claim_of(false, i, size);
            make(&proof, &inclusion);
            check(&inclusion, &proof);
            struct claim consistency = claim_of(true, i + 1, size);
            make(&proof, &consistency);
            check(&consistency, &proof);
        }
    }
}

static void node_of(uint8_t *out, char name)
{
    const char *text = rfc6962_nodes[name - 'a'];
    check_ok(tl_hex_decode(out, TL_HASH_LEN, text, strlen(text)));
}

/* A tl_node_fn over the tree of the vectors. */
static tally_status vector_node(void *ctx, uint32_t level, uint64_t n, uint8_t *out)
{
    (void)ctx;
    static const char *const rows[] = { "abcdefgh", "ipqt", "ks", "o" };
    tl_assert(n < strlen(rows[level]));
    node_of(out, rows[level][n]);
    return TALLY_OK;
}

static void check_vector(const struct tl_proof *proof, const struct rfc6962_proof *vector)
{
    struct tl_proof want = { .count = (uint32_t)strlen(vector->path) };
    for (uint32_t i = 0; i < want.count; i++) {
        node_of(want.hashes[i], vector->path[i]);
    }
    check_same(proof, &want);
}

static void agrees_with_the_vectors_of_rfc6962(void **state)
{
    (void)state;
    struct tl_proof proof = { 0 };
    uint8_t from[TL_HASH_LEN];
    uint8_t root[TL_HASH_LEN];
    for (size_t i = 0; i < TL_ARRAY_LEN(rfc6962_inclusion); i++) {
        const struct rfc6962_proof *vector = &rfc6962_inclusion[i];
        check_ok(tl_proof_inclusion(&proof, vector->first, vector->size, vector_node, NULL));
        check_vector(&proof, vector);
        node_of(from, (char)('a' + vector->first));
        node_of(root, rfc6962_roots[vector->size - 1]);
        assert_true(tl_proof_inclusion_holds(&proof, vector->first, vector->size, from, root));
    }
    for (size_t i = 0; i < TL_ARRAY_LEN(rfc6962_consistency); i++) {
        const struct rfc6962_proof *vector = &rfc6962_consistency[i];
        check_ok(tl_proof_consistency(&proof, vector->first, vector->size, vector_node, NULL));
        check_vector(&proof, vector);
        node_of(from, rfc6962_roots[vector->first - 1]);
        node_of(root, rfc6962_roots[vector->size - 1]);
        assert_true(tl_proof_consistency_holds(&proof, vector->first, vector->size, from, root));
    }
}

static void check_naive(const struct claim *claim, const struct tl_proof *proof)
{
    struct tl_proof want = { 0 };
    if (claim->is_consistency) {
        naive_subproof(&want, claim->first, 0, claim->size, true);
    } else {
        naive_path(&want, claim->first, 0, claim->size);
    }
    check_same(proof, &want);
    assert_true(holds(claim, proof));
}

static void each_proof_is_the_one_that_rfc6962_defines(void **state)
{
    (void)state;
    for_each_claim(check_naive);
    static const uint64_t firsts[] = { 1, 255, 256, 257, 65535, 65536, 65537, 69999 };
    for (size_t i = 0; i < TL_ARRAY_LEN(firsts); i++) {
        for (int kind = 0; kind < 2; kind++) {
            struct claim claim = claim_of(kind == 1, firsts[i], 70000);
            struct tl_proof proof = { 0 };
            make(&proof, &claim);
            check_naive(&claim, &proof);
        }
    }
}

/* Each bit of `hash`; in most of the larger trees, to save time, one bit of each byte. */
static void check_flips(const struct claim *claim, const struct tl_proof *proof, uint8_t *hash)
{
    bool tries_all = claim->size <= 32 || claim->size == SIZE_MAX_TRIED;
    for (unsigned bit = 0; bit < 8 * TL_HASH_LEN; bit++) {
        if (tries_all || bit % 8 == (bit / 8 + claim->size) % 8) {
            uint8_t mask = (uint8_t)(1u << bit % 8);
            hash[bit / 8] ^= mask;
            assert_false(holds(claim, proof));
            hash[bit / 8] ^= mask;
        }
    }
}

static void check_flipped(const struct claim *claim, const struct tl_proof *proof)
{
    struct tl_proof bad = *proof;
    for (uint32_t i = 0; i < bad.count; i++) {
        check_flips(claim, &bad, bad.hashes[i]);
    }
    struct claim wrong = *claim;
    check_flips(&wrong, proof, wrong.from);
    check_flips(&wrong, proof, wrong.root);
    assert_true(holds(&wrong, &bad));
}

static void refuses_any_flipped_bit(void **state)
{
    (void)state;
    for_each_claim(check_flipped);
}

static void check_missing(const struct claim *claim, const struct tl_proof *proof)
{
    for (uint32_t at = 0; at < proof->count; at++) {
        struct tl_proof bad = *proof;
        memmove(bad.hashes[at], bad.hashes[at + 1], (size_t)(bad.count - at - 1) * TL_HASH_LEN);
        bad.count--;
        assert_false(holds(claim, &bad));
    }
}

static void refuses_a_proof_that_lacks_a_hash(void **state)
{
    (void)state;
    for_each_claim(check_missing);
}

static void check_extra(const struct claim *claim, const struct tl_proof *proof)
{
    for (uint32_t at = 0; at <= proof->count; at++) {
        struct tl_proof bad = *proof;
        memmove(bad.hashes[at + 1], bad.hashes[at], (size_t)(bad.count - at) * TL_HASH_LEN);
        bad.count++;
        assert_false(holds(claim, &bad)); /* a hash twice */
        memcpy(bad.hashes[at], claim->root, TL_HASH_LEN);
        assert_false(holds(claim, &bad));
        memcpy(bad.hashes[at], claim->from, TL_HASH_LEN);
        assert_false(holds(claim, &bad));
    }
}

static void refuses_a_proof_with_one_hash_more(void **state)
{
    (void)state;
    for_each_claim(check_extra);
}

static void check_reordered(const struct claim *claim, const struct tl_proof *proof)
{
    for (uint32_t a = 0; a < proof->count; a++) {
        for (uint32_t b = a + 1; b < proof->count; b++) {
            struct tl_proof bad = *proof;
            memcpy(bad.hashes[a], proof->hashes[b], TL_HASH_LEN);
            memcpy(bad.hashes[b], proof->hashes[a], TL_HASH_LEN);
            assert_false(holds(claim, &bad));
        }
    }
}

static void refuses_hashes_in_another_order(void **state)
{
    (void)state;
    for_each_claim(check_reordered);
}

/* Another size may have the same path to a leaf: what binds the size is the signed checkpoint. */
static void check_elsewhere(const struct claim *claim, const struct tl_proof *proof)
{
    struct claim other = *claim;
    for (other.first = 0; other.first <= claim->size + 1; other.first++) {
        assert_int_equal(holds(&other, proof), other.first == claim->first);
    }
}

static void refuses_any_other_position(void **state)
{
    (void)state;
    for_each_claim(check_elsewhere);
}

static void refuses_what_no_tree_has(void **state)
{
    (void)state;
    struct tl_proof proof = { 0 };
    struct claim claim = claim_of(false, 0, 1);
    assert_true(holds(&claim, &proof));
    claim.size = 0;
    assert_false(holds(&claim, &proof));
    claim = claim_of(true, 1, 1);
    assert_true(holds(&claim, &proof));
    claim.first = 0;
    assert_false(holds(&claim, &proof));
    claim.size = 0;
    assert_false(holds(&claim, &proof));
    for (int kind = 0; kind < 2; kind++) {
        claim = claim_of(kind == 1, 1, 2);
        claim.size = UINT64_MAX;
        proof.count = UINT32_MAX;
        assert_false(holds(&claim, &proof));
    }
}

/* A tree all of whose leaves are the same: nodes depend on the level alone. */
static tally_status uniform_node(void *ctx, uint32_t level, uint64_t n, uint8_t *out)
{
    const uint64_t *size = ctx;
    tl_assert(level < 64);
    tl_assert(n < *size >> level);
    naive_leaf(out, 0);
    for (uint32_t i = 0; i < level; i++) {
        tl_tree_hash_node(out, out, out);
    }
    return TALLY_OK;
}

static void uniform_root(uint8_t *out, uint64_t size)
{
    struct tl_frontier frontier = { .size = size };
    for (uint32_t level = 0; level < 64; level++) {
        if ((size >> level & 1) != 0) {
            check_ok(uniform_node(&size, level, 0, frontier.nodes[level]));
        }
    }
    tl_frontier_root(&frontier, out);
}

static void check_uniform(uint64_t first, uint64_t size)
{
    struct claim claim = { .first = first, .size = size };
    struct tl_proof proof = { 0 };
    naive_leaf(claim.from, 0);
    uniform_root(claim.root, size);
    check_ok(tl_proof_inclusion(&proof, first, size, uniform_node, &size));
    assert_true(holds(&claim, &proof));
    proof.hashes[proof.count - 1][31] ^= 1;
    assert_false(holds(&claim, &proof));

    claim.is_consistency = true;
    claim.first++;
    uniform_root(claim.from, claim.first);
    check_ok(tl_proof_consistency(&proof, claim.first, size, uniform_node, &size));
    assert_true(holds(&claim, &proof));
    claim.from[0] ^= 1;
    assert_false(holds(&claim, &proof));
}

static void proves_in_trees_of_any_size(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {
        ((uint64_t)1 << 32) - 1, (uint64_t)1 << 32,         ((uint64_t)1 << 62) + 12345,
        (uint64_t)1 << 63,       ((uint64_t)1 << 63) + 255, UINT64_MAX,
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(sizes); i++) {
        uint64_t size = sizes[i];
        const uint64_t firsts[] = { 0, 1, 2, size / 3, size / 2 - 1, size / 2, size - 2, size - 1 };
        for (size_t j = 0; j < TL_ARRAY_LEN(firsts); j++) {
            check_uniform(firsts[j], size);
        }
    }
}

/* A source of hashes that works a number of times. */
static tally_status node_of_weak_source(void *ctx, uint32_t level, uint64_t n, uint8_t *out)
{
    uint32_t *left = ctx;
    uint64_t size = 7;
    return (*left)-- == 0 ? TALLY_EIO : naive_node(&size, level, n, out);
}

static void passes_on_why_a_node_is_not_there(void **state)
{
    (void)state;
    static const struct tl_proof untouched = { .count = 99 };
    struct tl_proof proof = untouched;
    for (uint32_t works = 0; works < 4; works++) { /* leaf 0 of 7: nodes 1, 2-3, 4-5 and 6 */
        uint32_t left = works;
        check_status(tl_proof_inclusion(&proof, 0, 7, node_of_weak_source, &left), TALLY_EIO);
        left = works;
        check_status(tl_proof_consistency(&proof, 1, 7, node_of_weak_source, &left), TALLY_EIO);
        assert_memory_equal(&proof, &untouched, sizeof(proof));
    }
    uint32_t left = 4;
    check_ok(tl_proof_inclusion(&proof, 0, 7, node_of_weak_source, &left));
}

static void prove_beyond_the_end(void *ctx)
{
    uint64_t size = 7;
    (void)tl_proof_inclusion(ctx, 7, size, naive_node, &size); /* does not return */
}

static void prove_from_a_larger_tree(void *ctx)
{
    uint64_t size = 7;
    (void)tl_proof_consistency(ctx, 8, size, naive_node, &size); /* does not return */
}

static void prove_from_the_empty_tree(void *ctx)
{
    uint64_t size = 7;
    (void)tl_proof_consistency(ctx, 0, size, naive_node, &size); /* does not return */
}

static void makes_no_proof_of_what_is_not_so(void **state)
{
    (void)state;
    struct tl_proof proof = { 0 };
    check_asserts(prove_beyond_the_end, &proof);
    check_asserts(prove_from_a_larger_tree, &proof);
    check_asserts(prove_from_the_empty_tree, &proof);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_the_vectors_of_rfc6962),
        cmocka_unit_test(each_proof_is_the_one_that_rfc6962_defines),
        cmocka_unit_test(refuses_any_flipped_bit),
        cmocka_unit_test(refuses_a_proof_that_lacks_a_hash),
        cmocka_unit_test(refuses_a_proof_with_one_hash_more),
        cmocka_unit_test(refuses_hashes_in_another_order),
        cmocka_unit_test(refuses_any_other_position),
        cmocka_unit_test(refuses_what_no_tree_has),
        cmocka_unit_test(proves_in_trees_of_any_size),
        cmocka_unit_test(passes_on_why_a_node_is_not_there),
        cmocka_unit_test(makes_no_proof_of_what_is_not_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
