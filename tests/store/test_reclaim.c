/* That what was removed from the SQLite store is gone from its files, and its room with it. */
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/parse.h"
#include "base/thread.h"
#include "check.h"
#include "store/sqlite.h"
#include "store/store.h"
#include "store/store_sqlite_parts.h"

#define BATCH     512u
#define LARGE     100000u /* bytes: on overflow pages */
#define MARKER    "MARK%luMARK"
#define MARK_BASE 10000000u /* eight digits, all of them of the number */
#define STEP      (UINT64_C(1) << 16)
#define STEPS_MAX 10000

static char path[300];
static char uri[320];

static int make_dir(void **state)
{
    int rc = check_mkdir(state);
    if (rc == 0) {
        check_path(path, sizeof(path), *state, "ledger.db");
        (void)snprintf(uri, sizeof(uri), "sqlite:%s", path);
    }
    return rc;
}

static struct tally_store *open_store(enum tally_store_mode mode)
{
    struct tally_store *store = NULL;
    check_ok(tl_store_open(&store, uri, mode, NULL));
    return store;
}

/* An event with markers that name it at both ends. */
static void make_event(char *event, size_t len, uint64_t seq)
{
    char marker[32];
    int marker_len = snprintf(marker, sizeof(marker), MARKER, (unsigned long)(MARK_BASE + seq));
    memset(event, 'x', len);
    memcpy(event, marker, (size_t)marker_len);
    memcpy(event + len - (size_t)marker_len, marker, (size_t)marker_len);
}

static void append_marked(struct tally_store *store, struct tally_head *head, size_t count,
                          size_t event_len)
{
    struct tally_record *records = tl_alloc_array(count, sizeof(*records));
    uint8_t *leaves = tl_alloc_array(count, TALLY_LEAF_LEN);
    char *events = tl_alloc_array(count, event_len);
    uint8_t seed[TALLY_SEED_LEN] = { 7 };
    assert_non_null(records);
    assert_non_null(leaves);
    assert_non_null(events);
    for (size_t i = 0; i < count; i++) {
        uint64_t seq = head->size + i;
        uint8_t *leaf = leaves + i * TALLY_LEAF_LEN;
        uint64_t mixed = (seq + 1) * 0x9e3779b97f4a7c15;
        memcpy(leaf + TALLY_LEAF_ID_AT, &mixed, sizeof(mixed));
        memcpy(leaf + TALLY_LEAF_ID_AT + 8, &seq, sizeof(seq));
        make_event(events + i * event_len, event_len, seq);
        records[i] = (struct tally_record){ .seq = seq,
                                            .leaf = leaf,
                                            .leaf_len = TALLY_LEAF_LEN,
                                            .event = events + i * event_len,
                                            .event_len = event_len,
                                            .seed = seed,
                                            .seed_len = sizeof(seed) };
    }
    struct tally_batch batch = { .records = records, .count = count, .head = *head };
    batch.head.size += count;
    batch.head.root[0]++;
    batch.checkpoint =
        (struct tally_checkpoint){ .size = batch.head.size, .note = "n", .note_len = 1 };
    tally_status status = TALLY_EBUSY;
    for (int i = 0; i < STEPS_MAX && status == TALLY_EBUSY; i++) {
        status = tl_store_append(store, head, &batch, NULL);
    }
    check_ok(status);
    *head = batch.head;
    tl_free(records);
    tl_free(leaves);
    tl_free(events);
}

static struct tally_store *make_marked(size_t count, size_t event_len, struct tally_head *head)
{
    struct tally_store *store = open_store(TALLY_STORE_CREATE);
    *head = (struct tally_head){ 0 };
    while (head->size < count) {
        size_t left = count - (size_t)head->size;
        append_marked(store, head, left < BATCH ? left : BATCH, event_len);
    }
    return store;
}

typedef bool goes_fn(uint64_t seq);

static bool goes_contiguous(uint64_t seq)
{
    return seq >= 1000 && seq < 3000;
}

static bool goes_scattered(uint64_t seq)
{
    return seq * 0x9e3779b97f4a7c15 >> 63 != 0;
}

static bool goes_rarely(uint64_t seq)
{
    return seq % 997 == 5;
}

