#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/buf.h"
#include "base/io.h"
#include "cli/cmd.h"
#include "cli/export_bundle.h"
#include "cli/out.h"

static const struct tl_opt opts[] = {
    { "format", 0, "ndjson|json|csv", "ndjson if not given" },
    { "output", 0, "FILE", "where to; the file appears when it is whole; else stdout" },
    { "bom", 0, NULL, "csv: begin with a byte order mark" },
    { "no-formula-guard", 0, NULL, "csv: leave cells alone that a spreadsheet would run" },
    { "bundle", 0, "DIR", "write an evidence bundle to this new directory" },
    { "tlog", 0, "DIR", "write a C2SP tlog-tiles directory, without contents" },
    { "proofs", 0, NULL, "bundle: also a proof for each record whose content goes along" },
    { "withhold", 0, "POINTER", "bundle: this erasable member stays here; may be repeated" },
    { "by", 0, "WHO", "who exports, for the record in the ledger" },
    { 0 },
};

/* Where the bytes go. */
struct sink {
    const struct tl_cli *cli;
    const char *path; /* NULL: stdout */
    char *tmp_path;   /* "path.tmp" until it is renamed */
    int fd;           /* -1 if not open */
    uint64_t offset;
    struct tl_progress progress;
};

static void abandon(struct sink *sink)
{
    if (sink->fd >= 0) {
        (void)tl_io->close(sink->fd);        /* what was written is thrown away */
        (void)tl_io->unlink(sink->tmp_path); /* if it stays, its name says what it is */
    }
    tl_free(sink->tmp_path);
    *sink = (struct sink){ .fd = -1 };
}

static tally_status open_sink(struct sink *sink, struct tally_error *err)
{
    if (sink->path == NULL) {
        return TALLY_OK;
    }
    TL_CLEANUP(tl_buf_release) struct tl_buf path = { 0 };
    tl_buf_init(&path, 65536);
    tl_buf_addf(&path, "%s.tmp", sink->path);
    sink->tmp_path = tl_buf_take(&path, NULL);
    if (sink->tmp_path == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "out of memory");
    }
    int flags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW;
    sink->fd = tl_io->open(sink->tmp_path, flags, 0600);
    if (sink->fd < 0) {
        return tl_fail_errno(err, TALLY_EIO, errno, "cannot create '%s'", sink->tmp_path);
    }
    return TALLY_OK;
}

static tally_status write_bytes(void *ctx, const char *bytes, size_t len)
{
    struct sink *sink = ctx;
    if (sink->path == NULL) {
        return fwrite(bytes, 1, len, stdout) == len ? TALLY_OK : TALLY_EIO;
    }
    TL_TRY(tl_io_write_at(sink->fd, bytes, len, sink->offset, NULL));
    sink->offset += len;
    return TALLY_OK;
}

static int show_progress(void *ctx, uint64_t done, uint64_t total)
{
    struct sink *sink = ctx;
    tl_progress_show(&sink->progress, sink->cli, "exporting", done, total);
    return tl_stopped() ? 1 : 0;
}

/* Gives the file its name. */
static tally_status close_sink(struct sink *sink, struct tally_error *err)
{
    if (sink->path == NULL) {
        return TALLY_OK;
    }
    if (tl_io->fsync(sink->fd) != 0) {
        return tl_fail_errno(err, TALLY_EIO, errno, "cannot sync '%s'", sink->tmp_path);
    }
    if (tl_io->rename(sink->tmp_path, sink->path) != 0) {
        return tl_fail_errno(err, TALLY_EIO, errno, "cannot rename '%s'", sink->tmp_path);
    }
    int fd = sink->fd;
    sink->fd = -1;
    if (tl_io->close(fd) != 0) {
        return tl_fail_errno(err, TALLY_EIO, errno, "cannot close '%s'", sink->path);
    }
    return TALLY_OK;
}

/* CSV has no place for the manifest: it goes beside the file, or to stderr. */
static tally_status write_manifest(const struct sink *sink, const char *manifest,
                                   struct tally_error *err)
{
    TL_CLEANUP(tl_buf_release) struct tl_buf text = { 0 };
    tl_buf_init(&text, 65536);
    tl_buf_addf(&text, "%s\n", manifest);
    if (sink->path == NULL) {
        (void)fputs(text.data == NULL ? "" : text.data, stderr);
        return TALLY_OK;
    }
    TL_CLEANUP(tl_buf_release) struct tl_buf path = { 0 };
    tl_buf_init(&path, 65536);
    tl_buf_addf(&path, "%s.manifest.json", sink->path);
    TL_CLEANUP(tl_freep) char *name = tl_buf_take(&path, NULL);
    if (name == NULL || tl_buf_status(&text) != TALLY_OK) {
        return tl_fail(err, TALLY_ENOMEM, "out of memory");
    }
    return tl_io_replace_file(name, text.data, text.len, 0600, err);
}

static enum tally_format format_of(const char *word)
{
    if (word != NULL && strcmp(word, "csv") == 0) {
        return TALLY_FORMAT_CSV;
    }
    return word != NULL && strcmp(word, "json") == 0 ? TALLY_FORMAT_JSON : TALLY_FORMAT_NDJSON;
}

