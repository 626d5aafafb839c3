/* What others check evidence with: openings. */
#include <string.h>

#include "server/server_impl.h"

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
