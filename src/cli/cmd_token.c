#include <stdio.h>
#include <string.h>

#include "cli/ask.h"
#include "cli/cmd.h"
#include "cli/out.h"
#include "codec/time.h"
#include "server/server.h"

static const struct tl_opt opts[] = {
    { "role", 0, "writer|reader|auditor|admin", "create: what it may do; required" },
    { "tenant", 0, "TENANT", "create: for the events of this tenant alone; may be given again" },
    { "expires", 0, "TIME", "create: when it ends, or 90d: after how long; else never" },
    { "by", 0, "WHO", "who asks for it, for the record; else the user's name" },
    { "file", 0, "FILE", "where tokens are kept; else as server.tokens says" },
    { "yes", 0, NULL, "revoke: do not ask" },
    { 0 },
};

/* What every verb needs. */
struct work {
    struct tl_cli *cli;
    const struct tl_args *args;
    struct tally_ledger *ledger;
    struct tl_server_settings *settings; /* owned */
    const char *path;                    /* of the tokens */
};

static bool as_json(const struct tl_cli *cli)
{
    return cli->view == TL_VIEW_JSON || cli->view == TL_VIEW_NDJSON;
}

static void add_time(struct tl_js *js, const char *key, int64_t us)
{
    if (us == 0) {
        tl_js_null(js, key);
    } else {
        tl_js_time(js, key, us);
    }
}

static void add_tenants(struct tl_js *js, const char *const *tenants, size_t count)
{
    tl_js_open(js, "tenants", '[');
    for (size_t i = 0; i < count; i++) {
        tl_js_text(js, NULL, tenants[i]);
    }
    tl_js_close(js, ']');
}

static tally_status record(struct work *work, const char *action, struct tl_js *metadata,
                           struct tally_error *err)
{
    char user[TL_USER_SIZE];
    const char *by = tl_args_value(work->args, "by");
    tl_buf_add_char(&metadata->buf, '\0');
    if (tl_buf_status(&metadata->buf) != TALLY_OK) {
        return tl_fail(err, TALLY_ENOMEM, "out of memory");
    }
    return tally_record_act(work->ledger, action, by != NULL ? by : tl_cli_user(user),
                            metadata->buf.data, NULL, err);
}

static tally_status record_create(struct work *work, const struct tl_token_request *request,
                                  const char *id, struct tally_error *err)
{
    TL_CLEANUP(tl_js_release) struct tl_js js = { 0 };
    tl_js_init(&js);
    tl_js_open(&js, NULL, '{');
    tl_js_text(&js, "id", id);
    tl_js_text(&js, "name", request->name);
    tl_js_text(&js, "role", tl_role_name(request->role));
    add_tenants(&js, request->tenants, request->tenant_count);
    add_time(&js, "expires_at", request->expires_us);
    tl_js_close(&js, '}');
    return record(work, "tally.token.create", &js, err);
}

static tally_status print_created(const struct work *work, const struct tl_token_request *request,
                                  const char *id, const char *text, struct tally_error *err)
{
    if (!as_json(work->cli)) {
        printf("%s\n", text);
        tl_cli_note(work->cli, "keep it in a safe place: it is not shown again; its id is %s", id);
        return TALLY_OK;
    }
    TL_CLEANUP(tl_js_release) struct tl_js js = { 0 };
    tl_js_init(&js);
    tl_js_open(&js, NULL, '{');
    tl_js_text(&js, "id", id);
    tl_js_text(&js, "token", text);
    tl_js_text(&js, "name", request->name);
    tl_js_text(&js, "role", tl_role_name(request->role));
    add_tenants(&js, request->tenants, request->tenant_count);
    add_time(&js, "expires_at", request->expires_us);
    tl_js_close(&js, '}');
    return tl_js_print(&js, stdout, err);
}

/* A token that is not on record is nobody's: it ends before anyone has seen it. */
static enum tl_exit make(struct work *work, const struct tl_token_request *request)
{
    struct tally_error err = TALLY_ERROR_INIT;
    char text[TL_TOKEN_TEXT_SIZE];
    char id[TL_TOKEN_ID_SIZE];
    if (tl_token_create(work->path, request, text, id, &err) != TALLY_OK) {
        return tl_cli_fail(work->cli, &err);
    }
    tally_status status = record_create(work, request, id, &err);
    if (status == TALLY_OK) {
        status = print_created(work, request, id, text, &err);
    } else {
        (void)tl_token_revoke(work->path, id, NULL); /* nobody knows its text */
    }
    explicit_bzero(text, sizeof(text));
    return status == TALLY_OK ? TL_EXIT_OK : tl_cli_fail(work->cli, &err);
}

