/* What others check evidence with: openings, and the tree as C2SP tlog-tiles. */
#include <stdio.h>
#include <string.h>

#include <tally/bundle.h>

#include "base/parse.h"
#include "server/server_impl.h"

#define TILE_PATH_SIZE 80u

static void reply_opening(struct tl_request *request, uint64_t seq)
{
    struct tally_error err = TALLY_ERROR_INIT;
    char *line = NULL;
    if (tally_opening_make(request->server->ledger, seq, &line, &err) == TALLY_OK) {
        tl_reply_text(request, 200, "application/json", line, strlen(line));
    } else {
        tl_reply_error(request, &err);
    }
    tally_free(line);
}

static void open_one(struct tl_request *request, bool by_id)
{
    struct tally_page *page = NULL;
    if (!tl_api_one(request, by_id, &page)) {
        return;
    }
    const struct tally_item *item = &page->items[0];
    if (strcmp(item->kind, "event") == 0 && item->event == NULL) {
        tl_api_gone(request, item);
    } else {
        reply_opening(request, item->seq);
    }
    tally_page_free(page);
}

void tl_api_opening_id(struct tl_request *request)
{
    open_one(request, true);
}

void tl_api_opening_seq(struct tl_request *request)
{
    open_one(request, false);
}

/* ---- tlog-tiles ------------------------------------------------------------------------------- */

void tl_api_tlog_checkpoint(struct tl_request *request)
{
    const char *arg = request->args[0]; /* NULL: the newest */
    struct tally_error err = TALLY_ERROR_INIT;
    uint64_t size = 0;
    char *text = NULL;
    if (arg != NULL &&
        (tl_parse_u64(arg, strlen(arg), UINT64_MAX, &size) != TALLY_OK || size == 0)) {
        tl_reply_problem(request, "not_found", "there is no such checkpoint");
        return;
    }
    if (tally_checkpoint(request->server->ledger, size, &text, &err) == TALLY_OK) {
        tl_reply_text(request, 200, "text/plain; charset=utf-8", text, strlen(text));
    } else {
        tl_reply_error(request, &err);
    }
    tally_free(text);
}

/* A full tile stays as it is for ever. */
static void allow_to_keep(struct tl_request *request)
{
    bool is_public = request->server->options.has_public_tlog;
    request->reply.is_cacheable = true;
    tl_reply_header(request, "Cache-Control", "%s, max-age=31536000, immutable",
                    is_public ? "public" : "private");
}

void tl_api_tlog_tile(struct tl_request *request)
{
    char path[TILE_PATH_SIZE];
    struct tally_error err = TALLY_ERROR_INIT;
    void *bytes = NULL;
    size_t len = 0;
    /* What is cut off is no path of a tile either way: those are shorter. */
    (void)snprintf(path, sizeof(path), "tile/%s", request->args[0]);
    if (tally_tlog_tile(request->server->ledger, path, &bytes, &len, &err) == TALLY_OK) {
        tl_reply_text(request, 200, "application/octet-stream", bytes, len);
        if (strstr(path, ".p/") == NULL) {
            allow_to_keep(request);
        }
    } else {
        tl_reply_error(request, &err);
    }
    tally_free(bytes);
}
