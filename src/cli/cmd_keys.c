#include <inttypes.h>
#include <string.h>

#include "base/io.h"
#include "cli/ask.h"
#include "cli/cmd.h"
#include "cli/out.h"
#include "show/show.h"

static const struct tl_opt opts[] = {
    { "by", 0, "WHO", "rotate: who asks for it; required" },
    { "mac", 0, NULL, "rotate: also a new MAC key, which is printed once" },
    { "reason", 0, "TEXT", "rotate: why; public, for ever" },
    { "yes", 0, NULL, "rotate: do not ask" },
    { "output", 0, "FILE", "trust: where to write it; else stdout" },
    { 0 },
};

/* Where keys are put as they come. */
struct listing {
    const struct tl_cli *cli;
    struct tl_table table;
    struct tl_js js;
};

static int add_row(void *ctx, const struct tally_key *key)
{
    struct listing *listing = ctx;
    tl_table_text(&listing->table, key->kind);
    tl_table_u64(&listing->table, key->epoch);
    if (key->since_us == 0) {
        tl_table_text(&listing->table, "");
    } else {
        tl_table_time(&listing->table, key->since_us);
    }
    if (key->until_us == 0) {
        tl_table_text(&listing->table, "in force");
    } else {
        tl_table_time(&listing->table, key->until_us);
    }
    tl_table_text(&listing->table, key->is_here != 0 ? "yes" : "no");
    tl_table_text(&listing->table, key->vkey);
    return 0;
}

static int add_object(void *ctx, const struct tally_key *key)
{
    tl_show_key(&((struct listing *)ctx)->js, NULL, key);
    return 0;
}

static tally_status list_table(struct tally_ledger *ledger, struct listing *listing,
                               struct tally_error *err)
{
    static const struct tl_column columns[] = { { "kind", false },  { "epoch", true },
                                                { "since", false }, { "until", false },
                                                { "here", false },  { "key", false } };
    tl_table_init(&listing->table, listing->cli, columns, TL_ARRAY_LEN(columns));
    listing->table.whole = true; /* a key that is cut is none */
    tally_status status = tally_keys_each(ledger, add_row, listing, err);
    if (status == TALLY_OK) {
        status = tl_table_print(&listing->table, err);
    }
    tl_table_release(&listing->table);
    return status;
}

static tally_status list_json(struct tally_ledger *ledger, struct listing *listing,
                              struct tally_error *err)
{
    tl_js_init(&listing->js);
    tl_js_open(&listing->js, NULL, '{');
    tl_js_open(&listing->js, "keys", '[');
    tally_status status = tally_keys_each(ledger, add_object, listing, err);
    tl_js_close(&listing->js, ']');
    tl_js_close(&listing->js, '}');
    if (status == TALLY_OK) {
        status = tl_js_print(&listing->js, stdout, err);
    }
    tl_js_release(&listing->js);
    return status;
}

static tally_status list(const struct tl_cli *cli, struct tally_ledger *ledger,
                         struct tally_error *err)
{
    struct listing listing = { .cli = cli };
    bool as_table = cli->view == TL_VIEW_TABLE || cli->view == TL_VIEW_CSV;
    return as_table ? list_table(ledger, &listing, err) : list_json(ledger, &listing, err);
}

static tally_status print_rotated(const struct tl_cli *cli, const struct tally_rotated *rotated,
                                  struct tally_error *err)
{
    if (cli->view == TL_VIEW_TABLE || cli->view == TL_VIEW_CSV) {
        printf("log key: %s\n", rotated->log_key);
        if (rotated->mac_key[0] != '\0') {
            printf("MAC key: %s\n", rotated->mac_key);
            tl_cli_note(cli, "keep the MAC key off this machine; it is not shown again");
        }
        return TALLY_OK;
    }
    TL_CLEANUP(tl_js_release) struct tl_js js = { 0 };
    tl_js_init(&js);
    tl_js_open(&js, NULL, '{');
    tl_js_u64(&js, "seq", rotated->seq);
    tl_js_text(&js, "log_key", rotated->log_key);
    tl_js_text(&js, "mac_key", rotated->mac_key[0] == '\0' ? NULL : rotated->mac_key);
    tl_js_close(&js, '}');
    return tl_js_print(&js, stdout, err);
}

