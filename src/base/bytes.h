/* base/bytes.h - big-endian integers in byte strings, and hexadecimal text. */
#ifndef TL_BASE_BYTES_H
#define TL_BASE_BYTES_H

#include "base/base.h"

static inline uint16_t tl_get_be16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t tl_get_be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline uint64_t tl_get_be64(const uint8_t *p)
{
    return (uint64_t)tl_get_be32(p) << 32 | tl_get_be32(p + 4);
}

static inline void tl_put_be16(uint8_t *p, uint16_t value)
{
    p[0] = (uint8_t)(value >> 8);
    p[1] = (uint8_t)value;
}

static inline void tl_put_be32(uint8_t *p, uint32_t value)
{
    tl_put_be16(p, (uint16_t)(value >> 16));
    tl_put_be16(p + 2, (uint16_t)value);
}

static inline void tl_put_be64(uint8_t *p, uint64_t value)
{
    tl_put_be32(p, (uint32_t)(value >> 32));
    tl_put_be32(p + 4, (uint32_t)value);
}

/* Writes 2 * len lower-case digits and a NUL to `out`. */
void tl_hex_encode(char *out, const uint8_t *bytes, size_t len);

/*
 * Reads exactly 2 * out_len lower-case digits. Errors: TALLY_EINVAL (other lengths, upper case,
 * other characters); *out is then undefined.
 */
tally_status tl_hex_decode(uint8_t *out, size_t out_len, const char *text, size_t text_len);

#endif /* TL_BASE_BYTES_H */
