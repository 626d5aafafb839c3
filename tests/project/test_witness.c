#include <string.h>

#include "check.h"
#include "fault.h"
#include "project/witness.h"
#include "witnessed.h"

static tally_status read_line(const char *answer, struct tl_buf *line, uint64_t *time_s)
{
    struct tl_vkey key;
    check_ok(tl_vkey_parse(&key, TL_STR(WITNESSED_VKEY), NULL));
    tl_buf_clear(line);
    return tl_witness_read_line(line, time_s, TL_STR(WITNESSED_NOTE), tl_str_of(answer), &key,
                                NULL);
}

static void takes_the_one_line_that_holds(void **state)
{
    (void)state;
    static const char *const answers[] = {
        WITNESSED_LINE,
        WITNESSED_BY_OTHER WITNESSED_LINE,
        "what is this\n" WITNESSED_LINE WITNESSED_BY_OTHER,
        "\n\n" WITNESSED_LINE,
    };
    struct tl_buf line;
    tl_buf_init(&line, TL_NOTE_LEN_MAX);
    for (size_t i = 0; i < TL_ARRAY_LEN(answers); i++) {
        uint64_t time_s = 0;
        check_ok(read_line(answers[i], &line, &time_s));
        assert_true(tl_str_is(tl_buf_str(&line), WITNESSED_LINE));
        assert_true(time_s > 1600000000);
    }
    tl_buf_release(&line);
}

static void takes_no_other_line(void **state)
{
    (void)state;
    static const char *const answers[] = {
        "",
        "\n",
        "4711\n",
        WITNESSED_BY_OTHER,
        WITNESSED_FORGED,
        WITNESSED_FORGED WITNESSED_LINE,
        WITNESSED_NOTE,
    };
    struct tl_buf line;
    tl_buf_init(&line, TL_NOTE_LEN_MAX);
    for (size_t i = 0; i < TL_ARRAY_LEN(answers); i++) {
        uint64_t time_s = 0;
        check_status(read_line(answers[i], &line, &time_s), TALLY_ECORRUPT);
        assert_int_equal(line.len, 0);
    }
    struct tl_buf cut;
    tl_buf_init(&cut, 1024);
    tl_buf_add(&cut, WITNESSED_LINE, sizeof(WITNESSED_LINE) - 2); /* without its newline */
    tl_buf_add_char(&cut, '\0');
    uint64_t time_s = 0;
    check_status(read_line(cut.data, &line, &time_s), TALLY_ECORRUPT);
    tl_buf_release(&cut);
    tl_buf_release(&line);
}

static void looks_at_a_bounded_number_of_lines(void **state)
{
    (void)state;
    struct tl_buf many;
    struct tl_buf line;
    uint64_t time_s = 0;
    tl_buf_init(&many, TL_NOTE_LEN_MAX);
    tl_buf_init(&line, TL_NOTE_LEN_MAX);
    for (uint32_t i = 0; i < TL_NOTE_LINES_MAX; i++) {
        tl_buf_add_text(&many, "x\n");
    }
    tl_buf_add_text(&many, WITNESSED_LINE);
    tl_buf_add_char(&many, '\0');
    check_status(read_line(many.data, &line, &time_s), TALLY_ECORRUPT);
    check_ok(read_line(many.data + 2, &line, &time_s));
    tl_buf_release(&many);
    tl_buf_release(&line);
}

static void reads_a_size_in_its_one_spelling(void **state)
{
    (void)state;
    uint64_t size = 7;
    static const char *const wrong[] = { "",     "\n",    "5",
                                         "05\n", "5\n\n", "5 \n",
                                         "-5\n", "5\r\n", "9223372036854775808\n",
                                         "five", "0x5\n" };
    for (size_t i = 0; i < TL_ARRAY_LEN(wrong); i++) {
        check_status(tl_witness_read_size(&size, tl_str_of(wrong[i])), TALLY_ECORRUPT);
        assert_int_equal(size, 7);
    }
    check_ok(tl_witness_read_size(&size, TL_STR("0\n")));
    assert_int_equal(size, 0);
    check_ok(tl_witness_read_size(&size, TL_STR("9223372036854775807\n")));
    assert_true(size == INT64_MAX);
}

static void asks_in_the_words_of_the_protocol(void **state)
{
    (void)state;
    struct tl_buf request;
    struct tl_proof proof = { .count = 2 };
    memset(proof.hashes[0], 0, TL_HASH_LEN);
    memset(proof.hashes[1], 0xff, TL_HASH_LEN);
    tl_buf_init(&request, TL_NOTE_LEN_MAX);
    tl_witness_request(&request, 3, &proof, TL_STR("note\n"));
    assert_true(tl_str_is(tl_buf_str(&request), "old 3\n"
                                                "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"
                                                "//////////////////////////////////////////8=\n"
                                                "\nnote\n"));
    tl_buf_release(&request);
}

static tally_status take_line(const void *ctx)
{
    struct tl_buf line;
    uint64_t time_s = 0;
    tl_buf_init(&line, TL_NOTE_LEN_MAX);
    tally_status status = read_line(ctx, &line, &time_s);
    assert_true(status == TALLY_OK || line.len == 0);
    tl_buf_release(&line);
    return status;
}

static void says_so_if_there_is_no_memory(void **state)
{
    (void)state;
    assert_true(fault_each_alloc(take_line, WITNESSED_BY_OTHER WITNESSED_LINE) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_the_one_line_that_holds),
        cmocka_unit_test(takes_no_other_line),
        cmocka_unit_test(looks_at_a_bounded_number_of_lines),
        cmocka_unit_test(reads_a_size_in_its_one_spelling),
        cmocka_unit_test(asks_in_the_words_of_the_protocol),
        cmocka_unit_test(says_so_if_there_is_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
