/*
 * Recorded events, read back. Canonical text has its names in order, so one pass over the text and
 * one over a table of names meet each member once.
 */
#include "codec/json.h"
#include "codec/time.h"
#include "model/event.h"

/* How a member is read: one string of the view, or something of several parts. */
enum field_kind {
    FIELD_TEXT,
    FIELD_SPAN,
    FIELD_OCCURRED,
    FIELD_ACTOR,
    FIELD_SOURCE,
    FIELD_TAGS,
    FIELD_TARGETS,
};

struct field {
    struct tl_str name;
    enum field_kind kind;
    size_t offset; /* of the string in what it belongs to */
};

/* clang-format off */
#define FIELD(name, kind, type, member) { { (name), sizeof(name) - 1 }, (kind), offsetof(type, member) }
#define VIEW(name, kind, member)        FIELD(name, kind, struct tl_event_view, member)
#define KEY(name, kind, member)         FIELD(name, kind, struct tl_event_keys, member)
#define TARGET(name)                    FIELD(#name, FIELD_TEXT, struct tl_target_view, name)

static const struct field view_fields[] = {
    VIEW("action", FIELD_TEXT, action),
    VIEW("actor", FIELD_ACTOR, actor_id),
    VIEW("causation_id", FIELD_TEXT, causation_id),
    VIEW("correlation_id", FIELD_TEXT, correlation_id),
    VIEW("ended_at", FIELD_TEXT, ended_at),
    VIEW("id", FIELD_TEXT, id),
    VIEW("metadata", FIELD_SPAN, metadata_json),
    VIEW("new_values", FIELD_SPAN, new_values_json),
    VIEW("occurred_at", FIELD_OCCURRED, occurred_at),
    VIEW("old_values", FIELD_SPAN, old_values_json),
    VIEW("outcome", FIELD_TEXT, outcome),
    VIEW("reason", FIELD_TEXT, reason),
    VIEW("request", FIELD_SPAN, request_json),
    VIEW("request_id", FIELD_TEXT, request_id),
    VIEW("response", FIELD_SPAN, response_json),
    VIEW("session_id", FIELD_TEXT, session_id),
    VIEW("severity", FIELD_TEXT, severity),
    VIEW("source", FIELD_SOURCE, service),
    VIEW("span_id", FIELD_TEXT, span_id),
    VIEW("started_at", FIELD_TEXT, started_at),
    VIEW("tags", FIELD_TAGS, tags_json),
    VIEW("targets", FIELD_TARGETS, targets_json),
    VIEW("tenant_id", FIELD_TEXT, tenant_id),
    VIEW("trace_id", FIELD_TEXT, trace_id),
    VIEW("transport", FIELD_TEXT, transport),
};
static const struct field actor_fields[] = {
    VIEW("id", FIELD_TEXT, actor_id),
    VIEW("name", FIELD_TEXT, actor_name),
    VIEW("type", FIELD_TEXT, actor_type),
};
static const struct field source_fields[] = {
    VIEW("host", FIELD_TEXT, host),
    VIEW("ip", FIELD_TEXT, ip),
    VIEW("service", FIELD_TEXT, service),
    VIEW("user_agent", FIELD_TEXT, user_agent),
};
static const struct field key_fields[] = {
    KEY("action", FIELD_TEXT, action),
    KEY("id", FIELD_TEXT, id),
    KEY("occurred_at", FIELD_TEXT, occurred_at),
    KEY("outcome", FIELD_TEXT, outcome),
    KEY("severity", FIELD_TEXT, severity),
    KEY("source", FIELD_SOURCE, service),
    KEY("tenant_id", FIELD_TEXT, tenant_id),
};
static const struct field target_fields[] = {
    TARGET(id),
    TARGET(name),
    TARGET(type),
};
/* clang-format on */

struct reader {
    struct tl_event_view *view;
    struct tl_arena *arena;
    const char *text;
    size_t len;
};

/* Finds the field called `name` at or after *at, and moves *at there or to where it would be. */
static const struct field *find_field(const struct field *fields, size_t count, size_t *at,
                                      struct tl_str name)
{
    for (; name.len > 0 && *at < count; ++*at) {
        const struct field *field = &fields[*at];
        /* Most names differ in their first letter. */
        int order = (unsigned char)field->name.text[0] - (unsigned char)name.text[0];
        order = order == 0 ? tl_str_compare(field->name, name) : order;
        if (order >= 0) {
            return order == 0 ? field : NULL;
        }
    }
    return NULL;
}

static struct tl_str span_of(const struct reader *r, size_t start, size_t end)
{
    return (struct tl_str){ .text = r->text + start, .len = end - start };
}

