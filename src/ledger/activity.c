/* How logging is doing, seen from outside: read from store and spool, without the lock. */
#include <stdio.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"
#include "evidence/leaf.h"
#include "ledger/anchor.h"
#include "ledger/entry.h"
#include "ledger/ledger.h"
#include "ledger/logger.h"
#include "ledger/remote.h"

#define MINUTE_US 60000000
#define GAPS_MAX  1000u /* GAP records that are added up; more are `at least` */

/* Counting what the spool holds. Records of a segment are sealed in order, so the first one that is
 * not in the store is found by halving. */
struct spool_count {
    struct tally_store *store;     /* NULL for a remote ledger */
    const struct tally_page *gaps; /* the newest that are declared; NULL: not asked for */
    uint32_t pid;                  /* 0: of all processes */
    struct tally_activity *activity;
    int64_t oldest_us; /* INT64_MAX: none */
    struct tally_error *err;
};

static tally_status is_recorded(struct spool_count *count, const struct tl_spool_record *record,
                                bool *recorded_out)
{
    struct tl_event_keys keys;
    char id[132];
    uint8_t ids[1][TL_LEAF_ID_LEN];
    uint64_t seq = TALLY_SEQ_NONE;
    *recorded_out = false;
    if (count->store == NULL) {
        return TALLY_OK; /* of a remote ledger nobody here knows */
    }
    if (record->kind != TL_SPOOL_EVENT ||
        tl_event_keys_read(&keys, record->text, record->len) != TALLY_OK ||
        tl_id_copy(id, keys.id) != TALLY_OK || tl_leaf_id(ids[0], tl_str_of(id)) != TALLY_OK) {
        return TALLY_OK;
    }
    TL_TRY(tl_store_find_ids(count->store, (const uint8_t(*)[TALLY_LEAF_ID_LEN])ids, 1, &seq,
                             count->err));
    *recorded_out = seq != TALLY_SEQ_NONE;
    return TALLY_OK;
}

/* The index of the next event from `at` on, or record_count. */
static size_t next_event(const struct tl_spool_segment_view *view, size_t at)
{
    while (at < view->record_count && view->records[at].kind != TL_SPOOL_EVENT) {
        at++;
    }
    return at;
}

static tally_status first_unrecorded(struct spool_count *count,
                                     const struct tl_spool_segment_view *view, size_t *first_out)
{
    size_t low = 0;
    size_t high = view->record_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        size_t at = next_event(view, middle);
        bool recorded = false;
        if (at < high) {
            TL_TRY(is_recorded(count, &view->records[at], &recorded));
        }
        if (recorded) {
            low = at + 1;
        } else {
            high = middle;
        }
    }
    *first_out = low;
    return TALLY_OK;
}

/* One that is declared may lie in the spool for some time still. */
static void add_gap(const struct spool_count *count, const struct tl_spool_record *record)
{
    struct tally_activity *activity = count->activity;
    struct tl_gap gap;
    if (tl_gap_read(&gap, record->text, record->len) == TALLY_OK &&
        (count->gaps == NULL || !tl_gap_is_on_page(count->gaps, &gap))) {
        activity->dropped += gap.count;
        activity->dropped_is_exact = activity->dropped_is_exact != 0 && gap.exact;
    }
}

static tally_status count_segment(void *ctx, const struct tl_spool_segment_view *view)
{
    struct spool_count *count = ctx;
    struct tally_activity *activity = count->activity;
    size_t first = 0;
    if (count->pid != 0 && view->header.pid != count->pid) {
        return TALLY_OK;
    }
    TL_TRY(first_unrecorded(count, view, &first));
    activity->spool_segments++;
    activity->spool_bytes += view->header.size;
    activity->spool_writers += view->is_live ? 1 : 0;
    for (size_t i = first; i < view->record_count; i++) {
        const struct tl_spool_record *record = &view->records[i];
        if (record->kind == TL_SPOOL_GAP) {
            add_gap(count, record);
        } else if (record->kind == TL_SPOOL_EVENT || record->kind == TL_SPOOL_ROUTED) {
            activity->spool_events++;
            count->oldest_us =
                record->time_us < count->oldest_us ? record->time_us : count->oldest_us;
        }
    }
    return TALLY_OK;
}

