/* Events built member by member: what their text is, and what they refuse. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <wchar.h>

#include "built.h"
#include "check.h"

#define TIME_US INT64_C(1773480413589793)
#define TIME    "2026-03-14T09:26:53.589793Z"

static const uint8_t uuid[16] = { 0x01, 0x9c, 0xeb, 0xab, 0x89, 0x95, 0x7c, 0xb0,
                                  0x91, 0xa2, 0xb3, 0xc4, 0xd5, 0xe6, 0xf7, 0x08 };
#define UUID "019cebab-8995-7cb0-91a2-b3c4d5e6f708"

static void writes_all_members_in_canonical_order(void **state)
{
    (void)state;
    static const char *const values[] = {
        "a.b",
        "e1",
        TIME,
        TIME,
        TIME,
        "u1",
        "user",
        "Sam",
        "failure",
        "high",
        "why",
        "svc",
        "host",
        "192.0.2.7",
        "curl/8",
        "http",
        "t1",
        "corr",
        "cause",
        "0123456789abcdef0123456789abcdef",
        "0123456789abcdef",
        "req",
        "sess",
    };
    for (int member = TALLY_SESSION_ID; member >= TALLY_ACTION; member--) {
        tally_event_set(built, (enum tally_member)member, values[member - 1]);
    }
    tally_event_add_target(built, "Doc", "d1", "Deed");
    tally_event_add_target(built, NULL, "d2", "");
    tally_event_add_target(built, NULL, "", NULL);
    tally_event_add_tag(built, "z");
    tally_event_add_tag(built, "a");
    tally_event_add_tag(built, "z");
    tally_event_add_tag(built, "");
    tally_event_add_tag(built, NULL);
    tally_event_add_int(built, TALLY_RESPONSE, "status", 200);
    tally_event_add_text(built, TALLY_REQUEST, "path", "/x");
    tally_event_add_text(built, TALLY_OLD_VALUES, "role", "member");
    tally_event_add_text(built, TALLY_NEW_VALUES, "role", "admin");
    tally_event_add_null(built, TALLY_METADATA, "n");
    built_check("{\"action\":\"a.b\",\"actor\":{\"id\":\"u1\",\"name\":\"Sam\",\"type\":\"user\"},"
                "\"causation_id\":\"cause\",\"correlation_id\":\"corr\",\"ended_at\":\"" TIME "\","
                "\"id\":\"e1\",\"metadata\":{\"n\":null},\"new_values\":{\"role\":\"admin\"},"
                "\"occurred_at\":\"" TIME "\",\"old_values\":{\"role\":\"member\"},"
                "\"outcome\":\"failure\",\"reason\":\"why\",\"request\":{\"path\":\"/x\"},"
                "\"request_id\":\"req\",\"response\":{\"status\":200},\"session_id\":\"sess\","
                "\"severity\":\"high\",\"source\":{\"host\":\"host\",\"ip\":\"192.0.2.7\","
                "\"service\":\"svc\",\"user_agent\":\"curl/8\"},\"span_id\":\"0123456789abcdef\","
                "\"started_at\":\"" TIME "\",\"tags\":[\"z\",\"a\"],\"targets\":[{\"id\":\"d1\","
                "\"name\":\"Deed\",\"type\":\"Doc\"},{\"id\":\"d2\"}],\"tenant_id\":\"t1\","
                "\"trace_id\":\"0123456789abcdef0123456789abcdef\",\"transport\":\"http\"}");
    char *canonical = built_canonical();
    built_check(canonical);
    tl_free(canonical);
}

static void is_an_empty_object_until_something_is_set(void **state)
{
    (void)state;
    built_check("{}");
    tally_event_set(built, TALLY_REASON, "");
    tally_event_open(built, TALLY_METADATA, "x", '[');
    built_check("{\"metadata\":{\"x\":[]}}");
    tally_event_clear(built);
    built_check("{}");
}

static void a_member_takes_the_place_of_what_it_was(void **state)
{
    (void)state;
    tally_event_set(built, TALLY_ACTION, "first.and.long");
    tally_event_set(built, TALLY_ACTION, "b");
    built_check("{\"action\":\"b\"}");
    tally_event_set(built, TALLY_ACTION, NULL);
    built_check("{}");
    tally_event_set_len(built, TALLY_ACTION, "cut here", 3);
    built_check("{\"action\":\"cut\"}");
    tally_event_set_len(built, TALLY_ACTION, NULL, 3);
    built_check("{}");
}

/* A server that keeps one event and sets one member for ever. */
static void setting_a_member_a_million_times_uses_no_more_memory(void **state)
{
    (void)state;
    char text[300];
    memset(text, 'x', sizeof(text));
    for (size_t i = 0; i < 1000000; i++) {
        tally_event_set_len(built, TALLY_REASON, text, 1 + i % sizeof(text));
    }
    check_ok(tally_event_text(built, &(const char *){ NULL }, &(size_t){ 0 }, NULL));
}

