#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <microhttpd.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/net.h"
#include "base/parse.h"
#include "base/secret.h"
#include "server/http_strict.h"
#include "server/server_impl.h"

#define ADDRESSES_MAX    8u
#define RETIRED_MAX      8u
#define CONNECTIONS_MAX  4000u
#define FILES_RESERVED   256u /* for what answers: stores, readers, the spool */
#define LINES_PER_S      10u
#define HEADER_MAX       ((size_t)16 << 10)
#define MEMORY           ((size_t)32 << 10) /* of a connection: its header block and what MHD needs */
#define BACKLOG          1024
#define HEADER_US        INT64_C(10000000) /* for a header block */
#define IDLE_US          INT64_C(30000000) /* between requests, the next header block included */
#define IDLE_S           60u               /* without any byte; streams send one every 15 */
#define BODY_BYTES_PER_S 1024
#define STOP_US          INT64_C(30000000)
#define LOOK_MS          500u
#define PEM_MAX          ((size_t)1 << 20)
#define BLOCK            ((size_t)32 << 10)

static const char priorities[] =
    "SECURE128:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-CIPHER-ALL:+AES-128-GCM:+AES-256-GCM:"
    "+CHACHA20-POLY1305";

/* Guards against those who send slowly, or nothing: libmicrohttpd has a limit for silence alone. */
struct connection {
    struct connection *before, *after;
    int fd;
    uint32_t uid; /* of the other end of a Unix socket */
    bool has_uid;
    bool is_reading;  /* header or body are not there yet */
    int64_t until_us; /* for what is to come; with a body, more for every KiB that has come */
    char peer[64];
};

/* libmicrohttpd closes the descriptor that it listens at when it cannot start: it gets one of its own
 * of the same socket, which outlives it otherwise. */
struct served {
    struct MHD_Daemon *daemon;
    int fd;
};

struct listener {
    int fd;
    bool is_unix;
    struct served served;
    char address[160];
    char path[108]; /* of a Unix socket, to be removed */
};

struct tl_http {
    struct tl_server *server;
    struct listener listeners[ADDRESSES_MAX];
    size_t count;
    struct served retired[RETIRED_MAX]; /* they finish what was begun with an old certificate */
    size_t retired_count;
    char *cert, *key;
    unsigned threads;
    pthread_t watcher;
    bool has_watcher;

    struct tl_mutex mu;
    struct tl_cond stopping;  /* for the watcher */
    struct tl_cond idle;      /* no request is in flight */
    struct connection *first; /* guarded by mu */
    uint64_t connections;
    uint64_t in_flight;   /* requests between their first line and their last byte */
    uint64_t suspended;   /* of these, whose reply or its next part is being made */
    struct tl_pace lines; /* of libmicrohttpd's, that are logged */
    bool is_stopping;
};

/* ---- bytes in, bytes out ---------------------------------------------------------------------- */

/* Everything stays as it was sent: routes and parameters are decoded here. */
static size_t leave_as_it_is(void *ctx, struct MHD_Connection *connection, char *text)
{
    (void)ctx;
    (void)connection;
    return strlen(text);
}

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
    request->params[request->param_count++] =
        (struct tl_param){ tl_str_of(copies[0]), tl_str_of(copies[1]) };
    return MHD_YES;
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

/* Any doubt about where a request ends is the end of its connection. */
static bool is_framed(struct tl_request *request, struct MHD_Connection *connection,
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

static const char *header(struct MHD_Connection *connection, const char *name)
{
    return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

static void name_request(struct tl_request *request, const char *given)
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
    static _Atomic uint64_t count;
    (void)snprintf(request->id, sizeof(request->id), "r%llx-%llx",
                   (unsigned long long)(request->server->started_us / 1000000),
                   (unsigned long long)atomic_fetch_add(&count, 1));
}

/* ---- who it is -------------------------------------------------------------------------------- */

static void identify(struct tl_request *request, struct MHD_Connection *connection,
                     const struct connection *socket)
{
    const char *text = header(connection, "Authorization");
    if (text != NULL) {
        bool is_bearer = strncasecmp(text, "Bearer ", 7) == 0;
        if (!is_bearer ||
            tl_tokens_check(request->server->tokens, text + 7, &request->who) != TALLY_OK) {
            request->who = (struct tl_identity){ 0 };
            request->has_bad_token = true;
        }
    } else if (socket->has_uid && (socket->uid == 0 || socket->uid == (uint32_t)geteuid())) {
        request->who.role = TL_ROLE_ADMIN;
        (void)snprintf(request->who.name, sizeof(request->who.name), "uid %u", socket->uid);
    }
}

/* ---- a request -------------------------------------------------------------------------------- */

/* NULL: there was no memory for it. */
static struct connection *socket_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info == NULL ? NULL : info->socket_context;
}

