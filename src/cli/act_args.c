#include "cli/act_args.h"

#include <stdio.h>
#include <string.h>

#include "base/io.h"
#include "base/parse.h"
#include "cli/opt.h"

#define APPROVAL_BYTES_MAX ((size_t)1 << 20)

static tally_status read_range(struct tally_range *out, const char *text, struct tally_error *err)
{
    const char *dash = strchr(text, '-');
    size_t len = dash == NULL ? strlen(text) : (size_t)(dash - text);
    const char *second = dash == NULL ? text : dash + 1;
    if (tl_parse_u64(text, len, UINT64_MAX - 1, &out->first) != TALLY_OK ||
        tl_parse_u64(second, strlen(second), UINT64_MAX - 1, &out->last) != TALLY_OK ||
        out->first > out->last) {
        return tl_fail(err, TALLY_EINVAL, "option '--range' takes two positions, as in 100-199");
    }
    return TALLY_OK;
}

tally_status tl_act_args_read(struct tl_act_args *out, const struct tl_args *args,
                              struct tally_error *err)
{
    for (size_t i = 0; i < args->given_count; i++) {
        const struct tl_given *given = &args->given[i];
        if (strcmp(given->opt->name, "range") != 0) {
            continue;
        }
        if (out->range_count == TL_ACT_RANGES_MAX) {
            return tl_fail(err, TALLY_EINVAL, "more than %u ranges", TL_ACT_RANGES_MAX);
        }
        TL_TRY(read_range(&out->ranges[out->range_count++], given->value, err));
    }
    TL_TRY(tl_query_args_read(&out->filters, args, err));
    const char *approval = tl_args_value(args, "approval");
    size_t len = 0;
    if (approval != NULL) {
        TL_TRY(tl_file_read(approval, APPROVAL_BYTES_MAX, &out->approval, &len, err));
    }
    out->actor = (struct tally_actor){ .by = tl_args_value(args, "by"),
                                       .reason = tl_args_value(args, "reason"),
                                       .ticket = tl_args_value(args, "ticket"),
                                       .approval = out->approval };
    return TALLY_OK;
}

void tl_act_args_free(struct tl_act_args **act)
{
    if (*act != NULL) {
        tl_query_args_release(&(*act)->filters);
        tl_free((*act)->approval);
        tl_free(*act);
    }
    *act = NULL;
}

struct tally_selection tl_act_args_selection(struct tl_act_args *act)
{
    struct tally_selection selection = { .ranges = act->ranges, .range_count = act->range_count };
    if (act->filters.count > 0) {
        act->query = (struct tally_query)TALLY_QUERY_INIT;
        act->query.conditions = act->filters.conditions;
        act->query.condition_count = act->filters.count;
        selection.query = &act->query;
    }
    return selection;
}

enum tl_exit tl_act_fail(const struct tl_cli *cli, const struct tl_args *args, const char *request,
                         const struct tally_error *err)
{
    if (request == NULL) {
        return tl_cli_fail(cli, err);
    }
    const char *path = tl_args_value(args, "request");
    struct tally_error why = TALLY_ERROR_INIT;
    if (path != NULL &&
        tl_io_replace_file(path, request, strlen(request), 0600, &why) != TALLY_OK) {
        return tl_cli_fail(cli, &why);
    }
    enum tl_exit exit_status = tl_cli_fail(cli, err);
    if (path == NULL) {
        tl_cli_note(cli, "'--request FILE' writes down what has to be signed");
    } else {
        tl_cli_note(cli,
                    "the request is in '%s': 'tally approve --key KEY --output APPROVAL %s' signs "
                    "it; then repeat this command with '--approval APPROVAL'",
                    path, path);
    }
    return exit_status;
}

void tl_act_print_left(uint64_t left)
{
    if (left > 0) {
        printf("%-12straces in files that somebody else reads or writes: run it again later\n",
               "left");
    }
}
