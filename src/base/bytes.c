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

static int digit_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

tally_status tl_hex_decode(uint8_t *out, size_t out_len, const char *text, size_t text_len)
{
    if (text_len / 2 != out_len || text_len % 2 != 0) {
        return TALLY_EINVAL;
    }
    for (size_t i = 0; i < out_len; i++) {
        int high = digit_value(text[2 * i]);
        int low = digit_value(text[2 * i + 1]);
        if (high < 0 || low < 0) {
            return TALLY_EINVAL;
        }
        out[i] = (uint8_t)(high << 4 | low);
    }
    return TALLY_OK;
}
