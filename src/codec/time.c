#include "codec/time.h"

#define US_PER_SECOND   INT64_C(1000000)
#define SECONDS_PER_DAY 86400
#define DAYS_PER_400Y   146097u /* the calendar repeats after as many */
#define DAYS_TO_1970    719162  /* from 0001-01-01 */

/* What a text says, before it is checked as a whole. */
struct fields {
    uint32_t year, month, day;
    uint32_t hour, minute, second;
    uint32_t micros;
    int32_t offset_minutes; /* east of UTC */
};

/* Text that is read from the left. */
struct cursor {
    const char *at;
    const char *end;
};

static bool read_digits(struct cursor *in, size_t count, uint32_t *out)
{
    if ((size_t)(in->end - in->at) < count) {
        return false;
    }
    uint32_t value = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t digit = (uint32_t)(unsigned char)in->at[i] - '0';
        if (digit > 9) {
            return false;
        }
        value = value * 10 + digit;
    }
    in->at += count;
    *out = value;
    return true;
}

static bool read_char(struct cursor *in, char c)
{
    if (in->at == in->end || *in->at != c) {
        return false;
    }
    in->at++;
    return true;
}

/* Reads `T` in either case, and a space where that is allowed. */
static bool read_separator(struct cursor *in, bool naive)
{
    return read_char(in, 'T') || read_char(in, 't') || (naive && read_char(in, ' '));
}

/* Reads the digits after the point: one or more, of which six count. */
static bool read_fraction(struct cursor *in, uint32_t *micros)
{
    uint32_t scale = 100000;
    const char *start = in->at;
    while (in->at < in->end && *in->at >= '0' && *in->at <= '9') {
        *micros += (uint32_t)(*in->at - '0') * scale;
        scale /= 10;
        in->at++;
    }
    return in->at > start;
}

static bool read_offset(struct cursor *in, int32_t *minutes)
{
    if (read_char(in, 'Z') || read_char(in, 'z')) {
        return true;
    }
    bool west = read_char(in, '-');
    if (!west && !read_char(in, '+')) {
        return false;
    }
    uint32_t hour = 0;
    uint32_t minute = 0;
    if (!read_digits(in, 2, &hour) || !read_char(in, ':') || !read_digits(in, 2, &minute) ||
        hour > 23 || minute > 59) {
        return false;
    }
    int32_t value = (int32_t)(hour * 60 + minute);
    *minutes = west ? -value : value;
    return true;
}

static bool read_fields(struct cursor *in, bool naive, struct fields *out)
{
    if (!read_digits(in, 4, &out->year) || !read_char(in, '-') ||
        !read_digits(in, 2, &out->month) || !read_char(in, '-') || !read_digits(in, 2, &out->day)) {
        return false;
    }
    if (naive && in->at == in->end) {
        return true;
    }
    if (!read_separator(in, naive) || !read_digits(in, 2, &out->hour) || !read_char(in, ':') ||
        !read_digits(in, 2, &out->minute) || !read_char(in, ':') ||
        !read_digits(in, 2, &out->second)) {
        return false;
    }
    if (read_char(in, '.') && !read_fraction(in, &out->micros)) {
        return false;
    }
    if (naive && in->at == in->end) {
        return true;
    }
    return read_offset(in, &out->offset_minutes) && in->at == in->end;
}

