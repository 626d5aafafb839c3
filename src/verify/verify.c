#include "verify/verify.h"

#include <inttypes.h>

#include "verify/run.h"

#define SCRATCH_BYTES_MAX ((size_t)8 << 20)  /* a control payload, taken apart */
#define POLICY_BYTES_MAX  ((size_t)2 << 20)  /* a policy, twice */
#define EVENT_BYTES_MAX   ((size_t)17 << 20) /* the longest event the format knows, and some */
#define SEQ_MASK          (UINT64_MAX >> 1)

/* Says which leaves are missing, once it is known that there is one after them. */
static void end_hole(struct tl_run *run, uint64_t next)
{
    if (!run->hole) {
        return;
    }
    run->hole = false;
    uint64_t count = next - run->hole_first;
    tl_found(&run->found, TL_LEAF_MISSING, run->hole_first,
             count == 1 ? "the record is missing" : "%" PRIu64 " records are missing", count);
}

static void begin_hole(struct tl_run *run)
{
    if (!run->hole) {
        run->hole = true;
        run->hole_first = run->next;
    }
    tl_state_doubt(run);
}

static bool in_scope(const struct tl_run *run, uint64_t seq, const struct tl_leaf *leaf)
{
    return run->by_id ? memcmp(leaf->id, run->id, sizeof(run->id)) == 0
                      : seq >= run->content_first && seq < run->content_end;
}

static void check_content(struct tl_run *run, const struct tl_leaf *leaf,
                          const struct tally_record *record)
{
    struct tally_report *report = run->report;
    if (!in_scope(run, record->seq, leaf)) {
        return;
    }
    report->checked++;
    report->expected += run->by_id;
    if (leaf->kind != TL_LEAF_ENTRY) {
        if (record->event != NULL || record->seed != NULL || record->opened != NULL) {
            tl_found(&run->found, TL_ROW_INSERTED, record->seq, "a control leaf has content");
        }
        return;
    }
    if (!tl_content_check(run, leaf, record)) {
        run->absent++;
        run->judge_end = record->seq >= run->judge_end ? record->seq + 1 : run->judge_end;
    }
}

static tally_status check_record(void *ctx, const struct tally_record *record)
{
    struct tl_run *run = ctx;
    if (record->seq < run->next || record->seq >= run->chunk_end) {
        return tl_fail(run->err, TALLY_ECORRUPT, "records come out of order");
    }
    if (record->seq > run->next) {
        begin_hole(run);
    }
    end_hole(run, record->seq);
    run->next = record->seq + 1;
    size_t at = (size_t)(record->seq - run->chunk_first);
    run->marks[at] = TL_MARK_HASHED;
    tl_tree_hash_leaf(run->hashes[at], record->leaf, record->leaf == NULL ? 0 : record->leaf_len);
    run->leaves++;
    struct tl_leaf leaf = { 0 };
    if (!tl_state_leaf(run, record->seq, record->leaf, record->leaf_len, &leaf)) {
        run->report->checked += !run->by_id && in_scope(run, record->seq, &leaf);
        return run->found.status;
    }
    if (leaf.kind == TL_LEAF_ENTRY) {
        TL_TRY(tl_ids_add(&run->ids, leaf.id, record->seq, run->err));
    }
    tl_checkpoint_lines(run, record->seq);
    check_content(run, &leaf, record);
    return run->report->canceled != 0 ? TALLY_ECANCELED : run->found.status;
}

/* Where the chunk that begins at `first` ends: whole tiles, and no further than the kept
 * checkpoints in memory reach. */
static uint64_t chunk_end(const struct tl_run *run, uint64_t first)
{
    uint64_t end = run->size - first < TL_CHUNK_LEAVES ? run->size : first + TL_CHUNK_LEAVES;
    if (run->kept_all || run->kept_count == 0) {
        return end;
    }
    uint64_t reach = run->kept[run->kept_count - 1].size;
    reach -= reach % TL_TILE_WIDTH;
    return reach > first && reach < end ? reach : end;
}

static tally_status report_progress(struct tl_run *run)
{
    tally_progress_fn *progress = run->in->options->on_progress;
    if (progress != NULL && progress(run->in->options->ctx, run->chunk_end, run->size) != 0) {
        run->report->canceled = 1;
    }
    return run->report->canceled != 0 ? TALLY_ECANCELED : run->found.status;
}

