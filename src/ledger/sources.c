/* tally_sources(): who sends events, who fell silent, and what no list of the policy names. */
#include <stdlib.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/parse.h"
#include "codec/json.h"
#include "ledger/walk.h"
#include "model/terms.h"

#define HOUR_S        3600
#define HOUR_US       INT64_C(3600000000)
#define HOURS_LEAST   3u /* in which it was active: fewer have no usual pause */
#define UNLISTED_MAX  200u
#define REPORTS_MAX   1000u
#define NAME_SIZE     160u
#define ACTIONS_BYTES ((size_t)16 << 20) /* of one report */

struct reported {
    char action[NAME_SIZE];
    uint64_t count;
    int64_t last_us;
};

/* Large: allocated. */
struct found {
    struct tally_sources public;
    struct tl_index_activity activity;
    struct tally_source sources[TL_INDEX_ACTIVE_MAX];
    struct reported reported[UNLISTED_MAX];
    struct tally_unlisted unlisted[UNLISTED_MAX];
};

void tally_sources_free(struct tally_sources *public)
{
    if (public != NULL) {
        tl_free(tl_container_of(public, struct found, public));
    }
}

static void found_freep(struct found **found)
{
    tl_free(*found);
    *found = NULL;
}

/* ---- services ---------------------------------------------------------------------------------- */

static bool is_active(const struct tl_index_active *value, unsigned hour)
{
    return (value->hours[hour / 8] >> hour % 8 & 1) != 0;
}

/* The longest time between two hours in which it was active; 0 if those are too few. */
static unsigned longest_pause(const struct tl_index_active *value)
{
    unsigned count = 0;
    unsigned last = 0;
    unsigned longest = 0;
    for (unsigned hour = 0; hour < TL_INDEX_ACTIVE_HOURS; hour++) {
        if (is_active(value, hour)) {
            longest = count > 0 && hour - last > longest ? hour - last : longest;
            last = hour;
            count++;
        }
    }
    return count < HOURS_LEAST ? 0 : longest;
}

static void judge(struct tally_source *source, const struct tl_index_active *value, int64_t now_us)
{
    unsigned pause = longest_pause(value);
    *source = (struct tally_source){ .service = value->value,
                                     .events = value->records,
                                     .last_us = value->last_us,
                                     .silent_after_s = (int64_t)pause * HOUR_S * 3 / 2 };
    source->silent =
        pause > 0 && (now_us - value->last_us) / 1000000 > source->silent_after_s ? 1 : 0;
}

static int compare_sources(const void *a, const void *b)
{
    const struct tally_source *x = a;
    const struct tally_source *y = b;
    return strcmp(x->service, y->service);
}

static tally_status look_at_index(struct found *found, struct tl_index *index, int64_t now_us,
                                  struct tally_error *err)
{
    char prefix[8];
    struct tl_buf term;
    tl_buf_init_fixed(&term, prefix, sizeof(prefix));
    (void)tl_term_write(&term, TL_FIELD_SERVICE, TL_STR(""));
    int64_t from_us = now_us - TL_INDEX_ACTIVE_HOURS * HOUR_US + 1; /* now is in the last hour */
    TL_TRY(tl_index_activity(index, tl_buf_str(&term), from_us, &found->activity, err));
    for (size_t i = 0; i < found->activity.count; i++) {
        if (found->activity.values[i].records > 0) {
            judge(&found->sources[found->public.source_count++], &found->activity.values[i],
                  now_us);
        }
    }
    qsort(found->sources, found->public.source_count, sizeof(found->sources[0]), compare_sources);
    found->public.sources = found->sources;
    found->public.sources_cut = found->activity.is_cut ? 1 : 0;
    return TALLY_OK;
}

static tally_status find_services(struct found *found, struct tally_ledger *ledger, int64_t now_us,
                                  struct tally_error *err)
{
    struct tl_reader reader = { 0 };
    TL_TRY(tl_reader_get(ledger, &reader, err));
    tally_status status =
        reader.index == NULL
            ? tl_fail(err, TALLY_ENOTSUP, "a ledger without an index does not know its sources")
            : look_at_index(found, reader.index, now_us, err);
    tl_reader_put(ledger, &reader);
    return status;
}

