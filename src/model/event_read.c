/* Members of the input into their places. */
#include "base/limits.h"
#include "model/event_draft.h"

bool tl_draft_is_empty(const struct tl_json *node)
{
    switch (node->type) {
    case TL_JSON_NULL:
        return true;
    case TL_JSON_STRING:
        return node->text.len == 0;
    case TL_JSON_ARRAY:
    case TL_JSON_OBJECT:
        return node->count == 0;
    case TL_JSON_FALSE:
    case TL_JSON_TRUE:
    case TL_JSON_NUMBER:
        return false;
    }
    return false;
}

struct tl_json *tl_draft_member(const struct tl_json *object, struct tl_str key)
{
    struct tl_json *member = object->first;
    while (member != NULL && !tl_str_equal(member->key, key)) {
        member = member->next;
    }
    return member;
}

tally_status tl_draft_extra(struct tl_draft *draft, struct tl_spot at, struct tl_str key,
                            const struct tl_json *value, bool stored)
{
    struct tl_extra *extra = tl_arena_alloc(&draft->reader->arena, sizeof(*extra));
    if (extra == NULL) {
        return tl_draft_no_memory(draft);
    }
    *extra = (struct tl_extra){
        .next = draft->extras, .at = at, .key = key, .value = value, .stored = stored
    };
    draft->extras = extra;
    return TALLY_OK;
}

tally_status tl_draft_extra_text(struct tl_draft *draft, struct tl_spot at, const char *key,
                                 struct tl_str text)
{
    struct tl_json *value = tl_arena_alloc(&draft->reader->arena, sizeof(*value));
    if (value == NULL) {
        return tl_draft_no_memory(draft);
    }
    *value = (struct tl_json){ .type = TL_JSON_STRING, .text = text };
    return tl_draft_extra(draft, at, tl_str_of(key), value, false);
}

static tally_status refuse_type(struct tl_draft *draft, struct tl_spot at, const char *wanted)
{
    return tl_draft_refuse(draft, at, "bad_type", "this member is to be %s", wanted);
}

static tally_status read_text(struct tl_draft *draft, enum tl_place place, struct tl_spot at)
{
    const struct tl_json *node = tl_spot_value(at);
    if (node->type == TL_JSON_STRING) {
        return tl_draft_put(draft, place, at, node->text);
    }
    return tl_draft_is_empty(node) ? TALLY_OK : refuse_type(draft, at, "a string");
}

/* A key of a table may be a number: its decimal text. */
static tally_status read_key(struct tl_draft *draft, enum tl_place place, struct tl_spot at)
{
    const struct tl_json *node = tl_spot_value(at);
    if (node->type != TL_JSON_NUMBER) {
        return read_text(draft, place, at);
    }
    struct tl_str text = node->text;
    if (memchr(text.text, '.', text.len) != NULL || memchr(text.text, 'e', text.len) != NULL ||
        memchr(text.text, 'E', text.len) != NULL) {
        struct tl_buf *scratch = &draft->reader->scratch;
        tl_buf_clear(scratch);
        tl_json_write_number(scratch, node->number);
        char *copy = tl_arena_alloc(&draft->reader->arena, scratch->len + 1);
        if (copy == NULL || tl_buf_status(scratch) != TALLY_OK) {
            return tl_draft_no_memory(draft);
        }
        memcpy(copy, scratch->data, scratch->len);
        text = (struct tl_str){ .text = copy, .len = scratch->len };
    }
    return tl_draft_put(draft, place, at, text);
}

/* The members of an object of texts. */
struct part {
    struct tl_str name;
    enum tl_place place;
};

static const struct part actor_parts[] = {
    { { "id", 2 }, TL_PLACE_ACTOR_ID },
    { { "name", 4 }, TL_PLACE_ACTOR_NAME },
    { { "type", 4 }, TL_PLACE_ACTOR_TYPE },
};
static const struct part source_parts[] = {
    { { "host", 4 }, TL_PLACE_HOST },
    { { "ip", 2 }, TL_PLACE_IP },
    { { "service", 7 }, TL_PLACE_SERVICE },
    { { "user_agent", 10 }, TL_PLACE_USER_AGENT },
};
static const struct part target_parts[] = {
    { { "id", 2 }, TL_PLACE_TARGET_ID },
    { { "name", 4 }, TL_PLACE_TARGET_NAME },
    { { "type", 4 }, TL_PLACE_TARGET_TYPE },
};

