#include <string.h>

#include "base/random.h"
#include "store/store_sqlite_parts.h"

/*
 * Ids and records are compared by sums: one for each block of records, over a keyed hash of every
 * (id, seq), once from the records and once from the ids. Only where the sums differ is every id
 * looked up. The key is new for each check, so that nobody can prepare ids whose sums agree.
 */
#define BLOCK_SHIFT 12

struct check {
    struct store_sqlite *store;
    void (*fn)(void *ctx, const char *code, uint64_t seq, const char *what);
    void *ctx;
    uint64_t size; /* of the head */
    uint8_t key[TL_SIPHASH_KEY_LEN];
    uint64_t *sums; /* by block; what records say minus what ids say */
    struct tl_sqlite_last_id last;
    size_t block_count;
    size_t findings;
};

static void report(struct check *check, const char *code, uint64_t seq, const char *what)
{
    check->findings++;
    check->fn(check->ctx, code, seq, what);
}

/* Calls `fn` for each row of a statement that is used only here. */
static tally_status each_row(struct check *check, const char *sql,
                             tally_status (*fn)(struct check *check, sqlite3_stmt *row,
                                                struct tally_error *err),
                             struct tally_error *err)
{
    TL_CLEANUP(tl_sqlite_finalizep) sqlite3_stmt *stmt = NULL;
    TL_TRY(tl_sqlite_prepare(check->store->db, sql, &stmt, err));
    bool row = false;
    TL_TRY(tl_sqlite_next(stmt, &row, err));
    while (row) {
        TL_TRY(fn(check, stmt, err));
        TL_TRY(tl_sqlite_next(stmt, &row, err));
    }
    return TALLY_OK;
}

static tally_status check_page(struct check *check, sqlite3_stmt *row, struct tally_error *err)
{
    (void)err;
    const char *text = (const char *)sqlite3_column_text(row, 0);
    if (text == NULL || strcmp(text, "ok") != 0) {
        report(check, "STORE_ERROR", TALLY_SEQ_NONE, text == NULL ? "damaged page" : text);
    }
    return TALLY_OK;
}

/* Reports what is not ours. A guard that is missing protects nothing, but is no damage. */
static tally_status check_object(struct check *check, sqlite3_stmt *row, struct tally_error *err)
{
    (void)err;
    const char *sql = (const char *)sqlite3_column_text(row, 0);
    for (size_t i = 0; sql != NULL && i < tl_sqlite_ledger_object_count; i++) {
        if (strcmp(sql, tl_sqlite_ledger_objects[i]) == 0) {
            return TALLY_OK;
        }
    }
    report(check, "STORE_ERROR", TALLY_SEQ_NONE, "a table, view, index or trigger is not ours");
    return TALLY_OK;
}

static uint64_t hash_of(const struct check *check, const void *id, uint64_t seq)
{
    uint8_t bytes[TALLY_LEAF_ID_LEN + sizeof(seq)];
    memcpy(bytes, id, TALLY_LEAF_ID_LEN);
    memcpy(bytes + TALLY_LEAF_ID_LEN, &seq, sizeof(seq));
    return tl_siphash(check->key, bytes, sizeof(bytes));
}

static bool is_id(const void *id)
{
    static const uint8_t no_id[TALLY_LEAF_ID_LEN];
    return memcmp(id, no_id, sizeof(no_id)) != 0;
}

/* Returns the id in the leaf of a row that begins with seq and leaf; NULL if there is none. */
static const uint8_t *id_of_row(sqlite3_stmt *row)
{
    const uint8_t *leaf = sqlite3_column_blob(row, 1);
    if (leaf == NULL || sqlite3_column_bytes(row, 1) < TALLY_LEAF_LEN) {
        return NULL;
    }
    return is_id(leaf + TALLY_LEAF_ID_AT) ? leaf + TALLY_LEAF_ID_AT : NULL;
}

static bool is_blob_or_null(sqlite3_stmt *row, int i)
{
    int type = sqlite3_column_type(row, i);
    return type == SQLITE_BLOB || type == SQLITE_NULL;
}

