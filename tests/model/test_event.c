#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "check.h"
#include "codec/json.h"
#include "crypto/crypto.h"
#include "fault.h"
#include "model/event.h"
#include "vectors.h"

#define NOW_US INT64_C(1773480413589793) /* 2026-03-14T09:26:53.589793Z */

static const uint8_t fresh[16] = { 0x91, 0xa2, 0xb3, 0xc4, 0xd5, 0xe6, 0xf7, 0x08 };
static struct tl_event_rules rules = { .bytes_max = TL_EVENT_BYTES_DEFAULT };

struct result {
    tally_status status;
    struct tally_error err;
    uint32_t notes;
    char *text; /* canonical, NUL-terminated; owned */
};

enum mode { NATIVE, IMPORT, OWN };

static void take(struct result *result, const char *json, size_t len, enum mode mode)
{
    *result = (struct result){ .status = TALLY_OK };
    struct tl_event_reader reader;
    tl_event_reader_init(&reader, &rules, tl_sha256);
    struct tl_buf out;
    tl_buf_init(&out, TL_EVENT_BYTES_MAX);
    struct tl_event_input input = { .json = json,
                                    .len = len,
                                    .import = mode == IMPORT,
                                    .own = mode == OWN,
                                    .now_us = NOW_US,
                                    .random = fresh };
    result->status = tl_event_canonical(&reader, &input, &out, &result->notes, &result->err);
    assert_true(result->status == TALLY_OK || out.len == 0);
    result->text = tl_buf_take(&out, NULL);
    assert_non_null(result->text);
    tl_buf_release(&out);
    tl_event_reader_release(&reader);
}

/* Checks what an event becomes, and that it then stays so, natively too. */
static void check_becomes(const char *json, enum mode mode, const char *want)
{
    struct result result;
    take(&result, json, strlen(json), mode);
    if (result.status != TALLY_OK) {
        fail_msg("%s: %s: %s %s", json, result.err.code, result.err.pointer, result.err.message);
    }
    assert_string_equal(result.text, want);
    struct result again;
    take(&again, result.text, strlen(result.text), mode == OWN ? OWN : NATIVE);
    assert_int_equal(again.status, TALLY_OK);
    assert_string_equal(again.text, result.text);
    tl_free(again.text);
    tl_free(result.text);
}

/* What an event with an id and a time becomes; `rest` are its other members around the fixed. */
#define WITH(members) \
    "{\"id\":\"e1\",\"timestamp\":\"2026-03-14T09:26:53Z\",\"action\":\"a.b\"" members "}"
#define AT "\"occurred_at\":\"2026-03-14T09:26:53Z\""

static void check_refused(const char *json, enum mode mode, const char *code, const char *pointer)
{
    struct result result;
    take(&result, json, strlen(json), mode);
    if (result.status != TALLY_EREFUSED) {
        fail_msg("accepted: %s", json);
    }
    if (strcmp(result.err.code, code) != 0 || strcmp(result.err.pointer, pointer) != 0) {
        fail_msg("%s: %s %s, want %s %s", json, result.err.code, result.err.pointer, code, pointer);
    }
    assert_true(result.err.message[0] != '\0');
    tl_free(result.text);
}

static void makes_of_the_worked_example_its_canonical_bytes(void **state)
{
    (void)state;
    struct tl_arena arena;
    tl_arena_init(&arena, VECTORS_ARENA_BYTES);
    struct tl_str file = vectors_read(&arena, "interop-example.json");
    const struct tl_json *root = NULL;
    check_ok(tl_json_read(&arena, file.text, file.len, &tl_json_limits_format, &root, NULL));
    const struct tl_json *event = vectors_get(root, "event");
    struct result result;
    take(&result, file.text + event->offset, event->end - event->offset, NATIVE);
    assert_int_equal(result.status, TALLY_OK);
    assert_int_equal(result.notes, 0);
    vectors_check_text(root, "canonical", tl_str_of(result.text));
    uint8_t hash[32];
    tl_sha256(hash, result.text, strlen(result.text));
    vectors_check(root, "canonical_sha256", hash, sizeof(hash));
    tl_free(result.text);
    tl_arena_release(&arena);
}

