/* Finding, counting and summarising give what a look at every record gives. */
#include <tally/tally.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "support/site.h"

#define EVENTS   600u
#define ROWS_MAX 20000u

static struct site site;
static struct tally_ledger *ledger;

/* What is known of each event by construction. */
static const char *const actions[] = { "user.login", "user.logout", "doc.read", "doc.read.all",
                                       "login" };
static const char *const severities[] = { "low", "medium", "high", "critical" };

static void make_event(char *out, size_t size, unsigned n)
{
    int len = snprintf(
        out, size,
        "{\"id\":\"event/%u\",\"action\":\"%s\",\"severity\":\"%s\",\"outcome\":\"%s\","
        "\"occurred_at\":\"2026-01-%02uT00:00:%02uZ\",\"actor\":{\"id\":\"u%u\",\"type\":\"user\","
        "\"name\":\"Name %u\"},\"targets\":[{\"type\":\"doc\",\"id\":\"d%u\"},{\"type\":\"box\","
        "\"id\":\"d%u\"}],\"source\":{\"service\":\"s%u\",\"host\":\"h%u\",\"ip\":\"10.0.0.%u\"},"
        "\"transport\":\"http\",\"tenant_id\":\"t%u\",\"correlation_id\":\"c%u\","
        "\"causation_id\":\"x%u\",\"request_id\":\"r%u\",\"session_id\":\"q%u\","
        "\"trace_id\":\"%032x\",\"span_id\":\"%016x\",\"tags\":[\"tag%u\",\"all\"],"
        "\"reason\":\"word%u common\"}",
        n, actions[n % 5], severities[n % 4], n % 7 == 0 ? "failure" : "success", 1 + n % 28, n % 3,
        n % 11, n % 11, n % 13, n % 17, n % 3, n % 5, n % 200, n % 6, n % 19, n % 23, n, n % 29,
        n % 31 + 1, n % 37 + 1, n % 9, n % 41);
    assert_true(len > 0 && (size_t)len < size);
}

static void append_events(struct tally_ledger *to, unsigned first, unsigned end)
{
    static struct tally_receipt receipts[EVENTS];
    struct tally_events *events = NULL;
    check_ok(tally_events_new(&events, to, NULL));
    for (unsigned n = first; n < end; n++) {
        char text[2048];
        make_event(text, sizeof(text), n);
        check_ok(tally_events_add(events, text, strlen(text), 0, NULL));
    }
    check_ok(tally_append_events(to, events, receipts, NULL));
    tally_events_free(events);
}

static int set_up(void **state)
{
    if (check_mkdir(state) != 0) {
        return -1;
    }
    site_init(&site, *state, NULL, 0);
    ledger = site_open(&site);
    append_events(ledger, 0, EVENTS);
    check_ok(tally_wait_indexed(ledger, NULL));
    return 0;
}

static int tear_down(void **state)
{
    tally_close(ledger);
    return check_rmdir(state);
}

/* The seqs that a query finds, in its order, over as many pages as it takes. */
struct rows {
    uint64_t seq[ROWS_MAX];
    int64_t occurred_us[ROWS_MAX];
    size_t count;
};
static struct rows found;
static struct rows expected;
static struct rows first_found;

static void walk(struct tally_ledger *from, struct tally_query query, struct rows *rows)
{
    char cursor[256] = "";
    rows->count = 0;
    for (;;) {
        struct tally_page *page = NULL;
        check_ok(tally_find(from, &query, &page, NULL));
        assert_int_equal(page->complete, 1);
        for (size_t i = 0; i < page->count; i++) {
            assert_true(rows->count < ROWS_MAX);
            rows->seq[rows->count] = page->items[i].seq;
            rows->occurred_us[rows->count++] = page->items[i].occurred_us;
        }
        bool more = page->next != NULL;
        if (more) {
            (void)snprintf(cursor, sizeof(cursor), "%s", page->next);
        }
        tally_page_free(page);
        if (!more) {
            return;
        }
        query.cursor = cursor;
        query.offset = 0;
    }
}

static struct tally_query query_of(const struct tally_condition *conditions, size_t count)
{
    struct tally_query query = TALLY_QUERY_INIT;
    query.conditions = conditions;
    query.condition_count = count;
    query.ascending = 1;
    query.limit = 100;
    return query;
}

