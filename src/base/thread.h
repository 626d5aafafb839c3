/* base/thread.h - mutex, condition and thread: pthreads, with clang's thread safety analysis. */
#ifndef TL_BASE_THREAD_H
#define TL_BASE_THREAD_H

#include <pthread.h>

#include "base/base.h"

#if defined(__clang__)
#    define TL_CAPABILITY   __attribute__((capability("mutex")))
#    define TL_ACQUIRE(mu)  __attribute__((acquire_capability(mu)))
#    define TL_RELEASE(mu)  __attribute__((release_capability(mu)))
#    define TL_REQUIRES(mu) __attribute__((requires_capability(mu)))
#    define TL_NO_ANALYSIS  __attribute__((no_thread_safety_analysis))
#else
#    define TL_CAPABILITY
#    define TL_ACQUIRE(mu)
#    define TL_RELEASE(mu)
#    define TL_REQUIRES(mu)
#    define TL_NO_ANALYSIS
#endif

struct TL_CAPABILITY tl_mutex {
    pthread_mutex_t os;
};

struct tl_cond {
    pthread_cond_t os;
};

/* Initialising fails with TALLY_ENOMEM only; releasing something that is in use is a broken
 * invariant. */
tally_status tl_mutex_init(struct tl_mutex *mu);
void tl_mutex_release(struct tl_mutex *mu);
void tl_mutex_lock(struct tl_mutex *mu) TL_ACQUIRE(*mu);
void tl_mutex_unlock(struct tl_mutex *mu) TL_RELEASE(*mu);

/* In the child of a fork, for one that the thread which forked holds: makes it anew and free. To
 * unlock it is not enough: threads of the parent that waited on a condition still count as users. */
void tl_mutex_renew(struct tl_mutex *mu);

tally_status tl_cond_init(struct tl_cond *cond);
void tl_cond_release(struct tl_cond *cond);
void tl_cond_signal(struct tl_cond *cond);
void tl_cond_broadcast(struct tl_cond *cond);
void tl_cond_wait(struct tl_cond *cond, struct tl_mutex *mu) TL_REQUIRES(*mu);

/* Returns false if `timeout_ms` passed without a signal. */
bool tl_cond_wait_for(struct tl_cond *cond, struct tl_mutex *mu, uint32_t timeout_ms)
    TL_REQUIRES(*mu);

/*
 * Starts a thread called `name` (at most 15 bytes) with all signals blocked, so that the signals of
 * the program that embeds us stay its own. Errors: TALLY_ENOMEM (the system has no more threads).
 */
tally_status tl_thread_start(pthread_t *thread_out, const char *name, void *(*run)(void *ctx),
                             void *ctx);
void tl_thread_join(pthread_t thread);

#endif /* TL_BASE_THREAD_H */
