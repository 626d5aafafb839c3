/* What pages of other servers may ask for: what a viewer link allows, and the files that show it. */
#include <string.h>

#include "server/server_impl.h"
#include "server/viewer_link.h"

#define POLICY_BYTES ((size_t)8 << 10)
#define PREFLIGHT_S  "600"

static const char policy[] =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; frame-ancestors";

/* Of an origin as browsers send it; it goes into a policy, which no other character may change. */
static bool is_origin(const char *text)
{
    size_t scheme = strncmp(text, "https://", 8) == 0  ? 8
                    : strncmp(text, "http://", 7) == 0 ? 7
                                                       : 0;
    size_t len = strnlen(text, TL_ORIGIN_LEN_MAX + 1);
    return scheme > 0 && len > scheme && len <= TL_ORIGIN_LEN_MAX &&
           strspn(text + scheme, "abcdefghijklmnopqrstuvwxyz0123456789.-_:[]") == len - scheme;
}

tally_status tl_cors_start(struct tl_server *server, struct tally_error *err)
{
    const struct tl_server_options *options = &server->options;
    TL_CLEANUP(tl_buf_release) struct tl_buf text = { 0 };
    tl_buf_init(&text, POLICY_BYTES);
    tl_buf_add_text(&text, policy);
    for (size_t i = 0; i < options->viewer_origin_count; i++) {
        if (!is_origin(options->viewer_origins[i])) {
            return tl_fail(err, TALLY_EINVAL,
                           "'%s' is no origin, such as https://app.example or https://host:8443",
                           options->viewer_origins[i]);
        }
        tl_buf_addf(&text, " %s", options->viewer_origins[i]);
    }
    if (options->viewer_origin_count == 0) {
        tl_buf_add_text(&text, " 'none'");
    }
    server->viewer_policy = tl_buf_take(&text, NULL);
    return server->viewer_policy == NULL ? tl_fail(err, TALLY_ENOMEM, "out of memory") : TALLY_OK;
}

bool tl_cors_has_origin(const struct tl_server *server, const char *origin)
{
    for (size_t i = 0; i < server->options.viewer_origin_count; i++) {
        if (strcmp(server->options.viewer_origins[i], origin) == 0) {
            return true;
        }
    }
    return false;
}

/* Never "*", and no credentials: a link is sent by the page itself. */
static void allow(struct tl_request *request)
{
    if (request->server->options.viewer_origin_count == 0) {
        return;
    }
    tl_reply_header(request, "Vary", "Origin");
    for (size_t i = 0; i < request->server->options.viewer_origin_count; i++) {
        const char *origin = request->server->options.viewer_origins[i];
        if (request->origin != NULL && strcmp(origin, request->origin) == 0) {
            tl_reply_header_text(request, "Access-Control-Allow-Origin", origin);
        }
    }
}

bool tl_cors_preflight(struct tl_request *request, const struct tl_route *route)
{
    if (strcmp(request->method, "OPTIONS") != 0 || request->origin == NULL ||
        request->preflight == NULL || !route->is_for_links ||
        !tl_cors_has_origin(request->server, request->origin)) {
        return false;
    }
    tl_reply_text(request, 204, NULL, "", 0);
    allow(request);
    tl_reply_header(request, "Access-Control-Allow-Methods", "GET");
    tl_reply_header(request, "Access-Control-Allow-Headers", "Authorization");
    tl_reply_header(request, "Access-Control-Max-Age", PREFLIGHT_S);
    return true;
}

void tl_cors_add(struct tl_request *request)
{
    bool is_token = request->who.role != 0 && request->who.link == NULL;
    if (request->route == NULL || !request->route->is_for_links || is_token) {
        return;
    }
    allow(request);
    tl_reply_header(request, "Access-Control-Expose-Headers", "Retry-After, X-Request-Id");
}

void tl_cors_add_file(struct tl_request *request)
{
    allow(request);
    tl_reply_header(request, "Cross-Origin-Resource-Policy", "%s",
                    request->server->options.viewer_origin_count > 0 ? "cross-origin"
                                                                     : "same-origin");
}
