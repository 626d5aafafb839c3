/* Backups and restores cut short at every step: the older one is whole, the next one works. */
#include <tally/tally.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/io.h"
#include "check.h"
#include "fault.h"
#include "ledger/remove.h"
#include "support/site.h"

#define APART 17u /* every step would take minutes; which ones are met varies with the threads */

static const struct tally_actor who = { "ops", "test", NULL, NULL };
static const char *root_dir;
static struct site site;
static char backup_dir[SITE_PATH_SIZE];
static char target[SITE_PATH_SIZE];
static char bundle_dir[SITE_PATH_SIZE]; /* "" but where a test makes one */

static int set_up(void **state)
{
    if (check_mkdir(state) != 0) {
        return -1;
    }
    root_dir = *state;
    bundle_dir[0] = '\0';
    site_init(&site, *state, NULL, 0);
    struct tally_ledger *ledger = site_open(&site);
    for (unsigned i = 0; i < 20; i++) {
        char id[32];
        (void)snprintf(id, sizeof(id), "e%u", i);
        (void)site_append(ledger, id, i);
    }
    tally_close(ledger);
    check_path(backup_dir, sizeof(backup_dir), *state, "backup");
    check_path(target, sizeof(target), *state, "target");
    return 0;
}

static tally_status backup_once(void)
{
    struct tally_ledger *ledger = NULL;
    struct tally_backup_result result;
    TL_TRY(site_try_open(&site, 1, &ledger, NULL));
    tally_status status = tally_append(ledger, "{\"action\":\"a\"}", 14, NULL, NULL);
    if (status == TALLY_OK) {
        status = tally_backup(ledger, backup_dir, &who, NULL, NULL, &result, NULL);
    }
    tally_close(ledger);
    return status;
}

static tally_status restore_once(void)
{
    struct tally_restore_options options = TALLY_RESTORE_OPTIONS_INIT;
    struct tally_restored restored;
    options.bundle_dir = bundle_dir[0] == '\0' ? NULL : bundle_dir;
    return tally_restore(backup_dir, target, &options, &who, &restored, NULL, NULL);
}

static void check_verified(const char *dir, const char *trust)
{
    struct tally_verify_options options = TALLY_VERIFY_OPTIONS_INIT;
    struct tally_report *report = NULL;
    options.trust_path = trust;
    check_ok(tally_verify_at(dir, &options, &report, NULL));
    if (report->verdict != TALLY_VERDICT_VERIFIED) {
        fail_msg("%s is %s: %s", dir, tally_verdict_name(report->verdict),
                 report->finding_count > 0 ? report->findings[0].code : "");
    }
    tally_report_free(report);
}

/* What a fault has left: whole, or known not to be; and the next attempt works. */
static void check_backup(bool had_one)
{
    char trust[SITE_PATH_SIZE];
    check_path(trust, sizeof(trust), backup_dir, "trust.txt");
    tl_io = &tl_io_posix;
    if (had_one) {
        check_verified(backup_dir, trust);
    } else if (restore_once() == TALLY_OK) { /* then it was whole */
        check_verified(target, NULL);
        tl_remove_tree(target);
    }
    check_ok(backup_once());
    check_verified(backup_dir, trust);
}

/* Nothing is there, and the next attempt works; or all of it is. */
static void check_restore(void)
{
    tl_io = &tl_io_posix;
    if (access(target, F_OK) != 0) {
        check_ok(restore_once());
    }
    check_verified(target, NULL);
    struct site made = { .accept_clock = 1 };
    memcpy(made.dir, target, sizeof(target));
    struct tally_ledger *ledger = site_open(&made);
    (void)site_append(ledger, "after", 1);
    assert_true(site_has(ledger, "e4"));
    assert_int_equal(site_has(ledger, "e3"), bundle_dir[0] == '\0');
    tally_close(ledger);
    check_verified(target, NULL);
    tl_remove_tree(target);
}

struct kind {
    enum fault_kind kind;
    int os_errno;
};

static const struct kind kinds[] = {
    { FAULT_ERROR, EIO },
    { FAULT_FOREVER, ENOSPC },
    { FAULT_LATE, EIO },
    { FAULT_SHORT, 0 },
};

static void check_told(const struct kind *kind, tally_status status, const atomic_bool *hit)
{
    if (!atomic_load(hit) || kind->kind == FAULT_SHORT) {
        check_ok(status);
    } else if (status != TALLY_OK) {
        check_status(status, TALLY_EIO);
    }
}

static void first_backup_with_fault(void *ctx, const atomic_bool *hit)
{
    tl_remove_tree(backup_dir); /* of the run before */
    tally_status status = backup_once();
    check_told(ctx, status, hit);
    check_backup(false);
}

static void next_backup_with_fault(void *ctx, const atomic_bool *hit)
{
    tally_status status = backup_once();
    check_told(ctx, status, hit);
    check_backup(true);
}

static void restore_with_fault(void *ctx, const atomic_bool *hit)
{
    tally_status status = restore_once();
    check_told(ctx, status, hit);
    check_restore();
}

