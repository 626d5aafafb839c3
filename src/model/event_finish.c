/* What of an event can only be decided when all members are known. */
#include "base/limits.h"
#include "model/event_draft.h"

#define DURATION_MS_MAX 3.2e14 /* ten thousand years */

/* Makes text of integers that a double may not hold. The reader bounds the depth. */
static void keep_big_integers(struct tl_json *first)
{
    for (struct tl_json *node = first; node != NULL; node = node->next) {
        if (tl_json_is_large_integer(node)) {
            node->type = TL_JSON_STRING; /* its text are the digits */
        } else if (node->first != NULL) {
            keep_big_integers(node->first);
        }
    }
}

uint32_t tl_draft_depth(const struct tl_json *node)
{
    if (node->type != TL_JSON_ARRAY && node->type != TL_JSON_OBJECT) {
        return 0;
    }
    uint32_t deepest = 0;
    for (const struct tl_json *child = node->first; child != NULL; child = child->next) {
        uint32_t depth = tl_draft_depth(child);
        deepest = depth > deepest ? depth : deepest;
    }
    return deepest + 1;
}

/* Whether both have the same canonical text. Integers of any size are text already. */
static tally_status compare(struct tl_draft *draft, const struct tl_json *a,
                            const struct tl_json *b, bool *equal_out)
{
    struct tl_buf *scratch = &draft->reader->scratch;
    tl_buf_clear(scratch);
    tl_json_write(scratch, a);
    size_t len = scratch->len;
    tl_json_write(scratch, b);
    if (tl_buf_status(scratch) != TALLY_OK) {
        return tl_draft_no_memory(draft);
    }
    *equal_out = scratch->len == 2 * len && memcmp(scratch->data, scratch->data + len, len) == 0;
    return TALLY_OK;
}

static tally_status new_node(struct tl_draft *draft, struct tl_json **node_out,
                             const struct tl_json *value, struct tl_str key)
{
    struct tl_json *node = tl_arena_alloc(&draft->reader->arena, sizeof(*node));
    if (node == NULL) {
        return tl_draft_no_memory(draft);
    }
    *node = *value;
    node->key = key;
    node->next = NULL;
    *node_out = node;
    return TALLY_OK;
}

static const struct tl_json empty_object = { .type = TL_JSON_OBJECT };

/*
 * Adds a copy of `value` under `key`, in its canonical place. `level` counts the containers around
 * the members of `object`.
 */
static tally_status add_member(struct tl_draft *draft, struct tl_json *object, uint32_t level,
                               struct tl_spot at, struct tl_str key, const struct tl_json *value)
{
    struct tl_json **link = &object->first;
    while (*link != NULL && tl_json_compare_names((*link)->key, key) < 0) {
        link = &(*link)->next;
    }
    struct tl_json *node = NULL;
    TL_TRY(new_node(draft, &node, value, key));
    keep_big_integers(node);
    if (*link != NULL && tl_str_equal((*link)->key, key)) {
        bool equal = false;
        TL_TRY(compare(draft, *link, node, &equal));
        return equal ? TALLY_OK
                     : tl_draft_refuse(draft, at, "alias_conflict",
                                       "this belongs into metadata, which holds another value");
    }
    if (level + tl_draft_depth(value) > TL_EVENT_DEPTH_MAX) {
        return tl_draft_refuse(draft, at, "too_deep",
                               "moved into metadata, this is nested deeper than %u",
                               TL_EVENT_DEPTH_MAX);
    }
    if (object->count >= TL_EVENT_MEMBERS_MAX) {
        return tl_draft_refuse(draft, at, "too_many", "moved here, this is one member more than %u",
                               TL_EVENT_MEMBERS_MAX);
    }
    node->next = *link;
    *link = node;
    object->count++;
    return TALLY_OK;
}

static tally_status free_object(struct tl_draft *draft, enum tl_free_object which,
                                struct tl_json **object_out)
{
    if (draft->free_objects[which] == NULL) {
        TL_TRY(new_node(draft, &draft->free_objects[which], &empty_object, (struct tl_str){ 0 }));
    }
    *object_out = draft->free_objects[which];
    return TALLY_OK;
}

static tally_status add_extra(struct tl_draft *draft, const struct tl_extra *extra)
{
    struct tl_json *metadata = NULL;
    TL_TRY(free_object(draft, TL_FREE_METADATA, &metadata));
    if (!extra->stored) {
        return add_member(draft, metadata, 2, extra->at, extra->key, extra->value);
    }
    struct tl_json *import = tl_draft_member(metadata, TL_STR("import"));
    if (import == NULL) {
        TL_TRY(add_member(draft, metadata, 2, extra->at, TL_STR("import"), &empty_object));
        import = tl_draft_member(metadata, TL_STR("import"));
    }
    if (import->type != TL_JSON_OBJECT) {
        return tl_draft_refuse(draft, extra->at, "alias_conflict",
                               "this belongs into metadata.import, which is no object");
    }
    return add_member(draft, import, 3, extra->at, extra->key, extra->value);
}

