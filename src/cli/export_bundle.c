#include "cli/export_bundle.h"

#include <string.h>

#include "cli/out.h"

/* One export. */
struct run {
    struct tl_cli *cli;
    struct tl_progress progress;
    const char *dir;
    bool tlog;
    struct tally_bundle_result result;
};

static int show_progress(void *ctx, uint64_t done, uint64_t total)
{
    struct run *run = ctx;
    tl_progress_show(&run->progress, run->cli, "exporting", done, total);
    return tl_stopped() ? 1 : 0;
}

bool tl_export_is_bundle(const struct tl_args *args)
{
    return tl_args_has(args, "bundle") || tl_args_has(args, "tlog");
}

/* What makes no sense together; NULL if nothing does. */
static const char *usage_fault(const struct tl_args *args, size_t conditions)
{
    static const char *const of_records[] = { "format", "output", "bom", "no-formula-guard" };
    static const char *const of_contents[] = { "proofs", "withhold" };
    for (size_t i = 0; i < TL_ARRAY_LEN(of_records); i++) {
        if (tl_args_has(args, of_records[i])) {
            return "--format, --output, --bom and --no-formula-guard are for records, not for a "
                   "bundle or a tlog directory";
        }
    }
    if (tl_args_has(args, "bundle") && tl_args_has(args, "tlog")) {
        return "give --bundle or --tlog: a bundle is a tlog directory as well";
    }
    for (size_t i = 0; i < TL_ARRAY_LEN(of_contents); i++) {
        if (tl_args_has(args, "tlog") && (tl_args_has(args, of_contents[i]) || conditions > 0)) {
            return "--tlog has no contents that filters, --proofs or --withhold could be about";
        }
    }
    return NULL;
}

/* The values of an option that is given several times. Owned: tl_free(). */
static tally_status collect(const char ***out, size_t *count_out, const struct tl_args *args,
                            const char *name, struct tally_error *err)
{
    const char **values = tl_alloc_array(args->given_count, sizeof(*values));
    if (values == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "out of memory");
    }
    for (size_t i = 0; i < args->given_count; i++) {
        if (strcmp(args->given[i].opt->name, name) == 0) {
            values[(*count_out)++] = args->given[i].value;
        }
    }
    *out = values;
    return TALLY_OK;
}

static tally_status write(struct run *run, struct tally_ledger *ledger, const struct tl_args *args,
                          const struct tl_query_args *conditions, struct tally_error *err)
{
    struct tally_bundle_options options = TALLY_BUNDLE_OPTIONS_INIT;
    struct tally_query query = TALLY_QUERY_INIT;
    TL_CLEANUP(tl_freep) const char **withhold = NULL;
    TL_TRY(collect(&withhold, &options.withhold_count, args, "withhold", err));
    query.conditions = conditions->conditions;
    query.condition_count = conditions->count;
    options.selection.query = conditions->count > 0 ? &query : NULL;
    options.withhold = withhold;
    options.proofs = tl_args_has(args, "proofs") ? 1 : 0;
    options.tlog_only = run->tlog ? 1 : 0;
    options.progress = show_progress;
    options.ctx = run;
    tally_status status = tally_bundle_write(ledger, run->dir, &options, &run->result, err);
    tl_progress_end(&run->progress);
    return status;
}

static void add_result(struct tl_js *js, const struct run *run)
{
    tl_js_text(js, "format", run->tlog ? "tlog" : "bundle");
    tl_js_u64(js, "tree_size", run->result.size);
    tl_js_u64(js, "contents", run->result.contents);
    tl_js_u64(js, "withheld", run->result.withheld);
    tl_js_u64(js, "bytes", run->result.bytes);
}

static tally_status print_result(const struct run *run, struct tally_error *err)
{
    TL_CLEANUP(tl_js_release) struct tl_js js = { 0 };
    tl_js_init(&js);
    tl_js_open(&js, NULL, '{');
    tl_js_text(&js, "output", run->dir);
    add_result(&js, run);
    tl_js_close(&js, '}');
    return tl_js_print(&js, stdout, err);
}

/* An export is an act on the ledger. Whoever may only read, or while another process writes, can
 * export all the same, and is told that it is not on record. */
void tl_export_record(struct tl_cli *cli, const char *by, const char *manifest)
{
    struct tally_options options = tl_cli_options(cli);
    options.writable = 1;
    TL_CLEANUP(tl_ledger_closep) struct tally_ledger *ledger = NULL;
    struct tally_receipt receipt = { 0 };
    struct tally_error err = TALLY_ERROR_INIT;
    if (tally_open(&ledger, &options, &err) != TALLY_OK ||
        tally_record_act(ledger, "tally.export", by, manifest, &receipt, &err) != TALLY_OK) {
        tl_cli_note(cli, "this export is not on record in the ledger: %s", err.message);
    }
}

static void record(const struct run *run, const char *by)
{
    char manifest[256];
    (void)snprintf(manifest, sizeof(manifest),
                   "{\"format\":\"%s\",\"tree_size\":%llu,\"contents\":%llu,\"withheld\":%llu,"
                   "\"bytes\":%llu}",
                   run->tlog ? "tlog" : "bundle", (unsigned long long)run->result.size,
                   (unsigned long long)run->result.contents,
                   (unsigned long long)run->result.withheld, (unsigned long long)run->result.bytes);
    tl_export_record(run->cli, by, manifest);
}

enum tl_exit tl_export_bundle(struct tl_cli *cli, const struct tl_args *args)
{
    struct tally_error err = TALLY_ERROR_INIT;
    TL_CLEANUP(tl_query_args_release) struct tl_query_args conditions = { 0 };
    if (tl_query_args_read(&conditions, args, &err) != TALLY_OK) {
        return tl_cli_fail(cli, &err);
    }
    const char *fault = usage_fault(args, conditions.count);
    if (fault != NULL) {
        return tl_cli_usage(cli, "%s", fault);
    }
    struct run run = { .cli = cli, .tlog = tl_args_has(args, "tlog") };
    run.dir = tl_args_value(args, run.tlog ? "tlog" : "bundle");
    TL_CLEANUP(tl_ledger_closep) struct tally_ledger *ledger = NULL;
    enum tl_exit exit_status = tl_cli_open(cli, false, &ledger);
    if (exit_status != TL_EXIT_OK) {
        return exit_status;
    }
    tl_stop_install();
    if (write(&run, ledger, args, &conditions, &err) != TALLY_OK) {
        return tl_cli_fail(cli, &err);
    }
    tl_ledger_closep(&ledger);
    record(&run, tl_args_value(args, "by"));
    if (cli->json && print_result(&run, &err) != TALLY_OK) {
        return tl_cli_fail(cli, &err);
    }
    tl_cli_note(cli, "%llu records, %llu contents written to %s",
                (unsigned long long)run.result.size, (unsigned long long)run.result.contents,
                run.dir);
    return TL_EXIT_OK;
}
