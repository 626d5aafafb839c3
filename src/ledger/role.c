/* Who holds the ledger's lock is its sequencer: takes the lock, opens the store, gives both back. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/io.h"
#include "base/parse.h"
#include "ledger/ledger.h"
#include "ledger/remote.h"
#include "ledger/router.h"

#define HOLDER_SIZE 32u /* of the text in the lock file */

tally_status tl_lock_take(const char *path, int *fd_out, struct tally_error *err)
{
    int fd = tl_io->open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return tl_fail_errno(err, TALLY_EIO, errno, "cannot open lock '%s'", path);
    }
    int rc = 0;
    do {
        rc = tl_io->flock(fd, LOCK_EX | LOCK_NB);
    } while (rc != 0 && errno == EINTR);
    if (rc != 0) {
        int os_errno = errno;
        tl_io_closep(&fd);
        if (os_errno == EWOULDBLOCK) {
            return tl_fail(err, TALLY_EBUSY,
                           "the ledger is in use by another writer ('%s' is locked)", path);
        }
        return tl_fail_errno(err, TALLY_EIO, os_errno, "cannot lock '%s'", path);
    }
    *fd_out = fd;
    return TALLY_OK;
}

bool tl_lock_is_held(const char *path)
{
    TL_CLEANUP(tl_io_closep) int fd = tl_io->open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW, 0);
    /* Shared, and only for this moment: those who look do not keep each other out. */
    return fd >= 0 && tl_io->flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

int64_t tl_lock_holder(const char *path)
{
    if (!tl_lock_is_held(path)) {
        return 0;
    }
    TL_CLEANUP(tl_freep) char *text = NULL;
    size_t len = 0;
    uint64_t pid = 0;
    if (tl_io_read_file(path, HOLDER_SIZE, &text, &len, NULL) != TALLY_OK || len < 2 ||
        text[len - 1] != '\n') {
        return -1;
    }
    return tl_parse_u64(text, len - 1, INT32_MAX, &pid) == TALLY_OK && pid > 0 ? (int64_t)pid : -1;
}

/* Says who we are, for people; that it fails does not matter. */
static void sign_lock(int fd)
{
    char text[HOLDER_SIZE];
    int len = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
    if (tl_io_write_at(fd, text, (size_t)len, 0, NULL) == TALLY_OK) {
        (void)tl_io->ftruncate(fd, len);
    }
}

/* The descriptor appears under queue.mu, which fork() waits for: no child can inherit one that it
 * does not know of, and keep the lock beyond its parent's life. */
static tally_status take_lock(struct tally_ledger *ledger, bool *elsewhere_out,
                              struct tally_error *err)
{
    int fd = -1;
    tl_mutex_lock(&ledger->queue.mu);
    tally_status status = tl_lock_take(ledger->paths.lock, &fd, err);
    ledger->queue.lock_fd = fd;
    tl_mutex_unlock(&ledger->queue.mu);
    *elsewhere_out = status == TALLY_EBUSY;
    if (status == TALLY_OK) {
        sign_lock(fd);
    }
    return status;
}

static void give_lock_back(struct tally_ledger *ledger)
{
    tl_mutex_lock(&ledger->queue.mu);
    tl_io_closep(&ledger->queue.lock_fd);
    ledger->queue.lock_fd = -1;
    tl_mutex_unlock(&ledger->queue.mu);
}

static void free_buffers(struct tl_role *role)
{
    tl_free(role->items);
    tl_free(role->entries);
    tl_free(role->receipts);
    tl_free(role->origins);
    role->items = NULL;
    role->entries = NULL;
    role->receipts = NULL;
    role->origins = NULL;
}

tally_status tl_role_prepare(struct tally_ledger *ledger, struct tally_error *err)
{
    struct tl_role *role = &ledger->role;
    if (role->items != NULL) {
        return TALLY_OK;
    }
    role->items = tl_alloc_array(TL_BATCH_EVENTS_MAX, sizeof(*role->items));
    role->entries = tl_alloc_array(TL_BATCH_EVENTS_MAX, sizeof(*role->entries));
    role->receipts = tl_alloc_array(TL_BATCH_EVENTS_MAX, sizeof(*role->receipts));
    role->origins = tl_alloc_array(TL_BATCH_EVENTS_MAX, sizeof(*role->origins));
    if (role->items == NULL || role->entries == NULL || role->receipts == NULL ||
        role->origins == NULL) {
        free_buffers(role);
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a batch");
    }
    return TALLY_OK;
}

