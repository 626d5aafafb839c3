/* Every allocation and every file operation of a ledger fails once: nothing is lost or made up. */
#include <tally/bundle.h>
#include <tally/tally.h>

#include <errno.h>
#include <ftw.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "check.h"
#include "fault.h"
#include "support/fake_clock.h"
#include "support/site.h"

#define EPOCH_S 60
#define BATCH   5u

static const struct tally_setting short_epochs[] = { { "epoch.seconds", "60", "test" } };

static tally_status take(void *ctx, const char *bytes, size_t len)
{
    (void)bytes;
    *(size_t *)ctx += len;
    return TALLY_OK;
}

static tally_status fill(struct tally_events *events, const char *name)
{
    for (unsigned i = 0; i < BATCH; i++) {
        char text[256];
        int len = snprintf(text, sizeof(text),
                           "{\"id\":\"%s/%u\",\"action\":\"a\",\"metadata\":{\"name\":\"Bob\"},"
                           "\"occurred_at\":\"2026-01-01T00:00:00Z\"}",
                           name, i);
        TL_TRY(tally_events_add(events, text, (size_t)len, 0, NULL));
    }
    return TALLY_OK;
}

static tally_status append_batch(struct tally_ledger *ledger, const char *name, bool *acked_out)
{
    struct tally_receipt receipts[BATCH];
    struct tally_events *events = NULL;
    TL_TRY(tally_events_new(&events, ledger, NULL));
    tally_status status = fill(events, name);
    if (status == TALLY_OK) {
        status = tally_append_events(ledger, events, receipts, NULL);
    }
    tally_events_free(events);
    TL_TRY(status);
    for (unsigned i = 0; i < BATCH; i++) {
        check_ok(receipts[i].status);
        assert_int_equal(receipts[i].level, TALLY_LEVEL_RECORDED);
    }
    *acked_out = true;
    return TALLY_OK;
}

/* All that a reader does. Stops at the first failure; a verdict is never better than the check. */
static tally_status read_all_ways(struct tally_ledger *ledger)
{
    const struct tally_condition condition = { "action", "a" };
    struct tally_query query = TALLY_QUERY_INIT;
    query.conditions = &condition;
    query.condition_count = 1;
    query.order = TALLY_ORDER_OCCURRED;
    struct tally_page *page = NULL;
    TL_TRY(tally_find(ledger, &query, &page, NULL));
    tally_page_free(page);
    uint64_t count = 0;
    int exact = 0;
    TL_TRY(tally_count(ledger, &query, &count, &exact, NULL));
    struct tally_stats *stats = NULL;
    TL_TRY(tally_stats(ledger, &query, "actor_id", 1, &stats, NULL));
    tally_stats_free(stats);
    size_t len = 0;
    struct tally_export_options options = TALLY_EXPORT_OPTIONS_INIT;
    options.write = take;
    options.ctx = &len;
    struct tally_export_result result;
    TL_TRY(tally_export(ledger, &query, &options, &result, NULL));
    assert_int_equal(result.complete, 1);
    char *text = NULL;
    TL_TRY(tally_proof_make(ledger, 0, &text, NULL));
    tally_free(text);
    TL_TRY(tally_opening_make(ledger, 1, &text, NULL));
    tally_free(text);
    void *tile = NULL;
    TL_TRY(tally_tlog_tile(ledger, "tile/0/000.p/2", &tile, &len, NULL));
    tally_free(tile);
    TL_TRY(tally_tlog_tile(ledger, "tile/entries/000.p/2", &tile, &len, NULL));
    tally_free(tile);
    TL_TRY(tally_consistency_make(ledger, 1, &text, NULL));
    tally_free(text);
    TL_TRY(tally_checkpoint(ledger, 0, &text, NULL));
    tally_free(text);
    return TALLY_OK;
}

static tally_status verify(struct tally_ledger *ledger)
{
    struct tally_verify_options options = TALLY_VERIFY_OPTIONS_INIT;
    struct tally_report *report = NULL;
    TL_TRY(tally_verify(ledger, &options, &report, NULL));
    tally_status status = report->verdict == TALLY_VERDICT_VERIFIED ? TALLY_OK : TALLY_ECORRUPT;
    assert_int_equal(report->tampered, 0);
    tally_report_free(report);
    return status;
}

