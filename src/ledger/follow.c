/*
 * Appending without being the sequencer: the event goes into the spool as strict, and the sequencer
 * answers beside the segment (spool/ack.h). Needs neither store nor index, so that it works in the
 * child of a fork.
 */
#include <errno.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"
#include "ledger/remote.h"
#include "spool/ack.h"

#define PAUSE_MIN_US 200 /* between two looks for an answer */
#define PAUSE_MAX_US 4000
#define DOUBT_US     200000   /* how often it is asked whether an answer can still come */
#define ACT_US       60000000 /* an act is waited for so long */
#define NOBODY_US    5000000  /* nobody has held the lock for so long: nobody will answer */

/* Waiting for answers. */
struct wait {
    struct tally_ledger *ledger;
    int64_t until_us;
    int64_t pause_us;
    int64_t doubted_us;
    int64_t nobody_since_us; /* 0: somebody holds the lock */
};

static void sleep_us(int64_t us)
{
    const struct timespec time = { .tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000 };
    (void)nanosleep(&time, NULL); /* a signal only shortens it */
}

static bool segment_is_there(const struct tally_ledger *ledger, const char *segment)
{
    char path[TL_PATH_SIZE + TL_SPOOL_NAME_SIZE];
    (void)snprintf(path, sizeof(path), "%s/%s", ledger->paths.spool, segment);
    return tl_io->access(path, F_OK) == 0 || errno != ENOENT;
}

/* Whether there has been nobody for so long that there is no use in waiting for room or answers. */
static bool is_deserted(struct wait *wait, int64_t now)
{
    if (tl_lock_is_held(wait->ledger->paths.lock)) {
        wait->nobody_since_us = 0;
    } else if (wait->nobody_since_us == 0) {
        wait->nobody_since_us = now;
    }
    return wait->nobody_since_us != 0 && now - wait->nobody_since_us > NOBODY_US;
}

/* Whether there is no use in waiting any longer. */
static tally_status doubt(struct wait *wait, const char *segment, int64_t now,
                          struct tally_error *err)
{
    if (now - wait->doubted_us < DOUBT_US) {
        return TALLY_OK;
    }
    wait->doubted_us = now;
    if (!segment_is_there(wait->ledger, segment)) {
        return tl_fail(err, TALLY_EIO,
                       "the answer of the sequencer was lost; append again, with the same ids");
    }
    return is_deserted(wait, now)
               ? tl_fail(err, TALLY_EBUSY,
                         "it is in the spool, but no process records: 'tally doctor' says why")
               : TALLY_OK;
}

static tally_status await(struct wait *wait, const struct tl_spool_place *place,
                          struct tally_receipt *receipt, struct tally_error *err)
{
    struct tl_ack ack;
    for (;;) {
        tally_status status =
            tl_ack_read(wait->ledger->paths.spool, place->segment, place->index, &ack);
        if (status == TALLY_OK) {
            break;
        }
        int64_t now = tl_clock->steady_us();
        if (now >= wait->until_us) {
            return tl_fail(err, TALLY_EBUSY, "it is in the spool, but was not recorded in time");
        }
        struct tally_error why = TALLY_ERROR_INIT;
        status = doubt(wait, place->segment, now, &why);
        /* The answer is there before the segment goes: one more look. */
        if (status != TALLY_OK && tl_ack_read(wait->ledger->paths.spool, place->segment,
                                              place->index, &ack) == TALLY_OK) {
            break;
        }
        if (status != TALLY_OK) {
            return tl_fail_with(err, status, &why);
        }
        int64_t left = wait->until_us - now;
        sleep_us(left < wait->pause_us ? left : wait->pause_us);
        wait->pause_us = wait->pause_us * 2 < PAUSE_MAX_US ? wait->pause_us * 2 : PAUSE_MAX_US;
    }
    receipt->status = (tally_status)ack.status;
    receipt->level = ack.status == TALLY_OK ? TALLY_LEVEL_RECORDED : TALLY_LEVEL_NONE;
    receipt->flags |= ack.flags;
    receipt->seq = ack.seq;
    receipt->recorded_us = ack.recorded_us;
    receipt->checkpoint_size = ack.checkpoint_size;
    memcpy(receipt->leaf_hash, ack.leaf_hash, sizeof(receipt->leaf_hash));
    return TALLY_OK;
}

