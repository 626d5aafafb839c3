/* Retention, holds, and what acts have in common. */
#include <string.h>

#include "base/parse.h"
#include "server/server_impl.h"
#include "show/show.h"

#define SETTINGS_MAX 64u
#define RANGES_MAX   4000u /* in one hold */

bool tl_api_actor(struct tl_request *request, const struct tl_json *body,
                  struct tally_actor *actor_out)
{
    char by[TL_WHO_SIZE];
    struct tally_actor actor = { .by = NULL };
    tl_identity_text(&request->who, by);
    actor.by = tl_request_copy(request, tl_str_of(by));
    if (actor.by == NULL || !tl_member_text(request, body, "reason", &actor.reason) ||
        !tl_member_text(request, body, "ticket", &actor.ticket) ||
        !tl_member_text(request, body, "approval", &actor.approval)) {
        return false;
    }
    *actor_out = actor;
    return true;
}

void tl_show_act_problem(struct tl_js *js, const char *key, const char *instance, const char *act,
                         const struct tally_error *err)
{
    const char *code = act != NULL ? "needs_second_person" : tl_problem_code(err);
    tl_js_open(js, key, '{');
    (void)tl_problem_show(js, code, tl_problem_detail(err), instance); /* its status is in it */
    if (act != NULL) {
        tl_js_text(js, "request", act);
    }
    tl_js_close(js, '}');
}

void tl_api_act_failed(struct tl_request *request, char *act, const struct tally_error *err)
{
    if (act == NULL) {
        tl_reply_error(request, err);
        return;
    }
    struct tl_js js;
    tl_reply_begin(request, 409, &js);
    tl_show_act_problem(&js, NULL, request->id, act, err);
    tl_reply_end(request, &js);
    request->reply.content_type = "application/problem+json";
    tally_free(act);
}

/* ---- retention --------------------------------------------------------------------------------- */

static void add_rule(void *ctx, const struct tally_retention_rule *rule)
{
    tl_show_rule(ctx, NULL, rule);
}

void tl_api_retention(struct tl_request *request)
{
    struct tally_error err = TALLY_ERROR_INIT;
    struct tl_js js;
    tl_reply_list_begin(request, "rules", &js);
    tally_status status = tally_retention_list(request->server->ledger, add_rule, &js, &err);
    tl_reply_list_end(request, status, &err, &js);
}

/* "retention.default_days=90". Other settings are not for readers to try. */
static bool read_setting(struct tl_request *request, const char *text, struct tally_setting *out)
{
    static const struct tl_str prefix = { "retention.", sizeof("retention.") - 1 };
    const char *equals = strchr(text, '=');
    if (equals == NULL || !tl_str_starts(tl_str_of(text), prefix)) {
        tl_reply_problem(request, "bad_value",
                         "'settings' are of the form retention.default_days=400");
        return false;
    }
    char *key = tl_request_copy(request, (struct tl_str){ text, (size_t)(equals - text) });
    *out = (struct tally_setting){ key, equals + 1, "request" };
    return key != NULL;
}

void tl_api_retention_test(struct tl_request *request)
{
    static const char *const names[] = { "settings", NULL };
    struct tally_error err = TALLY_ERROR_INIT;
    struct tally_setting settings[SETTINGS_MAX];
    const struct tl_json *body = NULL;
    const char *const *texts = NULL;
    size_t count = 0;
    if (!tl_request_object(request, names, &body) ||
        !tl_member_texts(request, body, "settings", &texts, &count)) {
        return;
    }
    if (count == 0 || count > SETTINGS_MAX) {
        tl_reply_problem(request, count == 0 ? "missing" : "too_many",
                         "'settings' takes 1 to %u rules", SETTINGS_MAX);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        if (!read_setting(request, texts[i], &settings[i])) {
            return;
        }
    }
    struct tally_retention_effect effect = { 0 };
    tally_status status =
        tally_retention_test(request->server->ledger, settings, count, &effect, &err);
    if (status != TALLY_OK) {
        tl_reply_error(request, &err);
        return;
    }
    struct tl_js js;
    tl_reply_begin(request, 200, &js);
    tl_show_effect(&js, NULL, &effect);
    tl_reply_end(request, &js);
}

/* ---- holds ------------------------------------------------------------------------------------- */

static int add_hold(void *ctx, const struct tally_hold *hold)
{
    tl_show_hold(ctx, NULL, hold);
    return 0;
}

void tl_api_holds(struct tl_request *request)
{
    struct tally_error err = TALLY_ERROR_INIT;
    struct tl_js js;
    tl_reply_list_begin(request, "holds", &js);
    tally_status status = tally_hold_list(request->server->ledger, add_hold, &js, &err);
    tl_reply_list_end(request, status, &err, &js);
}

static bool read_seq(const struct tl_json *value, uint64_t *out)
{
    return value->type == TL_JSON_NUMBER &&
           tl_parse_u64(value->text.text, value->text.len, UINT64_MAX - 1, out) == TALLY_OK;
}

static bool read_range(const struct tl_json *pair, struct tally_range *out)
{
    return pair->type == TL_JSON_ARRAY && pair->count == 2 && read_seq(pair->first, &out->first) &&
           read_seq(pair->first->next, &out->last) && out->first <= out->last;
}

