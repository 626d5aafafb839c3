/* The answers in tests/vectors/timestamp are of `openssl ts`. */
#include <openssl/crypto.h>
#include <string.h>

#include "check.h"
#include "crypto/timestamp.h"
#include "vectors.h"

static struct tl_arena arena;
static uint8_t imprint[TL_SHA256_LEN];
static const uint8_t nonce[TL_TIMESTAMP_NONCE_LEN] = { 1, 2, 3, 4, 5, 6, 7, 8 };
static struct tl_timestamp stamp;
static struct tl_buf token;
static const struct tl_str none;

static int start(void **state)
{
    (void)state;
    tl_arena_init(&arena, VECTORS_ARENA_BYTES);
    tl_buf_init(&token, TL_TIMESTAMP_LEN_MAX);
    for (size_t i = 0; i < sizeof(imprint); i++) {
        imprint[i] = (uint8_t)i;
    }
    return 0;
}

static int stop(void **state)
{
    (void)state;
    tl_buf_release(&token);
    tl_arena_release(&arena);
    return 0;
}

static struct tl_str file(const char *name)
{
    char path[64];
    struct tl_buf text;
    tl_buf_init_fixed(&text, path, sizeof(path));
    tl_buf_addf(&text, "timestamp/%s", name);
    path[text.len] = '\0';
    return vectors_read(&arena, path);
}

static tally_status accept_with(struct tl_str answer, struct tl_str authorities)
{
    tl_buf_clear(&token);
    return tl_timestamp_accept(&stamp, &token, answer, imprint, nonce, authorities, NULL);
}

static void asks_as_others_do(void **state)
{
    (void)state;
    struct tl_buf request;
    tl_buf_init(&request, 4096);
    check_ok(tl_timestamp_request(&request, imprint, nonce, NULL));
    assert_true(tl_str_equal(tl_buf_str(&request), file("query.der")));
    tl_buf_release(&request);
    tl_buf_init(&request, 10);
    check_status(tl_timestamp_request(&request, imprint, nonce, NULL), TALLY_ENOMEM);
    tl_buf_release(&request);
}

static void believes_what_was_asked_for(void **state)
{
    (void)state;
    check_ok(accept_with(file("answer.der"), none));
    assert_memory_equal(stamp.imprint, imprint, sizeof(imprint));
    assert_true(stamp.time_s > 1600000000);
    assert_string_equal(stamp.authority, "/CN=Test stamps");
    assert_true(tl_str_equal(tl_buf_str(&token), file("token.der")));
    check_ok(accept_with(file("answer.der"), file("ca.pem")));
    struct tl_timestamp again;
    check_ok(tl_timestamp_read(&again, tl_buf_str(&token), file("ca.pem"), NULL));
    assert_true(again.time_s == stamp.time_s);
}

static void does_not_believe_another_authority(void **state)
{
    (void)state;
    check_status(accept_with(file("answer.der"), file("other-ca.pem")), TALLY_ECORRUPT);
    assert_int_equal(token.len, 0);
    check_status(tl_timestamp_read(&stamp, file("token.der"), file("other-ca.pem"), NULL),
                 TALLY_ECORRUPT);
    check_status(accept_with(file("answer.der"), TL_STR("no certificate")), TALLY_EINVAL);
    check_status(accept_with(file("answer.der"), TL_STR("")), TALLY_EINVAL);
}

static void does_not_believe_an_answer_to_another_question(void **state)
{
    (void)state;
    imprint[31] ^= 1u;
    check_status(accept_with(file("answer.der"), none), TALLY_ECORRUPT);
    imprint[31] ^= 1u;
    uint8_t other[sizeof(nonce)];
    memcpy(other, nonce, sizeof(other));
    other[7] ^= 1u;
    tl_buf_clear(&token);
    check_status(
        tl_timestamp_accept(&stamp, &token, file("answer.der"), imprint, other, none, NULL),
        TALLY_ECORRUPT);
    assert_int_equal(token.len, 0);
    check_status(accept_with(file("refused.der"), none), TALLY_EREFUSED);
}

