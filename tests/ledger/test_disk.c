/* The ladder down to a full disk, and up again. */
#include "ledger/disk.h"

#include <tally/tally.h>

#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/io.h"
#include "check.h"
#include "support/logs.h"
#include "support/site.h"

#define MIB       (UINT64_C(1) << 20)
#define TOTAL     (UINT64_C(100000) * MIB)
#define WAIT_US   10000
#define WAITS_MAX 500

static struct site site;
static atomic_ullong free_bytes;

static int disk_statvfs(const char *path, struct statvfs *fs)
{
    int rc = tl_io_posix.statvfs(path, fs);
    fs->f_frsize = 1;
    fs->f_blocks = TOTAL;
    fs->f_bavail = atomic_load(&free_bytes);
    return rc;
}

static int set_up(void **state)
{
    static struct tl_io_ops ops;
    if (check_mkdir(state) != 0) {
        return -1;
    }
    ops = tl_io_posix;
    ops.statvfs = disk_statvfs;
    tl_io = &ops;
    atomic_store(&free_bytes, TOTAL / 2);
    site_init(&site, *state, NULL, 0);
    return 0;
}

static int tear_down(void **state)
{
    tl_io = &tl_io_posix;
    return check_rmdir(state);
}

static void goes_down_at_each_bound_and_up_with_room_to_spare(void **state)
{
    (void)state;
    static const struct tl_config config = { .disk_soft_bytes = 1024 * MIB,
                                             .disk_hard_bytes = 256 * MIB,
                                             .disk_reserve_bytes = 64 * MIB };
    static const struct {
        uint64_t free_mib;
        enum tl_disk_level now, want;
    } table[] = {
        { 2000, TL_DISK_ROOM, TL_DISK_ROOM },     { 1024, TL_DISK_ROOM, TL_DISK_ROOM },
        { 1023, TL_DISK_ROOM, TL_DISK_SOFT },     { 256, TL_DISK_ROOM, TL_DISK_SOFT },
        { 255, TL_DISK_SOFT, TL_DISK_HARD },      { 64, TL_DISK_HARD, TL_DISK_HARD },
        { 63, TL_DISK_HARD, TL_DISK_RESERVE },    { 0, TL_DISK_ROOM, TL_DISK_RESERVE },
        { 71, TL_DISK_RESERVE, TL_DISK_RESERVE }, { 72, TL_DISK_RESERVE, TL_DISK_HARD },
        { 287, TL_DISK_HARD, TL_DISK_HARD },      { 288, TL_DISK_HARD, TL_DISK_SOFT },
        { 1151, TL_DISK_SOFT, TL_DISK_SOFT },     { 1152, TL_DISK_RESERVE, TL_DISK_ROOM },
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(table); i++) {
        assert_int_equal(tl_disk_level_of(&config, table[i].free_mib * MIB, TOTAL, table[i].now),
                         table[i].want);
    }
}

static void keeps_a_small_part_of_a_small_disk(void **state)
{
    (void)state;
    static const struct tl_config config = { .disk_soft_bytes = 1024 * MIB,
                                             .disk_hard_bytes = 256 * MIB,
                                             .disk_reserve_bytes = 64 * MIB };
    assert_int_equal(tl_disk_level_of(&config, 11 * MIB, 100 * MIB, TL_DISK_ROOM), TL_DISK_ROOM);
    assert_int_equal(tl_disk_level_of(&config, 9 * MIB, 100 * MIB, TL_DISK_ROOM), TL_DISK_SOFT);
    assert_int_equal(tl_disk_level_of(&config, 4 * MIB, 100 * MIB, TL_DISK_ROOM), TL_DISK_HARD);
    assert_int_equal(tl_disk_level_of(&config, 1 * MIB, 100 * MIB, TL_DISK_ROOM), TL_DISK_RESERVE);
    static const struct tl_config off = { 0 };
    assert_int_equal(tl_disk_level_of(&off, 0, TOTAL, TL_DISK_RESERVE), TL_DISK_ROOM);
}

static tally_status put(struct tally_logger *logger, enum tally_delivery delivery)
{
    struct tally_log_options options = TALLY_LOG_OPTIONS_INIT;
    static const char text[] = "{\"action\":\"test.disk\"}";
    options.delivery = delivery;
    return tally_log_text(logger, text, sizeof(text) - 1, &options, NULL, NULL);
}

/* Waits until a call of a class ends with `want`. */
static void await(struct tally_logger *logger, enum tally_delivery delivery, tally_status want)
{
    for (unsigned i = 0; put(logger, delivery) != want; i++) {
        assert_true(i < WAITS_MAX);
        (void)usleep(WAIT_US);
    }
}

static void drops_by_class_declares_it_and_resumes(void **state)
{
    (void)state;
    struct tally_ledger *ledger = site_open(&site);
    struct tally_logger *logger = NULL;
    check_ok(tally_logger_open(&logger, ledger, NULL, NULL));
    check_ok(put(logger, TALLY_DELIVERY_BEST_EFFORT));
    atomic_store(&free_bytes, 100 * MIB);
    await(logger, TALLY_DELIVERY_BEST_EFFORT, TALLY_EIO);
    check_ok(put(logger, TALLY_DELIVERY_DURABLE));
    atomic_store(&free_bytes, 10 * MIB);
    await(logger, TALLY_DELIVERY_DURABLE, TALLY_EIO);
    check_ok(put(logger, TALLY_DELIVERY_STRICT));
    atomic_store(&free_bytes, TOTAL / 2);
    await(logger, TALLY_DELIVERY_BEST_EFFORT, TALLY_OK);
    check_ok(put(logger, TALLY_DELIVERY_DURABLE));
    struct tally_left left = { .struct_size = sizeof(left) };
    tally_logger_close(logger, 10000, &left);
    tally_close(ledger);
    assert_int_equal(left.lost, 0); /* what was lost is declared by now */
    ledger = site_open_read(&site);
    assert_true(site_count_kind(ledger, "gap", NULL, 0) > 0);
    const struct tally_condition condition = { "action", "tally.disk" };
    struct tally_query query = TALLY_QUERY_INIT;
    query.conditions = &condition;
    query.condition_count = 1;
    uint64_t count = 0;
    int exact = 0;
    check_ok(tally_count(ledger, &query, &count, &exact, NULL));
    assert_in_range(count, 2, 4); /* down in one step or two, and up again */
    tally_close(ledger);
    (void)site_verify(&site);
}

/* Nobody looks at the disk in the child: it finds out by writing. */
static void a_forked_child_does_not_keep_the_level_of_its_parent(void **state)
{
    (void)state;
    struct tally_ledger *ledger = site_open(&site);
    struct tally_logger *logger = NULL;
    check_ok(tally_logger_open(&logger, ledger, NULL, NULL));
    atomic_store(&free_bytes, 10 * MIB);
    await(logger, TALLY_DELIVERY_DURABLE, TALLY_EIO);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        _exit(put(logger, TALLY_DELIVERY_DURABLE) == TALLY_OK ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    tally_logger_close(logger, 10000, NULL);
    tally_close(ledger);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(goes_down_at_each_bound_and_up_with_room_to_spare),
        cmocka_unit_test(keeps_a_small_part_of_a_small_disk),
        cmocka_unit_test_setup_teardown(drops_by_class_declares_it_and_resumes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_forked_child_does_not_keep_the_level_of_its_parent,
                                        set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
