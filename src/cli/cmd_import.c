#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/cmd.h"
#include "cli/import.h"
#include "cli/import_lexigram.h"
#include "cli/out.h"

static const struct tl_opt opts[] = {
    { "format", 0, "ndjson|json|csv|cloudtrail|lexigram",
      "guessed from name and content if not given" },
    { "from", 0, "ndjson|json|csv|cloudtrail|lexigram", "the same as --format" },
    { "rejects", 0, "FILE", "where lines go that are refused; else a new file in the ledger" },
    { "map", 0, "COLUMN=MEMBER", "csv: what a column is; - leaves it out; may be given again" },
    { "allow-duplicates", 0, NULL, "equal lines without id are different events" },
    { "retain-from", 0, "occurred|now", "what retention counts from; now, but lexigram: occurred" },
    { "dry-run", 0, NULL, "check the input and record nothing" },
    { "sqlite", 0, "FILE", "lexigram: the database" },
    { "table", 0, "TABLE", "lexigram: audit_log if not given" },
    { "name", 0, "NAME", "lexigram: what ids begin with; else the name of the table" },
    { "key-file", 0, "FILE", "lexigram: the key of the old checksums" },
    { "key-encoding", 0, "auto|utf8|hex|base64",
      "lexigram: how the key is written; auto tries all" },
    { "no-verify", 0, NULL, "lexigram: do not check the old checksums" },
    { "drop-original", 0, NULL, "lexigram: do not keep the columns as stored" },
    { 0 },
};

enum format { FORMAT_NDJSON, FORMAT_JSON, FORMAT_CSV, FORMAT_CLOUDTRAIL, FORMAT_LEXIGRAM };

/* The state of one command. */
struct run {
    struct tl_cli *cli;
    const struct tl_args *args;
    const char *format; /* NULL: guessed for each file */
    struct tl_import *import;
    struct tl_paths paths;
    struct tl_import_map *maps;
    size_t map_count;
    uint64_t bytes_total; /* of all files; 0 if that is not known */
    uint64_t bytes_done;  /* of those before the one being read */
    bool has_lexigram;
    struct tl_lexigram_report lexigram;
    struct tl_progress progress;
    enum tl_exit exit_status;
};

static bool ends_with(const char *name, const char *ending)
{
    size_t name_len = strlen(name);
    size_t len = strlen(ending);
    return name_len >= len && strcmp(name + name_len - len, ending) == 0;
}

static bool is_sqlite(const char *name)
{
    return ends_with(name, ".db") || ends_with(name, ".sqlite") || ends_with(name, ".sqlite3");
}

/* Whether the first characters of JSON are those of a CloudTrail file. */
static bool looks_like_cloudtrail(struct tl_str window)
{
    size_t len = window.len < 200 ? window.len : 200;
    return memmem(window.text, len, "\"Records\"", sizeof("\"Records\"") - 1) != NULL;
}

/* One object to a line is NDJSON, however the file is called; an array, or an object over several
 * lines, is JSON. */
static enum format guess(const char *name, struct tl_str window)
{
    if (ends_with(name, ".csv") || ends_with(name, ".csv.gz")) {
        return FORMAT_CSV;
    }
    size_t at = 0;
    while (at < window.len && strchr(" \t\r\n", window.text[at]) != NULL) {
        at++;
    }
    window = (struct tl_str){ window.text + at, window.len - at };
    if (tl_str_starts(window, TL_STR("{")) && looks_like_cloudtrail(window)) {
        return FORMAT_CLOUDTRAIL;
    }
    if (ends_with(name, ".json") || ends_with(name, ".json.gz") ||
        tl_str_starts(window, TL_STR("["))) {
        return FORMAT_JSON;
    }
    return FORMAT_NDJSON;
}

static enum format format_of(const char *word)
{
    static const char *const words[] = { "ndjson", "json", "csv", "cloudtrail", "lexigram" };
    for (size_t i = 0; i < TL_ARRAY_LEN(words); i++) {
        if (strcmp(word, words[i]) == 0) {
            return (enum format)i;
        }
    }
    return FORMAT_NDJSON; /* the table of options lets no other word in */
}

static void show_progress(void *ctx, const struct tl_source *source)
{
    struct run *run = ctx;
    tl_progress_show(&run->progress, run->cli, "importing", run->bytes_done + source->bytes_read,
                     run->bytes_total);
}

static tally_status flush_idle(void *ctx, struct tally_error *err)
{
    struct run *run = ctx;
    return tl_import_flush(run->import, err);
}

