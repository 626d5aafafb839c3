/*
 * tests/crash/oracle.h - the account of what was promised, outside the ledger and its process.
 *
 * A small mapped file in shared memory: it survives SIGKILL, and is not on the disk under test. A
 * check is always: what was acknowledged is there, what is there was handed in, each once, with the
 * same bytes.
 */
#ifndef TESTS_ORACLE_H
#define TESTS_ORACLE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define ORACLE_SLOTS     64u /* one for each thread that writes */
#define ORACLE_BATCH_MAX 200u
#define ORACLE_SPEED     1000 /* the clock of these tests: an epoch of a minute lasts 60 ms */

struct oracle {
    struct {
        atomic_uint_least64_t started;  /* events 1..started were handed in */
        atomic_uint_least64_t acked;    /* of these, so many were acknowledged */
        atomic_int_least64_t proved_us; /* began the call whose event was last RECORDED then */
    } slots[ORACLE_SLOTS];
};

/* Maps the file at `path`, made if it is not there; ends the process if that fails. */
struct oracle *oracle_map(const char *path);

/* The canonical text of event `n` (from 1) of a slot: the same arguments give the same bytes. Owned:
 * tl_free(). */
char *oracle_text(unsigned slot, uint64_t n, size_t *len_out);

/* splitmix64; the state is the seed. */
uint64_t oracle_random(uint64_t *state);

/* Microseconds of a clock that all processes share. */
int64_t oracle_now_us(void);

/* Puts a clock that runs ORACLE_SPEED times as fast in the place of the system's. */
void oracle_use_fast_clock(void);

#endif /* TESTS_ORACLE_H */
