/* Removes contents from the SQLite store. */
#include "store/store_sqlite_parts.h"

static tally_status reduce_one(struct store_sqlite *store, const struct tally_reduction *reduction,
                               struct tally_error *err)
{
    sqlite3_stmt *stmt = NULL;
    TL_TRY(tl_store_sqlite_stmt(store, TL_STMT_REDUCE, &stmt, err));
    int rc = sqlite3_bind_text64(stmt, 1, reduction->event, reduction->event_len, SQLITE_STATIC,
                                 SQLITE_UTF8);
    rc |= sqlite3_bind_blob64(stmt, 2, reduction->opened, reduction->opened_len, SQLITE_STATIC);
    rc |= sqlite3_bind_int64(stmt, 3, (int64_t)reduction->seq);
    if (rc != SQLITE_OK) {
        return tl_fail(err, TALLY_ELIMIT, "record %llu is too long for SQLite",
                       (unsigned long long)reduction->seq);
    }
    TL_TRY(tl_sqlite_run(stmt, err));
    return sqlite3_changes(store->db) == 1
               ? TALLY_OK
               : tl_fail(err, TALLY_ENOTFOUND, "there is no record %llu",
                         (unsigned long long)reduction->seq);
}

tally_status tl_store_sqlite_reduce(struct tally_store *base,
                                    const struct tally_reduction *reductions, size_t count,
                                    struct tally_error *err)
{
    struct store_sqlite *store = tl_store_sqlite_of(base);
    tl_assert(store->mode == TALLY_STORE_WRITE && !store->reading);
    TL_TRY(tl_store_sqlite_run(store, TL_STMT_BEGIN_WRITE, err));
    for (size_t i = 0; i < count; i++) {
        tally_status status = reduce_one(store, &reductions[i], err);
        if (status != TALLY_OK) {
            tl_store_sqlite_rollback(store);
            return status;
        }
    }
    return tl_store_sqlite_commit(store, err);
}

/* Moves the log into the database and empties it; TALLY_EBUSY while a reader needs what is in it. */
static tally_status empty_log(struct store_sqlite *store, struct tally_error *err)
{
    if (sqlite3_wal_checkpoint_v2(store->db, "main", SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL) !=
        SQLITE_OK) {
        return tl_sqlite_fail(store->db, "cannot empty the log of the database", err);
    }
    return TALLY_OK;
}

tally_status tl_store_sqlite_reclaim(struct tally_store *base, uint64_t max_bytes,
                                     uint64_t *left_out, struct tally_error *err)
{
    struct store_sqlite *store = tl_store_sqlite_of(base);
    tl_assert(store->mode == TALLY_STORE_WRITE && !store->reading);
    *left_out = max_bytes;
    TL_TRY(tl_store_sqlite_reopen(store, err));
    TL_TRY(empty_log(store, err));
    *left_out = 0;
    return TALLY_OK;
}
