#include <string.h>

#include <poll.h>

#include "cli/cmd.h"
#include "cli/out.h"
#include "codec/time.h"
#include "show/show.h"

#define WAIT_MS 200

static const struct tl_opt opts[] = { { 0 } };

struct listing {
    struct tl_table table;
    struct tl_js js;
};

static void release(struct listing *listing)
{
    tl_table_release(&listing->table);
    tl_js_release(&listing->js);
}

static bool is_json(const struct tl_cli *cli)
{
    return cli->view == TL_VIEW_JSON || cli->view == TL_VIEW_NDJSON;
}

static void add_time_cell(struct tl_table *table, int64_t us)
{
    char text[TL_TIME_SIZE] = "never";
    if (us > 0) {
        (void)tl_time_format(text, us);
    }
    tl_table_text(table, text);
}

static int add_job(void *ctx, const struct tally_job *job)
{
    struct listing *listing = ctx;
    tl_show_schedule(&listing->js, NULL, job);
    struct tl_table *table = &listing->table;
    tl_table_text(table, job->name);
    tl_table_text(table, job->when);
    add_time_cell(table, job->last_us);
    add_time_cell(table, job->next_us);
    tl_table_u64(table, job->missed);
    tl_table_text(table, job->detail);
    return 0;
}

static enum tl_exit show(struct tl_cli *cli)
{
    static const struct tl_column columns[] = { { "job", false },   { "when", false },
                                                { "last", false },  { "next", false },
                                                { "missed", true }, { "detail", false } };
    TL_CLEANUP(release) struct listing listing = { 0 };
    tl_table_init(&listing.table, cli, columns, TL_ARRAY_LEN(columns));
    tl_js_init(&listing.js);
    tl_js_open(&listing.js, NULL, '{');
    tl_js_open(&listing.js, "jobs", '[');
    struct tally_error err = TALLY_ERROR_INIT;
    struct tally_options options = tl_cli_options(cli);
    if (tally_schedule_each(&options, add_job, &listing, &err) != TALLY_OK) {
        return tl_cli_fail_ledger(cli, &err);
    }
    tl_js_close(&listing.js, ']');
    tl_js_close(&listing.js, '}');
    tally_status status = is_json(cli) ? tl_js_print(&listing.js, stdout, &err)
                                       : tl_table_print(&listing.table, &err);
    return status == TALLY_OK ? TL_EXIT_OK : tl_cli_fail(cli, &err);
}

static enum tl_exit run_one(struct tl_cli *cli, const char *name)
{
    TL_CLEANUP(tl_ledger_closep) struct tally_ledger *ledger = NULL;
    enum tl_exit exit_status = tl_cli_open(cli, true, &ledger);
    if (exit_status != TL_EXIT_OK) {
        return exit_status;
    }
    struct tally_error err = TALLY_ERROR_INIT;
    return tally_schedule_run(ledger, name, &err) == TALLY_OK ? TL_EXIT_OK : tl_cli_fail(cli, &err);
}

/* Stays, and runs what is due, until it is told to stop. */
static enum tl_exit follow(struct tl_cli *cli)
{
    TL_CLEANUP(tl_ledger_closep) struct tally_ledger *ledger = NULL;
    enum tl_exit exit_status = tl_cli_open_unattended(cli, &ledger);
    if (exit_status != TL_EXIT_OK) {
        return exit_status;
    }
    struct tally_error err = TALLY_ERROR_INIT;
    struct tally_scheduler *scheduler = NULL;
    if (tally_scheduler_start(&scheduler, ledger, &err) != TALLY_OK) {
        return tl_cli_fail_ledger(cli, &err);
    }
    tl_stop_install();
    tl_cli_note(cli, "running what is scheduled; stop it with SIGINT");
    while (!tl_stopped()) {
        (void)poll(NULL, 0, WAIT_MS); /* a signal only shortens it */
    }
    tally_scheduler_stop(scheduler);
    return TL_EXIT_OK;
}

static enum tl_exit run(struct tl_cli *cli, const struct tl_args *args)
{
    const char *verb = args->rest[0];
    if (strcmp(verb, "run") == 0 && args->rest_count == 2) {
        return run_one(cli, args->rest[1]);
    }
    if (args->rest_count == 1 && strcmp(verb, "show") == 0) {
        return show(cli);
    }
    if (args->rest_count == 1 && strcmp(verb, "follow") == 0) {
        return follow(cli);
    }
    return tl_cli_usage(cli, "'tally schedule' takes show, follow, or run with the name of a job");
}

const struct tl_cmd tl_cmd_schedule = {
    .name = "schedule",
    .summary = "verification, purge, anchors and backup that come back by themselves",
    .arguments = "show|follow|run JOB",
    .about =
        "When is configured: verify.schedule, retention.schedule, anchor.schedule and\n"
        "backup.schedule are cron expressions (tally.yaml(5)), or 'off'. 'follow' stays and runs\n"
        "what is due while this process is the sequencer; programs have tally_scheduler_start().\n"
        "'run' runs one job now: verify, purge, anchor or backup.\n",
    .examples = "tally schedule show\n"
                "tally schedule run verify\n"
                "tally --set verify.schedule='TZ=Europe/Berlin 30 3 * * *' schedule follow\n",
    .opts = opts,
    .rest_min = 1,
    .rest_max = 2,
    .run = run,
};
