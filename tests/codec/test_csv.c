#include <stdio.h>
#include <string.h>

#include "check.h"
#include "codec/csv.h"
#include "fault.h"

static const struct tl_csv_limits limits = {
    .field_bytes_max = 1000,
    .record_bytes_max = 2000,
    .fields_max = 40,
};

/* Reads `text` in pieces of `piece` bytes and writes it down as "line:[field][field]\n". */
static tally_status read_all(const char *text, size_t len, size_t piece, struct tl_buf *out,
                             struct tally_error *err)
{
    TL_CLEANUP(tl_csv_release) struct tl_csv_reader reader = { 0 };
    tl_csv_init(&reader, &limits);
    struct tl_csv_record record = { 0 };
    for (size_t at = 0;;) {
        tally_status status = tl_csv_next(&reader, &record, err);
        if (status == TALLY_OK) {
            tl_buf_add_u64(out, record.line);
            tl_buf_add_char(out, ':');
            for (size_t i = 0; i < record.count; i++) {
                tl_buf_add_char(out, '[');
                tl_buf_add_str(out, record.fields[i]);
                tl_buf_add_char(out, ']');
            }
            tl_buf_add_char(out, '\n');
        } else if (status != TALLY_ENOTFOUND) {
            return status;
        } else if (at < len) {
            size_t size = len - at < piece ? len - at : piece;
            tl_csv_feed(&reader, text + at, size);
            at += size;
        } else if (reader.ended) {
            return tl_buf_status(out);
        } else {
            tl_csv_end(&reader);
        }
    }
}

static void check_reads(const char *text, size_t len, const char *want)
{
    static const size_t pieces[] = { 1, 2, 3, 1000 };
    for (size_t i = 0; i < TL_ARRAY_LEN(pieces); i++) {
        struct tl_buf out = { 0 };
        tl_buf_init(&out, 10000);
        check_ok(read_all(text, len, pieces[i], &out, NULL));
        tl_buf_add_char(&out, '\0');
        assert_string_equal(tl_buf_str(&out).text, want);
        tl_buf_release(&out);
    }
}

static void reads_the_same_records_in_pieces_of_any_size(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want;
    } table[] = {
        { "", "" },
        { "a", "1:[a]\n" },
        { "a,b\r\nc,d\r\n", "1:[a][b]\n2:[c][d]\n" },
        { "a,b\nc,d", "1:[a][b]\n2:[c][d]\n" },
        { "a,\n,b\n,\n", "1:[a][]\n2:[][b]\n3:[][]\n" },
        { "a,", "1:[a][]\n" },
        { "\n\r\na\n", "1:[]\n2:[]\n3:[a]\n" },
        { "\"a\",\"b\"\n", "1:[a][b]\n" },
        { "\"\"\n\"\"", "1:[]\n2:[]\n" },
        { "\"a\"\"b\"\n", "1:[a\"b]\n" },
        { "\"\"\"\"\n", "1:[\"]\n" },
        { "\"a,b\",c\n", "1:[a,b][c]\n" },
        { "\"a\r\nb\nc\"\r\nd\n", "1:[a\r\nb\nc]\n4:[d]\n" },
        { "\"a\rb\"\nc\n", "1:[a\rb]\n2:[c]\n" },
        { "\xEF\xBB\xBF"
          "a\n",
          "1:[a]\n" },
        { "\xEF\xBB\xBF\"a\"\n", "1:[a]\n" },
        { "\xEF\xBB\xBF", "" },
        { "\xEF\xBB"
          "a\n",
          "1:[\xEF\xBB"
          "a]\n" },
        { "\xEF", "1:[\xEF]\n" },
        { "a\n\xEF\xBB\xBF\n", "1:[a]\n2:[\xEF\xBB\xBF]\n" },
        { " a , b \n", "1:[ a ][ b ]\n" },
        { "Zo\xC3\xAB;\t'x'\n", "1:[Zo\xC3\xAB;\t'x']\n" },
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(table); i++) {
        check_reads(table[i].text, strlen(table[i].text), table[i].want);
    }
}

static void names_the_line_of_what_it_refuses(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } table[] = {
        { "a\nb\"c\n", "line 2: a quote in a field that does not begin with one" },
        { "\xEF\xBB\"c\n", "line 1: a quote in a field that does not begin with one" },
        { "a\n\"b\"c\n", "line 2: text after a closing quote" },
        { "\"b\" ,c\n", "line 1: text after a closing quote" },
        { "\"a\nb\"\n\"x\n\ny", "line 3: a quoted field that begins here never ends" },
        { "\"", "line 1: a quoted field that begins here never ends" },
        { "a\n\nb\rc", "line 3: a carriage return without a line feed" },
        { "a\r\r\n", "line 1: a carriage return without a line feed" },
        { "a\r\"b\"", "line 1: a carriage return without a line feed" },
        { "a\r", "line 1: a carriage return without a line feed" },
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(table); i++) {
        for (size_t piece = 1; piece < 20; piece++) {
            struct tl_buf out = { 0 };
            struct tally_error err = TALLY_ERROR_INIT;
            tl_buf_init(&out, 10000);
            check_status(read_all(table[i].text, strlen(table[i].text), piece, &out, &err),
                         TALLY_EREFUSED);
            assert_string_equal(err.code, "bad_csv");
            assert_string_equal(err.message, table[i].message);
            tl_buf_release(&out);
        }
    }
}

