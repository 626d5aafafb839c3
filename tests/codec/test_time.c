#include <stdio.h>
#include <string.h>

#include "check.h"
#include "codec/time.h"

#define SECOND INT64_C(1000000)
#define DAY    (86400 * SECOND)

static const struct {
    const char *text;
    int64_t us;
} canonical[] = {
    { "1970-01-01T00:00:00Z", 0 },
    { "1970-01-01T00:00:00.000001Z", 1 },
    { "1969-12-31T23:59:59.999999Z", -1 },
    { "1969-12-31T23:59:59Z", -SECOND },
    { "0001-01-01T00:00:00Z", TL_TIME_US_MIN },
    { "9999-12-31T23:59:59.999999Z", TL_TIME_US_MAX },
    { "2026-03-14T09:26:53.589793Z", INT64_C(1773480413589793) },
    { "2000-02-29T12:00:00Z", INT64_C(951825600) * SECOND },
    { "1900-02-28T00:00:00Z", INT64_C(-2203977600) * SECOND },
    { "1900-03-01T00:00:00Z", INT64_C(-2203891200) * SECOND },
    { "1600-02-29T00:00:00Z", INT64_C(-11670998400) * SECOND },
    { "2038-01-19T03:14:08Z", INT64_C(2147483648) * SECOND },
};

static void reads_and_writes_the_same_text(void **state)
{
    (void)state;
    for (size_t i = 0; i < TL_ARRAY_LEN(canonical); i++) {
        int64_t us = 99;
        char text[TL_TIME_SIZE];
        check_ok(tl_time_parse(&us, tl_str_of(canonical[i].text)));
        assert_int_equal(us, canonical[i].us);
        assert_int_equal(tl_time_format(text, us), strlen(canonical[i].text));
        assert_string_equal(text, canonical[i].text);
    }
}

static void reads_other_spellings_as_utc(void **state)
{
    (void)state;
    static const struct {
        const char *text, *utc;
    } table[] = {
        { "2026-03-14t09:26:53z", "2026-03-14T09:26:53Z" },
        { "2026-03-14T09:26:53+00:00", "2026-03-14T09:26:53Z" },
        { "2026-03-14T09:26:53-00:00", "2026-03-14T09:26:53Z" },
        { "2026-03-14T00:26:53+02:30", "2026-03-13T21:56:53Z" },
        { "2026-12-31T23:30:00-01:00", "2027-01-01T00:30:00Z" },
        { "2026-03-14T09:26:53.5Z", "2026-03-14T09:26:53.500000Z" },
        { "2026-03-14T09:26:53.000000Z", "2026-03-14T09:26:53Z" },
        { "2026-03-14T09:26:53.1234569999999999Z", "2026-03-14T09:26:53.123456Z" },
        { "1969-12-31T23:59:59.9999999Z", "1969-12-31T23:59:59.999999Z" },
        { "0001-01-01T00:00:00-00:01", "0001-01-01T00:01:00Z" },
        { "2016-12-31T23:59:60Z", "2016-12-31T23:59:59.999999Z" },
        { "2016-12-31T23:59:60.25Z", "2016-12-31T23:59:59.999999Z" },
        { "1990-12-31T15:59:60-08:00", "1990-12-31T23:59:59.999999Z" },
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(table); i++) {
        int64_t us = 99;
        int64_t naive = 98;
        char text[TL_TIME_SIZE];
        check_ok(tl_time_parse(&us, tl_str_of(table[i].text)));
        check_ok(tl_time_parse_naive(&naive, tl_str_of(table[i].text)));
        assert_int_equal(us, naive);
        (void)tl_time_format(text, us);
        assert_string_equal(text, table[i].utc);
    }
}

static void takes_naive_times_as_utc_only_where_asked(void **state)
{
    (void)state;
    static const struct {
        const char *text, *utc;
    } table[] = {
        { "2026-03-14", "2026-03-14T00:00:00Z" },
        { "2026-03-14T09:26:53", "2026-03-14T09:26:53Z" },
        { "2026-03-14 09:26:53.25", "2026-03-14T09:26:53.250000Z" },
        { "2026-03-14 09:26:53+01:00", "2026-03-14T08:26:53Z" },
        { "2026-03-14 09:26:53Z", "2026-03-14T09:26:53Z" },
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(table); i++) {
        int64_t us = 99;
        char text[TL_TIME_SIZE];
        check_status(tl_time_parse(&us, tl_str_of(table[i].text)), TALLY_EINVAL);
        assert_int_equal(us, 99);
        check_ok(tl_time_parse_naive(&us, tl_str_of(table[i].text)));
        (void)tl_time_format(text, us);
        assert_string_equal(text, table[i].utc);
    }
}

