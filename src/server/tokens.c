#include "server/tokens.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/random.h"
#include "base/secret.h"
#include "base/thread.h"
#include "codec/base64.h"
#include "server/token_list.h"
#include "server/viewer_link.h"

#define PREFIX        "tally_"
#define LOCK_SUFFIX   ".lock"
#define SECRET_CHARS  43u /* of 32 bytes */
#define TEXT_LEN      (sizeof(PREFIX) - 1 + TL_TOKEN_ID_SIZE - 1 + 1 + SECRET_CHARS)
#define LOOK_EACH_US  INT64_C(1000000)
#define SAVE_EACH_US  INT64_C(60000000)
#define TEXT_READ_MAX 256u /* of what somebody sends as a token */

_Static_assert(TEXT_LEN < TL_TOKEN_TEXT_SIZE, "the text and its NUL");

/* Tells one file from the one that took its place. */
struct stamp {
    ino_t inode;
    off_t size;
    struct timespec time;
};

/*
 * Internally synchronised. Whoever reads or writes the file holds the lock of the file beside it,
 * and `mu` only to take over what was read.
 */
struct tl_tokens {
    char *path;
    char *lock_path;
    struct tl_mutex mu;
    /* guarded by mu */
    struct tl_token_list list;
    struct stamp stamp;
    int64_t looked_us;
    int64_t saved_us;
    bool was_used; /* since they were saved */
};

/* A change of the file: one more, one less, a key for links, or none. */
struct change {
    const struct tl_token_request *request;
    const char *revoked_id;
    bool makes_link_key;
    char text[TL_TOKEN_TEXT_SIZE]; /* of the one that was added */
    char id[TL_TOKEN_ID_SIZE];
};

void tl_identity_release(struct tl_identity *who)
{
    tl_free(who->tenants);
    tl_viewer_link_free(who->link);
    *who = (struct tl_identity){ 0 };
}

void tl_identity_text(const struct tl_identity *who, char out[TL_WHO_SIZE])
{
    if (who->role == 0) {
        (void)snprintf(out, TL_WHO_SIZE, "anonymous");
    } else if (who->id[0] == '\0') { /* the other end of a Unix socket */
        (void)snprintf(out, TL_WHO_SIZE, "%s", who->name);
    } else if (who->link != NULL) {
        (void)snprintf(out, TL_WHO_SIZE, "viewer:%s of token:%s (%s)", who->id, who->link->by,
                       who->name);
    } else {
        (void)snprintf(out, TL_WHO_SIZE, "token:%s (%s)", who->id, who->name);
    }
}

static bool stamp_equal(const struct stamp *a, const struct stamp *b)
{
    return a->inode == b->inode && a->size == b->size && a->time.tv_sec == b->time.tv_sec &&
           a->time.tv_nsec == b->time.tv_nsec;
}

/* All zero if there is no file. */
static struct stamp stamp_of(const char *path)
{
    struct stat st;
    TL_CLEANUP(tl_io_closep)
    int fd = tl_io->open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0);
    if (fd < 0 || tl_io->fstat(fd, &st) != 0) {
        return (struct stamp){ 0 };
    }
    return (struct stamp){ .inode = st.st_ino, .size = st.st_size, .time = st.st_mtim };
}

/* A file that is not there is an empty one. */
static tally_status read_file(const char *path, struct tl_token_list *list, struct tally_error *err)
{
    struct tally_error why = TALLY_ERROR_INIT;
    TL_CLEANUP(tl_secret_release) struct tl_secret file = { 0 };
    tally_status status = tl_secret_read_sized(&file, path, 0, TL_TOKENS_BYTES_MAX, &why);
    if (status == TALLY_ENOTFOUND) {
        return TALLY_OK;
    }
    if (status != TALLY_OK) {
        return tl_fail_with(err, status, &why);
    }
    status = tl_token_list_read(list, (struct tl_str){ (const char *)file.bytes, file.len });
    return status == TALLY_OK
               ? TALLY_OK
               : tl_fail(err, status, "cannot make sense of the tokens in '%s'", path);
}

