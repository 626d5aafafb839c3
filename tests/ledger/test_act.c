/* Acts: sealed once, decided on what is known, by whoever is the sequencer. */
#include "ledger/act.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/io.h"
#include "check.h"
#include "evidence/keystate.h"
#include "fault.h"
#include "support/logs.h"
#include "support/site.h"

static struct site site;

static int set_up(void **state)
{
    if (check_mkdir(state) != 0) {
        return -1;
    }
    site_init(&site, *state, NULL, 0);
    return 0;
}

/* What the acts of a ledger say now. */
static struct tl_acts acts_of(struct tally_ledger *ledger)
{
    struct tl_reader reader;
    struct tl_acts acts;
    check_ok(tl_reader_get(ledger, &reader, NULL));
    check_ok(tl_reader_begin(&reader, NULL));
    check_ok(tl_acts_read(&acts, reader.store, NULL));
    tl_reader_put(ledger, &reader);
    return acts;
}

static uint64_t newest_of(struct tally_ledger *ledger)
{
    struct tl_acts acts = acts_of(ledger);
    uint64_t newest = acts.newest;
    tl_acts_release(&acts);
    return newest;
}

static const struct tl_range first_three[] = { { .first = 0, .last = 2 } };

static struct tl_control hold_of(const char *id)
{
    return (struct tl_control){ .kind = TL_LEAF_HOLD,
                                .by = TL_STR("legal"),
                                .hold = tl_str_of(id),
                                .ranges = first_three,
                                .range_count = 1 };
}

static struct tl_control release_of(const char *id)
{
    return (struct tl_control){ .kind = TL_LEAF_RELEASE, .hold = tl_str_of(id) };
}

static tally_status seal(struct tally_ledger *ledger, const struct tl_control *control,
                         uint64_t newest, struct tally_error *err)
{
    uint64_t seq = 0;
    tally_status status = tl_act_seal(ledger, control, newest, &seq, err);
    assert_int_equal(seq == TALLY_SEQ_NONE, status != TALLY_OK);
    return status;
}

static void refused(struct tally_ledger *ledger, const struct tl_control *control,
                    tally_status status, const char *code)
{
    struct tally_error err = TALLY_ERROR_INIT;
    uint64_t before = newest_of(ledger);
    check_status(seal(ledger, control, before, &err), status);
    assert_string_equal(err.code, code);
    assert_true(strlen(err.message) > 10);
    assert_int_equal(newest_of(ledger), before);
}

/* What holds for every ledger: the one that seals, and one that asks. */
static void acts_follow_one_another(struct tally_ledger *ledger)
{
    (void)site_append(ledger, "a", 1);
    (void)site_append(ledger, "b", 1);
    (void)site_append(ledger, "c", 1);
    assert_true(newest_of(ledger) == TALLY_SEQ_NONE);

    uint64_t seq = 0;
    struct tl_control hold = hold_of("case-1");
    check_ok(tl_act_seal(ledger, &hold, TALLY_SEQ_NONE, &seq, NULL));
    struct tl_acts acts = acts_of(ledger);
    assert_int_equal(acts.newest, seq);
    assert_int_equal(acts.size, seq + 1);
    assert_true(acts.newest_us > 0);
    assert_int_equal(acts.excuses.hold_count, 1);
    assert_int_equal(acts.excuses.held[0].from_seq, seq);
    tl_acts_release(&acts);

    struct tally_error err = TALLY_ERROR_INIT;
    struct tl_control other = hold_of("case-2");
    check_status(seal(ledger, &other, TALLY_SEQ_NONE, &err), TALLY_ECONFLICT);
    assert_string_equal(err.code, "act_overtaken");

    struct tl_control release = release_of("case-1");
    check_ok(seal(ledger, &release, seq, NULL));
    refused(ledger, &hold, TALLY_ECONFLICT, "hold_released");
    refused(ledger, &release, TALLY_ENOTFOUND, "hold_unknown");
}

static void acts_are_sealed_in_memory(void **state)
{
    (void)state;
    struct tally_ledger *ledger = site_memory("memory:100");
    acts_follow_one_another(ledger);
    (void)site_verify_open(ledger, NULL);
    tally_close(ledger);
}

static void acts_are_sealed_on_disk(void **state)
{
    (void)state;
    struct tally_ledger *ledger = site_open(&site);
    acts_follow_one_another(ledger);
    tally_close(ledger);
    (void)site_verify(&site);
}

