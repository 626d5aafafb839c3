/* codec/number_powers.h - powers of ten, rounded to 128 bits. */
#ifndef TL_CODEC_NUMBER_POWERS_H
#define TL_CODEC_NUMBER_POWERS_H

#include <stdint.h>

#define TL_POWER_FIRST (-343)
#define TL_POWER_LAST  324

/*
 * The first 128 bits of 10^k, plus 1: with s so that 2^127 <= 10^k * 2^s < 2^128, the entry is
 * floor(10^k * 2^s) + 1. So 10^k * 2^s is at least the entry - 1, and below the entry.
 */
struct tl_power {
    uint64_t high;
    uint64_t low;
};

extern const struct tl_power tl_powers[TL_POWER_LAST - TL_POWER_FIRST + 1];

#endif /* TL_CODEC_NUMBER_POWERS_H */
