/* What was compressed comes back; what was damaged does not. */
#include "codec/zstd.h"

#include <string.h>

#include "check.h"
#include "fault.h"

#define TEXT_SIZE 200000u
#define PACK_SIZE 300000u

static char text[TEXT_SIZE];
static char packed[PACK_SIZE];
static char unpacked[TEXT_SIZE];

static int make_text(void **state)
{
    (void)state;
    uint32_t random = 1;
    for (size_t i = 0; i < sizeof(text); i++) {
        random = random * 1103515245u + 12345u;
        text[i] = (char)('a' + (random >> 16) % (1 + i / 10000));
    }
    return 0;
}

/* Compresses `len` bytes, `step` at a time, with as little room. */
static tally_status pack(size_t len, size_t step, size_t *packed_len)
{
    struct tl_zstd_writer *writer = NULL;
    TL_TRY(tl_zstd_writer_new(&writer, NULL));
    struct tl_zstd_piece piece = { .in = text };
    size_t given = 0;
    bool done = false;
    tally_status status = TALLY_OK;
    *packed_len = 0;
    while (!done && status == TALLY_OK) {
        size_t more = len - given < step ? len - given : step;
        piece.in_len += more;
        given += more;
        piece.out = packed + *packed_len;
        piece.out_size = PACK_SIZE - *packed_len < step ? PACK_SIZE - *packed_len : step;
        status = tl_zstd_write(writer, &piece, given == len, &done, NULL);
        *packed_len += piece.out_len;
    }
    tl_zstd_writer_free(writer);
    return status;
}

static tally_status unpack(size_t packed_len, size_t step, size_t *len, bool *complete)
{
    struct tl_zstd_reader *reader = NULL;
    TL_TRY(tl_zstd_reader_new(&reader, NULL));
    struct tl_zstd_piece piece = { .in = packed };
    size_t given = 0;
    tally_status status = TALLY_OK;
    *len = 0;
    do {
        size_t more = packed_len - given < step ? packed_len - given : step;
        piece.in_len += more;
        given += more;
        piece.out = unpacked + *len;
        piece.out_size = TEXT_SIZE - *len < step ? TEXT_SIZE - *len : step;
        status = tl_zstd_read(reader, &piece, NULL);
        *len += piece.out_len;
    } while (status == TALLY_OK && (piece.in_len > 0 || given < packed_len || piece.out_len > 0));
    *complete = tl_zstd_is_complete(reader);
    tl_zstd_reader_free(reader);
    return status;
}

static void gives_back_what_was_compressed_in_pieces_of_any_size(void **state)
{
    (void)state;
    static const size_t lengths[] = { 0, 1, 100, 65536, TEXT_SIZE };
    static const size_t steps[] = { 1, 7, 4096, TEXT_SIZE };
    for (size_t i = 0; i < TL_ARRAY_LEN(lengths); i++) {
        for (size_t j = lengths[i] > 1000 ? 1 : 0; j < TL_ARRAY_LEN(steps); j++) {
            size_t packed_len = 0;
            size_t len = 0;
            bool complete = false;
            check_ok(pack(lengths[i], steps[j], &packed_len));
            check_ok(unpack(packed_len, steps[j], &len, &complete));
            assert_int_equal(len, lengths[i]);
            assert_memory_equal(unpacked, text, len);
            assert_true(complete);
        }
    }
}

static void knows_that_a_part_is_missing(void **state)
{
    (void)state;
    size_t packed_len = 0;
    size_t len = 0;
    bool complete = true;
    check_ok(pack(5000, 4096, &packed_len));
    for (size_t cut = 1; cut < packed_len; cut += 13) {
        check_ok(unpack(packed_len - cut, 4096, &len, &complete));
        assert_false(complete);
    }
}

static void finds_every_flipped_byte(void **state)
{
    (void)state;
    size_t packed_len = 0;
    check_ok(pack(2000, 4096, &packed_len));
    for (size_t at = 0; at < packed_len; at++) {
        size_t len = 0;
        bool complete = false;
        packed[at] = (char)(packed[at] ^ 0x10);
        tally_status status = unpack(packed_len, 4096, &len, &complete);
        packed[at] = (char)(packed[at] ^ 0x10);
        bool same =
            status == TALLY_OK && complete && len == 2000 && memcmp(unpacked, text, len) == 0;
        assert_true(status == TALLY_EINVAL || !complete || same);
        assert_true(status == TALLY_OK || status == TALLY_EINVAL);
    }
}

static tally_status there_and_back(const void *ctx)
{
    (void)ctx;
    size_t packed_len = 0;
    size_t len = 0;
    bool complete = false;
    TL_TRY(pack(1000, 4096, &packed_len));
    return unpack(packed_len, 4096, &len, &complete);
}

static void keeps_nothing_when_memory_runs_out(void **state)
{
    (void)state;
    assert_true(fault_each_alloc(there_and_back, NULL) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_back_what_was_compressed_in_pieces_of_any_size),
        cmocka_unit_test(knows_that_a_part_is_missing),
        cmocka_unit_test(finds_every_flipped_byte),
        cmocka_unit_test(keeps_nothing_when_memory_runs_out),
    };
    return cmocka_run_group_tests_name("codec/zstd", tests, make_text, NULL);
}
