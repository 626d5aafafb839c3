/* Applies control leaves: what they put in force, what they permit, what they contradict. */
#include <inttypes.h>
#include <stdio.h>

#include "base/bytes.h"
#include "base/secret.h"
#include "codec/base64.h"
#include "verify/run.h"

/* Epochs that the ratchet is taken through at once: 190 years of hours. */
#define RATCHET_STEPS_MAX 1666666u

#define APPROVAL_LEN (4u + TL_ED25519_SIG_LEN)

static void invalid(struct tl_run *run, uint64_t seq, const char *what)
{
    tl_found(&run->found, TL_CONTROL_INVALID, seq, "%s", what);
}

/* Takes note of a status: without memory nothing goes on, anything else is a check not made. */
static void failed(struct tl_run *run, tally_status status, uint64_t seq, const char *what)
{
    if (status == TALLY_ENOMEM) {
        run->found.status = TALLY_ENOMEM;
    } else if (status != TALLY_OK) {
        tl_found(&run->found, TL_CHECK_FAILED, seq, "%s", what);
    }
}

/* Drops what is known of keys or excuses because the leaf that told it is damaged. */
static void forget(struct tl_run *run, const struct tl_leaf *leaf)
{
    struct tl_state *state = &run->state;
    if (leaf->kind == TL_LEAF_GENESIS || leaf->kind == TL_LEAF_RESTORE ||
        leaf->kind == TL_LEAF_KEY || leaf->kind == TL_LEAF_EPOCH) {
        state->keys_known = false;
        state->origin_pinned = true; /* nobody can tell any more */
        tl_state_doubt(run);
    }
    if (leaf->kind == TL_LEAF_POLICY || leaf->kind == TL_LEAF_GENESIS) {
        state->policy_known = false;
    }
    if (leaf->kind == TL_LEAF_PURGE || leaf->kind == TL_LEAF_ERASE ||
        leaf->kind == TL_LEAF_RELEASE) {
        run->excuse_lost = leaf->seq;
    }
}

/* Sets the ratchet up if the key given is of this generation. */
static void begin_generation(struct tl_run *run, const uint8_t mac_id[32], uint32_t epoch)
{
    run->state.mac_gen = tl_get_be32(mac_id);
    run->mac_ready = false;
    if (run->in->mac_key == NULL) {
        return;
    }
    uint8_t id[32];
    tl_mac_id(run->in->mac_key, id);
    if (tl_equal_const_time(id, mac_id, sizeof(id))) {
        tl_mac_release(&run->mac);
        tl_mac_init(&run->mac, run->in->mac_key, epoch);
        run->mac_ready = true;
        run->mac_seen = true;
    }
}

static void advance_ratchet(struct tl_run *run, uint64_t seq, uint32_t epoch)
{
    if (!run->mac_ready || epoch < run->mac.epoch) {
        run->mac_ready = false;
        return;
    }
    if (epoch - run->mac.epoch > RATCHET_STEPS_MAX) {
        run->mac_ready = false;
        tl_found(&run->found, TL_CHECK_FAILED, seq, "too many epochs at once to follow the MACs");
        return;
    }
    tl_mac_advance(&run->mac, epoch);
}

static void note_epoch_key(struct tl_run *run, uint64_t seq, const struct tl_vkey *key)
{
    /* The top bit keeps the marks of keys apart from those of event ids. */
    failed(run, tl_ids_add(&run->ids, key->public_key, seq | UINT64_C(1) << 63, NULL), seq,
           "epoch keys could not be compared");
}

static void note_log_key(struct tl_run *run, const struct tl_vkey *key)
{
    if (run->log_key_count < TL_LOG_KEYS_MAX) {
        run->log_keys[run->log_key_count++] = *key;
    }
}

static bool names_epoch(const struct tl_vkey *key, const char *origin, uint32_t epoch)
{
    char name[TL_KEY_NAME_LEN_MAX + 1];
    int len = snprintf(name, sizeof(name), "%s/epoch/%" PRIu32, origin, epoch);
    return len > 0 && (size_t)len < sizeof(name) && strcmp(name, key->name) == 0 &&
           key->type == TL_NOTE_TYPE_COSIGNED;
}

static bool is_pinned_log(const struct tl_run *run, const struct tl_vkey *key, bool *name_pinned)
{
    const struct tl_trust *trust = run->in->trust;
    for (uint32_t i = 0; trust != NULL && i < trust->log_count; i++) {
        *name_pinned = *name_pinned || strcmp(trust->logs[i].name, key->name) == 0;
        if (tl_vkey_equal(&trust->logs[i], key)) {
            return true;
        }
    }
    return false;
}

