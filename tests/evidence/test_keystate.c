#include <string.h>

#include "check.h"
#include "evidence/keystate.h"
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

static struct tl_keystate make_state(bool has_next)
{
    struct tl_keystate state = { .origin = "audit.example.com/prod-7f3a9c21",
                                 .incarnation = 2,
                                 .mac_gen = 0x4fe2e321,
                                 .has_next = has_next };
    state.current = (struct tl_epoch_secret){ .epoch = 55, .seed = { 1 }, .mac_key = { 2 } };
    if (has_next) {
        state.next = (struct tl_epoch_secret){ .epoch = 58, .seed = { 3 }, .mac_key = { 4 } };
    }
    return state;
}

static void gives_back_the_state_it_was_given(void **state)
{
    (void)state;
    for (int has_next = 0; has_next < 2; has_next++) {
        const struct tl_keystate want = make_state(has_next != 0);
        uint8_t bytes[TL_KEYSTATE_LEN];
        uint8_t again[TL_KEYSTATE_LEN];
        struct tl_keystate got;
        tl_keystate_encode(bytes, &want);
        check_ok(tl_keystate_decode(&got, bytes, sizeof(bytes), NULL));
        assert_string_equal(got.origin, want.origin);
        assert_int_equal(got.incarnation, 2);
        assert_int_equal(got.mac_gen, 0x4fe2e321);
        assert_int_equal(got.has_next, has_next);
        assert_memory_equal(&got.current, &want.current, sizeof(got.current));
        assert_memory_equal(&got.next, &want.next, sizeof(got.next));
        tl_keystate_encode(again, &got);
        assert_memory_equal(again, bytes, sizeof(bytes));
    }
}

static void finds_every_flipped_bit_of_a_state(void **state)
{
    (void)state;
    const struct tl_keystate whole = make_state(true);
    uint8_t bytes[TL_KEYSTATE_LEN];
    tl_keystate_encode(bytes, &whole);
    for (size_t bit = 0; bit < 8 * sizeof(bytes); bit++) {
        struct tl_keystate got;
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        check_status(tl_keystate_decode(&got, bytes, sizeof(bytes), NULL), TALLY_ECORRUPT);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t cut = 0; cut < sizeof(bytes); cut++) {
        struct tl_keystate got;
        check_status(tl_keystate_decode(&got, bytes, cut, NULL), TALLY_ECORRUPT);
    }
}

/* Sets a byte of a good state, makes the checksum right again, and decodes. */
static tally_status decode_with(bool has_next, size_t at, uint8_t byte)
{
    const struct tl_keystate whole = make_state(has_next);
    uint8_t bytes[TL_KEYSTATE_LEN];
    struct tl_keystate got;
    tl_keystate_encode(bytes, &whole);
    bytes[at] = byte;
    tl_sha256(bytes + TL_KEYSTATE_LEN - TL_SHA256_LEN, bytes, TL_KEYSTATE_LEN - TL_SHA256_LEN);
    return tl_keystate_decode(&got, bytes, sizeof(bytes), NULL);
}

static void refuses_what_no_encoder_writes(void **state)
{
    (void)state;
    check_ok(decode_with(true, 15, 3));                      /* incarnation 3 */
    check_status(decode_with(true, 15, 0), TALLY_ECORRUPT);  /* incarnation 0 */
    check_status(decode_with(true, 7, 2), TALLY_ECORRUPT);   /* version 2 */
    check_status(decode_with(true, 11, 2), TALLY_ECORRUPT);  /* unknown flag */
    check_status(decode_with(true, 11, 0), TALLY_ECORRUPT);  /* no next, and yet it is there */
    check_status(decode_with(false, 11, 1), TALLY_ECORRUPT); /* next of epoch 0 */
    check_status(decode_with(true, 91, 55), TALLY_ECORRUPT); /* next of the same epoch */
    check_status(decode_with(true, 156, 0), TALLY_ECORRUPT); /* no origin */
    check_status(decode_with(true, 156, 201), TALLY_ECORRUPT);
    check_status(decode_with(true, 156, 30), TALLY_ECORRUPT); /* text after its end */
    check_status(decode_with(true, 157, ' '), TALLY_ECORRUPT);
    check_status(decode_with(true, 479, 1), TALLY_ECORRUPT); /* not zero at the end */
}

