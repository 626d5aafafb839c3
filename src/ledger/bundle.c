/* tally_bundle_write(): reads one snapshot of a ledger and hands it to bundle/writer.h. */
#include <tally/bundle.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/io.h"
#include "bundle/handout.h"
#include "bundle/writer.h"
#include "evidence/tlogproof.h"
#include "ledger/act.h"
#include "ledger/nodes.h"
#include "ledger/opening.h"
#include "ledger/trust.h"
#include "ledger/walk.h"

#define CHUNK       TL_TILE_WIDTH /* records between two looks at whether to go on */
#define REST_MAX    ((size_t)17 << 20)
#define CONTROL_MAX ((size_t)8 << 20)
#define TOKEN_MAX   ((size_t)1 << 20)

/* A record of the chunk whose proof is to be made. */
struct to_prove {
    uint64_t seq;
    size_t leaf_at; /* in leaves */
    size_t leaf_len;
};

/* Beside the newest checkpoint: what a proof is made of. Nodes of each eighth level have a tile of
 * their own, or each proof would read them all again. */
struct prover {
    struct tl_nodes nodes[TL_TILE_LEVELS];
    struct tl_tlogproof proof;
    struct to_prove records[CHUNK];
    size_t count;
    struct tl_buf leaves;
    struct tl_buf text;
};

/* One bundle in the making. Large: allocated. */
struct bundling {
    struct tally_ledger *ledger;
    const struct tally_bundle_options *options;
    struct tally_bundle_result *result;
    struct tally_error *err;
    struct tl_walk *walk; /* has the snapshot */
    struct tally_store *store;
    struct tl_bundle_writer *writer;

    struct tl_buf note; /* the newest checkpoint */
    uint64_t size;
    uint8_t root[TL_HASH_LEN];

    /* Whose contents go along. */
    bool is_part;                     /* not all */
    uint8_t *bits;                    /* of those that the query names; NULL without one */
    size_t range;                     /* the first that does not lie before the record at hand */
    uint64_t lines;                   /* of the openings */
    struct tl_erasable_set *withhold; /* NULL: no member is withheld */

    /* What is in force at the record at hand. */
    struct tl_acts acts;
    struct tl_excuse_scope scope;
    struct tl_erasable_set *set;
    struct tl_arena arena; /* of one policy */
    struct tl_control *control;

    uint64_t next; /* seq of the next record */
    uint64_t *anchors;
    size_t anchor_count;
    struct tl_opening *opening;
    struct tl_split *split;
    struct tl_buf rest;
    struct prover *prover; /* NULL: no proofs */
};

static void release(struct bundling *b)
{
    if (b->writer != NULL) {
        tl_bundle_writer_release(b->writer);
    }
    tl_walk_end(&b->walk);
    tl_excuse_scope_release(&b->scope);
    tl_acts_release(&b->acts);
    tl_arena_release(&b->arena);
    tl_buf_release(&b->note);
    tl_buf_release(&b->rest);
    if (b->prover != NULL) {
        tl_buf_release(&b->prover->leaves);
        tl_buf_release(&b->prover->text);
    }
    tl_free(b->prover);
    tl_free(b->writer);
    tl_free(b->bits);
    tl_free(b->withhold);
    tl_free(b->set);
    tl_free(b->control);
    tl_free(b->anchors);
    tl_free(b->opening);
    tl_free(b->split);
}

static tally_status no_memory(struct tally_error *err)
{
    return tl_fail(err, TALLY_ENOMEM, "cannot allocate a bundle");
}

static tally_status allocate(struct bundling *b)
{
    tl_excuses_init(&b->acts.excuses);
    tl_arena_init(&b->arena, CONTROL_MAX);
    tl_buf_init(&b->note, TL_NOTE_LEN_MAX);
    tl_buf_init(&b->rest, REST_MAX);
    b->set = tl_alloc_array(1, sizeof(*b->set));
    b->control = tl_alloc_array(1, sizeof(*b->control));
    b->opening = tl_alloc_array(1, sizeof(*b->opening));
    b->split = tl_alloc_array(1, sizeof(*b->split));
    if (b->set == NULL || b->control == NULL || b->opening == NULL || b->split == NULL) {
        return no_memory(b->err);
    }
    if (b->options->proofs != 0 && b->options->tlog_only == 0) {
        b->prover = tl_alloc_array(1, sizeof(*b->prover));
        if (b->prover == NULL) {
            return no_memory(b->err);
        }
        tl_buf_init(&b->prover->leaves, (size_t)CHUNK * (TL_LEAF_LEN + TL_LEAF_PAYLOAD_MAX));
        tl_buf_init(&b->prover->text, TL_TLOGPROOF_LEN_MAX);
    }
    return TALLY_OK;
}

