/*
 * server/tokens.h - who may what: tokens, of which only hashes are kept, in one file.
 *
 * Any thread may call everything here.
 */
#ifndef TL_SERVER_TOKENS_H
#define TL_SERVER_TOKENS_H

#include "base/base.h"
#include "codec/js.h"
#include "server/server.h"

#define TL_TENANT_SIZE 257u
#define TL_NAME_SIZE   101u
#define TL_WHO_SIZE    160u

#define TL_LINK_KEY_LEN 32u

struct tl_viewer_link;

/* Whoever makes a request. With a viewer link id and role are its own, and the name is that of the
 * token that made it. */
struct tl_identity {
    enum tl_role role; /* 0: nobody */
    char id[TL_TOKEN_ID_SIZE];
    char name[TL_NAME_SIZE];
    size_t tenant_count;             /* 0: all */
    char (*tenants)[TL_TENANT_SIZE]; /* owned: tl_identity_release() */
    struct tl_viewer_link *link;     /* owned; NULL: it is a token, or nobody */
};
void tl_identity_release(struct tl_identity *who);

/* For records of what they did: "token:ab12cd34 (Ada)", "viewer:01020304 of token:ab12cd34 (Ada)". */
void tl_identity_text(const struct tl_identity *who, char out[TL_WHO_SIZE]);

struct tl_tokens;

/*
 * What others change in the file counts within a second, and new tokens at once; a file that cannot
 * be read any more changes nothing. Errors: TALLY_ECORRUPT the file is none of ours; TALLY_EINVAL others can read it;
 * TALLY_EIO; TALLY_ENOMEM
 */
tally_status tl_tokens_open(struct tl_tokens **tokens_out, const char *path,
                            struct tally_error *err);
void tl_tokens_close(struct tl_tokens *tokens); /* writes when each was used last */
tally_status tl_tokens_reload(struct tl_tokens *tokens, struct tally_error *err);

/* A token, or a viewer link, which also ends with the token that made it.
 * Errors: TALLY_ENOTFOUND unknown, revoked or expired; TALLY_ENOMEM */
tally_status tl_tokens_check(struct tl_tokens *tokens, const char *text,
                             struct tl_identity *who_out);

/* For what goes on after it was checked: whether that token was neither ended nor has expired. */
bool tl_tokens_is_in_force(struct tl_tokens *tokens, const char *id);

/* Errors: TALLY_EINVAL; TALLY_ELIMIT there are 1,000; TALLY_ENOTFOUND no such id; those of open */
tally_status tl_tokens_add(struct tl_tokens *tokens, const struct tl_token_request *request,
                           char text_out[TL_TOKEN_TEXT_SIZE], char id_out[TL_TOKEN_ID_SIZE],
                           struct tally_error *err);
tally_status tl_tokens_revoke(struct tl_tokens *tokens, const char *id, struct tally_error *err);

/* The key that viewer links are sealed with, which is made when it is first asked for. Wipe it.
 * Errors: those of open */
tally_status tl_tokens_link_key(struct tl_tokens *tokens, uint8_t key_out[TL_LINK_KEY_LEN],
                                struct tally_error *err);

/* Adds the members of one to an object, or all (`id` NULL) to an array. Never secrets.
 * TALLY_ENOTFOUND: no such id. */
tally_status tl_tokens_show(struct tl_tokens *tokens, const char *id, struct tl_js *js);

#endif /* TL_SERVER_TOKENS_H */
