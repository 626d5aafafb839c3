/* Removes contents, a batch at a time. */
#include "ledger/removal.h"
#include "ledger/remote.h"

#include <fcntl.h>
#include <time.h>

#include "base/clock.h"
#include "base/io.h"
#include "ledger/removal_index.h"

#define BATCH_MAX       4096u
#define BATCH_FIRST     64u
#define LOOKED_MAX      64u /* at most as many records are looked at for each that there is room for */
#define BATCH_BYTES     ((size_t)8 << 20) /* of what is left of partly erased records */
#define TARGET_US       INT64_C(25000) /* a batch that took longer is followed by a smaller one */
#define PAUSE_MIN_US    INT64_C(1000)
#define BUSY_PAUSE_US   INT64_C(10000)
#define BUSY_TRIES      3000 /* 30 s and more */
#define RECLAIM_FIRST   ((uint64_t)256 << 10)
#define RECLAIM_MAX     ((uint64_t)1 << 20)
#define RECLAIM_TRIES   200 /* in a row without any success: 2 s and more */
#define CHECKPOINTS_MAX 64u
#define RANGES_RUN      65536u /* handed on at a time: the index writes much for few records */

struct tl_removal {
    struct tally_ledger *ledger;
    struct tally_store *writer; /* NULL in memory */
    bool has_gate;
    struct tl_forgetter forgetter;
    struct tl_acts acts;
    bool has_acts;
    uint64_t looked; /* acts below are known */
    struct tl_excuse_scope scope;
    struct tl_arena arena;
    struct tally_reduction *batch;
    size_t count;
    size_t room;
    size_t looked_at;     /* records, for this batch */
    uint64_t batch_bytes; /* that go */
    uint64_t batch_held;  /* passed over */
    uint64_t files;       /* bytes, when they were last measured */
    uint64_t freed;       /* bytes by which they have become smaller since */
};

static void sleep_us(int64_t us)
{
    const struct timespec pause = { .tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000 };
    (void)nanosleep(&pause, NULL); /* woken early, we are early */
}

/* What the databases take, without their logs, which come and go. */
static uint64_t measure_files(const struct tally_ledger *ledger)
{
    static const char *const names[] = { "ledger.db", "index.db" };
    uint64_t sum = 0;
    for (size_t i = 0; i < TL_ARRAY_LEN(names) && !ledger->paths.memory; i++) {
        char path[TL_PATH_SIZE];
        struct stat st;
        if (tl_path_join(path, ledger->paths.dir, names[i], NULL) != TALLY_OK) {
            continue;
        }
        TL_CLEANUP(tl_io_closep) int fd = tl_io->open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW, 0);
        if (fd >= 0 && tl_io->fstat(fd, &st) == 0) {
            sum += (uint64_t)st.st_size;
        }
    }
    return sum;
}

static tally_status begin(struct tl_removal *removal, struct tally_error *err)
{
    struct tally_ledger *ledger = removal->ledger;
    if (!ledger->writable) {
        return tl_fail(err, TALLY_EINVAL, "the ledger is open for reading only");
    }
    TL_TRY(tl_remote_refuse(ledger, err));
    TL_TRY(tl_refuse_inherited(ledger, err));
    removal->batch = tl_alloc_array(BATCH_MAX, sizeof(*removal->batch));
    if (removal->batch == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a removal");
    }
    TL_TRY(tl_gate_enter(ledger, TL_GATE_REMOVAL, false, err));
    removal->has_gate = true;
    removal->files = measure_files(ledger);
    TL_TRY(tl_forgetter_open(&removal->forgetter, ledger, err));
    return ledger->paths.memory
               ? TALLY_OK
               : tl_store_open(&removal->writer, ledger->paths.store, TALLY_STORE_WRITE, err);
}

tally_status tl_removal_begin(struct tl_removal **removal_out, struct tally_ledger *ledger,
                              struct tally_error *err)
{
    TL_CLEANUP(tl_removal_end) struct tl_removal *removal = tl_alloc_array(1, sizeof(*removal));
    if (removal == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a removal");
    }
    removal->ledger = ledger;
    removal->room = BATCH_FIRST;
    tl_arena_init(&removal->arena, 4 * BATCH_BYTES);
    TL_TRY(begin(removal, err));
    *removal_out = TL_TAKE(removal);
    return TALLY_OK;
}

