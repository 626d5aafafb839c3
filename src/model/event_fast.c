#include "model/event_fast.h"

#include "base/bytes.h"
#include "codec/json_tidy.h"
#include "model/event_draft.h"

/* What the text may gain by what was absent, an id, a time, an outcome and a severity, and by other
 * spellings of addresses and times; and what may be written after it by copying whole blocks. */
#define GAINED_BYTES_MAX 320u

/* A value and the quotes around it, in whole blocks. */
#define TEXT_SIZE 64u

#define TAG_BYTES_MAX 128u

/* The members of an event, in canonical order. */
enum top {
    TOP_ACTION,
    TOP_ACTOR,
    TOP_CAUSATION_ID,
    TOP_CORRELATION_ID,
    TOP_ENDED_AT,
    TOP_ID,
    TOP_METADATA,
    TOP_NEW_VALUES,
    TOP_OCCURRED_AT,
    TOP_OLD_VALUES,
    TOP_OUTCOME,
    TOP_REASON,
    TOP_REQUEST,
    TOP_REQUEST_ID,
    TOP_RESPONSE,
    TOP_SESSION_ID,
    TOP_SEVERITY,
    TOP_SOURCE,
    TOP_SPAN_ID,
    TOP_STARTED_AT,
    TOP_TAGS,
    TOP_TARGETS,
    TOP_TENANT_ID,
    TOP_TRACE_ID,
    TOP_TRANSPORT,
    TOP_COUNT,
};

enum kind {
    KIND_TEXT, /* of `place`, as below */
    KIND_FREE,
    KIND_ACTOR,
    KIND_SOURCE,
    KIND_TAGS,
    KIND_TARGETS,
};

/* 32 bytes, two blocks, so that a label can be copied as such. */
struct member {
    char label[29]; /* the name in quotes, and a colon */
    uint8_t label_len;
    uint8_t kind;
    uint8_t place;
};
_Static_assert(sizeof(struct member) == 2 * sizeof(tl_json_block), "labels are copied by blocks");

/* clang-format off */
#define MEMBER(name, kind, place) { "\"" name "\":", sizeof("\"" name "\":") - 1, (kind), (place) }
/* clang-format on */

static const struct member members[TOP_COUNT] = {
    [TOP_ACTION] = MEMBER("action", KIND_TEXT, TL_PLACE_ACTION),
    [TOP_ACTOR] = MEMBER("actor", KIND_ACTOR, 0),
    [TOP_CAUSATION_ID] = MEMBER("causation_id", KIND_TEXT, TL_PLACE_CAUSATION_ID),
    [TOP_CORRELATION_ID] = MEMBER("correlation_id", KIND_TEXT, TL_PLACE_CORRELATION_ID),
    [TOP_ENDED_AT] = MEMBER("ended_at", KIND_TEXT, TL_PLACE_ENDED_AT),
    [TOP_ID] = MEMBER("id", KIND_TEXT, TL_PLACE_ID),
    [TOP_METADATA] = MEMBER("metadata", KIND_FREE, 0),
    [TOP_NEW_VALUES] = MEMBER("new_values", KIND_FREE, 0),
    [TOP_OCCURRED_AT] = MEMBER("occurred_at", KIND_TEXT, TL_PLACE_OCCURRED_AT),
    [TOP_OLD_VALUES] = MEMBER("old_values", KIND_FREE, 0),
    [TOP_OUTCOME] = MEMBER("outcome", KIND_TEXT, TL_PLACE_OUTCOME),
    [TOP_REASON] = MEMBER("reason", KIND_TEXT, TL_PLACE_REASON),
    [TOP_REQUEST] = MEMBER("request", KIND_FREE, 0),
    [TOP_REQUEST_ID] = MEMBER("request_id", KIND_TEXT, TL_PLACE_REQUEST_ID),
    [TOP_RESPONSE] = MEMBER("response", KIND_FREE, 0),
    [TOP_SESSION_ID] = MEMBER("session_id", KIND_TEXT, TL_PLACE_SESSION_ID),
    [TOP_SEVERITY] = MEMBER("severity", KIND_TEXT, TL_PLACE_SEVERITY),
    [TOP_SOURCE] = MEMBER("source", KIND_SOURCE, 0),
    [TOP_SPAN_ID] = MEMBER("span_id", KIND_TEXT, TL_PLACE_SPAN_ID),
    [TOP_STARTED_AT] = MEMBER("started_at", KIND_TEXT, TL_PLACE_STARTED_AT),
    [TOP_TAGS] = MEMBER("tags", KIND_TAGS, 0),
    [TOP_TARGETS] = MEMBER("targets", KIND_TARGETS, 0),
    [TOP_TENANT_ID] = MEMBER("tenant_id", KIND_TEXT, TL_PLACE_TENANT_ID),
    [TOP_TRACE_ID] = MEMBER("trace_id", KIND_TEXT, TL_PLACE_TRACE_ID),
    [TOP_TRANSPORT] = MEMBER("transport", KIND_TEXT, TL_PLACE_TRANSPORT),
};

