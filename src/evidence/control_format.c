#include "base/bytes.h"
#include "codec/base64.h"
#include "codec/json.h"
#include "codec/time.h"
#include "codec/utf8.h"
#include "evidence/control_fields.h"

/*
 * Writers of one value return false if it is wrong; that memory ran out, the buffer remembers. What
 * is longer than a payload may be is given up soon, since a range can stand for 2^53 numbers.
 */
static bool is_too_long(const struct tl_buf *out)
{
    return tl_buf_status(out) != TALLY_OK || out->len > TL_LEAF_PAYLOAD_MAX;
}

static bool text_is_valid(struct tl_str text)
{
    return tl_utf8_valid_len(text.text, text.len) == text.len &&
           memchr(text.text, '\0', text.len) == NULL;
}

static bool write_text(struct tl_buf *out, struct tl_str text)
{
    if (text.text == NULL || text.len == 0 || !text_is_valid(text)) {
        return false;
    }
    tl_json_write_string(out, text);
    return true;
}

static bool write_integer(struct tl_buf *out, uint64_t value)
{
    tl_buf_add_u64(out, value);
    return value <= TL_CONTROL_INTEGER_MAX;
}

static bool write_bool(struct tl_buf *out, bool value)
{
    tl_buf_add_text(out, value ? "true" : "false");
    return true;
}

static bool write_quoted(struct tl_buf *out, const char *text)
{
    tl_buf_add_char(out, '"');
    tl_buf_add_text(out, text);
    tl_buf_add_char(out, '"');
    return true;
}

static bool write_hex(struct tl_buf *out, const uint8_t bytes[32])
{
    char text[65];
    tl_hex_encode(text, bytes, 32);
    return write_quoted(out, text);
}

static bool write_base64(struct tl_buf *out, const uint8_t bytes[32])
{
    tl_buf_add_char(out, '"');
    tl_base64_encode(out, bytes, 32);
    tl_buf_add_char(out, '"');
    return true;
}

static bool write_vkey(struct tl_buf *out, const struct tl_vkey *key)
{
    char text[TL_VKEY_SIZE];
    if (key->name[0] == '\0') {
        return false;
    }
    tl_vkey_format(text, key);
    return write_text(out, tl_str_of(text)); /* a name may hold what JSON escapes */
}

static bool write_time(struct tl_buf *out, int64_t us)
{
    char text[TL_TIME_SIZE];
    return tl_time_format(text, us) > 0 && write_quoted(out, text);
}

static void write_comma(struct tl_buf *out, size_t index)
{
    if (index > 0) {
        tl_buf_add_char(out, ',');
    }
}

static bool write_erasable(struct tl_buf *out, const struct tl_erasable_set *set)
{
    tl_buf_add_char(out, '[');
    for (uint32_t i = 0; set != NULL && i < set->count; i++) {
        write_comma(out, i);
        tl_json_write_string(out, tl_str_of(set->pointers[i].text));
    }
    tl_buf_add_char(out, ']');
    return true;
}

static bool write_classes(struct tl_buf *out, const struct tl_policy *policy)
{
    tl_buf_add_char(out, '[');
    for (uint32_t i = 0; i < policy->class_count; i++) {
        const struct tl_class *class = &policy->classes[i];
        write_comma(out, i);
        tl_buf_add_char(out, '{');
        if (class->by_occurred) {
            tl_buf_add_text(out, "\"basis\":\"occurred\",");
        }
        tl_buf_addf(out, "\"class\":%u,\"days\":%d,\"name\":", class->id, class->days);
        if (!write_text(out, class->name)) {
            return false;
        }
        tl_buf_add_char(out, '}');
    }
    tl_buf_add_char(out, ']');
    return true;
}

static bool write_ranges(struct tl_buf *out, const struct tl_range *ranges, uint32_t count)
{
    bool valid = true;
    tl_buf_add_char(out, '[');
    for (uint32_t i = 0; i < count && valid && !is_too_long(out); i++) {
        write_comma(out, i);
        tl_buf_add_char(out, '[');
        valid = write_integer(out, ranges[i].first);
        tl_buf_add_char(out, ',');
        valid = write_integer(out, ranges[i].last) && valid;
        tl_buf_add_char(out, ']');
    }
    tl_buf_add_char(out, ']');
    return valid;
}

static bool write_seqs(struct tl_buf *out, const struct tl_range *ranges, uint32_t count)
{
    bool valid = true;
    bool is_first = true;
    for (uint32_t i = 0; i < count; i++) {
        for (uint64_t seq = ranges[i].first; seq <= ranges[i].last && valid && !is_too_long(out);
             seq++) {
            write_comma(out, is_first ? 0 : 1);
            valid = write_integer(out, seq);
            is_first = false;
        }
    }
    return valid;
}

static bool write_items(struct tl_buf *out, const struct tl_erase_item *items, uint32_t count)
{
    bool valid = true;
    tl_buf_add_char(out, '[');
    for (uint32_t i = 0; i < count && valid && !is_too_long(out); i++) {
        write_comma(out, i);
        tl_buf_add_text(out, "{\"pointers\":[");
        for (uint32_t j = 0; j < items[i].pointer_count; j++) {
            write_comma(out, j);
            tl_json_write_string(out, items[i].pointers[j]);
        }
        tl_buf_add_text(out, "],\"seqs\":[");
        valid = write_seqs(out, items[i].seqs, items[i].seq_count);
        tl_buf_add_text(out, "]}");
    }
    tl_buf_add_char(out, ']');
    return valid;
}

