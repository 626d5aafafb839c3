/* Makes a sequencer: for a new ledger, or for one that is there, which it first checks. */
#include <stdio.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "ledger/nodes.h"
#include "ledger/sequencer_impl.h"
#include "ledger/sizes.h"
#include "ledger/trust.h"

#define CLOCK_AHEAD_MAX_US TL_DAY_US

static void freep(struct tl_sequencer **seq)
{
    tl_sequencer_close(*seq);
    *seq = NULL;
}

/* Takes the keys, also on failure. */
static struct tl_sequencer *alloc_sequencer(const struct tl_sequencer_input *input,
                                            struct tally_error *err)
{
    struct tl_sequencer *seq = tl_alloc_array(1, sizeof(*seq));
    if (seq == NULL) {
        struct tl_config *adopted = input->adopted;
        tl_config_freep(&adopted);
        tl_keys_free(input->keys);
        (void)tl_fail(err, TALLY_ENOMEM, "cannot allocate a sequencer");
        return NULL;
    }
    seq->paths = input->paths;
    seq->adopted = input->adopted;
    seq->config = input->adopted != NULL ? input->adopted : input->config;
    seq->store = input->store;
    seq->keys = input->keys;
    seq->is_volatile = (tl_store_caps(input->store) & TALLY_STORE_VOLATILE) != 0;
    seq->wall_ref_us = tl_clock->wall_us();
    seq->steady_ref_us = tl_clock->steady_us();
    seq->policy = tl_alloc_array(1, sizeof(*seq->policy));
    seq->tiler = tl_alloc_array(1, sizeof(*seq->tiler));
    seq->next_tiler = tl_alloc_array(1, sizeof(*seq->next_tiler));
    tl_mac_init(&seq->mac, seq->keys->state.current.mac_key, seq->keys->state.current.epoch);
    bool done = tl_seal_buffers_init(&seq->buffers, err) == TALLY_OK;
    if (!done || seq->policy == NULL || seq->tiler == NULL || seq->next_tiler == NULL) {
        (void)tl_fail(err, TALLY_ENOMEM, "cannot allocate a sequencer");
        tl_sequencer_close(seq);
        return NULL;
    }
    return seq;
}

tally_status tl_policy_from_config(struct tl_policy_in_force *out, const struct tl_config *config,
                                   uint64_t number, struct tally_error *err)
{
    memset(out, 0, sizeof(*out));
    out->number = number;
    for (size_t i = 0; i < config->erasable_count; i++) {
        TL_TRY(tl_erasable_add(&out->erasable, config->erasable[i], err));
    }
    static const size_t max = TL_ARRAY_LEN(out->classes);
    TL_CLEANUP(tl_freep)
    struct tl_retention_class *classes = tl_alloc_array(max, sizeof(*classes));
    if (classes == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate retention classes");
    }
    out->class_count = (uint32_t)tl_retention_classes(&config->retention, classes, max);
    for (uint32_t i = 0; i < out->class_count; i++) {
        (void)snprintf(out->names[i], sizeof(out->names[i]), "%s", classes[i].name);
        out->classes[i] = (struct tl_class){ .id = classes[i].id,
                                             .days = classes[i].days,
                                             .name = tl_str_of(out->names[i]),
                                             .by_occurred = classes[i].by_occurred };
    }
    return TALLY_OK;
}

static struct tl_policy policy_payload(const struct tl_policy_in_force *policy)
{
    return (struct tl_policy){ .number = policy->number,
                               .erasable = &policy->erasable,
                               .classes = policy->classes,
                               .class_count = policy->class_count };
}

