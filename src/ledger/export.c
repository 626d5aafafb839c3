/* tally_export(): all records that fit, as one stream, with a manifest that says what was in it. */
#include <stdio.h>

#include "base/bytes.h"
#include "codec/json.h"
#include "ledger/render.h"
#include "ledger/walk.h"

#define FLUSH_BYTES    ((size_t)256 << 10)
#define PROGRESS_EVERY 4096u
#define MANIFEST_MAX   sizeof(((struct tally_export_result *)0)->manifest)

struct export
{
    const struct tally_ledger *ledger;
    const struct tally_export_options *options;
    struct tally_export_result *result;
    struct tl_buf out;
    uint64_t end;         /* of the range, for progress */
    tally_status stopped; /* by whom it is for; a walk takes TALLY_ECANCELED for its own end */
};

/* Once it was stopped nothing more is written: what followed would make it look whole. */
static tally_status flush(struct export *export)
{
    TL_TRY(export->stopped);
    TL_TRY(tl_buf_status(&export->out));
    struct tl_str text = tl_buf_str(&export->out);
    if (text.len > 0) {
        export->stopped = export->options->write(export->options->ctx, text.text, text.len);
    }
    tl_buf_clear(&export->out);
    return export->stopped;
}

static void begin(struct export *export)
{
    if ((export->options->flags & TALLY_EXPORT_BOM) != 0) {
        tl_buf_add_text(&export->out, "\xEF\xBB\xBF");
    }
    if (export->options->format == TALLY_FORMAT_CSV) {
        tl_render_csv_header(&export->out);
    } else if (export->options->format == TALLY_FORMAT_JSON) {
        tl_buf_add_text(&export->out, "{\"records\":[");
    }
}

static void add(struct export *export, const struct tl_match *match)
{
    switch (export->options->format) {
    case TALLY_FORMAT_NDJSON:
        tl_render_line(&export->out, match, export->ledger->origin);
        tl_buf_add_char(&export->out, '\n');
        break;
    case TALLY_FORMAT_JSON:
        tl_buf_add_text(&export->out, export->result->count == 0 ? "\n" : ",\n");
        tl_render_line(&export->out, match, export->ledger->origin);
        break;
    case TALLY_FORMAT_CSV:
        tl_render_csv(&export->out, match,
                      (export->options->flags & TALLY_EXPORT_NO_FORMULA_GUARD) == 0);
        break;
    }
}

static tally_status export_match(void *ctx, const struct tl_match *match)
{
    struct export *export = ctx;
    struct tally_export_result *result = export->result;
    add(export, match);
    if (result->count == 0) {
        result->first_seq = match->record->seq;
    }
    result->last_seq = match->record->seq;
    result->count++;
    /* The record's bytes lie in the store: writing them out here would hold it up, but not for
     * longer than the reader of the export does. */
    if (export->out.len >= FLUSH_BYTES) {
        TL_TRY(flush(export));
    }
    if (result->count % PROGRESS_EVERY == 0 && export->options->progress != NULL &&
        export->options->progress(export->options->ctx, match->record->seq + 1, export->end) != 0) {
        export->stopped = TALLY_ECANCELED;
    }
    return export->stopped;
}

static const char *format_name(enum tally_format format)
{
    switch (format) {
    case TALLY_FORMAT_NDJSON:
        return "ndjson";
    case TALLY_FORMAT_JSON:
        return "json";
    case TALLY_FORMAT_CSV:
        return "csv";
    }
    return "unknown";
}

/* The filter is part of the manifest, cut short if it is long: the count says what was in it. */
static void add_filter(struct tl_buf *out, const struct tally_query *query)
{
    const char *separator = "";
    tl_buf_add_char(out, '[');
    for (size_t i = 0; i < query->condition_count && out->len < MANIFEST_MAX / 4; i++) {
        const struct tally_condition *condition = &query->conditions[i];
        if (strlen(condition->value) > 64) {
            continue;
        }
        tl_buf_add_text(out, separator);
        tl_buf_add_char(out, '[');
        separator = ",";
        tl_json_write_string(out, tl_str_of(condition->field));
        tl_buf_add_char(out, ',');
        tl_json_write_string(out, tl_str_of(condition->value));
        tl_buf_add_char(out, ']');
    }
    tl_buf_add_char(out, ']');
}

