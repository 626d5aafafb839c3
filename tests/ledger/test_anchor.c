/* Anchors, as far as they need no server: those are in tests/cli/test_anchor.py. */
#include <tally/anchor.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/io.h"
#include "check.h"
#include "fault.h"
#include "store/tamper.h"
#include "support/site.h"
#include "witnessed.h"

#define EVENTS 300u
#define RUNS   20u

static struct site site;
static char target[SITE_PATH_SIZE + 16];
static char path[SITE_PATH_SIZE];

static int set_up(void **state)
{
    if (check_mkdir(state) != 0) {
        return -1;
    }
    check_path(path, sizeof(path), *state, "kept");
    (void)snprintf(target, sizeof(target), "file:%s", path);
    site_init(&site, *state, NULL, 0);
    return 0;
}

struct told {
    size_t done;
    size_t failed;
    uint64_t size;
    tally_status status;
    char detail[256];
};

static void take(void *ctx, const struct tally_anchored *anchored)
{
    struct told *told = ctx;
    told->done += anchored->status == TALLY_OK;
    told->failed += anchored->status != TALLY_OK;
    told->size = anchored->size;
    told->status = anchored->status;
    (void)snprintf(told->detail, sizeof(told->detail), "%s", anchored->detail);
}

static tally_status anchor_to(struct tally_ledger *ledger, const char *where, struct told *told,
                              struct tally_error *err)
{
    return tally_anchor(ledger, &where, 1, "tester", take, told, err);
}

/* Compares what is in the file with the ledger. */
static enum tally_verdict compare(struct tally_ledger *ledger)
{
    char *note = NULL;
    size_t len = 0;
    struct tally_anchor_result result = { .verdict = TALLY_VERDICT_UNKNOWN };
    check_ok(tl_io_read_file(path, 65536, &note, &len, NULL));
    check_ok(tally_anchor_compare(ledger, note, len, &result, NULL));
    tl_free(note);
    return result.verdict;
}

static void takes_the_checkpoint_of_any_ledger_to_a_file(void **state)
{
    (void)state;
    struct tally_ledger *ledgers[] = { site_open(&site), site_memory("memory:100") };
    for (size_t i = 0; i < TL_ARRAY_LEN(ledgers); i++) {
        struct told told = { 0 };
        char *note = NULL;
        (void)unlink(path);
        (void)site_append(ledgers[i], "a", 1);
        check_ok(anchor_to(ledgers[i], target, &told, NULL));
        assert_int_equal(told.done, 1);
        (void)site_append(ledgers[i], "b", 2);
        (void)site_append(ledgers[i], "c", 3);
        check_ok(tally_checkpoint(ledgers[i], told.size, &note, NULL));
        tally_free(note);
        assert_int_equal(compare(ledgers[i]), TALLY_VERDICT_VERIFIED);
        tally_close(ledgers[i]);
    }
    (void)site_verify(&site);
}

static void a_ledger_in_memory_has_no_place_for_tokens(void **state)
{
    (void)state;
    static const char *const places[] = { "rfc3161+http://127.0.0.1:1/", "git:/nowhere" };
    struct tally_ledger *ledger = site_memory("memory:100");
    for (size_t i = 0; i < TL_ARRAY_LEN(places); i++) {
        struct told told = { 0 };
        check_status(anchor_to(ledger, places[i], &told, NULL), TALLY_EIO);
        assert_int_equal(told.status, TALLY_ENOTSUP);
    }
    tally_close(ledger);
}

