/* Seals what lies in the spool: the events of all processes, and the gaps they tell of. */
#include <stdio.h>

#include "base/clock.h"
#include "codec/json.h"
#include "ledger/carry.h"
#include "ledger/entry.h"
#include "ledger/remote.h"
#include "spool/ack.h"

#define TAKE_BYTES_MAX ((size_t)16 << 20)
#define ACKS_MAX       64u
#define PAUSE_US       50000    /* after a failure, doubled up to 4 times */
#define SWEEP_US       10000000 /* old answers are looked for so often */

static const char *const loss_words[TL_DRAIN_LOSSES] = {
    [TL_DRAIN_IN_FLIGHT] = "writer ended before it had written",
    [TL_DRAIN_TORN] = "writer ended while it was writing",
    [TL_DRAIN_DAMAGED] = "spool damaged",
    [TL_DRAIN_REFUSED] = "id taken by another event",
    [TL_DRAIN_UNKEPT] = "refused by the server, and refused.ndjson is full",
    [TL_DRAIN_UNFIT] = "neither event nor gap",
};

/* The text is looked at once more, whoever wrote it: the ledger never seals what its own
 * verification would call wrong. */
static tally_status prepare(const struct tally_ledger *ledger, const struct tl_drain_item *item,
                            struct tl_entry *entry, struct tally_receipt *receipt)
{
    const struct tl_spool_record *record = &item->record;
    TL_TRY(tl_json_check_canonical(record->text, record->len, NULL));
    *receipt = (struct tally_receipt){ .status = TALLY_EIO };
    const struct tl_str text = { .text = record->text, .len = record->len };
    return tl_entry_prepare(entry, receipt, &ledger->config, text, record->flags);
}

/* Counted once all else has succeeded: after a rollback the same items come again. */
static void count_losses(struct tl_role *role, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct tl_drain_item *item = &role->items[i];
        if (item->lost_as != 0) {
            item->segment->lost[item->lost_as].count++;
            item->segment->keep_aside |= item->lost_as == TL_DRAIN_UNFIT;
        }
    }
}

/* Prepares the events among the items. */
static size_t gather(struct tally_ledger *ledger, size_t count)
{
    struct tl_role *role = &ledger->role;
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        struct tl_drain_item *item = &role->items[i];
        if (item->record.kind != TL_SPOOL_EVENT) {
            continue;
        }
        if (prepare(ledger, item, &role->entries[n], &role->receipts[n]) == TALLY_OK) {
            role->origins[n++] = (uint32_t)i;
        } else {
            item->lost_as = TL_DRAIN_UNFIT;
        }
    }
    return n;
}

/* Answers those who wait. One who gets no answer finds the segment gone and asks again. */
static void send_acks(const struct tally_ledger *ledger, const struct tl_drain_segment *segment,
                      const struct tl_ack *acks, size_t count)
{
    if (count > 0) {
        (void)tl_ack_write(ledger->paths.spool, segment->name, acks, count, NULL);
    }
}

static void answer_waiting(const struct tally_ledger *ledger, size_t n)
{
    const struct tl_role *role = &ledger->role;
    struct tl_ack acks[ACKS_MAX];
    size_t count = 0;
    const struct tl_drain_segment *segment = NULL;
    for (size_t i = 0; i < n; i++) {
        const struct tl_drain_item *item = &role->items[role->origins[i]];
        if (item->record.delivery != TALLY_DELIVERY_STRICT) {
            continue;
        }
        if (item->segment != segment || count == ACKS_MAX) {
            send_acks(ledger, segment, acks, count);
            segment = item->segment;
            count = 0;
        }
        const struct tally_receipt *receipt = &role->receipts[i];
        acks[count] = (struct tl_ack){ .index = item->record.index,
                                       .status = receipt->status,
                                       .flags = receipt->flags,
                                       .seq = receipt->seq,
                                       .recorded_us = receipt->recorded_us,
                                       .checkpoint_size = receipt->checkpoint_size };
        memcpy(acks[count].leaf_hash, receipt->leaf_hash, sizeof(acks[count].leaf_hash));
        count++;
    }
    send_acks(ledger, segment, acks, count);
}

static bool is_any_refused(const struct tl_role *role, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (role->receipts[i].status != TALLY_OK) {
            return true;
        }
    }
    return false;
}

/* What the server refuses for good is kept on this machine, and counted, whoever waits for it. */
static tally_status put_aside(struct tally_ledger *ledger, size_t n, struct tally_error *err)
{
    struct tl_role *role = &ledger->role;
    TL_CLEANUP(tl_refused_release) struct tl_refused refused = { 0 };
    if (!is_any_refused(role, n)) {
        return TALLY_OK;
    }
    TL_TRY(tl_refused_begin(&refused, &ledger->paths, err));
    for (size_t i = 0; i < n; i++) {
        struct tl_drain_item *item = &role->items[role->origins[i]];
        const struct tl_str text = { role->entries[i].event, role->entries[i].len };
        char source[TL_DRAIN_NAME_SIZE + 16];
        if (role->receipts[i].status == TALLY_OK) {
            continue;
        }
        (void)snprintf(source, sizeof(source), "%s/%u", item->segment->name, item->record.index);
        bool kept = tl_refused_add(&refused, source, ledger->remote->codes[i], text);
        item->lost_as = kept ? TL_DRAIN_REFUSED : TL_DRAIN_UNKEPT;
    }
    return tl_refused_end(&refused, err);
}

