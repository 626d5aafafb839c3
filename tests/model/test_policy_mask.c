#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/limits.h"
#include "check.h"
#include "codec/json.h"
#include "crypto/crypto.h"
#include "fault.h"
#include "model/config.h"

static const uint8_t fresh[16] = { 0x91, 0xa2, 0xb3, 0xc4, 0xd5, 0xe6, 0xf7, 0x08 };
static struct tl_event_rules rules = { .bytes_max = TL_EVENT_BYTES_DEFAULT };

static void read_policy(struct tl_config *config, const char *yaml)
{
    struct tally_error err = TALLY_ERROR_INIT;
    if (tl_config_read(config, "p.yaml", tl_str_of(yaml), NULL, 0, &err) != TALLY_OK) {
        fail_msg("%s: %s", yaml, err.message);
    }
    assert_non_null(config->policy);
}

struct result {
    tally_status status;
    uint32_t notes;
    struct tl_log_policy_decision decision;
    char *text; /* owned */
};

static void take_len(struct result *result, const struct tl_log_policy *policy, const char *json,
                     size_t len)
{
    *result = (struct result){ .status = TALLY_OK };
    struct tl_event_reader reader;
    tl_event_reader_init(&reader, &rules, tl_sha256);
    struct tl_buf out;
    tl_buf_init(&out, TL_EVENT_BYTES_MAX);
    struct tl_event_input input = { .json = json, .len = len, .random = fresh, .policy = policy };
    struct tally_error err = TALLY_ERROR_INIT;
    result->status = tl_event_canonical(&reader, &input, &out, &result->notes, &err);
    assert_true(result->status == TALLY_OK || (out.len == 0 && err.status == result->status));
    result->decision = reader.decision;
    result->text = tl_buf_take(&out, NULL);
    assert_non_null(result->text);
    tl_buf_release(&out);
    tl_event_reader_release(&reader);
}

static void take(struct result *result, const struct tl_log_policy *policy, const char *json)
{
    take_len(result, policy, json, strlen(json));
}

/* The event around its free members, given and canonical. */
#define EVENT(members) \
    "{\"action\":\"a\",\"id\":\"e\"" members ",\"occurred_at\":\"2026-01-01T00:00:00Z\"}"
#define AFTER \
    ",\"occurred_at\":\"2026-01-01T00:00:00Z\",\"outcome\":\"success\",\"severity\":\"medium\"}"
#define BEFORE "{\"action\":\"a\",\"id\":\"e\""

/* Checks what an event becomes under a policy, and that doing it again changes nothing. */
static void check_becomes(const struct tl_config *config, const char *json, const char *want,
                          uint32_t notes)
{
    struct result result;
    take(&result, config->policy, json);
    assert_int_equal(result.status, TALLY_OK);
    assert_string_equal(result.text, want);
    assert_int_equal(result.notes, notes);
    check_ok(tl_json_check_canonical(result.text, strlen(result.text), NULL));
    struct result again;
    take(&again, config->policy, result.text);
    assert_int_equal(again.status, TALLY_OK);
    assert_string_equal(again.text, result.text);
    assert_int_equal(again.notes, 0);
    tl_free(again.text);
    tl_free(result.text);
}

static void rules_change_the_event(void **state)
{
    (void)state;
    struct tl_config config;
    read_policy(&config, "policy.rules:\n"
                         "- {target_type: bank, target_id: b1, level: none}\n"
                         "- {action: a, level: metadata, set_severity: high}\n");
    check_becomes(&config,
                  EVENT(",\"old_values\":{\"a\":1},\"new_values\":{\"a\":2},\"request\":{\"b\":1},"
                        "\"response\":{\"c\":1},\"metadata\":{\"d\":1},\"severity\":\"low\""),
                  "{\"action\":\"a\",\"id\":\"e\",\"metadata\":{\"d\":1},\"occurred_at\":"
                  "\"2026-01-01T00:00:00Z\",\"outcome\":\"success\",\"severity\":\"high\"}",
                  0);
    struct result result;
    take(&result, config.policy, EVENT(",\"bank_id\":\"b1\""));
    assert_int_equal(result.status, TALLY_EDISABLED);
    assert_int_equal(result.decision.level, TL_POLICY_NONE);
    tl_free(result.text);
    tl_config_release(&config);
}

