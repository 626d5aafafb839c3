/* cli/records.h - how commands show records: find, get, tail. */
#ifndef TL_CLI_RECORDS_H
#define TL_CLI_RECORDS_H

#include <tally/query.h>

#include "base/arena.h"
#include "base/base.h"
#include "cli/cli.h"
#include "cli/out.h"

/* Prints records one after the other. tl_records_init(), tl_records_release(). */
struct tl_records {
    const struct tl_cli *cli;
    struct tl_table table;
    struct tl_arena arena;
};

void tl_records_init(struct tl_records *records, const struct tl_cli *cli);
void tl_records_release(struct tl_records *records);

/* Adds a record to what is printed next: a row, or a line of JSON. Errors: TALLY_ENOMEM */
tally_status tl_records_add(struct tl_records *records, const struct tally_item *item,
                            struct tally_error *err);

/* Prints what was added; the header of a table even if nothing was. */
tally_status tl_records_print(struct tl_records *records, struct tally_error *err);

/* Prints one record with all its members, one per line. */
tally_status tl_record_print_whole(const struct tl_cli *cli, const struct tally_item *item,
                                   struct tally_error *err);

/* The time of a record as its line has it. Borrowed. */
struct tl_str tl_record_time(const struct tally_item *item);

#endif /* TL_CLI_RECORDS_H */
