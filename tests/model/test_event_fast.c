#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/limits.h"
#include "check.h"
#include "codec/json_tidy.h"
#include "crypto/crypto.h"
#include "event_diff.h"
#include "fault.h"
#include "model/config.h"
#include "model/event_fast.h"
#include "vectors.h"

#define TEXT_BYTES_MAX ((size_t)1 << 20)

static uint64_t seed = 0x5EED;

static size_t below(size_t end)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (size_t)(seed >> 11) % end;
}

static bool diff(const char *text)
{
    return event_diff(text, strlen(text), NULL);
}

#define EVENT(members) "{\"action\":\"a.b\"" members "}"

static const char typical[] =
    "{\"id\":\"019cebab-8995-7cb0-91a2-b3c4d5e6f708\",\"occurred_at\":"
    "\"2026-03-14T09:26:53.589793Z\",\"action\":\"user.role.update\",\"actor\":{\"type\":\"user\","
    "\"id\":\"user-42\",\"name\":\"Example Person\"},\"targets\":[{\"type\":\"User\",\"id\":"
    "\"user-99\",\"name\":\"sam@example.com\"}],\"outcome\":\"success\",\"severity\":\"high\","
    "\"source\":{\"service\":\"accounts\",\"ip\":\"192.0.2.7\",\"user_agent\":\"curl/8.5.0\"},"
    "\"tenant_id\":\"tenant-acme\",\"old_values\":{\"role\":\"member\"},\"new_values\":{\"role\":"
    "\"admin\"},\"correlation_id\":\"corr-7f3a\",\"request_id\":\"req-9d1c\",\"metadata\":{"
    "\"attempt\":1,\"changed_field\":\"role\",\"note\":\"a few words of text\"}}";

static void takes_typical_events(void **state)
{
    static const char *const table[] = {
        typical,
        "{\"action\":\"a\"}",
        EVENT(",\"reason\":\"Grüße, \\n\\u0001 \\\" \\\\\""),
        EVENT(",\"causation_id\":\"c\",\"correlation_id\":\"c\",\"session_id\":\"s\""),
        EVENT(",\"request\":{\"a\":1},\"response\":{\"b\":[1,2.5,true]},\"transport\":\"http\""),
        EVENT(",\"started_at\":\"2026-03-14T09:26:53Z\",\"ended_at\":\"2026-03-14T09:26:53.5Z\""),
        EVENT(
            ",\"trace_id\":\"4bf92f3577b34da6a3ce929d0e0e4736\",\"span_id\":\"00f067aa0ba902b7\""),
        EVENT(",\"tags\":[\"a\",\"b\"],\"source\":\"api\",\"outcome\":\"failure\""),
        EVENT(", \"metadata\": {\"b\": 1, \"a\": {\"z\": [ 1 , 2 ], \"y\": {}}}\n"),
        EVENT(",\"actor\":null,\"targets\":[],\"metadata\":{},\"reason\":\"\",\"source\":{}"),
    };
    (void)state;
    for (size_t i = 0; i < TL_ARRAY_LEN(table); i++) {
        if (!diff(table[i])) {
            fail_msg("not simple: %s", table[i]);
        }
    }
}

