/* Events being built: their life, their members, tags and targets, and what fails meanwhile. */
#include "model/builder.h"

#include "base/bytes.h"
#include "base/limits.h"
#include "codec/json_scan.h"
#include "codec/time.h"
#include "codec/utf8.h"
#include "codec/uuid.h"
#include "model/event_draft.h"

/* A tree takes some hundred bytes for each short value: an event that needs more is too large. */
#define ARENA_BYTES_MAX (16 * TL_EVENT_BYTES_MAX)

/* What is kept from one event to the next, beyond which it starts anew. */
#define KEPT_BYTES_MAX ((size_t)256 << 10)

#define REPLACEMENT     "\xEF\xBF\xBD" /* U+FFFD */
#define REPLACEMENT_LEN 3u

/* ---- life ---- */

static void init_tree(struct tally_event *event, size_t name)
{
    struct tl_builder_tree *tree = &event->trees[name];
    enum tl_json_type type = name < TL_BUILDER_TAGS ? TL_JSON_OBJECT : TL_JSON_ARRAY;
    tree->root = (struct tl_json){ .type = type };
    tree->depth = 0;
    tree->levels[0] = (struct tl_builder_level){ .node = &tree->root };
}

tally_status tally_event_new(struct tally_event **event_out, struct tally_error *err)
{
    struct tally_event *event = tl_alloc_array(1, sizeof(*event));
    if (event == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate an event");
    }
    tl_arena_init(&event->arena, ARENA_BYTES_MAX);
    tl_buf_init(&event->text, TL_EVENT_BYTES_MAX);
    for (size_t name = 0; name < TL_BUILDER_TREES; name++) {
        init_tree(event, name);
    }
    *event_out = event;
    return TALLY_OK;
}

void tally_event_free(struct tally_event *event)
{
    if (event != NULL) {
        tl_arena_release(&event->arena);
        tl_buf_release(&event->text);
        tl_free(event);
    }
}

void tally_event_clear(struct tally_event *event)
{
    if (event == NULL) {
        return;
    }
    if (event->arena.bytes > KEPT_BYTES_MAX) {
        tl_arena_release(&event->arena);
        tl_arena_init(&event->arena, ARENA_BYTES_MAX);
    }
    tl_arena_reset(&event->arena);
    if (event->text.capacity > KEPT_BYTES_MAX) {
        tl_buf_release(&event->text);
        tl_buf_init(&event->text, TL_EVENT_BYTES_MAX);
    }
    memset(event->members, 0, sizeof(event->members));
    for (size_t name = 0; name < TL_BUILDER_TREES; name++) {
        if (event->trees[name].root.count > 0) {
            init_tree(event, name);
        }
    }
    event->is_replaced = false;
    event->is_written = false;
    if (event->failure.status != TALLY_OK) {
        event->failure = (struct tally_error)TALLY_ERROR_INIT;
    }
}

/* ---- what every change needs ---- */

bool tl_builder_begin(struct tally_event *event)
{
    if (event == NULL || event->failure.status != TALLY_OK) {
        return false;
    }
    event->is_written = false;
    return true;
}

void tl_builder_fail_large(struct tally_event *event)
{
    (void)tl_fail_code(&event->failure, TALLY_ELIMIT, "too_large",
                       "the event has more than %zu bytes", TL_EVENT_BYTES_MAX);
}

void tl_builder_fail_memory(struct tally_event *event)
{
    if (event->arena.bytes > ARENA_BYTES_MAX / 2) {
        tl_builder_fail_large(event);
        return;
    }
    (void)tl_fail(&event->failure, TALLY_ENOMEM, "no memory for an event");
}

void *tl_builder_alloc(struct tally_event *event, size_t len)
{
    void *memory = tl_arena_alloc(&event->arena, len);
    if (memory == NULL) {
        tl_builder_fail_memory(event);
    }
    return memory;
}

/* Whether up to 16 bytes are all plain. Overlapping halves, put together in a register, are faster
 * than a block in memory that was written in pieces. */