static const struct member actor_parts[] = {
    MEMBER("id", KIND_TEXT, TL_PLACE_ACTOR_ID),
    MEMBER("name", KIND_TEXT, TL_PLACE_ACTOR_NAME),
    MEMBER("type", KIND_TEXT, TL_PLACE_ACTOR_TYPE),
};
static const struct member source_parts[] = {
    MEMBER("host", KIND_TEXT, TL_PLACE_HOST),
    MEMBER("ip", KIND_TEXT, TL_PLACE_IP),
    MEMBER("service", KIND_TEXT, TL_PLACE_SERVICE),
    MEMBER("user_agent", KIND_TEXT, TL_PLACE_USER_AGENT),
};
static const struct member target_parts[] = {
    MEMBER("id", KIND_TEXT, TL_PLACE_TARGET_ID),
    MEMBER("name", KIND_TEXT, TL_PLACE_TARGET_NAME),
    MEMBER("type", KIND_TEXT, TL_PLACE_TARGET_TYPE),
};
#define PARTS_MAX        4u
#define PART_SERVICE     2u
#define PART_TARGET_ID   0u
#define PART_TARGET_TYPE 2u

/* An event on its way. Values are canonical JSON text. */
struct fast {
    struct tl_json_tidy tidy;
    const struct tl_event_reader *reader;
    const struct tl_event_input *input;
    uint32_t seen;  /* a bit for each member that the input has */
    uint32_t there; /* for each that has a value, and only then is it set */
    struct tl_str values[TOP_COUNT];
    struct tl_str service;                /* inside the value of `source`; with quotes, as all */
    struct tl_str target_type, target_id; /* of the first target that is not empty */
    bool has_target;
    int64_t occurred_us, started_us, ended_us;
    char occurred_text[TEXT_SIZE], started_text[TEXT_SIZE], ended_text[TEXT_SIZE];
    char id_text[TEXT_SIZE], ip_text[TEXT_SIZE], severity_text[TEXT_SIZE];
};

/* ---- names ---- */

/* All names differ in their first eight bytes; this factor keeps their products apart. */
static size_t slot_of(const char *name, size_t len)
{
    uint64_t prefix = tl_get_be64((const uint8_t *)name);
    unsigned shift = len < 8 ? (unsigned)(64 - 8 * len) : 0;
    return (size_t)((prefix >> shift) * UINT64_C(0x6bd5ef2cf0a28ec1) >> 59);
}

void tl_event_fast_index(struct tl_event_reader *reader)
{
    for (uint8_t i = 0; i < TOP_COUNT; i++) {
        size_t slot = slot_of(members[i].label + 1, members[i].label_len - 3u);
        tl_assert(reader->slots[slot] == 0);
        reader->slots[slot] = (uint8_t)(i + 1);
    }
}

/* Whether the label of `member` begins as the `len` bytes of a name and its quotes do. */
static inline bool is_named(const struct member *member, const char *quoted, size_t len)
{
    tl_json_block same = (tl_json_block)(tl_json_load(member->label) == tl_json_load(quoted));
    uint32_t wanted = (1u << len) - 1;
    return len + 1 == member->label_len && (tl_json_bits(same) & wanted) == wanted;
}

/* Returns the member called so, or TOP_COUNT. Names are given with their quotes. */
static size_t find_member(const struct tl_event_reader *reader, const char *quoted, size_t len)
{
    _Static_assert(sizeof("\"correlation_id\"") - 1 == sizeof(tl_json_block), "as long as any");
    if (len < 4 || len > sizeof(tl_json_block)) {
        return TOP_COUNT;
    }
    size_t found = reader->slots[slot_of(quoted + 1, len - 2)];
    return found != 0 && is_named(&members[found - 1], quoted, len) ? found - 1 : TOP_COUNT;
}

