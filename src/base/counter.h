/* base/counter.h - counters that any thread may add to, without a lock and without order. */
#ifndef TL_BASE_COUNTER_H
#define TL_BASE_COUNTER_H

#include <stdatomic.h>

#include "base/base.h"

struct tl_counter {
    atomic_uint_least64_t value;
};

/* Relaxed: a counter says how often, never what happened before what. */
static inline void tl_counter_add(struct tl_counter *counter, uint64_t n)
{
    atomic_fetch_add_explicit(&counter->value, n, memory_order_relaxed);
}

static inline uint64_t tl_counter_get(struct tl_counter *counter)
{
    return atomic_load_explicit(&counter->value, memory_order_relaxed);
}

static inline void tl_counter_set(struct tl_counter *counter, uint64_t value)
{
    atomic_store_explicit(&counter->value, value, memory_order_relaxed);
}

static inline void tl_counter_reset(struct tl_counter *counter)
{
    atomic_store_explicit(&counter->value, 0, memory_order_relaxed);
}

#endif /* TL_BASE_COUNTER_H */
