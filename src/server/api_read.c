#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/parse.h"
#include "server/server_impl.h"
#include "server/viewer_link.h"

#define CONDITIONS_MAX (TL_PARAMS_MAX + TL_TENANTS_MAX + 2)
#define PAGE_BYTES     ((size_t)8 << 20)
#define EXPORT_RING    ((size_t)1 << 20)
#define LOOK_MS        250u
#define STALLED_US     INT64_C(60000000) /* a reader that takes nothing for so long is gone */

static bool add_condition(struct tl_request *request, struct tally_condition *conditions,
                          size_t *count, const char *field, const char *value)
{
    /* What a token may see is not for the one who asks to say. */
    bool is_limited = request->who.tenant_count > 0 || request->who.link != NULL;
    if (is_limited && strcmp(field, "kind") == 0) {
        tl_reply_problem(request, "forbidden",
                         "'kind' is not for a token with tenants, nor a link");
        return false;
    }
    if (*count == CONDITIONS_MAX - TL_TENANTS_MAX) {
        tl_reply_problem(request, "bad_parameter", "a search has at most %u conditions",
                         (unsigned)(CONDITIONS_MAX - TL_TENANTS_MAX));
        return false;
    }
    conditions[(*count)++] = (struct tally_condition){ field, value };
    return true;
}

static bool add_from_object(struct tl_request *request, const struct tl_json *from,
                            struct tally_condition *conditions, size_t *count)
{
    if (from->type != TL_JSON_OBJECT) {
        tl_reply_problem(request, "bad_type", "a filter is an object of conditions");
        return false;
    }
    for (const struct tl_json *member = from->first; member != NULL; member = member->next) {
        const char *const *values = NULL;
        size_t value_count = 0;
        const char *field = tl_request_copy(request, member->key);
        if (field == NULL || !tl_member_texts(request, from, field, &values, &value_count)) {
            return false;
        }
        if (value_count == 0) {
            tl_reply_problem(request, "bad_value", "a condition of the filter has no value");
            return false;
        }
        for (size_t i = 0; i < value_count; i++) {
            if (!add_condition(request, conditions, count, field, values[i])) {
                return false;
            }
        }
    }
    return true;
}

bool tl_api_filter(struct tl_request *request, const struct tl_json *from, size_t max,
                   const struct tally_condition **conditions_out, size_t *count_out)
{
    struct tally_condition *conditions =
        tl_arena_alloc(&request->arena, CONDITIONS_MAX * sizeof(*conditions));
    size_t count = 0;
    if (conditions == NULL) {
        tl_reply_problem(request, "internal", "out of memory");
        return false;
    }
    if (from != NULL && !add_from_object(request, from, conditions, &count)) {
        return false;
    }
    if (count > max) {
        tl_reply_problem(request, "bad_value", "the filter has more than %zu conditions", max);
        return false;
    }
    *conditions_out = conditions;
    *count_out = count;
    return true;
}

static bool add_from_params(struct tl_request *request, struct tally_condition *conditions,
                            size_t *count)
{
    for (size_t i = 0; i < request->param_count; i++) {
        const struct tl_param *param = &request->params[i];
        if (!tl_route_names(request->route, param->name) &&
            !add_condition(request, conditions, count, param->name.text, param->value.text)) {
            return false;
        }
    }
    return true;
}

static bool owns_tenant(const struct tl_identity *who, const char *tenant)
{
    for (size_t i = 0; i < who->tenant_count; i++) {
        if (strcmp(who->tenants[i], tenant) == 0) {
            return true;
        }
    }
    return false;
}

/*
 * Conditions on the same field are ORed: one that asks for a tenant of others would widen the search.
 * So those that are asked for are kept only if they are the token's, and else nothing can be found.
 */
