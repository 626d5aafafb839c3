#include "ledger/remote.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/random.h"
#include "base/secret.h"
#include "codec/js.h"
#include "crypto/crypto.h"
#include "ledger/entry.h"

#define ANSWER_BYTES_MAX ((size_t)16 << 20)
#define TOKEN_BYTES_MAX  512u
#define PAUSE_MIN_US     100000
#define PAUSE_MAX_US     30000000
#define EVENTS_PATH      "/v1/events?marks="
#define RETRY_AFTER_MAX  300u /* seconds: no server keeps us away for longer */

bool tl_remote_is_url(const char *uri)
{
    return strncmp(uri, "https://", 8) == 0 || strncmp(uri, "http://", 7) == 0;
}

tally_status tl_remote_refuse(const struct tally_ledger *ledger, struct tally_error *err)
{
    return ledger->remote == NULL
               ? TALLY_OK
               : tl_fail(err, TALLY_ENOTSUP,
                         "not through HTTP: do it on the machine where the ledger lies");
}

/* "https://host:port", and nothing else. */
static tally_status read_address(struct tl_remote *remote, const char *uri, struct tally_error *err)
{
    char host[TL_HTTP_HOST_MAX];
    TL_TRY(tl_http_host(host, uri, err));
    const char *rest = strstr(uri, "://") + 3;
    if (strcspn(rest, "/?") + 1 < strlen(rest)) {
        return tl_fail(err, TALLY_EINVAL,
                       "the address of a ledger ends with the host, or its port");
    }
    struct tl_buf out;
    tl_buf_init_fixed(&out, remote->address, sizeof(remote->address));
    tl_buf_addf(&out, "%s://%s", uri[4] == 's' ? "https" : "http", host);
    tl_buf_add_char(&out, '\0');
    return tl_buf_status(&out) == TALLY_OK
               ? TALLY_OK
               : tl_fail(err, TALLY_EINVAL, "the address of the ledger is too long");
}

/* Absolute, or relative to the directory of the spool; "" for none. */
static tally_status find_file(char out[TL_PATH_SIZE], const struct tl_paths *paths,
                              struct tl_str name, struct tally_error *err)
{
    char text[TL_PATH_SIZE];
    if (name.len >= sizeof(text)) {
        return tl_fail(err, TALLY_EINVAL, "the name of a file is too long");
    }
    tl_str_copy(text, sizeof(text), name);
    if (text[0] == '\0' || text[0] == '/') {
        memcpy(out, text, sizeof(text));
        return TALLY_OK;
    }
    return tl_path_join(out, paths->dir[0] != '\0' ? paths->dir : ".", text, err);
}

tally_status tl_remote_open(struct tally_ledger *ledger, struct tally_error *err)
{
    const struct tl_config *config = &ledger->config;
    struct tl_remote *remote = tl_alloc_array(1, sizeof(*remote));
    if (remote == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a remote ledger");
    }
    ledger->remote = remote;
    tl_buf_init(&remote->body, 2 * TL_REMOTE_BATCH_BYTES);
    remote->timeout_ms = config->remote_timeout_s * 1000;
    TL_TRY(read_address(remote, ledger->options.uri, err));
    TL_TRY(find_file(remote->token_file, &ledger->paths, config->remote_token_file, err));
    TL_TRY(find_file(remote->ca_file, &ledger->paths, config->remote_ca_file, err));
    memcpy(ledger->origin, remote->address, sizeof(ledger->origin));
    return TALLY_OK;
}

void tl_remote_close(struct tl_remote *remote)
{
    if (remote != NULL) {
        tl_http_link_close(remote->link);
        tl_buf_release(&remote->body);
        tl_free(remote);
    }
}

void tl_remote_forget(struct tl_remote *remote)
{
    remote->link = NULL; /* to end it would end the parent's as well */
    remote->body = (struct tl_buf){ 0 };
}

tally_status tl_remote_make_directories(const struct tl_paths *paths, struct tally_error *err)
{
    char path[TL_PATH_SIZE];
    memcpy(path, paths->dir, sizeof(path));
    for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (tl_io->access(path, F_OK) != 0) {
            TL_TRY(tl_io_make_directory(path, 0700, err));
        }
        *slash = '/';
    }
    TL_TRY(tl_io_make_directory(path, 0700, err));
    return tl_io_make_directory(paths->spool, 0700, err);
}

