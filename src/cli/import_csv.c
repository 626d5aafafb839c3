#include <string.h>

#include "base/arena.h"
#include "base/limits.h"
#include "cli/import.h"
#include "codec/json.h"
#include "codec/utf8.h"

/* Where a column goes. */
enum column_kind {
    COLUMN_TOP = 1, /* a text member of the event, also one we do not know */
    COLUMN_ACTOR,   /* a text member of `actor`, `source`, or the first target */
    COLUMN_SOURCE,
    COLUMN_TARGET,
    COLUMN_METADATA, /* a text member of `metadata` */
    COLUMN_JSON,     /* JSON, as it is */
    COLUMN_TAGS,     /* JSON, or texts with commas between them */
    COLUMN_DERIVED,  /* what a ledger adds by itself: left out */
};

struct column {
    enum column_kind kind;
    const char *member; /* within its object */
};

struct known_column {
    const char *name;
    struct column column;
};

static const struct known_column known_columns[] = {
    { "seq", { COLUMN_DERIVED, "seq" } },
    { "recorded_at", { COLUMN_DERIVED, "recorded_at" } },
    { "duration_us", { COLUMN_DERIVED, "duration_us" } },
    { "leaf_hash", { COLUMN_DERIVED, "leaf_hash" } },
    { "actor_type", { COLUMN_ACTOR, "type" } },
    { "actor_id", { COLUMN_ACTOR, "id" } },
    { "actor_name", { COLUMN_ACTOR, "name" } },
    { "target_type", { COLUMN_TARGET, "type" } },
    { "target_id", { COLUMN_TARGET, "id" } },
    { "target_name", { COLUMN_TARGET, "name" } },
    { "service", { COLUMN_SOURCE, "service" } },
    { "host", { COLUMN_SOURCE, "host" } },
    { "ip", { COLUMN_SOURCE, "ip" } },
    { "user_agent", { COLUMN_SOURCE, "user_agent" } },
    { "tags", { COLUMN_TAGS, "tags" } },
    { "targets", { COLUMN_JSON, "targets" } },
    { "old_values", { COLUMN_JSON, "old_values" } },
    { "new_values", { COLUMN_JSON, "new_values" } },
    { "request", { COLUMN_JSON, "request" } },
    { "response", { COLUMN_JSON, "response" } },
    { "metadata", { COLUMN_JSON, "metadata" } },
};

/* One file. */
struct csv {
    struct tl_import *import;
    struct tl_buf names;    /* of the columns, each ending with a NUL */
    struct column *columns; /* these point into `names` */
    size_t column_count;
    bool is_ours; /* an export of ours: its cells are guarded against spreadsheets */
    struct tl_csv_record row;
    struct tl_arena arena;
    struct tl_js js;
};

static struct column column_of(const char *name)
{
    static const char prefix[] = "metadata.";
    if (strncmp(name, prefix, sizeof(prefix) - 1) == 0) {
        return (struct column){ COLUMN_METADATA, name + sizeof(prefix) - 1 };
    }
    for (size_t i = 0; i < TL_ARRAY_LEN(known_columns); i++) {
        if (strcmp(name, known_columns[i].name) == 0) {
            return known_columns[i].column;
        }
    }
    return strcmp(name, "-") == 0 ? (struct column){ COLUMN_DERIVED, name }
                                  : (struct column){ COLUMN_TOP, name };
}

/* The member that a column was mapped to; else its own name, which is in `names`. */
static const char *mapped(const struct csv *csv, struct tl_str column, const char *name)
{
    const struct tl_import_options *options = tl_import_options(csv->import);
    for (size_t i = 0; i < options->map_count; i++) {
        if (tl_str_equal(options->maps[i].column, column)) {
            return options->maps[i].member;
        }
    }
    return name;
}

static tally_status check_unique(const struct csv *csv, struct tally_error *err)
{
    for (size_t i = 0; i < csv->column_count; i++) {
        for (size_t j = 0; j < i; j++) {
            const struct column *a = &csv->columns[i];
            const struct column *b = &csv->columns[j];
            if (a->kind == b->kind && a->kind != COLUMN_DERIVED &&
                strcmp(a->member, b->member) == 0) {
                return tl_refuse(err, "bad_csv", "", "columns %zu and %zu are the same", j + 1,
                                 i + 1);
            }
        }
    }
    return TALLY_OK;
}

static tally_status read_names(struct tl_buf *names, const struct tl_csv_record *header,
                               struct tally_error *err)
{
    for (size_t i = 0; i < header->count; i++) {
        struct tl_str name = header->fields[i];
        if (name.len == 0 || memchr(name.text, '\0', name.len) != NULL) {
            return tl_refuse(err, "bad_csv", "", "column %zu has no name", i + 1);
        }
        if (tl_utf8_valid_len(name.text, name.len) != name.len) {
            return tl_refuse(err, "bad_utf8", "", "the name of column %zu is no UTF-8", i + 1);
        }
        tl_buf_add_str(names, name);
        tl_buf_add_char(names, '\0');
    }
    return tl_buf_status(names) == TALLY_OK ? TALLY_OK
                                            : tl_fail(err, TALLY_ENOMEM, "out of memory");
}