static void leaves_the_rest_to_the_draft(void **state)
{
    static const char *const table[] = {
        "",
        "{}",
        "[]",
        "{\"action\":\"a\"",
        "{\"action\":\"a\"}}",
        "{\"action\":\"a\",}",
        "{\"action\":null}",
        "{\"action\":\"tally.open\"}",
        "{\"action\":\"a b\"}",
        EVENT(",\"user_id\":\"u\""),
        EVENT(",\"unknown\":1"),
        EVENT(",\"action\":\"a.b\""),
        EVENT(",\"\\u0069d\":\"1\""),
        EVENT(",\"id\":\"00000000-0000-0000-0000-000000000000\""),
        EVENT(",\"id\":\"\x7f\""),
        EVENT(",\"id\":\"\xc2\x80\""),
        EVENT(",\"id\":1"),
        EVENT(",\"outcome\":\"denied\""),
        EVENT(",\"severity\":\"High\""),
        EVENT(",\"occurred_at\":\"2026-02-30T09:26:53Z\""),
        EVENT(",\"started_at\":\"2026-03-14T09:26:53Z\",\"ended_at\":\"2026-03-14T09:26:52Z\""),
        EVENT(",\"trace_id\":\"4BF92f3577b34da6a3ce929d0e0e4736\""),
        EVENT(",\"span_id\":\"0000000000000000\""),
        EVENT(",\"source\":{\"ip\":\"192.0.2.256\"}"),
        EVENT(",\"actor\":{\"id\":\"1\",\"id\":\"1\"}"),
        EVENT(",\"actor\":{\"role\":\"x\"}"),
        EVENT(",\"tags\":[\"a\",\"a\"]"),
        EVENT(",\"tags\":[\"\"]"),
        EVENT(",\"targets\":[null]"),
        EVENT(",\"metadata\":{\"a\":1,\"a\":1}"),
        EVENT(",\"metadata\":{\"b\":1,\"a\":1,\"b\":2}"),
        EVENT(",\"metadata\":{\"a\":1,}"),
        EVENT(",\"metadata\":{\"a\":-0}"),
        EVENT(",\"metadata\":{\"a\":1.0}"),
        EVENT(",\"metadata\":{\"a\":9007199254740992}"),
        EVENT(",\"metadata\":{\"\\n\":1}"),
        EVENT(",\"reason\":\"\\u0041\""),
        EVENT(",\"reason\":\"\\/\""),
        EVENT(",\"reason\":\"\xff\""),
        EVENT(",\"reason\":\"\xed\xa0\x80\""),
        EVENT(",\"reason\":\"\n\""),
    };
    (void)state;
    for (size_t i = 0; i < TL_ARRAY_LEN(table); i++) {
        if (diff(table[i])) {
            fail_msg("simple: %s", table[i]);
        }
    }
}

/* ---- every change of a byte ---- */

static void check_variants(const char *event, size_t len)
{
    static const char bytes[] = "\0\x01\t\n \"\\,:{}[]/u0159aZ.-+eE\x7f\x80\xc3\xa9\xed\xf4\xff";
    char *text = tl_alloc_array(len + 1, 1);
    assert_non_null(text);
    for (size_t at = 0; at < len; at++) {
        (void)event_diff(event, at, NULL); /* cut off */
        for (size_t i = 0; i < sizeof(bytes) - 1; i++) {
            memcpy(text, event, len);
            text[at] = bytes[i];
            (void)event_diff(text, len, NULL);
            memcpy(text, event, at);
            memcpy(text + at + 1, event + at, len - at);
            text[at] = bytes[i];
            (void)event_diff(text, len + 1, NULL);
        }
        memcpy(text, event, at);
        memcpy(text + at, event + at + 1, len - at - 1);
        (void)event_diff(text, len - 1, NULL);
    }
    tl_free(text);
}

static void agrees_on_each_change_of_a_byte(void **state)
{
    (void)state;
    check_variants(typical, sizeof(typical) - 1);
    static const char other[] =
        "{\"action\":\"a\", "
        "\"reason\":\"\\n\\u0001é\",\"started_at\":\"2026-03-14T09:26:53+01:00\","
        "\"source\":{\"ip\":\"::FFFF:1.2.3.4\"},\"metadata\":{\"b\":1.5,\"a\" : [{\"z\":0,\"y\":"
        "-10},null,true]},\"tags\":[\"x\",\"y\"],\"span_id\":\"00f067aa0ba902b7\"}";
    check_variants(other, sizeof(other) - 1);
}

/* ---- what is stored elsewhere ---- */

static void check_file(struct tl_str text)
{
    (void)event_diff(text.text, text.len, NULL);
    if (text.len < 2048) { /* of longer ones there would be too many */
        check_variants(text.text, text.len);
    }
}

