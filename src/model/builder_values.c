/* The five objects of an event being built: values of any kind, and how those are said that JSON
 * has no word for (docs/events.md). */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/limits.h"
#include "codec/base64.h"
#include "codec/number.h"
#include "codec/time.h"
#include "codec/uuid.h"
#include "model/builder.h"
#include "model/event.h"

#define SAFE_MAX   INT64_C(9007199254740991) /* 2^53 - 1 */
#define UNSAFE_MIN 9007199254740992.0        /* 2^53: as a number, JSON might tell another one */
#define UNSAFE_END 1e21                      /* to below here */

#define DIGITS_SIZE 24u  /* of an integer */
#define DOUBLE_SIZE 320u /* of any double without a fraction */
#define FORMAT_SIZE 512u /* text that is longer is formatted twice */

/* Adds a value to what is open in an object; NULL if there is nothing to go on with. */
static struct tl_json *add(struct tally_event *event, enum tally_object object, const char *name,
                           enum tl_json_type type)
{
    if (!tl_builder_begin(event)) {
        return NULL;
    }
    size_t index = (size_t)object - 1;
    if (index >= TL_BUILDER_TAGS) {
        (void)tl_refuse(&event->failure, "bad_member", "", "there is no object %d", (int)object);
        return NULL;
    }
    return tl_builder_add(event, (enum tl_builder_tree_name)index, tl_str_of(name), type);
}

static void add_str(struct tally_event *event, enum tally_object object, const char *name,
                    struct tl_str text)
{
    struct tl_json *node =
        add(event, object, name, text.text == NULL ? TL_JSON_NULL : TL_JSON_STRING);
    if (node != NULL && text.text != NULL) {
        (void)tl_builder_copy(event, text, &node->text); /* the event keeps a failure */
    }
}

void tally_event_add_text(struct tally_event *event, enum tally_object object, const char *name,
                          const char *text)
{
    add_str(event, object, name, tl_str_of(text));
}

void tally_event_add_text_len(struct tally_event *event, enum tally_object object, const char *name,
                              const char *text, size_t len)
{
    add_str(event, object, name, (struct tl_str){ .text = text, .len = len });
}

static void add_number(struct tally_event *event, enum tally_object object, const char *name,
                       double value)
{
    struct tl_json *node = add(event, object, name, TL_JSON_NUMBER);
    if (node != NULL) {
        node->number = value;
    }
}

void tally_event_add_int(struct tally_event *event, enum tally_object object, const char *name,
                         int64_t value)
{
    if (value >= -SAFE_MAX && value <= SAFE_MAX) {
        add_number(event, object, name, (double)value);
        return;
    }
    char digits[DIGITS_SIZE];
    (void)snprintf(digits, sizeof(digits), "%lld", (long long)value);
    add_str(event, object, name, tl_str_of(digits));
}

void tally_event_add_uint(struct tally_event *event, enum tally_object object, const char *name,
                          uint64_t value)
{
    if (value <= (uint64_t)SAFE_MAX) {
        add_number(event, object, name, (double)value);
        return;
    }
    char digits[DIGITS_SIZE];
    (void)snprintf(digits, sizeof(digits), "%llu", (unsigned long long)value);
    add_str(event, object, name, tl_str_of(digits));
}