static tally_status use_memory(const void *ctx)
{
    (void)ctx;
    bool acked = false;
    struct tally_options options = TALLY_OPTIONS_INIT;
    struct tally_ledger *ledger = NULL;
    options.uri = "memory:1000";
    TL_TRY(tally_open(&ledger, &options, NULL));
    tally_status status = append_batch(ledger, "a", &acked);
    if (status == TALLY_OK) {
        status = append_batch(ledger, "b", &acked);
    }
    if (status == TALLY_OK) {
        status = read_all_ways(ledger);
    }
    if (status == TALLY_OK) {
        status = verify(ledger);
    }
    tally_close(ledger);
    return status;
}

static void a_memory_ledger_survives_each_failed_allocation(void **state)
{
    (void)state;
    assert_true(fault_each_alloc(use_memory, NULL) > 100);
}

static struct site site;
static unsigned round_number;

static int set_up(void **state)
{
    if (check_mkdir(state) != 0) {
        return -1;
    }
    fake_clock_use();
    site_init(&site, *state, short_epochs, TL_ARRAY_LEN(short_epochs));
    round_number = 0;
    return 0;
}

static int tear_down(void **state)
{
    fake_clock_end();
    return check_rmdir(state);
}

static tally_status use_site(const struct site *at, const char *name, bool *acked_out)
{
    struct tally_ledger *ledger = NULL;
    TL_TRY(site_try_open(at, 1, &ledger, NULL));
    tally_status status = append_batch(ledger, name, acked_out);
    fake_clock_pass(EPOCH_S * FAKE_SECOND);
    char second[64];
    bool ignored = false;
    (void)snprintf(second, sizeof(second), "%s/second", name);
    if (status == TALLY_OK) {
        status = append_batch(ledger, second, &ignored); /* in the next epoch */
    }
    if (status == TALLY_OK) {
        status = read_all_ways(ledger);
    }
    tally_close(ledger);
    return status;
}

/* Without faults: what was acknowledged is there, and all is well. */
static void check_sound(const struct site *at, const char *id, bool acked)
{
    (void)site_verify(at);
    struct tally_ledger *ledger = site_open(at);
    bool there = site_has(ledger, id);
    assert_true(there || !acked);
    char name[64];
    (void)snprintf(name, sizeof(name), "after/%u", round_number);
    (void)site_append(ledger, name, round_number);
    tally_close(ledger);
}

static tally_status use_disk(const void *ctx)
{
    (void)ctx;
    char name[32];
    bool acked = false;
    (void)snprintf(name, sizeof(name), "r%u", ++round_number);
    return use_site(&site, name, &acked);
}

static void a_ledger_on_disk_survives_each_failed_allocation(void **state)
{
    (void)state;
    assert_true(fault_each_alloc_or_ok(use_disk, NULL) > 100);
    (void)site_verify(&site);
    struct tally_ledger *ledger = site_open(&site);
    check_ok(verify(ledger));
    tally_close(ledger);
}

static tally_status verify_site(const void *ctx)
{
    struct tally_ledger *ledger = NULL;
    TL_TRY(site_try_open(ctx, 0, &ledger, NULL));
    tally_status status = verify(ledger);
    tally_close(ledger);
    return status;
}