static void keeps_a_change_of_keys_that_is_under_way(void **state)
{
    (void)state;
    for (unsigned which = 1; which < 4; which++) {
        struct tl_keystate want = make_state(false);
        uint8_t bytes[TL_KEYSTATE_LEN];
        struct tl_keystate got;
        want.log_seq = 70000;
        want.mac_seq = UINT64_C(1) << 40;
        want.change.has_log = (which & 1u) != 0;
        want.change.has_mac = (which & 2u) != 0;
        if (want.change.has_log) {
            want.change.log_seed[31] = 5;
        }
        if (want.change.has_mac) {
            want.change.mac_key[0] = 6;
            want.change.mac_gen = 0x01020304;
        }
        tl_keystate_encode(bytes, &want);
        assert_int_equal(bytes[7], 2); /* not for programs that know nothing of it */
        check_ok(tl_keystate_decode(&got, bytes, sizeof(bytes), NULL));
        assert_int_equal(got.log_seq, want.log_seq);
        assert_int_equal(got.mac_seq, want.mac_seq);
        assert_int_equal(got.change.has_log, want.change.has_log);
        assert_int_equal(got.change.has_mac, want.change.has_mac);
        assert_int_equal(got.change.mac_gen, want.change.mac_gen);
        assert_memory_equal(got.change.log_seed, want.change.log_seed, 32);
        assert_memory_equal(got.change.mac_key, want.change.mac_key, 32);
    }
    const struct tl_keystate never = make_state(false);
    uint8_t bytes[TL_KEYSTATE_LEN];
    tl_keystate_encode(bytes, &never);
    assert_int_equal(bytes[7], 1); /* older programs read it */
}

static void refuses_a_change_of_keys_that_no_encoder_writes(void **state)
{
    (void)state;
    check_status(decode_with(false, 11, 2), TALLY_ECORRUPT);  /* a new log key of zeros */
    check_status(decode_with(false, 11, 4), TALLY_ECORRUPT);  /* a new MAC key of zeros */
    check_status(decode_with(true, 11, 3), TALLY_ECORRUPT);   /* together with a new epoch */
    check_status(decode_with(false, 373, 1), TALLY_ECORRUPT); /* a key without its flag */
    check_status(decode_with(false, 405, 1), TALLY_ECORRUPT);
    check_status(decode_with(false, 440, 1), TALLY_ECORRUPT); /* a generation without its key */
    check_status(decode_with(false, 364, 1), TALLY_ECORRUPT); /* a seq in version 1 */
    check_status(decode_with(false, 441, 1), TALLY_ECORRUPT); /* not zero */
}

static void writes_the_marks_of_the_vectors(void **state)
{
    (void)state;
    const struct tl_json *section = vectors_section(&arena, "high_water");
    struct tl_highwater mark = { .size = vectors_u64(section, "size") };
    uint8_t bytes[TL_HIGHWATER_SLOT_LEN];
    vectors_bytes(mark.root, sizeof(mark.root), section, "root");
    tl_highwater_encode(bytes, &mark);
    vectors_check(section, "running", bytes, sizeof(bytes));
    mark.clean = true;
    tl_highwater_encode(bytes, &mark);
    vectors_check(section, "clean", bytes, sizeof(bytes));

    struct tl_highwater got;
    uint32_t slot = 9;
    check_ok(tl_highwater_decode(&got, &slot, bytes, sizeof(bytes), NULL));
    assert_int_equal(got.size, 702);
    assert_true(got.clean);
    assert_memory_equal(got.root, mark.root, sizeof(got.root));
    assert_int_equal(slot, 1);
}

static void put_mark(uint8_t *slot, uint64_t size, bool clean, uint8_t root)
{
    const struct tl_highwater mark = { .size = size, .clean = clean, .root = { root } };
    tl_highwater_encode(slot, &mark);
}