static tally_status write_file(const char *path, const struct tl_token_list *list,
                               struct tally_error *err)
{
    TL_CLEANUP(tl_buf_release) struct tl_buf text = { 0 };
    tl_buf_init(&text, TL_TOKENS_BYTES_MAX);
    tl_token_list_write(&text, list);
    tl_buf_add_char(&text, '\n');
    if (tl_buf_status(&text) != TALLY_OK) {
        return tl_fail(err, tl_buf_status(&text), "cannot put the tokens of '%s' together", path);
    }
    return tl_io_replace_file(path, text.data, text.len, 0600, err);
}

/* Errors: TALLY_EBUSY somebody has it, if we do not wait; TALLY_EIO */
static tally_status lock_file(const char *path, bool wait, int *fd_out, struct tally_error *err)
{
    int fd = tl_io->open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return tl_fail_errno(err, TALLY_EIO, errno, "cannot open lock '%s'", path);
    }
    int rc = 0;
    do {
        rc = tl_io->flock(fd, wait ? LOCK_EX : LOCK_EX | LOCK_NB);
    } while (rc != 0 && errno == EINTR);
    if (rc != 0) {
        int os_errno = errno;
        tl_io_closep(&fd);
        return tl_fail_errno(err, os_errno == EWOULDBLOCK ? TALLY_EBUSY : TALLY_EIO, os_errno,
                             "cannot lock '%s'", path);
    }
    *fd_out = fd;
    return TALLY_OK;
}

/* Gives `list` the later of both times at which each token was used. */
static void carry_uses(struct tl_token_list *list, const struct tl_token_list *from)
{
    for (size_t i = 0; i < from->count; i++) {
        struct tl_token *token = tl_token_list_find(list, from->tokens[i].id);
        if (token != NULL && token->last_used_us < from->tokens[i].last_used_us) {
            token->last_used_us = from->tokens[i].last_used_us;
        }
    }
}

/* Takes what `list` owns; the file is locked. */
static void adopt(struct tl_tokens *tokens, struct tl_token_list *list)
{
    struct stamp stamp = stamp_of(tokens->path);
    tl_mutex_lock(&tokens->mu);
    struct tl_token_list old = tokens->list;
    carry_uses(list, &old);
    tokens->list = *list;
    tokens->stamp = stamp;
    tl_mutex_unlock(&tokens->mu);
    *list = (struct tl_token_list){ 0 };
    tl_token_list_release(&old);
}

static tally_status reload(struct tl_tokens *tokens, bool wait, struct tally_error *err)
{
    TL_CLEANUP(tl_io_closep) int lock = -1;
    TL_CLEANUP(tl_token_list_release) struct tl_token_list list = { 0 };
    TL_TRY(lock_file(tokens->lock_path, wait, &lock, err));
    TL_TRY(read_file(tokens->path, &list, err));
    adopt(tokens, &list);
    return TALLY_OK;
}

static void make_id(char out[TL_TOKEN_ID_SIZE], const struct tl_token_list *list)
{
    uint8_t bytes[(TL_TOKEN_ID_SIZE - 1) / 2];
    do {
        tl_random_bytes(bytes, sizeof(bytes));
        tl_hex_encode(out, bytes, sizeof(bytes));
    } while (tl_token_list_find(list, out) != NULL);
}

/* base64url without padding (RFC 4648 section 5) of 32 random bytes. */
static void make_secret(char out[SECRET_CHARS + 1])
{
    uint8_t bytes[32];
    char text[48];
    struct tl_buf buf;
    tl_random_bytes(bytes, sizeof(bytes));
    tl_buf_init_fixed(&buf, text, sizeof(text));
    tl_base64_encode(&buf, bytes, sizeof(bytes));
    tl_assert(tl_buf_status(&buf) == TALLY_OK && buf.len == SECRET_CHARS + 1);
    for (size_t i = 0; i < SECRET_CHARS; i++) {
        out[i] = text[i];
        if (text[i] == '+') {
            out[i] = '-';
        } else if (text[i] == '/') {
            out[i] = '_';
        }
    }
    out[SECRET_CHARS] = '\0';
    explicit_bzero(bytes, sizeof(bytes));
    explicit_bzero(text, sizeof(text));
}

