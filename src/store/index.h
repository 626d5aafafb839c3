/*
 * store/index.h - the search index of a ledger: index.db, derived from the records, rebuildable.
 *
 * It answers which records may fit a query, newest first, without reading any. It is complete for
 * all seq below its position, and knows nothing of those above. Nothing is believed because the
 * index says so: whoever reads a record checks the filter again, and verification compares the
 * index with the records.
 *
 * A term is a short byte string without the byte 0x1F ("actor_id=user-42"); what terms a record
 * has is decided in model/terms.h.
 */
#ifndef TL_STORE_INDEX_H
#define TL_STORE_INDEX_H

#include <tally/store.h>

#include "base/base.h"
#include "base/str.h"

#define TL_INDEX_SEPARATOR '\x1f'

struct tl_index; /* confined to one thread at a time */

/* Opens `path`; with TALLY_STORE_WRITE a missing or foreign-version file is made anew, empty.
 * With TALLY_STORE_READ a missing one is TALLY_ENOTFOUND; TALLY_STORE_CREATE throws away what is
 * there. */
tally_status tl_index_open(struct tl_index **index_out, const char *path,
                           enum tally_store_mode mode, struct tally_error *err);
void tl_index_close(struct tl_index *index); /* NULL is allowed */

/* Sets *position_out to the first seq the index does not know. */
tally_status tl_index_position(struct tl_index *index, uint64_t *position_out,
                               struct tally_error *err);

/* What is entered for one record. A record without content or terms is entered without terms. */
struct tl_index_entry {
    uint64_t seq;
    int64_t occurred_us; /* microseconds since 1970; of a record without content, recorded time */
    struct tl_str terms; /* separated by TL_INDEX_SEPARATOR */
};

/*
 * Enters records in one transaction and moves the position to `position`. The first has the seq of
 * the old position, the others follow on, without holes.
 */
tally_status tl_index_add(struct tl_index *index, const struct tl_index_entry *entries,
                          size_t count, struct tally_error *err);

/*
 * Removal of contents. The store changes before the index can, so whoever removes contents notes the
 * records first; verification leaves out of its comparison what is noted. The order is:
 *
 *   1. tl_index_removal_begin(): durable when it returns
 *   2. tl_store_reduce(), in as many calls as it takes
 *   3. tl_index_rewrite(), of all records that were reduced
 *   4. tl_index_removal_set(.., TL_REMOVAL_REWRITTEN): index and store agree again
 *   5. tl_store_reclaim() and tl_index_reclaim(), each until nothing is left to do
 *   6. tl_index_removal_set(.., TL_REMOVAL_DONE)
 *
 * After a crash tl_index_removals() names what was not done. It is finished by going through all of
 * it again, from step 2: reducing a record again, and entering again what is there already, change
 * nothing, but tell the reclaiming where to look. The index may be fed by others all the time; they need
 * not know. One that was made anew (tl_index_open() with TALLY_STORE_CREATE, "tally reindex") has no
 * notes, and may have been filled from before step 2: step 4 is then refused, and the steps from 1 on are
 * to be taken with the new one.
 */
enum tl_removal_stage {
    TL_REMOVAL_NOTED = 0,     /* the index may differ from the store */
    TL_REMOVAL_REWRITTEN = 1, /* traces may be left in the files */
    TL_REMOVAL_DONE = 2
};

struct tl_index_removal {
    uint64_t id;          /* counted from 1 */
    uint64_t first, last; /* seqs, both inclusive; not all between need be concerned */
    enum tl_removal_stage stage;
};

/* Notes that contents of records from `first` to `last` will be removed. */
tally_status tl_index_removal_begin(struct tl_index *index, uint64_t first, uint64_t last,
                                    uint64_t *id_out, struct tally_error *err);

/* TALLY_ECONFLICT if the file was replaced since the index was opened: open it again. */
tally_status tl_index_removal_set(struct tl_index *index, uint64_t id, enum tl_removal_stage stage,
                                  struct tally_error *err);

/* Calls `fn` with each note in order of id, TL_REMOVAL_DONE included: some hundreds of those are
 * kept. `fn` may not use the index; a status other than TALLY_OK ends it. */
