#include "ledger/render.h"

#include "base/bytes.h"
#include "codec/csv.h"
#include "codec/json.h"
#include "codec/time.h"

static void add_time(struct tl_buf *out, int64_t us)
{
    char text[28];
    size_t len = tl_time_format_fixed(text, us);
    tl_buf_add_char(out, '"');
    tl_buf_add(out, text, len);
    tl_buf_add_char(out, '"');
}

static void add_leaf_hash(struct tl_buf *out, const struct tally_record *record)
{
    uint8_t hash[TL_HASH_LEN];
    char hex[2 * TL_HASH_LEN + 1];
    tl_tree_hash_leaf(hash, record->leaf, record->leaf_len);
    tl_hex_encode(hex, hash, sizeof(hash));
    tl_buf_add(out, hex, sizeof(hex) - 1);
}

/* The pointers of the members that are gone. */
static void add_erased(struct tl_buf *out, const struct tally_record *record)
{
    TL_CLEANUP(tl_freep) struct tl_opened *opened = tl_alloc_array(1, sizeof(*opened));
    if (opened == NULL) {
        out->status = TALLY_ENOMEM;
        return;
    }
    if (tl_opened_decode(opened, record->opened, record->opened_len) != TALLY_OK) {
        return; /* verification names it RECORD_MALFORMED */
    }
    const char *before = ",\"erased\":[";
    for (uint32_t i = 0; i < opened->count; i++) {
        if (opened->parts[i].erased) {
            tl_buf_add_text(out, before);
            tl_json_write_string(out, opened->parts[i].pointer);
            before = ",";
        }
    }
    if (before[1] == '\0') {
        tl_buf_add_char(out, ']');
    }
}

static size_t add_line(struct tl_buf *out, const struct tl_match *match, const char *origin)
{
    size_t event_at = 0;
    tl_buf_add_text(out, "{\"time\":");
    add_time(out, match->occurred_us);
    tl_buf_add_text(out, ",\"seq\":");
    tl_buf_add_u64(out, match->record->seq);
    if (match->view != NULL) {
        tl_buf_add_text(out, ",\"id\":");
        tl_json_write_string(out, match->view->id);
    }
    tl_buf_add_text(out, ",\"origin\":");
    tl_json_write_string(out, tl_str_of(origin));
    tl_buf_add_text(out, ",\"recorded_at\":");
    add_time(out, match->leaf->time_us);
    tl_buf_add_text(out, ",\"leaf_hash\":\"");
    add_leaf_hash(out, match->record);
    tl_buf_add_text(out, "\",\"kind\":\"");
    tl_buf_add_str(out, match->facts->kind);
    tl_buf_add_text(out, "\",\"state\":\"");
    tl_buf_add_str(out, match->facts->state);
    tl_buf_add_char(out, '"');
    if (match->record->opened != NULL) {
        add_erased(out, match->record);
    }
    if (match->view != NULL) {
        tl_buf_add_text(out, ",\"event\":");
        event_at = out->len;
        tl_buf_add(out, match->record->event, match->record->event_len);
    } else if (tl_leaf_is_control(match->leaf->kind)) {
        tl_buf_add_text(out, ",\"payload\":");
        tl_buf_add(out, match->record->leaf + TL_LEAF_LEN, match->record->leaf_len - TL_LEAF_LEN);
    }
    tl_buf_add_char(out, '}');
    return event_at;
}

void tl_render_line(struct tl_buf *out, const struct tl_match *match, const char *origin)
{
    (void)add_line(out, match, origin);
}

void tl_render_item(struct tl_buf *out, const struct tl_match *match, const char *origin,
                    struct tl_rendered *rendered)
{
    rendered->line = out->len;
    rendered->event = add_line(out, match, origin);
    rendered->event_len = match->view == NULL ? 0 : match->record->event_len;
    rendered->line_len = out->len - rendered->line;
    tl_buf_add_char(out, '\0');
    rendered->id = out->len;
    if (match->view != NULL) {
        tl_buf_add_str(out, match->view->id);
    }
    tl_buf_add_char(out, '\0');
}

static const char csv_header[] =
    "seq,id,recorded_at,occurred_at,action,actor_type,actor_id,actor_name,target_type,target_id,"
    "target_name,outcome,reason,severity,service,host,ip,user_agent,transport,tenant_id,started_at,"
    "ended_at,duration_us,correlation_id,causation_id,trace_id,span_id,request_id,session_id,tags,"
    "targets,old_values,new_values,request,response,metadata,leaf_hash\r\n";

void tl_render_csv_header(struct tl_buf *out)
{
    tl_buf_add_text(out, csv_header);
}

static void csv_time(struct tl_buf *out, int64_t us)
{
    char text[28];
    tl_buf_add_char(out, ',');
    tl_buf_add(out, text, tl_time_format(text, us));
}

static void csv_texts(struct tl_buf *out, const struct tl_str *texts, size_t count, bool guard)
{
    for (size_t i = 0; i < count; i++) {
        tl_buf_add_char(out, ',');
        tl_csv_field(out, texts[i], guard);
    }
}

static void csv_duration(struct tl_buf *out, const struct tl_event_view *view)
{
    int64_t started = 0;
    int64_t ended = 0;
    tl_buf_add_char(out, ',');
    if (tl_time_parse(&started, view->started_at) == TALLY_OK &&
        tl_time_parse(&ended, view->ended_at) == TALLY_OK && ended >= started) {
        tl_buf_add_u64(out, (uint64_t)(ended - started));
    }
}

static void csv_event(struct tl_buf *out, const struct tl_event_view *view, bool guard)
{
    static const struct tl_target_view none = { 0 };
    const struct tl_target_view *target = view->target_count > 0 ? &view->targets[0] : &none;
    const struct tl_str before[] = { view->action,     view->actor_type, view->actor_id,
                                     view->actor_name, target->type,     target->id,
                                     target->name,     view->outcome,    view->reason,
                                     view->severity,   view->service,    view->host,
                                     view->ip,         view->user_agent, view->transport,
                                     view->tenant_id };
    const struct tl_str after[] = { view->correlation_id, view->causation_id, view->trace_id,
                                    view->span_id,        view->request_id,   view->session_id };
    const struct tl_str json[] = { view->tags_json,       view->targets_json, view->old_values_json,
                                   view->new_values_json, view->request_json, view->response_json,
                                   view->metadata_json };
    const struct tl_str times[] = { view->started_at, view->ended_at };
    csv_texts(out, before, TL_ARRAY_LEN(before), guard);
    csv_texts(out, times, TL_ARRAY_LEN(times), false);
    csv_duration(out, view);
    csv_texts(out, after, TL_ARRAY_LEN(after), guard);
    csv_texts(out, json, TL_ARRAY_LEN(json), false);
}

void tl_render_csv(struct tl_buf *out, const struct tl_match *match, bool guard)
{
    tl_buf_add_u64(out, match->record->seq);
    tl_buf_add_char(out, ',');
    if (match->view != NULL) {
        tl_csv_field(out, match->view->id, guard);
    }
    csv_time(out, match->leaf->time_us);
    if (match->view != NULL) {
        csv_time(out, match->occurred_us);
        csv_event(out, match->view, guard);
    } else {
        for (int i = 0; i < 33; i++) { /* all columns from occurred_at to metadata */
            tl_buf_add_char(out, ',');
        }
    }
    tl_buf_add_char(out, ',');
    add_leaf_hash(out, match->record);
    tl_buf_add_text(out, "\r\n");
}
