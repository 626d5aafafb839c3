/* tests/support/purging.h - ledgers whose contents fall due, and purges of them. */
#ifndef TESTS_PURGING_H
#define TESTS_PURGING_H

#include "support/site.h"

#define DAY (24 * FAKE_HOUR)

/* One day by default, three if critical, for ever if low or high. */
#define PURGING_RULES 4u
extern const struct tally_setting purging_rules[PURGING_RULES];
extern const struct tally_actor purging_operator;
extern struct site purging_site;

/* A clock that stands still, and a ledger on disk. Fit struct CMUnitTest. */
int purging_set_up(void **state);
int purging_tear_down(void **state);

struct tally_ledger *purging_memory(void);

/* Appends `count` events of a severity, "<prefix>-0" and so on. At most 4,096. */
void purging_append(struct tally_ledger *ledger, const char *prefix, unsigned count,
                    const char *severity);

/* How many of "<prefix>-0" ... have contents. */
unsigned purging_count(struct tally_ledger *ledger, const char *prefix, unsigned count);

tally_status purging_try(struct tally_ledger *ledger, const struct tally_purge_options *options,
                         struct tally_purged *out, struct tally_error *err);
struct tally_purged purging_run_with(struct tally_ledger *ledger,
                                     const struct tally_purge_options *options);
struct tally_purged purging_run(struct tally_ledger *ledger);

/* Verifies, and counts the findings of a code. NULL: the ledger on disk, which is closed. */
unsigned purging_findings(struct tally_ledger *ledger, const char *code);

/* VERIFIED, and nothing about purges but that there were some. */
void purging_verify(struct tally_ledger *ledger);

/* Checks that the newest event of tally.purge has this in it. */
void purging_check_event(struct tally_ledger *ledger, const char *metadata, const char *outcome);

#endif /* TESTS_PURGING_H */
