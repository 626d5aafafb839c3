#include <stdio.h>
#include <stdlib.h>

#include "store/sqlite_scrub.h"
#include "store/store_copy.h"
#include "store/store_sqlite_parts.h"

#define RECORDS_AT_ONCE 16384u /* in one transaction of a new copy, and between two reports */
#define RECLAIM_BYTES   ((uint64_t)64 << 20)
#define LEAF_KIND_AT    4u
#define LEAF_KIND_ENTRY 1u

/* Ids are sorted by so many before they are entered, so that neighbours share pages. */
#define IDS_AT_ONCE ((size_t)1 << 19)

struct id_entry {
    uint8_t id[TALLY_LEAF_ID_LEN];
    uint64_t seq;
};

enum stmt {
    ADD_RECORD,
    REDUCE,
    ADD_ID,
    ADD_TILE,
    SET_CHECKPOINT,
    DROP_CHECKPOINT,
    SET_HEAD,
    STMT_COUNT,
};

static const char *const statements[STMT_COUNT] = {
    [ADD_RECORD] = "INSERT INTO record(seq, leaf, event, seed, opened) VALUES(?, ?, ?, ?, ?)",
    [REDUCE] =
        "UPDATE record SET event = ?3, seed = ?4, opened = ?5 WHERE seq = ?1 AND ?2 NOT NULL "
        "AND (event IS NOT ?3 OR seed IS NOT ?4 OR opened IS NOT ?5)",
    [ADD_ID] = "INSERT OR IGNORE INTO event_id(id, seq) VALUES(?, ?)",
    [ADD_TILE] = "INSERT OR REPLACE INTO tile(level, n, data) VALUES(?, ?, ?)",
    [SET_CHECKPOINT] = "INSERT INTO checkpoint(size, note) VALUES(?1, ?2) ON CONFLICT(size) DO "
                       "UPDATE SET note = ?2 WHERE note IS NOT ?2",
    [DROP_CHECKPOINT] = "DELETE FROM checkpoint WHERE size = ?",
    [SET_HEAD] =
        "INSERT OR REPLACE INTO head(one, size, root, frontier, epoch) VALUES(1, ?, ?, ?, ?)",
};

struct tl_store_copy {
    struct tally_store *base;
    struct store_sqlite *store; /* the same */
    enum tl_store_copy_mode mode;
    sqlite3_stmt *stmts[STMT_COUNT];
    struct id_entry *ids; /* IDS_AT_ONCE of them */
    size_t id_count;
    struct tl_store_copied copied;
    bool has_older;       /* a checkpoint of what was there before is kept there too */
    uint64_t uncommitted; /* records since the last commit, of a new copy */
    tl_store_copy_fn *progress;
    void *ctx;
    struct tally_error *err; /* of the call at hand */
};

static tally_status begin(struct tl_store_copy *copy, struct tally_error *err)
{
    return tl_sqlite_exec(copy->store->db, "BEGIN IMMEDIATE", err);
}

tally_status tl_store_copy_open(struct tl_store_copy **copy_out, const char *path,
                                enum tl_store_copy_mode mode, struct tally_error *err)
{
    char uri[4096 + 32];
    int len = snprintf(uri, sizeof(uri), "sqlite:%s", path);
    if (len < 0 || (size_t)len >= sizeof(uri)) {
        return tl_fail(err, TALLY_EINVAL, "the path of the copy is too long");
    }
    TL_CLEANUP(tl_store_copy_closep)
    struct tl_store_copy *copy = tl_alloc_array(1, sizeof(*copy));
    if (copy == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a copy");
    }
    copy->mode = mode;
    copy->ids = tl_alloc_array(IDS_AT_ONCE, sizeof(*copy->ids));
    if (copy->ids == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate the ids of a copy");
    }
    if (mode == TL_STORE_COPY_NEW) {
        tl_sqlite_remove(path);
    }
    TL_TRY(tl_store_open(&copy->base, uri,
                         mode == TL_STORE_COPY_NEW ? TALLY_STORE_CREATE : TALLY_STORE_WRITE, err));
    copy->store = tl_container_of(copy->base, struct store_sqlite, base);
    TL_TRY(begin(copy, err));
    copy->store->copying = true;
    *copy_out = TL_TAKE(copy);
    return TALLY_OK;
}

