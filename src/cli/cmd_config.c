#include <string.h>

#include "cli/cmd.h"
#include "cli/out.h"

static const struct tl_opt opts[] = {
    { "origin", 0, NULL, "show: also where each value comes from" },
    { 0 },
};

struct listing {
    struct tl_table table;
    struct tl_js js;
    bool origin;
};

static void add(void *ctx, const struct tally_config_value *value)
{
    struct listing *listing = ctx;
    tl_js_open(&listing->js, NULL, '{');
    tl_js_text(&listing->js, "key", value->key);
    tl_js_text(&listing->js, "value", value->value);
    tl_js_text(&listing->js, "origin", value->origin);
    tl_js_text(&listing->js, "doc", value->doc);
    tl_js_close(&listing->js, '}');
    tl_table_text(&listing->table, value->key);
    tl_table_text(&listing->table, value->value);
    if (listing->origin) {
        tl_table_text(&listing->table, value->origin);
    }
}

static void release(struct listing *listing)
{
    tl_table_release(&listing->table);
    tl_js_release(&listing->js);
}

static enum tl_exit run(struct tl_cli *cli, const struct tl_args *args)
{
    static const struct tl_column columns[] = { { "key", false },
                                                { "value", false },
                                                { "origin", false } };
    bool is_check = strcmp(args->rest[0], "check") == 0;
    if (!is_check && strcmp(args->rest[0], "show") != 0) {
        return tl_cli_usage(cli, "'tally config' takes show or check");
    }
    TL_CLEANUP(release) struct listing listing = { .origin = tl_args_has(args, "origin") };
    tl_table_init(&listing.table, cli, columns, listing.origin ? 3 : 2);
    listing.table.whole = true;
    tl_js_init(&listing.js);
    tl_js_open(&listing.js, NULL, '{');
    tl_js_open(&listing.js, "settings", '[');
    struct tally_error err = TALLY_ERROR_INIT;
    struct tally_options options = tl_cli_options(cli);
    tally_status status = tally_config_list(&options, add, &listing, &err);
    if (status != TALLY_OK) {
        enum tl_exit exit_status = tl_cli_fail(cli, &err);
        return status == TALLY_EINVAL ? TL_EXIT_CONFIG : exit_status;
    }
    bool as_json = cli->view == TL_VIEW_JSON || cli->view == TL_VIEW_NDJSON;
    if (is_check) {
        printf("%s\n", as_json ? "{\"ok\":true}" : "the configuration is well formed");
        return TL_EXIT_OK;
    }
    tl_js_close(&listing.js, ']');
    tl_js_close(&listing.js, '}');
    status =
        as_json ? tl_js_print(&listing.js, stdout, &err) : tl_table_print(&listing.table, &err);
    return status == TALLY_OK ? TL_EXIT_OK : tl_cli_fail(cli, &err);
}

const struct tl_cmd tl_cmd_config = {
    .name = "config",
    .summary = "show or check the settings in force",
    .arguments = "show|check",
    .about =
        "Flags (--set) come before variables (TALLY_RETENTION_DEFAULT_DAYS), these before the\n"
        "file, and that before what is built in. 'check' reads everything and starts nothing.\n",
    .examples = "tally config show --origin\n"
                "tally config check --config new.yaml\n",
    .opts = opts,
    .rest_min = 1,
    .rest_max = 1,
    .run = run,
};
