#include "ledger/remote_read.h"

#include <stdio.h>

#include "base/bytes.h"
#include "base/parse.h"
#include "codec/json.h"
#include "codec/time.h"
#include "evidence/note.h"
#include "ledger/page.h"

#define ARENA_BYTES ((size_t)256 << 20)

/* An answer, and the JSON in it. */
struct reply {
    struct tl_http_answer answer;
    struct tl_arena arena;
    const struct tl_json *root;
    struct tl_str text;
};

static void reply_release(struct reply *reply)
{
    tl_http_answer_release(&reply->answer);
    tl_arena_release(&reply->arena);
}

static tally_status make_no_sense(struct tally_error *err)
{
    return tl_fail(err, TALLY_ECORRUPT, "the server answers with something that makes no sense");
}

static tally_status ask(const struct tally_ledger *ledger, struct tl_buf *path, struct reply *reply,
                        struct tally_error *err)
{
    static const struct tl_json_limits limits = { .bytes_max = TL_PAGE_BYTES_HARD_MAX * 2,
                                                  .depth_max = 64,
                                                  .members_max = 65536,
                                                  .elements_max = 65536,
                                                  .keep_integers = true,
                                                  .keep_floats = true };
    tl_buf_add_char(path, '\0');
    if (tl_buf_status(path) != TALLY_OK) {
        return tl_fail(err, TALLY_EREFUSED, "the query is too long for a URL");
    }
    TL_TRY(tl_remote_get(ledger->remote, path->data, &reply->answer, err));
    tl_arena_init(&reply->arena, ARENA_BYTES);
    reply->text = tl_buf_str(&reply->answer.body);
    tally_status status =
        tl_json_read(&reply->arena, reply->text.text, reply->text.len, &limits, &reply->root, NULL);
    if (status == TALLY_ENOMEM) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate an answer");
    }
    return status == TALLY_OK && reply->root != NULL && reply->root->type == TL_JSON_OBJECT
               ? TALLY_OK
               : make_no_sense(err);
}

