/*
 * cli/histogram.h - how often a call took how long, in fixed memory.
 *
 * Buckets are log-linear: 32 of equal width for each power of two, so that a figure is at most 3.2 %
 * too large. Below 32 ns each value has its own.
 */
#ifndef TL_CLI_HISTOGRAM_H
#define TL_CLI_HISTOGRAM_H

#include "base/base.h"

#define TL_HISTOGRAM_BUCKETS 1312u /* up to 2^45 ns, ten hours; what is longer goes into the last */

/* A zeroed one is empty. Confined to one thread; merged afterwards. */
struct tl_histogram {
    uint64_t count;
    uint64_t max;
    uint64_t buckets[TL_HISTOGRAM_BUCKETS];
};

void tl_histogram_add(struct tl_histogram *histogram, uint64_t value);
void tl_histogram_merge(struct tl_histogram *to, const struct tl_histogram *from);

/* The value that `share` (0.99) of all do not exceed: the upper end of its bucket, and never more
 * than the largest value. 0 if it is empty. */
uint64_t tl_histogram_value(const struct tl_histogram *histogram, double share);

#endif /* TL_CLI_HISTOGRAM_H */
