#include <inttypes.h>
#include <string.h>

#include "base/limits.h"
#include "cli/act_args.h"
#include "cli/ask.h"
#include "cli/cmd.h"
#include "cli/out.h"
#include "codec/time.h"
#include "show/show.h"

#define MEMBERS_MAX 64u

static const struct tl_opt opts[] = {
    { "member", 0, "POINTER", "erase this member alone: /actor/name; may be given again" },
    { "subject", 0, "SUBJECT", "actor:ID or target:TYPE:ID: all records that name it" },
    TL_ACT_RANGE_OPT,
    { "dry-run", 0, NULL, "say what would go, and change nothing" },
    TL_ACT_OPTS,
    { "yes", 0, NULL, "do not ask" },
    { 0 },
};

/* A command line that was read, and what it asks for. */
struct request {
    struct tally_erase_options options;
    struct tl_act_args *act; /* owned */
    const char *members[MEMBERS_MAX];
    struct tl_progress progress;
    const struct tl_cli *cli;
};

static void request_free(struct request **request)
{
    if (*request != NULL) {
        tl_act_args_free(&(*request)->act);
        tl_free(*request);
    }
    *request = NULL;
}

static tally_status read_members(struct request *request, const struct tl_args *args,
                                 struct tally_error *err)
{
    struct tally_erase_options *options = &request->options;
    for (size_t i = 0; i < args->given_count; i++) {
        const struct tl_given *given = &args->given[i];
        if (strcmp(given->opt->name, "member") != 0) {
            continue;
        }
        if (options->member_count == MEMBERS_MAX) {
            return tl_fail(err, TALLY_EINVAL, "more than %u members", MEMBERS_MAX);
        }
        request->members[options->member_count++] = given->value;
    }
    options->members = request->members;
    return TALLY_OK;
}

static int show_progress(void *ctx, uint64_t done, uint64_t total)
{
    struct request *request = ctx;
    tl_progress_show(&request->progress, request->cli, "erasing", done, total);
    return tl_stopped() ? 1 : 0;
}

static tally_status read_request(struct request *request, const struct tl_args *args,
                                 struct tally_error *err)
{
    struct tally_erase_options *options = &request->options;
    *options = (struct tally_erase_options)TALLY_ERASE_OPTIONS_INIT;
    request->act = tl_alloc_array(1, sizeof(*request->act));
    if (request->act == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "out of memory");
    }
    TL_TRY(read_members(request, args, err));
    TL_TRY(tl_act_args_read(request->act, args, err));
    options->subject = tl_args_value(args, "subject");
    options->progress = show_progress;
    options->ctx = request;
    /* An id alone also finds the record whose content is gone. */
    if (request->act->filters.count == 1 && tl_args_has(args, "id") && options->subject == NULL &&
        request->act->range_count == 0) {
        options->id = tl_args_value(args, "id");
    } else {
        options->selection = tl_act_args_selection(request->act);
    }
    return TALLY_OK;
}

static tally_status print_json(struct tally_ledger *ledger, const struct request *request,
                               const struct tally_erased *erased, struct tally_error *err)
{
    TL_CLEANUP(tl_js_release) struct tl_js js = { 0 };
    tl_js_init(&js);
    tl_show_erased(&js, NULL, &request->options, &request->act->actor, erased,
                   tl_erased_at(ledger, erased));
    return tl_js_print(&js, stdout, err);
}

static void print_line(const char *name, const char *text)
{
    if (text != NULL) {
        printf("%-12s", name);
        tl_print_text(stdout, tl_str_of(text));
        printf("\n");
    }
}

static void print_sealed(struct tally_ledger *ledger, const struct tally_erased *erased)
{
    char text[TL_TIME_SIZE] = "";
    if (erased->seq == TALLY_SEQ_NONE) {
        return;
    }
    (void)tl_time_format(text, tl_erased_at(ledger, erased)); /* the length is that of the text */
    printf("%-12s%s, record %" PRIu64, "sealed", text, erased->seq);
    if (erased->acts > 1) {
        printf(" and %" PRIu64 " more", erased->acts - 1);
    }
    printf("\n");
}

static void print_text(struct tally_ledger *ledger, const struct request *request,
                       const struct tally_erased *erased)
{
    printf("%-12s%" PRIu64 "\n", "matched", erased->matched);
    printf("%-12s%" PRIu64 " (", request->options.dry_run != 0 ? "would go" : "erased",
           erased->erased);
    if (request->options.member_count > 0) {
        printf("%" PRIu64 " members, ", erased->members);
    }
    printf("%" PRIu64 " bytes)\n", erased->bytes);
    printf("%-12s%" PRIu64 ", kept as they are\n", "on hold", erased->held);
    printf("%-12s%" PRIu64 ", nothing left to erase\n", "gone", erased->gone);
    tl_act_print_left(erased->left);
    print_sealed(ledger, erased);
    print_line("by", request->act->actor.by);
    print_line("basis", request->act->actor.reason);
    print_line("ticket", request->act->actor.ticket);
    printf("\nNot reached:\n");
    for (size_t i = 0; tl_erase_not_reached[i] != NULL; i++) {
        printf("- %s\n", tl_erase_not_reached[i]);
    }
}

