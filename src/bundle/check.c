/*
 * What is wrong with a bundle that no leaf and no signature tells: files that should not be there,
 * openings that do not fit the leaves, tokens and proofs that do not fit the tree.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/io.h"
#include "base/parse.h"
#include "bundle/reader.h"
#include "crypto/crypto.h"
#include "evidence/control.h"
#include "evidence/tlogproof.h"

#define CONTROL_MAX ((size_t)8 << 20)
#define DEPTH_MAX   10u /* directories below tile/: x001/x234/067.p/12 */

struct check {
    struct tl_bundle *bundle;
    void (*fn)(void *ctx, const char *code, uint64_t seq, const char *what);
    void *ctx;
    struct tally_error *err;
    struct tl_arena arena;      /* of one control leaf */
    struct tl_tlogproof *proof; /* scratch */
    struct tl_note *note;       /* scratch */
    struct tl_control *control; /* scratch */
    struct tl_buf extra;
    char name[TL_BUNDLE_PATH_SIZE]; /* of the directory at hand, below the bundle */
    uint32_t depth;
    uint64_t lines;
};

static void TL_PRINTF(4, 5)
    say(struct check *check, const char *code, uint64_t seq, const char *fmt, ...)
{
    char what[160];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(what, sizeof(what), fmt, args);
    va_end(args);
    check->fn(check->ctx, code, seq, what);
}

/* ------------------------------------------------------------------------------------------- */

/* The tile at this place as the tree has it. False if it has none. */
static bool tile_of_tree(const struct check *check, struct tl_bundle_tile tile,
                         struct tl_bundle_tile *out)
{
    uint32_t level = tile.level == TL_BUNDLE_ENTRIES ? 0 : tile.level;
    *out = tile;
    out->width = TL_TILE_WIDTH;
    if (!tl_bundle_tile_fits(out, check->bundle->size)) {
        out->width = tl_tile_partial_width(check->bundle->size, level);
    }
    return tl_bundle_tile_fits(out, check->bundle->size);
}

/* A tile that was not full when it was written, by an earlier export to the same place: it must be
 * how the one that is there now begins. */
static tally_status check_older_tile(struct check *check, const char *name,
                                     const struct tl_bundle_tile *now, bool *same_out)
{
    char newer[TL_BUNDLE_NAME_SIZE];
    size_t len = 0;
    size_t newer_len = 0;
    TL_CLEANUP(tl_freep) char *older_bytes = NULL;
    TL_CLEANUP(tl_freep) char *newer_bytes = NULL;
    struct tl_bundle_tile older = { 0 };
    TL_TRY(tl_bundle_tile_parse(&older, name));
    tl_bundle_tile_name(newer, now);
    *same_out = false;
    TL_TRY(tl_bundle_read(check->bundle, name, TL_BUNDLE_ENTRIES_LEN_MAX, &older_bytes, &len,
                          check->err));
    TL_TRY(tl_bundle_read(check->bundle, newer, TL_BUNDLE_ENTRIES_LEN_MAX, &newer_bytes, &newer_len,
                          check->err));
    size_t wanted = (size_t)older.width * TL_HASH_LEN;
    if (older.level == TL_BUNDLE_ENTRIES) {
        TL_TRY(tl_bundle_load_entries(check->bundle, older.n, check->err));
        wanted = older.width < check->bundle->leaf_count ? check->bundle->leaf_at[older.width] : 0;
    }
    *same_out = len == wanted && newer_len >= len && memcmp(older_bytes, newer_bytes, len) == 0;
    return TALLY_OK;
}

/* A file below tile/, which may be none of this tree. */
static tally_status check_tile_name(struct check *check, const char *name)
{
    struct tl_bundle_tile tile = { 0 };
    struct tl_bundle_tile now = { 0 };
    bool entries = strncmp(name, "tile/entries/", 13) == 0;
    bool fits = tl_bundle_tile_parse(&tile, name) == TALLY_OK && tile_of_tree(check, tile, &now) &&
                tile.width > 0 && tile.width <= now.width;
    if (fits && tile.width < now.width) {
        tally_status status = check_older_tile(check, name, &now, &fits);
        if (status != TALLY_OK && status != TALLY_ENOTFOUND) {
            return status;
        }
        if (!fits) {
            say(check, "TILE_MISMATCH", TALLY_SEQ_NONE,
                "an older tile is not how the newer begins");
        }
    } else if (!fits) {
        say(check, entries ? "LEAF_EXTRA" : "TILE_MISMATCH", TALLY_SEQ_NONE,
            "a file below %s is none of this tree", entries ? "tile/entries" : "tile");
    }
    return TALLY_OK;
}