static void fills_in_id_time_outcome_and_severity(void **state)
{
    (void)state;
    struct result result;
    take(&result, "{\"action\":\"a\"}", 14, NATIVE);
    assert_int_equal(result.status, TALLY_OK);
    assert_int_equal(result.notes, TL_EVENT_ID_GENERATED | TL_EVENT_TIME_GENERATED);
    assert_non_null(strstr(result.text, "{\"action\":\"a\",\"id\":\"019cebab-8995-7"));
    assert_non_null(strstr(result.text, ",\"occurred_at\":\"2026-03-14T09:26:53.589793Z\","
                                        "\"outcome\":\"success\",\"severity\":\"medium\"}"));
    tl_free(result.text);
}

/* Each row: an input as a whole, how it is taken, and its canonical text. */
static const struct {
    const char *json;
    enum mode mode;
    const char *want;
} accepted[] = {
    /* What is empty is left out, but not inside the free objects. */
    { WITH(",\"reason\":null,\"tenant_id\":\"\",\"actor\":{},\"targets\":[],\"tags\":[],"
           "\"source\":{\"ip\":null,\"host\":\"\"},\"metadata\":{},\"outcome\":\"\",\"severity\":"
           "null,"
           "\"ended_at\":[],\"old_values\":{\"a\":null,\"b\":\"\",\"c\":{},\"d\":[]}"),
      NATIVE,
      "{\"action\":\"a.b\",\"id\":\"e1\"," AT
      ",\"old_values\":{\"a\":null,\"b\":\"\",\"c\":{},\"d\":[]},\"outcome\":\"success\","
      "\"severity\":\"medium\"}" },
    { WITH(",\"targets\":[{},{\"type\":\"\"},{\"id\":\"x\",\"name\":null}]"), NATIVE,
      "{\"action\":\"a.b\",\"id\":\"e1\"," AT ",\"outcome\":\"success\",\"severity\":\"medium\","
      "\"targets\":[{\"id\":\"x\"}]}" },
    /* Addresses, hex digits, severities and times have one spelling. */
    { WITH(",\"source\":{\"ip\":\"2001:DB8:0:0:0:0:0:1\"},\"severity\":\"HIGH\","
           "\"trace_id\":\"4BF92F3577B34DA6A3CE929D0E0E4736\",\"span_id\":\"00F067AA0BA902B7\","
           "\"started_at\":\"2026-03-14T10:00:00.1234569+01:00\""),
      NATIVE,
      "{\"action\":\"a.b\",\"id\":\"e1\"," AT ",\"outcome\":\"success\",\"severity\":\"high\","
      "\"source\":{\"ip\":\"2001:db8::1\"},\"span_id\":\"00f067aa0ba902b7\","
      "\"started_at\":\"2026-03-14T09:00:00.123456Z\","
      "\"trace_id\":\"4bf92f3577b34da6a3ce929d0e0e4736\"}" },
    /* Integers that a double may not hold become text, wherever they are. */
    { WITH(",\"metadata\":{\"a\":9007199254740991,\"b\":9007199254740992,"
           "\"c\":[{\"d\":-12345678901234567890}],\"e\":1000000000000000000000}"),
      NATIVE,
      "{\"action\":\"a.b\",\"id\":\"e1\",\"metadata\":{\"a\":9007199254740991,"
      "\"b\":\"9007199254740992\",\"c\":[{\"d\":\"-12345678901234567890\"}],"
      "\"e\":\"1000000000000000000000\"}," AT ",\"outcome\":\"success\",\"severity\":\"medium\"}" },
    { "{\"action\":\"tally.start\",\"id\":\"e1\"," AT "}", OWN,
      "{\"action\":\"tally.start\",\"id\":\"e1\"," AT
      ",\"outcome\":\"success\",\"severity\":\"medium\"}" },
    { "{\"action\":\"a\",\"id\":\"e1\",\"started_at\":\"2026-03-14T09:26:53Z\",\"duration_ms\":1."
      "5}",
      NATIVE,
      "{\"action\":\"a\",\"ended_at\":\"2026-03-14T09:26:53.001500Z\",\"id\":\"e1\"," AT
      ",\"outcome\":\"success\",\"severity\":\"medium\",\"started_at\":\"2026-03-14T09:26:53Z\"}" },
    /* The lenient readings of importers. */
    { "{\"action\":\"log in!\",\"id\":\"e1\",\"timestamp\":\"2026-03-14 09:26:53\","
      "\"outcome\":\"partial\",\"severity\":\"WARN\"}",
      IMPORT,
      "{\"action\":\"log_in_\",\"id\":\"e1\",\"metadata\":{\"action_text\":\"log in!\","
      "\"outcome_text\":\"partial\",\"severity_text\":\"WARN\"}," AT
      ",\"outcome\":\"unknown\",\"severity\":\"medium\"}" },
    { WITH(",\"checksum\":\"ab\",\"created_at\":null,\"entry_schema_version\":2,\"zoo\":[null],"
           "\"actor\":{\"dept\":7},\"targets\":[{},{\"id\":\"t\",\"x/y\":1}]"),
      IMPORT,
      "{\"action\":\"a.b\",\"id\":\"e1\",\"metadata\":{\"actor.dept\":7,\"import\":{"
      "\"checksum\":\"ab\",\"created_at\":null,\"entry_schema_version\":2},\"targets.1.x/y\":1,"
      "\"zoo\":[null]}," AT ",\"outcome\":\"success\",\"severity\":\"medium\","
      "\"targets\":[{\"id\":\"t\"}]}" },
};

