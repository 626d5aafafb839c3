#include "codec/csv_read.h"

void tl_csv_row_init(struct tl_csv_row *row, size_t bytes_max)
{
    *row = (struct tl_csv_row){ .count = 0 };
    tl_buf_init(&row->text, bytes_max);
}

void tl_csv_row_release(struct tl_csv_row *row)
{
    tl_buf_release(&row->text);
    row->count = 0;
}

struct tl_str tl_csv_field(const struct tl_csv_row *row, size_t index)
{
    tl_assert(index < row->count);
    size_t start = index == 0 ? 0 : row->ends[index - 1];
    size_t len = row->ends[index] - start;
    return len == 0 ? TL_STR("") : (struct tl_str){ row->text.data + start, len };
}

struct reader {
    struct tl_csv_row *row;
    const char *text;
    size_t len;
    size_t at;
    bool ended;
};

enum field_end { FIELD_COMMA, FIELD_LINE, FIELD_OPEN, FIELD_BAD };

/* Reads up to the closing quote, whose opening one is before `at`. */
static enum field_end read_quoted(struct reader *reader)
{
    while (reader->at < reader->len) {
        const char *from = reader->text + reader->at;
        const char *quote = memchr(from, '"', reader->len - reader->at);
        size_t part = quote == NULL ? reader->len - reader->at : (size_t)(quote - from);
        tl_buf_add(&reader->row->text, from, part);
        reader->at += part;
        if (quote == NULL) {
            break;
        }
        reader->at++;
        if (reader->at == reader->len || reader->text[reader->at] != '"') {
            return FIELD_COMMA; /* closed; what follows is looked at by the caller */
        }
        tl_buf_add_char(&reader->row->text, '"');
        reader->at++;
    }
    return reader->ended ? FIELD_BAD : FIELD_OPEN;
}

static void read_plain(struct reader *reader)
{
    size_t start = reader->at;
    while (reader->at < reader->len) {
        char c = reader->text[reader->at];
        bool is_crlf = c == '\r' && reader->at + 1 < reader->len && reader->text[reader->at + 1] == '\n';
        if (c == ',' || c == '\n' || is_crlf) {
            break;
        }
        reader->at++;
    }
    tl_buf_add(&reader->row->text, reader->text + start, reader->at - start);
}

/* Reads what comes after a field. */
static enum field_end read_end(struct reader *reader)
{
    if (reader->at == reader->len) {
        return reader->ended ? FIELD_LINE : FIELD_OPEN;
    }
    char c = reader->text[reader->at];
    if (c == '\r') {
        if (reader->at + 1 == reader->len) {
            reader->at += reader->ended ? 1 : 0;
            return reader->ended ? FIELD_LINE : FIELD_OPEN;
        }
        if (reader->text[reader->at + 1] != '\n') {
            return FIELD_BAD;
        }
        reader->at += 2;
        return FIELD_LINE;
    }
    if (c != ',' && c != '\n') {
        return FIELD_BAD;
    }
    reader->at++;
    return c == ',' ? FIELD_COMMA : FIELD_LINE;
}

static enum field_end read_field(struct reader *reader)
{
    if (reader->at < reader->len && reader->text[reader->at] == '"') {
        reader->at++;
        enum field_end end = read_quoted(reader);
        if (end != FIELD_COMMA) {
            return end;
        }
    } else {
        read_plain(reader);
    }
    return read_end(reader);
}

/* After a malformed field: the record ends with its line. */
static tally_status pass_over(struct reader *reader, size_t *used_out, struct tally_error *err)
{
    const char *from = reader->text + reader->at;
    size_t left = reader->len - reader->at;
    const char *newline = left == 0 ? NULL : memchr(from, '\n', left);
    if (newline == NULL && !reader->ended) {
        return TALLY_OK; /* *used_out is 0 */
    }
    *used_out = newline == NULL ? reader->len : (size_t)(newline + 1 - reader->text);
    return tl_refuse_at(err, "bad_csv", reader->at, "malformed CSV");
}

tally_status tl_csv_read(struct tl_csv_row *row, const char *text, size_t len, bool ended,
                         size_t *used_out, struct tally_error *err)
{
    struct reader reader = { .row = row, .text = text, .len = len, .ended = ended };
    tl_buf_clear(&row->text);
    row->count = 0;
    *used_out = 0;
    if (len == 0) {
        return TALLY_OK;
    }
    for (;;) {
        enum field_end end = row->count == TL_CSV_FIELDS_MAX ? FIELD_BAD : read_field(&reader);
        if (end == FIELD_BAD) {
            return pass_over(&reader, used_out, err);
        }
        if (end == FIELD_OPEN) {
            return TALLY_OK;
        }
        row->ends[row->count] = row->text.len;
        row->count++;
        if (end == FIELD_LINE) {
            break;
        }
    }
    *used_out = reader.at;
    tally_status status = tl_buf_status(&row->text);
    return status == TALLY_OK ? TALLY_OK : tl_fail(err, status, "the CSV record is too large");
}
