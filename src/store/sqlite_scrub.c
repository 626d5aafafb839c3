#include "store/sqlite_scrub.h"

#include <stdio.h>
#include <string.h>

#include "base/bytes.h"

#define LOG_TIMEOUT_MS     20  /* for readers: meanwhile nobody can write */
#define LOG_LEFT_MAX       256 /* pages that are moved while nobody can write */
#define LOG_TRIES          50  /* of a millisecond and more each, before they are more */
#define ATTEMPTS           10
#define PIECE_PAUSE_MS     25 /* between two cuts of a long log */
#define VACUUM_INCREMENTAL 2  /* what PRAGMA auto_vacuum says */
#define DEPTH_MAX          20 /* of a tree of pages; SQLite's own bound */

/* The number of the next page comes first on pages that are none of a tree. Below this one, these
 * bytes cannot be taken for the kind of a tree's page. */
#define PAGES_MAX UINT32_C(0x02000000)

/* https://www.sqlite.org/fileformat2.html: the kinds of pages of a tree. */
enum page_kind {
    PAGE_INDEX_INNER = 0x02,
    PAGE_TABLE_INNER = 0x05,
    PAGE_INDEX_LEAF = 0x0a,
    PAGE_TABLE_LEAF = 0x0d
};
#define INNER_HEADER 12u /* bytes */
#define LEAF_HEADER  8u

struct scrub {
    sqlite3 *db;
    sqlite3_file *file;
    uint8_t *page;
    uint32_t page_size;
    uint32_t page_count;
    uint32_t map_every; /* pages between two that tell the parents of others; 0: there are none */
    bool wrote;
};

static tally_status damaged(struct tally_error *err)
{
    return tl_fail(err, TALLY_ECORRUPT, "a page of the database is damaged");
}

/* Most of the work, without anybody having to wait. A reader may keep all that is newer than its
 * snapshot from being moved, mostly for a moment; what comes after says whether it is done. */
static void move_log(sqlite3 *db)
{
    for (int i = 0; i < LOG_TRIES; i++) {
        int pages = 0;
        int moved = 0;
        int rc = sqlite3_wal_checkpoint_v2(db, "main", SQLITE_CHECKPOINT_PASSIVE, &pages, &moved);
        if (rc == SQLITE_OK && pages - moved <= LOG_LEFT_MAX) {
            return;
        }
        (void)sqlite3_sleep(1); /* says how long it was */
    }
}

static tally_status number(sqlite3 *db, const char *sql, int64_t *out, struct tally_error *err)
{
    TL_CLEANUP(tl_sqlite_finalizep) sqlite3_stmt *stmt = NULL;
    bool row = false;
    TL_TRY(tl_sqlite_prepare(db, sql, &stmt, err));
    TL_TRY(tl_sqlite_next(stmt, &row, err));
    *out = row ? sqlite3_column_int64(stmt, 0) : 0;
    return TALLY_OK;
}

/* A commit that changes nothing, and makes others forget the pages that they know. */
static tally_status commit_nothing(sqlite3 *db, struct tally_error *err)
{
    int64_t version = 0;
    char sql[64];
    TL_TRY(number(db, "PRAGMA user_version", &version, err));
    (void)snprintf(sql, sizeof(sql), "PRAGMA user_version=%lld", (long long)version);
    return tl_sqlite_exec(db, sql, err);
}

/* Piece by piece, with time for others to write between. What is in the way is also in that of
 * emptying it, which says so. */
static void shorten_log(sqlite3 *db)
{
    int64_t size = tl_sqlite_log_size(db);
    for (int idle = 0; idle < ATTEMPTS && size > TL_SQLITE_LOG_KEPT; idle++) {
        if (sqlite3_wal_checkpoint_v2(db, "main", SQLITE_CHECKPOINT_RESTART, NULL, NULL) !=
            SQLITE_OK) {
            return;
        }
        tl_sqlite_cut_log(db);
        (void)commit_nothing(db, NULL); /* unless somebody else has begun it anew */
        int64_t before = size;
        size = tl_sqlite_log_size(db);
        idle = size < before ? 0 : idle;
        (void)sqlite3_sleep(PIECE_PAUSE_MS); /* says how long it was */
    }
}

