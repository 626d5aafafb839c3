#include "cli/cmd.h"
#include "cli/out.h"

struct rounds {
    struct tl_table table;
    struct tl_js js;
};

static const char *name_of(enum tally_health health)
{
    switch (health) {
    case TALLY_HEALTH_OK:
        return "ok";
    case TALLY_HEALTH_WARNING:
        return "warning";
    case TALLY_HEALTH_ERROR:
        return "error";
    }
    return "unknown";
}

static enum tl_style style_of(enum tally_health health)
{
    return health == TALLY_HEALTH_OK        ? TL_STYLE_GOOD
           : health == TALLY_HEALTH_WARNING ? TL_STYLE_WARN
                                            : TL_STYLE_BAD;
}

static void add(void *ctx, const struct tally_diagnosis *diagnosis)
{
    struct rounds *rounds = ctx;
    tl_js_open(&rounds->js, NULL, '{');
    tl_js_text(&rounds->js, "check", diagnosis->check);
    tl_js_text(&rounds->js, "health", name_of(diagnosis->health));
    tl_js_text(&rounds->js, "what", diagnosis->what);
    tl_js_text(&rounds->js, "advice", diagnosis->advice);
    tl_js_close(&rounds->js, '}');
    tl_table_text(&rounds->table, diagnosis->check);
    tl_table_cell(&rounds->table, tl_str_of(name_of(diagnosis->health)),
                  style_of(diagnosis->health));
    tl_table_text(&rounds->table, diagnosis->what);
    tl_table_text(&rounds->table, diagnosis->advice);
}

static void release(struct rounds *rounds)
{
    tl_table_release(&rounds->table);
    tl_js_release(&rounds->js);
}

static enum tl_exit run(struct tl_cli *cli, const struct tl_args *args)
{
    static const struct tl_column columns[] = {
        { "check", false }, { "health", false }, { "what", false }, { "advice", false }
    };
    (void)args;
    struct tally_error err = TALLY_ERROR_INIT;
    struct tally_options options = tl_cli_options(cli);
    TL_CLEANUP(release) struct rounds rounds = { .js = { .comma = false } };
    tl_table_init(&rounds.table, cli, columns, TL_ARRAY_LEN(columns));
    rounds.table.whole = true;
    tl_js_init(&rounds.js);
    tl_js_open(&rounds.js, NULL, '{');
    tl_js_open(&rounds.js, "checks", '[');
    enum tally_health worst = TALLY_HEALTH_OK;
    tally_status status = tally_doctor(&options, add, &rounds, &worst, &err);
    if (status != TALLY_OK) {
        return tl_cli_fail_open(cli, status, &err);
    }
    tl_js_close(&rounds.js, ']');
    tl_js_text(&rounds.js, "worst", name_of(worst));
    tl_js_close(&rounds.js, '}');
    bool as_json = cli->view == TL_VIEW_JSON || cli->view == TL_VIEW_NDJSON;
    status = as_json ? tl_js_print(&rounds.js, stdout, &err) : tl_table_print(&rounds.table, &err);
    if (status != TALLY_OK) {
        return tl_cli_fail(cli, &err);
    }
    return worst == TALLY_HEALTH_ERROR ? TL_EXIT_NO : TL_EXIT_OK;
}

const struct tl_cmd tl_cmd_doctor = {
    .name = "doctor",
    .summary = "look at configuration, keys, disk, clock, index and what waits to be recorded",
    .arguments = "",
    .about = "Changes nothing, and is no verification. Exit status 1 if something is in error.\n",
    .examples = "tally doctor\n",
    .run = run,
};