/* Whether event n has `value` in `field`, by construction. */
static bool has(unsigned n, const char *field, const char *value)
{
    char text[2048];
    char part[256];
    static const struct {
        const char *field;
        const char *before; /* the value, in the event's text */
        const char *after;
    } forms[] = {
        { "id", "\"id\":\"", "\",\"action\"" },
        { "action", "\"action\":\"", "\"" },
        { "severity", "\"severity\":\"", "\"" },
        { "outcome", "\"outcome\":\"", "\"" },
        { "actor_id", "\"actor\":{\"id\":\"", "\"" },
        { "actor_type", "\"type\":\"", "\",\"name\"" },
        { "actor_name", "\"name\":\"", "\"" },
        { "target_type", "{\"type\":\"", "\",\"id\"" },
        { "target_id", "\"id\":\"", "\"}" },
        { "service", "\"service\":\"", "\"" },
        { "host", "\"host\":\"", "\"" },
        { "ip", "\"ip\":\"", "\"" },
        { "transport", "\"transport\":\"", "\"" },
        { "tenant_id", "\"tenant_id\":\"", "\"" },
        { "correlation_id", "\"correlation_id\":\"", "\"" },
        { "causation_id", "\"causation_id\":\"", "\"" },
        { "request_id", "\"request_id\":\"", "\"" },
        { "session_id", "\"session_id\":\"", "\"" },
        { "trace_id", "\"trace_id\":\"", "\"" },
        { "span_id", "\"span_id\":\"", "\"" },
        { "tag", "\"", "\"," },
        { "text", "\"reason\":\"", " " },
    };
    make_event(text, sizeof(text), n);
    for (size_t i = 0; i < TL_ARRAY_LEN(forms); i++) {
        if (strcmp(forms[i].field, field) == 0) {
            int len =
                snprintf(part, sizeof(part), "%s%s%s", forms[i].before, value, forms[i].after);
            assert_true(len > 0 && (size_t)len < sizeof(part));
            return strstr(text, part) != NULL;
        }
    }
    fail_msg("no form for '%s'", field);
    return false;
}

/* The first event is at the seq that its receipt named. */
static uint64_t first_seq(void)
{
    struct tally_page *page = NULL;
    check_ok(tally_get_by_id(ledger, "event/0", &page, NULL));
    uint64_t seq = page->items[0].seq;
    tally_page_free(page);
    return seq;
}

static void check_same(const char *what)
{
    if (found.count != expected.count) {
        print_error("%s: %zu found, %zu expected\n", what, found.count, expected.count);
    }
    assert_int_equal(found.count, expected.count);
    assert_memory_equal(found.seq, expected.seq, found.count * sizeof(found.seq[0]));
}

static void check_count(struct tally_query query, uint64_t want)
{
    uint64_t count = 0;
    int exact = 0;
    query.count = TALLY_COUNT_EXACT;
    check_ok(tally_count(ledger, &query, &count, &exact, NULL));
    assert_int_equal(count, want);
    assert_int_equal(exact, 1);
    query.count = TALLY_COUNT_CAPPED;
    check_ok(tally_count(ledger, &query, &count, &exact, NULL));
    assert_int_equal(count, want);
}

static void check_refused(const struct tally_query *query, const char *code)
{
    struct tally_page *page = NULL;
    struct tally_error error = TALLY_ERROR_INIT;
    check_status(tally_find(ledger, query, &page, &error), TALLY_EREFUSED);
    assert_string_equal(error.code, code);
    assert_null(page);
}

static void each_filter_finds_what_has_the_value(void **state)
{
    (void)state;
    static const struct tally_condition each[] = {
        { "id", "event/17" },
        { "action", "doc.read" },
        { "severity", "high" },
        { "outcome", "failure" },
        { "actor_id", "u3" },
        { "actor_type", "user" },
        { "actor_name", "Name 4" },
        { "target_type", "box" },
        { "target_id", "d5" },
        { "service", "s1" },
        { "host", "h4" },
        { "ip", "10.0.0.7" },
        { "transport", "http" },
        { "tenant_id", "t2" },
        { "correlation_id", "c18" },
        { "causation_id", "x22" },
        { "request_id", "r599" },
        { "session_id", "q0" },
        { "tag", "tag8" },
        { "text", "word40" },
        { "actor_id", "nobody" },
        { "span_id", "0000000000000011" },
        { "trace_id", "00000000000000000000000000000011" },
    };
    uint64_t base = first_seq();
    for (size_t i = 0; i < TL_ARRAY_LEN(each); i++) {
        expected.count = 0;
        for (unsigned n = 0; n < EVENTS; n++) {
            if (has(n, each[i].field, each[i].value)) {
                expected.seq[expected.count++] = base + n;
            }
        }
        struct tally_query query = query_of(&each[i], 1);
        walk(ledger, query, &found);
        check_same(each[i].field);
        check_count(query, expected.count);
    }
}

