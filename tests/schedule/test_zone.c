#include "schedule/zone.h"

#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/io.h"
#include "support/check.h"

#define DAY_S INT64_C(86400)

/* Offsets as Python's zoneinfo gives them for the same database, at random and around changes. */
static const struct {
    const char *zone;
    int64_t utc_s;
    int32_t offset;
} known[] = {
    { "Europe/Berlin", INT64_C(1390851128), 3600 },
    { "Europe/Berlin", INT64_C(4071050724), 3600 },
    { "Europe/Berlin", INT64_C(647892279), 7200 },
    { "Europe/Berlin", INT64_C(1004230799), 7200 },
    { "Europe/Berlin", INT64_C(1004230800), 3600 },
    { "Europe/Berlin", INT64_C(1792889999), 7200 },
    { "Europe/Berlin", INT64_C(1792890000), 3600 },
    { "Europe/Berlin", INT64_C(2500505999), 3600 },
    { "Europe/Berlin", INT64_C(2500506000), 7200 },
    { "Europe/Berlin", INT64_C(3907270799), 7200 },
    { "Europe/Berlin", INT64_C(3907270800), 3600 },
    { "America/New_York", INT64_C(1695753998), -14400 },
    { "America/New_York", INT64_C(2795742288), -14400 },
    { "America/New_York", INT64_C(207388624), -14400 },
    { "America/New_York", INT64_C(1004248799), -14400 },
    { "America/New_York", INT64_C(1004248800), -18000 },
    { "America/New_York", INT64_C(1793512799), -14400 },
    { "America/New_York", INT64_C(1793512800), -18000 },
    { "America/New_York", INT64_C(2519877599), -14400 },
    { "America/New_York", INT64_C(2519877600), -18000 },
    { "America/New_York", INT64_C(3907893599), -14400 },
    { "America/New_York", INT64_C(3907893600), -18000 },
    { "Australia/Lord_Howe", INT64_C(311111475), 36000 },
    { "Australia/Lord_Howe", INT64_C(3527346212), 39600 },
    { "Australia/Lord_Howe", INT64_C(2301595691), 39600 },
    { "Australia/Lord_Howe", INT64_C(1004196599), 37800 },
    { "Australia/Lord_Howe", INT64_C(1004196600), 39600 },
    { "Australia/Lord_Howe", INT64_C(1791041399), 37800 },
    { "Australia/Lord_Howe", INT64_C(1791041400), 39600 },
    { "Australia/Lord_Howe", INT64_C(2501074799), 39600 },
    { "Australia/Lord_Howe", INT64_C(2501074800), 37800 },
    { "Australia/Lord_Howe", INT64_C(3905422199), 37800 },
    { "Australia/Lord_Howe", INT64_C(3905422200), 39600 },
    { "Africa/Casablanca", INT64_C(404285457), 0 },
    { "Africa/Casablanca", INT64_C(1570621944), 3600 },
    { "Africa/Casablanca", INT64_C(2503055453), 3600 },
    { "Africa/Casablanca", INT64_C(1801965599), 3600 },
    { "Africa/Casablanca", INT64_C(1801965600), 0 },
    { "Africa/Casablanca", INT64_C(2505952799), 3600 },
    { "Africa/Casablanca", INT64_C(2505952800), 0 },
    { "Asia/Kathmandu", INT64_C(249103477), 19800 },
    { "Asia/Kathmandu", INT64_C(3907149204), 20700 },
    { "Asia/Kathmandu", INT64_C(2179419893), 20700 },
    { "Pacific/Apia", INT64_C(922121676), -39600 },
    { "Pacific/Apia", INT64_C(161042648), -39600 },
    { "Pacific/Apia", INT64_C(369140570), -39600 },
    { "Europe/Dublin", INT64_C(1862494042), 0 },
    { "Europe/Dublin", INT64_C(1796035739), 0 },
    { "Europe/Dublin", INT64_C(300026767), 3600 },
    { "Europe/Dublin", INT64_C(1004230799), 3600 },
    { "Europe/Dublin", INT64_C(1004230800), 0 },
    { "Europe/Dublin", INT64_C(1792889999), 3600 },
    { "Europe/Dublin", INT64_C(1792890000), 0 },
    { "Europe/Dublin", INT64_C(2500505999), 0 },
    { "Europe/Dublin", INT64_C(2500506000), 3600 },
    { "Europe/Dublin", INT64_C(3907270799), 3600 },
    { "Europe/Dublin", INT64_C(3907270800), 0 },
    { "America/St_Johns", INT64_C(1033639716), -9000 },
    { "America/St_Johns", INT64_C(389609433), -9000 },
    { "America/St_Johns", INT64_C(2366729934), -12600 },
    { "America/St_Johns", INT64_C(1004236259), -9000 },
    { "America/St_Johns", INT64_C(1004236260), -12600 },
    { "America/St_Johns", INT64_C(1793507399), -9000 },
    { "America/St_Johns", INT64_C(1793507400), -12600 },
    { "America/St_Johns", INT64_C(2519872199), -9000 },
    { "America/St_Johns", INT64_C(2519872200), -12600 },
    { "America/St_Johns", INT64_C(3907888199), -9000 },
    { "America/St_Johns", INT64_C(3907888200), -12600 },
    { "Antarctica/Troll", INT64_C(1823296038), 7200 },
    { "Antarctica/Troll", INT64_C(253877686), 0 },
    { "Antarctica/Troll", INT64_C(3551302831), 7200 },
    { "Antarctica/Troll", INT64_C(1792889999), 7200 },
    { "Antarctica/Troll", INT64_C(1792890000), 0 },
    { "Antarctica/Troll", INT64_C(2500505999), 0 },
    { "Antarctica/Troll", INT64_C(2500506000), 7200 },
    { "Antarctica/Troll", INT64_C(3907270799), 7200 },
    { "Antarctica/Troll", INT64_C(3907270800), 0 },
    { "Asia/Gaza", INT64_C(2428605135), 7200 },
    { "Asia/Gaza", INT64_C(531725347), 7200 },
    { "Asia/Gaza", INT64_C(4069265501), 7200 },
    { "Asia/Gaza", INT64_C(1003438799), 10800 },
    { "Asia/Gaza", INT64_C(1003438800), 7200 },
    { "Asia/Gaza", INT64_C(1792796399), 10800 },
    { "Asia/Gaza", INT64_C(1792796400), 7200 },
    { "Asia/Gaza", INT64_C(2500415999), 7200 },
    { "Asia/Gaza", INT64_C(2500416000), 10800 },
    { "Asia/Gaza", INT64_C(3907177199), 10800 },
    { "Asia/Gaza", INT64_C(3907177200), 7200 },
};