/* ---- texts ---- */

static bool is_action(struct tl_str raw)
{
    for (size_t i = 0; i < raw.len; i++) {
        unsigned char c = (unsigned char)raw.text[i];
        unsigned char letter = c | 0x20;
        bool good = (letter >= 'a' && letter <= 'z') || (c >= '-' && c <= ':') || c == '_' ||
                    c == '@'; /* from - to : are - . / 0 to 9 : */
        if (!good) {
            return false;
        }
    }
    return !tl_str_starts(raw, TL_STR("tally."));
}

static inline tl_json_block match_no_ascii(tl_json_block block)
{
    typedef signed char signed_block __attribute__((vector_size(16)));
    const signed char slash = '\\';
    const signed char space = ' ';
    const signed char del = 0x7f;
    signed_block bytes = (signed_block)block;
    return (tl_json_block)((bytes == del) | (bytes == slash) | (bytes < space));
}

static bool is_id(struct tl_str raw)
{
    bool plain = tl_json_find(raw.text, raw.len, 0, match_no_ascii) == raw.len;
    return plain && !tl_str_equal(raw, TL_STR("00000000-0000-0000-0000-000000000000"));
}

static bool is_outcome(struct tl_str raw)
{
    return raw.len == 7 &&
           (memcmp(raw.text, "success", 7) == 0 || memcmp(raw.text, "failure", 7) == 0 ||
            memcmp(raw.text, "pending", 7) == 0 || memcmp(raw.text, "unknown", 7) == 0);
}

static bool is_hex(struct tl_str raw, size_t digits)
{
    bool good = raw.len == digits;
    bool zero = true;
    for (size_t i = 0; good && i < raw.len; i++) {
        char c = raw.text[i];
        good = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
        zero = zero && c == '0';
    }
    return good && !zero;
}

/* What tl_time_format() makes of its result is the same text. */
static bool is_formatted(struct tl_str raw)
{
    bool shape = raw.text[10] == 'T' && raw.text[17] != '6' && raw.text[raw.len - 1] == 'Z';
    bool micros = raw.len == 27 && memcmp(raw.text + 19, ".000000", 7) != 0;
    return shape && (raw.len == 20 || micros);
}

/* Puts quotes around text[1..len]. */
static struct tl_str quoted(char *text, size_t len)
{
    text[0] = '"';
    text[len + 1] = '"';
    return (struct tl_str){ .text = text, .len = len + 2 };
}

static bool read_time(struct tl_str *value, struct tl_str raw, int64_t *us_out, char *text)
{
    if (tl_time_parse(us_out, raw) != TALLY_OK) {
        return false;
    }
    if (!is_formatted(raw)) {
        *value = quoted(text, tl_time_format(text + 1, *us_out));
    }
    return true;
}

/* Whether this is an IPv4 address as it is written in one way only. */
static bool is_v4(struct tl_str raw)
{
    unsigned points = 0;
    unsigned part = 0;
    unsigned digits = 0;
    for (size_t i = 0; i < raw.len; i++) {
        unsigned digit = (unsigned char)raw.text[i] - (unsigned)'0';
        if (digit <= 9) {
            if (digits > 0 && part == 0) {
                return false; /* a leading zero */
            }
            part = part * 10 + digit;
            digits++;
        } else if (raw.text[i] == '.' && digits > 0) {
            points++;
            part = 0;
            digits = 0;
        } else {
            return false;
        }
        if (part > 255) {
            return false;
        }
    }
    return points == 3 && digits > 0;
}

/* Sets *value, the text with its quotes, to what it has to become. */
static bool read_ip(struct fast *f, struct tl_str *value, struct tl_str raw)
{
    size_t len = 0;
    if (is_v4(raw)) {
        return true;
    }
    if (tl_ip_canonical(f->ip_text + 1, &len, raw) != TALLY_OK) {
        return false;
    }
    *value = quoted(f->ip_text, len);
    return true;
}

