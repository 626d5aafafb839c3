#include <stdio.h>
#include <string.h>

#include "../vectors/jcs.h"
#include "check.h"
#include "codec/json.h"
#include "fault.h"

#define ARENA_MAX ((size_t)64 << 20)

/* One for all tests: what a test reads lives until it reads the next text. */
static struct tl_arena arena;

static tally_status read_text(const char *text, size_t len, const struct tl_json **root_out,
                              struct tally_error *err)
{
    tl_arena_reset(&arena);
    return tl_json_read(&arena, text, len, &tl_json_limits_format, root_out, err);
}

static const struct tl_json *read_ok(const char *text)
{
    const struct tl_json *root = NULL;
    struct tally_error err = TALLY_ERROR_INIT;
    if (read_text(text, strlen(text), &root, &err) != TALLY_OK) {
        fail_msg("refused: %s: %s", text, err.message);
    }
    return root;
}

static void check_refused(const struct tally_error *err, const char *code, size_t at)
{
    assert_int_equal(err->status, TALLY_EREFUSED);
    assert_string_equal(err->code, code);
    assert_int_equal(err->has_offset, 1);
    assert_int_equal(err->offset, at);
    assert_true(err->message[0] != '\0');
}

static void check_str(struct tl_str got, const char *want)
{
    assert_int_equal(got.len, strlen(want));
    assert_memory_equal(got.text, want, got.len);
}

static void refuses_what_must_fail_and_says_where(void **state)
{
    (void)state;
    for (size_t i = 0; i < TL_ARRAY_LEN(jcs_must_fail); i++) {
        const struct tl_json *root = NULL;
        struct tally_error err = TALLY_ERROR_INIT;
        if (read_text(jcs_must_fail[i].input, jcs_must_fail[i].len, &root, &err) !=
            TALLY_EREFUSED) {
            fail_msg("accepted: %s", jcs_must_fail[i].why);
        }
        assert_null(root);
        assert_true(err.has_offset && err.offset >= 0);
        assert_true((size_t)err.offset <= jcs_must_fail[i].len);
    }
}

static void names_the_rule_and_the_byte(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *code;
        size_t at;
    } table[] = {
        { "", "bad_json", 0 },
        { " \t\r\n", "bad_json", 4 },
        { "\xEF\xBB\xBF{}", "bad_json", 0 },
        { "[1,]", "bad_json", 3 },
        { "[1 2]", "bad_json", 3 },
        { "[", "bad_json", 1 },
        { "[1", "bad_json", 2 },
        { "[1}", "bad_json", 2 },
        { "{,}", "bad_json", 1 },
        { "{\"a\":1,}", "bad_json", 7 },
        { "{\"a\" 1}", "bad_json", 5 },
        { "{\"a\":1 \"b\":2}", "bad_json", 7 },
        { "{\"a\":}", "bad_json", 5 },
        { "{\"a\"", "bad_json", 4 },
        { "{1:2}", "bad_json", 1 },
        { "{} {}", "bad_json", 3 },
        { "01", "bad_json", 1 },
        { "-", "bad_json", 1 },
        { "1.", "bad_json", 2 },
        { "1e+", "bad_json", 3 },
        { "1.5.5", "bad_json", 3 },
        { "tru", "bad_json", 0 },
        { "nul!", "bad_json", 0 },
        { "True", "bad_json", 0 },
        { "[falsehood]", "bad_json", 6 },
        { "'a'", "bad_json", 0 },
        { "\"abc", "bad_json", 4 },
        { "\"abcdefgh\\", "bad_json", 9 },
        { "\"abc\\u00e", "bad_json", 4 },
        { "\"a\\x41\"", "bad_json", 2 },
        { "\"a\\u0000\"", "bad_json", 2 },
        { "\"abcdefghijk\n\"", "bad_json", 12 },
        { "\"abcdefghijk\x1F\"", "bad_json", 12 },
        { "\"\\ud83d\"", "bad_utf8", 1 },
        { "\"\\uDE00\\ud83d\"", "bad_utf8", 1 },
        { "\"\\ud83dx\"", "bad_utf8", 1 },
        { "\"\\ud83d\\u0041\"", "bad_utf8", 1 },
        { "\"abcdefgh\xFF\"", "bad_utf8", 9 },
        { "\"\xC3", "bad_utf8", 1 },
        { "\"\xED\xA0\x80\"", "bad_utf8", 1 },
        { "{\"a\":1,\"b\":2,\"a\":3}", "duplicate_member", 13 },
        { "{\"b\":1, \"a\" : 2,\"b\":3}", "duplicate_member", 16 },
        { "{\"b\":1,\"a\":2,\"\\u0061\":3}", "duplicate_member", 13 },
        { "[{\"a\":[1],\"a\":[1]}]", "duplicate_member", 10 },
        { "[1e400]", "bad_number", 1 },
        { "[-1e-400]", "bad_number", 1 },
        { "[1, 9007199254740992]", "bad_number", 4 },
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(table); i++) {
        const struct tl_json *root = NULL;
        struct tally_error err = TALLY_ERROR_INIT;
        check_status(read_text(table[i].text, strlen(table[i].text), &root, &err), TALLY_EREFUSED);
        check_refused(&err, table[i].code, table[i].at);
        check_status(read_text(table[i].text, strlen(table[i].text), &root, NULL), TALLY_EREFUSED);
        assert_null(root);
    }
}

