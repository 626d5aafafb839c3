/* Time arguments: absolute, or relative to now. */
#include "base/parse.h"
#include "codec/time.h"
#include "model/filter.h"

static int64_t unit_us(char unit)
{
    static const struct {
        char name;
        int64_t seconds;
    } units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 }, { 'w', 604800 } };
    for (size_t i = 0; i < TL_ARRAY_LEN(units); i++) {
        if (units[i].name == unit) {
            return units[i].seconds * 1000000;
        }
    }
    return 0;
}

/* Reads "-15m". */
static tally_status parse_relative(int64_t *us_out, struct tl_str text, int64_t now_us)
{
    uint64_t count = 0;
    int64_t us = 0;
    int64_t unit = unit_us(text.text[text.len - 1]);
    if (unit == 0 || tl_parse_u64(text.text + 1, text.len - 2, INT64_MAX, &count) != TALLY_OK ||
        __builtin_mul_overflow((int64_t)count, unit, &us) ||
        __builtin_sub_overflow(now_us, us, &us) || us < TL_TIME_US_MIN) {
        return TALLY_EINVAL;
    }
    *us_out = us;
    return TALLY_OK;
}

tally_status tl_time_argument(int64_t *us_out, struct tl_str text, int64_t now_us)
{
    if (tl_str_is(text, "now")) {
        *us_out = now_us;
        return TALLY_OK;
    }
    if (text.len > 2 && text.text[0] == '-') {
        return parse_relative(us_out, text, now_us);
    }
    if (text.len == sizeof("2026-03-14") - 1) {
        return tl_time_parse_naive(us_out, text);
    }
    return tl_time_parse(us_out, text);
}
