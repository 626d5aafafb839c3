/*
 * log_threads PROCESSES THREADS EVENTS [step] - many threads of many processes log at once.
 *
 * Each thread logs EVENTS events, in ways that differ from thread to thread, while others read how
 * the logger does. At the end each event is in the ledger once, and in the order in which its thread
 * logged them, which holds within a segment of the spool: those here take all that a process logs.
 * None is declared as lost. With "step" the wall clock of each process steps an hour
 * back and forth meanwhile. One line of JSON says what was done. Meant for ThreadSanitizer.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "crash/rig.h"

#define HOUR_US  INT64_C(3600000000)
#define STEP_US  3000u
#define CLOSE_MS 30000u
#define LIFE_S   240u

#define SEGMENT_BYTES  "32MiB"
#define SEGMENT_EVENTS (((uint64_t)32 << 20) / 1024) /* so many fit */

static const char kinds[] = "qqbqsqqr";

struct worker {
    pthread_t thread;
    struct rig *rig;
    struct tally_logger *logger;
    unsigned slot;
    uint64_t events;
    bool good;
};

static atomic_int_least64_t offset_us;
static atomic_bool stop;

static int64_t stepping_wall_us(void)
{
    return tl_clock_system.wall_us() + atomic_load(&offset_us);
}

static void use_stepping_clock(void)
{
    static struct tl_clock_ops stepping;
    stepping = tl_clock_system;
    stepping.wall_us = stepping_wall_us;
    tl_clock = &stepping;
}

/* The one thread of each process that does not log. */
static void *look_and_step(void *ctx)
{
    const struct worker *worker = ctx;
    bool steps = tl_clock != &tl_clock_system;
    uint64_t random = worker->slot;
    while (!atomic_load(&stop)) {
        struct tally_log_counters counters = { .struct_size = sizeof(counters) };
        tally_logger_count(worker->logger, &counters);
        if (steps) {
            atomic_store(&offset_us, ((int64_t)(oracle_random(&random) % 3) - 1) * HOUR_US);
        }
        rig_sleep_us(STEP_US);
    }
    return NULL;
}

static void *log_all(void *ctx)
{
    struct worker *worker = ctx;
    char kind = kinds[worker->slot % (sizeof(kinds) - 1)];
    /* Each wait for the disk or the ledger takes a thousand times as long as the others' work. */
    uint64_t events = kind == 's' || kind == 'r' ? 1 + worker->events / 20 : worker->events;
    worker->good = true;
    for (uint64_t n = 1; n <= events && worker->good; n++) {
        struct tally_error error = TALLY_ERROR_INIT;
        worker->good = rig_log(worker->rig->oracle, worker->logger, kind, worker->slot, n,
                               &error) == TALLY_OK ||
                       rig_complain("log", error.message);
    }
    return NULL;
}

static bool check_counters(struct tally_logger *logger)
{
    struct tally_log_counters c = { .struct_size = sizeof(c) };
    tally_logger_count(logger, &c);
    return (c.logged == c.accepted + c.disabled + c.refused + c.lost && c.lost == 0) ||
           rig_complain("counters", "do not add up");
}

static bool live(struct rig *rig, unsigned process, unsigned threads, uint64_t events)
{
    static struct worker workers[ORACLE_SLOTS];
    struct tally_ledger *ledger = NULL;
    struct tally_logger *logger = NULL;
    bool good = rig_open(rig, &ledger, &logger);
    for (unsigned i = 0; i < threads && good; i++) {
        workers[i] = (struct worker){
            .rig = rig, .logger = logger, .slot = process * threads + i, .events = events
        };
        good = pthread_create(&workers[i].thread, NULL, log_all, &workers[i]) == 0;
    }
    pthread_t looker;
    good = good && pthread_create(&looker, NULL, look_and_step, &workers[0]) == 0;
    for (unsigned i = 0; i < threads && good; i++) {
        good = pthread_join(workers[i].thread, NULL) == 0 && workers[i].good;
    }
    atomic_store(&stop, true);
    good = good && pthread_join(looker, NULL) == 0 && check_counters(logger);
    struct tally_left left = { .struct_size = sizeof(left) };
    if (good) {
        tally_logger_close(logger, CLOSE_MS, &left);
        tally_close(ledger);
    }
    return good && ((left.events == 0 && left.lost == 0) || rig_complain("close", "events left"));
}

static bool start_all(struct rig *rig, unsigned processes, unsigned threads, uint64_t events)
{
    for (unsigned i = 0; i < processes; i++) {
        (void)fflush(NULL);
        pid_t pid = fork();
        if (pid == 0) {
            (void)alarm(LIFE_S);
            exit(live(rig, i, threads, events) ? 0 : 1);
        }
        if (pid < 0) {
            return false;
        }
    }
    bool good = true;
    for (unsigned i = 0; i < processes; i++) {
        int status = 0;
        good = wait(&status) > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0 && good;
    }
    return good || rig_complain("log_threads", "a process failed");
}

int main(int argc, char **argv)
{
    static struct rig rig;
    struct rig_found found = { 0 };
    if (argc < 4) {
        return 64;
    }
    unsigned processes = (unsigned)rig_number("", argv[1]);
    unsigned threads = (unsigned)rig_number("", argv[2]);
    uint64_t events = rig_number("LOG_EVENTS", argv[3]);
    bool steps = argc > 4;
    rig.logs = true;
    rig.segment_bytes = SEGMENT_BYTES;
    if (processes * threads > ORACLE_SLOTS || threads * events > SEGMENT_EVENTS ||
        !rig_set_up(&rig, "threads") || !rig_make(&rig)) {
        return 70;
    }
    if (steps) {
        use_stepping_clock();
    }
    int64_t start = oracle_now_us();
    bool good = start_all(&rig, processes, threads, events);
    double seconds = (double)(oracle_now_us() - start) / 1e6;
    tl_clock = &tl_clock_system;
    good = good && rig_check(&rig, &found) && rig_conserves(&rig, &found, 0) &&
           (found.displaced == 0 || rig_complain("events", "displaced"));
    (void)printf("{\"test\":\"log_threads\",\"processes\":%u,\"threads\":%u,\"steps\":%s,"
                 "\"failures\":%d,\"events\":%llu,\"displaced\":%llu,\"seconds\":%.1f}\n",
                 processes, threads, steps ? "true" : "false", good ? 0 : 1,
                 (unsigned long long)found.stored, (unsigned long long)found.displaced, seconds);
    rig_tear_down(&rig, good);
    return good ? 0 : 1;
}
