/* A time that is found fits, comes after, and none before it does. */
#include "fuzz.h"
#include "schedule/cron.h"

#define NOW INT64_C(1795332420)

bool fuzz_one(const uint8_t *data, size_t len)
{
    struct tl_str text = { .text = (const char *)data, .len = len };
    struct tl_cron_fields fields;
    if (tl_cron_fields_read(&fields, text, NULL) != TALLY_OK) {
        return false;
    }
    tl_assert(fields.minutes >> 60 == 0 && fields.hours >> 24 == 0 && fields.weekdays >> 7 == 0);
    int64_t next = tl_cron_fields_next(&fields, NULL, NOW);
    if (next != 0) {
        tl_assert(next > NOW && next % 60 == 0);
        tl_assert((fields.minutes >> (next % 3600 / 60) & 1) != 0);
        tl_assert((fields.hours >> (next % 86400 / 3600) & 1) != 0);
        tl_assert(tl_cron_fields_next(&fields, NULL, next - 1) == next);
    }
    return true;
}
