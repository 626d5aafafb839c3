#include <string.h>

#include "check.h"
#include "evidence/leaf.h"
#include "evidence/mac.h"
#include "vectors.h"

static struct tl_arena arena;

static int start(void **state)
{
    (void)state;
    tl_arena_init(&arena, VECTORS_ARENA_BYTES);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    tl_arena_release(&arena);
    return 0;
}

/* Reads the key of the vectors; its epoch is 0. */
static void read_k0(uint8_t k0[TL_MAC_KEY_LEN])
{
    vectors_bytes(k0, TL_MAC_KEY_LEN, vectors_section(&arena, "ratchet"), "K0");
}

static void names_the_generation_of_the_vectors(void **state)
{
    (void)state;
    uint8_t k0[TL_MAC_KEY_LEN];
    uint8_t id[32];
    read_k0(k0);
    tl_mac_id(k0, id);
    vectors_check(vectors_section(&arena, "ratchet"), "mac_id", id, sizeof(id));
}

static void passes_through_the_keys_of_the_vectors(void **state)
{
    (void)state;
    const struct tl_json *step = vectors_get(vectors_section(&arena, "ratchet"), "steps")->first;
    uint8_t k0[TL_MAC_KEY_LEN];
    read_k0(k0);
    struct tl_mac mac;
    tl_mac_init(&mac, k0, 0);
    for (; step != NULL; step = step->next) {
        uint8_t leaf_key[32];
        struct tl_hmac_key hmac;
        const uint8_t leaf[TL_LEAF_MAC_AT] = { 1, 2, 3 };
        uint8_t got[16];
        uint8_t want[32];
        tl_mac_advance(&mac, (uint32_t)vectors_u64(step, "epoch"));
        vectors_check(step, "K", mac.key, sizeof(mac.key));
        vectors_bytes(leaf_key, sizeof(leaf_key), step, "Kmac");
        tl_hmac_key_init(&hmac, leaf_key, sizeof(leaf_key));
        tl_hmac(&hmac, leaf, sizeof(leaf), want);
        tl_mac_leaf(&mac, leaf, got);
        assert_memory_equal(got, want, sizeof(got));
    }
    tl_mac_release(&mac);
    const struct tl_mac zero = { 0 };
    assert_memory_equal(&mac, &zero, sizeof(zero));
}

static void authenticates_the_leaves_of_the_vectors(void **state)
{
    (void)state;
    uint8_t k0[TL_MAC_KEY_LEN];
    read_k0(k0);
    const struct tl_json *row = vectors_section(&arena, "events")->first;
    for (; row != NULL; row = row->next) {
        uint8_t bytes[TL_LEAF_LEN];
        uint8_t got[16];
        struct tl_leaf leaf;
        struct tl_mac mac;
        vectors_bytes(bytes, sizeof(bytes), row, "leaf");
        check_ok(tl_leaf_decode(&leaf, bytes, sizeof(bytes), NULL));
        tl_mac_init(&mac, k0, 0);
        tl_mac_advance(&mac, leaf.epoch);
        tl_mac_leaf(&mac, bytes, got);
        vectors_check(row, "mac", got, sizeof(got));
    }
}

static void reads_and_writes_the_key_text_of_the_vectors(void **state)
{
    (void)state;
    const struct tl_json *section = vectors_section(&arena, "ratchet");
    struct tl_str text = vectors_text(section, "key_text");
    uint8_t key[TL_MAC_KEY_LEN];
    uint32_t epoch = 99;
    char again[TL_MAC_TEXT_SIZE];
    check_ok(tl_mac_key_parse(key, &epoch, text.text, text.len, NULL));
    vectors_check(section, "K0", key, sizeof(key));
    assert_int_equal(epoch, 0);
    tl_mac_key_format(again, key, epoch);
    assert_true(tl_str_is(text, again));

    tl_mac_key_format(again, key, UINT32_MAX);
    check_ok(tl_mac_key_parse(key, &epoch, again, strlen(again), NULL));
    assert_int_equal(epoch, UINT32_MAX);

    struct tl_str file = vectors_read(&arena, "log702/mac-key.txt"); /* with a newline */
    check_ok(tl_mac_key_parse(key, &epoch, file.text, file.len, NULL));

    char after_newline[TL_MAC_TEXT_SIZE + 1] = "\n"; /* none of it is the key's */
    tl_mac_key_format(after_newline + 1, key, epoch);
    check_status(tl_mac_key_parse(key, &epoch, after_newline + 1, 0, NULL), TALLY_EINVAL);
}

static void every_bit_of_a_key_text_counts(void **state)
{
    (void)state;
    uint8_t k0[TL_MAC_KEY_LEN];
    char text[TL_MAC_TEXT_SIZE];
    read_k0(k0);
    tl_mac_key_format(text, k0, 12);
    size_t len = strlen(text);
    for (size_t bit = 0; bit < 8 * len; bit++) {
        uint8_t key[TL_MAC_KEY_LEN];
        uint32_t epoch = 12;
        text[bit / 8] = (char)(text[bit / 8] ^ (1 << bit % 8));
        if (tl_mac_key_parse(key, &epoch, text, len, NULL) == TALLY_OK) {
            assert_true(epoch != 12 || memcmp(key, k0, sizeof(key)) != 0);
        }
        text[bit / 8] = (char)(text[bit / 8] ^ (1 << bit % 8));
    }
    for (size_t cut = 0; cut < len; cut++) {
        uint8_t key[TL_MAC_KEY_LEN];
        uint32_t epoch;
        check_status(tl_mac_key_parse(key, &epoch, text, cut, NULL), TALLY_EINVAL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_the_generation_of_the_vectors),
        cmocka_unit_test(passes_through_the_keys_of_the_vectors),
        cmocka_unit_test(authenticates_the_leaves_of_the_vectors),
        cmocka_unit_test(reads_and_writes_the_key_text_of_the_vectors),
        cmocka_unit_test(every_bit_of_a_key_text_counts),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