static bool limit_to_tenants(const struct tl_identity *who, struct tally_condition *conditions,
                             size_t *count)
{
    size_t asked = 0;
    size_t kept = 0;
    size_t end = 0;
    for (size_t i = 0; i < *count; i++) {
        if (strcmp(conditions[i].field, "tenant_id") != 0) {
            conditions[end++] = conditions[i];
        } else {
            asked++;
            if (owns_tenant(who, conditions[i].value)) {
                kept++;
                conditions[end++] = conditions[i];
            }
        }
    }
    *count = end;
    for (size_t i = 0; i < who->tenant_count && asked == 0; i++) {
        conditions[(*count)++] = (struct tally_condition){ "tenant_id", who->tenants[i] };
    }
    return asked == 0 || kept > 0;
}

static void limit_to_link(const struct tl_identity *who, struct tally_query *query)
{
    if (who->link != NULL) {
        query->within = who->link->conditions;
        query->within_count = who->link->condition_count;
    }
}

bool tl_api_conditions(struct tl_request *request, const struct tl_json *from,
                       struct tally_query *query_out)
{
    struct tally_condition *conditions =
        tl_arena_alloc(&request->arena, CONDITIONS_MAX * sizeof(*conditions));
    size_t count = 0;
    if (conditions == NULL) {
        tl_reply_problem(request, "internal", "out of memory");
        return false;
    }
    if (from == NULL ? !add_from_params(request, conditions, &count)
                     : !add_from_object(request, from, conditions, &count)) {
        return false;
    }
    if (request->who.tenant_count > 0 && !limit_to_tenants(&request->who, conditions, &count)) {
        tl_reply_problem(request, "forbidden", "the token may not see this tenant");
        return false;
    }
    query_out->conditions = conditions;
    query_out->condition_count = count;
    limit_to_link(&request->who, query_out);
    return true;
}

static bool read_number(struct tl_request *request, const char *name, uint64_t max, uint64_t *out)
{
    const char *text = tl_request_param(request, name);
    if (text != NULL && tl_parse_u64(text, strlen(text), max, out) != TALLY_OK) {
        tl_reply_problem(request, "bad_parameter", "'%s' is a whole number, at most %" PRIu64, name,
                         max);
        return false;
    }
    return true;
}

/* One of two words; absent is the first. */
static bool read_word(struct tl_request *request, const char *name, const char *const words[3],
                      unsigned *index_out)
{
    const char *text = tl_request_param(request, name);
    *index_out = 0;
    for (unsigned i = 0; i < 3 && text != NULL && words[i] != NULL; i++) {
        if (strcmp(text, words[i]) == 0) {
            *index_out = i;
            return true;
        }
    }
    if (text != NULL) {
        tl_reply_problem(request, "bad_parameter", "'%s' is %s or %s", name, words[0], words[1]);
    }
    return text == NULL;
}

static bool read_query(struct tl_request *request, struct tally_query *query)
{
    static const char *const orders[3] = { "seq", "occurred_at", NULL };
    static const char *const directions[3] = { "desc", "asc", NULL };
    static const char *const counts[3] = { "none", "capped", "exact" };
    uint64_t limit = 50;
    unsigned order = 0;
    unsigned direction = 0;
    unsigned count = 0;
    if (!read_number(request, "limit", 1000, &limit) ||
        !read_number(request, "offset", 100000, &query->offset) ||
        !read_word(request, "order", orders, &order) ||
        !read_word(request, "dir", directions, &direction) ||
        !read_word(request, "count", counts, &count)) {
        return false;
    }
    if (limit == 0) {
        tl_reply_problem(request, "bad_limit", "'limit' is 1 to 1000");
        return false;
    }
    query->limit = (uint32_t)limit;
    query->order = order == 0 ? TALLY_ORDER_SEQ : TALLY_ORDER_OCCURRED;
    query->ascending = direction == 1;
    query->count = (enum tally_count_mode)count;
    query->cursor = tl_request_param(request, "cursor");
    return tl_api_conditions(request, NULL, query);
}