static void conditions_are_anded_and_values_ored(void **state)
{
    (void)state;
    static const struct tally_condition both[] = { { "actor_id", "u1" },
                                                   { "severity", "high" },
                                                   { "actor_id", "u2" } };
    uint64_t base = first_seq();
    expected.count = 0;
    for (unsigned n = 0; n < EVENTS; n++) {
        if (n % 4 == 2 && (n % 11 == 1 || n % 11 == 2)) {
            expected.seq[expected.count++] = base + n;
        }
    }
    walk(ledger, query_of(both, 3), &found);
    check_same("and, or");
    check_count(query_of(both, 3), expected.count);
}

/* Each of the first half is ANDed with each of the second, also where both name one field. */
static void a_search_within_another_finds_what_both_do(void **state)
{
    (void)state;
    static const struct tally_condition asked[] = {
        { "actor_id", "u1" }, { "action", "user.*" }, { "action", "tally.*" }, { "kind", "all" },
        { "id", "event/7" },  { "seq_from", "0" },    { "from", "-7d" },
    };
    static const struct tally_condition within[] = {
        { "actor_id", "u1" }, { "actor_id", "u2" },  { "action", "user.login" },
        { "id", "event/7" },  { "severity", "low" }, { "seq_to", "9" },
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(asked) * TL_ARRAY_LEN(within); i++) {
        struct tally_query query = query_of(&asked[i / TL_ARRAY_LEN(within)], 1);
        walk(ledger, query, &found);
        first_found = found;
        walk(ledger, query_of(&within[i % TL_ARRAY_LEN(within)], 1), &found);
        expected.count = 0;
        for (size_t n = 0, m = 0; n < first_found.count && m < found.count;) {
            if (first_found.seq[n] == found.seq[m]) {
                expected.seq[expected.count++] = first_found.seq[n];
            }
            bool is_behind = first_found.seq[n] <= found.seq[m];
            n += is_behind ? 1 : 0;
            m += is_behind ? 0 : 1;
        }
        query.within = &within[i % TL_ARRAY_LEN(within)];
        query.within_count = 1;
        walk(ledger, query, &found);
        check_same(query.within->field);
        check_count(query, expected.count);
    }
}

/* Within a search that names nothing there are events alone, and none of the ledger's own. */
static void a_search_within_an_empty_one_finds_events_alone(void **state)
{
    (void)state;
    const struct tally_condition all = { "kind", "all" };
    struct tally_query query = query_of(&all, 1);
    query.within = &all;
    query.within_count = 0;
    check_count(query, EVENTS);
    query.limit = 1;
    struct tally_page *page = NULL;
    check_ok(tally_find(ledger, &query, &page, NULL));
    struct tally_query outside = query_of(&all, 1);
    outside.cursor = page->next;
    check_refused(&outside, "bad_cursor");
    tally_page_free(page);
}

