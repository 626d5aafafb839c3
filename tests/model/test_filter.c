#include <stdio.h>
#include <string.h>

#include "check.h"
#include "codec/time.h"
#include "fault.h"
#include "model/filter.h"

#define NOW_US INT64_C(1773480413589793) /* 2026-03-14T09:26:53.589793Z */

static const struct tl_str members[] = {
    { "reason", 6 }, { "actor.name", 10 }, { "targets.name", 12 }, { "metadata.note", 13 }
};

static const char event[] =
    "{\"action\":\"user.role.update\",\"actor\":{\"id\":\"u-42\",\"name\":\"Zo\u00eb "
    "Example\",\"type\":\"user\"},"
    "\"correlation_id\":\"c\",\"id\":\"e1\",\"metadata\":{\"note\":{\"a\":\"Deep\\nwords\",\"key\":"
    "7},"
    "\"other\":\"hidden\"},\"occurred_at\":\"2026-03-14T09:26:53Z\",\"outcome\":\"success\","
    "\"reason\":\"Ticket "
    "OPS-7\",\"severity\":\"high\",\"source\":{\"host\":\"h\",\"ip\":\"2001:db8::1\","
    "\"service\":\"accounts\"},\"tags\":[\"admin\",\"pci\"],\"targets\":[{\"id\":\"u-99\",\"name\":"
    "\"Sam\","
    "\"type\":\"User\"},{\"id\":\"r-1\",\"type\":\"Role\"}],\"tenant_id\":\"acme\","
    "\"trace_id\":\"4bf92f3577b34da6a3ce929d0e0e4736\",\"transport\":\"http\"}";

static struct tl_arena arena;

static void read_view(struct tl_event_view *view, const char *text)
{
    check_ok(tl_event_view_read(view, &arena, text, strlen(text)));
}

static const struct tl_record_facts present = {
    .seq = 7, .recorded_us = NOW_US, .kind = { "event", 5 }, .state = { "present", 7 }
};

/* Reads "field=value&field=value". */
static size_t read_conditions(struct tally_condition *conditions, char *text)
{
    size_t count = 0;
    while (text != NULL && *text != '\0') {
        char *next = strchr(text, '&');
        if (next != NULL) {
            *next++ = '\0';
        }
        char *value = strchr(text, '=');
        assert_non_null(value);
        *value++ = '\0';
        conditions[count++] = (struct tally_condition){ text, value };
        text = next;
    }
    return count;
}

static tally_status new_filter(struct tl_filter **filter_out, const char *query,
                               struct tally_error *err)
{
    char text[1024];
    struct tally_condition conditions[32];
    (void)snprintf(text, sizeof(text), "%s", query);
    size_t count = read_conditions(conditions, text);
    return tl_filter_new(filter_out, conditions, count, NOW_US, members, TL_ARRAY_LEN(members),
                         err);
}

static bool has_term(struct tl_str terms, struct tl_str wanted)
{
    while (terms.len > 0) {
        const char *end = memchr(terms.text, '\x1f', terms.len);
        size_t len = end == NULL ? terms.len : (size_t)(end - terms.text);
        if (tl_str_equal((struct tl_str){ terms.text, len }, wanted)) {
            return true;
        }
        len += end != NULL;
        terms = (struct tl_str){ terms.text + len, terms.len - len };
    }
    return false;
}

static bool has_terms(const struct tl_filter *filter, struct tl_str terms)
{
    size_t count = 0;
    const struct tl_filter_group *groups = tl_filter_groups(filter, &count);
    for (size_t g = 0; g < count; g++) {
        bool any = false;
        for (size_t t = 0; t < groups[g].count; t++) {
            any = any || has_term(terms, groups[g].terms[t]);
        }
        if (!any) {
            return false;
        }
    }
    return true;
}

/* Asks filter and terms; the terms must be there if the filter fits, and decide if it is exact. */
static bool ask(const char *query, const struct tl_record_facts *facts,
                const struct tl_event_view *view)
{
    struct tl_filter *filter = NULL;
    struct tally_error err = TALLY_ERROR_INIT;
    if (new_filter(&filter, query, &err) != TALLY_OK) {
        fail_msg("%s: %s", query, err.message);
    }
    struct tl_buf terms;
    tl_buf_init(&terms, 1 << 20);
    tl_terms_add(&terms, facts, view, members, TL_ARRAY_LEN(members));
    check_ok(tl_buf_status(&terms));
    bool fits = tl_filter_matches(filter, facts, view);
    bool named = has_terms(filter, tl_buf_str(&terms));
    struct tl_filter_ranges ranges;
    tl_filter_ranges(filter, &ranges);
    bool in_seq = facts->seq >= ranges.seq_first && facts->seq < ranges.seq_end;
    if (fits && !named) {
        fail_msg("%s fits, but its terms are not there", query);
    }
    if (tl_filter_is_exact(filter) && (named && in_seq) != fits) {
        fail_msg("%s is not exact", query);
    }
    tl_buf_release(&terms);
    tl_filter_free(filter);
    return fits;
}

