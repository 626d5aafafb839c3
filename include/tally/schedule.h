/*
 * tally/schedule.h - work that comes back: verification, purge, anchoring, backup; cron expressions.
 */
#ifndef TALLY_SCHEDULE_H
#define TALLY_SCHEDULE_H

#include <stdint.h>

#include <tally/error.h>
#include <tally/export.h>
#include <tally/ledger.h>
#include <tally/verdict.h>

TALLY_BEGIN_DECLS

/*
 * A cron expression: minute hour day-of-month month day-of-week, with lists, ranges, steps, names
 * (jan-dec, sun-sat, 7 is Sunday), or @hourly @daily @midnight @weekly @monthly @yearly @annually. As
 * in cron, if both day fields are restricted, either may fit. A time zone of the system's database may
 * stand in front: "TZ=Europe/Berlin 30 2 * * *". Default: UTC. Where a clock goes forward, times that
 * do not exist run once, right after the gap; where it goes back, times that come twice run once, the
 * first time; expressions whose hour is '*' or a step run on elapsed hours, all of them.
 */
struct tally_cron; /* immutable; owned: tally_cron_free() */

/* Errors: TALLY_EINVAL with the field that is wrong; TALLY_ENOTFOUND the time zone; TALLY_ENOMEM */
TALLY_API tally_status tally_cron_parse(struct tally_cron **cron_out, const char *text,
                                        struct tally_error *err);
TALLY_API void tally_cron_free(struct tally_cron *cron);

/* The first time after `after_us`, both microseconds since 1970; 0 if there is none within 8 years. */
TALLY_API int64_t tally_cron_next(const struct tally_cron *cron, int64_t after_us);

/* A job, as it stands. Borrowed for the callback. */
struct tally_job {
    const char *name; /* "verify", "purge", "anchor", "backup" */
    const char *when; /* the expression; "off" */
    int64_t last_us;  /* when it last began; 0: never */
    int64_t next_us;  /* 0: never */
    int64_t took_us;
    tally_status status; /* of the last run */
    uint64_t runs;
    uint64_t missed;    /* times that passed while nobody ran */
    const char *detail; /* what the last run said, for people; "" */
    /* "verify" alone: */
    enum tally_verdict verdict; /* of the last run */
    uint64_t verified_to;       /* contents were checked, in turns, up to this seq */
    int64_t full_pass_us;       /* when the last pass over all contents ended; 0: never */
};
typedef int tally_job_fn(void *ctx, const struct tally_job *job);

struct tally_scheduler;

/*
 * Starts a thread that runs what the configuration of `ledger` schedules (verify.schedule,
 * retention.schedule for purge, anchor.schedule, backup.schedule), while this process is the
 * sequencer. State is kept in <ledger>/schedule.json. `ledger` must be open for writing and outlive
 * it.
 */
TALLY_API tally_status tally_scheduler_start(struct tally_scheduler **scheduler_out,
                                             struct tally_ledger *ledger, struct tally_error *err);
/* What is scheduled from now on is what the configuration says now. On failure all stays as it was.
 * Errors: TALLY_EINVAL the configuration, with file, line and column; TALLY_EIO, TALLY_ENOMEM */
TALLY_API tally_status tally_scheduler_reload(struct tally_scheduler *scheduler,
                                              struct tally_error *err);
/* Waits for the job at hand to come to a safe place. NULL is allowed. */
TALLY_API void tally_scheduler_stop(struct tally_scheduler *scheduler);

/* Calls `fn` for each job of the ledger at `options`->uri, with what its state file says. Needs no
 * lock. */
TALLY_API tally_status tally_schedule_each(const struct tally_options *options, tally_job_fn *fn,
                                           void *ctx, struct tally_error *err);

/*
 * Runs one job now, in this thread: as the scheduler does. The status is that of the job.
 *
 * Errors: TALLY_EINVAL there is no such job, a backup has no backup.dir, or `ledger` is not on disk and
 *         open for writing; TALLY_ECORRUPT the verdict is not VERIFIED; TALLY_EDENIED a purge that a
 *         second person must sign; TALLY_ECONFLICT backup.dir holds something else; TALLY_EBUSY,
 *         TALLY_EIO, ENOMEM
 */
TALLY_API tally_status tally_schedule_run(struct tally_ledger *ledger, const char *name,
                                          struct tally_error *err);

TALLY_END_DECLS

#endif /* TALLY_SCHEDULE_H */
