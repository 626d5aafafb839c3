/* Answers beside segments: each is read whole, as it was written, or not at all. */
#include "spool/ack.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"
#include "check.h"
#include "fault.h"

#define SEGMENT "a.seg"
#define MANY    200u

/* Every member differs from index to index. */
static struct tl_ack ack_of(uint32_t index)
{
    struct tl_ack ack = { .index = index,
                          .status = index % 3 == 0 ? TALLY_ECONFLICT : TALLY_OK,
                          .flags = index % 5,
                          .seq = UINT64_C(1) << (index % 64),
                          .recorded_us = -(int64_t)index,
                          .checkpoint_size = UINT64_MAX - index };
    memset(ack.leaf_hash, (int)(index & 0xff), sizeof(ack.leaf_hash));
    return ack;
}

static void check_is(const struct tl_ack *ack, uint32_t index)
{
    const struct tl_ack want = ack_of(index);
    assert_int_equal(ack->index, want.index);
    assert_int_equal(ack->status, want.status);
    assert_int_equal(ack->flags, want.flags);
    assert_int_equal(ack->seq, want.seq);
    assert_int_equal(ack->recorded_us, want.recorded_us);
    assert_int_equal(ack->checkpoint_size, want.checkpoint_size);
    assert_memory_equal(ack->leaf_hash, want.leaf_hash, sizeof(want.leaf_hash));
}

static bool is_answered(const char *dir, uint32_t index)
{
    struct tl_ack ack;
    tally_status status = tl_ack_read(dir, SEGMENT, index, &ack);
    if (status == TALLY_OK) {
        check_is(&ack, index);
        return true;
    }
    assert_true(status == TALLY_ENOTFOUND || status == TALLY_EIO);
    return false;
}

static void is_read_as_it_was_written_and_nothing_between(void **state)
{
    const char *dir = *state;
    struct tl_ack acks[MANY];
    size_t count = 0;
    for (uint32_t index = 1; count < MANY; index += index % 70 == 0 ? 9 : 1) {
        acks[count++] = ack_of(index);
    }
    assert_false(is_answered(dir, 1));
    check_ok(tl_ack_write(dir, SEGMENT, acks, MANY, NULL));
    size_t at = 0;
    for (uint32_t index = 0; index <= acks[MANY - 1].index + 1; index++) {
        bool wanted = at < MANY && acks[at].index == index;
        assert_int_equal(is_answered(dir, index), wanted);
        at += wanted;
    }
    assert_false(is_answered(dir, UINT32_MAX));
}

static void later_answers_leave_earlier_ones(void **state)
{
    const struct tl_ack second = ack_of(7);
    const struct tl_ack first = ack_of(2);
    check_ok(tl_ack_write(*state, SEGMENT, &second, 1, NULL));
    check_ok(tl_ack_write(*state, SEGMENT, &first, 1, NULL));
    check_ok(tl_ack_write(*state, SEGMENT, &first, 1, NULL)); /* as after a crash */
    assert_true(is_answered(*state, 2) && is_answered(*state, 7));
    assert_false(is_answered(*state, 3));
    check_ok(tl_ack_write(*state, SEGMENT, NULL, 0, NULL));
}

static void a_slot_in_which_any_bit_differs_is_no_answer(void **state)
{
    char path[512];
    struct tl_ack out = { .index = 77 };
    const struct tl_ack ack = ack_of(1);
    check_path(path, sizeof(path), *state, SEGMENT ".ack");
    check_ok(tl_ack_write(*state, SEGMENT, &ack, 1, NULL));
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    for (off_t bit = 0; bit < 8 * (off_t)TL_ACK_LEN; bit++) {
        uint8_t byte = 0;
        off_t at = (off_t)TL_ACK_LEN + bit / 8;
        assert_int_equal(pread(fd, &byte, 1, at), 1);
        byte ^= (uint8_t)(1u << (bit % 8));
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
        assert_false(is_answered(*state, 1));
        byte ^= (uint8_t)(1u << (bit % 8));
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    }
    assert_true(is_answered(*state, 1));
    /* The slot of another index, whole, in this place. */
    uint8_t slot[TL_ACK_LEN];
    assert_int_equal(pread(fd, slot, sizeof(slot), TL_ACK_LEN), TL_ACK_LEN);
    assert_int_equal(pwrite(fd, slot, sizeof(slot), 4 * (off_t)TL_ACK_LEN), TL_ACK_LEN);
    check_status(tl_ack_read(*state, SEGMENT, 4, &out), TALLY_ENOTFOUND);
    assert_int_equal(ftruncate(fd, 2 * (off_t)TL_ACK_LEN - 1), 0);
    assert_false(is_answered(*state, 1));
    assert_int_equal(close(fd), 0);
}

