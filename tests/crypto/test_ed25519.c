#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>

#include "base/bytes.h"
#include "check.h"
#include "crypto/crypto.h"

/* RFC 8032 §7.1. */
static const struct vector {
    const char *seed, *public_key, *message, *sig;
} vectors[] = {
    { "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
      "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
      "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9"
      "b46bd25bf5f0595bbe24655141438e7a100b" },
    { "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
      "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
      "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f1"
      "1d8c387b2eaeb4302aeeb00d291612bb0c00" },
    { "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
      "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
      "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984d"
      "c6594a7c15e9716ed28dc027beceea1ec40a" },
    { "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
      "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
      "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3fe"
      "ebbd454d4423643ce80e2a9ac94fa54ca49f",
      "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431"
      "e0303dca179c138ac17ad9bef1177331a704" },
};

struct signature {
    uint8_t seed[TL_ED25519_KEY_LEN];
    uint8_t public_key[TL_ED25519_KEY_LEN];
    uint8_t message[64];
    size_t message_len;
    uint8_t sig[TL_ED25519_SIG_LEN];
};

static struct signature signature_of(const struct vector *vector)
{
    struct signature s = { .message_len = strlen(vector->message) / 2 };
    check_ok(tl_hex_decode(s.seed, sizeof(s.seed), vector->seed, strlen(vector->seed)));
    check_ok(tl_hex_decode(s.public_key, sizeof(s.public_key), vector->public_key,
                           strlen(vector->public_key)));
    check_ok(tl_hex_decode(s.message, s.message_len, vector->message, 2 * s.message_len));
    check_ok(tl_hex_decode(s.sig, sizeof(s.sig), vector->sig, strlen(vector->sig)));
    return s;
}

static bool is_valid(const struct signature *s)
{
    bool valid = false;
    bool opposite = true;
    check_ok(tl_ed25519_verify(&valid, s->public_key, s->message, s->message_len, s->sig));
    check_ok(tl_ed25519_verify(&opposite, s->public_key, s->message, s->message_len, s->sig));
    assert_int_equal(valid, opposite); /* always set */
    return valid;
}

static void agrees_with_rfc8032(void **state)
{
    (void)state;
    for (size_t i = 0; i < TL_ARRAY_LEN(vectors); i++) {
        struct signature s = signature_of(&vectors[i]);
        uint8_t public_key[TL_ED25519_KEY_LEN];
        check_ok(tl_ed25519_public(public_key, s.seed));
        assert_memory_equal(public_key, s.public_key, sizeof(public_key));
        uint8_t sig[TL_ED25519_SIG_LEN];
        check_ok(tl_ed25519_sign(sig, s.seed, s.public_key, s.message, s.message_len));
        assert_memory_equal(sig, s.sig, sizeof(sig));
        assert_true(is_valid(&s));
    }
}

static void flip(uint8_t *bytes, size_t bit)
{
    bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
}

static void refuses_any_flipped_bit(void **state)
{
    (void)state;
    struct signature s = signature_of(&vectors[2]);
    for (size_t bit = 0; bit < 8 * sizeof(s.sig); bit++) {
        flip(s.sig, bit);
        assert_false(is_valid(&s));
        flip(s.sig, bit);
    }
    for (size_t bit = 0; bit < 8 * sizeof(s.public_key); bit++) {
        flip(s.public_key, bit); /* half of these are no points of the curve */
        assert_false(is_valid(&s));
        flip(s.public_key, bit);
    }
    for (size_t bit = 0; bit < 8 * s.message_len; bit++) {
        flip(s.message, bit);
        assert_false(is_valid(&s));
        flip(s.message, bit);
    }
    s.message_len--;
    assert_false(is_valid(&s));
}

/* The first vector with the order of the group added to the second half of its signature. */
static void refuses_a_second_spelling_of_a_signature(void **state)
{
    (void)state;
    struct vector vector = vectors[0];
    vector.sig = "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
                 "4c8c7872aa064e049dbb3013fbf29380d25bf5f0595bbe24655141438e7a101b";
    struct signature s = signature_of(&vector);
    assert_false(is_valid(&s));
}