static tally_status check_tile_entry(void *ctx, const char *entry);

static tally_status check_tile_directory(struct check *check)
{
    char path[TL_BUNDLE_PATH_SIZE];
    TL_TRY(tl_bundle_path(path, check->bundle->dir, check->name, check->err));
    tally_status status = tl_io_each_entry(path, check_tile_entry, check, check->err);
    return status == TALLY_ENOTFOUND ? TALLY_OK : status;
}

static tally_status check_tile_entry(void *ctx, const char *entry)
{
    struct check *check = ctx;
    char path[TL_BUNDLE_PATH_SIZE];
    struct stat st;
    size_t len = strlen(check->name);
    int added = snprintf(check->name + len, sizeof(check->name) - len, "/%s", entry);
    if (added < 0 || (size_t)added >= sizeof(check->name) - len ||
        tl_bundle_path(path, check->bundle->dir, check->name, NULL) != TALLY_OK ||
        check->depth == DEPTH_MAX) {
        check->name[len] = '\0';
        say(check, "TILE_MISMATCH", TALLY_SEQ_NONE, "a path below tile is too long to be one");
        return TALLY_OK;
    }
    tally_status status = TALLY_OK;
    if (lstat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
        check->depth++;
        status = check_tile_directory(check);
        check->depth--;
    } else {
        status = check_tile_name(check, check->name);
    }
    check->name[len] = '\0';
    return status;
}

/* ------------------------------------------------------------------------------------------- */

static tally_status check_checkpoint_name(void *ctx, const char *name)
{
    struct check *check = ctx;
    uint64_t size = 0;
    if (tl_parse_u64(name, strlen(name), UINT64_MAX, &size) != TALLY_OK || size == 0) {
        say(check, "CHECKPOINT_MALFORMED", TALLY_SEQ_NONE,
            "a file in checkpoints/ is not named by a size");
    } else if (size > check->bundle->size) {
        say(check, "HEAD_MISMATCH", TALLY_SEQ_NONE,
            "there is a checkpoint of %" PRIu64 " leaves, the newest is of %" PRIu64, size,
            check->bundle->size);
    }
    return TALLY_OK;
}

/* The newest one lies there twice. */
static tally_status check_newest_twin(struct check *check)
{
    struct tl_bundle *bundle = check->bundle;
    char name[48];
    size_t len = 0;
    TL_CLEANUP(tl_freep) char *note = NULL;
    (void)snprintf(name, sizeof(name), "checkpoints/%" PRIu64, bundle->size);
    tally_status status = tl_bundle_read(bundle, name, TL_NOTE_LEN_MAX, &note, &len, check->err);
    if (status != TALLY_OK) {
        return status == TALLY_ENOTFOUND ? TALLY_OK : status;
    }
    if (len != bundle->note_len || memcmp(note, bundle->note, len) != 0) {
        say(check, "HEAD_MISMATCH", TALLY_SEQ_NONE,
            "two checkpoints of the newest size are not the same");
    }
    return TALLY_OK;
}

static tally_status check_checkpoints(struct check *check)
{
    struct tl_bundle *bundle = check->bundle;
    TL_TRY(tl_bundle_path(bundle->path, bundle->dir, "checkpoints", check->err));
    tally_status status = tl_io_each_entry(bundle->path, check_checkpoint_name, check, check->err);
    if (status != TALLY_OK && status != TALLY_ENOTFOUND) {
        return status;
    }
    return check_newest_twin(check);
}

/* ------------------------------------------------------------------------------------------- */

static void check_head(struct check *check)
{
    const struct tl_bundle *bundle = check->bundle;
    const struct tl_openings_head *head = &bundle->openings.head;
    struct tl_checkpoint_body body = { 0 };
    if (!bundle->openings.head_read) {
        say(check, "RECORD_MALFORMED", TALLY_SEQ_NONE,
            "the first line of the openings does not parse");
    } else if (head->size != bundle->size) {
        say(check, "RECORD_MALFORMED", TALLY_SEQ_NONE,
            "the openings are of %" PRIu64 " leaves, the newest checkpoint of %" PRIu64, head->size,
            bundle->size);
    } else if (bundle->note != NULL &&
               tl_note_parse(check->note, bundle->note, bundle->note_len, NULL) == TALLY_OK &&
               tl_checkpoint_parse(&body, check->note->body, NULL) == TALLY_OK &&
               !tl_str_equal(body.origin, head->origin)) {
        say(check, "RECORD_MALFORMED", TALLY_SEQ_NONE, "the openings are of another origin");
    }
}