static void agrees_on_the_corpora_and_their_variants(void **state)
{
    static const char *const folders[] = {
        "../fuzz/corpus/event/valid",
        "../fuzz/corpus/event/invalid",
        "../fuzz/corpus/event_fast/valid",
        "../fuzz/corpus/event_fast/invalid",
    };
    (void)state;
    for (size_t i = 0; i < TL_ARRAY_LEN(folders); i++) {
        struct tl_arena arena;
        tl_arena_init(&arena, VECTORS_ARENA_BYTES);
        vectors_each(&arena, folders[i], check_file);
        tl_arena_release(&arena);
    }
}

/* ---- random events ---- */

#define PICK(table) ((table)[below(TL_ARRAY_LEN(table))])

/* How an event is made: spaces in it, things in it that are not simple, one in so many. */
static struct {
    size_t space;
    size_t hostile;
} style;

static bool one_in(size_t n)
{
    return n != 0 && below(n) == 0;
}

static void add_space(struct tl_buf *out)
{
    while (one_in(style.space)) {
        tl_buf_add_char(out, " \n\t\r "[below(5)]);
    }
}

/* A piece of structure, with space around it. */
static void add_mark(struct tl_buf *out, char c)
{
    add_space(out);
    tl_buf_add_char(out, c);
    add_space(out);
}

/* clang-format off */
static const char *const hostile[] = {
    "null", "\"\"", "{}", "[]", "0", "-0", "true", "\"x\"", "{\"a\":1}", "[1]", "[{}]", "nul",
    "\"\\ud800\"", "\"\xff\"", "\"\\u0000\"", "\"\x01\"", "\"", "", "\"\\q\"", "\"\xc2\x80\"",
    "\"\x7f\"", "01", "1.", "1e5", "9007199254740993", "1e400", "\"\\u0041\"", "\"\\/\"",
};
static const char *const texts[] = {
    "\"x\"", "\"some words of text\"", "\"Grüße\"", "\"\\n\"", "\"\\\"\"", "\"\\u001f\"",
    "\"a longer text with \\\\ in it, and after it\"", "\"\xf0\x9f\x98\x80\"", "\"\xee\x80\x80\"",
    "null", "\"\"", "\"2026-03-14T09:26:53Z\"", "\"tally.\"", "\"0123456789abcdef0123456789\"",
};
static const char *const numbers[] = {
    "0", "1", "-1", "42", "123456789012345", "-99999", "0.5", "1e+21", "1.5e-7", "1e21",
};
static const char *const actions[] = {
    "\"user.login\"", "\"a\"", "\"A-Z_0:9@x/y\"", "\"tally.x\"", "\"a b\"", "\"\xc3\xa9\"",
};
static const char *const ids[] = {
    "\"019cebab-8995-7cb0-91a2-b3c4d5e6f708\"", "\"e1\"", "\"id with spaces\"", "\"\xc3\xa9\"",
    "\"00000000-0000-0000-0000-000000000000\"", "\"\\n\"",
};
static const char *const times[] = {
    "\"2026-03-14T09:26:53.589793Z\"", "\"2026-03-14T09:26:53Z\"", "\"2026-03-14T09:26:53.5Z\"",
    "\"2026-03-14T10:26:53+01:00\"", "\"2026-03-14T09:26:53.000000Z\"", "\"2016-12-31T23:59:60Z\"",
    "\"2026-03-14t09:26:53z\"", "\"2026-02-29T09:26:53Z\"", "\"2026-03-14T09:26:53.5897931Z\"",
    "\"2026-03-14T09:26:53\"", "\"0001-01-01T00:00:00+01:00\"",
    "\"2026-03-14T09:26:53.12345+00:00\"",
};
static const char *const outcomes[] = {
    "\"success\"", "\"failure\"", "\"pending\"", "\"unknown\"", "\"denied\"", "\"unknow\"",
};
static const char *const severities[] = {
    "\"low\"", "\"medium\"", "\"high\"", "\"critical\"", "\"LOW\"", "\"success\"",
};
static const char *const addresses[] = {
    "\"192.0.2.7\"", "\"0.0.0.0\"", "\"255.255.255.255\"", "\"1.2.3\"", "\"1.2.3.04\"",
    "\"2001:db8::1\"", "\"2001:DB8:0:0:0:0:0:1\"", "\"::ffff:c000:201\"", "\"256.1.1.1\"",
    "\"::\"",
};
static const char *const traces[] = {
    "\"4bf92f3577b34da6a3ce929d0e0e4736\"", "\"4BF92F3577B34DA6A3CE929D0E0E4736\"",
    "\"00000000000000000000000000000000\"", "\"00f067aa0ba902b7\"",
};
static const char *const spans[] = {
    "\"00f067aa0ba902b7\"", "\"0000000000000000\"", "\"00F067AA0BA902B7\"", "\"00f067aa0ba902b\"",
    "\"00f067aa0ba902bg\"",
};
static const char *const keys[] = {
    "a", "b", "aa", "field", "field_name", "field_names", "field_nam", "", "é", "\xee\x80\x80",
    "\xf0\x9f\x98\x80", "A", "~", "import", "changed_field", "changed_", "\\n", "z",
};
/* clang-format on */

