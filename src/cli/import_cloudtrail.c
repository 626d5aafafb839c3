#include <string.h>

#include "cli/import.h"
#include "codec/ip.h"
#include "codec/json.h"

#define RESOURCES_MAX 64u
#define REASON_MAX    4096u

/* A record that is being taken apart. */
struct trail {
    struct tl_js *js;
    const char *text; /* that `record` was read from */
    const struct tl_json *record;
    bool reason_cut; /* errorMessage did not fit whole */
};

static const struct tl_json *member(const struct tl_json *object, const char *name)
{
    return object == NULL ? NULL : tl_json_member(object, name);
}

/* The text of a member that is a string and not empty; else absent. */
static struct tl_str string(const struct tl_json *object, const char *name)
{
    const struct tl_json *value = member(object, name);
    bool is_string = value != NULL && value->type == TL_JSON_STRING && value->text.len > 0;
    return is_string ? value->text : (struct tl_str){ NULL, 0 };
}

static void add_string(struct tl_js *js, const char *key, struct tl_str value)
{
    if (value.text != NULL) {
        tl_js_str(js, key, value);
    }
}

static void add_raw(const struct trail *trail, const char *key, const struct tl_json *value)
{
    tl_js_raw(trail->js, key,
              (struct tl_str){ trail->text + value->offset, value->end - value->offset });
}

/* "ec2" of "ec2.amazonaws.com", and the name of what was called. */
static void add_action(const struct trail *trail)
{
    static const struct tl_str suffix = { ".amazonaws.com", sizeof(".amazonaws.com") - 1 };
    struct tl_str service = string(trail->record, "eventSource");
    struct tl_str name = string(trail->record, "eventName");
    if (service.len > suffix.len &&
        memcmp(service.text + service.len - suffix.len, suffix.text, suffix.len) == 0) {
        service.len -= suffix.len;
    }
    TL_CLEANUP(tl_buf_release) struct tl_buf action = { 0 };
    tl_buf_init(&action, SIZE_MAX / 8);
    tl_buf_add_str(&action, service);
    tl_buf_add_text(&action, service.len > 0 && name.len > 0 ? "." : "");
    tl_buf_add_str(&action, name);
    if (action.len > 0) {
        tl_js_str(trail->js, "action", tl_buf_str(&action));
    }
}

static const char *actor_type(struct tl_str type)
{
    static const struct {
        const char *theirs;
        const char *ours;
    } types[] = {
        { "IAMUser", "user" },       { "IdentityCenterUser", "user" }, { "FederatedUser", "user" },
        { "Root", "admin" },         { "AssumedRole", "service" },     { "Role", "service" },
        { "AWSAccount", "service" }, { "AWSService", "system" },
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(types); i++) {
        if (tl_str_is(type, types[i].theirs)) {
            return types[i].ours;
        }
    }
    return type.text == NULL ? "system" : NULL;
}

static void add_actor(const struct trail *trail)
{
    static const char *const ids[] = { "arn", "principalId", "invokedBy" };
    const struct tl_json *identity = member(trail->record, "userIdentity");
    struct tl_str id = { NULL, 0 };
    for (size_t i = 0; i < TL_ARRAY_LEN(ids) && id.text == NULL; i++) {
        id = string(identity, ids[i]);
    }
    struct tl_str name = string(identity, "userName");
    if (name.text == NULL) {
        name = string(member(member(identity, "sessionContext"), "sessionIssuer"), "userName");
    }
    struct tl_str type = string(identity, "type");
    const char *ours = actor_type(type);
    tl_js_open(trail->js, "actor", '{');
    tl_js_str(trail->js, "id", id.text != NULL ? id : TL_STR("unknown"));
    add_string(trail->js, "name", name);
    tl_js_str(trail->js, "type", ours != NULL ? tl_str_of(ours) : type);
    tl_js_close(trail->js, '}');
}

static void add_targets(const struct trail *trail)
{
    const struct tl_json *resources = member(trail->record, "resources");
    if (resources == NULL || resources->type != TL_JSON_ARRAY) {
        return;
    }
    tl_js_open(trail->js, "targets", '[');
    size_t count = 0;
    for (const struct tl_json *at = resources->first; at != NULL && count < RESOURCES_MAX;
         at = at->next) {
        struct tl_str type = string(at, "type");
        struct tl_str id = string(at, "ARN");
        if (type.text == NULL && id.text == NULL) {
            continue;
        }
        tl_js_open(trail->js, NULL, '{');
        add_string(trail->js, "type", type);
        add_string(trail->js, "id", id);
        tl_js_close(trail->js, '}');
        count++;
    }
    tl_js_close(trail->js, ']');
}

/* Whether the targets say all that the resources do. */
static bool is_in_targets(const struct tl_json *resources)
{
    if (resources->type != TL_JSON_ARRAY || resources->count > RESOURCES_MAX) {
        return false;
    }
    for (const struct tl_json *at = resources->first; at != NULL; at = at->next) {
        uint32_t known = (string(at, "type").text != NULL ? 1u : 0u) +
                         (string(at, "ARN").text != NULL ? 1u : 0u);
        if (at->type != TL_JSON_OBJECT || known == 0 || at->count != known) {
            return false;
        }
    }
    return true;
}

