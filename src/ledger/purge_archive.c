/*
 * Writes what is about to be purged to an archive, and believes in it only when every line was read back
 * and opens the leaf that is in the store.
 */
#include "ledger/purge_archive.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/io.h"
#include "codec/base64.h"
#include "codec/json.h"
#include "codec/time.h"
#include "evidence/note.h"
#include "evidence/opening.h"
#include "ledger/nodes.h"
#include "ledger/purge.h"

#define PROOFS_FORMAT "tallystick/v1 proofs"

/* The positions of POLICY leaves: what could be erased of a record depends on the one before it. */
struct policies {
    uint64_t *seqs; /* owned; the first is that of GENESIS, 0 */
    size_t count;
    size_t capacity;
    size_t at; /* the next one to come into force */
    struct tl_arena arena;
    const struct tl_erasable_set *set; /* in force; in the arena */
};

/* Making one archive. Large: allocate. */
struct archive {
    const struct tl_purge_plan *plan;
    struct tally_ledger *ledger;
    struct tl_reader reader;
    struct policies policies;
    struct tl_buf note; /* of the newest checkpoint */
    struct tl_checkpoint_body body;
    struct tl_nodes nodes;
    struct tl_opening opening;
    struct tl_split split;
    struct tl_buf rest;
    struct tl_buf line;
    struct tl_buf leaf;
    struct tl_arena arena;
    struct tl_commit_part parts[TL_ERASABLE_MAX];
    struct tl_archive_writer writer;
    struct tl_archive_reader back;
    struct tally_error *err;
};

static tally_status add_policy(struct policies *policies, uint64_t seq)
{
    if (policies->count == policies->capacity) {
        size_t capacity = policies->capacity == 0 ? 8 : 2 * policies->capacity;
        uint64_t *seqs = tl_realloc_array(policies->seqs, capacity, sizeof(*seqs));
        if (seqs == NULL) {
            return TALLY_ENOMEM;
        }
        policies->seqs = seqs;
        policies->capacity = capacity;
    }
    policies->seqs[policies->count++] = seq;
    return TALLY_OK;
}

static tally_status note_policy(void *ctx, const struct tl_leaf *leaf,
                                const struct tl_control *control)
{
    (void)control;
    return leaf->kind == TL_LEAF_POLICY ? add_policy(ctx, leaf->seq) : TALLY_OK;
}

static tally_status copy_leaf(void *ctx, const struct tally_record *record)
{
    struct tl_buf *leaf = ctx;
    tl_buf_add(leaf, record->leaf, record->leaf_len);
    return tl_buf_status(leaf);
}

static tally_status read_leaf(struct archive *archive, uint64_t seq)
{
    tl_buf_clear(&archive->leaf);
    TL_TRY(tl_store_scan(archive->reader.store, seq, seq + 1, copy_leaf, &archive->leaf,
                         archive->err));
    return archive->leaf.len >= TL_LEAF_LEN
               ? TALLY_OK
               : tl_fail(archive->err, TALLY_ECORRUPT, "record %llu is missing; run 'tally verify'",
                         (unsigned long long)seq);
}

/* Puts the policy in force that a record at `seq` was sealed under. */
static tally_status reach_policy(struct archive *archive, uint64_t seq)
{
    struct policies *policies = &archive->policies;
    bool moved = false;
    while (policies->at < policies->count && policies->seqs[policies->at] < seq) {
        policies->at++;
        moved = true;
    }
    if (!moved) {
        return TALLY_OK;
    }
    uint64_t from = policies->seqs[policies->at - 1];
    struct tl_control control;
    TL_TRY(read_leaf(archive, from));
    tl_arena_reset(&policies->arena);
    TL_TRY(tl_control_parse(
        &control, &policies->arena, from == 0 ? TL_LEAF_GENESIS : TL_LEAF_POLICY,
        archive->leaf.data + TL_LEAF_LEN, archive->leaf.len - TL_LEAF_LEN, archive->err));
    policies->set = control.policy.erasable;
    return TALLY_OK;
}

/* The newest checkpoint covers all that the plan knows, as the plan is older. */
static tally_status read_checkpoint(struct archive *archive)
{
    struct tally_store *store = archive->reader.store;
    TL_TRY(tl_reader_begin(&archive->reader, archive->err));
    tally_status status = tl_store_newest_note(store, &archive->note, archive->err);
    tl_store_end_read(store);
    archive->reader.in_snapshot = false;
    TL_TRY(status);
    TL_CLEANUP(tl_freep) struct tl_note *note = tl_alloc_array(1, sizeof(*note));
    if (note == NULL) {
        return tl_fail(archive->err, TALLY_ENOMEM, "out of memory");
    }
    TL_TRY(tl_note_parse(note, archive->note.data, archive->note.len, archive->err));
    TL_TRY(tl_checkpoint_parse(&archive->body, note->body, archive->err));
    archive->nodes.store = store;
    archive->nodes.size = archive->body.size;
    archive->nodes.err = archive->err;
    return archive->body.size >= archive->plan->go.size
               ? TALLY_OK
               : tl_fail(archive->err, TALLY_ECORRUPT,
                         "the newest checkpoint is older than the records; run 'tally verify'");
}