static void expect_locked(struct connection *socket, int64_t time_us)
{
    tl_assert(socket != NULL);
    socket->is_reading = true;
    socket->until_us = tl_clock->steady_us() + time_us;
}

static void note_begin(struct tl_http *http, struct connection *socket)
{
    tl_mutex_lock(&http->mu);
    http->in_flight++;
    expect_locked(socket, HEADER_US);
    tl_mutex_unlock(&http->mu);
}

static void note_read(struct tl_http *http, struct connection *socket)
{
    tl_mutex_lock(&http->mu);
    socket->is_reading = false;
    tl_mutex_unlock(&http->mu);
}

static void note_end(struct tl_http *http, struct connection *socket)
{
    tl_mutex_lock(&http->mu);
    expect_locked(socket, IDLE_US);
    if (--http->in_flight == 0) {
        tl_cond_signal(&http->idle);
    }
    tl_mutex_unlock(&http->mu);
}

static void free_request(struct tl_request *request)
{
    if (request->reply.stream != NULL) {
        tl_stream_end_reading(request->reply.stream);
    }
    tl_identity_release(&request->who);
    tl_buf_release(&request->reply.body);
    tl_buf_release(&request->body);
    tl_arena_release(&request->arena);
    tl_free(request);
}

static struct tl_request *new_request(struct tl_http *http, struct MHD_Connection *connection,
                                      const struct connection *socket)
{
    struct tl_request *request = tl_alloc_array(1, sizeof(*request));
    if (request == NULL) {
        return NULL;
    }
    request->server = http->server;
    request->connection = connection;
    request->began_us = tl_clock->steady_us();
    (void)snprintf(request->peer, sizeof(request->peer), "%s", socket->peer);
    tl_arena_init(&request->arena, (size_t)64 << 20);
    tl_buf_init(&request->reply.body, SIZE_MAX / 8);
    return request;
}

static void read_head(struct tl_request *request, struct MHD_Connection *connection,
                      const char *path, const char *method)
{
    request->method = strcmp(method, "HEAD") == 0 ? "GET" : method;
    request->path = path;
    request->content_type = header(connection, "Content-Type");
    request->accept = header(connection, "Accept");
    request->idempotency_key = header(connection, "Idempotency-Key");
    request->last_event_id = header(connection, "Last-Event-ID");
}

/* What can be said before the body is read. */
static void begin(struct tl_request *request, struct MHD_Connection *connection,
                  const struct connection *socket, const char *path, const char *method,
                  const char *version)
{
    name_request(request, header(connection, "X-Request-Id"));
    read_head(request, connection, path, method);
    if (!is_framed(request, connection, path, method, version)) {
        return;
    }
    if (atomic_load(&request->server->is_stopping)) {
        tl_reply_problem(request, "stopping", "the server is being stopped");
        return;
    }
    if (!tl_route_find(request)) {
        return;
    }
    (void)MHD_get_connection_values(connection, MHD_GET_ARGUMENT_KIND, add_param, request);
    if (request->reply.status != 0) {
        return;
    }
    identify(request, connection, socket);
    if (!tl_route_allows(request)) {
        return;
    }
    const char *length = header(connection, "Content-Length");
    uint64_t len = 0;
    if (length != NULL && (tl_parse_u64(length, strlen(length), UINT64_MAX, &len) != TALLY_OK ||
                           len > request->route->body_max)) {
        tl_reply_problem(request, "too_large", "the body is limited to %zu bytes",
                         request->route->body_max);
        return;
    }
    tl_buf_init(&request->body, request->route->body_max + 1);
}

/* False: the server stops, and nobody would resume it. */
static bool suspend(struct tl_request *request)
{
    struct tl_http *http = request->server->http;
    tl_mutex_lock(&http->mu);
    bool may = !http->is_stopping;
    http->suspended += may ? 1 : 0;
    tl_mutex_unlock(&http->mu);
    if (may) {
        MHD_suspend_connection(request->connection); /* undone if it was resumed meanwhile */
    }
    return may;
}