static void prefixes_ranges_and_aliases_work(void **state)
{
    (void)state;
    static const struct {
        struct tally_condition condition[2];
        size_t count;
        unsigned want;
    } table[] = {
        { { { "action", "user.*" } }, 1, EVENTS * 2 / 5 },
        { { { "action", "doc.read.*" } }, 1, EVENTS / 5 },
        { { { "severity_min", "high" } }, 1, EVENTS / 2 },
        { { { "user_id", "u0" } }, 1, (EVENTS + 10) / 11 },
        { { { "from", "2026-01-02" }, { "to", "2026-01-03" } }, 2, 22 },
        { { { "from", "2026-01-02" }, { "until", "2026-01-02T00:00:00Z" } }, 2, 7 },
        { { { "tenant_id", "" } }, 1, 0 },
        { { { "kind", "genesis" } }, 1, 1 },
        { { { "kind", "resume" } }, 1, 1 },
        { { { "kind", "all" } }, 1, EVENTS + 2 },
        { { { "state", "present" } }, 1, EVENTS },
        { { { "state", "erased" } }, 1, 0 },
        { { { "recorded_from", "-1h" }, { "recorded_to", "now" } }, 2, EVENTS },
        { { { "recorded_to", "-1h" } }, 1, 0 },
        { { { "target_type", "doc" }, { "target_id", "d16" } }, 2, 0 },
        { { { "text", "COMMON" } }, 1, EVENTS },
        { { { "seq_from", "12" }, { "seq_to", "20" } }, 2, 8 },
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(table); i++) {
        struct tally_query query = query_of(table[i].condition, table[i].count);
        walk(ledger, query, &found);
        if (found.count != table[i].want) {
            print_error("row %zu: %zu found, want %u\n", i, found.count, table[i].want);
        }
        assert_int_equal(found.count, table[i].want);
        check_count(query, table[i].want);
    }
}

static void pages_of_every_order_are_the_scan_in_that_order(void **state)
{
    (void)state;
    static const struct tally_condition condition = { "severity_min", "medium" };
    for (unsigned shape = 0; shape < 4; shape++) {
        struct tally_query query = query_of(&condition, 1);
        query.order = shape < 2 ? TALLY_ORDER_SEQ : TALLY_ORDER_OCCURRED;
        query.ascending = (int)(shape % 2);
        query.limit = 1000;
        walk(ledger, query, &expected);
        assert_int_equal(expected.count, EVENTS * 3 / 4);
        for (size_t i = 1; i < expected.count; i++) {
            int64_t step = shape < 2 ? 0 : expected.occurred_us[i] - expected.occurred_us[i - 1];
            bool rises = step > 0 || (step == 0 && expected.seq[i] > expected.seq[i - 1]);
            assert_int_equal(rises, query.ascending != 0); /* equal times: by position */
        }
        static const uint32_t limits[] = { 1, 7, 50, 449, 450, 451 };
        for (size_t i = 0; i < TL_ARRAY_LEN(limits); i++) {
            query.limit = limits[i];
            walk(ledger, query, &found);
            check_same("pages");
        }
    }
}

static void an_offset_skips_so_many(void **state)
{
    (void)state;
    struct tally_query query = query_of(NULL, 0);
    walk(ledger, query, &expected);
    for (unsigned offset = 0; offset <= EVENTS + 10; offset += 61) {
        query.offset = offset;
        walk(ledger, query, &found);
        assert_int_equal(found.count, offset < EVENTS ? EVENTS - offset : 0);
        if (found.count > 0) {
            assert_int_equal(found.seq[0], expected.seq[offset]);
        }
    }
}

static void what_cannot_be_meant_is_refused(void **state)
{
    (void)state;
    static const struct tally_condition unknown = { "colour", "red" };
    static const struct tally_condition bad_time = { "from", "soon" };
    static const struct tally_condition twice[] = { { "from", "2026-01-01" },
                                                    { "from", "2026-01-02" } };
    struct tally_query query = query_of(&unknown, 1);
    check_refused(&query, "unknown_filter");
    query = query_of(&bad_time, 1);
    check_refused(&query, "bad_parameter");
    query = query_of(twice, 2);
    check_refused(&query, "bad_parameter");
    query = query_of(NULL, 0);
    query.limit = 1001;
    check_refused(&query, "bad_limit");
    query.limit = 10;
    query.offset = 100001;
    check_refused(&query, "bad_limit");

    static const char *const cursors[] = { "", "x", "00",
                                           "zz00000000000000000000000000000000000000",
                                           "0000000000000000000000000000000000000000" };
    query.offset = 0;
    for (size_t i = 0; i < TL_ARRAY_LEN(cursors); i++) {
        query.cursor = cursors[i];
        check_refused(&query, "bad_cursor");
    }
    struct tally_page *page = NULL;
    query.cursor = NULL;
    check_ok(tally_find(ledger, &query, &page, NULL));
    struct tally_query other = query;
    other.cursor = page->next;
    other.ascending = 0;
    check_refused(&other, "bad_cursor"); /* of another order */
    other.ascending = 1;
    other.offset = 1;
    check_refused(&other, "bad_parameter");
    tally_page_free(page);
}

