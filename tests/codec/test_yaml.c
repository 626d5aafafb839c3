#include <string.h>

#include "base/buf.h"
#include "base/limits.h"
#include "check.h"
#include "codec/yaml.h"
#include "fault.h"

#define ARENA_BYTES ((size_t)8 << 20)

/*
 * These stand in for functions of libyaml's own, so that its allocations can fail like ours. It
 * gives the memory back with free(), as tl_free() does.
 */
void *yaml_malloc(size_t size);
void *yaml_realloc(void *ptr, size_t size);

void *yaml_malloc(size_t size)
{
    return tl_realloc_array(NULL, size, 1);
}

void *yaml_realloc(void *ptr, size_t size)
{
    return tl_realloc_array(ptr, size, 1);
}

/* Writes items down as "line:column key=value\n" and "key=[a][b]\n". */
static void write_items(struct tl_buf *out, const struct tl_yaml_item *item)
{
    for (; item != NULL; item = item->next) {
        tl_buf_addf(out, "%u:%u ", item->place.line, item->place.column);
        tl_buf_add_str(out, item->key);
        tl_buf_add_char(out, '=');
        assert_true((item->values == NULL) == (item->value.text != NULL));
        tl_buf_add_str(out, item->value);
        for (size_t i = 0; item->values != NULL && i < item->count; i++) {
            tl_buf_add_char(out, '[');
            tl_buf_add_str(out, item->values[i]);
            tl_buf_add_char(out, ']');
        }
        tl_buf_add_char(out, '\n');
    }
    tl_buf_add_char(out, '\0');
}

static void check_reads(const char *text, const char *want)
{
    struct tl_arena arena = { 0 };
    struct tl_buf out = { 0 };
    const struct tl_yaml_item *first = NULL;
    struct tally_error err = TALLY_ERROR_INIT;
    tl_arena_init(&arena, ARENA_BYTES);
    tl_buf_init(&out, 10000);
    tally_status status = tl_yaml_read(&arena, text, strlen(text), &first, &err);
    assert_string_equal(err.message, "");
    check_ok(status);
    write_items(&out, first);
    assert_string_equal(tl_buf_str(&out).text, want);
    tl_buf_release(&out);
    tl_arena_release(&arena);
}

static void check_refuses(const char *text, size_t len, tally_status want, const char *message)
{
    struct tl_arena arena = { 0 };
    struct tally_error err = TALLY_ERROR_INIT;
    static const struct tl_yaml_item untouched = { 0 };
    const struct tl_yaml_item *first = &untouched;
    tl_arena_init(&arena, ARENA_BYTES);
    tally_status status = tl_yaml_read(&arena, text, len, &first, &err);
    assert_string_equal(err.message, message);
    check_status(status, want);
    assert_ptr_equal(first, &untouched);
    tl_arena_release(&arena);
}

static void reads_settings_under_their_dotted_names(void **state)
{
    (void)state;
    static const char *const table[][2] = {
        { "", "" },
        { "# nothing\n", "" },
        { "{}", "" },
        { "a: {}\nb: 1\n", "2:4 b=1\n" },
        { "a: 1\n", "1:4 a=1\n" },
        { "\xEF\xBB\xBF"
          "a: 1\n",
          "1:4 a=1\n" },
        { "---\na: 1\n...\n", "2:4 a=1\n" },
        { "retention:\n  default_days: 400\n  by_severity:\n    critical: 2555\n",
          "2:17 retention.default_days=400\n4:15 retention.by_severity.critical=2555\n" },
        { "a: {b: {c: x}, d: y}\ne: z", "1:12 a.b.c=x\n1:19 a.d=y\n2:4 e=z\n" },
        { "list: [a, 'b c', \"\\u00e9\"]\n", "1:7 list=[a][b c][\xC3\xA9]\n" },
        { "list:\n- a\n- \n- ''\n", "2:1 list=[a][][]\n" },
        { "list: []\n", "1:7 list=\n" },
        { "a: no\nb: 0x1F\nc: ~\nd: 2026-01-01\ne: null\n",
          "1:4 a=no\n2:4 b=0x1F\n3:4 c=~\n4:4 d=2026-01-01\n5:4 e=null\n" },
        { "a:\nb: ''\n", "1:3 a=\n2:4 b=\n" },
        { "a: |\n  x\n  y\n", "1:4 a=x\ny\n\n" },
        { "'user.login': 30\n", "1:15 user.login=30\n" },
        { "\xC3\xA9t\xC3\xA9: \xC3\xA9 # comment\n", "1:6 \xC3\xA9t\xC3\xA9=\xC3\xA9\n" },
        { "? a\n: 1\n", "2:3 a=1\n" },
        { "<<: x\n", "1:5 <<=x\n" },
        { "a: {b: {c: {d: {e: {f: {g: {h: 1}}}}}}}", "1:32 a.b.c.d.e.f.g.h=1\n" },
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(table); i++) {
        check_reads(table[i][0], table[i][1]);
    }
}

