#include <string.h>

#include "base/io.h"
#include "cli/cmd.h"
#include "cli/out.h"

static const struct tl_opt opts[] = {
    { "origin", 0, "NAME", "what the ledger is called for ever; else host, directory, random" },
    { "mac-key-file", 0, "FILE", "where to put the auditors' secret, instead of printing it" },
    { 0 },
};

/* The result holds a secret. */
static void wipe(struct tally_init_result *result)
{
    explicit_bzero(result, sizeof(*result));
}

static tally_status print_json(const struct tl_cli *cli, const struct tally_init_result *result,
                               const char *key_path, struct tally_error *err)
{
    TL_CLEANUP(tl_js_release) struct tl_js js = { 0 };
    tl_js_init(&js);
    tl_js_open(&js, NULL, '{');
    tl_js_text(&js, "ledger", cli->ledger);
    tl_js_text(&js, "origin", result->origin);
    tl_js_text(&js, "log_key", result->log_key);
    tl_js_text(&js, "epoch_key", result->epoch_key);
    if (key_path == NULL) {
        tl_js_text(&js, "mac_key", result->mac_key);
    } else {
        tl_js_text(&js, "mac_key_file", key_path);
    }
    tl_js_close(&js, '}');
    tally_status status = tl_js_print(&js, stdout, err);
    if (js.buf.data != NULL) {
        explicit_bzero(js.buf.data, js.buf.capacity);
    }
    return status;
}

static void print_text(const struct tl_cli *cli, const struct tally_init_result *result,
                       const char *key_path)
{
    printf("ledger     ");
    tl_print_text(stdout, tl_str_of(cli->ledger));
    printf("\norigin     ");
    tl_print_text(stdout, tl_str_of(result->origin));
    printf("\nlog key    %s\nepoch key  %s\n", result->log_key, result->epoch_key);
    if (key_path == NULL) {
        printf("mac key    %s\n", result->mac_key);
    } else {
        printf("mac key    in ");
        tl_print_text(stdout, tl_str_of(key_path));
        printf("\n");
    }
    printf(
        "\nTo be kept elsewhere, out of reach of this machine:\n"
        "  - log key and epoch key, which are public: whoever checks this ledger trusts them\n"
        "  - the mac key, a secret for auditors, in a file of mode 0600; it is not kept here, and\n"
        "    cannot be had again\n"
        "  - from time to time a checkpoint: tally checkpoint > FILE\n"
        "To be kept here, and backed up: the directory 'keys' of the ledger (mode 0600).\n");
}

static enum tl_exit run(struct tl_cli *cli, const struct tl_args *args)
{
    if (args->rest_count == 1) {
        cli->ledger = args->rest[0];
    }
    struct tally_error err = TALLY_ERROR_INIT;
    struct tally_options options = tl_cli_options(cli);
    options.writable = 1;
    TL_CLEANUP(wipe) struct tally_init_result result = { 0 };
    const char *key_path = tl_args_value(args, "mac-key-file");
    tally_status status = tally_init(&options, tl_args_value(args, "origin"), &result, &err);
    if (status == TALLY_OK && key_path != NULL) {
        status = tl_io_replace_file(key_path, result.mac_key, strlen(result.mac_key), 0600, &err);
        if (status != TALLY_OK) {
            tl_cli_warn(cli,
                        "the ledger is made, but its mac key is lost: remove it and try again");
        }
    }
    if (status == TALLY_OK && (cli->view == TL_VIEW_JSON || cli->view == TL_VIEW_NDJSON)) {
        status = print_json(cli, &result, key_path, &err);
    } else if (status == TALLY_OK) {
        print_text(cli, &result, key_path);
    }
    return status == TALLY_OK ? TL_EXIT_OK : tl_cli_fail(cli, &err);
}

const struct tl_cmd tl_cmd_init = {
    .name = "init",
    .summary = "make a new ledger with its keys",
    .arguments = "[DIR]",
    .about = "Prints what must be kept elsewhere. The secret among it is shown this once.\n",
    .examples = "tally init audit\n"
                "tally init /var/lib/audit --origin audit.example.com/prod\n",
    .opts = opts,
    .rest_max = 1,
    .run = run,
};