static tally_status fill_token(struct tl_token *token, const struct tl_token_request *request,
                               struct tally_error *err)
{
    (void)snprintf(token->name, sizeof(token->name), "%s", request->name);
    token->role = request->role;
    token->created_us = tl_clock->wall_us();
    token->expires_us = request->expires_us;
    token->tenants = tl_alloc_array(request->tenant_count, sizeof(*token->tenants));
    if (token->tenants == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a token");
    }
    for (size_t i = 0; i < request->tenant_count; i++) {
        tl_str_copy(token->tenants[i], TL_TENANT_SIZE, tl_str_of(request->tenants[i]));
    }
    token->tenant_count = request->tenant_count;
    return TALLY_OK;
}

static tally_status add_to(struct tl_token_list *list, struct change *change,
                           struct tally_error *err)
{
    char secret[SECRET_CHARS + 1];
    TL_CLEANUP(tl_token_release) struct tl_token token = { 0 };
    TL_TRY(fill_token(&token, change->request, err));
    make_id(token.id, list);
    make_secret(secret);
    (void)snprintf(change->text, sizeof(change->text), PREFIX "%s_%s", token.id, secret);
    explicit_bzero(secret, sizeof(secret));
    memcpy(change->id, token.id, sizeof(change->id));
    tl_sha256(token.hash, change->text, strlen(change->text));
    tally_status status = tl_token_list_add(list, &token);
    if (status == TALLY_ELIMIT) {
        return tl_fail(err, status, "there are %u tokens, which is the limit", TL_TOKENS_MAX);
    }
    return status == TALLY_OK ? TALLY_OK : tl_fail(err, status, "cannot allocate a token");
}

static tally_status remove_from(struct tl_token_list *list, const char *id, struct tally_error *err)
{
    struct tl_token *token = tl_token_list_find(list, id);
    if (token == NULL) {
        return tl_fail(err, TALLY_ENOTFOUND, "there is no such token");
    }
    tl_token_list_remove(list, token);
    return TALLY_OK;
}

static tally_status apply(struct tl_token_list *list, struct change *change,
                          struct tally_error *err)
{
    if (change->request != NULL) {
        return add_to(list, change, err);
    }
    if (change->makes_link_key && !list->has_link_key) {
        tl_random_bytes(list->link_key, sizeof(list->link_key));
        list->has_link_key = true;
    }
    return change->revoked_id == NULL ? TALLY_OK : remove_from(list, change->revoked_id, err);
}

/* From what the file holds now, which others may have changed. Saves the times of use as well. */
static tally_status change_file(struct tl_tokens *tokens, struct change *change, bool wait,
                                struct tally_error *err)
{
    TL_CLEANUP(tl_io_closep) int lock = -1;
    TL_CLEANUP(tl_token_list_release) struct tl_token_list list = { 0 };
    TL_TRY(lock_file(tokens->lock_path, wait, &lock, err));
    TL_TRY(read_file(tokens->path, &list, err));
    TL_TRY(apply(&list, change, err));
    tl_mutex_lock(&tokens->mu);
    carry_uses(&list, &tokens->list);
    tokens->was_used = false;
    tokens->saved_us = tl_clock->steady_us();
    tl_mutex_unlock(&tokens->mu);
    TL_TRY(write_file(tokens->path, &list, err));
    adopt(tokens, &list);
    return TALLY_OK;
}

static void free_tokens(struct tl_tokens **tokens_ptr)
{
    struct tl_tokens *tokens = *tokens_ptr;
    if (tokens == NULL) {
        return;
    }
    tl_token_list_release(&tokens->list);
    tl_mutex_release(&tokens->mu);
    tl_free(tokens->lock_path);
    tl_free(tokens->path);
    tl_free(tokens);
}

