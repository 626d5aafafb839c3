/* The writing side of the spool: many threads, failing disks, forks, cancelled threads. */
#include "spool/spool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"
#include "check.h"
#include "support/fault.h"

#define SEGMENT_MIN   (((uint32_t)1 << 20) + 8192u) /* what 64 KiB are raised to */
#define TEXT_MAX_LEN  ((size_t)1 << 18)
#define WRITERS       4u
#define RECORDS_MAX   8192u
#define FAR           (tl_clock->steady_us() + 20000000)
#define MILLIS(ms)    (tl_clock->steady_us() + (int64_t)(ms)*1000)
#define NO_WAIT       0
#define PREFIX_FORMAT "t%02u.%06u.%06zu." /* writer, number, length */
#define PREFIX_LEN    18u

/* Forked children of programs with threads may start some: they do in what we test. */
const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
    return "die_after_fork=0";
}

/* What a reader found. */
struct seen {
    uint8_t times[WRITERS + 4][RECORDS_MAX];
    uint32_t records, voids, segments, holes;
};
static struct seen seen;

static struct tl_spool_options options_in(void **state)
{
    return (struct tl_spool_options){ .dir = *state,
                                      .segment_bytes = 65536,
                                      .bytes_max = UINT64_C(1) << 30,
                                      .sync_interval_ms = 20 };
}

static struct tl_spool *open_spool(const struct tl_spool_options *options)
{
    struct tl_spool *spool = NULL;
    check_ok(tl_spool_open(&spool, options, NULL));
    return spool;
}

static uint8_t *new_room(void)
{
    uint8_t *room = tl_alloc_array(tl_spool_span(TL_SPOOL_TEXT_MAX), 1);
    assert_non_null(room);
    return room;
}

static void put_text(char *out, unsigned writer, unsigned number, size_t len)
{
    char prefix[64];
    (void)snprintf(prefix, sizeof(prefix), PREFIX_FORMAT, writer, number, len);
    memset(out, 'a' + (int)((writer + number) % 26), len);
    memcpy(out, prefix, PREFIX_LEN);
}

/* Writes record `number` of `writer`. */
static tally_status put(struct tl_spool *spool, uint8_t *room, unsigned writer, unsigned number,
                        size_t len, enum tl_spool_level level, int64_t until_us,
                        struct tl_spool_place *place, struct tally_error *err)
{
    assert_true(len >= PREFIX_LEN && len <= TL_SPOOL_TEXT_MAX);
    put_text((char *)room + TL_SPOOL_HEADER_LEN, writer, number, len);
    const struct tl_spool_record record = { .kind = TL_SPOOL_EVENT,
                                            .len = (uint32_t)len,
                                            .time_us = number };
    return tl_spool_write(spool, &record, room, level, until_us, place, err);
}

static void put_ok(struct tl_spool *spool, uint8_t *room, unsigned writer, unsigned number,
                   size_t len)
{
    struct tl_spool_place place;
    check_ok(put(spool, room, writer, number, len, TL_SPOOL_QUEUED, FAR, &place, NULL));
    assert_int_equal(place.level, TL_SPOOL_QUEUED);
}

static unsigned number_at(const char *text, size_t len)
{
    unsigned value = 0;
    for (size_t i = 0; i < len; i++) {
        assert_in_range(text[i], '0', '9');
        value = value * 10 + (unsigned)(text[i] - '0');
    }
    return value;
}

static void see_record(const struct tl_spool_record *record)
{
    assert_true(record->len >= PREFIX_LEN);
    unsigned writer = number_at(record->text + 1, 2);
    unsigned number = number_at(record->text + 4, 6);
    assert_true(writer < TL_ARRAY_LEN(seen.times) && number < RECORDS_MAX);
    char *want = tl_alloc_array(record->len, 1);
    put_text(want, writer, number, record->len);
    assert_memory_equal(record->text, want, record->len);
    tl_free(want);
    assert_int_equal(record->time_us, number);
    seen.times[writer][number]++;
    seen.records++;
}

