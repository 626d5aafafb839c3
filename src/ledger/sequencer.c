#include "ledger/sequencer.h"

#include "base/bytes.h"
#include "codec/json.h"
#include "evidence/leaf.h"
#include "ledger/entry.h"
#include "ledger/sequencer_impl.h"

#define SLOTS ((size_t)4 * TL_BATCH_EVENTS_MAX) /* a quarter full at most: short chains */

const struct tally_head *tl_sequencer_head(const struct tl_sequencer *seq)
{
    return &seq->head;
}

/* Notes for each entry which earlier one of the batch has the same id. */
static void find_twins(struct tl_seal_buffers *buffers, size_t count)
{
    memset(buffers->slots, 0, SLOTS * sizeof(*buffers->slots));
    for (size_t i = 0; i < count; i++) {
        uint64_t at = (tl_get_be64(buffers->ids[i]) * UINT64_C(0x9E3779B97F4A7C15) ^
                       tl_get_be64(buffers->ids[i] + 8)) *
                          UINT64_C(0x9E3779B97F4A7C15) >>
                      32;
        buffers->twins[i] = 0;
        for (;; at++) {
            uint32_t *slot = &buffers->slots[at % SLOTS];
            if (*slot == 0) {
                *slot = (uint32_t)i + 1;
                break;
            }
            if (memcmp(buffers->ids[*slot - 1], buffers->ids[i], TL_LEAF_ID_LEN) == 0) {
                buffers->twins[i] = *slot;
                break;
            }
        }
    }
}

/* Finds the member occurred_at, with a comma; false if there is none. */
static bool find_time(const char *event, size_t len, size_t *start_out, size_t *end_out)
{
    struct tl_json_iter it = { 0 };
    while (tl_json_next(&it, event, len) == TALLY_OK) {
        if (tl_str_is(it.raw_name, "occurred_at")) {
            *start_out = it.member_start;
            *end_out = it.value_end;
            return true;
        }
    }
    return false;
}

/* Whether a stored event is the one handed in. A time that we supplied does not count: who retries
 * without one gets another. */
static bool is_same_event(const struct tl_entry *entry, const char *event, size_t len)
{
    if (len == entry->len && memcmp(event, entry->event, len) == 0) {
        return true;
    }
    size_t start = 0;
    size_t end = 0;
    size_t old_start = 0;
    size_t old_end = 0;
    return entry->time_is_ours && find_time(entry->event, entry->len, &start, &end) &&
           find_time(event, len, &old_start, &old_end) && start == old_start &&
           memcmp(event, entry->event, start) == 0 && len - old_end == entry->len - end &&
           memcmp(event + old_end, entry->event + end, len - old_end) == 0;
}

struct known {
    const struct tl_entry *entry;
    tally_status status; /* TALLY_OK: the same event; TALLY_ECONFLICT: another */
    bool found;
};

static tally_status meet_known(void *ctx, const struct tally_record *record)
{
    struct known *known = ctx;
    struct tally_receipt *receipt = known->entry->receipt;
    struct tl_leaf leaf;
    TL_TRY(tl_leaf_decode(&leaf, record->leaf, record->leaf_len, NULL));
    known->found = true;
    receipt->seq = record->seq;
    receipt->recorded_us = leaf.time_us;
    tl_tree_hash_leaf(receipt->leaf_hash, record->leaf, record->leaf_len);
    /* Content that is gone, whole or in part, can no longer be compared: the id decides. */
    bool same = record->event == NULL || record->opened != NULL ||
                is_same_event(known->entry, record->event, record->event_len);
    known->status = same ? TALLY_OK : TALLY_ECONFLICT;
    return TALLY_OK;
}

/* Answers an entry whose id is in the ledger already. */
static tally_status answer_known(struct tl_sequencer *seq, const struct tl_entry *entry,
                                 uint64_t at, struct tally_error *err)
{
    struct known known = { .entry = entry };
    TL_TRY(tl_store_scan(seq->store, at, at + 1, meet_known, &known, err));
    if (!known.found) {
        return tl_fail(err, TALLY_ECORRUPT, "an id points to record %llu, which is not there",
                       (unsigned long long)at);
    }
    struct tally_receipt *receipt = entry->receipt;
    receipt->status = known.status;
    receipt->level = known.status == TALLY_OK ? TALLY_LEVEL_RECORDED : TALLY_LEVEL_NONE;
    receipt->flags |= known.status == TALLY_OK ? TALLY_RECEIPT_DUPLICATE : 0;
    receipt->checkpoint_size = seq->head.size;
    return TALLY_OK;
}

