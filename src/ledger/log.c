/* Logging: the way of an event from its caller into the spool. */
#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/random.h"
#include "ledger/entry.h"
#include "ledger/logger.h"

/* A call on its way. */
struct progress {
    struct tally_logger *logger;
    const struct tl_log_call *call;
    struct tl_log_context *context;
    struct tl_log_policy_decision decision;
    int64_t now_us;
    uint32_t notes; /* enum tl_event_notes */
    uint32_t timeout_ms;
    struct tl_spool_record record;
};

static void context_init(struct tl_log_context *context, const struct tl_config *config)
{
    tl_event_reader_init(&context->reader, &config->event, tl_event_hash);
    tl_buf_init(&context->room, (size_t)TL_SPOOL_TEXT_MAX + 2 * (size_t)TL_SPOOL_HEADER_LEN);
    tl_buf_init(&context->spare, 2 * (size_t)TL_SPOOL_TEXT_MAX);
    context->is_made = true;
}

static void context_release(struct tl_log_context *context)
{
    if (context->is_made) {
        tl_event_reader_release(&context->reader);
        tl_buf_release(&context->room);
        tl_buf_release(&context->spare);
        context->is_made = false;
    }
}

/* Makes the event canonical, behind room for the record's header. */
static tally_status make_canonical(struct progress *progress, struct tally_error *err)
{
    struct tally_logger *logger = progress->logger;
    const struct tl_log_call *call = progress->call;
    struct tl_swap_use use;
    const struct tl_config *config = tl_swap_enter(&logger->swap, &use);
    struct tl_log_context *context = progress->context;
    if (!context->is_made) {
        context_init(context, config);
    }
    context->reader.rules = &config->event;
    uint8_t random[16];
    tl_random_bytes(random, sizeof(random));
    const struct tl_event_input input = {
        .json = call->json,
        .len = call->len,
        .import = (call->options.flags & TALLY_EVENT_IMPORT) != 0,
        .now_us = progress->now_us,
        .random = random,
        .own = call->own,
        .policy = call->own ? NULL : config->policy,
    };
    tl_buf_clear(&context->room);
    tally_status status = TALLY_ENOMEM;
    if (tl_buf_reserve(&context->room, TL_SPOOL_HEADER_LEN) != NULL) {
        tl_buf_commit(&context->room, TL_SPOOL_HEADER_LEN);
        context->reader.decision = (struct tl_log_policy_decision){ .allowed = true };
        status =
            tl_event_canonical(&context->reader, &input, &context->room, &progress->notes, err);
    }
    progress->decision = context->reader.decision;
    if (status == TALLY_EDISABLED && progress->decision.unlisted) {
        tl_logger_note_unlisted(logger, progress->decision.action);
    }
    tl_swap_leave(&logger->swap, &use);
    return status;
}

static uint8_t delivery_of(const struct progress *progress)
{
    const struct tally_logger *logger = progress->logger;
    if (progress->call->options.delivery != TALLY_DELIVERY_DEFAULT) {
        return (uint8_t)progress->call->options.delivery;
    }
    if (progress->decision.delivery != TALLY_DELIVERY_DEFAULT) {
        return progress->decision.delivery;
    }
    return logger->options.delivery != TALLY_DELIVERY_DEFAULT ? (uint8_t)logger->options.delivery
                                                              : (uint8_t)TALLY_DELIVERY_DURABLE;
}

/* The record that will be written, but for the text. */
static void plan_record(struct progress *progress)
{
    uint32_t given = progress->call->options.flags;
    bool time_is_ours = (progress->notes & TL_EVENT_TIME_GENERATED) != 0 ||
                        (given & TALLY_EVENT_TIME_SUPPLIED) != 0;
    uint32_t flags =
        ((given & TALLY_EVENT_RETAIN_OCCURRED) != 0 ? (uint32_t)TL_SPOOL_BY_OCCURRED : 0u) |
        (time_is_ours ? (uint32_t)TL_SPOOL_TIME_IS_OURS : 0u);
    enum tally_level level = progress->call->options.level;
    uint8_t delivery = delivery_of(progress);
    /* Who waits until it is RECORDED has to be answered, and that is what strict means there; who
     * asks for less is not to be kept waiting for it. */
    if (level == TALLY_LEVEL_RECORDED) {
        delivery = TALLY_DELIVERY_STRICT;
    } else if (level != TALLY_LEVEL_NONE && delivery == TALLY_DELIVERY_STRICT) {
        delivery = TALLY_DELIVERY_DURABLE;
    }
    progress->record = (struct tl_spool_record){
        .kind = TL_SPOOL_EVENT,
        .delivery = delivery,
        .flags = (uint16_t)flags,
        .time_us = progress->now_us,
    };
}