static void show_page(struct tl_request *request, const struct tally_page *page,
                      const struct tally_query *query)
{
    struct tl_js js;
    tl_reply_begin(request, 200, &js);
    tl_js_open(&js, NULL, '{');
    tl_js_open(&js, "items", '[');
    for (size_t i = 0; i < page->count; i++) {
        tl_js_raw(&js, NULL, (struct tl_str){ page->items[i].line, page->items[i].line_len });
    }
    tl_js_close(&js, ']');
    if (page->next != NULL) {
        tl_js_text(&js, "next", page->next);
    }
    tl_js_bool(&js, "complete", page->complete != 0);
    if (page->complete == 0) {
        tl_js_text(&js, "problem", page->problem);
    }
    tl_js_u64(&js, "indexed_to", page->indexed_to);
    if (query->count != TALLY_COUNT_NONE && page->has_total) {
        tl_js_open(&js, "count", '{');
        tl_js_u64(&js, "value", page->total);
        tl_js_bool(&js, "exact", page->total_exact != 0);
        tl_js_close(&js, '}');
    }
    tl_js_close(&js, '}');
    tl_reply_end(request, &js);
}

void tl_api_find(struct tl_request *request)
{
    struct tally_query query = TALLY_QUERY_INIT;
    struct tally_error err = TALLY_ERROR_INIT;
    struct tally_page *page = NULL;
    if (!read_query(request, &query)) {
        return;
    }
    if (tally_find(request->server->ledger, &query, &page, &err) != TALLY_OK) {
        tl_reply_error(request, &err);
        return;
    }
    show_page(request, page, &query);
    tally_page_free(page);
}

/* Whether the tenants of the token and the filter of the link allow it: asked of the search, which
 * knows where a tenant is. */
static tally_status check_scope(struct tl_request *request, uint64_t seq, struct tally_error *err)
{
    if (request->who.tenant_count == 0 && request->who.link == NULL) {
        return TALLY_OK;
    }
    struct tally_condition conditions[TL_TENANTS_MAX + 2];
    char from[24];
    char to[24];
    size_t count = 0;
    (void)snprintf(from, sizeof(from), "%" PRIu64, seq);
    (void)snprintf(to, sizeof(to), "%" PRIu64, seq + 1);
    conditions[count++] = (struct tally_condition){ "seq_from", from };
    conditions[count++] = (struct tally_condition){ "seq_to", to };
    for (size_t i = 0; i < request->who.tenant_count; i++) {
        conditions[count++] = (struct tally_condition){ "tenant_id", request->who.tenants[i] };
    }
    struct tally_query query = TALLY_QUERY_INIT;
    struct tally_page *page = NULL;
    query.conditions = conditions;
    query.condition_count = count;
    limit_to_link(&request->who, &query);
    TL_TRY(tally_find(request->server->ledger, &query, &page, err));
    bool is_there = page->count == 1;
    tally_page_free(page);
    return is_there ? TALLY_OK : tl_fail(err, TALLY_ENOTFOUND, "there is no such record");
}

bool tl_api_one(struct tl_request *request, bool by_id, struct tally_page **page_out)
{
    struct tally_error err = TALLY_ERROR_INIT;
    struct tally_ledger *ledger = request->server->ledger;
    const char *arg = request->args[0];
    uint64_t seq = 0;
    tally_status status = TALLY_OK;
    if (by_id) {
        status = tally_get_by_id(ledger, arg, page_out, &err);
    } else if (tl_parse_u64(arg, strlen(arg), UINT64_MAX - 1, &seq) != TALLY_OK) {
        tl_reply_problem(request, "not_found", "a position is a whole number");
        return false;
    } else {
        status = tally_get_by_seq(ledger, seq, page_out, &err);
    }
    if (status == TALLY_OK) {
        status = check_scope(request, (*page_out)->items[0].seq, &err);
        if (status != TALLY_OK) {
            tally_page_free(*page_out);
            *page_out = NULL;
        }
    }
    if (status == TALLY_ENOTFOUND) {
        tl_reply_problem(request, "not_found", "there is no such record");
    } else if (status != TALLY_OK) {
        tl_reply_error(request, &err);
    }
    return status == TALLY_OK;
}

