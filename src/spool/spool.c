#include "spool/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/clock.h"
#include "base/io.h"
#include "spool/spool_impl.h"

#define SEGMENT_BYTES_MIN  ((uint32_t)1 << 16)
#define SEGMENT_BYTES_MAX  ((uint32_t)1 << 28)
#define SEGMENT_BYTES_UNIT UINT32_C(4096)

static int disable_cancel(void)
{
    int before;
    tl_assert(pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before) == 0);
    return before;
}

static void restore_cancel(int before)
{
    int ours;
    tl_assert(pthread_setcancelstate(before, &ours) == 0);
}

/* Runs before fork(): no descriptor is being opened or closed, and all is as the locks leave it. */
static void prepare_fork(void *ctx) TL_NO_ANALYSIS
{
    struct tl_spool *spool = ctx;
    tl_mutex_lock(&spool->files);
    tl_mutex_lock(&spool->mu);
}

static void fork_in_parent(void *ctx) TL_NO_ANALYSIS
{
    struct tl_spool *spool = ctx;
    tl_mutex_unlock(&spool->mu);
    tl_mutex_unlock(&spool->files);
}

static tally_status init_locks(struct tl_spool *spool)
{
    TL_TRY(tl_mutex_init(&spool->files));
    TL_TRY(tl_mutex_init(&spool->mu));
    TL_TRY(tl_cond_init(&spool->work));
    TL_TRY(tl_cond_init(&spool->make));
    return tl_cond_init(&spool->changed);
}

/* Begins anew: no segment, no thread, nothing counted. Relaxed: there is one thread. */
static void forget(struct tl_spool *spool) TL_NO_ANALYSIS
{
    atomic_store_explicit(&spool->active, NULL, memory_order_relaxed);
    atomic_store_explicit(&spool->attention, 0, memory_order_relaxed);
    for (size_t i = 0; i < TL_SPOOL_SLOTS; i++) {
        struct tl_spool_segment *segment = &spool->slots[i];
        if (segment->fd >= 0) {
            /* No LOCK_UN here: the lock is the parent's. */
            (void)tl_io->close(segment->fd); /* another process writes to it */
            segment->fd = -1;
        }
        tl_spool_free_slot(segment);
    }
    spool->has_thread = false;
    spool->has_maker = false;
    spool->is_stopping = false;
    spool->is_working = false;
    spool->is_making = false;
    spool->is_pruning = false;
    spool->wants_next = false;
    spool->next_make_us = 0;
    spool->refused_until_us = 0;
    spool->round_wanted = 0;
    spool->round_begun = 0;
    spool->round_done = 0;
    spool->round_synced = 0;
    spool->hold_until_us = 0;
    spool->hold_ms = 0;
    spool->has_lost = false;
    spool->closed_count = 0;
    spool->counts = (struct tl_spool_counts){ 0 };
}

static void fork_in_child(void *ctx) TL_NO_ANALYSIS
{
    struct tl_spool *spool = ctx;
    forget(spool);
    tl_mutex_renew(&spool->mu);
    tl_mutex_unlock(&spool->files);
    /* Locks count those who wait, and these stayed behind. */
    tl_assert(init_locks(spool) == TALLY_OK); /* takes no memory on Linux */
}

static tally_status check_options(const struct tl_spool_options *options, struct tally_error *err)
{
    if (options->segment_bytes < SEGMENT_BYTES_MIN || options->segment_bytes > SEGMENT_BYTES_MAX) {
        return tl_fail(err, TALLY_EINVAL, "a spool segment has 64 KiB to 256 MiB, not %u bytes",
                       options->segment_bytes);
    }
    if (options->bytes_max == 0) {
        return tl_fail(err, TALLY_EINVAL, "a spool of no bytes holds nothing");
    }
    return TALLY_OK;
}

static void set_sizes(struct tl_spool *spool, const struct tl_spool_options *options)
{
    uint32_t size = options->segment_bytes;
    uint32_t least = TL_SEGMENT_HEADER_LEN + tl_spool_span(TL_SPOOL_TEXT_MAX);
    size = size < least ? least : size;
    size = (size + SEGMENT_BYTES_UNIT - 1) / SEGMENT_BYTES_UNIT * SEGMENT_BYTES_UNIT;
    uint64_t segments_max = options->bytes_max / size;
    spool->size = size;
    spool->half = size / 2;
    spool->segments_max = segments_max < 1                     ? 1
                          : segments_max < TL_SPOOL_CLOSED_MAX ? (uint32_t)segments_max
                                                               : TL_SPOOL_CLOSED_MAX;
}