static void finds_by_each_field_and_not_by_another_value(void **state)
{
    (void)state;
    static const struct {
        const char *query;
        bool fits;
    } table[] = {
        { "", true },
        { "id=e1", true },
        { "id=e2", false },
        { "id=e2&id=e1", true },
        { "action=user.role.update", true },
        { "action=user.role", false },
        { "action=user.*", true },
        { "action=user.role.*", true },
        { "action=use.*", false },
        { "action=role.*", false },
        { "actor_id=u-42", true },
        { "user_id=u-42", true },
        { "changed_by=u-4", false },
        { "actor_type=user", true },
        { "actor_name=Zo\u00eb Example", true },
        { "actor_name=zo\u00eb example", false },
        { "target_type=User", true },
        { "doctype=Role", true },
        { "resource_type=role", false },
        { "target_id=u-99", true },
        { "document_id=r-1", true },
        { "target_type=User&target_id=u-99", true },
        { "target_type=User&target_id=r-1", false },
        { "target_type=User&target_type=Role&target_id=r-1", true },
        { "target_type=&target_id=u-99", false },
        { "outcome=success", true },
        { "outcome=failure&outcome=SUCCESS", true },
        { "outcome=failure", false },
        { "severity=high", true },
        { "severity=low", false },
        { "severity_min=medium", true },
        { "severity_min=high", true },
        { "severity_min=critical", false },
        { "severity_min=critical&severity_min=low", true },
        { "service=accounts", true },
        { "source=accounts", true },
        { "host=h", true },
        { "ip=2001:DB8:0::1", true },
        { "ip=192.0.2.1", false },
        { "transport=http", true },
        { "tenant_id=acme", true },
        { "tenant_id=acme&outcome=failure", false },
        { "correlation_id=c", true },
        { "causation_id=", true },
        { "causation_id=x", false },
        { "causation_id=x&causation_id=", true },
        { "correlation_id=", false },
        { "trace_id=4BF92F3577B34DA6A3CE929D0E0E4736", true },
        { "span_id=", true },
        { "request_id=", true },
        { "session_id=s", false },
        { "tag=pci", true },
        { "tag=x&tag=admin", true },
        { "tag=x", false },
        { "tag=", false },
        { "kind=event", true },
        { "kind=all", true },
        { "kind=genesis", false },
        { "state=present", true },
        { "state=erased", false },
        { "text=ticket", true },
        { "text=OPS 7", true },
        { "text=ops-8", false },
        { "text=sam zo\u00eb", true },
        { "text=deep WORDS", true },
        { "text=nwords", false },
        { "text=hidden", false },
        { "text=key", false },
        { "text=nothing&text=sam", true },
        { "text=nothing here&text=sam nothing", false },
        { "from=2026-03-14T09:26:53Z", true },
        { "from=2026-03-14T09:26:53.000001Z", false },
        { "since=2026-03-14", true },
        { "to=2026-03-14T09:26:53Z", false },
        { "until=2026-03-14T09:26:53Z", true },
        { "until=2026-03-14T09:26:52Z", false },
        { "end_date=now", true },
        { "start_date=-1m", true },
        { "from_timestamp=now", false },
        { "recorded_from=now", true },
        { "recorded_to=now", false },
        { "seq_from=7&seq_to=8", true },
        { "seq_from=8", false },
        { "seq_to=7", false },
    };
    struct tl_event_view view;
    read_view(&view, event);
    for (size_t i = 0; i < TL_ARRAY_LEN(table); i++) {
        if (ask(table[i].query, &present, &view) != table[i].fits) {
            fail_msg("'%s' is to be %s", table[i].query, table[i].fits ? "found" : "left out");
        }
    }
}

