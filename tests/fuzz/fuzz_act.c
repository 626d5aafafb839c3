/* Reads any text as a spooled act. What is read can be written, and is then read as the same. */
#include <string.h>

#include "fuzz.h"
#include "ledger/act_text.h"

bool fuzz_one(const uint8_t *data, size_t len)
{
    struct tl_arena arena;
    struct tl_control control;
    struct tl_act_request act = { .control = &control };
    struct tl_buf once;
    struct tl_buf twice;
    tl_arena_init(&arena, (size_t)16 << 20);
    tl_buf_init(&once, (size_t)4 << 20);
    tl_buf_init(&twice, (size_t)4 << 20);
    bool good = tl_act_decode(&control, &act.newest, &arena, (const char *)data, len) == TALLY_OK;
    if (good) {
        tl_assert(tl_act_encode(&once, &act, NULL) == TALLY_OK);
        tl_assert(tl_act_decode(&control, &act.newest, &arena, once.data, once.len) == TALLY_OK);
        tl_assert(tl_act_encode(&twice, &act, NULL) == TALLY_OK);
        tl_assert(tl_str_equal(tl_buf_str(&once), tl_buf_str(&twice)));
    }
    tl_buf_release(&once);
    tl_buf_release(&twice);
    tl_arena_release(&arena);
    return good;
}
