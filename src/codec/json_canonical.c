#include "codec/json.h"
#include "codec/json_scan.h"
#include "codec/number.h"

#define SAFE_DIGITS 15 /* an integer of that many digits is below 2^53 */
#define INDEX_DEPTH 2  /* members of the text's object, and of objects in it */

/* ---- checking ---- */

struct checker {
    const char *text;
    size_t len;
    struct tl_json_index *index; /* or NULL */
    tally_status status;         /* once a function has failed */
    struct tally_error *err;
};

/* As in the reader, functions return the byte after what they checked, or 0 after a failure. */

static size_t refuse(struct checker *c, const char *code, const char *message, size_t at)
{
    c->status = tl_refuse_at(c->err, code, at, "%s", message);
    return 0;
}

/* The byte at text[at], or U+0000, which nothing begins with, at the end. */
static char peek(const struct checker *c, size_t at)
{
    if (at >= c->len) {
        return '\0';
    }
    return c->text[at];
}

/* Refuses the byte at text[at], in whose place something else is expected. */
static size_t refuse_byte(struct checker *c, const char *message, size_t at)
{
    char byte = peek(c, at);
    bool space = byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
    return space ? refuse(c, "not_canonical", "white space", at)
                 : refuse(c, "bad_json", message, at);
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

/* Returns whether text[at] begins an escape as JCS writes it; *used_out is its length. */
static bool is_canonical_escape(const struct checker *c, size_t at, size_t *used_out)
{
    uint32_t character = 0;
    char want[6];
    *used_out = tl_json_decode_escape(c->text, c->len, at, &character);
    tl_assert(*used_out != 0);
    bool needed = character < ' ' || character == '"' || character == '\\';
    return needed && tl_json_escape(want, (char)character) == *used_out &&
           memcmp(want, c->text + at, *used_out) == 0;
}

/* Checks a string that is not plain ASCII. */
TL_JSON_RARE static size_t check_any_string(struct checker *c, size_t at, bool *escaped_out)
{
    struct tl_json_span span;
    struct tl_json_fault fault;
    if (!tl_json_scan_string(c->text, c->len, at, &span, &fault)) {
        return refuse(c, fault.code, fault.message, fault.at);
    }
    *escaped_out = span.escaped;
    size_t i = span.escaped ? at + 1 : span.end;
    while (i < span.end) {
        size_t used = 1;
        if (c->text[i] == '\\' && !is_canonical_escape(c, i, &used)) {
            return refuse(c, "not_canonical", "an escape that should be another or none", i);
        }
        i += used;
    }
    return span.end;
}

static size_t check_string(struct checker *c, size_t at, bool *escaped_out)
{
    size_t end = tl_json_skip_plain(c->text, c->len, at + 1);
    if (peek(c, end) != '"') {
        return check_any_string(c, at, escaped_out);
    }
    *escaped_out = false;
    return end + 1;
}

/* Returns the end of an integer that is canonical at first sight, else 0. */
static size_t skip_plain_integer(const struct checker *c, size_t at)
{
    size_t first = at + (peek(c, at) == '-' ? 1 : 0);
    size_t end = first;
    while (peek(c, end) >= '0' && peek(c, end) <= '9') {
        end++;
    }
    size_t count = end - first;
    char next = peek(c, end);
    bool zero = peek(c, first) == '0' && (count > 1 || first > at); /* leading, or negative */
    bool more = next == '.' || next == 'e' || next == 'E';
    return count >= 1 && count <= SAFE_DIGITS && !zero && !more ? end : 0;
}

static size_t check_number(struct checker *c, size_t at)
{
    size_t end = skip_plain_integer(c, at);
    if (end != 0) {
        return end;
    }
    struct tl_number number = { 0 };
    switch (tl_number_read(c->text + at, c->len - at, &number)) {
    case TL_NUMBER_FINE:
        break;
    case TL_NUMBER_BAD:
        return refuse_byte(c, number.len == 0 ? "expected a value" : "not a number",
                           at + number.len);
    case TL_NUMBER_LONG:
    case TL_NUMBER_LARGE:
    case TL_NUMBER_VANISHING:
    case TL_NUMBER_UNSAFE:
        return refuse(c, "bad_number", "a number that a double cannot keep", at);
    }
    char want[TL_NUMBER_PRINT_MAX];
    size_t len = tl_number_print(want, number.value);
    bool same = len == number.len && memcmp(want, c->text + at, len) == 0;
    return same ? at + len
                : refuse(c, "not_canonical", "a number that is not as ECMAScript writes it", at);
}

static size_t check_literal(struct checker *c, size_t at, struct tl_str word)
{
    bool same = c->len - at >= word.len && memcmp(c->text + at, word.text, word.len) == 0;
    return same ? at + word.len : refuse_byte(c, "expected a value", at);
}

static size_t check_value(struct checker *c, size_t at, uint32_t depth);

static size_t check_elements(struct checker *c, size_t at, uint32_t depth)
{
    for (;;) {
        at = check_value(c, at, depth);
        if (at == 0) {
            return 0;
        }
        if (peek(c, at) != ',') {
            break;
        }
        at++;
    }
    return peek(c, at) == ']' ? at + 1 : refuse_byte(c, "expected ',' or ']'", at);
}

/* A name between its quotes, as it stands. */
struct name {
    struct tl_str raw;
    bool escaped;
};

/* Checks a name, which must come after `last`, and its colon; makes it the last. */
static size_t check_name(struct checker *c, size_t at, struct name *last)
{
    if (peek(c, at) != '"') {
        return refuse_byte(c, "expected a name", at);
    }
    struct name name = { .escaped = false };
    size_t end = check_string(c, at, &name.escaped);
    if (end == 0) {
        return 0;
    }
    name.raw = (struct tl_str){ .text = c->text + at + 1, .len = end - at - 2 };
    int order = -1;
    if (last->raw.text != NULL) {
        order = name.escaped || last->escaped ? compare_raw(last->raw, name.raw)
                                              : tl_json_compare_names(last->raw, name.raw);
    }
    if (order == 0) {
        return refuse(c, "duplicate_member", "two members of an object have the same name", at);
    }
    if (order > 0) {
        return refuse(c, "not_canonical", "members out of order", at);
    }
    *last = name;
    return peek(c, end) == ':' ? end + 1 : refuse_byte(c, "expected ':'", end);
}

/* Notes a member whose value is still to be checked; NULL if it is not one for the index. */
static struct tl_json_entry *note_member(struct checker *c, size_t at, size_t value, uint32_t depth)
{
    struct tl_json_index *index = c->index;
    if (index == NULL || depth > INDEX_DEPTH) {
        return NULL;
    }
    if (index->count == TL_JSON_INDEX_MAX) {
        index->whole = false;
        return NULL;
    }
    struct tl_json_entry *entry = &index->entries[index->count++];
    entry->member_start = (uint32_t)at;
    entry->value_start = (uint32_t)value;
    return entry;
}

static size_t check_member(struct checker *c, size_t at, struct name *last, uint32_t depth)
{
    size_t value = check_name(c, at, last);
    if (value == 0) {
        return 0;
    }
    struct tl_json_entry *entry = note_member(c, at, value, depth);
    size_t end = check_value(c, value, depth);
    if (entry != NULL) {
        entry->value_end = (uint32_t)end;
        entry->next = c->index->count;
    }
    return end;
}

static size_t check_members(struct checker *c, size_t at, uint32_t depth)
{
    struct name last = { .escaped = false };
    for (;;) {
        at = check_member(c, at, &last, depth);
        if (at == 0) {
            return 0;
        }
        if (peek(c, at) != ',') {
            break;
        }
        at++;
    }
    return peek(c, at) == '}' ? at + 1 : refuse_byte(c, "expected ',' or '}'", at);
}

static size_t check_container(struct checker *c, size_t at, uint32_t depth)
{
    if (depth == tl_json_limits_format.depth_max) {
        return refuse(c, "too_deep", "too many nested arrays and objects", at);
    }
    bool object = c->text[at++] == '{';
    if (peek(c, at) == (object ? '}' : ']')) {
        return at + 1;
    }
    return object ? check_members(c, at, depth + 1) : check_elements(c, at, depth + 1);
}

/* Recursion ends at the depth of the format. */
static size_t check_value(struct checker *c, size_t at, uint32_t depth)
{
    bool escaped = false;
    switch (peek(c, at)) {
    case '"':
        return check_string(c, at, &escaped);
    case '{':
    case '[':
        return check_container(c, at, depth);
    case 't':
        return check_literal(c, at, TL_STR("true"));
    case 'f':
        return check_literal(c, at, TL_STR("false"));
    case 'n':
        return check_literal(c, at, TL_STR("null"));
    default:
        return check_number(c, at);
    }
}

static tally_status check(const char *text, size_t len, struct tl_json_index *index,
                          struct tally_error *err)
{
    struct checker c = { .text = text, .len = len, .index = index, .err = err };
    if (len > tl_json_limits_format.bytes_max) {
        return tl_refuse_at(err, "too_large", tl_json_limits_format.bytes_max,
                            "more than %zu bytes", tl_json_limits_format.bytes_max);
    }
    size_t used = check_value(&c, 0, 0);
    if (used != 0 && used != len) {
        (void)refuse_byte(&c, "expected nothing after the value", used); /* sets the status */
    }
    return c.status;
}

tally_status tl_json_check_canonical(const char *text, size_t len, struct tally_error *err)
{
    return check(text, len, NULL, err);
}

tally_status tl_json_check_members(const char *text, size_t len, struct tl_json_index *index,
                                   struct tally_error *err)
{
    index->count = 0;
    index->whole = len > 0 && text[0] == '{';
    tally_status status = check(text, len, index, err);
    index->whole = index->whole && status == TALLY_OK;
    return status;
}

/* ---- walking ---- */

static inline tl_json_block match_quote_or_slash(tl_json_block block)
{
    const unsigned char quote = '"';
    const unsigned char slash = '\\';
    return (tl_json_block)((block == quote) | (block == slash));
}

/* Returns the byte after the string whose opening quote is text[at], or 0 if it does not end. */
static size_t skip_string(const char *text, size_t len, size_t at)
{
    for (at++; at < len; at += 2) {
        at = tl_json_find(text, len, at, match_quote_or_slash);
        if (at < len && text[at] == '"') {
            return at + 1;
        }
    }
    return 0;
}

/* What containers are skipped by: one bit for each of 64 bytes, the first one's being the lowest. */
struct window {
    uint64_t quotes;
    uint64_t slashes;
    uint64_t opening; /* brackets of either kind */
    uint64_t closing;
};

#define WINDOW 64u

static struct window look(const char *text)
{
    const unsigned char quote = '"';
    const unsigned char slash = '\\';
    const unsigned char case_bit = '[' ^ '{'; /* and ']' ^ '}' */
    const unsigned char opening = '{';
    const unsigned char closing = '}';
    struct window w = { 0 };
    for (size_t i = 0; i < WINDOW; i += sizeof(tl_json_block)) {
        tl_json_block block = tl_json_load(text + i);
        tl_json_block folded = block | case_bit;
        w.quotes |= (uint64_t)tl_json_bits((tl_json_block)(block == quote)) << i;
        w.slashes |= (uint64_t)tl_json_bits((tl_json_block)(block == slash)) << i;
        w.opening |= (uint64_t)tl_json_bits((tl_json_block)(folded == opening)) << i;
        w.closing |= (uint64_t)tl_json_bits((tl_json_block)(folded == closing)) << i;
    }
    return w;
}

/* The window that begins at text[at]; nothing is seen in it beyond the end of the text. */
static struct window look_at(const char *text, size_t len, size_t at)
{
    if (len - at >= WINDOW) {
        return look(text + at);
    }
    if (len < WINDOW) {
        char copy[WINDOW] = { 0 };
        memcpy(copy, text + at, len - at);
        return look(copy);
    }
    size_t seen = WINDOW - (len - at);
    struct window w = look(text + len - WINDOW);
    return (struct window){ w.quotes >> seen, w.slashes >> seen, w.opening >> seen,
                            w.closing >> seen };
}

/* The bytes that a backslash stands before; *carry is whether one does before this window's first,
 * then before the next one's. */
static uint64_t find_escaped(uint64_t slashes, uint64_t *carry)
{
    uint64_t escaped = *carry;
    slashes &= ~escaped;
    *carry = 0;
    while (slashes != 0) {
        uint64_t slash = slashes & (0 - slashes);
        *carry = slash >> (WINDOW - 1);
        escaped |= slash << 1;
        slashes &= ~(slash | slash << 1);
    }
    return escaped;
}

/* Each byte from an opening quote to the one before the closing quote. */
static uint64_t find_strings(uint64_t quotes)
{
    for (unsigned shift = 1; shift < WINDOW; shift *= 2) {
        quotes ^= quotes << shift;
    }
    return quotes;
}

/* Returns the byte after the container that text[at] opens, or 0 if it does not end. */
static size_t skip_container(const char *text, size_t len, size_t at)
{
    size_t depth = 0;
    uint64_t carry = 0;
    uint64_t inside = 0; /* all ones if the window begins in a string */
    for (; at < len; at += WINDOW) {
        struct window w = look_at(text, len, at);
        uint64_t escaped = w.slashes | carry ? find_escaped(w.slashes, &carry) : 0;
        uint64_t strings = find_strings(w.quotes & ~escaped) ^ inside;
        inside = 0 - (strings >> (WINDOW - 1));
        uint64_t left = (w.opening | w.closing) & ~strings;
        for (; left != 0; left &= left - 1) {
            unsigned first = (unsigned)__builtin_ctzll(left);
            depth += (w.opening >> first & 1) != 0 ? 1 : (size_t)-1;
            if (depth == 0) {
                return at + first + 1;
            }
        }
        if (len - at < WINDOW) {
            break;
        }
    }
    return 0;
}

size_t tl_json_skip(const char *text, size_t len, size_t at)
{
    if (at < len && text[at] == '"') {
        return skip_string(text, len, at);
    }
    if (at < len && (text[at] == '{' || text[at] == '[')) {
        return skip_container(text, len, at);
    }
    size_t start = at;
    while (at < len && text[at] != ',' && text[at] != '}' && text[at] != ']') {
        at++;
    }
    return at < len && at > start ? at : 0;
}

struct tl_json_iter tl_json_walk(const struct tl_json_index *index)
{
    if (index == NULL || !index->whole) {
        return (struct tl_json_iter){ .at = 0 };
    }
    return (struct tl_json_iter){ .index = index, .entries_end = index->count };
}

struct tl_json_iter tl_json_walk_value(const struct tl_json_iter *it)
{
    if (it->index == NULL || it->is_inner) {
        return (struct tl_json_iter){ .at = it->value_start };
    }
    return (struct tl_json_iter){
        .index = it->index,
        .is_inner = true,
        .entry = it->inner,
        .entries_end = it->entry,
    };
}

static tally_status next_entry(struct tl_json_iter *it, const char *text)
{
    if (it->entry == it->entries_end) {
        return TALLY_ENOTFOUND;
    }
    const struct tl_json_entry *entry = &it->index->entries[it->entry];
    size_t quotes_and_colon = 3;
    it->raw_name.text = text + entry->member_start + 1;
    it->raw_name.len = entry->value_start - entry->member_start - quotes_and_colon;
    it->started = true;
    it->member_start = entry->member_start;
    it->value_start = entry->value_start;
    it->value_end = entry->value_end;
    it->at = entry->value_end;
    it->inner = it->entry + 1;
    it->entry = entry->next;
    return TALLY_OK;
}

tally_status tl_json_next(struct tl_json_iter *it, const char *text, size_t len)
{
    if (it->index != NULL) {
        return next_entry(it, text);
    }
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
    size_t value_end = tl_json_skip(text, len, name_end + 1);
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
