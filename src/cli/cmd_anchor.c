#include <inttypes.h>
#include <string.h>

#include "base/parse.h"
#include "cli/cmd.h"
#include "cli/out.h"

#define NOTE_BYTES_MAX 65536u

static const struct tl_opt opts[] = {
    { "by", 0, "WHO", "who asks for it; recorded" },
    { 0 },
};

/* Whether results are printed as JSON. */
static bool is_json(const struct tl_cli *cli)
{
    return cli->view == TL_VIEW_JSON || cli->view == TL_VIEW_NDJSON;
}

/* Results as they come: a table, or an array of objects. */
struct listing {
    struct tl_js js;
    struct tl_table table;
    bool json;
    size_t done;
    size_t failed;
};

static void begin(struct listing *listing, const struct tl_cli *cli,
                  const struct tl_column *columns, size_t count, const char *name)
{
    *listing = (struct listing){ .json = is_json(cli) };
    tl_js_init(&listing->js);
    tl_table_init(&listing->table, cli, columns, count);
    listing->table.whole = true;
    tl_js_open(&listing->js, NULL, '{');
    tl_js_open(&listing->js, name, '[');
}

/* Also prints. */
static tally_status end(struct listing *listing, struct tally_error *err)
{
    tally_status status = TALLY_OK;
    tl_js_close(&listing->js, ']');
    tl_js_close(&listing->js, '}');
    status = listing->json ? tl_js_print(&listing->js, stdout, err)
                           : tl_table_print(&listing->table, err);
    tl_table_release(&listing->table);
    tl_js_release(&listing->js);
    return status;
}

static void add_anchored(void *ctx, const struct tally_anchored *anchored)
{
    struct listing *listing = ctx;
    bool done = anchored->status == TALLY_OK;
    struct tl_js *js = &listing->js;
    listing->done += done;
    listing->failed += !done;
    tl_js_open(js, NULL, '{');
    tl_js_text(js, "target", anchored->target);
    tl_js_bool(js, "anchored", done);
    tl_js_text(js, "status", done ? NULL : tally_status_name(anchored->status));
    tl_js_u64(js, "size", anchored->size);
    if (anchored->seq == TALLY_SEQ_NONE) {
        tl_js_null(js, "seq");
    } else {
        tl_js_u64(js, "seq", anchored->seq);
    }
    tl_js_text(js, "detail", anchored->detail);
    tl_js_close(js, '}');
    tl_table_cell(&listing->table, tl_str_of(done ? "anchored" : "failed"),
                  done ? TL_STYLE_GOOD : TL_STYLE_BAD);
    tl_table_u64(&listing->table, anchored->size);
    tl_table_text(&listing->table, anchored->target);
    tl_table_text(&listing->table, anchored->detail);
}

static enum tl_exit anchor(struct tl_cli *cli, const struct tl_args *args)
{
    static const struct tl_column columns[] = {
        { "result", false }, { "size", true }, { "target", false }, { "answer", false }
    };
    TL_CLEANUP(tl_ledger_closep) struct tally_ledger *ledger = NULL;
    enum tl_exit exit_status = tl_cli_open(cli, true, &ledger);
    if (exit_status != TL_EXIT_OK) {
        return exit_status;
    }
    struct tally_error err = TALLY_ERROR_INIT;
    struct tally_error print_err = TALLY_ERROR_INIT;
    struct listing listing;
    begin(&listing, cli, columns, TL_ARRAY_LEN(columns), "anchors");
    tally_status status = tally_anchor(ledger, args->rest, args->rest_count,
                                       tl_args_value(args, "by"), add_anchored, &listing, &err);
    bool any = listing.done + listing.failed > 0;
    size_t done = listing.done;
    if (any || status == TALLY_OK) {
        if (end(&listing, &print_err) != TALLY_OK) {
            return tl_cli_fail(cli, &print_err);
        }
    } else {
        tl_table_release(&listing.table);
        tl_js_release(&listing.js);
    }
    if (status == TALLY_OK) {
        return TL_EXIT_OK;
    }
    exit_status = tl_cli_fail(cli, &err);
    return done > 0 && exit_status == TL_EXIT_UNAVAILABLE ? TL_EXIT_INCOMPLETE : exit_status;
}

static void add_entry(void *ctx, const struct tally_anchor_entry *entry)
{
    struct listing *listing = ctx;
    bool is_record = entry->seq != TALLY_SEQ_NONE;
    const char *proof = is_record ? (entry->has_token != 0 ? "token" : "no token")
                                  : (entry->has_token != 0 ? "signed" : "unchecked");
    struct tl_js *js = &listing->js;
    tl_js_open(js, NULL, '{');
    tl_js_text(js, "kind", entry->kind);
    if (is_record) {
        tl_js_u64(js, "seq", entry->seq);
    } else {
        tl_js_null(js, "seq");
    }
    tl_js_u64(js, "size", entry->size);
    tl_js_time(js, "time", entry->recorded_us);
    tl_js_text(js, "ref", entry->ref);
    tl_js_text(js, "proof", proof);
    tl_js_close(js, '}');
    tl_table_text(&listing->table, entry->kind);
    if (is_record) {
        tl_table_u64(&listing->table, entry->seq);
    } else {
        tl_table_text(&listing->table, "-");
    }
    tl_table_u64(&listing->table, entry->size);
    tl_table_text(&listing->table, proof);
    tl_table_text(&listing->table, entry->ref);
}

