/*
 * store/sqlite.h - opens SQLite databases the way every file of a ledger must be opened.
 *
 * What SQLite reports becomes a tally_status here and nowhere else.
 */
#ifndef TL_STORE_SQLITE_H
#define TL_STORE_SQLITE_H

#include <sqlite3.h>

#include <tally/store.h>

#include "base/base.h"

#define TL_SQLITE_BUSY_TIMEOUT_MS 250 /* a reader may need it to recover a log left by a crash */
#define TL_SQLITE_TURN_TIMEOUT_MS \
    5000 /* a writer, until another one (who removes contents) is done */

/* A pragma that is set and then read back. */
struct tl_sqlite_pragma {
    const char *set;  /* "PRAGMA synchronous=FULL" */
    const char *get;  /* "PRAGMA synchronous" */
    const char *want; /* "2"; as text */
};

/* What a kind of file is. Static and const. */
struct tl_sqlite_kind {
    const char *noun;       /* "ledger"; for messages */
    int64_t application_id; /* marks the file */
    int64_t version;        /* PRAGMA user_version; a greater one is not for us */
    const char *layout;     /* page size, before anything is in the file */
    const char *schema; /* statements that make a new file, application_id and version included */
    const struct tl_sqlite_pragma
        *pragmas;             /* of a connection that writes; ends with a zeroed one */
    const char *reader_cache; /* PRAGMA cache_size of one that reads */
};

/*
 * Opens `path`. A new file belongs to its owner alone, and nothing is left of it after a failure.
 * Connections are confined to one thread at a time.
 *
 * Errors: TALLY_ENOTFOUND there is no such file (TALLY_STORE_READ and TALLY_STORE_WRITE)
 *         TALLY_ECONFLICT there is one (TALLY_STORE_CREATE)
 *         TALLY_ECORRUPT  it is damaged, or something else
 *         TALLY_ENOTSUP   a newer version wrote it
 *         TALLY_EINVAL, TALLY_EBUSY, TALLY_EIO, TALLY_ENOMEM
 */
tally_status tl_sqlite_open(sqlite3 **db_out, const char *path, const struct tl_sqlite_kind *kind,
                            enum tally_store_mode mode, struct tally_error *err);
void tl_sqlite_close(sqlite3 *db);   /* NULL is allowed */
void tl_sqlite_closep(sqlite3 **db); /* for TL_CLEANUP */

/* Removes a database and what SQLite puts beside it, as far as they are there. */
void tl_sqlite_remove(const char *path);

/* Turns what `db` reports about its last call into a status. `what` was not possible. */
tally_status tl_sqlite_fail(sqlite3 *db, const char *what, struct tally_error *err);

/* How long a call waits for locks of others. SQLite's own timeout sleeps for up to 100 ms at once, so
 * that whoever writes more often comes first again and again. */
void tl_sqlite_wait_at_most(sqlite3 *db, int limit_ms);

/* Runs statements that give no rows. */
tally_status tl_sqlite_exec(sqlite3 *db, const char *sql, struct tally_error *err);

/* The caller owns *stmt_out and ends it with sqlite3_finalize(). */
tally_status tl_sqlite_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **stmt_out,
                               struct tally_error *err);
void tl_sqlite_finalizep(sqlite3_stmt **stmt); /* for TL_CLEANUP */

/* Steps to the next row; resets `stmt` after the last one and after a failure. */
tally_status tl_sqlite_next(sqlite3_stmt *stmt, bool *row_out, struct tally_error *err);

/* Steps through a statement that gives no row, and resets it. */
tally_status tl_sqlite_run(sqlite3_stmt *stmt, struct tally_error *err);

/* Bytes of the file of the log; 0 if nothing was ever written to it, -1 unknown. */
int64_t tl_sqlite_log_size(sqlite3 *db);

/*
 * A log that a reader has kept for long is begun anew, but its file stays as long as it was; cutting
 * it off takes the file system a while, and nobody can write meanwhile. Before a commit: should that be
 * the one that begins the log anew, it cuts off a piece of one longer than TL_SQLITE_LOG_KEPT.
 */
#define TL_SQLITE_LOG_KEPT (INT64_C(128) << 20)
#define TL_SQLITE_LOG_CUT  (INT64_C(64) << 20)
void tl_sqlite_cut_log(sqlite3 *db);

#endif /* TL_STORE_SQLITE_H */
