#include "cli/bench_requests.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/net.h"
#include "base/parse.h"
#include "base/thread.h"

#define THREADS   2u
#define HEAD_SIZE 2048u
#define BLOCK     65536u
#define EVENTS    64
#define LOOK_MS   100
#define GRACE_NS  (INT64_C(60) * 1000000000) /* for replies that are under way */

/* A connection, and what it is at. */
struct wire {
    int fd; /* -1: closed */
    struct tl_str unsent;
    int64_t began_ns;
    char head[HEAD_SIZE];
    size_t head_len;
    bool has_head;
    uint64_t left; /* of the body */
    bool is_good;
};

/* One thread with its connections. Large: allocate. */
struct hand {
    const struct tl_bench_requests *requests;
    struct wire *wires;
    unsigned wire_count;
    unsigned asking; /* of these: how many wait for a reply */
    size_t next;     /* of the texts */
    int epoll;
    int64_t start_ns, end_ns;
    struct tl_bench_replies replies;
    tally_status status;
    struct tally_error error;
    char block[BLOCK];
    pthread_t thread;
};

static void close_wire(struct wire *wire)
{
    if (wire->fd >= 0) {
        (void)close(wire->fd);
    }
    wire->fd = -1;
}

static tally_status connect_wire(struct hand *hand, struct wire *wire, struct tally_error *err)
{
    const struct sockaddr_in address = { .sin_family = AF_INET,
                                         .sin_port = htons(hand->requests->port),
                                         .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    /* Edges of both kinds: each wire is always read, or written, until it would block. */
    struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = wire };
    const int on = 1;
    wire->fd = tl_net_socket(AF_INET, SOCK_STREAM, 0);
    if (wire->fd < 0 ||
        connect(wire->fd, (const struct sockaddr *)&address, sizeof(address)) != 0 ||
        setsockopt(wire->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0 ||
        epoll_ctl(hand->epoll, EPOLL_CTL_ADD, wire->fd, &event) != 0) {
        tally_status status = tl_fail_errno(err, TALLY_EIO, errno, "cannot connect to the server");
        close_wire(wire);
        return status;
    }
    return TALLY_OK;
}

/* False: the connection has ended. */
static bool send_rest(struct wire *wire)
{
    while (wire->unsent.len > 0) {
        ssize_t sent =
            send(wire->fd, wire->unsent.text, wire->unsent.len, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0) {
            return errno == EAGAIN || errno == EINTR;
        }
        wire->unsent.text += sent;
        wire->unsent.len -= (size_t)sent;
    }
    return true;
}

static bool ask(struct hand *hand, struct wire *wire)
{
    wire->unsent = hand->requests->texts[hand->next++ % hand->requests->text_count];
    wire->head_len = 0;
    wire->has_head = false;
    wire->began_ns = tl_clock_stopwatch_ns();
    return send_rest(wire);
}

/* Reads status and length from "HTTP/1.1 201 ..."; false if it is no such reply. */
static bool read_head(const struct hand *hand, struct wire *wire)
{
    static const char name[] = "\r\nContent-Length: ";
    const char *end = memmem(wire->head, wire->head_len, "\r\n\r\n", 4);
    if (end == NULL) {
        return wire->head_len < HEAD_SIZE;
    }
    size_t len = (size_t)(end - wire->head) + 2; /* with the end of its last line */
    uint64_t status = 0;
    uint64_t body = 0;
    const char *at = memmem(wire->head, len, name, sizeof(name) - 1);
    if (at == NULL || len < 12 || tl_parse_u64(wire->head + 9, 3, 999, &status) != TALLY_OK) {
        return false;
    }
    at += sizeof(name) - 1;
    const char *stop = memchr(at, '\r', (size_t)(wire->head + len - at));
    if (tl_parse_u64(at, (size_t)(stop - at), UINT32_MAX, &body) != TALLY_OK ||
        body < wire->head_len - len - 2) {
        return false;
    }
    wire->has_head = true;
    wire->is_good = status == hand->requests->status;
    wire->left = body - (wire->head_len - len - 2);
    return true;
}

/* Takes one block. False: the connection has ended, or sends nonsense; *more_out: there may be more. */
static bool receive(struct hand *hand, struct wire *wire, bool *more_out)
{
    char *to = wire->has_head ? hand->block : wire->head + wire->head_len;
    size_t room = wire->has_head ? BLOCK : HEAD_SIZE - wire->head_len;
    ssize_t len = recv(wire->fd, to, room, MSG_DONTWAIT);
    *more_out = len > 0;
    if (len <= 0) {
        return len < 0 && (errno == EAGAIN || errno == EINTR);
    }
    if (!wire->has_head) {
        wire->head_len += (size_t)len;
        return read_head(hand, wire);
    }
    bool is_fitting = (uint64_t)len <= wire->left;
    wire->left -= is_fitting ? (uint64_t)len : 0;
    return is_fitting;
}

static bool is_over(const struct hand *hand, int64_t now_ns)
{
    return now_ns - hand->start_ns >= (int64_t)hand->requests->seconds * 1000000000;
}

/* A reply is there: notes it, and asks again unless it is time to stop. */
static bool take_reply(struct hand *hand, struct wire *wire)
{
    int64_t now_ns = tl_clock_stopwatch_ns();
    if (wire->is_good) {
        tl_histogram_add(&hand->replies.took, (uint64_t)(now_ns - wire->began_ns));
    } else {
        hand->replies.failed++;
    }
    hand->end_ns = now_ns;
    if (is_over(hand, now_ns)) {
        hand->asking--;
        close_wire(wire);
        return true;
    }
    return ask(hand, wire);
}

static bool go_on(struct hand *hand, struct wire *wire)
{
    if (!send_rest(wire)) {
        return false;
    }
    for (bool more = true; more;) {
        if (!receive(hand, wire, &more)) {
            return false;
        }
        if (wire->has_head && wire->left == 0) {
            return take_reply(hand, wire); /* the next one comes with an edge of its own */
        }
    }
    return true;
}

/* A connection that ended is replaced by another one, which asks. */
static tally_status replace(struct hand *hand, struct wire *wire)
{
    hand->replies.failed++;
    close_wire(wire);
    if (is_over(hand, tl_clock_stopwatch_ns())) {
        hand->asking--;
        return TALLY_OK;
    }
    TL_TRY(connect_wire(hand, wire, &hand->error));
    return ask(hand, wire) ? TALLY_OK
                           : tl_fail(&hand->error, TALLY_EIO, "the server takes no requests");
}

static tally_status ask_all(struct hand *hand)
{
    struct epoll_event events[EVENTS];
    int64_t last_ns = hand->start_ns + (int64_t)hand->requests->seconds * 1000000000 + GRACE_NS;
    for (unsigned i = 0; i < hand->wire_count; i++) {
        hand->asking++;
        TL_TRY(ask(hand, &hand->wires[i]) ? TALLY_OK : replace(hand, &hand->wires[i]));
    }
    while (hand->asking > 0 && tl_clock_stopwatch_ns() < last_ns) {
        int count = epoll_wait(hand->epoll, events, EVENTS, LOOK_MS);
        for (int i = 0; i < count; i++) {
            struct wire *wire = events[i].data.ptr;
            TL_TRY(go_on(hand, wire) ? TALLY_OK : replace(hand, wire));
        }
    }
    hand->replies.failed += hand->asking;
    return TALLY_OK;
}

static void *run_hand(void *ctx)
{
    struct hand *hand = ctx;
    struct rusage used;
    hand->status = ask_all(hand);
    if (getrusage(RUSAGE_THREAD, &used) == 0) {
        hand->replies.cpu_us = (int64_t)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000 +
                               used.ru_utime.tv_usec + used.ru_stime.tv_usec;
    }
    return NULL;
}

static tally_status prepare(struct hand *hand, const struct tl_bench_requests *requests,
                            unsigned number, unsigned threads, struct tally_error *err)
{
    hand->requests = requests;
    hand->next = requests->text_count * number / threads;
    hand->error = (struct tally_error)TALLY_ERROR_INIT;
    hand->epoll = epoll_create1(EPOLL_CLOEXEC);
    unsigned count = requests->connections / threads + (number < requests->connections % threads);
    hand->wires = tl_alloc_array(count, sizeof(*hand->wires));
    if (hand->epoll < 0 || hand->wires == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate connections");
    }
    for (; hand->wire_count < count; hand->wire_count++) {
        TL_TRY(connect_wire(hand, &hand->wires[hand->wire_count], err));
    }
    return TALLY_OK;
}

static void release(struct hand *hand)
{
    for (unsigned i = 0; i < hand->wire_count; i++) {
        close_wire(&hand->wires[i]);
    }
    tl_free(hand->wires);
    if (hand->epoll >= 0) {
        (void)close(hand->epoll);
    }
}

static tally_status run_hands(struct hand *hands, unsigned threads, struct tally_error *err)
{
    int64_t start_ns = tl_clock_stopwatch_ns();
    tally_status status = TALLY_OK;
    unsigned started = 0;
    for (; started < threads && status == TALLY_OK; started += status == TALLY_OK ? 1 : 0) {
        hands[started].start_ns = start_ns;
        hands[started].end_ns = start_ns;
        status = tl_thread_start(&hands[started].thread, "bench-http", run_hand, &hands[started]);
    }
    for (unsigned i = 0; i < started; i++) {
        tl_thread_join(hands[i].thread);
    }
    return status == TALLY_OK ? status : tl_fail(err, status, "cannot start a thread");
}

static tally_status collect(const struct hand *hands, unsigned threads,
                            struct tl_bench_replies *replies, struct tally_error *err)
{
    int64_t end_ns = hands[0].end_ns;
    *replies = (struct tl_bench_replies){ .failed = 0 };
    for (unsigned i = 0; i < threads; i++) {
        if (hands[i].status != TALLY_OK) {
            return tl_fail(err, hands[i].status, "%s", hands[i].error.message);
        }
        tl_histogram_merge(&replies->took, &hands[i].replies.took);
        replies->failed += hands[i].replies.failed;
        replies->cpu_us += hands[i].replies.cpu_us;
        end_ns = hands[i].end_ns > end_ns ? hands[i].end_ns : end_ns;
    }
    replies->per_s = (double)replies->took.count * 1e9 / (double)(end_ns - hands[0].start_ns + 1);
    return TALLY_OK;
}

tally_status tl_bench_requests_run(const struct tl_bench_requests *requests,
                                   struct tl_bench_replies *replies_out, struct tally_error *err)
{
    tl_assert(requests->connections > 0 && requests->text_count > 0);
    unsigned threads = requests->connections < THREADS ? requests->connections : THREADS;
    struct hand *hands = tl_alloc_array(threads, sizeof(*hands));
    if (hands == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate threads");
    }
    tally_status status = TALLY_OK;
    for (unsigned i = 0; i < threads; i++) {
        hands[i].epoll = -1;
    }
    for (unsigned i = 0; i < threads && status == TALLY_OK; i++) {
        status = prepare(&hands[i], requests, i, threads, err);
    }
    if (status == TALLY_OK) {
        status = run_hands(hands, threads, err);
    }
    if (status == TALLY_OK) {
        status = collect(hands, threads, replies_out, err);
    }
    for (unsigned i = 0; i < threads; i++) {
        release(&hands[i]);
    }
    tl_free(hands);
    return status;
}
