#include <stdio.h>
#include <string.h>

#include "../vectors/jcs.h"
#include "check.h"
#include "codec/json.h"
#include "fault.h"

static void accepts_what_is_canonical(void **state)
{
    (void)state;
    for (size_t i = 0; i < TL_ARRAY_LEN(jcs_pairs); i++) {
        const char *text = jcs_pairs[i].output;
        check_ok(tl_json_check_canonical(text, strlen(text), NULL));
    }
}

static void refuses_what_must_fail(void **state)
{
    (void)state;
    for (size_t i = 0; i < TL_ARRAY_LEN(jcs_must_fail); i++) {
        struct tally_error err = TALLY_ERROR_INIT;
        check_status(tl_json_check_canonical(jcs_must_fail[i].input, jcs_must_fail[i].len, &err),
                     TALLY_EREFUSED);
        assert_true(err.has_offset && (size_t)err.offset <= jcs_must_fail[i].len);
    }
}

static void refuses_json_that_is_not_canonical_and_says_where(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *code;
        size_t at;
    } table[] = {
        { " 1", "not_canonical", 0 },
        { "1 ", "not_canonical", 1 },
        { "[1, 2]", "not_canonical", 3 },
        { "[ ]", "not_canonical", 1 },
        { "{ }", "not_canonical", 1 },
        { "{\"a\" :1}", "not_canonical", 4 },
        { "{\"a\":\t1}", "not_canonical", 5 },
        { "{\"a\":1\n}", "not_canonical", 6 },
        { "{\"b\":1,\"a\":2}", "not_canonical", 7 },
        { "{\"\\n\":1,\"\\b\":2}", "not_canonical", 8 },
        { "{\"a\":1,\"\\n\":2}", "not_canonical", 7 },
        { "{\"\xEE\x80\x80\":1,\"\xF0\x90\x80\x80\":2}", "not_canonical", 9 },
        { "{\"a\":1,\"a\":2}", "duplicate_member", 7 },
        { "{\"a\\n\":1,\"a\\n\":2}", "duplicate_member", 9 },
        { "\"a\\u0041\"", "not_canonical", 2 },
        { "\"\\/\"", "not_canonical", 1 },
        { "\"\\u000A\"", "not_canonical", 1 },
        { "\"\\u000a\"", "not_canonical", 1 },
        { "\"\\u001F\"", "not_canonical", 1 },
        { "\"\\u0022\"", "not_canonical", 1 },
        { "\"\\u00e9\"", "not_canonical", 1 },
        { "\"\\u0141\"", "not_canonical", 1 },
        { "\"\\ud83d\\ude00\"", "not_canonical", 1 },
        { "\"\\ud83d\"", "bad_utf8", 1 },
        { "-0", "not_canonical", 0 },
        { "1.0", "not_canonical", 0 },
        { "0.10", "not_canonical", 0 },
        { "[1e2]", "not_canonical", 1 },
        { "1E+22", "not_canonical", 0 },
        { "1e22", "not_canonical", 0 },
        { "1000000000000000000000", "not_canonical", 0 },
        { "0.0000001", "not_canonical", 0 },
        { "333333333.33333329", "not_canonical", 0 },
        { "01", "bad_json", 1 },
        { "-", "bad_json", 1 },
        { "-01", "not_canonical", 0 },
        { "1.", "bad_json", 2 },
        { "9007199254740992", "bad_number", 0 },
        { "nul", "bad_json", 0 },
        { "[1,]", "bad_json", 3 },
        { "[1", "bad_json", 2 },
        { "{1", "bad_json", 1 },
        { "{\"a\"1", "bad_json", 4 },
        { "{\"a\":1]", "bad_json", 6 },
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(table); i++) {
        struct tally_error err = TALLY_ERROR_INIT;
        check_status(tl_json_check_canonical(table[i].text, strlen(table[i].text), &err),
                     TALLY_EREFUSED);
        if (strcmp(err.code, table[i].code) != 0 || (size_t)err.offset != table[i].at) {
            fail_msg("'%s' gave %s at %d", table[i].text, err.code, (int)err.offset);
        }
    }
}

static void keeps_the_limits_of_the_format(void **state)
{
    (void)state;
    size_t len = (size_t)1 << 24;
    char *text = tl_alloc_array(len, 1);
    assert_non_null(text);
    memset(text, 'x', len);
    text[0] = text[len - 1] = text[len - 2] = '"';
    check_ok(tl_json_check_canonical(text, len - 1, NULL));
    struct tally_error err = TALLY_ERROR_INIT;
    check_status(tl_json_check_canonical(text, len, &err), TALLY_EREFUSED);
    assert_string_equal(err.code, "too_large");
    memset(text, '[', 100000);
    err = (struct tally_error)TALLY_ERROR_INIT;
    check_status(tl_json_check_canonical(text, 100000, &err), TALLY_EREFUSED);
    assert_string_equal(err.code, "too_deep");
    assert_int_equal(err.offset, 64);
    tl_free(text);
}

