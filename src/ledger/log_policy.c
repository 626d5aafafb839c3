/* The policy of a logger: read, replaced while threads log, and recorded. */
#include "ledger/logger.h"

tally_status tl_logger_load_policy(struct tally_logger *logger,
                                   const struct tally_setting *settings, size_t count,
                                   struct tally_error *err)
{
    struct tl_config *config = NULL;
    TL_TRY(tl_config_reread(logger->ledger, settings, count, &config, err));
    tl_mutex_lock(&logger->policy.mu);
    struct tl_config *old = tl_swap_replace(&logger->swap, config);
    tl_mutex_unlock(&logger->policy.mu);
    tl_config_freep(&old);
    return TALLY_OK;
}
