/* tests/support/event_diff.h - simple events by the short way and the long, compared. */
#ifndef TESTS_EVENT_DIFF_H
#define TESTS_EVENT_DIFF_H

#include "base/base.h"

/*
 * Takes one event in both ways; asserts that what the short way accepts, the long way accepts too,
 * with the same text, notes and keys. Returns whether the short way did.
 */
bool event_diff(const char *json, size_t len);

#endif /* TESTS_EVENT_DIFF_H */
