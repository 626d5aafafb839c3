/* The thread `sequence`: has or seeks the ledger's lock, and with it seals what is handed in. */
#include <stdio.h>

#include "base/clock.h"
#include "ledger/remote.h"

#define SEEK_US  100000  /* how often a follower tries for the lock: bounds a takeover */
#define RETRY_US 1000000 /* after a failure; up to 8 times as long after several */
#define AWAKE_US 1000000 /* after the last record it looks at the spool every POLL_MS */
#define POLL_MS  2
#define DOZE_MS  50 /* and after that so often, or when a writer of this process wakes it */
#define TICK_US \
    500000 /* how often it looks whether the epoch is over, when there is nothing to do */
#define CLOSE_US 5000000 /* a ledger being closed waits for its spool to be read so long */

/* Takes requests off the queue as long as they fit into one batch; all but events go alone. */
static struct tl_request *take_batch(struct tl_queue *queue, size_t *count_out)
{
    struct tl_request *first = queue->first;
    if (first == NULL) {
        return NULL;
    }
    struct tl_request *last = first;
    size_t count = first->count;
    if (first->kind == TL_REQUEST_EVENTS) {
        while (last->next != NULL && last->next->kind == TL_REQUEST_EVENTS &&
               count + last->next->count <= TL_BATCH_EVENTS_MAX) {
            last = last->next;
            count += last->count;
        }
    }
    queue->first = last->next;
    if (queue->first == NULL) {
        queue->last = NULL;
    }
    last->next = NULL;
    *count_out = count;
    return first;
}

/* Seals the requests together; entries of several callers are gathered first. */
static tally_status seal_events(struct tally_ledger *ledger, const struct tl_request *batch,
                                size_t count, struct tally_error *err)
{
    struct tl_sequencer *sequencer = ledger->role.sequencer;
    if (batch->next == NULL) {
        return tl_sequencer_append(sequencer, batch->entries, count, err);
    }
    struct tl_entry *gathered = ledger->role.entries;
    size_t at = 0;
    for (const struct tl_request *request = batch; request != NULL; request = request->next) {
        memcpy(gathered + at, request->entries, request->count * sizeof(*gathered));
        at += request->count;
    }
    return tl_sequencer_append(sequencer, gathered, count, err);
}

static tally_status work_off(struct tally_ledger *ledger, struct tl_request *batch, size_t count,
                             struct tally_error *err)
{
    struct tl_sequencer *sequencer = ledger->role.sequencer;
    switch (batch->kind) {
    case TL_REQUEST_EVENTS:
        break;
    case TL_REQUEST_CONTROL:
        return tl_sequencer_control(sequencer, batch->control, err);
    case TL_REQUEST_ACT:
        return tl_role_act(ledger, batch->act, &batch->seq, err);
    case TL_REQUEST_REDUCE:
        return tl_store_reduce(ledger->role.store, batch->reductions, batch->count, err);
    }
    return seal_events(ledger, batch, count, err);
}

/* Tells the callers; after this their requests are no longer ours. */
static void answer(struct tally_ledger *ledger, struct tl_request *batch, tally_status status,
                   const struct tally_error *error)
{
    tl_mutex_lock(&ledger->queue.mu);
    while (batch != NULL) {
        struct tl_request *next = batch->next;
        batch->status = status;
        batch->error = *error;
        batch->done = true;
        batch = next;
    }
    tl_cond_broadcast(&ledger->queue.done);
    tl_mutex_unlock(&ledger->queue.mu);
}

static void publish_size(struct tally_ledger *ledger)
{
    tl_mutex_lock(&ledger->state.mu);
    ledger->state.size = tl_sequencer_head(ledger->role.sequencer)->size;
    tl_cond_broadcast(&ledger->state.changed);
    tl_mutex_unlock(&ledger->state.mu);
}

static bool serve_requests(struct tally_ledger *ledger)
{
    size_t count = 0;
    tl_mutex_lock(&ledger->queue.mu);
    struct tl_request *batch = take_batch(&ledger->queue, &count);
    tl_mutex_unlock(&ledger->queue.mu);
    if (batch == NULL) {
        return false;
    }
    struct tally_error error = TALLY_ERROR_INIT;
    tally_status status = work_off(ledger, batch, count, &error);
    publish_size(ledger);
    answer(ledger, batch, status, &error);
    return true;
}

/* From now on requests are served, or no longer; those that wait when it ends get `status`. */
static void set_sequencing(struct tally_ledger *ledger, bool sequencing, tally_status status,
                           const struct tally_error *error)
{
    tl_mutex_lock(&ledger->queue.mu);
    ledger->queue.sequencing = sequencing;
    struct tl_request *left = sequencing ? NULL : ledger->queue.first;
    if (!sequencing) {
        ledger->queue.first = NULL;
        ledger->queue.last = NULL;
    }
    tl_mutex_unlock(&ledger->queue.mu);
    if (left != NULL) {
        answer(ledger, left, status, error);
    }
}

