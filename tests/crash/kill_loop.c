/*
 * kill_loop WRITER KINDS ROUNDS SEED [ack-first] - kills a writer with SIGKILL at random moments.
 *
 * KINDS are those of kill_writer. After each kill another writer starts on what is left, in a quarter
 * of the rounds to be killed within 3 ms. Then, after each round of a writer that appends, and after
 * three in ten of one that logs, the ledger is opened unattended, and must hold what was acknowledged
 * in all rounds so far, once, byte for byte, nothing that was never handed in, and be VERIFIED. One
 * line of JSON says what was done. With "ack-first" the writer is wrong, and the run passes if that
 * is found.
 *
 * CRASH_ROUNDS and CRASH_SEED in the environment take precedence; CRASH_DIR is where the ledger lies.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "crash/rig.h"

#define LIFE_US_MAX  25000u
#define AGAIN_US_MAX 3000u
#define FRESH_EVERY  10u /* rounds: keeps each check short */
#define CHECK_ONE_IN 5u  /* and always the last of a ledger */
#define START_US     5000000

struct loop {
    const char *writer;
    const char *kinds;
    bool ack_first;
    uint64_t rounds_wanted;
    struct rig rig;
    uint64_t random;
    /* figures */
    uint64_t rounds;
    uint64_t checks;
    uint64_t doubles;
    uint64_t events; /* checked at the end of each ledger's life */
    struct rig_found found;
    struct rig_found max;
    uint64_t unacked;
    uint64_t displaced;
    uint64_t declared;
};

static bool has_ended(pid_t pid)
{
    siginfo_t info = { 0 };
    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == pid;
}

/* Until events are on their way. A writer that cannot start ends, and is found out by that. */
static void wait_for_work(const struct loop *loop, uint64_t before, pid_t pid)
{
    int64_t start = oracle_now_us();
    while (rig_started(&loop->rig) == before && oracle_now_us() - start < START_US &&
           !has_ended(pid)) {
        rig_sleep_us(100);
    }
}

/* Starts a writer and kills it, so long after it started or, `at_work`, after it began to write.
 * Returns false if that was not possible. */
static bool live_and_die(struct loop *loop, uint64_t us, bool at_work)
{
    uint64_t before = rig_started(&loop->rig);
    char seed[24];
    (void)snprintf(seed, sizeof(seed), "%llu", (unsigned long long)oracle_random(&loop->random));
    const char *const arguments[] = { loop->writer,
                                      loop->rig.ledger,
                                      loop->rig.oracle_path,
                                      seed,
                                      "0",
                                      loop->kinds,
                                      loop->ack_first ? "ack-first" : NULL,
                                      NULL };
    pid_t pid = rig_start(arguments);
    if (at_work && pid > 0) {
        wait_for_work(loop, before, pid);
    }
    rig_sleep_us(us);
    loop->rig.gaps_max += strlen(loop->kinds); /* each thread may have been inside one write */
    return rig_kill(pid);
}

static bool make_fresh(struct loop *loop)
{
    loop->events += loop->found.stored;
    loop->declared += loop->found.declared;
    loop->displaced += loop->found.displaced;
    loop->found = (struct rig_found){ 0 };
    loop->rig.gaps_max = 0;
    return rig_make(&loop->rig);
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static bool check(struct loop *loop)
{
    bool good = rig_check(&loop->rig, &loop->found);
    loop->unacked += loop->found.unacked;
    loop->max.epoch = loop->found.epoch > loop->max.epoch ? loop->found.epoch : loop->max.epoch;
    loop->max.restart_ms = larger(loop->max.restart_ms, loop->found.restart_ms);
    loop->max.drain_ms = larger(loop->max.drain_ms, loop->found.drain_ms);
    return good;
}

static bool run_round(struct loop *loop)
{
    if (loop->rounds % FRESH_EVERY == 0 && !make_fresh(loop)) {
        return false;
    }
    loop->rounds++;
    bool at_work = oracle_random(&loop->random) % 4 != 0;
    if (!live_and_die(loop, oracle_random(&loop->random) % LIFE_US_MAX, at_work)) {
        return false;
    }
    if (oracle_random(&loop->random) % 4 == 0) {
        loop->doubles++;
        if (!live_and_die(loop, oracle_random(&loop->random) % AGAIN_US_MAX, false)) {
            return false;
        }
    }
    if (loop->rig.logs && loop->rounds % FRESH_EVERY != 0 && loop->rounds != loop->rounds_wanted &&
        oracle_random(&loop->random) % CHECK_ONE_IN != 0) {
        return true;
    }
    loop->checks++;
    return check(loop);
}

int main(int argc, char **argv)
{
    static struct loop loop;
    if (argc < 5) {
        return 64;
    }
    loop.writer = argv[1];
    loop.kinds = argv[2];
    loop.ack_first = argc > 5;
    loop.rig.logs = loop.kinds[0] != 'a';
    loop.rounds_wanted = rig_number(loop.ack_first ? "" : "CRASH_ROUNDS", argv[3]);
    uint64_t seed = rig_number("CRASH_SEED", argv[4]);
    loop.random = seed;
    if (!rig_set_up(&loop.rig, "kill")) {
        return 70;
    }
    if (!loop.rig.logs) {
        oracle_use_fast_clock();
    }
    int64_t start = oracle_now_us();
    bool good = true;
    while (good && loop.rounds < loop.rounds_wanted) {
        good = run_round(&loop);
    }
    double seconds = (double)(oracle_now_us() - start) / 1e6;
    loop.events += loop.found.stored;
    (void)printf(
        "{\"test\":\"kill_loop\",\"kinds\":\"%s\",\"ack_first\":%s,\"seed\":%llu,"
        "\"rounds\":%llu,\"checks\":%llu,\"double_kills\":%llu,\"failures\":%d,\"events\":%llu,"
        "\"unacked_kept\":%llu,\"displaced\":%llu,\"declared\":%llu,\"epochs_max\":%llu,"
        "\"restart_ms_max\":%lld,\"drain_ms_max\":%lld,\"seconds\":%.1f}\n",
        loop.kinds, loop.ack_first ? "true" : "false", (unsigned long long)seed,
        (unsigned long long)loop.rounds, (unsigned long long)loop.checks,
        (unsigned long long)loop.doubles, good ? 0 : 1, (unsigned long long)loop.events,
        (unsigned long long)loop.unacked, (unsigned long long)loop.displaced + loop.found.displaced,
        (unsigned long long)loop.declared + loop.found.declared, (unsigned long long)loop.max.epoch,
        (long long)loop.max.restart_ms, (long long)loop.max.drain_ms, seconds);
    rig_tear_down(&loop.rig, good || loop.ack_first);
    return good != loop.ack_first && loop.rounds > 0 ? 0 : 1;
}
