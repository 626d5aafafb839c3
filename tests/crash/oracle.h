/*
 * tests/crash/oracle.h - the account of what was promised, outside the ledger and its process.
 *
 * A small mapped file in shared memory: it survives SIGKILL, and is not on the disk under test. A
 * check is always: acked <= stored <= started, without holes, each once, with the same bytes.
 */
#ifndef TESTS_ORACLE_H
#define TESTS_ORACLE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define ORACLE_WRITERS   2u
#define ORACLE_BATCH_MAX 200u
#define ORACLE_TEXT_SIZE 1024u
#define ORACLE_SPEED     1000 /* the clock of these tests: an epoch of a minute lasts 60 ms */

struct oracle {
    struct {
        atomic_uint_least64_t started; /* events 1..started were handed in */
        atomic_uint_least64_t acked;   /* of these, so many were acknowledged */
    } writers[ORACLE_WRITERS];
};

/* Maps the file at `path`, made if it is not there; ends the process if that fails. */
struct oracle *oracle_map(const char *path);

/* The canonical text of event `n` (from 1) of a writer: the same arguments give the same bytes. */
size_t oracle_text(char out[ORACLE_TEXT_SIZE], unsigned writer, uint64_t n);

/* splitmix64; the state is the seed. */
uint64_t oracle_random(uint64_t *state);

/* Puts a clock that runs ORACLE_SPEED times as fast in the place of the system's. */
void oracle_use_fast_clock(void);

#endif /* TESTS_ORACLE_H */
