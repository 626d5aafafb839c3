#include "spool/segment.h"

#include <string.h>

#include "check.h"

#define NONCE UINT64_C(0x0123456789abcdef)

static const char text_of_event[] = "{\"action\":\"test.event\",\"id\":\"x\"}";

/* A small segment, without its header, as a writer would leave it. */
struct image {
    _Alignas(8) uint8_t bytes[1024];
    size_t len; /* of what was written; zeros follow */
    uint32_t index;
};

static size_t add(struct image *image, enum tl_spool_kind kind, const char *text, size_t text_len)
{
    size_t at = image->len;
    struct tl_spool_record record = { .kind = kind,
                                      .delivery = 2,
                                      .flags = TL_SPOOL_TIME_IS_OURS,
                                      .index = image->index++,
                                      .time_us = INT64_C(1767225600000000) + image->index,
                                      .len = (uint32_t)text_len };
    assert_true(at + tl_spool_span(record.len) <= sizeof(image->bytes));
    if (kind != TL_SPOOL_VOID) {
        memcpy(image->bytes + at + TL_SPOOL_HEADER_LEN, text, text_len);
    }
    tl_spool_encode(image->bytes + at, &record, NONCE);
    image->len += tl_spool_span(record.len);
    return at;
}

static size_t add_event(struct image *image, size_t text_len)
{
    assert_true(text_len < sizeof(text_of_event));
    return add(image, TL_SPOOL_EVENT, text_of_event, text_len);
}

static enum tl_spool_found look(const struct image *image, size_t at,
                                struct tl_spool_record *record)
{
    return tl_spool_look(record, image->bytes + at, sizeof(image->bytes) - at, NONCE);
}

static void reads_back_the_header_of_a_segment(void **state)
{
    (void)state;
    const struct tl_segment want = {
        .nonce = NONCE, .created_us = -5, .size = UINT32_C(1) << 28, .pid = 4711
    };
    uint8_t bytes[TL_SEGMENT_HEADER_LEN];
    tl_segment_encode(bytes, &want);
    struct tl_segment got = { 0 };
    check_ok(tl_segment_decode(&got, bytes, NULL));
    assert_true(got.nonce == want.nonce && got.created_us == want.created_us);
    assert_true(got.size == want.size && got.pid == want.pid);
}

