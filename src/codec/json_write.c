#include "codec/json.h"
#include "codec/json_scan.h"
#include "codec/number.h"

#define DEPTH_MAX  64u
#define UNSAFE_MIN 9007199254740992.0 /* 2^53: the reader refuses numbers from here */
#define UNSAFE_END 1e21               /* to below here */

/*
 * Writes straight into the free space of a buffer, whose length it sets when the space runs out
 * and at the end. The functions below write at `at` and return the byte after that, or NULL after
 * a failure, which the buffer keeps: a position in a register is what makes this fast.
 */
struct writer {
    struct tl_buf *out;
    const char *end; /* of the free space */
};

/* Gets more free space; makes what was written so far part of the buffer. */
TL_JSON_RARE static char *grow(struct writer *w, const char *at, size_t len)
{
    if (at != NULL) {
        w->out->len = (size_t)(at - w->out->data);
    }
    char *to = tl_buf_reserve(w->out, len);
    if (to != NULL) {
        size_t room = w->out->capacity - w->out->len - 1;
        size_t allowed = w->out->len_max - w->out->len;
        w->end = to + (room < allowed ? room : allowed);
    }
    return to;
}

/* Makes sure that there is room for `len` bytes, never asking for more than will be needed. */
static char *reserve(struct writer *w, char *at, size_t len)
{
    return (size_t)(w->end - at) >= len ? at : grow(w, at, len);
}

static char *write_bytes(struct writer *w, char *at, const char *bytes, size_t len)
{
    at = reserve(w, at, len);
    if (at == NULL) {
        return NULL;
    }
    memcpy(at, bytes, len);
    return at + len;
}

static char *write_char(struct writer *w, char *at, char c)
{
    at = reserve(w, at, 1);
    if (at == NULL) {
        return NULL;
    }
    *at = c;
    return at + 1;
}

typedef uint64_t two_words __attribute__((vector_size(sizeof(tl_json_block))));

/*
 * Copies up to 16 bytes and returns whether none of them needs an escape. Two overlapping halves,
 * put together in a register, are faster than a loop.
 */
static bool copy_short(char *to, const char *text, size_t len)
{
    const uint64_t spaces = 0x2020202020202020u;
    two_words words = { spaces, spaces };
    if (len >= 8) {
        uint64_t halves[2];
        memcpy(&halves[0], text, 8);
        memcpy(&halves[1], text + len - 8, 8);
        memcpy(to, &halves[0], 8);
        memcpy(to + len - 8, &halves[1], 8);
        words = (two_words){ halves[0], halves[1] };
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
    return tl_json_bits(tl_json_specials((tl_json_block)words)) == 0;
}

/*
 * Copies whole blocks from the start of `text` as long as nothing in them needs an escape, and what
 * is left after the last block. Returns how much that is.
 */
static size_t copy_plain(char *to, const char *text, size_t len)
{
    size_t at = 0;
    for (; len - at > sizeof(tl_json_block); at += sizeof(tl_json_block)) {
        if (tl_json_bits(tl_json_specials(tl_json_load(text + at))) != 0) {
            return at;
        }
        memcpy(to + at, text + at, sizeof(tl_json_block));
    }
    return copy_short(to + at, text + at, len - at) ? len : at;
}

/* Writes str[from..to) byte by byte; there is room for all of `str` after `from`, and a quote. */
static char *write_escaped(struct writer *w, char *at, struct tl_str str, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        if (!tl_json_is_special(str.text[i])) {
            *at++ = str.text[i];
            continue;
        }
        char text[6];
        size_t len = tl_json_escape(text, str.text[i]);
        at = reserve(w, at, len + (str.len - i));
        if (at == NULL) {
            return NULL;
        }
        memcpy(at, text, len);
        at += len;
    }
    return at;
}

/* Writes what is left of a string after the first `done` bytes, of which the next need escapes. */
TL_JSON_RARE static char *write_rest(struct writer *w, char *at, struct tl_str str, size_t done)
{
    while (done < str.len) {
        size_t left = str.len - done;
        size_t block = left < sizeof(tl_json_block) ? left : sizeof(tl_json_block);
        at = write_escaped(w, at, str, done, done + block);
        if (at == NULL) {
            return NULL;
        }
        done += block;
        size_t plain = copy_plain(at, str.text + done, str.len - done);
        at += plain;
        done += plain;
    }
    *at++ = '"';
    return at;
}

