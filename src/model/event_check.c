/* The rules of single values: what a place accepts, and in which form it keeps it. */
#include <stdarg.h>
#include <stdio.h>

#include "model/event_draft.h"

const struct tl_json *tl_spot_value(struct tl_spot at)
{
    return at.inner != NULL ? at.inner : at.top;
}

size_t tl_pointer_add(char *pointer, size_t len, size_t size, struct tl_str name)
{
    if (len + 1 < size) {
        pointer[len++] = '/';
    }
    for (size_t i = 0; i < name.len && len + 2 < size; i++) {
        char c = name.text[i];
        if (c == '~' || c == '/') {
            pointer[len++] = '~';
            c = c == '~' ? '0' : '1';
        }
        pointer[len++] = c;
    }
    return len;
}

tally_status tl_draft_refuse(struct tl_draft *draft, struct tl_spot at, const char *code,
                             const char *fmt, ...)
{
    char pointer[sizeof(draft->err->pointer)];
    size_t len = tl_pointer_add(pointer, 0, sizeof(pointer), at.top->key);
    if (at.index >= 0) {
        char index[16];
        int digits = snprintf(index, sizeof(index), "%d", at.index);
        len = tl_pointer_add(pointer, len, sizeof(pointer),
                             (struct tl_str){ .text = index, .len = (size_t)digits });
    }
    if (at.inner != NULL && at.inner->key.text != NULL) {
        len = tl_pointer_add(pointer, len, sizeof(pointer), at.inner->key);
    }
    pointer[len] = '\0';

    char message[sizeof(draft->err->message)];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(message, sizeof(message), fmt, ap);
    va_end(ap);
    return tl_refuse(draft->err, code, pointer, "%s", message);
}

static tally_status copy_of(struct tl_draft *draft, struct tl_str *value, char **copy_out)
{
    char *copy = tl_arena_alloc(&draft->reader->arena, value->len + 1);
    if (copy == NULL) {
        return tl_draft_no_memory(draft);
    }
    memcpy(copy, value->text, value->len);
    value->text = copy;
    *copy_out = copy;
    return TALLY_OK;
}

static tally_status check_len(struct tl_draft *draft, enum tl_place place, struct tl_spot at,
                              size_t len)
{
    const struct tl_place_rule *rule = &tl_place_rules[place];
    if (len > rule->len_max) {
        return tl_draft_refuse(draft, at, "too_long", "%s has %zu bytes, the limit is %zu",
                               rule->name, len, rule->len_max);
    }
    return TALLY_OK;
}

static bool is_action_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.' || c == ':' || c == '/' || c == '@' || c == '-';
}

static size_t action_span(struct tl_str value)
{
    size_t len = 0;
    while (len < value.len && is_action_byte(value.text[len])) {
        len++;
    }
    return len;
}

static tally_status normalise_action(struct tl_draft *draft, struct tl_spot at,
                                     struct tl_str *value)
{
    TL_TRY(check_len(draft, TL_PLACE_ACTION, at, value->len));
    size_t good = action_span(*value);
    if (good < value->len) {
        if (!draft->input->import) {
            return tl_draft_refuse(draft, at, "bad_action",
                                   "byte %zu of the action is not one of A-Z a-z 0-9 _ . : / @ -",
                                   good);
        }
        TL_TRY(tl_draft_extra_text(draft, at, "action_text", *value));
        char *copy = NULL;
        TL_TRY(copy_of(draft, value, &copy));
        for (size_t i = good; i < value->len; i++) {
            if (!is_action_byte(copy[i])) {
                copy[i] = '_';
            }
        }
    }
    if (!draft->input->own && tl_str_starts(*value, TL_STR("tally."))) {
        return tl_draft_refuse(draft, at, "reserved_action",
                               "actions that begin with 'tally.' are the ledger's own");
    }
    return TALLY_OK;
}

