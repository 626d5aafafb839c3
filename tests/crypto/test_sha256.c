#include <string.h>

#include "base/bytes.h"
#include "check.h"
#include "crypto/crypto.h"

static void check_hex(const uint8_t *hash, const char *want)
{
    char text[2 * TL_SHA256_LEN + 1];
    tl_hex_encode(text, hash, TL_SHA256_LEN);
    assert_string_equal(text, want);
}

/* FIPS 180-4. */
static void agrees_with_the_published_hashes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *hash;
    } table[] = {
        { "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
        { "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
        { "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
          "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(table); i++) {
        uint8_t hash[TL_SHA256_LEN];
        tl_sha256(hash, table[i].text, strlen(table[i].text));
        check_hex(hash, table[i].hash);
    }
}

static void hashes_a_million_bytes_piece_by_piece(void **state)
{
    (void)state;
    char piece[1000];
    memset(piece, 'a', sizeof(piece));
    struct tl_sha256 hash;
    tl_sha256_init(&hash);
    for (int i = 0; i < 1000; i++) {
        tl_sha256_add(&hash, piece, sizeof(piece));
    }
    uint8_t out[TL_SHA256_LEN];
    tl_sha256_end(&hash, out);
    check_hex(out, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

static void gives_the_same_at_once_as_in_pieces_for_every_length(void **state)
{
    (void)state;
    uint8_t bytes[4 * TL_SHA256_BLOCK];
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t)(i * 7);
    }
    for (size_t len = 0; len <= sizeof(bytes); len++) {
        struct tl_sha256 hash;
        uint8_t want[TL_SHA256_LEN];
        uint8_t got[TL_SHA256_LEN];
        tl_sha256_init(&hash);
        tl_sha256_add(&hash, bytes, len);
        tl_sha256_end(&hash, want);
        tl_sha256(got, bytes, len);
        assert_memory_equal(got, want, sizeof(want));
    }
}

static void gives_the_same_wherever_the_bytes_are_split(void **state)
{
    (void)state;
    uint8_t bytes[200];
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t)(i * 7);
    }
    uint8_t want[TL_SHA256_LEN];
    tl_sha256(want, bytes, sizeof(bytes));
    for (size_t split = 0; split <= sizeof(bytes); split++) {
        struct tl_sha256 hash;
        tl_sha256_init(&hash);
        tl_sha256_add(&hash, bytes, split);
        struct tl_sha256 copy = hash; /* goes on by itself */
        tl_sha256_add(&hash, "other", 5);
        tl_sha256_add(&copy, bytes + split, sizeof(bytes) - split);
        uint8_t out[TL_SHA256_LEN];
        tl_sha256_end(&copy, out);
        assert_memory_equal(out, want, sizeof(want));
    }
}

/* Test cases of RFC 4231, without the one of a truncated result. Keys are one byte repeated. */
static void agrees_with_rfc4231(void **state)
{
    (void)state;
    static const struct {
        uint8_t key_byte;
        size_t key_len;
        const char *text;
        const char *mac;
    } table[] = {
        { 0x0b, 20, "Hi There",
          "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7" },
        { 0xaa, 131, "Test Using Larger Than Block-Size Key - Hash Key First",
          "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54" },
        { 0xaa, 131,
          "This is a test using a larger than block-size key and a larger than block-size data. "
          "The key needs to be hashed before being used by the HMAC algorithm.",
          "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2" },
        { 0xaa, 20,
          "\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd"
          "\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd"
          "\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd",
          "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe" },
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(table); i++) {
        uint8_t key_bytes[131];
        memset(key_bytes, table[i].key_byte, sizeof(key_bytes));
        struct tl_hmac_key key;
        tl_hmac_key_init(&key, key_bytes, table[i].key_len);
        uint8_t mac[TL_SHA256_LEN];
        for (int round = 0; round < 2; round++) { /* a key is not used up */
            tl_hmac(&key, table[i].text, strlen(table[i].text), mac);
            check_hex(mac, table[i].mac);
        }
    }
    struct tl_hmac_key key;
    uint8_t mac[TL_SHA256_LEN];
    tl_hmac_key_init(&key, (const uint8_t *)"Jefe", 4);
    tl_hmac(&key, "what do ya want for nothing?", 28, mac);
    check_hex(mac, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

static void a_key_of_a_block_is_not_hashed_first(void **state)
{
    (void)state;
    uint8_t bytes[TL_SHA256_BLOCK + 1] = { 0 };
    struct tl_hmac_key none;
    struct tl_hmac_key block;
    struct tl_hmac_key longer;
    tl_hmac_key_init(&none, NULL, 0);
    tl_hmac_key_init(&block, bytes, TL_SHA256_BLOCK);
    tl_hmac_key_init(&longer, bytes, sizeof(bytes));
    uint8_t a[TL_SHA256_LEN];
    uint8_t b[TL_SHA256_LEN];
    tl_hmac(&none, "x", 1, a); /* a short key is filled up with zeros */
    tl_hmac(&block, "x", 1, b);
    assert_memory_equal(a, b, sizeof(a));
    tl_hmac(&longer, "x", 1, b);
    assert_memory_not_equal(a, b, sizeof(a));
}

static void leaves_nothing_of_a_key_behind(void **state)
{
    (void)state;
    static const struct tl_hmac_key zero;
    struct tl_hmac_key key;
    tl_hmac_key_init(&key, (const uint8_t *)"secret", 6);
    tl_hmac_key_release(&key);
    assert_memory_equal(&key, &zero, sizeof(key));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_the_published_hashes),
        cmocka_unit_test(hashes_a_million_bytes_piece_by_piece),
        cmocka_unit_test(gives_the_same_at_once_as_in_pieces_for_every_length),
        cmocka_unit_test(gives_the_same_wherever_the_bytes_are_split),
        cmocka_unit_test(agrees_with_rfc4231),
        cmocka_unit_test(a_key_of_a_block_is_not_hashed_first),
        cmocka_unit_test(leaves_nothing_of_a_key_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
