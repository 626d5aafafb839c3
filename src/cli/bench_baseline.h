/*
 * cli/bench_baseline.h - what `tally bench` is compared with: the same events in plain SQLite.
 *
 * Here, and not behind the library, because nobody but the benchmark may ever write such tables.
 */
#ifndef TL_CLI_BENCH_BASELINE_H
#define TL_CLI_BENCH_BASELINE_H

#include "base/base.h"
#include "cli/bench_events.h"

enum tl_baseline_kind {
    TL_BASELINE_PLAIN = 1,    /* rows with nothing but the event's text */
    TL_BASELINE_ORDINARY = 2, /* columns, six B-tree indexes, an HMAC for each row */
};

struct tl_baseline; /* one table in a database of its own; confined to one thread */

/* Makes the table in a new file. WAL, synchronous=FULL, a cache as large as the ledger's. */
tally_status tl_baseline_open(struct tl_baseline **baseline_out, const char *path,
                              enum tl_baseline_kind kind, struct tally_error *err);
void tl_baseline_close(struct tl_baseline *baseline); /* NULL is allowed */

/* Inserts `count` events in one transaction. */
tally_status tl_baseline_insert(struct tl_baseline *baseline, struct tl_bench_event *events,
                                size_t count, struct tally_error *err);

/* From now on a commit does not wait for the disk: synchronous=NORMAL. */
tally_status tl_baseline_relax(struct tl_baseline *baseline, struct tally_error *err);

/* Inserts one event, which is a transaction of its own. */
tally_status tl_baseline_insert_alone(struct tl_baseline *baseline,
                                      const struct tl_bench_event *event, struct tally_error *err);

#endif /* TL_CLI_BENCH_BASELINE_H */