static void leaves_own_events_and_control_records_out_unless_asked(void **state)
{
    (void)state;
    struct tl_event_view own;
    read_view(&own,
              "{\"action\":\"tally.start\",\"id\":\"o\",\"occurred_at\":\"2026-03-14T09:26:53Z\","
              "\"outcome\":\"success\",\"severity\":\"low\"}");
    static const struct {
        const char *query;
        bool own, control;
    } table[] = {
        { "", false, false },
        { "severity=low", false, false },
        { "action=tally.*", true, false },
        { "action=tally.start", true, false },
        { "id=o", true, false },
        { "kind=event", true, false },
        { "kind=all", true, true },
        { "kind=gap", false, true },
        { "kind=gap&kind=event", true, true },
        { "kind=all&severity=low", true, false },
        { "kind=all&session_id=", true, false },
        { "kind=all&seq_to=4", false, true },
    };
    const struct tl_record_facts gap = {
        .seq = 3, .recorded_us = NOW_US, .kind = TL_STR("gap"), .state = TL_STR("present")
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(table); i++) {
        assert_int_equal(ask(table[i].query, &present, &own), table[i].own);
        assert_int_equal(ask(table[i].query, &gap, NULL), table[i].control);
    }
    const struct tl_record_facts erased = {
        .seq = 3, .recorded_us = NOW_US, .kind = TL_STR("event"), .state = TL_STR("erased")
    };
    assert_true(ask("state=erased", &erased, NULL));
    assert_true(ask("", &erased, NULL));
    assert_false(ask("session_id=", &erased, NULL));
}

static void refuses_what_it_does_not_understand(void **state)
{
    (void)state;
    static const struct {
        const char *query, *code;
    } table[] = {
        { "foo=1", "unknown_filter" },          { "Action=a", "unknown_filter" },
        { "action=a*", "bad_parameter" },       { "action=*", "bad_parameter" },
        { "severity=warn", "bad_parameter" },   { "severity_min=", "bad_parameter" },
        { "outcome=partial", "bad_parameter" }, { "kind=own", "bad_parameter" },
        { "kind=", "bad_parameter" },           { "state=x", "bad_parameter" },
        { "ip=1.2.3", "bad_parameter" },        { "text=", "bad_parameter" },
        { "text=!?", "bad_parameter" },         { "from=yesterday", "bad_parameter" },
        { "from=", "bad_parameter" },           { "from=now&since=now", "bad_parameter" },
        { "seq_from=-1", "bad_parameter" },     { "seq_to=x", "bad_parameter" },
        { "from=-5y", "bad_parameter" },
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(table); i++) {
        struct tl_filter *filter = NULL;
        struct tally_error err = TALLY_ERROR_INIT;
        check_status(new_filter(&filter, table[i].query, &err), TALLY_EREFUSED);
        assert_null(filter);
        assert_string_equal(err.code, table[i].code);
    }
}

static void knows_which_filters_an_index_decides_alone(void **state)
{
    (void)state;
    static const struct {
        const char *query;
        bool exact;
    } table[] = {
        { "", true },
        { "action=user.*&tag=pci", true },
        { "seq_from=3", true },
        { "target_type=User&target_id=u", true },
        { "text=a b", true },
        { "text=a b&text=c", false },
        { "session_id=", false },
        { "id=e1", false },
        { "from=now", false },
        { "state=partial", true },
        { "state=erased", false },
        { "state=purged", false },
        { "state=present", false },
        { "tag=#0123456789abcdef", false },
        { "severity_min=high", true },
        { "target_type=User&target_id=", false },
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(table); i++) {
        struct tl_filter *filter = NULL;
        check_ok(new_filter(&filter, table[i].query, NULL));
        if (tl_filter_is_exact(filter) != table[i].exact) {
            fail_msg("%s", table[i].query);
        }
        tl_filter_free(filter);
    }
}

static void gives_the_ids_that_are_asked_for(void **state)
{
    (void)state;
    struct tl_filter *filter = NULL;
    size_t count = 0;
    check_ok(new_filter(&filter, "id=a", NULL));
    assert_true(tl_str_is(tl_filter_single_id(filter), "a"));
    tl_filter_free(filter);
    check_ok(new_filter(&filter, "id=a&id=b", NULL));
    assert_null(tl_filter_single_id(filter).text);
    assert_true(tl_str_is(tl_filter_ids(filter, &count)[1], "b"));
    assert_int_equal(count, 2);
    tl_filter_free(filter);
}

