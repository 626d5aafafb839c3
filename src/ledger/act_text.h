/*
 * ledger/act_text.h - an act as it is handed to the sequencer of another process: text in the spool,
 * and the reasons for which it is refused, as numbers in an answer. Pure.
 */
#ifndef TL_LEDGER_ACT_TEXT_H
#define TL_LEDGER_ACT_TEXT_H

#include "base/arena.h"
#include "base/buf.h"
#include "evidence/control.h"

/* What tl_act_seal() is asked for. */
struct tl_act_request {
    const struct tl_control *control; /* of KEY, EPOCH and POLICY: a wish, see tl_act_seal() */
    uint64_t newest;                  /* act that its caller knew; TALLY_SEQ_NONE: there was none */
    char *mac_key_out;    /* KEY in memory: TL_MAC_TEXT_SIZE bytes for a new MAC key; else NULL */
    int64_t handed_in_us; /* microseconds since 1970; 0: just now */
};

/* Whether the sequencer makes the payload of this kind itself, from a wish. */
bool tl_act_is_wish(enum tl_leaf_kind kind);

/* What can be said against it without knowing the ledger. TALLY_EINVAL, TALLY_ELIMIT, TALLY_ENOMEM */
tally_status tl_act_check(const struct tl_act_request *act, struct tally_error *err);

/* Appends the text of a spooled act. Errors: those of tl_control_format() */
tally_status tl_act_encode(struct tl_buf *out, const struct tl_act_request *act,
                           struct tally_error *err);

/* Reads it; *control_out lives in `arena` and in `text`. Errors: TALLY_ECORRUPT, TALLY_ENOMEM */
tally_status tl_act_decode(struct tl_control *control_out, uint64_t *newest_out,
                           struct tl_arena *arena, const char *text, size_t len);

/* Why the sequencer refuses an act. The numbers are those of answers: never changed. */
enum tl_act_refusal {
    TL_ACT_FINE = 0,
    TL_ACT_OVERTAKEN = 1,     /* there was another act since */
    TL_ACT_HOLD_UNKNOWN = 2,  /* RELEASE of a hold that is not there, or no longer */
    TL_ACT_HOLD_RELEASED = 3, /* HOLD by an id that was released */
    TL_ACT_BEYOND = 4,        /* names records that are not there yet */
    TL_ACT_TOO_EARLY = 5,     /* PURGE up to a day to come */
    TL_ACT_TOO_MANY = 6,      /* more than a ledger can keep in mind */
    TL_ACT_WRONG_ROOT = 7,    /* ANCHOR of a root that is none of this tree */
    TL_ACT_STALE = 8,         /* handed in so long ago that nobody waits for it */
    TL_ACT_CONFIGURATION = 9, /* POLICY: the configuration has an error */
    TL_ACT_REFUSALS
};

/* Fails with status, code and message of the reason, which is not TL_ACT_FINE. */
tally_status tl_act_refuse(enum tl_act_refusal reason, struct tally_error *err);

const char *tl_act_refusal_code(enum tl_act_refusal reason);

/* The reason that tl_act_refuse() left in `error`; TL_ACT_FINE if it is no such error. */
enum tl_act_refusal tl_act_refusal_of(const struct tally_error *error);

#endif /* TL_LEDGER_ACT_TEXT_H */
