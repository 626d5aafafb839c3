#include "crash/oracle.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/base.h"
#include "base/clock.h"

/* With one large event among 128 a segment of the spool is full after some thousand. */
#define FILL_USUAL 400u
#define FILL_MAX   48000u
#define FRAME      512u /* what is around it */

struct oracle *oracle_map(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, sizeof(struct oracle)) != 0) {
        perror(path);
        exit(70);
    }
    void *map = mmap(NULL, sizeof(struct oracle), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) {
        perror(path);
        exit(70);
    }
    (void)close(fd); /* the map stays */
    return map;
}

uint64_t oracle_random(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9E3779B97F4A7C15));
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

char *oracle_text(unsigned slot, uint64_t n, size_t *len_out)
{
    static const char letters[] = "abcdefghijklmnop";
    uint64_t random = n * 31 + slot;
    size_t fill_max = oracle_random(&random) % 128 == 0 ? FILL_MAX : FILL_USUAL;
    size_t fill = oracle_random(&random) % fill_max;
    char *text = tl_alloc_array(fill + FRAME, 1);
    if (text == NULL) {
        abort();
    }
    size_t len = (size_t)snprintf(text, FRAME,
                                  "{\"action\":\"crash.test\",\"id\":\"w%u/%llu\","
                                  "\"metadata\":{\"fill\":\"",
                                  slot, (unsigned long long)n);
    uint64_t bits = 0;
    for (size_t i = 0; i < fill; i++, bits >>= 4) {
        bits = i % 16 == 0 ? oracle_random(&random) : bits;
        text[len++] = letters[bits % 16];
    }
    len += (size_t)snprintf(text + len, FRAME / 2,
                            "\",\"n\":%llu},\"occurred_at\":\"2026-01-01T00:00:00Z\","
                            "\"outcome\":\"success\",\"severity\":\"medium\"}",
                            (unsigned long long)n);
    *len_out = len;
    return text;
}

int64_t oracle_now_us(void)
{
    return tl_clock_system.steady_us();
}

#define CLOCK_BASE_US INT64_C(1767225600000000) /* 2026-01-01 */

/* All processes of a run must agree, and the machine does not restart meanwhile. */
static int64_t fast_steady_us(void)
{
    return tl_clock_system.steady_us() * ORACLE_SPEED;
}

static int64_t fast_wall_us(void)
{
    return CLOCK_BASE_US + fast_steady_us();
}

static bool never_synchronised(void)
{
    return false;
}

void oracle_use_fast_clock(void)
{
    static const struct tl_clock_ops fast = { .wall_us = fast_wall_us,
                                              .steady_us = fast_steady_us,
                                              .is_synchronised = never_synchronised };
    tl_clock = &fast;
}
