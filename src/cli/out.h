/*
 * cli/out.h - what commands print: text that cannot harm a terminal, tables, and JSON.
 *
 * What was logged may come from an attacker. All of it goes through tl_text_escape(), a table, or
 * a JSON writer; none of it goes to a terminal as it is.
 */
#ifndef TL_CLI_OUT_H
#define TL_CLI_OUT_H

#include <stdio.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/str.h"
#include "cli/cli.h"
#include "codec/js.h"

/*
 * Appends `text` with everything a terminal might act upon made visible: control characters (C0,
 * DEL, C1), bidirectional controls, line and paragraph separators, and bytes that are no UTF-8.
 */
void tl_text_escape(struct tl_buf *out, struct tl_str text);

/* How many columns of a terminal escaped text takes. */
size_t tl_text_width(struct tl_str text);

/* Prints escaped text. */
void tl_print_text(FILE *to, struct tl_str text);

enum tl_style {
    TL_STYLE_PLAIN = 0,
    TL_STYLE_BOLD,
    TL_STYLE_GOOD,
    TL_STYLE_BAD,
    TL_STYLE_WARN,
    TL_STYLE_DIM,
};

/* Prints `text` to stdout, in a style if stdout may have colour. */
void tl_print_styled(const struct tl_cli *cli, enum tl_style style, const char *text);

/* One column of a table. Immutable. */
struct tl_column {
    const char *name; /* "actor"; on a terminal in upper case */
    bool right;       /* numbers: aligned to the right */
};

#define TL_COLUMNS_MAX 16u

/*
 * Rows of cells for stdout: aligned on a terminal, tab-separated in a pipe, CSV on request. Cells
 * go in one by one, row by row. tl_table_init(), tl_table_release().
 */
struct tl_table {
    const struct tl_cli *cli;
    const struct tl_column *columns;
    size_t column_count;
    struct tl_buf text; /* cells, escaped, each ending with a NUL */
    enum tl_style *styles;
    size_t style_capacity;
    size_t cell_count;
    size_t widths[TL_COLUMNS_MAX];
    bool headed;
    bool whole; /* cells are never cut */
};

void tl_table_init(struct tl_table *table, const struct tl_cli *cli,
                   const struct tl_column *columns, size_t column_count);
void tl_table_release(struct tl_table *table);
void tl_table_cell(struct tl_table *table, struct tl_str text, enum tl_style style);
void tl_table_text(struct tl_table *table, const char *text); /* a plain cell; NULL is empty */
void tl_table_u64(struct tl_table *table, uint64_t value);
void tl_table_time(struct tl_table *table, int64_t us); /* microseconds since 1970 */

/* Prints the rows so far, and before the first ones the header, and forgets them. Errors:
 * TALLY_ENOMEM if a cell found no memory */
tally_status tl_table_print(struct tl_table *table, struct tally_error *err);

/* Prints what there is and a newline to `to`, and empties it. TALLY_ENOMEM */
tally_status tl_js_print(struct tl_js *js, FILE *to, struct tally_error *err);

/* A line on stderr that is written over, with share, rate and remaining time; nothing if stderr is
 * no terminal. Zeroed to begin with. */
struct tl_progress {
    int64_t started_us;
    int64_t shown_us;
    bool visible;
};
void tl_progress_show(struct tl_progress *progress, const struct tl_cli *cli, const char *what,
                      uint64_t done, uint64_t total);
void tl_progress_end(struct tl_progress *progress);

#endif /* TL_CLI_OUT_H */
