#include "server/pem.h"

#include <string.h>

#include "base/io.h"

#define PEM_MAX ((size_t)1 << 20)

tally_status tl_pem_read(struct tl_pem *pem, const struct tl_server_options *options,
                         struct tally_error *err)
{
    size_t len = 0;
    if (options->tls_cert_path == NULL) {
        return TALLY_OK;
    }
    if (options->tls_key_path == NULL) {
        return tl_fail(err, TALLY_EINVAL, "a certificate needs its key: give --tls-key as well");
    }
    TL_TRY(tl_io_read_file(options->tls_cert_path, PEM_MAX, &pem->cert, &len, err));
    return tl_io_read_file(options->tls_key_path, PEM_MAX, &pem->key, &len, err);
}

void tl_pem_release(struct tl_pem *pem)
{
    if (pem->key != NULL) {
        explicit_bzero(pem->key, strlen(pem->key));
    }
    tl_free(pem->key);
    tl_free(pem->cert);
    *pem = (struct tl_pem){ 0 };
}
