/* server/pem.h - certificate and key of the server, as files. */
#ifndef TL_SERVER_PEM_H
#define TL_SERVER_PEM_H

#include "base/base.h"
#include "server/server.h"

/* Text; NULL without TLS. */
struct tl_pem {
    char *cert;
    char *key; /* secret */
};

/* Errors: TALLY_EINVAL a certificate without a key; TALLY_ENOTFOUND, TALLY_EIO, TALLY_ENOMEM */
tally_status tl_pem_read(struct tl_pem *pem, const struct tl_server_options *options,
                         struct tally_error *err);
void tl_pem_release(struct tl_pem *pem); /* wipes the key */

#endif /* TL_SERVER_PEM_H */