static void says_what_is_in_the_way(void **state)
{
    char path[512];
    char name[5000];
    struct tl_ack out;
    const struct tl_ack ack = ack_of(0);
    memset(name, 'x', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    check_status(tl_ack_write(*state, name, &ack, 1, NULL), TALLY_EINVAL);
    check_status(tl_ack_read(*state, name, 0, &out), TALLY_EINVAL);
    check_path(path, sizeof(path), *state, "missing");
    check_status(tl_ack_write(path, SEGMENT, &ack, 1, NULL), TALLY_EIO);
    check_status(tl_ack_read(path, SEGMENT, 0, &out), TALLY_ENOTFOUND);
    /* What lies behind a link is not ours. */
    check_path(path, sizeof(path), *state, SEGMENT ".ack");
    assert_int_equal(symlink("elsewhere", path), 0);
    check_status(tl_ack_write(*state, SEGMENT, &ack, 1, NULL), TALLY_EIO);
    check_status(tl_ack_read(*state, SEGMENT, 0, &out), TALLY_EIO);
}

static void write_with_fault(void *ctx, const atomic_bool *hit)
{
    const char *dir = ctx;
    struct tl_ack acks[MANY];
    for (uint32_t i = 0; i < MANY; i++) {
        acks[i] = ack_of(2 * i);
    }
    struct tally_error err = TALLY_ERROR_INIT;
    tally_status status = tl_ack_write(dir, SEGMENT, acks, MANY, &err);
    assert_true(status == TALLY_OK || (atomic_load(hit) && err.message[0] != '\0'));
    uint32_t answered = 0;
    for (uint32_t i = 0; i < MANY; i++) {
        answered += is_answered(dir, 2 * i);
        assert_false(is_answered(dir, 2 * i + 1));
    }
    assert_true(answered == MANY || status != TALLY_OK || atomic_load(hit));
}

static void a_failure_leaves_whole_answers_or_none(void **state)
{
    char path[512];
    check_path(path, sizeof(path), *state, SEGMENT ".ack");
    assert_true(fault_each_io(FAULT_ERROR, EIO, write_with_fault, *state) > MANY);
    assert_int_equal(unlink(path), 0);
    assert_true(fault_each_io(FAULT_SHORT, 0, write_with_fault, *state) > MANY);
    assert_int_equal(unlink(path), 0);
    assert_true(fault_each_io(FAULT_ERROR, EINTR, write_with_fault, *state) > MANY);
}

struct race {
    const char *dir;
    atomic_bool stop;
};

/* What may be seen of a slot that is being written again and again is the same answer. */
static void *write_again(void *ctx)
{
    struct race *race = ctx;
    const struct tl_ack ack = ack_of(3);
    while (!atomic_load(&race->stop)) {
        check_ok(tl_ack_write(race->dir, SEGMENT, &ack, 1, NULL));
    }
    return NULL;
}

static void an_answer_that_is_there_stays_there(void **state)
{
    struct race race = { .dir = *state };
    pthread_t writer;
    assert_int_equal(pthread_create(&writer, NULL, write_again, &race), 0);
    for (unsigned i = 0; i < 10000 && !is_answered(*state, 3); i++) {
    }
    for (unsigned i = 0; i < 2000; i++) {
        assert_true(is_answered(*state, 3));
    }
    atomic_store(&race.stop, true);
    assert_int_equal(pthread_join(writer, NULL), 0);
}

/* A file in the directory that was last changed `age_s` seconds ago. */
static void make_file(const char *dir, const char *name, time_t age_s)
{
    char path[512];
    check_path(path, sizeof(path), dir, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    time_t then = (time_t)(tl_clock->wall_us() / 1000000) - age_s;
    const struct timespec times[] = { { .tv_sec = then }, { .tv_sec = then } };
    assert_int_equal(futimens(fd, times), 0);
    assert_int_equal(close(fd), 0);
}

static bool is_there(const char *dir, const char *name)
{
    char path[512];
    check_path(path, sizeof(path), dir, name);
    return access(path, F_OK) == 0;
}

static void sweeps_old_answers_whose_segment_is_gone(void **state)
{
    make_file(*state, "gone.seg.ack", 60);
    make_file(*state, "fresh.seg.ack", 2); /* somebody may still look for it */
    make_file(*state, "live.seg.ack", 60);
    make_file(*state, "live.seg", 60);
    make_file(*state, "note.txt", 60);
    make_file(*state, ".ack", 60);
    tl_ack_sweep(*state);
    assert_false(is_there(*state, "gone.seg.ack"));
    assert_true(is_there(*state, "fresh.seg.ack"));
    assert_true(is_there(*state, "live.seg.ack"));
    assert_true(is_there(*state, "live.seg"));
    assert_true(is_there(*state, "note.txt"));
    assert_true(is_there(*state, ".ack"));
    tl_ack_sweep("/nonexistent");
}

static void sweep_with_fault(void *ctx, const atomic_bool *hit)
{
    (void)hit;
    make_file(ctx, "gone.seg.ack", 60);
    make_file(ctx, "live.seg.ack", 60);
    make_file(ctx, "live.seg", 60);
    tl_ack_sweep(ctx);
}

static void sweeping_survives_failures(void **state)
{
    assert_true(fault_each_io(FAULT_ERROR, EIO, sweep_with_fault, *state) > 5);
    tl_ack_sweep(*state);
    assert_false(is_there(*state, "gone.seg.ack"));
    assert_true(is_there(*state, "live.seg"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(is_read_as_it_was_written_and_nothing_between, check_mkdir,
                                        check_rmdir),
        cmocka_unit_test_setup_teardown(later_answers_leave_earlier_ones, check_mkdir, check_rmdir),
        cmocka_unit_test_setup_teardown(a_slot_in_which_any_bit_differs_is_no_answer, check_mkdir,
                                        check_rmdir),
        cmocka_unit_test_setup_teardown(says_what_is_in_the_way, check_mkdir, check_rmdir),
        cmocka_unit_test_setup_teardown(a_failure_leaves_whole_answers_or_none, check_mkdir,
                                        check_rmdir),
        cmocka_unit_test_setup_teardown(an_answer_that_is_there_stays_there, check_mkdir,
                                        check_rmdir),
        cmocka_unit_test_setup_teardown(sweeps_old_answers_whose_segment_is_gone, check_mkdir,
                                        check_rmdir),
        cmocka_unit_test_setup_teardown(sweeping_survives_failures, check_mkdir, check_rmdir),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