static int64_t pause_after(const struct tl_role *role)
{
    uint32_t doublings = role->failures < 4 ? role->failures : 4;
    return (int64_t)RETRY_US / 2 << doublings;
}

static void seek_role(struct tally_ledger *ledger)
{
    struct tl_role *role = &ledger->role;
    int64_t now = tl_clock->steady_us();
    if (now < role->try_again_us || tl_ledger_is_inherited(ledger)) {
        return;
    }
    struct tally_error error = TALLY_ERROR_INIT;
    bool elsewhere = false;
    tally_status status = tl_role_take(ledger, &elsewhere, &error);
    if (status == TALLY_OK) {
        role->failures = 0;
        tl_trouble_clear(ledger);
        if (ledger->remote == NULL) {
            set_sequencing(ledger, true, TALLY_OK, NULL);
        }
        return;
    }
    role->try_again_us = now + SEEK_US;
    if (elsewhere) {
        role->failures = 0;
        return;
    }
    role->failures++;
    role->try_again_us = now + pause_after(role);
    tl_trouble_note(ledger, status, &error);
}

/* A sequencer that refuses everything gives the lock back: another one, here or elsewhere, starts
 * from what is on disk. Who opened the ledger attended is told instead, for good. */
static void leave_broken_role(struct tally_ledger *ledger)
{
    tally_status broken = tl_sequencer_broken(ledger->role.sequencer);
    if (broken == TALLY_OK) {
        return;
    }
    struct tally_error error = TALLY_ERROR_INIT;
    (void)tl_fail(&error, broken, "the ledger stopped after an earlier failure; open it again");
    if (!ledger->unattended) {
        tl_mutex_lock(&ledger->queue.mu);
        ledger->queue.stopped = broken;
        ledger->queue.why = error;
        tl_mutex_unlock(&ledger->queue.mu);
    }
    set_sequencing(ledger, false, broken, &error);
    tl_role_drop(ledger, false);
    ledger->role.failures++;
    ledger->role.try_again_us =
        ledger->unattended ? tl_clock->steady_us() + pause_after(&ledger->role) : INT64_MAX;
    tl_trouble_note(ledger, broken, &error);
}

/* The one that records also records how the disk fares: it tells later why events are missing. */
static void look_at_disk(struct tally_ledger *ledger)
{
    struct tl_disk *disk = &ledger->disk;
    uint64_t free_bytes = 0;
    if (ledger->paths.memory ||
        !tl_disk_look(disk, ledger->paths.dir, &ledger->config, &free_bytes)) {
        return;
    }
    enum tl_disk_level level = tl_disk_level_now(disk);
    if (ledger->role.held && ledger->spool != NULL && level != disk->told) {
        char metadata[96];
        (void)snprintf(metadata, sizeof(metadata), "{\"free_bytes\":%llu,\"level\":\"%s\"}",
                       (unsigned long long)free_bytes, tl_disk_level_name(level));
        if (tl_act_spool(ledger, "tally.disk", metadata, NULL) == TALLY_OK) {
            disk->told = level;
        }
    }
}

/* Closes an epoch whose time is over, also while nothing happens. */
static void keep_epoch(struct tally_ledger *ledger)
{
    struct tl_role *role = &ledger->role;
    int64_t now = tl_clock->steady_us();
    if (now < role->tick_again_us) {
        return;
    }
    struct tally_error error = TALLY_ERROR_INIT;
    uint64_t size = tl_sequencer_head(role->sequencer)->size;
    tally_status status = tl_sequencer_tick(role->sequencer, &error);
    role->tick_again_us = now + (status == TALLY_OK ? TICK_US : RETRY_US);
    if (status != TALLY_OK) {
        tl_trouble_note(ledger, status, &error);
    } else if (role->tick_failed) {
        tl_trouble_clear(ledger);
    }
    role->tick_failed = status != TALLY_OK;
    if (tl_sequencer_head(role->sequencer)->size != size) {
        publish_size(ledger);
    }
}

static bool serve(struct tally_ledger *ledger)
{
    look_at_disk(ledger);
    if (!ledger->role.held) {
        seek_role(ledger);
    }
    bool worked = false;
    if (ledger->role.held) {
        worked = serve_requests(ledger);
        bool drained = ledger->role.drain != NULL && tl_drain_serve(ledger);
        if (drained && ledger->remote == NULL) {
            publish_size(ledger);
        }
        worked |= drained;
        if (!worked && ledger->remote == NULL) {
            keep_epoch(ledger);
        }
    }
    tl_losses_pass_on(ledger, false);
    if (ledger->role.held && ledger->remote == NULL) {
        leave_broken_role(ledger);
    }
    return worked;
}

static bool must_stop(struct tally_ledger *ledger)
{
    tl_mutex_lock(&ledger->queue.mu);
    bool stop = ledger->queue.stop && ledger->queue.first == NULL;
    tl_mutex_unlock(&ledger->queue.mu);
    return stop;
}

