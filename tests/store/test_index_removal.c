/* That what was removed from the index is gone from its files, while others feed and search it. */
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/thread.h"
#include "check.h"
#include "fault.h"
#include "store/index.h"

#define RECORDS   10000u /* three blocks, several segments */
#define STEP      (UINT64_C(1) << 16)
#define STEPS_MAX 10000
#define REMOVED   UINT64_C(77) /* what is added to the times of what was reduced */

static char path[300];

static int make_dir(void **state)
{
    int rc = check_mkdir(state);
    if (rc == 0) {
        check_path(path, sizeof(path), *state, "index.db");
    }
    return rc;
}

typedef bool goes_fn(uint64_t seq);

static bool goes_scattered(uint64_t seq)
{
    return seq * 0x9e3779b97f4a7c15 >> 63 != 0;
}

static bool goes_contiguous(uint64_t seq)
{
    return seq >= 1000 && seq < 6000;
}

static bool goes_rarely(uint64_t seq)
{
    return seq % 997 == 5;
}

static bool goes_twice(uint64_t seq)
{
    return seq == 5 || seq == 5000;
}

static bool goes_never(uint64_t seq)
{
    (void)seq;
    return false;
}

/* A record has a term that names it and two that it shares; one that went has a state, or what is left
 * of it. */
static void add_terms(struct tl_buf *buf, uint64_t seq, bool went)
{
    if (went) {
        tl_buf_addf(buf, "state=%s", seq % 3 == 0 ? "partial" : "purged");
        if (seq % 3 == 0) {
            tl_buf_addf(buf, "%cc=%u", TL_INDEX_SEPARATOR, (unsigned)(seq % 13));
        }
        return;
    }
    tl_buf_addf(buf, "id=MARK%08uMARK%ca=%u%cc=%u", (unsigned)seq, TL_INDEX_SEPARATOR,
                (unsigned)(seq % 7), TL_INDEX_SEPARATOR, (unsigned)(seq % 13));
}

static int64_t occurred_of(uint64_t seq, bool went)
{
    return INT64_C(1773480413000000) + (int64_t)(seq * 1000 + (went ? REMOVED : 0));
}

struct made {
    struct tl_index_entry entries[RECORDS];
    size_t offsets[RECORDS];
    size_t count;
    struct tl_buf terms;
};

static struct made *make_entries(uint64_t from, uint64_t to, goes_fn *goes, bool only_gone)
{
    struct made *made = tl_alloc_array(1, sizeof(*made));
    assert_non_null(made);
    tl_buf_init(&made->terms, (size_t)8 << 20);
    for (uint64_t seq = from; seq < to; seq++) {
        bool went = goes(seq);
        if (only_gone && !went) {
            continue;
        }
        size_t start = made->terms.len;
        add_terms(&made->terms, seq, went);
        made->offsets[made->count] = start;
        made->entries[made->count++] =
            (struct tl_index_entry){ .seq = seq,
                                     .occurred_us = occurred_of(seq, went),
                                     .terms = { .len = made->terms.len - start } };
    }
    for (size_t i = 0; i < made->count; i++) {
        made->entries[i].terms.text = made->terms.data + made->offsets[i];
    }
    return made;
}

static void free_entries(struct made *made)
{
    tl_buf_release(&made->terms);
    tl_free(made);
}

static void fill(struct tl_index *index, uint64_t from, uint64_t to, goes_fn *goes)
{
    struct made *made = make_entries(from, to, goes, false);
    check_ok(tl_index_add(index, made->entries, made->count, NULL));
    free_entries(made);
}

static struct tl_index *open_index(enum tally_store_mode mode)
{
    struct tl_index *index = NULL;
    check_ok(tl_index_open(&index, path, mode, NULL));
    return index;
}

/* In chunks of many sizes, so that segments are merged. */
static struct tl_index *make_index(uint64_t size)
{
    struct tl_index *index = open_index(TALLY_STORE_WRITE);
    for (uint64_t at = 0; at < size;) {
        uint64_t len = at % 700 + 1;
        len = size - at < len ? size - at : len;
        fill(index, at, at + len, goes_never);
        at += len;
    }
    return index;
}

static void reclaim_all(struct tl_index *index)
{
    uint64_t left = UINT64_MAX;
    while (left > 0) {
        uint64_t before = left;
        check_ok(tl_index_reclaim(index, STEP, &left, NULL));
        assert_true(left < before); /* each step shows, however many there are */
    }
}

static void digest(struct tl_index *index, uint64_t sums[RECORDS], uint64_t size)
{
    static const uint8_t key[16] = { 1, 2, 3 };
    memset(sums, 0, RECORDS * sizeof(*sums));
    check_ok(tl_index_digest(index, key, 0, sums, RECORDS, size, NULL));
}

