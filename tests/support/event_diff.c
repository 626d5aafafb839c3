#include "event_diff.h"

#include "base/limits.h"
#include "crypto/crypto.h"
#include "model/event_fast.h"

#define NOW_US INT64_C(1773480413589793) /* 2026-03-14T09:26:53.589793Z */

static const struct tl_event_rules rules = { .bytes_max = TL_EVENT_BYTES_DEFAULT };
static const uint8_t fresh[16] = { 0x91, 0xa2, 0xb3, 0xc4, 0xd5, 0xe6, 0xf7, 0x08 };

/* Before the event, so that positions in it are not those in the buffer. */
static const char before[] = "before";

struct result {
    struct tl_event_reader reader;
    struct tl_buf out;
    uint32_t notes;
};

static void init(struct result *result)
{
    result->notes = 0;
    tl_event_reader_init(&result->reader, &rules, tl_sha256);
    tl_buf_init(&result->out, TL_EVENT_BYTES_MAX);
    tl_buf_add_text(&result->out, before);
}

static void release(struct result *result)
{
    tl_event_reader_release(&result->reader);
    tl_buf_release(&result->out);
}

static bool same_span(struct tl_event_span a, struct tl_event_span b)
{
    return a.at == b.at && a.len == b.len;
}

static void compare_spans(const struct tl_event_spans *x, const struct tl_event_spans *y)
{
    tl_assert(same_span(x->id, y->id));
    tl_assert(same_span(x->action, y->action));
    tl_assert(same_span(x->severity, y->severity));
    tl_assert(same_span(x->tenant_id, y->tenant_id));
    tl_assert(same_span(x->service, y->service));
    tl_assert(same_span(x->occurred_at, y->occurred_at));
    tl_assert(x->occurred_us == y->occurred_us);
}

/* What is noted of the keys, is what reading them gives. */
static void check_spans(const struct result *result)
{
    const char *event = result->out.data + sizeof(before) - 1;
    struct tl_event_spans spans;
    tally_status status =
        tl_event_spans_read(&spans, event, result->out.len - (sizeof(before) - 1));
    tl_assert(status == TALLY_OK);
    compare_spans(&spans, &result->reader.spans);
}

static void compare_decisions(const struct tl_log_policy_decision *a,
                              const struct tl_log_policy_decision *b)
{
    tl_assert(a->allowed == b->allowed);
    tl_assert(a->unlisted == b->unlisted);
    tl_assert(a->level == b->level);
    tl_assert(a->delivery == b->delivery);
    tl_assert(tl_str_equal(a->severity, b->severity));
}

bool event_diff(const char *json, size_t len, const struct tl_log_policy *policy)
{
    struct result fast;
    struct result slow;
    init(&fast);
    init(&slow);
    struct tl_event_input input = {
        .json = json, .len = len, .now_us = NOW_US, .random = fresh, .policy = policy
    };
    bool simple = false;
    tally_status status =
        tl_event_fast(&fast.reader, &input, &fast.out, &fast.notes, &simple, NULL);
    tl_assert(status == TALLY_OK || status == TALLY_EDISABLED);
    tl_assert(simple || (fast.out.len == sizeof(before) - 1 && fast.notes == 0));
    tl_assert(status == TALLY_OK || !simple);
    bool answered = simple || status != TALLY_OK;
    if (!answered) {
        status = tl_event_draft(&slow.reader, &input, &slow.out, &slow.notes, NULL);
        if (status == TALLY_OK) {
            check_spans(&slow);
        }
    } else {
        tally_status other = tl_event_draft(&slow.reader, &input, &slow.out, &slow.notes, NULL);
        tl_assert(status == other);
        compare_decisions(&fast.reader.decision, &slow.reader.decision);
    }
    if (simple) {
        check_spans(&slow);
        tl_assert(tl_str_equal(tl_buf_str(&fast.out), tl_buf_str(&slow.out)));
        tl_assert(fast.notes == slow.notes);
        compare_spans(&fast.reader.spans, &slow.reader.spans);
    }
    release(&fast);
    release(&slow);
    return answered;
}
