/*
 * cli/bench_others.h - what programs do instead of tally_log(): a line in a file, a line to the
 * system's log, a row in SQLite. For comparison.
 */
#ifndef TL_CLI_BENCH_OTHERS_H
#define TL_CLI_BENCH_OTHERS_H

#include "cli/bench_load.h"

enum tl_bench_other {
    TL_BENCH_FPRINTF = 0, /* fprintf() and fflush() to one file; no sync */
    /* What syslog(3) of the C library does: the line with priority, time and tag, composed and sent
     * under one lock, as a datagram to a local socket. /dev/log is not used: openlog() cannot be
     * turned to another place, and a daemon of unknown speed would be measured. A thread of ours
     * takes the datagrams and throws them away. */
    TL_BENCH_SYSLOG = 1,
    /* One INSERT, one transaction for each event, over one connection and one lock. */
    TL_BENCH_SQLITE_NORMAL = 2,
    TL_BENCH_SQLITE_FULL = 3,
    TL_BENCH_OTHERS
};

extern const char *const tl_bench_other_names[TL_BENCH_OTHERS];

struct tl_bench_others; /* one of them, open. Any thread may write. */

/* `dir` is where its file goes. Errors: TALLY_EIO, TALLY_ENOMEM */
tally_status tl_bench_other_open(struct tl_bench_others **other_out, enum tl_bench_other kind,
                                 const char *dir, struct tally_error *err);
tally_status tl_bench_other_write(void *ctx, struct tl_bench_event *event);
void tl_bench_other_close(struct tl_bench_others *other); /* NULL is allowed */

#endif /* TL_CLI_BENCH_OTHERS_H */
