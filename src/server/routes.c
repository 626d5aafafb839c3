#include <string.h>

#include "server/server_impl.h"
#include "server/viewer_link.h"

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)

#define PAGE ",limit,offset,cursor,order,dir,count,"

const struct tl_route tl_routes[] = {
    { .method = "POST",
      .path = "/v1/events",
      .least = TL_ROLE_WRITER,
      .lane = TL_LANE_INGEST,
      .body_max = 16 * MIB,
      .params = ",ack,marks,",
      .handle = NULL,
      .summary = "Record events" },
    { .method = "GET",
      .path = "/v1/events",
      .least = TL_ROLE_READER,
      .is_for_links = true,
      .records = "tally.read",
      .params = "*" PAGE,
      .handle = tl_api_find,
      .summary = "Find records" },
    { .method = "GET",
      .path = "/v1/events/{id}",
      .least = TL_ROLE_READER,
      .is_for_links = true,
      .records = "tally.read",
      .params = "",
      .handle = tl_api_get,
      .summary = "One record, by the id of its event" },
    { .method = "GET",
      .path = "/v1/events/{id}/proof",
      .least = TL_ROLE_READER,
      .is_for_links = true,
      .records = "tally.read",
      .params = "",
      .handle = tl_api_proof_id,
      .summary = "The inclusion proof of one record" },
    { .method = "GET",
      .path = "/v1/events/{id}/opening",
      .least = TL_ROLE_READER,
      .records = "tally.read",
      .params = "",
      .handle = tl_api_opening_id,
      .summary = "What opens the commitment to one record" },
    { .method = "GET",
      .path = "/v1/records/{seq}",
      .least = TL_ROLE_READER,
      .is_for_links = true,
      .records = "tally.read",
      .params = "",
      .handle = tl_api_record,
      .summary = "One record, by its position" },
    { .method = "GET",
      .path = "/v1/records/{seq}/proof",
      .least = TL_ROLE_READER,
      .is_for_links = true,
      .records = "tally.read",
      .params = "",
      .handle = tl_api_proof_seq,
      .summary = "The inclusion proof of one record" },
    { .method = "GET",
      .path = "/v1/records/{seq}/opening",
      .least = TL_ROLE_READER,
      .records = "tally.read",
      .params = "",
      .handle = tl_api_opening_seq,
      .summary = "What opens the commitment to one record" },
    { .method = "GET",
      .path = "/v1/count",
      .least = TL_ROLE_READER,
      .is_for_links = true,
      .records = "tally.read",
      .params = "*,exact,",
      .handle = tl_api_count,
      .summary = "Count records" },
    { .method = "GET",
      .path = "/v1/stats",
      .least = TL_ROLE_READER,
      .records = "tally.read",
      .params = "*,by,by_day,bucket,",
      .handle = tl_api_stats,
      .summary = "Summarise records" },
    { .method = "GET",
      .path = "/v1/sources",
      .least = TL_ROLE_READER,
      .is_whole = true,
      .records = "tally.read",
      .params = "",
      .handle = tl_api_sources,
      .summary = "Who sends events, who fell silent, what no list names" },
    { .method = "GET",
      .path = "/v1/tail",
      .least = TL_ROLE_READER,
      .records = "tally.read",
      .params = "*,after,",
      .handle = tl_api_tail,
      .summary = "Follow new records" },
    { .method = "GET",
      .path = "/v1/exports",
      .least = TL_ROLE_AUDITOR,
      .records = "tally.export",
      .params = "*,format,",
      .handle = tl_api_export,
      .summary = "Download what fits" },
    { .method = "POST",
      .path = "/v1/exports",
      .least = TL_ROLE_AUDITOR,
      .is_whole = true,
      .body_max = 64 * KIB,
      .params = "",
      .handle = tl_api_export_job,
      .summary = "Start an export" },
    { .method = "GET",
      .path = "/v1/checkpoint",
      .least = TL_ROLE_READER,
      .is_whole = true,
      .params = ",size,",
      .handle = tl_api_checkpoint,
      .summary = "A signed checkpoint" },
    { .method = "GET",
      .path = "/v1/consistency",
      .least = TL_ROLE_READER,
      .is_whole = true,
      .params = ",from,",
      .handle = tl_api_consistency,
      .summary = "A consistency proof" },
    { .method = "GET",
      .path = "/v1/trust",
      .least = TL_ROLE_READER,
      .is_whole = true,
      .params = "",
      .handle = tl_api_trust,
      .summary = "The public keys" },
    { .method = "GET",
      .path = "/tlog/checkpoint",
      .least = TL_ROLE_READER,
      .is_whole = true,
      .is_tlog = true,
      .params = "",
      .handle = tl_api_tlog_checkpoint,
      .summary = "The newest checkpoint" },
    { .method = "GET",
      .path = "/tlog/checkpoints/{size}",
      .least = TL_ROLE_READER,
      .is_whole = true,
      .is_tlog = true,
      .params = "",
      .handle = tl_api_tlog_checkpoint,
      .summary = "A checkpoint that is kept" },
    { .method = "GET",
      .path = "/tlog/tile/{tile}",
      .least = TL_ROLE_READER,
      .is_whole = true,
      .is_tlog = true,
      .params = "",
      .handle = tl_api_tlog_tile,
      .summary = "A tile of the tree, or of its leaves" },
    { .method = "POST",
      .path = "/v1/verify",
      .least = TL_ROLE_AUDITOR,
      .is_whole = true,
      .body_max = 64 * KIB,
      .params = "",
      .handle = tl_api_verify,
      .summary = "Start a verification" },
    { .method = "GET",
      .path = "/v1/verify/last",
      .least = TL_ROLE_AUDITOR,
      .is_whole = true,
      .params = "",
      .handle = tl_api_verify_last,
      .summary = "The last reports" },
    { .method = "GET",
      .path = "/v1/jobs",
      .least = TL_ROLE_AUDITOR,
      .is_whole = true,
      .params = "",
      .handle = tl_api_jobs,
      .summary = "Long work" },
    { .method = "GET",
      .path = "/v1/jobs/{id}",
      .least = TL_ROLE_AUDITOR,
      .is_whole = true,
      .params = "",
      .handle = tl_api_job,
      .summary = "One piece of long work" },
    { .method = "DELETE",
      .path = "/v1/jobs/{id}",
      .least = TL_ROLE_AUDITOR,
      .is_whole = true,
      .body_max = KIB,
      .params = "",
      .handle = tl_api_job_cancel,
      .summary = "Ask it to stop" },
    { .method = "GET",
      .path = "/v1/jobs/{id}/file",
      .least = TL_ROLE_AUDITOR,
      .is_whole = true,
      .params = "",
      .handle = tl_api_job_file,
      .summary = "The file that an export made" },
    { .method = "GET",
      .path = "/v1/retention",
      .least = TL_ROLE_READER,
      .is_whole = true,
      .params = "",
      .handle = tl_api_retention,
      .summary = "The rules of retention in force" },
    { .method = "POST",
      .path = "/v1/retention/test",
      .least = TL_ROLE_READER,
      .is_whole = true,
      .body_max = 64 * KIB,
      .params = "",
      .handle = tl_api_retention_test,
      .summary = "What other rules would do" },
    { .method = "POST",
      .path = "/v1/purges",
      .least = TL_ROLE_ADMIN,
      .is_whole = true,
      .body_max = MIB,
      .params = "",
      .handle = tl_api_purge,
      .summary = "Purge, or preview it" },
    { .method = "GET",
      .path = "/v1/holds",
      .least = TL_ROLE_READER,
      .is_whole = true,
      .params = "",
      .handle = tl_api_holds,
      .summary = "Legal holds" },
    { .method = "POST",
      .path = "/v1/holds",
      .least = TL_ROLE_ADMIN,
      .is_whole = true,
      .body_max = MIB,
      .params = "",
      .handle = tl_api_hold_add,
      .summary = "Put records on hold" },
    { .method = "DELETE",
      .path = "/v1/holds/{hold}",
      .least = TL_ROLE_ADMIN,
      .is_whole = true,
      .body_max = MIB,
      .params = "",
      .handle = tl_api_hold_release,
      .summary = "End a hold" },
    { .method = "POST",
      .path = "/v1/erasures",
      .least = TL_ROLE_ADMIN,
      .is_whole = true,
      .body_max = MIB,
      .params = "",
      .handle = tl_api_erase,
      .summary = "Erase, or preview it" },
    { .method = "GET",
      .path = "/v1/tokens",
      .least = TL_ROLE_ADMIN,
      .is_whole = true,
      .params = "",
      .handle = tl_api_tokens,
      .summary = "Tokens, without their secrets" },
    { .method = "POST",
      .path = "/v1/tokens",
      .least = TL_ROLE_ADMIN,
      .is_whole = true,
      .body_max = 64 * KIB,
      .params = "",
      .handle = tl_api_token_add,
      .summary = "Make a token" },
    { .method = "DELETE",
      .path = "/v1/tokens/{id}",
      .least = TL_ROLE_ADMIN,
      .is_whole = true,
      .body_max = KIB,
      .params = "",
      .handle = tl_api_token_revoke,
      .summary = "End a token" },
    { .method = "POST",
      .path = "/v1/config/reload",
      .least = TL_ROLE_ADMIN,
      .is_whole = true,
      .body_max = KIB,
      .params = "",
      .handle = tl_api_config_reload,
      .summary = "Read the configuration again" },
    { .method = "POST",
      .path = "/v1/viewer-links",
      .least = TL_ROLE_READER,
      .body_max = 64 * KIB,
      .params = "",
      .handle = tl_api_viewer_link_add,
      .summary = "Make a link for viewers" },
    { .method = "GET",
      .path = "/v1/whoami",
      .least = TL_ROLE_WRITER,
      .is_for_links = true,
      .lane = TL_LANE_INLINE,
      .params = "",
      .handle = tl_api_whoami,
      .summary = "Who the caller is" },
    { .method = "GET",
      .path = "/v1/status",
      .least = TL_ROLE_READER,
      .is_whole = true,
      .params = "",
      .handle = tl_api_status,
      .summary = "How ledger and server stand" },
    { .method = "GET",
      .path = "/v1/schedules",
      .least = TL_ROLE_READER,
      .is_whole = true,
      .params = "",
      .handle = tl_api_schedules,
      .summary = "Scheduled work" },
    { .method = "GET",
      .path = "/v1/keys",
      .least = TL_ROLE_READER,
      .is_whole = true,
      .params = "",
      .handle = tl_api_keys,
      .summary = "Public keys and their times" },
    { .method = "GET",
      .path = "/healthz",
      .lane = TL_LANE_INLINE,
      .params = "",
      .handle = tl_api_healthz,
      .summary = "Whether it answers" },
    { .method = "GET",
      .path = "/readyz",
      .params = "",
      .handle = tl_api_readyz,
      .summary = "Whether events can be recorded" },
    { .method = "GET",
      .path = "/version",
      .lane = TL_LANE_INLINE,
      .params = "",
      .handle = tl_api_version,
      .summary = "The version" },
    { .method = "GET",
      .path = "/metrics",
      .least = TL_ROLE_READER,
      .is_whole = true,
      .params = "",
      .handle = tl_api_metrics,
      .summary = "Prometheus text" },
    { .method = "GET",
      .path = "/openapi.json",
      .lane = TL_LANE_INLINE,
      .params = "",
      .handle = tl_api_openapi,
      .summary = "This interface" },
    { .method = "GET",
      .path = "/problems/{code}",
      .lane = TL_LANE_INLINE,
      .params = "",
      .handle = tl_api_problem,
      .summary = "What a problem means" },
    { .method = "GET",
      .path = "/",
      .lane = TL_LANE_INLINE,
      .params = "",
      .handle = tl_api_ui,
      .summary = "The web page" },
    { .method = "GET",
      .path = "/ui/{file}",
      .lane = TL_LANE_INLINE,
      .params = "",
      .handle = tl_api_ui,
      .summary = "The web page" },
};
const size_t tl_route_count = TL_ARRAY_LEN(tl_routes);

