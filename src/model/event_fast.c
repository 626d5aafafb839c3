#include "model/event_fast.h"

#include "model/event_fast_parts.h"

/* What the text may gain by what was absent, an id, a time, an outcome and a severity, and by other
 * spellings of addresses and times; and what may be written after it by copying whole blocks. */
#define GAINED_BYTES_MAX 320u

static bool has(const struct tl_fast *f, enum tl_top top)
{
    return (f->there >> top & 1) != 0;
}

static void set(struct tl_fast *f, enum tl_top top, struct tl_str value)
{
    f->values[top] = value;
    f->there |= 1u << top;
}

static void finish_time(struct tl_fast *f, uint32_t *notes_out)
{
    if (has(f, TL_TOP_OCCURRED_AT)) {
        return;
    }
    if (has(f, TL_TOP_STARTED_AT)) {
        set(f, TL_TOP_OCCURRED_AT, f->values[TL_TOP_STARTED_AT]);
        f->occurred_us = f->started_us;
        return;
    }
    size_t len = tl_time_format(f->occurred_text + 1, f->input->now_us);
    tl_assert(len > 0);
    set(f, TL_TOP_OCCURRED_AT, tl_fast_quoted(f->occurred_text, len));
    f->occurred_us = f->input->now_us;
    *notes_out |= TL_EVENT_TIME_GENERATED;
}

/* Fills in what is absent; false if the event is not simple after all. */
static bool finish(struct tl_fast *f, uint32_t *notes_out)
{
    /* Of whole blocks, as all that is copied. */
    static const char success[16] = "\"success\"";
    static const char medium[16] = "\"medium\"";
    if (!has(f, TL_TOP_ACTION) ||
        (has(f, TL_TOP_STARTED_AT) && has(f, TL_TOP_ENDED_AT) && f->ended_us < f->started_us)) {
        return false;
    }
    finish_time(f, notes_out);
    if (!has(f, TL_TOP_OUTCOME)) {
        set(f, TL_TOP_OUTCOME, (struct tl_str){ .text = success, .len = 9 });
    }
    if (!has(f, TL_TOP_SEVERITY)) {
        set(f, TL_TOP_SEVERITY, (struct tl_str){ .text = medium, .len = 8 });
    }
    if (!has(f, TL_TOP_ID)) {
        tl_assert(f->input->random != NULL);
        tl_uuid_v7(f->id_text + 1, f->input->now_us, f->input->random);
        set(f, TL_TOP_ID, tl_fast_quoted(f->id_text, TL_UUID_TEXT_SIZE - 1));
        *notes_out |= TL_EVENT_ID_GENERATED;
    }
    return true;
}

/* ---- policy ---- */

static bool is_not_masked(const void *policy, struct tl_str name)
{
    return !tl_log_policy_masks_name(policy, name);
}

/* A value between its quotes. */
static struct tl_str bare(struct tl_str value)
{
    if (value.len == 0) {
        return value;
    }
    return (struct tl_str){ .text = value.text + 1, .len = value.len - 2 };
}

static struct tl_str bare_top(const struct tl_fast *f, enum tl_top top)
{
    return has(f, top) ? bare(f->values[top]) : (struct tl_str){ 0 };
}

static bool has_escape(struct tl_str text)
{
    return text.len > 0 && memchr(text.text, '\\', text.len) != NULL;
}

/* Decides by the finished event; false if that is not simple: policies know texts as they are without
 * their escapes. */
static bool decide(const struct tl_fast *f, struct tl_log_policy_decision *decision)
{
    struct tl_log_policy_facts facts = {
        .action = bare_top(f, TL_TOP_ACTION),
        .severity = bare_top(f, TL_TOP_SEVERITY),
        .tenant_id = bare_top(f, TL_TOP_TENANT_ID),
        .service = bare(f->service),
        .target_type = bare(f->target_type),
        .target_id = bare(f->target_id),
    };
    if (!f->tidy.plain && (has_escape(facts.tenant_id) || has_escape(facts.service) ||
                           has_escape(facts.target_type) || has_escape(facts.target_id))) {
        return false;
    }
    tl_log_policy_decide(f->input->policy, &facts, decision);
    return true;
}

static void apply(struct tl_fast *f, const struct tl_log_policy_decision *decision)
{
    if (decision->severity.text != NULL) {
        tl_assert(decision->severity.len < TL_FAST_TEXT_SIZE - 2);
        memcpy(f->severity_text + 1, decision->severity.text, decision->severity.len);
        set(f, TL_TOP_SEVERITY, tl_fast_quoted(f->severity_text, decision->severity.len));
    }
    if (decision->level == TL_POLICY_METADATA) {
        f->there &= ~(1u << TL_TOP_NEW_VALUES | 1u << TL_TOP_OLD_VALUES | 1u << TL_TOP_REQUEST |
                      1u << TL_TOP_RESPONSE);
    }
}

/* ---- out ---- */

