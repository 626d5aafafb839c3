/* Any file that is taken gives offsets within bounds, and moments that are of their local times. */
#include "fuzz.h"
#include "schedule/zone.h"

#define OFF_MAX  INT64_C(93600) /* 26 hours */
#define TWO_DAYS INT64_C(172800)

bool fuzz_one(const uint8_t *data, size_t len)
{
    static struct tl_zone zone;
    if (tl_zone_read(&zone, data, len) != TALLY_OK) {
        return false;
    }
    for (int64_t utc_s = 0; utc_s < INT64_C(8000000000); utc_s += 397200001) {
        int32_t offset = tl_zone_offset(&zone, utc_s);
        tl_assert(offset >= -OFF_MAX && offset <= OFF_MAX);
        int64_t moment = tl_zone_moment(&zone, utc_s);
        tl_assert(moment >= utc_s - TWO_DAYS && moment <= utc_s + TWO_DAYS);
    }
    return true;
}
