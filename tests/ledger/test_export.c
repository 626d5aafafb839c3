/* Exports hold every record that fits, and say so; or say that they do not. */
#include <tally/tally.h>

#include <string.h>

#include <jansson.h>

#include "base/buf.h"
#include "check.h"
#include "support/site.h"

#define EVENTS   9000u /* more than two batches, and than a call of progress */
#define TEXT_MAX ((size_t)16 << 20)

static struct site site;
static struct tally_ledger *ledger;
static struct tally_receipt receipts[4096];

struct sink {
    struct tl_buf text;
    uint64_t stop_after; /* records told by progress; 0: never */
    size_t fail_after;   /* bytes; 0: never */
    tally_status failure;
    bool fails_once;
    unsigned told;
};

static tally_status take(void *ctx, const char *bytes, size_t len)
{
    struct sink *sink = ctx;
    if (sink->fail_after > 0 && sink->text.len + len > sink->fail_after) {
        sink->fail_after = sink->fails_once ? 0 : sink->fail_after;
        return sink->failure;
    }
    tl_buf_add(&sink->text, bytes, len);
    return tl_buf_status(&sink->text);
}

static int told(void *ctx, uint64_t done, uint64_t total)
{
    struct sink *sink = ctx;
    sink->told++;
    assert_true(done <= total);
    return sink->stop_after > 0 && done >= sink->stop_after;
}

static int set_up(void **state)
{
    if (check_mkdir(state) != 0) {
        return -1;
    }
    site_init(&site, *state, NULL, 0);
    ledger = site_open(&site);
    struct tally_events *events = NULL;
    check_ok(tally_events_new(&events, ledger, NULL));
    for (unsigned n = 0; n < EVENTS; n++) {
        char id[64];
        (void)snprintf(id, sizeof(id), "%s,%u", n % 2 == 0 ? "=even" : "odd\\\"", n);
        site_add(events, id, n);
        if (tally_events_count(events) == 3000) {
            check_ok(tally_append_events(ledger, events, receipts, NULL));
            tally_events_clear(events);
        }
    }
    tally_events_free(events);
    return 0;
}

static int tear_down(void **state)
{
    tally_close(ledger);
    return check_rmdir(state);
}

static tally_status export(struct sink *sink, enum tally_format format, uint32_t flags,
                           struct tally_export_result *result)
{
    static const struct tally_condition condition = { "action", "test.*" };
    struct tally_query query = TALLY_QUERY_INIT;
    query.conditions = &condition;
    query.condition_count = 1;
    query.limit = 3; /* means nothing to an export */
    struct tally_export_options options = TALLY_EXPORT_OPTIONS_INIT;
    options.format = format;
    options.flags = flags;
    options.write = take;
    options.progress = told;
    options.ctx = sink;
    tl_buf_init(&sink->text, TEXT_MAX);
    return tally_export(ledger, &query, &options, result, NULL);
}

static void check_record(const json_t *record, unsigned n)
{
    const json_t *event = json_object_get(record, "event");
    assert_int_equal(json_integer_value(json_object_get(json_object_get(event, "metadata"), "n")),
                     n);
    assert_string_equal(json_string_value(json_object_get(record, "kind")), "event");
}

static void check_manifest(const json_t *manifest, const struct tally_export_result *result,
                           const char *format)
{
    struct tally_info info;
    check_ok(tally_info(ledger, &info, NULL));
    assert_true(json_is_true(json_object_get(manifest, "complete")));
    assert_string_equal(json_string_value(json_object_get(manifest, "format")), format);
    assert_string_equal(json_string_value(json_object_get(manifest, "origin")),
                        tally_origin(ledger));
    assert_int_equal(json_integer_value(json_object_get(manifest, "count")), EVENTS);
    assert_int_equal(json_integer_value(json_object_get(manifest, "tree_size")), info.size);
    assert_int_equal(json_integer_value(json_object_get(manifest, "first_seq")), result->first_seq);
    assert_int_equal(json_integer_value(json_object_get(manifest, "last_seq")), result->last_seq);
    assert_int_equal(result->last_seq - result->first_seq + 1, EVENTS);
    assert_memory_equal(result->root, info.root, 32);
    assert_int_equal(result->complete, 1);
    assert_int_equal(result->count, EVENTS);
}

static json_t *parse(const char *text, size_t len)
{
    json_error_t error;
    json_t *json = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
    if (json == NULL) {
        print_error("%s at %d\n", error.text, error.position);
    }
    assert_non_null(json);
    return json;
}

static void ndjson_has_a_line_for_each_and_ends_with_the_manifest(void **state)
{
    (void)state;
    struct sink sink = { 0 };
    struct tally_export_result result;
    check_ok(export(&sink, TALLY_FORMAT_NDJSON, 0, &result));
    const char *line = sink.text.data;
    const char *stop = line + sink.text.len;
    for (unsigned n = 0; n <= EVENTS; n++) {
        const char *end = memchr(line, '\n', (size_t)(stop - line));
        assert_non_null(end);
        json_t *json = parse(line, (size_t)(end - line));
        if (n < EVENTS) {
            check_record(json, n);
        } else {
            check_manifest(json_object_get(json, "tally_export"), &result, "ndjson");
        }
        json_decref(json);
        line = end + 1;
    }
    assert_true(line == stop);
    assert_true(sink.told > 0);
    tl_buf_release(&sink.text);
}

static void json_is_one_document(void **state)
{
    (void)state;
    struct sink sink = { 0 };
    struct tally_export_result result;
    check_ok(export(&sink, TALLY_FORMAT_JSON, 0, &result));
    json_t *json = parse(sink.text.data, sink.text.len);
    const json_t *records = json_object_get(json, "records");
    assert_int_equal(json_array_size(records), EVENTS);
    for (unsigned n = 0; n < EVENTS; n++) {
        check_record(json_array_get(records, n), n);
    }
    check_manifest(json_object_get(json, "export"), &result, "json");
    json_decref(json);
    tl_buf_release(&sink.text);
}

