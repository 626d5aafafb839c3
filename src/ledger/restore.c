/* tally_restore(): a ledger from a backup, which goes on as a new incarnation with new keys. */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"
#include "codec/json.h"
#include "ledger/backup_parts.h"
#include "ledger/ledger.h"
#include "ledger/reapply.h"
#include "ledger/remove.h"
#include "ledger/trust.h"
#include "store/store_copy.h"

#define SUFFIX ".restoring"
#define MARK   ".mark" /* of a file beside that directory: it is ours, whatever is in it */

/* What the copy tells of the ledger that it was made from. */
struct past {
    char origin[TL_ORIGIN_LEN_MAX + 1];
    uint64_t size;
    uint8_t root[TALLY_HASH_LEN];
    uint32_t incarnation;
    int64_t newest_us;
    int64_t start_us;
    uint32_t epoch_seconds;
};

/* One run. Large: allocate. */
struct restore {
    struct tl_backup_paths from;
    struct tl_manifest manifest;
    struct tl_paths to;    /* where the ledger will be */
    struct tl_paths stage; /* where it is made */
    char mark[TL_PATH_SIZE + sizeof(MARK)];
    struct tl_config config;
    struct tl_trust *trust;
    struct past past;
    uint64_t lost_size;
    uint8_t lost_root[TALLY_HASH_LEN];
    bool has_lost_root;
    struct tl_reapply reapply; /* if there is a bundle */
    const struct tally_restore_options *options;
    const struct tally_actor *actor;
    int lock;
    struct tally_restored result;
};

static void restore_freep(struct restore **restore)
{
    struct restore *it = *restore;
    if (it != NULL) {
        tl_config_release(&it->config);
        tl_free(it->trust);
        tl_io_closep(&it->lock);
        tl_reapply_release(&it->reapply);
        explicit_bzero(&it->result, sizeof(it->result));
        tl_free(it);
        *restore = NULL;
    }
}

static bool has_parent_step(struct tl_str path)
{
    for (size_t i = 0; i + 1 < path.len; i++) {
        bool at_start = i == 0 || path.text[i - 1] == '/';
        bool at_end = i + 2 == path.len || path.text[i + 2] == '/';
        if (at_start && at_end && path.text[i] == '.' && path.text[i + 1] == '.') {
            return true;
        }
    }
    return false;
}

/* All of the ledger must lie in its directory, so that it appears at once. */
static tally_status check_places(const struct restore *restore, struct tally_error *err)
{
    const struct tl_str keys = restore->config.keys_dir;
    const struct tl_str store = restore->config.store;
    bool keys_outside = keys.len > 0 && (keys.text[0] == '/' || has_parent_step(keys));
    bool store_outside = store.len > 0 && memchr(store.text, ':', store.len) != NULL;
    if (keys_outside || store_outside) {
        return tl_fail(err, TALLY_EINVAL,
                       "'%s' in '%s' is outside of the ledger's directory: take that line out, "
                       "restore, and move it afterwards",
                       keys_outside ? "keys.dir" : "store", restore->from.config);
    }
    return TALLY_OK;
}

static tally_status read_config(struct restore *restore, struct tally_error *err)
{
    TL_CLEANUP(tl_freep) char *text = NULL;
    size_t len = 0;
    tally_status status =
        tl_io_read_file(restore->from.config, TL_CONFIG_BYTES_MAX, &text, &len, err);
    if (status != TALLY_OK && status != TALLY_ENOTFOUND) {
        return status;
    }
    if (status == TALLY_ENOTFOUND && err != NULL) {
        *err = (struct tally_error)TALLY_ERROR_INIT; /* there need not be one */
    }
    TL_TRY(tl_config_read(&restore->config, restore->from.config,
                          (struct tl_str){ .text = text, .len = len }, NULL, 0, err));
    return check_places(restore, err);
}

