/*
 * tests/support/logs.h - logging into a site, and what became of it; by the public interface alone.
 *
 * With the real clock: what waits needs one that moves. Every wait ends, if only by failing.
 */
#ifndef TESTS_LOGS_H
#define TESTS_LOGS_H

#include "check.h"
#include "support/site.h"

#define LOGS_SOON_MS 20000 /* what should happen at once takes so long at most, on a busy machine */

/* Checks that the condition comes true, which is looked at every millisecond. */
#define check_soon(condition)                                                       \
    do {                                                                            \
        int64_t until_ = logs_now_ms() + LOGS_SOON_MS;                              \
        while (!(condition)) {                                                      \
            if (logs_now_ms() > until_) {                                           \
                fail_msg("%s:%d: not in time: %s", __FILE__, __LINE__, #condition); \
            }                                                                       \
            logs_pause();                                                           \
        }                                                                           \
    } while (0)

int64_t logs_now_ms(void);
void logs_pause(void);

/* Options to open the site for writing, as a program that logs does. */
struct tally_options logs_options(const struct site *site);
struct tally_ledger *logs_open(const struct site *site);
struct tally_logger *logs_logger(struct tally_ledger *ledger,
                                 const struct tally_logger_options *options);

/* Logs the event {"id":<id>,"action":<action>,"metadata":{"n":<n>}}; `options` may be NULL. */
tally_status logs_put(struct tally_logger *logger, const char *id, const char *action, unsigned n,
                      const struct tally_log_options *options, struct tally_receipt *receipt_out);
/* The same with action "test.event" and no more. */
tally_status logs_one(struct tally_logger *logger, const char *id, unsigned n);

struct tally_log_counters logs_counts(struct tally_logger *logger);

/* Checks that every event that was handed in is accounted for, and returns the counters. */
struct tally_log_counters logs_check_balance(struct tally_logger *logger);

/* Checks that everything is recorded, within LOGS_SOON_MS, and that nothing is left. */
void logs_flush(struct tally_logger *logger);

/* The GAP records of a ledger whose reason is `reason` (NULL: any). */
struct logs_gaps {
    uint64_t records;
    uint64_t events;        /* sum of their counts */
    bool exact;             /* all of them */
    int64_t from_us, to_us; /* of the newest */
};
struct logs_gaps logs_gaps_of(struct tally_ledger *ledger, const char *reason);

/* How many events of an action there are; `text_out` gets the newest, canonical. */
uint64_t logs_count_action(struct tally_ledger *ledger, const char *action, char *text_out,
                           size_t size);

/* Files in the spool of which the name ends so. */
unsigned logs_spool_files(const struct site *site, const char *suffix);

/* Takes the store away, so that it can be opened no more, and brings it back. */
void logs_hide_store(const struct site *site);
void logs_show_store(const struct site *site);

#endif /* TESTS_LOGS_H */
