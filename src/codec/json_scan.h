/*
 * codec/json_scan.h - JSON strings as they stand in the text, for those who read and write JSON.
 *
 * Strings are most of an event. They are looked at sixteen bytes at a time.
 */
#ifndef TL_CODEC_JSON_SCAN_H
#define TL_CODEC_JSON_SCAN_H

#include <string.h>

#include "base/base.h"

/* For what is rare: kept apart, so that the function before it needs no stack frame. */
#define TL_JSON_RARE __attribute__((noinline))

/* Why input is refused: what tl_refuse_at() wants to know. */
struct tl_json_fault {
    const char *code;
    const char *message;
    size_t at;
};

/* What stands between two quotes. */
struct tl_json_span {
    size_t end;   /* of the byte after the closing quote */
    bool escaped; /* there is a backslash in it */
};

/* Sixteen bytes at once, by an extension of gcc and clang that every machine has code for. */
typedef unsigned char tl_json_block __attribute__((vector_size(16)));
typedef uint64_t tl_json_words __attribute__((vector_size(16)));

static inline tl_json_block tl_json_load(const char *at)
{
    tl_json_block block;
    memcpy(&block, at, sizeof(block));
    return block;
}

/* Returns a block with 0xFF for each byte that is a quote, a backslash or below U+0020. */
static inline tl_json_block tl_json_specials(tl_json_block block)
{
    const unsigned char quote = '"';
    const unsigned char slash = '\\';
    const unsigned char space = ' ';
    return (tl_json_block)((block == quote) | (block == slash) | (block < space));
}

/* The same, and for each byte of a character that is not ASCII: negative, if bytes had signs. */
static inline tl_json_block tl_json_not_plain(tl_json_block block)
{
    typedef signed char signed_block __attribute__((vector_size(16)));
    const signed char quote = '"';
    const signed char slash = '\\';
    const signed char space = ' ';
    signed_block bytes = (signed_block)block;
    return (tl_json_block)((bytes == quote) | (bytes == slash) | (bytes < space));
}

/* Whether any byte of a block of 0x00 and 0xFF is set. */
static inline bool tl_json_any(tl_json_block found)
{
    tl_json_words words = (tl_json_words)found;
    return (words[0] | words[1]) != 0;
}

/* Which byte, of a block in which one is set, is the first. */
static inline size_t tl_json_first(tl_json_block found)
{
    tl_json_words words = (tl_json_words)found;
    uint64_t word = words[0] != 0 ? words[0] : words[1];
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return (words[0] != 0 ? 0 : 8) + (size_t)__builtin_ctzll(word) / 8;
}

/* Whether a byte is a quote, a backslash or below U+0020. */
static inline bool tl_json_is_special(char c)
{
    return c == '"' || c == '\\' || (unsigned char)c < ' ';
}

/* Returns the first byte of text[at..len) that is not an ASCII character standing for itself. */
static inline size_t tl_json_skip_plain(const char *text, size_t len, size_t at)
{
    for (; len - at >= sizeof(tl_json_block); at += sizeof(tl_json_block)) {
        tl_json_block found = tl_json_not_plain(tl_json_load(text + at));
        if (tl_json_any(found)) {
            return at + tl_json_first(found);
        }
    }
    while (at < len && !tl_json_is_special(text[at]) && (unsigned char)text[at] < 0x80) {
        at++;
    }
    return at;
}

/*
 * Reads the string whose opening quote is text[at]. On success fills *span; if not, fills *fault
 * and returns false. What it accepts is valid UTF-8 without U+0000, before and after unescaping.
 */
bool tl_json_scan_string(const char *text, size_t len, size_t at, struct tl_json_span *span,
                         struct tl_json_fault *fault);

/*
 * Decodes the escape whose backslash is text[at]: a surrogate pair is one escape. Returns its
 * length, or 0 if it is none, stands for U+0000 or is half a pair.
 */
size_t tl_json_decode_escape(const char *text, size_t len, size_t at, uint32_t *character_out);

/*
 * Writes what the `len` bytes between two quotes stand for to `to`, which has room for `len`.
 * Returns false at an escape that is none.
 */
bool tl_json_decode_string(char *to, const char *raw, size_t len, size_t *len_out);

/*
 * Writes the canonical escape of a quote, a backslash or a control character to `to`; returns its
 * length. U+0000 has none: the reader would refuse it.
 */
size_t tl_json_escape(char to[6], char c);

#endif /* TL_CODEC_JSON_SCAN_H */
