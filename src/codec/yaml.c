#include "codec/yaml.h"

#include <stdio.h>
#include <yaml.h>

#include "base/limits.h"

/* A key that was met, by its dotted name. */
struct seen {
    const struct seen *next;
    struct tl_str key;
};

/* An element of a list that is still being read. */
struct element {
    struct element *next;
    struct tl_str text;
    struct tl_yaml_place place;
};

struct reader {
    yaml_parser_t parser;
    yaml_event_t event; /* the one at hand */
    struct tl_arena *arena;
    struct tl_str input;
    const struct seen *seen;
    size_t seen_count;
    const struct tl_yaml_item *first;
    struct tl_yaml_item *last;
    struct tally_error *err;
};

static void release_reader(struct reader *r)
{
    yaml_event_delete(&r->event);
    yaml_parser_delete(&r->parser);
}

static tally_status fail_at(struct reader *r, tally_status status, size_t line, size_t column,
                            const char *what)
{
    return tl_fail(r->err, status, "line %zu, column %zu: %s", line + 1, column + 1, what);
}

/* Fails at the event at hand. */
static tally_status fail_here(struct reader *r, tally_status status, const char *what)
{
    return fail_at(r, status, r->event.start_mark.line, r->event.start_mark.column, what);
}

static tally_status refuse(struct reader *r, const char *what)
{
    return fail_here(r, TALLY_EINVAL, what);
}

static tally_status out_of_memory(struct reader *r)
{
    return tl_fail(r->err, TALLY_ENOMEM, "out of memory");
}

/* Turns what libyaml says into a status. Its texts are constants that quote nothing. */
static tally_status parser_failed(struct reader *r)
{
    const yaml_parser_t *p = &r->parser;
    if (p->error == YAML_MEMORY_ERROR) {
        return out_of_memory(r);
    }
    size_t line = p->problem_mark.line;
    size_t column = p->problem_mark.column;
    if (p->error == YAML_READER_ERROR) { /* bytes that are no characters; these have no mark */
        line = 0;
        column = 0;
        for (size_t i = 0; i < p->problem_offset && i < r->input.len; i++) {
            bool is_end = r->input.text[i] == '\n';
            line += is_end;
            column = is_end ? 0 : column + ((r->input.text[i] & 0xC0) != 0x80);
        }
    }
    return fail_at(r, TALLY_EINVAL, line, column, p->problem != NULL ? p->problem : "not YAML");
}

/* Reads the next event and refuses what no kind of event may have here. */
static tally_status next_event(struct reader *r)
{
    yaml_event_delete(&r->event);
    if (!yaml_parser_parse(&r->parser, &r->event)) {
        return parser_failed(r);
    }
    const yaml_char_t *anchor = NULL;
    const yaml_char_t *tag = NULL;
    if (r->event.type == YAML_SCALAR_EVENT) {
        anchor = r->event.data.scalar.anchor;
        tag = r->event.data.scalar.tag;
    } else if (r->event.type == YAML_MAPPING_START_EVENT) {
        anchor = r->event.data.mapping_start.anchor;
        tag = r->event.data.mapping_start.tag;
    } else if (r->event.type == YAML_SEQUENCE_START_EVENT) {
        anchor = r->event.data.sequence_start.anchor;
        tag = r->event.data.sequence_start.tag;
    }
    if (anchor != NULL || r->event.type == YAML_ALIAS_EVENT) {
        return refuse(r, "anchors and aliases are not supported");
    }
    return tag == NULL ? TALLY_OK : refuse(r, "tags are not supported");
}

static struct tl_str scalar_of(const struct reader *r)
{
    tl_assert(r->event.type == YAML_SCALAR_EVENT);
    return (struct tl_str){ .text = (const char *)r->event.data.scalar.value,
                            .len = r->event.data.scalar.length };
}

/* Copies the scalar at hand into the arena. */
static tally_status copy_scalar(struct reader *r, struct tl_str *out)
{
    struct tl_str scalar = scalar_of(r);
    if (scalar.len > 0 && memchr(scalar.text, '\0', scalar.len) != NULL) {
        return refuse(r, "a text may not hold the character NUL");
    }
    char *copy = tl_arena_alloc(r->arena, scalar.len + 1);
    if (copy == NULL) {
        return out_of_memory(r);
    }
    memcpy(copy, scalar.text, scalar.len);
    copy[scalar.len] = '\0';
    *out = (struct tl_str){ .text = copy, .len = scalar.len };
    return TALLY_OK;
}