static bool is_plain_short(const char *text, size_t len)
{
    typedef uint64_t two_words __attribute__((vector_size(sizeof(tl_json_block))));
    const uint64_t spaces = 0x2020202020202020u;
    two_words words = { spaces, spaces };
    if (len >= 8) {
        uint64_t halves[2];
        memcpy(&halves[0], text, 8);
        memcpy(&halves[1], text + len - 8, 8);
        words = (two_words){ halves[0], halves[1] };
    } else if (len >= 4) {
        uint32_t halves[2];
        memcpy(&halves[0], text, 4);
        memcpy(&halves[1], text + len - 4, 4);
        words[0] = (uint64_t)halves[1] << 32 | halves[0];
    } else if (len > 0) {
        words[0] = spaces << 24 | (uint64_t)(unsigned char)text[len - 1] << 16 |
                   (uint64_t)(unsigned char)text[len / 2] << 8 | (unsigned char)text[0];
    }
    return tl_json_bits(tl_json_not_plain((tl_json_block)words)) == 0;
}

/* How many bytes at the start are known to be ASCII that stands for itself. */
static size_t plain_len(struct tl_str text)
{
    if (text.len <= sizeof(tl_json_block)) {
        return is_plain_short(text.text, text.len) ? text.len : 0;
    }
    return tl_json_skip_plain(text.text, text.len, 0);
}

/* Whether text may stay as it is: UTF-8 without U+0000. The first `plain` bytes are known to be. */
static bool is_clean(struct tl_str text, size_t plain)
{
    size_t rest = text.len - plain;
    return rest == 0 || (tl_utf8_valid_len(text.text + plain, rest) == rest &&
                         memchr(text.text + plain, '\0', rest) == NULL);
}

/* Copies text to where there is room for U+FFFD in place of every byte; returns the length. */
static size_t copy_replacing(char *to, struct tl_str text)
{
    size_t len = 0;
    for (size_t at = 0; at < text.len;) {
        size_t used = tl_utf8_char_len(text.text + at, text.len - at);
        bool good = used > 0 && text.text[at] != '\0';
        memcpy(to + len, good ? text.text + at : REPLACEMENT, good ? used : REPLACEMENT_LEN);
        len += good ? used : REPLACEMENT_LEN;
        at += good ? used : 1;
    }
    return len;
}

/* Copies text to the memory that *slot has, or to more. */
static bool copy_to(struct tally_event *event, struct tl_builder_text *slot, struct tl_str text)
{
    if (text.len > TL_EVENT_BYTES_MAX) {
        tl_builder_fail_large(event);
        return false;
    }
    size_t plain = plain_len(text);
    bool clean = is_clean(text, plain);
    size_t need = clean ? text.len : text.len * REPLACEMENT_LEN;
    if (slot->text == NULL || slot->capacity < need) {
        /* Twice what it was, so that values which keep growing leave little behind. */
        size_t capacity = need > 2 * slot->capacity ? need : 2 * slot->capacity;
        char *memory = tl_builder_alloc(event, capacity);
        if (memory == NULL) {
            return false;
        }
        *slot = (struct tl_builder_text){ .text = memory, .capacity = capacity };
    }
    slot->is_plain = plain == text.len;
    if (!clean) {
        event->is_replaced = true;
        slot->len = copy_replacing(slot->text, text);
        return true;
    }
    if (text.len > 0) {
        memcpy(slot->text, text.text, text.len);
    }
    slot->len = text.len;
    return true;
}

bool tl_builder_copy(struct tally_event *event, struct tl_str text, struct tl_str *copy_out)
{
    struct tl_builder_text copy = { 0 };
    if (!copy_to(event, &copy, text)) {
        return false;
    }
    *copy_out = (struct tl_str){ .text = copy.text, .len = copy.len };
    return true;
}

/* ---- members ---- */

static void set_text(struct tally_event *event, enum tally_member member, struct tl_str text)
{
    if (!tl_builder_begin(event)) {
        return;
    }
    size_t index = (size_t)member - 1;
    if (index >= TL_BUILDER_MEMBERS) {
        (void)tl_refuse(&event->failure, "bad_member", "", "there is no member %d", (int)member);
        return;
    }
    if (text.len == 0) {
        event->members[index].len = 0;
        return;
    }
    (void)copy_to(event, &event->members[index], text); /* the event keeps a failure */
}

