/*
 * tests/support/spool.h - writes records into a spool that a reader can tell apart, and reads
 * whatever lies in its directory with system calls of its own.
 */
#ifndef TESTS_SPOOL_H
#define TESTS_SPOOL_H

#include "base/clock.h"
#include "spool/spool.h"

#define SEGMENT_MIN   (((uint32_t)1 << 20) + 8192u) /* what 64 KiB are raised to */
#define TEXT_MAX_LEN  ((size_t)1 << 18)
#define WRITERS       4u
#define RECORDS_MAX   8192u
#define FAR           (tl_clock->steady_us() + 20000000)
#define MILLIS(ms)    (tl_clock->steady_us() + (int64_t)(ms)*1000)
#define NO_WAIT       0
#define PREFIX_FORMAT "t%02u.%06u.%06zu." /* writer, number, length */
#define PREFIX_LEN    18u

/* What a reader found. */
struct seen {
    uint8_t times[WRITERS + 4][RECORDS_MAX];
    uint32_t records, voids, segments, holes;
    uint32_t damaged; /* places with bytes that are no record */
};
extern struct seen seen; /* so far, in this test */

/* A setup for struct CMUnitTest: a temporary directory, and nothing seen. */
int seen_set_up(void **state);

/* Segments as small as can be in the test's directory. */
struct tl_spool_options spool_options_in(void **state);
struct tl_spool *spool_open_ok(const struct tl_spool_options *options);
struct tl_spool_counts spool_counts_of(struct tl_spool *spool);

uint8_t *spool_room(void);          /* for the largest record; freed with tl_free() */
size_t spool_length_of(unsigned n); /* that a record may have: mostly short, sometimes long */

/* Writes record `number` of `writer`, with a text that tells both and `len`. */
tally_status spool_put(struct tl_spool *spool, uint8_t *room, unsigned writer, unsigned number,
                       size_t len, enum tl_spool_level level, int64_t until_us,
                       struct tl_spool_place *place, struct tally_error *err);
void spool_put_ok(struct tl_spool *spool, uint8_t *room, unsigned writer, unsigned number,
                  size_t len);

/* Reads segments that nobody has locked, or all of them, and removes them if asked to. Every byte
 * of a record is checked. Returns how many files were passed over. */
unsigned seen_directory(const char *dir, bool removes, bool reads_locked);

/* Checks that the records 0 to `count` - 1 of a writer were seen, once if not `allows_doubles`, and
 * no others. */
void check_all_seen(unsigned writer, unsigned count, bool allows_doubles);

/* Reads and removes what a spool left that was closed: nothing but whole segments without holes that
 * nobody has locked. */
void check_left_in_order(const char *dir);

#endif /* TESTS_SPOOL_H */
