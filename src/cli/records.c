#include "cli/records.h"

#include <string.h>

#include "base/limits.h"
#include "codec/json.h"

static const struct tl_column columns[] = {
    { "seq", true },       { "time", false },    { "actor", false },
    { "action", false },   { "target", false },  { "outcome", false },
    { "severity", false }, { "service", false }, { "state", false },
};

void tl_records_init(struct tl_records *records, const struct tl_cli *cli)
{
    *records = (struct tl_records){ .cli = cli };
    tl_table_init(&records->table, cli, columns, TL_ARRAY_LEN(columns));
    tl_arena_init(&records->arena, 64 * TL_EVENT_BYTES_MAX);
}

void tl_records_release(struct tl_records *records)
{
    tl_table_release(&records->table);
    tl_arena_release(&records->arena);
}

/* Every line begins {"time":"…", with a time of fixed width. */
struct tl_str tl_record_time(const struct tally_item *item)
{
    static const size_t start = sizeof("{\"time\":\"") - 1;
    static const size_t len = sizeof("2026-03-14T09:26:53.589793Z") - 1;
    if (item->line_len < start + len) {
        return TL_STR("");
    }
    return (struct tl_str){ item->line + start, len };
}

/* The text of a member, or of a member of a member; "" if it is not there or no string. */
static struct tl_str text_of(const struct tl_json *object, const char *name, const char *inner)
{
    const struct tl_json *value = object == NULL ? NULL : tl_json_member(object, name);
    if (value != NULL && inner != NULL) {
        value = tl_json_member(value, inner);
    }
    return value == NULL || value->type != TL_JSON_STRING ? TL_STR("") : value->text;
}

static enum tl_style style_of(struct tl_str word)
{
    if (tl_str_is(word, "failure") || tl_str_is(word, "critical")) {
        return TL_STYLE_BAD;
    }
    return tl_str_is(word, "high") || tl_str_is(word, "pending") ? TL_STYLE_WARN : TL_STYLE_PLAIN;
}

/* "type/id" of the first target, or whichever of the two there is. */
static void add_target(struct tl_table *table, const struct tl_json *event)
{
    const struct tl_json *targets = event == NULL ? NULL : tl_json_member(event, "targets");
    const struct tl_json *first = targets == NULL ? NULL : targets->first;
    struct tl_str type = first == NULL ? TL_STR("") : text_of(first, "type", NULL);
    struct tl_str id = first == NULL ? TL_STR("") : text_of(first, "id", NULL);
    TL_CLEANUP(tl_buf_release) struct tl_buf buf = { 0 };
    tl_buf_init(&buf, 8192);
    tl_buf_add_str(&buf, type);
    tl_buf_add_text(&buf, type.len > 0 && id.len > 0 ? "/" : "");
    tl_buf_add_str(&buf, id);
    if (targets != NULL && targets->count > 1) {
        tl_buf_addf(&buf, " +%u", targets->count - 1);
    }
    tl_table_cell(table, tl_buf_str(&buf), TL_STYLE_PLAIN);
}

static tally_status add_row(struct tl_records *records, const struct tally_item *item,
                            struct tally_error *err)
{
    struct tl_table *table = &records->table;
    const struct tl_json *event = NULL;
    tl_arena_reset(&records->arena);
    if (item->event != NULL) {
        TL_TRY(tl_json_read(&records->arena, item->event, item->event_len, &tl_json_limits_format,
                            &event, err));
    }
    struct tl_str actor = text_of(event, "actor", "id");
    struct tl_str action = text_of(event, "action", NULL);
    struct tl_str outcome = text_of(event, "outcome", NULL);
    struct tl_str severity = text_of(event, "severity", NULL);
    tl_table_u64(table, item->seq);
    tl_table_cell(table, tl_record_time(item), TL_STYLE_PLAIN);
    tl_table_cell(table, actor.len > 0 ? actor : text_of(event, "actor", "name"), TL_STYLE_PLAIN);
    if (event == NULL && strcmp(item->kind, "event") != 0) {
        char kind[64];
        (void)snprintf(kind, sizeof(kind), "tally.%s", item->kind);
        tl_table_text(table, kind);
    } else {
        tl_table_cell(table, action, TL_STYLE_PLAIN);
    }
    add_target(table, event);
    tl_table_cell(table, outcome, style_of(outcome));
    tl_table_cell(table, severity, style_of(severity));
    tl_table_cell(table, text_of(event, "source", "service"), TL_STYLE_PLAIN);
    tl_table_text(table, item->state);
    return TALLY_OK;
}

