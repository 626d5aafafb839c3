/* server/socket.h - where the server listens. */
#ifndef TL_SERVER_SOCKET_H
#define TL_SERVER_SOCKET_H

#include "base/base.h"
#include "server/rate.h"
#include "server/server.h"

struct tl_socket {
    int fd; /* negative: none */
    bool is_unix;
    char address[160]; /* "http://127.0.0.1:8080" */
    char path[108];    /* of a Unix socket that is ours to remove */
};

/* The other end of a connection. */
struct tl_peer {
    char name[64];            /* its address; "" of a Unix socket */
    struct tl_rate_key place; /* an IPv4 address, or the first half of an IPv6 one */
    bool is_unix;
    bool has_uid;
    uint32_t uid;
};

/* What cannot be found out stays zero. */
void tl_socket_peer(int fd, struct tl_peer *out);

/*
 * Listens at `text`: "127.0.0.1:8080", "[::1]:0", "unix:/path". On failure a descriptor may be there:
 * tl_socket_close(). Errors: TALLY_EINVAL no address, or one that others reach without TLS; TALLY_EIO
 */
tally_status tl_socket_listen(struct tl_socket *out, const struct tl_server_options *options,
                              const char *text, struct tally_error *err);

/* Takes one over from the service manager, which listens already. Errors likewise. */
tally_status tl_socket_take(struct tl_socket *out, const struct tl_server_options *options, int fd,
                            struct tally_error *err);

void tl_socket_close(struct tl_socket *socket, bool was_served);

#endif /* TL_SERVER_SOCKET_H */
