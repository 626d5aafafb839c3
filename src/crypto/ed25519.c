#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include "base/fork.h"
#include "base/thread.h"
#include "crypto/crypto.h"

static void free_keyp(EVP_PKEY **key)
{
    EVP_PKEY_free(*key);
}

static void free_contextp(EVP_MD_CTX **context)
{
    EVP_MD_CTX_free(*context);
}

static bool derive_public(uint8_t *public_out, const uint8_t *seed)
{
    TL_CLEANUP(free_keyp)
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, TL_ED25519_KEY_LEN);
    size_t len = TL_ED25519_KEY_LEN;
    return key != NULL && EVP_PKEY_get_raw_public_key(key, public_out, &len) == 1;
}

static void free_makerp(EVP_PKEY_CTX **maker)
{
    EVP_PKEY_CTX_free(*maker);
}

/* NULL: no memory. OpenSSL takes both halves as they are. */
static EVP_PKEY *make_pair(const uint8_t *seed, const uint8_t *public_key)
{
    EVP_PKEY *key = NULL;
    uint8_t halves[2][TL_ED25519_KEY_LEN]; /* it wants them writable */
    memcpy(halves[0], seed, TL_ED25519_KEY_LEN);
    memcpy(halves[1], public_key, TL_ED25519_KEY_LEN);
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PRIV_KEY, halves[0], sizeof(halves[0])),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, halves[1], sizeof(halves[1])),
        OSSL_PARAM_construct_end(),
    };
    TL_CLEANUP(free_makerp) EVP_PKEY_CTX *maker = EVP_PKEY_CTX_new_from_name(NULL, "ED25519", NULL);
    bool done = maker != NULL && EVP_PKEY_fromdata_init(maker) == 1 &&
                EVP_PKEY_fromdata(maker, &key, EVP_PKEY_KEYPAIR, params) == 1;
    explicit_bzero(halves, sizeof(halves));
    return done ? key : NULL;
}

static bool sign(uint8_t *sig_out, const uint8_t *seed, const uint8_t *public_key,
                 const void *bytes, size_t len)
{
    TL_CLEANUP(free_keyp) EVP_PKEY *key = make_pair(seed, public_key);
    TL_CLEANUP(free_contextp) EVP_MD_CTX *context = EVP_MD_CTX_new();
    size_t sig_len = TL_ED25519_SIG_LEN;
    return key != NULL && context != NULL &&
           EVP_DigestSignInit(context, NULL, NULL, NULL, key) == 1 &&
           EVP_DigestSign(context, sig_out, &sig_len, bytes, len) == 1;
}

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

/* Whether a signature known to be valid (RFC 8032 §7.1, the second one) is found to be so. */
static bool can_verify(void)
{
    static const uint8_t public_key[TL_ED25519_KEY_LEN] = {
        0x3d, 0x40, 0x17, 0xc3, 0xe8, 0x43, 0x89, 0x5a, 0x92, 0xb7, 0x0a,
        0xa7, 0x4d, 0x1b, 0x7e, 0xbc, 0x9c, 0x98, 0x2c, 0xcf, 0x2e, 0xc4,
        0x96, 0x8c, 0xc0, 0xcd, 0x55, 0xf1, 0x2a, 0xf4, 0x66, 0x0c,
    };
    static const uint8_t sig[TL_ED25519_SIG_LEN] = {
        0x92, 0xa0, 0x09, 0xa9, 0xf0, 0xd4, 0xca, 0xb8, 0x72, 0x0e, 0x82, 0x0b, 0x5f,
        0x64, 0x25, 0x40, 0xa2, 0xb2, 0x7b, 0x54, 0x16, 0x50, 0x3f, 0x8f, 0xb3, 0x76,
        0x22, 0x23, 0xeb, 0xdb, 0x69, 0xda, 0x08, 0x5a, 0xc1, 0xe4, 0x3e, 0x15, 0x99,
        0x6e, 0x45, 0x8f, 0x36, 0x13, 0xd0, 0xf1, 0x1d, 0x8c, 0x38, 0x7b, 0x2e, 0xae,
        0xb4, 0x30, 0x2a, 0xee, 0xb0, 0x0d, 0x29, 0x16, 0x12, 0xbb, 0x0c, 0x00,
    };
    return verify(public_key, "\x72", 1, sig);
}

