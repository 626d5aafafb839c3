/* A trust file that is accepted is written as one that gives the same keys and the same quorum. */
#include <string.h>

#include "evidence/trust.h"
#include "fuzz.h"

static struct tl_trust trust;
static struct tl_trust again;

bool fuzz_one(const uint8_t *data, size_t len)
{
    if (tl_trust_parse(&trust, (const char *)data, len, NULL) != TALLY_OK) {
        return false;
    }
    struct tl_buf out;
    tl_buf_init(&out, (size_t)1 << 20);
    tl_trust_format(&out, &trust);
    tl_assert(tl_trust_parse(&again, out.data, out.len, NULL) == TALLY_OK);
    /* NOLINTNEXTLINE(bugprone-suspicious-memory-comparison): the padding of both stays zero */
    tl_assert(memcmp(&again, &trust, sizeof(trust)) == 0);
    tl_assert(tl_trust_quorum_holds(&trust, UINT64_MAX));
    tl_assert(tl_trust_quorum_holds(&trust, 0) == !trust.has_quorum);
    tl_buf_release(&out);
    return true;
}