static void keeps_type_text_and_place_of_every_value(void **state)
{
    (void)state;
    const struct tl_json *root =
        read_ok(" {\"n\" : -1.50,\"s\":\"x\\u00e9y\", \"a\":[true,false,null]} ");
    assert_int_equal(root->type, TL_JSON_OBJECT);
    assert_int_equal(root->count, 3);
    assert_int_equal(root->offset, 1);
    assert_int_equal(root->end, 52);
    assert_null(root->key.text);

    const struct tl_json *a = root->first;
    check_str(a->key, "a");
    assert_int_equal(a->type, TL_JSON_ARRAY);
    assert_int_equal(a->name_offset, 30);
    assert_int_equal(a->offset, 34);
    assert_int_equal(a->end, 51);
    assert_int_equal(a->count, 3);
    assert_int_equal(a->first->type, TL_JSON_TRUE);
    assert_int_equal(a->first->next->type, TL_JSON_FALSE);
    assert_int_equal(a->first->next->next->type, TL_JSON_NULL);
    assert_null(a->first->next->next->next);
    assert_null(a->first->key.text);

    const struct tl_json *n = a->next;
    assert_int_equal(n->type, TL_JSON_NUMBER);
    assert_true(n->number < -1.4 && n->number > -1.6);
    check_str(n->text, "-1.50");

    const struct tl_json *s = n->next;
    assert_int_equal(s->type, TL_JSON_STRING);
    check_str(s->text, "x\xC3\xA9y");
    assert_null(s->next);
    assert_ptr_equal(tl_json_member(root, "s"), s);
    assert_null(tl_json_member(root, "x"));
    assert_null(tl_json_member(root, ""));
    assert_null(tl_json_member(s, "s"));
}

static void tells_an_empty_string_from_an_absent_one(void **state)
{
    (void)state;
    const struct tl_json *root = read_ok("{\"\":\"\"}");
    assert_non_null(root->first->key.text);
    assert_int_equal(root->first->key.len, 0);
    assert_non_null(root->first->text.text);
    assert_int_equal(root->first->text.len, 0);
}

static void orders_members_by_utf16_code_units(void **state)
{
    (void)state;
    static const char *const names[] = { "",
                                         "\n",
                                         "1",
                                         "10",
                                         "2",
                                         "A",
                                         "a",
                                         "aa",
                                         "e",
                                         "z",
                                         "é",
                                         "\xED\x9F\xBF",
                                         "\xF0\x90\x80\x80",
                                         "\xF4\x8F\xBF\xBF",
                                         "\xEE\x80\x80",
                                         "\xEF\xBF\xBF" };
    for (size_t i = 0; i < TL_ARRAY_LEN(names); i++) {
        for (size_t j = 0; j < TL_ARRAY_LEN(names); j++) {
            int order = tl_json_compare_names(tl_str_of(names[i]), tl_str_of(names[j]));
            assert_int_equal(order, i < j ? -1 : i > j ? 1 : 0);
        }
    }
}

/* Objects of all sizes, with names in every order of a stride, and one name twice. */
static void sorts_members_and_finds_duplicates_in_any_order(void **state)
{
    (void)state;
    for (unsigned count = 2; count < 200; count += count < 20 ? 1 : 37) {
        for (unsigned stride = 1; stride < 2 * count; stride += count < 20 ? 1 : 31) {
            char text[8000];
            size_t len = 0;
            for (unsigned i = 0; i < count; i++) {
                unsigned name = i * stride % 211;
                len +=
                    (size_t)snprintf(text + len, sizeof(text) - len,
                                     "%c\"long common name %03u\":%u", i == 0 ? '{' : ',', name, i);
            }
            text[len] = '}';
            text[len + 1] = '\0';
            const struct tl_json *member = read_ok(text)->first;
            for (; member->next != NULL; member = member->next) {
                assert_true(tl_json_compare_names(member->key, member->next->key) < 0);
            }
            size_t twice = len + 1; /* the name in the middle, once more */
            (void)snprintf(text + len, sizeof(text) - len, ",\"long common name %03u\":0}",
                           count / 2 * stride % 211);
            const struct tl_json *root = NULL;
            struct tally_error err = TALLY_ERROR_INIT;
            check_status(read_text(text, strlen(text), &root, &err), TALLY_EREFUSED);
            check_refused(&err, "duplicate_member", twice);
        }
    }
}