static enum tl_exit list(struct tl_cli *cli)
{
    static const struct tl_column columns[] = {
        { "kind", false }, { "seq", true }, { "size", true }, { "proof", false }, { "ref", false }
    };
    TL_CLEANUP(tl_ledger_closep) struct tally_ledger *ledger = NULL;
    enum tl_exit exit_status = tl_cli_open(cli, false, &ledger);
    if (exit_status != TL_EXIT_OK) {
        return exit_status;
    }
    struct tally_error err = TALLY_ERROR_INIT;
    struct listing listing;
    begin(&listing, cli, columns, TL_ARRAY_LEN(columns), "anchors");
    tally_status status = tally_anchor_list(ledger, add_entry, &listing, &err);
    tally_status printed = end(&listing, &err);
    return status == TALLY_OK && printed == TALLY_OK ? TL_EXIT_OK : tl_cli_fail(cli, &err);
}

static const char *name_of(enum tally_verdict verdict)
{
    switch (verdict) {
    case TALLY_VERDICT_VERIFIED:
        return "VERIFIED";
    case TALLY_VERDICT_TAMPERED:
        return "TAMPERED";
    case TALLY_VERDICT_UNVERIFIABLE:
    case TALLY_VERDICT_UNKNOWN:
        break;
    }
    return "UNVERIFIABLE";
}

static enum tl_exit print_result(const struct tl_cli *cli, const struct tally_anchor_result *result)
{
    const char *verdict = name_of(result->verdict);
    if (is_json(cli)) {
        struct tally_error err = TALLY_ERROR_INIT;
        TL_CLEANUP(tl_js_release) struct tl_js js = { 0 };
        tl_js_init(&js);
        tl_js_open(&js, NULL, '{');
        tl_js_text(&js, "verdict", verdict);
        tl_js_u64(&js, "size", result->size);
        if (result->time_s > 0) {
            tl_js_time(&js, "time", result->time_s * 1000000);
        } else {
            tl_js_null(&js, "time");
        }
        tl_js_text(&js, "authority", result->authority);
        tl_js_text(&js, "reason", result->reason);
        tl_js_close(&js, '}');
        if (tl_js_print(&js, stdout, &err) != TALLY_OK) {
            return tl_cli_fail(cli, &err);
        }
    } else {
        tl_print_styled(
            cli, result->verdict == TALLY_VERDICT_VERIFIED ? TL_STYLE_GOOD : TL_STYLE_BAD, verdict);
        printf(": %" PRIu64 " leaves; ", result->size);
        tl_print_text(stdout, tl_str_of(result->reason));
        if (result->authority[0] != '\0') {
            printf("; by ");
            tl_print_text(stdout, tl_str_of(result->authority));
        }
        printf("\n");
    }
    return result->verdict == TALLY_VERDICT_VERIFIED   ? TL_EXIT_OK
           : result->verdict == TALLY_VERDICT_TAMPERED ? TL_EXIT_NO
                                                       : TL_EXIT_UNKNOWN;
}

static enum tl_exit check(struct tl_cli *cli, const char *what)
{
    struct tally_error err = TALLY_ERROR_INIT;
    struct tally_anchor_result result = { .verdict = TALLY_VERDICT_UNKNOWN };
    TL_CLEANUP(tl_ledger_closep) struct tally_ledger *ledger = NULL;
    TL_CLEANUP(tl_freep) char *note = NULL;
    uint64_t seq = 0;
    size_t len = 0;
    bool is_seq = tl_parse_u64(what, strlen(what), TALLY_SEQ_NONE - 1, &seq) == TALLY_OK;
    if (!is_seq && tl_file_read(what, NOTE_BYTES_MAX, &note, &len, &err) != TALLY_OK) {
        return tl_cli_fail(cli, &err);
    }
    enum tl_exit exit_status = tl_cli_open(cli, false, &ledger);
    if (exit_status != TL_EXIT_OK) {
        return exit_status;
    }
    tally_status status = is_seq ? tally_anchor_check(ledger, seq, &result, &err)
                                 : tally_anchor_compare(ledger, note, len, &result, &err);
    return status == TALLY_OK ? print_result(cli, &result) : tl_cli_fail(cli, &err);
}

static enum tl_exit run(struct tl_cli *cli, const struct tl_args *args)
{
    const char *first = args->rest_count > 0 ? args->rest[0] : "";
    if (strcmp(first, "list") == 0) {
        return args->rest_count == 1 ? list(cli) : tl_cli_usage(cli, "'list' takes no arguments");
    }
    if (strcmp(first, "check") == 0) {
        return args->rest_count == 2
                   ? check(cli, args->rest[1])
                   : tl_cli_usage(cli, "'check' takes the seq of a record, or a file");
    }
    return anchor(cli, args);
}

const struct tl_cmd tl_cmd_anchor = {
    .name = "anchor",
    .summary = "take the newest checkpoint where this machine cannot change it",
    .arguments = "[TARGET...] | list | check SEQ|FILE",
    .about =
        "Without TARGET, to all of 'anchor.targets'. A target is file:/PATH, git:/DIR,\n"
        "https://HOST/PATH, rfc3161+https://HOST/PATH (a time stamping authority) or\n"
        "witness+https://HOST/PATH#VKEY. 'list' shows the anchors that the ledger knows; 'check'\n"
        "checks one, or a checkpoint that was kept elsewhere. Exit status 6 if some targets "
        "failed,\n"
        "5 if all did.\n",
    .examples = "tally anchor\n"
                "tally anchor file:/mnt/safe/checkpoint --by 'night job'\n"
                "tally anchor rfc3161+https://tsa.example/tsr\n"
                "tally anchor list\n"
                "tally anchor check 4711\n"
                "tally anchor check /mnt/safe/checkpoint\n",
    .opts = opts,
    .rest_max = 16,
    .run = run,
};
