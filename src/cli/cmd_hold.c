#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/act_args.h"
#include "cli/cmd.h"
#include "cli/out.h"
#include "codec/time.h"
#include "show/show.h"

static const struct tl_opt opts[] = {
    TL_ACT_RANGE_OPT,
    { "all", 0, NULL, "add: every record that is there now" },
    { "expires", 0, "TIME",
      "add: when to be reminded of it, or 90d: after how long; nothing is released by itself" },
    { "dry-run", 0, NULL, "add: say what would be held, and change nothing" },
    TL_ACT_OPTS,
    { 0 },
};

static bool as_json(const struct tl_cli *cli)
{
    return cli->view == TL_VIEW_JSON || cli->view == TL_VIEW_NDJSON;
}

static enum tl_exit print_js(const struct tl_cli *cli, struct tl_js *js)
{
    struct tally_error err = TALLY_ERROR_INIT;
    return tl_js_print(js, stdout, &err) == TALLY_OK ? TL_EXIT_OK : tl_cli_fail(cli, &err);
}

static enum tl_exit print_held(const struct tl_cli *cli, const char *id, bool dry,
                               const struct tally_held *held)
{
    if (!as_json(cli)) {
        printf("%s %" PRIu64 " records in %" PRIu64 " runs on hold '%s'\n",
               dry ? "would put" : "put", held->records, held->ranges, id);
        return TL_EXIT_OK;
    }
    TL_CLEANUP(tl_js_release) struct tl_js js = { 0 };
    tl_js_init(&js);
    tl_show_held(&js, NULL, id, dry, held);
    return print_js(cli, &js);
}

static enum tl_exit add(struct tl_cli *cli, const struct tl_args *args, struct tl_act_args *act)
{
    struct tally_error err = TALLY_ERROR_INIT;
    const char *id = args->rest[1];
    const char *expires = tl_args_value(args, "expires");
    int64_t expires_us = 0;
    bool dry = tl_args_has(args, "dry-run");
    if (expires != NULL && tl_end_time_read(&expires_us, expires) != TALLY_OK) {
        return tl_cli_usage(cli, "option '--expires' takes 90d, 12h or a time, as in "
                                 "2027-01-01T00:00:00Z");
    }
    struct tally_selection selection = tl_act_args_selection(act);
    if (selection.query == NULL && selection.range_count == 0 && !tl_args_has(args, "all")) {
        return tl_cli_usage(cli, "say which records: filters, '--range A-B', or '--all'");
    }
    TL_CLEANUP(tl_ledger_closep) struct tally_ledger *ledger = NULL;
    TL_CLEANUP(tl_public_freep) char *request = NULL;
    enum tl_exit exit_status = tl_cli_open(cli, true, &ledger);
    if (exit_status != TL_EXIT_OK) {
        return exit_status;
    }
    struct tally_held held = { .seq = TALLY_SEQ_NONE };
    tally_status status =
        tally_hold_add(ledger, id, &selection, expires_us, dry, &act->actor, &held, &request, &err);
    return status == TALLY_OK ? print_held(cli, id, dry, &held)
                              : tl_act_fail(cli, args, request, &err);
}

static enum tl_exit release(struct tl_cli *cli, const struct tl_args *args, struct tl_act_args *act)
{
    struct tally_error err = TALLY_ERROR_INIT;
    const char *id = args->rest[1];
    TL_CLEANUP(tl_ledger_closep) struct tally_ledger *ledger = NULL;
    TL_CLEANUP(tl_public_freep) char *request = NULL;
    enum tl_exit exit_status = tl_cli_open(cli, true, &ledger);
    if (exit_status != TL_EXIT_OK) {
        return exit_status;
    }
    if (tally_hold_release(ledger, id, &act->actor, &request, &err) != TALLY_OK) {
        return tl_act_fail(cli, args, request, &err);
    }
    if (!as_json(cli)) {
        printf("released hold '%s'\n", id);
        return TL_EXIT_OK;
    }
    TL_CLEANUP(tl_js_release) struct tl_js js = { 0 };
    tl_js_init(&js);
    tl_show_released(&js, NULL, id);
    return print_js(cli, &js);
}

struct list {
    struct tl_table table;
    struct tl_js js;
};

