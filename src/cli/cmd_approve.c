#include <inttypes.h>
#include <string.h>

#include "base/io.h"
#include "base/parse.h"
#include "base/secret.h"
#include "cli/ask.h"
#include "cli/cmd.h"
#include "cli/out.h"
#include "codec/json.h"

#define REQUEST_BYTES_MAX ((size_t)8 << 20)
#define ARENA_BYTES_MAX   ((size_t)256 << 20)
#define KEY_BYTES_MIN     40u
#define KEY_BYTES_MAX     1024u
#define RUNS_SHOWN        12u

static const struct tl_opt opts[] = {
    { "key", 0, "FILE", "the approver's key" },
    { "output", 0, "FILE",
      "where to write the approval, or the new key; an approval else to stdout" },
    { "new-key", 0, "NAME", "make an approver's key instead: the secret goes to --output" },
    { "yes", 0, NULL, "do not ask" },
    { 0 },
};

/* Runs of neighbouring numbers, as many as fit in a line. */
struct runs {
    uint64_t records;
    uint64_t shown;
    uint64_t first;
    uint64_t last;
    bool open;
};

static void end_run(struct runs *runs)
{
    if (!runs->open || runs->shown++ >= RUNS_SHOWN) {
        return;
    }
    printf("%s%" PRIu64, runs->shown == 1 ? " " : ", ", runs->first);
    if (runs->last > runs->first) {
        printf("-%" PRIu64, runs->last);
    }
}

static void add_run(struct runs *runs, uint64_t first, uint64_t last)
{
    runs->records += last - first + 1;
    if (runs->open && first == runs->last + 1) {
        runs->last = last;
        return;
    }
    end_run(runs);
    *runs = (struct runs){ runs->records, runs->shown, first, last, true };
}

static bool read_number(uint64_t *out, const struct tl_json *value)
{
    return value->type == TL_JSON_NUMBER &&
           tl_parse_u64(value->text.text, value->text.len, UINT64_MAX - 1, out) == TALLY_OK;
}

/* Reads a number, or a pair of them. */
static bool read_pair(uint64_t *first, uint64_t *last, const struct tl_json *item)
{
    if (item->type == TL_JSON_ARRAY && item->count == 2) {
        return read_number(first, item->first) && read_number(last, item->first->next) &&
               *first <= *last;
    }
    *last = 0;
    bool read = read_number(first, item);
    *last = read ? *first : 0;
    return read;
}

/* Prints the numbers, or pairs of them, of an array. TALLY_EINVAL: what cannot be shown is not signed. */
static tally_status print_records(const struct tl_json *list, struct tally_error *err)
{
    struct runs runs = { .records = 0 };
    printf("    records:");
    for (const struct tl_json *item = list->first; item != NULL; item = item->next) {
        uint64_t first = 0;
        uint64_t last = 0;
        if (!read_pair(&first, &last, item)) {
            printf(" ?\n");
            return tl_fail(err, TALLY_EINVAL, "the request names records in a way of its own");
        }
        add_run(&runs, first, last);
    }
    end_run(&runs);
    if (runs.shown > RUNS_SHOWN) {
        printf(", and %" PRIu64 " more runs", runs.shown - RUNS_SHOWN);
    }
    printf(" (%" PRIu64 " in all)\n", runs.records);
    return TALLY_OK;
}

static tally_status print_items(const struct tl_json *items, struct tally_error *err)
{
    for (const struct tl_json *item = items->first; item != NULL; item = item->next) {
        const struct tl_json *pointers = tl_json_member(item, "pointers");
        const struct tl_json *seqs = tl_json_member(item, "seqs");
        if (pointers == NULL || seqs == NULL) {
            continue; /* tally_approve() refuses it */
        }
        bool whole = pointers->count == 1 && pointers->first->text.len == 0;
        printf("  erase %s", whole ? "the whole content" : "the members");
        for (const struct tl_json *one = pointers->first; !whole && one != NULL; one = one->next) {
            printf(" ");
            tl_print_text(stdout, one->text);
        }
        printf(" of\n");
        TL_TRY(print_records(seqs, err));
    }
    return TALLY_OK;
}