static tally_status write_line(struct archive *archive)
{
    tl_buf_add_char(&archive->line, '\n');
    if (tl_buf_status(&archive->line) != TALLY_OK) {
        return tl_fail(archive->err, tl_buf_status(&archive->line), "a record is too long");
    }
    return tl_archive_add(&archive->writer, archive->line.data, archive->line.len, archive->err);
}

static tally_status write_opening(void *ctx, const struct tally_record *record)
{
    struct archive *archive = ctx;
    archive->opening = (struct tl_opening){ .seq = record->seq,
                                            .leaf = record->leaf,
                                            .leaf_len = record->leaf_len,
                                            .state = TL_OPENING_CONTENT };
    const struct tl_opening_source source = {
        .event = { .text = record->event, .len = record->event_len },
        .seed = record->seed_len == TL_SEED_LEN ? record->seed : NULL,
        .opened = record->opened,
        .opened_len = record->opened_len,
        .set = archive->policies.set,
    };
    if (record->event == NULL || (source.seed == NULL) == (source.opened == NULL) ||
        tl_opening_fill(&archive->opening, &source, NULL, &archive->split, &archive->rest,
                        archive->err) != TALLY_OK) {
        return tl_fail(archive->err, TALLY_ECORRUPT,
                       "record %llu cannot be opened; run 'tally verify'",
                       (unsigned long long)record->seq);
    }
    tl_buf_clear(&archive->line);
    tl_opening_format(&archive->line, &archive->opening);
    return write_line(archive);
}

static tally_status write_openings(struct archive *archive)
{
    const struct tl_openings_head head = { .count = archive->plan->go_count,
                                           .origin = archive->body.origin,
                                           .size = archive->body.size };
    tl_buf_clear(&archive->line);
    tl_openings_head_format(&archive->line, &head);
    TL_TRY(write_line(archive));
    struct tl_range range = { 0 };
    for (uint64_t at = 0; tl_bits_next(&archive->plan->go, at, &range); at = range.last + 1) {
        for (uint64_t seq = range.first; seq <= range.last; seq++) {
            TL_TRY(reach_policy(archive, seq));
            tally_status status = tl_store_scan(archive->reader.store, seq, seq + 1, write_opening,
                                                archive, archive->err);
            if (status != TALLY_OK) {
                return tl_fail(archive->err, status, "cannot archive record %llu",
                               (unsigned long long)seq);
            }
        }
    }
    return TALLY_OK;
}

static void format_proofs_head(struct archive *archive)
{
    tl_buf_clear(&archive->line);
    tl_buf_add_text(&archive->line, "{\"checkpoint\":");
    tl_json_write_string(&archive->line, tl_buf_str(&archive->note));
    tl_buf_addf(&archive->line, ",\"count\":%llu,\"format\":\"" PROOFS_FORMAT "\",\"size\":%llu}",
                (unsigned long long)archive->plan->go_count,
                (unsigned long long)archive->body.size);
}

/* Puts the proof of one leaf into archive->line. It is computed anew when it is read back: then the
 * line must be the same, and the proof must hold. */
static tally_status format_proof(struct archive *archive, uint64_t seq, struct tl_proof *proof)
{
    TL_TRY(tl_proof_inclusion(proof, seq, archive->body.size, tl_nodes_get, &archive->nodes));
    tl_buf_clear(&archive->line);
    tl_buf_add_text(&archive->line, "{\"proof\":[");
    for (uint32_t i = 0; i < proof->count; i++) {
        tl_buf_add_text(&archive->line, i == 0 ? "\"" : ",\"");
        tl_base64_encode(&archive->line, proof->hashes[i], sizeof(proof->hashes[i]));
        tl_buf_add_char(&archive->line, '"');
    }
    tl_buf_addf(&archive->line, "],\"seq\":%llu}", (unsigned long long)seq);
    return tl_buf_status(&archive->line);
}

