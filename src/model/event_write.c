/* Canonical text of a draft, and what is cut where it is too large. */
#include <stdio.h>

#include "base/bytes.h"
#include "model/event_draft.h"

/* What a trimmed object becomes: 64 digits, a number, and this around them. */
#define TRIMMED_SIZE 160u

static const struct tl_str trimmed_tag = { "tally:trimmed", 13 };

/* One free object in the text, or what replaces it. */
struct piece {
    size_t at, len; /* bytes in the text */
    bool trimmed;
    char text[TRIMMED_SIZE];
};

struct writing {
    const struct tl_draft *draft;
    struct tl_buf *out;
    struct tl_event_spans *spans;
    struct piece pieces[TL_FREE_COUNT];
    bool trimmed;
};

enum step_kind {
    STEP_TEXT,  /* `arg` is a place */
    STEP_GROUP, /* an object of the next `arg` texts */
    STEP_FREE,  /* `arg` is a free object */
    STEP_TAGS,
    STEP_TARGETS,
};

struct step {
    struct tl_str label; /* the name with quotes and colon */
    enum step_kind kind;
    unsigned arg;
};

/* clang-format off */
#define LABEL(text) { "\"" text "\":", sizeof("\"" text "\":") - 1 }
/* clang-format on */

/* All members, in canonical order. */
static const struct step steps[] = {
    { LABEL("action"), STEP_TEXT, TL_PLACE_ACTION },
    { LABEL("actor"), STEP_GROUP, 3 },
    { LABEL("id"), STEP_TEXT, TL_PLACE_ACTOR_ID },
    { LABEL("name"), STEP_TEXT, TL_PLACE_ACTOR_NAME },
    { LABEL("type"), STEP_TEXT, TL_PLACE_ACTOR_TYPE },
    { LABEL("causation_id"), STEP_TEXT, TL_PLACE_CAUSATION_ID },
    { LABEL("correlation_id"), STEP_TEXT, TL_PLACE_CORRELATION_ID },
    { LABEL("ended_at"), STEP_TEXT, TL_PLACE_ENDED_AT },
    { LABEL("id"), STEP_TEXT, TL_PLACE_ID },
    { LABEL("metadata"), STEP_FREE, TL_FREE_METADATA },
    { LABEL("new_values"), STEP_FREE, TL_FREE_NEW_VALUES },
    { LABEL("occurred_at"), STEP_TEXT, TL_PLACE_OCCURRED_AT },
    { LABEL("old_values"), STEP_FREE, TL_FREE_OLD_VALUES },
    { LABEL("outcome"), STEP_TEXT, TL_PLACE_OUTCOME },
    { LABEL("reason"), STEP_TEXT, TL_PLACE_REASON },
    { LABEL("request"), STEP_FREE, TL_FREE_REQUEST },
    { LABEL("request_id"), STEP_TEXT, TL_PLACE_REQUEST_ID },
    { LABEL("response"), STEP_FREE, TL_FREE_RESPONSE },
    { LABEL("session_id"), STEP_TEXT, TL_PLACE_SESSION_ID },
    { LABEL("severity"), STEP_TEXT, TL_PLACE_SEVERITY },
    { LABEL("source"), STEP_GROUP, 4 },
    { LABEL("host"), STEP_TEXT, TL_PLACE_HOST },
    { LABEL("ip"), STEP_TEXT, TL_PLACE_IP },
    { LABEL("service"), STEP_TEXT, TL_PLACE_SERVICE },
    { LABEL("user_agent"), STEP_TEXT, TL_PLACE_USER_AGENT },
    { LABEL("span_id"), STEP_TEXT, TL_PLACE_SPAN_ID },
    { LABEL("started_at"), STEP_TEXT, TL_PLACE_STARTED_AT },
    { LABEL("tags"), STEP_TAGS, 0 },
    { LABEL("targets"), STEP_TARGETS, 0 },
    { LABEL("tenant_id"), STEP_TEXT, TL_PLACE_TENANT_ID },
    { LABEL("trace_id"), STEP_TEXT, TL_PLACE_TRACE_ID },
    { LABEL("transport"), STEP_TEXT, TL_PLACE_TRANSPORT },
};