tally_status tl_sequencer_create(struct tl_sequencer **sequencer_out,
                                 const struct tl_sequencer_input *input, struct tally_error *err)
{
    TL_CLEANUP(freep) struct tl_sequencer *seq = alloc_sequencer(input, err);
    if (seq == NULL) {
        return TALLY_ENOMEM;
    }
    TL_TRY(tl_policy_from_config(seq->policy, seq->config, 1, err));
    seq->epoch_seconds = seq->config->epoch_seconds;
    seq->start_us = seq->wall_ref_us / 1000000 * 1000000;

    struct tl_control genesis = { .kind = TL_LEAF_GENESIS,
                                  .origin = tl_str_of(seq->keys->state.origin),
                                  .has_log_key = true,
                                  .has_epoch_key = true,
                                  .has_mac_id = true,
                                  .log_key = seq->keys->log_key,
                                  .epoch_key = seq->keys->epoch_key,
                                  .epoch_seconds = seq->epoch_seconds,
                                  .start_us = seq->start_us,
                                  .is_volatile = seq->is_volatile,
                                  .policy = policy_payload(seq->policy) };
    tl_mac_id(seq->keys->state.current.mac_key, genesis.mac_id);
    TL_TRY(tl_seal_control(seq, &genesis, err));
    *sequencer_out = TL_TAKE(seq);
    return TALLY_OK;
}

/* What the control leaves say, as far as the sequencer goes on from it. */
struct history {
    struct tl_arena arena;
    struct tl_sizes sizes;
    char newest_note[TL_NOTE_LEN_MAX];
    size_t newest_note_len;
    struct tl_leaf leaf; /* read last */
    struct tl_control control;
    struct tl_control newest; /* of the newest leaf, if that is one */
    bool is_control;
    int64_t newest_us;
    struct tl_vkey epoch_keys[2]; /* of the newest epoch, and of the one before */
    uint32_t epoch_key_count;
    uint32_t newest_epoch;
    enum tl_leaf_kind newest_kind;
};

static void history_release(struct history *history)
{
    tl_arena_release(&history->arena);
    tl_sizes_release(&history->sizes);
}

static void history_freep(struct history **history)
{
    if (*history != NULL) {
        history_release(*history);
        tl_free(*history);
        *history = NULL;
    }
}

static tally_status note_checkpoint(void *ctx, const struct tally_checkpoint *checkpoint)
{
    struct history *history = ctx;
    if (checkpoint->note_len > sizeof(history->newest_note)) {
        return TALLY_ECORRUPT;
    }
    TL_TRY(tl_sizes_add(&history->sizes, checkpoint->size));
    memcpy(history->newest_note, checkpoint->note, checkpoint->note_len);
    history->newest_note_len = checkpoint->note_len;
    return TALLY_OK;
}

static tally_status read_leaf(void *ctx, const struct tally_record *record)
{
    struct history *history = ctx;
    TL_TRY(tl_leaf_decode(&history->leaf, record->leaf, record->leaf_len, NULL));
    history->is_control = tl_leaf_is_control(history->leaf.kind);
    if (!history->is_control) {
        return TALLY_OK;
    }
    size_t len = record->leaf_len - TL_LEAF_LEN;
    char *payload = tl_arena_alloc(&history->arena, len);
    if (payload == NULL) {
        return TALLY_ENOMEM;
    }
    memcpy(payload, record->leaf + TL_LEAF_LEN, len);
    return tl_control_parse(&history->control, &history->arena, history->leaf.kind, payload, len,
                            NULL);
}

static tally_status leaf_at(struct tl_sequencer *seq, struct history *history, uint64_t at,
                            struct tally_error *err)
{
    history->leaf = (struct tl_leaf){ 0 };
    tally_status status = tl_store_scan(seq->store, at, at + 1, read_leaf, history, err);
    if (status == TALLY_ECORRUPT || (status == TALLY_OK && history->leaf.kind == 0)) {
        return tl_fail(err, TALLY_ECORRUPT, "leaf %llu is missing or damaged; run 'tally verify'",
                       (unsigned long long)at);
    }
    return status;
}

