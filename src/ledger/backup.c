/* tally_backup(): a copy of the ledger that is brought up to date, and verified before it counts. */
#include "ledger/backup_parts.h"

#include "base/io.h"
#include "codec/json.h"
#include "codec/utf8.h"
#include "ledger/ledger.h"
#include "ledger/nodes.h"
#include "ledger/remote.h"
#include "ledger/trust.h"
#include "store/store_copy.h"

#define SCHEME "sqlite:"

/* One run. Large: allocate. */
struct backup {
    struct tally_ledger *ledger;
    struct tl_backup_paths to;
    struct tl_manifest had; /* of the backup before; zeroed without one */
    struct tl_nodes nodes;
    struct tl_trust *trust;
    struct tl_store_copy *copy;
    struct tl_buf note;
    tally_progress_fn *progress;
    void *ctx;
    uint64_t size;    /* of the snapshot */
    uint64_t reduced; /* records in the backup whose contents were taken away */
    int lock;
    struct tally_backup_result result;
};

static void backup_freep(struct backup **backup)
{
    struct backup *it = *backup;
    if (it != NULL) {
        tl_store_copy_close(it->copy);
        tl_buf_release(&it->note);
        tl_free(it->trust);
        tl_io_closep(&it->lock);
        tl_free(it);
        *backup = NULL;
    }
}

static tally_status refuse_others(const struct tally_ledger *ledger, struct tally_error *err)
{
    if (ledger->paths.memory) {
        return tl_fail(err, TALLY_ENOTSUP,
                       "a ledger in memory has nothing to restore it from: its keys end with the "
                       "process; export it instead");
    }
    TL_TRY(tl_remote_refuse(ledger, err));
    if (strncmp(ledger->paths.store, SCHEME, sizeof(SCHEME) - 1) != 0) {
        return tl_fail(err, TALLY_ENOTSUP, "only ledgers in SQLite are backed up, not '%s'",
                       ledger->paths.store);
    }
    return TALLY_OK;
}

/* A directory without manifest must have nothing in it but what an attempt cut short left. */
static tally_status refuse_entry(void *ctx, const char *name)
{
    bool ours = strcmp(name, TL_BACKUP_LOCK) == 0 || strcmp(name, "backup.json.tmp") == 0;
    return ours ? TALLY_OK
                : tl_fail(ctx, TALLY_ECONFLICT,
                          "the directory holds '%.100s' and no backup.json: name a new one", name);
}

static tally_status enter_directory(struct backup *backup, struct tally_error *err)
{
    struct tally_error why = TALLY_ERROR_INIT;
    TL_TRY(tl_io_make_directory(backup->to.dir, 0700, err));
    tally_status status = tl_manifest_read(&backup->had, backup->to.manifest, &why);
    if (status == TALLY_ENOTFOUND) {
        TL_TRY(tl_io_each_entry(backup->to.dir, refuse_entry, err, err));
    } else if (status == TALLY_ECORRUPT) {
        return tl_fail(err, TALLY_ECONFLICT, "'%s' is not that of a backup: name a new directory",
                       backup->to.manifest);
    } else if (status != TALLY_OK) {
        return tl_fail_with(err, status, &why);
    }
    TL_TRY(tl_backup_lock(&backup->to, &backup->lock, err));
    /* Once more: another backup may have been at work until now. */
    return status == TALLY_ENOTFOUND ? TALLY_OK
                                     : tl_manifest_read(&backup->had, backup->to.manifest, err);
}

/* Says why the copy there is no older state of this ledger. */
static tally_status refuse_stranger(const struct backup *backup, const char *origin,
                                    const char *code, struct tally_error *err)
{
    if (strcmp(backup->had.origin, origin) != 0) {
        return tl_fail(err, TALLY_ECONFLICT,
                       "the backup is of '%s', and no part of this ledger (FORK): name a new "
                       "directory",
                       backup->had.origin);
    }
    return tl_fail(err, TALLY_ECONFLICT,
                   "the backup holds what this ledger does not (%s): one of them was changed or "
                   "set back; look into that first",
                   code);
}