tally_status tl_records_add(struct tl_records *records, const struct tally_item *item,
                            struct tally_error *err)
{
    enum tl_view view = records->cli->view;
    if (view == TL_VIEW_JSON || view == TL_VIEW_NDJSON) {
        (void)fwrite(item->line, 1, item->line_len, stdout); /* main() looks at ferror() */
        (void)fputc('\n', stdout);
        return TALLY_OK;
    }
    return add_row(records, item, err);
}

tally_status tl_records_print(struct tl_records *records, struct tally_error *err)
{
    enum tl_view view = records->cli->view;
    if (view == TL_VIEW_TABLE || view == TL_VIEW_CSV) {
        TL_TRY(tl_table_print(&records->table, err));
    }
    (void)fflush(stdout); /* main() looks at ferror() */
    return TALLY_OK;
}

static void add_field(struct tl_table *table, struct tl_str name, struct tl_str value)
{
    tl_table_cell(table, name, TL_STYLE_BOLD);
    tl_table_cell(table, value, TL_STYLE_PLAIN);
}

/* A string as it is, anything else as JSON. */
static void add_value(struct tl_table *table, struct tl_str name, const struct tl_json *value)
{
    TL_CLEANUP(tl_buf_release) struct tl_buf buf = { 0 };
    tl_buf_init(&buf, SIZE_MAX / 8);
    if (value->type == TL_JSON_STRING) {
        tl_buf_add_str(&buf, value->text);
    } else {
        tl_json_write(&buf, value);
    }
    add_field(table, name, tl_buf_str(&buf));
}

/* The members of the event: those of actor and source one by one, as actor.id. */
static void add_event(struct tl_table *table, const struct tl_json *event)
{
    TL_CLEANUP(tl_buf_release) struct tl_buf name = { 0 };
    tl_buf_init(&name, SIZE_MAX / 8);
    for (const struct tl_json *member = event->first; member != NULL; member = member->next) {
        bool opens = tl_str_is(member->key, "actor") || tl_str_is(member->key, "source");
        if (!opens || member->type != TL_JSON_OBJECT) {
            add_value(table, member->key, member);
            continue;
        }
        for (const struct tl_json *inner = member->first; inner != NULL; inner = inner->next) {
            tl_buf_clear(&name);
            tl_buf_add_str(&name, member->key);
            tl_buf_add_char(&name, '.');
            tl_buf_add_str(&name, inner->key);
            add_value(table, tl_buf_str(&name), inner);
        }
    }
}

/* The members of the record as its line has them, and then those of the event. */
static void add_members(struct tl_table *table, const struct tl_json *record)
{
    static const char *const names[] = { "seq",  "time",  "id",     "origin",   "recorded_at",
                                         "kind", "state", "erased", "leaf_hash" };
    for (size_t i = 0; i < TL_ARRAY_LEN(names); i++) {
        const struct tl_json *value = tl_json_member(record, names[i]);
        if (value != NULL) {
            add_value(table, tl_str_of(names[i]), value);
        }
    }
    const struct tl_json *event = tl_json_member(record, "event");
    if (event != NULL) {
        add_event(table, event);
    }
}

tally_status tl_record_print_whole(const struct tl_cli *cli, const struct tally_item *item,
                                   struct tally_error *err)
{
    static const struct tl_column pair[] = { { "member", false }, { "value", false } };
    if (cli->view == TL_VIEW_JSON || cli->view == TL_VIEW_NDJSON) {
        (void)fwrite(item->line, 1, item->line_len, stdout); /* main() looks at ferror() */
        (void)fputc('\n', stdout);
        return TALLY_OK;
    }
    TL_CLEANUP(tl_arena_release) struct tl_arena arena = { 0 };
    tl_arena_init(&arena, 64 * TL_EVENT_BYTES_MAX);
    struct tl_json_limits limits = tl_json_limits_format;
    limits.bytes_max += 4096; /* what a line has around the event */
    const struct tl_json *record = NULL;
    TL_TRY(tl_json_read(&arena, item->line, item->line_len, &limits, &record, err));
    TL_CLEANUP(tl_table_release) struct tl_table table = { 0 };
    tl_table_init(&table, cli, pair, TL_ARRAY_LEN(pair));
    table.whole = true;
    add_members(&table, record);
    return tl_table_print(&table, err);
}
