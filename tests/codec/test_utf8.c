#include <string.h>

#include "check.h"
#include "codec/utf8.h"

/* What RFC 3629 says, the slow way: encodes every character and compares. */
static void accepts_every_character_and_nothing_else(void **state)
{
    (void)state;
    for (uint32_t c = 0; c <= 0x10FFFF; c++) {
        char text[8] = "";
        if (c >= 0xD800 && c <= 0xDFFF) {
            continue;
        }
        size_t len = tl_utf8_encode(text, c);
        assert_int_equal(len, c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4);
        assert_int_equal(tl_utf8_char_len(text, sizeof(text)), len);
        assert_int_equal(tl_utf8_char_len(text, len), len);
        assert_int_equal(tl_utf8_char_len(text, len - 1), 0);
    }
}

/* Counts: if every sequence of three bytes is right by number, and all characters are accepted
 * (above), then nothing else is. */
static void accepts_no_other_sequence(void **state)
{
    (void)state;
    size_t count[5] = { 0 };
    for (uint32_t i = 0; i < (uint32_t)1 << 24; i++) {
        const char text[4] = { (char)(i >> 16), (char)(i >> 8), (char)i, (char)0x80 };
        count[tl_utf8_char_len(text, sizeof(text))]++;
    }
    assert_int_equal(count[1], 128u << 16);
    assert_int_equal(count[2], (0x800u - 0x80u) << 8);
    assert_int_equal(count[3], 0x10000u - 0x800u - 0x800u);
    assert_int_equal(count[4], (0x110000u - 0x10000u) / 64);
}

static void finds_the_first_byte_that_is_wrong(void **state)
{
    (void)state;
    char text[40];
    for (size_t at = 0; at < sizeof(text); at++) {
        memset(text, 'a', sizeof(text));
        assert_int_equal(tl_utf8_valid_len(text, sizeof(text)), sizeof(text));
        text[at] = (char)0xFF;
        assert_int_equal(tl_utf8_valid_len(text, sizeof(text)), at);
    }
    assert_int_equal(tl_utf8_valid_len("", 0), 0);
    assert_int_equal(tl_utf8_valid_len("aé€😀", 10), 10);
    assert_int_equal(tl_utf8_valid_len("aé€😀", 9), 6);
}

static void encode_surrogate(void *ctx)
{
    (void)tl_utf8_encode(ctx, 0xD800);
}

static void asserts_that_a_character_is_no_surrogate(void **state)
{
    (void)state;
    char text[4];
    check_asserts(encode_surrogate, text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_every_character_and_nothing_else),
        cmocka_unit_test(accepts_no_other_sequence),
        cmocka_unit_test(finds_the_first_byte_that_is_wrong),
        cmocka_unit_test(asserts_that_a_character_is_no_surrogate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