/* All of a segment, with system calls of its own: those of the spool may be made to fail. */
static void see_segment(int fd)
{
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    size_t size = (size_t)st.st_size;
    uint8_t *bytes = tl_alloc_array(size, 1);
    assert_int_equal(pread(fd, bytes, size, 0), size);
    struct tl_segment segment;
    check_ok(tl_segment_decode(&segment, bytes, NULL));
    assert_int_equal(segment.size, size);
    uint32_t index = 0;
    size_t at = TL_SEGMENT_HEADER_LEN;
    while (at < size) {
        struct tl_spool_record record;
        if (tl_spool_look(&record, bytes + at, size - at, segment.nonce) != TL_SPOOL_WHOLE) {
            bool nothing;
            at = tl_spool_next(bytes, size, at + TL_SPOOL_ALIGN, segment.nonce, &nothing);
            continue;
        }
        seen.holes += record.index - index;
        index = record.index + 1;
        if (record.kind == TL_SPOOL_VOID) {
            seen.voids++;
        } else {
            see_record(&record);
        }
        at += tl_spool_span(record.len);
    }
    seen.segments++;
    tl_free(bytes);
}

/* Reads segments that nobody has locked, or all of them, and removes them if asked to. Returns how
 * many files were passed over. */
static unsigned see_directory(const char *dir, bool removes, bool reads_locked)
{
    DIR *listing = opendir(dir);
    assert_non_null(listing);
    unsigned left = 0;
    for (struct dirent *entry = readdir(listing); entry != NULL; entry = readdir(listing)) {
        size_t len = strlen(entry->d_name);
        if (len < 4 || strcmp(entry->d_name + len - 4, TL_SPOOL_SUFFIX) != 0) {
            left += entry->d_name[0] != '.';
            continue;
        }
        char path[512];
        check_path(path, sizeof(path), dir, entry->d_name);
        int fd = open(path, O_RDWR | O_CLOEXEC);
        if (fd < 0) {
            continue; /* an empty one, removed by its writer */
        }
        if (reads_locked || flock(fd, LOCK_EX | LOCK_NB) == 0) {
            see_segment(fd);
            assert_true(!removes || unlink(path) == 0 || errno == ENOENT);
        } else {
            left++;
        }
        assert_int_equal(close(fd), 0);
    }
    assert_int_equal(closedir(listing), 0);
    return left;
}

static void check_all_seen(unsigned writer, unsigned count, bool allows_doubles)
{
    for (unsigned i = 0; i < RECORDS_MAX; i++) {
        unsigned times = seen.times[writer][i];
        if (i < count ? times == 0 || (times > 1 && !allows_doubles) : times != 0) {
            fail_msg("record %u of writer %u was seen %u times", i, writer, times);
        }
    }
}

/* A spool that was closed leaves nothing but whole segments that nobody has locked. */
static void check_left_in_order(const char *dir)
{
    assert_int_equal(see_directory(dir, true, false), 0);
    assert_int_equal(seen.holes, 0);
}

static struct tl_spool_counts counts_of(struct tl_spool *spool)
{
    struct tl_spool_counts counts;
    tl_spool_count(spool, &counts);
    return counts;
}

struct writer {
    pthread_t thread;
    struct tl_spool *spool;
    unsigned number, count;
    unsigned synced_every; /* 0: none */
    atomic_bool *stop;     /* NULL: writes `count`, else counts them */
};

static size_t length_of(unsigned n)
{
    return n % 500 == 499 ? TEXT_MAX_LEN : PREFIX_LEN + n * 37 % 1500;
}

static void *run_writer(void *ctx)
{
    struct writer *writer = ctx;
    uint8_t *room = new_room();
    unsigned n = 0;
    for (; writer->stop == NULL ? n < writer->count : !atomic_load(writer->stop); n++) {
        struct tl_spool_place place;
        bool is_synced = writer->synced_every != 0 && n % writer->synced_every == 0;
        check_ok(put(writer->spool, room, writer->number, n, length_of(n),
                     is_synced ? TL_SPOOL_SYNCED : TL_SPOOL_QUEUED, FAR, &place, NULL));
        assert_int_equal(place.level, is_synced ? TL_SPOOL_SYNCED : TL_SPOOL_QUEUED);
        assert_int_equal(strlen(place.segment), 36);
        if (n + 1 == RECORDS_MAX) {
            n++;
            break;
        }
    }
    writer->count = n;
    tl_free(room);
    return NULL;
}