static bool goes_below_4000(uint64_t seq)
{
    return seq < 4000 && goes_scattered(seq);
}

static bool goes_always(uint64_t seq)
{
    (void)seq;
    return true;
}

/* Whoever writes at the same time may be faster each time. */
static void reduce(struct tally_store *store, const struct tally_reduction *reductions,
                   size_t count)
{
    tally_status status = TALLY_EBUSY;
    for (int i = 0; i < STEPS_MAX && status == TALLY_EBUSY; i++) {
        status = tl_store_reduce(store, reductions, count, NULL);
    }
    check_ok(status);
}

static void reduce_those(struct tally_store *store, uint64_t size, goes_fn *goes)
{
    struct tally_reduction reductions[256];
    size_t count = 0;
    for (uint64_t seq = 0; seq < size; seq++) {
        if (goes(seq)) {
            reductions[count] = (struct tally_reduction){ .seq = seq };
            if (seq % 5 == 0) { /* a part is left, and takes more room than before */
                reductions[count].event = "{\"left\":true}";
                reductions[count].event_len = 13;
            }
            count++;
        }
        if (count == TL_ARRAY_LEN(reductions) || (count > 0 && seq + 1 == size)) {
            reduce(store, reductions, count);
            count = 0;
        }
    }
}

static void reclaim_all(struct tally_store *store)
{
    uint64_t left = UINT64_MAX;
    while (left > 0) {
        uint64_t before = left;
        check_ok(tl_store_reclaim(store, STEP, &left, NULL));
        assert_true(left < before); /* each step shows, however many there are */
    }
}

static uint64_t file_size(void)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return (uint64_t)st.st_size;
}

/* Counts the markers of each record in a file of the store. */
static void count_markers(const char *suffix, uint32_t *counts, size_t size)
{
    char name[320];
    (void)snprintf(name, sizeof(name), "%s%s", path, suffix);
    FILE *file = fopen(name, "rb");
    if (file == NULL) {
        return;
    }
    struct stat st;
    assert_int_equal(fstat(fileno(file), &st), 0);
    char *bytes = tl_alloc_array((size_t)st.st_size + 16, 1);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, (size_t)st.st_size, file), st.st_size);
    assert_int_equal(fclose(file), 0);
    const char *end = bytes + st.st_size;
    for (const char *at = bytes; (at = memmem(at, (size_t)(end - at), "MARK", 4)) != NULL; at++) {
        uint64_t seq = 0;
        if (tl_parse_u64(at + 4, 8, MARK_BASE + size - 1, &seq) == TALLY_OK &&
            memcmp(at + 12, "MARK", 4) == 0) {
            counts[seq - MARK_BASE]++;
        }
    }
    tl_free(bytes);
}

/* Checks that there is nothing of those that went, and of the others no more than there should be. */
static void check_markers(uint64_t size, goes_fn *goes)
{
    static uint32_t counts[100000];
    memset(counts, 0, sizeof(counts));
    assert_true(size <= TL_ARRAY_LEN(counts));
    count_markers("", counts, (size_t)size);
    count_markers("-wal", counts, (size_t)size);
    count_markers("-shm", counts, (size_t)size);
    for (uint64_t seq = 0; seq < size; seq++) {
        if (counts[seq] != (goes(seq) ? 0U : 2U)) {
            fail_msg("record %llu is there %u times", (unsigned long long)seq, counts[seq]);
        }
    }
}

struct expected {
    uint64_t next;
    size_t event_len;
    goes_fn *goes;
};

static tally_status check_record(void *ctx, const struct tally_record *record)
{
    static char event[LARGE];
    struct expected *expected = ctx;
    assert_int_equal(record->seq, expected->next);
    expected->next++;
    if (expected->goes(record->seq)) {
        assert_int_equal(record->event_len, record->seq % 5 == 0 ? 13 : 0);
        assert_null(record->seed);
        return TALLY_OK;
    }
    make_event(event, expected->event_len, record->seq);
    assert_int_equal(record->event_len, expected->event_len);
    assert_memory_equal(record->event, event, expected->event_len);
    assert_int_equal(record->seed_len, TALLY_SEED_LEN);
    return TALLY_OK;
}