static tally_status fill_receipt(const struct progress *progress)
{
    struct tally_receipt *receipt = progress->call->receipt;
    if (receipt == NULL) {
        return TALLY_OK;
    }
    uint32_t flags =
        ((progress->notes & TL_EVENT_ID_GENERATED) != 0 ? TALLY_RECEIPT_ID_GENERATED : 0u) |
        ((progress->notes & TL_EVENT_TRIMMED) != 0 ? TALLY_RECEIPT_TRIMMED : 0u) |
        (progress->logger->ledger->is_volatile ? TALLY_RECEIPT_VOLATILE : 0u);
    *receipt = (struct tally_receipt){ .flags = flags, .seq = UINT64_MAX };
    const char *event = progress->context->room.data + TL_SPOOL_HEADER_LEN;
    struct tl_event_keys keys = tl_event_spans_keys(&progress->context->reader.spans, event);
    return tl_id_copy(receipt->id, keys.id);
}

/* Without a spool there is no other way than to wait for the sequencer. */
static tally_status append_in_memory(struct progress *progress, struct tally_error *err)
{
    struct tally_ledger *ledger = progress->logger->ledger;
    const struct tl_buf *room = &progress->context->room;
    struct tally_receipt receipt = { .status = TALLY_EIO };
    struct tl_entry entry;
    const struct tl_str text = { .text = room->data + TL_SPOOL_HEADER_LEN,
                                 .len = room->len - TL_SPOOL_HEADER_LEN };
    TL_TRY(tl_refuse_inherited(ledger, err));
    TL_TRY(tl_entry_prepare(&entry, &receipt, &ledger->config, text, progress->record.flags));
    struct tl_request request = { .entries = &entry, .count = 1, .error = TALLY_ERROR_INIT };
    tally_status status = TALLY_EIO;
    if (!tl_queue_run(ledger, &request, &status, err)) {
        return tl_fail(err, TALLY_EIO, "the sequencer has stopped");
    }
    if (status == TALLY_OK && progress->call->receipt != NULL) {
        receipt.flags |= progress->call->receipt->flags;
        *progress->call->receipt = receipt;
    }
    return status != TALLY_OK ? status : receipt.status;
}

/* Writes the record; *place_out says how far it came. */
static tally_status spool(struct progress *progress, int64_t until_us,
                          struct tl_spool_place *place_out, struct tally_error *err)
{
    struct tl_buf *room = &progress->context->room;
    progress->record.len = (uint32_t)(room->len - TL_SPOOL_HEADER_LEN);
    if (tl_buf_reserve(room, TL_SPOOL_ALIGN) == NULL) { /* for the padding */
        return tl_fail(err, TALLY_ENOMEM, "out of memory");
    }
    bool synced = progress->call->options.level == TALLY_LEVEL_SYNCED;
    return tl_spool_write(progress->logger->ledger->spool, &progress->record, (uint8_t *)room->data,
                          synced ? TL_SPOOL_SYNCED : TL_SPOOL_QUEUED, until_us, place_out, err);
}

/* Waits for the sequencer's answer. */
static tally_status await(struct progress *progress, const struct tl_spool_place *place,
                          int64_t until_us, struct tally_error *err)
{
    struct tally_receipt own = { 0 };
    struct tally_receipt *receipt =
        progress->call->receipt != NULL ? progress->call->receipt : &own;
    TL_TRY(tl_follow_await(progress->logger->ledger, place, until_us, receipt, err));
    return tl_receipt_failure(receipt, err);
}

/* The last room of a disk is kept for what has to be recorded: see ledger/disk.h. */
static tally_status check_disk(const struct progress *progress, struct tally_error *err)
{
    struct tl_disk *disk = &progress->logger->ledger->disk;
    enum tl_disk_level level = tl_disk_level_now(disk);
    if (level < TL_DISK_HARD || progress->call->own ||
        progress->record.delivery == TALLY_DELIVERY_STRICT ||
        (level == TL_DISK_HARD && progress->record.delivery != TALLY_DELIVERY_BEST_EFFORT)) {
        return TALLY_OK;
    }
    return tl_fail_errno(err, TALLY_EIO, ENOSPC,
                         "the disk is almost full (below disk.%s): the event was dropped",
                         tl_disk_level_name(level));
}