static void add_value(struct tl_buf *out, unsigned depth);

static void add_name(struct tl_buf *out, const char *name)
{
    tl_buf_addf(out, "\"%s\"", name);
    add_mark(out, ':');
}

static void add_object(struct tl_buf *out, unsigned depth)
{
    size_t count = below(5);
    size_t from = below(TL_ARRAY_LEN(keys));
    add_mark(out, '{');
    for (size_t i = 0; i < count; i++) {
        if (i > 0) {
            add_mark(out, ',');
        }
        /* Mostly all different. */
        from = (from + (one_in(20) ? 0 : 1 + below(3))) % TL_ARRAY_LEN(keys);
        add_name(out, keys[from]);
        add_value(out, depth + 1);
    }
    add_mark(out, '}');
}

static void add_array(struct tl_buf *out, unsigned depth)
{
    size_t count = below(4);
    add_mark(out, '[');
    for (size_t i = 0; i < count; i++) {
        if (i > 0) {
            add_mark(out, ',');
        }
        add_value(out, depth + 1);
    }
    add_mark(out, ']');
}

static void add_value(struct tl_buf *out, unsigned depth)
{
    static const char *const literals[] = { "null", "true", "false" };
    size_t kind = below(depth > 4 ? 6 : 9);
    if (one_in(style.hostile)) {
        tl_buf_add_text(out, PICK(hostile));
    } else if (kind < 3) {
        tl_buf_add_text(out, PICK(texts));
    } else if (kind < 5) {
        tl_buf_add_text(out, PICK(numbers));
    } else if (kind == 5) {
        tl_buf_add_text(out, PICK(literals));
    } else if (kind < 8) {
        add_object(out, depth);
    } else {
        add_array(out, depth);
    }
}

struct choice {
    const char *name;
    const char *const *values;
    size_t count; /* of values, of which the first `good` are simple */
    size_t good;
};

#define CHOICE(name, values, good)                     \
    {                                                  \
        (name), (values), TL_ARRAY_LEN(values), (good) \
    }
#define OTHER(name, kind)       \
    {                           \
        (name), NULL, 0, (kind) \
    }

enum other { A_FREE, AN_ACTOR, A_SOURCE, SOME_TARGETS, SOME_TAGS };

static const struct choice tops[] = {
    CHOICE("action", actions, 3),      OTHER("actor", AN_ACTOR),
    CHOICE("causation_id", texts, 14), CHOICE("correlation_id", texts, 14),
    CHOICE("ended_at", times, 4),      CHOICE("id", ids, 3),
    OTHER("metadata", A_FREE),         OTHER("new_values", A_FREE),
    CHOICE("occurred_at", times, 7),   OTHER("old_values", A_FREE),
    CHOICE("outcome", outcomes, 4),    CHOICE("reason", texts, 14),
    OTHER("request", A_FREE),          CHOICE("request_id", texts, 14),
    OTHER("response", A_FREE),         CHOICE("session_id", texts, 14),
    CHOICE("severity", severities, 4), OTHER("source", A_SOURCE),
    CHOICE("span_id", spans, 1),       CHOICE("started_at", times, 4),
    OTHER("tags", SOME_TAGS),          OTHER("targets", SOME_TARGETS),
    CHOICE("tenant_id", texts, 14),    CHOICE("trace_id", traces, 1),
    CHOICE("transport", texts, 14),
};
static const struct choice strange[] = {
    CHOICE("user_id", texts, 1),   CHOICE("ip", addresses, 3),  CHOICE("timestamp", times, 1),
    CHOICE("request_i", texts, 1), CHOICE("actio", texts, 1),   CHOICE("correlation_idx", texts, 1),
    CHOICE("\\u0069d", ids, 1),    CHOICE("reasons", texts, 1), CHOICE("", texts, 1),
};
static const struct choice parts[] = {
    CHOICE("id", texts, 14),         CHOICE("name", texts, 14),  CHOICE("type", texts, 14),
    CHOICE("host", texts, 14),       CHOICE("ip", addresses, 3), CHOICE("service", texts, 14),
    CHOICE("user_agent", texts, 14),
};