static void writes_what_it_accepts_in_one_way_only(void **state)
{
    (void)state;
    for (size_t i = 0; i < TL_ARRAY_LEN(accepted); i++) {
        check_becomes(accepted[i].json, accepted[i].mode, accepted[i].want);
    }
}

/* Each row: the alias members, and the canonical members before and after `id` and so on. */
static const struct {
    const char *members;
    const char *before, *metadata, *old_values, *between, *after;
} aliases[] = {
    { "\"actor_id\":\"u\"", "\"actor\":{\"id\":\"u\"},", "", "", "", "" },
    { "\"user_id\":\"u\"", "\"actor\":{\"id\":\"u\",\"type\":\"user\"},", "", "", "", "" },
    { "\"user_id\":\"u\",\"actor_type\":\"bot\"", "\"actor\":{\"id\":\"u\",\"type\":\"bot\"},", "",
      "", "", "" },
    { "\"changed_by\":\"u\"", "\"actor\":{\"id\":\"u\"},", "", "", "", "" },
    { "\"actor_type\":\"t\",\"actor_name\":\"n\"", "\"actor\":{\"name\":\"n\",\"type\":\"t\"},", "",
      "", "", "" },
    { "\"actor\":{\"id\":\"u\"},\"actor_id\":\"u\"", "\"actor\":{\"id\":\"u\"},", "", "", "", "" },
    { "\"resource_type\":\"T\"", "", "", "", "", ",\"targets\":[{\"type\":\"T\"}]" },
    { "\"table_name\":\"T\"", "", "", "", "", ",\"targets\":[{\"type\":\"T\"}]" },
    { "\"doctype\":\"T\"", "", "", "", "", ",\"targets\":[{\"type\":\"T\"}]" },
    { "\"doctype_name\":\"T\"", "", "", "", "", ",\"targets\":[{\"type\":\"T\"}]" },
    { "\"resource_id\":42", "", "", "", "", ",\"targets\":[{\"id\":\"42\"}]" },
    { "\"entity_id\":1.50", "", "", "", "", ",\"targets\":[{\"id\":\"1.5\"}]" },
    { "\"document_id\":12345678901234567890", "", "", "", "",
      ",\"targets\":[{\"id\":\"12345678901234567890\"}]" },
    { "\"resource_id\":\"i\",\"targets\":[{\"type\":\"T\"},{\"id\":\"z\"}]", "", "", "", "",
      ",\"targets\":[{\"id\":\"i\",\"type\":\"T\"},{\"id\":\"z\"}]" },
    { "\"target\":{\"type\":\"T\",\"id\":\"i\"}", "", "", "", "",
      ",\"targets\":[{\"id\":\"i\",\"type\":\"T\"}]" },
    { "\"resource\":{\"type\":\"T\",\"name\":\"n\"}", "", "", "", "",
      ",\"targets\":[{\"name\":\"n\",\"type\":\"T\"}]" },
    { "\"bank_id\":\"b\",\"targets\":[{\"id\":\"z\"}]", "", "", "", "",
      ",\"targets\":[{\"id\":\"z\"},{\"id\":\"b\",\"type\":\"bank\"}]" },
    { "\"bank_id\":\"b\",\"target\":{\"type\":\"bank\",\"id\":\"b\"}", "", "", "", "",
      ",\"targets\":[{\"id\":\"b\",\"type\":\"bank\"}]" },
    { "\"changed_at\":\"2026-03-14T10:26:53+01:00\"", "", "", "", "", "" },
    { "\"changes\":{\"f\":{\"old\":1,\"new\":2},\"g\":{\"new\":null},\"h\":{\"old\":3},\"i\":4,"
      "\"j\":{}}",
      "", "", ",\"old_values\":{\"f\":1,\"h\":3}",
      "\"new_values\":{\"f\":2,\"g\":null,\"i\":4,\"j\":{}},", "" },
    { "\"diff\":{\"f\":{\"old\":1,\"new\":2}},\"old_values\":{\"f\":1.0}", "", "",
      ",\"old_values\":{\"f\":1}", "\"new_values\":{\"f\":2},", "" },
    { "\"changes\":{}", "", "", "", "", "" },
    { "\"source\":\"svc\"", "", "", "", "", ",\"source\":{\"service\":\"svc\"}" },
    { "\"ip\":\"::1\",\"user_agent\":\"ua\",\"source\":{\"ip\":\"0:0::1\"}", "", "", "", "",
      ",\"source\":{\"ip\":\"::1\",\"user_agent\":\"ua\"}" },
    { "\"command_payload_hash\":\"ABCD\",\"payload_size_bytes\":7,\"job_id\":\"j\"", "",
      "\"metadata\":{\"command_payload_hash\":\"abcd\",\"job_id\":\"j\",\"payload_size_bytes\":7},",
      "", "", "" },
    { "\"duration_ms\":5", "", "", "", "", "" },
    { "\"outcome\":\"success\",\"metadata\":{\"ip\":\"::1\",\"request_id\":\"r\"}", "",
      "\"metadata\":{\"ip\":\"::1\",\"request_id\":\"r\"},", "", "", "" },
};

