/*
 * tally/store.h - the interface that every store implements; for those who write one.
 *
 * A store keeps records in order of seq, and what goes with them: ids, tiles, checkpoints, the
 * head. It does not hash, sign or interpret what it keeps: it returns the exact bytes it was given,
 * because verification recomputes every hash from them. Searching is not its task either; that is
 * what the index is for.
 */
#ifndef TALLY_STORE_H
#define TALLY_STORE_H

#include <stddef.h>
#include <stdint.h>

#include <tally/error.h>
#include <tally/export.h>

TALLY_BEGIN_DECLS

#define TALLY_STORE_VERSION 1
#define TALLY_LEAF_LEN      104 /* bytes; a control leaf goes on after this with its JSON payload */
#define TALLY_LEAF_ID_AT    32 /* offset in the leaf of the 16-byte id; all zero in control leaves */
#define TALLY_LEAF_ID_LEN   16
#define TALLY_HASH_LEN      32   /* bytes */
#define TALLY_SEED_LEN      32   /* bytes */
#define TALLY_TILE_LEN      8192 /* bytes: 256 hashes */
#define TALLY_FRONTIER_MAX  2048 /* bytes: 64 hashes */

/*
 * An event as it is stored, with its leaf and what opens its commitment. All byte ranges are
 * borrowed: valid until the call or callback they came with returns. NULL means SQL NULL: absent.
 */
struct tally_record {
    uint64_t seq;
    const uint8_t *leaf;
    size_t leaf_len;     /* bytes, TALLY_LEAF_LEN or more */
    const char *event;   /* canonical JSON; NULL in a control record, and after a purge or erase */
    size_t event_len;    /* bytes */
    const uint8_t *seed; /* TALLY_SEED_LEN bytes; NULL without event, or after a partial erasure */
    size_t seed_len;     /* bytes; stored bytes may have any length until they were verified */
    const uint8_t *opened; /* what still opens after a partial erasure; else NULL */
    size_t opened_len;     /* bytes */
};

/* What remains of the content of a record. The seed always goes. */
struct tally_reduction {
    uint64_t seq;
    const char *event;     /* what is left of the event; NULL: nothing */
    size_t event_len;      /* bytes */
    const uint8_t *opened; /* what still opens; NULL together with `event` */
    size_t opened_len;     /* bytes */
};

/* A full tile: the hashes of 256 neighbouring nodes, `level` * 8 above the leaves. */
struct tally_tile {
    uint32_t level;
    uint64_t n;
    const uint8_t *data; /* TALLY_TILE_LEN bytes, borrowed */
};

/* A signed checkpoint, as C2SP note text. Borrowed. */
struct tally_checkpoint {
    uint64_t size; /* leaves it covers */
    const char *note;
    size_t note_len; /* bytes */
};

/* What a ledger commits to at one moment. A zeroed head stands for a ledger just created. */
struct tally_head {
    uint64_t size; /* leaves; also the seq of the next record */
    uint8_t root[TALLY_HASH_LEN];
    uint8_t frontier[TALLY_FRONTIER_MAX]; /* a hash for each bit set in size, highest bit first */
    size_t frontier_len;                  /* bytes */
    uint32_t epoch;
};

/* Records to append, and the head of the ledger once they are there. Borrowed like the records. */
struct tally_batch {
    const struct tally_record *records;
    size_t count; /* 1 or more */
    const struct tally_tile *tiles;
    size_t tile_count;
    struct tally_checkpoint checkpoint; /* of size head.size */
    uint64_t drop_checkpoint;           /* size of a checkpoint that may be forgotten now,
                                 unless cosign() was called for it; 0 for none */
    struct tally_head head;
};

/* Return anything but TALLY_OK to stop a scan; that status becomes the result of the scan. */
typedef tally_status tally_record_fn(void *ctx, const struct tally_record *record);
typedef tally_status tally_tile_fn(void *ctx, const struct tally_tile *tile);
typedef tally_status tally_checkpoint_fn(void *ctx, const struct tally_checkpoint *checkpoint);

