/* tally_stats(): counts by key, and by day or hour. */
#include <stdlib.h>

#include "base/bytes.h"
#include "crypto/crypto.h"
#include "ledger/remote_read.h"
#include "ledger/walk.h"

#define KEYS_MAX 10000u
#define SLOTS    32768u /* more than three times the keys: short chains */
#define KEY_MAX  256u   /* bytes of a key that are kept */
#define HOUR_US  INT64_C(3600000000)

struct tl_stats_cell {
    int64_t start_us; /* of the day or hour */
    uint64_t count;
    size_t key_len;
    char key[KEY_MAX + 1];
};

/* The result, and the hash table by which it is made. */
struct stats {
    struct tally_stats public;
    struct tally_stats_row *rows;
    struct tl_stats_cell **cells;
    size_t cell_count;
    uint32_t *slots;
    const char *by;
    int64_t step_us; /* of a day or an hour; 0: neither */
    bool no_key;     /* by == "day" or "hour": nothing else counts */
};

void tally_stats_free(struct tally_stats *public)
{
    if (public != NULL) {
        struct stats *stats = tl_container_of(public, struct stats, public);
        tl_assert(stats->cells != NULL || stats->cell_count == 0);
        for (size_t i = 0; i < stats->cell_count; i++) {
            tl_free(stats->cells[i]);
        }
        tl_free(stats->cells);
        tl_free(stats->rows);
        tl_free(stats->slots);
        tl_free(stats);
    }
}

static void stats_freep(struct stats **stats)
{
    if (*stats != NULL) {
        tally_stats_free(&(*stats)->public);
    }
    *stats = NULL;
}

static int64_t step_of(enum tally_bucket bucket)
{
    return bucket == TALLY_BUCKET_DAY ? TL_DAY_US : bucket == TALLY_BUCKET_HOUR ? HOUR_US : 0;
}

static int64_t start_of(int64_t us, int64_t step_us)
{
    int64_t steps = us / step_us;
    return (us % step_us < 0 ? steps - 1 : steps) * step_us;
}

static uint32_t hash_of(struct tl_str key, int64_t start_us)
{
    uint64_t hash = (uint64_t)start_us * UINT64_C(0x9E3779B97F4A7C15);
    for (size_t i = 0; i < key.len; i++) {
        hash = (hash ^ (uint8_t)key.text[i]) * UINT64_C(0x100000001B3);
    }
    return (uint32_t)(hash >> 32 ^ hash);
}

/* Finds the cell, or makes it; NULL in *cell_out if there are too many already. */
static tally_status cell_for(struct stats *stats, struct tl_str key, int64_t start_us,
                             struct tl_stats_cell **cell_out)
{
    key = key.text == NULL ? TL_STR("") : key; /* records that lack it */
    key.len = key.len > KEY_MAX ? KEY_MAX : key.len;
    uint32_t at = hash_of(key, start_us) % SLOTS;
    for (; stats->slots[at] != 0; at = (at + 1) % SLOTS) {
        struct tl_stats_cell *cell = stats->cells[stats->slots[at] - 1];
        tl_assert(cell != NULL);
        struct tl_str text = { .text = cell->key, .len = cell->key_len };
        if (cell->start_us == start_us && tl_str_equal(text, key)) {
            *cell_out = cell;
            return TALLY_OK;
        }
    }
    *cell_out = NULL;
    if (stats->cell_count == KEYS_MAX) {
        return TALLY_OK;
    }
    struct tl_stats_cell *cell = tl_alloc_array(1, sizeof(*cell));
    if (cell == NULL) {
        return TALLY_ENOMEM;
    }
    cell->start_us = start_us;
    cell->key_len = key.len;
    tl_str_copy(cell->key, sizeof(cell->key), key);
    stats->cells[stats->cell_count++] = cell;
    stats->slots[at] = (uint32_t)stats->cell_count;
    *cell_out = cell;
    return TALLY_OK;
}

static tally_status count_one(struct stats *stats, struct tl_str key, int64_t occurred_us)
{
    struct tl_stats_cell *cell = NULL;
    TL_TRY(cell_for(stats, key, stats->step_us != 0 ? start_of(occurred_us, stats->step_us) : 0,
                    &cell));
    stats->public.total++;
    if (cell == NULL) {
        stats->public.others++;
    } else {
        cell->count++;
    }
    return TALLY_OK;
}

static tally_status count_match(void *ctx, const struct tl_match *match)
{
    struct stats *stats = ctx;
    struct tl_str key = { 0 };
    bool known = true;
    if (match->view != NULL) {
        key = tl_view_field(match->view, stats->by, &known);
    }
    return count_one(stats, key, match->occurred_us);
}

static tally_status count_time(void *ctx, int64_t occurred_us)
{
    return count_one(ctx, (struct tl_str){ 0 }, occurred_us);
}

/* Days and hours in which nothing happened show as such, unless there are too many of them. */
static tally_status add_empty(struct stats *stats)
{
    if (stats->step_us == 0 || stats->cell_count == 0) {
        return TALLY_OK;
    }
    int64_t first = INT64_MAX;
    int64_t last = INT64_MIN;
    for (size_t i = 0; i < stats->cell_count; i++) {
        first = stats->cells[i]->start_us < first ? stats->cells[i]->start_us : first;
        last = stats->cells[i]->start_us > last ? stats->cells[i]->start_us : last;
    }
    size_t count = stats->cell_count;
    for (int64_t at = first; at <= last && (last - first) / stats->step_us < KEYS_MAX;
         at += stats->step_us) {
        bool there = false;
        for (size_t i = 0; i < count && !there; i++) {
            there = stats->cells[i]->start_us == at;
        }
        struct tl_stats_cell *cell = NULL;
        if (!there) {
            TL_TRY(cell_for(stats, (struct tl_str){ 0 }, at, &cell));
        }
    }
    return TALLY_OK;
}