static void what_is_not_allowed_is_not_recorded(void **state)
{
    (void)state;
    struct tl_config config;
    read_policy(&config, "policy.allow: [b]");
    struct result result;
    take(&result, config.policy, EVENT(""));
    assert_int_equal(result.status, TALLY_EDISABLED);
    assert_true(result.decision.unlisted);
    tl_free(result.text);
    take(&result, NULL, EVENT(""));
    assert_int_equal(result.status, TALLY_OK);
    tl_free(result.text);

    /* The ledger's own events are no matter of policy. */
    struct tl_event_reader reader;
    struct tl_buf out;
    tl_event_reader_init(&reader, &rules, tl_sha256);
    tl_buf_init(&out, TL_EVENT_BYTES_MAX);
    struct tl_event_input input = { .json = "{\"action\":\"tally.import\"}",
                                    .len = 25,
                                    .random = fresh,
                                    .own = true,
                                    .policy = config.policy };
    uint32_t notes = 0;
    check_ok(tl_event_canonical(&reader, &input, &out, &notes, NULL));
    tl_buf_release(&out);
    tl_event_reader_release(&reader);
    tl_config_release(&config);
}

/* Writes "metadata":{"tally_policy":{...}}, with the comma before it; nothing for nothing. */
static void write_note(char *out, size_t size, const char *counts)
{
    (void)snprintf(out, size, "%s%s%s",
                   counts[0] == '\0' ? "" : ",\"metadata\":{\"tally_policy\":{", counts,
                   counts[0] == '\0' ? "" : "}}");
}

static void secrets_are_masked_by_name_at_every_depth(void **state)
{
    (void)state;
    static const struct {
        const char *given, *kept, *counts;
    } table[] = {
        { "{\"password\":\"x\"}", "{\"password\":\"<redacted>\"}", "\"masked\":1" },
        { "{\"a\":{\"b\":[1,{\"Api_Key\":{\"x\":[1]}}]}}",
          "{\"a\":{\"b\":[1,{\"Api_Key\":\"<redacted>\"}]}}", "\"masked\":1" },
        { "{\"PASSWD\":null,\"Secret\":false,\"apiKEY\":12}",
          "{\"PASSWD\":\"<redacted>\",\"Secret\":\"<redacted>\",\"apiKEY\":\"<redacted>\"}",
          "\"masked\":3" },
        { "{\"session_id\":\"s\",\"session_ids\":\"s\",\"tokens\":[\"t\"],\"x_token\":\"t\"}",
          "{\"session_id\":\"<redacted>\",\"session_ids\":\"s\",\"tokens\":[\"t\"],"
          "\"x_token\":\"t\"}",
          "\"masked\":1" },
        { "{\"token\":\"<redacted>\"}", "{\"token\":\"<redacted>\"}", "" },
        { "{\"\\u0070assword\":\"x\"}", "{\"password\":\"<redacted>\"}", "\"masked\":1" },
        { "{\"auth\":{\"token\":\"x\"},\"authorization\":[]}",
          "{\"auth\":\"<redacted>\",\"authorization\":\"<redacted>\"}", "\"masked\":2" },
        { "{\"\":1,\"p\":\"password\"}", "{\"\":1,\"p\":\"password\"}", "" },
        { "[[{\"secret\":1}],{\"secret\":2}]",
          "[[{\"secret\":\"<redacted>\"}],{\"secret\":"
          "\"<redacted>\"}]",
          "\"masked\":2" },
        /* A Kelvin sign and a long s are letters too. */
        { "{\"to\\u212aen\":1,\"\\u017fecret\":2}",
          "{\"to\xE2\x84\xAA"
          "en\":\"<redacted>\",\"\xC5\xBF"
          "ecret\":\"<redacted>\"}",
          "\"masked\":2" },
    };
    struct tl_config config;
    read_policy(&config, "{}");
    for (size_t i = 0; i < TL_ARRAY_LEN(table); i++) {
        char given[512];
        char note[64];
        char want[512];
        write_note(note, sizeof(note), table[i].counts);
        (void)snprintf(given, sizeof(given), EVENT(",\"new_values\":{\"o\":%s}"), table[i].given);
        (void)snprintf(want, sizeof(want), BEFORE "%s,\"new_values\":{\"o\":%s}" AFTER, note,
                       table[i].kept);
        check_becomes(&config, given, want, note[0] == '\0' ? 0 : TL_EVENT_MASKED);
    }
    check_becomes(&config,
                  EVENT(",\"changes\":{\"secret\":{\"old\":1,\"new\":2}},"
                        "\"metadata\":{\"u\":1,\"secret\":3},\"request\":{\"secret\":4},"
                        "\"response\":{\"secret\":5}"),
                  BEFORE ",\"metadata\":{\"secret\":\"<redacted>\",\"tally_policy\":{\"masked\":5},"
                         "\"u\":1},\"new_values\":{\"secret\":\"<redacted>\"},"
                         "\"occurred_at\":\"2026-01-01T00:00:00Z\","
                         "\"old_values\":{\"secret\":\"<redacted>\"},\"outcome\":\"success\","
                         "\"request\":{\"secret\":\"<redacted>\"},"
                         "\"response\":{\"secret\":\"<redacted>\"},\"severity\":\"medium\"}",
                  TL_EVENT_MASKED);
    tl_config_release(&config);
}