static void fail_finding(void *ctx, const char *code, uint64_t seq, const char *what)
{
    (void)ctx;
    fail_msg("%s at %llu: %s", code, (unsigned long long)seq, what);
}

static void check_records(struct tally_store *store, uint64_t size, size_t event_len, goes_fn *goes)
{
    struct expected expected = { .event_len = event_len, .goes = goes };
    check_ok(tl_store_scan(store, 0, size, check_record, &expected, NULL));
    assert_int_equal(expected.next, size);
    check_ok(tl_store_self_check(store, fail_finding, NULL, NULL));
}

/* As files were made before pages were given back. */
static void without_vacuum(void)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "PRAGMA journal_mode=DELETE; PRAGMA auto_vacuum=NONE; VACUUM",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* Removes by a second handle what `goes` names; returns by how much the file became smaller. */
static uint64_t remove_those(size_t count, size_t event_len, goes_fn *goes)
{
    struct tally_head head;
    struct tally_store *store = make_marked(count, event_len, &head);
    struct tally_store *remover = open_store(TALLY_STORE_WRITE);
    struct tally_store *reader = NULL;
    check_ok(tl_store_open_reader(store, &reader, NULL));
    reclaim_all(remover); /* nothing is to do but to empty the log */
    uint64_t before = file_size();
    reduce_those(remover, count, goes);
    reclaim_all(remover);
    uint64_t after = file_size();
    check_markers(count, goes);
    check_records(store, count, event_len, goes);
    check_records(reader, count, event_len, goes);
    append_marked(store, &head, 300, event_len); /* pages that it knows come from before */
    reclaim_all(remover);
    check_markers(count, goes);
    check_records(remover, count, event_len, goes);
    tl_store_close(reader);
    tl_store_close(remover);
    tl_store_close(store);
    check_markers(count, goes);
    print_message("# of %llu bytes, %llu are left\n", (unsigned long long)before,
                  (unsigned long long)after);
    return before - after;
}

static void gives_back_a_contiguous_range(void **state)
{
    (void)state;
    /* 2000 records of 600 bytes and a seed, on pages that also hold leaves. */
    assert_true(remove_those(4000, 600, goes_contiguous) > UINT64_C(2000) * 632 * 85 / 100);
}

static void gives_back_a_scattered_half(void **state)
{
    (void)state;
    assert_true(remove_those(4000, 600, goes_scattered) > UINT64_C(2000) * 632 * 80 / 100);
}

static void gives_back_overflow_pages(void **state)
{
    (void)state;
    assert_true(remove_those(300, LARGE, goes_scattered) > UINT64_C(130) * LARGE);
}

static void gives_back_all_contents(void **state)
{
    (void)state;
    assert_true(remove_those(4000, 600, goes_always) > UINT64_C(4000) * 632 * 85 / 100);
}

static void overwrites_single_records(void **state)
{
    (void)state;
    (void)remove_those(4000, 600, goes_rarely);
}

static void reuses_pages_of_a_file_that_cannot_shrink(void **state)
{
    (void)state;
    struct tally_head head;
    struct tally_store *store = make_marked(4000, 600, &head);
    tl_store_close(store);
    without_vacuum();
    store = open_store(TALLY_STORE_WRITE);
    uint64_t before = file_size();
    reduce_those(store, 4000, goes_always);
    reclaim_all(store);
    assert_int_equal(file_size(), before);
    check_markers(4000, goes_always);
    append_marked(store, &head, 1000, 600);
    reclaim_all(store);
    assert_int_equal(file_size(), before);
    tl_store_close(store);
}

static void has_no_end_while_a_reader_needs_the_log(void **state)
{
    (void)state;
    struct tally_head head;
    struct tally_store *store = make_marked(4000, 600, &head);
    struct tally_store *reader = NULL;
    uint64_t left = 0;
    check_ok(tl_store_open_reader(store, &reader, NULL));
    check_ok(tl_store_begin_read(reader, NULL));
    reduce_those(store, 4000, goes_scattered);
    for (int i = 0; i < 3; i++) {
        check_status(tl_store_reclaim(store, STEP, &left, NULL), TALLY_EBUSY);
        assert_true(left > 0);
    }
    tl_store_end_read(reader);
    reclaim_all(store);
    check_markers(4000, goes_scattered);
    tl_store_close(reader);
    tl_store_close(store);
}

