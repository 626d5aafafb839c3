/*
 * The threads that append what was posted. One takes all single events that wait together, so that they
 * share one commit of the store. The others take requests of many events, each by itself; the ledger
 * commits together what several of them hand in, while the rest read. A request is all or nothing as
 * far as rules go: it is checked as a whole before anything of it is appended.
 */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "codec/json.h"
#include "server/server_impl.h"

#define EVENTS_MAX 4096u
#define LINE_MAX   ((size_t)1 << 20)
#define ERRORS_MAX 100u
#define KEY_MAX    100u
#define WRITERS    5u /* the first of single events */

/* Confined to its thread. */
struct writer {
    struct tl_ingest *ingest;
    pthread_t thread;
    bool has_thread;
    struct tally_events *events;
    struct tally_receipt *receipts;   /* EVENTS_MAX */
    struct tl_request **singles;      /* EVENTS_MAX: whose events are in `events`, in this order */
    struct tl_str *pieces;            /* EVENTS_MAX: texts that are to become events */
    struct tl_problem_item *problems; /* ERRORS_MAX */
};

/* Internally synchronised. */
struct tl_ingest {
    struct tl_server *server;
    struct tally_logger *logger;
    struct tl_queue singles, many;
    struct writer writers[WRITERS];
};

static bool too_many(struct tl_request *request)
{
    tl_reply_problem(request, "too_large", "one request takes at most %u events", EVENTS_MAX);
    return false;
}

static bool split_lines(struct tl_request *request, struct tl_str *pieces, size_t *count)
{
    struct tl_str rest = tl_buf_str(&request->body);
    while (rest.len > 0) {
        const char *end = memchr(rest.text, '\n', rest.len);
        size_t len = end == NULL ? rest.len : (size_t)(end - rest.text);
        struct tl_str line = { rest.text, len };
        if (line.len > 0 && line.text[line.len - 1] == '\r') {
            line.len--;
        }
        rest.text += end == NULL ? len : len + 1;
        rest.len -= end == NULL ? len : len + 1;
        if (line.len == 0) {
            continue;
        }
        if (*count == EVENTS_MAX) {
            return too_many(request);
        }
        pieces[(*count)++] = line;
    }
    return true;
}

static size_t skip_space(struct tl_str text, size_t at)
{
    while (at < text.len && strchr(" \t\r\n", text.text[at]) != NULL) {
        at++;
    }
    return at;
}

/* The elements of an array, by their brackets alone: each is read as an event later, strictly. */
static bool split_array(struct tl_request *request, struct tl_str *pieces, size_t *count)
{
    struct tl_str text = tl_buf_str(&request->body);
    size_t at = skip_space(text, skip_space(text, 0) + 1);
    bool is_end = at < text.len && text.text[at] == ']';
    while (!is_end) {
        if (*count == EVENTS_MAX) {
            return too_many(request);
        }
        size_t end = tl_json_skip(text.text, text.len, at);
        pieces[(*count)++] = (struct tl_str){ text.text + at, end == 0 ? 0 : end - at };
        at = end == 0 ? text.len : skip_space(text, end);
        is_end = at < text.len && text.text[at] == ']';
        if (!is_end && (at >= text.len || text.text[at] != ',')) {
            tl_reply_problem(request, "bad_json", "event %zu: an array goes on with ',' or ends",
                             *count - 1);
            return false;
        }
        at = is_end ? at : skip_space(text, at + 1);
    }
    if (skip_space(text, at + 1) != text.len) {
        tl_reply_problem(request, "bad_json", "there is something after the array");
        return false;
    }
    return true;
}

static bool split(struct tl_request *request, struct tl_str *pieces, size_t *count, bool *is_many)
{
    struct tl_str text = tl_buf_str(&request->body);
    if (tl_request_is_type(request, "application/x-ndjson")) {
        *is_many = true;
        return split_lines(request, pieces, count);
    }
    if (!tl_request_is_type(request, "application/json")) {
        tl_reply_problem(request, "media_type",
                         "events come as application/json or application/x-ndjson");
        return false;
    }
    size_t at = skip_space(text, 0);
    *is_many = at < text.len && text.text[at] == '[';
    if (*is_many) {
        return split_array(request, pieces, count);
    }
    pieces[(*count)++] = text;
    return true;
}

