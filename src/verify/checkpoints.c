/* Kept and remembered checkpoints: their text, their lines, their roots. */
#include <inttypes.h>
#include <stdio.h>

#include "verify/run.h"

/* A clock of the signer may be ahead of ours by this much. */
#define FUTURE_S 300

/* No cosignature is later than this: times in microseconds stay in range. */
#define TIME_S_MAX UINT64_C(9000000000000)

/* Takes a note apart; *body_out borrows from it. */
static tally_status parse(struct tl_run *run, const char *text, size_t len,
                          struct tl_checkpoint_body *body_out, struct tally_error *err)
{
    TL_TRY(tl_note_parse(&run->note, text, len, err));
    return tl_checkpoint_parse(body_out, run->note.body, err);
}

/* One checkpoint that was looked up. */
struct lookup {
    struct tl_run *run;
    bool found;
    bool parsed;
    uint64_t size;
    uint8_t root[32];
    struct tally_error error;
};

static tally_status take_first(void *ctx, const struct tally_checkpoint *checkpoint)
{
    struct lookup *lookup = ctx;
    struct tl_checkpoint_body body = { 0 };
    lookup->found = true;
    lookup->size = checkpoint->size;
    lookup->parsed = parse(lookup->run, checkpoint->note, checkpoint->note_len, &body,
                           &lookup->error) == TALLY_OK;
    if (lookup->parsed && body.size == checkpoint->size) {
        memcpy(lookup->root, body.root, sizeof(lookup->root));
    } else {
        lookup->parsed = false;
    }
    return TALLY_ECANCELED;
}

static tally_status look_up(struct tl_run *run, uint64_t size, struct lookup *lookup)
{
    *lookup = (struct lookup){ .run = run };
    tally_status status =
        tl_store_scan_checkpoints(run->in->store, size, take_first, lookup, run->err);
    return status == TALLY_ECANCELED ? TALLY_OK : status;
}

static void check_head(struct tl_run *run)
{
    if (run->head.size != run->size) {
        tl_found_numbers(&run->found, TL_HEAD_MISMATCH, TALLY_SEQ_NONE, (int64_t)run->size,
                         (int64_t)run->head.size,
                         "the head has another size than the newest checkpoint");
    } else if (run->newest_parsed && memcmp(run->head.root, run->root, sizeof(run->root)) != 0) {
        tl_found_hashes(&run->found, TL_HEAD_MISMATCH, TALLY_SEQ_NONE, run->root, run->head.root,
                        "the head has another root than the newest checkpoint");
    }
}

void tl_checkpoint_watch(struct tl_run *run, uint64_t size)
{
    tl_assert(run->watch_count < TL_WATCHES_MAX);
    size_t at = run->watch_count++;
    for (; at > 0 && run->watches[at - 1].size > size; at--) {
        run->watches[at] = run->watches[at - 1];
    }
    run->watches[at] = (struct tl_watch){ .size = size };
}

const uint8_t *tl_checkpoint_watched(const struct tl_run *run, uint64_t size)
{
    for (size_t i = 0; i < run->watch_count; i++) {
        if (run->watches[i].size == size && run->watches[i].known) {
            return run->watches[i].root;
        }
    }
    return NULL;
}

tally_status tl_checkpoints_open(struct tl_run *run)
{
    const struct tl_verify_input *in = run->in;
    TL_TRY(tl_store_head(in->store, &run->head, run->err));
    TL_TRY(tl_store_newest_checkpoint(in->store, &run->size, run->err));
    if (run->size == 0 && in->handover != NULL && in->handover->is_malformed) {
        tl_found(&run->found, TL_CHECKPOINT_MALFORMED, TALLY_SEQ_NONE,
                 "the newest checkpoint does not parse");
    } else if (run->size == 0) {
        tl_found(&run->found, TL_CHECKPOINT_MISSING, TALLY_SEQ_NONE,
                 "the ledger has no checkpoint");
    } else {
        struct lookup newest;
        TL_TRY(look_up(run, run->size, &newest));
        run->newest_parsed = newest.found && newest.parsed && newest.size == run->size;
        memcpy(run->root, newest.root, sizeof(run->root));
    }
    if (in->handover == NULL) {
        check_head(run);
    }
    for (size_t i = 0; i < in->remembered_count; i++) {
        struct tl_checkpoint_body body = { 0 };
        if (parse(run, in->remembered[i].text, in->remembered[i].len, &body, NULL) == TALLY_OK) {
            tl_checkpoint_watch(run, body.size);
            run->since = i == 0 ? body.size : run->since;
        }
    }
    if (in->highwater != NULL) {
        tl_checkpoint_watch(run, in->highwater->size);
    }
    return TALLY_OK;
}

