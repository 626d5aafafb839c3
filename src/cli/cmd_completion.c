#include <string.h>

#include "cli/cmd.h"

/* Calls `fn` for each option that a command takes. */
static void each_option(const struct tl_cmd *cmd,
                        void (*fn)(const struct tl_cmd *cmd, const struct tl_opt *opt))
{
    const struct tl_opt *const tables[] = { cmd->opts, cmd->takes_filters ? tl_filter_opts : NULL,
                                            tl_global_opts };
    for (size_t t = 0; t < TL_ARRAY_LEN(tables); t++) {
        for (const struct tl_opt *opt = tables[t]; opt != NULL && opt->name != NULL; opt++) {
            fn(cmd, opt);
        }
    }
}

static bool takes_path(const struct tl_opt *opt)
{
    return opt->value != NULL &&
           (strcmp(opt->value, "FILE") == 0 || strcmp(opt->value, "DIR") == 0);
}

/* Prints the words of "a|b|c", separated by spaces. */
static void print_words(const char *words)
{
    tl_assert(words != NULL);
    for (; *words != '\0'; words++) {
        (void)fputc(*words == '|' ? ' ' : *words, stdout);
    }
}

static void bash_name(const struct tl_cmd *cmd, const struct tl_opt *opt)
{
    (void)cmd;
    printf(" --%s", opt->name);
}

static void bash_words(const struct tl_cmd *cmd, const struct tl_opt *opt)
{
    if (!tl_opt_has_words(opt)) {
        return;
    }
    printf("    %s:--%s) words=\"", cmd->name, opt->name);
    print_words(opt->value);
    printf("\" ;;\n");
}

static void bash_other_value(const struct tl_cmd *cmd, const struct tl_opt *opt)
{
    if (opt->value != NULL && !takes_path(opt) && !tl_opt_has_words(opt)) {
        printf("|%s:--%s", cmd->name, opt->name);
    }
}

static void print_bash(void)
{
    printf("# bash completion for tally\n_tally() {\n"
           "  local word=\"${COMP_WORDS[COMP_CWORD]}\" before=\"${COMP_WORDS[COMP_CWORD-1]}\"\n"
           "  local command=\"\" words=\"\" i\n"
           "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
           "    case \"${COMP_WORDS[i]}\" in\n"
           "    -C|--ledger|--config|--set|-o|--print|--color) ((i++)) ;;\n"
           "    -*) ;;\n    *) command=\"${COMP_WORDS[i]}\"; break ;;\n    esac\n  done\n"
           "  case \"$command:$before\" in\n");
    for (size_t i = 0; tl_commands[i] != NULL; i++) {
        each_option(tl_commands[i], bash_words);
    }
    printf("    none"); /* no command is called so: all that follow can begin with a bar */
    for (size_t i = 0; tl_commands[i] != NULL; i++) {
        each_option(tl_commands[i], bash_other_value);
    }
    printf(") return ;;\n  esac\n"
           "  if [[ -z $words && $word == -* ]]; then\n    case \"$command\" in\n");
    for (size_t i = 0; tl_commands[i] != NULL; i++) {
        printf("    %s) words=\"", tl_commands[i]->name);
        each_option(tl_commands[i], bash_name);
        printf("\" ;;\n");
    }
    printf("    *) words=\"");
    for (const struct tl_opt *opt = tl_global_opts; opt->name != NULL; opt++) {
        bash_name(NULL, opt);
    }
    printf("\" ;;\n    esac\n  elif [[ -z $words && -z $command ]]; then\n    words=\"");
    for (size_t i = 0; tl_commands[i] != NULL; i++) {
        printf("%s%s", i == 0 ? "" : " ", tl_commands[i]->name);
    }
    printf("\"\n  fi\n"
           "  if [[ -n $words ]]; then\n"
           "    COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
           "  else\n    COMPREPLY=($(compgen -f -- \"$word\"))\n  fi\n}\n"
           "complete -o filenames -F _tally tally\n");
}