/* A member that needs no words of its own. */
static tally_status print_member(const struct tl_json *member)
{
    TL_CLEANUP(tl_buf_release) struct tl_buf text = { 0 };
    tl_buf_init(&text, REQUEST_BYTES_MAX);
    printf("    ");
    tl_print_text(stdout, member->key);
    printf(": ");
    if (member->type == TL_JSON_STRING) {
        tl_print_text(stdout, member->text);
    } else {
        tl_json_write(&text, member);
        tl_print_text(stdout, tl_buf_str(&text));
    }
    printf("\n");
    return tl_buf_status(&text);
}

static const char *words_of(struct tl_str kind)
{
    static const char *const words[][2] = {
        { "PURGE", "purge contents" },
        { "HOLD", "put records on hold" },
        { "RELEASE", "release a hold, for ever" },
        { "POLICY", "change what is erasable, and for how long contents are kept" },
        { "KEY", "change keys" },
        { "RESTORE", "go on from a backup" },
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(words); i++) {
        if (tl_str_is(kind, words[i][0])) {
            return words[i][1];
        }
    }
    return NULL;
}

static tally_status print_act(const struct tl_json *act, struct tally_error *err)
{
    const struct tl_json *kind = tl_json_member(act, "kind");
    const struct tl_json *payload = tl_json_member(act, "payload");
    if (kind == NULL || payload == NULL || payload->type != TL_JSON_OBJECT) {
        return TALLY_OK; /* tally_approve() refuses it */
    }
    const struct tl_json *early = tl_json_member(payload, "override");
    const char *words = words_of(kind->text);
    if (early != NULL) {
        printf("  purge contents EARLY, before their day\n");
    } else if (words != NULL) {
        printf("  %s\n", words);
    } else if (!tl_str_is(kind->text, "ERASE")) {
        printf("  seal a record of the kind ");
        tl_print_text(stdout, kind->text);
        printf("\n");
    }
    for (const struct tl_json *member = payload->first; member != NULL; member = member->next) {
        if (tl_str_is(member->key, "items")) {
            TL_TRY(print_items(member, err));
        } else if (tl_str_is(member->key, "ranges")) {
            TL_TRY(print_records(member, err));
        } else if (!tl_str_is(member->key, "override")) {
            TL_TRY(print_member(member));
        }
    }
    return TALLY_OK;
}

/* Says in plain words what would be signed. What is not understood here is refused by the signer. */
static tally_status explain(const char *request, size_t len, struct tally_error *err)
{
    TL_CLEANUP(tl_arena_release) struct tl_arena arena = { 0 };
    const struct tl_json *root = NULL;
    tl_arena_init(&arena, ARENA_BYTES_MAX);
    TL_TRY(tl_json_read(&arena, request, len, &tl_json_limits_format, &root, err));
    const struct tl_json *origin = tl_json_member(root, "origin");
    const struct tl_json *acts = tl_json_member(root, "acts");
    if (origin == NULL || acts == NULL) {
        return TALLY_OK;
    }
    printf("In the ledger ");
    tl_print_text(stdout, origin->text);
    printf(":\n");
    for (const struct tl_json *act = acts->first; act != NULL; act = act->next) {
        TL_TRY(print_act(act, err));
    }
    return TALLY_OK;
}

static tally_status write_approval(const struct tl_cli *cli, const char *path, const char *approval,
                                   struct tally_error *err)
{
    if (path != NULL && strcmp(path, "-") != 0) {
        return tl_io_replace_file(path, approval, strlen(approval), 0644, err);
    }
    if (cli->view == TL_VIEW_TABLE || cli->view == TL_VIEW_CSV) {
        (void)fputs(approval, stdout); /* main() looks at ferror() */
        return TALLY_OK;
    }
    TL_CLEANUP(tl_js_release) struct tl_js js = { 0 };
    tl_js_init(&js);
    tl_js_open(&js, NULL, '{');
    tl_js_text(&js, "approval", approval);
    tl_js_close(&js, '}');
    return tl_js_print(&js, stdout, err);
}

