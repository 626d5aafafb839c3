/* Feeds the search index: reads records behind the sequencer and enters their terms. */
#include <time.h>

#include "base/clock.h"
#include "ledger/ledger.h"

#define CHUNK_RECORDS   65536u
#define CHUNK_TERMS     ((size_t)48 << 20) /* bytes; with these a chunk is full */
#define CHUNK_TERMS_MAX ((size_t)64 << 20) /* and so there is room for any record's */
#define POLL_NS         5000000
#define RETRY_MS        1000u
#define PASS_US         10000 /* a pass costs something, even over one record: so often at most, */
#define PASS_RECORDS    4096u /* unless there are so many */

/* One chunk on its way into the index. */
struct chunk {
    const struct tl_config *config;
    struct tl_arena arena;
    struct tl_event_view view;
    struct tl_buf terms;
    struct tl_index_entry *entries;
    size_t *offsets; /* of each entry's terms, as the buffer moves while it grows */
    size_t count;
    size_t room; /* records */
    bool is_volatile;
};

/* For `records`, as far as so many go into one. */
static tally_status chunk_init(struct chunk *chunk, const struct tl_config *config,
                               uint64_t records, struct tally_error *err)
{
    chunk->config = config;
    chunk->room = records < CHUNK_RECORDS ? (size_t)records : CHUNK_RECORDS;
    tl_arena_init(&chunk->arena, (size_t)32 << 20);
    tl_buf_init(&chunk->terms, CHUNK_TERMS_MAX);
    chunk->entries = tl_alloc_array(chunk->room, sizeof(*chunk->entries));
    chunk->offsets = tl_alloc_array(chunk->room, sizeof(*chunk->offsets));
    return chunk->entries != NULL && chunk->offsets != NULL
               ? TALLY_OK
               : tl_fail(err, TALLY_ENOMEM, "cannot allocate what the index needs");
}

static void chunk_freep(struct chunk **chunk_ptr)
{
    struct chunk *chunk = *chunk_ptr;
    if (chunk != NULL) {
        tl_arena_release(&chunk->arena);
        tl_buf_release(&chunk->terms);
        tl_free(chunk->entries);
        tl_free(chunk->offsets);
        tl_free(chunk);
    }
    *chunk_ptr = NULL;
}

static tally_status add_record(void *ctx, const struct tally_record *record)
{
    struct chunk *chunk = ctx;
    struct tl_index_entry *entry = &chunk->entries[chunk->count];
    struct tl_leaf leaf;
    struct tl_record_facts facts;
    const struct tl_event_view *view = NULL;
    size_t start = chunk->terms.len;
    int64_t recorded_us = 0;
    /* A record that does not parse has no terms: verification is who says what is wrong with it. */
    if (tl_leaf_decode(&leaf, record->leaf, record->leaf_len, NULL) == TALLY_OK) {
        recorded_us = leaf.time_us;
        tl_arena_reset(&chunk->arena);
        if (record->event != NULL) {
            tally_status status =
                tl_event_view_read(&chunk->view, &chunk->arena, record->event, record->event_len);
            if (status == TALLY_ENOMEM) {
                return status;
            }
            view = status == TALLY_OK ? &chunk->view : NULL;
        }
        tl_record_facts_of(&facts, record, &leaf, chunk->is_volatile);
        tl_terms_add(&chunk->terms, &facts, view, chunk->config->text_members,
                     chunk->config->text_member_count);
        TL_TRY(tl_buf_status(&chunk->terms));
    }
    *entry = (struct tl_index_entry){ .seq = record->seq,
                                      .occurred_us = view != NULL ? view->occurred_us : recorded_us,
                                      .terms = { .len = chunk->terms.len - start } };
    chunk->offsets[chunk->count++] = start;
    return chunk->terms.len < CHUNK_TERMS ? TALLY_OK : TALLY_ECANCELED;
}

