#include "project/http.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <string.h>

#include "base/net.h"

/* A URL taken apart and judged. */
struct place {
    bool secure;
    bool is_this_machine; /* the URL says so itself */
    bool is_address;      /* and not a name */
    char host[TL_HTTP_HOST_MAX];
    char port[8]; /* "" for the usual one */
};

/* One request on its way. */
struct call {
    const struct tl_http_request *request;
    bool is_get;
    const struct place *place;
    struct tl_http_answer *answer;
    size_t header_bytes;
    bool refused; /* every address so far */
    bool too_large;
};

struct tl_http_link {
    CURL *handle; /* keeps its connections from one request to the next */
};

tally_status tl_http_link_open(struct tl_http_link **link_out, struct tally_error *err)
{
    struct tl_http_link *link = tl_alloc_array(1, sizeof(*link));
    CURL *handle = link == NULL ? NULL : curl_easy_init();
    if (handle == NULL) {
        tl_free(link);
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a connection");
    }
    link->handle = handle;
    *link_out = link;
    return TALLY_OK;
}

void tl_http_link_close(struct tl_http_link *link)
{
    if (link != NULL) {
        curl_easy_cleanup(link->handle);
        tl_free(link);
    }
}

static void link_closep(struct tl_http_link **link)
{
    tl_http_link_close(*link);
}

static void url_freep(CURLU **url)
{
    curl_url_cleanup(*url);
}

/* One of the headers may be a secret. */
static void list_freep(struct curl_slist **list)
{
    for (const struct curl_slist *item = *list; item != NULL; item = item->next) {
        explicit_bzero(item->data, strlen(item->data));
    }
    curl_slist_free_all(*list);
}

/* Copies a part of the URL; an absent one is "". False if it does not fit. */
static bool copy_part(CURLU *url, CURLUPart part, char *out, size_t size)
{
    char *text = NULL;
    out[0] = '\0';
    if (curl_url_get(url, part, &text, 0) != CURLUE_OK) {
        return true;
    }
    struct tl_str from = tl_str_of(text);
    bool fits = from.len < size;
    if (fits) {
        tl_str_copy(out, size, from);
    }
    curl_free(text);
    return fits;
}

/* Reads the host as an address; its kind goes to *place_out. */
static bool is_address(const char *host, enum tl_net_place *place_out)
{
    struct sockaddr_in in = { .sin_family = AF_INET };
    struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
    char bare[TL_HTTP_HOST_MAX];
    if (inet_pton(AF_INET, host, &in.sin_addr) == 1) {
        *place_out = tl_net_place((const struct sockaddr *)(const void *)&in, sizeof(in));
        return true;
    }
    size_t len = strlen(host);
    if (len > 2 && host[0] == '[' && host[len - 1] == ']') {
        tl_str_copy(bare, sizeof(bare), (struct tl_str){ .text = host + 1, .len = len - 2 });
        if (inet_pton(AF_INET6, bare, &in6.sin6_addr) == 1) {
            *place_out = tl_net_place((const struct sockaddr *)(const void *)&in6, sizeof(in6));
            return true;
        }
    }
    return false;
}

static void lower(char *text)
{
    for (; *text != '\0'; text++) {
        *text = (char)(*text >= 'A' && *text <= 'Z' ? *text + ('a' - 'A') : *text);
    }
}

