#include <string.h>

#include "base/arena.h"
#include "base/limits.h"
#include "cli/import.h"
#include "codec/json.h"

/* How much of input that is no JSON at all goes with its reject. */
#define BROKEN_INPUT_MAX 1000u

/* A failure of the source that concerns one piece of input rather than all that follow. */
static bool is_about_input(tally_status status)
{
    return status == TALLY_EREFUSED || status == TALLY_ELIMIT || status == TALLY_EINVAL;
}

static tally_status reject_start(struct tl_import *import, uint64_t line,
                                 const struct tally_error *why, struct tl_str text,
                                 struct tally_error *err)
{
    text.len = text.len > BROKEN_INPUT_MAX ? BROKEN_INPUT_MAX : text.len;
    return tl_import_reject(import, line, why, text, err);
}

static struct tl_str slice(struct tl_str text, const struct tl_json *value)
{
    return (struct tl_str){ text.text + value->offset, value->end - value->offset };
}

/* A record as exports have it: not only an event that happens to have a member of such a name. */
static bool is_record(const struct tl_json *root)
{
    const struct tl_json *event = tl_json_member(root, "event");
    return tl_json_member(root, "seq") != NULL && tl_json_member(root, "leaf_hash") != NULL &&
           tl_json_member(root, "origin") != NULL && tl_json_member(root, "state") != NULL &&
           (event == NULL || event->type == TL_JSON_OBJECT);
}

static void add_position(struct tl_js *js, struct tl_str text, const struct tl_json *record)
{
    static const char *const members[] = { "origin", "seq", "recorded_at", "leaf_hash" };
    tl_js_open(js, "import", '{');
    tl_js_text(js, "from", "tally");
    for (size_t i = 0; i < TL_ARRAY_LEN(members); i++) {
        const struct tl_json *value = tl_json_member(record, members[i]);
        if (value != NULL) {
            tl_js_raw(js, members[i], slice(text, value));
        }
    }
    tl_js_close(js, '}');
}

/* The event of a record, with the record's place in its ledger under metadata.import. */
static void add_event(struct tl_js *js, struct tl_str text, const struct tl_json *record,
                      const struct tl_json *event)
{
    const struct tl_json *metadata = tl_json_member(event, "metadata");
    bool is_object = metadata != NULL && metadata->type == TL_JSON_OBJECT;
    tl_js_open(js, NULL, '{');
    for (const struct tl_json *member = event->first; member != NULL; member = member->next) {
        if (member != metadata || !is_object) {
            tl_js_member(js, member->key, slice(text, member));
        }
    }
    if (metadata == NULL || is_object) {
        tl_js_open(js, "metadata", '{');
        const struct tl_json *first = is_object ? metadata->first : NULL;
        for (const struct tl_json *member = first; member != NULL; member = member->next) {
            tl_js_member(js, member->key, slice(text, member));
        }
        /* An event that was imported before keeps what it says of that. */
        if (!is_object || tl_json_member(metadata, "import") == NULL) {
            add_position(js, text, record);
        }
        tl_js_close(js, '}');
    }
    tl_js_close(js, '}');
}

static tally_status take_record(struct tl_import *import, uint64_t line, struct tl_str text,
                                const struct tl_json *record, struct tally_error *err)
{
    const struct tl_json *event = tl_json_member(record, "event");
    if (event == NULL) {
        struct tally_error why = TALLY_ERROR_INIT;
        (void)tl_refuse(&why, "missing", "/event", "the record has no content"); /* kept in why */
        return tl_import_reject(import, line, &why, text, err);
    }
    /* Back in the ledger that it comes from it is the same event, and already there. */
    const struct tl_json *origin = tl_json_member(record, "origin");
    if (origin->type == TL_JSON_STRING && tl_str_is(origin->text, tl_import_origin(import))) {
        return tl_import_event(import, line, slice(text, event), text, err);
    }
    TL_CLEANUP(tl_js_release) struct tl_js js = { 0 };
    tl_js_init(&js);
    add_event(&js, text, record, event);
    if (tl_buf_status(&js.buf) != TALLY_OK) {
        return tl_fail(err, TALLY_ENOMEM, "out of memory");
    }
    return tl_import_event(import, line, tl_buf_str(&js.buf), text, err);
}

/* Takes the text of an event or of a record. Only what looks like a record is read twice. */
static tally_status take_text(struct tl_import *import, uint64_t line, struct tl_str text,
                              struct tally_error *err)
{
    if (!tl_str_starts(text, TL_STR("{\"time\":\""))) {
        return tl_import_event(import, line, text, text, err);
    }
    TL_CLEANUP(tl_arena_release) struct tl_arena arena = { 0 };
    tl_arena_init(&arena, 8 * TL_INPUT_BYTES_MAX);
    struct tl_json_limits limits = tl_json_limits_format;
    limits.bytes_max = TL_INPUT_BYTES_MAX;
    limits.keep_integers = true;
    const struct tl_json *root = NULL;
    struct tally_error why = TALLY_ERROR_INIT;
    tally_status status = tl_json_read(&arena, text.text, text.len, &limits, &root, &why);
    if (status == TALLY_ENOMEM) {
        return tl_fail(err, status, "out of memory");
    }
    if (status == TALLY_OK && is_record(root)) {
        return take_record(import, line, text, root, err);
    }
    return tl_import_event(import, line, text, text, err); /* and says what is wrong with it */
}