/* A part of a URL: everything but what never means anything is written as its bytes. */
static void add_escaped(struct tl_buf *out, const char *text)
{
    for (const char *at = text; *at != '\0'; at++) {
        bool plain = (*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') ||
                     (*at >= '0' && *at <= '9') || *at == '-' || *at == '_';
        if (plain) {
            tl_buf_add_char(out, *at);
        } else {
            tl_buf_addf(out, "%%%02X", (unsigned)(unsigned char)*at);
        }
    }
}

static void add_parameter(struct tl_buf *path, const char *name, const char *value)
{
    tl_buf_add_char(path, memchr(path->data, '?', path->len) == NULL ? '?' : '&');
    add_escaped(path, name);
    tl_buf_add_char(path, '=');
    add_escaped(path, value);
}

static void add_number(struct tl_buf *path, const char *name, uint64_t value)
{
    char text[24];
    (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
    add_parameter(path, name, text);
}

/* Ends a URL that is being made; `buf` is fixed, and long enough for what tl_http_get() takes. */
static void begin_path(struct tl_buf *path, char memory[TL_HTTP_URL_MAX], const char *start,
                       const struct tally_query *query)
{
    tl_buf_init_fixed(path, memory, TL_HTTP_URL_MAX);
    tl_buf_add_text(path, start);
    for (size_t i = 0; query != NULL && i < query->condition_count; i++) {
        add_parameter(path, query->conditions[i].field, query->conditions[i].value);
    }
}

/* The same for a search. TALLY_ENOTSUP: it is within another one, which no server takes. */
static tally_status begin_search(struct tl_buf *path, char memory[TL_HTTP_URL_MAX],
                                 const char *start, const struct tally_query *query,
                                 struct tally_error *err)
{
    begin_path(path, memory, start, query);
    return query->within == NULL
               ? TALLY_OK
               : tl_fail(err, TALLY_ENOTSUP, "a search within another is not for a remote ledger");
}

static const struct tl_json *member(const struct tl_json *object, const char *name,
                                    enum tl_json_type type)
{
    const struct tl_json *found = tl_json_member(object, name);
    return found != NULL && found->type == type ? found : NULL;
}

static bool read_u64(const struct tl_json *object, const char *name, uint64_t *out)
{
    const struct tl_json *number = member(object, name, TL_JSON_NUMBER);
    return number != NULL &&
           tl_parse_u64(number->text.text, number->text.len, UINT64_MAX - 1, out) == TALLY_OK;
}

static bool read_time(const struct tl_json *object, const char *name, int64_t *us_out)
{
    const struct tl_json *time = member(object, name, TL_JSON_STRING);
    return time != NULL && tl_time_parse(us_out, time->text) == TALLY_OK;
}

/* Appends a text with a NUL. Texts that hold one are cut there by who reads them. */
static void keep_text(struct tl_page *page, const struct tl_json *text)
{
    if (text != NULL) {
        tl_buf_add_str(&page->text, text->text);
    }
    tl_buf_add_char(&page->text, '\0');
}

/* Line, id, kind and state stand one after the other in the page's text. */
static void keep_item(struct tl_page *page, struct tl_str text, const struct tl_json *json)
{
    struct tl_rendered *part = &page->parts[page->public.count];
    const struct tl_json *event = member(json, "event", TL_JSON_OBJECT);
    part->line = page->text.len;
    part->line_len = json->end - json->offset;
    part->event = event == NULL ? 0 : part->line + (event->offset - json->offset);
    part->event_len = event == NULL ? 0 : event->end - event->offset;
    tl_buf_add(&page->text, text.text + json->offset, part->line_len);
    tl_buf_add_char(&page->text, '\0');
    part->id = page->text.len;
    keep_text(page, member(json, "id", TL_JSON_STRING));
    keep_text(page, member(json, "kind", TL_JSON_STRING));
    keep_text(page, member(json, "state", TL_JSON_STRING));
}

static bool take_item(struct tl_page *page, struct tl_str text, const struct tl_json *json)
{
    tl_assert(json != NULL && text.text != NULL);
    struct tally_item *item = &page->items[page->public.count];
    const struct tl_json *leaf = member(json, "leaf_hash", TL_JSON_STRING);
    const struct tl_json *event = member(json, "event", TL_JSON_OBJECT);
    if (json->type != TL_JSON_OBJECT || leaf == NULL || !read_u64(json, "seq", &item->seq) ||
        !read_time(json, "recorded_at", &item->recorded_us) ||
        member(json, "kind", TL_JSON_STRING) == NULL ||
        member(json, "state", TL_JSON_STRING) == NULL ||
        memchr(text.text + json->offset, '\n', json->end - json->offset) != NULL ||
        tl_hex_decode(item->leaf_hash, sizeof(item->leaf_hash), leaf->text.text, leaf->text.len) !=
            TALLY_OK) {
        return false;
    }
    if (event == NULL || !read_time(event, "occurred_at", &item->occurred_us)) {
        item->occurred_us = item->recorded_us;
    }
    keep_item(page, text, json);
    page->public.count++;
    return true;
}

static void finish(struct tl_page *page)
{
    tl_page_finish(page);
    for (size_t i = 0; i < page->public.count; i++) {
        struct tally_item *item = &page->items[i];
        item->kind = item->id + strlen(item->id) + 1;
        item->state = item->kind + strlen(item->kind) + 1;
    }
}

static bool take_rest(struct tl_page *page, const struct tl_json *root)
{
    const struct tl_json *next = member(root, "next", TL_JSON_STRING);
    const struct tl_json *count = member(root, "count", TL_JSON_OBJECT);
    page->public.complete = member(root, "complete", TL_JSON_TRUE) != NULL;
    page->public.problem =
        page->public.complete ? NULL : "the server could not read a part of the ledger";
    if (next != NULL && next->text.len >= sizeof(page->next)) {
        return false;
    }
    if (next != NULL) {
        tl_str_copy(page->next, sizeof(page->next), next->text);
        page->public.next = page->next;
    }
    if (count != NULL) {
        page->public.has_total = 1;
        page->public.total_exact = member(count, "exact", TL_JSON_TRUE) != NULL;
        if (!read_u64(count, "value", &page->public.total)) {
            return false;
        }
    }
    return read_u64(root, "indexed_to", &page->public.indexed_to);
}

static bool take_items(struct tl_page *page, const struct reply *reply)
{
    const struct tl_json *items = member(reply->root, "items", TL_JSON_ARRAY);
    if (items == NULL || items->count > page->limit) {
        return false;
    }
    for (const struct tl_json *at = items->first; at != NULL; at = at->next) {
        if (!take_item(page, reply->text, at)) {
            return false;
        }
    }
    finish(page);
    return take_rest(page, reply->root);
}

tally_status tl_remote_find(const struct tally_ledger *ledger, const struct tally_query *query,
                            struct tally_page **page_out, struct tally_error *err)
{
    static const char *const counts[] = { "none", "capped", "exact" };
    char memory[TL_HTTP_URL_MAX];
    struct tl_buf path;
    uint32_t limit = query->limit == 0 ? TL_PAGE_RECORDS_DEFAULT : query->limit;
    TL_TRY(begin_search(&path, memory, "/v1/events", query, err));
    add_number(&path, "limit", limit);
    if (query->offset > 0) {
        add_number(&path, "offset", query->offset);
    }
    if (query->cursor != NULL) {
        add_parameter(&path, "cursor", query->cursor);
    }
    add_parameter(&path, "order", query->order == TALLY_ORDER_OCCURRED ? "occurred_at" : "seq");
    add_parameter(&path, "dir", query->ascending != 0 ? "asc" : "desc");
    add_parameter(&path, "count", counts[query->count <= TALLY_COUNT_EXACT ? query->count : 0]);
    TL_CLEANUP(reply_release) struct reply reply = { 0 };
    TL_CLEANUP(tl_page_dropp) struct tl_page *page = tl_page_new(ledger, limit);
    if (page == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a page");
    }
    TL_TRY(ask(ledger, &path, &reply, err));
    bool good = take_items(page, &reply);
    if (tl_buf_status(&page->text) == TALLY_ENOMEM) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a page");
    }
    if (!good || tl_buf_status(&page->text) != TALLY_OK) {
        return make_no_sense(err);
    }
    *page_out = &page->public;
    page = NULL;
    return TALLY_OK;
}

tally_status tl_remote_get_one(const struct tally_ledger *ledger, const char *path_start,
                               const char *name, struct tally_page **page_out,
                               struct tally_error *err)
{
    char memory[TL_HTTP_URL_MAX];
    struct tl_buf path;
    begin_path(&path, memory, path_start, NULL);
    add_escaped(&path, name);
    TL_CLEANUP(reply_release) struct reply reply = { 0 };
    TL_CLEANUP(tl_page_dropp) struct tl_page *page = tl_page_new(ledger, 1);
    if (page == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a page");
    }
    TL_TRY(ask(ledger, &path, &reply, err));
    if (!take_item(page, reply.text, reply.root) || tl_buf_status(&page->text) != TALLY_OK) {
        return make_no_sense(err);
    }
    finish(page);
    *page_out = &page->public;
    page = NULL;
    return TALLY_OK;
}

tally_status tl_remote_count(const struct tally_ledger *ledger, const struct tally_query *query,
                             uint64_t *count_out, int *exact_out, struct tally_error *err)
{
    char memory[TL_HTTP_URL_MAX];
    struct tl_buf path;
    TL_TRY(begin_search(&path, memory, "/v1/count", query, err));
    add_parameter(&path, "exact", query->count == TALLY_COUNT_EXACT ? "true" : "false");
    TL_CLEANUP(reply_release) struct reply reply = { 0 };
    TL_TRY(ask(ledger, &path, &reply, err));
    *exact_out = member(reply.root, "exact", TL_JSON_TRUE) != NULL;
    return read_u64(reply.root, "count", count_out) ? TALLY_OK : make_no_sense(err);
}

/* The first microsecond of the day "2026-03-14", or of an hour; 0 if neither is there. */
static bool read_start(const struct tl_json *row, int64_t *us_out)
{
    char text[TL_TIME_SIZE];
    const struct tl_json *hour = member(row, "hour", TL_JSON_STRING);
    const struct tl_json *day = member(row, "day", TL_JSON_STRING);
    *us_out = 0;
    if (hour != NULL) {
        return tl_time_parse(us_out, hour->text) == TALLY_OK;
    }
    if (day == NULL) {
        return true;
    }
    (void)snprintf(text, sizeof(text), "%.10sT00:00:00Z",
                   day->text.len == 10 ? day->text.text : "");
    return tl_time_parse(us_out, tl_str_of(text)) == TALLY_OK;
}

tally_status tl_remote_stats(const struct tally_ledger *ledger, const struct tally_query *query,
                             const struct tl_remote_summary *summary,
                             struct tally_stats *totals_out, struct tally_error *err)
{
    char memory[TL_HTTP_URL_MAX];
    struct tl_buf path;
    TL_TRY(begin_search(&path, memory, "/v1/stats", query, err));
    add_parameter(&path, "by", summary->by);
    if (summary->bucket == TALLY_BUCKET_HOUR) {
        add_parameter(&path, "bucket", "hour");
    } else { /* which older servers know as well */
        add_parameter(&path, "by_day", summary->bucket == TALLY_BUCKET_DAY ? "true" : "false");
    }
    TL_CLEANUP(reply_release) struct reply reply = { 0 };
    TL_TRY(ask(ledger, &path, &reply, err));
    const struct tl_json *rows = member(reply.root, "rows", TL_JSON_ARRAY);
    if (rows == NULL || !read_u64(reply.root, "total", &totals_out->total) ||
        !read_u64(reply.root, "others", &totals_out->others)) {
        return make_no_sense(err);
    }
    for (const struct tl_json *row = rows->first; row != NULL; row = row->next) {
        const struct tl_json *key = member(row, "key", TL_JSON_STRING);
        uint64_t count = 0;
        int64_t start_us = 0;
        if (key == NULL || !read_u64(row, "count", &count) || !read_start(row, &start_us)) {
            return make_no_sense(err);
        }
        TL_TRY(summary->take(summary->ctx, key->text, start_us, count));
    }
    return TALLY_OK;
}

tally_status tl_remote_info(const struct tally_ledger *ledger, struct tally_info *info_out,
                            struct tally_error *err)
{
    struct tl_http_answer answer = { 0 };
    struct tl_checkpoint_body checkpoint = { .size = 0 };
    TL_CLEANUP(tl_freep) struct tl_note *note = tl_alloc_array(1, sizeof(*note));
    if (note == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a checkpoint");
    }
    tally_status status = tl_remote_get(ledger->remote, "/v1/checkpoint", &answer, err);
    if (status == TALLY_OK &&
        (tl_note_parse(note, answer.body.data, answer.body.len, NULL) != TALLY_OK ||
         tl_checkpoint_parse(&checkpoint, note->body, NULL) != TALLY_OK)) {
        status = make_no_sense(err);
    }
    tl_http_answer_release(&answer);
    TL_TRY(status);
    *info_out = (struct tally_info){ .size = checkpoint.size, .checkpoint_size = checkpoint.size };
    memcpy(info_out->root, checkpoint.root, sizeof(info_out->root));
    return TALLY_OK;
}