/* A ledger whose keys are lost is as good as a backup, if nobody uses it. */
static tally_status take_ledger(struct restore *restore, struct tally_error *err)
{
    struct tl_backup_paths *from = &restore->from;
    if (tl_io->access(from->store, F_OK) != 0) {
        return tl_fail(err, TALLY_ENOTFOUND, "there is no backup in '%s'", from->dir);
    }
    restore->manifest = (struct tl_manifest){ .complete = true };
    TL_TRY(tl_path_join(from->trust, from->dir, "keys/trust.txt", err));
    TL_TRY(tl_path_join(from->config, from->dir, "tally.yaml", err));
    return tl_path_join(from->lock, from->dir, "ledger.lock", err);
}

static tally_status read_manifest(struct restore *restore, struct tally_error *err)
{
    struct tally_error why = TALLY_ERROR_INIT;
    tally_status status = tl_manifest_read(&restore->manifest, restore->from.manifest, &why);
    if (status == TALLY_ENOTFOUND) {
        TL_TRY(take_ledger(restore, err));
    } else if (status != TALLY_OK) {
        return tl_fail_with(err, status, &why);
    }
    if (!restore->manifest.complete) {
        return tl_fail(err, TALLY_ECORRUPT,
                       "the backup in '%s' was never finished: take another one",
                       restore->from.dir);
    }
    return tl_backup_lock(&restore->from, &restore->lock, err);
}

static tally_status refuse_entry(void *ctx, const char *name)
{
    return tl_fail(ctx, TALLY_ECONFLICT, "there is '%.100s' already", name);
}

/* Nothing, or an empty directory. */
static tally_status check_vacant(const struct restore *restore, struct tally_error *err)
{
    struct tally_error why = TALLY_ERROR_INIT;
    tally_status status = tl_io_each_entry(restore->to.dir, refuse_entry, &why, &why);
    if (status == TALLY_OK || status == TALLY_ENOTFOUND) {
        return TALLY_OK;
    }
    return tl_fail(err, status == TALLY_ECONFLICT ? status : TALLY_EIO,
                   "'%s' cannot become a ledger: %.150s", restore->to.dir, why.message);
}

static tally_status note_leaf(void *ctx, const struct tally_record *record)
{
    return tl_leaf_decode(ctx, record->leaf, record->leaf_len, NULL);
}

static tally_status note_genesis(void *ctx, const struct tally_record *record)
{
    struct past *past = ctx;
    struct tl_leaf leaf;
    TL_TRY(tl_leaf_decode(&leaf, record->leaf, record->leaf_len, NULL));
    TL_CLEANUP(tl_freep) struct tl_control *genesis = tl_alloc_array(1, sizeof(*genesis));
    if (genesis == NULL) {
        return TALLY_ENOMEM;
    }
    struct tl_arena arena;
    tl_arena_init(&arena, (size_t)4 << 20);
    tally_status status = leaf.kind == TL_LEAF_GENESIS ? TALLY_OK : TALLY_ECORRUPT;
    if (status == TALLY_OK) {
        status =
            tl_control_parse(genesis, &arena, leaf.kind, (const char *)record->leaf + TL_LEAF_LEN,
                             record->leaf_len - TL_LEAF_LEN, NULL);
    }
    past->start_us = genesis->start_us;
    past->epoch_seconds = genesis->epoch_seconds;
    tl_arena_release(&arena);
    return status;
}

static tally_status read_origin(struct past *past, struct tally_store *store,
                                struct tally_error *err)
{
    struct tl_buf note;
    tl_buf_init(&note, TL_NOTE_LEN_MAX);
    tally_status status = tl_store_newest_note(store, &note, err);
    if (status == TALLY_OK) {
        const struct tl_str origin = { note.data, strcspn(note.data, "\n") };
        status = tl_origin_is_valid(origin) ? TALLY_OK : TALLY_ECORRUPT;
        tl_str_copy(past->origin, sizeof(past->origin), origin);
    }
    tl_buf_release(&note);
    return status;
}

