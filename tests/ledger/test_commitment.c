/* Commitments are made before it is an event's turn, and sealed only if they fit the policy then. */
#include <tally/tally.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "fault.h"
#include "ledger/entry.h"
#include "ledger/events.h"
#include "support/site.h"

#define EVENT                                                                 \
    "{\"action\":\"a\",\"id\":\"%s\",\"metadata\":{\"n\":1},\"occurred_at\":" \
    "\"2026-01-01T00:00:00.000Z\",\"reason\":\"r\"}"

static struct site site;
static struct tally_ledger *ledger;

static int set_up(void **state)
{
    if (check_mkdir(state) != 0) {
        return -1;
    }
    site_init(&site, *state, NULL, 0);
    ledger = site_open(&site);
    return 0;
}

static int tear_down(void **state)
{
    tally_close(TL_TAKE(ledger)); /* a failed check may have closed it */
    return check_rmdir(state);
}

static void close_and_verify(void)
{
    tally_close(TL_TAKE(ledger));
    (void)site_verify(&site);
}

/* The commitment of one event under a set, made as callers make it. */
static void make(struct tl_commitment *out, const struct tl_erasable_set *set, struct tl_str event)
{
    static struct tl_split split;
    struct tl_buf scratch;
    tl_buf_init(&scratch, 65536);
    check_ok(tl_commitment_make(out, set, event, &split, &scratch));
    tl_buf_release(&scratch);
}

/* Hands one canonical event to the sequencer; returns its place. */
static uint64_t seal(const char *id, const struct tl_erasable_set *set,
                     struct tl_commitment *commitment)
{
    static char text[512];
    struct tally_receipt receipt = { 0 };
    struct tl_entry entry = { 0 };
    int len = snprintf(text, sizeof(text), EVENT, id);
    const struct tl_str event = { text, (size_t)len };
    check_ok(tl_entry_prepare(&entry, &receipt, &ledger->config, event, 0));
    if (set != NULL) {
        make(commitment, set, event);
        entry.commitment = commitment;
    }
    struct tl_request request = { .entries = &entry, .count = 1, .error = TALLY_ERROR_INIT };
    tally_status status = TALLY_EIO;
    assert_true(tl_queue_run(ledger, &request, &status, NULL));
    check_ok(status);
    check_ok(receipt.status);
    return receipt.seq;
}

static tally_status take_seed(void *ctx, const struct tally_record *record)
{
    assert_int_equal(record->seed_len, TL_SEED_LEN);
    memcpy(ctx, record->seed, TL_SEED_LEN);
    return TALLY_OK;
}

static bool has_seed_of(uint64_t seq, const struct tl_commitment *commitment)
{
    uint8_t seed[TL_SEED_LEN] = { 0 };
    struct tl_reader reader;
    check_ok(tl_reader_get(ledger, &reader, NULL));
    check_ok(tl_store_scan(reader.store, seq, seq + 1, take_seed, seed, NULL));
    tl_reader_put(ledger, &reader);
    return memcmp(seed, commitment->seed, sizeof(seed)) == 0;
}

static void one_that_fits_is_sealed_as_it_was_made(void **state)
{
    (void)state;
    struct tl_commitment commitment = { 0 };
    assert_non_null(ledger->erasable);
    uint64_t seq = seal("x", ledger->erasable, &commitment);
    assert_true(has_seed_of(seq, &commitment));
    assert_true(commitment.has_members);
    (void)seal("none", NULL, NULL);
    close_and_verify();
}

static void one_under_another_set_is_made_anew(void **state)
{
    (void)state;
    static struct tl_erasable_set other;
    struct tl_commitment commitment = { 0 };
    memset(&other, 0, sizeof(other));
    check_ok(tl_erasable_add(&other, TL_STR("/reason"), NULL));
    for (unsigned i = 0; i < 3; i++) { /* also after one that fits */
        char id[16];
        (void)snprintf(id, sizeof(id), "other/%u", i);
        assert_false(has_seed_of(seal(id, &other, &commitment), &commitment));
        (void)snprintf(id, sizeof(id), "fits/%u", i);
        assert_true(has_seed_of(seal(id, ledger->erasable, &commitment), &commitment));
    }
    close_and_verify();
}

static void a_policy_that_changes_later_counts(void **state)
{
    (void)state;
    (void)site_append(ledger, "before", 1);
    site_configure(&site, "erasable: [/reason]\n");
    check_ok(tally_config_adopt(ledger, NULL));
    assert_int_equal(site_count_kind(ledger, "policy", NULL, 0), 1);
    (void)site_append(ledger, "after", 1); /* has the member that could be erased before */
    struct tl_commitment commitment = { 0 };
    assert_false(has_seed_of(seal("x", ledger->erasable, &commitment), &commitment));
    site_configure(&site, "");
    check_ok(tally_config_adopt(ledger, NULL));
    assert_int_equal(site_count_kind(ledger, "policy", NULL, 0), 2);
    assert_true(has_seed_of(seal("y", ledger->erasable, &commitment), &commitment));
    site_configure(&site, "erasable: [/reason]\n");
    check_ok(tally_config_adopt(ledger, NULL));
    assert_false(has_seed_of(seal("z", ledger->erasable, &commitment), &commitment));
    close_and_verify();
}

static void *append_two_hundred(void *ctx)
{
    char id[32];
    for (unsigned i = 0; i < 200; i++) {
        (void)snprintf(id, sizeof(id), "%s/%u", (const char *)ctx, i);
        (void)site_append(ledger, id, i);
    }
    return NULL;
}

