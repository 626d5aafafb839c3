/* The first byte is the kind. A payload that is accepted is written again as the same bytes, unless it is
 * one that no sound writer writes. */
#include <string.h>

#include "evidence/control.h"
#include "fuzz.h"

bool fuzz_one(const uint8_t *data, size_t len)
{
    if (len == 0 || data[0] < TL_LEAF_GENESIS || data[0] > TL_LEAF_RESTORE) {
        return false;
    }
    enum tl_leaf_kind kind = (enum tl_leaf_kind)data[0];
    const char *payload = (const char *)data + 1;
    struct tl_control control;
    struct tl_arena arena;
    struct tl_buf out;
    tl_arena_init(&arena, (size_t)16 << 20);
    tl_buf_init(&out, 2 * (size_t)TL_LEAF_PAYLOAD_MAX);
    tally_status status = tl_control_parse(&control, &arena, kind, payload, len - 1, NULL);
    tl_assert(status == TALLY_OK || status == TALLY_ECORRUPT);
    if (status == TALLY_OK) {
        bool sound = tl_control_writing_fault(&control) == NULL;
        tl_assert(tl_control_format(&out, &control, NULL) == (sound ? TALLY_OK : TALLY_EINVAL));
        tl_assert(!sound || (out.len == len - 1 && memcmp(out.data, payload, out.len) == 0));
        tl_assert(tl_approval_text(&out, TL_STR("o"), kind, payload, len - 1, &arena) == TALLY_OK);
    }
    tl_buf_release(&out);
    tl_arena_release(&arena);
    return status == TALLY_OK;
}
