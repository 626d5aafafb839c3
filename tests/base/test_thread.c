#include <signal.h>
#include <string.h>

#include "base/clock.h"
#include "base/thread.h"
#include "check.h"

/* What the threads of a test share. */
struct shared {
    struct tl_mutex mu;
    struct tl_cond cond;
    /* guarded by mu */
    uint32_t count;
    bool done;
};

static int set_up(void **state)
{
    static struct shared shared;
    shared.count = 0;
    shared.done = false;
    check_ok(tl_mutex_init(&shared.mu));
    check_ok(tl_cond_init(&shared.cond));
    *state = &shared;
    return 0;
}

static int tear_down(void **state)
{
    struct shared *shared = *state;
    tl_cond_release(&shared->cond);
    tl_mutex_release(&shared->mu);
    return 0;
}

static void *count_to_10000(void *ctx)
{
    struct shared *shared = ctx;
    for (int i = 0; i < 10000; i++) {
        tl_mutex_lock(&shared->mu);
        shared->count++;
        tl_mutex_unlock(&shared->mu);
    }
    return NULL;
}

static void a_mutex_lets_one_thread_in_at_a_time(void **state)
{
    struct shared *shared = *state;
    pthread_t threads[4];
    for (size_t i = 0; i < TL_ARRAY_LEN(threads); i++) {
        check_ok(tl_thread_start(&threads[i], "counter", count_to_10000, shared));
    }
    for (size_t i = 0; i < TL_ARRAY_LEN(threads); i++) {
        tl_thread_join(threads[i]);
    }
    assert_int_equal(shared->count, 40000);
}

static void *wait_until_done(void *ctx)
{
    struct shared *shared = ctx;
    tl_mutex_lock(&shared->mu);
    shared->count++;
    tl_cond_signal(&shared->cond); /* to the test, which waits for all to be here */
    while (!shared->done) {
        tl_cond_wait(&shared->cond, &shared->mu);
    }
    shared->count--;
    tl_mutex_unlock(&shared->mu);
    return NULL;
}

static void a_broadcast_wakes_every_thread(void **state)
{
    struct shared *shared = *state;
    pthread_t threads[4];
    for (size_t i = 0; i < TL_ARRAY_LEN(threads); i++) {
        check_ok(tl_thread_start(&threads[i], "waiter", wait_until_done, shared));
        tl_mutex_lock(&shared->mu);
        while (shared->count <= i) {
            (void)tl_cond_wait_for(&shared->cond, &shared->mu, 10); /* others may take the signal */
        }
        tl_mutex_unlock(&shared->mu);
    }
    tl_mutex_lock(&shared->mu);
    shared->done = true;
    tl_cond_broadcast(&shared->cond);
    tl_mutex_unlock(&shared->mu);
    for (size_t i = 0; i < TL_ARRAY_LEN(threads); i++) {
        tl_thread_join(threads[i]);
    }
    assert_int_equal(shared->count, 0);
}

static void a_wait_ends_after_its_time(void **state)
{
    struct shared *shared = *state;
    static const uint32_t times_ms[] = { 0, 1, 50, 1001 }; /* across a whole second, too */
    for (size_t i = 0; i < TL_ARRAY_LEN(times_ms); i++) {
        int64_t start_us = tl_clock->steady_us();
        tl_mutex_lock(&shared->mu);
        bool timed_out = false;
        while (!timed_out) { /* it may wake for no reason */
            timed_out = !tl_cond_wait_for(&shared->cond, &shared->mu, times_ms[i]);
        }
        tl_mutex_unlock(&shared->mu);
        assert_true(tl_clock->steady_us() - start_us >= (int64_t)times_ms[i] * 1000 - 1000);
    }
}

static void *set_done(void *ctx)
{
    struct shared *shared = ctx;
    tl_mutex_lock(&shared->mu);
    shared->done = true;
    tl_cond_signal(&shared->cond);
    tl_mutex_unlock(&shared->mu);
    return NULL;
}

static void a_signal_ends_a_long_wait(void **state)
{
    struct shared *shared = *state;
    tl_mutex_lock(&shared->mu);
    pthread_t thread;
    check_ok(tl_thread_start(&thread, "signaller", set_done, shared));
    bool in_time = true;
    while (!shared->done && in_time) {
        in_time = tl_cond_wait_for(&shared->cond, &shared->mu, UINT32_MAX);
    }
    tl_mutex_unlock(&shared->mu);
    tl_thread_join(thread);
    assert_true(in_time);
    assert_true(shared->done);
}

static void *read_mask(void *ctx)
{
    return pthread_sigmask(SIG_SETMASK, NULL, ctx) == 0 ? ctx : NULL;
}

static void threads_leave_signals_to_the_program(void **state)
{
    (void)state;
    sigset_t before;
    sigset_t after;
    sigset_t inside;
    assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &before), 0);
    pthread_t thread;
    check_ok(tl_thread_start(&thread, "signals", read_mask, &inside));
    tl_thread_join(thread);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &after), 0);
    static const int signals[] = { SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGCHLD, SIGALRM, SIGPIPE };
    for (size_t i = 0; i < TL_ARRAY_LEN(signals); i++) {
        assert_int_equal(sigismember(&inside, signals[i]), 1);
        assert_int_equal(sigismember(&after, signals[i]), sigismember(&before, signals[i]));
    }
}

static void a_thread_has_its_name(void **state)
{
    struct shared *shared = *state;
    pthread_t thread;
    check_ok(tl_thread_start(&thread, "fifteen-bytes-x", wait_until_done, shared));
    char name[16] = "";
    assert_int_equal(pthread_getname_np(thread, name, sizeof(name)), 0);
    assert_string_equal(name, "fifteen-bytes-x");
    tl_mutex_lock(&shared->mu);
    shared->done = true;
    tl_cond_broadcast(&shared->cond);
    tl_mutex_unlock(&shared->mu);
    tl_thread_join(thread);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_mutex_lets_one_thread_in_at_a_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_broadcast_wakes_every_thread, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_wait_ends_after_its_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_signal_ends_a_long_wait, set_up, tear_down),
        cmocka_unit_test(threads_leave_signals_to_the_program),
        cmocka_unit_test_setup_teardown(a_thread_has_its_name, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