static void times_and_ids_become_their_text(void **state)
{
    (void)state;
    tally_event_set_time(built, TALLY_OCCURRED_AT, TIME_US);
    tally_event_set_time(built, TALLY_STARTED_AT, 0);
    tally_event_set_uuid(built, TALLY_ID, uuid);
    tally_event_set_uuid(built, TALLY_TRACE_ID, uuid);
    tally_event_add_uuid(built, TALLY_METADATA, "u", uuid);
    tally_event_add_uuid(built, TALLY_METADATA, "none", NULL);
    tally_event_add_time(built, TALLY_METADATA, "t", TIME_US);
    built_check("{\"id\":\"" UUID "\",\"metadata\":{\"none\":null,\"t\":\"" TIME "\",\"u\":\"" UUID
                "\"},\"occurred_at\":\"" TIME "\",\"started_at\":\"1970-01-01T00:00:00Z\","
                "\"trace_id\":\"019cebab89957cb091a2b3c4d5e6f708\"}");
    tally_event_set_uuid(built, TALLY_ID, NULL);
    tally_event_set_time(built, TALLY_ENDED_AT, INT64_MAX);
    built_check_refused("bad_time", "");
}

static void a_time_is_set_of_members_that_are_times_alone(void **state)
{
    (void)state;
    tally_event_set_time(built, TALLY_ACTION, TIME_US);
    built_check_refused("bad_member", "");
}

static void numbers_keep_their_value(void **state)
{
    (void)state;
    static const char want[] =
        "{\"metadata\":{\"a\":9007199254740991,\"b\":\"9007199254740992\","
        "\"c\":\"-9223372036854775808\",\"d\":\"18446744073709551615\",\"e\":0.1,"
        "\"f\":\"1152921504606846976\",\"g\":1e+300,\"h\":\"-999999999999999868928\",\"i\":0,"
        "\"j\":5e-324,\"k\":-9007199254740991,\"l\":1e+21,\"m\":9007199254740991,"
        "\"n\":false,\"o\":true}}";
    tally_event_add_int(built, TALLY_METADATA, "a", INT64_C(9007199254740991));
    tally_event_add_int(built, TALLY_METADATA, "b", INT64_C(9007199254740992));
    tally_event_add_int(built, TALLY_METADATA, "c", INT64_MIN);
    tally_event_add_uint(built, TALLY_METADATA, "d", UINT64_MAX);
    tally_event_add_double(built, TALLY_METADATA, "e", 0.1);
    tally_event_add_double(built, TALLY_METADATA, "f", 1152921504606846976.0);
    tally_event_add_double(built, TALLY_METADATA, "g", 1e300);
    tally_event_add_double(built, TALLY_METADATA, "h", -nextafter(1e21, 0));
    tally_event_add_double(built, TALLY_METADATA, "i", -0.0);
    tally_event_add_double(built, TALLY_METADATA, "j", 5e-324);
    tally_event_add_int(built, TALLY_METADATA, "k", INT64_C(-9007199254740991));
    tally_event_add_double(built, TALLY_METADATA, "l", 1e21);
    tally_event_add_uint(built, TALLY_METADATA, "m", UINT64_C(9007199254740991));
    tally_event_add_bool(built, TALLY_METADATA, "n", 0);
    tally_event_add_bool(built, TALLY_METADATA, "o", 256);
    built_check(want);
}

