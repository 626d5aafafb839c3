/* What a caller of the append functions is told, and what is in the ledger afterwards. */
#include <tally/tally.h>

#include <string.h>

#include "check.h"
#include "support/site.h"

#define EVENT_SIZE 512u

static struct site site;
static struct tally_ledger *ledger;
static struct tally_events *events;
static struct tally_receipt receipts[4096];

/* Each test runs on a ledger on disk. */
static int set_up(void **state)
{
    if (check_mkdir(state) != 0) {
        return -1;
    }
    site_init(&site, *state, NULL, 0);
    ledger = site_open(&site);
    check_ok(tally_events_new(&events, ledger, NULL));
    return 0;
}

static int tear_down(void **state)
{
    tally_events_free(events);
    tally_close(ledger);
    (void)site_verify(&site);
    return check_rmdir(state);
}

static void append(void)
{
    check_ok(tally_append_events(ledger, events, receipts, NULL));
}

static void check_new(const struct tally_receipt *receipt, const char *id)
{
    check_ok(receipt->status);
    assert_int_equal(receipt->level, TALLY_LEVEL_RECORDED);
    assert_int_equal(receipt->flags & TALLY_RECEIPT_DUPLICATE, 0);
    assert_string_equal(receipt->id, id);
    assert_true(receipt->checkpoint_size > receipt->seq);
}

static void check_duplicate(const struct tally_receipt *receipt, const struct tally_receipt *first)
{
    check_ok(receipt->status);
    assert_int_equal(receipt->level, TALLY_LEVEL_RECORDED);
    assert_int_equal(receipt->flags & TALLY_RECEIPT_DUPLICATE, TALLY_RECEIPT_DUPLICATE);
    assert_int_equal(receipt->seq, first->seq);
    assert_int_equal(receipt->recorded_us, first->recorded_us);
    assert_memory_equal(receipt->leaf_hash, first->leaf_hash, 32);
    assert_string_equal(receipt->id, first->id);
}

static void check_conflict(const struct tally_receipt *receipt, uint64_t seq)
{
    check_status(receipt->status, TALLY_ECONFLICT);
    assert_int_equal(receipt->level, TALLY_LEVEL_NONE);
    assert_int_equal(receipt->flags & TALLY_RECEIPT_DUPLICATE, 0);
    assert_int_equal(receipt->seq, seq);
}

static void gives_a_receipt_that_names_the_record(void **state)
{
    (void)state;
    struct tally_receipt receipt = site_append(ledger, "one", 1);
    check_new(&receipt, "one");
    struct tally_page *page = NULL;
    check_ok(tally_get_by_seq(ledger, receipt.seq, &page, NULL));
    assert_string_equal(page->items[0].id, "one");
    assert_int_equal(page->items[0].recorded_us, receipt.recorded_us);
    assert_memory_equal(page->items[0].leaf_hash, receipt.leaf_hash, 32);
    tally_page_free(page);
    struct tally_info info;
    check_ok(tally_info(ledger, &info, NULL));
    assert_int_equal(info.size, receipt.seq + 1);
    assert_int_equal(info.checkpoint_size, receipt.checkpoint_size);
}

static void records_a_batch_in_order_without_holes(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4096; i++) {
        char id[32];
        (void)snprintf(id, sizeof(id), "batch/%u", i);
        site_add(events, id, i);
    }
    const char *full = "{\"action\":\"a\"}";
    check_status(tally_events_add(events, full, strlen(full), 0, NULL), TALLY_ELIMIT);
    append();
    for (unsigned i = 0; i < 4096; i++) {
        check_ok(receipts[i].status);
        assert_int_equal(receipts[i].seq, receipts[0].seq + i);
        assert_int_equal(receipts[i].checkpoint_size, receipts[0].seq + 4096);
    }
}

static void same_id_and_bytes_give_the_same_receipt(void **state)
{
    (void)state;
    struct tally_receipt first = site_append(ledger, "x", 1);
    struct tally_receipt again = site_append(ledger, "x", 1);
    check_duplicate(&again, &first);
    assert_int_equal(site_count(ledger), 1);
}

