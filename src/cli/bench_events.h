/* cli/bench_events.h - events made up for measuring: about 600 bytes, the same for the same number. */
#ifndef TL_CLI_BENCH_EVENTS_H
#define TL_CLI_BENCH_EVENTS_H

#include "base/base.h"
#include "base/str.h"

#define TL_BENCH_EVENT_SIZE 1200u

/* One event, as JSON and taken apart. All strings end with a NUL and lie in the struct. */
struct tl_bench_event {
    char json[TL_BENCH_EVENT_SIZE];
    size_t len;
    char id[40];
    char occurred_at[32];
    char action[32];
    char actor_id[32];
    char target_type[16];
    char target_id[32];
    char outcome[16];
    char severity[16];
    char tenant_id[16];
};

/*
 * Makes event `n`. 200 actions of 20 groups, 5,000 actors, 50,000 targets, 40 tenants; times 10 ms
 * apart; every member that may be erased in about two thirds of them. `random_ids` gives version 4
 * UUIDs, else version 7.
 */
void tl_bench_event_make(struct tl_bench_event *event, uint64_t n, bool random_ids);

#endif /* TL_CLI_BENCH_EVENTS_H */
