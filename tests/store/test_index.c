#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "check.h"
#include "fault.h"
#include "store/index.h"

#define RECORDS 10000 /* three blocks, the last one not full */

static char path[300];

static int make_dir(void **state)
{
    int rc = check_mkdir(state);
    if (rc == 0) {
        check_path(path, sizeof(path), *state, "index.db");
    }
    return rc;
}

/* Which terms record `seq` has: a=0...6, b=0...99, one of its own now and then; some have none. */
static void terms_of(struct tl_buf *buf, uint64_t seq)
{
    tl_buf_clear(buf);
    if (seq % 50 == 49) {
        return;
    }
    tl_buf_addf(buf, "a=%u%cb=%u%cb=%u", (unsigned)(seq % 7), TL_INDEX_SEPARATOR,
                (unsigned)(seq * 31 % 100), TL_INDEX_SEPARATOR, (unsigned)(seq * 31 % 100));
    if (seq % 1000 == 0) {
        tl_buf_addf(buf, "%crare=\"%u\" OR *", TL_INDEX_SEPARATOR, (unsigned)seq);
    }
}

/* Nearly in order, with a few far off. */
static int64_t occurred_of(uint64_t seq)
{
    int64_t base = 1773480413000000 + (int64_t)seq * 1000;
    return seq % 611 == 3 ? base - 5000000 : seq % 977 == 5 ? base + 9000000 : base - base % 3000;
}

static void fill(struct tl_index *index, uint64_t from, uint64_t to)
{
    static struct tl_index_entry entries[RECORDS];
    static struct tl_buf bufs[RECORDS];
    for (uint64_t seq = from; seq < to; seq++) {
        tl_buf_init(&bufs[seq], 200);
        terms_of(&bufs[seq], seq);
        entries[seq - from] = (struct tl_index_entry){ .seq = seq,
                                                       .occurred_us = occurred_of(seq),
                                                       .terms = tl_buf_str(&bufs[seq]) };
    }
    check_ok(tl_index_add(index, entries, (size_t)(to - from), NULL));
    for (uint64_t seq = from; seq < to; seq++) {
        tl_buf_release(&bufs[seq]);
    }
}

static struct tl_index *open_index(enum tally_store_mode mode)
{
    struct tl_index *index = NULL;
    check_ok(tl_index_open(&index, path, mode, NULL));
    return index;
}

struct hit {
    int64_t occurred;
    uint64_t seq;
};

struct hits {
    struct hit hits[RECORDS];
    size_t count, stop_at;
};

static tally_status take(void *ctx, uint64_t seq, int64_t occurred)
{
    struct hits *hits = ctx;
    assert_true(hits->count < RECORDS);
    /* the index need not know the time */
    assert_true(occurred == INT64_MIN || occurred == occurred_of(seq));
    hits->hits[hits->count++] = (struct hit){ .occurred = occurred_of(seq), .seq = seq };
    return hits->count == hits->stop_at ? TALLY_ECANCELED : TALLY_OK;
}

/* Takes the first of the terms in `left` off. */
static struct tl_str next_term(struct tl_str *left)
{
    const char *end = memchr(left->text, TL_INDEX_SEPARATOR, left->len);
    struct tl_str term = { left->text, end == NULL ? left->len : (size_t)(end - left->text) };
    size_t used = term.len + (end == NULL ? 0 : 1);
    *left = (struct tl_str){ left->text + used, left->len - used };
    return term;
}

static bool has_term(uint64_t seq, struct tl_str term)
{
    static struct tl_buf bufs[RECORDS]; /* kept: it is asked for very often */
    if (bufs[seq].len_max == 0) {
        tl_buf_init(&bufs[seq], 200);
        terms_of(&bufs[seq], seq);
    }
    bool found = false;
    for (struct tl_str left = tl_buf_str(&bufs[seq]); left.len > 0;) {
        found = tl_str_equal(next_term(&left), term) || found;
    }
    return found;
}

static bool fits(const struct tl_index_query *query, uint64_t seq)
{
    int64_t occurred = occurred_of(seq);
    bool all = seq >= query->seq_first && seq < query->seq_end &&
               occurred >= query->occurred_from && occurred < query->occurred_to;
    for (size_t g = 0; all && g < query->group_count; g++) {
        all = false;
        for (size_t i = 0; i < query->groups[g].count; i++) {
            all = all || has_term(seq, query->groups[g].terms[i]);
        }
    }
    return all;
}

static int by_time(const void *a, const void *b)
{
    const struct hit *x = a;
    const struct hit *y = b;
    if (x->occurred != y->occurred) {
        return x->occurred < y->occurred ? -1 : 1;
    }
    return x->seq < y->seq ? -1 : 1;
}

