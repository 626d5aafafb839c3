#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/io.h"
#include "spool/spool_impl.h"

/* How often a writer without space looks whether the reader has removed a segment. */
#define ROOM_POLL_US 5000

/* So long a caller who does not want to wait lets another thread finish making a segment: that is part
 * of writing, like the write itself. Who has a bound waits no longer than that. */
#define MAKING_US 50000

/* After writing failed in two segments, it is refused for so long before it is tried again: a disk
 * that is full or broken is not asked for two new files by each event. */
#define REFUSE_US         20000
#define REFUSED_LATELY_US 1000000

struct spot {
    struct tl_spool_segment *segment;
    uint32_t index;
    uint64_t offset;
};

/*
 * Takes the next place in the active segment. Fails if that is full or there is none.
 *
 * `active` is a hint. What makes the place ours is the exchange, and it succeeds only if the state
 * was that of a segment that is open for writing: retire() seals it by an atomic or. If the slot has
 * changed segments since `active` was read, then it is the new one that we write to; all are of one
 * size. Acquire pairs with the release in activate(): we see the descriptor and nonce of this state.
 */
static bool reserve(struct tl_spool *spool, uint32_t span, struct spot *spot_out)
{
    struct tl_spool_segment *segment = atomic_load_explicit(&spool->active, memory_order_acquire);
    if (segment == NULL) {
        return false;
    }
    uint64_t state = atomic_load_explicit(&segment->state, memory_order_relaxed);
    do {
        if ((state & TL_STATE_SEALED) != 0 || tl_state_offset(state) + span > spool->size) {
            return false;
        }
    } while (!atomic_compare_exchange_weak_explicit(&segment->state, &state,
                                                    state + TL_STATE_INDEX_ONE + span,
                                                    memory_order_acquire, memory_order_relaxed));
    *spot_out = (struct spot){ .segment = segment,
                               .index = tl_state_count(state),
                               .offset = tl_state_offset(state) };
    return true;
}

static bool fits(const struct tl_spool *spool, const struct tl_spool_segment *segment,
                 uint32_t span)
{
    uint64_t state = atomic_load_explicit(&segment->state, memory_order_relaxed);
    return tl_state_offset(state) + span <= spool->size;
}

static tally_status fail_refused(const struct tl_spool *spool, struct tally_error *err)
{
    return tl_fail_errno(err, TALLY_EIO, spool->refused_errno, "cannot write to the spool '%s'",
                         spool->dir);
}

/* The time is over; why nothing could be made before, if it is known, says more than that. */
static tally_status fail_late(const struct tl_spool *spool, struct tally_error *err)
{
    if (tl_clock->steady_us() < spool->refused_until_us + REFUSED_LATELY_US) {
        return fail_refused(spool, err);
    }
    return tl_fail_errno(err, TALLY_EIO, ETIMEDOUT, "the spool's disk does not answer in time");
}

/* Lets the reader make room. TALLY_OK: something may have changed. */
static tally_status wait_for_room(struct tl_spool *spool, int64_t until_us, bool *has_waited,
                                  struct tally_error *err) TL_REQUIRES(spool->mu)
{
    tl_spool_prune(spool);
    if (tl_spool_has_room(spool)) {
        return TALLY_OK;
    }
    int64_t now_us = tl_clock->steady_us();
    if (now_us >= until_us && tl_spool_file_count(spool) < spool->segments_max) {
        return fail_late(spool, err); /* segments cannot be closed, because they cannot be synced */
    }
    if (now_us >= until_us) {
        return tl_fail_code(err, TALLY_ELIMIT, "spool_full",
                            "the spool '%s' is full and nobody empties it", spool->dir);
    }
    spool->counts.waits += !*has_waited;
    *has_waited = true;
    int64_t next_us = now_us + ROOM_POLL_US;
    tl_spool_wait(spool, until_us < next_us ? until_us : next_us);
    return TALLY_OK;
}

/* One step towards another segment: it is made, or there is a wait for what stands in the way. */
static tally_status come_closer(struct tl_spool *spool, int64_t began_us, int64_t until_us,
                                bool *has_waited, struct tally_error *err) TL_REQUIRES(spool->mu)
{
    int64_t now_us = tl_clock->steady_us();
    if (now_us < spool->refused_until_us) {
        if (now_us >= until_us) {
            return fail_refused(spool, err);
        }
        spool->counts.waits += !*has_waited;
        *has_waited = true;
        tl_spool_wait(spool,
                      until_us < spool->refused_until_us ? until_us : spool->refused_until_us);
        return TALLY_OK;
    }
    if (!tl_spool_has_room(spool)) {
        return wait_for_room(spool, until_us, has_waited, err);
    }
    if (!spool->has_maker && !spool->is_making) {
        return tl_spool_make_next(spool, err);
    }
    int64_t last_us = until_us > began_us ? until_us : began_us + MAKING_US;
    if (now_us >= last_us) {
        return fail_late(spool, err);
    }
    spool->wants_next = true;
    tl_spool_notify(spool);
    tl_spool_wait(spool, last_us);
    return TALLY_OK;
}

