/* Holds: what they name, how they add up, and how they end. */
#include <tally/tally.h>

#include <stdio.h>
#include <string.h>

#include "check.h"
#include "fault.h"
#include "ledger/holds.h"
#include "ledger/ranges.h"
#include "support/fake_clock.h"
#include "support/site.h"

static struct site site;
static struct tally_ledger *ledger;
static const struct tally_actor legal = { .by = "legal", .reason = "suit 17", .ticket = "T-1" };

static int set_up(void **state)
{
    if (check_mkdir(state) != 0) {
        return -1;
    }
    site_init(&site, *state, NULL, 0);
    ledger = site_open(&site);
    for (unsigned n = 0; n < 20; n++) {
        char text[128];
        (void)snprintf(text, sizeof(text),
                       "{\"id\":\"e%u\",\"action\":\"a.b\",\"actor\":{\"id\":\"u%u\"}}", n, n % 4);
        check_ok(tally_append(ledger, text, strlen(text), NULL, NULL));
    }
    return 0;
}

static int tear_down(void **state)
{
    tally_close(ledger);
    (void)site_verify(&site);
    return check_rmdir(state);
}

/* The hold that is looked for, as far as tests look at it. */
struct seen {
    const char *id;
    unsigned count; /* of holds in all */
    bool found;
    bool active;
    uint64_t records;
    size_t ranges;
    int64_t expires_us;
    char by[32];
    char reason[32];
};

static int look(void *ctx, const struct tally_hold *hold)
{
    struct seen *seen = ctx;
    seen->count++;
    if (strcmp(hold->id, seen->id) == 0) {
        seen->found = true;
        seen->active = hold->is_active != 0;
        seen->records = hold->records;
        seen->ranges = hold->range_count;
        seen->expires_us = hold->expires_us;
        assert_true(hold->set_us > 0);
        assert_int_equal(hold->is_active, hold->released_seq == TALLY_SEQ_NONE);
        (void)snprintf(seen->by, sizeof(seen->by), "%s", hold->by);
        (void)snprintf(seen->reason, sizeof(seen->reason), "%s", hold->reason);
    }
    return 0;
}

static struct seen see(const char *id)
{
    struct seen seen = { .id = id };
    check_ok(tally_hold_list(ledger, look, &seen, NULL));
    return seen;
}

static tally_status hold_range(const char *id, uint64_t first, uint64_t last, int64_t expires_us,
                               struct tally_held *held)
{
    const struct tally_range range = { .first = first, .last = last };
    const struct tally_selection selection = { .ranges = &range, .range_count = 1 };
    return tally_hold_add(ledger, id, &selection, expires_us, 0, &legal, held, NULL, NULL);
}

static void a_hold_names_what_a_filter_finds(void **state)
{
    (void)state;
    const struct tally_condition conditions[] = { { "actor_id", "u1" } };
    struct tally_query query = TALLY_QUERY_INIT;
    query.conditions = conditions;
    query.condition_count = 1;
    struct tally_selection selection = { .query = &query };
    struct tally_held held;
    check_ok(tally_hold_add(ledger, "case:1/a", &selection, 0, 1, &legal, &held, NULL, NULL));
    assert_int_equal(held.records, 5);
    assert_true(held.seq == TALLY_SEQ_NONE);
    assert_false(see("case:1/a").found);

    const struct tally_range range = { .first = 0, .last = 9 };
    selection.ranges = &range;
    selection.range_count = 1;
    check_ok(tally_hold_add(ledger, "case:1/a", &selection, 0, 0, &legal, &held, NULL, NULL));
    assert_int_equal(held.records, 2); /* seqs 3 and 7: before them are GENESIS and RESUME */
    assert_int_equal(held.ranges, 2);
    struct seen seen = see("case:1/a");
    assert_true(seen.active);
    assert_int_equal(seen.records, 2);
    assert_string_equal(seen.by, "legal");
    assert_string_equal(seen.reason, "suit 17");
    assert_true(site_has(ledger, "e1"));
}

static void adding_to_a_hold_makes_it_larger(void **state)
{
    (void)state;
    struct tally_held held;
    check_ok(hold_range("h", 5, 8, 0, &held));
    check_ok(hold_range("h", 7, 10, 0, &held));
    check_ok(hold_range("h", 15, 1000, FAKE_CLOCK_START, &held)); /* cut to what is there */
    struct seen seen = see("h");
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.ranges, 2);
    assert_true(seen.records > 6 + 5);
    assert_true(seen.expires_us == FAKE_CLOCK_START);
}