#define LONG_EVENT 60000u

static int64_t log_size(void)
{
    struct stat info;
    char log[sizeof(path) + 8];
    (void)snprintf(log, sizeof(log), "%s-wal", path);
    assert_int_equal(stat(log, &info), 0);
    return info.st_size;
}

/* Nobody waits for the whole of a long log to be cut off: neither who appends nor who reclaims. */
static void cuts_a_long_log_piece_by_piece(void **state)
{
    (void)state;
    struct tally_head head;
    struct tally_store *store = make_marked(100, 600, &head);
    struct tally_store *reader = NULL;
    check_ok(tl_store_open_reader(store, &reader, NULL));
    check_ok(tl_store_begin_read(reader, NULL));
    while (log_size() < 2 * TL_SQLITE_LOG_KEPT + TL_SQLITE_LOG_CUT) {
        append_marked(store, &head, 64, LONG_EVENT);
    }
    tl_store_end_read(reader);
    int64_t size = log_size();
    int cuts = 0;
    while (cuts == 0) {
        append_marked(store, &head, 64, LONG_EVENT);
        int64_t now = log_size();
        assert_true(now >= size - TL_SQLITE_LOG_CUT);
        cuts += now < size ? 1 : 0;
        size = now;
    }
    uint64_t left = 0;
    check_ok(tl_store_reclaim(store, STEP, &left, NULL));
    assert_int_equal(log_size(), 0);
    tl_store_close(reader);
    tl_store_close(store);
}

struct appending {
    struct tally_store *store;
    struct tally_head head;
    atomic_bool stop;
    int64_t longest_ns;
};

/* Goes on appending, as the sequencer does beside whoever removes. */
static void *append_all_the_time(void *ctx)
{
    struct appending *appending = ctx;
    while (!atomic_load(&appending->stop) && appending->head.size < 90000) {
        int64_t start = tl_clock_stopwatch_ns();
        append_marked(appending->store, &appending->head, 20, 600);
        int64_t ns = tl_clock_stopwatch_ns() - start;
        appending->longest_ns = ns > appending->longest_ns ? ns : appending->longest_ns;
    }
    return NULL;
}

static void removes_while_others_append(void **state)
{
    (void)state;
    pthread_t thread;
    struct tally_head head;
    struct appending appending = { .store = make_marked(4000, 600, &head) };
    appending.head = head;
    struct tally_store *remover = open_store(TALLY_STORE_WRITE);
    check_ok(tl_thread_start(&thread, "append", append_all_the_time, &appending));
    reduce_those(remover, 4000, goes_below_4000);
    uint64_t left = 1; /* EBUSY if the others got in between each time */
    for (int i = 0; i < 300 && left > 0; i++) {
        tally_status status = tl_store_reclaim(remover, STEP, &left, NULL);
        assert_true(status == TALLY_OK || (status == TALLY_EBUSY && left > 0));
    }
    atomic_store(&appending.stop, true);
    tl_thread_join(thread);
    if (left > 0) { /* who never pauses can keep it from its end */
        reclaim_all(remover);
    }
    print_message("# longest append: %lld ms\n", (long long)(appending.longest_ns / 1000000));
    check_records(remover, appending.head.size, 600, goes_below_4000);
    reclaim_all(remover);
    check_markers(appending.head.size, goes_below_4000);
    tl_store_close(remover);
    tl_store_close(appending.store);
}

int main(void)
{
#define IN_DIR(test) cmocka_unit_test_setup_teardown(test, make_dir, check_rmdir)
    const struct CMUnitTest tests[] = {
        IN_DIR(gives_back_a_contiguous_range), IN_DIR(gives_back_a_scattered_half),
        IN_DIR(gives_back_overflow_pages),     IN_DIR(gives_back_all_contents),
        IN_DIR(overwrites_single_records),     IN_DIR(reuses_pages_of_a_file_that_cannot_shrink),
        IN_DIR(removes_while_others_append),   IN_DIR(has_no_end_while_a_reader_needs_the_log),
        IN_DIR(removes_while_others_append),   IN_DIR(cuts_a_long_log_piece_by_piece),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
