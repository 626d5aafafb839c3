/* ledger/schedule_jobs.h - what the jobs of the scheduler do; inside ledger/ only. */
#ifndef TL_LEDGER_SCHEDULE_JOBS_H
#define TL_LEDGER_SCHEDULE_JOBS_H

#include "ledger/ledger.h"
#include "ledger/schedule_state.h"

/* Asked now and then by a job; true: it is to come to an end. */
typedef bool tl_job_stop_fn(void *ctx);

/* Runs one job, and writes down in *state how it went. The status is that of the job. */
tally_status tl_job_run(struct tally_ledger *ledger, enum tl_job job, struct tl_job_state *state,
                        tl_job_stop_fn *stop, void *ctx, struct tally_error *err);

#endif /* TL_LEDGER_SCHEDULE_JOBS_H */