static void adopt_policy(struct tl_sequencer *seq, const struct tl_control *control)
{
    struct tl_policy_in_force *policy = seq->policy;
    policy->number = control->policy.number;
    policy->erasable = *control->policy.erasable;
    policy->class_count = 0;
    uint32_t count = control->policy.class_count;
    for (uint32_t i = 0; i < count && i < TL_ARRAY_LEN(policy->classes); i++) {
        policy->classes[i] = control->policy.classes[i];
        tl_str_copy(policy->names[i], sizeof(policy->names[i]), control->policy.classes[i].name);
        policy->classes[i].name = tl_str_of(policy->names[i]);
        policy->class_count = i + 1;
    }
}

static void note_epoch(struct history *history)
{
    const struct tl_control *control = &history->control;
    bool starts_epoch = control->kind == TL_LEAF_EPOCH || control->kind == TL_LEAF_GENESIS ||
                        control->kind == TL_LEAF_RESTORE;
    if (!starts_epoch || history->epoch_key_count == 2) {
        return;
    }
    if (history->epoch_key_count == 0) {
        history->newest_epoch =
            control->kind == TL_LEAF_EPOCH ? control->epoch_to : history->leaf.epoch;
    }
    history->epoch_keys[history->epoch_key_count++] = control->epoch_key;
}

/* Goes back over the leaves that end a kept checkpoint, until it knows policy and epoch keys. */
static tally_status read_back(struct tl_sequencer *seq, struct history *history,
                              struct tally_error *err)
{
    for (size_t i = history->sizes.count; i > 0; i--) {
        if (seq->policy->number > 0 && history->epoch_key_count == 2) {
            return TALLY_OK;
        }
        TL_TRY(leaf_at(seq, history, history->sizes.items[i - 1] - 1, err));
        const struct tl_control *control = &history->control;
        if (i == history->sizes.count) {
            history->newest_us = history->leaf.time_us;
            history->newest_kind = history->leaf.kind;
            history->newest = *control;
        }
        if (!history->is_control) {
            continue;
        }
        bool starts_policy = control->kind == TL_LEAF_POLICY || control->kind == TL_LEAF_GENESIS;
        if (starts_policy && seq->policy->number == 0) {
            adopt_policy(seq, control);
        }
        note_epoch(history);
    }
    return TALLY_OK;
}

static tally_status other_ledger(const struct tl_sequencer *seq, struct tally_error *err)
{
    return tl_fail(err, TALLY_ECORRUPT,
                   "the store belongs to another ledger than the keys in '%s' (GENESIS_MISMATCH)",
                   seq->keys->dir);
}

/* The ledger must be the one that these keys belong to. */
static tally_status check_genesis(struct tl_sequencer *seq, struct history *history,
                                  struct tally_error *err)
{
    TL_TRY(leaf_at(seq, history, 0, err));
    const struct tl_control *genesis = &history->control;
    if (!history->is_control || genesis->kind != TL_LEAF_GENESIS) {
        return tl_fail(err, TALLY_ECORRUPT, "the ledger does not begin with GENESIS");
    }
    /* A later incarnation has another origin, which its log key bears: see check_keys(). */
    if (seq->keys->state.incarnation == 1 && !tl_str_is(genesis->origin, seq->keys->state.origin)) {
        return other_ledger(seq, err);
    }
    seq->start_us = genesis->start_us;
    seq->epoch_seconds = genesis->epoch_seconds;
    return TALLY_OK;
}

/* Finishes or forgets a rotation of keys that was cut short: nothing was sealed after its leaf. */
static tally_status resolve_change(struct tl_sequencer *seq, const struct history *history,
                                   struct tally_error *err)
{
    struct tl_keys *keys = seq->keys;
    const struct tl_key_change *change = &keys->state.change;
    const struct tl_control *newest = &history->newest;
    if (!change->has_log && !change->has_mac) {
        return TALLY_OK;
    }
    bool is_log = !change->has_log ||
                  (newest->has_log_key && tl_vkey_equal(&newest->log_key, &keys->next_log_key));
    bool is_mac =
        !change->has_mac || (newest->has_mac_id && tl_get_be32(newest->mac_id) == change->mac_gen);
    bool committed = history->newest_kind == TL_LEAF_KEY && is_log && is_mac;
    return committed ? tl_keys_adopt_change(keys, seq->head.size - 1, err)
                     : tl_keys_drop_change(keys, err);
}