static tally_status keep(struct progress *progress, struct tally_error *err)
{
    struct tally_logger *logger = progress->logger;
    struct tally_error why = TALLY_ERROR_INIT;
    if (logger->ledger->spool == NULL) {
        tally_status status = append_in_memory(progress, &why);
        if (status != TALLY_OK && status != TALLY_ECONFLICT) {
            tl_logger_lose(logger, status, &why);
        }
        return status == TALLY_OK ? TALLY_OK : tl_fail_with(err, status, &why);
    }
    tally_status room = check_disk(progress, &why);
    if (room != TALLY_OK) {
        tl_logger_lose(logger, room, &why);
        return tl_fail_with(err, room, &why);
    }
    int64_t until_us = 0;
    if (progress->record.delivery != TALLY_DELIVERY_BEST_EFFORT) {
        until_us = tl_clock->steady_us() + (int64_t)progress->timeout_ms * 1000;
    }
    struct tl_spool_place place = { .level = TL_SPOOL_NONE };
    tally_status status = spool(progress, until_us, &place, &why);
    if (place.level == TL_SPOOL_NONE) {
        tl_logger_lose(logger, status, &why);
        return tl_fail_with(err, status, &why);
    }
    if (progress->call->receipt != NULL) {
        progress->call->receipt->level = (enum tally_level)place.level;
    }
    if (status == TALLY_OK && progress->record.delivery == TALLY_DELIVERY_STRICT) {
        status = progress->record.kind == TL_SPOOL_EVENT
                     ? await(progress, &place, until_us, &why)
                     : tl_fail(&why, TALLY_EBUSY,
                               "it is in the spool; that it gets to its ledger is not waited for");
    }
    if (tl_ledger_is_inherited(logger->ledger)) {
        tl_losses_pass_on(logger->ledger, false); /* no thread does it here */
    }
    if (status == TALLY_OK || status == TALLY_ECONFLICT || status == TALLY_EREFUSED) {
        return status == TALLY_OK ? TALLY_OK : tl_fail_with(err, status, &why);
    }
    tl_counter_add(&logger->counts.late, 1);
    return tl_fail(err, TALLY_EBUSY, "%s", why.message);
}

static void count_notes(struct tally_logger *logger, uint32_t notes)
{
    if ((notes & TL_EVENT_MASKED) != 0) {
        tl_counter_add(&logger->counts.masked, 1);
    }
    if ((notes & (TL_EVENT_CUT | TL_EVENT_TRIMMED)) != 0) {
        tl_counter_add(&logger->counts.truncated, 1);
    }
}

static tally_status log_with(struct progress *progress, struct tally_error *err)
{
    struct tally_logger *logger = progress->logger;
    struct tl_log_counts *counts = &logger->counts;
    struct tally_error why = TALLY_ERROR_INIT;
    tally_status status = make_canonical(progress, &why);
    plan_record(progress);
    if (status == TALLY_OK) {
        status = fill_receipt(progress);
    }
    if (status == TALLY_OK && logger->options.route != NULL && !progress->call->own) {
        status = tl_route_apply(logger, progress->context, &progress->record, &why);
    }
    if (status == TALLY_EDISABLED) {
        tl_counter_add(&counts->disabled, 1);
        return tl_fail(err, TALLY_EDISABLED, "the policy does not record this event");
    }
    if (status == TALLY_EREFUSED) {
        tl_counter_add(&counts->refused, 1);
        return tl_fail_with(err, status, &why);
    }
    if (status != TALLY_OK) {
        tl_logger_lose(logger, status, &why);
        return tl_fail_with(err, status, &why);
    }
    count_notes(logger, progress->notes);
    status = keep(progress, err);
    if (status == TALLY_OK || status == TALLY_EBUSY) {
        tl_counter_add(&counts->accepted, 1);
    } else if (status == TALLY_ECONFLICT || status == TALLY_EREFUSED) {
        tl_counter_add(&counts->refused, 1);
    }
    return status;
}

tally_status tl_logger_log(struct tally_logger *logger, const struct tl_log_call *call,
                           struct tally_error *err)
{
    struct progress progress = { .logger = logger,
                                 .call = call,
                                 .now_us = tl_clock->wall_us(),
                                 .timeout_ms = call->options.timeout_ms != 0
                                                   ? call->options.timeout_ms
                                                   : logger->options.timeout_ms };
    tl_counter_add(&logger->counts.logged, 1);
    unsigned place = tl_borrow(&logger->borrows);
    if (place < TL_BORROWS_MAX) {
        progress.context = &logger->contexts[place];
        tally_status status = log_with(&progress, err);
        tl_borrow_end(&logger->borrows, place);
        return status;
    }
    /* More threads at a time than there are places: this one makes do with memory of its own. */
    struct tl_log_context *context = tl_alloc_array(1, sizeof(*context));
    if (context == NULL) {
        struct tally_error why = TALLY_ERROR_INIT;
        (void)tl_fail(&why, TALLY_ENOMEM, "out of memory");
        tl_logger_lose(logger, TALLY_ENOMEM, &why);
        return tl_fail_with(err, TALLY_ENOMEM, &why);
    }
    progress.context = context;
    tally_status status = log_with(&progress, err);
    context_release(context);
    tl_free(context);
    return status;
}

