#include <stdio.h>
#include <string.h>

#include "check.h"
#include "codec/lexigram_json.h"
#include "fault.h"

#define ARENA_BYTES ((size_t)8 << 20)

static const struct tl_lexigram_style plain = { .version = TL_LEXIGRAM_NO_VERSION };

static tally_status canonicalize(struct tl_buf *out, struct tl_str text,
                                 const struct tl_lexigram_style *style, struct tally_error *err)
{
    TL_CLEANUP(tl_arena_release) struct tl_arena arena = { 0 };
    tl_arena_init(&arena, ARENA_BYTES);
    const struct tl_json *entry = NULL;
    TL_TRY(tl_lexigram_read(&arena, text.text, text.len, &entry, err));
    return tl_lexigram_write(out, entry, style, &arena, err);
}

static void check_writes_as(const char *text, const struct tl_lexigram_style *style,
                            const char *want)
{
    struct tl_buf out = { 0 };
    tl_buf_init(&out, 10000);
    check_ok(canonicalize(&out, tl_str_of(text), style, NULL));
    tl_buf_add_char(&out, '\0');
    assert_string_equal(tl_buf_str(&out).text, want);
    tl_buf_release(&out);
}

static void check_number(const char *token, const struct tl_lexigram_style *style, const char *want)
{
    char text[300];
    char canonical[300];
    (void)snprintf(text, sizeof(text), "{\"a\":%s}", token);
    (void)snprintf(canonical, sizeof(canonical), "{\"a\":%s}", want);
    check_writes_as(text, style, canonical);
    check_writes_as(canonical, style, canonical);
}

static void writes_numbers_as_orjson_does(void **state)
{
    (void)state;
    static const char *const table[][2] = {
        { "0", "0" },
        { "-0", "0" },
        { "-1", "-1" },
        { "9007199254740993", "9007199254740993" },
        { "18446744073709551615", "18446744073709551615" },
        { "-9223372036854775808", "-9223372036854775808" },
        { "0.0", "0.0" },
        { "-0.0", "-0.0" },
        { "0e9", "0.0" },
        { "1.0", "1.0" },
        { "100.0", "100.0" },
        { "1e2", "100.0" },
        { "-1.5", "-1.5" },
        { "123456.789", "123456.789" },
        { "123456.78900", "123456.789" },
        { "1e15", "1000000000000000.0" },
        { "9007199254740993.0", "9007199254740992.0" },
        { "9999999999999998.0", "9999999999999998.0" },
        { "1234567890123456.7", "1234567890123456.8" },
        { "12345678901234567.0", "1.2345678901234568e16" },
        { "1e16", "1e16" },
        { "1E+16", "1e16" },
        { "1.5e20", "1.5e20" },
        { "1e22", "1e22" },
        { "0.1", "0.1" },
        { "0.000123", "0.000123" },
        { "1.5e-5", "0.000015" },
        { "1e-5", "0.00001" },
        { "1.5e-6", "1.5e-6" },
        { "2.5e-10", "2.5e-10" },
        { "5e-324", "5e-324" },
        { "1.7976931348623157e308", "1.7976931348623157e308" },
        { "0.30000000000000004", "0.30000000000000004" },
        { "0.1000000000000000055511151231257827", "0.1" },
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(table); i++) {
        check_number(table[i][0], &plain, table[i][1]);
    }
}

static void writes_a_sign_before_large_exponents_where_asked(void **state)
{
    (void)state;
    static const struct tl_lexigram_style style = { .version = TL_LEXIGRAM_NO_VERSION,
                                                    .exponent_signed = true };
    check_number("1e16", &style, "1e+16");
    check_number("1e-10", &style, "1e-10");
    check_number("1e15", &style, "1000000000000000.0");
}

static void sorts_members_by_bytes_at_every_depth(void **state)
{
    (void)state;
    check_writes_as("{\"\xF0\x9F\x98\x80\":1,\"\xEF\xBF\xAE\":2,\"\xC3\xA9\":3,\"a\":4,\"Z\":5,"
                    "\"9\":6,\"10\":7,\"\":[{\"\\uD83D\\uDE00\":1,\"\\uFFEE\":2}]}",
                    &plain,
                    "{\"\":[{\"\xEF\xBF\xAE\":2,\"\xF0\x9F\x98\x80\":1}],\"10\":7,\"9\":6,\"Z\":5,"
                    "\"a\":4,\"\xC3\xA9\":3,\"\xEF\xBF\xAE\":2,\"\xF0\x9F\x98\x80\":1}");
}

static void escapes_only_what_must_be(void **state)
{
    (void)state;
    check_writes_as("{ \"a\" : [ true , false , null , \"\\u0022\\\\\\/\\b\\t\\n\\f\\r\\u001F"
                    "\\u007f\\u2028\\u00e9\" , { } , [ ] ] }",
                    &plain,
                    "{\"a\":[true,false,null,\"\\\"\\\\/\\b\\t\\n\\f\\r\\u001f\x7F\xE2\x80\xA8"
                    "\xC3\xA9\",{},[]]}");
}