/* Copies a string with escapes; what it stands for is never longer than its raw text. */
static tally_status unescape(struct reader *r, struct tl_str raw, struct tl_str *out)
{
    char *copy = tl_arena_alloc(r->arena, raw.len + 1);
    if (copy == NULL) {
        return TALLY_ENOMEM;
    }
    struct tl_buf buf = { .data = copy, .capacity = raw.len + 1, .len_max = raw.len };
    if (tl_json_unescape(&buf, raw.text, raw.len) != TALLY_OK || tl_buf_status(&buf) != TALLY_OK) {
        return TALLY_ECORRUPT;
    }
    *out = (struct tl_str){ .text = copy, .len = buf.len };
    return TALLY_OK;
}

/* Reads the string in a span; anything else leaves *out absent. */
static tally_status read_text(struct reader *r, struct tl_str span, struct tl_str *out)
{
    if (span.len < 2 || span.text[0] != '"') {
        return TALLY_OK;
    }
    struct tl_str raw = { .text = span.text + 1, .len = span.len - 2 };
    if (memchr(raw.text, '\\', raw.len) != NULL) {
        return unescape(r, raw, out);
    }
    *out = raw;
    return TALLY_OK;
}

static struct tl_str *string_at(void *base, size_t offset)
{
    return (struct tl_str *)(void *)((char *)base + offset);
}

/* Reads the strings of an object into `base`; anything but an object has none. */
static tally_status read_texts(struct reader *r, struct tl_str span, const struct field *fields,
                               size_t count, void *base)
{
    if (span.len == 0 || span.text[0] != '{') {
        return TALLY_OK;
    }
    struct tl_json_iter it = { .at = 0 };
    size_t at = 0;
    tally_status status = TALLY_OK;
    while ((status = tl_json_next(&it, span.text, span.len)) == TALLY_OK) {
        const struct field *field = find_field(fields, count, &at, it.raw_name);
        struct tl_str value = { .text = span.text + it.value_start,
                                .len = it.value_end - it.value_start };
        status = field == NULL ? TALLY_OK : read_text(r, value, string_at(base, field->offset));
        if (status != TALLY_OK) {
            return status;
        }
    }
    return status == TALLY_ENOTFOUND ? TALLY_OK : status;
}

/* Steps to the next element of an array; false after the last, or where it is no array. */
static bool next_element(struct tl_str array, size_t *at, struct tl_str *element_out)
{
    bool started = *at > 0;
    if (*at + 1 >= array.len || array.text[*at] != (started ? ',' : '[')) {
        return false;
    }
    size_t start = *at + 1;
    size_t end = tl_json_skip(array.text, array.len, start);
    if (end == 0 || end == array.len) {
        return false;
    }
    *element_out = (struct tl_str){ .text = array.text + start, .len = end - start };
    *at = end;
    return true;
}

static tally_status read_tags(struct reader *r)
{
    struct tl_event_view *view = r->view;
    struct tl_str element = { 0 };
    size_t at = 0;
    while (view->tag_count < TL_TAGS_MAX && next_element(view->tags_json, &at, &element)) {
        struct tl_str tag = { 0 };
        TL_TRY(read_text(r, element, &tag));
        if (tag.text != NULL) {
            view->tags[view->tag_count++] = tag;
        }
    }
    return TALLY_OK;
}

static tally_status read_targets(struct reader *r)
{
    struct tl_event_view *view = r->view;
    struct tl_str element = { 0 };
    size_t at = 0;
    while (view->target_count < TL_TARGETS_MAX && next_element(view->targets_json, &at, &element)) {
        struct tl_target_view *target = &view->targets[view->target_count];
        *target = (struct tl_target_view){ .id = { 0 } };
        TL_TRY(read_texts(r, element, target_fields, TL_ARRAY_LEN(target_fields), target));
        view->target_count++;
    }
    return TALLY_OK;
}

static tally_status read_field(struct reader *r, const struct field *field, struct tl_str span)
{
    struct tl_str *string = string_at(r->view, field->offset);
    switch (field->kind) {
    case FIELD_TEXT:
        return read_text(r, span, string);
    case FIELD_OCCURRED:
        TL_TRY(read_text(r, span, string));
        if (tl_time_parse(&r->view->occurred_us, *string) != TALLY_OK) {
            *string = (struct tl_str){ 0 };
        }
        return TALLY_OK;
    case FIELD_SPAN:
        *string = span;
        return TALLY_OK;
    case FIELD_ACTOR:
        return read_texts(r, span, actor_fields, TL_ARRAY_LEN(actor_fields), r->view);
    case FIELD_SOURCE:
        return read_texts(r, span, source_fields, TL_ARRAY_LEN(source_fields), r->view);
    case FIELD_TAGS:
        *string = span;
        return read_tags(r);
    case FIELD_TARGETS:
        *string = span;
        return read_targets(r);
    }
    return TALLY_OK;
}

