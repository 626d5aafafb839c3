/* The writing side of the spool on disks that fail, hang, or are full. */
#include "spool/spool.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "check.h"
#include "support/fault.h"
#include "support/spool.h"

/* A disk whose calls can be made to fail or to hang, and that remembers its syncs. */
static struct {
    atomic_int write_errno, sync_errno, allocate_errno;
    atomic_int syncs_to_fail; /* the next so many */
    atomic_bool hangs;
    atomic_bool failed[1024]; /* by descriptor: an fdatasync on it failed */
    atomic_uint syncs, repeated;
} disk;

static ssize_t disk_pwrite(int fd, const void *buf, size_t len, off_t offset)
{
    errno = atomic_load(&disk.write_errno);
    return errno != 0 ? -1 : tl_io_posix.pwrite(fd, buf, len, offset);
}

static int disk_fallocate(int fd, int mode, off_t offset, off_t len)
{
    errno = atomic_load(&disk.allocate_errno);
    return errno != 0 ? -1 : tl_io_posix.fallocate(fd, mode, offset, len);
}

static int disk_fdatasync(int fd)
{
    (void)atomic_fetch_add(&disk.syncs, 1);
    while (atomic_load(&disk.hangs)) {
        (void)usleep(1000);
    }
    if (atomic_load(&disk.failed[fd])) {
        (void)atomic_fetch_add(&disk.repeated, 1);
    }
    errno = atomic_load(&disk.sync_errno);
    if (errno == 0 && atomic_load(&disk.syncs_to_fail) > 0) {
        (void)atomic_fetch_sub(&disk.syncs_to_fail, 1);
        errno = EIO;
    }
    if (errno != 0) {
        atomic_store(&disk.failed[fd], true);
        return -1;
    }
    return tl_io_posix.fdatasync(fd);
}

static int disk_close(int fd)
{
    atomic_store(&disk.failed[fd], false);
    return tl_io_posix.close(fd);
}

static void use_disk(void)
{
    static struct tl_io_ops ops;
    memset(&disk, 0, sizeof(disk));
    ops = tl_io_posix;
    ops.pwrite = disk_pwrite;
    ops.fdatasync = disk_fdatasync;
    ops.fallocate = disk_fallocate;
    ops.close = disk_close;
    tl_io = &ops;
}

static void never_repeats_an_fdatasync_that_failed(void **state)
{
    const struct tl_spool_options options = spool_options_in(state);
    use_disk();
    struct tl_spool *spool = spool_open_ok(&options);
    uint8_t *room = spool_room();
    struct tl_spool_place place;
    for (unsigned i = 0; i < 200; i++) {
        spool_put_ok(spool, room, 0, i, spool_length_of(i));
    }
    atomic_store(&disk.syncs_to_fail, 1);
    check_ok(spool_put(spool, room, 0, 200, TEXT_MAX_LEN, TL_SPOOL_SYNCED, FAR, &place, NULL));
    assert_int_equal(place.level, TL_SPOOL_SYNCED);
    assert_int_equal(spool_counts_of(spool).failed_syncs, 1);
    assert_int_equal(spool_counts_of(spool).records, 201);

    /* The segment and its copy both fail: written, but not synced; later all is well again. */
    atomic_store(&disk.sync_errno, EIO);
    struct tally_error err = TALLY_ERROR_INIT;
    check_status(spool_put(spool, room, 0, 201, 50, TL_SPOOL_SYNCED, FAR, &place, &err), TALLY_EIO);
    assert_int_equal(err.os_errno, EIO);
    assert_int_equal(place.level, TL_SPOOL_QUEUED);
    check_status(tl_spool_sync(spool, FAR, NULL), TALLY_EIO);
    (void)usleep(300000);
    atomic_store(&disk.sync_errno, 0);
    int64_t end = MILLIS(10000);
    while (tl_spool_sync(spool, FAR, NULL) != TALLY_OK) {
        assert_true(tl_clock->steady_us() < end);
        (void)usleep(1000);
    }
    check_ok(spool_put(spool, room, 0, 202, 50, TL_SPOOL_SYNCED, FAR, &place, NULL));
    tl_spool_close(spool);
    tl_io = &tl_io_posix;
    assert_int_equal(atomic_load(&disk.repeated), 0);
    check_left_in_order(*state);
    check_all_seen(0, 203, true);
    tl_free(room);
}