/* The leaf in a line is the one under the tree. */
static tally_status check_line(struct check *check, const struct tl_opening *line)
{
    struct tl_bundle *bundle = check->bundle;
    uint32_t i = (uint32_t)(line->seq % TL_TILE_WIDTH);
    size_t len = 0;
    if (line->seq >= bundle->size) {
        say(check, "ROW_INSERTED", line->seq, "there is an opening without a leaf");
        return TALLY_OK;
    }
    TL_TRY(tl_bundle_load_entries(bundle, line->seq / TL_TILE_WIDTH, check->err));
    if (i >= bundle->leaf_count) {
        return TALLY_OK; /* the leaf is missing, which is a finding */
    }
    const uint8_t *leaf = tl_bundle_leaf(bundle, i, &len);
    if (len != line->leaf_len || memcmp(leaf, line->leaf, len) != 0) {
        say(check, "LEAF_MODIFIED", line->seq, "the opening carries another leaf than the tree");
    }
    return TALLY_OK;
}

static tally_status check_lines(struct check *check)
{
    struct tl_openings *openings = &check->bundle->openings;
    uint64_t next = 0; /* the least position that may come */
    tally_status status = tl_openings_rewind(openings, check->err);
    while (status == TALLY_OK || status == TALLY_ECORRUPT) {
        struct tally_error why = TALLY_ERROR_INIT;
        status = tl_openings_next(openings, &why);
        if (status == TALLY_ECORRUPT) {
            say(check, "RECORD_MALFORMED", TALLY_SEQ_NONE, "%s", why.message);
            check->lines++;
        } else if (status == TALLY_OK) {
            const struct tl_opening *line = openings->line;
            check->lines++;
            if (line->seq < next) {
                say(check, "RECORD_MALFORMED", line->seq, "the openings are out of order");
                continue;
            }
            next = line->seq + 1;
            TL_TRY(check_line(check, line));
        }
    }
    if (openings->torn) {
        say(check, "RECORD_MALFORMED", TALLY_SEQ_NONE,
            "the last line of the openings is cut short");
    }
    return status == TALLY_ENOTFOUND /* who looks for records next finds them from the start */
               ? tl_openings_rewind(openings, check->err)
               : tl_fail(check->err, status, "cannot read the openings");
}

static tally_status check_openings(struct check *check)
{
    struct tl_bundle *bundle = check->bundle;
    if (!bundle->has_openings) {
        return TALLY_OK;
    }
    check_head(check);
    TL_TRY(check_lines(check));
    const struct tl_openings_head *head = &bundle->openings.head;
    if (bundle->openings.head_read && head->count != check->lines) {
        say(check, "RECORD_MALFORMED", TALLY_SEQ_NONE,
            "the openings say that they have %" PRIu64 " lines, and have %" PRIu64, head->count,
            check->lines);
    } else if (bundle->openings.head_read && head->complete && head->count != head->size) {
        say(check, "RECORD_MALFORMED", TALLY_SEQ_NONE,
            "the openings say that they are complete, and are not");
    }
    return TALLY_OK;
}

/* ------------------------------------------------------------------------------------------- */

/* The token that an ANCHOR leaf tells of. */
static tally_status check_anchor(struct check *check, uint64_t seq, const uint8_t *leaf, size_t len)
{
    struct tl_bundle *bundle = check->bundle;
    char name[48];
    size_t token_len = 0;
    uint8_t digest[TL_SHA256_LEN];
    TL_CLEANUP(tl_freep) char *token = NULL;
    tl_arena_reset(&check->arena);
    tally_status status =
        tl_control_parse(check->control, &check->arena, TL_LEAF_ANCHOR,
                         (const char *)leaf + TL_LEAF_LEN, len - TL_LEAF_LEN, NULL);
    if (status != TALLY_OK) {
        return status == TALLY_ENOMEM ? tl_fail(check->err, status, "cannot read an anchor")
                                      : TALLY_OK; /* a finding already */
    }
    (void)snprintf(name, sizeof(name), "anchors/%" PRIu64, seq);
    status = tl_bundle_read(bundle, name, TL_BUNDLE_TOKEN_MAX, &token, &token_len, check->err);
    if (status == TALLY_ENOTFOUND) {
        say(check, "ANCHOR_MISSING", seq, "the token of this anchor is not there");
        return TALLY_OK;
    }
    TL_TRY(status);
    tl_sha256(digest, token, token_len);
    if (memcmp(digest, check->control->digest, sizeof(digest)) != 0) {
        say(check, "ANCHOR_INVALID", seq, "the token is not the one that the anchor names");
    }
    return TALLY_OK;
}