static void leads_each_alias_to_its_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < TL_ARRAY_LEN(aliases); i++) {
        char json[512];
        char want[1024];
        (void)snprintf(json, sizeof(json), WITH(",%s"), aliases[i].members);
        (void)snprintf(want, sizeof(want),
                       "{\"action\":\"a.b\",%s\"id\":\"e1\",%s%s" AT
                       "%s,\"outcome\":\"success\",\"severity\":\"medium\"%s}",
                       aliases[i].before, aliases[i].metadata, aliases[i].between,
                       aliases[i].old_values, aliases[i].after);
        check_becomes(json, NATIVE, want);
    }
}

static void moves_what_framework_m_keeps_in_metadata(void **state)
{
    (void)state;
    check_becomes(WITH(",\"doctype\":\"T\",\"metadata\":{\"request_id\":\"r\",\"ip\":\"::1\","
                       "\"user_agent\":7}"),
                  NATIVE,
                  "{\"action\":\"a.b\",\"id\":\"e1\",\"metadata\":{\"user_agent\":7}," AT
                  ",\"outcome\":\"success\",\"request_id\":\"r\",\"severity\":\"medium\","
                  "\"source\":{\"ip\":\"::1\"},\"targets\":[{\"type\":\"T\"}]}");
    check_becomes(WITH(",\"doctype\":\"T\",\"ip\":\"::2\",\"metadata\":{\"ip\":\"::1\"}"), NATIVE,
                  "{\"action\":\"a.b\",\"id\":\"e1\",\"metadata\":{\"ip\":\"::1\"}," AT
                  ",\"outcome\":\"success\",\"severity\":\"medium\",\"source\":{\"ip\":\"::2\"},"
                  "\"targets\":[{\"type\":\"T\"}]}");
}

static void takes_a_word_for_failure_as_the_reason(void **state)
{
    (void)state;
    static const char *const words[] = { "failed", "error", "errored", "denied" };
    for (size_t i = 0; i < TL_ARRAY_LEN(words); i++) {
        char json[256];
        char want[256];
        (void)snprintf(json, sizeof(json), WITH(",\"outcome\":\"%s\""), words[i]);
        (void)snprintf(want, sizeof(want),
                       "{\"action\":\"a.b\",\"id\":\"e1\"," AT ",\"outcome\":\"failure\","
                       "\"reason\":\"%s\",\"severity\":\"medium\"}",
                       words[i]);
        check_becomes(json, NATIVE, want);
    }
    check_becomes(WITH(",\"outcome\":\"denied\",\"reason\":\"r\""), NATIVE,
                  "{\"action\":\"a.b\",\"id\":\"e1\"," AT ",\"outcome\":\"failure\","
                  "\"reason\":\"r\",\"severity\":\"medium\"}");
}

