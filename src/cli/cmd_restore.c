#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "base/parse.h"
#include "cli/cmd.h"
#include "cli/out.h"

#define NOTE_BYTES_MAX 65536u

static const struct tl_opt opts[] = {
    { "by", 0, "WHO", "who restores it; sealed in the ledger" },
    { "reason", 0, "TEXT", "why; sealed in the ledger" },
    { "ticket", 0, "TEXT", "the number of the incident elsewhere; sealed in the ledger" },
    { "lost-size", 0, "N",
      "how many records are known to have been signed; else as many as are here" },
    { "lost-checkpoint", 0, "FILE", "the newest checkpoint of the lost ledger that was kept" },
    { "bundle", 0, "DIR",
      "a bundle of the lost ledger: what was purged or erased since the backup stays so" },
    { "origin", 0, "NAME", "the new name of the ledger; else host, directory, random" },
    { "mac-key-file", 0, "FILE", "where to put the auditors' new secret, instead of printing it" },
    { "dry-run", 0, NULL, "verify the backup, and say what would be restored and what is lost" },
    { "yes", 'y', NULL, "do not ask" },
    { 0 },
};

static void wipe(struct tally_restored *restored)
{
    explicit_bzero(restored, sizeof(*restored));
}

static void print_keys_json(struct tl_js *js, const struct tally_init_result *keys,
                            const char *key_path)
{
    tl_js_text(js, "origin", keys->origin);
    tl_js_text(js, "log_key", keys->log_key);
    tl_js_text(js, "epoch_key", keys->epoch_key);
    if (key_path == NULL) {
        tl_js_text(js, "mac_key", keys->mac_key);
    } else {
        tl_js_text(js, "mac_key_file", key_path);
    }
}

static tally_status print_json(const struct tl_cli *cli, const struct tally_restored *restored,
                               bool dry_run, const char *key_path, struct tally_error *err)
{
    TL_CLEANUP(tl_js_release) struct tl_js js = { 0 };
    tl_js_init(&js);
    tl_js_open(&js, NULL, '{');
    tl_js_text(&js, "ledger", cli->ledger);
    tl_js_bool(&js, "dry_run", dry_run);
    tl_js_u64(&js, "from_size", restored->from_size);
    tl_js_u64(&js, "lost", restored->lost);
    tl_js_u64(&js, "reapplied", restored->reapplied);
    if (!dry_run) {
        print_keys_json(&js, &restored->keys, key_path);
    }
    tl_js_close(&js, '}');
    tally_status status = tl_js_print(&js, stdout, err);
    if (js.buf.data != NULL) {
        explicit_bzero(js.buf.data, js.buf.capacity);
    }
    return status;
}

static void print_text(const struct tl_cli *cli, const struct tally_restored *restored,
                       bool dry_run, bool has_bundle, const char *key_path)
{
    printf("%s     ", dry_run ? "would be  " : "ledger    ");
    tl_print_text(stdout, tl_str_of(cli->ledger));
    printf("\nrecords        %" PRIu64 "\nknown lost     %" PRIu64 "\n", restored->from_size,
           restored->lost);
    if (dry_run) {
        return;
    }
    if (has_bundle) {
        printf("removed again  %" PRIu64 "\n", restored->reapplied);
    }
    printf("origin         ");
    tl_print_text(stdout, tl_str_of(restored->keys.origin));
    printf("\nlog key        %s\nepoch key      %s\n", restored->keys.log_key,
           restored->keys.epoch_key);
    if (key_path == NULL) {
        printf("mac key        %s\n", restored->keys.mac_key);
    } else {
        printf("mac key        in ");
        tl_print_text(stdout, tl_str_of(key_path));
        printf("\n");
    }
    printf(
        "\nThe keys are new. Whoever checks this ledger must be told so by a person, and add them\n"
        "to what they trust: 'tally checkpoint --trust' prints it. The mac key is not kept "
        "here.\n");
}

/* Asks on a terminal; without one, only --yes will do. */
static enum tl_exit confirm(const struct tl_cli *cli, const struct tl_args *args)
{
    char answer[8] = "";
    if (tl_args_has(args, "yes") || tl_args_has(args, "dry-run")) {
        return TL_EXIT_OK;
    }
    if (isatty(STDIN_FILENO) != 1 || !cli->terminal_err) {
        return tl_cli_usage(cli, "a restore makes new keys for good: give --yes, or see what it "
                                 "would do with --dry-run");
    }
    (void)fprintf(stderr, "This makes a ledger with new keys, which auditors must then trust by "
                          "hand.\nGo on? [y/N] ");
    if (fgets(answer, sizeof(answer), stdin) == NULL || (answer[0] != 'y' && answer[0] != 'Y')) {
        tl_cli_note(cli, "nothing was done");
        return TL_EXIT_INCOMPLETE;
    }
    return TL_EXIT_OK;
}

