#include "cli/ask.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum tl_exit tl_cli_ask(const struct tl_cli *cli, const struct tl_args *args, const char *question)
{
    if (tl_args_has(args, "yes")) {
        return TL_EXIT_OK;
    }
    if (isatty(STDIN_FILENO) != 1) {
        return tl_cli_usage(cli, "without a terminal to ask at, this needs '--yes'");
    }
    char answer[16] = "";
    (void)fprintf(stderr, "%s Type 'yes' to go on: ", question);
    (void)fflush(stderr);
    const char *line = fgets(answer, sizeof(answer), stdin);
    if (line != NULL && strcmp(line, "yes\n") == 0) {
        return TL_EXIT_OK;
    }
    (void)fputs("nothing was done\n", stderr);
    return TL_EXIT_INCOMPLETE;
}
