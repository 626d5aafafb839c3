/* A proof that is accepted is written again as the same bytes. */
#include <string.h>

#include "evidence/tlogproof.h"
#include "fuzz.h"

static struct tl_tlogproof proof;

bool fuzz_one(const uint8_t *data, size_t len)
{
    struct tl_buf extra;
    struct tl_buf again;
    tl_buf_init(&extra, TL_TLOGPROOF_LEN_MAX);
    tl_buf_init(&again, TL_TLOGPROOF_LEN_MAX);
    bool accepted = tl_tlogproof_parse(&proof, &extra, (const char *)data, len, NULL) == TALLY_OK;
    if (accepted) {
        tl_tlogproof_format(&again, &proof);
        tl_assert(again.len == len && memcmp(again.data, data, len) == 0);
    }
    tl_buf_release(&again);
    tl_buf_release(&extra);
    return accepted;
}
