/*
 * The checksums of lexigram-audit, and the rows on which its own verification goes wrong. What was
 * hashed is written out here as that software hashed it; the rows are as its databases keep them.
 */
#include <string.h>

#include <tally/lexigram.h>

#include "check.h"
#include "fault.h"
#include "vectors.h"

static const uint8_t key[] = { 'm', 'y', '-', 'h', 'm', 'a', 'c', '-', 'k', 'e', 'y' };

/* The minimal row; tests change what they are about. */
static struct tally_lexigram_row minimal_row(void)
{
    struct tally_lexigram_row row = TALLY_LEXIGRAM_ROW_INIT;
    row.action = "a";
    row.changed_at = "2026-01-01 00:00:00";
    row.changed_by = "u";
    row.entity_id = "";
    row.entry_schema_version = "1";
    row.metadata = "{}";
    row.new_values = "{}";
    row.old_values = "{}";
    row.outcome = "success";
    row.severity = "medium";
    row.table_name = "";
    row.checksum = "a5429cb7c775a026c17bd16c4a3969e897f0263bddb87ebd8f41271e63b75150";
    return row;
}

/* What of the minimal row was hashed, but for the version and the members that tests change. */
#define HASHED(changed_at, outcome, payload_hash, severity)                                  \
    "{\"action\":\"a\",\"causation_id\":null,\"changed_at\":\"" changed_at                   \
    "\",\"changed_by\":\"u\",\"command_payload_hash\":" payload_hash                         \
    ",\"correlation_id\":null,\"entity_id\":\"\",\"metadata\":\"{}\",\"new_values\":\"{}\"," \
    "\"old_values\":\"{}\",\"outcome\":" outcome ",\"payload_size_bytes\":null,"             \
    "\"severity\":" severity ",\"source\":null,\"table_name\":\"\",\"tenant_id\":null}"

#define HASHED_TIME(changed_at) HASHED(changed_at, "\"success\"", "null", "\"medium\"")

static void checksum(const char *entry, int version, char hex_out[TALLY_LEXIGRAM_HEX_SIZE])
{
    check_ok(
        tally_lexigram_checksum(entry, strlen(entry), key, sizeof(key), version, hex_out, NULL));
}

static struct tally_lexigram_match verify_row(const struct tally_lexigram_row *row)
{
    struct tally_lexigram_match match = { 0 };
    check_ok(tally_lexigram_row_verify(row, key, sizeof(key), &match, NULL));
    return match;
}

static enum tally_verdict verify(const char *entry, int version, const char *expected)
{
    enum tally_verdict verdict = TALLY_VERDICT_UNKNOWN;
    check_ok(tally_lexigram_verify(entry, strlen(entry), key, sizeof(key), version, expected,
                                   &verdict, NULL));
    return verdict;
}

static void check_canonical(struct tl_str entry, int version, struct tl_str want)
{
    char *json = NULL;
    size_t len = 0;
    check_ok(tally_lexigram_canonical(entry.text, entry.len, version, &json, &len, NULL));
    assert_int_equal(len, strlen(json));
    assert_true(tl_str_is(want, json));
    tl_free(json);
}

static void check_vector(struct tl_arena *arena, const struct tl_json *vector)
{
    struct tl_str input = vectors_text(vector, "input");
    struct tl_str canonical = vectors_text(vector, "canonical");
    struct tl_str vector_key = vectors_blob(arena, vector, "key_hex");
    int version = (int)vectors_u64(vector, "schema_version");
    char hex[TALLY_LEXIGRAM_HEX_SIZE];

    check_canonical(input, version, canonical);
    check_canonical(canonical, version, canonical);
    check_ok(tally_lexigram_checksum(input.text, input.len, (const uint8_t *)vector_key.text,
                                     vector_key.len, version, hex, NULL));
    vectors_check_text(vector, "checksum", tl_str_of(hex));

    enum tally_verdict verdict = TALLY_VERDICT_UNKNOWN;
    check_ok(tally_lexigram_verify(input.text, input.len, (const uint8_t *)vector_key.text,
                                   vector_key.len, TALLY_LEXIGRAM_ANY, hex, &verdict, NULL));
    assert_int_equal(verdict, TALLY_VERDICT_VERIFIED);
}