/* C0, DEL and C1 (in UTF-8, C2 and a byte below A0). */
static bool has_control(struct tl_str value)
{
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.text[i];
        bool c1 = c == 0xc2 && i + 1 < value.len && (unsigned char)value.text[i + 1] < 0xa0;
        if (c < 0x20 || c == 0x7f || c1) {
            return true;
        }
    }
    return false;
}

static tally_status normalise_id(struct tl_draft *draft, struct tl_spot at,
                                 const struct tl_str *value)
{
    TL_TRY(check_len(draft, TL_PLACE_ID, at, value->len));
    if (has_control(*value)) {
        return tl_draft_refuse(draft, at, "bad_value", "the id holds a control character");
    }
    if (tl_str_is(*value, "00000000-0000-0000-0000-000000000000")) {
        return tl_draft_refuse(draft, at, "bad_value", "the nil UUID is no id");
    }
    return TALLY_OK;
}

static tally_status normalise_time(struct tl_draft *draft, enum tl_place place, struct tl_spot at,
                                   struct tl_str *value)
{
    int64_t us = 0;
    tally_status status =
        draft->input->import ? tl_time_parse_naive(&us, *value) : tl_time_parse(&us, *value);
    if (status != TALLY_OK) {
        return tl_draft_refuse(draft, at, "bad_time", "%s is no RFC 3339 time%s",
                               tl_place_rules[place].name,
                               draft->input->import ? "" : " with an offset");
    }
    char *text = draft->occurred_text;
    if (place == TL_PLACE_STARTED_AT) {
        text = draft->started_text;
        draft->started_us = us;
    } else if (place == TL_PLACE_ENDED_AT) {
        text = draft->ended_text;
        draft->ended_us = us;
    } else if (draft->text[place].text != NULL) {
        /* Two names for one time: the first stays where it is, to be compared. */
        text = tl_arena_alloc(&draft->reader->arena, TL_TIME_SIZE);
        if (text == NULL) {
            return tl_draft_no_memory(draft);
        }
    }
    value->len = tl_time_format(text, us);
    value->text = text;
    return TALLY_OK;
}

static bool is_one_of(struct tl_str value, const struct tl_str *words, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (tl_str_equal(value, words[i])) {
            return true;
        }
    }
    return false;
}

static tally_status normalise_outcome(struct tl_draft *draft, struct tl_spot at,
                                      struct tl_str *value)
{
    static const struct tl_str words[] = {
        { "success", 7 }, { "failure", 7 }, { "pending", 7 }, { "unknown", 7 }
    };
    static const struct tl_str failures[] = {
        { "failed", 6 }, { "error", 5 }, { "errored", 7 }, { "denied", 6 }
    };
    if (is_one_of(*value, words, TL_ARRAY_LEN(words))) {
        return TALLY_OK;
    }
    if (is_one_of(*value, failures, TL_ARRAY_LEN(failures))) {
        draft->outcome_word = *value;
        *value = TL_STR("failure");
        return TALLY_OK;
    }
    if (!draft->input->import) {
        return tl_draft_refuse(draft, at, "bad_value",
                               "outcome is not success, failure, pending or unknown");
    }
    TL_TRY(tl_draft_extra_text(draft, at, "outcome_text", *value));
    *value = TL_STR("unknown");
    return TALLY_OK;
}

static bool equal_fold(struct tl_str a, struct tl_str lower)
{
    if (a.len != lower.len) {
        return false;
    }
    for (size_t i = 0; i < a.len; i++) {
        if (tl_fold(a.text[i]) != lower.text[i]) {
            return false;
        }
    }
    return true;
}

static const struct tl_str severities[] = {
    { "low", 3 }, { "medium", 6 }, { "high", 4 }, { "critical", 8 }
};

int tl_severity_rank(struct tl_str severity)
{
    for (size_t i = 0; i < TL_ARRAY_LEN(severities); i++) {
        if (tl_str_equal(severity, severities[i])) {
            return (int)i + 1;
        }
    }
    return 0;
}

