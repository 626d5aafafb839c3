#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/act_args.h"
#include "cli/ask.h"
#include "cli/cmd.h"
#include "cli/out.h"
#include "codec/time.h"
#include "show/show.h"

#define DAY_US INT64_C(86400000000)

static const struct tl_opt opts[] = {
    { "dry-run", 0, NULL, "say what would go; recorded as well, as a dry run" },
    { "before", 0, "DATE",
      "only what fell due before this day, as in 2026-01-31; it only narrows" },
    { "max", 0, "N", "stop after about so many records; the rest stays due" },
    TL_ACT_RANGE_OPT,
    TL_ACT_OPTS,
    { "yes", 0, NULL, "do not ask" },
    { 0 },
};

struct purge {
    struct tl_act_args *act;
    struct tally_purge_options options;
    struct tally_purged purged;
    const struct tl_cli *cli;
    struct tl_progress progress;
};

static int show_progress(void *ctx, uint64_t done, uint64_t total)
{
    struct purge *purge = ctx;
    if (total > 0) {
        tl_progress_show(&purge->progress, purge->cli, "purging", done, total);
    }
    return tl_stopped() ? 1 : 0;
}

static tally_status read_day(uint32_t *day_out, const char *text, struct tally_error *err)
{
    int64_t us = 0;
    if (strlen(text) != 10 || tl_time_parse_naive(&us, tl_str_of(text)) != TALLY_OK ||
        us < DAY_US) {
        return tl_fail(err, TALLY_EINVAL, "option '--before' takes a day, as in 2026-01-31");
    }
    *day_out = (uint32_t)(us / DAY_US);
    return TALLY_OK;
}

static tally_status read_options(struct purge *purge, const struct tl_args *args,
                                 struct tally_error *err)
{
    struct tally_purge_options *options = &purge->options;
    *options = (struct tally_purge_options)TALLY_PURGE_OPTIONS_INIT;
    TL_TRY(tl_act_args_read(purge->act, args, err));
    const char *before = tl_args_value(args, "before");
    if (before != NULL) {
        TL_TRY(read_day(&options->before_day, before, err));
    }
    options->ranges = purge->act->ranges;
    options->range_count = purge->act->range_count;
    options->max_records = tl_args_number(args, "max", 0);
    options->progress = show_progress;
    options->ctx = purge;
    if (purge->act->actor.by == NULL) {
        purge->act->actor.by = "tally"; /* as a schedule does */
    }
    return TALLY_OK;
}

static void day_text(char out[TL_TIME_SIZE], uint32_t day)
{
    (void)tl_time_format(out, (int64_t)day * DAY_US); /* the length is known */
    out[10] = '\0';
}

static tally_status print_json(const struct purge *purge, struct tally_error *err)
{
    TL_CLEANUP(tl_js_release) struct tl_js js = { 0 };
    tl_js_init(&js);
    tl_show_purged(&js, NULL, purge->options.dry_run != 0, &purge->purged);
    return tl_js_print(&js, stdout, err);
}

static void print_text(const struct purge *purge)
{
    const struct tally_purged *purged = &purge->purged;
    char cutoff[TL_TIME_SIZE];
    day_text(cutoff, purged->cutoff_day);
    printf("%-12s%" PRIu64 " records\n", "looked at", purged->evaluated);
    if (purge->options.range_count == 0) {
        printf("%-12s%" PRIu64 ", by %s\n", "due", purged->due, cutoff);
    } else {
        printf("%-12s%" PRIu64 " of the ranges given, before their time\n", "named", purged->due);
    }
    printf("%-12s%" PRIu64 ", kept as they are\n", "on hold", purged->held);
    printf("%-12s%" PRIu64 " (%" PRIu64 " bytes, %" PRIu64 " runs of records)\n",
           purge->options.dry_run != 0 ? "would go" : "purged", purged->purged, purged->bytes,
           purged->ranges);
    if (purged->remaining > 0) {
        printf("%-12s%" PRIu64 ", for the next purge\n", "remaining", purged->remaining);
    }
    if (purge->options.dry_run == 0) {
        printf("%-12s%" PRIu64 " bytes given back\n", "freed", purged->freed);
    }
    tl_act_print_left(purged->left);
    if (purged->archive[0] != '\0') {
        printf("%-12s", "archive");
        tl_print_text(stdout, tl_str_of(purged->archive));
        printf("\n");
    }
    if (purged->seq != TALLY_SEQ_NONE) {
        printf("%-12srecord %" PRIu64 "\n", "sealed", purged->seq);
    }
}

static enum tl_exit print(const struct purge *purge)
{
    struct tally_error err = TALLY_ERROR_INIT;
    bool as_json = purge->cli->view == TL_VIEW_JSON || purge->cli->view == TL_VIEW_NDJSON;
    if (as_json && print_json(purge, &err) != TALLY_OK) {
        return tl_cli_fail(purge->cli, &err);
    }
    if (!as_json) {
        print_text(purge);
    }
    return purge->purged.left == 0 ? TL_EXIT_OK : TL_EXIT_INCOMPLETE;
}

static enum tl_exit run(struct tl_cli *cli, const struct tl_args *args)
{
    struct tally_error err = TALLY_ERROR_INIT;
    TL_CLEANUP(tl_act_args_free) struct tl_act_args *act = tl_alloc_array(1, sizeof(*act));
    struct purge purge = { .act = act, .cli = cli, .purged = { .seq = TALLY_SEQ_NONE } };
    if (act == NULL) {
        (void)tl_fail(&err, TALLY_ENOMEM, "out of memory"); /* told below */
        return tl_cli_fail(cli, &err);
    }
    if (read_options(&purge, args, &err) != TALLY_OK) {
        return tl_cli_fail(cli, &err);
    }
    purge.options.dry_run = tl_args_has(args, "dry-run") ? 1 : 0;
    if (purge.options.dry_run == 0) {
        enum tl_exit asked =
            tl_cli_ask(cli, args, "Contents whose time is over will be removed for ever.");
        if (asked != TL_EXIT_OK) {
            return asked;
        }
    }
    TL_CLEANUP(tl_ledger_closep) struct tally_ledger *ledger = NULL;
    TL_CLEANUP(tl_public_freep) char *request = NULL;
    enum tl_exit exit_status = tl_cli_open(cli, true, &ledger);
    if (exit_status != TL_EXIT_OK) {
        return exit_status;
    }
    tl_stop_install();
    tally_status status =
        tally_purge(ledger, &purge.options, &act->actor, &purge.purged, &request, &err);
    tl_progress_end(&purge.progress);
    if (status == TALLY_OK) {
        return print(&purge);
    }
    bool did_something = purge.purged.purged > 0 && purge.options.dry_run == 0;
    enum tl_exit printed = did_something ? print(&purge) : TL_EXIT_OK;
    return tl_exit_worse(printed, tl_act_fail(cli, args, request, &err));
}

const struct tl_cmd tl_cmd_purge = {
    .name = "purge",
    .summary = "remove contents whose time is over; the evidence stays",
    .arguments = "",
    .about =
        "What goes is sealed in the ledger first. Records on hold stay, and so do those that the\n"
        "rules in force now keep longer than was sealed. Writers go on meanwhile; a purge that "
        "was\n"
        "stopped goes on with the next one. With --range, records go before their time: that "
        "needs\n"
        "a second person's signature.\n",
    .examples = "tally purge --dry-run\n"
                "tally purge --yes --by ops@example.com\n"
                "tally purge --before 2026-01-01 --max 100000 --yes --json\n",
    .opts = opts,
    .run = run,
};