/* ------------------------------------------------------------------------------------------- */

static tally_status take_note(void *ctx, const struct tally_checkpoint *checkpoint)
{
    struct bundling *b = ctx;
    if (checkpoint->size != b->size) {
        return TALLY_OK;
    }
    tl_buf_clear(&b->note);
    tl_buf_add(&b->note, checkpoint->note, checkpoint->note_len);
    return tl_buf_status(&b->note);
}

/* The snapshot and its newest checkpoint, which covers all of it. */
static tally_status begin(struct bundling *b, const struct tl_filter *filter)
{
    TL_TRY(tl_walk_begin(&b->walk, b->ledger, filter, b->err));
    b->store = b->walk->reader.store;
    TL_TRY(tl_store_newest_checkpoint(b->store, &b->size, b->err));
    TL_TRY(tl_store_scan_checkpoints(b->store, b->size, take_note, b, b->err));
    TL_CLEANUP(tl_freep) struct tl_note *note = tl_alloc_array(1, sizeof(*note));
    struct tl_checkpoint_body body = { 0 };
    if (note == NULL) {
        return no_memory(b->err);
    }
    if (b->size == 0 || b->size != b->walk->head.size ||
        tl_note_parse(note, b->note.data, b->note.len, NULL) != TALLY_OK ||
        tl_checkpoint_parse(&body, note->body, NULL) != TALLY_OK || body.size != b->size) {
        return tl_fail(b->err, TALLY_ECORRUPT,
                       "the newest checkpoint does not cover the ledger; run 'tally verify'");
    }
    memcpy(b->root, body.root, sizeof(b->root));
    b->result->size = b->size;
    return TALLY_OK;
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static tally_status read_withhold(struct bundling *b)
{
    size_t count = b->options->withhold_count;
    if (count == 0) {
        return TALLY_OK;
    }
    TL_CLEANUP(tl_freep) const char **sorted = tl_alloc_array(count, sizeof(*sorted));
    b->withhold = tl_alloc_array(1, sizeof(*b->withhold));
    if (sorted == NULL || b->withhold == NULL) {
        return no_memory(b->err);
    }
    memcpy(sorted, b->options->withhold, count * sizeof(*sorted));
    qsort(sorted, count, sizeof(*sorted), compare_texts);
    for (size_t i = 0; i < count; i++) {
        struct tally_error why = TALLY_ERROR_INIT;
        if (tl_erasable_add(b->withhold, tl_str_of(sorted[i]), &why) != TALLY_OK) {
            return tl_fail(b->err, TALLY_EINVAL, "'%s' cannot be withheld: %s", sorted[i],
                           why.message);
        }
    }
    return TALLY_OK;
}

/* Whether a record lies in the ranges of the selection; asked in ascending order. */
static bool is_in_range(struct bundling *b, uint64_t seq)
{
    const struct tally_selection *selection = &b->options->selection;
    while (b->range < selection->range_count && selection->ranges[b->range].last < seq) {
        b->range++;
    }
    return selection->range_count == 0 ||
           (b->range < selection->range_count && selection->ranges[b->range].first <= seq);
}

static bool is_selected(struct bundling *b, uint64_t seq)
{
    return is_in_range(b, seq) && (b->bits == NULL || (b->bits[seq / 8] >> seq % 8 & 1) != 0);
}

static tally_status select_match(void *ctx, const struct tl_match *match)
{
    struct bundling *b = ctx;
    uint64_t seq = match->record->seq;
    b->bits[seq / 8] |= (uint8_t)(1u << seq % 8);
    return TALLY_OK;
}

/* Finds out who is selected beforehand: the first line says how many there are. */
static tally_status select_records(struct bundling *b)
{
    const struct tally_selection *selection = &b->options->selection;
    const struct tl_walk_order order = { .ascending = true };
    b->is_part = selection->query != NULL || selection->range_count > 0;
    if (!b->is_part) {
        b->lines = b->size;
        return TALLY_OK;
    }
    for (size_t i = 0; i < selection->range_count; i++) {
        if (selection->ranges[i].last < selection->ranges[i].first ||
            (i > 0 && selection->ranges[i].first <= selection->ranges[i - 1].last)) {
            return tl_fail(b->err, TALLY_EINVAL, "the ranges of records do not ascend");
        }
    }
    if (selection->query != NULL) {
        b->bits = tl_alloc_array((size_t)(b->size / 8 + 1), 1);
        if (b->bits == NULL) {
            return no_memory(b->err);
        }
        TL_TRY(tl_walk_run(b->walk, &order, select_match, b, b->err));
    }
    for (uint64_t seq = 0; seq < b->size; seq++) {
        b->lines += is_selected(b, seq) ? 1 : 0;
    }
    b->range = 0;
    return TALLY_OK;
}

/* ------------------------------------------------------------------------------------------- */

/* Takes note of what a control leaf means for the records after it. */
static tally_status apply(struct bundling *b, const struct tl_leaf *leaf,
                          const struct tally_record *record)
{
    if (leaf->kind == TL_LEAF_ANCHOR) {
        if ((b->anchor_count & (b->anchor_count - 1)) == 0) {
            size_t capacity = b->anchor_count == 0 ? 1 : 2 * b->anchor_count;
            uint64_t *anchors = tl_realloc_array(b->anchors, capacity, sizeof(*anchors));
            if (anchors == NULL) {
                return no_memory(b->err);
            }
            b->anchors = anchors;
        }
        b->anchors[b->anchor_count++] = leaf->seq;
    }
    if (leaf->kind != TL_LEAF_GENESIS && leaf->kind != TL_LEAF_POLICY) {
        return TALLY_OK;
    }
    tl_arena_reset(&b->arena);
    tally_status status = tl_control_parse(b->control, &b->arena, leaf->kind,
                                           (const char *)record->leaf + TL_LEAF_LEN,
                                           record->leaf_len - TL_LEAF_LEN, b->err);
    if (status == TALLY_OK) {
        *b->set = *b->control->policy.erasable;
    }
    return status;
}

static tally_status write_line(struct bundling *b, const struct tl_leaf *leaf,
                               const struct tally_record *record)
{
    b->opening->seq = record->seq;
    b->opening->leaf = record->leaf;
    b->opening->leaf_len = record->leaf_len;
    if (leaf->kind != TL_LEAF_ENTRY) {
        b->opening->state = TL_OPENING_CONTROL;
    } else if (record->event == NULL) {
        b->opening->state = tl_opening_absent(&b->scope, leaf);
    } else {
        TL_TRY(tl_opening_of(b->opening, record, b->set, b->withhold, b->split, &b->rest, b->err));
        b->result->contents++;
    }
    tl_opening_format(&b->writer->lines, b->opening);
    tl_buf_add_char(&b->writer->lines, '\n');
    return tl_bundle_write_lines(b->writer, false, b->err);
}

static tally_status note_to_prove(struct bundling *b, const struct tally_record *record)
{
    struct prover *prover = b->prover;
    if (prover == NULL || record->event == NULL) {
        return TALLY_OK;
    }
    prover->records[prover->count++] = (struct to_prove){ .seq = record->seq,
                                                          .leaf_at = prover->leaves.len,
                                                          .leaf_len = record->leaf_len };
    tl_buf_add(&prover->leaves, record->leaf, record->leaf_len);
    return tl_buf_status(&prover->leaves);
}

static tally_status bundle_record(void *ctx, const struct tally_record *record)
{
    struct bundling *b = ctx;
    struct tl_leaf leaf;
    if (record->seq != b->next ||
        tl_leaf_decode(&leaf, record->leaf, record->leaf_len, NULL) != 0) {
        return tl_fail(b->err, TALLY_ECORRUPT,
                       "record %" PRIu64 " is missing or damaged; run 'tally verify'", b->next);
    }
    b->next++;
    TL_TRY(tl_bundle_write_leaf(b->writer, record->leaf, record->leaf_len, b->err));
    if (b->options->tlog_only == 0 && is_selected(b, record->seq)) {
        TL_TRY(write_line(b, &leaf, record));
        TL_TRY(note_to_prove(b, record));
    } else if (record->event != NULL) {
        b->result->withheld++;
    }
    return apply(b, &leaf, record);
}

/* ------------------------------------------------------------------------------------------- */

static tally_status give_node(void *ctx, uint32_t level, uint64_t n, uint8_t out[TL_HASH_LEN])
{
    struct prover *prover = ctx;
    return tl_nodes_get(&prover->nodes[level / 8], level, n, out);
}

static tally_status write_proof(struct bundling *b, const struct to_prove *record)
{
    struct prover *prover = b->prover;
    char name[TL_BUNDLE_NAME_SIZE];
    TL_TRY(tl_proof_inclusion(&prover->proof.proof, record->seq, b->size, give_node, prover));
    prover->proof.index = record->seq;
    prover->proof.extra = (const uint8_t *)prover->leaves.data + record->leaf_at;
    prover->proof.extra_len = record->leaf_len;
    prover->proof.note = tl_buf_str(&b->note);
    tl_buf_clear(&prover->text);
    tl_tlogproof_format(&prover->text, &prover->proof);
    TL_TRY(tl_buf_status(&prover->text));
    (void)snprintf(name, sizeof(name), "proofs/%" PRIu64 ".tlog-proof", record->seq);
    return tl_bundle_write_file(b->writer, name, prover->text.data, prover->text.len, b->err);
}

/* Between two chunks, when the store is free to be asked for nodes. */
static tally_status write_proofs(struct bundling *b)
{
    struct prover *prover = b->prover;
    if (prover == NULL) {
        return TALLY_OK;
    }
    for (size_t i = 0; i < prover->count; i++) {
        TL_TRY(write_proof(b, &prover->records[i]));
    }
    prover->count = 0;
    tl_buf_clear(&prover->leaves);
    return TALLY_OK;
}

static tally_status report_progress(const struct bundling *b)
{
    tally_progress_fn *progress = b->options->progress;
    return progress != NULL && progress(b->options->ctx, b->next, b->size) != 0
               ? tl_fail(b->err, TALLY_ECANCELED, "the export was stopped")
               : TALLY_OK;
}

static tally_status bundle_records(struct bundling *b)
{
    for (size_t i = 0; b->prover != NULL && i < TL_TILE_LEVELS; i++) {
        b->prover->nodes[i].store = b->store;
        b->prover->nodes[i].size = b->size;
        b->prover->nodes[i].err = b->err;
    }
    while (b->next < b->size) {
        uint64_t end = b->size - b->next < CHUNK ? b->size : b->next + CHUNK;
        if (b->options->tlog_only == 0) {
            tl_excuse_scope_set(&b->scope, b->next, end);
        }
        TL_TRY(tl_store_scan(b->store, b->next, end, bundle_record, b, b->err));
        if (b->next != end) {
            return tl_fail(b->err, TALLY_ECORRUPT,
                           "record %" PRIu64 " is missing; run 'tally verify'", b->next);
        }
        TL_TRY(write_proofs(b));
        TL_TRY(report_progress(b));
    }
    uint8_t root[TL_HASH_LEN];
    tl_frontier_root(&b->writer->frontier, root);
    if (memcmp(root, b->root, sizeof(root)) != 0) {
        return tl_fail(b->err, TALLY_ECORRUPT,
                       "the records are not those under the newest checkpoint; run 'tally verify'");
    }
    return tl_bundle_write_partial(b->writer, b->err);
}

/* ------------------------------------------------------------------------------------------- */

static tally_status write_checkpoint(void *ctx, const struct tally_checkpoint *checkpoint)
{
    struct bundling *b = ctx;
    char name[TL_BUNDLE_NAME_SIZE];
    if (checkpoint->size > b->size) {
        return TALLY_OK;
    }
    (void)snprintf(name, sizeof(name), "checkpoints/%" PRIu64, checkpoint->size);
    return tl_bundle_write_file(b->writer, name, checkpoint->note, checkpoint->note_len, b->err);
}

/* The tokens that are there. One that is not is a warning of the check, no reason to stop. */
static tally_status write_anchors(struct bundling *b)
{
    char name[TL_BUNDLE_NAME_SIZE];
    char path[TL_PATH_SIZE];
    for (size_t i = 0; i < b->anchor_count && !b->ledger->paths.memory; i++) {
        char *token = NULL;
        size_t len = 0;
        (void)snprintf(name, sizeof(name), "anchors/%" PRIu64, b->anchors[i]);
        TL_TRY(tl_path_join(path, b->ledger->paths.dir, name, b->err));
        if (tl_io_read_file(path, TOKEN_MAX, &token, &len, NULL) != TALLY_OK) {
            continue;
        }
        tally_status status = tl_bundle_write_file(b->writer, name, token, len, b->err);
        tl_free(token);
        TL_TRY(status);
    }
    return TALLY_OK;
}

/* The ledger's own trust file, which may name witnesses and approvers; else the keys of GENESIS. */
static tally_status write_trust(struct bundling *b)
{
    TL_CLEANUP(tl_freep) struct tl_trust *trust = NULL;
    struct tl_buf text;
    tally_status status = TALLY_ENOTFOUND;
    if (!b->ledger->paths.memory) {
        status = tl_trust_read(&trust, b->ledger->paths.trust, NULL);
    }
    if (status != TALLY_OK) {
        TL_TRY(tl_trust_from_genesis(&trust, b->store, b->err));
    }
    tl_buf_init(&text, TL_CONFIG_BYTES_MAX);
    tl_trust_format(&text, trust);
    status = tl_buf_status(&text);
    if (status == TALLY_OK) {
        status = tl_bundle_write_file(b->writer, "trust.txt", text.data, text.len, b->err);
    }
    tl_buf_release(&text);
    return status;
}

static tally_status write_handout(struct bundling *b)
{
    const struct tl_bundle_facts facts = { .origin = b->ledger->origin,
                                           .size = b->size,
                                           .contents = b->result->contents,
                                           .complete = !b->is_part && b->withhold == NULL };
    struct tl_buf text;
    tl_buf_init(&text, TL_CONFIG_BYTES_MAX);
    tl_bundle_readme(&text, &facts);
    tally_status status = tl_buf_status(&text);
    if (status == TALLY_OK) {
        status = tl_bundle_write_file(b->writer, "README.txt", text.data, text.len, b->err);
    }
    tl_buf_release(&text);
    TL_TRY(status);
    return tl_bundle_write_file(b->writer, "tally_check.py", tl_bundle_checker,
                                tl_bundle_checker_len, b->err);
}

/* What only goes along with contents. */
static tally_status prepare_contents(struct bundling *b)
{
    if (b->options->tlog_only != 0) {
        return TALLY_OK;
    }
    TL_TRY(read_withhold(b));
    TL_TRY(select_records(b));
    TL_TRY(tl_acts_read(&b->acts, b->store, b->err));
    TL_TRY(tl_excuse_scope_init(&b->scope, &b->acts.excuses));
    const struct tl_openings_head head = { .complete = !b->is_part,
                                           .count = b->lines,
                                           .origin = tl_str_of(b->ledger->origin),
                                           .size = b->size };
    tl_openings_head_format(&b->writer->lines, &head);
    tl_buf_add_char(&b->writer->lines, '\n');
    return tl_bundle_write_lines(b->writer, false, b->err);
}

static tally_status write_all(struct bundling *b, const char *dir)
{
    b->writer = tl_alloc_array(1, sizeof(*b->writer));
    if (b->writer == NULL) {
        return no_memory(b->err);
    }
    TL_TRY(tl_bundle_writer_init(b->writer, dir, b->err));
    TL_TRY(prepare_contents(b));
    TL_TRY(bundle_records(b));
    TL_TRY(tl_bundle_write_file(b->writer, "checkpoint", b->note.data, b->note.len, b->err));
    TL_TRY(tl_store_scan_checkpoints(b->store, 1, write_checkpoint, b, b->err));
    TL_TRY(write_anchors(b));
    TL_TRY(write_trust(b));
    if (b->options->tlog_only == 0) {
        TL_TRY(tl_bundle_write_lines(b->writer, true, b->err));
        TL_TRY(write_handout(b));
    }
    TL_TRY(tl_bundle_publish(b->writer, b->err));
    b->result->bytes = b->writer->bytes;
    return TALLY_OK;
}

tally_status tally_bundle_write(struct tally_ledger *ledger, const char *dir,
                                const struct tally_bundle_options *options,
                                struct tally_bundle_result *result_out, struct tally_error *err)
{
    struct tally_error own = TALLY_ERROR_INIT; /* what a callback says must be kept somewhere */
    static const struct tally_query every = TALLY_QUERY_INIT;
    *result_out = (struct tally_bundle_result){ 0 };
    if (options->struct_size != sizeof(*options) || dir == NULL) {
        return tl_fail(err, TALLY_EINVAL, "struct tally_bundle_options is not filled in");
    }
    const struct tally_query *query = options->selection.query;
    TL_CLEANUP(tl_filter_freep) struct tl_filter *filter = NULL;
    TL_TRY(tl_walk_filter(&filter, ledger, query == NULL ? &every : query, err));
    TL_CLEANUP(tl_freep) struct bundling *b = tl_alloc_array(1, sizeof(*b));
    if (b == NULL) {
        return no_memory(err);
    }
    *b = (struct bundling){
        .ledger = ledger, .options = options, .result = result_out, .err = err == NULL ? &own : err
    };
    tally_status status = allocate(b);
    if (status == TALLY_OK) {
        status = begin(b, filter);
    }
    if (status == TALLY_OK) {
        status = write_all(b, dir);
    }
    release(b);
    return status == TALLY_OK ? status : tl_fail(err, status, "cannot write the bundle");
}