static tally_status sign(const struct tl_cli *cli, const struct tl_args *args, const char *request,
                         struct tally_error *err)
{
    TL_CLEANUP(tl_secret_release) struct tl_secret file = { 0 };
    TL_TRY(
        tl_secret_read_sized(&file, tl_args_value(args, "key"), KEY_BYTES_MIN, KEY_BYTES_MAX, err));
    TL_CLEANUP(tl_secret_release)
    struct tl_secret key = {
        .bytes = tl_alloc_array(file.len + 1, 1),
        .len = file.len + 1,
    };
    if (key.bytes == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "out of memory");
    }
    memcpy(key.bytes, file.bytes, file.len); /* and a NUL after it */
    TL_CLEANUP(tl_public_freep) char *approval = NULL;
    TL_TRY(tally_approve(request, (const char *)key.bytes, &approval, err));
    return write_approval(cli, tl_args_value(args, "output"), approval, err);
}

static enum tl_exit approve(const struct tl_cli *cli, const struct tl_args *args)
{
    struct tally_error err = TALLY_ERROR_INIT;
    TL_CLEANUP(tl_freep) char *request = NULL;
    size_t len = 0;
    if (args->rest_count != 1 || !tl_args_has(args, "key")) {
        return tl_cli_usage(cli, "'tally approve' needs --key FILE and a request");
    }
    tally_status status = tl_file_read(args->rest[0], REQUEST_BYTES_MAX, &request, &len, &err);
    /* With --yes nobody reads it, and stdout is for the approval. */
    if (status == TALLY_OK && !tl_args_has(args, "yes")) {
        status = explain(request, len, &err);
        (void)fflush(stdout);
        enum tl_exit asked =
            status == TALLY_OK ? tl_cli_ask(cli, args, "This will be signed.") : TL_EXIT_OK;
        if (asked != TL_EXIT_OK) {
            return asked;
        }
    }
    if (status == TALLY_OK) {
        status = sign(cli, args, request, &err);
    }
    return status == TALLY_OK ? TL_EXIT_OK : tl_cli_fail(cli, &err);
}

static tally_status write_key(const struct tl_cli *cli, const char *path, const char *name,
                              struct tally_error *err)
{
    TL_CLEANUP(tl_public_freep) char *secret = NULL;
    TL_CLEANUP(tl_public_freep) char *line = NULL;
    if (tl_io->access(path, 0) == 0) {
        return tl_fail(err, TALLY_ECONFLICT, "'%s' is there already", path);
    }
    TL_TRY(tally_approver_key(name, &secret, &line, err));
    tally_status status = tl_io_replace_file(path, secret, strlen(secret), 0600, err);
    explicit_bzero(secret, strlen(secret));
    TL_TRY(status);
    if (cli->view == TL_VIEW_TABLE || cli->view == TL_VIEW_CSV) {
        printf("%s\n", line);
        return TALLY_OK;
    }
    TL_CLEANUP(tl_js_release) struct tl_js js = { 0 };
    tl_js_init(&js);
    tl_js_open(&js, NULL, '{');
    tl_js_text(&js, "trust_line", line);
    tl_js_text(&js, "key_file", path);
    tl_js_close(&js, '}');
    return tl_js_print(&js, stdout, err);
}

static enum tl_exit make_key(const struct tl_cli *cli, const struct tl_args *args)
{
    const char *path = tl_args_value(args, "output");
    struct tally_error err = TALLY_ERROR_INIT;
    if (path == NULL || args->rest_count != 0 || tl_args_has(args, "key")) {
        return tl_cli_usage(cli, "'tally approve --new-key NAME' needs --output FILE alone");
    }
    if (write_key(cli, path, tl_args_value(args, "new-key"), &err) != TALLY_OK) {
        return tl_cli_fail(cli, &err);
    }
    tl_cli_note(cli, "the secret is in '%s'; the line above belongs into the trust files", path);
    return TL_EXIT_OK;
}

static enum tl_exit run(struct tl_cli *cli, const struct tl_args *args)
{
    return tl_args_has(args, "new-key") ? make_key(cli, args) : approve(cli, args);
}

const struct tl_cmd tl_cmd_approve = {
    .name = "approve",
    .summary = "sign an act as the second person it needs",
    .arguments = "REQUEST",
    .about =
        "An act that the trust file lists under '#tally approve' needs the signature of a person\n"
        "whom it names as '#tally approver'. The request says what would be done; it is shown\n"
        "before it is signed. No ledger is needed, so keys and approvers can be elsewhere.\n",
    .examples = "tally approve --new-key ops.example.com/anna --output anna.key\n"
                "tally approve --key anna.key --output approval.txt request.json\n",
    .opts = opts,
    .rest_max = 1,
    .run = run,
};