static void load(struct tl_zone *zone, const char *name)
{
    char path[256];
    char *bytes = NULL;
    size_t len = 0;
    (void)snprintf(path, sizeof(path), "/usr/share/zoneinfo/%s", name);
    if (tl_io_read_file(path, TL_ZONE_FILE_MAX, &bytes, &len, NULL) != TALLY_OK) {
        skip(); /* no tzdata */
    }
    check_ok(tl_zone_read(zone, (const uint8_t *)bytes, len));
    tl_free(bytes);
}

static void knows_the_offsets_of_many_zones(void **state)
{
    (void)state;
    static struct tl_zone zone;
    for (size_t i = 0; i < TL_ARRAY_LEN(known); i++) {
        if (i == 0 || strcmp(known[i].zone, known[i - 1].zone) != 0) {
            load(&zone, known[i].zone);
        }
        assert_int_equal(tl_zone_offset(&zone, known[i].utc_s), known[i].offset);
    }
}

static void follows_the_rule_alone_where_a_file_ends(void **state)
{
    (void)state;
    static struct tl_zone zone;
    load(&zone, "Europe/Berlin");
    int64_t summer = tl_days_of_date(2120, 7, 1) * DAY_S;
    int64_t winter = tl_days_of_date(2120, 1, 1) * DAY_S;
    assert_int_equal(tl_zone_offset(&zone, summer), 7200);
    assert_int_equal(tl_zone_offset(&zone, winter), 3600);
}