static void one_record_is_got_by_id_and_by_seq(void **state)
{
    (void)state;
    struct tally_page *page = NULL;
    check_ok(tally_get_by_id(ledger, "event/42", &page, NULL));
    assert_int_equal(page->count, 1);
    uint64_t seq = page->items[0].seq;
    char line[4096];
    (void)snprintf(line, sizeof(line), "%s", page->items[0].line);
    assert_int_equal(page->items[0].line_len, strlen(line));
    tally_page_free(page);
    check_ok(tally_get_by_seq(ledger, seq, &page, NULL));
    assert_string_equal(page->items[0].line, line);
    assert_non_null(memmem(line, strlen(line), page->items[0].event, page->items[0].event_len));
    tally_page_free(page);
    check_ok(tally_get_by_seq(ledger, 0, &page, NULL));
    assert_string_equal(page->items[0].kind, "genesis");
    tally_page_free(page);
    page = NULL;
    check_status(tally_get_by_id(ledger, "event/600", &page, NULL), TALLY_ENOTFOUND);
    check_status(tally_get_by_id(ledger, "", &page, NULL), TALLY_ENOTFOUND);
    check_status(tally_get_by_seq(ledger, EVENTS + 2, &page, NULL), TALLY_ENOTFOUND);
    check_status(tally_get_by_seq(ledger, UINT64_MAX, &page, NULL), TALLY_ENOTFOUND);
    assert_null(page);
}

static void a_page_counts_all_that_fits(void **state)
{
    (void)state;
    static const struct tally_condition condition = { "severity", "low" };
    struct tally_query query = query_of(&condition, 1);
    struct tally_page *page = NULL;
    query.count = TALLY_COUNT_EXACT;
    query.limit = 3;
    check_ok(tally_find(ledger, &query, &page, NULL));
    assert_int_equal(page->count, 3);
    assert_int_equal(page->has_total, 1);
    assert_int_equal(page->total, EVENTS / 4);
    assert_int_equal(page->total_exact, 1);
    tally_page_free(page);
}

static void statistics_agree_with_counts(void **state)
{
    (void)state;
    static const char *const fields[] = { "action",    "actor_id", "outcome",
                                          "tenant_id", "severity", "service" };
    struct tally_query query = query_of(NULL, 0);
    for (size_t i = 0; i < TL_ARRAY_LEN(fields); i++) {
        struct tally_stats *stats = NULL;
        check_ok(tally_stats(ledger, &query, fields[i], 0, &stats, NULL));
        uint64_t sum = 0;
        for (size_t row = 0; row < stats->count; row++) {
            struct tally_condition condition = { fields[i], stats->rows[row].key };
            check_count(query_of(&condition, 1), stats->rows[row].count);
            sum += stats->rows[row].count;
            assert_true(row == 0 || stats->rows[row].count <= stats->rows[row - 1].count);
        }
        assert_int_equal(sum, EVENTS);
        assert_int_equal(stats->total, EVENTS);
        assert_int_equal(stats->others, 0);
        tally_stats_free(stats);
    }
    struct tally_stats *stats = NULL;
    check_ok(tally_stats(ledger, &query, "day", 0, &stats, NULL));
    assert_int_equal(stats->count, 28);
    for (size_t row = 0; row < stats->count; row++) {
        assert_int_equal(stats->rows[row].count, row < EVENTS % 28 ? 22 : 21);
    }
    tally_stats_free(stats);
    check_status(tally_stats(ledger, &query, "colour", 0, &stats, NULL), TALLY_EREFUSED);
    check_status(tally_stats(ledger, &query, "action", 3, &stats, NULL), TALLY_EREFUSED);
    check_status(tally_stats(ledger, &query, "action", -1, &stats, NULL), TALLY_EREFUSED);
    check_status(tally_stats(ledger, &query, "day", TALLY_BUCKET_HOUR, &stats, NULL),
                 TALLY_EREFUSED);
}

