/* Whatever the reader accepts, writing the fields and reading them again gives the same fields. */
#include "codec/csv.h"
#include "fuzz.h"

static const struct tl_csv_limits limits = {
    .field_bytes_max = (size_t)1 << 20,
    .record_bytes_max = (size_t)1 << 20,
    .fields_max = 1000,
};

/* Reads it all in pieces and writes it in the canonical spelling; false if it is refused. */
static bool rewrite(struct tl_str text, size_t piece, struct tl_buf *out)
{
    TL_CLEANUP(tl_csv_release) struct tl_csv_reader reader = { 0 };
    struct tl_csv_record record = { 0 };
    uint64_t line = 0;
    size_t at = 0;
    tl_csv_init(&reader, &limits);
    for (;;) {
        tally_status status = tl_csv_next(&reader, &record, NULL);
        if (status == TALLY_OK) {
            tl_assert(record.count > 0 && record.line > line);
            line = record.line;
            for (size_t i = 0; i < record.count; i++) {
                tl_buf_add(out, ",", i > 0);
                tl_csv_field(out, record.fields[i], false);
            }
            tl_buf_add_text(out, "\r\n");
        } else if (status != TALLY_ENOTFOUND) {
            return false;
        } else if (at < text.len) {
            size_t size = text.len - at < piece ? text.len - at : piece;
            tl_csv_feed(&reader, text.text + at, size);
            at += size;
        } else if (reader.ended) {
            return tl_buf_status(out) == TALLY_OK;
        } else {
            tl_csv_end(&reader);
        }
    }
}

bool fuzz_one(const uint8_t *data, size_t len)
{
    TL_CLEANUP(tl_buf_release) struct tl_buf first = { 0 };
    TL_CLEANUP(tl_buf_release) struct tl_buf second = { 0 };
    tl_buf_init(&first, (size_t)8 << 20);
    tl_buf_init(&second, (size_t)8 << 20);
    struct tl_str text = { .text = (const char *)data, .len = len };
    bool accepted = rewrite(text, len + 1, &first);
    tl_assert(rewrite(text, 1 + len / 3, &second) == accepted);
    tl_assert(!accepted || tl_str_equal(tl_buf_str(&first), tl_buf_str(&second)));
    /* Two marks, one after the other, would be content that looks like one mark. */
    if (accepted && !tl_str_starts(tl_buf_str(&first), TL_STR("\xEF\xBB\xBF"))) {
        tl_buf_clear(&second);
        tl_assert(rewrite(tl_buf_str(&first), 7, &second));
        tl_assert(tl_str_equal(tl_buf_str(&first), tl_buf_str(&second)));
    }
    return accepted;
}