static void start_writers(struct writer *writers, struct tl_spool *spool, unsigned count,
                          unsigned synced_every, atomic_bool *stop)
{
    for (unsigned i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){
            .spool = spool, .number = i, .count = count, .synced_every = synced_every, .stop = stop
        };
        assert_int_equal(pthread_create(&writers[i].thread, NULL, run_writer, &writers[i]), 0);
    }
}

static void join_writers(struct writer *writers)
{
    for (unsigned i = 0; i < WRITERS; i++) {
        assert_int_equal(pthread_join(writers[i].thread, NULL), 0);
    }
}

static void has_every_record_of_many_threads_once(void **state)
{
    struct tl_spool_options options = options_in(state);
    options.bytes_max = UINT64_C(6) * SEGMENT_MIN; /* writers wait for the reader */
    struct tl_spool *spool = open_spool(&options);
    struct writer writers[WRITERS];
    start_writers(writers, spool, 3000, 100, NULL);
    uint32_t segments = 0;
    while (counts_of(spool).records < UINT64_C(3000) * WRITERS) {
        (void)see_directory(*state, true, false);
        (void)usleep(1000);
    }
    join_writers(writers);
    segments = (uint32_t)counts_of(spool).segments;
    assert_int_equal(counts_of(spool).failed_writes, 0);
    tl_spool_close(spool);
    check_left_in_order(*state);
    assert_int_equal(seen.records, 3000 * WRITERS);
    assert_true(segments > 12 && seen.segments <= segments);
    for (unsigned i = 0; i < WRITERS; i++) {
        check_all_seen(i, 3000, false);
    }
}

static void closes_what_is_rotated_and_knows_when_it_is_gone(void **state)
{
    const struct tl_spool_options options = options_in(state);
    struct tl_spool *spool = open_spool(&options);
    uint8_t *room = new_room();
    assert_true(tl_spool_is_drained(spool));
    tl_spool_rotate(spool);
    put_ok(spool, room, 0, 0, 100);
    assert_false(tl_spool_is_drained(spool));
    assert_int_equal(see_directory(*state, true, false), 1); /* locked */
    tl_spool_rotate(spool);
    tl_spool_rotate(spool);
    assert_false(tl_spool_is_drained(spool));
    for (int64_t end = MILLIS(5000); see_directory(*state, true, false) != 0;) {
        assert_true(tl_clock->steady_us() < end);
        (void)usleep(1000);
    }
    check_all_seen(0, 1, false);
    assert_int_equal(counts_of(spool).bytes, 0);
    assert_true(tl_spool_is_drained(spool));
    tl_spool_close(spool);
    tl_free(room);
}

static void *empty_later(void *dir)
{
    (void)usleep(100000);
    (void)see_directory(dir, true, false);
    return NULL;
}