static void refuses_a_header_with_any_bit_flipped(void **state)
{
    (void)state;
    const struct tl_segment segment = { .nonce = NONCE, .size = 1 << 20 };
    uint8_t bytes[TL_SEGMENT_HEADER_LEN];
    tl_segment_encode(bytes, &segment);
    for (size_t bit = 0; bit < 8 * sizeof(bytes); bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        struct tl_segment got;
        check_status(tl_segment_decode(&got, bytes, NULL), TALLY_ECORRUPT);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

/* Sound headers whose fields this version cannot take, checksums included. */
static void tells_a_later_version_from_nonsense(void **state)
{
    (void)state;
    static const uint8_t later[TL_SEGMENT_HEADER_LEN] = {
        'T', 'A', 'L', 'L', 'Y', 'S', 'P', 'L', 0, 0, 0, 2, 0, 0x10, [60] = 0xfa, 0xfe, 0xc9, 0xfd
    };
    static const uint8_t version_0[TL_SEGMENT_HEADER_LEN] = {
        'T', 'A', 'L', 'L', 'Y', 'S', 'P', 'L', 0, 0, 0, 0, 0, 0x10, [60] = 0x70, 0x1f, 0xc3, 0x08
    };
    struct tl_segment got;
    check_status(tl_segment_decode(&got, later, NULL), TALLY_ENOTSUP);
    check_status(tl_segment_decode(&got, version_0, NULL), TALLY_ECORRUPT);

    uint8_t bytes[TL_SEGMENT_HEADER_LEN];
    tl_segment_encode(bytes, &(struct tl_segment){ .size = TL_SEGMENT_HEADER_LEN - 1 });
    check_status(tl_segment_decode(&got, bytes, NULL), TALLY_ECORRUPT);
}

static void reads_back_a_record_of_every_kind_and_length(void **state)
{
    (void)state;
    for (int kind = TL_SPOOL_EVENT; kind <= TL_SPOOL_ACT; kind++) {
        for (size_t len = 0; len < sizeof(text_of_event); len++) {
            struct image image = { .index = 7 };
            size_t at = add(&image, (enum tl_spool_kind)kind, text_of_event, len);
            struct tl_spool_record got = { 0 };
            assert_int_equal(look(&image, at, &got), TL_SPOOL_WHOLE);
            assert_int_equal(got.kind, kind);
            assert_int_equal(got.delivery, 2);
            assert_int_equal(got.flags, TL_SPOOL_TIME_IS_OURS);
            assert_int_equal(got.index, 7);
            assert_true(got.time_us == INT64_C(1767225600000008));
            assert_int_equal(got.len, len);
            if (kind == TL_SPOOL_VOID) {
                assert_null(got.text);
            } else {
                assert_memory_equal(got.text, text_of_event, len);
            }
        }
    }
}

static void does_not_take_a_record_of_another_segment(void **state)
{
    (void)state;
    struct image image = { 0 };
    size_t at = add_event(&image, 20);
    struct tl_spool_record got;
    assert_int_equal(
        tl_spool_look(&got, image.bytes + at, sizeof(image.bytes) - at, NONCE ^ UINT64_C(1) << 63),
        TL_SPOOL_PART);
}

/* Whatever is left of the text that was to be there. */
static void passes_over_what_stands_behind_a_void_record(void **state)
{
    (void)state;
    struct image image = { 0 };
    size_t at = add_event(&image, 30);
    image.len = at;
    image.index = 0;
    (void)add(&image, TL_SPOOL_VOID, NULL, 30);
    (void)add_event(&image, 11);
    struct tl_spool_record got;
    assert_int_equal(look(&image, at, &got), TL_SPOOL_WHOLE);
    assert_int_equal(got.kind, TL_SPOOL_VOID);
    assert_int_equal(look(&image, at + tl_spool_span(got.len), &got), TL_SPOOL_WHOLE);
    assert_int_equal(got.index, 1);
}

/* A record that is being written, or was when its writer died, in whatever order its bytes arrive. */
static void is_never_whole_while_any_byte_is_missing(void **state)
{
    (void)state;
    struct image image = { 0 };
    (void)add_event(&image, 29);
    const struct image sound = image;
    for (size_t written = 0; written < TL_SPOOL_HEADER_LEN + 29; written++) {
        struct tl_spool_record got = { .kind = TL_SPOOL_GAP };
        image = sound;
        memset(image.bytes + written, 0, sizeof(image.bytes) - written);
        enum tl_spool_found found = look(&image, 0, &got);
        assert_true(found != TL_SPOOL_WHOLE);
        assert_true((found == TL_SPOOL_NOTHING) == (written == 0));
        if (written % 8 == 0 && written > 0) {
            assert_int_equal(found, TL_SPOOL_PART);
            assert_int_equal(got.kind, written == 8 ? 0 : TL_SPOOL_EVENT);
            assert_int_equal(got.len, 29);
            assert_null(got.text);
        }
        image = sound;
        memset(image.bytes, 0, written);
        assert_true((look(&image, 0, &got) == TL_SPOOL_WHOLE) == (written == 0));
        /* The bytes that are given may end anywhere. */
        assert_true(tl_spool_look(&got, sound.bytes, written, NONCE) != TL_SPOOL_WHOLE);
    }
}

static void is_not_whole_when_more_than_zeros_pads_it(void **state)
{
    (void)state;
    struct image image = { 0 };
    size_t at = add_event(&image, 29);
    image.bytes[at + TL_SPOOL_HEADER_LEN + 31] = 1;
    struct tl_spool_record got;
    assert_int_equal(look(&image, at, &got), TL_SPOOL_PART);
}

static void finds_nothing_wrong_and_everything_right_with_any_bit_flipped(void **state)
{
    (void)state;
    struct image image = { 0 };
    size_t starts[] = { add_event(&image, 32), add(&image, TL_SPOOL_VOID, NULL, 16),
                        add(&image, TL_SPOOL_ROUTED, text_of_event, 9), add_event(&image, 0),
                        add(&image, TL_SPOOL_GAP, text_of_event, 31) };
    for (size_t bit = 0; bit < 8 * image.len; bit++) {
        struct image flipped = image;
        flipped.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        size_t at = 0;
        bool nothing = false;
        for (size_t i = 0; i < TL_ARRAY_LEN(starts); i++) {
            size_t end = i + 1 < TL_ARRAY_LEN(starts) ? starts[i + 1] : image.len;
            bool is_hit = bit / 8 >= starts[i] && bit / 8 < end;
            bool is_unread = i == 1 && bit / 8 >= starts[1] + TL_SPOOL_HEADER_LEN;
            if (is_hit && !is_unread) {
                continue;
            }
            at = tl_spool_next(flipped.bytes, sizeof(flipped.bytes), at, NONCE, &nothing);
            assert_int_equal(at, starts[i]);
            struct tl_spool_record got;
            assert_int_equal(look(&flipped, at, &got), TL_SPOOL_WHOLE);
            assert_int_equal(got.index, i);
            at += tl_spool_span(got.len);
        }
        at = tl_spool_next(flipped.bytes, sizeof(flipped.bytes), at, NONCE, &nothing);
        assert_true(at == SIZE_MAX);
    }
}

static void says_whether_it_passed_over_anything(void **state)
{
    (void)state;
    struct image image = { .len = 64 };
    size_t at = add_event(&image, 30);
    bool nothing = false;
    assert_int_equal(tl_spool_next(image.bytes, sizeof(image.bytes), 0, NONCE, &nothing), at);
    assert_true(nothing);
    image.bytes[50] = 1;
    assert_int_equal(tl_spool_next(image.bytes, sizeof(image.bytes), 0, NONCE, &nothing), at);
    assert_false(nothing);
    assert_int_equal(tl_spool_next(image.bytes, sizeof(image.bytes), 56, NONCE, &nothing), at);
    assert_true(nothing);
    size_t end = at + tl_spool_span(30);
    assert_true(tl_spool_next(image.bytes, sizeof(image.bytes), end, NONCE, &nothing) == SIZE_MAX);
    assert_true(nothing);
    assert_true(tl_spool_next(image.bytes, at + 31, 56, NONCE, &nothing) == SIZE_MAX);
    assert_false(nothing);
}

/* Each of these would have a megabyte of text, if it were one: to check them all takes hours. */
static void does_not_go_through_the_same_bytes_again_and_again(void **state)
{
    (void)state;
    size_t len = (size_t)4 << 20;
    uint8_t *bytes = tl_alloc_array(len, 1);
    assert_non_null(bytes);
    memset(bytes, ' ', len);
    for (size_t at = 0; at < len; at += TL_SPOOL_HEADER_LEN) {
        struct tl_spool_record record = { .kind = TL_SPOOL_EVENT, .len = 0 };
        tl_spool_encode(bytes + at, &record, NONCE + 1);
        bytes[at + 5] = 0x10;
    }
    bool nothing = true;
    assert_true(tl_spool_next(bytes, len, 0, NONCE, &nothing) == SIZE_MAX);
    assert_false(nothing);
    tl_free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_back_the_header_of_a_segment),
        cmocka_unit_test(refuses_a_header_with_any_bit_flipped),
        cmocka_unit_test(tells_a_later_version_from_nonsense),
        cmocka_unit_test(reads_back_a_record_of_every_kind_and_length),
        cmocka_unit_test(does_not_take_a_record_of_another_segment),
        cmocka_unit_test(passes_over_what_stands_behind_a_void_record),
        cmocka_unit_test(is_never_whole_while_any_byte_is_missing),
        cmocka_unit_test(is_not_whole_when_more_than_zeros_pads_it),
        cmocka_unit_test(finds_nothing_wrong_and_everything_right_with_any_bit_flipped),
        cmocka_unit_test(says_whether_it_passed_over_anything),
        cmocka_unit_test(does_not_go_through_the_same_bytes_again_and_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