/* Compares part by part; what stands for {…} goes into `args`. A tile has parts of its own. */
static bool fits(const char *pattern, const char *path, struct tl_str args[2])
{
    size_t count = 0;
    while (*pattern != '\0' && *path != '\0') {
        if (*pattern == '{') {
            size_t len = strcmp(pattern, "{tile}") == 0 ? strlen(path) : strcspn(path, "/");
            tl_assert(count < 2);
            args[count++] = (struct tl_str){ path, len };
            path += len;
            pattern += strcspn(pattern, "}") + 1;
        } else if (*pattern++ != *path++) {
            return false;
        }
    }
    if (*path == '\0' && strcmp(pattern, "{file}") == 0) { /* a folder has a first page */
        args[count] = TL_STR("");
        return true;
    }
    return *path == '\0' && *pattern == '\0';
}

static bool take_args(struct tl_request *request, const struct tl_str args[2])
{
    for (size_t i = 0; i < 2 && args[i].text != NULL; i++) {
        request->args[i] = tl_request_copy(request, args[i]);
        if (request->args[i] == NULL) {
            return false;
        }
        if (!tl_http_decode(request->args[i])) {
            tl_reply_problem(request, "bad_request", "the path has an escape that is none");
            return false;
        }
    }
    return true;
}

/* The methods of a path, as RFC 9110 wants them with 405. */
static void add_allow(struct tl_request *request)
{
    char text[64];
    struct tl_buf methods;
    tl_buf_init_fixed(&methods, text, sizeof(text));
    for (size_t i = 0; i < tl_route_count; i++) {
        struct tl_str args[2] = { { 0 } };
        if (fits(tl_routes[i].path, request->path, args)) {
            tl_buf_add_text(&methods, methods.len == 0 ? "" : ", ");
            tl_buf_add_text(&methods, tl_routes[i].method);
            tl_buf_add_text(&methods, strcmp(tl_routes[i].method, "GET") == 0 ? ", HEAD" : "");
        }
    }
    tl_assert(tl_buf_status(&methods) == TALLY_OK);
    tl_reply_header(request, "Allow", "%.*s", (int)methods.len, text);
}

