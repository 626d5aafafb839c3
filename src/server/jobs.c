#include "server/jobs.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/parse.h"
#include "show/show.h"

#define JOBS_MAX      100u
#define JOB_BYTES_MAX ((size_t)8 << 20) /* of what a body names, which is smaller */
#define TIDY_MS       60000u

static const char *const state_names[] = { "queued", "running", "done", "failed", "cancelled" };

struct tl_jobs {
    struct tl_server *server;
    pthread_t thread;
    struct tl_mutex mu;
    struct tl_cond queued;

    /* guarded by mu */
    struct tl_job *items[JOBS_MAX]; /* oldest first */
    size_t count;
    uint64_t number; /* of the newest */
    bool is_stopping;
};

void tl_job_free(struct tl_job **job_ptr)
{
    struct tl_job *job = *job_ptr;
    if (job != NULL) {
        tally_report_free(job->report);
        tally_free(job->act);
        tl_export_drop(job->export);
        tl_free(job->export);
        tl_arena_release(&job->arena);
        tl_free(job);
    }
    *job_ptr = NULL;
}

static bool has_ended(const struct tl_job *job)
{
    return job->state > TL_JOB_RUNNING;
}

struct tl_job *tl_job_new(struct tl_request *request, const struct tl_job_kind *kind)
{
    struct tl_job *job = tl_alloc_array(1, sizeof(*job));
    if (job == NULL) {
        tl_reply_problem(request, "internal", "out of memory");
        return NULL;
    }
    job->jobs = request->server->jobs;
    job->kind = kind;
    job->role = request->who.role;
    tl_identity_text(&request->who, job->by);
    tl_arena_init(&job->arena, JOB_BYTES_MAX);
    return job;
}

bool tl_job_keep(struct tl_job *job, const char **text)
{
    if (*text == NULL) {
        return true;
    }
    size_t size = strlen(*text) + 1;
    char *copy = tl_arena_alloc(&job->arena, size);
    if (copy == NULL) {
        return false;
    }
    *text = memcpy(copy, *text, size);
    return true;
}

bool tl_job_keep_actor(struct tl_job *job)
{
    struct tally_actor *actor = &job->actor;
    return tl_job_keep(job, &actor->by) && tl_job_keep(job, &actor->reason) &&
           tl_job_keep(job, &actor->ticket) && tl_job_keep(job, &actor->approval);
}

bool tl_job_keep_query(struct tl_job *job)
{
    size_t count = job->query.condition_count;
    if (count == 0) {
        return true;
    }
    struct tally_condition *conditions = tl_arena_alloc(&job->arena, count * sizeof(*conditions));
    bool kept = conditions != NULL;
    for (size_t i = 0; kept && i < count; i++) {
        conditions[i] = job->query.conditions[i];
        kept = tl_job_keep(job, &conditions[i].field) && tl_job_keep(job, &conditions[i].value);
    }
    job->query.conditions = conditions;
    return kept;
}

/* ---- the files of exports ---------------------------------------------------------------------- */

static bool has_file(const struct tl_job *job)
{
    return has_ended(job) && job->export != NULL && job->export->is_kept;
}

uint64_t tl_job_export_room(const struct tl_job *job)
{
    struct tl_jobs *jobs = job->jobs;
    uint64_t bytes = 0;
    tl_mutex_lock(&jobs->mu);
    for (size_t i = 0; i < jobs->count; i++) {
        bytes += has_file(jobs->items[i]) ? jobs->items[i]->export->bytes : 0;
    }
    tl_mutex_unlock(&jobs->mu);
    return bytes < TL_EXPORTS_BYTES_MAX ? TL_EXPORTS_BYTES_MAX - bytes : 0;
}

/* Drops what is too old; gives the smallest ledger that a file is of, UINT64_MAX without any. */
static uint64_t drop_old(struct tl_jobs *jobs)
{
    uint64_t oldest = UINT64_MAX;
    tl_mutex_lock(&jobs->mu);
    for (size_t i = 0; i < jobs->count; i++) {
        struct tl_job *job = jobs->items[i];
        if (has_file(job) && job->export->until_us <= tl_clock->wall_us()) {
            tl_export_drop(job->export);
        } else if (has_file(job) && job->export->tree_size < oldest) {
            oldest = job->export->tree_size;
        }
    }
    tl_mutex_unlock(&jobs->mu);
    return oldest;
}