static void waits_for_space_only_as_long_as_the_caller_says(void **state)
{
    struct tl_spool_options options = options_in(state);
    options.bytes_max = UINT64_C(2) * SEGMENT_MIN;
    struct tl_spool *spool = open_spool(&options);
    uint8_t *room = new_room();
    struct tl_spool_place place;
    struct tally_error err = TALLY_ERROR_INIT;
    tally_status status = TALLY_OK;
    unsigned count = 0;
    while (status == TALLY_OK) {
        status = put(spool, room, 0, count++, TEXT_MAX_LEN, TL_SPOOL_QUEUED, NO_WAIT, &place, &err);
    }
    check_status(status, TALLY_ELIMIT);
    assert_int_equal(place.level, TL_SPOOL_NONE);
    assert_true(count > 6); /* all but the last fit into two segments */
    assert_int_equal(counts_of(spool).bytes, options.bytes_max);
    assert_int_equal(counts_of(spool).waits, 0);

    int64_t began = tl_clock->steady_us();
    check_status(put(spool, room, 0, 100, TEXT_MAX_LEN, TL_SPOOL_SYNCED, MILLIS(50), &place, NULL),
                 TALLY_ELIMIT);
    int64_t took = tl_clock->steady_us() - began;
    assert_true(took >= 50000 && took < 1000000);

    pthread_t reader;
    assert_int_equal(pthread_create(&reader, NULL, empty_later, *state), 0);
    began = tl_clock->steady_us();
    check_ok(put(spool, room, 0, 101, TEXT_MAX_LEN, TL_SPOOL_SYNCED, FAR, &place, NULL));
    took = tl_clock->steady_us() - began;
    assert_true(took >= 50000 && took < 5000000);
    assert_int_equal(pthread_join(reader, NULL), 0);
    struct tl_spool_counts counts = counts_of(spool);
    assert_int_equal(counts.waits, 2);
    assert_true(counts.longest_wait_us >= 50000);
    tl_spool_close(spool);
    check_left_in_order(*state);
    assert_int_equal(seen.times[0][100], 0);
    assert_int_equal(seen.times[0][101], 1);
    tl_free(room);
}

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
    const struct tl_spool_options options = options_in(state);
    use_disk();
    struct tl_spool *spool = open_spool(&options);
    uint8_t *room = new_room();
    struct tl_spool_place place;
    for (unsigned i = 0; i < 200; i++) {
        put_ok(spool, room, 0, i, length_of(i));
    }
    atomic_store(&disk.syncs_to_fail, 1);
    check_ok(put(spool, room, 0, 200, TEXT_MAX_LEN, TL_SPOOL_SYNCED, FAR, &place, NULL));
    assert_int_equal(place.level, TL_SPOOL_SYNCED);
    assert_int_equal(counts_of(spool).failed_syncs, 1);
    assert_int_equal(counts_of(spool).records, 201);

    /* The segment and its copy both fail: written, but not synced; later all is well again. */
    atomic_store(&disk.sync_errno, EIO);
    struct tally_error err = TALLY_ERROR_INIT;
    check_status(put(spool, room, 0, 201, 50, TL_SPOOL_SYNCED, FAR, &place, &err), TALLY_EIO);
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
    check_ok(put(spool, room, 0, 202, 50, TL_SPOOL_SYNCED, FAR, &place, NULL));
    tl_spool_close(spool);
    tl_io = &tl_io_posix;
    assert_int_equal(atomic_load(&disk.repeated), 0);
    check_left_in_order(*state);
    check_all_seen(0, 203, true);
    tl_free(room);
}