static tally_status read_past(struct past *past, struct tally_store *store, struct tally_error *err)
{
    struct tally_head head;
    struct tl_leaf newest = { 0 };
    TL_TRY(tl_store_head(store, &head, err));
    past->size = head.size;
    memcpy(past->root, head.root, sizeof(past->root));
    TL_TRY(read_origin(past, store, err));
    tally_status status = tl_store_scan(store, head.size - 1, head.size, note_leaf, &newest, err);
    if (status == TALLY_OK) {
        status = tl_store_scan(store, 0, 1, note_genesis, past, err);
    }
    if (status == TALLY_OK && (newest.kind == 0 || past->epoch_seconds == 0)) {
        status = TALLY_ECORRUPT;
    }
    past->incarnation = newest.incarnation;
    past->newest_us = newest.time_us;
    return status == TALLY_OK
               ? status
               : tl_fail(err, status, "first or newest record of the backup do not parse");
}

/* A checkpoint of what was lost: of the same ledger, and signed by it. */
static tally_status read_lost_note(struct restore *restore, struct tl_note *note,
                                   struct tally_error *err)
{
    const char *text = restore->options->lost_checkpoint;
    const struct past *past = &restore->past;
    struct tl_checkpoint_body body;
    enum tl_note_verdict verdict = TL_NOTE_NO_LINE;
    TL_TRY(tl_note_parse(note, text, strlen(text), err));
    TL_TRY(tl_checkpoint_parse(&body, note->body, err));
    for (uint32_t i = 0; i < restore->trust->log_count && verdict != TL_NOTE_GOOD; i++) {
        TL_TRY(tl_note_verify(note, &restore->trust->logs[i], &verdict, NULL));
    }
    if (verdict != TL_NOTE_GOOD || !tl_str_is(body.origin, past->origin)) {
        return tl_fail(err, TALLY_EINVAL,
                       "the lost checkpoint is not one of '%s', or not signed by a key in its "
                       "trust file",
                       past->origin);
    }
    bool same = body.size != past->size || memcmp(body.root, past->root, sizeof(body.root)) == 0;
    if (body.size < past->size || !same) {
        return tl_fail(err, TALLY_EINVAL,
                       "the lost checkpoint is of %llu records, the backup of %llu: it must be a "
                       "newer one of the same ledger",
                       (unsigned long long)body.size, (unsigned long long)past->size);
    }
    if (body.size >= restore->lost_size) {
        restore->lost_size = body.size;
        restore->has_lost_root = true;
        memcpy(restore->lost_root, body.root, sizeof(restore->lost_root));
    }
    return TALLY_OK;
}

static tally_status read_lost(struct restore *restore, struct tally_error *err)
{
    const struct tally_restore_options *options = restore->options;
    restore->lost_size = options->lost_size == 0 ? restore->past.size : options->lost_size;
    if (restore->lost_size < restore->past.size) {
        return tl_fail(err, TALLY_EINVAL,
                       "%llu records were signed at least: the backup has so many",
                       (unsigned long long)restore->past.size);
    }
    if (options->lost_checkpoint != NULL) {
        TL_CLEANUP(tl_freep) struct tl_note *note = tl_alloc_array(1, sizeof(*note));
        if (note == NULL) {
            return tl_fail(err, TALLY_ENOMEM, "cannot allocate a note");
        }
        TL_TRY(read_lost_note(restore, note, err));
    }
    return TALLY_OK;
}

/* What a verified bundle holds was signed, too. */
static tally_status read_bundle(struct restore *restore, struct tally_error *err)
{
    const char *dir = restore->options->bundle_dir;
    const struct tl_reapply *bundle = &restore->reapply;
    const struct past *past = &restore->past;
    bool same = true;
    TL_TRY(tl_reapply_read(&restore->reapply, dir, restore->trust, past->size, past->root, err));
    if (restore->has_lost_root && restore->lost_size <= bundle->size) {
        TL_TRY(tl_reapply_has_root(dir, restore->lost_size, restore->lost_root, &same, err));
    }
    if (!same) {
        return tl_fail(err, TALLY_ECONFLICT,
                       "the lost checkpoint, of %llu records, is not of the same history as the "
                       "bundle (FORK)",
                       (unsigned long long)restore->lost_size);
    }
    if (bundle->size >= restore->lost_size) {
        restore->lost_size = bundle->size;
        restore->has_lost_root = true;
        memcpy(restore->lost_root, bundle->root, sizeof(restore->lost_root));
    }
    return TALLY_OK;
}