static void reproduces_every_vector(void **state)
{
    (void)state;
    struct tl_arena arena = { 0 };
    tl_arena_init(&arena, VECTORS_ARENA_BYTES);
    struct tl_str lines = vectors_read(&arena, "lexigram-checksum.jsonl");
    size_t count = 0;
    while (lines.len > 0) {
        const char *end = memchr(lines.text, '\n', lines.len);
        assert_non_null(end);
        size_t len = (size_t)(end - lines.text);
        const struct tl_json *vector = NULL;
        check_ok(tl_json_read(&arena, lines.text, len, &tl_json_limits_format, &vector, NULL));
        check_vector(&arena, vector);
        count++;
        lines.text += len + 1;
        lines.len -= len + 1;
    }
    assert_int_equal(count, 7);
    tl_arena_release(&arena);
}

/* L01 */
static void verifies_what_it_computed_with_default_versions(void **state)
{
    (void)state;
    static const char entry[] = "{\"occurred_at\":\"2026-01-01T00:00:00Z\","
                                "\"actor_id\":\"admin-1\",\"action\":\"user.create\"}";
    char hex[TALLY_LEXIGRAM_HEX_SIZE];
    checksum(entry, 2, hex); /* what theirs computes when nobody names a version */
    assert_int_equal(verify(entry, TALLY_LEXIGRAM_ANY, hex), TALLY_VERDICT_VERIFIED);
    checksum(entry, 1, hex); /* what theirs verifies with when nobody names one */
    assert_int_equal(verify(entry, TALLY_LEXIGRAM_ANY, hex), TALLY_VERDICT_VERIFIED);
    checksum(entry, TALLY_LEXIGRAM_UNVERSIONED, hex);
    assert_int_equal(verify(entry, TALLY_LEXIGRAM_UNVERSIONED, hex), TALLY_VERDICT_VERIFIED);
    assert_int_equal(verify(entry, TALLY_LEXIGRAM_ANY, hex), TALLY_VERDICT_TAMPERED);
}

/* L02 */
static void accepts_a_row_whose_version_column_disagrees_with_its_hash(void **state)
{
    (void)state;
    struct tally_lexigram_row row = minimal_row();
    struct tally_lexigram_match match = verify_row(&row);
    assert_int_equal(match.verdict, TALLY_VERDICT_VERIFIED);
    assert_int_equal(match.layout, TALLY_LEXIGRAM_LAYOUT_T);
    assert_int_equal(match.version, 2);
    assert_int_equal(match.row_version, 1);
}

/* A version that is neither 2 nor 1 can only be the row's own. */
static void tries_the_version_of_the_row_last(void **state)
{
    (void)state;
    char hex[TALLY_LEXIGRAM_HEX_SIZE];
    checksum("{\"action\":\"a\",\"causation_id\":null,\"changed_at\":\"2026-01-01T00:00:00\","
             "\"changed_by\":\"u\",\"command_payload_hash\":null,\"correlation_id\":null,"
             "\"entity_id\":\"\",\"entry_schema_version\":3,\"metadata\":\"{}\","
             "\"new_values\":\"{}\",\"old_values\":\"{}\",\"outcome\":\"success\","
             "\"payload_size_bytes\":null,\"severity\":\"medium\",\"source\":null,"
             "\"table_name\":\"\",\"tenant_id\":null}",
             TALLY_LEXIGRAM_UNVERSIONED, hex);
    struct tally_lexigram_row row = minimal_row();
    row.checksum = hex;
    assert_int_equal(verify_row(&row).verdict, TALLY_VERDICT_TAMPERED);
    row.entry_schema_version = "3";
    struct tally_lexigram_match match = verify_row(&row);
    assert_int_equal(match.verdict, TALLY_VERDICT_VERIFIED);
    assert_int_equal(match.version, 3);
    assert_int_equal(match.row_version, 3);
}