/* Where contents were removed last, if not before `from`; else TALLY_SEQ_NONE. */
static tally_status find_removal(struct tally_ledger *ledger, uint64_t from, uint64_t *seq_out,
                                 struct tally_error *err)
{
    char text[24];
    const struct tally_condition conditions[] = { { "kind", "purge" },
                                                  { "kind", "erase" },
                                                  { "seq_from", text } };
    struct tally_query query = TALLY_QUERY_INIT;
    struct tally_page *page = NULL;
    (void)snprintf(text, sizeof(text), "%" PRIu64, from);
    query.conditions = conditions;
    query.condition_count = TL_ARRAY_LEN(conditions);
    query.limit = 1;
    TL_TRY(tally_find(ledger, &query, &page, err));
    *seq_out = page->count > 0 ? page->items[0].seq : TALLY_SEQ_NONE;
    tally_page_free(page);
    return TALLY_OK;
}

tally_status tl_jobs_tidy(struct tl_jobs *jobs, struct tally_error *err)
{
    uint64_t removal = TALLY_SEQ_NONE;
    uint64_t oldest = drop_old(jobs);
    if (oldest == UINT64_MAX) {
        return TALLY_OK;
    }
    TL_TRY(find_removal(jobs->server->ledger, oldest, &removal, err));
    if (removal == TALLY_SEQ_NONE) {
        return TALLY_OK;
    }
    tl_mutex_lock(&jobs->mu);
    for (size_t i = 0; i < jobs->count; i++) {
        if (has_file(jobs->items[i]) && jobs->items[i]->export->tree_size <= removal) {
            tl_export_drop(jobs->items[i]->export);
        }
    }
    tl_mutex_unlock(&jobs->mu);
    return TALLY_OK;
}

/* ---- on the thread ----------------------------------------------------------------------------- */

struct tl_server *tl_job_server(const struct tl_job *job)
{
    return job->jobs->server;
}

int tl_job_note(void *ctx, uint64_t done, uint64_t total)
{
    struct tl_job *job = ctx;
    tl_mutex_lock(&job->jobs->mu);
    job->done = done;
    job->total = total;
    bool is_unwanted = job->is_unwanted;
    tl_mutex_unlock(&job->jobs->mu);
    return is_unwanted ? 1 : 0;
}

static struct tl_job *next_locked(struct tl_jobs *jobs) TL_REQUIRES(jobs->mu);

/* NULL: none waits. */
static struct tl_job *next_locked(struct tl_jobs *jobs)
{
    for (size_t i = 0; i < jobs->count; i++) {
        if (jobs->items[i]->state == TL_JOB_QUEUED) {
            return jobs->items[i];
        }
    }
    return NULL;
}

static void tidy(struct tl_jobs *jobs)
{
    struct tally_error err = TALLY_ERROR_INIT;
    if (tl_jobs_tidy(jobs, &err) != TALLY_OK) { /* before a file is handed out it is tried again */
        tl_server_log(jobs->server, "exports_untidy what=\"%s\"", err.message);
    }
}

static enum tl_job_state run(struct tl_job *job)
{
    tally_status status = job->kind->run(job, &job->err);
    if (status == TALLY_OK || status == TALLY_ECANCELED) {
        return status == TALLY_OK ? TL_JOB_DONE : TL_JOB_CANCELLED;
    }
    tl_server_log(job->jobs->server, "job_failed id=j%" PRIu64 " kind=%s status=%s what=\"%s\"",
                  job->number, job->kind->name, tally_status_name(status), job->err.message);
    return TL_JOB_FAILED;
}

static void work_on_locked(struct tl_jobs *jobs, struct tl_job *job) TL_REQUIRES(jobs->mu);

static void work_on_locked(struct tl_jobs *jobs, struct tl_job *job)
{
    job->state = TL_JOB_RUNNING;
    job->started_us = tl_clock->wall_us();
    tl_mutex_unlock(&jobs->mu);
    enum tl_job_state state = run(job);
    tidy(jobs); /* before it is known to have ended: no file outlives what it removed */
    tl_mutex_lock(&jobs->mu);
    job->ended_us = tl_clock->wall_us();
    job->state = state;
}

