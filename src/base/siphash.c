#include "base/siphash.h"

#include <string.h>

static uint64_t get_le64(const uint8_t *p)
{
    uint64_t value;
    memcpy(&value, p, sizeof(value));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    value = __builtin_bswap64(value);
#endif
    return value;
}

static uint64_t rotate(uint64_t value, unsigned bits)
{
    return value << bits | value >> (64 - bits);
}

struct state {
    uint64_t a, b, c, d;
};

static inline void round_of(struct state *s)
{
    s->a += s->b;
    s->b = rotate(s->b, 13) ^ s->a;
    s->a = rotate(s->a, 32);
    s->c += s->d;
    s->d = rotate(s->d, 16) ^ s->c;
    s->a += s->d;
    s->d = rotate(s->d, 21) ^ s->a;
    s->c += s->b;
    s->b = rotate(s->b, 17) ^ s->c;
    s->c = rotate(s->c, 32);
}

static inline void absorb(struct state *s, uint64_t word)
{
    s->d ^= word;
    round_of(s);
    round_of(s);
    s->a ^= word;
}

uint64_t tl_siphash(const uint8_t key[TL_SIPHASH_KEY_LEN], const void *bytes, size_t len)
{
    uint64_t k0 = get_le64(key);
    uint64_t k1 = get_le64(key + 8);
    struct state s = { k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261,
                       k1 ^ 0x7465646279746573 };
    const uint8_t *p = bytes;
    size_t left = len;
    for (; left >= 8; left -= 8, p += 8) {
        absorb(&s, get_le64(p));
    }
    uint8_t last[8] = { 0 };
    if (left > 0) {
        memcpy(last, p, left);
    }
    last[7] = (uint8_t)len;
    absorb(&s, get_le64(last));
    s.c ^= 0xff;
    for (int i = 0; i < 4; i++) {
        round_of(&s);
    }
    return s.a ^ s.b ^ s.c ^ s.d;
}