/* L07 */
static void raises_no_alarm_on_rows_with_empty_members(void **state)
{
    (void)state;
    char hex[TALLY_LEXIGRAM_HEX_SIZE];
    struct tally_lexigram_row row = minimal_row();
    row.checksum = hex;

    checksum(HASHED("2026-01-01T00:00:00", "null", "null", "\"medium\""), 2, hex);
    row.outcome = NULL;
    assert_int_equal(verify_row(&row).verdict, TALLY_VERDICT_VERIFIED);

    checksum(HASHED("2026-01-01T00:00:00", "null", "null", "null"), 2, hex);
    row.severity = NULL;
    assert_int_equal(verify_row(&row).verdict, TALLY_VERDICT_VERIFIED);

    checksum(HASHED("2026-01-01T00:00:00", "null", "\"\"", "null"), 2, hex);
    row.command_payload_hash = "";
    assert_int_equal(verify_row(&row).verdict, TALLY_VERDICT_VERIFIED);
    row.command_payload_hash = NULL; /* but NULL is not the empty text */
    assert_int_equal(verify_row(&row).verdict, TALLY_VERDICT_TAMPERED);
}

/* L12 */
static void matches_rows_sealed_by_the_backfill_tool(void **state)
{
    (void)state;
    struct tally_lexigram_row row = minimal_row();
    row.checksum = "0dc6ef7b73396af492566fb9836be4220fb00b65e5adf871dc51cb8067c8ff11";
    struct tally_lexigram_match match = verify_row(&row);
    assert_int_equal(match.verdict, TALLY_VERDICT_VERIFIED);
    assert_int_equal(match.layout, TALLY_LEXIGRAM_LAYOUT_STORED);
    assert_int_equal(match.version, 1);

    /* On PostgreSQL it hashed the T, and the column has no zeros at the end of the fraction. */
    char hex[TALLY_LEXIGRAM_HEX_SIZE];
    checksum(HASHED_TIME("2026-01-01T00:00:00.500000"), 1, hex);
    row.checksum = hex;
    row.changed_at = "2026-01-01 00:00:00.5";
    match = verify_row(&row);
    assert_int_equal(match.verdict, TALLY_VERDICT_VERIFIED);
    assert_int_equal(match.layout, TALLY_LEXIGRAM_LAYOUT_T);
    assert_int_equal(match.version, 1);
}

/* L13 */
static void matches_rows_with_an_offset_in_their_time(void **state)
{
    (void)state;
    char hex[TALLY_LEXIGRAM_HEX_SIZE];
    struct tally_lexigram_row row = minimal_row();
    row.checksum = hex;

    checksum(HASHED_TIME("2026-01-01 00:00:00+00:00"), 2, hex);
    row.changed_at = "2026-01-01 00:00:00+00:00";
    struct tally_lexigram_match match = verify_row(&row);
    assert_int_equal(match.verdict, TALLY_VERDICT_VERIFIED);
    assert_int_equal(match.layout, TALLY_LEXIGRAM_LAYOUT_STORED);

    checksum(HASHED_TIME("2026-01-01T00:00:00.5+00:00"), 2, hex);
    row.changed_at = "2026-01-01T00:00:00.5+00:00";
    match = verify_row(&row);
    assert_int_equal(match.verdict, TALLY_VERDICT_VERIFIED);
    assert_int_equal(match.layout, TALLY_LEXIGRAM_LAYOUT_STORED);

    checksum(HASHED_TIME("2026-01-01T00:00:00+00:00"), 2, hex);
    row.changed_at = "2026-01-01T00:00:00+00:00"; /* here both layouts are the same */
    match = verify_row(&row);
    assert_int_equal(match.verdict, TALLY_VERDICT_VERIFIED);
    assert_int_equal(match.layout, TALLY_LEXIGRAM_LAYOUT_T);
}