/* Sets seqs[i] for each entry: where its id is already, or TALLY_SEQ_NONE. */
static tally_status look_up(struct tl_sequencer *seq, size_t count, bool look,
                            struct tally_error *err)
{
    struct tl_seal_buffers *buffers = &seq->buffers;
    if (look) {
        return tl_store_find_ids(seq->store, (const uint8_t(*)[TALLY_LEAF_ID_LEN])buffers->ids,
                                 count, buffers->seqs, err);
    }
    for (size_t i = 0; i < count; i++) {
        buffers->seqs[i] = TALLY_SEQ_NONE;
    }
    return TALLY_OK;
}

/* How long it is kept. Who handed it in counted with the rules that were in force when the ledger was
 * opened. */
static tally_status days_of(int32_t *days_out, const struct tl_sequencer *seq,
                            const struct tl_entry *entry)
{
    *days_out = entry->days;
    if (seq->adopted == NULL) {
        return TALLY_OK;
    }
    struct tl_event_keys keys;
    TL_TRY(tl_event_keys_read(&keys, entry->event, entry->len));
    *days_out = tl_retention_days(&seq->config->retention, &keys);
    return TALLY_OK;
}

static const struct tl_class *class_for(const struct tl_sequencer *seq,
                                        const struct tl_entry *entry, int32_t days)
{
    bool by_occurred = seq->config->retention.by_occurred || entry->by_occurred;
    for (uint32_t i = 0; i < seq->policy->class_count; i++) {
        const struct tl_class *class = &seq->policy->classes[i];
        if (class->days == days && class->by_occurred == by_occurred) {
            return class;
        }
    }
    return NULL;
}

static uint32_t retain_until(const struct tl_class *class, const struct tl_entry *entry,
                             int64_t time_us)
{
    int64_t basis = time_us;
    if (class->by_occurred) {
        int64_t occurred = entry->occurred_us < 0 ? 0 : entry->occurred_us;
        basis = occurred < time_us ? occurred : time_us;
    }
    return tl_retain_until(basis, class->days);
}

/* Whether the commitment is one under the policy in force, which may have changed since it was made. */
static bool is_in_force(struct tl_sequencer *seq, const struct tl_commitment *commitment)
{
    if (commitment == NULL) {
        return false;
    }
    if (commitment->set != seq->equal_set &&
        tl_erasable_equal(commitment->set, &seq->policy->erasable)) {
        seq->equal_set = commitment->set;
    }
    return commitment->set == seq->equal_set;
}

/* The commitment of an entry, which the record borrows its seed from. */
static tally_status commit_to(const struct tl_commitment **commitment_out, struct tl_sequencer *seq,
                              size_t n, const struct tl_entry *entry)
{
    struct tl_seal_buffers *buffers = &seq->buffers;
    *commitment_out = entry->commitment;
    if (is_in_force(seq, entry->commitment)) {
        return TALLY_OK;
    }
    const struct tl_str event = { .text = entry->event, .len = entry->len };
    *commitment_out = &buffers->commitments[n];
    return tl_commitment_make(&buffers->commitments[n], &seq->policy->erasable, event,
                              &buffers->split, &buffers->scratch);
}

