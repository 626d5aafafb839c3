/*
 * tally/lifecycle.h - what happens to contents over the years: holds, purge, erasure, retention.
 *
 * Contents go, evidence stays: each act is first sealed in the ledger as a control record that says
 * what may be absent from now on, then contents are removed, then "tally.purge", "tally.erase" and so
 * on record who did it and why. Every process that has the ledger open for writing may act; the one
 * that is the sequencer seals. Functions block until the act is done. Nothing here holds writers up
 * for more than a batch of about 40 ms.
 */
#ifndef TALLY_LIFECYCLE_H
#define TALLY_LIFECYCLE_H

#include <stddef.h>
#include <stdint.h>

#include <tally/error.h>
#include <tally/export.h>
#include <tally/ledger.h>
#include <tally/query.h>
#include <tally/store.h>

TALLY_BEGIN_DECLS

/* Records first to last, inclusive. */
struct tally_range {
    uint64_t first;
    uint64_t last;
};

/*
 * Who asks for an act, and why. Borrowed for the call. `by` and `reason` are written into the public
 * part of the ledger for ever, as is `ticket` of an erasure and a restore; of other acts it stands in
 * the event. No personal data there but the name of who is responsible.
 */
struct tally_actor {
    const char *by;     /* required */
    const char *reason; /* required where the law asks for a basis: erasure; else NULL is allowed */
    const char *ticket; /* the request's number in another system; NULL is allowed */
    /* A second person's signature of this very act, from tally_approve(); NULL: none. Needed where
     * the ledger's trust file says so ("#tally approve ERASE"), and to purge early. */
    const char *approval;
};

/*
 * Acts answer TALLY_EDENIED if a second person must sign first. What must be signed is then handed
 * out as text, if `request_out` is not NULL; owned: tally_free(). tally_approve() makes the signature
 * from it, and the same call with that as actor->approval does the act: if nothing that it
 * names has changed since, else TALLY_ECONFLICT, and a new request is handed out.
 */

/* ------------------------------------------------------------------------------------------- */

/* Which records an act is about: conditions and ranges together, each if it is given. */
struct tally_selection {
    const struct tally_query *query;  /* its conditions; NULL: every record */
    const struct tally_range *ranges; /* ascending, disjoint */
    size_t range_count;               /* 0: the whole ledger */
};

struct tally_held {
    uint64_t ranges;
    uint64_t records;
    uint64_t seq; /* of the HOLD record; TALLY_SEQ_NONE in a dry run */
};

/*
 * Puts the records of the selection that are there now under the hold `id` (a case number: 1 to 64
 * characters of A-Z a-z 0-9 . _ - : /). A hold that is known already gets the records added. Held
 * records are neither purged nor erased, whatever retention says, until every hold on them is
 * released. `expires_us`, microseconds since 1970 or 0, is a reminder only: tally_doctor() warns from
 * 30 days before; nothing is released by itself.
 *
 * Errors: TALLY_EINVAL an argument; TALLY_ENOTFOUND the selection is empty; TALLY_ECONFLICT the hold
 *         was released before; TALLY_ELIMIT more than 4,000 ranges: use a wider range; TALLY_EDENIED
 */
TALLY_API tally_status tally_hold_add(struct tally_ledger *ledger, const char *id,
                                      const struct tally_selection *selection, int64_t expires_us,
                                      int dry_run, const struct tally_actor *actor,
                                      struct tally_held *held_out, char **request_out,
                                      struct tally_error *err);

/* Ends a hold for ever. Errors: TALLY_ENOTFOUND, TALLY_ECONFLICT it is released; TALLY_EDENIED */
TALLY_API tally_status tally_hold_release(struct tally_ledger *ledger, const char *id,
                                          const struct tally_actor *actor, char **request_out,
                                          struct tally_error *err);

/* A hold as listed. Borrowed for the callback. */
struct tally_hold {
    const char *id;
    int is_active;
    uint64_t set_seq;      /* of the first HOLD record */
    int64_t set_us;        /* when it was sealed */
    uint64_t released_seq; /* TALLY_SEQ_NONE while active */
    int64_t released_us;
    int64_t expires_us; /* 0: never named; the newest one given */
    uint64_t records;
    const char *by; /* of the first HOLD record */
    const char *reason;
    const struct tally_range *ranges;
    size_t range_count;
};
typedef int tally_hold_fn(void *ctx, const struct tally_hold *hold); /* 0 to go on, 1 to stop */
TALLY_API tally_status tally_hold_list(struct tally_ledger *ledger, tally_hold_fn *fn, void *ctx,
                                       struct tally_error *err);

