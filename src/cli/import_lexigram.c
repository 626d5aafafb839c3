#include "cli/import_lexigram.h"

#include <inttypes.h>
#include <string.h>

#include <tally/lexigram.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/io.h"
#include "base/limits.h"
#include "base/parse.h"
#include "codec/base64.h"
#include "codec/json.h"
#include "store/lexigram_rows.h"

#define KEY_TEXT_MAX ((size_t)65536)
#define SAMPLE_ROWS  100u

/* The columns that the checksum covers, as the old system calls them. */
static const char *const hashed_columns[] = {
    "action",         "causation_id", "changed_at",           "changed_by", "command_payload_hash",
    "correlation_id", "entity_id",    "entry_schema_version", "metadata",   "new_values",
    "old_values",     "outcome",      "payload_size_bytes",   "severity",   "source",
    "table_name",     "tenant_id",
};

/* A key in one of its readings. */
struct key {
    const char *encoding;
    uint8_t bytes[KEY_TEXT_MAX];
    size_t len;
    bool usable;
    uint64_t matches; /* in the sample */
};

#define KEYS_MAX 3u

struct lexigram {
    struct tl_import *import;
    const struct tl_lexigram_options *options;
    struct tl_lexigram_report *report;
    const char *name;
    struct key *keys; /* KEYS_MAX of them, or NULL */
    const struct key *key;
    uint64_t sampled;
    bool has_last;
    int64_t last_id;
    struct tl_arena arena;
    struct tl_js js;
};

static void release(struct lexigram *lexigram)
{
    if (lexigram->keys != NULL) {
        explicit_bzero(lexigram->keys, KEYS_MAX * sizeof(lexigram->keys[0]));
    }
    tl_free(lexigram->keys);
    tl_arena_release(&lexigram->arena);
    tl_js_release(&lexigram->js);
}

/* The text of a column; absent for NULL and for a column that is not there. */
static struct tl_str cell(const struct tl_lexigram_cells *cells, const char *name)
{
    for (size_t i = 0; i < cells->count; i++) {
        if (strcmp(cells->names[i], name) == 0) {
            return cells->values[i];
        }
    }
    return (struct tl_str){ NULL, 0 };
}

static struct tally_lexigram_row make_row(const struct tl_lexigram_cells *cells)
{
    struct tally_lexigram_row row = TALLY_LEXIGRAM_ROW_INIT;
    row.action = cell(cells, "action").text;
    row.causation_id = cell(cells, "causation_id").text;
    row.changed_at = cell(cells, "changed_at").text;
    row.changed_by = cell(cells, "changed_by").text;
    row.command_payload_hash = cell(cells, "command_payload_hash").text;
    row.correlation_id = cell(cells, "correlation_id").text;
    row.entity_id = cell(cells, "entity_id").text;
    row.entry_schema_version = cell(cells, "entry_schema_version").text;
    row.metadata = cell(cells, "metadata").text;
    row.new_values = cell(cells, "new_values").text;
    row.old_values = cell(cells, "old_values").text;
    row.outcome = cell(cells, "outcome").text;
    row.payload_size_bytes = cell(cells, "payload_size_bytes").text;
    row.severity = cell(cells, "severity").text;
    row.source = cell(cells, "source").text;
    row.table_name = cell(cells, "table_name").text;
    row.tenant_id = cell(cells, "tenant_id").text;
    row.checksum = cell(cells, "checksum").text;
    return row;
}

/* A row that cannot even be hashed does not match its checksum. */
static tally_status verify(const struct tl_lexigram_cells *cells, const struct key *key,
                           struct tally_lexigram_match *match_out, struct tally_error *err)
{
    struct tally_lexigram_row row = make_row(cells);
    struct tally_error why = TALLY_ERROR_INIT;
    tally_status status = tally_lexigram_row_verify(&row, key == NULL ? NULL : key->bytes,
                                                    key == NULL ? 0 : key->len, match_out, &why);
    if (status == TALLY_EINVAL) {
        *match_out = (struct tally_lexigram_match){ .verdict = TALLY_VERDICT_TAMPERED };
        return TALLY_OK;
    }
    return status == TALLY_OK ? TALLY_OK : tl_fail(err, status, "%s", why.message);
}

