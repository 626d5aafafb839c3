#include "server/request.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "codec/time.h"
#include "server/problem.h"

const char *tl_request_param(const struct tl_request *request, const char *name)
{
    for (size_t i = 0; i < request->param_count; i++) {
        if (tl_str_is(request->params[i].name, name)) {
            return request->params[i].value.text;
        }
    }
    return NULL;
}

void tl_reply_begin(struct tl_request *request, unsigned status, struct tl_js *js)
{
    tl_js_init(js);
    request->reply.status = status;
    request->reply.content_type = "application/json";
}

void tl_reply_end(struct tl_request *request, struct tl_js *js)
{
    tally_status status = tl_buf_status(&js->buf);
    tl_buf_release(&request->reply.body);
    request->reply.body = js->buf;
    *js = (struct tl_js){ 0 };
    if (status != TALLY_OK) {
        request->reply.status = 0;
        tl_reply_problem(request, "internal", "out of memory");
    }
}

void tl_reply_list_begin(struct tl_request *request, const char *name, struct tl_js *js)
{
    tl_reply_begin(request, 200, js);
    tl_js_open(js, NULL, '{');
    tl_js_open(js, name, '[');
}

void tl_reply_list_end(struct tl_request *request, tally_status status,
                       const struct tally_error *err, struct tl_js *js)
{
    tl_js_close(js, ']');
    tl_js_close(js, '}');
    if (status == TALLY_OK) {
        tl_reply_end(request, js);
    } else {
        tl_js_release(js);
        tl_reply_error(request, err);
    }
}

void tl_reply_text(struct tl_request *request, unsigned status, const char *content_type,
                   const char *text, size_t len)
{
    request->reply.status = status;
    request->reply.content_type = content_type;
    tl_buf_add(&request->reply.body, text, len);
    if (tl_buf_status(&request->reply.body) != TALLY_OK) {
        tl_reply_problem(request, "internal", "out of memory");
    }
}

static struct tl_reply_header *add_header(struct tl_request *request, const char *name)
{
    tl_assert(request->reply.header_count < TL_REPLY_HEADERS);
    struct tl_reply_header *header = &request->reply.headers[request->reply.header_count++];
    header->name = name;
    return header;
}

void tl_reply_header(struct tl_request *request, const char *name, const char *fmt, ...)
{
    struct tl_reply_header *header = add_header(request, name);
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(header->value, sizeof(header->value), fmt, args);
    va_end(args);
}

void tl_reply_header_text(struct tl_request *request, const char *name, const char *text)
{
    add_header(request, name)->text = text;
}

char *tl_request_copy(struct tl_request *request, struct tl_str text)
{
    char *copy = tl_arena_alloc(&request->arena, text.len + 1);
    if (copy == NULL) {
        tl_reply_problem(request, "internal", "out of memory");
        return NULL;
    }
    tl_str_copy(copy, text.len + 1, text);
    return copy;
}

bool tl_request_is_type(const struct tl_request *request, const char *type)
{
    const char *given = request->content_type;
    size_t len = strlen(type);
    return given != NULL && strncasecmp(given, type, len) == 0 &&
           (given[len] == '\0' || given[len] == ';' || given[len] == ' ');
}

static bool is_among(struct tl_str name, const char *const *names)
{
    for (size_t i = 0; names[i] != NULL; i++) {
        if (tl_str_is(name, names[i])) {
            return true;
        }
    }
    return false;
}