/* Writes `*before`, which is then a comma, and the label. */
static void write_label(struct tl_buf *out, struct tl_str label, char *before)
{
    char *to = tl_buf_reserve(out, label.len + 1);
    if (to != NULL) {
        to[0] = *before;
        memcpy(to + 1, label.text, label.len);
        tl_buf_commit(out, label.len + 1);
    }
    *before = ',';
}

static void write_text(struct tl_buf *out, struct tl_str label, struct tl_str value, char *before)
{
    if (value.len > 0) {
        write_label(out, label, before);
        tl_json_write_string(out, value);
    }
}

/* Where the caller wants to know of a text, or NULL. */
static struct tl_event_span *span_of(struct tl_event_spans *spans, unsigned place)
{
    switch (place) {
    case TL_PLACE_ACTION:
        return &spans->action;
    case TL_PLACE_ID:
        return &spans->id;
    case TL_PLACE_OCCURRED_AT:
        return &spans->occurred_at;
    case TL_PLACE_OUTCOME:
        return &spans->outcome;
    case TL_PLACE_SERVICE:
        return &spans->service;
    case TL_PLACE_SEVERITY:
        return &spans->severity;
    case TL_PLACE_TENANT_ID:
        return &spans->tenant_id;
    default:
        return NULL;
    }
}

static void write_place(struct writing *w, const struct step *step, char *before)
{
    size_t start = w->out->len + step->label.len + 2; /* after a comma and a quote */
    write_text(w->out, step->label, w->draft->text[step->arg], before);
    struct tl_event_span *span = span_of(w->spans, step->arg);
    if (span != NULL) {
        bool written = w->out->len > start;
        span->at = written ? (uint32_t)start : 0;
        span->len = written ? (uint32_t)(w->out->len - 1 - start) : 0;
    }
}

static void write_group(struct writing *w, const struct step *group, char *before)
{
    char inner = '{';
    for (const struct step *step = group + 1; step <= group + group->arg; step++) {
        struct tl_str value = w->draft->text[step->arg];
        if (value.len > 0 && inner == '{') {
            write_label(w->out, group->label, before);
        }
        write_place(w, step, &inner);
    }
    if (inner != '{') {
        tl_buf_add_char(w->out, '}');
    }
}

static void write_free(struct writing *w, const struct step *step, char *before)
{
    const struct tl_json *object = w->draft->free_objects[step->arg];
    if (object == NULL || object->count == 0) {
        return;
    }
    struct piece *piece = &w->pieces[step->arg];
    write_label(w->out, step->label, before);
    piece->at = w->out->len;
    if (piece->trimmed) {
        tl_buf_add(w->out, piece->text, piece->len);
        return;
    }
    tl_json_write(w->out, object);
    piece->len = w->out->len - piece->at;
}

static bool has_tag(const struct tl_json *tags, struct tl_str tag)
{
    const struct tl_json *one = tags == NULL ? NULL : tags->first;
    while (one != NULL && !tl_str_equal(one->text, tag)) {
        one = one->next;
    }
    return one != NULL;
}

static void write_tags(struct writing *w, const struct step *step, char *before)
{
    const struct tl_json *tags = w->draft->tags;
    uint32_t count = tags == NULL ? 0 : tags->count;
    /* With as many tags as there may be, what stands for the trimmed object has to do. */
    bool add = w->trimmed && count < TL_TAGS_MAX && !has_tag(tags, trimmed_tag);
    if (count == 0 && !add) {
        return;
    }
    write_label(w->out, step->label, before);
    char inner = '[';
    for (const struct tl_json *tag = count == 0 ? NULL : tags->first; tag != NULL;
         tag = tag->next) {
        tl_buf_add_char(w->out, inner);
        tl_json_write_string(w->out, tag->text);
        inner = ',';
    }
    if (add) {
        tl_buf_add_char(w->out, inner);
        tl_json_write_string(w->out, trimmed_tag);
    }
    tl_buf_add_char(w->out, ']');
}

static void write_target(struct writing *w, const struct tl_target_view *target, char *before)
{
    if (target->id.len + target->name.len + target->type.len == 0) {
        return;
    }
    tl_buf_add_char(w->out, *before);
    *before = ',';
    char inner = '{';
    write_text(w->out, (struct tl_str)LABEL("id"), target->id, &inner);
    write_text(w->out, (struct tl_str)LABEL("name"), target->name, &inner);
    write_text(w->out, (struct tl_str)LABEL("type"), target->type, &inner);
    tl_buf_add_char(w->out, '}');
}

