/* server/token_list.h - the tokens of one file, and its text: JSON, read strictly. Knows no files. */
#ifndef TL_SERVER_TOKEN_LIST_H
#define TL_SERVER_TOKEN_LIST_H

#include "base/buf.h"
#include "crypto/crypto.h"
#include "server/tokens.h"

#define TL_TOKENS_MAX          1000u
#define TL_TOKENS_BYTES_MAX    ((size_t)16 << 20)
#define TL_TOKENS_ARENA_MAX    ((size_t)64 << 20)
#define TL_TOKENS_FILE_MEMBERS 2u /* and the key of viewer links, once there were some */
#define TL_TOKEN_FILE_MEMBERS  8u
#define TL_TOKENS_VERSION      "1"

/* One token; its text is known to its owner alone. */
struct tl_token {
    char id[TL_TOKEN_ID_SIZE];
    uint8_t hash[TL_SHA256_LEN]; /* of the whole text */
    char name[TL_NAME_SIZE];
    enum tl_role role;
    char (*tenants)[TL_TENANT_SIZE]; /* owned */
    size_t tenant_count;
    int64_t created_us;
    int64_t expires_us;   /* 0: never */
    int64_t last_used_us; /* 0: never */
};

/* Owned; caller serialises. A zeroed one is empty. */
struct tl_token_list {
    struct tl_token *tokens;
    size_t count;
    bool has_link_key;
    uint8_t link_key[TL_LINK_KEY_LEN]; /* secret */
};

void tl_token_release(struct tl_token *token);
void tl_token_list_release(struct tl_token_list *list);

/* NULL if there is none. */
struct tl_token *tl_token_list_find(const struct tl_token_list *list, const char *id);

/* Takes what `token` owns, unless it fails. Errors: TALLY_ELIMIT there are enough; TALLY_ENOMEM */
tally_status tl_token_list_add(struct tl_token_list *list, struct tl_token *token);
void tl_token_list_remove(struct tl_token_list *list, struct tl_token *token);

/* 1 to `len_max` bytes of UTF-8 without control characters. */
bool tl_token_is_clean(struct tl_str text, size_t len_max);

/* Reads into an empty list, which stays empty on failure. Errors: TALLY_ECORRUPT, TALLY_ENOMEM */
tally_status tl_token_list_read(struct tl_token_list *list, struct tl_str text);

/* Appends the text. Check tl_buf_status() afterwards. */
void tl_token_list_write(struct tl_buf *out, const struct tl_token_list *list);

/* Adds what anyone may see of a token to an object. */
void tl_token_show(const struct tl_token *token, struct tl_js *js);

#endif /* TL_SERVER_TOKEN_LIST_H */
