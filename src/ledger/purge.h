/* ledger/purge.h - what a purge would do: which contents are due, and what its leaf has to say. */
#ifndef TL_LEDGER_PURGE_H
#define TL_LEDGER_PURGE_H

#include "ledger/ranges.h"
#include "ledger/removal.h"

struct tl_purge_plan {
    struct tl_bits go; /* records whose contents go */
    uint64_t go_count;
    uint64_t evaluated, due, held, remaining, bytes, ranges; /* see struct tally_purged */
    uint32_t cutoff_day;
    bool needs_leaf; /* no act permits it yet, for some of them */
    uint64_t newest; /* act that was known */
    /* of the leaf */
    uint64_t before_seq;
    uint64_t count;
};

/*
 * Decides over all records by `acts`. `retention` are the rules in force now; they can keep a record
 * for longer than was sealed.
 */
tally_status tl_purge_decide(struct tl_purge_plan *plan, struct tally_ledger *ledger,
                             const struct tl_acts *acts, const struct tl_retention *retention,
                             const struct tally_purge_options *options, struct tally_error *err);
void tl_purge_plan_release(struct tl_purge_plan *plan);

/* The day that counts as today: never beyond that of the newest record plus one. */
uint32_t tl_purge_today(int64_t now_us, int64_t newest_us);

/*
 * Writes the contents that go to a new file in `dir`, reads it back and compares every line with its
 * leaf. path_out has room for TL_PATH_SIZE bytes. Errors: TALLY_EIO, TALLY_ECORRUPT, TALLY_ENOMEM,
 * TALLY_ECANCELED; nothing is left of the file then
 */
tally_status tl_purge_archive(char *path_out, struct tally_ledger *ledger, const char *dir,
                              const struct tl_purge_plan *plan, struct tally_error *err);

#endif /* TL_LEDGER_PURGE_H */
