#include <string.h>

#include "base/buf.h"
#include "check.h"
#include "fault.h"

static void check_text(const struct tl_buf *buf, const char *want)
{
    assert_true(tl_str_is(tl_buf_str(buf), want));
}

static void joins_what_is_added(void **state)
{
    (void)state;
    TL_CLEANUP(tl_buf_release) struct tl_buf buf;
    tl_buf_init(&buf, 1000);
    check_text(&buf, "");
    tl_buf_add(&buf, "ab\0", 3);
    tl_buf_add(&buf, NULL, 0);
    assert_int_equal(tl_buf_str(&buf).len, 3);
    tl_buf_clear(&buf);
    tl_buf_add_text(&buf, "one");
    tl_buf_add_str(&buf, (struct tl_str){ 0 });
    tl_buf_add_str(&buf, TL_STR(" two"));
    tl_buf_add_char(&buf, ' ');
    tl_buf_add_u64(&buf, 0);
    tl_buf_add_char(&buf, ' ');
    tl_buf_add_u64(&buf, UINT64_MAX);
    tl_buf_addf(&buf, "%s", "");
    tl_buf_addf(&buf, " %d%s", -5, "x");
    check_ok(tl_buf_status(&buf));
    check_text(&buf, "one two 0 18446744073709551615 -5x");
}

static void grows_to_its_limit_to_the_byte(void **state)
{
    (void)state;
    static const size_t limits[] = { 1, 255, 256, 257, 5000 };
    for (size_t i = 0; i < TL_ARRAY_LEN(limits); i++) {
        TL_CLEANUP(tl_buf_release) struct tl_buf buf;
        tl_buf_init(&buf, limits[i]);
        for (size_t j = 0; j < limits[i]; j++) {
            tl_buf_add_char(&buf, (char)('a' + j % 26));
        }
        check_ok(tl_buf_status(&buf));
        tl_buf_add_char(&buf, '!');
        check_status(tl_buf_status(&buf), TALLY_ELIMIT);
        assert_int_equal(buf.len, limits[i]);
        for (size_t j = 0; j < limits[i]; j++) {
            assert_int_equal(buf.data[j], 'a' + j % 26);
        }
    }
}

static void stays_broken_until_it_is_cleared(void **state)
{
    (void)state;
    TL_CLEANUP(tl_buf_release) struct tl_buf buf;
    tl_buf_init(&buf, 4);
    tl_buf_add_text(&buf, "ab");
    tl_buf_add_text(&buf, "cde");
    tl_buf_add_text(&buf, "c"); /* would fit, but what comes before it is missing */
    tl_buf_addf(&buf, "%d", 1);
    assert_null(tl_buf_reserve(&buf, 0));
    assert_null(tl_buf_reserve(&buf, SIZE_MAX));
    assert_null(tl_buf_take(&buf, NULL));
    check_status(tl_buf_status(&buf), TALLY_ELIMIT);
    check_text(&buf, "ab");
    tl_buf_clear(&buf);
    tl_buf_add_text(&buf, "cdef");
    check_ok(tl_buf_status(&buf));
    check_text(&buf, "cdef");
}

static void counts_only_what_is_committed(void **state)
{
    (void)state;
    TL_CLEANUP(tl_buf_release) struct tl_buf buf;
    tl_buf_init(&buf, 1000);
    tl_buf_commit(&buf, 0);
    char *at = tl_buf_reserve(&buf, 500);
    assert_non_null(at);
    memset(at, 'x', 500);
    check_text(&buf, "");
    tl_buf_commit(&buf, 2);
    check_text(&buf, "xx");
}

static void commit_beyond_the_limit(void *ctx)
{
    struct tl_buf *buf = ctx;
    assert_non_null(tl_buf_reserve(buf, 1));
    tl_buf_commit(buf, 5); /* fits the memory, but not the limit */
}

static void commit_beyond_the_memory(void *ctx)
{
    struct tl_buf *buf = ctx;
    buf->len_max = 100000;
    assert_non_null(tl_buf_reserve(buf, 1));
    tl_buf_commit(buf, buf->capacity);
}

static void does_not_go_on_after_more_was_written_than_reserved(void **state)
{
    (void)state;
    TL_CLEANUP(tl_buf_release) struct tl_buf buf;
    tl_buf_init(&buf, 4);
    check_asserts(commit_beyond_the_limit, &buf);
    check_asserts(commit_beyond_the_memory, &buf);
}

static void hands_over_a_terminated_string_and_starts_anew(void **state)
{
    (void)state;
    TL_CLEANUP(tl_buf_release) struct tl_buf buf;
    tl_buf_init(&buf, 1000);
    for (size_t len = 0; len < 600; len += 255) {
        for (size_t i = 0; i < len; i++) {
            tl_buf_add_char(&buf, 'x');
        }
        size_t taken = 99;
        char *text = tl_buf_take(&buf, &taken);
        assert_non_null(text);
        assert_int_equal(taken, len);
        assert_int_equal(strlen(text), len);
        tl_free(text);
        check_text(&buf, "");
    }
}

static tally_status write_much(const void *ctx)
{
    TL_CLEANUP(tl_buf_release) struct tl_buf buf;
    tl_buf_init(&buf, 5000);
    for (size_t i = 0; i < 1000; i++) {
        size_t before = buf.len;
        tl_buf_add_text(&buf, ctx);
        assert_int_equal(buf.len - before, tl_buf_status(&buf) == TALLY_OK ? strlen(ctx) : 0);
    }
    return tl_buf_status(&buf);
}

static void survives_running_out_of_memory(void **state)
{
    (void)state;
    assert_int_equal(fault_each_alloc(write_much, "abc"), 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(joins_what_is_added),
        cmocka_unit_test(grows_to_its_limit_to_the_byte),
        cmocka_unit_test(stays_broken_until_it_is_cleared),
        cmocka_unit_test(counts_only_what_is_committed),
        cmocka_unit_test(does_not_go_on_after_more_was_written_than_reserved),
        cmocka_unit_test(hands_over_a_terminated_string_and_starts_anew),
        cmocka_unit_test(survives_running_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
