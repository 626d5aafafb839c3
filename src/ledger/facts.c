#include "ledger/ledger.h"

static const char *kind_of(enum tl_leaf_kind kind)
{
    switch (kind) {
    case TL_LEAF_ENTRY:
        return "event";
    case TL_LEAF_GENESIS:
        return "genesis";
    case TL_LEAF_EPOCH:
        return "epoch";
    case TL_LEAF_POLICY:
        return "policy";
    case TL_LEAF_PURGE:
        return "purge";
    case TL_LEAF_ERASE:
        return "erase";
    case TL_LEAF_HOLD:
        return "hold";
    case TL_LEAF_RELEASE:
        return "release";
    case TL_LEAF_KEY:
        return "key";
    case TL_LEAF_ANCHOR:
        return "anchor";
    case TL_LEAF_GAP:
        return "gap";
    case TL_LEAF_RESUME:
        return "resume";
    case TL_LEAF_RESTORE:
        return "restore";
    }
    return "unknown";
}

void tl_record_facts_of(struct tl_record_facts *facts, const struct tally_record *record,
                        const struct tl_leaf *leaf, bool is_volatile)
{
    const char *state = "present";
    if (leaf->kind == TL_LEAF_ENTRY && record->event == NULL) {
        state = is_volatile ? "evicted" : "purged";
    } else if (record->opened != NULL) {
        state = "partial";
    }
    *facts = (struct tl_record_facts){ .seq = record->seq,
                                       .recorded_us = leaf->time_us,
                                       .kind = tl_str_of(kind_of(leaf->kind)),
                                       .state = tl_str_of(state) };
}