static tally_status allocate(struct tl_spool *spool, const char *dir)
{
    spool->dir = tl_strdup(dir);
    if (spool->dir == NULL) {
        return TALLY_ENOMEM;
    }
    size_t path_size = tl_spool_path_size(spool);
    spool->copy_len = 2 * (size_t)tl_spool_span(TL_SPOOL_TEXT_MAX);
    spool->slots = tl_alloc_array(TL_SPOOL_SLOTS, sizeof(spool->slots[0]));
    spool->paths = tl_alloc_array(2 * (size_t)TL_SPOOL_SLOTS + 1, path_size);
    spool->copy = tl_alloc_array(spool->copy_len, 1);
    /* Copies of segments that cannot be synced come on top. */
    spool->closed = tl_alloc_array(TL_SPOOL_CLOSED_MAX + TL_SPOOL_SLOTS, TL_SPOOL_ID_LEN);
    if (spool->slots == NULL || spool->paths == NULL || spool->copy == NULL ||
        spool->closed == NULL) {
        return TALLY_ENOMEM;
    }
    for (size_t i = 0; i < TL_SPOOL_SLOTS; i++) {
        struct tl_spool_segment *segment = &spool->slots[i];
        segment->path = spool->paths + 2 * i * path_size;
        segment->path_new = segment->path + path_size;
        segment->name = segment->path + strlen(dir) + 1;
        segment->fd = -1;
    }
    spool->closed_path = spool->paths + 2 * (size_t)TL_SPOOL_SLOTS * path_size;
    return TALLY_OK;
}

static void release_memory(struct tl_spool *spool)
{
    tl_io_closep(&spool->dir_fd);
    tl_free(spool->closed);
    tl_free(spool->copy);
    tl_free(spool->paths);
    tl_free(spool->slots);
    tl_free(spool->dir);
    tl_free(spool);
}

static void release_locks(struct tl_spool *spool)
{
    tl_cond_release(&spool->changed);
    tl_cond_release(&spool->make);
    tl_cond_release(&spool->work);
    tl_mutex_release(&spool->mu);
    tl_mutex_release(&spool->files);
}

static tally_status open_parts(struct tl_spool *spool, const struct tl_spool_options *options,
                               struct tally_error *err) TL_NO_ANALYSIS /* nobody else knows it */
{
    if (allocate(spool, options->dir) != TALLY_OK) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a spool");
    }
    spool->dir_fd = tl_io->open(spool->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (spool->dir_fd < 0) {
        return tl_fail_errno(err, TALLY_EIO, errno, "cannot open the spool '%s'", spool->dir);
    }
    set_sizes(spool, options);
    spool->sync_interval_ms = options->sync_interval_ms;
    spool->segment_age_ms = options->segment_age_ms;
    spool->on_write = options->on_write;
    spool->ctx = options->ctx;
    forget(spool);
    tl_spool_files_sweep(spool);
    tl_assert(init_locks(spool) == TALLY_OK); /* takes no memory on Linux */
    return TALLY_OK;
}

tally_status tl_spool_open(struct tl_spool **spool_out, const struct tl_spool_options *options,
                           struct tally_error *err)
{
    TL_TRY(check_options(options, err));
    struct tl_spool *spool = tl_alloc_array(1, sizeof(*spool));
    if (spool == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a spool");
    }
    spool->dir_fd = -1;
    int cancel = disable_cancel();
    tally_status status = open_parts(spool, options, err);
    if (status == TALLY_OK) {
        spool->watch = (struct tl_fork_watch){
            .prepare = prepare_fork, .parent = fork_in_parent, .child = fork_in_child, .ctx = spool
        };
        tl_fork_watch(&spool->watch);
        *spool_out = spool;
    } else {
        release_memory(spool);
    }
    restore_cancel(cancel);
    return status;
}

static void stop_threads(struct tl_spool *spool)
{
    tl_mutex_lock(&spool->mu);
    spool->is_stopping = true;
    bool has_thread = spool->has_thread;
    bool has_maker = spool->has_maker;
    tl_cond_signal(&spool->work);
    tl_cond_signal(&spool->make);
    tl_mutex_unlock(&spool->mu);
    if (has_thread) {
        tl_thread_join(spool->thread);
    }
    if (has_maker) {
        tl_thread_join(spool->maker);
    }
}

/* Syncs and closes; what cannot be synced is left to the reader as it is. */
static void close_segments(struct tl_spool *spool)
{
    tl_mutex_lock(&spool->mu);
    struct tl_spool_segment *ready = tl_spool_find_use(spool, TL_SLOT_READY);
    struct tl_spool_segment *active =
        atomic_load_explicit(&spool->active, memory_order_relaxed); /* written under mu */
    if (active != NULL) {
        tl_spool_retire(spool, active);
    }
    if (ready != NULL) {
        tl_spool_activate(spool, ready);
        tl_spool_retire(spool, ready);
    }
    spool->hold_until_us = 0;
    tl_spool_run_round(spool);
    for (size_t i = 0; i < TL_SPOOL_SLOTS; i++) {
        if (spool->slots[i].use == TL_SLOT_RETIRED) {
            tl_spool_close_segment(spool, &spool->slots[i]);
        }
    }
    tl_mutex_unlock(&spool->mu);
}

