/* Checks that ledgers with something else wrong would not miss. tests/tools/mutate.py asks for them. */
#include <string.h>

#include "check.h"
#include "support/expect.h"
#include "verify/verify.h"

static void end_a_day_early(struct tl_leaf *leaf)
{
    leaf->retain_until--;
}

/* Signed by the right keys, which no other log should have. */
static void a_checkpoint_of_another_origin(void **state)
{
    (void)state;
    mk_events(&expect_mk, 5);
    expect_mk.origin[0] ^= 1;
    mk_rebuild(&expect_mk);
    expect_unverifiable("ORIGIN_MISMATCH", 5);
    expect_mk.origin[0] ^= 1;
    mk_rebuild(&expect_mk);
    expect_verified();
}

static void a_witness_does_not_sign_for_another(void **state)
{
    (void)state;
    struct mk_key other;
    mk_key_make(&other, "w.example.com/b", TL_NOTE_TYPE_COSIGNED, 9);
    expect_mk.witnessed = true;
    mk_events(&expect_mk, 5);
    expect_mk.trust->witnesses[0].key = other.key;
    expect_mk.trust->witnesses[1].key = expect_mk.witness.key;
    expect_mk.trust->witness_count = 2;
    expect_mk.trust->has_quorum = true;
    expect_mk.trust->quorum = 0;
    expect_unverifiable("WITNESS_QUORUM", NO_SEQ);
    expect_mk.trust->quorum = 1;
    expect_verified();
}

static void the_last_bit_of_a_root_counts(void **state)
{
    (void)state;
    mk_events(&expect_mk, 5);
    expect_mk.bad_root = true;
    mk_rebuild(&expect_mk);
    expect_tampered("ROOT_MISMATCH", 5);
    mk_rebuild(&expect_mk);
    expect_verified();
}

static void tiles_of_tiles(void **state)
{
    (void)state;
    mk_events(&expect_mk, (size_t)TL_TILE_WIDTH * TL_TILE_WIDTH);
    struct image *image = &expect_mk.image;
    struct image_tile *tile = &image->tiles[image->tile_count - 1];
    assert_int_equal(tile->level, 1);
    tile->data[TALLY_TILE_LEN - 1] ^= 1;
    expect_tampered("TILE_MISMATCH", 0);
    tile->data[TALLY_TILE_LEN - 1] ^= 1;
    expect_verified();
    image->tile_count--;
    expect_unverifiable("TILE_MISSING", 0);
}

static void an_event_that_is_not_kept_long_enough(void **state)
{
    (void)state;
    expect_mk.by_occurred = true;
    expect_mk.tweak = end_a_day_early;
    mk_events(&expect_mk, 1);
    expect_tampered("RETENTION_MISMATCH", 1);
}

static void a_later_purge_of_earlier_days_covers_nothing_more(void **state)
{
    (void)state;
    mk_events(&expect_mk, 9);
    mk_switch(&expect_mk, 40 * 24);
    mk_control(&expect_mk, TL_LEAF_PURGE, "{\"before_seq\":4,\"count\":3,\"cutoff_day\":20490}");
    mk_control(&expect_mk, TL_LEAF_PURGE, "{\"before_seq\":10,\"count\":0,\"cutoff_day\":20470}");
    mk_events(&expect_mk, 1);
    expect_input.now_s = expect_mk.time_us / 1000000;
    for (uint64_t seq = 1; seq < 4; seq++) {
        mk_erase(&expect_mk, seq);
    }
    expect_verified();
    mk_control(&expect_mk, TL_LEAF_HOLD, "{\"hold\":\"late\",\"ranges\":[[1,3]]}");
    mk_events(&expect_mk, 1);
    expect_verified(); /* it holds nothing back that was gone */
    mk_erase(&expect_mk, 5);
    expect_tampered("PURGE_EARLY", 5);
}

static void what_was_remembered_anchors(void **state)
{
    (void)state;
    mk_events(&expect_mk, 3);
    expect_remember_newest(&expect_mk);
    struct tally_report *report = expect_report();
    assert_int_equal(report->verdict, TALLY_VERDICT_VERIFIED);
    assert_int_equal(report->qualifiers & TALLY_QUALIFIER_UNANCHORED, 0);
    tally_report_free(report);
}

static void an_override_covers_nothing_after_it(void **state)
{
    (void)state;
    mk_events(&expect_mk, 9);
    mk_control(&expect_mk, TL_LEAF_PURGE, "{\"count\":9,\"override\":true,\"ranges\":[[1,20]]}");
    mk_events(&expect_mk, 5);
    mk_erase(&expect_mk, 12);
    expect_among("CONTENT_MISSING", 12);
}

static void an_epoch_later(struct tl_leaf *leaf)
{
    leaf->time_us += (int64_t)MK_EPOCH_SECONDS * 1000000;
}

