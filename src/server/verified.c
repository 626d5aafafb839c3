/* The last verifications: what the ledger has on record of them outlives the server. */
#include <string.h>

#include "codec/time.h"
#include "server/jobs.h"

static void copy_text(char *out, size_t size, const struct tl_json *member)
{
    bool is_text = member != NULL && member->type == TL_JSON_STRING;
    tl_str_copy(out, size, is_text ? member->text : TL_STR(""));
}

static uint64_t number_of(const struct tl_json *member)
{
    bool is_count = member != NULL && member->type == TL_JSON_NUMBER && member->number >= 0 &&
                    member->number < 9007199254740992.0;
    return is_count ? (uint64_t)member->number : UINT64_MAX;
}

/* The job is still here, with its whole report. */
static bool is_here(const struct tl_request *request, const struct tl_json *metadata)
{
    char started[TL_TIME_SIZE];
    const struct tl_json *server = tl_json_member(metadata, "server_started_at");
    (void)tl_time_format(started, request->server->started_us);
    return server != NULL && server->type == TL_JSON_STRING && tl_str_is(server->text, started);
}

/* False: it is none that has to be shown. */
static bool take(struct tl_request *request, const struct tally_item *item, struct tl_verified *out)
{
    const struct tl_json *root = NULL;
    struct tally_error err = TALLY_ERROR_INIT;
    if (item->event == NULL || tl_json_read(&request->arena, item->event, item->event_len,
                                            &tl_json_limits_format, &root, &err) != TALLY_OK) {
        return false;
    }
    const struct tl_json *metadata = tl_json_member(root, "metadata");
    if (metadata == NULL || is_here(request, metadata)) {
        return false;
    }
    out->at_us = item->occurred_us;
    copy_text(out->by, sizeof(out->by), tl_json_member(tl_json_member(root, "actor"), "id"));
    copy_text(out->verdict, sizeof(out->verdict), tl_json_member(metadata, "verdict"));
    copy_text(out->scope, sizeof(out->scope), tl_json_member(metadata, "scope"));
    out->checked = number_of(tl_json_member(metadata, "checked"));
    out->findings = number_of(tl_json_member(metadata, "findings"));
    return out->verdict[0] != '\0';
}

tally_status tl_verified_read(struct tl_request *request, struct tl_verified *out,
                              size_t *count_out, struct tally_error *err)
{
    static const struct tally_condition condition = { "action", "tally.verify" };
    struct tally_query query = TALLY_QUERY_INIT;
    struct tally_page *page = NULL;
    query.conditions = &condition;
    query.condition_count = 1;
    query.limit = 5 * TL_VERIFIED_MAX; /* those of this server are among them */
    *count_out = 0;
    TL_TRY(tally_find(request->server->ledger, &query, &page, err));
    for (size_t i = 0; i < page->count && *count_out < TL_VERIFIED_MAX; i++) {
        *count_out += take(request, &page->items[i], &out[*count_out]) ? 1 : 0;
    }
    tally_page_free(page);
    return TALLY_OK;
}

static void show_count(struct tl_js *js, const char *key, uint64_t count)
{
    if (count == UINT64_MAX) {
        tl_js_null(js, key);
    } else {
        tl_js_u64(js, key, count);
    }
}

void tl_verified_show(struct tl_js *js, const struct tl_verified *verified,
                      const struct tally_report *report)
{
    tl_js_open(js, NULL, '{');
    tl_js_time(js, "finished_at", verified->at_us);
    tl_js_text(js, "by", verified->by);
    tl_js_text(js, "verdict", verified->verdict);
    tl_js_text(js, "scope", verified->scope[0] == '\0' ? NULL : verified->scope);
    show_count(js, "checked", verified->checked);
    show_count(js, "findings", verified->findings);
    if (report != NULL) {
        tl_show_report(js, "report", report);
    } else {
        tl_js_null(js, "report");
    }
    tl_js_close(js, '}');
}
