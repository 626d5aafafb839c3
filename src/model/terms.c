#include "model/terms.h"

#include "base/bytes.h"
#include "codec/json.h"

#define SEPARATOR '\x1f'

/* Longer values are hashed: what is longer is seldom asked for, and would swell the index. */
#define VALUE_MAX 128u

#define VIEW(name, member)                                                   \
    {                                                                        \
        { (name), sizeof(name) - 1 }, offsetof(struct tl_event_view, member) \
    }

/* A string member of a view, by its path in the event. */
struct path {
    struct tl_str name;
    size_t offset;
};

static const struct path single_fields[TL_FIELD_SINGLE_COUNT] = {
    [TL_FIELD_ACTION] = VIEW("action", action),
    [TL_FIELD_ACTOR_ID] = VIEW("actor_id", actor_id),
    [TL_FIELD_ACTOR_NAME] = VIEW("actor_name", actor_name),
    [TL_FIELD_ACTOR_TYPE] = VIEW("actor_type", actor_type),
    [TL_FIELD_CAUSATION_ID] = VIEW("causation_id", causation_id),
    [TL_FIELD_CORRELATION_ID] = VIEW("correlation_id", correlation_id),
    [TL_FIELD_HOST] = VIEW("host", host),
    [TL_FIELD_ID] = VIEW("id", id),
    [TL_FIELD_IP] = VIEW("ip", ip),
    [TL_FIELD_OUTCOME] = VIEW("outcome", outcome),
    [TL_FIELD_REQUEST_ID] = VIEW("request_id", request_id),
    [TL_FIELD_SERVICE] = VIEW("service", service),
    [TL_FIELD_SESSION_ID] = VIEW("session_id", session_id),
    [TL_FIELD_SEVERITY] = VIEW("severity", severity),
    [TL_FIELD_SPAN_ID] = VIEW("span_id", span_id),
    [TL_FIELD_TENANT_ID] = VIEW("tenant_id", tenant_id),
    [TL_FIELD_TRACE_ID] = VIEW("trace_id", trace_id),
    [TL_FIELD_TRANSPORT] = VIEW("transport", transport),
};

static const struct {
    const char *name;
    enum tl_field field;
} other_names[] = {
    { "tag", TL_FIELD_TAG },
    { "target_id", TL_FIELD_TARGET_ID },
    { "target_type", TL_FIELD_TARGET_TYPE },
    { "kind", TL_FIELD_KIND },
    { "state", TL_FIELD_STATE },
    { "severity_min", TL_FIELD_SEVERITY_MIN },
    { "text", TL_FIELD_TEXT },
    { "from", TL_FIELD_FROM },
    { "to", TL_FIELD_TO },
    { "until", TL_FIELD_UNTIL },
    { "recorded_from", TL_FIELD_RECORDED_FROM },
    { "recorded_to", TL_FIELD_RECORDED_TO },
    { "seq_from", TL_FIELD_SEQ_FROM },
    { "seq_to", TL_FIELD_SEQ_TO },
    /* Aliases. */
    { "user_id", TL_FIELD_ACTOR_ID },
    { "changed_by", TL_FIELD_ACTOR_ID },
    { "resource_type", TL_FIELD_TARGET_TYPE },
    { "table_name", TL_FIELD_TARGET_TYPE },
    { "doctype", TL_FIELD_TARGET_TYPE },
    { "doctype_name", TL_FIELD_TARGET_TYPE },
    { "resource_id", TL_FIELD_TARGET_ID },
    { "entity_id", TL_FIELD_TARGET_ID },
    { "document_id", TL_FIELD_TARGET_ID },
    { "source", TL_FIELD_SERVICE },
    { "since", TL_FIELD_FROM },
    { "start_date", TL_FIELD_FROM },
    { "from_timestamp", TL_FIELD_FROM },
    { "end_date", TL_FIELD_TO },
    { "to_timestamp", TL_FIELD_TO },
};

enum tl_field tl_field_find(struct tl_str name)
{
    for (unsigned i = 0; i < TL_FIELD_SINGLE_COUNT; i++) {
        if (tl_str_equal(single_fields[i].name, name)) {
            return (enum tl_field)i;
        }
    }
    for (size_t i = 0; i < TL_ARRAY_LEN(other_names); i++) {
        if (tl_str_is(name, other_names[i].name)) {
            return other_names[i].field;
        }
    }
    return TL_FIELD_COUNT;
}

const char *tl_field_name(enum tl_field field)
{
    if (field < TL_FIELD_SINGLE_COUNT) {
        return single_fields[field].name.text;
    }
    return other_names[field - TL_FIELD_SINGLE_COUNT].name;
}

static struct tl_str string_at(const struct tl_event_view *view, size_t offset)
{
    const void *at = (const char *)view + offset;
    return *(const struct tl_str *)at;
}

struct tl_str tl_field_string(const struct tl_event_view *view, enum tl_field field)
{
    tl_assert(field < TL_FIELD_SINGLE_COUNT);
    return string_at(view, single_fields[field].offset);
}