/* Prints text between single quotes of a shell; brackets and colons mean something to zsh. */
static void print_quoted(const char *text, const char *escaped)
{
    for (; *text != '\0'; text++) {
        if (*text == '\'') {
            printf("'\\''");
            continue;
        }
        printf("%s%c", strchr(escaped, *text) != NULL ? "\\" : "", *text);
    }
}

static void zsh_option(const struct tl_cmd *cmd, const struct tl_opt *opt)
{
    (void)cmd;
    printf(" \\\n        '*--%s%s[", opt->name, opt->value != NULL ? "=" : "");
    print_quoted(opt->help, "[]:");
    printf("]");
    if (tl_opt_has_words(opt)) {
        printf(":%s:(", opt->name);
        print_words(opt->value);
        printf(")");
    } else if (opt->value != NULL) {
        printf(":%s:%s", opt->name, takes_path(opt) ? "_files" : "");
    }
    printf("'");
}

static void print_zsh(void)
{
    printf("#compdef tally\n_tally() {\n  local -a commands\n  commands=(\n");
    for (size_t i = 0; tl_commands[i] != NULL; i++) {
        printf("    '%s:", tl_commands[i]->name);
        print_quoted(tl_commands[i]->summary, ":");
        printf("'\n");
    }
    printf("  )\n  local curcontext=\"$curcontext\" state line\n"
           "  _arguments -C '1:command:->command' '*::argument:->argument'\n"
           "  case $state in\n  command) _describe command commands ;;\n"
           "  argument)\n    case $words[1] in\n");
    for (size_t i = 0; tl_commands[i] != NULL; i++) {
        printf("      %s) _arguments", tl_commands[i]->name);
        each_option(tl_commands[i], zsh_option);
        printf(" \\\n        '*:file:_files' ;;\n");
    }
    printf("    esac ;;\n  esac\n}\n_tally \"$@\"\n");
}

static void fish_option(const struct tl_cmd *cmd, const struct tl_opt *opt)
{
    printf("complete -c tally -n '__fish_seen_subcommand_from %s' -l %s", cmd->name, opt->name);
    if (opt->letter != 0) {
        printf(" -s %c", opt->letter);
    }
    if (opt->value != NULL) {
        printf(takes_path(opt) ? " -r -F" : " -x");
    }
    if (tl_opt_has_words(opt)) {
        printf(" -a '");
        print_words(opt->value);
        printf("'");
    }
    printf(" -d '");
    print_quoted(opt->help, "");
    printf("'\n");
}

static void print_fish(void)
{
    printf("# fish completion for tally\n");
    for (size_t i = 0; tl_commands[i] != NULL; i++) {
        printf("complete -c tally -n __fish_use_subcommand -f -a %s -d '", tl_commands[i]->name);
        print_quoted(tl_commands[i]->summary, "");
        printf("'\n");
        each_option(tl_commands[i], fish_option);
    }
}

static enum tl_exit run(struct tl_cli *cli, const struct tl_args *args)
{
    static const struct {
        const char *shell;
        void (*print)(void);
    } shells[] = { { "bash", print_bash }, { "zsh", print_zsh }, { "fish", print_fish } };
    for (size_t i = 0; i < TL_ARRAY_LEN(shells); i++) {
        if (strcmp(args->rest[0], shells[i].shell) == 0) {
            shells[i].print();
            return TL_EXIT_OK;
        }
    }
    return tl_cli_usage(cli, "'tally completion' takes bash, zsh or fish");
}

const struct tl_cmd tl_cmd_completion = {
    .name = "completion",
    .summary = "print completion for a shell",
    .arguments = "bash|zsh|fish",
    .about = "",
    .examples = "tally completion bash > ~/.local/share/bash-completion/completions/tally\n",
    .rest_min = 1,
    .rest_max = 1,
    .run = run,
};
