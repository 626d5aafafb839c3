#include <errno.h>

#include "base/clock.h"
#include "base/io.h"
#include "spool/spool_impl.h"

/* While a disk fails, it is asked again after so long, doubled each time. */
#define HOLD_FIRST_MS 50u
#define HOLD_MAX_MS   5000u

/* After so many copies that failed, some seconds in all, a segment is left to the reader as it is:
 * else those that cannot be synced would use up the space that the others need. */
#define RESCUES_MAX 6u

/* How long a round waits for writers that are still busy in a segment that has to be copied. */
#define BUSY_WAIT_MS 100u

/* A segment being copied record by record. */
struct copying {
    const struct tl_spool_segment *from;
    struct tl_spool_segment *to;
    uint64_t at, end; /* in `from` */
    uint64_t to_offset;
    uint32_t to_count;
    uint32_t found; /* whole records, void ones included */
};

uint64_t tl_spool_want_round(struct tl_spool *spool)
{
    spool->round_wanted = spool->round_begun + 1;
    return spool->round_wanted;
}

/* Writes a record that was read; its bytes are changed. */
static tally_status copy_record(struct copying *copying, uint8_t *bytes,
                                struct tl_spool_record *record)
{
    copying->found++;
    if (record->kind == TL_SPOOL_VOID) {
        return TALLY_OK;
    }
    uint32_t span = tl_spool_span(record->len);
    record->index = copying->to_count;
    tl_spool_encode(bytes, record, copying->to->nonce);
    TL_TRY(tl_io_write_at(copying->to->fd, bytes, span, copying->to_offset, NULL));
    copying->to_count++;
    copying->to_offset += span;
    return TALLY_OK;
}

/* Copies what begins in bytes[0..len), which lie at copying->at, and moves that on. Two records of
 * any size fit in, unless the segment ends before. */
static tally_status copy_window(struct copying *copying, uint8_t *bytes, size_t len)
{
    bool is_last = copying->at + len == copying->end;
    size_t half = len / 2 / TL_SPOOL_ALIGN * TL_SPOOL_ALIGN;
    size_t pos = 0;
    while (pos < len && (is_last || pos <= half)) {
        struct tl_spool_record record;
        bool nothing;
        size_t next = pos;
        if (tl_spool_look(&record, bytes + pos, len - pos, copying->from->nonce) ==
            TL_SPOOL_WHOLE) {
            next += tl_spool_span(record.len);
            TL_TRY(copy_record(copying, bytes + pos, &record));
        } else {
            next = tl_spool_next(bytes, len, pos + TL_SPOOL_ALIGN, copying->from->nonce, &nothing);
        }
        if (next == SIZE_MAX) {
            next = is_last ? len : half + TL_SPOOL_ALIGN;
        }
        pos = next;
    }
    copying->at += pos;
    return TALLY_OK;
}

/* Returns 0 or errno. *missing_out: records of `from` that cannot be read back any more. */
static int copy_segment(struct tl_spool *spool, const struct tl_spool_segment *from,
                        struct tl_spool_segment *to, uint32_t *missing_out)
{
    struct tally_error err = TALLY_ERROR_INIT;
    if (tl_spool_file_make(spool, to, &err) != TALLY_OK) {
        return err.os_errno;
    }
    /* Relaxed: whoever is working has seen `completed` with acquire, and nobody changes it now. */
    uint64_t state = atomic_load_explicit(&from->state, memory_order_relaxed);
    struct copying copying = { .from = from,
                               .to = to,
                               .at = TL_SEGMENT_HEADER_LEN,
                               .end = tl_state_offset(state),
                               .to_offset = TL_SEGMENT_HEADER_LEN };
    while (copying.at < copying.end) {
        uint64_t left = copying.end - copying.at;
        size_t len = left < spool->copy_len ? (size_t)left : spool->copy_len;
        if (tl_io_read_at(from->fd, spool->copy, len, copying.at, NULL) != TALLY_OK ||
            copy_window(&copying, spool->copy, len) != TALLY_OK) {
            return EIO;
        }
    }
    uint64_t copied = copying.to_count * TL_STATE_INDEX_ONE | copying.to_offset;
    atomic_store_explicit(&to->state, TL_STATE_SEALED | copied, memory_order_relaxed);
    atomic_store_explicit(&to->completed, copying.to_count, memory_order_relaxed);
    uint32_t written = tl_state_count(state) - from->holes;
    *missing_out = copying.found < written ? written - copying.found : 0;
    return tl_spool_file_sync(spool, to);
}

static void settle_copy(struct tl_spool *spool, struct tl_spool_segment *to) TL_REQUIRES(spool->mu)
{
    uint64_t state = atomic_load_explicit(&to->state, memory_order_relaxed);
    to->use = TL_SLOT_RETIRED;
    to->failed = tl_state_count(state); /* its records are counted where they come from */
    to->is_settled = true;
    spool->counts.segments++;
    spool->counts.syncs++;
}

