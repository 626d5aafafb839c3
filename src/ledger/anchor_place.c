/* Files, git repositories, endpoints and time stamping authorities. */
#include <stdio.h>

#include "base/io.h"
#include "base/random.h"
#include "base/secret.h"
#include "codec/json.h"
#include "crypto/timestamp.h"
#include "ledger/anchor.h"
#include "ledger/nodes.h"
#include "ledger/trust.h"
#include "project/git.h"

#define TOKENS_BYTES_MAX 16384u
#define TOKEN_BYTES_MAX  4096u

static tally_status record_event(struct tl_anchor_run *run, const char *kind,
                                 const struct tl_anchor_target *target, struct tally_error *err)
{
    struct tl_buf metadata;
    struct tally_receipt receipt;
    tl_buf_init(&metadata, 16384);
    tl_buf_addf(&metadata, "{\"kind\":\"%s\",\"size\":%llu,\"target\":", kind,
                (unsigned long long)run->note.body.size);
    tl_json_write_string(&metadata, tl_str_of(target->text));
    tl_buf_add_text(&metadata, "}");
    tl_buf_add_char(&metadata, '\0');
    tally_status status = tl_buf_status(&metadata);
    if (status == TALLY_OK) {
        status =
            tally_record_act(run->ledger, "tally.anchor", run->by, metadata.data, &receipt, err);
    }
    tl_buf_release(&metadata);
    return status;
}

static tally_status root_at(const struct tl_anchor_run *run, uint64_t size,
                            uint8_t root_out[TL_HASH_LEN], struct tally_error *err)
{
    TL_CLEANUP(tl_freep) struct tl_nodes *nodes = tl_alloc_array(1, sizeof(*nodes));
    struct tl_reader reader;
    if (nodes == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a tree");
    }
    TL_TRY(tl_reader_get(run->ledger, &reader, err));
    nodes->store = reader.store;
    nodes->size = run->note.body.size;
    nodes->err = err;
    tally_status status = tl_reader_begin(&reader, err);
    if (status == TALLY_OK) {
        status = tl_nodes_root(nodes, size, root_out);
    }
    tl_reader_put(run->ledger, &reader);
    return status;
}

static tally_status is_past(const struct tl_anchor_run *run, const struct tl_checkpoint_body *there,
                            bool *is_out, struct tally_error *err)
{
    uint8_t root[TL_HASH_LEN];
    *is_out = there->size <= run->note.body.size;
    if (*is_out) {
        TL_TRY(root_at(run, there->size, root, err));
        *is_out = memcmp(root, there->root, sizeof(root)) == 0;
    }
    return TALLY_OK;
}

/* A file that knows more than the ledger, or something else, is evidence: it stays. */
static tally_status compare_file(const struct tl_anchor_run *run, const char *path,
                                 struct tally_error *err)
{
    TL_CLEANUP(tl_freep) char *text = NULL;
    TL_CLEANUP(tl_freep) struct tl_note *note = tl_alloc_array(1, sizeof(*note));
    struct tl_checkpoint_body there = { 0 };
    size_t len = 0;
    if (note == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot read a checkpoint");
    }
    struct tally_error why = TALLY_ERROR_INIT;
    tally_status status = tl_io_read_file(path, TL_NOTE_LEN_MAX, &text, &len, &why);
    if (status == TALLY_ENOTFOUND) {
        return TALLY_OK;
    }
    if (status != TALLY_OK) {
        return tl_fail_with(err, status, &why); /* who knows what is in it */
    }
    if (tl_note_parse(note, text, len, NULL) != TALLY_OK ||
        tl_checkpoint_parse(&there, note->body, NULL) != TALLY_OK ||
        !tl_str_equal(there.origin, run->note.body.origin)) {
        return TALLY_OK;
    }
    bool past = false;
    TL_TRY(is_past(run, &there, &past, err));
    if (!past) {
        return tl_fail(
            err, TALLY_ECONFLICT,
            "it holds a checkpoint of %llu leaves that is not of this ledger's past, and "
            "was left as it is: run 'tally verify --against'",
            (unsigned long long)there.size);
    }
    return TALLY_OK;
}

tally_status tl_anchor_to_file(struct tl_anchor_run *run, const struct tl_anchor_target *target,
                               struct tally_error *err)
{
    TL_TRY(compare_file(run, target->place, err));
    TL_TRY(tl_io_replace_file(target->place, run->note.text.data, run->note.text.len, 0644, err));
    (void)snprintf(run->detail, sizeof(run->detail), "written");
    return record_event(run, "file", target, err);
}

