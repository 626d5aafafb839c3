/*
 * crypto/timestamp.h - time stamps of RFC 3161 over a SHA-256 digest: what is asked, and what is
 * believed of the answer.
 *
 * An answer is believed if it was granted, is over the digest that was asked for, has the nonce that
 * was sent, and is signed by the certificate that it names; with certificates of authorities at hand
 * (PEM), also if one of them leads to that certificate and lets it stamp times.
 */
#ifndef TL_CRYPTO_TIMESTAMP_H
#define TL_CRYPTO_TIMESTAMP_H

#include "base/buf.h"
#include "base/str.h"
#include "crypto/crypto.h"

#define TL_TIMESTAMP_LEN_MAX   65536u /* bytes of an answer or token */
#define TL_TIMESTAMP_NONCE_LEN 8u

/* What a token says. */
struct tl_timestamp {
    uint8_t imprint[TL_SHA256_LEN];
    int64_t time_s;      /* seconds since 1970 */
    char authority[256]; /* name of the certificate that signed; printable, "" if it has none */
};

/* Appends a request (DER) that asks for the certificate too. Errors: TALLY_ENOMEM */
tally_status tl_timestamp_request(struct tl_buf *out, const uint8_t imprint[TL_SHA256_LEN],
                                  const uint8_t nonce[TL_TIMESTAMP_NONCE_LEN],
                                  struct tally_error *err);

/*
 * Reads an answer, and appends the token in it (DER) to `token_out` if it is to be believed.
 * `authorities` is PEM, absent for none. Errors: TALLY_EREFUSED the authority did not grant it;
 * TALLY_ECORRUPT the answer does not parse or is not to be believed; TALLY_EINVAL `authorities` does
 * not parse; TALLY_ENOMEM. The message says which of the rules it breaks.
 */
tally_status tl_timestamp_accept(struct tl_timestamp *out, struct tl_buf *token_out,
                                 struct tl_str answer, const uint8_t imprint[TL_SHA256_LEN],
                                 const uint8_t nonce[TL_TIMESTAMP_NONCE_LEN],
                                 struct tl_str authorities, struct tally_error *err);

/* Reads a token that was kept, and checks its signature likewise; whether the imprint is the right
 * one is for the caller to see. Errors: TALLY_ECORRUPT, TALLY_EINVAL, TALLY_ENOMEM */
tally_status tl_timestamp_read(struct tl_timestamp *out, struct tl_str token,
                               struct tl_str authorities, struct tally_error *err);

#endif /* TL_CRYPTO_TIMESTAMP_H */
