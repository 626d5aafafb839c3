#include "cli/bench_others.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/thread.h"
#include "cli/bench_baseline.h"

#define PRIORITY 134 /* local0, info */

const char *const tl_bench_other_names[TL_BENCH_OTHERS] = { "fprintf", "syslog", "sqlite_normal",
                                                            "sqlite_full" };

struct tl_bench_others {
    enum tl_bench_other kind;
    struct tl_mutex mu; /* syslog and SQLite: one at a time */
    FILE *file;
    int sockets[2]; /* we send to the first; -1 if there are none */
    pthread_t reader;
    bool reader_runs;
    struct tl_baseline *baseline;
};

static void *run_reader(void *ctx)
{
    const struct tl_bench_others *other = ctx;
    char datagram[TL_BENCH_EVENT_SIZE + 256];
    while (recv(other->sockets[1], datagram, sizeof(datagram), 0) > 0) {
        /* an empty one ends it */
    }
    return NULL;
}

static tally_status open_file(struct tl_bench_others *other, const char *path,
                              struct tally_error *err)
{
    int fd = tl_io->open(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
    other->file = fd < 0 ? NULL : fdopen(fd, "a");
    return other->file != NULL ? TALLY_OK : tl_fail(err, TALLY_EIO, "cannot make '%s'", path);
}

static tally_status open_socket(struct tl_bench_others *other, struct tally_error *err)
{
    if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, other->sockets) != 0) {
        return tl_fail(err, TALLY_EIO, "cannot make a local socket");
    }
    TL_TRY(tl_thread_start(&other->reader, "bench-syslog", run_reader, other));
    other->reader_runs = true;
    return TALLY_OK;
}

static tally_status open_kind(struct tl_bench_others *other, const char *dir,
                              struct tally_error *err)
{
    char path[4096 + 32];
    (void)snprintf(path, sizeof(path), "%s/%s", dir, tl_bench_other_names[other->kind]);
    switch (other->kind) {
    case TL_BENCH_FPRINTF:
        return open_file(other, path, err);
    case TL_BENCH_SYSLOG:
        return open_socket(other, err);
    case TL_BENCH_SQLITE_NORMAL:
        TL_TRY(tl_baseline_open(&other->baseline, path, TL_BASELINE_PLAIN, err));
        return tl_baseline_relax(other->baseline, err);
    case TL_BENCH_SQLITE_FULL:
        return tl_baseline_open(&other->baseline, path, TL_BASELINE_PLAIN, err);
    case TL_BENCH_OTHERS:
        break;
    }
    return TALLY_EINVAL;
}

tally_status tl_bench_other_open(struct tl_bench_others **other_out, enum tl_bench_other kind,
                                 const char *dir, struct tally_error *err)
{
    struct tl_bench_others *other = tl_alloc_array(1, sizeof(*other));
    if (other == NULL || tl_mutex_init(&other->mu) != TALLY_OK) {
        tl_free(other);
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate what to compare with");
    }
    other->kind = kind;
    other->sockets[0] = other->sockets[1] = -1;
    tally_status status = open_kind(other, dir, err);
    if (status != TALLY_OK) {
        tl_bench_other_close(other);
        return status;
    }
    *other_out = other;
    return TALLY_OK;
}

/* As syslog(3): "<134>Nov 22 04:33:13 tally[123]: TEXT". The day and month are made up: composing
 * the time costs the C library rather more. */
static tally_status send_line(struct tl_bench_others *other, const struct tl_bench_event *event)
{
    char datagram[TL_BENCH_EVENT_SIZE + 256];
    int64_t s = tl_clock->wall_us() / 1000000;
    int len = snprintf(datagram, sizeof(datagram), "<%d>Nov 22 %02d:%02d:%02d tally[%d]: %s",
                       PRIORITY, (int)(s / 3600 % 24), (int)(s / 60 % 60), (int)(s % 60),
                       (int)getpid(), event->json);
    tl_assert(len > 0 && (size_t)len < sizeof(datagram)); /* the text is shorter by far */
    ssize_t sent = send(other->sockets[0], datagram, (size_t)len, MSG_NOSIGNAL);
    return sent == len ? TALLY_OK : TALLY_EIO;
}

tally_status tl_bench_other_write(void *ctx, struct tl_bench_event *event)
{
    struct tl_bench_others *other = ctx;
    if (other->kind == TL_BENCH_FPRINTF) {
        bool written = fprintf(other->file, "%s\n", event->json) > 0 && fflush(other->file) == 0;
        return written ? TALLY_OK : TALLY_EIO;
    }
    tl_mutex_lock(&other->mu);
    tally_status status = other->kind == TL_BENCH_SYSLOG
                              ? send_line(other, event)
                              : tl_baseline_insert_alone(other->baseline, event, NULL);
    tl_mutex_unlock(&other->mu);
    return status;
}

void tl_bench_other_close(struct tl_bench_others *other)
{
    if (other == NULL) {
        return;
    }
    if (other->reader_runs) {
        (void)send(other->sockets[0], "", 0, MSG_NOSIGNAL); /* an empty datagram ends the reader */
        tl_thread_join(other->reader);
    }
    tl_io_closep(&other->sockets[0]);
    tl_io_closep(&other->sockets[1]);
    if (other->file != NULL) {
        (void)fclose(other->file); /* it was flushed line by line */
    }
    tl_baseline_close(other->baseline);
    tl_mutex_release(&other->mu);
    tl_free(other);
}