static const struct tl_json *read_event(struct tl_request *request, struct tl_str json)
{
    static const struct tl_json_limits limits = { .bytes_max = 16u << 20,
                                                  .depth_max = 64,
                                                  .members_max = 4096,
                                                  .elements_max = 65536,
                                                  .keep_integers = true,
                                                  .keep_floats = true };
    const struct tl_json *root = NULL;
    return tl_json_read(&request->arena, json.text, json.len, &limits, &root, NULL) == TALLY_OK &&
                   root->type == TL_JSON_OBJECT
               ? root
               : NULL; /* it is refused later, with the reason */
}

/* Puts a member in front of those that are there. */
static bool put_member(struct tl_request *request, struct tl_str *json, const char *name,
                       const char *value)
{
    struct tl_buf out;
    tl_buf_init(&out, SIZE_MAX / 8);
    size_t at = skip_space(*json, 0) + 1; /* behind the brace */
    bool is_empty = skip_space(*json, at) < json->len && json->text[skip_space(*json, at)] == '}';
    tl_buf_add_char(&out, '{');
    tl_json_lossy(&out, tl_str_of(name));
    tl_buf_add_char(&out, ':');
    tl_json_lossy(&out, tl_str_of(value));
    tl_buf_add_text(&out, is_empty ? "" : ",");
    tl_buf_add(&out, json->text + at, json->len - at);
    char *copy =
        tl_buf_status(&out) == TALLY_OK ? tl_request_copy(request, tl_buf_str(&out)) : NULL;
    *json = copy == NULL ? *json : (struct tl_str){ copy, out.len };
    tl_buf_release(&out);
    return copy != NULL;
}

static bool is_empty_member(const struct tl_json *member)
{
    return member == NULL || member->type == TL_JSON_NULL ||
           (member->type == TL_JSON_STRING && member->text.len == 0);
}

/* A writer with tenants writes for these alone; the only one is filled in. */
static bool check_tenant(struct tl_request *request, struct tl_str *json,
                         const struct tl_json *event, size_t index)
{
    const struct tl_identity *who = &request->who;
    const struct tl_json *tenant = tl_json_member(event, "tenant_id");
    if (is_empty_member(tenant) && who->tenant_count == 1) {
        if (tenant != NULL) {
            tl_reply_problem(request, "policy", "event %zu: leave tenant_id out, or name it",
                             index);
            return false;
        }
        return put_member(request, json, "tenant_id", who->tenants[0]);
    }
    for (size_t i = 0; i < who->tenant_count; i++) {
        if (tenant != NULL && tenant->type == TL_JSON_STRING &&
            tl_str_is(tenant->text, who->tenants[i])) {
            return true;
        }
    }
    tl_reply_problem(request, "policy", "event %zu: the token may not write for this tenant",
                     index);
    return false;
}

/* Adds what the request says of all its events: the tenant, and ids made from Idempotency-Key. */
static bool complete(struct tl_request *request, struct tl_str *json, size_t index, bool is_many)
{
    const char *key = request->idempotency_key;
    if (request->who.tenant_count == 0 && key == NULL) {
        return true;
    }
    const struct tl_json *event = read_event(request, *json);
    if (event == NULL) {
        return true;
    }
    if (request->who.tenant_count > 0 && !check_tenant(request, json, event, index)) {
        return false;
    }
    if (key != NULL && tl_json_member(event, "id") == NULL) {
        char id[KEY_MAX + 24];
        (void)snprintf(id, sizeof(id), is_many ? "%s/%zu" : "%s", key, index);
        return put_member(request, json, "id", id);
    }
    return true;
}