static int compare_cells(const void *a, const void *b)
{
    const struct tl_stats_cell *x = *(struct tl_stats_cell *const *)a;
    const struct tl_stats_cell *y = *(struct tl_stats_cell *const *)b;
    if (x->start_us != y->start_us) {
        return x->start_us < y->start_us ? -1 : 1;
    }
    if (x->count != y->count) {
        return x->count > y->count ? -1 : 1;
    }
    return strcmp(x->key, y->key);
}

static tally_status finish(struct stats *stats)
{
    TL_TRY(add_empty(stats));
    qsort(stats->cells, stats->cell_count, sizeof(struct tl_stats_cell *), compare_cells);
    stats->rows = tl_alloc_array(stats->cell_count, sizeof(*stats->rows));
    if (stats->rows == NULL) {
        return TALLY_ENOMEM;
    }
    for (size_t i = 0; i < stats->cell_count; i++) {
        const struct tl_stats_cell *cell = stats->cells[i];
        stats->rows[i] = (struct tally_stats_row){ .key = cell->key,
                                                   .day_us = cell->start_us,
                                                   .count = cell->count };
    }
    stats->public.rows = stats->rows;
    stats->public.count = stats->cell_count;
    return TALLY_OK;
}

/* NULL without memory. */
static struct stats *stats_new(const char *by, bool no_key, enum tally_bucket bucket)
{
    struct stats *stats = tl_alloc_array(1, sizeof(*stats));
    if (stats == NULL) {
        return NULL;
    }
    stats->by = by;
    stats->no_key = no_key;
    stats->step_us = step_of(bucket);
    stats->public.bucket = bucket;
    stats->cells = tl_alloc_array(KEYS_MAX, sizeof(struct tl_stats_cell *));
    stats->slots = tl_alloc_array(SLOTS, sizeof(*stats->slots));
    if (stats->cells == NULL || stats->slots == NULL) {
        tally_stats_free(&stats->public);
        return NULL;
    }
    return stats;
}

/* The server has counted, and added what is empty. */
static tally_status take_row(void *ctx, struct tl_str key, int64_t start_us, uint64_t count)
{
    struct stats *stats = ctx;
    struct tl_stats_cell *cell = NULL;
    TL_TRY(cell_for(stats, key, start_us, &cell));
    if (cell != NULL) {
        cell->count = count;
    }
    return TALLY_OK;
}

static tally_status ask_server(const struct tally_ledger *ledger, const struct tally_query *query,
                               struct stats *stats, struct tally_error *err)
{
    const struct tl_remote_summary summary = {
        .by = stats->by,
        .bucket = stats->no_key ? TALLY_BUCKET_NONE : stats->public.bucket,
        .take = take_row,
        .ctx = stats,
    };
    stats->step_us = 0;
    return tl_remote_stats(ledger, query, &summary, &stats->public, err);
}

static tally_status count_all(struct tally_ledger *ledger, const struct tally_query *query,
                              struct stats *stats, struct tally_error *err)
{
    TL_CLEANUP(tl_filter_freep) struct tl_filter *filter = NULL;
    TL_CLEANUP(tl_walk_end) struct tl_walk *walk = NULL;
    TL_TRY(tl_walk_filter(&filter, ledger, query, err));
    TL_TRY(tl_walk_begin(&walk, ledger, filter, err));
    if (stats->no_key) {
        return tl_walk_times(walk, true, count_time, stats, err);
    }
    const struct tl_walk_order order = { .ascending = true };
    return tl_walk_run(walk, &order, count_match, stats, err);
}

static bool is_known(const char *by)
{
    static const struct tl_event_view empty;
    bool known = true;
    (void)tl_view_field(&empty, by, &known);
    return known;
}

tally_status tally_stats(struct tally_ledger *ledger, const struct tally_query *query,
                         const char *by, int bucket, struct tally_stats **stats_out,
                         struct tally_error *err)
{
    enum tally_bucket own = strcmp(by, "day") == 0    ? TALLY_BUCKET_DAY
                            : strcmp(by, "hour") == 0 ? TALLY_BUCKET_HOUR
                                                      : TALLY_BUCKET_NONE;
    bool no_key = own != TALLY_BUCKET_NONE;
    if (!no_key && !is_known(by)) {
        return tl_refuse(err, "bad_parameter", "", "cannot count by '%.64s'", by);
    }
    enum tally_bucket split = bucket == TALLY_BUCKET_NONE ? own : (enum tally_bucket)bucket;
    if (split > TALLY_BUCKET_HOUR || (no_key && split != own)) {
        return tl_refuse(err, "bad_parameter", "", "cannot count by '%.64s', and by such a time",
                         by);
    }
    TL_CLEANUP(stats_freep) struct stats *stats = stats_new(by, no_key, split);
    if (stats == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate statistics");
    }
    TL_TRY(ledger->remote != NULL ? ask_server(ledger, query, stats, err)
                                  : count_all(ledger, query, stats, err));
    if (finish(stats) != TALLY_OK) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate statistics");
    }
    *stats_out = &stats->public;
    stats = NULL;
    return TALLY_OK;
}
