#include "crypto/timestamp.h"

#include <openssl/asn1.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs7.h>
#include <openssl/ts.h>
#include <openssl/x509.h>
#include <string.h>
#include <time.h>

static void request_freep(TS_REQ **request)
{
    TS_REQ_free(*request);
}

static void response_freep(TS_RESP **response)
{
    TS_RESP_free(*response);
}

static void token_freep(PKCS7 **token)
{
    PKCS7_free(*token);
}

static void info_freep(TS_TST_INFO **info)
{
    TS_TST_INFO_free(*info);
}

static void store_freep(X509_STORE **store)
{
    X509_STORE_free(*store);
}

static void bio_freep(BIO **bio)
{
    (void)BIO_free(*bio); /* of memory */
}

static void certificate_freep(X509 **certificate)
{
    X509_free(*certificate);
}

static void number_freep(ASN1_INTEGER **number)
{
    ASN1_INTEGER_free(*number);
}

static void imprint_freep(TS_MSG_IMPRINT **imprint)
{
    TS_MSG_IMPRINT_free(*imprint);
}

static void algorithm_freep(X509_ALGOR **algorithm)
{
    X509_ALGOR_free(*algorithm);
}

static void der_freep(unsigned char **der)
{
    OPENSSL_free(*der);
}

static tally_status no_memory(struct tally_error *err)
{
    ERR_clear_error();
    return tl_fail(err, TALLY_ENOMEM, "cannot allocate a time stamp");
}

/* Whether what failed lacked memory. Takes what OpenSSL keeps of it. */
static bool lacked_memory(void)
{
    bool lacked = false;
    for (unsigned long code = ERR_get_error(); code != 0; code = ERR_get_error()) {
        lacked = lacked || ERR_GET_REASON(code) == ERR_R_MALLOC_FAILURE;
    }
    return lacked;
}

static tally_status unbelievable(struct tally_error *err, const char *why)
{
    if (lacked_memory()) {
        return no_memory(err);
    }
    return tl_fail(err, TALLY_ECORRUPT, "%s", why);
}

static TS_MSG_IMPRINT *new_imprint(const uint8_t digest[TL_SHA256_LEN])
{
    unsigned char copy[TL_SHA256_LEN];
    TL_CLEANUP(imprint_freep) TS_MSG_IMPRINT *imprint = TS_MSG_IMPRINT_new();
    TL_CLEANUP(algorithm_freep) X509_ALGOR *algorithm = X509_ALGOR_new();
    memcpy(copy, digest, sizeof(copy));
    if (imprint == NULL || algorithm == NULL) {
        return NULL;
    }
    if (X509_ALGOR_set0(algorithm, OBJ_nid2obj(NID_sha256), V_ASN1_NULL, NULL) != 1 ||
        TS_MSG_IMPRINT_set_algo(imprint, algorithm) != 1 ||
        TS_MSG_IMPRINT_set_msg(imprint, copy, (int)sizeof(copy)) != 1) {
        return NULL;
    }
    return TL_TAKE(imprint);
}

static ASN1_INTEGER *new_nonce(const uint8_t nonce[TL_TIMESTAMP_NONCE_LEN])
{
    BIGNUM *number = BN_bin2bn(nonce, (int)TL_TIMESTAMP_NONCE_LEN, NULL);
    ASN1_INTEGER *text = number == NULL ? NULL : BN_to_ASN1_INTEGER(number, NULL);
    BN_free(number);
    return text;
}

tally_status tl_timestamp_request(struct tl_buf *out, const uint8_t imprint[TL_SHA256_LEN],
                                  const uint8_t nonce[TL_TIMESTAMP_NONCE_LEN],
                                  struct tally_error *err)
{
    TL_CLEANUP(request_freep) TS_REQ *request = TS_REQ_new();
    TL_CLEANUP(imprint_freep) TS_MSG_IMPRINT *of = new_imprint(imprint);
    TL_CLEANUP(number_freep) ASN1_INTEGER *number = new_nonce(nonce);
    TL_CLEANUP(der_freep) unsigned char *der = NULL;
    if (request == NULL || of == NULL || number == NULL || TS_REQ_set_version(request, 1) != 1 ||
        TS_REQ_set_msg_imprint(request, of) != 1 || TS_REQ_set_nonce(request, number) != 1 ||
        TS_REQ_set_cert_req(request, 1) != 1) {
        return no_memory(err);
    }
    int len = i2d_TS_REQ(request, &der);
    if (len <= 0) {
        return no_memory(err);
    }
    tl_buf_add(out, der, (size_t)len);
    return tl_buf_status(out) == TALLY_OK ? TALLY_OK : no_memory(err);
}

/* The one certificate that signed the token; borrowed from it. */
static X509 *signer_of(PKCS7 *token)
{
    STACK_OF(X509) *signers = PKCS7_get0_signers(token, NULL, 0);
    X509 *signer = signers != NULL && sk_X509_num(signers) == 1 ? sk_X509_value(signers, 0) : NULL;
    sk_X509_free(signers);
    return signer;
}

