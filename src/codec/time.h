/*
 * codec/time.h - points in time as text: RFC 3339 in, its UTC form out.
 *
 * Times are microseconds since 1970-01-01T00:00:00Z without leap seconds, in the proleptic
 * Gregorian calendar, years 0001 to 9999. Nothing here knows the clock or a time zone.
 */
#ifndef TL_CODEC_TIME_H
#define TL_CODEC_TIME_H

#include "base/str.h"

#define TL_TIME_US_MIN INT64_C(-62135596800000000) /* 0001-01-01T00:00:00Z */
#define TL_TIME_US_MAX INT64_C(253402300799999999) /* 9999-12-31T23:59:59.999999Z */
#define TL_TIME_SIZE   28u                         /* the longest text and its NUL */

/*
 * Reads an RFC 3339 date-time with its offset; `T` and `Z` may be lower-case. Digits finer than a
 * microsecond are cut. A leap second, 23:59:60 in UTC, becomes the last microsecond of its minute.
 *
 * Errors: TALLY_EINVAL other text, a day that no month has, or a time outside the years above in
 *         UTC
 */
tally_status tl_time_parse(int64_t *us_out, struct tl_str text);

/*
 * The same for importers, which also meets times without an offset, taken as UTC, with one space in
 * place of the `T`, or a date alone, which is its first microsecond.
 */
tally_status tl_time_parse_naive(int64_t *us_out, struct tl_str text);

/*
 * Writes the UTC text of `us` and a NUL, with six fraction digits if the microseconds are not zero
 * and none otherwise, and returns its length. What tl_time_parse() reads, gives the same `us`. A
 * time out of range has no text: the result is "" and 0.
 */
size_t tl_time_format(char out[TL_TIME_SIZE], int64_t us);

/* The same, always with six fraction digits, so that texts sort as their times do. */
size_t tl_time_format_fixed(char out[TL_TIME_SIZE], int64_t us);

#endif /* TL_CODEC_TIME_H */
