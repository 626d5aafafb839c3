#include <string.h>

#include "check.h"
#include "codec/uuid.h"

static const uint8_t zeros[TL_UUID_RANDOM_LEN] = { 0 };

/* RFC 9562 appendix A.6, whose rand_a is 0xCC3, random; here it is a fraction. */
static void writes_the_example_of_the_rfc(void **state)
{
    (void)state;
    static const uint8_t random[] = { 0x18, 0xC4, 0xDC, 0x0C, 0x0C, 0x07, 0x39, 0x8F };
    char text[TL_UUID_TEXT_SIZE];
    tl_uuid_v7(text, INT64_C(1645557742000797), random);
    assert_string_equal(text, "017f22e2-79b0-7cc0-98c4-dc0c0c07398f");
    tl_uuid_v7(text, INT64_C(1645557742000798), random);
    assert_string_equal(text, "017f22e2-79b0-7cc4-98c4-dc0c0c07398f");
}

static void writes_the_id_of_the_worked_example(void **state)
{
    (void)state;
    static const uint8_t random[] = { 0xD1, 0xA2, 0xB3, 0xC4, 0xD5, 0xE6, 0xF7, 0x08 };
    char text[TL_UUID_TEXT_SIZE];
    tl_uuid_v7(text, INT64_C(1773480413589793), random);
    assert_string_equal(text, "019cebab-8995-7cb0-91a2-b3c4d5e6f708");
}

static void ids_of_successive_microseconds_sort_as_they_were_made(void **state)
{
    (void)state;
    static const uint8_t ones[] = { 255, 255, 255, 255, 255, 255, 255, 255 };
    char last[TL_UUID_TEXT_SIZE] = "";
    for (int64_t us = INT64_C(1773480413589000); us < INT64_C(1773480413592000); us++) {
        char text[TL_UUID_TEXT_SIZE];
        tl_uuid_v7(text, us, us % 2 == 0 ? ones : zeros);
        assert_true(strcmp(last, text) < 0);
        memcpy(last, text, sizeof(last));
    }
}

static void takes_times_before_1970_as_1970(void **state)
{
    (void)state;
    char text[TL_UUID_TEXT_SIZE];
    tl_uuid_v7(text, -1, zeros);
    assert_string_equal(text, "00000000-0000-7000-8000-000000000000");
}

static void reads_one_spelling_and_writes_it_back(void **state)
{
    (void)state;
    static const char text[] = "0123e4f5-89ab-cdef-fedc-ba9876543210";
    static const uint8_t bytes[] = { 0x01, 0x23, 0xE4, 0xF5, 0x89, 0xAB, 0xCD, 0xEF,
                                     0xFE, 0xDC, 0xBA, 0x98, 0x76, 0x54, 0x32, 0x10 };
    uint8_t got[TL_UUID_LEN];
    char back[TL_UUID_TEXT_SIZE];
    check_ok(tl_uuid_parse(got, tl_str_of(text)));
    assert_memory_equal(got, bytes, sizeof(bytes));
    tl_uuid_format(back, got);
    assert_string_equal(back, text);
}

static void refuses_every_other_spelling(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "0123e4f589abcdeffedcba9876543210",
        "0123E4F5-89ab-cdef-fedc-ba9876543210",
        "0123e4f5-89ab-cdef-fedc-ba987654321",
        "0123e4f5-89ab-cdef-fedc-ba98765432100",
        "0123e4f5-89ab-cdef-fedcba-9876543210",
        "{0123e4f5-89ab-cdef-fedc-ba987654321",
        "0123e4f5_89ab-cdef-fedc-ba9876543210",
        "0123e4g5-89ab-cdef-fedc-ba9876543210",
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(texts); i++) {
        uint8_t got[TL_UUID_LEN];
        check_status(tl_uuid_parse(got, tl_str_of(texts[i])), TALLY_EINVAL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_the_example_of_the_rfc),
        cmocka_unit_test(writes_the_id_of_the_worked_example),
        cmocka_unit_test(ids_of_successive_microseconds_sort_as_they_were_made),
        cmocka_unit_test(takes_times_before_1970_as_1970),
        cmocka_unit_test(reads_one_spelling_and_writes_it_back),
        cmocka_unit_test(refuses_every_other_spelling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
