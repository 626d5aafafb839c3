/*
 * kill_loop WRITER ROUNDS SEED [ack-first] - kills a writer with SIGKILL at random moments.
 *
 * After each kill (in a quarter of the rounds after a second one, within 3 ms of the restart) the
 * ledger is opened unattended, and must hold what was acknowledged, once, byte for byte, nothing
 * that was never handed in, and be VERIFIED. One line of JSON says what was done. With "ack-first"
 * the writer is wrong, and the run passes if that is found.
 *
 * CRASH_ROUNDS and CRASH_SEED in the environment take precedence; CRASH_DIR is where the ledger lies.
 */
#include <tally/tally.h>

#include <ftw.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/parse.h"
#include "crash/oracle.h"

#define PATH_SIZE    512u
#define LIFE_US_MAX  25000u
#define AGAIN_US_MAX 3000u
#define FRESH_EVERY  10u /* rounds: keeps each check short */
#define RESTART_MS   2000
#define START_MS     5000

static const struct tally_setting short_epochs[] = { { "epoch.seconds", "60", "test" } };

struct loop {
    const char *writer;
    bool ack_first;
    char dir[PATH_SIZE];
    char ledger[PATH_SIZE + 16];
    char mac_key[PATH_SIZE + 16];
    char oracle_path[PATH_SIZE];
    struct oracle *oracle;
    uint64_t random;
    /* figures */
    uint64_t rounds;
    uint64_t doubles;
    uint64_t events;  /* checked at the end of each ledger's life */
    uint64_t stored;  /* in the ledger at hand */
    uint64_t unacked; /* found although nobody had been told */
    uint64_t early;
    uint64_t epochs;
    int64_t restart_ms_max;
};

static int64_t now_ms(void)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

static bool complain(const char *what, const char *why)
{
    (void)fprintf(stderr, "kill_loop: %s: %s\n", what, why);
    return false;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

/* A new ledger, and nothing promised. */
static bool make_fresh(struct loop *loop)
{
    struct tally_options options = TALLY_OPTIONS_INIT;
    struct tally_init_result made;
    struct tally_error error = TALLY_ERROR_INIT;
    (void)nftw(loop->ledger, remove_entry, 8, FTW_DEPTH | FTW_PHYS); /* need not be there */
    memset(loop->oracle, 0, sizeof(*loop->oracle));
    loop->events += loop->stored;
    loop->stored = 0;
    options.uri = loop->ledger;
    options.settings = short_epochs;
    options.setting_count = 1;
    if (tally_init(&options, "test.example/crash", &made, &error) != TALLY_OK) {
        return complain("init", error.message);
    }
    (void)unlink(loop->mac_key);
    FILE *file = fopen(loop->mac_key, "w");
    return file != NULL && chmod(loop->mac_key, 0600) == 0 && fputs(made.mac_key, file) >= 0 &&
           fclose(file) == 0;
}

static void sleep_us(uint64_t us)
{
    const struct timespec time = { (time_t)(us / 1000000), (long)(us % 1000000) * 1000 };
    (void)nanosleep(&time, NULL);
}

static uint64_t count_started(const struct loop *loop)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < ORACLE_WRITERS; i++) {
        count += atomic_load(&loop->oracle->writers[i].started);
    }
    return count;
}

static bool has_ended(pid_t pid)
{
    siginfo_t info = { 0 };
    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == pid;
}

/* Until events are on their way. A writer that cannot start ends, and is found out by that. */
static void wait_for_work(const struct loop *loop, uint64_t before, pid_t pid)
{
    int64_t start = now_ms();
    while (count_started(loop) == before && now_ms() - start < START_MS && !has_ended(pid)) {
        sleep_us(100);
    }
}

/* Starts a writer and kills it, so long after it started or, `at_work`, after it began to append.
 * Returns false if that was not possible. */