void tl_http_resume(struct tl_request *request)
{
    struct tl_http *http = request->server->http;
    MHD_resume_connection(request->connection); /* the request may be gone from here on */
    tl_mutex_lock(&http->mu);
    http->suspended--;
    tl_mutex_unlock(&http->mu);
}

static ssize_t send_stream(void *ctx, uint64_t position, char *out, size_t size)
{
    (void)position;
    struct tl_request *request = ctx;
    size_t len = 0;
    switch (tl_stream_read(request->reply.stream, out, size, &len)) {
    case TL_STREAM_BYTES:
        return (ssize_t)len;
    case TL_STREAM_LATER:
        return suspend(request) ? 0 : MHD_CONTENT_READER_END_WITH_ERROR;
    case TL_STREAM_END:
        return MHD_CONTENT_READER_END_OF_STREAM;
    case TL_STREAM_BROKEN:
        break;
    }
    return MHD_CONTENT_READER_END_WITH_ERROR;
}

static void wake_stream(void *ctx)
{
    tl_http_resume(ctx);
}

static struct MHD_Response *make_response(struct tl_request *request)
{
    struct tl_reply *reply = &request->reply;
    if (reply->stream != NULL) {
        tl_stream_wake_by(reply->stream, wake_stream, request);
        return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK, send_stream, request,
                                                 NULL);
    }
    struct tl_str bytes = reply->fixed.text != NULL ? reply->fixed : tl_buf_str(&reply->body);
    /* libmicrohttpd reads it only; it lives until the request is completed. */
    return MHD_create_response_from_buffer(bytes.len, (void *)(uintptr_t)bytes.text,
                                           MHD_RESPMEM_PERSISTENT);
}

