/* Members of simple events, under their own names. */
#include "base/bytes.h"
#include "model/event_fast.h"
#include "model/event_fast_parts.h"

#define TAG_BYTES_MAX 128u

enum kind {
    KIND_TEXT, /* of `place`, as below */
    KIND_FREE,
    KIND_ACTOR,
    KIND_SOURCE,
    KIND_TAGS,
    KIND_TARGETS,
};

/* clang-format off */
#define MEMBER(name, kind, place) { "\"" name "\":", sizeof("\"" name "\":") - 1, (kind), (place) }
/* clang-format on */

const struct tl_fast_member tl_fast_members[TL_TOP_COUNT] = {
    [TL_TOP_ACTION] = MEMBER("action", KIND_TEXT, TL_PLACE_ACTION),
    [TL_TOP_ACTOR] = MEMBER("actor", KIND_ACTOR, 0),
    [TL_TOP_CAUSATION_ID] = MEMBER("causation_id", KIND_TEXT, TL_PLACE_CAUSATION_ID),
    [TL_TOP_CORRELATION_ID] = MEMBER("correlation_id", KIND_TEXT, TL_PLACE_CORRELATION_ID),
    [TL_TOP_ENDED_AT] = MEMBER("ended_at", KIND_TEXT, TL_PLACE_ENDED_AT),
    [TL_TOP_ID] = MEMBER("id", KIND_TEXT, TL_PLACE_ID),
    [TL_TOP_METADATA] = MEMBER("metadata", KIND_FREE, 0),
    [TL_TOP_NEW_VALUES] = MEMBER("new_values", KIND_FREE, 0),
    [TL_TOP_OCCURRED_AT] = MEMBER("occurred_at", KIND_TEXT, TL_PLACE_OCCURRED_AT),
    [TL_TOP_OLD_VALUES] = MEMBER("old_values", KIND_FREE, 0),
    [TL_TOP_OUTCOME] = MEMBER("outcome", KIND_TEXT, TL_PLACE_OUTCOME),
    [TL_TOP_REASON] = MEMBER("reason", KIND_TEXT, TL_PLACE_REASON),
    [TL_TOP_REQUEST] = MEMBER("request", KIND_FREE, 0),
    [TL_TOP_REQUEST_ID] = MEMBER("request_id", KIND_TEXT, TL_PLACE_REQUEST_ID),
    [TL_TOP_RESPONSE] = MEMBER("response", KIND_FREE, 0),
    [TL_TOP_SESSION_ID] = MEMBER("session_id", KIND_TEXT, TL_PLACE_SESSION_ID),
    [TL_TOP_SEVERITY] = MEMBER("severity", KIND_TEXT, TL_PLACE_SEVERITY),
    [TL_TOP_SOURCE] = MEMBER("source", KIND_SOURCE, 0),
    [TL_TOP_SPAN_ID] = MEMBER("span_id", KIND_TEXT, TL_PLACE_SPAN_ID),
    [TL_TOP_STARTED_AT] = MEMBER("started_at", KIND_TEXT, TL_PLACE_STARTED_AT),
    [TL_TOP_TAGS] = MEMBER("tags", KIND_TAGS, 0),
    [TL_TOP_TARGETS] = MEMBER("targets", KIND_TARGETS, 0),
    [TL_TOP_TENANT_ID] = MEMBER("tenant_id", KIND_TEXT, TL_PLACE_TENANT_ID),
    [TL_TOP_TRACE_ID] = MEMBER("trace_id", KIND_TEXT, TL_PLACE_TRACE_ID),
    [TL_TOP_TRANSPORT] = MEMBER("transport", KIND_TEXT, TL_PLACE_TRANSPORT),
};

static const struct tl_fast_member actor_parts[] = {
    MEMBER("id", KIND_TEXT, TL_PLACE_ACTOR_ID),
    MEMBER("name", KIND_TEXT, TL_PLACE_ACTOR_NAME),
    MEMBER("type", KIND_TEXT, TL_PLACE_ACTOR_TYPE),
};
static const struct tl_fast_member source_parts[] = {
    MEMBER("host", KIND_TEXT, TL_PLACE_HOST),
    MEMBER("ip", KIND_TEXT, TL_PLACE_IP),
    MEMBER("service", KIND_TEXT, TL_PLACE_SERVICE),
    MEMBER("user_agent", KIND_TEXT, TL_PLACE_USER_AGENT),
};
static const struct tl_fast_member target_parts[] = {
    MEMBER("id", KIND_TEXT, TL_PLACE_TARGET_ID),
    MEMBER("name", KIND_TEXT, TL_PLACE_TARGET_NAME),
    MEMBER("type", KIND_TEXT, TL_PLACE_TARGET_TYPE),
};
#define PARTS_MAX        4u
#define PART_SERVICE     2u
#define PART_TARGET_ID   0u
#define PART_TARGET_TYPE 2u

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
    for (size_t i = 0; i < TL_TOP_COUNT; i++) {
        size_t slot = slot_of(tl_fast_members[i].label + 1, tl_fast_members[i].label_len - 3u);
        tl_assert(reader->slots[slot] == 0);
        reader->slots[slot] = (uint8_t)(i + 1);
    }
}