/* Whether `node` is {"old":a,"new":b}, or has only one of them. */
static bool is_change(const struct tl_json *node)
{
    if (node->type != TL_JSON_OBJECT || node->count == 0) {
        return false;
    }
    for (const struct tl_json *side = node->first; side != NULL; side = side->next) {
        if (!tl_str_is(side->key, "old") && !tl_str_is(side->key, "new")) {
            return false;
        }
    }
    return true;
}

static tally_status add_side(struct tl_draft *draft, struct tl_json *side, struct tl_str field,
                             const struct tl_json *value)
{
    struct tl_json *node = NULL;
    TL_TRY(new_node(draft, &node, value, field));
    keep_big_integers(node);
    /* The fields come in canonical order. */
    struct tl_json **link = &side->first;
    while (*link != NULL) {
        link = &(*link)->next;
    }
    *link = node;
    side->count++;
    return TALLY_OK;
}

static tally_status give_side(struct tl_draft *draft, enum tl_free_object which,
                              struct tl_json *side, const struct tl_json *changes)
{
    if (side->count == 0) {
        return TALLY_OK;
    }
    if (draft->free_objects[which] == NULL) {
        draft->free_objects[which] = side;
        return TALLY_OK;
    }
    bool equal = false;
    TL_TRY(compare(draft, draft->free_objects[which], side, &equal));
    return equal ? TALLY_OK
                 : tl_draft_refuse(draft, (struct tl_spot){ .top = changes, .index = -1 },
                                   "alias_conflict", "%s is given twice, with different values",
                                   which == TL_FREE_OLD_VALUES ? "old_values" : "new_values");
}

static tally_status add_change(struct tl_draft *draft, struct tl_json *old_values,
                               struct tl_json *new_values, const struct tl_json *field)
{
    if (!is_change(field)) {
        return add_side(draft, new_values, field->key, field);
    }
    for (const struct tl_json *side = field->first; side != NULL; side = side->next) {
        bool is_old = tl_str_is(side->key, "old");
        TL_TRY(add_side(draft, is_old ? old_values : new_values, field->key, side));
    }
    return TALLY_OK;
}

static tally_status finish_changes(struct tl_draft *draft, const struct tl_json *changes)
{
    struct tl_json *old_values = NULL;
    struct tl_json *new_values = NULL;
    TL_TRY(new_node(draft, &old_values, &empty_object, (struct tl_str){ 0 }));
    TL_TRY(new_node(draft, &new_values, &empty_object, (struct tl_str){ 0 }));
    for (const struct tl_json *field = changes->first; field != NULL; field = field->next) {
        TL_TRY(add_change(draft, old_values, new_values, field));
    }
    TL_TRY(give_side(draft, TL_FREE_OLD_VALUES, old_values, changes));
    return give_side(draft, TL_FREE_NEW_VALUES, new_values, changes);
}

/* Moves a text out of the metadata of a Framework M event, if its place is free and it fits. */
static void move_from_metadata(struct tl_draft *draft, struct tl_json *metadata, const char *key,
                               enum tl_place place)
{
    struct tl_json **link = &metadata->first;
    while (*link != NULL && !tl_str_is((*link)->key, key)) {
        link = &(*link)->next;
    }
    struct tl_json *node = *link;
    if (node == NULL || draft->text[place].text != NULL || node->type != TL_JSON_STRING ||
        node->text.len == 0) {
        return;
    }
    struct tally_error *err = draft->err;
    struct tl_spot at = { .top = metadata, .inner = node, .index = -1 };
    draft->err = NULL; /* it may stay where it is */
    if (tl_draft_put(draft, place, at, node->text) == TALLY_OK) {
        *link = node->next;
        metadata->count--;
    }
    draft->err = err;
}

static tally_status finish_metadata(struct tl_draft *draft)
{
    struct tl_json *metadata = draft->free_objects[TL_FREE_METADATA];
    if (draft->framework_m && metadata != NULL) {
        move_from_metadata(draft, metadata, "request_id", TL_PLACE_REQUEST_ID);
        move_from_metadata(draft, metadata, "ip", TL_PLACE_IP);
        move_from_metadata(draft, metadata, "user_agent", TL_PLACE_USER_AGENT);
    }
    for (const struct tl_extra *extra = draft->extras; extra != NULL; extra = extra->next) {
        TL_TRY(add_extra(draft, extra));
    }
    return TALLY_OK;
}