static enum MHD_Result send_reply(struct tl_request *request)
{
    const struct tl_reply *reply = &request->reply;
    struct MHD_Response *response = make_response(request);
    if (response == NULL) {
        return MHD_NO;
    }
    bool good = MHD_add_response_header(response, "X-Request-Id", request->id) == MHD_YES &&
                MHD_add_response_header(response, "X-Content-Type-Options", "nosniff") == MHD_YES &&
                (reply->is_cacheable ||
                 MHD_add_response_header(response, "Cache-Control", "no-store") == MHD_YES) &&
                (reply->content_type == NULL ||
                 MHD_add_response_header(response, "Content-Type", reply->content_type) == MHD_YES);
    if (good && request->server->options.tls_cert_path != NULL) {
        good = MHD_add_response_header(response, "Strict-Transport-Security", "max-age=31536000") ==
               MHD_YES;
    }
    for (size_t i = 0; i < reply->header_count && good; i++) {
        good = MHD_add_response_header(response, reply->headers[i].name, reply->headers[i].value) ==
               MHD_YES;
    }
    if (good && (reply->status == 400 || reply->status == 431 || reply->status == 503)) {
        good = MHD_add_response_header(response, "Connection", "close") == MHD_YES;
    }
    enum MHD_Result result =
        good ? MHD_queue_response(request->connection, reply->status, response) : MHD_NO;
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result take_body(struct tl_http *http, struct tl_request *request,
                                 struct connection *socket, const char *part, size_t len)
{
    if (request->body_len > request->route->body_max) {
        return MHD_NO; /* it was told, as far as it can be; who goes on sending is cut off */
    }
    request->body_len += len;
    if (request->body_len <= request->route->body_max) {
        tl_buf_add(&request->body, part, len);
    }
    tl_mutex_lock(&http->mu);
    socket->until_us += (int64_t)len * 1000000 / BODY_BYTES_PER_S;
    tl_mutex_unlock(&http->mu);
    return MHD_YES;
}

static enum MHD_Result finish_body(struct tl_request *request)
{
    if (request->body_len > request->route->body_max) {
        tl_reply_problem(request, "too_large", "the body is limited to %zu bytes",
                         request->route->body_max);
    } else if (tl_buf_status(&request->body) != TALLY_OK) {
        tl_reply_problem(request, "internal", "out of memory");
    }
    if (request->reply.status != 0) {
        return send_reply(request);
    }
    if (request->route->lane == TL_LANE_INLINE) {
        request->route->handle(request);
        return send_reply(request);
    }
    if (!suspend(request)) {
        tl_reply_problem(request, "stopping", "the server is being stopped");
        return send_reply(request);
    }
    tl_server_dispatch(request);
    return MHD_YES;
}

/* NOLINTNEXTLINE(readability-function-size): libmicrohttpd says how many parameters there are */
static enum MHD_Result handle(void *ctx, struct MHD_Connection *connection, const char *path,
                              const char *method, const char *version, const char *part,
                              size_t *part_len, void **state)
{
    struct tl_http *http = ctx;
    struct connection *socket = socket_of(connection);
    struct tl_request *request = *state;
    if (request == NULL) {
        request = socket == NULL ? NULL : new_request(http, connection, socket);
        if (request == NULL) {
            return MHD_NO;
        }
        *state = request;
        note_begin(http, socket);
        begin(request, connection, socket, path, method, version);
        return request->reply.status == 0 ? MHD_YES : send_reply(request);
    }
    if (*part_len > 0) {
        if (request->reply.status != 0) {
            return MHD_NO; /* a daemon that is being stopped takes no reply, and says that it did */
        }
        size_t len = *part_len;
        *part_len = 0;
        return take_body(http, request, socket, part, len);
    }
    if (request->reply.status != 0) {
        return send_reply(request);
    }
    note_read(http, socket);
    return finish_body(request);
}

static void completed(void *ctx, struct MHD_Connection *connection, void **state,
                      enum MHD_RequestTerminationCode why)
{
    (void)why;
    struct tl_http *http = ctx;
    struct tl_request *request = *state;
    if (request == NULL) {
        return; /* it never became one */
    }
    *state = NULL;
    tl_server_count(request);
    free_request(request);
    note_end(http, socket_of(connection));
}

/* ---- connections ------------------------------------------------------------------------------ */

static void name_peer(struct connection *connection)
{
    struct sockaddr_storage address;
    socklen_t len = sizeof(address);
    struct ucred credentials;
    socklen_t credentials_len = sizeof(credentials);
    if (getpeername(connection->fd, (struct sockaddr *)&address, &len) != 0) {
        return;
    }
    if (address.ss_family == AF_UNIX) {
        if (getsockopt(connection->fd, SOL_SOCKET, SO_PEERCRED, &credentials, &credentials_len) ==
            0) {
            connection->has_uid = true;
            connection->uid = credentials.uid;
        }
        return;
    }
    if (getnameinfo((struct sockaddr *)&address, len, connection->peer, sizeof(connection->peer),
                    NULL, 0, NI_NUMERICHOST) != 0) {
        connection->peer[0] = '\0';
    }
}

static void open_connection(struct tl_http *http, struct MHD_Connection *mhd, void **context)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct connection *connection = tl_alloc_array(1, sizeof(*connection));
    if (connection == NULL) {
        return; /* without a deadline it could stay for ever: it is closed at its first request */
    }
    connection->fd = info->connect_fd;
    connection->is_reading = true;
    connection->until_us = tl_clock->steady_us() + HEADER_US;
    name_peer(connection);
    tl_mutex_lock(&http->mu);
    connection->after = http->first;
    if (http->first != NULL) {
        http->first->before = connection;
    }
    http->first = connection;
    http->connections++;
    tl_mutex_unlock(&http->mu);
    *context = connection;
}

static void close_connection(struct tl_http *http, struct connection *connection)
{
    tl_mutex_lock(&http->mu);
    if (connection->before != NULL) {
        connection->before->after = connection->after;
    } else {
        http->first = connection->after;
    }
    if (connection->after != NULL) {
        connection->after->before = connection->before;
    }
    http->connections--;
    tl_mutex_unlock(&http->mu);
    tl_free(connection);
}

static void notify_connection(void *ctx, struct MHD_Connection *mhd, void **context,
                              enum MHD_ConnectionNotificationCode what)
{
    struct tl_http *http = ctx;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        open_connection(http, mhd, context);
    } else if (*context != NULL) {
        close_connection(http, *context); /* before its descriptor is closed */
        *context = NULL;
    }
}

/* Cuts off who has not sent what it began in time: its thread sees the end of the connection. */
static void cut_off_slow(struct tl_http *http) TL_REQUIRES(http->mu)
{
    int64_t now_us = tl_clock->steady_us();
    for (const struct connection *c = http->first; c != NULL; c = c->after) {
        if (c->is_reading && now_us > c->until_us) {
            (void)shutdown(c->fd, SHUT_RDWR);
        }
    }
}

