#include "cli/bench_load.h"

#include <poll.h>
#include <string.h>

#include "base/clock.h"
#include "base/thread.h"

#define EVENTS     256u /* of one thread, used again and again with other ids */
#define ID_DIGITS  12u  /* at the end of an id: run, thread, number */
#define HEAD_START (INT64_C(20) * 1000000)
#define GRACE      (INT64_C(500) * 1000000)

/* One thread. */
struct hand {
    const struct tl_bench_load *load;
    struct tl_bench_event *events; /* EVENTS */
    size_t id_at[EVENTS];          /* where the last digits of the id stand */
    unsigned number;
    uint64_t count;
    int64_t start_ns; /* the same for all threads */
    int64_t end_ns;
    uint64_t failed;
    uint64_t over_bound;
    struct tl_histogram calls;
    pthread_t thread;
};

/* Gives an event an id that no other event has. */
static void rename_event(const struct hand *hand, size_t at, uint64_t number)
{
    uint64_t id = (uint64_t)hand->load->run << 40 | (uint64_t)hand->number << 32 | number;
    char *digits = hand->events[at].json + hand->id_at[at];
    for (unsigned i = ID_DIGITS; i > 0; i--, id >>= 4) {
        digits[i - 1] = "0123456789abcdef"[id & 15];
    }
}

static void hand_in(struct hand *hand, uint64_t number)
{
    size_t at = number % EVENTS;
    rename_event(hand, at, number);
    int64_t before_ns = tl_clock_stopwatch_ns();
    tally_status status = hand->load->write(hand->load->ctx, &hand->events[at]);
    uint64_t took_ns = (uint64_t)(tl_clock_stopwatch_ns() - before_ns);
    tl_histogram_add(&hand->calls, took_ns);
    hand->failed += status == TALLY_OK ? 0 : 1;
    hand->over_bound += hand->load->bound_ns > 0 && took_ns > hand->load->bound_ns ? 1 : 0;
}

/* How many events are due by now. */
static uint64_t due_of(const struct hand *hand)
{
    if (hand->load->pace == 0) {
        return hand->count;
    }
    double seconds = (double)(tl_clock_stopwatch_ns() - hand->start_ns) / 1e9;
    double due = seconds * (double)hand->load->pace / (double)hand->load->threads;
    return due < (double)hand->count ? (uint64_t)due : hand->count;
}

/* Whether a paced run has taken longer than it may. */
static bool is_over(const struct hand *hand)
{
    int64_t took_ns = tl_clock_stopwatch_ns() - hand->start_ns;
    return hand->load->pace > 0 && took_ns > (int64_t)hand->load->seconds * 1000000000 + GRACE;
}

static void *run_hand(void *ctx)
{
    struct hand *hand = ctx;
    while (tl_clock_stopwatch_ns() < hand->start_ns) {
        (void)poll(NULL, 0, 1); /* nothing to wait for but the time */
    }
    for (uint64_t done = 0; done < hand->count && !is_over(hand);) {
        uint64_t due = due_of(hand);
        for (; done < due && !is_over(hand); done++) {
            hand_in(hand, done);
        }
        if (done < hand->count) {
            (void)poll(NULL, 0, 1); /* as above */
        }
    }
    hand->end_ns = tl_clock_stopwatch_ns();
    return NULL;
}

static tally_status prepare(struct hand *hand, struct tally_error *err)
{
    hand->events = tl_alloc_array(EVENTS, sizeof(hand->events[0]));
    if (hand->events == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate events");
    }
    uint64_t first = (hand->load->seed * TL_BENCH_THREADS_MAX + hand->number) * EVENTS;
    for (size_t i = 0; i < EVENTS; i++) {
        struct tl_bench_event *event = &hand->events[i];
        tl_bench_event_make(event, first + i, false);
        const char *id = strstr(event->json, event->id);
        tl_assert(id != NULL); /* an event has its id in its text */
        hand->id_at[i] = (size_t)(id - event->json) + strlen(event->id) - ID_DIGITS;
    }
    return TALLY_OK;
}

static void collect(const struct hand *hands, const struct tl_bench_load *load,
                    struct tl_bench_loaded *result)
{
    int64_t end_ns = hands[0].end_ns;
    *result = (struct tl_bench_loaded){ .failed = 0 };
    for (unsigned i = 0; i < load->threads; i++) {
        tl_histogram_merge(&result->calls, &hands[i].calls);
        result->failed += hands[i].failed;
        result->over_bound += hands[i].over_bound;
        end_ns = hands[i].end_ns > end_ns ? hands[i].end_ns : end_ns;
    }
    for (size_t i = 0; i < EVENTS; i++) {
        result->event_bytes += hands[0].events[i].len;
    }
    result->event_bytes /= EVENTS;
    result->per_s = (double)result->calls.count * 1e9 / (double)(end_ns - hands[0].start_ns + 1);
}

static tally_status run_hands(struct hand *hands, const struct tl_bench_load *load,
                              struct tally_error *err)
{
    for (unsigned i = 0; i < load->threads; i++) {
        hands[i].load = load;
        hands[i].number = i;
        hands[i].count = load->events / load->threads + (i < load->events % load->threads ? 1 : 0);
        TL_TRY(prepare(&hands[i], err));
    }
    int64_t start_ns = tl_clock_stopwatch_ns() + HEAD_START;
    tally_status status = TALLY_OK;
    unsigned started = 0;
    for (; started < load->threads && status == TALLY_OK; started += status == TALLY_OK ? 1 : 0) {
        hands[started].start_ns = start_ns;
        status = tl_thread_start(&hands[started].thread, "bench-log", run_hand, &hands[started]);
    }
    for (unsigned i = 0; i < started; i++) {
        tl_thread_join(hands[i].thread);
    }
    return status == TALLY_OK ? status : tl_fail(err, status, "cannot start a thread");
}

tally_status tl_bench_load_run(const struct tl_bench_load *load, struct tl_bench_loaded *result_out,
                               struct tally_error *err)
{
    tl_assert(load->threads > 0 && load->threads <= TL_BENCH_THREADS_MAX);
    struct hand *hands = tl_alloc_array(load->threads, sizeof(hands[0]));
    if (hands == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate threads");
    }
    tally_status status = run_hands(hands, load, err);
    if (status == TALLY_OK) {
        collect(hands, load, result_out);
    }
    for (unsigned i = 0; i < load->threads; i++) {
        tl_free(hands[i].events);
    }
    tl_free(hands);
    return status;
}