static enum tl_exit create(struct work *work)
{
    const char *tenants[TL_TENANTS_MAX];
    const char *role = tl_args_value(work->args, "role");
    const char *expires = tl_args_value(work->args, "expires");
    struct tl_token_request request = { .tenants = tenants };
    if (role == NULL) {
        return tl_cli_usage(work->cli, "say what it may do: '--role reader', for example");
    }
    request.role = tl_role_of(role);
    request.name = work->args->rest_count == 2 ? work->args->rest[1] : role;
    if (expires != NULL && tl_end_time_read(&request.expires_us, expires) != TALLY_OK) {
        return tl_cli_usage(work->cli, "option '--expires' takes 90d, 12h or a time, as in "
                                       "2027-01-01T00:00:00Z");
    }
    for (size_t i = 0; i < work->args->given_count; i++) {
        const struct tl_given *given = &work->args->given[i];
        if (strcmp(given->opt->name, "tenant") != 0) {
            continue;
        }
        if (request.tenant_count == TL_TENANTS_MAX) {
            return tl_cli_usage(work->cli, "a token has at most %u tenants", TL_TENANTS_MAX);
        }
        tenants[request.tenant_count++] = given->value;
    }
    return make(work, &request);
}

static tally_status print_revoked(const struct work *work, const char *id, struct tally_error *err)
{
    if (!as_json(work->cli)) {
        printf("revoked token %s\n", id);
        return TALLY_OK;
    }
    TL_CLEANUP(tl_js_release) struct tl_js js = { 0 };
    tl_js_init(&js);
    tl_js_open(&js, NULL, '{');
    tl_js_text(&js, "id", id);
    tl_js_bool(&js, "revoked", true);
    tl_js_close(&js, '}');
    return tl_js_print(&js, stdout, err);
}

/* It ends, even if that cannot be recorded. */
static tally_status end(struct work *work, const char *id, struct tally_error *err)
{
    TL_CLEANUP(tl_js_release) struct tl_js js = { 0 };
    tl_js_init(&js);
    tl_js_open(&js, NULL, '{');
    tl_js_text(&js, "id", id);
    tl_js_close(&js, '}');
    TL_TRY(tl_token_revoke(work->path, id, err));
    TL_TRY(record(work, "tally.token.revoke", &js, err));
    return print_revoked(work, id, err);
}

static enum tl_exit revoke(struct work *work)
{
    struct tally_error err = TALLY_ERROR_INIT;
    enum tl_exit exit_status =
        tl_cli_ask(work->cli, work->args, "Whoever uses this token is locked out at once.");
    if (exit_status != TL_EXIT_OK) {
        return exit_status;
    }
    return end(work, work->args->rest[1], &err) == TALLY_OK ? TL_EXIT_OK
                                                            : tl_cli_fail(work->cli, &err);
}

struct listing {
    struct tl_table table;
    struct tl_js js;
};

static void release(struct listing *listing)
{
    tl_table_release(&listing->table);
    tl_js_release(&listing->js);
}

static void add_json(struct tl_js *js, const struct tl_token_info *token)
{
    tl_js_open(js, NULL, '{');
    tl_js_text(js, "id", token->id);
    tl_js_text(js, "name", token->name);
    tl_js_text(js, "role", tl_role_name(token->role));
    add_tenants(js, token->tenants, token->tenant_count);
    add_time(js, "created_at", token->created_us);
    add_time(js, "expires_at", token->expires_us);
    add_time(js, "last_used_at", token->last_used_us);
    tl_js_close(js, '}');
}

static void add_time_cell(struct tl_table *table, int64_t us)
{
    if (us == 0) {
        tl_table_text(table, "never");
    } else {
        tl_table_time(table, us);
    }
}

static tally_status add_row(struct tl_table *table, const struct tl_token_info *token)
{
    TL_CLEANUP(tl_buf_release) struct tl_buf tenants = { 0 };
    tl_buf_init(&tenants, SIZE_MAX / 8);
    for (size_t i = 0; i < token->tenant_count; i++) {
        tl_buf_add_text(&tenants, i == 0 ? "" : ", ");
        tl_buf_add_text(&tenants, token->tenants[i]);
    }
    tl_table_text(table, token->id);
    tl_table_text(table, token->name);
    tl_table_text(table, tl_role_name(token->role));
    tl_table_cell(table, token->tenant_count == 0 ? TL_STR("all") : tl_buf_str(&tenants),
                  TL_STYLE_PLAIN);
    add_time_cell(table, token->created_us);
    add_time_cell(table, token->expires_us);
    add_time_cell(table, token->last_used_us);
    return tl_buf_status(&tenants);
}