static void notices_a_change_in_every_hashed_column(void **state)
{
    (void)state;
    static const size_t offsets[] = {
        offsetof(struct tally_lexigram_row, action),
        offsetof(struct tally_lexigram_row, causation_id),
        offsetof(struct tally_lexigram_row, changed_at),
        offsetof(struct tally_lexigram_row, changed_by),
        offsetof(struct tally_lexigram_row, command_payload_hash),
        offsetof(struct tally_lexigram_row, correlation_id),
        offsetof(struct tally_lexigram_row, entity_id),
        offsetof(struct tally_lexigram_row, metadata),
        offsetof(struct tally_lexigram_row, new_values),
        offsetof(struct tally_lexigram_row, old_values),
        offsetof(struct tally_lexigram_row, outcome),
        offsetof(struct tally_lexigram_row, payload_size_bytes),
        offsetof(struct tally_lexigram_row, severity),
        offsetof(struct tally_lexigram_row, source),
        offsetof(struct tally_lexigram_row, table_name),
        offsetof(struct tally_lexigram_row, tenant_id),
        offsetof(struct tally_lexigram_row, checksum),
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(offsets); i++) {
        struct tally_lexigram_row row = minimal_row();
        const struct {
            const char *text;
        } other = { "7" };
        memcpy((char *)&row + offsets[i], &other, sizeof(other));
        struct tally_lexigram_match match = verify_row(&row);
        assert_int_equal(match.verdict, TALLY_VERDICT_TAMPERED);
        assert_int_equal(match.layout, TALLY_LEXIGRAM_LAYOUT_NONE);
    }
    struct tally_lexigram_row row = minimal_row();
    row.metadata = "{ }"; /* white space counts: it is the stored text that was hashed */
    assert_int_equal(verify_row(&row).verdict, TALLY_VERDICT_TAMPERED);
    row = minimal_row();
    row.checksum = "A5429CB7C775A026C17BD16C4A3969E897F0263BDDB87EBD8F41271E63B75150";
    assert_int_equal(verify_row(&row).verdict, TALLY_VERDICT_TAMPERED);
}

static void hashes_sizes_as_integers(void **state)
{
    (void)state;
    char hex[TALLY_LEXIGRAM_HEX_SIZE];
    checksum("{\"action\":null,\"causation_id\":null,\"changed_at\":null,\"changed_by\":null,"
             "\"command_payload_hash\":null,\"correlation_id\":null,\"entity_id\":null,"
             "\"metadata\":null,\"new_values\":null,\"old_values\":null,\"outcome\":null,"
             "\"payload_size_bytes\":18446744073709551615,\"severity\":null,\"source\":null,"
             "\"table_name\":null,\"tenant_id\":\"\"}",
             2, hex);
    struct tally_lexigram_row row = TALLY_LEXIGRAM_ROW_INIT;
    row.payload_size_bytes = "18446744073709551615";
    row.tenant_id = "";
    row.checksum = hex;
    struct tally_lexigram_match match = verify_row(&row);
    assert_int_equal(match.verdict, TALLY_VERDICT_VERIFIED);
    assert_int_equal(match.row_version, -1);
}

static void says_unverifiable_without_key_or_checksum(void **state)
{
    (void)state;
    assert_int_equal(verify("{}", 2, ""), TALLY_VERDICT_UNVERIFIABLE);
    assert_int_equal(verify("{}", 2, NULL), TALLY_VERDICT_UNVERIFIABLE);
    enum tally_verdict verdict = TALLY_VERDICT_UNKNOWN;
    check_ok(tally_lexigram_verify("{}", 2, NULL, 0, 2, "00", &verdict, NULL));
    assert_int_equal(verdict, TALLY_VERDICT_UNVERIFIABLE);

    struct tally_lexigram_match match = { 0 };
    struct tally_lexigram_row row = minimal_row();
    check_ok(tally_lexigram_row_verify(&row, NULL, 0, &match, NULL));
    assert_int_equal(match.verdict, TALLY_VERDICT_UNVERIFIABLE);
    assert_int_equal(match.row_version, 1);
    row.checksum = "";
    assert_int_equal(verify_row(&row).verdict, TALLY_VERDICT_UNVERIFIABLE);
    row.checksum = NULL;
    assert_int_equal(verify_row(&row).verdict, TALLY_VERDICT_UNVERIFIABLE);
}

static void gives_no_verdict_on_malformed_entries(void **state)
{
    (void)state;
    enum tally_verdict verdict = TALLY_VERDICT_UNKNOWN;
    char hex[TALLY_LEXIGRAM_HEX_SIZE] = "x";
    struct tally_error err = TALLY_ERROR_INIT;
    check_status(tally_lexigram_verify("{", 1, key, sizeof(key), 2, "00", &verdict, &err),
                 TALLY_EINVAL);
    check_status(err.status, TALLY_EINVAL);
    check_status(tally_lexigram_verify("{", 1, NULL, 0, 2, "", &verdict, NULL), TALLY_EINVAL);
    check_status(tally_lexigram_verify("{}", 2, key, sizeof(key), 3, "00", &verdict, NULL),
                 TALLY_EINVAL);
    check_status(tally_lexigram_checksum("{}", 2, key, sizeof(key), TALLY_LEXIGRAM_ANY, hex, NULL),
                 TALLY_EINVAL);
    assert_int_equal(verdict, TALLY_VERDICT_UNKNOWN);
    assert_string_equal(hex, "x");
}