/* Enters the records from `first` on, at most one chunk; chunk->count says how many. */
static tally_status enter(struct chunk *chunk, struct tl_index *index, struct tally_store *store,
                          uint64_t first, uint64_t end, struct tally_error *err)
{
    end = end - first > chunk->room ? first + chunk->room : end;
    chunk->count = 0;
    tl_buf_clear(&chunk->terms);
    tally_status status = tl_store_scan(store, first, end, add_record, chunk, err);
    if (status != TALLY_OK && status != TALLY_ECANCELED) {
        return tl_fail(err, status, "cannot read records for the index");
    }
    end = status == TALLY_ECANCELED ? first + chunk->count : end;
    for (size_t i = 0; i < chunk->count; i++) {
        struct tl_index_entry *entry = &chunk->entries[i];
        if (entry->seq != first + i) {
            return tl_fail(err, TALLY_ECORRUPT, "record %llu is missing; run 'tally verify'",
                           (unsigned long long)first + i);
        }
        entry->terms.text = tl_buf_str(&chunk->terms).text + chunk->offsets[i];
    }
    if (chunk->count != end - first) {
        return tl_fail(err, TALLY_ECORRUPT, "record %llu is missing; run 'tally verify'",
                       (unsigned long long)first + chunk->count);
    }
    return tl_index_add(index, chunk->entries, chunk->count, err);
}

tally_status tl_index_fill(struct tl_index *index, struct tally_store *store, uint64_t end,
                           const struct tl_config *config, tally_progress_fn *progress, void *ctx,
                           struct tally_error *err)
{
    TL_CLEANUP(chunk_freep) struct chunk *chunk = tl_alloc_array(1, sizeof(*chunk));
    if (chunk == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate what the index needs");
    }
    uint64_t position = 0;
    TL_TRY(tl_index_position(index, &position, err));
    if (position >= end) {
        return TALLY_OK;
    }
    TL_TRY(chunk_init(chunk, config, end - position, err));
    chunk->is_volatile = (tl_store_caps(store) & TALLY_STORE_VOLATILE) != 0;
    while (position < end) {
        TL_TRY(enter(chunk, index, store, position, end, err));
        position += chunk->count;
        if (progress != NULL && progress(ctx, position, end) != 0) {
            return tl_fail(err, TALLY_ECANCELED, "stopped at record %llu",
                           (unsigned long long)position);
        }
    }
    return TALLY_OK;
}

/* Writes what the chunk has. The terms do not move any more. */
static tally_status rewrite_chunk(struct chunk *chunk, struct tl_index *index,
                                  struct tally_error *err)
{
    for (size_t i = 0; i < chunk->count; i++) {
        chunk->entries[i].terms.text = tl_buf_str(&chunk->terms).text + chunk->offsets[i];
    }
    tally_status status =
        chunk->count == 0 ? TALLY_OK : tl_index_rewrite(index, chunk->entries, chunk->count, err);
    chunk->count = 0;
    tl_buf_clear(&chunk->terms);
    return status;
}

static tally_status redo_range(struct chunk *chunk, struct tl_index *index,
                               struct tally_store *store, struct tl_range range,
                               struct tally_error *err)
{
    while (range.first <= range.last) {
        uint64_t room = chunk->room - chunk->count;
        uint64_t end = range.last - range.first < room ? range.last + 1 : range.first + room;
        size_t before = chunk->count;
        tally_status status = tl_store_scan(store, range.first, end, add_record, chunk, err);
        bool full = status == TALLY_ECANCELED || chunk->count == chunk->room;
        if (status != TALLY_OK && status != TALLY_ECANCELED) {
            return tl_fail(err, status, "cannot read records for the index");
        }
        range.first = status == TALLY_ECANCELED ? chunk->entries[chunk->count - 1].seq + 1 : end;
        if (chunk->count == before && !full) {
            return TALLY_OK; /* there are no such records */
        }
        if (full) {
            TL_TRY(rewrite_chunk(chunk, index, err));
        }
    }
    return TALLY_OK;
}

tally_status tl_index_redo(struct tl_index *index, struct tally_store *store,
                           const struct tl_range *ranges, size_t count,
                           const struct tl_config *config, struct tally_error *err)
{
    TL_CLEANUP(chunk_freep) struct chunk *chunk = tl_alloc_array(1, sizeof(*chunk));
    if (chunk == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate what the index needs");
    }
    TL_TRY(chunk_init(chunk, config, CHUNK_RECORDS, err));
    chunk->is_volatile = (tl_store_caps(store) & TALLY_STORE_VOLATILE) != 0;
    for (size_t i = 0; i < count; i++) {
        TL_TRY(redo_range(chunk, index, store, ranges[i], err));
    }
    return rewrite_chunk(chunk, index, err);
}