/* Checks that an index that is made now would be the same. */
static void check_like_new(struct tl_index *index, uint64_t size, goes_fn *goes)
{
    static uint64_t sums[RECORDS];
    static uint64_t want[RECORDS];
    char name[320];
    struct tl_index *other = NULL;
    (void)snprintf(name, sizeof(name), "%s.new", path);
    check_ok(tl_index_open(&other, name, TALLY_STORE_CREATE, NULL));
    fill(other, 0, size, goes);
    digest(index, sums, size);
    digest(other, want, size);
    assert_memory_equal(sums, want, sizeof(sums));
    tl_index_close(other);
}

static tally_status take(void *ctx, uint64_t seq, int64_t occurred)
{
    uint64_t *sum = ctx;
    (void)occurred;
    *sum += seq + 1;
    return TALLY_OK;
}

/* Checks what a search finds, also where times decide. */
static void check_search(struct tl_index *index, uint64_t size, goes_fn *goes)
{
    const struct tl_str terms[] = { TL_STR("c=5") };
    const struct tl_index_group group = { .terms = terms, .count = 1 };
    for (uint64_t from = 0; from < size; from += size / 3) {
        struct tl_index_query query = { .groups = &group,
                                        .group_count = 1,
                                        .seq_end = size,
                                        .occurred_from = occurred_of(from, true),
                                        .occurred_to = INT64_MAX,
                                        .by_occurred = true };
        uint64_t sum = 0;
        uint64_t want = 0;
        check_ok(tl_index_search(index, &query, take, &sum, NULL));
        for (uint64_t seq = 0; seq < size; seq++) {
            bool went = goes(seq);
            bool has_term = seq % 13 == 5 && (!went || seq % 3 == 0);
            want += has_term && occurred_of(seq, went) >= query.occurred_from ? seq + 1 : 0;
        }
        assert_int_equal(sum, want);
    }
}

static bool file_has(const char *suffix, const char *text)
{
    char name[320];
    struct stat st;
    (void)snprintf(name, sizeof(name), "%s%s", path, suffix);
    FILE *file = fopen(name, "rb");
    if (file == NULL) {
        return false;
    }
    assert_int_equal(fstat(fileno(file), &st), 0);
    char *bytes = tl_alloc_array((size_t)st.st_size + 1, 1);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, (size_t)st.st_size, file), st.st_size);
    assert_int_equal(fclose(file), 0);
    bool found = memmem(bytes, (size_t)st.st_size, text, strlen(text)) != NULL;
    tl_free(bytes);
    return found;
}

static bool is_anywhere(const char *text)
{
    return file_has("", text) || file_has("-wal", text) || file_has("-shm", text);
}

static void rewrite(struct tl_index *index, uint64_t size, goes_fn *goes)
{
    struct made *made = make_entries(0, size, goes, true);
    struct tally_error err = TALLY_ERROR_INIT;
    if (tl_index_rewrite(index, made->entries, made->count, &err) != TALLY_OK) {
        fail_msg("%s", err.message);
    }
    free_entries(made);
}

static void check_removal(goes_fn *goes)
{
    struct tl_index *feeder = make_index(8000);
    struct tl_index *remover = open_index(TALLY_STORE_WRITE);
    struct tl_index *reader = open_index(TALLY_STORE_READ);
    check_search(reader, 8000, goes_never);
    check_search(feeder, 8000, goes_never);
    rewrite(remover, 8000, goes);
    check_search(reader, 8000, goes);
    check_search(feeder, 8000, goes);
    check_search(remover, 8000, goes);
    reclaim_all(remover);
    check_like_new(reader, 8000, goes);
    for (uint64_t at = 8000; at < RECORDS; at += 100) {
        struct made *made = make_entries(at, at + 100, goes_never, false);
        check_ok(tl_index_add(feeder, made->entries, made->count, NULL));
        free_entries(made);
    }
    rewrite(remover, RECORDS, goes);
    reclaim_all(remover);
    check_like_new(feeder, RECORDS, goes);
    check_search(feeder, RECORDS, goes);
    check_search(reader, RECORDS, goes);
    tl_index_close(reader);
    tl_index_close(remover);
    tl_index_close(feeder);
    feeder = open_index(TALLY_STORE_READ);
    check_like_new(feeder, RECORDS, goes);
    tl_index_close(feeder);
}

static void a_contiguous_range_is_as_if_it_were_made_anew(void **state)
{
    (void)state;
    check_removal(goes_contiguous);
}

static void a_scattered_half_is_as_if_it_were_made_anew(void **state)
{
    (void)state;
    check_removal(goes_scattered);
}