static const struct part *find_part(const struct part *parts, size_t count, struct tl_str name)
{
    for (size_t i = 0; i < count; i++) {
        if (tl_str_equal(parts[i].name, name)) {
            return &parts[i];
        }
    }
    return NULL;
}

static bool keeps_unknown(const struct tl_draft *draft)
{
    return draft->input->import || draft->reader->rules->unknown_to_metadata;
}

/* A member that no object of texts has: kept as "actor.<name>", "targets.<index>.<name>". */
static tally_status read_unknown_part(struct tl_draft *draft, struct tl_spot at)
{
    if (!keeps_unknown(draft)) {
        return tl_draft_refuse(draft, at, "unknown_member", "there is no such member");
    }
    struct tl_buf *scratch = &draft->reader->scratch;
    tl_buf_clear(scratch);
    tl_buf_add_str(scratch, at.top->key);
    if (at.index >= 0) {
        tl_buf_add_char(scratch, '.');
        tl_buf_add_u64(scratch, (uint64_t)at.index);
    }
    tl_buf_add_char(scratch, '.');
    tl_buf_add_str(scratch, at.inner->key);
    char *key = tl_arena_alloc(&draft->reader->arena, scratch->len + 1);
    if (key == NULL || tl_buf_status(scratch) != TALLY_OK) {
        return tl_draft_no_memory(draft);
    }
    memcpy(key, scratch->data, scratch->len);
    return tl_draft_extra(draft, at, (struct tl_str){ .text = key, .len = scratch->len }, at.inner,
                          false);
}

static tally_status read_parts(struct tl_draft *draft, const struct part *parts, size_t count,
                               const struct tl_json *top)
{
    if (tl_draft_is_empty(top)) {
        return TALLY_OK;
    }
    struct tl_spot at = { .top = top, .index = -1 };
    if (top->type != TL_JSON_OBJECT) {
        return refuse_type(draft, at, "an object");
    }
    for (at.inner = top->first; at.inner != NULL; at.inner = at.inner->next) {
        const struct part *part = find_part(parts, count, at.inner->key);
        TL_TRY(part == NULL ? read_unknown_part(draft, at) : read_text(draft, part->place, at));
    }
    return TALLY_OK;
}

/* A member of a target after the first, which no alias reaches. */
static tally_status read_other_part(struct tl_draft *draft, const struct part *part,
                                    struct tl_spot at, struct tl_target_view *target)
{
    if (tl_draft_is_empty(at.inner)) {
        return TALLY_OK;
    }
    if (at.inner->type != TL_JSON_STRING) {
        return refuse_type(draft, at, "a string");
    }
    struct tl_str value = at.inner->text;
    TL_TRY(tl_draft_normalise(draft, part->place, at, &value));
    if (part->place == TL_PLACE_TARGET_ID) {
        target->id = value;
    } else if (part->place == TL_PLACE_TARGET_NAME) {
        target->name = value;
    } else {
        target->type = value;
    }
    return TALLY_OK;
}

static tally_status read_target_part(struct tl_draft *draft, struct tl_spot at,
                                     struct tl_target_view *target)
{
    const struct part *part = find_part(target_parts, TL_ARRAY_LEN(target_parts), at.inner->key);
    if (part == NULL) {
        return read_unknown_part(draft, at);
    }
    return at.index == 0 ? read_text(draft, part->place, at)
                         : read_other_part(draft, part, at, target);
}