static bool take_finished(struct tl_http *http, struct served *out) TL_REQUIRES(http->mu)
{
    for (size_t i = 0; i < http->retired_count; i++) {
        const union MHD_DaemonInfo *info =
            MHD_get_daemon_info(http->retired[i].daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);
        if (info != NULL && info->num_connections == 0) {
            *out = http->retired[i];
            http->retired[i] = http->retired[--http->retired_count];
            return true;
        }
    }
    return false;
}

static void end(struct served *served)
{
    if (served->daemon != NULL) {
        (void)MHD_quiesce_daemon(served->daemon); /* its descriptor is ours to close */
        MHD_stop_daemon(served->daemon);
        (void)close(served->fd);
    }
    served->daemon = NULL;
}

static void *watch(void *ctx)
{
    struct tl_http *http = ctx;
    tl_mutex_lock(&http->mu);
    while (!http->is_stopping) {
        (void)tl_cond_wait_for(&http->stopping, &http->mu, LOOK_MS);
        cut_off_slow(http);
        struct served finished;
        if (take_finished(http, &finished)) {
            tl_mutex_unlock(&http->mu);
            end(&finished);
            tl_mutex_lock(&http->mu);
        }
    }
    tl_mutex_unlock(&http->mu);
    return NULL;
}

/* ---- listening -------------------------------------------------------------------------------- */

static tally_status listen_unix(struct listener *listener, const char *path,
                                struct tally_error *err)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    if (strlen(path) >= sizeof(address.sun_path)) {
        return tl_fail(err, TALLY_EINVAL, "the path of a socket has at most %zu bytes: '%s'",
                       sizeof(address.sun_path) - 1, path);
    }
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    (void)snprintf(listener->path, sizeof(listener->path), "%s", path);
    listener->is_unix = true;
    listener->fd = tl_net_socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (listener->fd < 0) {
        return tl_fail_errno(err, TALLY_EIO, errno, "cannot make a socket");
    }
    /* One that nobody answers on is what a killed server left behind. */
    if (connect(listener->fd, (const struct sockaddr *)&address, sizeof(address)) != 0 &&
        errno == ECONNREFUSED) {
        (void)tl_io->unlink(path);
    }
    (void)close(listener->fd);
    listener->fd = tl_net_socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    mode_t before = umask(0117); /* the owner and his group */
    int rc = listener->fd < 0
                 ? -1
                 : bind(listener->fd, (const struct sockaddr *)&address, sizeof(address));
    (void)umask(before);
    if (rc != 0 || listen(listener->fd, BACKLOG) != 0) {
        return tl_fail_errno(err, TALLY_EIO, errno, "cannot listen at '%s'", path);
    }
    (void)snprintf(listener->address, sizeof(listener->address), "unix:%s", path);
    return TALLY_OK;
}

/* Takes "127.0.0.1:8080" or "[::1]:8080" apart. */
static tally_status split_address(const char *text, char host[64], char port[8],
                                  struct tally_error *err)
{
    const char *colon = strrchr(text, ':');
    size_t len = colon == NULL ? 0 : (size_t)(colon - text);
    bool has_brackets = len >= 2 && text[0] == '[' && text[len - 1] == ']';
    size_t skip = has_brackets ? 1 : 0;
    if (colon == NULL || len - 2 * skip >= 64 || strlen(colon + 1) >= 8 || colon[1] == '\0') {
        return tl_fail(err, TALLY_EINVAL,
                       "'%s' is no address to listen at: say 127.0.0.1:8080, [::1]:8080 or "
                       "unix:/path",
                       text);
    }
    tl_str_copy(host, 64, (struct tl_str){ text + skip, len - 2 * skip });
    tl_str_copy(port, 8, tl_str_of(colon + 1));
    return TALLY_OK;
}

static tally_status check_plain(const struct tl_server_options *options,
                                const struct sockaddr *address, socklen_t len, const char *text,
                                struct tally_error *err)
{
    if (options->tls_cert_path == NULL && !options->allows_plain &&
        tl_net_place(address, len) != TL_NET_LOOPBACK) {
        return tl_fail(err, TALLY_EINVAL,
                       "'%s' can be reached from other machines: give --tls-cert and --tls-key, or "
                       "--plain if a proxy in front does TLS",
                       text);
    }
    return TALLY_OK;
}

