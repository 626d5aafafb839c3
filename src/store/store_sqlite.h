/*
 * store/store_sqlite.h - keeps a ledger in one SQLite database; the location is its path.
 *
 * For tables see store_sqlite.c. The plain sqlite3 program may read the file at any time; the view
 * `event` shows the members of the events as columns.
 */
#ifndef TL_STORE_STORE_SQLITE_H
#define TL_STORE_STORE_SQLITE_H

#include <tally/store.h>

extern const struct tally_store_ops tl_store_sqlite_ops;

#endif /* TL_STORE_STORE_SQLITE_H */