static void add_choice(struct tl_buf *out, const struct choice *choice)
{
    bool bad = one_in(style.hostile);
    size_t pick = below(bad && !one_in(2) ? choice->count : choice->good);
    tl_buf_add_text(out, bad && one_in(2) ? PICK(hostile) : choice->values[pick]);
}

/* Some of `count` members, in any order. */
static void add_parts(struct tl_buf *out, const struct choice *first, size_t count)
{
    size_t left = below(count + 1);
    size_t at = below(count);
    size_t step = one_in(2) ? 1 : count - 1;
    add_mark(out, '{');
    for (char before = '\0'; left > 0; left--, before = ',') {
        if (before != '\0') {
            add_mark(out, before);
        }
        add_name(out, one_in(style.hostile) ? "x" : first[at].name);
        add_choice(out, &first[at]);
        at = (at + step) % count;
    }
    add_mark(out, '}');
}

static void add_list(struct tl_buf *out, bool of_targets)
{
    size_t count = below(4);
    add_mark(out, '[');
    for (size_t i = 0; i < count; i++) {
        if (i > 0) {
            add_mark(out, ',');
        }
        if (of_targets) {
            add_parts(out, parts, 3);
        } else {
            tl_buf_addf(out, "\"%s%zu\"", one_in(2) ? "tag" : "t:", one_in(10) ? 0 : i);
        }
    }
    add_mark(out, ']');
}

static void add_top(struct tl_buf *out, const struct choice *top)
{
    add_name(out, top->name);
    if (top->values != NULL) {
        add_choice(out, top);
        return;
    }
    if (one_in(style.hostile)) {
        tl_buf_add_text(out, PICK(hostile));
        return;
    }
    switch ((enum other)top->good) {
    case A_FREE:
        add_object(out, 2);
        break;
    case AN_ACTOR:
        add_parts(out, parts, 3);
        break;
    case A_SOURCE:
        if (one_in(5)) {
            tl_buf_add_text(out, PICK(texts));
            break;
        }
        add_parts(out, parts + 3, 4);
        break;
    case SOME_TARGETS:
        add_list(out, true);
        break;
    case SOME_TAGS:
        add_list(out, false);
        break;
    }
}

/* Each member is there or not, in any order, once or, rarely, twice. */
static void add_event(struct tl_buf *out)
{
    static const size_t spaces[] = { 0, 3, 10 };
    static const size_t hostiles[] = { 0, 0, 10, 50 };
    style.space = PICK(spaces);
    style.hostile = PICK(hostiles);
    bool present[TL_ARRAY_LEN(tops)] = { false };
    size_t many = 1 + below(TL_ARRAY_LEN(tops));
    add_mark(out, '{');
    add_name(out, "action");
    add_choice(out, &tops[0]);
    present[0] = true;
    for (size_t i = 0; i < many; i++) {
        size_t at = below(TL_ARRAY_LEN(tops));
        bool odd = one_in(style.hostile);
        if (present[at] && !odd) {
            continue;
        }
        present[at] = true;
        add_mark(out, ',');
        add_top(out, odd && one_in(2) ? &PICK(strange) : &tops[at]);
    }
    add_mark(out, '}');
}

