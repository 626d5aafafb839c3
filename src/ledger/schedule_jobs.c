#include "ledger/schedule_jobs.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"

#define WHO "tally-scheduler"

/* A job at work. */
struct job_run {
    struct tally_ledger *ledger;
    struct tl_job_state *state;
    tl_job_stop_fn *stop;
    void *ctx;
};

static const struct tally_actor scheduler = { .by = WHO };

static int on_progress(void *ctx, uint64_t done, uint64_t total)
{
    const struct job_run *run = ctx;
    (void)done;
    (void)total;
    return run->stop != NULL && run->stop(run->ctx) ? 1 : 0;
}

/* Anchors that took the checkpoint, and those that did not. */
struct anchored {
    unsigned good, bad;
};

static void on_anchored(void *ctx, const struct tally_anchored *anchored)
{
    struct anchored *count = ctx;
    if (anchored->status == TALLY_OK) {
        count->good++;
    } else {
        count->bad++;
    }
}

static tally_status run_anchor(struct job_run *run, struct tally_error *err)
{
    struct anchored count = { 0 };
    if (run->ledger->config.anchor_target_count == 0) {
        (void)snprintf(run->state->detail, sizeof(run->state->detail),
                       "no anchors are configured (anchor.targets)");
        return TALLY_OK;
    }
    tally_status status = tally_anchor(run->ledger, NULL, 0, WHO, on_anchored, &count, err);
    (void)snprintf(run->state->detail, sizeof(run->state->detail),
                   "%u anchors have the newest checkpoint, %u failed", count.good, count.bad);
    return status;
}

static tally_status run_backup(struct job_run *run, struct tally_error *err)
{
    const struct tl_config *config = &run->ledger->config;
    char dir[TL_PATH_SIZE];
    if (tl_str_is(config->backup_dir, "none")) {
        return tl_fail(err, TALLY_EINVAL, "backup.schedule needs backup.dir");
    }
    tl_str_copy(dir, sizeof(dir), config->backup_dir);
    struct tally_backup_result result;
    TL_TRY(tally_backup(run->ledger, dir, &scheduler, on_progress, run, &result, err));
    (void)snprintf(run->state->detail, sizeof(run->state->detail),
                   "%" PRIu64 " leaves in the backup, %" PRIu64 " of them new", result.size,
                   result.size - result.from);
    return TALLY_OK;
}

static tally_status run_purge(struct job_run *run, struct tally_error *err)
{
    struct tally_purge_options options = TALLY_PURGE_OPTIONS_INIT;
    options.progress = on_progress;
    options.ctx = run;
    struct tally_purged purged = { 0 };
    TL_TRY(tally_purge(run->ledger, &options, &scheduler, &purged, NULL, err));
    (void)snprintf(run->state->detail, sizeof(run->state->detail),
                   "%" PRIu64 " purged, %" PRIu64 " on hold, %" PRIu64 " remaining%s",
                   purged.purged, purged.held, purged.remaining,
                   purged.left > 0 ? "; traces are left in files" : "");
    return TALLY_OK;
}

/* The evidence is checked whole each time, contents in turns. */
static void choose_part(struct job_run *run, uint64_t size, struct tally_verify_options *options)
{
    uint64_t part = run->ledger->config.verify_part;
    uint64_t first = run->state->verified_to < size ? run->state->verified_to : 0;
    if (part == 0 || part >= size) {
        return;
    }
    options->scope = TALLY_SCOPE_RANGE;
    options->first = first;
    options->last = size - first < part ? size - 1 : first + part - 1;
}

static tally_status record_verify(struct job_run *run, const struct tally_verify_options *options,
                                  const struct tally_report *report, struct tally_error *err)
{
    char metadata[400];
    (void)snprintf(
        metadata, sizeof(metadata),
        "{\"verdict\":\"%s\",\"scope\":\"%s\",\"checked\":%" PRIu64 ",\"findings\":%" PRIu64
        ",\"size\":%" PRIu64 ",\"contents\":%" PRIu64 ",\"tampered\":%" PRIu64
        ",\"unverifiable\":%" PRIu64 ",\"warnings\":%" PRIu64 "}",
        tally_verdict_name(report->verdict), options->scope == TALLY_SCOPE_ALL ? "all" : "range",
        report->checked, report->tampered + report->unverifiable + report->warnings, report->size,
        report->contents, report->tampered, report->unverifiable, report->warnings);
    return tally_record_act(run->ledger, "tally.verify", WHO, metadata, NULL, err);
}

/* A pass ends where nothing is left; only a verdict that is good moves it on. */
static void note_verified(struct job_run *run, const struct tally_verify_options *options,
                          const struct tally_report *report)
{
    struct tl_job_state *state = run->state;
    state->verdict = report->verdict;
    (void)snprintf(state->detail, sizeof(state->detail),
                   "%s: %" PRIu64 " leaves, %" PRIu64 " contents, %" PRIu64 " findings that count",
                   tally_verdict_name(report->verdict), report->leaves, report->contents,
                   report->tampered + report->unverifiable + report->warnings);
    if (report->verdict != TALLY_VERDICT_VERIFIED) {
        return;
    }
    bool whole = options->scope == TALLY_SCOPE_ALL || options->last + 1 >= report->size;
    state->verified_to = whole ? 0 : options->last + 1;
    if (whole) {
        state->full_pass_us = tl_clock->wall_us();
    }
}

static tally_status run_verify(struct job_run *run, struct tally_error *err)
{
    struct tally_info info;
    TL_TRY(tally_info(run->ledger, &info, err));
    struct tally_verify_options options = TALLY_VERIFY_OPTIONS_INIT;
    options.on_progress = on_progress;
    options.ctx = run;
    choose_part(run, info.size, &options);
    struct tally_report *report = NULL;
    TL_TRY(tally_verify(run->ledger, &options, &report, err));
    if (!report->canceled || report->verdict == TALLY_VERDICT_TAMPERED) {
        note_verified(run, &options, report);
    }
    tally_status status = report->canceled ? tl_fail(err, TALLY_ECANCELED, "it was stopped")
                                           : record_verify(run, &options, report, err);
    if (status == TALLY_OK && report->verdict != TALLY_VERDICT_VERIFIED) {
        status = tl_fail(err, TALLY_ECORRUPT, "the verdict is %s: run 'tally verify'",
                         tally_verdict_name(report->verdict));
    }
    tally_report_free(report);
    return status;
}

tally_status tl_job_run(struct tally_ledger *ledger, enum tl_job job, struct tl_job_state *state,
                        tl_job_stop_fn *stop, void *ctx, struct tally_error *err)
{
    static tally_status (*const runs[TL_JOB_COUNT])(struct job_run * run,
                                                    struct tally_error * err) = {
        [TL_JOB_ANCHOR] = run_anchor,
        [TL_JOB_BACKUP] = run_backup,
        [TL_JOB_PURGE] = run_purge,
        [TL_JOB_VERIFY] = run_verify,
    };
    struct job_run run = { .ledger = ledger, .state = state, .stop = stop, .ctx = ctx };
    struct tally_error why = TALLY_ERROR_INIT;
    int64_t start = tl_clock->steady_us();
    state->last_us = tl_clock->wall_us();
    state->detail[0] = '\0';
    state->status = runs[job](&run, &why);
    state->took_us = tl_clock->steady_us() - start;
    state->runs++;
    if (state->status == TALLY_OK) {
        return TALLY_OK;
    }
    (void)snprintf(state->detail, sizeof(state->detail), "%.199s", why.message);
    return tl_fail_with(err, state->status, &why);
}
