#include "support/image.h"

#include <string.h>

#include "store/store.h"

static struct image *image_of(struct tally_store *store)
{
    return tl_container_of(store, struct image, store);
}

static tally_status count_read(struct image *image, struct tally_error *err)
{
    if (image->reads_left > 0 && --image->reads_left == 0) {
        return tl_fail(err, TALLY_EIO, "the disk is gone");
    }
    return TALLY_OK;
}

static tally_status image_open(struct tally_store **store_out, const char *location,
                               enum tally_store_mode mode, struct tally_error *err)
{
    (void)store_out;
    (void)location;
    (void)mode;
    return tl_fail(err, TALLY_ENOTSUP, "an image has no location");
}

static tally_status image_open_reader(struct tally_store *store, struct tally_store **reader_out,
                                      struct tally_error *err)
{
    (void)store;
    (void)reader_out;
    return tl_fail(err, TALLY_ENOTSUP, "an image has one reader");
}

static tally_status image_begin(struct tally_store *store, struct tally_error *err)
{
    return count_read(image_of(store), err);
}

static void image_end(struct tally_store *store)
{
    (void)store;
}

static tally_status image_head(struct tally_store *store, struct tally_head *head_out,
                               struct tally_error *err)
{
    TL_TRY(count_read(image_of(store), err));
    *head_out = image_of(store)->head;
    return TALLY_OK;
}

static tally_status image_append(struct tally_store *store, const struct tally_head *expected,
                                 const struct tally_batch *batch, struct tally_error *err)
{
    (void)store;
    (void)expected;
    (void)batch;
    return tl_fail(err, TALLY_ENOTSUP, "an image is changed by hand");
}

static tally_status image_find_ids(struct tally_store *store,
                                   const uint8_t (*ids)[TALLY_LEAF_ID_LEN], size_t count,
                                   uint64_t *seqs_out, struct tally_error *err)
{
    (void)store;
    (void)ids;
    (void)count;
    (void)seqs_out;
    return tl_fail(err, TALLY_ENOTSUP, "an image has no ids");
}

static tally_status image_scan(struct tally_store *store, uint64_t first, uint64_t end,
                               tally_record_fn *fn, void *ctx, struct tally_error *err)
{
    struct image *image = image_of(store);
    TL_TRY(count_read(image, err));
    /* Where nothing was moved about, a scan need not look at all records. */
    bool dense = first < image->record_count && image->records[first].seq == first;
    for (size_t i = dense ? (size_t)first : 0; i < image->record_count; i++) {
        const struct image_record *from = &image->records[i];
        if (from->seq >= end && from->seq == i) {
            break;
        }
        if (from->seq < first || from->seq >= end) {
            continue;
        }
        struct tally_record record = {
            .seq = from->seq,
            .leaf = from->leaf.data,
            .leaf_len = from->leaf.len,
            .event = (const char *)from->event.data,
            .event_len = from->event.len,
            .seed = from->seed.data,
            .seed_len = from->seed.len,
            .opened = from->opened.data,
            .opened_len = from->opened.len,
        };
        TL_TRY(fn(ctx, &record));
    }
    return TALLY_OK;
}

static tally_status image_scan_tiles(struct tally_store *store, tally_tile_fn *fn, void *ctx,
                                     struct tally_error *err)
{
    struct image *image = image_of(store);
    TL_TRY(count_read(image, err));
    for (size_t i = 0; i < image->tile_count; i++) {
        struct tally_tile tile = { .level = image->tiles[i].level,
                                   .n = image->tiles[i].n,
                                   .data = image->tiles[i].data };
        TL_TRY(fn(ctx, &tile));
    }
    return TALLY_OK;
}

static tally_status image_tile(struct tally_store *store, uint32_t level, uint64_t n,
                               uint8_t *data_out, struct tally_error *err)
{
    struct image *image = image_of(store);
    TL_TRY(count_read(image, err));
    for (size_t i = 0; i < image->tile_count; i++) {
        if (image->tiles[i].level == level && image->tiles[i].n == n) {
            memcpy(data_out, image->tiles[i].data, TALLY_TILE_LEN);
            return TALLY_OK;
        }
    }
    return tl_fail(err, TALLY_ENOTFOUND, "no such tile");
}

