#include <inttypes.h>

#include "cli/cmd.h"
#include "cli/out.h"
#include "show/show.h"

static const struct tl_opt opts[] = {
    { "exact", 0, NULL, "count to the end; otherwise counting stops at 10000" },
    { 0 },
};

static tally_status print(const struct tl_cli *cli, uint64_t count, bool exact,
                          struct tally_error *err)
{
    if (cli->view == TL_VIEW_TABLE || cli->view == TL_VIEW_CSV) {
        printf("%" PRIu64 "%s\n", count, exact ? "" : "+");
        return TALLY_OK;
    }
    TL_CLEANUP(tl_js_release) struct tl_js js = { 0 };
    tl_js_init(&js);
    tl_show_count(&js, NULL, count, exact);
    return tl_js_print(&js, stdout, err);
}

static enum tl_exit run(struct tl_cli *cli, const struct tl_args *args)
{
    struct tally_error err = TALLY_ERROR_INIT;
    TL_CLEANUP(tl_query_args_release) struct tl_query_args conditions = { 0 };
    if (tl_query_args_read(&conditions, args, &err) != TALLY_OK) {
        return tl_cli_fail(cli, &err);
    }
    TL_CLEANUP(tl_ledger_closep) struct tally_ledger *ledger = NULL;
    enum tl_exit exit_status = tl_cli_open(cli, false, &ledger);
    if (exit_status != TL_EXIT_OK) {
        return exit_status;
    }
    struct tally_query query = TALLY_QUERY_INIT;
    query.conditions = conditions.conditions;
    query.condition_count = conditions.count;
    query.count = tl_args_has(args, "exact") ? TALLY_COUNT_EXACT : TALLY_COUNT_CAPPED;
    uint64_t count = 0;
    int exact = 0;
    if (tally_count(ledger, &query, &count, &exact, &err) != TALLY_OK ||
        print(cli, count, exact != 0, &err) != TALLY_OK) {
        return tl_cli_fail(cli, &err);
    }
    return TL_EXIT_OK;
}

const struct tl_cmd tl_cmd_count = {
    .name = "count",
    .summary = "count records",
    .arguments = "",
    .about = "",
    .examples = "tally count --outcome failure --from -24h\n"
                "tally count --tenant-id acme --exact --json\n",
    .opts = opts,
    .takes_filters = true,
    .run = run,
};