struct tl_str tl_view_field(const struct tl_event_view *view, const char *field, bool *known)
{
    enum tl_field found = tl_field_find(tl_str_of(field));
    *known = found < TL_FIELD_SINGLE_COUNT;
    return *known && view != NULL ? tl_field_string(view, found) : (struct tl_str){ 0 };
}

bool tl_view_is_own(const struct tl_event_view *view)
{
    return tl_str_starts(view->action, TL_STR("tally."));
}

/* FNV-1a: it need not resist anybody, because whatever a term names is checked. */
static uint64_t hash_of(struct tl_str value)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < value.len; i++) {
        hash = (hash ^ (unsigned char)value.text[i]) * UINT64_C(0x100000001b3);
    }
    return hash;
}

static bool is_plain(struct tl_str value)
{
    if (value.len > VALUE_MAX) {
        return false;
    }
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.text[i];
        if (c < 0x20 || c == 0x7f) {
            return false;
        }
    }
    return true;
}

/* Terms begin with a byte for what they are about: a letter for each field, and these. */
#define PREFIX_OF_ACTION 'A'
#define PAIR             'P'
#define ONE_TARGET       'O'

static void add_hash(struct tl_buf *out, uint64_t hash)
{
    uint8_t bytes[8];
    char hex[17];
    tl_put_be64(bytes, hash);
    tl_hex_encode(hex, bytes, sizeof(bytes));
    tl_buf_add_char(out, '#');
    tl_buf_add(out, hex, 16);
}

/*
 * Values that differ in nearly every record and look random. They make up much of an index, though
 * little is ever asked of them, and little comes of it: four bytes of hash say which records to look
 * at, and one in billions is looked at in vain.
 */
static bool is_hashed(enum tl_field field)
{
    return field == TL_FIELD_CAUSATION_ID || field == TL_FIELD_CORRELATION_ID ||
           field == TL_FIELD_REQUEST_ID || field == TL_FIELD_SESSION_ID ||
           field == TL_FIELD_SPAN_ID || field == TL_FIELD_TRACE_ID;
}

static void add_short_hash(struct tl_buf *out, uint64_t hash)
{
    char bytes[4];
    for (size_t i = 0; i < sizeof(bytes); i++, hash >>= 8) {
        bytes[i] = (char)(hash ^ hash >> 32);
        if (bytes[i] == SEPARATOR) {
            bytes[i]--;
        }
    }
    tl_buf_add(out, bytes, sizeof(bytes));
}

static bool write_value(struct tl_buf *out, char about, struct tl_str value)
{
    tl_buf_add_char(out, about);
    if (!is_plain(value)) {
        add_hash(out, hash_of(value));
        return false;
    }
    tl_buf_add_str(out, value);
    return value.len == 0 || value.text[0] != '#'; /* which might be taken for a hash */
}

bool tl_term_write(struct tl_buf *out, enum tl_field field, struct tl_str value)
{
    char about = (char)('a' + (int)field);
    if (!is_hashed(field)) {
        return write_value(out, about, value);
    }
    tl_buf_add_char(out, about);
    add_short_hash(out, hash_of(value));
    return false;
}

bool tl_term_write_prefix(struct tl_buf *out, struct tl_str prefix)
{
    return write_value(out, PREFIX_OF_ACTION, prefix);
}

void tl_term_write_one_target(struct tl_buf *out)
{
    tl_buf_add_char(out, ONE_TARGET);
}

bool tl_term_write_pair(struct tl_buf *out, struct tl_str type, struct tl_str id)
{
    tl_buf_add_char(out, PAIR);
    if (!is_plain(type) || !is_plain(id)) {
        add_hash(out, hash_of(type) * 31 + hash_of(id));
        return false;
    }
    /* The length tells where the type ends, whatever is in it. */
    tl_buf_add_u64(out, type.len);
    tl_buf_add_char(out, ':');
    tl_buf_add_str(out, type);
    tl_buf_add_char(out, '/');
    tl_buf_add_str(out, id);
    return true;
}

bool tl_term_write_word(struct tl_buf *out, struct tl_str word)
{
    if (word.len > VALUE_MAX) {
        tl_buf_add_char(out, 'a' + TL_FIELD_TEXT); /* such words are not told apart */
        tl_buf_add_char(out, '#');
        return false;
    }
    char lower[VALUE_MAX];
    for (size_t i = 0; i < word.len; i++) {
        lower[i] = tl_fold(word.text[i]);
    }
    return tl_term_write(out, TL_FIELD_TEXT, (struct tl_str){ .text = lower, .len = word.len });
}

/* Distinct terms: where each begins in the buffer, by hash. Small sets need no memory of their own. */
#define SET_SMALL 128u

struct set {
    struct tl_buf *out;
    uint32_t *slots; /* offset + 1; 0: free */
    size_t slot_count;
    size_t count;
    uint32_t *owned;
    uint32_t small[SET_SMALL];
};

static struct tl_str term_at(const struct tl_buf *out, size_t offset)
{
    const char *text = out->data + offset;
    const char *end = memchr(text, SEPARATOR, out->len - offset);
    return (struct tl_str){ .text = text,
                            .len = end == NULL ? out->len - offset : (size_t)(end - text) };
}

