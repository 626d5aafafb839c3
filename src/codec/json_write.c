#include "codec/json.h"
#include "codec/json_scan.h"
#include "codec/number.h"

#define DEPTH_MAX  64u
#define UNSAFE_MIN 9007199254740992.0 /* 2^53: the reader refuses numbers from here */
#define UNSAFE_END 1e21               /* to below here */

/*
 * Writes straight into the free space of a buffer, whose length it sets when the space runs out
 * and at the end. After a failure the buffer is broken, and all that follows does nothing.
 */
struct writer {
    struct tl_buf *out;
    char *at;
    size_t room; /* bytes that may be written at `at` */
};

static void flush(struct writer *w)
{
    if (w->at != NULL) {
        w->out->len = (size_t)(w->at - w->out->data);
    }
}

/* Makes sure that there is room for `len` bytes. */
static bool reserve(struct writer *w, size_t len)
{
    if (w->room >= len) {
        return true;
    }
    flush(w);
    w->at = tl_buf_reserve(w->out, len);
    if (w->at == NULL) {
        w->room = 0;
        return false;
    }
    size_t room = w->out->capacity - w->out->len - 1;
    size_t allowed = w->out->len_max - w->out->len;
    w->room = room < allowed ? room : allowed;
    return true;
}

/* Adds bytes for which there is room. */
static void put(struct writer *w, const char *bytes, size_t len)
{
    memcpy(w->at, bytes, len);
    w->at += len;
    w->room -= len;
}

static void put_char(struct writer *w, char c)
{
    *w->at++ = c;
    w->room--;
}

/*
 * Copies what needs no escape from the start of `text`, returns how much. Beyond that, up to `len`,
 * it may leave anything in `to`.
 */
static size_t copy_plain(char *to, const char *text, size_t len)
{
    size_t at = 0;
    for (; len - at >= 8; at += 8) {
        uint64_t found = tl_json_specials(tl_json_load(text + at), 0);
        memcpy(to + at, text + at, 8);
        if (found != 0) {
            return at + (size_t)__builtin_ctzll(found) / 8;
        }
    }
    for (; at < len && !tl_json_is_special(text[at]); at++) {
        to[at] = text[at];
    }
    return at;
}

static bool write_string(struct writer *w, struct tl_str str)
{
    if (!reserve(w, str.len + 2)) {
        return false;
    }
    put_char(w, '"');
    size_t at = 0;
    for (;;) {
        size_t plain = copy_plain(w->at, str.text + at, str.len - at);
        w->at += plain;
        w->room -= plain;
        at += plain;
        if (at == str.len) {
            break;
        }
        char text[6];
        size_t len = tl_json_escape(text, str.text[at++]);
        if (!reserve(w, len + (str.len - at) + 1)) {
            return false;
        }
        put(w, text, len);
    }
    put_char(w, '"');
    return true;
}

static bool write_bytes(struct writer *w, const char *bytes, size_t len)
{
    if (!reserve(w, len)) {
        return false;
    }
    put(w, bytes, len);
    return true;
}

static bool write_number(struct writer *w, double number)
{
    char text[TL_NUMBER_PRINT_MAX];
    return write_bytes(w, text, tl_number_print(text, number));
}

/* Writes the opening bracket or the comma before `child`, and its name. */
static bool write_before(struct writer *w, const struct tl_json *container,
                         const struct tl_json *child)
{
    bool object = container->type == TL_JSON_OBJECT;
    char c = ',';
    if (child == container->first) {
        c = object ? '{' : '[';
    }
    return write_bytes(w, &c, 1) &&
           (!object || (write_string(w, child->key) && write_bytes(w, ":", 1)));
}

static bool write_value(struct writer *w, const struct tl_json *value, uint32_t depth);

static bool write_container(struct writer *w, const struct tl_json *container, uint32_t depth)
{
    tl_assert(depth < DEPTH_MAX);
    bool object = container->type == TL_JSON_OBJECT;
    if (container->first == NULL) {
        return write_bytes(w, object ? "{}" : "[]", 2);
    }
    const struct tl_json *last = NULL;
    for (const struct tl_json *child = container->first; child != NULL; child = child->next) {
        /* In any other order the text would be another event. */
        tl_assert(!object || last == NULL || tl_json_compare_names(last->key, child->key) < 0);
        if (!write_before(w, container, child) || !write_value(w, child, depth + 1)) {
            return false;
        }
        last = child;
    }
    return write_bytes(w, object ? "}" : "]", 1);
}

static bool write_value(struct writer *w, const struct tl_json *value, uint32_t depth)
{
    switch (value->type) {
    case TL_JSON_NULL:
        return write_bytes(w, "null", 4);
    case TL_JSON_FALSE:
        return write_bytes(w, "false", 5);
    case TL_JSON_TRUE:
        return write_bytes(w, "true", 4);
    case TL_JSON_NUMBER: {
        double size = value->number < 0 ? -value->number : value->number;
        tl_assert(size < UNSAFE_MIN || size >= UNSAFE_END);
        return write_number(w, value->number);
    }
    case TL_JSON_STRING:
        return write_string(w, value->text);
    case TL_JSON_ARRAY:
    case TL_JSON_OBJECT:
        return write_container(w, value, depth);
    }
    tl_assert(!"a type of JSON value");
    return false;
}

void tl_json_write(struct tl_buf *out, const struct tl_json *value)
{
    struct writer w = { .out = out };
    (void)write_value(&w, value, 0); /* the buffer keeps the failure */
    flush(&w);
}

void tl_json_write_string(struct tl_buf *out, struct tl_str text)
{
    struct writer w = { .out = out };
    (void)write_string(&w, text); /* the buffer keeps the failure */
    flush(&w);
}

void tl_json_write_number(struct tl_buf *out, double number)
{
    struct writer w = { .out = out };
    (void)write_number(&w, number); /* the buffer keeps the failure */
    flush(&w);
}
