/* Many threads on one ledger: every event once, none of the answers torn. */
#include <tally/tally.h>

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "check.h"
#include "support/site.h"

#define WRITERS 12u
#define READERS 4u
#define BATCHES 20u
#define BATCH   13u

static struct site site;

struct worker {
    pthread_t thread;
    struct tally_ledger *ledger;
    unsigned number;
    atomic_bool *stop;
};

/* Each writer appends events of its own, and the same ones as all the others. */
static void *append_events(void *ctx)
{
    const struct worker *worker = ctx;
    struct tally_receipt receipts[2 * BATCH];
    struct tally_events *events = NULL;
    check_ok(tally_events_new(&events, worker->ledger, NULL));
    for (unsigned batch = 0; batch < BATCHES; batch++) {
        tally_events_clear(events);
        for (unsigned i = 0; i < BATCH; i++) {
            char id[64];
            unsigned n = batch * BATCH + i;
            (void)snprintf(id, sizeof(id), "own/%u/%u", worker->number, n);
            site_add(events, id, n);
            (void)snprintf(id, sizeof(id), "shared/%u", n);
            site_add(events, id, n);
        }
        check_ok(tally_append_events(worker->ledger, events, receipts, NULL));
        for (unsigned i = 0; i < 2 * BATCH; i++) {
            check_ok(receipts[i].status);
            assert_int_equal(receipts[i].level, TALLY_LEVEL_RECORDED);
            assert_true(i % 2 == 1 || (receipts[i].flags & TALLY_RECEIPT_DUPLICATE) == 0);
            assert_true(receipts[i].seq < receipts[i].checkpoint_size);
        }
    }
    tally_events_free(events);
    return NULL;
}

static void check_info_never_shrinks(struct tally_ledger *ledger, uint64_t *size)
{
    struct tally_info info;
    check_ok(tally_info(ledger, &info, NULL));
    assert_true(info.size >= *size);
    assert_true(info.indexed_to <= info.size);
    assert_int_equal(info.checkpoint_size, info.size);
    *size = info.size;
}

static void *query_all_ways(void *ctx)
{
    const struct worker *worker = ctx;
    static const struct tally_condition condition = { "action", "test.*" };
    struct tally_query query = TALLY_QUERY_INIT;
    query.conditions = &condition;
    query.condition_count = 1;
    uint64_t size = 0;
    uint64_t before = 0;
    do {
        struct tally_page *page = NULL;
        struct tally_stats *stats = NULL;
        uint64_t count = 0;
        int exact = 0;
        query.order = worker->number % 2 == 0 ? TALLY_ORDER_SEQ : TALLY_ORDER_OCCURRED;
        query.count = TALLY_COUNT_EXACT;
        check_ok(tally_find(worker->ledger, &query, &page, NULL));
        assert_true(page->total >= before && page->count <= page->total);
        before = page->total;
        tally_page_free(page);
        check_ok(tally_count(worker->ledger, &query, &count, &exact, NULL));
        assert_true(count >= before);
        check_ok(tally_stats(worker->ledger, &query, "action", 0, &stats, NULL));
        assert_true(stats->total >= count);
        tally_stats_free(stats);
        check_info_never_shrinks(worker->ledger, &size);
        char *proof = NULL;
        check_ok(tally_proof_make(worker->ledger, size - 1, &proof, NULL));
        tally_free(proof);
        if (worker->number == 0) {
            (void)site_verify_open(worker->ledger, &site);
        }
    } while (!atomic_load(worker->stop));
    return NULL;
}

static void run(struct tally_ledger *ledger, struct tally_ledger *other_handle)
{
    struct worker workers[WRITERS + READERS];
    atomic_bool stop = false;
    for (unsigned i = 0; i < WRITERS + READERS; i++) {
        bool writes = i < WRITERS;
        workers[i] = (struct worker){ .ledger = !writes && i % 2 == 0 ? other_handle : ledger,
                                      .number = writes ? i : i - WRITERS,
                                      .stop = &stop };
        assert_int_equal(pthread_create(&workers[i].thread, NULL,
                                        writes ? append_events : query_all_ways, &workers[i]),
                         0);
    }
    for (unsigned i = 0; i < WRITERS + READERS; i++) {
        if (i == WRITERS) {
            atomic_store(&stop, true);
        }
        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
    }
    assert_int_equal(site_count(ledger), (WRITERS + 1) * BATCHES * BATCH);
}

static void many_threads_share_a_ledger_on_disk(void **state)
{
    site_init(&site, *state, NULL, 0);
    struct tally_ledger *ledger = site_open(&site);
    struct tally_ledger *reader = site_open_read(&site);
    run(ledger, reader);
    tally_close(reader);
    tally_close(ledger);
    assert_int_equal(site_verify(&site), 2 + (WRITERS + 1) * BATCHES * BATCH);
}

static void *append_alone(void *ctx)
{
    const struct worker *worker = ctx;
    for (unsigned i = 0; i < 50; i++) {
        char id[32];
        (void)snprintf(id, sizeof(id), "%u/%u", worker->number, i);
        (void)site_append(worker->ledger, id, i);
    }
    return NULL;
}

static void many_threads_share_a_ledger_in_memory(void **state)
{
    (void)state;
    struct worker workers[16];
    struct tally_ledger *ledger = site_memory("memory:5000");
    for (unsigned i = 0; i < 16; i++) {
        workers[i] = (struct worker){ .ledger = ledger, .number = i };
        assert_int_equal(pthread_create(&workers[i].thread, NULL, append_alone, &workers[i]), 0);
    }
    for (unsigned i = 0; i < 16; i++) {
        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
    }
    assert_int_equal(site_count(ledger), 800);
    (void)site_verify_open(ledger, NULL);
    tally_close(ledger);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(many_threads_share_a_ledger_on_disk, check_mkdir,
                                        check_rmdir),
        cmocka_unit_test(many_threads_share_a_ledger_in_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