/* What a fork leaves to the child: no other thread, and nothing that was counted. */
static void prepare_fork(void *ctx) TL_NO_ANALYSIS
{
    struct tally_logger *logger = ctx;
    tl_mutex_lock(&logger->policy.mu);
    tl_mutex_lock(&logger->unlisted.mu);
    tl_mutex_lock(&logger->warning.mu);
}

static void after_fork_in_parent(void *ctx) TL_NO_ANALYSIS
{
    struct tally_logger *logger = ctx;
    tl_mutex_unlock(&logger->warning.mu);
    tl_mutex_unlock(&logger->unlisted.mu);
    tl_mutex_unlock(&logger->policy.mu);
}

/* Contexts that other threads had borrowed are in any state: they stay borrowed. */
static void after_fork_in_child(void *ctx)
{
    struct tally_logger *logger = ctx;
    after_fork_in_parent(ctx);
    tl_swap_forget_users(&logger->swap);
    memset(&logger->counts, 0, sizeof(logger->counts));
    logger->unlisted.count = 0;
    logger->unlisted.since_us = 0;
}

static tally_status check_options(const struct tally_ledger *ledger,
                                  const struct tally_logger_options *options,
                                  struct tally_error *err)
{
    if (!ledger->writable) {
        return tl_fail(err, TALLY_EINVAL, "the ledger is open for reading only");
    }
    if (options->struct_size != sizeof(*options)) {
        return tl_fail(err, TALLY_EINVAL, "struct tally_logger_options has an unknown size");
    }
    if ((unsigned)options->delivery > TALLY_DELIVERY_STRICT) {
        return tl_fail(err, TALLY_EINVAL, "there is no delivery class %u",
                       (unsigned)options->delivery);
    }
    if (options->route != NULL && ledger->paths.memory) {
        return tl_fail(err, TALLY_EINVAL, "routing needs a ledger on disk");
    }
    if (options->route != NULL && ledger->paths.remote) {
        return tl_fail(err, TALLY_ENOTSUP, "a remote ledger routes nothing: its server may");
    }
    return TALLY_OK;
}

static void logger_free(struct tally_logger *logger)
{
    tl_mutex_release(&logger->unlisted.mu);
    tl_mutex_release(&logger->warning.mu);
    tl_mutex_release(&logger->policy.mu);
    for (unsigned i = 0; i < TL_BORROWS_MAX; i++) {
        /* Still borrowed: by a thread that a fork left behind, in the middle of a change. */
        if (!tl_borrow_is_taken(&logger->borrows, i)) {
            context_release(&logger->contexts[i]);
        }
    }
    struct tl_config *config = tl_swap_replace(&logger->swap, NULL);
    if (config != NULL) {
        tl_config_release(config);
        tl_free(config);
    }
    tl_free(logger);
}

static tally_status logger_init(struct tally_logger *logger, struct tally_ledger *ledger,
                                const struct tally_logger_options *options, struct tally_error *err)
{
    logger->ledger = ledger;
    logger->options = *options;
    if (options->timeout_ms == 0) {
        logger->options.timeout_ms = ledger->config.log_timeout_ms;
    }
    if (tl_mutex_init(&logger->unlisted.mu) != TALLY_OK ||
        tl_mutex_init(&logger->warning.mu) != TALLY_OK ||
        tl_mutex_init(&logger->policy.mu) != TALLY_OK) {
        return tl_fail(err, TALLY_ENOMEM, "cannot initialise locks");
    }
    return tl_logger_load_policy(logger, NULL, 0, err);
}

tally_status tally_logger_open(struct tally_logger **logger_out, struct tally_ledger *ledger,
                               const struct tally_logger_options *options, struct tally_error *err)
{
    static const struct tally_logger_options defaults = TALLY_LOGGER_OPTIONS_INIT;
    const struct tally_logger_options *given = options != NULL ? options : &defaults;
    TL_TRY(check_options(ledger, given, err));
    struct tally_logger *logger = tl_alloc_array(1, sizeof(*logger));
    if (logger == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a logger");
    }
    tally_status status = logger_init(logger, ledger, given, err);
    if (status != TALLY_OK) {
        logger_free(logger);
        return status;
    }
    logger->watch = (struct tl_fork_watch){ .prepare = prepare_fork,
                                            .parent = after_fork_in_parent,
                                            .child = after_fork_in_child,
                                            .ctx = logger };
    tl_fork_watch(&logger->watch);
    tl_logger_note_policy(logger);
    *logger_out = logger;
    return TALLY_OK;
}

void tally_logger_close(struct tally_logger *logger, uint32_t timeout_ms,
                        struct tally_left *left_out)
{
    if (logger == NULL || logger->is_default) {
        return;
    }
    tl_logger_flush_unlisted(logger);
    (void)tally_flush(logger, TALLY_LEVEL_RECORDED, timeout_ms, left_out, NULL); /* it tells */
    tl_fork_unwatch(&logger->watch);
    logger_free(logger);
}