static enum tl_exit read_options(const struct tl_cli *cli, const struct tl_args *args,
                                 struct tally_restore_options *options, struct tally_actor *actor)
{
    actor->by = tl_args_value(args, "by");
    actor->reason = tl_args_value(args, "reason");
    actor->ticket = tl_args_value(args, "ticket");
    if (actor->by == NULL || actor->reason == NULL) {
        return tl_cli_usage(cli, "a restore is sealed with who made it and why: give --by WHO and "
                                 "--reason TEXT");
    }
    options->origin = tl_args_value(args, "origin");
    options->bundle_dir = tl_args_value(args, "bundle");
    options->dry_run = tl_args_has(args, "dry-run") ? 1 : 0;
    options->lost_size = tl_args_number(args, "lost-size", 0);
    return TL_EXIT_OK;
}

static tally_status keep_mac_key(const struct tl_cli *cli, const char *path,
                                 const struct tally_restored *restored, struct tally_error *err)
{
    tally_status status =
        tl_io_replace_file(path, restored->keys.mac_key, strlen(restored->keys.mac_key), 0600, err);
    if (status != TALLY_OK) {
        tl_cli_warn(cli,
                    "the ledger is restored, but its mac key is lost: remove it and try again");
    }
    return status;
}

static enum tl_exit run(struct tl_cli *cli, const struct tl_args *args)
{
    struct tally_error err = TALLY_ERROR_INIT;
    struct tally_restore_options options = TALLY_RESTORE_OPTIONS_INIT;
    struct tally_actor actor = { .by = NULL };
    enum tl_exit exit_status = read_options(cli, args, &options, &actor);
    if (exit_status == TL_EXIT_OK) {
        exit_status = confirm(cli, args);
    }
    if (exit_status != TL_EXIT_OK) {
        return exit_status;
    }
    const char *note_path = tl_args_value(args, "lost-checkpoint");
    TL_CLEANUP(tl_freep) char *note = NULL;
    size_t note_len = 0;
    if (note_path != NULL &&
        tl_io_read_file(note_path, NOTE_BYTES_MAX, &note, &note_len, &err) != TALLY_OK) {
        return tl_cli_fail(cli, &err);
    }
    options.lost_checkpoint = note;
    const char *key_path = tl_args_value(args, "mac-key-file");
    TL_CLEANUP(wipe) struct tally_restored restored = { .from_size = 0 };
    tally_status status =
        tally_restore(args->rest[0], cli->ledger, &options, &actor, &restored, NULL, &err);
    bool dry_run = options.dry_run != 0;
    if (status == TALLY_OK && key_path != NULL && !dry_run) {
        status = keep_mac_key(cli, key_path, &restored, &err);
    }
    bool as_json = cli->view == TL_VIEW_JSON || cli->view == TL_VIEW_NDJSON;
    if (status == TALLY_OK && as_json) {
        status = print_json(cli, &restored, dry_run, key_path, &err);
    } else if (status == TALLY_OK) {
        print_text(cli, &restored, dry_run, options.bundle_dir != NULL, key_path);
    }
    return status == TALLY_OK ? TL_EXIT_OK : tl_cli_fail(cli, &err);
}

const struct tl_cmd tl_cmd_restore = {
    .name = "restore",
    .summary = "make a ledger from a backup, which goes on with new keys",
    .arguments = "DIR",
    .about = "DIR is a backup; the ledger is made where -C says, and nothing may be there. It goes "
             "on as\n"
             "a new incarnation, with a new name and new keys, and says so: auditors pin them by "
             "hand.\n",
    .examples = "tally restore /mnt/backup/audit --by ops@example.com --reason \"disk lost\" "
                "--dry-run\n"
                "tally restore /mnt/backup/audit --by ops@example.com --reason \"disk lost\" "
                "--bundle /mnt/safe/audit-tlog --lost-checkpoint /mnt/safe/checkpoint "
                "--mac-key-file /mnt/safe/mac.key --yes\n",
    .opts = opts,
    .rest_min = 1,
    .rest_max = 1,
    .run = run,
};