static struct tl_tokens *new_tokens(const char *path)
{
    size_t len = strlen(path);
    TL_CLEANUP(tl_freep) char *own_path = tl_strdup(path);
    TL_CLEANUP(tl_freep) char *lock_path = tl_alloc_array(len + sizeof(LOCK_SUFFIX), 1);
    TL_CLEANUP(tl_freep) struct tl_tokens *tokens = tl_alloc_array(1, sizeof(*tokens));
    if (own_path == NULL || lock_path == NULL || tokens == NULL ||
        tl_mutex_init(&tokens->mu) != TALLY_OK) {
        return NULL;
    }
    tl_str_copy(lock_path, len + 1, (struct tl_str){ path, len });
    tl_str_copy(lock_path + len, sizeof(LOCK_SUFFIX), TL_STR(LOCK_SUFFIX));
    tokens->path = TL_TAKE(own_path);
    tokens->lock_path = TL_TAKE(lock_path);
    return TL_TAKE(tokens);
}

tally_status tl_tokens_open(struct tl_tokens **tokens_out, const char *path,
                            struct tally_error *err)
{
    TL_CLEANUP(free_tokens) struct tl_tokens *tokens = new_tokens(path);
    if (tokens == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate the tokens");
    }
    tokens->saved_us = tl_clock->steady_us();
    tokens->stamp = stamp_of(path); /* first: a file that changes meanwhile is read again */
    TL_TRY(read_file(path, &tokens->list, err));
    *tokens_out = TL_TAKE(tokens);
    return TALLY_OK;
}

void tl_tokens_close(struct tl_tokens *tokens)
{
    if (tokens == NULL) {
        return;
    }
    if (tokens->was_used) {
        struct change none = { 0 };
        (void)change_file(tokens, &none, true, NULL); /* only when they were used is lost */
    }
    free_tokens(&tokens);
}

tally_status tl_tokens_reload(struct tl_tokens *tokens, struct tally_error *err)
{
    return reload(tokens, true, err);
}

static bool has_changed(struct tl_tokens *tokens)
{
    struct stamp stamp = stamp_of(tokens->path);
    tl_mutex_lock(&tokens->mu);
    bool is_same = stamp_equal(&stamp, &tokens->stamp);
    tl_mutex_unlock(&tokens->mu);
    return !is_same;
}

/* Each second: whether somebody changed the file. Each minute: writes what was used. */
static void look_after(struct tl_tokens *tokens)
{
    int64_t now = tl_clock->steady_us();
    tl_mutex_lock(&tokens->mu);
    bool looks = now - tokens->looked_us >= LOOK_EACH_US;
    bool saves = looks && tokens->was_used && now - tokens->saved_us >= SAVE_EACH_US;
    tokens->looked_us = looks ? now : tokens->looked_us;
    tl_mutex_unlock(&tokens->mu);
    if (!looks) {
        return;
    }
    if (saves) {
        struct change none = { 0 };
        (void)change_file(tokens, &none, false, NULL); /* again in a minute */
    } else if (has_changed(tokens)) {
        (void)reload(tokens, false, NULL); /* again in a second; until then the old ones stay */
    }
}

/* "" if the text is none of ours. */
static void id_in(const char *text, char id_out[TL_TOKEN_ID_SIZE])
{
    id_out[0] = '\0';
    if (strnlen(text, TEXT_READ_MAX) == TEXT_LEN &&
        tl_str_starts(tl_str_of(text), TL_STR(PREFIX))) {
        tl_str_copy(id_out, TL_TOKEN_ID_SIZE,
                    (struct tl_str){ text + sizeof(PREFIX) - 1, TL_TOKEN_ID_SIZE - 1 });
    }
}

