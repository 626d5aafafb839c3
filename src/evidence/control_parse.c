#include "base/bytes.h"
#include "base/parse.h"
#include "codec/base64.h"
#include "codec/json.h"
#include "codec/time.h"
#include "evidence/control_fields.h"

/*
 * Readers of one value return TALLY_EINVAL if it is wrong; the message is made where its name is
 * known. Text is borrowed from the document, which lives in the arena.
 */
struct reader {
    struct tl_control *out;
    struct tl_arena *arena;
};

static tally_status read_text(struct tl_str *out, const struct tl_json *value)
{
    if (value->type != TL_JSON_STRING || value->text.len == 0) {
        return TALLY_EINVAL;
    }
    *out = value->text;
    return TALLY_OK;
}

static tally_status read_integer(uint64_t *out, const struct tl_json *value, uint64_t max)
{
    if (value->type != TL_JSON_NUMBER) {
        return TALLY_EINVAL;
    }
    return tl_parse_u64(value->text.text, value->text.len, max, out);
}

static tally_status read_bool(bool *out, const struct tl_json *value)
{
    if (value->type != TL_JSON_TRUE && value->type != TL_JSON_FALSE) {
        return TALLY_EINVAL;
    }
    *out = value->type == TL_JSON_TRUE;
    return TALLY_OK;
}

static tally_status read_base64(uint8_t out[32], const struct tl_json *value)
{
    size_t len = 0;
    if (value->type != TL_JSON_STRING) {
        return TALLY_EINVAL;
    }
    TL_TRY(tl_base64_decode(out, 32, &len, value->text.text, value->text.len));
    return len == 32 ? TALLY_OK : TALLY_EINVAL;
}

/* Accepts what tl_time_format() writes, so that a time has one spelling. */
static tally_status read_time(int64_t *out, const struct tl_json *value)
{
    int64_t us = 0;
    char text[TL_TIME_SIZE];
    if (value->type != TL_JSON_STRING) {
        return TALLY_EINVAL;
    }
    TL_TRY(tl_time_parse(&us, value->text));
    (void)tl_time_format(text, us); /* the length is that of the text */
    if (!tl_str_is(value->text, text)) {
        return TALLY_EINVAL;
    }
    *out = us;
    return TALLY_OK;
}

static tally_status read_erasable(const struct reader *reader, const struct tl_json *value)
{
    if (value->type != TL_JSON_ARRAY) {
        return TALLY_EINVAL;
    }
    struct tl_erasable_set *set = tl_arena_alloc(reader->arena, sizeof(*set));
    if (set == NULL) {
        return TALLY_ENOMEM;
    }
    set->count = 0;
    for (const struct tl_json *item = value->first; item != NULL; item = item->next) {
        if (item->type != TL_JSON_STRING) {
            return TALLY_EINVAL;
        }
        TL_TRY(tl_erasable_add(set, item->text, NULL));
    }
    reader->out->policy.erasable = set;
    return TALLY_OK;
}

/* Reads {"basis"?,"class","days","name"}. */
static tally_status read_class(struct tl_class *out, const struct tl_json *value)
{
    const struct tl_json *basis = tl_json_member(value, "basis");
    const struct tl_json *id = tl_json_member(value, "class");
    const struct tl_json *days = tl_json_member(value, "days");
    const struct tl_json *name = tl_json_member(value, "name");
    if (id == NULL || days == NULL || name == NULL || value->count != (basis == NULL ? 3 : 4)) {
        return TALLY_EINVAL;
    }
    uint64_t number = 0;
    TL_TRY(read_integer(&number, id, UINT16_MAX));
    out->id = (uint16_t)number;
    if (days->type == TL_JSON_NUMBER && tl_str_is(days->text, "-1")) {
        out->days = -1;
    } else {
        TL_TRY(read_integer(&number, days, INT32_MAX));
        out->days = (int32_t)number;
    }
    out->by_occurred = basis != NULL;
    if (basis != NULL && (basis->type != TL_JSON_STRING || !tl_str_is(basis->text, "occurred"))) {
        return TALLY_EINVAL;
    }
    return read_text(&out->name, name);
}

static tally_status read_classes(const struct reader *reader, const struct tl_json *value)
{
    if (value->type != TL_JSON_ARRAY) {
        return TALLY_EINVAL;
    }
    struct tl_class *classes = tl_arena_alloc(reader->arena, value->count * sizeof(*classes));
    if (classes == NULL) {
        return TALLY_ENOMEM;
    }
    uint32_t count = 0;
    for (const struct tl_json *item = value->first; item != NULL; item = item->next) {
        TL_TRY(read_class(&classes[count++], item));
    }
    reader->out->policy.classes = classes;
    reader->out->policy.class_count = count;
    return TALLY_OK;
}