/* Sees to it that the active segment has room for a record. */
static tally_status find_room(struct tl_spool *spool, uint32_t span, int64_t until_us,
                              struct tally_error *err)
{
    int64_t began_us = tl_clock->steady_us();
    bool has_waited = false;
    tally_status status = TALLY_OK;
    tl_mutex_lock(&spool->mu);
    tl_spool_start_threads(spool);
    while (status == TALLY_OK) {
        struct tl_spool_segment *active =
            atomic_load_explicit(&spool->active, memory_order_relaxed); /* written under mu */
        if (active != NULL && fits(spool, active, span)) {
            break;
        }
        if (active != NULL) {
            tl_spool_retire(spool, active);
            tl_spool_notify(spool);
            continue;
        }
        struct tl_spool_segment *ready = tl_spool_find_use(spool, TL_SLOT_READY);
        if (ready != NULL) {
            tl_spool_activate(spool, ready);
            break;
        }
        status = come_closer(spool, began_us, until_us, &has_waited, err);
    }
    int64_t waited_us = tl_clock->steady_us() - began_us;
    if (has_waited && waited_us > spool->counts.longest_wait_us) {
        spool->counts.longest_wait_us = waited_us;
    }
    tl_mutex_unlock(&spool->mu);
    return status;
}

/* Whether the bytes of a record that could not be written are in the file all the same. What cannot
 * be read is taken to be absent: a write that fails has, on Linux, written nothing. */
static bool is_there(const struct spot *spot, const uint8_t *room, uint32_t span)
{
    uint8_t bytes[512];
    for (uint32_t at = 0; at < span; at += (uint32_t)sizeof(bytes)) {
        size_t len = span - at < sizeof(bytes) ? span - at : sizeof(bytes);
        if (tl_io_read_at(spot->segment->fd, bytes, len, spot->offset + at, NULL) != TALLY_OK ||
            memcmp(bytes, room + at, len) != 0) {
            return false;
        }
    }
    return true;
}

/*
 * After a write that failed, when an unknown part of the record may be in the file: sees to it that
 * no reader takes it for one, and that none waits for it. Gives the segment up. Returns whether the
 * record turned out to be written.
 */
static bool recover(struct tl_spool *spool, const struct spot *spot,
                    const struct tl_spool_record *record, uint8_t *room)
{
    uint8_t header[TL_SPOOL_HEADER_LEN];
    struct tl_spool_record gone = *record;
    gone.kind = TL_SPOOL_VOID;
    gone.text = NULL;
    tl_spool_encode(header, &gone, spot->segment->nonce);
    bool is_void =
        tl_io_write_at(spot->segment->fd, header, sizeof(header), spot->offset, NULL) == TALLY_OK;
    bool is_written = !is_void && is_there(spot, room, tl_spool_span(record->len));
    tl_mutex_lock(&spool->mu);
    spool->counts.failed_writes++;
    spot->segment->failed += !is_written;
    spot->segment->holes += !is_written && !is_void;
    if (atomic_load_explicit(&spool->active, memory_order_relaxed) == spot->segment) {
        tl_spool_retire(spool, spot->segment);
        tl_spool_notify(spool);
    }
    tl_mutex_unlock(&spool->mu);
    return is_written;
}

/* The last that a writer does with a segment. Release, for tl_spool_is_complete(); seq_cst, because
 * a look at `attention` follows: see sleep_until() and tl_spool_arm(). */
static void complete(struct tl_spool_segment *segment)
{
    (void)atomic_fetch_add_explicit(&segment->completed, 1, memory_order_seq_cst);
}

static void attend(struct tl_spool *spool)
{
    /* Acquire: what was done before it was armed. */
    uint32_t wanted = atomic_exchange_explicit(&spool->attention, 0, memory_order_acq_rel);
    if ((wanted & TL_ATTENTION_ASLEEP) != 0) {
        tl_mutex_lock(&spool->mu);
        tl_cond_signal(&spool->work);
        tl_mutex_unlock(&spool->mu);
    }
    if ((wanted & TL_ATTENTION_ARMED) != 0 && spool->on_write != NULL) {
        spool->on_write(spool->ctx);
    }
}

static void look_at_attention(struct tl_spool *spool)
{
    if (atomic_load_explicit(&spool->attention, memory_order_seq_cst) != 0) {
        attend(spool);
    }
}

/* Asks for the next segment before this one is full. */
static void want_next(struct tl_spool *spool)
{
    tl_mutex_lock(&spool->mu);
    spool->wants_next = true;
    tl_spool_notify(spool);
    tl_mutex_unlock(&spool->mu);
}

/* Reserves and writes, once. On success the caller has to complete(). */
static tally_status put(struct tl_spool *spool, const struct tl_spool_record *record, uint8_t *room,
                        int64_t until_us, struct spot *spot_out, struct tally_error *err)
{
    uint32_t span = tl_spool_span(record->len);
    struct spot spot;
    while (!reserve(spool, span, &spot)) {
        TL_TRY(find_room(spool, span, until_us, err));
    }
    struct tl_spool_record placed = *record;
    placed.index = spot.index;
    tl_spool_encode(room, &placed, spot.segment->nonce);
    tally_status status = tl_io_write_at(spot.segment->fd, room, span, spot.offset, err);
    if (status != TALLY_OK && !recover(spool, &spot, &placed, room)) {
        complete(spot.segment);
        look_at_attention(spool);
        return status;
    }
    *spot_out = spot;
    return TALLY_OK;
}

