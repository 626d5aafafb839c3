#include "server/jobs.h"
#include "show/show.h"

static tally_status run_erase(struct tl_job *job, struct tally_error *err)
{
    struct tally_ledger *ledger = tl_job_server(job)->ledger;
    job->erased.seq = TALLY_SEQ_NONE;
    tally_status status =
        tally_erase(ledger, &job->erase, &job->actor, &job->erased, &job->act, err);
    job->has_result = status == TALLY_OK || job->erased.acts > 0;
    job->sealed_us = tl_erased_at(ledger, &job->erased);
    return status;
}

static void show_erase(struct tl_js *js, const char *key, const struct tl_job *job)
{
    tl_show_erased(js, key, &job->erase, &job->actor, &job->erased, job->sealed_us);
}

const struct tl_job_kind tl_job_erase = { "erase", run_erase, show_erase };

static bool keep_members(struct tl_job *job)
{
    struct tally_erase_options *options = &job->erase;
    const char **members = tl_arena_alloc(&job->arena, options->member_count * sizeof(*members));
    bool kept = members != NULL;
    for (size_t i = 0; kept && i < options->member_count; i++) {
        members[i] = options->members[i];
        kept = tl_job_keep(job, &members[i]);
    }
    options->members = members;
    return kept;
}

static bool is_given(const struct tl_json *body, const char *name)
{
    return tl_json_member(body, name) != NULL;
}

/* Which records: exactly one of the three. An empty filter would be all of them. */
static bool read_which(struct tl_request *request, const struct tl_json *body, struct tl_job *job)
{
    bool has_filter = is_given(body, "filter");
    int ways = is_given(body, "id") + is_given(body, "subject") + has_filter;
    if (ways != 1) {
        tl_reply_problem(request, ways == 0 ? "missing" : "bad_value",
                         "one of 'id', 'subject' and 'filter' says which records");
        return false;
    }
    if (!has_filter) {
        return tl_member_text(request, body, "id", &job->erase.id) &&
               tl_member_text(request, body, "subject", &job->erase.subject);
    }
    if (!tl_api_conditions(request, tl_json_member(body, "filter"), &job->query)) {
        return false;
    }
    if (job->query.condition_count == 0) {
        tl_reply_problem(request, "missing", "'filter' has no condition");
        return false;
    }
    job->erase.selection.query = &job->query;
    return true;
}

static bool read_erase(struct tl_request *request, const struct tl_json *body, struct tl_job *job)
{
    bool is_dry = false;
    if (!read_which(request, body, job) ||
        !tl_member_texts(request, body, "members", &job->erase.members, &job->erase.member_count) ||
        !tl_member_bool(request, body, "dry_run", &is_dry) ||
        !tl_api_actor(request, body, &job->actor)) {
        return false;
    }
    if (is_given(body, "members") && job->erase.member_count == 0) {
        tl_reply_problem(request, "missing",
                         "'members' is empty: leave it out to erase whole contents");
        return false;
    }
    if (job->actor.reason == NULL && !is_dry) {
        tl_reply_problem(request, "missing", "'reason' is missing: an erasure needs one");
        return false;
    }
    job->erase.dry_run = is_dry ? 1 : 0;
    job->erase.progress = tl_job_note;
    job->erase.ctx = job;
    return true;
}

void tl_api_erase(struct tl_request *request)
{
    static const char *const names[] = { "id",     "subject", "filter",   "members", "dry_run",
                                         "reason", "ticket",  "approval", NULL };
    const struct tl_json *body = NULL;
    TL_CLEANUP(tl_job_free) struct tl_job *job = tl_job_new(request, &tl_job_erase);
    if (job == NULL || !tl_request_object(request, names, &body)) {
        return;
    }
    job->query = (struct tally_query)TALLY_QUERY_INIT;
    job->erase = (struct tally_erase_options)TALLY_ERASE_OPTIONS_INIT;
    if (!read_erase(request, body, job)) {
        return;
    }
    if (!tl_job_keep_actor(job) || !tl_job_keep_query(job) || !keep_members(job) ||
        !tl_job_keep(job, &job->erase.id) || !tl_job_keep(job, &job->erase.subject)) {
        tl_reply_problem(request, "internal", "out of memory");
        return;
    }
    request->is_preview = job->erase.dry_run != 0;
    if (request->is_preview && !tl_server_record(request, "tally.erase")) {
        return;
    }
    tl_job_queue(request, &job);
}