/* Checks the text that *value, with its quotes, is to be at `place`, or changes it. */
static bool check_text(struct fast *f, enum tl_place place, struct tl_str *value)
{
    const struct tl_place_rule *rule = &tl_place_rules[place];
    struct tl_str raw = { .text = value->text + 1, .len = value->len - 2 };
    switch (rule->kind) {
    case TL_KIND_TEXT:
        return raw.len <= rule->len_max; /* and without its escapes even less */
    case TL_KIND_ACTION:
        return raw.len <= rule->len_max && is_action(raw);
    case TL_KIND_ID:
        return raw.len <= rule->len_max && is_id(raw);
    case TL_KIND_TIME:
        if (place == TL_PLACE_OCCURRED_AT) {
            return read_time(value, raw, &f->occurred_us, f->occurred_text);
        }
        return place == TL_PLACE_STARTED_AT ? read_time(value, raw, &f->started_us, f->started_text)
                                            : read_time(value, raw, &f->ended_us, f->ended_text);
    case TL_KIND_OUTCOME:
        return is_outcome(raw);
    case TL_KIND_SEVERITY:
        return tl_severity_rank(raw) != 0;
    case TL_KIND_IP:
        return read_ip(f, value, raw);
    case TL_KIND_HEX:
        return is_hex(raw, rule->len_max);
    }
    return false;
}

/* Below, functions return the byte after what they read, or 0 if it is not simple. */

static size_t read_null(const struct fast *f, size_t at)
{
    return memcmp(f->tidy.text + at, "null", 4) == 0 ? at + 4 : 0;
}

/* Reads a text; an empty one is absent. */
static inline size_t read_text(struct fast *f, size_t at, uint8_t place, struct tl_str *value)
{
    bool escaped = false;
    size_t end = tl_json_tidy_string(&f->tidy, at, &escaped);
    if (end == 0) {
        return read_null(f, at);
    }
    if (end - at == 2) {
        return end;
    }
    *value = (struct tl_str){ .text = f->tidy.text + at, .len = end - at };
    return check_text(f, (enum tl_place)place, value) ? end : 0;
}

/* Reads the colon of a member, and the space around it. */
static size_t read_colon(const struct fast *f, size_t at)
{
    at = tl_json_tidy_space(&f->tidy, at);
    return f->tidy.text[at] == ':' ? tl_json_tidy_space(&f->tidy, at + 1) : 0;
}

/* ---- objects of texts ---- */

static size_t read_part(struct fast *f, size_t at, const struct member *parts, size_t count,
                        struct tl_str *values, uint32_t *seen)
{
    bool escaped = false;
    const char *quoted = f->tidy.text + at;
    size_t end = tl_json_tidy_string(&f->tidy, at, &escaped);
    size_t len = end - at;
    if (end == 0 || len > sizeof(tl_json_block)) {
        return 0;
    }
    size_t i = 0;
    while (i < count && !is_named(&parts[i], quoted, len)) {
        i++;
    }
    if (i == count || (*seen >> i & 1) != 0) {
        return 0;
    }
    *seen |= 1u << i;
    at = read_colon(f, end);
    return at == 0 ? 0 : read_text(f, at, parts[i].place, &values[i]);
}

static size_t read_parts(struct fast *f, size_t at, const struct member *parts, size_t count,
                         struct tl_str *values)
{
    const struct tl_json_tidy *tidy = &f->tidy;
    uint32_t seen = 0;
    memset(values, 0, PARTS_MAX * sizeof(*values));
    if (tidy->text[at] != '{') {
        return 0;
    }
    at = tl_json_tidy_space(tidy, at + 1);
    if (tidy->text[at] == '}') {
        return at + 1;
    }
    for (;;) {
        at = read_part(f, at, parts, count, values, &seen);
        if (at == 0) {
            return 0;
        }
        at = tl_json_tidy_space(tidy, at);
        if (tidy->text[at] != ',') {
            return tidy->text[at] == '}' ? at + 1 : 0;
        }
        at = tl_json_tidy_space(tidy, at + 1);
    }
}

/* Puts an object of texts where canonical text goes, or nothing if all are absent. */
static bool put_parts(struct fast *f, const struct member *parts, size_t count,
                      struct tl_str *values)
{
    char *to = f->tidy.to;
    char before = '{';
    for (size_t i = 0; i < count; i++) {
        if (values[i].len == 0) {
            continue;
        }
        *to++ = before;
        memcpy(to, parts[i].label, sizeof(tl_json_block));
        to += parts[i].label_len;
        const char *text = values[i].text;
        values[i].text = to;
        to = tl_json_tidy_copy(to, text, values[i].len);
        before = ',';
    }
    if (before == '{') {
        return false;
    }
    *to++ = '}';
    f->tidy.to = to;
    return true;
}