static void acts_are_sealed_for_other_processes(void **state)
{
    (void)state;
    struct tally_ledger *first = site_open(&site);
    struct tally_ledger *second = site_open(&site);
    acts_follow_one_another(second);
    tally_close(second);
    tally_close(first);
    (void)site_verify(&site);
}

static void what_verification_would_refute_is_never_sealed_by(struct tally_ledger *ledger)
{
    (void)site_append(ledger, "a", 1);
    const struct tl_str whole[] = { TL_STR("") };
    static const struct tl_range far[] = { { .first = 1, .last = 1000 } };
    const struct tl_erase_item item = {
        .pointers = whole, .pointer_count = 1, .seqs = far, .seq_count = 1
    };
    const struct tl_control erase = {
        .kind = TL_LEAF_ERASE, .basis = TL_STR("GDPR"), .items = &item, .item_count = 1
    };
    refused(ledger, &erase, TALLY_EINVAL, "act_beyond");
    struct tl_control purge = { .kind = TL_LEAF_PURGE, .cutoff_day = 10, .before_seq = 1000 };
    refused(ledger, &purge, TALLY_EINVAL, "act_beyond");
    purge.before_seq = 1;
    purge.cutoff_day = 4000000;
    refused(ledger, &purge, TALLY_EINVAL, "act_too_early");
    const struct tl_control early = {
        .kind = TL_LEAF_PURGE, .override_days = true, .ranges = far, .range_count = 1
    };
    refused(ledger, &early, TALLY_EINVAL, "act_beyond");
    struct tl_control anchor = { .kind = TL_LEAF_ANCHOR,
                                 .anchor_kind = TL_STR("paper"),
                                 .size = 1000,
                                 .ref = TL_STR("safe 3") };
    refused(ledger, &anchor, TALLY_EINVAL, "act_beyond");
    anchor.size = 1;
    refused(ledger, &anchor, TALLY_EINVAL, "act_wrong_root");
    const struct tl_control no_act = { .kind = TL_LEAF_GAP, .count = 1, .exact = true };
    refused(ledger, &no_act, TALLY_EINVAL, "");
    const struct tl_control malformed = { .kind = TL_LEAF_HOLD, .hold = TL_STR("x") };
    refused(ledger, &malformed, TALLY_EINVAL, "");
}

static void what_verification_would_refute_is_never_sealed(void **state)
{
    (void)state;
    struct tally_ledger *first = site_open(&site);
    struct tally_ledger *second = site_open(&site);
    what_verification_would_refute_is_never_sealed_by(first);
    what_verification_would_refute_is_never_sealed_by(second);
    tally_close(second);
    tally_close(first);
    (void)site_verify(&site);
}

static void an_act_that_is_asked_for_twice_is_sealed_once(void **state)
{
    (void)state;
    struct tally_ledger *first = site_open(&site);
    struct tally_ledger *second = site_open(&site);
    struct tl_control one = hold_of("case-1");
    struct tl_control two = hold_of("case-2");
    uint64_t seq = 0;
    uint64_t again = 0;
    check_ok(tl_act_seal(second, &one, TALLY_SEQ_NONE, &seq, NULL));
    check_ok(tl_act_seal(first, &two, seq, &again, NULL));
    uint64_t newest = again;
    check_ok(tl_act_seal(second, &one, TALLY_SEQ_NONE, &again, NULL));
    assert_int_equal(again, seq);
    check_status(tl_act_seal(first, &one, seq, &again, NULL), TALLY_ECONFLICT);
    assert_int_equal(newest_of(first), newest);
    assert_int_equal(site_count_kind(first, "hold", NULL, 0), 2);
    tally_close(second);
    tally_close(first);
}

static void acts_are_found_after_a_restart_among_many_records(void **state)
{
    (void)state;
    struct tally_ledger *ledger = site_open(&site);
    struct tl_control hold = hold_of("case-1");
    uint64_t seq = 0;
    check_ok(tl_act_seal(ledger, &hold, TALLY_SEQ_NONE, &seq, NULL));
    for (unsigned i = 0; i < 30; i++) {
        char id[16];
        (void)snprintf(id, sizeof(id), "e%u", i);
        (void)site_append(ledger, id, i);
    }
    tally_close(ledger);
    ledger = site_open(&site);
    assert_int_equal(newest_of(ledger), seq);
    struct tl_control release = release_of("case-1");
    struct tally_error err = TALLY_ERROR_INIT;
    check_status(seal(ledger, &release, TALLY_SEQ_NONE, &err), TALLY_ECONFLICT);
    check_ok(seal(ledger, &release, seq, NULL));
    tally_close(ledger);
    (void)site_verify(&site);
}

