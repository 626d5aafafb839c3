/* ledger/carry.h - the sequencer's side of routing: what lies in the spool for other ledgers. */
#ifndef TL_LEDGER_CARRY_H
#define TL_LEDGER_CARRY_H

#include "ledger/ledger.h"

/* How many records may be taken from the spool now. */
size_t tl_carry_room(const struct tl_role *role);

/* Whether tl_carry() is to be called although nothing was taken. */
bool tl_carry_is_due(const struct tl_role *role);

/* Hands on the routed ones of the items taken, and records what has to stay in this ledger. */
tally_status tl_carry(struct tally_ledger *ledger, size_t count, struct tally_error *err);

/* After tl_carry(): its results are dealt with, or will be asked for again. */
void tl_carry_settle(struct tl_role *role, bool committed);

/* Whether events of a segment wait for their ledger. */
bool tl_carry_holds(const struct tl_role *role, const struct tl_drain_segment *segment);

#endif /* TL_LEDGER_CARRY_H */
