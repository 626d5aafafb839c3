/* Purges and erasures that were lost with a ledger, done again in the one restored from a backup. */
#include "ledger/reapply.h"

#include <stdio.h>

#include "bundle/bundle.h"
#include "ledger/backup_parts.h"
#include "ledger/erase.h"
#include "ledger/nodes.h"

#define ACT_BYTES_MAX ((size_t)256 << 20)
#define CHUNK_RECORDS 4096u
#define NOTE_SIZE     (TL_ORIGIN_LEN_MAX + 64u)

void tl_reapply_release(struct tl_reapply *reapply)
{
    tl_arena_release(&reapply->arena);
    tl_bits_release(&reapply->there);
    tl_free(reapply->acts);
    *reapply = (struct tl_reapply){ 0 };
}

static void store_closep(struct tally_store **store)
{
    tl_store_close(*store);
    *store = NULL;
}

/* ------------------------------------------------------------------------------------------- */
/* What the bundle says. */

static tally_status clip_ranges(struct tl_reapply *reapply, const struct tl_range **ranges,
                                uint32_t *count)
{
    struct tl_range *clipped = tl_arena_alloc(&reapply->arena, (*count + 1) * sizeof(*clipped));
    uint32_t left = 0;
    if (clipped == NULL) {
        return TALLY_ENOMEM;
    }
    while (left < *count && (*ranges)[left].first < reapply->from_size) { /* they ascend */
        clipped[left] = (*ranges)[left];
        if (clipped[left].last >= reapply->from_size) {
            clipped[left].last = reapply->from_size - 1;
        }
        left++;
    }
    *ranges = clipped;
    *count = left;
    return TALLY_OK;
}

static tally_status clip_items(struct tl_reapply *reapply, struct tl_control *control)
{
    struct tl_erase_item *clipped =
        tl_arena_alloc(&reapply->arena, (control->item_count + 1) * sizeof(*clipped));
    uint32_t left = 0;
    if (clipped == NULL) {
        return TALLY_ENOMEM;
    }
    for (uint32_t i = 0; i < control->item_count; i++) {
        clipped[left] = control->items[i];
        TL_TRY(clip_ranges(reapply, &clipped[left].seqs, &clipped[left].seq_count));
        left += clipped[left].seq_count > 0 ? 1 : 0;
    }
    control->items = clipped;
    control->item_count = left;
    return TALLY_OK;
}

/* Takes out of an act what is about records that are lost. *is_left_out: whether anything remains. */
static tally_status clip(struct tl_reapply *reapply, struct tl_control *control, bool *is_left_out)
{
    *is_left_out = true;
    if (control->kind == TL_LEAF_ERASE) {
        TL_TRY(clip_items(reapply, control));
        *is_left_out = control->item_count > 0;
    } else if (control->kind == TL_LEAF_HOLD || control->override_days) {
        TL_TRY(clip_ranges(reapply, &control->ranges, &control->range_count));
        *is_left_out = control->range_count > 0;
    } else if (control->kind == TL_LEAF_PURGE && control->before_seq > reapply->from_size) {
        control->before_seq = reapply->from_size;
    }
    return TALLY_OK;
}

/* One reading. */
struct reading {
    struct tl_reapply *reapply;
    const struct tl_trust *trust;
    struct tally_error *err;
};

/* An approval names the ledger it was given for. To pass the act over would bring contents back, to do it
 * unapproved would be a finding for ever. */
static tally_status check_approval(const struct reading *reading, uint64_t seq,
                                   const struct tl_control *control)
{
    bool asked = (reading->trust->approve_kinds >> (control->kind - TL_LEAF_GENESIS) & 1) != 0;
    if (!asked && !control->override_days) {
        return TALLY_OK;
    }
    return tl_fail(
        reading->err, TALLY_EDENIED,
        "record %llu of the bundle, %s, needs an approval, and the one it has is for the "
        "lost ledger: restore without the bundle, and have what it says approved and "
        "done in the restored ledger",
        (unsigned long long)seq,
        control->override_days ? "an early PURGE" : tl_leaf_kind_name(control->kind));
}