static size_t count_lines(const struct tl_buf *text)
{
    size_t lines = 0;
    for (size_t i = 0; i < text->len; i++) {
        lines += text->data[i] == '\n' ? 1 : 0;
    }
    return lines;
}

static void csv_has_a_row_for_each_and_guards_against_formulas(void **state)
{
    (void)state;
    struct sink sink = { 0 };
    struct tally_export_result result;
    check_ok(export(&sink, TALLY_FORMAT_CSV, TALLY_EXPORT_BOM, &result));
    assert_int_equal(count_lines(&sink.text), EVENTS + 1);
    assert_memory_equal(sink.text.data, "\xEF\xBB\xBF", 3);
    assert_non_null(memmem(sink.text.data, sink.text.len, "\"'=even,0\"", 10));
    assert_non_null(memmem(sink.text.data, sink.text.len, "\"odd\"\",1\"", 9));
    json_t *manifest = parse(result.manifest, strlen(result.manifest));
    check_manifest(manifest, &result, "csv");
    json_decref(manifest);
    tl_buf_release(&sink.text);

    struct sink plain = { 0 };
    check_ok(export(&plain, TALLY_FORMAT_CSV, TALLY_EXPORT_NO_FORMULA_GUARD, &result));
    assert_null(memmem(plain.text.data, plain.text.len, "'=even", 6));
    tl_buf_release(&plain.text);
}

static void one_that_was_stopped_says_so(void **state)
{
    (void)state;
    for (enum tally_format format = TALLY_FORMAT_NDJSON; format <= TALLY_FORMAT_CSV; format++) {
        struct sink sink = { .stop_after = 4000 };
        struct tally_export_result result = { .complete = 1 };
        check_status(export(&sink, format, 0, &result), TALLY_ECANCELED);
        assert_int_equal(result.complete, 0);
        assert_true(result.count > 0 && result.count < EVENTS);
        assert_non_null(strstr(result.manifest, "\"complete\":false"));
        assert_null(memmem(sink.text.data, sink.text.len, "\"complete\":true", 15));
        tl_buf_release(&sink.text);
    }
}

static void one_that_could_not_be_written_says_so(void **state)
{
    (void)state;
    struct sink whole = { 0 };
    struct tally_export_result result;
    check_ok(export(&whole, TALLY_FORMAT_NDJSON, 0, &result));
    for (size_t len = 1; len < whole.text.len; len += whole.text.len / 4) {
        struct sink sink = { .fail_after = len, .failure = TALLY_EIO };
        check_status(export(&sink, TALLY_FORMAT_NDJSON, 0, &result), TALLY_EIO);
        assert_int_equal(result.complete, 0);
        tl_buf_release(&sink.text);
    }
    struct sink last = { .fail_after = whole.text.len - 1, .failure = TALLY_EIO };
    check_status(export(&last, TALLY_FORMAT_NDJSON, 0, &result), TALLY_EIO);
    assert_int_equal(result.complete, 0);
    assert_null(strstr(result.manifest, "\"complete\":true"));
    tl_buf_release(&last.text);
    tl_buf_release(&whole.text);
}

/* A manifest after a hole would make it look whole. */
static void nothing_follows_what_could_not_be_written(void **state)
{
    (void)state;
    static const tally_status failures[] = { TALLY_ECANCELED, TALLY_ELIMIT, TALLY_EIO };
    for (enum tally_format format = TALLY_FORMAT_NDJSON; format <= TALLY_FORMAT_CSV; format++) {
        for (size_t i = 0; i < TL_ARRAY_LEN(failures); i++) {
            struct sink sink = { .fail_after = 1, .failure = failures[i], .fails_once = true };
            struct tally_export_result result;
            check_status(export(&sink, format, 0, &result), failures[i]);
            assert_int_equal(result.complete, 0);
            assert_non_null(strstr(result.manifest, "\"complete\":false"));
            assert_int_equal(sink.text.len, 0);
            tl_buf_release(&sink.text);
        }
    }
}

static void an_empty_export_is_complete_too(void **state)
{
    (void)state;
    static const struct tally_condition condition = { "actor_id", "nobody" };
    struct tally_query query = TALLY_QUERY_INIT;
    query.conditions = &condition;
    query.condition_count = 1;
    struct sink sink = { 0 };
    struct tally_export_options options = TALLY_EXPORT_OPTIONS_INIT;
    options.format = TALLY_FORMAT_JSON;
    options.write = take;
    options.ctx = &sink;
    tl_buf_init(&sink.text, TEXT_MAX);
    struct tally_export_result result;
    check_ok(tally_export(ledger, &query, &options, &result, NULL));
    json_t *json = parse(sink.text.data, sink.text.len);
    assert_int_equal(json_array_size(json_object_get(json, "records")), 0);
    assert_int_equal(result.complete, 1);
    json_decref(json);
    tl_buf_release(&sink.text);
    options.format = (enum tally_format)9;
    check_status(tally_export(ledger, &query, &options, &result, NULL), TALLY_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ndjson_has_a_line_for_each_and_ends_with_the_manifest),
        cmocka_unit_test(json_is_one_document),
        cmocka_unit_test(csv_has_a_row_for_each_and_guards_against_formulas),
        cmocka_unit_test(one_that_was_stopped_says_so),
        cmocka_unit_test(one_that_could_not_be_written_says_so),
        cmocka_unit_test(nothing_follows_what_could_not_be_written),
        cmocka_unit_test(an_empty_export_is_complete_too),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