static tally_status read_element(struct tl_draft *draft, struct tl_spot at,
                                 const struct tl_json *element)
{
    struct tl_target_view target = { .id = { 0 } };
    if (element->type != TL_JSON_OBJECT) {
        return refuse_type(draft, at, "an object");
    }
    for (at.inner = element->first; at.inner != NULL; at.inner = at.inner->next) {
        TL_TRY(read_target_part(draft, at, &target));
    }
    if (target.id.len + target.name.len + target.type.len > 0) {
        draft->targets[draft->target_count++] = target;
    }
    return TALLY_OK;
}

static tally_status check_array(struct tl_draft *draft, const struct tl_json *top, uint32_t max)
{
    struct tl_spot at = { .top = top, .index = -1 };
    if (top->type != TL_JSON_ARRAY) {
        return refuse_type(draft, at, "an array");
    }
    if (top->count > max) {
        return tl_draft_refuse(draft, at, "too_many", "%u elements, the limit is %u", top->count,
                               max);
    }
    return TALLY_OK;
}

static tally_status read_targets(struct tl_draft *draft, const struct tl_json *top)
{
    if (tl_draft_is_empty(top)) {
        return TALLY_OK;
    }
    TL_TRY(check_array(draft, top, TL_TARGETS_MAX));
    struct tl_spot at = { .top = top, .index = 0 };
    for (const struct tl_json *element = top->first; element != NULL; element = element->next) {
        TL_TRY(read_element(draft, at, element));
        at.index++;
    }
    return TALLY_OK;
}

static tally_status read_tags(struct tl_draft *draft, const struct tl_json *top)
{
    if (tl_draft_is_empty(top)) {
        return TALLY_OK;
    }
    TL_TRY(check_array(draft, top, TL_TAGS_MAX));
    struct tl_spot at = { .top = top, .index = 0 };
    for (const struct tl_json *tag = top->first; tag != NULL; tag = tag->next, at.index++) {
        if (tag->type != TL_JSON_STRING) {
            return refuse_type(draft, at, "a string");
        }
        if (tag->text.len == 0) {
            return tl_draft_refuse(draft, at, "bad_value", "a tag is empty");
        }
        if (tag->text.len > 128) {
            return tl_draft_refuse(draft, at, "too_long", "a tag has %zu bytes, the limit is 128",
                                   tag->text.len);
        }
        for (const struct tl_json *other = top->first; other != tag; other = other->next) {
            if (tl_str_equal(other->text, tag->text)) {
                return tl_draft_refuse(draft, at, "bad_value", "a tag is there twice");
            }
        }
    }
    draft->tags = top;
    return TALLY_OK;
}

/* A scalar for metadata; containers are not what the importing systems mean by these names. */
static tally_status read_note(struct tl_draft *draft, const struct tl_json *top)
{
    struct tl_spot at = { .top = top, .index = -1 };
    if (tl_draft_is_empty(top)) {
        return TALLY_OK;
    }
    if (top->type == TL_JSON_ARRAY || top->type == TL_JSON_OBJECT) {
        return refuse_type(draft, at, "a string or a number");
    }
    return tl_draft_extra(draft, at, top->key, top, false);
}

static tally_status read_hash(struct tl_draft *draft, const struct tl_json *top)
{
    struct tl_spot at = { .top = top, .index = -1 };
    if (tl_draft_is_empty(top)) {
        return TALLY_OK;
    }
    if (top->type != TL_JSON_STRING) {
        return refuse_type(draft, at, "a string");
    }
    struct tl_str text = top->text;
    char *lower = tl_arena_alloc(&draft->reader->arena, text.len);
    if (lower == NULL) {
        return tl_draft_no_memory(draft);
    }
    bool good = text.len % 2 == 0;
    for (size_t i = 0; good && i < text.len; i++) {
        char c = text.text[i];
        lower[i] = tl_fold(c);
        good = (lower[i] >= '0' && lower[i] <= '9') || (lower[i] >= 'a' && lower[i] <= 'f');
    }
    if (!good) {
        return tl_draft_refuse(draft, at, "bad_hex", "this member is to be bytes in hex digits");
    }
    return tl_draft_extra_text(draft, at, "command_payload_hash",
                               (struct tl_str){ .text = lower, .len = text.len });
}