static tally_status finish_duration(struct tl_draft *draft)
{
    if (draft->duration == NULL || draft->text[TL_PLACE_STARTED_AT].text == NULL ||
        draft->text[TL_PLACE_ENDED_AT].text != NULL) {
        return TALLY_OK;
    }
    struct tl_spot at = { .top = draft->duration, .index = -1 };
    double ms = draft->duration->number;
    int64_t ended_us = draft->started_us;
    if (!(ms >= 0 && ms <= DURATION_MS_MAX) ||
        __builtin_add_overflow(ended_us, (int64_t)(ms * 1000 + 0.5), &ended_us) ||
        ended_us > TL_TIME_US_MAX) {
        return tl_draft_refuse(draft, at, "bad_value",
                               "this duration has no end in a year to 9999");
    }
    draft->ended_us = ended_us;
    draft->text[TL_PLACE_ENDED_AT].len = tl_time_format(draft->ended_text, ended_us);
    draft->text[TL_PLACE_ENDED_AT].text = draft->ended_text;
    draft->from[TL_PLACE_ENDED_AT] = at;
    return TALLY_OK;
}

static tally_status finish_times(struct tl_draft *draft, uint32_t *notes_out)
{
    TL_TRY(finish_duration(draft));
    struct tl_str *occurred = &draft->text[TL_PLACE_OCCURRED_AT];
    struct tl_str started = draft->text[TL_PLACE_STARTED_AT];
    if (started.text != NULL && draft->text[TL_PLACE_ENDED_AT].text != NULL &&
        draft->ended_us < draft->started_us) {
        return tl_draft_refuse(draft, draft->from[TL_PLACE_ENDED_AT], "bad_span",
                               "the end is before the start");
    }
    if (occurred->text == NULL && started.text != NULL) {
        *occurred = started;
    }
    if (occurred->text == NULL) {
        occurred->len = tl_time_format(draft->occurred_text, draft->input->now_us);
        occurred->text = draft->occurred_text;
        tl_assert(occurred->len > 0);
        *notes_out |= TL_EVENT_TIME_GENERATED;
    }
    return TALLY_OK;
}

static tally_status finish_bank(struct tl_draft *draft)
{
    if (draft->bank == NULL) {
        return TALLY_OK;
    }
    struct tl_spot at = { .top = draft->bank, .index = -1 };
    struct tl_target_view bank = { .type = TL_STR("bank"), .id = draft->bank->text };
    TL_TRY(tl_draft_normalise(draft, TL_PLACE_TARGET_ID, at, &bank.id));
    bool first = false;
    for (int place = TL_PLACE_TARGET_ID; place <= TL_PLACE_TARGET_TYPE; place++) {
        first = first || draft->text[place].text != NULL;
    }
    if (first && tl_str_is(draft->text[TL_PLACE_TARGET_TYPE], "bank") &&
        tl_str_equal(draft->text[TL_PLACE_TARGET_ID], bank.id)) {
        return TALLY_OK;
    }
    for (uint32_t i = 0; i < draft->target_count; i++) {
        if (tl_str_is(draft->targets[i].type, "bank") &&
            tl_str_equal(draft->targets[i].id, bank.id)) {
            return TALLY_OK;
        }
    }
    if (draft->target_count + first >= TL_TARGETS_MAX) {
        return tl_draft_refuse(draft, at, "too_many", "one target more than %u", TL_TARGETS_MAX);
    }
    draft->targets[draft->target_count++] = bank;
    return TALLY_OK;
}

static void set_default(struct tl_draft *draft, enum tl_place place, struct tl_str value)
{
    if (draft->text[place].text == NULL) {
        draft->text[place] = value;
    }
}

static tally_status finish_texts(struct tl_draft *draft, uint32_t *notes_out)
{
    if (draft->text[TL_PLACE_ACTION].text == NULL) {
        return tl_refuse(draft->err, "missing", "/action", "an event needs an action");
    }
    if (draft->has_user) {
        set_default(draft, TL_PLACE_ACTOR_TYPE, TL_STR("user"));
    }
    if (draft->outcome_word.text != NULL) {
        set_default(draft, TL_PLACE_REASON, draft->outcome_word);
    }
    set_default(draft, TL_PLACE_OUTCOME, TL_STR("success"));
    set_default(draft, TL_PLACE_SEVERITY, TL_STR("medium"));
    if (draft->text[TL_PLACE_ID].text == NULL) {
        tl_assert(draft->input->random != NULL);
        tl_uuid_v7(draft->id_text, draft->input->now_us, draft->input->random);
        draft->text[TL_PLACE_ID] = tl_str_of(draft->id_text);
        *notes_out |= TL_EVENT_ID_GENERATED;
    }
    return TALLY_OK;
}

tally_status tl_draft_finish(struct tl_draft *draft, uint32_t *notes_out)
{
    for (size_t i = 0; i < TL_FREE_COUNT; i++) {
        if (draft->free_objects[i] != NULL) {
            keep_big_integers(draft->free_objects[i]->first);
        }
    }
    for (size_t i = 0; i < TL_ARRAY_LEN(draft->changes); i++) {
        if (draft->changes[i] != NULL) {
            TL_TRY(finish_changes(draft, draft->changes[i]));
        }
    }
    TL_TRY(finish_metadata(draft));
    TL_TRY(finish_bank(draft));
    TL_TRY(finish_times(draft, notes_out));
    return finish_texts(draft, notes_out);
}
