#include <string.h>

#include "check.h"
#include "cli/histogram.h"

static void an_empty_one_says_zero(void **state)
{
    (void)state;
    static const struct tl_histogram histogram;
    assert_int_equal(tl_histogram_value(&histogram, 0.5), 0);
    assert_int_equal(tl_histogram_value(&histogram, 1.0), 0);
}

static void a_single_value_is_every_share_of_itself(void **state)
{
    (void)state;
    static const uint64_t values[] = { 0, 1, 31, 32, 33, 63, 64, 1000, 123456789, UINT64_MAX };
    for (size_t i = 0; i < TL_ARRAY_LEN(values); i++) {
        static struct tl_histogram histogram;
        memset(&histogram, 0, sizeof(histogram));
        tl_histogram_add(&histogram, values[i]);
        assert_int_equal(tl_histogram_value(&histogram, 0.5), values[i]);
        assert_int_equal(histogram.max, values[i]);
    }
}

static void figures_are_never_too_small_and_hardly_too_large(void **state)
{
    (void)state;
    for (uint64_t value = 1; value < (UINT64_C(1) << 44); value += value / 7 + 1) {
        static struct tl_histogram histogram;
        memset(&histogram, 0, sizeof(histogram));
        tl_histogram_add(&histogram, value);
        tl_histogram_add(&histogram, UINT64_C(1) << 45);
        uint64_t told = tl_histogram_value(&histogram, 0.5);
        assert_in_range(told, value, value + value / 31 + 1);
    }
}

static void shares_count_from_the_smallest(void **state)
{
    (void)state;
    static struct tl_histogram a;
    static struct tl_histogram b;
    for (uint64_t i = 1; i <= 1000; i++) {
        tl_histogram_add(i % 2 == 0 ? &a : &b, i <= 990 ? 10 : 5000);
    }
    tl_histogram_merge(&a, &b);
    assert_int_equal(a.count, 1000);
    assert_int_equal(tl_histogram_value(&a, 0.5), 10);
    assert_int_equal(tl_histogram_value(&a, 0.99), 10);
    assert_int_equal(tl_histogram_value(&a, 0.991), 5000);
    assert_int_equal(a.max, 5000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_one_says_zero),
        cmocka_unit_test(a_single_value_is_every_share_of_itself),
        cmocka_unit_test(figures_are_never_too_small_and_hardly_too_large),
        cmocka_unit_test(shares_count_from_the_smallest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