/* Compares the keys an incarnation begins with to the trust file. */
static void check_pins(struct tl_run *run, uint64_t seq)
{
    struct tl_state *state = &run->state;
    const struct tl_trust *trust = run->in->trust;
    if (trust == NULL) {
        state->origin_pinned = true; /* there is a finding for that already */
        return;
    }
    bool name_pinned = false;
    state->origin_pinned = is_pinned_log(run, &state->log_key, &name_pinned);
    if (!name_pinned) {
        state->origin_pinned = true;
        tl_found(&run->found, TL_ORIGIN_MISMATCH, seq, "the trust file does not know this origin");
        return;
    }
    size_t origin_len = strlen(state->origin);
    bool known = false;
    for (uint32_t i = 0; i < trust->epoch_count; i++) {
        const struct tl_vkey *key = &trust->epochs[i];
        if (strncmp(key->name, state->origin, origin_len) != 0 ||
            strncmp(key->name + origin_len, "/epoch/", 7) != 0) {
            continue;
        }
        known = true;
        if (tl_vkey_equal(key, &state->epoch_key)) {
            return;
        }
    }
    if (known) {
        tl_found(&run->found, TL_GENESIS_MISMATCH, seq,
                 "the first epoch key is not the pinned one");
    } else {
        tl_found(&run->found, TL_EPOCH_UNPINNED, seq,
                 "the trust file has no epoch key for this origin");
    }
}

/* What GENESIS and RESTORE have in common. */
static void begin_incarnation(struct tl_run *run, const struct tl_leaf *leaf,
                              const struct tl_control *control)
{
    struct tl_state *state = &run->state;
    state->log_key = control->log_key;
    state->epoch_key = control->epoch_key;
    state->keys_known = true;
    state->epoch = leaf->epoch;
    state->incarnation = leaf->incarnation;
    state->origin_seq = leaf->seq;
    tl_assert(control->origin.len <= TL_ORIGIN_LEN_MAX);
    memcpy(state->origin, control->origin.text, control->origin.len);
    state->origin[control->origin.len] = '\0';
    if (strcmp(state->log_key.name, state->origin) != 0 ||
        state->log_key.type != TL_NOTE_TYPE_ED25519) {
        invalid(run, leaf->seq, "the log key does not bear the origin's name");
    }
    uint32_t epoch = tl_epoch_of(state->start_us, state->epoch_seconds, leaf->time_us);
    if (epoch != leaf->epoch || leaf->time_us < state->start_us) {
        tl_leaf_damaged(run, leaf->seq);
        tl_found_numbers(&run->found, TL_EPOCH_MISMATCH, leaf->seq, epoch, leaf->epoch,
                         "the leaf is not in the epoch of its time");
    }
    if (!names_epoch(&state->epoch_key, state->origin, leaf->epoch)) {
        tl_found(&run->found, TL_EPOCH_INVALID, leaf->seq, "the epoch key is not of this epoch");
    }
    note_epoch_key(run, leaf->seq, &state->epoch_key);
    note_log_key(run, &state->log_key);
    begin_generation(run, control->mac_id, leaf->epoch);
    if (leaf->mac_gen != state->mac_gen) {
        tl_leaf_damaged(run, leaf->seq);
        tl_found(&run->found, TL_LEAF_INVALID, leaf->seq,
                 "the leaf is not of the MAC generation it names");
    }
    check_pins(run, leaf->seq);
}

static void take_policy(struct tl_run *run, const struct tl_control *control)
{
    struct tl_state *state = &run->state;
    state->policy = control->policy;
    state->policy_known = true;
    state->policy_arena = 1 - state->policy_arena; /* parsed into the spare one */
}

static void apply_genesis(struct tl_run *run, const struct tl_leaf *leaf,
                          const struct tl_control *control)
{
    struct tl_state *state = &run->state;
    if (leaf->seq != 0) {
        invalid(run, leaf->seq, "a second GENESIS");
        return;
    }
    state->begun = true;
    state->start_us = control->start_us;
    state->epoch_seconds = control->epoch_seconds;
    if (leaf->incarnation != 1) {
        tl_leaf_damaged(run, leaf->seq);
        tl_found(&run->found, TL_LEAF_INVALID, 0, "the first incarnation is not 1");
    }
    if (control->is_volatile) {
        run->report->qualifiers |= TALLY_QUALIFIER_VOLATILE;
    }
    take_policy(run, control);
    begin_incarnation(run, leaf, control);
}