/* Fills in the rest of `count`, and what it counts. */
static tally_status count_spool(const char *dir, struct spool_count *count, struct tally_error *err)
{
    struct tally_activity *activity = count->activity;
    count->oldest_us = INT64_MAX;
    count->err = err;
    TL_TRY(tl_spool_each_segment(dir, count_segment, count, err));
    if (count->oldest_us != INT64_MAX) {
        int64_t age_us = tl_clock->wall_us() - count->oldest_us;
        activity->oldest_unsent_s = age_us > 0 ? age_us / 1000000 : 0;
    }
    return TALLY_OK;
}

tally_status tl_count_unrecorded(struct tally_ledger *ledger, uint32_t pid, uint64_t *count_out,
                                 struct tally_error *err)
{
    struct tally_activity activity = TALLY_ACTIVITY_INIT;
    struct tl_reader reader = { 0 };
    if (ledger->remote == NULL) {
        TL_TRY(tl_reader_get(ledger, &reader, err));
    }
    struct spool_count count = { .store = reader.store, .pid = pid, .activity = &activity };
    tally_status status = count_spool(ledger->paths.spool, &count, err);
    tl_reader_put(ledger, &reader);
    *count_out = activity.spool_events;
    return status;
}

static tally_status take_time(void *ctx, const struct tally_record *record)
{
    struct tl_leaf leaf;
    TL_TRY(tl_leaf_decode(&leaf, record->leaf, record->leaf_len, NULL));
    *(int64_t *)ctx = leaf.time_us;
    return TALLY_OK;
}

static tally_status time_of(struct tally_store *store, uint64_t seq, int64_t *time_out,
                            struct tally_error *err)
{
    *time_out = 0;
    return tl_store_scan(store, seq, seq + 1, take_time, time_out, err);
}

/* Leaves never go back in time: the first of the last minute is found by halving. */
static tally_status count_minute(struct tally_store *store, struct tally_activity *activity,
                                 struct tally_error *err)
{
    int64_t now = tl_clock->wall_us();
    int64_t time_us = 0;
    uint64_t low = 0;
    uint64_t high = activity->size;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        TL_TRY(time_of(store, middle, &time_us, err));
        if (time_us < now - MINUTE_US) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    activity->recorded_60s = activity->size - low;
    if (activity->size > 0) {
        TL_TRY(time_of(store, activity->size - 1, &time_us, err));
        activity->newest_s = now > time_us ? (now - time_us) / 1000000 : 0;
    }
    return TALLY_OK;
}

/* Adds up what the newest GAP records declare. */
static tally_status count_gaps(struct tally_ledger *ledger, struct tally_activity *activity,
                               struct tally_page **page_out, struct tally_error *err)
{
    const struct tally_condition conditions[] = { { "kind", "gap" } };
    struct tally_query query = TALLY_QUERY_INIT;
    query.conditions = conditions;
    query.condition_count = TL_ARRAY_LEN(conditions);
    query.limit = GAPS_MAX;
    query.count = TALLY_COUNT_CAPPED;
    struct tally_page *page = NULL;
    TL_TRY(tally_find(ledger, &query, &page, err));
    activity->gaps = page->has_total != 0 ? page->total : page->count;
    activity->dropped_is_exact =
        activity->dropped_is_exact != 0 && page->next == NULL && page->complete != 0;
    for (size_t i = 0; i < page->count; i++) {
        uint64_t count = 0;
        bool exact = false;
        if (tl_gap_of_line(page->items[i].line, page->items[i].line_len, &count, &exact)) {
            activity->dropped += count;
        }
        activity->dropped_is_exact = activity->dropped_is_exact != 0 && exact;
    }
    *page_out = page;
    return TALLY_OK;
}

static tally_status count_quarantined(void *ctx, const char *name)
{
    (void)name;
    (*(uint64_t *)ctx)++;
    return TALLY_OK;
}

