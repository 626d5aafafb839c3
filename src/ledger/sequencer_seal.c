/* Builds leaves and checkpoints and commits them: what one batch does, whatever is in it. */
#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/random.h"
#include "ledger/sequencer_impl.h"

#define CLOCK_STEP_MAX_US INT64_C(3600000000) /* a larger step forward is not followed */
#define PUBLISH_EVERY_US  INT64_C(1000000)
#define TILES_PER_BATCH   (TL_BATCH_EVENTS_MAX / TL_TILE_WIDTH + TL_TILE_LEVELS + 1)

tally_status tl_seal_buffers_init(struct tl_seal_buffers *buffers, struct tally_error *err)
{
    size_t n = TL_BATCH_EVENTS_MAX;
    buffers->leaves = tl_alloc_array(n, sizeof(*buffers->leaves));
    buffers->hashes = tl_alloc_array(n, sizeof(*buffers->hashes));
    buffers->commitments = tl_alloc_array(n, sizeof(*buffers->commitments));
    buffers->ids = tl_alloc_array(n, sizeof(*buffers->ids));
    buffers->seqs = tl_alloc_array(n, sizeof(*buffers->seqs));
    buffers->twins = tl_alloc_array(n, sizeof(*buffers->twins));
    buffers->slots = tl_alloc_array(4 * n, sizeof(*buffers->slots));
    /* NOLINTNEXTLINE(bugprone-sizeof-expression): pointers are what it holds */
    buffers->entries = tl_alloc_array(n, sizeof(*buffers->entries));
    buffers->records = tl_alloc_array(n, sizeof(*buffers->records));
    buffers->tile_max = TILES_PER_BATCH;
    buffers->tiles = tl_alloc_array(buffers->tile_max, sizeof(*buffers->tiles));
    buffers->tile_bytes = tl_alloc_array(buffers->tile_max, TL_TILE_LEN);
    tl_buf_init(&buffers->note, TL_NOTE_LEN_MAX);
    tl_buf_init(&buffers->scratch, (size_t)32 << 20);
    tl_buf_init(&buffers->payload, TL_LEAF_LEN + TL_LEAF_PAYLOAD_MAX);
    bool done = buffers->leaves != NULL && buffers->hashes != NULL &&
                buffers->commitments != NULL && buffers->ids != NULL && buffers->seqs != NULL &&
                buffers->twins != NULL && buffers->slots != NULL && buffers->entries != NULL &&
                buffers->records != NULL && buffers->tiles != NULL && buffers->tile_bytes != NULL;
    return done ? TALLY_OK : tl_fail(err, TALLY_ENOMEM, "cannot allocate the buffers of a batch");
}

void tl_seal_buffers_release(struct tl_seal_buffers *buffers)
{
    tl_free(buffers->leaves);
    tl_free(buffers->hashes);
    if (buffers->commitments != NULL) {
        explicit_bzero(buffers->commitments, TL_BATCH_EVENTS_MAX * sizeof(*buffers->commitments));
    }
    tl_free(buffers->commitments);
    tl_free(buffers->ids);
    tl_free(buffers->seqs);
    tl_free(buffers->twins);
    tl_free(buffers->slots);
    tl_free(buffers->entries);
    tl_free(buffers->records);
    tl_free(buffers->tiles);
    tl_free(buffers->tile_bytes);
    tl_buf_release(&buffers->note);
    tl_buf_release(&buffers->scratch);
    tl_buf_release(&buffers->payload);
}

tally_status tl_seal_break(struct tl_sequencer *seq, tally_status status, struct tally_error *err,
                           const char *why)
{
    seq->broken = status;
    return tl_fail(err, status, "the ledger takes nothing more: %s", why);
}

/* The wall clock, unless it ran ahead of the steady one by more than an hour: a forged future would
 * make contents due that are not. */
static int64_t believed_clock(struct tl_sequencer *seq)
{
    int64_t wall = tl_clock->wall_us();
    int64_t steady = tl_clock->steady_us();
    int64_t expected = seq->wall_ref_us + (steady - seq->steady_ref_us);
    if (wall - expected > CLOCK_STEP_MAX_US) {
        return expected;
    }
    seq->wall_ref_us = wall;
    seq->steady_ref_us = steady;
    return wall;
}