static void does_nothing_if_one_target_cannot_be_read(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",
        "file",
        "file:",
        "file:here",
        "git:here",
        "ftp://example.org/",
        "http://example.org/",
        "https://",
        "rfc3161+ftp://127.0.0.1/",
        "rfc3161+http://example.org/",
        "witness+https://example.org/",
        "witness+https://example.org/#",
        "witness+https://example.org/#a+00000000+AAAA",
        ("witness+http://example.org/#" WITNESSED_VKEY),
    };
    struct tally_ledger *ledger = site_open(&site);
    struct told told = { 0 };
    for (size_t i = 0; i < TL_ARRAY_LEN(wrong); i++) {
        const char *const targets[] = { target, wrong[i] };
        print_message("# %s\n", wrong[i]);
        check_status(tally_anchor(ledger, targets, 2, NULL, take, &told, NULL), TALLY_EINVAL);
    }
    check_status(tally_anchor(ledger, NULL, 0, NULL, take, &told, NULL), TALLY_EINVAL);
    assert_int_equal(told.done + told.failed, 0);
    assert_int_equal(access(path, F_OK), -1);
    tally_close(ledger);
}

static void only_one_run_at_a_time(void **state)
{
    (void)state;
    struct tally_ledger *ledger = site_open(&site);
    struct told told = { 0 };
    check_ok(anchor_to(ledger, target, &told, NULL));
    char lock[SITE_PATH_SIZE + 32];
    (void)snprintf(lock, sizeof(lock), "%s/anchors/lock", site.dir);
    int fd = open(lock, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    check_status(anchor_to(ledger, target, &told, NULL), TALLY_EBUSY);
    assert_int_equal(close(fd), 0);
    check_ok(anchor_to(ledger, target, &told, NULL));
    tally_close(ledger);
}

static void needs_a_ledger_that_is_open_for_writing(void **state)
{
    (void)state;
    struct tally_ledger *ledger = site_open_read(&site);
    struct told told = { 0 };
    check_status(anchor_to(ledger, target, &told, NULL), TALLY_EINVAL);
    tally_close(ledger);
}

static void a_file_of_others_is_replaced(void **state)
{
    (void)state;
    struct tally_ledger *ledger = site_open(&site);
    struct told told = { 0 };
    check_ok(tl_io_replace_file(path, "no checkpoint\n", 14, 0644, NULL));
    check_ok(anchor_to(ledger, target, &told, NULL));
    assert_int_equal(compare(ledger), TALLY_VERDICT_VERIFIED);
    tally_close(ledger);
}

static void *append_many(void *ctx)
{
    for (unsigned i = 0; i < EVENTS; i++) {
        char id[24];
        (void)snprintf(id, sizeof(id), "n%u", i);
        (void)site_append(ctx, id, i);
    }
    return NULL;
}

/* It is what shows that the ledger was rolled back and went another way. */
static void a_file_of_another_past_stays(void **state)
{
    (void)state;
    struct tally_ledger *ledger = site_open(&site);
    struct told told = { 0 };
    char *note = NULL;
    char *left = NULL;
    size_t len = 0;
    (void)site_append(ledger, "a", 1);
    check_ok(anchor_to(ledger, target, &told, NULL));
    check_ok(tl_io_read_file(path, 65536, &note, &len, NULL));
    char *root = strchr(strchr(note, '\n') + 1, '\n') + 1;
    *root = *root == 'A' ? 'B' : 'A';
    check_ok(tl_io_replace_file(path, note, len, 0644, NULL));
    (void)site_append(ledger, "b", 1);
    check_status(anchor_to(ledger, target, &told, NULL), TALLY_EIO);
    assert_int_equal(told.status, TALLY_ECONFLICT);
    check_ok(tl_io_read_file(path, 65536, &left, &len, NULL));
    assert_string_equal(left, note);
    tl_free(left);
    tl_free(note);
    tally_close(ledger);
}

static void tamper_with(const char *sql)
{
    char store[SITE_PATH_SIZE];
    struct tl_tamper *tamper = NULL;
    uint64_t changed = 0;
    check_path(store, sizeof(store), site.dir, "ledger.db");
    check_ok(tl_tamper_open(&tamper, store, NULL));
    check_ok(tl_tamper_run(tamper, sql, NULL, 0, &changed, NULL));
    assert_int_equal(changed, 1);
    tl_tamper_close(tamper);
}

static enum tally_verdict compare_at_rest(void)
{
    struct tally_ledger *ledger = site_open_read(&site);
    enum tally_verdict verdict = compare(ledger);
    tally_close(ledger);
    return verdict;
}

/* Enough of them that their hashes are stored too, which nobody has touched. */
static void a_checkpoint_is_compared_with_the_leaves(void **state)
{
    (void)state;
    struct tally_ledger *ledger = site_open(&site);
    struct told told = { 0 };
    (void)append_many(ledger);
    check_ok(anchor_to(ledger, target, &told, NULL));
    tally_close(ledger);
    assert_int_equal(compare_at_rest(), TALLY_VERDICT_VERIFIED);
    tamper_with("UPDATE record SET leaf = zeroblob(length(leaf)) WHERE seq = 5");
    assert_int_equal(compare_at_rest(), TALLY_VERDICT_TAMPERED);
    tamper_with("DELETE FROM record WHERE seq = 5");
    assert_int_equal(compare_at_rest(), TALLY_VERDICT_TAMPERED);
}

static tally_status anchor_once(const void *ctx)
{
    struct tally_ledger *ledger = NULL;
    struct told told = { 0 };
    (void)ctx;
    TL_TRY(site_try_open(&site, 1, &ledger, NULL));
    tally_status status = anchor_to(ledger, target, &told, NULL);
    /* Of one target that failed the caller hears why. */
    status = status == TALLY_EIO && told.failed == 1 ? told.status : status;
    tally_close(ledger);
    return status;
}

static void says_so_if_there_is_no_memory(void **state)
{
    (void)state;
    assert_true(fault_each_alloc_or_ok(anchor_once, NULL) > 0);
    (void)site_verify(&site);
}

static void what_was_anchored_stays_while_others_append(void **state)
{
    (void)state;
    struct tally_ledger *ledgers[] = { site_open(&site), site_memory("memory:4000") };
    for (size_t i = 0; i < TL_ARRAY_LEN(ledgers); i++) {
        pthread_t thread;
        uint64_t sizes[RUNS];
        (void)unlink(path);
        assert_int_equal(pthread_create(&thread, NULL, append_many, ledgers[i]), 0);
        for (size_t run = 0; run < RUNS; run++) {
            struct told told = { 0 };
            check_ok(anchor_to(ledgers[i], target, &told, NULL));
            sizes[run] = told.size;
        }
        assert_int_equal(pthread_join(thread, NULL), 0);
        for (size_t run = 0; run < RUNS; run++) {
            char *note = NULL;
            check_ok(tally_checkpoint(ledgers[i], sizes[run], &note, NULL));
            tally_free(note);
        }
        assert_int_equal(compare(ledgers[i]), TALLY_VERDICT_VERIFIED);
        tally_close(ledgers[i]);
    }
    (void)site_verify(&site);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(takes_the_checkpoint_of_any_ledger_to_a_file, set_up,
                                        check_rmdir),
        cmocka_unit_test_setup_teardown(a_ledger_in_memory_has_no_place_for_tokens, set_up,
                                        check_rmdir),
        cmocka_unit_test_setup_teardown(does_nothing_if_one_target_cannot_be_read, set_up,
                                        check_rmdir),
        cmocka_unit_test_setup_teardown(only_one_run_at_a_time, set_up, check_rmdir),
        cmocka_unit_test_setup_teardown(needs_a_ledger_that_is_open_for_writing, set_up,
                                        check_rmdir),
        cmocka_unit_test_setup_teardown(a_file_of_others_is_replaced, set_up, check_rmdir),
        cmocka_unit_test_setup_teardown(a_file_of_another_past_stays, set_up, check_rmdir),
        cmocka_unit_test_setup_teardown(a_checkpoint_is_compared_with_the_leaves, set_up,
                                        check_rmdir),
        cmocka_unit_test_setup_teardown(says_so_if_there_is_no_memory, set_up, check_rmdir),
        cmocka_unit_test_setup_teardown(what_was_anchored_stays_while_others_append, set_up,
                                        check_rmdir),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