/* [[0,99],[200,200]]: ascending, apart. */
static bool read_ranges(struct tl_request *request, const struct tl_json *body,
                        struct tally_selection *selection)
{
    const struct tl_json *value = tl_json_member(body, "ranges");
    if (value == NULL) {
        return true;
    }
    bool is_right = value->type == TL_JSON_ARRAY && value->count > 0 && value->count <= RANGES_MAX;
    size_t size = is_right ? value->count * sizeof(struct tally_range) : 1;
    struct tally_range *ranges = tl_arena_alloc(&request->arena, size);
    if (ranges == NULL) {
        tl_reply_problem(request, "internal", "out of memory");
        return false;
    }
    size_t count = 0;
    for (const struct tl_json *pair = is_right ? value->first : NULL; pair != NULL;
         pair = pair->next) {
        is_right = is_right && read_range(pair, &ranges[count]) &&
                   (count == 0 || ranges[count].first > ranges[count - 1].last);
        count++;
    }
    if (!is_right) {
        tl_reply_problem(request, "bad_value",
                         "'ranges' are 1 to %u pairs as in [[0,99],[200,200]], ascending",
                         RANGES_MAX);
        return false;
    }
    selection->ranges = ranges;
    selection->range_count = count;
    return true;
}

static bool read_selection(struct tl_request *request, const struct tl_json *body,
                           struct tally_query *query, struct tally_selection *selection)
{
    const struct tl_json *filter = tl_json_member(body, "filter");
    bool is_all = false;
    if (!tl_member_bool(request, body, "all", &is_all) || !read_ranges(request, body, selection)) {
        return false;
    }
    if (filter != NULL && !tl_api_conditions(request, filter, query)) {
        return false;
    }
    if (filter != NULL && query->condition_count == 0) {
        tl_reply_problem(request, "missing", "'filter' has no condition");
        return false;
    }
    bool is_part = filter != NULL || selection->range_count > 0;
    if (is_part == is_all) {
        tl_reply_problem(request, is_all ? "bad_value" : "missing",
                         "'filter' and 'ranges', or 'all' without them, say which records");
        return false;
    }
    selection->query = filter != NULL ? query : NULL;
    return true;
}

/* A hold that is set is recorded with what it holds, when it is. */
static bool record_preview(struct tl_request *request, const char *id)
{
    TL_CLEANUP(tl_js_release) struct tl_js js = { 0 };
    tl_js_init(&js);
    tl_js_open(&js, NULL, '{');
    tl_js_text(&js, "hold", id);
    tl_js_close(&js, '}');
    request->is_preview = true;
    return tl_server_record_about(request, "tally.hold.set", &js);
}

void tl_api_hold_add(struct tl_request *request)
{
    static const char *const names[] = { "hold",    "filter", "ranges", "all",      "expires_at",
                                         "dry_run", "reason", "ticket", "approval", NULL };
    struct tally_error err = TALLY_ERROR_INIT;
    struct tally_query query = TALLY_QUERY_INIT;
    struct tally_selection selection = { .query = NULL };
    struct tally_held held = { .seq = TALLY_SEQ_NONE };
    struct tally_actor actor = { .by = NULL };
    const struct tl_json *body = NULL;
    const char *id = NULL;
    int64_t expires_us = 0;
    bool is_dry = false;
    char *act = NULL;
    if (!tl_request_object(request, names, &body) || !tl_member_text(request, body, "hold", &id) ||
        !tl_member_time(request, body, "expires_at", &expires_us) ||
        !tl_member_bool(request, body, "dry_run", &is_dry) ||
        !tl_api_actor(request, body, &actor) ||
        !read_selection(request, body, &query, &selection)) {
        return;
    }
    if (id == NULL) {
        tl_reply_problem(request, "missing", "'hold' is missing: the id of a hold");
        return;
    }
    if (is_dry && !record_preview(request, id)) {
        return;
    }
    if (tally_hold_add(request->server->ledger, id, &selection, expires_us, is_dry ? 1 : 0, &actor,
                       &held, &act, &err) != TALLY_OK) {
        tl_api_act_failed(request, act, &err);
        return;
    }
    struct tl_js js;
    tl_reply_begin(request, is_dry ? 200 : 201, &js);
    tl_show_held(&js, NULL, id, is_dry, &held);
    tl_reply_end(request, &js);
}

void tl_api_hold_release(struct tl_request *request)
{
    static const char *const names[] = { "reason", "ticket", "approval", NULL };
    struct tally_error err = TALLY_ERROR_INIT;
    struct tally_actor actor = { .by = NULL };
    const struct tl_json *body = NULL;
    char *act = NULL;
    if (!tl_request_object(request, names, &body) || !tl_api_actor(request, body, &actor)) {
        return;
    }
    if (tally_hold_release(request->server->ledger, request->args[0], &actor, &act, &err) !=
        TALLY_OK) {
        tl_api_act_failed(request, act, &err);
        return;
    }
    struct tl_js js;
    tl_reply_begin(request, 200, &js);
    tl_show_released(&js, NULL, request->args[0]);
    tl_reply_end(request, &js);
}
