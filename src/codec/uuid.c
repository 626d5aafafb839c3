#include "codec/uuid.h"

#include "base/bytes.h"

/* Bytes in each part of the text. */
static const size_t parts[] = { 4, 2, 2, 2, 6 };

void tl_uuid_v7(char out[TL_UUID_TEXT_SIZE], int64_t unix_us,
                const uint8_t random[TL_UUID_RANDOM_LEN])
{
    uint64_t us = unix_us < 0 ? 0 : (uint64_t)unix_us;
    uint64_t fraction = us % 1000 * 4096 / 1000;
    uint8_t uuid[TL_UUID_LEN];
    tl_put_be64(uuid, us / 1000 << 16 | 0x7000u | fraction);
    memcpy(uuid + 8, random, TL_UUID_RANDOM_LEN);
    uuid[8] = (uint8_t)(0x80u | (uuid[8] & 0x3Fu)); /* the variant of the RFC */
    tl_uuid_format(out, uuid);
}

tally_status tl_uuid_parse(uint8_t out[TL_UUID_LEN], struct tl_str text)
{
    if (text.len != TL_UUID_TEXT_SIZE - 1) {
        return TALLY_EINVAL;
    }
    const char *at = text.text;
    for (size_t i = 0; i < TL_ARRAY_LEN(parts); i++) {
        if (i > 0 && *at++ != '-') {
            return TALLY_EINVAL;
        }
        TL_TRY(tl_hex_decode(out, parts[i], at, 2 * parts[i]));
        out += parts[i];
        at += 2 * parts[i];
    }
    return TALLY_OK;
}

void tl_uuid_format(char out[TL_UUID_TEXT_SIZE], const uint8_t uuid[TL_UUID_LEN])
{
    for (size_t i = 0; i < TL_ARRAY_LEN(parts); i++) {
        tl_hex_encode(out, uuid, parts[i]);
        uuid += parts[i];
        out += 2 * parts[i];
        *out++ = i + 1 < TL_ARRAY_LEN(parts) ? '-' : '\0';
    }
}
