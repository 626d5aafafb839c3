/* Whatever tl_time_argument accepts is a time that has a text, and that text means the same. */
#include "codec/time.h"
#include "fuzz.h"
#include "model/filter.h"

bool fuzz_one(const uint8_t *data, size_t len)
{
    int64_t us = 99;
    struct tl_str text = { .text = (const char *)data, .len = len };
    if (tl_time_argument(&us, text, INT64_C(1773480413589793)) != TALLY_OK) {
        tl_assert(us == 99);
        return false;
    }
    char absolute[TL_TIME_SIZE];
    int64_t again = 0;
    size_t absolute_len = tl_time_format(absolute, us);
    tl_assert(absolute_len > 0);
    tl_assert(tl_time_argument(&again, (struct tl_str){ absolute, absolute_len }, 0) == TALLY_OK);
    tl_assert(again == us);
    return true;
}
