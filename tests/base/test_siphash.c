#include "base/siphash.h"
#include "check.h"

/* From the reference implementation: key 00 01 ... 0f, input 00 01 ... of that length. */
static void gives_the_published_values(void **state)
{
    (void)state;
    static const struct {
        size_t len;
        uint64_t hash;
    } table[] = {
        { 0, 0x726fdb47dd0e0e31 },
        { 1, 0x74f839c593dc67fd },
        { 8, 0x93f5f5799a932462 },
        { 15, 0xa129ca6149be45e5 },
    };
    uint8_t bytes[16];
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t)i;
    }
    for (size_t i = 0; i < TL_ARRAY_LEN(table); i++) {
        assert_true(tl_siphash(bytes, bytes, table[i].len) == table[i].hash);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_the_published_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
