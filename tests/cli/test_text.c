#include "check.h"
#include "cli/out.h"

static void escapes_what_a_terminal_might_obey(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *shown;
    } cases[] = {
        { "", "" },
        { "plain \xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80",
          "plain \xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80" },
        { "a\tb\r\n", "a\\tb\\r\\n" },
        { "\x1b[31m", "\\x1b[31m" },
        { "\x7f", "\\x7f" },
        { "\xC2\x9B", "\\x9b" },
        { "\xC2\xA0", "\xC2\xA0" },
        /* NOLINTNEXTLINE(misc-misleading-bidirectional): what has to be made harmless */
        { "\xE2\x80\xAEx", "\\u202ex" },
        { "\xE2\x81\xA6\xE2\x81\xA9", "\\u2066\\u2069" },
        { "\xE2\x80\x8E\xE2\x80\x8F", "\\u200e\\u200f" },
        { "\xE2\x80\xA8\xE2\x80\xA9", "\\u2028\\u2029" },
        { "\xFF\xC3", "\\xff\\xc3" },
        { "\xED\xA0\x80", "\\xed\\xa0\\x80" },
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(cases); i++) {
        TL_CLEANUP(tl_buf_release) struct tl_buf out = { 0 };
        tl_buf_init(&out, 1000);
        tl_text_escape(&out, tl_str_of(cases[i].text));
        tl_buf_add_char(&out, '\0');
        check_ok(tl_buf_status(&out));
        assert_string_equal(out.data, cases[i].shown);
    }
}

static void knows_how_wide_text_is(void **state)
{
    (void)state;
    assert_int_equal(tl_text_width(TL_STR("abc")), 3);
    assert_int_equal(tl_text_width(TL_STR("\xC3\xA9")), 1);
    assert_int_equal(tl_text_width(TL_STR("e\xCC\x81")), 1);
    assert_int_equal(tl_text_width(TL_STR("\xE6\x97\xA5")), 2);
}

static void writes_any_bytes_as_json(void **state)
{
    (void)state;
    TL_CLEANUP(tl_buf_release) struct tl_buf out = { 0 };
    tl_buf_init(&out, 1000);
    tl_json_lossy(&out, TL_STR("a\"\xFF"));
    tl_buf_add_char(&out, '\0');
    assert_string_equal(out.data, "\"a\\\"\xEF\xBF\xBD\"");
}

static void builds_json_member_by_member(void **state)
{
    (void)state;
    TL_CLEANUP(tl_js_release) struct tl_js js = { 0 };
    tl_js_init(&js);
    tl_js_open(&js, NULL, '{');
    tl_js_text(&js, "a", NULL);
    tl_js_open(&js, "b", '[');
    tl_js_u64(&js, NULL, 1);
    tl_js_bool(&js, NULL, true);
    tl_js_open(&js, NULL, '{');
    tl_js_close(&js, '}');
    tl_js_close(&js, ']');
    tl_js_time(&js, "c", 0);
    tl_js_close(&js, '}');
    tl_buf_add_char(&js.buf, '\0');
    assert_string_equal(js.buf.data,
                        "{\"a\":null,\"b\":[1,true,{}],\"c\":\"1970-01-01T00:00:00.000000Z\"}");
}

static void of_two_statuses_the_graver_counts(void **state)
{
    (void)state;
    assert_int_equal(tl_exit_worse(TL_EXIT_OK, TL_EXIT_OK), TL_EXIT_OK);
    assert_int_equal(tl_exit_worse(TL_EXIT_INCOMPLETE, TL_EXIT_NO), TL_EXIT_NO);
    assert_int_equal(tl_exit_worse(TL_EXIT_UNKNOWN, TL_EXIT_INCOMPLETE), TL_EXIT_UNKNOWN);
    assert_int_equal(tl_exit_worse(TL_EXIT_NO, TL_EXIT_UNKNOWN), TL_EXIT_NO);
}

static void reads_durations(void **state)
{
    (void)state;
    uint32_t seconds = 0;
    check_ok(tl_duration_read(&seconds, "90"));
    assert_int_equal(seconds, 90);
    check_ok(tl_duration_read(&seconds, "15m"));
    assert_int_equal(seconds, 900);
    check_ok(tl_duration_read(&seconds, "30d"));
    assert_int_equal(seconds, 2592000);
    static const char *const wrong[] = { "", "d", "-1s", "1w", "1 s", "99999999d" };
    for (size_t i = 0; i < TL_ARRAY_LEN(wrong); i++) {
        check_status(tl_duration_read(&seconds, wrong[i]), TALLY_EINVAL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(escapes_what_a_terminal_might_obey),
        cmocka_unit_test(knows_how_wide_text_is),
        cmocka_unit_test(writes_any_bytes_as_json),
        cmocka_unit_test(builds_json_member_by_member),
        cmocka_unit_test(of_two_statuses_the_graver_counts),
        cmocka_unit_test(reads_durations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
