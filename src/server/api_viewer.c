/* Links with which pages of others show some events. */
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/parse.h"
#include "base/random.h"
#include "server/server_impl.h"
#include "server/token_list.h"
#include "server/viewer_link.h"

#define TIME_DEFAULT_US (INT64_C(15) * 60 * 1000000)

/* "90s", "15m", "24h", "1d": one of these units, at most a day. */
static bool read_time_to_live(const char *text, int64_t *us_out)
{
    static const struct {
        char unit;
        int64_t us;
    } units[] = { { 's', 1000000 },
                  { 'm', INT64_C(60) * 1000000 },
                  { 'h', INT64_C(3600) * 1000000 },
                  { 'd', INT64_C(86400) * 1000000 } };
    size_t len = strlen(text);
    uint64_t count = 0;
    for (size_t i = 0; i < TL_ARRAY_LEN(units) && len > 0; i++) {
        if (text[len - 1] == units[i].unit &&
            tl_parse_u64(text, len - 1, (uint64_t)(TL_LINK_TIME_MAX_US / units[i].us), &count) ==
                TALLY_OK) {
            *us_out = (int64_t)count * units[i].us;
            return count > 0;
        }
    }
    return false;
}

static bool read_life(struct tl_request *request, const struct tl_json *body,
                      struct tl_viewer_link *link)
{
    int64_t us = TIME_DEFAULT_US;
    const char *text = NULL;
    if (!tl_member_text(request, body, "expires_in", &text)) {
        return false;
    }
    if (text != NULL && !read_time_to_live(text, &us)) {
        tl_reply_problem(request, "bad_value",
                         "'expires_in' is a time such as 90s, 15m or 24h, which is the most");
        return false;
    }
    link->expires_us = tl_clock->wall_us() + us;
    return true;
}

static bool read_origin(struct tl_request *request, const struct tl_json *body,
                        struct tl_viewer_link *link)
{
    link->origin = "";
    if (!tl_member_text(request, body, "origin", &link->origin)) {
        return false;
    }
    if (link->origin[0] != '\0' && !tl_cors_has_origin(request->server, link->origin)) {
        tl_reply_problem(request, "bad_value", "'origin' is not among server.viewer_origins");
        return false;
    }
    return true;
}

static bool owns(const struct tl_identity *who, const char *tenant)
{
    for (size_t i = 0; i < who->tenant_count; i++) {
        if (strcmp(who->tenants[i], tenant) == 0) {
            return true;
        }
    }
    return who->tenant_count == 0;
}

/* Whoever may see all tenants has to say which, or that it is all: nobody is to be forgotten. */
static bool check_tenants(struct tl_request *request, struct tl_viewer_link *link, bool is_all)
{
    const struct tl_identity *who = &request->who;
    if (link->tenant_count > TL_TENANTS_MAX) {
        tl_reply_problem(request, "bad_value", "a link has at most %u tenants", TL_TENANTS_MAX);
        return false;
    }
    if (who->tenant_count == 0 && is_all == (link->tenant_count > 0)) {
        tl_reply_problem(request, "bad_value", "name 'tenants', or say 'all_tenants': true");
        return false;
    }
    for (size_t i = 0; i < link->tenant_count; i++) {
        if (!tl_token_is_clean(tl_str_of(link->tenants[i]), TL_TENANT_SIZE - 1)) {
            tl_reply_problem(request, "bad_value", "a tenant has 1 to %u bytes of UTF-8",
                             TL_TENANT_SIZE - 1);
            return false;
        }
        if (!owns(who, link->tenants[i])) {
            tl_reply_problem(request, "forbidden", "the token may not see this tenant");
            return false;
        }
    }
    return true;
}

/* Those of the token, as a link has them. */
static bool take_tenants(struct tl_request *request, struct tl_viewer_link *link)
{
    const struct tl_identity *who = &request->who;
    const char **tenants = tl_arena_alloc(&request->arena, TL_TENANTS_MAX * sizeof(*tenants));
    if (tenants == NULL) {
        tl_reply_problem(request, "internal", "out of memory");
        return false;
    }
    for (size_t i = 0; i < who->tenant_count; i++) {
        tenants[i] = who->tenants[i];
    }
    link->tenants = tenants;
    link->tenant_count = who->tenant_count;
    return true;
}

static bool read_tenants(struct tl_request *request, const struct tl_json *body,
                         struct tl_viewer_link *link)
{
    bool is_limited = request->who.tenant_count > 0;
    bool is_all = false;
    if (!tl_member_texts(request, body, "tenants", &link->tenants, &link->tenant_count) ||
        !tl_member_bool(request, body, "all_tenants", &is_all)) {
        return false;
    }
    if (is_limited && is_all) {
        tl_reply_problem(request, "forbidden", "the token may not see all tenants");
        return false;
    }
    if (is_limited && link->tenant_count == 0) {
        return take_tenants(request, link);
    }
    return check_tenants(request, link, is_all);
}