/* ------------------------------------------------------------------------------------------- */

struct tally_purge_options {
    size_t struct_size; /* bytes; set by TALLY_PURGE_OPTIONS_INIT */
    int dry_run;        /* say what would go; recorded as well, as a dry run */
    /* Only what fell due before this day (days since 1970, UTC) goes; 0: whatever is due today.
     * It only narrows. */
    uint32_t before_day;
    /* Early, against the sealed date: exactly these records, but for held ones. Needs an approval. */
    const struct tally_range *ranges;
    size_t range_count;
    uint64_t max_records;        /* stop after about so many, the rest stays due; 0: no bound */
    tally_progress_fn *progress; /* NULL is allowed; returning 1 stops after the batch at hand */
    void *ctx;
};
#define TALLY_PURGE_OPTIONS_INIT                                         \
    {                                                                    \
        sizeof(struct tally_purge_options), 0, 0, NULL, 0, 0, NULL, NULL \
    }

struct tally_purged {
    uint64_t evaluated; /* records looked at */
    uint64_t due;       /* whose time is over, held ones included */
    uint64_t held;      /* of these, on hold: kept */
    uint64_t purged;    /* contents removed by this call; in a dry run: that would be */
    uint64_t remaining; /* due and not held, and still there */
    uint64_t bytes;     /* of the contents that went */
    uint64_t freed;     /* bytes given back to the file system by now */
    uint64_t ranges;    /* runs of neighbouring records among `purged` */
    uint32_t cutoff_day;
    uint64_t seq;      /* of the PURGE record; TALLY_SEQ_NONE if none was needed, or a dry run */
    char archive[256]; /* path of the archive written first; "" if none is configured */
    uint64_t left;     /* not 0: traces are left in files, for somebody reads or writes there: about
                          how much is to be cleared, by the next purge or erasure */
};

/*
 * Removes contents whose sealed date has passed, and which the rules in force now do not keep longer:
 * a later, longer rule counts at once. With `archive.dir` configured they are written there first and
 * read back before anything goes. A purge that was cut short goes on with the next one. Today never
 * lies beyond the day after the ledger's newest record: a clock gone wild purges nothing.
 *
 * Errors: TALLY_EINVAL; TALLY_EREFUSED who or why is too long to be recorded; TALLY_EDENIED;
 *         TALLY_ECANCELED progress stopped it (*purged_out is filled in);
 *         TALLY_EBUSY another purge or erasure is at work; TALLY_EIO, ENOMEM. A failure after the
 *         PURGE record is recorded as tally.purge with outcome failure
 */
TALLY_API tally_status tally_purge(struct tally_ledger *ledger,
                                   const struct tally_purge_options *options,
                                   const struct tally_actor *actor, struct tally_purged *purged_out,
                                   char **request_out, struct tally_error *err);

/* ------------------------------------------------------------------------------------------- */

struct tally_erase_options {
    size_t struct_size; /* bytes; set by TALLY_ERASE_OPTIONS_INIT */
    int dry_run;
    const char *id;                   /* one event by its id; or */
    struct tally_selection selection; /* several records; or */
    const char *subject;              /* "actor:ID", "target:TYPE:ID": all records that name it, of
                                          the selection if there is one too */
    /* RFC 6901 pointers to erase, which must be erasable by the policy of each record; none: the
     * whole contents. */
    const char *const *members;
    size_t member_count;
    tally_progress_fn *progress;
    void *ctx;
};
#define TALLY_ERASE_OPTIONS_INIT                                                                  \
    {                                                                                             \
        sizeof(struct tally_erase_options), 0, NULL, { NULL, NULL, 0 }, NULL, NULL, 0, NULL, NULL \
    }