static void apply_epoch(struct tl_run *run, const struct tl_leaf *leaf,
                        const struct tl_control *control)
{
    struct tl_state *state = &run->state;
    uint32_t epoch = tl_epoch_of(state->start_us, state->epoch_seconds, leaf->time_us);
    const char *wrong = NULL;
    if (leaf->epoch != state->epoch || control->epoch_from != state->epoch) {
        wrong = "the switch is not from the epoch in force";
    } else if (control->epoch_to <= control->epoch_from || epoch != control->epoch_to) {
        wrong = "the switch is not to the epoch of its time";
    } else if (!names_epoch(&control->epoch_key, state->origin, control->epoch_to)) {
        wrong = "the new key is not of the new epoch";
    }
    if (wrong != NULL) {
        tl_found(&run->found, TL_EPOCH_INVALID, leaf->seq, "%s", wrong);
    }
    state->names_keys = true;
    state->log_key_before = state->log_key;
    state->epoch_key_before = state->epoch_key;
    state->epoch_key = control->epoch_key;
    state->epoch_before = state->epoch;
    state->epoch = control->epoch_to;
    run->epoch_wrong = false;
    note_epoch_key(run, leaf->seq, &control->epoch_key);
    advance_ratchet(run, leaf->seq, control->epoch_to);
}

static void apply_policy(struct tl_run *run, const struct tl_leaf *leaf,
                         const struct tl_control *control)
{
    if (run->state.policy_known && control->policy.number != run->state.policy.number + 1) {
        tl_found_numbers(&run->found, TL_CONTROL_INVALID, leaf->seq,
                         (int64_t)run->state.policy.number + 1, (int64_t)control->policy.number,
                         "a policy number was skipped");
    }
    take_policy(run, control);
}

static void apply_key(struct tl_run *run, const struct tl_leaf *leaf,
                      const struct tl_control *control)
{
    struct tl_state *state = &run->state;
    state->names_keys = true;
    state->log_key_before = state->log_key;
    state->epoch_key_before = state->epoch_key;
    if (control->has_log_key) {
        if (strcmp(control->log_key.name, state->origin) != 0 ||
            control->log_key.type != TL_NOTE_TYPE_ED25519) {
            invalid(run, leaf->seq, "the new log key does not bear the origin's name");
        }
        bool ignored = false;
        state->log_key = control->log_key;
        state->origin_pinned =
            state->origin_pinned || is_pinned_log(run, &control->log_key, &ignored);
        note_log_key(run, &state->log_key);
    }
    if (control->has_mac_id) {
        begin_generation(run, control->mac_id, leaf->epoch);
    }
}

static void apply_restore(struct tl_run *run, const struct tl_leaf *leaf,
                          const struct tl_control *control)
{
    struct tl_state *state = &run->state;
    tl_found(&run->found, TL_RESTORED, leaf->seq, "the ledger went on from a backup");
    run->report->qualifiers |= TALLY_QUALIFIER_RESTORED;
    if (control->size != leaf->seq || !tl_str_is(control->from_origin, state->origin) ||
        tl_str_is(control->origin, state->origin) || control->lost_size < control->size) {
        invalid(run, leaf->seq, "the restore does not fit the ledger before it");
    }
    if (leaf->epoch < state->epoch) {
        tl_found(&run->found, TL_EPOCH_INVALID, leaf->seq, "a restore set the epoch back");
    }
    if (leaf->incarnation != state->incarnation + 1) {
        tl_leaf_damaged(run, leaf->seq);
        tl_found(&run->found, TL_LEAF_INVALID, leaf->seq, "the incarnation is not the next one");
    }
    if (run->last_kept != leaf->seq) {
        tl_found(&run->found, TL_CHECKPOINT_MISSING, leaf->seq,
                 "no checkpoint of the state before the restore is kept");
    }
    if (run->restore_count == TL_RESTORES_MAX) {
        tl_found(&run->found, TL_CHECK_FAILED, leaf->seq, "too many restores");
    } else {
        struct tl_restore *restore = &run->restores[run->restore_count++];
        *restore = (struct tl_restore){
            .seq = leaf->seq,
            .lost_size = control->lost_size,
            .has_lost_root = control->has_lost_root,
        };
        memcpy(restore->lost_root, control->lost_root, 32);
        memcpy(restore->from_root, control->root, 32);
        memcpy(restore->from_origin, state->origin, sizeof(state->origin));
        tl_checkpoint_watch(run, leaf->seq);
    }
    tl_state_end_incarnation(run);
    begin_incarnation(run, leaf, control);
}

