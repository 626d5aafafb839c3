/* ledger/sequencer_impl.h - the insides of the sequencer, shared by its files alone. */
#ifndef TL_LEDGER_SEQUENCER_IMPL_H
#define TL_LEDGER_SEQUENCER_IMPL_H

#include "ledger/act.h"
#include "ledger/sequencer.h"

/* Everything one batch needs, allocated once. */
struct tl_seal_buffers {
    uint8_t (*leaves)[TL_LEAF_LEN]; /* TL_BATCH_EVENTS_MAX of each */
    uint8_t (*hashes)[TL_HASH_LEN];
    struct tl_commitment *commitments; /* of records whose entries came without one that fits */
    uint8_t (*ids)[TL_LEAF_ID_LEN];
    uint64_t *seqs;
    uint32_t *twins; /* index + 1 of an earlier entry of the batch with the same id; else 0 */
    uint32_t *slots; /* hash table for ids of one batch: entry index + 1 */
    struct tl_entry **entries; /* those of the batch that are new */
    struct tally_record *records;
    struct tally_tile *tiles;
    uint8_t *tile_bytes;
    uint32_t tile_count;
    uint32_t tile_max;
    struct tl_buf note;
    struct tl_buf scratch;
    struct tl_buf payload; /* a whole control leaf */
    struct tl_split split;
};

/* What a batch moves forward; copied, changed, and put back once the batch is durable. */
struct tl_progress {
    struct tl_frontier frontier;
    int64_t last_us; /* time of the newest leaf */
    uint32_t epoch;
};

struct tl_sequencer {
    const struct tl_paths *paths;
    const struct tl_config *config;
    struct tl_config *adopted; /* owned: `config`, once another one was put in force; or NULL */
    struct tally_store *store;
    struct tl_keys *keys;
    struct tl_mac mac; /* of keys->state.current */
    struct tl_policy_in_force *policy;
    const struct tl_erasable_set *equal_set; /* found to equal the policy's; NULL: none yet */
    int64_t start_us;
    uint32_t epoch_seconds;
    bool is_volatile;

    struct tally_head head; /* durable */
    struct tl_progress now;
    struct tl_tiler *tiler;
    struct tl_tiler *next_tiler;
    uint64_t last_checkpoint; /* its size */
    bool last_is_kept;        /* kept for ever; else the next batch may drop it */
    bool head_unsure;         /* a commit failed and nobody knows whether it is there */
    tally_status broken;      /* not TALLY_OK: refuses everything, with this status */

    int64_t wall_ref_us; /* the clock when it was last believed */
    int64_t steady_ref_us;
    bool expect_known_ids; /* the last batch had some: look first */
    bool note_is_durable;  /* buffers.note is the checkpoint of `head` */
    int64_t published_us;  /* when checkpoints/newest was last written */
    struct tl_acts *acts;  /* NULL before the first act, and after one that failed */
    struct tl_seal_buffers buffers;
};

/* sequencer_seal.c: signs and stores buffers->records[0..count), whose leaves are built; moves the
 * state forward. `kept`: the checkpoint is never dropped. */
tally_status tl_seal_commit(struct tl_sequencer *seq, size_t count, bool kept,
                            struct tally_error *err);

/* Builds, seals and commits one control leaf that is not EPOCH. */
tally_status tl_seal_control(struct tl_sequencer *seq, const struct tl_control *control,
                             struct tally_error *err);

/* The same at a time that tl_seal_time() gave, with the epoch of that time in force. */
tally_status tl_seal_control_at(struct tl_sequencer *seq, const struct tl_control *control,
                                int64_t time_us, bool held, struct tally_error *err);

/* The time for the next leaf, never before the last one; *held_out if the clock was behind. */
int64_t tl_seal_time(struct tl_sequencer *seq, bool *held_out);

/* Switches to the epoch in which `time_us` lies, if that is another one. What is sealed next has this
 * very time: another look at the clock could already be in the epoch after. */
tally_status tl_seal_epoch(struct tl_sequencer *seq, int64_t time_us, struct tally_error *err);

/* Whether the checkpoint that ends with such a leaf is kept for ever: these show, without a pass over
 * all leaves, which policy and which keys are in force, and what was decided about contents. */
bool tl_seal_is_kept(enum tl_leaf_kind kind);

/* sequencer_act.c: forgets what the acts say; it is read again when it is needed. */
void tl_seal_forget_acts(struct tl_sequencer *seq);

/* sequencer.c: TALLY_OK if something may be sealed now: nothing broke, and the store is where it was. */
tally_status tl_seal_ready(struct tl_sequencer *seq, struct tally_error *err);

/* Stops for good. */
tally_status tl_seal_break(struct tl_sequencer *seq, tally_status status, struct tally_error *err,
                           const char *why);

tally_status tl_seal_buffers_init(struct tl_seal_buffers *buffers, struct tally_error *err);
void tl_seal_buffers_release(struct tl_seal_buffers *buffers);

/* Writes checkpoints/<name>. */
tally_status tl_publish_checkpoint(const struct tl_sequencer *seq, const char *name,
                                   struct tally_error *err);

#endif /* TL_LEDGER_SEQUENCER_IMPL_H */
