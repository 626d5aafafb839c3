#include "base/bytes.h"

static const char digits[] = "0123456789abcdef";

void tl_hex_encode(char *out, const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[2 * len] = '\0';
}

/* What each digit stands for, and one more; 0 for what is no digit. */
static const uint8_t values[256] = {
    ['0'] = 1, ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
    ['8'] = 9, ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
};

tally_status tl_hex_decode(uint8_t *out, size_t out_len, const char *text, size_t text_len)
{
    if (text_len / 2 != out_len || text_len % 2 != 0) {
        return TALLY_EINVAL;
    }
    bool good = true;
    for (size_t i = 0; i < out_len; i++) {
        unsigned high = values[(unsigned char)text[2 * i]];
        unsigned low = values[(unsigned char)text[2 * i + 1]];
        good = good && high != 0 && low != 0;
        out[i] = (uint8_t)((high - 1) << 4 | ((low - 1) & 15));
    }
    return good ? TALLY_OK : TALLY_EINVAL;
}