/* What the thread owns. */
struct indexer {
    struct tally_ledger *ledger;
    struct tally_store *store;
    struct tl_index *index;
};

static void indexer_freep(struct indexer **indexer)
{
    if (*indexer != NULL) {
        tl_index_close((*indexer)->index);
        tl_store_close((*indexer)->store);
        tl_free(*indexer);
    }
    *indexer = NULL;
}

/* Called after each chunk: lets readers know, and says whether to stop. */
static int report_position(void *ctx, uint64_t done, uint64_t total)
{
    (void)total;
    struct tally_ledger *ledger = ctx;
    tl_mutex_lock(&ledger->state.mu);
    ledger->state.indexed = done;
    ledger->state.index_failed = false;
    bool stop = ledger->state.index_stop;
    tl_cond_broadcast(&ledger->state.changed);
    tl_mutex_unlock(&ledger->state.mu);
    return stop ? 1 : 0;
}

/* Waits for records that are not indexed, and for more of them if the last pass was a moment ago;
 * returns the end of them, or 0 to stop. */
static uint64_t wait_for_records(struct tally_ledger *ledger, int64_t last_us)
{
    struct tl_state *state = &ledger->state;
    tl_mutex_lock(&state->mu);
    while (!state->index_stop && state->indexed >= state->size) {
        tl_cond_wait(&state->changed, &state->mu);
    }
    int64_t left_us = last_us + PASS_US - tl_clock->steady_us();
    if (left_us > 0 && left_us <= PASS_US && !state->index_stop &&
        state->size - state->indexed < PASS_RECORDS) {
        const struct timespec pause = { .tv_nsec = (long)left_us * 1000 };
        tl_mutex_unlock(&state->mu);
        (void)nanosleep(&pause, NULL); /* a signal only shortens it */
        tl_mutex_lock(&state->mu);
    }
    uint64_t end = state->index_stop ? 0 : state->size;
    tl_mutex_unlock(&state->mu);
    return end;
}

static void report_failure(struct tally_ledger *ledger, const struct tally_error *error)
{
    struct tl_state *state = &ledger->state;
    tl_mutex_lock(&state->mu);
    state->index_failed = true;
    state->index_error = *error;
    tl_cond_broadcast(&state->changed);
    if (!state->index_stop) {
        /* A full disk may get room again: try later. Either way nobody waits for it meanwhile. */
        (void)tl_cond_wait_for(&state->changed, &state->mu, RETRY_MS);
    }
    tl_mutex_unlock(&state->mu);
}

static void *run_indexer(void *ctx)
{
    TL_CLEANUP(indexer_freep) struct indexer *indexer = ctx;
    struct tally_ledger *ledger = indexer->ledger;
    int64_t last_us = INT64_MIN / 2; /* when the last pass began */
    uint64_t end = 0;
    while ((end = wait_for_records(ledger, last_us)) > 0) {
        struct tally_error error = TALLY_ERROR_INIT;
        last_us = tl_clock->steady_us();
        tally_status status = tl_index_fill(indexer->index, indexer->store, end, &ledger->config,
                                            report_position, ledger, &error);
        if (status != TALLY_OK && status != TALLY_ECANCELED) {
            report_failure(ledger, &error);
        }
    }
    return NULL;
}

/* An index ahead of its ledger is of another state of it: start over. */
static tally_status open_fitting(struct indexer *indexer, uint64_t size, uint64_t *position_out,
                                 struct tally_error *err)
{
    struct tally_ledger *ledger = indexer->ledger;
    TL_TRY(tl_index_open(&indexer->index, ledger->paths.index, TALLY_STORE_WRITE, err));
    TL_TRY(tl_index_position(indexer->index, position_out, err));
    if (*position_out <= size) {
        return TALLY_OK;
    }
    tl_index_close(indexer->index);
    indexer->index = NULL;
    TL_TRY(tl_index_open(&indexer->index, ledger->paths.index, TALLY_STORE_CREATE, err));
    *position_out = 0;
    return TALLY_OK;
}

