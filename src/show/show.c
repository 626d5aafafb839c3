#include "show/show.h"

void tl_show_time(struct tl_js *js, const char *key, int64_t us)
{
    if (us > 0) {
        tl_js_time(js, key, us);
    } else {
        tl_js_null(js, key);
    }
}

void tl_show_seq(struct tl_js *js, const char *key, uint64_t seq)
{
    if (seq == TALLY_SEQ_NONE) {
        tl_js_null(js, key);
    } else {
        tl_js_u64(js, key, seq);
    }
}

void tl_show_day(char out[TL_TIME_SIZE], int64_t us)
{
    out[0] = '\0';
    if (us != 0) {
        (void)tl_time_format(out, us); /* "" if it has no text */
        out[out[0] == '\0' ? 0 : sizeof("2026-03-14") - 1] = '\0';
    }
}
