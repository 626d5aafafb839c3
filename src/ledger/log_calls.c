/* The public calls of tally/log.h; the default logger stands for the one that was set. */
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "ledger/logger.h"

#define PAUSE_NS 1000000

/* Everything but `swap` and `counts` stays zero. */
static struct tally_logger default_logger = { .is_default = true };
static struct {
    struct tl_mutex mu; /* held while it is set */
    pthread_once_t once;
    struct tl_fork_watch watch;
} setting = { .mu = { PTHREAD_MUTEX_INITIALIZER }, .once = PTHREAD_ONCE_INIT };

/* A logger in use: the one that was meant, kept from being replaced until leave(). */
struct use {
    struct tally_logger *logger; /* NULL: none is set */
    bool is_default;
    struct tl_swap_use swap;
};

static struct use enter(struct tally_logger *logger)
{
    struct use use = { .logger = logger };
    if (logger == NULL || logger->is_default) {
        use.is_default = true;
        use.logger = tl_swap_enter(&default_logger.swap, &use.swap);
    }
    return use;
}

static void leave(const struct use *use)
{
    if (use->is_default) {
        tl_swap_leave(&default_logger.swap, &use->swap);
    }
}

static tally_status refuse_disabled(struct tally_error *err)
{
    tl_counter_add(&default_logger.counts.logged, 1);
    tl_counter_add(&default_logger.counts.disabled, 1);
    return tl_fail(err, TALLY_EDISABLED, "no logger is set");
}

tally_status tally_log_text(struct tally_logger *logger, const char *json, size_t len,
                            const struct tally_log_options *options,
                            struct tally_receipt *receipt_out, struct tally_error *err)
{
    static const struct tally_log_options defaults = TALLY_LOG_OPTIONS_INIT;
    const struct tl_log_call call = { .json = json != NULL ? json : "",
                                      .len = json != NULL ? len : 0,
                                      .options = options != NULL ? *options : defaults,
                                      .receipt = receipt_out };
    if (call.options.struct_size != sizeof(call.options) ||
        (unsigned)call.options.delivery > TALLY_DELIVERY_STRICT ||
        (unsigned)call.options.level > TALLY_LEVEL_RECORDED ||
        (call.options.flags & TALLY_EVENT_ID_FROM_CONTENT) != 0) {
        return tl_fail(err, TALLY_EINVAL, "an option of logging is out of range");
    }
    struct use use = enter(logger);
    tally_status status =
        use.logger == NULL ? refuse_disabled(err) : tl_logger_log(use.logger, &call, err);
    leave(&use);
    return status;
}

tally_status tally_log_event(struct tally_logger *logger, struct tally_event *event,
                             const struct tally_log_options *options,
                             struct tally_receipt *receipt_out, struct tally_error *err)
{
    const char *text = NULL;
    size_t len = 0;
    struct tally_error why = TALLY_ERROR_INIT;
    tally_status status = tally_event_text(event, &text, &len, &why);
    if (status == TALLY_OK) {
        return tally_log_text(logger, text, len, options, receipt_out, err);
    }
    struct use use = enter(logger);
    if (use.logger == NULL) {
        status = refuse_disabled(err);
    } else if (status == TALLY_ENOMEM) {
        tl_counter_add(&use.logger->counts.logged, 1);
        tl_logger_lose(use.logger, status, &why);
    } else {
        tl_counter_add(&use.logger->counts.logged, 1);
        tl_counter_add(&use.logger->counts.refused, 1);
    }
    leave(&use);
    return status == TALLY_EDISABLED ? status : tl_fail_with(err, status, &why);
}

tally_status tally_log(struct tally_logger *logger, struct tally_event *event)
{
    return tally_log_event(logger, event, NULL, NULL, NULL);
}

int tally_logger_enabled(struct tally_logger *logger, const char *action)
{
    struct use use = enter(logger);
    int enabled = 0;
    if (use.logger != NULL) {
        struct tl_swap_use swap;
        const struct tl_config *config = tl_swap_enter(&use.logger->swap, &swap);
        enabled = tl_log_policy_may_record(config->policy, tl_str_of(action)) ? 1 : 0;
        tl_swap_leave(&use.logger->swap, &swap);
    }
    leave(&use);
    return enabled;
}

tally_status tally_logger_set_policy(struct tally_logger *logger,
                                     const struct tally_setting *settings, size_t count,
                                     struct tally_error *err)
{
    struct use use = enter(logger);
    tally_status status = use.logger == NULL
                              ? refuse_disabled(err)
                              : tl_logger_load_policy(use.logger, settings, count, err);
    if (status == TALLY_OK) {
        tl_logger_note_policy(use.logger);
    }
    leave(&use);
    return status;
}

static bool is_declared(struct tally_ledger *ledger)
{
    return tl_losses_pending(&ledger->losses) == 0;
}

static bool is_read(struct tally_ledger *ledger)
{
    return tl_spool_is_read(ledger->spool);
}

static tally_status wait_until(struct tally_ledger *ledger,
                               bool (*is_so)(struct tally_ledger *ledger), int64_t until_us,
                               struct tally_error *err)
{
    while (!is_so(ledger)) {
        if (tl_clock->steady_us() >= until_us) {
            return tl_fail(err, TALLY_EBUSY,
                           "not everything was recorded in time; what is left "
                           "stays in the spool");
        }
        tl_sequence_wake(ledger);
        const struct timespec pause = { .tv_nsec = PAUSE_NS };
        (void)nanosleep(&pause, NULL);
    }
    return TALLY_OK;
}

