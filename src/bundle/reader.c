#include "bundle/reader.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/io.h"
#include "base/parse.h"

#define EVENT_BYTES_MAX ((size_t)TL_OPENING_LEN_MAX + ((size_t)1 << 20))
#define OPENED_MAX      ((size_t)64 << 10)
#define SIZES_MAX       ((size_t)4 << 20)   /* checkpoints: 450 years of hours */
#define ABSENT_MAX      ((uint64_t)1 << 16) /* tiles of entries that a checkpoint may claim in vain */
#define DEPTH_MAX       10u                 /* directories below tile/: x001/x234/067.p/12 */

static bool has_mode(const char *dir, const char *name, mode_t mode)
{
    char path[TL_BUNDLE_PATH_SIZE];
    struct stat st;
    return tl_bundle_path(path, dir, name, NULL) == TALLY_OK && stat(path, &st) == 0 &&
           (st.st_mode & S_IFMT) == mode;
}

/* Whoever may write to a ledger may put an older bundle of it beside it, which must not be checked
 * in its place. */
static bool is_ledger(const char *dir)
{
    static const char *const parts[] = { "ledger.db", "ledger.lock", "keys", "tally.yaml" };
    bool is = false;
    for (size_t i = 0; i < TL_ARRAY_LEN(parts); i++) {
        char path[TL_BUNDLE_PATH_SIZE];
        struct stat st;
        is = is || (tl_bundle_path(path, dir, parts[i], NULL) == TALLY_OK && lstat(path, &st) == 0);
    }
    return is;
}

bool tl_bundle_is(const char *dir)
{
    if (is_ledger(dir)) {
        return false;
    }
    /* One whose checkpoint is gone is one all the same, and is to be told so. */
    return (has_mode(dir, "checkpoint", S_IFREG) && has_mode(dir, "tile", S_IFDIR)) ||
           has_mode(dir, "tile/entries", S_IFDIR);
}

tally_status tl_bundle_read(struct tl_bundle *bundle, const char *name, size_t len_max,
                            char **data_out, size_t *len_out, struct tally_error *err)
{
    struct tally_error why = TALLY_ERROR_INIT;
    TL_TRY(tl_bundle_path(bundle->path, bundle->dir, name, err));
    tally_status status = tl_io_read_file(bundle->path, len_max, data_out, len_out, &why);
    bool absent = status == TALLY_EINVAL || status == TALLY_ELIMIT || why.os_errno == ENOTDIR;
    if (status == TALLY_OK || status == TALLY_ENOTFOUND || absent) {
        return status == TALLY_OK ? TALLY_OK : TALLY_ENOTFOUND;
    }
    return tl_fail_with(err, status, &why);
}

tally_status tl_bundle_read_note(struct tl_bundle *bundle, uint64_t size, char **data_out,
                                 size_t *len_out, struct tally_error *err)
{
    char name[48];
    (void)snprintf(name, sizeof(name), "checkpoints/%llu", (unsigned long long)size);
    return tl_bundle_read(bundle, size == bundle->size ? "checkpoint" : name, TL_NOTE_LEN_MAX,
                          data_out, len_out, err);
}

/* Finds the leaves of the tile. What does not parse, and what follows it, is not there. */
static void split_entries(struct tl_bundle *bundle, uint32_t width)
{
    const uint8_t *bytes = (const uint8_t *)bundle->entries;
    size_t at = 0;
    bundle->leaf_count = 0;
    while (bundle->leaf_count < width && bundle->entries_len - at >= 2) {
        size_t len = tl_get_be16(bytes + at);
        if (bundle->entries_len - at - 2 < len) {
            break;
        }
        bundle->leaf_at[bundle->leaf_count++] = (uint32_t)at;
        at += 2 + len;
    }
    bundle->entries_end = (uint32_t)at;
}

static uint32_t width_at(const struct tl_bundle *bundle, uint64_t n)
{
    uint64_t left = bundle->size - n * TL_TILE_WIDTH;
    return left < TL_TILE_WIDTH ? (uint32_t)left : TL_TILE_WIDTH;
}

