/* ledger/gone.h - whether the content of a record is gone by a purge or by an erasure. */
#ifndef TL_LEDGER_GONE_H
#define TL_LEDGER_GONE_H

#include "ledger/act.h"

/* What the ledger's acts say, read when it is first asked for. Confined to one thread; a zeroed one is
 * empty; tl_gone_release(). */
struct tl_gone {
    bool asked;
    bool known;
    struct tl_acts acts;
    struct tl_excuse_scope scope;
};

/*
 * "erased" or "purged" for an entry without content, or `otherwise` if no act says so, or the acts
 * cannot be read: that is for verification to tell. Uses a reader of its own.
 */
struct tl_str tl_gone_state(struct tl_gone *gone, struct tally_ledger *ledger,
                            const struct tl_leaf *leaf, struct tl_str otherwise);
void tl_gone_release(struct tl_gone *gone);

#endif /* TL_LEDGER_GONE_H */
