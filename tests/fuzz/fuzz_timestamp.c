/* An answer of a time stamping authority, or the token of one. What is accepted is what was asked for,
 * and its token is accepted again and says the same. */
#include <string.h>

#include "crypto/timestamp.h"
#include "fuzz.h"

static bool try_answer(struct tl_str bytes)
{
    uint8_t imprint[TL_SHA256_LEN];
    const uint8_t nonce[TL_TIMESTAMP_NONCE_LEN] = { 1, 2, 3, 4, 5, 6, 7, 8 };
    struct tl_timestamp stamp;
    struct tl_timestamp again;
    struct tl_buf token;
    for (size_t i = 0; i < sizeof(imprint); i++) {
        imprint[i] = (uint8_t)i;
    }
    tl_buf_init(&token, TL_TIMESTAMP_LEN_MAX);
    const struct tl_str none = { 0 };
    tally_status status = tl_timestamp_accept(&stamp, &token, bytes, imprint, nonce, none, NULL);
    if (status == TALLY_OK) {
        tl_assert(memcmp(stamp.imprint, imprint, sizeof(imprint)) == 0);
        tl_assert(tl_timestamp_read(&again, tl_buf_str(&token), none, NULL) == TALLY_OK);
        tl_assert(again.time_s == stamp.time_s && strcmp(again.authority, stamp.authority) == 0);
    } else {
        tl_assert(token.len == 0);
    }
    tl_buf_release(&token);
    return status == TALLY_OK;
}

bool fuzz_one(const uint8_t *data, size_t len)
{
    const struct tl_str bytes = { .text = (const char *)data, .len = len };
    struct tl_timestamp stamp;
    const struct tl_str none = { 0 };
    if (tl_timestamp_read(&stamp, bytes, none, NULL) == TALLY_OK) {
        tl_assert(stamp.time_s > 0 && strlen(stamp.authority) < sizeof(stamp.authority));
        return true;
    }
    return try_answer(bytes);
}