static void read_key(struct key *key, const char *encoding, const char *text, size_t len)
{
    tally_status status = TALLY_OK;
    key->encoding = encoding;
    if (strcmp(encoding, "utf8") == 0) {
        memcpy(key->bytes, text, len);
        key->len = len;
    } else if (strcmp(encoding, "hex") == 0) {
        status = len % 2 == 0 ? tl_hex_decode(key->bytes, len / 2, text, len) : TALLY_EINVAL;
        key->len = len / 2;
    } else {
        status = tl_base64_decode(key->bytes, sizeof(key->bytes), &key->len, text, len);
    }
    key->usable = status == TALLY_OK && len > 0;
}

/* Reads the key file in the encoding that was named, or in each one for "auto". */
static tally_status read_keys(struct lexigram *lexigram, struct tally_error *err)
{
    static const char *const encodings[KEYS_MAX] = { "utf8", "hex", "base64" };
    const char *wanted = lexigram->options->key_encoding;
    char *text = NULL;
    size_t len = 0;
    lexigram->keys = tl_alloc_array(KEYS_MAX, sizeof(lexigram->keys[0]));
    if (lexigram->keys == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "out of memory");
    }
    TL_TRY(tl_io_read_file(lexigram->options->key_path, KEY_TEXT_MAX, &text, &len, err));
    size_t key_len = len > 0 && text[len - 1] == '\n' ? len - 1 : len; /* one newline, no more */
    for (size_t i = 0; i < KEYS_MAX; i++) {
        if (strcmp(wanted, "auto") == 0 || strcmp(wanted, encodings[i]) == 0) {
            read_key(&lexigram->keys[i], encodings[i], text, key_len);
        }
        if (lexigram->key == NULL && lexigram->keys[i].usable) {
            lexigram->key = &lexigram->keys[i];
        }
    }
    explicit_bzero(text, len);
    tl_free(text);
    return lexigram->key != NULL ? TALLY_OK
                                 : tl_fail(err, TALLY_EINVAL, "the key file holds no such key");
}

static tally_status sample_row(void *ctx, const struct tl_lexigram_cells *cells,
                               struct tally_error *err)
{
    struct lexigram *lexigram = ctx;
    if (cell(cells, "checksum").len == 0) {
        return TALLY_OK;
    }
    if (lexigram->sampled == SAMPLE_ROWS) {
        return TALLY_ECANCELED; /* enough: not told to anybody */
    }
    lexigram->sampled++;
    for (size_t i = 0; i < KEYS_MAX; i++) {
        struct tally_lexigram_match match = { .verdict = TALLY_VERDICT_UNKNOWN };
        if (!lexigram->keys[i].usable) {
            continue;
        }
        TL_TRY(verify(cells, &lexigram->keys[i], &match, err));
        lexigram->keys[i].matches += match.verdict == TALLY_VERDICT_VERIFIED ? 1 : 0;
    }
    return TALLY_OK;
}

/* Takes the reading of the key that fits most of the first rows. */
static tally_status choose_key(struct lexigram *lexigram, const char *path, struct tally_error *err)
{
    if (lexigram->options->key_path == NULL) {
        return TALLY_OK;
    }
    TL_TRY(read_keys(lexigram, err));
    tally_status status =
        tl_lexigram_rows(path, lexigram->options->table, sample_row, lexigram, NULL, err);
    if (status != TALLY_OK && status != TALLY_ECANCELED) {
        return status;
    }
    for (size_t i = 0; i < KEYS_MAX; i++) {
        const struct key *key = &lexigram->keys[i];
        if (key->usable && key->matches > lexigram->key->matches) {
            lexigram->key = key;
        }
    }
    lexigram->report->key_encoding = lexigram->key->encoding;
    return TALLY_OK;
}

static void add_text(struct tl_js *js, const char *key, struct tl_str value)
{
    if (value.len > 0) {
        tl_js_str(js, key, value);
    }
}

/* An integer as one if it is spelt as such; else as text. */
static void add_integer(struct tl_js *js, const char *key, struct tl_str value)
{
    uint64_t number = 0;
    if (value.len > 0 &&
        tl_parse_u64(value.text, value.len, (UINT64_C(1) << 53) - 1, &number) == TALLY_OK) {
        tl_js_u64(js, key, number);
    } else {
        tl_js_str(js, key, value);
    }
}

/* Reads a column that should hold a JSON object. *object_out is NULL if it is NULL or empty, or is
 * none; then *broken_out is set as well. */
