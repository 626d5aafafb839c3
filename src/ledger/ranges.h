/*
 * ledger/ranges.h - sets of records, as runs or as bits, and which of them a selection names.
 */
#ifndef TL_LEDGER_RANGES_H
#define TL_LEDGER_RANGES_H

#include <tally/lifecycle.h>

#include "evidence/control.h"
#include "ledger/ledger.h"

/* Runs of records, ascending and apart. Confined to one thread; a zeroed one with `max` set is empty. */
struct tl_ranges {
    struct tl_range *items; /* owned */
    size_t count;
    size_t capacity;
    size_t max;       /* more is TALLY_ELIMIT */
    uint64_t records; /* in all of them */
};

void tl_ranges_release(struct tl_ranges *ranges);

/* Adds [first, last], which is not below what is there already; neighbours become one. Errors:
 * TALLY_ELIMIT, TALLY_ENOMEM */
tally_status tl_ranges_add(struct tl_ranges *ranges, uint64_t first, uint64_t last);

/* Puts items that were added in no order into order, and joins those that meet. */
void tl_ranges_tidy(struct tl_ranges *ranges);

/* Adds without order; see tl_ranges_tidy(). */
tally_status tl_ranges_push(struct tl_ranges *ranges, struct tl_range range);

/*
 * The records of a selection that are in the ledger now.
 *
 * Errors: TALLY_EINVAL, TALLY_EREFUSED the selection makes no sense; TALLY_ELIMIT they make more than
 *         `out->max` runs; TALLY_ECORRUPT, TALLY_EIO, TALLY_ENOMEM
 */
tally_status tl_select(struct tl_ranges *out, struct tally_ledger *ledger,
                       const struct tally_selection *selection, struct tally_error *err);

/* TALLY_EINVAL if they do not ascend, or overlap. */
tally_status tl_ranges_check(const struct tally_range *ranges, size_t count,
                             struct tally_error *err);

/* A bit for each record: a scattered half of a million takes as much as all of them. */
struct tl_bits {
    uint64_t *words; /* owned */
    uint64_t size;   /* records */
};

tally_status tl_bits_init(struct tl_bits *bits, uint64_t size, struct tally_error *err);
void tl_bits_release(struct tl_bits *bits);
void tl_bits_set(struct tl_bits *bits, uint64_t seq);

/* Finds the first run that begins at `from` or later; false if there is none. */
bool tl_bits_next(const struct tl_bits *bits, uint64_t from, struct tl_range *range_out);

#endif /* TL_LEDGER_RANGES_H */
