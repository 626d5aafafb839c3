/* Lists anchors, and checks one of them against the ledger. */
#include <stdio.h>

#include "base/io.h"
#include "base/limits.h"
#include "crypto/timestamp.h"
#include "ledger/act.h"
#include "ledger/anchor.h"
#include "ledger/trust.h"

tally_status tl_anchor_authorities(const struct tally_ledger *ledger, char **pem_out,
                                   size_t *len_out, struct tally_error *err)
{
    char path[TL_PATH_SIZE];
    TL_TRY(tl_anchor_path(path, ledger, ledger->config.anchor_tsa_ca_file, err));
    return path[0] == '\0' ? TALLY_OK
                           : tl_io_read_file(path, TL_CONFIG_BYTES_MAX, pem_out, len_out, err);
}

/* One listing. Large: allocated. */
struct listing {
    struct tally_ledger *ledger;
    tally_anchor_entry_fn *fn;
    void *ctx;
    struct tl_trust *trust; /* NULL if there is none */
    struct tl_note note;
    struct tl_checkpoint_body body;
    struct tl_anchor_target target;
};

static tally_status list_record(void *ctx, const struct tl_leaf *leaf,
                                const struct tl_control *control)
{
    struct listing *listing = ctx;
    char kind[16];
    char dir[TL_PATH_SIZE];
    char path[TL_PATH_SIZE];
    char name[24];
    if (leaf->kind != TL_LEAF_ANCHOR) {
        return TALLY_OK;
    }
    TL_CLEANUP(tl_freep) char *ref = tl_alloc_array(control->ref.len + 1, 1);
    if (ref == NULL) {
        return TALLY_ENOMEM;
    }
    tl_str_copy(ref, control->ref.len + 1, control->ref);
    tl_str_copy(kind, sizeof(kind), control->anchor_kind);
    (void)snprintf(name, sizeof(name), "%llu", (unsigned long long)leaf->seq);
    TL_TRY(tl_path_join(dir, listing->ledger->paths.dir, "anchors", NULL));
    TL_TRY(tl_path_join(path, dir, name, NULL));
    const struct tally_anchor_entry entry = { .kind = kind,
                                              .seq = leaf->seq,
                                              .size = control->size,
                                              .recorded_us = leaf->time_us,
                                              .ref = ref,
                                              .has_token = tl_io->access(path, 0) == 0 };
    listing->fn(listing->ctx, &entry);
    return TALLY_OK;
}

static bool is_key_line(const struct tl_note_line *line, const struct tl_vkey *key)
{
    return line->key_id == key->key_id && tl_str_is(line->name, key->name);
}

/* The key of a witness whose line this is: configured, or in the trust file. */
static const struct tl_vkey *find_key(struct listing *listing, const struct tl_note_line *line)
{
    const struct tl_config *config = &listing->ledger->config;
    for (size_t i = 0; i < config->anchor_target_count; i++) {
        struct tl_anchor_target *target = &listing->target;
        if (tl_anchor_target_read(target, config->anchor_targets[i], NULL) == TALLY_OK &&
            target->kind == TL_ANCHOR_WITNESS && is_key_line(line, &target->witness)) {
            return &target->witness;
        }
    }
    const struct tl_trust *trust = listing->trust;
    for (uint32_t i = 0; trust != NULL && i < trust->witness_count; i++) {
        if (is_key_line(line, &trust->witnesses[i].key)) {
            return &trust->witnesses[i].key;
        }
    }
    return NULL;
}

static tally_status list_line(struct listing *listing, const struct tl_note_line *line)
{
    char name[TL_KEY_NAME_LEN_MAX + 1];
    enum tl_note_verdict verdict = TL_NOTE_NO_LINE;
    uint64_t time_s = 0;
    const struct tl_vkey *key = find_key(listing, line);
    if (key != NULL) {
        TL_TRY(tl_note_verify(&listing->note, key, &verdict, &time_s));
    }
    tl_str_copy(name, sizeof(name), line->name);
    const struct tally_anchor_entry entry = { .kind = "witness",
                                              .seq = TALLY_SEQ_NONE,
                                              .size = listing->body.size,
                                              .recorded_us = (int64_t)time_s * 1000000,
                                              .ref = name,
                                              .has_token = verdict == TL_NOTE_GOOD };
    listing->fn(listing->ctx, &entry);
    return TALLY_OK;
}

