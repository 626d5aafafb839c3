/* base/clock.h - the time, behind a table that tests can replace. */
#ifndef TL_BASE_CLOCK_H
#define TL_BASE_CLOCK_H

#include "base/base.h"

struct tl_clock_ops {
    int64_t (*wall_us)(void);   /* microseconds since 1970, UTC; may step */
    int64_t (*steady_us)(void); /* microseconds since boot, suspends included; never steps back */
    bool (*is_synchronised)(void); /* whether the kernel says that the wall clock is disciplined */
};

extern const struct tl_clock_ops tl_clock_system;
extern const struct tl_clock_ops *tl_clock; /* in use; set by tests only, before threads start */

/* For benchmarks, which measure the real thing: nanoseconds since some moment, never stepping back. */
int64_t tl_clock_stopwatch_ns(void);

#endif /* TL_BASE_CLOCK_H */