int64_t tl_seal_time(struct tl_sequencer *seq, bool *held_out)
{
    int64_t clock = believed_clock(seq);
    *held_out = clock < seq->now.last_us;
    return *held_out ? seq->now.last_us : clock;
}

static tally_status collect_tile(void *ctx, uint32_t level, uint64_t n, const uint8_t *data)
{
    struct tl_seal_buffers *buffers = ctx;
    tl_assert(buffers->tile_count < buffers->tile_max);
    uint8_t *copy = buffers->tile_bytes + (size_t)buffers->tile_count * TL_TILE_LEN;
    memcpy(copy, data, TL_TILE_LEN);
    buffers->tiles[buffers->tile_count++] =
        (struct tally_tile){ .level = level, .n = n, .data = copy };
    return TALLY_OK;
}

/* Extends copies of frontier and tiler by the leaves of the batch. */
static void grow_tree(struct tl_sequencer *seq, struct tl_progress *next, size_t count)
{
    struct tl_seal_buffers *buffers = &seq->buffers;
    buffers->tile_count = 0;
    memcpy(seq->next_tiler, seq->tiler, sizeof(*seq->tiler));
    for (size_t i = 0; i < count; i++) {
        const struct tally_record *record = &buffers->records[i];
        tl_tree_hash_leaf(buffers->hashes[i], record->leaf, record->leaf_len);
        tl_frontier_add(&next->frontier, buffers->hashes[i]);
        /* collect_tile() never fails. */
        tl_assert(tl_tiler_add(seq->next_tiler, buffers->hashes[i], collect_tile, buffers) ==
                  TALLY_OK);
    }
}

/* One flipped bit in memory would be sealed for ever: look at the bytes the store will get again. */
static bool leaves_are_intact(const struct tl_seal_buffers *buffers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint8_t again[TL_HASH_LEN];
        tl_tree_hash_leaf(again, buffers->records[i].leaf, buffers->records[i].leaf_len);
        if (memcmp(again, buffers->hashes[i], sizeof(again)) != 0) {
            return false;
        }
    }
    return true;
}

/* The checkpoint over `head`, with the time of the newest leaf: a later reading of the clock could
 * fall into the next epoch. */
static tally_status sign_checkpoint(struct tl_sequencer *seq, const struct tally_head *head,
                                    int64_t time_us)
{
    struct tl_buf *note = &seq->buffers.note;
    seq->note_is_durable = false;
    tl_buf_clear(note);
    struct tl_checkpoint_body body = { .origin = tl_str_of(seq->keys->state.origin),
                                       .size = head->size };
    memcpy(body.root, head->root, sizeof(body.root));
    tl_checkpoint_format(note, &body);
    size_t body_len = note->len;
    tl_buf_add_char(note, '\n');
    uint64_t time_s = (uint64_t)(time_us / 1000000);
    TL_TRY(tl_note_sign(note, body_len, &seq->keys->log_key, seq->keys->log_seed, 0));
    if (seq->keys->state.change.has_log) { /* then this is the checkpoint of its KEY leaf */
        TL_TRY(tl_note_sign(note, body_len, &seq->keys->next_log_key,
                            seq->keys->state.change.log_seed, 0));
    }
    TL_TRY(
        tl_note_sign(note, body_len, &seq->keys->epoch_key, seq->keys->state.current.seed, time_s));
    return tl_buf_status(note);
}

/* After a failed commit: finds out whether it is there after all. */
static tally_status settle(struct tl_sequencer *seq, const struct tally_head *wanted,
                           tally_status status, struct tally_error *err)
{
    struct tally_head found;
    if (tl_store_head(seq->store, &found, NULL) != TALLY_OK) {
        seq->head_unsure = true;
        return status;
    }
    if (tl_head_equal(&found, wanted)) {
        return TALLY_OK;
    }
    if (!tl_head_equal(&found, &seq->head)) {
        return tl_seal_break(seq, TALLY_ECORRUPT, err, "another writer has changed the store");
    }
    return status;
}