#define MIXED "the elements of a list must be texts, or all of them mappings"

static void names_line_and_column_of_what_it_refuses(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *message;
    } table[] = {
        { "a: &x 1\n", "line 1, column 4: anchors and aliases are not supported" },
        { "a: &x {b: 1}\n", "line 1, column 4: anchors and aliases are not supported" },
        { "a: &x [b]\n", "line 1, column 4: anchors and aliases are not supported" },
        { "a: 1\nb: *x\n", "line 2, column 4: anchors and aliases are not supported" },
        { "&x a: 1\n", "line 1, column 1: anchors and aliases are not supported" },
        { "a: !!str 1\n", "line 1, column 4: tags are not supported" },
        { "a: !x [1]\n", "line 1, column 4: tags are not supported" },
        { "!x {a: 1}\n", "line 1, column 1: tags are not supported" },
        { "%YAML 1.1\n---\na: 1\n", "line 1, column 1: directives are not supported" },
        { "%TAG ! !x\n---\na: 1\n", "line 1, column 1: directives are not supported" },
        { "a: 1\n---\nb: 1\n", "line 2, column 1: only one document is supported" },
        { "a: 1\nb: 2\na: 3\n", "line 3, column 1: this key was given before" },
        { "a: {b: 1}\na.b: 2\n", "line 2, column 1: this key was given before" },
        { "a: {}\na: {b: 1}\n", "line 2, column 1: this key was given before" },
        { "a: {b: 1, \"b\": 2}\n", "line 1, column 11: this key was given before" },
        { "a: [[1]]\n", "line 1, column 5: " MIXED },
        { "a:\n- b\n- c: 1\n", "line 3, column 3: " MIXED },
        { "a:\n- c: 1\n- b\n", "line 3, column 3: " MIXED },
        { "a: [{b: 1}, [c]]\n", "line 1, column 13: " MIXED },
        { "a.0: {b: 1}\na: [{}]\n", "line 2, column 5: this key was given before" },
        { "a: [{b: 1}]\na.0.b: 1\n", "line 2, column 1: this key was given before" },
        { "a: [{b: 1, b: 2}]\n", "line 1, column 12: this key was given before" },
        { "a: [&x {b: 1}]\n", "line 1, column 5: anchors and aliases are not supported" },
        { "a: [{b: 1}\n", "line 2, column 1: did not find expected ',' or ']'" },
        { "- a\n", "line 1, column 1: the file must hold keys and their values" },
        { "text\n", "line 1, column 1: the file must hold keys and their values" },
        { "---\n", "line 2, column 1: the file must hold keys and their values" },
        { "[a]: 1\n", "line 1, column 1: a key must be text on one line" },
        { "? {a: 1}\n: 1\n", "line 1, column 3: a key must be text on one line" },
        { "'': 1\n", "line 1, column 1: a key must be text on one line" },
        { "\"a\\nb\": 1\n", "line 1, column 1: a key must be text on one line" },
        { "a: \"x\\0y\"\n", "line 1, column 4: a text may not hold the character NUL" },
        { "a: [\"\\0\"]\n", "line 1, column 5: a text may not hold the character NUL" },
        { "a: 1\n\tb: 2\n", "line 2, column 1: found a tab character that violates indentation" },
        { "a: [1\n", "line 2, column 1: did not find expected ',' or ']'" },
        { "a: 'x\n", "line 2, column 1: found unexpected end of stream" },
        { "a: 1\n b: 2\n", "line 2, column 3: mapping values are not allowed in this context" },
        { "a: 1\n\xC3\xA9: \xFF\n", "line 2, column 4: invalid leading UTF-8 octet" },
        { "a: \x01\n", "line 1, column 4: control characters are not allowed" },
        { "\xFF\xFE"
          "a\0",
          "line 1, column 1: invalid leading UTF-8 octet" },
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(table); i++) {
        check_refuses(table[i].text, strlen(table[i].text), TALLY_EINVAL, table[i].message);
    }
}

static void numbers_the_mappings_of_a_list(void **state)
{
    (void)state;
    static const char *const table[][2] = {
        { "a:\n- b: 1\n  c: 2\n- b: 3\nd: 4\n",
          "2:6 a.0.b=1\n3:6 a.0.c=2\n4:6 a.1.b=3\n5:4 d=4\n" },
        { "a: {b: [{c: 1}, {}, {d: [x, y]}]}\n", "1:13 a.b.0.c=1\n1:25 a.b.2.d=[x][y]\n" },
        { "a: [{b: {c: 1}, d: [{e: 2}]}]\nf: 3\n", "1:13 a.0.b.c=1\n1:25 a.0.d.0.e=2\n2:4 f=3\n" },
        { "a: [{}]\n", "" },
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(table); i++) {
        check_reads(table[i][0], table[i][1]);
    }
}