void tl_removal_end(struct tl_removal **removal_ptr)
{
    struct tl_removal *removal = *removal_ptr;
    if (removal == NULL) {
        return;
    }
    tl_store_close(removal->writer);
    tl_forgetter_close(&removal->forgetter);
    tl_excuse_scope_release(&removal->scope);
    if (removal->has_acts) {
        tl_acts_release(&removal->acts);
    }
    tl_arena_release(&removal->arena);
    tl_free(removal->batch);
    if (removal->has_gate) {
        tl_gate_leave(removal->ledger, TL_GATE_REMOVAL);
    }
    tl_free(removal);
    *removal_ptr = NULL;
}

/* Checkpoints that ended with a control leaf perhaps. */
struct ends {
    uint64_t sizes[CHECKPOINTS_MAX];
    size_t count;
};

static tally_status note_end(void *ctx, const struct tally_checkpoint *checkpoint)
{
    struct ends *ends = ctx;
    if (ends->count == CHECKPOINTS_MAX) {
        return TALLY_ECANCELED;
    }
    ends->sizes[ends->count++] = checkpoint->size;
    return TALLY_OK;
}

static tally_status look_at_kind(void *ctx, const struct tally_record *record)
{
    struct tl_leaf leaf;
    TL_TRY(tl_leaf_decode(&leaf, record->leaf, record->leaf_len, NULL));
    *(bool *)ctx = *(bool *)ctx || tl_leaf_is_control(leaf.kind);
    return TALLY_OK;
}

/* Whether there may be acts that are not known yet. To read all of them for each batch would cost more
 * than the batch. */
static tally_status has_news(struct tl_removal *removal, struct tally_store *store, uint64_t size,
                             bool *news_out, struct tally_error *err)
{
    *news_out = !removal->has_acts;
    if (*news_out || size == removal->looked) {
        return TALLY_OK;
    }
    struct ends ends = { .count = 0 };
    tally_status status =
        tl_store_scan_checkpoints(store, removal->looked + 1, note_end, &ends, err);
    if (status == TALLY_ECANCELED) {
        *news_out = true; /* there are many */
        return TALLY_OK;
    }
    for (size_t i = 0; i < ends.count && status == TALLY_OK && !*news_out; i++) {
        status =
            tl_store_scan(store, ends.sizes[i] - 1, ends.sizes[i], look_at_kind, news_out, err);
    }
    return status;
}

static tally_status refresh(struct tl_removal *removal, struct tl_reader *reader,
                            struct tally_error *err)
{
    bool news = false;
    struct tally_head head;
    TL_TRY(tl_reader_begin(reader, err));
    TL_TRY(tl_store_head(reader->store, &head, err));
    TL_TRY(has_news(removal, reader->store, head.size, &news, err));
    removal->looked = head.size;
    if (!news) {
        removal->acts.size = head.size;
        return TALLY_OK;
    }
    if (removal->has_acts) {
        tl_excuse_scope_release(&removal->scope);
        tl_acts_release(&removal->acts);
        removal->has_acts = false;
    }
    tally_status status = tl_acts_read(&removal->acts, reader->store, err);
    removal->has_acts = true; /* to be released, in any case */
    if (status == TALLY_OK) {
        status = tl_excuse_scope_init(&removal->scope, &removal->acts.excuses);
    }
    if (status != TALLY_OK) {
        tl_excuse_scope_release(&removal->scope);
        tl_acts_release(&removal->acts);
        removal->has_acts = false;
        return tl_fail(err, status, "cannot read what was done to the ledger so far");
    }
    return TALLY_OK;
}

/* Reads in a snapshot that ends before anything is written. */
static tally_status with_reader(struct tl_removal *removal,
                                tally_status (*fn)(struct tl_removal *removal,
                                                   struct tl_reader *reader, void *ctx,
                                                   struct tally_error *err),
                                void *ctx, struct tally_error *err)
{
    struct tl_reader reader;
    TL_TRY(tl_reader_get(removal->ledger, &reader, err));
    tally_status status = refresh(removal, &reader, err);
    if (status == TALLY_OK && fn != NULL) {
        status = fn(removal, &reader, ctx, err);
    }
    tl_reader_put(removal->ledger, &reader);
    return status;
}