static size_t read_group(struct fast *f, size_t at, const struct member *parts, size_t count,
                         struct tl_str *value)
{
    struct tl_str values[PARTS_MAX];
    size_t end = read_parts(f, at, parts, count, values);
    if (end == 0) {
        return read_null(f, at);
    }
    const char *start = f->tidy.to;
    if (put_parts(f, parts, count, values)) {
        *value = (struct tl_str){ .text = start, .len = (size_t)(f->tidy.to - start) };
    }
    if (parts == source_parts) {
        f->service = values[PART_SERVICE];
    }
    return end;
}

/* A text as the source is the service's name. */
static size_t read_source(struct fast *f, size_t at, struct tl_str *value)
{
    if (f->tidy.text[at] != '"') {
        return read_group(f, at, source_parts, TL_ARRAY_LEN(source_parts), value);
    }
    struct tl_str values[PARTS_MAX] = { 0 };
    size_t end = read_text(f, at, TL_PLACE_SERVICE, &values[PART_SERVICE]);
    const char *start = f->tidy.to;
    if (end != 0 && put_parts(f, source_parts, TL_ARRAY_LEN(source_parts), values)) {
        *value = (struct tl_str){ .text = start, .len = (size_t)(f->tidy.to - start) };
        f->service = values[PART_SERVICE];
    }
    return end;
}

/* ---- arrays ---- */

/* Ends an array if text[at] does, else steps to the next element; *more_out says which. */
static size_t next_element(const struct fast *f, size_t at, bool *more_out)
{
    at = tl_json_tidy_space(&f->tidy, at);
    *more_out = f->tidy.text[at] == ',';
    if (*more_out) {
        return tl_json_tidy_space(&f->tidy, at + 1);
    }
    return f->tidy.text[at] == ']' ? at + 1 : 0;
}

/* Closes the array that was begun at `start`, whose elements each have a comma before them. */
static void put_array(struct fast *f, char *start, char *end, struct tl_str *value)
{
    if (end == start) {
        return;
    }
    *start = '[';
    *end++ = ']';
    *value = (struct tl_str){ .text = start, .len = (size_t)(end - start) };
    f->tidy.to = end;
}

/* Reads a target and puts it, with a comma before it, where canonical text goes; nothing of an empty
 * one. */
static size_t read_target(struct fast *f, size_t at)
{
    struct tl_str values[PARTS_MAX];
    size_t end = read_parts(f, at, target_parts, TL_ARRAY_LEN(target_parts), values);
    if (end == 0) {
        return 0;
    }
    *f->tidy.to++ = ',';
    if (!put_parts(f, target_parts, TL_ARRAY_LEN(target_parts), values)) {
        f->tidy.to--;
    } else if (!f->has_target) {
        f->has_target = true;
        f->target_id = values[PART_TARGET_ID];
        f->target_type = values[PART_TARGET_TYPE];
    }
    return end;
}

static size_t read_targets(struct fast *f, size_t at, struct tl_str *value)
{
    char *start = f->tidy.to;
    bool more = true;
    if (f->tidy.text[at] != '[') {
        return read_null(f, at);
    }
    at = tl_json_tidy_space(&f->tidy, at + 1);
    if (f->tidy.text[at] == ']') {
        return at + 1;
    }
    for (uint32_t count = 0; more; count++) {
        at = count == TL_TARGETS_MAX ? 0 : read_target(f, at);
        at = at == 0 ? 0 : next_element(f, at, &more);
        if (at == 0) {
            return 0;
        }
    }
    put_array(f, start, f->tidy.to, value);
    return at;
}

static bool is_new_tag(const struct tl_str *tags, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (tl_str_equal(tags[i], tags[count])) {
            return false;
        }
    }
    return true;
}