/* The backup may have grown since the manifest was written, and not shrunk. */
static tally_status check_size(const struct restore *restore, struct tally_error *err)
{
    const struct tl_manifest *manifest = &restore->manifest;
    const struct past *past = &restore->past;
    bool same =
        past->size != manifest->size || memcmp(past->root, manifest->root, sizeof(past->root)) == 0;
    if (past->size < manifest->size || !same) {
        return tl_fail(err, TALLY_ECORRUPT,
                       "the backup holds %llu records, and not the %llu that backup.json names "
                       "(%s)",
                       (unsigned long long)past->size, (unsigned long long)manifest->size,
                       same ? "TRUNCATED" : "FORK");
    }
    return TALLY_OK;
}

static tally_status read_copy(struct restore *restore, struct tally_store *store,
                              struct tally_error *err)
{
    TL_TRY(read_past(&restore->past, store, err));
    TL_TRY(check_size(restore, err));
    TL_TRY(read_lost(restore, err));
    if (restore->options->bundle_dir != NULL) {
        TL_TRY(read_bundle(restore, err));
    }
    restore->result.from_size = restore->past.size;
    restore->result.lost = restore->lost_size - restore->past.size;
    return TALLY_OK;
}

static tally_status open_backup(const struct restore *restore, struct tally_store **store_out,
                                struct tally_error *err)
{
    char uri[sizeof(restore->from.store) + 16];
    (void)snprintf(uri, sizeof(uri), "sqlite:%s", restore->from.store);
    return tl_store_open(store_out, uri, TALLY_STORE_READ, err);
}

static void store_closep(struct tally_store **store)
{
    tl_store_close(*store);
    *store = NULL;
}

static tally_status try_dry(struct restore *restore, struct tally_error *err)
{
    TL_CLEANUP(store_closep) struct tally_store *store = NULL;
    TL_TRY(open_backup(restore, &store, err));
    TL_TRY(read_copy(restore, store, err));
    return tl_backup_verify(store, restore->trust, NULL, NULL, err);
}

/* What an attempt cut short has left beside is removed; nothing else ever is. */
static tally_status prepare_stage(const struct restore *restore, struct tally_error *err)
{
    const char *mark = restore->mark;
    const char *dir = restore->stage.dir;
    struct tally_error why = TALLY_ERROR_INIT;
    if (tl_io->access(mark, F_OK) == 0) {
        tl_remove_tree(dir);
    } else if (errno != ENOENT) {
        return tl_fail_errno(err, TALLY_EIO, errno, "cannot look at '%s'", mark);
    }
    tally_status status = tl_io_each_entry(dir, refuse_entry, &why, &why);
    if (status == TALLY_ECONFLICT) {
        return tl_fail(err, status, "'%s', where the ledger is made, is in use: %.100s", dir,
                       why.message);
    }
    if (status != TALLY_OK && status != TALLY_ENOTFOUND) {
        return tl_fail_with(err, status, &why);
    }
    TL_TRY(tl_io_replace_file(mark, "", 0, 0600, err));
    return tl_io_make_directory(dir, 0700, err);
}