static tally_status store_batch(struct tl_sequencer *seq, const struct tally_batch *batch,
                                struct tally_error *err)
{
    struct tally_error first = TALLY_ERROR_INIT;
    tally_status status = tl_store_append(seq->store, &seq->head, batch, &first);
    if (status == TALLY_EIO) {
        status = settle(seq, &batch->head, status, &first);
    }
    if (status != TALLY_OK && err != NULL && err->status == TALLY_OK) {
        *err = first;
    }
    return status;
}

tally_status tl_publish_checkpoint(const struct tl_sequencer *seq, const char *name,
                                   struct tally_error *err)
{
    /* No signature leaves the process before what it covers is durable. */
    if (seq->paths->memory || !seq->note_is_durable) {
        return TALLY_OK;
    }
    char path[TL_PATH_SIZE];
    TL_TRY(tl_path_join(path, seq->paths->checkpoints, name, err));
    const struct tl_buf *note = &seq->buffers.note;
    return tl_io_replace_file(path, note->data, note->len, 0644, err);
}

/* The text copies are a convenience: the store has them too. A failure shows at the next one. */
static void publish_sometimes(struct tl_sequencer *seq)
{
    int64_t now = tl_clock->steady_us();
    if (now - seq->published_us >= PUBLISH_EVERY_US) {
        seq->published_us = now;
        (void)tl_publish_checkpoint(seq, "newest", NULL); /* as said above */
    }
}

static void move_forward(struct tl_sequencer *seq, const struct tally_head *head,
                         const struct tl_progress *next, bool kept)
{
    seq->head = *head;
    seq->note_is_durable = true;
    seq->now = *next;
    seq->last_checkpoint = head->size;
    seq->last_is_kept = kept;
    struct tl_tiler *spare = seq->tiler;
    seq->tiler = seq->next_tiler;
    seq->next_tiler = spare;
}

tally_status tl_seal_commit(struct tl_sequencer *seq, size_t count, bool kept,
                            struct tally_error *err)
{
    struct tl_seal_buffers *buffers = &seq->buffers;
    struct tl_progress next = seq->now;
    struct tl_leaf newest;
    const struct tally_record *last = &buffers->records[count - 1];
    TL_TRY(tl_leaf_decode(&newest, last->leaf, last->leaf_len, err));
    next.last_us = newest.time_us;
    if (newest.kind == TL_LEAF_EPOCH) {
        next.epoch = seq->keys->state.next.epoch; /* the head names the epoch of the next leaf */
    }
    grow_tree(seq, &next, count);

    struct tally_batch batch = { .records = buffers->records,
                                 .count = count,
                                 .tiles = buffers->tiles,
                                 .tile_count = buffers->tile_count,
                                 .drop_checkpoint = seq->last_is_kept ? 0 : seq->last_checkpoint,
                                 .head = { .size = next.frontier.size, .epoch = next.epoch } };
    tl_frontier_root(&next.frontier, batch.head.root);
    batch.head.frontier_len = tl_frontier_pack(&next.frontier, batch.head.frontier);
    TL_TRY(sign_checkpoint(seq, &batch.head, newest.time_us));
    batch.checkpoint = (struct tally_checkpoint){ .size = batch.head.size,
                                                  .note = buffers->note.data,
                                                  .note_len = buffers->note.len };
    if (!leaves_are_intact(buffers, count)) {
        return tl_seal_break(seq, TALLY_ECORRUPT, err,
                             "a leaf changed in memory before it was stored");
    }
    TL_TRY(store_batch(seq, &batch, err));

    move_forward(seq, &batch.head, &next, kept);
    TL_TRY(tl_keys_mark(seq->keys, batch.head.size, batch.head.root, false, kept, err));
    publish_sometimes(seq);
    return TALLY_OK;
}

