/* Whatever tl_leaf_decode accepts, encoding it again gives the same bytes before the payload. */
#include <string.h>

#include "evidence/leaf.h"
#include "fuzz.h"

bool fuzz_one(const uint8_t *data, size_t len)
{
    struct tl_leaf leaf;
    uint8_t again[TL_LEAF_LEN];
    if (tl_leaf_decode(&leaf, data, len, NULL) != TALLY_OK) {
        return false;
    }
    tl_leaf_encode(again, &leaf);
    tl_assert(memcmp(again, data, sizeof(again)) == 0);
    tl_assert(tl_leaf_is_control(leaf.kind) == (len > TL_LEAF_LEN));
    return true;
}
