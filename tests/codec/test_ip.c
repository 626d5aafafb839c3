#include <stdio.h>
#include <string.h>

#include <arpa/inet.h>

#include "check.h"
#include "codec/ip.h"

static void check_canonical(const char *text, const char *want)
{
    char got[TL_IP_TEXT_SIZE] = "";
    size_t len = 99;
    check_ok(tl_ip_canonical(got, &len, tl_str_of(text)));
    assert_string_equal(got, want);
    assert_int_equal(len, strlen(want));
}

/* The cases of RFC 5952 sections 1 to 5, and the corners between them. */
static void writes_each_address_in_one_way(void **state)
{
    (void)state;
    static const char *const table[][2] = {
        { "0.0.0.0", "0.0.0.0" },
        { "255.255.255.255", "255.255.255.255" },
        { "192.0.2.7", "192.0.2.7" },
        { "::", "::" },
        { "0:0:0:0:0:0:0:0", "::" },
        { "::1", "::1" },
        { "1::", "1::" },
        { "2001:0db8::0001", "2001:db8::1" },
        { "2001:DB8:0:0:0:0:2:1", "2001:db8::2:1" },
        { "2001:db8::1:1:1:1:1", "2001:db8:0:1:1:1:1:1" },
        { "2001:0:0:1:0:0:0:1", "2001:0:0:1::1" },
        { "2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1" },
        { "1:0:0:2:0:0:0:0", "1:0:0:2::" },
        { "0:0:1:2:3:4:5:6", "::1:2:3:4:5:6" },
        { "0:1:2:3:4:5:6:7", "0:1:2:3:4:5:6:7" },
        { "1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0" },
        { "::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8" },
        { "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255",
          "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff" },
        { "::FFFF:192.0.2.1", "::ffff:192.0.2.1" },
        { "::ffff:c000:0201", "::ffff:192.0.2.1" },
        { "0:0:0:0:0:ffff:0.0.0.0", "::ffff:0.0.0.0" },
        { "::192.0.2.1", "::c000:201" },
        { "64:ff9b::192.0.2.33", "64:ff9b::c000:221" },
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(table); i++) {
        check_canonical(table[i][0], table[i][1]);
        check_canonical(table[i][1], table[i][1]);
    }
}

static void refuses_what_is_no_address(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "1",
        "1.2.3",
        "1.2.3.4.5",
        "1.2.3.256",
        "1.2.3.04",
        "1.2.3.",
        ".1.2.3",
        "1..2.3",
        "1.2.3.4 ",
        " 1.2.3.4",
        "1.2.3.0x4",
        "1.2.3.4/8",
        "1.2.3.4:80",
        ":",
        ":::",
        "1:2:3:4:5:6:7",
        "1:2:3:4:5:6:7:8:9",
        "1:2:3:4:5:6:7:8::",
        "::1:2:3:4:5:6:7:8",
        "1:2:3:4::5:6:7:8",
        "1::2::3",
        "1:::2",
        ":1:2:3:4:5:6:7",
        "1:2:3:4:5:6:7:",
        ":1::",
        "::1:",
        "12345::",
        "g::",
        "::1%eth0",
        "[::1]",
        "1.2.3.4::",
        "::1.2.3.4:5",
        "::1.2.3",
        "1:2:3:4:5:6:7:1.2.3.4",
        "::1:2:3:4:5:6:1.2.3.4",
        "localhost",
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(texts); i++) {
        char got[TL_IP_TEXT_SIZE] = "x";
        size_t len = 99;
        check_status(tl_ip_canonical(got, &len, tl_str_of(texts[i])), TALLY_EINVAL);
        assert_string_equal(got, "x");
        assert_int_equal(len, 99);
    }
    char got[TL_IP_TEXT_SIZE];
    size_t len = 99;
    check_status(tl_ip_canonical(got, &len, TL_STR("::1\0")), TALLY_EINVAL);
}

/* Each group is zero, one digit or four digits: all ways to put a gap. */
static void agrees_with_the_c_library_on_6561_addresses(void **state)
{
    (void)state;
    static const unsigned values[3] = { 0, 0xA, 0xBEEF };
    for (unsigned n = 0; n < 6561; n++) {
        unsigned g[8];
        unsigned rest = n;
        for (size_t i = 0; i < 8; i++) {
            g[i] = values[rest % 3];
            rest /= 3;
        }
        char text[80];
        (void)snprintf(text, sizeof(text), "%x:%x:%x:%x:%04x:%x:%x:%X", g[0], g[1], g[2], g[3],
                       g[4], g[5], g[6], g[7]);
        struct in6_addr address;
        assert_int_equal(inet_pton(AF_INET6, text, &address), 1);
        char want[TL_IP_TEXT_SIZE];
        assert_non_null(inet_ntop(AF_INET6, &address, want, sizeof(want)));
        /* It alone writes the obsolete ::a.b.c.d. */
        if (strchr(want, '.') == NULL) {
            check_canonical(text, want);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_each_address_in_one_way),
        cmocka_unit_test(refuses_what_is_no_address),
        cmocka_unit_test(agrees_with_the_c_library_on_6561_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
