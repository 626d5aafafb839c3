/*
 * store/tamper.h - copies a ledger's databases, and damages the copies.
 *
 * For drills alone: whatever is done here is what an attacker with a database shell would do, so
 * nothing is checked and no guard is left on. Never to be used on a ledger that anybody needs.
 */
#ifndef TL_STORE_TAMPER_H
#define TL_STORE_TAMPER_H

#include "base/base.h"
#include "base/buf.h"
#include "base/str.h"

/*
 * Copies a database that may be in use, as of one moment, to a file that is made. Writers are not
 * held up. Errors: TALLY_ENOTFOUND, TALLY_EBUSY, TALLY_ECORRUPT, TALLY_EIO, TALLY_ENOMEM
 */
tally_status tl_tamper_copy(const char *from, const char *to, struct tally_error *err);

/* A value for a statement. Borrowed for the call. */
struct tl_tamper_value {
    enum { TL_TAMPER_NULL, TL_TAMPER_NUMBER, TL_TAMPER_TEXT, TL_TAMPER_BLOB } type;
    int64_t number;
    const void *bytes;
    size_t len;
};

static inline struct tl_tamper_value tl_tamper_number(uint64_t number)
{
    return (struct tl_tamper_value){ .type = TL_TAMPER_NUMBER, .number = (int64_t)number };
}

static inline struct tl_tamper_value tl_tamper_text(struct tl_str text)
{
    return (struct tl_tamper_value){ .type = TL_TAMPER_TEXT, .bytes = text.text, .len = text.len };
}

static inline struct tl_tamper_value tl_tamper_blob(const void *bytes, size_t len)
{
    return (struct tl_tamper_value){ .type = TL_TAMPER_BLOB, .bytes = bytes, .len = len };
}

/* A database open for damage: its triggers are switched off. Confined to one thread. */
struct tl_tamper;

tally_status tl_tamper_open(struct tl_tamper **tamper_out, const char *path,
                            struct tally_error *err);
void tl_tamper_close(struct tl_tamper *tamper); /* NULL is allowed */

/* Runs one statement; *changed_out, which may be NULL, is the number of rows it changed. */
tally_status tl_tamper_run(struct tl_tamper *tamper, const char *sql,
                           const struct tl_tamper_value *values, size_t count,
                           uint64_t *changed_out, struct tally_error *err);

/*
 * Runs a query and takes the first column of its first row, as bytes added to `bytes_out` or as a
 * number; either may be NULL. TALLY_ENOTFOUND if there is no row, or NULL in it.
 */
tally_status tl_tamper_get(struct tl_tamper *tamper, const char *sql,
                           const struct tl_tamper_value *values, size_t count,
                           struct tl_buf *bytes_out, uint64_t *number_out, struct tally_error *err);

#endif /* TL_STORE_TAMPER_H */
