#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <string.h>

#include "cli/cmd.h"
#include "cli/out.h"

#define WATCH_MS         2000
#define STUCK_S          30 /* a sequencer that records nothing for so long is in trouble */
#define ALONE_S          2  /* another process takes over sooner than that */
#define DISK_LOW_BYTES   (UINT64_C(1) << 30)
#define DISK_EMPTY_BYTES (UINT64_C(64) << 20)
#define ANCHOR_OLD_S     172800 /* two days */
#define PROBLEMS_MAX     6u

static const struct tl_opt opts[] = {
    { "watch", 0, NULL, "show it again every two seconds, until SIGINT" },
    { 0 },
};

/* Something that is wrong, and the way out. */
struct problem {
    bool is_grave; /* events are not being recorded, or soon will not be */
    char what[400];
    const char *advice;
};

struct problems {
    struct problem items[PROBLEMS_MAX];
    size_t count;
};

static void add_problem(struct problems *problems, bool is_grave, const char *advice,
                        const char *fmt, ...) TL_PRINTF(4, 5);

static void add_problem(struct problems *problems, bool is_grave, const char *advice,
                        const char *fmt, ...)
{
    tl_assert(problems->count < PROBLEMS_MAX);
    struct problem *problem = &problems->items[problems->count++];
    problem->is_grave = is_grave;
    problem->advice = advice;
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(problem->what, sizeof(problem->what), fmt, args);
    va_end(args);
}

/* At most one of the first three applies: the others would follow from it. */
static void look_at_recording(struct problems *problems, const struct tally_activity *activity)
{
    uint64_t events = activity->spool_events;
    int64_t age = activity->oldest_unsent_s;
    if (activity->trouble[0] != '\0') {
        add_problem(problems, true,
                    "nothing is lost while the spool has room; remove the cause, and recording "
                    "goes on by itself; 'tally doctor' looks closer",
                    "nothing is being recorded: %s", activity->trouble);
    } else if (activity->sequencer_pid == 0 && events > 0 && age >= ALONE_S) {
        add_problem(problems, true,
                    "start a program that writes to it, or record anything with 'tally log': "
                    "whoever has it open for writing records what waits",
                    "%" PRIu64 " events wait, the oldest for %" PRId64
                    " s, and no process has the ledger open for writing",
                    events, age);
    } else if (events > 0 && age >= STUCK_S) {
        add_problem(problems, true,
                    "see whether it is stopped or waits for its disk; if it is ended, another "
                    "process takes over within a second",
                    "the process that records, %" PRId64 ", is behind: %" PRIu64
                    " events wait, the oldest for %" PRId64 " s",
                    activity->sequencer_pid, events, age);
    }
}

static void look(struct problems *problems, const struct tally_activity *activity)
{
    *problems = (struct problems){ .count = 0 };
    look_at_recording(problems, activity);
    if (activity->disk_free_bytes < DISK_LOW_BYTES) {
        add_problem(problems, activity->disk_free_bytes < DISK_EMPTY_BYTES,
                    "make room: on a full disk events wait for it, and then are lost",
                    "the disk has %" PRIu64 " MiB left", activity->disk_free_bytes >> 20);
    }
    if (activity->anchor_targets > 0 &&
        (activity->anchored_s < 0 || activity->anchored_s > ANCHOR_OLD_S)) {
        add_problem(problems, false, "run 'tally anchor', every day at least, and see what it says",
                    activity->anchored_s < 0
                        ? "no checkpoint was taken to the %" PRIu64 " anchor targets yet"
                        : "the %" PRIu64 " anchor targets had no checkpoint for two days",
                    activity->anchor_targets);
    }
    if (activity->quarantined > 0) {
        add_problem(problems, false,
                    "what could be read of them is recorded, the rest is declared as lost; look at "
                    "the disk, and keep the files in spool/quarantine until you know why",
                    "%" PRIu64 " segments of the spool were damaged and put aside",
                    activity->quarantined);
    }
}

static bool is_grave(const struct problems *problems)
{
    for (size_t i = 0; i < problems->count; i++) {
        if (problems->items[i].is_grave) {
            return true;
        }
    }
    return false;
}

static const char *health_of(const struct problems *problems)
{
    return is_grave(problems) ? "error" : problems->count > 0 ? "warning" : "ok";
}

static uint64_t not_negative(int64_t value)
{
    return value > 0 ? (uint64_t)value : 0;
}

