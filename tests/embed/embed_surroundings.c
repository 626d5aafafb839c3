/* What programs do to themselves: signals, closed descriptors, small stacks, few descriptors. */
#include "embed/embed.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#define STORM_US 100
#define STORMS   2000u
#define FILES    64u
#define STACK    ((size_t)64 << 10)

/* Sanitizers make frames larger, and have frames of their own. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#    define STACK_FACTOR 8u
#elif defined(__has_feature)
#    if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#        define STACK_FACTOR 8u
#    endif
#endif
#ifndef STACK_FACTOR
#    define STACK_FACTOR 1u
#endif

static _Thread_local bool is_ours;
static atomic_uint on_ours;
static atomic_uint on_others;

static void count_signal(int number)
{
    (void)number;
    atomic_fetch_add(is_ours ? &on_ours : &on_others, 1);
}

static bool handle(int number, int flags)
{
    struct sigaction action = { .sa_handler = count_signal, .sa_flags = flags };
    return sigemptyset(&action.sa_mask) == 0 && sigaction(number, &action, NULL) == 0;
}

static void *log_in_a_storm(void *ctx)
{
    struct embed_app *app = ctx;
    is_ours = true;
    for (uint64_t n = 1; !atomic_load(&app->stop); n++) {
        if (!embed_log(app, "qsr"[n % 3], 0, n, n)) {
            atomic_fetch_add(&app->failed, 1);
            break;
        }
    }
    return NULL;
}

/*
 * Signals of a timer go to any thread that does not block them, and others straight at the thread
 * that logs; half of them have SA_RESTART. No thread of the library may run the program's handlers.
 */
static bool signals_storm(struct rig *rig, const struct embed_paths *paths)
{
    struct embed_app app;
    pthread_t thread;
    const struct itimerval often = { { 0, STORM_US }, { 0, STORM_US } };
    const struct itimerval never = { { 0, 0 }, { 0, 0 } };
    (void)paths;
    is_ours = true;
    if (!handle(SIGPROF, 0) || !handle(SIGUSR1, 0) || !handle(SIGUSR2, SA_RESTART) ||
        !embed_open(&app, rig) || pthread_create(&thread, NULL, log_in_a_storm, &app) != 0) {
        return false;
    }
    while (rig_started(rig) == 0) {
        rig_sleep_us(100); /* until the thread has said that it is ours */
    }
    if (setitimer(ITIMER_PROF, &often, NULL) != 0) {
        return false;
    }
    for (unsigned i = 0; i < STORMS; i++) {
        (void)pthread_kill(thread, i % 2 == 0 ? SIGUSR1 : SIGUSR2);
        (void)kill(getpid(), i % 2 == 0 ? SIGUSR2 : SIGUSR1);
        rig_sleep_us(STORM_US);
    }
    atomic_store(&app.stop, true);
    bool good = pthread_join(thread, NULL) == 0 && atomic_load(&app.failed) == 0;
    good = setitimer(ITIMER_PROF, &never, NULL) == 0 && good;
    good = embed_close(&app) && good;
    if (atomic_load(&on_ours) < STORMS / 2) {
        return rig_complain("signals", "hardly any arrived");
    }
    return good &&
           (atomic_load(&on_others) == 0 || rig_complain("signals", "on a thread of the library"));
}

/* Dispositions of all signals, and the mask of this thread. */
struct dispositions {
    struct sigaction actions[NSIG];
    sigset_t mask;
};

static void read_dispositions(struct dispositions *out)
{
    memset(out, 0, sizeof(*out));
    for (int i = 1; i < NSIG; i++) {
        (void)sigaction(i, NULL, &out->actions[i]); /* some numbers are nobody's */
    }
    (void)pthread_sigmask(SIG_BLOCK, NULL, &out->mask);
}

static bool are_same(const struct dispositions *a, const struct dispositions *b)
{
    for (int i = 1; i < NSIG; i++) {
        if (a->actions[i].sa_handler != b->actions[i].sa_handler ||
            a->actions[i].sa_flags != b->actions[i].sa_flags ||
            sigismember(&a->mask, i) != sigismember(&b->mask, i)) {
            return rig_complain("signals", strsignal(i));
        }
    }
    return true;
}

static bool signals_stay_as_they_are(struct rig *rig, const struct embed_paths *paths)
{
    static struct dispositions before;
    static struct dispositions meanwhile;
    static struct dispositions after;
    struct embed_app app;
    (void)paths;
    read_dispositions(&before);
    if (!embed_open(&app, rig) || !embed_log(&app, 'q', 0, 1, 50) ||
        !embed_log(&app, 'r', 0, 51, 52)) {
        return false;
    }
    read_dispositions(&meanwhile);
    bool good = embed_close(&app);
    read_dispositions(&after);
    return good && are_same(&before, &meanwhile) && are_same(&before, &after);
}