static void takes_the_larger_mark_and_writes_over_the_other(void **state)
{
    (void)state;
    static const struct {
        uint64_t size[2];
        bool clean[2];
        uint32_t slot;
    } table[] = {
        { { 5, 4 }, { false, false }, 1 }, { { 4, 5 }, { false, false }, 0 },
        { { 5, 5 }, { false, true }, 0 },  { { 5, 5 }, { true, false }, 1 },
        { { 5, 6 }, { true, false }, 0 },
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(table); i++) {
        uint8_t bytes[2 * TL_HIGHWATER_SLOT_LEN];
        struct tl_highwater got;
        uint32_t slot = 9;
        put_mark(bytes, table[i].size[0], table[i].clean[0], 7);
        put_mark(bytes + TL_HIGHWATER_SLOT_LEN, table[i].size[1], table[i].clean[1], 7);
        check_ok(tl_highwater_decode(&got, &slot, bytes, sizeof(bytes), NULL));
        assert_int_equal(slot, table[i].slot);
        assert_int_equal(got.size, table[i].size[1 - slot]);
        assert_int_equal(got.clean, table[i].clean[1 - slot]);
    }
}

static void a_torn_slot_leaves_the_mark_before_it(void **state)
{
    (void)state;
    uint8_t bytes[2 * TL_HIGHWATER_SLOT_LEN];
    put_mark(bytes, 4, false, 1);
    put_mark(bytes + TL_HIGHWATER_SLOT_LEN, 5, false, 2);
    for (size_t bit = 0; bit < 8 * sizeof(bytes); bit++) {
        struct tl_highwater got;
        uint32_t slot = 9;
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        check_ok(tl_highwater_decode(&got, &slot, bytes, sizeof(bytes), NULL));
        bool torn = bit / 8 >= TL_HIGHWATER_SLOT_LEN;
        assert_int_equal(got.size, torn ? 4 : 5);
        assert_int_equal(slot, torn ? 1 : 0);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

static void finds_every_flipped_bit_of_a_lone_mark(void **state)
{
    (void)state;
    uint8_t bytes[TL_HIGHWATER_SLOT_LEN];
    put_mark(bytes, 4, true, 1);
    struct tl_highwater got;
    uint32_t slot = 9;
    for (size_t bit = 0; bit < 8 * sizeof(bytes); bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        check_status(tl_highwater_decode(&got, &slot, bytes, sizeof(bytes), NULL), TALLY_ECORRUPT);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    check_status(tl_highwater_decode(&got, &slot, bytes, 63, NULL), TALLY_ECORRUPT);
    check_status(tl_highwater_decode(&got, &slot, bytes, 0, NULL), TALLY_ECORRUPT);
}

static void refuses_two_roots_of_one_size(void **state)
{
    (void)state;
    uint8_t bytes[2 * TL_HIGHWATER_SLOT_LEN + 1] = { 0 };
    struct tl_highwater got;
    uint32_t slot = 9;
    put_mark(bytes, 4, true, 1);
    put_mark(bytes + TL_HIGHWATER_SLOT_LEN, 4, false, 2);
    check_status(tl_highwater_decode(&got, &slot, bytes, 128, NULL), TALLY_ECORRUPT);
    check_status(tl_highwater_decode(&got, &slot, bytes, 129, NULL), TALLY_ECORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_back_the_state_it_was_given),
        cmocka_unit_test(finds_every_flipped_bit_of_a_state),
        cmocka_unit_test(refuses_what_no_encoder_writes),
        cmocka_unit_test(keeps_a_change_of_keys_that_is_under_way),
        cmocka_unit_test(refuses_a_change_of_keys_that_no_encoder_writes),
        cmocka_unit_test(writes_the_marks_of_the_vectors),
        cmocka_unit_test(takes_the_larger_mark_and_writes_over_the_other),
        cmocka_unit_test(a_torn_slot_leaves_the_mark_before_it),
        cmocka_unit_test(finds_every_flipped_bit_of_a_lone_mark),
        cmocka_unit_test(refuses_two_roots_of_one_size),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
