#include "cli/cli.h"

#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/str.h"
#include "cli/cmd.h"
#include "cli/out.h"

const struct tl_opt tl_global_opts[] = {
    { "ledger", 'C', "DIR",
      "the ledger, or https://HOST of one; else $TALLY_LEDGER, else ./audit" },
    { "config", 0, "FILE", "the configuration; else tally.yaml in the ledger" },
    { "set", 0, "KEY=VALUE", "one setting, above environment and file" },
    { "json", 0, NULL, "one JSON object on stdout, problems as JSON on stderr" },
    { "print", 'o', "table|json|ndjson|csv", "how to print results" },
    { "quiet", 'q', NULL, "no notes and no progress" },
    { "verbose", 'v', NULL, "say more" },
    { "accept-clock", 0, NULL, "the clock is right, although far ahead of the newest record" },
    { "color", 0, "auto|always|never", "escape codes for colour" },
    { "help", 'h', NULL, "print help and end" },
    { "version", 0, NULL, "print the version and end" },
    { 0 },
};

static const char *variable(const char *name)
{
    return getenv(name); /* NOLINT(concurrency-mt-unsafe): there is one thread yet */
}

static bool is_set(const char *name)
{
    const char *value = variable(name);
    return value != NULL && value[0] != '\0';
}

static bool may_colour(const char *choice, bool is_terminal)
{
    if (choice != NULL && strcmp(choice, "auto") != 0) {
        return strcmp(choice, "always") == 0;
    }
    const char *term = variable("TERM");
    return is_terminal && !is_set("NO_COLOR") && (term == NULL || strcmp(term, "dumb") != 0);
}

/* Takes over a "KEY=VALUE" whose key is `key_len` bytes long. */
static enum tl_exit add_setting(struct tl_cli *cli, const char *key, size_t key_len,
                                const char *value, const char *origin)
{
    size_t i = cli->setting_count;
    if (i == TL_CLI_SETTINGS_MAX || key_len == 0 || key_len >= sizeof(cli->names[i])) {
        return tl_cli_usage(cli, "option '--set' takes KEY=VALUE, at most %u times",
                            TL_CLI_SETTINGS_MAX);
    }
    memcpy(cli->names[i], key, key_len);
    cli->names[i][key_len] = '\0';
    cli->settings[i] =
        (struct tally_setting){ .key = cli->names[i], .value = value, .origin = origin };
    cli->setting_count++;
    return TL_EXIT_OK;
}

/* Variables that mean something to this program rather than to the ledger. */
static bool is_own_variable(struct tl_str name)
{
    return tl_str_is(name, "TALLY_LEDGER");
}

static enum tl_exit read_environment(struct tl_cli *cli)
{
    for (char **at = environ; at != NULL && *at != NULL; at++) {
        const char *equals = strchr(*at, '=');
        struct tl_str name = { *at, equals == NULL ? 0 : (size_t)(equals - *at) };
        if (!tl_str_starts(name, TL_STR("TALLY_")) || is_own_variable(name)) {
            continue;
        }
        char text[96] = "";
        char key[sizeof(cli->names[0])];
        if (name.len < sizeof(text)) {
            memcpy(text, name.text, name.len);
        }
        if (tally_config_variable_key(text, key, sizeof(key)) != TALLY_OK) {
            tl_cli_warn(cli, "ignoring the variable '%.*s': there is no such setting",
                        (int)(name.len < 80 ? name.len : 80), name.text);
            continue;
        }
        enum tl_exit exit_status = add_setting(cli, key, strlen(key), equals + 1, "environment");
        if (exit_status != TL_EXIT_OK) {
            return exit_status;
        }
    }
    return TL_EXIT_OK;
}

