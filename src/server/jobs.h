/*
 * server/jobs.h - what the kinds of long work share.
 *
 * A kind is a file job_<kind>.c: how a body becomes a job, how it is run, and what it shows. Jobs
 * run one after the other on a thread of their own, and outlive the requests that asked for them.
 */
#ifndef TL_SERVER_JOBS_H
#define TL_SERVER_JOBS_H

#include "server/job_export.h"
#include "server/server_impl.h"

struct tl_job;

/* Immutable. */
struct tl_job_kind {
    const char *name;
    /* Sets job->has_result if there is something to show; so it may after a failure, if part was
     * done. TALLY_ECANCELED if it was stopped. */
    tally_status (*run)(struct tl_job *job, struct tally_error *err);
    void (*show)(struct tl_js *js, const char *key, const struct tl_job *job);
};

extern const struct tl_job_kind tl_job_verify;
extern const struct tl_job_kind tl_job_purge;
extern const struct tl_job_kind tl_job_erase;
extern const struct tl_job_kind tl_job_export;

enum tl_job_state {
    TL_JOB_QUEUED = 0,
    TL_JOB_RUNNING,
    TL_JOB_DONE,
    TL_JOB_FAILED,
    TL_JOB_CANCELLED,
};

struct tl_job {
    struct tl_jobs *jobs;
    const struct tl_job_kind *kind;
    uint64_t number;
    enum tl_role role; /* of whoever asked for it */
    char by[TL_WHO_SIZE];

    /* What is to be done: immutable once it is queued. */
    struct tl_arena arena; /* what the options point to */
    struct tally_verify_options verify;
    struct tally_purge_options purge;
    struct tally_erase_options erase;
    struct tally_query query;
    struct tally_actor actor;

    /* What came of it: of the thread that works, until it has ended; then immutable. */
    bool has_result;
    struct tally_report *report; /* owned */
    struct tally_purged purged;
    struct tally_erased erased;
    struct tl_export *export; /* owned, of an export alone */
    int64_t sealed_us;
    char *act; /* what a second person must sign; owned, or NULL */
    struct tally_error err;

    /* guarded by the lock of `jobs` */
    enum tl_job_state state;
    bool is_unwanted;
    int64_t started_us, ended_us;
    uint64_t done, total;
};

/* What is known of a verification after its report is gone. */
struct tl_verified {
    int64_t at_us;
    char by[TL_WHO_SIZE];
    char verdict[16];
    char scope[8];    /* "": not known */
    uint64_t checked; /* UINT64_MAX: not known, as is the next */
    uint64_t findings;
};

#define TL_VERIFIED_MAX 20u

/* job_verify.c: of a job that is done. */
void tl_verified_of(const struct tl_job *job, struct tl_verified *out);

/* verified.c: those that the ledger has on record, the newest first, but for those of this server's
 * jobs. The caller's `out` has room for TL_VERIFIED_MAX. */
tally_status tl_verified_read(struct tl_request *request, struct tl_verified *out,
                              size_t *count_out, struct tally_error *err);
/* `report` NULL: it is gone. */
void tl_verified_show(struct tl_js *js, const struct tl_verified *verified,
                      const struct tally_report *report);

/* NULL: the reply is a problem. */
struct tl_job *tl_job_new(struct tl_request *request, const struct tl_job_kind *kind);
void tl_job_free(struct tl_job **job); /* fits TL_CLEANUP */

/* Replaces what belongs to a request by a copy in the job's arena. False: no memory. */
bool tl_job_keep(struct tl_job *job, const char **text);
bool tl_job_keep_actor(struct tl_job *job);
bool tl_job_keep_query(struct tl_job *job);

/* The server of a job that runs. */
struct tl_server *tl_job_server(const struct tl_job *job);

/* Is a tally_progress_fn; `ctx` is the job. */
int tl_job_note(void *ctx, uint64_t done, uint64_t total);

/* How many bytes the file of an export may have: what those that are kept leave. */
uint64_t tl_job_export_room(const struct tl_job *job);

/* The file of the job that a request names, copied. False: there is none that the caller may see. */
bool tl_job_find_export(const struct tl_request *request, struct tl_export *export_out);

/* Removes the files of exports that are too old, or older than the last removal of contents: those
 * that a purge or an erasure removed may be in them. Errors: those of tally_find() */
tally_status tl_jobs_tidy(struct tl_jobs *jobs, struct tally_error *err);

/* Takes the job, and replies with it; or with a problem, if it cannot be taken. */
void tl_job_queue(struct tl_request *request, struct tl_job **job);

#endif /* TL_SERVER_JOBS_H */
