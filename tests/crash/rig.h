/*
 * tests/crash/rig.h - a ledger that is going to be crashed, and what must be true of it afterwards.
 *
 * Not cmocka: these programs report one line of JSON, and how to repeat a failure.
 */
#ifndef TESTS_RIG_H
#define TESTS_RIG_H

#include <tally/tally.h>

#include <stdbool.h>
#include <sys/types.h>

#include "crash/oracle.h"

#define RIG_PATH_SIZE 512u

struct rig {
    char dir[RIG_PATH_SIZE]; /* holds the two below */
    char ledger[RIG_PATH_SIZE + 16];
    char mac_key[RIG_PATH_SIZE + 16];
    char oracle_path[RIG_PATH_SIZE];
    struct oracle *oracle;
    bool logs;        /* else its writers append, and the events of a slot lie in their order */
    bool may_be_torn; /* the machine failed, not just the process: segments may be damaged */
    const char *segment_bytes; /* of the spool; NULL: the least there is */
    uint64_t gaps_max;         /* so many events may be declared as lost, at most */
};

/* What a check found. */
struct rig_found {
    uint64_t stored;
    uint64_t unacked;   /* of these, nobody had been told */
    uint64_t displaced; /* came after one that was handed in later by the same thread */
    uint64_t declared;  /* in GAP records */
    uint64_t quarantined;
    uint64_t epoch;
    int64_t restart_ms; /* how long it took to open */
    int64_t drain_ms;   /* and then, until the spool was empty */
};

/* Says on stderr what is wrong. Returns false. */
bool rig_complain(const char *what, const char *why);

/* Names the files of a rig in `dir`, which exists, and maps the oracle. */
void rig_use(struct rig *rig, const char *dir, const char *oracle_path);

/* Makes a directory of its own, in shared memory or, if it is set, in CRASH_DIR. */
bool rig_set_up(struct rig *rig, const char *name);
/* Removes it, but keeps the ledger of a run that failed. */
void rig_tear_down(const struct rig *rig, bool good);

/* A new ledger in the place of the old one, and nothing promised. Epochs are short. */
bool rig_make(struct rig *rig);

/* Opens it for writing, unattended, with a logger. The logger may be NULL for none. */
bool rig_open(const struct rig *rig, struct tally_ledger **ledger_out,
              struct tally_logger **logger_out);

/*
 * Logs event `n` of a slot, and notes in the oracle what is promised. `kind` is a letter:
 *   q  acknowledged when QUEUED    b  the same, as best effort    u  the same as b, but promises nothing
 *   s  acknowledged when SYNCED    r  strict: acknowledged when RECORDED
 */
tally_status rig_log(struct oracle *oracle, struct tally_logger *logger, char kind, unsigned slot,
                     uint64_t n, struct tally_error *err);

/* How many events were handed in. */
uint64_t rig_started(const struct rig *rig);

/*
 * The ledger as the crash left it, opened unattended, and closed again: VERIFIED each time, its spool
 * empties by itself, all that was acknowledged is there, once, byte for byte.
 */
bool rig_check(const struct rig *rig, struct rig_found *found_out);

/*
 * Whether each event that was handed in is accounted for, in a ledger whose processes ended well: it
 * is recorded, or was refused, or is declared as lost. None is left in the spool after a check.
 */
bool rig_conserves(const struct rig *rig, const struct rig_found *found, uint64_t refused);

/* Starts a program, whose arguments end with NULL. Returns its pid. */
pid_t rig_start(const char *const *arguments);
/* Kills it, and waits until it is gone. False if it had ended by itself. */
bool rig_kill(pid_t pid);

void rig_sleep_us(uint64_t us);

/* A number from the environment, or else from `text`. */
uint64_t rig_number(const char *variable, const char *text);

/* How many times as slow as usual this build may be: bounds of time are as many times as long. */
int64_t rig_patience(void);

#endif /* TESTS_RIG_H */
