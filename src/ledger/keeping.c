#include "ledger/keeping.h"

#include "base/limits.h"
#include "model/event.h"

void tl_keeping_init(struct tl_keeping *keeping, const struct tl_retention *rules)
{
    *keeping = (struct tl_keeping){ .rules = rules };
    tl_arena_init(&keeping->arena, (size_t)1 << 24);
}

void tl_keeping_release(struct tl_keeping *keeping)
{
    tl_arena_release(&keeping->arena);
}

tally_status tl_keeping_control(struct tl_keeping *keeping, const struct tl_leaf *leaf,
                                const struct tally_record *record, struct tally_error *err)
{
    if (leaf->kind != TL_LEAF_GENESIS && leaf->kind != TL_LEAF_POLICY) {
        return TALLY_OK;
    }
    struct tl_control control;
    tl_arena_reset(&keeping->arena);
    TL_TRY(tl_control_parse(&control, &keeping->arena, leaf->kind,
                            (const char *)record->leaf + TL_LEAF_LEN,
                            record->leaf_len - TL_LEAF_LEN, err));
    memset(keeping->by_occurred, 0, sizeof(keeping->by_occurred));
    for (uint32_t i = 0; i < control.policy.class_count; i++) {
        const struct tl_class *class = &control.policy.classes[i];
        if (class->by_occurred) {
            keeping->by_occurred[class->id / 8] |= (uint8_t)(1u << (class->id % 8));
        }
    }
    return TALLY_OK;
}

uint32_t tl_keeping_until(const struct tl_keeping *keeping, const struct tl_leaf *leaf,
                          const struct tally_record *record)
{
    struct tl_event_spans spans;
    if (record->event == NULL ||
        tl_event_spans_read(&spans, record->event, record->event_len) != TALLY_OK) {
        return TL_RETAIN_FOREVER;
    }
    const struct tl_event_keys keys = tl_event_spans_keys(&spans, record->event);
    bool by_occurred = keeping->rules->by_occurred ||
                       (keeping->by_occurred[leaf->class_id / 8] >> (leaf->class_id % 8) & 1) != 0;
    int64_t basis = leaf->time_us;
    if (by_occurred) {
        basis = spans.occurred_us < 0 ? 0 : spans.occurred_us;
        basis = basis < leaf->time_us ? basis : leaf->time_us;
    }
    return tl_retain_until(basis, tl_retention_days(keeping->rules, &keys));
}