static const struct {
    const char *json;
    enum mode mode;
    const char *code, *pointer;
} refused[] = {
    { "{}", NATIVE, "missing", "/action" },
    { "{\"action\":\"\"}", IMPORT, "missing", "/action" },
    { "{\"action\":7}", NATIVE, "bad_type", "/action" },
    { "{\"action\":\"a b\"}", NATIVE, "bad_action", "/action" },
    { "{\"action\":\"tally.x\"}", NATIVE, "reserved_action", "/action" },
    { "{\"action\":\"tally.x\"}", IMPORT, "reserved_action", "/action" },
    { WITH(",\"foo\":null"), NATIVE, "unknown_member", "/foo" },
    { WITH(",\"a/b~c\":1"), NATIVE, "unknown_member", "/a~1b~0c" },
    { WITH(",\"checksum\":\"x\""), NATIVE, "unknown_member", "/checksum" },
    { WITH(",\"actor\":{\"x\":1}"), NATIVE, "unknown_member", "/actor/x" },
    { WITH(",\"source\":{\"x\":1}"), NATIVE, "unknown_member", "/source/x" },
    { WITH(",\"targets\":[{\"x\":1}]"), NATIVE, "unknown_member", "/targets/0/x" },
    { WITH(",\"targets\":[{},{\"x\":1}]"), NATIVE, "unknown_member", "/targets/1/x" },
    { WITH(",\"actor\":{\"id\":\"a\"},\"actor_id\":\"b\""), NATIVE, "alias_conflict", "/actor_id" },
    { WITH(",\"user_id\":\"a\",\"changed_by\":\"b\""), NATIVE, "alias_conflict", "/user_id" },
    { WITH(",\"occurred_at\":\"2026-03-14T09:26:54Z\""), NATIVE, "alias_conflict", "/timestamp" },
    { WITH(",\"target\":{\"id\":\"a\"},\"targets\":[{\"id\":\"b\"}]"), NATIVE, "alias_conflict",
      "/targets/0/id" },
    { WITH(",\"ip\":\"::1\",\"source\":{\"ip\":\"::2\"}"), NATIVE, "alias_conflict", "/source/ip" },
    { WITH(",\"changes\":{\"f\":{\"old\":1}},\"old_values\":{\"f\":2}"), NATIVE, "alias_conflict",
      "/changes" },
    { WITH(",\"changes\":{\"f\":1},\"diff\":{\"f\":2}"), NATIVE, "alias_conflict", "/diff" },
    { WITH(",\"job_id\":1,\"metadata\":{\"job_id\":2}"), NATIVE, "alias_conflict", "/job_id" },
    { WITH(",\"foo\":1,\"metadata\":{\"foo\":2}"), IMPORT, "alias_conflict", "/foo" },
    { WITH(",\"checksum\":1,\"metadata\":{\"import\":2}"), IMPORT, "alias_conflict", "/checksum" },
    { WITH(",\"reason\":1"), NATIVE, "bad_type", "/reason" },
    { WITH(",\"actor\":\"x\""), NATIVE, "bad_type", "/actor" },
    { WITH(",\"actor\":{\"id\":1}"), NATIVE, "bad_type", "/actor/id" },
    { WITH(",\"source\":1"), NATIVE, "bad_type", "/source" },
    { WITH(",\"targets\":{\"id\":\"x\"}"), NATIVE, "bad_type", "/targets" },
    { WITH(",\"targets\":[null]"), NATIVE, "bad_type", "/targets/0" },
    { WITH(",\"targets\":[{},{\"id\":false}]"), NATIVE, "bad_type", "/targets/1/id" },
    { WITH(",\"tags\":\"x\""), NATIVE, "bad_type", "/tags" },
    { WITH(",\"tags\":[\"x\",1]"), NATIVE, "bad_type", "/tags/1" },
    { WITH(",\"tags\":[\"\"]"), NATIVE, "bad_value", "/tags/0" },
    { WITH(",\"tags\":[\"x\",\"y\",\"x\"]"), NATIVE, "bad_value", "/tags/2" },
    { WITH(",\"metadata\":[1]"), NATIVE, "bad_type", "/metadata" },
    { WITH(",\"request\":\"x\""), IMPORT, "bad_type", "/request" },
    { WITH(",\"changes\":[1]"), NATIVE, "bad_type", "/changes" },
    { WITH(",\"bank_id\":1"), NATIVE, "bad_type", "/bank_id" },
    { WITH(",\"job_id\":[1]"), NATIVE, "bad_type", "/job_id" },
    { WITH(",\"command_payload_hash\":\"abc\""), NATIVE, "bad_hex", "/command_payload_hash" },
    { WITH(",\"outcome\":\"partial\""), NATIVE, "bad_value", "/outcome" },
    { WITH(",\"severity\":\"warn\""), NATIVE, "bad_value", "/severity" },
    { "{\"id\":\"a\\tb\",\"action\":\"a\"}", NATIVE, "bad_value", "/id" },
    { "{\"id\":\"a\\u0085b\",\"action\":\"a\"}", NATIVE, "bad_value", "/id" },
    { "{\"id\":\"00000000-0000-0000-0000-000000000000\",\"action\":\"a\"}", NATIVE, "bad_value",
      "/id" },
    { WITH(",\"started_at\":\"2026-03-14T09:26:53\""), NATIVE, "bad_time", "/started_at" },
    { WITH(",\"ended_at\":\"yesterday\""), IMPORT, "bad_time", "/ended_at" },
    { WITH(",\"started_at\":\"2026-03-14T09:26:53Z\",\"ended_at\":\"2026-03-14T09:26:52Z\""),
      NATIVE, "bad_span", "/ended_at" },
    { WITH(",\"started_at\":\"2026-03-14T09:26:53Z\",\"duration_ms\":-1"), NATIVE, "bad_value",
      "/duration_ms" },
    { WITH(",\"duration_ms\":\"1\""), NATIVE, "bad_type", "/duration_ms" },
    { WITH(",\"ip\":\"1.2.3\""), NATIVE, "bad_ip", "/ip" },
    { WITH(",\"trace_id\":\"00000000000000000000000000000000\""), NATIVE, "bad_hex", "/trace_id" },
    { WITH(",\"span_id\":\"abc\""), NATIVE, "bad_hex", "/span_id" },
    { "[1]", NATIVE, "bad_json", "" },
    { "{\"action\":\"a\",\"action\":\"a\"}", NATIVE, "duplicate_member", "" },
    { "{\"action\":\"\\ud800\"}", NATIVE, "bad_utf8", "" },
    { "{\"action\":\"a\"", NATIVE, "bad_json", "" },
};

