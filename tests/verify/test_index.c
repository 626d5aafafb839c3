/* The search index against the records: what differs is named, what agrees is not. */
#include <stdio.h>

#include "check.h"
#include "model/filter.h"
#include "store/index.h"
#include "support/expect.h"

static const struct tl_str text_members[] = { { "reason", 6 } };

/* The entry that a record should have. */
static void add_terms(struct tl_buf *terms, const struct image_record *record, int64_t *occurred_us)
{
    static struct tl_event_view view;
    struct tl_arena arena;
    struct tl_leaf leaf;
    char kind[16] = "event";
    tl_arena_init(&arena, (size_t)1 << 20);
    check_ok(tl_leaf_decode(&leaf, record->leaf.data, record->leaf.len, NULL));
    if (leaf.kind != TL_LEAF_ENTRY) {
        (void)snprintf(kind, sizeof(kind), "%s", leaf.kind == TL_LEAF_GENESIS ? "genesis" : "gap");
    }
    struct tl_record_facts facts = { .seq = record->seq,
                                     .recorded_us = leaf.time_us,
                                     .kind = tl_str_of(kind),
                                     .state = TL_STR("present") };
    bool has_event = record->event.data != NULL;
    if (has_event) {
        check_ok(
            tl_event_view_read(&view, &arena, (const char *)record->event.data, record->event.len));
    }
    tl_terms_add(terms, &facts, has_event ? &view : NULL, text_members, 1);
    *occurred_us = has_event ? view.occurred_us : leaf.time_us;
    tl_arena_release(&arena);
}

/* Indexes the ledger; the entry of record `wrong` has a term more, or another time. */
static void fill(struct tl_index *index, uint64_t wrong, const char *term, int64_t shift_us)
{
    for (size_t i = 0; i < expect_mk.image.record_count; i++) {
        struct tl_buf terms;
        tl_buf_init(&terms, (size_t)1 << 20);
        struct tl_index_entry entry = { .seq = i };
        add_terms(&terms, &expect_mk.image.records[i], &entry.occurred_us);
        if (i == wrong) {
            tl_buf_add_char(&terms, TL_INDEX_SEPARATOR);
            tl_buf_add_text(&terms, term);
            entry.occurred_us += shift_us;
        }
        entry.terms = tl_buf_str(&terms);
        check_ok(tl_index_add(index, &entry, 1, NULL));
        tl_buf_release(&terms);
    }
}

static struct tl_index *make(const char *dir, const char *name, uint64_t wrong, const char *term,
                             int64_t shift_us)
{
    char path[4096];
    struct tl_index *index = NULL;
    check_path(path, sizeof(path), dir, name);
    check_ok(tl_index_open(&index, path, TALLY_STORE_WRITE, NULL));
    fill(index, wrong, term, shift_us);
    expect_input.index = index;
    expect_input.text_members = text_members;
    expect_input.text_member_count = 1;
    return index;
}

static void names_the_record_that_differs(void **state)
{
    const char *dir = *state;
    expect_set_up(NULL);
    mk_events(&expect_mk, 20);

    struct tl_index *index = make(dir, "sound.db", NO_SEQ, "", 0);
    struct tally_report *report = expect_report();
    expect_print(report);
    assert_int_equal(report->verdict, TALLY_VERDICT_VERIFIED);
    assert_int_equal(report->qualifiers & TALLY_QUALIFIER_INDEX_UNCHECKED, 0);
    tally_report_free(report);
    tl_index_close(index);

    index = make(dir, "term.db", 7, "actor_id=somebody", 0);
    expect_tampered("INDEX_MISMATCH", 7);
    expect_options.skip_index = 1;
    expect_verified();
    expect_options.skip_index = 0;
    tl_index_close(index);

    index = make(dir, "time.db", 9, "", 1000000);
    expect_tampered("INDEX_MISMATCH", 9);
    tl_index_close(index);
    expect_tear_down(NULL);
}