static void refuses_what_is_no_time(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "2026",
        "2026-03",
        "2026-03-14T",
        "2026-03-14Z",
        "2026-03-14T09:26Z",
        "2026-03-14T09:26:53.Z",
        "2026-03-14T09:26:53,5Z",
        "2026-03-14T09:26:53+0100",
        "2026-03-14T09:26:53+01",
        "2026-03-14T09:26:53 Z",
        "2026-03-14T09:26:53ZZ",
        "2026-03-14T09:26:53Z ",
        " 2026-03-14T09:26:53Z",
        "2026-03-14  09:26:53",
        "2026-03-14T09:26:53+24:00",
        "2026-03-14T09:26:53+01:60",
        "2026-03-14T24:00:00Z",
        "2026-03-14T09:60:00Z",
        "2026-03-14T09:26:61Z",
        "2026-03-14T09:26:60Z",
        "2026-03-14T23:59:60+01:00",
        "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-01-00T00:00:00Z",
        "2026-01-32T00:00:00Z",
        "2026-04-31T00:00:00Z",
        "2026-02-29T00:00:00Z",
        "1900-02-29T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "+2026-01-01T00:00:00Z",
        "12026-01-01T00:00:00Z",
        "2026-1-01T00:00:00Z",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "2026-03-14T09:26:5\xD9\xA3Z",
        "20260314T092653Z",
        "2026-W11-6",
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(texts); i++) {
        int64_t us = 99;
        check_status(tl_time_parse(&us, tl_str_of(texts[i])), TALLY_EINVAL);
        check_status(tl_time_parse_naive(&us, tl_str_of(texts[i])), TALLY_EINVAL);
        assert_int_equal(us, 99);
    }
    int64_t us = 99;
    check_status(tl_time_parse(&us, TL_STR("2026-03-14T09:26:53Z\0")), TALLY_EINVAL);
    check_status(tl_time_parse(&us, (struct tl_str){ 0 }), TALLY_EINVAL);
}

/* Counts the days up one by one, the way a wall calendar does. */
static void knows_every_day_of_ten_thousand_years(void **state)
{
    (void)state;
    static const unsigned lengths[12] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    int64_t us = TL_TIME_US_MIN;
    for (unsigned year = 1; year <= 9999; year++) {
        bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
        for (unsigned month = 1; month <= 12; month++) {
            unsigned last = month == 2 && leap ? 29 : lengths[month - 1];
            for (unsigned day = 1; day <= last; day++, us += DAY) {
                char want[TL_TIME_SIZE];
                char got[TL_TIME_SIZE];
                (void)snprintf(want, sizeof(want), "%04u-%02u-%02uT00:00:00Z", year % 10000,
                               month % 100, day % 100);
                (void)tl_time_format(got, us);
                int64_t back = 0;
                check_ok(tl_time_parse(&back, tl_str_of(want)));
                if (strcmp(got, want) != 0 || back != us) {
                    assert_string_equal(got, want);
                    assert_int_equal(back, us);
                }
            }
        }
    }
    assert_int_equal(us, TL_TIME_US_MAX + 1);
}

static void writes_six_digits_where_texts_must_sort(void **state)
{
    (void)state;
    char text[TL_TIME_SIZE];
    assert_int_equal(tl_time_format_fixed(text, 0), 27);
    assert_string_equal(text, "1970-01-01T00:00:00.000000Z");
    assert_int_equal(tl_time_format_fixed(text, -1), 27);
    assert_string_equal(text, "1969-12-31T23:59:59.999999Z");
}

static void writes_nothing_for_a_time_out_of_range(void **state)
{
    (void)state;
    static const int64_t out_of_range[] = { INT64_MIN, TL_TIME_US_MIN - 1, TL_TIME_US_MAX + 1,
                                            INT64_MAX };
    for (size_t i = 0; i < TL_ARRAY_LEN(out_of_range); i++) {
        char text[TL_TIME_SIZE] = "x";
        assert_int_equal(tl_time_format(text, out_of_range[i]), 0);
        assert_string_equal(text, "");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_and_writes_the_same_text),
        cmocka_unit_test(reads_other_spellings_as_utc),
        cmocka_unit_test(takes_naive_times_as_utc_only_where_asked),
        cmocka_unit_test(refuses_what_is_no_time),
        cmocka_unit_test(knows_every_day_of_ten_thousand_years),
        cmocka_unit_test(writes_six_digits_where_texts_must_sort),
        cmocka_unit_test(writes_nothing_for_a_time_out_of_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
