#include <inttypes.h>
#include <stdio.h>

#include "cli/cmd.h"
#include "cli/out.h"

static const struct tl_opt opts[] = {
    { "by", 0, "WHO", "who makes it, for the record; else the user's name" },
    { "reason", 0, "TEXT", "why, for the record" },
    { "ticket", 0, "TEXT", "the number of the request elsewhere, for the record" },
    { 0 },
};

struct watch {
    const struct tl_cli *cli;
    struct tl_progress progress;
};

static int show_progress(void *ctx, uint64_t done, uint64_t total)
{
    struct watch *watch = ctx;
    tl_progress_show(&watch->progress, watch->cli, "copying and verifying", done, total);
    return tl_stopped() ? 1 : 0;
}

static tally_status print_json(const char *dir, const struct tally_backup_result *result,
                               struct tally_error *err)
{
    TL_CLEANUP(tl_js_release) struct tl_js js = { 0 };
    tl_js_init(&js);
    tl_js_open(&js, NULL, '{');
    tl_js_text(&js, "directory", dir);
    tl_js_u64(&js, "size", result->size);
    tl_js_u64(&js, "from", result->from);
    tl_js_u64(&js, "bytes", result->bytes);
    tl_js_bool(&js, "verified", result->verified != 0);
    tl_js_text(&js, "checkpoint", result->checkpoint);
    tl_js_close(&js, '}');
    return tl_js_print(&js, stdout, err);
}

static enum tl_exit run(struct tl_cli *cli, const struct tl_args *args)
{
    char user[TL_USER_SIZE];
    struct tally_error err = TALLY_ERROR_INIT;
    const char *dir = args->rest[0];
    const char *by = tl_args_value(args, "by");
    const struct tally_actor actor = { .by = by != NULL ? by : tl_cli_user(user),
                                       .reason = tl_args_value(args, "reason"),
                                       .ticket = tl_args_value(args, "ticket") };
    TL_CLEANUP(tl_ledger_closep) struct tally_ledger *ledger = NULL;
    enum tl_exit exit_status = tl_cli_open(cli, true, &ledger);
    if (exit_status != TL_EXIT_OK) {
        return exit_status;
    }
    struct watch watch = { .cli = cli };
    struct tally_backup_result result = { 0 };
    tl_stop_install();
    tally_status status = tally_backup(ledger, dir, &actor, show_progress, &watch, &result, &err);
    tl_progress_end(&watch.progress);
    bool as_json = cli->view == TL_VIEW_JSON || cli->view == TL_VIEW_NDJSON;
    if (status == TALLY_OK && as_json) {
        status = print_json(dir, &result, &err);
    } else if (status == TALLY_OK) {
        printf("%" PRIu64 " records, %" PRIu64 " of them new; verified\n", result.size,
               result.size - result.from);
        tl_cli_note(cli, "it holds no keys: those are kept apart, or made anew by a restore");
    }
    return status == TALLY_OK ? TL_EXIT_OK : tl_cli_fail(cli, &err);
}

const struct tl_cmd tl_cmd_backup = {
    .name = "backup",
    .summary = "copy the ledger while it is in use, and verify the copy",
    .arguments = "DIR",
    .about =
        "A second backup to the same directory adds what is new, and removes what was purged or\n"
        "erased since. Keys are never copied. The copy must be VERIFIED, or the command fails.\n",
    .examples = "tally backup /mnt/backup/audit\n"
                "tally backup /mnt/backup/audit --by ops@example.com --reason nightly --json\n",
    .opts = opts,
    .rest_min = 1,
    .rest_max = 1,
    .run = run,
};
