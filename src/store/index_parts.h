/*
 * store/index_parts.h - what the source files of the index share.
 *
 * Records are grouped in blocks. For each block the table `zone` has the least and the greatest
 * occurred_at, and that of every record as an offset from the least, all of the same width and unit: so the
 * time of any record is found at once, for two or three bytes a record. There is no tree ordered by
 * time: records come almost in this order, so that few blocks overlap.
 *
 * Terms are kept by segment: a run of records that were entered together, with all their terms in
 * order on sheets (store/postings.h), each a row of the table `sheet`. Segments follow on one
 * another without holes. What is entered is written once, as a new segment at the end; several small
 * segments are merged into one when they have become many, large ones never. Where contents are removed,
 * the sheets of a segment are written anew, and the revision in the table `meta` goes up.
 */
#ifndef TL_STORE_INDEX_PARTS_H
#define TL_STORE_INDEX_PARTS_H

#include "base/arena.h"
#include "store/index.h"
#include "store/postings.h"
#include "store/sqlite.h"

#define TL_INDEX_BLOCK_SHIFT 12
#define TL_INDEX_BLOCK       ((size_t)1 << TL_INDEX_BLOCK_SHIFT) /* records */

/* The bounds of a block, without the times in it. */
struct tl_zone {
    uint64_t block;
    int64_t low, high; /* occurred_at, both inclusive */
};

struct tl_segment {
    uint64_t first;
    uint32_t records;
};

enum tl_index_stmt {
    TL_INDEX_BEGIN_READ,
    TL_INDEX_BEGIN_WRITE,
    TL_INDEX_COMMIT,
    TL_INDEX_ROLLBACK,
    TL_INDEX_POSITION,
    TL_INDEX_SET_POSITION,
    TL_INDEX_SCAN_SEGMENTS,
    TL_INDEX_ADD_SEGMENT,
    TL_INDEX_DROP_SEGMENTS,
    TL_INDEX_DROP_SHEETS,
    TL_INDEX_ADD_SHEET,
    TL_INDEX_FIND_SHEET,
    TL_INDEX_SCAN_SHEETS,
    TL_INDEX_SHEETS_OF,
    TL_INDEX_SET_ZONE,
    TL_INDEX_SCAN_ZONES,
    TL_INDEX_TIMES,
    TL_INDEX_CLEAR_SHEETS,
    TL_INDEX_SET_REVISION,
    TL_INDEX_ADD_REMOVAL,
    TL_INDEX_SET_REMOVAL,
    TL_INDEX_TRIM_REMOVALS,
    TL_INDEX_SCAN_REMOVALS,
    TL_INDEX_STMT_COUNT
};

struct tl_index {
    sqlite3 *db;
    enum tally_store_mode mode;
    uint64_t device, inode; /* of the file that was opened */
    uint32_t scrub_page;    /* where tl_index_reclaim() goes on */
    bool scrubbed;          /* it went through the file since the last rewriting */
    sqlite3_stmt *stmts[TL_INDEX_STMT_COUNT]; /* NULL until first used */

    uint64_t hash_key[2]; /* random: nobody can prepare terms that meet in a hash table */

    /* Copies of what is in the database up to `segments_position`, as of this revision: it is another
     * one when entries that were there have been changed. */
    uint64_t revision;
    struct tl_segment *segments;
    size_t segment_count;
    size_t segment_capacity;
    uint64_t segments_position;

