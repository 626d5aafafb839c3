/*
 * base/siphash.h - SipHash-2-4, a short keyed hash (Aumasson and Bernstein, 2012).
 *
 * For hash tables and sums over what somebody else chose: who does not know the key cannot prepare
 * collisions. No signature and no commitment; those take SHA-256.
 */
#ifndef TL_BASE_SIPHASH_H
#define TL_BASE_SIPHASH_H

#include "base/base.h"

#define TL_SIPHASH_KEY_LEN 16

uint64_t tl_siphash(const uint8_t key[TL_SIPHASH_KEY_LEN], const void *bytes, size_t len);

#endif /* TL_BASE_SIPHASH_H */