void tally_event_set(struct tally_event *event, enum tally_member member, const char *text)
{
    set_text(event, member, tl_str_of(text));
}

void tally_event_set_len(struct tally_event *event, enum tally_member member, const char *text,
                         size_t len)
{
    set_text(event, member, (struct tl_str){ .text = text, .len = text == NULL ? 0 : len });
}

void tally_event_set_time(struct tally_event *event, enum tally_member member, int64_t time_us)
{
    if (!tl_builder_begin(event)) {
        return;
    }
    char text[TL_TIME_SIZE];
    size_t len = tl_time_format(text, time_us);
    if (member != TALLY_OCCURRED_AT && member != TALLY_STARTED_AT && member != TALLY_ENDED_AT) {
        (void)tl_refuse(&event->failure, "bad_member", "", "member %d is no time", (int)member);
    } else if (len == 0) {
        (void)tl_refuse(&event->failure, "bad_time", "", "the year is not one of 0001 to 9999");
    } else {
        set_text(event, member, (struct tl_str){ .text = text, .len = len });
    }
}

void tally_event_set_uuid(struct tally_event *event, enum tally_member member,
                          const uint8_t uuid[16])
{
    char text[TL_UUID_TEXT_SIZE] = "";
    if (uuid != NULL && member == TALLY_TRACE_ID) {
        tl_hex_encode(text, uuid, TL_UUID_LEN);
    } else if (uuid != NULL) {
        tl_uuid_format(text, uuid);
    }
    set_text(event, member, tl_str_of(text));
}

/* ---- trees ---- */

void tl_builder_point(struct tally_event *event, enum tl_builder_tree_name name, struct tl_str key)
{
    static const char *const names[] = { "metadata", "old_values", "new_values", "request",
                                         "response", "tags",       "targets" };
    const struct tl_builder_tree *tree = &event->trees[name];
    char *pointer = event->failure.pointer;
    const size_t size = sizeof(event->failure.pointer);
    size_t len = tl_pointer_add(pointer, 0, size, tl_str_of(names[name]));
    for (uint32_t i = 1; i <= tree->depth; i++) {
        struct tl_buf index;
        char digits[16];
        tl_buf_init_fixed(&index, digits, sizeof(digits));
        tl_buf_add_u64(&index, tree->levels[i - 1].node->count - 1);
        struct tl_str own = tree->levels[i].node->key;
        len = tl_pointer_add(pointer, len, size, own.text == NULL ? tl_buf_str(&index) : own);
    }
    if (key.text != NULL) {
        len = tl_pointer_add(pointer, len, size, key);
    }
    pointer[len] = '\0';
}

/* Refuses what was to be added as `key` to what is open. */
static void refuse_at(struct tally_event *event, enum tl_builder_tree_name name, struct tl_str key,
                      const char *code, const char *message)
{
    (void)tl_refuse(&event->failure, code, "", "%s", message);
    tl_builder_point(event, name, key);
}

/* Finds the place of a member among those of an object; NULL if its name is there already. */
static struct tl_json **find_place(const struct tl_builder_level *level, struct tl_str key)
{
    if (level->last != NULL && tl_json_compare_names(level->last->key, key) < 0) {
        return &level->last->next;
    }
    struct tl_json **link = &level->node->first;
    for (; *link != NULL; link = &(*link)->next) {
        int order = tl_json_compare_names((*link)->key, key);
        if (order >= 0) {
            return order == 0 ? NULL : link;
        }
    }
    return link;
}

static uint32_t children_max(enum tl_builder_tree_name name, enum tl_json_type type)
{
    if (type == TL_JSON_OBJECT) {
        return TL_EVENT_MEMBERS_MAX;
    }
    return name == TL_BUILDER_TAGS      ? TL_TAGS_MAX
           : name == TL_BUILDER_TARGETS ? TL_TARGETS_MAX
                                        : TL_EVENT_ELEMENTS_MAX;
}