static tally_status check_chunk(struct tl_run *run)
{
    TL_TRY(tl_checkpoints_load(run));
    run->chunk_first = run->chunk_end;
    run->chunk_end = chunk_end(run, run->chunk_first);
    memset(run->marks, 0, TL_CHUNK_LEAVES);
    tl_findings_hold_back(&run->found);
    TL_TRY(tl_store_scan(run->in->store, run->chunk_first, run->chunk_end, check_record, run,
                         run->err));
    if (run->next < run->chunk_end) {
        begin_hole(run);
        run->next = run->chunk_end;
    }
    TL_TRY(tl_fold_chunk(run));
    return report_progress(run);
}

static tally_status stop_at_first(void *ctx, const struct tally_record *record)
{
    *(uint64_t *)ctx = record->seq;
    return TALLY_ECANCELED;
}

static tally_status check_tail(struct tl_run *run)
{
    if (run->hole) {
        tl_found(&run->found, TL_TRUNCATED, run->hole_first,
                 "the last %" PRIu64 " records of %" PRIu64 " are missing",
                 run->size - run->hole_first, run->size);
    }
    uint64_t extra = TALLY_SEQ_NONE;
    tally_status status =
        tl_store_scan(run->in->store, run->size, TALLY_SEQ_NONE, stop_at_first, &extra, run->err);
    if (extra != TALLY_SEQ_NONE) {
        tl_found(&run->found, TL_LEAF_EXTRA, extra,
                 "there are records that the newest checkpoint does not cover");
    }
    return status == TALLY_ECANCELED ? TALLY_OK : status;
}

static tally_status take_id(void *ctx, const struct tally_record *record)
{
    uint8_t *id = ctx;
    if (record->leaf != NULL && record->leaf_len >= TL_LEAF_LEN) {
        memcpy(id, record->leaf + TALLY_LEAF_ID_AT, TL_LEAF_ID_LEN);
    }
    return TALLY_OK;
}

static tally_status check_twin(void *ctx, uint64_t seq, uint64_t other)
{
    struct tl_run *run = ctx;
    bool is_key = seq > SEQ_MASK;
    if (is_key != (other > SEQ_MASK) || run->report->tampered > TALLY_REPORT_FINDINGS_MAX) {
        return TALLY_OK;
    }
    run->found.id_seq = TALLY_SEQ_NONE;
    if (is_key) {
        tl_found(&run->found, TL_EPOCH_INVALID, other & SEQ_MASK, "an epoch key is used again");
        return TALLY_OK;
    }
    uint8_t ids[2][TL_LEAF_ID_LEN] = { { 0 } };
    TL_TRY(tl_store_scan(run->in->store, seq, seq + 1, take_id, ids[0], run->err));
    TL_TRY(tl_store_scan(run->in->store, other, other + 1, take_id, ids[1], run->err));
    if (memcmp(ids[0], ids[1], sizeof(ids[0])) == 0) {
        run->found.id_seq = other;
        memcpy(run->found.id, ids[1], sizeof(ids[1]));
        tl_found(&run->found, TL_DUPLICATE_ID, other, "the id is that of record %" PRIu64, seq);
    }
    return TALLY_OK;
}

static void take_self_finding(void *ctx, const char *code, uint64_t seq, const char *what)
{
    struct tl_run *run = ctx;
    enum tl_code known = tl_code_named(code);
    run->found.id_seq = TALLY_SEQ_NONE;
    if (known == TL_CODE_COUNT) {
        tl_found(&run->found, TL_STORE_ERROR, seq, "%s", what);
    } else if (!tl_findings_has(&run->found, known, seq)) {
        tl_found(&run->found, known, seq, "%s", what);
    }
}