/* A token that no leaf tells of. */
static tally_status check_anchor_name(void *ctx, const char *name)
{
    struct check *check = ctx;
    struct tl_bundle *bundle = check->bundle;
    uint64_t seq = 0;
    bool known = false;
    if (tl_parse_u64(name, strlen(name), UINT64_MAX, &seq) == TALLY_OK && seq < bundle->size) {
        TL_TRY(tl_bundle_load_entries(bundle, seq / TL_TILE_WIDTH, check->err));
        uint32_t i = (uint32_t)(seq % TL_TILE_WIDTH);
        size_t len = 0;
        const uint8_t *leaf = i < bundle->leaf_count ? tl_bundle_leaf(bundle, i, &len) : NULL;
        known = leaf != NULL && len > TL_LEAF_LEN && leaf[4] == TL_LEAF_ANCHOR;
    }
    if (!known) {
        say(check, "ANCHOR_INVALID", TALLY_SEQ_NONE, "a file in anchors/ is of no anchor");
    }
    return TALLY_OK;
}

static tally_status check_anchor_names(struct check *check)
{
    char path[TL_BUNDLE_PATH_SIZE];
    TL_TRY(tl_bundle_path(path, check->bundle->dir, "anchors", check->err));
    tally_status status = tl_io_each_entry(path, check_anchor_name, check, check->err);
    return status == TALLY_ENOTFOUND ? TALLY_OK : status;
}

/* The tiles of entries hold leaves and nothing else; anchors have their tokens. */
static tally_status check_entries(struct check *check)
{
    struct tl_bundle *bundle = check->bundle;
    for (uint64_t first = 0; first < bundle->size; first += TL_TILE_WIDTH) {
        TL_TRY(tl_bundle_load_entries(bundle, first / TL_TILE_WIDTH, check->err));
        uint64_t left = bundle->size - first;
        uint32_t width = left < TL_TILE_WIDTH ? (uint32_t)left : TL_TILE_WIDTH;
        if (bundle->leaf_count == width && bundle->entries_end != bundle->entries_len) {
            say(check, "LEAF_EXTRA", first, "a tile of entries goes on after its leaves");
        }
        for (uint32_t i = 0; i < bundle->leaf_count; i++) {
            size_t len = 0;
            const uint8_t *leaf = tl_bundle_leaf(bundle, i, &len);
            if (len > TL_LEAF_LEN && leaf[4] == TL_LEAF_ANCHOR) {
                TL_TRY(check_anchor(check, first + i, leaf, len));
            }
        }
    }
    return TALLY_OK;
}

/* ------------------------------------------------------------------------------------------- */

/* What is wrong with a proof; no code if it holds. */
struct fault {
    const char *code;
    const char *what;
};

/* The checkpoint of a proof must be one of the bundle's, whose signatures are checked. */
static tally_status check_proof_note(struct check *check, struct tl_str note, uint64_t size,
                                     struct fault *fault)
{
    size_t len = 0;
    TL_CLEANUP(tl_freep) char *kept = NULL;
    tally_status status = tl_bundle_read_note(check->bundle, size, &kept, &len, check->err);
    if (status == TALLY_ENOTFOUND) {
        *fault = (struct fault){ "CHECKPOINT_MISSING", "the checkpoint of a proof is not kept" };
        return TALLY_OK;
    }
    if (status == TALLY_OK && !tl_str_equal((struct tl_str){ .text = kept, .len = len }, note)) {
        *fault = (struct fault){ "HEAD_MISMATCH", "a proof has another checkpoint of its size" };
    }
    return status;
}