static void leaves_the_error_queue_of_the_program_alone(void **state)
{
    (void)state;
    struct signature s = signature_of(&vectors[1]);
    for (int round = 0; round < 3; round++) {
        ERR_clear_error();
        if (round > 0) { /* an error of its own, which stays */
            ERR_raise(ERR_LIB_USER, round == 1 ? ERR_R_MALLOC_FAILURE : 1);
        }
        unsigned long before = ERR_peek_last_error();
        flip(s.sig, 0);
        assert_false(is_valid(&s));
        flip(s.sig, 0);
        assert_true(is_valid(&s));
        check_ok(tl_ed25519_sign(s.sig, s.seed, s.public_key, s.message, s.message_len));
        check_ok(tl_ed25519_public(s.public_key, s.seed));
        assert_int_equal(ERR_get_error(), before);
        assert_int_equal(ERR_get_error(), 0);
    }
}

/* Which allocation fails, and whether all after it do. */
static struct {
    size_t left;
    bool for_ever;
} fault;

static bool fails(void)
{
    if (fault.left == 0) {
        return fault.for_ever;
    }
    return --fault.left == 0;
}

/*
 * Calls `run` with the 1st, 2nd, 3rd ... allocation failing until it makes fewer. OpenSSL can do
 * without some of them, so that success is right, too. Returns how many there are.
 */
static size_t starve(tally_status (*run)(struct signature *s), struct signature *s)
{
    size_t n = 1;
    for (bool is_reached = true; is_reached; n++) {
        for (int kind = 0; kind < 2; kind++) {
            fault.left = n;
            fault.for_ever = kind == 1;
            tl_alloc_should_fail = fails;
            tally_status status = run(s);
            tl_alloc_should_fail = NULL;
            is_reached = fault.left == 0;
            check_status(status, status == TALLY_OK ? TALLY_OK : TALLY_ENOMEM);
        }
    }
    return n;
}

static tally_status run_public(struct signature *s)
{
    uint8_t public_key[TL_ED25519_KEY_LEN];
    TL_TRY(tl_ed25519_public(public_key, s->seed));
    assert_memory_equal(public_key, s->public_key, sizeof(public_key));
    return TALLY_OK;
}

static tally_status run_sign(struct signature *s)
{
    uint8_t sig[TL_ED25519_SIG_LEN];
    TL_TRY(tl_ed25519_sign(sig, s->seed, s->public_key, s->message, s->message_len));
    assert_memory_equal(sig, s->sig, sizeof(sig));
    return TALLY_OK;
}

static tally_status run_verify(struct signature *s)
{
    bool valid = false;
    TL_TRY(tl_ed25519_verify(&valid, s->public_key, s->message, s->message_len, s->sig));
    assert_true(valid);
    return TALLY_OK;
}

static tally_status run_verify_bad(struct signature *s)
{
    bool valid = true;
    TL_TRY(tl_ed25519_verify(&valid, s->public_key, s->message, s->message_len, s->sig));
    assert_false(valid);
    return TALLY_OK;
}

static void never_calls_a_signature_bad_for_want_of_memory(void **state)
{
    (void)state;
    struct signature s = signature_of(&vectors[2]);
    check_ok(run_sign(&s)); /* what OpenSSL sets up once is there now */
    check_ok(run_verify(&s));
    assert_true(starve(run_public, &s) > 1);
    assert_true(starve(run_sign, &s) > 1);
    assert_true(starve(run_verify, &s) > 1);
    flip(s.sig, 300);
    assert_true(starve(run_verify_bad, &s) > 1);
}

static void *allocate(size_t len, const char *file, int line)
{
    (void)file;
    (void)line;
    return tl_alloc_array(len, 1);
}

static void *reallocate(void *ptr, size_t len, const char *file, int line)
{
    (void)file;
    (void)line;
    return tl_realloc_array(ptr, len, 1);
}

static void release(void *ptr, const char *file, int line)
{
    (void)file;
    (void)line;
    tl_free(ptr);
}

int main(void)
{
    if (CRYPTO_set_mem_functions(allocate, reallocate, release) != 1) {
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_rfc8032),
        cmocka_unit_test(refuses_any_flipped_bit),
        cmocka_unit_test(refuses_a_second_spelling_of_a_signature),
        cmocka_unit_test(leaves_the_error_queue_of_the_program_alone),
        cmocka_unit_test(never_calls_a_signature_bad_for_want_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
