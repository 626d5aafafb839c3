/* One thread looks for new records and hands them to all who follow. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/parse.h"
#include "server/server_impl.h"

#define LOOK_MS       250u
#define ALIVE_US      INT64_C(15000000)
#define FOLLOWERS_MAX 200u
#define RING          ((size_t)2 << 20)
#define PAGE          200u

struct follower {
    struct follower *next;
    struct tl_stream *stream;
    char token[TL_TOKEN_ID_SIZE]; /* whose; "": of the other end of a Unix socket */
    struct tl_arena arena;        /* of the conditions */
    struct tally_query query;
    struct tally_condition *seq_from; /* the last condition */
    uint64_t from;                    /* records from here on were not sent yet */
    int64_t alive_us;                 /* when something was sent last */
};

struct tl_tail {
    struct tl_server *server;
    struct tl_mutex mu;
    struct tl_cond changed;
    struct follower *first; /* guarded by mu; the thread takes all off while it feeds them */
    size_t count;           /* those included */
    pthread_t thread;
    bool has_thread, is_stopping;
};

static void free_follower(struct follower *follower, bool is_whole)
{
    if (follower->stream != NULL) {
        tl_stream_end_writing(follower->stream, is_whole);
    }
    tl_arena_release(&follower->arena);
    tl_free(follower);
}

static tally_status send_item(struct follower *follower, const struct tally_item *item)
{
    TL_CLEANUP(tl_buf_release) struct tl_buf text = { 0 };
    tl_buf_init(&text, SIZE_MAX / 8);
    tl_buf_addf(&text, "id: %" PRIu64 "\ndata: ", item->seq);
    tl_buf_add(&text, item->line, item->line_len);
    tl_buf_add_text(&text, "\n\n");
    TL_TRY(tl_buf_status(&text));
    return tl_stream_offer(follower->stream, text.data, text.len);
}

/* What is new, as far as there is room: the rest is taken from the ledger the next time. */
static tally_status feed(struct tl_tail *tail, struct follower *follower, int64_t now_us)
{
    struct tally_info info;
    struct tally_error err = TALLY_ERROR_INIT;
    TL_TRY(tally_info(tail->server->ledger, &info, &err));
    if (info.size > follower->from) {
        char seq[24];
        struct tally_page *page = NULL;
        (void)snprintf(seq, sizeof(seq), "%" PRIu64, follower->from);
        *follower->seq_from = (struct tally_condition){ "seq_from", seq };
        TL_TRY(tally_find(tail->server->ledger, &follower->query, &page, &err));
        tally_status status = TALLY_OK;
        for (size_t i = 0; i < page->count && status == TALLY_OK; i++) {
            status = send_item(follower, &page->items[i]);
            if (status == TALLY_OK) {
                follower->from = page->items[i].seq + 1;
                follower->alive_us = now_us;
            }
        }
        if (status == TALLY_OK && page->next == NULL) {
            follower->from = info.size > follower->from ? info.size : follower->from;
        }
        tally_page_free(page);
    }
    if (now_us - follower->alive_us > ALIVE_US) {
        follower->alive_us = now_us;
        return tl_stream_offer(follower->stream, ":\n\n", 3);
    }
    return TALLY_OK;
}

static bool may_follow(struct tl_tail *tail, const struct follower *follower)
{
    return !tl_stream_is_deserted(follower->stream) &&
           (follower->token[0] == '\0' ||
            tl_tokens_is_in_force(tail->server->tokens, follower->token));
}

/* Feeds those on the list, and takes off it who has gone, or whose token has ended; returns how many
 * these were. */
static size_t feed_all(struct tl_tail *tail, struct follower **first)
{
    size_t gone = 0;
    struct follower **at = first;
    while (*at != NULL) {
        struct follower *follower = *at;
        int64_t now_us = tl_clock->steady_us();
        tally_status status =
            may_follow(tail, follower) ? feed(tail, follower, now_us) : TALLY_ECANCELED;
        /* Who is slow gets it later; what cannot be read now may be readable then. */
        if (status == TALLY_ECANCELED || status == TALLY_EREFUSED || status == TALLY_ECORRUPT) {
            *at = follower->next;
            gone++;
            free_follower(follower, false);
        } else {
            at = &follower->next;
        }
    }
    return gone;
}

/* Searching takes its time: meanwhile others may join. Returns whether somebody did. */
static bool feed_locked(struct tl_tail *tail) TL_REQUIRES(tail->mu)
{
    struct follower *fed = tail->first;
    tail->first = NULL;
    tl_mutex_unlock(&tail->mu);
    size_t gone = feed_all(tail, &fed);
    tl_mutex_lock(&tail->mu);
    tail->count -= gone;
    struct follower **end = &tail->first;
    while (*end != NULL) {
        end = &(*end)->next;
    }
    *end = fed;
    return end != &tail->first;
}

static void *run(void *ctx)
{
    struct tl_tail *tail = ctx;
    tl_mutex_lock(&tail->mu);
    while (!tail->is_stopping) {
        if (!feed_locked(tail) && !tail->is_stopping) {
            (void)tl_cond_wait_for(&tail->changed, &tail->mu, LOOK_MS);
        }
    }
    tl_mutex_unlock(&tail->mu);
    return NULL;
}

