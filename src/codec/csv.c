#include "codec/csv.h"

#include <inttypes.h>

static const char bom[3] = { '\xEF', '\xBB', '\xBF' };

void tl_csv_init(struct tl_csv_reader *reader, const struct tl_csv_limits *limits)
{
    tl_assert(limits->field_bytes_max > 0);
    tl_assert(limits->fields_max > 0);
    *reader = (struct tl_csv_reader){ .limits = *limits, .line = 1, .record_line = 1 };
    tl_buf_init(&reader->text, limits->record_bytes_max);
}

void tl_csv_release(struct tl_csv_reader *reader)
{
    tl_buf_release(&reader->text);
    tl_free(reader->fields);
    *reader = (struct tl_csv_reader){ 0 };
}

void tl_csv_feed(struct tl_csv_reader *reader, const char *bytes, size_t len)
{
    tl_assert(reader->at == reader->end);
    tl_assert(!reader->ended);
    reader->at = len == 0 ? NULL : bytes;
    reader->end = len == 0 ? NULL : bytes + len;
}

void tl_csv_end(struct tl_csv_reader *reader)
{
    reader->ended = true;
}

static tally_status refuse(struct tl_csv_reader *r, uint64_t line, const char *what,
                           struct tally_error *err)
{
    r->state = TL_CSV_FAILED;
    return tl_refuse(err, "bad_csv", "", "line %" PRIu64 ": %s", line, what);
}

static tally_status fail(struct tl_csv_reader *r, tally_status status, struct tally_error *err)
{
    r->state = TL_CSV_FAILED;
    if (status == TALLY_ENOMEM) {
        return tl_fail(err, status, "line %" PRIu64 ": out of memory", r->line);
    }
    return tl_fail(err, status, "line %" PRIu64 ": a field or record is too large", r->line);
}

static tally_status add_bytes(struct tl_csv_reader *r, const char *bytes, size_t len,
                              struct tally_error *err)
{
    if (len > r->limits.field_bytes_max - r->field_len) {
        return fail(r, TALLY_ELIMIT, err);
    }
    tl_buf_add(&r->text, bytes, len);
    if (tl_buf_status(&r->text) != TALLY_OK) {
        return fail(r, tl_buf_status(&r->text), err);
    }
    r->field_len += len;
    return TALLY_OK;
}

static tally_status end_field(struct tl_csv_reader *r, struct tally_error *err)
{
    if (r->count == r->limits.fields_max) {
        return fail(r, TALLY_ELIMIT, err);
    }
    if (r->count == r->capacity) {
        size_t capacity = r->capacity == 0 ? 16 : r->capacity * 2;
        struct tl_str *fields = tl_realloc_array(r->fields, capacity, sizeof(*fields));
        if (fields == NULL) {
            return fail(r, TALLY_ENOMEM, err);
        }
        r->fields = fields;
        r->capacity = capacity;
    }
    r->fields[r->count++] = (struct tl_str){ .len = r->field_len };
    r->field_len = 0;
    r->state = TL_CSV_FIELD;
    return TALLY_OK;
}

/* Ends the last field. Only now does `text` no longer move, and fields can point into it. */
static tally_status end_record(struct tl_csv_reader *r, struct tl_csv_record *record_out,
                               struct tally_error *err)
{
    TL_TRY(end_field(r, err));
    const char *text = tl_buf_str(&r->text).text;
    for (size_t i = 0; i < r->count; i++) {
        r->fields[i].text = text;
        text += r->fields[i].len;
    }
    *record_out = (struct tl_csv_record){
        .fields = r->fields,
        .count = r->count,
        .line = r->record_line,
    };
    r->record_line = r->line;
    r->is_taken = true;
    return TALLY_OK;
}

/* How many of the next bytes are content, whatever comes after them. */
static size_t count_content(const struct tl_csv_reader *r)
{
    size_t left = (size_t)(r->end - r->at);
    if (r->state == TL_CSV_QUOTED) {
        const char *quote = memchr(r->at, '"', left);
        return quote == NULL ? left : (size_t)(quote - r->at);
    }
    if (r->state != TL_CSV_FIELD && r->state != TL_CSV_PLAIN) {
        return 0;
    }
    size_t len = 0;
    while (len < left && r->at[len] != ',' && r->at[len] != '"' && r->at[len] != '\r' &&
           r->at[len] != '\n') {
        len++;
    }
    return len;
}

static tally_status take_content(struct tl_csv_reader *r, size_t len, struct tally_error *err)
{
    if (r->state == TL_CSV_FIELD) {
        r->state = TL_CSV_PLAIN;
    }
    TL_TRY(add_bytes(r, r->at, len, err));
    if (r->state == TL_CSV_QUOTED) {
        for (size_t i = 0; i < len; i++) {
            r->line += r->at[i] == '\n';
        }
    }
    r->at += len;
    return TALLY_OK;
}

/* Takes a quote outside the content of a quoted field. */
static tally_status take_quote(struct tl_csv_reader *r, struct tally_error *err)
{
    if (r->state == TL_CSV_PLAIN) {
        return refuse(r, r->line, "a quote in a field that does not begin with one", err);
    }
    if (r->state == TL_CSV_QUOTE) {
        TL_TRY(add_bytes(r, "\"", 1, err));
    } else {
        r->quote_line = r->line;
    }
    r->state = TL_CSV_QUOTED;
    return TALLY_OK;
}