static void gives_no_verdict_on_malformed_rows(void **state)
{
    (void)state;
    struct tally_lexigram_match match = { 0 };
    static const char *const sizes[] = { "",    "-",  "007",
                                         "1.0", "+1", "-0",
                                         "1e3", "x",  "18446744073709551616" };
    for (size_t i = 0; i < TL_ARRAY_LEN(sizes); i++) {
        struct tally_lexigram_row row = minimal_row();
        row.payload_size_bytes = sizes[i];
        check_status(tally_lexigram_row_verify(&row, key, sizeof(key), &match, NULL), TALLY_EINVAL);
    }
    struct tally_error err = TALLY_ERROR_INIT;
    struct tally_lexigram_row row = minimal_row();
    row.source = "\xFF";
    check_status(tally_lexigram_row_verify(&row, key, sizeof(key), &match, &err), TALLY_EINVAL);
    assert_string_equal(err.message, "column 'source' is not UTF-8");
    row = minimal_row();
    row.struct_size = 0;
    check_status(tally_lexigram_row_verify(&row, key, sizeof(key), &match, NULL), TALLY_EINVAL);
    assert_int_equal(match.verdict, TALLY_VERDICT_UNKNOWN);
}

static void writes_signed_exponents_where_asked(void **state)
{
    (void)state;
    struct tl_str entry = TL_STR("{\"a\":1e16}");
    check_canonical(entry, TALLY_LEXIGRAM_UNVERSIONED, entry);
    check_canonical(entry, 2 | TALLY_LEXIGRAM_EXPONENT_SIGNED,
                    TL_STR("{\"a\":1e+16,\"entry_schema_version\":2}"));
}

static tally_status verify_stored_layout(const void *ctx)
{
    (void)ctx;
    struct tally_lexigram_row row = minimal_row();
    struct tally_lexigram_match match = { 0 };
    row.checksum = "0dc6ef7b73396af492566fb9836be4220fb00b65e5adf871dc51cb8067c8ff11";
    tally_status status = tally_lexigram_row_verify(&row, key, sizeof(key), &match, NULL);
    assert_int_equal(match.verdict,
                     status == TALLY_OK ? TALLY_VERDICT_VERIFIED : TALLY_VERDICT_UNKNOWN);
    return status;
}

static tally_status verify_entry(const void *ctx)
{
    enum tally_verdict verdict = TALLY_VERDICT_UNKNOWN;
    char *json = NULL;
    TL_TRY(tally_lexigram_canonical(ctx, strlen(ctx), 1, &json, NULL, NULL));
    tl_free(json);
    tally_status status = tally_lexigram_verify(ctx, strlen(ctx), key, sizeof(key),
                                                TALLY_LEXIGRAM_ANY, "00", &verdict, NULL);
    assert_int_equal(verdict, status == TALLY_OK ? TALLY_VERDICT_TAMPERED : TALLY_VERDICT_UNKNOWN);
    return status;
}

static void gives_no_verdict_when_out_of_memory(void **state)
{
    (void)state;
    assert_true(fault_each_alloc(verify_stored_layout, NULL) > 2);
    assert_true(fault_each_alloc(verify_entry, "{\"a\":1}") > 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reproduces_every_vector),
        cmocka_unit_test(verifies_what_it_computed_with_default_versions),
        cmocka_unit_test(accepts_a_row_whose_version_column_disagrees_with_its_hash),
        cmocka_unit_test(tries_the_version_of_the_row_last),
        cmocka_unit_test(raises_no_alarm_on_rows_with_empty_members),
        cmocka_unit_test(matches_rows_sealed_by_the_backfill_tool),
        cmocka_unit_test(matches_rows_with_an_offset_in_their_time),
        cmocka_unit_test(notices_a_change_in_every_hashed_column),
        cmocka_unit_test(hashes_sizes_as_integers),
        cmocka_unit_test(says_unverifiable_without_key_or_checksum),
        cmocka_unit_test(gives_no_verdict_on_malformed_entries),
        cmocka_unit_test(gives_no_verdict_on_malformed_rows),
        cmocka_unit_test(writes_signed_exponents_where_asked),
        cmocka_unit_test(gives_no_verdict_when_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
