/*
 * verify/run.h - what the parts of one verification share.
 *
 * The records are read once, in chunks of whole tiles. For each record, in order: state.c follows
 * the leaves (keys, epochs, policy), checkpoints.c looks at the checkpoint that ends there,
 * content.c opens the commitment. Between chunks, fold.c takes the leaf hashes into the tree. At the
 * end, presence.c judges what is absent, because what excuses it comes later in the ledger.
 */
#ifndef TL_VERIFY_RUN_H
#define TL_VERIFY_RUN_H

#include "base/arena.h"
#include "base/buf.h"
#include "evidence/control.h"
#include "evidence/mac.h"
#include "tree/tree.h"
#include "verify/excuses.h"
#include "verify/findings.h"
#include "verify/ids.h"
#include "verify/verify.h"

#define TL_CHUNK_LEAVES 4096u /* 16 tiles */
#define TL_KEPT_MAX     4096u /* checkpoints in memory; more than a tile can have */
#define TL_KEPT_BYTES   (((size_t)TL_TILE_WIDTH + 1) * TL_NOTE_LEN_MAX)
#define TL_WATCHES_MAX  (TL_REMEMBERED_MAX + TL_RESTORES_MAX + 1)
#define TL_RESTORES_MAX 64u
#define TL_LOG_KEYS_MAX 64u
#define TL_ANCHORS_MAX  16384u

/* The rules in force. Those of a record are the ones before its own leaf. */
struct tl_state {
    bool begun;      /* GENESIS was read */
    bool uncertain;  /* a leaf is missing or unreadable: the next one is believed for a start */
    bool keys_known; /* log and epoch key; not after a leaf that names keys was damaged */
    int64_t time_us;
    struct tl_vkey log_key;
    struct tl_vkey epoch_key;
    char origin[TL_ORIGIN_LEN_MAX + 1];
    bool origin_pinned;  /* a log key of the current incarnation is pinned */
    uint64_t origin_seq; /* of the leaf that began the incarnation */
    uint32_t epoch;
    uint32_t epoch_seconds;
    int64_t start_us;
    uint32_t mac_gen;
    uint32_t incarnation;
    bool policy_known;
    struct tl_policy policy;
    struct tl_arena policy_arenas[2]; /* of the policy in force, and of the next */
    uint32_t policy_arena;

    /* About the leaf at hand, for its checkpoint. */
    enum tl_leaf_kind kind;
    struct tl_vkey log_key_before;
    struct tl_vkey epoch_key_before;
    uint32_t epoch_before;
    bool names_keys; /* KEY or EPOCH: the two above are in use */
};

/* A kept checkpoint. */
struct tl_kept {
    uint64_t size;
    size_t note_at; /* in run->kept_notes */
    size_t note_len;
    bool parsed;
    bool is_seal; /* set when its leaf was read */
    uint8_t root[32];
};

/* A size whose root is wanted; fold.c fills it in. */
struct tl_watch {
    uint64_t size;
    bool known;
    uint8_t root[32]; /* of the tree */
};

#define TL_UNSETTLED_MAX 256u

/* Records of which the index cannot be compared, because contents are being removed. */
struct tl_unsettled {
    struct {
        uint64_t first, last;
    } ranges[TL_UNSETTLED_MAX];
    size_t count;
    uint64_t newest; /* id of the newest removal that is known */
    bool all;        /* more than can be listed */
};

struct tl_anchor {
    uint64_t seq;
    uint64_t size;
    uint8_t root[32];
    uint8_t digest[32]; /* of the token */
    bool is_stamp;      /* which is one of RFC 3161 */
    bool is_doubtful;   /* no kept checkpoint has this root */
};

struct tl_restore {
    uint64_t seq; /* also the size that went on */
    uint64_t lost_size;
    bool has_lost_root;
    uint8_t lost_root[32];
    uint8_t from_root[32];
    char from_origin[TL_ORIGIN_LEN_MAX + 1];
};

enum tl_tiles_answer { TL_TILES_UNASKED = 0, TL_TILES_SOUND, TL_TILES_DOUBTFUL };

/* One verification. Large: allocated. Fields stand by subject: there is one of these. */
struct tl_run { /* NOLINT(clang-analyzer-optin.performance.Padding) */
    const struct tl_verify_input *in;
    struct tl_findings found;
    struct tally_report *report; /* of found */
    struct tally_error error;    /* why a read failed */
    struct tally_error *err;     /* that */

    /* What the ledger claims. */
    struct tally_head head;
    uint64_t size;           /* of the newest checkpoint */
    uint64_t index_position; /* noted before the snapshot; 0 if it could not be read */
    struct tl_unsettled unsettled;
    uint8_t root[32];
    bool newest_parsed;
    bool newest_signed; /* its log line held */
    bool newest_rooted; /* the tree has its root */
    uint64_t newest_s;  /* the time it says, if its epoch line held; else 0 */
    uint64_t witness_bits;
    uint64_t since; /* size of the first remembered checkpoint */

    /* Contents to look at: seqs of [content_first, content_end), or the one of `id`. */
    uint64_t content_first;
    uint64_t content_end;
    bool by_id;
    uint8_t id[TL_LEAF_ID_LEN];

    struct tl_state state;
    struct tl_excuses excuses;
    struct tl_ids ids;
    struct tl_arena scratch; /* of one control leaf */
    struct tl_buf buf;
    struct tl_note note; /* the one at hand */
    struct tl_split split;
    struct tl_json_index index; /* of the event at hand */
    bool canonical;

