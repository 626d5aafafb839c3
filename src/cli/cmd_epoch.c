#include <inttypes.h>
#include <string.h>

#include "cli/cmd.h"
#include "cli/out.h"

static tally_status print_epoch(const struct tl_cli *cli, const struct tally_epoch *epoch,
                                bool closing, struct tally_error *err)
{
    if (cli->view == TL_VIEW_TABLE || cli->view == TL_VIEW_CSV) {
        static const struct tl_column columns[] = {
            { "epoch", true }, { "begins", false }, { "ends", false }, { "seal", true }
        };
        struct tl_table table;
        tl_table_init(&table, cli, columns, TL_ARRAY_LEN(columns));
        tl_table_u64(&table, epoch->epoch);
        tl_table_time(&table, epoch->begins_us);
        tl_table_time(&table, epoch->ends_us);
        tl_table_u64(&table, epoch->seal_size);
        tally_status status = tl_table_print(&table, err);
        tl_table_release(&table);
        if (closing) {
            tl_cli_note(cli,
                        epoch->closed != 0
                            ? "closed the epoch before; its key is destroyed"
                            : "nothing to close: the epoch is bound to the clock, and not over");
        }
        return status;
    }
    TL_CLEANUP(tl_js_release) struct tl_js js = { 0 };
    tl_js_init(&js);
    tl_js_open(&js, NULL, '{');
    tl_js_u64(&js, "epoch", epoch->epoch);
    tl_js_u64(&js, "seconds", epoch->seconds);
    tl_js_time(&js, "begins_at", epoch->begins_us);
    tl_js_time(&js, "ends_at", epoch->ends_us);
    tl_js_u64(&js, "seal_size", epoch->seal_size);
    if (closing) {
        tl_js_bool(&js, "closed", epoch->closed != 0);
    }
    tl_js_close(&js, '}');
    return tl_js_print(&js, stdout, err);
}

static enum tl_exit run(struct tl_cli *cli, const struct tl_args *args)
{
    bool closing = args->rest_count == 1 && strcmp(args->rest[0], "close") == 0;
    if (args->rest_count == 1 && !closing && strcmp(args->rest[0], "show") != 0) {
        return tl_cli_usage(cli, "'tally epoch' takes show or close");
    }
    TL_CLEANUP(tl_ledger_closep) struct tally_ledger *ledger = NULL;
    enum tl_exit exit_status = tl_cli_open(cli, closing, &ledger);
    if (exit_status != TL_EXIT_OK) {
        return exit_status;
    }
    struct tally_error err = TALLY_ERROR_INIT;
    struct tally_epoch epoch;
    tally_status status =
        closing ? tally_epoch_close(ledger, &epoch, &err) : tally_epoch_read(ledger, &epoch, &err);
    if (status == TALLY_OK) {
        status = print_epoch(cli, &epoch, closing, &err);
    }
    return status == TALLY_OK ? TL_EXIT_OK : tl_cli_fail(cli, &err);
}

const struct tl_cmd tl_cmd_epoch = {
    .name = "epoch",
    .summary = "show the epoch in force, or close one that is over",
    .arguments = "[show | close]",
    .about =
        "Each epoch has a key of its own, which is destroyed when the epoch is closed: nobody can\n"
        "sign for its time after that. Epochs are bound to the clock; whoever records closes them "
        "in\n"
        "time, also while nothing happens. 'close' is for a ledger in which nobody records.\n",
    .examples = "tally epoch\n"
                "tally epoch close --json\n",
    .rest_max = 1,
    .run = run,
};