/* Each day is the sum of its hours, and each hour is one more than the one before. */
static void hours_add_up_to_days(void **state)
{
    (void)state;
    const int64_t hour_us = INT64_C(3600000000);
    struct tally_query query = query_of(NULL, 0);
    struct tally_stats *days = NULL;
    struct tally_stats *hours = NULL;
    check_ok(tally_stats(ledger, &query, "outcome", TALLY_BUCKET_DAY, &days, NULL));
    check_ok(tally_stats(ledger, &query, "outcome", TALLY_BUCKET_HOUR, &hours, NULL));
    assert_int_equal(days->bucket, TALLY_BUCKET_DAY);
    assert_int_equal(hours->bucket, TALLY_BUCKET_HOUR);
    for (size_t i = 0; i < days->count; i++) {
        uint64_t sum = 0;
        for (size_t j = 0; j < hours->count; j++) {
            int64_t from_us = hours->rows[j].day_us - days->rows[i].day_us;
            bool is_within = from_us >= 0 && from_us < 24 * hour_us;
            bool is_same = strcmp(hours->rows[j].key, days->rows[i].key) == 0;
            sum += is_within && is_same ? hours->rows[j].count : 0;
        }
        assert_int_equal(sum, days->rows[i].count);
    }
    tally_stats_free(hours);
    check_ok(tally_stats(ledger, &query, "hour", 0, &hours, NULL));
    for (size_t j = 1; j < hours->count; j++) {
        assert_int_equal(hours->rows[j].day_us - hours->rows[j - 1].day_us, hour_us);
    }
    assert_int_equal(hours->total, EVENTS);
    tally_stats_free(hours);
    tally_stats_free(days);
}

/* Appends one event a call, until it has appended them all. */
static void *keep_appending(void *ctx)
{
    atomic_uint *appended = ctx;
    for (unsigned n = 0; n < 10000; n += 100) {
        static struct tally_receipt receipts[100];
        struct tally_events *events = NULL;
        check_ok(tally_events_new(&events, ledger, NULL));
        for (unsigned i = 0; i < 100; i++) {
            char id[32];
            (void)snprintf(id, sizeof(id), "late/%u", n + i);
            site_add(events, id, n + i);
        }
        check_ok(tally_append_events(ledger, events, receipts, NULL));
        tally_events_free(events);
        atomic_fetch_add(appended, 100);
    }
    return NULL;
}

static void check_walk_while_appending(struct tally_query query)
{
    static struct rows before;
    walk(ledger, query, &before);
    pthread_t thread;
    atomic_uint appended = 0;
    assert_int_equal(pthread_create(&thread, NULL, keep_appending, &appended), 0);
    query.limit = 10;
    while (atomic_load(&appended) < 200) {
        (void)usleep(100);
    }
    walk(ledger, query, &found);
    assert_int_equal(pthread_join(thread, NULL), 0);

    /* All that was there comes once, in order; what arrived meanwhile may come, once. */
    size_t at = 0;
    for (size_t i = 0; i < found.count; i++) {
        assert_true(i == 0 || found.seq[i] > found.seq[i - 1] || query.ascending == 0);
        assert_true(i == 0 || found.seq[i] < found.seq[i - 1] || query.ascending != 0);
        at += at < before.count && found.seq[i] == before.seq[at] ? 1 : 0;
    }
    assert_int_equal(at, before.count);
    assert_int_equal(atomic_load(&appended), 10000);
}

static void a_cursor_stays_good_while_records_arrive(void **state)
{
    (void)state;
    struct tally_query query = query_of(NULL, 0);
    query.ascending = 0;
    check_walk_while_appending(query);
    assert_int_equal(site_count(ledger), EVENTS + 10000);
    query.ascending = 1;
    check_walk_while_appending(query); /* the same ids: nothing arrives, but writers write */
    assert_int_equal(site_count(ledger), EVENTS + 10000);
    (void)site_verify_open(ledger, &site);
}

static void check_answers(struct tally_ledger *from)
{
    static const struct tally_condition each[] = {
        { "actor_id", "u3" }, { "action", "user.*" }, { "severity_min", "high" },
        { "text", "word7" },  { "to", "2026-01-05" }, { "kind", "all" },
        { "tag", "tag1" },    { "tenant_id", "" },
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(each); i++) {
        for (unsigned shape = 0; shape < 4; shape++) {
            struct tally_query query = query_of(&each[i], 1);
            query.order = shape < 2 ? TALLY_ORDER_SEQ : TALLY_ORDER_OCCURRED;
            query.ascending = (int)(shape % 2);
            query.limit = 60;
            walk(ledger, query, &expected);
            walk(from, query, &found);
            check_same(each[i].field);
        }
    }
}

