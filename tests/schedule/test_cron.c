#include "schedule/cron.h"

#include <stdio.h>

#include "support/check.h"
#include "support/fault.h"

#define DAY_S INT64_C(86400)

static int64_t at(int64_t year, int32_t month, int32_t day, int64_t hour, int64_t minute)
{
    return tl_days_of_date(year, month, day) * DAY_S + hour * 3600 + minute * 60;
}

static struct tl_cron_fields read(const char *text)
{
    struct tl_cron_fields fields;
    check_ok(tl_cron_fields_read(&fields, tl_str_of(text), NULL));
    return fields;
}

static void check_next(const char *text, int64_t after_s, int64_t want_s)
{
    struct tl_cron_fields fields = read(text);
    assert_int_equal(tl_cron_fields_next(&fields, NULL, after_s), want_s);
}

static void finds_the_next_time_that_fits(void **state)
{
    (void)state;
    int64_t now = at(2026, 11, 22, 7, 27); /* a Sunday */
    check_next("* * * * *", now, now + 60);
    check_next("* * * * *", now + 1, now + 60);
    check_next("27 7 * * *", now, at(2026, 11, 23, 7, 27)); /* never the same moment again */
    check_next("*/15 * * * *", now, at(2026, 11, 22, 7, 30));
    check_next("0 0 1 1 *", now, at(2027, 1, 1, 0, 0));
    check_next("30 2 29 2 *", now, at(2028, 2, 29, 2, 30));
    check_next("0 12 * * mon", now, at(2026, 11, 23, 12, 0));
    check_next("0 12 * * 0", now, at(2026, 11, 22, 12, 0));
    check_next("0 12 * * 7", now, at(2026, 11, 22, 12, 0));
    check_next("0 9-17/4 * * 1-5", now, at(2026, 11, 23, 9, 0));
    check_next("5,10,55 07 * * *", now, at(2026, 11, 22, 7, 55));
    check_next("0 0 * Feb-Mar *", now, at(2027, 2, 1, 0, 0));
    check_next("0 0 * * Sat-7", now, at(2026, 11, 28, 0, 0));
    check_next("@hourly", now, at(2026, 11, 22, 8, 0));
    check_next("@daily", now, at(2026, 11, 23, 0, 0));
    check_next("@Midnight", now, at(2026, 11, 23, 0, 0));
    check_next(" @weekly ", now, at(2026, 11, 29, 0, 0));
    check_next("@monthly", now, at(2026, 12, 1, 0, 0));
    check_next("@annually", now, at(2027, 1, 1, 0, 0));
}

static void takes_either_day_if_both_are_restricted(void **state)
{
    (void)state;
    int64_t now = at(2026, 11, 22, 7, 27);
    check_next("0 0 25 * mon", now, at(2026, 11, 23, 0, 0));
    check_next("0 0 25 * mon", at(2026, 11, 24, 0, 0), at(2026, 11, 25, 0, 0));
    check_next("0 0 */2 * mon", now, at(2026, 11, 23, 0, 0)); /* begins with a star: both */
    check_next("0 0 25 * *", now, at(2026, 11, 25, 0, 0));
}

static void says_that_a_time_never_comes(void **state)
{
    (void)state;
    check_next("0 0 31 feb *", at(2026, 11, 22, 7, 27), 0);
    check_next("* * * * *", -1, 0);
    check_next("* * * * *", INT64_MAX, 0);
}

static void refuses_what_is_no_expression(void **state)
{
    (void)state;
    static const char *const table[] = {
        "",
        "* * * *",
        "* * * * * *",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * 32 * *",
        "* * * 0 *",
        "* * * 13 *",
        "* * * * 8",
        "*/0 * * * *",
        "5/2 * * * *",
        "5-1 * * * *",
        "1,,2 * * * *",
        ",1 * * * *",
        "1, * * * *",
        "a * * * *",
        "-1 * * * *",
        "1- * * * *",
        "* * * janu *",
        "* * * * mond",
        "@reboot",
        "@daily *",
        "** * * * *",
        "*/ * * * *",
        "1-2-3 * * * *",
        "fri * * * *",
        "*/99 * * * *",
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(table); i++) {
        struct tl_cron_fields fields;
        struct tally_error err = TALLY_ERROR_INIT;
        check_status(tl_cron_fields_read(&fields, tl_str_of(table[i]), &err), TALLY_EINVAL);
        assert_true(err.message[0] != '\0');
    }
}

