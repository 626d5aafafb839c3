#include <stdlib.h>
#include <string.h>

#include "store/store_sqlite_parts.h"

#define ROWS_AT_ONCE 64 /* in one statement: a third of the time per row goes into starting one */

/* More would cost memory (48 bytes each), fewer would write the pages of event_id more often. */
size_t tl_sqlite_ids_waiting = (size_t)1 << 18;

void tl_sqlite_ids_init(struct tl_sqlite_ids *ids)
{
    *ids = (struct tl_sqlite_ids){ .absent_at = TALLY_SEQ_NONE };
    tl_idset_init(&ids->fresh);
    tl_idset_init(&ids->moving);
    tl_idset_init(&ids->absent);
}

void tl_sqlite_ids_release(struct tl_sqlite_ids *ids)
{
    tl_idset_release(&ids->fresh);
    tl_idset_release(&ids->moving);
    tl_idset_release(&ids->absent);
    tl_free(TL_TAKE(ids->sorted));
}

static bool is_id(const uint8_t id[TALLY_LEAF_ID_LEN])
{
    static const uint8_t no_id[TALLY_LEAF_ID_LEN];
    return memcmp(id, no_id, sizeof(no_id)) != 0;
}

/* Adds the ids of one row of event_id_recent: that of record `first`, and those that follow. */
static tally_status load_row(struct tl_sqlite_ids *ids, uint64_t first, const uint8_t *bytes,
                             size_t len, struct tally_error *err)
{
    size_t count = len / TALLY_LEAF_ID_LEN;
    TL_TRY(tl_idset_reserve(&ids->fresh, count, err));
    for (size_t i = 0; i < count; i++) {
        const uint8_t *id = bytes + i * TALLY_LEAF_ID_LEN;
        if (is_id(id)) {
            (void)tl_idset_add(&ids->fresh, id, first + i); /* the check finds one told twice */
        }
    }
    ids->loaded = first + count;
    ids->committed = ids->fresh.count;
    return TALLY_OK;
}

/* Adds what was appended by someone else, or before this process began. */
static tally_status load(struct store_sqlite *store, struct tally_error *err)
{
    struct tl_sqlite_ids *ids = &store->ids;
    if (ids->fresh.count > 4 * tl_sqlite_ids_waiting) { /* a reader's: most are moved by now */
        tl_idset_truncate(&ids->fresh, 0);
        ids->committed = 0;
        ids->loaded = 0;
    }
    sqlite3_stmt *stmt = NULL;
    TL_TRY(tl_store_sqlite_stmt(store, TL_STMT_SCAN_RECENT, &stmt, err));
    (void)sqlite3_bind_int64(stmt, 1, (int64_t)ids->loaded); /* cannot fail */
    bool row = false;
    TL_TRY(tl_sqlite_next(stmt, &row, err));
    while (row) {
        int64_t first = sqlite3_column_int64(stmt, 0);
        const uint8_t *bytes = sqlite3_column_blob(stmt, 1);
        tally_status status = TALLY_OK;
        if (bytes != NULL) {
            status =
                load_row(ids, (uint64_t)first, bytes, (size_t)sqlite3_column_bytes(stmt, 1), err);
        }
        if (status != TALLY_OK) {
            (void)sqlite3_reset(stmt); /* it did not fail */
            return status;
        }
        TL_TRY(tl_sqlite_next(stmt, &row, err));
    }
    return TALLY_OK;
}

tally_status tl_sqlite_ids_last(struct store_sqlite *store, struct tl_sqlite_last_id *last,
                                struct tally_error *err)
{
    sqlite3_stmt *stmt = NULL;
    bool row = false;
    *last = (struct tl_sqlite_last_id){ .known = true };
    TL_TRY(tl_store_sqlite_stmt(store, TL_STMT_LAST_ID, &stmt, err));
    TL_TRY(tl_sqlite_next(stmt, &row, err));
    if (row) {
        const void *id = sqlite3_column_blob(stmt, 0);
        last->known = id != NULL && sqlite3_column_bytes(stmt, 0) == TALLY_LEAF_ID_LEN &&
                      sqlite3_column_type(stmt, 0) == SQLITE_BLOB;
        if (last->known) {
            memcpy(last->id, id, sizeof(last->id));
        }
        (void)sqlite3_reset(stmt); /* it did not fail */
    }
    return TALLY_OK;
}

