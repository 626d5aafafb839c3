/* The way from callers to the sequencer: requests wait in a list, one thread takes them in batches. */
#include "ledger/ledger.h"

/* Takes requests off the queue as long as they fit into one batch; control leaves go alone. */
static struct tl_request *take_batch(struct tl_queue *queue, size_t *count_out)
{
    struct tl_request *first = queue->first;
    struct tl_request *last = first;
    size_t count = first->count;
    if (first->control == NULL) {
        while (last->next != NULL && last->next->control == NULL &&
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

static struct tl_request *wait_for_batch(struct tl_queue *queue, size_t *count_out)
{
    struct tl_request *batch = NULL;
    tl_mutex_lock(&queue->mu);
    while (queue->first == NULL && !queue->stop) {
        tl_cond_wait(&queue->work, &queue->mu);
    }
    if (queue->first != NULL) {
        batch = take_batch(queue, count_out);
    }
    tl_mutex_unlock(&queue->mu);
    return batch;
}

/* Seals the requests together; entries of several callers are gathered first. */
static tally_status seal(struct tally_ledger *ledger, struct tl_request *batch, size_t count,
                         struct tl_entry *gathered, struct tally_error *err)
{
    if (batch->control != NULL) {
        return tl_sequencer_control(ledger->sequencer, batch->control, err);
    }
    if (batch->next == NULL) {
        return tl_sequencer_append(ledger->sequencer, batch->entries, count, err);
    }
    size_t at = 0;
    for (struct tl_request *request = batch; request != NULL; request = request->next) {
        memcpy(gathered + at, request->entries, request->count * sizeof(*gathered));
        at += request->count;
    }
    return tl_sequencer_append(ledger->sequencer, gathered, count, err);
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
    ledger->state.size = tl_sequencer_head(ledger->sequencer)->size;
    tl_cond_broadcast(&ledger->state.changed);
    tl_mutex_unlock(&ledger->state.mu);
}

static void *run_sequencer(void *ctx)
{
    struct tally_ledger *ledger = ctx;
    struct tl_entry *gathered = tl_alloc_array(TL_BATCH_EVENTS_MAX, sizeof(*gathered));
    struct tl_request *batch = NULL;
    size_t count = 0;
    while ((batch = wait_for_batch(&ledger->queue, &count)) != NULL) {
        struct tally_error error = TALLY_ERROR_INIT;
        tally_status status = gathered == NULL ? tl_fail(&error, TALLY_ENOMEM, "out of memory")
                                               : seal(ledger, batch, count, gathered, &error);
        publish_size(ledger);
        answer(ledger, batch, status, &error);
    }
    tl_free(gathered);
    return NULL;
}

tally_status tl_queue_start(struct tally_ledger *ledger, struct tally_error *err)
{
    if (tl_thread_start(&ledger->sequence_thread, "tally-sequence", run_sequencer, ledger) !=
        TALLY_OK) {
        return tl_fail(err, TALLY_ENOMEM, "cannot start the sequencer's thread");
    }
    ledger->sequence_runs = true;
    return TALLY_OK;
}

void tl_queue_stop(struct tally_ledger *ledger)
{
    if (!ledger->sequence_runs) {
        return;
    }
    tl_mutex_lock(&ledger->queue.mu);
    ledger->queue.stop = true;
    tl_cond_broadcast(&ledger->queue.work);
    tl_mutex_unlock(&ledger->queue.mu);
    tl_thread_join(ledger->sequence_thread);
    ledger->sequence_runs = false;
}

tally_status tl_queue_run(struct tally_ledger *ledger, struct tl_request *request,
                          struct tally_error *err)
{
    struct tl_queue *queue = &ledger->queue;
    tl_mutex_lock(&queue->mu);
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
    tl_mutex_unlock(&queue->mu);
    if (request->status != TALLY_OK && err != NULL && err->status == TALLY_OK) {
        *err = request->error;
    }
    return request->status;
}