static tally_status read_source(struct run *run, struct tl_source *source, struct tally_error *err)
{
    enum format format = run->format != NULL ? format_of(run->format)
                                             : guess(source->path, tl_source_window(source));
    source->on_idle = flush_idle;
    source->on_read = show_progress;
    source->ctx = run;
    switch (format) {
    case FORMAT_NDJSON:
        return tl_import_ndjson(run->import, source, err);
    case FORMAT_JSON:
        return tl_import_json(run->import, source, err);
    case FORMAT_CSV:
        return tl_import_csv(run->import, source, err);
    case FORMAT_CLOUDTRAIL:
        return tl_import_cloudtrail(run->import, source, err);
    case FORMAT_LEXIGRAM:
        break; /* is no stream: read_file() knows */
    }
    return tl_fail(err, TALLY_EINVAL, "a database cannot be read as a stream");
}

static tally_status read_lexigram(struct run *run, const char *path, struct tally_error *err)
{
    const struct tl_args *args = run->args;
    const char *table = tl_args_value(args, "table");
    const char *encoding = tl_args_value(args, "key-encoding");
    struct tl_lexigram_options options = {
        .table = table != NULL ? table : "audit_log",
        .name = tl_args_value(args, "name"),
        .key_path = tl_args_has(args, "no-verify") ? NULL : tl_args_value(args, "key-file"),
        .key_encoding = encoding != NULL ? encoding : "auto",
        .drop_original = tl_args_has(args, "drop-original"),
    };
    run->has_lexigram = true;
    return tl_import_lexigram(run->import, path, &options, &run->lexigram, err);
}

static tally_status read_file(struct run *run, const char *path, struct tally_error *err)
{
    tl_import_begin_file(run->import, path);
    bool is_lexigram =
        run->format != NULL ? format_of(run->format) == FORMAT_LEXIGRAM : is_sqlite(path);
    if (is_lexigram) {
        return read_lexigram(run, path, err);
    }
    struct tl_source source = { .fd = -1 };
    TL_TRY(tl_source_open(&source, path, err));
    tally_status status = read_source(run, &source, err);
    run->bytes_done += source.bytes_read;
    tl_source_close(&source);
    return status;
}

/* Tells of what concerns one file alone, which keeps no other out. What was read of it so far is
 * appended first: whether it was rather the ledger that failed shows then. */
static tally_status pass_over_file(struct run *run, const struct tally_error *why,
                                   struct tally_error *err)
{
    if (why->status == TALLY_ECANCELED || why->status == TALLY_ENOMEM) {
        return tl_fail(err, why->status, "%s", why->message);
    }
    TL_TRY(tl_import_flush(run->import, err));
    tl_progress_end(&run->progress);
    enum tl_exit exit_status = tl_cli_fail(run->cli, why);
    exit_status = why->status == TALLY_ENOTFOUND ? TL_EXIT_UNAVAILABLE : exit_status;
    run->exit_status = tl_exit_worse(run->exit_status, exit_status);
    return TALLY_OK;
}

static tally_status read_files(struct run *run, struct tally_error *err)
{
    tally_status status = TALLY_OK;
    for (size_t i = 0; i < run->paths.count && status == TALLY_OK; i++) {
        struct tally_error why = TALLY_ERROR_INIT;
        if (read_file(run, run->paths.items[i], &why) != TALLY_OK) {
            status = pass_over_file(run, &why, err);
        }
    }
    if (status == TALLY_OK || status == TALLY_ECANCELED) {
        struct tally_error why = TALLY_ERROR_INIT;
        tally_status flushed = tl_import_flush(run->import, &why);
        if (flushed != TALLY_OK) {
            *err = why;
            return flushed;
        }
    }
    return status == TALLY_OK && tl_stopped() ? TALLY_ECANCELED : status;
}

static void add_counts(struct tl_js *js, const struct tl_import_counts *counts)
{
    tl_js_u64(js, "read", counts->read);
    tl_js_u64(js, "recorded", counts->recorded);
    tl_js_u64(js, "already", counts->already);
    tl_js_u64(js, "rejected", counts->rejected);
}

static void add_lexigram(struct tl_js *js, const struct tl_lexigram_report *report)
{
    tl_js_open(js, "lexigram", '{');
    tl_js_u64(js, "match", report->match);
    tl_js_u64(js, "mismatch", report->mismatch);
    tl_js_u64(js, "absent", report->absent);
    tl_js_u64(js, "no_key", report->no_key);
    tl_js_u64(js, "missing_ids", report->missing_ids);
    tl_js_u64(js, "shared_checksums", report->shared);
    tl_js_u64(js, "unparsed_json", report->unparsed);
    if (report->key_encoding != NULL) {
        tl_js_text(js, "key_encoding", report->key_encoding);
    }
    tl_js_close(js, '}');
}

