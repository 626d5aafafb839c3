/*
 * tests/support/json_diff.h - compares our reader and writer of JSON with jansson.
 *
 * What we accept, jansson accepts, with the same value; so what jansson refuses, we refuse. The
 * canonical text has the same value as well.
 */
#ifndef TESTS_JSON_DIFF_H
#define TESTS_JSON_DIFF_H

#include <stdbool.h>
#include <stddef.h>

/* Returns whether we accept the text; asserts that the two agree. */
bool json_diff(const char *text, size_t len);

#endif /* TESTS_JSON_DIFF_H */