static tally_status look_at_files(const struct tl_paths *paths, struct tally_activity *activity,
                                  struct tally_error *err)
{
    char dir[TL_PATH_SIZE];
    TL_TRY(tl_path_join(dir, paths->spool, "quarantine", err));
    tally_status status = tl_io_each_entry(dir, count_quarantined, &activity->quarantined, NULL);
    if (status != TALLY_OK && status != TALLY_ENOTFOUND) {
        return tl_fail(err, status, "cannot read '%s'", dir);
    }
    TL_CLEANUP(tl_freep) char *text = NULL;
    size_t len = 0;
    if (tl_io_read_file(paths->trouble, sizeof(activity->trouble) - 1, &text, &len, NULL) ==
        TALLY_OK) {
        memcpy(activity->trouble, text, len);
    }
    int64_t anchored = tl_anchor_last(paths);
    if (anchored > 0) {
        int64_t age = tl_clock->wall_us() / 1000000 - anchored;
        activity->anchored_s = age > 0 ? age : 0;
    }
    struct statvfs fs;
    if (tl_io->statvfs(paths->dir, &fs) == 0) {
        activity->disk_free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
    }
    activity->sequencer_pid = tl_lock_holder(paths->lock);
    return TALLY_OK;
}

static tally_status read_store(struct tally_ledger *ledger, const struct tally_page *gaps,
                               struct tally_activity *activity, struct tally_error *err)
{
    struct tl_reader reader;
    struct tally_head head;
    TL_TRY(tl_reader_get(ledger, &reader, err));
    /* The spool first: what is recorded meanwhile is then in both, not in neither. */
    struct spool_count count = { .store = reader.store, .gaps = gaps, .activity = activity };
    tally_status status = count_spool(ledger->paths.spool, &count, err);
    if (status == TALLY_OK) {
        status = tl_store_head(reader.store, &head, err);
    }
    if (status == TALLY_OK) {
        activity->size = head.size;
        status = count_minute(reader.store, activity, err);
    }
    if (status == TALLY_OK && reader.index != NULL) {
        status = tl_index_position(reader.index, &activity->indexed_to, err);
    }
    tl_reader_put(ledger, &reader);
    return status;
}

/* What waits on this machine, and whether the server answers. */
static tally_status read_remote(struct tally_ledger *ledger, struct tally_activity *activity,
                                struct tally_error *err)
{
    struct tl_http_answer answer = { 0 };
    struct tally_error why = TALLY_ERROR_INIT;
    struct spool_count count = { .activity = activity };
    TL_TRY(count_spool(ledger->paths.spool, &count, err));
    TL_TRY(tl_refused_count(&ledger->paths, &activity->refused, err));
    tally_status status = tl_remote_get(ledger->remote, "/readyz", &answer, &why);
    tl_http_answer_release(&answer);
    if (status != TALLY_OK && activity->trouble[0] == '\0') {
        (void)snprintf(activity->trouble, sizeof(activity->trouble), "%s: %.200s",
                       tally_status_name(status), why.message);
    }
    return TALLY_OK;
}

static tally_status read_activity(struct tally_ledger *ledger, struct tally_activity *activity,
                                  struct tally_error *err)
{
    struct tally_page *gaps = NULL;
    (void)snprintf(activity->origin, sizeof(activity->origin), "%s", ledger->origin);
    activity->anchor_targets = ledger->remote == NULL ? ledger->config.anchor_target_count : 0;
    TL_TRY(look_at_files(&ledger->paths, activity, err));
    if (ledger->remote != NULL) {
        return read_remote(ledger, activity, err);
    }
    TL_TRY(count_gaps(ledger, activity, &gaps, err));
    tally_status status = read_store(ledger, gaps, activity, err);
    tally_page_free(gaps);
    return status;
}

tally_status tally_activity_read(const struct tally_options *options,
                                 struct tally_activity *activity_out, struct tally_error *err)
{
    struct tally_options reading = *options;
    reading.writable = 0;
    struct tally_ledger *ledger = NULL;
    TL_TRY(tally_open(&ledger, &reading, err));
    if (ledger->paths.remote && ledger->paths.dir[0] == '\0') {
        tally_close(ledger);
        return tl_fail(err, TALLY_EINVAL, "set 'remote.spool', where events wait");
    }
    if (ledger->paths.memory) {
        tally_close(ledger);
        return tl_fail(err, TALLY_EINVAL, "a ledger in memory has no activity outside its process");
    }
    struct tally_activity activity = TALLY_ACTIVITY_INIT;
    activity.dropped_is_exact = 1;
    tally_status status = read_activity(ledger, &activity, err);
    tally_close(ledger);
    if (status == TALLY_OK) {
        *activity_out = activity;
    }
    return status;
}