static void sets_the_version_at_the_top_alone(void **state)
{
    (void)state;
    static const struct tl_lexigram_style two = { .version = 2 };
    static const struct tl_lexigram_style one = { .version = 1 };
    static const char text[] =
        "{\"z\":{\"entry_schema_version\":7},\"entry_schema_version\":\"x\"}";
    check_writes_as(text, &two, "{\"entry_schema_version\":2,\"z\":{\"entry_schema_version\":7}}");
    check_writes_as(text, &one, "{\"entry_schema_version\":1,\"z\":{\"entry_schema_version\":7}}");
    check_writes_as(text, &plain,
                    "{\"entry_schema_version\":\"x\",\"z\":{\"entry_schema_version\":7}}");
    check_writes_as("{}", &two, "{\"entry_schema_version\":2}");
    check_writes_as("{}", &plain, "{}");
}

static void refuses_malformed_entries(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "[]",
        "1",
        "{\"a\":1,\"a\":2}",
        "{\"entry_schema_version\":1,\"entry_schema_version\":2}",
        "{\"a\":18446744073709551616}",
        "{\"a\":-9223372036854775809}",
        "{\"a\":99999999999999999999999}",
        "{\"a\":1e400}",
        "{\"a\":NaN}",
        "{\"a\":\"\\uD800\"}",
        "{\"a\":\"\\u0000\"}",
        "{\"a\":\"\xFF\"}",
        "{} {}",
        "{\"a\":01}",
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(texts); i++) {
        struct tl_buf out = { 0 };
        struct tally_error err = TALLY_ERROR_INIT;
        tl_buf_init(&out, 10000);
        check_status(canonicalize(&out, tl_str_of(texts[i]), &plain, &err), TALLY_EINVAL);
        check_status(err.status, TALLY_EINVAL);
        assert_string_not_equal(err.message, "");
        check_status(canonicalize(&out, tl_str_of(texts[i]), &plain, NULL), TALLY_EINVAL);
        tl_buf_release(&out);
    }
}

static void restores_the_time_that_was_hashed(void **state)
{
    (void)state;
    static const char *const table[][2] = {
        { "", "" },
        { "2026-01-01 00:00:00", "2026-01-01T00:00:00" },
        { "2026-01-01T00:00:00", "2026-01-01T00:00:00" },
        { "2026-01-01 00:00:00.5", "2026-01-01T00:00:00.500000" },
        { "2026-01-01 00:00:00.123456", "2026-01-01T00:00:00.123456" },
        { "2026-01-01 00:00:00.000000", "2026-01-01T00:00:00" },
        { "2026-01-01 00:00:00.000001", "2026-01-01T00:00:00.000001" },
        { "2026-01-01 00:00:00.0+00:00", "2026-01-01T00:00:00+00:00" },
        { "2026-01-01T00:00:00.25+00:00", "2026-01-01T00:00:00.250000+00:00" },
        { "2026-01-01 00:00:00.1234567", "2026-01-01T00:00:00.1234567" },
        { "2026-01-01 00:00:00.0000000", "2026-01-01T00:00:00.0000000" },
        { "2026-01-01 00:00:00.", "2026-01-01T00:00:00." },
        { "2026-01-01 00:00:00 x y", "2026-01-01T00:00:00 x y" },
        { ".5 x", ".500000 x" },
        { " ", "T" },
        { "yesterday", "yesterday" },
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(table); i++) {
        struct tl_buf out = { 0 };
        tl_buf_init(&out, 100);
        tl_lexigram_write_time(&out, tl_str_of(table[i][0]));
        assert_true(tl_str_is(tl_buf_str(&out), table[i][1]));
        tl_buf_release(&out);
    }
}

static tally_status canonicalize_sample(const void *ctx)
{
    TL_CLEANUP(tl_buf_release) struct tl_buf out = { 0 };
    tl_buf_init(&out, 10000);
    return canonicalize(&out, tl_str_of(ctx), &plain, NULL);
}

static void reports_that_it_is_out_of_memory(void **state)
{
    (void)state;
    assert_true(fault_each_alloc(canonicalize_sample, "{\"b\":[1,2.5],\"a\":{\"c\":\"\\n\"}}") > 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_numbers_as_orjson_does),
        cmocka_unit_test(writes_a_sign_before_large_exponents_where_asked),
        cmocka_unit_test(sorts_members_by_bytes_at_every_depth),
        cmocka_unit_test(escapes_only_what_must_be),
        cmocka_unit_test(sets_the_version_at_the_top_alone),
        cmocka_unit_test(refuses_malformed_entries),
        cmocka_unit_test(restores_the_time_that_was_hashed),
        cmocka_unit_test(reports_that_it_is_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
