#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/cmd.h"
#include "cli/out.h"
#include "codec/time.h"
#include "server/server.h"

#define LISTEN_DEFAULT "127.0.0.1:8080"
#define UNIX           "unix:"
#define ADDRESSES_MAX  8u
#define ADDRESS_SIZE   128u
#define ORIGINS_MAX    16u
#define WAIT_MS        500

static const struct tl_opt opts[] = {
    { "listen", 0, "ADDRESS",
      "127.0.0.1:8080, [::1]:0, unix:/path; may be given again; " LISTEN_DEFAULT },
    { "unix", 0, "PATH", "the same as --listen " UNIX "PATH" },
    { "tls-cert", 0, "FILE", "the certificate and its chain, PEM" },
    { "tls-key", 0, "FILE", "its key, PEM" },
    { "plain", 0, NULL, "plain HTTP beyond loopback as well: a proxy in front does TLS" },
    { "user", 0, "NAME", "go on as this user, once root has taken the ports" },
    { "no-sandbox", 0, NULL, "without the filter of system calls" },
    { "tokens", 0, "FILE",
      "where tokens are kept; else as server.tokens says, tokens.json in the ledger" },
    { "viewer-origin", 0, "ORIGIN",
      "pages of https://app.example may embed the viewer; may be given again" },
    { 0 },
};

static volatile sig_atomic_t wants_reload;

static void note_reload(int signal_number)
{
    (void)signal_number;
    wants_reload = 1;
}

/* Lines of key=value for the service's log. */
static void log_line(void *ctx, const char *line)
{
    (void)ctx;
    TL_CLEANUP(tl_buf_release) struct tl_buf text = { 0 };
    char time[TL_TIME_SIZE] = "";
    (void)tl_time_format_fixed(time, tl_clock->wall_us());
    tl_buf_init(&text, 4096);
    tl_buf_addf(&text, "time=%s ", time);
    tl_text_escape(&text, tl_str_of(line));
    tl_buf_add_char(&text, '\n');
    (void)fwrite(text.data, 1, text.len, stderr);
}

/* As every token, it is put on record before anyone sees it. */
static tally_status make_first_token(const struct tl_server_options *options,
                                     char text[TL_TOKEN_TEXT_SIZE], struct tally_error *err)
{
    const struct tl_token_request request = { .name = "first admin", .role = TL_ROLE_ADMIN };
    char user[TL_USER_SIZE];
    char id[TL_TOKEN_ID_SIZE];
    char metadata[128];
    TL_TRY(tl_token_create(options->token_path, &request, text, id, err));
    (void)snprintf(metadata, sizeof(metadata), "{\"id\":\"%s\",\"name\":\"%s\",\"role\":\"%s\"}",
                   id, request.name, tl_role_name(request.role));
    tally_status status =
        tally_queue_act(options->ledger, "tally.token.create", tl_cli_user(user), metadata, err);
    if (status != TALLY_OK) {
        (void)tl_token_revoke(options->token_path, id, NULL); /* nobody knows its text */
    }
    return status;
}

/* Without an admin nobody could make tokens: the first one is shown, once. */
static tally_status show_first_token(const struct tl_cli *cli,
                                     const struct tl_server_options *options, const char *address,
                                     struct tally_error *err)
{
    char text[TL_TOKEN_TEXT_SIZE];
    bool has_admin = false;
    TL_TRY(tl_token_has_admin(options->token_path, &has_admin, err));
    if (!has_admin) {
        TL_TRY(make_first_token(options, text, err));
        printf("first token (shown once): %s\n", text);
        if (strncmp(address, "unix:", 5) != 0) {
            printf("web page: %s/ui/#token=%s\n", address, text);
        }
        explicit_bzero(text, sizeof(text));
    } else if (!cli->quiet && strncmp(address, "unix:", 5) != 0) {
        printf("web page: %s/ui/\n", address);
    }
    return TALLY_OK;
}

static void wait_for_signals(const struct tl_cli *cli, struct tl_server *server)
{
    while (!tl_stopped()) {
        (void)poll(NULL, 0, WAIT_MS); /* a signal only shortens it */
        if (wants_reload != 0) {
            struct tally_error err = TALLY_ERROR_INIT;
            wants_reload = 0;
            tl_service_notify("RELOADING=1");
            if (tl_server_reload(server, &err) != TALLY_OK) {
                tl_cli_warn(cli, "not reloaded, all stays as it was: %s", err.message);
            }
            tl_service_notify("READY=1");
        }
    }
}