static uint64_t seal_policy(struct tally_ledger *ledger)
{
    const struct tl_control wish = { .kind = TL_LEAF_POLICY, .by = TL_STR("bob") };
    struct tally_error err = TALLY_ERROR_INIT;
    uint64_t seq = 0;
    tally_status status = tl_act_seal(ledger, &wish, TALLY_SEQ_NONE, &seq, &err);
    if (status != TALLY_OK) {
        print_error("%s\n", err.message);
    }
    check_ok(status);
    return seq;
}

static void a_new_policy_is_in_force_for_all_that_comes_after_it(void **state)
{
    (void)state;
    site_configure(&site, "retention:\n  default_days: 30\n");
    struct tally_ledger *first = site_open(&site);
    struct tally_ledger *second = site_open(&site);
    (void)site_append(first, "a", 1);
    assert_true(seal_policy(second) == TALLY_SEQ_NONE); /* it is in force already */
    site_configure(&site, "retention:\n  default_days: 77\n");
    uint64_t seq = seal_policy(second);
    assert_true(seq != TALLY_SEQ_NONE);
    assert_int_equal(newest_of(first), seq);
    char text[4096];
    assert_int_equal(site_count_kind(first, "policy", text, sizeof(text)), 2);
    assert_non_null(strstr(text, "\"days\":77"));
    (void)site_append(first, "b", 1); /* both were opened with other rules */
    (void)site_append(second, "c", 1);

    site_configure(&site, "retention: [\n");
    const struct tl_control wish = { .kind = TL_LEAF_POLICY };
    refused(second, &wish, TALLY_EINVAL, "act_configuration");
    refused(first, &wish, TALLY_EINVAL, "act_configuration");
    site_configure(&site, "retention:\n  default_days: 77\n");
    tally_close(first);
    check_soon(tl_act_seal(second, &wish, TALLY_SEQ_NONE, &seq, NULL) == TALLY_OK);
    (void)site_append(second, "d", 1); /* who takes over does not go back to what it once read */
    assert_int_equal(site_count_kind(second, "policy", NULL, 0), 2);
    tally_close(second);
    (void)site_verify(&site);
}

static struct tl_io_ops ops;
static atomic_int marks_to_fail;

static ssize_t write_no_mark(int fd, const void *bytes, size_t len, off_t offset)
{
    if (len == TL_HIGHWATER_SLOT_LEN && atomic_load(&marks_to_fail) > 0) {
        atomic_fetch_sub(&marks_to_fail, 1);
        errno = EIO;
        return -1;
    }
    return tl_io_posix.pwrite(fd, bytes, len, offset);
}

static int set_up_marks(void **state)
{
    if (set_up(state) != 0) {
        return -1;
    }
    ops = tl_io_posix;
    ops.pwrite = write_no_mark;
    atomic_store(&marks_to_fail, 0);
    tl_io = &ops;
    return 0;
}

static int tear_down_marks(void **state)
{
    tl_io = &tl_io_posix;
    return check_rmdir(state);
}

static void
a_policy_whose_sealing_ended_badly_is_not_followed_by_events_of_the_old_one(void **state)
{
    (void)state;
    site_configure(&site, "retention:\n  default_days: 30\n");
    struct tally_ledger *ledger = site_open(&site);
    (void)site_append(ledger, "a", 1);
    site_configure(&site, "retention:\n  default_days: 77\n");
    const struct tl_control wish = { .kind = TL_LEAF_POLICY, .by = TL_STR("bob") };
    atomic_store(&marks_to_fail, 1);
    check_status(seal(ledger, &wish, TALLY_SEQ_NONE, NULL), TALLY_EIO);
    assert_int_equal(atomic_load(&marks_to_fail), 0);
    static const char event[] = "{\"id\":\"b\",\"action\":\"test.event\"}";
    check_status(tally_append(ledger, event, strlen(event), NULL, NULL), TALLY_EIO);
    tally_close(ledger);
    ledger = site_open(&site);
    assert_int_equal(site_count_kind(ledger, "policy", NULL, 0), 2);
    (void)site_append(ledger, "c", 1);
    tally_close(ledger);
    (void)site_verify(&site);
}