static void describe(struct listener *listener, bool has_tls)
{
    struct sockaddr_storage address;
    socklen_t len = sizeof(address);
    char host[64] = "";
    char port[8] = "";
    if (getsockname(listener->fd, (struct sockaddr *)&address, &len) != 0) {
        return;
    }
    if (address.ss_family == AF_UNIX) {
        listener->is_unix = true;
        (void)snprintf(listener->address, sizeof(listener->address), "unix:");
        return;
    }
    (void)getnameinfo((struct sockaddr *)&address, len, host, sizeof(host), port, sizeof(port),
                      NI_NUMERICHOST | NI_NUMERICSERV);
    (void)snprintf(listener->address, sizeof(listener->address),
                   address.ss_family == AF_INET6 ? "%s://[%s]:%s" : "%s://%s:%s",
                   has_tls ? "https" : "http", host, port);
}

static tally_status listen_at(struct tl_http *http, struct listener *listener, const char *text,
                              struct tally_error *err)
{
    const struct tl_server_options *options = &http->server->options;
    if (strncmp(text, "unix:", 5) == 0) {
        return listen_unix(listener, text + 5, err);
    }
    char host[64];
    char port[8];
    TL_TRY(split_address(text, host, port, err));
    const struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
                                    .ai_socktype = SOCK_STREAM };
    struct addrinfo *info = NULL;
    if (getaddrinfo(host, port, &hints, &info) != 0) {
        return tl_fail(err, TALLY_EINVAL, "'%s' has no numeric address and port", text);
    }
    tally_status status = check_plain(options, info->ai_addr, info->ai_addrlen, text, err);
    if (status == TALLY_OK) {
        int yes = 1;
        listener->fd = tl_net_socket(info->ai_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
        if (listener->fd < 0 ||
            setsockopt(listener->fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) != 0 ||
            bind(listener->fd, info->ai_addr, info->ai_addrlen) != 0 ||
            listen(listener->fd, BACKLOG) != 0) {
            status = tl_fail_errno(err, TALLY_EIO, errno, "cannot listen at '%s'", text);
        }
    }
    freeaddrinfo(info);
    if (status == TALLY_OK) {
        describe(listener, options->tls_cert_path != NULL);
    }
    return status;
}

static void log_mhd(void *ctx, const char *fmt, va_list args) TL_PRINTF(2, 0);

static void log_mhd(void *ctx, const char *fmt, va_list args)
{
    struct tl_http *http = ctx;
    char line[256];
    uint64_t untold = 0;
    tl_mutex_lock(&http->mu);
    bool tells = tl_pace_tells(&http->lines, LINES_PER_S, &untold);
    tl_mutex_unlock(&http->mu);
    if (tells) {
        (void)vsnprintf(line, sizeof(line), fmt, args);
        line[strcspn(line, "\r\n")] = '\0';
        tl_server_log(http->server, "http what=\"%s\" others_not_logged=%llu", line,
                      (unsigned long long)untold);
    }
}

/* Of one listener. Without a descriptor for the next one libmicrohttpd tries again all the time; with
 * too many connections it waits for one to end. */
static unsigned connections_max(const struct tl_http *http)
{
    struct rlimit files = { .rlim_cur = CONNECTIONS_MAX };
    (void)getrlimit(RLIMIT_NOFILE, &files);
    rlim_t room = files.rlim_cur / 4;
    if (files.rlim_cur > FILES_RESERVED + room) {
        room = files.rlim_cur - FILES_RESERVED;
    }
    unsigned most = (unsigned)(room < CONNECTIONS_MAX ? room : CONNECTIONS_MAX);
    most /= (unsigned)http->count;
    return most < http->threads ? http->threads : most;
}