/* Whether a record of these sizes passes through a reader with narrow bounds. */
static tally_status read_bounded(const char *text)
{
    static const struct tl_csv_limits narrow = { 4, 6, 3 };
    TL_CLEANUP(tl_csv_release) struct tl_csv_reader reader = { 0 };
    struct tl_csv_record record = { 0 };
    tl_csv_init(&reader, &narrow);
    tl_csv_feed(&reader, text, strlen(text));
    tally_status status = TALLY_OK;
    while (status == TALLY_OK) {
        status = tl_csv_next(&reader, &record, NULL);
    }
    return status;
}

static void refuses_what_passes_a_bound(void **state)
{
    (void)state;
    check_status(read_bounded("1234,12,\n1234,12,\n"), TALLY_ENOTFOUND);
    check_status(read_bounded("\"\"\"\"\"\"\"\"\"\"\n"), TALLY_ENOTFOUND); /* four quotes */
    check_status(read_bounded("12345\n"), TALLY_ELIMIT);
    check_status(read_bounded("\"1234\"\"\"\n"), TALLY_ELIMIT);
    check_status(read_bounded("1234,123\n"), TALLY_ELIMIT);
    check_status(read_bounded("1,2,3,4\n"), TALLY_ELIMIT);
}

static tally_status read_sample(const void *ctx)
{
    TL_CLEANUP(tl_csv_release) struct tl_csv_reader reader = { 0 };
    struct tl_csv_record record = { 0 };
    tl_csv_init(&reader, &limits);
    tl_csv_feed(&reader, ctx, strlen(ctx));
    tally_status status = TALLY_OK;
    while (status == TALLY_OK) {
        status = tl_csv_next(&reader, &record, NULL);
    }
    return status == TALLY_ENOTFOUND ? TALLY_OK : status;
}

static void reports_that_it_is_out_of_memory(void **state)
{
    (void)state;
    assert_true(fault_each_alloc(read_sample, "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18\n") >
                2);
}

static void check_field(struct tl_str field, bool guard, const char *want)
{
    struct tl_buf out = { 0 };
    tl_buf_init(&out, 1000);
    tl_csv_field(&out, field, guard);
    check_ok(tl_buf_status(&out));
    assert_true(tl_str_is(tl_buf_str(&out), want));
    tl_buf_release(&out);
}

static void quotes_only_what_needs_it(void **state)
{
    (void)state;
    static const char *const table[][2] = {
        { "", "" },
        { "a b", "a b" },
        { "'a'", "'a'" },
        { "a,b", "\"a,b\"" },
        { "\"", "\"\"\"\"" },
        { "{\"a\":\"b\"}", "\"{\"\"a\"\":\"\"b\"\"}\"" },
        { "a\r", "\"a\r\"" },
        { "a\nb", "\"a\nb\"" },
        { "a=b", "a=b" },
        { " =b", " =b" },
        { "\xEF\xBC\xA1", "\xEF\xBC\xA1" },
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(table); i++) {
        check_field(tl_str_of(table[i][0]), false, table[i][1]);
        check_field(tl_str_of(table[i][0]), true, table[i][1]);
    }
    check_field((struct tl_str){ 0 }, true, "");
}

static void guards_csv_cells_against_formulas(void **state)
{
    (void)state;
    static const char *const table[][2] = {
        { "=1+2", "'=1+2" },
        { "+1", "'+1" },
        { "-1", "'-1" },
        { "@a", "'@a" },
        { "\ta", "'\ta" },
        { "\ra", "\"'\ra\"" },
        { "\na", "\"'\na\"" },
        { "=\"a\"", "\"'=\"\"a\"\"\"" },
        { "\xEF\xBC\x9D", "'\xEF\xBC\x9D" },
        { "\xEF\xBC\x8B", "'\xEF\xBC\x8B" },
        { "\xEF\xBC\x8D", "'\xEF\xBC\x8D" },
        { "\xEF\xBC\xA0", "'\xEF\xBC\xA0" },
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(table); i++) {
        check_field(tl_str_of(table[i][0]), true, table[i][1]);
    }
    check_field(tl_str_of("=1+2"), false, "=1+2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_the_same_records_in_pieces_of_any_size),
        cmocka_unit_test(names_the_line_of_what_it_refuses),
        cmocka_unit_test(refuses_what_passes_a_bound),
        cmocka_unit_test(reports_that_it_is_out_of_memory),
        cmocka_unit_test(quotes_only_what_needs_it),
        cmocka_unit_test(guards_csv_cells_against_formulas),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
