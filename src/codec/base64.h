/* codec/base64.h - base64 of RFC 4648 section 4, padded, in its one canonical spelling. */
#ifndef TL_CODEC_BASE64_H
#define TL_CODEC_BASE64_H

#include "base/buf.h"

/* Appends the text of `len` bytes. Check tl_buf_status() afterwards. */
void tl_base64_encode(struct tl_buf *out, const uint8_t *bytes, size_t len);

/* The most bytes that `text_len` characters can stand for; up to two more than they do. */
size_t tl_base64_decoded_len_max(size_t text_len);

/*
 * Reads all of `text`: no white space, no missing padding, no set bits after the last byte, so that
 * encoding the result gives the very same text. After a failure the bytes of `out` are undefined.
 *
 * Errors: TALLY_EINVAL it is not canonical base64
 *         TALLY_ELIMIT the result is longer than `out_size`; nothing was written
 */
tally_status tl_base64_decode(uint8_t *out, size_t out_size, size_t *len_out, const char *text,
                              size_t text_len);

#endif /* TL_CODEC_BASE64_H */
