#include "server/problem.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const struct tl_problem tl_problems[] = {
    { "bad_request", 400, "The request is malformed",
      "Send one Host, one Content-Length or chunked coding, and no control characters." },
    { "bad_json", 400, "The body is not JSON", "Send one well-formed JSON value." },
    { "bad_utf8", 400, "The body is not UTF-8", "Send valid UTF-8 without lone surrogates." },
    { "duplicate_member", 400, "A member stands there twice", "Send each member once." },
    { "bad_cursor", 400, "The cursor is of no page of this search",
      "Begin again without a cursor, with the same filter and order for every page." },
    { "bad_parameter", 400, "A parameter is wrong", "See docs/http-api.md for what it takes." },
    { "unknown_parameter", 400, "There is no such parameter",
      "A misspelt parameter is refused, so that it is never no filter." },
    { "unknown_filter", 400, "There is no such filter",
      "A misspelt filter is refused, so that it is never no filter." },
    { "unauthenticated", 401, "A token is needed",
      "Send 'Authorization: Bearer TOKEN'; 'tally token create' makes one." },
    { "forbidden", 403, "The token does not allow it", "Ask for a token of another role." },
    { "not_found", 404, "There is no such thing", "Look at the path, and at the token's tenants." },
    { "method", 405, "This path does not take the method", "See docs/http-api.md." },
    { "not_acceptable", 406, "It cannot be had in that form", "Ask for application/json." },
    { "id_conflict", 409, "The id is taken by another event",
      "An id names one event for ever: give the new one an id of its own." },
    { "on_hold", 409, "A legal hold forbids it", "Release the hold first, if that is right." },
    { "needs_second_person", 409, "A second person has to sign it",
      "Hand `request` to an approver, who signs it with 'tally approve', and send the signature as "
      "`approval`." },
    { "changed", 409, "Something changed meanwhile", "Look again, and decide again." },
    { "busy", 409, "Another act of this kind is at work", "Wait for it to end." },
    { "gone", 410, "The content was removed",
      "Its place in the ledger and its hash are there: ask for the record as JSON." },
    { "too_large", 413, "The body is too large", "Send less at once." },
    { "media_type", 415, "The body has a type that is not taken",
      "Send application/json or application/x-ndjson." },
    { "bad_value", 422, "A value is wrong", "See docs/events.md." },
    { "bad_type", 422, "A value has the wrong type", "See docs/http-api.md." },
    { "unknown_member", 422, "There is no such member", "See docs/http-api.md." },
    { "missing", 422, "A member is missing", "See docs/http-api.md." },
    { "policy", 422, "The policy does not record it",
      "The action is not allowed, or the token may not write for this tenant." },
    { "bad_limit", 422, "The limit is wrong", "It is 1 to 1000." },
    { "not_erasable", 422, "The policy does not allow it to be erased",
      "Members are erasable only as the policy said when the event was recorded." },
    { "rate", 429, "Too many requests", "Wait as long as Retry-After says." },
    { "header_too_large", 431, "The header block is too large", "Send less than 16 KiB." },
    { "internal", 500, "Something failed here",
      "Send it again once; then look at the server's log." },
    { "corrupt", 500, "Stored data cannot be read", "Run 'tally verify' and 'tally doctor'." },
    { "not_supported", 501, "This ledger cannot do that", "See docs/operating.md." },
    { "store_unavailable", 503, "The ledger cannot be used now",
      "Send it again with the same id; 'tally status' says what is wrong." },
    { "spool_full", 503, "The spool is full", "Send it again later, with the same id." },
    { "starting", 503, "The server is being started", "Send it again in a second." },
    { "stopping", 503, "The server is being stopped", "Send it again in a few seconds." },
    { "disk_full", 507, "The disk is full", "Make room; then send it again with the same id." },
};
const size_t tl_problem_count = TL_ARRAY_LEN(tl_problems);

const struct tl_problem *tl_problem_find(const char *code)
{
    for (size_t i = 0; i < tl_problem_count; i++) {
        if (strcmp(tl_problems[i].code, code) == 0) {
            return &tl_problems[i];
        }
    }
    return NULL;
}

/* Codes of the event model are many, and all mean that an event breaks a rule. */
static struct tl_problem problem_of(const char *code)
{
    const struct tl_problem *problem = tl_problem_find(code);
    if (problem != NULL) {
        return *problem;
    }
    return (struct tl_problem){ code, 422, "The event breaks a rule", "" };
}

