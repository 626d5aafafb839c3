/*
 * tally/config.h - the settings of a ledger, and a look at its health.
 *
 * Precedence: settings handed in > file > built-in default. docs/operating.md lists every key.
 */
#ifndef TALLY_CONFIG_H
#define TALLY_CONFIG_H

#include <tally/error.h>
#include <tally/export.h>
#include <tally/ledger.h>
#include <tally/query.h>

TALLY_BEGIN_DECLS

/* One effective value. Borrowed for the callback. */
struct tally_config_value {
    const char *key;
    const char *value;
    const char *origin; /* "default", "tally.yaml:3", or that of a setting */
    const char *doc;    /* one sentence */
};

typedef void tally_config_fn(void *ctx, const struct tally_config_value *value);

/*
 * Reads the configuration that tally_open() would use, checks it, and calls `fn` for each key in
 * order of name. The ledger itself is not touched.
 *
 * Errors: TALLY_EINVAL with file, line and column, or the setting's origin; TALLY_EIO, TALLY_ENOMEM
 */
TALLY_API tally_status tally_config_list(const struct tally_options *options, tally_config_fn *fn,
                                         void *ctx, struct tally_error *err);

/*
 * Puts in force what the configuration of `ledger`, open for writing, says now of retention and of what
 * is erasable: as a POLICY record, if that is something else. Everything else is read when a ledger is
 * opened. Returns when it is in force, whichever process is the sequencer.
 *
 * Errors: TALLY_EINVAL the configuration, with file, line and column, or the ledger is open for reading;
 *         TALLY_ENOTSUP it is in memory or remote, or a policy needs a second person here;
 *         TALLY_EBUSY no process can record now; TALLY_EIO, TALLY_ENOMEM
 */
TALLY_API tally_status tally_config_adopt(struct tally_ledger *ledger, struct tally_error *err);

/*
 * Gives the key that an environment variable sets: "TALLY_RETENTION_DEFAULT_DAYS" sets
 * "retention.default_days". TALLY_ENOTFOUND if it sets none, TALLY_ELIMIT if `size` is too small.
 */
TALLY_API tally_status tally_config_variable_key(const char *variable, char *key_out, size_t size);

enum tally_health { TALLY_HEALTH_OK = 1, TALLY_HEALTH_WARNING = 2, TALLY_HEALTH_ERROR = 3 };

/* One check of tally_doctor(). Borrowed for the callback. */
struct tally_diagnosis {
    const char *check; /* "keys.permissions" */
    enum tally_health health;
    const char *what;   /* what was seen */
    const char *advice; /* what to do; "" if it is well */
};

typedef void tally_diagnosis_fn(void *ctx, const struct tally_diagnosis *diagnosis);

/*
 * Looks at configuration, permissions, keys, store, index, disk, clock and logging of the ledger at
 * options->uri, and calls `fn` for each check made. Changes nothing; works while a writer is
 * active. It is no verification. *worst_out is the worst health seen.
 */
TALLY_API tally_status tally_doctor(const struct tally_options *options, tally_diagnosis_fn *fn,
                                    void *ctx, enum tally_health *worst_out,
                                    struct tally_error *err);

/*
 * Throws the search index of the ledger at options->uri away and makes it anew. Takes the ledger's
 * lock: TALLY_EBUSY while a writer is active.
 */
TALLY_API tally_status tally_reindex(const struct tally_options *options,
                                     tally_progress_fn *progress, void *ctx,
                                     struct tally_error *err);

/* One attack of tally_drill(). Borrowed for the callback. */
struct tally_drill_row {
    const char *attack;  /* what was done: "edit the content of a record" */
    const char *skipped; /* why it was not made, or why nothing in a ledger can tell; or NULL */
    int found;         /* 1 if `expected` is new, and the verdict not VERIFIED or that a warning */
    const char *codes; /* the codes of the findings, comma-separated */
    const char *expected; /* the code that was to be among them */
    const char *told_by;  /* what told us: "commitment", "tree", "remembered checkpoint" */
};

/* Told of each attack as it is made; return 0 to go on, 1 to stop. */
typedef int tally_drill_fn(void *ctx, const struct tally_drill_row *row);

/*
 * Copies the ledger at options->uri, keys included, to `work_dir` (made, and removed afterwards),
 * lets the copy grow by a few hundred events, damages it in every way known, one after the other,
 * and verifies each time. The ledger itself is only read, and may have a writer. The copies need
 * up to five times the room of the ledger. *missed_out is the number of attacks that were made and not
 * found.
 *
 * Errors: TALLY_ECONFLICT there is something at `work_dir`
 *         TALLY_ECORRUPT  the ledger does not verify as it is
 *         TALLY_ENOTSUP   it is in memory, or its store is not SQLite
 *         TALLY_ENOTFOUND there is no ledger, or it has no keys
 *         TALLY_ECANCELED `fn` stopped it
 *         as of tally_open() and tally_verify_at()
 */
TALLY_API tally_status tally_drill(const struct tally_options *options, const char *work_dir,
                                   tally_drill_fn *fn, void *ctx, uint64_t *missed_out,
                                   struct tally_error *err);

TALLY_END_DECLS

#endif /* TALLY_CONFIG_H */