static void *work(void *ctx)
{
    struct tl_jobs *jobs = ctx;
    tl_mutex_lock(&jobs->mu);
    while (!jobs->is_stopping) {
        struct tl_job *job = next_locked(jobs);
        if (job != NULL) {
            work_on_locked(jobs, job);
        } else if (!tl_cond_wait_for(&jobs->queued, &jobs->mu, TIDY_MS)) {
            tl_mutex_unlock(&jobs->mu);
            tidy(jobs);
            tl_mutex_lock(&jobs->mu);
        }
    }
    tl_mutex_unlock(&jobs->mu);
    return NULL;
}

tally_status tl_jobs_start(struct tl_jobs **jobs_out, struct tl_server *server,
                           struct tally_error *err)
{
    struct tl_jobs *jobs = tl_alloc_array(1, sizeof(*jobs));
    if (jobs == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "out of memory");
    }
    jobs->server = server;
    tally_status status = tl_mutex_init(&jobs->mu);
    if (status == TALLY_OK) {
        status = tl_cond_init(&jobs->queued);
        if (status == TALLY_OK) {
            status = tl_thread_start(&jobs->thread, "tally-jobs", work, jobs);
            if (status == TALLY_OK) {
                *jobs_out = jobs;
                return TALLY_OK;
            }
            tl_cond_release(&jobs->queued);
        }
        tl_mutex_release(&jobs->mu);
    }
    tl_free(jobs);
    return tl_fail(err, status, "cannot start the thread for jobs");
}

/* The caller holds the lock. */
static void cancel(struct tl_job *job)
{
    job->is_unwanted = true;
    if (job->state == TL_JOB_QUEUED) {
        job->state = TL_JOB_CANCELLED;
    }
}

void tl_jobs_stop(struct tl_jobs *jobs)
{
    if (jobs == NULL) {
        return;
    }
    tl_mutex_lock(&jobs->mu);
    jobs->is_stopping = true;
    for (size_t i = 0; i < jobs->count; i++) {
        cancel(jobs->items[i]);
    }
    tl_cond_signal(&jobs->queued);
    tl_mutex_unlock(&jobs->mu);
    tl_thread_join(jobs->thread);
    for (size_t i = 0; i < jobs->count; i++) {
        tl_job_free(&jobs->items[i]);
    }
    tl_cond_release(&jobs->queued);
    tl_mutex_release(&jobs->mu);
    tl_free(jobs);
}

uint64_t tl_jobs_running(struct tl_jobs *jobs)
{
    uint64_t count = 0;
    tl_mutex_lock(&jobs->mu);
    for (size_t i = 0; i < jobs->count; i++) {
        count += has_ended(jobs->items[i]) ? 0 : 1;
    }
    tl_mutex_unlock(&jobs->mu);
    return count;
}

/* ---- as JSON ----------------------------------------------------------------------------------- */

/* The caller holds the lock. */
static void show_which(struct tl_js *js, const struct tl_job *job)
{
    char id[24];
    (void)snprintf(id, sizeof(id), "j%" PRIu64, job->number);
    tl_js_text(js, "id", id);
    tl_js_text(js, "kind", job->kind->name);
    tl_js_text(js, "state", state_names[job->state]);
    tl_js_text(js, "by", job->by);
}

/* The caller holds the lock. */
static void show(struct tl_js *js, const struct tl_job *job)
{
    tl_js_open(js, NULL, '{');
    show_which(js, job);
    tl_show_time(js, "started_at", job->started_us);
    tl_js_open(js, "progress", '{');
    tl_js_u64(js, "done", job->done);
    tl_js_u64(js, "total", job->total);
    tl_js_close(js, '}');
    if (has_ended(job) && job->has_result) {
        job->kind->show(js, "result", job);
    } else {
        tl_js_null(js, "result");
    }
    if (job->state == TL_JOB_FAILED) {
        tl_show_act_problem(js, "problem", NULL, job->act, &job->err);
    } else {
        tl_js_null(js, "problem");
    }
    tl_js_close(js, '}');
}

/* ---- handlers ---------------------------------------------------------------------------------- */

static bool make_room_locked(struct tl_jobs *jobs) TL_REQUIRES(jobs->mu);