struct tally_store;

enum tally_store_caps {
    TALLY_STORE_DURABLE = 1 << 0, /* append() returns only after the data survives power loss */
    TALLY_STORE_VOLATILE = 1 << 1 /* contents end with the process; old contents may be dropped */
};

enum tally_store_mode {
    TALLY_STORE_READ = 0,  /* an existing store, never to be changed */
    TALLY_STORE_WRITE = 1, /* an existing store */
    TALLY_STORE_CREATE = 2 /* a new one; TALLY_ECONFLICT if something is there already */
};

/* A seq that no record has. */
#define TALLY_SEQ_NONE UINT64_MAX

/*
 * One table of these per kind of store, static and const. Calls on one store never overlap, so
 * that a store needs no locks of its own; two stores, also two made from one another by
 * open_reader(), may be in use at the same time by different threads. Unless a member says
 * otherwise it is required, and a call that fails leaves the store as it was.
 */
struct tally_store_ops {
    uint32_t version;   /* TALLY_STORE_VERSION; members after a `since` comment need that version */
    uint32_t caps;      /* enum tally_store_caps */
    const char *scheme; /* the part of a URI before the colon that selects this kind, "sqlite" */

    /* Opens, or creates, the store that `location` names: the part of the URI after the colon. */
    tally_status (*open)(struct tally_store **store_out, const char *location,
                         enum tally_store_mode mode, struct tally_error *err);

    /*
     * Opens a second handle on the same data for reading, to be used beside `store` and closed
     * before it.
     */
    tally_status (*open_reader)(struct tally_store *store, struct tally_store **reader_out,
                                struct tally_error *err);

    /*
     * From begin_read() to end_read() all reading calls see the same state, whatever is appended
     * meanwhile. They do not nest. Without them each call sees the newest state.
     */
    tally_status (*begin_read)(struct tally_store *store, struct tally_error *err);
    void (*end_read)(struct tally_store *store);

    /* Sets *head_out to the one given with the last batch, or zeroes it if there was none. */
    tally_status (*head)(struct tally_store *store, struct tally_head *head_out,
                         struct tally_error *err);

    /*
     * Stores all of `batch` or none of it, provided that the current head still is `expected` (size
     * and root); otherwise TALLY_ECONFLICT. The first record has seq == expected->size, the others
     * follow on. The id of each leaf that is not all zero is entered, and none is there yet;
     * TALLY_ECONFLICT if one is. After TALLY_EBUSY the same call may be repeated. TALLY_ELIMIT
     * means that the store is full. After TALLY_EIO nobody knows whether the batch is there: the
     * caller reads the head again before it goes on.
     */
    tally_status (*append)(struct tally_store *store, const struct tally_head *expected,
                           const struct tally_batch *batch, struct tally_error *err);

    /* Sets seqs_out[i] to the seq whose leaf holds ids[i], or TALLY_SEQ_NONE. */
    tally_status (*find_ids)(struct tally_store *store, const uint8_t (*ids)[TALLY_LEAF_ID_LEN],
                             size_t count, uint64_t *seqs_out, struct tally_error *err);

    /*
     * Calls `fn` for each record with first <= seq < end that is there, in order. What is missing
     * is passed over in silence: it is the caller who knows which are to be there. `fn` may not use
     * the store.
     */
    tally_status (*scan)(struct tally_store *store, uint64_t first, uint64_t end,
                         tally_record_fn *fn, void *ctx, struct tally_error *err);

    /* Calls `fn` for each full tile, by level, then n. */
    tally_status (*scan_tiles)(struct tally_store *store, tally_tile_fn *fn, void *ctx,
                               struct tally_error *err);