static void reads_every_form_of_a_rule(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool dst;
        int32_t standard, summer;
    } table[] = {
        { "UTC0", false, 0, 0 },
        { "<+0545>-5:45", false, 20700, 0 },
        { "CET-1CEST,M3.5.0,M10.5.0/3", true, 3600, 7200 },
        { "IST-1GMT0,M10.5.0,M3.5.0/1", true, 3600, 0 },
        { "EST5EDT4,J60,J300", true, -18000, -14400 },
        { "AAA3BBB,59/-1,299/26:30:15", true, -10800, -7200 },
        { "<-02>2<-01>,M3.5.0/-1,M10.5.0/0", true, -7200, -3600 },
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(table); i++) {
        struct tl_zone_rule rule;
        check_ok(tl_zone_rule_read(&rule, tl_str_of(table[i].text)));
        assert_true(rule.is_known);
        assert_int_equal(rule.has_dst, table[i].dst);
        assert_int_equal(rule.standard, table[i].standard);
        assert_int_equal(rule.dst, table[i].summer);
    }
}

static void refuses_what_is_no_rule(void **state)
{
    (void)state;
    static const char *const table[] = {
        "UT0",
        "CET",
        "CET-25",
        "CET-1CEST",
        "CET-1CE,M3.5.0,M10.5.0",
        "CET-1CEST,M13.5.0,M10.5.0",
        "CET-1CEST,M3.0.0,M10.5.0",
        "CET-1CEST,M3.5.7,M10.5.0",
        "CET-1CEST,J0,J5",
        "CET-1CEST,366,5",
        "<CET-1",
        "CET-1CEST,M3.5.0,M10.5.0x",
        "CET-1:60",
        "CET-1CEST,M3.5.0/168,M10.5.0",
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(table); i++) {
        struct tl_zone_rule rule;
        check_status(tl_zone_rule_read(&rule, tl_str_of(table[i])), TALLY_ECORRUPT);
    }
    struct tl_zone_rule rule;
    check_ok(tl_zone_rule_read(&rule, TL_STR("")));
    assert_false(rule.is_known);
}

static void counts_julian_days_without_the_leap_day(void **state)
{
    (void)state;
    static struct tl_zone zone;
    check_ok(tl_zone_rule_read(&zone.rule, TL_STR("AAA0BBB-1,J60/0,J61/0")));
    int64_t march = tl_days_of_date(2028, 3, 1) * DAY_S; /* 2028 has a leap day */
    assert_int_equal(tl_zone_offset(&zone, march - 1), 0);
    assert_int_equal(tl_zone_offset(&zone, march), 3600);
    check_ok(tl_zone_rule_read(&zone.rule, TL_STR("AAA0BBB-1,59/0,61/0")));
    assert_int_equal(tl_zone_offset(&zone, march - 86401), 0);
    assert_int_equal(tl_zone_offset(&zone, march - 86400), 3600); /* February 29 is counted */
}

static void finds_the_moment_of_a_local_time(void **state)
{
    (void)state;
    static struct tl_zone zone;
    check_ok(tl_zone_rule_read(&zone.rule, TL_STR("CET-1CEST,M3.5.0,M10.5.0/3")));
    /* 2026-03-29: 02:00 becomes 03:00, at 01:00 UTC. */
    int64_t spring = tl_days_of_date(2026, 3, 29) * DAY_S;
    assert_int_equal(tl_zone_moment(&zone, spring + 5400), spring + 1800);  /* 01:30 */
    assert_int_equal(tl_zone_moment(&zone, spring + 9000), spring + 3600);  /* 02:30: not there */
    assert_int_equal(tl_zone_moment(&zone, spring + 12600), spring + 5400); /* 03:30 */
    /* 2026-10-25: 03:00 becomes 02:00, at 01:00 UTC. */
    int64_t autumn = tl_days_of_date(2026, 10, 25) * DAY_S;
    assert_int_equal(tl_zone_moment(&zone, autumn + 9000), autumn + 1800);  /* 02:30: the first */
    assert_int_equal(tl_zone_moment(&zone, autumn + 10800), autumn + 7200); /* 03:00 */
    assert_int_equal(tl_zone_moment(NULL, 12345), 12345);
}

