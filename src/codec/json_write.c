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
 * Copies up to 16 bytes and returns whether none of them needs an escape. Two overlapping halves,
 * put together in a register, are faster than a loop.
 */
static bool copy_short(char *to, const char *text, size_t len)
{
    const uint64_t spaces = 0x2020202020202020u;
    tl_json_words words = { spaces, spaces };
    if (len >= 8) {
        uint64_t halves[2];
        memcpy(&halves[0], text, 8);
        memcpy(&halves[1], text + len - 8, 8);
        memcpy(to, &halves[0], 8);
        memcpy(to + len - 8, &halves[1], 8);
        words = (tl_json_words){ halves[0], halves[1] };
    } else if (len >= 4) {
        uint32_t halves[2];
        memcpy(&halves[0], text, 4);
        memcpy(&halves[1], text + len - 4, 4);
        memcpy(to, &halves[0], 4);
        memcpy(to + len - 4, &halves[1], 4);
        words[0] = (uint64_t)halves[1] << 32 | halves[0];
    } else if (len > 0) {
        to[0] = text[0];
        to[len / 2] = text[len / 2];
        to[len - 1] = text[len - 1];
        return !tl_json_is_special(text[0]) && !tl_json_is_special(text[len / 2]) &&
               !tl_json_is_special(text[len - 1]);
    }
    return !tl_json_any(tl_json_specials((tl_json_block)words));
}

/*
 * Copies whole blocks from the start of `text` as long as nothing in them needs an escape, and what
 * is left after the last block. Returns how much that is.
 */
static size_t copy_plain(char *to, const char *text, size_t len)
{
    size_t at = 0;
    for (; len - at > sizeof(tl_json_block); at += sizeof(tl_json_block)) {
        tl_json_block block = tl_json_load(text + at);
        if (tl_json_any(tl_json_specials(block))) {
            return at;
        }
        memcpy(to + at, &block, sizeof(block));
    }
    return copy_short(to + at, text + at, len - at) ? len : at;
}

/* Writes str[from..to) byte by byte; there is room for all of `str` after `from`, and a quote. */
static bool write_escaped(struct writer *w, struct tl_str str, size_t from, size_t to)
{
    for (size_t at = from; at < to; at++) {
        if (!tl_json_is_special(str.text[at])) {
            put_char(w, str.text[at]);
            continue;
        }
        char text[6];
        size_t len = tl_json_escape(text, str.text[at]);
        if (!reserve(w, len + (str.len - at))) {
            return false;
        }
        put(w, text, len);
    }
    return true;
}

static bool write_string(struct writer *w, struct tl_str str)
{
    if (!reserve(w, str.len + 2)) {
        return false;
    }
    put_char(w, '"');
    for (size_t at = 0; at < str.len;) {
        size_t plain = copy_plain(w->at, str.text + at, str.len - at);
        w->at += plain;
        w->room -= plain;
        at += plain;
        size_t block = str.len - at < sizeof(tl_json_block) ? str.len - at : sizeof(tl_json_block);
        if (!write_escaped(w, str, at, at + block)) {
            return false;
        }
        at += block;
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
    tl_assert(false); /* no such type */
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