static tally_status keep(void *ctx, const struct tally_checkpoint *checkpoint)
{
    struct tl_run *run = ctx;
    if (run->kept_count == TL_KEPT_MAX ||
        run->kept_notes.len + checkpoint->note_len > TL_KEPT_BYTES) {
        return TALLY_ECANCELED;
    }
    uint64_t seq = checkpoint->size - 1; /* size 0 would be none of ours */
    struct tl_kept *kept = &run->kept[run->kept_count];
    *kept = (struct tl_kept){ .size = checkpoint->size, .note_at = run->kept_notes.len };
    if (checkpoint->size < run->kept_next) {
        tl_found(&run->found, TL_CHECKPOINT_MALFORMED, seq, "checkpoints are out of order");
        return TALLY_OK;
    }
    run->kept_next = checkpoint->size + 1;
    struct tl_checkpoint_body body = { 0 };
    struct tally_error error = TALLY_ERROR_INIT;
    if (checkpoint->note_len > TL_NOTE_LEN_MAX ||
        parse(run, checkpoint->note, checkpoint->note_len, &body, &error) != TALLY_OK) {
        tl_found(&run->found, TL_CHECKPOINT_MALFORMED, seq, "%s", error.message);
    } else if (body.size != checkpoint->size) {
        tl_found_numbers(&run->found, TL_CHECKPOINT_MALFORMED, seq, (int64_t)checkpoint->size,
                         (int64_t)body.size, "the checkpoint is kept as one of another size");
    } else {
        kept->parsed = true;
        memcpy(kept->root, body.root, sizeof(kept->root));
        tl_buf_add(&run->kept_notes, checkpoint->note, checkpoint->note_len);
        kept->note_len = checkpoint->note_len;
    }
    run->kept_count++;
    return tl_buf_status(&run->kept_notes);
}

/* Called between chunks, when both readers of the list are at the same place. */
tally_status tl_checkpoints_load(struct tl_run *run)
{
    if (run->kept_all || run->kept_at < run->kept_count) {
        return TALLY_OK;
    }
    tl_assert(run->fold_kept_at == run->kept_count);
    tl_buf_clear(&run->kept_notes);
    run->kept_count = 0;
    run->kept_at = 0;
    run->fold_kept_at = 0;
    tally_status status =
        tl_store_scan_checkpoints(run->in->store, run->kept_next, keep, run, run->err);
    run->kept_all = status == TALLY_OK;
    return status == TALLY_ECANCELED ? TALLY_OK : status;
}

/* What a checkpoint that has to be there says about the keys of its leaf. */
static void check_required(struct tl_run *run, uint64_t seq)
{
    switch (run->state.kind) {
    case TL_LEAF_EPOCH:
        tl_found(&run->found, TL_EPOCH_SEAL_MISSING, seq, "the seal of the epoch is missing");
        break;
    case TL_LEAF_KEY:
        tl_found(&run->found, TL_KEY_CHANGE_INVALID, seq,
                 "the checkpoint that both keys sign is missing");
        break;
    case TL_LEAF_GENESIS:
    case TL_LEAF_RESTORE:
        if (run->state.kind == TL_LEAF_RESTORE || seq == 0) { /* a second GENESIS begins nothing */
            tl_found(&run->found, TL_CHECKPOINT_MISSING, seq,
                     "the checkpoint that ends with this leaf is missing");
        }
        break;
    case TL_LEAF_ENTRY:
    case TL_LEAF_POLICY:
    case TL_LEAF_PURGE:
    case TL_LEAF_ERASE:
    case TL_LEAF_HOLD:
    case TL_LEAF_RELEASE:
    case TL_LEAF_ANCHOR:
    case TL_LEAF_GAP:
    case TL_LEAF_RESUME:
        break;
    }
}

static enum tl_note_verdict verify_line(struct tl_run *run, const struct tl_vkey *key,
                                        uint64_t *time_out)
{
    enum tl_note_verdict verdict = TL_NOTE_NO_LINE;
    if (tl_note_verify(&run->note, key, &verdict, time_out) != TALLY_OK) {
        run->found.status = TALLY_ENOMEM;
    }
    return verdict;
}