static tally_status ship_events(struct tally_ledger *ledger, size_t n, struct tally_error *err)
{
    if (n == 0) {
        return TALLY_OK;
    }
    TL_TRY(tl_remote_append(ledger->remote, ledger->role.entries, n, err));
    TL_TRY(put_aside(ledger, n, err));
    answer_waiting(ledger, n);
    return TALLY_OK;
}

static tally_status seal_events(struct tally_ledger *ledger, size_t n, struct tally_error *err)
{
    struct tl_role *role = &ledger->role;
    if (n == 0) {
        return TALLY_OK;
    }
    TL_TRY(tl_sequencer_append(role->sequencer, role->entries, n, err));
    answer_waiting(ledger, n);
    for (size_t i = 0; i < n; i++) {
        struct tl_drain_item *item = &role->items[role->origins[i]];
        /* Who waits is told; nobody else is. */
        if (role->receipts[i].status == TALLY_ECONFLICT &&
            item->record.delivery != TALLY_DELIVERY_STRICT) {
            item->lost_as = TL_DRAIN_REFUSED;
        }
    }
    return TALLY_OK;
}

/* Who waits for an act learns of its fate; a sequencer that can go on is not held up by it. */
static tally_status seal_act(struct tally_ledger *ledger, struct tl_drain_item *item,
                             struct tl_arena *arena, struct tally_error *err)
{
    struct tl_control control;
    struct tl_act_request act = { .control = &control };
    struct tl_ack ack = { .index = item->record.index, .seq = TALLY_SEQ_NONE };
    struct tally_error error = TALLY_ERROR_INIT;
    tally_status status =
        tl_act_decode(&control, &act.newest, arena, item->record.text, item->record.len);
    if (status == TALLY_ECORRUPT) {
        item->lost_as = TL_DRAIN_UNFIT;
        return TALLY_OK;
    }
    if (status == TALLY_OK) {
        act.handed_in_us = item->record.time_us;
        status = tl_role_act(ledger, &act, &ack.seq, &error);
    }
    if (ledger->remote == NULL && tl_sequencer_broken(ledger->role.sequencer) != TALLY_OK) {
        return tl_fail_with(err, status, &error); /* the next one knows whether it was sealed */
    }
    ack.status = status;
    ack.flags = status == TALLY_OK ? 0 : tl_act_refusal_of(&error);
    ack.checkpoint_size =
        ledger->remote == NULL ? tl_sequencer_head(ledger->role.sequencer)->size : 0;
    send_acks(ledger, item->segment, &ack, 1);
    return TALLY_OK;
}

static tally_status seal_acts(struct tally_ledger *ledger, size_t count, struct tally_error *err)
{
    TL_CLEANUP(tl_arena_release) struct tl_arena arena = { 0 };
    tl_arena_init(&arena, (size_t)16 << 20);
    for (size_t i = 0; i < count; i++) {
        struct tl_drain_item *item = &ledger->role.items[i];
        if (item->record.kind == TL_SPOOL_ACT) {
            tl_arena_reset(&arena);
            TL_TRY(seal_act(ledger, item, &arena, err));
        }
    }
    return TALLY_OK;
}

static tally_status declare_gaps(struct tally_ledger *ledger, size_t count, struct tally_error *err)
{
    struct tl_role *role = &ledger->role;
    for (size_t i = 0; i < count; i++) {
        struct tl_drain_item *item = &role->items[i];
        struct tl_gap gap;
        if (item->record.kind != TL_SPOOL_GAP) {
            continue;
        }
        if (tl_gap_read(&gap, item->record.text, item->record.len) != TALLY_OK) {
            item->lost_as = TL_DRAIN_UNFIT;
            continue;
        }
        /* It may be in two segments, if one could not be synced. */
        TL_TRY(tl_gap_declare(ledger, &gap, true, err));
    }
    return TALLY_OK;
}

