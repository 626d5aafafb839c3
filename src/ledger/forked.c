/*
 * A ledger in the child of the process that opened it: the child writes segments of its own, and
 * leaves everything else to others. It cannot read the store, nor become the sequencer: SQLite keeps
 * the parent's file locks in memory that the child has inherited, and would trust them.
 */
#include "base/io.h"
#include "ledger/remote.h"

static void prepare(void *ctx) TL_NO_ANALYSIS
{
    struct tally_ledger *ledger = ctx;
    tl_mutex_lock(&ledger->queue.mu);
    tl_mutex_lock(&ledger->losses.mu);
    tl_mutex_lock(&ledger->state.mu);
    tl_mutex_lock(&ledger->gates.mu);
    tl_mutex_lock(&ledger->readers.mu);
}

static void in_parent(void *ctx) TL_NO_ANALYSIS
{
    struct tally_ledger *ledger = ctx;
    tl_mutex_unlock(&ledger->readers.mu);
    tl_mutex_unlock(&ledger->gates.mu);
    tl_mutex_unlock(&ledger->state.mu);
    tl_mutex_unlock(&ledger->losses.mu);
    tl_mutex_unlock(&ledger->queue.mu);
}

/* What the parent's threads were doing is unknown: their objects are left as they are, never to be
 * touched again, but for the lock and the secrets. */
static void in_child(void *ctx) TL_NO_ANALYSIS
{
    struct tally_ledger *ledger = ctx;
    tl_mutex_renew(&ledger->readers.mu);
    tl_mutex_renew(&ledger->gates.mu);
    tl_mutex_renew(&ledger->state.mu);
    tl_mutex_renew(&ledger->losses.mu);
    tl_mutex_renew(&ledger->queue.mu);
    /* Threads that waited here are not in this process. Takes no memory on Linux. */
    (void)tl_cond_init(&ledger->queue.work);
    (void)tl_cond_init(&ledger->queue.done);
    (void)tl_cond_init(&ledger->state.changed);
    (void)tl_cond_init(&ledger->gates.changed);
    for (size_t i = 0; i < TL_GATE_COUNT; i++) {
        tl_io_closep(&ledger->gates.fds[i]); /* the parent keeps these locks too */
        ledger->gates.fds[i] = -1;
        ledger->gates.taken[i] = false;
    }
    if (ledger->queue.lock_fd >= 0) {
        (void)tl_io->close(ledger->queue.lock_fd); /* the parent keeps the lock */
        ledger->queue.lock_fd = -1;
    }
    if (ledger->remote != NULL) {
        tl_remote_forget(ledger->remote);
    } else if (ledger->role.held) {
        tl_sequencer_wipe(ledger->role.sequencer);
    }
    ledger->role = (struct tl_role){ 0 };
    ledger->queue.first = NULL;
    ledger->queue.last = NULL;
    ledger->queue.sequencing = false;
    ledger->sequence_runs = false;
    ledger->index_runs = false;
    ledger->readers.base = NULL;
    ledger->readers.count = 0;
    tl_losses_forget(&ledger->losses);
    /* Nobody here looks at the disk again: a level kept from the parent would refuse events for ever. */
    tl_counter_set(&ledger->disk.level, TL_DISK_ROOM);
}

void tl_ledger_watch_forks(struct tally_ledger *ledger)
{
    ledger->generation = tl_fork_generation();
    ledger->watch = (struct tl_fork_watch){
        .prepare = prepare, .parent = in_parent, .child = in_child, .ctx = ledger
    };
    tl_fork_watch(&ledger->watch);
}

bool tl_ledger_is_inherited(const struct tally_ledger *ledger)
{
    return ledger->generation != tl_fork_generation();
}

tally_status tl_refuse_inherited(const struct tally_ledger *ledger, struct tally_error *err)
{
    return tl_ledger_is_inherited(ledger)
               ? tl_fail(err, TALLY_ENOTSUP,
                         "the ledger was opened before fork(): the child can log to it, nothing "
                         "else; fork first, or execute a program")
               : TALLY_OK;
}