/* The run itself is an event. */
static tally_status record_act(struct run *run, struct tally_ledger *ledger,
                               struct tally_error *err)
{
    struct tl_import_counts counts = tl_import_counts(run->import);
    if (counts.recorded == 0) {
        return TALLY_OK;
    }
    TL_CLEANUP(tl_js_release) struct tl_js js = { 0 };
    tl_js_init(&js);
    tl_js_open(&js, NULL, '{');
    tl_js_text(&js, "format", run->format != NULL ? run->format : "guessed");
    tl_js_u64(&js, "files", run->paths.count);
    add_counts(&js, &counts);
    if (run->has_lexigram) {
        add_lexigram(&js, &run->lexigram);
    }
    tl_js_close(&js, '}');
    TL_CLEANUP(tl_freep) char *metadata = tl_buf_take(&js.buf, NULL);
    if (metadata == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "out of memory");
    }
    struct tally_receipt receipt = { 0 };
    return tally_record_act(ledger, "tally.import", NULL, metadata, &receipt, err);
}

static void print_lexigram(const struct tl_lexigram_report *report)
{
    printf("old checksums: %" PRIu64 " match, %" PRIu64 " mismatch, %" PRIu64 " absent, %" PRIu64
           " without key%s%s\n",
           report->match, report->mismatch, report->absent, report->no_key,
           report->key_encoding != NULL ? "; the key is written as " : "",
           report->key_encoding != NULL ? report->key_encoding : "");
    printf("%" PRIu64 " numbers are missing from the ids: rows that were deleted, or inserts that "
           "were rolled back; the old system cannot tell\n",
           report->missing_ids);
    printf("%" PRIu64 " rows share a checksum with another one; in %" PRIu64
           " rows a JSON column does not parse\n",
           report->shared, report->unparsed);
}

static tally_status print_summary(const struct run *run, bool stopped, struct tally_error *err)
{
    struct tl_import_counts counts = tl_import_counts(run->import);
    const char *rejects = tl_import_rejects_path(run->import);
    if (run->cli->view == TL_VIEW_JSON || run->cli->view == TL_VIEW_NDJSON) {
        TL_CLEANUP(tl_js_release) struct tl_js js = { 0 };
        tl_js_init(&js);
        tl_js_open(&js, NULL, '{');
        add_counts(&js, &counts);
        if (rejects != NULL) {
            tl_js_text(&js, "rejects_file", rejects);
        }
        if (run->has_lexigram) {
            add_lexigram(&js, &run->lexigram);
        }
        if (stopped) {
            tl_js_bool(&js, "interrupted", true);
        }
        tl_js_close(&js, '}');
        return tl_js_print(&js, stdout, err);
    }
    printf("%" PRIu64 " read, %" PRIu64 " recorded, %" PRIu64 " already there, %" PRIu64
           " rejected\n",
           counts.read, counts.recorded, counts.already, counts.rejected);
    if (run->has_lexigram) {
        print_lexigram(&run->lexigram);
    }
    if (rejects != NULL) {
        printf("rejected lines are in ");
        tl_print_text(stdout, tl_str_of(rejects));
        printf("\n");
    }
    if (stopped) {
        printf("stopped by a signal; importing the same files again goes on from here\n");
    }
    return TALLY_OK;
}

static enum tl_exit exit_of(const struct run *run, bool stopped)
{
    struct tl_import_counts counts = tl_import_counts(run->import);
    bool incomplete = counts.rejected > 0 || stopped;
    enum tl_exit exit_status = incomplete ? TL_EXIT_INCOMPLETE : TL_EXIT_OK;
    if (run->has_lexigram) {
        exit_status =
            tl_exit_worse(exit_status, tl_lexigram_exit(&run->lexigram, counts.conflicts));
    }
    return tl_exit_worse(exit_status, run->exit_status);
}

static enum tl_exit import_all(struct run *run, struct tally_ledger *ledger)
{
    struct tally_error err = TALLY_ERROR_INIT;
    tally_status status = read_files(run, &err);
    tl_progress_end(&run->progress);
    bool stopped = status == TALLY_ECANCELED;
    if (status == TALLY_OK || stopped) {
        struct tally_error why = TALLY_ERROR_INIT;
        status = record_act(run, ledger, &why);
        err = why;
    }
    /* However it ended, say how far it got. */
    struct tally_error unprinted = TALLY_ERROR_INIT;
    if (print_summary(run, stopped, &unprinted) != TALLY_OK) {
        run->exit_status = tl_exit_worse(run->exit_status, tl_cli_fail(run->cli, &unprinted));
    }
    if (status != TALLY_OK) {
        return tl_exit_worse(exit_of(run, stopped), tl_cli_fail(run->cli, &err));
    }
    return exit_of(run, stopped);
}