tally_status tl_sqlite_empty_log(sqlite3 *db, struct tally_error *err)
{
    move_log(db);
    tl_sqlite_wait_at_most(db, LOG_TIMEOUT_MS);
    shorten_log(db);
    int rc = sqlite3_wal_checkpoint_v2(db, "main", SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    tally_status status =
        rc == SQLITE_OK ? TALLY_OK : tl_sqlite_fail(db, "cannot empty the log", err);
    tl_sqlite_wait_at_most(db, TL_SQLITE_TURN_TIMEOUT_MS);
    return status;
}

/* Takes the lock of the writer while the log is empty. */
static tally_status lock_alone(sqlite3 *db, struct tally_error *err)
{
    for (int i = 0; i < ATTEMPTS; i++) {
        TL_TRY(tl_sqlite_empty_log(db, err));
        TL_TRY(tl_sqlite_exec(db, "BEGIN IMMEDIATE", err));
        if (tl_sqlite_log_size(db) == 0) {
            return TALLY_OK;
        }
        TL_TRY(tl_sqlite_exec(db, "ROLLBACK", err));
    }
    return tl_fail(err, TALLY_EBUSY, "others go on writing to the log of the database");
}

static tally_status look_at(struct scrub *scrub, struct tally_error *err)
{
    int64_t page_size = 0;
    int64_t page_count = 0;
    int64_t vacuum = 0;
    TL_TRY(number(scrub->db, "PRAGMA page_size", &page_size, err));
    TL_TRY(number(scrub->db, "PRAGMA page_count", &page_count, err));
    TL_TRY(number(scrub->db, "PRAGMA auto_vacuum", &vacuum, err));
    if (page_count >= PAGES_MAX) {
        return tl_fail(err, TALLY_ELIMIT, "the database has too many pages to be cleared");
    }
    scrub->page_size = (uint32_t)page_size;
    scrub->page_count = (uint32_t)page_count;
    scrub->map_every = vacuum == 0 ? 0 : scrub->page_size / 5 + 1;
    scrub->page = tl_alloc_array(scrub->page_size, 1);
    if (scrub->page == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a page");
    }
    (void)sqlite3_file_control(scrub->db, "main", SQLITE_FCNTL_FILE_POINTER, (void *)&scrub->file);
    if (scrub->file == NULL || scrub->file->pMethods == NULL) {
        return tl_fail(err, TALLY_EIO, "the database has no file");
    }
    return TALLY_OK;
}

static tally_status begin(struct scrub *scrub, struct tally_error *err)
{
    TL_TRY(lock_alone(scrub->db, err));
    /* What is in memory would be written again as it was. */
    (void)sqlite3_db_release_memory(scrub->db);
    return look_at(scrub, err);
}

/* Makes what was written durable, and others forget the pages that they know. `status` is that of
 * the step: what was done of it has to reach them, too. */
static tally_status finish(struct scrub *scrub, tally_status status, struct tally_error *err)
{
    if (!scrub->wrote) {
        return status;
    }
    tl_assert(scrub->file != NULL);
    struct tally_error *say = status == TALLY_OK ? err : NULL;
    if (scrub->file->pMethods->xSync(scrub->file, SQLITE_SYNC_NORMAL) != SQLITE_OK) {
        return status != TALLY_OK ? status : tl_fail(say, TALLY_EIO, "cannot sync the database");
    }
    tally_status told = commit_nothing(scrub->db, say);
    if (told == TALLY_OK) {
        told = tl_sqlite_exec(scrub->db, "COMMIT", say);
    }
    return status != TALLY_OK ? status : told;
}

static void scrub_end(struct scrub *scrub)
{
    if (sqlite3_get_autocommit(scrub->db) == 0) {
        (void)tl_sqlite_exec(scrub->db, "ROLLBACK",
                             NULL); /* nothing was changed, or told already */
    }
    tl_free(scrub->page);
}

static tally_status read_page(struct scrub *scrub, uint32_t page, struct tally_error *err)
{
    tl_assert(scrub->file != NULL && scrub->page != NULL);
    if (page < 2 || page > scrub->page_count) {
        return damaged(err); /* the first has the schema only */
    }
    sqlite3_int64 at = (sqlite3_int64)(page - 1) * scrub->page_size;
    int rc = scrub->file->pMethods->xRead(scrub->file, scrub->page, (int)scrub->page_size, at);
    return rc == SQLITE_OK ? TALLY_OK : tl_fail(err, TALLY_EIO, "cannot read the database");
}

static uint32_t header_len(uint8_t kind)
{
    return kind == PAGE_INDEX_INNER || kind == PAGE_TABLE_INNER ? INNER_HEADER : LEAF_HEADER;
}

/* The bytes between the list of cells and the cells. Nothing of a cell lies there, or it is no page
 * of a tree. */
static bool unused_part(const struct scrub *scrub, size_t *from_out, size_t *to_out)
{
    const uint8_t *page = scrub->page;
    tl_assert(page != NULL);
    size_t cells = tl_get_be16(page + 3);
    size_t list = header_len(page[0]);
    size_t from = list + 2 * cells;
    size_t to = tl_get_be16(page + 5);
    to = to == 0 ? 65536 : to;
    if (from > to || to > scrub->page_size) {
        return false;
    }
    for (size_t i = 0; i < cells; i++) {
        size_t cell = tl_get_be16(page + list + 2 * i);
        if (cell < to || cell >= scrub->page_size) {
            return false;
        }
    }
    *from_out = from;
    *to_out = to;
    return true;
}

static tally_status clear_unused(struct scrub *scrub, uint32_t page, struct tally_error *err)
{
    size_t from = 0;
    size_t to = 0;
    if (!unused_part(scrub, &from, &to)) {
        return damaged(err);
    }
    size_t at = from;
    while (at < to && scrub->page[at] == 0) {
        at++;
    }
    if (at == to) {
        return TALLY_OK;
    }
    memset(scrub->page + from, 0, to - from);
    sqlite3_int64 offset = (sqlite3_int64)(page - 1) * scrub->page_size + (sqlite3_int64)from;
    scrub->wrote = true;
    int rc =
        scrub->file->pMethods->xWrite(scrub->file, scrub->page + from, (int)(to - from), offset);
    return rc == SQLITE_OK ? TALLY_OK : tl_fail(err, TALLY_EIO, "cannot write the database");
}

/* Reads the key of a cell of an inner page of a table. */
static bool read_key(const uint8_t *bytes, const uint8_t *end, uint64_t *key_out)
{
    uint64_t key = 0;
    for (int i = 0; i < 9 && bytes < end; i++, bytes++) {
        key = i == 8 ? key << 8 | *bytes : key << 7 | (*bytes & 0x7fu);
        if (i == 8 || (*bytes & 0x80u) == 0) {
            *key_out = key;
            return true;
        }
    }
    return false;
}

/* Which page below this inner one has `key`; *last_out becomes the greatest key it may have, where
 * there is a bound. */
static tally_status child_of(const struct scrub *scrub, int64_t key, uint32_t *child_out,
                             int64_t *last_out, struct tally_error *err)
{
    size_t from = 0;
    size_t to = 0;
    if (!unused_part(scrub, &from, &to)) {
        return damaged(err);
    }
    const uint8_t *page = scrub->page;
    size_t low = 0;
    size_t high = tl_get_be16(page + 3);
    *child_out = tl_get_be32(page + 8);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        size_t cell = tl_get_be16(page + INNER_HEADER + 2 * middle);
        uint64_t bound = 0;
        if (cell + 4 > scrub->page_size ||
            !read_key(page + cell + 4, page + scrub->page_size, &bound)) {
            return damaged(err);
        }
        if ((int64_t)bound < key) {
            low = middle + 1;
        } else {
            high = middle;
            *child_out = tl_get_be32(page + cell);
            *last_out = (int64_t)bound;
        }
    }
    return TALLY_OK;
}

