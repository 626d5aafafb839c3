#include "store_fault.h"

#include "store/store.h"

struct store_fault_plan store_fault;

struct faulty {
    struct tally_store base;
    struct tally_store *inner;
};

static struct tally_store *inner_of(struct tally_store *store)
{
    return tl_container_of(store, struct faulty, base)->inner;
}

/* Counts a call; the status it is to fail with, before it does anything, or TALLY_OK. */
static tally_status before(void)
{
    store_fault.calls++;
    return store_fault.calls == store_fault.nth && !store_fault.after ? store_fault.status
                                                                      : TALLY_OK;
}

/* What the call that was just made returns, having returned `status`. */
static tally_status after(tally_status status)
{
    return store_fault.calls == store_fault.nth && store_fault.after ? store_fault.status : status;
}

static tally_status wrap(struct tally_store **store_out, struct tally_store *inner,
                         struct tally_error *err);

static tally_status faulty_open(struct tally_store **store_out, const char *location,
                                enum tally_store_mode mode, struct tally_error *err)
{
    TL_TRY(before());
    struct tally_store *inner = NULL;
    TL_TRY(tl_store_open(&inner, location, mode, err));
    return wrap(store_out, inner, err);
}

static tally_status faulty_open_reader(struct tally_store *store, struct tally_store **reader_out,
                                       struct tally_error *err)
{
    TL_TRY(before());
    struct tally_store *inner = NULL;
    TL_TRY(tl_store_open_reader(inner_of(store), &inner, err));
    return wrap(reader_out, inner, err);
}

static tally_status faulty_begin_read(struct tally_store *store, struct tally_error *err)
{
    TL_TRY(before());
    return tl_store_begin_read(inner_of(store), err);
}

static void faulty_end_read(struct tally_store *store)
{
    tl_store_end_read(inner_of(store));
}

static tally_status faulty_head(struct tally_store *store, struct tally_head *head_out,
                                struct tally_error *err)
{
    TL_TRY(before());
    return after(tl_store_head(inner_of(store), head_out, err));
}

static tally_status faulty_append(struct tally_store *store, const struct tally_head *expected,
                                  const struct tally_batch *batch, struct tally_error *err)
{
    TL_TRY(before());
    return after(tl_store_append(inner_of(store), expected, batch, err));
}

static tally_status faulty_find_ids(struct tally_store *store,
                                    const uint8_t (*ids)[TALLY_LEAF_ID_LEN], size_t count,
                                    uint64_t *seqs_out, struct tally_error *err)
{
    TL_TRY(before());
    return after(tl_store_find_ids(inner_of(store), ids, count, seqs_out, err));
}

static tally_status faulty_scan(struct tally_store *store, uint64_t first, uint64_t end,
                                tally_record_fn *fn, void *ctx, struct tally_error *err)
{
    TL_TRY(before());
    return after(tl_store_scan(inner_of(store), first, end, fn, ctx, err));
}

static tally_status faulty_scan_tiles(struct tally_store *store, tally_tile_fn *fn, void *ctx,
                                      struct tally_error *err)
{
    TL_TRY(before());
    return after(tl_store_scan_tiles(inner_of(store), fn, ctx, err));
}

static tally_status faulty_tile(struct tally_store *store, uint32_t level, uint64_t n,
                                uint8_t *data_out, struct tally_error *err)
{
    TL_TRY(before());
    return after(tl_store_tile(inner_of(store), level, n, data_out, err));
}

static tally_status faulty_scan_checkpoints(struct tally_store *store, uint64_t first,
                                            tally_checkpoint_fn *fn, void *ctx,
                                            struct tally_error *err)
{
    TL_TRY(before());
    return after(tl_store_scan_checkpoints(inner_of(store), first, fn, ctx, err));
}

static tally_status faulty_newest_checkpoint(struct tally_store *store, uint64_t *size_out,
                                             struct tally_error *err)
{
    TL_TRY(before());
    return after(tl_store_newest_checkpoint(inner_of(store), size_out, err));
}

static tally_status faulty_self_check(struct tally_store *store,
                                      void (*fn)(void *ctx, const char *code, uint64_t seq,
                                                 const char *what),
                                      void *ctx, struct tally_error *err)
{
    TL_TRY(before());
    return after(tl_store_self_check(inner_of(store), fn, ctx, err));
}

static tally_status faulty_reduce(struct tally_store *store,
                                  const struct tally_reduction *reductions, size_t count,
                                  struct tally_error *err)
{
    TL_TRY(before());
    return after(tl_store_reduce(inner_of(store), reductions, count, err));
}

static tally_status faulty_reclaim(struct tally_store *store, uint64_t max_bytes,
                                   uint64_t *left_out, struct tally_error *err)
{
    TL_TRY(before());
    return after(tl_store_reclaim(inner_of(store), max_bytes, left_out, err));
}

static tally_status faulty_cosign(struct tally_store *store, uint64_t size, const char *note,
                                  size_t note_len, struct tally_error *err)
{
    TL_TRY(before());
    return after(tl_store_cosign(inner_of(store), size, note, note_len, err));
}

static void faulty_close(struct tally_store *store)
{
    tl_store_close(inner_of(store));
    tl_free(tl_container_of(store, struct faulty, base));
}

static const struct tally_store_ops faulty_ops = {
    .version = TALLY_STORE_VERSION,
    .scheme = "fault",
    .open = faulty_open,
    .open_reader = faulty_open_reader,
    .begin_read = faulty_begin_read,
    .end_read = faulty_end_read,
    .head = faulty_head,
    .append = faulty_append,
    .find_ids = faulty_find_ids,
    .scan = faulty_scan,
    .scan_tiles = faulty_scan_tiles,
    .tile = faulty_tile,
    .scan_checkpoints = faulty_scan_checkpoints,
    .newest_checkpoint = faulty_newest_checkpoint,
    .self_check = faulty_self_check,
    .close = faulty_close,
    .reduce = faulty_reduce,
    .reclaim = faulty_reclaim,
    .cosign = faulty_cosign,
};

/* Takes `inner`. */
static tally_status wrap(struct tally_store **store_out, struct tally_store *inner,
                         struct tally_error *err)
{
    struct faulty *store = tl_alloc_array(1, sizeof(*store));
    if (store == NULL) {
        tl_store_close(inner);
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a store");
    }
    store->base.ops = &faulty_ops;
    store->inner = inner;
    *store_out = &store->base;
    return TALLY_OK;
}

tally_status store_fault_register(void)
{
    return tally_store_register(&faulty_ops, NULL);
}
