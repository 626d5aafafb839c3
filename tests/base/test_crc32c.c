#include "base/crc32c.h"

#include <string.h>

#include "check.h"

typedef uint32_t crc_fn(uint32_t crc, const void *bytes, size_t len);

static crc_fn *const both[] = { tl_crc32c, tl_crc32c_portable };

/* RFC 3720, B.4: 32 bytes each. */
static void gives_the_published_values(void **state)
{
    (void)state;
    uint8_t zeros[32] = { 0 };
    uint8_t ones[32];
    uint8_t up[32];
    uint8_t down[32];
    memset(ones, 0xff, sizeof(ones));
    for (size_t i = 0; i < sizeof(up); i++) {
        up[i] = (uint8_t)i;
        down[i] = (uint8_t)(31 - i);
    }
    for (size_t i = 0; i < TL_ARRAY_LEN(both); i++) {
        assert_int_equal(both[i](0, zeros, sizeof(zeros)), 0x8a9136aa);
        assert_int_equal(both[i](0, ones, sizeof(ones)), 0x62a8ab43);
        assert_int_equal(both[i](0, up, sizeof(up)), 0x46dd794e);
        assert_int_equal(both[i](0, down, sizeof(down)), 0x113fdb5c);
        assert_int_equal(both[i](0, "123456789", 9), 0xe3069283);
        assert_int_equal(both[i](0, "", 0), 0);
    }
}

/* The last one of RFC 3720: the header of a read command. */
static void gives_the_value_of_a_read_command(void **state)
{
    (void)state;
    static const uint8_t command[48] = { 0x01, 0xc0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,    0, 0, 0, 0,
                                         0x14, 0,    0, 0, 0, 0, 4, 0, 0, 0, 0, 0x14, 0, 0, 0, 0x18,
                                         0x28, 0,    0, 0, 0, 0, 0, 0, 2, 0, 0, 0,    0, 0, 0, 0 };
    for (size_t i = 0; i < TL_ARRAY_LEN(both); i++) {
        assert_int_equal(both[i](0, command, sizeof(command)), 0xd9963a56);
    }
}

static void is_the_same_with_and_without_the_instruction_at_every_length_and_start(void **state)
{
    (void)state;
    uint8_t bytes[300];
    uint32_t word = 1;
    for (size_t i = 0; i < sizeof(bytes); i++) {
        word = word * 1664525 + 1013904223;
        bytes[i] = (uint8_t)(word >> 24);
    }
    for (size_t from = 0; from < 16; from++) {
        for (size_t len = 0; len <= sizeof(bytes) - from; len++) {
            assert_int_equal(tl_crc32c(0, bytes + from, len),
                             tl_crc32c_portable(0, bytes + from, len));
        }
    }
}

static void goes_on_where_it_stopped(void **state)
{
    (void)state;
    static const char text[] = "the quick brown fox jumps over the lazy dog";
    for (size_t i = 0; i < TL_ARRAY_LEN(both); i++) {
        uint32_t whole = both[i](0, text, sizeof(text));
        for (size_t cut = 0; cut <= sizeof(text); cut++) {
            uint32_t crc = both[i](0, text, cut);
            assert_int_equal(both[i](crc, text + cut, sizeof(text) - cut), whole);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_the_published_values),
        cmocka_unit_test(gives_the_value_of_a_read_command),
        cmocka_unit_test(is_the_same_with_and_without_the_instruction_at_every_length_and_start),
        cmocka_unit_test(goes_on_where_it_stopped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