static void walks_the_members_of_an_object(void **state)
{
    (void)state;
    static const char text[] =
        "[{\"\":-1.5,\"a\\\"b\":\"x\\\\\",\"c\":[{\"d\":\"]}\"},[]],\"e\":{},\"f\":null,"
        "\"a long name, of more than sixteen bytes\":\"a long value with \\\" a quote\"}]";
    static const struct {
        const char *name;
        const char *value;
    } want[] = {
        { "", "-1.5" },
        { "a\\\"b", "\"x\\\\\"" },
        { "c", "[{\"d\":\"]}\"},[]]" },
        { "e", "{}" },
        { "f", "null" },
        { "a long name, of more than sixteen bytes", "\"a long value with \\\" a quote\"" },
    };
    struct tl_json_iter it = { .at = 1 };
    for (size_t i = 0; i < TL_ARRAY_LEN(want); i++) {
        check_ok(tl_json_next(&it, text, strlen(text)));
        assert_true(tl_str_is(it.raw_name, want[i].name));
        assert_ptr_equal(text + it.member_start + 1, it.raw_name.text);
        assert_int_equal(it.value_end - it.value_start, strlen(want[i].value));
        assert_memory_equal(text + it.value_start, want[i].value, strlen(want[i].value));
    }
    check_status(tl_json_next(&it, text, strlen(text)), TALLY_ENOTFOUND);
    check_status(tl_json_next(&it, text, strlen(text)), TALLY_ENOTFOUND);
    struct tl_json_iter empty = { .at = 0 };
    check_status(tl_json_next(&empty, "{}", 2), TALLY_ENOTFOUND);
}

/* Compares two walks through an object, and through the objects in it. */
static void check_same_walk(struct tl_json_iter a, struct tl_json_iter b, const char *text)
{
    for (;;) {
        tally_status status = tl_json_next(&a, text, strlen(text));
        check_status(tl_json_next(&b, text, strlen(text)), status);
        if (status != TALLY_OK) {
            check_status(status, TALLY_ENOTFOUND);
            return;
        }
        assert_true(tl_str_equal(a.raw_name, b.raw_name));
        assert_int_equal(a.member_start, b.member_start);
        assert_int_equal(a.value_start, b.value_start);
        assert_int_equal(a.value_end, b.value_end);
        if (text[a.value_start] == '{') {
            check_same_walk(tl_json_walk_value(&a), tl_json_walk_value(&b), text);
        }
    }
}

static void walks_by_an_index_as_through_the_text(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{}",
        "{\"a\":{}}",
        "{\"a\":[{\"b\":1},{\"c\":{}}],\"e\":{\"f\":{\"g\":[]},\"h\":\"\"},\"i\\n\":0}",
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(texts); i++) {
        struct tl_json_index index;
        check_ok(tl_json_check_members(texts[i], strlen(texts[i]), &index, NULL));
        assert_true(index.whole);
        check_same_walk(tl_json_walk(&index), tl_json_walk(NULL), texts[i]);
    }
}

static void an_index_is_whole_or_not_used(void **state)
{
    (void)state;
    static const char *const texts[] = { "", "[{\"a\":1}]", "1", "{\"b\":1,\"a\":2}",
                                         "{\"a\":1}x" };
    struct tl_json_index index;
    for (size_t i = 0; i < TL_ARRAY_LEN(texts); i++) {
        (void)tl_json_check_members(texts[i], strlen(texts[i]), &index, NULL);
        assert_false(index.whole);
        assert_null(tl_json_walk(&index).index);
    }
    char text[2 + 8 * (TL_JSON_INDEX_MAX + 1)] = "{";
    for (unsigned count = 1; count <= TL_JSON_INDEX_MAX + 1; count++) {
        size_t at = 1 + 8 * ((size_t)count - 1);
        (void)snprintf(text + at, sizeof(text) - at, "\"%03u\":1}", count);
        check_ok(tl_json_check_members(text, at + 8, &index, NULL));
        assert_int_equal(index.whole, count <= TL_JSON_INDEX_MAX);
        check_same_walk(tl_json_walk(&index), tl_json_walk(NULL), text);
        text[at + 7] = ',';
    }
}

/* Returns how the walk ends. */
static tally_status walk(const char *text, size_t len)
{
    struct tl_json_iter it = { .at = 0 };
    tally_status status = TALLY_OK;
    while (status == TALLY_OK) {
        status = tl_json_next(&it, text, len);
        assert_true(it.value_end <= len);
    }
    return status;
}

