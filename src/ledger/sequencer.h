/*
 * ledger/sequencer.h - gives events their place: seq, leaf, tree, checkpoint, one transaction.
 *
 * One per ledger that is open for writing. Caller serialises: the ledger's sequencer thread, or the
 * thread that opens or closes the ledger.
 */
#ifndef TL_LEDGER_SEQUENCER_H
#define TL_LEDGER_SEQUENCER_H

#include <tally/ledger.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/limits.h"
#include "evidence/control.h"
#include "ledger/act_text.h"
#include "ledger/keys.h"
#include "ledger/paths.h"
#include "model/config.h"
#include "store/store.h"
#include "tree/tree.h"

/* What of a leaf depends on the event and on the erasable set alone: any thread makes it, at any time
 * before the event is sealed. */
struct tl_commitment {
    const struct tl_erasable_set *set; /* that it was made with; never changes after that */
    uint8_t seed[TL_SEED_LEN];         /* a secret: whoever owns this wipes it */
    uint8_t commit[TL_COMMIT_LEN];
    bool has_members;
};

/* An event to be sealed. Borrowed for the call, receipt included. */
struct tl_entry {
    const char *event; /* canonical */
    size_t len;
    uint8_t id[TL_LEAF_ID_LEN]; /* leaf id */
    int32_t days;               /* to be kept, by the ledger's rules; -1 for ever */
    int64_t occurred_us;
    bool by_occurred;  /* retention counts from occurred_at */
    bool time_is_ours; /* occurred_at was supplied by us: a retry has another one */
    const struct tl_commitment *commitment; /* NULL: the sequencer makes it */
    struct tally_receipt *receipt;          /* id and flags are filled in already */
};

/* The policy in force, owned. */
struct tl_policy_in_force {
    uint64_t number;
    struct tl_erasable_set erasable;
    struct tl_class classes[2 * TL_RETENTION_RULES_MAX + 2];
    uint32_t class_count;
    char names[2 * TL_RETENTION_RULES_MAX + 2][64];
};

struct tl_sequencer; /* opaque; large */

struct tl_sequencer_input {
    const struct tl_paths *paths; /* outlives the sequencer */
    const struct tl_config *config;
    struct tally_store *store; /* for writing; outlives the sequencer */
    struct tl_keys *keys;      /* taken */
    struct tl_config *adopted; /* taken; in place of `config`, if that was read long ago; or NULL */
    bool accept_clock;
};

/* Appends GENESIS to an empty store. Takes the keys, also on failure. */
tally_status tl_sequencer_create(struct tl_sequencer **sequencer_out,
                                 const struct tl_sequencer_input *input, struct tally_error *err);

/*
 * Checks the store against keys and high-water mark, finishes an epoch switch that was cut short,
 * and appends EPOCH if it is due, RESUME, and POLICY if the configuration asks for another. Takes
 * the keys, also on failure.
 */
tally_status tl_sequencer_resume(struct tl_sequencer **sequencer_out,
                                 const struct tl_sequencer_input *input, struct tally_error *err);

/*
 * Makes the ledger in the store go on as the incarnation that `control`, a RESTORE, begins at its end,
 * sealed with the time `time_us`, by the keys of which control was made. What came before is not
 * checked but for its head. Takes the keys, also on failure.
 */
tally_status tl_sequencer_restore(struct tl_sequencer **sequencer_out,
                                  const struct tl_sequencer_input *input,
                                  const struct tl_control *control, int64_t time_us,
                                  struct tally_error *err);

/*
 * Seals 1 to TL_BATCH_EVENTS_MAX events in one transaction, with an epoch switch before them if one
 * is due. On success every receipt is filled in. Errors: those of tally_append_events(); after
 * TALLY_ECORRUPT the sequencer refuses everything.
 */
tally_status tl_sequencer_append(struct tl_sequencer *sequencer, struct tl_entry *entries,
                                 size_t count, struct tally_error *err);

/* Seals a control leaf of kind GAP, alone. */
tally_status tl_sequencer_control(struct tl_sequencer *sequencer, const struct tl_control *control,
                                  struct tally_error *err);

/*
 * Seals an act, unless there has been another one since the newest that its caller knew, or it breaks
 * a rule of the ledger (tl_act_refuse()). One that is there already is answered with its place.
 * *seq_out: TALLY_SEQ_NONE if there was nothing to seal. Errors: TALLY_ECORRUPT, TALLY_EIO,
 * TALLY_ENOMEM, and those of tl_act_refuse()
 */
tally_status tl_sequencer_act(struct tl_sequencer *sequencer, const struct tl_act_request *act,
                              uint64_t *seq_out, struct tally_error *err);

/*
 * From now on what `config` says of retention and erasable members is in force; seals a POLICY, by
 * and with the note of `wish`, if that is another policy, else *seq_out is TALLY_SEQ_NONE. Takes the
 * configuration, also on failure.
 */
tally_status tl_sequencer_configure(struct tl_sequencer *sequencer, struct tl_config *config,
                                    const struct tl_control *wish, uint64_t *seq_out,
                                    struct tally_error *err);
void tl_config_freep(struct tl_config **config); /* of one that was allocated */

/* Switches to the epoch of now, if it is another one: for a ledger in which nothing happens. */
tally_status tl_sequencer_tick(struct tl_sequencer *sequencer, struct tally_error *err);

/* The head that is durable now. Any thread may call it between appends: the ledger's mutex guards
 * it. */
const struct tally_head *tl_sequencer_head(const struct tl_sequencer *sequencer);

/* TALLY_OK, or why it refuses everything. */
tally_status tl_sequencer_broken(const struct tl_sequencer *sequencer);

/* Marks a stop in order and wipes the keys. NULL is allowed. */
void tl_sequencer_close(struct tl_sequencer *sequencer);

/* For the child of a fork: wipes the secrets of the parent's sequencer, whatever it was doing. */
void tl_sequencer_wipe(struct tl_sequencer *sequencer);

/* Copies what the configuration asks for as the policy of the given number. TALLY_EINVAL for an
 * erasable pointer that breaks a rule. */
tally_status tl_policy_from_config(struct tl_policy_in_force *out, const struct tl_config *config,
                                   uint64_t number, struct tally_error *err);

#endif /* TL_LEDGER_SEQUENCER_H */
