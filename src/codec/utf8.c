#include "codec/utf8.h"

#include <string.h>

#define HIGH_BITS 0x8080808080808080u

static bool continues(uint8_t byte)
{
    return (byte & 0xC0) == 0x80;
}

size_t tl_utf8_char_len(const char *text, size_t len)
{
    const uint8_t *p = (const uint8_t *)text;
    if (len == 0) {
        return 0;
    }
    if (p[0] < 0x80) {
        return 1;
    }
    if (p[0] < 0xC2 || p[0] > 0xF4) { /* a continuation, always overlong, or always too large */
        return 0;
    }
    if (p[0] < 0xE0) {
        return len >= 2 && continues(p[1]) ? 2 : 0;
    }
    if (p[0] < 0xF0) {
        bool overlong = p[0] == 0xE0 && len >= 2 && p[1] < 0xA0;
        bool surrogate = p[0] == 0xED && len >= 2 && p[1] > 0x9F;
        return len >= 3 && continues(p[1]) && continues(p[2]) && !overlong && !surrogate ? 3 : 0;
    }
    bool overlong = p[0] == 0xF0 && len >= 2 && p[1] < 0x90;
    bool too_large = p[0] == 0xF4 && len >= 2 && p[1] > 0x8F;
    bool complete = len >= 4 && continues(p[1]) && continues(p[2]) && continues(p[3]);
    return complete && !overlong && !too_large ? 4 : 0;
}

size_t tl_utf8_valid_len(const char *text, size_t len)
{
    size_t at = 0;
    while (at < len) {
        uint64_t word = HIGH_BITS;
        if (len - at >= sizeof(word)) {
            memcpy(&word, text + at, sizeof(word));
        }
        if ((word & HIGH_BITS) == 0) {
            at += sizeof(word);
            continue;
        }
        size_t used = tl_utf8_char_len(text + at, len - at);
        if (used == 0) {
            return at;
        }
        at += used;
    }
    return at;
}

size_t tl_utf8_encode(char *to, uint32_t character)
{
    tl_assert(character <= 0x10FFFF);
    tl_assert(character < 0xD800 || character > 0xDFFF);
    if (character < 0x80) {
        to[0] = (char)character;
        return 1;
    }
    /* The first byte says how many follow, each with six bits. */
    size_t len = character < 0x800 ? 2 : character < 0x10000 ? 3 : 4;
    for (size_t i = len - 1; i > 0; i--) {
        to[i] = (char)(0x80 | (character & 0x3F));
        character >>= 6;
    }
    to[0] = (char)((0xF00u >> len & 0xF0u) | character);
    return len;
}
