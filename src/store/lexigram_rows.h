/*
 * store/lexigram_rows.h - rows of a lexigram-audit table in an SQLite file, exactly as stored.
 *
 * The old database is only read: nothing is written to it, and nothing beside it.
 */
#ifndef TL_STORE_LEXIGRAM_ROWS_H
#define TL_STORE_LEXIGRAM_ROWS_H

#include "base/base.h"
#include "base/str.h"

/* One row, in order of `id`. All borrowed for the call. */
struct tl_lexigram_cells {
    int64_t id;
    size_t count;
    const char *const *names;    /* of the columns, NUL-terminated */
    const struct tl_str *values; /* as text, with a NUL behind; absent for SQL NULL */
};

/* Anything but TALLY_OK ends the reading and becomes its result. */
typedef tally_status tl_lexigram_cells_fn(void *ctx, const struct tl_lexigram_cells *cells,
                                          struct tally_error *err);

/*
 * Calls `fn` for each row of `table` in the file `path`, all from one read transaction.
 * *shared_out is how many rows have a checksum that another one has as well; NULL is allowed.
 *
 * Errors: TALLY_ENOTFOUND no such file; TALLY_EINVAL no database, or no such table in it, or no
 *         column `id`; TALLY_EIO, TALLY_ENOMEM; what `fn` returned
 */
tally_status tl_lexigram_rows(const char *path, const char *table, tl_lexigram_cells_fn *fn,
                              void *ctx, uint64_t *shared_out, struct tally_error *err);

#endif /* TL_STORE_LEXIGRAM_ROWS_H */
