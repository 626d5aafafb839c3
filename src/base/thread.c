#include "base/thread.h"

#include <errno.h>
#include <signal.h>
#include <time.h>

tally_status tl_mutex_init(struct tl_mutex *mu)
{
    return pthread_mutex_init(&mu->os, NULL) == 0 ? TALLY_OK : TALLY_ENOMEM;
}

void tl_mutex_release(struct tl_mutex *mu)
{
    tl_assert(pthread_mutex_destroy(&mu->os) == 0);
}

void tl_mutex_lock(struct tl_mutex *mu) TL_NO_ANALYSIS
{
    tl_assert(pthread_mutex_lock(&mu->os) == 0);
}

void tl_mutex_unlock(struct tl_mutex *mu) TL_NO_ANALYSIS
{
    tl_assert(pthread_mutex_unlock(&mu->os) == 0);
}

void tl_mutex_renew(struct tl_mutex *mu) TL_NO_ANALYSIS
{
    tl_mutex_unlock(mu);
    tl_assert(tl_mutex_init(mu) == TALLY_OK); /* takes no memory on Linux */
}

/* Timed waits follow the monotonic clock: a step of the wall clock must not stretch them. */
tally_status tl_cond_init(struct tl_cond *cond)
{
    pthread_condattr_t attr;
    if (pthread_condattr_init(&attr) != 0) {
        return TALLY_ENOMEM;
    }
    tl_assert(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
    int rc = pthread_cond_init(&cond->os, &attr);
    (void)pthread_condattr_destroy(&attr); /* cannot fail for an initialised one */
    return rc == 0 ? TALLY_OK : TALLY_ENOMEM;
}

void tl_cond_release(struct tl_cond *cond)
{
    tl_assert(pthread_cond_destroy(&cond->os) == 0);
}

void tl_cond_signal(struct tl_cond *cond)
{
    tl_assert(pthread_cond_signal(&cond->os) == 0);
}

void tl_cond_broadcast(struct tl_cond *cond)
{
    tl_assert(pthread_cond_broadcast(&cond->os) == 0);
}

void tl_cond_wait(struct tl_cond *cond, struct tl_mutex *mu)
{
    tl_assert(pthread_cond_wait(&cond->os, &mu->os) == 0);
}

bool tl_cond_wait_for(struct tl_cond *cond, struct tl_mutex *mu, uint32_t timeout_ms)
{
    struct timespec until;
    tl_assert(clock_gettime(CLOCK_MONOTONIC, &until) == 0); /* check_tree: ok, for pthreads only */
    until.tv_sec += timeout_ms / 1000;
    until.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    int rc = pthread_cond_timedwait(&cond->os, &mu->os, &until);
    tl_assert(rc == 0 || rc == ETIMEDOUT);
    return rc == 0;
}

tally_status tl_thread_start(pthread_t *thread_out, const char *name, void *(*run)(void *ctx),
                             void *ctx)
{
    sigset_t all;
    sigset_t before;
    tl_assert(sigfillset(&all) == 0);
    tl_assert(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
    int rc = pthread_create(thread_out, NULL, run, ctx);
    tl_assert(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    if (rc != 0) {
        return TALLY_ENOMEM;
    }
    (void)pthread_setname_np(*thread_out, name); /* a name helps people only */
    return TALLY_OK;
}

void tl_thread_join(pthread_t thread)
{
    tl_assert(pthread_join(thread, NULL) == 0);
}
