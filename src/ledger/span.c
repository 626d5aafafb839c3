/* Spans: one operation, one event, recorded when it ends. */
#include <tally/log.h>

#include "base/base.h"
#include "base/clock.h"

static const char *outcome_word(enum tally_outcome outcome)
{
    switch (outcome) {
    case TALLY_OUTCOME_SUCCESS:
        return "success";
    case TALLY_OUTCOME_FAILURE:
        return "failure";
    case TALLY_OUTCOME_PENDING:
        return "pending";
    case TALLY_OUTCOME_UNKNOWN:
        return "unknown";
    }
    return NULL;
}

void tally_span_begin(struct tally_span *span, struct tally_logger *logger, const char *action)
{
    *span = (struct tally_span){ 0 };
    span->logger = logger == NULL ? tally_default_logger() : logger;
    span->started_us = tl_clock->wall_us();
    span->steady_us = tl_clock->steady_us();
    span->open = 1;
    /* Without memory the event stays NULL, and the end says so. */
    (void)tally_event_new(&span->event, NULL);
    tally_event_set(span->event, TALLY_ACTION, action);
}

struct tally_event *tally_span_event(struct tally_span *span)
{
    return span->event;
}

/*
 * The wall clock is read once: a duration by a clock that is set meanwhile could be negative, and
 * the event would be refused.
 */
static int64_t ended_us(const struct tally_span *span)
{
    int64_t passed_us = tl_clock->steady_us() - span->steady_us;
    return span->started_us + (passed_us > 0 ? passed_us : 0);
}

tally_status tally_span_end(struct tally_span *span, enum tally_outcome outcome, const char *reason,
                            struct tally_error *err)
{
    if (!span->open) {
        return tl_fail(err, TALLY_EINVAL, "the span has ended, or never began");
    }
    const char *word = outcome_word(outcome);
    if (word == NULL) {
        return tl_fail(err, TALLY_EINVAL, "there is no outcome %d", (int)outcome);
    }
    struct tally_event *event = TL_TAKE(span->event);
    span->open = 0;
    tally_event_set_time(event, TALLY_STARTED_AT, span->started_us);
    tally_event_set_time(event, TALLY_OCCURRED_AT, span->started_us);
    tally_event_set_time(event, TALLY_ENDED_AT, ended_us(span));
    tally_event_set(event, TALLY_OUTCOME, word);
    if (reason != NULL) {
        tally_event_set(event, TALLY_REASON, reason);
    }
    tally_status status = tally_log_event(span->logger, event, NULL, NULL, err);
    tally_event_free(event);
    return status;
}

void tally_span_leave(struct tally_span *span)
{
    if (span->open) {
        (void)tally_span_end(span, TALLY_OUTCOME_FAILURE, "scope left without an outcome",
                             NULL); /* counted, and told to the loss callback */
    }
}
