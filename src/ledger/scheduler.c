/* The thread that runs what is scheduled, while this process is the sequencer. */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"
#include "ledger/remote.h"
#include "ledger/schedule_jobs.h"

#define LOOK_MS    1000u
#define MISSED_MAX 100000u /* times that are counted one by one */

/* A job and its times. */
struct planned {
    struct tally_cron *cron; /* owned; NULL: off */
    int64_t next_us;
};

struct tally_scheduler {
    struct tally_ledger *ledger;
    pthread_t thread;
    struct planned planned[TL_JOB_COUNT]; /* confined to the thread once it runs */
    struct tl_schedule_state state;       /* likewise */
    int64_t seen_us;                      /* likewise; the time, when it was last looked at */
    struct tl_mutex mu;
    struct tl_cond wake;
    /* guarded by mu */
    bool stop;
    bool is_replanned; /* `replanned` is to take the place of `planned` */
    struct planned replanned[TL_JOB_COUNT];
};

static struct tl_str when_of(const struct tl_config *config, enum tl_job job)
{
    const struct tl_str when[TL_JOB_COUNT] = {
        [TL_JOB_ANCHOR] = config->anchor_schedule,
        [TL_JOB_BACKUP] = config->backup_schedule,
        [TL_JOB_PURGE] = config->retention_schedule,
        [TL_JOB_VERIFY] = config->verify_schedule,
    };
    return when[job];
}

static void plan_release(struct planned *planned)
{
    for (unsigned i = 0; i < TL_JOB_COUNT; i++) {
        tally_cron_free(planned[i].cron);
        planned[i].cron = NULL;
    }
}

static void plan_move(struct planned *to, struct planned *from)
{
    for (unsigned i = 0; i < TL_JOB_COUNT; i++) {
        to[i] = from[i];
        from[i] = (struct planned){ 0 };
    }
}

static tally_status plan_read(struct planned *planned, const struct tl_config *config,
                              struct tally_error *err)
{
    static const char *const keys[TL_JOB_COUNT] = {
        [TL_JOB_ANCHOR] = "anchor.schedule",
        [TL_JOB_BACKUP] = "backup.schedule",
        [TL_JOB_PURGE] = "retention.schedule",
        [TL_JOB_VERIFY] = "verify.schedule",
    };
    for (unsigned i = 0; i < TL_JOB_COUNT; i++) {
        char text[600];
        tl_str_copy(text, sizeof(text), when_of(config, (enum tl_job)i));
        if (strcmp(text, "off") == 0) {
            continue;
        }
        struct tally_error why = TALLY_ERROR_INIT;
        tally_status status = tally_cron_parse(&planned[i].cron, text, &why);
        if (status != TALLY_OK) {
            plan_release(planned);
            return tl_fail(err, status == TALLY_ENOTFOUND ? TALLY_EINVAL : status,
                           "%.100s: '%s' (%.60s): %.120s", tl_config_where(config, keys[i]),
                           keys[i], text, why.message);
        }
    }
    return TALLY_OK;
}

/* What the next time is reckoned from. A clock that was set back must not stop the work. */
static int64_t base_of(const struct tl_job_state *state, int64_t now)
{
    int64_t base = state->last_us > state->since_us ? state->last_us : state->since_us;
    return base > now ? now : base;
}

static void plan_next(struct planned *planned, const struct tl_job_state *state, int64_t now)
{
    planned->next_us =
        planned->cron == NULL ? 0 : tally_cron_next(planned->cron, base_of(state, now));
}

/* Times that passed since, but for the one that is run now. */
static uint64_t count_missed(const struct planned *planned, int64_t now)
{
    uint64_t missed = 0;
    int64_t at = tally_cron_next(planned->cron, planned->next_us);
    while (at != 0 && at <= now && missed < MISSED_MAX) {
        missed++;
        at = tally_cron_next(planned->cron, at);
    }
    return missed;
}