/* "Bearer TOKEN", or nothing without a file. Read each time: a token is replaced in its file. */
static tally_status read_token(const struct tl_remote *remote, struct tl_buf *out,
                               struct tally_error *err)
{
    if (remote->token_file[0] == '\0') {
        return TALLY_OK;
    }
    TL_CLEANUP(tl_secret_release) struct tl_secret file = { 0 };
    TL_TRY(tl_secret_read_sized(&file, remote->token_file, 1, TOKEN_BYTES_MAX, err));
    const char *text = (const char *)file.bytes;
    size_t len = file.len;
    while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r')) {
        len--;
    }
    for (size_t i = 0; i < len; i++) {
        if (text[i] <= ' ' || text[i] > '~') {
            return tl_fail(err, TALLY_EINVAL, "'%s' is to hold a token and nothing else",
                           remote->token_file);
        }
    }
    tl_buf_add_text(out, "Bearer ");
    tl_buf_add(out, text, len);
    tl_buf_add_char(out, '\0');
    return tl_buf_status(out);
}

static bool must_give_up(void *ctx)
{
    struct tl_remote *remote = ctx;
    uint64_t until_us = tl_counter_get(&remote->give_up_us);
    return until_us != 0 && tl_clock->steady_us() >= (int64_t)until_us;
}

/* One request; with a body it is a POST of events. */
static tally_status talk(const struct tl_remote *remote, const char *path, struct tl_str body,
                         struct tl_http_request *request, struct tl_http_answer *answer,
                         struct tally_error *err)
{
    char memory[TOKEN_BYTES_MAX + 16];
    struct tl_buf authorization; /* never moved, so that it can be wiped */
    struct tl_buf url;
    tl_buf_init_fixed(&authorization, memory, sizeof(memory));
    tl_buf_init(&url, TL_HTTP_URL_MAX);
    tl_buf_addf(&url, "%s%s", remote->address, path);
    tl_buf_add_char(&url, '\0');
    tally_status status = tl_buf_status(&url) == TALLY_OK
                              ? read_token(remote, &authorization, err)
                              : tl_fail(err, TALLY_EINVAL, "the query is too long for a URL");
    if (status == TALLY_OK) {
        request->url = url.data;
        request->content_type = "application/x-ndjson";
        request->body = body;
        request->authorization = authorization.len > 0 ? memory : NULL;
        request->ca_file = remote->ca_file[0] != '\0' ? remote->ca_file : NULL;
        request->timeout_ms = remote->timeout_ms;
        request->answer_max = ANSWER_BYTES_MAX;
        status = body.text != NULL ? tl_http_post(request, answer, err)
                                   : tl_http_get(request, answer, err);
    }
    explicit_bzero(memory, sizeof(memory));
    tl_buf_release(&url);
    return status;
}

/* An answer that says neither yes nor no to what was sent. */
static tally_status explain(const struct tl_remote *remote, long status, const char *code,
                            struct tally_error *err)
{
    if (status == 401 || status == 403) {
        return tl_fail(
            err, TALLY_EDENIED, "%s refuses %s (%ld %s): see 'remote.token_file'", remote->address,
            remote->token_file[0] == '\0' ? "requests without a token" : "the token", status, code);
    }
    return tl_fail(err, TALLY_EIO, "%s answers %ld%s%s", remote->address, status,
                   code[0] == '\0' ? "" : " ", code);
}

tally_status tl_remote_get(const struct tl_remote *remote, const char *path_and_query,
                           struct tl_http_answer *answer, struct tally_error *err)
{
    struct tl_http_request request = { 0 };
    TL_TRY(talk(remote, path_and_query, (struct tl_str){ 0 }, &request, answer, err));
    if (answer->status == 200) {
        return TALLY_OK;
    }
    TL_CLEANUP(tl_freep) struct tl_remote_problem *problem = tl_alloc_array(1, sizeof(*problem));
    if (problem == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate an answer");
    }
    tl_remote_read_problem(tl_buf_str(&answer->body), 0, problem);
    if (answer->status == 404 && problem->code[0] != '\0') {
        return tl_fail(err, TALLY_ENOTFOUND, "there is no such record");
    }
    if (answer->status == 400 && problem->code[0] != '\0') {
        return tl_fail_code(err, TALLY_EREFUSED, problem->code, "the server refuses the query");
    }
    return explain(remote, answer->status, problem->code, err);
}

/* What became of a request. */
enum outcome {
    ANSWERED = 1, /* there is a receipt for every entry */
    NAMED,        /* some entries are refused, and named */
    TOO_MUCH,     /* refused as a whole: it may be one of them */
};

static bool is_about_events(long status, const struct tl_remote_problem *problem)
{
    return (status == 400 || status == 422 || status == 413 ||
            (status == 409 && strcmp(problem->code, "id_conflict") == 0)) &&
           problem->named > 0;
}

