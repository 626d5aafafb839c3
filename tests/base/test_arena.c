#include <string.h>

#include "base/arena.h"
#include "check.h"
#include "fault.h"

#define KIB ((size_t)1 << 10)

/* Allocates `len` bytes and fills them, so that sanitizers see an overlap or an overrun. */
static uint8_t *fill(struct tl_arena *arena, size_t len, uint8_t byte)
{
    uint8_t *at = tl_arena_alloc(arena, len);
    assert_non_null(at);
    assert_int_equal((uintptr_t)at % _Alignof(max_align_t), 0);
    memset(at, byte, len);
    return at;
}

static void pieces_are_aligned_and_do_not_overlap(void **state)
{
    (void)state;
    struct tl_arena arena;
    tl_arena_init(&arena, 1000 * KIB);
    uint8_t *pieces[200];
    for (size_t i = 0; i < TL_ARRAY_LEN(pieces); i++) {
        pieces[i] = fill(&arena, i * 3, (uint8_t)i);
    }
    uint8_t *large = fill(&arena, 100 * KIB, 0xff);
    for (size_t i = 0; i < TL_ARRAY_LEN(pieces); i++) {
        for (size_t j = 0; j < i * 3; j++) {
            assert_int_equal(pieces[i][j], i);
        }
    }
    assert_int_equal(large[100 * KIB - 1], 0xff);
    tl_arena_release(&arena);
}

static bool count_allocation(void)
{
    fail(); /* none is expected */
    return false;
}

static void a_loop_soon_allocates_nothing(void **state)
{
    (void)state;
    struct tl_arena arena;
    tl_arena_init(&arena, 1000 * KIB);
    for (int round = 0; round < 10; round++) {
        tl_alloc_should_fail = round < 2 ? NULL : count_allocation;
        for (size_t i = 0; i < 50; i++) {
            (void)fill(&arena, (i % 7 + 1) * KIB, (uint8_t)i);
        }
        (void)fill(&arena, 40 * KIB, 1);
        tl_arena_reset(&arena);
    }
    tl_alloc_should_fail = NULL;
    tl_arena_release(&arena);
}

static void gives_out_all_of_its_bytes_and_no_more(void **state)
{
    (void)state;
    static const size_t limits[] = { 16, 160, 16 * KIB, 16 * KIB + 16, 40 * KIB, 1000 * KIB };
    for (size_t i = 0; i < TL_ARRAY_LEN(limits); i++) {
        struct tl_arena arena;
        tl_arena_init(&arena, limits[i]);
        for (size_t given = 0; given < limits[i]; given += 16) {
            (void)fill(&arena, 16, 1);
        }
        assert_null(tl_arena_alloc(&arena, 1));
        tl_arena_reset(&arena);
        assert_null(tl_arena_alloc(&arena, limits[i] + 1));
        assert_null(tl_arena_alloc(&arena, SIZE_MAX));
        (void)fill(&arena, limits[i], 2);
        tl_arena_release(&arena);
    }
}

/* Each round asks for more than any before, and always less than the limit. */
static void blocks_kept_from_before_do_not_use_up_the_limit(void **state)
{
    (void)state;
    struct tl_arena arena;
    tl_arena_init(&arena, 1000 * KIB);
    for (size_t len = 100 * KIB; len <= 1000 * KIB; len += 100 * KIB) {
        (void)fill(&arena, len, 1);
        tl_arena_reset(&arena);
    }
    for (size_t i = 0; i < 60; i++) {
        (void)fill(&arena, 16 * KIB, 2);
    }
    tl_arena_reset(&arena);
    uint8_t *small = fill(&arena, 10, 3);
    (void)fill(&arena, 900 * KIB, 4);
    assert_int_equal(small[9], 3); /* what is in use stays */
    tl_arena_release(&arena);
}

static tally_status use_arena(const void *ctx)
{
    (void)ctx;
    TL_CLEANUP(tl_arena_release) struct tl_arena arena;
    tl_arena_init(&arena, 1000 * KIB);
    tally_status status = TALLY_OK;
    for (size_t i = 1; i <= 4; i++) {
        if (tl_arena_alloc(&arena, i * 10 * KIB) == NULL) {
            status = TALLY_ENOMEM;
        }
    }
    return status;
}

static void survives_running_out_of_memory(void **state)
{
    (void)state;
    assert_int_equal(fault_each_alloc(use_arena, NULL), 4);
}

static void release_leaves_it_empty(void **state)
{
    (void)state;
    static const struct tl_arena zero;
    struct tl_arena arena;
    tl_arena_init(&arena, KIB);
    (void)fill(&arena, 10, 1);
    tl_arena_release(&arena);
    assert_memory_equal(&arena, &zero, sizeof(arena));
    tl_arena_reset(&arena);
    tl_arena_release(&arena);
    assert_null(tl_arena_alloc(&arena, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_aligned_and_do_not_overlap),
        cmocka_unit_test(a_loop_soon_allocates_nothing),
        cmocka_unit_test(gives_out_all_of_its_bytes_and_no_more),
        cmocka_unit_test(blocks_kept_from_before_do_not_use_up_the_limit),
        cmocka_unit_test(survives_running_out_of_memory),
        cmocka_unit_test(release_leaves_it_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