/* Waits until the sequencer, whoever it is, has recorded all that this process had spooled, and the
 * losses that it then can spool. What is logged meanwhile is not waited for. */
static tally_status wait_recorded(struct tally_ledger *ledger, int64_t until_us,
                                  struct tally_error *err)
{
    if (ledger->spool == NULL) {
        return wait_until(ledger, is_declared, until_us, err);
    }
    tl_spool_rotate(ledger->spool);
    TL_TRY(wait_until(ledger, is_declared, until_us, err));
    tl_spool_rotate(ledger->spool);
    return wait_until(ledger, is_read, until_us, err);
}

static void tell_left(struct tally_ledger *ledger, tally_status synced, struct tally_left *left)
{
    left->events = 0;
    left->unsynced = 0;
    left->lost = tl_losses_pending(&ledger->losses);
    if (ledger->spool == NULL || tl_spool_is_drained(ledger->spool)) {
        return;
    }
    /* What cannot be counted is not nothing. */
    if (tl_count_unrecorded(ledger, (uint32_t)getpid(), &left->events, NULL) != TALLY_OK) {
        left->events = UINT64_MAX;
    }
    left->unsynced = synced == TALLY_OK ? 0 : left->events;
}

tally_status tally_flush(struct tally_logger *logger, enum tally_level level, uint32_t timeout_ms,
                         struct tally_left *left_out, struct tally_error *err)
{
    if (level != TALLY_LEVEL_SYNCED && level != TALLY_LEVEL_RECORDED) {
        return tl_fail(err, TALLY_EINVAL, "a flush is to SYNCED or to RECORDED");
    }
    struct use use = enter(logger);
    tally_status status = TALLY_OK;
    struct tally_left left = { .struct_size = sizeof(left) };
    struct tally_ledger *ledger = use.logger == NULL ? NULL : use.logger->ledger;
    if (ledger != NULL) {
        struct tally_error why = TALLY_ERROR_INIT;
        int64_t until_us = tl_clock->steady_us() + (int64_t)timeout_ms * 1000;
        tally_status synced =
            ledger->spool == NULL ? TALLY_OK : tl_spool_sync(ledger->spool, until_us, &why);
        status = synced;
        if (level == TALLY_LEVEL_RECORDED) {
            /* What is recorded need not be synced in the spool: another failure, or none. */
            why = (struct tally_error)TALLY_ERROR_INIT;
            status = wait_recorded(ledger, until_us, &why);
        }
        if (status != TALLY_OK || level != TALLY_LEVEL_RECORDED) {
            tell_left(ledger, synced, &left);
        }
        status = status == TALLY_OK ? TALLY_OK : tl_fail_with(err, status, &why);
    }
    leave(&use);
    if (left_out != NULL) {
        *left_out = left;
    }
    return status;
}

void tally_logger_count(struct tally_logger *logger, struct tally_log_counters *counters_out)
{
    struct use use = enter(logger);
    struct tally_logger *from = use.logger == NULL ? &default_logger : use.logger;
    struct tl_log_counts *counts = &from->counts;
    struct tl_spool_counts spool = { 0 };
    uint64_t declared = 0;
    if (from->ledger != NULL) {
        declared = tl_losses_handed_over(&from->ledger->losses);
    }
    if (from->ledger != NULL && from->ledger->spool != NULL) {
        tl_spool_count(from->ledger->spool, &spool);
    }
    *counters_out = (struct tally_log_counters){
        .struct_size = sizeof(*counters_out),
        .logged = tl_counter_get(&counts->logged),
        .accepted = tl_counter_get(&counts->accepted),
        .disabled = tl_counter_get(&counts->disabled),
        .unlisted = tl_counter_get(&counts->unlisted),
        .refused = tl_counter_get(&counts->refused),
        .lost = tl_counter_get(&counts->lost),
        .declared = declared,
        .late = tl_counter_get(&counts->late),
        .waited = spool.waits,
        .masked = tl_counter_get(&counts->masked),
        .truncated = tl_counter_get(&counts->truncated),
        .unrouted = tl_counter_get(&counts->unrouted),
        .failed_syncs = spool.failed_syncs,
        .spool_bytes = spool.bytes,
    };
    leave(&use);
}

static void prepare_fork(void *ctx) TL_NO_ANALYSIS
{
    (void)ctx;
    tl_mutex_lock(&setting.mu);
}

static void in_parent(void *ctx) TL_NO_ANALYSIS
{
    (void)ctx;
    tl_mutex_unlock(&setting.mu);
}

static void in_child(void *ctx)
{
    in_parent(ctx);
    tl_swap_forget_users(&default_logger.swap);
}

static void watch_forks(void)
{
    setting.watch = (struct tl_fork_watch){
        .prepare = prepare_fork, .parent = in_parent, .child = in_child, .ctx = NULL
    };
    tl_fork_watch(&setting.watch);
}

struct tally_logger *tally_default_logger(void)
{
    return &default_logger;
}

void tally_set_default_logger(struct tally_logger *logger)
{
    tl_assert(pthread_once(&setting.once, watch_forks) == 0);
    tl_mutex_lock(&setting.mu);
    (void)tl_swap_replace(&default_logger.swap, logger == &default_logger ? NULL : logger);
    tl_mutex_unlock(&setting.mu);
}
