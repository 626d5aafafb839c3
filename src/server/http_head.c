#include "server/http_head.h"

#include <stdio.h>
#include <string.h>

#include "codec/utf8.h"
#include "server/http_strict.h"
#include "server/server_impl.h"

#define HEADER_MAX ((size_t)16 << 10)

static int hex_value(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

bool tl_http_decode(char *text)
{
    char *out = text;
    for (const char *in = text; *in != '\0'; in++) {
        if (*in != '%') {
            *out++ = *in;
            continue;
        }
        int high = hex_value(in[1]);
        int low = high < 0 ? -1 : hex_value(in[2]);
        if (low < 0 || (high == 0 && low == 0)) {
            return false;
        }
        *out++ = (char)(high << 4 | low);
        in += 2;
    }
    *out = '\0';
    return true;
}

static bool is_text(struct tl_str text)
{
    return tl_utf8_valid_len(text.text, text.len) == text.len;
}

static enum MHD_Result add_param(void *ctx, enum MHD_ValueKind kind, const char *name,
                                 const char *value)
{
    (void)kind;
    struct tl_request *request = ctx;
    if (request->reply.status != 0) {
        return MHD_NO;
    }
    char *copies[2] = { tl_request_copy(request, tl_str_of(name)),
                        tl_request_copy(request, tl_str_of(value == NULL ? "" : value)) };
    if (copies[0] == NULL || copies[1] == NULL) {
        return MHD_NO;
    }
    if (request->param_count == TL_PARAMS_MAX || !tl_http_decode(copies[0]) ||
        !tl_http_decode(copies[1])) {
        tl_reply_problem(request, "bad_parameter",
                         "the query has more than %u parameters, or an escape that is none",
                         TL_PARAMS_MAX);
        return MHD_NO;
    }
    struct tl_param param = { tl_str_of(copies[0]), tl_str_of(copies[1]) };
    if (!is_text(param.name) || !is_text(param.value)) {
        tl_reply_problem(request, "bad_parameter", "the query is not UTF-8");
        return MHD_NO;
    }
    request->params[request->param_count++] = param;
    return MHD_YES;
}

void tl_head_name(struct tl_request *request, const char *given, unsigned long long number)
{
    size_t len = given == NULL ? 0 : strlen(given);
    bool is_good = len > 0 && len < TL_REQUEST_ID_SIZE;
    for (size_t i = 0; i < len && is_good; i++) {
        is_good = given[i] > 0x20 && given[i] < 0x7F;
    }
    if (is_good) {
        memcpy(request->id, given, len + 1);
        return;
    }
    (void)snprintf(request->id, sizeof(request->id), "r%llx-%llx",
                   (unsigned long long)(request->server->started_us / 1000000), number);
}

struct framing {
    unsigned hosts, lengths, codings, authorizations;
    size_t bytes;
    bool is_odd; /* what could be read in two ways */
};

static bool is_number(const char *text)
{
    return text[0] != '\0' && strspn(text, "0123456789") == strlen(text);
}

static enum MHD_Result look_at_header(void *ctx, enum MHD_ValueKind kind, const char *name,
                                      const char *value)
{
    (void)kind;
    struct framing *framing = ctx;
    value = value == NULL ? "" : value;
    framing->bytes += strlen(name) + strlen(value) + 4;
    for (const char *c = value; *c != '\0'; c++) {
        framing->is_odd = framing->is_odd || ((unsigned char)*c < 0x20 && *c != '\t') || *c == 0x7F;
    }
    /* tchar of RFC 9110 */
    framing->is_odd = framing->is_odd || name[0] == '\0' ||
                      strspn(name, "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
                                   "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != strlen(name);
    if (strcasecmp(name, "Host") == 0) {
        framing->hosts++;
    } else if (strcasecmp(name, "Content-Length") == 0) {
        framing->lengths++;
        framing->is_odd = framing->is_odd || !is_number(value);
    } else if (strcasecmp(name, "Transfer-Encoding") == 0) {
        framing->codings++;
        framing->is_odd = framing->is_odd || strcasecmp(value, "chunked") != 0;
    } else if (strcasecmp(name, "Authorization") == 0) {
        framing->authorizations++;
    }
    return MHD_YES;
}

void tl_head_params(struct tl_request *request, struct MHD_Connection *connection)
{
    (void)MHD_get_connection_values(connection, MHD_GET_ARGUMENT_KIND, add_param, request);
}

/* Any doubt about where a request ends is the end of its connection. */
bool tl_head_is_framed(struct tl_request *request, struct MHD_Connection *connection,
                       const char *path, const char *method, const char *version)
{
    struct framing framing = { 0 };
    (void)MHD_get_connection_values(connection, MHD_HEADER_KIND, look_at_header, &framing);
    bool is_new = strcmp(version, "HTTP/1.1") == 0;
    if (framing.bytes > HEADER_MAX) {
        tl_reply_problem(request, "header_too_large", "the header block is limited to %zu bytes",
                         HEADER_MAX);
    } else if (!tl_http_is_strict(connection, method, path, version) || framing.is_odd ||
               framing.hosts > 1 || (is_new && framing.hosts == 0) ||
               framing.lengths + framing.codings > 1 || framing.authorizations > 1 ||
               (!is_new && (strcmp(version, "HTTP/1.0") != 0 || framing.codings > 0))) {
        tl_reply_problem(request, "bad_request",
                         "the header block can be understood in more than one way");
    }
    return request->reply.status == 0;
}
