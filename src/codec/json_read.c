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
    size_t at;
    const struct tl_json_limits *limits;
    struct tl_arena *arena;
    struct tl_json *nodes; /* room taken from the arena */
    size_t nodes_left;
    struct tally_error *err;
};

static tally_status refuse(struct reader *r, const char *code, const char *message, size_t at)
{
    if (at >= r->limits->bytes_max) { /* whatever it is, it lies beyond what may be read */
        return tl_refuse_at(r->err, "too_large", r->limits->bytes_max, "more than %zu bytes",
                            r->limits->bytes_max);
    }
    return tl_refuse_at(r->err, code, at, "%s", message);
}

static tally_status fail_memory(struct reader *r)
{
    return tl_fail(r->err, TALLY_ENOMEM, "cannot allocate memory for a JSON value");
}

static tally_status new_node(struct reader *r, struct tl_json **node_out)
{
    if (r->nodes_left == 0) {
        r->nodes = tl_arena_alloc(r->arena, NODES_BLOCK * sizeof(*r->nodes));
        if (r->nodes == NULL) {
            return fail_memory(r);
        }
        r->nodes_left = NODES_BLOCK;
    }
    r->nodes_left--;
    /* One by one: clearing the whole struct costs more than parsing a short value. */
    struct tl_json *node = r->nodes++;
    node->count = 0;
    node->name_offset = 0;
    node->key = node->text = (struct tl_str){ 0 };
    node->number = 0;
    node->first = node->next = NULL;
    *node_out = node;
    return TALLY_OK;
}

static void skip_space(struct reader *r)
{
    if (r->at < r->len && (unsigned char)r->text[r->at] > ' ') {
        return; /* nearly always */
    }
    while (r->at < r->len && (r->text[r->at] == ' ' || r->text[r->at] == '\n' ||
                              r->text[r->at] == '\r' || r->text[r->at] == '\t')) {
        r->at++;
    }
}

/* Whether the next byte is `c`; if so, steps over it. */
static bool take(struct reader *r, char c)
{
    if (r->at < r->len && r->text[r->at] == c) {
        r->at++;
        return true;
    }
    return false;
}

/* Reads the string at r->at; borrows it from the input if nothing in it is escaped. */
static tally_status read_string(struct reader *r, struct tl_str *str_out)
{
    size_t end = tl_json_skip_plain(r->text, r->len, r->at + 1);
    if (end < r->len && r->text[end] == '"') { /* most strings */
        *str_out = (struct tl_str){ .text = r->text + r->at + 1, .len = end - r->at - 1 };
        r->at = end + 1;
        return TALLY_OK;
    }
    struct tl_json_span span;
    struct tl_json_fault fault;
    if (!tl_json_scan_string(r->text, r->len, r->at, &span, &fault)) {
        return refuse(r, fault.code, fault.message, fault.at);
    }
    const char *raw = r->text + r->at + 1;
    size_t len = span.end - r->at - 2;
    r->at = span.end;
    if (!span.escaped) {
        *str_out = (struct tl_str){ .text = raw, .len = len };
        return TALLY_OK;
    }
    char *text = tl_arena_alloc(r->arena, len);
    if (text == NULL) {
        return fail_memory(r);
    }
    bool decoded = tl_json_decode_string(text, raw, len, &str_out->len);
    tl_assert(decoded);
    str_out->text = text;
    return TALLY_OK;
}

static tally_status read_number(struct reader *r, struct tl_json *node)
{
    struct tl_number number = { 0 };
    enum tl_number_fault fault = tl_number_read(r->text + r->at, r->len - r->at, &number);
    switch (fault) {
    case TL_NUMBER_FINE:
        break;
    case TL_NUMBER_BAD:
        return refuse(r, "bad_json", number.len == 0 ? "expected a value" : "not a number",
                      r->at + number.len);
    case TL_NUMBER_LONG:
        return refuse(r, "bad_number", "a number of more than 256 bytes", r->at);
    case TL_NUMBER_LARGE:
        return refuse(r, "bad_number", "a number too large for a double", r->at);
    case TL_NUMBER_VANISHING:
        return refuse(r, "bad_number", "a number that is not zero but rounds to it", r->at);
    case TL_NUMBER_UNSAFE:
        if (!(number.integer ? r->limits->keep_integers : r->limits->keep_floats)) {
            return refuse(r, "bad_number", "a number of 2^53 or more and below 10^21", r->at);
        }
        break;
    }
    node->type = TL_JSON_NUMBER;
    node->number = number.value;
    node->text = (struct tl_str){ .text = r->text + r->at, .len = number.len };
    r->at += number.len;
    return TALLY_OK;
}

static tally_status read_literal(struct reader *r, struct tl_json *node, struct tl_str word,
                                 enum tl_json_type type)
{
    if (r->len - r->at < word.len || memcmp(r->text + r->at, word.text, word.len) != 0) {
        return refuse(r, "bad_json", "expected a value", r->at);
    }
    node->type = type;
    r->at += word.len;
    return TALLY_OK;
}