static tally_status check_part(struct backup *backup, uint64_t size, const uint8_t *root,
                               struct tally_error *err)
{
    uint8_t have[TALLY_HASH_LEN];
    const char *origin = backup->ledger->origin;
    if (size > backup->size) {
        return refuse_stranger(backup, origin, "ROLLBACK", err);
    }
    backup->nodes.err = err;
    TL_TRY(tl_nodes_root(&backup->nodes, size, have));
    if (memcmp(have, root, sizeof(have)) != 0) {
        return refuse_stranger(backup, origin, size == backup->size ? "FORK" : "HISTORY_REWRITTEN",
                               err);
    }
    return TALLY_OK;
}

/* What is there must be the beginning of this ledger, and at least what was promised. */
static tally_status check_older(struct backup *backup, struct tally_store *from,
                                struct tally_error *err)
{
    struct tally_head head;
    TL_TRY(tl_store_head(tl_store_copy_view(backup->copy), &head, err));
    backup->nodes.store = from;
    backup->nodes.size = backup->size;
    if (head.size < backup->had.size) {
        return tl_fail(err, TALLY_ECORRUPT,
                       "the backup holds %llu records of the %llu that it should (TRUNCATED): name "
                       "a new directory",
                       (unsigned long long)head.size, (unsigned long long)backup->had.size);
    }
    TL_TRY(check_part(backup, backup->had.size, backup->had.root, err));
    return check_part(backup, head.size, head.root, err);
}

static tally_status on_copied(void *ctx, uint64_t done, uint64_t total)
{
    const struct backup *backup = ctx;
    return backup->progress(backup->ctx, done, 2 * total) != 0 ? TALLY_ECANCELED : TALLY_OK;
}

static int on_verified(void *ctx, uint64_t done, uint64_t total)
{
    const struct backup *backup = ctx;
    return backup->progress(backup->ctx, total + done, 2 * total);
}

/* An unfinished attempt is begun anew: the manifest says so until the end. */
static tally_status open_copy(struct backup *backup, struct tally_error *err)
{
    if (backup->had.complete) {
        return tl_store_copy_open(&backup->copy, backup->to.store, TL_STORE_COPY_UPDATE, err);
    }
    struct tl_manifest begun = { .complete = false };
    memcpy(begun.origin, backup->ledger->origin, sizeof(begun.origin));
    TL_TRY(tl_manifest_write(backup->to.manifest, &begun, err));
    return tl_store_copy_open(&backup->copy, backup->to.store, TL_STORE_COPY_NEW, err);
}

static tally_status copy_store(struct backup *backup, struct tally_store *from,
                               struct tally_error *err)
{
    struct tl_store_copied copied;
    bool tell = backup->progress != NULL;
    TL_TRY(tl_store_copy_fill(backup->copy, from, tell ? on_copied : NULL, backup, &copied, err));
    backup->result.from = copied.from;
    backup->reduced = copied.reduced;
    backup->result.bytes += copied.bytes;
    TL_TRY(tl_backup_verify(tl_store_copy_view(backup->copy), backup->trust,
                            tell ? on_verified : NULL, backup, err));
    backup->result.verified = 1;
    return tl_store_copy_commit(backup->copy, err);
}

/* Before the store: they may know more than it, never less. */
static tally_status copy_files(struct backup *backup, struct tally_error *err)
{
    const struct tl_paths *from = &backup->ledger->paths;
    const char *config = backup->ledger->options.config_path;
    uint64_t *bytes = &backup->result.bytes;
    char anchors[TL_PATH_SIZE];
    TL_TRY(tl_path_join(anchors, from->dir, "anchors", err));
    TL_TRY(tl_backup_copy_file(from->trust, backup->to.trust, bytes, err));
    tally_status status =
        tl_backup_copy_file(config == NULL ? from->config : config, backup->to.config, bytes, NULL);
    if (status != TALLY_OK && status != TALLY_ENOTFOUND) {
        return tl_fail(err, status, "cannot copy the configuration");
    }
    TL_TRY(tl_backup_copy_files(from->checkpoints, backup->to.checkpoints, "newest", bytes, err));
    return tl_backup_copy_files(anchors, backup->to.anchors, NULL, bytes, err);
}

