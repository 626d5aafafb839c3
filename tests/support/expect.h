/*
 * tests/support/expect.h - one ledger in the making, how to verify it, and what is expected then.
 *
 * expect_set_up() makes a ledger with GENESIS alone.
 */
#ifndef TESTS_EXPECT_H
#define TESTS_EXPECT_H

#include "support/mkledger.h"
#include "verify/verify.h"

#define NO_SEQ TALLY_SEQ_NONE
#define NOW_S  (MK_START_S + 60 * INT64_C(86400))

extern struct mk expect_mk;
extern struct tl_verify_input expect_input;
extern struct tally_verify_options expect_options;
extern struct tl_str expect_remembered[1];

/* Fit struct CMUnitTest. */
int expect_set_up(void **state);
int expect_tear_down(void **state);

/* GENESIS 0, events 1-9, EPOCH 10, events 11-20, RESUME 21, events 22-31. */
void expect_make_two_epochs(void);
struct image_record *expect_record(size_t seq);
void expect_remember_newest(struct mk *from);

struct tally_report *expect_report(void);
void expect_print(const struct tally_report *report);

/* Wants this one finding beside notes, and its verdict. */
void expect_at(const char *code, uint64_t seq, enum tally_verdict verdict, int line);

#define expect_tampered(code, seq)     expect_at(code, seq, TALLY_VERDICT_TAMPERED, __LINE__)
#define expect_unverifiable(code, seq) expect_at(code, seq, TALLY_VERDICT_UNVERIFIABLE, __LINE__)
#define expect_warning(code, seq)      expect_at(code, seq, TALLY_VERDICT_VERIFIED, __LINE__)

/* Wants this finding among others, and TAMPERED. */
void expect_among(const char *code, uint64_t seq);

void expect_verified_at(int line);
#define expect_verified() expect_verified_at(__LINE__)

#endif /* TESTS_EXPECT_H */