static void gives_a_disk_up_that_never_syncs(void **state)
{
    struct tl_spool_options options = options_in(state);
    options.bytes_max = UINT64_C(4) * SEGMENT_MIN;
    use_disk();
    struct tl_spool *spool = open_spool(&options);
    uint8_t *room = new_room();
    struct tl_spool_place place;
    atomic_store(&disk.sync_errno, EIO);
    unsigned count = 0;
    /* What cannot be synced is closed in the end, so that the reader can take it and make room. */
    for (int64_t end = MILLIS(20000); seen.segments < 2;) {
        if (put(spool, room, 0, count, 1000, TL_SPOOL_QUEUED, NO_WAIT, &place, NULL) == TALLY_OK) {
            count++;
        }
        assert_true(tl_clock->steady_us() < end && count < RECORDS_MAX);
        (void)see_directory(*state, true, false);
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
    const struct tl_spool_options options = options_in(state);
    use_disk();
    struct tl_spool *spool = open_spool(&options);
    uint8_t *room = new_room();
    struct tl_spool_place place;
    put_ok(spool, room, 0, 0, 100);
    atomic_store(&disk.hangs, true);
    int64_t began = tl_clock->steady_us();
    check_status(put(spool, room, 0, 1, 100, TL_SPOOL_SYNCED, MILLIS(50), &place, NULL),
                 TALLY_EBUSY);
    assert_int_equal(place.level, TL_SPOOL_QUEUED);
    check_status(tl_spool_sync(spool, MILLIS(50), NULL), TALLY_EBUSY);
    check_status(tl_spool_sync(spool, NO_WAIT, NULL), TALLY_EBUSY);
    for (unsigned i = 2; i < 2000; i++) { /* some segments full */
        put_ok(spool, room, 0, i, 4000);
    }
    assert_true(tl_clock->steady_us() - began < 5000000);
    atomic_store(&disk.hangs, false);
    check_ok(put(spool, room, 0, 2000, 100, TL_SPOOL_SYNCED, FAR, &place, NULL));
    check_ok(tl_spool_sync(spool, FAR, NULL));
    tl_spool_close(spool);
    tl_io = &tl_io_posix;
    check_left_in_order(*state);
    check_all_seen(0, 2001, false);
    tl_free(room);
}

static void writes_again_when_the_disk_has_room_again(void **state)
{
    const struct tl_spool_options options = options_in(state);
    use_disk();
    struct tl_spool *spool = open_spool(&options);
    uint8_t *room = new_room();
    struct tl_spool_place place;
    put_ok(spool, room, 0, 0, 100);
    atomic_store(&disk.allocate_errno, ENOSPC);
    atomic_store(&disk.write_errno, EIO);
    for (unsigned i = 0; i < 100; i++) {
        struct tally_error err = TALLY_ERROR_INIT;
        check_status(put(spool, room, 1, i, 100, TL_SPOOL_QUEUED, FAR, &place, &err), TALLY_EIO);
        assert_int_equal(err.os_errno, ENOSPC);
        assert_int_equal(place.level, TL_SPOOL_NONE);
        assert_string_equal(place.segment, "");
    }
    atomic_store(&disk.allocate_errno, 0);
    atomic_store(&disk.write_errno, 0);
    int64_t end = MILLIS(5000);
    struct tally_error err = TALLY_ERROR_INIT;
    while (put(spool, room, 0, 1, 100, TL_SPOOL_SYNCED, FAR, &place, &err) != TALLY_OK) {
        assert_true(tl_clock->steady_us() < end);
        err = (struct tally_error)TALLY_ERROR_INIT;
        (void)usleep(1000);
    }
    assert_int_equal(err.status, TALLY_OK);
    tl_spool_close(spool);
    tl_io = &tl_io_posix;
    assert_int_equal(see_directory(*state, true, false), 0);
    check_all_seen(0, 2, false);
    check_all_seen(1, 0, false);
    tl_free(room);
}

static void works_without_a_place_to_allocate(void **state)
{
    const struct tl_spool_options options = options_in(state);
    use_disk();
    atomic_store(&disk.allocate_errno, EOPNOTSUPP);
    struct tl_spool *spool = open_spool(&options);
    uint8_t *room = new_room();
    put_ok(spool, room, 0, 0, 100);
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
        uint8_t *room = new_room();
        for (unsigned i = 0; i < TL_ARRAY_LEN(levels); i++) {
            struct tl_spool_place place;
            enum tl_spool_level level = i % 8 == 7 ? TL_SPOOL_SYNCED : TL_SPOOL_QUEUED;
            struct tally_error err = TALLY_ERROR_INIT;
            tally_status status = put(spool, room, 0, i, i % 3 == 2 ? TEXT_MAX_LEN : 300, level,
                                      MILLIS(40), &place, &err);
            assert_int_equal(status, err.status);
            assert_true(status == TALLY_OK ? place.level == level : place.level < level);
            levels[i] = place.level;
        }
        (void)tl_spool_sync(spool, MILLIS(40), NULL); /* may fail */
        tl_spool_rotate(spool);
        (void)tl_spool_is_drained(spool);
        tl_spool_close(spool);
        tl_free(room);
    }
    (void)see_directory(options->dir, true, false);
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
    struct tl_spool_options options = options_in(state);
    for (size_t i = 0; i < TL_ARRAY_LEN(cases); i++) {
        assert_true(fault_each_io(cases[i].kind, cases[i].os_errno, use_with_faults, &options) >
                    50);
    }
}

static tally_status open_and_close(const void *ctx)
{
    struct tl_spool *spool = NULL;
    TL_TRY(tl_spool_open(&spool, ctx, NULL));
    tl_spool_close(spool);
    return TALLY_OK;
}