static void print_addresses(const struct tl_server *server)
{
    for (size_t i = 0; tl_server_address(server, i) != NULL; i++) {
        printf("listening: %s\n", tl_server_address(server, i));
    }
}

static enum tl_exit serve(const struct tl_cli *cli, struct tl_server_options *options)
{
    struct tally_error err = TALLY_ERROR_INIT;
    struct tl_server *server = NULL;
    const struct sigaction action = { .sa_handler = note_reload };
    tl_stop_install(); /* first: who sees the address may send a signal */
    (void)sigaction(SIGHUP, &action, NULL);
    if (tally_scheduler_start(&options->scheduler, options->ledger, &err) != TALLY_OK ||
        tl_server_start(&server, options, &err) != TALLY_OK) {
        tally_scheduler_stop(options->scheduler);
        return tl_cli_fail(cli, &err);
    }
    print_addresses(server);
    tally_status status = show_first_token(cli, options, tl_server_address(server, 0), &err);
    (void)fflush(stdout);
    if (status == TALLY_OK) {
        tl_service_notify("READY=1");
        wait_for_signals(cli, server);
        tl_service_notify("STOPPING=1");
    }
    tl_server_stop(server);
    tally_scheduler_stop(options->scheduler);
    return status == TALLY_OK ? TL_EXIT_OK : tl_cli_fail(cli, &err);
}

/* What flags say; borrowed by the options of a server. */
struct addresses {
    const char *listen[ADDRESSES_MAX];
    char paths[ADDRESSES_MAX][ADDRESS_SIZE];
    size_t count;
};

static enum tl_exit read_addresses(const struct tl_cli *cli, const struct tl_args *args,
                                   struct addresses *out)
{
    for (size_t i = 0; i < args->given_count; i++) {
        const char *name = args->given[i].opt->name;
        const char *value = args->given[i].value;
        bool is_unix = strcmp(name, "unix") == 0;
        if (!is_unix && strcmp(name, "listen") != 0) {
            continue;
        }
        if (out->count == ADDRESSES_MAX) {
            return tl_cli_usage(cli, "there may be %u addresses to listen at", ADDRESSES_MAX);
        }
        if (is_unix && strlen(value) >= ADDRESS_SIZE - sizeof(UNIX)) {
            return tl_cli_usage(cli, "the path of a socket is too long: '%s'", value);
        }
        (void)snprintf(out->paths[out->count], ADDRESS_SIZE, UNIX "%s", is_unix ? value : "");
        out->listen[out->count] = is_unix ? out->paths[out->count] : value;
        out->count++;
    }
    return TL_EXIT_OK;
}

/* Connections are descriptors, and the usual limit is low for the sake of select(2) alone. */
static void raise_file_limit(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
}

static void free_settings(struct tl_server_settings **settings)
{
    tl_server_settings_free(*settings);
}

/* Those that are TCP: a Unix socket is to be the user's own. */
static tally_status bind_first(struct tl_server_options *options, struct addresses *left,
                               int sockets[ADDRESSES_MAX], struct tally_error *err)
{
    struct tl_server_options all = *options;
    left->count = 0;
    for (size_t i = 0; i < all.listen_count; i++) {
        if (strncmp(all.listen[i], UNIX, strlen(UNIX)) == 0) {
            left->listen[left->count++] = all.listen[i];
            continue;
        }
        if (options->socket_count == ADDRESSES_MAX) {
            return tl_fail(err, TALLY_EINVAL, "there may be %u addresses", ADDRESSES_MAX);
        }
        TL_TRY(tl_server_bind(&sockets[options->socket_count], &all, all.listen[i], err));
        options->socket_count++;
    }
    options->listen = left->listen;
    options->listen_count = left->count;
    return TALLY_OK;
}

/* Before there is a thread, and before anything is read from anybody. */
static tally_status give_up_rights(const struct tl_cli *cli, const struct tl_args *args,
                                   struct tl_server_options *options, struct tally_error *err)
{
    struct tally_error why = TALLY_ERROR_INIT;
    const char *user = tl_args_value(args, "user");
    if (user != NULL) {
        TL_TRY(tl_user_become(user, err));
    } else if (geteuid() == 0) {
        tl_cli_note(cli, "this runs as root: '--user NAME' gives that up");
    }
    options->sandbox = tl_sandbox_name();
    if (tl_args_has(args, "no-sandbox")) {
        options->sandbox = "none";
    } else if (tl_sandbox_enter(&why) != TALLY_OK) {
        options->sandbox = "none";
        tl_cli_note(cli, "this runs without a sandbox: %s", why.message);
    }
    if (cli->verbose) {
        tl_cli_note(cli, "sandbox: %s", options->sandbox);
    }
    return TALLY_OK;
}