void tally_event_add_double(struct tally_event *event, enum tally_object object, const char *name,
                            double value)
{
    double size = fabs(value);
    if (isnan(value) || isinf(value)) {
        const char *word = isnan(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity";
        add_str(event, object, name, tl_str_of(word));
        if (event != NULL) {
            event->is_replaced = true;
        }
    } else if (size >= UNSAFE_MIN && size < UNSAFE_END) {
        char digits[DOUBLE_SIZE]; /* it is an integer, and these are exactly its digits */
        (void)snprintf(digits, sizeof(digits), "%.0f", value);
        add_str(event, object, name, tl_str_of(digits));
    } else {
        add_number(event, object, name, value);
    }
}

void tally_event_add_bool(struct tally_event *event, enum tally_object object, const char *name,
                          int value)
{
    (void)add(event, object, name, value != 0 ? TL_JSON_TRUE : TL_JSON_FALSE);
}

void tally_event_add_null(struct tally_event *event, enum tally_object object, const char *name)
{
    (void)add(event, object, name, TL_JSON_NULL);
}

/* Adds {"<key>":"<text>"} behind all members of an object; `text` lives as long as that. */
static void append_member(struct tally_event *event, struct tl_json *object, struct tl_str key,
                          struct tl_str text)
{
    struct tl_json *member = tl_builder_alloc(event, sizeof(*member));
    if (member == NULL) {
        return;
    }
    *member = (struct tl_json){ .type = TL_JSON_STRING, .key = key, .text = text };
    struct tl_json **link = &object->first;
    while (*link != NULL) {
        link = &(*link)->next;
    }
    *link = member;
    object->count++;
}

void tally_event_add_binary(struct tally_event *event, enum tally_object object, const char *name,
                            const void *bytes, size_t len)
{
    struct tl_json *node = add(event, object, name, bytes == NULL ? TL_JSON_NULL : TL_JSON_OBJECT);
    if (node == NULL || bytes == NULL) {
        return;
    }
    if (len > TL_EVENT_BYTES_MAX) {
        tl_builder_fail_large(event);
        return;
    }
    size_t size = (len + 2) / 3 * 4 + 2;
    char *memory = tl_builder_alloc(event, size);
    if (memory != NULL) {
        struct tl_buf text;
        tl_buf_init_fixed(&text, memory, size);
        tl_base64_encode(&text, bytes, len);
        append_member(event, node, TL_STR("b64"), tl_buf_str(&text));
    }
}

void tally_event_add_uuid(struct tally_event *event, enum tally_object object, const char *name,
                          const uint8_t uuid[16])
{
    char text[TL_UUID_TEXT_SIZE];
    if (uuid != NULL) {
        tl_uuid_format(text, uuid);
    }
    add_str(event, object, name, tl_str_of(uuid == NULL ? NULL : text));
}

void tally_event_add_time(struct tally_event *event, enum tally_object object, const char *name,
                          int64_t time_us)
{
    char text[TL_TIME_SIZE];
    if (tl_time_format(text, time_us) > 0) {
        add_str(event, object, name, tl_str_of(text));
        return;
    }
    tally_event_add_int(event, object, name, time_us);
    if (event != NULL) {
        event->is_replaced = true;
    }
}

/* Whether a format has a conversion that writes to memory, which is nothing a text needs. */
static bool writes_memory(const char *format)
{
    for (const char *at = strchr(format, '%'); at != NULL; at = strchr(at, '%')) {
        at += 1 + strspn(at + 1, "0123456789.*$ +-#'IhlLqjzt");
        if (*at == 'n') {
            return true;
        }
        at += *at != '\0';
    }
    return false;
}

/* Formats text that is longer than what fits on the stack. */
static bool format_long(struct tally_event *event, struct tl_str *text, const char *format,
                        va_list ap) TL_PRINTF(3, 0);

static bool format_long(struct tally_event *event, struct tl_str *text, const char *format,
                        va_list ap)
{
    if (text->len > TL_EVENT_BYTES_MAX) {
        tl_builder_fail_large(event);
        return false;
    }
    char *memory = tl_builder_alloc(event, text->len + 1);
    if (memory == NULL) {
        return false;
    }
    int len = vsnprintf(memory, text->len + 1, format, ap);
    text->text = memory;
    text->len = len < 0 ? 0 : (size_t)len < text->len ? (size_t)len : text->len;
    return true;
}

void tally_event_add_format(struct tally_event *event, enum tally_object object, const char *name,
                            const char *format, ...)
{
    struct tl_json *node = add(event, object, name, TL_JSON_STRING);
    if (node == NULL) {
        return;
    }
    char room[FORMAT_SIZE];
    va_list ap;
    va_start(ap, format);
    int len = writes_memory(format) ? -1 : vsnprintf(room, sizeof(room), format, ap);
    va_end(ap);
    if (len < 0) {
        node->type = TL_JSON_OBJECT;
        append_member(event, node, TL_STR("tally_error"), TL_STR("unserialisable"));
        append_member(event, node, TL_STR("type"), TL_STR("format"));
        event->is_replaced = true;
        return;
    }
    struct tl_str text = { .text = room, .len = (size_t)len };
    bool done = true;
    if (text.len >= sizeof(room)) {
        va_start(ap, format);
        done = format_long(event, &text, format, ap);
        va_end(ap);
    }
    if (done) {
        (void)tl_builder_copy(event, text, &node->text); /* the event keeps a failure */
    }
}

/* Integers that a double might not tell are told by their digits. */
static void spell_integers(struct tl_json *value)
{
    if (tl_json_is_large_integer(value)) {
        value->type = TL_JSON_STRING; /* whose text is the token */
    }
    for (struct tl_json *child = value->first; child != NULL; child = child->next) {
        spell_integers(child);
    }
}

/* Reads a value into `node`, which is that far down; what it borrows from is the event's own. */
static tally_status read_json(struct tally_event *event, uint32_t depth, struct tl_json *node,
                              const char *copy, size_t len)
{
    const struct tl_json_limits limits = {
        .bytes_max = TL_EVENT_BYTES_MAX,
        .depth_max = TL_EVENT_DEPTH_MAX - depth,
        .members_max = TL_EVENT_MEMBERS_MAX,
        .elements_max = TL_EVENT_ELEMENTS_MAX,
        .keep_integers = true,
    };
    const struct tl_json *root = NULL;
    struct tally_error cause = TALLY_ERROR_INIT;
    tally_status status = tl_json_read(&event->arena, copy, len, &limits, &root, &cause);
    if (status == TALLY_ENOMEM) {
        tl_builder_fail_memory(event);
        return status;
    }
    if (status != TALLY_OK) {
        event->failure = cause;
        return status;
    }
    node->type = root->type;
    node->count = root->count;
    node->text = root->text;
    node->number = root->number;
    node->first = root->first;
    spell_integers(node);
    return TALLY_OK;
}

void tally_event_add_json(struct tally_event *event, enum tally_object object, const char *name,
                          const char *json, size_t len)
{
    struct tl_json *node = add(event, object, name, TL_JSON_NULL);
    if (node == NULL || json == NULL) {
        return;
    }
    if (len > TL_EVENT_BYTES_MAX) {
        tl_builder_fail_large(event);
        return;
    }
    char *copy = tl_builder_alloc(event, len);
    if (copy == NULL) {
        return;
    }
    if (len > 0) {
        memcpy(copy, json, len);
    }
    enum tl_builder_tree_name tree = (enum tl_builder_tree_name)(object - 1);
    if (read_json(event, 2 + event->trees[tree].depth, node, copy, len) == TALLY_EREFUSED) {
        tl_builder_point(event, tree, node->key);
    }
}

void tally_event_open(struct tally_event *event, enum tally_object object, const char *name,
                      char bracket)
{
    struct tl_json *node =
        add(event, object, name, bracket == '[' ? TL_JSON_ARRAY : TL_JSON_OBJECT);
    if (node == NULL) {
        return;
    }
    enum tl_builder_tree_name name_of_tree = (enum tl_builder_tree_name)(object - 1);
    struct tl_builder_tree *tree = &event->trees[name_of_tree];
    if (bracket != '[' && bracket != '{') {
        (void)tl_refuse(&event->failure, "bad_value", "", "only '{' and '[' open something");
        tl_builder_point(event, name_of_tree, node->key);
    } else if (tree->depth == TL_BUILDER_DEPTH_MAX) {
        (void)tl_refuse(&event->failure, "too_deep", "", "more than %u are open in one object",
                        TL_BUILDER_DEPTH_MAX);
        tl_builder_point(event, name_of_tree, node->key);
    } else {
        tree->levels[++tree->depth] = (struct tl_builder_level){ .node = node };
    }
}

void tally_event_close(struct tally_event *event, enum tally_object object)
{
    if (!tl_builder_begin(event)) {
        return;
    }
    size_t index = (size_t)object - 1;
    if (index >= TL_BUILDER_TAGS || event->trees[index].depth == 0) {
        (void)tl_refuse(&event->failure, "not_open", "", "there is nothing to be closed");
        return;
    }
    event->trees[index].depth--;
}

_Static_assert(TALLY_TIME_SIZE == TL_TIME_SIZE && TALLY_UUID_SIZE == TL_UUID_TEXT_SIZE,
               "callers reserve what is written");

size_t tally_format_time(char out[TALLY_TIME_SIZE], int64_t time_us)
{
    return tl_time_format(out, time_us);
}

void tally_format_uuid(char out[TALLY_UUID_SIZE], const uint8_t uuid[16])
{
    tl_uuid_format(out, uuid);
}

tally_status tally_format_base64(char *out, size_t size, const void *bytes, size_t len)
{
    if (len == 0 && size > 0) {
        out[0] = '\0';
        return TALLY_OK;
    }
    if (size < 2) {
        return TALLY_ELIMIT;
    }
    struct tl_buf text;
    tl_buf_init_fixed(&text, out, size);
    tl_base64_encode(&text, bytes, len);
    if (tl_buf_status(&text) == TALLY_OK) {
        out[text.len] = '\0';
    }
    return tl_buf_status(&text);
}
