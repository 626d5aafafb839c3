#include <string.h>

#include "server/assets.h"
#include "server/server_impl.h"

static const char policy[] =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'";

/* The component that others embed, with what it is made of, and the page that they may frame. */
static const char *const embedded[] = { "viewer.js", "viewer_style.js", "api.js", "diff.js",
                                        "dom.js",    "record.js",       "time.js" };

static bool is_embedded(const char *name)
{
    for (size_t i = 0; i < TL_ARRAY_LEN(embedded); i++) {
        if (strcmp(embedded[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static const char *type_of(const char *name)
{
    static const char *const types[][2] = {
        { ".html", "text/html; charset=utf-8" },
        { ".js", "text/javascript; charset=utf-8" },
        { ".css", "text/css; charset=utf-8" },
        { ".svg", "image/svg+xml" },
    };
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; i < TL_ARRAY_LEN(types) && dot != NULL; i++) {
        if (strcmp(dot, types[i][0]) == 0) {
            return types[i][1];
        }
    }
    return "application/octet-stream";
}

void tl_api_ui(struct tl_request *request)
{
    const char *name = request->args[0];
    if (name == NULL) { /* "/" */
        tl_reply_text(request, 302, "text/plain", "", 0);
        tl_reply_header(request, "Location", "/ui/");
        return;
    }
    name = name[0] == '\0' ? "index.html" : name;
    for (size_t i = 0; i < tl_asset_count; i++) {
        if (strcmp(tl_assets[i].name, name) == 0) {
            request->reply.status = 200;
            request->reply.content_type = type_of(name);
            request->reply.fixed =
                (struct tl_str){ (const char *)tl_assets[i].bytes, tl_assets[i].len };
            bool is_viewer = strcmp(name, "viewer.html") == 0;
            tl_reply_header_text(request, "Content-Security-Policy",
                                 is_viewer ? request->server->viewer_policy : policy);
            tl_reply_header(request, "Referrer-Policy", "no-referrer");
            if (is_embedded(name)) {
                tl_cors_add_file(request);
            } else if (!is_viewer) {
                tl_reply_header(request, "Cross-Origin-Resource-Policy", "same-origin");
            }
            return;
        }
    }
    tl_reply_problem(request, "not_found", "there is no such file");
}