static tally_status read_range(struct tl_range *out, const struct tl_json *value)
{
    if (value->type != TL_JSON_ARRAY || value->count != 2) {
        return TALLY_EINVAL;
    }
    TL_TRY(read_integer(&out->first, value->first, TL_CONTROL_INTEGER_MAX));
    return read_integer(&out->last, value->first->next, TL_CONTROL_INTEGER_MAX);
}

static tally_status read_ranges(const struct reader *reader, const struct tl_json *value)
{
    if (value->type != TL_JSON_ARRAY) {
        return TALLY_EINVAL;
    }
    struct tl_range *ranges = tl_arena_alloc(reader->arena, value->count * sizeof(*ranges));
    if (ranges == NULL) {
        return TALLY_ENOMEM;
    }
    uint32_t count = 0;
    for (const struct tl_json *item = value->first; item != NULL; item = item->next) {
        TL_TRY(read_range(&ranges[count++], item));
    }
    reader->out->ranges = ranges;
    reader->out->range_count = count;
    return TALLY_OK;
}

/* Reads single numbers, and joins those that follow each other. */
static tally_status read_seqs(const struct reader *reader, struct tl_erase_item *out,
                              const struct tl_json *value)
{
    struct tl_range *ranges = tl_arena_alloc(reader->arena, value->count * sizeof(*ranges));
    if (ranges == NULL) {
        return TALLY_ENOMEM;
    }
    uint32_t count = 0;
    for (const struct tl_json *item = value->first; item != NULL; item = item->next) {
        uint64_t seq = 0;
        TL_TRY(read_integer(&seq, item, TL_CONTROL_INTEGER_MAX));
        if (count > 0 && ranges[count - 1].last + 1 == seq) {
            ranges[count - 1].last = seq;
        } else {
            ranges[count++] = (struct tl_range){ .first = seq, .last = seq };
        }
    }
    out->seqs = ranges;
    out->seq_count = count;
    return TALLY_OK;
}

/* Reads {"pointers","seqs"}. */
static tally_status read_item(const struct reader *reader, struct tl_erase_item *out,
                              const struct tl_json *value)
{
    const struct tl_json *pointers = tl_json_member(value, "pointers");
    const struct tl_json *seqs = tl_json_member(value, "seqs");
    if (pointers == NULL || seqs == NULL || value->count != 2 || pointers->type != TL_JSON_ARRAY ||
        seqs->type != TL_JSON_ARRAY) {
        return TALLY_EINVAL;
    }
    struct tl_str *texts = tl_arena_alloc(reader->arena, pointers->count * sizeof(*texts));
    if (texts == NULL) {
        return TALLY_ENOMEM;
    }
    out->pointers = texts;
    out->pointer_count = 0;
    for (const struct tl_json *item = pointers->first; item != NULL; item = item->next) {
        if (item->type != TL_JSON_STRING) {
            return TALLY_EINVAL;
        }
        texts[out->pointer_count++] = item->text;
    }
    return read_seqs(reader, out, seqs);
}

static tally_status read_items(const struct reader *reader, const struct tl_json *value)
{
    if (value->type != TL_JSON_ARRAY) {
        return TALLY_EINVAL;
    }
    struct tl_erase_item *items = tl_arena_alloc(reader->arena, value->count * sizeof(*items));
    if (items == NULL) {
        return TALLY_ENOMEM;
    }
    uint32_t count = 0;
    for (const struct tl_json *item = value->first; item != NULL; item = item->next) {
        TL_TRY(read_item(reader, &items[count++], item));
    }
    reader->out->items = items;
    reader->out->item_count = count;
    return TALLY_OK;
}

static tally_status read_u32(uint32_t *out, const struct tl_json *value)
{
    uint64_t number = 0;
    TL_TRY(read_integer(&number, value, UINT32_MAX));
    *out = (uint32_t)number;
    return TALLY_OK;
}