static tally_status build_control(struct tl_sequencer *seq, const struct tl_control *control,
                                  int64_t time_us, bool held, struct tally_error *err)
{
    struct tl_seal_buffers *buffers = &seq->buffers;
    struct tl_buf *bytes = &buffers->payload;
    tl_buf_clear(bytes);
    char *at = tl_buf_reserve(bytes, TL_LEAF_LEN);
    if (at == NULL) {
        return tl_fail(err, tl_buf_status(bytes), "cannot hold a control leaf");
    }
    memset(at, 0, TL_LEAF_LEN);
    tl_buf_commit(bytes, TL_LEAF_LEN);
    TL_TRY(tl_control_format(bytes, control, err));
    TL_TRY(tl_buf_status(bytes));

    struct tl_leaf leaf = { .kind = control->kind,
                            .flags = held ? TL_LEAF_TIME_HELD : 0,
                            .seq = seq->head.size,
                            .time_us = time_us,
                            .retain_until = TL_RETAIN_FOREVER,
                            .epoch = seq->now.epoch,
                            .mac_gen = seq->keys->state.mac_gen,
                            .incarnation = seq->keys->state.incarnation };
    tl_commit_control(leaf.commit, bytes->data + TL_LEAF_LEN, bytes->len - TL_LEAF_LEN);
    uint8_t *out = (uint8_t *)bytes->data;
    tl_leaf_encode(out, &leaf);
    tl_mac_leaf(&seq->mac, out, out + TL_LEAF_MAC_AT);
    buffers->records[0] =
        (struct tally_record){ .seq = leaf.seq, .leaf = out, .leaf_len = bytes->len };
    return TALLY_OK;
}

bool tl_seal_is_kept(enum tl_leaf_kind kind)
{
    return kind == TL_LEAF_GENESIS || kind == TL_LEAF_EPOCH || tl_leaf_is_act(kind);
}

tally_status tl_seal_control_at(struct tl_sequencer *seq, const struct tl_control *control,
                                int64_t time_us, bool held, struct tally_error *err)
{
    TL_TRY(build_control(seq, control, time_us, held, err));
    return tl_seal_commit(seq, 1, tl_seal_is_kept(control->kind), err);
}

tally_status tl_seal_control(struct tl_sequencer *seq, const struct tl_control *control,
                             struct tally_error *err)
{
    bool held = false;
    int64_t time_us = tl_seal_time(seq, &held);
    TL_TRY(tl_seal_epoch(seq, time_us, err));
    return tl_seal_control_at(seq, control, time_us, held, err);
}

/*
 * What was prepared for a switch that did not happen is forgotten; the next batch tries again. If it
 * did happen, or might have, the new keys are needed: the next start finds out.
 */
static tally_status undo_switch(struct tl_sequencer *seq, tally_status status,
                                struct tally_error *err)
{
    bool happened = seq->now.epoch > seq->keys->state.current.epoch;
    if (seq->broken != TALLY_OK || seq->head_unsure || happened ||
        tl_keys_discard(seq->keys, NULL) != TALLY_OK) {
        return tl_seal_break(seq, TALLY_EIO, err, "an epoch switch was cut short; open it again");
    }
    return status;
}

/* The steps of docs/evidence.md, "Switch": a crash between any two is finished or undone at start. */
static tally_status switch_epoch(struct tl_sequencer *seq, uint32_t to, int64_t time_us,
                                 struct tally_error *err)
{
    TL_TRY(tl_keys_prepare(seq->keys, to, err));
    struct tl_control control = {
        .kind = TL_LEAF_EPOCH, .has_epoch_key = true, .epoch_from = seq->now.epoch, .epoch_to = to
    };
    tally_status status = tl_keys_epoch_vkey(&control.epoch_key, seq->keys->state.origin,
                                             &seq->keys->state.next, err);
    if (status == TALLY_OK) {
        /* A clock that was behind is held at the newest leaf, which is in no later epoch. */
        status = tl_seal_control_at(seq, &control, time_us, false, err);
    }
    if (status != TALLY_OK) {
        return undo_switch(seq, status, err);
    }
    char name[24];
    (void)snprintf(name, sizeof(name), "%llu", (unsigned long long)seq->head.size);
    tl_assert(seq->now.epoch == to);
    tl_mac_advance(&seq->mac, to);
    status = tl_keys_promote(seq->keys, err);
    if (status == TALLY_OK) {
        status = tl_publish_checkpoint(seq, name, err);
    }
    if (status != TALLY_OK) {
        return tl_seal_break(seq, status, err, "an epoch switch was cut short; open it again");
    }
    return TALLY_OK;
}

tally_status tl_seal_epoch(struct tl_sequencer *seq, int64_t time_us, struct tally_error *err)
{
    uint32_t to = tl_epoch_of(seq->start_us, seq->epoch_seconds, time_us);
    return to <= seq->now.epoch ? TALLY_OK : switch_epoch(seq, to, time_us, err);
}