/* Clears the leaf that has `key`, or would have it; *last_out is the greatest key it may have. */
static tally_status clear_leaf_of(struct scrub *scrub, uint32_t root, int64_t key,
                                  int64_t *last_out, struct tally_error *err)
{
    uint32_t page = root;
    *last_out = INT64_MAX;
    for (int depth = 0; depth < DEPTH_MAX; depth++) {
        TL_TRY(read_page(scrub, page, err));
        tl_assert(scrub->page != NULL);
        if (scrub->page[0] == PAGE_TABLE_LEAF) {
            return clear_unused(scrub, page, err);
        }
        if (scrub->page[0] != PAGE_TABLE_INNER) {
            return damaged(err);
        }
        TL_TRY(child_of(scrub, key, &page, last_out, err));
    }
    return damaged(err);
}

static tally_status root_of(struct scrub *scrub, const char *table, uint32_t *root_out,
                            struct tally_error *err)
{
    TL_CLEANUP(tl_sqlite_finalizep) sqlite3_stmt *stmt = NULL;
    bool row = false;
    TL_TRY(tl_sqlite_prepare(scrub->db, "SELECT rootpage FROM sqlite_schema WHERE name = ?", &stmt,
                             err));
    (void)sqlite3_bind_text(stmt, 1, table, -1, SQLITE_STATIC);
    TL_TRY(tl_sqlite_next(stmt, &row, err));
    int64_t root = row ? sqlite3_column_int64(stmt, 0) : 0;
    if (root < 2 || root > scrub->page_count) {
        return damaged(err);
    }
    *root_out = (uint32_t)root;
    return TALLY_OK;
}

