/* What is taken of segments that are not as their writers meant them, and what counts as lost. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "fake_clock.h"
#include "fault.h"
#include "spooled.h"

static void counts_what_was_reserved_and_never_written(void **state)
{
    struct spooled image = spooled_begin(8192);
    spooled_add_hole(&image, 100);
    (void)spooled_add(&image, 10);
    spooled_add_hole(&image, 1000);
    spooled_add_hole(&image, 0);
    (void)spooled_add(&image, 20);
    spooled_add_hole(&image, 100); /* at the end nobody can know */
    drained_final(*state, &image, "a1 a4", (const uint64_t[]){ 3, 0, 0 }, false);
    spooled_end(&image);
}

static void counts_torn_records_and_keeps_nothing_of_them(void **state)
{
    struct spooled image = spooled_begin(16384);
    (void)spooled_add(&image, 10);
    size_t at = spooled_add(&image, 2000);
    memset(image.bytes + 1024, 0, at + 2032 - 1024); /* two sectors made it */
    (void)spooled_add(&image, 20);
    spooled_add_hole(&image, 100);
    at = spooled_add(&image, 3000);
    memset(image.bytes + 4096, 0, at + 3032 - 4096);
    drained_final(*state, &image, "a0 a2", (const uint64_t[]){ 1, 2, 0 }, false);
    spooled_end(&image);
}

/* Nothing but its first 8, 16 or 24 bytes fits into a sector. */
static void counts_records_whose_header_is_torn(void **state)
{
    for (uint32_t len = 8; len < TL_SPOOL_HEADER_LEN; len += 8) {
        struct spooled image = spooled_begin(4096);
        (void)spooled_add(&image, 512 - TL_SEGMENT_HEADER_LEN - TL_SPOOL_HEADER_LEN - len);
        size_t at = spooled_add(&image, 40);
        memset(image.bytes + at + len, 0, 72 - len);
        (void)spooled_add(&image, 20);
        drained_final(*state, &image, "a0 a2", (const uint64_t[]){ 0, 1, 0 }, false);
        spooled_end(&image);
    }
}

static void keeps_a_record_with_a_wrong_checksum(void **state)
{
    struct spooled image = spooled_begin(4096);
    (void)spooled_add(&image, 10);
    size_t at = spooled_add(&image, 200);
    image.bytes[at + 100] ^= 4;
    (void)spooled_add(&image, 20);
    drained_final(*state, &image, "a0 a2", (const uint64_t[]){ 0, 1, 0 }, true);
    spooled_end(&image);
}

static void keeps_what_is_no_record_and_finds_what_comes_after(void **state)
{
    struct spooled image = spooled_begin(UINT32_C(9) << 20);
    (void)spooled_add(&image, 10);
    size_t at = spooled_add(&image, 1 << 20);
    for (int i = 0; i < 5; i++) {
        (void)spooled_add(&image, 1 << 20);
    }
    memset(image.bytes + at, 'x', image.at - at);
    (void)spooled_add(&image, 20);
    spooled_add_hole(&image, 100);
    (void)spooled_add(&image, 30);
    drained_final(*state, &image, "a0 a7 a9", (const uint64_t[]){ 1, 0, 6 }, true);

    memset(image.bytes + image.at + 4096, 'x', 1);
    drained_final(*state, &image, "a0 a7 a9", (const uint64_t[]){ 1, 0, 7 }, true);
    spooled_end(&image);
}

/* Copies of a record, in places where others were. */
static void takes_all_records_where_some_stand_in_wrong_places(void **state)
{
    struct spooled image = spooled_begin(4096);
    size_t starts[5];
    for (size_t i = 0; i < TL_ARRAY_LEN(starts); i++) {
        starts[i] = spooled_add(&image, 20);
    }
    struct spooled copy = image;
    copy.bytes = tl_alloc_array(image.size, 1);
    assert_non_null(copy.bytes);
    memcpy(copy.bytes, image.bytes, image.size);
    memcpy(copy.bytes + starts[1], image.bytes + starts[3], tl_spool_span(20));
    drained_final(*state, &copy, "a0 a3 a2 a3 a4", (const uint64_t[]){ 0, 0, 2 }, true);
    memcpy(copy.bytes, image.bytes, image.size);
    memcpy(copy.bytes + starts[3], image.bytes + starts[1], tl_spool_span(20));
    drained_final(*state, &copy, "a0 a1 a2 a1 a4", (const uint64_t[]){ 0, 0, 1 }, true);
    spooled_end(&copy);
    spooled_end(&image);
}

