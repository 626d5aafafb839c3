/* tally_anchor(): takes the newest checkpoint to places that the ledger's machine cannot change. */
#include "ledger/anchor.h"
#include "ledger/remote.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>

#include "base/io.h"
#include "codec/json.h"

#define KEEP_TRIES 8u

static void run_freep(struct tl_anchor_run **run_ptr)
{
    struct tl_anchor_run *run = *run_ptr;
    if (run != NULL) {
        tl_store_close(run->writer);
        tl_free(run->authorities);
        tl_buf_release(&run->note.text);
        tl_free(run);
    }
}

static tally_status read_targets(struct tl_anchor_run *run, const char *const *targets,
                                 size_t count, struct tally_error *err)
{
    const struct tl_config *config = &run->ledger->config;
    size_t all = count > 0 ? count : config->anchor_target_count;
    if (all == 0) {
        return tl_fail(err, TALLY_EINVAL,
                       "there is nowhere to take the checkpoint: name a target, "
                       "or set 'anchor.targets'");
    }
    if (all > TL_ANCHOR_TARGETS_MAX) {
        return tl_fail(err, TALLY_EINVAL, "more than %u targets", TL_ANCHOR_TARGETS_MAX);
    }
    for (size_t i = 0; i < all; i++) {
        struct tl_str text = count > 0 ? tl_str_of(targets[i]) : config->anchor_targets[i];
        TL_TRY(tl_anchor_target_read(&run->targets[i], text, err));
    }
    run->target_count = all;
    return TALLY_OK;
}

/* One run at a time: two would each write a checkpoint without the lines of the other. */
static tally_status lock(const struct tl_anchor_run *run, int *fd_out, struct tally_error *err)
{
    char path[TL_PATH_SIZE];
    TL_TRY(tl_io_make_directory(run->dir, 0700, err));
    TL_TRY(tl_path_join(path, run->dir, "lock", err));
    *fd_out = tl_io->open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (*fd_out < 0) {
        return tl_fail_errno(err, TALLY_EIO, errno, "cannot open '%s'", path);
    }
    if (tl_io->flock(*fd_out, LOCK_EX | LOCK_NB) == 0) {
        return TALLY_OK;
    }
    return errno == EWOULDBLOCK
               ? tl_fail(err, TALLY_EBUSY, "another process is anchoring this ledger")
               : tl_fail_errno(err, TALLY_EIO, errno, "cannot lock '%s'", path);
}

static tally_status copy_note(void *ctx, const struct tally_checkpoint *checkpoint)
{
    struct tl_anchor_note *note = ctx;
    note->body.size = checkpoint->size;
    tl_buf_add(&note->text, checkpoint->note, checkpoint->note_len);
    return TALLY_ECANCELED; /* the first one is all */
}

static tally_status read_newest(struct tl_anchor_run *run, struct tally_store *store,
                                struct tally_error *err)
{
    uint64_t size = 0;
    TL_TRY(tl_store_newest_checkpoint(store, &size, err));
    tl_buf_clear(&run->note.text);
    run->note.body.size = 0;
    tally_status status = tl_store_scan_checkpoints(store, size, copy_note, &run->note, err);
    if (status == TALLY_ECANCELED) {
        status = tl_buf_status(&run->note.text);
    }
    if (status == TALLY_OK && (size == 0 || run->note.body.size != size)) {
        return tl_fail(err, TALLY_ENOTFOUND, "the ledger has no checkpoint");
    }
    return status;
}

static tally_status parse_note(struct tl_anchor_note *note, struct tally_error *err)
{
    TL_TRY(tl_note_parse(&note->parsed, note->text.data, note->text.len, err));
    return tl_checkpoint_parse(&note->body, note->parsed.body, err);
}

tally_status tl_anchor_keep(struct tl_anchor_run *run, struct tally_error *err)
{
    TL_TRY(parse_note(&run->note, err)); /* it may have moved */
    struct tl_reader reader = { 0 };
    struct tally_store *store = run->writer;
    if (store == NULL) {
        TL_TRY(
            tl_reader_get(run->ledger, &reader, err)); /* of a volatile store any handle will do */
        store = reader.store;
    }
    tally_status status = TALLY_EBUSY;
    struct tally_error why = TALLY_ERROR_INIT;
    for (unsigned i = 0; i < KEEP_TRIES && status == TALLY_EBUSY; i++) {
        why = (struct tally_error)TALLY_ERROR_INIT;
        status = tl_store_cosign(store, run->note.body.size, run->note.text.data,
                                 run->note.text.len, &why);
    }
    tl_reader_put(run->ledger, &reader);
    if (status != TALLY_OK) {
        return tl_fail_with(err, status, &why);
    }
    if (run->ledger->paths.memory) {
        return TALLY_OK;
    }
    char name[24];
    char path[TL_PATH_SIZE];
    (void)snprintf(name, sizeof(name), "%llu", (unsigned long long)run->note.body.size);
    TL_TRY(tl_path_join(path, run->ledger->paths.checkpoints, name, err));
    return tl_io_replace_file(path, run->note.text.data, run->note.text.len, 0644, err);
}

/* Takes the newest checkpoint at hand, and sees to it that it stays: before anybody is asked, for a
 * record of an anchor whose checkpoint is gone says nothing. */
static tally_status take_newest(struct tl_anchor_run *run, struct tally_error *err)
{
    struct tl_reader reader;
    TL_TRY(tl_reader_get(run->ledger, &reader, err));
    tally_status status = tl_reader_begin(&reader, err);
    if (status == TALLY_OK) {
        status = read_newest(run, reader.store, err);
    }
    tl_reader_put(run->ledger, &reader);
    TL_TRY(status);
    return tl_anchor_keep(run, err);
}