static tally_status read_maps(struct run *run, struct tally_error *err)
{
    run->maps = tl_alloc_array(run->args->given_count, sizeof(run->maps[0]));
    if (run->maps == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "out of memory");
    }
    for (size_t i = 0; i < run->args->given_count; i++) {
        const struct tl_given *given = &run->args->given[i];
        if (strcmp(given->opt->name, "map") != 0) {
            continue;
        }
        const char *equals = strrchr(given->value, '=');
        if (equals == NULL || equals == given->value || equals[1] == '\0') {
            return tl_fail(err, TALLY_EINVAL, "option '--map' takes COLUMN=MEMBER");
        }
        run->maps[run->map_count] = (struct tl_import_map){
            .column = { given->value, (size_t)(equals - given->value) },
            .member = equals + 1,
        };
        run->map_count++;
    }
    return TALLY_OK;
}

static tally_status list_paths(struct run *run, struct tally_error *err)
{
    const char *sqlite = tl_args_value(run->args, "sqlite");
    if (sqlite != NULL) {
        run->format = "lexigram";
        TL_TRY(tl_paths_add(&run->paths, sqlite, err));
    }
    for (size_t i = 0; i < run->args->rest_count; i++) {
        TL_TRY(tl_paths_add(&run->paths, run->args->rest[i], err));
    }
    bool all_known = true;
    for (size_t i = 0; i < run->paths.count; i++) {
        struct stat st;
        bool is_known = stat(run->paths.items[i], &st) == 0 && S_ISREG(st.st_mode);
        all_known = all_known && is_known;
        run->bytes_total += is_known ? (uint64_t)st.st_size : 0;
    }
    run->bytes_total = all_known ? run->bytes_total : 0;
    return run->paths.count > 0 ? TALLY_OK
                                : tl_fail(err, TALLY_EINVAL, "there are no files to import");
}

static struct tl_import_options make_options(const struct run *run)
{
    const struct tl_args *args = run->args;
    const char *retain = tl_args_value(args, "retain-from");
    bool is_lexigram = run->format != NULL && strcmp(run->format, "lexigram") == 0;
    bool occurred = retain != NULL ? strcmp(retain, "occurred") == 0 : is_lexigram;
    uint32_t flags = (uint32_t)TALLY_EVENT_IMPORT;
    flags |= occurred ? (uint32_t)TALLY_EVENT_RETAIN_OCCURRED : 0;
    flags |= tl_args_has(args, "allow-duplicates") ? 0 : (uint32_t)TALLY_EVENT_ID_FROM_CONTENT;
    return (struct tl_import_options){
        .flags = flags,
        .dry_run = tl_args_has(args, "dry-run"),
        .rejects_path = tl_args_value(args, "rejects"),
        .maps = run->maps,
        .map_count = run->map_count,
        .conflict_code = is_lexigram ? "row_changed" : "id_conflict",
    };
}

static void release(struct run *run)
{
    tl_import_free(run->import);
    tl_paths_release(&run->paths);
    tl_free(run->maps);
}

static enum tl_exit run_import(struct tl_cli *cli, const struct tl_args *args)
{
    struct tally_error err = TALLY_ERROR_INIT;
    TL_CLEANUP(tl_ledger_closep) struct tally_ledger *ledger = NULL;
    const char *format = tl_args_value(args, "format");
    TL_CLEANUP(release)
    struct run run = {
        .cli = cli,
        .args = args,
        .format = format != NULL ? format : tl_args_value(args, "from"),
    };
    if (read_maps(&run, &err) != TALLY_OK || list_paths(&run, &err) != TALLY_OK) {
        return tl_cli_fail(cli, &err);
    }
    enum tl_exit exit_status = tl_cli_open(cli, !tl_args_has(args, "dry-run"), &ledger);
    if (exit_status != TL_EXIT_OK) {
        return exit_status;
    }
    struct tl_import_options options = make_options(&run);
    if (tl_import_new(&run.import, cli, ledger, &options, &err) != TALLY_OK) {
        return tl_cli_fail(cli, &err);
    }
    tl_stop_install();
    return import_all(&run, ledger);
}

const struct tl_cmd tl_cmd_import = {
    .name = "import",
    .summary = "record events from files, directories or stdin",
    .arguments = "FILE|DIR|-...",
    .about =
        "Importing the same input again adds nothing: events are known by their id, or, without\n"
        "one, by their content. Lines with neither id nor time are recorded again.\n"
        "Lines that are refused go to the rejects file with the reason, and the rest goes on.\n"
        "Files may be gzip. Exit status 6: some lines were refused.\n",
    .examples = "tally import events.ndjson\n"
                "tally import --format cloudtrail /var/log/cloudtrail\n"
                "tally import --format csv --map 'User Name=actor_name' users.csv\n"
                "zcat old.gz | tally import --format ndjson -\n"
                "tally import --format lexigram --key-file hmac.key app.db\n",
    .opts = opts,
    .rest_max = SIZE_MAX,
    .run = run_import,
};