/* Writes the members that there are; each value is then where it was written. */
static size_t write_event(struct tl_fast *f, char *to)
{
    const char *start = to;
    const char *source = has(f, TL_TOP_SOURCE) ? f->values[TL_TOP_SOURCE].text : NULL;
    for (uint32_t left = f->there; left != 0; left &= left - 1) {
        size_t i = (size_t)__builtin_ctz(left);
        struct tl_str *value = &f->values[i];
        *to = ',';
        memcpy(to + 1, tl_fast_members[i].label, 2 * sizeof(tl_json_block));
        to += 1 + tl_fast_members[i].label_len;
        const char *text = value->text;
        value->text = to;
        to = tl_json_tidy_copy(to, text, value->len);
    }
    if (f->service.len > 0) {
        f->service.text = f->values[TL_TOP_SOURCE].text + (f->service.text - source);
    }
    *to++ = '}';
    return (size_t)(to - start);
}

static struct tl_event_span span_of(const char *event, struct tl_str text)
{
    if (text.len == 0) {
        return (struct tl_event_span){ 0 };
    }
    return (struct tl_event_span){ .at = (uint32_t)(text.text - event), .len = (uint32_t)text.len };
}

static void note_spans(const struct tl_fast *f, const char *event, struct tl_event_spans *spans)
{
    spans->id = span_of(event, bare_top(f, TL_TOP_ID));
    spans->action = span_of(event, bare_top(f, TL_TOP_ACTION));
    spans->outcome = span_of(event, bare_top(f, TL_TOP_OUTCOME));
    spans->severity = span_of(event, bare_top(f, TL_TOP_SEVERITY));
    spans->tenant_id = span_of(event, bare_top(f, TL_TOP_TENANT_ID));
    spans->service = span_of(event, bare(f->service));
    spans->occurred_at = span_of(event, bare_top(f, TL_TOP_OCCURRED_AT));
    spans->occurred_us = f->occurred_us;
}

static void init(struct tl_fast *f, const struct tl_event_reader *reader,
                 const struct tl_event_input *input)
{
    if (input->policy != NULL) {
        f->tidy.accepts = is_not_masked;
        f->tidy.ctx = input->policy;
    }
    f->reader = reader;
    f->input = input;
    f->seen = 0;
    f->there = 0;
    f->service = (struct tl_str){ 0 };
    f->target_type = (struct tl_str){ 0 };
    f->target_id = (struct tl_str){ 0 };
    f->has_target = false;
    f->started_us = 0;
    f->ended_us = 0;
}

static size_t room_for(const struct tl_event_input *input)
{
    return input->len + GAINED_BYTES_MAX;
}

/* Whether an event may be simple, before it is looked at. */
static bool may_be_simple(const struct tl_event_input *input, const struct tl_buf *out)
{
    return !input->import && !input->own && input->len <= TL_JSON_TIDY_BYTES_MAX &&
           (input->policy == NULL || !tl_log_policy_looks_at_values(input->policy)) &&
           tl_buf_status(out) == TALLY_OK && out->len_max - out->len >= room_for(input);
}

/* Appends the finished event, unless it is too large to be simple. */
static tally_status put_event(struct tl_fast *f, struct tl_event_reader *reader, struct tl_buf *out,
                              bool *simple_out, struct tally_error *err)
{
    char *to = tl_buf_reserve(out, room_for(f->input));
    if (to == NULL) {
        return tl_fail(err, tl_buf_status(out), "no room for an event");
    }
    size_t len = write_event(f, to);
    *to = '{'; /* in the place of the first comma */
    tl_assert(len + sizeof(tl_json_block) <= room_for(f->input));
    if (len <= reader->rules->bytes_max) {
        note_spans(f, to, &reader->spans);
        tl_buf_commit(out, len);
        *simple_out = true;
    }
    return TALLY_OK;
}

tally_status tl_event_fast(struct tl_event_reader *reader, const struct tl_event_input *input,
                           struct tl_buf *out, uint32_t *notes_out, bool *simple_out,
                           struct tally_error *err)
{
    struct tl_fast f;
    *simple_out = false;
    if (!may_be_simple(input, out)) {
        return TALLY_OK;
    }
    if (!tl_json_tidy_init(&f.tidy, &reader->scratch, &tl_event_input_limits, input->json,
                           input->len)) {
        return tl_fail(err, TALLY_ENOMEM, "no memory for an event");
    }
    init(&f, reader, input);
    uint32_t notes = 0;
    bool read = tl_fast_read(&f);
    tl_assert(f.tidy.to < f.tidy.end);
    if (!read || !finish(&f, &notes)) {
        return TALLY_OK;
    }
    if (input->policy != NULL) {
        struct tl_log_policy_decision *decision = &reader->decision;
        if (!decide(&f, decision)) {
            return TALLY_OK;
        }
        if (!decision->allowed) {
            return tl_fail(err, TALLY_EDISABLED, "the policy does not record this action");
        }
        apply(&f, decision);
    }
    TL_TRY(put_event(&f, reader, out, simple_out, err));
    *notes_out = *simple_out ? notes : *notes_out;
    return TALLY_OK;
}
