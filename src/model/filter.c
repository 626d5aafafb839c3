#include "model/filter.h"

#include "model/filter_read.h"

static bool is_wanted(const struct tl_filter *filter, enum tl_field field, struct tl_str value)
{
    const struct tl_filter_values *values = &filter->fields[field];
    if (!filter->given[field]) {
        return true;
    }
    if (value.len == 0) {
        return values->absent;
    }
    for (size_t i = 0; i < values->count; i++) {
        if (values->prefixes[i] ? tl_str_starts(value, values->texts[i])
                                : tl_str_equal(value, values->texts[i])) {
            return true;
        }
    }
    return false;
}

static bool has_tag(const struct tl_filter *filter, const struct tl_event_view *view)
{
    for (uint32_t i = 0; i < view->tag_count; i++) {
        if (is_wanted(filter, TL_FIELD_TAG, view->tags[i])) {
            return true;
        }
    }
    return view->tag_count == 0 && is_wanted(filter, TL_FIELD_TAG, (struct tl_str){ 0 });
}

/* One and the same target must fit; an event without targets is as one with an empty one. */
static bool has_target(const struct tl_filter *filter, const struct tl_event_view *view)
{
    static const struct tl_target_view none;
    uint32_t count = view->target_count == 0 ? 1 : view->target_count;
    for (uint32_t i = 0; i < count; i++) {
        const struct tl_target_view *target = view->target_count == 0 ? &none : &view->targets[i];
        if (is_wanted(filter, TL_FIELD_TARGET_TYPE, target->type) &&
            is_wanted(filter, TL_FIELD_TARGET_ID, target->id)) {
            return true;
        }
    }
    return false;
}

/* The words met so far, one bit for each of the filter. */
struct search {
    const struct tl_filter *filter;
    uint64_t found;
};

static void meet(void *ctx, struct tl_str word)
{
    struct search *search = ctx;
    for (size_t i = 0; i < search->filter->word_count; i++) {
        if (tl_word_equal(word, search->filter->words[i])) {
            search->found |= UINT64_C(1) << i;
        }
    }
}

static bool has_text(const struct tl_filter *filter, const struct tl_event_view *view)
{
    struct search search = { .filter = filter };
    if (!filter->given[TL_FIELD_TEXT]) {
        return true;
    }
    tl_words_each(view, filter->text_members, filter->text_member_count, meet, &search);
    for (size_t i = 0; i < filter->fields[TL_FIELD_TEXT].count; i++) {
        if ((search.found & filter->phrases[i]) == filter->phrases[i]) {
            return true;
        }
    }
    return false;
}

/* A record without content fits no condition on content, not even that a member be absent. */
static bool asks_content(const struct tl_filter *filter)
{
    bool given = filter->given[TL_FIELD_TEXT] || filter->rank_min > 0;
    for (unsigned i = 0; i <= TL_FIELD_TARGET_TYPE; i++) {
        given = given || filter->given[i];
    }
    return given;
}

static bool fits_content(const struct tl_filter *filter, const struct tl_event_view *view)
{
    for (unsigned i = 0; i < TL_FIELD_SINGLE_COUNT; i++) {
        if (filter->given[i] &&
            !is_wanted(filter, (enum tl_field)i, tl_field_string(view, (enum tl_field)i))) {
            return false;
        }
    }
    return (filter->rank_min == 0 || tl_severity_rank(view->severity) >= filter->rank_min) &&
           (!filter->given[TL_FIELD_TAG] || has_tag(filter, view)) && has_target(filter, view) &&
           has_text(filter, view);
}

static bool fits_kind(const struct tl_filter *filter, const struct tl_record_facts *facts,
                      const struct tl_event_view *view)
{
    if (filter->given[TL_FIELD_KIND]) {
        return filter->any_kind || is_wanted(filter, TL_FIELD_KIND, facts->kind);
    }
    return tl_str_is(facts->kind, "event") &&
           (view == NULL || tl_filter_wants_own(filter) || !tl_view_is_own(view));
}

static bool fits_ranges(const struct tl_filter *filter, const struct tl_record_facts *facts,
                        const struct tl_event_view *view)
{
    const struct tl_filter_ranges *ranges = &filter->ranges;
    int64_t occurred_us =
        view != NULL && view->occurred_at.text != NULL ? view->occurred_us : facts->recorded_us;
    return facts->seq >= ranges->seq_first && facts->seq < ranges->seq_end &&
           facts->recorded_us >= ranges->recorded_from &&
           facts->recorded_us < ranges->recorded_to && occurred_us >= ranges->occurred_from &&
           occurred_us < ranges->occurred_to;
}

bool tl_filter_matches(const struct tl_filter *filter, const struct tl_record_facts *facts,
                       const struct tl_event_view *view)
{
    return fits_ranges(filter, facts, view) && fits_kind(filter, facts, view) &&
           is_wanted(filter, TL_FIELD_STATE, facts->state) &&
           (view == NULL ? !asks_content(filter) : fits_content(filter, view)) &&
           (filter->also == NULL || tl_filter_matches(filter->also, facts, view));
}

void tl_filter_ranges(const struct tl_filter *filter, struct tl_filter_ranges *out)
{
    *out = filter->ranges;
}

const struct tl_filter_group *tl_filter_groups(const struct tl_filter *filter, size_t *count_out)
{
    *count_out = filter->group_count;
    return filter->groups;
}

bool tl_filter_is_exact(const struct tl_filter *filter)
{
    return filter->exact;
}

const struct tl_str *tl_filter_ids(const struct tl_filter *filter, size_t *count_out)
{
    const struct tl_filter_values *ids = &filter->fields[TL_FIELD_ID];
    if (!filter->given[TL_FIELD_ID] && filter->also != NULL) {
        return tl_filter_ids(filter->also, count_out);
    }
    *count_out = ids->absent ? 0 : ids->count;
    return ids->texts;
}

struct tl_str tl_filter_single_id(const struct tl_filter *filter)
{
    size_t count = 0;
    const struct tl_str *ids = tl_filter_ids(filter, &count);
    return count == 1 ? ids[0] : (struct tl_str){ 0 };
}