void tl_api_gone(struct tl_request *request, const struct tally_item *item)
{
    struct tl_js js;
    tl_reply_begin(request, 410, &js);
    request->reply.content_type = "application/problem+json";
    tl_js_open(&js, NULL, '{');
    tl_js_text(&js, "type", "/problems/gone");
    tl_js_text(&js, "title", "The content was removed");
    tl_js_u64(&js, "status", 410);
    tl_js_text(&js, "code", "gone");
    tl_js_text(&js, "state", item->state);
    tl_js_text(&js, "instance", request->id);
    tl_js_u64(&js, "seq", item->seq);
    tl_js_hex(&js, "leaf_hash", item->leaf_hash, sizeof(item->leaf_hash));
    tl_js_close(&js, '}');
    tl_reply_end(request, &js);
}

static void get(struct tl_request *request, bool by_id)
{
    struct tally_page *page = NULL;
    if (!tl_api_one(request, by_id, &page)) {
        return;
    }
    const struct tally_item *item = &page->items[0];
    bool wants_bytes =
        request->accept != NULL && strcmp(request->accept, "application/vnd.tally.canonical") == 0;
    if (wants_bytes && strcmp(item->kind, "event") != 0) {
        tl_reply_problem(request, "not_acceptable",
                         "a control record has no event: ask for application/json");
    } else if (wants_bytes && item->event == NULL) {
        tl_api_gone(request, item);
    } else if (wants_bytes) {
        tl_reply_text(request, 200, "application/vnd.tally.canonical", item->event,
                      item->event_len);
    } else {
        tl_reply_text(request, 200, "application/json", item->line, item->line_len);
    }
    tally_page_free(page);
}

void tl_api_get(struct tl_request *request)
{
    get(request, true);
}

void tl_api_record(struct tl_request *request)
{
    get(request, false);
}

/* Takes the text over. */
static void reply_public(struct tl_request *request, tally_status status, char *text,
                         const struct tally_error *err)
{
    if (status == TALLY_OK) {
        tl_reply_text(request, 200, "text/plain; charset=utf-8", text, strlen(text));
    } else {
        tl_reply_error(request, err);
    }
    tally_free(text);
}

static void prove(struct tl_request *request, bool by_id)
{
    struct tally_page *page = NULL;
    struct tally_error err = TALLY_ERROR_INIT;
    char *text = NULL;
    if (!tl_api_one(request, by_id, &page)) {
        return;
    }
    uint64_t seq = page->items[0].seq;
    tally_page_free(page);
    tally_status status = tally_proof_make(request->server->ledger, seq, &text, &err);
    tl_reply_header(request, "Content-Disposition",
                    "attachment; filename=\"%" PRIu64 ".tlog-proof\"", seq);
    reply_public(request, status, text, &err);
}

void tl_api_proof_id(struct tl_request *request)
{
    prove(request, true);
}

void tl_api_proof_seq(struct tl_request *request)
{
    prove(request, false);
}

void tl_api_checkpoint(struct tl_request *request)
{
    struct tally_error err = TALLY_ERROR_INIT;
    uint64_t size = 0;
    char *text = NULL;
    if (read_number(request, "size", UINT64_MAX, &size)) {
        tally_status status = tally_checkpoint(request->server->ledger, size, &text, &err);
        reply_public(request, status, text, &err);
    }
}

void tl_api_consistency(struct tl_request *request)
{
    struct tally_error err = TALLY_ERROR_INIT;
    uint64_t from = 0;
    char *text = NULL;
    if (tl_request_param(request, "from") == NULL) {
        tl_reply_problem(request, "bad_parameter", "'from' is needed: the older size");
    } else if (read_number(request, "from", UINT64_MAX, &from)) {
        tally_status status = tally_consistency_make(request->server->ledger, from, &text, &err);
        reply_public(request, status, text, &err);
    }
}

void tl_api_trust(struct tl_request *request)
{
    struct tally_error err = TALLY_ERROR_INIT;
    char *text = NULL;
    tally_status status = tally_trust_text(request->server->ledger, &text, &err);
    reply_public(request, status, text, &err);
}