static tally_status go_to(struct tl_anchor_run *run, const struct tl_anchor_target *target,
                          struct tally_error *err)
{
    switch (target->kind) {
    case TL_ANCHOR_FILE:
        return tl_anchor_to_file(run, target, err);
    case TL_ANCHOR_GIT:
        return tl_anchor_to_git(run, target, err);
    case TL_ANCHOR_HTTP:
        return tl_anchor_to_http(run, target, err);
    case TL_ANCHOR_RFC3161:
        return tl_anchor_to_authority(run, target, err);
    case TL_ANCHOR_WITNESS:
        return tl_anchor_to_witness(run, target, err);
    }
    return TALLY_EINVAL;
}

static void visit(struct tl_anchor_run *run, const struct tl_anchor_target *target)
{
    struct tally_error why = TALLY_ERROR_INIT;
    run->seq = TALLY_SEQ_NONE;
    run->detail[0] = '\0';
    tally_status status = go_to(run, target, &why);
    if (status == TALLY_OK) {
        run->done++;
    } else {
        run->failed++;
    }
    if (run->fn != NULL) {
        const struct tally_anchored anchored = {
            .target = target->text,
            .status = status,
            .size = run->note.body.size,
            .seq = run->seq,
            .detail = status == TALLY_OK       ? run->detail
                      : why.message[0] != '\0' ? why.message
                                               : tally_status_name(status),
        };
        run->fn(run->ctx, &anchored);
    }
}

static size_t visit_all(struct tl_anchor_run *run, bool witnesses)
{
    size_t count = 0;
    for (size_t i = 0; i < run->target_count; i++) {
        if ((run->targets[i].kind == TL_ANCHOR_WITNESS) == witnesses) {
            visit(run, &run->targets[i]);
            count++;
        }
    }
    return count;
}

static size_t count_witnesses(const struct tl_anchor_run *run)
{
    size_t count = 0;
    for (size_t i = 0; i < run->target_count; i++) {
        count += run->targets[i].kind == TL_ANCHOR_WITNESS;
    }
    return count;
}

/* Before they are asked: a record of the answer would be one that they have not seen. */
static tally_status record_asking(struct tl_anchor_run *run, struct tally_error *err)
{
    struct tl_buf metadata;
    struct tally_receipt receipt;
    bool comma = false;
    tl_buf_init(&metadata, 65536);
    tl_buf_add_text(&metadata, "{\"kind\":\"witness\",\"targets\":[");
    for (size_t i = 0; i < run->target_count; i++) {
        if (run->targets[i].kind == TL_ANCHOR_WITNESS) {
            tl_buf_add_text(&metadata, comma ? "," : "");
            tl_json_write_string(&metadata, tl_str_of(run->targets[i].witness.name));
            comma = true;
        }
    }
    tl_buf_add_text(&metadata, "]}");
    tl_buf_add_char(&metadata, '\0');
    tally_status status = tl_buf_status(&metadata);
    if (status == TALLY_OK) {
        status =
            tally_record_act(run->ledger, "tally.anchor", run->by, metadata.data, &receipt, err);
    }
    tl_buf_release(&metadata);
    return status;
}

static tally_status run_all(struct tl_anchor_run *run, struct tally_error *err)
{
    size_t witnesses = count_witnesses(run);
    if (witnesses < run->target_count) {
        TL_TRY(take_newest(run, err));
        (void)visit_all(run, false); /* how many is known */
    }
    if (witnesses > 0) {
        TL_TRY(record_asking(run, err));
        TL_TRY(take_newest(run, err));
        (void)visit_all(run, true);
    }
    if (run->failed > 0) {
        return tl_fail(err, TALLY_EIO, "%zu of %zu targets did not take the checkpoint",
                       run->failed, run->target_count);
    }
    return TALLY_OK;
}

static tally_status prepare(struct tl_anchor_run *run, int *lock_fd, struct tally_error *err)
{
    const struct tally_ledger *ledger = run->ledger;
    TL_TRY(tl_anchor_path(run->ca_file, ledger, ledger->config.anchor_ca_file, err));
    TL_TRY(tl_anchor_authorities(ledger, &run->authorities, &run->authorities_len, err));
    if (ledger->paths.memory) {
        return TALLY_OK;
    }
    TL_TRY(tl_path_join(run->dir, ledger->paths.dir, "anchors", err));
    TL_TRY(lock(run, lock_fd, err));
    TL_TRY(tl_store_open(&run->writer, ledger->paths.store, TALLY_STORE_WRITE, err));
    return tl_anchor_recover(run, err);
}

tally_status tally_anchor(struct tally_ledger *ledger, const char *const *targets, size_t count,
                          const char *by, tally_anchor_fn *fn, void *ctx, struct tally_error *err)
{
    TL_TRY(tl_remote_refuse(ledger, err));
    TL_TRY(tl_refuse_inherited(ledger, err));
    if (!ledger->writable) {
        return tl_fail(err, TALLY_EINVAL, "the ledger is open for reading only");
    }
    TL_CLEANUP(run_freep) struct tl_anchor_run *run = tl_alloc_array(1, sizeof(*run));
    TL_CLEANUP(tl_io_closep) int lock_fd = -1;
    if (run == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate an anchoring");
    }
    run->ledger = ledger;
    run->by = by;
    run->fn = fn;
    run->ctx = ctx;
    tl_buf_init(&run->note.text, TL_NOTE_LEN_MAX);
    TL_TRY(read_targets(run, targets, count, err));
    TL_TRY(prepare(run, &lock_fd, err));
    tally_status status = run_all(run, err);
    if (status == TALLY_OK && count == 0) {
        status = tl_anchor_note_success(run, err);
    }
    return status;
}
