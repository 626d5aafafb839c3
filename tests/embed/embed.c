/*
 * embed PLUGIN LIBRARY SCENARIO - runs a scenario of embed.h, and checks what it left.
 *
 * "embed exec-child DIR" is what scenarios start by exec. Exit status 0 if all is well.
 */
#include "embed/embed.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIFE_S   60u
#define PAUSE_US 300u

static struct {
    pthread_t thread;
    struct embed_app *app;
    unsigned slot;
} workers[EMBED_THREADS];

bool embed_open(struct embed_app *app, struct rig *rig)
{
    *app = (struct embed_app){ .rig = rig };
    return rig_open(rig, &app->ledger, &app->logger);
}

bool embed_close(struct embed_app *app)
{
    struct tally_left left = { .struct_size = sizeof(left) };
    tally_logger_close(app->logger, EMBED_CLOSE_MS, &left);
    tally_close(app->ledger);
    return (left.events == 0 && left.lost == 0) || rig_complain("close", "something is left");
}

bool embed_log(struct embed_app *app, char kind, unsigned slot, uint64_t first, uint64_t last)
{
    for (uint64_t n = first; n <= last; n++) {
        struct tally_error error = TALLY_ERROR_INIT;
        if (rig_log(app->rig->oracle, app->logger, kind, slot, n, &error) != TALLY_OK) {
            return rig_complain("log", error.message);
        }
    }
    return true;
}

static void *keep_logging(void *ctx)
{
    size_t i = (size_t)((char *)ctx - (char *)workers) / sizeof(workers[0]);
    struct embed_app *app = workers[i].app;
    static const char kinds[EMBED_THREADS + 1] = "qbsq";
    for (uint64_t n = 1; !atomic_load(&app->stop); n++) {
        if (!embed_log(app, kinds[i], workers[i].slot, n, n)) {
            atomic_fetch_add(&app->failed, 1);
            return NULL;
        }
        rig_sleep_us(n % 8 == 0 ? PAUSE_US : 0);
    }
    return NULL;
}

bool embed_start_threads(struct embed_app *app)
{
    for (unsigned i = 0; i < EMBED_THREADS; i++) {
        workers[i].app = app;
        workers[i].slot = i;
        if (pthread_create(&workers[i].thread, NULL, keep_logging, &workers[i]) != 0) {
            return rig_complain("pthread_create", "failed");
        }
    }
    while (rig_started(app->rig) < (uint64_t)EMBED_THREADS * 8) {
        rig_sleep_us(100);
    }
    return true;
}

bool embed_stop_threads(struct embed_app *app)
{
    atomic_store(&app->stop, true);
    for (unsigned i = 0; i < EMBED_THREADS; i++) {
        if (pthread_join(workers[i].thread, NULL) != 0) {
            return false;
        }
    }
    return atomic_load(&app->failed) == 0;
}

bool embed_wait(pid_t pid, int dies_of)
{
    int status = 0;
    if (pid < 0 || waitpid(pid, &status, 0) != pid) {
        return rig_complain("wait", "no process");
    }
    if (dies_of != 0 ? WIFSIGNALED(status) && WTERMSIG(status) == dies_of
                     : WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        return true;
    }
    (void)fprintf(stderr, "a process ended with %s %d\n", WIFSIGNALED(status) ? "signal" : "status",
                  WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    return false;
}

unsigned embed_count_descriptors(const struct rig *rig, int from, int to)
{
    unsigned count = 0;
    for (int fd = from; fd <= to; fd++) {
        char name[64];
        char target[RIG_PATH_SIZE];
        (void)snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
        ssize_t len = readlink(name, target, sizeof(target) - 1);
        target[len < 0 ? 0 : len] = '\0';
        count += strncmp(target, rig->dir, strlen(rig->dir)) == 0 ? 1 : 0;
    }
    return count;
}

static const struct embed_scenario *find(const struct embed_scenario *scenarios, const char *name)
{
    for (; scenarios->name != NULL; scenarios++) {
        if (strcmp(scenarios->name, name) == 0) {
            return scenarios;
        }
    }
    return NULL;
}

/* What was started by exec: nothing of the ledger came along. */
static int be_exec_child(const char *dir)
{
    static struct rig rig;
    (void)snprintf(rig.dir, sizeof(rig.dir), "%s", dir);
    return embed_count_descriptors(&rig, 0, 255) == 0 ? 0 : 1;
}

static bool run_scenario(struct rig *rig, const struct embed_scenario *scenario,
                         const struct embed_paths *paths)
{
    struct rig_found found;
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        (void)alarm(LIFE_S);
        exit(scenario->run(rig, paths) ? 0 : 1);
    }
    return embed_wait(pid, scenario->dies_of) && rig_check(rig, &found) &&
           (!scenario->conserves || rig_conserves(rig, &found, 0));
}

int main(int argc, char **argv)
{
    static struct rig rig;
    if (argc == 3 && strcmp(argv[1], "exec-child") == 0) {
        return be_exec_child(argv[2]);
    }
    if (argc != 4) {
        return 64;
    }
    const struct embed_paths paths = { argv[0], argv[1], argv[2] };
    const struct embed_scenario *scenario = find(embed_process_scenarios, argv[3]);
    if (scenario == NULL) {
        scenario = find(embed_surroundings_scenarios, argv[3]);
    }
    if (scenario == NULL) {
        return 64;
    }
    rig.logs = true;
    rig.gaps_max = 256;
    if (!rig_set_up(&rig, scenario->name) || !rig_make(&rig)) {
        return 70;
    }
    bool good = run_scenario(&rig, scenario, &paths);
    (void)printf("{\"test\":\"embed\",\"scenario\":\"%s\",\"failures\":%d,\"events\":%llu}\n",
                 scenario->name, good ? 0 : 1, (unsigned long long)rig_started(&rig));
    rig_tear_down(&rig, good);
    return good ? 0 : 1;
}