tally_status tl_removal_acts(struct tl_removal *removal, const struct tl_acts **acts_out,
                             struct tally_error *err)
{
    TL_TRY(with_reader(removal, NULL, NULL, err));
    *acts_out = &removal->acts;
    return TALLY_OK;
}

/* Where a run over the ranges has come to. */
struct cursor {
    const struct tl_removal_order *order;
    size_t at;
    uint64_t seq; /* next to look at, in that range */
    struct tl_removal *removal;
    bool again; /* what is gone is reduced once more */
};

static bool is_held(struct tl_removal *removal, uint64_t seq)
{
    tl_excuse_scope_at(&removal->scope, seq);
    return tl_excuse_held(&removal->scope, seq, removal->acts.size);
}

/* Whoever waits for the gate of batches waits for what is looked at, too. */
static bool is_full(const struct tl_removal *removal)
{
    return removal->count >= removal->room || removal->looked_at >= removal->room * LOOKED_MAX;
}

static tally_status gather_record(void *ctx, const struct tally_record *record)
{
    struct cursor *cursor = ctx;
    struct tl_removal *removal = cursor->removal;
    if (is_full(removal) || removal->arena.bytes >= BATCH_BYTES) {
        return TALLY_ECANCELED;
    }
    removal->looked_at++;
    cursor->seq = record->seq + 1;
    bool gone = record->event == NULL && record->seed == NULL && record->opened == NULL;
    if (gone && (!cursor->again || record->leaf_len != TALLY_LEAF_LEN)) {
        return TALLY_OK; /* or a control record, which never had contents */
    }
    if (!cursor->again && is_held(removal, record->seq)) {
        removal->batch_held++;
        return TALLY_OK;
    }
    struct tally_reduction *left = &removal->batch[removal->count];
    *left = (struct tally_reduction){ .seq = record->seq };
    if (cursor->order->fn != NULL && !gone) {
        tally_status status = cursor->order->fn(cursor->order->ctx, record, &removal->arena, left);
        if (status != TALLY_OK) {
            return status == TALLY_ENOTFOUND ? TALLY_OK : status;
        }
    }
    uint64_t before = record->event_len + record->seed_len + record->opened_len;
    uint64_t after = left->event_len + left->opened_len;
    removal->batch_bytes += before > after ? before - after : 0;
    removal->count++;
    return TALLY_OK;
}

/* Collects the next batch. */
static tally_status gather(struct tl_removal *removal, struct tl_reader *reader, void *ctx,
                           struct tally_error *err)
{
    struct cursor *cursor = ctx;
    const struct tl_removal_order *order = cursor->order;
    while (cursor->at < order->range_count && !is_full(removal)) {
        const struct tl_range *range = &order->ranges[cursor->at];
        cursor->seq = cursor->seq < range->first ? range->first : cursor->seq;
        tally_status status =
            tl_store_scan(reader->store, cursor->seq, range->last + 1, gather_record, cursor, err);
        if (status == TALLY_ECANCELED) {
            return TALLY_OK; /* full */
        }
        if (status != TALLY_OK) {
            return tl_fail(err, status, "cannot remove contents of record %llu",
                           (unsigned long long)cursor->seq - 1);
        }
        cursor->at++;
    }
    return TALLY_OK;
}

static tally_status reduce(struct tl_removal *removal, struct tally_error *err)
{
    struct tally_error why = TALLY_ERROR_INIT;
    tally_status status = TALLY_EBUSY;
    for (int i = 0; i < BUSY_TRIES && status == TALLY_EBUSY; i++) {
        if (i > 0) {
            sleep_us(BUSY_PAUSE_US);
        }
        why = (struct tally_error)TALLY_ERROR_INIT;
        status =
            tl_act_reduce(removal->ledger, removal->writer, removal->batch, removal->count, &why);
    }
    return status == TALLY_OK ? status : tl_fail_with(err, status, &why);
}

static tally_status remove_batch(struct tl_removal *removal, struct cursor *cursor,
                                 int64_t *took_us_out, struct tally_error *err)
{
    int64_t start_us = tl_clock->steady_us();
    removal->count = 0;
    removal->looked_at = 0;
    removal->batch_bytes = 0;
    removal->batch_held = 0;
    tl_arena_release(&removal->arena);
    tl_arena_init(&removal->arena, 4 * BATCH_BYTES);
    TL_TRY(with_reader(removal, gather, cursor, err));
    if (removal->count > 0) {
        TL_TRY(reduce(removal, err));
    }
    *took_us_out = tl_clock->steady_us() - start_us;
    return TALLY_OK;
}

