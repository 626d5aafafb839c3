#include "ledger/removal_index.h"

#include <time.h>

#define TRIES    200 /* of 10 ms and more each */
#define PAUSE_NS 10000000
#define REOPENED 3

tally_status tl_forgetter_open(struct tl_forgetter *forgetter, struct tally_ledger *ledger,
                               struct tally_error *err)
{
    *forgetter = (struct tl_forgetter){ .ledger = ledger };
    return ledger->paths.memory
               ? TALLY_OK
               : tl_index_open(&forgetter->index, ledger->paths.index, TALLY_STORE_WRITE, err);
}

void tl_forgetter_close(struct tl_forgetter *forgetter)
{
    tl_index_close(forgetter->index);
    forgetter->index = NULL;
}

tally_status tl_forgetter_note(struct tl_forgetter *forgetter, const struct tl_range *ranges,
                               size_t count, uint64_t *id_out, struct tally_error *err)
{
    *id_out = 0;
    if (forgetter->index == NULL || count == 0) {
        return TALLY_OK;
    }
    TL_TRY(tl_index_removal_begin(forgetter->index, ranges[0].first, ranges[count - 1].last, id_out,
                                  err));
    forgetter->first_own = forgetter->first_own == 0 ? *id_out : forgetter->first_own;
    return TALLY_OK;
}

static tally_status rewrite(struct tl_forgetter *forgetter, const struct tl_range *ranges,
                            size_t count, struct tally_error *err)
{
    const struct tally_ledger *ledger = forgetter->ledger;
    struct tl_reader reader;
    TL_TRY(tl_reader_get(forgetter->ledger, &reader, err));
    tally_status status =
        tl_index_redo(forgetter->index, reader.store, ranges, count, &ledger->config, err);
    tl_reader_put(forgetter->ledger, &reader);
    return status;
}

static tally_status rewrite_patiently(struct tl_forgetter *forgetter, const struct tl_range *ranges,
                                      size_t count, struct tally_error *err)
{
    struct tally_error why = TALLY_ERROR_INIT;
    tally_status status = TALLY_EBUSY;
    for (int i = 0; i < TRIES && status == TALLY_EBUSY; i++) {
        if (i > 0) {
            const struct timespec pause = { .tv_nsec = PAUSE_NS };
            (void)nanosleep(&pause, NULL);
        }
        why = (struct tally_error)TALLY_ERROR_INIT;
        status = rewrite(forgetter, ranges, count, &why);
    }
    return status == TALLY_OK ? status : tl_fail_with(err, status, &why);
}

tally_status tl_forgetter_rewrite(struct tl_forgetter *forgetter, uint64_t id,
                                  const struct tl_range *ranges, size_t count,
                                  struct tally_error *err)
{
    struct tally_error why = TALLY_ERROR_INIT;
    tally_status status = TALLY_ECONFLICT;
    for (int i = 0; i < REOPENED && status == TALLY_ECONFLICT && id != 0; i++) {
        if (i > 0) { /* the index was made anew, perhaps of what was there before */
            tl_forgetter_close(forgetter);
            TL_TRY(tl_index_open(&forgetter->index, forgetter->ledger->paths.index,
                                 TALLY_STORE_WRITE, err));
            forgetter->first_own = 0;
            TL_TRY(tl_forgetter_note(forgetter, ranges, count, &id, err));
        }
        why = (struct tally_error)TALLY_ERROR_INIT;
        status = rewrite_patiently(forgetter, ranges, count, &why);
        if (status == TALLY_EBUSY) {
            return TALLY_OK; /* the note stays */
        }
        if (status == TALLY_OK) {
            status = tl_index_removal_set(forgetter->index, id, TL_REMOVAL_REWRITTEN, &why);
        }
    }
    return id == 0 || status == TALLY_OK ? TALLY_OK : tl_fail_with(err, status, &why);
}

struct collection {
    struct tl_unfinished *items;
    size_t count;
    size_t capacity;
    uint64_t first_own;
    bool all; /* also those of this removal */
};

static tally_status collect(void *ctx, const struct tl_index_removal *removal)
{
    struct collection *collection = ctx;
    bool is_rewritten = removal->stage == TL_REMOVAL_REWRITTEN;
    bool is_own = collection->first_own != 0 && removal->id >= collection->first_own;
    if (removal->stage == TL_REMOVAL_DONE || (is_rewritten && is_own && !collection->all)) {
        return TALLY_OK;
    }
    if (collection->count == collection->capacity) {
        size_t capacity = collection->capacity == 0 ? 16 : 2 * collection->capacity;
        struct tl_unfinished *items = tl_realloc_array(collection->items, capacity, sizeof(*items));
        if (items == NULL) {
            return TALLY_ENOMEM;
        }
        collection->items = items;
        collection->capacity = capacity;
    }
    collection->items[collection->count++] = (struct tl_unfinished){
        .id = removal->id,
        .range = { .first = removal->first, .last = removal->last },
        .is_rewritten = is_rewritten,
    };
    return TALLY_OK;
}

static tally_status collect_notes(struct tl_forgetter *forgetter, bool all,
                                  struct tl_unfinished **items_out, size_t *count_out,
                                  struct tally_error *err)
{
    struct collection collection = { .first_own = forgetter->first_own, .all = all };
    *items_out = NULL;
    *count_out = 0;
    if (forgetter->index == NULL) {
        return TALLY_OK;
    }
    tally_status status = tl_index_removals(forgetter->index, collect, &collection, err);
    if (status != TALLY_OK) {
        tl_free(collection.items);
        return tl_fail(err, status, "cannot read the notes of removals in the index");
    }
    *items_out = collection.items;
    *count_out = collection.count;
    return TALLY_OK;
}

tally_status tl_forgetter_unfinished(struct tl_forgetter *forgetter,
                                     struct tl_unfinished **items_out, size_t *count_out,
                                     struct tally_error *err)
{
    return collect_notes(forgetter, false, items_out, count_out, err);
}

tally_status tl_forgetter_noted(struct tl_forgetter *forgetter, uint64_t *count_out,
                                struct tally_error *err)
{
    TL_CLEANUP(tl_freep) struct tl_unfinished *items = NULL;
    size_t count = 0;
    TL_TRY(collect_notes(forgetter, true, &items, &count, err));
    *count_out = 0;
    for (size_t i = 0; i < count; i++) {
        *count_out += items[i].is_rewritten ? 0 : 1;
    }
    return TALLY_OK;
}

tally_status tl_forgetter_done(struct tl_forgetter *forgetter, struct tally_error *err)
{
    struct tl_unfinished *items = NULL;
    size_t count = 0;
    tally_status status = collect_notes(forgetter, true, &items, &count, err);
    for (size_t i = 0; i < count && status == TALLY_OK; i++) {
        if (items[i].is_rewritten) {
            status = tl_index_removal_set(forgetter->index, items[i].id, TL_REMOVAL_DONE, err);
        }
    }
    tl_free(items);
    return status;
}