static void nan_is_recorded_as_text(void **state)
{
    (void)state;
    tally_event_add_double(built, TALLY_METADATA, "a", (double)NAN);
    tally_event_add_double(built, TALLY_METADATA, "b", (double)INFINITY);
    tally_event_add_double(built, TALLY_METADATA, "c", -(double)INFINITY);
    built_check("{\"metadata\":{\"a\":\"NaN\",\"b\":\"Infinity\",\"c\":\"-Infinity\"},"
                "\"tags\":[\"tally:replaced\"]}");
}

static void a_time_out_of_range_is_recorded_as_its_number(void **state)
{
    (void)state;
    tally_event_add_time(built, TALLY_METADATA, "a", INT64_MIN);
    built_check("{\"metadata\":{\"a\":\"-9223372036854775808\"},\"tags\":[\"tally:replaced\"]}");
}

static void binary_is_base64_in_an_object(void **state)
{
    (void)state;
    tally_event_add_binary(built, TALLY_REQUEST, "a", "\0\xff\"", 3);
    tally_event_add_binary(built, TALLY_REQUEST, "b", "", 0);
    tally_event_add_binary(built, TALLY_REQUEST, "c", NULL, 5);
    built_check("{\"request\":{\"a\":{\"b64\":\"AP8i\"},\"b\":{\"b64\":\"\"},\"c\":null}}");
}

static void what_is_no_text_is_replaced_and_tagged(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "\xff", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "a\xe2\x82", "\x80z",
    };
    static const char *const good[] = {
        "\xef\xbf\xbd",
        "\xef\xbf\xbd\xef\xbf\xbd",
        "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd",
        "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd",
        "a\xef\xbf\xbd\xef\xbf\xbd",
        "\xef\xbf\xbdz",
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(bad); i++) {
        char want[200];
        (void)snprintf(
            want, sizeof(want),
            "{\"metadata\":{\"%s\":\"%s\"},\"reason\":\"%s\",\"tags\":[\"tally:replaced\"]}",
            good[i], good[i], good[i]);
        tally_event_clear(built);
        tally_event_set(built, TALLY_REASON, bad[i]);
        tally_event_add_text(built, TALLY_METADATA, bad[i], bad[i]);
        built_check(want);
    }
    tally_event_clear(built);
    tally_event_add_text_len(built, TALLY_METADATA, "nul", "a\0b", 3);
    built_check("{\"metadata\":{\"nul\":\"a\xef\xbf\xbd"
                "b\"},\"tags\":[\"tally:replaced\"]}");
}

static void the_tag_of_a_replacement_joins_those_there_are(void **state)
{
    (void)state;
    tally_event_add_tag(built, "x");
    tally_event_set(built, TALLY_REASON, "\xff");
    built_check("{\"reason\":\"\xef\xbf\xbd\",\"tags\":[\"x\",\"tally:replaced\"]}");
    tally_event_add_tag(built, "y");
    tally_event_add_tag(built, "tally:replaced");
    built_check("{\"reason\":\"\xef\xbf\xbd\",\"tags\":[\"x\",\"tally:replaced\",\"y\"]}");
    tally_event_clear(built);
    tally_event_set(built, TALLY_REASON, "\xff");
    tally_event_add_tag(built, "tally:replaced");
    built_check("{\"reason\":\"\xef\xbf\xbd\",\"tags\":[\"tally:replaced\"]}");
    tally_event_clear(built);
    tally_event_set(built, TALLY_REASON, "\xff");
    for (int i = 0; i < 64; i++) {
        char tag[8];
        (void)snprintf(tag, sizeof(tag), "t%d", i);
        tally_event_add_tag(built, tag);
    }
    size_t len = 0;
    assert_null(strstr(built_text(&len), "tally:replaced"));
}

