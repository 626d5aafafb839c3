#include "ledger/remote.h"

static void close_reader(struct tl_reader *reader)
{
    tl_index_close(reader->index);
    tl_store_close(reader->store);
    *reader = (struct tl_reader){ 0 };
}

/* An index that cannot be opened costs time, not truth: the records are searched without it. */
static void open_index(const struct tally_ledger *ledger, struct tl_reader *reader)
{
    if (!ledger->paths.memory &&
        tl_index_open(&reader->index, ledger->paths.index, TALLY_STORE_READ, NULL) != TALLY_OK) {
        reader->index = NULL;
    }
}

/* The store that readers are opened from: the sequencer's in memory, else one of their own, opened
 * when the first is needed. */
static tally_status base_store(struct tally_ledger *ledger, struct tally_store **base_out,
                               struct tally_error *err)
{
    if (ledger->paths.memory) {
        *base_out = ledger->role.store;
        return TALLY_OK;
    }
    tl_mutex_lock(&ledger->readers.mu);
    *base_out = ledger->readers.base;
    tl_mutex_unlock(&ledger->readers.mu);
    if (*base_out != NULL) {
        return TALLY_OK;
    }
    struct tally_store *mine = NULL;
    TL_TRY(tl_store_open(&mine, ledger->paths.store, TALLY_STORE_READ, err));
    tl_mutex_lock(&ledger->readers.mu);
    if (ledger->readers.base == NULL) {
        ledger->readers.base = mine;
        mine = NULL;
    }
    *base_out = ledger->readers.base;
    tl_mutex_unlock(&ledger->readers.mu);
    tl_store_close(mine); /* another thread was faster */
    return TALLY_OK;
}

tally_status tl_reader_get(struct tally_ledger *ledger, struct tl_reader *reader_out,
                           struct tally_error *err)
{
    *reader_out = (struct tl_reader){ 0 };
    TL_TRY(tl_refuse_inherited(ledger, err));
    TL_TRY(tl_remote_refuse(ledger, err));
    tl_mutex_lock(&ledger->readers.mu);
    if (ledger->readers.count > 0) {
        *reader_out = ledger->readers.idle[--ledger->readers.count];
    }
    tl_mutex_unlock(&ledger->readers.mu);
    if (reader_out->store == NULL) {
        struct tally_store *base = NULL;
        TL_TRY(base_store(ledger, &base, err));
        TL_TRY(tl_store_open_reader(base, &reader_out->store, err));
    }
    if (reader_out->index == NULL) {
        open_index(ledger, reader_out);
    }
    return TALLY_OK;
}

tally_status tl_reader_begin(struct tl_reader *reader, struct tally_error *err)
{
    TL_TRY(tl_store_begin_read(reader->store, err));
    reader->in_snapshot = true;
    return TALLY_OK;
}

void tl_reader_put(struct tally_ledger *ledger, struct tl_reader *reader)
{
    if (reader->store == NULL) {
        return;
    }
    if (reader->in_snapshot) {
        tl_store_end_read(reader->store);
        reader->in_snapshot = false;
    }
    tl_mutex_lock(&ledger->readers.mu);
    bool keep = ledger->readers.count < TL_READERS_MAX;
    if (keep) {
        ledger->readers.idle[ledger->readers.count++] = *reader;
    }
    tl_mutex_unlock(&ledger->readers.mu);
    if (!keep) {
        close_reader(reader);
    }
}

void tl_readers_close(struct tally_ledger *ledger)
{
    for (size_t i = 0; i < ledger->readers.count; i++) {
        close_reader(&ledger->readers.idle[i]);
    }
    ledger->readers.count = 0;
    tl_store_close(ledger->readers.base);
    ledger->readers.base = NULL;
}
