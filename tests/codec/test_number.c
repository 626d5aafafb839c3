#include <fenv.h>
#include <locale.h>
#include <math.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../vectors/es6_numbers.h"
#include "../vectors/jcs.h"
#include "check.h"
#include "codec/number.h"

static double double_of(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

static uint64_t bits_of(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

static void check_printed(uint64_t bits, const char *want)
{
    char text[TL_NUMBER_PRINT_MAX + 1];
    size_t len = tl_number_print(text, double_of(bits));
    assert_true(len < sizeof(text));
    text[len] = '\0';
    assert_string_equal(text, want);
}

static void check_fault(const char *text, enum tl_number_fault want)
{
    struct tl_number number = { 0 };
    enum tl_number_fault got = tl_number_read(text, strlen(text), &number);
    if (got != want) {
        fail_msg("'%s' gave %d, want %d", text, (int)got, (int)want);
    }
}

static void check_read(const char *text, uint64_t want)
{
    struct tl_number number = { 0 };
    enum tl_number_fault fault = tl_number_read(text, strlen(text), &number);
    assert_true(fault == TL_NUMBER_FINE || fault == TL_NUMBER_UNSAFE);
    assert_int_equal(number.len, strlen(text));
    if (bits_of(number.value) != want) {
        fail_msg("'%s' gave %016lx, want %016lx", text, bits_of(number.value), want);
    }
}

static void prints_the_published_numbers(void **state)
{
    (void)state;
    for (size_t i = 0; i < TL_ARRAY_LEN(jcs_numbers); i++) {
        check_printed(jcs_numbers[i].bits, jcs_numbers[i].text);
    }
}

/* A powers-of-ten table that is off by one would show here, at one exponent or another. */
static void prints_and_reads_every_power_of_two_and_its_neighbours(void **state)
{
    (void)state;
    for (uint64_t biased = 0; biased < 0x7FF; biased++) {
        for (uint64_t i = 0; i < 3; i++) {
            uint64_t bits = (biased << 52) + i - 1;
            if (bits == 0 || bits >= (uint64_t)0x7FF << 52) {
                continue;
            }
            char text[TL_NUMBER_PRINT_MAX + 1];
            text[tl_number_print(text, double_of(bits))] = '\0';
            check_read(text, bits);
        }
    }
}

/* The sequence of the test file that RFC 8785, appendix B, names. */
struct es6_source {
    size_t index;
    uint8_t block[32];
    size_t used; /* bytes of the block */
};

static uint64_t next_es6(struct es6_source *source)
{
    size_t index = source->index++;
    if (index < TL_ARRAY_LEN(es6_numbers)) {
        return es6_numbers[index];
    }
    index -= TL_ARRAY_LEN(es6_numbers);
    if (index < ES6_SERIAL_COUNT) { /* the least normal numbers */
        return 0x0010000000000000 + index;
    }
    for (;;) {
        if (source->used == 0 || source->used == sizeof(source->block)) {
            assert_true(EVP_Digest(source->block, sizeof(source->block), source->block, NULL,
                                   EVP_sha256(), NULL));
            source->used = 0;
        }
        uint64_t bits = 0;
        for (size_t i = 8; i > 0; i--) {
            bits = bits << 8 | source->block[source->used + i - 1];
        }
        source->used += 8;
        if (bits << 1 != 0 && (bits >> 52 & 0x7FF) != 0x7FF) {
            return bits;
        }
    }
}

static void check_digest(const EVP_MD_CTX *running, const char *want)
{
    uint8_t digest[32] = { 0 };
    char text[2 * sizeof(digest) + 1];
    EVP_MD_CTX *copy = EVP_MD_CTX_new();
    assert_true(EVP_MD_CTX_copy_ex(copy, running) && EVP_DigestFinal_ex(copy, digest, NULL));
    EVP_MD_CTX_free(copy);
    for (size_t i = 0; i < sizeof(digest); i++) {
        (void)snprintf(text + 2 * i, 3, "%02x", digest[i]);
    }
    assert_string_equal(text, want);
}

static void prints_a_million_numbers_with_the_published_checksums_and_reads_them(void **state)
{
    (void)state;
    static const struct {
        size_t lines;
        const char *sha256;
    } sums[] = {
        { 1000, "be18b62b6f69cdab33a7e0dae0d9cfa869fda80ddc712221570f9f40a5878687" },
        { 10000, "b9f7a8e75ef22a835685a52ccba7f7d6bdc99e34b010992cbc5864cd12be6892" },
        { 100000, "22776e6d4b49fa294a0d0f349268e5c28808fe7e0cb2bcbe28f63894e494d4c7" },
        { 1000000, "49415fee2c56c77864931bd3624faad425c3c577d6d74e89a83bc725506dad16" },
    };
    struct es6_source source = { 0 };
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    assert_true(EVP_DigestInit_ex(digest, EVP_sha256(), NULL));
    for (size_t i = 0, line = 1; i < TL_ARRAY_LEN(sums); line++) {
        uint64_t bits = next_es6(&source);
        char text[64];
        size_t head = (size_t)snprintf(text, sizeof(text), "%lx,", bits);
        size_t len = tl_number_print(text + head, double_of(bits));
        struct tl_number number = { 0 };
        enum tl_number_fault fault = tl_number_read(text + head, len, &number);
        assert_true(fault == TL_NUMBER_FINE || fault == TL_NUMBER_UNSAFE);
        assert_int_equal(bits_of(number.value), bits << 1 == 0 ? 0 : bits);
        text[head + len] = '\n';
        assert_true(EVP_DigestUpdate(digest, text, head + len + 1));
        if (line == sums[i].lines) {
            check_digest(digest, sums[i++].sha256);
        }
    }
    EVP_MD_CTX_free(digest);
}

/* What the C library reads, in the C locale that tests run in. */
static uint64_t second_opinion(const char *text)
{
    return bits_of(strtod(text, NULL)); /* check_tree: ok, to compare with */
}

static void rounds_to_the_nearest_and_ties_to_even(void **state)
{
    (void)state;
    static const char *const table[] = {
        "0",
        "-0",
        "-0.0",
        "0e0",
        "0.0000000000000000000000000000000000000000e-1",
        "1",
        "-1.5e0",
        "123.456",
        "1E+2",
        "100e-2",
        "9007199254740991",
        "9007199254740991.4999999999999999999999999999999999",
        "9007199254740993", /* half-way, even below */
        "9007199254740993.00000000000000000000000000000000001",
        "9007199254740992.99999999999999999999999999999999999",
        "9007199254740995", /* half-way, even above */
        "18446744073709551615",
        "18446744073709551616",
        "123456789012345678901234567890",
        "2.2250738585072011e-308", /* made PHP and Java hang */
        "2.2250738585072012e-308",
        "2.4703282292062328e-324", /* a little above half of the least */
        "4.9406564584124654e-324",
        "7.4109846876186982e-324",
        "1.7976931348623157e308",
        "1.7976931348623158e308",
        "1e22",
        "1e23",
        "8.5e-320",
        "0.000000000000000000000000000000000000000000000000000000000000000000000000000001e99",
        "1000000000000000000000000000000000000000000000000000000000000000000000000000000e-99",
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(table); i++) {
        check_read(table[i], second_opinion(table[i]));
    }
}

static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static void reads_random_decimals_as_the_c_library_does(void **state)
{
    (void)state;
    uint64_t seed = 0x5EED;
    for (size_t round = 0; round < 200000; round++) {
        char text[128];
        size_t len = 0;
        size_t digits = 1 + next_random(&seed) % (round % 2 == 0 ? 18 : 60);
        for (size_t i = 0; i < digits; i++) {
            text[len++] =
                (char)('0' + (i == 0 ? 1 + next_random(&seed) % 9 : next_random(&seed) % 10));
            if (i == 0 && digits > 1) {
                text[len++] = '.';
            }
        }
        (void)snprintf(text + len, sizeof(text) - len, "e%d",
                       (int)(next_random(&seed) % 630) - 322);
        check_read(text, second_opinion(text));
    }
}

/* Numbers exactly half-way between two doubles, and next to that, in all digits they have. */
static void reads_the_hardest_decimals_as_the_c_library_does(void **state)
{
    (void)state;
    uint64_t seed = 0x4A7D;
    for (size_t round = 0; round < 20000; round++) {
        uint64_t exponent = 1023 - 60 + next_random(&seed) % 200;
        double below = double_of(exponent << 52 | next_random(&seed) >> 12);
        char text[5120]; /* what the compiler thinks a long double may need */
        long double half = ((long double)below + (long double)nextafter(below, HUGE_VAL)) / 2;
        int len = snprintf(text, sizeof(text), "%.150Lf", half);
        assert_true(len > 0 && (size_t)len < sizeof(text));
        text[len - (int)(next_random(&seed) % 30)] = '\0';
        check_read(text, second_opinion(text));
        text[strlen(text) - 1] = '7';
        check_read(text, second_opinion(text));
    }
}

static void reads_numbers_of_all_lengths_as_the_c_library_does(void **state)
{
    (void)state;
    for (size_t digits = 3; digits <= 250; digits++) {
        char text[300];
        memset(text, '9', digits);
        (void)snprintf(text + digits, sizeof(text) - digits, "e-%zu", digits + 20);
        check_read(text, second_opinion(text));
        text[0] = '0';
        text[1] = '.';
        text[digits + 1] = '+';
        check_read(text, second_opinion(text));
    }
}

static void refuses_what_a_double_cannot_keep(void **state)
{
    (void)state;
    check_fault("9007199254740991", TL_NUMBER_FINE);
    check_fault("9007199254740991.5", TL_NUMBER_UNSAFE);
    check_fault("-9007199254740992", TL_NUMBER_UNSAFE);
    check_fault("9007199254740992e0", TL_NUMBER_UNSAFE);
    check_fault("999999999999999900000", TL_NUMBER_UNSAFE);
    check_fault("1e20", TL_NUMBER_UNSAFE);
    check_fault("1e21", TL_NUMBER_FINE);
    check_fault("1000000000000000000000", TL_NUMBER_FINE);
    check_fault("1.7976931348623157e308", TL_NUMBER_FINE);
    check_fault("1.7976931348623159e308", TL_NUMBER_LARGE);
    check_fault("-1e309", TL_NUMBER_LARGE);
    check_fault("1e999999999999999999999999", TL_NUMBER_LARGE);
    check_fault("5e-324", TL_NUMBER_FINE);
    check_fault("2.4703282292062327e-324", TL_NUMBER_VANISHING);
    check_fault("-1e-99999999999999999999999", TL_NUMBER_VANISHING);
    check_fault("0e99999999999999999999999", TL_NUMBER_FINE);
}

static void refuses_a_token_of_more_than_256_bytes(void **state)
{
    (void)state;
    char text[258] = "0.";
    memset(text + 2, '1', 254);
    check_fault(text, TL_NUMBER_FINE);
    text[256] = '1';
    check_fault(text, TL_NUMBER_LONG);
}

static void says_where_a_token_stops_being_a_number(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t at;
    } table[] = {
        { "", 0 },   { "x", 0 },  { "+1", 0 },  { ".5", 0 },  { "-", 1 },    { "-x", 1 },
        { "1.", 2 }, { "1e", 2 }, { "1e+", 3 }, { "1.x", 2 }, { "1.e1", 2 }, { "-1e-x", 4 },
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(table); i++) {
        struct tl_number number = { 0 };
        assert_int_equal(tl_number_read(table[i].text, strlen(table[i].text), &number),
                         TL_NUMBER_BAD);
        assert_int_equal(number.len, table[i].at);
    }
}

static void leaves_what_follows_to_the_caller(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t len;
        bool integer;
    } table[] = {
        { "01", 1, true },    { "12,", 2, true },   { "-0x", 2, true },
        { "1.50", 4, false }, { "1e5]", 3, false }, { "1.5.5", 3, false },
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(table); i++) {
        struct tl_number number = { 0 };
        assert_int_equal(tl_number_read(table[i].text, strlen(table[i].text), &number),
                         TL_NUMBER_FINE);
        assert_int_equal(number.len, table[i].len);
        assert_int_equal(number.integer, table[i].integer);
    }
}

