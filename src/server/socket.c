#include "server/socket.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/io.h"
#include "base/net.h"
#include "base/str.h"

#define BACKLOG 1024

/* Whoever has an IPv6 address has the 2^64 beside it. */
static void place_of(const struct sockaddr_storage *address, struct tl_rate_key *out)
{
    static const uint8_t mapped[12] = { [10] = 0xFF, [11] = 0xFF };
    if (address->ss_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, address, sizeof(v4));
        memcpy(out->bytes, mapped, sizeof(mapped));
        memcpy(out->bytes + sizeof(mapped), &v4.sin_addr, sizeof(v4.sin_addr));
    } else if (address->ss_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, address, sizeof(v6));
        bool is_v4 = memcmp(&v6.sin6_addr, mapped, sizeof(mapped)) == 0;
        memcpy(out->bytes, &v6.sin6_addr, is_v4 ? 16 : 8);
    }
}

void tl_socket_peer(int fd, struct tl_peer *out)
{
    struct sockaddr_storage address = { .ss_family = AF_UNSPEC };
    socklen_t len = sizeof(address);
    struct ucred credentials;
    socklen_t credentials_len = sizeof(credentials);
    *out = (struct tl_peer){ .uid = 0 };
    if (getpeername(fd, (struct sockaddr *)&address, &len) != 0) {
        return;
    }
    if (address.ss_family == AF_UNIX) {
        out->is_unix = true;
        out->has_uid = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &credentials_len) == 0;
        out->uid = out->has_uid ? credentials.uid : 0;
        return;
    }
    place_of(&address, &out->place);
    if (getnameinfo((struct sockaddr *)&address, len, out->name, sizeof(out->name), NULL, 0,
                    NI_NUMERICHOST) != 0) {
        out->name[0] = '\0';
    }
}

static tally_status listen_unix(struct tl_socket *out, const char *path, struct tally_error *err)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    if (strlen(path) >= sizeof(address.sun_path)) {
        return tl_fail(err, TALLY_EINVAL, "the path of a socket has at most %zu bytes: '%s'",
                       sizeof(address.sun_path) - 1, path);
    }
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    (void)snprintf(out->path, sizeof(out->path), "%s", path);
    out->is_unix = true;
    out->fd = tl_net_socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (out->fd < 0) {
        return tl_fail_errno(err, TALLY_EIO, errno, "cannot make a socket");
    }
    /* One that nobody answers on is what a killed server left behind. */
    if (connect(out->fd, (const struct sockaddr *)&address, sizeof(address)) != 0 &&
        errno == ECONNREFUSED) {
        (void)tl_io->unlink(path);
    }
    (void)close(out->fd);
    out->fd = tl_net_socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    mode_t before = umask(0117); /* the owner and his group */
    int rc = out->fd < 0 ? -1 : bind(out->fd, (const struct sockaddr *)&address, sizeof(address));
    (void)umask(before);
    if (rc != 0 || listen(out->fd, BACKLOG) != 0) {
        return tl_fail_errno(err, TALLY_EIO, errno, "cannot listen at '%s'", path);
    }
    (void)snprintf(out->address, sizeof(out->address), "unix:%s", path);
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

static void describe(struct tl_socket *out, bool has_tls)
{
    struct sockaddr_storage address = { .ss_family = AF_UNSPEC };
    socklen_t len = sizeof(address);
    char host[64] = "";
    char port[8] = "";
    if (getsockname(out->fd, (struct sockaddr *)&address, &len) != 0) {
        return;
    }
    if (address.ss_family == AF_UNIX) {
        out->is_unix = true;
        (void)snprintf(out->address, sizeof(out->address), "unix:");
        return;
    }
    (void)getnameinfo((struct sockaddr *)&address, len, host, sizeof(host), port, sizeof(port),
                      NI_NUMERICHOST | NI_NUMERICSERV);
    (void)snprintf(out->address, sizeof(out->address),
                   address.ss_family == AF_INET6 ? "%s://[%s]:%s" : "%s://%s:%s",
                   has_tls ? "https" : "http", host, port);
}

tally_status tl_socket_listen(struct tl_socket *out, const struct tl_server_options *options,
                              const char *text, struct tally_error *err)
{
    out->fd = -1;
    if (strncmp(text, "unix:", 5) == 0) {
        return listen_unix(out, text + 5, err);
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
        out->fd = tl_net_socket(info->ai_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
        if (out->fd < 0 || setsockopt(out->fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) != 0 ||
            bind(out->fd, info->ai_addr, info->ai_addrlen) != 0 || listen(out->fd, BACKLOG) != 0) {
            status = tl_fail_errno(err, TALLY_EIO, errno, "cannot listen at '%s'", text);
        }
    }
    freeaddrinfo(info);
    if (status == TALLY_OK) {
        describe(out, options->tls_cert_path != NULL);
    }
    return status;
}

tally_status tl_socket_take(struct tl_socket *out, const struct tl_server_options *options, int fd,
                            struct tally_error *err)
{
    struct sockaddr_storage address = { .ss_family = AF_UNSPEC };
    socklen_t len = sizeof(address);
    out->fd = fd;
    if (getsockname(fd, (struct sockaddr *)&address, &len) != 0) {
        return tl_fail_errno(err, TALLY_EIO, errno, "what was handed over is no socket");
    }
    describe(out, options->tls_cert_path != NULL);
    return out->is_unix
               ? TALLY_OK
               : check_plain(options, (const struct sockaddr *)&address, len, out->address, err);
}

void tl_socket_close(struct tl_socket *socket, bool was_served)
{
    if (was_served && socket->path[0] != '\0') {
        (void)tl_io->unlink(socket->path);
    }
    if (socket->fd >= 0) {
        (void)close(socket->fd);
    }
    socket->fd = -1;
}

tally_status tl_server_bind(int *fd_out, const struct tl_server_options *options,
                            const char *address, struct tally_error *err)
{
    struct tl_socket socket = { .fd = -1 };
    tally_status status = tl_socket_listen(&socket, options, address, err);
    if (status == TALLY_OK) {
        *fd_out = socket.fd;
    } else {
        tl_socket_close(&socket, false);
    }
    return status;
}
