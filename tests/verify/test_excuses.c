/* Which acts excuse that a record is gone, with many of them at once. */
#include "verify/excuses.h"

#include <tally/store.h>

#include <stdio.h>

#include "check.h"

#define MANY    16384u
#define RECORDS 4096u

static struct tl_excuses excuses;
static struct tl_excuse_scope scope;

static int set_up(void **state)
{
    (void)state;
    tl_excuses_init(&excuses);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    tl_excuse_scope_release(&scope);
    tl_excuses_release(&excuses);
    return 0;
}

static void add(uint64_t seq, const struct tl_control *control)
{
    check_ok(tl_excuses_add(&excuses, seq, control, false));
}

static const struct tl_range all[] = { { 0, 99 } };

static void hold(uint64_t seq, const char *name)
{
    add(seq, &(struct tl_control){
                 .kind = TL_LEAF_HOLD, .hold = tl_str_of(name), .ranges = all, .range_count = 1 });
}

static void release(uint64_t seq, const char *name)
{
    add(seq, &(struct tl_control){ .kind = TL_LEAF_RELEASE, .hold = tl_str_of(name) });
}

static void purge(uint64_t seq)
{
    add(seq, &(struct tl_control){ .kind = TL_LEAF_PURGE, .cutoff_day = 10, .before_seq = 100 });
}

static struct tl_excuse excuse_of(uint64_t seq)
{
    check_ok(tl_excuse_scope_init(&scope, &excuses));
    tl_excuse_scope_set(&scope, 0, 100);
    return tl_excuse_of(&scope, seq, 5);
}

static void the_first_purge_outside_of_all_holds_counts(void **state)
{
    (void)state;
    hold(100, "a");
    purge(101);
    hold(102, "b"); /* longer than the first one */
    hold(103, "c"); /* shorter */
    purge(104);
    release(105, "c");
    release(106, "a");
    purge(107);
    release(108, "b");
    hold(109, "d");
    release(110, "d");
    purge(111);
    hold(112, "e");
    struct tl_excuse excuse = excuse_of(7);
    const struct tl_control again = { .kind = TL_LEAF_RELEASE, .hold = TL_STR("a") };
    check_status(tl_excuses_add(&excuses, 113, &again, false), TALLY_ENOTFOUND);
    assert_true(excuse.purged && excuse.counted && excuse.only_held);
    assert_int_equal(excuses.purges[excuse.purge].seq, 111);
    static const bool held[] = {
        [101] = true, [104] = true, [105] = true, [107] = true, [109] = false, [111] = false
    };
    for (uint64_t at = 101; at < TL_ARRAY_LEN(held); at += 3) {
        assert_int_equal(tl_excuse_held(&scope, 7, at), held[at]);
    }
    assert_true(tl_excuse_held(&scope, 7, 200));
    assert_false(tl_excuse_held(&scope, 7, 112));
}

/* Else a ledger of a few megabytes would be looked through for days. */
static void many_holds_and_many_purges_are_no_work(void **state)
{
    (void)state;
    for (unsigned i = 0; i < MANY; i++) {
        hold(100 + i, "over");
    }
    release(100 + MANY, "over");
    hold(101 + MANY, "active");
    for (unsigned i = 0; i < MANY; i++) {
        purge(102 + MANY + i);
    }
    (void)excuse_of(0);
    for (unsigned i = 0; i < RECORDS; i++) {
        struct tl_excuse excuse = tl_excuse_of(&scope, i % 100, 5);
        assert_true(excuse.only_held && !excuse.purged);
    }
}

static void one_override_is_enough(void **state)
{
    (void)state;
    add(100, &(struct tl_control){ .kind = TL_LEAF_PURGE,
                                   .override_days = true,
                                   .ranges = (const struct tl_range[]){ { 3, 5 } },
                                   .range_count = 1 });
    check_ok(tl_excuse_scope_init(&scope, &excuses));
    tl_excuse_scope_set(&scope, 0, 100);
    assert_true(tl_excuse_overridden(&scope, 4));
    assert_false(tl_excuse_overridden(&scope, 6));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_first_purge_outside_of_all_holds_counts, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(one_override_is_enough, set_up, tear_down),
        cmocka_unit_test_setup_teardown(many_holds_and_many_purges_are_no_work, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
