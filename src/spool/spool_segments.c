#include <string.h>

#include "base/clock.h"
#include "spool/spool_impl.h"

#define PRUNE_CHUNK 64u

static uint32_t slots_in_use(const struct tl_spool *spool) TL_REQUIRES(spool->mu)
{
    uint32_t count = 0;
    for (size_t i = 0; i < TL_SPOOL_SLOTS; i++) {
        count += spool->slots[i].use != TL_SLOT_FREE;
    }
    return count;
}

struct tl_spool_segment *tl_spool_find_use(struct tl_spool *spool, enum tl_slot_use use)
{
    for (size_t i = 0; i < TL_SPOOL_SLOTS; i++) {
        if (spool->slots[i].use == use) {
            return &spool->slots[i];
        }
    }
    return NULL;
}

struct tl_spool_segment *tl_spool_take_slot(struct tl_spool *spool, uint32_t in_use_max)
{
    if (slots_in_use(spool) >= in_use_max) {
        return NULL;
    }
    struct tl_spool_segment *segment = tl_spool_find_use(spool, TL_SLOT_FREE);
    tl_assert(segment != NULL && segment->fd < 0);
    segment->use = TL_SLOT_MAKING;
    /* Names are in order even if someone sets the clock back. */
    int64_t now_us = tl_clock->wall_us();
    spool->last_name_us = now_us > spool->last_name_us ? now_us : spool->last_name_us + 1;
    segment->created_us = spool->last_name_us;
    return segment;
}

/* Relaxed: whoever opens it next does so under the lock, and with release. */
void tl_spool_free_slot(struct tl_spool_segment *segment)
{
    tl_assert(segment->fd < 0);
    atomic_store_explicit(&segment->state, TL_STATE_SEALED, memory_order_relaxed);
    atomic_store_explicit(&segment->completed, 0, memory_order_relaxed);
    segment->use = TL_SLOT_FREE;
    segment->failed = 0;
    segment->holes = 0;
    segment->waiters = 0;
    segment->first_us = 0;
    segment->dirty_us = 0;
    segment->synced_count = 0;
    segment->synced_round = 0;
    segment->has_name_synced = false;
    segment->is_bad = false;
    segment->rescues = 0;
    segment->is_settled = false;
}

tally_status tl_spool_make_next(struct tl_spool *spool, struct tally_error *err)
{
    tl_assert(!spool->is_making);
    struct tl_spool_segment *segment = tl_spool_take_slot(spool, TL_SPOOL_SLOTS_WRITERS);
    tl_assert(segment != NULL); /* the caller has asked tl_spool_has_room() */
    spool->is_making = true;
    tl_mutex_unlock(&spool->mu);
    tally_status status = tl_spool_file_make(spool, segment, err);
    tl_mutex_lock(&spool->mu);
    spool->is_making = false;
    if (status == TALLY_OK) {
        segment->use = TL_SLOT_READY;
        spool->counts.segments++;
    } else {
        tl_spool_free_slot(segment);
    }
    tl_cond_broadcast(&spool->changed);
    return status;
}

void tl_spool_activate(struct tl_spool *spool, struct tl_spool_segment *segment)
{
    tl_assert(segment->use == TL_SLOT_READY);
    segment->use = TL_SLOT_ACTIVE;
    spool->wants_next = false;
    /* Release: whoever reserves, with acquire, sees the descriptor and the nonce. */
    atomic_store_explicit(&segment->state, TL_SEGMENT_HEADER_LEN, memory_order_release);
    atomic_store_explicit(&spool->active, segment, memory_order_release);
    tl_cond_signal(&spool->work); /* the thread may sleep, waiting for nothing */
}

void tl_spool_retire(struct tl_spool *spool, struct tl_spool_segment *segment)
{
    tl_assert(segment->use == TL_SLOT_ACTIVE);
    segment->use = TL_SLOT_RETIRED;
    atomic_store_explicit(&spool->active, NULL, memory_order_release);
    /* Writers change the state by compare-and-swap from a value without SEALED: none succeeds after
     * this, so that the count in it is final. */
    (void)atomic_fetch_or_explicit(&segment->state, TL_STATE_SEALED, memory_order_acq_rel);
}

bool tl_spool_is_complete(const struct tl_spool_segment *segment)
{
    uint64_t state = atomic_load_explicit(&segment->state, memory_order_relaxed);
    tl_assert((state & TL_STATE_SEALED) != 0);
    /* Acquire: what the writers did, whose last act is to add to this with release. */
    uint32_t completed = atomic_load_explicit(&segment->completed, memory_order_acquire);
    return completed == tl_state_count(state);
}

void tl_spool_close_segment(struct tl_spool *spool, struct tl_spool_segment *segment)
{
    tl_assert(segment->use == TL_SLOT_RETIRED && segment->fd >= 0);
    uint64_t state = atomic_load_explicit(&segment->state, memory_order_relaxed);
    bool removes = tl_state_count(state) == 0; /* there is nothing in it for the reader */
    tl_mutex_unlock(&spool->mu);
    if (!removes) {
        tl_spool_file_give_back(spool, segment, tl_state_offset(state));
    }
    tl_spool_file_close(spool, segment, removes);
    tl_mutex_lock(&spool->mu);
    spool->counts.records += tl_state_count(state) - segment->failed;
    if (!removes) {
        memcpy(spool->closed[spool->closed_count++], segment->id, TL_SPOOL_ID_LEN);
    }
    if (segment->waiters > 0) {
        segment->use = TL_SLOT_CLOSED; /* the last of them frees it */
    } else {
        tl_spool_free_slot(segment);
    }
    tl_cond_broadcast(&spool->changed);
}

uint32_t tl_spool_file_count(const struct tl_spool *spool)
{
    uint32_t count = spool->closed_count;
    for (size_t i = 0; i < TL_SPOOL_SLOTS; i++) {
        enum tl_slot_use use = spool->slots[i].use;
        count += use != TL_SLOT_FREE && use != TL_SLOT_CLOSED;
    }
    return count;
}

bool tl_spool_has_room(const struct tl_spool *spool)
{
    return tl_spool_file_count(spool) < spool->segments_max &&
           slots_in_use(spool) < TL_SPOOL_SLOTS_WRITERS;
}

void tl_spool_prune(struct tl_spool *spool)
{
    if (spool->is_pruning) {
        return;
    }
    spool->is_pruning = true;
    uint32_t kept = 0;
    uint32_t seen = 0;
    /* Meanwhile others only append. */
    while (seen < spool->closed_count) {
        uint8_t ids[PRUNE_CHUNK][TL_SPOOL_ID_LEN];
        bool exists[PRUNE_CHUNK];
        uint32_t left = spool->closed_count - seen;
        uint32_t count = left < PRUNE_CHUNK ? left : PRUNE_CHUNK;
        memcpy(ids, spool->closed[seen], count * sizeof(ids[0]));
        tl_mutex_unlock(&spool->mu);
        for (uint32_t i = 0; i < count; i++) {
            exists[i] = tl_spool_file_exists(spool, ids[i]);
        }
        tl_mutex_lock(&spool->mu);
        for (uint32_t i = 0; i < count; i++) {
            if (exists[i]) {
                memcpy(spool->closed[kept++], ids[i], sizeof(ids[i]));
            }
        }
        seen += count;
    }
    if (kept < spool->closed_count) {
        spool->closed_count = kept;
        tl_cond_broadcast(&spool->changed);
    }
    spool->is_pruning = false;
}
