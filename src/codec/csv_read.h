/*
 * codec/csv_read.h - CSV (RFC 4180) read record by record: commas, double quotes, CRLF or LF.
 *
 * More lenient than the RFC in one thing: a quote inside a field that does not begin with one is
 * an ordinary character.
 */
#ifndef TL_CODEC_CSV_READ_H
#define TL_CODEC_CSV_READ_H

#include "base/buf.h"
#include "base/str.h"

#define TL_CSV_FIELDS_MAX 512u

/* The fields of one record. tl_csv_row_init(), tl_csv_row_release(). */
struct tl_csv_row {
    struct tl_buf text; /* fields without quotes, one after the other */
    size_t ends[TL_CSV_FIELDS_MAX];
    size_t count;
};

void tl_csv_row_init(struct tl_csv_row *row, size_t bytes_max);
void tl_csv_row_release(struct tl_csv_row *row);

/* Borrowed until the row changes. */
struct tl_str tl_csv_field(const struct tl_csv_row *row, size_t index);

/*
 * Reads the record at the start of `text`; `ended` says that nothing follows `text`. *used_out is
 * how long it is with its line end, also when it is malformed: the next one begins there. 0 with
 * TALLY_OK: it does not end in `text`, and more is needed. An empty line is a row of one empty
 * field.
 *
 * Errors: TALLY_EREFUSED bad_csv: text after a closing quote, a quote that nothing closes, more
 *                        than TL_CSV_FIELDS_MAX fields; TALLY_ENOMEM, TALLY_ELIMIT
 */
tally_status tl_csv_read(struct tl_csv_row *row, const char *text, size_t len, bool ended,
                         size_t *used_out, struct tally_error *err);

#endif /* TL_CODEC_CSV_READ_H */