tally_status tl_follow_await(struct tally_ledger *ledger, const struct tl_spool_place *place,
                             int64_t until_us, struct tally_receipt *receipt,
                             struct tally_error *err)
{
    struct wait wait = { .ledger = ledger,
                         .until_us = until_us,
                         .pause_us = PAUSE_MIN_US,
                         .doubted_us = tl_clock->steady_us() };
    tl_sequence_wake(ledger);
    return await(&wait, place, receipt, err);
}

/* Spools a record whose text is `text`. */
static tally_status spool_text(struct tally_ledger *ledger, struct tl_buf *room,
                               struct tl_spool_record record, const char *text, int64_t until_us,
                               struct tl_spool_place *place_out, struct tally_error *err)
{
    tl_buf_clear(room);
    char *at = tl_buf_reserve(room, tl_spool_span(record.len));
    if (at == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "out of memory");
    }
    memcpy(at + TL_SPOOL_HEADER_LEN, text, record.len);
    record.time_us = tl_clock->wall_us();
    return tl_spool_write(ledger->spool, &record, (uint8_t *)at, TL_SPOOL_QUEUED, until_us,
                          place_out, err);
}

static tally_status spool_entry(struct tally_ledger *ledger, struct tl_buf *room,
                                const struct tl_entry *entry, enum tally_delivery delivery,
                                int64_t until_us, struct tl_spool_place *place_out,
                                struct tally_error *err)
{
    if (entry->len > TL_SPOOL_TEXT_MAX) {
        return tl_fail(err, TALLY_ELIMIT, "the event is too long for the spool");
    }
    uint32_t flags = (entry->by_occurred ? TL_SPOOL_BY_OCCURRED : 0u) |
                     (entry->time_is_ours ? TL_SPOOL_TIME_IS_OURS : 0u);
    const struct tl_spool_record record = { .kind = TL_SPOOL_EVENT,
                                            .delivery = (uint8_t)delivery,
                                            .flags = (uint16_t)flags,
                                            .len = (uint32_t)entry->len };
    return spool_text(ledger, room, record, entry->event, until_us, place_out, err);
}

tally_status tl_follow_spool(struct tally_ledger *ledger, const struct tl_entry *entry,
                             struct tally_error *err)
{
    struct tl_buf room;
    struct tl_spool_place place;
    tl_buf_init(&room, 2 * (size_t)TL_SPOOL_TEXT_MAX);
    tally_status status = spool_entry(ledger, &room, entry, TALLY_DELIVERY_DURABLE, 0, &place, err);
    tl_buf_release(&room);
    return status;
}

/* Waits for room as long as there is somebody who may make some. */
static tally_status spool_strict(struct wait *wait, struct tl_buf *room,
                                 const struct tl_entry *entry, struct tl_spool_place *place_out,
                                 struct tally_error *err)
{
    for (;;) {
        struct tally_error why = TALLY_ERROR_INIT;
        int64_t now = tl_clock->steady_us();
        int64_t until_us = wait->until_us - now > DOUBT_US ? now + DOUBT_US : wait->until_us;
        tally_status status = spool_entry(wait->ledger, room, entry, TALLY_DELIVERY_STRICT,
                                          until_us, place_out, &why);
        if (status != TALLY_ELIMIT || place_out->level != TL_SPOOL_NONE ||
            until_us == wait->until_us) {
            return status == TALLY_OK ? TALLY_OK : tl_fail_with(err, status, &why);
        }
        if (is_deserted(wait, now)) {
            return tl_fail(err, TALLY_EBUSY,
                           "the spool is full, and no process records: 'tally doctor' says why");
        }
    }
}

