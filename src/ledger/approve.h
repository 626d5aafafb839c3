/*
 * ledger/approve.h - approvals: a second person's signature of acts that are about to be sealed.
 *
 * A request is JSON for people and programs: {"tally_request":1,"origin":…,"acts":[{"kind":…,
 * "payload":{…}},…]}. An approval is a line of base64 for each act of the request, in any order.
 */
#ifndef TL_LEDGER_APPROVE_H
#define TL_LEDGER_APPROVE_H

#include "ledger/act.h"

/* A request, and what is read of one: about 120 acts of the largest kind. */
#define TL_REQUEST_BYTES_MAX ((size_t)8 << 20)

/*
 * tl_act_approve() for acts that belong together: all of them are in one request. The approvals that
 * are put into the controls borrow from actor->approval.
 *
 * Errors: TALLY_EDENIED   an act must be signed and is not, or by nobody whom the trust file names
 *         TALLY_ECONFLICT what was signed is not what is to be done now; in both cases *request_out
 *                         is set, if it is not NULL
 *         TALLY_EINVAL    actor->approval is none; TALLY_ELIMIT too many acts for one request;
 *         TALLY_ENOTFOUND, TALLY_EIO the trust file cannot be read; TALLY_ENOMEM
 */
tally_status tl_acts_approve(struct tally_ledger *ledger, struct tl_control *controls, size_t count,
                             const struct tally_actor *actor, bool always, char **request_out,
                             struct tally_error *err);

#endif /* TL_LEDGER_APPROVE_H */
