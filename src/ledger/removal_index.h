/*
 * ledger/removal_index.h - the index's part in a removal: notes before, rewritten after, cleared at the
 * end (store/index.h, "Removal of contents"). A ledger in memory has no index: there all of it is void.
 */
#ifndef TL_LEDGER_REMOVAL_INDEX_H
#define TL_LEDGER_REMOVAL_INDEX_H

#include "ledger/ledger.h"

/* Confined to one thread. */
struct tl_forgetter {
    struct tally_ledger *ledger;
    struct tl_index *index; /* NULL in memory */
    uint64_t first_own;     /* the first note of this removal; 0: none yet */
};

tally_status tl_forgetter_open(struct tl_forgetter *forgetter, struct tally_ledger *ledger,
                               struct tally_error *err);
void tl_forgetter_close(struct tl_forgetter *forgetter);

/* Before contents of records in `ranges` go. */
tally_status tl_forgetter_note(struct tl_forgetter *forgetter, const struct tl_range *ranges,
                               size_t count, uint64_t *id_out, struct tally_error *err);

/* After that. If the index is not that far yet, or too busy, the note stays for the next removal. */
tally_status tl_forgetter_rewrite(struct tl_forgetter *forgetter, uint64_t id,
                                  const struct tl_range *ranges, size_t count,
                                  struct tally_error *err);

/* What an earlier removal did not finish; `is_rewritten`: but for what is left in files. */
struct tl_unfinished {
    uint64_t id;
    struct tl_range range;
    bool is_rewritten;
};
/* The caller frees *items_out. */
tally_status tl_forgetter_unfinished(struct tl_forgetter *forgetter,
                                     struct tl_unfinished **items_out, size_t *count_out,
                                     struct tally_error *err);

/* How many notes there are of records whose terms the index still has. */
tally_status tl_forgetter_noted(struct tl_forgetter *forgetter, uint64_t *count_out,
                                struct tally_error *err);

/* Now that nothing is left of contents in any file: ends all notes of records whose terms are gone. */
tally_status tl_forgetter_done(struct tl_forgetter *forgetter, struct tally_error *err);

#endif /* TL_LEDGER_REMOVAL_INDEX_H */
