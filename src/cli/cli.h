/*
 * cli/cli.h - what all commands share: global options, opening the ledger, telling of failures.
 */
#ifndef TL_CLI_CLI_H
#define TL_CLI_CLI_H

#include <stdio.h>

#include <tally/tally.h>

#include "base/base.h"
#include "cli/opt.h"

/* Exit statuses, the same for every command, and stable: scripts rely on them. If several apply: 1
 * before 2 before 6. */
enum tl_exit {
    TL_EXIT_OK = 0,          /* done; verified; healthy */
    TL_EXIT_NO = 1,          /* done, and the answer is bad: tampered, or not found where asked */
    TL_EXIT_UNKNOWN = 2,     /* could not tell: evidence or key missing, nothing checked */
    TL_EXIT_USAGE = 3,       /* the command line makes no sense */
    TL_EXIT_CONFIG = 4,      /* the configuration makes no sense, or a file mode is unsafe */
    TL_EXIT_UNAVAILABLE = 5, /* locked, unreachable, not permitted, or an I/O error */
    TL_EXIT_INCOMPLETE = 6,  /* stopped early, or not all input taken; output says how far */
    TL_EXIT_REFUSED = 7,     /* the ledger refused the act: invalid event, conflict, hold */
};

/* How results are printed. */
enum tl_view {
    TL_VIEW_TABLE = 0, /* aligned on a terminal, tab-separated in a pipe */
    TL_VIEW_JSON,
    TL_VIEW_NDJSON,
    TL_VIEW_CSV,
};

#define TL_CLI_SETTINGS_MAX 64u

/* The state of one run. Confined to the main thread. */
struct tl_cli {
    const char *ledger; /* the directory; never NULL */
    const char *config; /* NULL for none */
    enum tl_view view;
    bool json;  /* --json: also failures are JSON */
    bool quiet; /* neither progress nor notes */
    bool verbose;
    bool accept_clock; /* somebody says that a clock far ahead is right */
    bool colour_out;   /* escape codes on stdout */
    bool colour_err;
    bool terminal_out;
    bool terminal_err;
    /* Keys and values of settings, which borrow from argv, the environment and `names`. */
    struct tally_setting settings[TL_CLI_SETTINGS_MAX];
    size_t setting_count;
    char names[TL_CLI_SETTINGS_MAX][64];
    char spool[512]; /* where events wait for a remote ledger, if nothing else says it */
};

/*
 * Sets *cli from global options, which may come in two parts: before and after the name of the
 * command. Failures are told on stderr.
 */
enum tl_exit tl_cli_init(struct tl_cli *cli, const struct tl_args *before,
                         const struct tl_args *after);

/* The options for every call that takes some. Borrowed from `cli`. */
struct tally_options tl_cli_options(const struct tl_cli *cli);

/* Opens the ledger; a failure is told, with the way out of it. */
enum tl_exit tl_cli_open(struct tl_cli *cli, bool writable, struct tally_ledger **ledger_out);

/* The same for writing, even if the ledger cannot take records now: they wait in its spool. */
enum tl_exit tl_cli_open_unattended(struct tl_cli *cli, struct tally_ledger **ledger_out);

/* Tells why a ledger cannot be opened or looked at, with the way out. */
enum tl_exit tl_cli_fail_open(const struct tl_cli *cli, tally_status status,
                              const struct tally_error *err);

/* The name of the user who runs this, for the record. */
#define TL_USER_SIZE 128u
const char *tl_cli_user(char out[TL_USER_SIZE]);

/* For TL_CLEANUP. */
void tl_ledger_closep(struct tally_ledger **ledger);
void tl_page_freep(struct tally_page **page);
void tl_public_freep(char **text); /* tally_free() */

/* Tells of a failure on stderr, as text or as a problem object, and returns what to exit with. */
enum tl_exit tl_cli_fail(const struct tl_cli *cli, const struct tally_error *err);

/* The same where no argument is to blame: what is wrong is configured, or the ledger is not there. */
enum tl_exit tl_cli_fail_ledger(const struct tl_cli *cli, const struct tally_error *err);

/* The same for a command line that makes no sense. */
enum tl_exit tl_cli_usage(const struct tl_cli *cli, const char *fmt, ...) TL_PRINTF(2, 3);

/* What a failure means for the exit status. */
enum tl_exit tl_exit_of(const struct tally_error *err);

/* Of two exit statuses that both apply, the one that counts. */
enum tl_exit tl_exit_worse(enum tl_exit a, enum tl_exit b);

/* Tells something beside the data on stderr, unless --quiet or --json was given. */
void tl_cli_note(const struct tl_cli *cli, const char *fmt, ...) TL_PRINTF(2, 3);

/* The same, but also with --json, as a line of text, and even with --quiet. */
void tl_cli_warn(const struct tl_cli *cli, const char *fmt, ...) TL_PRINTF(2, 3);

/*
 * From here on the first SIGINT or SIGTERM only makes tl_stopped() true; a second one ends the
 * process at once.
 */
void tl_stop_install(void);
bool tl_stopped(void);

/* The conditions of tally/query.h as options. */
extern const struct tl_opt tl_filter_opts[];

/* Conditions of a query, from options. A zeroed one is empty; tl_query_args_release(). */
struct tl_query_args {
    struct tally_condition *conditions;
    size_t count;
    char *names; /* the fields */
};

/*
 * Errors: TALLY_EINVAL `--where` without "="; TALLY_ENOMEM
 */
tally_status tl_query_args_read(struct tl_query_args *out, const struct tl_args *args,
                                struct tally_error *err);
void tl_query_args_release(struct tl_query_args *query);

/* Reads a duration, "90", "90s", "15m", "24h", "30d", in seconds. TALLY_EINVAL */
tally_status tl_duration_read(uint32_t *seconds_out, const char *text);

/* Reads when something ends: a time, or a duration from now on with its unit, "90d", in microseconds
 * since 1970. TALLY_EINVAL */
tally_status tl_end_time_read(int64_t *us_out, const char *text);

/* Reads all of a file, or of stdin for "-", of at most `len_max` bytes. Owned: tl_free(). */
tally_status tl_file_read(const char *path, size_t len_max, char **text_out, size_t *len_out,
                          struct tally_error *err);

#endif /* TL_CLI_CLI_H */
