/* base/random.h - random bytes of the operating system, behind a seam that tests can replace. */
#ifndef TL_BASE_RANDOM_H
#define TL_BASE_RANDOM_H

#include "base/base.h"

/*
 * Fills `out` with unpredictable bytes. Any thread may call it; small requests are served from a
 * buffer per thread that a forked child drops. Never fails: without a source of randomness the
 * process cannot go on, and the kernel's never ends once it has started.
 */
void tl_random_bytes(void *out, size_t len);

extern void (*tl_random_override)(void *out, size_t len); /* set by tests only */

#endif /* TL_BASE_RANDOM_H */