static void same_id_and_other_bytes_is_a_conflict(void **state)
{
    (void)state;
    struct tally_receipt first = site_append(ledger, "x", 1);
    const char *other = "{\"id\":\"x\",\"action\":\"secret\"}";
    struct tally_receipt receipt = { .status = TALLY_OK };
    struct tally_error error = TALLY_ERROR_INIT;
    check_status(tally_append(ledger, other, strlen(other), &receipt, &error), TALLY_ECONFLICT);
    assert_string_equal(error.code, "id_conflict");
    assert_null(strstr(error.message, "secret"));
    check_conflict(&receipt, first.seq);
    assert_int_equal(site_count(ledger), 1);
}

static void a_retry_without_a_time_is_the_same_event(void **state)
{
    (void)state;
    const char *timeless = "{'id':'t','action':'a','metadata':{'occurred_at':'x'}}";
    site_add_text(events, timeless, 0);
    append();
    struct tally_receipt first = receipts[0];
    tally_events_clear(events);
    site_add_text(events, timeless, 0);
    append();
    check_duplicate(&receipts[0], &first);

    /* But one whose caller gave a time has that time. */
    tally_events_clear(events);
    site_add_text(events,
                  "{'id':'t','action':'a','occurred_at':'2020-01-01T00:00:00Z',"
                  "'metadata':{'occurred_at':'x'}}",
                  0);
    site_add_text(events, "{'id':'t','action':'b','metadata':{'occurred_at':'x'}}", 0);
    append();
    check_conflict(&receipts[0], first.seq);
    check_conflict(&receipts[1], first.seq);
}

static void twins_in_one_batch_are_one_record(void **state)
{
    (void)state;
    site_add(events, "twin", 1);
    site_add(events, "other", 2);
    site_add(events, "twin", 1);
    site_add(events, "twin", 3);
    append();
    check_new(&receipts[0], "twin");
    check_new(&receipts[1], "other");
    check_duplicate(&receipts[2], &receipts[0]);
    check_conflict(&receipts[3], receipts[0].seq);
    assert_int_equal(site_count(ledger), 2);
}

static void a_conflict_leaves_the_rest_of_the_batch_recorded(void **state)
{
    (void)state;
    struct tally_receipt old = site_append(ledger, "old", 1);
    site_add(events, "a", 1);
    site_add(events, "old", 2); /* a conflict */
    site_add(events, "old", 1); /* the same again */
    site_add(events, "old", 2); /* a twin of the conflict */
    site_add(events, "b", 1);
    append();
    check_new(&receipts[0], "a");
    check_conflict(&receipts[1], old.seq);
    check_duplicate(&receipts[2], &old);
    check_conflict(&receipts[3], old.seq);
    check_new(&receipts[4], "b");
    assert_int_equal(receipts[4].seq, receipts[0].seq + 1);
    assert_int_equal(site_count(ledger), 3);
}

static void ids_in_random_order_are_each_found(void **state)
{
    (void)state;
    char id[64];
    uint64_t random = 7;
    for (unsigned i = 0; i < 3000; i++) {
        random = random * UINT64_C(6364136223846793005) + 1442695040888963407U;
        (void)snprintf(id, sizeof(id), "%08x-%04x-4%03x-8%03x-%012x", (unsigned)(random >> 32),
                       i & 0xffff, i & 0xfff, (unsigned)(random >> 20) & 0xfff, i);
        site_add(events, id, i);
    }
    append();
    static struct tally_receipt first[3000];
    memcpy(first, receipts, sizeof(first));
    append();
    for (unsigned i = 0; i < 3000; i++) {
        check_duplicate(&receipts[i], &first[i]);
    }
    assert_int_equal(site_count(ledger), 3000);
}

static void importing_all_again_adds_nothing(void **state)
{
    (void)state;
    struct tally_info before;
    struct tally_info after;
    for (unsigned pass = 0; pass < 3; pass++) {
        for (unsigned batch = 0; batch < 5; batch++) {
            tally_events_clear(events);
            for (unsigned i = 0; i < 1000; i++) {
                char id[32];
                (void)snprintf(id, sizeof(id), "import/%u", batch * 1000 + i);
                site_add(events, id, i);
            }
            append();
            for (unsigned i = 0; i < 1000; i++) {
                check_ok(receipts[i].status);
                assert_int_equal((receipts[i].flags & TALLY_RECEIPT_DUPLICATE) != 0, pass > 0);
            }
        }
        check_ok(tally_info(ledger, pass == 0 ? &before : &after, NULL));
    }
    assert_int_equal(after.size, before.size);
    assert_int_equal(site_count(ledger), 5000);
}