/* Whether the label of `member` begins as the `len` bytes of a name and its quotes do. */
static inline bool is_named(const struct tl_fast_member *member, const char *quoted, size_t len)
{
    tl_json_block same = (tl_json_block)(tl_json_load(member->label) == tl_json_load(quoted));
    uint32_t wanted = (1u << len) - 1;
    return len + 1 == member->label_len && (tl_json_bits(same) & wanted) == wanted;
}

/* Returns the member called so, or TL_TOP_COUNT. Names are given with their quotes. */
static size_t find_member(const struct tl_event_reader *reader, const char *quoted, size_t len)
{
    _Static_assert(sizeof("\"correlation_id\"") - 1 == sizeof(tl_json_block), "as long as any");
    if (len < 4 || len > sizeof(tl_json_block)) {
        return TL_TOP_COUNT;
    }
    size_t found = reader->slots[slot_of(quoted + 1, len - 2)];
    return found != 0 && is_named(&tl_fast_members[found - 1], quoted, len) ? found - 1
                                                                            : TL_TOP_COUNT;
}

/* ---- texts ---- */

/* Below, functions return the byte after what they read, or 0 if it is not simple. */

static size_t read_null(const struct tl_fast *f, size_t at)
{
    return memcmp(f->tidy.text + at, "null", 4) == 0 ? at + 4 : 0;
}

/* Reads a text; an empty one is absent. */
static inline size_t read_text(struct tl_fast *f, size_t at, uint8_t place, struct tl_str *value)
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
    return tl_fast_check_text(f, (enum tl_place)place, value) ? end : 0;
}

/* Reads the colon of a member, and the space around it. */
static size_t read_colon(const struct tl_fast *f, size_t at)
{
    at = tl_json_tidy_space(&f->tidy, at);
    return f->tidy.text[at] == ':' ? tl_json_tidy_space(&f->tidy, at + 1) : 0;
}

/* ---- objects of texts ---- */

static size_t read_part(struct tl_fast *f, size_t at, const struct tl_fast_member *parts,
                        size_t count, struct tl_str *values, uint32_t *seen)
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

static size_t read_parts(struct tl_fast *f, size_t at, const struct tl_fast_member *parts,
                         size_t count, struct tl_str *values)
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
static bool put_parts(struct tl_fast *f, const struct tl_fast_member *parts, size_t count,
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

static size_t read_group(struct tl_fast *f, size_t at, const struct tl_fast_member *parts,
                         size_t count, struct tl_str *value)
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
static size_t read_source(struct tl_fast *f, size_t at, struct tl_str *value)
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
static size_t next_element(const struct tl_fast *f, size_t at, bool *more_out)
{
    at = tl_json_tidy_space(&f->tidy, at);
    *more_out = f->tidy.text[at] == ',';
    if (*more_out) {
        return tl_json_tidy_space(&f->tidy, at + 1);
    }
    return f->tidy.text[at] == ']' ? at + 1 : 0;
}

/* Closes the array that was begun at `start`, whose elements each have a comma before them. */
static void put_array(struct tl_fast *f, char *start, char *end, struct tl_str *value)
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
static size_t read_target(struct tl_fast *f, size_t at)
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

static size_t read_targets(struct tl_fast *f, size_t at, struct tl_str *value)
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

static size_t read_tags(struct tl_fast *f, size_t at, struct tl_str *value)
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

static size_t read_free(struct tl_fast *f, size_t at, struct tl_str *value)
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

static size_t read_by_kind(struct tl_fast *f, size_t at, const struct tl_fast_member *member,
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

static size_t read_member(struct tl_fast *f, size_t at)
{
    bool escaped = false;
    size_t end = tl_json_tidy_string(&f->tidy, at, &escaped);
    size_t found = end == 0 ? TL_TOP_COUNT : find_member(f->reader, f->tidy.text + at, end - at);
    if (found == TL_TOP_COUNT || (f->seen >> found & 1) != 0) {
        return 0;
    }
    f->seen |= 1u << found;
    const struct tl_fast_member *member = &tl_fast_members[found];
    /* In its place: a copy of what was just written has to wait for it. */
    struct tl_str *value = &f->values[found];
    value->len = 0;
    at = read_colon(f, end);
    at = at == 0 ? 0 : read_by_kind(f, at, member, value);
    f->there |= (value->len > 0 ? 1u : 0u) << found;
    return at;
}

bool tl_fast_read(struct tl_fast *f)
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
