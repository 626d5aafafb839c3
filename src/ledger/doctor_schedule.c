/* What tally_doctor() says of scheduled work: what nobody ran, what failed, and the last verdict. */
#include <stdio.h>
#include <string.h>
#include <tally/schedule.h>
#include <tally/verify.h>

#include "base/clock.h"
#include "codec/time.h"
#include "ledger/doctor.h"

#define LATE_US INT64_C(3600000000) /* one job may hold up the others for so long */

struct look {
    tl_doctor_say_fn *say;
    void *ctx;
    int64_t now_us;
    uint64_t runs;
    bool told;
};

/*
 * The time from which on the job is missing, 0 if it is not: when it was due for the first time since
 * it was run, by whomever. Once may pass: a run is written down when it ends, and where the cron of the
 * system runs a job at other hours, its configured time always comes first.
 */
static int64_t missing_since(const struct tally_job *job, int64_t now_us)
{
    struct tally_cron *cron = NULL;
    if (job->next_us == 0 || tally_cron_parse(&cron, job->when, NULL) != TALLY_OK) {
        return 0;
    }
    int64_t first = job->last_us > 0 ? tally_cron_next(cron, job->last_us) : job->next_us;
    int64_t second = first > 0 ? tally_cron_next(cron, first) : 0;
    tally_cron_free(cron);
    return second > 0 && second <= now_us && now_us - first >= LATE_US ? first : 0;
}

static void warn_of_miss(struct look *look, const struct tally_job *job, int64_t since_us)
{
    char time[TL_TIME_SIZE];
    char what[160];
    (void)tl_time_format(time, since_us); /* the length does not matter */
    (void)snprintf(what, sizeof(what), "'%s' was to run at %s, and nobody has run it since",
                   job->name, time);
    look->say(
        look->ctx, "schedule.runs", TALLY_HEALTH_WARNING, what,
        "keep 'tally schedule follow' or a program with a scheduler running; or let cron call "
        "'tally schedule run', or set its schedule to 'off'");
    look->told = true;
}

static void warn_of_failure(struct look *look, const struct tally_job *job)
{
    char time[TL_TIME_SIZE];
    char what[320];
    char advice[96];
    (void)tl_time_format(time, job->last_us); /* the length does not matter */
    (void)snprintf(what, sizeof(what), "'%s' failed at %s: %s", job->name, time, job->detail);
    (void)snprintf(advice, sizeof(advice), "remove the cause, then run 'tally schedule run %s'",
                   job->name);
    look->say(look->ctx, "schedule.runs", TALLY_HEALTH_WARNING, what, advice);
    look->told = true;
}

static bool is_bad(enum tally_verdict verdict)
{
    return verdict == TALLY_VERDICT_TAMPERED || verdict == TALLY_VERDICT_UNVERIFIABLE;
}

static void tell_verdict(const struct look *look, const struct tally_job *job)
{
    char time[TL_TIME_SIZE];
    char what[160];
    (void)tl_time_format(time, job->last_us); /* the length does not matter */
    (void)snprintf(what, sizeof(what), "the scheduled verification of %s says %s", time,
                   tally_verdict_name(job->verdict));
    if (job->verdict == TALLY_VERDICT_UNKNOWN) {
        look->say(look->ctx, "schedule.verdict", TALLY_HEALTH_OK,
                  "no scheduled verification has come to an end yet", "");
    } else if (job->status == TALLY_ECANCELED) {
        look->say(look->ctx, "schedule.verdict", TALLY_HEALTH_WARNING,
                  "the last scheduled verification was stopped before its end",
                  "run 'tally schedule run verify', or wait for its next time");
    } else if (is_bad(job->verdict)) {
        look->say(
            look->ctx, "schedule.verdict", TALLY_HEALTH_ERROR, what,
            "'tally verify' names what is wrong; when that is mended, run 'tally schedule run "
            "verify'");
    } else {
        look->say(look->ctx, "schedule.verdict", TALLY_HEALTH_OK, what, "");
    }
}

static int look_at_job(void *ctx, const struct tally_job *job)
{
    struct look *look = ctx;
    bool verifies = strcmp(job->name, "verify") == 0;
    look->runs += job->runs;
    int64_t since_us = missing_since(job, look->now_us);
    if (since_us > 0) {
        warn_of_miss(look, job, since_us);
    }
    if (job->status != TALLY_OK && job->status != TALLY_ECANCELED &&
        !(verifies && is_bad(job->verdict))) {
        warn_of_failure(look, job);
    }
    if (verifies) {
        tell_verdict(look, job);
    }
    return 0;
}

void tl_doctor_schedule(const struct tally_options *options, tl_doctor_say_fn *say, void *ctx)
{
    struct look look = { .say = say, .ctx = ctx, .now_us = tl_clock->wall_us() };
    struct tally_error error = TALLY_ERROR_INIT;
    tally_status status = tally_schedule_each(options, look_at_job, &look, &error);
    if (status == TALLY_EINVAL) {
        say(ctx, "schedule.runs", TALLY_HEALTH_ERROR, error.message,
            "correct it in the configuration: until then nothing runs by schedule");
    } else if (status != TALLY_OK) {
        say(ctx, "schedule.runs", TALLY_HEALTH_WARNING, error.message,
            "if 'schedule.json' is damaged, remove it: when jobs ran is then forgotten");
    } else if (!look.told) {
        say(ctx, "schedule.runs", TALLY_HEALTH_OK,
            look.runs == 0 ? "nothing was run by schedule yet"
                           : "what is scheduled was run, and did not fail",
            "");
    }
}