static void refuses_with_the_code_and_the_member(void **state)
{
    (void)state;
    for (size_t i = 0; i < TL_ARRAY_LEN(refused); i++) {
        check_refused(refused[i].json, refused[i].mode, refused[i].code, refused[i].pointer);
    }
}

static void says_at_which_byte_the_json_is_wrong(void **state)
{
    (void)state;
    struct result result;
    take(&result, "{\"action\":\"a\",}", 15, NATIVE);
    assert_string_equal(result.err.code, "bad_json");
    assert_int_equal(result.err.has_offset, 1);
    assert_int_equal(result.err.offset, 14);
    tl_free(result.text);
}

/* Each text member at its limit, and one byte above. */
static void holds_every_limit_to_the_byte(void **state)
{
    (void)state;
    static const struct {
        const char *before, *after, *pointer;
        size_t max;
    } limits[] = {
        { "{\"action\":\"", "\"}", "/action", 256 },
        { "{\"action\":\"a\",\"id\":\"", "\"}", "/id", 128 },
        { "{\"action\":\"a\",\"actor\":{\"type\":\"", "\"}}", "/actor/type", 64 },
        { "{\"action\":\"a\",\"actor\":{\"id\":\"", "\"}}", "/actor/id", 1024 },
        { "{\"action\":\"a\",\"actor\":{\"name\":\"", "\"}}", "/actor/name", 1024 },
        { "{\"action\":\"a\",\"targets\":[{\"type\":\"", "\"}]}", "/targets/0/type", 128 },
        { "{\"action\":\"a\",\"targets\":[{\"id\":\"", "\"}]}", "/targets/0/id", 1024 },
        { "{\"action\":\"a\",\"targets\":[{},{\"name\":\"", "\"}]}", "/targets/1/name", 1024 },
        { "{\"action\":\"a\",\"reason\":\"", "\"}", "/reason", 4096 },
        { "{\"action\":\"a\",\"source\":\"", "\"}", "/source", 256 },
        { "{\"action\":\"a\",\"source\":{\"host\":\"", "\"}}", "/source/host", 255 },
        { "{\"action\":\"a\",\"user_agent\":\"", "\"}", "/user_agent", 2048 },
        { "{\"action\":\"a\",\"transport\":\"", "\"}", "/transport", 64 },
        { "{\"action\":\"a\",\"tenant_id\":\"", "\"}", "/tenant_id", 256 },
        { "{\"action\":\"a\",\"correlation_id\":\"", "\"}", "/correlation_id", 256 },
        { "{\"action\":\"a\",\"causation_id\":\"", "\"}", "/causation_id", 256 },
        { "{\"action\":\"a\",\"request_id\":\"", "\"}", "/request_id", 256 },
        { "{\"action\":\"a\",\"session_id\":\"", "\"}", "/session_id", 256 },
        { "{\"action\":\"a\",\"tags\":[\"", "\"]}", "/tags/0", 128 },
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(limits); i++) {
        for (size_t more = 0; more <= 1; more++) {
            struct tl_buf json;
            tl_buf_init(&json, 8192);
            tl_buf_addf(&json, "%s%0*d%s", limits[i].before, (int)(limits[i].max + more), 7,
                        limits[i].after);
            struct result result;
            take(&result, json.data, json.len, NATIVE);
            tl_buf_release(&json);
            assert_int_equal(result.status, more == 0 ? TALLY_OK : TALLY_EREFUSED);
            assert_string_equal(result.err.code, more == 0 ? "" : "too_long");
            assert_string_equal(result.err.pointer, more == 0 ? "" : limits[i].pointer);
            tl_free(result.text);
        }
    }
}