tally_status tl_bundle_load_entries(struct tl_bundle *bundle, uint64_t n, struct tally_error *err)
{
    if (bundle->has_entries && bundle->entries_n == n) {
        return TALLY_OK;
    }
    char name[TL_BUNDLE_NAME_SIZE];
    struct tl_bundle_tile tile = { .level = TL_BUNDLE_ENTRIES,
                                   .n = n,
                                   .width = width_at(bundle, n) };
    tl_bundle_tile_name(name, &tile);
    tl_free(bundle->entries);
    bundle->entries = NULL;
    bundle->entries_len = 0;
    bundle->has_entries = false;
    tally_status status = tl_bundle_read(bundle, name, TL_BUNDLE_ENTRIES_LEN_MAX, &bundle->entries,
                                         &bundle->entries_len, err);
    if (status != TALLY_OK && status != TALLY_ENOTFOUND) {
        return status;
    }
    split_entries(bundle, tile.width);
    bundle->has_entries = true;
    bundle->entries_n = n;
    return TALLY_OK;
}

const uint8_t *tl_bundle_leaf(const struct tl_bundle *bundle, uint32_t i, size_t *len_out)
{
    tl_assert(i < bundle->leaf_count);
    const uint8_t *at = (const uint8_t *)bundle->entries + bundle->leaf_at[i];
    *len_out = tl_get_be16(at);
    return at + 2;
}

/* The record of a leaf, with what the openings tell of it. What they tell may be nonsense: then
 * there is no event, and the verifier goes by the line. */
static tally_status make_record(struct tl_bundle *bundle, uint64_t seq, uint32_t i,
                                struct tally_record *out, struct tally_error *err)
{
    *out = (struct tally_record){ .seq = seq };
    out->leaf = tl_bundle_leaf(bundle, i, &out->leaf_len);
    TL_TRY(tl_openings_find(&bundle->openings, seq, &bundle->line, err));
    if (bundle->line == NULL || bundle->line->state != TL_OPENING_CONTENT) {
        return TALLY_OK;
    }
    tally_status status =
        tl_opening_join(&bundle->event, &bundle->opened, bundle->line, bundle->set);
    if (status == TALLY_ENOMEM) {
        return tl_fail(err, status, "cannot allocate a content");
    }
    out->opened = (const uint8_t *)bundle->opened.data;
    out->opened_len = bundle->opened.len;
    if (status == TALLY_OK) {
        out->event = bundle->event.data;
        out->event_len = bundle->event.len;
    }
    return TALLY_OK;
}

static tally_status bundle_scan(struct tally_store *store, uint64_t first, uint64_t end,
                                tally_record_fn *fn, void *ctx, struct tally_error *err)
{
    struct tl_bundle *bundle = tl_bundle_of(store);
    end = end < bundle->size ? end : bundle->size;
    for (uint64_t seq = first; seq < end;) {
        uint64_t n = seq / TL_TILE_WIDTH;
        uint32_t i = (uint32_t)(seq % TL_TILE_WIDTH);
        TL_TRY(tl_bundle_load_entries(bundle, n, err));
        for (; seq < end && i < bundle->leaf_count; seq++, i++) {
            struct tally_record record;
            TL_TRY(make_record(bundle, seq, i, &record, err));
            TL_TRY(fn(ctx, &record));
        }
        seq = (n + 1) * TL_TILE_WIDTH; /* the rest of it is not there */
    }
    bundle->line = NULL;
    return TALLY_OK;
}

static bool is_there(struct tl_bundle *bundle, const char *name)
{
    struct stat st;
    return tl_bundle_path(bundle->path, bundle->dir, name, NULL) == TALLY_OK &&
           lstat(bundle->path, &st) == 0 && S_ISREG(st.st_mode);
}

