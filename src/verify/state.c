/* Follows the leaves: position, time, epoch, generation, class, retention, MAC. */
#include "base/bytes.h"
#include "base/secret.h"
#include "verify/run.h"

void tl_leaf_damaged(struct tl_run *run, uint64_t seq)
{
    if (run->damaged_end == 0 || seq < run->damaged_first) {
        run->damaged_first = seq;
    }
    run->damaged_end = seq >= run->damaged_end ? seq + 1 : run->damaged_end;
}

static void leaf_found(struct tl_run *run, enum tl_code code, uint64_t seq, const char *what)
{
    tl_leaf_damaged(run, seq);
    tl_found(&run->found, code, seq, "%s", what);
}

static void leaf_differs(struct tl_run *run, enum tl_code code, const struct tl_leaf *leaf,
                         int64_t expected, int64_t actual, const char *what)
{
    tl_leaf_damaged(run, leaf->seq);
    tl_found_numbers(&run->found, code, leaf->seq, expected, actual, what);
}

void tl_state_doubt(struct tl_run *run)
{
    run->state.uncertain = true;
}

/* Takes over from the leaf what the ones before it should have told. */
static void believe(struct tl_run *run, const struct tl_leaf *leaf)
{
    struct tl_state *state = &run->state;
    state->uncertain = false;
    if (leaf->epoch != state->epoch || leaf->incarnation != state->incarnation) {
        state->keys_known = false;
    }
    state->epoch = leaf->epoch;
    state->time_us = leaf->time_us;
    state->incarnation = leaf->incarnation;
    if (leaf->mac_gen != state->mac_gen) {
        state->mac_gen = leaf->mac_gen;
        run->mac_ready = false;
    }
    if (run->mac_ready && leaf->epoch != run->mac.epoch) {
        run->mac_ready = false;
    }
}

/* Returns false if the leaf belongs elsewhere. The same shift again and again is one finding. */
static bool check_seq(struct tl_run *run, uint64_t seq, const struct tl_leaf *leaf)
{
    int64_t offset = (int64_t)(leaf->seq - seq);
    if (offset == 0) {
        run->seq_offset = 0;
        return true;
    }
    if (offset != run->seq_offset) {
        tl_found_numbers(&run->found, TL_SEQ_MISMATCH, seq, (int64_t)seq, (int64_t)leaf->seq,
                         "the leaf says that it is another record");
    }
    run->seq_offset = offset;
    tl_leaf_damaged(run, seq);
    tl_state_doubt(run);
    return false;
}

static void check_time(struct tl_run *run, const struct tl_leaf *leaf)
{
    struct tl_state *state = &run->state;
    if (leaf->time_us < state->time_us) {
        leaf_differs(run, TL_TIME_REGRESSION, leaf, state->time_us, leaf->time_us,
                     "time goes back (microseconds since 1970)");
    }
    state->time_us = leaf->time_us;
}

/* All leaves but GENESIS, EPOCH and RESTORE, which bring their own rules. */
static void check_epoch(struct tl_run *run, const struct tl_leaf *leaf)
{
    struct tl_state *state = &run->state;
    uint32_t epoch = tl_epoch_of(state->start_us, state->epoch_seconds, leaf->time_us);
    bool wrong = leaf->epoch != state->epoch || epoch != state->epoch ||
                 leaf->time_us < state->start_us; /* before the first epoch */
    if (wrong && !run->epoch_wrong) {
        leaf_differs(run, TL_EPOCH_MISMATCH, leaf, state->epoch,
                     leaf->epoch != state->epoch ? leaf->epoch : epoch,
                     "the leaf is not in the epoch in force");
    }
    run->epoch_wrong = wrong;
}

static void check_generation(struct tl_run *run, const struct tl_leaf *leaf)
{
    struct tl_state *state = &run->state;
    if (leaf->incarnation != state->incarnation) {
        leaf_differs(run, TL_LEAF_INVALID, leaf, state->incarnation, leaf->incarnation,
                     "the leaf is of another incarnation");
    } else if (leaf->mac_gen != state->mac_gen) {
        leaf_differs(run, TL_LEAF_INVALID, leaf, state->mac_gen, leaf->mac_gen,
                     "the leaf is of another MAC generation");
    }
}

