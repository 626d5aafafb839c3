/* Checkpoints and proofs for the public interface. */
#include <stdio.h>

#include "codec/base64.h"
#include "evidence/tlogproof.h"
#include "evidence/trust.h"
#include "ledger/ledger.h"
#include "ledger/nodes.h"
#include "ledger/trust.h"

/* A copy of one checkpoint. */
struct wanted {
    uint64_t size;
    struct tl_buf note;
    bool found;
};

static tally_status copy_note(void *ctx, const struct tally_checkpoint *checkpoint)
{
    struct wanted *wanted = ctx;
    if (checkpoint->size == wanted->size) {
        tl_buf_add(&wanted->note, checkpoint->note, checkpoint->note_len);
        wanted->found = true;
    }
    tally_status status = tl_buf_status(&wanted->note);
    return status != TALLY_OK ? status : TALLY_ECANCELED; /* the first one decides */
}

/* Appends the checkpoint of *size leaves, or the newest one for 0, to `out`. */
static tally_status read_note(struct tally_store *store, uint64_t *size, struct tl_buf *out,
                              struct tally_error *err)
{
    if (*size == 0) {
        TL_TRY(tl_store_newest_checkpoint(store, size, err));
    }
    struct wanted wanted = { .size = *size };
    tl_buf_init(&wanted.note, TL_NOTE_LEN_MAX);
    tally_status status = tl_store_scan_checkpoints(store, *size, copy_note, &wanted, err);
    if ((status == TALLY_OK || status == TALLY_ECANCELED) && wanted.found && *size > 0) {
        tl_buf_add_str(out, tl_buf_str(&wanted.note));
        status = tl_buf_status(out);
    } else if (status == TALLY_OK || status == TALLY_ECANCELED) {
        status = tl_fail(err, TALLY_ENOTFOUND, "no checkpoint of %llu leaves is kept",
                         (unsigned long long)*size);
    }
    tl_buf_release(&wanted.note);
    return status;
}

static tally_status take_text(struct tl_buf *text, tally_status status, char **text_out,
                              struct tally_error *err)
{
    char *taken = status == TALLY_OK ? tl_buf_take(text, NULL) : NULL;
    if (status == TALLY_OK && taken == NULL) {
        status = tl_fail(err, TALLY_ENOMEM, "cannot allocate the text");
    }
    tl_buf_release(text);
    if (status == TALLY_OK) {
        *text_out = taken;
    }
    return status;
}

tally_status tally_checkpoint(struct tally_ledger *ledger, uint64_t size, char **note_out,
                              struct tally_error *err)
{
    struct tl_reader reader;
    struct tl_buf text;
    TL_TRY(tl_reader_get(ledger, &reader, err));
    tl_buf_init(&text, TL_NOTE_LEN_MAX);
    tally_status status = tl_reader_begin(&reader, err);
    if (status == TALLY_OK) {
        status = read_note(reader.store, &size, &text, err);
    }
    tl_reader_put(ledger, &reader);
    return take_text(&text, status, note_out, err);
}

/* Makes a proof over one state of the store. */
struct maker {
    struct tally_store *store;
    struct tl_nodes *nodes;
    struct tl_tlogproof *proof;
    struct tl_buf note;
    struct tl_buf leaf;
    uint64_t size;
};

static tally_status copy_leaf(void *ctx, const struct tally_record *record)
{
    struct tl_buf *leaf = ctx;
    tl_buf_add(leaf, record->leaf, record->leaf_len);
    return tl_buf_status(leaf);
}

static tally_status make_inclusion(struct maker *maker, uint64_t seq, struct tl_buf *out,
                                   struct tally_error *err)
{
    TL_TRY(read_note(maker->store, &maker->size, &maker->note, err));
    if (seq >= maker->size) {
        return tl_fail(err, TALLY_ENOTFOUND, "there is no record %llu", (unsigned long long)seq);
    }
    TL_TRY(tl_store_scan(maker->store, seq, seq + 1, copy_leaf, &maker->leaf, err));
    if (maker->leaf.len == 0) {
        return tl_fail(err, TALLY_ECORRUPT, "record %llu is missing; run 'tally verify'",
                       (unsigned long long)seq);
    }
    maker->nodes->size = maker->size;
    TL_TRY(tl_proof_inclusion(&maker->proof->proof, seq, maker->size, tl_nodes_get, maker->nodes));
    maker->proof->index = seq;
    maker->proof->extra = (const uint8_t *)maker->leaf.data;
    maker->proof->extra_len = maker->leaf.len;
    maker->proof->note = tl_buf_str(&maker->note);
    tl_tlogproof_format(out, maker->proof);
    return tl_buf_status(out);
}

