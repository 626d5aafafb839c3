/* The text of an event being built. */
#include "model/builder.h"
#include "model/event.h"

enum step_kind {
    STEP_TEXT,  /* `arg` is a member */
    STEP_GROUP, /* an object of the next `arg` texts */
    STEP_TREE,  /* `arg` is a tree */
};

struct step {
    struct tl_str label; /* the name with quotes and colon */
    enum step_kind kind;
    size_t arg;
};

/* clang-format off */
#define LABEL(text) { "\"" text "\":", sizeof("\"" text "\":") - 1 }
/* clang-format on */

/* All members, in canonical order. */
static const struct step steps[] = {
    { LABEL("action"), STEP_TEXT, TALLY_ACTION },
    { LABEL("actor"), STEP_GROUP, 3 },
    { LABEL("id"), STEP_TEXT, TALLY_ACTOR_ID },
    { LABEL("name"), STEP_TEXT, TALLY_ACTOR_NAME },
    { LABEL("type"), STEP_TEXT, TALLY_ACTOR_TYPE },
    { LABEL("causation_id"), STEP_TEXT, TALLY_CAUSATION_ID },
    { LABEL("correlation_id"), STEP_TEXT, TALLY_CORRELATION_ID },
    { LABEL("ended_at"), STEP_TEXT, TALLY_ENDED_AT },
    { LABEL("id"), STEP_TEXT, TALLY_ID },
    { LABEL("metadata"), STEP_TREE, TL_BUILDER_METADATA },
    { LABEL("new_values"), STEP_TREE, TL_BUILDER_NEW_VALUES },
    { LABEL("occurred_at"), STEP_TEXT, TALLY_OCCURRED_AT },
    { LABEL("old_values"), STEP_TREE, TL_BUILDER_OLD_VALUES },
    { LABEL("outcome"), STEP_TEXT, TALLY_OUTCOME },
    { LABEL("reason"), STEP_TEXT, TALLY_REASON },
    { LABEL("request"), STEP_TREE, TL_BUILDER_REQUEST },
    { LABEL("request_id"), STEP_TEXT, TALLY_REQUEST_ID },
    { LABEL("response"), STEP_TREE, TL_BUILDER_RESPONSE },
    { LABEL("session_id"), STEP_TEXT, TALLY_SESSION_ID },
    { LABEL("severity"), STEP_TEXT, TALLY_SEVERITY },
    { LABEL("source"), STEP_GROUP, 4 },
    { LABEL("host"), STEP_TEXT, TALLY_SOURCE_HOST },
    { LABEL("ip"), STEP_TEXT, TALLY_SOURCE_IP },
    { LABEL("service"), STEP_TEXT, TALLY_SOURCE_SERVICE },
    { LABEL("user_agent"), STEP_TEXT, TALLY_SOURCE_USER_AGENT },
    { LABEL("span_id"), STEP_TEXT, TALLY_SPAN_ID },
    { LABEL("started_at"), STEP_TEXT, TALLY_STARTED_AT },
    { LABEL("tags"), STEP_TREE, TL_BUILDER_TAGS },
    { LABEL("targets"), STEP_TREE, TL_BUILDER_TARGETS },
    { LABEL("tenant_id"), STEP_TEXT, TALLY_TENANT_ID },
    { LABEL("trace_id"), STEP_TEXT, TALLY_TRACE_ID },
    { LABEL("transport"), STEP_TEXT, TALLY_TRANSPORT },
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

static void write_text(struct tally_event *event, const struct step *step, char *before)
{
    const struct tl_builder_text *value = &event->members[step->arg - 1];
    if (value->len == 0) {
        return;
    }
    if (!value->is_plain) {
        write_label(&event->text, step->label, before);
        tl_json_write_string(&event->text, (struct tl_str){ value->text, value->len });
        return;
    }
    size_t len = step->label.len + value->len + 3;
    char *to = tl_buf_reserve(&event->text, len);
    if (to != NULL) {
        to[0] = *before;
        memcpy(to + 1, step->label.text, step->label.len);
        to += 1 + step->label.len;
        to[0] = '"';
        memcpy(to + 1, value->text, value->len);
        to[value->len + 1] = '"';
        tl_buf_commit(&event->text, len);
    }
    *before = ',';
}

static void write_group(struct tally_event *event, const struct step *group, char *before)
{
    char inner = '{';
    for (const struct step *step = group + 1; step <= group + group->arg; step++) {
        if (inner == '{' && event->members[step->arg - 1].len > 0) {
            write_label(&event->text, group->label, before);
        }
        write_text(event, step, &inner);
    }
    if (inner != '{') {
        tl_buf_add_char(&event->text, '}');
    }
}

static void write_tree(struct tally_event *event, const struct step *step, char *before)
{
    const struct tl_json *root = &event->trees[step->arg].root;
    if (root->count > 0) {
        write_label(&event->text, step->label, before);
        tl_json_write(&event->text, root);
    }
}

/* Adds the tag that says that something was replaced; not if there are as many as there may be. */
static void add_replaced_tag(struct tally_event *event)
{
    static const struct tl_str replaced = { "tally:replaced", 14 };
    struct tl_builder_level *tags = &event->trees[TL_BUILDER_TAGS].levels[0];
    for (const struct tl_json *tag = tags->node->first; tag != NULL; tag = tag->next) {
        if (tl_str_equal(tag->text, replaced)) {
            return;
        }
    }
    if (tags->node->count < TL_TAGS_MAX) {
        struct tl_json *tag = &event->replaced_tag;
        *tag = (struct tl_json){ .type = TL_JSON_STRING, .text = replaced };
        *(tags->last == NULL ? &tags->node->first : &tags->last->next) = tag;
        tags->last = tag;
        tags->node->count++;
    }
}

tally_status tl_builder_write(struct tally_event *event)
{
    if (event->is_replaced) {
        add_replaced_tag(event);
    }
    tl_buf_clear(&event->text);
    char before = '{';
    for (const struct step *step = steps; step < steps + TL_ARRAY_LEN(steps); step++) {
        switch (step->kind) {
        case STEP_TEXT:
            write_text(event, step, &before);
            break;
        case STEP_GROUP:
            write_group(event, step, &before);
            step += step->arg;
            break;
        case STEP_TREE:
            write_tree(event, step, &before);
            break;
        }
    }
    tl_buf_add_text(&event->text, before == '{' ? "{}" : "}");
    tally_status status = tl_buf_status(&event->text);
    if (status == TALLY_OK) {
        event->text.data[event->text.len] = '\0'; /* a buffer keeps a byte free */
    }
    return status;
}
