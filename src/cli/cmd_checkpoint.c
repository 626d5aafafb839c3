#include "cli/cmd.h"

static const struct tl_opt opts[] = {
    { "size", 0, "N", "the one of so many leaves instead of the newest" },
    { "trust", 0, NULL, "print the trust file instead: the public keys of this ledger" },
    { 0 },
};

static enum tl_exit run(struct tl_cli *cli, const struct tl_args *args)
{
    TL_CLEANUP(tl_ledger_closep) struct tally_ledger *ledger = NULL;
    enum tl_exit exit_status = tl_cli_open(cli, false, &ledger);
    if (exit_status != TL_EXIT_OK) {
        return exit_status;
    }
    struct tally_error err = TALLY_ERROR_INIT;
    TL_CLEANUP(tl_public_freep) char *text = NULL;
    tally_status status =
        tl_args_has(args, "trust")
            ? tally_trust_text(ledger, &text, &err)
            : tally_checkpoint(ledger, tl_args_number(args, "size", 0), &text, &err);
    if (status != TALLY_OK) {
        return tl_cli_fail(cli, &err);
    }
    (void)fputs(text, stdout); /* main() looks at ferror() */
    return TL_EXIT_OK;
}

const struct tl_cmd tl_cmd_checkpoint = {
    .name = "checkpoint",
    .summary = "print the newest signed checkpoint, to be kept elsewhere",
    .arguments = "",
    .about =
        "Whoever keeps a checkpoint where the ledger's machine cannot change it can show later\n"
        "that nothing before it was altered: tally verify --against FILE.\n",
    .examples = "tally checkpoint > /mnt/safe/checkpoint\n"
                "tally checkpoint --trust > /mnt/safe/trust.txt\n",
    .opts = opts,
    .run = run,
};