bool tl_route_find(struct tl_request *request)
{
    bool has_path = false;
    for (size_t i = 0; i < tl_route_count; i++) {
        struct tl_str args[2] = { { 0 } };
        if (!fits(tl_routes[i].path, request->path, args)) {
            continue;
        }
        has_path = true;
        if (tl_cors_preflight(request, &tl_routes[i])) {
            return false;
        }
        if (strcmp(tl_routes[i].method, request->method) == 0) {
            request->route = &tl_routes[i];
            return take_args(request, args);
        }
    }
    if (has_path) {
        tl_reply_problem(request, "method", "this path does not take the method");
        add_allow(request);
    } else {
        tl_reply_problem(request, "not_found", "there is nothing at this path");
    }
    return false;
}

/* A writer only writes; from reader on, who may do more may do less. */
static bool may(enum tl_role role, enum tl_role least, const struct tl_route *route)
{
    if (least == TL_ROLE_WRITER) {
        return role == TL_ROLE_WRITER || role == TL_ROLE_ADMIN ||
               (route->lane == TL_LANE_INLINE && role != 0);
    }
    return role != TL_ROLE_WRITER && role >= least;
}

static bool refuse(struct tl_request *request, const char *code, const char *why)
{
    tl_reply_problem(request, code, "%s", why);
    tl_counter_add(&request->server->counters.refused, 1);
    tl_server_record_refusal(request);
    return false;
}

