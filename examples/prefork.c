/*
 * prefork.c - a server that forks its workers first, and one audit log that they all write.
 *
 * usage: prefork LEDGER SOCKET WORKERS
 *
 * The parent opens ledger and logger before it forks. Each worker goes on with the same two handles:
 * after fork() they are its own, with nothing shared and nothing to reopen. The parent records what
 * all of them put into the spool. If it is killed, workers go on logging as if nothing had happened,
 * and whoever opens the ledger next records that, most likely this server, started again.
 *
 * A request is a line "USER DOCUMENT" on the Unix socket, its answer "printed by PID". Killed workers
 * are replaced. SIGTERM ends a process, and the parent's ends all.
 */
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tally/tally.h>

#define WORKERS_MAX 64

static struct tally_ledger *ledger;
static struct tally_logger *logger;
static int signals; /* becomes readable when one comes: no code of ours runs in a handler */

/* Answers one request. It is in the spool before the client hears of it. */
static void serve(int client, struct tally_event *event)
{
    char line[256];
    ssize_t len = read(client, line, sizeof(line) - 1);
    line[len < 0 ? 0 : len] = '\0';
    line[strcspn(line, "\n")] = '\0';
    char *space = strchr(line, ' ');
    if (space == NULL) {
        return;
    }
    *space = '\0';
    tally_event_clear(event);
    tally_event_set(event, TALLY_ACTION, "document.print");
    tally_event_set(event, TALLY_ACTOR_TYPE, "user");
    tally_event_set(event, TALLY_ACTOR_ID, line);
    tally_event_set(event, TALLY_SOURCE_SERVICE, "prefork");
    tally_event_add_target(event, "document", space + 1, NULL);
    tally_event_add_int(event, TALLY_METADATA, "worker", getpid());
    if (tally_log(logger, event) != TALLY_OK) {
        (void)fprintf(stderr, "prefork: an event was not logged\n"); /* and printed all the same */
    }
    (void)dprintf(client, "printed by %d\n", (int)getpid());
}

/* Until SIGTERM. */
static void work(int listener)
{
    struct tally_event *event = NULL;
    if (tally_event_new(&event, NULL) != TALLY_OK) {
        return;
    }
    struct pollfd ready[] = { { .fd = listener, .events = POLLIN },
                              { .fd = signals, .events = POLLIN } };
    while (poll(ready, 2, -1) >= 0 && ready[1].revents == 0) {
        int client = accept(listener, NULL, NULL); /* fails if another worker was faster */
        if (client >= 0) {
            const struct timeval patience = { .tv_sec = 1 };
            (void)setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
            serve(client, event);
            (void)close(client);
        }
    }
    tally_event_free(event);
}

/* Ends a process of ours: at most two seconds for what it has logged. The rest is not lost. */
static void finish(const char *who)
{
    struct tally_left left = { .struct_size = sizeof(left) };
    tally_logger_close(logger, 2000, &left);
    tally_close(ledger);
    printf("%s %d left %llu, lost %llu\n", who, (int)getpid(), (unsigned long long)left.events,
           (unsigned long long)left.lost);
    (void)fflush(stdout);
}

static pid_t start_worker(int listener)
{
    pid_t pid = fork();
    if (pid == 0) {
        work(listener);
        finish("worker");
        _exit(0); /* what the parent has set up for its exit is not ours */
    }
    if (pid > 0) {
        printf("worker %d\n", (int)pid);
        (void)fflush(stdout);
    }
    return pid;
}

/* A dead worker is an event as well, and is replaced. */
static void replace_dead(pid_t *workers, int count, int listener)
{
    int status = 0;
    pid_t pid = 0;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        struct tally_event *event = NULL;
        if (tally_event_new(&event, NULL) == TALLY_OK) {
            tally_event_set(event, TALLY_ACTION, "worker.die");
            tally_event_set(event, TALLY_OUTCOME, "failure");
            tally_event_set(event, TALLY_SOURCE_SERVICE, "prefork");
            tally_event_add_format(event, TALLY_METADATA, "how", "signal %d, exit status %d",
                                   WIFSIGNALED(status) ? WTERMSIG(status) : 0,
                                   WIFEXITED(status) ? WEXITSTATUS(status) : 0);
            tally_event_add_int(event, TALLY_METADATA, "worker", pid);
            (void)tally_log(logger, event);
            tally_event_free(event);
        }
        for (int i = 0; i < count; i++) {
            workers[i] = workers[i] == pid ? start_worker(listener) : workers[i];
        }
    }
}

static void supervise(int listener, int count)
{
    pid_t workers[WORKERS_MAX];
    for (int i = 0; i < count; i++) {
        workers[i] = start_worker(listener);
    }
    struct signalfd_siginfo signal = { .ssi_signo = 0 };
    while (read(signals, &signal, sizeof(signal)) > 0 && signal.ssi_signo != SIGTERM) {
        replace_dead(workers, count, listener);
    }
    for (int i = 0; i < count; i++) {
        if (workers[i] > 0 && kill(workers[i], SIGTERM) == 0) {
            (void)waitpid(workers[i], NULL, 0);
        }
    }
}

static int listen_at(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    if (strlen(path) >= sizeof(address.sun_path)) {
        return -1;
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    bool works = bind(listener, (const struct sockaddr *)&address, sizeof(address)) == 0 &&
                 listen(listener, 64) == 0;
    return works ? listener : -1;
}

static int listen_to_signals(void)
{
    sigset_t ours;
    sigemptyset(&ours);
    sigaddset(&ours, SIGTERM);
    sigaddset(&ours, SIGCHLD);
    pthread_sigmask(SIG_BLOCK, &ours, NULL);
    return signalfd(-1, &ours, SFD_CLOEXEC);
}

int main(int argc, char *argv[])
{
    if (argc != 4) {
        (void)fprintf(stderr, "usage: prefork LEDGER SOCKET WORKERS\n");
        return 2;
    }
    struct tally_error err = TALLY_ERROR_INIT;
    struct tally_options options = TALLY_OPTIONS_INIT;
    options.uri = argv[1];
    options.writable = 1;
    options.unattended = 1;
    signals = listen_to_signals();
    int listener = listen_at(argv[2]);
    if (listener < 0 || signals < 0 || tally_open(&ledger, &options, &err) != TALLY_OK ||
        tally_logger_open(&logger, ledger, NULL, &err) != TALLY_OK) {
        (void)fprintf(stderr, "prefork: %s\n",
                      err.message[0] == '\0' ? "cannot listen" : err.message);
        tally_close(ledger);
        return 1;
    }
    unsigned long count = strtoul(argv[3], NULL, 10);
    supervise(listener, count < 1 || count > WORKERS_MAX ? 1 : (int)count);
    finish("parent");
    (void)close(listener);
    (void)unlink(argv[2]);
    return 0;
}
