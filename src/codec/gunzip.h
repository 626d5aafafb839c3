/*
 * codec/gunzip.h - gzip (RFC 1952) decoded piece by piece.
 *
 * A part of builds with zlib alone: in others tl_gunzip_new() says TALLY_ENOTSUP.
 */
#ifndef TL_CODEC_GUNZIP_H
#define TL_CODEC_GUNZIP_H

#include "base/base.h"

struct tl_gunzip; /* confined to one thread */

/* Errors: TALLY_ENOMEM, TALLY_ENOTSUP. Owned: tl_gunzip_free(), for which NULL is allowed. */
tally_status tl_gunzip_new(struct tl_gunzip **gunzip_out, struct tally_error *err);
void tl_gunzip_free(struct tl_gunzip *gunzip);

/*
 * Decodes from *in, which it moves on by what it took, to `out`; *out_len is how much came. Several
 * gzip streams in a row are one. Errors: TALLY_EINVAL damaged, or no gzip; TALLY_ENOMEM
 */
tally_status tl_gunzip_run(struct tl_gunzip *gunzip, const uint8_t **in, size_t *in_len, char *out,
                           size_t out_size, size_t *out_len, struct tally_error *err);

/* Whether the input may end here. */
bool tl_gunzip_is_complete(const struct tl_gunzip *gunzip);

#endif /* TL_CODEC_GUNZIP_H */