static tally_status read_object(struct lexigram *lexigram, struct tl_str text,
                                const struct tl_json **object_out, bool *broken_out,
                                struct tally_error *err)
{
    *object_out = NULL;
    if (text.len == 0 || tl_str_is(text, "null")) {
        return TALLY_OK;
    }
    struct tl_json_limits limits = tl_json_limits_format;
    limits.bytes_max = TL_INPUT_BYTES_MAX;
    limits.keep_integers = true;
    const struct tl_json *root = NULL;
    struct tally_error why = TALLY_ERROR_INIT;
    tally_status status = tl_json_read(&lexigram->arena, text.text, text.len, &limits, &root, &why);
    if (status == TALLY_ENOMEM) {
        return tl_fail(err, status, "out of memory");
    }
    bool is_object = status == TALLY_OK && root->type == TL_JSON_OBJECT;
    *broken_out = *broken_out || !is_object;
    *object_out = is_object ? root : NULL;
    return TALLY_OK;
}

static const char *result_of(struct lexigram *lexigram, const struct tl_lexigram_cells *cells,
                             const struct tally_lexigram_match *match)
{
    struct tl_lexigram_report *report = lexigram->report;
    if (cell(cells, "checksum").len == 0) {
        report->absent++;
        return "absent";
    }
    if (lexigram->key == NULL) {
        report->no_key++;
        return "no_key";
    }
    bool fits = match->verdict == TALLY_VERDICT_VERIFIED;
    report->match += fits ? 1 : 0;
    report->mismatch += fits ? 0 : 1;
    return fits ? "match" : "mismatch";
}

/* metadata.import: where the row comes from, and what its checksum said. */
static void add_import(struct lexigram *lexigram, const struct tl_lexigram_cells *cells,
                       const struct tally_lexigram_match *match)
{
    struct tl_js *js = &lexigram->js;
    char id[24];
    (void)snprintf(id, sizeof(id), "%" PRId64, cells->id);
    tl_js_open(js, "import", '{');
    tl_js_text(js, "from", "lexigram");
    tl_js_text(js, "table", lexigram->options->table);
    tl_js_raw(js, "row_id", tl_str_of(id));
    tl_js_str(js, "created_at", cell(cells, "created_at"));
    tl_js_str(js, "checksum", cell(cells, "checksum"));
    tl_js_text(js, "result", result_of(lexigram, cells, match));
    if (match->verdict == TALLY_VERDICT_VERIFIED) {
        tl_js_u64(js, "version", (uint64_t)match->version);
        tl_js_text(js, "layout", match->layout == TALLY_LEXIGRAM_LAYOUT_T ? "T" : "stored");
    }
    if (!lexigram->options->drop_original) {
        tl_js_open(js, "row", '{');
        for (size_t i = 0; i < TL_ARRAY_LEN(hashed_columns); i++) {
            const char *name = hashed_columns[i];
            bool is_integer = strcmp(name, "entry_schema_version") == 0 ||
                              strcmp(name, "payload_size_bytes") == 0;
            if (is_integer) {
                add_integer(js, name, cell(cells, name));
            } else {
                tl_js_str(js, name, cell(cells, name));
            }
        }
        tl_js_close(js, '}');
    }
    tl_js_close(js, '}');
}

/* Their metadata, with what has no member of its own, and where the row comes from. */
static tally_status add_metadata(struct lexigram *lexigram, const struct tl_lexigram_cells *cells,
                                 const struct tally_lexigram_match *match, bool *broken,
                                 struct tally_error *err)
{
    struct tl_js *js = &lexigram->js;
    struct tl_str text = cell(cells, "metadata");
    const struct tl_json *object = NULL;
    TL_TRY(read_object(lexigram, text, &object, broken, err));
    tl_js_open(js, "metadata", '{');
    for (const struct tl_json *at = object == NULL ? NULL : object->first; at != NULL;
         at = at->next) {
        struct tl_str value = { text.text + at->offset, at->end - at->offset };
        if (tl_str_is(at->key, "import")) {
            tl_js_member(js, TL_STR("import_original"), value);
        } else if (!tl_str_is(at->key, "command_payload_hash") &&
                   !tl_str_is(at->key, "payload_size_bytes")) {
            tl_js_member(js, at->key, value);
        }
    }
    add_text(js, "command_payload_hash", cell(cells, "command_payload_hash"));
    if (cell(cells, "payload_size_bytes").len > 0) {
        add_integer(js, "payload_size_bytes", cell(cells, "payload_size_bytes"));
    }
    add_import(lexigram, cells, match);
    tl_js_close(js, '}');
    return TALLY_OK;
}