/* All but the elements of the two arrays, which count as far as their counts say. */
static void clear(struct tl_event_view *view)
{
    memset(view, 0, offsetof(struct tl_event_view, targets));
    view->target_count = 0;
    view->tag_count = 0;
    size_t spans = offsetof(struct tl_event_view, targets_json);
    memset((char *)view + spans, 0, sizeof(*view) - spans);
}

tally_status tl_event_view_read(struct tl_event_view *view, struct tl_arena *arena,
                                const char *event, size_t len)
{
    clear(view);
    struct reader r = { .view = view, .arena = arena, .text = event, .len = len };
    struct tl_json_iter it = { .at = 0 };
    size_t at = 0;
    tally_status status = TALLY_OK;
    while ((status = tl_json_next(&it, event, len)) == TALLY_OK) {
        const struct field *field =
            find_field(view_fields, TL_ARRAY_LEN(view_fields), &at, it.raw_name);
        struct tl_str span = span_of(&r, it.value_start, it.value_end);
        status = field == NULL ? TALLY_OK : read_field(&r, field, span);
        if (status != TALLY_OK) {
            return status;
        }
    }
    return status == TALLY_ENOTFOUND ? TALLY_OK : status;
}

static struct tl_str raw_text(const char *text, size_t start, size_t end)
{
    if (end - start < 2 || text[start] != '"') {
        return (struct tl_str){ 0 };
    }
    return (struct tl_str){ .text = text + start + 1, .len = end - start - 2 };
}

static tally_status read_service(struct tl_event_keys *keys, const char *text, size_t len)
{
    struct tl_json_iter it = { .at = 0 };
    if (len == 0 || text[0] != '{') {
        return TALLY_OK;
    }
    tally_status status = TALLY_OK;
    while ((status = tl_json_next(&it, text, len)) == TALLY_OK) {
        if (tl_str_equal(it.raw_name, TL_STR("service"))) {
            keys->service = raw_text(text, it.value_start, it.value_end);
            return TALLY_OK;
        }
    }
    return status == TALLY_ENOTFOUND ? TALLY_OK : status;
}

tally_status tl_event_keys_read(struct tl_event_keys *keys, const char *event, size_t len)
{
    *keys = (struct tl_event_keys){ .id = { 0 } };
    struct tl_json_iter it = { .at = 0 };
    size_t at = 0;
    tally_status status = TALLY_OK;
    /* After tenant_id, which nothing that is wanted follows, no other name need be looked at. */
    while (keys->tenant_id.text == NULL && (status = tl_json_next(&it, event, len)) == TALLY_OK) {
        const struct field *field =
            find_field(key_fields, TL_ARRAY_LEN(key_fields), &at, it.raw_name);
        if (field != NULL && field->kind == FIELD_SOURCE) {
            status = read_service(keys, event + it.value_start, it.value_end - it.value_start);
        } else if (field != NULL) {
            *string_at(keys, field->offset) = raw_text(event, it.value_start, it.value_end);
        }
        if (status != TALLY_OK) {
            return status;
        }
    }
    return status == TALLY_ENOTFOUND ? TALLY_OK : status;
}

static struct tl_str key_at(const char *event, struct tl_event_span span)
{
    struct tl_str key = { 0 };
    if (span.len > 0) {
        key = (struct tl_str){ .text = event + span.at, .len = span.len };
    }
    return key;
}

struct tl_event_keys tl_event_spans_keys(const struct tl_event_spans *spans, const char *event)
{
    return (struct tl_event_keys){
        .id = key_at(event, spans->id),
        .action = key_at(event, spans->action),
        .outcome = key_at(event, spans->outcome),
        .severity = key_at(event, spans->severity),
        .tenant_id = key_at(event, spans->tenant_id),
        .service = key_at(event, spans->service),
        .occurred_at = key_at(event, spans->occurred_at),
    };
}

static struct tl_event_span span_in(const char *event, struct tl_str key)
{
    if (key.len == 0) {
        return (struct tl_event_span){ 0 };
    }
    return (struct tl_event_span){ .at = (uint32_t)(key.text - event), .len = (uint32_t)key.len };
}

tally_status tl_event_spans_read(struct tl_event_spans *spans, const char *event, size_t len)
{
    struct tl_event_keys keys;
    TL_TRY(tl_event_keys_read(&keys, event, len));
    TL_TRY(tl_time_parse(&spans->occurred_us, keys.occurred_at));
    spans->id = span_in(event, keys.id);
    spans->action = span_in(event, keys.action);
    spans->outcome = span_in(event, keys.outcome);
    spans->severity = span_in(event, keys.severity);
    spans->tenant_id = span_in(event, keys.tenant_id);
    spans->service = span_in(event, keys.service);
    spans->occurred_at = span_in(event, keys.occurred_at);
    return TALLY_OK;
}
