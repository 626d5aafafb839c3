/*
 * kill_sequencer WRITER KILLS SEED - kills whichever of eight writing processes records.
 *
 * Each process has a thread that logs and one that waits for each event to be RECORDED. The one that
 * holds the ledger's lock is killed at a random moment; until another has recorded an event that was
 * handed in after the kill is the time of the takeover. It is to be 1 s at most; because machines
 * that run tests are busy, one in a hundred may take up to 10 s. Then a new process takes the place of
 * the dead one. At the end of a ledger's life all are killed, and it is checked as in
 * kill_loop. One line of JSON says what was done.
 *
 * CRASH_KILLS and CRASH_SEED in the environment take precedence.
 */
#include <tally/tally.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/base.h"
#include "crash/rig.h"

#define PROCESSES   8u
#define THREADS     2u /* of each: "Qr" */
#define LIFE_US_MAX 60000u
#define FRESH_EVERY 10u /* kills: before their processes, which end by themselves, grow old */
#define TAKEOVER_US 1000000
#define GIVE_UP_US  10000000

struct crowd {
    const char *writer;
    struct rig rig;
    uint64_t random;
    pid_t pids[PROCESSES];
    /* figures */
    uint64_t kills;
    uint64_t events;
    uint64_t declared;
    uint64_t slow;        /* takeovers of more than a second */
    int64_t *takeover_us; /* [kills] */
};

static bool start_one(struct crowd *crowd, unsigned i)
{
    char seed[24];
    char slot[24];
    (void)snprintf(seed, sizeof(seed), "%llu", (unsigned long long)oracle_random(&crowd->random));
    (void)snprintf(slot, sizeof(slot), "%u", i * THREADS);
    const char *const arguments[] = {
        crowd->writer, crowd->rig.ledger, crowd->rig.oracle_path, seed, slot, "Qr", NULL
    };
    crowd->pids[i] = rig_start(arguments);
    return crowd->pids[i] > 0;
}

static bool kill_one(struct crowd *crowd, unsigned i)
{
    crowd->rig.gaps_max += THREADS;
    bool good = rig_kill(crowd->pids[i]);
    crowd->pids[i] = 0;
    return good;
}

/* Which process has the lock: there is one, or will be soon. */
static bool find_sequencer(const struct crowd *crowd, unsigned *index_out)
{
    struct tally_options options = TALLY_OPTIONS_INIT;
    options.uri = crowd->rig.ledger;
    int64_t start = oracle_now_us();
    while (oracle_now_us() - start < GIVE_UP_US) {
        struct tally_activity activity = { .struct_size = sizeof(activity) };
        if (tally_activity_read(&options, &activity, NULL) == TALLY_OK) {
            for (unsigned i = 0; i < PROCESSES; i++) {
                if (activity.sequencer_pid == crowd->pids[i]) {
                    *index_out = i;
                    return true;
                }
            }
        }
        rig_sleep_us(1000);
    }
    return rig_complain("sequencer", "none of the processes has the lock");
}

/* Until a process has recorded what it handed in after `since_us`; -1: none did. */
static int64_t wait_for_recording(const struct crowd *crowd, int64_t since_us)
{
    while (oracle_now_us() - since_us < GIVE_UP_US) {
        for (unsigned i = 0; i < PROCESSES; i++) {
            unsigned slot = i * THREADS + 1;
            if (atomic_load(&crowd->rig.oracle->slots[slot].proved_us) > since_us) {
                return oracle_now_us() - since_us;
            }
        }
        rig_sleep_us(200);
    }
    return -1;
}

static bool begin_life(struct crowd *crowd)
{
    crowd->rig.gaps_max = 0;
    if (!rig_make(&crowd->rig)) {
        return false;
    }
    for (unsigned i = 0; i < PROCESSES; i++) {
        if (!start_one(crowd, i)) {
            return false;
        }
    }
    return wait_for_recording(crowd, oracle_now_us()) >= 0 ||
           rig_complain("begin", "nothing is recorded");
}

static bool end_life(struct crowd *crowd)
{
    struct rig_found found;
    bool good = true;
    for (unsigned i = 0; i < PROCESSES; i++) {
        good = (crowd->pids[i] == 0 || kill_one(crowd, i)) && good;
    }
    good = good && rig_check(&crowd->rig, &found);
    crowd->events += good ? found.stored : 0;
    crowd->declared += good ? found.declared : 0;
    return good;
}

static bool kill_the_sequencer(struct crowd *crowd)
{
    unsigned i = 0;
    rig_sleep_us(oracle_random(&crowd->random) % LIFE_US_MAX);
    if (!find_sequencer(crowd, &i) || !kill_one(crowd, i)) {
        return false;
    }
    int64_t took = wait_for_recording(crowd, oracle_now_us());
    crowd->takeover_us[crowd->kills++] = took;
    crowd->slow += took > TAKEOVER_US * rig_patience() ? 1 : 0;
    if (took < 0 || crowd->slow > 1 + crowd->kills / 100) {
        (void)fprintf(stderr, "kill_sequencer: takeover took %lld us\n", (long long)took);
        return false;
    }
    return start_one(crowd, i);
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static bool run(struct crowd *crowd, uint64_t kills)
{
    bool good = true;
    while (good && crowd->kills < kills) {
        good = begin_life(crowd);
        for (unsigned i = 0; i < FRESH_EVERY && good && crowd->kills < kills; i++) {
            good = kill_the_sequencer(crowd);
        }
        good = end_life(crowd) && good;
    }
    return good;
}

/* Of the takeovers sorted by time: milliseconds of one. */
static double ms_of(const struct crowd *crowd, uint64_t index)
{
    return index < crowd->kills ? (double)crowd->takeover_us[index] / 1e3 : 0.0;
}

int main(int argc, char **argv)
{
    static struct crowd crowd;
    if (argc < 4) {
        return 64;
    }
    crowd.writer = argv[1];
    crowd.rig.logs = true;
    uint64_t kills = rig_number("CRASH_KILLS", argv[2]);
    uint64_t seed = rig_number("CRASH_SEED", argv[3]);
    crowd.random = seed;
    crowd.takeover_us = tl_alloc_array(kills + 1, sizeof(int64_t));
    if (crowd.takeover_us == NULL || !rig_set_up(&crowd.rig, "sequencer")) {
        return 70;
    }
    int64_t start = oracle_now_us();
    bool good = run(&crowd, kills);
    double seconds = (double)(oracle_now_us() - start) / 1e6;
    uint64_t count = crowd.kills;
    qsort(crowd.takeover_us, count, sizeof(int64_t), by_value);
    (void)printf(
        "{\"test\":\"kill_sequencer\",\"seed\":%llu,\"processes\":%u,\"kills\":%llu,"
        "\"failures\":%d,\"events\":%llu,\"declared\":%llu,\"takeover_ms_p50\":%.1f,"
        "\"takeover_ms_p99\":%.1f,\"takeover_ms_max\":%.1f,\"over_1s\":%llu,\"seconds\":%.1f}\n",
        (unsigned long long)seed, PROCESSES, (unsigned long long)count, good ? 0 : 1,
        (unsigned long long)crowd.events, (unsigned long long)crowd.declared,
        ms_of(&crowd, count / 2), ms_of(&crowd, count - count / 100 - 1), ms_of(&crowd, count - 1),
        (unsigned long long)crowd.slow, seconds);
    tl_free(crowd.takeover_us);
    rig_tear_down(&crowd.rig, good);
    return good && count > 0 ? 0 : 1;
}
