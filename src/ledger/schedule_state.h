/*
 * ledger/schedule_state.h - what is known of scheduled jobs between two runs: <ledger>/schedule.json.
 *
 * It says when jobs ran and how they ended, for the scheduler and for people. A file that is lost or
 * damaged costs that knowledge alone: jobs are then due again at their next time.
 */
#ifndef TL_LEDGER_SCHEDULE_STATE_H
#define TL_LEDGER_SCHEDULE_STATE_H

#include <tally/schedule.h>

#include "base/buf.h"
#include "base/str.h"

enum tl_job { TL_JOB_ANCHOR, TL_JOB_BACKUP, TL_JOB_PURGE, TL_JOB_VERIFY, TL_JOB_COUNT };

#define TL_JOB_DETAIL_SIZE 200u

/* As in struct tally_job. All zero: it never ran. */
struct tl_job_state {
    int64_t since_us; /* when the scheduler first saw it */
    int64_t last_us;
    int64_t took_us;
    tally_status status;
    uint64_t runs;
    uint64_t missed;
    char detail[TL_JOB_DETAIL_SIZE];
    enum tally_verdict verdict;
    uint64_t verified_to;
    int64_t full_pass_us;
};

struct tl_schedule_state {
    struct tl_job_state jobs[TL_JOB_COUNT];
};

const char *tl_job_name(enum tl_job job);

/* TL_JOB_COUNT if there is none. */
enum tl_job tl_job_of(const char *name);

/* Reads the text of a file. Errors: TALLY_ECORRUPT, TALLY_ENOMEM; *out is all zero then */
tally_status tl_schedule_state_read(struct tl_schedule_state *out, struct tl_str text);
void tl_schedule_state_write(struct tl_buf *out, const struct tl_schedule_state *state);

/* Reads the file in a ledger's directory; one that is not there is all zero. Errors: TALLY_EIO,
 * TALLY_ENOMEM; a damaged one is TALLY_ECORRUPT, and *out all zero */
tally_status tl_schedule_state_load(struct tl_schedule_state *out, const char *dir,
                                    struct tally_error *err);

/* Puts the state of one job in its place there, and leaves the others as they are. One at a time:
 * TL_GATE_SCHEDULE. What cannot be read begins anew. */
tally_status tl_schedule_state_put(enum tl_job job, const struct tl_job_state *state,
                                   const char *dir, struct tally_error *err);

#endif /* TL_LEDGER_SCHEDULE_STATE_H */
