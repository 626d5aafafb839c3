/*
 * Gates: lock files, and flags for the threads of this process, because locks of one file that the
 * same thread opened twice would keep each other out as well, and a ledger in memory has no files.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>

#include "base/io.h"
#include "ledger/remote.h"

static const struct {
    const char *file;
    const char *busy;
} gates[TL_GATE_COUNT] = {
    [TL_GATE_REMOVAL] = { "removal.lock", "another purge or erasure is at work" },
    [TL_GATE_BATCH] = { "batch.lock", "a purge or an erasure is at work" },
    [TL_GATE_SCHEDULE] = { "schedule.lock", "somebody writes down what was run" },
};

/* The descriptor appears under the mutex, which fork() waits for: a child knows it, and closes it. */
static tally_status take(struct tally_ledger *ledger, enum tl_gate gate, const char *path,
                         bool wait, struct tally_error *err)
{
    struct tl_gates *state = &ledger->gates;
    tally_status status = TALLY_OK;
    tl_mutex_lock(&state->mu);
    while (wait && state->taken[gate]) {
        tl_cond_wait(&state->changed, &state->mu);
    }
    if (state->taken[gate]) {
        status = tl_fail_code(err, TALLY_EBUSY, "busy", "%s", gates[gate].busy);
    } else if (path != NULL) {
        int fd = tl_io->open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        status = fd >= 0 ? TALLY_OK
                         : tl_fail_errno(err, TALLY_EIO, errno, "cannot open lock '%s'", path);
        state->fds[gate] = fd;
    }
    state->taken[gate] = state->taken[gate] || status == TALLY_OK;
    tl_mutex_unlock(&state->mu);
    return status;
}

tally_status tl_gate_enter(struct tally_ledger *ledger, enum tl_gate gate, bool wait,
                           struct tally_error *err)
{
    TL_TRY(tl_refuse_inherited(ledger, err));
    TL_TRY(tl_remote_refuse(ledger, err));
    if (ledger->paths.memory) {
        return take(ledger, gate, NULL, wait, err);
    }
    char path[TL_PATH_SIZE];
    TL_TRY(tl_path_join(path, ledger->paths.dir, gates[gate].file, err));
    TL_TRY(take(ledger, gate, path, wait, err));
    int rc = 0;
    do {
        rc = tl_io->flock(ledger->gates.fds[gate], wait ? LOCK_EX : LOCK_EX | LOCK_NB);
    } while (rc != 0 && errno == EINTR);
    if (rc == 0) {
        return TALLY_OK;
    }
    int os_errno = errno;
    tl_gate_leave(ledger, gate);
    return os_errno == EWOULDBLOCK
               ? tl_fail_code(err, TALLY_EBUSY, "busy", "%s", gates[gate].busy)
               : tl_fail_errno(err, TALLY_EIO, os_errno, "cannot lock '%s'", path);
}

void tl_gate_leave(struct tally_ledger *ledger, enum tl_gate gate)
{
    struct tl_gates *state = &ledger->gates;
    if (tl_ledger_is_inherited(ledger)) {
        return; /* it was closed when the process was made */
    }
    tl_mutex_lock(&state->mu);
    tl_io_closep(&state->fds[gate]);
    state->fds[gate] = -1;
    state->taken[gate] = false;
    tl_cond_broadcast(&state->changed);
    tl_mutex_unlock(&state->mu);
}
