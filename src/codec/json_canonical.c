#include "codec/json.h"
#include "codec/json_scan.h"
#include "codec/number.h"

#define SAFE_DIGITS 15 /* an integer of that many digits is below 2^53 */

/* ---- checking ---- */

struct checker {
    const char *text;
    size_t len;
    size_t at;
    struct tally_error *err;
};

static tally_status refuse(struct checker *c, const char *code, const char *message, size_t at)
{
    return tl_refuse_at(c->err, code, at, "%s", message);
}

/* Refuses the byte at c->at, in whose place something else is expected. */
static tally_status refuse_byte(struct checker *c, const char *message)
{
    bool space =
        c->at < c->len && c->text[c->at] != '\0' && strchr(" \t\r\n", c->text[c->at]) != NULL;
    return space ? refuse(c, "not_canonical", "white space", c->at)
                 : refuse(c, "bad_json", message, c->at);
}

static bool take(struct checker *c, char wanted)
{
    if (c->at < c->len && c->text[c->at] == wanted) {
        c->at++;
        return true;
    }
    return false;
}

/* The next character of a canonical string, with its escape removed; *at moves behind it. */
static char next_unescaped(struct tl_str raw, size_t *at)
{
    uint32_t character = 0;
    if (raw.text[*at] != '\\') {
        return raw.text[(*at)++];
    }
    size_t used = tl_json_decode_escape(raw.text, raw.len, *at, &character);
    tl_assert(used != 0);
    *at += used;
    return (char)character; /* canonical text escapes ASCII alone */
}

/* Compares two names that stand for what tl_json_compare_names() would get. */
static int compare_raw(struct tl_str a, struct tl_str b)
{
    size_t i = 0;
    size_t j = 0;
    while (i < a.len && j < b.len) {
        char x = next_unescaped(a, &i);
        char y = next_unescaped(b, &j);
        if (x != y) {
            struct tl_str one = { .text = &x, .len = 1 };
            return tl_json_compare_names(one, (struct tl_str){ .text = &y, .len = 1 });
        }
    }
    return i < a.len ? 1 : j < b.len ? -1 : 0;
}

/* Refuses an escape in text[from..to) that JCS would not have written. */
static tally_status check_escapes(struct checker *c, size_t from, size_t to)
{
    for (size_t at = from; at < to;) {
        if (c->text[at] != '\\') {
            at++;
            continue;
        }
        uint32_t character = 0;
        size_t used = tl_json_decode_escape(c->text, to, at, &character);
        tl_assert(used != 0);
        char want[6];
        char plain = (char)character;
        bool needed = character < ' ' || character == '"' || character == '\\';
        if (!needed || tl_json_escape(want, plain) != used ||
            memcmp(want, c->text + at, used) != 0) {
            return refuse(c, "not_canonical", "an escape that should be another or none", at);
        }
        at += used;
    }
    return TALLY_OK;
}

static tally_status check_string(struct checker *c, struct tl_json_span *span)
{
    struct tl_json_fault fault;
    if (!tl_json_scan_string(c->text, c->len, c->at, span, &fault)) {
        return refuse(c, fault.code, fault.message, fault.at);
    }
    if (span->escaped) {
        TL_TRY(check_escapes(c, c->at + 1, span->end - 1));
    }
    c->at = span->end;
    return TALLY_OK;
}

/* Steps over an integer that is canonical at first sight. */
static bool take_plain_integer(struct checker *c)
{
    size_t first = c->at + (c->text[c->at] == '-' ? 1 : 0);
    size_t end = first;
    while (end < c->len && c->text[end] >= '0' && c->text[end] <= '9') {
        end++;
    }
    size_t count = end - first;
    bool more = end < c->len && strchr(".eE", c->text[end]) != NULL && c->text[end] != '\0';
    bool canonical = count >= 1 && count <= SAFE_DIGITS && !more &&
                     (c->text[first] != '0' || (count == 1 && first == c->at));
    c->at = canonical ? end : c->at;
    return canonical;
}

static tally_status check_number(struct checker *c)
{
    if (take_plain_integer(c)) {
        return TALLY_OK;
    }
    struct tl_number number = { 0 };
    switch (tl_number_read(c->text + c->at, c->len - c->at, &number)) {
    case TL_NUMBER_FINE:
        break;
    case TL_NUMBER_BAD:
        c->at += number.len;
        return refuse_byte(c, number.len == 0 ? "expected a value" : "not a number");
    case TL_NUMBER_LONG:
    case TL_NUMBER_LARGE:
    case TL_NUMBER_VANISHING:
    case TL_NUMBER_UNSAFE:
        return refuse(c, "bad_number", "a number that a double cannot keep", c->at);
    }
    char want[TL_NUMBER_PRINT_MAX];
    size_t len = tl_number_print(want, number.value);
    if (len != number.len || memcmp(want, c->text + c->at, len) != 0) {
        return refuse(c, "not_canonical", "a number that is not written as ECMAScript does", c->at);
    }
    c->at += len;
    return TALLY_OK;
}

static tally_status check_literal(struct checker *c, struct tl_str word)
{
    if (c->len - c->at < word.len || memcmp(c->text + c->at, word.text, word.len) != 0) {
        return refuse_byte(c, "expected a value");
    }
    c->at += word.len;
    return TALLY_OK;
}

static tally_status check_value(struct checker *c, uint32_t depth);

static tally_status check_elements(struct checker *c, uint32_t depth)
{
    do {
        TL_TRY(check_value(c, depth));
    } while (take(c, ','));
    return take(c, ']') ? TALLY_OK : refuse_byte(c, "expected ',' or ']'");
}