/* As many records in the next batch as take about the time that one may take. */
static void adapt(struct tl_removal *removal, int64_t took_us)
{
    if (took_us > TARGET_US) {
        removal->room = removal->room > 16 ? removal->room / 2 : 8;
    } else if (took_us < TARGET_US / 3 && is_full(removal)) {
        removal->room = removal->room < BATCH_MAX / 2 ? 2 * removal->room : BATCH_MAX;
    }
}

/* All batches of an order. */
static tally_status remove_all(struct tl_removal *removal, struct cursor *cursor,
                               struct tl_removed *removed, struct tally_error *err)
{
    const struct tl_removal_order *order = cursor->order;
    while (cursor->at < order->range_count) {
        int64_t took_us = 0;
        TL_TRY(tl_gate_enter(removal->ledger, TL_GATE_BATCH, true, err));
        tally_status status = remove_batch(removal, cursor, &took_us, err);
        tl_gate_leave(removal->ledger, TL_GATE_BATCH);
        TL_TRY(status);
        removed->records += removal->count;
        removed->bytes += removal->batch_bytes;
        removed->held += removal->batch_held;
        if (order->progress != NULL &&
            order->progress(order->progress_ctx, removed->records, order->total) != 0) {
            return tl_fail(err, TALLY_ECANCELED, "stopped after %llu records",
                           (unsigned long long)removed->records);
        }
        adapt(removal, took_us);
        if (cursor->at < order->range_count) {
            sleep_us(took_us > PAUSE_MIN_US ? took_us : PAUSE_MIN_US);
        }
    }
    return TALLY_OK;
}

tally_status tl_removal_run(struct tl_removal *removal, const struct tl_removal_order *order,
                            struct tl_removed *removed, struct tally_error *err)
{
    struct cursor cursor = { .order = order, .removal = removal };
    uint64_t id = 0;
    TL_TRY(tl_forgetter_note(&removal->forgetter, order->ranges, order->range_count, &id, err));
    tally_status status = remove_all(removal, &cursor, removed, err);
    if (status != TALLY_OK && status != TALLY_ECANCELED) {
        return status; /* the note stays, and the next removal goes on from it */
    }
    tally_status forgot =
        tl_forgetter_rewrite(&removal->forgetter, id, order->ranges, order->range_count, err);
    return status == TALLY_OK ? forgot : status;
}

tally_status tl_removal_run_bits(struct tl_removal *removal, const struct tl_bits *bits,
                                 const struct tl_removal_order *order, struct tl_removed *removed,
                                 struct tally_error *err)
{
    TL_CLEANUP(tl_freep) struct tl_range *ranges = tl_alloc_array(RANGES_RUN, sizeof(*ranges));
    if (ranges == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a removal");
    }
    struct tl_removal_order part = *order;
    part.ranges = ranges;
    uint64_t at = 0;
    bool more = true;
    while (more) {
        part.range_count = 0;
        while (part.range_count < RANGES_RUN && more) {
            struct tl_range *range = &ranges[part.range_count];
            more = tl_bits_next(bits, at, range);
            if (more) {
                part.range_count++;
                at = range->last + 1;
            }
        }
        TL_TRY(tl_removal_run(removal, &part, removed, err));
    }
    return TALLY_OK;
}

/* Reduces once more what was reduced, and leaves all else as it is. */
static tally_status reduce_again(void *ctx, const struct tally_record *record,
                                 struct tl_arena *arena, struct tally_reduction *left)
{
    (void)ctx;
    if (record->seed != NULL || record->opened == NULL || record->event == NULL) {
        return TALLY_ENOTFOUND;
    }
    char *event = tl_arena_alloc(arena, record->event_len);
    uint8_t *opened = tl_arena_alloc(arena, record->opened_len);
    if (event == NULL || opened == NULL) {
        return TALLY_ENOMEM;
    }
    memcpy(event, record->event, record->event_len);
    memcpy(opened, record->opened, record->opened_len);
    left->event = event;
    left->event_len = record->event_len;
    left->opened = opened;
    left->opened_len = record->opened_len;
    return TALLY_OK;
}