void tl_api_count(struct tl_request *request)
{
    static const char *const words[3] = { "false", "true", NULL };
    struct tally_query query = TALLY_QUERY_INIT;
    struct tally_error err = TALLY_ERROR_INIT;
    unsigned exact = 0;
    uint64_t count = 0;
    int is_exact = 0;
    if (!read_word(request, "exact", words, &exact) || !tl_api_conditions(request, NULL, &query)) {
        return;
    }
    query.count = exact == 1 ? TALLY_COUNT_EXACT : TALLY_COUNT_CAPPED;
    if (tally_count(request->server->ledger, &query, &count, &is_exact, &err) != TALLY_OK) {
        tl_reply_error(request, &err);
        return;
    }
    struct tl_js js;
    tl_reply_begin(request, 200, &js);
    tl_show_count(&js, NULL, count, is_exact != 0);
    tl_reply_end(request, &js);
}

void tl_api_stats(struct tl_request *request)
{
    static const char *const words[3] = { "false", "true", NULL };
    static const char *const buckets[3] = { "day", "hour", NULL };
    struct tally_query query = TALLY_QUERY_INIT;
    struct tally_error err = TALLY_ERROR_INIT;
    struct tally_stats *stats = NULL;
    unsigned by_day = 0;
    unsigned bucket = 0;
    const char *by = tl_request_param(request, "by");
    if (by == NULL) {
        tl_reply_problem(request, "bad_parameter", "'by' is needed: day, action, actor_id, ...");
        return;
    }
    if (!read_word(request, "by_day", words, &by_day) ||
        !read_word(request, "bucket", buckets, &bucket) ||
        !tl_api_conditions(request, NULL, &query)) {
        return;
    }
    bool has_bucket = by_day == 1 || tl_request_param(request, "bucket") != NULL;
    if (by_day == 1 && bucket == 1) {
        tl_reply_problem(request, "bad_parameter", "'by_day' is not by hour");
        return;
    }
    int split = bucket == 1 ? TALLY_BUCKET_HOUR : has_bucket ? TALLY_BUCKET_DAY : TALLY_BUCKET_NONE;
    if (tally_stats(request->server->ledger, &query, by, split, &stats, &err) != TALLY_OK) {
        tl_reply_error(request, &err);
        return;
    }
    struct tl_js js;
    tl_reply_begin(request, 200, &js);
    tl_show_stats(&js, NULL, by, stats);
    tl_reply_end(request, &js);
    tally_stats_free(stats);
}

void tl_api_sources(struct tl_request *request)
{
    struct tally_error err = TALLY_ERROR_INIT;
    struct tally_sources *sources = NULL;
    if (tally_sources(request->server->ledger, &sources, &err) != TALLY_OK) {
        tl_reply_error(request, &err);
        return;
    }
    struct tl_js js;
    tl_reply_begin(request, 200, &js);
    tl_show_sources(&js, NULL, sources);
    tl_reply_end(request, &js);
    tally_sources_free(sources);
}

/* ---- exports ---------------------------------------------------------------------------------- */

bool tl_api_try(struct tl_request *request, const struct tally_query *query)
{
    struct tally_error err = TALLY_ERROR_INIT;
    struct tally_query one = *query;
    struct tally_page *page = NULL;
    one.limit = 1;
    if (tally_find(request->server->ledger, &one, &page, &err) != TALLY_OK) {
        tl_reply_error(request, &err);
        return false;
    }
    tally_page_free(page);
    return true;
}

/* An export goes on after its handler has returned, on a thread of its own. */
struct export
{
    struct tally_ledger *ledger;
    struct tl_server *server;
    struct tl_stream *stream;
    struct tl_arena arena; /* of the conditions */
    struct tally_query query;
    enum tally_format format;
    char token[TL_TOKEN_ID_SIZE]; /* whose; "": of the other end of a Unix socket */
    int64_t looked_us;            /* when it was in force */
};

