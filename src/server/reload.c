/* Settings, certificate and tokens anew, while the server runs. */
#include <string.h>

#include "server/server_impl.h"

/* What a process that runs can take over; all else it has read when it began. */
static const char *const live[] = {
    "anchor.schedule",         "archive.dir",           "backup.schedule", "erasable",
    "server.rate_per_address", "server.rate_per_token", "verify.schedule", NULL,
};

static bool is_live(const char *name)
{
    bool is = strncmp(name, "retention.", 10) == 0;
    for (size_t i = 0; live[i] != NULL; i++) {
        is = is || strcmp(name, live[i]) == 0;
    }
    return is;
}

/* Names of settings that are not as they were. */
struct changes {
    struct tl_js *js;
    bool wants_live;
    size_t count;
    bool has_policy; /* one of them is sealed in a POLICY record */
};

static void add_change(void *ctx, const char *name)
{
    struct changes *changes = ctx;
    if (is_live(name) != changes->wants_live) {
        return;
    }
    bool is_retention = strncmp(name, "retention.", 10) == 0;
    changes->has_policy |=
        (is_retention && strcmp(name, "retention.schedule") != 0) || strcmp(name, "erasable") == 0;
    changes->count++;
    tl_js_text(changes->js, NULL, name);
}

/* One reload. */
struct reload {
    struct tl_server *server;
    const char *by;      /* NULL: whoever may send signals */
    struct tl_js *said;  /* the members `changed` and `needs_restart` */
    struct changes done; /* they count from now on */
    struct changes left; /* they count from the next start on */
};

static void compare(struct reload *reload, const struct tl_server_settings *next)
{
    struct tl_server *server = reload->server;
    const struct tl_server_settings *began = server->options.settings;
    reload->done = (struct changes){ .js = reload->said, .wants_live = true };
    reload->left = (struct changes){ .js = reload->said };
    tl_js_open(reload->said, "changed", '[');
    tl_server_settings_compare(server->now != NULL ? server->now : began, next, add_change,
                               &reload->done);
    tl_js_close(reload->said, ']');
    tl_js_open(reload->said, "needs_restart", '[');
    tl_server_settings_compare(began, next, add_change, &reload->left);
    tl_js_close(reload->said, ']');
}

static tally_status record(const struct reload *reload, struct tally_error *err)
{
    TL_CLEANUP(tl_buf_release) struct tl_buf metadata = { 0 };
    if (reload->done.count + reload->left.count == 0) {
        return TALLY_OK;
    }
    tl_buf_init(&metadata, SIZE_MAX / 8);
    tl_buf_add_char(&metadata, '{');
    tl_buf_add_str(&metadata, tl_buf_str(&reload->said->buf));
    tl_buf_add(&metadata, "}", sizeof("}"));
    tally_status status = tl_buf_status(&metadata);
    return status == TALLY_OK ? tally_queue_act(reload->server->ledger, "tally.config.change",
                                                reload->by, metadata.data, err)
                              : tl_fail(err, status, "out of memory");
}

/* What is wrong shows before anything is taken over, but for tokens, which are looked at all the time.
 * What fails otherwise may be tried again. */
static tally_status take_over(const struct reload *reload, struct tally_error *err)
{
    struct tl_server *server = reload->server;
    TL_TRY(tl_tokens_reload(server->tokens, err));
    TL_TRY(tl_http_reload(server->http, err));
    if (reload->done.has_policy) {
        TL_TRY(tally_config_adopt(server->ledger, err));
    }
    TL_TRY(record(reload, err));
    return server->options.scheduler == NULL
               ? TALLY_OK
               : tally_scheduler_reload(server->options.scheduler, err);
}

static void free_settings(struct tl_server_settings **settings)
{
    tl_server_settings_free(*settings);
}

static tally_status reload_locked(struct reload *reload, struct tally_error *err)
{
    struct tl_server *server = reload->server;
    TL_CLEANUP(free_settings) struct tl_server_settings *next = NULL;
    if (tl_counter_get(&server->stopping) != 0) {
        return tl_fail_code(err, TALLY_EBUSY, "stopping", "the server is being stopped");
    }
    TL_TRY(tl_server_settings_read(&next, server->options.location, err));
    compare(reload, next);
    if (tl_buf_status(&reload->said->buf) != TALLY_OK) {
        return tl_fail(err, TALLY_ENOMEM, "out of memory");
    }
    TL_TRY(take_over(reload, err));
    struct tl_server_options options = { .listen = NULL };
    tl_server_settings_apply(next, &options);
    tl_rate_set(&server->address_rate, options.rate_per_address);
    tl_rate_set(&server->token_rate, options.rate_per_token);
    tl_server_settings_free(server->now);
    server->now = TL_TAKE(next);
    tl_server_log(server, "reloaded changed=%zu needs_restart=%zu", reload->done.count,
                  reload->left.count);
    return TALLY_OK;
}

static tally_status reload_as(struct tl_server *server, const char *by, struct tl_js *said,
                              struct tally_error *err)
{
    struct reload reload = { .server = server, .by = by, .said = said };
    tl_mutex_lock(&server->reloading);
    tally_status status = reload_locked(&reload, err);
    tl_mutex_unlock(&server->reloading);
    return status;
}

tally_status tl_server_reload(struct tl_server *server, struct tally_error *err)
{
    TL_CLEANUP(tl_js_release) struct tl_js said = { 0 };
    tl_js_init(&said);
    return reload_as(server, NULL, &said, err);
}

void tl_api_config_reload(struct tl_request *request)
{
    static const char *const names[] = { NULL };
    const struct tl_json *body = NULL;
    struct tally_error err = TALLY_ERROR_INIT;
    char who[TL_WHO_SIZE];
    struct tl_js js;
    if (!tl_request_object(request, names, &body)) {
        return;
    }
    TL_CLEANUP(tl_js_release) struct tl_js said = { 0 };
    tl_js_init(&said);
    tl_identity_text(&request->who, who);
    tally_status status = reload_as(request->server, who, &said, &err);
    if (status == TALLY_ENOTFOUND) { /* a certificate, or the configuration that was named */
        tl_reply_problem(request, "bad_value", "%s", err.message);
        return;
    }
    if (status != TALLY_OK) {
        tl_reply_error(request, &err);
        return;
    }
    tl_reply_begin(request, 200, &js);
    tl_js_open(&js, NULL, '{');
    tl_buf_add_str(&js.buf, tl_buf_str(&said.buf));
    tl_js_close(&js, '}');
    tl_reply_end(request, &js);
}
