/*
 * codec/csv.h - CSV of RFC 4180: a reader that takes its input piece by piece, and a field writer.
 *
 * Knows commas, quotes and lines; what a column means, how many a record must have and whether its
 * text is UTF-8 is the caller's business.
 */
#ifndef TL_CODEC_CSV_H
#define TL_CODEC_CSV_H

#include "base/buf.h"

/* Bounds for a reader; each must be set. */
struct tl_csv_limits {
    size_t field_bytes_max;
    size_t record_bytes_max; /* of all fields together, without quotes and commas */
    size_t fields_max;       /* in one record */
};

/* One record. Borrowed until the next call on its reader. */
struct tl_csv_record {
    const struct tl_str *fields; /* without quotes; an empty one is not absent */
    size_t count;                /* at least 1: an empty line is one empty field */
    uint64_t line;               /* on which it begins, from 1 */
};

enum tl_csv_state {
    TL_CSV_FIELD = 0, /* before a field */
    TL_CSV_PLAIN,
    TL_CSV_QUOTED,
    TL_CSV_QUOTE, /* after a quote in a quoted field: its end, or half of a doubled one */
    TL_CSV_CR,    /* after a CR outside quotes, which must be followed by LF */
    TL_CSV_FAILED,
};

/* Confined to one thread. Initialise it, feed it, take records, release it. */
struct tl_csv_reader {
    struct tl_csv_limits limits;
    enum tl_csv_state state;
    const char *at; /* the rest of what was fed; borrowed */
    const char *end;
    bool ended;
    bool bom_settled; /* whether it is known if the input begins with a byte order mark */
    size_t bom_len;   /* bytes of it seen so far */
    struct tl_buf text;
    struct tl_str *fields; /* owned; the bytes are in `text` */
    size_t capacity;
    size_t count;     /* complete fields */
    size_t field_len; /* bytes of the field at hand */
    bool is_taken;    /* the record was handed out and makes room at the next call */
    uint64_t line;
    uint64_t record_line;
    uint64_t quote_line; /* on which the quoted field at hand begins */
};

void tl_csv_init(struct tl_csv_reader *reader, const struct tl_csv_limits *limits);
void tl_csv_release(struct tl_csv_reader *reader);

/*
 * Hands over the next piece of the input, of any size, which must stay as it is until
 * tl_csv_next() asks for more. Only then may another piece follow.
 */
void tl_csv_feed(struct tl_csv_reader *reader, const char *bytes, size_t len);

/* Says that what was fed is all. */
void tl_csv_end(struct tl_csv_reader *reader);

/*
 * Gives the next record. Lines end with CRLF or LF, the last one also without; a byte order mark at
 * the start is skipped. After any other failure than TALLY_ENOTFOUND the reader can only be
 * released.
 *
 * Errors: TALLY_ENOTFOUND it needs another piece, or there is no other record after tl_csv_end()
 *         TALLY_EREFUSED  bad_csv: a quote or CR where none may be, or a field that never ends
 *         TALLY_ELIMIT    a bound was passed; TALLY_ENOMEM
 *         The message names the line.
 */
tally_status tl_csv_next(struct tl_csv_reader *reader, struct tl_csv_record *record_out,
                         struct tally_error *err);

/*
 * Appends `field`, in quotes if it holds a comma, a quote, CR or LF. Commas and line ends are up to
 * the caller. With `guard`, text that a spreadsheet might take for a formula, because it begins
 * with = + - @ (also full-width), TAB, CR, LF or NUL, gets a leading apostrophe.
 */
void tl_csv_field(struct tl_buf *out, struct tl_str field, bool guard);

#endif /* TL_CODEC_CSV_H */