static void reads_times_absolute_and_relative(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t us;
    } good[] = {
        { "now", NOW_US },
        { "-0s", NOW_US },
        { "-15m", NOW_US - INT64_C(900000000) },
        { "-24h", NOW_US - INT64_C(86400000000) },
        { "-7d", NOW_US - INT64_C(604800000000) },
        { "-2w", NOW_US - INT64_C(1209600000000) },
        { "1970-01-02", INT64_C(86400000000) },
        { "1970-01-01T01:00:00+01:00", 0 },
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(good); i++) {
        int64_t us = 99;
        check_ok(tl_time_argument(&us, tl_str_of(good[i].text), NOW_US));
        assert_int_equal(us, good[i].us);
    }
    static const char *const bad[] = { "",
                                       "-",
                                       "-m",
                                       "-15",
                                       "15m",
                                       "-1y",
                                       "-01m",
                                       "- 1m",
                                       "Now",
                                       "+15m",
                                       "2026-02-30",
                                       "1970-01-01T00:00:00",
                                       "-99999999999999999999s",
                                       "-9223372036854775807w" };
    for (size_t i = 0; i < TL_ARRAY_LEN(bad); i++) {
        int64_t us = 99;
        check_status(tl_time_argument(&us, tl_str_of(bad[i]), NOW_US), TALLY_EINVAL);
        assert_int_equal(us, 99);
    }
}

static void gives_single_values_for_statistics(void **state)
{
    (void)state;
    struct tl_event_view view;
    bool known = false;
    read_view(&view, event);
    assert_true(tl_str_is(tl_view_field(&view, "source", &known), "accounts"));
    assert_true(known);
    assert_null(tl_view_field(&view, "session_id", &known).text);
    assert_true(known);
    static const char *const unknown[] = { "tag", "target_id", "kind", "text", "from", "x", "" };
    for (size_t i = 0; i < TL_ARRAY_LEN(unknown); i++) {
        assert_null(tl_view_field(&view, unknown[i], &known).text);
        assert_false(known);
    }
}

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 16;
}

/* Few values over many fields, so that queries hit about as often as they miss. */
static void names_every_record_that_fits(void **state)
{
    (void)state;
    static const char *const names[] = { "action",    "actor_id",     "target_type",
                                         "target_id", "outcome",      "tag",
                                         "text",      "severity_min", "causation_id" };
    static const char *const values[][4] = {
        { "a.b", "a.*", "tally.x", "" },
        { "1", "2", "", "#f" },
        { "1", "2", "", "1/2" },
        { "1", "2", "", "2/1" },
        { "success", "failure", "pending", "unknown" },
        { "1", "2", "", "\t" },
        { "one", "TWO one", "three", "two" },
        { "low", "medium", "high", "critical" },
        { "", "x", "y", "z" },
    };
    uint32_t seed = 1;
    size_t found = 0;
    for (size_t round = 0; round < 20000; round++) {
        char text[512];
        int len =
            snprintf(text, sizeof(text),
                     "{\"action\":\"%s\",\"actor\":{\"id\":\"%s\",\"name\":\"%s\"},\"id\":\"e\","
                     "\"occurred_at\":\"2026-03-14T09:26:53Z\",\"outcome\":\"%s\","
                     "\"severity\":\"%s\",\"tags\":[\"%s\"],"
                     "\"targets\":[{\"id\":\"%s\",\"type\":\"%s\"},{\"id\":\"%u\"}]}",
                     next_random(&seed) % 4 == 0 ? "tally.x" : "a.b",
                     values[1][next_random(&seed) % 2], values[6][next_random(&seed) % 4],
                     values[4][next_random(&seed) % 4], values[7][next_random(&seed) % 4],
                     next_random(&seed) % 2 ? "1" : "\\t", values[3][next_random(&seed) % 4],
                     values[2][next_random(&seed) % 4], next_random(&seed) % 3);
        assert_true(len > 0 && (size_t)len < sizeof(text));
        struct tl_event_view view;
        tl_arena_reset(&arena);
        read_view(&view, text);
        struct tl_buf query;
        tl_buf_init(&query, 1024);
        size_t conditions = next_random(&seed) % 4;
        for (size_t i = 0; i < conditions; i++) {
            size_t field = next_random(&seed) % TL_ARRAY_LEN(names);
            tl_buf_addf(&query, "%s%s=%s", query.len == 0 ? "" : "&", names[field],
                        values[field][next_random(&seed) % 4]);
        }
        char *text_of_query = tl_buf_take(&query, NULL);
        found += ask(text_of_query, &present, &view);
        tl_free(text_of_query);
    }
    assert_true(found > 4000 && found < 16000);
}

