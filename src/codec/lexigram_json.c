#include "codec/lexigram_json.h"

#include <stdlib.h>

#include "base/limits.h"
#include "base/parse.h"
#include "codec/number.h"
#include "codec/utf8.h"

#define FRACTION_DIGITS 6u
#define PLAIN_DIGITS    16 /* of an integral float written without an exponent */
#define PLAIN_ZEROS     4  /* after the point of a float written without an exponent */

static const char version_name[] = "entry_schema_version";

/* A float of value 0.d1d2d3... * 10^exponent. */
struct decimal {
    char digits[TL_NUMBER_PRINT_MAX];
    int count;
    int exponent;
};

static const struct tl_json_limits entry_limits = {
    .bytes_max = TL_INPUT_BYTES_MAX,
    .depth_max = 64,
    .members_max = UINT32_MAX,
    .elements_max = UINT32_MAX,
    .keep_integers = true,
    .keep_floats = true,
};

tally_status tl_lexigram_read(struct tl_arena *arena, const char *text, size_t len,
                              const struct tl_json **entry_out, struct tally_error *err)
{
    const struct tl_json *entry = NULL;
    struct tally_error refused = TALLY_ERROR_INIT;
    tally_status status = tl_json_read(arena, text, len, &entry_limits, &entry, &refused);
    if (status == TALLY_EREFUSED) { /* that would speak of an event */
        refused.status = TALLY_EINVAL;
    }
    if (status != TALLY_OK) {
        if (err != NULL && err->status == TALLY_OK) {
            *err = refused;
        }
        return refused.status;
    }
    if (entry->type != TL_JSON_OBJECT) {
        return tl_fail(err, TALLY_EINVAL, "the entry is no JSON object");
    }
    *entry_out = entry;
    return TALLY_OK;
}

/* Takes apart what tl_number_print() writes of a number that is not negative. */
static void split_decimal(struct decimal *out, const char *text, size_t len)
{
    bool after_point = false;
    size_t at = 0;
    *out = (struct decimal){ 0 };
    for (; at < len && text[at] != 'e'; at++) {
        if (text[at] == '.') {
            after_point = true;
            continue;
        }
        bool is_leading_zero = text[at] == '0' && out->count == 0;
        if (!is_leading_zero) {
            out->digits[out->count++] = text[at];
        }
        if (after_point == is_leading_zero) { /* a digit before the point, or a zero after it */
            out->exponent += after_point ? -1 : 1;
        }
    }
    while (out->count > 0 && out->digits[out->count - 1] == '0') {
        out->count--;
    }
    if (at < len) {
        bool negative = text[at + 1] == '-';
        size_t start = at + (text[at + 1] == '-' || text[at + 1] == '+' ? 2 : 1);
        uint64_t exponent = 0;
        tally_status status = tl_parse_u64(text + start, len - start, 400, &exponent);
        tl_assert(status == TALLY_OK);
        out->exponent += negative ? -(int)exponent : (int)exponent;
    }
}

static void write_zeros(struct tl_buf *out, int count)
{
    for (int i = 0; i < count; i++) {
        tl_buf_add_char(out, '0');
    }
}

static void write_decimal(struct tl_buf *out, const struct decimal *d, bool exponent_signed)
{
    int point = d->exponent;
    if (d->count == 0) {
        tl_buf_add_text(out, "0.0");
    } else if (d->count <= point && point <= PLAIN_DIGITS) {
        tl_buf_add(out, d->digits, (size_t)d->count);
        write_zeros(out, point - d->count);
        tl_buf_add_text(out, ".0");
    } else if (point > 0 && point < d->count) {
        tl_buf_add(out, d->digits, (size_t)point);
        tl_buf_add_char(out, '.');
        tl_buf_add(out, d->digits + point, (size_t)(d->count - point));
    } else if (point > -(PLAIN_ZEROS + 1) && point <= 0) {
        tl_buf_add_text(out, "0.");
        write_zeros(out, -point);
        tl_buf_add(out, d->digits, (size_t)d->count);
    } else {
        tl_buf_add_char(out, d->digits[0]);
        tl_buf_add_text(out, d->count > 1 ? "." : "");
        tl_buf_add(out, d->digits + 1, (size_t)(d->count - 1));
        tl_buf_addf(out, exponent_signed ? "e%+d" : "e%d", point - 1);
    }
}

/* Whether a number without its sign, as JSON writes it, has neither fraction nor exponent. */
static bool is_integer(struct tl_str digits)
{
    for (size_t i = 0; i < digits.len; i++) {
        if (digits.text[i] < '0' || digits.text[i] > '9') {
            return false;
        }
    }
    return true;
}

/* Whether an integer in its plain spelling lies within -2^63 ... 2^64-1. */
static bool is_64_bit(struct tl_str text)
{
    bool negative = text.len > 0 && text.text[0] == '-';
    uint64_t value = 0;
    return tl_parse_u64(text.text + negative, text.len - negative,
                        negative ? UINT64_C(1) << 63 : UINT64_MAX, &value) == TALLY_OK;
}

