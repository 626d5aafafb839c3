#include "base/clock.h"

#include <sys/timex.h>
#include <time.h>

static int64_t read_clock(clockid_t id)
{
    struct timespec now;
    tl_assert(clock_gettime(id, &now) == 0); /* fails for a clock that does not exist only */
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int64_t wall_us(void)
{
    return read_clock(CLOCK_REALTIME);
}

static int64_t steady_us(void)
{
    return read_clock(CLOCK_BOOTTIME);
}

static bool is_synchronised(void)
{
    struct timex status = { .modes = 0 };
    int state = adjtimex(&status);
    return state >= 0 && state != TIME_ERROR;
}

const struct tl_clock_ops tl_clock_system = {
    .wall_us = wall_us,
    .steady_us = steady_us,
    .is_synchronised = is_synchronised,
};

const struct tl_clock_ops *tl_clock = &tl_clock_system;

int64_t tl_clock_stopwatch_ns(void)
{
    struct timespec now;
    tl_assert(clock_gettime(CLOCK_MONOTONIC, &now) == 0); /* as above */
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}