static tally_status read_tile(struct tl_bundle *bundle, const struct tl_bundle_tile *tile,
                              uint8_t *data_out, struct tally_error *err)
{
    char name[TL_BUNDLE_NAME_SIZE];
    size_t len = 0;
    TL_CLEANUP(tl_freep) char *data = NULL;
    if (!tl_bundle_tile_fits(tile, bundle->size)) {
        return TALLY_ENOTFOUND;
    }
    tl_bundle_tile_name(name, tile);
    tally_status status = tl_bundle_read(bundle, name, TL_TILE_LEN, &data, &len, err);
    if (status == TALLY_ENOTFOUND && is_there(bundle, name)) {
        status = TALLY_OK; /* too long to be one */
    }
    TL_TRY(status);
    /* A file of another length is no such tile. What is there is compared all the same. */
    memset(data_out, 0, (size_t)tile->width * TL_HASH_LEN);
    if (data != NULL && len == (size_t)tile->width * TL_HASH_LEN) {
        memcpy(data_out, data, len);
    }
    return TALLY_OK;
}

static tally_status bundle_tile(struct tally_store *store, uint32_t level, uint64_t n,
                                uint8_t *data_out, struct tally_error *err)
{
    struct tl_bundle_tile tile = { .level = level, .n = n, .width = TL_TILE_WIDTH };
    return read_tile(tl_bundle_of(store), &tile, data_out, err);
}

static tally_status bundle_scan_tiles(struct tally_store *store, tally_tile_fn *fn, void *ctx,
                                      struct tally_error *err)
{
    struct tl_bundle *bundle = tl_bundle_of(store);
    TL_CLEANUP(tl_freep) uint8_t *data = tl_alloc_array(TL_TILE_LEN, 1);
    if (data == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a tile");
    }
    for (uint32_t level = 0; level < TL_TILE_LEVELS; level++) {
        uint64_t full = bundle->size >> (8 * level) >> 8;
        for (uint64_t n = 0; n < full; n++) {
            tally_status status = bundle_tile(store, level, n, data, err);
            const struct tally_tile tile = { .level = level, .n = n, .data = data };
            if (status == TALLY_OK) {
                status = fn(ctx, &tile);
            }
            if (status != TALLY_OK && status != TALLY_ENOTFOUND) {
                return status;
            }
        }
    }
    return TALLY_OK;
}

static tally_status bundle_scan_checkpoints(struct tally_store *store, uint64_t first,
                                            tally_checkpoint_fn *fn, void *ctx,
                                            struct tally_error *err)
{
    struct tl_bundle *bundle = tl_bundle_of(store);
    for (size_t i = 0; i < bundle->size_count; i++) {
        struct tally_checkpoint checkpoint = { .size = bundle->sizes[i] };
        TL_CLEANUP(tl_freep) char *note = NULL;
        if (checkpoint.size < first || checkpoint.size > bundle->size) {
            continue; /* a larger one is a finding of self_check() */
        }
        tally_status status =
            tl_bundle_read_note(bundle, checkpoint.size, &note, &checkpoint.note_len, err);
        if (status == TALLY_ENOTFOUND) {
            note = tl_strdup(""); /* a directory of this name, say: a checkpoint that is none */
            status = note == NULL ? tl_fail(err, TALLY_ENOMEM, "cannot allocate a checkpoint")
                                  : TALLY_OK;
        }
        TL_TRY(status);
        checkpoint.note = note;
        TL_TRY(fn(ctx, &checkpoint));
    }
    return TALLY_OK;
}

static tally_status bundle_newest(struct tally_store *store, uint64_t *size_out,
                                  struct tally_error *err)
{
    (void)err;
    *size_out = tl_bundle_of(store)->size;
    return TALLY_OK;
}

/* There is no head beside the newest checkpoint. */
static tally_status bundle_head(struct tally_store *store, struct tally_head *head_out,
                                struct tally_error *err)
{
    (void)err;
    const struct tl_bundle *bundle = tl_bundle_of(store);
    *head_out = (struct tally_head){ .size = bundle->size };
    memcpy(head_out->root, bundle->root, sizeof(head_out->root));
    return TALLY_OK;
}

/* A scan for each: nobody asks a bundle often. */
struct id_search {
    const uint8_t (*ids)[TALLY_LEAF_ID_LEN];
    size_t count;
    uint64_t *seqs;
};