/*
 * When a program calls exit(), OpenSSL frees what it works with, while our threads may be signing.
 * So it tells us first: the signatures being made are waited for, and later ones fail. What they
 * would have sealed stays in the spool.
 */
static struct {
    pthread_once_t once;
    struct tl_mutex mu;
    struct tl_cond idle;
    struct tl_fork_watch watch;
    /* guarded by mu */
    unsigned users;
    bool gone; /* OpenSSL is being taken down */
} gate = { .once = PTHREAD_ONCE_INIT,
           .mu = { PTHREAD_MUTEX_INITIALIZER },
           .idle = { PTHREAD_COND_INITIALIZER } };

static void close_gate(void)
{
    tl_mutex_lock(&gate.mu);
    gate.gone = true;
    while (gate.users > 0) {
        tl_cond_wait(&gate.idle, &gate.mu);
    }
    tl_mutex_unlock(&gate.mu);
}

static void prepare_fork(void *ctx) TL_NO_ANALYSIS
{
    (void)ctx;
    tl_mutex_lock(&gate.mu);
}

static void fork_in_parent(void *ctx) TL_NO_ANALYSIS
{
    (void)ctx;
    tl_mutex_unlock(&gate.mu);
}

/* Who was signing stayed behind. */
static void fork_in_child(void *ctx) TL_NO_ANALYSIS
{
    (void)ctx;
    gate.users = 0;
    tl_mutex_renew(&gate.mu);
    tl_assert(tl_cond_init(&gate.idle) == TALLY_OK); /* takes no memory on Linux */
}

static void make_gate(void)
{
    /* Without memory for it, exit() is as it would be without the gate. */
    (void)OPENSSL_atexit(close_gate);
    gate.watch = (struct tl_fork_watch){
        .prepare = prepare_fork, .parent = fork_in_parent, .child = fork_in_child, .ctx = NULL
    };
    tl_fork_watch(&gate.watch);
}

static bool enter(void)
{
    tl_assert(pthread_once(&gate.once, make_gate) == 0);
    tl_mutex_lock(&gate.mu);
    bool open = !gate.gone;
    gate.users += open ? 1 : 0;
    tl_mutex_unlock(&gate.mu);
    if (open) {
        (void)ERR_set_mark();
    }
    return open;
}

static void leave(void)
{
    (void)ERR_pop_to_mark();
    tl_mutex_lock(&gate.mu);
    gate.users--;
    if (gate.users == 0) {
        tl_cond_broadcast(&gate.idle);
    }
    tl_mutex_unlock(&gate.mu);
}

/*
 * The queue of errors that OpenSSL keeps per thread belongs to the program that embeds us: each
 * function below drops what its calls add. (An empty queue has no mark, and is emptied again.)
 */
tally_status tl_ed25519_public(uint8_t public_out[TL_ED25519_KEY_LEN],
                               const uint8_t seed[TL_ED25519_KEY_LEN])
{
    if (!enter()) {
        return TALLY_ENOMEM;
    }
    bool done = derive_public(public_out, seed);
    leave();
    return done ? TALLY_OK : TALLY_ENOMEM;
}

tally_status tl_ed25519_sign(uint8_t sig_out[TL_ED25519_SIG_LEN],
                             const uint8_t seed[TL_ED25519_KEY_LEN],
                             const uint8_t public_key[TL_ED25519_KEY_LEN], const void *bytes,
                             size_t len)
{
    if (!enter()) {
        return TALLY_ENOMEM;
    }
    bool done = sign(sig_out, seed, public_key, bytes, len);
    leave();
    return done ? TALLY_OK : TALLY_ENOMEM;
}

tally_status tl_ed25519_verify(bool *valid_out, const uint8_t public_key[TL_ED25519_KEY_LEN],
                               const void *bytes, size_t len, const uint8_t sig[TL_ED25519_SIG_LEN])
{
    if (!enter()) {
        return TALLY_ENOMEM;
    }
    bool valid = verify(public_key, bytes, len, sig);
    /* Without memory OpenSSL says the same as of a bad signature: only a second "no" counts, and
     * only from a verifier that can say "yes". */
    bool checked = valid || can_verify();
    valid = valid || (checked && verify(public_key, bytes, len, sig));
    leave();
    if (!checked) {
        return TALLY_ENOMEM;
    }
    *valid_out = valid;
    return TALLY_OK;
}
