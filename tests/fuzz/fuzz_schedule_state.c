/* What is read is written, and read as the same again. */
#include <string.h>

#include "fuzz.h"
#include "ledger/schedule_state.h"

bool fuzz_one(const uint8_t *data, size_t len)
{
    static struct tl_schedule_state state;
    static struct tl_schedule_state again;
    if (tl_schedule_state_read(&state, (struct tl_str){ (const char *)data, len }) != TALLY_OK) {
        static const uint8_t zero[sizeof(state)];
        tl_assert(memcmp((const uint8_t *)&state, zero, sizeof(zero)) == 0);
        return false;
    }
    struct tl_buf text;
    tl_buf_init(&text, (size_t)64 << 10);
    tl_schedule_state_write(&text, &state);
    tl_assert(tl_buf_status(&text) == TALLY_OK);
    tl_assert(tl_schedule_state_read(&again, (struct tl_str){ text.data, text.len }) == TALLY_OK);
    for (unsigned i = 0; i < TL_JOB_COUNT; i++) {
        tl_assert(again.jobs[i].last_us == state.jobs[i].last_us);
        tl_assert(again.jobs[i].status == state.jobs[i].status);
        tl_assert(again.jobs[i].missed == state.jobs[i].missed);
        tl_assert(again.jobs[i].verified_to == state.jobs[i].verified_to);
    }
    tl_buf_release(&text);
    return true;
}
