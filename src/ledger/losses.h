/*
 * ledger/losses.h - events that could not be kept, until a GAP record declares them.
 *
 * Counted in memory by whoever loses them; declared by this process if it is the sequencer, else
 * handed over through the spool as soon as that takes something again.
 */
#ifndef TL_LEDGER_LOSSES_H
#define TL_LEDGER_LOSSES_H

#include <tally/ledger.h>

#include "base/buf.h"
#include "base/str.h"
#include "base/thread.h"
#include "evidence/control.h"

enum tl_loss_cause {
    TL_LOSS_SPOOL_FULL = 0,
    TL_LOSS_DISK_FULL,
    TL_LOSS_DISK,
    TL_LOSS_MEMORY,
    TL_LOSS_CAUSES
};

struct tl_loss {
    uint64_t count;
    int64_t from_us, to_us; /* when the first and the last were handed in */
};

/* A GAP on its way through the spool: canonical JSON. */
#define TL_GAP_SOURCE_SIZE 96u
struct tl_gap {
    uint64_t count;
    bool exact;
    int64_t from_us, to_us;
    char reason[96];
    char source[TL_GAP_SOURCE_SIZE]; /* never used again: tells whether it was declared before */
};

/* Internally synchronised. */
struct tl_losses {
    struct tl_mutex mu;
    /* guarded by mu */
    struct tl_loss pending[TL_LOSS_CAUSES];
    uint64_t pending_total;
    uint64_t handed_over; /* declared, or in the spool to be declared */
    bool passing_on;      /* one thread at a time has `attempts` */
    /* What could not be declared, nobody knows how far it came: it is tried again as it was, so that
     * the ledger can tell whether it is there. A count of 0: none. */
    struct tl_gap attempts[TL_LOSS_CAUSES];
};

tally_status tl_losses_init(struct tl_losses *losses);
void tl_losses_release(struct tl_losses *losses);
/* In the child of a fork: what the parent lost is the parent's to tell. */
void tl_losses_forget(struct tl_losses *losses);
void tl_losses_add(struct tl_losses *losses, enum tl_loss_cause cause, int64_t time_us);
uint64_t tl_losses_pending(struct tl_losses *losses);
uint64_t tl_losses_handed_over(struct tl_losses *losses);

struct tally_ledger;

/* Called by `sequence`: declares what is pending, or spools it; what cannot be is kept. The `last` time
 * what cannot be declared is spooled: it will be declared once, as its source tells it again. */
void tl_losses_pass_on(struct tally_ledger *ledger, bool last);

tally_status tl_gap_write(struct tl_buf *out, const struct tl_gap *gap);
/* TALLY_ECORRUPT for anything that tl_gap_write() does not write. */
tally_status tl_gap_read(struct tl_gap *gap, const char *text, size_t len);

/* Reads the count of a GAP record as tally_find() shows it; false if it is none. */
bool tl_gap_of_line(const char *line, size_t len, uint64_t *count_out, bool *exact_out);

struct tally_page;

/* Whether it is among the GAP records of a page. */
bool tl_gap_is_on_page(const struct tally_page *page, const struct tl_gap *gap);

/* Spools a gap with a source of its own. */
tally_status tl_gap_spool(struct tally_ledger *ledger, const struct tl_gap *gap, int64_t until_us,
                          struct tally_error *err);

/* Declares it as the sequencer; with `may_be_known`, only if the ledger has no GAP of its source and
 * reason yet. */
tally_status tl_gap_declare(struct tally_ledger *ledger, const struct tl_gap *gap,
                            bool may_be_known, struct tally_error *err);

/* A source that is not used twice. */
void tl_gap_new_source(char out[TL_GAP_SOURCE_SIZE]);

#endif /* TL_LEDGER_LOSSES_H */
