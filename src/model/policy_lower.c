/* Lower case of the letters that names of members are likely to have. */
#include "codec/utf8.h"
#include "model/fold.h"
#include "model/policy_parts.h"

/* Letters from `first` to `last`, each `step` from the next, are in upper case; `add` leads to the
 * one in lower case. From Unicode's CaseFolding.txt, the simple foldings (C and S). */
static const struct range {
    uint16_t first, last, step;
    int16_t add;
} ranges[] = {
    { 0x00C0, 0x00D6, 1, 32 },    { 0x00D8, 0x00DE, 1, 32 }, { 0x0100, 0x012E, 2, 1 },
    { 0x0132, 0x0136, 2, 1 },     { 0x0139, 0x0147, 2, 1 },  { 0x014A, 0x0176, 2, 1 },
    { 0x0178, 0x0178, 1, -121 },  { 0x0179, 0x017D, 2, 1 },  { 0x017F, 0x017F, 1, -268 },
    { 0x0386, 0x0386, 1, 38 },    { 0x0388, 0x038A, 1, 37 }, { 0x038C, 0x038C, 1, 64 },
    { 0x038E, 0x038F, 1, 63 },    { 0x0391, 0x03A1, 1, 32 }, { 0x03A3, 0x03AB, 1, 32 },
    { 0x03C2, 0x03C2, 1, 1 },     { 0x0400, 0x040F, 1, 80 }, { 0x0410, 0x042F, 1, 32 },
    { 0x0460, 0x0480, 2, 1 },     { 0x048A, 0x04BE, 2, 1 },  { 0x04C0, 0x04C0, 1, 15 },
    { 0x04C1, 0x04CD, 2, 1 },     { 0x04D0, 0x052E, 2, 1 },  { 0x0531, 0x0556, 1, 48 },
    { 0x1E00, 0x1E94, 2, 1 },     { 0x1EA0, 0x1EFE, 2, 1 },  { 0x212A, 0x212A, 1, -8383 },
    { 0x212B, 0x212B, 1, -8262 }, { 0xFF21, 0xFF3A, 1, 32 },
};

static uint32_t lower_of(uint32_t c)
{
    for (size_t i = 0; i < TL_ARRAY_LEN(ranges); i++) {
        const struct range *range = &ranges[i];
        if (c >= range->first && c <= range->last && (c - range->first) % range->step == 0) {
            return (uint32_t)((int32_t)c + range->add);
        }
    }
    return c;
}

/* The character of `len` bytes, which are valid. */
static uint32_t decode(const char *text, size_t len)
{
    uint32_t c = (unsigned char)text[0] & (0xFFu >> (len + 1));
    for (size_t i = 1; i < len; i++) {
        c = c << 6 | ((unsigned char)text[i] & 0x3Fu);
    }
    return c;
}

size_t tl_policy_lower(char *out, size_t size, struct tl_str name)
{
    size_t used = 0;
    for (size_t at = 0; at < name.len;) {
        size_t len = tl_utf8_char_len(name.text + at, name.len - at);
        char lower[4] = { tl_fold(name.text[at]) };
        size_t lower_len = 1;
        if (len > 1) {
            lower_len = tl_utf8_encode(lower, lower_of(decode(name.text + at, len)));
        }
        if (size - used < lower_len) {
            return size + 1;
        }
        memcpy(out + used, lower, lower_len);
        used += lower_len;
        at += len > 1 ? len : 1;
    }
    return used;
}