static tally_status read_header(struct csv *csv, const struct tl_csv_record *header,
                                struct tally_error *err)
{
    TL_TRY(read_names(&csv->names, header, err));
    csv->columns = tl_alloc_array(header->count, sizeof(csv->columns[0]));
    if (csv->columns == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "out of memory");
    }
    const char *at = csv->names.data;
    for (size_t i = 0; i < header->count; i++) {
        csv->is_ours = csv->is_ours || strcmp(at, "leaf_hash") == 0;
        csv->columns[i] = column_of(mapped(csv, header->fields[i], at));
        at += strlen(at) + 1;
    }
    csv->column_count = header->count;
    return check_unique(csv, err);
}

/* The text of a cell; in an export of ours without the guard. */
static struct tl_str cell(const struct csv *csv, size_t index)
{
    struct tl_str text = csv->row.fields[index];
    if (csv->is_ours && text.len >= 2 && text.text[0] == '\'' && text.text[1] != '\0' &&
        strchr("=+-@\t\r", text.text[1]) != NULL) {
        return (struct tl_str){ text.text + 1, text.len - 1 };
    }
    return text;
}

/* JSON in a cell goes into the event as it is, so it has to be JSON. */
static tally_status read_json(struct csv *csv, const char *member, struct tl_str text,
                              const struct tl_json **root_out, struct tally_error *err)
{
    char pointer[80];
    (void)snprintf(pointer, sizeof(pointer), "/%s", member);
    struct tl_json_limits limits = tl_json_limits_format;
    limits.bytes_max = TL_INPUT_BYTES_MAX;
    limits.keep_integers = true;
    struct tally_error why = TALLY_ERROR_INIT;
    tally_status status = tl_json_read(&csv->arena, text.text, text.len, &limits, root_out, &why);
    if (status == TALLY_EREFUSED) {
        return tl_refuse(err, why.code, pointer, "%s", why.message);
    }
    return status == TALLY_OK ? TALLY_OK : tl_fail(err, status, "out of memory");
}

static void add_tags(struct tl_js *js, struct tl_str text)
{
    tl_js_open(js, "tags", '[');
    while (text.len > 0) {
        const char *comma = memchr(text.text, ',', text.len);
        size_t len = comma == NULL ? text.len : (size_t)(comma - text.text);
        tl_js_str(js, NULL, (struct tl_str){ text.text, len });
        len += comma == NULL ? 0 : 1;
        text = (struct tl_str){ text.text + len, text.len - len };
    }
    tl_js_close(js, ']');
}

/* The cells of one kind as members of an object. */
static void add_group(struct csv *csv, enum column_kind kind, const char *key, const char *open,
                      const char *close)
{
    bool opened = false;
    for (size_t i = 0; i < csv->row.count; i++) {
        struct tl_str text = cell(csv, i);
        if (csv->columns[i].kind != kind || text.len == 0) {
            continue;
        }
        if (!opened) {
            tl_js_open(&csv->js, key, open[0]);
            if (open[1] != '\0') {
                tl_js_open(&csv->js, NULL, open[1]);
            }
        }
        opened = true;
        tl_js_str(&csv->js, csv->columns[i].member, text);
    }
    for (; opened && *close != '\0'; close++) {
        tl_js_close(&csv->js, *close);
    }
}

/* The column `metadata` and the columns that go into it. */
static tally_status add_metadata(struct csv *csv, struct tl_str text, struct tally_error *err)
{
    const struct tl_json *root = NULL;
    TL_TRY(read_json(csv, "metadata", text, &root, err));
    if (root->type != TL_JSON_OBJECT) {
        return tl_refuse(err, "bad_type", "/metadata", "this is no object");
    }
    tl_js_open(&csv->js, "metadata", '{');
    for (const struct tl_json *at = root->first; at != NULL; at = at->next) {
        tl_js_member(&csv->js, at->key,
                     (struct tl_str){ text.text + at->offset, at->end - at->offset });
    }
    for (size_t i = 0; i < csv->row.count; i++) {
        struct tl_str value = cell(csv, i);
        if (csv->columns[i].kind == COLUMN_METADATA && value.len > 0) {
            tl_js_str(&csv->js, csv->columns[i].member, value);
        }
    }
    tl_js_close(&csv->js, '}');
    return TALLY_OK;
}

static tally_status add_json(struct csv *csv, const char *member, struct tl_str text,
                             struct tally_error *err)
{
    if (strcmp(member, "metadata") == 0) {
        return add_metadata(csv, text, err);
    }
    const struct tl_json *root = NULL;
    TL_TRY(read_json(csv, member, text, &root, err));
    tl_js_raw(&csv->js, member, text);
    return TALLY_OK;
}