static bool check_key(struct tl_request *request)
{
    const char *key = request->idempotency_key;
    if (key != NULL && (key[0] == '\0' || strlen(key) > KEY_MAX)) {
        tl_reply_problem(request, "bad_parameter", "Idempotency-Key has 1 to %u characters",
                         KEY_MAX);
        return false;
    }
    return true;
}

/* Checks one event, and adds it to those that will be appended. */
static tally_status add(struct writer *writer, struct tl_str json, uint32_t flags,
                        struct tally_error *err)
{
    if (json.len > LINE_MAX) {
        return tl_refuse(err, "too_large", "", "an event has at most 1 MiB");
    }
    return tally_events_add(writer->events, json.text, json.len, flags, err);
}

/* What an agent knows of events that it took for others: a letter for each. */
static uint32_t flags_of(char mark)
{
    bool by_occurred = mark == 'r' || mark == 'b';
    bool is_supplied = mark == 't' || mark == 'b';
    return (by_occurred ? (uint32_t)TALLY_EVENT_RETAIN_OCCURRED : 0u) |
           (is_supplied ? (uint32_t)TALLY_EVENT_TIME_SUPPLIED : 0u);
}

static bool check_marks(struct tl_request *request, const char *marks, size_t count)
{
    if (marks != NULL && (strlen(marks) != count || strspn(marks, "-trb") != count)) {
        tl_reply_problem(request, "bad_parameter",
                         "'marks' has one of the letters -, t, r and b for each event");
        return false;
    }
    return true;
}

static bool add_all(struct writer *writer, struct tl_request *request, size_t count)
{
    const char *marks = tl_request_param(request, "marks");
    size_t bad = 0;
    if (!check_marks(request, marks, count)) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        struct tally_error err = TALLY_ERROR_INIT;
        if (!complete(request, &writer->pieces[i], i, true)) {
            return false;
        }
        tally_status status =
            add(writer, writer->pieces[i], marks == NULL ? 0 : flags_of(marks[i]), &err);
        if (status != TALLY_OK && status != TALLY_EREFUSED && status != TALLY_EDISABLED) {
            tl_reply_error(request, &err);
            return false;
        }
        if (status != TALLY_OK && bad++ < ERRORS_MAX) {
            writer->problems[bad - 1] = (struct tl_problem_item){ i, err };
        }
    }
    if (bad > 0) {
        tl_reply_problem_items(request, tl_problem_code(&writer->problems[0].err), writer->problems,
                               bad < ERRORS_MAX ? bad : ERRORS_MAX, bad,
                               "events break rules: nothing of the request was recorded");
    }
    return bad == 0;
}

static void show_receipt(struct tl_js *js, const char *origin, const struct tally_receipt *receipt)
{
    tl_js_open(js, NULL, '{');
    tl_js_text(js, "id", receipt->id);
    tl_js_text(js, "level", "RECORDED");
    tl_js_u64(js, "seq", receipt->seq);
    tl_js_text(js, "origin", origin);
    tl_js_time(js, "recorded_at", receipt->recorded_us);
    tl_js_hex(js, "leaf_hash", receipt->leaf_hash, sizeof(receipt->leaf_hash));
    tl_js_bool(js, "duplicate", (receipt->flags & TALLY_RECEIPT_DUPLICATE) != 0);
    if ((receipt->flags & TALLY_RECEIPT_ID_GENERATED) != 0) {
        tl_js_bool(js, "id_generated", true);
    }
    if ((receipt->flags & TALLY_RECEIPT_TRIMMED) != 0) {
        tl_js_bool(js, "trimmed", true);
    }
    tl_js_close(js, '}');
}

/* The id is taken: says by which record, so that a person can compare. */
static void set_conflict(struct tally_error *err, const struct tally_receipt *receipt)
{
    err->status = TALLY_EREFUSED;
    (void)snprintf(err->code, sizeof(err->code), "id_conflict");
    (void)snprintf(err->pointer, sizeof(err->pointer), "/id");
    (void)snprintf(err->message, sizeof(err->message),
                   "the id is that of another event, record %llu",
                   (unsigned long long)receipt->seq);
}

