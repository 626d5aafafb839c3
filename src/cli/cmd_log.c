#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "cli/cmd.h"
#include "cli/logging.h"
#include "cli/out.h"
#include "codec/json.h"

#define OWN_OPTS 4u /* of the call; all others are of the event */

static const struct tl_opt opts[] = {
    { "class", 0, "best_effort|durable|strict",
      "what may happen if it cannot be taken at once; strict, or durable with --ack" },
    { "ack", 0, "queued|synced|recorded", "what to wait for; recorded" },
    { "timeout-ms", 0, "N", "how long to wait at most; 30000" },
    { "stdin", 0, NULL, "an event in each line of stdin, until its end" },
    { "action", 0, "ACTION", "what was done: user.role.update" },
    { "id", 0, "ID", "the event's own id: the same one again is not recorded twice" },
    { "occurred-at", 0, "TIME", "when, RFC 3339; now if not given" },
    { "actor-id", 0, "ID", "who did it" },
    { "actor-type", 0, "TYPE", "user, admin, service, ..." },
    { "actor-name", 0, "NAME", "the name of who did it" },
    { "target-type", 0, "TYPE", "the type of what it was done to" },
    { "target-id", 0, "ID", "the id of what it was done to" },
    { "target-name", 0, "NAME", "the name of what it was done to" },
    { "outcome", 0, "OUTCOME", "success (the default), failure, pending, unknown" },
    { "reason", 0, "TEXT", "why, an error, a ticket" },
    { "severity", 0, "SEVERITY", "low, medium (the default), high, critical" },
    { "service", 0, "SERVICE", "the service that reports it" },
    { "host", 0, "HOST", "where that runs" },
    { "ip", 0, "ADDRESS", "where the request came from" },
    { "user-agent", 0, "TEXT", "the client's name of itself" },
    { "transport", 0, "TRANSPORT", "http, grpc, cli, ..." },
    { "tenant-id", 0, "ID", "the tenant" },
    { "started-at", 0, "TIME", "when it began" },
    { "ended-at", 0, "TIME", "when it ended" },
    { "correlation-id", 0, "ID", "what it belongs to" },
    { "causation-id", 0, "ID", "what caused it" },
    { "trace-id", 0, "HEX", "W3C trace id" },
    { "span-id", 0, "HEX", "W3C span id" },
    { "request-id", 0, "ID", "the request" },
    { "session-id", 0, "ID", "the session" },
    { "tag", 0, "TAG", "a tag; may be given again" },
    { "old-values-json", 0, "JSON", "an object: what was there before" },
    { "new-values-json", 0, "JSON", "an object: what is there now" },
    { "request-json", 0, "JSON", "an object" },
    { "response-json", 0, "JSON", "an object" },
    { "metadata-json", 0, "JSON", "an object: anything else" },
    { 0 },
};

/* Where an option goes in the event: a member, perhaps of a member. */
struct place {
    const char *option;
    const char *member;
    const char *inner; /* NULL for a member of the event itself */
};

/* Those of the same member stand together. */
static const struct place places[] = {
    { "id", "id", NULL },
    { "occurred-at", "occurred_at", NULL },
    { "action", "action", NULL },
    { "actor-id", "actor", "id" },
    { "actor-type", "actor", "type" },
    { "actor-name", "actor", "name" },
    { "target-id", "targets", "id" },
    { "target-type", "targets", "type" },
    { "target-name", "targets", "name" },
    { "outcome", "outcome", NULL },
    { "reason", "reason", NULL },
    { "severity", "severity", NULL },
    { "service", "source", "service" },
    { "host", "source", "host" },
    { "ip", "source", "ip" },
    { "user-agent", "source", "user_agent" },
    { "transport", "transport", NULL },
    { "tenant-id", "tenant_id", NULL },
    { "started-at", "started_at", NULL },
    { "ended-at", "ended_at", NULL },
    { "correlation-id", "correlation_id", NULL },
    { "causation-id", "causation_id", NULL },
    { "trace-id", "trace_id", NULL },
    { "span-id", "span_id", NULL },
    { "request-id", "request_id", NULL },
    { "session-id", "session_id", NULL },
};

static const struct place json_places[] = {
    { "old-values-json", "old_values", NULL }, { "new-values-json", "new_values", NULL },
    { "request-json", "request", NULL },       { "response-json", "response", NULL },
    { "metadata-json", "metadata", NULL },
};

/* A member that is an object, or an array of one object, of the options from places[first] on. */
static size_t add_nested(struct tl_js *js, const struct tl_args *args, size_t first)
{
    const char *member = places[first].member;
    bool is_array = strcmp(member, "targets") == 0;
    bool opened = false;
    size_t i = first;
    for (; i < TL_ARRAY_LEN(places) && strcmp(places[i].member, member) == 0; i++) {
        const char *value = tl_args_value(args, places[i].option);
        if (value == NULL) {
            continue;
        }
        if (!opened && is_array) {
            tl_js_open(js, member, '[');
        }
        if (!opened) {
            tl_js_open(js, is_array ? NULL : member, '{');
            opened = true;
        }
        tl_js_text(js, places[i].inner, value);
    }
    if (opened) {
        tl_js_close(js, '}');
    }
    if (opened && is_array) {
        tl_js_close(js, ']');
    }
    return i - first;
}

static void add_tags(struct tl_js *js, const struct tl_args *args)
{
    tl_js_open(js, "tags", '[');
    for (size_t i = 0; i < args->given_count; i++) {
        if (strcmp(args->given[i].opt->name, "tag") == 0) {
            tl_js_text(js, NULL, args->given[i].value);
        }
    }
    tl_js_close(js, ']');
}