    bool mac_ready;  /* the generation in force is that of the key given */
    bool mac_seen;   /* some generation was */
    bool mac_missed; /* a MAC could not be checked */
    struct tl_mac mac;

    /* Kept checkpoints of the leaves ahead. */
    struct tl_kept *kept;
    size_t kept_count;
    size_t kept_at;
    struct tl_buf kept_notes;
    uint64_t kept_next; /* size from which on more are to be read */
    bool kept_all;      /* there are no more */

    size_t fold_kept_at;                     /* as kept_at, for the tree */
    uint64_t last_kept;                      /* size of the newest one passed */
    struct tl_watch watches[TL_WATCHES_MAX]; /* by size */
    size_t watch_count;
    size_t watch_at;
    struct tl_restore restores[TL_RESTORES_MAX];
    size_t restore_count;
    struct tl_vkey log_keys[TL_LOG_KEYS_MAX]; /* all that were in force, as far as they fit */
    size_t log_key_count;
    struct tl_anchor *anchors;
    size_t anchor_count;
    size_t anchor_capacity;

    /* The chunk at hand. */
    uint64_t chunk_first;
    uint64_t chunk_end;
    uint64_t next; /* seq that the scan should give next */
    bool hole;     /* the leaves from hole_first to next are missing */
    uint64_t hole_first;
    uint8_t (*hashes)[TL_HASH_LEN]; /* of the leaves of the chunk */
    uint8_t *marks;                 /* enum tl_mark of each */
    int64_t seq_offset;             /* by which the last leaf with a wrong seq was wrong */
    uint64_t leaves;                /* read */

    /* The tree. */
    struct tl_tiler *tiler;
    bool tree_broken;       /* a leaf is missing that no tile could stand in for */
    uint64_t damaged_first; /* findings about leaves here ... */
    uint64_t damaged_end;   /* ... up to here explain why roots differ */
    bool epoch_wrong;       /* the last leaf was outside its epoch */
    uint64_t good_size;     /* the largest size whose root held */
    uint64_t bad_size;      /* the first kept one since whose root did not; 0 if there is none */
    uint64_t bad_seal;      /* likewise, of the seals */
    uint8_t bad_expected[32];
    uint8_t bad_actual[32];
    enum tl_tiles_answer tiles;

    /* Contents. */
    uint64_t absent;      /* in scope */
    uint64_t judge_end;   /* records below it have to be judged */
    uint64_t excuse_lost; /* records below it may be absent because of a leaf that is damaged */
};

enum tl_mark { TL_MARK_HASHED = 1, TL_MARK_MODIFIED, TL_MARK_REPLACED };

/* A finding about a leaf itself explains that roots differ from there on. */
void tl_leaf_damaged(struct tl_run *run, uint64_t seq);

/* state.c - follows one leaf; false if it could not be decoded. */
bool tl_state_leaf(struct tl_run *run, uint64_t seq, const uint8_t *bytes, size_t len,
                   struct tl_leaf *leaf_out);
/* After a leaf that is missing or broken. */
void tl_state_doubt(struct tl_run *run);
/* Whether the incarnation had a pinned log key; then, at the very end, the MAC key as well. */
void tl_state_end_incarnation(struct tl_run *run);
void tl_state_end(struct tl_run *run);

/* control.c - applies a control leaf. */
void tl_control_leaf(struct tl_run *run, const struct tl_leaf *leaf, const char *payload,
                     size_t len);

/* checkpoints.c */
tally_status tl_checkpoints_open(struct tl_run *run);       /* newest, head, memory */
tally_status tl_checkpoints_load(struct tl_run *run);       /* more of the kept ones */
void tl_checkpoint_lines(struct tl_run *run, uint64_t seq); /* of the one that ends with `seq` */
void tl_checkpoint_roots(struct tl_run *run, uint64_t size, const uint8_t root[32]);
tally_status tl_checkpoints_end(struct tl_run *run);
/* Asks for the root at `size`, which the tree has not passed yet. */
void tl_checkpoint_watch(struct tl_run *run, uint64_t size);
/* That root, or NULL if the tree has none. */
const uint8_t *tl_checkpoint_watched(const struct tl_run *run, uint64_t size);

/* anchors.c - holds the token of an anchor against its record; `imprint` is the hash of the body of the
 * checkpoint. Then the roots of those that are doubtful against the tree. */
tally_status tl_anchor_check(struct tl_run *run, const struct tl_anchor *anchor,
                             const uint8_t imprint[32]);
tally_status tl_anchor_roots(struct tl_run *run);

/* content.c - opens the commitment of an ENTRY; true if something of it is there. */
bool tl_content_check(struct tl_run *run, const struct tl_leaf *leaf,
                      const struct tally_record *record);

/* fold.c - takes the hashes of the chunk into the tree; then, at the end, the rest of the tiles. */
tally_status tl_fold_chunk(struct tl_run *run);
tally_status tl_fold_end(struct tl_run *run);

/* presence.c - judges what is absent, and what should be. */
tally_status tl_presence_check(struct tl_run *run);

/* index_check.c */
tally_status tl_index_note_position(struct tl_run *run);
tally_status tl_index_check(struct tl_run *run);

#endif /* TL_VERIFY_RUN_H */
