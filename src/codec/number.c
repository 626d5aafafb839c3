#include "codec/number.h"

#include <string.h>

#include "codec/number_powers.h"

#define DIGITS_MAX    19      /* decimal digits that always fit 64 bits */
#define EXPONENT_MAX  1000000 /* beyond all that matters, and far from overflow */
#define FRACTION_BITS 52
#define HIDDEN_BIT    ((uint64_t)1 << FRACTION_BITS)
#define SAFE_MAX      ((uint64_t)1 << 53)
#define SIGN_BIT      ((uint64_t)1 << 63)
#define INFINITY_BITS ((uint64_t)0x7FF << FRACTION_BITS)
#define BITS_2_53     0x4340000000000000u
#define BITS_1E21     0x444B1AE4D6E2EF50u
#define LEAST_POWER   (-1074) /* the least double is 2^-1074 */

__extension__ typedef unsigned __int128 u128;

/* A number as written: digits * 10^exponent, and a little more if `truncated`. */
struct decimal {
    uint64_t digits; /* the first DIGITS_MAX that matter */
    int exponent;
    unsigned count; /* of digits that matter, up to DIGITS_MAX */
    bool negative;
    bool truncated; /* a digit that is not zero did not fit */
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static const struct tl_power *power_of_ten(int exponent)
{
    tl_assert(exponent >= TL_POWER_FIRST);
    tl_assert(exponent <= TL_POWER_LAST);
    return &tl_powers[exponent - TL_POWER_FIRST];
}

static int floor_divide(int a, int b)
{
    return a / b - (a % b < 0 ? 1 : 0);
}

/* floor(log2(10^e)), for |e| up to 1233 */
static int floor_log2_of_ten_to(int e)
{
    return floor_divide(e * 1741647, 1 << 19);
}

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

/* ---- reading ---- */

/* Takes the digits at text[at]; each of a fraction is worth a tenth of the one before. */
static size_t take_digits(struct decimal *d, const char *text, size_t len, size_t at, bool fraction)
{
    for (; at < len && is_digit(text[at]); at++) {
        unsigned digit = (unsigned)(text[at] - '0');
        if (d->count == DIGITS_MAX) {
            d->truncated = d->truncated || digit != 0;
            d->exponent += fraction ? 0 : 1;
            continue;
        }
        d->digits = d->digits * 10 + digit;
        d->count += d->digits != 0;
        d->exponent -= fraction ? 1 : 0;
    }
    return at;
}

/* Takes the exponent whose 'e' is at text[at]; returns `at` if it has no digits. */
static size_t take_exponent(struct decimal *d, const char *text, size_t len, size_t at)
{
    size_t first = at + 1;
    bool negative = first < len && text[first] == '-';
    if (negative || (first < len && text[first] == '+')) {
        first++;
    }
    int exponent = 0;
    size_t end = first;
    for (; end < len && is_digit(text[end]); end++) {
        exponent = exponent < EXPONENT_MAX ? exponent * 10 + (text[end] - '0') : exponent;
    }
    d->exponent += negative ? -exponent : exponent;
    return end;
}

/* Takes a whole token apart. Returns false if it is none; out->len is set in any case. */
static bool scan(struct decimal *d, const char *text, size_t len, struct tl_number *out)
{
    size_t at = len > 0 && text[0] == '-' ? 1 : 0;
    d->negative = at == 1;
    out->integer = true;
    out->len = at;
    if (at == len || !is_digit(text[at])) {
        return false;
    }
    at = text[at] == '0' ? at + 1 : take_digits(d, text, len, at, false);
    if (at < len && text[at] == '.') {
        out->integer = false;
        size_t first = at + 1;
        at = take_digits(d, text, len, first, true);
        out->len = at;
        if (at == first) {
            return false;
        }
    }
    if (at < len && (text[at] == 'e' || text[at] == 'E')) {
        out->integer = false;
        at = take_exponent(d, text, len, at);
        out->len = at;
        if (!is_digit(text[at - 1])) {
            return false;
        }
    }
    out->len = at;
    return true;
}

static int leading_zeros(u128 m)
{
    uint64_t high = (uint64_t)(m >> 64);
    return high != 0 ? __builtin_clzll(high) : 64 + __builtin_clzll((uint64_t)m);
}

/* Rounds m * 2^exponent, m not 0, to the nearest double, ties to even; returns its bits. */
static uint64_t round_to_double(u128 m, int exponent)
{
    int last = exponent + 127 - leading_zeros(m) - FRACTION_BITS; /* power of the last bit kept */
    last = last < LEAST_POWER ? LEAST_POWER : last;
    int drop = last - exponent;
    tl_assert(drop > 0);
    if (last > 971) {
        return INFINITY_BITS;
    }
    if (drop >= 128) { /* below half of the least double */
        return 0;
    }
    uint64_t kept = (uint64_t)(m >> drop);
    u128 rest = m - ((u128)kept << drop);
    u128 half = (u128)1 << (drop - 1);
    kept += rest > half || (rest == half && kept % 2 == 1);
    /* The hidden bit, where there is one, adds the last 1 to the biased exponent. */
    return ((uint64_t)(last - LEAST_POWER) << FRACTION_BITS) + kept;
}

/* An unsigned integer of up to 2,560 bits: enough for both sides of any comparison below. */
#define BIG_WORDS 40

struct big {
    uint64_t word[BIG_WORDS]; /* the least first */
    size_t count;             /* words in use; the last is not 0 */
};

static void big_multiply_add(struct big *b, uint64_t factor, uint64_t add)
{
    u128 carry = add;
    for (size_t i = 0; i < b->count; i++) {
        carry += (u128)b->word[i] * factor;
        b->word[i] = (uint64_t)carry;
        carry >>= 64;
    }
    if (carry != 0) {
        tl_assert(b->count < BIG_WORDS);
        b->word[b->count++] = (uint64_t)carry;
    }
}

/* Multiplies by 5^count. */
static void big_multiply_five(struct big *b, int count)
{
    for (; count >= 27; count -= 27) {
        big_multiply_add(b, 7450580596923828125u, 0); /* 5^27 */
    }
    for (; count > 0; count--) {
        big_multiply_add(b, 5, 0);
    }
}

/* Multiplies by 2^count. */
static void big_shift(struct big *b, int count)
{
    for (; count >= 63; count -= 63) {
        big_multiply_add(b, (uint64_t)1 << 63, 0);
    }
    if (count > 0) {
        big_multiply_add(b, (uint64_t)1 << count, 0);
    }
}

static int big_compare(const struct big *a, const struct big *b)
{
    if (a->count != b->count) {
        return a->count < b->count ? -1 : 1;
    }
    for (size_t i = a->count; i > 0; i--) {
        if (a->word[i - 1] != b->word[i - 1]) {
            return a->word[i - 1] < b->word[i - 1] ? -1 : 1;
        }
    }
    return 0;
}

/* Reads all digits of a token; *exponent_out is the power of ten of the last one. */
static struct big big_of_token(const char *text, size_t len, int *exponent_out)
{
    struct big b = { .count = 0 };
    struct decimal rest = { 0 };
    bool fraction = false;
    for (size_t at = 0; at < len; at++) {
        if (text[at] == 'e' || text[at] == 'E') {
            at = take_exponent(&rest, text, len, at) - 1;
        } else if (is_digit(text[at])) {
            big_multiply_add(&b, 10, (uint64_t)(text[at] - '0'));
            rest.exponent -= fraction ? 1 : 0;
        } else {
            fraction = fraction || text[at] == '.';
        }
    }
    *exponent_out = rest.exponent;
    return b;
}

/*
 * Decides, exactly, between the doubles `lower` and lower + 1 (as bits), knowing that the token
 * lies between them: compares it with the number half-way.
 */
static uint64_t choose(uint64_t lower, const char *text, size_t len)
{
    int ten = 0;
    struct big token = big_of_token(text, len, &ten);
    int biased = (int)(lower >> FRACTION_BITS);
    uint64_t fraction = lower & (HIDDEN_BIT - 1);
    uint64_t significand = biased == 0 ? fraction : HIDDEN_BIT | fraction;
    int two = LEAST_POWER - 1 + (biased == 0 ? 0 : biased - 1);
    struct big half = { .word = { 2 * significand + 1 }, .count = 1 }; /* times 2^two */

    /* token * 10^ten against half * 2^two, with all powers moved to where they are positive */
    big_multiply_five(ten > 0 ? &token : &half, ten > 0 ? ten : -ten);
    big_shift(ten > two ? &token : &half, ten > two ? ten - two : two - ten);
    int order = big_compare(&token, &half);
    return lower + (order > 0 || (order == 0 && lower % 2 == 1));
}

/*
 * Returns the bits of the double nearest to a decimal that is not zero. The product with a power
 * of ten of 128 bits leaves a narrow interval. If both its ends round to the same double, that is
 * it, because rounding keeps order; if not, the token is very near half-way between two.
 */
static uint64_t nearest(const struct decimal *d, const char *text, size_t len)
{
    if (d->exponent > 308) {
        return INFINITY_BITS;
    }
    if (d->exponent < TL_POWER_FIRST) {
        return 0;
    }
    const struct tl_power *power = power_of_ten(d->exponent);
    int shift = __builtin_clzll(d->digits);
    uint64_t digits = d->digits << shift;
    u128 product = (u128)digits * power->high + ((u128)digits * power->low >> 64);

    /* Six bits go, to keep clear of overflow: the decimal is above m - 1 and below m + 2. */
    int exponent = floor_log2_of_ten_to(d->exponent) - 127 + 64 - shift + 6;
    u128 m = product >> 6;
    u128 more = d->truncated ? (u128)1 << (64 + shift - 6) : 0; /* one in the last digit */
    uint64_t lower = round_to_double(m - 1, exponent);
    uint64_t upper = round_to_double(m + 2 + more, exponent);
    if (lower == upper) {
        return lower;
    }
    tl_assert(upper == lower + 1);
    return choose(lower, text, len);
}

enum tl_number_fault tl_number_read(const char *text, size_t len, struct tl_number *out)
{
    struct decimal d = { 0 };
    if (!scan(&d, text, len, out)) {
        return TL_NUMBER_BAD;
    }
    if (out->len > TL_NUMBER_TOKEN_MAX) {
        return TL_NUMBER_LONG;
    }
    if (d.exponent == 0 && d.digits < SAFE_MAX) {
        out->value = d.negative ? -(double)d.digits : (double)d.digits;
        return TL_NUMBER_FINE;
    }
    uint64_t bits = d.digits == 0 ? 0 : nearest(&d, text, out->len);
    if (bits == INFINITY_BITS) {
        return TL_NUMBER_LARGE;
    }
    if (bits == 0 && d.digits != 0) {
        return TL_NUMBER_VANISHING;
    }
    out->value = double_of(bits | (d.negative ? SIGN_BIT : 0));
    return bits >= BITS_2_53 && bits < BITS_1E21 ? TL_NUMBER_UNSAFE : TL_NUMBER_FINE;
}

/* ---- printing ---- */

/*
 * The first 64 bits of the 192-bit power * value, of which `power` is a little too large, with the
 * last bit set if anything follows ("round to odd"): that keeps every comparison right that needs
 * fewer bits.
 */
static uint64_t scale(const struct tl_power *power, uint64_t value)
{
    u128 low = (u128)power->low * value;
    u128 high = (u128)power->high * value + (low >> 64);
    return (uint64_t)(high >> 64) | ((uint64_t)high > 1);
}

/* What reads as one double, in units of 10^ten / 4. */
struct interval {
    uint64_t lower; /* its ends, which belong to it */
    uint64_t upper;
    uint64_t value; /* the double itself */
    int ten;
};

/*
 * The shortest decimal in an interval, the nearest to the double if there are several. Trailing
 * zeros may remain.
 */
static struct decimal pick(const struct interval *in)
{
    uint64_t s = in->value / 4;
    if (s >= 10) { /* a digit less, if exactly one such number lies in the interval */
        uint64_t t = s / 10;
        bool below = in->lower <= 40 * t;
        bool above = 40 * t + 40 <= in->upper;
        if (below != above) {
            return (struct decimal){ .digits = t + above, .exponent = in->ten + 1 };
        }
    }
    bool below = in->lower <= 4 * s;
    bool above = 4 * s + 4 <= in->upper;
    bool up = in->value > 4 * s + 2 || (in->value == 4 * s + 2 && s % 2 == 1);
    if (below != above) {
        up = above;
    }
    return (struct decimal){ .digits = s + up, .exponent = in->ten };
}

/*
 * The shortest decimal that reads as the double: the method of R. Giulietti, "The Schubfach way to
 * render doubles" (2020). The power of ten is such that the interval holds one or two multiples of
 * it, but not eleven.
 */
static struct decimal shortest(uint64_t bits)
{
    int biased = (int)(bits >> FRACTION_BITS);
    uint64_t fraction = bits & (HIDDEN_BIT - 1);
    uint64_t significand = biased == 0 ? fraction : HIDDEN_BIT | fraction;
    int two = LEAST_POWER + (biased == 0 ? 0 : biased - 1);
    bool narrow = fraction == 0 && biased > 1; /* a power of two: half the distance below */

