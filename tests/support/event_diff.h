/* tests/support/event_diff.h - simple events by the short way and the long, compared. */
#ifndef TESTS_EVENT_DIFF_H
#define TESTS_EVENT_DIFF_H

#include "base/base.h"

struct tl_log_policy;

/*
 * Takes one event in both ways; asserts that what the short way accepts, the long way accepts too,
 * with the same text, notes and keys, and that what the policy disables by one, it does by the
 * other. Returns whether the short way had an answer.
 */
bool event_diff(const char *json, size_t len, const struct tl_log_policy *policy);

#endif /* TESTS_EVENT_DIFF_H */