static tally_status judge(struct tl_remote *remote, const struct tl_http_answer *answer,
                          size_t count, enum outcome *outcome_out, struct tally_error *err)
{
    struct tl_str text = tl_buf_str(&answer->body);
    if (answer->status == 200 || answer->status == 201) {
        *outcome_out = ANSWERED;
        return tl_remote_read_receipts(text, remote->receipts, count, err);
    }
    tl_remote_read_problem(text, count, &remote->problem);
    if (is_about_events(answer->status, &remote->problem)) {
        *outcome_out = NAMED;
        return TALLY_OK;
    }
    /* A proxy that takes less than the server has no problem document to send. */
    if (answer->status == 413 || (answer->status == 422 && remote->problem.code[0] != '\0')) {
        *outcome_out = TOO_MUCH;
        return TALLY_OK;
    }
    uint32_t wait_s = answer->retry_after_s;
    remote->retry_after_s = wait_s < RETRY_AFTER_MAX ? wait_s : RETRY_AFTER_MAX;
    return explain(remote, answer->status, remote->problem.code, err);
}

/* What the texts do not say. Most events say it all, and need no marks. */
static void write_path(char out[sizeof(EVENTS_PATH) + TL_REMOTE_BATCH],
                       const struct tl_remote *remote, const struct tl_entry *entries, size_t count)
{
    static const char marks[] = "-rtb";
    bool any = false;
    size_t start = sizeof(EVENTS_PATH) - 1;
    memcpy(out, EVENTS_PATH, start);
    for (size_t i = 0; i < count; i++) {
        const struct tl_entry *entry = &entries[remote->unsettled[i]];
        unsigned kind = (entry->by_occurred ? 1u : 0u) + (entry->time_is_ours ? 2u : 0u);
        any = any || kind != 0;
        out[start + i] = marks[kind];
    }
    out[any ? start + count : (size_t)(strchr(out, '?') - out)] = '\0';
}

/* Sends the first `count` unsettled entries. */
static tally_status send(struct tl_remote *remote, const struct tl_entry *entries, size_t count,
                         enum outcome *outcome_out, struct tally_error *err)
{
    tl_buf_clear(&remote->body);
    for (size_t i = 0; i < count; i++) {
        const struct tl_entry *entry = &entries[remote->unsettled[i]];
        remote->receipts[i] = entry->receipt;
        tl_buf_add(&remote->body, entry->event, entry->len);
        tl_buf_add_char(&remote->body, '\n');
    }
    TL_TRY(tl_buf_status(&remote->body));
    if (remote->link == NULL) {
        TL_TRY(tl_http_link_open(&remote->link, err));
    }
    struct tl_http_request request = { .link = remote->link,
                                       .must_stop = must_give_up,
                                       .ctx = remote };
    struct tl_http_answer answer = { 0 };
    char path[sizeof(EVENTS_PATH) + TL_REMOTE_BATCH];
    write_path(path, remote, entries, count);
    remote->retry_after_s = 0;
    tally_status status = talk(remote, path, tl_buf_str(&remote->body), &request, &answer, err);
    if (status == TALLY_OK) {
        status = judge(remote, &answer, count, outcome_out, err);
    }
    tl_http_answer_release(&answer);
    return status;
}

static void refuse(struct tl_remote *remote, const struct tl_entry *entries, uint32_t which,
                   const char *code)
{
    struct tally_receipt *receipt = entries[which].receipt;
    bool is_taken = strcmp(code, "id_conflict") == 0;
    receipt->status = is_taken ? TALLY_ECONFLICT : TALLY_EREFUSED;
    receipt->seq = TALLY_SEQ_NONE;
    tl_str_copy(remote->codes[which], sizeof(remote->codes[which]), tl_str_of(code));
}

/* Settles those that are named, and keeps the others in order. */
static size_t refuse_named(struct tl_remote *remote, const struct tl_entry *entries, size_t sent,
                           size_t left)
{
    size_t kept = 0;
    for (size_t i = 0; i < left; i++) {
        const char *code = i < sent ? remote->problem.codes[i] : "";
        if (code[0] != '\0') {
            refuse(remote, entries, remote->unsettled[i], code);
        } else {
            remote->unsettled[kept++] = remote->unsettled[i];
        }
    }
    return kept;
}

static size_t drop_first(struct tl_remote *remote, size_t count, size_t left)
{
    memmove(remote->unsettled, remote->unsettled + count,
            (left - count) * sizeof(remote->unsettled[0]));
    return left - count;
}

/* Each round settles an entry at least, or sends less at once until it is one. What is not named is
 * sent again after a refusal, also if it is recorded already: the answer then has its receipt. */
