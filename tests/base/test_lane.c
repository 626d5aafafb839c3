/* Many threads use a value that is replaced: none uses one that its owner has back. */
#include "base/lane.h"

#include <pthread.h>
#include <sched.h>

#include "check.h"

#define THREADS  8u
#define REPLACES 3000u
#define BORROWS  20000u

static atomic_bool stop;

/* A value is 1 while it is in place, and 0 once its owner has it back. Not atomic: a use that comes
 * too late is a data race, which ThreadSanitizer sees as well. */
static int values[2];

static void *use_values(void *ctx)
{
    struct tl_swap *swap = ctx;
    uintptr_t uses = 0;
    do { /* once at least, however late it starts */
        struct tl_swap_use use;
        const int *value = tl_swap_enter(swap, &use);
        assert_non_null(value);
        assert_int_equal(*value, 1);
        if (uses % 7 == 0) {
            (void)sched_yield();
        }
        assert_int_equal(*value, 1);
        tl_swap_leave(swap, &use);
        uses++;
    } while (!atomic_load(&stop));
    return uses > 0 ? ctx : NULL;
}

static void nobody_uses_what_was_replaced(void **state)
{
    (void)state;
    static struct tl_swap swap;
    pthread_t threads[THREADS];
    values[0] = 1;
    assert_null(tl_swap_replace(&swap, &values[0]));
    atomic_store(&stop, false);
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, use_values, &swap), 0);
    }
    for (unsigned i = 0; i < REPLACES; i++) {
        unsigned next = 1 - i % 2;
        values[next] = 1;
        int *old = tl_swap_replace(&swap, &values[next]);
        assert_ptr_equal(old, &values[1 - next]);
        *old = 0; /* ours again */
    }
    atomic_store(&stop, true);
    for (unsigned i = 0; i < THREADS; i++) {
        void *uses = NULL;
        assert_int_equal(pthread_join(threads[i], &uses), 0);
        assert_ptr_equal(uses, &swap);
    }
}

static void points_to_nothing_at_first_and_when_told_to(void **state)
{
    (void)state;
    struct tl_swap swap = { 0 };
    struct tl_swap_use use;
    int value = 1;
    assert_null(tl_swap_enter(&swap, &use));
    tl_swap_leave(&swap, &use);
    assert_null(tl_swap_replace(&swap, &value));
    assert_ptr_equal(tl_swap_enter(&swap, &use), &value);
    tl_swap_leave(&swap, &use);
    assert_ptr_equal(tl_swap_replace(&swap, NULL), &value);
    assert_null(tl_swap_enter(&swap, &use));
    tl_swap_leave(&swap, &use);
    assert_null(tl_swap_replace(&swap, NULL));
}

struct replacer {
    struct tl_swap *swap;
    void *value;
    void *old;
    atomic_bool is_done;
};

static void *replace(void *ctx)
{
    struct replacer *replacer = ctx;
    replacer->old = tl_swap_replace(replacer->swap, replacer->value);
    atomic_store(&replacer->is_done, true);
    return NULL;
}

static void who_replaces_waits_for_who_is_inside_and_for_nobody_else(void **state)
{
    (void)state;
    struct tl_swap swap = { 0 };
    struct tl_swap_use outer;
    struct tl_swap_use inner;
    int first = 1;
    int second = 2;
    pthread_t thread;
    assert_null(tl_swap_replace(&swap, &first));
    struct replacer replacer = { .swap = &swap, .value = &second };
    assert_ptr_equal(tl_swap_enter(&swap, &outer), &first);
    assert_int_equal(pthread_create(&thread, NULL, replace, &replacer), 0);
    void *seen = NULL;
    do { /* who comes later gets the new value, even from within */
        seen = tl_swap_enter(&swap, &inner);
        assert_false(atomic_load(&replacer.is_done));
        tl_swap_leave(&swap, &inner);
    } while (seen != &second);
    for (unsigned i = 0; i < 100; i++) {
        (void)sched_yield();
        assert_false(atomic_load(&replacer.is_done));
    }
    tl_swap_leave(&swap, &outer);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_ptr_equal(replacer.old, &first);
}

static void users_that_are_forgotten_are_not_waited_for(void **state)
{
    (void)state;
    struct tl_swap swap = { 0 };
    struct tl_swap_use use;
    int value = 1;
    assert_null(tl_swap_replace(&swap, &value));
    assert_ptr_equal(tl_swap_enter(&swap, &use), &value);
    tl_swap_forget_users(&swap);
    assert_ptr_equal(tl_swap_replace(&swap, NULL), &value);
}

struct places {
    struct tl_borrows borrows;
    unsigned owner[TL_BORROWS_MAX]; /* not atomic: guarded by the borrowing */
};

struct borrower {
    pthread_t thread;
    struct places *places;
    unsigned number;
};

static void *borrow_often(void *ctx)
{
    const struct borrower *borrower = ctx;
    struct places *places = borrower->places;
    for (unsigned i = 0; i < BORROWS; i++) {
        unsigned place = tl_borrow(&places->borrows);
        assert_true(place < TL_BORROWS_MAX); /* there are more places than threads */
        assert_int_equal(places->owner[place], 0);
        places->owner[place] = borrower->number;
        if (i % 16 == 0) {
            (void)sched_yield();
        }
        assert_int_equal(places->owner[place], borrower->number);
        places->owner[place] = 0;
        tl_borrow_end(&places->borrows, place);
    }
    return NULL;
}

static void a_place_is_borrowed_by_one_at_a_time(void **state)
{
    (void)state;
    static struct places places;
    struct borrower borrowers[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        borrowers[i] = (struct borrower){ .places = &places, .number = i + 1 };
        assert_int_equal(pthread_create(&borrowers[i].thread, NULL, borrow_often, &borrowers[i]),
                         0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(borrowers[i].thread, NULL), 0);
    }
}

static void says_so_when_all_places_are_taken(void **state)
{
    (void)state;
    static struct tl_borrows borrows;
    bool taken[TL_BORROWS_MAX] = { false };
    for (unsigned i = 0; i < TL_BORROWS_MAX; i++) {
        unsigned place = tl_borrow(&borrows);
        assert_true(place < TL_BORROWS_MAX && !taken[place]);
        taken[place] = true;
    }
    assert_int_equal(tl_borrow(&borrows), TL_BORROWS_MAX);
    tl_borrow_end(&borrows, 17);
    assert_int_equal(tl_borrow(&borrows), 17);
    assert_int_equal(tl_borrow(&borrows), TL_BORROWS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(points_to_nothing_at_first_and_when_told_to),
        cmocka_unit_test(who_replaces_waits_for_who_is_inside_and_for_nobody_else),
        cmocka_unit_test(users_that_are_forgotten_are_not_waited_for),
        cmocka_unit_test(nobody_uses_what_was_replaced),
        cmocka_unit_test(a_place_is_borrowed_by_one_at_a_time),
        cmocka_unit_test(says_so_when_all_places_are_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