static void the_names_of_an_event_itself_are_not_masked(void **state)
{
    (void)state;
    struct tl_config config;
    read_policy(&config, "{}");
    check_becomes(&config, EVENT(",\"session_id\":\"s1\""),
                  BEFORE ",\"occurred_at\":\"2026-01-01T00:00:00Z\",\"outcome\":\"success\","
                         "\"session_id\":\"s1\",\"severity\":\"medium\"}",
                  0);
    tl_config_release(&config);
}

static void matches_are_masked_in_texts_and_in_the_reason(void **state)
{
    (void)state;
    static const struct {
        const char *patterns, *given, *kept;
    } table[] = {
        { "'[a-z]+@[a-z.]+'", "write to ann@x.org or bob@y.org",
          "write to <redacted> or <redacted>" },
        { "'^x+$'", "xxx", "<redacted>" },
        { "'^x+$'", "xxy", "xxy" },
        { "red", "red", "<redacted>" },
        { "red", "so red <redacted> it is", "so <redacted> <redacted> it is" },
        { "'a<'", "ax<", "ax<" },
        { "[x, 'a<']", "ax", "<redacted>" },
        { "'z*'", "abc", "abc" },
        { "'z*'", "azzc", "a<redacted>c" },
        { "'token=\\S+'", "token=<redacted>x&y <redacted>", "<redacted> <redacted>" },
        { "'ted>x'", "<redacted>xy", "<redacted>y" },
        { "'(?i)B\\w'", "abcd abcd", "a<redacted>d a<redacted>d" },
        { "'x.'", "x\xC3\xA9y", "<redacted>y" },
        { "'(?<=k=)\\d+'", "k=12 j=34", "k=<redacted> j=34" },
        { "'a\\Kb'", "ab", "a<redacted>" },
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(table); i++) {
        bool changes = strcmp(table[i].given, table[i].kept) != 0;
        struct tl_config config;
        char text[256];
        char want[512];
        const char *open = table[i].patterns[0] == '[' ? "" : "[";
        const char *close = table[i].patterns[0] == '[' ? "" : "]";
        (void)snprintf(text, sizeof(text), "policy.redact.patterns: %s%s%s", open,
                       table[i].patterns, close);
        read_policy(&config, text);
        assert_true(tl_log_policy_looks_at_values(config.policy));
        (void)snprintf(text, sizeof(text), EVENT(",\"new_values\":{\"k\":[\"%s\"]}"),
                       table[i].given);
        (void)snprintf(want, sizeof(want), BEFORE "%s,\"new_values\":{\"k\":[\"%s\"]}" AFTER,
                       changes ? ",\"metadata\":{\"tally_policy\":{\"masked\":1}}" : "",
                       table[i].kept);
        check_becomes(&config, text, want, changes ? TL_EVENT_MASKED : 0);
        (void)snprintf(text, sizeof(text), EVENT(",\"reason\":\"%s\""), table[i].given);
        (void)snprintf(want, sizeof(want),
                       BEFORE "%s,\"occurred_at\":\"2026-01-01T00:00:00Z\",\"outcome\":\"success\","
                              "\"reason\":\"%s\",\"severity\":\"medium\"}",
                       changes ? ",\"metadata\":{\"tally_policy\":{\"masked\":1}}" : "",
                       table[i].kept);
        check_becomes(&config, text, want, changes ? TL_EVENT_MASKED : 0);
        tl_config_release(&config);
    }
}