/* Checks that `name`, at byte `at`, comes after `last`. */
static tally_status check_order(struct checker *c, struct tl_str last, struct tl_str name,
                                bool escaped, size_t at)
{
    int order = escaped ? compare_raw(last, name) : tl_json_compare_names(last, name);
    if (order == 0) {
        return refuse(c, "duplicate_member", "two members of an object have the same name", at);
    }
    return order < 0 ? TALLY_OK : refuse(c, "not_canonical", "members out of order", at);
}

static tally_status check_members(struct checker *c, uint32_t depth)
{
    struct tl_str last = { 0 };
    bool last_escaped = false;
    do {
        size_t start = c->at;
        if (start == c->len || c->text[start] != '"') {
            return refuse_byte(c, "expected a name");
        }
        struct tl_json_span span;
        TL_TRY(check_string(c, &span));
        struct tl_str name = { .text = c->text + start + 1, .len = span.end - start - 2 };
        if (last.text != NULL) {
            TL_TRY(check_order(c, last, name, span.escaped || last_escaped, start));
        }
        last = name;
        last_escaped = span.escaped;
        if (!take(c, ':')) {
            return refuse_byte(c, "expected ':'");
        }
        TL_TRY(check_value(c, depth));
    } while (take(c, ','));
    return take(c, '}') ? TALLY_OK : refuse_byte(c, "expected ',' or '}'");
}

static tally_status check_container(struct checker *c, uint32_t depth)
{
    if (depth == tl_json_limits_format.depth_max) {
        return refuse(c, "too_deep", "too many nested arrays and objects", c->at);
    }
    bool object = c->text[c->at++] == '{';
    if (take(c, object ? '}' : ']')) {
        return TALLY_OK;
    }
    return object ? check_members(c, depth + 1) : check_elements(c, depth + 1);
}

/* Recursion ends at the depth of the format. */
static tally_status check_value(struct checker *c, uint32_t depth)
{
    struct tl_json_span span;
    if (c->at == c->len) {
        return refuse_byte(c, "expected a value");
    }
    switch (c->text[c->at]) {
    case '{':
    case '[':
        return check_container(c, depth);
    case '"':
        return check_string(c, &span);
    case 't':
        return check_literal(c, TL_STR("true"));
    case 'f':
        return check_literal(c, TL_STR("false"));
    case 'n':
        return check_literal(c, TL_STR("null"));
    default:
        return check_number(c);
    }
}

tally_status tl_json_check_canonical(const char *text, size_t len, struct tally_error *err)
{
    struct checker c = { .text = text, .len = len, .err = err };
    if (len > tl_json_limits_format.bytes_max) {
        return refuse(&c, "too_large", "more than 16777215 bytes", tl_json_limits_format.bytes_max);
    }
    TL_TRY(check_value(&c, 0));
    return c.at == len ? TALLY_OK : refuse_byte(&c, "expected nothing after the value");
}

/* ---- walking ---- */

/* Returns the byte after the string whose opening quote is text[at], or 0 if it does not end. */
static size_t skip_string(const char *text, size_t len, size_t at)
{
    for (at++; at < len;) {
        at = tl_json_skip_plain(text, len, at);
        if (at < len && text[at] == '"') {
            return at + 1;
        }
        at += at < len && text[at] == '\\' ? 2 : 1;
    }
    return 0;
}

/* Returns the byte after the value at text[at], or 0 if it does not end or there is none. */
static size_t skip_value(const char *text, size_t len, size_t at)
{
    size_t depth = 0;
    size_t start = at;
    while (at < len) {
        char c = text[at];
        if (c == '"') {
            at = skip_string(text, len, at);
            if (at == 0) {
                return 0;
            }
        } else if (depth == 0 && (c == ',' || c == '}' || c == ']')) {
            return at > start ? at : 0; /* what ended a number or literal */
        } else {
            depth += c == '{' || c == '[';
            depth -= c == '}' || c == ']';
            at++;
        }
        if (depth == 0 && (c == '"' || c == '}' || c == ']')) {
            return at;
        }
    }
    return 0;
}

tally_status tl_json_next(struct tl_json_iter *it, const char *text, size_t len)
{
    size_t at = it->at;
    char before = it->started ? ',' : '{';
    if (at >= len || (text[at] != before && !(it->started && text[at] == '}'))) {
        return TALLY_ECORRUPT;
    }
    at++;
    if (text[at - 1] == '}' || (!it->started && at < len && text[at] == '}')) {
        return TALLY_ENOTFOUND;
    }
    if (at >= len || text[at] != '"') {
        return TALLY_ECORRUPT;
    }
    size_t name_end = skip_string(text, len, at);
    if (name_end == 0 || name_end == len || text[name_end] != ':') {
        return TALLY_ECORRUPT;
    }
    size_t value_end = skip_value(text, len, name_end + 1);
    if (value_end == 0) {
        return TALLY_ECORRUPT;
    }
    it->started = true;
    it->member_start = at;
    it->raw_name = (struct tl_str){ .text = text + at + 1, .len = name_end - at - 2 };
    it->value_start = name_end + 1;
    it->value_end = value_end;
    it->at = value_end;
    return TALLY_OK;
}

tally_status tl_json_unescape(struct tl_buf *out, const char *raw, size_t len)
{
    char *to = tl_buf_reserve(out, len);
    size_t written = 0;
    if (to == NULL) {
        return tl_buf_status(out);
    }
    if (!tl_json_decode_string(to, raw, len, &written)) {
        return TALLY_ECORRUPT;
    }
    tl_buf_commit(out, written);
    return TALLY_OK;
}