static void gives_a_disk_up_that_never_syncs(void **state)
{
    struct tl_spool_options options = spool_options_in(state);
    options.bytes_max = UINT64_C(4) * SEGMENT_MIN;
    use_disk();
    struct tl_spool *spool = spool_open_ok(&options);
    uint8_t *room = spool_room();
    struct tl_spool_place place;
    atomic_store(&disk.sync_errno, EIO);
    unsigned count = 0;
    /* What cannot be synced is closed in the end, so that the reader can take it and make room. */
    for (int64_t end = MILLIS(20000); seen.segments < 2;) {
        if (spool_put(spool, room, 0, count, 1000, TL_SPOOL_QUEUED, NO_WAIT, &place, NULL) ==
            TALLY_OK) {
            count++;
        }
        assert_true(tl_clock->steady_us() < end && count < RECORDS_MAX);
        (void)seen_directory(*state, true, false);
        (void)usleep(5000);
    }
    atomic_store(&disk.sync_errno, 0);
    int64_t end = MILLIS(10000);
    unsigned failures = 0;
    for (; tl_spool_sync(spool, FAR, NULL) != TALLY_OK; failures++) {
        assert_true(tl_clock->steady_us() < end);
        (void)usleep(1000);
    }
    assert_true(failures > 0); /* that something was given up is told */
    tl_spool_close(spool);
    tl_io = &tl_io_posix;
    assert_int_equal(atomic_load(&disk.repeated), 0);
    check_left_in_order(*state);
    check_all_seen(0, count, true);
    tl_free(room);
}

static void waits_no_longer_than_the_caller_says_for_a_disk_that_hangs(void **state)
{
    const struct tl_spool_options options = spool_options_in(state);
    use_disk();
    struct tl_spool *spool = spool_open_ok(&options);
    uint8_t *room = spool_room();
    struct tl_spool_place place;
    spool_put_ok(spool, room, 0, 0, 100);
    atomic_store(&disk.hangs, true);
    int64_t began = tl_clock->steady_us();
    check_status(spool_put(spool, room, 0, 1, 100, TL_SPOOL_SYNCED, MILLIS(50), &place, NULL),
                 TALLY_EBUSY);
    assert_int_equal(place.level, TL_SPOOL_QUEUED);
    check_status(tl_spool_sync(spool, MILLIS(50), NULL), TALLY_EBUSY);
    check_status(tl_spool_sync(spool, NO_WAIT, NULL), TALLY_EBUSY);
    for (unsigned i = 2; i < 2000; i++) { /* some segments full */
        spool_put_ok(spool, room, 0, i, 4000);
    }
    assert_true(tl_clock->steady_us() - began < 5000000);
    atomic_store(&disk.hangs, false);
    check_ok(spool_put(spool, room, 0, 2000, 100, TL_SPOOL_SYNCED, FAR, &place, NULL));
    check_ok(tl_spool_sync(spool, FAR, NULL));
    tl_spool_close(spool);
    tl_io = &tl_io_posix;
    check_left_in_order(*state);
    check_all_seen(0, 2001, false);
    tl_free(room);
}

static void writes_again_when_the_disk_has_room_again(void **state)
{
    const struct tl_spool_options options = spool_options_in(state);
    use_disk();
    struct tl_spool *spool = spool_open_ok(&options);
    uint8_t *room = spool_room();
    struct tl_spool_place place;
    spool_put_ok(spool, room, 0, 0, 100);
    atomic_store(&disk.allocate_errno, ENOSPC);
    atomic_store(&disk.write_errno, EIO);
    for (unsigned i = 0; i < 100; i++) {
        struct tally_error err = TALLY_ERROR_INIT;
        int64_t until_us = i % 10 == 0 ? MILLIS(50) : NO_WAIT;
        check_status(spool_put(spool, room, 1, i, 100, TL_SPOOL_QUEUED, until_us, &place, &err),
                     TALLY_EIO);
        assert_int_equal(err.os_errno, ENOSPC);
        assert_int_equal(place.level, TL_SPOOL_NONE);
        assert_string_equal(place.segment, "");
    }
    atomic_store(&disk.allocate_errno, 0);
    atomic_store(&disk.write_errno, 0);
    int64_t end = MILLIS(5000);
    struct tally_error err = TALLY_ERROR_INIT;
    while (spool_put(spool, room, 0, 1, 100, TL_SPOOL_SYNCED, FAR, &place, &err) != TALLY_OK) {
        assert_true(tl_clock->steady_us() < end);
        err = (struct tally_error)TALLY_ERROR_INIT;
        (void)usleep(1000);
    }
    assert_int_equal(err.status, TALLY_OK);
    tl_spool_close(spool);
    tl_io = &tl_io_posix;
    assert_int_equal(seen_directory(*state, true, false), 0);
    check_all_seen(0, 2, false);
    check_all_seen(1, 0, false);
    tl_free(room);
}