typedef tally_status tl_index_removal_fn(void *ctx, const struct tl_index_removal *removal);
tally_status tl_index_removals(struct tl_index *index, tl_index_removal_fn *fn, void *ctx,
                               struct tally_error *err);

/*
 * Enters records anew, in ascending order of seq but not all of them: what an index that is made now
 * would have of them. One transaction for each segment that has any of them; a segment is written as a
 * whole, so many records in one call are cheaper than many calls.
 *
 * Errors: TALLY_EBUSY the index is not as far yet as the last record, or others go on writing: later
 */
tally_status tl_index_rewrite(struct tl_index *index, const struct tl_index_entry *entries,
                              size_t count, struct tally_error *err);

/* Like reclaim() of a store. */
tally_status tl_index_reclaim(struct tl_index *index, uint64_t max_bytes, uint64_t *left_out,
                              struct tally_error *err);

/* One of these terms must be there. */
struct tl_index_group {
    const struct tl_str *terms;
    size_t count;
};

/* Which records to name, and in which order. All ranges are half-open. */
struct tl_index_query {
    const struct tl_index_group *groups; /* all of them must hold; none: every record */
    size_t group_count;
    uint64_t seq_first;
    uint64_t seq_end;
    int64_t occurred_from; /* INT64_MIN for no bound */
    int64_t occurred_to;   /* INT64_MAX for no bound */
    bool by_occurred;      /* order by (occurred_at, seq), else by seq */
    bool with_time;        /* name occurred_at although nothing else asks for it */
    bool ascending;
    /* With by_occurred, go on after this (occurred_at, seq), exclusive; by seq the range does. */
    bool has_after;
    int64_t after_occurred;
    uint64_t after_seq;
};

/*
 * Receives each record in order. Return anything but TALLY_OK to stop; TALLY_ECANCELED stops with
 * TALLY_OK. *occurred_us is INT64_MIN where the index did not need to know it.
 */
typedef tally_status tl_index_fn(void *ctx, uint64_t seq, int64_t occurred_us);

/*
 * Names records that fit; may name some that do not fit in occurred_at (the caller checks), never
 * misses one. The time to the first record does not grow with the number of records that fit.
 */
tally_status tl_index_search(struct tl_index *index, const struct tl_index_query *query,
                             tl_index_fn *fn, void *ctx, struct tally_error *err);

#define TL_INDEX_ACTIVE_MAX   200u /* values that are told apart */
#define TL_INDEX_ACTIVE_HOURS 720u

/* How active one value was. */
struct tl_index_active {
    char value[160];
    uint64_t records;
    int64_t last_us;                          /* the greatest occurred_at */
    uint8_t hours[TL_INDEX_ACTIVE_HOURS / 8]; /* a bit for each with a record, low bits first */
};

struct tl_index_activity {
    struct tl_index_active values[TL_INDEX_ACTIVE_MAX];
    size_t count;
    bool is_cut; /* there are others */
};

/* Counts the records that occurred in the TL_INDEX_ACTIVE_HOURS from `from_us` on, by what follows
 * `prefix` in their terms, of which a record has one at most; it is a letter or several. Large: allocate `out`. */
tally_status tl_index_activity(struct tl_index *index, struct tl_str prefix, int64_t from_us,
                               struct tl_index_activity *out, struct tally_error *err);

/*
 * For verification. Adds tl_index_digest_term() of every (term, seq) in the index to
 * sums[seq >> shift], and that of every occurred_at likewise; `count` sums, zeroed by the caller.
 * Records from `end` to the index's position, which moves while a writer is active, are left out;
 * what lies beyond position or sums is TALLY_ECORRUPT. Also runs the database's own checks. `key` is random and
 * new for each verification, so that nobody can prepare an index whose sums agree.
 */
tally_status tl_index_digest(struct tl_index *index, const uint8_t key[16], uint32_t shift,
                             uint64_t *sums, size_t count, uint64_t end, struct tally_error *err);
uint64_t tl_index_digest_term(const uint8_t key[16], struct tl_str term, uint64_t seq);
uint64_t tl_index_digest_time(const uint8_t key[16], int64_t occurred_us, uint64_t seq);

#endif /* TL_STORE_INDEX_H */