static tally_status copy_parts(const struct restore *restore, struct tally_error *err)
{
    const struct tl_paths *stage = &restore->stage;
    char anchors[TL_PATH_SIZE];
    uint64_t bytes = 0;
    TL_TRY(tl_make_directories(stage, err));
    TL_TRY(tl_path_join(anchors, stage->dir, "anchors", err));
    tally_status status = tl_backup_copy_file(restore->from.config, stage->config, &bytes, NULL);
    if (status != TALLY_OK && status != TALLY_ENOTFOUND) {
        return tl_fail(err, status, "cannot copy '%s'", restore->from.config);
    }
    TL_TRY(tl_backup_copy_files(restore->from.checkpoints, stage->checkpoints, NULL, &bytes, err));
    return tl_backup_copy_files(restore->from.anchors, anchors, NULL, &bytes, err);
}

static tally_status copy_store(const struct restore *restore, struct tally_store *from,
                               struct tally_error *err)
{
    TL_CLEANUP(tl_store_copy_closep) struct tl_store_copy *copy = NULL;
    struct tl_store_copied copied;
    char path[TL_PATH_SIZE];
    TL_TRY(tl_path_join(path, restore->stage.dir, "ledger.db", err));
    TL_TRY(tl_store_copy_open(&copy, path, TL_STORE_COPY_NEW, err));
    TL_TRY(tl_store_begin_read(from, err));
    tally_status status = tl_store_copy_fill(copy, from, NULL, NULL, &copied, err);
    tl_store_end_read(from);
    TL_TRY(status);
    return tl_store_copy_commit(copy, err);
}

static struct tl_control control_of(const struct restore *restore, const struct tl_keys *keys)
{
    const struct tally_actor *actor = restore->actor;
    struct tl_control control = { .kind = TL_LEAF_RESTORE,
                                  .by = tl_str_of(actor->by),
                                  .reason = tl_str_of(actor->reason),
                                  .origin = tl_str_of(keys->state.origin),
                                  .from_origin = tl_str_of(restore->past.origin),
                                  .has_log_key = true,
                                  .has_epoch_key = true,
                                  .has_mac_id = true,
                                  .log_key = keys->log_key,
                                  .epoch_key = keys->epoch_key,
                                  .size = restore->past.size,
                                  .lost_size = restore->lost_size,
                                  .has_lost_root = restore->has_lost_root };
    if (actor->ticket != NULL && actor->ticket[0] != '\0') {
        control.note = tl_str_of(actor->ticket);
    }
    memcpy(control.root, restore->past.root, sizeof(control.root));
    memcpy(control.lost_root, restore->lost_root, sizeof(control.lost_root));
    tl_mac_id(keys->state.current.mac_key, control.mac_id);
    return control;
}

/* Seals RESTORE with keys that are made for it, in the epoch of this very moment. */
static tally_status seal(struct restore *restore, struct tally_store *store,
                         struct tally_error *err)
{
    const struct past *past = &restore->past;
    char origin[TL_ORIGIN_LEN_MAX + 1];
    struct tl_keys *keys = NULL;
    struct tl_sequencer *sequencer = NULL;
    int64_t wall_us = tl_clock->wall_us();
    int64_t time_us = wall_us > past->newest_us ? wall_us : past->newest_us;
    uint32_t epoch = tl_epoch_of(past->start_us, past->epoch_seconds, time_us);
    TL_TRY(tl_origin_make(origin, &restore->to, restore->options->origin, err));
    if (strcmp(origin, past->origin) == 0) {
        return tl_fail(err, TALLY_EINVAL,
                       "the origin must be a new one: a log never signs twice for one size");
    }
    TL_TRY(tl_keys_create_next(&keys, restore->stage.keys, tl_str_of(origin), past->incarnation + 1,
                               epoch, past->size, err));
    tl_init_result_fill(&restore->result.keys, keys);
    const struct tl_control control = control_of(restore, keys);
    tally_status status = tl_trust_write(restore->trust, keys, restore->stage.trust, err);
    if (status != TALLY_OK) {
        tl_keys_free(keys);
        return status;
    }
    const struct tl_sequencer_input input = { .paths = &restore->stage,
                                              .config = &restore->config,
                                              .store = store,
                                              .keys = keys,
                                              .accept_clock = true };
    status = tl_sequencer_restore(&sequencer, &input, &control, time_us, err);
    tl_sequencer_close(sequencer);
    return status;
}