struct tally_erased {
    uint64_t matched; /* records that the options name */
    uint64_t held;    /* of these, on hold: kept as they are */
    uint64_t gone;    /* of these, with nothing left to erase */
    uint64_t erased;  /* records erased, wholly or in part; in a dry run: that would be */
    uint64_t members; /* members erased in them */
    uint64_t bytes;   /* removed */
    uint64_t seq;     /* of the first ERASE record; TALLY_SEQ_NONE */
    uint64_t acts;    /* ERASE records sealed: large ones are several */
    uint64_t left;    /* as in struct tally_purged */
};

/*
 * Erases contents: from the store, its log and free pages, and the search index; erased_out->left
 * says if not from all of them yet. What is left of a partly erased record goes on verifying. Copies elsewhere (exports, backups, archives) are not
 * reached; the report of the command says so.
 *
 * Errors: TALLY_EINVAL an option, or a member that the policy does not allow to be erased;
 *         TALLY_ENOTFOUND nothing matched; TALLY_EDENIED a second person must sign, or all that
 *         matched is on hold (code "held"); TALLY_ECONFLICT; TALLY_EBUSY; TALLY_ECANCELED; TALLY_EIO
 */
TALLY_API tally_status tally_erase(struct tally_ledger *ledger,
                                   const struct tally_erase_options *options,
                                   const struct tally_actor *actor, struct tally_erased *erased_out,
                                   char **request_out, struct tally_error *err);

/*
 * Signs a request as an approver: `key` is the text of a key file made by tally_approver_key().
 * Owned: tally_free(). Errors: TALLY_EINVAL request or key do not parse
 */
TALLY_API tally_status tally_approve(const char *request, const char *key, char **approval_out,
                                     struct tally_error *err);

/* Makes an approver's key pair: the secret for a file of mode 0600, and the line for trust files,
 * "#tally approver <vkey>". Both owned: tally_free(); wipe the secret. */
TALLY_API tally_status tally_approver_key(const char *name, char **secret_out, char **line_out,
                                          struct tally_error *err);

/* ------------------------------------------------------------------------------------------- */

/* One rule in force. Borrowed for the callback. */
struct tally_retention_rule {
    const char *kind;   /* "action", "severity", "source", "tenant", "outcome", "default" */
    const char *match;  /* "" for the default */
    int32_t days;       /* <= 0: for ever */
    const char *origin; /* "default", "tally.yaml:3", or that of the setting it was opened with */
};
typedef void tally_retention_fn(void *ctx, const struct tally_retention_rule *rule);
TALLY_API tally_status tally_retention_list(struct tally_ledger *ledger, tally_retention_fn *fn,
                                            void *ctx, struct tally_error *err);

/* A named starting point; no program is compliant by itself. Static. */
struct tally_retention_preset {
    const char *name;            /* "pci-dss" */
    const char *about;           /* what it sets, what that is based on, what it does not do */
    const char *const *settings; /* "retention.default_days=365", NULL at the end */
};
TALLY_API const struct tally_retention_preset *tally_retention_presets(size_t *count_out);

/* What other rules would do to the records that are there. */
struct tally_retention_effect {
    uint64_t records; /* with contents */
    uint64_t longer;  /* would be kept longer than sealed: at once, without a record */
    uint64_t
        shorter; /* are sealed for longer than the rules say: only an early purge shortens it */
    uint64_t due_now; /* due today under the rules and the sealed dates */
    uint64_t due_30;  /* and within 30 days */
    uint64_t held;
};
/* `settings` are put in front of the ledger's configuration, as if they were in force. */
TALLY_API tally_status tally_retention_test(struct tally_ledger *ledger,
                                            const struct tally_setting *settings, size_t count,
                                            struct tally_retention_effect *effect_out,
                                            struct tally_error *err);

/*
 * Writes retention settings into the configuration file of `ledger`, leaving the rest of the
 * file as it is, seals them in a POLICY record, and records the event tally.config.change. Takes no
 * setting that would need quotes in the file.
 *
 * Errors: TALLY_EINVAL a setting is wrong, or stands in the file in another form: nothing is written;
 *         TALLY_ENOTSUP not a ledger on disk open for writing; TALLY_EIO, ENOMEM
 */
TALLY_API tally_status tally_retention_set(struct tally_ledger *ledger,
                                           const struct tally_setting *settings, size_t count,
                                           const struct tally_actor *actor,
                                           struct tally_error *err);

TALLY_END_DECLS

#endif /* TALLY_LIFECYCLE_H */
