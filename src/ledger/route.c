/* Names of ledgers, the tag of events that stay at home, and the report about them: pure. */
#include "codec/json.h"
#include "ledger/router.h"
#include "model/event.h"

static const struct tl_str unrouted = { "\"tally:unrouted\"", 16 };

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
}

bool tl_route_name_is_valid(struct tl_str name)
{
    if (name.text == NULL || name.len == 0 || name.len > TL_ROUTE_NAME_MAX || name.text[0] == '.') {
        return false;
    }
    for (size_t i = 0; i < name.len; i++) {
        if (!is_name_char(name.text[i])) {
            return false;
        }
    }
    return true;
}

/* What goes into an event, and where. */
struct insertion {
    size_t at; /* 0: nothing */
    const char *before;
    const char *after;
};

/* Looks through the array of tags. */
static tally_status insert_into_tags(struct insertion *insertion, const char *event,
                                     const struct tl_json_iter *it)
{
    size_t count = 0;
    size_t at = it->value_start + 1;
    while (at < it->value_end - 1) {
        size_t end = tl_json_skip(event, it->value_end, at);
        if (end == 0) {
            return TALLY_ECORRUPT;
        }
        if (tl_str_equal((struct tl_str){ event + at, end - at }, unrouted)) {
            return TALLY_OK;
        }
        count++;
        at = end + 1; /* a comma, or the bracket */
    }
    if (count < TL_TAGS_MAX) {
        *insertion = (struct insertion){ it->value_end - 1, count == 0 ? "" : ",", "" };
    }
    return TALLY_OK;
}

static tally_status find_insertion(struct insertion *insertion, const char *event, size_t len)
{
    struct tl_json_iter it = { 0 };
    tally_status status = TALLY_OK;
    bool is_first = true;
    while ((status = tl_json_next(&it, event, len)) == TALLY_OK) {
        int order = tl_json_compare_names(it.raw_name, TL_STR("tags"));
        if (order == 0) {
            return event[it.value_start] == '[' ? insert_into_tags(insertion, event, &it)
                                                : TALLY_ECORRUPT;
        }
        if (order > 0) {
            *insertion = (struct insertion){ it.member_start, "\"tags\":[", "]," };
            return TALLY_OK;
        }
        is_first = false;
    }
    if (status != TALLY_ENOTFOUND || event[len - 1] != '}') {
        return TALLY_ECORRUPT;
    }
    *insertion = (struct insertion){ len - 1, is_first ? "\"tags\":[" : ",\"tags\":[", "]" };
    return TALLY_OK;
}

tally_status tl_route_tag(struct tl_buf *out, const char *event, size_t len)
{
    struct insertion insertion = { 0, "", "" };
    TL_TRY(find_insertion(&insertion, event, len));
    if (insertion.at > 0) {
        tl_buf_add(out, event, insertion.at);
        tl_buf_add_text(out, insertion.before);
        tl_buf_add_str(out, unrouted);
        tl_buf_add_text(out, insertion.after);
    }
    tl_buf_add(out, event + insertion.at, len - insertion.at);
    return tl_buf_status(out);
}

void tl_route_report_write(struct tl_buf *out, const struct tl_route_report *report)
{
    tl_buf_add_text(out, "{\"events\":");
    tl_buf_add_u64(out, report->events);
    tl_buf_add_text(out, ",\"name\":");
    tl_json_write_string(out, tl_str_of(report->name));
    tl_buf_add_text(out, ",\"reason\":");
    tl_json_write_string(out, tl_str_of(report->why));
    tl_buf_add_char(out, '}');
}