static void does_not_walk_out_of_text_that_is_cut_short(void **state)
{
    (void)state;
    static const char text[] = "{\"a\":[1,{\"b\":\"c\\\"\"}],\"d\":true,\"e\\\\\":-1e-7}";
    size_t len = strlen(text);
    check_status(walk(text, len), TALLY_ENOTFOUND);
    for (size_t cut = 0; cut < len; cut++) {
        char *copy = tl_alloc_array(cut, 1); /* of just this size, for AddressSanitizer */
        assert_non_null(copy);
        memcpy(copy, text, cut);
        check_status(walk(copy, cut), TALLY_ECORRUPT);
        tl_free(copy);
    }
    static const char *const others[] = { "[]",       "1",          "{1}",      "{\"a\"1}",
                                          "{\"a\":}", "{\"a\":1,}", "{\"a\":1]" };
    for (size_t i = 0; i < TL_ARRAY_LEN(others); i++) {
        check_status(walk(others[i], strlen(others[i])), TALLY_ECORRUPT);
    }
}

/* What tl_json_skip() does, byte by byte, for a value that is a string or a container. */
static size_t skip_slowly(const char *text, size_t len, size_t at)
{
    size_t depth = 0;
    bool string = false;
    for (; at < len; at++) {
        char c = text[at];
        if (string && c == '\\') {
            at++;
        } else if (c == '"') {
            string = !string;
        } else if (!string) {
            depth += c == '[' || c == '{';
            depth -= c == ']' || c == '}';
        }
        if (!string && depth == 0) {
            return at + 1;
        }
    }
    return 0;
}

static void skips_a_value_wherever_the_blocks_end_that_it_is_read_in(void **state)
{
    (void)state;
    static const char value[] = "[\"]\\\\\",{\"a\":\"\\\\\\\"}\"},[[\"\\\"\\\"[\"]],{\"\":[]}]";
    static const char tail[] = "]}\",\\\"{";
    for (size_t fill = 0; fill < 150; fill++) {
        struct tl_buf buf;
        tl_buf_init(&buf, 1024);
        tl_buf_add(&buf, "[\"", 2);
        for (size_t i = 0; i < fill; i++) {
            tl_buf_add_char(&buf, 'x');
        }
        tl_buf_add(&buf, "\",", 2);
        tl_buf_add(&buf, value, sizeof(value) - 1);
        tl_buf_add_char(&buf, ']');
        size_t end = buf.len;
        tl_buf_add(&buf, tail, sizeof(tail) - 1);
        assert_int_equal(tl_json_skip(buf.data, buf.len, 0), end);
        for (size_t at = 0; at < end; at++) {
            if (buf.data[at] == '"' || buf.data[at] == '[' || buf.data[at] == '{') {
                size_t want = skip_slowly(buf.data, buf.len, at);
                assert_int_equal(tl_json_skip(buf.data, buf.len, at), want);
                for (size_t len = at; len < end; len++) {
                    assert_int_equal(tl_json_skip(buf.data, len, at), want <= len ? want : 0);
                }
            }
        }
        tl_buf_release(&buf);
    }
}

static void unescapes_what_stands_between_quotes(void **state)
{
    (void)state;
    static const char raw[] = "a\\\"\\\\\\b\\t\\n\\f\\r\\u0001\\u001fé\\/";
    struct tl_buf out;
    tl_buf_init(&out, 100);
    tl_buf_add_char(&out, '>');
    check_ok(tl_json_unescape(&out, raw, strlen(raw)));
    assert_true(tl_str_is(tl_buf_str(&out), ">a\"\\\b\t\n\f\r\x01\x1Fé/"));
    tl_buf_clear(&out);
    check_ok(tl_json_unescape(&out, raw, 0));
    static const char *const bad[] = { "\\", "abc\\x", "\\u12", "\\u0000", "\\ud800" };
    for (size_t i = 0; i < TL_ARRAY_LEN(bad); i++) {
        check_status(tl_json_unescape(&out, bad[i], strlen(bad[i])), TALLY_ECORRUPT);
        assert_int_equal(out.len, 0);
    }
    check_status(tl_json_unescape(&out, raw, 101), TALLY_ELIMIT);
    tl_buf_release(&out);
}

static tally_status unescape_in_fresh_buffer(const void *ctx)
{
    TL_CLEANUP(tl_buf_release) struct tl_buf out;
    tl_buf_init(&out, 1000);
    return tl_json_unescape(&out, ctx, strlen(ctx));
}

static void reports_that_memory_ran_out(void **state)
{
    (void)state;
    assert_int_equal(fault_each_alloc(unescape_in_fresh_buffer, "a\\n"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_what_is_canonical),
        cmocka_unit_test(refuses_what_must_fail),
        cmocka_unit_test(refuses_json_that_is_not_canonical_and_says_where),
        cmocka_unit_test(keeps_the_limits_of_the_format),
        cmocka_unit_test(walks_the_members_of_an_object),
        cmocka_unit_test(walks_by_an_index_as_through_the_text),
        cmocka_unit_test(an_index_is_whole_or_not_used),
        cmocka_unit_test(does_not_walk_out_of_text_that_is_cut_short),
        cmocka_unit_test(skips_a_value_wherever_the_blocks_end_that_it_is_read_in),
        cmocka_unit_test(unescapes_what_stands_between_quotes),
        cmocka_unit_test(reports_that_memory_ran_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
