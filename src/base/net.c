#include "base/net.h"

#include <netinet/in.h>
#include <string.h>

struct range4 {
    uint32_t first;
    uint32_t bits; /* of the prefix */
    enum tl_net_place place;
};

/* RFC 6890 and its registry, as far as it is not plain public. */
static const struct range4 ranges4[] = {
    { 0x00000000, 8, TL_NET_NOWHERE },     /* 0.0.0.0/8: Linux connects to itself */
    { 0x0a000000, 8, TL_NET_PRIVATE },     /* 10.0.0.0/8 */
    { 0x64400000, 10, TL_NET_PRIVATE },    /* 100.64.0.0/10 */
    { 0x7f000000, 8, TL_NET_LOOPBACK },    /* 127.0.0.0/8 */
    { 0xa9fe0000, 16, TL_NET_LINK_LOCAL }, /* 169.254.0.0/16 */
    { 0xac100000, 12, TL_NET_PRIVATE },    /* 172.16.0.0/12 */
    { 0xc0000000, 24, TL_NET_NOWHERE },    /* 192.0.0.0/24 */
    { 0xc0a80000, 16, TL_NET_PRIVATE },    /* 192.168.0.0/16 */
    { 0xe0000000, 3, TL_NET_NOWHERE },     /* 224.0.0.0 and up: multicast, reserved, broadcast */
};

static enum tl_net_place place4(uint32_t address)
{
    for (size_t i = 0; i < TL_ARRAY_LEN(ranges4); i++) {
        uint32_t mask = UINT32_MAX << (32 - ranges4[i].bits);
        if ((address & mask) == ranges4[i].first) {
            return ranges4[i].place;
        }
    }
    return TL_NET_PUBLIC;
}

static uint32_t be32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static enum tl_net_place place6(const uint8_t a[16])
{
    static const uint8_t zeros[16];
    static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };
    static const uint8_t nat64[12] = { 0x00, 0x64, 0xff, 0x9b };
    static const uint8_t nat64_local[6] = { 0x00, 0x64, 0xff, 0x9b, 0x00, 0x01 };
    if (memcmp(a, zeros, 15) == 0 && a[15] <= 1) {
        return a[15] == 1 ? TL_NET_LOOPBACK : TL_NET_NOWHERE;
    }
    if (memcmp(a, mapped, 12) == 0 || memcmp(a, nat64, 12) == 0 || memcmp(a, zeros, 12) == 0) {
        return place4(be32(a + 12));
    }
    if (memcmp(a, nat64_local, 6) == 0) {
        return place4(
            be32(a + 12)); /* RFC 8215; of shorter prefixes than /96 it is nowhere, mostly */
    }
    if (a[0] == 0x20 && a[1] == 0x02) {
        return place4(be32(a + 2)); /* 6to4 */
    }
    if (a[0] == 0xfe && (a[1] & 0xc0u) == 0x80) {
        return TL_NET_LINK_LOCAL;
    }
    if ((a[0] & 0xfeu) == 0xfc || (a[0] == 0xfe && (a[1] & 0xc0u) == 0xc0)) {
        return TL_NET_PRIVATE;
    }
    return a[0] == 0xff ? TL_NET_NOWHERE : TL_NET_PUBLIC;
}

enum tl_net_place tl_net_place(const struct sockaddr *address, size_t len)
{
    if (address->sa_family == AF_INET && len >= sizeof(struct sockaddr_in)) {
        struct sockaddr_in in;
        memcpy(&in, address, sizeof(in));
        return place4(ntohl(in.sin_addr.s_addr));
    }
    if (address->sa_family == AF_INET6 && len >= sizeof(struct sockaddr_in6)) {
        struct sockaddr_in6 in6;
        memcpy(&in6, address, sizeof(in6));
        return place6(in6.sin6_addr.s6_addr);
    }
    return TL_NET_NOWHERE;
}

int tl_net_socket(int family, int type, int protocol)
{
    return socket(family, type | SOCK_CLOEXEC, protocol);
}