/* Appends `count` copies of `item` with commas between. */
static void repeat(struct tl_buf *buf, const char *item, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        tl_buf_addf(buf, "%s%s", i == 0 ? "" : ",", item);
    }
}

static void holds_the_limits_on_numbers(void **state)
{
    (void)state;
    static const struct {
        const char *before, *item, *after, *code;
        size_t max;
    } limits[] = {
        { "{\"action\":\"a\",\"targets\":[", "{\"id\":\"x\"}", "]}", "too_many", 64 },
        { "{\"action\":\"a\",\"bank_id\":\"b\",\"targets\":[", "{\"id\":\"x\"}", "]}", "too_many",
          63 },
        { "{\"action\":\"a\",\"request\":{\"x\":[", "1", "]}}", "too_many", 4096 },
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(limits); i++) {
        for (size_t more = 0; more <= 1; more++) {
            struct tl_buf json;
            tl_buf_init(&json, 1 << 20);
            tl_buf_add_text(&json, limits[i].before);
            repeat(&json, limits[i].item, limits[i].max + more);
            tl_buf_add_text(&json, limits[i].after);
            struct result result;
            take(&result, json.data, json.len, NATIVE);
            assert_string_equal(result.err.code, more == 0 ? "" : limits[i].code);
            tl_free(result.text);
            tl_buf_release(&json);
        }
    }
}

/* An event whose member x (or request.x) is nested so that the whole has `depth` containers. */
static void check_depth(const char *name, size_t depth, enum mode mode, const char *code)
{
    struct tl_buf json;
    tl_buf_init(&json, 1 << 20);
    tl_buf_addf(&json, "{\"action\":\"a\",\"%s\":{\"x\":", name);
    for (size_t i = 2; i < depth; i++) {
        tl_buf_add_char(&json, '[');
    }
    for (size_t i = 2; i < depth; i++) {
        tl_buf_add_char(&json, ']');
    }
    tl_buf_add_text(&json, "}}");
    struct result result;
    take(&result, json.data, json.len, mode);
    assert_string_equal(result.err.code, code);
    tl_free(result.text);
    tl_buf_release(&json);
}

static void bounds_the_depth_of_what_is_moved_too(void **state)
{
    (void)state;
    check_depth("request", 32, NATIVE, "");
    check_depth("request", 33, NATIVE, "too_deep");
    check_depth("unknown", 31, IMPORT, "");
    check_depth("unknown", 32, IMPORT, "too_deep");
}

