/*
 * cli/bench_requests.h - asks a server on this machine the same again and again, and times the replies.
 *
 * A load generator, no client: it reads of a reply where it ends and whether it is the one wanted.
 */
#ifndef TL_CLI_BENCH_REQUESTS_H
#define TL_CLI_BENCH_REQUESTS_H

#include "base/base.h"
#include "base/str.h"
#include "cli/histogram.h"

/* Borrowed for the run. */
struct tl_bench_requests {
    uint16_t port;        /* of 127.0.0.1 */
    unsigned connections; /* each waits for a reply before it asks again */
    unsigned seconds;
    unsigned status;            /* of the reply that is wanted */
    const struct tl_str *texts; /* whole requests, taken in turn */
    size_t text_count;
};

struct tl_bench_replies {
    struct tl_histogram took; /* in nanoseconds: those that were wanted */
    uint64_t failed;          /* other replies, and connections that ended */
    double per_s;
    int64_t cpu_us; /* processor time of who asked */
};

/*
 * Asks for so many seconds, then waits for what is under way. Nothing is allocated meanwhile.
 * Errors: TALLY_EIO it cannot connect; TALLY_ENOMEM
 */
tally_status tl_bench_requests_run(const struct tl_bench_requests *requests,
                                   struct tl_bench_replies *replies_out, struct tally_error *err);

#endif /* TL_CLI_BENCH_REQUESTS_H */