static bool write_value(struct tl_buf *out, const struct tl_field *field,
                        const struct tl_control *control)
{
    const void *from = (const char *)control + field->offset;
    switch (field->type) {
    case TL_FIELD_TEXT:
        return write_text(out, *(const struct tl_str *)from);
    case TL_FIELD_U32:
        return write_integer(out, *(const uint32_t *)from);
    case TL_FIELD_U64:
        return write_integer(out, *(const uint64_t *)from);
    case TL_FIELD_BOOL:
    case TL_FIELD_TRUE:
        return write_bool(out, *(const bool *)from);
    case TL_FIELD_ONE:
        return write_integer(out, 1);
    case TL_FIELD_HEX:
        return write_hex(out, from);
    case TL_FIELD_BASE64:
        return write_base64(out, from);
    case TL_FIELD_VKEY:
        return write_vkey(out, from);
    case TL_FIELD_TIME:
        return write_time(out, *(const int64_t *)from);
    case TL_FIELD_ERASABLE:
        return write_erasable(out, control->policy.erasable);
    case TL_FIELD_CLASSES:
        return write_classes(out, &control->policy);
    case TL_FIELD_RANGES:
        return write_ranges(out, control->ranges, control->range_count);
    case TL_FIELD_ITEMS:
        return write_items(out, control->items, control->item_count);
    }
    return false;
}

/* Whether a member that may be absent is there. */
static bool is_there(const struct tl_field *field, const struct tl_control *control)
{
    if (field->flag != 0) {
        return *(const bool *)((const char *)control + field->flag);
    }
    tl_assert(field->type == TL_FIELD_TEXT);
    return ((const struct tl_str *)(const void *)((const char *)control + field->offset))->text !=
           NULL;
}

static tally_status write_members(struct tl_buf *out, const struct tl_control *control,
                                  struct tally_error *err)
{
    uint32_t form = control->kind == TL_LEAF_PURGE && control->override_days
                        ? TL_FORM_OVERRIDE
                        : TL_FORM(control->kind);
    size_t count = 0;
    for (size_t i = 0; i < TL_FIELD_COUNT; i++) {
        const struct tl_field *field = &tl_control_fields[i];
        bool required = (field->required & form) != 0;
        if (!required && ((field->optional & form) == 0 || !is_there(field, control))) {
            continue;
        }
        write_comma(out, count++);
        (void)write_quoted(out, field->name); /* never fails */
        tl_buf_add_char(out, ':');
        if (!write_value(out, field, control)) {
            return tl_fail(err, TALLY_EINVAL, "%s whose member '%s' cannot be written",
                           tl_leaf_kind_name(control->kind), field->name);
        }
    }
    return TALLY_OK;
}

tally_status tl_control_format(struct tl_buf *out, const struct tl_control *control,
                               struct tally_error *err)
{
    const char *fault = tl_control_writing_fault(control);
    if (fault != NULL) {
        return tl_fail(err, TALLY_EINVAL, "%s: %s", tl_leaf_kind_name(control->kind), fault);
    }
    TL_CLEANUP(tl_buf_release) struct tl_buf payload = { 0 };
    tl_buf_init(&payload, TL_LEAF_PAYLOAD_MAX);
    tl_buf_add_char(&payload, '{');
    TL_TRY(write_members(&payload, control, err));
    tl_buf_add_char(&payload, '}');
    tally_status status = tl_buf_status(&payload);
    if (status == TALLY_OK) {
        tl_buf_add_str(out, tl_buf_str(&payload));
        status = tl_buf_status(out);
    }
    if (status == TALLY_OK) {
        return TALLY_OK;
    }
    return tl_fail(err, status, "no room for a %s of at most %u bytes",
                   tl_leaf_kind_name(control->kind), TL_LEAF_PAYLOAD_MAX);
}

tally_status tl_approval_text(struct tl_buf *out, struct tl_str origin, enum tl_leaf_kind kind,
                              const char *payload, size_t len, struct tl_arena *arena)
{
    const struct tl_json *root = NULL;
    tally_status status = tl_json_read(arena, payload, len, &tl_json_limits_format, &root, NULL);
    if (status != TALLY_OK || root->type != TL_JSON_OBJECT) {
        return status == TALLY_ENOMEM ? TALLY_ENOMEM : TALLY_ECORRUPT;
    }
    tl_buf_add_text(out, "tallystick/v1 approval\n");
    tl_buf_add_str(out, origin);
    tl_buf_addf(out, "\n%s\n{", tl_leaf_kind_name(kind));
    size_t count = 0;
    for (const struct tl_json *member = root->first; member != NULL; member = member->next) {
        if (!tl_str_is(member->key, "approval")) {
            write_comma(out, count++);
            tl_json_write_string(out, member->key);
            tl_buf_add_char(out, ':');
            tl_json_write(out, member);
        }
    }
    tl_buf_add_text(out, "}\n");
    return tl_buf_status(out);
}