static tally_status record_act(const struct restore *restore, struct tally_ledger *ledger,
                               struct tally_error *err)
{
    struct tl_buf json;
    tl_buf_init(&json, 65536);
    tl_buf_addf(&json, "{\"from_size\":%llu,\"lost\":%llu,\"reapplied\":%llu",
                (unsigned long long)restore->result.from_size,
                (unsigned long long)restore->result.lost,
                (unsigned long long)restore->result.reapplied);
    tl_json_write_member(&json, "from_origin", restore->past.origin);
    tl_json_write_member(&json, "reason", restore->actor->reason);
    tl_json_write_member(&json, "ticket", restore->actor->ticket);
    tl_buf_add_char(&json, '}');
    TL_CLEANUP(tl_freep) char *metadata = tl_buf_take(&json, NULL);
    tl_buf_release(&json);
    if (metadata == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate the record of it");
    }
    return tally_record_act(ledger, "tally.restore", restore->actor->by, metadata, NULL, err);
}

/* Does what was lost of purges and erasures again, and records the restore. */
static tally_status finish(struct restore *restore, struct tally_ledger *ledger,
                           struct tally_error *err)
{
    if (restore->options->bundle_dir != NULL) {
        TL_TRY(tl_reapply_run(&restore->reapply, ledger, restore->actor->by, restore->past.origin,
                              &restore->result.reapplied, err));
    }
    return record_act(restore, ledger, err);
}

/* An index that was begun before contents were removed may know terms of them. It is made anew. */
static tally_status drop_index(const struct restore *restore, struct tally_error *err)
{
    static const char *const names[] = { "index.db", "index.db-wal", "index.db-shm" };
    for (size_t i = 0; i < TL_ARRAY_LEN(names); i++) {
        char path[TL_PATH_SIZE];
        TL_TRY(tl_path_join(path, restore->stage.dir, names[i], err));
        if (tl_io->unlink(path) != 0 && errno != ENOENT) {
            return tl_fail_errno(err, TALLY_EIO, errno, "cannot remove '%s'", path);
        }
    }
    return TALLY_OK;
}

/* The ledger is put to use before anybody else can: it opens, takes a record, and is verified. */
static tally_status prove(struct restore *restore, struct tally_error *err)
{
    struct tally_options options = TALLY_OPTIONS_INIT;
    struct tally_ledger *ledger = NULL;
    options.uri = restore->stage.dir;
    options.writable = 1;
    options.accept_clock = 1;
    TL_TRY(tally_open(&ledger, &options, err));
    tally_status status = finish(restore, ledger, err);
    tally_close(ledger);
    TL_TRY(status);
    if (restore->result.reapplied > 0) {
        TL_TRY(drop_index(restore, err));
    }
    TL_CLEANUP(store_closep) struct tally_store *store = NULL;
    TL_TRY(tl_store_open(&store, restore->stage.store, TALLY_STORE_READ, err));
    return tl_backup_verify(store, restore->trust, NULL, NULL, err);
}

static tally_status make(struct restore *restore, struct tally_error *err)
{
    TL_CLEANUP(store_closep) struct tally_store *from = NULL;
    TL_TRY(copy_parts(restore, err));
    TL_TRY(open_backup(restore, &from, err));
    TL_TRY(read_copy(restore, from, err));
    TL_TRY(copy_store(restore, from, err));
    TL_CLEANUP(store_closep) struct tally_store *store = NULL;
    TL_TRY(tl_store_open(&store, restore->stage.store, TALLY_STORE_WRITE, err));
    TL_TRY(seal(restore, store, err));
    store_closep(&store);
    return prove(restore, err);
}

