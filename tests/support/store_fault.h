/*
 * tests/support/store_fault.h - a store around another one whose nth call fails.
 *
 * Registered like any store of someone else's: "fault:memory:1000" opens "memory:1000" and passes
 * every call on, but the one that the plan names.
 */
#ifndef TESTS_STORE_FAULT_H
#define TESTS_STORE_FAULT_H

#include <tally/store.h>

#include "base/base.h"

/* For all stores opened through "fault:". A zeroed one fails nothing. */
struct store_fault_plan {
    uint64_t nth;        /* the call that fails, counted from 1 over all handles; 0: none */
    tally_status status; /* what it returns */
    bool after;          /* it is done all the same, as with a commit whose answer is lost */
    uint64_t calls;      /* made so far; calls that cannot fail are not counted */
};
extern struct store_fault_plan store_fault;

/* Registers the scheme "fault"; once for each test program. */
tally_status store_fault_register(void);

#endif /* TESTS_STORE_FAULT_H */