static bool make_room_locked(struct tl_jobs *jobs)
{
    size_t oldest = 0;
    if (jobs->count < JOBS_MAX) {
        return true;
    }
    while (oldest < jobs->count &&
           (!has_ended(jobs->items[oldest]) || has_file(jobs->items[oldest]))) {
        oldest++;
    }
    if (oldest == jobs->count) {
        return false;
    }
    tl_job_free(&jobs->items[oldest]);
    jobs->count--;
    memmove(&jobs->items[oldest], &jobs->items[oldest + 1],
            (jobs->count - oldest) * sizeof(struct tl_job *));
    return true;
}

static bool has_room_for_export_locked(const struct tl_jobs *jobs) TL_REQUIRES(jobs->mu);

static bool has_room_for_export_locked(const struct tl_jobs *jobs)
{
    size_t count = 0;
    for (size_t i = 0; i < jobs->count; i++) {
        const struct tl_job *job = jobs->items[i];
        count += job->export != NULL && (!has_ended(job) || has_file(job)) ? 1 : 0;
    }
    return count < TL_EXPORTS_MAX;
}

static const char *refused_locked(struct tl_jobs *jobs, const struct tl_job *job)
    TL_REQUIRES(jobs->mu);

/* Why a job cannot be taken; NULL: it can. */
static const char *refused_locked(struct tl_jobs *jobs, const struct tl_job *job)
{
    return job->export != NULL && !has_room_for_export_locked(jobs)
               ? "16 exports are kept or wait: delete one that is done with"
           : make_room_locked(jobs) ? NULL
                                    : "too many jobs wait already";
}

void tl_job_queue(struct tl_request *request, struct tl_job **job)
{
    struct tl_jobs *jobs = request->server->jobs;
    struct tl_js js;
    tl_mutex_lock(&jobs->mu);
    bool is_stopping = jobs->is_stopping;
    const char *refused = is_stopping ? "the server stops" : refused_locked(jobs, *job);
    if (refused != NULL) {
        tl_mutex_unlock(&jobs->mu);
        tl_reply_problem(request, is_stopping ? "stopping" : "busy", "%s", refused);
        return;
    }
    struct tl_job *taken = TL_TAKE(*job);
    taken->number = ++jobs->number;
    jobs->items[jobs->count++] = taken;
    tl_reply_header(request, "Location", "/v1/jobs/j%" PRIu64, taken->number);
    tl_reply_begin(request, 202, &js);
    show(&js, taken);
    tl_cond_signal(&jobs->queued);
    tl_mutex_unlock(&jobs->mu);
    tl_reply_end(request, &js);
}

static bool may_see(const struct tl_request *request, const struct tl_job *job)
{
    enum tl_role role = request->who.role;
    return role == TL_ROLE_ADMIN || (role == TL_ROLE_AUDITOR && job->role == TL_ROLE_AUDITOR);
}

void tl_api_jobs(struct tl_request *request)
{
    struct tl_jobs *jobs = request->server->jobs;
    struct tl_js js;
    tl_reply_begin(request, 200, &js);
    tl_js_open(&js, NULL, '{');
    tl_js_open(&js, "jobs", '[');
    tl_mutex_lock(&jobs->mu);
    for (size_t i = jobs->count; i-- > 0;) {
        if (may_see(request, jobs->items[i])) {
            show(&js, jobs->items[i]);
        }
    }
    tl_mutex_unlock(&jobs->mu);
    tl_js_close(&js, ']');
    tl_js_close(&js, '}');
    tl_reply_end(request, &js);
}

static struct tl_job *find_locked(struct tl_jobs *jobs, const struct tl_request *request)
    TL_REQUIRES(jobs->mu);

/* NULL: there is none that the caller may see. */
static struct tl_job *find_locked(struct tl_jobs *jobs, const struct tl_request *request)
{
    const char *id = request->args[0];
    uint64_t number = 0;
    if (id[0] != 'j' || tl_parse_u64(id + 1, strlen(id + 1), UINT64_MAX, &number) != TALLY_OK) {
        return NULL;
    }
    for (size_t i = 0; i < jobs->count; i++) {
        if (jobs->items[i]->number == number && may_see(request, jobs->items[i])) {
            return jobs->items[i];
        }
    }
    return NULL;
}