/* From one moment to the next the ledger is there, whole. */
static tally_status appear(const struct restore *restore, struct tally_error *err)
{
    if (tl_io->rename(restore->stage.dir, restore->to.dir) != 0) {
        int os_errno = errno;
        bool taken = os_errno == EEXIST || os_errno == ENOTEMPTY || os_errno == ENOTDIR;
        return tl_fail_errno(err, taken ? TALLY_ECONFLICT : TALLY_EIO, os_errno,
                             "cannot rename '%s' to '%s'", restore->stage.dir, restore->to.dir);
    }
    return tl_io_sync_directory_of(restore->to.dir, err);
}

static tally_status init_paths(struct restore *restore, const char *uri, struct tally_error *err)
{
    char stage[TL_PATH_SIZE + sizeof(SUFFIX)];
    const struct tl_str keys_dir = restore->config.keys_dir;
    TL_TRY(tl_paths_init(&restore->to, uri, (struct tl_str){ 0 }, keys_dir, err));
    if (restore->to.memory) {
        return tl_fail(err, TALLY_ENOTSUP, "a backup cannot be restored into memory");
    }
    (void)snprintf(stage, sizeof(stage), "%s" SUFFIX, restore->to.dir);
    TL_TRY(tl_paths_init(&restore->stage, stage, (struct tl_str){ 0 }, keys_dir, err));
    (void)snprintf(restore->mark, sizeof(restore->mark), "%s" MARK, restore->stage.dir);
    return TALLY_OK;
}

static tally_status check_arguments(const struct tally_restore_options *options,
                                    const struct tally_actor *actor, struct tally_error *err)
{
    if (options->struct_size != sizeof(*options)) {
        return tl_fail(err, TALLY_EINVAL, "struct tally_restore_options has an unknown size");
    }
    if (actor == NULL || actor->by == NULL || actor->by[0] == '\0' || actor->reason == NULL ||
        actor->reason[0] == '\0') {
        return tl_fail(err, TALLY_EINVAL, "a restore says by whom it was made, and why");
    }
    return TALLY_OK;
}

static tally_status read_trust(struct restore *restore, struct tally_error *err)
{
    TL_TRY(tl_trust_read(&restore->trust, restore->from.trust, err));
    if ((restore->trust->approve_kinds >> (TL_LEAF_RESTORE - TL_LEAF_GENESIS) & 1) != 0) {
        return tl_fail(err, TALLY_EDENIED,
                       "'%s' asks for an approval of RESTORE, which cannot be given yet: take that "
                       "line out, and tell the auditors",
                       restore->from.trust);
    }
    return TALLY_OK;
}

static tally_status run(struct restore *restore, const char *dir, const char *uri,
                        struct tally_error *err)
{
    TL_TRY(tl_backup_paths_init(&restore->from, dir, err));
    TL_TRY(read_manifest(restore, err));
    TL_TRY(read_config(restore, err));
    TL_TRY(init_paths(restore, uri, err));
    TL_TRY(check_vacant(restore, err));
    TL_TRY(read_trust(restore, err));
    if (restore->options->dry_run != 0) {
        return try_dry(restore, err);
    }
    TL_TRY(prepare_stage(restore, err));
    tally_status status = make(restore, err);
    status = status == TALLY_OK ? appear(restore, err) : status;
    if (status != TALLY_OK) {
        tl_remove_tree(restore->stage.dir);
    }
    (void)tl_io->unlink(restore->mark); /* left behind, it is taken for what it says */
    return status;
}

tally_status tally_restore(const char *dir, const char *uri,
                           const struct tally_restore_options *options,
                           const struct tally_actor *actor, struct tally_restored *restored_out,
                           char **request_out, struct tally_error *err)
{
    (void)request_out;
    TL_TRY(check_arguments(options, actor, err));
    TL_CLEANUP(restore_freep) struct restore *restore = tl_alloc_array(1, sizeof(*restore));
    if (restore == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a restore");
    }
    restore->lock = -1;
    restore->options = options;
    restore->actor = actor;
    TL_TRY(run(restore, dir, uri, err));
    *restored_out = restore->result;
    return TALLY_OK;
}