static tally_status identity_of(const struct tl_token *token, struct tl_identity *who_out)
{
    char(*tenants)[TL_TENANT_SIZE] = tl_alloc_array(token->tenant_count, sizeof(*tenants));
    if (tenants == NULL) {
        return TALLY_ENOMEM;
    }
    memcpy(tenants, token->tenants, token->tenant_count * sizeof(*tenants));
    *who_out = (struct tl_identity){ .role = token->role,
                                     .tenants = tenants,
                                     .tenant_count = token->tenant_count };
    memcpy(who_out->id, token->id, sizeof(who_out->id));
    memcpy(who_out->name, token->name, sizeof(who_out->name));
    return TALLY_OK;
}

static bool is_in_force(const struct tl_token *token, int64_t now_us)
{
    return token->expires_us == 0 || now_us < token->expires_us;
}

static tally_status look_up(struct tl_tokens *tokens, const char *id,
                            const uint8_t hash[TL_SHA256_LEN], struct tl_identity *who_out)
{
    static const struct tl_token nobody = { .id = "" };
    int64_t now = tl_clock->wall_us();
    tl_mutex_lock(&tokens->mu);
    struct tl_token *token = tl_token_list_find(&tokens->list, id);
    /* An id that nobody has takes as long as one that somebody has. */
    const uint8_t *wanted = token == NULL ? nobody.hash : token->hash;
    bool fits = tl_equal_const_time(wanted, hash, TL_SHA256_LEN);
    tally_status status = TALLY_ENOTFOUND;
    if (token != NULL && fits && is_in_force(token, now)) {
        token->last_used_us = now;
        tokens->was_used = true;
        status = identity_of(token, who_out);
    }
    tl_mutex_unlock(&tokens->mu);
    return status;
}

static tally_status check_token(struct tl_tokens *tokens, const char *text,
                                struct tl_identity *who_out)
{
    char id[TL_TOKEN_ID_SIZE];
    uint8_t hash[TL_SHA256_LEN];
    id_in(text, id);
    tl_sha256(hash, text, strnlen(text, TEXT_READ_MAX));
    return look_up(tokens, id, hash, who_out);
}

static bool has_tenant(const struct tl_token *token, const char *tenant)
{
    for (size_t i = 0; i < token->tenant_count; i++) {
        if (strcmp(token->tenants[i], tenant) == 0) {
            return true;
        }
    }
    return false;
}

/* Whether what a link allows is still within what its token may see. */
static bool allows(const struct tl_token *token, const struct tl_viewer_link *link)
{
    if (token->role < TL_ROLE_READER || (token->tenant_count > 0 && link->tenant_count == 0)) {
        return false;
    }
    for (size_t i = 0; i < link->tenant_count && token->tenant_count > 0; i++) {
        if (!has_tenant(token, link->tenants[i])) {
            return false;
        }
    }
    return true;
}

/* As identity_of(); takes the link. */
static tally_status identity_of_link(const struct tl_token *token, struct tl_viewer_link **link,
                                     struct tl_identity *who_out)
{
    struct tl_viewer_link *from = *link;
    struct tl_identity who = { .role = TL_ROLE_READER, .tenant_count = from->tenant_count };
    who.tenants = tl_alloc_array(from->tenant_count, sizeof(*who.tenants));
    if (who.tenants == NULL) {
        return TALLY_ENOMEM;
    }
    for (size_t i = 0; i < from->tenant_count; i++) {
        tl_str_copy(who.tenants[i], TL_TENANT_SIZE, tl_str_of(from->tenants[i]));
    }
    memcpy(who.id, from->id, sizeof(who.id));
    memcpy(who.name, token->name, sizeof(who.name));
    who.link = TL_TAKE(*link);
    *who_out = who;
    return TALLY_OK;
}

static bool copy_link_key(struct tl_tokens *tokens, uint8_t key_out[TL_LINK_KEY_LEN])
{
    tl_mutex_lock(&tokens->mu);
    bool has_key = tokens->list.has_link_key;
    memcpy(key_out, tokens->list.link_key, TL_LINK_KEY_LEN);
    tl_mutex_unlock(&tokens->mu);
    return has_key;
}