/* Lines that are the ledger's own begin with its origin; all others are of witnesses. */
static tally_status list_checkpoint(void *ctx, const struct tally_checkpoint *checkpoint)
{
    struct listing *listing = ctx;
    struct tl_note *note = &listing->note;
    if (tl_note_parse(note, checkpoint->note, checkpoint->note_len, NULL) != TALLY_OK ||
        tl_checkpoint_parse(&listing->body, note->body, NULL) != TALLY_OK) {
        return TALLY_OK; /* tally_verify() says so */
    }
    for (uint32_t i = 0; i < note->line_count; i++) {
        if (!tl_str_starts(note->lines[i].name, listing->body.origin)) {
            TL_TRY(list_line(listing, &note->lines[i]));
        }
    }
    return TALLY_OK;
}

static tally_status list_all(struct listing *listing, struct tally_store *store,
                             struct tally_error *err)
{
    TL_TRY(tl_acts_each(store, list_record, listing, err));
    return tl_store_scan_checkpoints(store, 0, list_checkpoint, listing, err);
}

tally_status tally_anchor_list(struct tally_ledger *ledger, tally_anchor_entry_fn *fn, void *ctx,
                               struct tally_error *err)
{
    TL_CLEANUP(tl_freep) struct listing *listing = tl_alloc_array(1, sizeof(*listing));
    TL_CLEANUP(tl_freep) struct tl_trust *trust = NULL;
    if (listing == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a list");
    }
    if (!ledger->paths.memory && tl_trust_read(&trust, ledger->paths.trust, NULL) == TALLY_ENOMEM) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a trust file");
    }
    listing->ledger = ledger;
    listing->fn = fn;
    listing->ctx = ctx;
    listing->trust = trust;
    struct tl_reader reader;
    TL_TRY(tl_reader_get(ledger, &reader, err));
    tally_status status = tl_reader_begin(&reader, err);
    if (status == TALLY_OK) {
        status = list_all(listing, reader.store, err);
    }
    tl_reader_put(ledger, &reader);
    return status == TALLY_ENOMEM ? tl_fail(err, status, "cannot allocate a list") : status;
}

/* One check. Large: allocated. */
struct check {
    struct tally_ledger *ledger;
    struct tally_store *store; /* a reader's, in a snapshot */
    struct tally_anchor_result result;
    uint64_t seq;
    bool found;
    char kind[16];
    uint64_t size;
    uint8_t root[32];
    uint8_t digest[32];
    struct tl_buf token;
    struct tl_note note;
    struct tl_checkpoint_body body;
    uint8_t imprint[32]; /* of the kept checkpoint */
    bool kept;
    struct tl_frontier frontier;
    struct tl_vkey log_keys[TL_TRUST_KEYS_MAX];
    size_t log_key_count;
};

static tally_status say(struct check *check, enum tally_verdict verdict, const char *reason)
{
    check->result.verdict = verdict;
    (void)snprintf(check->result.reason, sizeof(check->result.reason), "%s", reason);
    return TALLY_OK;
}

static tally_status find_record(void *ctx, const struct tl_leaf *leaf,
                                const struct tl_control *control)
{
    struct check *check = ctx;
    if (leaf->kind == TL_LEAF_ANCHOR && leaf->seq == check->seq) {
        check->found = true;
        check->size = control->size;
        tl_str_copy(check->kind, sizeof(check->kind), control->anchor_kind);
        memcpy(check->root, control->root, sizeof(check->root));
        memcpy(check->digest, control->digest, sizeof(check->digest));
    }
    return TALLY_OK;
}

static tally_status take_kept(void *ctx, const struct tally_checkpoint *checkpoint)
{
    struct check *check = ctx;
    if (checkpoint->size == check->size &&
        tl_note_parse(&check->note, checkpoint->note, checkpoint->note_len, NULL) == TALLY_OK &&
        tl_checkpoint_parse(&check->body, check->note.body, NULL) == TALLY_OK) {
        check->kept = memcmp(check->body.root, check->root, sizeof(check->root)) == 0;
        tl_sha256(check->imprint, check->note.body.text, check->note.body.len);
    }
    return TALLY_ECANCELED;
}

static tally_status fold_leaf(void *ctx, const struct tally_record *record)
{
    struct tl_frontier *frontier = ctx;
    uint8_t hash[TL_HASH_LEN];
    if (record->seq != frontier->size || record->leaf == NULL) {
        return TALLY_ECANCELED; /* one is missing */
    }
    tl_tree_hash_leaf(hash, record->leaf, record->leaf_len);
    tl_frontier_add(frontier, hash);
    return TALLY_OK;
}

