#include "cli/histogram.h"

#define STEP_BITS 5u /* 32 buckets for each power of two */
#define STEPS     (1u << STEP_BITS)

static size_t bucket_of(uint64_t value)
{
    if (value < STEPS) {
        return (size_t)value;
    }
    unsigned shift = 63u - (unsigned)__builtin_clzll(value) - STEP_BITS;
    size_t bucket = (size_t)(shift + 1) * STEPS + (size_t)(value >> shift) - STEPS;
    return bucket < TL_HISTOGRAM_BUCKETS ? bucket : TL_HISTOGRAM_BUCKETS - 1;
}

/* The largest value of a bucket. */
static uint64_t end_of(size_t bucket)
{
    if (bucket < STEPS) {
        return bucket;
    }
    unsigned shift = (unsigned)(bucket / STEPS) - 1;
    return ((uint64_t)(bucket % STEPS + STEPS + 1) << shift) - 1;
}

void tl_histogram_add(struct tl_histogram *histogram, uint64_t value)
{
    histogram->count++;
    histogram->max = value > histogram->max ? value : histogram->max;
    histogram->buckets[bucket_of(value)]++;
}

void tl_histogram_merge(struct tl_histogram *to, const struct tl_histogram *from)
{
    to->count += from->count;
    to->max = from->max > to->max ? from->max : to->max;
    for (size_t i = 0; i < TL_HISTOGRAM_BUCKETS; i++) {
        to->buckets[i] += from->buckets[i];
    }
}

uint64_t tl_histogram_value(const struct tl_histogram *histogram, double share)
{
    uint64_t wanted = (uint64_t)((double)histogram->count * share);
    wanted = (double)wanted < (double)histogram->count * share ? wanted + 1 : wanted;
    uint64_t seen = 0;
    for (size_t i = 0; i < TL_HISTOGRAM_BUCKETS; i++) {
        seen += histogram->buckets[i];
        if (seen > 0 && seen >= wanted) {
            bool is_last = i + 1 == TL_HISTOGRAM_BUCKETS;
            return is_last || end_of(i) > histogram->max ? histogram->max : end_of(i);
        }
    }
    return histogram->max;
}