static tally_status check_link(struct tl_tokens *tokens, const char *text,
                               struct tl_identity *who_out)
{
    TL_CLEANUP(tl_viewer_link_freep) struct tl_viewer_link *link = NULL;
    uint8_t key[TL_LINK_KEY_LEN];
    tally_status status =
        copy_link_key(tokens, key) ? tl_viewer_link_open(&link, text, key) : TALLY_ENOTFOUND;
    explicit_bzero(key, sizeof(key));
    TL_TRY(status);
    int64_t now = tl_clock->wall_us();
    tl_mutex_lock(&tokens->mu);
    const struct tl_token *token = tl_token_list_find(&tokens->list, link->by);
    status = TALLY_ENOTFOUND;
    if (token != NULL && now < link->expires_us && is_in_force(token, now) && allows(token, link)) {
        status = identity_of_link(token, &link, who_out);
    }
    tl_mutex_unlock(&tokens->mu);
    return status;
}

tally_status tl_tokens_check(struct tl_tokens *tokens, const char *text,
                             struct tl_identity *who_out)
{
    bool is_link = strncmp(text, TL_LINK_PREFIX, sizeof(TL_LINK_PREFIX) - 1) == 0;
    tally_status (*check)(struct tl_tokens *, const char *, struct tl_identity *) =
        is_link ? check_link : check_token;
    look_after(tokens);
    tally_status status = check(tokens, text, who_out);
    /* It may have been made a moment ago, by somebody else. */
    if (status == TALLY_ENOTFOUND && has_changed(tokens) &&
        reload(tokens, true, NULL) == TALLY_OK) {
        status = check(tokens, text, who_out);
    }
    return status;
}

tally_status tl_tokens_link_key(struct tl_tokens *tokens, uint8_t key_out[TL_LINK_KEY_LEN],
                                struct tally_error *err)
{
    struct change change = { .makes_link_key = true };
    if (!copy_link_key(tokens, key_out)) {
        TL_TRY(change_file(tokens, &change, true, err));
        bool has_key = copy_link_key(tokens, key_out);
        tl_assert(has_key);
    }
    return TALLY_OK;
}

bool tl_tokens_is_in_force(struct tl_tokens *tokens, const char *id)
{
    look_after(tokens);
    tl_mutex_lock(&tokens->mu);
    const struct tl_token *token = tl_token_list_find(&tokens->list, id);
    bool is = token != NULL && is_in_force(token, tl_clock->wall_us());
    tl_mutex_unlock(&tokens->mu);
    return is;
}

static tally_status check_request(const struct tl_token_request *request, struct tally_error *err)
{
    if (!tl_token_is_clean(tl_str_of(request->name), TL_NAME_SIZE - 1)) {
        return tl_fail(err, TALLY_EINVAL,
                       "the name of a token has 1 to %u bytes of UTF-8 without control characters",
                       TL_NAME_SIZE - 1);
    }
    if (request->role < TL_ROLE_WRITER || request->role > TL_ROLE_ADMIN) {
        return tl_fail(err, TALLY_EINVAL, "a role is writer, reader, auditor or admin");
    }
    if (request->tenant_count > TL_TENANTS_MAX) {
        return tl_fail(err, TALLY_EINVAL, "a token has at most %u tenants", TL_TENANTS_MAX);
    }
    for (size_t i = 0; i < request->tenant_count; i++) {
        if (!tl_token_is_clean(tl_str_of(request->tenants[i]), TL_TENANT_SIZE - 1)) {
            return tl_fail(err, TALLY_EINVAL,
                           "a tenant has 1 to %u bytes of UTF-8 without control characters",
                           TL_TENANT_SIZE - 1);
        }
    }
    if (request->expires_us != 0 && request->expires_us <= tl_clock->wall_us()) {
        return tl_fail(err, TALLY_EINVAL, "the token would have expired already");
    }
    return TALLY_OK;
}

