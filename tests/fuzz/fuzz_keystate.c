/*
 * Tries the bytes as a key state, a high-water mark, the text of a MAC key and an `opened` column.
 * Each has one spelling. Checksums, which hide the rest from a fuzzer, are also made right.
 */
#include <string.h>

#include "base/buf.h"
#include "evidence/content.h"
#include "evidence/keystate.h"
#include "fuzz.h"

static bool try_state(const uint8_t *data, size_t len)
{
    struct tl_keystate state;
    uint8_t again[TL_KEYSTATE_LEN];
    if (tl_keystate_decode(&state, data, len, NULL) != TALLY_OK) {
        return false;
    }
    tl_keystate_encode(again, &state);
    tl_assert(memcmp(again, data, len) == 0);
    return true;
}

static bool try_mark(const uint8_t *data, size_t len)
{
    struct tl_highwater mark;
    uint8_t again[TL_HIGHWATER_SLOT_LEN];
    uint32_t slot = 9;
    if (tl_highwater_decode(&mark, &slot, data, len, NULL) != TALLY_OK) {
        return false;
    }
    tl_assert(slot < 2);
    tl_highwater_encode(again, &mark);
    tl_assert(memcmp(again, data + (1 - slot) * sizeof(again), sizeof(again)) == 0);
    return true;
}

static bool try_text(const uint8_t *data, size_t len)
{
    uint8_t key[TL_MAC_KEY_LEN];
    uint32_t epoch = 0;
    char again[TL_MAC_TEXT_SIZE];
    if (tl_mac_key_parse(key, &epoch, (const char *)data, len, NULL) != TALLY_OK) {
        return false;
    }
    tl_mac_key_format(again, key, epoch);
    tl_assert(memcmp(again, data, strlen(again)) == 0);
    return true;
}

static bool try_opened(const uint8_t *data, size_t len)
{
    static struct tl_opened opened;
    struct tl_buf again;
    if (tl_opened_decode(&opened, data, len) != TALLY_OK) {
        return false;
    }
    tl_buf_init(&again, (size_t)1 << 20);
    tl_opened_encode(&again, &opened);
    tl_assert(again.len == len && memcmp(again.data, data, len) == 0);
    tl_buf_release(&again);
    return true;
}

bool fuzz_one(const uint8_t *data, size_t len)
{
    uint8_t fixed[TL_KEYSTATE_LEN];
    if (len == sizeof(fixed)) {
        memcpy(fixed, data, len);
        tl_sha256(fixed + len - TL_SHA256_LEN, fixed, len - TL_SHA256_LEN);
        (void)try_state(fixed, len);
    }
    return try_state(data, len) || try_mark(data, len) || try_text(data, len) ||
           try_opened(data, len);
}