    /* Copies a full tile to data_out (TALLY_TILE_LEN bytes). TALLY_ENOTFOUND if it is not there. */
    tally_status (*tile)(struct tally_store *store, uint32_t level, uint64_t n, uint8_t *data_out,
                         struct tally_error *err);

    /* Calls `fn` for each kept checkpoint with size >= first, in order of size. */
    tally_status (*scan_checkpoints)(struct tally_store *store, uint64_t first,
                                     tally_checkpoint_fn *fn, void *ctx, struct tally_error *err);

    /* Sets *size_out to the size of the newest checkpoint, or 0 if there is none. */
    tally_status (*newest_checkpoint)(struct tally_store *store, uint64_t *size_out,
                                      struct tally_error *err);

    /*
     * For verification: calls `fn` for each finding of the store about itself, such as a damaged
     * page, an id that points nowhere, or a record beyond the head. NULL if it has nothing to say.
     */
    tally_status (*self_check)(struct tally_store *store,
                               void (*fn)(void *ctx, const char *code, uint64_t seq,
                                          const char *what),
                               void *ctx, struct tally_error *err);

    /* Releases everything, `store` included. */
    void (*close)(struct tally_store *store);

    /*
     * Both may be NULL: contents then cannot be removed (TALLY_ENOTSUP). They may be called
     * on a handle opened for writing of its own, in any process, beside the one that appends: neither
     * touches leaves, ids, tiles, checkpoints or the head. TALLY_EBUSY: nothing was done, try again.
     *
     * reduce(): replaces the contents of records, all or none, in ascending order of seq; what was there
     * before is overwritten in the data that later reads see. Durable when it returns. A record that is
     * not there is TALLY_ENOTFOUND. A reader between begin_read() and end_read() goes on to see what was
     * there when it began. Neighbours belong into one call, some hundred of them: that is how room becomes
     * free. Reducing a record again changes nothing but tells reclaim() where to look.
     */
    tally_status (*reduce)(struct tally_store *store, const struct tally_reduction *reductions,
                           size_t count, struct tally_error *err);

    /*
     * reclaim(): does one step of at most about `max_bytes` of giving back the room of removed contents
     * to the system, and of clearing logs and free pages of what was in them. *left_out says about how
     * much there still is to do, and becomes less with each step unless others write meanwhile; it is 0
     * if none of what was removed is left anywhere in the store's files.
     * It knows what this handle has reduced: after a crash in between, reduce again, then reclaim.
     * TALLY_EBUSY: a reader still needs what was there, or others write all the time; *left_out is not 0.
     */
    tally_status (*reclaim)(struct tally_store *store, uint64_t max_bytes, uint64_t *left_out,
                            struct tally_error *err);

    /*
     * Puts `note` in place of that of the checkpoint of `size` leaves, or back if it was forgotten
     * meanwhile; that size is not above the head's. From then on the checkpoint is kept for ever: a
     * drop_checkpoint that names it is passed over. May be called like reduce(), and in a volatile
     * store on any handle. Durable when it returns. May be NULL: checkpoints then cannot be anchored
     * (TALLY_ENOTSUP). TALLY_EINVAL: the ledger does not reach that far. TALLY_EBUSY: nothing was done.
     */
    tally_status (*cosign)(struct tally_store *store, uint64_t size, const char *note,
                           size_t note_len, struct tally_error *err);
};

/* The part all stores share. A store embeds it as its first member, named `base`. */
struct tally_store {
    const struct tally_store_ops *ops;
};

/*
 * Makes a kind of store known under its scheme, for all ledgers opened later. `ops` must outlive
 * the process. Not to be called while another thread opens a ledger.
 *
 * Errors: TALLY_EINVAL a required member is NULL or the version is not known,
 *         TALLY_ECONFLICT the scheme is taken, TALLY_ELIMIT there are 16 kinds already
 */
TALLY_API tally_status tally_store_register(const struct tally_store_ops *ops,
                                            struct tally_error *err);

TALLY_END_DECLS

#endif /* TALLY_STORE_H */
