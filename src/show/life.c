/* Holds, retention, purges and erasures. */
#include "show/show.h"

#define DAY_US INT64_C(86400000000)

const char *const tl_erase_not_reached[] = {
    "exports, backups and archives that were made before",
    "copies of the events that others keep, also where they came from",
    "blocks that the disk itself has put aside (worn flash cells, snapshots)",
    "segments of the spool that another process still writes to, for spool.segment_age_s",
    NULL,
};

static void show_ranges(struct tl_js *js, const struct tally_hold *hold)
{
    tl_js_open(js, "ranges", '[');
    for (size_t i = 0; i < hold->range_count; i++) {
        tl_js_open(js, NULL, '[');
        tl_js_u64(js, NULL, hold->ranges[i].first);
        tl_js_u64(js, NULL, hold->ranges[i].last);
        tl_js_close(js, ']');
    }
    tl_js_close(js, ']');
}

void tl_show_hold(struct tl_js *js, const char *key, const struct tally_hold *hold)
{
    tl_js_open(js, key, '{');
    tl_js_text(js, "hold", hold->id);
    tl_js_bool(js, "active", hold->is_active != 0);
    tl_js_u64(js, "records", hold->records);
    tl_js_text(js, "by", hold->by);
    tl_js_text(js, "reason", hold->reason[0] == '\0' ? NULL : hold->reason);
    tl_js_u64(js, "set_seq", hold->set_seq);
    tl_js_time(js, "set_at", hold->set_us);
    tl_show_time(js, "expires_at", hold->expires_us);
    tl_show_seq(js, "released_seq", hold->released_seq);
    tl_show_time(js, "released_at", hold->released_us);
    show_ranges(js, hold);
    tl_js_close(js, '}');
}

void tl_show_held(struct tl_js *js, const char *key, const char *id, bool is_dry,
                  const struct tally_held *held)
{
    tl_js_open(js, key, '{');
    tl_js_text(js, "hold", id);
    tl_js_bool(js, "dry_run", is_dry);
    tl_js_u64(js, "records", held->records);
    tl_js_u64(js, "ranges", held->ranges);
    tl_show_seq(js, "seq", held->seq);
    tl_js_close(js, '}');
}

void tl_show_released(struct tl_js *js, const char *key, const char *id)
{
    tl_js_open(js, key, '{');
    tl_js_text(js, "hold", id);
    tl_js_bool(js, "released", true);
    tl_js_close(js, '}');
}

void tl_show_rule(struct tl_js *js, const char *key, const struct tally_retention_rule *rule)
{
    tl_js_open(js, key, '{');
    tl_js_text(js, "kind", rule->kind);
    tl_js_text(js, "match", rule->match);
    if (rule->days > 0) {
        tl_js_u64(js, "days", (uint64_t)rule->days);
    } else {
        tl_js_null(js, "days");
    }
    tl_js_text(js, "origin", rule->origin);
    tl_js_close(js, '}');
}

void tl_show_effect(struct tl_js *js, const char *key, const struct tally_retention_effect *effect)
{
    tl_js_open(js, key, '{');
    tl_js_u64(js, "records", effect->records);
    tl_js_u64(js, "longer", effect->longer);
    tl_js_u64(js, "shorter", effect->shorter);
    tl_js_u64(js, "due_now", effect->due_now);
    tl_js_u64(js, "due_30", effect->due_30);
    tl_js_u64(js, "held", effect->held);
    tl_js_close(js, '}');
}

void tl_show_purged(struct tl_js *js, const char *key, bool is_dry,
                    const struct tally_purged *purged)
{
    char cutoff[TL_TIME_SIZE];
    (void)tl_time_format(cutoff, (int64_t)purged->cutoff_day * DAY_US); /* the length is known */
    cutoff[10] = '\0';
    tl_js_open(js, key, '{');
    tl_js_bool(js, "dry_run", is_dry);
    tl_js_u64(js, "evaluated", purged->evaluated);
    tl_js_u64(js, "due", purged->due);
    tl_js_u64(js, "held", purged->held);
    tl_js_u64(js, "purged", purged->purged);
    tl_js_u64(js, "remaining", purged->remaining);
    tl_js_u64(js, "bytes", purged->bytes);
    tl_js_u64(js, "freed", purged->freed);
    tl_js_u64(js, "left", purged->left);
    tl_js_u64(js, "ranges", purged->ranges);
    tl_js_u64(js, "cutoff_day", purged->cutoff_day);
    tl_js_text(js, "cutoff", cutoff);
    tl_show_seq(js, "seq", purged->seq);
    tl_js_text(js, "archive", purged->archive[0] == '\0' ? NULL : purged->archive);
    tl_js_close(js, '}');
}

int64_t tl_erased_at(struct tally_ledger *ledger, const struct tally_erased *erased)
{
    struct tally_page *page = NULL;
    if (erased->seq == TALLY_SEQ_NONE ||
        tally_get_by_seq(ledger, erased->seq, &page, NULL) != TALLY_OK) {
        return 0;
    }
    int64_t sealed_us = page->count == 0 ? 0 : page->items[0].recorded_us;
    tally_page_free(page);
    return sealed_us;
}

static void show_reach(struct tl_js *js, const struct tally_erase_options *options)
{
    tl_js_open(js, "pointers", '[');
    for (size_t i = 0; i < options->member_count; i++) {
        tl_js_text(js, NULL, options->members[i]);
    }
    tl_js_close(js, ']');
    tl_js_open(js, "not_reached", '[');
    for (size_t i = 0; tl_erase_not_reached[i] != NULL; i++) {
        tl_js_text(js, NULL, tl_erase_not_reached[i]);
    }
    tl_js_close(js, ']');
}

void tl_show_erased(struct tl_js *js, const char *key, const struct tally_erase_options *options,
                    const struct tally_actor *actor, const struct tally_erased *erased,
                    int64_t sealed_us)
{
    tl_js_open(js, key, '{');
    tl_js_bool(js, "dry_run", options->dry_run != 0);
    tl_js_u64(js, "matched", erased->matched);
    tl_js_u64(js, "held", erased->held);
    tl_js_u64(js, "gone", erased->gone);
    tl_js_u64(js, "erased", erased->erased);
    tl_js_u64(js, "members", erased->members);
    tl_js_u64(js, "bytes", erased->bytes);
    tl_js_u64(js, "left", erased->left);
    tl_js_u64(js, "acts", erased->acts);
    tl_show_seq(js, "seq", erased->seq);
    tl_show_time(js, "sealed_at", sealed_us);
    tl_js_text(js, "by", actor->by);
    tl_js_text(js, "reason", actor->reason);
    tl_js_text(js, "ticket", actor->ticket);
    show_reach(js, options);
    tl_js_close(js, '}');
}