static void apply_anchor(struct tl_run *run, const struct tl_leaf *leaf,
                         const struct tl_control *control)
{
    if (control->size > leaf->seq) {
        invalid(run, leaf->seq, "the anchor is of a size that was not reached");
        return;
    }
    if (run->anchor_count == run->anchor_capacity) {
        size_t capacity = run->anchor_capacity == 0 ? 16 : run->anchor_capacity * 2;
        if (capacity > TL_ANCHORS_MAX) {
            failed(run, TALLY_ELIMIT, leaf->seq, "more anchors than fit in memory");
            return;
        }
        struct tl_anchor *anchors = tl_realloc_array(run->anchors, capacity, sizeof(*anchors));
        if (anchors == NULL) {
            failed(run, TALLY_ENOMEM, leaf->seq, "");
            return;
        }
        run->anchors = anchors;
        run->anchor_capacity = capacity;
    }
    struct tl_anchor *anchor = &run->anchors[run->anchor_count++];
    *anchor = (struct tl_anchor){ .seq = leaf->seq, .size = control->size };
    anchor->is_stamp = tl_str_is(control->anchor_kind, "rfc3161");
    memcpy(anchor->root, control->root, sizeof(anchor->root));
    memcpy(anchor->digest, control->digest, sizeof(anchor->digest));
}

/* Whether there is something wrong with it, which then has been reported. */
static bool purge_is_wrong(struct tl_run *run, const struct tl_leaf *leaf,
                           const struct tl_control *control, const char *wrong)
{
    if (wrong != NULL) {
        tl_found(&run->found, TL_PURGE_INVALID, leaf->seq, "%s", wrong);
        return true;
    }
    if (control->override_days) {
        tl_found(&run->found, TL_PURGE_OVERRIDE, leaf->seq,
                 "contents were purged before their day");
    }
    return false;
}

/* The last record that the leaf is about, plus one: those below have to be judged. */
static uint64_t reach(const struct tl_run *run, const struct tl_leaf *leaf,
                      const struct tl_control *control)
{
    uint64_t end = control->kind == TL_LEAF_PURGE ? control->before_seq : 0;
    for (uint32_t i = 0; control->kind == TL_LEAF_PURGE && i < control->range_count; i++) {
        end = control->ranges[i].last >= end ? control->ranges[i].last + 1 : end;
    }
    for (uint32_t i = 0; i < control->item_count; i++) {
        const struct tl_erase_item *item = &control->items[i];
        for (uint32_t k = 0; k < item->seq_count; k++) {
            end = item->seqs[k].last >= end ? item->seqs[k].last + 1 : end;
        }
    }
    end = end > leaf->seq ? leaf->seq : end;
    return end > run->judge_end ? end : run->judge_end;
}

static void apply_excuse(struct tl_run *run, const struct tl_leaf *leaf,
                         const struct tl_control *control)
{
    const char *fault = tl_excuse_fault(control, leaf->seq, leaf->time_us);
    bool wrong = control->kind == TL_LEAF_PURGE && purge_is_wrong(run, leaf, control, fault);
    if (control->kind == TL_LEAF_ERASE && fault != NULL) {
        invalid(run, leaf->seq, fault);
    }
    run->judge_end = reach(run, leaf, control);
    tally_status status = tl_excuses_add(&run->excuses, leaf->seq, control, wrong);
    if (status == TALLY_ENOTFOUND) {
        invalid(run, leaf->seq, "there is no such hold to release");
    } else if (status == TALLY_ECONFLICT) {
        invalid(run, leaf->seq, "a released hold is used again");
    } else if (status != TALLY_OK) {
        run->excuse_lost = leaf->seq;
        failed(run, status, leaf->seq, "more holds, purges or erasures than fit in memory");
    }
}