static void abandon_copy(struct tl_spool *spool, struct tl_spool_segment *to) TL_REQUIRES(spool->mu)
{
    tl_mutex_unlock(&spool->mu);
    if (to->fd >= 0) {
        tl_spool_file_close(spool, to, true);
    }
    tl_mutex_lock(&spool->mu);
    tl_spool_free_slot(to);
}

/*
 * The kernel may have dropped what it could not write, and says so once: after a failed fdatasync
 * the next one on the same file means nothing. So the records are copied into a file of their own;
 * the reader, who finds them twice, knows the events by their ids.
 */
static bool rescue(struct tl_spool *spool, struct tl_spool_segment *from) TL_REQUIRES(spool->mu)
{
    struct tl_spool_segment *to = NULL;
    if (spool->closed_count < TL_SPOOL_CLOSED_MAX) {
        to = tl_spool_take_slot(spool, TL_SPOOL_SLOTS);
    }
    int os_errno = ENOSPC;
    uint32_t missing = 0;
    if (to != NULL) {
        tl_mutex_unlock(&spool->mu);
        os_errno = copy_segment(spool, from, to, &missing);
        tl_mutex_lock(&spool->mu);
    }
    bool is_given_up = os_errno != 0 && ++from->rescues >= RESCUES_MAX;
    from->is_settled = os_errno == 0 || is_given_up;
    if (is_given_up || missing > 0) {
        spool->has_lost = true;
    }
    if (os_errno == 0) {
        settle_copy(spool, to);
        from->synced_round = missing == 0 ? UINT64_MAX : 0;
    } else {
        spool->round_errno = os_errno;
        if (to != NULL) {
            abandon_copy(spool, to);
        }
    }
    return os_errno == 0 && missing == 0;
}

/* Syncs one whose fdatasync never failed; marks it bad if this one does. */
static void sync_good(struct tl_spool *spool, struct tl_spool_segment *segment)
    TL_REQUIRES(spool->mu)
{
    /* Acquire: the writes that these records stand for were done before the fdatasync begins. */
    uint32_t count = atomic_load_explicit(&segment->completed, memory_order_acquire);
    if (count == segment->synced_count) {
        return;
    }
    segment->dirty_us = 0;
    tl_mutex_unlock(&spool->mu);
    int os_errno = tl_spool_file_sync(spool, segment);
    tl_mutex_lock(&spool->mu);
    if (os_errno == 0) {
        segment->synced_count = count;
        segment->has_name_synced = true;
        spool->counts.syncs++;
        return;
    }
    segment->is_bad = true;
    spool->round_errno = os_errno;
    spool->counts.failed_syncs++;
    if (segment->use == TL_SLOT_ACTIVE) {
        tl_spool_retire(spool, segment);
    }
}

static bool await_writers(struct tl_spool *spool, const struct tl_spool_segment *segment)
    TL_REQUIRES(spool->mu)
{
    for (uint32_t ms = 0; ms < BUSY_WAIT_MS && !tl_spool_is_complete(segment); ms++) {
        (void)tl_cond_wait_for(&spool->changed, &spool->mu, 1); /* what counts is asked again */
    }
    return tl_spool_is_complete(segment);
}

/* Returns whether everything that was complete when the round began is durable. */
static bool sync_segment(struct tl_spool *spool, struct tl_spool_segment *segment, uint64_t round)
    TL_REQUIRES(spool->mu)
{
    if (!segment->is_bad) {
        sync_good(spool, segment);
    }
    if (segment->is_bad) {
        return await_writers(spool, segment) && rescue(spool, segment);
    }
    segment->synced_round = round;
    if (segment->use == TL_SLOT_RETIRED && tl_spool_is_complete(segment) &&
        segment->synced_count ==
            tl_state_count(atomic_load_explicit(&segment->state, memory_order_relaxed))) {
        segment->synced_round = UINT64_MAX;
        segment->is_settled = true;
    }
    return true;
}

void tl_spool_run_round(struct tl_spool *spool)
{
    uint64_t round = ++spool->round_begun;
    bool is_held = tl_clock->steady_us() < spool->hold_until_us;
    bool is_synced = !is_held;
    for (size_t i = 0; i < TL_SPOOL_SLOTS && !is_held; i++) {
        struct tl_spool_segment *segment = &spool->slots[i];
        bool is_used = segment->use == TL_SLOT_ACTIVE || segment->use == TL_SLOT_RETIRED;
        if (is_used && !segment->is_settled && !sync_segment(spool, segment, round)) {
            is_synced = false;
        }
    }
    if (is_synced) {
        spool->round_synced = round;
        spool->hold_ms = 0;
    } else if (!is_held) {
        uint32_t ms = spool->hold_ms == 0 ? HOLD_FIRST_MS : spool->hold_ms * 2;
        spool->hold_ms = ms < HOLD_MAX_MS ? ms : HOLD_MAX_MS;
        spool->hold_until_us = tl_clock->steady_us() + (int64_t)spool->hold_ms * 1000;
    }
    spool->round_done = round;
    tl_cond_broadcast(&spool->changed);
}
