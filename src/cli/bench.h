/* cli/bench.h - what the benchmarks share: a place to work in, a pipeline, time, statistics. */
#ifndef TL_CLI_BENCH_H
#define TL_CLI_BENCH_H

#include "cli/cli.h"
#include "cli/out.h"

#define TL_BENCH_BATCH 4096u

/* Makes a directory "tally-bench-XXXXXX" in `parent`; removes it with all files in it. */
tally_status tl_bench_dir_make(char out[4096], const char *parent, struct tally_error *err);
void tl_bench_dir_remove(const char *path);

/* All bytes of the files of a directory and of the directories in it. */
uint64_t tl_bench_dir_bytes(const char *path);

/*
 * Makes batch after batch on a thread of its own while the caller uses the one before: two slots,
 * taken in turn.
 */
struct tl_bench_pipe {
    uint64_t total; /* items */
    /* Fills slot 0 or 1 with `count` items from number `first` on; on the pipe's thread. */
    tally_status (*produce)(void *ctx, unsigned slot, uint64_t first, size_t count,
                            struct tally_error *err);
    /* Uses what is in the slot; on the caller's thread. */
    tally_status (*consume)(void *ctx, unsigned slot, size_t count, struct tally_error *err);
    void *ctx;
};
tally_status tl_bench_pipe_run(const struct tl_bench_pipe *pipe, struct tally_error *err);

int64_t tl_bench_now_us(void); /* never steps back */

/* Sorts; gives the value below which `share` of them lie. */
double tl_bench_percentile(double *values, size_t count, double share);

/* Adds a number with two digits after the point. */
void tl_bench_js_number(struct tl_js *js, const char *key, double value);

/* The most memory this process had, in KiB. */
uint64_t tl_bench_peak_kib(void);

/* Rates of filling a ledger, from handing in to recorded and indexed. */
struct tl_bench_fill_result {
    double all_per_s;
    double first_per_s; /* of the first `window` events */
    double last_per_s;
    uint64_t window;
    uint64_t event_bytes;
};

/* Makes a ledger of `count` bench events at `path`. */
tally_status tl_bench_fill(const struct tl_cli *cli, const char *path, uint64_t count,
                           bool random_ids, struct tl_bench_fill_result *result,
                           struct tally_error *err);

enum tl_exit tl_bench_ingest(struct tl_cli *cli, const struct tl_args *args);
enum tl_exit tl_bench_find(struct tl_cli *cli, const struct tl_args *args);
enum tl_exit tl_bench_http(struct tl_cli *cli, const struct tl_args *args);
enum tl_exit tl_bench_life(struct tl_cli *cli, const struct tl_args *args);
enum tl_exit tl_bench_log(struct tl_cli *cli, const struct tl_args *args);
enum tl_exit tl_bench_verify(struct tl_cli *cli, const struct tl_args *args);

#endif /* TL_CLI_BENCH_H */