static enum tl_exit rotate(const struct tl_cli *cli, struct tally_ledger *ledger,
                           const struct tl_args *args)
{
    const struct tally_actor actor = { .by = tl_args_value(args, "by"),
                                       .reason = tl_args_value(args, "reason") };
    struct tally_error err = TALLY_ERROR_INIT;
    struct tally_error late = TALLY_ERROR_INIT;
    struct tally_rotated rotated;
    tally_status status =
        tally_keys_rotate(ledger, tl_args_has(args, "mac"), &actor, &rotated, NULL, &err);
    /* What was made is shown, whatever failed after that: there is no second time. */
    tally_status shown =
        rotated.seq == TALLY_SEQ_NONE ? TALLY_OK : print_rotated(cli, &rotated, &late);
    explicit_bzero(&rotated, sizeof(rotated));
    if (status != TALLY_OK) {
        return tl_cli_fail(cli, &err);
    }
    return shown == TALLY_OK ? TL_EXIT_OK : tl_cli_fail(cli, &late);
}

static tally_status write_trust(struct tally_ledger *ledger, const struct tl_args *args,
                                struct tally_error *err)
{
    TL_CLEANUP(tl_public_freep) char *text = NULL;
    const char *path = tl_args_value(args, "output");
    TL_TRY(tally_trust_text(ledger, &text, err));
    if (path == NULL || strcmp(path, "-") == 0) {
        (void)fputs(text, stdout); /* main() looks at ferror() */
        return TALLY_OK;
    }
    return tl_io_replace_file(path, text, strlen(text), 0644, err);
}

static enum tl_exit run(struct tl_cli *cli, const struct tl_args *args)
{
    const char *what = args->rest[0];
    bool is_rotate = strcmp(what, "rotate") == 0;
    bool is_list = strcmp(what, "list") == 0;
    if (!is_rotate && !is_list && strcmp(what, "trust") != 0) {
        return tl_cli_usage(cli, "'tally keys' takes list, rotate or trust");
    }
    if (is_rotate && tl_args_value(args, "by") == NULL) {
        return tl_cli_usage(cli, "'tally keys rotate' needs --by WHO");
    }
    enum tl_exit exit_status =
        is_rotate ? tl_cli_ask(cli, args, "The old keys will be destroyed.") : TL_EXIT_OK;
    TL_CLEANUP(tl_ledger_closep) struct tally_ledger *ledger = NULL;
    if (exit_status == TL_EXIT_OK) {
        exit_status = tl_cli_open(cli, is_rotate, &ledger);
    }
    if (exit_status != TL_EXIT_OK) {
        return exit_status;
    }
    if (is_rotate) {
        return rotate(cli, ledger, args);
    }
    struct tally_error err = TALLY_ERROR_INIT;
    tally_status status = is_list ? list(cli, ledger, &err) : write_trust(ledger, args, &err);
    return status == TALLY_OK ? TL_EXIT_OK : tl_cli_fail(cli, &err);
}

const struct tl_cmd tl_cmd_keys = {
    .name = "keys",
    .summary = "list the ledger's keys, replace the log key, print the trust file",
    .arguments = "list | rotate | trust",
    .about =
        "'rotate' makes a new log key, and with --mac a new MAC key. The record that names it is\n"
        "signed by the old and the new key, so that who trusts the old one finds the new one. The "
        "old\n"
        "secrets are destroyed. 'trust' prints the public keys, for those who verify elsewhere.\n",
    .examples = "tally keys list\n"
                "tally keys rotate --by alice --reason 'yearly change' --yes\n"
                "tally keys rotate --mac --by alice --yes --json\n"
                "tally keys trust --output /mnt/safe/trust.txt\n",
    .opts = opts,
    .rest_min = 1,
    .rest_max = 1,
    .run = run,
};