/* The line of the log key; false if it makes those of other keys pointless. */
static bool check_log_line(struct tl_run *run, uint64_t seq, struct tl_str origin)
{
    const struct tl_state *state = &run->state;
    bool changes = state->names_keys && state->kind == TL_LEAF_KEY;
    const struct tl_vkey *key = state->names_keys ? &state->log_key_before : &state->log_key;
    enum tl_note_verdict verdict = verify_line(run, key, NULL);
    bool known_origin = tl_str_is(origin, state->origin);
    if (verdict == TL_NOTE_BAD) {
        tl_found(&run->found, changes ? TL_KEY_CHANGE_INVALID : TL_SIGNATURE_INVALID, seq,
                 "the log key's signature is wrong");
        return false;
    }
    if (!known_origin) {
        tl_found(&run->found, TL_ORIGIN_MISMATCH, seq, "the checkpoint is of another origin");
        return false;
    }
    if (verdict == TL_NOTE_NO_LINE) {
        tl_found(&run->found, changes ? TL_KEY_CHANGE_INVALID : TL_KEY_UNKNOWN, seq,
                 "no signature of the log key in force");
        return true;
    }
    if (changes && verify_line(run, &state->log_key, NULL) != TL_NOTE_GOOD) {
        tl_found(&run->found, TL_KEY_CHANGE_INVALID, seq, "the new log key did not sign");
    }
    return true;
}

/* The line of the epoch key, and its time. Returns the time, 0 if the line does not hold. */
static uint64_t check_epoch_line(struct tl_run *run, uint64_t seq)
{
    const struct tl_state *state = &run->state;
    bool seal = state->names_keys && state->kind == TL_LEAF_EPOCH;
    uint64_t time_s = 0;
    enum tl_note_verdict verdict =
        verify_line(run, state->names_keys ? &state->epoch_key_before : &state->epoch_key, &time_s);
    uint64_t leaf_s = (uint64_t)state->time_us / 1000000u;
    const char *wrong = NULL;
    if (verdict == TL_NOTE_NO_LINE) {
        wrong = "no signature of the epoch key in force";
    } else if (verdict == TL_NOTE_BAD) {
        wrong = "the epoch key's signature is wrong";
    } else if (time_s > TIME_S_MAX || time_s < leaf_s) {
        wrong = "it was signed before its last leaf";
    } else if (seal && time_s != leaf_s) {
        wrong = "the seal is not of the second of its leaf";
    } else if (!seal && tl_epoch_of(state->start_us, state->epoch_seconds,
                                    (int64_t)time_s * 1000000) != state->epoch) {
        wrong = "it was signed outside the epoch of its key";
    }
    if (wrong != NULL) {
        tl_found(&run->found, seal ? TL_EPOCH_SEAL_INVALID : TL_EPOCH_SIGNATURE_INVALID, seq, "%s",
                 wrong);
        return 0;
    }
    return time_s;
}

static void check_witnesses(struct tl_run *run)
{
    const struct tl_trust *trust = run->in->trust;
    for (uint32_t i = 0; trust != NULL && i < trust->witness_count; i++) {
        uint64_t time_s = 0;
        if (verify_line(run, &trust->witnesses[i].key, &time_s) == TL_NOTE_GOOD) {
            run->witness_bits |= UINT64_C(1) << i;
        }
    }
}

/* Whether the line of the key is one that check_log_line() and check_epoch_line() look at. */
static bool is_in_force(const struct tl_state *state, const struct tl_vkey *key)
{
    const struct tl_vkey *epoch_key =
        state->names_keys ? &state->epoch_key_before : &state->epoch_key;
    return tl_vkey_equal(key, &state->log_key) || tl_vkey_equal(key, epoch_key) ||
           (state->names_keys && tl_vkey_equal(key, &state->log_key_before));
}

static bool is_condemned_by(struct tl_run *run, const struct tl_vkey *key)
{
    return !is_in_force(&run->state, key) && verify_line(run, key, NULL) == TL_NOTE_BAD;
}

