/* tests/support/built.h - one event being built, and what its text must be. */
#ifndef TESTS_BUILT_H
#define TESTS_BUILT_H

#include <tally/event.h>

#include "base/base.h"

extern struct tally_event *built;

/* Make and free it. Fit struct CMUnitTest. */
int built_set_up(void **state);
int built_tear_down(void **state);

/* Checks that the event has canonical text, which is borrowed. */
const char *built_text(size_t *len_out);
void built_check(const char *want);

/* Checks that there is no text, for this reason. */
void built_check_failed(tally_status want, const char *code, const char *pointer);
#define built_check_refused(code, pointer) built_check_failed(TALLY_EREFUSED, code, pointer)

/* Takes the event in as a ledger would; the caller frees the canonical text. */
char *built_canonical(void);

#endif /* TESTS_BUILT_H */