static tally_status find(struct store_sqlite *store, const struct tl_sqlite_last_id *last,
                         const uint8_t *id, uint64_t *seq_out, struct tally_error *err)
{
    uint64_t seq = tl_idset_find(&store->ids.fresh, id);
    seq = seq != TALLY_SEQ_NONE ? seq : tl_idset_find(&store->ids.moving, id);
    *seq_out = seq;
    if (seq != TALLY_SEQ_NONE || tl_sqlite_is_after(last, id)) {
        return TALLY_OK;
    }
    sqlite3_stmt *stmt = NULL;
    bool row = false;
    TL_TRY(tl_store_sqlite_stmt(store, TL_STMT_FIND_ID, &stmt, err));
    (void)sqlite3_bind_blob(stmt, 1, id, TALLY_LEAF_ID_LEN, SQLITE_STATIC); /* cannot fail */
    TL_TRY(tl_sqlite_next(stmt, &row, err));
    if (row) {
        *seq_out = (uint64_t)sqlite3_column_int64(stmt, 0);
        (void)sqlite3_reset(stmt); /* it did not fail */
    }
    return TALLY_OK;
}

/*
 * The sequencer looks ids up before it appends them. That they are absent is remembered, together
 * with the size of the head before the search: while that is the head, nothing was added since.
 */
tally_status tl_sqlite_ids_find(struct store_sqlite *store, const uint8_t *ids, size_t count,
                                uint64_t *seqs_out, struct tally_error *err)
{
    struct tl_idset *absent = &store->ids.absent;
    struct tally_head head;
    struct tl_sqlite_last_id last;
    TL_TRY(tl_store_sqlite_head(store, &head, err));
    TL_TRY(load(store, err)); /* before event_id is read: ids move from there to here */
    TL_TRY(tl_sqlite_ids_last(store, &last, err));
    store->ids.absent_at = TALLY_SEQ_NONE;
    tl_idset_truncate(absent, 0);
    bool remember = store->mode == TALLY_STORE_WRITE;
    if (remember) {
        TL_TRY(tl_idset_reserve(absent, count, err));
    }
    for (size_t i = 0; i < count; i++) {
        uint64_t seq = TALLY_SEQ_NONE;
        const uint8_t *id = ids + i * TALLY_LEAF_ID_LEN;
        TL_TRY(find(store, &last, id, &seq, err));
        seqs_out[i] = seq;
        if (remember && seq == TALLY_SEQ_NONE) {
            (void)tl_idset_add(absent, id, 0); /* the same id may be asked for twice */
        }
    }
    store->ids.absent_at = head.size;
    return TALLY_OK;
}

static int compare_entries(const void *a, const void *b)
{
    const struct tl_idset_entry *x = a;
    const struct tl_idset_entry *y = b;
    return memcmp(x->id, y->id, sizeof(x->id));
}

/* Makes what is fresh the next to be moved, once enough of it has come. */
static tally_status start_moving(struct tl_sqlite_ids *ids, struct tally_error *err)
{
    if (ids->sorted != NULL || ids->fresh.count < tl_sqlite_ids_waiting) {
        return TALLY_OK;
    }
    struct tl_idset_entry *sorted = tl_alloc_array(ids->fresh.count, sizeof(*sorted));
    if (sorted == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot sort %zu ids", ids->fresh.count);
    }
    memcpy(sorted, ids->fresh.entries, ids->fresh.count * sizeof(*sorted));
    qsort(sorted, ids->fresh.count, sizeof(*sorted), compare_entries);
    struct tl_idset empty = ids->moving;
    ids->moving = ids->fresh;
    ids->fresh = empty;
    ids->committed = 0;
    ids->sorted = sorted;
    ids->moved = 0;
    ids->moving_end = ids->loaded;
    return TALLY_OK;
}

static size_t moved_after(const struct tl_sqlite_ids *ids, size_t batch_count)
{
    size_t left = ids->moving.count - ids->moved;
    size_t step = 2 * batch_count; /* twice as fast as new ones come */
    return ids->moved + (left < step ? left : step);
}

/*
 * Enters a slice of the sorted ids into event_id. Some may be there already, if a process was ended
 * while it moved them, or another one moves them as well.
 */