static bool must_stop(void *ctx)
{
    struct tally_scheduler *scheduler = ctx;
    tl_mutex_lock(&scheduler->mu);
    bool stop = scheduler->stop;
    tl_mutex_unlock(&scheduler->mu);
    return stop;
}

static bool is_sequencer(struct tally_ledger *ledger)
{
    tl_mutex_lock(&ledger->queue.mu);
    bool sequencing = ledger->queue.sequencing;
    tl_mutex_unlock(&ledger->queue.mu);
    return sequencing;
}

/* Others run jobs too, and write down what they ran. */
static tally_status save(struct tally_ledger *ledger, enum tl_job job,
                         const struct tl_job_state *state, struct tally_error *err)
{
    TL_TRY(tl_gate_enter(ledger, TL_GATE_SCHEDULE, true, err));
    tally_status status = tl_schedule_state_put(job, state, ledger->paths.dir, err);
    tl_gate_leave(ledger, TL_GATE_SCHEDULE);
    return status;
}

/* What the file says counts, if it can be read. */
static void reload(struct tally_scheduler *scheduler, int64_t now)
{
    struct tl_schedule_state state;
    if (tl_schedule_state_load(&state, scheduler->ledger->paths.dir, NULL) == TALLY_OK) {
        scheduler->state = state;
    }
    for (unsigned i = 0; i < TL_JOB_COUNT; i++) {
        struct tl_job_state *job = &scheduler->state.jobs[i];
        if (job->since_us == 0 || job->since_us > now) {
            job->since_us = now;
            /* If it cannot be written, what was run shows in the ledger all the same. */
            (void)save(scheduler->ledger, (enum tl_job)i, job, NULL);
        }
    }
}

static void plan_all(struct tally_scheduler *scheduler, int64_t now)
{
    for (unsigned i = 0; i < TL_JOB_COUNT; i++) {
        plan_next(&scheduler->planned[i], &scheduler->state.jobs[i], now);
    }
}

static void run_if_due(struct tally_scheduler *scheduler, enum tl_job job)
{
    struct planned *planned = &scheduler->planned[job];
    struct tl_job_state *state = &scheduler->state.jobs[job];
    int64_t now = tl_clock->wall_us();
    if (planned->next_us == 0 || now < planned->next_us) {
        return;
    }
    reload(scheduler, now); /* another process may have run it meanwhile */
    state->missed += count_missed(planned, now);
    (void)tl_job_run(scheduler->ledger, job, state, must_stop, scheduler, NULL); /* in `state` */
    scheduler->seen_us = tl_clock->wall_us();
    plan_next(planned, state, scheduler->seen_us);
    (void)save(scheduler->ledger, job, state, NULL); /* as above */
}

/* Plans anew in a new office, and when the clock was set back: the next time may be years away. */
static void plan_if_needed(struct tally_scheduler *scheduler, bool is_new)
{
    int64_t now = tl_clock->wall_us();
    if (is_new) {
        reload(scheduler, now);
    }
    if (is_new || now < scheduler->seen_us) {
        plan_all(scheduler, now);
    }
    scheduler->seen_us = now;
}

static bool take_replanned(struct tally_scheduler *scheduler)
{
    tl_mutex_lock(&scheduler->mu);
    bool is_new = scheduler->is_replanned;
    if (is_new) {
        plan_release(scheduler->planned);
        plan_move(scheduler->planned, scheduler->replanned);
        scheduler->is_replanned = false;
    }
    tl_mutex_unlock(&scheduler->mu);
    return is_new;
}

