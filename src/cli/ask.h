/* cli/ask.h - asking before something is done for ever. */
#ifndef TL_CLI_ASK_H
#define TL_CLI_ASK_H

#include "cli/cli.h"

/*
 * TL_EXIT_OK to go on: with `--yes`, or if somebody at a terminal answers "yes" to the question.
 * Otherwise says on stderr that nothing was done, and what to do.
 */
enum tl_exit tl_cli_ask(const struct tl_cli *cli, const struct tl_args *args, const char *question);

#endif /* TL_CLI_ASK_H */