static void says_where_the_elements_of_a_list_stand(void **state)
{
    (void)state;
    static const char text[] = "a:\n  - x\n  -   y\n";
    struct tl_arena arena = { 0 };
    const struct tl_yaml_item *item = NULL;
    tl_arena_init(&arena, ARENA_BYTES);
    check_ok(tl_yaml_read(&arena, text, strlen(text), &item, NULL));
    assert_int_equal(item->count, 2);
    assert_int_equal(item->places[0].line, 2);
    assert_int_equal(item->places[0].column, 5);
    assert_int_equal(item->places[1].line, 3);
    assert_int_equal(item->places[1].column, 7);
    tl_arena_release(&arena);
}

static void refuses_what_passes_a_bound(void **state)
{
    (void)state;
    static const char nested[] = "a: [{b: [{c: [{d: [{e: 1}]}]}]}]";
    check_refuses(nested, strlen(nested), TALLY_ELIMIT,
                  "line 1, column 20: too many mappings inside each other");
    static const char deep[] = "a: {b: {c: {d: {e: {f: {g: {h: {i: 1}}}}}}}}";
    check_refuses(deep, strlen(deep), TALLY_ELIMIT,
                  "line 1, column 32: too many mappings inside each other");

    struct tl_buf text = { 0 };
    tl_buf_init(&text, (size_t)4 << 20);
    for (unsigned i = 0; i <= TL_YAML_KEYS_MAX; i++) {
        tl_buf_addf(&text, "k%u:\n", i);
    }
    check_refuses(text.data, text.len, TALLY_ELIMIT, "line 4097, column 1: too many keys");

    tl_buf_clear(&text);
    tl_buf_add_text(&text, "k:\n");
    for (unsigned i = 0; i < TL_YAML_KEYS_MAX; i++) {
        tl_buf_add_text(&text, "- {}\n");
    }
    check_refuses(text.data, text.len, TALLY_ELIMIT, "line 4097, column 3: too many keys");

    tl_buf_clear(&text);
    while (text.len <= TL_CONFIG_BYTES_MAX) {
        tl_buf_add_text(&text, "# a comment\n");
    }
    check_refuses(text.data, text.len, TALLY_ELIMIT, "more than 1048576 bytes");
    tl_buf_release(&text);
}

static void brackets_without_end_are_refused_at_once(void **state)
{
    (void)state;
    static const char *const opens[] = { "[", "{", "- ", "? ", "{a: ", "[{" };
    for (size_t i = 0; i < TL_ARRAY_LEN(opens); i++) {
        struct tl_arena arena = { 0 };
        struct tl_buf text = { 0 };
        tl_buf_init(&text, (size_t)4 << 20);
        tl_buf_add_text(&text, "a: ");
        while (text.len < TL_CONFIG_BYTES_MAX - 10) {
            tl_buf_add_text(&text, opens[i]);
        }
        const struct tl_yaml_item *first = NULL;
        tl_arena_init(&arena, ARENA_BYTES);
        assert_int_not_equal(tl_yaml_read(&arena, text.data, text.len, &first, NULL), TALLY_OK);
        tl_arena_release(&arena);
        tl_buf_release(&text);
    }
}

static tally_status read_sample(const void *ctx)
{
    TL_CLEANUP(tl_arena_release) struct tl_arena arena = { 0 };
    const struct tl_yaml_item *first = NULL;
    tl_arena_init(&arena, ARENA_BYTES);
    return tl_yaml_read(&arena, ctx, strlen(ctx), &first, NULL);
}

static void reports_that_it_is_out_of_memory(void **state)
{
    (void)state;
    struct tl_buf text = { 0 };
    tl_buf_init(&text, 200000);
    for (unsigned i = 0; i < 500; i++) {
        tl_buf_addf(&text, "k%u: [a, b]\n", i);
    }
    tl_buf_add_text(&text, "l:\n- {a: 1}\n- {a: 2}\n");
    char *sample = tl_buf_take(&text, NULL);
    assert_true(fault_each_alloc(read_sample, sample) > 100); /* most of them in libyaml */

    /* The same if it is the arena that is full. */
    struct tl_arena arena = { 0 };
    const struct tl_yaml_item *first = NULL;
    tl_arena_init(&arena, 20000);
    check_status(tl_yaml_read(&arena, sample, strlen(sample), &first, NULL), TALLY_ENOMEM);
    assert_null(first);
    tl_arena_release(&arena);
    tl_free(sample);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_settings_under_their_dotted_names),
        cmocka_unit_test(names_line_and_column_of_what_it_refuses),
        cmocka_unit_test(numbers_the_mappings_of_a_list),
        cmocka_unit_test(says_where_the_elements_of_a_list_stand),
        cmocka_unit_test(refuses_what_passes_a_bound),
        cmocka_unit_test(brackets_without_end_are_refused_at_once),
        cmocka_unit_test(reports_that_it_is_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