/* Places are kept one for each entry, so that all are written before the first is waited for. */
tally_status tl_follow_append(struct tally_ledger *ledger, struct tl_entry *entries, size_t count,
                              int64_t until_us, struct tally_error *err)
{
    TL_CLEANUP(tl_freep)
    struct tl_spool_place *places = tl_alloc_array(count, sizeof(*places));
    if (places == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "out of memory");
    }
    struct tl_buf room;
    tl_buf_init(&room, 2 * (size_t)TL_SPOOL_TEXT_MAX);
    tally_status status = TALLY_OK;
    struct wait wait = { .ledger = ledger,
                         .until_us = until_us,
                         .pause_us = PAUSE_MIN_US,
                         .doubted_us = tl_clock->steady_us() };
    for (size_t i = 0; i < count && status == TALLY_OK; i++) {
        status = spool_strict(&wait, &room, &entries[i], &places[i], err);
    }
    tl_buf_release(&room);
    TL_TRY(status);
    tl_sequence_wake(ledger);
    for (size_t i = 0; i < count; i++) {
        TL_TRY(await(&wait, &places[i], entries[i].receipt, err));
    }
    return TALLY_OK;
}

/* An act that nobody seals now is not left behind to be sealed some day. */
static tally_status await_sequencer(struct wait *wait, struct tally_error *err)
{
    while (!tl_lock_is_held(wait->ledger->paths.lock)) {
        if (is_deserted(wait, tl_clock->steady_us())) {
            return tl_fail(err, TALLY_EBUSY,
                           "no process records in this ledger: 'tally doctor' says why");
        }
        sleep_us(PAUSE_MAX_US);
    }
    return TALLY_OK;
}

/* What an answer says that is no receipt: the reason is where the flags would be. */
static tally_status read_answer(const struct tally_receipt *receipt, uint64_t *seq_out,
                                struct tally_error *err)
{
    *seq_out = receipt->seq;
    if (receipt->status == TALLY_OK) {
        return TALLY_OK;
    }
    if (receipt->flags > TL_ACT_FINE && receipt->flags < TL_ACT_REFUSALS) {
        return tl_act_refuse((enum tl_act_refusal)receipt->flags, err);
    }
    return tl_fail(err, receipt->status,
                   "the process that records could not seal it: %s; see its log, or 'tally doctor'",
                   tally_status_name(receipt->status));
}

static tally_status follow_act(struct tally_ledger *ledger, const struct tl_buf *text,
                               uint64_t *seq_out, struct tally_error *err)
{
    struct wait wait = { .ledger = ledger,
                         .until_us = tl_clock->steady_us() + ACT_US,
                         .pause_us = PAUSE_MIN_US,
                         .doubted_us = tl_clock->steady_us() };
    TL_TRY(await_sequencer(&wait, err));
    const struct tl_spool_record record = { .kind = TL_SPOOL_ACT,
                                            .delivery = TALLY_DELIVERY_STRICT,
                                            .len = (uint32_t)text->len };
    struct tl_buf room;
    struct tl_spool_place place = { .segment = 0 };
    tl_buf_init(&room, 2 * (size_t)TL_SPOOL_TEXT_MAX);
    tally_status status = spool_text(ledger, &room, record, text->data, wait.until_us, &place, err);
    tl_buf_release(&room);
    TL_TRY(status);
    tl_sequence_wake(ledger);
    struct tally_receipt receipt = { .flags = 0 };
    TL_TRY(await(&wait, &place, &receipt, err));
    return read_answer(&receipt, seq_out, err);
}

tally_status tl_follow_act(struct tally_ledger *ledger, const struct tl_act_request *act,
                           uint64_t *seq_out, struct tally_error *err)
{
    TL_TRY(tl_remote_refuse(ledger, err));
    struct tl_buf text;
    tl_buf_init(&text, 2 * (size_t)TL_LEAF_PAYLOAD_MAX);
    tally_status status = tl_act_encode(&text, act, err);
    if (status == TALLY_OK) {
        status = follow_act(ledger, &text, seq_out, err);
    }
    tl_buf_release(&text);
    return status;
}