/* What the query should name, found by looking at every record. */
static void expect(const struct tl_index_query *query, struct hits *want)
{
    want->count = 0;
    for (uint64_t seq = 0; seq < RECORDS; seq++) {
        if (fits(query, seq)) {
            want->hits[want->count++] = (struct hit){ occurred_of(seq), seq };
        }
    }
    if (query->by_occurred) {
        qsort(want->hits, want->count, sizeof(want->hits[0]), by_time);
    }
    for (size_t i = 0; !query->ascending && i < want->count / 2; i++) {
        struct hit swap = want->hits[i];
        want->hits[i] = want->hits[want->count - 1 - i];
        want->hits[want->count - 1 - i] = swap;
    }
}

static void check_query(struct tl_index *index, const struct tl_index_query *query)
{
    static struct hits want;
    static struct hits got;
    expect(query, &want);
    got.count = 0;
    got.stop_at = 0;
    check_ok(tl_index_search(index, query, take, &got, NULL));
    assert_int_equal(got.count, want.count);
    for (size_t i = 0; i < want.count; i++) {
        assert_int_equal(got.hits[i].seq, want.hits[i].seq);
    }
    if (!query->by_occurred || want.count < 3) {
        return;
    }
    /* Page by page, every page after the last record of the one before. */
    struct tl_index_query page = *query;
    size_t page_len = want.count / 3 + 1;
    for (size_t done = 0; done < want.count;) {
        got.count = 0;
        got.stop_at = page_len;
        check_ok(tl_index_search(index, &page, take, &got, NULL));
        assert_true(got.count > 0);
        for (size_t i = 0; i < got.count; i++, done++) {
            assert_int_equal(got.hits[i].seq, want.hits[done].seq);
        }
        page.has_after = true;
        page.after_occurred = got.hits[got.count - 1].occurred;
        page.after_seq = got.hits[got.count - 1].seq;
    }
}

/* The same query in every order and over several ranges. */
static void check_all_orders(struct tl_index *index, const struct tl_index_group *groups,
                             size_t group_count)
{
    static const struct {
        uint64_t first, end;
    } seqs[] = { { 0, UINT64_MAX }, { 100, 9000 }, { 4096, 4097 }, { 8191, 8193 } };
    int64_t middle = occurred_of(5000);
    const struct {
        int64_t from, to;
    } times[] = { { INT64_MIN, INT64_MAX },
                  { middle, middle + 100000 },
                  { INT64_MIN, middle },
                  { middle, INT64_MAX },
                  { 0, 1 } };
    for (size_t s = 0; s < TL_ARRAY_LEN(seqs); s++) {
        for (size_t t = 0; t < TL_ARRAY_LEN(times); t++) {
            for (unsigned order = 0; order < 4; order++) {
                const struct tl_index_query query = { .groups = groups,
                                                      .group_count = group_count,
                                                      .seq_first = seqs[s].first,
                                                      .seq_end = seqs[s].end,
                                                      .occurred_from = times[t].from,
                                                      .occurred_to = times[t].to,
                                                      .by_occurred = (order & 1) != 0,
                                                      .ascending = (order & 2) != 0 };
                check_query(index, &query);
            }
        }
    }
}

static void names_the_records_that_looking_at_each_would_find(void **state)
{
    (void)state;
    struct tl_index *index = open_index(TALLY_STORE_WRITE);
    fill(index, 0, 1);
    fill(index, 1, 5000);
    fill(index, 5000, RECORDS);
    static const struct tl_str a3[] = { { "a=3", 3 } };
    static const struct tl_str a35[] = { { "a=3", 3 }, { "a=5", 3 } };
    static const struct tl_str b9[] = { { "b=9", 3 } };
    static const struct tl_str rare[] = { { "rare=\"4000\" OR *", 16 } };
    static const struct tl_str absent[] = { { "a=7", 3 } };
    const struct tl_index_group groups[][2] = {
        { { a3, 1 }, { b9, 1 } },      { { a35, 2 }, { b9, 1 } },     { { rare, 1 }, { a3, 1 } },
        { { absent, 1 }, { a35, 2 } }, { { a35, 2 }, { absent, 1 } }, { { b9, 1 }, { a3, 1 } },
    };
    check_all_orders(index, NULL, 0);
    for (size_t i = 0; i < TL_ARRAY_LEN(groups); i++) {
        check_all_orders(index, groups[i], 1);
        check_all_orders(index, groups[i], 2);
    }
    tl_index_close(index);
}

