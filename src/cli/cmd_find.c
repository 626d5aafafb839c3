#include <string.h>

#include "cli/cmd.h"
#include "cli/out.h"
#include "cli/records.h"

static const struct tl_opt opts[] = {
    { "limit", 'n', "N", "records on a page, 1 to 1000; 50 if not given" },
    { "cursor", 0, "CURSOR", "the page after the one that gave this cursor" },
    { "offset", 0, "N", "records to pass over, at most 100000; cursors are better" },
    { "order", 0, "seq|occurred_at", "by position (the default) or by time" },
    { "dir", 0, "desc|asc", "newest first (the default) or oldest first" },
    { "count", 0, "none|capped|exact", "also count all pages; capped stops at 10000" },
    { "exit-code", 0, NULL, "exit with 1 if nothing was found" },
    { 0 },
};

static bool is_value(const struct tl_args *args, const char *name, const char *word)
{
    const char *value = tl_args_value(args, name);
    return value != NULL && strcmp(value, word) == 0;
}

static struct tally_query make_query(const struct tl_args *args,
                                     const struct tl_query_args *conditions)
{
    struct tally_query query = TALLY_QUERY_INIT;
    uint64_t limit = tl_args_number(args, "limit", 0);
    query.conditions = conditions->conditions;
    query.condition_count = conditions->count;
    /* What no page holds is left to the library to refuse. */
    query.limit = limit > UINT32_MAX ? UINT32_MAX : (uint32_t)limit;
    query.offset = tl_args_number(args, "offset", 0);
    query.cursor = tl_args_value(args, "cursor");
    query.order = is_value(args, "order", "occurred_at") ? TALLY_ORDER_OCCURRED : TALLY_ORDER_SEQ;
    query.ascending = is_value(args, "dir", "asc") ? 1 : 0;
    query.count = is_value(args, "count", "exact")    ? TALLY_COUNT_EXACT
                  : is_value(args, "count", "capped") ? TALLY_COUNT_CAPPED
                                                      : TALLY_COUNT_NONE;
    return query;
}

static tally_status print_json(const struct tally_page *page, struct tally_error *err)
{
    TL_CLEANUP(tl_js_release) struct tl_js js = { 0 };
    tl_js_init(&js);
    tl_js_open(&js, NULL, '{');
    tl_js_open(&js, "items", '[');
    for (size_t i = 0; i < page->count; i++) {
        tl_js_raw(&js, NULL, (struct tl_str){ page->items[i].line, page->items[i].line_len });
    }
    tl_js_close(&js, ']');
    if (page->next != NULL) {
        tl_js_text(&js, "next", page->next);
    }
    tl_js_bool(&js, "complete", page->complete != 0);
    if (page->problem != NULL) {
        tl_js_open(&js, "problems", '[');
        tl_js_text(&js, NULL, page->problem);
        tl_js_close(&js, ']');
    }
    tl_js_u64(&js, "indexed_to", page->indexed_to);
    if (page->has_total) {
        tl_js_open(&js, "count", '{');
        tl_js_u64(&js, "value", page->total);
        tl_js_bool(&js, "exact", page->total_exact != 0);
        tl_js_close(&js, '}');
    }
    tl_js_close(&js, '}');
    return tl_js_print(&js, stdout, err);
}

static tally_status print_rows(const struct tl_cli *cli, const struct tally_page *page,
                               struct tally_error *err)
{
    TL_CLEANUP(tl_records_release) struct tl_records records = { 0 };
    tl_records_init(&records, cli);
    for (size_t i = 0; i < page->count; i++) {
        TL_TRY(tl_records_add(&records, &page->items[i], err));
    }
    TL_TRY(tl_records_print(&records, err));
    if (page->has_total) {
        tl_cli_note(cli, "%llu%s records in all", (unsigned long long)page->total,
                    page->total_exact ? "" : "+");
    }
    if (page->next != NULL) {
        tl_cli_note(cli, "there is more: --cursor %s", page->next);
    }
    return TALLY_OK;
}

static enum tl_exit run(struct tl_cli *cli, const struct tl_args *args)
{
    struct tally_error err = TALLY_ERROR_INIT;
    TL_CLEANUP(tl_query_args_release) struct tl_query_args conditions = { 0 };
    if (tl_query_args_read(&conditions, args, &err) != TALLY_OK) {
        return tl_cli_fail(cli, &err);
    }
    struct tally_query query = make_query(args, &conditions);
    TL_CLEANUP(tl_ledger_closep) struct tally_ledger *ledger = NULL;
    enum tl_exit exit_status = tl_cli_open(cli, false, &ledger);
    if (exit_status != TL_EXIT_OK) {
        return exit_status;
    }
    TL_CLEANUP(tl_page_freep) struct tally_page *page = NULL;
    if (tally_find(ledger, &query, &page, &err) != TALLY_OK ||
        (cli->view == TL_VIEW_JSON ? print_json(page, &err) : print_rows(cli, page, &err)) !=
            TALLY_OK) {
        return tl_cli_fail(cli, &err);
    }
    if (!page->complete) {
        tl_cli_warn(cli, "this page is not complete: %s",
                    page->problem == NULL ? "something could not be read" : page->problem);
        return TL_EXIT_INCOMPLETE;
    }
    bool found = page->count > 0 || !tl_args_has(args, "exit-code");
    return found ? TL_EXIT_OK : TL_EXIT_NO;
}

const struct tl_cmd tl_cmd_find = {
    .name = "find",
    .summary = "find records, newest first",
    .arguments = "",
    .about =
        "Different filters must all fit, the same one given again may fit by any of its values.\n"
        "An empty value means that the member is absent.\n",
    .examples = "tally find --actor-id user-42 --from -7d\n"
                "tally find --action 'invoice.*' --outcome failure --json\n"
                "tally find --severity-min high --text 'refund denied' -n 10\n",
    .opts = opts,
    .takes_filters = true,
    .run = run,
};
