/* OpenSSL's interface to a hash function of its own choice costs more than hashing a leaf. */
#define OPENSSL_SUPPRESS_DEPRECATED

#include <string.h>

#include <openssl/sha.h>

#include "base/bytes.h"
#include "crypto/crypto.h"

_Static_assert(sizeof(SHA256_CTX) <= sizeof(struct tl_sha256), "the state must fit");
_Static_assert(_Alignof(SHA256_CTX) <= _Alignof(struct tl_sha256), "and lie where it may");
_Static_assert(SHA256_DIGEST_LENGTH == TL_SHA256_LEN, "");
_Static_assert(SHA256_CBLOCK == TL_SHA256_BLOCK, "");

static SHA256_CTX *context_of(struct tl_sha256 *hash)
{
    return (void *)hash;
}

/* None of the three functions of OpenSSL called here can fail. */
void tl_sha256_init(struct tl_sha256 *hash)
{
    (void)SHA256_Init(context_of(hash));
}

void tl_sha256_add(struct tl_sha256 *hash, const void *bytes, size_t len)
{
    (void)SHA256_Update(context_of(hash), bytes, len);
}

void tl_sha256_end(struct tl_sha256 *hash, uint8_t out[TL_SHA256_LEN])
{
    (void)SHA256_Final(out, context_of(hash));
}

/*
 * Most of what is hashed takes one block or two: there is more to SHA256_Final() than to them. So
 * the last block, with its padding, is made here.
 */
void tl_sha256(uint8_t out[TL_SHA256_LEN], const void *bytes, size_t len)
{
    const uint8_t *from = bytes;
    size_t left = len % TL_SHA256_BLOCK;
    SHA256_CTX context;
    (void)SHA256_Init(&context);
    if (len > left) {
        (void)SHA256_Update(&context, from, len - left);
    }
    uint8_t last[2 * TL_SHA256_BLOCK] = { 0 };
    if (left > 0) {
        memcpy(last, from + (len - left), left);
    }
    last[left] = 0x80;
    size_t end = left + 1 + sizeof(uint64_t) <= TL_SHA256_BLOCK ? TL_SHA256_BLOCK : sizeof(last);
    tl_put_be64(last + end - sizeof(uint64_t), (uint64_t)len * 8);
    (void)SHA256_Update(&context, last, end);
    for (size_t i = 0; i < TL_ARRAY_LEN(context.h); i++) {
        tl_put_be32(out + 4 * i, context.h[i]);
    }
}

/* Starts a hash with the key, filled up with zeros to a block and masked with `mask`. */
static void init_keyed(struct tl_sha256 *hash, const uint8_t key[TL_SHA256_BLOCK], uint8_t mask)
{
    uint8_t block[TL_SHA256_BLOCK];
    for (size_t i = 0; i < sizeof(block); i++) {
        block[i] = key[i] ^ mask;
    }
    tl_sha256_init(hash);
    tl_sha256_add(hash, block, sizeof(block));
    explicit_bzero(block, sizeof(block));
}

void tl_hmac_key_init(struct tl_hmac_key *key, const uint8_t *bytes, size_t len)
{
    uint8_t block[TL_SHA256_BLOCK] = { 0 };
    if (len > sizeof(block)) {
        tl_sha256(block, bytes, len);
    } else if (len > 0) {
        memcpy(block, bytes, len);
    }
    init_keyed(&key->inner, block, 0x36);
    init_keyed(&key->outer, block, 0x5c);
    explicit_bzero(block, sizeof(block));
}

void tl_hmac_key_release(struct tl_hmac_key *key)
{
    explicit_bzero(key, sizeof(*key));
}

void tl_hmac(const struct tl_hmac_key *key, const void *bytes, size_t len,
             uint8_t out[TL_SHA256_LEN])
{
    uint8_t inner[TL_SHA256_LEN];
    struct tl_sha256 hash = key->inner;
    tl_sha256_add(&hash, bytes, len);
    tl_sha256_end(&hash, inner);
    hash = key->outer;
    tl_sha256_add(&hash, inner, sizeof(inner));
    tl_sha256_end(&hash, out);
    explicit_bzero(&hash, sizeof(hash));
    explicit_bzero(inner, sizeof(inner));
}