static tally_status scrub_rows(struct scrub *scrub, const char *table, int64_t *next_key,
                               int64_t last_key, uint64_t max_bytes, struct tally_error *err)
{
    uint32_t root = 0;
    tally_status status = TALLY_OK;
    TL_TRY(begin(scrub, err));
    TL_TRY(root_of(scrub, table, &root, err));
    for (uint64_t bytes = 0; status == TALLY_OK && bytes <= max_bytes && *next_key <= last_key;
         bytes += scrub->page_size) {
        int64_t last = 0;
        status = clear_leaf_of(scrub, root, *next_key, &last, err);
        if (status == TALLY_OK) {
            *next_key = last >= last_key ? last_key + 1 : last + 1;
        }
    }
    return finish(scrub, status, err);
}

tally_status tl_sqlite_scrub_rows(sqlite3 *db, const char *table, int64_t *next_key,
                                  int64_t last_key, uint64_t max_bytes, struct tally_error *err)
{
    tl_assert(last_key < INT64_MAX && sqlite3_get_autocommit(db) != 0);
    struct scrub scrub = { .db = db };
    tally_status status = scrub_rows(&scrub, table, next_key, last_key, max_bytes, err);
    scrub_end(&scrub);
    return status;
}

/* Whether a page is one of a tree. */
static bool is_of_tree(const struct scrub *scrub, uint32_t page)
{
    if (scrub->map_every != 0 && (page - 2) % scrub->map_every == 0) {
        return false; /* it says which page belongs to which */
    }
    uint8_t kind = scrub->page[0];
    return kind == PAGE_INDEX_INNER || kind == PAGE_TABLE_INNER || kind == PAGE_INDEX_LEAF ||
           kind == PAGE_TABLE_LEAF;
}

static tally_status clear_page(struct scrub *scrub, uint32_t page, struct tally_error *err)
{
    TL_TRY(read_page(scrub, page, err));
    return is_of_tree(scrub, page) ? clear_unused(scrub, page, err) : TALLY_OK;
}

static tally_status scrub_all(struct scrub *scrub, uint32_t *next_page, uint64_t max_bytes,
                              uint64_t *left_out, struct tally_error *err)
{
    tally_status status = TALLY_OK;
    TL_TRY(begin(scrub, err));
    uint32_t page = *next_page < 2 ? 2 : *next_page;
    for (uint64_t bytes = 0; bytes <= max_bytes && page <= scrub->page_count; page++) {
        status = clear_page(scrub, page, err);
        if (status != TALLY_OK) {
            break;
        }
        bytes += scrub->page_size;
    }
    TL_TRY(finish(scrub, status, err));
    bool more = page <= scrub->page_count;
    *left_out = more ? (uint64_t)(scrub->page_count - page + 1) * scrub->page_size : 0;
    *next_page = more ? page : 0;
    return TALLY_OK;
}

tally_status tl_sqlite_scrub_all(sqlite3 *db, uint32_t *next_page, uint64_t max_bytes,
                                 uint64_t *left_out, struct tally_error *err)
{
    tl_assert(sqlite3_get_autocommit(db) != 0);
    struct scrub scrub = { .db = db };
    tally_status status = scrub_all(&scrub, next_page, max_bytes, left_out, err);
    scrub_end(&scrub);
    return status;
}

tally_status tl_sqlite_free_bytes(sqlite3 *db, uint64_t *bytes_out, struct tally_error *err)
{
    int64_t vacuum = 0;
    int64_t page_size = 0;
    int64_t pages = 0;
    TL_TRY(number(db, "PRAGMA auto_vacuum", &vacuum, err));
    TL_TRY(number(db, "PRAGMA page_size", &page_size, err));
    TL_TRY(number(db, "PRAGMA freelist_count", &pages, err));
    *bytes_out = vacuum == VACUUM_INCREMENTAL ? (uint64_t)pages * (uint64_t)page_size : 0;
    return TALLY_OK;
}

tally_status tl_sqlite_give_back(sqlite3 *db, uint64_t max_bytes, struct tally_error *err)
{
    int64_t page_size = 0;
    uint64_t bytes = 0;
    char sql[64];
    TL_TRY(tl_sqlite_free_bytes(db, &bytes, err));
    if (bytes == 0) {
        return TALLY_OK;
    }
    TL_TRY(number(db, "PRAGMA page_size", &page_size, err));
    if (page_size <= 0) {
        return damaged(err);
    }
    uint64_t pages = max_bytes / (uint64_t)page_size;
    pages = pages == 0 ? 1 : pages;
    pages = pages > PAGES_MAX ? PAGES_MAX : pages;
    (void)snprintf(sql, sizeof(sql), "PRAGMA incremental_vacuum(%lu)", (unsigned long)pages);
    return tl_sqlite_exec(db, sql, err);
}