static tally_status set_scope(struct tl_run *run)
{
    const struct tally_verify_options *options = run->in->options;
    run->content_end = run->size;
    switch (options->scope) {
    case TALLY_SCOPE_ALL:
        break;
    case TALLY_SCOPE_NEWEST:
        run->content_first = options->newest < run->size ? run->size - options->newest : 0;
        break;
    case TALLY_SCOPE_RANGE:
        run->content_first = options->first;
        run->content_end = options->last < run->size ? options->last + 1 : run->size;
        break;
    case TALLY_SCOPE_ID:
        run->by_id = true;
        TL_TRY(tl_leaf_id(run->id, tl_str_of(options->id)));
        break;
    case TALLY_SCOPE_SINCE:
        run->content_first = run->since;
        break;
    }
    if (options->scope != TALLY_SCOPE_ALL) {
        run->report->qualifiers |= TALLY_QUALIFIER_CONTENT_PART;
    }
    if (!run->by_id && run->content_end > run->content_first) {
        run->report->expected = run->content_end - run->content_first;
    }
    return TALLY_OK;
}

static tally_status check_ledger(struct tl_run *run)
{
    struct tl_verify_input const *in = run->in;
    TL_TRY(tl_checkpoints_open(run));
    TL_TRY(set_scope(run));
    while (run->chunk_end < run->size) {
        TL_TRY(check_chunk(run));
    }
    TL_TRY(check_tail(run));
    TL_TRY(tl_fold_end(run));
    tl_state_end(run);
    TL_TRY(tl_checkpoints_end(run));
    TL_TRY(tl_ids_find(&run->ids, check_twin, run, run->err));
    TL_TRY(tl_presence_check(run));
    TL_TRY(tl_index_check(run));
    TL_TRY(tl_store_self_check(in->store, take_self_finding, run, run->err));
    return run->found.status;
}

/* A read that failed is a finding, and whatever would have been checked was not. */
static tally_status check_in_snapshot(struct tl_run *run)
{
    const struct tally_error *error = &run->error;
    tally_status status = tl_index_note_position(run);
    if (status != TALLY_OK) {
        return status;
    }
    status = tl_store_begin_read(run->in->store, run->err);
    if (status == TALLY_OK) {
        status = check_ledger(run);
        tl_store_end_read(run->in->store);
    }
    tl_findings_let_go(&run->found, NULL, NULL);
    bool canceled = status == TALLY_ECANCELED && run->report->canceled != 0;
    if (status == TALLY_ENOMEM || run->found.status == TALLY_ENOMEM) {
        return TALLY_ENOMEM;
    }
    if (status != TALLY_OK && !canceled) {
        tl_found(&run->found, status == TALLY_ELIMIT ? TL_CHECK_FAILED : TL_STORE_ERROR,
                 TALLY_SEQ_NONE, "%s",
                 error->message[0] != '\0' ? error->message : tally_status_name(status));
    }
    return run->found.status;
}

/* What the report says beside findings. */
static void finish(struct tl_run *run)
{
    struct tally_report *report = run->report;
    report->leaves = run->leaves;
    if (run->in->mac_key == NULL || run->mac_missed) {
        report->qualifiers |= TALLY_QUALIFIER_MAC_UNCHECKED;
    }
    if (run->in->is_volatile) {
        report->qualifiers |= TALLY_QUALIFIER_VOLATILE;
    }
    if (run->by_id && report->expected == 0) {
        report->expected = 1;
        report->skipped_why = "no record has this id";
    } else if (report->checked == 0) {
        report->skipped_why = "there was nothing to check";
    } else if (report->checked < report->expected) {
        report->skipped_why =
            report->canceled != 0 ? "it was canceled" : "records are missing or unreadable";
    }
    if (report->checked == 0 && report->unverifiable == 0 && report->tampered == 0) {
        tl_found(&run->found, TL_CHECK_FAILED, TALLY_SEQ_NONE, "nothing was checked");
    }
}

static void release(struct tl_run *run)
{
    tl_findings_release(&run->found);
    tl_excuses_release(&run->excuses);
    tl_ids_release(&run->ids);
    tl_arena_release(&run->scratch);
    tl_arena_release(&run->state.policy_arenas[0]);
    tl_arena_release(&run->state.policy_arenas[1]);
    tl_buf_release(&run->buf);
    tl_buf_release(&run->kept_notes);
    tl_mac_release(&run->mac);
    tl_free(run->kept);
    tl_free(run->anchors);
    tl_free(run->hashes);
    tl_free(run->marks);
    tl_free(run->tiler);
}