void tl_spool_close(struct tl_spool *spool)
{
    if (spool == NULL) {
        return;
    }
    int cancel = disable_cancel();
    stop_threads(spool);
    close_segments(spool);
    tl_fork_unwatch(&spool->watch);
    release_locks(spool);
    release_memory(spool);
    restore_cancel(cancel);
}

/* Whether anything may be unsynced: if not, there is no thread to ask. */
static bool has_segments(struct tl_spool *spool) TL_REQUIRES(spool->mu)
{
    return tl_spool_find_use(spool, TL_SLOT_ACTIVE) != NULL ||
           tl_spool_find_use(spool, TL_SLOT_RETIRED) != NULL;
}

static tally_status sync_all(struct tl_spool *spool, int64_t until_us, struct tally_error *err)
    TL_REQUIRES(spool->mu)
{
    if (has_segments(spool)) {
        uint64_t round = tl_spool_want_round(spool);
        tl_spool_notify(spool);
        while (spool->round_synced < round && spool->round_done < round) {
            if (tl_clock->steady_us() >= until_us) {
                return tl_fail(err, TALLY_EBUSY, "the spool was not synced in time");
            }
            tl_spool_wait(spool, until_us);
        }
        if (spool->round_synced < round) {
            spool->has_lost = false; /* told hereby */
            return tl_fail_errno(err, TALLY_EIO, spool->round_errno, "cannot sync the spool");
        }
    }
    if (spool->has_lost) {
        spool->has_lost = false;
        return tl_fail_errno(err, TALLY_EIO, spool->round_errno,
                             "a part of the spool could not be synced");
    }
    return TALLY_OK;
}

tally_status tl_spool_sync(struct tl_spool *spool, int64_t until_us, struct tally_error *err)
{
    int cancel = disable_cancel();
    tl_mutex_lock(&spool->mu);
    tally_status status = sync_all(spool, until_us, err);
    tl_mutex_unlock(&spool->mu);
    restore_cancel(cancel);
    return status;
}

/* Of the active segment: records, including those that are being written. */
static uint32_t active_count(struct tl_spool *spool) TL_REQUIRES(spool->mu)
{
    struct tl_spool_segment *active = atomic_load_explicit(&spool->active, memory_order_relaxed);
    return active == NULL
               ? 0
               : tl_state_count(atomic_load_explicit(&active->state, memory_order_relaxed));
}

void tl_spool_rotate(struct tl_spool *spool)
{
    int cancel = disable_cancel();
    tl_mutex_lock(&spool->mu);
    if (active_count(spool) > 0) {
        tl_spool_retire(spool, tl_spool_find_use(spool, TL_SLOT_ACTIVE));
        tl_spool_notify(spool);
    }
    tl_mutex_unlock(&spool->mu);
    restore_cancel(cancel);
}

void tl_spool_lift(struct tl_spool *spool)
{
    tl_mutex_lock(&spool->mu);
    spool->segments_max += spool->segments_max < TL_SPOOL_CLOSED_MAX;
    tl_mutex_unlock(&spool->mu);
}

static bool is_drained(struct tl_spool *spool, bool passes_over_active)
{
    int cancel = disable_cancel();
    tl_mutex_lock(&spool->mu);
    tl_spool_prune(spool);
    bool is_drained = spool->closed_count == 0 &&
                      (passes_over_active || active_count(spool) == 0) &&
                      tl_spool_find_use(spool, TL_SLOT_RETIRED) == NULL;
    tl_mutex_unlock(&spool->mu);
    restore_cancel(cancel);
    return is_drained;
}

bool tl_spool_is_drained(struct tl_spool *spool)
{
    return is_drained(spool, false);
}

bool tl_spool_is_read(struct tl_spool *spool)
{
    return is_drained(spool, true);
}

/* Seq_cst: whoever arms and then finds a record missing will be called by its writer, who adds to
 * `completed` and then looks here. */
void tl_spool_arm(struct tl_spool *spool)
{
    (void)atomic_fetch_or_explicit(&spool->attention, TL_ATTENTION_ARMED, memory_order_seq_cst);
}

void tl_spool_count(struct tl_spool *spool, struct tl_spool_counts *counts_out)
{
    int cancel = disable_cancel();
    tl_mutex_lock(&spool->mu);
    tl_spool_prune(spool);
    struct tl_spool_counts counts = spool->counts;
    counts.bytes = (uint64_t)tl_spool_file_count(spool) * spool->size;
    for (size_t i = 0; i < TL_SPOOL_SLOTS; i++) {
        const struct tl_spool_segment *segment = &spool->slots[i];
        if (segment->use == TL_SLOT_ACTIVE || segment->use == TL_SLOT_RETIRED) {
            /* Relaxed: a number for people. One that failed may not be complete yet. */
            uint32_t done = atomic_load_explicit(&segment->completed, memory_order_relaxed);
            counts.records += done > segment->failed ? done - segment->failed : 0;
        }
    }
    tl_mutex_unlock(&spool->mu);
    *counts_out = counts;
    restore_cancel(cancel);
}