/* The control leaf in which the key state says that a key in force was named. */
static tally_status naming_leaf(struct tl_sequencer *seq, struct history *history, uint64_t at,
                                struct tally_error *err)
{
    if (at >= seq->head.size) {
        return tl_fail(err, TALLY_ECORRUPT,
                       "the keys were replaced at record %llu, which is not there (ROLLBACK)",
                       (unsigned long long)at);
    }
    TL_TRY(leaf_at(seq, history, at, err));
    return history->is_control ? TALLY_OK : other_ledger(seq, err);
}

static tally_status check_keys(struct tl_sequencer *seq, struct history *history,
                               struct tally_error *err)
{
    const struct tl_keys *keys = seq->keys;
    const struct tl_control *control = &history->control;
    TL_TRY(naming_leaf(seq, history, keys->state.log_seq, err));
    if (!control->has_log_key || !tl_vkey_equal(&control->log_key, &keys->log_key)) {
        return other_ledger(seq, err);
    }
    TL_TRY(naming_leaf(seq, history, keys->state.mac_seq, err));
    return control->has_mac_id && tl_get_be32(control->mac_id) == keys->state.mac_gen
               ? TALLY_OK
               : other_ledger(seq, err);
}

/* Finishes or forgets an epoch switch that was cut short. */
static tally_status resolve_switch(struct tl_sequencer *seq, const struct history *history,
                                   struct tally_error *err)
{
    struct tl_keys *keys = seq->keys;
    if (keys->state.has_next) {
        struct tl_vkey next;
        TL_TRY(tl_keys_epoch_vkey(&next, keys->state.origin, &keys->state.next, err));
        bool committed = tl_vkey_equal(&next, &history->epoch_keys[0]);
        TL_TRY(committed ? tl_keys_promote(keys, err) : tl_keys_discard(keys, err));
    }
    if (keys->state.current.epoch != history->newest_epoch ||
        !tl_vkey_equal(&keys->epoch_key, &history->epoch_keys[0])) {
        return tl_fail(err, TALLY_ECORRUPT,
                       "the key state is of epoch %u, the ledger of epoch %u with another key "
                       "(ROLLBACK or HISTORY_REWRITTEN)",
                       keys->state.current.epoch, history->newest_epoch);
    }
    tl_mac_release(&seq->mac);
    tl_mac_init(&seq->mac, keys->state.current.mac_key, keys->state.current.epoch);
    seq->now.epoch = keys->state.current.epoch;
    return TALLY_OK;
}

static tally_status check_line(const struct tl_note *note, const struct tl_vkey *key,
                               struct tally_error *err)
{
    enum tl_note_verdict verdict = TL_NOTE_NO_LINE;
    TL_TRY(tl_note_verify(note, key, &verdict, NULL));
    if (verdict != TL_NOTE_GOOD) {
        return tl_fail(err, TALLY_ECORRUPT,
                       "the newest checkpoint is not signed by '%s' (SIGNATURE_INVALID)",
                       key->name);
    }
    return TALLY_OK;
}