/*
 * A removal that was cut off: what it had reduced is reduced again, which changes nothing but tells the
 * store where to clear, and its terms leave the index.
 */
static tally_status finish_earlier(struct tl_removal *removal, struct tally_error *err)
{
    struct tl_unfinished *items = NULL;
    size_t count = 0;
    TL_TRY(tl_forgetter_unfinished(&removal->forgetter, &items, &count, err));
    tally_status status = TALLY_OK;
    for (size_t i = 0; i < count && status == TALLY_OK; i++) {
        const struct tl_removal_order order = { .ranges = &items[i].range,
                                                .range_count = 1,
                                                .fn = reduce_again };
        struct cursor cursor = { .order = &order, .removal = removal, .again = true };
        struct tl_removed ignored = { 0 };
        status = remove_all(removal, &cursor, &ignored, err);
        if (status == TALLY_OK && !items[i].is_rewritten) {
            status = tl_forgetter_rewrite(&removal->forgetter, items[i].id, order.ranges, 1, err);
        }
    }
    tl_free(items);
    return status;
}

/* One step of clearing the store, or the index. */
typedef tally_status step_fn(struct tl_removal *removal, uint64_t max_bytes, uint64_t *left_out,
                             struct tally_error *err);

static tally_status reclaim_store(struct tl_removal *removal, uint64_t max_bytes,
                                  uint64_t *left_out, struct tally_error *err)
{
    return tl_store_reclaim(removal->writer, max_bytes, left_out, err);
}

static tally_status reclaim_index(struct tl_removal *removal, uint64_t max_bytes,
                                  uint64_t *left_out, struct tally_error *err)
{
    return tl_index_reclaim(removal->forgetter.index, max_bytes, left_out, err);
}

/* Others make the files larger meanwhile: only where they become smaller, room was given back. */
static void count_freed(struct tl_removal *removal)
{
    uint64_t files = measure_files(removal->ledger);
    removal->freed += files < removal->files ? removal->files - files : 0;
    removal->files = files;
}

/* Steps as large as take the time that one may take, until nothing is left, or readers are in the way
 * for too long. */
static tally_status reclaim_all(struct tl_removal *removal, step_fn *fn, uint64_t *left_out,
                                struct tally_error *err)
{
    uint64_t left = UINT64_MAX;
    uint64_t before = UINT64_MAX; /* after the last step that was made */
    uint64_t step = RECLAIM_FIRST;
    for (int idle = 0; left > 0 && idle < RECLAIM_TRIES; idle++) {
        struct tally_error why = TALLY_ERROR_INIT;
        int64_t start_us = tl_clock->steady_us();
        tally_status status = fn(removal, step, &left, &why);
        int64_t took_us = tl_clock->steady_us() - start_us;
        if (status != TALLY_OK && status != TALLY_EBUSY) {
            return tl_fail_with(err, status, &why);
        }
        count_freed(removal);
        bool better = status == TALLY_OK && left < before;
        idle = better ? 0 : idle;
        before = status == TALLY_OK ? left : before;
        if (took_us < TARGET_US / 3 && step < RECLAIM_MAX) {
            step *= 2;
        } else if (took_us > TARGET_US && step > RECLAIM_FIRST) {
            step /= 2;
        }
        int64_t pause_us = better ? PAUSE_MIN_US : BUSY_PAUSE_US;
        if (left > 0) {
            sleep_us(took_us > pause_us ? took_us : pause_us);
        }
    }
    *left_out += left;
    return TALLY_OK;
}

tally_status tl_removal_reclaim(struct tl_removal *removal, struct tl_removed *removed,
                                struct tally_error *err)
{
    uint64_t noted = 0;
    removed->left = 0;
    if (removal->writer == NULL) {
        return TALLY_OK; /* memory was given back when it was reduced */
    }
    TL_TRY(finish_earlier(removal, err));
    TL_TRY(reclaim_all(removal, reclaim_store, &removed->left, err));
    TL_TRY(reclaim_all(removal, reclaim_index, &removed->left, err));
    if (removed->left == 0) {
        TL_TRY(tl_forgetter_done(&removal->forgetter, err));
    }
    TL_TRY(tl_forgetter_noted(&removal->forgetter, &noted, err));
    removed->left += noted;
    removed->freed = removal->freed;
    return TALLY_OK;
}
