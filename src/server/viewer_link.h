/*
 * server/viewer_link.h - a right to look at some events for a short while. It is kept nowhere: what it
 * allows stands in its text, under a MAC.
 *
 * The text: "tallyv_", JSON in base64url, ".", the HMAC-SHA256 of all before the dot in base64url.
 */
#ifndef TL_SERVER_VIEWER_LINK_H
#define TL_SERVER_VIEWER_LINK_H

#include <tally/query.h>

#include "base/arena.h"
#include "base/buf.h"
#include "server/tokens.h"

#define TL_LINK_PREFIX         "tallyv_"
#define TL_LINK_TEXT_SIZE      2049u /* a header block has 16 KiB, of all headers */
#define TL_LINK_CONDITIONS_MAX 64u
#define TL_LINK_TIME_MAX_US    (INT64_C(24) * 3600 * 1000000)
#define TL_ORIGIN_LEN_MAX      255u

/* Owned: tl_viewer_link_free(). All that it points to is its own. */
struct tl_viewer_link {
    struct tl_arena arena;
    char id[TL_TOKEN_ID_SIZE];
    char by[TL_TOKEN_ID_SIZE]; /* the token that made it, which it does not outlive */
    int64_t expires_us;
    const char *origin;  /* of the page that may use it; "": any that is configured */
    size_t tenant_count; /* 0: all */
    const char *const *tenants;
    size_t condition_count;
    const struct tally_condition *conditions; /* never NULL */
};

void tl_viewer_link_free(struct tl_viewer_link *link); /* NULL is allowed */
void tl_viewer_link_freep(struct tl_viewer_link **link);

/* What stands in the text, and back. Errors: TALLY_EREFUSED it is none; TALLY_ENOMEM */
void tl_viewer_link_write(struct tl_buf *out, const struct tl_viewer_link *link);
tally_status tl_viewer_link_read(struct tl_viewer_link **link_out, struct tl_str claims);

/* Errors: TALLY_ELIMIT it allows so much that the text would be too long; TALLY_ENOMEM */
tally_status tl_viewer_link_seal(char text_out[TL_LINK_TEXT_SIZE],
                                 const struct tl_viewer_link *link,
                                 const uint8_t key[TL_LINK_KEY_LEN]);

/* Whether it is still in force is for others to ask. Errors: TALLY_ENOTFOUND it is not one that was
 * sealed with this key; TALLY_ENOMEM */
tally_status tl_viewer_link_open(struct tl_viewer_link **link_out, const char *text,
                                 const uint8_t key[TL_LINK_KEY_LEN]);

#endif /* TL_SERVER_VIEWER_LINK_H */