static bool live_and_die(struct loop *loop, uint64_t us, bool at_work)
{
    uint64_t before = count_started(loop);
    char seed[24];
    (void)snprintf(seed, sizeof(seed), "%llu", (unsigned long long)oracle_random(&loop->random));
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        (void)execl(loop->writer, loop->writer, loop->ledger, loop->oracle_path, seed,
                    loop->ack_first ? "ack-first" : (char *)NULL, (char *)NULL);
        _exit(127);
    }
    int status = 0;
    if (at_work && pid > 0) {
        wait_for_work(loop, before, pid);
    }
    sleep_us(us);
    if (pid < 0 || kill(pid, SIGKILL) != 0 || waitpid(pid, &status, 0) != pid) {
        return complain("kill", "no process");
    }
    loop->early += WIFEXITED(status) ? 1 : 0;
    return !WIFEXITED(status) || complain("writer", "ended by itself");
}

/* What the records at hand were made from. */
struct tally_of {
    uint64_t stored[ORACLE_WRITERS];
};

static bool check_item(struct tally_of *seen, const struct tally_item *item)
{
    char text[ORACLE_TEXT_SIZE];
    uint64_t writer = 0;
    const char *slash = strchr(item->id, '/');
    if (item->id[0] != 'w' || slash == NULL ||
        tl_parse_u64(item->id + 1, (size_t)(slash - item->id) - 1, ORACLE_WRITERS - 1, &writer) !=
            TALLY_OK) {
        return complain("a record that nobody handed in", item->id);
    }
    size_t len = oracle_text(text, (unsigned)writer, ++seen->stored[writer]);
    if (item->event == NULL || len != item->event_len || memcmp(item->event, text, len) != 0) {
        return complain("missing, doubled, out of order or changed", item->id);
    }
    return true;
}

/* All events, in order. */
static bool read_all(struct tally_ledger *ledger, struct tally_of *seen)
{
    struct tally_query query = TALLY_QUERY_INIT;
    char cursor[128] = "";
    query.ascending = 1;
    query.limit = 1000;
    bool more = true;
    bool good = true;
    while (more && good) {
        struct tally_page *page = NULL;
        struct tally_error error = TALLY_ERROR_INIT;
        if (tally_find(ledger, &query, &page, &error) != TALLY_OK) {
            return complain("find", error.message);
        }
        for (size_t i = 0; i < page->count && good; i++) {
            good = check_item(seen, &page->items[i]);
        }
        more = page->next != NULL;
        if (more) {
            (void)snprintf(cursor, sizeof(cursor), "%s", page->next);
            query.cursor = cursor;
        }
        tally_page_free(page);
    }
    return good;
}

static bool check_promises(struct loop *loop, const struct tally_of *seen)
{
    loop->stored = 0;
    for (unsigned i = 0; i < ORACLE_WRITERS; i++) {
        uint64_t started = atomic_load(&loop->oracle->writers[i].started);
        uint64_t acked = atomic_load(&loop->oracle->writers[i].acked);
        uint64_t stored = seen->stored[i];
        loop->stored += stored;
        loop->unacked += stored > acked ? stored - acked : 0;
        if (acked > stored || stored > started) {
            (void)fprintf(stderr, "kill_loop: writer %u: acked %llu, stored %llu, started %llu\n",
                          i, (unsigned long long)acked, (unsigned long long)stored,
                          (unsigned long long)started);
            return false;
        }
    }
    return true;
}

static bool check_verdict(const struct loop *loop)
{
    struct tally_verify_options options = TALLY_VERIFY_OPTIONS_INIT;
    struct tally_report *report = NULL;
    struct tally_error error = TALLY_ERROR_INIT;
    options.mac_key_path = loop->mac_key;
    if (tally_verify_at(loop->ledger, &options, &report, &error) != TALLY_OK) {
        return complain("verify", error.message);
    }
    bool good = report->verdict == TALLY_VERDICT_VERIFIED && report->skipped == 0;
    for (size_t i = 0; i < report->finding_count && !good; i++) {
        (void)complain(report->findings[i].code, report->findings[i].what);
    }
    tally_report_free(report);
    return good;
}