static bool read_start(struct tl_request *request, uint64_t *from_out)
{
    const char *after = request->last_event_id != NULL ? request->last_event_id
                                                       : tl_request_param(request, "after");
    struct tally_info info;
    struct tally_error err = TALLY_ERROR_INIT;
    if (after != NULL) {
        if (tl_parse_u64(after, strlen(after), UINT64_MAX - 1, from_out) != TALLY_OK) {
            tl_reply_problem(request, "bad_parameter", "Last-Event-ID and 'after' are positions");
            return false;
        }
        *from_out += 1;
        return true;
    }
    if (tally_info(request->server->ledger, &info, &err) != TALLY_OK) {
        tl_reply_error(request, &err);
        return false;
    }
    *from_out = info.size;
    return true;
}

/* Adds room for the condition that goes on from page to page. */
static bool prepare(struct tl_request *request, struct follower *follower)
{
    follower->query = (struct tally_query)TALLY_QUERY_INIT;
    memcpy(follower->token, request->who.id, sizeof(follower->token));
    if (!read_start(request, &follower->from) ||
        !tl_api_conditions(request, NULL, &follower->query)) {
        return false;
    }
    size_t count = follower->query.condition_count;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(follower->query.conditions[i].field, "seq_from") == 0) {
            tl_reply_problem(request, "bad_parameter", "say where to begin with 'after'");
            return false;
        }
    }
    struct tally_condition *conditions =
        tl_arena_alloc(&request->arena, (count + 1) * sizeof(*conditions));
    if (conditions == NULL) {
        tl_reply_problem(request, "internal", "out of memory");
        return false;
    }
    if (count > 0) {
        memcpy(conditions, follower->query.conditions, count * sizeof(*conditions));
    }
    follower->seq_from = &conditions[count];
    *follower->seq_from = (struct tally_condition){ "seq_from", "0" };
    follower->query.conditions = conditions;
    follower->query.condition_count = count + 1;
    follower->query.limit = PAGE;
    follower->query.ascending = 1;
    follower->alive_us = 0; /* a first comment tells the client that it is connected */
    return true;
}

static bool join(struct tl_tail *tail, struct follower *follower)
{
    tl_mutex_lock(&tail->mu);
    bool has_room = tail->count < FOLLOWERS_MAX && !tail->is_stopping;
    if (has_room) {
        follower->next = tail->first;
        tail->first = follower;
        tail->count++;
        tl_cond_signal(&tail->changed);
    }
    tl_mutex_unlock(&tail->mu);
    return has_room;
}

void tl_api_tail(struct tl_request *request)
{
    struct follower *follower = tl_alloc_array(1, sizeof(*follower));
    if (follower == NULL) {
        tl_reply_problem(request, "internal", "out of memory");
        return;
    }
    tl_arena_init(&follower->arena, (size_t)1 << 20);
    if (!prepare(request, follower) || !tl_api_try(request, &follower->query)) {
        free_follower(follower, false);
        return;
    }
    if (tl_stream_new(&follower->stream, RING) != TALLY_OK) {
        free_follower(follower, false);
        tl_reply_problem(request, "internal", "out of memory");
        return;
    }
    struct tl_stream *stream = follower->stream;
    struct tl_arena spare = follower->arena; /* the conditions are in the request's */
    follower->arena = request->arena;
    request->arena = spare;
    if (!join(request->server->tail, follower)) {
        request->arena = follower->arena;
        follower->arena = spare;
        free_follower(follower, false);
        tl_stream_end_reading(stream);
        tl_reply_problem(request, "rate", "too many follow already: try again later");
        return;
    }
    request->reply.stream = stream;
    request->reply.status = 200;
    request->reply.content_type = "text/event-stream";
}

tally_status tl_tail_start(struct tl_tail **tail_out, struct tl_server *server,
                           struct tally_error *err)
{
    struct tl_tail *tail = tl_alloc_array(1, sizeof(*tail));
    if (tail == NULL || tl_mutex_init(&tail->mu) != TALLY_OK) {
        tl_free(tail);
        return tl_fail(err, TALLY_ENOMEM, "out of memory");
    }
    if (tl_cond_init(&tail->changed) != TALLY_OK) {
        tl_mutex_release(&tail->mu);
        tl_free(tail);
        return tl_fail(err, TALLY_ENOMEM, "out of memory");
    }
    tail->server = server;
    tally_status status = tl_thread_start(&tail->thread, "tally-tail", run, tail);
    tail->has_thread = status == TALLY_OK;
    if (status != TALLY_OK) {
        tl_tail_free(tail);
        return tl_fail(err, status, "cannot start a thread");
    }
    *tail_out = tail;
    return TALLY_OK;
}

void tl_tail_stop(struct tl_tail *tail)
{
    if (tail == NULL || !tail->has_thread) {
        return;
    }
    tl_mutex_lock(&tail->mu);
    tail->is_stopping = true;
    tl_cond_signal(&tail->changed);
    tl_mutex_unlock(&tail->mu);
    tl_thread_join(tail->thread);
    tail->has_thread = false;
    while (tail->first != NULL) {
        struct follower *follower = tail->first;
        tail->first = follower->next;
        free_follower(follower, true);
    }
}

void tl_tail_free(struct tl_tail *tail)
{
    if (tail != NULL) {
        tl_cond_release(&tail->changed);
        tl_mutex_release(&tail->mu);
        tl_free(tail);
    }
}
