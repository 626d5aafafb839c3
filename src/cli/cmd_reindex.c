#include "cli/cmd.h"
#include "cli/out.h"

struct watch {
    const struct tl_cli *cli;
    struct tl_progress progress;
};

static int show_progress(void *ctx, uint64_t done, uint64_t total)
{
    struct watch *watch = ctx;
    tl_progress_show(&watch->progress, watch->cli, "indexing", done, total);
    return tl_stopped() ? 1 : 0;
}

static enum tl_exit run(struct tl_cli *cli, const struct tl_args *args)
{
    (void)args;
    struct tally_error err = TALLY_ERROR_INIT;
    struct tally_options options = tl_cli_options(cli);
    struct watch watch = { .cli = cli };
    tl_stop_install();
    tally_status status = tally_reindex(&options, show_progress, &watch, &err);
    tl_progress_end(&watch.progress);
    if (status != TALLY_OK) {
        return tl_cli_fail_ledger(cli, &err);
    }
    if (cli->view == TL_VIEW_JSON || cli->view == TL_VIEW_NDJSON) {
        printf("{\"reindexed\":true}\n");
    }
    tl_cli_note(cli, "the search index was made anew");
    return TL_EXIT_OK;
}

const struct tl_cmd tl_cmd_reindex = {
    .name = "reindex",
    .summary = "make the search index anew from the records",
    .arguments = "",
    .about = "The index is derived and no evidence: nothing is lost with it.\n",
    .examples = "tally reindex\n",
    .run = run,
};