/* Whether the ledger's leaves have check->root at check->size; says so if not. From the leaves: the
 * stored tree would be right after one of them was changed. */
static tally_status check_root(struct check *check, bool *good_out, struct tally_error *err)
{
    struct tally_head head;
    uint8_t root[TL_HASH_LEN];
    *good_out = false;
    TL_TRY(tl_store_head(check->store, &head, err));
    if (check->size > head.size) {
        return say(check, TALLY_VERDICT_TAMPERED,
                   "the ledger has fewer leaves than the checkpoint: it was rolled back");
    }
    check->frontier.size = 0;
    tally_status status =
        tl_store_scan(check->store, 0, check->size, fold_leaf, &check->frontier, err);
    if (status != TALLY_OK && status != TALLY_ECANCELED) {
        return status;
    }
    if (check->frontier.size < check->size) {
        return say(check, TALLY_VERDICT_TAMPERED, "a leaf that the checkpoint covers is missing");
    }
    tl_frontier_root(&check->frontier, root);
    *good_out = memcmp(root, check->root, sizeof(root)) == 0;
    return *good_out ? TALLY_OK
                     : say(check, TALLY_VERDICT_TAMPERED,
                           "the ledger's leaves have another root at this size");
}

static tally_status check_stamp(struct check *check, struct tally_error *err)
{
    struct tl_timestamp stamp = { 0 };
    TL_CLEANUP(tl_freep) char *pem = NULL;
    size_t pem_len = 0;
    struct tally_error why = TALLY_ERROR_INIT;
    TL_TRY(tl_anchor_authorities(check->ledger, &pem, &pem_len, err));
    const struct tl_str authorities = { .text = pem, .len = pem_len };
    tally_status status = tl_timestamp_read(&stamp, tl_buf_str(&check->token), authorities, &why);
    if (status == TALLY_ECORRUPT) {
        return say(check, TALLY_VERDICT_TAMPERED, why.message);
    }
    if (status != TALLY_OK) {
        return tl_fail_with(err, status, &why);
    }
    check->result.time_s = stamp.time_s;
    memcpy(check->result.authority, stamp.authority, sizeof(stamp.authority));
    if (memcmp(stamp.imprint, check->imprint, sizeof(stamp.imprint)) != 0) {
        return say(check, TALLY_VERDICT_TAMPERED, "the time stamp is of another checkpoint");
    }
    return pem == NULL ? say(check, TALLY_VERDICT_UNVERIFIABLE,
                             "who made the time stamp is not known: no 'anchor.tsa_ca_file'")
                       : say(check, TALLY_VERDICT_VERIFIED, "an authority vouches for the time");
}

static tally_status check_token(struct check *check, struct tally_error *err)
{
    uint8_t digest[32];
    struct tally_error why = TALLY_ERROR_INIT;
    tally_status status = tl_anchor_token(&check->ledger->paths, check->seq, &check->token, &why);
    if (status == TALLY_ENOTFOUND) {
        return say(check, TALLY_VERDICT_UNVERIFIABLE, "its token is not in the ledger's 'anchors'");
    }
    if (status != TALLY_OK) {
        return tl_fail_with(err, status, &why);
    }
    tl_sha256(digest, check->token.data, check->token.len);
    if (memcmp(digest, check->digest, sizeof(digest)) != 0) {
        return say(check, TALLY_VERDICT_TAMPERED, "the token is not the one that was recorded");
    }
    if (strcmp(check->kind, "rfc3161") == 0) {
        return check_stamp(check, err);
    }
    return say(check, TALLY_VERDICT_UNVERIFIABLE,
               "the token is the one recorded; look where it was taken whether it is there");
}

static tally_status check_record(struct check *check, struct tally_error *err)
{
    bool good = false;
    TL_TRY(tl_acts_each(check->store, find_record, check, err));
    if (!check->found) {
        return tl_fail(err, TALLY_ENOTFOUND, "record %llu is no anchor",
                       (unsigned long long)check->seq);
    }
    check->result.size = check->size;
    TL_TRY(check_root(check, &good, err));
    if (!good) {
        return TALLY_OK;
    }
    tally_status status =
        tl_store_scan_checkpoints(check->store, check->size, take_kept, check, err);
    if (status != TALLY_OK && status != TALLY_ECANCELED) {
        return status;
    }
    return check->kept
               ? check_token(check, err)
               : say(check, TALLY_VERDICT_UNVERIFIABLE, "the anchored checkpoint is not kept");
}

