/* Acts: what the sequencer has to know of earlier ones before it seals another. */
#include <tally/store.h>

#include "base/clock.h"
#include "ledger/nodes.h"
#include "ledger/sequencer_impl.h"

#define STALE_US INT64_C(120000000) /* twice as long as who asks for an act waits */

void tl_seal_forget_acts(struct tl_sequencer *seq)
{
    if (seq->acts != NULL) {
        tl_acts_release(seq->acts);
        tl_free(seq->acts);
        seq->acts = NULL;
    }
}

static tally_status know_acts(struct tl_sequencer *seq, struct tally_error *err)
{
    if (seq->acts != NULL) {
        return TALLY_OK;
    }
    seq->acts = tl_alloc_array(1, sizeof(*seq->acts));
    if (seq->acts == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "out of memory");
    }
    tally_status status = tl_acts_read(seq->acts, seq->store, err);
    if (status != TALLY_OK) {
        tl_seal_forget_acts(seq);
    }
    return status;
}

/* Looks for an act that is the next one after `after`, and the same as `payload`. */
struct twin {
    uint64_t after; /* TALLY_SEQ_NONE: the first one of all */
    enum tl_leaf_kind kind;
    const struct tl_buf *payload;
    bool passed; /* the next one was seen */
    uint64_t seq;
};

static tally_status meet_act(void *ctx, const struct tl_leaf *leaf,
                             const struct tl_control *control)
{
    struct twin *twin = ctx;
    if (twin->passed || (twin->after != TALLY_SEQ_NONE && leaf->seq <= twin->after)) {
        return TALLY_OK;
    }
    twin->passed = true;
    struct tl_buf payload;
    tl_buf_init(&payload, TL_LEAF_PAYLOAD_MAX);
    tally_status status = tl_control_format(&payload, control, NULL);
    if (status == TALLY_OK && leaf->kind == twin->kind && payload.len == twin->payload->len &&
        memcmp(payload.data, twin->payload->data, payload.len) == 0) {
        twin->seq = leaf->seq;
    }
    tl_buf_release(&payload);
    return status;
}

/* An act that was sealed already, by a sequencer that could not say so any more, is answered. */
static tally_status answer_overtaken(struct tl_sequencer *seq, const struct tl_act_request *act,
                                     uint64_t *seq_out, struct tally_error *err)
{
    if (tl_act_is_wish(act->control->kind)) {
        return tl_act_refuse(TL_ACT_OVERTAKEN, err);
    }
    struct tl_buf payload;
    tl_buf_init(&payload, TL_LEAF_PAYLOAD_MAX);
    struct twin twin = {
        .after = act->newest, .kind = act->control->kind, .payload = &payload, .seq = TALLY_SEQ_NONE
    };
    tally_status status = tl_control_format(&payload, act->control, err);
    if (status == TALLY_OK) {
        status = tl_acts_each(seq->store, meet_act, &twin, err);
    }
    tl_buf_release(&payload);
    *seq_out = twin.seq;
    return status == TALLY_OK && twin.seq == TALLY_SEQ_NONE ? tl_act_refuse(TL_ACT_OVERTAKEN, err)
                                                            : status;
}

static tally_status check_anchor(struct tl_sequencer *seq, const struct tl_control *control,
                                 struct tally_error *err)
{
    if (control->size > seq->head.size) {
        return tl_act_refuse(TL_ACT_BEYOND, err);
    }
    TL_CLEANUP(tl_freep) struct tl_nodes *nodes = tl_alloc_array(1, sizeof(*nodes));
    if (nodes == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "out of memory");
    }
    nodes->store = seq->store;
    nodes->size = seq->head.size;
    nodes->err = err;
    uint8_t root[TL_HASH_LEN];
    TL_TRY(tl_nodes_root(nodes, control->size, root));
    return memcmp(root, control->root, sizeof(root)) == 0 ? TALLY_OK
                                                          : tl_act_refuse(TL_ACT_WRONG_ROOT, err);
}

/* Takes over what the act will say, as if it were sealed; undone by forgetting all. */
static tally_status take_over(struct tl_sequencer *seq, const struct tl_control *control,
                              struct tally_error *err)
{
    tally_status status = tl_excuses_add(&seq->acts->excuses, seq->head.size, control, false);
    if (status == TALLY_ENOTFOUND) {
        return tl_act_refuse(TL_ACT_HOLD_UNKNOWN, err);
    }
    if (status == TALLY_ECONFLICT) {
        return tl_act_refuse(TL_ACT_HOLD_RELEASED, err);
    }
    if (status == TALLY_ELIMIT) {
        return tl_act_refuse(TL_ACT_TOO_MANY, err);
    }
    return status == TALLY_OK ? TALLY_OK : tl_fail(err, status, "out of memory");
}

/* The rules that verification will hold against the leaf, with the place and time that it is to get. */
static tally_status check_rules(struct tl_sequencer *seq, const struct tl_control *control,
                                int64_t time_us, struct tally_error *err)
{
    if (control->kind == TL_LEAF_ANCHOR) {
        return check_anchor(seq, control, err);
    }
    if (tl_excuse_fault(control, seq->head.size, INT64_MAX) != NULL) {
        return tl_act_refuse(TL_ACT_BEYOND, err);
    }
    if (tl_excuse_fault(control, seq->head.size, time_us) != NULL) {
        return tl_act_refuse(TL_ACT_TOO_EARLY, err);
    }
    return tl_excuses_concern(control->kind) ? take_over(seq, control, err) : TALLY_OK;
}

/* Whether nobody can be waiting for it any more. A clock that was set makes it look so too: then it is
 * asked for once more. */