static tally_status read_value(struct reader *r, struct tl_json *node, uint32_t depth);

static tally_status read_elements(struct reader *r, struct tl_json *array, uint32_t depth)
{
    struct tl_json **tail = &array->first;
    do {
        skip_space(r);
        if (array->count == r->limits->elements_max) {
            return refuse(r, "too_many", "too many elements in an array", r->at);
        }
        struct tl_json *element = NULL;
        TL_TRY(new_node(r, &element));
        TL_TRY(read_value(r, element, depth));
        array->count++;
        *tail = element;
        tail = &element->next;
        skip_space(r);
    } while (take(r, ','));
    return take(r, ']') ? TALLY_OK : refuse(r, "bad_json", "expected ',' or ']'", r->at);
}

/* Reads a name and its colon. */
static tally_status read_name(struct reader *r, struct tl_json *member)
{
    member->name_offset = r->at;
    if (r->at == r->len || r->text[r->at] != '"') {
        return refuse(r, "bad_json", "expected a name", r->at);
    }
    TL_TRY(read_string(r, &member->key));
    skip_space(r);
    return take(r, ':') ? TALLY_OK : refuse(r, "bad_json", "expected ':'", r->at);
}

static tally_status refuse_duplicate(struct reader *r, const struct tl_json *member)
{
    return refuse(r, "duplicate_member", "two members of an object have the same name",
                  member->name_offset);
}

static tally_status read_members(struct reader *r, struct tl_json *object, uint32_t depth)
{
    struct tl_json **tail = &object->first;
    const struct tl_json *last = NULL;
    bool sorted = true;
    do {
        skip_space(r);
        if (object->count == r->limits->members_max) {
            return refuse(r, "too_many", "too many members in an object", r->at);
        }
        struct tl_json *member = NULL;
        TL_TRY(new_node(r, &member));
        TL_TRY(read_name(r, member));
        int order = last != NULL && sorted ? tl_json_compare_names(last->key, member->key) : -1;
        if (order == 0) {
            return refuse_duplicate(r, member);
        }
        sorted = sorted && order < 0;
        skip_space(r);
        TL_TRY(read_value(r, member, depth));
        object->count++;
        *tail = member;
        tail = &member->next;
        last = member;
        skip_space(r);
    } while (take(r, ','));
    if (!take(r, '}')) {
        return refuse(r, "bad_json", "expected ',' or '}'", r->at);
    }
    const struct tl_json *duplicate = sorted ? NULL : tl_json_sort(object);
    return duplicate == NULL ? TALLY_OK : refuse_duplicate(r, duplicate);
}

/* Reads the array or object that text[at] opens, inside `depth` others. */
static tally_status read_container(struct reader *r, struct tl_json *node, uint32_t depth)
{
    if (depth == r->limits->depth_max) {
        return refuse(r, "too_deep", "too many nested arrays and objects", r->at);
    }
    bool object = r->text[r->at++] == '{';
    node->type = object ? TL_JSON_OBJECT : TL_JSON_ARRAY;
    skip_space(r);
    if (take(r, object ? '}' : ']')) {
        return TALLY_OK;
    }
    return object ? read_members(r, node, depth + 1) : read_elements(r, node, depth + 1);
}

static tally_status read_by_first_byte(struct reader *r, struct tl_json *node, uint32_t depth)
{
    if (r->text[r->at] == '"') {
        node->type = TL_JSON_STRING;
        return read_string(r, &node->text);
    }
    switch (r->text[r->at]) {
    case '{':
    case '[':
        return read_container(r, node, depth);
    case 't':
        return read_literal(r, node, TL_STR("true"), TL_JSON_TRUE);
    case 'f':
        return read_literal(r, node, TL_STR("false"), TL_JSON_FALSE);
    case 'n':
        return read_literal(r, node, TL_STR("null"), TL_JSON_NULL);
    default:
        return read_number(r, node);
    }
}

/*
 * Reads the value at r->at, before which there is no space left. Recursion ends at
 * limits->depth_max, which is at most DEPTH_MAX.
 */
static tally_status read_value(struct reader *r, struct tl_json *node, uint32_t depth)
{
    if (r->at == r->len) {
        return refuse(r, "bad_json", "expected a value", r->at);
    }
    node->offset = r->at;
    TL_TRY(read_by_first_byte(r, node, depth));
    node->end = r->at;
    return TALLY_OK;
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

    struct tl_json *root = NULL;
    TL_TRY(new_node(&r, &root));
    skip_space(&r);
    TL_TRY(read_value(&r, root, 0));
    if (r.at > limits->bytes_max) {
        return refuse(&r, "too_large", "", limits->bytes_max);
    }
    *root_out = root;
    *used_out = r.at;
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
    struct reader rest = { .text = text, .len = len, .at = used };
    skip_space(&rest);
    if (rest.at != len) {
        return tl_refuse_at(err, "bad_json", rest.at, "expected nothing after the value");
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