/* Removes the index of `dir`, or puts something else in its place. */
static void spoil_index(const char *dir, const char *with)
{
    char path[SITE_PATH_SIZE];
    static const char *const names[] = { "index.db", "index.db-wal", "index.db-shm" };
    for (size_t i = 0; i < TL_ARRAY_LEN(names); i++) {
        check_path(path, sizeof(path), dir, names[i]);
        (void)unlink(path);
    }
    if (with != NULL) {
        check_path(path, sizeof(path), dir, names[0]);
        FILE *file = fopen(path, "w");
        assert_non_null(file);
        for (unsigned i = 0; i < 2000; i++) {
            assert_true(fputs(with, file) >= 0);
        }
        assert_int_equal(fclose(file), 0);
    }
}

static void answers_are_the_same_without_an_index(void **state)
{
    struct site copy;
    tally_close(ledger);
    char dir[SITE_PATH_SIZE];
    check_path(dir, sizeof(dir), *state, "copy");
    site_copy(site.dir, dir);
    ledger = site_open(&site);
    static const char *const spoilt[] = { NULL, "no database at all ", "SQLite format 3\0" };
    for (size_t i = 0; i < TL_ARRAY_LEN(spoilt); i++) {
        copy = site;
        (void)snprintf(copy.dir, sizeof(copy.dir), "%s", dir);
        spoil_index(dir, spoilt[i]);
        struct tally_ledger *reader = site_open_read(&copy);
        /* The copy lacks the RESUME of the last opening. */
        struct tally_condition condition = { "actor_id", "u3" };
        walk(ledger, query_of(&condition, 1), &expected);
        walk(reader, query_of(&condition, 1), &found);
        check_same("without an index");
        assert_int_equal(site_count(reader), EVENTS);
        tally_close(reader);
    }
    tally_close(ledger);
    for (size_t i = 0; i < TL_ARRAY_LEN(spoilt); i++) {
        spoil_index(site.dir, spoilt[i]);
        ledger = site_open(&site); /* a writer makes a new one */
        check_ok(tally_wait_indexed(ledger, NULL));
        struct tally_ledger *reader = site_open_read(&site);
        check_answers(reader);
        tally_close(reader);
        struct tally_info info;
        check_ok(tally_info(ledger, &info, NULL));
        assert_int_equal(info.indexed_to, info.size);
        tally_close(ledger);
    }
    ledger = site_open(&site);
}

static void an_index_that_lags_hides_nothing(void **state)
{
    (void)state;
    struct tally_ledger *memory = site_memory("memory:1000"); /* has none at all */
    append_events(memory, 0, EVENTS);
    static const struct tally_condition each[] = { { "actor_id", "u3" },
                                                   { "text", "word7 common" },
                                                   { "to", "2026-01-05" } };
    for (size_t i = 0; i < TL_ARRAY_LEN(each); i++) {
        for (unsigned order = 0; order < 2; order++) {
            struct tally_query query = query_of(&each[i], 1);
            query.order = order == 0 ? TALLY_ORDER_SEQ : TALLY_ORDER_OCCURRED;
            query.limit = 9;
            walk(ledger, query, &expected);
            walk(memory, query, &found);
            for (size_t n = 0; n < found.count; n++) {
                found.seq[n]++; /* a ledger on disk begins with one more: RESUME */
            }
            check_same(each[i].field);
        }
    }
    tally_close(memory);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(each_filter_finds_what_has_the_value),
        CASE(conditions_are_anded_and_values_ored),
        CASE(a_search_within_another_finds_what_both_do),
        CASE(a_search_within_an_empty_one_finds_events_alone),
        CASE(prefixes_ranges_and_aliases_work),
        CASE(pages_of_every_order_are_the_scan_in_that_order),
        CASE(an_offset_skips_so_many),
        CASE(what_cannot_be_meant_is_refused),
        CASE(one_record_is_got_by_id_and_by_seq),
        CASE(a_page_counts_all_that_fits),
        CASE(statistics_agree_with_counts),
        CASE(hours_add_up_to_days),
        CASE(a_cursor_stays_good_while_records_arrive),
        CASE(answers_are_the_same_without_an_index),
        CASE(an_index_that_lags_hides_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
