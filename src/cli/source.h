/*
 * cli/source.h - what an import reads: a file or stdin, gzip or not, through a window that moves.
 *
 * Texts are borrowed from the window, until the next call. One may have TL_INPUT_BYTES_MAX bytes.
 */
#ifndef TL_CLI_SOURCE_H
#define TL_CLI_SOURCE_H

#include "base/base.h"
#include "base/str.h"
#include "codec/csv.h"
#include "codec/gunzip.h"

/* Confined to one thread. tl_source_open(), tl_source_close(). */
struct tl_source {
    const char *path;
    int fd;
    struct tl_gunzip *gunzip; /* NULL unless the file is gzip */
    uint8_t *raw;             /* of gzip: what was read and not yet decoded */
    size_t raw_start;
    size_t raw_end;
    char *data;
    size_t start; /* of what was not yet taken */
    size_t end;
    size_t capacity;
    bool ended;               /* nothing follows the window */
    uint64_t line;            /* number of the line at `start`, from 1 */
    uint64_t bytes_read;      /* from the file, for progress */
    struct tl_csv_reader csv; /* in use once tl_source_csv() was called */
    size_t csv_fed;           /* bytes of the window that the reader has */
    bool csv_open;
    /* Called when the input keeps us waiting. Its failure ends the reading. */
    tally_status (*on_idle)(void *ctx, struct tally_error *err);
    void (*on_read)(void *ctx, const struct tl_source *source); /* after each read; or NULL */
    void *ctx;
};

/*
 * Opens `path`, "-" for stdin, and reads its beginning: whether it is gzip, and a byte order mark,
 * which is passed over. Borrows `path`.
 *
 * Errors, of this and of all below: TALLY_EIO; TALLY_EINVAL damaged gzip; TALLY_ENOTSUP gzip without
 * zlib; TALLY_ECANCELED a signal came while it waited; TALLY_ENOMEM
 */
tally_status tl_source_open(struct tl_source *source, const char *path, struct tally_error *err);
void tl_source_close(struct tl_source *source);

/* What is in the window; at least the first bytes of what is left. */
struct tl_str tl_source_window(const struct tl_source *source);

/*
 * Gives the next line without its end. TALLY_ENOTFOUND after the last one; TALLY_ELIMIT if it is too
 * long: *line_out is its beginning, and it was passed over.
 */
tally_status tl_source_line(struct tl_source *source, struct tl_str *line_out, uint64_t *number_out,
                            struct tally_error *err);

/* Passes over white space and sets *c_out to the next character, or -1 at the end. */
tally_status tl_source_peek(struct tl_source *source, int *c_out, struct tally_error *err);

/* Passes over one character. */
void tl_source_skip(struct tl_source *source);

/*
 * Gives the JSON value that comes next, from its first to its last character, by counting brackets:
 * whether it is well formed is for a reader to say. TALLY_EREFUSED (bad_json) if the input ends
 * within it, or there is none; TALLY_ELIMIT if it is too long.
 */
tally_status tl_source_value(struct tl_source *source, struct tl_str *text_out,
                             uint64_t *number_out, struct tally_error *err);

/*
 * Reads the next CSV record, and gives its text as well. TALLY_ENOTFOUND after the last one;
 * TALLY_EREFUSED (bad_csv) or TALLY_ELIMIT if it is malformed or too long: its line was passed over.
 */
tally_status tl_source_csv(struct tl_source *source, struct tl_csv_record *record_out,
                           struct tl_str *text_out, uint64_t *number_out, struct tally_error *err);

#endif /* TL_CLI_SOURCE_H */
