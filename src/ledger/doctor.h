/* ledger/doctor.h - the parts of tally_doctor() that look at logging, holds and schedule. */
#ifndef TL_LEDGER_DOCTOR_H
#define TL_LEDGER_DOCTOR_H

#include <tally/config.h>

#include "base/base.h"
#include "model/policy.h"
#include "store/store.h"

/* Told of each check that was made. */
typedef void tl_doctor_say_fn(void *ctx, const char *check, enum tally_health health,
                              const char *what, const char *advice);

/* Looks at spool, sequencer, losses and policy of the ledger at options->uri, which is there. */
void tl_doctor_logging(const struct tally_options *options, const struct tl_log_policy *policy,
                       tl_doctor_say_fn *fn, void *ctx);

/* Looks at holds that expire soon, or have expired. */
void tl_doctor_holds(struct tally_store *store, tl_doctor_say_fn *say, void *ctx);

/* Looks at jobs that nobody ran or that failed, and at the verdict of the last one that verified. */
void tl_doctor_schedule(const struct tally_options *options, tl_doctor_say_fn *say, void *ctx);

#endif /* TL_LEDGER_DOCTOR_H */
