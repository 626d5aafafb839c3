/*
 * cli/bench_load.h - threads that hand in the same events, and time each call.
 */
#ifndef TL_CLI_BENCH_LOAD_H
#define TL_CLI_BENCH_LOAD_H

#include "cli/bench_events.h"
#include "cli/histogram.h"

#define TL_BENCH_THREADS_MAX 256u

/* Hands in one event. Any thread; a failure is counted. */
typedef tally_status tl_bench_write_fn(void *ctx, struct tl_bench_event *event);

struct tl_bench_load {
    unsigned threads;
    uint64_t events;   /* of all threads */
    uint64_t pace;     /* events per second of all threads; 0: as fast as possible */
    uint64_t seconds;  /* with a pace: it ends then, even if the calls were too slow for it */
    uint64_t bound_ns; /* calls that take longer are counted; 0: there is none */
    unsigned run;      /* 0 to 255: events of different runs have different ids */
    uint64_t seed;     /* the same, up to 10,000: of different programs */
    tl_bench_write_fn *write;
    void *ctx;
};

struct tl_bench_loaded {
    struct tl_histogram calls; /* in nanoseconds */
    uint64_t failed;
    uint64_t over_bound;
    double per_s; /* calls, from the start to the end of the last one */
    uint64_t event_bytes;
};

/* Nothing is allocated while it measures. Errors: TALLY_ENOMEM */
tally_status tl_bench_load_run(const struct tl_bench_load *load, struct tl_bench_loaded *result_out,
                               struct tally_error *err);

#endif /* TL_CLI_BENCH_LOAD_H */