static void a_policy_may_change_while_others_append(void **state)
{
    (void)state;
    pthread_t threads[3];
    static char names[3][2] = { "a", "b", "c" };
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, append_two_hundred, names[i]), 0);
    }
    for (unsigned i = 0; i < 10; i++) {
        site_configure(&site,
                       i % 2 == 0 ? "erasable: [/reason]\n" : "erasable: [/metadata, /reason]\n");
        check_ok(tally_config_adopt(ledger, NULL));
    }
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(site_count(ledger), 600);
    assert_int_equal(site_count_kind(ledger, "policy", NULL, 0), 10);
    close_and_verify();
}

static bool is_wiped(const struct tally_events *events)
{
    static const struct tl_commitment nothing;
    for (size_t i = 0; i < events->count; i++) {
        if (memcmp(events->commitments[i].seed, nothing.seed, TL_SEED_LEN) != 0) {
            return false;
        }
    }
    return true;
}

static void seeds_do_not_outlive_the_call(void **state)
{
    (void)state;
    struct tally_events *events = NULL;
    struct tally_receipt receipts[4];
    check_ok(tally_events_new(&events, ledger, NULL));
    for (unsigned i = 0; i < 4; i++) {
        site_add(events, i < 2 ? "same" : "conflict", i < 3 ? 1 : 2);
    }
    for (unsigned round = 0; round < 2; round++) {
        check_ok(tally_append_events(ledger, events, receipts, NULL));
        assert_true(is_wiped(events));
        assert_int_equal(receipts[1].flags & TALLY_RECEIPT_DUPLICATE, TALLY_RECEIPT_DUPLICATE);
        check_status(receipts[3].status, TALLY_ECONFLICT);
    }
    tally_events_free(events);
    assert_int_equal(site_count(ledger), 2);
    close_and_verify();
}

static pthread_t failing_thread;

static bool fail_here(void)
{
    return pthread_equal(pthread_self(), failing_thread) != 0;
}

static void one_that_cannot_be_made_is_the_callers_failure_alone(void **state)
{
    (void)state;
    struct tally_events *events = NULL;
    struct tally_receipt receipts[2];
    struct tally_error err = TALLY_ERROR_INIT;
    check_ok(tally_events_new(&events, ledger, NULL));
    site_add(events, "one", 1);
    site_add(events, "two", 2);
    tl_buf_release(&events->reader.scratch); /* so that memory is needed */
    tl_buf_init(&events->reader.scratch, 65536);
    uint64_t before = ledger->state.size;
    failing_thread = pthread_self();
    fault_set_alloc_hook(fail_here);
    tally_status status = tally_append_events(ledger, events, receipts, &err);
    fault_set_alloc_hook(NULL);
    check_status(status, TALLY_ENOMEM);
    assert_non_null(strstr(err.message, "commitment"));
    assert_true(is_wiped(events));
    for (unsigned i = 0; i < 2; i++) {
        check_status(receipts[i].status, TALLY_EIO);
        assert_int_equal(receipts[i].level, TALLY_LEVEL_NONE);
    }
    assert_int_equal(ledger->state.size, before);
    tl_buf_clear(&events->reader.scratch);
    check_ok(tally_append_events(ledger, events, receipts, NULL));
    tally_events_free(events);
    assert_int_equal(site_count(ledger), 2);
    close_and_verify();
}

/* The sequencer is who says what is wrong with it. */
static void a_set_that_cannot_be_made_leaves_it_to_the_sequencer(void **state)
{
    (void)state;
    static const struct tally_setting wrong = { "erasable", "/id", "test" };
    struct tally_error err = TALLY_ERROR_INIT;
    struct site bad = site;
    struct tally_ledger *other = NULL;
    tally_close(TL_TAKE(ledger));
    bad.settings = &wrong;
    bad.setting_count = 1;
    check_status(site_try_open(&bad, 1, &other, &err), TALLY_EINVAL);
    assert_non_null(strstr(err.message, "/id"));
    struct tally_options options = TALLY_OPTIONS_INIT;
    options.uri = site.dir;
    options.writable = 1;
    options.unattended = 1;
    options.settings = &wrong;
    options.setting_count = 1;
    check_ok(tally_open(&other, &options, NULL));
    assert_null(other->erasable);
    tally_close(other);
    (void)site_verify(&site);
}

/* Its thread may end between a caller's commitments and the hand-in: they go into the spool without. */
static void a_sequencer_that_goes_away_meanwhile_does_not_matter(void **state)
{
    (void)state;
    struct tally_ledger *first = TL_TAKE(ledger);
    ledger = site_open(&site);
    pthread_t thread;
    static char name[] = "second";
    assert_int_equal(pthread_create(&thread, NULL, append_two_hundred, name), 0);
    for (unsigned i = 0; i < 20; i++) {
        char id[32];
        (void)snprintf(id, sizeof(id), "first/%u", i);
        (void)site_append(first, id, i);
    }
    tally_close(first);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(site_count(ledger), 220);
    close_and_verify();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_that_fits_is_sealed_as_it_was_made, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_under_another_set_is_made_anew, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_policy_that_changes_later_counts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_policy_may_change_while_others_append, set_up, tear_down),
        cmocka_unit_test_setup_teardown(seeds_do_not_outlive_the_call, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_that_cannot_be_made_is_the_callers_failure_alone,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_set_that_cannot_be_made_leaves_it_to_the_sequencer,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_sequencer_that_goes_away_meanwhile_does_not_matter,
                                        set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
