#include <string.h>

#include "cli/cmd.h"
#include "cli/out.h"
#include "show/show.h"

static const struct tl_opt opts[] = {
    { "by", 0, "FIELD", "day, hour, action (the default), actor_id, outcome, severity, ..." },
    { "per-day", 0, NULL, "also split by day, days without records included" },
    { "per-hour", 0, NULL, "the same by hour" },
    { 0 },
};

static tally_status print_json(const struct tally_stats *stats, const char *by,
                               struct tally_error *err)
{
    TL_CLEANUP(tl_js_release) struct tl_js js = { 0 };
    tl_js_init(&js);
    tl_show_stats(&js, NULL, by, stats);
    return tl_js_print(&js, stdout, err);
}

static tally_status print_table(const struct tl_cli *cli, const struct tally_stats *stats,
                                const char *by, struct tally_error *err)
{
    bool by_hour = stats->bucket == TALLY_BUCKET_HOUR;
    bool by_time = strcmp(by, "day") == 0 || strcmp(by, "hour") == 0;
    struct tl_column columns[3] = { { by_hour ? "hour" : "day", false } };
    size_t count = stats->bucket == TALLY_BUCKET_NONE ? 0 : 1;
    if (!by_time) {
        columns[count++] = (struct tl_column){ by, false };
    }
    columns[count++] = (struct tl_column){ "count", true };
    TL_CLEANUP(tl_table_release) struct tl_table table = { 0 };
    tl_table_init(&table, cli, columns, count);
    for (size_t i = 0; i < stats->count; i++) {
        char time[TL_TIME_SIZE];
        tl_show_bucket(time, stats, i);
        if (stats->bucket != TALLY_BUCKET_NONE) {
            tl_table_text(&table, time);
        }
        if (!by_time) {
            tl_table_text(&table, stats->rows[i].key);
        }
        tl_table_u64(&table, stats->rows[i].count);
    }
    TL_TRY(tl_table_print(&table, err));
    if (stats->others > 0) {
        tl_cli_note(cli, "and %llu records with other values", (unsigned long long)stats->others);
    }
    tl_cli_note(cli, "%llu records in all", (unsigned long long)stats->total);
    return TALLY_OK;
}

static void free_stats(struct tally_stats **stats)
{
    tally_stats_free(*stats);
    *stats = NULL;
}

static enum tl_exit run(struct tl_cli *cli, const struct tl_args *args)
{
    struct tally_error err = TALLY_ERROR_INIT;
    TL_CLEANUP(tl_query_args_release) struct tl_query_args conditions = { 0 };
    if (tl_query_args_read(&conditions, args, &err) != TALLY_OK) {
        return tl_cli_fail(cli, &err);
    }
    TL_CLEANUP(tl_ledger_closep) struct tally_ledger *ledger = NULL;
    enum tl_exit exit_status = tl_cli_open(cli, false, &ledger);
    if (exit_status != TL_EXIT_OK) {
        return exit_status;
    }
    struct tally_query query = TALLY_QUERY_INIT;
    query.conditions = conditions.conditions;
    query.condition_count = conditions.count;
    const char *by = tl_args_value(args, "by") == NULL ? "action" : tl_args_value(args, "by");
    int bucket = tl_args_has(args, "per-hour")  ? TALLY_BUCKET_HOUR
                 : tl_args_has(args, "per-day") ? TALLY_BUCKET_DAY
                                                : TALLY_BUCKET_NONE;
    TL_CLEANUP(free_stats) struct tally_stats *stats = NULL;
    tally_status status = tally_stats(ledger, &query, by, bucket, &stats, &err);
    if (status == TALLY_OK && (cli->view == TL_VIEW_JSON || cli->view == TL_VIEW_NDJSON)) {
        status = print_json(stats, by, &err);
    } else if (status == TALLY_OK) {
        status = print_table(cli, stats, by, &err);
    }
    return status == TALLY_OK ? TL_EXIT_OK : tl_cli_fail(cli, &err);
}

const struct tl_cmd tl_cmd_stats = {
    .name = "stats",
    .summary = "count records by day, action, actor, outcome, ...",
    .arguments = "",
    .about = "",
    .examples = "tally stats --by action --from -30d\n"
                "tally stats --by severity --per-day --json\n",
    .opts = opts,
    .takes_filters = true,
    .run = run,
};
