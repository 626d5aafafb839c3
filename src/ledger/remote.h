/*
 * ledger/remote.h - a ledger behind HTTP (https://HOST): events wait in a spool on this machine, and
 * whoever has the lock of its directory ships them to `tally serve`.
 *
 * The shipper takes the place of the sequencer: drained.c takes what lies in the spool, tl_remote_append()
 * has it recorded, and what was answered for all of it is committed. Ids are in the events, so that
 * sending again what may have been recorded is harmless.
 */
#ifndef TL_LEDGER_REMOTE_H
#define TL_LEDGER_REMOTE_H

#include "base/counter.h"
#include "ledger/ledger.h"
#include "ledger/remote_answer.h"
#include "project/http.h"

#define TL_REMOTE_BATCH_BYTES ((size_t)4 << 20) /* of the texts of one request, about */
#define TL_REMOTE_APPEND_US   60000000 /* how long tally_append() waits for the server's receipts */

/* Immutable after open, but for what the thread `sequence` alone uses. */
struct tl_remote {
    char address[TL_ORIGIN_LEN_MAX + 1]; /* https://host:port */
    char token_file[TL_PATH_SIZE];       /* "" for none; read for every request */
    char ca_file[TL_PATH_SIZE];          /* "" for the system's */
    uint32_t timeout_ms;
    struct tl_counter
        give_up_us; /* steady clock: a request is not waited for any longer; 0: never */

    /* of the thread `sequence` */
    struct tl_http_link *link; /* NULL before the first request */
    struct tl_buf body;
    uint32_t unsettled[TL_REMOTE_BATCH];              /* entries without an answer */
    char codes[TL_REMOTE_BATCH][TL_REMOTE_CODE_SIZE]; /* why an entry was refused */
    struct tally_receipt *receipts[TL_REMOTE_BATCH];  /* of those being sent */
    struct tl_remote_problem problem;
    bool has_answered;      /* the server, to this process */
    uint32_t retry_after_s; /* as the server wished with its last answer */
};

/* Whether a ledger's name is a URL. */
bool tl_remote_is_url(const char *uri);

/* For calls that need the ledger's own files. Errors: TALLY_ENOTSUP */
tally_status tl_remote_refuse(const struct tally_ledger *ledger, struct tally_error *err);

/* Errors: TALLY_EINVAL the address, or what else it needs; TALLY_ENOMEM */
tally_status tl_remote_open(struct tally_ledger *ledger, struct tally_error *err);
void tl_remote_close(struct tl_remote *remote);

/* The child of a fork leaves its parent's connections alone. */
void tl_remote_forget(struct tl_remote *remote);

/* Makes the directory of the spool, and those above it. Errors: TALLY_EIO, TALLY_EINVAL */
tally_status tl_remote_make_directories(const struct tl_paths *paths, struct tally_error *err);

/*
 * Has at most TL_REMOTE_BATCH entries recorded by the server, and fills in their receipts: TALLY_OK,
 * TALLY_ECONFLICT the id is taken by another event, TALLY_EREFUSED the server refuses the event.
 * remote->codes says why. May be repeated after any failure.
 *
 * Errors: TALLY_EDENIED the token is refused; TALLY_EIO no answer, or one that says "later";
 *         TALLY_ECORRUPT no sensible answer; those of the token's file; TALLY_ENOMEM
 */
tally_status tl_remote_append(struct tl_remote *remote, const struct tl_entry *entries,
                              size_t count, struct tally_error *err);

/* Declares a gap by an event `agent.gap`, whose id is made from the gap's source and reason. */
tally_status tl_remote_declare(struct tally_ledger *ledger, const struct tl_gap *gap,
                               struct tally_error *err);

/* How long to wait after so many failures, one after the other. Some of it is chance. */
int64_t tl_remote_pause_us(const struct tl_remote *remote, uint32_t failures);

/* GET `path_and_query`. Any thread. An answer other than 200 is an error: TALLY_ENOTFOUND 404,
 * TALLY_EREFUSED with the server's code 400, else as of tl_remote_append(). */
tally_status tl_remote_get(const struct tl_remote *remote, const char *path_and_query,
                           struct tl_http_answer *answer, struct tally_error *err);

/*
 * remote_refused.c: events that the server refuses for good are kept in <directory>/refused.ndjson.
 * Zeroed, then begin, any number of adds, end; release in any case.
 */
struct tl_refused {
    char path[TL_PATH_SIZE];
    char *text; /* owned; of the file, so that nothing is kept twice */
    size_t len;
    struct tl_buf lines; /* to be added */
    bool is_full;
};

/* Errors: TALLY_EIO, TALLY_ENOMEM */
tally_status tl_refused_begin(struct tl_refused *refused, const struct tl_paths *paths,
                              struct tally_error *err);
/* `source` names the place of an event in the spool. False if there is no room, or no memory. */
bool tl_refused_add(struct tl_refused *refused, const char *source, const char *code,
                    struct tl_str event);
/* What was added survives power loss. Errors: TALLY_EIO, TALLY_ENOMEM */
tally_status tl_refused_end(struct tl_refused *refused, struct tally_error *err);
void tl_refused_release(struct tl_refused *refused);

/* How many lie there. Errors: TALLY_EIO, TALLY_ENOMEM */
tally_status tl_refused_count(const struct tl_paths *paths, uint64_t *count_out,
                              struct tally_error *err);

#endif /* TL_LEDGER_REMOTE_H */
