#include <stdio.h>
#include <string.h>

#include "../vectors/jcs.h"
#include "check.h"
#include "codec/json.h"
#include "fault.h"

#define ARENA_MAX ((size_t)16 << 20)

/* Appends the canonical form of `text`. */
static tally_status canonicalise(struct tl_buf *out, const char *text, size_t len)
{
    TL_CLEANUP(tl_arena_release) struct tl_arena arena;
    tl_arena_init(&arena, ARENA_MAX);
    const struct tl_json *root = NULL;
    TL_TRY(tl_json_read(&arena, text, len, &tl_json_limits_format, &root, NULL));
    tl_json_write(out, root);
    return tl_buf_status(out);
}

static void check_canonical(const char *text, size_t len, const char *want)
{
    struct tl_buf once;
    struct tl_buf twice;
    tl_buf_init(&once, 1 << 20);
    tl_buf_init(&twice, 1 << 20);
    check_ok(canonicalise(&once, text, len));
    assert_int_equal(once.len, strlen(want));
    assert_memory_equal(once.data, want, once.len);
    check_ok(canonicalise(&twice, once.data, once.len));
    assert_true(tl_str_equal(tl_buf_str(&once), tl_buf_str(&twice)));
    tl_buf_release(&once);
    tl_buf_release(&twice);
}

static void writes_the_published_pairs(void **state)
{
    (void)state;
    for (size_t i = 0; i < TL_ARRAY_LEN(jcs_pairs); i++) {
        check_canonical(jcs_pairs[i].input, strlen(jcs_pairs[i].input), jcs_pairs[i].output);
    }
}

static void writes_the_published_numbers(void **state)
{
    (void)state;
    for (size_t i = 0; i < TL_ARRAY_LEN(jcs_numbers); i++) {
        struct tl_buf out;
        double value;
        memcpy(&value, &jcs_numbers[i].bits, sizeof(value));
        tl_buf_init(&out, 64);
        tl_json_write_number(&out, value);
        assert_true(tl_str_is(tl_buf_str(&out), jcs_numbers[i].text));
        tl_buf_release(&out);
    }
}

/* Every character that may need an escape, at every place of a word of eight bytes. */
static void escapes_what_it_must_wherever_it_stands(void **state)
{
    (void)state;
    static const struct {
        const char *raw;
        const char *escaped;
    } table[] = {
        { "\"", "\\\"" },
        { "\\", "\\\\" },
        { "\b", "\\b" },
        { "\t", "\\t" },
        { "\n", "\\n" },
        { "\f", "\\f" },
        { "\r", "\\r" },
        { "\x01", "\\u0001" },
        { "\v", "\\u000b" },
        { "\x1F", "\\u001f" },
        { "/", "/" },
        { "\x7F", "\x7F" },
        { "é", "é" },
        { " ", " " },
        { "!", "!" },
        { "#", "#" },
        { "\xEF\xBF\xBF", "\xEF\xBF\xBF" },
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(table); i++) {
        for (int before = 0; before < 20; before++) {
            for (int after = 0; after < 10; after++) {
                char raw[64];
                char want[64];
                const char *x = "xxxxxxxxxxxxxxxxxxxx";
                (void)snprintf(raw, sizeof(raw), "%.*s%s%.*s", before, x, table[i].raw, after, x);
                (void)snprintf(want, sizeof(want), "\"%.*s%s%.*s\"", before, x, table[i].escaped,
                               after, x);
                struct tl_buf out;
                tl_buf_init(&out, strlen(want)); /* not a byte more than it needs */
                tl_json_write_string(&out, tl_str_of(raw));
                check_ok(tl_buf_status(&out));
                assert_true(tl_str_is(tl_buf_str(&out), want));
                tl_buf_release(&out);
            }
        }
    }
}

static void writes_a_member_if_there_is_one(void **state)
{
    (void)state;
    struct tl_buf out;
    tl_buf_init(&out, 100);
    tl_json_write_member(&out, "a", NULL);
    tl_json_write_member(&out, "b", "");
    tl_json_write_member(&out, "c", "x\"y");
    assert_true(tl_str_is(tl_buf_str(&out), ",\"c\":\"x\\\"y\""));
    tl_buf_release(&out);
}

