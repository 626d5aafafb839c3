#include "base/clock.h"
#include "spool/spool_impl.h"

#define NEVER INT64_MAX

/* How soon to look again for the last writers of a retired segment. */
#define BUSY_US 2000

/* How long preparing the next segment rests when there is no room, or it failed. */
#define PREPARE_AGAIN_US 20000

static int64_t min_us(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Seq_cst pairs with the writers' adding to it and looking at `attention`: see sleep_until(). */
static uint32_t completed_of(const struct tl_spool_segment *segment)
{
    return atomic_load_explicit(&segment->completed, memory_order_seq_cst);
}

static struct tl_spool_segment *active_of(struct tl_spool *spool) TL_REQUIRES(spool->mu)
{
    return atomic_load_explicit(&spool->active, memory_order_relaxed); /* written under mu */
}

/* Starts the times that run from a first record, and from a first one that is not synced. */
static void notice(struct tl_spool *spool, int64_t now_us) TL_REQUIRES(spool->mu)
{
    struct tl_spool_segment *active = active_of(spool);
    if (active == NULL) {
        return;
    }
    uint32_t completed = completed_of(active);
    if (completed > 0 && active->first_us == 0) {
        active->first_us = now_us;
    }
    if (completed != active->synced_count && active->dirty_us == 0) {
        active->dirty_us = now_us;
    }
}

static int64_t age_due(struct tl_spool *spool) TL_REQUIRES(spool->mu)
{
    const struct tl_spool_segment *active = active_of(spool);
    if (spool->segment_age_ms == 0 || active == NULL || active->first_us == 0) {
        return NEVER;
    }
    return active->first_us + (int64_t)spool->segment_age_ms * 1000;
}

static int64_t round_due(struct tl_spool *spool, int64_t now_us) TL_REQUIRES(spool->mu)
{
    if (spool->round_wanted > spool->round_begun) {
        return now_us;
    }
    int64_t due = NEVER;
    const struct tl_spool_segment *active = active_of(spool);
    if (spool->sync_interval_ms != 0 && active != NULL && active->dirty_us != 0) {
        due = active->dirty_us + (int64_t)spool->sync_interval_ms * 1000;
    }
    for (size_t i = 0; i < TL_SPOOL_SLOTS; i++) {
        const struct tl_spool_segment *segment = &spool->slots[i];
        if (segment->use == TL_SLOT_RETIRED && !segment->is_settled) {
            due = min_us(due, tl_spool_is_complete(segment) ? now_us : now_us + BUSY_US);
        }
    }
    return due > spool->hold_until_us ? due : spool->hold_until_us;
}

static int64_t prepare_due(struct tl_spool *spool) TL_REQUIRES(spool->mu)
{
    bool is_wanted =
        spool->wants_next && !spool->is_making && tl_spool_find_use(spool, TL_SLOT_READY) == NULL;
    return is_wanted ? spool->next_make_us : NEVER;
}

static struct tl_spool_segment *find_settled(struct tl_spool *spool) TL_REQUIRES(spool->mu)
{
    for (size_t i = 0; i < TL_SPOOL_SLOTS; i++) {
        if (spool->slots[i].use == TL_SLOT_RETIRED && spool->slots[i].is_settled) {
            return &spool->slots[i];
        }
    }
    return NULL;
}

/* When there is something to do next; not later than `now_us` means now. */
static int64_t next_due(struct tl_spool *spool, int64_t now_us) TL_REQUIRES(spool->mu)
{
    notice(spool, now_us);
    if (find_settled(spool) != NULL) {
        return now_us;
    }
    int64_t due = min_us(age_due(spool), round_due(spool, now_us));
    return spool->has_maker ? due : min_us(due, prepare_due(spool));
}

static void prepare(struct tl_spool *spool) TL_REQUIRES(spool->mu)
{
    if (!tl_spool_has_room(spool)) {
        tl_spool_prune(spool);
    }
    /* A writer may have been quicker while the lock was released. */
    if (prepare_due(spool) == NEVER) {
        return;
    }
    struct tally_error error = TALLY_ERROR_INIT;
    if (!tl_spool_has_room(spool)) {
        spool->next_make_us = tl_clock->steady_us() + PREPARE_AGAIN_US;
    } else if (tl_spool_make_next(spool, &error) != TALLY_OK) {
        /* Those who need one are told why there is none. */
        spool->next_make_us = tl_clock->steady_us() + PREPARE_AGAIN_US;
        spool->refused_until_us = spool->next_make_us;
        spool->refused_errno = error.os_errno;
        tl_cond_broadcast(&spool->changed);
    }
}

/* Does what is due. */
static void work(struct tl_spool *spool) TL_REQUIRES(spool->mu)
{
    tl_assert(!spool->is_working);
    spool->is_working = true;
    int64_t now_us = tl_clock->steady_us();
    if (age_due(spool) <= now_us) {
        tl_spool_retire(spool, active_of(spool));
    }
    if (!spool->has_maker && prepare_due(spool) <= now_us) {
        prepare(spool);
    }
    if (round_due(spool, now_us) <= now_us) {
        tl_spool_run_round(spool);
    }
    for (struct tl_spool_segment *done = find_settled(spool); done != NULL;
         done = find_settled(spool)) {
        tl_spool_close_segment(spool, done);
    }
    spool->is_working = false;
    tl_cond_broadcast(&spool->changed);
}

/* Whether times that are not running yet begin with the next write. */
static bool awaits_write(struct tl_spool *spool) TL_REQUIRES(spool->mu)
{
    const struct tl_spool_segment *active = active_of(spool);
    return active != NULL && ((spool->sync_interval_ms != 0 && active->dirty_us == 0) ||
                              (spool->segment_age_ms != 0 && active->first_us == 0));
}

static uint32_t ms_until(int64_t until_us, int64_t now_us)
{
    int64_t ms = (until_us - now_us) / 1000 + 1;
    return ms < 1 ? 1 : ms < 60000 ? (uint32_t)ms : 60000;
}

/*
 * A writer adds to `completed` and then looks at `attention`; here it is the other way round, all
 * seq_cst: at least one of the two sees what the other did. The writer signals under the lock.
 */
static void sleep_until(struct tl_spool *spool, int64_t due_us) TL_REQUIRES(spool->mu)
{
    int64_t now_us = tl_clock->steady_us();
    if (awaits_write(spool)) {
        (void)atomic_fetch_or_explicit(&spool->attention, TL_ATTENTION_ASLEEP,
                                       memory_order_seq_cst);
        due_us = min_us(due_us, next_due(spool, now_us));
    }
    if (due_us == NEVER) {
        tl_cond_wait(&spool->work, &spool->mu);
    } else if (due_us > now_us) {
        (void)tl_cond_wait_for(&spool->work, &spool->mu, ms_until(due_us, now_us)); /* or woken */
    }
    (void)atomic_fetch_and_explicit(&spool->attention, ~(uint32_t)TL_ATTENTION_ASLEEP,
                                    memory_order_relaxed);
}

static void *run_thread(void *ctx)
{
    struct tl_spool *spool = ctx;
    tl_mutex_lock(&spool->mu);
    while (!spool->is_stopping) {
        int64_t now_us = tl_clock->steady_us();
        int64_t due_us = next_due(spool, now_us);
        if (spool->is_working) {
            tl_cond_wait(&spool->changed,
                         &spool->mu); /* a writer, from before there was a thread */
        } else if (due_us <= now_us) {
            work(spool);
        } else {
            sleep_until(spool, due_us);
        }
    }
    tl_mutex_unlock(&spool->mu);
    return NULL;
}

static void *run_maker(void *ctx)
{
    struct tl_spool *spool = ctx;
    tl_mutex_lock(&spool->mu);
    while (!spool->is_stopping) {
        int64_t now_us = tl_clock->steady_us();
        int64_t due_us = prepare_due(spool);
        if (due_us <= now_us) {
            prepare(spool);
        } else if (due_us == NEVER) {
            tl_cond_wait(&spool->make, &spool->mu);
        } else {
            (void)tl_cond_wait_for(&spool->make, &spool->mu,
                                   ms_until(due_us, now_us)); /* or woken */
        }
    }
    tl_mutex_unlock(&spool->mu);
    return NULL;
}

void tl_spool_start_threads(struct tl_spool *spool)
{
    if (!spool->has_maker) {
        spool->has_maker =
            tl_thread_start(&spool->maker, "tally-segment", run_maker, spool) == TALLY_OK;
    }
    if (!spool->has_thread) {
        spool->has_thread =
            tl_thread_start(&spool->thread, "tally-spool", run_thread, spool) == TALLY_OK;
    }
}

static bool work_if_due(struct tl_spool *spool) TL_REQUIRES(spool->mu)
{
    int64_t now_us = tl_clock->steady_us();
    if (spool->is_working || next_due(spool, now_us) > now_us) {
        return false;
    }
    work(spool);
    return true;
}

void tl_spool_notify(struct tl_spool *spool)
{
    if (spool->has_maker && spool->wants_next) {
        tl_cond_signal(&spool->make);
    }
    if (spool->has_thread) {
        tl_cond_signal(&spool->work);
    } else {
        (void)work_if_due(spool); /* if nothing is, all is well */
    }
}

void tl_spool_wait(struct tl_spool *spool, int64_t until_us)
{
    if (!spool->has_thread && work_if_due(spool)) {
        return;
    }
    /* Without a thread nobody tells that something has become due. */
    int64_t now_us = tl_clock->steady_us();
    int64_t wake_us = spool->has_thread ? until_us : min_us(until_us, now_us + BUSY_US);
    (void)tl_cond_wait_for(&spool->changed, &spool->mu, ms_until(wake_us, now_us)); /* or changed */
}