/* JSON from an option goes into the event as it is, so it has to be JSON. */
static tally_status add_json(struct tl_js *js, const struct tl_args *args,
                             const struct place *place, struct tally_error *err)
{
    const char *value = tl_args_value(args, place->option);
    if (value == NULL) {
        return TALLY_OK;
    }
    TL_CLEANUP(tl_arena_release) struct tl_arena arena = { 0 };
    tl_arena_init(&arena, 64 * TL_EVENT_BYTES_MAX);
    struct tl_json_limits limits = tl_json_limits_format;
    limits.bytes_max = TL_INPUT_BYTES_MAX;
    limits.keep_integers = true;
    const struct tl_json *root = NULL;
    TL_TRY(tl_json_read(&arena, value, strlen(value), &limits, &root, err));
    tl_js_raw(js, place->member, tl_str_of(value));
    return TALLY_OK;
}

static tally_status make_event(struct tl_js *js, const struct tl_args *args,
                               struct tally_error *err)
{
    tl_js_open(js, NULL, '{');
    for (size_t i = 0; i < TL_ARRAY_LEN(places);) {
        if (places[i].inner != NULL) {
            i += add_nested(js, args, i);
            continue;
        }
        const char *value = tl_args_value(args, places[i].option);
        if (value != NULL) {
            tl_js_text(js, places[i].member, value);
        }
        i++;
    }
    if (tl_args_has(args, "tag")) {
        add_tags(js, args);
    }
    for (size_t i = 0; i < TL_ARRAY_LEN(json_places); i++) {
        TL_TRY(add_json(js, args, &json_places[i], err));
    }
    tl_js_close(js, '}');
    return tl_buf_status(&js->buf);
}

static bool has_event_options(const struct tl_args *args)
{
    for (size_t i = 0; i < args->given_count; i++) {
        const struct tl_opt *opt = args->given[i].opt;
        if (opt >= opts + OWN_OPTS && opt < opts + TL_ARRAY_LEN(opts)) {
            return true;
        }
    }
    return false;
}

/* Puts the event to be recorded into `js`: from options, the argument, or stdin. */
static tally_status read_event(struct tl_js *js, const struct tl_args *args,
                               struct tally_error *err)
{
    if (has_event_options(args)) {
        return args->rest_count == 0
                   ? make_event(js, args, err)
                   : tl_fail(err, TALLY_EINVAL, "give the event as JSON or by options, not both");
    }
    if (args->rest_count == 1 && strcmp(args->rest[0], "-") != 0) {
        tl_buf_add_text(&js->buf, args->rest[0]);
        return tl_buf_status(&js->buf);
    }
    if (args->rest_count == 0 && isatty(STDIN_FILENO) == 1) {
        return tl_fail(err, TALLY_EINVAL, "there is no event: give --action, or JSON");
    }
    TL_CLEANUP(tl_freep) char *text = NULL;
    size_t len = 0;
    TL_TRY(tl_file_read("-", TL_INPUT_BYTES_MAX, &text, &len, err));
    tl_buf_add(&js->buf, text, len);
    return tl_buf_status(&js->buf);
}

static enum tl_exit run_stdin(struct tl_cli *cli, const struct tl_args *args)
{
    if (has_event_options(args) || args->rest_count > 0) {
        return tl_cli_usage(cli, "with '--stdin' events come from there alone");
    }
    TL_CLEANUP(tl_logging_close) struct tl_logging logging = { 0 };
    enum tl_exit exit_status = tl_logging_open(&logging, cli, args);
    return exit_status == TL_EXIT_OK ? tl_logging_stdin(&logging) : exit_status;
}

static enum tl_exit run(struct tl_cli *cli, const struct tl_args *args)
{
    if (tl_args_has(args, "stdin")) {
        return run_stdin(cli, args);
    }
    struct tally_error err = TALLY_ERROR_INIT;
    TL_CLEANUP(tl_js_release) struct tl_js js = { 0 };
    tl_js_init(&js);
    tally_status status = read_event(&js, args, &err);
    if (status != TALLY_OK) {
        (void)tl_fail(&err, status, "out of memory"); /* unless there is a reason already */
        return tl_cli_fail(cli, &err);
    }
    TL_CLEANUP(tl_logging_close) struct tl_logging logging = { 0 };
    enum tl_exit exit_status = tl_logging_open(&logging, cli, args);
    if (exit_status != TL_EXIT_OK) {
        return exit_status;
    }
    const char *text = js.buf.data == NULL ? "" : js.buf.data;
    return tl_logging_one(&logging, (struct tl_str){ text, js.buf.len });
}

const struct tl_cmd tl_cmd_log = {
    .name = "log",
    .summary = "record one event",
    .arguments = "[JSON|-]",
    .about = "The event comes from options, from the argument, or from stdin. Prints its receipt.\n"
             "strict waits until it is recorded, or fails; durable waits for room in the spool;\n"
             "best_effort never waits. Exit status 6: it is in the spool, but was not in time.\n",
    .examples =
        "tally log --action user.login --actor-id u1 --ip 192.0.2.7\n"
        "tally log '{\"action\":\"invoice.approve\",\"actor\":{\"id\":\"u1\"}}'\n"
        "tally log --action user.role.update --actor-id u1 --target-type User --target-id u2 \\\n"
        "    --old-values-json '{\"role\":\"member\"}' --new-values-json '{\"role\":\"admin\"}'\n"
        "my-program | tally log --stdin --class durable\n",
    .opts = opts,
    .rest_max = 1,
    .run = run,
};
