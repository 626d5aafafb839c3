/* What one write into the spool costs, beside a bare pwrite() of the same bytes in the same run. */
#include "spool/spool.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/parse.h"

#define TEXT_LEN    600u
#define THREADS_MAX 16u

struct bench {
    const char *dir;
    struct tl_spool *spool; /* NULL: bare writes */
    uint32_t events;        /* of each thread */
    uint32_t *ns;           /* of each event of all threads */
    atomic_uint_fast64_t offset;
    int fd;
};

struct worker {
    pthread_t thread;
    struct bench *bench;
    uint32_t *ns;
};

static int64_t now_ns(void)
{
    struct timespec now;
    tl_assert(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void write_bare(struct bench *bench, const uint8_t *room)
{
    uint32_t span = tl_spool_span(TEXT_LEN);
    uint64_t offset = atomic_fetch_add_explicit(&bench->offset, span, memory_order_relaxed);
    tl_assert(pwrite(bench->fd, room, span, (off_t)offset) == (ssize_t)span);
}

static void *run(void *ctx)
{
    struct worker *worker = ctx;
    struct bench *bench = worker->bench;
    uint8_t room[TL_SPOOL_HEADER_LEN + TEXT_LEN + TL_SPOOL_ALIGN];
    memset(room, 'a', sizeof(room));
    const struct tl_spool_record record = { .kind = TL_SPOOL_EVENT, .len = TEXT_LEN };
    for (uint32_t i = 0; i < bench->events; i++) {
        int64_t began = now_ns();
        if (bench->spool == NULL) {
            write_bare(bench, room);
        } else {
            struct tl_spool_place place;
            tl_assert(tl_spool_write(bench->spool, &record, room, TL_SPOOL_QUEUED, INT64_MAX,
                                     &place, NULL) == TALLY_OK);
        }
        int64_t took = now_ns() - began;
        worker->ns[i] = took < UINT32_MAX ? (uint32_t)took : UINT32_MAX;
    }
    return NULL;
}

static int compare(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a;
    const uint32_t y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void measure(struct bench *bench, const char *what, unsigned threads)
{
    struct worker workers[THREADS_MAX];
    size_t count = (size_t)bench->events * threads;
    int64_t began = now_ns();
    for (unsigned i = 0; i < threads; i++) {
        workers[i] = (struct worker){ .bench = bench, .ns = bench->ns + (size_t)i * bench->events };
        tl_assert(pthread_create(&workers[i].thread, NULL, run, &workers[i]) == 0);
    }
    for (unsigned i = 0; i < threads; i++) {
        tl_assert(pthread_join(workers[i].thread, NULL) == 0);
    }
    double seconds = (double)(now_ns() - began) / 1e9;
    qsort(bench->ns, count, sizeof(bench->ns[0]), compare);
    printf("%-6s %2u threads  p50 %6u ns  p99 %6u ns  p99.9 %7u ns  max %9u ns  %8.0f /s\n", what,
           threads, bench->ns[count / 2], bench->ns[count * 99 / 100],
           bench->ns[count * 999 / 1000], bench->ns[count - 1], (double)count / seconds);
}

static void measure_bare(struct bench *bench, unsigned threads)
{
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/bench_spool.bare", bench->dir);
    bench->fd = open(path, O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0600);
    tl_assert(bench->fd >= 0);
    off_t len = (off_t)tl_spool_span(TEXT_LEN) * bench->events * threads;
    tl_assert(posix_fallocate(bench->fd, 0, len) == 0);
    atomic_store(&bench->offset, 0);
    bench->spool = NULL;
    measure(bench, "pwrite", threads);
    tl_assert(unlink(path) == 0 && close(bench->fd) == 0);
}

static void measure_spool(struct bench *bench, unsigned threads)
{
    char dir[512];
    (void)snprintf(dir, sizeof(dir), "%s/bench_spool.XXXXXX", bench->dir);
    tl_assert(mkdtemp(dir) != NULL);
    const struct tl_spool_options options = { .dir = dir,
                                              .segment_bytes = (uint32_t)16 << 20,
                                              .bytes_max = (uint64_t)8 << 30,
                                              .sync_interval_ms = 100 };
    tl_assert(tl_spool_open(&bench->spool, &options, NULL) == TALLY_OK);
    measure(bench, "spool", threads);
    tl_spool_close(bench->spool);
    char command[600];
    (void)snprintf(command, sizeof(command), "rm -r '%s'", dir);
    /* NOLINTNEXTLINE(cert-env33-c): a directory of our own making */
    tl_assert(system(command) == 0);
}

int main(int argc, char **argv)
{
    uint64_t events = 500000;
    if (argc < 2 ||
        (argc > 2 && tl_parse_u64(argv[2], strlen(argv[2]), UINT32_MAX, &events) != TALLY_OK)) {
        (void)fprintf(stderr, "usage: bench_spool DIR [EVENTS]\n");
        return 2;
    }
    static const unsigned threads[] = { 1, 4 };
    struct bench bench = { .dir = argv[1] };
    for (size_t i = 0; i < TL_ARRAY_LEN(threads); i++) {
        bench.events = (uint32_t)(events / threads[i]);
        bench.ns = tl_alloc_array((size_t)bench.events * threads[i], sizeof(bench.ns[0]));
        tl_assert(bench.ns != NULL);
        measure_bare(&bench, threads[i]);
        measure_spool(&bench, threads[i]);
        tl_free(bench.ns);
    }
    return 0;
}