static tally_status finish(struct backup *backup, const struct tally_head *head,
                           struct tally_error *err)
{
    char newest[TL_PATH_SIZE];
    TL_TRY(tl_io_make_directory(backup->to.checkpoints, 0700, err));
    TL_TRY(tl_path_join(newest, backup->to.checkpoints, "newest", err));
    TL_TRY(tl_io_replace_file(newest, backup->note.data, backup->note.len, 0600, err));
    struct tl_manifest now = { .complete = true, .size = head->size };
    memcpy(now.root, head->root, sizeof(now.root));
    memcpy(now.origin, backup->ledger->origin, sizeof(now.origin));
    TL_TRY(tl_manifest_write(backup->to.manifest, &now, err));
    backup->result.size = head->size;
    backup->result.bytes += backup->note.len;
    tl_str_copy(backup->result.checkpoint, sizeof(backup->result.checkpoint),
                TL_STR("checkpoints/newest"));
    return TALLY_OK;
}

static tally_status copy_snapshot(struct backup *backup, struct tally_store *from,
                                  struct tally_error *err)
{
    struct tally_head head;
    TL_TRY(tl_store_head(from, &head, err));
    backup->size = head.size;
    TL_TRY(tl_store_newest_note(from, &backup->note, err));
    TL_TRY(open_copy(backup, err));
    if (backup->had.complete) {
        TL_TRY(check_older(backup, from, err));
    }
    TL_TRY(copy_files(backup, err));
    TL_TRY(copy_store(backup, from, err));
    return finish(backup, &head, err);
}

static tally_status copy_ledger(struct backup *backup, struct tally_error *err)
{
    struct tl_reader reader;
    tally_status status = tl_trust_read(&backup->trust, backup->ledger->paths.trust, NULL);
    if (status != TALLY_OK) {
        return tl_fail(err, status == TALLY_ENOTFOUND ? TALLY_EINVAL : status,
                       "without '%s' the copy could not be verified: put it back",
                       backup->ledger->paths.trust);
    }
    TL_TRY(enter_directory(backup, err));
    TL_TRY(tl_reader_get(backup->ledger, &reader, err));
    status = tl_reader_begin(&reader, err);
    if (status == TALLY_OK) {
        status = copy_snapshot(backup, reader.store, err);
    }
    tl_reader_put(backup->ledger, &reader);
    return status;
}

static void add_text(struct tl_buf *out, const char *name, const char *text)
{
    if (text != NULL && tl_utf8_valid_len(text, strlen(text)) == strlen(text)) {
        tl_json_write_member(out, name, text);
    }
}

static tally_status record(const struct backup *backup, const struct tally_actor *actor,
                           struct tally_error *err)
{
    struct tl_buf json;
    const struct tally_backup_result *result = &backup->result;
    tl_buf_init(&json, 65536);
    tl_buf_addf(&json, "{\"bytes\":%llu,\"from\":%llu,\"reduced\":%llu,\"size\":%llu",
                (unsigned long long)result->bytes, (unsigned long long)result->from,
                (unsigned long long)backup->reduced, (unsigned long long)result->size);
    add_text(&json, "directory", backup->to.dir);
    add_text(&json, "reason", actor->reason);
    add_text(&json, "ticket", actor->ticket);
    tl_buf_add_char(&json, '}');
    TL_CLEANUP(tl_freep) char *metadata = tl_buf_take(&json, NULL);
    tl_buf_release(&json);
    if (metadata == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate the record of it");
    }
    return tally_record_act(backup->ledger, "tally.backup", actor->by, metadata, NULL, err);
}

tally_status tally_backup(struct tally_ledger *ledger, const char *dir,
                          const struct tally_actor *actor, tally_progress_fn *progress, void *ctx,
                          struct tally_backup_result *result_out, struct tally_error *err)
{
    TL_TRY(refuse_others(ledger, err));
    if (!ledger->writable || actor == NULL || actor->by == NULL || actor->by[0] == '\0') {
        return tl_fail(err, TALLY_EINVAL,
                       "a backup is recorded: open the ledger for writing, and say by whom");
    }
    TL_CLEANUP(backup_freep) struct backup *backup = tl_alloc_array(1, sizeof(*backup));
    if (backup == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a backup");
    }
    backup->ledger = ledger;
    backup->lock = -1;
    backup->progress = progress;
    backup->ctx = ctx;
    tl_buf_init(&backup->note, TL_NOTE_LEN_MAX);
    TL_TRY(tl_backup_paths_init(&backup->to, dir, err));
    TL_TRY(copy_ledger(backup, err));
    *result_out = backup->result;
    return record(backup, actor, err);
}