/* A program that writes to a pipe that nobody reads still dies of it, with the library or without. */
static bool a_broken_pipe_kills(struct rig *rig, const struct embed_paths *paths)
{
    struct embed_app app;
    int ends[2];
    (void)paths;
    if (!embed_open(&app, rig) || !embed_log(&app, 'q', 0, 1, 50) || pipe(ends) != 0 ||
        close(ends[0]) != 0) {
        return false;
    }
    (void)!write(ends[1], "x", 1);
    return rig_complain("pipe", "SIGPIPE did not come");
}

/* What a program prints when its standard descriptors are closed must not land in a ledger. */
static bool stdio_is_closed(struct rig *rig, const struct embed_paths *paths)
{
    struct embed_app app;
    int errors = dup(STDERR_FILENO);
    (void)paths;
    for (int fd = 0; fd <= 2; fd++) {
        (void)close(fd);
    }
    bool good = embed_open(&app, rig) && embed_start_threads(&app);
    unsigned ours = 0;
    for (uint64_t n = 1; n <= 200 && good; n++) {
        good = embed_log(&app, n % 50 == 0 ? 'r' : 'q', 8, n, n);
        ours += embed_count_descriptors(rig, 0, 2);
        (void)!write(STDOUT_FILENO, "garbage\n", 8);
        (void)!write(STDERR_FILENO, "garbage\n", 8);
    }
    good = good && embed_stop_threads(&app) && embed_close(&app);
    (void)dup2(errors, STDERR_FILENO);
    return good &&
           (ours == 0 || rig_complain("stdio", "a file of the ledger is descriptor 0 to 2"));
}

static void *log_on_a_small_stack(void *ctx)
{
    struct embed_app *app = ctx;
    if (!embed_log(app, 'q', 0, 1, 300) || !embed_log(app, 's', 0, 301, 310) ||
        !embed_log(app, 'r', 0, 311, 320)) {
        atomic_fetch_add(&app->failed, 1);
    }
    return NULL;
}

static bool stacks_are_small(struct rig *rig, const struct embed_paths *paths)
{
    struct embed_app app;
    pthread_attr_t attributes;
    pthread_t thread;
    (void)paths;
    if (!embed_open(&app, rig) || pthread_attr_init(&attributes) != 0 ||
        pthread_attr_setstacksize(&attributes, STACK * STACK_FACTOR) != 0 ||
        pthread_create(&thread, &attributes, log_on_a_small_stack, &app) != 0) {
        return false;
    }
    bool good = pthread_join(thread, NULL) == 0 && atomic_load(&app.failed) == 0;
    (void)pthread_attr_destroy(&attributes);
    return embed_close(&app) && good;
}

/* As many as there are. Returns how many. */
static unsigned take_descriptors(int *taken)
{
    unsigned count = 0;
    while (count < FILES && (taken[count] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0) {
        count++;
    }
    return count;
}

/* Few descriptors, and then none at all: events may be lost, but each of them is declared. */
static bool descriptors_run_out(struct rig *rig, const struct embed_paths *paths)
{
    struct embed_app app;
    int taken[FILES];
    const struct rlimit few = { FILES, FILES };
    (void)paths;
    if (setrlimit(RLIMIT_NOFILE, &few) != 0 || !embed_open(&app, rig) ||
        !embed_log(&app, 'q', 0, 1, 500) || !embed_log(&app, 'r', 0, 501, 502)) {
        return false;
    }
    unsigned count = take_descriptors(taken);
    uint64_t lost = 0;
    for (uint64_t n = 1; n <= 500; n++) {
        struct tally_error error = TALLY_ERROR_INIT;
        tally_status status = rig_log(rig->oracle, app.logger, 'u', 1, n, &error);
        lost += status == TALLY_OK ? 0 : 1;
    }
    while (count > 0) {
        (void)close(taken[--count]);
    }
    bool good = embed_log(&app, 'q', 0, 503, 600) && embed_log(&app, 'r', 0, 601, 602);
    struct tally_log_counters counters = { .struct_size = sizeof(counters) };
    tally_logger_count(app.logger, &counters);
    good = (counters.lost == lost || rig_complain("counters", "wrong number of losses")) && good;
    return embed_close(&app) && good;
}

const struct embed_scenario embed_surroundings_scenarios[] = {
    { "signals", signals_storm, 0, true },
    { "dispositions", signals_stay_as_they_are, 0, true },
    { "pipe", a_broken_pipe_kills, SIGPIPE, false },
    { "stdio", stdio_is_closed, 0, true },
    { "stacks", stacks_are_small, 0, true },
    { "descriptors", descriptors_run_out, 0, true },
    { NULL, NULL, 0, false },
};