static bool is_name(struct tl_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.text[i] < 0x20 || text.text[i] == 0x7F) {
            return false;
        }
    }
    return text.len > 0;
}

/* Where the event at hand begins. */
static struct tl_yaml_place place_of(const struct reader *r)
{
    return (struct tl_yaml_place){ .line = (uint32_t)r->event.start_mark.line + 1,
                                   .column = (uint32_t)r->event.start_mark.column + 1 };
}

/* Makes a dotted key of `name` below `parent`, and keeps it. */
static tally_status add_key(struct reader *r, struct tl_str parent, struct tl_str name,
                            struct tl_str *key_out)
{
    size_t start = parent.len == 0 ? 0 : parent.len + 1;
    struct seen *seen = tl_arena_alloc(r->arena, sizeof(*seen));
    char *key = tl_arena_alloc(r->arena, start + name.len + 1);
    if (seen == NULL || key == NULL) {
        return out_of_memory(r);
    }
    if (start > 0) {
        memcpy(key, parent.text, parent.len);
        key[parent.len] = '.';
    }
    memcpy(key + start, name.text, name.len);
    key[start + name.len] = '\0';
    *seen = (struct seen){ .next = r->seen, .key = { key, start + name.len } };
    for (const struct seen *other = r->seen; other != NULL; other = other->next) {
        if (tl_str_equal(other->key, seen->key)) {
            return refuse(r, "this key was given before");
        }
    }
    if (++r->seen_count > TL_YAML_KEYS_MAX) {
        return fail_here(r, TALLY_ELIMIT, "too many keys");
    }
    r->seen = seen;
    *key_out = seen->key;
    return TALLY_OK;
}

/*
 * Makes the dotted key of the scalar at hand below `parent`, and keeps it. Since dotted keys are
 * compared as a whole, `a.b: 1` repeats what `a: {b: 1}` says.
 */
static tally_status read_key(struct reader *r, struct tl_str parent, struct tl_str *key_out)
{
    if (r->event.type != YAML_SCALAR_EVENT || !is_name(scalar_of(r))) {
        return refuse(r, "a key must be text on one line");
    }
    return add_key(r, parent, scalar_of(r), key_out);
}

/* Reads up to the end of a list of texts, whose first element or end is at hand. */
static tally_status read_list(struct reader *r, struct tl_yaml_item *item)
{
    struct element *first = NULL;
    struct element **end = &first;
    while (r->event.type != YAML_SEQUENCE_END_EVENT) {
        if (r->event.type != YAML_SCALAR_EVENT) {
            return refuse(r, "the elements of a list must be texts, or all of them mappings");
        }
        struct element *element = tl_arena_alloc(r->arena, sizeof(*element));
        if (element == NULL) {
            return out_of_memory(r);
        }
        *element = (struct element){ .place = place_of(r) };
        TL_TRY(copy_scalar(r, &element->text));
        *end = element;
        end = &element->next;
        item->count++;
        TL_TRY(next_event(r));
    }
    struct tl_str *values = tl_arena_alloc(r->arena, (item->count + 1) * sizeof(*values));
    struct tl_yaml_place *places = tl_arena_alloc(r->arena, (item->count + 1) * sizeof(*places));
    if (values == NULL || places == NULL) {
        return out_of_memory(r);
    }
    item->values = values;
    item->places = places;
    for (const struct element *element = first; element != NULL; element = element->next) {
        *values++ = element->text;
        *places++ = element->place;
    }
    return TALLY_OK;
}

/* Reads the text at hand, or the list of texts whose first element or end it is, and appends it to
 * the items. */
static tally_status read_item(struct reader *r, struct tl_str key, struct tl_yaml_place place,
                              bool list)
{
    struct tl_yaml_item *item = tl_arena_alloc(r->arena, sizeof(*item));
    if (item == NULL) {
        return out_of_memory(r);
    }
    *item = (struct tl_yaml_item){ .key = key, .place = place };
    TL_TRY(list ? read_list(r, item) : copy_scalar(r, &item->value));
    if (r->last == NULL) {
        r->first = item;
    } else {
        r->last->next = item;
    }
    r->last = item;
    return TALLY_OK;
}

/* The mappings and lists of mappings that are open. */
struct level {
    struct tl_str key; /* dotted */
    bool list;
    size_t count; /* mappings met in the list */
};

struct path {
    struct level levels[TL_YAML_DEPTH_MAX];
    size_t depth;
};