const char *tl_problem_code(const struct tally_error *err)
{
    switch (err->status) {
    case TALLY_EINVAL:
        return err->code[0] != '\0' ? err->code : "bad_value";
    case TALLY_ENOTFOUND:
        return "not_found";
    case TALLY_EBUSY:
        return err->code[0] != '\0' ? err->code : "store_unavailable";
    case TALLY_EIO:
        return err->os_errno == ENOSPC ? "disk_full" : "store_unavailable";
    case TALLY_ECORRUPT:
        return "corrupt";
    case TALLY_ENOTSUP:
        return "not_supported";
    case TALLY_ELIMIT:
        return err->code[0] != '\0' ? err->code : "too_large";
    case TALLY_ECONFLICT:
        return "changed";
    case TALLY_EREFUSED:
        return err->code[0] != '\0' ? err->code : "bad_value";
    case TALLY_EDISABLED:
        return "policy";
    case TALLY_EDENIED:
        return strcmp(err->code, "held") == 0 ? "on_hold" : "needs_second_person";
    case TALLY_ECANCELED:
    case TALLY_OK:
    case TALLY_ENOMEM:
        break;
    }
    return "internal";
}

static bool is_inside(const struct tally_error *err)
{
    return err->status == TALLY_EIO || err->status == TALLY_ECORRUPT ||
           err->status == TALLY_ENOMEM || (err->status == TALLY_EBUSY && err->code[0] == '\0') ||
           strcmp(err->code, "spool_full") == 0;
}

const char *tl_problem_detail(const struct tally_error *err)
{
    return is_inside(err) ? tally_status_name(err->status) : err->message;
}

unsigned tl_problem_show(struct tl_js *js, const char *code, const char *detail,
                         const char *instance)
{
    struct tl_problem problem = problem_of(code);
    char type[64];
    (void)snprintf(type, sizeof(type), "/problems/%s", code);
    tl_js_text(js, "type", type);
    tl_js_text(js, "title", problem.title);
    tl_js_u64(js, "status", problem.status);
    tl_js_text(js, "code", code);
    tl_js_text(js, "detail", detail);
    if (instance != NULL) {
        tl_js_text(js, "instance", instance);
    }
    return problem.status;
}

static void begin(struct tl_request *request, struct tl_js *js, const char *code,
                  const char *detail)
{
    tl_buf_clear(&request->reply.body);
    request->reply.header_count = 0;
    request->reply.fixed = (struct tl_str){ 0 };
    request->reply.content_type = "application/problem+json";
    tl_js_init(js);
    tl_js_open(js, NULL, '{');
    unsigned status = tl_problem_show(js, code, detail, request->id);
    request->reply.status = status;
    if (status == 401) {
        tl_reply_header(request, "WWW-Authenticate", "Bearer realm=\"tally\"");
    } else if (status == 503 || status == 429) {
        tl_reply_header(request, "Retry-After", "1");
    }
}

static void end(struct tl_request *request, struct tl_js *js)
{
    tl_js_close(js, '}');
    if (tl_buf_status(&js->buf) == TALLY_OK) {
        tl_buf_release(&request->reply.body);
        request->reply.body = js->buf;
        *js = (struct tl_js){ 0 };
    } else {
        tl_js_release(js); /* the status alone has to say it */
    }
}

void tl_reply_problem(struct tl_request *request, const char *code, const char *fmt, ...)
{
    char detail[320];
    struct tl_js js;
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(detail, sizeof(detail), fmt, args);
    va_end(args);
    begin(request, &js, code, detail);
    end(request, &js);
}

static void add_item(struct tl_js *js, const struct tally_error *err, const size_t *index)
{
    tl_assert(err != NULL);
    tl_js_open(js, NULL, '{');
    if (index != NULL) {
        tl_js_u64(js, "index", *index);
    }
    if (err->pointer[0] != '\0') {
        tl_js_text(js, "pointer", err->pointer);
    }
    if (err->has_offset && err->offset >= 0) {
        tl_js_u64(js, "offset", (uint64_t)err->offset);
    }
    tl_js_text(js, "code", tl_problem_code(err));
    tl_js_text(js, "detail", err->message);
    tl_js_close(js, '}');
}

void tl_reply_error_after(struct tl_request *request, const struct tally_error *err,
                          const size_t *accepted)
{
    struct tl_js js;
    if (is_inside(err)) {
        tl_request_log(request, err);
    }
    begin(request, &js, tl_problem_code(err), tl_problem_detail(err));
    if (accepted != NULL) {
        tl_js_u64(&js, "accepted", *accepted);
    }
    if (err->pointer[0] != '\0' || err->has_offset) {
        tl_js_open(&js, "errors", '[');
        add_item(&js, err, NULL);
        tl_js_close(&js, ']');
    }
    end(request, &js);
}

void tl_reply_error(struct tl_request *request, const struct tally_error *err)
{
    tl_reply_error_after(request, err, NULL);
}

void tl_reply_problem_items(struct tl_request *request, const char *code,
                            const struct tl_problem_item *items, size_t count, size_t total,
                            const char *detail)
{
    struct tl_js js;
    begin(request, &js, code, detail);
    tl_js_u64(&js, "errors_total", total);
    tl_js_open(&js, "errors", '[');
    for (size_t i = 0; i < count; i++) {
        add_item(&js, &items[i].err, &items[i].index);
    }
    tl_js_close(&js, ']');
    end(request, &js);
}