static int add_hold(void *ctx, const struct tally_hold *hold)
{
    struct list *list = ctx;
    char set[TL_TIME_SIZE];
    char expires[TL_TIME_SIZE] = "";
    (void)tl_time_format(set, hold->set_us); /* the lengths do not matter */
    if (hold->expires_us != 0) {
        (void)tl_time_format(expires, hold->expires_us);
    }
    tl_show_hold(&list->js, NULL, hold);
    tl_table_text(&list->table, hold->id);
    tl_table_text(&list->table, hold->is_active ? "active" : "released");
    tl_table_u64(&list->table, hold->records);
    tl_table_text(&list->table, set);
    tl_table_text(&list->table, expires);
    tl_table_text(&list->table, hold->by);
    tl_table_text(&list->table, hold->reason);
    return 0;
}

static void release_list(struct list *list)
{
    tl_table_release(&list->table);
    tl_js_release(&list->js);
}

static enum tl_exit list_all(struct tl_cli *cli)
{
    static const struct tl_column columns[] = {
        { "hold", false },    { "state", false }, { "records", true }, { "set", false },
        { "expires", false }, { "by", false },    { "reason", false },
    };
    struct tally_error err = TALLY_ERROR_INIT;
    TL_CLEANUP(tl_ledger_closep) struct tally_ledger *ledger = NULL;
    enum tl_exit exit_status = tl_cli_open(cli, false, &ledger);
    if (exit_status != TL_EXIT_OK) {
        return exit_status;
    }
    TL_CLEANUP(release_list) struct list list = { .js = { .comma = false } };
    tl_table_init(&list.table, cli, columns, TL_ARRAY_LEN(columns));
    tl_js_init(&list.js);
    tl_js_open(&list.js, NULL, '{');
    tl_js_open(&list.js, "holds", '[');
    if (tally_hold_list(ledger, add_hold, &list, &err) != TALLY_OK) {
        return tl_cli_fail(cli, &err);
    }
    tl_js_close(&list.js, ']');
    tl_js_close(&list.js, '}');
    if (as_json(cli)) {
        return print_js(cli, &list.js);
    }
    return tl_table_print(&list.table, &err) == TALLY_OK ? TL_EXIT_OK : tl_cli_fail(cli, &err);
}

static enum tl_exit run(struct tl_cli *cli, const struct tl_args *args)
{
    struct tally_error err = TALLY_ERROR_INIT;
    const char *verb = args->rest[0];
    bool lists = strcmp(verb, "list") == 0;
    bool adds = strcmp(verb, "add") == 0;
    if (!lists && !adds && strcmp(verb, "release") != 0) {
        return tl_cli_usage(cli, "'tally hold' takes add, list or release, not '%s'", verb);
    }
    if (args->rest_count != (lists ? 1 : 2)) {
        return lists ? tl_cli_usage(cli, "'tally hold list' takes no id")
                     : tl_cli_usage(cli, "'tally hold %s' takes the id of a hold", verb);
    }
    if (lists) {
        return list_all(cli);
    }
    TL_CLEANUP(tl_act_args_free) struct tl_act_args *act = tl_alloc_array(1, sizeof(*act));
    if (act == NULL) {
        (void)tl_fail(&err, TALLY_ENOMEM, "out of memory"); /* told below */
        return tl_cli_fail(cli, &err);
    }
    if (tl_act_args_read(act, args, &err) != TALLY_OK) {
        return tl_cli_fail(cli, &err);
    }
    if (act->actor.by == NULL && !tl_args_has(args, "dry-run")) {
        return tl_cli_usage(cli, "say who is responsible: '--by WHO'");
    }
    act->actor.by = act->actor.by == NULL ? "tally" : act->actor.by;
    return adds ? add(cli, args, act) : release(cli, args, act);
}

const struct tl_cmd tl_cmd_hold = {
    .name = "hold",
    .summary = "keep records from being purged or erased, for a case",
    .arguments = "add|list|release [ID]",
    .about = "A record stays as long as one hold on it is active, whatever retention says. The id\n"
             "of a hold is never used again; adding to one that is active adds records.\n",
    .examples =
        "tally hold add case-2026-17 --actor-id u-41 --by legal@example.com --reason 'suit 17'\n"
        "tally hold add case-2026-17 --range 1000-1999 --by legal@example.com\n"
        "tally hold list --json\n"
        "tally hold release case-2026-17 --by legal@example.com --reason 'settled'\n",
    .opts = opts,
    .takes_filters = true,
    .rest_min = 1,
    .rest_max = 2,
    .run = run,
};