bool tl_request_object(struct tl_request *request, const char *const *names,
                       const struct tl_json **root_out)
{
    static const struct tl_json_limits limits = {
        .bytes_max = 1 << 20, .depth_max = 8, .members_max = 100, .elements_max = 10000
    };
    struct tally_error err = TALLY_ERROR_INIT;
    if (request->body.len > 0 && !tl_request_is_type(request, "application/json")) {
        tl_reply_problem(request, "media_type", "the body is to be application/json");
        return false;
    }
    struct tl_str body = request->body.len == 0 ? TL_STR("{}") : tl_buf_str(&request->body);
    if (tl_json_read(&request->arena, body.text, body.len, &limits, root_out, &err) != TALLY_OK) {
        tl_reply_error(request, &err);
        return false;
    }
    if ((*root_out)->type != TL_JSON_OBJECT) {
        tl_reply_problem(request, "bad_type", "the body is to be one JSON object");
        return false;
    }
    for (const struct tl_json *member = (*root_out)->first; member != NULL; member = member->next) {
        if (!is_among(member->key, names)) {
            tl_reply_problem(request, "unknown_member", "there is no member of the name '%.*s'",
                             (int)(member->key.len < 64 ? member->key.len : 64), member->key.text);
            return false;
        }
    }
    return true;
}

static bool wrong_type(struct tl_request *request, const char *name, const char *want)
{
    tl_reply_problem(request, "bad_type", "'%s' is to be %s", name, want);
    return false;
}

bool tl_member_text(struct tl_request *request, const struct tl_json *object, const char *name,
                    const char **out)
{
    const struct tl_json *member = tl_json_member(object, name);
    if (member == NULL) {
        return true;
    }
    if (member->type != TL_JSON_STRING) {
        return wrong_type(request, name, "a string");
    }
    *out = tl_request_copy(request, member->text);
    return *out != NULL;
}

bool tl_member_bool(struct tl_request *request, const struct tl_json *object, const char *name,
                    bool *out)
{
    const struct tl_json *member = tl_json_member(object, name);
    if (member == NULL) {
        return true;
    }
    if (member->type != TL_JSON_TRUE && member->type != TL_JSON_FALSE) {
        return wrong_type(request, name, "true or false");
    }
    *out = member->type == TL_JSON_TRUE;
    return true;
}

static bool is_whole(double number)
{
    return number >= 0 && number <= 9007199254740992.0 && (double)(uint64_t)number >= number;
}

bool tl_member_u64(struct tl_request *request, const struct tl_json *object, const char *name,
                   uint64_t *out)
{
    const struct tl_json *member = tl_json_member(object, name);
    if (member == NULL) {
        return true;
    }
    if (member->type != TL_JSON_NUMBER || !is_whole(member->number)) {
        return wrong_type(request, name, "a whole number from 0");
    }
    *out = (uint64_t)member->number;
    return true;
}

bool tl_member_time(struct tl_request *request, const struct tl_json *object, const char *name,
                    int64_t *out)
{
    const struct tl_json *member = tl_json_member(object, name);
    if (member == NULL) {
        return true;
    }
    if (member->type != TL_JSON_STRING || tl_time_parse_naive(out, member->text) != TALLY_OK) {
        return wrong_type(request, name, "a time, as in 2027-01-01T00:00:00Z");
    }
    return true;
}

bool tl_member_texts(struct tl_request *request, const struct tl_json *object, const char *name,
                     const char *const **out, size_t *count_out)
{
    const struct tl_json *member = tl_json_member(object, name);
    if (member == NULL) {
        return true;
    }
    bool is_array = member->type == TL_JSON_ARRAY;
    size_t count = is_array ? member->count : 1;
    const char **texts = tl_arena_alloc(&request->arena, (count + 1) * sizeof(*texts));
    if (texts == NULL) {
        tl_reply_problem(request, "internal", "out of memory");
        return false;
    }
    const struct tl_json *value = is_array ? member->first : member;
    for (size_t i = 0; i < count; i++, value = value->next) {
        if (value->type != TL_JSON_STRING) {
            return wrong_type(request, name, "a string, or an array of strings");
        }
        texts[i] = tl_request_copy(request, value->text);
        if (texts[i] == NULL) {
            return false;
        }
    }
    *out = texts;
    *count_out = count;
    return true;
}