static void each_failed_file_operation(void (*run)(void *ctx, const atomic_bool *hit))
{
    for (size_t i = 0; i < TL_ARRAY_LEN(kinds); i++) {
        struct kind kind = kinds[i];
        assert_true(fault_each_io_by(fault_step(APART), kind.kind, kind.os_errno, run, &kind) > 20);
    }
}

static void a_first_backup_with_a_failed_file_operation_is_made_again(void **state)
{
    (void)state;
    each_failed_file_operation(first_backup_with_fault);
}

static void a_later_backup_with_a_failed_file_operation_leaves_the_older_one(void **state)
{
    (void)state;
    check_ok(backup_once());
    each_failed_file_operation(next_backup_with_fault);
}

static void a_restore_with_a_failed_file_operation_leaves_all_or_nothing(void **state)
{
    (void)state;
    check_ok(backup_once());
    each_failed_file_operation(restore_with_fault);
}

/* Does the work in a child that dies at its nth file operation. Returns whether it did die. */
static bool dies(tally_status (*work)(void), size_t n)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        fault_die_at_io(n);
        _exit(work() == TALLY_OK ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (!WIFSIGNALED(status)) {
        assert_int_equal(status, 0);
        return false;
    }
    return true;
}

static void a_first_backup_killed_anywhere_is_made_again(void **state)
{
    (void)state;
    size_t n = 1;
    while (dies(backup_once, n)) {
        check_backup(false);
        tl_remove_tree(backup_dir);
        n += fault_step(APART);
    }
    assert_true(n > 20);
}

static void a_later_backup_killed_anywhere_leaves_the_older_one(void **state)
{
    (void)state;
    size_t n = 1;
    check_ok(backup_once());
    while (dies(backup_once, n)) {
        check_backup(true);
        n += fault_step(APART);
    }
    assert_true(n > 20);
}

static void a_restore_killed_anywhere_leaves_all_or_nothing(void **state)
{
    (void)state;
    size_t n = 1;
    check_ok(backup_once());
    while (dies(restore_once, n)) {
        check_restore();
        n += fault_step(APART);
    }
    check_restore();
    assert_true(n > 20);
}

static tally_status backup_without_memory(const void *ctx)
{
    (void)ctx;
    return backup_once();
}

static tally_status restore_without_memory(const void *ctx)
{
    (void)ctx;
    tl_remove_tree(target);
    return restore_once();
}

static int sync_nothing(int fd)
{
    (void)fd;
    return 0;
}

static void each_failed_allocation_is_told(void **state)
{
    (void)state;
    struct tl_io_ops quick = tl_io_posix;
    quick.fsync = sync_nothing; /* hundreds of runs */
    quick.fdatasync = sync_nothing;
    tl_io = &quick;
    assert_true(fault_each_alloc_or_ok(backup_without_memory, NULL) > 50);
    check_backup(true);
    tl_io = &quick;
    assert_true(fault_each_alloc_or_ok(restore_without_memory, NULL) > 50);
    check_restore();
}

/* Erases e3 after the backup, which a bundle then says. */
static void erase_and_tell(void)
{
    struct tally_erase_options options = TALLY_ERASE_OPTIONS_INIT;
    const struct tally_bundle_options all = TALLY_BUNDLE_OPTIONS_INIT;
    struct tally_erased erased;
    struct tally_bundle_result result;
    options.id = "e3";
    struct tally_ledger *ledger = site_open(&site);
    check_ok(tally_erase(ledger, &options, &who, &erased, NULL, NULL));
    check_path(bundle_dir, sizeof(bundle_dir), root_dir, "bundle");
    check_ok(tally_bundle_write(ledger, bundle_dir, &all, &result, NULL));
    tally_close(ledger);
}

static void what_was_erased_stays_so_whatever_fails(void **state)
{
    (void)state;
    size_t n = 1;
    check_ok(backup_once());
    erase_and_tell();
    each_failed_file_operation(restore_with_fault);
    while (dies(restore_once, n)) {
        check_restore();
        n += fault_step(APART);
    }
    struct tl_io_ops quick = tl_io_posix;
    quick.fsync = sync_nothing;
    quick.fdatasync = sync_nothing;
    tl_io = &quick;
    assert_true(fault_each_alloc_or_ok(restore_without_memory, NULL) > 50);
    check_restore();
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, check_rmdir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_first_backup_with_a_failed_file_operation_is_made_again),
        CASE(a_later_backup_with_a_failed_file_operation_leaves_the_older_one),
        CASE(a_restore_with_a_failed_file_operation_leaves_all_or_nothing),
        CASE(a_first_backup_killed_anywhere_is_made_again),
        CASE(a_later_backup_killed_anywhere_leaves_the_older_one),
        CASE(a_restore_killed_anywhere_leaves_all_or_nothing),
        CASE(each_failed_allocation_is_told),
        CASE(what_was_erased_stays_so_whatever_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