/* Builds record number `n` of the batch. */
static tally_status build_record(struct tl_sequencer *seq, size_t n, const struct tl_entry *entry,
                                 int64_t time_us, bool held)
{
    struct tl_seal_buffers *buffers = &seq->buffers;
    const struct tl_commitment *commitment = NULL;
    int32_t days = 0;
    TL_TRY(commit_to(&commitment, seq, n, entry));
    TL_TRY(days_of(&days, seq, entry));
    const struct tl_class *class = class_for(seq, entry, days);
    tl_assert(class != NULL); /* the policy was made from these very rules */
    struct tl_leaf leaf = { .kind = TL_LEAF_ENTRY,
                            .class_id = class->id,
                            .seq = seq->head.size + n,
                            .time_us = time_us,
                            .retain_until = retain_until(class, entry, time_us),
                            .epoch = seq->now.epoch,
                            .mac_gen = seq->keys->state.mac_gen,
                            .incarnation = seq->keys->state.incarnation };
    memcpy(leaf.id, entry->id, sizeof(leaf.id));
    memcpy(leaf.commit, commitment->commit, sizeof(leaf.commit));
    leaf.flags =
        (commitment->has_members ? TL_LEAF_HAS_MEMBERS : 0u) | (held ? TL_LEAF_TIME_HELD : 0u);
    uint8_t *out = buffers->leaves[n];
    tl_leaf_encode(out, &leaf);
    tl_mac_leaf(&seq->mac, out, out + TL_LEAF_MAC_AT);
    buffers->records[n] = (struct tally_record){ .seq = leaf.seq,
                                                 .leaf = out,
                                                 .leaf_len = TL_LEAF_LEN,
                                                 .event = entry->event,
                                                 .event_len = entry->len,
                                                 .seed = commitment->seed,
                                                 .seed_len = TL_SEED_LEN };
    return TALLY_OK;
}

static void fill_receipt(const struct tl_sequencer *seq, const struct tl_entry *entry, size_t n,
                         int64_t time_us)
{
    struct tally_receipt *receipt = entry->receipt;
    receipt->status = TALLY_OK;
    receipt->level = TALLY_LEVEL_RECORDED;
    receipt->seq = seq->buffers.records[n].seq;
    receipt->recorded_us = time_us;
    receipt->checkpoint_size = seq->head.size;
    memcpy(receipt->leaf_hash, seq->buffers.hashes[n], sizeof(receipt->leaf_hash));
}

/* Answers the entries whose twin in the same batch went before. */
static void answer_twins(struct tl_sequencer *seq, const struct tl_entry *entries, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (seq->buffers.twins[i] == 0 || seq->buffers.seqs[i] != TALLY_SEQ_NONE) {
            continue;
        }
        const struct tl_entry *first = &entries[seq->buffers.twins[i] - 1];
        struct tally_receipt *receipt = entries[i].receipt;
        uint32_t flags = receipt->flags;
        *receipt = *first->receipt; /* the same id, so also the same text of it */
        receipt->flags = flags | TALLY_RECEIPT_DUPLICATE;
        if (!is_same_event(&entries[i], first->event, first->len)) {
            receipt->status = TALLY_ECONFLICT;
            receipt->level = TALLY_LEVEL_NONE;
            receipt->flags = flags;
        }
    }
}

/* One try at the batch; TALLY_ECONFLICT asks for another with `look`. */
static tally_status try_batch(struct tl_sequencer *seq, struct tl_entry *entries, size_t count,
                              bool look, struct tally_error *err)
{
    struct tl_seal_buffers *buffers = &seq->buffers;
    TL_TRY(look_up(seq, count, look, err));
    bool held = false;
    int64_t time_us = tl_seal_time(seq, &held);
    TL_TRY(tl_seal_epoch(seq, time_us, err));

    size_t n = 0;
    bool known = false;
    for (size_t i = 0; i < count; i++) {
        if (buffers->seqs[i] != TALLY_SEQ_NONE) {
            known = true;
            TL_TRY(answer_known(seq, &entries[i], buffers->seqs[i], err));
            continue;
        }
        if (buffers->twins[i] != 0) {
            continue;
        }
        TL_TRY(build_record(seq, n, &entries[i], time_us, held));
        buffers->entries[n++] = &entries[i];
    }
    seq->expect_known_ids = known;
    if (n > 0) {
        TL_TRY(tl_seal_commit(seq, n, false, err));
    }
    for (size_t i = 0; i < n; i++) {
        fill_receipt(seq, buffers->entries[i], i, time_us);
    }
    answer_twins(seq, entries, count);
    return TALLY_OK;
}

/* After a commit of unknown outcome the store decides where we stand. */
static tally_status settle_head(struct tl_sequencer *seq, struct tally_error *err)
{
    if (!seq->head_unsure) {
        return TALLY_OK;
    }
    struct tally_head found;
    TL_TRY(tl_store_head(seq->store, &found, err));
    if (!tl_head_equal(&found, &seq->head)) {
        return tl_seal_break(seq, TALLY_ECORRUPT, err,
                             "a batch turned out to be stored after its writer was told it failed; "
                             "open the ledger again");
    }
    seq->head_unsure = false;
    return TALLY_OK;
}

