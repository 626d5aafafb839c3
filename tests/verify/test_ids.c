#include "verify/ids.h"

#include <string.h>

#include "base/bytes.h"
#include "check.h"

/* What tl_ids_find() named. */
struct pairs {
    uint64_t count;
    uint64_t seqs[16][2];
};

static tally_status take(void *ctx, uint64_t seq, uint64_t other)
{
    struct pairs *pairs = ctx;
    if (pairs->count < TL_ARRAY_LEN(pairs->seqs)) {
        pairs->seqs[pairs->count][0] = seq;
        pairs->seqs[pairs->count][1] = other;
    }
    pairs->count++;
    return TALLY_OK;
}

static void add(struct tl_ids *ids, uint64_t id, uint64_t seq)
{
    uint8_t bytes[16] = { 0 };
    tl_put_be64(bytes, id >> 3); /* neighbours share a half, as ids made in order do */
    tl_put_be64(bytes + 8, id);
    check_ok(tl_ids_add(ids, bytes, seq, NULL));
}

static void names_each_pair_whatever_the_run_length(void **state)
{
    (void)state;
    static const size_t run_lengths[] = { 0, 1, 7, 300, 5000 };
    for (size_t i = 0; i < TL_ARRAY_LEN(run_lengths); i++) {
        struct tl_ids ids;
        struct pairs pairs = { 0 };
        tl_ids_init(&ids, NULL, run_lengths[i]);
        uint64_t count = run_lengths[i] == 1 ? 300 : 10000;
        for (uint64_t seq = 0; seq < count; seq++) {
            add(&ids, seq == 250 ? 17 : seq, seq);
        }
        check_ok(tl_ids_find(&ids, take, &pairs, NULL));
        assert_int_equal(pairs.count, 1);
        assert_int_equal(pairs.seqs[0][0], 17);
        assert_int_equal(pairs.seqs[0][1], 250);
        tl_ids_release(&ids);
    }
}

static void names_nothing_among_different_ids(void **state)
{
    (void)state;
    struct tl_ids ids;
    struct pairs pairs = { 0 };
    tl_ids_init(&ids, NULL, 4096);
    for (uint64_t seq = 0; seq < 200000; seq++) {
        add(&ids, seq * 8, seq);
    }
    check_ok(tl_ids_find(&ids, take, &pairs, NULL));
    assert_int_equal(pairs.count, 0);
    tl_ids_release(&ids);
}

static void says_that_it_cannot_write(void **state)
{
    (void)state;
    struct tl_ids ids;
    tl_ids_init(&ids, "/nowhere/at/all", 4);
    for (uint64_t seq = 0; seq < 4; seq++) {
        add(&ids, seq, seq);
    }
    uint8_t bytes[16] = { 0 };
    check_status(tl_ids_add(&ids, bytes, 4, NULL), TALLY_EIO);
    tl_ids_release(&ids);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_each_pair_whatever_the_run_length),
        cmocka_unit_test(names_nothing_among_different_ids),
        cmocka_unit_test(says_that_it_cannot_write),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
