#include <string.h>

#include "check.h"
#include "evidence/leaf.h"
#include "tree/tree.h"
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

static void gives_each_id_of_the_vectors_its_leaf_id(void **state)
{
    (void)state;
    const struct tl_json *row = vectors_section(&arena, "leaf_id")->first;
    for (; row != NULL; row = row->next) {
        uint8_t id[TL_LEAF_ID_LEN];
        check_ok(tl_leaf_id(id, vectors_text(row, "id")));
        vectors_check(row, "leaf_id", id, sizeof(id));
    }
}

static void refuses_the_nil_uuid(void **state)
{
    (void)state;
    uint8_t id[TL_LEAF_ID_LEN] = { 7 };
    check_status(tl_leaf_id(id, TL_STR("00000000-0000-0000-0000-000000000000")), TALLY_EINVAL);
    assert_int_equal(id[0], 7);
}

static void retains_as_long_as_the_vectors_say(void **state)
{
    (void)state;
    const struct tl_json *row = vectors_section(&arena, "retention")->first;
    for (; row != NULL; row = row->next) {
        struct tl_str text = vectors_get(row, "days")->text;
        int32_t days = tl_str_is(text, "-1") ? -1 : (int32_t)vectors_u64(row, "days");
        int64_t basis_us = (int64_t)vectors_u64(row, "basis");
        assert_int_equal(tl_retain_until(basis_us, days), vectors_u64(row, "retain_until"));
    }
}

static void retention_never_overflows_into_for_ever(void **state)
{
    (void)state;
    assert_int_equal(tl_retain_until(INT64_MAX, 36500), 106751992 + 36500);
    assert_int_equal(tl_retain_until(INT64_MAX, INT32_MAX), 106751992u + (uint32_t)INT32_MAX);
    assert_int_equal(tl_retain_until(-5, 3), 3);
    assert_int_equal(tl_retain_until(1, 0), 1);
}

static void finds_the_epochs_of_the_vectors(void **state)
{
    (void)state;
    const struct tl_json *section = vectors_section(&arena, "epoch_of");
    int64_t start_us = (int64_t)vectors_u64(section, "start");
    uint32_t seconds = (uint32_t)vectors_u64(section, "epoch_seconds");
    const struct tl_json *row = vectors_get(section, "rows")->first;
    for (; row != NULL; row = row->next) {
        int64_t time_us = (int64_t)vectors_u64(row, "time");
        assert_int_equal(tl_epoch_of(start_us, seconds, time_us), vectors_u64(row, "epoch"));
    }
}

static void epochs_stay_in_range_at_both_ends_of_time(void **state)
{
    (void)state;
    assert_int_equal(tl_epoch_of(1000, 60, 999), 0);
    assert_int_equal(tl_epoch_of(0, 60, INT64_MIN), 0);
    assert_int_equal(tl_epoch_of(INT64_MIN, 60, INT64_MAX), UINT32_MAX);
}

/* Compares a leaf with the "leaf_fields" of an event vector. */
static void check_fields(const struct tl_leaf *leaf, const struct tl_json *event)
{
    const struct tl_json *fields = vectors_get(event, "leaf_fields");
    assert_int_equal(leaf->kind, vectors_u64(fields, "kind"));
    assert_int_equal(leaf->flags, vectors_u64(fields, "flags"));
    assert_int_equal(leaf->class_id, vectors_u64(fields, "class"));
    assert_int_equal(leaf->seq, vectors_u64(fields, "seq"));
    assert_int_equal(leaf->time_us, vectors_u64(fields, "time"));
    assert_int_equal(leaf->retain_until, vectors_u64(fields, "retain_until"));
    assert_int_equal(leaf->epoch, vectors_u64(fields, "epoch"));
    assert_int_equal(leaf->mac_gen, vectors_u64(fields, "mac_gen"));
    assert_int_equal(leaf->incarnation, vectors_u64(fields, "incarnation"));
    vectors_check(fields, "id", leaf->id, sizeof(leaf->id));
    vectors_check(event, "commit", leaf->commit, sizeof(leaf->commit));
    vectors_check(event, "mac", leaf->mac, sizeof(leaf->mac));
}

static void reads_and_writes_the_leaves_of_the_vectors(void **state)
{
    (void)state;
    const struct tl_json *row = vectors_section(&arena, "events")->first;
    for (; row != NULL; row = row->next) {
        uint8_t bytes[TL_LEAF_LEN];
        uint8_t again[TL_LEAF_LEN];
        uint8_t hash[TL_HASH_LEN];
        struct tl_leaf leaf;
        vectors_bytes(bytes, sizeof(bytes), row, "leaf");
        check_ok(tl_leaf_decode(&leaf, bytes, sizeof(bytes), NULL));
        check_fields(&leaf, row);
        tl_leaf_encode(again, &leaf);
        assert_memory_equal(again, bytes, sizeof(bytes));
        tl_tree_hash_leaf(hash, bytes, sizeof(bytes));
        vectors_check(row, "leaf_hash", hash, sizeof(hash));
    }
}

static void reads_the_control_leaves_of_the_vectors(void **state)
{
    (void)state;
    const struct tl_json *row = vectors_section(&arena, "controls")->first;
    for (; row != NULL; row = row->next) {
        struct tl_str bytes = vectors_blob(&arena, row, "leaf");
        struct tl_leaf leaf;
        uint8_t again[TL_LEAF_LEN];
        check_ok(tl_leaf_decode(&leaf, (const uint8_t *)bytes.text, bytes.len, NULL));
        assert_true(tl_leaf_is_control(leaf.kind));
        assert_true(tl_str_is(vectors_text(row, "kind"), tl_leaf_kind_name(leaf.kind)));
        tl_leaf_encode(again, &leaf);
        assert_memory_equal(again, bytes.text, sizeof(again));
    }
}