static void answer_one(struct writer *writer, struct tl_request *request,
                       const struct tally_receipt *receipt)
{
    struct tl_counters *counters = &writer->ingest->server->counters;
    if (receipt->status != TALLY_OK) {
        struct tally_error err = TALLY_ERROR_INIT;
        set_conflict(&err, receipt);
        tl_counter_add(&counters->conflicts, 1);
        tl_reply_error(request, &err);
        return;
    }
    bool is_known = (receipt->flags & TALLY_RECEIPT_DUPLICATE) != 0;
    struct tl_js js;
    tl_counter_add(is_known ? &counters->duplicates : &counters->events, 1);
    tl_reply_begin(request, is_known ? 200 : 201, &js);
    show_receipt(&js, writer->ingest->server->origin, receipt);
    tl_reply_end(request, &js);
}

static void answer_many(struct writer *writer, struct tl_request *request, size_t count)
{
    struct tl_counters *counters = &writer->ingest->server->counters;
    size_t duplicates = 0;
    size_t conflicts = 0;
    for (size_t i = 0; i < count; i++) {
        const struct tally_receipt *receipt = &writer->receipts[i];
        duplicates += (receipt->flags & TALLY_RECEIPT_DUPLICATE) != 0;
        if (receipt->status != TALLY_OK && conflicts++ < ERRORS_MAX) {
            writer->problems[conflicts - 1].index = i;
            writer->problems[conflicts - 1].err = (struct tally_error)TALLY_ERROR_INIT;
            set_conflict(&writer->problems[conflicts - 1].err, receipt);
        }
    }
    tl_counter_add(&counters->duplicates, duplicates);
    tl_counter_add(&counters->conflicts, conflicts);
    tl_counter_add(&counters->events, count - duplicates - conflicts);
    if (conflicts > 0) {
        tl_reply_problem_items(request, "id_conflict", writer->problems,
                               conflicts < ERRORS_MAX ? conflicts : ERRORS_MAX, conflicts,
                               "ids are those of other events; all other events are recorded");
        return;
    }
    struct tl_js js;
    tl_reply_begin(request, duplicates == count ? 200 : 201, &js);
    tl_js_open(&js, NULL, '{');
    tl_js_text(&js, "level", "RECORDED");
    tl_js_u64(&js, "count", count);
    tl_js_u64(&js, "duplicates", duplicates);
    tl_js_open(&js, "receipts", '[');
    for (size_t i = 0; i < count; i++) {
        show_receipt(&js, writer->ingest->server->origin, &writer->receipts[i]);
    }
    tl_js_close(&js, ']');
    tl_js_close(&js, '}');
    tl_reply_end(request, &js);
}

static void answer_failed(struct writer *writer, struct tl_request *request,
                          const struct tally_error *err)
{
    tl_counter_add(&writer->ingest->server->counters.failed, 1);
    tl_reply_error(request, err);
}

static void append_singles(struct writer *writer)
{
    struct tally_error err = TALLY_ERROR_INIT;
    size_t count = tally_events_count(writer->events);
    if (count == 0) {
        return;
    }
    tally_status status =
        tally_append_events(writer->ingest->server->ledger, writer->events, writer->receipts, &err);
    for (size_t i = 0; i < count; i++) {
        if (status == TALLY_OK) {
            answer_one(writer, writer->singles[i], &writer->receipts[i]);
        } else {
            answer_failed(writer, writer->singles[i], &err);
        }
        tl_server_answer(writer->singles[i]);
    }
    tally_events_clear(writer->events);
}

static void append_many(struct writer *writer, struct tl_request *request, size_t count)
{
    struct tally_error err = TALLY_ERROR_INIT;
    if (count == 0) {
        tl_reply_problem(request, "missing", "there is no event in the body");
    } else if (add_all(writer, request, count)) {
        if (tally_append_events(writer->ingest->server->ledger, writer->events, writer->receipts,
                                &err) == TALLY_OK) {
            answer_many(writer, request, count);
        } else {
            answer_failed(writer, request, &err);
        }
    }
    tally_events_clear(writer->events);
    tl_server_answer(request);
}

