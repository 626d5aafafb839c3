#include "codec/json.h"
#include "codec/json_scan.h"
#include "codec/number.h"

#define DEPTH_MAX   64u
#define NODES_BLOCK 16u /* nodes are taken from the arena by the dozen */
#define DOUBLE_2_53 9007199254740992.0

/*
 * A reader of a prefix may look this much further than the largest value: enough for any token
 * that is not a string, so that none is cut in two and mistaken for another.
 */
#define SLACK_BYTES ((size_t)2 * TL_NUMBER_TOKEN_MAX)

const struct tl_json_limits tl_json_limits_format = {
    .bytes_max = 16777215,
    .depth_max = DEPTH_MAX,
    .members_max = UINT32_MAX,
    .elements_max = UINT32_MAX,
};

struct reader {
    const char *text;
    size_t len;
    const struct tl_json_limits *limits;
    struct tl_arena *arena;
    struct tl_json *nodes; /* room taken from the arena */
    size_t nodes_left;
    tally_status status; /* once a function has failed */
    struct tally_error *err;
};

/*
 * The functions below read what begins at text[at] and return the byte after it, or 0 after a
 * failure, with r->status set: a position in a register is what makes this fast.
 */

static size_t refuse(struct reader *r, const char *code, const char *message, size_t at)
{
    if (at >= r->limits->bytes_max) { /* whatever it is, it lies beyond what may be read */
        r->status = tl_refuse_at(r->err, "too_large", r->limits->bytes_max, "more than %zu bytes",
                                 r->limits->bytes_max);
    } else {
        r->status = tl_refuse_at(r->err, code, at, "%s", message);
    }
    return 0;
}

static void fail_memory(struct reader *r)
{
    r->status = tl_fail(r->err, TALLY_ENOMEM, "cannot allocate memory for a JSON value");
}

/* Returns NULL after a failure. */
static struct tl_json *new_node(struct reader *r)
{
    if (r->nodes_left == 0) {
        r->nodes = tl_arena_alloc(r->arena, NODES_BLOCK * sizeof(*r->nodes));
        if (r->nodes == NULL) {
            fail_memory(r);
            return NULL;
        }
        r->nodes_left = NODES_BLOCK;
    }
    r->nodes_left--;
    /* One by one: clearing the whole struct costs more than reading a short value. */
    struct tl_json *node = r->nodes++;
    node->count = 0;
    node->name_offset = 0;
    node->key = (struct tl_str){ 0 };
    node->text = (struct tl_str){ 0 };
    node->number = 0;
    node->first = NULL;
    node->next = NULL;
    return node;
}

/* The byte at text[at], or U+0000, which nothing begins with, at the end. */
static char peek(const struct reader *r, size_t at)
{
    if (at >= r->len) {
        return '\0';
    }
    return r->text[at];
}

static size_t skip_space(const struct reader *r, size_t at)
{
    while (at < r->len && (unsigned char)r->text[at] <= ' ') {
        char c = r->text[at];
        if (c != ' ' && c != '\n' && c != '\r' && c != '\t') {
            return at;
        }
        at++;
    }
    return at;
}

/* Reads a string that is not plain ASCII; borrows it from the input if nothing in it is escaped. */
TL_JSON_RARE static size_t read_any_string(struct reader *r, size_t at, struct tl_str *str_out)
{
    struct tl_json_span span;
    struct tl_json_fault fault;
    if (!tl_json_scan_string(r->text, r->len, at, &span, &fault)) {
        return refuse(r, fault.code, fault.message, fault.at);
    }
    const char *raw = r->text + at + 1;
    size_t len = span.end - at - 2;
    if (!span.escaped) {
        *str_out = (struct tl_str){ .text = raw, .len = len };
        return span.end;
    }
    char *text = tl_arena_alloc(r->arena, len);
    if (text == NULL) {
        fail_memory(r);
        return 0;
    }
    bool decoded = tl_json_decode_string(text, raw, len, &str_out->len);
    tl_assert(decoded);
    str_out->text = text;
    return span.end;
}

static size_t read_string(struct reader *r, size_t at, struct tl_str *str_out)
{
    size_t end = tl_json_skip_plain(r->text, r->len, at + 1);
    if (peek(r, end) != '"') {
        return read_any_string(r, at, str_out);
    }
    *str_out = (struct tl_str){ .text = r->text + at + 1, .len = end - at - 1 };
    return end + 1;
}

