/* The writing side of the spool: many threads, bounds, forks, cancelled threads. */
#include "spool/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "support/fault.h"
#include "support/spool.h"

struct writer {
    pthread_t thread;
    struct tl_spool *spool;
    unsigned number, count;
    unsigned synced_every; /* 0: none */
    atomic_bool *stop;     /* NULL: writes `count`, else counts them */
};

static void *run_writer(void *ctx)
{
    struct writer *writer = ctx;
    uint8_t *room = spool_room();
    unsigned n = 0;
    for (; writer->stop == NULL ? n < writer->count : !atomic_load(writer->stop); n++) {
        struct tl_spool_place place;
        bool is_synced = writer->synced_every != 0 && n % writer->synced_every == 0;
        check_ok(spool_put(writer->spool, room, writer->number, n, spool_length_of(n),
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
    struct tl_spool_options options = spool_options_in(state);
    options.bytes_max = UINT64_C(6) * SEGMENT_MIN; /* writers wait for the reader */
    struct tl_spool *spool = spool_open_ok(&options);
    struct writer writers[WRITERS];
    start_writers(writers, spool, 3000, 100, NULL);
    uint32_t segments = 0;
    while (spool_counts_of(spool).records < UINT64_C(3000) * WRITERS) {
        (void)seen_directory(*state, true, false);
        (void)usleep(1000);
    }
    join_writers(writers);
    segments = (uint32_t)spool_counts_of(spool).segments;
    assert_int_equal(spool_counts_of(spool).failed_writes, 0);
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
    const struct tl_spool_options options = spool_options_in(state);
    struct tl_spool *spool = spool_open_ok(&options);
    uint8_t *room = spool_room();
    assert_true(tl_spool_is_drained(spool));
    tl_spool_rotate(spool);
    spool_put_ok(spool, room, 0, 0, 100);
    assert_false(tl_spool_is_drained(spool));
    assert_int_equal(seen_directory(*state, true, false), 1); /* locked */
    tl_spool_rotate(spool);
    tl_spool_rotate(spool);
    assert_false(tl_spool_is_drained(spool));
    for (int64_t end = MILLIS(5000); seen_directory(*state, true, false) != 0;) {
        assert_true(tl_clock->steady_us() < end);
        (void)usleep(1000);
    }
    check_all_seen(0, 1, false);
    assert_int_equal(spool_counts_of(spool).bytes, 0);
    assert_true(tl_spool_is_drained(spool));
    tl_spool_close(spool);
    tl_free(room);
}

static void *empty_later(void *dir)
{
    (void)usleep(100000);
    (void)seen_directory(dir, true, false);
    return NULL;
}

static void waits_for_space_only_as_long_as_the_caller_says(void **state)
{
    struct tl_spool_options options = spool_options_in(state);
    options.bytes_max = UINT64_C(2) * SEGMENT_MIN;
    struct tl_spool *spool = spool_open_ok(&options);
    uint8_t *room = spool_room();
    struct tl_spool_place place;
    struct tally_error err = TALLY_ERROR_INIT;
    tally_status status = TALLY_OK;
    unsigned count = 0;
    unsigned written = 0;
    /* While the second segment is being made, the first one is full and there is no room. */
    for (unsigned refusals = 0; refusals < 20;) {
        status = spool_put(spool, room, 0, count++, TEXT_MAX_LEN, TL_SPOOL_QUEUED, NO_WAIT, &place,
                           &err);
        if (status == TALLY_OK) {
            written++;
            refusals = 0;
        } else {
            refusals++;
            (void)usleep(5000);
        }
    }
    check_status(status, TALLY_ELIMIT);
    assert_int_equal(place.level, TL_SPOOL_NONE);
    assert_true(written >= 6); /* they fit into two segments */
    assert_int_equal(spool_counts_of(spool).bytes, options.bytes_max);
    assert_int_equal(spool_counts_of(spool).waits, 0);

    int64_t began = tl_clock->steady_us();
    check_status(
        spool_put(spool, room, 0, 100, TEXT_MAX_LEN, TL_SPOOL_SYNCED, MILLIS(50), &place, NULL),
        TALLY_ELIMIT);
    int64_t took = tl_clock->steady_us() - began;
    assert_true(took >= 50000 && took < 1000000);

    pthread_t reader;
    assert_int_equal(pthread_create(&reader, NULL, empty_later, *state), 0);
    began = tl_clock->steady_us();
    check_ok(spool_put(spool, room, 0, 101, TEXT_MAX_LEN, TL_SPOOL_SYNCED, FAR, &place, NULL));
    took = tl_clock->steady_us() - began;
    assert_true(took >= 50000 && took < 5000000);
    assert_int_equal(pthread_join(reader, NULL), 0);
    struct tl_spool_counts counts = spool_counts_of(spool);
    assert_int_equal(counts.waits, 2);
    assert_true(counts.longest_wait_us >= 50000);
    tl_spool_close(spool);
    check_left_in_order(*state);
    assert_int_equal(seen.times[0][100], 0);
    assert_int_equal(seen.times[0][101], 1);
    tl_free(room);
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
    struct tl_spool_options options = spool_options_in(state);
    assert_true(fault_each_alloc(open_and_close, &options) > 4);
    options.segment_bytes = 65535;
    check_status(open_and_close(&options), TALLY_EINVAL);
    options.segment_bytes = ((uint32_t)1 << 28) + 1;
    check_status(open_and_close(&options), TALLY_EINVAL);
    options = spool_options_in(state);
    options.bytes_max = 0;
    check_status(open_and_close(&options), TALLY_EINVAL);
    options = spool_options_in(state);
    options.dir = "/nonexistent/spool";
    check_status(open_and_close(&options), TALLY_EIO);
    tl_spool_close(NULL);
}

static void refuses_what_no_segment_can_hold(void **state)
{
    const struct tl_spool_options options = spool_options_in(state);
    struct tl_spool *spool = spool_open_ok(&options);
    uint8_t *room = spool_room();
    struct tl_spool_place place;
    const struct tl_spool_record record = { .kind = TL_SPOOL_EVENT, .len = TL_SPOOL_TEXT_MAX + 1 };
    check_status(tl_spool_write(spool, &record, room, TL_SPOOL_QUEUED, FAR, &place, NULL),
                 TALLY_EINVAL);
    assert_int_equal(place.level, TL_SPOOL_NONE);
    spool_put_ok(spool, room, 0, 0, TL_SPOOL_TEXT_MAX);
    spool_put_ok(spool, room, 0, 1, TL_SPOOL_TEXT_MAX);
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
        open_segments() == 0 && tl_spool_is_drained(spool) && spool_counts_of(spool).records == 0;
    bool is_written = true;
    for (unsigned i = 0; i < 100; i++) {
        enum tl_spool_level level = i % 50 == 49 ? TL_SPOOL_SYNCED : TL_SPOOL_QUEUED;
        is_written =
            is_written &&
            spool_put(spool, room, writer, i, 1000, level, FAR, &place, NULL) == TALLY_OK &&
            place.level == level;
    }
    bool has_counted = spool_counts_of(spool).records == 100;
    tl_spool_close(spool);
    char byte;
    bool is_told = read(go, &byte, 1) == 0;
    tl_free(room);
    return is_fresh && is_written && has_counted && is_told ? 0 : 1;
}

static void shares_nothing_with_forked_children(void **state)
{
    enum { CHILDREN = 4 };
    const struct tl_spool_options options = spool_options_in(state);
    struct tl_spool *spool = spool_open_ok(&options);
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
    (void)seen_directory(*state, true, false);
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
    uint8_t *room = spool_room();
    pthread_cleanup_push(tl_free, room);
    for (;;) {
        struct tl_spool_place place;
        enum tl_spool_level level = writer->count % 64 == 0 ? TL_SPOOL_SYNCED : TL_SPOOL_QUEUED;
        check_ok(spool_put(writer->spool, room, writer->number, writer->count, 700, level, FAR,
                           &place, NULL));
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
    const struct tl_spool_options options = spool_options_in(state);
    struct tl_spool *spool = spool_open_ok(&options);
    for (unsigned round = 0; round < 20; round++) {
        struct writer writer = { .spool = spool, .number = round % 8 };
        assert_int_equal(pthread_create(&writer.thread, NULL, write_until_cancelled, &writer), 0);
        (void)usleep(1000 + round * 211);
        assert_int_equal(pthread_cancel(writer.thread), 0);
        void *result;
        assert_int_equal(pthread_join(writer.thread, &result), 0);
        assert_ptr_equal(result, PTHREAD_CANCELED);
    }
    uint64_t records = spool_counts_of(spool).records;
    tl_spool_close(spool);
    check_left_in_order(*state);
    assert_int_equal(seen.records, records);
}

static void needs_little_stack(void **state)
{
    const struct tl_spool_options options = spool_options_in(state);
    struct tl_spool *spool = spool_open_ok(&options);
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
    struct tl_spool_options options = spool_options_in(state);
    options.bytes_max = UINT64_C(3) * SEGMENT_MIN;
    struct tl_spool *spool = spool_open_ok(&options);
    struct writer writer = { .spool = spool, .count = 300, .synced_every = 30 };
    (void)run_writer(&writer);
    (void)seen_directory(*state, true, false);
    uint8_t *room = spool_room();
    for (unsigned i = 300; i < 2300; i++) {
        struct tl_spool_place place;
        while (spool_put(spool, room, 0, i, 3000, TL_SPOOL_QUEUED, MILLIS(20), &place, NULL) !=
               TALLY_OK) {
            (void)seen_directory(*state, true, false);
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
    struct tl_spool_options options = spool_options_in(state);
    options.on_write = count_call;
    options.ctx = &calls;
    struct tl_spool *spool = spool_open_ok(&options);
    uint8_t *room = spool_room();
    for (unsigned i = 0; i < 30; i++) {
        if (i % 10 == 5) {
            tl_spool_arm(spool);
            tl_spool_arm(spool);
        }
        spool_put_ok(spool, room, 0, i, 100);
    }
    assert_int_equal(atomic_load(&calls), 3);
    tl_spool_close(spool);
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
    const struct tl_spool_options options = spool_options_in(state);
    tl_spool_close(spool_open_ok(&options));
    assert_int_not_equal(access(paths[0], F_OK), 0);
    assert_int_equal(access(paths[1], F_OK), 0);
    assert_int_equal(access(paths[2], F_OK), 0);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(close(fds[i]), 0);
    }
}

/* Many short programs leave a segment each while nobody reads them. */
static void gives_back_the_room_that_a_closed_segment_does_not_need(void **state)
{
    struct tl_spool_options options = spool_options_in(state);
    options.segment_bytes = 8u << 20;
    struct tl_spool *spool = spool_open_ok(&options);
    uint8_t *room = spool_room();
    struct tl_spool_place place;
    char path[512];
    struct stat st;
    check_ok(spool_put(spool, room, 0, 0, 20000, TL_SPOOL_QUEUED, FAR, &place, NULL));
    tl_spool_close(spool);
    tl_free(room);
    (void)snprintf(path, sizeof(path), "%s/%s", options.dir, place.segment);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, 8 << 20);
    assert_in_range(st.st_blocks * 512, 20000, 65536);
    check_left_in_order(options.dir);
    check_all_seen(0, 1, false);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, seen_set_up, check_rmdir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(has_every_record_of_many_threads_once),
        CASE(closes_what_is_rotated_and_knows_when_it_is_gone),
        CASE(waits_for_space_only_as_long_as_the_caller_says),
        CASE(opens_whole_or_not_at_all),
        CASE(refuses_what_no_segment_can_hold),
        CASE(shares_nothing_with_forked_children),
        CASE(leaves_no_hole_where_a_thread_is_cancelled),
        CASE(needs_little_stack),
        CASE(writes_without_a_thread_of_its_own),
        CASE(calls_once_for_each_time_it_is_armed),
        CASE(sweeps_up_what_dead_processes_left),
        CASE(gives_back_the_room_that_a_closed_segment_does_not_need),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
