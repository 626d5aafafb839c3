/*
 * codec/json_scan.h - JSON strings as they stand in the text, for those who read and write JSON.
 *
 * Strings are most of an event. They are looked at eight bytes at a time.
 */
#ifndef TL_CODEC_JSON_SCAN_H
#define TL_CODEC_JSON_SCAN_H

#include <string.h>

#include "base/base.h"

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

/* Loads eight bytes so that the first is the least significant. */
static inline uint64_t tl_json_load(const char *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof(word));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

/*
 * Returns a word whose lowest set bit is the top bit of the first byte that is a quote, a backslash
 * or below U+0020; bits above that mean nothing, but 0 means that there is none. A byte of 0x80 and
 * above counts only where `high` has all top bits.
 *
 * Subtracting 1 from each byte borrows across bytes only where a byte was 0, and that byte is a
 * find already: the first one is always right.
 */
static inline uint64_t tl_json_specials(uint64_t word, uint64_t high)
{
    const uint64_t ones = 0x0101010101010101u;
    const uint64_t tops = 0x8080808080808080u;
    uint64_t quotes = (word ^ ones * '"') - ones;
    uint64_t slashes = (word ^ ones * '\\') - ones;
    uint64_t controls = word - ones * ' ';
    return (((quotes | slashes | controls) & ~word) | (word & high)) & tops;
}

#define TL_JSON_NON_ASCII 0x8080808080808080u /* for `high` */

/* Whether a byte is a quote, a backslash or below U+0020. */
static inline bool tl_json_is_special(char c)
{
    return c == '"' || c == '\\' || (unsigned char)c < ' ';
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