static void a_released_hold_is_gone_for_ever(void **state)
{
    (void)state;
    struct tally_held held;
    check_ok(hold_range("h", 5, 8, 0, &held));
    check_status(tally_hold_release(ledger, "other", &legal, NULL, NULL), TALLY_ENOTFOUND);
    check_ok(tally_hold_release(ledger, "h", &legal, NULL, NULL));
    assert_false(see("h").active);
    check_status(tally_hold_release(ledger, "h", &legal, NULL, NULL), TALLY_ECONFLICT);
    check_status(hold_range("h", 5, 8, 0, &held), TALLY_ECONFLICT);
    assert_int_equal(site_count_kind(ledger, "hold", NULL, 0), 1);
    assert_int_equal(site_count_kind(ledger, "release", NULL, 0), 1);
}

static void nonsense_is_refused(void **state)
{
    (void)state;
    struct tally_held held;
    char longest[66];
    memset(longest, 'x', sizeof(longest));
    longest[65] = '\0';
    check_status(hold_range("", 1, 2, 0, &held), TALLY_EINVAL);
    check_status(hold_range("with space", 1, 2, 0, &held), TALLY_EINVAL);
    check_status(hold_range(longest, 1, 2, 0, &held), TALLY_EINVAL);
    longest[64] = '\0';
    check_ok(hold_range(longest, 1, 2, 0, &held));
    check_status(hold_range("h", 3, 2, 0, &held), TALLY_EINVAL);
    check_status(hold_range("h", 1, 2, -1, &held), TALLY_EINVAL);
    check_status(hold_range("h", 1000, 2000, 0, &held), TALLY_ENOTFOUND);
    const struct tally_selection all = { .query = NULL };
    const struct tally_actor nobody = { .reason = "x" };
    check_status(tally_hold_add(ledger, "h", &all, 0, 0, &nobody, &held, NULL, NULL), TALLY_EINVAL);
    struct tally_ledger *reader = site_open_read(&site);
    check_status(tally_hold_add(reader, "h", &all, 0, 0, &legal, &held, NULL, NULL), TALLY_EINVAL);
    tally_close(reader);
}

static void too_many_runs_are_refused(void **state)
{
    (void)state;
    static struct tally_range ranges[4001];
    for (size_t i = 0; i < TL_ARRAY_LEN(ranges); i++) {
        ranges[i] = (struct tally_range){ 2 * i, 2 * i };
    }
    static struct tally_receipt receipts[4096];
    for (unsigned round = 0; round < 3; round++) {
        struct tally_events *events = NULL;
        check_ok(tally_events_new(&events, ledger, NULL));
        for (unsigned n = 0; n < 3000; n++) {
            char id[32];
            (void)snprintf(id, sizeof(id), "m%u-%u", round, n);
            site_add(events, id, n);
        }
        check_ok(tally_append_events(ledger, events, receipts, NULL));
        tally_events_free(events);
    }
    struct tally_selection selection = { .ranges = ranges, .range_count = TL_ARRAY_LEN(ranges) };
    struct tally_held held;
    check_status(tally_hold_add(ledger, "h", &selection, 0, 0, &legal, &held, NULL, NULL),
                 TALLY_ELIMIT);
    selection.range_count--;
    check_ok(tally_hold_add(ledger, "h", &selection, 0, 0, &legal, &held, NULL, NULL));
    assert_int_equal(held.ranges, 4000);
}

static void a_reminder_has_one_spelling(void **state)
{
    (void)state;
    static const struct {
        const char *note;
        int64_t us; /* 0: none */
    } cases[] = {
        { "expires 2026-01-01T00:00:00Z", FAKE_CLOCK_START },
        { "expires 2026-01-01T00:00:00.000001Z", FAKE_CLOCK_START + 1 },
        { "expires 2026-01-01", 0 },
        { "expires 2026-01-01T00:00:00z", 0 },
        { "expires 2026-01-01T01:00:00+01:00", 0 },
        { "Expires 2026-01-01T00:00:00Z", 0 },
        { "expires  2026-01-01T00:00:00Z", 0 },
        { "expires 2026-01-01T00:00:00Z ", 0 },
        { "expires 1969-12-31T00:00:00Z", 0 },
        { "expires ", 0 },
        { "", 0 },
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(cases); i++) {
        int64_t us = 0;
        tally_status status = tl_hold_note_read(&us, tl_str_of(cases[i].note));
        check_status(status, cases[i].us == 0 ? TALLY_EINVAL : TALLY_OK);
        assert_true(us == cases[i].us);
        char note[TL_HOLD_NOTE_SIZE];
        if (status == TALLY_OK) {
            tl_hold_note_write(note, us);
            assert_string_equal(note, cases[i].note);
        }
    }
}