/* A bad signature of a known key condemns the note, though nobody needs that line. */
static void check_other_lines(struct tl_run *run, uint64_t seq)
{
    static const struct tl_trust nothing;
    const struct tl_trust *trust = run->in->trust == NULL ? &nothing : run->in->trust;
    bool condemned = is_condemned_by(run, &run->state.epoch_key);
    for (uint32_t i = 0; i < trust->log_count && !condemned; i++) {
        condemned = is_condemned_by(run, &trust->logs[i]);
    }
    for (uint32_t i = 0; i < trust->epoch_count && !condemned; i++) {
        condemned = is_condemned_by(run, &trust->epochs[i]);
    }
    for (uint32_t i = 0; i < trust->witness_count && !condemned; i++) {
        condemned = is_condemned_by(run, &trust->witnesses[i].key);
    }
    for (size_t i = 0; i < run->log_key_count && !condemned; i++) {
        condemned = is_condemned_by(run, &run->log_keys[i]);
    }
    if (condemned) {
        tl_found(&run->found, TL_SIGNATURE_INVALID, seq,
                 "the signature of a witness, or of another key that is known, is wrong");
    }
}

static void check_lines(struct tl_run *run, const struct tl_kept *kept, uint64_t seq)
{
    struct tl_checkpoint_body body = { 0 };
    const char *text = run->kept_notes.data + kept->note_at;
    if (parse(run, text, kept->note_len, &body, NULL) != TALLY_OK) {
        return; /* cannot be: it was parsed when it was read */
    }
    size_t tampered = run->report->tampered + run->report->unverifiable + run->found.held_count;
    uint64_t time_s = 0;
    if (check_log_line(run, seq, body.origin)) {
        time_s = check_epoch_line(run, seq);
        check_other_lines(run, seq);
    }
    size_t after = run->report->tampered + run->report->unverifiable + run->found.held_count;
    if (kept->size == run->size) {
        run->newest_signed = tampered == after;
        run->newest_s = time_s;
        check_witnesses(run);
        tl_str_copy(run->report->origin, sizeof(run->report->origin), body.origin);
    }
}

void tl_checkpoint_lines(struct tl_run *run, uint64_t seq)
{
    while (run->kept_at < run->kept_count && run->kept[run->kept_at].size <= seq) {
        run->kept_at++; /* it ends in a hole */
    }
    struct tl_kept *kept = run->kept_at < run->kept_count ? &run->kept[run->kept_at] : NULL;
    if (kept == NULL || kept->size != seq + 1) {
        check_required(run, seq);
        return;
    }
    run->kept_at++;
    run->last_kept = kept->size;
    kept->is_seal = run->state.names_keys && run->state.kind == TL_LEAF_EPOCH;
    if (kept->parsed && run->state.keys_known && run->state.begun) {
        check_lines(run, kept, seq);
    }
}

/* A root that was not met, followed by one that was: somebody signed two histories. */
static void report_rewritten(struct tl_run *run)
{
    if (run->bad_seal != 0) {
        tl_found(&run->found, TL_EPOCH_SEAL_INVALID, run->bad_seal - 1,
                 "the tree has another root than the seal of this epoch");
    }
    if (run->bad_size != 0 && run->bad_size != run->bad_seal) {
        tl_found_hashes(&run->found, TL_HISTORY_REWRITTEN, run->bad_size - 1, run->bad_expected,
                        run->bad_actual, "a kept checkpoint is not a root of this tree");
    }
    run->bad_size = 0;
    run->bad_seal = 0;
}

static void compare_kept(struct tl_run *run, const struct tl_kept *kept, const uint8_t root[32])
{
    if (memcmp(kept->root, root, 32) == 0) {
        report_rewritten(run);
        run->good_size = kept->size;
        run->newest_rooted = kept->size == run->size;
        /* What was signed like that is not what makes later roots differ. */
        if (run->damaged_end <= kept->size) {
            run->damaged_end = 0;
        } else if (run->damaged_first < kept->size) {
            run->damaged_first = kept->size;
        }
        return;
    }
    if (run->bad_size == 0) {
        run->bad_size = kept->size;
        memcpy(run->bad_expected, kept->root, 32);
        memcpy(run->bad_actual, root, 32);
    }
    if (kept->is_seal && run->bad_seal == 0) {
        run->bad_seal = kept->size;
    }
}

