#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <microhttpd.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/net.h"
#include "base/parse.h"
#include "base/secret.h"
#include "server/http_head.h"
#include "server/pem.h"
#include "server/server_impl.h"
#include "server/socket.h"

#define ADDRESSES_MAX    8u
#define RETIRED_MAX      8u
#define CONNECTIONS_MAX  4000u
#define FILES_RESERVED   256u /* for what answers: stores, readers, the spool */
#define LINES_PER_S      10u
#define MEMORY           ((size_t)32 << 10) /* of a connection: its header block and what MHD needs */
#define HEADER_US        INT64_C(10000000) /* for a header block */
#define IDLE_US          INT64_C(30000000) /* between requests, the next header block included */
#define IDLE_S           60u               /* without any byte; streams send one every 15 */
#define BODY_BYTES_PER_S 1024
#define STOP_US          INT64_C(30000000)
#define LOOK_MS          500u
#define BLOCK            ((size_t)32 << 10)

static const char priorities[] =
    "SECURE128:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-CIPHER-ALL:+AES-128-GCM:+AES-256-GCM:"
    "+CHACHA20-POLY1305";

/* Guards against those who send slowly, or nothing: libmicrohttpd has a limit for silence alone. */
struct connection {
    struct connection *before, *after;
    int fd;
    struct tl_peer peer;
    bool is_reading;  /* header or body are not there yet */
    int64_t until_us; /* for what is to come; with a body, more for every KiB that has come */
};

/* libmicrohttpd closes the descriptor that it listens at when it cannot start: it gets one of its own
 * of the same socket, which outlives it otherwise. */
struct served {
    struct MHD_Daemon *daemon;
    int fd;
};

struct listener {
    struct tl_socket socket;
    struct served served;
};

struct tl_http {
    struct tl_server *server;
    struct listener listeners[ADDRESSES_MAX];
    size_t count;
    struct served retired[RETIRED_MAX]; /* they finish what was begun with an old certificate */
    size_t retired_count;
    struct tl_pem pem;
    unsigned threads;
    pthread_t watcher;
    bool has_watcher;

