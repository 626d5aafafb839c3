#include <string.h>

#include "base/bytes.h"
#include "check.h"

static void numbers_have_their_highest_byte_first(void **state)
{
    (void)state;
    static const uint8_t want[] = { 0xf1, 0xe2, 0xd3, 0xc4, 0xb5, 0xa6, 0x97, 0x88 };
    uint8_t bytes[9] = { 0 };
    tl_put_be16(bytes, 0xf1e2);
    assert_memory_equal(bytes, want, 2);
    assert_int_equal(tl_get_be16(bytes), 0xf1e2);
    tl_put_be32(bytes + 1, 0xf1e2d3c4);
    assert_memory_equal(bytes + 1, want, 4);
    assert_int_equal(tl_get_be32(bytes + 1), 0xf1e2d3c4);
    tl_put_be64(bytes + 1, 0xf1e2d3c4b5a69788);
    assert_memory_equal(bytes + 1, want, 8);
    assert_int_equal(tl_get_be64(bytes + 1), 0xf1e2d3c4b5a69788);
}

static void every_byte_survives_hexadecimal(void **state)
{
    (void)state;
    uint8_t bytes[256];
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t)i;
    }
    char text[2 * sizeof(bytes) + 1];
    tl_hex_encode(text, bytes, sizeof(bytes));
    assert_int_equal(strlen(text), 2 * sizeof(bytes));
    assert_memory_equal(text + 20, "0a0b0c0d0e0f10", 14);
    uint8_t back[256] = { 0 };
    check_ok(tl_hex_decode(back, sizeof(back), text, strlen(text)));
    assert_memory_equal(back, bytes, sizeof(bytes));

    tl_hex_encode(text, NULL, 0);
    assert_string_equal(text, "");
    check_ok(tl_hex_decode(back, 0, "", 0));
}

static void refuses_any_other_spelling_of_hexadecimal(void **state)
{
    (void)state;
    static const char *const texts[] = { "",     "0",    "00",   "000",  "00000",     "000000",
                                         "00 0", "0x00", "00FF", "00aG", "00a\n",     "-000",
                                         "00g0", "/000", ":000", "`000", "00\xc3\xa9" };
    uint8_t bytes[2];
    for (size_t i = 0; i < TL_ARRAY_LEN(texts); i++) {
        check_status(tl_hex_decode(bytes, 2, texts[i], strlen(texts[i])), TALLY_EINVAL);
    }
    check_status(tl_hex_decode(bytes, 2, "00\0000", 4), TALLY_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_have_their_highest_byte_first),
        cmocka_unit_test(every_byte_survives_hexadecimal),
        cmocka_unit_test(refuses_any_other_spelling_of_hexadecimal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
