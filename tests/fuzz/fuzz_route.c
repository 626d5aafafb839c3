/*
 * Tags any text as an event that stays at home. A canonical object with tags stays canonical, and
 * tagging it again changes nothing; anything else is refused or stays within its bounds.
 */
#include <string.h>

#include "codec/json.h"
#include "fuzz.h"
#include "ledger/router.h"
#include "model/event.h"

/* Whether it is an object whose member "tags", if any, is an array. */
static bool is_event(struct tl_arena *arena, const char *text, size_t len)
{
    const struct tl_json *root = NULL;
    if (tl_json_check_canonical(text, len, NULL) != TALLY_OK ||
        tl_json_read(arena, text, len, &tl_json_limits_format, &root, NULL) != TALLY_OK ||
        root->type != TL_JSON_OBJECT) {
        return false;
    }
    const struct tl_json *tags = tl_json_member(root, "tags");
    return tags == NULL || tags->type == TL_JSON_ARRAY;
}

static void check_tagged(struct tl_buf *once, const char *text, size_t len)
{
    struct tl_buf twice;
    tl_buf_init(&twice, (size_t)4 << 20);
    bool is_tagged = memmem(once->data, once->len, "\"tally:unrouted\"",
                            TL_STR("\"tally:unrouted\"").len) != NULL;
    tl_assert(is_tagged || tl_str_equal(tl_buf_str(once), (struct tl_str){ text, len }));
    tl_assert(once->len <= len + 64);
    tl_assert(tl_json_check_canonical(once->data, once->len, NULL) == TALLY_OK);
    tl_assert(tl_route_tag(&twice, once->data, once->len) == TALLY_OK);
    tl_assert(tl_str_equal(tl_buf_str(once), tl_buf_str(&twice)));
    tl_buf_release(&twice);
}

bool fuzz_one(const uint8_t *data, size_t len)
{
    const char *text = (const char *)data;
    struct tl_arena arena;
    struct tl_buf once;
    tl_arena_init(&arena, (size_t)256 << 20);
    tl_buf_init(&once, (size_t)4 << 20);
    tally_status status = tl_route_tag(&once, text, len);
    bool is_good = is_event(&arena, text, len);
    if (is_good) {
        tl_assert(status == TALLY_OK);
        check_tagged(&once, text, len);
    } else if (status != TALLY_OK) {
        tl_assert(once.len == 0);
    }
    tl_buf_release(&once);
    tl_arena_release(&arena);
    return is_good;
}