static tally_status make_consistency(struct maker *maker, uint64_t old_size, struct tl_buf *out,
                                     struct tally_error *err)
{
    TL_TRY(read_note(maker->store, &maker->size, &maker->note, err));
    if (old_size == 0 || old_size > maker->size) {
        return tl_fail(err, TALLY_EINVAL, "the old size must be 1 to %llu",
                       (unsigned long long)maker->size);
    }
    maker->nodes->size = maker->size;
    struct tl_proof *proof = &maker->proof->proof;
    TL_TRY(tl_proof_consistency(proof, old_size, maker->size, tl_nodes_get, maker->nodes));
    for (uint32_t i = 0; i < proof->count; i++) {
        tl_base64_encode(out, proof->hashes[i], TL_HASH_LEN);
        tl_buf_add_char(out, '\n');
    }
    tl_buf_add_char(out, '\n');
    tl_buf_add_str(out, tl_buf_str(&maker->note));
    return tl_buf_status(out);
}

typedef tally_status make_fn(struct maker *maker, uint64_t at, struct tl_buf *out,
                             struct tally_error *err);

static tally_status make(struct tally_ledger *ledger, make_fn *fn, uint64_t at, char **text_out,
                         struct tally_error *err)
{
    TL_CLEANUP(tl_freep) struct tl_nodes *nodes = tl_alloc_array(1, sizeof(*nodes));
    TL_CLEANUP(tl_freep) struct tl_tlogproof *proof = tl_alloc_array(1, sizeof(*proof));
    if (nodes == NULL || proof == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a proof");
    }
    struct tl_reader reader;
    struct tl_buf text;
    TL_TRY(tl_reader_get(ledger, &reader, err));
    struct maker maker = { .store = reader.store, .nodes = nodes, .proof = proof };
    nodes->store = reader.store;
    nodes->err = err;
    tl_buf_init(&text, TL_TLOGPROOF_LEN_MAX);
    tl_buf_init(&maker.note, TL_NOTE_LEN_MAX);
    tl_buf_init(&maker.leaf, TL_LEAF_LEN + TL_LEAF_PAYLOAD_MAX);
    tally_status status = tl_reader_begin(&reader, err);
    if (status == TALLY_OK) {
        status = fn(&maker, at, &text, err);
    }
    tl_reader_put(ledger, &reader);
    tl_buf_release(&maker.note);
    tl_buf_release(&maker.leaf);
    return take_text(&text, status, text_out, err);
}

tally_status tally_proof_make(struct tally_ledger *ledger, uint64_t seq, char **proof_out,
                              struct tally_error *err)
{
    return make(ledger, make_inclusion, seq, proof_out, err);
}

tally_status tally_consistency_make(struct tally_ledger *ledger, uint64_t old_size,
                                    char **proof_out, struct tally_error *err)
{
    return make(ledger, make_consistency, old_size, proof_out, err);
}

tally_status tally_trust_text(struct tally_ledger *ledger, char **text_out, struct tally_error *err)
{
    TL_CLEANUP(tl_freep) struct tl_trust *trust = NULL;
    struct tl_reader reader;
    struct tl_buf text;
    TL_TRY(tl_reader_get(ledger, &reader, err));
    tally_status status = tl_reader_begin(&reader, err);
    if (status == TALLY_OK) {
        status = tl_trust_from_genesis(&trust, reader.store, err);
    }
    tl_reader_put(ledger, &reader);
    TL_TRY(status);
    tl_buf_init(&text, TL_CONFIG_BYTES_MAX);
    tl_trust_format(&text, trust);
    return take_text(&text, tl_buf_status(&text), text_out, err);
}

/* Everything a proof is checked with. */
struct checker {
    struct tl_trust trust;
    struct tl_tlogproof proof;
    struct tl_note note;
    struct tl_checkpoint_body body;
    struct tl_leaf leaf;
};

static tally_status say(struct tally_proof_result *result, enum tally_verdict verdict,
                        const char *reason)
{
    result->verdict = verdict;
    (void)snprintf(result->reason, sizeof(result->reason), "%s", reason);
    return TALLY_OK;
}

/* What the lines of the keys that the trust file names are worth together. */
struct lines {
    bool condemned; /* a bad signature of a known key */
    bool is_signed; /* by a log key whose name is the checkpoint's origin */
    uint64_t witness_bits;
};