static void turns_dates_into_days_and_back(void **state)
{
    (void)state;
    for (int64_t days = -800000; days < 3000000; days += 13) {
        int64_t year = 0;
        int32_t month = 0;
        int32_t day = 0;
        tl_date_of_days(days, &year, &month, &day);
        assert_int_equal(tl_days_of_date(year, month, day), days);
        assert_in_range(month, 1, 12);
        assert_in_range(day, 1, 31);
    }
    assert_int_equal(tl_days_of_date(1970, 1, 1), 0);
    assert_int_equal(tl_days_of_date(2000, 3, 1), 11017);
}

/* A file with one transition, then `footer`. */
static size_t make_file(uint8_t *out, const char *footer)
{
    uint8_t *at = out;
    for (int version = 0; version < 2; version++) {
        bool is_new = version == 1;
        memset(at, 0, 44);
        at[0] = 'T';
        at[1] = 'Z';
        at[2] = 'i';
        at[3] = 'f';
        at[4] = '2';
        tl_put_be32(at + 32, is_new ? 1 : 0); /* transitions */
        tl_put_be32(at + 36, is_new ? 2 : 1); /* types */
        tl_put_be32(at + 40, 4);              /* characters */
        at += 44;
        if (is_new) {
            tl_put_be64(at, 1000);
            at[8] = 1;
            at += 9;
        }
        memset(at, 0, 12);
        if (is_new) {
            tl_put_be32(at + 6, 3600);
            at += 6;
        }
        at += 6 + 4;
    }
    *at++ = '\n';
    for (const char *c = footer; *c != '\0'; c++) {
        *at++ = (uint8_t)*c;
    }
    *at++ = '\n';
    return (size_t)(at - out);
}

static void refuses_a_file_that_is_cut_or_changed(void **state)
{
    (void)state;
    static struct tl_zone zone;
    uint8_t bytes[256];
    size_t len = make_file(bytes, "");
    check_ok(tl_zone_read(&zone, bytes, len));
    assert_int_equal(tl_zone_offset(&zone, 999), 0);
    assert_int_equal(tl_zone_offset(&zone, 1000), 3600);
    for (size_t cut = 0; cut < len; cut++) {
        check_status(tl_zone_read(&zone, bytes, cut), TALLY_ECORRUPT);
    }
    bytes[54 + 44 + 8] = 2; /* a type that is not there */
    check_status(tl_zone_read(&zone, bytes, len), TALLY_ECORRUPT);
    len = make_file(bytes, "CET");
    check_status(tl_zone_read(&zone, bytes, len), TALLY_ECORRUPT);
    len = make_file(bytes, "");
    tl_put_be32(bytes + 54 + 32, 60000); /* more than there is */
    check_status(tl_zone_read(&zone, bytes, len), TALLY_ECORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_the_offsets_of_many_zones),
        cmocka_unit_test(follows_the_rule_alone_where_a_file_ends),
        cmocka_unit_test(reads_every_form_of_a_rule),
        cmocka_unit_test(refuses_what_is_no_rule),
        cmocka_unit_test(counts_julian_days_without_the_leap_day),
        cmocka_unit_test(finds_the_moment_of_a_local_time),
        cmocka_unit_test(turns_dates_into_days_and_back),
        cmocka_unit_test(refuses_a_file_that_is_cut_or_changed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