struct tally_store *tl_store_copy_view(struct tl_store_copy *copy)
{
    return copy->base;
}

static void finalize_all(struct tl_store_copy *copy)
{
    for (size_t i = 0; i < STMT_COUNT; i++) {
        tl_sqlite_finalizep(&copy->stmts[i]);
    }
}

void tl_store_copy_close(struct tl_store_copy *copy)
{
    if (copy == NULL) {
        return;
    }
    finalize_all(copy);
    tl_store_close(copy->base); /* rolls back */
    tl_free(copy->ids);
    tl_free(copy);
}

void tl_store_copy_closep(struct tl_store_copy **copy)
{
    tl_store_copy_close(*copy);
    *copy = NULL;
}

static tally_status stmt_of(struct tl_store_copy *copy, enum stmt which, sqlite3_stmt **stmt_out)
{
    if (copy->stmts[which] == NULL) {
        TL_TRY(
            tl_sqlite_prepare(copy->store->db, statements[which], &copy->stmts[which], copy->err));
    }
    *stmt_out = copy->stmts[which];
    return TALLY_OK;
}

static int compare_ids(const void *a, const void *b)
{
    return memcmp(((const struct id_entry *)a)->id, ((const struct id_entry *)b)->id,
                  TALLY_LEAF_ID_LEN);
}

static tally_status flush_ids(struct tl_store_copy *copy)
{
    sqlite3_stmt *stmt = NULL;
    TL_TRY(stmt_of(copy, ADD_ID, &stmt));
    qsort(copy->ids, copy->id_count, sizeof(*copy->ids), compare_ids);
    for (size_t i = 0; i < copy->id_count; i++) {
        (void)sqlite3_bind_blob(stmt, 1, copy->ids[i].id, TALLY_LEAF_ID_LEN, SQLITE_STATIC);
        (void)sqlite3_bind_int64(stmt, 2, (int64_t)copy->ids[i].seq); /* these cannot fail */
        TL_TRY(tl_sqlite_run(stmt, copy->err));
    }
    copy->id_count = 0;
    return TALLY_OK;
}

static tally_status note_id(struct tl_store_copy *copy, const struct tally_record *record)
{
    static const uint8_t no_id[TALLY_LEAF_ID_LEN];
    if (record->leaf_len < TALLY_LEAF_LEN ||
        memcmp(record->leaf + TALLY_LEAF_ID_AT, no_id, sizeof(no_id)) == 0) {
        return TALLY_OK;
    }
    if (copy->id_count == IDS_AT_ONCE) {
        TL_TRY(flush_ids(copy));
    }
    struct id_entry *entry = &copy->ids[copy->id_count++];
    memcpy(entry->id, record->leaf + TALLY_LEAF_ID_AT, sizeof(entry->id));
    entry->seq = record->seq;
    return TALLY_OK;
}

static tally_status run_with(struct tl_store_copy *copy, enum stmt which,
                             const struct tally_record *record)
{
    sqlite3_stmt *stmt = NULL;
    TL_TRY(stmt_of(copy, which, &stmt));
    if (tl_store_sqlite_bind(stmt, 0, record) != SQLITE_OK) {
        return tl_fail(copy->err, TALLY_ELIMIT, "record %llu is too long for SQLite",
                       (unsigned long long)record->seq);
    }
    return tl_sqlite_run(stmt, copy->err);
}

static tally_status tell(struct tl_store_copy *copy, uint64_t done)
{
    if (copy->progress == NULL || done % RECORDS_AT_ONCE != 0) {
        return TALLY_OK;
    }
    tally_status status = copy->progress(copy->ctx, done, copy->copied.size);
    return status == TALLY_OK ? status : tl_fail(copy->err, status, "stopped");
}

