#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/net.h"
#include "check.h"

static enum tl_net_place place_of(const char *text)
{
    struct sockaddr_in in = { .sin_family = AF_INET };
    struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
    if (inet_pton(AF_INET, text, &in.sin_addr) == 1) {
        return tl_net_place((const struct sockaddr *)(const void *)&in, sizeof(in));
    }
    assert_int_equal(inet_pton(AF_INET6, text, &in6.sin6_addr), 1);
    return tl_net_place((const struct sockaddr *)(const void *)&in6, sizeof(in6));
}

static void knows_where_an_address_is(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum tl_net_place place;
    } rows[] = {
        { "127.0.0.1", TL_NET_LOOPBACK },
        { "127.255.255.254", TL_NET_LOOPBACK },
        { "126.255.255.255", TL_NET_PUBLIC },
        { "128.0.0.0", TL_NET_PUBLIC },
        { "0.0.0.0", TL_NET_NOWHERE },
        { "0.1.2.3", TL_NET_NOWHERE },
        { "1.0.0.0", TL_NET_PUBLIC },
        { "10.1.2.3", TL_NET_PRIVATE },
        { "100.64.0.1", TL_NET_PRIVATE },
        { "100.63.255.255", TL_NET_PUBLIC },
        { "100.128.0.0", TL_NET_PUBLIC },
        { "169.254.169.254", TL_NET_LINK_LOCAL },
        { "169.253.255.255", TL_NET_PUBLIC },
        { "169.255.0.0", TL_NET_PUBLIC },
        { "172.15.255.255", TL_NET_PUBLIC },
        { "172.16.0.0", TL_NET_PRIVATE },
        { "172.31.255.255", TL_NET_PRIVATE },
        { "172.32.0.0", TL_NET_PUBLIC },
        { "192.0.0.8", TL_NET_NOWHERE },
        { "192.168.1.1", TL_NET_PRIVATE },
        { "223.255.255.255", TL_NET_PUBLIC },
        { "224.0.0.1", TL_NET_NOWHERE },
        { "255.255.255.255", TL_NET_NOWHERE },
        { "::", TL_NET_NOWHERE },
        { "::1", TL_NET_LOOPBACK },
        { "::2", TL_NET_NOWHERE },
        { "::127.0.0.1", TL_NET_LOOPBACK },
        { "::ffff:127.0.0.1", TL_NET_LOOPBACK },
        { "::ffff:169.254.169.254", TL_NET_LINK_LOCAL },
        { "::ffff:8.8.8.8", TL_NET_PUBLIC },
        { "64:ff9b::a9fe:a9fe", TL_NET_LINK_LOCAL },
        { "64:ff9b:1::a9fe:a9fe", TL_NET_LINK_LOCAL },
        { "64:ff9b:1:fffe::7f00:1", TL_NET_LOOPBACK },
        { "64:ff9b:1::808:808", TL_NET_PUBLIC },
        { "64:ff9b:1:0:a9:fea9:fe00:0", TL_NET_NOWHERE },
        { "2002:7f00:1::", TL_NET_LOOPBACK },
        { "2002:808:808::", TL_NET_PUBLIC },
        { "fe80::1", TL_NET_LINK_LOCAL },
        { "febf::1", TL_NET_LINK_LOCAL },
        { "fec0::1", TL_NET_PRIVATE },
        { "fc00::1", TL_NET_PRIVATE },
        { "fdff::1", TL_NET_PRIVATE },
        { "ff02::1", TL_NET_NOWHERE },
        { "2606:4700::1111", TL_NET_PUBLIC },
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(rows); i++) {
        print_message("# %s\n", rows[i].text);
        assert_int_equal(place_of(rows[i].text), rows[i].place);
    }
}

static void what_is_no_internet_address_is_nowhere(void **state)
{
    (void)state;
    struct sockaddr_un local = { .sun_family = AF_UNIX };
    assert_int_equal(tl_net_place((const struct sockaddr *)(const void *)&local, sizeof(local)),
                     TL_NET_NOWHERE);
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr = { htonl(0x08080808) } };
    assert_int_equal(tl_net_place((const struct sockaddr *)(const void *)&in, sizeof(in) - 1),
                     TL_NET_NOWHERE);
}

static void a_socket_is_not_inherited(void **state)
{
    (void)state;
    int fd = tl_net_socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    assert_int_equal(close(fd), 0);
    assert_int_equal(tl_net_socket(-1, -1, -1), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_where_an_address_is),
        cmocka_unit_test(what_is_no_internet_address_is_nowhere),
        cmocka_unit_test(a_socket_is_not_inherited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
