#include <inttypes.h>
#include <string.h>

#include "base/parse.h"
#include "cli/cmd.h"
#include "cli/out.h"
#include "cli/report.h"

static const struct tl_opt opts[] = {
    { "newest", 0, "N", "compare the contents of the newest N records only" },
    { "id", 0, "ID", "compare the content of this event only" },
    { "range", 0, "A-B", "compare the contents of these positions only, both included" },
    { "since", 0, "FILE", "compare contents since this remembered checkpoint only" },
    { "against", 0, "FILE", "a checkpoint remembered elsewhere, which must still hold" },
    { "trust", 0, "FILE", "the keys to trust; else those beside the ledger" },
    { "mac-key", 0, "FILE", "the secret of 'tally init', to check MACs as well" },
    { "no-index", 0, NULL, "do not compare the search index" },
    { "max-age", 0, "TIME", "how old the newest checkpoint may be: 90s, 15m, 24h, 30d" },
    { 0 },
};

static tally_status read_range(struct tally_verify_options *out, const char *text,
                               struct tally_error *err)
{
    const char *dash = strchr(text, '-');
    if (dash == NULL ||
        tl_parse_u64(text, (size_t)(dash - text), UINT64_MAX, &out->first) != TALLY_OK ||
        tl_parse_u64(dash + 1, strlen(dash + 1), UINT64_MAX, &out->last) != TALLY_OK ||
        out->first > out->last) {
        return tl_fail(err, TALLY_EINVAL, "option '--range' takes two positions, as in 100-199");
    }
    out->scope = TALLY_SCOPE_RANGE;
    return TALLY_OK;
}

/* Sets the part of the ledger to look at. */
static tally_status read_scope(struct tally_verify_options *out, const struct tl_args *args,
                               struct tally_error *err)
{
    static const char *const scopes[] = { "newest", "id", "range", "since" };
    size_t given = 0;
    for (size_t i = 0; i < TL_ARRAY_LEN(scopes); i++) {
        given += tl_args_has(args, scopes[i]) ? 1 : 0;
    }
    if (given > 1 || (tl_args_has(args, "since") && tl_args_has(args, "against"))) {
        return tl_fail(err, TALLY_EINVAL,
                       "give one of --newest, --id, --range and --since, and not --since with "
                       "--against");
    }
    out->against_path = tl_args_value(args, "against");
    if (tl_args_has(args, "newest")) {
        out->scope = TALLY_SCOPE_NEWEST;
        out->newest = tl_args_number(args, "newest", 0);
    } else if (tl_args_has(args, "id")) {
        out->scope = TALLY_SCOPE_ID;
        out->id = tl_args_value(args, "id");
    } else if (tl_args_has(args, "range")) {
        return read_range(out, tl_args_value(args, "range"), err);
    } else if (tl_args_has(args, "since")) {
        out->scope = TALLY_SCOPE_SINCE;
        out->against_path = tl_args_value(args, "since");
    }
    return TALLY_OK;
}

static tally_status read_options(struct tally_verify_options *out, const struct tl_args *args,
                                 struct tally_error *err)
{
    TL_TRY(read_scope(out, args, err));
    out->trust_path = tl_args_value(args, "trust");
    out->mac_key_path = tl_args_value(args, "mac-key");
    out->skip_index = tl_args_has(args, "no-index") ? 1 : 0;
    const char *max_age = tl_args_value(args, "max-age");
    if (max_age != NULL && tl_duration_read(&out->max_age_s, max_age) != TALLY_OK) {
        return tl_fail(err, TALLY_EINVAL, "option '--max-age' takes a duration, as in 24h");
    }
    return TALLY_OK;
}

static void take_max_age(void *ctx, const struct tally_config_value *value)
{
    if (strcmp(value->key, "verify.max_age_s") == 0) {
        (void)tl_duration_read(ctx, value->value); /* it was checked */
    }
}

/* What flag, environment and another file say of the ledger itself; its own file is read anyway. */
static tally_status read_config(struct tally_verify_options *out, const struct tl_cli *cli,
                                const struct tl_args *args, struct tally_error *err)
{
    struct tally_options options = tl_cli_options(cli);
    if (tl_args_has(args, "max-age") || (cli->setting_count == 0 && cli->config == NULL)) {
        return TALLY_OK;
    }
    return tally_config_list(&options, take_max_age, &out->max_age_s, err);
}

struct watch {
    const struct tl_cli *cli;
    struct tl_progress progress;
};

static int show_progress(void *ctx, uint64_t done, uint64_t total)
{
    struct watch *watch = ctx;
    tl_progress_show(&watch->progress, watch->cli, "verifying", done, total);
    return tl_stopped() ? 1 : 0;
}

static enum tl_exit exit_of(enum tally_verdict verdict)
{
    switch (verdict) {
    case TALLY_VERDICT_VERIFIED:
        return TL_EXIT_OK;
    case TALLY_VERDICT_TAMPERED:
        return TL_EXIT_NO;
    case TALLY_VERDICT_UNVERIFIABLE:
    case TALLY_VERDICT_UNKNOWN:
        return TL_EXIT_UNKNOWN;
    }
    return TL_EXIT_UNKNOWN;
}

static void free_report(struct tally_report **report)
{
    tally_report_free(*report);
    *report = NULL;
}

static enum tl_exit run(struct tl_cli *cli, const struct tl_args *args)
{
    struct tally_error err = TALLY_ERROR_INIT;
    struct tally_verify_options options = TALLY_VERIFY_OPTIONS_INIT;
    if (read_options(&options, args, &err) != TALLY_OK) {
        return tl_cli_fail(cli, &err);
    }
    const char *named = args->rest_count > 0 ? args->rest[0] : NULL;
    options.ledger_only = named == NULL ? 1 : 0;
    if (named == NULL && read_config(&options, cli, args, &err) != TALLY_OK) {
        (void)tl_cli_fail(cli, &err);
        return TL_EXIT_CONFIG;
    }
    struct watch watch = { .cli = cli };
    options.on_progress = show_progress;
    options.ctx = &watch;
    tl_stop_install();
    TL_CLEANUP(free_report) struct tally_report *report = NULL;
    tally_status status =
        tally_verify_at(named != NULL ? named : cli->ledger, &options, &report, &err);
    tl_progress_end(&watch.progress);
    if (status == TALLY_OK) {
        bool as_json = cli->view == TL_VIEW_JSON || cli->view == TL_VIEW_NDJSON;
        status = as_json ? tl_report_print_json(report, &err) : tl_report_print(cli, report, &err);
    }
    return status == TALLY_OK ? exit_of(report->verdict) : tl_cli_fail(cli, &err);
}

const struct tl_cmd tl_cmd_verify = {
    .name = "verify",
    .summary = "check that nothing was changed, removed or slipped in",
    .arguments = "[BUNDLE_OR_TLOG]",
    .about =
        "Of the ledger; or of an evidence bundle or a tlog-tiles directory, as 'tally export'\n"
        "writes them, which needs --trust: nothing that comes with a bundle is believed.\n"
        "The evidence is always checked as a whole; the options choose whose contents are\n"
        "compared with it. Exit status: 0 VERIFIED, 1 TAMPERED, 2 UNVERIFIABLE.\n",
    .examples = "tally verify\n"
                "tally verify --against /mnt/safe/checkpoint --mac-key /mnt/safe/mac.key\n"
                "tally verify --newest 10000 --json\n"
                "tally verify bundle-2026-03 --trust /mnt/safe/trust.txt\n",
    .opts = opts,
    .rest_max = 1,
    .run = run,
};