static void show_queued(struct tl_js *js, const struct tally_receipt *receipt)
{
    tl_js_open(js, NULL, '{');
    tl_js_text(js, "id", receipt->id);
    tl_js_text(js, "level", "QUEUED");
    tl_js_close(js, '}');
}

/* Into the spool, where it survives this process. All are checked first. */
static void queue(struct writer *writer, struct tl_request *request, size_t count, bool is_many)
{
    if (!add_all(writer, request, count)) {
        tally_events_clear(writer->events);
        return;
    }
    struct tally_log_options options = TALLY_LOG_OPTIONS_INIT;
    struct tally_error err = TALLY_ERROR_INIT;
    struct tl_js js;
    tally_status status = TALLY_OK;
    tl_reply_begin(request, 202, &js);
    if (is_many) {
        tl_js_open(&js, NULL, '{');
        tl_js_text(&js, "level", "QUEUED");
        tl_js_u64(&js, "count", count);
        tl_js_open(&js, "receipts", '[');
    }
    for (size_t i = 0; i < count && status == TALLY_OK; i++) {
        struct tally_receipt receipt = { 0 };
        size_t len = 0;
        const char *text = tally_events_text(writer->events, i, &len);
        status = tally_log_text(writer->ingest->logger, text, len, &options, &receipt, &err);
        show_queued(&js, &receipt);
    }
    if (is_many) {
        tl_js_close(&js, ']');
        tl_js_close(&js, '}');
    }
    if (status == TALLY_OK) {
        tl_reply_end(request, &js);
    } else {
        tl_js_release(&js);
        answer_failed(writer, request, &err);
    }
    tally_events_clear(writer->events);
}

/* Whether the request takes part in the next append together with others. */
static bool take(struct writer *writer, struct tl_request *request)
{
    const char *ack = tl_request_param(request, "ack");
    size_t count = 0;
    bool is_many = false;
    bool is_queued = ack != NULL && strcmp(ack, "queued") == 0;
    if (ack != NULL && !is_queued && strcmp(ack, "recorded") != 0) {
        tl_reply_problem(request, "bad_parameter", "'ack' is recorded or queued");
    }
    if (request->reply.status != 0 || !check_key(request) ||
        !split(request, writer->pieces, &count, &is_many)) {
        tl_server_answer(request);
        return false;
    }
    if (!is_many && tl_request_param(request, "marks") != NULL) {
        tl_reply_problem(request, "bad_parameter", "'marks' is for several events");
        tl_server_answer(request);
        return false;
    }
    if (is_many || is_queued) {
        append_singles(writer); /* they came first, and the events are in use */
        if (is_queued) {
            queue(writer, request, count, is_many);
            tl_server_answer(request);
        } else {
            append_many(writer, request, count);
        }
        return false;
    }
    struct tally_error err = TALLY_ERROR_INIT;
    if (!complete(request, &writer->pieces[0], 0, false)) {
        tl_server_answer(request);
        return false;
    }
    tally_status status = add(writer, writer->pieces[0], 0, &err);
    if (status == TALLY_ELIMIT) {
        err = (struct tally_error)TALLY_ERROR_INIT;
        append_singles(writer);
        status = add(writer, writer->pieces[0], 0, &err);
    }
    if (status != TALLY_OK) {
        tl_reply_error(request, &err);
        tl_server_answer(request);
    }
    return status == TALLY_OK;
}

static void work_off(struct writer *writer, struct tl_request *request)
{
    while (request != NULL) {
        struct tl_request *next = request->next;
        if (take(writer, request)) {
            writer->singles[tally_events_count(writer->events) - 1] = request;
        }
        request = next;
    }
    append_singles(writer);
}