static void *run_scheduler(void *ctx)
{
    struct tally_scheduler *scheduler = ctx;
    bool in_office = false;
    while (!must_stop(scheduler)) {
        bool may_run = is_sequencer(scheduler->ledger);
        bool is_replanned = take_replanned(scheduler);
        if (may_run) {
            plan_if_needed(scheduler, !in_office || is_replanned);
        }
        in_office = may_run;
        for (unsigned i = 0; in_office && i < TL_JOB_COUNT && !must_stop(scheduler); i++) {
            run_if_due(scheduler, (enum tl_job)i);
        }
        tl_mutex_lock(&scheduler->mu);
        if (!scheduler->stop) {
            (void)tl_cond_wait_for(&scheduler->wake, &scheduler->mu, LOOK_MS);
        }
        tl_mutex_unlock(&scheduler->mu);
    }
    return NULL;
}

static void scheduler_free(struct tally_scheduler *scheduler)
{
    plan_release(scheduler->planned);
    plan_release(scheduler->replanned);
    tl_mutex_release(&scheduler->mu);
    tl_cond_release(&scheduler->wake);
    tl_free(scheduler);
}

tally_status tally_scheduler_start(struct tally_scheduler **scheduler_out,
                                   struct tally_ledger *ledger, struct tally_error *err)
{
    TL_TRY(tl_refuse_inherited(ledger, err));
    TL_TRY(tl_remote_refuse(ledger, err));
    if (!ledger->writable || ledger->paths.memory) {
        return tl_fail(err, TALLY_EINVAL,
                       "work is scheduled for a ledger on disk that is open for writing");
    }
    struct tally_scheduler *scheduler = tl_alloc_array(1, sizeof(*scheduler));
    if (scheduler == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a scheduler");
    }
    scheduler->ledger = ledger;
    if (tl_mutex_init(&scheduler->mu) != TALLY_OK || tl_cond_init(&scheduler->wake) != TALLY_OK) {
        tl_free(scheduler);
        return tl_fail(err, TALLY_ENOMEM, "cannot initialise locks");
    }
    tally_status status = plan_read(scheduler->planned, &ledger->config, err);
    if (status == TALLY_OK) {
        status = tl_thread_start(&scheduler->thread, "tally-schedule", run_scheduler, scheduler);
        if (status != TALLY_OK) {
            (void)tl_fail(err, status, "cannot start the scheduler's thread");
        }
    }
    if (status != TALLY_OK) {
        scheduler_free(scheduler);
        return status;
    }
    *scheduler_out = scheduler;
    return TALLY_OK;
}

tally_status tally_scheduler_reload(struct tally_scheduler *scheduler, struct tally_error *err)
{
    struct planned planned[TL_JOB_COUNT] = { { 0 } };
    TL_CLEANUP(tl_config_freep) struct tl_config *config = NULL;
    TL_TRY(tl_refuse_inherited(scheduler->ledger, err));
    TL_TRY(tl_config_reread(scheduler->ledger, NULL, 0, &config, err));
    TL_TRY(plan_read(planned, config, err));
    tl_mutex_lock(&scheduler->mu);
    plan_release(scheduler->replanned);
    plan_move(scheduler->replanned, planned);
    scheduler->is_replanned = true;
    tl_cond_broadcast(&scheduler->wake);
    tl_mutex_unlock(&scheduler->mu);
    return TALLY_OK;
}

tally_status tl_schedule_check(const struct tl_config *config, struct tally_error *err)
{
    struct planned planned[TL_JOB_COUNT] = { { 0 } };
    TL_TRY(plan_read(planned, config, err));
    plan_release(planned);
    return TALLY_OK;
}

void tally_scheduler_stop(struct tally_scheduler *scheduler)
{
    if (scheduler == NULL || tl_ledger_is_inherited(scheduler->ledger)) {
        return; /* the thread is that of the parent, and the locks are as it left them */
    }
    tl_mutex_lock(&scheduler->mu);
    scheduler->stop = true;
    tl_cond_broadcast(&scheduler->wake);
    tl_mutex_unlock(&scheduler->mu);
    tl_thread_join(scheduler->thread);
    scheduler_free(scheduler);
}