static tally_status match_id(void *ctx, const struct tally_record *record)
{
    struct id_search *search = ctx;
    for (size_t i = 0; i < search->count && record->leaf_len >= TALLY_LEAF_LEN; i++) {
        if (memcmp(record->leaf + TALLY_LEAF_ID_AT, search->ids[i], TALLY_LEAF_ID_LEN) == 0) {
            search->seqs[i] = record->seq;
        }
    }
    return TALLY_OK;
}

static tally_status bundle_find_ids(struct tally_store *store,
                                    const uint8_t (*ids)[TALLY_LEAF_ID_LEN], size_t count,
                                    uint64_t *seqs_out, struct tally_error *err)
{
    struct id_search search = { .ids = ids, .count = count, .seqs = seqs_out };
    for (size_t i = 0; i < count; i++) {
        seqs_out[i] = TALLY_SEQ_NONE;
    }
    return bundle_scan(store, 0, TALLY_SEQ_NONE, match_id, &search, err);
}

static tally_status bundle_append(struct tally_store *store, const struct tally_head *expected,
                                  const struct tally_batch *batch, struct tally_error *err)
{
    (void)store;
    (void)expected;
    (void)batch;
    return tl_fail(err, TALLY_ENOTSUP, "a bundle is only read");
}

/* A bundle does not change. */
static tally_status bundle_begin_read(struct tally_store *store, struct tally_error *err)
{
    (void)store;
    (void)err;
    return TALLY_OK;
}

static void bundle_end_read(struct tally_store *store)
{
    (void)store;
}

static void bundle_close(struct tally_store *store)
{
    struct tl_bundle *bundle = tl_bundle_of(store);
    tl_openings_close(&bundle->openings);
    tl_buf_release(&bundle->event);
    tl_buf_release(&bundle->opened);
    tl_free(bundle->set);
    tl_free(bundle->note);
    tl_free(bundle->sizes);
    tl_free(bundle->entries);
    tl_free(bundle);
}

static tally_status bundle_open_store(struct tally_store **store_out, const char *location,
                                      enum tally_store_mode mode, struct tally_error *err)
{
    return mode == TALLY_STORE_READ ? tl_bundle_open(store_out, location, err)
                                    : tl_fail(err, TALLY_ENOTSUP, "a bundle is only read");
}

static tally_status bundle_open_reader(struct tally_store *store, struct tally_store **reader_out,
                                       struct tally_error *err)
{
    return tl_bundle_open(reader_out, tl_bundle_of(store)->dir, err);
}

static const struct tally_store_ops bundle_ops = {
    .version = TALLY_STORE_VERSION,
    .scheme = "bundle",
    .open = bundle_open_store,
    .open_reader = bundle_open_reader,
    .begin_read = bundle_begin_read,
    .end_read = bundle_end_read,
    .head = bundle_head,
    .append = bundle_append,
    .find_ids = bundle_find_ids,
    .scan = bundle_scan,
    .scan_tiles = bundle_scan_tiles,
    .tile = bundle_tile,
    .scan_checkpoints = bundle_scan_checkpoints,
    .newest_checkpoint = bundle_newest,
    .self_check = tl_bundle_self_check,
    .close = bundle_close,
};

static tally_status read_newest(struct tl_bundle *bundle, struct tally_error *err)
{
    tally_status status = tl_bundle_read(bundle, "checkpoint", TL_NOTE_LEN_MAX, &bundle->note,
                                         &bundle->note_len, err);
    if (status == TALLY_ENOTFOUND) {
        return TALLY_OK; /* then there is none */
    }
    TL_TRY(status);
    TL_CLEANUP(tl_freep) struct tl_note *note = tl_alloc_array(1, sizeof(*note));
    struct tl_checkpoint_body body;
    if (note == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a checkpoint");
    }
    if (tl_note_parse(note, bundle->note, bundle->note_len, NULL) == TALLY_OK &&
        tl_checkpoint_parse(&body, note->body, NULL) == TALLY_OK) {
        bundle->size = body.size;
        memcpy(bundle->root, body.root, sizeof(bundle->root));
    }
    return TALLY_OK;
}

