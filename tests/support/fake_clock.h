/* tests/support/fake_clock.h - a clock that stands still until a test moves it. Thread-safe. */
#ifndef TESTS_FAKE_CLOCK_H
#define TESTS_FAKE_CLOCK_H

#include "base/base.h"

#define FAKE_CLOCK_START INT64_C(1767225600000000) /* 2026-01-01, microseconds */
#define FAKE_SECOND      INT64_C(1000000)
#define FAKE_HOUR        (3600 * FAKE_SECOND)
#define FAKE_YEAR        (24 * FAKE_HOUR * 365)

void fake_clock_use(void); /* puts it in the place of the system's, at FAKE_CLOCK_START */
void fake_clock_end(void);

void fake_clock_pass(int64_t us); /* time passes: both clocks */
void fake_clock_step(int64_t us); /* someone sets the wall clock; may be negative */
void fake_clock_synchronise(bool is_synchronised);

#endif /* TESTS_FAKE_CLOCK_H */