static void opens_whole_or_not_at_all(void **state)
{
    struct tl_spool_options options = options_in(state);
    assert_true(fault_each_alloc(open_and_close, &options) > 4);
    options.segment_bytes = 65535;
    check_status(open_and_close(&options), TALLY_EINVAL);
    options.segment_bytes = ((uint32_t)1 << 28) + 1;
    check_status(open_and_close(&options), TALLY_EINVAL);
    options = options_in(state);
    options.bytes_max = 0;
    check_status(open_and_close(&options), TALLY_EINVAL);
    options = options_in(state);
    options.dir = "/nonexistent/spool";
    check_status(open_and_close(&options), TALLY_EIO);
    tl_spool_close(NULL);
}

static void refuses_what_no_segment_can_hold(void **state)
{
    const struct tl_spool_options options = options_in(state);
    struct tl_spool *spool = open_spool(&options);
    uint8_t *room = new_room();
    struct tl_spool_place place;
    const struct tl_spool_record record = { .kind = TL_SPOOL_EVENT, .len = TL_SPOOL_TEXT_MAX + 1 };
    check_status(tl_spool_write(spool, &record, room, TL_SPOOL_QUEUED, FAR, &place, NULL),
                 TALLY_EINVAL);
    assert_int_equal(place.level, TL_SPOOL_NONE);
    put_ok(spool, room, 0, 0, TL_SPOOL_TEXT_MAX);
    put_ok(spool, room, 0, 1, TL_SPOOL_TEXT_MAX);
    tl_spool_close(spool);
    check_left_in_order(*state);
    check_all_seen(0, 2, false);
    assert_int_equal(seen.segments, 2);
    tl_free(room);
}