static void names_are_in_order_however_they_come(void **state)
{
    (void)state;
    static const char *const names[] = { "b",     "", "ab", "\xef\xbf\xbd", "a", "\xf0\x9f\x98\x80",
                                         "a\x01", "c" };
    for (size_t i = 0; i < TL_ARRAY_LEN(names); i++) {
        tally_event_add_int(built, TALLY_METADATA, names[i], (int64_t)i);
    }
    built_check("{\"metadata\":{\"\":1,\"a\":4,\"a\\u0001\":6,\"ab\":2,\"b\":0,\"c\":7,"
                "\"\xf0\x9f\x98\x80\":5,\"\xef\xbf\xbd\":3}}");
}

static void nests_objects_and_arrays(void **state)
{
    (void)state;
    tally_event_open(built, TALLY_METADATA, "o", '{');
    tally_event_add_int(built, TALLY_METADATA, "z", 1);
    tally_event_add_int(built, TALLY_METADATA, "a", 2);
    tally_event_open(built, TALLY_METADATA, "list", '[');
    tally_event_add_int(built, TALLY_METADATA, NULL, 3);
    tally_event_open(built, TALLY_METADATA, NULL, '{');
    tally_event_add_text(built, TALLY_REQUEST, "other", "object");
    tally_event_close(built, TALLY_METADATA);
    tally_event_add_text(built, TALLY_METADATA, NULL, "x");
    tally_event_close(built, TALLY_METADATA);
    tally_event_close(built, TALLY_METADATA);
    tally_event_add_int(built, TALLY_METADATA, "b", 4);
    built_check("{\"metadata\":{\"b\":4,\"o\":{\"a\":2,\"list\":[3,{},\"x\"],\"z\":1}},"
                "\"request\":{\"other\":\"object\"}}");
}

static void text_may_be_asked_for_in_between(void **state)
{
    (void)state;
    tally_event_open(built, TALLY_METADATA, "list", '[');
    tally_event_add_int(built, TALLY_METADATA, NULL, 1);
    built_check("{\"metadata\":{\"list\":[1]}}");
    tally_event_add_int(built, TALLY_METADATA, NULL, 2);
    built_check("{\"metadata\":{\"list\":[1,2]}}");
    tally_event_set(built, TALLY_ACTION, "a");
    built_check("{\"action\":\"a\",\"metadata\":{\"list\":[1,2]}}");
}

static void takes_json_apart_and_writes_it_anew(void **state)
{
    (void)state;
    static const char json[] = " { \"b\" : [ 1.50, -0, \"\\u0041\\/\", 12345678901234567890 ] ,"
                               " \"a\" : null } ";
    tally_event_add_json(built, TALLY_METADATA, "j", json, sizeof(json) - 1);
    tally_event_add_json(built, TALLY_METADATA, "k", "9007199254740993", 16);
    tally_event_add_json(built, TALLY_METADATA, "l", "\"t\"", 3);
    tally_event_add_json(built, TALLY_METADATA, "m", NULL, 0);
    built_check("{\"metadata\":{\"j\":{\"a\":null,\"b\":[1.5,0,\"A/\",\"12345678901234567890\"]},"
                "\"k\":\"9007199254740993\",\"l\":\"t\",\"m\":null}}");
}

static void refuses_what_is_no_json_and_says_where(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        const char *code;
    } cases[] = {
        { "", "bad_json" },
        { "{", "bad_json" },
        { "1 2", "bad_json" },
        { "{\"a\":1,\"a\":2}", "duplicate_member" },
        { "\"\xff\"", "bad_utf8" },
        { "\"\\ud800\"", "bad_utf8" },
        { "1e999", "bad_number" },
        { "1.5e17", "bad_number" },
        { "\"\\u0000\"", "bad_json" },
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(cases); i++) {
        tally_event_clear(built);
        tally_event_open(built, TALLY_METADATA, "l/st", '[');
        tally_event_add_null(built, TALLY_METADATA, NULL);
        tally_event_open(built, TALLY_METADATA, NULL, '{');
        tally_event_add_json(built, TALLY_METADATA, "j", cases[i].json, strlen(cases[i].json));
        built_check_refused(cases[i].code, "/metadata/l~1st/1/j");
    }
}