static void removes_what_a_writer_never_began_and_keeps_what_has_no_header(void **state)
{
    const char *dir = *state;
    struct spooled image = spooled_begin(65536);
    (void)spooled_add(&image, 20);
    image.bytes[3] ^= 1;
    spooled_write(dir, "a.seg", &image);
    spooled_write_bytes(dir, "b.seg", "", 0);
    memset(image.bytes, 0, image.size);
    spooled_write(dir, "c.seg", &image);
    spooled_write_bytes(dir, "d.seg", "TALLY", 5);
    spooled_write_bytes(dir, "e.seg", "TALLYSPL", 8);
    int e = spooled_lock(dir, "e.seg");

    struct tl_drain *drain = drained_open(dir);
    drained_take_all(drain);
    drained_take_all(drain);
    assert_false(spooled_exists(dir, "b.seg") || spooled_exists(dir, "c.seg"));
    for (int name = 'a'; name <= 'd'; name += 3) {
        struct tl_drain_segment *segment = tl_drain_ended(drain);
        drained_check_lost(segment, 0, 0, 1);
        assert_int_equal(segment->name[0], name);
        tl_drain_finish(drain, segment);
    }
    assert_null(tl_drain_ended(drain));
    assert_true(spooled_take_kept(dir, "a.seg") && spooled_take_kept(dir, "d.seg"));
    (void)close(e);
    drained_take_all(drain);
    drained_check_lost(tl_drain_ended(drain), 0, 0, 1);
    tl_drain_close(drain);
    spooled_end(&image);
}

static void leaves_alone_what_it_cannot_understand_or_is_no_file(void **state)
{
    const char *dir = *state;
    static const uint8_t later[TL_SEGMENT_HEADER_LEN] = {
        'T', 'A', 'L', 'L', 'Y', 'S', 'P', 'L', 0, 0, 0, 2, 0, 0x10, [60] = 0xfa, 0xfe, 0xc9, 0xfd
    };
    spooled_write_bytes(dir, "a.seg", later, sizeof(later));
    char path[SPOOLED_PATH_LEN];
    check_path(path, sizeof(path), dir, "b.seg");
    assert_int_equal(mkdir(path, 0700), 0);
    check_path(path, sizeof(path), dir, "c.seg");
    assert_int_equal(symlink("a.seg", path), 0);
    check_path(path, sizeof(path), dir, "d.seg");
    assert_int_equal(mkfifo(path, 0700), 0);
    struct tl_drain *drain = drained_open(dir);
    drained_take_all(drain);
    drained_take_all(drain);
    assert_int_equal(drained.count, 0);
    assert_null(tl_drain_ended(drain));
    assert_true(spooled_exists(dir, "a.seg") && spooled_exists(dir, "b.seg") &&
                spooled_exists(dir, "d.seg"));
    tl_drain_close(drain);
}

/* Every record of `image` but those that `hit` says may be gone has to be found, and no other. */
static void check_found(const struct spooled *image, bool (*is_hit)(uint32_t index, size_t at),
                        size_t at)
{
    for (uint32_t index = 0; index < image->index; index++) {
        size_t count = 0;
        for (size_t i = 0; i < drained.count; i++) {
            count += drained.index[i] == index;
        }
        assert_true(count == 1 || (count == 0 && is_hit(index, at)));
    }
    for (size_t i = 0; i < drained.count; i++) {
        assert_true(drained.index[i] < image->index);
    }
}

static size_t starts[6];

static bool is_in_record(uint32_t index, size_t at)
{
    return at < TL_SEGMENT_HEADER_LEN || (at >= starts[index] && at < starts[index + 1]);
}

static bool is_cut_off(uint32_t index, size_t at)
{
    return at < starts[index + 1];
}

static struct spooled begin_small(void)
{
    struct spooled image = spooled_begin(512);
    for (uint32_t i = 0; i < 5; i++) {
        starts[i] = spooled_add(&image, 20 + 7 * i);
        starts[i + 1] = image.at;
    }
    return image;
}