static void single_records_are_as_if_they_were_made_anew(void **state)
{
    (void)state;
    check_removal(goes_rarely);
}

/* Terms that stand for themselves, so that front coding cannot hide them. */
static void add_secrets(struct tl_index *index, uint64_t from, uint64_t to)
{
    struct made *made = tl_alloc_array(1, sizeof(*made));
    static char texts[RECORDS][64];
    assert_non_null(made);
    for (uint64_t seq = from; seq < to; seq++) {
        unsigned mixed = (unsigned)(seq * 2654435761u);
        (void)snprintf(texts[seq], sizeof(texts[seq]), "%08x-kept-%05u", mixed, (unsigned)seq);
        if (seq % 100 == 50) {
            (void)snprintf(texts[seq], sizeof(texts[seq]), "%08x-SECRET%05uSECRET", mixed,
                           (unsigned)seq);
        }
        made->entries[made->count++] = (struct tl_index_entry){
            .seq = seq, .occurred_us = occurred_of(seq, false), .terms = tl_str_of(texts[seq])
        };
    }
    check_ok(tl_index_add(index, made->entries, made->count, NULL));
    tl_free(made);
}

static void nothing_of_a_term_is_left_in_any_file(void **state)
{
    (void)state;
    struct tl_index *feeder = open_index(TALLY_STORE_WRITE);
    struct tl_index *remover = open_index(TALLY_STORE_WRITE);
    for (uint64_t at = 0; at < RECORDS; at += 125) {
        add_secrets(feeder, at, at + 125);
    }
    assert_true(is_anywhere("SECRET"));
    for (uint64_t seq = 50; seq < RECORDS; seq += 100) {
        const struct tl_index_entry entry = { .seq = seq,
                                              .occurred_us = occurred_of(seq, true),
                                              .terms = TL_STR("state=purged") };
        check_ok(tl_index_rewrite(remover, &entry, 1, NULL));
    }
    reclaim_all(remover);
    assert_false(is_anywhere("SECRET"));
    tl_index_close(remover);
    tl_index_close(feeder); /* which may write its log */
    assert_false(is_anywhere("SECRET"));
    assert_true(is_anywhere("kept"));
}

static void waits_for_records_that_are_not_there_yet(void **state)
{
    (void)state;
    struct tl_index *index = make_index(100);
    const struct tl_index_entry entries[] = { { .seq = 99 }, { .seq = 100 } };
    check_status(tl_index_rewrite(index, entries, 2, NULL), TALLY_EBUSY);
    check_like_new(index, 100, goes_never);
    tl_index_close(index);
}

struct notes {
    struct tl_index_removal removals[600];
    size_t count;
};

static tally_status take_note(void *ctx, const struct tl_index_removal *removal)
{
    struct notes *notes = ctx;
    assert_true(notes->count < TL_ARRAY_LEN(notes->removals));
    notes->removals[notes->count++] = *removal;
    return TALLY_OK;
}

static void notes_say_what_is_under_way(void **state)
{
    (void)state;
    static struct notes notes;
    uint64_t ids[2] = { 0, 0 };
    struct tl_index *index = make_index(100);
    check_ok(tl_index_removal_begin(index, 3, 7, &ids[0], NULL));
    check_ok(tl_index_removal_begin(index, 5, 5, &ids[1], NULL));
    check_ok(tl_index_removal_set(index, ids[1], TL_REMOVAL_REWRITTEN, NULL));
    tl_index_close(index); /* as after a crash */
    index = open_index(TALLY_STORE_WRITE);
    notes.count = 0;
    check_ok(tl_index_removals(index, take_note, &notes, NULL));
    assert_int_equal(notes.count, 2);
    assert_true(notes.removals[0].id == 1 && notes.removals[0].first == 3 &&
                notes.removals[0].last == 7 && notes.removals[0].stage == TL_REMOVAL_NOTED);
    assert_true(notes.removals[1].id == 2 && notes.removals[1].stage == TL_REMOVAL_REWRITTEN);
    for (int i = 0; i < 600; i++) {
        check_ok(tl_index_removal_begin(index, 1, 2, &ids[1], NULL));
        check_ok(tl_index_removal_set(index, ids[1], TL_REMOVAL_DONE, NULL));
    }
    notes.count = 0;
    check_ok(tl_index_removals(index, take_note, &notes, NULL));
    assert_true(notes.count > 400 && notes.count < 510);
    assert_int_equal(notes.removals[0].id, 1); /* what is not done stays */
    assert_int_equal(notes.removals[notes.count - 1].id, 602);
    check_status(tl_index_removal_set(index, 9999, TL_REMOVAL_DONE, NULL), TALLY_ENOTFOUND);
    tl_index_close(index);
}