static tally_status check_record(struct check *check, sqlite3_stmt *row, struct tally_error *err)
{
    (void)err;
    int64_t seq = sqlite3_column_int64(row, 0);
    if (seq < 0 || (uint64_t)seq >= check->size) {
        report(check, "LEAF_EXTRA", (uint64_t)seq, "a record beyond the head");
        return TALLY_OK;
    }
    int event_type = sqlite3_column_type(row, 2);
    if (sqlite3_column_type(row, 1) != SQLITE_BLOB ||
        (event_type != SQLITE_TEXT && event_type != SQLITE_NULL) || !is_blob_or_null(row, 3) ||
        !is_blob_or_null(row, 4)) {
        report(check, "RECORD_MALFORMED", (uint64_t)seq, "a column has the wrong type");
    }
    const uint8_t *id = id_of_row(row);
    if (id != NULL) {
        check->sums[(uint64_t)seq >> BLOCK_SHIFT] += hash_of(check, id, (uint64_t)seq);
    }
    return TALLY_OK;
}

/* Takes an id that stands for record `seq` out of the sums. */
static void subtract(struct check *check, const void *id, uint64_t seq)
{
    if (seq >= check->size) {
        report(check, "INDEX_MISMATCH", seq, "an id of a record that is not there");
        return;
    }
    check->sums[seq >> BLOCK_SHIFT] -= hash_of(check, id, seq);
}

static tally_status subtract_id(struct check *check, sqlite3_stmt *row, struct tally_error *err)
{
    (void)err;
    const void *id = sqlite3_column_blob(row, 0);
    uint64_t seq = (uint64_t)sqlite3_column_int64(row, 1);
    if (id == NULL || sqlite3_column_bytes(row, 0) != TALLY_LEAF_ID_LEN ||
        sqlite3_column_type(row, 0) != SQLITE_BLOB ||
        sqlite3_column_type(row, 1) != SQLITE_INTEGER) {
        report(check, "INDEX_MISMATCH", seq, "a malformed id");
        return TALLY_OK;
    }
    subtract(check, id, seq);
    return TALLY_OK;
}

/*
 * Looks an id up in event_id alone. If that is not in order, an id that should have been looked up
 * is counted twice, and the sums differ.
 */
static tally_status find_moved(struct check *check, const void *id, uint64_t *seq_out,
                               struct tally_error *err)
{
    sqlite3_stmt *stmt = NULL;
    bool row = false;
    *seq_out = TALLY_SEQ_NONE;
    if (tl_sqlite_is_after(&check->last, id)) {
        return TALLY_OK;
    }
    TL_TRY(tl_store_sqlite_stmt(check->store, TL_STMT_FIND_ID, &stmt, err));
    (void)sqlite3_bind_blob(stmt, 1, id, TALLY_LEAF_ID_LEN, SQLITE_STATIC); /* cannot fail */
    TL_TRY(tl_sqlite_next(stmt, &row, err));
    *seq_out = row ? (uint64_t)sqlite3_column_int64(stmt, 0) : TALLY_SEQ_NONE;
    (void)sqlite3_reset(stmt); /* it did not fail */
    return TALLY_OK;
}

/* An id that waits to be moved may have been moved already; then it was counted. */
static tally_status subtract_recent(struct check *check, sqlite3_stmt *row, struct tally_error *err)
{
    uint64_t first = (uint64_t)sqlite3_column_int64(row, 0);
    const uint8_t *ids = sqlite3_column_blob(row, 1);
    size_t len = (size_t)sqlite3_column_bytes(row, 1);
    if (ids == NULL || len % TALLY_LEAF_ID_LEN != 0) {
        report(check, "INDEX_MISMATCH", first, "malformed recent ids");
        return TALLY_OK;
    }
    for (size_t i = 0; i < len / TALLY_LEAF_ID_LEN; i++) {
        const uint8_t *id = ids + i * TALLY_LEAF_ID_LEN;
        uint64_t moved = TALLY_SEQ_NONE;
        if (is_id(id)) {
            TL_TRY(find_moved(check, id, &moved, err));
            if (moved != first + i) {
                subtract(check, id, first + i);
            }
        }
    }
    return TALLY_OK;
}

/* Of a record in a block whose sums differ: is its id where it is looked for? */
static tally_status look_closer(struct check *check, sqlite3_stmt *row, struct tally_error *err)
{
    uint64_t seq = (uint64_t)sqlite3_column_int64(row, 0);
    const uint8_t *id = id_of_row(row);
    if (id == NULL || seq >= check->size || check->sums[seq >> BLOCK_SHIFT] == 0) {
        return TALLY_OK;
    }
    uint64_t found = TALLY_SEQ_NONE;
    TL_TRY(tl_sqlite_ids_find(check->store, id, 1, &found, err));
    if (found != seq) {
        report(check, "INDEX_MISMATCH", seq, "the id of this record is missing or leads elsewhere");
    }
    return TALLY_OK;
}