static void an_act_that_is_there_is_not_called_failed(void **state)
{
    (void)state;
    struct tally_ledger *first = site_open(&site);
    struct tally_ledger *second = site_open(&site);
    struct tally_ledger *const askers[] = { first, second };
    static const char *const ids[] = { "case-1", "case-2" };
    uint64_t newest = TALLY_SEQ_NONE;
    for (size_t i = 0; i < TL_ARRAY_LEN(askers); i++) {
        struct tl_control hold = hold_of(ids[i]);
        uint64_t seq = 0;
        atomic_store(&marks_to_fail, 1);
        check_ok(tl_act_seal(askers[i], &hold, newest, &seq, NULL));
        assert_int_equal(atomic_load(&marks_to_fail), 0);
        newest = newest_of(first);
        assert_int_equal(seq, newest);
        assert_int_equal(site_count_kind(first, "hold", NULL, 0), i + 1);
    }
    tally_close(second);
    tally_close(first);
    (void)site_verify(&site);
}

static void a_gap_that_is_there_is_not_called_failed(void **state)
{
    (void)state;
    struct tally_ledger *ledger = site_open(&site);
    atomic_store(&marks_to_fail, 1);
    check_ok(tally_declare_gap(ledger, 3, 1, 1000, 2000, "told by hand", NULL));
    assert_int_equal(atomic_load(&marks_to_fail), 0);
    assert_int_equal(site_count_kind(ledger, "gap", NULL, 0), 1);
    (void)site_append(ledger, "a", 1);
    tally_close(ledger);
    (void)site_verify(&site);
}

static void nothing_is_sealed_through_a_ledger_open_for_reading(void **state)
{
    (void)state;
    struct tally_ledger *reader = site_open_read(&site);
    struct tl_control hold = hold_of("case-1");
    check_status(seal(reader, &hold, TALLY_SEQ_NONE, NULL), TALLY_EINVAL);
    tally_close(reader);
}

static void contents_in_memory_are_removed_by_the_thread_that_writes(void **state)
{
    (void)state;
    struct tally_ledger *ledger = site_memory("memory:100");
    struct tally_receipt receipt = site_append(ledger, "a", 1);
    const struct tally_reduction nothing = { .seq = 1000 };
    check_status(tl_act_reduce(ledger, NULL, &nothing, 1, NULL), TALLY_ENOTFOUND);
    const struct tally_reduction one = { .seq = receipt.seq };
    check_ok(tl_act_reduce(ledger, NULL, &one, 1, NULL));
    struct tally_page *page = NULL;
    check_ok(tally_get_by_seq(ledger, receipt.seq, &page, NULL));
    assert_null(page->items[0].event);
    tally_page_free(page);
    tally_close(ledger);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(acts_are_sealed_in_memory),
        cmocka_unit_test_setup_teardown(acts_are_sealed_on_disk, set_up, check_rmdir),
        cmocka_unit_test_setup_teardown(acts_are_sealed_for_other_processes, set_up, check_rmdir),
        cmocka_unit_test_setup_teardown(what_verification_would_refute_is_never_sealed, set_up,
                                        check_rmdir),
        cmocka_unit_test_setup_teardown(an_act_that_is_asked_for_twice_is_sealed_once, set_up,
                                        check_rmdir),
        cmocka_unit_test_setup_teardown(acts_are_found_after_a_restart_among_many_records, set_up,
                                        check_rmdir),
        cmocka_unit_test_setup_teardown(a_new_policy_is_in_force_for_all_that_comes_after_it,
                                        set_up, check_rmdir),
        cmocka_unit_test_setup_teardown(
            a_policy_whose_sealing_ended_badly_is_not_followed_by_events_of_the_old_one,
            set_up_marks, tear_down_marks),
        cmocka_unit_test_setup_teardown(an_act_that_is_there_is_not_called_failed, set_up_marks,
                                        tear_down_marks),
        cmocka_unit_test_setup_teardown(a_gap_that_is_there_is_not_called_failed, set_up_marks,
                                        tear_down_marks),
        cmocka_unit_test_setup_teardown(nothing_is_sealed_through_a_ledger_open_for_reading, set_up,
                                        check_rmdir),
        cmocka_unit_test(contents_in_memory_are_removed_by_the_thread_that_writes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