/* Reads the value for `host` from lines "HOST VALUE". Empty if there is none. */
static tally_status take_authorization(const struct tl_secret *file, const char *host,
                                       struct tl_buf *out)
{
    struct tl_str rest = { .text = (const char *)file->bytes, .len = file->len };
    size_t host_len = strlen(host);
    while (rest.len > 0) {
        const char *end = memchr(rest.text, '\n', rest.len);
        size_t len = end == NULL ? rest.len : (size_t)(end - rest.text);
        if (len > host_len + 1 && memcmp(rest.text, host, host_len) == 0 &&
            rest.text[host_len] == ' ') {
            tl_buf_add(out, rest.text + host_len + 1, len - host_len - 1);
            tl_buf_add_char(out, '\0');
            return tl_buf_status(out);
        }
        len += end != NULL;
        rest = (struct tl_str){ .text = rest.text + len, .len = rest.len - len };
    }
    return TALLY_OK;
}

static tally_status read_authorization(const struct tl_anchor_run *run, const char *url,
                                       struct tl_buf *out, struct tally_error *err)
{
    char path[TL_PATH_SIZE];
    char host[TL_HTTP_HOST_MAX];
    TL_CLEANUP(tl_secret_release) struct tl_secret file = { 0 };
    TL_TRY(tl_anchor_path(path, run->ledger, run->ledger->config.anchor_token_file, err));
    if (path[0] == '\0') {
        return TALLY_OK;
    }
    TL_TRY(tl_http_host(host, url, err));
    TL_TRY(tl_secret_read_sized(&file, path, 1, TOKENS_BYTES_MAX, err));
    return take_authorization(&file, host, out);
}

tally_status tl_anchor_post(struct tl_anchor_run *run, const char *url, const char *content_type,
                            struct tl_str body, struct tl_http_answer *answer,
                            struct tally_error *err)
{
    char memory[TOKEN_BYTES_MAX];
    struct tl_buf authorization; /* never moved, so that it can be wiped */
    tl_buf_init_fixed(&authorization, memory, sizeof(memory));
    tally_status status = read_authorization(run, url, &authorization, err);
    if (status == TALLY_OK) {
        const struct tl_http_request request = {
            .url = url,
            .content_type = content_type,
            .body = body,
            .authorization = authorization.len > 0 ? memory : NULL,
            .ca_file = run->ca_file[0] != '\0' ? run->ca_file : NULL,
            .timeout_ms = run->ledger->config.anchor_timeout_s * 1000,
        };
        status = tl_http_post(&request, answer, err);
    }
    explicit_bzero(memory, sizeof(memory));
    return status;
}

tally_status tl_anchor_to_http(struct tl_anchor_run *run, const struct tl_anchor_target *target,
                               struct tally_error *err)
{
    struct tl_http_answer answer = { 0 };
    tally_status status = tl_anchor_post(run, target->place, "text/plain; charset=utf-8",
                                         tl_buf_str(&run->note.text), &answer, err);
    long code = answer.status;
    tl_http_answer_release(&answer);
    TL_TRY(status);
    if (code < 200 || code > 299) {
        return tl_fail(err, TALLY_EREFUSED, "it was not taken: HTTP status %ld", code);
    }
    (void)snprintf(run->detail, sizeof(run->detail), "taken: HTTP status %ld", code);
    return record_event(run, "http", target, err);
}

/* Before anybody is asked: whether there can be an ANCHOR record, with a token. */
static tally_status check_sealing(const struct tl_anchor_run *run, struct tally_error *err)
{
    return run->dir[0] != '\0'
               ? tl_refuse_approval(&run->ledger->paths, TL_LEAF_ANCHOR, err)
               : tl_fail(err, TALLY_ENOTSUP, "a ledger in memory has no place for the token");
}

/* The URL without query: those may hold secrets, and records are for ever. */
static void copy_ref(char *out, size_t size, const char *url)
{
    tl_str_copy(out, size, (struct tl_str){ .text = url, .len = strcspn(url, "?") });
}