tally_status tl_remote_append(struct tl_remote *remote, const struct tl_entry *entries,
                              size_t count, struct tally_error *err)
{
    tl_assert(count <= TL_REMOTE_BATCH);
    size_t left = count;
    size_t at_once = count;
    for (uint32_t i = 0; i < count; i++) {
        remote->unsettled[i] = i;
    }
    while (left > 0) {
        enum outcome outcome = ANSWERED;
        size_t sent = left < at_once ? left : at_once;
        TL_TRY(send(remote, entries, sent, &outcome, err));
        if (outcome == ANSWERED) {
            left = drop_first(remote, sent, left);
            at_once = 2 * sent;
        } else if (outcome == NAMED) {
            left = refuse_named(remote, entries, sent, left);
        } else if (sent > 1) {
            at_once = sent / 2;
        } else {
            const char *code = remote->problem.code;
            refuse(remote, entries, remote->unsettled[0], code[0] != '\0' ? code : "too_large");
            left = drop_first(remote, 1, left);
        }
    }
    return TALLY_OK;
}

/* The same for the same gap, so that it is declared once. */
static void gap_id(char out[2 * TL_SHA256_LEN + 8], const struct tl_gap *gap)
{
    struct tl_sha256 hash;
    uint8_t digest[TL_SHA256_LEN];
    tl_sha256_init(&hash);
    tl_sha256_add(&hash, gap->source, strlen(gap->source) + 1);
    tl_sha256_add(&hash, gap->reason, strlen(gap->reason));
    tl_sha256_end(&hash, digest);
    memcpy(out, "gap-", sizeof("gap-"));
    tl_hex_encode(out + strlen(out), digest, sizeof(digest));
}

static tally_status write_gap(struct tl_js *js, const struct tl_gap *gap, const char *id)
{
    tl_js_open(js, NULL, '{');
    tl_js_text(js, "id", id);
    tl_js_text(js, "action", "agent.gap");
    tl_js_time(js, "occurred_at", gap->to_us);
    tl_js_open(js, "actor", '{');
    tl_js_text(js, "type", "system");
    tl_js_text(js, "id", "tally");
    tl_js_close(js, '}');
    tl_js_text(js, "severity", "high");
    tl_js_text(js, "outcome", "failure");
    tl_js_text(js, "reason", gap->reason);
    tl_js_open(js, "metadata", '{');
    tl_js_u64(js, "count", gap->count);
    tl_js_bool(js, "exact", gap->exact);
    tl_js_time(js, "from", gap->from_us);
    tl_js_time(js, "to", gap->to_us);
    tl_js_text(js, "source", gap->source);
    tl_js_close(js, '}');
    tl_js_close(js, '}');
    return tl_buf_status(&js->buf);
}

tally_status tl_remote_declare(struct tally_ledger *ledger, const struct tl_gap *gap,
                               struct tally_error *err)
{
    struct tl_remote *remote = ledger->remote;
    struct tally_receipt receipt = { .status = TALLY_EIO };
    TL_CLEANUP(tl_js_release) struct tl_js js = { 0 };
    gap_id(receipt.id, gap);
    tl_js_init(&js);
    TL_TRY(write_gap(&js, gap, receipt.id));
    const struct tl_entry entry = { .event = js.buf.data, .len = js.buf.len, .receipt = &receipt };
    TL_TRY(tl_remote_append(remote, &entry, 1, err));
    /* A conflict: it was declared before, with another count. */
    if (receipt.status != TALLY_EREFUSED) {
        return TALLY_OK;
    }
    TL_CLEANUP(tl_refused_release) struct tl_refused refused = { 0 };
    TL_TRY(tl_refused_begin(&refused, &ledger->paths, err));
    (void)tl_refused_add(&refused, receipt.id, remote->codes[0],
                         tl_buf_str(&js.buf)); /* without room there is no other place to say it */
    return tl_refused_end(&refused, err);
}

int64_t tl_remote_pause_us(const struct tl_remote *remote, uint32_t failures)
{
    uint32_t doublings = failures < 9 ? failures : 9;
    int64_t pause_us = (int64_t)PAUSE_MIN_US << doublings;
    uint32_t chance = 0;
    pause_us = pause_us < PAUSE_MAX_US ? pause_us : PAUSE_MAX_US;
    tl_random_bytes(&chance, sizeof(chance));
    pause_us = pause_us / 2 + (int64_t)chance % (pause_us / 2);
    int64_t wish_us = (int64_t)remote->retry_after_s * 1000000;
    return pause_us > wish_us ? pause_us : wish_us;
}
