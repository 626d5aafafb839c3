/* server/rate.h - how often each of many may ask: two seconds' worth at once, then so many a second. */
#ifndef TL_SERVER_RATE_H
#define TL_SERVER_RATE_H

#include "base/counter.h"
#include "base/siphash.h"
#include "base/thread.h"

#define TL_RATE_SETS 512u
#define TL_RATE_WAYS 8u
#define TL_RATE_MAX  1000000u /* a second */

/* Whoever asks: a token, or an address; zeroes at the end. */
struct tl_rate_key {
    uint8_t bytes[16];
};

/*
 * Any thread may call everything. At most 4,096 are told apart at a time: who finds no room goes on
 * with the bucket of who asked least, so that many addresses do not make a new bucket of an old one.
 */
struct tl_rate {
    struct tl_counter per_s; /* 0: no limit */
    uint8_t seed[TL_SIPHASH_KEY_LEN];
    struct tl_mutex mu;
    struct tl_rate_slot {
        struct tl_rate_key who;
        int64_t full_us;                 /* steady clock: when all may be had again */
    } slots[TL_RATE_SETS][TL_RATE_WAYS]; /* guarded by mu */
};

tally_status tl_rate_init(struct tl_rate *rate, uint64_t per_s);
void tl_rate_release(struct tl_rate *rate);

/* `per_s` is at most TL_RATE_MAX. */
void tl_rate_set(struct tl_rate *rate, uint64_t per_s);

/* Whether one more is within the limit. One that is not counts for nothing: there is room for it after
 * a second at most. */
bool tl_rate_allows(struct tl_rate *rate, const struct tl_rate_key *who);

#endif /* TL_SERVER_RATE_H */
