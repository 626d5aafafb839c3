#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "ledger/logger.h"

#define WARN_EVERY_US 10000000

static enum tl_loss_cause cause_of(tally_status status, int os_errno)
{
    switch (status) {
    case TALLY_ELIMIT:
        return TL_LOSS_SPOOL_FULL;
    case TALLY_ENOMEM:
        return TL_LOSS_MEMORY;
    case TALLY_OK:
    case TALLY_EINVAL:
    case TALLY_ENOTFOUND:
    case TALLY_EBUSY:
    case TALLY_EIO:
    case TALLY_ECORRUPT:
    case TALLY_ENOTSUP:
    case TALLY_ECONFLICT:
    case TALLY_EREFUSED:
    case TALLY_ECANCELED:
    case TALLY_EDISABLED:
    case TALLY_EDENIED:
        break;
    }
    return os_errno == ENOSPC || os_errno == EDQUOT ? TL_LOSS_DISK_FULL : TL_LOSS_DISK;
}

/* Whether it is time for another line. */
static bool may_warn(struct tally_logger *logger)
{
    int64_t now = tl_clock->steady_us();
    tl_mutex_lock(&logger->warning.mu);
    bool due = logger->warning.warned_us == 0 || now - logger->warning.warned_us >= WARN_EVERY_US;
    if (due) {
        logger->warning.warned_us = now;
    }
    tl_mutex_unlock(&logger->warning.mu);
    return due;
}

void tl_logger_lose(struct tally_logger *logger, tally_status status, const struct tally_error *why)
{
    tl_counter_add(&logger->counts.lost, 1);
    tl_losses_add(&logger->ledger->losses, cause_of(status, why->os_errno), tl_clock->wall_us());
    if (logger->ledger->spool == NULL) {
        tl_sequence_wake(logger->ledger); /* it does not look by itself */
    }
    const struct tally_loss loss = { .struct_size = sizeof(loss),
                                     .status = status,
                                     .os_errno = why->os_errno,
                                     .lost = tl_counter_get(&logger->counts.lost),
                                     .message = why->message };
    const struct tally_logger_options *options = &logger->options;
    if (options->on_loss != NULL) {
        options->on_loss(options->on_loss_ctx, &loss);
    }
    if (options->on_warning != NULL && may_warn(logger)) {
        char fields[128];
        (void)snprintf(fields, sizeof(fields), "status=%s errno=%d lost=%llu",
                       tally_status_name(status), why->os_errno, (unsigned long long)loss.lost);
        options->on_warning(options->on_warning_ctx, "audit.log_failed", fields);
    }
}