static tally_status add_token(void *ctx, const struct tl_token_info *token)
{
    struct listing *listing = ctx;
    add_json(&listing->js, token);
    return add_row(&listing->table, token);
}

static enum tl_exit list(struct work *work)
{
    static const struct tl_column columns[] = {
        { "id", false },      { "name", false },    { "role", false }, { "tenants", false },
        { "created", false }, { "expires", false }, { "used", false },
    };
    struct tally_error err = TALLY_ERROR_INIT;
    TL_CLEANUP(release) struct listing listing = { 0 };
    tl_table_init(&listing.table, work->cli, columns, TL_ARRAY_LEN(columns));
    tl_js_init(&listing.js);
    tl_js_open(&listing.js, NULL, '{');
    tl_js_open(&listing.js, "tokens", '[');
    tally_status status = tl_token_each(work->path, add_token, &listing, &err);
    tl_js_close(&listing.js, ']');
    tl_js_close(&listing.js, '}');
    if (status == TALLY_OK) {
        status = as_json(work->cli) ? tl_js_print(&listing.js, stdout, &err)
                                    : tl_table_print(&listing.table, &err);
    }
    if (status != TALLY_OK) {
        (void)tl_fail(&err, status, "out of memory"); /* unless somebody said what it was */
        return tl_cli_fail(work->cli, &err);
    }
    return TL_EXIT_OK;
}

static enum tl_exit find_file(struct work *work)
{
    struct tally_error err = TALLY_ERROR_INIT;
    struct tally_options location = tl_cli_options(work->cli);
    struct tl_server_options options = { .token_path = tl_args_value(work->args, "file") };
    if (tl_server_settings_read(&work->settings, &location, &err) != TALLY_OK) {
        return tl_cli_fail_ledger(work->cli, &err);
    }
    tl_server_settings_apply(work->settings, &options);
    work->path = options.token_path;
    return TL_EXIT_OK;
}

static void release_work(struct work *work)
{
    tl_server_settings_free(work->settings);
    tl_ledger_closep(&work->ledger);
}

static enum tl_exit run(struct tl_cli *cli, const struct tl_args *args)
{
    const char *verb = args->rest[0];
    bool lists = strcmp(verb, "list") == 0;
    bool creates = strcmp(verb, "create") == 0;
    if (!lists && !creates && strcmp(verb, "revoke") != 0) {
        return tl_cli_usage(cli, "'tally token' takes create, list or revoke, not '%s'", verb);
    }
    if (args->rest_count != (lists ? 1 : 2) && !(creates && args->rest_count == 1)) {
        return lists ? tl_cli_usage(cli, "'tally token list' takes no name")
                     : tl_cli_usage(cli, "'tally token %s' takes %s", verb,
                                    creates ? "one name" : "the id of a token");
    }
    TL_CLEANUP(release_work) struct work work = { .cli = cli, .args = args };
    enum tl_exit exit_status = lists || creates ? tl_cli_open(cli, creates, &work.ledger)
                                                : tl_cli_open_unattended(cli, &work.ledger);
    if (exit_status == TL_EXIT_OK) {
        exit_status = find_file(&work);
    }
    if (exit_status != TL_EXIT_OK) {
        return exit_status;
    }
    return lists ? list(&work) : creates ? create(&work) : revoke(&work);
}

const struct tl_cmd tl_cmd_token = {
    .name = "token",
    .summary = "who may do what through 'tally serve'",
    .arguments = "create [NAME]|list|revoke ID",
    .about =
        "A writer writes and reads nothing; a reader reads; an auditor also verifies and\n"
        "exports; an admin does everything. With tenants, all that is outside is not there.\n"
        "The text of a token is printed once, and only a hash of it is kept. A server that\n"
        "uses the file hears of a change within a second. NAME says whose it is; else it is named\n"
        "as its role.\n",
    .examples = "tally token create Ada --role auditor --expires 2027-01-01\n"
                "tally token create shop --role writer --tenant acme --expires 90d\n"
                "tally token list\n"
                "tally token revoke ab12cd34 --yes\n",
    .opts = opts,
    .rest_min = 1,
    .rest_max = 2,
    .run = run,
};