static void every_bit_of_a_leaf_counts(void **state)
{
    (void)state;
    const struct tl_json *row = vectors_section(&arena, "events")->first;
    uint8_t bytes[TL_LEAF_LEN];
    vectors_bytes(bytes, sizeof(bytes), row, "leaf");
    for (size_t bit = 0; bit < 8 * sizeof(bytes); bit++) {
        uint8_t again[TL_LEAF_LEN];
        struct tl_leaf leaf;
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (tl_leaf_decode(&leaf, bytes, sizeof(bytes), NULL) == TALLY_OK) {
            tl_leaf_encode(again, &leaf); /* what was flipped is not lost */
            assert_memory_equal(again, bytes, sizeof(bytes));
        }
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

/* A control leaf with a payload "{}", of which one byte is set. */
static tally_status decode_control_with(size_t at, uint8_t byte)
{
    const struct tl_leaf leaf = { .kind = TL_LEAF_GAP,
                                  .retain_until = TL_RETAIN_FOREVER,
                                  .incarnation = 1 };
    uint8_t bytes[TL_LEAF_LEN + 2];
    tl_leaf_encode(bytes, &leaf);
    bytes[TL_LEAF_LEN] = '{';
    bytes[TL_LEAF_LEN + 1] = '}';
    bytes[at] = byte;
    struct tl_leaf decoded;
    return tl_leaf_decode(&decoded, bytes, sizeof(bytes), NULL);
}

static void refuses_control_leaves_with_fields_of_an_entry(void **state)
{
    (void)state;
    check_ok(decode_control_with(TL_LEAF_LEN, '{'));
    check_ok(decode_control_with(5, 2));
    check_status(decode_control_with(5, 1), TALLY_ECORRUPT);
    check_status(decode_control_with(5, 4), TALLY_ECORRUPT);
    check_status(decode_control_with(7, 1), TALLY_ECORRUPT);
    check_status(decode_control_with(24, 0), TALLY_ECORRUPT);
    check_status(decode_control_with(40, 1), TALLY_ECORRUPT);
    check_status(decode_control_with(16, 0x80), TALLY_ECORRUPT);
    check_status(decode_control_with(4, 0x8c), TALLY_ECORRUPT);
    check_status(decode_control_with(4, 0x02), TALLY_ECORRUPT);
}

static void each_kind_has_its_lengths(void **state)
{
    (void)state;
    static uint8_t bytes[TL_LEAF_LEN + TL_LEAF_PAYLOAD_MAX + 1];
    static const struct {
        enum tl_leaf_kind kind;
        size_t len;
        tally_status want;
    } table[] = {
        { TL_LEAF_ENTRY, 103, TALLY_ECORRUPT },  { TL_LEAF_ENTRY, 104, TALLY_OK },
        { TL_LEAF_ENTRY, 105, TALLY_ECORRUPT },  { TL_LEAF_HOLD, 0, TALLY_ECORRUPT },
        { TL_LEAF_HOLD, 104, TALLY_ECORRUPT },   { TL_LEAF_HOLD, 105, TALLY_ECORRUPT },
        { TL_LEAF_HOLD, 106, TALLY_OK },         { TL_LEAF_HOLD, 65535, TALLY_OK },
        { TL_LEAF_HOLD, 65536, TALLY_ECORRUPT },
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(table); i++) {
        struct tl_leaf leaf = { .kind = table[i].kind, .retain_until = TL_RETAIN_FOREVER };
        tl_leaf_encode(bytes, &leaf);
        check_status(tl_leaf_decode(&leaf, bytes, table[i].len, NULL), table[i].want);
    }
}

static void acts_are_what_people_do(void **state)
{
    (void)state;
    unsigned acts = 0;
    for (enum tl_leaf_kind kind = TL_LEAF_ENTRY; kind <= TL_LEAF_RESTORE; kind++) {
        acts += tl_leaf_is_act(kind);
    }
    assert_int_equal(acts, 8);
    assert_true(tl_leaf_is_act(TL_LEAF_KEY));
    assert_true(tl_leaf_is_act(TL_LEAF_ANCHOR));
    assert_false(tl_leaf_is_act(TL_LEAF_EPOCH));
    assert_false(tl_leaf_is_act(TL_LEAF_GAP));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_each_id_of_the_vectors_its_leaf_id),
        cmocka_unit_test(refuses_the_nil_uuid),
        cmocka_unit_test(retains_as_long_as_the_vectors_say),
        cmocka_unit_test(retention_never_overflows_into_for_ever),
        cmocka_unit_test(finds_the_epochs_of_the_vectors),
        cmocka_unit_test(epochs_stay_in_range_at_both_ends_of_time),
        cmocka_unit_test(reads_and_writes_the_leaves_of_the_vectors),
        cmocka_unit_test(reads_the_control_leaves_of_the_vectors),
        cmocka_unit_test(every_bit_of_a_leaf_counts),
        cmocka_unit_test(refuses_control_leaves_with_fields_of_an_entry),
        cmocka_unit_test(each_kind_has_its_lengths),
        cmocka_unit_test(acts_are_what_people_do),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