/* The last line of our own exports. An export that was cut off has none, or one that says so. */
static bool is_trailer(struct tl_str line)
{
    return tl_str_starts(line, TL_STR("{\"tally_export\":"));
}

static tally_status take_line(struct tl_import *import, uint64_t number, struct tl_str line,
                              struct tally_error *err)
{
    while (line.len > 0 && (line.text[0] == ' ' || line.text[0] == '\t')) {
        line.text++;
        line.len--;
    }
    bool is_event = line.len > 0 && !is_trailer(line);
    return is_event ? take_text(import, number, line, err) : TALLY_OK;
}

tally_status tl_import_ndjson(struct tl_import *import, struct tl_source *source,
                              struct tally_error *err)
{
    for (;;) {
        struct tl_str line = { NULL, 0 };
        uint64_t number = 0;
        struct tally_error why = TALLY_ERROR_INIT;
        tally_status status = tl_source_line(source, &line, &number, &why);
        if (status == TALLY_ENOTFOUND) {
            return TALLY_OK;
        }
        if (status == TALLY_OK) {
            status = take_line(import, number, line, err);
        } else if (status == TALLY_ELIMIT) {
            status = tl_import_reject(import, number, &why, line, err);
        } else {
            status = tl_fail_errno(err, status, why.os_errno, "%s", why.message);
        }
        TL_TRY(status);
    }
}

typedef tally_status take_fn(struct tl_import *import, uint64_t line, struct tl_str text,
                             struct tally_error *err);

static tally_status next_value(struct tl_import *import, struct tl_source *source,
                               struct tl_str *text_out, uint64_t *line_out, bool *broken_out,
                               struct tally_error *err)
{
    struct tally_error why = TALLY_ERROR_INIT;
    tally_status status = tl_source_value(source, text_out, line_out, &why);
    *broken_out = is_about_input(status);
    if (*broken_out) {
        return reject_start(import, *line_out, &why, *text_out, err);
    }
    return status == TALLY_OK ? TALLY_OK
                              : tl_fail_errno(err, status, why.os_errno, "%s", why.message);
}

/* Says that the input is no JSON where the source stands now. */
static tally_status reject_here(struct tl_import *import, const struct tl_source *source,
                                struct tally_error *err)
{
    struct tally_error why = TALLY_ERROR_INIT;
    (void)tl_refuse(&why, "bad_json", "",
                    "malformed JSON; the rest of the file is left out"); /* kept in why */
    return reject_start(import, source->line, &why, tl_source_window(source), err);
}

/* Takes each element of the array whose bracket is next. *broken_out: the rest cannot be read. */
static tally_status take_array(struct tl_import *import, struct tl_source *source, take_fn *take,
                               bool *broken_out, struct tally_error *err)
{
    tl_source_skip(source);
    *broken_out = false;
    int c = 0;
    TL_TRY(tl_source_peek(source, &c, err));
    if (c == ']') {
        tl_source_skip(source);
        return TALLY_OK;
    }
    for (;;) {
        struct tl_str text = { NULL, 0 };
        uint64_t line = 0;
        TL_TRY(next_value(import, source, &text, &line, broken_out, err));
        if (*broken_out) {
            return TALLY_OK;
        }
        TL_TRY(take(import, line, text, err));
        TL_TRY(tl_source_peek(source, &c, err));
        if (c != ',' && c != ']') {
            *broken_out = true;
            return reject_here(import, source, err);
        }
        tl_source_skip(source);
        if (c == ']') {
            return TALLY_OK;
        }
    }
}

/* Takes the array that is member `name` of the object whose brace is next, and passes over all
 * other members. *found_out: there is one. *broken_out as above. */
