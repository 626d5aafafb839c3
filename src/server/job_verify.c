#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "codec/time.h"
#include "server/jobs.h"
#include "show/show.h"

/* The parts of a ledger that a verification may be about, and the members that each needs. */
static const struct scope {
    const char *name;
    enum tally_scope scope;
    const char *needs[2];
} scopes[] = {
    { "all", TALLY_SCOPE_ALL, { NULL, NULL } },
    { "newest", TALLY_SCOPE_NEWEST, { "newest", NULL } },
    { "range", TALLY_SCOPE_RANGE, { "first", "last" } },
    { "id", TALLY_SCOPE_ID, { "id", NULL } },
};

static const char *scope_of(const struct tl_job *job)
{
    size_t at = 0;
    while (scopes[at].scope != job->verify.scope) {
        at++;
        tl_assert(at < TL_ARRAY_LEN(scopes));
    }
    return scopes[at].name;
}

void tl_verified_of(const struct tl_job *job, struct tl_verified *out)
{
    static const struct tally_report nothing = { .verdict = TALLY_VERDICT_UNKNOWN };
    const struct tally_report *report = job->report == NULL ? &nothing : job->report;
    *out = (struct tl_verified){ .at_us = job->ended_us,
                                 .checked = report->checked,
                                 .findings =
                                     report->tampered + report->unverifiable + report->warnings };
    memcpy(out->by, job->by, sizeof(out->by));
    tl_str_copy(out->verdict, sizeof(out->verdict), tl_str_of(tally_verdict_name(report->verdict)));
    tl_str_copy(out->scope, sizeof(out->scope), tl_str_of(scope_of(job)));
}

static void record_verdict(const struct tl_job *job)
{
    struct tally_error err = TALLY_ERROR_INIT;
    struct tl_verified verified;
    char started[TL_TIME_SIZE];
    char metadata[320];
    tl_verified_of(job, &verified);
    (void)tl_time_format(started, tl_job_server(job)->started_us);
    (void)snprintf(
        metadata, sizeof(metadata),
        "{\"verdict\":\"%s\",\"scope\":\"%s\",\"checked\":%" PRIu64 ",\"expected\":%" PRIu64
        ",\"findings\":%" PRIu64 ",\"job\":\"j%" PRIu64 "\",\"server_started_at\":\"%s\"}",
        verified.verdict, verified.scope, verified.checked,
        job->report == NULL ? 0 : job->report->expected, verified.findings, job->number, started);
    if (tally_record_act(tl_job_server(job)->ledger, "tally.verify", job->by, metadata, NULL,
                         &err) != TALLY_OK) {
        /* A ledger that was tampered with takes no records: the report counts all the more. */
        tl_server_log(tl_job_server(job), "verify_unrecorded job=j%" PRIu64 " ignoring: %s",
                      job->number, err.message);
    }
}

static tally_status run_verify(struct tl_job *job, struct tally_error *err)
{
    tally_status status = tally_verify(tl_job_server(job)->ledger, &job->verify, &job->report, err);
    record_verdict(job);
    TL_TRY(status);
    job->has_result = true;
    return job->report->canceled != 0 ? TALLY_ECANCELED : TALLY_OK;
}

static void show_verify(struct tl_js *js, const char *key, const struct tl_job *job)
{
    tl_show_report(js, key, job->report);
}

const struct tl_job_kind tl_job_verify = { "verify", run_verify, show_verify };

static const struct scope *find_scope(const char *name)
{
    for (size_t i = 0; i < TL_ARRAY_LEN(scopes); i++) {
        if (strcmp(scopes[i].name, name) == 0) {
            return &scopes[i];
        }
    }
    return NULL;
}

static bool needs(const struct scope *scope, const char *member)
{
    for (size_t i = 0; i < TL_ARRAY_LEN(scope->needs) && scope->needs[i] != NULL; i++) {
        if (strcmp(scope->needs[i], member) == 0) {
            return true;
        }
    }
    return false;
}

/* A member that its scope has no use for would be a limit that nobody heeds. */
static bool check_scope(struct tl_request *request, const struct tl_json *body,
                        const struct scope *scope)
{
    static const char *const members[] = { "newest", "first", "last", "id" };
    for (size_t i = 0; i < TL_ARRAY_LEN(members); i++) {
        const struct tl_json *member = tl_json_member(body, members[i]);
        bool is_there = member != NULL;
        if (is_there != needs(scope, members[i])) {
            tl_reply_problem(request, is_there ? "bad_value" : "missing",
                             is_there ? "'%s' has no meaning with the scope '%s'"
                                      : "'%s' is missing: the scope '%s' needs it",
                             members[i], scope->name);
            return false;
        }
    }
    return true;
}

static bool read_verify(struct tl_request *request, const struct tl_json *body, struct tl_job *job)
{
    struct tally_verify_options *options = &job->verify;
    const char *name = "all";
    if (!tl_member_text(request, body, "scope", &name)) {
        return false;
    }
    const struct scope *scope = find_scope(name);
    if (scope == NULL) {
        tl_reply_problem(request, "bad_value", "'scope' is all, newest, range or id");
        return false;
    }
    if (!check_scope(request, body, scope) ||
        !tl_member_u64(request, body, "newest", &options->newest) ||
        !tl_member_u64(request, body, "first", &options->first) ||
        !tl_member_u64(request, body, "last", &options->last) ||
        !tl_member_text(request, body, "id", &options->id)) {
        return false;
    }
    if (options->first > options->last) {
        tl_reply_problem(request, "bad_value", "'first' is after 'last'");
        return false;
    }
    options->scope = scope->scope;
    options->on_progress = tl_job_note;
    options->ctx = job;
    return true;
}

void tl_api_verify(struct tl_request *request)
{
    static const char *const names[] = { "scope", "newest", "first", "last", "id", NULL };
    const struct tl_json *body = NULL;
    TL_CLEANUP(tl_job_free) struct tl_job *job = tl_job_new(request, &tl_job_verify);
    if (job == NULL || !tl_request_object(request, names, &body)) {
        return;
    }
    job->verify = (struct tally_verify_options)TALLY_VERIFY_OPTIONS_INIT;
    if (!read_verify(request, body, job)) {
        return;
    }
    if (!tl_job_keep(job, &job->verify.id)) {
        tl_reply_problem(request, "internal", "out of memory");
        return;
    }
    tl_job_queue(request, &job);
}
