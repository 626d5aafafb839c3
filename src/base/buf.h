/*
 * base/buf.h - an owned, growing, bounded run of bytes.
 *
 * A failed append leaves the buffer as it was and marks it broken, so that a writer of many small
 * pieces may check once at the end, with tl_buf_status().
 */
#ifndef TL_BASE_BUF_H
#define TL_BASE_BUF_H

#include "base/base.h"
#include "base/str.h"

/* Confined to one thread. A zeroed one must be initialised; a released one is zeroed. */
struct tl_buf {
    char *data; /* NULL until something was appended */
    size_t len;
    size_t capacity;
    size_t len_max; /* bytes; more is TALLY_ELIMIT */
    tally_status status;
};

void tl_buf_init(struct tl_buf *buf, size_t len_max);
void tl_buf_release(struct tl_buf *buf);

/* Uses `size` bytes of the caller's for all there will be, with room for a NUL kept: such a buffer
 * never allocates, and is neither released nor taken from. */
void tl_buf_init_fixed(struct tl_buf *buf, char *memory, size_t size);

/* Empties the buffer, keeps its memory, and forgets an earlier failure. */
void tl_buf_clear(struct tl_buf *buf);

/*
 * Makes room for `len` more bytes and returns where they go, or NULL after a failure. The bytes
 * count only once tl_buf_commit() says how many were written.
 */
char *tl_buf_reserve(struct tl_buf *buf, size_t len);
void tl_buf_commit(struct tl_buf *buf, size_t len);

void tl_buf_add(struct tl_buf *buf, const void *bytes, size_t len);
void tl_buf_add_str(struct tl_buf *buf, struct tl_str str);
void tl_buf_add_text(struct tl_buf *buf, const char *text); /* NUL-terminated */
void tl_buf_add_char(struct tl_buf *buf, char c);
void tl_buf_add_u64(struct tl_buf *buf, uint64_t value); /* decimal */
void tl_buf_addf(struct tl_buf *buf, const char *fmt, ...) TL_PRINTF(2, 3);

/* TALLY_OK, or the first failure since the last clear: TALLY_ENOMEM or TALLY_ELIMIT. */
tally_status tl_buf_status(const struct tl_buf *buf);

struct tl_str tl_buf_str(const struct tl_buf *buf); /* borrowed until the next change */

/*
 * Hands over the contents as a NUL-terminated string, to be freed with tl_free(), and leaves the
 * buffer empty. NULL after a failure or without memory.
 */
char *tl_buf_take(struct tl_buf *buf, size_t *len_out);

#endif /* TL_BASE_BUF_H */