static tally_status image_scan_checkpoints(struct tally_store *store, uint64_t first,
                                           tally_checkpoint_fn *fn, void *ctx,
                                           struct tally_error *err)
{
    struct image *image = image_of(store);
    TL_TRY(count_read(image, err));
    for (size_t i = 0; i < image->checkpoint_count; i++) {
        struct tally_checkpoint checkpoint = {
            .size = image->checkpoints[i].size,
            .note = (const char *)image->checkpoints[i].note.data,
            .note_len = image->checkpoints[i].note.len,
        };
        if (checkpoint.size >= first) {
            TL_TRY(fn(ctx, &checkpoint));
        }
    }
    return TALLY_OK;
}

static tally_status image_newest(struct tally_store *store, uint64_t *size_out,
                                 struct tally_error *err)
{
    struct image *image = image_of(store);
    TL_TRY(count_read(image, err));
    *size_out =
        image->checkpoint_count == 0 ? 0 : image->checkpoints[image->checkpoint_count - 1].size;
    return TALLY_OK;
}

static tally_status image_self_check(struct tally_store *store,
                                     void (*fn)(void *ctx, const char *code, uint64_t seq,
                                                const char *what),
                                     void *ctx, struct tally_error *err)
{
    struct image *image = image_of(store);
    TL_TRY(count_read(image, err));
    if (image->self_finding != NULL) {
        fn(ctx, image->self_finding, 3, "the store says so");
    }
    return TALLY_OK;
}

static void image_close(struct tally_store *store)
{
    (void)store;
}

static const struct tally_store_ops image_ops = {
    .version = TALLY_STORE_VERSION,
    .scheme = "image",
    .open = image_open,
    .open_reader = image_open_reader,
    .begin_read = image_begin,
    .end_read = image_end,
    .head = image_head,
    .append = image_append,
    .find_ids = image_find_ids,
    .scan = image_scan,
    .scan_tiles = image_scan_tiles,
    .tile = image_tile,
    .scan_checkpoints = image_scan_checkpoints,
    .newest_checkpoint = image_newest,
    .self_check = image_self_check,
    .close = image_close,
};

void image_init(struct image *image)
{
    *image = (struct image){ .store = { .ops = &image_ops } };
}

static void *grow(void *items, size_t count, size_t size)
{
    /* Doubled at powers of two, so that big ledgers do not take for ever. */
    if (count != 0 && (count & (count - 1)) != 0) {
        return items;
    }
    void *grown = tl_realloc_array(items, count == 0 ? 1 : count * 2, size);
    tl_assert(grown != NULL);
    return grown;
}

void image_set(struct image_bytes *bytes, const void *data, size_t len)
{
    uint8_t *copy = NULL;
    if (data != NULL) {
        copy = tl_alloc_array(len + 1, 1);
        tl_assert(copy != NULL);
        memcpy(copy, data, len);
    }
    tl_free(bytes->data);
    *bytes = (struct image_bytes){ .data = copy, .len = len };
}

void image_clear(struct image_bytes *bytes)
{
    image_set(bytes, NULL, 0);
}

static void fill(struct image_record *to, const struct tally_record *record)
{
    *to = (struct image_record){ .seq = record->seq };
    image_set(&to->leaf, record->leaf, record->leaf_len);
    image_set(&to->event, record->event, record->event_len);
    image_set(&to->seed, record->seed, record->seed_len);
    image_set(&to->opened, record->opened, record->opened_len);
}

void image_insert(struct image *image, size_t at, const struct tally_record *record)
{
    image->records = grow(image->records, image->record_count, sizeof(*image->records));
    memmove(image->records + at + 1, image->records + at,
            (image->record_count - at) * sizeof(*image->records));
    image->record_count++;
    fill(&image->records[at], record);
}

void image_add(struct image *image, const struct tally_record *record)
{
    image_insert(image, image->record_count, record);
}

static void release_record(struct image_record *record)
{
    image_clear(&record->leaf);
    image_clear(&record->event);
    image_clear(&record->seed);
    image_clear(&record->opened);
}

void image_remove(struct image *image, size_t at)
{
    release_record(&image->records[at]);
    image->record_count--;
    memmove(image->records + at, image->records + at + 1,
            (image->record_count - at) * sizeof(*image->records));
    /* grow() reads the capacity off the count, which therefore never falls: start afresh. */
    size_t capacity = 1;
    while (capacity < image->record_count) {
        capacity *= 2;
    }
    image->records = tl_realloc_array(image->records, capacity, sizeof(*image->records));
    tl_assert(image->records != NULL);
}