tally_status tl_seal_ready(struct tl_sequencer *seq, struct tally_error *err)
{
    if (seq->broken != TALLY_OK) {
        return tl_fail(err, seq->broken,
                       "the ledger stopped after an earlier failure; open it again");
    }
    return settle_head(seq, err);
}

tally_status tl_sequencer_append(struct tl_sequencer *seq, struct tl_entry *entries, size_t count,
                                 struct tally_error *err)
{
    tl_assert(count > 0 && count <= TL_BATCH_EVENTS_MAX);
    TL_TRY(tl_seal_ready(seq, err));
    for (size_t i = 0; i < count; i++) {
        memcpy(seq->buffers.ids[i], entries[i].id, TL_LEAF_ID_LEN);
    }
    find_twins(&seq->buffers, count);

    struct tally_error first = TALLY_ERROR_INIT;
    tally_status status = try_batch(seq, entries, count, seq->expect_known_ids, &first);
    if (status == TALLY_ECONFLICT && seq->broken == TALLY_OK) {
        first = (struct tally_error)TALLY_ERROR_INIT;
        status = try_batch(seq, entries, count, true, &first);
        if (status == TALLY_ECONFLICT) {
            return tl_seal_break(seq, TALLY_ECORRUPT, err, "another writer has changed the store");
        }
    }
    if (status != TALLY_OK && err != NULL && err->status == TALLY_OK) {
        *err = first;
    }
    return status;
}

/* What fails after the commit leaves a record that is there: who is told that it is not would declare
 * the same loss again. */
tally_status tl_sequencer_control(struct tl_sequencer *seq, const struct tl_control *control,
                                  struct tally_error *err)
{
    bool held = false;
    TL_TRY(tl_seal_ready(seq, err));
    int64_t time_us = tl_seal_time(seq, &held);
    TL_TRY(tl_seal_epoch(seq, time_us, err));
    uint64_t before = seq->head.size;
    struct tally_error why = TALLY_ERROR_INIT;
    tally_status status = tl_seal_control_at(seq, control, time_us, held, &why);
    return status == TALLY_OK || seq->head.size > before ? TALLY_OK
                                                         : tl_fail_with(err, status, &why);
}

tally_status tl_sequencer_tick(struct tl_sequencer *seq, struct tally_error *err)
{
    bool held = false;
    TL_TRY(tl_seal_ready(seq, err));
    return tl_seal_epoch(seq, tl_seal_time(seq, &held), err);
}

/* The mark goes into both slots, so that no older one of the same size contradicts it. */
static void mark_clean_stop(struct tl_sequencer *seq)
{
    if (seq->broken != TALLY_OK || seq->head_unsure || seq->head.size == 0) {
        return;
    }
    /* A failure here only means that the next start says "not stopped in order". */
    (void)tl_publish_checkpoint(seq, "newest", NULL);
    (void)tl_keys_mark(seq->keys, seq->head.size, seq->head.root, true, false, NULL);
    (void)tl_keys_mark(seq->keys, seq->head.size, seq->head.root, true, true, NULL);
}

tally_status tl_sequencer_broken(const struct tl_sequencer *seq)
{
    return seq->broken;
}

void tl_sequencer_wipe(struct tl_sequencer *seq)
{
    explicit_bzero(seq->keys->log_seed, sizeof(seq->keys->log_seed));
    explicit_bzero(&seq->keys->state, sizeof(seq->keys->state));
    tl_mac_release(&seq->mac);
}

void tl_sequencer_close(struct tl_sequencer *seq)
{
    if (seq == NULL) {
        return;
    }
    mark_clean_stop(seq);
    tl_seal_forget_acts(seq);
    tl_mac_release(&seq->mac);
    tl_keys_free(seq->keys);
    tl_config_freep(&seq->adopted);
    tl_seal_buffers_release(&seq->buffers);
    tl_free(seq->policy);
    tl_free(seq->tiler);
    tl_free(seq->next_tiler);
    tl_free(seq);
}