static bool read_filter(struct tl_request *request, const struct tl_json *body,
                        struct tl_viewer_link *link)
{
    struct tally_query query = TALLY_QUERY_INIT;
    if (!tl_api_filter(request, tl_json_member(body, "filter"), TL_LINK_CONDITIONS_MAX,
                       &link->conditions, &link->condition_count)) {
        return false;
    }
    for (size_t i = 0; i < link->condition_count; i++) {
        if (strcmp(link->conditions[i].field, "kind") == 0) {
            tl_reply_problem(request, "bad_value",
                             "'kind' is no filter of a link: it shows events");
            return false;
        }
    }
    query.within = link->conditions;
    query.within_count = link->condition_count;
    return tl_api_try(request, &query);
}

static bool read_link(struct tl_request *request, struct tl_viewer_link *link)
{
    static const char *const names[] = { "tenants",    "all_tenants", "filter",
                                         "expires_in", "origin",      NULL };
    const struct tl_json *body = NULL;
    uint8_t id[(TL_TOKEN_ID_SIZE - 1) / 2];
    tl_random_bytes(id, sizeof(id));
    tl_hex_encode(link->id, id, sizeof(id));
    memcpy(link->by, request->who.id, sizeof(link->by));
    return tl_request_object(request, names, &body) && read_life(request, body, link) &&
           read_origin(request, body, link) && read_tenants(request, body, link) &&
           read_filter(request, body, link);
}

/* False: the reply is a problem. */
static bool seal(struct tl_request *request, const struct tl_viewer_link *link,
                 char text[TL_LINK_TEXT_SIZE])
{
    struct tally_error err = TALLY_ERROR_INIT;
    uint8_t key[TL_LINK_KEY_LEN];
    if (tl_tokens_link_key(request->server->tokens, key, &err) != TALLY_OK) {
        tl_reply_error(request, &err);
        return false;
    }
    tally_status status = tl_viewer_link_seal(text, link, key);
    explicit_bzero(key, sizeof(key));
    if (status == TALLY_ELIMIT) {
        tl_reply_problem(request, "bad_value", "the link would be longer than %u characters",
                         TL_LINK_TEXT_SIZE - 1);
    } else if (status != TALLY_OK) {
        tl_reply_problem(request, "internal", "out of memory");
    }
    return status == TALLY_OK;
}

/* What may be known of it: whose events, by which filters, until when; not the values. */
static void show(struct tl_js *js, const struct tl_viewer_link *link)
{
    tl_js_text(js, "id", link->id);
    tl_js_open(js, "tenants", '[');
    for (size_t i = 0; i < link->tenant_count; i++) {
        tl_js_text(js, NULL, link->tenants[i]);
    }
    tl_js_close(js, ']');
    tl_js_bool(js, "all_tenants", link->tenant_count == 0);
    tl_js_open(js, "filters", '[');
    for (size_t i = 0; i < link->condition_count; i++) {
        const char *field = link->conditions[i].field;
        if (i == 0 || strcmp(field, link->conditions[i - 1].field) != 0) {
            tl_js_text(js, NULL, field);
        }
    }
    tl_js_close(js, ']');
    tl_js_text(js, "origin", link->origin[0] == '\0' ? NULL : link->origin);
    tl_js_time(js, "expires_at", link->expires_us);
}

static bool record(struct tl_request *request, const struct tl_viewer_link *link)
{
    TL_CLEANUP(tl_js_release) struct tl_js js = { 0 };
    tl_js_init(&js);
    tl_js_open(&js, NULL, '{');
    show(&js, link);
    tl_js_close(&js, '}');
    return tl_server_record_about(request, "tally.viewer.create", &js);
}

static void reply(struct tl_request *request, const struct tl_viewer_link *link, const char *text)
{
    char url[sizeof("/ui/viewer.html#token=") + TL_LINK_TEXT_SIZE];
    struct tl_js js;
    (void)snprintf(url, sizeof(url), "/ui/viewer.html#token=%s", text);
    tl_reply_begin(request, 201, &js);
    tl_js_open(&js, NULL, '{');
    tl_js_text(&js, "token", text);
    tl_js_text(&js, "url", url);
    show(&js, link);
    tl_js_close(&js, '}');
    tl_reply_end(request, &js);
    explicit_bzero(url, sizeof(url));
}

void tl_api_viewer_link_add(struct tl_request *request)
{
    struct tl_viewer_link link = { .id = "" }; /* what it points to is the request's */
    char text[TL_LINK_TEXT_SIZE];
    if (request->who.id[0] == '\0') {
        tl_reply_problem(request, "forbidden", "a link is made with a token, and ends with it");
        return;
    }
    if (read_link(request, &link) && seal(request, &link, text) && record(request, &link)) {
        reply(request, &link, text);
    }
    explicit_bzero(text, sizeof(text));
}