static size_t read_tags(struct fast *f, size_t at, struct tl_str *value)
{
    struct tl_str tags[TL_TAGS_MAX];
    char *start = f->tidy.to;
    char *to = start;
    bool more = true;
    bool escaped = false;
    if (f->tidy.text[at] != '[') {
        return read_null(f, at);
    }
    at = tl_json_tidy_space(&f->tidy, at + 1);
    if (f->tidy.text[at] == ']') {
        return at + 1;
    }
    for (uint32_t count = 0; more && at != 0; count++) {
        size_t end = tl_json_tidy_string(&f->tidy, at, &escaped);
        size_t len = end - at;
        if (end == 0 || len < 3 || len > TAG_BYTES_MAX + 2 || count == TL_TAGS_MAX) {
            return 0;
        }
        tags[count] = (struct tl_str){ .text = f->tidy.text + at, .len = len };
        if (!is_new_tag(tags, count)) {
            return 0;
        }
        *to++ = ',';
        to = tl_json_tidy_copy(to, tags[count].text, len);
        at = next_element(f, end, &more);
    }
    put_array(f, start, to, value);
    return at;
}

/* ---- the whole ---- */

static size_t read_free(struct fast *f, size_t at, struct tl_str *value)
{
    const char *start = f->tidy.to;
    if (f->tidy.text[at] != '{') {
        return read_null(f, at);
    }
    size_t end = tl_json_tidy_value(&f->tidy, at, 1);
    size_t len = (size_t)(f->tidy.to - start);
    if (len > 2) { /* one that is empty counts as absent */
        *value = (struct tl_str){ .text = start, .len = len };
    }
    return end;
}

static size_t read_by_kind(struct fast *f, size_t at, const struct member *member,
                           struct tl_str *value)
{
    switch ((enum kind)member->kind) {
    case KIND_TEXT:
        return read_text(f, at, member->place, value);
    case KIND_FREE:
        return read_free(f, at, value);
    case KIND_ACTOR:
        return read_group(f, at, actor_parts, TL_ARRAY_LEN(actor_parts), value);
    case KIND_SOURCE:
        return read_source(f, at, value);
    case KIND_TAGS:
        return read_tags(f, at, value);
    case KIND_TARGETS:
        return read_targets(f, at, value);
    }
    return 0;
}

static size_t read_member(struct fast *f, size_t at)
{
    bool escaped = false;
    size_t end = tl_json_tidy_string(&f->tidy, at, &escaped);
    size_t found = end == 0 ? TOP_COUNT : find_member(f->reader, f->tidy.text + at, end - at);
    if (found == TOP_COUNT || (f->seen >> found & 1) != 0) {
        return 0;
    }
    f->seen |= 1u << found;
    const struct member *member = &members[found];
    /* In its place: a copy of what was just written has to wait for it. */
    struct tl_str *value = &f->values[found];
    value->len = 0;
    at = read_colon(f, end);
    at = at == 0 ? 0 : read_by_kind(f, at, member, value);
    f->there |= (value->len > 0 ? 1u : 0u) << found;
    return at;
}

/* Reads all members; false if anything is not simple. */
static bool read_event(struct fast *f)
{
    const struct tl_json_tidy *tidy = &f->tidy;
    size_t at = tl_json_tidy_space(tidy, 0);
    if (tidy->text[at] != '{') {
        return false;
    }
    do {
        at = read_member(f, tl_json_tidy_space(tidy, at + 1));
        if (at == 0) {
            return false;
        }
        at = tl_json_tidy_space(tidy, at);
    } while (tidy->text[at] == ',');
    return tidy->text[at] == '}' && tl_json_tidy_space(tidy, at + 1) == tidy->len;
}

static bool has(const struct fast *f, enum top top)
{
    return (f->there >> top & 1) != 0;
}

static void set(struct fast *f, enum top top, struct tl_str value)
{
    f->values[top] = value;
    f->there |= 1u << top;
}

static void finish_time(struct fast *f, uint32_t *notes_out)
{
    if (has(f, TOP_OCCURRED_AT)) {
        return;
    }
    if (has(f, TOP_STARTED_AT)) {
        set(f, TOP_OCCURRED_AT, f->values[TOP_STARTED_AT]);
        f->occurred_us = f->started_us;
        return;
    }
    size_t len = tl_time_format(f->occurred_text + 1, f->input->now_us);
    tl_assert(len > 0);
    set(f, TOP_OCCURRED_AT, quoted(f->occurred_text, len));
    f->occurred_us = f->input->now_us;
    *notes_out |= TL_EVENT_TIME_GENERATED;
}

