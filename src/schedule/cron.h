/*
 * schedule/cron.h - cron expressions over bytes and a time zone already read; tally/schedule.h says
 * what they mean.
 */
#ifndef TL_SCHEDULE_CRON_H
#define TL_SCHEDULE_CRON_H

#include <tally/schedule.h>

#include "schedule/zone.h"

#define TL_CRON_TEXT_MAX 512u /* bytes */

/* The five fields; a bit for each value that fits. */
struct tl_cron_fields {
    uint64_t minutes;    /* 0-59 */
    uint32_t hours;      /* 0-23 */
    uint32_t days;       /* 1-31 */
    uint32_t months;     /* 1-12 */
    uint32_t weekdays;   /* 0-6, Sunday is 0 */
    bool any_day;        /* the day of the month is not restricted */
    bool any_weekday;    /* nor the day of the week */
    bool counts_elapsed; /* the hour is not restricted, or a step: see tally/schedule.h */
};

struct tally_cron {
    struct tl_cron_fields fields;
    struct tl_zone *zone; /* owned; NULL is UTC */
};

/* Reads the fields, without a zone in front. Errors: TALLY_EINVAL with the field that is wrong */
tally_status tl_cron_fields_read(struct tl_cron_fields *out, struct tl_str text,
                                 struct tally_error *err);

/* The first whole minute after `after_s` that fits, in seconds since 1970; 0 if there is none within
 * 8 years. */
int64_t tl_cron_fields_next(const struct tl_cron_fields *fields, const struct tl_zone *zone,
                            int64_t after_s);

#endif /* TL_SCHEDULE_CRON_H */