/* In Berlin 2026-03-29 has no 02:00-02:59, and 2026-10-25 has them twice. */
static void runs_once_where_the_clock_changes(void **state)
{
    (void)state;
    static struct tl_zone zone;
    check_ok(tl_zone_rule_read(&zone.rule, TL_STR("CET-1CEST,M3.5.0,M10.5.0/3")));
    struct tl_cron_fields fields = read("30 2 * * *");
    int64_t next = tl_cron_fields_next(&fields, &zone, at(2026, 3, 28, 12, 0));
    assert_int_equal(next, at(2026, 3, 29, 1, 0)); /* right after the gap */
    next = tl_cron_fields_next(&fields, &zone, next);
    assert_int_equal(next, at(2026, 3, 30, 0, 30));
    next = tl_cron_fields_next(&fields, &zone, at(2026, 10, 24, 12, 0));
    assert_int_equal(next, at(2026, 10, 25, 0, 30)); /* the first of two */
    next = tl_cron_fields_next(&fields, &zone, next);
    assert_int_equal(next, at(2026, 10, 26, 1, 30));
    fields = read("*/20 2 * * *"); /* all of them right after the gap: once */
    next = tl_cron_fields_next(&fields, &zone, at(2026, 3, 28, 12, 0));
    assert_int_equal(next, at(2026, 3, 29, 1, 0));
    assert_int_equal(tl_cron_fields_next(&fields, &zone, next), at(2026, 3, 30, 0, 0));
}

static void counts_elapsed_hours_if_the_hour_is_free(void **state)
{
    (void)state;
    static struct tl_zone zone;
    check_ok(tl_zone_rule_read(&zone.rule, TL_STR("CET-1CEST,M3.5.0,M10.5.0/3")));
    struct tl_cron_fields fields = read("30 * * * *");
    int64_t now = at(2026, 10, 24, 22, 0);       /* midnight there */
    for (unsigned hour = 0; hour < 25; hour++) { /* that day has 25 hours */
        int64_t next = tl_cron_fields_next(&fields, &zone, now);
        assert_int_equal(next, at(2026, 10, 24, 22, 30) + (int64_t)hour * 3600);
        now = next;
    }
    fields = read("0 */2 * * *");
    int64_t next = tl_cron_fields_next(&fields, &zone, at(2026, 3, 29, 0, 0)); /* 01:00 */
    assert_int_equal(next, at(2026, 3, 29, 2, 0)); /* 04:00: 02:00 does not exist */
}

/* The slow way: looks at every minute. */
static int64_t slow_next(const struct tl_cron_fields *fields, int64_t after_s)
{
    for (int64_t s = (after_s / 60 + 1) * 60; s < after_s + 40 * DAY_S; s += 60) {
        int64_t year = 0;
        int32_t month = 0;
        int32_t day = 0;
        tl_date_of_days(s / DAY_S, &year, &month, &day);
        bool by_day = (fields->days >> day & 1) != 0;
        bool by_weekday = (fields->weekdays >> ((s / DAY_S + 4) % 7) & 1) != 0;
        bool fits =
            fields->any_day || fields->any_weekday ? by_day && by_weekday : by_day || by_weekday;
        if (fits && (fields->months >> month & 1) != 0 &&
            (fields->hours >> (s % DAY_S / 3600) & 1) != 0 &&
            (fields->minutes >> (s % 3600 / 60) & 1) != 0) {
            return s;
        }
    }
    return 0;
}