static void works_without_a_place_to_allocate(void **state)
{
    const struct tl_spool_options options = spool_options_in(state);
    use_disk();
    atomic_store(&disk.allocate_errno, EOPNOTSUPP);
    struct tl_spool *spool = spool_open_ok(&options);
    uint8_t *room = spool_room();
    spool_put_ok(spool, room, 0, 0, 100);
    tl_spool_close(spool);
    tl_io = &tl_io_posix;
    check_left_in_order(*state);
    check_all_seen(0, 1, false);
    tl_free(room);
}

/* Uses everything a little; what it was told has to be true in the end, whatever failed. */
static void use_with_faults(void *ctx, const atomic_bool *hit)
{
    (void)hit;
    const struct tl_spool_options *options = ctx;
    memset(&seen, 0, sizeof(seen));
    struct tl_spool *spool = NULL;
    enum tl_spool_level levels[24] = { 0 };
    if (tl_spool_open(&spool, options, NULL) == TALLY_OK) {
        uint8_t *room = spool_room();
        for (unsigned i = 0; i < TL_ARRAY_LEN(levels); i++) {
            struct tl_spool_place place;
            enum tl_spool_level level = i % 8 == 7 ? TL_SPOOL_SYNCED : TL_SPOOL_QUEUED;
            struct tally_error err = TALLY_ERROR_INIT;
            tally_status status = spool_put(spool, room, 0, i, i % 3 == 2 ? TEXT_MAX_LEN : 300,
                                            level, MILLIS(5), &place, &err);
            assert_int_equal(status, err.status);
            assert_true(status == TALLY_OK ? place.level == level : place.level < level);
            levels[i] = place.level;
        }
        (void)tl_spool_sync(spool, MILLIS(5), NULL); /* may fail */
        tl_spool_rotate(spool);
        (void)tl_spool_is_drained(spool);
        tl_spool_close(spool);
        tl_free(room);
    }
    (void)seen_directory(options->dir, true, false);
    assert_int_equal(seen.damaged, 0); /* what was written in part is void */
    for (unsigned i = 0; i < TL_ARRAY_LEN(levels); i++) {
        unsigned times = seen.times[0][i];
        if (levels[i] == TL_SPOOL_NONE ? times != 0 : times == 0) {
            fail_msg("record %u, of level %d, was seen %u times", i, (int)levels[i], times);
        }
    }
}

static void tells_the_truth_whatever_fails(void **state)
{
    static const struct {
        enum fault_kind kind;
        int os_errno;
    } cases[] = {
        { FAULT_ERROR, EIO }, { FAULT_ERROR, ENOSPC },   { FAULT_ERROR, EINTR },
        { FAULT_LATE, EIO },  { FAULT_FOREVER, ENOSPC }, { FAULT_FOREVER, EIO },
        { FAULT_SHORT, 0 },
    };
    struct tl_spool_options options = spool_options_in(state);
    for (size_t i = 0; i < TL_ARRAY_LEN(cases); i++) {
        assert_true(fault_each_io(cases[i].kind, cases[i].os_errno, use_with_faults, &options) >
                    20);
    }
}

static void syncs_and_closes_in_time_without_being_asked(void **state)
{
    struct tl_spool_options options = spool_options_in(state);
    options.segment_age_ms = 300;
    use_disk();
    struct tl_spool *spool = spool_open_ok(&options);
    uint8_t *room = spool_room();
    for (unsigned i = 0; i < 3; i++) {
        unsigned syncs = atomic_load(&disk.syncs);
        spool_put_ok(spool, room, 0, i, 100);
        int64_t end = MILLIS(2000);
        while (atomic_load(&disk.syncs) == syncs) {
            assert_true(tl_clock->steady_us() < end);
            (void)usleep(1000);
        }
        (void)usleep(50000); /* the thread sleeps again */
        assert_int_equal(atomic_load(&disk.syncs), syncs + 1);
    }
    for (int64_t end = MILLIS(5000); seen_directory(*state, true, false) != 0;) {
        assert_true(tl_clock->steady_us() < end);
        (void)usleep(10000);
    }
    assert_true(tl_spool_is_drained(spool));
    tl_spool_close(spool);
    tl_io = &tl_io_posix;
    check_all_seen(0, 3, false);
    tl_free(room);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, seen_set_up, check_rmdir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(syncs_and_closes_in_time_without_being_asked),
        CASE(never_repeats_an_fdatasync_that_failed),
        CASE(gives_a_disk_up_that_never_syncs),
        CASE(waits_no_longer_than_the_caller_says_for_a_disk_that_hangs),
        CASE(writes_again_when_the_disk_has_room_again),
        CASE(works_without_a_place_to_allocate),
        CASE(tells_the_truth_whatever_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