static tally_status move_slice(struct store_sqlite *store, size_t batch_count,
                               struct tally_error *err)
{
    const struct tl_sqlite_ids *ids = &store->ids;
    if (ids->sorted == NULL) {
        return TALLY_OK;
    }
    size_t end = moved_after(ids, batch_count);
    for (size_t at = ids->moved; at < end;) {
        size_t rows = end - at >= ROWS_AT_ONCE ? ROWS_AT_ONCE : 1;
        sqlite3_stmt *stmt = NULL;
        TL_TRY(
            tl_store_sqlite_stmt(store, rows > 1 ? TL_STMT_ADD_IDS : TL_STMT_ADD_ID, &stmt, err));
        for (size_t i = 0; i < rows; i++, at++) {
            int param = (int)(2 * i);
            (void)sqlite3_bind_blob(stmt, param + 1, ids->sorted[at].id, TALLY_LEAF_ID_LEN,
                                    SQLITE_STATIC); /* these cannot fail */
            (void)sqlite3_bind_int64(stmt, param + 2, (int64_t)ids->sorted[at].seq);
        }
        TL_TRY(tl_sqlite_run(stmt, err));
    }
    if (end < ids->moving.count) {
        return TALLY_OK;
    }
    sqlite3_stmt *stmt = NULL;
    TL_TRY(tl_store_sqlite_stmt(store, TL_STMT_DROP_RECENT, &stmt, err));
    (void)sqlite3_bind_int64(stmt, 1, (int64_t)ids->moving_end); /* cannot fail */
    return tl_sqlite_run(stmt, err);
}

/* Enters the id of record `i` of the batch into memory; refuses one that is there. */
static tally_status add_id(struct store_sqlite *store, const struct tl_sqlite_last_id *last,
                           const struct tally_record *record, bool absent_is_known,
                           struct tally_error *err)
{
    const uint8_t *id = record->leaf + TALLY_LEAF_ID_AT;
    if (!is_id(id)) {
        return TALLY_OK;
    }
    uint64_t seq = TALLY_SEQ_NONE;
    if (!absent_is_known || tl_idset_find(&store->ids.absent, id) == TALLY_SEQ_NONE) {
        TL_TRY(find(store, last, id, &seq, err));
    }
    if (seq != TALLY_SEQ_NONE || !tl_idset_add(&store->ids.fresh, id, record->seq)) {
        return tl_fail(err, TALLY_ECONFLICT, "the id of record %llu is there already",
                       (unsigned long long)record->seq);
    }
    return TALLY_OK;
}

/* Writes the row that a later process loads. */
static tally_status add_recent_row(struct store_sqlite *store, const struct tally_batch *batch,
                                   struct tally_error *err)
{
    size_t len = batch->count * TALLY_LEAF_ID_LEN;
    TL_CLEANUP(tl_freep) uint8_t *bytes = tl_alloc_array(batch->count, TALLY_LEAF_ID_LEN);
    if (bytes == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate %zu ids", batch->count);
    }
    for (size_t i = 0; i < batch->count; i++) {
        memcpy(bytes + i * TALLY_LEAF_ID_LEN, batch->records[i].leaf + TALLY_LEAF_ID_AT,
               TALLY_LEAF_ID_LEN);
    }
    sqlite3_stmt *stmt = NULL;
    TL_TRY(tl_store_sqlite_stmt(store, TL_STMT_ADD_RECENT, &stmt, err));
    (void)sqlite3_bind_int64(stmt, 1, (int64_t)batch->records[0].seq); /* these cannot fail */
    (void)sqlite3_bind_blob64(stmt, 2, bytes, len, SQLITE_STATIC);
    return tl_sqlite_run(stmt, err);
}

tally_status tl_sqlite_ids_add(struct store_sqlite *store, const struct tally_batch *batch,
                               struct tally_error *err)
{
    struct tl_sqlite_ids *ids = &store->ids;
    struct tl_sqlite_last_id last;
    TL_TRY(load(store, err));
    TL_TRY(start_moving(ids, err));
    TL_TRY(tl_sqlite_ids_last(store, &last, err));
    TL_TRY(tl_idset_reserve(&ids->fresh, batch->count, err));
    bool absent_is_known = ids->absent_at == batch->records[0].seq;
    for (size_t i = 0; i < batch->count; i++) {
        TL_TRY(add_id(store, &last, &batch->records[i], absent_is_known, err));
    }
    if (ids->fresh.count > ids->committed) {
        TL_TRY(add_recent_row(store, batch, err));
    }
    return move_slice(store, batch->count, err);
}

void tl_sqlite_ids_done(struct tl_sqlite_ids *ids, const struct tally_batch *batch)
{
    ids->loaded = batch->head.size;
    ids->committed = ids->fresh.count;
    if (ids->sorted == NULL) {
        return;
    }
    ids->moved = moved_after(ids, batch->count);
    if (ids->moved == ids->moving.count) {
        tl_idset_truncate(&ids->moving, 0);
        tl_free(TL_TAKE(ids->sorted));
    }
}

void tl_sqlite_ids_undo(struct tl_sqlite_ids *ids)
{
    tl_idset_truncate(&ids->fresh, ids->committed);
}