static tally_status make_manifest(const struct export *export, const struct tally_query *query)
{
    struct tally_export_result *result = export->result;
    char root[2 * TL_HASH_LEN + 1];
    struct tl_buf text;
    tl_hex_encode(root, result->root, sizeof(result->root));
    tl_buf_init(&text, MANIFEST_MAX - 1);
    tl_buf_addf(&text, "{\"format\":\"%s\",\"origin\":", format_name(export->options->format));
    tl_json_write_string(&text, tl_str_of(export->ledger->origin));
    tl_buf_add_text(&text, ",\"filter\":");
    add_filter(&text, query);
    tl_buf_addf(&text, ",\"count\":%llu", (unsigned long long)result->count);
    if (result->count > 0) {
        tl_buf_addf(&text, ",\"first_seq\":%llu,\"last_seq\":%llu",
                    (unsigned long long)result->first_seq, (unsigned long long)result->last_seq);
    }
    tl_buf_addf(&text, ",\"tree_size\":%llu,\"root\":\"%s\",\"complete\":%s}",
                (unsigned long long)result->tree_size, root, result->complete ? "true" : "false");
    tally_status status = tl_buf_status(&text);
    size_t len = status == TALLY_OK ? text.len : 0;
    if (len > 0) {
        memcpy(result->manifest, text.data, len);
    }
    result->manifest[len] = '\0';
    tl_buf_release(&text);
    return status;
}

static void end(struct export *export)
{
    const char *manifest = export->result->manifest;
    switch (export->options->format) {
    case TALLY_FORMAT_NDJSON:
        tl_buf_addf(&export->out, "{\"tally_export\":%s}\n", manifest);
        break;
    case TALLY_FORMAT_JSON:
        tl_buf_addf(&export->out, "\n],\"export\":%s}\n", manifest);
        break;
    case TALLY_FORMAT_CSV:
        break; /* kept beside the file */
    }
}

static tally_status run(struct export *export, struct tl_walk *walk,
                        const struct tally_query *query, struct tally_error *err)
{
    const struct tl_walk_order order = { .ascending = true };
    begin(export);
    tally_status status = tl_walk_run(walk, &order, export_match, export, err);
    if (export->stopped == TALLY_ECANCELED) {
        status = tl_fail(err, TALLY_ECANCELED, "the export was stopped");
    }
    export->result->complete = status == TALLY_OK;
    if (make_manifest(export, query) != TALLY_OK && status == TALLY_OK) {
        status = tl_fail(err, TALLY_ENOMEM, "cannot make the manifest");
    }
    if (status == TALLY_OK) {
        end(export);
        status = flush(export);
    }
    if (status != TALLY_OK && export->result->complete) {
        export->result->complete = 0;
        (void)make_manifest(export, query); /* the caller may keep it; none is as good */
    }
    return status;
}

tally_status tally_export(struct tally_ledger *ledger, const struct tally_query *query,
                          const struct tally_export_options *options,
                          struct tally_export_result *result_out, struct tally_error *err)
{
    *result_out = (struct tally_export_result){ 0 };
    if (options->struct_size != sizeof(*options) || options->write == NULL) {
        return tl_fail(err, TALLY_EINVAL, "struct tally_export_options is not filled in");
    }
    if (options->format < TALLY_FORMAT_NDJSON || options->format > TALLY_FORMAT_CSV) {
        return tl_fail(err, TALLY_EINVAL, "there is no such export format");
    }
    TL_CLEANUP(tl_filter_freep) struct tl_filter *filter = NULL;
    TL_CLEANUP(tl_walk_end) struct tl_walk *walk = NULL;
    TL_TRY(tl_walk_filter(&filter, ledger, query, err));
    TL_TRY(tl_walk_begin(&walk, ledger, filter, err));
    struct export export = {
        .ledger = ledger, .options = options, .result = result_out, .end = walk->ranges.seq_end
    };
    result_out->tree_size = walk->head.size;
    memcpy(result_out->root, walk->head.root, sizeof(result_out->root));
    tl_buf_init(&export.out, FLUSH_BYTES + 8 * TL_EVENT_BYTES_MAX);
    tally_status status = run(&export, walk, query, err);
    tl_buf_release(&export.out);
    return status;
}