/* The newest checkpoint verifies, and head, frontier and checkpoint agree. */
static tally_status check_head(struct tl_sequencer *seq, const struct history *history,
                               struct tally_error *err)
{
    TL_CLEANUP(tl_freep) struct tl_note *note = tl_alloc_array(1, sizeof(*note));
    if (note == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a note");
    }
    struct tl_checkpoint_body body;
    TL_TRY(tl_note_parse(note, history->newest_note, history->newest_note_len, err));
    TL_TRY(tl_checkpoint_parse(&body, note->body, err));
    /* A seal is signed by the epoch that it closes. */
    bool is_seal = history->newest_kind == TL_LEAF_EPOCH && history->epoch_key_count == 2;
    TL_TRY(check_line(note, &seq->keys->log_key, err));
    TL_TRY(check_line(note, &history->epoch_keys[is_seal ? 1 : 0], err));

    uint8_t root[TL_HASH_LEN];
    TL_TRY(tl_frontier_unpack(&seq->now.frontier, seq->head.size, seq->head.frontier,
                              seq->head.frontier_len));
    tl_frontier_root(&seq->now.frontier, root);
    if (body.size != seq->head.size || memcmp(body.root, seq->head.root, sizeof(root)) != 0 ||
        memcmp(body.root, root, sizeof(root)) != 0 ||
        !tl_str_is(body.origin, seq->keys->state.origin)) {
        return tl_fail(err, TALLY_ECORRUPT,
                       "head and newest checkpoint differ (HEAD_MISMATCH); run 'tally verify'");
    }
    return TALLY_OK;
}

/* The store must hold all that the mark says was once durable. */
static tally_status check_mark(struct tl_sequencer *seq, struct tl_nodes *nodes,
                               struct tally_error *err)
{
    const struct tl_highwater *mark = &seq->keys->mark;
    if (mark->size > seq->head.size) {
        return tl_fail(err, TALLY_ECORRUPT,
                       "the store has %llu records, but %llu were sealed (ROLLBACK); see "
                       "docs/operating.md",
                       (unsigned long long)seq->head.size, (unsigned long long)mark->size);
    }
    uint8_t root[TL_HASH_LEN];
    TL_TRY(tl_nodes_root(nodes, mark->size, root));
    if (memcmp(root, mark->root, sizeof(root)) != 0) {
        return tl_fail(err, TALLY_ECORRUPT,
                       "the first %llu records are not those that were sealed (HISTORY_REWRITTEN)",
                       (unsigned long long)mark->size);
    }
    return TALLY_OK;
}

static tally_status check_clock(const struct tl_sequencer *seq, bool accept_clock,
                                struct tally_error *err)
{
    int64_t ahead = seq->wall_ref_us - seq->now.last_us;
    if (ahead <= CLOCK_AHEAD_MAX_US || accept_clock || tl_clock->is_synchronised()) {
        return TALLY_OK;
    }
    return tl_fail(err, TALLY_EINVAL,
                   "the clock is %lld days ahead of the newest record and not synchronised; if it "
                   "is right, open with the clock accepted (tally --accept-clock)",
                   (long long)(ahead / TL_DAY_US));
}

static tally_status read_history(struct tl_sequencer *seq, struct history *history,
                                 struct tally_error *err)
{
    TL_TRY(tl_store_head(seq->store, &seq->head, err));
    TL_TRY(tl_store_scan_checkpoints(seq->store, 0, note_checkpoint, history, err));
    if (seq->head.size == 0 || history->sizes.count == 0 ||
        history->sizes.items[history->sizes.count - 1] != seq->head.size) {
        return tl_fail(err, TALLY_ECORRUPT,
                       "there is no checkpoint of the newest record (CHECKPOINT_MISSING)");
    }
    TL_TRY(read_back(seq, history, err));
    seq->now.last_us = history->newest_us;
    TL_TRY(check_genesis(seq, history, err));
    if (seq->policy->number == 0 || history->epoch_key_count == 0) {
        return tl_fail(err, TALLY_ECORRUPT, "no checkpoint leads to the policy in force");
    }
    return TALLY_OK;
}

static struct history *history_new(void)
{
    struct history *history = tl_alloc_array(1, sizeof(*history));
    if (history != NULL) {
        tl_arena_init(&history->arena, (size_t)64 << 20);
    }
    return history;
}

