/* codec/utf8.h - strict UTF-8 (RFC 3629): no overlong form, no surrogate, nothing above U+10FFFF. */
#ifndef TL_CODEC_UTF8_H
#define TL_CODEC_UTF8_H

#include "base/base.h"

/* Returns how many bytes, 1 to 4, the character at the start of `text` takes; 0 if there is none. */
size_t tl_utf8_char_len(const char *text, size_t len);

/* Returns how many bytes at the start of `text` are valid: `len` if all are. */
size_t tl_utf8_valid_len(const char *text, size_t len);

/* Writes a character, which is no surrogate, to `to`, which has room for 4; returns its length. */
size_t tl_utf8_encode(char *to, uint32_t character);

#endif /* TL_CODEC_UTF8_H */