static enum tl_exit read_settings(struct tl_cli *cli, const struct tl_args *args)
{
    for (size_t i = 0; i < args->given_count; i++) {
        if (strcmp(args->given[i].opt->name, "set") != 0) {
            continue;
        }
        const char *text = args->given[i].value;
        const char *equals = strchr(text, '=');
        if (equals == NULL) {
            return tl_cli_usage(cli, "option '--set' takes KEY=VALUE");
        }
        enum tl_exit exit_status =
            add_setting(cli, text, (size_t)(equals - text), equals + 1, "flag");
        if (exit_status != TL_EXIT_OK) {
            return exit_status;
        }
    }
    return TL_EXIT_OK;
}

/* The value of a global option, which counts more the later it comes. */
static const char *value_of(const struct tl_args *before, const struct tl_args *after,
                            const char *name)
{
    const char *value = tl_args_value(after, name);
    return value != NULL ? value : tl_args_value(before, name);
}

static bool has(const struct tl_args *before, const struct tl_args *after, const char *name)
{
    return tl_args_has(before, name) || tl_args_has(after, name);
}

static enum tl_view view_of(const char *word, bool json)
{
    static const char *const words[] = { "table", "json", "ndjson", "csv" };
    for (size_t i = 0; word != NULL && i < TL_ARRAY_LEN(words); i++) {
        if (strcmp(word, words[i]) == 0) {
            return (enum tl_view)i;
        }
    }
    return json ? TL_VIEW_JSON : TL_VIEW_TABLE;
}

/* A letter of an address in the name of a directory. */
static void add_plain(struct tl_buf *out, char c)
{
    if (c >= 'A' && c <= 'Z') {
        tl_buf_add_char(out, (char)(c + ('a' - 'A')));
    } else if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
               (c == '.' && out->data[out->len - 1] != '/')) {
        tl_buf_add_char(out, c);
    } else {
        tl_buf_add_char(out, '_');
    }
}

/* The directory where a user's events for one server wait: the address is its name. */
static enum tl_exit choose_spool(struct tl_cli *cli)
{
    const char *address = strstr(cli->ledger, "://");
    const char *state = variable("XDG_STATE_HOME");
    const char *home = variable("HOME");
    struct tl_buf out;
    if (address == NULL || strncmp(cli->ledger, "http", 4) != 0) {
        return TL_EXIT_OK;
    }
    tl_buf_init_fixed(&out, cli->spool, sizeof(cli->spool));
    if (state != NULL && state[0] == '/') {
        tl_buf_addf(&out, "%s/tally/", state);
    } else if (geteuid() == 0 || home == NULL || home[0] != '/') {
        tl_buf_add_text(&out, "/var/lib/tally/remote/");
    } else {
        tl_buf_addf(&out, "%s/.local/state/tally/", home);
    }
    for (const char *at = address + 3; *at != '\0' && *at != '/'; at++) {
        add_plain(&out, *at);
    }
    tl_buf_add_char(&out, '\0');
    return tl_buf_status(&out) == TALLY_OK
               ? add_setting(cli, "remote.spool", strlen("remote.spool"), cli->spool, "default")
               : tl_cli_usage(cli, "the address of the ledger is too long");
}

enum tl_exit tl_cli_init(struct tl_cli *cli, const struct tl_args *before,
                         const struct tl_args *after)
{
    const char *colour = value_of(before, after, "color");
    const char *ledger = value_of(before, after, "ledger");
    bool json = has(before, after, "json");
    *cli = (struct tl_cli){
        .ledger = ledger != NULL           ? ledger
                  : is_set("TALLY_LEDGER") ? variable("TALLY_LEDGER")
                                           : "audit",
        .config = value_of(before, after, "config"),
        .view = view_of(value_of(before, after, "print"), json),
        .json = json,
        .quiet = has(before, after, "quiet"),
        .verbose = has(before, after, "verbose"),
        .accept_clock = has(before, after, "accept-clock"),
        .terminal_out = isatty(STDOUT_FILENO) == 1,
        .terminal_err = isatty(STDERR_FILENO) == 1,
    };
    cli->colour_out = may_colour(colour, cli->terminal_out);
    cli->colour_err = may_colour(colour, cli->terminal_err);
    if (cli->ledger[0] == '\0') {
        return tl_cli_usage(cli, "option '--ledger' needs a directory");
    }
    /* Of settings with the same key the last one counts. */
    enum tl_exit exit_status = choose_spool(cli);
    exit_status = exit_status != TL_EXIT_OK ? exit_status : read_environment(cli);
    exit_status = exit_status != TL_EXIT_OK ? exit_status : read_settings(cli, before);
    return exit_status != TL_EXIT_OK ? exit_status : read_settings(cli, after);
}