static tally_status reserve(struct tl_reapply *reapply)
{
    if (reapply->count < reapply->capacity) {
        return TALLY_OK;
    }
    size_t capacity = reapply->capacity == 0 ? 16 : 2 * reapply->capacity;
    struct tl_lost_act *acts = tl_realloc_array(reapply->acts, capacity, sizeof(*acts));
    if (acts == NULL) {
        return TALLY_ENOMEM;
    }
    reapply->acts = acts;
    reapply->capacity = capacity;
    return TALLY_OK;
}

static tally_status take_act(void *ctx, const struct tally_record *record)
{
    struct reading *reading = ctx;
    struct tl_reapply *reapply = reading->reapply;
    struct tl_leaf leaf;
    TL_TRY(tl_leaf_decode(&leaf, record->leaf, record->leaf_len, NULL));
    if (!tl_excuses_concern(leaf.kind)) {
        return TALLY_OK;
    }
    size_t len = record->leaf_len - TL_LEAF_LEN;
    char *payload = tl_arena_alloc(&reapply->arena, len + 1);
    TL_TRY(reserve(reapply));
    if (payload == NULL) {
        return TALLY_ENOMEM;
    }
    memcpy(payload, record->leaf + TL_LEAF_LEN, len);
    struct tl_lost_act *act = &reapply->acts[reapply->count];
    bool is_left = false;
    *act = (struct tl_lost_act){ .seq = leaf.seq };
    TL_TRY(tl_control_parse(&act->control, &reapply->arena, leaf.kind, payload, len, NULL));
    TL_TRY(clip(reapply, &act->control, &is_left));
    if (!is_left) {
        return TALLY_OK;
    }
    reapply->count++;
    return check_approval(reading, leaf.seq, &act->control);
}

static tally_status note_content(void *ctx, const struct tally_record *record)
{
    struct tl_reapply *reapply = ctx;
    if (record->event != NULL) {
        tl_bits_set(&reapply->there, record->seq);
    }
    return TALLY_OK;
}

static tally_status open_bundle(const char *dir, struct tally_store **store_out,
                                struct tally_head *head_out, struct tally_error *err)
{
    if (!tl_bundle_is(dir)) {
        return tl_fail(err, TALLY_EINVAL, "'%s' is no bundle: it has no 'checkpoint' and 'tile'",
                       dir);
    }
    TL_TRY(tl_bundle_open(store_out, dir, err));
    return tl_store_head(*store_out, head_out, err);
}

static tally_status has_root(struct tally_store *store, const struct tally_head *head,
                             uint64_t size, const uint8_t root[TALLY_HASH_LEN], bool *has_out,
                             struct tally_error *err)
{
    uint8_t found[TL_HASH_LEN];
    TL_CLEANUP(tl_freep) struct tl_nodes *nodes = tl_alloc_array(1, sizeof(*nodes));
    if (nodes == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a tree");
    }
    nodes->store = store;
    nodes->size = head->size;
    nodes->err = err;
    TL_TRY(tl_nodes_root(nodes, size, found));
    *has_out = memcmp(found, root, sizeof(found)) == 0;
    return TALLY_OK;
}

tally_status tl_reapply_has_root(const char *dir, uint64_t size, const uint8_t root[TALLY_HASH_LEN],
                                 bool *has_out, struct tally_error *err)
{
    TL_CLEANUP(store_closep) struct tally_store *store = NULL;
    struct tally_head head = { 0 };
    TL_TRY(open_bundle(dir, &store, &head, err));
    return has_root(store, &head, size, root, has_out, err);
}

/* Whether it is a later state of what was backed up. */
static tally_status check_past(struct tally_store *store, const struct tally_head *head,
                               uint64_t from_size, const uint8_t from_root[TALLY_HASH_LEN],
                               struct tally_error *err)
{
    bool same = false;
    if (head->size < from_size) {
        return tl_fail(err, TALLY_ECONFLICT,
                       "the bundle is older than the backup: it has %llu records, the backup %llu "
                       "(ROLLBACK)",
                       (unsigned long long)head->size, (unsigned long long)from_size);
    }
    TL_TRY(has_root(store, head, from_size, from_root, &same, err));
    return same ? TALLY_OK
                : tl_fail(err, TALLY_ECONFLICT,
                          "the first %llu records of the bundle are not those of the backup (FORK)",
                          (unsigned long long)from_size);
}