/* Whatever bit is flipped: none is accepted that tells another digest or time. */
static void no_changed_bit_changes_what_is_believed(void **state)
{
    (void)state;
    struct tl_str answer = file("answer.der");
    check_ok(accept_with(answer, file("ca.pem")));
    struct tl_timestamp first = stamp;
    struct tl_str authorities = file("ca.pem");
    size_t accepted = 0;
    char *bytes = tl_arena_alloc(&arena, answer.len);
    for (size_t bit = 0; bit < 8 * answer.len; bit++) {
        memcpy(bytes, answer.text, answer.len);
        bytes[bit / 8] = (char)((unsigned char)bytes[bit / 8] ^ (1u << (bit % 8)));
        if (accept_with((struct tl_str){ .text = bytes, .len = answer.len }, authorities) ==
            TALLY_OK) {
            accepted++;
            assert_true(stamp.time_s == first.time_s);
            assert_memory_equal(stamp.imprint, first.imprint, sizeof(imprint));
        }
    }
    /* Outside of what is signed: lengths of the indefinite kind, versions, the letter case of a name,
     * the algorithm that the certificate says as well. The record names the hash of all of it. */
    assert_true(accepted < 200);
    for (size_t len = 0; len < answer.len; len++) {
        assert_true(accept_with((struct tl_str){ .text = answer.text, .len = len }, none) !=
                    TALLY_OK);
    }
}

static void has_bounds(void **state)
{
    (void)state;
    static char long_one[TL_TIMESTAMP_LEN_MAX + 1];
    const struct tl_str too_long = { .text = long_one, .len = sizeof(long_one) };
    check_status(accept_with(too_long, none), TALLY_ECORRUPT);
    check_status(tl_timestamp_read(&stamp, too_long, none, NULL), TALLY_ECORRUPT);
    check_status(tl_timestamp_read(&stamp, TL_STR(""), none, NULL), TALLY_ECORRUPT);
    check_status(tl_timestamp_read(&stamp, file("answer.der"), none, NULL), TALLY_ECORRUPT);
}

static size_t allocations_left = SIZE_MAX;

static bool may_allocate(void)
{
    if (allocations_left == 0) {
        return false;
    }
    allocations_left -= allocations_left != SIZE_MAX;
    return true;
}

static void *give(size_t size, const char *name, int line)
{
    (void)name;
    (void)line;
    return may_allocate() ? tl_alloc_array(size, 1) : NULL;
}

static void *resize(void *memory, size_t size, const char *name, int line)
{
    (void)name;
    (void)line;
    return may_allocate() ? tl_realloc_array(memory, size, 1) : NULL;
}

static void take_back(void *memory, const char *name, int line)
{
    (void)name;
    (void)line;
    tl_free(memory);
}

/* In the arithmetic of a signature OpenSSL does not always say what it lacked. */
static void lack_of_memory_is_no_wrong_signature(void **state)
{
    (void)state;
    struct tl_str kept = file("token.der");
    check_ok(tl_timestamp_read(&stamp, kept, none, NULL)); /* what is made once is made */
    size_t lacked = 0;
    size_t blamed = 0;
    bool ended = false;
    for (size_t n = 0; !ended; n++) {
        allocations_left = n;
        tally_status status = tl_timestamp_read(&stamp, kept, none, NULL);
        ended = allocations_left > 0;
        allocations_left = SIZE_MAX;
        lacked += status == TALLY_ENOMEM;
        blamed += status == TALLY_ECORRUPT;
    }
    print_message("# %zu lacked memory, %zu did not say so\n", lacked, blamed);
    assert_true(lacked > 100);
    assert_true(blamed < lacked / 20);
}

int main(void)
{
    assert_int_equal(CRYPTO_set_mem_functions(give, resize, take_back), 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(asks_as_others_do),
        cmocka_unit_test(believes_what_was_asked_for),
        cmocka_unit_test(does_not_believe_another_authority),
        cmocka_unit_test(does_not_believe_an_answer_to_another_question),
        cmocka_unit_test(no_changed_bit_changes_what_is_believed),
        cmocka_unit_test(has_bounds),
        cmocka_unit_test(lack_of_memory_is_no_wrong_signature),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
