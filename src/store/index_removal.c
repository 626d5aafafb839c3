/* Removal of contents: what is noted of it, and how it is done. */
#include <sys/stat.h>

#include "store/index_parts.h"
#include "store/sqlite_scrub.h"

#define DONE_KEPT 500 /* for verifications that began before they were done */
#define ATTEMPTS  20  /* for a segment that is merged meanwhile */

static void roll_back(struct tl_index *index)
{
    tl_index_forget(index);
    if (sqlite3_get_autocommit(index->db) == 0) {
        (void)tl_index_run(index, TL_INDEX_ROLLBACK, NULL); /* nothing is lost if it is gone */
    }
}

static tally_status add_note(struct tl_index *index, uint64_t first, uint64_t last,
                             struct tally_error *err)
{
    sqlite3_stmt *stmt = NULL;
    TL_TRY(tl_index_run(index, TL_INDEX_BEGIN_WRITE, err));
    TL_TRY(tl_index_stmt(index, TL_INDEX_ADD_REMOVAL, &stmt, err));
    (void)sqlite3_bind_int64(stmt, 1, (int64_t)first); /* these cannot fail */
    (void)sqlite3_bind_int64(stmt, 2, (int64_t)last);
    (void)sqlite3_bind_int64(stmt, 3, TL_REMOVAL_NOTED);
    TL_TRY(tl_sqlite_run(stmt, err));
    TL_TRY(tl_index_stmt(index, TL_INDEX_TRIM_REMOVALS, &stmt, err));
    (void)sqlite3_bind_int64(stmt, 1, TL_REMOVAL_DONE); /* these cannot fail */
    (void)sqlite3_bind_int64(stmt, 2, DONE_KEPT);
    TL_TRY(tl_sqlite_run(stmt, err));
    return tl_index_run(index, TL_INDEX_COMMIT, err);
}

tally_status tl_index_removal_begin(struct tl_index *index, uint64_t first, uint64_t last,
                                    uint64_t *id_out, struct tally_error *err)
{
    tl_assert(index->mode != TALLY_STORE_READ && first <= last && last < INT64_MAX);
    /* The store must not get ahead of the note if the power fails. */
    TL_TRY(tl_sqlite_exec(index->db, "PRAGMA synchronous=FULL", err));
    tally_status status = add_note(index, first, last, err);
    if (status != TALLY_OK) {
        roll_back(index);
    }
    *id_out = (uint64_t)sqlite3_last_insert_rowid(index->db);
    tally_status normal = tl_sqlite_exec(index->db, "PRAGMA synchronous=NORMAL", NULL);
    return status != TALLY_OK ? status : normal;
}

tally_status tl_index_removal_set(struct tl_index *index, uint64_t id, enum tl_removal_stage stage,
                                  struct tally_error *err)
{
    sqlite3_stmt *stmt = NULL;
    struct stat st;
    const char *path = sqlite3_db_filename(index->db, "main");
    if (path == NULL || stat(path, &st) != 0 || st.st_dev != index->device ||
        st.st_ino != index->inode) {
        return tl_fail(err, TALLY_ECONFLICT, "the index was made anew meanwhile");
    }
    TL_TRY(tl_index_stmt(index, TL_INDEX_SET_REMOVAL, &stmt, err));
    (void)sqlite3_bind_int64(stmt, 1, stage); /* these cannot fail */
    (void)sqlite3_bind_int64(stmt, 2, (int64_t)id);
    TL_TRY(tl_sqlite_run(stmt, err));
    return sqlite3_changes(index->db) == 1
               ? TALLY_OK
               : tl_fail(err, TALLY_ENOTFOUND, "the index has no note of removal %llu",
                         (unsigned long long)id);
}

tally_status tl_index_removals(struct tl_index *index, tl_index_removal_fn *fn, void *ctx,
                               struct tally_error *err)
{
    sqlite3_stmt *stmt = NULL;
    bool row = false;
    TL_TRY(tl_index_stmt(index, TL_INDEX_SCAN_REMOVALS, &stmt, err));
    TL_TRY(tl_sqlite_next(stmt, &row, err));
    while (row) {
        int64_t stage = sqlite3_column_int64(stmt, 3);
        struct tl_index_removal removal = { .id = (uint64_t)sqlite3_column_int64(stmt, 0),
                                            .first = (uint64_t)sqlite3_column_int64(stmt, 1),
                                            .last = (uint64_t)sqlite3_column_int64(stmt, 2) };
        /* What makes no sense counts as not begun: that is the safe side. */
        bool later = stage == TL_REMOVAL_REWRITTEN || stage == TL_REMOVAL_DONE;
        removal.stage = later ? (enum tl_removal_stage)stage : TL_REMOVAL_NOTED;
        tally_status status = fn(ctx, &removal);
        if (status != TALLY_OK) {
            (void)sqlite3_reset(stmt); /* it did not fail */
            return status;
        }
        TL_TRY(tl_sqlite_next(stmt, &row, err));
    }
    return TALLY_OK;
}

/* The terms of one segment as they are to be, made without keeping others from writing. */
struct rewriting {
    const struct tl_index_entry *entries;
    size_t count; /* of those that are in the segment */
    struct tl_segment segment;
    uint64_t revision;
    struct tl_gather gather;
};