static tally_status write_proofs(struct archive *archive)
{
    struct tl_proof proof;
    struct tl_range range = { 0 };
    format_proofs_head(archive);
    TL_TRY(write_line(archive));
    for (uint64_t at = 0; tl_bits_next(&archive->plan->go, at, &range); at = range.last + 1) {
        for (uint64_t seq = range.first; seq <= range.last; seq++) {
            TL_TRY(format_proof(archive, seq, &proof));
            TL_TRY(write_line(archive));
        }
    }
    return TALLY_OK;
}

static tally_status differs(struct archive *archive, uint64_t seq)
{
    return tl_fail(archive->err, TALLY_ECORRUPT,
                   "the archive does not give back record %llu; nothing was removed",
                   (unsigned long long)seq);
}

/* Whether the line that was read opens the leaf that is in the store. */
static tally_status check_opening(struct archive *archive, uint64_t seq, struct tl_str line)
{
    struct tl_opening *opening = &archive->opening;
    tl_arena_reset(&archive->arena);
    TL_TRY(tl_opening_parse(opening, &archive->arena, line, archive->err));
    TL_TRY(read_leaf(archive, seq));
    if (opening->seq != seq || opening->state != TL_OPENING_CONTENT ||
        opening->leaf_len != archive->leaf.len ||
        memcmp(opening->leaf, archive->leaf.data, archive->leaf.len) != 0) {
        return differs(archive, seq);
    }
    for (uint32_t i = 0; i < opening->count; i++) {
        const struct tl_opening_member *member = &opening->members[i];
        archive->parts[i].pointer = member->pointer;
        if (member->gone) {
            memcpy(archive->parts[i].digest, member->part, sizeof(archive->parts[i].digest));
        } else {
            tl_member_digest(archive->parts[i].digest, member->part, member->pointer,
                             member->value);
        }
    }
    struct tl_leaf leaf;
    uint8_t commit[TL_COMMIT_LEN];
    TL_TRY(tl_leaf_decode(&leaf, opening->leaf, opening->leaf_len, archive->err));
    tl_commit_parts(commit, opening->salt0, opening->rest, archive->parts, opening->count);
    return memcmp(commit, leaf.commit, sizeof(commit)) == 0 ? TALLY_OK : differs(archive, seq);
}

static tally_status check_proof(struct archive *archive, uint64_t seq, struct tl_str line)
{
    struct tl_proof proof;
    uint8_t hash[TL_HASH_LEN];
    TL_TRY(format_proof(archive, seq, &proof));
    TL_TRY(read_leaf(archive, seq));
    tl_tree_hash_leaf(hash, (const uint8_t *)archive->leaf.data, archive->leaf.len);
    return tl_str_equal(line, tl_buf_str(&archive->line)) &&
                   tl_proof_inclusion_holds(&proof, seq, archive->body.size, hash,
                                            archive->body.root)
               ? TALLY_OK
               : differs(archive, seq);
}

typedef tally_status check_fn(struct archive *archive, uint64_t seq, struct tl_str line);

static tally_status check_lines(struct archive *archive, check_fn *fn)
{
    struct tl_range range = { 0 };
    for (uint64_t at = 0; tl_bits_next(&archive->plan->go, at, &range); at = range.last + 1) {
        for (uint64_t seq = range.first; seq <= range.last; seq++) {
            struct tl_str line;
            tally_status status = tl_archive_line(&archive->back, &line, archive->err);
            TL_TRY(status == TALLY_ENOTFOUND ? differs(archive, seq) : status);
            TL_TRY(fn(archive, seq, line));
        }
    }
    return TALLY_OK;
}

static tally_status check_all(struct archive *archive)
{
    struct tl_str line;
    struct tl_openings_head head;
    TL_TRY(tl_archive_line(&archive->back, &line, archive->err));
    tl_arena_reset(&archive->arena);
    TL_TRY(tl_openings_head_parse(&head, &archive->arena, line, archive->err));
    if (head.complete || head.count != archive->plan->go_count || head.size != archive->body.size ||
        !tl_str_equal(head.origin, archive->body.origin)) {
        return tl_fail(archive->err, TALLY_ECORRUPT, "the head of the archive is another one");
    }
    TL_TRY(check_lines(archive, check_opening));
    TL_TRY(tl_archive_line(&archive->back, &line, archive->err));
    format_proofs_head(archive);
    if (!tl_str_equal(line, tl_buf_str(&archive->line))) {
        return tl_fail(archive->err, TALLY_ECORRUPT,
                       "the checkpoint in the archive is another one");
    }
    TL_TRY(check_lines(archive, check_proof));
    return tl_archive_line(&archive->back, &line, archive->err) == TALLY_ENOTFOUND
               ? TALLY_OK
               : tl_fail(archive->err, TALLY_ECORRUPT, "the archive does not end where it should");
}

