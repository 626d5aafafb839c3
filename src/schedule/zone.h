/*
 * schedule/zone.h - time zones: the offset from UTC at a moment, and the moment of a local time.
 *
 * Reads TZif files (RFC 8536), versions 2 and later, and the rule in their footer (POSIX TZ), which
 * holds after the last transition. All times are whole seconds since 1970; local ones as if they were
 * UTC. Days are those of the proleptic Gregorian calendar.
 */
#ifndef TL_SCHEDULE_ZONE_H
#define TL_SCHEDULE_ZONE_H

#include "base/str.h"

#define TL_ZONE_TRANSITIONS_MAX 4096u
#define TL_ZONE_FILE_MAX        ((size_t)64 << 10) /* bytes */

/* A day of the year on which daylight-saving time begins or ends. */
struct tl_zone_date {
    enum tl_zone_date_kind {
        TL_ZONE_MONTH_WEEK_DAY, /* `week` 5 is the last */
        TL_ZONE_JULIAN,         /* 1 to 365, February 29 never counted */
        TL_ZONE_DAY_OF_YEAR     /* 0 to 365 */
    } kind;
    int32_t month, week, day;
    int32_t time; /* local seconds of that day; may be negative, or days later */
};

/* What holds after the last transition. */
struct tl_zone_rule {
    bool is_known;
    bool has_dst;
    int32_t standard; /* seconds east of UTC */
    int32_t dst;
    struct tl_zone_date from, to;
};

/* Immutable after it was read. */
struct tl_zone {
    size_t count;
    int64_t at[TL_ZONE_TRANSITIONS_MAX];
    int32_t offset[TL_ZONE_TRANSITIONS_MAX]; /* from that moment on, seconds east of UTC */
    int32_t first_offset;                    /* before the first transition */
    struct tl_zone_rule rule;
};

/* Errors: TALLY_ECORRUPT the bytes are no such file; TALLY_ELIMIT too many transitions */
tally_status tl_zone_read(struct tl_zone *out, const uint8_t *bytes, size_t len);

/* Reads a POSIX TZ rule; "" gives one that is not known. Errors: TALLY_ECORRUPT */
tally_status tl_zone_rule_read(struct tl_zone_rule *out, struct tl_str text);

/* Seconds east of UTC at a moment. A NULL zone is UTC, here and below. */
int32_t tl_zone_offset(const struct tl_zone *zone, int64_t utc_s);

/* The moment of a local time: the first one where it comes twice, the end of the gap where it does not
 * come at all. */
int64_t tl_zone_moment(const struct tl_zone *zone, int64_t local_s);

/* Days since 1970 of a date, and back. */
int64_t tl_days_of_date(int64_t year, int32_t month, int32_t day);
void tl_date_of_days(int64_t days, int64_t *year_out, int32_t *month_out, int32_t *day_out);

#endif /* TL_SCHEDULE_ZONE_H */
