/* Reads the holds of a ledger. */
#include "ledger/holds.h"

#include <stdio.h>

#include "base/arena.h"
#include "codec/time.h"
#include "ledger/act.h"
#include "ledger/ranges.h"

#define HOLDS_MAX   16384u
#define TEXT_MAX    ((size_t)16 << 20)
#define NOTE_PREFIX "expires "

/* A hold while acts are read; texts live in the arena. */
struct gathered {
    struct tally_hold public;
    struct tl_ranges ranges;
};

struct gatherer {
    struct tl_arena arena;
    struct gathered *holds;
    size_t count;
    size_t capacity;
};

void tl_hold_note_write(char out[TL_HOLD_NOTE_SIZE], int64_t expires_us)
{
    char time[TL_TIME_SIZE];
    (void)tl_time_format(time, expires_us);
    (void)snprintf(out, TL_HOLD_NOTE_SIZE, NOTE_PREFIX "%s", time);
}

tally_status tl_hold_note_read(int64_t *expires_us_out, struct tl_str note)
{
    struct tl_str prefix = TL_STR(NOTE_PREFIX);
    int64_t us = 0;
    char again[TL_HOLD_NOTE_SIZE];
    if (!tl_str_starts(note, prefix) ||
        tl_time_parse(&us, (struct tl_str){ note.text + prefix.len, note.len - prefix.len }) !=
            TALLY_OK) {
        return TALLY_EINVAL;
    }
    tl_hold_note_write(again, us);
    if (us <= 0 || !tl_str_is(note, again)) {
        return TALLY_EINVAL; /* there is one spelling */
    }
    *expires_us_out = us;
    return TALLY_OK;
}

static const char *keep_text(struct gatherer *gatherer, struct tl_str text)
{
    char *kept = tl_arena_alloc(&gatherer->arena, text.len + 1);
    if (kept != NULL) {
        tl_str_copy(kept, text.len + 1, text);
    }
    return kept;
}

static struct gathered *find(struct gatherer *gatherer, struct tl_str id)
{
    for (size_t i = 0; i < gatherer->count; i++) {
        if (tl_str_is(id, gatherer->holds[i].public.id)) {
            return &gatherer->holds[i];
        }
    }
    return NULL;
}

static tally_status add_hold(struct gatherer *gatherer, const struct tl_leaf *leaf,
                             const struct tl_control *control, struct gathered **hold_out)
{
    if (gatherer->count == gatherer->capacity) {
        size_t capacity = gatherer->capacity == 0 ? 16 : 2 * gatherer->capacity;
        struct gathered *holds = tl_realloc_array(gatherer->holds, capacity, sizeof(*holds));
        if (holds == NULL) {
            return TALLY_ENOMEM;
        }
        gatherer->holds = holds;
        gatherer->capacity = capacity;
    }
    struct gathered *hold = &gatherer->holds[gatherer->count];
    *hold = (struct gathered){ .ranges = { .max = SIZE_MAX } };
    hold->public = (struct tally_hold){ .id = keep_text(gatherer, control->hold),
                                        .is_active = 1,
                                        .set_seq = leaf->seq,
                                        .set_us = leaf->time_us,
                                        .released_seq = TALLY_SEQ_NONE,
                                        .by = keep_text(gatherer, control->by),
                                        .reason = keep_text(gatherer, control->basis) };
    if (hold->public.id == NULL || hold->public.by == NULL || hold->public.reason == NULL) {
        return TALLY_ENOMEM;
    }
    gatherer->count++;
    *hold_out = hold;
    return gatherer->count > HOLDS_MAX ? TALLY_ELIMIT : TALLY_OK;
}

/* What verification calls CONTROL_INVALID has no effect: a released hold stays released. */
static tally_status gather(void *ctx, const struct tl_leaf *leaf, const struct tl_control *control)
{
    struct gatherer *gatherer = ctx;
    if (leaf->kind != TL_LEAF_HOLD && leaf->kind != TL_LEAF_RELEASE) {
        return TALLY_OK;
    }
    struct gathered *hold = find(gatherer, control->hold);
    if (leaf->kind == TL_LEAF_RELEASE) {
        if (hold != NULL && hold->public.is_active) {
            hold->public.is_active = 0;
            hold->public.released_seq = leaf->seq;
            hold->public.released_us = leaf->time_us;
        }
        return TALLY_OK;
    }
    if (hold != NULL && !hold->public.is_active) {
        return TALLY_OK;
    }
    if (hold == NULL) {
        TL_TRY(add_hold(gatherer, leaf, control, &hold));
    }
    int64_t expires_us = 0;
    if (tl_hold_note_read(&expires_us, control->note) == TALLY_OK) {
        hold->public.expires_us = expires_us;
    }
    for (uint32_t i = 0; i < control->range_count; i++) {
        TL_TRY(tl_ranges_push(&hold->ranges, control->ranges[i]));
    }
    return TALLY_OK;
}

static void hand_on(struct gatherer *gatherer, tally_hold_fn *fn, void *ctx)
{
    _Static_assert(sizeof(struct tally_range) == sizeof(struct tl_range),
                   "the public range and that of the format are the same");
    for (size_t i = 0; i < gatherer->count; i++) {
        struct gathered *hold = &gatherer->holds[i];
        tl_ranges_tidy(&hold->ranges);
        hold->public.records = hold->ranges.records;
        hold->public.ranges = (const struct tally_range *)(const void *)hold->ranges.items;
        hold->public.range_count = hold->ranges.count;
        if (fn(ctx, &hold->public) != 0) {
            return;
        }
    }
}

tally_status tl_holds_each(struct tally_store *store, tally_hold_fn *fn, void *ctx,
                           struct tally_error *err)
{
    struct gatherer gatherer = { .count = 0 };
    tl_arena_init(&gatherer.arena, TEXT_MAX);
    tally_status status = tl_acts_each(store, gather, &gatherer, err);
    if (status == TALLY_OK) {
        hand_on(&gatherer, fn, ctx);
    }
    for (size_t i = 0; i < gatherer.count; i++) {
        tl_ranges_release(&gatherer.holds[i].ranges);
    }
    tl_free(gatherer.holds);
    tl_arena_release(&gatherer.arena);
    return status == TALLY_OK ? status : tl_fail(err, status, "cannot read the holds");
}