/* "purge-<first>-<last>-<time>.ndjson.zst": the records and when. */
static tally_status make_name(char *path, const char *dir, const struct tl_purge_plan *plan,
                              struct tally_error *err)
{
    struct tl_range range = { 0 };
    uint64_t first = UINT64_MAX;
    for (uint64_t at = 0; tl_bits_next(&plan->go, at, &range); at = range.last + 1) {
        first = first == UINT64_MAX ? range.first : first;
    }
    char time[TL_TIME_SIZE];
    char plain[TL_TIME_SIZE] = "";
    char name[128];
    size_t len = 0;
    (void)tl_time_format_fixed(time, tl_clock->wall_us());
    for (size_t i = 0; time[i] != '\0'; i++) {
        if (time[i] != '-' && time[i] != ':' && time[i] != '.') {
            plain[len++] = time[i];
        }
    }
    (void)snprintf(name, sizeof(name), "purge-%llu-%llu-%s.ndjson.zst", (unsigned long long)first,
                   (unsigned long long)range.last, plain);
    return tl_path_join(path, dir, name, err);
}

static tally_status write_file(struct archive *archive, const char *path)
{
    TL_TRY(tl_archive_create(&archive->writer, path, archive->err));
    TL_TRY(write_openings(archive));
    TL_TRY(write_proofs(archive));
    return tl_archive_end(&archive->writer, archive->err);
}

static tally_status make(struct archive *archive, const char *dir, char *path)
{
    char beside[TL_PATH_SIZE];
    struct tally_error *err = archive->err;
    TL_TRY(make_name(path, dir, archive->plan, err));
    if (snprintf(beside, sizeof(beside), "%s.tmp", path) >= (int)sizeof(beside)) {
        return tl_fail(err, TALLY_EINVAL, "the path of the archive is too long");
    }
    TL_TRY(tl_reader_get(archive->ledger, &archive->reader, err));
    TL_TRY(read_checkpoint(archive));
    TL_TRY(add_policy(&archive->policies, 0));
    TL_TRY(tl_acts_each(archive->reader.store, note_policy, &archive->policies, err));
    TL_TRY(tl_io_make_directory(dir, 0700, err));
    tally_status status = write_file(archive, beside);
    tl_archive_writer_close(&archive->writer);
    if (status == TALLY_OK && tl_io->rename(beside, path) != 0) {
        status = tl_fail(err, TALLY_EIO, "cannot rename the archive to '%s'", path);
    }
    if (status != TALLY_OK) {
        (void)tl_io->unlink(beside); /* what stays behind is no archive, by its name */
        return status;
    }
    status = tl_io_sync_directory_of(path, err);
    if (status == TALLY_OK) {
        status = tl_archive_open(&archive->back, path, err);
    }
    if (status == TALLY_OK) {
        status = check_all(archive);
    }
    if (status != TALLY_OK) {
        (void)tl_io->unlink(path); /* nothing was removed, so that it holds nothing of value */
    }
    return status;
}

static void release(struct archive *archive)
{
    tl_archive_reader_close(&archive->back);
    tl_archive_writer_close(&archive->writer);
    tl_reader_put(archive->ledger, &archive->reader);
    tl_free(archive->policies.seqs);
    tl_arena_release(&archive->policies.arena);
    tl_arena_release(&archive->arena);
    tl_buf_release(&archive->note);
    tl_buf_release(&archive->rest);
    tl_buf_release(&archive->line);
    tl_buf_release(&archive->leaf);
    tl_free(archive);
}

tally_status tl_purge_archive(char *path_out, struct tally_ledger *ledger, const char *dir,
                              const struct tl_purge_plan *plan, struct tally_error *err)
{
    struct archive *archive = tl_alloc_array(1, sizeof(*archive));
    if (archive == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate an archive");
    }
    archive->plan = plan;
    archive->ledger = ledger;
    archive->err = err;
    archive->writer.fd = -1;
    archive->back.fd = -1;
    tl_arena_init(&archive->policies.arena, (size_t)16 << 20);
    tl_arena_init(&archive->arena, 2 * TL_OPENING_LEN_MAX);
    tl_buf_init(&archive->note, TL_NOTE_LEN_MAX);
    tl_buf_init(&archive->rest, TL_OPENING_LEN_MAX);
    tl_buf_init(&archive->line, TL_OPENING_LEN_MAX);
    tl_buf_init(&archive->leaf, TL_LEAF_LEN + TL_LEAF_PAYLOAD_MAX);
    tally_status status = make(archive, dir, path_out);
    release(archive);
    if (status != TALLY_OK) {
        path_out[0] = '\0';
    }
    return status == TALLY_OK ? status
                              : tl_fail(err, status, "cannot archive what is to be purged");
}