/* In a class that counts from occurred_at, content.c says the rest. */
static void check_retention(struct tl_run *run, const struct tl_leaf *leaf)
{
    if (!run->state.policy_known) {
        return;
    }
    const struct tl_class *class = tl_policy_class(&run->state.policy, leaf->class_id);
    if (class == NULL) {
        leaf_found(run, TL_LEAF_INVALID, leaf->seq, "the policy in force has no such class");
        return;
    }
    uint32_t until = tl_retain_until(leaf->time_us, class->days);
    bool right = class->by_occurred && class->days >= 0 ? leaf->retain_until <= until
                                                        : leaf->retain_until == until;
    if (!right) {
        leaf_differs(run, TL_RETENTION_MISMATCH, leaf, until, leaf->retain_until,
                     "not the day that the policy in force asks for");
    }
}

static void check_entry(struct tl_run *run, const struct tl_leaf *leaf)
{
    static const uint8_t none[TL_LEAF_ID_LEN];
    if (memcmp(leaf->id, none, sizeof(none)) == 0) {
        leaf_found(run, TL_LEAF_INVALID, leaf->seq, "the id is zero");
    }
    check_retention(run, leaf);
}

static void check_mac(struct tl_run *run, const struct tl_leaf *leaf, const uint8_t *bytes)
{
    if (!run->mac_ready || leaf->mac_gen != run->state.mac_gen || leaf->epoch != run->mac.epoch) {
        run->mac_missed = true;
        return;
    }
    uint8_t mac[TL_LEAF_MAC_LEN];
    tl_mac_leaf(&run->mac, bytes, mac);
    if (!tl_equal_const_time(mac, leaf->mac, sizeof(mac))) {
        leaf_found(run, TL_MAC_MISMATCH, leaf->seq, "the MAC is not of this leaf");
    }
}

static void check_rules(struct tl_run *run, const struct tl_leaf *leaf, const uint8_t *bytes,
                        size_t len)
{
    bool opens = leaf->kind == TL_LEAF_GENESIS || leaf->kind == TL_LEAF_RESTORE;
    if (!opens && run->state.begun) {
        check_generation(run, leaf);
        if (leaf->kind != TL_LEAF_EPOCH) {
            check_epoch(run, leaf);
        }
    }
    if (!opens) {
        check_mac(run, leaf, bytes);
    }
    if (leaf->kind == TL_LEAF_ENTRY) {
        check_entry(run, leaf);
        return;
    }
    tl_control_leaf(run, leaf, (const char *)bytes + TL_LEAF_LEN, len - TL_LEAF_LEN);
    if (opens) {
        check_mac(run, leaf, bytes);
    }
}

bool tl_state_leaf(struct tl_run *run, uint64_t seq, const uint8_t *bytes, size_t len,
                   struct tl_leaf *leaf_out)
{
    struct tally_error error = TALLY_ERROR_INIT;
    run->state.names_keys = false;
    if (bytes == NULL || tl_leaf_decode(leaf_out, bytes, len, &error) != TALLY_OK) {
        leaf_found(run, TL_LEAF_MALFORMED, seq, bytes == NULL ? "there is no leaf" : error.message);
        tl_state_doubt(run);
        return false;
    }
    run->found.id_seq = seq;
    memcpy(run->found.id, leaf_out->id, sizeof(leaf_out->id));
    run->state.kind = leaf_out->kind;
    if (!check_seq(run, seq, leaf_out)) {
        return false;
    }
    if (seq == 0 && leaf_out->kind != TL_LEAF_GENESIS) {
        leaf_found(run, TL_CONTROL_INVALID, 0, "the first leaf is not GENESIS");
        tl_state_doubt(run);
    }
    if (run->state.uncertain && leaf_out->kind != TL_LEAF_GENESIS) {
        believe(run, leaf_out);
    }
    check_time(run, leaf_out);
    check_rules(run, leaf_out, bytes, len);
    return true;
}

void tl_state_end_incarnation(struct tl_run *run)
{
    const struct tl_state *state = &run->state;
    if (state->begun && !state->origin_pinned) {
        tl_found(&run->found, TL_GENESIS_MISMATCH, state->origin_seq,
                 "no log key that this leaf began with or led to is in the trust file");
    }
}

void tl_state_end(struct tl_run *run)
{
    tl_state_end_incarnation(run);
    if (run->in->mac_key != NULL && run->state.begun && !run->mac_seen) {
        tl_found(&run->found, TL_MAC_KEY_UNKNOWN, TALLY_SEQ_NONE,
                 "the MAC key given is of no generation of this ledger");
    }
}
