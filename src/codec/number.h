/*
 * codec/number.h - JSON numbers to doubles and back, the same in every locale.
 *
 * Reading rounds to the nearest double, ties to even; printing gives what ECMAScript's
 * Number::toString gives (RFC 8785, 3.2.2.3). Neither uses floating-point arithmetic, so that a
 * host's rounding mode cannot change an event.
 */
#ifndef TL_CODEC_NUMBER_H
#define TL_CODEC_NUMBER_H

#include "base/base.h"

#define TL_NUMBER_TOKEN_MAX 256 /* bytes of a number as written */
#define TL_NUMBER_PRINT_MAX 32  /* room for any printed number, with some to spare */

enum tl_number_fault {
    TL_NUMBER_FINE,
    TL_NUMBER_BAD,       /* no number as RFC 8259 writes it */
    TL_NUMBER_LONG,      /* more than TL_NUMBER_TOKEN_MAX bytes */
    TL_NUMBER_LARGE,     /* beyond the largest double */
    TL_NUMBER_VANISHING, /* not zero, but nearest to zero */
    TL_NUMBER_UNSAFE, /* of 2^53 or more and below 10^21: prints as an integer that may be wrong */
};

struct tl_number {
    double value; /* of TL_NUMBER_FINE and TL_NUMBER_UNSAFE */
    size_t len;   /* bytes of the token; of TL_NUMBER_BAD: where it stops being one */
    bool integer; /* neither fraction nor exponent */
};

/* Reads the number at the start of `text`; what follows it is left to the caller. */
enum tl_number_fault tl_number_read(const char *text, size_t len, struct tl_number *out);

/* Prints a finite number to `to`, which has room for TL_NUMBER_PRINT_MAX; returns the length. */
size_t tl_number_print(char *to, double value);

#endif /* TL_CODEC_NUMBER_H */