tally_status tl_tokens_add(struct tl_tokens *tokens, const struct tl_token_request *request,
                           char text_out[TL_TOKEN_TEXT_SIZE], char id_out[TL_TOKEN_ID_SIZE],
                           struct tally_error *err)
{
    struct change change = { .request = request };
    tl_assert(tokens != NULL);
    TL_TRY(check_request(request, err));
    tally_status status = change_file(tokens, &change, true, err);
    if (status == TALLY_OK) {
        memcpy(text_out, change.text, sizeof(change.text));
        memcpy(id_out, change.id, sizeof(change.id));
    }
    explicit_bzero(change.text, sizeof(change.text));
    return status;
}

tally_status tl_tokens_revoke(struct tl_tokens *tokens, const char *id, struct tally_error *err)
{
    struct change change = { .revoked_id = id };
    tl_assert(tokens != NULL);
    return change_file(tokens, &change, true, err);
}

static void show_all(const struct tl_token_list *list, struct tl_js *js)
{
    for (size_t i = 0; i < list->count; i++) {
        tl_js_open(js, NULL, '{');
        tl_token_show(&list->tokens[i], js);
        tl_js_close(js, '}');
    }
}

tally_status tl_tokens_show(struct tl_tokens *tokens, const char *id, struct tl_js *js)
{
    tl_mutex_lock(&tokens->mu);
    const struct tl_token *token = id == NULL ? NULL : tl_token_list_find(&tokens->list, id);
    if (id == NULL) {
        show_all(&tokens->list, js);
    } else if (token != NULL) {
        tl_token_show(token, js);
    }
    tl_mutex_unlock(&tokens->mu);
    return id == NULL || token != NULL ? TALLY_OK : TALLY_ENOTFOUND;
}

static void close_tokens(struct tl_tokens **tokens)
{
    tl_tokens_close(*tokens);
}

tally_status tl_token_create(const char *path, const struct tl_token_request *request,
                             char text_out[TL_TOKEN_TEXT_SIZE], char id_out[TL_TOKEN_ID_SIZE],
                             struct tally_error *err)
{
    TL_CLEANUP(close_tokens) struct tl_tokens *tokens = NULL;
    TL_TRY(tl_tokens_open(&tokens, path, err));
    return tl_tokens_add(tokens, request, text_out, id_out, err);
}

tally_status tl_token_revoke(const char *path, const char *id, struct tally_error *err)
{
    TL_CLEANUP(close_tokens) struct tl_tokens *tokens = NULL;
    TL_TRY(tl_tokens_open(&tokens, path, err));
    return tl_tokens_revoke(tokens, id, err);
}

static struct tl_token_info info_of(const struct tl_token *token)
{
    struct tl_token_info info = { .id = token->id,
                                  .name = token->name,
                                  .role = token->role,
                                  .tenant_count = token->tenant_count,
                                  .created_us = token->created_us,
                                  .expires_us = token->expires_us,
                                  .last_used_us = token->last_used_us };
    for (size_t i = 0; i < token->tenant_count; i++) {
        info.tenants[i] = token->tenants[i];
    }
    return info;
}

tally_status tl_token_each(const char *path, tl_token_fn *fn, void *ctx, struct tally_error *err)
{
    TL_CLEANUP(tl_token_list_release) struct tl_token_list list = { 0 };
    TL_TRY(read_file(path, &list, err));
    for (size_t i = 0; i < list.count; i++) {
        struct tl_token_info info = info_of(&list.tokens[i]);
        TL_TRY(fn(ctx, &info));
    }
    return TALLY_OK;
}

tally_status tl_token_has_admin(const char *path, bool *has_out, struct tally_error *err)
{
    TL_CLEANUP(tl_token_list_release) struct tl_token_list list = { 0 };
    TL_TRY(read_file(path, &list, err));
    *has_out = false;
    for (size_t i = 0; i < list.count; i++) {
        if (list.tokens[i].role == TL_ROLE_ADMIN && list.tokens[i].tenant_count == 0 &&
            is_in_force(&list.tokens[i], tl_clock->wall_us())) {
            *has_out = true;
        }
    }
    return TALLY_OK;
}