static tally_status add_values(struct lexigram *lexigram, const struct tl_lexigram_cells *cells,
                               const char *name, bool *broken, struct tally_error *err)
{
    const struct tl_json *object = NULL;
    TL_TRY(read_object(lexigram, cell(cells, name), &object, broken, err));
    if (object != NULL) {
        tl_js_raw(&lexigram->js, name, cell(cells, name));
    }
    return TALLY_OK;
}

static void add_members(struct lexigram *lexigram, const struct tl_lexigram_cells *cells)
{
    static const char *const members[] = { "action",    "severity",       "outcome",
                                           "tenant_id", "correlation_id", "causation_id" };
    struct tl_js *js = &lexigram->js;
    TL_CLEANUP(tl_buf_release) struct tl_buf id = { 0 };
    tl_buf_init(&id, 4096);
    tl_buf_addf(&id, "lexigram/%s/%" PRId64, lexigram->name, cells->id);
    tl_js_str(js, "id", tl_buf_str(&id));
    add_text(js, "occurred_at", cell(cells, "changed_at"));
    for (size_t i = 0; i < TL_ARRAY_LEN(members); i++) {
        add_text(js, members[i], cell(cells, members[i]));
    }
    tl_js_open(js, "actor", '{');
    add_text(js, "id", cell(cells, "changed_by"));
    tl_js_close(js, '}');
    tl_js_open(js, "source", '{');
    add_text(js, "service", cell(cells, "source"));
    tl_js_close(js, '}');
    if (cell(cells, "table_name").len > 0 || cell(cells, "entity_id").len > 0) {
        tl_js_open(js, "targets", '[');
        tl_js_open(js, NULL, '{');
        add_text(js, "type", cell(cells, "table_name"));
        add_text(js, "id", cell(cells, "entity_id"));
        tl_js_close(js, '}');
        tl_js_close(js, ']');
    }
}

static tally_status import_row(void *ctx, const struct tl_lexigram_cells *cells,
                               struct tally_error *err)
{
    struct lexigram *lexigram = ctx;
    struct tl_js *js = &lexigram->js;
    struct tally_lexigram_match match = { .verdict = TALLY_VERDICT_UNKNOWN };
    TL_TRY(verify(cells, lexigram->key, &match, err));
    if (lexigram->has_last && cells->id > lexigram->last_id) {
        lexigram->report->missing_ids += (uint64_t)cells->id - (uint64_t)lexigram->last_id - 1;
    }
    lexigram->has_last = true;
    lexigram->last_id = cells->id;
    tl_buf_clear(&js->buf);
    js->comma = false;
    tl_arena_reset(&lexigram->arena);
    bool broken = false;
    tl_js_open(js, NULL, '{');
    add_members(lexigram, cells);
    TL_TRY(add_values(lexigram, cells, "old_values", &broken, err));
    TL_TRY(add_values(lexigram, cells, "new_values", &broken, err));
    TL_TRY(add_metadata(lexigram, cells, &match, &broken, err));
    tl_js_close(js, '}');
    lexigram->report->unparsed += broken ? 1 : 0;
    if (tl_buf_status(&js->buf) != TALLY_OK) {
        return tl_fail(err, TALLY_ENOMEM, "out of memory");
    }
    uint64_t line = cells->id < 0 ? 0 : (uint64_t)cells->id;
    return tl_import_event(lexigram->import, line, tl_buf_str(&js->buf), tl_buf_str(&js->buf), err);
}

tally_status tl_import_lexigram(struct tl_import *import, const char *path,
                                const struct tl_lexigram_options *options,
                                struct tl_lexigram_report *report, struct tally_error *err)
{
    TL_CLEANUP(release)
    struct lexigram lexigram = {
        .import = import,
        .options = options,
        .report = report,
        .name = options->name != NULL ? options->name : options->table,
    };
    tl_arena_init(&lexigram.arena, 8 * TL_INPUT_BYTES_MAX);
    tl_js_init(&lexigram.js);
    TL_TRY(choose_key(&lexigram, path, err));
    uint64_t shared = 0;
    TL_TRY(tl_lexigram_rows(path, options->table, import_row, &lexigram, &shared, err));
    report->shared += shared;
    return TALLY_OK;
}

enum tl_exit tl_lexigram_exit(const struct tl_lexigram_report *report, uint64_t changed)
{
    if (report->mismatch > 0 || report->shared > 0 || changed > 0) {
        return TL_EXIT_NO;
    }
    return report->absent > 0 || report->no_key > 0 ? TL_EXIT_UNKNOWN : TL_EXIT_OK;
}
