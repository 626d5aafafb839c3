#include <inttypes.h>
#include <string.h>

#include "base/io.h"
#include "base/limits.h"
#include "base/parse.h"
#include "cli/cmd.h"
#include "cli/out.h"

static const struct tl_opt opts[] = {
    { "output", 0, "FILE", "where to write it; else stdout" },
    { "check", 0, "FILE", "check this proof; needs --trust" },
    { "trust", 0, "FILE", "the keys to trust" },
    { 0 },
};

/* The position of a record that is named by position or id. */
static tally_status find_seq(struct tally_ledger *ledger, const char *name, uint64_t *seq_out,
                             struct tally_error *err)
{
    if (tl_parse_u64(name, strlen(name), UINT64_MAX, seq_out) == TALLY_OK) {
        return TALLY_OK;
    }
    TL_CLEANUP(tl_page_freep) struct tally_page *page = NULL;
    TL_TRY(tally_get_by_id(ledger, name, &page, err));
    if (page->count == 0) {
        return tl_fail(err, TALLY_ENOTFOUND, "there is no such record");
    }
    *seq_out = page->items[0].seq;
    return TALLY_OK;
}

static tally_status write_out(const struct tl_args *args, const char *text, struct tally_error *err)
{
    const char *path = tl_args_value(args, "output");
    if (path == NULL || strcmp(path, "-") == 0) {
        (void)fputs(text, stdout); /* main() looks at ferror() */
        return TALLY_OK;
    }
    return tl_io_replace_file(path, text, strlen(text), 0644, err);
}

static enum tl_exit make(struct tl_cli *cli, const struct tl_args *args, const char *what,
                         bool consistency)
{
    struct tally_error err = TALLY_ERROR_INIT;
    TL_CLEANUP(tl_ledger_closep) struct tally_ledger *ledger = NULL;
    enum tl_exit exit_status = tl_cli_open(cli, false, &ledger);
    if (exit_status != TL_EXIT_OK) {
        return exit_status;
    }
    TL_CLEANUP(tl_public_freep) char *text = NULL;
    uint64_t number = 0;
    tally_status status = TALLY_OK;
    if (!consistency) {
        status = find_seq(ledger, what, &number, &err);
        status = status != TALLY_OK ? status : tally_proof_make(ledger, number, &text, &err);
    } else if (tl_parse_u64(what, strlen(what), UINT64_MAX, &number) != TALLY_OK) {
        return tl_cli_usage(cli, "'tally proof consistency' takes the older size as a number");
    } else {
        status = tally_consistency_make(ledger, number, &text, &err);
    }
    status = status != TALLY_OK ? status : write_out(args, text, &err);
    return status == TALLY_OK ? TL_EXIT_OK : tl_cli_fail(cli, &err);
}

static tally_status print_result(const struct tl_cli *cli, const struct tally_proof_result *result,
                                 struct tally_error *err)
{
    if (cli->view == TL_VIEW_TABLE || cli->view == TL_VIEW_CSV) {
        enum tl_style style =
            result->verdict == TALLY_VERDICT_VERIFIED ? TL_STYLE_GOOD : TL_STYLE_BAD;
        tl_print_styled(cli, style, tally_verdict_name(result->verdict));
        printf("\n");
        if (result->verdict == TALLY_VERDICT_VERIFIED) {
            printf("record %" PRIu64 " is under the checkpoint of %" PRIu64 " leaves of ",
                   result->seq, result->size);
            tl_print_text(stdout, tl_str_of(result->origin));
        } else {
            tl_print_text(stdout, tl_str_of(result->reason));
        }
        printf("\n");
        return TALLY_OK;
    }
    TL_CLEANUP(tl_js_release) struct tl_js js = { 0 };
    tl_js_init(&js);
    tl_js_open(&js, NULL, '{');
    tl_js_text(&js, "verdict", tally_verdict_name(result->verdict));
    tl_js_u64(&js, "seq", result->seq);
    tl_js_u64(&js, "size", result->size);
    tl_js_time(&js, "recorded_at", result->recorded_us);
    tl_js_text(&js, "origin", result->origin);
    tl_js_text(&js, "reason", result->reason);
    tl_js_close(&js, '}');
    return tl_js_print(&js, stdout, err);
}

static enum tl_exit check(struct tl_cli *cli, const struct tl_args *args, const char *path)
{
    const char *trust_path = tl_args_value(args, "trust");
    if (trust_path == NULL) {
        return tl_cli_usage(cli, "checking a proof needs --trust FILE");
    }
    struct tally_error err = TALLY_ERROR_INIT;
    TL_CLEANUP(tl_freep) char *proof = NULL;
    TL_CLEANUP(tl_freep) char *trust = NULL;
    size_t proof_len = 0;
    size_t trust_len = 0;
    struct tally_proof_result result = { 0 };
    if (tl_file_read(path, TL_CONFIG_BYTES_MAX, &proof, &proof_len, &err) != TALLY_OK ||
        tl_file_read(trust_path, TL_CONFIG_BYTES_MAX, &trust, &trust_len, &err) != TALLY_OK ||
        tally_proof_check(proof, proof_len, trust, trust_len, &result, &err) != TALLY_OK ||
        print_result(cli, &result, &err) != TALLY_OK) {
        return tl_cli_fail(cli, &err);
    }
    return result.verdict == TALLY_VERDICT_VERIFIED   ? TL_EXIT_OK
           : result.verdict == TALLY_VERDICT_TAMPERED ? TL_EXIT_NO
                                                      : TL_EXIT_UNKNOWN;
}

static enum tl_exit run(struct tl_cli *cli, const struct tl_args *args)
{
    const char *to_check = tl_args_value(args, "check");
    const char *verb = args->rest_count > 0 ? args->rest[0] : "";
    if (to_check != NULL) {
        return args->rest_count == 0
                   ? check(cli, args, to_check)
                   : tl_cli_usage(cli, "--check takes a file, and nothing else is to be named");
    }
    if (args->rest_count == 1) {
        return make(cli, args, verb, false);
    }
    if (args->rest_count == 2 && strcmp(verb, "make") == 0) {
        return make(cli, args, args->rest[1], false);
    }
    if (args->rest_count == 2 && strcmp(verb, "consistency") == 0) {
        return make(cli, args, args->rest[1], true);
    }
    if (args->rest_count == 2 && strcmp(verb, "check") == 0) {
        return check(cli, args, args->rest[1]);
    }
    return tl_cli_usage(cli, "'tally proof' takes a record, --check FILE, or consistency OLD-SIZE");
}

const struct tl_cmd tl_cmd_proof = {
    .name = "proof",
    .summary = "make and check proofs that leave the house",
    .arguments = "ID|SEQ | --check FILE | consistency OLD-SIZE",
    .about =
        "A proof shows that a record is under a signed checkpoint. Checking one needs the proof\n"
        "and a trust file, no ledger. 'proof make ID' and 'proof check FILE' are the same.\n",
    .examples = "tally proof 7 --output record-7.tlog-proof\n"
                "tally checkpoint --trust > trust.txt\n"
                "tally proof --check record-7.tlog-proof --trust trust.txt\n"
                "tally proof consistency 4096\n",
    .opts = opts,
    .rest_max = 2,
    .run = run,
};