/* Declares what a segment that has ended has lost. What was declared is not again if this fails. */
static tally_status declare_losses(struct tally_ledger *ledger, struct tl_drain_segment *segment,
                                   struct tally_error *err)
{
    for (enum tl_drain_loss loss = TL_DRAIN_IN_FLIGHT; loss < TL_DRAIN_LOSSES; loss++) {
        struct tl_drain_count *lost = &segment->lost[loss];
        if (lost->count == 0) {
            continue;
        }
        int64_t from_us = segment->from_us != 0 ? segment->from_us : segment->header.created_us;
        struct tl_gap gap = { .count = lost->count,
                              .exact = lost->exact,
                              .from_us = from_us,
                              .to_us = segment->to_us > from_us ? segment->to_us : from_us };
        bool is_refusal = ledger->remote != NULL && loss == TL_DRAIN_REFUSED;
        (void)snprintf(gap.reason, sizeof(gap.reason), "%s",
                       is_refusal ? "refused by the server" : loss_words[loss]);
        (void)snprintf(gap.source, sizeof(gap.source), "spool/%s", segment->name);
        TL_TRY(tl_gap_declare(ledger, &gap, segment->inherited || ledger->role.recheck, err));
        lost->count = 0;
    }
    return TALLY_OK;
}

static tally_status serve_taken(struct tally_ledger *ledger, size_t count, struct tally_error *err)
{
    size_t n = gather(ledger, count);
    TL_TRY(ledger->remote != NULL ? ship_events(ledger, n, err) : seal_events(ledger, n, err));
    TL_TRY(declare_gaps(ledger, count, err));
    TL_TRY(seal_acts(ledger, count, err));
    TL_TRY(tl_carry(ledger, count, err));
    count_losses(&ledger->role, count);
    return TALLY_OK;
}

static tally_status finish_ended(struct tally_ledger *ledger, bool *any_out,
                                 struct tally_error *err)
{
    struct tl_drain_segment *segment = NULL;
    while ((segment = tl_drain_ended(ledger->role.drain)) != NULL) {
        if (tl_carry_holds(&ledger->role, segment)) {
            break; /* for some seconds at most */
        }
        TL_TRY(declare_losses(ledger, segment, err));
        tl_drain_finish(ledger->role.drain, segment);
        *any_out = true;
    }
    return TALLY_OK;
}

/* What was taken is durable, here or in the ledgers it was carried to; or it is taken again. */
static void settle(struct tl_role *role, tally_status status)
{
    if (status == TALLY_OK) {
        tl_drain_commit(role->drain);
    } else {
        tl_drain_rollback(role->drain);
    }
    tl_carry_settle(role, status == TALLY_OK);
}

static tally_status take(struct tally_ledger *ledger, size_t *count_out, struct tally_error *err)
{
    struct tl_role *role = &ledger->role;
    size_t max = tl_carry_room(role);
    if (ledger->remote != NULL) {
        return tl_drain_take(role->drain, role->items, TL_REMOTE_BATCH, TL_REMOTE_BATCH_BYTES,
                             count_out, err);
    }
    return max == 0 ? TALLY_OK
                    : tl_drain_take(role->drain, role->items, max, TAKE_BYTES_MAX, count_out, err);
}

static tally_status serve_once(struct tally_ledger *ledger, bool *any_out, struct tally_error *err)
{
    struct tl_role *role = &ledger->role;
    size_t count = 0;
    TL_TRY(take(ledger, &count, err));
    if (count > 0 || tl_carry_is_due(role)) {
        tally_status status = serve_taken(ledger, count, err);
        settle(role, status);
        TL_TRY(status);
        *any_out = count > 0;
    }
    return finish_ended(ledger, any_out, err);
}

/* Some time passes before the next try: the longer, the more of them have failed. */
static void postpone(struct tally_ledger *ledger)
{
    struct tl_role *role = &ledger->role;
    uint32_t doublings = role->failures < 4 ? role->failures : 4;
    int64_t pause_us = ledger->remote != NULL ? tl_remote_pause_us(ledger->remote, role->failures)
                                              : (int64_t)PAUSE_US << doublings;
    role->drain_again_us = tl_clock->steady_us() + pause_us;
    role->failures++;
}

/* Whether what was said of trouble is over; another process may have said it. */
static bool is_over_it(struct tally_ledger *ledger, bool any)
{
    bool is_first = any && ledger->remote != NULL && !ledger->remote->has_answered;
    if (is_first) {
        ledger->remote->has_answered = true;
    }
    return is_first || ledger->role.failures > 0;
}

bool tl_drain_serve(struct tally_ledger *ledger)
{
    struct tl_role *role = &ledger->role;
    struct tally_error error = TALLY_ERROR_INIT;
    bool any = false;
    int64_t now = tl_clock->steady_us();
    if (now < role->drain_again_us) {
        return false;
    }
    if (now - role->swept_us > SWEEP_US) {
        role->swept_us = now;
        tl_ack_sweep(ledger->paths.spool);
    }
    tally_status status = serve_once(ledger, &any, &error);
    if (status != TALLY_OK) {
        role->recheck = true;
        postpone(ledger);
        tl_trouble_note(ledger, status, &error);
        return false;
    }
    if (is_over_it(ledger, any)) {
        role->failures = 0;
        tl_trouble_clear(ledger);
    }
    role->recheck = role->recheck && !any;
    return any;
}