static void an_index_made_anew_meanwhile_is_noticed(void **state)
{
    (void)state;
    uint64_t id = 0;
    struct tl_index *index = make_index(100);
    check_ok(tl_index_removal_begin(index, 3, 7, &id, NULL));
    struct tl_index *other = open_index(TALLY_STORE_CREATE);
    check_status(tl_index_removal_set(index, id, TL_REMOVAL_REWRITTEN, NULL), TALLY_ECONFLICT);
    tl_index_close(other);
    tl_index_close(index);
}

static tally_status rewrite_some(const void *ctx)
{
    struct tally_error *err = NULL;
    struct tl_index *index = *(struct tl_index *const *)ctx;
    uint64_t id = 0;
    uint64_t left = 0;
    const struct tl_index_entry entries[] = {
        { .seq = 5, .occurred_us = occurred_of(5, true), .terms = TL_STR("state=purged") },
        { .seq = 5000, .occurred_us = occurred_of(5000, true), .terms = TL_STR("state=purged") },
    };
    TL_TRY(tl_index_removal_begin(index, 5, 5000, &id, err));
    TL_TRY(tl_index_rewrite(index, entries, 2, err));
    TL_TRY(tl_index_removal_set(index, id, TL_REMOVAL_REWRITTEN, err));
    return tl_index_reclaim(index, STEP, &left, err);
}

static void can_be_repeated_where_memory_ran_out(void **state)
{
    (void)state;
    struct tl_index *index = make_index(6000);
    assert_true(fault_each_alloc(rewrite_some, &index) > 5);
    struct tl_index *other = open_index(TALLY_STORE_READ);
    check_like_new(other, 6000, goes_twice);
    tl_index_close(other);
    tl_index_close(index);
}

/* Feeds the index bit by bit, as the sequencer does beside whoever removes. */
static void *feed(void *ctx)
{
    struct tl_index *index = ctx;
    for (uint64_t at = 5000; at < RECORDS; at += 25) {
        struct made *made = make_entries(at, at + 25, goes_never, false);
        tally_status status = TALLY_EBUSY;
        while (status == TALLY_EBUSY) {
            status = tl_index_add(index, made->entries, made->count, NULL);
        }
        tl_assert(status == TALLY_OK); /* cmocka knows the main thread only */
        free_entries(made);
    }
    return NULL;
}

/* Enters anew what of the first 5000 records went, a few hundred at once. */
static void rewrite_beside_others(struct tl_index *index)
{
    struct made *made = make_entries(0, 5000, goes_scattered, true);
    for (size_t at = 0; at < made->count;) {
        size_t count = made->count - at < 300 ? made->count - at : 300;
        tally_status status = tl_index_rewrite(index, made->entries + at, count, NULL);
        assert_true(status == TALLY_OK || status == TALLY_EBUSY);
        at += status == TALLY_OK ? count : 0;
    }
    free_entries(made);
}

static bool goes_below_5000(uint64_t seq)
{
    return seq < 5000 && goes_scattered(seq);
}

static void rewrites_while_others_feed(void **state)
{
    (void)state;
    pthread_t thread;
    uint64_t left = 1;
    struct tl_index *feeder = make_index(5000);
    struct tl_index *remover = open_index(TALLY_STORE_WRITE);
    check_ok(tl_thread_start(&thread, "feed", feed, feeder));
    rewrite_beside_others(remover);
    for (int i = 0; i < STEPS_MAX && left > 0; i++) {
        tally_status status = tl_index_reclaim(remover, STEP, &left, NULL);
        assert_true(status == TALLY_OK || (status == TALLY_EBUSY && left > 0));
    }
    tl_thread_join(thread);
    check_like_new(remover, RECORDS, goes_below_5000);
    check_like_new(feeder, RECORDS, goes_below_5000);
    check_search(feeder, RECORDS, goes_below_5000);
    tl_index_close(remover);
    tl_index_close(feeder);
}

int main(void)
{
#define IN_DIR(test) cmocka_unit_test_setup_teardown(test, make_dir, check_rmdir)
    const struct CMUnitTest tests[] = {
        IN_DIR(a_contiguous_range_is_as_if_it_were_made_anew),
        IN_DIR(a_scattered_half_is_as_if_it_were_made_anew),
        IN_DIR(single_records_are_as_if_they_were_made_anew),
        IN_DIR(rewrites_while_others_feed),
        IN_DIR(nothing_of_a_term_is_left_in_any_file),
        IN_DIR(waits_for_records_that_are_not_there_yet),
        IN_DIR(notes_say_what_is_under_way),
        IN_DIR(an_index_made_anew_meanwhile_is_noticed),
        IN_DIR(can_be_repeated_where_memory_ran_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
