/* cli/report.h - a verification report for people and for programs. */
#ifndef TL_CLI_REPORT_H
#define TL_CLI_REPORT_H

#include <tally/verify.h>

#include "cli/cli.h"

/* The verdict first, then findings, coverage, what limits the verdict, and what to do. */
tally_status tl_report_print(const struct tl_cli *cli, const struct tally_report *report,
                             struct tally_error *err);

tally_status tl_report_print_json(const struct tally_report *report, struct tally_error *err);

#endif /* TL_CLI_REPORT_H */