static void generated_ids_are_told_and_differ(void **state)
{
    (void)state;
    site_add_text(events, "{'action':'a'}", 0);
    site_add_text(events, "{'action':'a'}", 0);
    append();
    for (size_t i = 0; i < 2; i++) {
        check_ok(receipts[i].status);
        assert_int_equal(receipts[i].flags, TALLY_RECEIPT_ID_GENERATED);
        assert_int_equal(strlen(receipts[i].id), 36);
        assert_int_equal(receipts[i].id[14], '7');
        assert_true(site_has(ledger, receipts[i].id));
    }
    assert_string_not_equal(receipts[0].id, receipts[1].id);
}

static void ids_from_content_make_a_second_import_harmless(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{'action':'a','occurred_at':'2026-01-01T00:00:00Z'}",
        "{'action':'a','occurred_at':'2026-01-01T00:00:01Z'}",
        "{'action':'a','occurred_at':'2026-01-01T00:00:00Z'}", /* as the first */
        "{'action':'a'}",                                      /* no time: one of its own */
    };
    struct tally_receipt first[4];
    for (unsigned pass = 0; pass < 2; pass++) {
        tally_events_clear(events);
        for (size_t i = 0; i < TL_ARRAY_LEN(texts); i++) {
            site_add_text(events, texts[i], TALLY_EVENT_ID_FROM_CONTENT);
        }
        append();
        assert_int_equal(strncmp(receipts[0].id, "sha256/", 7), 0);
        assert_string_not_equal(receipts[0].id, receipts[1].id);
        check_duplicate(&receipts[2], &receipts[0]);
        assert_int_equal(receipts[3].flags, TALLY_RECEIPT_ID_GENERATED);
        if (pass == 0) {
            memcpy(first, receipts, sizeof(first));
        }
    }
    check_duplicate(&receipts[0], &first[0]);
    check_duplicate(&receipts[1], &first[1]);
    assert_string_not_equal(receipts[3].id, first[3].id);
    assert_int_equal(site_count(ledger), 4);
}

static void a_refused_event_leaves_the_batch_as_it_was(void **state)
{
    (void)state;
    static const char *const bad[] = { "",
                                       "{",
                                       "[]",
                                       "{'action':'a'",
                                       "{'action':'a','action':'b'}",
                                       "{'action':'tally.import'}",
                                       "{'action':'a','surprise':1}",
                                       "{'id':'00000000-0000-0000-0000-000000000000','action':'a'}",
                                       "{'action':'a','severity':'dreadful'}",
                                       "{'action':'a','occurred_at':'yesterday'}" };
    site_add(events, "before", 1);
    for (size_t i = 0; i < TL_ARRAY_LEN(bad); i++) {
        char text[EVENT_SIZE];
        struct tally_error error = TALLY_ERROR_INIT;
        site_unquote(text, sizeof(text), bad[i]);
        check_status(tally_events_add(events, text, strlen(text), 0, &error), TALLY_EREFUSED);
        assert_true(error.code[0] != '\0' && error.message[0] != '\0');
        assert_int_equal(tally_events_count(events), 1);
    }
    site_add(events, "after", 2);
    append();
    check_new(&receipts[0], "before");
    check_new(&receipts[1], "after");
    size_t len = 0;
    const char *text = tally_events_text(events, 1, &len);
    assert_non_null(memmem(text, len, "\"id\":\"after\"", 12));
}

static void an_empty_batch_is_no_record(void **state)
{
    (void)state;
    struct tally_info before;
    struct tally_info after;
    check_ok(tally_info(ledger, &before, NULL));
    append();
    check_ok(tally_info(ledger, &after, NULL));
    assert_int_equal(after.size, before.size);
}

static void acts_and_gaps_are_recorded_but_not_found_unasked(void **state)
{
    (void)state;
    struct tally_receipt receipt;
    check_ok(tally_record_act(ledger, "tally.import", "alice", "{\"files\":1}", &receipt, NULL));
    check_ok(receipt.status);
    check_ok(tally_declare_gap(ledger, 3, 1, 1000000, 2000000, "queue_full", NULL));
    assert_int_equal(site_count(ledger), 0);
    assert_true(site_has(ledger, receipt.id));
    assert_int_equal(site_count_kind(ledger, "gap", NULL, 0), 1);
    struct tally_error error = TALLY_ERROR_INIT;
    check_status(tally_record_act(ledger, "tally.import", NULL, "{\"open\":", NULL, &error),
                 TALLY_EREFUSED);
}