    /* floor(log10(2^two)), or of 3/4 of that */
    int ten = floor_divide(two * 1262611 - (narrow ? 524031 : 0), 1 << 22);
    int shift = two + floor_log2_of_ten_to(-ten) + 1;
    const struct tl_power *power = power_of_ten(-ten);
    uint64_t odd = significand % 2; /* an odd one is not read from the very ends */
    struct interval in = {
        .lower = scale(power, (4 * significand - (narrow ? 1 : 2)) << shift) + odd,
        .upper = scale(power, (4 * significand + 2) << shift) - odd,
        .value = scale(power, 4 * significand << shift),
        .ten = ten,
    };
    return pick(&in);
}

/* Writes the decimal digits of a number that is not 0 to `to`; returns how many. */
static size_t print_digits(char *to, uint64_t number)
{
    char text[20];
    size_t at = sizeof(text);
    for (; number != 0; number /= 10) {
        text[--at] = (char)('0' + number % 10);
    }
    memcpy(to, text + at, sizeof(text) - at);
    return sizeof(text) - at;
}

static size_t print_exponent(char *to, int exponent)
{
    to[0] = 'e';
    to[1] = exponent < 0 ? '-' : '+';
    return 2 + print_digits(to + 2, (uint64_t)(exponent < 0 ? -exponent : exponent));
}

/* Lays out `count` digits that stand in `to`; the point belongs `point` digits from the left. */
static size_t lay_out(char *to, size_t count, int point)
{
    if (point > 21 || point <= -6) { /* d.ddde+x */
        size_t len = 1;
        if (count > 1) {
            memmove(to + 2, to + 1, count - 1);
            to[1] = '.';
            len = count + 1;
        }
        return len + print_exponent(to + len, point - 1);
    }
    if (point <= 0) { /* 0.000ddd */
        size_t zeros = (size_t)-point;
        memmove(to + 2 + zeros, to, count);
        memset(to, '0', 2 + zeros);
        to[1] = '.';
        return 2 + zeros + count;
    }
    size_t whole = (size_t)point;
    if (whole >= count) { /* ddd000 */
        memset(to + count, '0', whole - count);
        return whole;
    }
    memmove(to + whole + 1, to + whole, count - whole); /* dd.ddd */
    to[whole] = '.';
    return count + 1;
}

size_t tl_number_print(char *to, double value)
{
    uint64_t bits = bits_of(value);
    bool negative = (bits & SIGN_BIT) != 0;
    bits &= ~SIGN_BIT;
    tl_assert(bits < INFINITY_BITS);
    if (bits == 0) { /* -0 as well */
        to[0] = '0';
        return 1;
    }
    to[0] = '-';
    size_t sign = negative ? 1 : 0;
    if (bits < BITS_2_53) {
        double size = double_of(bits);
        uint64_t integer = (uint64_t)size;
        if (bits_of((double)integer) == bits) {
            return sign + print_digits(to + sign, integer);
        }
    }
    struct decimal d = shortest(bits);
    if (d.digits % 100000000 == 0) { /* a short fraction */
        d.digits /= 100000000;
        d.exponent += 8;
    }
    for (; d.digits % 10 == 0; d.exponent++) {
        d.digits /= 10;
    }
    size_t count = print_digits(to + sign, d.digits);
    return sign + lay_out(to + sign, count, (int)count + d.exponent);
}
