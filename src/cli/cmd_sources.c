#include "cli/cmd.h"
#include "cli/out.h"
#include "show/show.h"

static const struct tl_opt opts[] = { { 0 } };

static tally_status print_json(const struct tally_sources *sources, struct tally_error *err)
{
    TL_CLEANUP(tl_js_release) struct tl_js js = { 0 };
    tl_js_init(&js);
    tl_show_sources(&js, NULL, sources);
    return tl_js_print(&js, stdout, err);
}

static tally_status print_services(const struct tl_cli *cli, const struct tally_sources *sources,
                                   struct tally_error *err)
{
    static const struct tl_column columns[] = {
        { "service", false }, { "events", true }, { "last", false }, { "state", false }
    };
    TL_CLEANUP(tl_table_release) struct tl_table table = { 0 };
    tl_table_init(&table, cli, columns, TL_ARRAY_LEN(columns));
    for (size_t i = 0; i < sources->source_count; i++) {
        const struct tally_source *source = &sources->sources[i];
        tl_table_text(&table, source->service);
        tl_table_u64(&table, source->events);
        tl_table_time(&table, source->last_us);
        tl_table_cell(&table, tl_str_of(source->silent != 0 ? "silent" : ""), TL_STYLE_WARN);
    }
    return tl_table_print(&table, err);
}

static void note_others(const struct tl_cli *cli, const struct tally_sources *sources)
{
    for (size_t i = 0; i < sources->unlisted_count; i++) {
        TL_CLEANUP(tl_buf_release) struct tl_buf action = { 0 };
        tl_buf_init(&action, 4096);
        tl_text_escape(&action, tl_str_of(sources->unlisted[i].action));
        tl_cli_note(cli, "%llu times %.*s was not recorded: no list of the policy names it",
                    (unsigned long long)sources->unlisted[i].count, (int)action.len, action.data);
    }
    if (sources->sources_cut != 0 || sources->unlisted_cut != 0) {
        tl_cli_note(cli, "there are others, which are not shown");
    }
}

static enum tl_exit run(struct tl_cli *cli, const struct tl_args *args)
{
    (void)args;
    struct tally_error err = TALLY_ERROR_INIT;
    struct tally_sources *sources = NULL;
    TL_CLEANUP(tl_ledger_closep) struct tally_ledger *ledger = NULL;
    enum tl_exit exit_status = tl_cli_open(cli, false, &ledger);
    if (exit_status != TL_EXIT_OK) {
        return exit_status;
    }
    tally_status status = tally_sources(ledger, &sources, &err);
    if (status == TALLY_OK && cli->json) {
        status = print_json(sources, &err);
    } else if (status == TALLY_OK) {
        status = print_services(cli, sources, &err);
        note_others(cli, sources);
    }
    tally_sources_free(sources);
    return status == TALLY_OK ? TL_EXIT_OK : tl_cli_fail(cli, &err);
}

const struct tl_cmd tl_cmd_sources = {
    .name = "sources",
    .summary = "who sends events, and who fell silent",
    .arguments = "",
    .about =
        "Lists the services that sent events in the last 30 days, and the actions that no list\n"
        "of the policy names. A service is silent when it paused for half as long again as\n"
        "ever in these days.\n",
    .examples = "tally sources\n"
                "tally sources --json\n",
    .opts = opts,
    .run = run,
};