static void answer_one(struct tl_request *request, bool cancels)
{
    struct tl_jobs *jobs = request->server->jobs;
    struct tl_js js;
    tl_mutex_lock(&jobs->mu);
    struct tl_job *job = find_locked(jobs, request);
    if (job == NULL) {
        tl_mutex_unlock(&jobs->mu);
        tl_reply_problem(request, "not_found", "there is no such job");
        return;
    }
    if (cancels) {
        cancel(job);
    }
    if (cancels && has_file(job)) {
        tl_export_drop(job->export);
    }
    tl_reply_begin(request, 200, &js);
    show(&js, job);
    tl_mutex_unlock(&jobs->mu);
    tl_reply_end(request, &js);
}

void tl_api_job(struct tl_request *request)
{
    answer_one(request, false);
}

/* False: there is no such job. */
static bool describe(struct tl_request *request, struct tl_js *js)
{
    struct tl_jobs *jobs = request->server->jobs;
    tl_mutex_lock(&jobs->mu);
    const struct tl_job *job = find_locked(jobs, request);
    if (job != NULL) {
        tl_js_open(js, NULL, '{');
        show_which(js, job);
        tl_js_close(js, '}');
    }
    tl_mutex_unlock(&jobs->mu);
    return job != NULL;
}

void tl_api_job_cancel(struct tl_request *request)
{
    TL_CLEANUP(tl_js_release) struct tl_js js = { 0 };
    tl_js_init(&js);
    if (!describe(request, &js)) {
        tl_reply_problem(request, "not_found", "there is no such job");
    } else if (tl_server_record_about(request, "tally.job.cancel", &js)) {
        answer_one(request, true);
    }
}

/* Those that are newer than `than_us`. */
static void show_kept(struct tl_js *js, const struct tl_verified *kept, size_t count, size_t *at,
                      size_t *shown, int64_t than_us)
{
    while (*at < count && *shown < TL_VERIFIED_MAX && kept[*at].at_us > than_us) {
        tl_verified_show(js, &kept[(*at)++], NULL);
        ++*shown;
    }
}

bool tl_job_find_export(const struct tl_request *request, struct tl_export *export_out)
{
    struct tl_jobs *jobs = request->server->jobs;
    tl_mutex_lock(&jobs->mu);
    const struct tl_job *job = find_locked(jobs, request);
    bool is_there = job != NULL && has_file(job);
    if (is_there) {
        *export_out = *job->export;
    }
    tl_mutex_unlock(&jobs->mu);
    return is_there;
}

/* Of whoever asked for them: what is found out about a ledger is for all who may verify it. */
void tl_api_verify_last(struct tl_request *request)
{
    struct tl_jobs *jobs = request->server->jobs;
    struct tl_verified kept[TL_VERIFIED_MAX];
    struct tally_error err = TALLY_ERROR_INIT;
    struct tl_js js;
    size_t count = 0;
    size_t at = 0;
    size_t shown = 0;
    tally_status status = tl_verified_read(request, kept, &count, &err);
    if (status != TALLY_OK) {
        tl_request_log(request,
                       &err); /* what is here is shown, and the reply says that it is not all */
    }
    tl_reply_begin(request, 200, &js);
    tl_js_open(&js, NULL, '{');
    tl_js_bool(&js, "complete", status == TALLY_OK);
    tl_js_open(&js, "reports", '[');
    tl_mutex_lock(&jobs->mu);
    for (size_t i = jobs->count; i-- > 0 && shown < TL_VERIFIED_MAX;) {
        const struct tl_job *job = jobs->items[i];
        if (job->kind == &tl_job_verify && job->state == TL_JOB_DONE) {
            struct tl_verified verified;
            tl_verified_of(job, &verified);
            show_kept(&js, kept, count, &at, &shown, job->ended_us);
            if (shown++ < TL_VERIFIED_MAX) {
                tl_verified_show(&js, &verified, job->report);
            }
        }
    }
    tl_mutex_unlock(&jobs->mu);
    show_kept(&js, kept, count, &at, &shown, INT64_MIN);
    tl_js_close(&js, ']');
    tl_js_close(&js, '}');
    tl_reply_end(request, &js);
}
