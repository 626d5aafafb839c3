#include <string.h>

#include "base/parse.h"
#include "cli/cmd.h"
#include "cli/out.h"
#include "cli/records.h"

static const struct tl_opt opts[] = {
    { "by", 0, "id|seq", "what the argument is; a number is a position first" },
    { 0 },
};

static tally_status get(struct tally_ledger *ledger, const char *name, const char *by,
                        struct tally_page **page_out, struct tally_error *err)
{
    uint64_t seq = 0;
    bool is_number = tl_parse_u64(name, strlen(name), UINT64_MAX, &seq) == TALLY_OK;
    if (by != NULL ? strcmp(by, "seq") == 0 : is_number) {
        if (!is_number) {
            return tl_fail(err, TALLY_EINVAL, "a position is a number");
        }
        tally_status status = tally_get_by_seq(ledger, seq, page_out, by == NULL ? NULL : err);
        if (by != NULL || status != TALLY_ENOTFOUND) {
            return status == TALLY_OK ? status : tl_fail(err, status, "cannot read record");
        }
    }
    return tally_get_by_id(ledger, name, page_out, err);
}

static enum tl_exit run(struct tl_cli *cli, const struct tl_args *args)
{
    TL_CLEANUP(tl_ledger_closep) struct tally_ledger *ledger = NULL;
    enum tl_exit exit_status = tl_cli_open(cli, false, &ledger);
    if (exit_status != TL_EXIT_OK) {
        return exit_status;
    }
    struct tally_error err = TALLY_ERROR_INIT;
    TL_CLEANUP(tl_page_freep) struct tally_page *page = NULL;
    tally_status status = get(ledger, args->rest[0], tl_args_value(args, "by"), &page, &err);
    if (status == TALLY_OK && (page == NULL || page->count == 0)) {
        status = tl_fail(&err, TALLY_ENOTFOUND, "there is no such record");
    }
    if (status == TALLY_OK && page != NULL) {
        status = tl_record_print_whole(cli, &page->items[0], &err);
    }
    return status == TALLY_OK ? TL_EXIT_OK : tl_cli_fail(cli, &err);
}

const struct tl_cmd tl_cmd_get = {
    .name = "get",
    .summary = "show one record with all its members",
    .arguments = "ID|SEQ",
    .about = "",
    .examples = "tally get 7\n"
                "tally get 019cebab-8995-7cb0-91a2-b3c4d5e6f708 --json\n",
    .opts = opts,
    .rest_min = 1,
    .rest_max = 1,
    .run = run,
};