static bool is_leap_year(uint32_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static bool is_date(const struct fields *f)
{
    static const uint8_t days[12] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    if (f->year == 0 || f->month - 1 > 11 || f->day == 0) {
        return false;
    }
    uint32_t last = days[f->month - 1] + (f->month == 2 && is_leap_year(f->year) ? 1u : 0u);
    return f->day <= last;
}

/*
 * Days since 0001-01-01. Years are taken to begin in March, so that the leap day is the last of its
 * year and the lengths of the months before it follow one straight line.
 */
static int64_t days_of(const struct fields *f)
{
    uint32_t year = f->month > 2 ? f->year : f->year - 1;
    uint32_t month = f->month > 2 ? f->month - 3 : f->month + 9;
    uint32_t days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5;
    return (int64_t)days + (int64_t)f->day - 307; /* 306 days from March to the year's end */
}

static tally_status parse(int64_t *us_out, struct tl_str text, bool naive)
{
    if (text.len == 0) {
        return TALLY_EINVAL;
    }
    struct cursor in = { .at = text.text, .end = text.text + text.len };
    struct fields f = { 0 };
    if (!read_fields(&in, naive, &f) || !is_date(&f) || f.hour > 23 || f.minute > 59 ||
        f.second > 60) {
        return TALLY_EINVAL;
    }
    int64_t minutes = (days_of(&f) - DAYS_TO_1970) * (SECONDS_PER_DAY / 60) +
                      (int64_t)(f.hour * 60 + f.minute) - f.offset_minutes;
    if (f.second == 60) {
        /* Leap seconds are inserted before midnight UTC and nowhere else. */
        if ((minutes + 1) % (SECONDS_PER_DAY / 60) != 0) {
            return TALLY_EINVAL;
        }
        f.second = 59;
        f.micros = 999999;
    }
    int64_t us = (minutes * 60 + f.second) * US_PER_SECOND + f.micros;
    if (us < TL_TIME_US_MIN || us > TL_TIME_US_MAX) {
        return TALLY_EINVAL;
    }
    *us_out = us;
    return TALLY_OK;
}

tally_status tl_time_parse(int64_t *us_out, struct tl_str text)
{
    return parse(us_out, text, false);
}

tally_status tl_time_parse_naive(int64_t *us_out, struct tl_str text)
{
    return parse(us_out, text, true);
}

/* The inverse of days_of(). */
static void date_of(uint32_t days, struct fields *f)
{
    days += 306; /* since the first of March of the year 0 */
    uint32_t era = days / DAYS_PER_400Y;
    uint32_t day = days % DAYS_PER_400Y;
    /* Without the leap days that lie before it, each day belongs to the year that 365 gives. */
    uint32_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    day -= 365 * year + year / 4 - year / 100;
    uint32_t month = (5 * day + 2) / 153;
    f->day = day - (153 * month + 2) / 5 + 1;
    f->month = month < 10 ? month + 3 : month - 9;
    f->year = era * 400 + year + (month < 10 ? 0 : 1);
}

static char *write_digits(char *to, uint32_t value, size_t count, char after)
{
    for (size_t i = count; i-- > 0;) {
        to[i] = (char)('0' + value % 10);
        value /= 10;
    }
    to[count] = after;
    return to + count + 1;
}

static size_t format(char *out, int64_t us, bool fixed)
{
    if (us < TL_TIME_US_MIN || us > TL_TIME_US_MAX) {
        out[0] = '\0';
        return 0;
    }
    uint64_t since_start = (uint64_t)(us - TL_TIME_US_MIN);
    uint32_t micros = (uint32_t)(since_start % (uint64_t)US_PER_SECOND);
    uint64_t seconds = since_start / (uint64_t)US_PER_SECOND;
    uint32_t second = (uint32_t)(seconds % SECONDS_PER_DAY);
    struct fields f = { 0 };
    date_of((uint32_t)(seconds / SECONDS_PER_DAY), &f);
    char *to = write_digits(out, f.year, 4, '-');
    to = write_digits(to, f.month, 2, '-');
    to = write_digits(to, f.day, 2, 'T');
    to = write_digits(to, second / 3600, 2, ':');
    to = write_digits(to, second / 60 % 60, 2, ':');
    bool with_micros = fixed || micros != 0;
    to = write_digits(to, second % 60, 2, with_micros ? '.' : 'Z');
    if (with_micros) {
        to = write_digits(to, micros, 6, 'Z');
    }
    *to = '\0';
    return (size_t)(to - out);
}

size_t tl_time_format(char out[TL_TIME_SIZE], int64_t us)
{
    return format(out, us, false);
}

size_t tl_time_format_fixed(char out[TL_TIME_SIZE], int64_t us)
{
    return format(out, us, true);
}
