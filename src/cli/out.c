#include "cli/out.h"

#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "codec/json.h"
#include "codec/time.h"

/* On a terminal a cell of more columns than this is cut, and says so. */
#define CELL_WIDTH_MAX 56u

static const char *const escapes[] = {
    [TL_STYLE_PLAIN] = "",         [TL_STYLE_BOLD] = "\x1b[1m",  [TL_STYLE_GOOD] = "\x1b[32m",
    [TL_STYLE_BAD] = "\x1b[1;31m", [TL_STYLE_WARN] = "\x1b[33m", [TL_STYLE_DIM] = "\x1b[2m",
};

void tl_print_styled(const struct tl_cli *cli, enum tl_style style, const char *text)
{
    bool coloured = cli->colour_out && style != TL_STYLE_PLAIN;
    printf("%s%s%s", coloured ? escapes[style] : "", text, coloured ? "\x1b[0m" : "");
}

void tl_table_init(struct tl_table *table, const struct tl_cli *cli,
                   const struct tl_column *columns, size_t column_count)
{
    tl_assert(column_count > 0);
    tl_assert(column_count <= TL_COLUMNS_MAX);
    *table = (struct tl_table){ .cli = cli, .columns = columns, .column_count = column_count };
    tl_buf_init(&table->text, SIZE_MAX / 8);
    for (size_t i = 0; i < column_count; i++) {
        table->widths[i] = strlen(columns[i].name);
    }
}

void tl_table_release(struct tl_table *table)
{
    tl_buf_release(&table->text);
    tl_free(table->styles);
    *table = (struct tl_table){ 0 };
}

static bool is_aligned(const struct tl_table *table)
{
    return table->cli->view == TL_VIEW_TABLE && table->cli->terminal_out;
}

/* Cuts the text from `start` on to what fits, at a character, with a sign that it was cut. */
static void cut_cell(struct tl_buf *buf, size_t start)
{
    struct tl_str text = { buf->data + start, buf->len - start };
    if (buf->status != TALLY_OK || tl_text_width(text) <= CELL_WIDTH_MAX) {
        return;
    }
    size_t len = text.len;
    while (tl_text_width((struct tl_str){ text.text, len }) >= CELL_WIDTH_MAX) {
        do {
            len--;
        } while (len > 0 && ((uint8_t)text.text[len] & 0xC0) == 0x80);
    }
    buf->len = start + len;
    tl_buf_add_text(buf, "\xE2\x80\xA6");
}

static bool keep_style(struct tl_table *table, enum tl_style style)
{
    if (table->cell_count == table->style_capacity) {
        size_t capacity = table->style_capacity == 0 ? 256 : table->style_capacity * 2;
        enum tl_style *styles = tl_realloc_array(table->styles, capacity, sizeof(table->styles[0]));
        if (styles == NULL) {
            table->text.status = TALLY_ENOMEM;
            return false;
        }
        table->styles = styles;
        table->style_capacity = capacity;
    }
    table->styles[table->cell_count] = style;
    return true;
}

/* A cell that a spreadsheet would run as a formula gets an apostrophe before it. */
static void add_csv(struct tl_buf *out, struct tl_str text)
{
    bool quoted = false;
    for (size_t i = 0; i < text.len; i++) {
        quoted = quoted || strchr(",\"\r\n", text.text[i]) != NULL;
    }
    tl_buf_add_text(out, quoted ? "\"" : "");
    if (text.len > 0 && text.text[0] != '\0' && strchr("=+-@\t\r", text.text[0]) != NULL) {
        tl_buf_add_char(out, '\'');
    }
    for (size_t i = 0; i < text.len; i++) {
        if (text.text[i] == '"') {
            tl_buf_add_char(out, '"');
        }
        if (text.text[i] != '\0') {
            tl_buf_add_char(out, text.text[i]);
        }
    }
    tl_buf_add_text(out, quoted ? "\"" : "");
}

void tl_table_cell(struct tl_table *table, struct tl_str text, enum tl_style style)
{
    if (!keep_style(table, style)) {
        return;
    }
    size_t start = table->text.len;
    if (table->cli->view == TL_VIEW_CSV) {
        add_csv(&table->text, text);
    } else {
        tl_text_escape(&table->text, text);
    }
    if (is_aligned(table) && !table->whole) {
        cut_cell(&table->text, start);
    }
    tl_buf_add_char(&table->text, '\0');
    if (tl_buf_status(&table->text) == TALLY_OK) {
        size_t column = table->cell_count % table->column_count;
        size_t width = tl_text_width(tl_str_of(table->text.data + start));
        table->widths[column] = width > table->widths[column] ? width : table->widths[column];
        table->cell_count++;
    }
}