static void tell(const struct tl_job_state *state, const struct planned *planned, const char *name,
                 struct tl_str when, tally_job_fn *fn, void *ctx, bool *stop)
{
    char text[600];
    tl_str_copy(text, sizeof(text), when);
    const struct tally_job job = { .name = name,
                                   .when = text,
                                   .last_us = state->last_us,
                                   .next_us = planned->next_us,
                                   .took_us = state->took_us,
                                   .status = state->status,
                                   .runs = state->runs,
                                   .missed = state->missed,
                                   .detail = state->detail,
                                   .verdict = state->verdict,
                                   .verified_to = state->verified_to,
                                   .full_pass_us = state->full_pass_us };
    *stop = fn(ctx, &job) != 0;
}

/* A time that has passed shows how many were missed since, running or not. */
static tally_status tell_all(const struct tl_config *config, const char *dir, tally_job_fn *fn,
                             void *ctx, struct tally_error *err)
{
    struct planned planned[TL_JOB_COUNT] = { { 0 } };
    TL_CLEANUP(tl_freep) struct tl_schedule_state *state = tl_alloc_array(1, sizeof(*state));
    if (state == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a schedule");
    }
    TL_TRY(plan_read(planned, config, err));
    tally_status status = tl_schedule_state_load(state, dir, err);
    int64_t now = tl_clock->wall_us();
    bool stop = status != TALLY_OK;
    for (unsigned i = 0; i < TL_JOB_COUNT && !stop; i++) {
        struct tl_job_state *job = &state->jobs[i];
        job->since_us = job->since_us == 0 ? now : job->since_us;
        plan_next(&planned[i], job, now);
        if (planned[i].next_us != 0 && planned[i].next_us <= now) {
            job->missed += count_missed(&planned[i], now);
        }
        tell(job, &planned[i], tl_job_name((enum tl_job)i), when_of(config, (enum tl_job)i), fn,
             ctx, &stop);
    }
    plan_release(planned);
    return status;
}

static tally_status require_directory(const char *dir, struct tally_error *err)
{
    if (tl_io->access(dir, F_OK) != 0) {
        return tl_fail_errno(err, errno == ENOENT ? TALLY_ENOTFOUND : TALLY_EIO, errno,
                             "there is no ledger at '%s'", dir);
    }
    return TALLY_OK;
}

tally_status tally_schedule_each(const struct tally_options *options, tally_job_fn *fn, void *ctx,
                                 struct tally_error *err)
{
    TL_CLEANUP(tl_freep) struct tl_paths *paths = tl_alloc_array(1, sizeof(*paths));
    TL_CLEANUP(tl_freep) struct tl_config *config = tl_alloc_array(1, sizeof(*config));
    if (paths == NULL || config == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate settings");
    }
    TL_TRY(tl_options_read(options, paths, config, err));
    tally_status status = require_directory(paths->dir, err);
    if (status == TALLY_OK) {
        status = tell_all(config, paths->dir, fn, ctx, err);
    }
    tl_config_release(config);
    return status;
}

tally_status tally_schedule_run(struct tally_ledger *ledger, const char *name,
                                struct tally_error *err)
{
    enum tl_job job = tl_job_of(name);
    if (job == TL_JOB_COUNT) {
        return tl_fail(err, TALLY_EINVAL,
                       "there is no job '%.40s': verify, purge, anchor or backup", name);
    }
    TL_TRY(tl_remote_refuse(ledger, err));
    if (!ledger->writable || ledger->paths.memory) {
        return tl_fail(err, TALLY_EINVAL, "jobs need a ledger on disk that is open for writing");
    }
    TL_CLEANUP(tl_freep) struct tl_schedule_state *state = tl_alloc_array(1, sizeof(*state));
    if (state == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a schedule");
    }
    (void)tl_schedule_state_load(state, ledger->paths.dir, NULL); /* lost: it begins anew */
    tally_status status = tl_job_run(ledger, job, &state->jobs[job], NULL, NULL, err);
    tally_status saved = save(ledger, job, &state->jobs[job], err);
    return status != TALLY_OK ? status : saved;
}
