#include "support/fake_clock.h"

#include <stdatomic.h>

#include "base/clock.h"

static atomic_llong wall;
static atomic_llong steady;
static atomic_bool synchronised;

static int64_t wall_us(void)
{
    return atomic_load(&wall);
}

static int64_t steady_us(void)
{
    return atomic_load(&steady);
}

static bool is_synchronised(void)
{
    return atomic_load(&synchronised);
}

static const struct tl_clock_ops fake = { .wall_us = wall_us,
                                          .steady_us = steady_us,
                                          .is_synchronised = is_synchronised };

void fake_clock_use(void)
{
    atomic_store(&wall, FAKE_CLOCK_START);
    atomic_store(&steady, FAKE_HOUR);
    atomic_store(&synchronised, false);
    tl_clock = &fake;
}

void fake_clock_end(void)
{
    tl_clock = &tl_clock_system;
}

void fake_clock_pass(int64_t us)
{
    atomic_fetch_add(&wall, us);
    atomic_fetch_add(&steady, us);
}

void fake_clock_step(int64_t us)
{
    atomic_fetch_add(&wall, us);
}

void fake_clock_synchronise(bool is_synchronised_now)
{
    atomic_store(&synchronised, is_synchronised_now);
}
