/*
 * ledger/remote_answer.h - what the server of a remote ledger answers, read with distrust.
 *
 * Pure and total: the bytes come from another machine. Nothing of them is believed that does not fit
 * what was sent, and no text of them is shown to people but codes.
 */
#ifndef TL_LEDGER_REMOTE_ANSWER_H
#define TL_LEDGER_REMOTE_ANSWER_H

#include <tally/ledger.h>

#include "base/str.h"

#define TL_REMOTE_BATCH     1000u /* events of one request */
#define TL_REMOTE_CODE_SIZE 40u

/* Why a request, or some of its events, were refused. */
struct tl_remote_problem {
    char code[TL_REMOTE_CODE_SIZE]; /* of the request: a-z, 0-9, '_' and '.'; "" if it has none */
    size_t named;                   /* events that have a code of their own */
    char codes[TL_REMOTE_BATCH][TL_REMOTE_CODE_SIZE]; /* by index; "" for those not named */
};

/*
 * Reads the receipts of `count` events, in the order in which they were sent; the id of each stands in
 * *receipts[i] already. After a failure the receipts are undefined. Errors: TALLY_ECORRUPT it is no
 * such answer, or one for other events; TALLY_ENOMEM
 */
tally_status tl_remote_read_receipts(struct tl_str text, struct tally_receipt *const *receipts,
                                     size_t count, struct tally_error *err);

/* Reads a problem document (RFC 9457) about `count` events. What is none leaves everything empty. */
void tl_remote_read_problem(struct tl_str text, size_t count, struct tl_remote_problem *out);

#endif /* TL_LEDGER_REMOTE_ANSWER_H */
