#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <string.h>

#include "cli/cmd.h"
#include "cli/out.h"
#include "show/show.h"

#define WATCH_MS 2000

static const struct tl_opt opts[] = {
    { "watch", 0, NULL, "show it again every two seconds, until SIGINT" },
    { 0 },
};

static uint64_t not_negative(int64_t value)
{
    return value > 0 ? (uint64_t)value : 0;
}

static void add_row(struct tl_table *table, const char *name, const char *fmt, ...) TL_PRINTF(3, 4);

static void add_row(struct tl_table *table, const char *name, const char *fmt, ...)
{
    char value[480];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(value, sizeof(value), fmt, args);
    va_end(args);
    tl_table_text(table, name);
    tl_table_text(table, value);
}

static void add_sequencer(struct tl_table *table, int64_t pid)
{
    if (pid > 0) {
        add_row(table, "sequencer", "process %" PRId64, pid);
    } else {
        add_row(table, "sequencer", "%s", pid == 0 ? "none" : "a process that did not say which");
    }
}

static void add_rows(struct tl_table *table, const struct tally_activity *activity,
                     const struct tl_health *health)
{
    tl_table_text(table, "health");
    tl_table_cell(table, tl_str_of(tl_health_name(health)),
                  tl_health_is_grave(health) ? TL_STYLE_BAD
                  : health->count > 0        ? TL_STYLE_WARN
                                             : TL_STYLE_GOOD);
    add_row(table, "ledger", "%s", activity->origin);
    add_row(table, "records", "%" PRIu64 ", indexed below %" PRIu64, activity->size,
            activity->indexed_to);
    add_row(table, "rate", "%" PRIu64 " in the last minute, the newest %" PRIu64 " s ago",
            activity->recorded_60s, not_negative(activity->newest_s));
    add_sequencer(table, activity->sequencer_pid);
    add_row(table, "waiting", "%" PRIu64 " events, the oldest for %" PRIu64 " s",
            activity->spool_events, not_negative(activity->oldest_unsent_s));
    add_row(table, "spool",
            "%" PRIu64 " KiB in %" PRIu64 " segments, %" PRIu64 " open; %" PRIu64 " put aside",
            activity->spool_bytes >> 10, activity->spool_segments, activity->spool_writers,
            activity->quarantined);
    add_row(table, "lost", "%s%" PRIu64 " events, %" PRIu64 " gap records",
            activity->dropped_is_exact != 0 ? "" : "at least ", activity->dropped, activity->gaps);
    if (activity->anchored_s >= 0) {
        add_row(table, "anchored", "%" PRId64 " s ago, %" PRIu64 " targets configured",
                activity->anchored_s, activity->anchor_targets);
    } else {
        add_row(table, "anchored", "never, %" PRIu64 " targets configured",
                activity->anchor_targets);
    }
    add_row(table, "disk", "%" PRIu64 " MiB free", activity->disk_free_bytes >> 20);
    for (size_t i = 0; i < health->count; i++) {
        add_row(table, "problem", "%s", health->items[i].what);
        add_row(table, "way out", "%s", health->items[i].advice);
    }
}

static tally_status print(const struct tl_cli *cli, const struct tally_activity *activity,
                          const struct tl_health *health, struct tally_error *err)
{
    if (cli->view == TL_VIEW_JSON || cli->view == TL_VIEW_NDJSON) {
        TL_CLEANUP(tl_js_release) struct tl_js js = { 0 };
        tl_js_init(&js);
        tl_js_open(&js, NULL, '{');
        tl_show_status(&js, activity, health);
        tl_js_close(&js, '}');
        return tl_js_print(&js, stdout, err);
    }
    static const struct tl_column columns[] = { { "what", false }, { "value", false } };
    TL_CLEANUP(tl_table_release) struct tl_table table = { 0 };
    tl_table_init(&table, cli, columns, TL_ARRAY_LEN(columns));
    table.whole = true;
    table.headed = cli->view != TL_VIEW_CSV; /* the names of the rows say enough */
    add_rows(&table, activity, health);
    return tl_table_print(&table, err);
}

static enum tl_exit show(const struct tl_cli *cli, bool again)
{
    struct tally_error err = TALLY_ERROR_INIT;
    struct tally_options options = tl_cli_options(cli);
    struct tally_activity activity = TALLY_ACTIVITY_INIT;
    struct tl_health health;
    tally_status status = tally_activity_read(&options, &activity, &err);
    if (status != TALLY_OK) {
        return tl_cli_fail_open(cli, status, &err);
    }
    tl_health_judge(&health, &activity);
    if (again && cli->terminal_out && cli->view == TL_VIEW_TABLE) {
        (void)fputs("\x1b[H\x1b[J", stdout);
    }
    if (print(cli, &activity, &health, &err) != TALLY_OK) {
        return tl_cli_fail(cli, &err);
    }
    (void)fflush(stdout); /* main() looks at ferror() */
    return tl_health_is_grave(&health) ? TL_EXIT_NO : TL_EXIT_OK;
}

static enum tl_exit run(struct tl_cli *cli, const struct tl_args *args)
{
    if (!tl_args_has(args, "watch")) {
        return show(cli, false);
    }
    tl_stop_install();
    enum tl_exit exit_status = TL_EXIT_OK;
    do {
        exit_status = show(cli, true);
        (void)poll(NULL, 0, WATCH_MS); /* a signal cuts it short */
    } while (!tl_stopped() && ferror(stdout) == 0 && exit_status != TL_EXIT_UNAVAILABLE &&
             exit_status != TL_EXIT_CONFIG);
    return exit_status;
}

const struct tl_cmd tl_cmd_status = {
    .name = "status",
    .summary = "show what waits to be recorded, who records, and what was lost",
    .arguments = "",
    .about = "Needs no lock, and works while programs log. Exit status 1 if events are not being\n"
             "recorded, or soon will not be.\n",
    .examples = "tally status\n"
                "tally status --watch\n"
                "tally status --json\n",
    .opts = opts,
    .run = run,
};
