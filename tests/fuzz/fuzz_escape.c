/* Whatever bytes are shown on a terminal, none that it might act upon gets there; and text that was
 * escaped stays as it is. Accepts text that needed no escape. */
#include "cli/out.h"
#include "codec/utf8.h"
#include "fuzz.h"

bool fuzz_one(const uint8_t *data, size_t len)
{
    TL_CLEANUP(tl_buf_release) struct tl_buf once = { 0 };
    TL_CLEANUP(tl_buf_release) struct tl_buf twice = { 0 };
    tl_buf_init(&once, (size_t)64 << 20);
    tl_buf_init(&twice, (size_t)64 << 20);
    tl_text_escape(&once, (struct tl_str){ (const char *)data, len });
    tl_assert(tl_buf_status(&once) == TALLY_OK);
    for (size_t i = 0; i < once.len; i++) {
        tl_assert((uint8_t)once.data[i] >= 0x20);
        tl_assert(once.data[i] != 0x7F);
    }
    tl_assert(tl_utf8_valid_len(once.data, once.len) == once.len);
    tl_assert(tl_text_width(tl_buf_str(&once)) <= 2 * once.len);
    tl_text_escape(&twice, tl_buf_str(&once));
    tl_assert(tl_str_equal(tl_buf_str(&once), tl_buf_str(&twice)));
    return once.len == len;
}