/* Fills in what is absent; false if the event is not simple after all. */
static bool finish(struct fast *f, uint32_t *notes_out)
{
    /* Of whole blocks, as all that is copied. */
    static const char success[16] = "\"success\"";
    static const char medium[16] = "\"medium\"";
    if (!has(f, TOP_ACTION) ||
        (has(f, TOP_STARTED_AT) && has(f, TOP_ENDED_AT) && f->ended_us < f->started_us)) {
        return false;
    }
    finish_time(f, notes_out);
    if (!has(f, TOP_OUTCOME)) {
        set(f, TOP_OUTCOME, (struct tl_str){ .text = success, .len = 9 });
    }
    if (!has(f, TOP_SEVERITY)) {
        set(f, TOP_SEVERITY, (struct tl_str){ .text = medium, .len = 8 });
    }
    if (!has(f, TOP_ID)) {
        tl_assert(f->input->random != NULL);
        tl_uuid_v7(f->id_text + 1, f->input->now_us, f->input->random);
        set(f, TOP_ID, quoted(f->id_text, TL_UUID_TEXT_SIZE - 1));
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
    return value.len == 0 ? (struct tl_str){ 0 }
                          : (struct tl_str){ .text = value.text + 1, .len = value.len - 2 };
}

static struct tl_str bare_top(const struct fast *f, enum top top)
{
    return has(f, top) ? bare(f->values[top]) : (struct tl_str){ 0 };
}

static bool has_escape(struct tl_str text)
{
    return text.len > 0 && memchr(text.text, '\\', text.len) != NULL;
}

/* Decides by the finished event; false if that is not simple: policies know texts as they are without
 * their escapes. */
static bool decide(const struct fast *f, struct tl_log_policy_decision *decision)
{
    struct tl_log_policy_facts facts = {
        .action = bare_top(f, TOP_ACTION),
        .severity = bare_top(f, TOP_SEVERITY),
        .tenant_id = bare_top(f, TOP_TENANT_ID),
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

static void apply(struct fast *f, const struct tl_log_policy_decision *decision)
{
    if (decision->severity.text != NULL) {
        tl_assert(decision->severity.len < TEXT_SIZE - 2);
        memcpy(f->severity_text + 1, decision->severity.text, decision->severity.len);
        set(f, TOP_SEVERITY, quoted(f->severity_text, decision->severity.len));
    }
    if (decision->level == TL_POLICY_METADATA) {
        f->there &=
            ~(1u << TOP_NEW_VALUES | 1u << TOP_OLD_VALUES | 1u << TOP_REQUEST | 1u << TOP_RESPONSE);
    }
}

/* ---- out ---- */

/* Writes the members that there are; each value is then where it was written. */
static size_t write_event(struct fast *f, char *to)
{
    const char *start = to;
    const char *source = has(f, TOP_SOURCE) ? f->values[TOP_SOURCE].text : NULL;
    for (uint32_t left = f->there; left != 0; left &= left - 1) {
        size_t i = (size_t)__builtin_ctz(left);
        struct tl_str *value = &f->values[i];
        *to = ',';
        memcpy(to + 1, members[i].label, 2 * sizeof(tl_json_block));
        to += 1 + members[i].label_len;
        const char *text = value->text;
        value->text = to;
        to = tl_json_tidy_copy(to, text, value->len);
    }
    if (f->service.len > 0) {
        f->service.text = f->values[TOP_SOURCE].text + (f->service.text - source);
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

static void note_spans(const struct fast *f, const char *event, struct tl_event_spans *spans)
{
    spans->id = span_of(event, bare_top(f, TOP_ID));
    spans->action = span_of(event, bare_top(f, TOP_ACTION));
    spans->severity = span_of(event, bare_top(f, TOP_SEVERITY));
    spans->tenant_id = span_of(event, bare_top(f, TOP_TENANT_ID));
    spans->service = span_of(event, bare(f->service));
    spans->occurred_at = span_of(event, bare_top(f, TOP_OCCURRED_AT));
    spans->occurred_us = f->occurred_us;
}

static void init(struct fast *f, const struct tl_event_reader *reader,
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
static tally_status put_event(struct fast *f, struct tl_event_reader *reader, struct tl_buf *out,
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
    struct fast f;
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
    bool read = read_event(&f);
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