static tally_status judge(CURLU *url, struct place *place, struct tally_error *err)
{
    char scheme[8];
    char user[2];
    char fragment[2];
    bool fits = copy_part(url, CURLUPART_SCHEME, scheme, sizeof(scheme)) &&
                copy_part(url, CURLUPART_HOST, place->host, sizeof(place->host)) &&
                copy_part(url, CURLUPART_PORT, place->port, sizeof(place->port));
    place->secure = strcmp(scheme, "https") == 0;
    if (!fits || (!place->secure && strcmp(scheme, "http") != 0) || place->host[0] == '\0') {
        return tl_fail(err, TALLY_EINVAL, "not a URL that begins with https:// and a host");
    }
    if (!copy_part(url, CURLUPART_USER, user, sizeof(user)) || user[0] != '\0' ||
        !copy_part(url, CURLUPART_PASSWORD, user, sizeof(user)) || user[0] != '\0') {
        return tl_fail(err, TALLY_EINVAL,
                       "a URL may not hold a name or password: use a token file");
    }
    if (!copy_part(url, CURLUPART_FRAGMENT, fragment, sizeof(fragment)) || fragment[0] != '\0') {
        return tl_fail(err, TALLY_EINVAL, "a URL may not end with a '#' and a name");
    }
    lower(place->host);
    enum tl_net_place where = TL_NET_PUBLIC;
    place->is_address = is_address(place->host, &where);
    place->is_this_machine =
        place->is_address ? where == TL_NET_LOOPBACK : strcmp(place->host, "localhost") == 0;
    if (!place->secure && !place->is_this_machine) {
        return tl_fail(err, TALLY_EINVAL, "http:// is for this machine alone: use https://%s",
                       place->host);
    }
    return TALLY_OK;
}

static tally_status place_of(struct place *place, const char *text, struct tally_error *err)
{
    TL_CLEANUP(url_freep) CURLU *url = curl_url();
    if (url == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a URL");
    }
    /* libcurl takes "https:///host" for something; one spelling is enough. */
    const char *host = strstr(text, "://");
    if (host == NULL || strchr("/\\", host[3]) != NULL || strlen(text) > TL_HTTP_URL_MAX ||
        strpbrk(text, " \t\r\n") != NULL ||
        curl_url_set(url, CURLUPART_URL, text, 0) != CURLUE_OK) {
        return tl_fail(err, TALLY_EINVAL, "not a URL that begins with https:// and a host");
    }
    return judge(url, place, err);
}

tally_status tl_http_host(char out[TL_HTTP_HOST_MAX], const char *url, struct tally_error *err)
{
    struct place place = { 0 };
    TL_TRY(place_of(&place, url, err));
    struct tl_buf text;
    tl_buf_init_fixed(&text, out, TL_HTTP_HOST_MAX);
    tl_buf_add_text(&text, place.host);
    if (place.port[0] != '\0') {
        tl_buf_add_char(&text, ':');
        tl_buf_add_text(&text, place.port);
    }
    if (tl_buf_status(&text) != TALLY_OK) {
        return tl_fail(err, TALLY_EINVAL, "the host of a URL is too long");
    }
    out[text.len] = '\0';
    return TALLY_OK;
}

/* Whether this address may be what the URL means. One that is written out may be anything but
 * nowhere: somebody wants it. A name may not lead to this machine or to the wire: it is others who
 * say where it leads. */
static bool is_allowed(const struct place *place, enum tl_net_place where)
{
    switch (where) {
    case TL_NET_NOWHERE:
        return false;
    case TL_NET_LOOPBACK:
        return place->is_this_machine;
    case TL_NET_LINK_LOCAL:
        return place->is_address;
    case TL_NET_PRIVATE:
    case TL_NET_PUBLIC:
        return !place->is_this_machine;
    }
    return false;
}

static curl_socket_t open_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct call *call = ctx;
    if (purpose != CURLSOCKTYPE_IPCXN ||
        !is_allowed(call->place, tl_net_place(&address->addr, address->addrlen))) {
        call->refused = true;
        return CURL_SOCKET_BAD;
    }
    call->refused = false;
    return tl_net_socket(address->family, address->socktype, address->protocol);
}

static size_t take_body(char *bytes, size_t size, size_t count, void *ctx)
{
    struct call *call = ctx;
    struct tl_buf *body = &call->answer->body;
    tl_buf_add(body, bytes, size * count);
    call->too_large = tl_buf_status(body) == TALLY_ELIMIT;
    return tl_buf_status(body) == TALLY_OK ? size * count : 0;
}

/* Headers are of no interest but for how many there are. */
static size_t take_header(char *bytes, size_t size, size_t count, void *ctx)
{
    struct call *call = ctx;
    (void)bytes;
    call->header_bytes += size * count;
    call->too_large = call->too_large || call->header_bytes > TL_HTTP_ANSWER_MAX;
    return call->too_large ? 0 : size * count;
}

