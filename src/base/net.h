/*
 * base/net.h - addresses and sockets, for those who connect to other machines.
 *
 * What may be connected to is decided on the address itself, after names were looked up: a name may
 * point anywhere, and to another place the second time.
 */
#ifndef TL_BASE_NET_H
#define TL_BASE_NET_H

#include <sys/socket.h>

#include "base/base.h"

enum tl_net_place {
    TL_NET_NOWHERE = 0, /* unspecified, multicast, broadcast, reserved, or no internet address */
    TL_NET_LOOPBACK,    /* this machine */
    TL_NET_LINK_LOCAL,  /* whoever answers on the wire: cloud metadata, mostly */
    TL_NET_PRIVATE,     /* RFC 1918, RFC 6598, unique local */
    TL_NET_PUBLIC,
};

/* Where an address is. IPv4 addresses written as IPv6 ones are what they stand for. */
enum tl_net_place tl_net_place(const struct sockaddr *address, size_t len);

/* socket(), closed on exec; -1 with errno. */
int tl_net_socket(int family, int type, int protocol);

#endif /* TL_BASE_NET_H */