/* Whether the certificate that comes with the token made its signature. Who that is stays open. */
static bool is_signed(PKCS7 *token)
{
    TL_CLEANUP(bio_freep) BIO *content = BIO_new(BIO_s_mem());
    return content != NULL && signer_of(token) != NULL &&
           PKCS7_verify(token, NULL, NULL, NULL, content, PKCS7_NOVERIFY) == 1;
}

static tally_status read_authorities(X509_STORE *store, struct tl_str pem, struct tally_error *err)
{
    if (pem.len > INT32_MAX) {
        return tl_fail(err, TALLY_EINVAL, "the certificates of authorities are too long");
    }
    TL_CLEANUP(bio_freep) BIO *text = BIO_new_mem_buf(pem.text, (int)pem.len);
    if (text == NULL) {
        return no_memory(err);
    }
    size_t count = 0;
    for (bool more = true; more;) {
        X509 *certificate = PEM_read_bio_X509(text, NULL, NULL, NULL);
        more = certificate != NULL && X509_STORE_add_cert(store, certificate) == 1;
        count += more;
        certificate_freep(&certificate);
    }
    ERR_clear_error();
    return count > 0 ? TALLY_OK
                     : tl_fail(err, TALLY_EINVAL, "there is no certificate of an authority (PEM)");
}

/* Whether an authority leads to the signer, at the time of the stamp itself: a certificate that has
 * run out since does not undo what it signed while it held. */
static tally_status check_chain(PKCS7 *token, struct tl_str authorities, int64_t time_s,
                                struct tally_error *err)
{
    TL_CLEANUP(store_freep) X509_STORE *store = X509_STORE_new();
    if (store == NULL) {
        return no_memory(err);
    }
    TL_TRY(read_authorities(store, authorities, err));
    X509_VERIFY_PARAM *param = X509_STORE_get0_param(store);
    X509_VERIFY_PARAM_set_time(param, (time_t)time_s);
    X509 *signer = NULL;
    int good = TS_RESP_verify_signature(token, NULL, store, &signer);
    certificate_freep(&signer);
    return good == 1 ? TALLY_OK
                     : unbelievable(err, "no authority of 'anchor.tsa_ca_file' leads to the "
                                         "certificate that signed the time stamp");
}

static bool read_time(const ASN1_GENERALIZEDTIME *from, int64_t *out)
{
    struct tm tm;
    memset(&tm, 0, sizeof(tm));
    if (from == NULL || ASN1_TIME_to_tm(from, &tm) != 1) {
        return false;
    }
    *out = (int64_t)timegm(&tm);
    return *out > 0;
}

static bool read_imprint(TS_TST_INFO *info, uint8_t out[TL_SHA256_LEN])
{
    TS_MSG_IMPRINT *imprint = TS_TST_INFO_get_msg_imprint(info);
    const ASN1_OBJECT *algorithm = NULL;
    if (imprint == NULL) {
        return false;
    }
    X509_ALGOR_get0(&algorithm, NULL, NULL, TS_MSG_IMPRINT_get_algo(imprint));
    const ASN1_OCTET_STRING *digest = TS_MSG_IMPRINT_get_msg(imprint);
    if (OBJ_obj2nid(algorithm) != NID_sha256 || ASN1_STRING_length(digest) != (int)TL_SHA256_LEN) {
        return false;
    }
    memcpy(out, ASN1_STRING_get0_data(digest), TL_SHA256_LEN);
    return true;
}

/* What is signed in the token; the caller frees it. */
static tally_status read_info(TS_TST_INFO **info_out, struct tl_timestamp *out, PKCS7 *token,
                              struct tally_error *err)
{
    TL_CLEANUP(info_freep) TS_TST_INFO *info = PKCS7_to_TS_TST_INFO(token);
    struct tl_timestamp said = { 0 };
    if (info == NULL || TS_TST_INFO_get_version(info) != 1) {
        return unbelievable(err, "it is no time stamp of RFC 3161");
    }
    if (!read_time(TS_TST_INFO_get_time(info), &said.time_s)) {
        return unbelievable(err, "the time stamp has no time that can be read");
    }
    if (!read_imprint(info, said.imprint)) {
        return unbelievable(err, "the time stamp is not over a SHA-256 digest");
    }
    *out = said;
    *info_out = TL_TAKE(info);
    return TALLY_OK;
}

static void name_authority(struct tl_timestamp *out, PKCS7 *token)
{
    X509 *signer = signer_of(token);
    if (signer != NULL) {
        (void)X509_NAME_oneline(X509_get_subject_name(signer), out->authority,
                                (int)sizeof(out->authority));
    }
    for (char *c = out->authority; *c != '\0'; c++) {
        *c = (char)(*c < ' ' || *c > '~' ? '?' : *c);
    }
}