static tally_status judge_line(struct checker *checker, const struct tl_vkey *key,
                               struct lines *lines, bool *good_out)
{
    enum tl_note_verdict verdict = TL_NOTE_NO_LINE;
    TL_TRY(tl_note_verify(&checker->note, key, &verdict, NULL));
    lines->condemned = lines->condemned || verdict == TL_NOTE_BAD;
    *good_out = verdict == TL_NOTE_GOOD;
    return TALLY_OK;
}

static tally_status judge_lines(struct checker *checker, struct lines *lines)
{
    const struct tl_trust *trust = &checker->trust;
    bool good = false;
    for (uint32_t i = 0; i < trust->log_count; i++) {
        TL_TRY(judge_line(checker, &trust->logs[i], lines, &good));
        bool named = tl_str_is(checker->body.origin, trust->logs[i].name);
        lines->is_signed = lines->is_signed || (good && named);
    }
    for (uint32_t i = 0; i < trust->epoch_count; i++) {
        TL_TRY(judge_line(checker, &trust->epochs[i], lines, &good));
    }
    for (uint32_t i = 0; i < trust->witness_count; i++) {
        TL_TRY(judge_line(checker, &trust->witnesses[i].key, lines, &good));
        lines->witness_bits |= good ? UINT64_C(1) << i : 0;
    }
    return TALLY_OK;
}

static tally_status check_signatures(struct checker *checker, struct tally_proof_result *result)
{
    struct lines lines = { 0 };
    TL_TRY(judge_lines(checker, &lines));
    if (lines.condemned) {
        return say(result, TALLY_VERDICT_TAMPERED, "a signature of the checkpoint is wrong");
    }
    if (!lines.is_signed) {
        return say(result, TALLY_VERDICT_UNVERIFIABLE,
                   "no key of the trust file signed the checkpoint");
    }
    if (!tl_trust_quorum_holds(&checker->trust, lines.witness_bits)) {
        return say(result, TALLY_VERDICT_UNVERIFIABLE,
                   "too few witnesses of the trust file signed the checkpoint");
    }
    return say(result, TALLY_VERDICT_VERIFIED, "");
}

static tally_status check_proof(struct checker *checker, struct tally_proof_result *result)
{
    struct tl_tlogproof *proof = &checker->proof;
    if (tl_note_parse(&checker->note, proof->note.text, proof->note.len, NULL) != TALLY_OK ||
        tl_checkpoint_parse(&checker->body, checker->note.body, NULL) != TALLY_OK) {
        return say(result, TALLY_VERDICT_TAMPERED, "the checkpoint does not parse");
    }
    tl_str_copy(result->origin, sizeof(result->origin), checker->body.origin);
    result->seq = proof->index;
    result->size = checker->body.size;
    if (proof->extra == NULL) {
        return say(result, TALLY_VERDICT_UNVERIFIABLE, "the proof does not hold the leaf");
    }
    if (tl_leaf_decode(&checker->leaf, proof->extra, proof->extra_len, NULL) != TALLY_OK ||
        checker->leaf.seq != proof->index) {
        return say(result, TALLY_VERDICT_TAMPERED, "the leaf is not that of the record");
    }
    result->recorded_us = checker->leaf.time_us;
    uint8_t hash[TL_HASH_LEN];
    tl_tree_hash_leaf(hash, proof->extra, proof->extra_len);
    if (!tl_proof_inclusion_holds(&proof->proof, proof->index, checker->body.size, hash,
                                  checker->body.root)) {
        return say(result, TALLY_VERDICT_TAMPERED, "the hashes do not lead to the signed root");
    }
    return check_signatures(checker, result);
}

tally_status tally_proof_check(const char *proof, size_t proof_len, const char *trust,
                               size_t trust_len, struct tally_proof_result *result_out,
                               struct tally_error *err)
{
    TL_CLEANUP(tl_freep) struct checker *checker = tl_alloc_array(1, sizeof(*checker));
    if (checker == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a check");
    }
    TL_TRY(tl_trust_parse(&checker->trust, trust, trust_len, err));
    struct tl_buf extra;
    tl_buf_init(&extra, TL_TLOGPROOF_LEN_MAX);
    struct tally_proof_result result = { .verdict = TALLY_VERDICT_UNKNOWN };
    tally_status status = tl_tlogproof_parse(&checker->proof, &extra, proof, proof_len, NULL);
    if (status == TALLY_OK) {
        status = check_proof(checker, &result);
    } else if (status != TALLY_ENOMEM) {
        status = say(&result, TALLY_VERDICT_TAMPERED, "this is no proof that can be read");
    }
    tl_buf_release(&extra);
    if (status != TALLY_OK) {
        return tl_fail(err, status, "cannot check the proof");
    }
    *result_out = result;
    return TALLY_OK;
}