static tally_status add_size(void *ctx, const char *name)
{
    struct tl_bundle *bundle = ctx;
    uint64_t size = 0;
    if (tl_parse_u64(name, strlen(name), UINT64_MAX, &size) != TALLY_OK || size == bundle->size) {
        return TALLY_OK; /* not the name of one, which self_check() says; or known already */
    }
    if (bundle->size_count == SIZES_MAX) {
        return TALLY_ELIMIT;
    }
    if ((bundle->size_count & (bundle->size_count - 1)) == 0) { /* it grows at powers of two */
        uint64_t *sizes =
            tl_realloc_array(bundle->sizes, 2 * bundle->size_count, sizeof(*bundle->sizes));
        if (sizes == NULL) {
            return TALLY_ENOMEM;
        }
        bundle->sizes = sizes;
    }
    bundle->sizes[bundle->size_count++] = size;
    return TALLY_OK;
}

static int compare_sizes(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static tally_status read_sizes(struct tl_bundle *bundle, struct tally_error *err)
{
    bundle->sizes = tl_alloc_array(2, sizeof(*bundle->sizes));
    if (bundle->sizes == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate the list of checkpoints");
    }
    bundle->sizes[0] = bundle->size;
    bundle->size_count = 1;
    TL_TRY(tl_bundle_path(bundle->path, bundle->dir, "checkpoints", err));
    tally_status status = tl_io_each_entry(bundle->path, add_size, bundle, err);
    if (status != TALLY_OK && status != TALLY_ENOTFOUND) {
        return tl_fail(err, status, "cannot list the checkpoints");
    }
    qsort(bundle->sizes, bundle->size_count, sizeof(*bundle->sizes), compare_sizes);
    return TALLY_OK;
}

/* The files below a directory. */
struct census {
    char path[TL_BUNDLE_PATH_SIZE];
    uint32_t depth;
    uint64_t files;
};

static tally_status count_entry(void *ctx, const char *name)
{
    struct census *census = ctx;
    struct stat st;
    size_t len = strlen(census->path);
    size_t room = sizeof(census->path) - len;
    int added = snprintf(census->path + len, room, "/%s", name);
    bool fits = added > 0 && (size_t)added < room && census->depth < DEPTH_MAX;
    tally_status status = TALLY_OK;
    if (fits && lstat(census->path, &st) == 0 && S_ISDIR(st.st_mode)) {
        census->depth++;
        status = tl_io_each_entry(census->path, count_entry, census, NULL);
        census->depth--;
    } else {
        census->files++;
    }
    census->path[len] = '\0';
    return status;
}

/*
 * A checkpoint may claim any size, and a verifier would look for every leaf. Leaves that were cut off
 * are worth naming; looking for billions that never were is not. What else lies among the tiles is
 * counted too: it only has to be a bound.
 */
static tally_status check_size(struct tl_bundle *bundle, struct tally_error *err)
{
    uint64_t tiles = bundle->size / TL_TILE_WIDTH;
    if (tiles <= ABSENT_MAX) {
        return TALLY_OK;
    }
    TL_CLEANUP(tl_freep) struct census *census = tl_alloc_array(1, sizeof(*census));
    if (census == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a bundle");
    }
    TL_TRY(tl_bundle_path(census->path, bundle->dir, "tile/entries", err));
    tally_status status = tl_io_each_entry(census->path, count_entry, census, NULL);
    if (status != TALLY_OK && status != TALLY_ENOTFOUND) {
        return tl_fail(err, status, "cannot list the entries");
    }
    if (tiles - ABSENT_MAX > census->files) {
        return tl_fail(err, TALLY_ELIMIT,
                       "the checkpoint is of %llu leaves, and too many of them are not there",
                       (unsigned long long)bundle->size);
    }
    return TALLY_OK;
}

static tally_status open_parts(struct tl_bundle *bundle, struct tally_error *err)
{
    TL_TRY(read_newest(bundle, err));
    TL_TRY(check_size(bundle, err));
    TL_TRY(read_sizes(bundle, err));
    TL_TRY(tl_bundle_path(bundle->path, bundle->dir, "openings.ndjson", err));
    tally_status status = tl_openings_open(&bundle->openings, bundle->path, err);
    bundle->has_openings = status == TALLY_OK;
    return status == TALLY_ENOTFOUND ? TALLY_OK : status;
}

tally_status tl_bundle_open(struct tally_store **store_out, const char *dir,
                            struct tally_error *err)
{
    struct tl_bundle *bundle = tl_alloc_array(1, sizeof(*bundle));
    if (bundle == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a bundle");
    }
    bundle->base.ops = &bundle_ops;
    tl_buf_init(&bundle->event, EVENT_BYTES_MAX);
    tl_buf_init(&bundle->opened, OPENED_MAX);
    bundle->openings.fd = -1;
    bundle->set = tl_alloc_array(1, sizeof(*bundle->set));
    size_t len = strlen(dir);
    tally_status status = TALLY_OK;
    if (bundle->set == NULL) {
        status = tl_fail(err, TALLY_ENOMEM, "cannot allocate a bundle");
    } else if (len >= sizeof(bundle->dir)) {
        status = tl_fail(err, TALLY_EINVAL, "the path of the bundle is too long");
    } else {
        memcpy(bundle->dir, dir, len);
        status = open_parts(bundle, err);
    }
    if (status != TALLY_OK) {
        bundle_close(&bundle->base);
        return status;
    }
    *store_out = &bundle->base;
    return TALLY_OK;
}

static enum tl_handed say_absent(void *ctx)
{
    const struct tl_bundle *bundle = ctx;
    if (bundle->line == NULL) {
        bool partial = !bundle->has_openings ||
                       (bundle->openings.head_read && !bundle->openings.head.complete);
        return partial ? TL_HANDED_WITHHELD : TL_HANDED_SILENT;
    }
    switch (bundle->line->state) {
    case TL_OPENING_WITHHELD:
        return TL_HANDED_WITHHELD;
    case TL_OPENING_PURGED:
        return TL_HANDED_PURGED;
    case TL_OPENING_ERASED:
        return TL_HANDED_ERASED;
    case TL_OPENING_EVICTED:
        return TL_HANDED_EVICTED;
    case TL_OPENING_CONTROL:
    case TL_OPENING_CONTENT:
        break;
    }
    return TL_HANDED_SILENT;
}

static const struct tl_opening *line_at_hand(void *ctx)
{
    const struct tl_bundle *bundle = ctx;
    bool content = bundle->line != NULL && bundle->line->state == TL_OPENING_CONTENT;
    return content ? bundle->line : NULL;
}

static bool is_member_withheld(void *ctx, struct tl_str pointer)
{
    const struct tl_bundle *bundle = ctx;
    for (uint32_t i = 0; bundle->line != NULL && i < bundle->line->count; i++) {
        if (tl_str_equal(bundle->line->members[i].pointer, pointer)) {
            return bundle->line->members[i].withheld;
        }
    }
    return false;
}

static tally_status read_token(void *ctx, uint64_t seq, struct tl_buf *out, struct tally_error *err)
{
    char name[48];
    size_t len = 0;
    TL_CLEANUP(tl_freep) char *token = NULL;
    (void)snprintf(name, sizeof(name), "anchors/%llu", (unsigned long long)seq);
    TL_TRY(tl_bundle_read(ctx, name, TL_BUNDLE_TOKEN_MAX, &token, &len, err));
    tl_buf_add(out, token, len);
    return tl_buf_status(out) == TALLY_OK
               ? TALLY_OK
               : tl_fail(err, tl_buf_status(out), "cannot hold the token of an anchor");
}

static tally_status partial_tile(void *ctx, uint32_t level, uint64_t n, uint32_t width,
                                 uint8_t *data_out, struct tally_error *err)
{
    struct tl_bundle_tile tile = { .level = level, .n = n, .width = width };
    return read_tile(ctx, &tile, data_out, err);
}

struct tl_handover tl_bundle_handover(struct tally_store *store)
{
    struct tl_bundle *bundle = tl_bundle_of(store);
    return (struct tl_handover){ .ctx = bundle,
                                 .is_malformed = bundle->note != NULL && bundle->size == 0,
                                 .line = line_at_hand,
                                 .absent = say_absent,
                                 .is_member_withheld = is_member_withheld,
                                 .token = read_token,
                                 .partial_tile = partial_tile };
}