static tally_status check_token(struct tl_timestamp *out, TS_TST_INFO **info_out, PKCS7 *token,
                                struct tl_str authorities, struct tally_error *err)
{
    struct tl_timestamp said = { 0 };
    TL_CLEANUP(info_freep) TS_TST_INFO *info = NULL;
    TL_TRY(read_info(&info, &said, token, err));
    if (!is_signed(token)) {
        return unbelievable(err, "the signature of the time stamp is wrong");
    }
    if (authorities.text != NULL) {
        TL_TRY(check_chain(token, authorities, said.time_s, err));
    }
    name_authority(&said, token);
    ERR_clear_error();
    *out = said;
    *info_out = TL_TAKE(info);
    return TALLY_OK;
}

static bool has_nonce(const TS_TST_INFO *info, const uint8_t nonce[TL_TIMESTAMP_NONCE_LEN])
{
    const ASN1_INTEGER *answered = TS_TST_INFO_get_nonce(info);
    TL_CLEANUP(number_freep) ASN1_INTEGER *sent = new_nonce(nonce);
    return answered != NULL && sent != NULL && ASN1_INTEGER_cmp(answered, sent) == 0;
}

static tally_status add_token(struct tl_buf *out, PKCS7 *token, struct tally_error *err)
{
    TL_CLEANUP(der_freep) unsigned char *der = NULL;
    int len = i2d_PKCS7(token, &der);
    if (len <= 0) {
        return no_memory(err);
    }
    tl_buf_add(out, der, (size_t)len);
    return tl_buf_status(out) == TALLY_OK ? TALLY_OK : no_memory(err);
}

static tally_status check_granted(TS_RESP *response, struct tally_error *err)
{
    const TS_STATUS_INFO *info = TS_RESP_get_status_info(response);
    int64_t status = -1;
    if (info == NULL || ASN1_INTEGER_get_int64(&status, TS_STATUS_INFO_get0_status(info)) != 1) {
        return unbelievable(err, "the answer has no status");
    }
    if (status != TS_STATUS_GRANTED && status != TS_STATUS_GRANTED_WITH_MODS) {
        return tl_fail(err, TALLY_EREFUSED,
                       "the authority did not grant a time stamp (status %lld)", (long long)status);
    }
    return TS_RESP_get_token(response) != NULL
               ? TALLY_OK
               : unbelievable(err, "the answer was granted and has no time stamp");
}

tally_status tl_timestamp_accept(struct tl_timestamp *out, struct tl_buf *token_out,
                                 struct tl_str answer, const uint8_t imprint[TL_SHA256_LEN],
                                 const uint8_t nonce[TL_TIMESTAMP_NONCE_LEN],
                                 struct tl_str authorities, struct tally_error *err)
{
    if (answer.len == 0 || answer.len > TL_TIMESTAMP_LEN_MAX) {
        return tl_fail(err, TALLY_ECORRUPT, "the answer is empty or too long");
    }
    const unsigned char *at = (const unsigned char *)answer.text;
    TL_CLEANUP(response_freep) TS_RESP *response = d2i_TS_RESP(NULL, &at, (long)answer.len);
    if (response == NULL || at != (const unsigned char *)answer.text + answer.len) {
        return unbelievable(err, "the answer is not one of RFC 3161");
    }
    TL_TRY(check_granted(response, err));
    struct tl_timestamp said = { 0 };
    TL_CLEANUP(info_freep) TS_TST_INFO *info = NULL;
    PKCS7 *token = TS_RESP_get_token(response);
    TL_TRY(check_token(&said, &info, token, authorities, err));
    if (memcmp(said.imprint, imprint, TL_SHA256_LEN) != 0) {
        return unbelievable(err, "the time stamp is over another digest than was asked for");
    }
    if (!has_nonce(info, nonce)) {
        return unbelievable(err,
                            "the time stamp has another nonce: it is an old one, or another's");
    }
    TL_TRY(add_token(token_out, token, err));
    *out = said;
    return TALLY_OK;
}

tally_status tl_timestamp_read(struct tl_timestamp *out, struct tl_str token_der,
                               struct tl_str authorities, struct tally_error *err)
{
    if (token_der.len == 0 || token_der.len > TL_TIMESTAMP_LEN_MAX) {
        return tl_fail(err, TALLY_ECORRUPT, "the time stamp is empty or too long");
    }
    const unsigned char *at = (const unsigned char *)token_der.text;
    TL_CLEANUP(token_freep) PKCS7 *token = d2i_PKCS7(NULL, &at, (long)token_der.len);
    if (token == NULL || at != (const unsigned char *)token_der.text + token_der.len) {
        return unbelievable(err, "it is no time stamp of RFC 3161");
    }
    TL_CLEANUP(info_freep) TS_TST_INFO *info = NULL;
    return check_token(out, &info, token, authorities, err);
}
