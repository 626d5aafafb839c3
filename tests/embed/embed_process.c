/* Processes that come and go: fork, exec, exit, and a library that is unloaded. */
#include "embed/embed.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#define FORKS       4u
#define TAKEOVER_US 1000000

/* The child of a fork uses the handles of its parent, first of all in strict calls. */
static bool be_child(struct embed_app *app, unsigned i)
{
    unsigned slot = 8 + i;
    if (!embed_log(app, 'q', slot, 1, 100) || !embed_log(app, 'r', slot, 101, 105) ||
        !embed_log(app, 's', slot, 106, 110)) {
        return false;
    }
    if (i % 2 == 0) {
        return embed_close(app);
    }
    return embed_log(app, 'q', slot, 111, 120); /* and leaves without a word */
}

static bool fork_and_both_log(struct rig *rig, const struct embed_paths *paths)
{
    struct embed_app app;
    pid_t pids[FORKS];
    (void)paths;
    if (!embed_open(&app, rig) || !embed_start_threads(&app)) {
        return false;
    }
    bool good = true;
    for (unsigned i = 0; i < FORKS; i++) {
        rig_sleep_us(5000);
        pids[i] = fork();
        if (pids[i] == 0) {
            _exit(be_child(&app, i) ? 0 : 1);
        }
    }
    for (unsigned i = 0; i < FORKS; i++) {
        good = embed_wait(pids[i], 0) && good;
    }
    good = embed_stop_threads(&app) && embed_log(&app, 'r', 7, 1, 3) && good;
    return embed_close(&app) && good;
}

/* The child of the child logs as well, although its parent never did. */
static bool fork_twice(struct rig *rig, const struct embed_paths *paths)
{
    struct embed_app app;
    (void)paths;
    if (!embed_open(&app, rig) || !embed_log(&app, 'q', 0, 1, 50)) {
        return false;
    }
    pid_t pid = fork();
    if (pid == 0) {
        pid_t grandchild = fork();
        if (grandchild == 0) {
            _exit(embed_log(&app, 'q', 1, 1, 50) && embed_log(&app, 'r', 1, 51, 51) &&
                          embed_close(&app)
                      ? 0
                      : 1);
        }
        _exit(embed_wait(grandchild, 0) && embed_close(&app) ? 0 : 1);
    }
    bool good = embed_wait(pid, 0) && embed_log(&app, 'q', 0, 51, 100);
    return embed_close(&app) && good;
}

/* Takes over from a process that was killed, and says how soon. */
static bool take_over(struct rig *rig, unsigned slot)
{
    struct embed_app app;
    if (!embed_open(&app, rig)) {
        return false;
    }
    int64_t start = oracle_now_us();
    bool good = embed_log(&app, 'r', slot, 1, 1);
    int64_t took = oracle_now_us() - start;
    good = embed_log(&app, 'q', slot, 2, 50) && embed_close(&app) && good;
    return good && (took < TAKEOVER_US * rig_patience() || rig_complain("takeover", "too late"));
}

/* A child that never uses the library keeps nothing of its parent: not its lock, not its segments. */
static bool orphan_keeps_no_lock(struct rig *rig, const struct embed_paths *paths)
{
    struct embed_app app;
    int ready[2];
    (void)paths;
    if (pipe(ready) != 0) {
        return false;
    }
    pid_t parent = fork();
    if (parent == 0) {
        if (!embed_open(&app, rig) || !embed_start_threads(&app)) {
            _exit(1);
        }
        pid_t orphan = fork();
        if (orphan == 0) {
            (void)pause();
            _exit(1);
        }
        (void)!write(ready[1], &orphan, sizeof(orphan));
        (void)pause();
        _exit(1);
    }
    pid_t orphan = 0;
    if (read(ready[0], &orphan, sizeof(orphan)) != (ssize_t)sizeof(orphan) || !rig_kill(parent)) {
        return false;
    }
    bool good = take_over(rig, 8);
    return kill(orphan, SIGKILL) == 0 && good;
}

/*
 * Outlives its parent, and logs on with the handles of its parent. It cannot take its parent's place
 * as the one who records: its events wait in the spool for somebody who can.
 */
static void be_orphan(struct embed_app *app, pid_t parent, int done)
{
    bool good = embed_log(app, 'q', 1, 1, 1);
    while (getppid() == parent) {
        rig_sleep_us(100);
    }
    good = good && embed_log(app, 'q', 1, 2, 100) && embed_log(app, 's', 1, 101, 105);
    struct tally_left left = { .struct_size = sizeof(left) };
    tally_logger_close(app->logger, 100, &left);
    tally_close(app->ledger);
    good = good && left.events > 0 && left.unsynced == 0 && left.lost == 0;
    (void)!write(done, &good, sizeof(good));
    _exit(0);
}

static bool orphan_logs_on(struct rig *rig, const struct embed_paths *paths)
{
    struct embed_app app;
    int done[2];
    (void)paths;
    if (pipe(done) != 0) {
        return false;
    }
    pid_t parent = fork();
    if (parent == 0) {
        pid_t self = getpid();
        if (!embed_open(&app, rig) || !embed_log(&app, 'q', 0, 1, 200)) {
            _exit(1);
        }
        if (fork() == 0) {
            be_orphan(&app, self, done[1]);
        }
        while (atomic_load(&rig->oracle->slots[1].acked) == 0) {
            rig_sleep_us(100);
        }
        (void)kill(self, SIGKILL);
    }
    bool good = false;
    return embed_wait(parent, SIGKILL) && close(done[1]) == 0 &&
           read(done[0], &good, sizeof(good)) == (ssize_t)sizeof(good) &&
           (good || rig_complain("orphan", "could not go on"));
}

static bool exec_takes_nothing_along(struct rig *rig, const struct embed_paths *paths)
{
    struct embed_app app;
    if (!embed_open(&app, rig) || !embed_start_threads(&app)) {
        return false;
    }
    const char *const arguments[] = { paths->self, "exec-child", rig->dir, NULL };
    bool good = embed_wait(rig_start(arguments), 0);
    good = embed_stop_threads(&app) && good;
    return embed_close(&app) && good;
}

/* The process becomes another program while its threads log. */
static bool exec_ends_it(struct rig *rig, const struct embed_paths *paths)
{
    struct embed_app app;
    if (embed_open(&app, rig) && embed_start_threads(&app)) {
        (void)execl(paths->self, paths->self, "exec-child", rig->dir, (char *)NULL);
    }
    return rig_complain("exec", "failed");
}

static bool exit_while_threads_log(struct rig *rig, const struct embed_paths *paths)
{
    struct embed_app app;
    (void)paths;
    if (!embed_open(&app, rig) || !embed_start_threads(&app)) {
        return false;
    }
    rig_sleep_us(20000);
    exit(0);
}

static bool unload_while_its_threads_run(struct rig *rig, const struct embed_paths *paths)
{
    const char *const arguments[] = { paths->plugin, paths->library, rig->ledger, rig->oracle_path,
                                      NULL };
    return embed_wait(rig_start(arguments), 0);
}

const struct embed_scenario embed_process_scenarios[] = {
    { "fork", fork_and_both_log, 0, true },
    { "fork_twice", fork_twice, 0, true },
    { "orphan_lock", orphan_keeps_no_lock, 0, false },
    { "orphan", orphan_logs_on, 0, false },
    { "exec", exec_takes_nothing_along, 0, true },
    { "exec_self", exec_ends_it, 0, false },
    { "exit", exit_while_threads_log, 0, false },
    { "dlclose", unload_while_its_threads_run, 0, true },
    { NULL, NULL, 0, false },
};