/* Finds the segment of the first of the entries, and how many of them are in it. */
static tally_status locate(struct tl_index *index, const struct tl_index_entry *entries,
                           size_t count, struct rewriting *rewriting, struct tally_error *err)
{
    uint64_t position = 0;
    TL_TRY(tl_index_position(index, &position, err));
    if (entries[count - 1].seq >= position) {
        return tl_fail(err, TALLY_EBUSY, "the index does not know record %llu yet",
                       (unsigned long long)entries[count - 1].seq);
    }
    TL_TRY(tl_segments_load(index, position, err));
    rewriting->revision = index->revision;
    rewriting->entries = entries;
    rewriting->segment = index->segments[tl_segment_of(index, entries[0].seq)];
    rewriting->count = 1;
    while (rewriting->count < count &&
           entries[rewriting->count].seq - rewriting->segment.first < rewriting->segment.records) {
        rewriting->count++;
    }
    return TALLY_OK;
}

static tally_status prepare(struct tl_index *index, const struct tl_index_entry *entries,
                            size_t count, struct rewriting *rewriting, struct tally_error *err)
{
    TL_TRY(tl_index_run(index, TL_INDEX_BEGIN_READ, err));
    tally_status status = locate(index, entries, count, rewriting, err);
    if (status == TALLY_OK) {
        tl_gather_init(&rewriting->gather, index->hash_key, rewriting->segment.records);
        status = tl_segment_gather(index, &rewriting->segment, entries, rewriting->count,
                                   &rewriting->gather, err);
    }
    (void)tl_index_run(index, TL_INDEX_ROLLBACK, NULL); /* nothing was written */
    return status;
}

static tally_status set_revision(struct tl_index *index, struct tally_error *err)
{
    sqlite3_stmt *stmt = NULL;
    TL_TRY(tl_index_stmt(index, TL_INDEX_SET_REVISION, &stmt, err));
    (void)sqlite3_bind_int64(stmt, 1, (int64_t)(index->revision + 1)); /* cannot fail */
    return tl_sqlite_run(stmt, err);
}

/* Puts in place what was prepared. *stale_out: the segment is another one now. */
static tally_status replace(struct tl_index *index, const struct rewriting *rewriting,
                            bool *stale_out, struct tally_error *err)
{
    uint64_t position = 0;
    TL_TRY(tl_index_run(index, TL_INDEX_BEGIN_WRITE, err));
    TL_TRY(tl_index_position(index, &position, err));
    TL_TRY(tl_segments_load(index, position, err));
    uint64_t seq = rewriting->entries[0].seq;
    const struct tl_segment *now =
        seq < position ? &index->segments[tl_segment_of(index, seq)] : NULL;
    *stale_out = index->revision != rewriting->revision || now == NULL ||
                 now->first != rewriting->segment.first ||
                 now->records != rewriting->segment.records;
    if (*stale_out) {
        return tl_index_run(index, TL_INDEX_ROLLBACK, err);
    }
    TL_TRY(tl_segment_replace(index, &rewriting->segment, &rewriting->gather, err));
    TL_TRY(tl_zones_load(index, position, err));
    TL_TRY(tl_zones_change(index, rewriting->entries, rewriting->count, err));
    TL_TRY(set_revision(index, err));
    return tl_index_run(index, TL_INDEX_COMMIT, err);
}

/* Rewrites the segment of the first of the entries; *done_out is how many are in it. */
static tally_status rewrite_segment(struct tl_index *index, const struct tl_index_entry *entries,
                                    size_t count, size_t *done_out, struct tally_error *err)
{
    for (int i = 0; i < ATTEMPTS; i++) {
        struct rewriting rewriting = { 0 };
        bool stale = false;
        tally_status status = prepare(index, entries, count, &rewriting, err);
        if (status == TALLY_OK) {
            status = replace(index, &rewriting, &stale, err);
        }
        tl_gather_release(&rewriting.gather);
        if (status != TALLY_OK) {
            roll_back(index);
            return status;
        }
        if (!stale) {
            *done_out = rewriting.count;
            return TALLY_OK;
        }
    }
    return tl_fail(err, TALLY_EBUSY, "others go on writing to the index");
}

tally_status tl_index_rewrite(struct tl_index *index, const struct tl_index_entry *entries,
                              size_t count, struct tally_error *err)
{
    tl_assert(index->mode != TALLY_STORE_READ);
    for (size_t i = 1; i < count; i++) {
        tl_assert(entries[i].seq > entries[i - 1].seq);
    }
    if (count > 0) {
        index->scrubbed = false;
        index->scrub_page = 0;
    }
    for (size_t at = 0; at < count;) {
        size_t done = 0;
        TL_TRY(rewrite_segment(index, entries + at, count - at, &done, err));
        at += done;
    }
    return TALLY_OK;
}

tally_status tl_index_reclaim(struct tl_index *index, uint64_t max_bytes, uint64_t *left_out,
                              struct tally_error *err)
{
    uint64_t unscrubbed = 0;
    uint64_t free_bytes = 0;
    tl_assert(index->mode != TALLY_STORE_READ);
    *left_out = max_bytes == 0 ? 1 : max_bytes; /* should it fail */
    if (!index->scrubbed) {
        TL_TRY(tl_sqlite_scrub_all(index->db, &index->scrub_page, max_bytes, &unscrubbed, err));
        index->scrubbed = unscrubbed == 0;
    } else {
        TL_TRY(tl_sqlite_give_back(index->db, max_bytes, err));
    }
    TL_TRY(tl_sqlite_empty_log(index->db, err));
    TL_TRY(tl_sqlite_free_bytes(index->db, &free_bytes, err));
    *left_out = free_bytes + unscrubbed;
    return TALLY_OK;
}