static bool is_stale(const struct tl_act_request *act)
{
    return act->handed_in_us != 0 && tl_clock->wall_us() - act->handed_in_us > STALE_US;
}

static tally_status seal_act(struct tl_sequencer *seq, const struct tl_control *control,
                             uint64_t *seq_out, struct tally_error *err)
{
    /* An epoch switch moves the place of the act, and the time: first that, then the rules. */
    bool held = false;
    int64_t time_us = tl_seal_time(seq, &held);
    TL_TRY(tl_seal_epoch(seq, time_us, err));
    TL_TRY(check_rules(seq, control, time_us, err));
    uint64_t at = seq->head.size;
    TL_TRY(tl_seal_control_at(seq, control, time_us, held, err));
    seq->acts->newest = at;
    *seq_out = at;
    return TALLY_OK;
}

/* What was made for a leaf that is not there is forgotten. If it is there, or might be, the new keys are
 * needed: the next start finds out. */
static tally_status undo_rotation(struct tl_sequencer *seq, uint64_t at, tally_status status,
                                  struct tally_error *err)
{
    if (seq->broken != TALLY_OK || seq->head_unsure || seq->head.size > at ||
        tl_keys_drop_change(seq->keys, NULL) != TALLY_OK) {
        return tl_seal_break(seq, TALLY_EIO, err,
                             "a rotation of keys was cut short; open it again");
    }
    return status;
}

static tally_status seal_change(struct tl_sequencer *seq, const struct tl_control *wish,
                                int64_t time_us, bool held, struct tally_error *err)
{
    const struct tl_key_change *change = &seq->keys->state.change;
    struct tl_control control = { .kind = TL_LEAF_KEY,
                                  .by = wish->by,
                                  .note = wish->note,
                                  .has_log_key = change->has_log,
                                  .has_mac_id = change->has_mac };
    if (change->has_log) {
        control.log_key = seq->keys->next_log_key;
    }
    if (change->has_mac) {
        tl_mac_id(change->mac_key, control.mac_id);
    }
    return tl_seal_control_at(seq, &control, time_us, held, err);
}

/* The steps of docs/evidence.md, "Rotation": a crash between any two is finished or undone at start. */
static tally_status rotate(struct tl_sequencer *seq, const struct tl_act_request *act,
                           uint64_t *seq_out, struct tally_error *err)
{
    bool held = false;
    int64_t time_us = tl_seal_time(seq, &held);
    const struct tl_control *wish = act->control;
    TL_TRY(tl_seal_epoch(seq, time_us, err));
    uint64_t at = seq->head.size;
    tally_status status = tl_keys_make_change(seq->keys, wish->has_log_key, wish->has_mac_id, err);
    if (status == TALLY_OK) {
        status = seal_change(seq, wish, time_us, held, err);
    }
    if (status != TALLY_OK) {
        return undo_rotation(seq, at, status, err);
    }
    if (act->mac_key_out != NULL && wish->has_mac_id) {
        tl_mac_key_format(act->mac_key_out, seq->keys->state.change.mac_key, seq->now.epoch);
    }
    status = tl_keys_adopt_change(seq->keys, at, err);
    if (status != TALLY_OK) {
        return tl_seal_break(seq, status, err, "a rotation of keys was cut short; open it again");
    }
    tl_mac_release(&seq->mac);
    tl_mac_init(&seq->mac, seq->keys->state.current.mac_key, seq->keys->state.current.epoch);
    seq->acts->newest = at;
    *seq_out = at;
    return TALLY_OK;
}

static tally_status close_epoch(struct tl_sequencer *seq, uint64_t *seq_out,
                                struct tally_error *err)
{
    bool held = false;
    uint32_t before = seq->now.epoch;
    TL_TRY(tl_seal_epoch(seq, tl_seal_time(seq, &held), err));
    if (seq->now.epoch != before) {
        *seq_out = seq->head.size - 1;
    }
    return TALLY_OK;
}

static tally_status act_once(struct tl_sequencer *seq, const struct tl_act_request *act,
                             uint64_t *seq_out, struct tally_error *err)
{
    TL_TRY(know_acts(seq, err));
    if (seq->acts->newest != act->newest) {
        return answer_overtaken(seq, act, seq_out, err);
    }
    if (is_stale(act)) {
        return tl_act_refuse(TL_ACT_STALE, err);
    }
    tally_status status = act->control->kind == TL_LEAF_KEY
                              ? rotate(seq, act, seq_out, err)
                              : seal_act(seq, act->control, seq_out, err);
    if (status != TALLY_OK) {
        tl_seal_forget_acts(seq); /* it may have taken over a part */
    }
    return status;
}

/* What fails after the commit leaves an act that is there. Who is told that it is not would not do what
 * it announces; the second time it is found. */
tally_status tl_sequencer_act(struct tl_sequencer *seq, const struct tl_act_request *act,
                              uint64_t *seq_out, struct tally_error *err)
{
    *seq_out = TALLY_SEQ_NONE;
    TL_TRY(tl_seal_ready(seq, err));
    if (act->control->kind == TL_LEAF_EPOCH) {
        return close_epoch(seq, seq_out, err);
    }
    uint64_t before = seq->head.size;
    struct tally_error why = TALLY_ERROR_INIT;
    tally_status status = act_once(seq, act, seq_out, &why);
    if (status != TALLY_OK && seq->broken == TALLY_OK && seq->head.size > before) {
        why = (struct tally_error)TALLY_ERROR_INIT;
        status = act_once(seq, act, seq_out, &why);
    }
    return status == TALLY_OK ? TALLY_OK : tl_fail_with(err, status, &why);
}