static tally_status find_fault(struct check *check, uint64_t seq, struct tl_str text,
                               struct fault *fault)
{
    struct tl_tlogproof *proof = check->proof;
    struct tl_checkpoint_body body = { 0 };
    uint8_t hash[TL_HASH_LEN];
    tl_buf_clear(&check->extra);
    tally_status status = tl_tlogproof_parse(proof, &check->extra, text.text, text.len, NULL);
    if (status == TALLY_ENOMEM) {
        return tl_fail(check->err, status, "cannot allocate a proof");
    }
    if (status != TALLY_OK || proof->extra == NULL ||
        tl_note_parse(check->note, proof->note.text, proof->note.len, NULL) != TALLY_OK ||
        tl_checkpoint_parse(&body, check->note->body, NULL) != TALLY_OK) {
        *fault = (struct fault){ "RECORD_MALFORMED", "a proof does not parse" };
        return TALLY_OK;
    }
    tl_tree_hash_leaf(hash, proof->extra, proof->extra_len);
    if (proof->index != seq) {
        *fault = (struct fault){ "SEQ_MISMATCH", "a proof is of another position" };
    } else if (!tl_proof_inclusion_holds(&proof->proof, seq, body.size, hash, body.root)) {
        *fault = (struct fault){ "ROOT_MISMATCH", "a proof does not lead to its root" };
    }
    return fault->code == NULL ? check_proof_note(check, proof->note, body.size, fault) : TALLY_OK;
}

static tally_status check_proof(void *ctx, const char *name)
{
    static const char suffix[] = ".tlog-proof";
    struct check *check = ctx;
    size_t name_len = strlen(name);
    size_t digits = name_len < sizeof(suffix) ? 0 : name_len - (sizeof(suffix) - 1);
    uint64_t seq = TALLY_SEQ_NONE;
    char path[64];
    struct tl_str text = { 0 };
    struct fault fault = { "RECORD_MALFORMED", "a file in proofs/ is no proof" };
    TL_CLEANUP(tl_freep) char *bytes = NULL;
    if (digits > 0 && digits <= 20 && strcmp(name + digits, suffix) == 0 &&
        tl_parse_u64(name, digits, UINT64_MAX, &seq) == TALLY_OK) {
        (void)snprintf(path, sizeof(path), "proofs/%" PRIu64 "%s", seq, suffix);
        tally_status status = tl_bundle_read(check->bundle, path, TL_TLOGPROOF_LEN_MAX, &bytes,
                                             &text.len, check->err);
        text.text = bytes;
        if (status == TALLY_OK) {
            fault = (struct fault){ 0 };
            status = find_fault(check, seq, text, &fault);
        }
        if (status != TALLY_OK && status != TALLY_ENOTFOUND) {
            return status;
        }
    }
    if (fault.code != NULL) {
        say(check, fault.code, seq, "%s", fault.what);
    }
    return TALLY_OK;
}

static tally_status check_proofs(struct check *check)
{
    char path[TL_BUNDLE_PATH_SIZE];
    TL_TRY(tl_bundle_path(path, check->bundle->dir, "proofs", check->err));
    tally_status status = tl_io_each_entry(path, check_proof, check, check->err);
    return status == TALLY_ENOTFOUND ? TALLY_OK : status;
}

/* ------------------------------------------------------------------------------------------- */

static tally_status check_all(struct check *check)
{
    if (check->bundle->size == 0) {
        return TALLY_OK; /* without a checkpoint there is nothing that the rest could fit */
    }
    TL_TRY(check_checkpoints(check));
    (void)snprintf(check->name, sizeof(check->name), "tile");
    TL_TRY(check_tile_directory(check));
    TL_TRY(check_entries(check));
    TL_TRY(check_anchor_names(check));
    TL_TRY(check_openings(check));
    return check_proofs(check);
}

tally_status tl_bundle_self_check(struct tally_store *store,
                                  void (*fn)(void *ctx, const char *code, uint64_t seq,
                                             const char *what),
                                  void *ctx, struct tally_error *err)
{
    TL_CLEANUP(tl_freep) struct check *check = tl_alloc_array(1, sizeof(*check));
    TL_CLEANUP(tl_freep) struct tl_tlogproof *proof = tl_alloc_array(1, sizeof(*proof));
    TL_CLEANUP(tl_freep) struct tl_note *note = tl_alloc_array(1, sizeof(*note));
    TL_CLEANUP(tl_freep) struct tl_control *control = tl_alloc_array(1, sizeof(*control));
    if (check == NULL || proof == NULL || note == NULL || control == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a check");
    }
    check->bundle = tl_bundle_of(store);
    check->fn = fn;
    check->ctx = ctx;
    check->err = err;
    check->proof = proof;
    check->note = note;
    check->control = control;
    tl_arena_init(&check->arena, CONTROL_MAX);
    tl_buf_init(&check->extra, TL_TLOGPROOF_LEN_MAX);
    tally_status status = check_all(check);
    tl_arena_release(&check->arena);
    tl_buf_release(&check->extra);
    return status;
}