/* As the kill left it, and again once it was opened. */
static bool check(struct loop *loop)
{
    struct tally_options options = TALLY_OPTIONS_INIT;
    struct tally_ledger *ledger = NULL;
    struct tally_error error = TALLY_ERROR_INIT;
    struct tally_of seen = { { 0 } };
    if (!check_verdict(loop)) {
        return complain("as the kill left it", "not VERIFIED");
    }
    options.uri = loop->ledger;
    options.writable = 1;
    int64_t start = now_ms();
    if (tally_open(&ledger, &options, &error) != TALLY_OK) {
        return complain("open", error.message);
    }
    int64_t took = now_ms() - start;
    loop->restart_ms_max = took > loop->restart_ms_max ? took : loop->restart_ms_max;
    bool good = read_all(ledger, &seen) && check_promises(loop, &seen);
    struct tally_info info;
    good = good && tally_info(ledger, &info, NULL) == TALLY_OK;
    loop->epochs = good && info.epoch > loop->epochs ? info.epoch : loop->epochs;
    tally_close(ledger);
    if (took > RESTART_MS) {
        return complain("open", "took longer than 2 s");
    }
    return good && check_verdict(loop);
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
    return check(loop);
}

static uint64_t number(const char *variable, const char *text)
{
    const char *given = getenv(variable);
    uint64_t value = 0;
    text = given != NULL ? given : text;
    return tl_parse_u64(text, strlen(text), UINT64_MAX, &value) == TALLY_OK ? value : 0;
}

static bool set_up(struct loop *loop)
{
    /* What a killed process wrote is there whatever the disk: memory is as good, and faster. */
    const char *base = getenv("CRASH_DIR");
    (void)snprintf(loop->dir, sizeof(loop->dir), "%s/tally-kill.XXXXXX",
                   base != NULL ? base : "/dev/shm");
    if (mkdtemp(loop->dir) == NULL) {
        return complain("mkdtemp", loop->dir);
    }
    (void)snprintf(loop->ledger, sizeof(loop->ledger), "%s/ledger", loop->dir);
    (void)snprintf(loop->mac_key, sizeof(loop->mac_key), "%s/mac.key", loop->dir);
    (void)snprintf(loop->oracle_path, sizeof(loop->oracle_path), "/dev/shm/tally-oracle.%ld",
                   (long)getpid());
    loop->oracle = oracle_map(loop->oracle_path);
    oracle_use_fast_clock();
    return true;
}

int main(int argc, char **argv)
{
    static struct loop loop;
    if (argc < 4) {
        return 64;
    }
    loop.writer = argv[1];
    loop.ack_first = argc > 4;
    uint64_t rounds = number(loop.ack_first ? "" : "CRASH_ROUNDS", argv[2]);
    uint64_t seed = number("CRASH_SEED", argv[3]);
    loop.random = seed;
    if (!set_up(&loop)) {
        return 70;
    }
    int64_t start = now_ms();
    bool good = true;
    while (good && loop.rounds < rounds) {
        good = run_round(&loop);
    }
    (void)printf("{\"test\":\"kill_loop\",\"ack_first\":%s,\"seed\":%llu,\"rounds\":%llu,"
                 "\"double_kills\":%llu,\"failures\":%d,\"events\":%llu,\"unacked_kept\":%llu,"
                 "\"epochs_max\":%llu,\"restart_ms_max\":%lld,\"seconds\":%.1f}\n",
                 loop.ack_first ? "true" : "false", (unsigned long long)seed,
                 (unsigned long long)loop.rounds, (unsigned long long)loop.doubles, good ? 0 : 1,
                 (unsigned long long)loop.events + loop.stored, (unsigned long long)loop.unacked,
                 (unsigned long long)loop.epochs, (long long)loop.restart_ms_max,
                 (double)(now_ms() - start) / 1000);
    (void)unlink(loop.oracle_path);
    if (good || loop.ack_first) {
        (void)nftw(loop.dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    } else {
        (void)fprintf(stderr, "kill_loop: the ledger is left in %s\n", loop.dir);
    }
    return good != loop.ack_first && loop.rounds > 0 ? 0 : 1;
}
