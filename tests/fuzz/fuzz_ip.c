/* Accepts what the C library accepts, and the canonical text is the same address and its own. */
#include <string.h>

#include <arpa/inet.h>

#include "codec/ip.h"
#include "fuzz.h"

/* Reads with the C library; returns the family, or 0. */
static int read_with_libc(struct tl_str text, uint8_t out[16])
{
    char copy[TL_IP_TEXT_SIZE] = { 0 };
    if (text.len >= sizeof(copy) || memchr(text.text, '\0', text.len) != NULL) {
        return 0;
    }
    memcpy(copy, text.text, text.len);
    return inet_pton(AF_INET, copy, out) == 1    ? AF_INET
           : inet_pton(AF_INET6, copy, out) == 1 ? AF_INET6
                                                 : 0;
}

bool fuzz_one(const uint8_t *data, size_t len)
{
    struct tl_str text = { .text = (const char *)data, .len = len };
    uint8_t want[16] = { 0 };
    uint8_t got[16] = { 0 };
    int family = read_with_libc(text, want);
    char canonical[TL_IP_TEXT_SIZE];
    size_t canonical_len = 0;
    bool accepted = tl_ip_canonical(canonical, &canonical_len, text) == TALLY_OK;
    tl_assert(accepted == (family != 0));
    if (accepted) {
        struct tl_str first = { .text = canonical, .len = canonical_len };
        tl_assert(read_with_libc(first, got) == family);
        tl_assert(memcmp(got, want, sizeof(got)) == 0);
        char again[TL_IP_TEXT_SIZE];
        tl_assert(tl_ip_canonical(again, &canonical_len, first) == TALLY_OK);
        tl_assert(tl_str_is(first, again));
    }
    return accepted;
}