static size_t read_number(struct reader *r, struct tl_json *node, size_t at)
{
    struct tl_number number = { 0 };
    switch (tl_number_read(r->text + at, r->len - at, &number)) {
    case TL_NUMBER_FINE:
        break;
    case TL_NUMBER_BAD:
        return refuse(r, "bad_json", number.len == 0 ? "expected a value" : "not a number",
                      at + number.len);
    case TL_NUMBER_LONG:
        return refuse(r, "bad_number", "a number of more than 256 bytes", at);
    case TL_NUMBER_LARGE:
        return refuse(r, "bad_number", "a number too large for a double", at);
    case TL_NUMBER_VANISHING:
        return refuse(r, "bad_number", "a number that is not zero but rounds to it", at);
    case TL_NUMBER_UNSAFE:
        if (!number.integer || !r->limits->keep_integers) {
            return refuse(r, "bad_number", "a number of 2^53 or more and below 10^21", at);
        }
        break;
    }
    node->type = TL_JSON_NUMBER;
    node->number = number.value;
    node->text = (struct tl_str){ .text = r->text + at, .len = number.len };
    return at + number.len;
}

static size_t read_literal(struct reader *r, struct tl_json *node, size_t at, struct tl_str word,
                           enum tl_json_type type)
{
    if (r->len - at < word.len || memcmp(r->text + at, word.text, word.len) != 0) {
        return refuse(r, "bad_json", "expected a value", at);
    }
    node->type = type;
    return at + word.len;
}

static size_t read_value(struct reader *r, struct tl_json *node, size_t at, uint32_t depth);

static size_t read_elements(struct reader *r, struct tl_json *array, size_t at, uint32_t depth)
{
    struct tl_json **tail = &array->first;
    for (;;) {
        if (array->count == r->limits->elements_max) {
            return refuse(r, "too_many", "too many elements in an array", at);
        }
        struct tl_json *element = new_node(r);
        at = element == NULL ? 0 : read_value(r, element, at, depth);
        if (at == 0) {
            return 0;
        }
        array->count++;
        *tail = element;
        tail = &element->next;
        at = skip_space(r, at);
        if (peek(r, at) != ',') {
            break;
        }
        at = skip_space(r, at + 1);
    }
    return peek(r, at) == ']' ? at + 1 : refuse(r, "bad_json", "expected ',' or ']'", at);
}

/* Reads a name and its colon, and the space around that. */
static size_t read_name(struct reader *r, struct tl_json *member, size_t at)
{
    if (peek(r, at) != '"') {
        return refuse(r, "bad_json", "expected a name", at);
    }
    member->name_offset = at;
    at = read_string(r, at, &member->key);
    if (at == 0) {
        return 0;
    }
    at = skip_space(r, at);
    return peek(r, at) == ':' ? skip_space(r, at + 1) : refuse(r, "bad_json", "expected ':'", at);
}

static size_t refuse_duplicate(struct reader *r, const struct tl_json *member)
{
    return refuse(r, "duplicate_member", "two members of an object have the same name",
                  member->name_offset);
}

/* Reads one more member; *sorted becomes false unless its name comes after that of `last`. */
static size_t read_member(struct reader *r, struct tl_json *member, const struct tl_json *last,
                          bool *sorted, size_t at, uint32_t depth)
{
    at = read_name(r, member, at);
    if (at == 0) {
        return 0;
    }
    if (last != NULL && *sorted) {
        int order = tl_json_compare_names(last->key, member->key);
        if (order == 0) {
            return refuse_duplicate(r, member);
        }
        *sorted = order < 0;
    }
    return read_value(r, member, at, depth);
}

static size_t read_members(struct reader *r, struct tl_json *object, size_t at, uint32_t depth)
{
    struct tl_json **tail = &object->first;
    const struct tl_json *last = NULL;
    bool sorted = true;
    for (;;) {
        if (object->count == r->limits->members_max) {
            return refuse(r, "too_many", "too many members in an object", at);
        }
        struct tl_json *member = new_node(r);
        at = member == NULL ? 0 : read_member(r, member, last, &sorted, at, depth);
        if (at == 0) {
            return 0;
        }
        object->count++;
        *tail = member;
        tail = &member->next;
        last = member;
        at = skip_space(r, at);
        if (peek(r, at) != ',') {
            break;
        }
        at = skip_space(r, at + 1);
    }
    if (peek(r, at) != '}') {
        return refuse(r, "bad_json", "expected ',' or '}'", at);
    }
    const struct tl_json *duplicate = sorted ? NULL : tl_json_sort(object);
    return duplicate == NULL ? at + 1 : refuse_duplicate(r, duplicate);
}