static void a_verification_survives_each_failed_allocation(void **state)
{
    (void)state;
    assert_true(fault_each_alloc_or_ok(verify_site, &site) > 20);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static tally_status make_another(const void *ctx)
{
    struct site another;
    char dir[SITE_PATH_SIZE];
    check_path(dir, sizeof(dir), ctx, "ledger");
    (void)nftw(dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS); /* of the run before */
    site_name(&another, ctx);
    return site_try_init(&another, NULL);
}

static void making_a_ledger_survives_each_failed_allocation(void **state)
{
    /* The text copy of a checkpoint may be missing: the store has it. */
    assert_true(fault_each_alloc_or_ok(make_another, *state) > 20);
}

struct kind {
    enum fault_kind kind;
    int os_errno;
    bool harmless; /* the run must not notice */
};

static const struct kind kinds[] = {
    { FAULT_ERROR, EIO, false },
    { FAULT_FOREVER, ENOSPC, false },
    { FAULT_LATE, EIO, false },
    { FAULT_SHORT, 0, true },
};

static void use_with_fault(void *ctx, const atomic_bool *hit)
{
    const struct kind *kind = ctx;
    char name[32];
    char id[64];
    bool acked = false;
    (void)snprintf(name, sizeof(name), "r%u", ++round_number);
    (void)snprintf(id, sizeof(id), "%s/%u", name, BATCH - 1);
    tally_status status = use_site(&site, name, &acked);
    if (!atomic_load(hit) || kind->harmless) {
        check_ok(status);
    } else if (status != TALLY_OK) {
        check_status(status, TALLY_EIO);
    }
    tl_io = &tl_io_posix;
    fake_clock_pass(FAKE_SECOND);
    check_sound(&site, id, acked);
}

/* On a ledger of its own, so that it stays small. */
static void fail_each(const char *dir, size_t number)
{
    char own[SITE_PATH_SIZE];
    char name[32];
    struct kind kind = kinds[number];
    (void)snprintf(name, sizeof(name), "kind%zu", number);
    check_path(own, sizeof(own), dir, name);
    assert_int_equal(mkdir(own, 0700), 0);
    site_init(&site, own, short_epochs, TL_ARRAY_LEN(short_epochs));
    assert_true(fault_each_io(kind.kind, kind.os_errno, use_with_fault, &kind) > 20);
    (void)site_verify(&site);
}

static void each_failed_file_operation_is_told_and_mended(void **state)
{
    for (size_t i = 0; i < TL_ARRAY_LEN(kinds); i++) {
        fail_each(*state, i);
    }
}

/* The calls that a signal may cut short succeed in the end. */
static void use_interrupted(void *ctx, const atomic_bool *hit)
{
    (void)ctx;
    (void)hit;
    char name[32];
    char id[64];
    bool acked = false;
    (void)snprintf(name, sizeof(name), "r%u", ++round_number);
    (void)snprintf(id, sizeof(id), "%s/%u", name, BATCH - 1);
    check_ok(use_site(&site, name, &acked));
    tl_io = &tl_io_posix;
    check_sound(&site, id, acked);
}

static void an_interrupted_call_is_made_again(void **state)
{
    (void)state;
    assert_true(fault_each_io(FAULT_ERROR, EINTR, use_interrupted, NULL) > 20);
}

static void make_with_fault(void *ctx, const atomic_bool *hit)
{
    tally_status status = make_another(ctx);
    if (status == TALLY_OK) {
        struct site another;
        tl_io = &tl_io_posix;
        site_name(&another, ctx);
        (void)site_verify(&another);
        struct tally_ledger *ledger = site_open(&another);
        tally_close(ledger);
    } else {
        assert_true(atomic_load(hit));
        check_status(status, TALLY_EIO);
    }
}

static void making_a_ledger_tells_each_failed_file_operation(void **state)
{
    assert_true(fault_each_io(FAULT_ERROR, EIO, make_with_fault, *state) > 20);
    assert_true(fault_each_io(FAULT_FOREVER, ENOSPC, make_with_fault, *state) > 20);
    assert_true(fault_each_io(FAULT_LATE, EIO, make_with_fault, *state) > 20);
    assert_true(fault_each_io(FAULT_SHORT, 0, make_with_fault, *state) > 20);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_memory_ledger_survives_each_failed_allocation),
        CASE(a_ledger_on_disk_survives_each_failed_allocation),
        CASE(a_verification_survives_each_failed_allocation),
        cmocka_unit_test_setup_teardown(making_a_ledger_survives_each_failed_allocation,
                                        check_mkdir, check_rmdir),
        CASE(each_failed_file_operation_is_told_and_mended),
        CASE(an_interrupted_call_is_made_again),
        cmocka_unit_test_setup_teardown(making_a_ledger_tells_each_failed_file_operation,
                                        check_mkdir, check_rmdir),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