static void agrees_on_random_events(void **state)
{
    (void)state;
    struct tl_buf text;
    tl_buf_init(&text, TEXT_BYTES_MAX);
    size_t simple = 0;
    size_t const rounds = 100000;
    for (size_t i = 0; i < rounds; i++) {
        tl_buf_clear(&text);
        add_event(&text);
        if (one_in(10)) {
            text.data[below(text.len)] = (char)below(256);
        }
        check_ok(tl_buf_status(&text));
        simple += event_diff(text.data, text.len, NULL);
    }
    tl_buf_release(&text);
    if (simple < rounds / 4) {
        fail_msg("only %zu of %zu were simple", simple, rounds);
    }
}

/* ---- limits ---- */

static void add_times(struct tl_buf *out, const char *text, size_t count, char between)
{
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && between != '\0') {
            tl_buf_add_char(out, between);
        }
        tl_buf_add_text(out, text);
    }
}

/* An event with `count` times `text` inside a member, up to the limit simple, beyond it not. */
static void check_limit(const char *start, const char *text, size_t limit, char between,
                        const char *end)
{
    for (size_t count = limit - 1; count <= limit + 1; count++) {
        struct tl_buf out;
        tl_buf_init(&out, TEXT_BYTES_MAX);
        tl_buf_add_text(&out, "{\"action\":\"a\",");
        tl_buf_add_text(&out, start);
        add_times(&out, text, count, between);
        tl_buf_add_text(&out, end);
        tl_buf_add_char(&out, '}');
        check_ok(tl_buf_status(&out));
        if (event_diff(out.data, out.len, NULL) != (count <= limit)) {
            fail_msg("%zu of %s%s%s, the limit is %zu", count, start, text, end, limit);
        }
        tl_buf_release(&out);
    }
}

static void add_numbered(struct tl_buf *out, const char *before, size_t count, const char *after)
{
    for (size_t i = 0; i < count; i++) {
        tl_buf_addf(out, "%s%s%04zu%s", i > 0 ? "," : "", before, i, after);
    }
}

static void check_numbered(const char *start, const char *before, const char *after, size_t limit,
                           const char *end)
{
    for (size_t count = limit - 1; count <= limit + 1; count++) {
        struct tl_buf out;
        tl_buf_init(&out, TEXT_BYTES_MAX);
        tl_buf_addf(&out, "{\"action\":\"a\",%s", start);
        add_numbered(&out, before, count, after);
        tl_buf_addf(&out, "%s}", end);
        check_ok(tl_buf_status(&out));
        assert_int_equal(event_diff(out.data, out.len, NULL), count <= limit);
        tl_buf_release(&out);
    }
}

static void holds_every_limit(void **state)
{
    (void)state;
    check_limit("\"reason\":\"", "x", 4096, '\0', "\"");
    check_limit("\"id\":\"", "x", 128, '\0', "\"");
    check_limit("\"tenant_id\":\"", "x", 256, '\0', "\"");
    check_limit("\"transport\":\"", "x", 64, '\0', "\"");
    check_limit("\"actor\":{\"id\":\"", "x", 1024, '\0', "\"}");
    check_limit("\"actor\":{\"type\":\"", "x", 64, '\0', "\"}");
    check_limit("\"source\":{\"host\":\"", "x", 255, '\0', "\"}");
    check_limit("\"source\":{\"user_agent\":\"", "x", 2048, '\0', "\"}");
    check_limit("\"source\":\"", "x", 256, '\0', "\"");
    check_limit("\"targets\":[{\"type\":\"", "x", 128, '\0', "\"}]");
    check_limit("\"tags\":[\"", "x", 128, '\0', "\"]");
    check_limit("\"targets\":[", "{\"id\":\"1\"}", TL_TARGETS_MAX, ',', "]");
    check_limit("\"metadata\":{\"a\":[", "1", TL_EVENT_ELEMENTS_MAX, ',', "]}");
    check_numbered("\"tags\":[", "\"", "\"", TL_TAGS_MAX, "]");
    check_numbered("\"metadata\":{", "\"", "\":1", TL_EVENT_MEMBERS_MAX, "}");
    for (size_t depth = 1; depth < TL_EVENT_DEPTH_MAX + 8; depth++) {
        struct tl_buf out;
        tl_buf_init(&out, TEXT_BYTES_MAX);
        tl_buf_add_text(&out, "{\"action\":\"a\",\"metadata\":{\"x\":");
        add_times(&out, "[", depth, '\0');
        add_times(&out, "]", depth, '\0');
        tl_buf_add_text(&out, "}}");
        assert_int_equal(event_diff(out.data, out.len, NULL), depth + 2 <= TL_EVENT_DEPTH_MAX);
        tl_buf_release(&out);
    }
}

