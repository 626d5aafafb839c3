/* Whatever tl_uuid_parse accepts, the bytes give the same text again. */
#include "codec/uuid.h"
#include "fuzz.h"

bool fuzz_one(const uint8_t *data, size_t len)
{
    struct tl_str text = { .text = (const char *)data, .len = len };
    uint8_t uuid[TL_UUID_LEN];
    if (tl_uuid_parse(uuid, text) != TALLY_OK) {
        return false;
    }
    char again[TL_UUID_TEXT_SIZE];
    tl_uuid_format(again, uuid);
    tl_assert(tl_str_is(text, again));
    return true;
}
