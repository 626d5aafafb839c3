#include "base/random.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/random.h>

void (*tl_random_override)(void *out, size_t len);

/* What was handed out is wiped at once; the rest is worth as much as the process's own memory. */
static _Thread_local struct {
    uint8_t bytes[4096];
    size_t left;
} pool;

static pthread_once_t watch_once = PTHREAD_ONCE_INIT;

/* In the child only the thread that forked lives on, with a copy of what its parent will hand out. */
static void drop_pool(void)
{
    explicit_bzero(pool.bytes, sizeof(pool.bytes));
    pool.left = 0;
}

static void watch_forks(void)
{
    tl_assert(pthread_atfork(NULL, NULL, drop_pool) == 0); /* fails without memory only */
}

static void read_kernel(uint8_t *out, size_t len)
{
    while (len > 0) {
        ssize_t n = getrandom(out, len, 0);
        if (n < 0) {
            tl_assert(errno == EINTR); /* no other failure exists for a valid buffer */
            continue;
        }
        out += n;
        len -= (size_t)n;
    }
}

void tl_random_bytes(void *out, size_t len)
{
    if (tl_random_override != NULL) {
        tl_random_override(out, len);
        return;
    }
    if (len > sizeof(pool.bytes) / 2) {
        read_kernel(out, len);
        return;
    }
    if (pool.left < len) {
        tl_assert(pthread_once(&watch_once, watch_forks) == 0);
        read_kernel(pool.bytes, sizeof(pool.bytes));
        pool.left = sizeof(pool.bytes);
    }
    uint8_t *from = pool.bytes + pool.left - len;
    memcpy(out, from, len);
    explicit_bzero(from, len);
    pool.left -= len;
}