static void appends_to_what_is_there_and_stops_at_the_limit(void **state)
{
    (void)state;
    static const char text[] = "{\"a\":[1,2.5,true,null],\"b\":\"x\\ny\",\"c\":{}}";
    for (size_t max = 1; max < sizeof(text) + 5; max++) {
        struct tl_buf out;
        tl_buf_init(&out, max);
        tl_buf_add_char(&out, '>');
        tally_status status = canonicalise(&out, text, strlen(text));
        if (max < 1 + strlen(text)) {
            check_status(status, TALLY_ELIMIT);
            assert_true(out.len <= max);
        } else {
            check_ok(status);
            assert_int_equal(out.len, 1 + strlen(text));
            assert_memory_equal(out.data, ">{", 2);
            assert_memory_equal(out.data + 1, text, strlen(text));
        }
        tl_buf_release(&out);
    }
}

static tally_status write_in_fresh_buffer(const void *ctx)
{
    TL_CLEANUP(tl_buf_release) struct tl_buf out;
    tl_buf_init(&out, 1 << 20);
    return canonicalise(&out, ctx, strlen(ctx));
}

static void reports_that_memory_ran_out(void **state)
{
    (void)state;
    static char text[5000] = "[";
    size_t len = 1;
    while (len < sizeof(text) - 20) {
        len += (size_t)snprintf(text + len, sizeof(text) - len, "\"ab\\\\cd\",");
    }
    (void)snprintf(text + len, sizeof(text) - len, "0]");
    assert_true(fault_each_alloc(write_in_fresh_buffer, text) > 4);
}

static struct tl_json number_of(double value)
{
    return (struct tl_json){ .type = TL_JSON_NUMBER, .number = value };
}

static void write_to_buffer(void *ctx)
{
    struct tl_buf out;
    tl_buf_init(&out, 100);
    tl_json_write(&out, ctx);
    tl_buf_release(&out);
}

static void asserts_that_the_reader_would_take_it(void **state)
{
    (void)state;
    struct tl_json number = number_of(9007199254740992.0);
    check_asserts(write_to_buffer, &number);
    number = number_of(-9e20);
    check_asserts(write_to_buffer, &number);
    struct tl_json string = { .type = TL_JSON_STRING, .text = { .text = "a\0b", .len = 3 } };
    check_asserts(write_to_buffer, &string);
    struct tl_json nothing = { .count = 0 };
    check_asserts(write_to_buffer, &nothing);

    struct tl_json b = { .type = TL_JSON_NULL, .key = TL_STR("b") };
    struct tl_json single = { .type = TL_JSON_OBJECT, .count = 1, .first = &b };
    assert_null(tl_json_sort(&single));
    write_to_buffer(&single);
    struct tl_json a = { .type = TL_JSON_NULL, .key = TL_STR("a"), .next = &b };
    struct tl_json object = { .type = TL_JSON_OBJECT, .count = 2, .first = &a };
    write_to_buffer(&object);
    a.key = TL_STR("c");
    check_asserts(write_to_buffer, &object);
    assert_null(tl_json_sort(&object));
    assert_ptr_equal(object.first, &b);
    write_to_buffer(&object);
    a.key = TL_STR("b");
    check_asserts(write_to_buffer, &object);
    assert_ptr_equal(tl_json_sort(&object), &a);

    struct tl_json deep[66] = { { .type = TL_JSON_NULL } };
    for (size_t i = 1; i < TL_ARRAY_LEN(deep); i++) {
        deep[i] = (struct tl_json){ .type = TL_JSON_ARRAY, .count = 1, .first = &deep[i - 1] };
    }
    write_to_buffer(&deep[64]);
    check_asserts(write_to_buffer, &deep[65]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_the_published_pairs),
        cmocka_unit_test(writes_the_published_numbers),
        cmocka_unit_test(escapes_what_it_must_wherever_it_stands),
        cmocka_unit_test(writes_a_member_if_there_is_one),
        cmocka_unit_test(appends_to_what_is_there_and_stops_at_the_limit),
        cmocka_unit_test(reports_that_memory_ran_out),
        cmocka_unit_test(asserts_that_the_reader_would_take_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
