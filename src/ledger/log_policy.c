/* The policy of a logger: read, replaced while threads log, and recorded. */
#include "ledger/logger.h"

static void config_free(struct tl_config *config)
{
    if (config != NULL) {
        tl_config_release(config);
        tl_free(config);
    }
}

/* Reads the file again; of settings with the same name the last one counts. */
static tally_status read_config(const struct tally_ledger *ledger,
                                const struct tally_setting *settings, size_t count,
                                struct tl_config *config_out, struct tally_error *err)
{
    size_t old = ledger->options.setting_count;
    TL_CLEANUP(tl_freep) struct tl_paths *paths = tl_alloc_array(1, sizeof(*paths));
    TL_CLEANUP(tl_freep)
    struct tally_setting *all = tl_alloc_array(old + count + 1, sizeof(*all));
    if (paths == NULL || all == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a policy");
    }
    for (size_t i = 0; i < old + count; i++) {
        all[i] = i < old ? ledger->options.settings[i] : settings[i - old];
    }
    struct tally_options options = ledger->options;
    options.settings = all;
    options.setting_count = old + count;
    return tl_options_read(&options, paths, config_out, err);
}

tally_status tl_logger_load_policy(struct tally_logger *logger,
                                   const struct tally_setting *settings, size_t count,
                                   struct tally_error *err)
{
    struct tl_config *config = tl_alloc_array(1, sizeof(*config));
    if (config == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a policy");
    }
    tally_status status = read_config(logger->ledger, settings, count, config, err);
    if (status != TALLY_OK) {
        tl_free(config);
        return status;
    }
    tl_mutex_lock(&logger->policy.mu);
    struct tl_config *old = tl_swap_replace(&logger->swap, config);
    tl_mutex_unlock(&logger->policy.mu);
    config_free(old);
    return TALLY_OK;
}