static tally_status export(struct tally_ledger *ledger, const struct tl_args *args,
                           const struct tl_query_args *conditions, struct sink *sink,
                           struct tally_export_result *result, struct tally_error *err)
{
    struct tally_query query = TALLY_QUERY_INIT;
    query.conditions = conditions->conditions;
    query.condition_count = conditions->count;
    struct tally_export_options options = TALLY_EXPORT_OPTIONS_INIT;
    options.format = format_of(tl_args_value(args, "format"));
    options.flags =
        (tl_args_has(args, "no-formula-guard") ? (uint32_t)TALLY_EXPORT_NO_FORMULA_GUARD : 0) |
        (tl_args_has(args, "bom") ? (uint32_t)TALLY_EXPORT_BOM : 0);
    options.write = write_bytes;
    options.progress = show_progress;
    options.ctx = sink;
    TL_TRY(open_sink(sink, err));
    tally_status status = tally_export(ledger, &query, &options, result, err);
    tl_progress_end(&sink->progress);
    if (status != TALLY_OK) {
        return tl_fail(err, status, "the export stopped after %llu records",
                       (unsigned long long)result->count);
    }
    TL_TRY(close_sink(sink, err));
    return options.format == TALLY_FORMAT_CSV ? write_manifest(sink, result->manifest, err)
                                              : TALLY_OK;
}

/* What --json prints if the export itself does not take stdout. */
static tally_status print_result(const struct tally_export_result *result, const char *path,
                                 struct tally_error *err)
{
    TL_CLEANUP(tl_js_release) struct tl_js js = { 0 };
    tl_js_init(&js);
    tl_js_open(&js, NULL, '{');
    tl_js_text(&js, "output", path);
    tl_js_u64(&js, "count", result->count);
    if (result->count > 0) {
        tl_js_u64(&js, "first_seq", result->first_seq);
        tl_js_u64(&js, "last_seq", result->last_seq);
    }
    tl_js_u64(&js, "tree_size", result->tree_size);
    tl_js_hex(&js, "root", result->root, sizeof(result->root));
    tl_js_bool(&js, "complete", result->complete != 0);
    tl_js_close(&js, '}');
    return tl_js_print(&js, stdout, err);
}

static enum tl_exit run(struct tl_cli *cli, const struct tl_args *args)
{
    struct tally_error err = TALLY_ERROR_INIT;
    if (tl_export_is_bundle(args)) {
        return tl_export_bundle(cli, args);
    }
    if (tl_args_has(args, "proofs") || tl_args_has(args, "withhold")) {
        return tl_cli_usage(cli, "--proofs and --withhold go with --bundle");
    }
    TL_CLEANUP(tl_query_args_release) struct tl_query_args conditions = { 0 };
    if (tl_query_args_read(&conditions, args, &err) != TALLY_OK) {
        return tl_cli_fail(cli, &err);
    }
    const char *output = tl_args_value(args, "output");
    TL_CLEANUP(abandon)
    struct sink sink = {
        .cli = cli,
        .path = output != NULL && strcmp(output, "-") != 0 ? output : NULL,
        .fd = -1,
    };
    TL_CLEANUP(tl_ledger_closep) struct tally_ledger *ledger = NULL;
    enum tl_exit exit_status = tl_cli_open(cli, false, &ledger);
    if (exit_status != TL_EXIT_OK) {
        return exit_status;
    }
    tl_stop_install();
    struct tally_export_result result = { 0 };
    tally_status status = export(ledger, args, &conditions, &sink, &result, &err);
    if (status == TALLY_OK && sink.path != NULL && cli->json) {
        status = print_result(&result, sink.path, &err);
    }
    if (status != TALLY_OK) {
        return tl_cli_fail(cli, &err);
    }
    tl_ledger_closep(&ledger);
    tl_export_record(cli, tl_args_value(args, "by"), result.manifest);
    if (sink.path != NULL) {
        tl_cli_note(cli, "%llu records written to %s", (unsigned long long)result.count, sink.path);
    }
    return result.complete ? TL_EXIT_OK : TL_EXIT_INCOMPLETE;
}

const struct tl_cmd tl_cmd_export = {
    .name = "export",
    .summary = "write records to a file, or evidence to a directory",
    .arguments = "",
    .about =
        "In the order of the ledger, as of one moment. The end of an export says what it held:\n"
        "the last line of ndjson, the member \"export\" of json, FILE.manifest.json of csv.\n"
        "A bundle is evidence: it holds all leaves, signatures and, of the records that fit, the\n"
        "contents, and is checked without the ledger. --tlog is the same without contents.\n",
    .examples = "tally export --format csv --from 2026-03-01 --to 2026-04-01 --output march.csv\n"
                "tally export --action 'user.*' | jq -c .event\n"
                "tally export --bundle audit-2026 --withhold /source/ip --by dpo@example.com\n",
    .opts = opts,
    .takes_filters = true,
    .run = run,
};
