/*
 * server/server.h - a ledger behind HTTP: docs/http-api.md.
 *
 * The only header of this folder that others include.
 */
#ifndef TL_SERVER_SERVER_H
#define TL_SERVER_SERVER_H

#include <tally/tally.h>

#include "base/base.h"

/* Borrowed until the server has stopped, the ledger included. */
struct tl_server_options {
    struct tally_ledger *ledger;          /* open for writing */
    const struct tally_options *location; /* what it was opened with */
    const char *const *listen;            /* "127.0.0.1:8080", "[::1]:0", "unix:/run/tally.sock" */
    size_t listen_count;
    const int *sockets; /* listening already, from the service manager */
    size_t socket_count;
    const char *tls_cert_path; /* PEM, chain included; NULL: plain HTTP, on loopback alone */
    const char *tls_key_path;
    const char *token_path; /* the file of tokens; made when the first one is */
    bool allows_plain;      /* plain HTTP beyond loopback: a proxy does TLS */
    const char *const
        *viewer_origins; /* pages of others that may ask for views: "https://a.example" */
    size_t viewer_origin_count;
    uint64_t rate_per_address; /* requests a second without a token in force; 0: no limit */
    uint64_t rate_per_token;
    bool has_public_tlog;                      /* tiles of the tree are for anybody */
    const struct tl_server_settings *settings; /* of the start: what they say now is compared */
    const char *sandbox;                       /* what it runs in: "none" */
    struct tally_scheduler *scheduler;         /* told of new schedules; NULL: none */
    void (*log)(void *ctx,
                const char *line); /* a line about what happened; any thread; never NULL */
    void *log_ctx;
};

/* The settings of a ledger at one moment. Owned: tl_server_settings_free(). */
struct tl_server_settings;

/* Errors: as of tally_config_list() */
tally_status tl_server_settings_read(struct tl_server_settings **settings_out,
                                     const struct tally_options *location, struct tally_error *err);
void tl_server_settings_free(struct tl_server_settings *settings); /* NULL is allowed */

/* Gives `options` what `server.*` says where they are silent; texts are borrowed from `settings`. */
void tl_server_settings_apply(const struct tl_server_settings *settings,
                              struct tl_server_options *options);

/*
 * From here on this process, for good, may not do what a server never needs: docs/security.md. Call it
 * before there are threads: those that are there already stay as they are. Errors: TALLY_ENOTSUP it is
 * not built in; TALLY_EIO the kernel refuses
 */
tally_status tl_sandbox_enter(struct tally_error *err);
const char *tl_sandbox_name(void); /* what is built in: "seccomp" or "none" */

/* Goes on as another user, for good, with the groups of that user. Before there are threads, too.
 * Errors: TALLY_EINVAL there is none, or this is not root; TALLY_EIO */
tally_status tl_user_become(const char *name, struct tally_error *err);

/* Listens at one address of `options`, for a process that may not do so later: *fd_out is for `sockets`.
 * Errors as of tl_server_start() */
tally_status tl_server_bind(int *fd_out, const struct tl_server_options *options,
                            const char *address, struct tally_error *err);

struct tl_server;

/*
 * Listens, and answers until tl_server_stop().
 * Errors: TALLY_EINVAL an address or a file is wrong; TALLY_EIO it cannot listen; TALLY_ENOMEM
 */
tally_status tl_server_start(struct tl_server **server_out, const struct tl_server_options *options,
                             struct tally_error *err);

/* Refuses new requests, finishes those that were accepted, and frees everything. NULL is allowed. */
void tl_server_stop(struct tl_server *server);

/* Reads settings, certificate, key and tokens again. All stays as it was if one is wrong. What cannot
 * change while it runs stays as it is, and is named in the log and the answer of
 * POST /v1/config/reload. Errors: TALLY_EINVAL with file, line and column; those of tally_config_adopt() */
tally_status tl_server_reload(struct tl_server *server, struct tally_error *err);

/* Where it listens, "http://127.0.0.1:8080"; NULL beyond the last. */
const char *tl_server_address(const struct tl_server *server, size_t index);

/* Tells the service manager how it stands, if there is one: "READY=1". */
void tl_service_notify(const char *state);
/* The sockets that it handed over, at most `max`; returns how many. */
size_t tl_service_sockets(int *sockets, size_t max);
/* From now on this process gives large blocks back to the system when they are freed. To be called
 * before it has threads. */
void tl_service_spare_memory(void);

/* Who may what; one name for each, the same everywhere. */
enum tl_role { TL_ROLE_WRITER = 1, TL_ROLE_READER, TL_ROLE_AUDITOR, TL_ROLE_ADMIN };

const char *tl_role_name(enum tl_role role);
enum tl_role tl_role_of(const char *name); /* 0: none of this name */

#define TL_TOKEN_TEXT_SIZE 64u
#define TL_TOKEN_ID_SIZE   9u
#define TL_TENANTS_MAX     16u

/* What a token is made from. Borrowed. */
struct tl_token_request {
    const char *name; /* 1 to 100 bytes: whose it is */
    enum tl_role role;
    const char *const *tenants;
    size_t tenant_count; /* 0: all */
    int64_t expires_us;  /* 0: never */
};

/*
 * Adds a token to the file at `path`, which is made if it is not there, and gives its text, which is
 * kept nowhere. Wipe it. Errors: TALLY_EINVAL; TALLY_ECORRUPT the file; TALLY_EIO, ENOMEM
 */
tally_status tl_token_create(const char *path, const struct tl_token_request *request,
                             char text_out[TL_TOKEN_TEXT_SIZE], char id_out[TL_TOKEN_ID_SIZE],
                             struct tally_error *err);

/* Whether the file has a token of the role admin, for all tenants, that is in force. Errors as above. */
tally_status tl_token_has_admin(const char *path, bool *has_out, struct tally_error *err);

/* Ends a token; a server that uses the file hears of it within a second. TALLY_ENOTFOUND */
tally_status tl_token_revoke(const char *path, const char *id, struct tally_error *err);

/* What anyone may see of a token. Borrowed. */
struct tl_token_info {
    const char *id;
    const char *name;
    enum tl_role role;
    const char *tenants[TL_TENANTS_MAX];
    size_t tenant_count;
    int64_t created_us;
    int64_t expires_us;   /* 0: never */
    int64_t last_used_us; /* 0: never */
};

/* Calls `fn` with each, the oldest first, until it fails. Errors: those of fn; as above */
typedef tally_status tl_token_fn(void *ctx, const struct tl_token_info *token);
tally_status tl_token_each(const char *path, tl_token_fn *fn, void *ctx, struct tally_error *err);

#endif /* TL_SERVER_SERVER_H */
