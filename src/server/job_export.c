#include "server/job_export.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <tally/bundle.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "server/jobs.h"
#include "server/tar.h"

#define KEPT_US    INT64_C(86400000000)
#define REASON_MAX 1024u

static const struct tl_export_format formats[] = {
    { "ndjson", "tally-export.ndjson", "application/x-ndjson", false, true, TALLY_FORMAT_NDJSON },
    { "json", "tally-export.json", "application/json", false, true, TALLY_FORMAT_JSON },
    { "csv", "tally-export.csv", "text/csv; charset=utf-8", false, true, TALLY_FORMAT_CSV },
    { "bundle", "tally-bundle.tar", "application/x-tar", true, true, TALLY_FORMAT_NDJSON },
    { "tlog", "tally-tlog.tar", "application/x-tar", true, false, TALLY_FORMAT_NDJSON },
};

void tl_export_drop(struct tl_export *export)
{
    if (export != NULL && export->is_kept) {
        tl_exports_remove(export->path);
        export->is_kept = false;
    }
}

/* ---- on the thread ----------------------------------------------------------------------------- */

/* One run. */
struct run {
    struct tl_job *job;
    struct tl_export *export;
    const struct tl_exports *exports;
    struct tl_export_file file;
    struct tally_error disk; /* why it may not go on */
};

static tally_status write_records_part(void *ctx, const char *bytes, size_t len)
{
    struct run *run = ctx;
    return tl_export_file_write(&run->file, bytes, len);
}

static int note_records(void *ctx, uint64_t done, uint64_t total)
{
    const struct run *run = ctx;
    return tl_job_note(run->job, done, total);
}

static tally_status write_records(struct run *run, struct tally_error *err)
{
    struct tally_export_options options = TALLY_EXPORT_OPTIONS_INIT;
    struct tally_export_result result = { 0 };
    options.format = run->export->format->format;
    options.write = write_records_part;
    options.progress = note_records;
    options.ctx = run;
    tally_status status =
        tally_export(tl_job_server(run->job)->ledger, &run->job->query, &options, &result, err);
    run->export->records = result.count;
    run->export->tree_size = result.tree_size;
    memcpy(run->export->manifest, result.manifest, sizeof(result.manifest));
    return status;
}

static int note_directory(void *ctx, uint64_t done, uint64_t total)
{
    struct run *run = ctx;
    bool has_room = tl_exports_room(run->exports, &run->disk) == TALLY_OK;
    return tl_job_note(run->job, done, total) != 0 || !has_room ? 1 : 0;
}

static tally_status make_directory(struct run *run, const char *dir, struct tally_error *err)
{
    struct tally_bundle_options options = TALLY_BUNDLE_OPTIONS_INIT;
    struct tally_bundle_result result = { 0 };
    const struct tally_query *query = &run->job->query;
    bool has_contents = run->export->format->has_contents;
    options.selection.query = query->condition_count > 0 ? query : NULL;
    options.tlog_only = has_contents ? 0 : 1;
    options.progress = note_directory;
    options.ctx = run;
    tally_status status =
        tally_bundle_write(tl_job_server(run->job)->ledger, dir, &options, &result, err);
    run->export->records = has_contents ? result.contents : result.size;
    run->export->tree_size = result.size;
    return status;
}

static tally_status write_directory(struct run *run, struct tally_error *err)
{
    char dir[TL_EXPORT_PATH_SIZE + 8];
    (void)snprintf(dir, sizeof(dir), "%s.dir", run->export->path);
    const struct tl_tar_options options = {
        .name = run->export->format->has_contents ? "tally-bundle" : "tally-tlog",
        .time_s = tl_clock->wall_us() / 1000000,
        .write = tl_export_file_write,
        .ctx = &run->file,
    };
    tally_status status = make_directory(run, dir, err);
    if (status == TALLY_OK) {
        status = tl_tar_directory(dir, &options, err);
    }
    tl_exports_remove(dir);
    return status;
}

static tally_status write_file(struct run *run, struct tally_error *err)
{
    struct tally_error why = TALLY_ERROR_INIT;
    TL_TRY(tl_export_file_begin(&run->file, run->exports, run->export->path,
                                tl_job_export_room(run->job), err));
    tally_status status =
        run->export->format->is_directory ? write_directory(run, &why) : write_records(run, &why);
    TL_TRY(tl_export_file_end(&run->file, err)); /* what failed there comes first */
    if (run->disk.status != TALLY_OK) {
        return tl_fail_with(err, run->disk.status, &run->disk);
    }
    return status == TALLY_OK ? status : tl_fail_with(err, status, &why);
}

static tally_status run_export(struct tl_job *job, struct tally_error *err)
{
    struct tl_export *export = job->export;
    struct run run = {
        .job = job, .export = export, .exports = &tl_job_server(job)->kept, .disk = TALLY_ERROR_INIT
    };
    uint8_t digest[TL_SHA256_LEN];
    (void)snprintf(export->path, sizeof(export->path), "%s/j%" PRIu64 ".%s", run.exports->dir,
                   job->number, export->format->name);
    tally_status status = write_file(&run, err);
    if (status != TALLY_OK) {
        tl_exports_remove(export->path);
        return status;
    }
    tl_sha256_end(&run.file.hash, digest);
    tl_hex_encode(export->sha256, digest, sizeof(digest));
    export->bytes = run.file.bytes;
    export->until_us = tl_clock->wall_us() + KEPT_US;
    export->is_kept = true;
    job->has_result = true;
    return TALLY_OK;
}