static void write_targets(struct writing *w, const struct step *step, char *before)
{
    const struct tl_draft *draft = w->draft;
    struct tl_target_view first = {
        .type = draft->text[TL_PLACE_TARGET_TYPE],
        .id = draft->text[TL_PLACE_TARGET_ID],
        .name = draft->text[TL_PLACE_TARGET_NAME],
    };
    if (first.id.len + first.name.len + first.type.len + draft->target_count == 0) {
        return;
    }
    write_label(w->out, step->label, before);
    char inner = '[';
    write_target(w, &first, &inner);
    for (uint32_t i = 0; i < draft->target_count; i++) {
        write_target(w, &draft->targets[i], &inner);
    }
    tl_buf_add_char(w->out, ']');
}

static void write_all(struct writing *w)
{
    char before = '{';
    for (const struct step *step = steps; step < steps + TL_ARRAY_LEN(steps); step++) {
        switch (step->kind) {
        case STEP_TEXT:
            write_place(w, step, &before);
            break;
        case STEP_GROUP:
            write_group(w, step, &before);
            step += step->arg;
            break;
        case STEP_FREE:
            write_free(w, step, &before);
            break;
        case STEP_TAGS:
            write_tags(w, step, &before);
            break;
        case STEP_TARGETS:
            write_targets(w, step, &before);
            break;
        }
    }
    tl_buf_add_char(w->out, '}');
}

/* Replaces the largest free object by its hash; false if none would become smaller. */
static bool trim_largest(struct writing *w)
{
    struct piece *largest = NULL;
    for (size_t i = 0; i < TL_FREE_COUNT; i++) {
        struct piece *piece = &w->pieces[i];
        if (!piece->trimmed && piece->len > TRIMMED_SIZE &&
            (largest == NULL || piece->len > largest->len)) {
            largest = piece;
        }
    }
    if (largest == NULL) {
        return false;
    }
    uint8_t hash[32];
    char hex[65];
    w->draft->reader->hash(hash, w->out->data + largest->at, largest->len);
    tl_hex_encode(hex, hash, sizeof(hash));
    int len = snprintf(largest->text, sizeof(largest->text),
                       "{\"tally_trimmed\":{\"bytes\":%zu,\"sha256\":\"%s\"}}", largest->len, hex);
    tl_assert(len > 0 && (size_t)len < sizeof(largest->text));
    largest->len = (size_t)len;
    largest->trimmed = true;
    w->trimmed = true;
    return true;
}

tally_status tl_draft_write(struct tl_draft *draft, struct tl_buf *out, uint32_t *notes_out)
{
    const struct tl_event_rules *rules = draft->reader->rules;
    struct tl_buf *scratch = &draft->reader->scratch;
    struct writing w = { .draft = draft, .out = scratch, .spans = &draft->reader->spans };
    do {
        tl_buf_clear(scratch);
        write_all(&w);
    } while (tl_buf_status(scratch) == TALLY_OK && scratch->len > rules->bytes_max &&
             !rules->refuse_oversize && trim_largest(&w));

    if (tl_buf_status(scratch) == TALLY_ENOMEM) {
        return tl_draft_no_memory(draft);
    }
    if (tl_buf_status(scratch) != TALLY_OK || scratch->len > rules->bytes_max) {
        return tl_refuse(draft->err, "too_large", "", "%zu bytes, the limit is %zu", scratch->len,
                         rules->bytes_max);
    }
    tl_buf_add_str(out, tl_buf_str(scratch));
    if (tl_buf_status(out) != TALLY_OK) {
        return tl_fail(draft->err, tl_buf_status(out), "no room for an event");
    }
    tally_status status = tl_time_parse(&w.spans->occurred_us, draft->text[TL_PLACE_OCCURRED_AT]);
    tl_assert(status == TALLY_OK); /* it was formatted */
    *notes_out |= w.trimmed ? TL_EVENT_TRIMMED : 0;
    return TALLY_OK;
}
