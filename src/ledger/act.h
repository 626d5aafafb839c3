/*
 * ledger/act.h - control records sealed on behalf of any process, and what the ones so far say.
 *
 * Who asks reads the state of all acts, decides, and names the newest act that it knew; the sequencer
 * seals only if there has been none since. So two acts never decide on the same state, and one that is
 * read from the spool twice is sealed once.
 */
#ifndef TL_LEDGER_ACT_H
#define TL_LEDGER_ACT_H

#include "ledger/ledger.h"
#include "verify/excuses.h"

/* The acts of a ledger: PURGE, ERASE, HOLD, RELEASE, POLICY, KEY, ANCHOR, RESTORE. The checkpoint that
 * ends with one is kept for ever, so that they are found without reading all records. */
struct tl_acts {
    uint64_t newest;   /* seq of the newest one; TALLY_SEQ_NONE if there is none */
    uint64_t size;     /* leaves of the snapshot they were read from */
    int64_t newest_us; /* when its newest leaf was sealed */
    struct tl_excuses excuses;
};

/* Reads all acts from a reader's snapshot. The caller releases *acts_out, also on failure. */
tally_status tl_acts_read(struct tl_acts *acts_out, struct tally_store *store,
                          struct tally_error *err);
void tl_acts_release(struct tl_acts *acts);

/* The newest act as it is now; TALLY_SEQ_NONE if there is none. Errors: those of tl_acts_read() */
tally_status tl_acts_newest(struct tally_ledger *ledger, uint64_t *newest_out,
                            struct tally_error *err);

/* Calls `fn` for each control leaf that ends a kept checkpoint and is of a kind that `wanted` says,
 * oldest first; a status other than TALLY_OK ends it. It may use the store. */
typedef tally_status tl_act_fn(void *ctx, const struct tl_leaf *leaf,
                               const struct tl_control *control);
tally_status tl_kept_each(struct tally_store *store, bool (*wanted)(enum tl_leaf_kind kind),
                          tl_act_fn *fn, void *ctx, struct tally_error *err);

/* Calls `fn` for each act, oldest first, with its parsed payload; a status other than TALLY_OK ends it. */
tally_status tl_acts_each(struct tally_store *store, tl_act_fn *fn, void *ctx,
                          struct tally_error *err);

/*
 * Seals `control` (HOLD, RELEASE, PURGE, ERASE, ANCHOR; KEY: the sequencer makes the keys itself and
 * `control` has has_log_key or has_mac_id set as a wish; EPOCH: closes the one in force if it is due;
 * POLICY: reads the configuration again, and seals one if it asks for another) and waits until it is
 * durable. `newest` is that of the acts the caller decided on. *seq_out: TALLY_SEQ_NONE if there was
 * nothing to seal.
 *
 * Errors: TALLY_ECONFLICT there was another act since: read them again
 *         TALLY_EBUSY     nobody is the sequencer; TALLY_EINVAL, TALLY_ELIMIT, TALLY_EIO
 */
tally_status tl_act_seal(struct tally_ledger *ledger, const struct tl_control *control,
                         uint64_t newest, uint64_t *seq_out, struct tally_error *err);

/* The same for a KEY; of a ledger in memory `mac_key_out`, of TL_MAC_TEXT_SIZE bytes, gets the new MAC
 * key, if there is one. */
tally_status tl_act_seal_key(struct tally_ledger *ledger, const struct tl_control *control,
                             uint64_t newest, char *mac_key_out, uint64_t *seq_out,
                             struct tally_error *err);

/*
 * A handle on the store to remove contents with. On disk a second one for writing, which others write
 * beside; of a ledger in memory the calls run on the thread `sequence`.
 */
tally_status tl_act_reduce(struct tally_ledger *ledger, struct tally_store *writer,
                           const struct tally_reduction *reductions, size_t count,
                           struct tally_error *err);

/*
 * Whether a second person must sign an act of this kind, by the ledger's own trust file, and whether
 * actor->approval is such a signature of `control` (its payload without approval): then it is put into
 * control->approval. TALLY_EDENIED, with *request_out, if it must be signed and is not.
 */
tally_status tl_act_approve(struct tally_ledger *ledger, struct tl_control *control,
                            const struct tally_actor *actor, bool always, char **request_out,
                            struct tally_error *err);

#endif /* TL_LEDGER_ACT_H */
