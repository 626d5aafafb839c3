/*
 * store/index_parts.h - what the source files of the index share.
 *
 * Records are grouped in blocks. For each block the table `zone` has the least and the greatest
 * occurred_at, and that of every record as an offset from the least, all of the same width: so the
 * time of any record is found at once, for about three bytes a record. There is no tree ordered by
 * time: records come almost in this order, so that few blocks overlap.
 */
#ifndef TL_STORE_INDEX_PARTS_H
#define TL_STORE_INDEX_PARTS_H

#include "store/index.h"
#include "store/sqlite.h"

#define TL_INDEX_BLOCK_SHIFT 12
#define TL_INDEX_BLOCK       ((size_t)1 << TL_INDEX_BLOCK_SHIFT) /* records */

/* The bounds of a block, without the times in it. */
struct tl_zone {
    uint64_t block;
    int64_t low, high; /* occurred_at, both inclusive */
};

enum tl_index_stmt {
    TL_INDEX_BEGIN_READ,
    TL_INDEX_BEGIN_WRITE,
    TL_INDEX_COMMIT,
    TL_INDEX_ROLLBACK,
    TL_INDEX_POSITION,
    TL_INDEX_SET_POSITION,
    TL_INDEX_ADD_TERMS,
    TL_INDEX_SET_ZONE,
    TL_INDEX_SCAN_ZONES,
    TL_INDEX_TIMES,
    TL_INDEX_MATCH_UP,
    TL_INDEX_MATCH_DOWN,
    TL_INDEX_STMT_COUNT
};

struct tl_index {
    sqlite3 *db;
    enum tally_store_mode mode;
    sqlite3_stmt *stmts[TL_INDEX_STMT_COUNT]; /* NULL until first used */

    /* Copies of what is in the database up to `zones_position`. */
    struct tl_zone *zones; /* by block */
    size_t zone_count;
    size_t zone_capacity;
    uint64_t zones_position;

    /* The block whose times were used last. */
    int64_t times[TL_INDEX_BLOCK];
    size_t time_count; /* 0: none is loaded */
    uint64_t time_block;
};

/* Borrows the statement, compiling it if need be. */
tally_status tl_index_stmt(struct tl_index *index, enum tl_index_stmt which,
                           sqlite3_stmt **stmt_out, struct tally_error *err);
tally_status tl_index_run(struct tl_index *index, enum tl_index_stmt which,
                          struct tally_error *err);

/* Makes the tokenizer `tally` known: terms are what stands between separators, byte for byte. */
tally_status tl_index_tokenizer(sqlite3 *db, struct tally_error *err);

/* Brings index->zones up to `position`. */
tally_status tl_zones_load(struct tl_index *index, uint64_t position, struct tally_error *err);

/* Loads the times of a block. TALLY_ECORRUPT if they are not those of a zone below `position`. */
tally_status tl_zone_times(struct tl_index *index, uint64_t block, struct tally_error *err);

/* Adds the times of records that follow on `position`; index->times is then that of the last. */
tally_status tl_zones_add(struct tl_index *index, uint64_t position,
                          const struct tl_index_entry *entries, size_t count,
                          struct tally_error *err);

#endif /* TL_STORE_INDEX_PARTS_H */