/* What "new_values":{"k":TEXT} becomes; the caller frees it. */
static char *mask_long(const struct tl_config *config, const char *unit, size_t count)
{
    struct tl_buf json;
    tl_buf_init(&json, 4 << 20);
    tl_buf_add_text(&json, "{\"action\":\"a\",\"new_values\":{\"k\":\"");
    for (size_t i = 0; i < count; i++) {
        tl_buf_add_text(&json, unit);
    }
    tl_buf_add_text(&json, "\"}}");
    check_ok(tl_buf_status(&json));
    struct result result;
    take_len(&result, config->policy, json.data, json.len);
    assert_int_equal(result.status, TALLY_OK);
    tl_buf_release(&json);
    return result.text;
}

static void no_expression_can_hang(void **state)
{
    (void)state;
    static const char *const slow[] = {
        "(a+)+[bc]",
        "(a|aa)+[bc]",
        "(.*a){20}[bc]",
        "^(([a-z])+.)+[A-Z]([a-z])+$",
        "a*a*a*a*a*[bc]",
        "(?:a?){60}[bc]",
        "(a*)*[bc]",
        "((a*)*)*[bc]",
        "(?=(a+))\\1*[bc]",
        "(a(?1)?a)*[bc]",
        "[a-z]+@",
        "[a-z]+[0-9a-z]+@",
        "a+[bc]",
        "(?:a+)?a+[bc]",
        "(*NO_JIT)(a+)+[bc]",
        "(*NO_JIT)a*a*a*[bc]",
        "(*NO_JIT)a+[bc]",
        "(*LIMIT_MATCH=4000000000)(a|aa)+[bc]",
        "(?:aa?)+?[bc]",
        "(?s).*?[bc].*?x",
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(slow); i++) {
        struct tl_config config;
        char yaml[128];
        (void)snprintf(yaml, sizeof(yaml), "policy.redact.patterns: ['%s']", slow[i]);
        read_policy(&config, yaml);
        static const size_t lengths[] = { 30, 1000, 60000 };
        for (size_t j = 0; j < TL_ARRAY_LEN(lengths); j++) {
            struct timespec start;
            struct timespec end;
            assert_int_equal(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &start), 0);
            char *text = mask_long(&config, "a", lengths[j]);
            assert_int_equal(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end), 0);
            print_message("# %s on %zu: %ld ms\n", slow[i], lengths[j],
                          (long)((end.tv_sec - start.tv_sec) * 1000 +
                                 (end.tv_nsec - start.tv_nsec) / 1000000));
            assert_true(end.tv_sec - start.tv_sec < 10);
            tl_free(text);
        }
        tl_config_release(&config);
    }
}

static void what_takes_too_long_to_look_at_is_masked_whole(void **state)
{
    (void)state;
    struct tl_config config;
    read_policy(&config, "policy.redact.patterns: ['[a-z]+@', '(a|aa)+[bc]']");
    char *text = mask_long(&config, "a", 100000);
    assert_non_null(strstr(text, "\"new_values\":{\"k\":\"<redacted>\"}"));
    tl_free(text);
    tl_config_release(&config);
    read_policy(&config, "policy.redact.patterns: [b]");
    text = mask_long(&config, "word ", 40000);
    assert_null(strstr(text, "<redacted>"));
    tl_free(text);
    text = mask_long(&config, "bad ", 10000);
    assert_non_null(strstr(text, "\"<redacted>ad <redacted>ad <redacted>ad "));
    tl_free(text);
    tl_config_release(&config);
}

static void a_reason_of_masks_still_fits_its_place(void **state)
{
    (void)state;
    struct tl_config config;
    read_policy(&config, "policy.redact.patterns: [b]");
    struct tl_buf json;
    tl_buf_init(&json, 1 << 16);
    tl_buf_add_text(&json, BEFORE ",\"occurred_at\":\"2026-01-01T00:00:00Z\",\"reason\":\"");
    for (unsigned i = 0; i < 4096; i++) {
        tl_buf_add_char(&json, 'b');
    }
    tl_buf_add_text(&json, "\"}");
    tl_buf_add_char(&json, '\0');
    check_becomes(&config, json.data,
                  BEFORE ",\"metadata\":{\"tally_policy\":{\"masked\":1}},\"occurred_at\":"
                         "\"2026-01-01T00:00:00Z\",\"outcome\":\"success\",\"reason\":"
                         "\"<redacted>\",\"severity\":\"medium\"}",
                  TL_EVENT_MASKED);
    tl_buf_release(&json);
    tl_config_release(&config);
}