static uint64_t length_of(const struct tally_record *record)
{
    return record->leaf_len + record->event_len + record->seed_len + record->opened_len;
}

static tally_status add_record(void *ctx, const struct tally_record *record)
{
    struct tl_store_copy *copy = ctx;
    TL_TRY(run_with(copy, ADD_RECORD, record));
    TL_TRY(note_id(copy, record));
    copy->copied.bytes += length_of(record);
    if (copy->mode == TL_STORE_COPY_NEW && ++copy->uncommitted == RECORDS_AT_ONCE) {
        copy->uncommitted = 0;
        TL_TRY(tl_sqlite_exec(copy->store->db, "COMMIT", copy->err));
        TL_TRY(begin(copy, copy->err));
    }
    return tell(copy, record->seq + 1);
}

/* Takes away from the copy what the record has no more. */
static tally_status reduce_record(void *ctx, const struct tally_record *record)
{
    struct tl_store_copy *copy = ctx;
    bool whole = record->event != NULL && record->opened == NULL;
    bool is_entry =
        record->leaf_len > LEAF_KIND_AT && record->leaf[LEAF_KIND_AT] == LEAF_KIND_ENTRY;
    if (!whole && is_entry) {
        int64_t before = sqlite3_total_changes64(copy->store->db);
        TL_TRY(run_with(copy, REDUCE, record));
        if (sqlite3_total_changes64(copy->store->db) > before) {
            copy->copied.reduced++;
            copy->copied.bytes += length_of(record);
        }
    }
    return tell(copy, record->seq + 1);
}

static tally_status add_tiles(struct tl_store_copy *copy, struct tally_store *from)
{
    TL_CLEANUP(tl_freep) uint8_t *data = tl_alloc_array(TALLY_TILE_LEN, 1);
    sqlite3_stmt *stmt = NULL;
    if (data == NULL) {
        return tl_fail(copy->err, TALLY_ENOMEM, "cannot allocate a tile");
    }
    TL_TRY(stmt_of(copy, ADD_TILE, &stmt));
    for (uint32_t level = 0; 8 * (level + 1) < 64; level++) {
        uint64_t end = copy->copied.size >> (8 * (level + 1));
        for (uint64_t n = copy->copied.from >> (8 * (level + 1)); n < end; n++) {
            tally_status status = tl_store_tile(from, level, n, data, copy->err);
            if (status != TALLY_OK) {
                return status == TALLY_ENOTFOUND ? TALLY_ECORRUPT : status;
            }
            (void)sqlite3_bind_int64(stmt, 1, level); /* these cannot fail */
            (void)sqlite3_bind_int64(stmt, 2, (int64_t)n);
            (void)sqlite3_bind_blob(stmt, 3, data, TALLY_TILE_LEN, SQLITE_STATIC);
            TL_TRY(tl_sqlite_run(stmt, copy->err));
            copy->copied.bytes += TALLY_TILE_LEN;
        }
    }
    return TALLY_OK;
}

static tally_status set_checkpoint(void *ctx, const struct tally_checkpoint *checkpoint)
{
    struct tl_store_copy *copy = ctx;
    sqlite3_stmt *stmt = NULL;
    copy->has_older = copy->has_older || checkpoint->size == copy->copied.from;
    TL_TRY(stmt_of(copy, SET_CHECKPOINT, &stmt));
    (void)sqlite3_bind_int64(stmt, 1, (int64_t)checkpoint->size); /* these cannot fail */
    (void)sqlite3_bind_text64(stmt, 2, checkpoint->note, checkpoint->note_len, SQLITE_STATIC,
                              SQLITE_UTF8);
    int64_t before = sqlite3_total_changes64(copy->store->db);
    TL_TRY(tl_sqlite_run(stmt, copy->err));
    if (sqlite3_total_changes64(copy->store->db) > before) {
        copy->copied.bytes += checkpoint->note_len;
    }
    return TALLY_OK;
}

