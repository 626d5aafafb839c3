#include <openssl/err.h>
#include <openssl/evp.h>

#include "crypto/crypto.h"

static void free_keyp(EVP_PKEY **key)
{
    EVP_PKEY_free(*key);
}

static void free_contextp(EVP_MD_CTX **context)
{
    EVP_MD_CTX_free(*context);
}

/*
 * OpenSSL keeps a queue of errors per thread. It belongs to the program that embeds us: whatever
 * our calls add to it lies above a mark and is dropped again. The error put there first tells
 * whether others were added.
 */
#define FIRST_ERROR 1

static void mark_errors(void)
{
    (void)ERR_set_mark(); /* an empty queue has no mark, and is then emptied in the end */
    ERR_raise(ERR_LIB_USER, FIRST_ERROR);
}

static bool has_errors(void)
{
    return ERR_peek_last_error() != ERR_PACK(ERR_LIB_USER, 0, FIRST_ERROR);
}

static void drop_errors(void)
{
    (void)ERR_pop_to_mark();
}

static bool derive_public(uint8_t *public_out, const uint8_t *seed)
{
    TL_CLEANUP(free_keyp)
    EVP_PKEY *key =
        EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, TL_ED25519_KEY_LEN);
    size_t len = TL_ED25519_KEY_LEN;
    return key != NULL && EVP_PKEY_get_raw_public_key(key, public_out, &len) == 1;
}

static bool sign(uint8_t *sig_out, const uint8_t *seed, const void *bytes, size_t len)
{
    TL_CLEANUP(free_keyp)
    EVP_PKEY *key =
        EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, TL_ED25519_KEY_LEN);
    TL_CLEANUP(free_contextp) EVP_MD_CTX *context = EVP_MD_CTX_new();
    size_t sig_len = TL_ED25519_SIG_LEN;
    return key != NULL && context != NULL &&
           EVP_DigestSignInit(context, NULL, NULL, NULL, key) == 1 &&
           EVP_DigestSign(context, sig_out, &sig_len, bytes, len) == 1;
}

/* Whether the signature is valid. False with errors in the queue: no memory to find out. */
static bool verify(const uint8_t *public_key, const void *bytes, size_t len, const uint8_t *sig)
{
    TL_CLEANUP(free_keyp)
    EVP_PKEY *key =
        EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, public_key, TL_ED25519_KEY_LEN);
    TL_CLEANUP(free_contextp) EVP_MD_CTX *context = EVP_MD_CTX_new();
    return key != NULL && context != NULL &&
           EVP_DigestVerifyInit(context, NULL, NULL, NULL, key) == 1 &&
           EVP_DigestVerify(context, sig, TL_ED25519_SIG_LEN, bytes, len) == 1;
}

tally_status tl_ed25519_public(uint8_t public_out[TL_ED25519_KEY_LEN],
                               const uint8_t seed[TL_ED25519_KEY_LEN])
{
    mark_errors();
    bool done = derive_public(public_out, seed);
    drop_errors();
    return done ? TALLY_OK : TALLY_ENOMEM;
}

tally_status tl_ed25519_sign(uint8_t sig_out[TL_ED25519_SIG_LEN],
                             const uint8_t seed[TL_ED25519_KEY_LEN], const void *bytes, size_t len)
{
    mark_errors();
    bool done = sign(sig_out, seed, bytes, len);
    drop_errors();
    return done ? TALLY_OK : TALLY_ENOMEM;
}

tally_status tl_ed25519_verify(bool *valid_out, const uint8_t public_key[TL_ED25519_KEY_LEN],
                               const void *bytes, size_t len,
                               const uint8_t sig[TL_ED25519_SIG_LEN])
{
    mark_errors();
    bool valid = verify(public_key, bytes, len, sig);
    bool checked = valid || !has_errors();
    drop_errors();
    if (!checked) {
        return TALLY_ENOMEM;
    }
    *valid_out = valid;
    return TALLY_OK;
}
