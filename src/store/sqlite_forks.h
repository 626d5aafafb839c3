/*
 * store/sqlite_forks.h - keeps a forked child away from databases that its parent had open.
 *
 * SQLite remembers in memory which locks its process holds on a file, POSIX locks being what they
 * are. A child inherits the memory and not the locks, and a connection it opens anew would believe
 * that it is protected (https://sqlite.org/howtocorrupt.html, 2.6).
 */
#ifndef TL_STORE_SQLITE_FORKS_H
#define TL_STORE_SQLITE_FORKS_H

#include "base/base.h"

/* Counts a connection to the file that is about to be opened; a file that is not there is passed.
 * Errors: TALLY_ENOTSUP an ancestor had it open when it forked; TALLY_ENOMEM */
tally_status tl_sqlite_enter(const char *path, struct tally_error *err);

/* A connection was closed, or could not be opened. */
void tl_sqlite_leave(const char *path);

#endif /* TL_STORE_SQLITE_FORKS_H */
