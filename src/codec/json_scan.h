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
#define TL_JSON_RARE __attribute__((noinline, unused))

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

/* The first bit of each byte of a block of 0x00 and 0xFF; that of the first byte is the lowest. */
static inline uint32_t tl_json_bits(tl_json_block found)
{
#ifdef __SSE2__
    typedef char char_block __attribute__((vector_size(16)));
    return (uint32_t)__builtin_ia32_pmovmskb128((char_block)found);
#else
    uint32_t bits = 0;
    for (uint32_t i = 0; i < sizeof(found); i++) {
        bits |= (uint32_t)(found[i] & 1) << i;
    }
    return bits;
#endif
}

/* Whether a byte is a quote, a backslash or below U+0020. */
static inline bool tl_json_is_special(char c)
{
    return c == '"' || c == '\\' || (unsigned char)c < ' ';
}

/* Finds in less than a block, by one that begins before it if there is room for that. */
TL_JSON_RARE static size_t tl_json_find_in_rest(const char *text, size_t len, size_t at,
                                                tl_json_block (*match)(tl_json_block block))
{
    tl_json_block block = { 0 };
    size_t seen = 0;
    if (len >= sizeof(block)) {
        seen = sizeof(block) - (len - at);
        block = tl_json_load(text + len - sizeof(block));
    } else if (at < len) {
        memcpy(&block, text + at, len - at);
    }
    uint32_t bits = tl_json_bits(match(block)) >> seen | 1u << (len - at);
    return at + (size_t)__builtin_ctz(bits);
}

/* Returns where in text[at..len) the first byte is for which `match` gives 0xFF, or `len`. */
static inline size_t tl_json_find(const char *text, size_t len, size_t at,
                                  tl_json_block (*match)(tl_json_block block))
{
    for (; len - at >= sizeof(tl_json_block); at += sizeof(tl_json_block)) {
        uint32_t bits = tl_json_bits(match(tl_json_load(text + at)));
        if (bits != 0) {
            return at + (size_t)__builtin_ctz(bits);
        }
    }
    return tl_json_find_in_rest(text, len, at, match);
}

/* Returns the first byte of text[at..len) that is not an ASCII character standing for itself. */
static inline size_t tl_json_skip_plain(const char *text, size_t len, size_t at)
{
    return tl_json_find(text, len, at, tl_json_not_plain);
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
