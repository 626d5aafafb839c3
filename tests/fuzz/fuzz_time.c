/* Whatever tl_time_parse accepts, so does its naive form, and the canonical text gives it again. */
#include "codec/time.h"
#include "fuzz.h"

bool fuzz_one(const uint8_t *data, size_t len)
{
    struct tl_str text = { .text = (const char *)data, .len = len };
    int64_t naive = 0;
    int64_t us = 99;
    bool accepted_naive = tl_time_parse_naive(&naive, text) == TALLY_OK;
    bool accepted = tl_time_parse(&us, text) == TALLY_OK;
    tl_assert(!accepted || (accepted_naive && naive == us));
    tl_assert(accepted || us == 99);
    if (accepted_naive) {
        char again[TL_TIME_SIZE];
        int64_t back = 0;
        struct tl_str canonical = { .text = again, .len = tl_time_format(again, naive) };
        tl_assert(tl_time_parse(&back, canonical) == TALLY_OK);
        tl_assert(back == naive);
    }
    return accepted;
}
