#include "ledger/policies.h"

/* Policies with another erasable set; one takes 220 KB. */
#define POLICIES_MAX 256u

void tl_policies_release(struct tl_policies *policies)
{
    for (size_t i = 0; i < policies->count; i++) {
        tl_free(policies->items[i].set);
    }
    tl_free(policies->items);
    *policies = (struct tl_policies){ 0 };
}

static tally_status grow(struct tl_policies *policies)
{
    if (policies->count < policies->capacity) {
        return TALLY_OK;
    }
    if (policies->capacity == POLICIES_MAX) {
        return TALLY_ELIMIT;
    }
    size_t capacity = policies->capacity == 0 ? 4 : 2 * policies->capacity;
    struct tl_policy_span *items = tl_realloc_array(policies->items, capacity, sizeof(*items));
    if (items == NULL) {
        return TALLY_ENOMEM;
    }
    policies->items = items;
    policies->capacity = capacity;
    return TALLY_OK;
}

static tally_status add(struct tl_policies *policies, uint64_t seq,
                        const struct tl_erasable_set *set)
{
    if (policies->count > 0 && tl_erasable_equal(policies->items[policies->count - 1].set, set)) {
        return TALLY_OK; /* most policies change retention alone */
    }
    TL_TRY(grow(policies));
    struct tl_erasable_set *copy = tl_alloc_array(1, sizeof(*copy));
    if (copy == NULL) {
        return TALLY_ENOMEM;
    }
    memcpy(copy, set, sizeof(*copy));
    policies->items[policies->count++] = (struct tl_policy_span){ seq, copy };
    return TALLY_OK;
}

static tally_status take_policy(void *ctx, const struct tl_leaf *leaf,
                                const struct tl_control *control)
{
    return leaf->kind == TL_LEAF_POLICY ? add(ctx, leaf->seq, control->policy.erasable) : TALLY_OK;
}

static tally_status take_genesis(void *ctx, const struct tally_record *record)
{
    TL_CLEANUP(tl_arena_release) struct tl_arena arena = { 0 };
    struct tl_leaf leaf;
    struct tl_control control;
    tl_arena_init(&arena, (size_t)4 << 20);
    TL_TRY(tl_leaf_decode(&leaf, record->leaf, record->leaf_len, NULL));
    if (leaf.kind != TL_LEAF_GENESIS) {
        return TALLY_ECORRUPT;
    }
    TL_TRY(tl_control_parse(&control, &arena, leaf.kind, (const char *)record->leaf + TL_LEAF_LEN,
                            record->leaf_len - TL_LEAF_LEN, NULL));
    return add(ctx, leaf.seq, control.policy.erasable);
}

tally_status tl_policies_read(struct tl_policies *policies, struct tally_store *store,
                              struct tally_error *err)
{
    *policies = (struct tl_policies){ 0 };
    tally_status status = tl_store_scan(store, 0, 1, take_genesis, policies, err);
    if (status == TALLY_OK && policies->count == 0) {
        status = TALLY_ECORRUPT;
    }
    if (status == TALLY_OK) {
        status = tl_acts_each(store, take_policy, policies, err);
    }
    if (status != TALLY_OK) {
        tl_policies_release(policies);
        return tl_fail(err, status, "the policies of the ledger cannot be read");
    }
    return TALLY_OK;
}

const struct tl_erasable_set *tl_policies_at(const struct tl_policies *policies, uint64_t seq)
{
    size_t at = policies->count;
    while (at > 1 && policies->items[at - 1].after_seq >= seq) {
        at--;
    }
    tl_assert(at > 0);
    return policies->items[at - 1].set;
}