/* Of an id that stands for a record in such a block: does the record have it? */
static tally_status check_target(struct check *check, sqlite3_stmt *row, struct tally_error *err)
{
    uint64_t seq = (uint64_t)sqlite3_column_int64(row, 0);
    if (seq >= check->size || check->sums[seq >> BLOCK_SHIFT] == 0) {
        return TALLY_OK;
    }
    const void *id = sqlite3_column_blob(row, 2);
    const uint8_t *leaf_id = id_of_row(row);
    if (id != NULL && (leaf_id == NULL || memcmp(id, leaf_id, TALLY_LEAF_ID_LEN) != 0)) {
        report(check, "INDEX_MISMATCH", seq, "an id leads to this record, which has another");
    }
    (void)err;
    return TALLY_OK;
}

static tally_status check_ids(struct check *check, struct tally_error *err)
{
    TL_TRY(each_row(check, "SELECT id, seq FROM event_id", subtract_id, err));
    TL_TRY(tl_sqlite_ids_last(check->store, &check->last, err));
    TL_TRY(each_row(check, "SELECT first, ids FROM event_id_recent", subtract_recent, err));
    size_t bad = 0;
    while (bad < check->block_count && check->sums[bad] == 0) {
        bad++;
    }
    if (bad == check->block_count) {
        return TALLY_OK;
    }
    size_t findings = check->findings;
    TL_TRY(each_row(check, "SELECT seq, leaf FROM record ORDER BY seq", look_closer, err));
    TL_TRY(each_row(check,
                    "SELECT e.seq, r.leaf, e.id FROM event_id e LEFT JOIN record r ON "
                    "r.seq = e.seq WHERE length(e.id) = 16",
                    check_target, err));
    if (check->findings == findings) {
        report(check, "INDEX_MISMATCH", (uint64_t)bad << BLOCK_SHIFT,
               "ids and records differ near this record");
    }
    return TALLY_OK;
}

static tally_status check_tile(struct check *check, sqlite3_stmt *row, struct tally_error *err)
{
    (void)err;
    int64_t level = sqlite3_column_int64(row, 0);
    uint64_t n = (uint64_t)sqlite3_column_int64(row, 1);
    bool beyond = sqlite3_column_type(row, 0) != SQLITE_INTEGER ||
                  sqlite3_column_type(row, 1) != SQLITE_INTEGER || level < 0 || level > 6 ||
                  n >= check->size >> (8 * (level + 1));
    if (beyond) {
        report(check, "TILE_MISMATCH", TALLY_SEQ_NONE, "a tile beyond the head");
        return TALLY_OK;
    }
    if (sqlite3_column_type(row, 2) != SQLITE_BLOB ||
        sqlite3_column_bytes(row, 2) != TALLY_TILE_LEN) {
        report(check, "TILE_MISMATCH", n << (8 * (level + 1)), "a tile of the wrong length");
    }
    return TALLY_OK;
}

tally_status tl_store_sqlite_check(struct store_sqlite *store,
                                   void (*fn)(void *ctx, const char *code, uint64_t seq,
                                              const char *what),
                                   void *ctx, struct tally_error *err)
{
    struct check check = { .store = store, .fn = fn, .ctx = ctx };
    tl_sqlite_ids_release(&store->ids); /* what is in memory proves nothing about the file */
    tl_sqlite_ids_init(&store->ids);
    TL_TRY(each_row(&check, "PRAGMA quick_check(20)", check_page, err));
    TL_TRY(each_row(&check,
                    "SELECT sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_autoindex_tile_1'",
                    check_object, err));
    struct tally_head head;
    TL_TRY(tl_store_sqlite_head(store, &head, err));
    check.size = head.size;
    check.block_count = (size_t)(head.size >> BLOCK_SHIFT) + 1;
    tl_random_bytes(check.key, sizeof(check.key));
    TL_CLEANUP(tl_freep) uint64_t *sums = tl_alloc_array(check.block_count, sizeof(*sums));
    if (sums == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate sums of %zu blocks", check.block_count);
    }
    check.sums = sums;
    TL_TRY(each_row(&check, "SELECT seq, leaf, event, seed, opened FROM record ORDER BY seq",
                    check_record, err));
    TL_TRY(check_ids(&check, err));
    return each_row(&check, "SELECT level, n, data FROM tile", check_tile, err);
}