/* The configuration as it is now. */
static tally_status read_config(const struct tally_ledger *ledger, struct tl_config **config_out,
                                struct tally_error *err)
{
    TL_CLEANUP(tl_freep) struct tl_paths *paths = tl_alloc_array(1, sizeof(*paths));
    TL_CLEANUP(tl_freep) struct tl_config *config = tl_alloc_array(1, sizeof(*config));
    if (paths == NULL || config == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a configuration");
    }
    TL_TRY(tl_options_read(&ledger->options, paths, config, err));
    *config_out = TL_TAKE(config);
    return TALLY_OK;
}

tally_status tl_role_act(struct tally_ledger *ledger, const struct tl_act_request *act,
                         uint64_t *seq_out, struct tally_error *err)
{
    TL_TRY(tl_remote_refuse(ledger, err));
    struct tl_sequencer *sequencer = ledger->role.sequencer;
    if (act->control->kind != TL_LEAF_POLICY) {
        return tl_sequencer_act(sequencer, act, seq_out, err);
    }
    *seq_out = TALLY_SEQ_NONE;
    struct tl_config *config = NULL;
    struct tally_error why = TALLY_ERROR_INIT;
    tally_status status = read_config(ledger, &config, &why);
    if (status != TALLY_OK) {
        return status == TALLY_EINVAL
                   ? tl_fail_code(err, status, tl_act_refusal_code(TL_ACT_CONFIGURATION), "%s",
                                  why.message)
                   : tl_fail_with(err, status, &why);
    }
    return tl_sequencer_configure(sequencer, config, act->control, seq_out, err);
}

static tally_status open_sequencer(struct tally_ledger *ledger, struct tally_error *err)
{
    TL_TRY(tl_store_open(&ledger->role.store, ledger->paths.store, TALLY_STORE_WRITE, err));
    struct tl_keys *keys = NULL;
    struct tally_error why = TALLY_ERROR_INIT;
    tally_status status = tl_keys_load(&keys, ledger->paths.keys, &why);
    if (status != TALLY_OK) {
        /* Not TALLY_ENOTFOUND: the ledger is there, and making a new one would be the wrong way. */
        return tl_fail_errno(err, status == TALLY_ENOTFOUND ? TALLY_EIO : status, why.os_errno,
                             "%s; without its keys the ledger can be read, not written",
                             why.message);
    }
    struct tl_config *adopted = NULL;
    status = ledger->role.reread ? read_config(ledger, &adopted, err) : TALLY_OK;
    if (status != TALLY_OK) {
        tl_keys_free(keys);
        return status;
    }
    const struct tl_sequencer_input input = { .paths = &ledger->paths,
                                              .config = &ledger->config,
                                              .store = ledger->role.store,
                                              .keys = keys,
                                              .adopted = adopted,
                                              .accept_clock = ledger->accept_clock };
    return tl_sequencer_resume(&ledger->role.sequencer, &input, err);
}

static tally_status take(struct tally_ledger *ledger, bool *elsewhere_out, struct tally_error *err)
{
    TL_TRY(take_lock(ledger, elsewhere_out, err));
    TL_TRY(tl_role_prepare(ledger, err));
    if (ledger->remote != NULL) {
        return tl_drain_open(&ledger->role.drain, ledger->paths.spool, err);
    }
    TL_TRY(open_sequencer(ledger, err));
    tl_mutex_lock(&ledger->state.mu);
    ledger->state.size = tl_sequencer_head(ledger->role.sequencer)->size;
    tl_mutex_unlock(&ledger->state.mu);
    TL_TRY(tl_indexer_start(ledger, err));
    return tl_drain_open(&ledger->role.drain, ledger->paths.spool, err);
}

tally_status tl_role_take(struct tally_ledger *ledger, bool *elsewhere_out, struct tally_error *err)
{
    tl_assert(!ledger->role.held && !ledger->paths.memory);
    *elsewhere_out = false;
    tally_status status = take(ledger, elsewhere_out, err);
    if (status != TALLY_OK) {
        tl_role_drop(ledger, false);
        return status;
    }
    ledger->role.held = true;
    return TALLY_OK;
}

void tl_role_drop(struct tally_ledger *ledger, bool drain_index)
{
    struct tl_role *role = &ledger->role;
    tl_indexer_stop(ledger, drain_index);
    tl_router_close(role->router);
    tl_drain_close(role->drain);
    tl_sequencer_close(role->sequencer);
    if (!ledger->paths.memory) {
        tl_store_close(role->store); /* in memory, readers hang on it */
        role->store = NULL;
    }
    free_buffers(role);
    role->router = NULL;
    role->drain = NULL;
    role->sequencer = NULL;
    role->recheck = false;
    role->held = false;
    give_lock_back(ledger);
}