/* The same in another segment, after one that failed. */
static tally_status put_again(struct tl_spool *spool, const struct tl_spool_record *record,
                              uint8_t *room, int64_t until_us, struct spot *spot_out,
                              struct tally_error *err)
{
    struct tally_error failure = TALLY_ERROR_INIT;
    tally_status status = put(spool, record, room, until_us, spot_out, &failure);
    if (status == TALLY_EIO) {
        tl_mutex_lock(&spool->mu);
        int64_t now_us = tl_clock->steady_us();
        if (now_us >= spool->refused_until_us) {
            spool->refused_until_us = now_us + REFUSE_US;
            spool->refused_errno = failure.os_errno;
        }
        tl_mutex_unlock(&spool->mu);
    }
    if (status != TALLY_OK && err != NULL) {
        *err = failure;
    }
    return status;
}

/* Adds the record, which is written, to the next round, and waits for it. */
static tally_status await_sync(struct tl_spool *spool, struct tl_spool_segment *segment,
                               int64_t until_us, struct tl_spool_place *place_out,
                               struct tally_error *err)
{
    tl_mutex_lock(&spool->mu);
    uint64_t round = tl_spool_want_round(spool);
    segment->waiters++; /* before it can be closed, and its slot used again */
    complete(segment);
    tl_spool_notify(spool);
    tl_mutex_unlock(&spool->mu);
    look_at_attention(spool);

    tl_mutex_lock(&spool->mu);
    bool in_time = true;
    while (segment->synced_round < round && spool->round_done < round && in_time) {
        in_time = tl_clock->steady_us() < until_us;
        if (in_time) {
            tl_spool_wait(spool, until_us);
        }
    }
    bool is_synced = segment->synced_round >= round;
    int os_errno = spool->round_errno;
    segment->waiters--;
    if (segment->waiters == 0 && segment->use == TL_SLOT_CLOSED) {
        tl_spool_free_slot(segment);
        tl_cond_broadcast(&spool->changed);
    }
    tl_mutex_unlock(&spool->mu);

    if (is_synced) {
        place_out->level = TL_SPOOL_SYNCED;
        return TALLY_OK;
    }
    return in_time ? tl_fail_errno(err, TALLY_EIO, os_errno, "cannot sync the spool")
                   : tl_fail(err, TALLY_EBUSY, "the spool was not synced in time");
}

static tally_status write_record(struct tl_spool *spool, const struct tl_spool_record *record,
                                 uint8_t *room, enum tl_spool_level level, int64_t until_us,
                                 struct tl_spool_place *place_out, struct tally_error *err)
{
    place_out->level = TL_SPOOL_NONE;
    place_out->index = 0;
    place_out->segment[0] = 0;
    if (record->len > TL_SPOOL_TEXT_MAX) {
        return tl_fail(err, TALLY_EINVAL, "a record of %u bytes is too long for the spool",
                       record->len);
    }
    struct spot spot = { 0 };
    bool is_fresh = err != NULL && err->status == TALLY_OK;
    tally_status status = put(spool, record, room, until_us, &spot, err);
    if (status == TALLY_EIO) {
        status = put_again(spool, record, room, until_us, &spot, is_fresh ? err : NULL);
    }
    if (status == TALLY_OK && is_fresh && err->status != TALLY_OK) {
        *err = (struct tally_error)TALLY_ERROR_INIT; /* of a first attempt, which was made good */
    }
    if (status != TALLY_OK) {
        return status;
    }
    place_out->level = TL_SPOOL_QUEUED;
    place_out->index = spot.index;
    memcpy(place_out->segment, spot.segment->name, TL_SPOOL_ID_TEXT_LEN + sizeof(TL_SPOOL_SUFFIX));
    bool is_half =
        spot.offset < spool->half && spot.offset + tl_spool_span(record->len) >= spool->half;
    if (level == TL_SPOOL_SYNCED) {
        status = await_sync(spool, spot.segment, until_us, place_out, err);
    } else {
        complete(spot.segment);
        look_at_attention(spool);
    }
    if (is_half) {
        want_next(spool);
    }
    return status;
}

/* A thread that was cancelled between reserving and completing would keep its segment from being
 * closed for ever; one that waits would keep the lock. */
tally_status tl_spool_write(struct tl_spool *spool, const struct tl_spool_record *record,
                            uint8_t *room, enum tl_spool_level level, int64_t until_us,
                            struct tl_spool_place *place_out, struct tally_error *err)
{
    int before;
    tl_assert(pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before) == 0);
    tally_status status = write_record(spool, record, room, level, until_us, place_out, err);
    tl_assert(pthread_setcancelstate(before, &before) == 0);
    return status;
}