void tl_table_text(struct tl_table *table, const char *text)
{
    tl_table_cell(table, tl_str_of(text == NULL ? "" : text), TL_STYLE_PLAIN);
}

void tl_table_u64(struct tl_table *table, uint64_t value)
{
    char text[24];
    (void)snprintf(text, sizeof(text), "%" PRIu64, value);
    tl_table_text(table, text);
}

void tl_table_time(struct tl_table *table, int64_t us)
{
    char text[TL_TIME_SIZE] = "";
    (void)tl_time_format_fixed(text, us); /* "" beyond the year 9999 */
    tl_table_text(table, text);
}

static void print_padding(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        (void)fputc(' ', stdout);
    }
}

static void print_aligned(const struct tl_table *table, size_t column, const char *text,
                          enum tl_style style)
{
    size_t padding = table->widths[column] - tl_text_width(tl_str_of(text));
    bool is_last = column + 1 == table->column_count;
    print_padding(table->columns[column].right ? padding : 0);
    tl_print_styled(table->cli, style, text);
    print_padding(table->columns[column].right || is_last ? 0 : padding);
    (void)fputs(is_last ? "\n" : "  ", stdout);
}

static void print_cell(const struct tl_table *table, size_t column, const char *text,
                       enum tl_style style)
{
    if (is_aligned(table)) {
        print_aligned(table, column, text, style);
        return;
    }
    bool is_csv = table->cli->view == TL_VIEW_CSV;
    bool is_last = column + 1 == table->column_count;
    tl_print_styled(table->cli, is_csv ? TL_STYLE_PLAIN : style, text);
    (void)fputs(!is_last ? (is_csv ? "," : "\t") : (is_csv ? "\r\n" : "\n"), stdout);
}

static void print_header(const struct tl_table *table)
{
    for (size_t i = 0; i < table->column_count; i++) {
        char name[32] = "";
        (void)snprintf(name, sizeof(name), "%s", table->columns[i].name);
        for (char *at = name; is_aligned(table) && *at != '\0'; at++) {
            if (*at >= 'a' && *at <= 'z') {
                *at = (char)(*at - 'a' + 'A');
            }
        }
        print_cell(table, i, name, TL_STYLE_BOLD);
    }
}

tally_status tl_table_print(struct tl_table *table, struct tally_error *err)
{
    if (tl_buf_status(&table->text) != TALLY_OK) {
        return tl_fail(err, TALLY_ENOMEM, "out of memory");
    }
    tl_assert(table->cell_count % table->column_count == 0); /* whole rows */
    if (!table->headed) {
        print_header(table);
        table->headed = true;
    }
    const char *text = table->text.data;
    for (size_t i = 0; i < table->cell_count; i++) {
        print_cell(table, i % table->column_count, text, table->styles[i]);
        text += strlen(text) + 1;
    }
    tl_buf_clear(&table->text);
    table->cell_count = 0;
    return TALLY_OK;
}

void tl_progress_show(struct tl_progress *progress, const struct tl_cli *cli, const char *what,
                      uint64_t done, uint64_t total)
{
    if (!cli->terminal_err || cli->quiet || cli->json) {
        return;
    }
    int64_t now_us = tl_clock->steady_us();
    if (progress->started_us == 0) {
        progress->started_us = now_us;
    }
    if (now_us - progress->shown_us < 100000) {
        return;
    }
    progress->shown_us = now_us;
    progress->visible = true;
    double seconds = (double)(now_us - progress->started_us) / 1e6;
    double rate = seconds > 0 ? (double)done / seconds : 0;
    if (total > 0 && rate > 0) {
        double share = (double)done / (double)total;
        (void)fprintf(stderr, "\r\x1b[K%s %3.0f %%  %.0f/s  %.0f s left", what, share * 100, rate,
                      (double)(total > done ? total - done : 0) / rate);
    } else {
        (void)fprintf(stderr, "\r\x1b[K%s %" PRIu64 "  %.0f/s", what, done, rate);
    }
    (void)fflush(stderr);
}

void tl_progress_end(struct tl_progress *progress)
{
    if (progress->visible) {
        (void)fputs("\r\x1b[K", stderr);
        progress->visible = false;
    }
}