/* Takes a byte that is no content; says whether it ended a line. */
static tally_status take_mark(struct tl_csv_reader *r, char c, bool *is_line_out,
                              struct tally_error *err)
{
    *is_line_out = c == '\n' && r->state != TL_CSV_QUOTED;
    if (r->state == TL_CSV_QUOTED) {
        r->state = TL_CSV_QUOTE; /* nothing else ends its content */
        return TALLY_OK;
    }
    if (r->state == TL_CSV_CR && c != '\n') {
        return refuse(r, r->line, "a carriage return without a line feed", err);
    }
    if (c == '"') {
        return take_quote(r, err);
    }
    if (c == ',') {
        return end_field(r, err);
    }
    if (c == '\r') {
        r->state = TL_CSV_CR;
        return TALLY_OK;
    }
    return c == '\n' ? TALLY_OK : refuse(r, r->line, "text after a closing quote", err);
}

/* Passes over a byte order mark, of which a piece may hold a part; what was none is content. */
static tally_status settle_bom(struct tl_csv_reader *r, struct tally_error *err)
{
    while (r->bom_len < sizeof(bom) && r->at != r->end && *r->at == bom[r->bom_len]) {
        r->at++;
        r->bom_len++;
    }
    if (r->bom_len < sizeof(bom) && r->at == r->end && !r->ended) {
        return TALLY_OK;
    }
    r->bom_settled = true;
    if (r->bom_len == 0 || r->bom_len == sizeof(bom)) {
        return TALLY_OK;
    }
    r->state = TL_CSV_PLAIN;
    return add_bytes(r, bom, r->bom_len, err);
}

static tally_status next_at_end(struct tl_csv_reader *r, struct tl_csv_record *record_out,
                                struct tally_error *err)
{
    if (!r->ended || (r->state == TL_CSV_FIELD && r->count == 0)) {
        return TALLY_ENOTFOUND;
    }
    if (r->state == TL_CSV_QUOTED) {
        return refuse(r, r->quote_line, "a quoted field that begins here never ends", err);
    }
    if (r->state == TL_CSV_CR) {
        return refuse(r, r->line, "a carriage return without a line feed", err);
    }
    return end_record(r, record_out, err);
}

/* Takes the next run of content, or the next byte that is none. */
static tally_status take_next(struct tl_csv_reader *r, bool *is_line_out, struct tally_error *err)
{
    size_t content = count_content(r);
    if (content > 0) {
        return take_content(r, content, err);
    }
    TL_TRY(take_mark(r, *r->at, is_line_out, err));
    r->at++;
    return TALLY_OK;
}

tally_status tl_csv_next(struct tl_csv_reader *reader, struct tl_csv_record *record_out,
                         struct tally_error *err)
{
    tl_assert(reader->state != TL_CSV_FAILED);
    if (reader->is_taken) {
        tl_buf_clear(&reader->text);
        reader->count = 0;
        reader->is_taken = false;
    }
    if (!reader->bom_settled) {
        TL_TRY(settle_bom(reader, err));
    }
    bool is_line = false;
    while (reader->at != reader->end && !is_line) {
        TL_TRY(take_next(reader, &is_line, err));
    }
    if (!is_line) {
        return next_at_end(reader, record_out, err);
    }
    reader->line++;
    return end_record(reader, record_out, err);
}

static bool looks_like_formula(struct tl_str field)
{
    static const char *const full_width[] = { "\xEF\xBC\x9D", "\xEF\xBC\x8B", "\xEF\xBC\x8D",
                                              "\xEF\xBC\xA0" };
    static const char first[] = { '=', '+', '-', '@', '\t', '\r', '\n', '\0' };
    if (field.len > 0 && memchr(first, field.text[0], sizeof(first)) != NULL) {
        return true;
    }
    for (size_t i = 0; i < TL_ARRAY_LEN(full_width); i++) {
        if (tl_str_starts(field, tl_str_of(full_width[i]))) {
            return true;
        }
    }
    return false;
}

static bool needs_quotes(struct tl_str field)
{
    for (size_t i = 0; i < field.len; i++) {
        char c = field.text[i];
        if (c == ',' || c == '"' || c == '\r' || c == '\n') {
            return true;
        }
    }
    return false;
}

void tl_csv_field(struct tl_buf *out, struct tl_str field, bool guard)
{
    bool quotes = needs_quotes(field);
    if (quotes) {
        tl_buf_add_char(out, '"');
    }
    if (guard && looks_like_formula(field)) {
        tl_buf_add_char(out, '\'');
    }
    for (size_t at = 0; at < field.len;) {
        const char *quote = memchr(field.text + at, '"', field.len - at);
        size_t end = quote == NULL ? field.len : (size_t)(quote - field.text) + 1;
        tl_buf_add(out, field.text + at, end - at);
        if (quote != NULL) {
            tl_buf_add_char(out, '"');
        }
        at = end;
    }
    if (quotes) {
        tl_buf_add_char(out, '"');
    }
}