static char *write_string(struct writer *w, char *at, struct tl_str str)
{
    at = reserve(w, at, str.len + 2);
    if (at == NULL) {
        return NULL;
    }
    *at++ = '"';
    size_t done = copy_plain(at, str.text, str.len);
    if (done != str.len) {
        return write_rest(w, at + done, str, done);
    }
    at[done] = '"';
    return at + done + 1;
}

static char *write_number(struct writer *w, char *at, double number)
{
    char text[TL_NUMBER_PRINT_MAX];
    size_t len = tl_number_print(text, number);
    return write_bytes(w, at, text, len);
}

static char *write_value(struct writer *w, char *at, const struct tl_json *value, uint32_t depth);

static char *write_elements(struct writer *w, char *at, const struct tl_json *array, uint32_t depth)
{
    char before = '[';
    for (const struct tl_json *child = array->first; child != NULL; child = child->next) {
        at = write_char(w, at, before);
        at = at == NULL ? NULL : write_value(w, at, child, depth);
        if (at == NULL) {
            return NULL;
        }
        before = ',';
    }
    return write_char(w, at, ']');
}

static char *write_members(struct writer *w, char *at, const struct tl_json *object, uint32_t depth)
{
    const struct tl_json *last = NULL;
    for (const struct tl_json *child = object->first; child != NULL; child = child->next) {
        /* In any other order the text would be another event. */
        tl_assert(last == NULL || tl_json_compare_names(last->key, child->key) < 0);
        at = write_char(w, at, last == NULL ? '{' : ',');
        at = at == NULL ? NULL : write_string(w, at, child->key);
        at = at == NULL ? NULL : write_char(w, at, ':');
        at = at == NULL ? NULL : write_value(w, at, child, depth);
        if (at == NULL) {
            return NULL;
        }
        last = child;
    }
    return write_char(w, at, '}');
}

static char *write_container(struct writer *w, char *at, const struct tl_json *value,
                             uint32_t depth)
{
    tl_assert(depth < DEPTH_MAX);
    bool object = value->type == TL_JSON_OBJECT;
    if (value->first == NULL) {
        return write_bytes(w, at, object ? "{}" : "[]", 2);
    }
    return object ? write_members(w, at, value, depth + 1)
                  : write_elements(w, at, value, depth + 1);
}

static char *write_value(struct writer *w, char *at, const struct tl_json *value, uint32_t depth)
{
    switch (value->type) {
    case TL_JSON_NULL:
        return write_bytes(w, at, "null", 4);
    case TL_JSON_FALSE:
        return write_bytes(w, at, "false", 5);
    case TL_JSON_TRUE:
        return write_bytes(w, at, "true", 4);
    case TL_JSON_NUMBER: {
        double size = value->number < 0 ? -value->number : value->number;
        tl_assert(size < UNSAFE_MIN || size >= UNSAFE_END);
        return write_number(w, at, value->number);
    }
    case TL_JSON_STRING:
        return write_string(w, at, value->text);
    case TL_JSON_ARRAY:
    case TL_JSON_OBJECT:
        return write_container(w, at, value, depth);
    }
    tl_assert(false); /* no such type */
    return NULL;
}

/* Makes what was written up to `end` part of the buffer; nothing after a failure. */
static void finish(struct writer *w, const char *end)
{
    if (end != NULL) {
        w->out->len = (size_t)(end - w->out->data);
    }
}

void tl_json_write(struct tl_buf *out, const struct tl_json *value)
{
    struct writer w = { .out = out };
    char *at = grow(&w, NULL, 1);
    finish(&w, at == NULL ? NULL : write_value(&w, at, value, 0));
}

void tl_json_write_string(struct tl_buf *out, struct tl_str text)
{
    struct writer w = { .out = out };
    char *at = grow(&w, NULL, 2);
    finish(&w, at == NULL ? NULL : write_string(&w, at, text));
}

void tl_json_write_member(struct tl_buf *out, const char *name, const char *text)
{
    if (text != NULL && text[0] != '\0') {
        tl_buf_addf(out, ",\"%s\":", name);
        tl_json_write_string(out, tl_str_of(text));
    }
}

void tl_json_write_number(struct tl_buf *out, double number)
{
    struct writer w = { .out = out };
    char *at = grow(&w, NULL, 1);
    finish(&w, at == NULL ? NULL : write_number(&w, at, number));
}
