/*
 * codec/lexigram_json.h - the canonical JSON that lexigram-audit's checksums are computed over.
 *
 * Not RFC 8785: members are sorted by the bytes of their names, integers may have 64 bits, and
 * floats keep a `.0`. tally/lexigram.h has the checksum itself.
 */
#ifndef TL_CODEC_LEXIGRAM_JSON_H
#define TL_CODEC_LEXIGRAM_JSON_H

#include <tally/lexigram.h>

#include "base/arena.h"
#include "base/buf.h"
#include "codec/json.h"

#define TL_LEXIGRAM_NO_VERSION (-1) /* leave the member entry_schema_version alone */

/* How to write an entry. */
struct tl_lexigram_style {
    int version;          /* value of the member entry_schema_version */
    bool exponent_signed; /* 1e+16 in place of 1e16 */
};

/*
 * Reads an entry. Like tl_json_read(), with TALLY_EINVAL in place of TALLY_EREFUSED; what is no
 * object is refused as well.
 */
tally_status tl_lexigram_read(struct tl_arena *arena, const char *text, size_t len,
                              const struct tl_json **entry_out, struct tally_error *err);

/*
 * Appends the canonical text of an entry; working memory comes from `arena`.
 *
 * Errors: TALLY_EINVAL an integer is outside -2^63 ... 2^64-1; what `out` reports
 */
tally_status tl_lexigram_write(struct tl_buf *out, const struct tl_json *entry,
                               const struct tl_lexigram_style *style, struct tl_arena *arena,
                               struct tally_error *err);

/* Errors: TALLY_EINVAL, if a column cannot be written as JSON; err names it. */
tally_status tl_lexigram_check_row(const struct tally_lexigram_row *row, struct tally_error *err);

/*
 * Appends the canonical text of a row that passed the check, with another time and version. Check
 * tl_buf_status() afterwards.
 */
void tl_lexigram_write_row(struct tl_buf *out, const struct tally_lexigram_row *row,
                           struct tl_str changed_at, int version);

/*
 * Appends a stored time as it was before it was stored: a `T` in place of the first space, and six
 * fraction digits, or none if they are zero. Text that is no time passes through.
 */
void tl_lexigram_write_time(struct tl_buf *out, struct tl_str stored);

#endif /* TL_CODEC_LEXIGRAM_JSON_H */