/* ---- unlisted actions -------------------------------------------------------------------------- */

static void add_action(struct found *found, struct tl_str action, uint64_t count, int64_t time_us)
{
    size_t i = 0;
    while (i < found->public.unlisted_count && !tl_str_is(action, found->reported[i].action)) {
        i++;
    }
    if (i == UNLISTED_MAX || action.len >= NAME_SIZE) {
        found->public.unlisted_cut = 1;
        return;
    }
    struct reported *reported = &found->reported[i];
    if (i == found->public.unlisted_count) {
        tl_str_copy(reported->action, sizeof(reported->action), action);
        reported->last_us = time_us; /* the newest comes first */
        found->public.unlisted_count++;
    }
    reported->count += count;
}

/* What cannot be read says nothing: whoever verifies hears of it. */
static void read_report(struct found *found, const struct tally_item *item)
{
    static const char *const path[] = { "metadata", "actions" };
    TL_CLEANUP(tl_arena_release) struct tl_arena arena = { 0 };
    struct tl_json_limits limits = tl_json_limits_format;
    const struct tl_json *at = NULL;
    limits.keep_integers = true;
    tl_arena_init(&arena, ACTIONS_BYTES);
    if (item->event == NULL ||
        tl_json_read(&arena, item->event, item->event_len, &limits, &at, NULL) != TALLY_OK) {
        return;
    }
    for (size_t i = 0; i < TL_ARRAY_LEN(path) && at != NULL; i++) {
        at = tl_json_member(at, path[i]);
    }
    for (const struct tl_json *one = at == NULL ? NULL : at->first; one != NULL; one = one->next) {
        uint64_t count = 0;
        if (one->type == TL_JSON_NUMBER &&
            tl_parse_u64(one->text.text, one->text.len, UINT64_MAX / REPORTS_MAX, &count) ==
                TALLY_OK) {
            add_action(found, one->key, count, item->recorded_us);
        }
    }
}

static int compare_unlisted(const void *a, const void *b)
{
    const struct tally_unlisted *x = a;
    const struct tally_unlisted *y = b;
    return strcmp(x->action, y->action);
}

static tally_status find_unlisted(struct found *found, struct tally_ledger *ledger,
                                  struct tally_error *err)
{
    static const struct tally_condition conditions[] = { { "action", "tally.policy.unlisted" },
                                                         { "recorded_from", "-30d" } };
    struct tally_query query = TALLY_QUERY_INIT;
    struct tally_page *page = NULL;
    query.conditions = conditions;
    query.condition_count = TL_ARRAY_LEN(conditions);
    query.limit = REPORTS_MAX;
    TL_TRY(tally_find(ledger, &query, &page, err));
    for (size_t i = 0; i < page->count; i++) {
        read_report(found, &page->items[i]);
    }
    found->public.unlisted_cut |= page->next != NULL ? 1 : 0;
    tally_page_free(page);
    for (size_t i = 0; i < found->public.unlisted_count; i++) {
        const struct reported *one = &found->reported[i];
        found->unlisted[i] = (struct tally_unlisted){ one->action, one->count, one->last_us };
    }
    qsort(found->unlisted, found->public.unlisted_count, sizeof(found->unlisted[0]),
          compare_unlisted);
    found->public.unlisted = found->unlisted;
    return TALLY_OK;
}

tally_status tally_sources(struct tally_ledger *ledger, struct tally_sources **sources_out,
                           struct tally_error *err)
{
    if (ledger->remote != NULL) {
        return tl_fail(err, TALLY_ENOTSUP, "sources are told where the ledger lies");
    }
    TL_CLEANUP(found_freep) struct found *found = tl_alloc_array(1, sizeof(*found));
    if (found == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate sources");
    }
    TL_TRY(find_services(found, ledger, tl_clock->wall_us(), err));
    TL_TRY(find_unlisted(found, ledger, err));
    *sources_out = &found->public;
    found = NULL;
    return TALLY_OK;
}