/* A host program may have changed these for reasons of its own. */
static void does_not_depend_on_locale_or_rounding_mode(void **state)
{
    (void)state;
    (void)setlocale(LC_ALL, "de_DE.UTF-8"); /* check_tree: ok, that is the test; may not exist */
    assert_int_equal(fesetround(FE_UPWARD), 0);
    check_read("0.1", 0x3FB999999999999A);
    check_printed(0x3FB999999999999A, "0.1");
    check_printed(0x4341C37937E08001, "10000000000000002");
    assert_int_equal(fesetround(FE_TONEAREST), 0);
    (void)setlocale(LC_ALL, "C"); /* check_tree: ok, undoes it */
}

static void print_infinity(void *ctx)
{
    (void)tl_number_print(ctx, HUGE_VAL);
}

static void print_nan(void *ctx)
{
    (void)tl_number_print(ctx, (double)NAN);
}

static void asserts_that_what_it_prints_is_finite(void **state)
{
    (void)state;
    char text[TL_NUMBER_PRINT_MAX];
    check_asserts(print_infinity, text);
    check_asserts(print_nan, text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prints_the_published_numbers),
        cmocka_unit_test(prints_and_reads_every_power_of_two_and_its_neighbours),
        cmocka_unit_test(prints_a_million_numbers_with_the_published_checksums_and_reads_them),
        cmocka_unit_test(rounds_to_the_nearest_and_ties_to_even),
        cmocka_unit_test(reads_random_decimals_as_the_c_library_does),
        cmocka_unit_test(reads_the_hardest_decimals_as_the_c_library_does),
        cmocka_unit_test(reads_numbers_of_all_lengths_as_the_c_library_does),
        cmocka_unit_test(refuses_what_a_double_cannot_keep),
        cmocka_unit_test(refuses_a_token_of_more_than_256_bytes),
        cmocka_unit_test(says_where_a_token_stops_being_a_number),
        cmocka_unit_test(leaves_what_follows_to_the_caller),
        cmocka_unit_test(does_not_depend_on_locale_or_rounding_mode),
        cmocka_unit_test(asserts_that_what_it_prints_is_finite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