static tally_status write_number(struct tl_buf *out, const struct tl_json *number,
                                 bool exponent_signed, struct tally_error *err)
{
    struct tl_str token = number->text;
    bool negative = token.text[0] == '-';
    struct tl_str digits = { .text = token.text + negative, .len = token.len - negative };
    if (is_integer(digits)) {
        if (!is_64_bit(token)) {
            return tl_fail(err, TALLY_EINVAL, "an integer at byte %zu is outside -2^63 ... 2^64-1",
                           number->offset);
        }
        tl_buf_add_str(out, tl_str_is(token, "-0") ? digits : token);
        return TALLY_OK;
    }
    char text[TL_NUMBER_PRINT_MAX];
    struct decimal decimal;
    size_t len = tl_number_print(text, negative ? -number->number : number->number);
    split_decimal(&decimal, text, len);
    tl_buf_add_text(out, negative ? "-" : "");
    write_decimal(out, &decimal, exponent_signed);
    return TALLY_OK;
}

static int compare_keys(const void *a, const void *b)
{
    const struct tl_json *const *left = a;
    const struct tl_json *const *right = b;
    return tl_str_compare((*left)->key, (*right)->key);
}

static tally_status write_value(struct tl_buf *out, const struct tl_json *value,
                                const struct tl_lexigram_style *style, struct tl_arena *arena,
                                struct tally_error *err);

static tally_status write_array(struct tl_buf *out, const struct tl_json *array,
                                const struct tl_lexigram_style *style, struct tl_arena *arena,
                                struct tally_error *err)
{
    tl_buf_add_char(out, '[');
    for (const struct tl_json *element = array->first; element != NULL; element = element->next) {
        tl_buf_add_text(out, element == array->first ? "" : ",");
        TL_TRY(write_value(out, element, style, arena, err));
    }
    tl_buf_add_char(out, ']');
    return TALLY_OK;
}

/* Writes an object; `version`, if not NULL, takes the place of the member of its name. */
static tally_status write_object(struct tl_buf *out, const struct tl_json *object,
                                 const struct tl_json *version,
                                 const struct tl_lexigram_style *style, struct tl_arena *arena,
                                 struct tally_error *err)
{
    const struct tl_json **members =
        tl_arena_alloc(arena, ((size_t)object->count + 1) * sizeof(struct tl_json *));
    if (members == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "out of memory");
    }
    size_t count = 0;
    for (const struct tl_json *member = object->first; member != NULL; member = member->next) {
        if (version == NULL || !tl_str_equal(member->key, version->key)) {
            members[count++] = member;
        }
    }
    if (version != NULL) {
        members[count++] = version;
    }
    qsort(members, count, sizeof(struct tl_json *), compare_keys);
    tl_buf_add_char(out, '{');
    for (size_t i = 0; i < count; i++) {
        tl_buf_add_text(out, i == 0 ? "" : ",");
        tl_json_write_string(out, members[i]->key);
        tl_buf_add_char(out, ':');
        TL_TRY(write_value(out, members[i], style, arena, err));
    }
    tl_buf_add_char(out, '}');
    return TALLY_OK;
}

/* Recursion ends at entry_limits.depth_max. */
static tally_status write_value(struct tl_buf *out, const struct tl_json *value,
                                const struct tl_lexigram_style *style, struct tl_arena *arena,
                                struct tally_error *err)
{
    switch (value->type) {
    case TL_JSON_NULL:
        tl_buf_add_text(out, "null");
        return TALLY_OK;
    case TL_JSON_FALSE:
        tl_buf_add_text(out, "false");
        return TALLY_OK;
    case TL_JSON_TRUE:
        tl_buf_add_text(out, "true");
        return TALLY_OK;
    case TL_JSON_NUMBER:
        return write_number(out, value, style->exponent_signed, err);
    case TL_JSON_STRING:
        tl_json_write_string(out, value->text); /* RFC 8785 escapes the same characters */
        return TALLY_OK;
    case TL_JSON_ARRAY:
        return write_array(out, value, style, arena, err);
    case TL_JSON_OBJECT:
        return write_object(out, value, NULL, style, arena, err);
    }
    return tl_fail(err, TALLY_EINVAL, "a value of no type");
}

tally_status tl_lexigram_write(struct tl_buf *out, const struct tl_json *entry,
                               const struct tl_lexigram_style *style, struct tl_arena *arena,
                               struct tally_error *err)
{
    const struct tl_json version = {
        .type = TL_JSON_NUMBER,
        .key = tl_str_of(version_name),
        .text = style->version == 2 ? TL_STR("2") : TL_STR("1"),
    };
    bool has_version = style->version != TL_LEXIGRAM_NO_VERSION;
    TL_TRY(write_object(out, entry, has_version ? &version : NULL, style, arena, err));
    tally_status status = tl_buf_status(out);
    return status == TALLY_OK ? status : tl_fail(err, status, "cannot write the entry");
}