static void *run_singles(void *ctx)
{
    struct writer *writer = ctx;
    struct tl_request *request = NULL;
    size_t count = 0;
    while ((request = tl_queue_take_all(&writer->ingest->singles, &count)) != NULL) {
        work_off(writer, request);
    }
    return NULL;
}

static void *run_many(void *ctx)
{
    struct writer *writer = ctx;
    struct tl_request *request = NULL;
    while ((request = tl_queue_take(&writer->ingest->many)) != NULL) {
        work_off(writer, request);
    }
    return NULL;
}

/* At first sight: which queue it waits in decides about nothing else. */
static bool has_many(const struct tl_request *request)
{
    return request->body.len > 0 &&
           (request->body.data[0] == '[' || tl_request_is_type(request, "application/x-ndjson"));
}

void tl_ingest_put(struct tl_ingest *ingest, struct tl_request *request)
{
    tl_queue_put(has_many(request) ? &ingest->many : &ingest->singles, request);
}

static tally_status start_writer(struct writer *writer, struct tl_ingest *ingest,
                                 void *(*run)(void *ctx), struct tally_error *err)
{
    writer->ingest = ingest;
    writer->receipts = tl_alloc_array(EVENTS_MAX, sizeof(*writer->receipts));
    writer->singles = tl_alloc_array(EVENTS_MAX, sizeof(struct tl_request *));
    writer->pieces = tl_alloc_array(EVENTS_MAX, sizeof(*writer->pieces));
    writer->problems = tl_alloc_array(ERRORS_MAX, sizeof(*writer->problems));
    if (writer->receipts == NULL || writer->singles == NULL || writer->pieces == NULL ||
        writer->problems == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "out of memory");
    }
    TL_TRY(tally_events_new(&writer->events, ingest->server->ledger, err));
    tally_status status = tl_thread_start(&writer->thread, "tally-ingest", run, writer);
    writer->has_thread = status == TALLY_OK;
    return status == TALLY_OK ? TALLY_OK : tl_fail(err, status, "cannot start a thread");
}

static void stop_writer(struct writer *writer)
{
    if (writer->has_thread) {
        tl_thread_join(writer->thread);
    }
    tally_events_free(writer->events);
    tl_free(writer->problems);
    tl_free(writer->pieces);
    tl_free(writer->singles);
    tl_free(writer->receipts);
}

static tally_status start(struct tl_ingest *ingest, struct tally_error *err)
{
    if (tl_queue_init(&ingest->singles) != TALLY_OK || tl_queue_init(&ingest->many) != TALLY_OK) {
        return tl_fail(err, TALLY_ENOMEM, "out of memory");
    }
    TL_TRY(tally_logger_open(&ingest->logger, ingest->server->ledger, NULL, err));
    for (size_t i = 0; i < WRITERS; i++) {
        TL_TRY(start_writer(&ingest->writers[i], ingest, i == 0 ? run_singles : run_many, err));
    }
    return TALLY_OK;
}

tally_status tl_ingest_start(struct tl_ingest **ingest_out, struct tl_server *server,
                             struct tally_error *err)
{
    struct tl_ingest *ingest = tl_alloc_array(1, sizeof(*ingest));
    if (ingest == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "out of memory");
    }
    ingest->server = server;
    tally_status status = start(ingest, err);
    if (status != TALLY_OK) {
        tl_ingest_stop(ingest);
        return status;
    }
    *ingest_out = ingest;
    return TALLY_OK;
}

static void end_queue(struct tl_queue *queue)
{
    if (queue->is_there) {
        tl_queue_close(queue);
    }
}

void tl_ingest_stop(struct tl_ingest *ingest)
{
    if (ingest == NULL) {
        return;
    }
    end_queue(&ingest->singles);
    end_queue(&ingest->many);
    for (size_t i = 0; i < WRITERS; i++) {
        stop_writer(&ingest->writers[i]);
    }
    tl_queue_release(&ingest->singles);
    tl_queue_release(&ingest->many);
    tally_logger_close(ingest->logger, 10000, NULL);
    tl_free(ingest);
}
