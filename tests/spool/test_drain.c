#include "spool/drain.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "fake_clock.h"
#include "fault.h"
#include "spooled.h"

static void takes_everything_of_final_segments_oldest_first(void **state)
{
    const char *dir = *state;
    struct spooled image = spooled_begin(4096);
    (void)spooled_add(&image, 30);
    (void)spooled_add_kind(&image, TL_SPOOL_VOID, 50);
    (void)spooled_add_kind(&image, TL_SPOOL_ROUTED, 0);
    spooled_write(dir, "b.seg", &image);
    (void)spooled_add_kind(&image, TL_SPOOL_GAP, 1);
    spooled_write(dir, "a.seg", &image);
    spooled_write(dir, "c.seg.new", &image);
    spooled_write(dir, "seg", &image);

    struct tl_drain *drain = drained_open(dir);
    drained_take_all(drain);
    drained_check("a0 a2 a3 b0 b2");
    assert_null(tl_drain_ended(drain));
    tl_drain_commit(drain);
    struct tl_drain_segment *segment = tl_drain_ended(drain);
    drained_check_lost(segment, 0, 0, 0);
    assert_string_equal(segment->name, "a.seg");
    assert_true(segment->inherited && segment->header.nonce == SPOOLED_NONCE);
    assert_true(segment->from_us == 1000 && segment->to_us == 1003);
    tl_drain_finish(drain, segment);
    segment = tl_drain_ended(drain);
    assert_string_equal(segment->name, "b.seg");
    assert_true(spooled_exists(dir, "b.seg"));
    tl_drain_finish(drain, segment);
    assert_null(tl_drain_ended(drain));
    assert_false(spooled_exists(dir, "a.seg") || spooled_exists(dir, "b.seg") ||
                 spooled_exists(dir, "c.seg.new"));
    assert_true(spooled_exists(dir, "seg"));
    assert_false(spooled_exists(dir, "quarantine"));
    tl_drain_close(drain);
    spooled_end(&image);
}

static void needs_no_directory(void **state)
{
    char path[SPOOLED_PATH_LEN];
    check_path(path, sizeof(path), *state, "later");
    struct tl_drain *drain = drained_open(path);
    drained_take_all(drain);
    assert_int_equal(drained.count, 0);
    assert_int_equal(mkdir(path, 0700), 0);
    struct spooled image = spooled_begin(1024);
    (void)spooled_add(&image, 30);
    spooled_write(path, "a.seg", &image);
    drained_take_all(drain);
    drained_check("a0");
    tl_drain_commit(drain);
    assert_false(tl_drain_ended(drain)->inherited);
    tl_drain_close(drain);
    tl_drain_close(NULL);
    spooled_end(&image);
}

static void waits_for_what_a_living_writer_has_not_written_and_goes_on_with_others(void **state)
{
    const char *dir = *state;
    struct spooled hole = spooled_begin(4096);
    (void)spooled_add(&hole, 10);
    spooled_add_hole(&hole, 20);
    (void)spooled_add(&hole, 30);
    struct spooled part = spooled_begin(4096);
    size_t at = spooled_add(&part, 300);
    (void)spooled_add(&part, 10);
    memset(part.bytes + at + 100, 0, 232);
    struct spooled sound = spooled_begin(4096);
    (void)spooled_add(&sound, 10);
    spooled_write(dir, "a.seg", &hole);
    spooled_write(dir, "b.seg", &part);
    spooled_write(dir, "c.seg", &sound);
    int a = spooled_lock(dir, "a.seg");
    int b = spooled_lock(dir, "b.seg");
    int c = spooled_lock(dir, "c.seg");

    struct tl_drain *drain = drained_open(dir);
    drained_take_all(drain);
    drained_check("a0 c0");
    tl_drain_commit(drain);
    assert_null(tl_drain_ended(drain));

    /* Now the writers get there. */
    hole.at = TL_SEGMENT_HEADER_LEN + tl_spool_span(10);
    hole.index = 1;
    (void)spooled_add(&hole, 20);
    assert_true(pwrite(a, hole.bytes, hole.size, 0) == hole.size);
    spooled_text((char *)part.bytes + at + TL_SPOOL_HEADER_LEN, 0, 300);
    assert_true(pwrite(b, part.bytes, part.size, 0) == part.size);
    drained.count = 0;
    (void)drained_take(drain, 256, SIZE_MAX); /* without looking at the directory again */
    drained_check("a1 a2 b0 b1");
    tl_drain_commit(drain);
    assert_null(tl_drain_ended(drain));
    assert_int_equal(close(a) | close(b) | close(c), 0);
    drained_take_all(drain);
    assert_int_equal(drained.count, 0);
    for (int name = 'a'; name <= 'c'; name++) {
        drained_check_lost(tl_drain_ended(drain), 0, 0, 0);
        assert_int_equal(tl_drain_ended(drain)->name[0], name);
        tl_drain_finish(drain, tl_drain_ended(drain));
    }
    tl_drain_close(drain);
    spooled_end(&hole);
    spooled_end(&part);
    spooled_end(&sound);
}