tally_status tl_reapply_read(struct tl_reapply *out, const char *dir, const struct tl_trust *trust,
                             uint64_t from_size, const uint8_t from_root[TALLY_HASH_LEN],
                             struct tally_error *err)
{
    struct reading reading = { .reapply = out, .trust = trust, .err = err };
    TL_CLEANUP(store_closep) struct tally_store *store = NULL;
    struct tally_head head = { 0 };
    *out = (struct tl_reapply){ .from_size = from_size };
    tl_arena_init(&out->arena, ACT_BYTES_MAX);
    TL_TRY(open_bundle(dir, &store, &head, err));
    TL_TRY(tl_backup_verify_bundle(store, trust, err));
    TL_TRY(check_past(store, &head, from_size, from_root, err));
    out->size = head.size;
    memcpy(out->root, head.root, sizeof(out->root));
    TL_TRY(tl_bits_init(&out->there, from_size, err));
    TL_TRY(tl_store_scan(store, 0, from_size, note_content, out, err));
    tally_status status = tl_store_scan(store, from_size, head.size, take_act, &reading, err);
    return status == TALLY_OK || status == TALLY_EDENIED
               ? status
               : tl_fail(err, status, "cannot read what the bundle says was purged and erased");
}

/* ------------------------------------------------------------------------------------------- */
/* The same again. */

struct run {
    const struct tl_reapply *reapply;
    struct tally_ledger *ledger;
    const char *by;
    const char *origin;
    struct tl_removal *removal;
    struct tl_removed removed;
};

/* What one PURGE covers in the restored ledger. Large: allocate. */
struct purging {
    const struct run *run;
    const struct tl_control *control;
    struct tl_excuse_scope scope;
    uint64_t size;  /* of the ledger, which is where the leaf will be */
    uint64_t count; /* for the leaf */
    struct tl_bits go;
};

static bool is_shown(const struct tl_bits *bits, uint64_t seq)
{
    return (bits->words[seq / 64] >> (seq % 64) & 1) != 0;
}

/* The leaf covers what its formula says. What the bundle still shows was kept, by a longer rule. */
static void decide_entry(struct purging *purging, const struct tl_leaf *leaf,
                         const struct tally_record *record)
{
    uint32_t cutoff_day = purging->control->cutoff_day;
    struct tl_excuse excuse = tl_excuse_of(&purging->scope, record->seq, leaf->retain_until);
    if (leaf->retain_until > cutoff_day ||
        tl_excuse_held(&purging->scope, record->seq, purging->size)) {
        return;
    }
    purging->count += excuse.purged || excuse.erased ? 0 : 1;
    bool is_there = record->event != NULL || record->seed != NULL || record->opened != NULL;
    if (is_there && !is_shown(&purging->run->reapply->there, record->seq)) {
        tl_bits_set(&purging->go, record->seq);
    }
}

static tally_status decide_record(void *ctx, const struct tally_record *record)
{
    struct purging *purging = ctx;
    struct tl_leaf leaf;
    TL_TRY(tl_leaf_decode(&leaf, record->leaf, record->leaf_len, NULL));
    if (leaf.kind == TL_LEAF_ENTRY) {
        decide_entry(purging, &leaf, record);
    }
    return TALLY_OK;
}

static tally_status decide(struct purging *purging, const struct tl_acts *acts,
                           struct tally_error *err)
{
    struct tl_reader reader;
    uint64_t end = purging->control->before_seq;
    purging->size = acts->size;
    TL_TRY(tl_bits_init(&purging->go, end, err));
    if (tl_excuse_scope_init(&purging->scope, &acts->excuses) != TALLY_OK) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate what holds and purges say");
    }
    TL_TRY(tl_reader_get(purging->run->ledger, &reader, err));
    tally_status status = TALLY_OK;
    for (uint64_t at = 0; at < end && status == TALLY_OK; at += CHUNK_RECORDS) {
        uint64_t to = at + CHUNK_RECORDS < end ? at + CHUNK_RECORDS : end;
        tl_excuse_scope_set(&purging->scope, at, to);
        status = tl_store_scan(reader.store, at, to, decide_record, purging, err);
    }
    tl_reader_put(purging->run->ledger, &reader);
    return status == TALLY_OK ? status : tl_fail(err, status, "cannot read records");
}

