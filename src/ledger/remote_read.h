/* ledger/remote_read.h - queries that the server of a remote ledger answers. Any thread. */
#ifndef TL_LEDGER_REMOTE_READ_H
#define TL_LEDGER_REMOTE_READ_H

#include "ledger/remote.h"

/* Each does what the public function of its name does; besides its errors: those of tl_remote_get(),
 * and TALLY_ECORRUPT for an answer that makes no sense. */
tally_status tl_remote_find(const struct tally_ledger *ledger, const struct tally_query *query,
                            struct tally_page **page_out, struct tally_error *err);
tally_status tl_remote_count(const struct tally_ledger *ledger, const struct tally_query *query,
                             uint64_t *count_out, int *exact_out, struct tally_error *err);

/* The one record at `path`, "/v1/events/" or "/v1/records/", and `name`. */
tally_status tl_remote_get_one(const struct tally_ledger *ledger, const char *path,
                               const char *name, struct tally_page **page_out,
                               struct tally_error *err);

/* Size, root and checkpoint; what the server does not tell is 0. */
tally_status tl_remote_info(const struct tally_ledger *ledger, struct tally_info *info_out,
                            struct tally_error *err);

/* Takes one row of a summary; `key` is borrowed for the call. */
typedef tally_status tl_remote_row_fn(void *ctx, struct tl_str key, int64_t start_us,
                                      uint64_t count);
struct tl_remote_summary {
    const char *by;
    enum tally_bucket bucket;
    tl_remote_row_fn *take;
    void *ctx;
};
tally_status tl_remote_stats(const struct tally_ledger *ledger, const struct tally_query *query,
                             const struct tl_remote_summary *summary,
                             struct tally_stats *totals_out, struct tally_error *err);

#endif /* TL_LEDGER_REMOTE_READ_H */