/* The last thing a writer does before it goes, after the reader has looked. */
static struct {
    int fd;
    const struct spooled *image;
} last_write;

static int write_and_go(int fd, int operation)
{
    if (last_write.fd >= 0) {
        assert_true(pwrite(last_write.fd, last_write.image->bytes, last_write.image->size, 0) ==
                    last_write.image->size);
        (void)close(last_write.fd);
        last_write.fd = -1;
    }
    return tl_io_posix.flock(fd, operation);
}

static void does_not_miss_what_a_writer_wrote_just_before_it_went(void **state)
{
    const char *dir = *state;
    struct spooled image = spooled_begin(4096);
    (void)spooled_add(&image, 10);
    spooled_write(dir, "a.seg", &image);
    (void)spooled_add(&image, 20);
    last_write.fd = spooled_lock(dir, "a.seg");
    last_write.image = &image;
    struct tl_io_ops ops = tl_io_posix;
    ops.flock = write_and_go;
    tl_io = &ops;
    struct tl_drain *drain = drained_open(dir);
    drained_take_all(drain);
    tl_io = &tl_io_posix;
    drained_check("a0 a1");
    tl_drain_commit(drain);
    drained_check_lost(tl_drain_ended(drain), 0, 0, 0);
    tl_drain_close(drain);
    spooled_end(&image);
}

static void takes_again_what_is_rolled_back_and_not_what_is_committed(void **state)
{
    const char *dir = *state;
    struct spooled image = spooled_begin(4096);
    (void)spooled_add(&image, 30);
    spooled_add_hole(&image, 30);
    (void)spooled_add(&image, 30);
    size_t at = spooled_add(&image, 30);
    image.bytes[at + 40] ^= 1;
    (void)spooled_add(&image, 30);
    spooled_write(dir, "a.seg", &image);
    struct tl_drain *drain = drained_open(dir);
    drained.count = 0;
    assert_int_equal(drained_take(drain, 2, SIZE_MAX), 2);
    tl_drain_rollback(drain);
    assert_int_equal(drained_take(drain, 1, SIZE_MAX), 1);
    tl_drain_commit(drain);
    tl_drain_rollback(drain);
    assert_int_equal(drained_take(drain, 256, SIZE_MAX), 2);
    tl_drain_rollback(drain);
    assert_null(tl_drain_ended(drain));
    assert_int_equal(drained_take(drain, 256, 1), 1);
    assert_int_equal(drained_take(drain, 256, 1), 1);
    assert_int_equal(drained_take(drain, 256, 1), 0);
    drained_check("a0 a2 a0 a2 a4 a2 a4");
    assert_null(tl_drain_ended(drain));
    tl_drain_commit(drain);
    drained_check_lost(tl_drain_ended(drain), 1, 1, 0);
    tl_drain_rollback(drain);
    drained_check_lost(tl_drain_ended(drain), 1, 1, 0);
    tl_drain_close(drain);
    spooled_end(&image);
}

/* More than the buffer holds, with records of all sizes, in takes of all sizes. */
static void takes_each_record_once_whatever_is_asked_for_at_once(void **state)
{
    const char *dir = *state;
    static const size_t maxima[] = { 1, 7, 256 };
    struct spooled image = spooled_begin(UINT32_C(12) << 20);
    for (uint32_t i = 0; image.at + (UINT32_C(2) << 20) < image.size; i++) {
        (void)spooled_add(&image, i % 500 == 0 ? TL_SPOOL_TEXT_MAX - i % 9 : i % 1500);
    }
    spooled_write(dir, "a.seg", &image);
    spooled_write(dir, "b.seg", &image);
    for (size_t i = 0; i < TL_ARRAY_LEN(maxima); i++) {
        struct tl_drain *drain = drained_open(dir);
        int a = i == 1 ? spooled_lock(dir, "a.seg") : -1;
        drained.count = 0;
        while (drained_take(drain, maxima[i], i == 2 ? 100000 : SIZE_MAX) > 0) {
            if (drained.count % 3 == 0) {
                tl_drain_commit(drain);
            }
            fake_clock_pass(1000);
        }
        assert_int_equal(drained.count, 2 * image.index);
        for (size_t k = 0; k < drained.count; k++) {
            assert_int_equal(drained.index[k], k % image.index);
        }
        tl_io_closep(&a);
        tl_drain_close(drain);
    }
    spooled_end(&image);
}

