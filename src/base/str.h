/* base/str.h - borrowed text: a pointer and a length, UTF-8, not NUL-terminated. */
#ifndef TL_BASE_STR_H
#define TL_BASE_STR_H

#include <string.h>

#include "base/base.h"

/* Borrowed; a zeroed one is absent, which is not the same as empty (text != NULL, len == 0). */
struct tl_str {
    const char *text;
    size_t len; /* bytes */
};

/* A tl_str of a string literal. */
#define TL_STR(literal)                               \
    (struct tl_str)                                   \
    {                                                 \
        .text = (literal), .len = sizeof(literal) - 1 \
    }

static inline struct tl_str tl_str_of(const char *text)
{
    return (struct tl_str){ .text = text, .len = text == NULL ? 0 : strlen(text) };
}

static inline bool tl_str_equal(struct tl_str a, struct tl_str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.text, b.text, a.len) == 0);
}

/* Compares with a NUL-terminated string. */
static inline bool tl_str_is(struct tl_str a, const char *text)
{
    return tl_str_equal(a, tl_str_of(text));
}

static inline bool tl_str_starts(struct tl_str a, struct tl_str prefix)
{
    return a.len >= prefix.len && (prefix.len == 0 || memcmp(a.text, prefix.text, prefix.len) == 0);
}

/* Copies text to `out`, of `size` bytes, as a NUL-terminated string; what does not fit is cut. */
static inline void tl_str_copy(char *out, size_t size, struct tl_str from)
{
    size_t len = from.len < size ? from.len : size - 1;
    if (len > 0) {
        memcpy(out, from.text, len);
    }
    out[len] = '\0';
}

/* Byte order, a prefix before what it begins. */
static inline int tl_str_compare(struct tl_str a, struct tl_str b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len == 0 ? 0 : memcmp(a.text, b.text, len);
    return order != 0 ? order : a.len < b.len ? -1 : a.len > b.len ? 1 : 0;
}

#endif /* TL_BASE_STR_H */