static tally_status read_field(const struct reader *reader, const struct tl_field *field,
                               const struct tl_json *value)
{
    void *to = (char *)reader->out + field->offset;
    uint64_t one = 0;
    switch (field->type) {
    case TL_FIELD_TEXT:
        return read_text(to, value);
    case TL_FIELD_U32:
        return read_u32(to, value);
    case TL_FIELD_U64:
        return read_integer(to, value, TL_CONTROL_INTEGER_MAX);
    case TL_FIELD_BOOL:
        return read_bool(to, value);
    case TL_FIELD_TRUE:
        *(bool *)to = true;
        return value->type == TL_JSON_TRUE ? TALLY_OK : TALLY_EINVAL;
    case TL_FIELD_ONE:
        TL_TRY(read_integer(&one, value, 1));
        return one == 1 ? TALLY_OK : TALLY_EINVAL;
    case TL_FIELD_HEX:
        return value->type == TL_JSON_STRING
                   ? tl_hex_decode(to, 32, value->text.text, value->text.len)
                   : TALLY_EINVAL;
    case TL_FIELD_BASE64:
        return read_base64(to, value);
    case TL_FIELD_VKEY:
        return value->type == TL_JSON_STRING ? tl_vkey_parse(to, value->text, NULL) : TALLY_EINVAL;
    case TL_FIELD_TIME:
        return read_time(to, value);
    case TL_FIELD_ERASABLE:
        return read_erasable(reader, value);
    case TL_FIELD_CLASSES:
        return read_classes(reader, value);
    case TL_FIELD_RANGES:
        return read_ranges(reader, value);
    case TL_FIELD_ITEMS:
        return read_items(reader, value);
    }
    return TALLY_EINVAL;
}

/* Reads the members of an object, which are in the order of the table. */
static tally_status read_members(const struct reader *reader, const struct tl_json *root,
                                 struct tally_error *err)
{
    const char *kind = tl_leaf_kind_name(reader->out->kind);
    uint32_t form = TL_FORM(reader->out->kind);
    if (reader->out->kind == TL_LEAF_PURGE && tl_json_member(root, "override") != NULL) {
        form = TL_FORM_OVERRIDE;
    }
    const struct tl_json *member = root->first;
    for (size_t i = 0; i < TL_FIELD_COUNT; i++) {
        const struct tl_field *field = &tl_control_fields[i];
        if (((field->required | field->optional) & form) == 0) {
            continue;
        }
        if (member == NULL || !tl_str_is(member->key, field->name)) {
            if ((field->required & form) != 0) {
                return tl_fail(err, TALLY_ECORRUPT, "%s without member '%s'", kind, field->name);
            }
            continue;
        }
        tally_status status = read_field(reader, field, member);
        if (status != TALLY_OK) {
            status = status == TALLY_ENOMEM ? TALLY_ENOMEM : TALLY_ECORRUPT;
            return tl_fail(err, status, "%s whose member '%s' is malformed", kind, field->name);
        }
        if (field->flag != 0) {
            *(bool *)((char *)reader->out + field->flag) = true;
        }
        member = member->next;
    }
    if (member != NULL) {
        return tl_fail(err, TALLY_ECORRUPT, "%s with a member that it does not have", kind);
    }
    return TALLY_OK;
}

tally_status tl_control_parse(struct tl_control *out, struct tl_arena *arena,
                              enum tl_leaf_kind kind, const char *payload, size_t len,
                              struct tally_error *err)
{
    tl_assert(tl_leaf_is_control(kind));
    const char *name = tl_leaf_kind_name(kind);
    if (len > TL_LEAF_PAYLOAD_MAX || tl_json_check_canonical(payload, len, NULL) != TALLY_OK) {
        return tl_fail(err, TALLY_ECORRUPT, "%s that is not canonical JSON of at most %u bytes",
                       name, TL_LEAF_PAYLOAD_MAX);
    }
    const struct tl_json *root = NULL;
    tally_status status = tl_json_read(arena, payload, len, &tl_json_limits_format, &root, NULL);
    if (status != TALLY_OK) {
        status = status == TALLY_ENOMEM ? TALLY_ENOMEM : TALLY_ECORRUPT;
        return tl_fail(err, status, "%s that cannot be read", name);
    }
    if (root->type != TL_JSON_OBJECT) {
        return tl_fail(err, TALLY_ECORRUPT, "%s that is no object", name);
    }
    *out = (struct tl_control){ .kind = kind };
    TL_TRY(read_members(&(struct reader){ .out = out, .arena = arena }, root, err));
    const char *fault = tl_control_fault(out);
    return fault == NULL ? TALLY_OK : tl_fail(err, TALLY_ECORRUPT, "%s: %s", name, fault);
}
