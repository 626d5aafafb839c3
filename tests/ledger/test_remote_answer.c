/* What a server answers: nothing is believed that does not fit what was sent. */
#include <stdio.h>
#include <stdlib.h>

#include "check.h"
#include "fault.h"
#include "ledger/remote_answer.h"

#define HASH "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define RECEIPT(id, seq)                                                 \
    "{\"id\":\"" id "\",\"level\":\"RECORDED\",\"seq\":" seq             \
    ",\"origin\":\"o\",\"recorded_at\":\"2026-03-14T09:26:53.602118Z\"," \
    "\"leaf_hash\":\"" HASH "\",\"duplicate\":false}"

static tally_status read_two(const char *text, struct tally_receipt made[2])
{
    struct tally_receipt *const receipts[] = { &made[0], &made[1] };
    made[0] = (struct tally_receipt){ .id = "a" };
    made[1] = (struct tally_receipt){ .id = "b\"c" };
    return tl_remote_read_receipts(tl_str_of(text), receipts, 2, NULL);
}

static void takes_a_receipt_for_each_event(void **state)
{
    (void)state;
    struct tally_receipt made[2];
    check_ok(read_two("{\"level\":\"RECORDED\",\"receipts\":[" RECEIPT("a", "7") "," RECEIPT(
                          "b\\u0022c", "9007199254740993") "]}",
                      made));
    assert_int_equal(made[0].status, TALLY_OK);
    assert_int_equal(made[0].level, TALLY_LEVEL_RECORDED);
    assert_int_equal(made[0].seq, 7);
    assert_int_equal(made[0].recorded_us, 1773480413602118);
    assert_int_equal(made[0].leaf_hash[1], 0x11);
    assert_int_equal(made[1].seq, 9007199254740993);
}

static void takes_nothing_else_for_receipts(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "null",
        "{}",
        "{\"receipts\":[]}",
        "{\"receipts\":[" RECEIPT("a", "7") "]}",
        "{\"receipts\":[" RECEIPT("b\\u0022c", "7") "," RECEIPT("a", "8") "]}",
        "{\"receipts\":[" RECEIPT("a", "7") "," RECEIPT("other", "8") "]}",
        "{\"receipts\":[" RECEIPT("a", "7") "," RECEIPT("b\\u0022c", "-8") "]}",
        "{\"receipts\":[" RECEIPT("a", "7") "," RECEIPT("b\\u0022c", "1.5") "]}",
        "{\"receipts\":[" RECEIPT("a", "7") "," RECEIPT("b\\u0022c", "18446744073709551615") "]}",
        "{\"receipts\":[" RECEIPT("a", "7") "," RECEIPT("b\\u0022c", "8") "]} and more",
        "{\"receipts\":[" RECEIPT("a", "7") "," RECEIPT("b\\u0022c", "8") "",
        "{\"receipts\":[" RECEIPT("a", "7") ",{\"id\":\"b\\u0022c\",\"level\":\"QUEUED\"}]}",
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(texts); i++) {
        struct tally_receipt made[2];
        print_message("# text %zu\n", i);
        check_status(TALLY_ECORRUPT, read_two(texts[i], made));
    }
}

static void names_the_events_of_a_problem(void **state)
{
    (void)state;
    static struct tl_remote_problem problem;
    tl_remote_read_problem(
        tl_str_of("{\"code\":\"too_long\",\"errors\":[{\"index\":2,\"code\":\"too_long\"},"
                  "{\"index\":2,\"code\":\"bad_value\"},{\"index\":3,\"code\":\"out_of_range\"},"
                  "{\"index\":-1,\"code\":\"negative\"},{\"code\":\"without\"},null,"
                  "{\"index\":1,\"code\":\"\\u001b[31m\"}]}"),
        3, &problem);
    assert_string_equal(problem.code, "too_long");
    assert_int_equal(problem.named, 1);
    assert_string_equal(problem.codes[0], "");
    assert_string_equal(problem.codes[1], "");
    assert_string_equal(problem.codes[2], "bad_value");
}

static void shows_no_text_that_is_no_code(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "<html>",
        "[]",
        "{\"code\":7}",
        "{\"code\":\"\"}",
        "{\"code\":\"with space\"}",
        "{\"code\":\"UPPER\"}",
        "{\"code\":\"\\u001b]0;x\\u0007\"}",
        "{\"code\":\"a234567890123456789012345678901234567890\"}",
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(texts); i++) {
        static struct tl_remote_problem problem;
        tl_remote_read_problem(tl_str_of(texts[i]), TL_REMOTE_BATCH, &problem);
        assert_string_equal(problem.code, "");
        assert_int_equal(problem.named, 0);
    }
}

static tally_status read_again(const void *ctx)
{
    struct tally_receipt made[2];
    return read_two(ctx, made);
}

static void says_so_if_there_is_no_memory(void **state)
{
    (void)state;
    assert_true(fault_each_alloc(read_again, "{\"receipts\":[" RECEIPT("a", "7") "," RECEIPT(
                                                 "b\\u0022c", "8") "]}") > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_a_receipt_for_each_event),
        cmocka_unit_test(takes_nothing_else_for_receipts),
        cmocka_unit_test(names_the_events_of_a_problem),
        cmocka_unit_test(shows_no_text_that_is_no_code),
        cmocka_unit_test(says_so_if_there_is_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