static void add_outcome(struct trail *trail)
{
    struct tl_str code = string(trail->record, "errorCode");
    struct tl_str message = string(trail->record, "errorMessage");
    if (code.text == NULL && message.text == NULL) {
        return;
    }
    TL_CLEANUP(tl_buf_release) struct tl_buf reason = { 0 };
    tl_buf_init(&reason, SIZE_MAX / 8);
    tl_buf_add_str(&reason, code);
    tl_buf_add_text(&reason, code.len > 0 && message.len > 0 ? ": " : "");
    tl_buf_add_str(&reason, message);
    struct tl_str text = tl_buf_str(&reason);
    if (text.len > REASON_MAX) {
        trail->reason_cut = true;
        text.len = REASON_MAX;
        while (text.len > 0 && ((uint8_t)text.text[text.len] & 0xC0) == 0x80) {
            text.len--; /* not within a character */
        }
    }
    tl_js_text(trail->js, "outcome", "failure");
    tl_js_str(trail->js, "reason", text);
}

static bool is_address(struct tl_str text)
{
    char canonical[TL_IP_TEXT_SIZE];
    size_t len = 0;
    return text.text != NULL && tl_ip_canonical(canonical, &len, text) == TALLY_OK;
}

static void add_source(const struct trail *trail)
{
    struct tl_str address = string(trail->record, "sourceIPAddress");
    tl_js_open(trail->js, "source", '{');
    add_string(trail->js, "service", string(trail->record, "eventSource"));
    if (is_address(address)) {
        tl_js_str(trail->js, "ip", address);
    }
    add_string(trail->js, "user_agent", string(trail->record, "userAgent"));
    tl_js_close(trail->js, '}');
}

static void add_object(const struct trail *trail, const char *key, const char *name)
{
    const struct tl_json *value = member(trail->record, name);
    if (value != NULL && value->type == TL_JSON_OBJECT) {
        add_raw(trail, key, value);
    }
}

/* Whether the event says all that a member of the record does. */
static bool is_in_event(const struct trail *trail, const struct tl_json *value)
{
    static const char *const strings[] = { "eventID",     "eventTime",     "eventSource",
                                           "eventName",   "errorCode",     "userAgent",
                                           "requestID",   "sharedEventID", "recipientAccountId",
                                           "errorMessage" };
    static const char *const objects[] = { "requestParameters", "responseElements" };
    for (size_t i = 0; i < TL_ARRAY_LEN(strings); i++) {
        if (tl_str_is(value->key, strings[i])) {
            bool is_cut = trail->reason_cut && tl_str_is(value->key, "errorMessage");
            return value->type == TL_JSON_STRING && !is_cut;
        }
    }
    for (size_t i = 0; i < TL_ARRAY_LEN(objects); i++) {
        if (tl_str_is(value->key, objects[i])) {
            return value->type == TL_JSON_OBJECT || value->type == TL_JSON_NULL;
        }
    }
    if (tl_str_is(value->key, "readOnly")) {
        return value->type == TL_JSON_TRUE || value->type == TL_JSON_FALSE;
    }
    return tl_str_is(value->key, "resources") && is_in_targets(value);
}

/* What has no member of its own. */
static void add_metadata(const struct trail *trail)
{
    tl_js_open(trail->js, "metadata", '{');
    tl_js_open(trail->js, "cloudtrail", '{');
    for (const struct tl_json *at = trail->record->first; at != NULL; at = at->next) {
        if (!is_in_event(trail, at)) {
            tl_js_member(trail->js, at->key,
                         (struct tl_str){ trail->text + at->offset, at->end - at->offset });
        }
    }
    tl_js_close(trail->js, '}');
    tl_js_close(trail->js, '}');
}

void tl_cloudtrail_event(struct tl_js *js, const char *text, const struct tl_json *record)
{
    struct trail trail = { .js = js, .text = text, .record = record };
    const struct tl_json *read_only = member(record, "readOnly");
    bool is_read = read_only != NULL && read_only->type == TL_JSON_TRUE;
    tl_js_open(js, NULL, '{');
    add_string(js, "id", string(record, "eventID"));
    add_string(js, "occurred_at", string(record, "eventTime"));
    add_action(&trail);
    add_actor(&trail);
    add_targets(&trail);
    add_outcome(&trail);
    tl_js_text(js, "severity", is_read ? "low" : "medium");
    add_source(&trail);
    add_string(js, "request_id", string(record, "requestID"));
    add_string(js, "correlation_id", string(record, "sharedEventID"));
    add_string(js, "tenant_id", string(record, "recipientAccountId"));
    add_object(&trail, "request", "requestParameters");
    add_object(&trail, "response", "responseElements");
    add_metadata(&trail);
    tl_js_close(js, '}');
}
