#include "show/show.h"

void tl_show_count(struct tl_js *js, const char *key, uint64_t count, bool is_exact)
{
    tl_js_open(js, key, '{');
    tl_js_u64(js, "count", count);
    tl_js_bool(js, "exact", is_exact);
    tl_js_close(js, '}');
}

void tl_show_bucket(char out[TL_TIME_SIZE], const struct tally_stats *stats, size_t row)
{
    if (stats->bucket != TALLY_BUCKET_HOUR) {
        tl_show_day(out, stats->rows[row].day_us);
    } else {
        (void)tl_time_format(out, stats->rows[row].day_us); /* "" if it has no text */
    }
}

void tl_show_stats(struct tl_js *js, const char *key, const char *by,
                   const struct tally_stats *stats)
{
    tl_js_open(js, key, '{');
    tl_js_text(js, "by", by);
    tl_js_u64(js, "total", stats->total);
    tl_js_u64(js, "others", stats->others);
    tl_js_open(js, "rows", '[');
    for (size_t i = 0; i < stats->count; i++) {
        char time[TL_TIME_SIZE];
        tl_show_bucket(time, stats, i);
        tl_js_open(js, NULL, '{');
        if (time[0] != '\0') {
            tl_js_text(js, stats->bucket == TALLY_BUCKET_HOUR ? "hour" : "day", time);
        }
        tl_js_text(js, "key", stats->rows[i].key);
        tl_js_u64(js, "count", stats->rows[i].count);
        tl_js_close(js, '}');
    }
    tl_js_close(js, ']');
    tl_js_close(js, '}');
}

static void show_source(struct tl_js *js, const struct tally_source *source)
{
    tl_js_open(js, NULL, '{');
    tl_js_text(js, "service", source->service);
    tl_js_u64(js, "events", source->events);
    tl_js_time(js, "last_at", source->last_us);
    tl_js_bool(js, "silent", source->silent != 0);
    if (source->silent_after_s > 0) {
        tl_js_u64(js, "silent_after", (uint64_t)source->silent_after_s);
    } else {
        tl_js_null(js, "silent_after");
    }
    tl_js_close(js, '}');
}

static void show_unlisted(struct tl_js *js, const struct tally_unlisted *unlisted)
{
    tl_js_open(js, NULL, '{');
    tl_js_text(js, "action", unlisted->action);
    tl_js_u64(js, "count", unlisted->count);
    tl_js_time(js, "last_at", unlisted->last_us);
    tl_js_close(js, '}');
}

void tl_show_sources(struct tl_js *js, const char *key, const struct tally_sources *sources)
{
    tl_js_open(js, key, '{');
    tl_js_open(js, "sources", '[');
    for (size_t i = 0; i < sources->source_count; i++) {
        show_source(js, &sources->sources[i]);
    }
    tl_js_close(js, ']');
    tl_js_bool(js, "sources_cut", sources->sources_cut != 0);
    tl_js_open(js, "unlisted", '[');
    for (size_t i = 0; i < sources->unlisted_count; i++) {
        show_unlisted(js, &sources->unlisted[i]);
    }
    tl_js_close(js, ']');
    tl_js_bool(js, "unlisted_cut", sources->unlisted_cut != 0);
    tl_js_close(js, '}');
}