static void takes_texts_up_to_its_bound_wherever_they_end(void **state)
{
    (void)state;
    for (size_t len = 1; len < 300; len++) {
        char text[512];
        (void)snprintf(text, sizeof(text), "{\"action\":\"a\",\"metadata\":{\"x\":\"%0*d\"}}",
                       (int)len, 0);
        assert_true(diff(text));
        (void)snprintf(text, sizeof(text),
                       "{\"action\":\"a\",\"reason\":\"%0*d\\\\\\\"%0100d\",\"tenant_id\":\"t\"}",
                       (int)len, 0, 0);
        assert_true(diff(text));
    }
    struct tl_buf out;
    tl_buf_init(&out, TEXT_BYTES_MAX);
    tl_buf_add_text(&out, "{\"action\":\"a\"}");
    while (out.len < TL_JSON_TIDY_BYTES_MAX) {
        tl_buf_add_char(&out, ' ');
    }
    assert_true(event_diff(out.data, out.len, NULL));
    tl_buf_add_char(&out, ' ');
    assert_false(event_diff(out.data, out.len, NULL));
    tl_buf_release(&out);
}

/* ---- what else there is to ask for ---- */

static struct tl_event_rules rules = { .bytes_max = TL_EVENT_BYTES_DEFAULT };

static bool is_simple(const struct tl_event_input *input, size_t len_max)
{
    struct tl_event_reader reader;
    struct tl_buf out;
    uint32_t notes = 0;
    bool simple = false;
    tl_event_reader_init(&reader, &rules, tl_sha256);
    tl_buf_init(&out, len_max);
    check_ok(tl_event_fast(&reader, input, &out, &notes, &simple, NULL));
    assert_true(simple == (out.len > 0));
    check_ok(tl_buf_status(&out));
    tl_buf_release(&out);
    tl_event_reader_release(&reader);
    return simple;
}

static void leaves_importers_own_events_and_full_buffers_alone(void **state)
{
    (void)state;
    const struct tl_event_input simple = { .json = typical, .len = sizeof(typical) - 1 };
    struct tl_event_input import = simple;
    struct tl_event_input own = simple;
    import.import = true;
    own.own = true;
    assert_true(is_simple(&simple, TEXT_BYTES_MAX));
    assert_false(is_simple(&import, TEXT_BYTES_MAX));
    assert_false(is_simple(&own, TEXT_BYTES_MAX));
    assert_false(is_simple(&simple, 600));
    rules.bytes_max = simple.len;
    assert_true(is_simple(&simple, TEXT_BYTES_MAX));
    rules.bytes_max = simple.len - 1;
    assert_false(is_simple(&simple, TEXT_BYTES_MAX));
    rules.bytes_max = TL_EVENT_BYTES_DEFAULT;
}

static tally_status take_once(const void *ctx)
{
    struct tl_event_input input = { .json = ctx, .len = strlen(ctx) };
    struct tl_event_reader reader;
    struct tl_buf out;
    uint32_t notes = 0;
    tl_event_reader_init(&reader, &rules, tl_sha256);
    tl_buf_init(&out, TEXT_BYTES_MAX);
    tally_status status = tl_event_canonical(&reader, &input, &out, &notes, NULL);
    assert_true(status == TALLY_OK || out.len == 0);
    tl_buf_release(&out);
    tl_event_reader_release(&reader);
    return status;
}

static void reports_that_memory_ran_out(void **state)
{
    (void)state;
    assert_int_equal(fault_each_alloc(take_once, typical), 2); /* the reader's and the caller's */
}

/* ---- policies ---- */

