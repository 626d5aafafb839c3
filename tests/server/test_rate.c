/* Buckets by the clock, and what is left when there are more of them than fit. */
#include "server/rate.h"

#include <string.h>

#include "base/clock.h"
#include "check.h"
#include "fake_clock.h"

#define MANY 1000000u

static struct tl_rate rate;

static int begin(void **state)
{
    (void)state;
    rate = (struct tl_rate){ .per_s = { 0 } };
    fake_clock_use();
    return tl_rate_init(&rate, 50) == TALLY_OK ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    tl_rate_release(&rate);
    fake_clock_end();
    return 0;
}

static struct tl_rate_key key_of(uint32_t number)
{
    struct tl_rate_key key = { { 0 } };
    memcpy(key.bytes, &number, sizeof(number));
    return key;
}

/* How many of `tries` are allowed, at once. */
static uint32_t ask(uint32_t number, uint32_t tries)
{
    uint32_t allowed = 0;
    struct tl_rate_key key = key_of(number);
    for (uint32_t i = 0; i < tries; i++) {
        allowed += tl_rate_allows(&rate, &key) ? 1 : 0;
    }
    return allowed;
}

static void two_seconds_worth_at_once_and_then_so_many_a_second(void **state)
{
    (void)state;
    static const uint32_t rates[] = { 1, 3, 50, 1000, 100000 };
    for (uint32_t i = 0; i < TL_ARRAY_LEN(rates); i++) {
        tl_rate_set(&rate, rates[i]);
        assert_in_range(ask(i, 2 * rates[i] + 10), 2 * rates[i], 2 * rates[i] + 1);
        assert_int_equal(ask(i, 10), 0);
        fake_clock_pass(FAKE_SECOND);
        assert_in_range(ask(i, 2 * rates[i]), rates[i], rates[i] + 1);
        fake_clock_pass(FAKE_SECOND / rates[i] + 1);
        assert_int_equal(ask(i, 10), 1);
        fake_clock_pass(FAKE_HOUR);
        assert_in_range(ask(i, 3 * rates[i]), 2 * rates[i], 2 * rates[i] + 1);
    }
}

static void exactly_a_hundred_of_fifty_a_second(void **state)
{
    (void)state;
    assert_int_equal(ask(1, 1000), 100);
    fake_clock_pass(FAKE_SECOND / 50 - 1);
    assert_int_equal(ask(1, 10), 0);
    fake_clock_pass(1);
    assert_int_equal(ask(1, 10), 1);
    fake_clock_pass(FAKE_SECOND);
    assert_int_equal(ask(1, 1000), 50);
}

static void one_does_not_count_for_another(void **state)
{
    (void)state;
    assert_int_equal(ask(1, 1000), 100);
    assert_int_equal(ask(2, 1000), 100);
    assert_int_equal(ask(1, 1000), 0);
}

static void no_limit_is_none(void **state)
{
    (void)state;
    assert_int_equal(ask(1, 1000), 100);
    tl_rate_set(&rate, 0);
    assert_int_equal(ask(1, MANY), MANY);
    tl_rate_set(&rate, TL_RATE_MAX);
    fake_clock_pass(2 * FAKE_SECOND);
    assert_int_equal(ask(1, 3 * TL_RATE_MAX), 2 * TL_RATE_MAX);
}

/* Whoever has a million addresses gets what fits into the table, and no more by coming again. */
static void many_share_what_there_is(void **state)
{
    (void)state;
    uint32_t most = TL_RATE_SETS * TL_RATE_WAYS * 100;
    uint32_t allowed = 0;
    for (uint32_t i = 0; i < MANY; i++) {
        allowed += ask(i, 1);
    }
    assert_true(allowed > most / 2 && allowed <= most);
    assert_int_equal(ask(MANY, 1000), 0);
    fake_clock_pass(2 * FAKE_SECOND);
    assert_int_equal(ask(MANY, 1000), 100);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        CASE(two_seconds_worth_at_once_and_then_so_many_a_second),
        CASE(exactly_a_hundred_of_fifty_a_second),
        CASE(one_does_not_count_for_another),
        CASE(no_limit_is_none),
        CASE(many_share_what_there_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
