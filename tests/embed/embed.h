/*
 * tests/embed/embed.h - programs that do what programs do, with the library in them.
 *
 * Each scenario runs in a process of its own, on a ledger of its own. It logs through rig_log(), so
 * that the ledger is checked afterwards as after a crash: what was acknowledged is there, once.
 */
#ifndef TESTS_EMBED_H
#define TESTS_EMBED_H

#include "crash/rig.h"

#define EMBED_THREADS  4u
#define EMBED_CLOSE_MS 10000u

/* Where this program and the shared library lie. */
struct embed_paths {
    const char *self;
    const char *plugin;
    const char *library;
};

struct embed_scenario {
    const char *name;
    /* Returns whether all went as it should; may end the process by itself instead. */
    bool (*run)(struct rig *rig, const struct embed_paths *paths);
    int dies_of;    /* the signal that ends it; 0: it ends well */
    bool conserves; /* no process is killed: all that was handed in is accounted for */
};

extern const struct embed_scenario embed_process_scenarios[]; /* the last has no name */
extern const struct embed_scenario embed_surroundings_scenarios[];

/* A process with the library in use. */
struct embed_app {
    struct rig *rig;
    struct tally_ledger *ledger;
    struct tally_logger *logger;
    atomic_bool stop;
    atomic_uint failed;
};

bool embed_open(struct embed_app *app, struct rig *rig);

/* Flushes and closes both; whether nothing was left and nothing failed. */
bool embed_close(struct embed_app *app);

/* Logs events first..last of a slot. */
bool embed_log(struct embed_app *app, char kind, unsigned slot, uint64_t first, uint64_t last);

/* EMBED_THREADS threads log, in slots 0, 1, ..., until embed_stop_threads(). */
bool embed_start_threads(struct embed_app *app);
bool embed_stop_threads(struct embed_app *app);

/* Whether a process ended well, or of that signal. Waits for it. */
bool embed_wait(pid_t pid, int dies_of);

/* How many descriptors of this process, from `from` to `to`, lie in the rig's directory. */
unsigned embed_count_descriptors(const struct rig *rig, int from, int to);

#endif /* TESTS_EMBED_H */