/* Sleeps until there may be work. */
static void wait_for_work(struct tally_ledger *ledger, bool awake)
{
    struct tl_queue *queue = &ledger->queue;
    if (!awake && ledger->spool != NULL) {
        tl_spool_arm(ledger->spool);
    }
    tl_mutex_lock(&queue->mu);
    if (queue->first == NULL && !queue->wanted && !queue->stop) {
        if (ledger->paths.memory) {
            (void)tl_cond_wait_for(&queue->work, &queue->mu, TICK_US / 1000);
        } else {
            (void)tl_cond_wait_for(&queue->work, &queue->mu, awake ? POLL_MS : DOZE_MS);
        }
    }
    queue->wanted = false;
    tl_mutex_unlock(&queue->mu);
}

static void *run_sequence(void *ctx)
{
    struct tally_ledger *ledger = ctx;
    int64_t worked_us = 0;
    while (!must_stop(ledger)) {
        if (serve(ledger)) {
            worked_us = tl_clock->steady_us();
            continue;
        }
        wait_for_work(ledger, tl_clock->steady_us() - worked_us < AWAKE_US);
    }
    return NULL;
}

tally_status tl_sequence_start(struct tally_ledger *ledger, struct tally_error *err)
{
    ledger->queue.sequencing = ledger->role.held && ledger->remote == NULL;
    ledger->role.reread = true;
    if (tl_thread_start(&ledger->sequence_thread, "tally-sequence", run_sequence, ledger) !=
        TALLY_OK) {
        return tl_fail(err, TALLY_ENOMEM, "cannot start the sequencer's thread");
    }
    ledger->sequence_runs = true;
    return TALLY_OK;
}

static void nap(struct tally_ledger *ledger)
{
    tl_mutex_lock(&ledger->queue.mu);
    (void)tl_cond_wait_for(&ledger->queue.work, &ledger->queue.mu, POLL_MS);
    tl_mutex_unlock(&ledger->queue.mu);
}

/* Then there is no use in waiting for it. */
static bool is_server_away(const struct tally_ledger *ledger)
{
    return ledger->remote != NULL && ledger->role.failures > 0;
}

/* Records what this process has left in the spool, if it is the sequencer; the thread has ended. What
 * is left after that stays where it is, for the next one. */
static void drain_own_spool(struct tally_ledger *ledger, int64_t until)
{
    while (ledger->role.held && !is_server_away(ledger) && !tl_spool_is_drained(ledger->spool) &&
           tl_clock->steady_us() < until) {
        tl_spool_rotate(ledger->spool); /* what is recorded may bring reports along */
        if (!serve(ledger)) {
            nap(ledger);
        }
    }
}

void tl_sequence_stop(struct tally_ledger *ledger)
{
    int64_t until = tl_clock->steady_us() + CLOSE_US;
    if (ledger->remote != NULL) {
        tl_counter_set(&ledger->remote->give_up_us, (uint64_t)until);
    }
    if (ledger->sequence_runs) {
        tl_mutex_lock(&ledger->queue.mu);
        ledger->queue.stop = true;
        tl_cond_broadcast(&ledger->queue.work);
        tl_mutex_unlock(&ledger->queue.mu);
        tl_thread_join(ledger->sequence_thread);
        ledger->sequence_runs = false;
    }
    if (ledger->spool != NULL) {
        drain_own_spool(ledger, until);
        tl_spool_lift(ledger->spool); /* what was lost is told, even if nothing else fits */
        tl_losses_pass_on(ledger, true);
    }
}

void tl_sequence_wake(struct tally_ledger *ledger)
{
    tl_mutex_lock(&ledger->queue.mu);
    ledger->queue.wanted = true;
    tl_cond_signal(&ledger->queue.work);
    tl_mutex_unlock(&ledger->queue.mu);
}

bool tl_queue_is_served(struct tally_ledger *ledger)
{
    tl_mutex_lock(&ledger->queue.mu);
    bool is_served = ledger->queue.sequencing;
    tl_mutex_unlock(&ledger->queue.mu);
    return is_served;
}

bool tl_queue_run(struct tally_ledger *ledger, struct tl_request *request, tally_status *status_out,
                  struct tally_error *err)
{
    struct tl_queue *queue = &ledger->queue;
    tl_mutex_lock(&queue->mu);
    if (queue->stopped != TALLY_OK) {
        *status_out = queue->stopped;
        request->error = queue->why;
    } else if (!queue->sequencing) {
        tl_mutex_unlock(&queue->mu);
        return false;
    } else {
        if (queue->last == NULL) {
            queue->first = request;
        } else {
            queue->last->next = request;
        }
        queue->last = request;
        tl_cond_signal(&queue->work);
        while (!request->done) {
            tl_cond_wait(&queue->done, &queue->mu);
        }
        *status_out = request->status;
    }
    tl_mutex_unlock(&queue->mu);
    if (*status_out != TALLY_OK && err != NULL && err->status == TALLY_OK) {
        *err = request->error;
    }
    return true;
}