/* A browser says of what page it asks, unless that is one of this server. */
static bool may_link(struct tl_request *request)
{
    const char *origin = request->who.link->origin;
    if (!request->route->is_for_links) {
        return refuse(request, "forbidden", "a viewer link is for looking at events alone");
    }
    if (request->origin != NULL && origin[0] != '\0' && strcmp(request->origin, origin) != 0) {
        return refuse(request, "forbidden", "this link is for the page of another origin");
    }
    return true;
}

bool tl_route_names(const struct tl_route *route, struct tl_str name)
{
    char word[68];
    if (name.len == 0 || name.len > 64 || memchr(name.text, ',', name.len) != NULL) {
        return false;
    }
    word[0] = ',';
    memcpy(word + 1, name.text, name.len);
    memcpy(word + 1 + name.len, ",", 2);
    return strstr(route->params, word) != NULL;
}

/* What is for anybody, and there at once: the page, healthz. It costs no more than to refuse it. */
static bool is_free(const struct tl_request *request)
{
    return request->route->least == 0 && request->route->lane == TL_LANE_INLINE &&
           !request->has_bad_token;
}

bool tl_route_has_room(struct tl_request *request, const struct tl_rate_key *place)
{
    struct tl_server *server = request->server;
    const struct tl_identity *who = &request->who;
    if (who->role != 0) {
        struct tl_rate_key key = { { 0 } };
        _Static_assert(sizeof(who->id) <= sizeof(key.bytes), "an id is a key");
        memcpy(key.bytes, who->id, sizeof(who->id));
        if (who->id[0] != '\0' && !tl_rate_allows(&server->token_rate, &key)) {
            tl_reply_problem(request, "rate", "this token makes too many requests");
            return false;
        }
    } else if (place != NULL && !is_free(request) &&
               !tl_rate_allows(&server->address_rate, place)) {
        tl_reply_problem(request, "rate", "too many requests from there without a token in force");
        return false;
    }
    return true;
}