static tally_status take_member(struct tl_import *import, struct tl_source *source,
                                const char *name, take_fn *take, bool *found_out, bool *broken_out,
                                struct tally_error *err)
{
    int c = 0;
    *found_out = false;
    do {
        struct tl_str member = { NULL, 0 };
        struct tl_str value = { NULL, 0 };
        uint64_t line = 0;
        tl_source_skip(source); /* the brace, or a comma */
        TL_TRY(next_value(import, source, &member, &line, broken_out, err));
        bool is_it = !*broken_out && member.len == strlen(name) + 2 &&
                     memcmp(member.text + 1, name, member.len - 2) == 0;
        TL_TRY(tl_source_peek(source, &c, err));
        if (*broken_out) {
            return TALLY_OK;
        }
        if (c != ':') {
            *broken_out = true;
            return reject_here(import, source, err);
        }
        tl_source_skip(source);
        TL_TRY(tl_source_peek(source, &c, err));
        *found_out = *found_out || (is_it && c == '[');
        tally_status status = is_it && c == '['
                                  ? take_array(import, source, take, broken_out, err)
                                  : next_value(import, source, &value, &line, broken_out, err);
        TL_TRY(status);
        if (*broken_out) {
            return TALLY_OK;
        }
        TL_TRY(tl_source_peek(source, &c, err));
    } while (c == ',');
    if (c != '}') {
        *broken_out = true;
        return reject_here(import, source, err);
    }
    tl_source_skip(source);
    return TALLY_OK;
}

/* Takes white space and then `token` off the start of `text`, if it is there. */
static bool take_token(struct tl_str *text, struct tl_str token)
{
    while (text->len > 0 && strchr(" \t\r\n", text->text[0]) != NULL) {
        text->text++;
        text->len--;
    }
    bool is_there = tl_str_starts(*text, token);
    *text = is_there ? (struct tl_str){ text->text + token.len, text->len - token.len } : *text;
    return is_there;
}

/* Whether this is the start of our own exports. */
static bool is_export(struct tl_str text)
{
    return take_token(&text, TL_STR("{")) && take_token(&text, TL_STR("\"records\"")) &&
           take_token(&text, TL_STR(":")) && take_token(&text, TL_STR("["));
}

/* Objects in a row, or what should not follow an array. */
static tally_status take_rest(struct tl_import *import, struct tl_source *source, bool broken,
                              struct tally_error *err)
{
    while (!broken) {
        struct tl_str text = { NULL, 0 };
        uint64_t line = 0;
        int c = 0;
        TL_TRY(tl_source_peek(source, &c, err));
        if (c < 0) {
            return TALLY_OK;
        }
        TL_TRY(next_value(import, source, &text, &line, &broken, err));
        tally_status status = broken ? TALLY_OK : take_text(import, line, text, err);
        TL_TRY(status);
    }
    return TALLY_OK;
}

tally_status tl_import_json(struct tl_import *import, struct tl_source *source,
                            struct tally_error *err)
{
    int c = 0;
    TL_TRY(tl_source_peek(source, &c, err));
    bool broken = false;
    bool found = false;
    tally_status status = TALLY_OK;
    if (is_export(tl_source_window(source))) {
        status = take_member(import, source, "records", take_text, &found, &broken, err);
    } else if (c == '[') {
        status = take_array(import, source, take_text, &broken, err);
    }
    return status == TALLY_OK ? take_rest(import, source, broken, err) : status;
}

static tally_status take_cloudtrail(struct tl_import *import, uint64_t line, struct tl_str text,
                                    struct tally_error *err)
{
    TL_CLEANUP(tl_arena_release) struct tl_arena arena = { 0 };
    tl_arena_init(&arena, 8 * TL_INPUT_BYTES_MAX);
    struct tl_json_limits limits = tl_json_limits_format;
    limits.bytes_max = TL_INPUT_BYTES_MAX;
    limits.keep_integers = true;
    const struct tl_json *record = NULL;
    struct tally_error why = TALLY_ERROR_INIT;
    tally_status status = tl_json_read(&arena, text.text, text.len, &limits, &record, &why);
    if (status == TALLY_OK && record->type != TL_JSON_OBJECT) {
        status = tl_refuse(&why, "bad_type", "", "a record is an object");
    }
    if (status == TALLY_EREFUSED) {
        return tl_import_reject(import, line, &why, text, err);
    }
    TL_CLEANUP(tl_js_release) struct tl_js js = { 0 };
    tl_js_init(&js);
    if (status == TALLY_OK) {
        tl_cloudtrail_event(&js, text.text, record);
        status = tl_buf_status(&js.buf);
    }
    if (status != TALLY_OK) {
        return tl_fail(err, status, "out of memory");
    }
    return tl_import_event(import, line, tl_buf_str(&js.buf), text, err);
}

tally_status tl_import_cloudtrail(struct tl_import *import, struct tl_source *source,
                                  struct tally_error *err)
{
    int c = 0;
    TL_TRY(tl_source_peek(source, &c, err));
    bool found = false;
    bool broken = false;
    if (c == '{') {
        TL_TRY(take_member(import, source, "Records", take_cloudtrail, &found, &broken, err));
    }
    if (found || broken) {
        return TALLY_OK;
    }
    struct tally_error why = TALLY_ERROR_INIT;
    (void)tl_refuse(&why, "missing", "/Records", "this is no CloudTrail log file"); /* in why */
    return reject_start(import, source->line, &why, tl_source_window(source), err);
}