void tl_checkpoint_roots(struct tl_run *run, uint64_t size, const uint8_t root[32])
{
    for (; run->watch_at < run->watch_count && run->watches[run->watch_at].size <= size;
         run->watch_at++) {
        struct tl_watch *watch = &run->watches[run->watch_at];
        watch->known = watch->size == size;
        memcpy(watch->root, root, 32);
    }
    for (; run->fold_kept_at < run->kept_count && run->kept[run->fold_kept_at].size <= size;
         run->fold_kept_at++) {
        const struct tl_kept *kept = &run->kept[run->fold_kept_at];
        if (kept->size == size && kept->parsed) {
            compare_kept(run, kept, root);
        }
    }
}

/* A root in memory from outside, compared with the tree. */
static void compare_memory(struct tl_run *run, uint64_t size, const uint8_t root[32],
                           const char *whose)
{
    if (size > run->size) {
        tl_found(&run->found, TL_ROLLBACK, TALLY_SEQ_NONE,
                 "%s is of %" PRIu64 " records, the ledger has %" PRIu64, whose, size, run->size);
        return;
    }
    const uint8_t *have =
        size == run->size && run->newest_parsed ? run->root : tl_checkpoint_watched(run, size);
    if (have == NULL || memcmp(have, root, 32) == 0) {
        return; /* what keeps the tree from having a root there is a finding of its own */
    }
    tl_found_hashes(&run->found, size == run->size ? TL_FORK : TL_HISTORY_REWRITTEN,
                    size == 0 ? TALLY_SEQ_NONE : size - 1, root, have,
                    "the ledger is not the one that was remembered");
}

/* Whether some key the auditor or the ledger vouches for signed the note at hand. */
static bool is_signed_by_log(struct tl_run *run)
{
    const struct tl_trust *trust = run->in->trust;
    for (uint32_t i = 0; trust != NULL && i < trust->log_count; i++) {
        if (verify_line(run, &trust->logs[i], NULL) == TL_NOTE_GOOD) {
            return true;
        }
    }
    for (size_t i = 0; i < run->log_key_count; i++) {
        if (verify_line(run, &run->log_keys[i], NULL) == TL_NOTE_GOOD) {
            return true;
        }
    }
    return false;
}

/* Whether a restore that the ledger tells of explains that the remembered state is gone. */
static bool is_declared(struct tl_run *run, const struct tl_checkpoint_body *body)
{
    for (size_t i = 0; i < run->restore_count; i++) {
        const struct tl_restore *restore = &run->restores[i];
        if (!tl_str_is(body->origin, restore->from_origin) || body->size <= restore->seq) {
            continue;
        }
        bool same = body->size != restore->lost_size || !restore->has_lost_root ||
                    memcmp(body->root, restore->lost_root, 32) == 0;
        if (body->size <= restore->lost_size && same) {
            tl_found(&run->found, TL_ROLLBACK_DECLARED, restore->seq,
                     "the remembered checkpoint is of what was lost before this restore");
        } else {
            tl_found(&run->found, TL_ROLLBACK, restore->seq,
                     "the remembered checkpoint is of more than was declared lost");
        }
        return true;
    }
    return false;
}

static void check_remembered(struct tl_run *run, struct tl_str text)
{
    struct tl_checkpoint_body body = { 0 };
    if (parse(run, text.text, text.len, &body, NULL) != TALLY_OK) {
        tl_found(&run->found, TL_CHECK_FAILED, TALLY_SEQ_NONE,
                 "the remembered checkpoint does not parse");
        return;
    }
    if (!is_signed_by_log(run)) {
        tl_found(&run->found, TL_KEY_UNKNOWN, TALLY_SEQ_NONE,
                 "the remembered checkpoint is not signed by a key of this ledger");
        return;
    }
    run->report->qualifiers &= ~(uint32_t)TALLY_QUALIFIER_UNANCHORED;
    if (!is_declared(run, &body)) {
        compare_memory(run, body.size, body.root, "the remembered checkpoint");
    }
}

static void check_restores(struct tl_run *run)
{
    for (size_t i = 0; i < run->restore_count; i++) {
        const struct tl_restore *restore = &run->restores[i];
        const uint8_t *have = tl_checkpoint_watched(run, restore->seq);
        if (have != NULL && memcmp(have, restore->from_root, 32) != 0) {
            tl_found_hashes(&run->found, TL_CONTROL_INVALID, restore->seq, restore->from_root, have,
                            "the restore names another root");
        }
    }
}

/* The origin whose checkpoint of `size` was anchored: that before the first restore from there on. */
static struct tl_str origin_at(const struct tl_run *run, uint64_t size)
{
    for (size_t i = 0; i < run->restore_count; i++) {
        if (size <= run->restores[i].seq) {
            return tl_str_of(run->restores[i].from_origin);
        }
    }
    return tl_str_of(run->state.origin);
}

