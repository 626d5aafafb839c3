#include "ledger/ledger.h"
tally_status tally_drill(const struct tally_options *options, const char *work_dir,
                         tally_drill_fn *fn, void *ctx, uint64_t *missed_out,
                         struct tally_error *err)
{
    (void)options; (void)work_dir; (void)fn; (void)ctx; (void)missed_out;
    return tl_fail(err, TALLY_ENOTSUP, "not yet");
}