static tally_status push(struct reader *r, struct path *path, struct tl_str key, bool list)
{
    if (++path->depth == TL_YAML_DEPTH_MAX) {
        return fail_here(r, TALLY_ELIMIT, "too many mappings inside each other");
    }
    path->levels[path->depth] = (struct level){ .key = key, .list = list };
    return TALLY_OK;
}

/* Opens the mapping at hand, the next one of a list. */
static tally_status read_element(struct reader *r, struct path *path)
{
    struct level *list = &path->levels[path->depth];
    if (r->event.type != YAML_MAPPING_START_EVENT) {
        return refuse(r, "the elements of a list must be texts, or all of them mappings");
    }
    char number[24];
    int len = snprintf(number, sizeof(number), "%zu", list->count++);
    struct tl_str key = { 0 };
    TL_TRY(add_key(r, list->key, (struct tl_str){ number, (size_t)len }, &key));
    return push(r, path, key, false);
}

/* Reads the key at hand and its value, or only the start of that, if there are mappings in it. */
static tally_status read_entry(struct reader *r, struct path *path)
{
    struct tl_str key = { 0 };
    TL_TRY(read_key(r, path->levels[path->depth].key, &key));
    TL_TRY(next_event(r));
    if (r->event.type == YAML_MAPPING_START_EVENT) {
        return push(r, path, key, false);
    }
    struct tl_yaml_place place = place_of(r);
    bool list = r->event.type == YAML_SEQUENCE_START_EVENT;
    if (list) {
        TL_TRY(next_event(r));
    }
    if (r->event.type == YAML_MAPPING_START_EVENT) {
        TL_TRY(push(r, path, key, true));
        return read_element(r, path);
    }
    return read_item(r, key, place, list);
}

/* Reads the mapping whose start is at hand, and all inside it, up to its end. */
static tally_status read_mapping(struct reader *r)
{
    struct path path = { .levels = { { .key = TL_STR("") } } };
    for (;;) {
        TL_TRY(next_event(r));
        if (r->event.type == YAML_MAPPING_END_EVENT || r->event.type == YAML_SEQUENCE_END_EVENT) {
            if (path.depth-- == 0) {
                return TALLY_OK;
            }
        } else if (path.levels[path.depth].list) {
            TL_TRY(read_element(r, &path));
        } else {
            TL_TRY(read_entry(r, &path));
        }
    }
}

static tally_status read_stream(struct reader *r)
{
    TL_TRY(next_event(r)); /* the start of the stream */
    TL_TRY(next_event(r));
    if (r->event.type == YAML_STREAM_END_EVENT) {
        return TALLY_OK; /* nothing but comments */
    }
    tl_assert(r->event.type == YAML_DOCUMENT_START_EVENT);
    if (r->event.data.document_start.version_directive != NULL ||
        r->event.data.document_start.tag_directives.start !=
            r->event.data.document_start.tag_directives.end) {
        return refuse(r, "directives are not supported");
    }
    TL_TRY(next_event(r));
    if (r->event.type != YAML_MAPPING_START_EVENT) {
        return refuse(r, "the file must hold keys and their values");
    }
    TL_TRY(read_mapping(r));
    TL_TRY(next_event(r)); /* the end of the document */
    TL_TRY(next_event(r));
    return r->event.type == YAML_STREAM_END_EVENT ? TALLY_OK
                                                  : refuse(r, "only one document is supported");
}

tally_status tl_yaml_read(struct tl_arena *arena, const char *text, size_t len,
                          const struct tl_yaml_item **first_out, struct tally_error *err)
{
    if (len > TL_CONFIG_BYTES_MAX) {
        return tl_fail(err, TALLY_ELIMIT, "more than %zu bytes", TL_CONFIG_BYTES_MAX);
    }
    if (tl_str_starts((struct tl_str){ .text = text, .len = len }, TL_STR("\xEF\xBB\xBF"))) {
        text += 3; /* a byte order mark, which would count as a column */
        len -= 3;
    }
    TL_CLEANUP(release_reader) struct reader reader = { .arena = arena, .err = err };
    reader.input = (struct tl_str){ .text = text, .len = len };
    if (!yaml_parser_initialize(&reader.parser)) {
        return out_of_memory(&reader);
    }
    /* Otherwise its first bytes could make it UTF-16. */
    yaml_parser_set_encoding(&reader.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&reader.parser, (const unsigned char *)text, len);
    TL_TRY(read_stream(&reader));
    *first_out = reader.first;
    return TALLY_OK;
}