static void finds_every_record_but_the_one_in_which_a_bit_is_flipped(void **state)
{
    struct spooled image = begin_small();
    for (size_t bit = 0; bit < 8 * (size_t)image.size; bit++) {
        image.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        spooled_write(*state, "a.seg", &image);
        struct tl_drain *drain = drained_open(*state);
        drained_take_all(drain);
        check_found(&image, is_in_record, bit / 8);
        tl_drain_commit(drain);
        const struct tl_drain_segment *segment = tl_drain_ended(drain);
        assert_true(segment->lost[TL_DRAIN_TORN].count + segment->lost[TL_DRAIN_DAMAGED].count > 0);
        tl_drain_finish(drain, tl_drain_ended(drain));
        assert_true(spooled_take_kept(*state, "a.seg"));
        tl_drain_close(drain);
        image.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    spooled_end(&image);
}

static void finds_every_record_before_the_end_of_a_file_cut_short(void **state)
{
    struct spooled image = begin_small();
    for (size_t len = 1; len < image.size; len++) {
        spooled_write_bytes(*state, "a.seg", image.bytes, len);
        struct tl_drain *drain = drained_open(*state);
        drained_take_all(drain);
        check_found(&image, is_cut_off, len);
        tl_drain_commit(drain);
        const struct tl_drain_segment *segment = tl_drain_ended(drain);
        assert_int_equal(segment->lost[TL_DRAIN_DAMAGED].count, 1);
        tl_drain_close(drain);
    }
    spooled_end(&image);
}

/* A dead and a living segment, and one without a header, from first to last. */
static tally_status drain_directory(const char *dir)
{
    struct tl_drain *drain = NULL;
    TL_TRY(tl_drain_open(&drain, dir, NULL));
    struct tl_drain_item items[2];
    size_t count = 1;
    tally_status status = TALLY_OK;
    while (count > 0 && status == TALLY_OK) {
        status = tl_drain_take(drain, items, TL_ARRAY_LEN(items), SIZE_MAX, &count, NULL);
        tl_drain_commit(drain);
    }
    tl_drain_close(drain);
    return status;
}

static tally_status drain_without_memory(const void *ctx)
{
    return drain_directory(ctx);
}

static void fails_without_memory_and_leaks_none(void **state)
{
    struct spooled image = begin_small();
    spooled_write(*state, "a.seg", &image);
    spooled_write(*state, "b.seg", &image);
    assert_true(fault_each_alloc(drain_without_memory, *state) >= 7);
    spooled_end(&image);
}

struct trouble {
    const char *dir;
    const struct spooled *image;
    bool is_for_ever;
};

/* Wants all records of both, once, as soon as files can be read again, and no losses. */
static void drain_in_trouble(void *ctx, const atomic_bool *hit)
{
    (void)hit;
    const struct trouble *trouble = ctx;
    const struct tl_io_ops *ops = tl_io;
    tl_io = &tl_io_posix;
    spooled_write(trouble->dir, "a.seg", trouble->image);
    spooled_write(trouble->dir, "b.seg", trouble->image);
    int b = spooled_lock(trouble->dir, "b.seg");
    tl_io = ops;

    struct tl_drain *drain = drained_open(trouble->dir);
    drained.count = 0;
    for (int i = 0; i < 14; i++) {
        struct tl_drain_item items[2];
        size_t count = 0;
        tally_status status =
            tl_drain_take(drain, items, TL_ARRAY_LEN(items), SIZE_MAX, &count, NULL);
        assert_true(status == TALLY_OK || status == TALLY_EIO);
        for (size_t k = 0; k < count; k++) {
            drained_check_text(&items[k]);
            drained.index[drained.count++] = items[k].record.index;
        }
        tl_drain_commit(drain);
        fake_clock_pass(2 * FAKE_SECOND);
        if (i == 6 && trouble->is_for_ever) {
            tl_io = &tl_io_posix; /* it is over */
        }
        if (i == 7) {
            (void)close(b);
        }
        while (tl_drain_ended(drain) != NULL) {
            drained_check_lost(tl_drain_ended(drain), 0, 0, 0);
            tl_drain_finish(drain, tl_drain_ended(drain));
        }
    }
    assert_int_equal(drained.count, 2 * trouble->image->index);
    assert_false(spooled_exists(trouble->dir, "a.seg") || spooled_exists(trouble->dir, "b.seg"));
    assert_false(spooled_exists(trouble->dir, "quarantine"));
    tl_drain_close(drain);
    tl_io = ops;
}

static void loses_nothing_when_a_file_operation_fails(void **state)
{
    static const struct {
        enum fault_kind kind;
        int os_errno;
    } table[] = {
        { FAULT_ERROR, EIO }, { FAULT_ERROR, EMFILE }, { FAULT_ERROR, EINTR },
        { FAULT_LATE, EIO },  { FAULT_SHORT, 0 },      { FAULT_FOREVER, EIO },
    };
    struct spooled image = begin_small();
    for (size_t i = 0; i < TL_ARRAY_LEN(table); i++) {
        struct trouble trouble = { *state, &image, table[i].kind == FAULT_FOREVER };
        assert_true(fault_each_io(table[i].kind, table[i].os_errno, drain_in_trouble, &trouble) >
                    10);
    }
    spooled_end(&image);
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
        CASE(counts_what_was_reserved_and_never_written),
        CASE(counts_torn_records_and_keeps_nothing_of_them),
        CASE(counts_records_whose_header_is_torn),
        CASE(keeps_a_record_with_a_wrong_checksum),
        CASE(keeps_what_is_no_record_and_finds_what_comes_after),
        CASE(takes_all_records_where_some_stand_in_wrong_places),
        CASE(removes_what_a_writer_never_began_and_keeps_what_has_no_header),
        CASE(leaves_alone_what_it_cannot_understand_or_is_no_file),
        CASE(finds_every_record_but_the_one_in_which_a_bit_is_flipped),
        CASE(finds_every_record_before_the_end_of_a_file_cut_short),
        CASE(fails_without_memory_and_leaks_none),
        CASE(loses_nothing_when_a_file_operation_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