struct tally_options tl_cli_options(const struct tl_cli *cli)
{
    struct tally_options options = TALLY_OPTIONS_INIT;
    options.uri = cli->ledger;
    options.config_path = cli->config;
    options.settings = cli->settings;
    options.setting_count = cli->setting_count;
    options.accept_clock = cli->accept_clock ? 1 : 0;
    return options;
}

/* What to do about a ledger that does not open; "" if we know of nothing. */
static void say_way_out(const struct tl_cli *cli, tally_status status, char *out, size_t size)
{
    out[0] = '\0';
    if (status == TALLY_ENOTFOUND) {
        (void)snprintf(out, size, "; run 'tally init %s' first, or name a ledger with -C",
                       cli->ledger);
    } else if (status == TALLY_EBUSY) {
        (void)snprintf(out, size,
                       "; try again when the other one is done: 'tally status' names it");
    } else if (status == TALLY_ECORRUPT) {
        (void)snprintf(out, size, "; run 'tally verify' to see what is wrong");
    }
}

enum tl_exit tl_cli_fail_open(const struct tl_cli *cli, tally_status status,
                              const struct tally_error *err)
{
    char way_out[160];
    say_way_out(cli, status, way_out, sizeof(way_out));
    struct tally_error told = *err;
    told.status = TALLY_OK;
    told.message[0] = '\0';
    (void)tl_fail_errno(&told, status, err->os_errno, "cannot open ledger '%.60s': %.140s%s",
                        cli->ledger, err->message, way_out); /* the same status again */
    enum tl_exit exit_status = tl_cli_fail(cli, &told);
    if (status == TALLY_EINVAL) {
        return TL_EXIT_CONFIG;
    }
    return status == TALLY_ENOTFOUND ? TL_EXIT_UNAVAILABLE : exit_status;
}

static enum tl_exit open_ledger(struct tl_cli *cli, int writable, int unattended,
                                struct tally_ledger **ledger_out)
{
    struct tally_options options = tl_cli_options(cli);
    options.writable = writable;
    options.unattended = unattended;
    struct tally_error err = TALLY_ERROR_INIT;
    tally_status status = tally_open(ledger_out, &options, &err);
    return status == TALLY_OK ? TL_EXIT_OK : tl_cli_fail_open(cli, status, &err);
}

enum tl_exit tl_cli_open(struct tl_cli *cli, bool writable, struct tally_ledger **ledger_out)
{
    return open_ledger(cli, writable ? 1 : 0, 0, ledger_out);
}

enum tl_exit tl_cli_open_unattended(struct tl_cli *cli, struct tally_ledger **ledger_out)
{
    return open_ledger(cli, 1, 1, ledger_out);
}

const char *tl_cli_user(char out[TL_USER_SIZE])
{
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): the ledger's threads do not ask for users */
    const struct passwd *user = getpwuid(geteuid());
    if (user != NULL && user->pw_name != NULL && user->pw_name[0] != '\0') {
        (void)snprintf(out, TL_USER_SIZE, "%s", user->pw_name);
    } else {
        (void)snprintf(out, TL_USER_SIZE, "uid %u", (unsigned)geteuid());
    }
    return out;
}

void tl_ledger_closep(struct tally_ledger **ledger)
{
    tally_close(*ledger);
    *ledger = NULL;
}

void tl_page_freep(struct tally_page **page)
{
    tally_page_free(*page);
    *page = NULL;
}

void tl_public_freep(char **text)
{
    tally_free(*text);
    *text = NULL;
}