/* The hash of the body that the anchor is of, whether or not such a checkpoint is kept. */
static tally_status make_imprint(struct tl_run *run, const struct tl_anchor *anchor,
                                 uint8_t imprint[TL_SHA256_LEN])
{
    struct tl_checkpoint_body body = { .origin = origin_at(run, anchor->size),
                                       .size = anchor->size };
    memcpy(body.root, anchor->root, sizeof(body.root));
    tl_buf_clear(&run->buf);
    tl_checkpoint_format(&run->buf, &body);
    TL_TRY(tl_buf_status(&run->buf));
    tl_sha256(imprint, run->buf.data, run->buf.len);
    return TALLY_OK;
}

static tally_status check_anchors(struct tl_run *run)
{
    bool doubtful = false;
    for (size_t i = 0; i < run->anchor_count; i++) {
        struct tl_anchor *anchor = &run->anchors[i];
        struct lookup kept;
        uint8_t imprint[TL_SHA256_LEN];
        TL_TRY(look_up(run, anchor->size, &kept));
        if (!kept.found || kept.size != anchor->size) {
            tl_found(&run->found, TL_CHECKPOINT_MISSING, anchor->seq,
                     "the anchored checkpoint is not kept");
        }
        /* A kept root was compared with the tree, or will be found to differ from it. */
        anchor->is_doubtful =
            !kept.parsed || kept.size != anchor->size || memcmp(kept.root, anchor->root, 32) != 0;
        doubtful = doubtful || anchor->is_doubtful;
        TL_TRY(make_imprint(run, anchor, imprint));
        TL_TRY(tl_anchor_check(run, anchor, imprint));
    }
    return doubtful && run->newest_rooted ? tl_anchor_roots(run) : TALLY_OK;
}

static void check_age(struct tl_run *run)
{
    int64_t now_s = run->in->now_s;
    int64_t newest_s = (int64_t)run->newest_s;
    uint32_t age_max_s = run->in->options->max_age_s;
    run->report->sealed_s = newest_s;
    if (newest_s == 0 || now_s == 0) {
        return;
    }
    if (newest_s > now_s + FUTURE_S) {
        tl_found_numbers(&run->found, TL_CHECKPOINT_FUTURE, TALLY_SEQ_NONE, now_s, newest_s,
                         "the newest checkpoint is of a time to come");
    } else if (age_max_s > 0 && newest_s < now_s - (int64_t)age_max_s) {
        tl_found_numbers(&run->found, TL_CHECKPOINT_STALE, TALLY_SEQ_NONE,
                         now_s - (int64_t)age_max_s, newest_s, "the newest checkpoint is too old");
    }
}

tally_status tl_checkpoints_end(struct tl_run *run)
{
    const struct tl_verify_input *in = run->in;
    if (run->bad_size != 0 && !run->tree_broken &&
        (run->damaged_end == 0 || run->damaged_first >= run->bad_size)) {
        char what[160];
        (void)snprintf(what, sizeof(what),
                       "a leaf from %" PRIu64 " to %" PRIu64 " is not the one that was signed",
                       run->good_size, run->bad_size - 1);
        tl_found_hashes(&run->found, TL_ROOT_MISMATCH, run->bad_size - 1, run->bad_expected,
                        run->bad_actual, what);
    }
    bool quorum = in->trust != NULL && in->trust->has_quorum;
    if (!quorum && in->highwater == NULL) {
        run->report->qualifiers |= TALLY_QUALIFIER_UNANCHORED;
    }
    if (in->highwater != NULL) {
        compare_memory(run, in->highwater->size, in->highwater->root, "the high-water mark");
    }
    for (size_t i = 0; i < in->remembered_count; i++) {
        check_remembered(run, in->remembered[i]);
    }
    check_restores(run);
    if (quorum && run->newest_parsed && !tl_trust_quorum_holds(in->trust, run->witness_bits)) {
        tl_found(&run->found, TL_WITNESS_QUORUM, TALLY_SEQ_NONE,
                 "too few witnesses signed the newest checkpoint");
    }
    check_age(run);
    if (run->newest_rooted && run->newest_signed) {
        run->report->size = run->size;
    }
    return check_anchors(run);
}