/* A cell that is a member of the event by itself; those of groups come later. */
static tally_status add_cell(struct csv *csv, const struct column *column, struct tl_str text,
                             struct tally_error *err)
{
    bool is_list = column->kind == COLUMN_TAGS && text.len > 0 && text.text[0] != '[';
    if (text.len > 0 && column->kind == COLUMN_TOP) {
        tl_js_str(&csv->js, column->member, text);
    } else if (is_list) {
        add_tags(&csv->js, text);
    } else if (text.len > 0 && (column->kind == COLUMN_JSON || column->kind == COLUMN_TAGS)) {
        return add_json(csv, column->member, text, err);
    }
    return TALLY_OK;
}

/* Whether the row has a cell of JSON for this member. */
static bool has_json(const struct csv *csv, const char *member)
{
    for (size_t i = 0; i < csv->row.count; i++) {
        const struct column *column = &csv->columns[i];
        if (column->kind == COLUMN_JSON && strcmp(column->member, member) == 0) {
            return csv->row.fields[i].len > 0;
        }
    }
    return false;
}

static tally_status make_event(struct csv *csv, struct tally_error *err)
{
    tl_js_open(&csv->js, NULL, '{');
    for (size_t i = 0; i < csv->row.count; i++) {
        TL_TRY(add_cell(csv, &csv->columns[i], cell(csv, i), err));
    }
    add_group(csv, COLUMN_ACTOR, "actor", "{", "}");
    add_group(csv, COLUMN_SOURCE, "source", "{", "}");
    if (!has_json(csv, "targets")) {
        add_group(csv, COLUMN_TARGET, "targets", "[{", "}]");
    }
    if (!has_json(csv, "metadata")) {
        add_group(csv, COLUMN_METADATA, "metadata", "{", "}");
    }
    tl_js_close(&csv->js, '}');
    tally_status status = tl_buf_status(&csv->js.buf);
    return status == TALLY_OK ? TALLY_OK : tl_fail(err, status, "out of memory");
}

static tally_status read_row(struct csv *csv, struct tally_error *err)
{
    if (csv->row.count != csv->column_count) {
        return tl_refuse(err, "bad_csv", "", "%zu fields, the header has %zu", csv->row.count,
                         csv->column_count);
    }
    for (size_t i = 0; i < csv->row.count; i++) {
        struct tl_str field = csv->row.fields[i];
        if (field.len > 0 && tl_utf8_valid_len(field.text, field.len) != field.len) {
            return tl_refuse(err, "bad_utf8", "", "field %zu is no UTF-8", i + 1);
        }
    }
    tl_buf_clear(&csv->js.buf);
    csv->js.comma = false;
    tl_arena_reset(&csv->arena);
    return make_event(csv, err);
}

/* The input without its line end. */
static struct tl_str trim(struct tl_str text)
{
    while (text.len > 0 && (text.text[text.len - 1] == '\n' || text.text[text.len - 1] == '\r')) {
        text.len--;
    }
    return text;
}

static tally_status read_rows(struct csv *csv, struct tl_source *source, struct tally_error *err)
{
    for (;;) {
        struct tl_str text = { NULL, 0 };
        uint64_t line = 0;
        struct tally_error why = TALLY_ERROR_INIT;
        tally_status status = tl_source_csv(source, &csv->row, &text, &line, &why);
        if (status == TALLY_ENOTFOUND) {
            return TALLY_OK;
        }
        text = trim(text);
        if (status == TALLY_OK && text.len == 0) {
            continue;
        }
        status = status == TALLY_OK ? read_row(csv, &why) : status;
        if (status == TALLY_OK) {
            status = tl_import_event(csv->import, line, tl_buf_str(&csv->js.buf), text, err);
        } else if (status == TALLY_EREFUSED || status == TALLY_ELIMIT) {
            status = tl_import_reject(csv->import, line, &why, text, err);
        } else {
            status = tl_fail_errno(err, status, why.os_errno, "%s", why.message);
        }
        TL_TRY(status);
    }
}

static void release(struct csv *csv)
{
    tl_buf_release(&csv->names);
    tl_free(csv->columns);
    tl_arena_release(&csv->arena);
    tl_js_release(&csv->js);
}

tally_status tl_import_csv(struct tl_import *import, struct tl_source *source,
                           struct tally_error *err)
{
    TL_CLEANUP(release) struct csv csv = { .import = import };
    tl_buf_init(&csv.names, TL_INPUT_BYTES_MAX);
    tl_arena_init(&csv.arena, 8 * TL_INPUT_BYTES_MAX);
    tl_js_init(&csv.js);
    struct tl_str text = { NULL, 0 };
    uint64_t line = 0;
    struct tally_error why = TALLY_ERROR_INIT;
    tally_status status = tl_source_csv(source, &csv.row, &text, &line, &why);
    if (status == TALLY_ENOTFOUND) {
        return TALLY_OK;
    }
    status = status == TALLY_OK ? read_header(&csv, &csv.row, &why) : status;
    if (status == TALLY_EREFUSED || status == TALLY_ELIMIT) {
        return tl_import_reject(import, line, &why, trim(text), err);
    }
    if (status != TALLY_OK) {
        return tl_fail_errno(err, status, why.os_errno, "%s", why.message);
    }
    return read_rows(&csv, source, err);
}
