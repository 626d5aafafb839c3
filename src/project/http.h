/*
 * project/http.h - HTTP requests to hosts that somebody configured; the only user of libcurl.
 *
 * https, and http to this machine alone. No redirects, no proxies, no cookies, nothing from the
 * environment. The address is judged after the name was looked up, and is the one connected to:
 * link-local ones, and this machine under any name but its own, are refused unless the URL has the
 * very address. Messages name the host and never a header, a path or a body.
 */
#ifndef TL_PROJECT_HTTP_H
#define TL_PROJECT_HTTP_H

#include "base/buf.h"
#include "base/str.h"

#define TL_HTTP_URL_MAX    2048u
#define TL_HTTP_HOST_MAX   256u
#define TL_HTTP_ANSWER_MAX 65536u /* bytes, headers and body each */

/* Connections that are kept for the next request. Confined to one thread at a time. */
struct tl_http_link;

struct tl_http_request {
    const char *url;
    const char *content_type;     /* of the body */
    struct tl_str body;           /* POSTed */
    const char *authorization;    /* value of that header; NULL for none */
    const char *ca_file;          /* PEM, in place of the system's; NULL */
    uint32_t timeout_ms;          /* for all of it; 1 and more */
    size_t answer_max;            /* bytes of the body; 0: TL_HTTP_ANSWER_MAX */
    struct tl_http_link *link;    /* NULL: a connection of its own */
    bool (*must_stop)(void *ctx); /* asked every second or so; may be NULL */
    void *ctx;
};

/* A zeroed one is initialised by the request; tl_http_answer_release(). */
struct tl_http_answer {
    long status;            /* 200 */
    uint32_t retry_after_s; /* 0 if it did not say */
    char content_type[64];  /* as it came; "" if it did not */
    struct tl_buf body;
};

/* Errors: TALLY_ENOMEM */
tally_status tl_http_link_open(struct tl_http_link **link_out, struct tally_error *err);
void tl_http_link_close(struct tl_http_link *link);

/* What of a URL names the server: "host" or "host:port" in lower case. Refuses what tl_http_post()
 * would. Errors: TALLY_EINVAL */
tally_status tl_http_host(char out[TL_HTTP_HOST_MAX], const char *url, struct tally_error *err);

/*
 * Any answer is TALLY_OK, whatever its status. Errors: TALLY_EINVAL for a URL that is not allowed;
 * TALLY_EDENIED for an address that is not; TALLY_EIO no answer, with the reason; TALLY_ELIMIT it is
 * too large; TALLY_ECANCELED must_stop() said so; TALLY_ENOMEM.
 */
tally_status tl_http_post(const struct tl_http_request *request, struct tl_http_answer *answer,
                          struct tally_error *err);
/* The same without a body, and with method GET. */
tally_status tl_http_get(const struct tl_http_request *request, struct tl_http_answer *answer,
                         struct tally_error *err);
void tl_http_answer_release(struct tl_http_answer *answer);

#endif /* TL_PROJECT_HTTP_H */
