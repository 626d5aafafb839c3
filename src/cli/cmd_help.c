#include <string.h>

#include "cli/cmd.h"

/* Prints what comes before the help text of an option: "  -n, --limit N". */
static void print_option(const struct tl_opt *opt)
{
    char left[64];
    char letter[] = { '-', opt->letter, ',', '\0' };
    (void)snprintf(left, sizeof(left), "  %3s --%s%s%s", opt->letter != 0 ? letter : "", opt->name,
                   opt->value != NULL ? " " : "", opt->value != NULL ? opt->value : "");
    printf("%-32s%s%s\n", left, strlen(left) > 31 ? "\n                                " : "",
           opt->help);
}

static void print_options(const char *title, const struct tl_opt *opts)
{
    printf("\n%s\n", title);
    for (; opts != NULL && opts->name != NULL; opts++) {
        print_option(opts);
    }
}

/* Prints lines, each indented. */
static void print_lines(const char *lines)
{
    while (*lines != '\0') {
        size_t len = strcspn(lines, "\n");
        printf("  %.*s\n", (int)len, lines);
        lines += lines[len] == '\0' ? len : len + 1;
    }
}

void tl_cmd_help_print(const struct tl_cmd *cmd)
{
    printf("usage: tally %s [OPTION]...%s%s\n\n%s\n", cmd->name,
           cmd->arguments[0] == '\0' ? "" : " ", cmd->arguments, cmd->summary);
    if (cmd->about[0] != '\0') {
        printf("\n%s", cmd->about);
    }
    if (cmd->opts != NULL) {
        print_options("options", cmd->opts);
    }
    if (cmd->takes_filters) {
        print_options("filters", tl_filter_opts);
    }
    print_options("options of all commands", tl_global_opts);
    printf("\nexamples\n");
    print_lines(cmd->examples);
}

void tl_cmd_list_print(void)
{
    printf("usage: tally [OPTION]... COMMAND [OPTION]... [ARGUMENT]...\n\n"
           "keep, search and check a tamper-evident audit log\n\ncommands\n");
    for (size_t i = 0; tl_commands[i] != NULL; i++) {
        printf("  %-12s%s\n", tl_commands[i]->name, tl_commands[i]->summary);
    }
    print_options("options of all commands", tl_global_opts);
    printf("\n'tally help COMMAND' says more; 'tally help exit' lists the exit statuses.\n\n"
           "examples\n");
    print_lines("tally init audit\n"
                "tally log --action user.login --actor-id u1\n"
                "tally find --actor-id u1\n"
                "tally verify\n");
}

static void print_exit_statuses(void)
{
    printf("0  done; verified; healthy\n"
           "1  done, and the answer is bad: tampered; an error found; not found where asked\n"
           "2  could not tell: key, checkpoint or checksum missing, nothing checked\n"
           "3  usage: unknown option, format or filter; bad value\n"
           "4  configuration: unknown key, bad value, unsafe file mode\n"
           "5  not available: ledger locked or absent, permission, I/O\n"
           "6  incomplete: interrupted, malformed input lines, partial export\n"
           "7  refused: event refused, id conflict, a hold, a second person has to sign\n"
           "\nIf several apply: 1 before 2 before 6.\n");
}

static enum tl_exit run(struct tl_cli *cli, const struct tl_args *args)
{
    if (args->rest_count == 0) {
        tl_cmd_list_print();
        return TL_EXIT_OK;
    }
    if (strcmp(args->rest[0], "exit") == 0) {
        print_exit_statuses();
        return TL_EXIT_OK;
    }
    const struct tl_cmd *cmd = tl_cmd_find_name(args->rest[0]);
    if (cmd == NULL) {
        return tl_cli_usage(cli, "there is no command '%.40s'; 'tally help' lists them",
                            args->rest[0]);
    }
    tl_cmd_help_print(cmd);
    return TL_EXIT_OK;
}

const struct tl_cmd tl_cmd_help = {
    .name = "help",
    .summary = "explain a command, or list all",
    .arguments = "[COMMAND|exit]",
    .about = "",
    .examples = "tally help find\n"
                "tally help exit\n",
    .rest_max = 1,
    .run = run,
};