/* What was the newest is dropped where it was dropped there: each time one more would be kept. */
static tally_status drop_older(struct tl_store_copy *copy)
{
    sqlite3_stmt *stmt = NULL;
    if (copy->has_older) {
        return TALLY_OK;
    }
    TL_TRY(stmt_of(copy, DROP_CHECKPOINT, &stmt));
    (void)sqlite3_bind_int64(stmt, 1, (int64_t)copy->copied.from); /* cannot fail */
    return tl_sqlite_run(stmt, copy->err);
}

static tally_status set_head(struct tl_store_copy *copy, const struct tally_head *head)
{
    sqlite3_stmt *stmt = NULL;
    TL_TRY(stmt_of(copy, SET_HEAD, &stmt));
    (void)sqlite3_bind_int64(stmt, 1, (int64_t)head->size); /* these cannot fail */
    (void)sqlite3_bind_blob(stmt, 2, head->root, TALLY_HASH_LEN, SQLITE_STATIC);
    (void)sqlite3_bind_blob64(stmt, 3, head->frontier, head->frontier_len, SQLITE_STATIC);
    (void)sqlite3_bind_int64(stmt, 4, head->epoch);
    return tl_sqlite_run(stmt, copy->err);
}

static tally_status fill(struct tl_store_copy *copy, struct tally_store *from)
{
    struct tally_head have;
    struct tally_head want;
    TL_TRY(tl_store_head(copy->base, &have, copy->err));
    TL_TRY(tl_store_head(from, &want, copy->err));
    tl_assert(have.size <= want.size);
    copy->copied = (struct tl_store_copied){ .from = have.size, .size = want.size };
    TL_TRY(tl_store_scan(from, 0, have.size, reduce_record, copy, copy->err));
    TL_TRY(tl_store_scan(from, have.size, want.size, add_record, copy, copy->err));
    TL_TRY(flush_ids(copy));
    TL_TRY(add_tiles(copy, from));
    TL_TRY(tl_store_scan_checkpoints(from, 0, set_checkpoint, copy, copy->err));
    TL_TRY(drop_older(copy));
    return set_head(copy, &want);
}

tally_status tl_store_copy_fill(struct tl_store_copy *copy, struct tally_store *from,
                                tl_store_copy_fn *progress, void *ctx,
                                struct tl_store_copied *copied_out, struct tally_error *err)
{
    copy->progress = progress;
    copy->ctx = ctx;
    copy->err = err;
    tally_status status = fill(copy, from);
    copy->err = NULL;
    *copied_out = copy->copied;
    return status;
}

/* Clears pages of what was moved, gives free ones back, and empties the log: what was overwritten must
 * not be left in any of them. A copy that was made anew never had anything else. */
static tally_status clear_files(struct tl_store_copy *copy, struct tally_error *err)
{
    uint32_t page = 0;
    uint64_t left = copy->mode == TL_STORE_COPY_NEW ? 0 : UINT64_MAX;
    while (left > 0) {
        TL_TRY(tl_sqlite_scrub_all(copy->store->db, &page, RECLAIM_BYTES, &left, err));
    }
    uint64_t before = UINT64_MAX;
    TL_TRY(tl_store_reclaim(copy->base, RECLAIM_BYTES, &left, err));
    while (left > 0 && left < before) {
        before = left;
        TL_TRY(tl_store_reclaim(copy->base, RECLAIM_BYTES, &left, err));
    }
    return TALLY_OK;
}

tally_status tl_store_copy_commit(struct tl_store_copy *copy, struct tally_error *err)
{
    struct tally_error why = TALLY_ERROR_INIT;
    finalize_all(copy);
    TL_TRY(tl_sqlite_exec(copy->store->db, "COMMIT", err));
    copy->store->copying = false;
    tally_status status = clear_files(copy, &why);
    if (status == TALLY_EBUSY) {
        return tl_fail(err, status,
                       "the copy is complete, but somebody reads it: its files cannot be cleared");
    }
    return status == TALLY_OK ? status : tl_fail_with(err, status, &why);
}