static tally_status check_store(struct tl_sequencer *seq, bool accept_clock,
                                struct tally_error *err)
{
    TL_CLEANUP(history_freep) struct history *history = history_new();
    TL_CLEANUP(tl_freep) struct tl_nodes *nodes = tl_alloc_array(1, sizeof(*nodes));
    if (history == NULL || nodes == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate what the start needs");
    }
    TL_TRY(read_history(seq, history, err));
    TL_TRY(tl_keys_tidy(seq->keys, err));
    TL_TRY(resolve_change(seq, history, err));
    TL_TRY(check_keys(seq, history, err));
    TL_TRY(resolve_switch(seq, history, err));
    TL_TRY(check_head(seq, history, err));
    nodes->store = seq->store;
    nodes->size = seq->head.size;
    nodes->err = err;
    TL_TRY(check_mark(seq, nodes, err));
    TL_TRY(tl_tiler_restore(seq->tiler, &seq->now.frontier, tl_nodes_get, nodes));
    seq->last_checkpoint = seq->head.size;
    seq->last_is_kept = tl_seal_is_kept(history->newest_kind);
    return check_clock(seq, accept_clock, err);
}

static bool is_same_policy(const struct tl_policy_in_force *a, const struct tl_policy_in_force *b)
{
    if (a->class_count != b->class_count || !tl_erasable_equal(&a->erasable, &b->erasable)) {
        return false;
    }
    for (uint32_t i = 0; i < a->class_count; i++) {
        if (a->classes[i].id != b->classes[i].id || a->classes[i].days != b->classes[i].days ||
            a->classes[i].by_occurred != b->classes[i].by_occurred) {
            return false;
        }
    }
    return true;
}

static void adopt_wanted(struct tl_sequencer *seq, struct tl_policy_in_force *wanted)
{
    tl_free(seq->policy);
    seq->policy = wanted;
    seq->equal_set = NULL;
    for (uint32_t i = 0; i < seq->policy->class_count; i++) {
        seq->policy->classes[i].name = tl_str_of(seq->policy->names[i]);
    }
}

/* Events that follow the leaf under the old policy would not be believed: if it is there, although not
 * all of its sealing went well, nothing more is sealed. */
static tally_status seal_policy(struct tl_sequencer *seq, const struct tl_control *control,
                                struct tally_error *err)
{
    bool held = false;
    int64_t time_us = tl_seal_time(seq, &held);
    TL_TRY(tl_seal_epoch(seq, time_us, err));
    uint64_t at = seq->head.size;
    tally_status status = tl_seal_control_at(seq, control, time_us, held, err);
    if (status != TALLY_OK && seq->head.size > at) {
        return tl_seal_break(seq, status, err, "a change of policy was cut short; open it again");
    }
    return status;
}

/* Puts in force what the configuration asks for, if that is something else. */
static tally_status adopt_configuration(struct tl_sequencer *seq, const struct tl_config *config,
                                        const struct tl_control *wish, uint64_t *seq_out,
                                        struct tally_error *err)
{
    TL_CLEANUP(tl_freep) struct tl_policy_in_force *wanted = tl_alloc_array(1, sizeof(*wanted));
    if (wanted == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a policy");
    }
    TL_TRY(tl_policy_from_config(wanted, config, seq->policy->number + 1, err));
    if (is_same_policy(seq->policy, wanted)) {
        return TALLY_OK;
    }
    TL_TRY(tl_refuse_approval(seq->paths, TL_LEAF_POLICY, err));
    struct tl_control control = { .kind = TL_LEAF_POLICY,
                                  .by = wish->by,
                                  .note = wish->note,
                                  .approval = wish->approval,
                                  .policy = policy_payload(wanted) };
    TL_TRY(seal_policy(seq, &control, err));
    adopt_wanted(seq, TL_TAKE(wanted));
    tl_seal_forget_acts(seq);
    *seq_out = seq->head.size - 1;
    return TALLY_OK;
}

