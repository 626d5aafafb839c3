/* cli/export_bundle.h - what "tally export" does with --bundle and --tlog. */
#ifndef TL_CLI_EXPORT_BUNDLE_H
#define TL_CLI_EXPORT_BUNDLE_H

#include "cli/cmd.h"

/* Whether one of the two is asked for. */
bool tl_export_is_bundle(const struct tl_args *args);

enum tl_exit tl_export_bundle(struct tl_cli *cli, const struct tl_args *args);

/* Records "tally.export" with `manifest`, the text of a JSON object, if that is possible. */
void tl_export_record(struct tl_cli *cli, const char *by, const char *manifest);

#endif /* TL_CLI_EXPORT_BUNDLE_H */