void image_add_tile(struct image *image, uint32_t level, uint64_t n, const uint8_t *data)
{
    image->tiles = grow(image->tiles, image->tile_count, sizeof(*image->tiles));
    struct image_tile *tile = &image->tiles[image->tile_count++];
    tile->level = level;
    tile->n = n;
    memcpy(tile->data, data, sizeof(tile->data));
}

void image_add_checkpoint(struct image *image, uint64_t size, const char *note, size_t len)
{
    image->checkpoints =
        grow(image->checkpoints, image->checkpoint_count, sizeof(*image->checkpoints));
    struct image_checkpoint *checkpoint = &image->checkpoints[image->checkpoint_count++];
    *checkpoint = (struct image_checkpoint){ .size = size };
    image_set(&checkpoint->note, note, len);
}

void image_remove_checkpoint(struct image *image, size_t at)
{
    image_clear(&image->checkpoints[at].note);
    image->checkpoint_count--;
    memmove(image->checkpoints + at, image->checkpoints + at + 1,
            (image->checkpoint_count - at) * sizeof(*image->checkpoints));
}

void image_release(struct image *image)
{
    for (size_t i = 0; i < image->record_count; i++) {
        release_record(&image->records[i]);
    }
    for (size_t i = 0; i < image->checkpoint_count; i++) {
        image_clear(&image->checkpoints[i].note);
    }
    tl_free(image->records);
    tl_free(image->tiles);
    tl_free(image->checkpoints);
    image_init(image);
}

static struct tally_record record_of(const struct image_record *from)
{
    return (struct tally_record){
        .seq = from->seq,
        .leaf = from->leaf.data,
        .leaf_len = from->leaf.len,
        .event = (const char *)from->event.data,
        .event_len = from->event.len,
        .seed = from->seed.data,
        .seed_len = from->seed.len,
        .opened = from->opened.data,
        .opened_len = from->opened.len,
    };
}

void image_copy(struct image *to, const struct image *from)
{
    image_init(to);
    to->head = from->head;
    for (size_t i = 0; i < from->record_count; i++) {
        struct tally_record record = record_of(&from->records[i]);
        image_add(to, &record);
    }
    for (size_t i = 0; i < from->tile_count; i++) {
        image_add_tile(to, from->tiles[i].level, from->tiles[i].n, from->tiles[i].data);
    }
    for (size_t i = 0; i < from->checkpoint_count; i++) {
        image_add_checkpoint(to, from->checkpoints[i].size,
                             (const char *)from->checkpoints[i].note.data,
                             from->checkpoints[i].note.len);
    }
}

tally_status image_store(const struct image *image, struct tally_store *store)
{
    struct tally_record *records = tl_alloc_array(image->record_count, sizeof(*records));
    struct tally_tile *tiles = tl_alloc_array(image->tile_count, sizeof(*tiles));
    tl_assert(records != NULL && tiles != NULL);
    for (size_t i = 0; i < image->record_count; i++) {
        records[i] = record_of(&image->records[i]);
    }
    for (size_t i = 0; i < image->tile_count; i++) {
        tiles[i] = (struct tally_tile){ .level = image->tiles[i].level,
                                        .n = image->tiles[i].n,
                                        .data = image->tiles[i].data };
    }
    tally_status status = TALLY_OK;
    struct tally_head head = { 0 };
    uint64_t done = 0;
    for (size_t i = 0; i < image->checkpoint_count && status == TALLY_OK; i++) {
        const struct image_checkpoint *checkpoint = &image->checkpoints[i];
        bool last = i + 1 == image->checkpoint_count;
        struct tally_batch batch = {
            .records = records + done,
            .count = (size_t)(checkpoint->size - done),
            .tiles = last ? tiles : NULL, /* all at once: a store does not look into them */
            .tile_count = last ? image->tile_count : 0,
            .checkpoint = { .size = checkpoint->size,
                            .note = (const char *)checkpoint->note.data,
                            .note_len = checkpoint->note.len },
            .head = image->head,
        };
        batch.head.size = checkpoint->size;
        status = tl_store_append(store, &head, &batch, NULL);
        head = batch.head;
        done = checkpoint->size;
    }
    tl_free(records);
    tl_free(tiles);
    return status;
}
