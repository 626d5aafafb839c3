/*
 * crypto/crypto.h - SHA-256, HMAC-SHA-256 and Ed25519; the only user of OpenSSL.
 *
 * None of these fails for want of memory except where a status says so.
 */
#ifndef TL_CRYPTO_CRYPTO_H
#define TL_CRYPTO_CRYPTO_H

#include "base/base.h"

#define TL_SHA256_LEN      32u
#define TL_SHA256_BLOCK    64u
#define TL_ED25519_KEY_LEN 32u /* seed and public key alike */
#define TL_ED25519_SIG_LEN 64u

/* A running hash; plain memory, may be copied. */
struct tl_sha256 {
    uint64_t state[16]; /* holds OpenSSL's SHA256_CTX, whose size is checked when compiling */
};

void tl_sha256_init(struct tl_sha256 *hash);
void tl_sha256_add(struct tl_sha256 *hash, const void *bytes, size_t len);
void tl_sha256_end(struct tl_sha256 *hash, uint8_t out[TL_SHA256_LEN]);
void tl_sha256(uint8_t out[TL_SHA256_LEN], const void *bytes, size_t len); /* all at once */

/* A key with the first blocks of both hashes done. Secret: wipe it with tl_hmac_key_release(). */
struct tl_hmac_key {
    struct tl_sha256 inner;
    struct tl_sha256 outer;
};

void tl_hmac_key_init(struct tl_hmac_key *key, const uint8_t *bytes, size_t len); /* any length */
void tl_hmac_key_release(struct tl_hmac_key *key);
void tl_hmac(const struct tl_hmac_key *key, const void *bytes, size_t len,
             uint8_t out[TL_SHA256_LEN]);

/* Ed25519 (RFC 8032). Errors: TALLY_ENOMEM, also when the program is at its end and OpenSSL gone. */
tally_status tl_ed25519_public(uint8_t public_out[TL_ED25519_KEY_LEN],
                               const uint8_t seed[TL_ED25519_KEY_LEN]);
/* `public_key` is that of the seed: deriving it again would take as long as signing. With another one
 * the signature is good for nothing. */
tally_status tl_ed25519_sign(uint8_t sig_out[TL_ED25519_SIG_LEN],
                             const uint8_t seed[TL_ED25519_KEY_LEN],
                             const uint8_t public_key[TL_ED25519_KEY_LEN], const void *bytes,
                             size_t len);

/*
 * Sets *valid_out. TALLY_OK means that the check was made, whatever it found; a public key that is
 * no point of the curve makes every signature invalid. Errors: TALLY_ENOMEM.
 */
tally_status tl_ed25519_verify(bool *valid_out, const uint8_t public_key[TL_ED25519_KEY_LEN],
                               const void *bytes, size_t len,
                               const uint8_t sig[TL_ED25519_SIG_LEN]);

#endif /* TL_CRYPTO_CRYPTO_H */
