/*
 * Whatever bytes are given as a proof, it holds only if it is the one that the tree gives.
 *
 * Input: kind (0 inclusion, 1 consistency), u64 index or smaller size, u64 size, u32 count, hashes.
 * Claims about trees too large to compute are made of two roots that no tree has.
 */
#include <string.h>

#include "fuzz.h"
#include "naive_tree.h"

#define HEADER_LEN     21u
#define SIZE_COMPUTED  600u
#define IS_CONSISTENCY 1

struct claim {
    uint8_t kind;
    uint64_t first;
    uint64_t size;
    uint8_t from[TL_HASH_LEN];
    uint8_t root[TL_HASH_LEN];
};

static bool is_computed(const struct claim *claim)
{
    return claim->size <= SIZE_COMPUTED && claim->first <= claim->size;
}

static void read_input(struct claim *claim, struct tl_proof *proof, const uint8_t *data, size_t len)
{
    claim->kind = data[0];
    claim->first = tl_get_be64(data + 1);
    claim->size = tl_get_be64(data + 9);
    proof->count = tl_get_be32(data + 17);
    size_t hashes_len = len - HEADER_LEN;
    memcpy(proof->hashes, data + HEADER_LEN,
           hashes_len < sizeof(proof->hashes) ? hashes_len : sizeof(proof->hashes));
    if (is_computed(claim)) {
        bool is_consistency = claim->kind == IS_CONSISTENCY;
        naive_root(claim->from, is_consistency ? 0 : claim->first,
                   is_consistency ? claim->first : 1);
        naive_root(claim->root, 0, claim->size);
    }
}

static bool holds(const struct claim *claim, const struct tl_proof *proof)
{
    return claim->kind == IS_CONSISTENCY
               ? tl_proof_consistency_holds(proof, claim->first, claim->size, claim->from,
                                            claim->root)
               : tl_proof_inclusion_holds(proof, claim->first, claim->size, claim->from,
                                          claim->root);
}

bool fuzz_one(const uint8_t *data, size_t len)
{
    if (len < HEADER_LEN || data[0] > IS_CONSISTENCY) {
        return false;
    }
    struct claim claim = { .from = { 1 } };
    struct tl_proof proof = { 0 };
    read_input(&claim, &proof, data, len);
    if (!holds(&claim, &proof)) {
        return false;
    }
    tl_assert(is_computed(&claim));
    struct tl_proof want = { 0 };
    if (claim.kind == IS_CONSISTENCY) {
        naive_subproof(&want, claim.first, 0, claim.size, true);
    } else {
        naive_path(&want, claim.first, 0, claim.size);
    }
    tl_assert(proof.count == want.count);
    tl_assert(memcmp(proof.hashes, want.hashes, (size_t)want.count * TL_HASH_LEN) == 0);
    return true;
}