static tally_status take_stamp(struct tl_anchor_run *run, const struct tl_anchor_target *target,
                               const struct tl_http_answer *answer, const uint8_t imprint[32],
                               const uint8_t nonce[TL_TIMESTAMP_NONCE_LEN], struct tally_error *err)
{
    if (answer->status != 200) {
        return tl_fail(err, TALLY_EREFUSED, "no time stamp: HTTP status %ld", answer->status);
    }
    struct tl_timestamp stamp = { 0 };
    struct tl_buf token;
    char ref[TL_ANCHOR_TARGET_MAX];
    const struct tl_str authorities = { .text = run->authorities, .len = run->authorities_len };
    tl_buf_init(&token, TL_TIMESTAMP_LEN_MAX);
    copy_ref(ref, sizeof(ref), target->place);
    tally_status status = tl_timestamp_accept(&stamp, &token, tl_buf_str(&answer->body), imprint,
                                              nonce, authorities, err);
    if (status == TALLY_OK) {
        status = tl_anchor_seal(run, "rfc3161", ref, tl_buf_str(&token), err);
    }
    tl_buf_release(&token);
    TL_TRY(status);
    (void)snprintf(run->detail, sizeof(run->detail), "time stamp of %lld by '%.200s'%s",
                   (long long)stamp.time_s, stamp.authority,
                   run->authorities != NULL ? ""
                                            : "; who that is was not checked: no "
                                              "'anchor.tsa_ca_file'");
    return TALLY_OK;
}

tally_status tl_anchor_to_authority(struct tl_anchor_run *run,
                                    const struct tl_anchor_target *target, struct tally_error *err)
{
    uint8_t imprint[TL_SHA256_LEN];
    uint8_t nonce[TL_TIMESTAMP_NONCE_LEN];
    struct tl_buf request;
    struct tl_http_answer answer = { 0 };
    TL_TRY(check_sealing(run, err));
    tl_sha256(imprint, run->note.parsed.body.text, run->note.parsed.body.len);
    tl_random_bytes(nonce, sizeof(nonce));
    tl_buf_init(&request, 4096);
    tally_status status = tl_timestamp_request(&request, imprint, nonce, err);
    if (status == TALLY_OK) {
        status = tl_anchor_post(run, target->place, "application/timestamp-query",
                                tl_buf_str(&request), &answer, err);
    }
    if (status == TALLY_OK) {
        status = take_stamp(run, target, &answer, imprint, nonce, err);
    }
    tl_buf_release(&request);
    tl_http_answer_release(&answer);
    return status;
}

/* "ORIGIN/checkpoint", where everything in the origin that a path or another system could take for
 * something else is written as %XX. */
static void name_in_repository(struct tl_buf *out, struct tl_str origin)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for (size_t i = 0; i < origin.len; i++) {
        char c = origin.text[i];
        if ((c != '\0' && strchr(plain, c) != NULL) || (c == '.' && i > 0)) {
            tl_buf_add_char(out, c);
        } else {
            tl_buf_addf(out, "%%%02X", (unsigned)(unsigned char)c);
        }
    }
    tl_buf_add_text(out, "/checkpoint");
    tl_buf_add_char(out, '\0');
}

static tally_status commit_note(struct tl_anchor_run *run, const struct tl_anchor_target *target,
                                struct tl_git_commit *commit, struct tally_error *err)
{
    char path[3 * TL_ORIGIN_LEN_MAX + 32];
    char message[TL_ORIGIN_LEN_MAX + 64];
    struct tl_buf name;
    struct tl_buf text;
    tl_buf_init_fixed(&name, path, sizeof(path));
    name_in_repository(&name, run->note.body.origin);
    tl_assert(tl_buf_status(&name) == TALLY_OK);
    tl_buf_init_fixed(&text, message, sizeof(message));
    tl_buf_add_str(&text, run->note.body.origin);
    tl_buf_addf(&text, ": %llu leaves\n", (unsigned long long)run->note.body.size);
    tl_buf_add_char(&text, '\0');
    tl_assert(tl_buf_status(&text) == TALLY_OK);
    const struct tl_git_request request = { .dir = target->place,
                                            .path = path,
                                            .content = tl_buf_str(&run->note.text),
                                            .message = message,
                                            .author = run->by };
    return tl_git_commit(&request, commit, err);
}

tally_status tl_anchor_to_git(struct tl_anchor_run *run, const struct tl_anchor_target *target,
                              struct tally_error *err)
{
    struct tl_git_commit commit = { 0 };
    TL_TRY(check_sealing(run, err));
    tally_status status = commit_note(run, target, &commit, err);
    if (status == TALLY_OK) {
        status = tl_anchor_seal(run, "git", commit.id, tl_buf_str(&commit.object), err);
    }
    if (status == TALLY_OK) {
        (void)snprintf(run->detail, sizeof(run->detail), "commit %s, %s", commit.id,
                       commit.pushed ? "pushed" : "not pushed: the repository has no remote");
    }
    tl_git_commit_release(&commit);
    return status;
}