static tally_status read_limited(const char *text, const struct tl_json_limits *limits,
                                 struct tally_error *err)
{
    const struct tl_json *root = NULL;
    *err = (struct tally_error)TALLY_ERROR_INIT;
    tl_arena_reset(&arena);
    return tl_json_read(&arena, text, strlen(text), limits, &root, err);
}

static void keeps_its_limits(void **state)
{
    (void)state;
    const struct tl_json_limits limits = {
        .bytes_max = 20, .depth_max = 2, .members_max = 2, .elements_max = 3
    };
    struct tally_error err;
    check_ok(read_limited("[{\"a\":1},{\"b\":2}, 3]", &limits, &err));
    check_status(read_limited("[{\"a\":1},{\"b\":2},  3]", &limits, &err), TALLY_EREFUSED);
    check_refused(&err, "too_large", 20);
    check_status(read_limited("[[1,[2]]]", &limits, &err), TALLY_EREFUSED);
    check_refused(&err, "too_deep", 4);
    check_status(read_limited("[1,2,3,4]", &limits, &err), TALLY_EREFUSED);
    check_refused(&err, "too_many", 7);
    check_status(read_limited("{\"a\":1,\"b\":2,  \"c\":3}", &limits, &err), TALLY_EREFUSED);
    check_refused(&err, "too_large", 20);
    check_status(read_limited("{\"a\":1,\"b\":2, \"c\":3}", &limits, &err), TALLY_EREFUSED);
    check_refused(&err, "too_many", 14);
}

/* Puts a string and its NUL at `to`; returns its length. */
static size_t put(char *to, const char *text)
{
    size_t len = strlen(text);
    memcpy(to, text, len + 1);
    return len;
}

static void refuses_deep_nesting_without_deep_recursion(void **state)
{
    (void)state;
    static char text[200000];
    const struct tl_json *root = NULL;
    struct tally_error err = TALLY_ERROR_INIT;
    memset(text, '[', sizeof(text));
    check_status(read_text(text, sizeof(text), &root, &err), TALLY_EREFUSED);
    check_refused(&err, "too_deep", 64);
    for (size_t i = 0; i + 6 <= sizeof(text);) {
        i += put(text + i, "{\"a\":");
    }
    err = (struct tally_error)TALLY_ERROR_INIT;
    check_status(read_text(text, sizeof(text), &root, &err), TALLY_EREFUSED);
    check_refused(&err, "too_deep", 320);
}

static void reads_a_string_of_ten_megabytes_without_copying_it(void **state)
{
    (void)state;
    size_t len = (size_t)10 << 20;
    char *text = tl_alloc_array(len, 1);
    assert_non_null(text);
    memset(text, 'x', len);
    text[0] = text[len - 1] = '"';
    const struct tl_json *root = NULL;
    check_ok(read_text(text, len, &root, NULL));
    assert_ptr_equal(root->text.text, text + 1);
    assert_int_equal(root->text.len, len - 2);
    tl_free(text);
}

static void keeps_large_integers_when_asked_to(void **state)
{
    (void)state;
    struct tl_json_limits limits = tl_json_limits_format;
    limits.keep_integers = true;
    static const struct {
        const char *text;
        bool large;
    } table[] = {
        { "9007199254740991", false },
        { "9007199254740992", true },
        { "-18446744073709551615", true },
        { "100000000000000000000000", true },
        { "1e22", false },
        { "12345678901234567890123.5", false },
        { "\"9007199254740992\"", false },
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(table); i++) {
        const struct tl_json *root = NULL;
        check_ok(tl_json_read(&arena, table[i].text, strlen(table[i].text), &limits, &root, NULL));
        assert_int_equal(tl_json_is_large_integer(root), table[i].large);
    }
    struct tally_error err;
    check_status(read_limited("9007199254740992.0", &limits, &err), TALLY_EREFUSED);
    check_refused(&err, "bad_number", 0);
    check_status(read_limited("1e20", &limits, &err), TALLY_EREFUSED);
}