static bool may_go_on(struct export *export, int64_t now_us)
{
    if (tl_counter_get(&export->server->stopping) != 0) {
        return false;
    }
    if (export->token[0] == '\0' || now_us - export->looked_us < (int64_t)LOOK_MS * 1000) {
        return true;
    }
    export->looked_us = now_us;
    return tl_tokens_is_in_force(export->server->tokens, export->token);
}

static tally_status write_part(void *ctx, const char *bytes, size_t len)
{
    struct export *export = ctx;
    int64_t moved_us = tl_clock->steady_us();
    while (len > 0) {
        size_t done = 0;
        int64_t now_us = tl_clock->steady_us();
        if (!may_go_on(export, now_us) || now_us - moved_us > STALLED_US) {
            return TALLY_ECANCELED;
        }
        TL_TRY(tl_stream_write(export->stream, bytes, len, LOOK_MS, &done));
        moved_us = done > 0 ? now_us : moved_us;
        bytes += done;
        len -= done;
    }
    return TALLY_OK;
}

static void *run_export(void *ctx)
{
    struct export *export = ctx;
    struct tally_export_options options = TALLY_EXPORT_OPTIONS_INIT;
    struct tally_export_result result;
    struct tally_error err = TALLY_ERROR_INIT;
    options.format = export->format;
    options.write = write_part;
    options.ctx = export;
    tally_status status = tally_export(export->ledger, &export->query, &options, &result, &err);
    if (status != TALLY_OK) {
        tl_server_log(export->server, "export broken off status=%s what=\"%s\"",
                      tally_status_name(status), err.message);
    }
    struct tl_server *server = export->server;
    tl_stream_end_writing(export->stream, status == TALLY_OK && result.complete != 0);
    tl_arena_release(&export->arena);
    tl_free(export);
    tl_server_export_ended(server);
    return NULL;
}

static bool start_export(struct tl_request *request, struct export *export)
{
    if (tl_stream_new(&export->stream, EXPORT_RING) != TALLY_OK) {
        tl_reply_problem(request, "internal", "out of memory");
        return false;
    }
    request->reply.stream = export->stream;
    /* The conditions live in the request's arena, which ends before the export may. */
    export->arena = request->arena;
    tl_arena_init(&request->arena, (size_t)1 << 20);
    if (!tl_server_start_export(request->server, run_export, export)) {
        tl_arena_release(&request->arena);
        request->arena = export->arena;
        tl_stream_end_writing(export->stream, false);
        tl_stream_end_reading(export->stream);
        request->reply.stream = NULL;
        tl_reply_problem(request, "rate", "too many exports are being made: try again later");
        return false;
    }
    return true;
}

void tl_api_export(struct tl_request *request)
{
    static const char *const formats[3] = { "ndjson", "json", "csv" };
    static const enum tally_format values[3] = { TALLY_FORMAT_NDJSON, TALLY_FORMAT_JSON,
                                                 TALLY_FORMAT_CSV };
    static const char *const types[3] = { "application/x-ndjson", "application/json",
                                          "text/csv; charset=utf-8" };
    unsigned format = 0;
    struct export *export = tl_alloc_array(1, sizeof(*export));
    if (export == NULL) {
        tl_reply_problem(request, "internal", "out of memory");
        return;
    }
    export->query = (struct tally_query)TALLY_QUERY_INIT;
    export->server = request->server;
    export->ledger = request->server->ledger;
    memcpy(export->token, request->who.id, sizeof(export->token));
    if (!read_word(request, "format", formats, &format) ||
        !tl_api_conditions(request, NULL, &export->query) || !tl_api_try(request, &export->query)) {
        tl_free(export);
        return;
    }
    export->format = values[format];
    if (!start_export(request, export)) {
        tl_free(export);
        return;
    }
    request->reply.status = 200;
    request->reply.content_type = types[format];
    tl_reply_header(request, "Content-Disposition", "attachment; filename=\"tally-export.%s\"",
                    formats[format]);
}