/* What the doctor says of expiry. */
static void count_warnings(void *ctx, const struct tally_diagnosis *diagnosis)
{
    if (strcmp(diagnosis->check, "holds.expiry") == 0) {
        *(unsigned *)ctx += diagnosis->health == TALLY_HEALTH_WARNING ? 100 : 1;
    }
}

static unsigned ask_doctor(void)
{
    struct tally_options options = TALLY_OPTIONS_INIT;
    options.uri = site.dir;
    enum tally_health worst = TALLY_HEALTH_OK;
    unsigned count = 0;
    check_ok(tally_doctor(&options, count_warnings, &count, &worst, NULL));
    return count;
}

static void the_doctor_reminds_of_holds_that_expire(void **state)
{
    (void)state;
    struct tally_held held;
    assert_int_equal(ask_doctor(), 1);
    check_ok(hold_range("old", 5, 8, FAKE_CLOCK_START, &held)); /* long ago */
    check_ok(hold_range("far", 5, 8, FAKE_CLOCK_START + 100 * FAKE_YEAR, &held));
    assert_int_equal(ask_doctor(), 100);
    check_ok(tally_hold_release(ledger, "old", &legal, NULL, NULL));
    assert_int_equal(ask_doctor(), 1);
}

static void runs_of_records_are_joined(void **state)
{
    (void)state;
    struct tl_ranges ranges = { .max = 2 };
    check_ok(tl_ranges_add(&ranges, 1, 1));
    check_ok(tl_ranges_add(&ranges, 2, 4));
    check_ok(tl_ranges_add(&ranges, 6, 6));
    check_status(tl_ranges_add(&ranges, 8, 8), TALLY_ELIMIT);
    check_ok(tl_ranges_add(&ranges, 7, 7));
    assert_int_equal(ranges.count, 2);
    assert_int_equal(ranges.records, 6);
    check_ok(tl_ranges_push(&ranges, (struct tl_range){ 0, 5 }));
    tl_ranges_tidy(&ranges);
    assert_int_equal(ranges.count, 1);
    assert_int_equal(ranges.records, 8);
    tl_ranges_release(&ranges);
}

static void bits_give_back_the_runs_that_were_set(void **state)
{
    (void)state;
    for (uint64_t size = 1; size < 200; size += 21) {
        struct tl_bits bits;
        bool wanted[200] = { false };
        check_ok(tl_bits_init(&bits, size, NULL));
        for (uint64_t seq = 0; seq < size; seq++) {
            if ((seq * seq / 7) % 3 != 0 || seq > 130) {
                tl_bits_set(&bits, seq);
                wanted[seq] = true;
            }
        }
        uint64_t next = 0;
        struct tl_range range;
        while (tl_bits_next(&bits, next, &range)) {
            for (; next < range.first; next++) {
                assert_false(wanted[next]);
            }
            for (; next <= range.last; next++) {
                assert_true(wanted[next]);
            }
        }
        for (; next < size; next++) {
            assert_false(wanted[next]);
        }
        tl_bits_release(&bits);
    }
}

static tally_status list_once(const void *ctx)
{
    (void)ctx;
    struct seen seen = { .id = "h" };
    return tally_hold_list(ledger, look, &seen, NULL);
}

static void a_list_needs_its_memory(void **state)
{
    (void)state;
    struct tally_held held;
    check_ok(hold_range("h", 5, 8, 0, &held));
    assert_true(fault_each_alloc_or_ok(list_once, NULL) > 0);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(a_hold_names_what_a_filter_finds),
        CASE(adding_to_a_hold_makes_it_larger),
        CASE(a_released_hold_is_gone_for_ever),
        CASE(nonsense_is_refused),
        CASE(too_many_runs_are_refused),
        cmocka_unit_test(a_reminder_has_one_spelling),
        CASE(the_doctor_reminds_of_holds_that_expire),
        cmocka_unit_test(runs_of_records_are_joined),
        cmocka_unit_test(bits_give_back_the_runs_that_were_set),
        CASE(a_list_needs_its_memory),
    };
    return cmocka_run_group_tests_name("ledger/hold", tests, NULL, NULL);
}