static bool insert(struct set *set, size_t offset)
{
    struct tl_str term = term_at(set->out, offset);
    size_t slot = (size_t)hash_of(term) & (set->slot_count - 1);
    while (set->slots[slot] != 0) {
        if (tl_str_equal(term_at(set->out, set->slots[slot] - 1), term)) {
            return false;
        }
        slot = (slot + 1) & (set->slot_count - 1);
    }
    set->slots[slot] = (uint32_t)(offset + 1);
    set->count++;
    return true;
}

static bool grow(struct set *set)
{
    uint32_t *old = set->slots;
    size_t old_count = set->slot_count;
    uint32_t *slots = tl_alloc_array(old_count * 4, sizeof(*slots));
    if (slots == NULL) {
        return false;
    }
    set->slots = slots;
    set->slot_count = old_count * 4;
    set->count = 0;
    for (size_t i = 0; i < old_count; i++) {
        if (old[i] != 0) {
            (void)insert(set, old[i] - 1);
        }
    }
    tl_free(set->owned);
    set->owned = slots;
    return true;
}

/* Starts a term; a separator goes before all but the first. */
static size_t begin(struct tl_buf *out)
{
    if (out->len > 0) {
        tl_buf_add_char(out, SEPARATOR);
    }
    return out->len;
}

/* Ends the term that began at `offset`, and takes it back if it was there before. */
static void keep_distinct(struct set *set, size_t offset)
{
    struct tl_buf *out = set->out;
    if (out->status != TALLY_OK) {
        return;
    }
    if (set->count * 2 >= set->slot_count && !grow(set)) {
        out->status = TALLY_ENOMEM;
        return;
    }
    if (!insert(set, offset)) {
        out->len = offset > 0 ? offset - 1 : 0;
    }
}

static void add_field(struct tl_buf *out, enum tl_field field, struct tl_str value)
{
    if (value.len > 0) {
        (void)begin(out);
        (void)tl_term_write(out, field, value);
    }
}

static void add_distinct(struct set *set, enum tl_field field, struct tl_str value)
{
    if (value.len > 0) {
        size_t offset = begin(set->out);
        (void)tl_term_write(set->out, field, value);
        keep_distinct(set, offset);
    }
}

static void add_action_prefixes(struct tl_buf *out, struct tl_str action)
{
    for (size_t i = 0; i < action.len; i++) {
        char c = action.text[i];
        if (c == '.' || c == ':' || c == '/') {
            (void)begin(out);
            (void)tl_term_write_prefix(out, (struct tl_str){ .text = action.text, .len = i + 1 });
        }
    }
}

/* What has one target needs no pairs: its type and its id belong together. */
static void add_targets(struct set *set, const struct tl_event_view *view)
{
    if (view->target_count == 1) {
        (void)begin(set->out);
        tl_term_write_one_target(set->out);
    }
    for (uint32_t i = 0; i < view->target_count; i++) {
        const struct tl_target_view *target = &view->targets[i];
        add_distinct(set, TL_FIELD_TARGET_TYPE, target->type);
        add_distinct(set, TL_FIELD_TARGET_ID, target->id);
        if (view->target_count > 1 && target->type.len > 0 && target->id.len > 0) {
            size_t offset = begin(set->out);
            (void)tl_term_write_pair(set->out, target->type, target->id);
            keep_distinct(set, offset);
        }
    }
}

static void add_word(void *ctx, struct tl_str word)
{
    struct set *set = ctx;
    size_t offset = begin(set->out);
    (void)tl_term_write_word(set->out, word);
    keep_distinct(set, offset);
}

struct tl_str tl_term_state(struct tl_str state)
{
    return tl_str_is(state, "erased") ? TL_STR("purged") : state;
}

void tl_terms_add(struct tl_buf *out, const struct tl_record_facts *facts,
                  const struct tl_event_view *view, const struct tl_str *text_members,
                  size_t text_member_count)
{
    bool own = view != NULL && tl_str_is(facts->kind, "event") && tl_view_is_own(view);
    add_field(out, TL_FIELD_KIND, own ? TL_STR("own") : facts->kind);
    if (!tl_str_is(facts->state, "present")) {
        add_field(out, TL_FIELD_STATE, tl_term_state(facts->state)); /* the others are nearly all */
    }
    if (view == NULL) {
        return;
    }
    for (unsigned i = 0; i < TL_FIELD_SINGLE_COUNT; i++) {
        if (i != TL_FIELD_ID) { /* the store finds ids by itself */
            add_field(out, (enum tl_field)i, string_at(view, single_fields[i].offset));
        }
    }
    add_action_prefixes(out, view->action);

    struct set set = { .out = out, .slot_count = SET_SMALL };
    set.slots = set.small;
    for (uint32_t i = 0; i < view->tag_count; i++) {
        add_distinct(&set, TL_FIELD_TAG, view->tags[i]);
    }
    add_targets(&set, view);
    tl_words_each(view, text_members, text_member_count, add_word, &set);
    tl_free(set.owned);
}