static unsigned open_segments(void)
{
    unsigned count = 0;
    for (int fd = 0; fd < 1024; fd++) {
        char link[64];
        char target[512] = "";
        (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        ssize_t len = readlink(link, target, sizeof(target) - 1);
        count += len > 0 && (strstr(target, ".seg") != NULL || strstr(target, ".new") != NULL);
    }
    return count;
}

/* A child whose parent's threads were in the middle of writing. Waits for `go` before it ends. */
static int live_as_child(struct tl_spool *spool, unsigned writer, int go)
{
    uint8_t *room = tl_alloc_array(tl_spool_span(TL_SPOOL_TEXT_MAX), 1);
    struct tl_spool_place place;
    bool is_fresh =
        open_segments() == 0 && tl_spool_is_drained(spool) && counts_of(spool).records == 0;
    bool is_written = true;
    for (unsigned i = 0; i < 100; i++) {
        enum tl_spool_level level = i % 50 == 49 ? TL_SPOOL_SYNCED : TL_SPOOL_QUEUED;
        is_written = is_written &&
                     put(spool, room, writer, i, 1000, level, FAR, &place, NULL) == TALLY_OK &&
                     place.level == level;
    }
    bool has_counted = counts_of(spool).records == 100;
    tl_spool_close(spool);
    char byte;
    bool is_told = read(go, &byte, 1) == 0;
    tl_free(room);
    return is_fresh && is_written && has_counted && is_told ? 0 : 1;
}

static void shares_nothing_with_forked_children(void **state)
{
    enum { CHILDREN = 4 };
    const struct tl_spool_options options = options_in(state);
    struct tl_spool *spool = open_spool(&options);
    atomic_bool stop = false;
    struct writer writers[WRITERS];
    start_writers(writers, spool, 0, 50, &stop);
    int go[2];
    assert_int_equal(pipe(go), 0);
    pid_t children[CHILDREN];
    for (unsigned i = 0; i < CHILDREN; i++) {
        (void)usleep(10000);
        children[i] = fork();
        if (children[i] == 0) {
            (void)close(go[1]);
            _exit(live_as_child(spool, WRITERS + i, go[0]));
        }
        assert_true(children[i] > 0);
    }
    (void)usleep(20000);
    atomic_store(&stop, true);
    join_writers(writers);
    tl_spool_close(spool);
    /* The children live, and hold no lock of ours. Of their own files some may still be locked. */
    (void)see_directory(*state, true, false);
    for (unsigned i = 0; i < WRITERS; i++) {
        check_all_seen(i, writers[i].count, false);
    }
    (void)close(go[1]);
    for (unsigned i = 0; i < CHILDREN; i++) {
        int status;
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_int_equal(status, 0);
    }
    check_left_in_order(*state);
    for (unsigned i = 0; i < CHILDREN; i++) {
        check_all_seen(WRITERS + i, 100, false);
    }
    (void)close(go[0]);
}

static void *write_until_cancelled(void *ctx)
{
    struct writer *writer = ctx;
    uint8_t *room = new_room();
    pthread_cleanup_push(tl_free, room);
    for (;;) {
        struct tl_spool_place place;
        enum tl_spool_level level = writer->count % 64 == 0 ? TL_SPOOL_SYNCED : TL_SPOOL_QUEUED;
        check_ok(
            put(writer->spool, room, writer->number, writer->count, 700, level, FAR, &place, NULL));
        if (writer->count + 1 < RECORDS_MAX) {
            writer->count++;
        }
        pthread_testcancel();
    }
    pthread_cleanup_pop(1);
    return NULL;
}

static void leaves_no_hole_where_a_thread_is_cancelled(void **state)
{
    const struct tl_spool_options options = options_in(state);
    struct tl_spool *spool = open_spool(&options);
    for (unsigned round = 0; round < 20; round++) {
        struct writer writer = { .spool = spool, .number = round % 8 };
        assert_int_equal(pthread_create(&writer.thread, NULL, write_until_cancelled, &writer), 0);
        (void)usleep(1000 + round * 211);
        assert_int_equal(pthread_cancel(writer.thread), 0);
        void *result;
        assert_int_equal(pthread_join(writer.thread, &result), 0);
        assert_ptr_equal(result, PTHREAD_CANCELED);
    }
    uint64_t records = counts_of(spool).records;
    tl_spool_close(spool);
    check_left_in_order(*state);
    assert_int_equal(seen.records, records);
}

static void needs_little_stack(void **state)
{
    const struct tl_spool_options options = options_in(state);
    struct tl_spool *spool = open_spool(&options);
    pthread_attr_t attr;
    assert_int_equal(pthread_attr_init(&attr), 0);
    assert_int_equal(pthread_attr_setstacksize(&attr, 65536), 0);
    struct writer writer = { .spool = spool, .count = 2000, .synced_every = 100 };
    assert_int_equal(pthread_create(&writer.thread, &attr, run_writer, &writer), 0);
    assert_int_equal(pthread_join(writer.thread, NULL), 0);
    assert_int_equal(pthread_attr_destroy(&attr), 0);
    tl_spool_close(spool);
    check_left_in_order(*state);
    check_all_seen(0, 2000, false);
}

static void writes_without_a_thread_of_its_own(void **state)
{
    /* No thread can have such a stack. */
    pthread_attr_t attr;
    size_t before;
    assert_int_equal(pthread_getattr_default_np(&attr), 0);
    assert_int_equal(pthread_attr_getstacksize(&attr, &before), 0);
    assert_int_equal(pthread_attr_setstacksize(&attr, (size_t)1 << 50), 0);
    assert_int_equal(pthread_setattr_default_np(&attr), 0);
    struct tl_spool_options options = options_in(state);
    options.bytes_max = UINT64_C(3) * SEGMENT_MIN;
    struct tl_spool *spool = open_spool(&options);
    struct writer writer = { .spool = spool, .count = 300, .synced_every = 30 };
    (void)run_writer(&writer);
    (void)see_directory(*state, true, false);
    uint8_t *room = new_room();
    for (unsigned i = 300; i < 2300; i++) {
        struct tl_spool_place place;
        while (put(spool, room, 0, i, 3000, TL_SPOOL_QUEUED, MILLIS(20), &place, NULL) !=
               TALLY_OK) {
            (void)see_directory(*state, true, false);
        }
    }
    check_ok(tl_spool_sync(spool, FAR, NULL));
    tl_spool_close(spool);
    assert_int_equal(pthread_attr_setstacksize(&attr, before), 0);
    assert_int_equal(pthread_setattr_default_np(&attr), 0);
    check_left_in_order(*state);
    check_all_seen(0, 2300, false);
    tl_free(room);
}

static void count_call(void *ctx)
{
    (void)atomic_fetch_add((atomic_uint *)ctx, 1);
}

static void calls_once_for_each_time_it_is_armed(void **state)
{
    atomic_uint calls = 0;
    struct tl_spool_options options = options_in(state);
    options.on_write = count_call;
    options.ctx = &calls;
    struct tl_spool *spool = open_spool(&options);
    uint8_t *room = new_room();
    for (unsigned i = 0; i < 30; i++) {
        if (i % 10 == 5) {
            tl_spool_arm(spool);
            tl_spool_arm(spool);
        }
        put_ok(spool, room, 0, i, 100);
    }
    assert_int_equal(atomic_load(&calls), 3);
    tl_spool_close(spool);
    tl_free(room);
}

static void syncs_and_closes_in_time_without_being_asked(void **state)
{
    struct tl_spool_options options = options_in(state);
    options.segment_age_ms = 300;
    use_disk();
    struct tl_spool *spool = open_spool(&options);
    uint8_t *room = new_room();
    for (unsigned i = 0; i < 3; i++) {
        unsigned syncs = atomic_load(&disk.syncs);
        put_ok(spool, room, 0, i, 100);
        int64_t end = MILLIS(2000);
        while (atomic_load(&disk.syncs) == syncs) {
            assert_true(tl_clock->steady_us() < end);
            (void)usleep(1000);
        }
        (void)usleep(50000); /* the thread sleeps again */
        assert_int_equal(atomic_load(&disk.syncs), syncs + 1);
    }
    for (int64_t end = MILLIS(5000); see_directory(*state, true, false) != 0;) {
        assert_true(tl_clock->steady_us() < end);
        (void)usleep(10000);
    }
    assert_true(tl_spool_is_drained(spool));
    tl_spool_close(spool);
    tl_io = &tl_io_posix;
    check_all_seen(0, 3, false);
    tl_free(room);
}

static void sweeps_up_what_dead_processes_left(void **state)
{
    static const char *const names[] = { "0123456789abcdef0123456789abcdef.new",
                                         "ffffffffffffffffffffffffffffffff.new", "other.new" };
    char paths[3][512];
    int fds[3];
    for (size_t i = 0; i < 3; i++) {
        check_path(paths[i], sizeof(paths[i]), *state, names[i]);
        fds[i] = open(paths[i], O_CREAT | O_RDWR | O_CLOEXEC, 0600);
        assert_true(fds[i] >= 0);
    }
    assert_int_equal(flock(fds[1], LOCK_EX), 0);
    const struct tl_spool_options options = options_in(state);
    tl_spool_close(open_spool(&options));
    assert_int_not_equal(access(paths[0], F_OK), 0);
    assert_int_equal(access(paths[1], F_OK), 0);
    assert_int_equal(access(paths[2], F_OK), 0);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(close(fds[i]), 0);
    }
}

static int set_up(void **state)
{
    memset(&seen, 0, sizeof(seen));
    return check_mkdir(state);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, check_rmdir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(has_every_record_of_many_threads_once),
        CASE(closes_what_is_rotated_and_knows_when_it_is_gone),
        CASE(waits_for_space_only_as_long_as_the_caller_says),
        CASE(never_repeats_an_fdatasync_that_failed),
        CASE(gives_a_disk_up_that_never_syncs),
        CASE(waits_no_longer_than_the_caller_says_for_a_disk_that_hangs),
        CASE(writes_again_when_the_disk_has_room_again),
        CASE(works_without_a_place_to_allocate),
        CASE(tells_the_truth_whatever_fails),
        CASE(opens_whole_or_not_at_all),
        CASE(refuses_what_no_segment_can_hold),
        CASE(shares_nothing_with_forked_children),
        CASE(leaves_no_hole_where_a_thread_is_cancelled),
        CASE(needs_little_stack),
        CASE(writes_without_a_thread_of_its_own),
        CASE(calls_once_for_each_time_it_is_armed),
        CASE(syncs_and_closes_in_time_without_being_asked),
        CASE(sweeps_up_what_dead_processes_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