static tally_status normalise_severity(struct tl_draft *draft, struct tl_spot at,
                                       struct tl_str *value)
{
    for (size_t i = 0; i < TL_ARRAY_LEN(severities); i++) {
        if (equal_fold(*value, severities[i])) {
            *value = severities[i];
            return TALLY_OK;
        }
    }
    if (!draft->input->import) {
        return tl_draft_refuse(draft, at, "bad_value",
                               "severity is not low, medium, high or critical");
    }
    TL_TRY(tl_draft_extra_text(draft, at, "severity_text", *value));
    *value = TL_STR("medium");
    return TALLY_OK;
}

static tally_status normalise_ip(struct tl_draft *draft, struct tl_spot at, struct tl_str *value)
{
    char text[TL_IP_TEXT_SIZE];
    size_t len = 0;
    if (tl_ip_canonical(text, &len, *value) != TALLY_OK) {
        return tl_draft_refuse(draft, at, "bad_ip", "source.ip is no IPv4 or IPv6 address");
    }
    if (draft->text[TL_PLACE_IP].text == NULL) {
        memcpy(draft->ip_text, text, len + 1);
    } else if (!tl_str_equal(draft->text[TL_PLACE_IP], (struct tl_str){ text, len })) {
        return tl_draft_refuse(draft, at, "alias_conflict",
                               "source.ip is given twice, differently");
    }
    *value = (struct tl_str){ .text = draft->ip_text, .len = len };
    return TALLY_OK;
}

static tally_status normalise_hex(struct tl_draft *draft, enum tl_place place, struct tl_spot at,
                                  struct tl_str *value)
{
    const struct tl_place_rule *rule = &tl_place_rules[place];
    bool upper = false;
    bool good = value->len == rule->len_max;
    bool zero = true;
    for (size_t i = 0; good && i < value->len; i++) {
        char c = value->text[i];
        bool is_upper = c >= 'A' && c <= 'F';
        good = is_upper || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
        upper = upper || is_upper;
        zero = zero && c == '0';
    }
    if (!good || zero) {
        return tl_draft_refuse(draft, at, "bad_hex", "%s is not %zu hex digits, not all zero",
                               rule->name, rule->len_max);
    }
    if (!upper) {
        return TALLY_OK;
    }
    char *copy = NULL;
    TL_TRY(copy_of(draft, value, &copy));
    for (size_t i = 0; i < value->len; i++) {
        copy[i] = tl_fold(copy[i]);
    }
    return TALLY_OK;
}

tally_status tl_draft_normalise(struct tl_draft *draft, enum tl_place place, struct tl_spot at,
                                struct tl_str *value)
{
    switch (tl_place_rules[place].kind) {
    case TL_KIND_TEXT:
        return check_len(draft, place, at, value->len);
    case TL_KIND_ACTION:
        return normalise_action(draft, at, value);
    case TL_KIND_ID:
        return normalise_id(draft, at, value);
    case TL_KIND_TIME:
        return normalise_time(draft, place, at, value);
    case TL_KIND_OUTCOME:
        return normalise_outcome(draft, at, value);
    case TL_KIND_SEVERITY:
        return normalise_severity(draft, at, value);
    case TL_KIND_IP:
        return normalise_ip(draft, at, value);
    case TL_KIND_HEX:
        return normalise_hex(draft, place, at, value);
    }
    tl_assert(false);
    return TALLY_EINVAL;
}

tally_status tl_draft_put(struct tl_draft *draft, enum tl_place place, struct tl_spot at,
                          struct tl_str value)
{
    if (value.len == 0) {
        return TALLY_OK;
    }
    TL_TRY(tl_draft_normalise(draft, place, at, &value));
    struct tl_str *there = &draft->text[place];
    if (there->text == NULL) {
        *there = value;
        draft->from[place] = at;
        return TALLY_OK;
    }
    if (!tl_str_equal(*there, value)) {
        return tl_draft_refuse(draft, at, "alias_conflict",
                               "%s is given twice, with different values",
                               tl_place_rules[place].name);
    }
    return TALLY_OK;
}
