/*
 * codec/zstd.h - Zstandard (RFC 8878), compressed and decoded piece by piece.
 *
 * Decoding takes windows of at most 8 MiB, which is more than the writer makes: what others wrote
 * cannot have it allocate more.
 */
#ifndef TL_CODEC_ZSTD_H
#define TL_CODEC_ZSTD_H

#include "base/base.h"

/* Confined to one thread. */
struct tl_zstd_writer;
struct tl_zstd_reader;

/* Input that is moved on by what was taken, and room for output. Borrowed for the call. */
struct tl_zstd_piece {
    const char *in;
    size_t in_len;
    char *out;
    size_t out_size;
    size_t out_len; /* set by the call */
};

/* Errors: TALLY_ENOMEM. Owned; NULL is allowed when freeing. */
tally_status tl_zstd_writer_new(struct tl_zstd_writer **writer_out, struct tally_error *err);
void tl_zstd_writer_free(struct tl_zstd_writer *writer);

/* With `end` there is no more input after this; then *done_out says whether all output came. Errors:
 * TALLY_ENOMEM */
tally_status tl_zstd_write(struct tl_zstd_writer *writer, struct tl_zstd_piece *piece, bool end,
                           bool *done_out, struct tally_error *err);

tally_status tl_zstd_reader_new(struct tl_zstd_reader **reader_out, struct tally_error *err);
void tl_zstd_reader_free(struct tl_zstd_reader *reader);

/* Several frames in a row are one. Errors: TALLY_EINVAL damaged, no Zstandard, or too large a window;
 * TALLY_ENOMEM */
tally_status tl_zstd_read(struct tl_zstd_reader *reader, struct tl_zstd_piece *piece,
                          struct tally_error *err);

/* Whether the input may end here. */
bool tl_zstd_is_complete(const struct tl_zstd_reader *reader);

#endif /* TL_CODEC_ZSTD_H */