static void reads_more_segments_than_it_keeps_open(void **state)
{
    const char *dir = *state;
    int locks[40];
    struct spooled image = spooled_begin(4096);
    (void)spooled_add(&image, 10);
    for (size_t i = 0; i < TL_ARRAY_LEN(locks); i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "%02zu.seg", i);
        spooled_write(dir, name, &image);
        locks[i] = spooled_lock(dir, name);
    }
    struct tl_drain *drain = drained_open(dir);
    drained_take_all(drain);
    assert_int_equal(drained.count, 40);
    tl_drain_commit(drain);
    (void)spooled_add(&image, 20);
    for (size_t i = 0; i < TL_ARRAY_LEN(locks); i++) {
        assert_true(pwrite(locks[i], image.bytes, image.size, 0) == image.size);
    }
    drained.count = 0;
    (void)drained_take(drain, 256, SIZE_MAX);
    assert_int_equal(drained.count, 40);
    for (size_t i = 0; i < TL_ARRAY_LEN(locks); i++) {
        (void)close(locks[i]);
    }
    drained_take_all(drain);
    tl_drain_commit(drain);
    size_t count = 0;
    for (; tl_drain_ended(drain) != NULL; count++) {
        tl_drain_finish(drain, tl_drain_ended(drain));
    }
    assert_int_equal(count, 40);
    tl_drain_close(drain);
    spooled_end(&image);
}

static void does_not_mind_files_that_vanish(void **state)
{
    const char *dir = *state;
    struct spooled image = spooled_begin(4096);
    (void)spooled_add(&image, 10);
    char path[4][SPOOLED_PATH_LEN];
    for (size_t i = 0; i < TL_ARRAY_LEN(path); i++) {
        char name[] = "a.seg";
        name[0] = (char)('a' + i);
        spooled_write(dir, name, &image);
        check_path(path[i], sizeof(path[i]), dir, name);
    }
    int c = spooled_lock(dir, "c.seg");
    struct tl_drain *drain = drained_open(dir);
    drained.count = 0;
    (void)drained_take(drain, 1, SIZE_MAX);
    (void)unlink(path[1]); /* seen and not opened */
    (void)drained_take(drain, 256, SIZE_MAX);
    drained_check("a0 c0 d0");
    (void)unlink(path[0]);
    tl_drain_rollback(drain); /* nothing can be done for a */
    drained_take_all(drain);
    drained_check("c0 d0");
    (void)unlink(path[2]);
    (void)close(c);
    drained_take_all(drain);
    (void)unlink(path[3]);
    tl_drain_commit(drain);
    while (tl_drain_ended(drain) != NULL) {
        tl_drain_finish(drain, tl_drain_ended(drain));
    }
    drained_take_all(drain);
    assert_null(tl_drain_ended(drain));
    tl_drain_close(drain);
    spooled_end(&image);
}

static int unlinks_left;
static int fail_unlink(const char *path)
{
    if (unlinks_left > 0) {
        unlinks_left--;
        errno = EIO;
        return -1;
    }
    return tl_io_posix.unlink(path);
}

static void tries_again_to_remove_and_does_not_give_it_twice(void **state)
{
    const char *dir = *state;
    struct spooled image = spooled_begin(4096);
    (void)spooled_add(&image, 10);
    spooled_write(dir, "a.seg", &image);
    struct tl_drain *drain = drained_open(dir);
    drained_take_all(drain);
    tl_drain_commit(drain);
    struct tl_io_ops ops = tl_io_posix;
    ops.unlink = fail_unlink;
    unlinks_left = 2;
    tl_io = &ops;
    tl_drain_finish(drain, tl_drain_ended(drain));
    for (int i = 0; i < 2; i++) {
        assert_true(spooled_exists(dir, "a.seg"));
        assert_null(tl_drain_ended(drain));
        drained_take_all(drain);
        assert_int_equal(drained.count, 0);
    }
    tl_io = &tl_io_posix;
    assert_false(spooled_exists(dir, "a.seg"));
    tl_drain_close(drain);
    spooled_end(&image);
}