/* Reads the array or object that text[at] opens, inside `depth` others. */
static size_t read_container(struct reader *r, struct tl_json *node, size_t at, uint32_t depth)
{
    if (depth == r->limits->depth_max) {
        return refuse(r, "too_deep", "too many nested arrays and objects", at);
    }
    bool object = r->text[at] == '{';
    node->type = object ? TL_JSON_OBJECT : TL_JSON_ARRAY;
    at = skip_space(r, at + 1);
    if (peek(r, at) == (object ? '}' : ']')) {
        return at + 1;
    }
    return object ? read_members(r, node, at, depth + 1) : read_elements(r, node, at, depth + 1);
}

static size_t read_by_first_byte(struct reader *r, struct tl_json *node, size_t at, uint32_t depth)
{
    switch (peek(r, at)) {
    case '"':
        node->type = TL_JSON_STRING;
        return read_string(r, at, &node->text);
    case '{':
    case '[':
        return read_container(r, node, at, depth);
    case 't':
        return read_literal(r, node, at, TL_STR("true"), TL_JSON_TRUE);
    case 'f':
        return read_literal(r, node, at, TL_STR("false"), TL_JSON_FALSE);
    case 'n':
        return read_literal(r, node, at, TL_STR("null"), TL_JSON_NULL);
    default:
        return read_number(r, node, at);
    }
}

/* No space may be left before the value. Recursion ends at limits->depth_max. */
static size_t read_value(struct reader *r, struct tl_json *node, size_t at, uint32_t depth)
{
    node->offset = at;
    node->end = read_by_first_byte(r, node, at, depth);
    return node->end;
}

tally_status tl_json_read_prefix(struct tl_arena *arena, const char *text, size_t len,
                                 const struct tl_json_limits *limits,
                                 const struct tl_json **root_out, size_t *used_out,
                                 struct tally_error *err)
{
    tl_assert(limits->depth_max >= 1);
    tl_assert(limits->depth_max <= DEPTH_MAX);
    tl_assert(limits->bytes_max >= 1);
    tl_assert(limits->members_max >= 1);
    tl_assert(limits->elements_max >= 1);
    size_t slack = len < SLACK_BYTES ? len : SLACK_BYTES;
    bool longer = len - slack > limits->bytes_max;
    struct reader r = { .text = text, .limits = limits, .arena = arena, .err = err };
    r.len = longer ? limits->bytes_max + slack : len;

    struct tl_json *root = new_node(&r);
    size_t used = root == NULL ? 0 : read_value(&r, root, skip_space(&r, 0), 0);
    if (used > limits->bytes_max) {
        used = refuse(&r, "too_large", "", used);
    }
    if (used == 0) {
        return r.status;
    }
    *root_out = root;
    *used_out = used;
    return TALLY_OK;
}

tally_status tl_json_read(struct tl_arena *arena, const char *text, size_t len,
                          const struct tl_json_limits *limits, const struct tl_json **root_out,
                          struct tally_error *err)
{
    if (len > limits->bytes_max) {
        return tl_refuse_at(err, "too_large", limits->bytes_max, "more than %zu bytes",
                            limits->bytes_max);
    }
    const struct tl_json *root = NULL;
    size_t used = 0;
    TL_TRY(tl_json_read_prefix(arena, text, len, limits, &root, &used, err));
    used = skip_space(&(struct reader){ .text = text, .len = len }, used);
    if (used != len) {
        return tl_refuse_at(err, "bad_json", used, "expected nothing after the value");
    }
    *root_out = root;
    return TALLY_OK;
}

const struct tl_json *tl_json_member(const struct tl_json *object, const char *name)
{
    if (object->type != TL_JSON_OBJECT) {
        return NULL;
    }
    struct tl_str key = tl_str_of(name);
    for (const struct tl_json *member = object->first; member != NULL; member = member->next) {
        if (tl_str_equal(member->key, key)) {
            return member;
        }
    }
    return NULL;
}

bool tl_json_is_large_integer(const struct tl_json *value)
{
    return value->type == TL_JSON_NUMBER && value->text.text != NULL &&
           (value->number >= DOUBLE_2_53 || value->number <= -DOUBLE_2_53) &&
           memchr(value->text.text, '.', value->text.len) == NULL &&
           memchr(value->text.text, 'e', value->text.len) == NULL &&
           memchr(value->text.text, 'E', value->text.len) == NULL;
}