static void trims_the_largest_objects_and_says_so(void **state)
{
    (void)state;
    struct tl_buf json;
    tl_buf_init(&json, 4 << 20);
    tl_buf_addf(&json,
                "{\"action\":\"a\",\"metadata\":{\"m\":\"%0200d\"},\"request\":{\"x\":\"%0*d\"},",
                0, 200000, 0);
    tl_buf_addf(&json, "\"response\":{\"x\":\"%0*d\"},\"tags\":[\"t\"]}", 100000, 0);
    struct result result;
    take(&result, json.data, json.len, NATIVE);
    assert_int_equal(result.status, TALLY_OK);
    assert_int_equal(result.notes,
                     TL_EVENT_ID_GENERATED | TL_EVENT_TIME_GENERATED | TL_EVENT_TRIMMED);
    assert_true(strlen(result.text) <= TL_EVENT_BYTES_DEFAULT);
    assert_non_null(
        strstr(result.text, "\"request\":{\"tally_trimmed\":{\"bytes\":200008,\"sha256\":\""));
    assert_non_null(strstr(result.text, "\"response\":{\"x\":\"0000"));
    assert_non_null(strstr(result.text, "\"metadata\":{\"m\":\"0000"));
    assert_non_null(strstr(result.text, "\"tags\":[\"t\",\"tally:trimmed\"]"));
    uint8_t hash[32];
    const char *object = strstr(json.data, "{\"x\":");
    tl_sha256(hash, object, 200008);
    char hex[65];
    for (size_t i = 0; i < 32; i++) {
        (void)snprintf(hex + 2 * i, 3, "%02x", hash[i]);
    }
    assert_non_null(strstr(result.text, hex));
    tl_free(result.text);

    rules.refuse_oversize = true;
    take(&result, json.data, json.len, NATIVE);
    rules.refuse_oversize = false;
    assert_string_equal(result.err.code, "too_large");
    tl_free(result.text);
    tl_buf_release(&json);
}

static void refuses_what_is_too_large_without_the_free_objects(void **state)
{
    (void)state;
    rules.bytes_max = 300;
    struct result result;
    take(&result, WITH(",\"reason\":\"\""), sizeof(WITH(",\"reason\":\"\"")) - 1, NATIVE);
    assert_int_equal(result.status, TALLY_OK);
    tl_free(result.text);
    char json[1000];
    int len = snprintf(json, sizeof(json), WITH(",\"reason\":\"%0300d\""), 0);
    take(&result, json, (size_t)len, NATIVE);
    rules.bytes_max = TL_EVENT_BYTES_DEFAULT;
    assert_string_equal(result.err.code, "too_large");
    assert_string_equal(result.err.pointer, "");
    tl_free(result.text);
}

static void moves_unknown_members_into_metadata_if_told(void **state)
{
    (void)state;
    rules.unknown_to_metadata = true;
    check_becomes(WITH(",\"zoo\":{\"n\":12345678901234567890},\"metadata\":{\"a\":1}"), NATIVE,
                  "{\"action\":\"a.b\",\"id\":\"e1\",\"metadata\":{\"a\":1,\"zoo\":{\"n\":"
                  "\"12345678901234567890\"}}," AT
                  ",\"outcome\":\"success\",\"severity\":\"medium\"}");
    rules.unknown_to_metadata = false;
}

static tally_status take_all(const void *ctx)
{
    struct tl_event_reader reader;
    tl_event_reader_init(&reader, &rules, tl_sha256);
    struct tl_buf out;
    tl_buf_init(&out, TL_EVENT_BYTES_MAX);
    struct tl_event_input input = {
        .json = ctx, .len = strlen(ctx), .import = true, .now_us = NOW_US, .random = fresh
    };
    uint32_t notes = 99;
    struct tally_error err = TALLY_ERROR_INIT;
    tally_status status = tl_event_canonical(&reader, &input, &out, &notes, &err);
    assert_true(status == TALLY_OK || (out.len == 0 && notes == 99));
    tl_buf_release(&out);
    tl_event_reader_release(&reader);
    return status;
}

static void gives_out_of_memory_and_nothing_else(void **state)
{
    (void)state;
    for (size_t i = 0; i < TL_ARRAY_LEN(accepted); i++) {
        if (accepted[i].mode != OWN) {
            assert_true(fault_each_alloc(take_all, accepted[i].json) > 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(makes_of_the_worked_example_its_canonical_bytes),
        cmocka_unit_test(fills_in_id_time_outcome_and_severity),
        cmocka_unit_test(writes_what_it_accepts_in_one_way_only),
        cmocka_unit_test(leads_each_alias_to_its_place),
        cmocka_unit_test(moves_what_framework_m_keeps_in_metadata),
        cmocka_unit_test(takes_a_word_for_failure_as_the_reason),
        cmocka_unit_test(refuses_with_the_code_and_the_member),
        cmocka_unit_test(says_at_which_byte_the_json_is_wrong),
        cmocka_unit_test(holds_every_limit_to_the_byte),
        cmocka_unit_test(holds_the_limits_on_numbers),
        cmocka_unit_test(bounds_the_depth_of_what_is_moved_too),
        cmocka_unit_test(trims_the_largest_objects_and_says_so),
        cmocka_unit_test(refuses_what_is_too_large_without_the_free_objects),
        cmocka_unit_test(moves_unknown_members_into_metadata_if_told),
        cmocka_unit_test(gives_out_of_memory_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