static void show_export(struct tl_js *js, const char *key, const struct tl_job *job)
{
    const struct tl_export *export = job->export;
    char file[48];
    (void)snprintf(file, sizeof(file), "/v1/jobs/j%" PRIu64 "/file", job->number);
    tl_js_open(js, key, '{');
    tl_js_text(js, "format", export->format->name);
    tl_js_u64(js, "records", export->records);
    tl_js_u64(js, "tree_size", export->tree_size);
    tl_js_u64(js, "bytes", export->bytes);
    tl_js_text(js, "sha256", export->sha256);
    tl_js_text(js, "file", export->is_kept ? file : NULL);
    tl_js_time(js, "kept_until", export->until_us);
    if (export->manifest[0] != '\0') {
        tl_js_raw(js, "manifest", tl_str_of(export->manifest));
    } else {
        tl_js_null(js, "manifest");
    }
    tl_js_close(js, '}');
}

const struct tl_job_kind tl_job_export = { "export", run_export, show_export };

/* ---- POST /v1/exports ---------------------------------------------------------------------------- */

static const struct tl_export_format *find_format(const char *name)
{
    for (size_t i = 0; i < TL_ARRAY_LEN(formats); i++) {
        if (name != NULL && strcmp(formats[i].name, name) == 0) {
            return &formats[i];
        }
    }
    return NULL;
}

static bool read_export(struct tl_request *request, const struct tl_json *body, struct tl_job *job,
                        const char **reason)
{
    const char *name = NULL;
    const struct tl_json *filter = tl_json_member(body, "filter");
    if (!tl_member_text(request, body, "format", &name) ||
        !tl_member_text(request, body, "reason", reason)) {
        return false;
    }
    job->export->format = find_format(name);
    if (job->export->format == NULL) {
        tl_reply_problem(request, name == NULL ? "missing" : "bad_value",
                         "'format' is ndjson, json, csv, bundle or tlog");
        return false;
    }
    if (*reason != NULL && strlen(*reason) > REASON_MAX) {
        tl_reply_problem(request, "bad_value", "'reason' is limited to %u bytes", REASON_MAX);
        return false;
    }
    if (filter != NULL && !job->export->format->has_contents) {
        tl_reply_problem(request, "bad_value",
                         "'filter' has no meaning with the format 'tlog': it has no contents");
        return false;
    }
    return filter == NULL ||
           (tl_api_conditions(request, filter, &job->query) && tl_api_try(request, &job->query));
}

/* The names of the filters alone, as of all who look: never what is looked for. */
static void describe(struct tl_js *js, const struct tl_job *job, const char *reason)
{
    tl_js_open(js, NULL, '{');
    tl_js_text(js, "format", job->export->format->name);
    tl_js_open(js, "filter", '[');
    for (size_t i = 0; i < job->query.condition_count; i++) {
        tl_js_text(js, NULL, job->query.conditions[i].field);
    }
    tl_js_close(js, ']');
    if (reason != NULL) {
        tl_js_text(js, "reason", reason);
    }
    tl_js_close(js, '}');
}

static bool record_export(struct tl_request *request, const struct tl_job *job, const char *reason)
{
    TL_CLEANUP(tl_js_release) struct tl_js js = { 0 };
    tl_js_init(&js);
    describe(&js, job, reason);
    return tl_server_record_about(request, "tally.export", &js);
}

void tl_api_export_job(struct tl_request *request)
{
    static const char *const names[] = { "format", "filter", "reason", NULL };
    const struct tl_json *body = NULL;
    const char *reason = NULL;
    TL_CLEANUP(tl_job_free) struct tl_job *job = tl_job_new(request, &tl_job_export);
    if (job == NULL || !tl_request_object(request, names, &body)) {
        return;
    }
    if (request->server->kept.dir[0] == '\0') {
        tl_reply_problem(request, "not_supported",
                         "this server has no directory for exports: its log says why");
        return;
    }
    job->query = (struct tally_query)TALLY_QUERY_INIT;
    job->export = tl_alloc_array(1, sizeof(*job->export));
    if (job->export == NULL) {
        tl_reply_problem(request, "internal", "out of memory");
        return;
    }
    if (!read_export(request, body, job, &reason)) {
        return;
    }
    if (!tl_job_keep_query(job)) {
        tl_reply_problem(request, "internal", "out of memory");
        return;
    }
    if (record_export(request, job, reason)) {
        tl_job_queue(request, &job);
    }
}

/* ---- GET /v1/jobs/{id}/file ---------------------------------------------------------------------- */

static bool record_download(struct tl_request *request)
{
    TL_CLEANUP(tl_js_release) struct tl_js js = { 0 };
    tl_js_init(&js);
    tl_js_open(&js, NULL, '{');
    tl_js_text(&js, "job", request->args[0]);
    tl_js_close(&js, '}');
    return tl_server_record_about(request, "tally.export", &js);
}

void tl_api_job_file(struct tl_request *request)
{
    struct tl_export found;
    struct tally_error err = TALLY_ERROR_INIT;
    if (tl_jobs_tidy(request->server->jobs, &err) != TALLY_OK) {
        tl_reply_error(request, &err);
        return;
    }
    if (!tl_job_find_export(request, &found)) {
        tl_reply_problem(request, "not_found", "there is no file of such a job");
        return;
    }
    if (!record_download(request)) {
        return;
    }
    tl_reply_header(request, "Content-Disposition", "attachment; filename=\"%s\"",
                    found.format->file_name);
    tl_reply_file(request, found.format->content_type, found.path, found.bytes);
}