    struct tl_mutex mu;
    struct tl_cond stopping;  /* for the watcher */
    struct tl_cond idle;      /* no request is in flight */
    struct connection *first; /* guarded by mu */
    uint64_t connections;
    uint64_t requests;    /* so far */
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

static const char *header(struct MHD_Connection *connection, const char *name)
{
    return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

static void name_request(struct tl_request *request, const char *given, unsigned long long number)
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

/* ---- who it is -------------------------------------------------------------------------------- */

static void identify(struct tl_request *request, struct MHD_Connection *connection,
                     const struct tl_peer *peer)
{
    const char *text = header(connection, "Authorization");
    if (text != NULL) {
        bool is_bearer = strncasecmp(text, "Bearer ", 7) == 0;
        if (!is_bearer ||
            tl_tokens_check(request->server->tokens, text + 7, &request->who) != TALLY_OK) {
            request->who = (struct tl_identity){ 0 };
            request->has_bad_token = true;
        }
    } else if (peer->has_uid && (peer->uid == 0 || peer->uid == (uint32_t)geteuid())) {
        request->who.role = TL_ROLE_ADMIN;
        (void)snprintf(request->who.name, sizeof(request->who.name), "uid %u", peer->uid);
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

/* Returns the request's number. */
static unsigned long long note_begin(struct tl_http *http, struct connection *socket)
{
    tl_mutex_lock(&http->mu);
    unsigned long long number = ++http->requests;
    http->in_flight++;
    expect_locked(socket, HEADER_US);
    tl_mutex_unlock(&http->mu);
    return number;
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
    (void)snprintf(request->peer, sizeof(request->peer), "%s", socket->peer.name);
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
    request->origin = header(connection, "Origin");
    request->preflight = header(connection, "Access-Control-Request-Method");
}

/* What can be said before the body is read. */
static void begin(struct tl_request *request, struct MHD_Connection *connection,
                  const struct connection *socket, const char *path, const char *method,
                  const char *version)
{
    read_head(request, connection, path, method);
    if (!tl_head_is_framed(request, connection, path, method, version)) {
        return;
    }
    if (tl_counter_get(&request->server->stopping) != 0) {
        tl_reply_problem(request, "stopping", "the server is being stopped");
        return;
    }
    if (!tl_route_find(request)) {
        return;
    }
    tl_head_params(request, connection);
    if (request->reply.status != 0) {
        return;
    }
    identify(request, connection, &socket->peer);
    if (!tl_route_has_room(request, socket->peer.is_unix ? NULL : &socket->peer.place) ||
        !tl_route_allows(request)) {
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
    /* libmicrohttpd reads it only; it lives until the request is completed.
     * NOLINTNEXTLINE(performance-no-int-to-ptr): so that a const may be given to it */
    return MHD_create_response_from_buffer(bytes.len, (void *)(uintptr_t)bytes.text,
                                           MHD_RESPMEM_PERSISTENT);
}

static enum MHD_Result send_reply(struct tl_request *request)
{
    const struct tl_reply *reply = &request->reply;
    tl_cors_add(request);
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
        const struct tl_reply_header *one = &reply->headers[i];
        const char *value = one->text != NULL ? one->text : one->value;
        good = MHD_add_response_header(response, one->name, value) == MHD_YES;
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
    if (socket == NULL) {
        return MHD_NO;
    }
    if (request == NULL) {
        request = new_request(http, connection, socket);
        if (request == NULL) {
            return MHD_NO;
        }
        *state = request;
        name_request(request, header(connection, "X-Request-Id"), note_begin(http, socket));
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
    tl_socket_peer(connection->fd, &connection->peer);
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
        { MHD_OPTION_HTTPS_MEM_CERT, 0, http->pem.cert },
        { MHD_OPTION_HTTPS_MEM_KEY, 0, http->pem.key },
        /* NOLINTNEXTLINE(performance-no-int-to-ptr): as above */
        { MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)priorities },
        { MHD_OPTION_END, 0, NULL },
    };
    bool has_tls = http->pem.cert != NULL && !listener->socket.is_unix;
    unsigned flags = MHD_USE_POLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG |
                     (has_tls ? MHD_USE_TLS : 0u);
    int fd = fcntl(listener->socket.fd, F_DUPFD_CLOEXEC, 0);
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

static tally_status listen_all(struct tl_http *http, struct tally_error *err)
{
    const struct tl_server_options *options = &http->server->options;
    if (options->listen_count + options->socket_count > ADDRESSES_MAX) {
        return tl_fail(err, TALLY_EINVAL, "there may be %u addresses to listen at", ADDRESSES_MAX);
    }
    for (size_t i = 0; i < options->listen_count + options->socket_count; i++) {
        struct tl_socket *socket = &http->listeners[http->count].socket;
        socket->fd = -1;
        http->count++;
        if (i < options->socket_count) {
            TL_TRY(tl_socket_take(socket, options, options->sockets[i], err));
        } else {
            const char *address = options->listen[i - options->socket_count];
            TL_TRY(tl_socket_listen(socket, options, address, err));
        }
    }
    return TALLY_OK;
}

static tally_status start_all(struct tl_http *http, struct tally_error *err)
{
    TL_TRY(tl_pem_read(&http->pem, &http->server->options, err));
    TL_TRY(listen_all(http, err));
    for (size_t i = 0; i < http->count; i++) {
        if (!begin_serving(http, &http->listeners[i], &http->listeners[i].served)) {
            return tl_fail(
                err, TALLY_EIO, "cannot serve at %s%s", http->listeners[i].socket.address,
                http->pem.cert == NULL ? "" : ": is the certificate right, and its key?");
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
        bool was_served = listener->served.daemon != NULL;
        end(&listener->served);
        tl_socket_close(&listener->socket, was_served);
    }
    for (size_t i = 0; i < http->retired_count; i++) {
        end(&http->retired[i]);
    }
    tl_pem_release(&http->pem);
    tl_cond_release(&http->idle);
    tl_cond_release(&http->stopping);
    tl_mutex_release(&http->mu);
    tl_free(http);
}

const char *tl_http_address(const struct tl_http *http, size_t index)
{
    return index < http->count ? http->listeners[index].socket.address : NULL;
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
    if (http->pem.cert == NULL) {
        return TALLY_OK;
    }
    tl_mutex_lock(&http->mu);
    bool has_room = http->retired_count + http->count <= RETIRED_MAX;
    tl_mutex_unlock(&http->mu);
    if (!has_room) {
        return tl_fail(err, TALLY_EBUSY, "connections under older certificates are still open");
    }
    struct tl_pem old = http->pem;
    http->pem = (struct tl_pem){ 0 };
    tally_status status = tl_pem_read(&http->pem, &http->server->options, err);
    for (size_t i = 0; i < http->count && status == TALLY_OK; i++) {
        if (!http->listeners[i].socket.is_unix) {
            status = replace(http, &http->listeners[i], err);
        }
    }
    if (status != TALLY_OK) {
        tl_pem_release(&http->pem);
        http->pem = old;
        return status;
    }
    tl_pem_release(&old);
    return TALLY_OK;
}