static void counts_what_json_nests_with_what_is_open(void **state)
{
    (void)state;
    char json[64];
    for (size_t depth = 30; depth <= 31; depth++) {
        memset(json, '[', depth);
        memset(json + depth, ']', depth);
        tally_event_clear(built);
        tally_event_add_json(built, TALLY_METADATA, "j", json, 2 * depth);
        if (depth == 30) {
            tally_event_set(built, TALLY_ACTION, "a");
            tl_free(built_canonical());
        } else {
            built_check_refused("too_deep", "/metadata/j");
        }
    }
}

static void opens_sixteen_and_no_more(void **state)
{
    (void)state;
    for (int i = 0; i < 16; i++) {
        tally_event_open(built, TALLY_RESPONSE, i == 0 ? "a" : NULL, '[');
    }
    tally_event_set(built, TALLY_ACTION, "a");
    tally_event_add_binary(built, TALLY_RESPONSE, NULL, "x", 1);
    tl_free(built_canonical());
    tally_event_open(built, TALLY_RESPONSE, NULL, '{');
    built_check_refused("too_deep", "/response/a/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0");
}

/* Each breaks a rule of the builder. */
static void repeat_a_name(void)
{
    tally_event_add_int(built, TALLY_METADATA, "b", 1);
    tally_event_add_int(built, TALLY_METADATA, "a", 1);
    tally_event_add_int(built, TALLY_METADATA, "c", 1);
    tally_event_add_text(built, TALLY_METADATA, "a", "secret");
}
static void repeat_the_last_name(void)
{
    tally_event_add_int(built, TALLY_METADATA, "a", 1);
    tally_event_add_int(built, TALLY_METADATA, "a", 1);
}
static void repeat_a_name_by_replacing(void)
{
    tally_event_add_int(built, TALLY_METADATA, "\xfe", 1);
    tally_event_add_int(built, TALLY_METADATA, "\xff", 1);
}
static void omit_a_name(void)
{
    tally_event_add_int(built, TALLY_REQUEST, NULL, 1);
}
static void name_an_element(void)
{
    tally_event_open(built, TALLY_REQUEST, "list", '[');
    tally_event_add_int(built, TALLY_REQUEST, "x", 1);
}
static void close_nothing(void)
{
    tally_event_close(built, TALLY_METADATA);
}
static void open_with_a_parenthesis(void)
{
    tally_event_open(built, TALLY_METADATA, "a", '(');
}
static void set_member_0(void)
{
    tally_event_set(built, (enum tally_member)0, "x");
}
static void set_member_99(void)
{
    tally_event_set(built, (enum tally_member)99, "x");
}
static void add_to_object_6(void)
{
    tally_event_add_null(built, (enum tally_object)6, "x");
}
static void close_object_0(void)
{
    tally_event_close(built, (enum tally_object)0);
}
static void add_65_targets(void)
{
    for (int i = 0; i < 65; i++) {
        tally_event_add_target(built, "t", NULL, NULL);
    }
}
static void add_65_tags(void)
{
    for (int i = 0; i < 65; i++) {
        char tag[8];
        (void)snprintf(tag, sizeof(tag), "%d", i);
        tally_event_add_tag(built, tag);
    }
}
static void add_1025_members(void)
{
    for (int i = 0; i < 1025; i++) {
        char name[8];
        (void)snprintf(name, sizeof(name), "%d", i);
        tally_event_add_null(built, TALLY_METADATA, name);
    }
}
static void add_4097_elements(void)
{
    tally_event_open(built, TALLY_METADATA, "a", '[');
    for (int i = 0; i < 4097; i++) {
        tally_event_add_null(built, TALLY_METADATA, NULL);
    }
}