/* Flags are there already, and go before settings. */
static tally_status configure(const struct tl_cli *cli, const struct tl_args *args,
                              struct tl_server_options *options, struct addresses *addresses,
                              int sockets[ADDRESSES_MAX], struct tl_server_settings **settings_out,
                              struct tally_error *err)
{
    static const char *const listen_default[] = { LISTEN_DEFAULT };
    TL_TRY(tl_server_settings_read(settings_out, options->location, err));
    tl_server_settings_apply(*settings_out, options);
    if (options->listen_count + options->socket_count == 0) {
        options->listen = listen_default;
        options->listen_count = TL_ARRAY_LEN(listen_default);
    }
    if (tl_args_has(args, "user")) {
        TL_TRY(bind_first(options, addresses, sockets, err));
    }
    return give_up_rights(cli, args, options, err);
}

static enum tl_exit read_origins(const struct tl_cli *cli, const struct tl_args *args,
                                 const char *origins[ORIGINS_MAX], size_t *count_out)
{
    for (size_t i = 0; i < args->given_count; i++) {
        if (strcmp(args->given[i].opt->name, "viewer-origin") != 0) {
            continue;
        }
        if (*count_out == ORIGINS_MAX) {
            return tl_cli_usage(cli, "there may be %u origins of viewers", ORIGINS_MAX);
        }
        origins[(*count_out)++] = args->given[i].value;
    }
    return TL_EXIT_OK;
}

static enum tl_exit run(struct tl_cli *cli, const struct tl_args *args)
{
    const char *origins[ORIGINS_MAX];
    size_t origin_count = 0;
    struct addresses addresses = { .count = 0 };
    struct addresses left = { .count = 0 };
    int sockets[ADDRESSES_MAX];
    enum tl_exit exit_status = read_addresses(cli, args, &addresses);
    if (exit_status == TL_EXIT_OK) {
        exit_status = read_origins(cli, args, origins, &origin_count);
    }
    if (exit_status != TL_EXIT_OK) {
        return exit_status;
    }
    if (cli->spool[0] != '\0') {
        return tl_cli_usage(cli, "a server needs the ledger itself, not the address of one");
    }
    struct tally_options location = tl_cli_options(cli);
    struct tl_server_options options = {
        .location = &location,
        .listen = addresses.listen,
        .listen_count = addresses.count,
        .sockets = sockets,
        .socket_count = tl_service_sockets(sockets, ADDRESSES_MAX),
        .tls_cert_path = tl_args_value(args, "tls-cert"),
        .tls_key_path = tl_args_value(args, "tls-key"),
        .allows_plain = tl_args_has(args, "plain"),
        .token_path = tl_args_value(args, "tokens"),
        .viewer_origins = origins,
        .viewer_origin_count = origin_count,
        .log = log_line,
    };
    struct tally_error err = TALLY_ERROR_INIT;
    TL_CLEANUP(free_settings) struct tl_server_settings *settings = NULL;
    TL_CLEANUP(tl_ledger_closep) struct tally_ledger *ledger = NULL;
    raise_file_limit();
    if (configure(cli, args, &options, &left, sockets, &settings, &err) != TALLY_OK) {
        return settings == NULL ? tl_cli_fail_ledger(cli, &err) : tl_cli_fail(cli, &err);
    }
    exit_status = tl_cli_open_unattended(cli, &ledger);
    if (exit_status != TL_EXIT_OK) {
        return exit_status;
    }
    options.ledger = ledger;
    return serve(cli, &options);
}

const struct tl_cmd tl_cmd_serve = {
    .name = "serve",
    .summary = "put the ledger behind HTTP, with a web page",
    .arguments = "",
    .about =
        "Answers until SIGTERM or SIGINT, then finishes what it accepted. SIGHUP reads settings,\n"
        "certificate and tokens again. Runs what is scheduled. The first start prints an admin "
        "token, once;\n"
        "'tally token' makes others. Plain HTTP is for this machine alone, unless a proxy in "
        "front\n"
        "does TLS. docs/http-api.md has the interface.\n",
    .examples = "tally serve\n"
                "tally serve --listen 127.0.0.1:0 --unix /run/tally.sock\n"
                "tally serve --listen 0.0.0.0:8443 --tls-cert cert.pem --tls-key key.pem\n",
    .opts = opts,
    .run = run,
};