static void agrees_with_looking_at_every_minute(void **state)
{
    (void)state;
    uint64_t seed = 20261122;
    for (unsigned round = 0; round < 300; round++) {
        uint64_t r[6];
        for (size_t i = 0; i < 6; i++) {
            seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            r[i] = seed >> 33;
        }
        char text[64];
        (void)snprintf(text, sizeof(text),
                       r[0] % 3 == 0   ? "%u %u * * %u"
                       : r[0] % 3 == 1 ? "%u */%u * * %u"
                                       : "%u %u 1-20 * %u",
                       (unsigned)(r[1] % 60), (unsigned)(r[2] % 23) + 1, (unsigned)(r[3] % 7));
        struct tl_cron_fields fields = read(text);
        int64_t after = at(2026, 1, 1, 0, 0) + (int64_t)(r[4] % UINT64_C(259200000));
        assert_int_equal(tl_cron_fields_next(&fields, NULL, after), slow_next(&fields, after));
    }
}

static void takes_a_time_zone_in_front(void **state)
{
    (void)state;
    struct tally_cron *cron = NULL;
    struct tally_error err = TALLY_ERROR_INIT;
    if (tally_cron_parse(&cron, "TZ=Europe/Berlin 30 2 * * *", &err) == TALLY_ENOTFOUND) {
        skip(); /* no tzdata */
    }
    assert_int_equal(tally_cron_next(cron, at(2026, 7, 1, 12, 0) * 1000000 + 5),
                     at(2026, 7, 2, 0, 30) * 1000000);
    tally_cron_free(cron);
    check_ok(tally_cron_parse(&cron, "TZ=UTC 30 2 * * *", NULL));
    assert_int_equal(tally_cron_next(cron, 0), at(1970, 1, 1, 2, 30) * 1000000);
    assert_int_equal(tally_cron_next(cron, -1), 0);
    tally_cron_free(cron);
    check_status(tally_cron_parse(&cron, "TZ=Europe/Atlantis @daily", NULL), TALLY_ENOTFOUND);
    check_status(tally_cron_parse(&cron, "TZ=../../../etc/passwd @daily", NULL), TALLY_EINVAL);
    check_status(tally_cron_parse(&cron, "TZ=/etc/localtime @daily", NULL), TALLY_EINVAL);
    check_status(tally_cron_parse(&cron, "TZ= @daily", NULL), TALLY_EINVAL);
    check_status(tally_cron_parse(&cron, "TZ=Europe @daily", NULL), TALLY_ENOTFOUND);
    tally_cron_free(NULL);
}

static tally_status parse_and_free(const void *ctx)
{
    struct tally_cron *cron = NULL;
    tally_status status = tally_cron_parse(&cron, ctx, NULL);
    if (status == TALLY_OK) {
        tally_cron_free(cron);
    }
    return status;
}

static void reports_that_there_is_no_memory(void **state)
{
    (void)state;
    assert_int_equal(fault_each_alloc(parse_and_free, "@daily"), 1);
    struct tally_cron *cron = NULL;
    if (tally_cron_parse(&cron, "TZ=Europe/Berlin @daily", NULL) == TALLY_ENOTFOUND) {
        skip();
    }
    tally_cron_free(cron);
    assert_true(fault_each_alloc(parse_and_free, "TZ=Europe/Berlin @daily") >= 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_next_time_that_fits),
        cmocka_unit_test(takes_either_day_if_both_are_restricted),
        cmocka_unit_test(says_that_a_time_never_comes),
        cmocka_unit_test(refuses_what_is_no_expression),
        cmocka_unit_test(runs_once_where_the_clock_changes),
        cmocka_unit_test(counts_elapsed_hours_if_the_hour_is_free),
        cmocka_unit_test(agrees_with_looking_at_every_minute),
        cmocka_unit_test(takes_a_time_zone_in_front),
        cmocka_unit_test(reports_that_there_is_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