static bool begin_serving(struct tl_http *http, const struct listener *listener, struct served *out)
{
    const struct MHD_OptionItem tls[] = {
        { MHD_OPTION_HTTPS_MEM_CERT, 0, http->cert },
        { MHD_OPTION_HTTPS_MEM_KEY, 0, http->key },
        { MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)priorities },
        { MHD_OPTION_END, 0, NULL },
    };
    bool has_tls = http->cert != NULL && !listener->is_unix;
    unsigned flags = MHD_USE_POLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG |
                     (has_tls ? MHD_USE_TLS : 0u);
    int fd = fcntl(listener->fd, F_DUPFD_CLOEXEC, 0);
    if (fd < 0) {
        return false;
    }
    struct MHD_Daemon *daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, handle, http, MHD_OPTION_EXTERNAL_LOGGER, log_mhd, http,
        MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_THREAD_POOL_SIZE, http->threads,
        MHD_OPTION_CONNECTION_LIMIT, connections_max(http), MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        MEMORY, MHD_OPTION_CONNECTION_TIMEOUT, IDLE_S, MHD_OPTION_STRICT_FOR_CLIENT, 1,
        MHD_OPTION_UNESCAPE_CALLBACK, leave_as_it_is, NULL, MHD_OPTION_NOTIFY_COMPLETED, completed,
        http, MHD_OPTION_NOTIFY_CONNECTION, notify_connection, http, MHD_OPTION_ARRAY,
        has_tls ? tls : tls + 3, MHD_OPTION_END);
    if (daemon != NULL) {
        *out = (struct served){ daemon, fd };
    }
    return daemon != NULL;
}

static tally_status read_pem(struct tl_http *http, struct tally_error *err)
{
    const struct tl_server_options *options = &http->server->options;
    size_t len = 0;
    if (options->tls_cert_path == NULL) {
        return TALLY_OK;
    }
    if (options->tls_key_path == NULL) {
        return tl_fail(err, TALLY_EINVAL, "a certificate needs its key: give --tls-key as well");
    }
    TL_TRY(tl_io_read_file(options->tls_cert_path, PEM_MAX, &http->cert, &len, err));
    return tl_io_read_file(options->tls_key_path, PEM_MAX, &http->key, &len, err);
}

static void wipe_pem(char **cert, char **key)
{
    if (*key != NULL) {
        explicit_bzero(*key, strlen(*key));
    }
    tl_free(*key);
    tl_free(*cert);
    *key = *cert = NULL;
}

/* A socket that the service manager listens at. */
static tally_status take_over(struct listener *listener, int fd,
                              const struct tl_server_options *options, struct tally_error *err)
{
    struct sockaddr_storage address;
    socklen_t len = sizeof(address);
    listener->fd = fd;
    if (getsockname(fd, (struct sockaddr *)&address, &len) != 0) {
        return tl_fail_errno(err, TALLY_EIO, errno, "what was handed over is no socket");
    }
    describe(listener, options->tls_cert_path != NULL);
    return listener->is_unix ? TALLY_OK
                             : check_plain(options, (const struct sockaddr *)&address, len,
                                           listener->address, err);
}

static tally_status listen_all(struct tl_http *http, struct tally_error *err)
{
    const struct tl_server_options *options = &http->server->options;
    if (options->listen_count + options->socket_count > ADDRESSES_MAX) {
        return tl_fail(err, TALLY_EINVAL, "there may be %u addresses to listen at", ADDRESSES_MAX);
    }
    for (size_t i = 0; i < options->listen_count + options->socket_count; i++) {
        struct listener *listener = &http->listeners[http->count];
        listener->fd = -1;
        http->count++;
        if (i < options->listen_count) {
            TL_TRY(listen_at(http, listener, options->listen[i], err));
        } else {
            TL_TRY(take_over(listener, options->sockets[i - options->listen_count], options, err));
        }
    }
    return TALLY_OK;
}

static tally_status start_all(struct tl_http *http, struct tally_error *err)
{
    TL_TRY(read_pem(http, err));
    TL_TRY(listen_all(http, err));
    for (size_t i = 0; i < http->count; i++) {
        if (!begin_serving(http, &http->listeners[i], &http->listeners[i].served)) {
            return tl_fail(err, TALLY_EIO, "cannot serve at %s%s", http->listeners[i].address,
                           http->cert == NULL ? "" : ": is the certificate right, and its key?");
        }
    }
    tally_status status = tl_thread_start(&http->watcher, "tally-http", watch, http);
    http->has_watcher = status == TALLY_OK;
    return status == TALLY_OK ? TALLY_OK : tl_fail(err, status, "cannot start a thread");
}