static tally_status take_key(void *ctx, const struct tl_leaf *leaf,
                             const struct tl_control *control)
{
    struct check *check = ctx;
    (void)leaf;
    if (control->has_log_key && check->log_key_count < TL_ARRAY_LEN(check->log_keys)) {
        check->log_keys[check->log_key_count++] = control->log_key;
    }
    return TALLY_OK;
}

/* The keys of the trust file, or of GENESIS, and those that came later. */
static tally_status read_keys(struct check *check, struct tally_error *err)
{
    TL_CLEANUP(tl_freep) struct tl_trust *trust = NULL;
    tally_status status = check->ledger->paths.memory
                              ? TALLY_ENOTFOUND
                              : tl_trust_read(&trust, check->ledger->paths.trust, NULL);
    if (status == TALLY_ENOMEM) {
        return tl_fail(err, status, "cannot allocate a trust file");
    }
    if (status != TALLY_OK) {
        TL_TRY(tl_trust_from_genesis(&trust, check->store, err));
    }
    for (uint32_t i = 0; i < trust->log_count; i++) {
        check->log_keys[check->log_key_count++] = trust->logs[i];
    }
    return tl_acts_each(check->store, take_key, check, err);
}

static tally_status check_note(struct check *check, struct tally_error *err)
{
    bool good = false;
    check->size = check->body.size;
    memcpy(check->root, check->body.root, sizeof(check->root));
    check->result.size = check->size;
    TL_TRY(read_keys(check, err));
    enum tl_note_verdict verdict = TL_NOTE_NO_LINE;
    for (size_t i = 0; i < check->log_key_count && verdict != TL_NOTE_GOOD; i++) {
        TL_TRY(tl_note_verify(&check->note, &check->log_keys[i], &verdict, NULL));
    }
    if (verdict != TL_NOTE_GOOD) {
        return say(check, TALLY_VERDICT_UNVERIFIABLE,
                   "no key of this ledger signed the checkpoint");
    }
    if (check->size == 0) {
        return say(check, TALLY_VERDICT_UNVERIFIABLE, "the checkpoint covers nothing");
    }
    TL_TRY(check_root(check, &good, err));
    return good ? say(check, TALLY_VERDICT_VERIFIED,
                      "it is of this ledger's past, whose leaves have not changed since")
                : TALLY_OK;
}

typedef tally_status check_fn(struct check *check, struct tally_error *err);

static tally_status run_check(struct check *check, check_fn *fn, struct tally_error *err)
{
    struct tl_reader reader;
    TL_TRY(tl_reader_get(check->ledger, &reader, err));
    tally_status status = tl_reader_begin(&reader, err);
    if (status == TALLY_OK) {
        check->store = reader.store;
        status = fn(check, err);
    }
    tl_reader_put(check->ledger, &reader);
    return status;
}

tally_status tally_anchor_check(struct tally_ledger *ledger, uint64_t seq,
                                struct tally_anchor_result *result_out, struct tally_error *err)
{
    TL_CLEANUP(tl_freep) struct check *check = tl_alloc_array(1, sizeof(*check));
    if (check == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a check");
    }
    check->ledger = ledger;
    check->seq = seq;
    tl_buf_init(&check->token, TL_ANCHOR_TOKEN_MAX);
    tally_status status = run_check(check, check_record, err);
    tl_buf_release(&check->token);
    if (status == TALLY_OK) {
        *result_out = check->result;
    }
    return status;
}

tally_status tally_anchor_compare(struct tally_ledger *ledger, const char *note, size_t note_len,
                                  struct tally_anchor_result *result_out, struct tally_error *err)
{
    TL_CLEANUP(tl_freep) struct check *check = tl_alloc_array(1, sizeof(*check));
    if (check == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a check");
    }
    check->ledger = ledger;
    tally_status status = TALLY_OK;
    if (tl_note_parse(&check->note, note, note_len, NULL) != TALLY_OK ||
        tl_checkpoint_parse(&check->body, check->note.body, NULL) != TALLY_OK) {
        status = say(check, TALLY_VERDICT_UNVERIFIABLE, "this is no checkpoint that can be read");
    } else {
        status = run_check(check, check_note, err);
    }
    if (status == TALLY_OK) {
        *result_out = check->result;
    }
    return status;
}