static void long_texts_are_cut_between_characters_and_say_so(void **state)
{
    (void)state;
    uint8_t hash[32];
    char hex[65];
    char text[128];
    char given[512];
    char want[512];
    struct tl_config config;
    read_policy(&config, "policy: {text_bytes: 64, redact: {patterns: ['[0-9a-f]{33,}']}}");
    static const struct {
        const char *unit, *rest;
        size_t count, kept;
    } table[] = {
        { "zyxwvutZ", "x", 8, 64 },
        { "\xE2\x82\xAC", "\xC3\xA9", 21, 63 },
        { "\xE2\x82\xAC", "\xF0\x9F\x98\x80", 21, 63 },
        { "zz", "\xC3\xA9", 32, 64 },
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(table); i++) {
        size_t len = 0;
        for (size_t j = 0; j < table[i].count; j++) {
            len += (size_t)snprintf(text + len, sizeof(text) - len, "%s", table[i].unit);
        }
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%s", table[i].rest);
        tl_sha256(hash, text, len);
        for (size_t j = 0; j < sizeof(hash); j++) {
            (void)snprintf(hex + 2 * j, 3, "%02x", hash[j]);
        }
        (void)snprintf(given, sizeof(given), EVENT(",\"request\":{\"k\":[\"%s\"]}"), text);
        (void)snprintf(want, sizeof(want),
                       BEFORE ",\"metadata\":{\"tally_policy\":{\"cut\":1}},"
                              "\"occurred_at\":\"2026-01-01T00:00:00Z\",\"outcome\":\"success\","
                              "\"request\":{\"k\":[{\"tally_trimmed\":{\"bytes\":%zu,"
                              "\"sha256\":\"%s\",\"text\":\"%.*s\"}}]},\"severity\":\"medium\"}",
                       len, hex, (int)table[i].kept, text);
        check_becomes(&config, given, want, TL_EVENT_CUT);
    }
    (void)snprintf(given, sizeof(given), EVENT(",\"request\":{\"k\":\"%.64s\"}"), text);
    (void)snprintf(want, sizeof(want),
                   BEFORE ",\"occurred_at\":\"2026-01-01T00:00:00Z\",\"outcome\":\"success\","
                          "\"request\":{\"k\":\"%.64s\"},\"severity\":\"medium\"}",
                   text);
    check_becomes(&config, given, want, 0);
    tl_config_release(&config);
}

/* Writes an event whose metadata has `around` in `levels` arrays. */
static void write_deep(char *out, size_t size, const char *name, const char *around,
                       unsigned levels)
{
    char open[64];
    char close[64];
    memset(open, '[', levels);
    memset(close, ']', levels);
    open[levels] = '\0';
    close[levels] = '\0';
    (void)snprintf(out, size, EVENT(",\"metadata\":{\"%s\":%s%s%s}"), name, open, around, close);
}

static void marks_and_notes_keep_within_the_limits(void **state)
{
    (void)state;
    static const char long_text[] =
        "\"zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz\"";
    struct tl_config config;
    char given[512];
    struct result result;
    read_policy(&config, "policy.text_bytes: 64");
    for (unsigned levels = 26; levels <= 30; levels++) {
        write_deep(given, sizeof(given), "k", long_text, levels);
        take(&result, config.policy, given);
        assert_int_equal(result.status, TALLY_OK);
        assert_int_equal(result.notes, levels <= 28 ? TL_EVENT_CUT : TL_EVENT_MASKED);
        struct result again;
        take(&again, config.policy, result.text);
        assert_int_equal(again.status, TALLY_OK);
        assert_string_equal(again.text, result.text);
        tl_free(again.text);
        tl_free(result.text);
        /* A caller's own tally_policy is kept, as deep as there is room. */
        write_deep(given, sizeof(given), "tally_policy", "{\"secret\":1}", levels - 1);
        take(&result, config.policy, given);
        assert_int_equal(result.status, TALLY_OK);
        assert_int_equal(result.notes, TL_EVENT_MASKED);
        assert_int_equal(strstr(result.text, "\"before\"") != NULL, levels <= 29);
        take(&again, config.policy, result.text);
        assert_int_equal(again.status, TALLY_OK);
        assert_string_equal(again.text, result.text);
        tl_free(again.text);
        tl_free(result.text);
    }
    tl_config_release(&config);
}