tally_status tl_indexer_start(struct tally_ledger *ledger, struct tally_error *err)
{
    TL_CLEANUP(indexer_freep) struct indexer *indexer = tl_alloc_array(1, sizeof(*indexer));
    if (indexer == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate the indexer");
    }
    indexer->ledger = ledger;
    TL_TRY(tl_store_open_reader(ledger->role.store, &indexer->store, err));
    uint64_t position = 0;
    TL_TRY(open_fitting(indexer, tl_sequencer_head(ledger->role.sequencer)->size, &position, err));
    struct tl_state *state = &ledger->state;
    tl_mutex_lock(&state->mu);
    state->indexed = position;
    state->index_stop = false;
    state->index_failed = false;
    tl_mutex_unlock(&state->mu);
    TL_TRY(tl_thread_start(&ledger->index_thread, "tally-index", run_indexer, indexer));
    indexer = NULL; /* the thread's now */
    tl_mutex_lock(&state->mu);
    ledger->index_runs = true;
    tl_mutex_unlock(&state->mu);
    return TALLY_OK;
}

void tl_indexer_stop(struct tally_ledger *ledger, bool drain)
{
    if (!ledger->index_runs) {
        return;
    }
    struct tl_state *state = &ledger->state;
    tl_mutex_lock(&state->mu);
    while (drain && !state->index_failed && state->indexed < state->size) {
        tl_cond_wait(&state->changed, &state->mu);
    }
    state->index_stop = true;
    tl_cond_broadcast(&state->changed);
    tl_mutex_unlock(&state->mu);
    tl_thread_join(ledger->index_thread);
    tl_mutex_lock(&state->mu);
    ledger->index_runs = false;
    tl_cond_broadcast(&state->changed);
    tl_mutex_unlock(&state->mu);
}

/* Waits for the indexer of this process. *ended_out: it ended before it got there. */
static tally_status wait_here(struct tally_ledger *ledger, uint64_t end, bool *ended_out,
                              struct tally_error *err)
{
    struct tl_state *state = &ledger->state;
    struct tally_error error = TALLY_ERROR_INIT;
    tl_mutex_lock(&state->mu);
    while (ledger->index_runs && !state->index_failed && state->indexed < end) {
        tl_cond_wait(&state->changed, &state->mu);
    }
    *ended_out = !ledger->index_runs && state->indexed < end;
    if (state->index_failed) {
        error = state->index_error;
    }
    tl_mutex_unlock(&state->mu);
    return error.status == TALLY_OK ? TALLY_OK : tl_fail_with(err, error.status, &error);
}

static tally_status head_and_position(struct tally_ledger *ledger, uint64_t *size_out,
                                      uint64_t *position_out, struct tally_error *err)
{
    struct tl_reader reader;
    struct tally_head head = { 0 };
    *position_out = 0;
    TL_TRY(tl_reader_get(ledger, &reader, err));
    tally_status status = tl_store_head(reader.store, &head, err);
    if (status == TALLY_OK && reader.index != NULL) {
        status = tl_index_position(reader.index, position_out, err);
    }
    tl_reader_put(ledger, &reader);
    *size_out = head.size;
    return status;
}

tally_status tally_wait_indexed(struct tally_ledger *ledger, struct tally_error *err)
{
    if (ledger->paths.memory || !ledger->writable) {
        return tl_fail(err, TALLY_ENOTSUP, "this ledger has no index of its own to wait for");
    }
    uint64_t end = 0;
    uint64_t position = 0;
    uint64_t size = 0;
    TL_TRY(head_and_position(ledger, &end, &position, err));
    while (position < end) {
        bool ended = false;
        TL_TRY(wait_here(ledger, end, &ended, err));
        if (!ended) {
            return TALLY_OK;
        }
        /* Another process records, and indexes: look now and then. */
        const struct timespec pause = { .tv_nsec = POLL_NS };
        (void)nanosleep(&pause, NULL);
        TL_TRY(head_and_position(ledger, &size, &position, err));
    }
    return TALLY_OK;
}
