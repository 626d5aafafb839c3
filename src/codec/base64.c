#include "codec/base64.h"

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* Writes the four characters of `count` bytes, 1 to 3. */
static void encode_group(char *to, const uint8_t *bytes, size_t count)
{
    uint32_t bits = (uint32_t)bytes[0] << 16;
    bits |= count > 1 ? (uint32_t)bytes[1] << 8 : 0;
    bits |= count > 2 ? (uint32_t)bytes[2] : 0;
    to[0] = letters[bits >> 18];
    to[1] = letters[bits >> 12 & 63];
    to[2] = '=';
    to[3] = '=';
    if (count > 1) {
        to[2] = letters[bits >> 6 & 63];
    }
    if (count > 2) {
        to[3] = letters[bits & 63];
    }
}

void tl_base64_encode(struct tl_buf *out, const uint8_t *bytes, size_t len)
{
    size_t groups = len / 3 + (len % 3 != 0);
    char *to = tl_buf_reserve(out, groups > SIZE_MAX / 4 ? SIZE_MAX : groups * 4);
    if (to == NULL) {
        return;
    }
    for (size_t i = 0; i < groups; i++) {
        size_t left = len - 3 * i;
        encode_group(to + 4 * i, bytes + 3 * i, left < 3 ? left : 3);
    }
    tl_buf_commit(out, groups * 4);
}

size_t tl_base64_decoded_len_max(size_t text_len)
{
    return text_len / 4 * 3;
}

/* The six bits that `c` stands for, or 64. */
static uint32_t value_of(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return (uint32_t)(c - 'A');
    }
    if (c >= 'a' && c <= 'z') {
        return (uint32_t)(c - 'a') + 26;
    }
    if (c >= '0' && c <= '9') {
        return (uint32_t)(c - '0') + 52;
    }
    return c == '+' ? 62 : c == '/' ? 63 : 64;
}

/* Reads `count` bytes, 1 to 3, out of four characters of which the padding is known to be '='. */
static bool decode_group(uint8_t *out, const char *text, size_t count)
{
    uint32_t bits = 0;
    for (size_t i = 0; i < count + 1; i++) {
        uint32_t value = value_of(text[i]);
        if (value > 63) {
            return false;
        }
        bits |= value << (18 - 6 * i);
    }
    for (size_t i = 0; i < count; i++) {
        out[i] = (uint8_t)(bits >> (16 - 8 * i));
    }
    return (bits & (0xFFFFFFu >> (8 * count))) == 0; /* else a second spelling of these bytes */
}

tally_status tl_base64_decode(uint8_t *out, size_t out_size, size_t *len_out, const char *text,
                              size_t text_len)
{
    if (text_len % 4 != 0) {
        return TALLY_EINVAL;
    }
    size_t len = tl_base64_decoded_len_max(text_len);
    if (text_len > 0 && text[text_len - 1] == '=') {
        len -= text[text_len - 2] == '=' ? 2 : 1;
    }
    if (len > out_size) {
        return TALLY_ELIMIT;
    }
    for (size_t at = 0; at < len; at += 3) {
        size_t left = len - at;
        if (!decode_group(out + at, text + at / 3 * 4, left < 3 ? left : 3)) {
            return TALLY_EINVAL;
        }
    }
    *len_out = len;
    return TALLY_OK;
}