static tally_status read_object(struct tl_draft *draft, const struct tl_json *top, bool *empty_out)
{
    *empty_out = tl_draft_is_empty(top);
    if (!*empty_out && top->type != TL_JSON_OBJECT) {
        return refuse_type(draft, (struct tl_spot){ .top = top, .index = -1 }, "an object");
    }
    return TALLY_OK;
}

static tally_status read_user(struct tl_draft *draft, struct tl_spot at)
{
    TL_TRY(read_text(draft, TL_PLACE_ACTOR_ID, at));
    draft->has_user = draft->has_user || !tl_draft_is_empty(at.top);
    return TALLY_OK;
}

static tally_status read_scalar(struct tl_draft *draft, const struct tl_json *top,
                                enum tl_json_type type, const struct tl_json **scalar_out)
{
    if (tl_draft_is_empty(top)) {
        return TALLY_OK;
    }
    if (top->type != type) {
        return refuse_type(draft, (struct tl_spot){ .top = top, .index = -1 },
                           type == TL_JSON_STRING ? "a string" : "a number");
    }
    *scalar_out = top;
    return TALLY_OK;
}

static tally_status read_unknown(struct tl_draft *draft, struct tl_spot at)
{
    if (!keeps_unknown(draft)) {
        return tl_draft_refuse(draft, at, "unknown_member", "there is no such member");
    }
    return tl_draft_extra(draft, at, at.top->key, at.top, false);
}

/* `top` is not const where its contents may later be moved. */
static tally_status read_member(struct tl_draft *draft, struct tl_json *top)
{
    const struct tl_event_name *name = tl_event_name_find(draft->reader, top->key);
    struct tl_spot at = { .top = top, .index = -1 };
    enum tl_place place = (enum tl_place)name->arg;
    bool empty = false;
    draft->framework_m = draft->framework_m || name->framework_m;
    switch (name->kind) {
    case TL_NAME_UNKNOWN:
        return read_unknown(draft, at);
    case TL_NAME_TEXT:
        return read_text(draft, place, at);
    case TL_NAME_KEY:
        return read_key(draft, place, at);
    case TL_NAME_FREE:
        TL_TRY(read_object(draft, top, &empty));
        draft->free_objects[name->arg] = empty ? NULL : top;
        return TALLY_OK;
    case TL_NAME_ACTOR:
        return read_parts(draft, actor_parts, TL_ARRAY_LEN(actor_parts), top);
    case TL_NAME_SOURCE:
        return top->type == TL_JSON_STRING
                   ? read_text(draft, TL_PLACE_SERVICE, at)
                   : read_parts(draft, source_parts, TL_ARRAY_LEN(source_parts), top);
    case TL_NAME_TARGETS:
        return read_targets(draft, top);
    case TL_NAME_TARGET:
        return read_parts(draft, target_parts, TL_ARRAY_LEN(target_parts), top);
    case TL_NAME_TAGS:
        return read_tags(draft, top);
    case TL_NAME_USER:
        return read_user(draft, at);
    case TL_NAME_BANK:
        return read_scalar(draft, top, TL_JSON_STRING, &draft->bank);
    case TL_NAME_CHANGES:
        TL_TRY(read_object(draft, top, &empty));
        draft->changes[name->arg] = empty ? NULL : top;
        return TALLY_OK;
    case TL_NAME_DURATION:
        return read_scalar(draft, top, TL_JSON_NUMBER, &draft->duration);
    case TL_NAME_NOTE:
        return read_note(draft, top);
    case TL_NAME_HASH:
        return read_hash(draft, top);
    case TL_NAME_STORED:
        return draft->input->import ? tl_draft_extra(draft, at, top->key, top, true)
                                    : read_unknown(draft, at);
    }
    return TALLY_OK;
}

tally_status tl_draft_read(struct tl_draft *draft, const struct tl_json *root)
{
    for (struct tl_json *member = root->first; member != NULL; member = member->next) {
        TL_TRY(read_member(draft, member));
    }
    return TALLY_OK;
}