    /* Likewise, up to `zones_position`. */
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

/* Brings index->segments up to `position`. */
tally_status tl_segments_load(struct tl_index *index, uint64_t position, struct tally_error *err);

/* Which segment has `seq`, which must be below the position. */
size_t tl_segment_of(const struct tl_index *index, uint64_t seq);

/* Sets the bits of the records of a segment that have `term`; see tl_places_mark(). `sheet` is
 * memory to work in. */
tally_status tl_segment_mark(struct tl_index *index, const struct tl_segment *segment,
                             struct tl_str term, struct tl_sheet *sheet, uint8_t *bitmap,
                             struct tally_error *err);

/* Calls `fn` with each entry of a segment, in order. */
typedef tally_status tl_sheet_fn(void *ctx, struct tl_sheet *sheet, struct tally_error *err);
tally_status tl_segment_each(struct tl_index *index, const struct tl_segment *segment,
                             tl_sheet_fn *fn, void *ctx, struct tally_error *err);

/* Writes the terms of records that follow on `position`, merging them with segments before. */
tally_status tl_segments_add(struct tl_index *index, uint64_t position,
                             const struct tl_index_entry *entries, size_t count,
                             struct tally_error *err);

/* Collects the terms of a segment as they are to be when `entries`, all of records in it, take the
 * place of what is there; and writes them. */
struct tl_gather;
tally_status tl_segment_gather(struct tl_index *index, const struct tl_segment *segment,
                               const struct tl_index_entry *entries, size_t count,
                               struct tl_gather *gather, struct tally_error *err);
tally_status tl_segment_replace(struct tl_index *index, const struct tl_segment *segment,
                                const struct tl_gather *gather, struct tally_error *err);

/* Collects the terms of one segment. Confined to one thread; a released one is zeroed. */
struct tl_gather {
    const uint64_t *hash_key;
    struct tl_gathered *terms; /* distinct */
    size_t count, capacity;
    uint64_t *slots; /* of a hash table: the high half of a term's hash, and its index + 1 */
    size_t slot_count, slots_start;
    struct tl_gathered_pair *pairs; /* in the order they came */
    size_t pair_count, pair_capacity;
    uint32_t *places; /* after tl_gather_sort(): by term, ascending */
    struct tl_arena texts;
    bool any_order; /* places need not come in ascending order */
};

#define TL_GATHERED_HEAD 16u

struct tl_gathered {
    const char *text;
    uint64_t head[2]; /* the first bytes of the text, as numbers that order like them */
    uint32_t len;
    uint32_t count; /* places */
    uint32_t first; /* index into `places` */
    uint32_t last;  /* the place that came last */
};

struct tl_gathered_pair {
    uint32_t term, place;
};

/* `records` is how many to expect. */
void tl_gather_init(struct tl_gather *gather, const uint64_t hash_key[2], size_t records);
void tl_gather_release(struct tl_gather *gather);

/* Adds one place of each of the terms; `terms` is borrowed until the release. Places come in
 * ascending order, or gather->any_order is set; a term that comes twice is taken once. */
tally_status tl_gather_entry(struct tl_gather *gather, struct tl_str terms, uint32_t place,
                             struct tally_error *err);

/* Adds the places of an entry that was written before, moved by `shift`; but for those whose bit is
 * set in `without`, which may be NULL. */
tally_status tl_gather_sheet(struct tl_gather *gather, struct tl_sheet *sheet, uint32_t shift,
                             const uint8_t *without, struct tally_error *err);

/* Puts the terms in order, and finds the places of each. */
tally_status tl_gather_sort(struct tl_gather *gather, struct tally_error *err);

/* Brings index->zones up to `position`. */
tally_status tl_zones_load(struct tl_index *index, uint64_t position, struct tally_error *err);

/* Loads the times of a block. TALLY_ECORRUPT if they are not those of a zone below `position`. */
tally_status tl_zone_times(struct tl_index *index, uint64_t block, struct tally_error *err);

/* Adds the times of records that follow on `position`; index->times is then that of the last. */
tally_status tl_zones_add(struct tl_index *index, uint64_t position,
                          const struct tl_index_entry *entries, size_t count,
                          struct tally_error *err);

/* Changes the times of records below the position, up to which the zones are loaded. */
tally_status tl_zones_change(struct tl_index *index, const struct tl_index_entry *entries,
                             size_t count, struct tally_error *err);

/* Forgets what is known of the file. */
void tl_index_forget(struct tl_index *index);

#endif /* TL_STORE_INDEX_PARTS_H */