static void read_policy(struct tl_config *config, const char *text)
{
    check_ok(tl_config_read(config, "tally.yaml", tl_str_of(text), NULL, 0, NULL));
    assert_non_null(config->policy);
}

static const char policy_text[] =
    "policy:\n"
    "  deny: [\"user.forget\"]\n"
    "  redact: {keys: [password, changed_field]}\n"
    "  rules:\n"
    "    - {action: \"user.login\", level: none}\n"
    "    - {action: \"user.*\", level: metadata, set_severity: critical}\n"
    "    - {tenant: x, level: none}\n"
    "    - {target_type: User, target_id: x, set_severity: low, delivery: durable}\n"
    "    - {service: x, level: metadata}\n";

static void takes_events_as_a_policy_says(void **state)
{
    static const struct {
        const char *event;
        bool answered;
    } table[] = {
        { "{\"action\":\"user.forget\"}", true },
        { "{\"action\":\"user.login\"}", true },
        { "{\"action\":\"user.x\",\"request\":{\"a\":1},\"old_values\":{\"b\":1}}", true },
        { EVENT(",\"tenant_id\":\"x\""), true },
        { EVENT(",\"tenant_id\":\"\\n\""), false },
        { EVENT(",\"reason\":\"\\n\""), true },
        { EVENT(",\"targets\":[{},{\"type\":\"User\",\"id\":\"x\"}]"), true },
        { EVENT(",\"targets\":[{\"name\":\"n\"},{\"type\":\"User\",\"id\":\"x\"}]"), true },
        { EVENT(",\"source\":\"x\",\"request\":{\"a\":1},\"metadata\":{\"a\":1}"), true },
        { EVENT(",\"source\":{\"service\":\"x\"},\"response\":{\"a\":1}"), true },
        { EVENT(",\"metadata\":{\"a\":{\"Password\":1}}"), false },
        { EVENT(",\"metadata\":{\"a\":[{\"x\":1,\"password\":1}]}"), false },
        { EVENT(",\"metadata\":{\"a\":\"password\"}"), true },
        { typical, false },
    };
    (void)state;
    struct tl_config config;
    read_policy(&config, policy_text);
    for (size_t i = 0; i < TL_ARRAY_LEN(table); i++) {
        if (event_diff(table[i].event, strlen(table[i].event), config.policy) !=
            table[i].answered) {
            fail_msg("%s", table[i].event);
        }
    }
    tl_config_release(&config);
}

static void leaves_policies_that_look_at_values_to_the_draft(void **state)
{
    (void)state;
    struct tl_config config;
    read_policy(&config, "policy: {text_bytes: 100}\n");
    assert_false(event_diff(typical, strlen(typical), config.policy));
    tl_config_release(&config);
}

static void agrees_on_random_events_under_a_policy(void **state)
{
    (void)state;
    struct tl_config config;
    struct tl_buf text;
    tl_buf_init(&text, TEXT_BYTES_MAX);
    read_policy(&config, policy_text);
    size_t answered = 0;
    const size_t rounds = 30000;
    for (size_t i = 0; i < rounds; i++) {
        tl_buf_clear(&text);
        add_event(&text);
        answered += event_diff(text.data, text.len, config.policy);
    }
    assert_true(answered > rounds / 5);
    tl_config_release(&config);
    tl_buf_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_typical_events),
        cmocka_unit_test(leaves_the_rest_to_the_draft),
        cmocka_unit_test(agrees_on_each_change_of_a_byte),
        cmocka_unit_test(agrees_on_the_corpora_and_their_variants),
        cmocka_unit_test(agrees_on_random_events),
        cmocka_unit_test(holds_every_limit),
        cmocka_unit_test(takes_texts_up_to_its_bound_wherever_they_end),
        cmocka_unit_test(leaves_importers_own_events_and_full_buffers_alone),
        cmocka_unit_test(takes_events_as_a_policy_says),
        cmocka_unit_test(leaves_policies_that_look_at_values_to_the_draft),
        cmocka_unit_test(agrees_on_random_events_under_a_policy),
        cmocka_unit_test(reports_that_memory_ran_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