static tally_status read_prefix(const char *text, size_t bytes_max, size_t *used_out,
                                struct tally_error *err)
{
    struct tl_json_limits limits = tl_json_limits_format;
    limits.bytes_max = bytes_max;
    const struct tl_json *root = NULL;
    tl_arena_reset(&arena);
    return tl_json_read_prefix(&arena, text, strlen(text), &limits, &root, used_out, err);
}

static void reads_a_prefix_and_leaves_the_rest(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t used;
    } table[] = {
        { "{} {}", 2 }, { " [1] , 2", 4 }, { "12,13", 2 }, { "\"a\"\xFF", 3 }, { "true]", 4 },
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(table); i++) {
        size_t used = 0;
        check_ok(read_prefix(table[i].text, 100, &used, NULL));
        assert_int_equal(used, table[i].used);
    }
}

/* Wherever the limit falls, a value is read whole or refused: a number cut short is another. */
static void never_cuts_the_value_of_a_prefix(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "123456", "1.5e10", "\"abc\\ud83d\\ude00\"", "\"aé€😀\"", "[true,false]", "{\"a\":[null]}",
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(texts); i++) {
        char text[1100];
        size_t len = strlen(texts[i]);
        memset(text, ' ', sizeof(text));
        memcpy(text, texts[i], len);
        text[sizeof(text) - 1] = '\0';
        for (size_t max = 1; max < 30; max++) {
            size_t used = 0;
            struct tally_error err = TALLY_ERROR_INIT;
            tally_status status = read_prefix(text, max, &used, &err);
            if (max >= len) {
                check_ok(status);
                assert_int_equal(used, len);
            } else {
                check_status(status, TALLY_EREFUSED);
                check_refused(&err, "too_large", max);
            }
        }
    }
}

static tally_status read_in_fresh_arena(const void *ctx)
{
    struct tl_arena fresh;
    tl_arena_init(&fresh, ARENA_MAX);
    const struct tl_json *root = NULL;
    tally_status status =
        tl_json_read(&fresh, ctx, strlen(ctx), &tl_json_limits_format, &root, NULL);
    assert_int_equal(root != NULL, status == TALLY_OK);
    tl_arena_release(&fresh);
    return status;
}

static void reports_that_memory_ran_out(void **state)
{
    (void)state;
    static char text[60000];
    size_t len = 0;
    text[len++] = '[';
    while (len < sizeof(text) - 100) {
        len += put(text + len, "{\"a\\n\":\"some \\\"text\\\"\"},");
    }
    (void)put(text + len, "0]");
    assert_true(fault_each_alloc(read_in_fresh_arena, text) > 5);
}

static void stays_within_the_memory_of_its_arena(void **state)
{
    (void)state;
    struct tl_arena small;
    tl_arena_init(&small, (size_t)64 << 10);
    static char text[100000];
    memset(text, ',', sizeof(text));
    for (size_t i = 1; i < sizeof(text); i += 2) {
        text[i] = '1';
    }
    text[0] = '[';
    const struct tl_json *root = NULL;
    struct tally_error err = TALLY_ERROR_INIT;
    check_status(tl_json_read(&small, text, sizeof(text), &tl_json_limits_format, &root, &err),
                 TALLY_ENOMEM);
    assert_true(err.message[0] != '\0');
    tl_arena_release(&small);
}

static int init_arena(void **state)
{
    (void)state;
    tl_arena_init(&arena, ARENA_MAX);
    return 0;
}

static int release_arena(void **state)
{
    (void)state;
    tl_arena_release(&arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_what_must_fail_and_says_where),
        cmocka_unit_test(names_the_rule_and_the_byte),
        cmocka_unit_test(keeps_type_text_and_place_of_every_value),
        cmocka_unit_test(tells_an_empty_string_from_an_absent_one),
        cmocka_unit_test(orders_members_by_utf16_code_units),
        cmocka_unit_test(sorts_members_and_finds_duplicates_in_any_order),
        cmocka_unit_test(keeps_its_limits),
        cmocka_unit_test(refuses_deep_nesting_without_deep_recursion),
        cmocka_unit_test(reads_a_string_of_ten_megabytes_without_copying_it),
        cmocka_unit_test(keeps_large_integers_when_asked_to),
        cmocka_unit_test(reads_a_prefix_and_leaves_the_rest),
        cmocka_unit_test(never_cuts_the_value_of_a_prefix),
        cmocka_unit_test(reports_that_memory_ran_out),
        cmocka_unit_test(stays_within_the_memory_of_its_arena),
    };
    return cmocka_run_group_tests(tests, init_arena, release_arena);
}