static void takes_every_byte_of_a_term_as_it_is(void **state)
{
    (void)state;
    static const struct tl_str terms[] = {
        { "\"", 1 },         { "\"\"", 2 },     { "x AND y", 7 },   { "NEAR(a)", 7 },
        { "^a*", 3 },        { "{a}:b", 5 },    { "Z\xc3\xb6", 3 }, { "z\xc3\xb6", 3 },
        { "Zo\xcc\x88", 4 }, { "\xff\xfe", 2 }, { " a ", 3 },       { "a\\'\n", 4 },
        { "-", 1 },          { "a", 1 },        { "A", 1 },
    };
    struct tl_index *index = open_index(TALLY_STORE_WRITE);
    struct tl_index_entry entries[TL_ARRAY_LEN(terms)];
    for (size_t i = 0; i < TL_ARRAY_LEN(terms); i++) {
        entries[i] = (struct tl_index_entry){ .seq = i, .terms = terms[i] };
    }
    check_ok(tl_index_add(index, entries, TL_ARRAY_LEN(terms), NULL));
    for (size_t i = 0; i < TL_ARRAY_LEN(terms); i++) {
        const struct tl_index_group group = { &terms[i], 1 };
        const struct tl_index_query query = { .groups = &group,
                                              .group_count = 1,
                                              .seq_end = UINT64_MAX,
                                              .occurred_from = INT64_MIN,
                                              .occurred_to = INT64_MAX };
        static struct hits got;
        got.count = 0;
        check_ok(tl_index_search(index, &query, take, &got, NULL));
        assert_int_equal(got.count, 1);
        assert_int_equal(got.hits[0].seq, i);
    }
    tl_index_close(index);
}

static void finds_nothing_for_terms_that_cannot_be_there(void **state)
{
    (void)state;
    struct tl_index *index = open_index(TALLY_STORE_WRITE);
    fill(index, 0, 100);
    static const struct tl_str terms[] = { { "", 0 },
                                           { "a=3\x1f"
                                             "b=9",
                                             7 },
                                           { "a=3\0", 4 } };
    const struct tl_index_group groups[] = { { terms, 3 }, { terms, 0 } };
    for (size_t i = 0; i < 2; i++) {
        const struct tl_index_query query = { .groups = &groups[i],
                                              .group_count = 1,
                                              .seq_end = UINT64_MAX,
                                              .occurred_from = INT64_MIN,
                                              .occurred_to = INT64_MAX };
        static struct hits got;
        got.count = 0;
        check_ok(tl_index_search(index, &query, take, &got, NULL));
        assert_int_equal(got.count, 0);
    }
    tl_index_close(index);
}

static void refuses_entries_that_leave_a_hole(void **state)
{
    (void)state;
    struct tl_index *index = open_index(TALLY_STORE_WRITE);
    uint64_t position = 1;
    check_ok(tl_index_position(index, &position, NULL));
    assert_int_equal(position, 0);
    fill(index, 0, 10);
    const struct tl_index_entry hole[] = { { .seq = 10, .terms = { "a", 1 } },
                                           { .seq = 12, .terms = { "a", 1 } } };
    check_status(tl_index_add(index, hole, 2, NULL), TALLY_ECONFLICT);
    check_ok(tl_index_position(index, &position, NULL));
    assert_int_equal(position, 10);
    fill(index, 10, RECORDS);
    tl_index_close(index);
    index = open_index(TALLY_STORE_READ);
    check_ok(tl_index_position(index, &position, NULL));
    assert_int_equal(position, RECORDS);
    check_all_orders(index, NULL, 0);
    tl_index_close(index);
}

#define SHIFT 9
#define SUMS  ((RECORDS >> SHIFT) + 1)

static void check_digest(struct tl_index *index, bool same)
{
    static const uint8_t key[16] = "0123456789abcde";
    static uint64_t got[SUMS];
    static uint64_t want[SUMS];
    memset(got, 0, sizeof(got));
    memset(want, 0, sizeof(want));
    check_ok(tl_index_digest(index, key, SHIFT, got, SUMS, UINT64_MAX, NULL));
    struct tl_buf buf;
    tl_buf_init(&buf, 200);
    for (uint64_t seq = 0; seq < RECORDS; seq++) {
        terms_of(&buf, seq);
        want[seq >> SHIFT] += tl_index_digest_time(key, occurred_of(seq), seq);
        struct tl_str last = { 0 };
        for (struct tl_str left = tl_buf_str(&buf); left.len > 0;) {
            struct tl_str term = next_term(&left);
            if (!tl_str_equal(term, last)) { /* b is there twice */
                want[seq >> SHIFT] += tl_index_digest_term(key, term, seq);
            }
            last = term;
        }
    }
    tl_buf_release(&buf);
    assert_int_equal(memcmp(got, want, sizeof(got)) == 0, same);
}

