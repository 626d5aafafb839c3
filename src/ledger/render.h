/* ledger/render.h - a record as reading interfaces show it (docs/events.md). */
#ifndef TL_LEDGER_RENDER_H
#define TL_LEDGER_RENDER_H

#include "ledger/walk.h"

/* Where the parts of a rendered line lie in the buffer. */
struct tl_rendered {
    size_t line; /* offset of the line, which ends with a NUL that does not count */
    size_t line_len;
    size_t event; /* offset; only with event_len > 0 */
    size_t event_len;
    size_t id; /* offset of the unescaped id, NUL-terminated */
};

/* Appends the record as one line of JSON. Check tl_buf_status() afterwards. */
void tl_render_line(struct tl_buf *out, const struct tl_match *match, const char *origin);

/* The same, with NULs and the id, for struct tally_item. */
void tl_render_item(struct tl_buf *out, const struct tl_match *match, const char *origin,
                    struct tl_rendered *rendered);

/* Appends one line of CSV, with CRLF; and the header. */
void tl_render_csv(struct tl_buf *out, const struct tl_match *match, bool guard);
void tl_render_csv_header(struct tl_buf *out);

#endif /* TL_LEDGER_RENDER_H */