static void tells_long_and_odd_values_apart(void **state)
{
    (void)state;
    char text[1024];
    char query[1024];
    (void)snprintf(
        text, sizeof(text),
        "{\"action\":\"a\",\"actor\":{\"id\":\"%0300d\",\"name\":\"%0200d\"},\"id\":\"e\","
        "\"occurred_at\":\"2026-03-14T09:26:53Z\"}",
        1, 2);
    struct tl_event_view view;
    read_view(&view, text);
    (void)snprintf(query, sizeof(query), "actor_id=%0300d&text=%0200d", 1, 2);
    assert_true(ask(query, &present, &view));
    (void)snprintf(query, sizeof(query), "actor_id=%0300d", 2);
    assert_false(ask(query, &present, &view));
    (void)snprintf(query, sizeof(query), "text=%0200d", 1);
    assert_false(ask(query, &present, &view));
}

static void lists_no_term_twice(void **state)
{
    (void)state;
    struct tl_buf text;
    tl_buf_init(&text, 1 << 20);
    tl_buf_add_text(&text, "{\"action\":\"a\",\"id\":\"e\",\"metadata\":{\"note\":\"");
    for (unsigned i = 0; i < 3000; i++) {
        tl_buf_addf(&text, "w%u ", i % 1500);
    }
    tl_buf_add_text(&text, "\"},\"occurred_at\":\"2026-03-14T09:26:53Z\",\"targets\":["
                           "{\"id\":\"1\",\"type\":\"T\"},{\"id\":\"2\",\"type\":\"T\"}]}");
    struct tl_event_view view;
    check_ok(tl_event_view_read(&view, &arena, text.data, text.len));
    struct tl_buf terms;
    tl_buf_init(&terms, 1 << 20);
    tl_terms_add(&terms, &present, &view, members, TL_ARRAY_LEN(members));
    check_ok(tl_buf_status(&terms));
    size_t separators = 0;
    for (size_t i = 0; i < terms.len; i++) {
        separators += terms.data[i] == '\x1f';
    }
    /* kind, action; type once, two ids, two pairs; the words. */
    assert_int_equal(separators + 1, 2 + 1 + 2 + 2 + 1500);
    tl_buf_release(&terms);
    tl_buf_release(&text);
}

static tally_status make_filter_and_terms(const void *ctx)
{
    struct tl_filter *filter = NULL;
    struct tl_filter *also = NULL;
    tally_status status = new_filter(&filter, ctx, NULL);
    if (status == TALLY_OK) {
        status = new_filter(&also, "severity=low", NULL);
    }
    if (status == TALLY_OK) {
        status = tl_filter_narrow(filter, also, NULL);
    }
    if (status == TALLY_OK) {
        struct tl_event_view view;
        struct tl_buf terms;
        tl_buf_init(&terms, 1 << 20);
        struct tl_arena local;
        tl_arena_init(&local, 1 << 20);
        status = tl_event_view_read(&view, &local, event, sizeof(event) - 1);
        if (status == TALLY_OK) {
            tl_terms_add(&terms, &present, &view, members, TL_ARRAY_LEN(members));
            status = tl_buf_status(&terms);
        }
        tl_arena_release(&local);
        tl_buf_release(&terms);
    }
    tl_filter_free(filter);
    return status;
}

static void gives_out_of_memory_and_nothing_else(void **state)
{
    (void)state;
    assert_true(fault_each_alloc(make_filter_and_terms,
                                 "action=user.*&target_type=User&target_id=u&text=a b&ip=::1") > 3);
}

static int open_arena(void **state)
{
    (void)state;
    tl_arena_init(&arena, 1 << 24);
    return 0;
}

static int close_arena(void **state)
{
    (void)state;
    tl_arena_release(&arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_by_each_field_and_not_by_another_value),
        cmocka_unit_test(leaves_own_events_and_control_records_out_unless_asked),
        cmocka_unit_test(refuses_what_it_does_not_understand),
        cmocka_unit_test(knows_which_filters_an_index_decides_alone),
        cmocka_unit_test(gives_the_ids_that_are_asked_for),
        cmocka_unit_test(reads_times_absolute_and_relative),
        cmocka_unit_test(gives_single_values_for_statistics),
        cmocka_unit_test(names_every_record_that_fits),
        cmocka_unit_test(tells_long_and_odd_values_apart),
        cmocka_unit_test(lists_no_term_twice),
        cmocka_unit_test(gives_out_of_memory_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, open_arena, close_arena);
}