static tally_status set_up(struct tl_run *run, const struct tl_verify_input *input,
                           struct tally_error *err)
{
    run->in = input;
    run->err = &run->error;
    tl_excuses_init(&run->excuses);
    tl_ids_init(&run->ids, input->temp_dir, 0);
    tl_arena_init(&run->scratch, SCRATCH_BYTES_MAX);
    tl_arena_init(&run->state.policy_arenas[0], POLICY_BYTES_MAX);
    tl_arena_init(&run->state.policy_arenas[1], POLICY_BYTES_MAX);
    tl_buf_init(&run->buf, EVENT_BYTES_MAX);
    tl_buf_init(&run->kept_notes, TL_KEPT_BYTES);
    run->kept_next = 1;
    TL_TRY(tl_findings_init(&run->found, input->options, err));
    run->report = run->found.report;
    run->kept = tl_alloc_array(TL_KEPT_MAX, sizeof(*run->kept));
    run->hashes = tl_alloc_array(TL_CHUNK_LEAVES, sizeof(*run->hashes));
    run->marks = tl_alloc_array(TL_CHUNK_LEAVES, 1);
    run->tiler = tl_alloc_array(1, sizeof(*run->tiler));
    if (run->kept == NULL || run->hashes == NULL || run->marks == NULL || run->tiler == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate room to verify in");
    }
    return TALLY_OK;
}

static tally_status check_input(const struct tl_verify_input *input, struct tally_error *err)
{
    const struct tally_verify_options *options = input->options;
    uint8_t id[TL_LEAF_ID_LEN];
    switch (options->scope) {
    case TALLY_SCOPE_ALL:
    case TALLY_SCOPE_NEWEST:
        break;
    case TALLY_SCOPE_RANGE:
        if (options->first > options->last) {
            return tl_fail(err, TALLY_EINVAL, "the range ends before it begins");
        }
        break;
    case TALLY_SCOPE_ID:
        if (options->id == NULL || tl_leaf_id(id, tl_str_of(options->id)) != TALLY_OK) {
            return tl_fail(err, TALLY_EINVAL, "that is no id of an event");
        }
        break;
    case TALLY_SCOPE_SINCE:
        if (input->remembered_count == 0) {
            return tl_fail(err, TALLY_EINVAL, "there is no checkpoint to begin at");
        }
        break;
    }
    if ((unsigned int)options->scope > TALLY_SCOPE_SINCE ||
        input->remembered_count > TL_REMEMBERED_MAX) {
        return tl_fail(err, TALLY_EINVAL, "no such scope, or too many checkpoints");
    }
    return TALLY_OK;
}

tally_status tl_verify(const struct tl_verify_input *input, struct tally_report **report_out,
                       struct tally_error *err)
{
    TL_TRY(check_input(input, err));
    TL_CLEANUP(tl_freep) struct tl_run *run = tl_alloc_array(1, sizeof(*run));
    if (run == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate room to verify in");
    }
    tally_status status = set_up(run, input, err);
    if (status == TALLY_OK) {
        if (input->trust == NULL) {
            tl_found(&run->found, TL_KEY_UNKNOWN, TALLY_SEQ_NONE, "there is no trust file");
        }
        status = check_in_snapshot(run);
    }
    if (status == TALLY_OK) {
        finish(run);
        status = run->found.status;
    }
    if (status == TALLY_OK) {
        *report_out = tl_findings_take(&run->found);
    } else {
        status = tl_fail(err, status, "cannot allocate room to verify in");
    }
    release(run);
    return status;
}

tally_status tl_verify_unreadable(const struct tally_verify_options *options, const char *code,
                                  const char *message, struct tally_report **report_out,
                                  struct tally_error *err)
{
    TL_CLEANUP(tl_freep) struct tl_findings *findings = tl_alloc_array(1, sizeof(*findings));
    if (findings == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a report");
    }
    tally_status status = tl_findings_init(findings, options, err);
    if (status == TALLY_OK) {
        enum tl_code known = tl_code_named(code);
        tl_found(findings, known == TL_CHECK_FAILED ? TL_CHECK_FAILED : TL_STORE_ERROR,
                 TALLY_SEQ_NONE, "%s", message);
        findings->report->skipped_why = "the ledger could not be read";
        status = findings->status;
    }
    if (status == TALLY_OK) {
        *report_out = tl_findings_take(findings);
    }
    tl_findings_release(findings);
    return status;
}