static void remembers_the_first_failure_until_it_is_cleared(void **state)
{
    (void)state;
    static const struct {
        void (*break_it)(void);
        const char *code, *pointer;
    } cases[] = {
        { repeat_a_name, "duplicate_name", "/metadata/a" },
        { repeat_the_last_name, "duplicate_name", "/metadata/a" },
        { repeat_a_name_by_replacing, "duplicate_name", "/metadata/\xef\xbf\xbd" },
        { omit_a_name, "bad_name", "/request" },
        { name_an_element, "bad_name", "/request/list/x" },
        { close_nothing, "not_open", "" },
        { open_with_a_parenthesis, "bad_value", "/metadata/a" },
        { set_member_0, "bad_member", "" },
        { set_member_99, "bad_member", "" },
        { add_to_object_6, "bad_member", "" },
        { close_object_0, "not_open", "" },
        { add_65_targets, "too_many", "/targets" },
        { add_65_tags, "too_many", "/tags" },
        { add_1025_members, "too_many", "/metadata/1024" },
        { add_4097_elements, "too_many", "/metadata/a" },
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(cases); i++) {
        tally_event_clear(built);
        cases[i].break_it();
        built_check_refused(cases[i].code, cases[i].pointer);
        tally_event_close(built, TALLY_RESPONSE); /* another failure, and what would be fine */
        tally_event_set(built, TALLY_ACTION, "a");
        built_check_refused(cases[i].code, cases[i].pointer);
        tally_event_clear(built);
        tally_event_set(built, TALLY_ACTION, "a");
        built_check("{\"action\":\"a\"}");
    }
}

