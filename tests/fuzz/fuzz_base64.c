/* Whatever tl_base64_decode accepts, encoding the bytes gives the same text again. */
#include "codec/base64.h"
#include "fuzz.h"

bool fuzz_one(const uint8_t *data, size_t len)
{
    size_t size = tl_base64_decoded_len_max(len);
    uint8_t *bytes = tl_alloc_array(size, 1);
    size_t bytes_len = 0;
    bool accepted = tl_base64_decode(bytes, size, &bytes_len, (const char *)data, len) == TALLY_OK;
    if (accepted) {
        struct tl_buf text = { 0 };
        tl_buf_init(&text, len + 1);
        tl_base64_encode(&text, bytes, bytes_len);
        tl_assert(tl_str_equal(tl_buf_str(&text), (struct tl_str){ (const char *)data, len }));
        tl_buf_release(&text);
    }
    tl_free(bytes);
    return accepted;
}
