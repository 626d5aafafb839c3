#include <string.h>

#include "server/assets.h"
#include "server/server_impl.h"

static const char policy[] =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'";

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
            tl_reply_header(request, "Content-Security-Policy", "%s", policy);
            tl_reply_header(request, "Referrer-Policy", "no-referrer");
            return;
        }
    }
    tl_reply_problem(request, "not_found", "there is no such file");
}