static int look_for_stop(void *ctx, curl_off_t down_total, curl_off_t down, curl_off_t up_total,
                         curl_off_t up)
{
    const struct call *call = ctx;
    (void)down_total;
    (void)down;
    (void)up_total;
    (void)up;
    return call->request->must_stop(call->request->ctx) ? 1 : 0;
}

static tally_status add_header(struct curl_slist **list, const char *name, const char *value,
                               struct tally_error *err)
{
    struct tl_buf line;
    tl_buf_init(&line, 8192);
    tl_buf_addf(&line, "%s: %s", name, value);
    tl_buf_add_char(&line, '\0');
    struct curl_slist *longer =
        tl_buf_status(&line) == TALLY_OK ? curl_slist_append(*list, line.data) : NULL;
    if (line.len > 0) {
        explicit_bzero(line.data, line.len);
    }
    tl_buf_release(&line);
    if (longer == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a request");
    }
    *list = longer;
    return TALLY_OK;
}

static tally_status add_headers(struct curl_slist **list, const struct call *call,
                                struct tally_error *err)
{
    const struct tl_http_request *request = call->request;
    if (!call->is_get) {
        TL_TRY(add_header(list, "Content-Type", request->content_type, err));
    }
    TL_TRY(add_header(list, "Expect", "", err)); /* no waiting for a "100 Continue" */
    return request->authorization == NULL
               ? TALLY_OK
               : add_header(list, "Authorization", request->authorization, err);
}

/* Each of these fails for want of memory, or because libcurl lacks what it must have. */
static CURLcode set_bounds(CURL *handle, struct call *call)
{
    const struct tl_http_request *request = call->request;
    CURLcode code =
        curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, call->place->secure ? "https" : "http");
    code = code != CURLE_OK ? code : curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
    code = code != CURLE_OK ? code : curl_easy_setopt(handle, CURLOPT_FOLLOWLOCATION, 0L);
    code = code != CURLE_OK ? code : curl_easy_setopt(handle, CURLOPT_PROXY, "");
    code = code != CURLE_OK
               ? code
               : curl_easy_setopt(handle, CURLOPT_TIMEOUT_MS, (long)request->timeout_ms);
    code = code != CURLE_OK
               ? code
               : curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT_MS, (long)request->timeout_ms);
    code = code != CURLE_OK ? code : curl_easy_setopt(handle, CURLOPT_OPENSOCKETDATA, call);
    code =
        code != CURLE_OK ? code : curl_easy_setopt(handle, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    code = code != CURLE_OK ? code
                            : curl_easy_setopt(handle, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2);
    if (code == CURLE_OK && request->ca_file != NULL) {
        code = curl_easy_setopt(handle, CURLOPT_CAINFO, request->ca_file);
        code = code != CURLE_OK ? code : curl_easy_setopt(handle, CURLOPT_CAPATH, NULL);
    }
    if (code == CURLE_OK && request->must_stop != NULL) {
        code = curl_easy_setopt(handle, CURLOPT_NOPROGRESS, 0L);
        code = code != CURLE_OK ? code : curl_easy_setopt(handle, CURLOPT_XFERINFODATA, call);
        code = code != CURLE_OK ? code
                                : curl_easy_setopt(handle, CURLOPT_XFERINFOFUNCTION, look_for_stop);
    }
    return code;
}

static CURLcode set_body(CURL *handle, struct tl_str body)
{
    CURLcode code = curl_easy_setopt(handle, CURLOPT_POST, 1L);
    code = code != CURLE_OK
               ? code
               : curl_easy_setopt(handle, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.len);
    return code != CURLE_OK ? code : curl_easy_setopt(handle, CURLOPT_POSTFIELDS, body.text);
}

static CURLcode set_request(CURL *handle, const struct curl_slist *headers, struct call *call)
{
    const struct tl_http_request *request = call->request;
    CURLcode code = curl_easy_setopt(handle, CURLOPT_URL, request->url);
    code = code != CURLE_OK ? code : curl_easy_setopt(handle, CURLOPT_USERAGENT, "tally");
    code = code != CURLE_OK ? code : curl_easy_setopt(handle, CURLOPT_HTTPHEADER, headers);
    code = code != CURLE_OK || call->is_get ? code : set_body(handle, request->body);
    code = code != CURLE_OK ? code : curl_easy_setopt(handle, CURLOPT_WRITEDATA, call);
    code = code != CURLE_OK ? code : curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, take_body);
    code = code != CURLE_OK ? code : curl_easy_setopt(handle, CURLOPT_HEADERDATA, call);
    code = code != CURLE_OK ? code : curl_easy_setopt(handle, CURLOPT_HEADERFUNCTION, take_header);
    return code;
}

