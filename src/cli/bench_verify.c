/* tally bench verify: how fast and in how much memory a ledger is checked. */
#include <stdio.h>
#include <sys/resource.h>

#include "cli/bench.h"

/* Processor time of all threads, in microseconds. */
static int64_t cpu_us(void)
{
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0) {
        return 0;
    }
    return (int64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
           usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
}

static tally_status print(const struct tl_cli *cli, const struct tally_report *report,
                          int64_t wall_us, int64_t used_us, bool with_index,
                          struct tally_error *err)
{
    double per_s = (double)report->checked * 1e6 / (double)(wall_us + 1);
    double per_core = (double)report->checked * 1e6 / (double)(used_us + 1);
    if (!cli->json) {
        printf("%s: %llu records checked, %s the search index\n",
               tally_verdict_name(report->verdict), (unsigned long long)report->checked,
               with_index ? "with" : "without");
        printf("  per second of wall time      %10.0f records\n", per_s);
        printf("  per second of processor time %10.0f records\n", per_core);
        printf("  peak memory of the process   %10llu KiB\n",
               (unsigned long long)tl_bench_peak_kib());
        return TALLY_OK;
    }
    TL_CLEANUP(tl_js_release) struct tl_js js = { 0 };
    tl_js_init(&js);
    tl_js_open(&js, NULL, '{');
    tl_js_text(&js, "verdict", tally_verdict_name(report->verdict));
    tl_js_u64(&js, "checked", report->checked);
    tl_js_bool(&js, "index", with_index);
    tl_bench_js_number(&js, "records_per_s", per_s);
    tl_bench_js_number(&js, "records_per_s_per_core", per_core);
    tl_js_u64(&js, "peak_kib", tl_bench_peak_kib());
    tl_js_close(&js, '}');
    return tl_js_print(&js, stdout, err);
}

static tally_status measure(const struct tl_cli *cli, const char *path, bool with_index,
                            struct tally_error *err)
{
    struct tally_verify_options options = TALLY_VERIFY_OPTIONS_INIT;
    struct tally_report *report = NULL;
    options.skip_index = with_index ? 0 : 1;
    int64_t started_us = tl_bench_now_us();
    int64_t cpu_before_us = cpu_us();
    TL_TRY(tally_verify_at(path, &options, &report, err));
    tally_status status = print(cli, report, tl_bench_now_us() - started_us,
                                cpu_us() - cpu_before_us, with_index, err);
    tally_report_free(report);
    return status;
}

/* Without --events the ledger at hand is checked: peak memory is then that of checking alone. */
enum tl_exit tl_bench_verify(struct tl_cli *cli, const struct tl_args *args)
{
    struct tally_error err = TALLY_ERROR_INIT;
    const char *parent = tl_args_value(args, "dir");
    bool with_index = !tl_args_has(args, "no-index");
    if (!tl_args_has(args, "events")) {
        return measure(cli, cli->ledger, with_index, &err) == TALLY_OK ? TL_EXIT_OK
                                                                       : tl_cli_fail(cli, &err);
    }
    char dir[4096];
    char path[4096 + 16];
    struct tl_bench_fill_result result;
    if (tl_bench_dir_make(dir, parent == NULL ? "." : parent, &err) != TALLY_OK) {
        return tl_cli_fail(cli, &err);
    }
    (void)snprintf(path, sizeof(path), "%s/ledger", dir);
    tally_status status =
        tl_bench_fill(cli, path, tl_args_number(args, "events", 1000000), false, &result, &err);
    if (status == TALLY_OK) {
        status = measure(cli, path, with_index, &err);
    }
    tl_bench_dir_remove(dir);
    return status == TALLY_OK ? TL_EXIT_OK : tl_cli_fail(cli, &err);
}