struct tl_json *tl_builder_add(struct tally_event *event, enum tl_builder_tree_name name,
                               struct tl_str key, enum tl_json_type type)
{
    struct tl_builder_tree *tree = &event->trees[name];
    struct tl_builder_level *level = &tree->levels[tree->depth];
    bool is_object = level->node->type == TL_JSON_OBJECT;
    if (is_object != (key.text != NULL)) {
        refuse_at(event, name, key, "bad_name",
                  is_object ? "a member without a name" : "an element with a name");
        return NULL;
    }
    if (level->node->count >= children_max(name, level->node->type)) {
        refuse_at(event, name, key, "too_many", "more members or elements than the limit");
        return NULL;
    }
    struct tl_json *node = tl_builder_alloc(event, sizeof(*node));
    if (node == NULL) {
        return NULL;
    }
    *node = (struct tl_json){ .type = type };
    if (is_object && !tl_builder_copy(event, key, &node->key)) {
        return NULL;
    }
    struct tl_json **link = is_object             ? find_place(level, node->key)
                            : level->last == NULL ? &level->node->first
                                                  : &level->last->next;
    if (link == NULL) {
        refuse_at(event, name, node->key, "duplicate_name", "the name is there already");
        return NULL;
    }
    node->next = *link;
    *link = node;
    level->last = node->next == NULL ? node : level->last;
    level->node->count++;
    return node;
}

/* ---- tags and targets ---- */

void tally_event_add_tag(struct tally_event *event, const char *tag)
{
    if (!tl_builder_begin(event) || tag == NULL || tag[0] == '\0') {
        return;
    }
    struct tl_str text = { 0 };
    if (!tl_builder_copy(event, tl_str_of(tag), &text)) {
        return;
    }
    const struct tl_json *other = event->trees[TL_BUILDER_TAGS].root.first;
    while (other != NULL && !tl_str_equal(other->text, text)) {
        other = other->next;
    }
    if (other != NULL) {
        return; /* it has that tag */
    }
    struct tl_json *node =
        tl_builder_add(event, TL_BUILDER_TAGS, (struct tl_str){ 0 }, TL_JSON_STRING);
    if (node != NULL) {
        node->text = text;
    }
}

static void add_part(struct tally_event *event, struct tl_str key, const char *text)
{
    if (text == NULL || text[0] == '\0' || !tl_builder_begin(event)) {
        return;
    }
    struct tl_json *node = tl_builder_add(event, TL_BUILDER_TARGETS, key, TL_JSON_STRING);
    if (node != NULL) {
        (void)tl_builder_copy(event, tl_str_of(text), &node->text); /* the event keeps a failure */
    }
}

void tally_event_add_target(struct tally_event *event, const char *type, const char *id,
                            const char *name)
{
    bool has_part = (type != NULL && type[0] != '\0') || (id != NULL && id[0] != '\0') ||
                    (name != NULL && name[0] != '\0');
    if (!tl_builder_begin(event) || !has_part) {
        return;
    }
    struct tl_json *target =
        tl_builder_add(event, TL_BUILDER_TARGETS, (struct tl_str){ 0 }, TL_JSON_OBJECT);
    if (target == NULL) {
        return;
    }
    struct tl_builder_tree *tree = &event->trees[TL_BUILDER_TARGETS];
    tree->levels[++tree->depth] = (struct tl_builder_level){ .node = target };
    add_part(event, TL_STR("id"), id);
    add_part(event, TL_STR("name"), name);
    add_part(event, TL_STR("type"), type);
    tree->depth--;
}

/* ---- text ---- */

tally_status tally_event_text(struct tally_event *event, const char **text_out, size_t *len_out,
                              struct tally_error *err)
{
    if (event == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "there is no event: it could not be allocated");
    }
    if (event->failure.status == TALLY_OK && !event->is_written) {
        tally_status status = tl_builder_write(event);
        if (status == TALLY_ENOMEM) {
            return tl_fail(err, TALLY_ENOMEM, "no memory for the text of an event");
        }
        if (status != TALLY_OK) {
            tl_builder_fail_large(event);
        }
        event->is_written = status == TALLY_OK;
    }
    if (event->failure.status != TALLY_OK) {
        if (err != NULL && err->status == TALLY_OK) {
            *err = event->failure;
        }
        return event->failure.status;
    }
    *text_out = event->text.data;
    *len_out = event->text.len;
    return TALLY_OK;
}