static void purging_free(struct purging **purging_ptr)
{
    struct purging *purging = *purging_ptr;
    if (purging != NULL) {
        tl_excuse_scope_release(&purging->scope);
        tl_bits_release(&purging->go);
        tl_free(purging);
    }
    *purging_ptr = NULL;
}

static tally_status seal(const struct run *run, const struct tl_control *control,
                         const struct tl_acts *acts, struct tally_error *err)
{
    uint64_t seq = TALLY_SEQ_NONE;
    return tl_act_seal(run->ledger, control, acts->newest, &seq, err);
}

static tally_status purge(struct run *run, struct tl_control *control, const struct tl_acts *acts,
                          struct tally_error *err)
{
    TL_CLEANUP(purging_free) struct purging *purging = tl_alloc_array(1, sizeof(*purging));
    if (purging == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a purge");
    }
    purging->run = run;
    purging->control = control;
    TL_TRY(decide(purging, acts, err));
    control->count = purging->count;
    if (purging->count > 0) {
        TL_TRY(seal(run, control, acts, err)); /* else the backup's own acts cover it */
    }
    const struct tl_removal_order order = { .progress = NULL };
    return tl_removal_run_bits(run->removal, &purging->go, &order, &run->removed, err);
}

static bool is_active(const struct tl_excuses *excuses, struct tl_str name)
{
    for (size_t i = 0; i < excuses->hold_count; i++) {
        if (tl_str_equal(excuses->holds[i].name, name)) {
            return !excuses->holds[i].released;
        }
    }
    return false;
}

static tally_status redo(struct run *run, const struct tl_lost_act *act, struct tally_error *err)
{
    char note[NOTE_SIZE];
    struct tl_control control = act->control;
    const struct tl_acts *acts = NULL;
    TL_TRY(tl_removal_acts(run->removal, &acts, err));
    if (control.kind == TL_LEAF_RELEASE && !is_active(&acts->excuses, control.hold)) {
        return TALLY_OK; /* all that it was about is lost */
    }
    control.by = tl_str_of(run->by);
    control.approval = (struct tl_str){ 0 };
    if (control.kind != TL_LEAF_HOLD) { /* the note of a hold says when it expires */
        (void)snprintf(note, sizeof(note), "again: %s %llu of %s", tl_leaf_kind_name(control.kind),
                       (unsigned long long)act->seq, run->origin);
        control.note = tl_str_of(note);
    }
    if (control.kind == TL_LEAF_PURGE) {
        return purge(run, &control, acts, err);
    }
    TL_TRY(seal(run, &control, acts, err));
    return control.kind == TL_LEAF_ERASE
               ? tl_erase_finish(run->removal, run->ledger, &run->removed, err)
               : TALLY_OK;
}

/* The backup may be of the middle of an erasure: that one is finished before another is sealed. */
static tally_status redo_all(struct run *run, struct tally_error *err)
{
    TL_TRY(tl_erase_finish(run->removal, run->ledger, &run->removed, err));
    for (size_t i = 0; i < run->reapply->count; i++) {
        const struct tl_lost_act *act = &run->reapply->acts[i];
        struct tally_error why = TALLY_ERROR_INIT;
        tally_status status = redo(run, act, &why);
        if (status != TALLY_OK) {
            return tl_fail(
                err, status, "record %llu of the bundle, %s, cannot be done again: %.150s",
                (unsigned long long)act->seq, tl_leaf_kind_name(act->control.kind), why.message);
        }
    }
    return tl_removal_reclaim(run->removal, &run->removed, err);
}

tally_status tl_reapply_run(const struct tl_reapply *reapply, struct tally_ledger *ledger,
                            const char *by, const char *origin, uint64_t *records_out,
                            struct tally_error *err)
{
    struct run run = { .reapply = reapply, .ledger = ledger, .by = by, .origin = origin };
    if (reapply->count == 0) {
        return TALLY_OK;
    }
    TL_TRY(tl_removal_begin(&run.removal, ledger, err));
    tally_status status = redo_all(&run, err);
    tl_removal_end(&run.removal);
    *records_out = run.removed.records;
    return status;
}
