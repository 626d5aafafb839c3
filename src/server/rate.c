#include "server/rate.h"

#include <string.h>

#include "base/clock.h"
#include "base/random.h"

#define SECOND_US INT64_C(1000000)
#define BURST_US  (2 * SECOND_US)

tally_status tl_rate_init(struct tl_rate *rate, uint64_t per_s)
{
    TL_TRY(tl_mutex_init(&rate->mu));
    tl_random_bytes(rate->seed, sizeof(rate->seed));
    tl_rate_set(rate, per_s);
    return TALLY_OK;
}

void tl_rate_release(struct tl_rate *rate)
{
    tl_mutex_release(&rate->mu);
}

void tl_rate_set(struct tl_rate *rate, uint64_t per_s)
{
    tl_assert(per_s <= TL_RATE_MAX);
    tl_counter_set(&rate->per_s, per_s);
}

/* The slot of `who`; without one that of who may ask soonest, with what he still has to wait. */
static struct tl_rate_slot *find(struct tl_rate *rate, const struct tl_rate_key *who)
{
    uint64_t hash = tl_siphash(rate->seed, who->bytes, sizeof(who->bytes));
    struct tl_rate_slot *set = rate->slots[hash % TL_RATE_SETS];
    struct tl_rate_slot *least = set;
    for (size_t i = 0; i < TL_RATE_WAYS; i++) {
        if (memcmp(&set[i].who, who, sizeof(*who)) == 0) {
            return &set[i];
        }
        least = set[i].full_us < least->full_us ? &set[i] : least;
    }
    least->who = *who;
    return least;
}

bool tl_rate_allows(struct tl_rate *rate, const struct tl_rate_key *who)
{
    uint64_t per_s = tl_counter_get(&rate->per_s);
    if (per_s == 0) {
        return true;
    }
    int64_t now_us = tl_clock->steady_us();
    tl_mutex_lock(&rate->mu);
    struct tl_rate_slot *slot = find(rate, who);
    int64_t from_us = slot->full_us > now_us ? slot->full_us : now_us;
    int64_t full_us = from_us + SECOND_US / (int64_t)per_s;
    bool allows = full_us - now_us <= BURST_US;
    slot->full_us = allows ? full_us : slot->full_us;
    tl_mutex_unlock(&rate->mu);
    return allows;
}
