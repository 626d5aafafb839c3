/* Watchers of fork(): in order, once each, with what they guard in their hands. */
#include "base/fork.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/thread.h"
#include "check.h"

#define WATCHERS 3u

/* What was called, in order: 'p' prepare, 'P' parent, 'C' child, each with the watcher's number. */
static char called[64];

struct watcher {
    struct tl_fork_watch watch;
    char number;
};

static void note(char what, void *ctx)
{
    size_t len = strlen(called);
    assert_true(len + 2 < sizeof(called));
    called[len] = what;
    called[len + 1] = ((struct watcher *)ctx)->number;
    called[len + 2] = '\0';
}

static void on_prepare(void *ctx)
{
    note('p', ctx);
}

static void on_parent(void *ctx)
{
    note('P', ctx);
}

static void on_child(void *ctx)
{
    note('C', ctx);
}

static void watch(struct watcher *watcher, char number)
{
    *watcher = (struct watcher){
        .watch = { .prepare = on_prepare, .parent = on_parent, .child = on_child, .ctx = watcher },
        .number = number,
    };
    tl_fork_watch(&watcher->watch);
}

/* Forks and checks what was called here and there, and the generations. */
static void fork_and_check(const char *in_parent, const char *in_child)
{
    uint32_t generation = tl_fork_generation();
    called[0] = '\0';
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        _exit(strcmp(called, in_child) == 0 && tl_fork_generation() == generation + 1 ? 0 : 1);
    }
    assert_string_equal(called, in_parent);
    assert_int_equal(tl_fork_generation(), generation);
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void the_last_is_prepared_first_and_released_last(void **state)
{
    (void)state;
    struct watcher watchers[WATCHERS];
    for (unsigned i = 0; i < WATCHERS; i++) {
        watch(&watchers[i], (char)('1' + i));
    }
    fork_and_check("p3p2p1P1P2P3", "p3p2p1C1C2C3");
    tl_fork_unwatch(&watchers[1].watch);
    fork_and_check("p3p1P1P3", "p3p1C1C3");
    tl_fork_watch(&watchers[1].watch);
    fork_and_check("p2p3p1P1P3P2", "p2p3p1C1C3C2");
    for (unsigned i = 0; i < WATCHERS; i++) {
        tl_fork_unwatch(&watchers[i].watch);
    }
    fork_and_check("", "");
}

static void a_child_of_a_child_is_two_generations_on(void **state)
{
    (void)state;
    struct watcher watcher;
    watch(&watcher, '1');
    uint32_t generation = tl_fork_generation();
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        /* The child may change the list: it is not locked any more. */
        struct watcher another;
        watch(&another, '2');
        fork_and_check("p2p1P1P2", "p2p1C1C2");
        tl_fork_unwatch(&another.watch);
        tl_fork_unwatch(&watcher.watch);
        fork_and_check("", "");
        _exit(tl_fork_generation() == generation + 1 ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    tl_fork_unwatch(&watcher.watch);
}

/* An object whose two halves are equal whenever its lock is free. */
struct pair {
    struct tl_mutex mu;
    unsigned first, second;
    struct tl_fork_watch watch;
};

static void lock_pair(void *ctx) TL_NO_ANALYSIS
{
    tl_mutex_lock(&((struct pair *)ctx)->mu);
}

static void unlock_pair(void *ctx) TL_NO_ANALYSIS
{
    tl_mutex_unlock(&((struct pair *)ctx)->mu);
}

static atomic_bool stop;

static void *change_pair(void *ctx)
{
    struct pair *pair = ctx;
    while (!atomic_load(&stop)) {
        tl_mutex_lock(&pair->mu);
        pair->first++;
        pair->second++;
        tl_mutex_unlock(&pair->mu);
    }
    return NULL;
}

static void *come_and_go(void *ctx)
{
    (void)ctx;
    while (!atomic_load(&stop)) {
        struct pair pair = { .first = 0 };
        check_ok(tl_mutex_init(&pair.mu));
        pair.watch = (struct tl_fork_watch){
            .prepare = lock_pair, .parent = unlock_pair, .child = unlock_pair, .ctx = &pair
        };
        tl_fork_watch(&pair.watch);
        tl_fork_unwatch(&pair.watch);
        tl_mutex_release(&pair.mu);
    }
    return NULL;
}

static void a_child_finds_objects_whole_while_threads_change_them(void **state)
{
    (void)state;
    static struct pair pair;
    pthread_t threads[3];
    check_ok(tl_mutex_init(&pair.mu));
    pair.watch = (struct tl_fork_watch){
        .prepare = lock_pair, .parent = unlock_pair, .child = unlock_pair, .ctx = &pair
    };
    tl_fork_watch(&pair.watch);
    atomic_store(&stop, false);
    for (unsigned i = 0; i < TL_ARRAY_LEN(threads); i++) {
        assert_int_equal(
            pthread_create(&threads[i], NULL, i == 0 ? come_and_go : change_pair, &pair), 0);
    }
    for (unsigned i = 0; i < 50; i++) {
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            tl_mutex_lock(&pair.mu); /* nobody has it who is not here */
            _exit(pair.first == pair.second ? 0 : 1);
        }
        int status = 0;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    atomic_store(&stop, true);
    for (unsigned i = 0; i < TL_ARRAY_LEN(threads); i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    tl_fork_unwatch(&pair.watch);
    tl_mutex_release(&pair.mu);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_is_prepared_first_and_released_last),
        cmocka_unit_test(a_child_of_a_child_is_two_generations_on),
        cmocka_unit_test(a_child_finds_objects_whole_while_threads_change_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
