/* store/store_sqlite_parts.h - what the source files of the SQLite store share. */
#ifndef TL_STORE_STORE_SQLITE_PARTS_H
#define TL_STORE_STORE_SQLITE_PARTS_H

#include <string.h>

#include "store/idset.h"
#include "store/sqlite.h"
#include "store/store_sqlite.h"

/* Ids that wait in memory, and in `event_id_recent`, before they are moved to `event_id`. */
extern size_t tl_sqlite_ids_waiting; /* set by tests only */

/* Statements that are used again and again. */
enum tl_sqlite_stmt {
    TL_STMT_BEGIN_WRITE,
    TL_STMT_BEGIN_READ,
    TL_STMT_COMMIT,
    TL_STMT_HEAD,
    TL_STMT_SET_HEAD,
    TL_STMT_ADD_RECORD,
    TL_STMT_ADD_RECORDS,
    TL_STMT_SCAN,
    TL_STMT_ADD_TILE,
    TL_STMT_TILE,
    TL_STMT_SCAN_TILES,
    TL_STMT_ADD_CHECKPOINT,
    TL_STMT_DROP_CHECKPOINT,
    TL_STMT_COSIGN,
    TL_STMT_SCAN_CHECKPOINTS,
    TL_STMT_NEWEST_CHECKPOINT,
    TL_STMT_FIND_ID,
    TL_STMT_LAST_ID,
    TL_STMT_ADD_ID,
    TL_STMT_ADD_IDS,
    TL_STMT_ADD_RECENT,
    TL_STMT_SCAN_RECENT,
    TL_STMT_DROP_RECENT,
    TL_STMT_REDUCE,
    TL_STMT_CONTENT_LEN,
    TL_STMT_DROP_RECORDS,
    TL_STMT_COUNT
};

/*
 * Where ids are looked up. Random ids touch a page of `event_id` each, and every touched page is
 * written twice: at ten million records a batch would write a hundred times its own size. So new
 * ids are kept in memory and, for the next start, in `event_id_recent`, one row for each batch.
 * When enough have come they are sorted and moved, a slice with each batch, so that neighbours
 * share the pages they touch.
 *
 * An id in neither set nor in `event_id` is not in the ledger.
 */
struct tl_sqlite_ids {
    uint64_t loaded;       /* rows of event_id_recent from here on are not in the sets yet */
    struct tl_idset fresh; /* what came last */
    size_t committed;      /* of these, how many are in the ledger for certain */
    struct tl_idset moving;
    struct tl_idset_entry *sorted; /* those of `moving` by id; NULL if nothing is moving */
    size_t moved;                  /* of these, how many are in event_id */
    uint64_t moving_end;           /* the rows of event_id_recent below hold nothing else */
    struct tl_idset absent; /* what find() did not find, when the head had the size `absent_at` */
    uint64_t absent_at;
};

/* Records, both ends inclusive. */
struct tl_sqlite_range {
    uint64_t first, last;
};

struct store_sqlite {
    struct tally_store base;
    char *path;
    enum tally_store_mode mode; /* TALLY_STORE_READ or TALLY_STORE_WRITE */
    sqlite3 *db;                /* NULL after a commit that failed, until it is opened again */
    sqlite3_stmt *stmts[TL_STMT_COUNT]; /* NULL until first used */
    bool reading;
    struct tl_sqlite_ids ids;

    /* What reduce() may have left copies of in the unused parts of pages, until reclaim() was there. */
    struct tl_sqlite_range *touched;
    size_t touched_count;
    size_t touched_capacity;
};

/* The statements that made the tables, the view and the triggers, as sqlite_schema shows them. */
extern const char *const tl_sqlite_ledger_objects[];
extern const size_t tl_sqlite_ledger_object_count;
extern const struct tl_sqlite_kind tl_sqlite_ledger_kind;

/* Borrows the statement, compiling it if need be. */
tally_status tl_store_sqlite_stmt(struct store_sqlite *store, enum tl_sqlite_stmt which,
                                  sqlite3_stmt **stmt_out, struct tally_error *err);
tally_status tl_store_sqlite_head(struct store_sqlite *store, struct tally_head *head_out,
                                  struct tally_error *err);

/* Opens the database if a failed commit has closed it. */
tally_status tl_store_sqlite_reopen(struct store_sqlite *store, struct tally_error *err);

/* Runs a statement that gives no rows. */
tally_status tl_store_sqlite_run(struct store_sqlite *store, enum tl_sqlite_stmt which,
                                 struct tally_error *err);
/* After a failed commit nobody knows whether what was to be written is there; the connection is
 * closed, so that the next call reads anew. */
tally_status tl_store_sqlite_commit(struct store_sqlite *store, struct tally_error *err);
void tl_store_sqlite_rollback(struct store_sqlite *store); /* if there is a transaction */
struct store_sqlite *tl_store_sqlite_of(struct tally_store *store);

void tl_sqlite_ids_init(struct tl_sqlite_ids *ids);
void tl_sqlite_ids_release(struct tl_sqlite_ids *ids);

/* The greatest id in event_id. Ids that begin with the time come in order: no need to look up. */
struct tl_sqlite_last_id {
    bool known;
    uint8_t id[TALLY_LEAF_ID_LEN];
};

tally_status tl_sqlite_ids_last(struct store_sqlite *store, struct tl_sqlite_last_id *last,
                                struct tally_error *err);

/* Whether an id is certain not to be in event_id. */
static inline bool tl_sqlite_is_after(const struct tl_sqlite_last_id *last, const uint8_t *id)
{
    return last->known && memcmp(id, last->id, TALLY_LEAF_ID_LEN) > 0;
}

/* Like find_ids() of the store; `ids` are `count` times TALLY_LEAF_ID_LEN bytes. */
tally_status tl_sqlite_ids_find(struct store_sqlite *store, const uint8_t *ids, size_t count,
                                uint64_t *seqs_out, struct tally_error *err);

/*
 * What append() does about ids. Within its transaction: add(); then done() after the commit, or
 * undo() if it came to none.
 */
tally_status tl_sqlite_ids_add(struct store_sqlite *store, const struct tally_batch *batch,
                               struct tally_error *err);
void tl_sqlite_ids_done(struct tl_sqlite_ids *ids, const struct tally_batch *batch);
void tl_sqlite_ids_undo(struct tl_sqlite_ids *ids);

/* reduce() and reclaim() of the store. */
tally_status tl_store_sqlite_reduce(struct tally_store *base,
                                    const struct tally_reduction *reductions, size_t count,
                                    struct tally_error *err);
tally_status tl_store_sqlite_reclaim(struct tally_store *base, uint64_t max_bytes,
                                     uint64_t *left_out, struct tally_error *err);

/* self_check() of the store. */
tally_status tl_store_sqlite_check(struct store_sqlite *store,
                                   void (*fn)(void *ctx, const char *code, uint64_t seq,
                                              const char *what),
                                   void *ctx, struct tally_error *err);

#endif /* TL_STORE_STORE_SQLITE_PARTS_H */