/* A changed event is one finding, although the index still knows the old one. */
static void one_cause_is_one_finding(void **state)
{
    expect_set_up(NULL);
    mk_events(&expect_mk, 20);
    struct tl_index *index = make(*state, "one.db", NO_SEQ, "", 0);
    expect_record(5)->event.data[20] ^= 1;
    expect_tampered("CONTENT_MODIFIED", 5);
    expect_record(5)->event.data[20] ^= 1;
    struct tl_index_entry entry = { .seq = 21, .terms = TL_STR("action=more") };
    check_ok(tl_index_add(index, &entry, 1, NULL));
    expect_tampered("INDEX_MISMATCH", NO_SEQ);
    tl_index_close(index);
    expect_tear_down(NULL);
}

static void expect_index_unchecked(bool unchecked)
{
    struct tally_report *report = expect_report();
    expect_print(report);
    assert_int_equal(report->verdict, TALLY_VERDICT_VERIFIED);
    assert_int_equal((report->qualifiers & TALLY_QUALIFIER_INDEX_UNCHECKED) != 0, unchecked);
    tally_report_free(report);
}

/* Where contents are being removed, the index was not compared, and nobody says it was. */
static void leaves_out_what_is_being_removed(void **state)
{
    uint64_t id = 0;
    expect_set_up(NULL);
    mk_events(&expect_mk, 20);
    struct tl_index *index = make(*state, "noted.db", 7, "state=other", 0);
    expect_tampered("INDEX_MISMATCH", 7);
    check_ok(tl_index_removal_begin(index, 6, 8, &id, NULL));
    expect_index_unchecked(true);
    check_ok(tl_index_removal_set(index, id, TL_REMOVAL_REWRITTEN, NULL));
    expect_tampered("INDEX_MISMATCH", 7);
    check_ok(tl_index_removal_begin(index, 8, 9, &id, NULL)); /* others are compared still */
    expect_tampered("INDEX_MISMATCH", 7);
    tl_index_close(index);
    expect_tear_down(NULL);
}

static const char *begun_path;
static uint64_t begun_count;

/* Somebody removes contents of record 7 while the records are read, and is done before the index is. */
static int remove_meanwhile(void *ctx, uint64_t done, uint64_t total)
{
    (void)ctx;
    (void)done;
    (void)total;
    struct tl_index *other = NULL;
    check_ok(tl_index_open(&other, begun_path, TALLY_STORE_WRITE, NULL));
    for (uint64_t i = 0; i < begun_count; i++) {
        uint64_t id = 0;
        check_ok(tl_index_removal_begin(other, 7, 7, &id, NULL));
        check_ok(tl_index_removal_set(other, id, TL_REMOVAL_DONE, NULL));
    }
    tl_index_close(other);
    return 0;
}

static void leaves_out_what_was_removed_meanwhile(void **state)
{
    char path[4096];
    expect_set_up(NULL);
    mk_events(&expect_mk, 20);
    struct tl_index *index = make(*state, "begun.db", 7, "state=other", 0);
    check_path(path, sizeof(path), *state, "begun.db");
    begun_path = path;
    expect_options.on_progress = remove_meanwhile;
    begun_count = 1;
    expect_index_unchecked(true);
    begun_count = 0;
    expect_tampered("INDEX_MISMATCH", 7);
    begun_count = 600; /* more than is kept of them, or than fits */
    expect_index_unchecked(true);
    expect_options.on_progress = NULL;
    tl_index_close(index);
    expect_tear_down(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(names_the_record_that_differs, check_mkdir, check_rmdir),
        cmocka_unit_test_setup_teardown(leaves_out_what_is_being_removed, check_mkdir, check_rmdir),
        cmocka_unit_test_setup_teardown(leaves_out_what_was_removed_meanwhile, check_mkdir,
                                        check_rmdir),
        cmocka_unit_test_setup_teardown(one_cause_is_one_finding, check_mkdir, check_rmdir),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