static void add_json(struct tl_js *js, const struct tally_activity *activity,
                     const struct problems *problems)
{
    tl_js_open(js, NULL, '{');
    tl_js_text(js, "health", health_of(problems));
    tl_js_text(js, "origin", activity->origin);
    tl_js_u64(js, "size", activity->size);
    tl_js_u64(js, "indexed_to", activity->indexed_to);
    tl_js_u64(js, "recorded_60s", activity->recorded_60s);
    tl_js_u64(js, "newest_s", not_negative(activity->newest_s));
    if (activity->sequencer_pid < 0) {
        tl_js_null(js, "sequencer_pid"); /* somebody, who did not say */
    } else {
        tl_js_u64(js, "sequencer_pid", (uint64_t)activity->sequencer_pid);
    }
    tl_js_bool(js, "has_sequencer", activity->sequencer_pid != 0);
    tl_js_u64(js, "spool_events", activity->spool_events);
    tl_js_u64(js, "oldest_unsent_s", not_negative(activity->oldest_unsent_s));
    tl_js_u64(js, "spool_bytes", activity->spool_bytes);
    tl_js_u64(js, "spool_segments", activity->spool_segments);
    tl_js_u64(js, "spool_writers", activity->spool_writers);
    tl_js_u64(js, "quarantined", activity->quarantined);
    tl_js_u64(js, "dropped", activity->dropped);
    tl_js_bool(js, "dropped_is_exact", activity->dropped_is_exact != 0);
    tl_js_u64(js, "gaps", activity->gaps);
    tl_js_u64(js, "anchor_targets", activity->anchor_targets);
    if (activity->anchored_s < 0) {
        tl_js_null(js, "anchored_s");
    } else {
        tl_js_u64(js, "anchored_s", (uint64_t)activity->anchored_s);
    }
    tl_js_u64(js, "disk_free_bytes", activity->disk_free_bytes);
    tl_js_text(js, "trouble", activity->trouble);
    tl_js_open(js, "problems", '[');
    for (size_t i = 0; i < problems->count; i++) {
        tl_js_open(js, NULL, '{');
        tl_js_text(js, "health", problems->items[i].is_grave ? "error" : "warning");
        tl_js_text(js, "what", problems->items[i].what);
        tl_js_text(js, "advice", problems->items[i].advice);
        tl_js_close(js, '}');
    }
    tl_js_close(js, ']');
    tl_js_close(js, '}');
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
                     const struct problems *problems)
{
    const char *health = health_of(problems);
    tl_table_text(table, "health");
    tl_table_cell(table, tl_str_of(health),
                  is_grave(problems)    ? TL_STYLE_BAD
                  : problems->count > 0 ? TL_STYLE_WARN
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
    for (size_t i = 0; i < problems->count; i++) {
        add_row(table, "problem", "%s", problems->items[i].what);
        add_row(table, "way out", "%s", problems->items[i].advice);
    }
}

static tally_status print(const struct tl_cli *cli, const struct tally_activity *activity,
                          const struct problems *problems, struct tally_error *err)
{
    if (cli->view == TL_VIEW_JSON || cli->view == TL_VIEW_NDJSON) {
        TL_CLEANUP(tl_js_release) struct tl_js js = { 0 };
        tl_js_init(&js);
        add_json(&js, activity, problems);
        return tl_js_print(&js, stdout, err);
    }
    static const struct tl_column columns[] = { { "what", false }, { "value", false } };
    TL_CLEANUP(tl_table_release) struct tl_table table = { 0 };
    tl_table_init(&table, cli, columns, TL_ARRAY_LEN(columns));
    table.whole = true;
    table.headed = cli->view != TL_VIEW_CSV; /* the names of the rows say enough */
    add_rows(&table, activity, problems);
    return tl_table_print(&table, err);
}

static enum tl_exit show(const struct tl_cli *cli, bool again)
{
    struct tally_error err = TALLY_ERROR_INIT;
    struct tally_options options = tl_cli_options(cli);
    struct tally_activity activity = TALLY_ACTIVITY_INIT;
    struct problems problems;
    tally_status status = tally_activity_read(&options, &activity, &err);
    if (status != TALLY_OK) {
        return tl_cli_fail_open(cli, status, &err);
    }
    look(&problems, &activity);
    if (again && cli->terminal_out && cli->view == TL_VIEW_TABLE) {
        (void)fputs("\x1b[H\x1b[J", stdout);
    }
    if (print(cli, &activity, &problems, &err) != TALLY_OK) {
        return tl_cli_fail(cli, &err);
    }
    (void)fflush(stdout); /* main() looks at ferror() */
    return is_grave(&problems) ? TL_EXIT_NO : TL_EXIT_OK;
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
