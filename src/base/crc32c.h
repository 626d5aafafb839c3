/*
 * base/crc32c.h - CRC-32C, the checksum of Castagnoli (RFC 3720, appendix B.4).
 *
 * Finds what a disk or a crash did to bytes. No signature: whoever changes bytes on purpose can
 * compute it again.
 */
#ifndef TL_BASE_CRC32C_H
#define TL_BASE_CRC32C_H

#include "base/base.h"

/* The checksum of what came before, `crc` (of nothing: 0), and bytes[0..len) after it. */
uint32_t tl_crc32c(uint32_t crc, const void *bytes, size_t len);

/* The same without help of the processor: slower by far. */
uint32_t tl_crc32c_portable(uint32_t crc, const void *bytes, size_t len);

#endif /* TL_BASE_CRC32C_H */