/* What is no parameter may be a filter, or else is refused as one. Of two values of a parameter one
 * would be left out in silence; those of a filter are alternatives. */
static bool check_params(struct tl_request *request)
{
    const struct tl_route *route = request->route;
    for (size_t i = 0; i < request->param_count; i++) {
        struct tl_str name = request->params[i].name;
        bool is_named = tl_route_names(route, name);
        if (!is_named && route->params[0] != '*') {
            tl_reply_problem(request, "unknown_parameter", "there is no parameter '%.40s'",
                             name.text);
            return false;
        }
        if (is_named && tl_request_param(request, name.text) != request->params[i].value.text) {
            tl_reply_problem(request, "bad_parameter", "'%s' stands there twice", name.text);
            return false;
        }
    }
    return true;
}

bool tl_route_allows(struct tl_request *request)
{
    const struct tl_route *route = request->route;
    const struct tl_identity *who = &request->who;
    bool is_open =
        route->least == 0 || (route->is_tlog && request->server->options.has_public_tlog);
    if (request->has_bad_token) {
        return refuse(request, "unauthenticated", "this token is not in force");
    }
    if (!is_open && who->role == 0) {
        return refuse(request, "unauthenticated", "this needs a token");
    }
    if (!is_open && !may(who->role, route->least, route)) {
        return refuse(request, "forbidden", "the role of this token does not allow it");
    }
    if (!is_open && route->is_whole && who->tenant_count > 0) {
        return refuse(request, "forbidden",
                      "this is about the ledger as a whole: not for a token with tenants");
    }
    if (!is_open && who->link != NULL && !may_link(request)) {
        return false;
    }
    return check_params(request);
}