tally_status tl_http_start(struct tl_server *server, struct tally_error *err)
{
    struct tl_http *http = tl_alloc_array(1, sizeof(*http));
    if (http == NULL || tl_mutex_init(&http->mu) != TALLY_OK) {
        tl_free(http);
        return tl_fail(err, TALLY_ENOMEM, "out of memory");
    }
    if (tl_cond_init(&http->stopping) != TALLY_OK) {
        tl_mutex_release(&http->mu);
        tl_free(http);
        return tl_fail(err, TALLY_ENOMEM, "out of memory");
    }
    if (tl_cond_init(&http->idle) != TALLY_OK) {
        tl_cond_release(&http->stopping);
        tl_mutex_release(&http->mu);
        tl_free(http);
        return tl_fail(err, TALLY_ENOMEM, "out of memory");
    }
    http->server = server;
    server->http = http;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    http->threads = cores < 2 ? 2 : cores > 32 ? 32 : (unsigned)cores;
    return start_all(http, err);
}

void tl_http_refuse_new(struct tl_http *http)
{
    for (size_t i = 0; i < http->count; i++) {
        if (http->listeners[i].served.daemon != NULL) {
            (void)MHD_quiesce_daemon(http->listeners[i].served.daemon);
        }
    }
}

/* Until the last byte of what was begun is out; for those who are slow not for ever, but always for
 * those who make replies: libmicrohttpd ends the process if a connection is suspended when it stops. */
static void wait_for_requests(struct tl_http *http)
{
    int64_t until_us = tl_clock->steady_us() + STOP_US;
    tl_mutex_lock(&http->mu);
    while (http->suspended > 0 || (http->in_flight > 0 && tl_clock->steady_us() < until_us)) {
        (void)tl_cond_wait_for(&http->idle, &http->mu, LOOK_MS);
    }
    http->is_stopping = true;
    tl_cond_signal(&http->stopping);
    tl_mutex_unlock(&http->mu);
}

void tl_http_stop(struct tl_http *http)
{
    if (http == NULL) {
        return;
    }
    wait_for_requests(http);
    if (http->has_watcher) {
        tl_thread_join(http->watcher);
    }
    for (size_t i = 0; i < http->count; i++) {
        struct listener *listener = &http->listeners[i];
        if (listener->path[0] != '\0' && listener->served.daemon != NULL) {
            (void)tl_io->unlink(listener->path);
        }
        end(&listener->served);
        if (listener->fd >= 0) {
            (void)close(listener->fd);
        }
    }
    for (size_t i = 0; i < http->retired_count; i++) {
        end(&http->retired[i]);
    }
    wipe_pem(&http->cert, &http->key);
    tl_cond_release(&http->idle);
    tl_cond_release(&http->stopping);
    tl_mutex_release(&http->mu);
    tl_free(http);
}

const char *tl_http_address(const struct tl_http *http, size_t index)
{
    return index < http->count ? http->listeners[index].address : NULL;
}

uint64_t tl_http_connections(struct tl_http *http)
{
    tl_mutex_lock(&http->mu);
    uint64_t count = http->connections;
    tl_mutex_unlock(&http->mu);
    return count;
}

/* A new daemon takes the socket over; the old one finishes what it has. */
static tally_status replace(struct tl_http *http, struct listener *listener,
                            struct tally_error *err)
{
    struct served next;
    if (!begin_serving(http, listener, &next)) {
        return tl_fail(err, TALLY_EINVAL,
                       "the new certificate or its key is wrong: the old one stays");
    }
    (void)MHD_quiesce_daemon(listener->served.daemon);
    tl_mutex_lock(&http->mu);
    http->retired[http->retired_count++] = listener->served;
    listener->served = next;
    tl_mutex_unlock(&http->mu);
    return TALLY_OK;
}

tally_status tl_http_reload(struct tl_http *http, struct tally_error *err)
{
    if (http->cert == NULL) {
        return TALLY_OK;
    }
    tl_mutex_lock(&http->mu);
    bool has_room = http->retired_count + http->count <= RETIRED_MAX;
    tl_mutex_unlock(&http->mu);
    if (!has_room) {
        return tl_fail(err, TALLY_EBUSY, "connections under older certificates are still open");
    }
    char *cert = http->cert;
    char *key = http->key;
    http->cert = http->key = NULL;
    tally_status status = read_pem(http, err);
    for (size_t i = 0; i < http->count && status == TALLY_OK; i++) {
        if (!http->listeners[i].is_unix) {
            status = replace(http, &http->listeners[i], err);
        }
    }
    if (status != TALLY_OK) {
        wipe_pem(&http->cert, &http->key);
        http->cert = cert;
        http->key = key;
        return status;
    }
    wipe_pem(&cert, &key);
    return TALLY_OK;
}