/* `payload` is what the approver signed, but for the approval itself. */
static void check_approval(struct tl_run *run, const struct tl_leaf *leaf,
                           const struct tl_control *control, const char *payload, size_t len)
{
    const struct tl_trust *trust = run->in->trust;
    uint32_t kind_bit = 1u << ((uint32_t)leaf->kind - TL_LEAF_GENESIS);
    bool needed = (leaf->kind == TL_LEAF_PURGE && control->override_days) ||
                  (trust != NULL && (trust->approve_kinds & kind_bit) != 0);
    if (control->approval.text == NULL) {
        if (needed) {
            tl_found(&run->found, TL_APPROVAL_INVALID, leaf->seq, "there is no approval");
        }
        return;
    }
    uint8_t blob[APPROVAL_LEN];
    size_t blob_len = 0;
    if (tl_base64_decode(blob, sizeof(blob), &blob_len, control->approval.text,
                         control->approval.len) != TALLY_OK ||
        blob_len != APPROVAL_LEN) {
        tl_found(&run->found, TL_APPROVAL_INVALID, leaf->seq, "the approval does not parse");
        return;
    }
    const struct tl_vkey *key = NULL;
    for (uint32_t i = 0; trust != NULL && i < trust->approver_count && key == NULL; i++) {
        key = trust->approvers[i].key_id == tl_get_be32(blob) ? &trust->approvers[i] : NULL;
    }
    if (key == NULL) {
        bool any = trust != NULL && trust->approver_count > 0;
        tl_found(&run->found, any && needed ? TL_APPROVAL_INVALID : TL_APPROVAL_UNCHECKED,
                 leaf->seq, "the approver is not in the trust file");
        return;
    }
    struct tl_str origin =
        leaf->kind == TL_LEAF_RESTORE ? control->origin : tl_str_of(run->state.origin);
    bool valid = false;
    tl_buf_clear(&run->buf);
    tally_status status =
        tl_approval_text(&run->buf, origin, leaf->kind, payload, len, &run->scratch);
    if (status == TALLY_OK) {
        status = tl_ed25519_verify(&valid, key->public_key, run->buf.data, run->buf.len, blob + 4);
    }
    failed(run, status, leaf->seq, "the approval could not be checked");
    if (status == TALLY_OK && !valid) {
        tl_found(&run->found, TL_APPROVAL_INVALID, leaf->seq, "the approval is not of this leaf");
    }
}

static void apply(struct tl_run *run, const struct tl_leaf *leaf, const struct tl_control *control)
{
    bool continues = control->kind == TL_LEAF_EPOCH || control->kind == TL_LEAF_RESTORE;
    if (continues && !run->state.begun) {
        return; /* without GENESIS, which is a finding, nobody knows what an epoch is */
    }
    switch (control->kind) {
    case TL_LEAF_GENESIS:
        apply_genesis(run, leaf, control);
        break;
    case TL_LEAF_EPOCH:
        apply_epoch(run, leaf, control);
        break;
    case TL_LEAF_POLICY:
        apply_policy(run, leaf, control);
        break;
    case TL_LEAF_PURGE:
    case TL_LEAF_ERASE:
    case TL_LEAF_HOLD:
    case TL_LEAF_RELEASE:
        apply_excuse(run, leaf, control);
        break;
    case TL_LEAF_KEY:
        apply_key(run, leaf, control);
        break;
    case TL_LEAF_ANCHOR:
        apply_anchor(run, leaf, control);
        break;
    case TL_LEAF_GAP:
        run->report->qualifiers |= TALLY_QUALIFIER_GAPS;
        tl_found(&run->found, TL_GAP, leaf->seq, "%s%" PRIu64 " events were lost before sealing",
                 control->exact ? "" : "at least ", control->count);
        break;
    case TL_LEAF_RESUME:
        if (control->size > leaf->seq) {
            invalid(run, leaf->seq, "the sequencer resumed beyond the ledger");
        }
        break;
    case TL_LEAF_RESTORE:
        apply_restore(run, leaf, control);
        break;
    case TL_LEAF_ENTRY:
        break;
    }
}

void tl_control_leaf(struct tl_run *run, const struct tl_leaf *leaf, const char *payload,
                     size_t len)
{
    struct tl_state *state = &run->state;
    uint8_t commit[TL_COMMIT_LEN];
    tl_commit_control(commit, payload, len);
    bool modified = memcmp(commit, leaf->commit, sizeof(commit)) != 0;
    if (modified) {
        tl_leaf_damaged(run, leaf->seq);
        tl_found_hashes(&run->found, TL_CONTROL_MODIFIED, leaf->seq, leaf->commit, commit,
                        "the payload is not what was sealed");
    }
    bool has_policy = leaf->kind == TL_LEAF_GENESIS || leaf->kind == TL_LEAF_POLICY;
    struct tl_arena *arena =
        has_policy ? &state->policy_arenas[1 - state->policy_arena] : &run->scratch;
    tl_arena_reset(arena);
    struct tl_control control = { 0 };
    struct tally_error error = TALLY_ERROR_INIT;
    tally_status status = tl_control_parse(&control, arena, leaf->kind, payload, len, &error);
    if (status == TALLY_ENOMEM) {
        run->found.status = TALLY_ENOMEM;
        return;
    }
    if (status != TALLY_OK) {
        if (!modified) {
            invalid(run, leaf->seq, error.message);
        }
        forget(run, leaf);
        return;
    }
    apply(run, leaf, &control);
    if (modified) {
        forget(run, leaf);
    } else {
        check_approval(run, leaf, &control, payload, len);
    }
}