static void a_switch_to_another_epoch_than_that_of_its_time(void **state)
{
    (void)state;
    mk_events(&expect_mk, 3);
    expect_mk.tweak = an_epoch_later;
    expect_mk.checkpoint_time_s = MK_START_S + 2 * (int64_t)MK_EPOCH_SECONDS;
    mk_switch(&expect_mk, 1);
    expect_among("EPOCH_INVALID", 4);
}

/* That the roots differ as well is no finding of its own. */
static void a_genesis_of_the_second_incarnation(void **state)
{
    (void)state;
    mk_events(&expect_mk, 4);
    expect_input.mac_key = NULL;
    expect_record(0)->leaf.data[87] ^= 3;
    expect_tampered("LEAF_INVALID", 0);
}

static void go_back_to_the_start(struct tl_leaf *leaf)
{
    leaf->time_us = MK_START_S * INT64_C(1000000) + 1;
}

/* What the missing one would have said of time nobody knows. */
static void after_a_hole_time_is_believed(void **state)
{
    (void)state;
    mk_events(&expect_mk, 3);
    expect_mk.tweak = go_back_to_the_start;
    mk_events(&expect_mk, 1);
    mk_events(&expect_mk, 2);
    expect_among("TIME_REGRESSION", 4);
    image_remove(&expect_mk.image, 3);
    struct tally_report *report = expect_report();
    for (size_t i = 0; i < report->finding_count; i++) {
        assert_string_not_equal(report->findings[i].code, "TIME_REGRESSION");
    }
    assert_int_equal(report->verdict, TALLY_VERDICT_TAMPERED);
    tally_report_free(report);
}

/* Only a policy that cannot be read leaves contents unchecked. */
static void after_an_odd_hold_contents_are_checked(void **state)
{
    (void)state;
    mk_events(&expect_mk, 4);
    mk_control(&expect_mk, TL_LEAF_HOLD, "{\"hold\":7}");
    mk_events(&expect_mk, 4);
    struct tally_report *report = expect_report();
    assert_int_equal(report->contents, 8);
    tally_report_free(report);
}

static void policies(void **state)
{
    (void)state;
    mk_events(&expect_mk, 4);
    mk_control(&expect_mk, TL_LEAF_POLICY,
               "{\"classes\":[{\"class\":1,\"days\":5,\"name\":\"a\"}],\"erasable\":[\"/"
               "reason\"],\"policy\":2}");
    expect_mk.class_days = 5;
    struct tl_erasable_set *set = expect_mk.set;
    memset(set, 0, sizeof(*set));
    check_ok(tl_erasable_add(set, TL_STR("/reason"), NULL));
    mk_events(&expect_mk, 4);
    expect_verified();
    mk_control(&expect_mk, TL_LEAF_POLICY,
               "{\"classes\":[{\"class\":1,\"days\":5,\"name\":\"a\"}],\"erasable\":[\"/"
               "reason\"],\"policy\":4}");
    mk_events(&expect_mk, 4);
    expect_tampered("CONTROL_INVALID", 10);
    struct tally_report *report = expect_report();
    assert_string_equal(report->findings[0].expected, "3");
    assert_string_equal(report->findings[0].actual, "4");
    tally_report_free(report);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_checkpoint_of_another_origin, expect_set_up,
                                        expect_tear_down),
        cmocka_unit_test_setup_teardown(a_witness_does_not_sign_for_another, expect_set_up,
                                        expect_tear_down),
        cmocka_unit_test_setup_teardown(the_last_bit_of_a_root_counts, expect_set_up,
                                        expect_tear_down),
        cmocka_unit_test_setup_teardown(tiles_of_tiles, expect_set_up, expect_tear_down),
        cmocka_unit_test_setup_teardown(an_event_that_is_not_kept_long_enough, expect_set_up,
                                        expect_tear_down),
        cmocka_unit_test_setup_teardown(a_later_purge_of_earlier_days_covers_nothing_more,
                                        expect_set_up, expect_tear_down),
        cmocka_unit_test_setup_teardown(what_was_remembered_anchors, expect_set_up,
                                        expect_tear_down),
        cmocka_unit_test_setup_teardown(an_override_covers_nothing_after_it, expect_set_up,
                                        expect_tear_down),
        cmocka_unit_test_setup_teardown(a_switch_to_another_epoch_than_that_of_its_time,
                                        expect_set_up, expect_tear_down),
        cmocka_unit_test_setup_teardown(a_genesis_of_the_second_incarnation, expect_set_up,
                                        expect_tear_down),
        cmocka_unit_test_setup_teardown(after_an_odd_hold_contents_are_checked, expect_set_up,
                                        expect_tear_down),
        cmocka_unit_test_setup_teardown(after_a_hole_time_is_believed, expect_set_up,
                                        expect_tear_down),
        cmocka_unit_test_setup_teardown(policies, expect_set_up, expect_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