static size_t answer_max(const struct tl_http_request *request)
{
    return request->answer_max != 0 ? request->answer_max : TL_HTTP_ANSWER_MAX;
}

static tally_status explain(CURLcode code, const struct call *call, struct tally_error *err)
{
    const char *host = call->place->host;
    if (call->too_large) {
        return tl_fail(err, TALLY_ELIMIT, "'%s' answered with more than %zu bytes", host,
                       answer_max(call->request));
    }
    if (code == CURLE_ABORTED_BY_CALLBACK) {
        return tl_fail(err, TALLY_ECANCELED, "the answer of '%s' was not waited for", host);
    }
    if (call->refused) {
        return tl_fail(err, TALLY_EDENIED,
                       "'%s' leads to an address that nobody may mean by a name: this machine, or "
                       "the local link",
                       host);
    }
    if (code == CURLE_OUT_OF_MEMORY || tl_buf_status(&call->answer->body) == TALLY_ENOMEM) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate an answer");
    }
    return tl_fail(err, TALLY_EIO, "no answer from '%s': %s", host, curl_easy_strerror(code));
}

static void take_facts(CURL *handle, struct tl_http_answer *answer)
{
    const char *type = NULL;
    curl_off_t wait_s = 0;
    (void)curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &answer->status); /* cannot fail */
    if (curl_easy_getinfo(handle, CURLINFO_CONTENT_TYPE, &type) == CURLE_OK && type != NULL) {
        tl_str_copy(answer->content_type, sizeof(answer->content_type), tl_str_of(type));
    }
    if (curl_easy_getinfo(handle, CURLINFO_RETRY_AFTER, &wait_s) == CURLE_OK && wait_s > 0) {
        answer->retry_after_s = (uint32_t)(wait_s < INT32_MAX ? wait_s : INT32_MAX);
    }
}

static tally_status ask(const struct tl_http_request *request, bool is_get,
                        struct tl_http_answer *answer, struct tally_error *err)
{
    tl_assert(request->timeout_ms > 0);
    struct place place = { 0 };
    TL_TRY(place_of(&place, request->url, err));
    *answer = (struct tl_http_answer){ 0 };
    tl_buf_init(&answer->body, answer_max(request));
    struct call call = { .request = request, .is_get = is_get, .place = &place, .answer = answer };
    TL_CLEANUP(link_closep) struct tl_http_link *own = NULL;
    TL_CLEANUP(list_freep) struct curl_slist *headers = NULL;
    if (request->link == NULL) {
        TL_TRY(tl_http_link_open(&own, err));
    }
    const struct tl_http_link *link = own != NULL ? own : request->link;
    tl_assert(link != NULL);
    CURL *handle = link->handle;
    curl_easy_reset(handle);
    TL_TRY(add_headers(&headers, &call, err));
    CURLcode code = set_bounds(handle, &call);
    code = code != CURLE_OK ? code : set_request(handle, headers, &call);
    code = code != CURLE_OK ? code : curl_easy_perform(handle);
    if (code != CURLE_OK || call.too_large) {
        return explain(code, &call, err);
    }
    take_facts(handle, answer);
    return TALLY_OK;
}

tally_status tl_http_post(const struct tl_http_request *request, struct tl_http_answer *answer,
                          struct tally_error *err)
{
    return ask(request, false, answer, err);
}

tally_status tl_http_get(const struct tl_http_request *request, struct tl_http_answer *answer,
                         struct tally_error *err)
{
    return ask(request, true, answer, err);
}

void tl_http_answer_release(struct tl_http_answer *answer)
{
    tl_buf_release(&answer->body);
    *answer = (struct tl_http_answer){ 0 };
}