void tl_config_freep(struct tl_config **config)
{
    if (*config != NULL) {
        tl_config_release(*config);
        tl_free(*config);
    }
    *config = NULL;
}

tally_status tl_sequencer_configure(struct tl_sequencer *seq, struct tl_config *config,
                                    const struct tl_control *wish, uint64_t *seq_out,
                                    struct tally_error *err)
{
    TL_CLEANUP(tl_config_freep) struct tl_config *taken = config;
    *seq_out = TALLY_SEQ_NONE;
    TL_TRY(tl_seal_ready(seq, err));
    TL_TRY(adopt_configuration(seq, taken, wish, seq_out, err));
    tl_config_freep(&seq->adopted);
    seq->adopted = TL_TAKE(taken);
    seq->config = seq->adopted;
    return TALLY_OK;
}

tally_status tl_sequencer_resume(struct tl_sequencer **sequencer_out,
                                 const struct tl_sequencer_input *input, struct tally_error *err)
{
    TL_CLEANUP(freep) struct tl_sequencer *seq = alloc_sequencer(input, err);
    if (seq == NULL) {
        return TALLY_ENOMEM;
    }
    seq->broken = TALLY_ECORRUPT; /* until it was checked: closing must not move the mark */
    TL_TRY(check_store(seq, input->accept_clock, err));
    seq->broken = TALLY_OK;

    struct tl_control resume = { .kind = TL_LEAF_RESUME,
                                 .clean = seq->keys->mark.clean &&
                                          seq->keys->mark.size == seq->head.size,
                                 .size = seq->head.size };
    TL_TRY(tl_seal_control(seq, &resume, err));
    const struct tl_control nobody = { .kind = TL_LEAF_POLICY };
    uint64_t ignored = 0;
    TL_TRY(adopt_configuration(seq, seq->config, &nobody, &ignored, err));
    *sequencer_out = TL_TAKE(seq);
    return TALLY_OK;
}

/* Goes on from the tree that is there, with the keys of the incarnation to come. */
static tally_status adopt_tree(struct tl_sequencer *seq, struct tally_error *err)
{
    TL_CLEANUP(history_freep) struct history *history = history_new();
    TL_CLEANUP(tl_freep) struct tl_nodes *nodes = tl_alloc_array(1, sizeof(*nodes));
    if (history == NULL || nodes == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate what a restore needs");
    }
    TL_TRY(read_history(seq, history, err));
    TL_TRY(tl_frontier_unpack(&seq->now.frontier, seq->head.size, seq->head.frontier,
                              seq->head.frontier_len));
    nodes->store = seq->store;
    nodes->size = seq->head.size;
    nodes->err = err;
    TL_TRY(tl_tiler_restore(seq->tiler, &seq->now.frontier, tl_nodes_get, nodes));
    seq->now.epoch = seq->keys->state.current.epoch;
    seq->last_checkpoint = seq->head.size;
    seq->last_is_kept = true; /* the one before a RESTORE is kept for ever */
    return TALLY_OK;
}

tally_status tl_sequencer_restore(struct tl_sequencer **sequencer_out,
                                  const struct tl_sequencer_input *input,
                                  const struct tl_control *control, int64_t time_us,
                                  struct tally_error *err)
{
    TL_CLEANUP(freep) struct tl_sequencer *seq = alloc_sequencer(input, err);
    if (seq == NULL) {
        return TALLY_ENOMEM;
    }
    seq->broken = TALLY_ECORRUPT; /* until it was read: closing must not move the mark */
    TL_TRY(adopt_tree(seq, err));
    seq->broken = TALLY_OK;
    TL_TRY(tl_seal_control_at(seq, control, time_us, time_us == seq->now.last_us, err));
    *sequencer_out = TL_TAKE(seq);
    return TALLY_OK;
}