static void its_digest_is_that_of_what_was_entered(void **state)
{
    (void)state;
    struct tl_index *index = open_index(TALLY_STORE_WRITE);
    fill(index, 0, 7777);
    check_digest(index, false);
    fill(index, 7777, RECORDS);
    check_digest(index, true);
    uint64_t few[SUMS / 2] = { 0 };
    check_status(tl_index_digest(index, (const uint8_t *)"0123456789abcde", SHIFT, few, SUMS / 2,
                                 UINT64_MAX, NULL),
                 TALLY_ECORRUPT);
    tl_index_close(index);
}

static void it_does_not_matter_how_many_are_entered_at_once(void **state)
{
    (void)state;
    struct tl_index *index = open_index(TALLY_STORE_WRITE);
    uint64_t seq = 0;
    for (uint64_t pieces = 0; seq < RECORDS; pieces++) {
        /* One by one at first; then now many, now few, so that small segments meet large ones. */
        uint64_t count = seq < 700 ? 1 : pieces % 5 == 0 ? 900 : pieces % 11 + 1;
        uint64_t end = seq + count < RECORDS ? seq + count : RECORDS;
        fill(index, seq, end);
        seq = end;
    }
    check_digest(index, true);
    static const struct tl_str b9[] = { { "b=9", 3 } };
    const struct tl_index_group group = { b9, 1 };
    check_all_orders(index, &group, 1);
    tl_index_close(index);
}

static tally_status enter_some(const void *ctx)
{
    static const struct tl_index_entry entries[] = { { .seq = 7, .terms = { "a\x1fz", 3 } },
                                                     { .seq = 8, .terms = { "b", 1 } } };
    struct tl_index *index = *(struct tl_index *const *)ctx;
    tally_status status = tl_index_add(index, entries, TL_ARRAY_LEN(entries), NULL);
    uint64_t position = 0;
    check_ok(tl_index_position(index, &position, NULL));
    assert_int_equal(position, status == TALLY_OK ? 9 : 7);
    return status;
}

static void enters_nothing_where_memory_runs_out(void **state)
{
    (void)state;
    struct tl_index *index = open_index(TALLY_STORE_WRITE);
    for (uint64_t seq = 0; seq < 7; seq++) {
        fill(index, seq, seq + 1); /* so that there is something to merge with */
    }
    assert_true(fault_each_alloc(enter_some, &index) > 5);
    tl_index_close(index);
}

static void refuses_terms_that_are_too_long(void **state)
{
    (void)state;
    static char text[2000];
    memset(text, 'a', sizeof(text));
    struct tl_index *index = open_index(TALLY_STORE_WRITE);
    const struct tl_index_entry entry = { .terms = { text, sizeof(text) } };
    check_status(tl_index_add(index, &entry, 1, NULL), TALLY_ELIMIT);
    fill(index, 0, 10);
    tl_index_close(index);
}

static void an_index_that_cannot_be_used_is_made_anew(void **state)
{
    (void)state;
    struct tl_index *index = NULL;
    check_status(tl_index_open(&index, path, TALLY_STORE_READ, NULL), TALLY_ENOTFOUND);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs("this is not a database, and longer than its header would be: one hundred "
                      "bytes, so here are some more",
                      file) > 0);
    assert_int_equal(fclose(file), 0);
    check_status(tl_index_open(&index, path, TALLY_STORE_READ, NULL), TALLY_ECORRUPT);
    index = open_index(TALLY_STORE_WRITE);
    fill(index, 0, 3);
    tl_index_close(index);
    index = open_index(TALLY_STORE_WRITE);
    uint64_t position = 0;
    check_ok(tl_index_position(index, &position, NULL));
    assert_int_equal(position, 3);
    tl_index_close(index);
}

int main(void)
{
#define IN_DIR(test) cmocka_unit_test_setup_teardown(test, make_dir, check_rmdir)
    const struct CMUnitTest tests[] = {
        IN_DIR(names_the_records_that_looking_at_each_would_find),
        IN_DIR(takes_every_byte_of_a_term_as_it_is),
        IN_DIR(finds_nothing_for_terms_that_cannot_be_there),
        IN_DIR(refuses_entries_that_leave_a_hole),
        IN_DIR(its_digest_is_that_of_what_was_entered),
        IN_DIR(it_does_not_matter_how_many_are_entered_at_once),
        IN_DIR(enters_nothing_where_memory_runs_out),
        IN_DIR(refuses_terms_that_are_too_long),
        IN_DIR(an_index_that_cannot_be_used_is_made_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