static void formats_text_whatever_is_in_it(void **state)
{
    (void)state;
    char longer[2000];
    memset(longer, 'y', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    tally_event_add_format(built, TALLY_METADATA, "a", "%s and %d%%", "\"},{\"x\":[1]}\n", -5);
    tally_event_add_format(built, TALLY_METADATA, "b", "%s", "");
    built_check("{\"metadata\":{\"a\":\"\\\"},{\\\"x\\\":[1]}\\n and -5%\",\"b\":\"\"}}");
    tally_event_add_format(built, TALLY_METADATA, "c", "%s%c%s", longer, 0, "z");
    tally_event_add_format(built, TALLY_METADATA, "d", "a%cb", 0);
    size_t len = 0;
    const char *text = built_text(&len);
    assert_non_null(strstr(text, "yyy\xef\xbf\xbdz\",\"d\":\"a\xef\xbf\xbd"
                                 "b\"}"));
    assert_non_null(strstr(text, "\"tags\":[\"tally:replaced\"]"));
}

static void what_cannot_be_formatted_leaves_a_marker(void **state)
{
    (void)state;
    static const char want[] = "{\"metadata\":{\"a\":{\"tally_error\":\"unserialisable\",\"type\":"
                               "\"format\"}},\"tags\":[\"tally:replaced\"]}";
    static const wchar_t wide[] = { (wchar_t)0x20AC, 0 }; /* which the C locale has no bytes for */
    tally_event_add_format(built, TALLY_METADATA, "a", "%ls", wide);
    built_check(want);
    int written = 7;
    tally_event_clear(built);
    tally_event_add_format(built, TALLY_METADATA, "a", "%d%%%-5ld%n", 1, 2L, &written);
    built_check(want);
    assert_int_equal(written, 7);
}

static void does_nothing_without_an_event(void **state)
{
    (void)state;
    tally_event_set(NULL, TALLY_ACTION, "a");
    tally_event_set_len(NULL, TALLY_ACTION, "a", 1);
    tally_event_set_time(NULL, TALLY_ENDED_AT, 0);
    tally_event_set_uuid(NULL, TALLY_ID, uuid);
    tally_event_add_target(NULL, "a", "b", "c");
    tally_event_add_tag(NULL, "a");
    tally_event_add_text(NULL, TALLY_METADATA, "a", "b");
    tally_event_add_text_len(NULL, TALLY_METADATA, "a", "b", 1);
    tally_event_add_int(NULL, TALLY_METADATA, "a", INT64_MAX);
    tally_event_add_uint(NULL, TALLY_METADATA, "a", UINT64_MAX);
    tally_event_add_double(NULL, TALLY_METADATA, "a", (double)NAN);
    tally_event_add_bool(NULL, TALLY_METADATA, "a", 1);
    tally_event_add_null(NULL, TALLY_METADATA, "a");
    tally_event_add_binary(NULL, TALLY_METADATA, "a", "b", 1);
    tally_event_add_uuid(NULL, TALLY_METADATA, "a", uuid);
    tally_event_add_time(NULL, TALLY_METADATA, "a", INT64_MAX);
    tally_event_add_format(NULL, TALLY_METADATA, "a", "%d", 1);
    tally_event_add_json(NULL, TALLY_METADATA, "a", "1", 1);
    tally_event_open(NULL, TALLY_METADATA, "a", '{');
    tally_event_close(NULL, TALLY_METADATA);
    tally_event_clear(NULL);
    tally_event_free(NULL);
    const char *text = NULL;
    size_t len = 0;
    check_status(tally_event_text(NULL, &text, &len, NULL), TALLY_ENOMEM);
}

static void later_changes_of_what_was_handed_in_change_nothing(void **state)
{
    (void)state;
    char text[] = "abc";
    char name[] = "n";
    char json[] = "[\"q\"]";
    tally_event_set(built, TALLY_ACTION, text);
    tally_event_add_text(built, TALLY_METADATA, name, text);
    tally_event_add_json(built, TALLY_METADATA, "o", json, strlen(json));
    tally_event_add_tag(built, text);
    memset(text, 'x', 3);
    memset(name, 'x', 1);
    memset(json, 'x', 5);
    built_check(
        "{\"action\":\"abc\",\"metadata\":{\"n\":\"abc\",\"o\":[\"q\"]},\"tags\":[\"abc\"]}");
}

static void formats_values_for_other_places(void **state)
{
    (void)state;
    char time[TALLY_TIME_SIZE];
    char id[TALLY_UUID_SIZE];
    char base64[TALLY_BASE64_SIZE(4)];
    assert_int_equal(tally_format_time(time, TIME_US), strlen(TIME));
    assert_string_equal(time, TIME);
    assert_int_equal(tally_format_time(time, INT64_MIN), 0);
    tally_format_uuid(id, uuid);
    assert_string_equal(id, UUID);
    check_ok(tally_format_base64(base64, sizeof(base64), "\xff\xfe\xfd\xfc", 4));
    assert_string_equal(base64, "//79/A==");
    check_status(tally_format_base64(base64, sizeof(base64) - 1, "\xff\xfe\xfd\xfc", 4),
                 TALLY_ELIMIT);
    check_status(tally_format_base64(base64, 0, "", 0), TALLY_ELIMIT);
    check_ok(tally_format_base64(base64, 1, NULL, 0));
    assert_string_equal(base64, "");
}

int main(void)
{
#define BUILT(name) cmocka_unit_test_setup_teardown(name, built_set_up, built_tear_down)
    const struct CMUnitTest tests[] = {
        BUILT(writes_all_members_in_canonical_order),
        BUILT(is_an_empty_object_until_something_is_set),
        BUILT(a_member_takes_the_place_of_what_it_was),
        BUILT(setting_a_member_a_million_times_uses_no_more_memory),
        BUILT(times_and_ids_become_their_text),
        BUILT(a_time_is_set_of_members_that_are_times_alone),
        BUILT(numbers_keep_their_value),
        BUILT(nan_is_recorded_as_text),
        BUILT(a_time_out_of_range_is_recorded_as_its_number),
        BUILT(binary_is_base64_in_an_object),
        BUILT(what_is_no_text_is_replaced_and_tagged),
        BUILT(the_tag_of_a_replacement_joins_those_there_are),
        BUILT(names_are_in_order_however_they_come),
        BUILT(nests_objects_and_arrays),
        BUILT(text_may_be_asked_for_in_between),
        BUILT(takes_json_apart_and_writes_it_anew),
        BUILT(refuses_what_is_no_json_and_says_where),
        BUILT(counts_what_json_nests_with_what_is_open),
        BUILT(opens_sixteen_and_no_more),
        BUILT(remembers_the_first_failure_until_it_is_cleared),
        BUILT(formats_text_whatever_is_in_it),
        BUILT(what_cannot_be_formatted_leaves_a_marker),
        BUILT(does_nothing_without_an_event),
        BUILT(later_changes_of_what_was_handed_in_change_nothing),
        cmocka_unit_test(formats_values_for_other_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
