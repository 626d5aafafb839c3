#include <stdio.h>
#include <string.h>

#include "server/server_impl.h"
#include "server/viewer_link.h"

void tl_api_tokens(struct tl_request *request)
{
    struct tl_js js;
    tl_reply_begin(request, 200, &js);
    tl_js_open(&js, NULL, '{');
    tl_js_open(&js, "tokens", '[');
    tally_status status = tl_tokens_show(request->server->tokens, NULL, &js);
    tl_js_close(&js, ']');
    tl_js_close(&js, '}');
    tl_reply_end(request, &js);
    if (status != TALLY_OK) {
        tl_reply_problem(request, "internal", "the tokens cannot be read");
    }
}

static bool read_token_request(struct tl_request *request, struct tl_token_request *out)
{
    static const char *const names[] = { "name", "role", "tenants", "expires_at", NULL };
    const struct tl_json *body = NULL;
    const char *role = NULL;
    if (!tl_request_object(request, names, &body) ||
        !tl_member_text(request, body, "name", &out->name) ||
        !tl_member_text(request, body, "role", &role) ||
        !tl_member_texts(request, body, "tenants", &out->tenants, &out->tenant_count) ||
        !tl_member_time(request, body, "expires_at", &out->expires_us)) {
        return false;
    }
    out->role = role == NULL ? 0 : tl_role_of(role);
    if (out->name == NULL || out->role == 0) {
        tl_reply_problem(request, "bad_value",
                         "a token needs a 'name', and a 'role': writer, reader, auditor or admin");
        return false;
    }
    return true;
}

/* Records an act with the token that it is about. */
static bool record_about(struct tl_request *request, const char *action, const char *id)
{
    TL_CLEANUP(tl_js_release) struct tl_js js = { 0 };
    tl_js_init(&js);
    tl_js_open(&js, NULL, '{');
    tally_status status = tl_tokens_show(request->server->tokens, id, &js);
    tl_js_close(&js, '}');
    if (status == TALLY_ENOTFOUND) {
        tl_reply_problem(request, "not_found", "there is no such token");
        return false;
    }
    return tl_server_record_about(request, action, &js);
}

static void reply_made(struct tl_request *request, const char *id, const char *text)
{
    struct tl_js js;
    tl_reply_begin(request, 201, &js);
    tl_js_open(&js, NULL, '{');
    tl_js_text(&js, "token", text);
    tally_status status = tl_tokens_show(request->server->tokens, id, &js);
    tl_js_close(&js, '}');
    tl_reply_end(request, &js);
    if (status != TALLY_OK) {
        tl_reply_problem(request, "internal", "the token was made, but cannot be shown");
    }
}

void tl_api_token_add(struct tl_request *request)
{
    struct tl_token_request made = { 0 };
    struct tally_error err = TALLY_ERROR_INIT;
    char text[TL_TOKEN_TEXT_SIZE];
    char id[TL_TOKEN_ID_SIZE];
    if (!read_token_request(request, &made)) {
        return;
    }
    if (tl_tokens_add(request->server->tokens, &made, text, id, &err) != TALLY_OK) {
        tl_reply_error(request, &err);
        return;
    }
    if (record_about(request, "tally.token.create", id)) {
        reply_made(request, id, text);
    }
    /* One that is not on record, or not shown, is nobody's: it ends before anyone has seen it. */
    if (request->reply.status != 201 &&
        tl_tokens_revoke(request->server->tokens, id, &err) != TALLY_OK) {
        tl_request_log(request, &err);
    }
    explicit_bzero(text, sizeof(text));
}

void tl_api_token_revoke(struct tl_request *request)
{
    struct tally_error err = TALLY_ERROR_INIT;
    if (!record_about(request, "tally.token.revoke", request->args[0])) {
        return;
    }
    if (tl_tokens_revoke(request->server->tokens, request->args[0], &err) != TALLY_OK) {
        tl_reply_error(request, &err);
        return;
    }
    struct tl_js js;
    tl_reply_begin(request, 200, &js);
    tl_js_open(&js, NULL, '{');
    tl_js_text(&js, "id", request->args[0]);
    tl_js_bool(&js, "revoked", true);
    tl_js_close(&js, '}');
    tl_reply_end(request, &js);
}

void tl_api_whoami(struct tl_request *request)
{
    const struct tl_identity *who = &request->who;
    struct tl_js js;
    tl_reply_begin(request, 200, &js);
    tl_js_open(&js, NULL, '{');
    tl_js_text(&js, "id", who->id);
    tl_js_text(&js, "name", who->name);
    tl_js_text(&js, "role", who->link != NULL ? "viewer" : tl_role_name(who->role));
    tl_js_open(&js, "tenants", '[');
    for (size_t i = 0; i < who->tenant_count; i++) {
        tl_js_text(&js, NULL, who->tenants[i]);
    }
    tl_js_close(&js, ']');
    if (who->link != NULL) {
        tl_js_time(&js, "expires_at", who->link->expires_us);
    }
    tl_js_close(&js, '}');
    tl_reply_end(request, &js);
}

static void reply_ok(struct tl_request *request)
{
    tl_reply_text(request, 200, "application/json", "{\"ok\":true}", 11);
}

void tl_api_healthz(struct tl_request *request)
{
    reply_ok(request);
}

void tl_api_readyz(struct tl_request *request)
{
    struct tally_activity activity = TALLY_ACTIVITY_INIT;
    struct tally_error err = TALLY_ERROR_INIT;
    if (tally_activity_read(request->server->options.location, &activity, &err) != TALLY_OK) {
        tl_reply_error(request, &err);
        return;
    }
    struct tl_health health;
    tl_health_judge(&health, &activity);
    if (tl_health_is_grave(&health)) {
        /* What is wrong names paths: an admin sees it in /v1/status. */
        tl_reply_problem(request, "store_unavailable", "events are not being recorded");
    } else {
        reply_ok(request);
    }
}

void tl_api_version(struct tl_request *request)
{
    struct tl_js js;
    tl_reply_begin(request, 200, &js);
    tl_js_open(&js, NULL, '{');
    tl_js_text(&js, "version", tally_version());
    tl_js_close(&js, '}');
    tl_reply_end(request, &js);
}

void tl_api_problem(struct tl_request *request)
{
    const struct tl_problem *problem = tl_problem_find(request->args[0]);
    if (problem == NULL) {
        tl_reply_problem(request, "not_found", "see docs/errors.md for the codes of events");
        return;
    }
    struct tl_js js;
    tl_reply_begin(request, 200, &js);
    tl_js_open(&js, NULL, '{');
    tl_js_text(&js, "code", problem->code);
    tl_js_u64(&js, "status", problem->status);
    tl_js_text(&js, "title", problem->title);
    tl_js_text(&js, "advice", problem->advice);
    tl_js_close(&js, '}');
    tl_reply_end(request, &js);
}
