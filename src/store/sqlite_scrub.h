/*
 * store/sqlite_scrub.h - clears what SQLite leaves behind in the unused part of its pages.
 *
 * secure_delete overwrites what is deleted. But when SQLite moves rows from a page to its neighbours,
 * copies of them stay between the list of cells and the cells of the page that is laid out anew; a row
 * that is deleted later is gone from the page it is on, and not from there. The unused part is named by
 * the page itself, so it can be found and set to zero without touching a row.
 *
 * That is done in the file, through SQLite's own handle: the log is empty and no one else may write
 * meanwhile, so that nothing else writes to the file, and readers need no byte of what is written.
 */
#ifndef TL_STORE_SQLITE_SCRUB_H
#define TL_STORE_SQLITE_SCRUB_H

#include "store/sqlite.h"

/*
 * Moves the log into the database and empties it. Writers wait for 20 ms at most, and while a few pages
 * are moved.
 *
 * Errors: TALLY_EBUSY a reader, or somebody else, needs it as it is; TALLY_EIO
 */
tally_status tl_sqlite_empty_log(sqlite3 *db, struct tally_error *err);

/*
 * One step: clears the leaf pages of a rowid table that have rows from *next_key on, about `max_bytes`
 * of them; *next_key becomes the key to go on with, above `last_key` when done. The connection is in
 * no transaction. Errors: TALLY_EBUSY, TALLY_ECORRUPT, TALLY_ELIMIT the file is too large,
 * TALLY_EIO, TALLY_ENOMEM
 */
tally_status tl_sqlite_scrub_rows(sqlite3 *db, const char *table, int64_t *next_key,
                                  int64_t last_key, uint64_t max_bytes, struct tally_error *err);

/* Likewise the pages of all tables and indexes; *next_page, at first 0, is 0 again when done, and
 * *left_out the bytes of the pages that come after. */
tally_status tl_sqlite_scrub_all(sqlite3 *db, uint32_t *next_page, uint64_t max_bytes,
                                 uint64_t *left_out, struct tally_error *err);

/* One step of giving free pages back to the system, about `max_bytes` of them. */
tally_status tl_sqlite_give_back(sqlite3 *db, uint64_t max_bytes, struct tally_error *err);

/* How much there is to give back: nothing in a file that was made without auto_vacuum=INCREMENTAL,
 * where free pages are used again. */
tally_status tl_sqlite_free_bytes(sqlite3 *db, uint64_t *bytes_out, struct tally_error *err);

#endif /* TL_STORE_SQLITE_SCRUB_H */
