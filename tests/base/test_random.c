#include <pthread.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/random.h"
#include "check.h"

#define SEED_LEN 32u

static void fills_all_it_is_given_and_nothing_else(void **state)
{
    (void)state;
    static const size_t lengths[] = { 0, 1, 16, 2047, 2048, 2049, 4096, 9000 };
    for (size_t i = 0; i < TL_ARRAY_LEN(lengths); i++) {
        size_t len = lengths[i];
        static uint8_t bytes[9001];
        static uint8_t seen[9000]; /* a bit that was ever set */
        memset(seen, 0, sizeof(seen));
        for (int round = 0; round < 20; round++) { /* a byte stays 0 with probability 2^-160 */
            memset(bytes, 0, sizeof(bytes));
            tl_random_bytes(bytes, len);
            assert_int_equal(bytes[len], 0);
            for (size_t j = 0; j < len; j++) {
                seen[j] |= bytes[j];
            }
        }
        assert_null(memchr(seen, 0, len));
    }
}

static void never_repeats_itself(void **state)
{
    (void)state;
    static uint8_t seeds[2000][SEED_LEN]; /* many times what the buffer holds */
    for (size_t i = 0; i < TL_ARRAY_LEN(seeds); i++) {
        tl_random_bytes(seeds[i], SEED_LEN);
        for (size_t j = 0; j < i; j++) {
            assert_memory_not_equal(seeds[i], seeds[j], SEED_LEN);
        }
    }
}

static void a_forked_child_draws_bytes_of_its_own(void **state)
{
    (void)state;
    uint8_t parent[SEED_LEN];
    uint8_t child[SEED_LEN];
    tl_random_bytes(parent, sizeof(parent)); /* now there is a buffer to inherit */
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        tl_random_bytes(child, sizeof(child));
        _exit(write(fds[1], child, sizeof(child)) == sizeof(child) ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(read(fds[0], child, sizeof(child)), sizeof(child));
    assert_int_equal(close(fds[0]) + close(fds[1]), 0);
    tl_random_bytes(parent, sizeof(parent));
    assert_memory_not_equal(parent, child, sizeof(parent));
}

static void *draw(void *ctx)
{
    tl_random_bytes(ctx, SEED_LEN);
    return NULL;
}

static void threads_draw_different_bytes(void **state)
{
    (void)state;
    uint8_t seeds[8][SEED_LEN];
    pthread_t threads[8];
    for (size_t i = 0; i < TL_ARRAY_LEN(threads); i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, draw, seeds[i]), 0);
    }
    for (size_t i = 0; i < TL_ARRAY_LEN(threads); i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        for (size_t j = 0; j < i; j++) {
            assert_memory_not_equal(seeds[i], seeds[j], SEED_LEN);
        }
    }
}

static void fill_with_sevens(void *out, size_t len)
{
    memset(out, 7, len);
}

static void tests_can_say_what_is_drawn(void **state)
{
    (void)state;
    tl_random_override = fill_with_sevens;
    uint8_t bytes[2] = { 0 };
    tl_random_bytes(bytes, sizeof(bytes));
    tl_random_override = NULL;
    assert_memory_equal(bytes, "\x07\x07", 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fills_all_it_is_given_and_nothing_else),
        cmocka_unit_test(never_repeats_itself),
        cmocka_unit_test(a_forked_child_draws_bytes_of_its_own),
        cmocka_unit_test(threads_draw_different_bytes),
        cmocka_unit_test(tests_can_say_what_is_drawn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