/* Writes what was shown as "a 3 live" lines. */
struct shown {
    char text[256];
    tally_status status; /* what to return */
};

static tally_status show(void *ctx, const struct tl_spool_segment_view *view)
{
    struct shown *shown = ctx;
    size_t at = strlen(shown->text);
    (void)snprintf(shown->text + at, sizeof(shown->text) - at, "%c%zu%s%s ", view->name[0],
                   view->record_count, view->is_live ? "L" : "", view->has_damage ? "D" : "");
    for (size_t i = 0; i < view->record_count; i++) {
        drained_check_text(&(struct tl_drain_item){ .record = view->records[i] });
    }
    return shown->status;
}

static void write_views(const char *dir)
{
    struct spooled image = spooled_begin(4096);
    (void)spooled_add(&image, 10);
    spooled_add_hole(&image, 10);
    (void)spooled_add_kind(&image, TL_SPOOL_VOID, 10);
    (void)spooled_add_kind(&image, TL_SPOOL_GAP, 10);
    spooled_write(dir, "a.seg", &image);
    spooled_write_bytes(dir, "c.seg", image.bytes, 4000);
    spooled_write_bytes(dir, "d.seg", "", 0);
    spooled_write_bytes(dir, "e.seg", image.bytes, 20);
    image.bytes[image.at + 100] = 1;
    spooled_write(dir, "b.seg", &image);
    spooled_write(dir, "f.seg", &image);
    char path[SPOOLED_PATH_LEN];
    check_path(path, sizeof(path), dir, "g.seg");
    assert_int_equal(mkdir(path, 0700), 0);
    spooled_end(&image);
}

static void shows_what_lies_in_a_directory(void **state)
{
    write_views(*state);
    struct shown shown = { .status = TALLY_OK };
    int b = spooled_lock(*state, "b.seg");
    check_ok(tl_spool_each_segment(*state, show, &shown, NULL));
    assert_string_equal(shown.text, "a2 b2L c2D e0D f2D ");
    (void)close(b);

    shown = (struct shown){ .status = TALLY_ECANCELED };
    check_status(tl_spool_each_segment(*state, show, &shown, NULL), TALLY_ECANCELED);
    assert_string_equal(shown.text, "a2 ");
    char path[SPOOLED_PATH_LEN];
    check_path(path, sizeof(path), *state, "nowhere");
    check_ok(tl_spool_each_segment(path, show, &shown, NULL));
}

static tally_status show_all(const void *ctx)
{
    struct shown shown = { .status = TALLY_OK };
    return tl_spool_each_segment(ctx, show, &shown, NULL);
}

static void show_in_trouble(void *ctx, const atomic_bool *hit)
{
    tally_status status = show_all(ctx);
    assert_true(status == TALLY_OK || (status == TALLY_EIO && atomic_load(hit)));
}

static void shows_nothing_wrong_without_memory_or_with_failing_files(void **state)
{
    write_views(*state);
    assert_true(fault_each_alloc(show_all, *state) > 5);
    assert_true(fault_each_io(FAULT_ERROR, EIO, show_in_trouble, *state) > 10);
    assert_true(fault_each_io(FAULT_SHORT, 0, show_in_trouble, *state) > 10);
    assert_true(fault_each_io(FAULT_FOREVER, EIO, show_in_trouble, *state) >= 1);
}

static int set_up(void **state)
{
    fake_clock_use();
    return check_mkdir(state);
}

static int tear_down(void **state)
{
    fake_clock_end();
    tl_io = &tl_io_posix;
    return check_rmdir(state);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(takes_everything_of_final_segments_oldest_first),
        CASE(needs_no_directory),
        CASE(waits_for_what_a_living_writer_has_not_written_and_goes_on_with_others),
        CASE(does_not_miss_what_a_writer_wrote_just_before_it_went),
        CASE(takes_again_what_is_rolled_back_and_not_what_is_committed),
        CASE(takes_each_record_once_whatever_is_asked_for_at_once),
        CASE(reads_more_segments_than_it_keeps_open),
        CASE(does_not_mind_files_that_vanish),
        CASE(tries_again_to_remove_and_does_not_give_it_twice),
        CASE(shows_what_lies_in_a_directory),
        CASE(shows_nothing_wrong_without_memory_or_with_failing_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