static enum tl_exit print(struct tally_ledger *ledger, const struct request *request,
                          const struct tally_erased *erased)
{
    struct tally_error err = TALLY_ERROR_INIT;
    bool as_json = request->cli->view == TL_VIEW_JSON || request->cli->view == TL_VIEW_NDJSON;
    if (as_json && print_json(ledger, request, erased, &err) != TALLY_OK) {
        return tl_cli_fail(request->cli, &err);
    }
    if (!as_json) {
        print_text(ledger, request, erased);
    }
    return erased->left == 0 ? TL_EXIT_OK : TL_EXIT_INCOMPLETE;
}

/* Shows what would go, and asks. */
static enum tl_exit preview(const struct tl_cli *cli, const struct tl_args *args,
                            struct tally_ledger *ledger, struct request *request)
{
    if (tl_args_has(args, "yes")) {
        return TL_EXIT_OK;
    }
    struct tally_error err = TALLY_ERROR_INIT;
    struct tally_erased erased = { .seq = TALLY_SEQ_NONE };
    request->options.dry_run = 1;
    tally_status status =
        tally_erase(ledger, &request->options, &request->act->actor, &erased, NULL, &err);
    request->options.dry_run = 0;
    if (status != TALLY_OK) {
        return tl_cli_fail(cli, &err);
    }
    char question[128];
    (void)snprintf(question, sizeof(question),
                   "%" PRIu64 " of %" PRIu64 " records will be erased%s.", erased.erased,
                   erased.matched, request->options.member_count > 0 ? " in part" : "");
    return tl_cli_ask(cli, args, question);
}

static enum tl_exit erase(const struct tl_cli *cli, const struct tl_args *args,
                          struct tally_ledger *ledger, struct request *request)
{
    struct tally_error err = TALLY_ERROR_INIT;
    struct tally_erased erased = { .seq = TALLY_SEQ_NONE };
    TL_CLEANUP(tl_public_freep) char *text = NULL;
    tl_stop_install();
    tally_status status =
        tally_erase(ledger, &request->options, &request->act->actor, &erased, &text, &err);
    tl_progress_end(&request->progress);
    if (text != NULL) {
        return tl_act_fail(cli, args, text, &err);
    }
    if (status != TALLY_OK && erased.acts == 0) {
        return tl_cli_fail(cli, &err);
    }
    enum tl_exit printed = print(ledger, request, &erased);
    return status == TALLY_OK ? printed : tl_exit_worse(printed, tl_cli_fail(cli, &err));
}

static enum tl_exit run(struct tl_cli *cli, const struct tl_args *args)
{
    TL_CLEANUP(request_free) struct request *request = tl_alloc_array(1, sizeof(*request));
    struct tally_error err = TALLY_ERROR_INIT;
    if (request == NULL) {
        (void)tl_fail(&err, TALLY_ENOMEM, "out of memory");
        return tl_cli_fail(cli, &err);
    }
    request->cli = cli;
    if (read_request(request, args, &err) != TALLY_OK) {
        return tl_cli_fail(cli, &err);
    }
    bool dry = tl_args_has(args, "dry-run");
    if (!dry && (request->act->actor.by == NULL || request->act->actor.reason == NULL)) {
        return tl_cli_usage(cli, "an erasure needs '--reason TEXT' and '--by WHO'");
    }
    TL_CLEANUP(tl_ledger_closep) struct tally_ledger *ledger = NULL;
    enum tl_exit exit_status = tl_cli_open(cli, !dry, &ledger);
    if (exit_status == TL_EXIT_OK && !dry) {
        exit_status = preview(cli, args, ledger, request);
    }
    if (exit_status != TL_EXIT_OK) {
        return exit_status;
    }
    request->options.dry_run = dry;
    return erase(cli, args, ledger, request);
}

const struct tl_cmd tl_cmd_erase = {
    .name = "erase",
    .summary = "erase contents at somebody's request; the evidence stays",
    .arguments = "",
    .about =
        "What goes is sealed in the ledger first, with who asked for it and why. Records on hold\n"
        "are kept. Without --member the whole content goes; a member has to be one that the\n"
        "policy in force sets apart. The ledger's own events are erased only if --id or --action\n"
        "names them.\n",
    .examples =
        "tally erase --subject actor:u-41 --dry-run\n"
        "tally erase --subject actor:u-41 --reason 'GDPR 17' --by dpo@example.com --ticket DSR-9\n"
        "tally erase --id e7 --member /actor/name --reason 'GDPR 17' --by dpo@example.com --yes\n",
    .opts = opts,
    .takes_filters = true,
    .run = run,
};
