/* Whatever JSON object comes as a CloudTrail record, what becomes of it is a JSON object that is read
 * again, with no member twice. */
#include "base/arena.h"
#include "cli/import.h"
#include "codec/json.h"
#include "fuzz.h"

#define ARENA_MAX ((size_t)64 << 20)

bool fuzz_one(const uint8_t *data, size_t len)
{
    TL_CLEANUP(tl_arena_release) struct tl_arena arena = { 0 };
    tl_arena_init(&arena, ARENA_MAX);
    struct tl_json_limits limits = tl_json_limits_format;
    limits.depth_max = 32; /* so that what is wrapped around it does not go too deep */
    limits.keep_integers = true;
    const struct tl_json *record = NULL;
    if (tl_json_read(&arena, (const char *)data, len, &limits, &record, NULL) != TALLY_OK ||
        record->type != TL_JSON_OBJECT) {
        return false;
    }
    TL_CLEANUP(tl_js_release) struct tl_js js = { 0 };
    tl_js_init(&js);
    tl_cloudtrail_event(&js, (const char *)data, record);
    tl_assert(tl_buf_status(&js.buf) == TALLY_OK);
    limits.depth_max = 40;
    limits.bytes_max += 4 * len;
    const struct tl_json *event = NULL;
    tl_assert(tl_json_read(&arena, js.buf.data, js.buf.len, &limits, &event, NULL) == TALLY_OK);
    tl_assert(tl_json_member(event, "severity") != NULL);
    return true;
}