static void a_note_that_was_there_is_kept_within(void **state)
{
    (void)state;
    struct tl_config config;
    read_policy(&config, "{}");
    check_becomes(&config,
                  EVENT(",\"metadata\":{\"a\":1,\"tally_policy\":{\"masked\":9},\"token\":1}"),
                  BEFORE ",\"metadata\":{\"a\":1,\"tally_policy\":{\"before\":{\"masked\":9},"
                         "\"masked\":1},\"token\":\"<redacted>\"}" AFTER,
                  TL_EVENT_MASKED);
    check_becomes(&config, EVENT(",\"metadata\":{\"tally_policy\":\"mine\"}"),
                  BEFORE ",\"metadata\":{\"tally_policy\":\"mine\"}" AFTER, 0);

    /* Full metadata has no room for a note. */
    struct tl_buf json;
    tl_buf_init(&json, 1 << 20);
    tl_buf_add_text(&json, "{\"action\":\"a\",\"metadata\":{\"token\":1");
    for (unsigned i = 1; i < TL_EVENT_MEMBERS_MAX; i++) {
        tl_buf_addf(&json, ",\"k%u\":1", i);
    }
    tl_buf_add_text(&json, "}}");
    struct result result;
    take_len(&result, config.policy, json.data, json.len);
    assert_int_equal(result.status, TALLY_OK);
    assert_true((result.notes & TL_EVENT_MASKED) != 0);
    assert_null(strstr(result.text, "tally_policy"));
    tl_free(result.text);
    tl_buf_release(&json);
    tl_config_release(&config);
}

static tally_status use_all(const void *ctx)
{
    struct tl_config config;
    TL_TRY(tl_config_read(&config, "p.yaml", tl_str_of(ctx), NULL, 0, NULL));
    struct tl_event_reader reader;
    struct tl_buf out;
    tl_event_reader_init(&reader, &rules, tl_sha256);
    tl_buf_init(&out, TL_EVENT_BYTES_MAX);
    static const char json[] =
        EVENT(",\"reason\":\"xx\",\"request\":{\"token\":1,\"k\":\"ann@example.org\",\"l\":"
              "\"0123456789012345678901234567890123456789012345678901234567890123456789\"}");
    struct tl_event_input input = {
        .json = json, .len = sizeof(json) - 1, .random = fresh, .policy = config.policy
    };
    uint32_t notes = 0;
    tally_status status = tl_event_canonical(&reader, &input, &out, &notes, NULL);
    tl_buf_release(&out);
    tl_event_reader_release(&reader);
    tl_config_release(&config);
    return status;
}

static void gives_out_of_memory_and_nothing_else(void **state)
{
    (void)state;
    /* An expression does without its machine code. */
    assert_true(fault_each_alloc_or_ok(
                    use_all, "policy: {allow: [a, b], text_bytes: 64, rules: [{action: a}],"
                             " redact: {patterns: ['\\S+@\\S+', '(x)\\1']}}") > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_change_the_event),
        cmocka_unit_test(what_is_not_allowed_is_not_recorded),
        cmocka_unit_test(secrets_are_masked_by_name_at_every_depth),
        cmocka_unit_test(the_names_of_an_event_itself_are_not_masked),
        cmocka_unit_test(matches_are_masked_in_texts_and_in_the_reason),
        cmocka_unit_test(no_expression_can_hang),
        cmocka_unit_test(what_takes_too_long_to_look_at_is_masked_whole),
        cmocka_unit_test(a_reason_of_masks_still_fits_its_place),
        cmocka_unit_test(long_texts_are_cut_between_characters_and_say_so),
        cmocka_unit_test(marks_and_notes_keep_within_the_limits),
        cmocka_unit_test(a_note_that_was_there_is_kept_within),
        cmocka_unit_test(gives_out_of_memory_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
