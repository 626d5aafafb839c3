#include <string.h>

#include "codec/time.h"
#include "server/jobs.h"
#include "show/show.h"

#define DAY_US INT64_C(86400000000)

static tally_status run_purge(struct tl_job *job, struct tally_error *err)
{
    job->purged.seq = TALLY_SEQ_NONE;
    tally_status status = tally_purge(tl_job_server(job)->ledger, &job->purge, &job->actor,
                                      &job->purged, &job->act, err);
    job->has_result = status == TALLY_OK || (job->purged.purged > 0 && job->purge.dry_run == 0);
    return status;
}

static void show_purge(struct tl_js *js, const char *key, const struct tl_job *job)
{
    tl_show_purged(js, key, job->purge.dry_run != 0, &job->purged);
}

const struct tl_job_kind tl_job_purge = { "purge", run_purge, show_purge };

static bool read_before(struct tl_request *request, const struct tl_json *body, uint32_t *day_out)
{
    const char *text = NULL;
    int64_t us = 0;
    if (!tl_member_text(request, body, "before", &text)) {
        return false;
    }
    if (text == NULL) {
        return true;
    }
    if (strlen(text) != 10 || tl_time_parse_naive(&us, tl_str_of(text)) != TALLY_OK ||
        us < DAY_US) {
        tl_reply_problem(request, "bad_value", "'before' is a day, as in 2026-01-31");
        return false;
    }
    *day_out = (uint32_t)(us / DAY_US);
    return true;
}

void tl_api_purge(struct tl_request *request)
{
    static const char *const names[] = {
        "dry_run", "before", "reason", "ticket", "approval", NULL
    };
    const struct tl_json *body = NULL;
    bool is_dry = false;
    TL_CLEANUP(tl_job_free) struct tl_job *job = tl_job_new(request, &tl_job_purge);
    if (job == NULL || !tl_request_object(request, names, &body)) {
        return;
    }
    job->purge = (struct tally_purge_options)TALLY_PURGE_OPTIONS_INIT;
    if (!tl_member_bool(request, body, "dry_run", &is_dry) ||
        !read_before(request, body, &job->purge.before_day) ||
        !tl_api_actor(request, body, &job->actor)) {
        return;
    }
    if (!tl_job_keep_actor(job)) {
        tl_reply_problem(request, "internal", "out of memory");
        return;
    }
    job->purge.dry_run = is_dry ? 1 : 0;
    job->purge.progress = tl_job_note;
    job->purge.ctx = job;
    tl_job_queue(request, &job);
}
