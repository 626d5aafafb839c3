/* Whatever tl_event_fast takes for simple, becomes by it what it becomes by way of a draft. */
#include "event_diff.h"
#include "fuzz.h"

bool fuzz_one(const uint8_t *data, size_t len)
{
    return event_diff((const char *)data, len, NULL);
}