static void a_handle_for_reading_appends_nothing(void **state)
{
    (void)state;
    struct tally_ledger *reader = site_open_read(&site);
    struct tally_events *batch = NULL;
    const char *event = "{\"action\":\"a\"}";
    check_status(tally_append(reader, event, strlen(event), NULL, NULL), TALLY_EINVAL);
    check_ok(tally_events_new(&batch, reader, NULL));
    site_add(batch, "r", 1);
    check_status(tally_append_events(reader, batch, receipts, NULL), TALLY_EINVAL);
    check_status(tally_declare_gap(reader, 1, 1, 1, 2, "r", NULL), TALLY_EINVAL);
    check_status(tally_record_act(reader, "tally.import", NULL, NULL, NULL, NULL), TALLY_EINVAL);
    check_status(tally_wait_indexed(reader, NULL), TALLY_ENOTSUP);
    tally_events_free(batch);
    tally_close(reader);
}

static void a_full_memory_ledger_refuses(void **state)
{
    (void)state;
    struct tally_ledger *memory = site_memory("memory:10");
    uint64_t stored = 0;
    tally_status status = TALLY_OK;
    for (unsigned i = 0; i < 20 && status == TALLY_OK; i++) {
        char text[EVENT_SIZE];
        int len = snprintf(text, sizeof(text), "{\"id\":\"m%u\",\"action\":\"a\"}", i);
        struct tally_receipt receipt;
        status = tally_append(memory, text, (size_t)len, &receipt, NULL);
        if (status == TALLY_OK) {
            assert_int_equal(receipt.flags & TALLY_RECEIPT_VOLATILE, TALLY_RECEIPT_VOLATILE);
            stored++;
        }
    }
    check_status(status, TALLY_ELIMIT);
    assert_int_equal(site_count(memory), stored);
    assert_int_equal(site_verify_open(memory, NULL), 10);
    tally_close(memory);
}

static void a_dropping_memory_ledger_evicts_and_stays_sound(void **state)
{
    (void)state;
    struct tally_ledger *memory = site_memory("memory:10?full=drop");
    for (unsigned i = 0; i < 500; i++) {
        char id[32];
        (void)snprintf(id, sizeof(id), "m%u", i);
        (void)site_append(memory, id, i);
    }
    const struct tally_condition evicted[] = { { "state", "evicted" } };
    struct tally_query query = TALLY_QUERY_INIT;
    query.conditions = evicted;
    query.condition_count = 1;
    uint64_t count = 0;
    int exact = 0;
    check_ok(tally_count(memory, &query, &count, &exact, NULL));
    assert_true(count > 400);
    struct tally_verify_options options = TALLY_VERIFY_OPTIONS_INIT;
    struct tally_report *report = NULL;
    check_ok(tally_verify(memory, &options, &report, NULL));
    assert_int_equal(report->tampered, 0);
    assert_int_equal(report->verdict, TALLY_VERDICT_VERIFIED);
    assert_true((report->qualifiers & TALLY_QUALIFIER_VOLATILE) != 0);
    tally_report_free(report);

    /* An id stays taken when its content is gone. */
    struct tally_receipt again = site_append(memory, "m1", 1);
    assert_int_equal(again.flags & TALLY_RECEIPT_DUPLICATE, TALLY_RECEIPT_DUPLICATE);
    tally_close(memory);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(gives_a_receipt_that_names_the_record),
        CASE(records_a_batch_in_order_without_holes),
        CASE(same_id_and_bytes_give_the_same_receipt),
        CASE(same_id_and_other_bytes_is_a_conflict),
        CASE(a_retry_without_a_time_is_the_same_event),
        CASE(twins_in_one_batch_are_one_record),
        CASE(a_conflict_leaves_the_rest_of_the_batch_recorded),
        CASE(ids_in_random_order_are_each_found),
        CASE(importing_all_again_adds_nothing),
        CASE(generated_ids_are_told_and_differ),
        CASE(ids_from_content_make_a_second_import_harmless),
        CASE(a_refused_event_leaves_the_batch_as_it_was),
        CASE(an_empty_batch_is_no_record),
        CASE(acts_and_gaps_are_recorded_but_not_found_unasked),
        CASE(a_handle_for_reading_appends_nothing),
        cmocka_unit_test(a_full_memory_ledger_refuses),
        cmocka_unit_test(a_dropping_memory_ledger_evicts_and_stays_sound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