enum column_type { COLUMN_TEXT, COLUMN_INTEGER, COLUMN_TIME, COLUMN_VERSION };

/* The members of a row, sorted by the bytes of their names. */
static const struct column {
    const char *name;
    size_t offset;
    enum column_type type;
} columns[] = {
#define COLUMN(name, type)                                     \
    {                                                          \
#        name, offsetof(struct tally_lexigram_row, name), type \
    }
    COLUMN(action, COLUMN_TEXT),
    COLUMN(causation_id, COLUMN_TEXT),
    COLUMN(changed_at, COLUMN_TIME),
    COLUMN(changed_by, COLUMN_TEXT),
    COLUMN(command_payload_hash, COLUMN_TEXT),
    COLUMN(correlation_id, COLUMN_TEXT),
    COLUMN(entity_id, COLUMN_TEXT),
    COLUMN(entry_schema_version, COLUMN_VERSION),
    COLUMN(metadata, COLUMN_TEXT),
    COLUMN(new_values, COLUMN_TEXT),
    COLUMN(old_values, COLUMN_TEXT),
    COLUMN(outcome, COLUMN_TEXT),
    COLUMN(payload_size_bytes, COLUMN_INTEGER),
    COLUMN(severity, COLUMN_TEXT),
    COLUMN(source, COLUMN_TEXT),
    COLUMN(table_name, COLUMN_TEXT),
    COLUMN(tenant_id, COLUMN_TEXT),
#undef COLUMN
};

/* The text of a column; absent for SQL NULL. */
static struct tl_str text_of(const struct tally_lexigram_row *row, const struct column *column)
{
    const char *text = NULL;
    memcpy(&text, (const char *)row + column->offset, sizeof(text));
    return tl_str_of(text);
}

tally_status tl_lexigram_check_row(const struct tally_lexigram_row *row, struct tally_error *err)
{
    for (size_t i = 0; i < TL_ARRAY_LEN(columns); i++) {
        struct tl_str text = text_of(row, &columns[i]);
        if (text.len > TL_INPUT_BYTES_MAX) {
            return tl_fail(err, TALLY_EINVAL, "column '%s' is too long", columns[i].name);
        }
        if (tl_utf8_valid_len(text.text, text.len) != text.len) {
            return tl_fail(err, TALLY_EINVAL, "column '%s' is not UTF-8", columns[i].name);
        }
        if (columns[i].type == COLUMN_INTEGER && text.text != NULL &&
            (!is_64_bit(text) || tl_str_is(text, "-0"))) {
            return tl_fail(err, TALLY_EINVAL, "column '%s' is no integer", columns[i].name);
        }
    }
    return TALLY_OK;
}

void tl_lexigram_write_row(struct tl_buf *out, const struct tally_lexigram_row *row,
                           struct tl_str changed_at, int version)
{
    tl_buf_add_char(out, '{');
    for (size_t i = 0; i < TL_ARRAY_LEN(columns); i++) {
        tl_buf_add_text(out, i == 0 ? "" : ",");
        tl_json_write_string(out, tl_str_of(columns[i].name));
        tl_buf_add_char(out, ':');
        struct tl_str text =
            columns[i].type == COLUMN_TIME ? changed_at : text_of(row, &columns[i]);
        if (columns[i].type == COLUMN_VERSION) {
            tl_buf_addf(out, "%d", version);
        } else if (text.text == NULL) {
            tl_buf_add_text(out, "null");
        } else if (columns[i].type == COLUMN_INTEGER) {
            tl_buf_add_str(out, text);
        } else {
            tl_json_write_string(out, text);
        }
    }
    tl_buf_add_char(out, '}');
}

void tl_lexigram_write_time(struct tl_buf *out, struct tl_str stored)
{
    if (stored.len == 0) {
        return;
    }
    const char *point = memchr(stored.text, '.', stored.len);
    size_t start = point == NULL ? stored.len : (size_t)(point - stored.text);
    size_t end = point == NULL ? start : start + 1;
    bool is_zero = true;
    while (end < stored.len && stored.text[end] >= '0' && stored.text[end] <= '9') {
        is_zero = is_zero && stored.text[end] == '0';
        end++;
    }
    const char *space = start == 0 ? NULL : memchr(stored.text, ' ', start);
    size_t date = space == NULL ? start : (size_t)(space - stored.text);
    tl_buf_add(out, stored.text, date);
    if (space != NULL) {
        tl_buf_add_char(out, 'T');
        tl_buf_add(out, space + 1, start - date - 1);
    }
    size_t digits = end - start - (point != NULL);
    bool is_fraction = digits > 0 && digits <= FRACTION_DIGITS;
    if (!is_fraction || !is_zero) {
        tl_buf_add(out, stored.text + start, end - start);
        write_zeros(out, is_fraction ? (int)(FRACTION_DIGITS - digits) : 0);
    }
    tl_buf_add(out, stored.text + end, stored.len - end);
}
