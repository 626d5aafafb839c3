/* The groups of terms that an index is asked for. */
#include "base/limits.h"
#include "model/filter_read.h"

#define TERM_BYTES_MAX 4096u

/* Makes terms one after the other. */
struct maker {
    struct tl_filter *filter;
    struct tl_buf term;
    struct tl_str *terms; /* of the group that is being made */
    size_t count;
    tally_status status;
};

static void start_group(struct maker *maker, size_t count_max)
{
    maker->terms = tl_arena_alloc(&maker->filter->arena, count_max * sizeof(*maker->terms));
    maker->count = 0;
    if (maker->terms == NULL) {
        maker->status = TALLY_ENOMEM;
    }
}

/* Takes the term that was written; `exact` if whatever has it fits. */
static void add_term(struct maker *maker, bool exact)
{
    char *copy = tl_arena_alloc(&maker->filter->arena, maker->term.len);
    if (copy == NULL || tl_buf_status(&maker->term) != TALLY_OK) {
        maker->status = TALLY_ENOMEM;
    }
    if (maker->status == TALLY_OK) {
        memcpy(copy, maker->term.data, maker->term.len);
        maker->terms[maker->count++] = (struct tl_str){ .text = copy, .len = maker->term.len };
    }
    maker->filter->exact = maker->filter->exact && exact;
    tl_buf_clear(&maker->term);
}

static void end_group(struct maker *maker)
{
    struct tl_filter *filter = maker->filter;
    if (maker->status == TALLY_OK) {
        filter->groups[filter->group_count++] =
            (struct tl_filter_group){ .terms = maker->terms, .count = maker->count };
    }
}

static void add_values(struct maker *maker, enum tl_field field)
{
    const struct tl_filter_values *values = &maker->filter->fields[field];
    start_group(maker, values->count);
    for (size_t i = 0; i < values->count; i++) {
        add_term(maker, values->prefixes[i] ? tl_term_write_prefix(&maker->term, values->texts[i])
                                            : tl_term_write(&maker->term, field, values->texts[i]));
    }
    end_group(maker);
}

/* A field that an index cannot decide: records are read. */
static void scan(struct maker *maker)
{
    maker->filter->exact = false;
}

static void add_field(struct maker *maker, enum tl_field field)
{
    const struct tl_filter *filter = maker->filter;
    if (!filter->given[field]) {
        return;
    }
    if (filter->fields[field].absent || field == TL_FIELD_ID) {
        scan(maker);
        return;
    }
    add_values(maker, field);
}

static void add_targets(struct maker *maker)
{
    const struct tl_filter_values *types = &maker->filter->fields[TL_FIELD_TARGET_TYPE];
    const struct tl_filter_values *ids = &maker->filter->fields[TL_FIELD_TARGET_ID];
    bool both = types->count > 0 && ids->count > 0 && !types->absent && !ids->absent;
    add_field(maker, TL_FIELD_TARGET_TYPE);
    add_field(maker, TL_FIELD_TARGET_ID);
    if (!both || types->count * ids->count > TL_FILTER_VALUES_MAX) {
        if (maker->filter->given[TL_FIELD_TARGET_TYPE] &&
            maker->filter->given[TL_FIELD_TARGET_ID]) {
            scan(maker); /* whether one target has both */
        }
        return;
    }
    start_group(maker, types->count * ids->count + 1);
    tl_term_write_one_target(&maker->term);
    add_term(maker, true);
    for (size_t t = 0; t < types->count; t++) {
        for (size_t i = 0; i < ids->count; i++) {
            add_term(maker, tl_term_write_pair(&maker->term, types->texts[t], ids->texts[i]));
        }
    }
    end_group(maker);
}

static void add_severity_min(struct maker *maker)
{
    static const char *const words[] = { "low", "medium", "high", "critical" };
    int rank = maker->filter->rank_min;
    if (rank == 0) {
        return;
    }
    start_group(maker, TL_ARRAY_LEN(words));
    for (size_t i = (size_t)rank - 1; i < TL_ARRAY_LEN(words); i++) {
        add_term(maker, tl_term_write(&maker->term, TL_FIELD_SEVERITY, tl_str_of(words[i])));
    }
    end_group(maker);
}

static void add_state(struct maker *maker)
{
    const struct tl_filter_values *states = &maker->filter->fields[TL_FIELD_STATE];
    for (size_t i = 0; i < states->count; i++) {
        if (tl_str_is(states->texts[i], "present")) {
            scan(maker); /* the state that has no term */
            return;
        }
    }
    if (states->count == 0 || states->absent) {
        add_field(maker, TL_FIELD_STATE);
        return;
    }
    start_group(maker, states->count);
    for (size_t i = 0; i < states->count; i++) {
        struct tl_str term = tl_term_state(states->texts[i]);
        bool exact = tl_term_write(&maker->term, TL_FIELD_STATE, term);
        add_term(maker, exact && !tl_str_is(term, "purged"));
    }
    end_group(maker);
}

static void add_kind(struct maker *maker)
{
    const struct tl_filter *filter = maker->filter;
    const struct tl_filter_values *kinds = &filter->fields[TL_FIELD_KIND];
    if (filter->any_kind) {
        return;
    }
    start_group(maker, kinds->count * 2 + 2);
    bool own = kinds->count == 0 && tl_filter_wants_own(filter);
    for (size_t i = 0; i < kinds->count; i++) {
        own = own || tl_str_is(kinds->texts[i], "event");
        add_term(maker, tl_term_write(&maker->term, TL_FIELD_KIND, kinds->texts[i]));
    }
    if (kinds->count == 0) {
        add_term(maker, tl_term_write(&maker->term, TL_FIELD_KIND, TL_STR("event")));
    }
    if (own) {
        add_term(maker, tl_term_write(&maker->term, TL_FIELD_KIND, TL_STR("own")));
    }
    end_group(maker);
}

/* One value: all its words. Several: one word of each, and the rest is checked. */
static void add_words(struct maker *maker)
{
    struct tl_filter *filter = maker->filter;
    size_t values = filter->fields[TL_FIELD_TEXT].count;
    if (values == 1) {
        for (size_t i = 0; i < filter->word_count; i++) {
            start_group(maker, 1);
            add_term(maker, tl_term_write_word(&maker->term, filter->words[i]));
            end_group(maker);
        }
        return;
    }
    if (values == 0) {
        return;
    }
    start_group(maker, values);
    for (size_t i = 0; i < values; i++) {
        unsigned first = (unsigned)__builtin_ctzll(filter->phrases[i]);
        bool alone = (filter->phrases[i] & (filter->phrases[i] - 1)) == 0;
        add_term(maker, tl_term_write_word(&maker->term, filter->words[first]) && alone);
    }
    end_group(maker);
}

bool tl_filter_wants_own(const struct tl_filter *filter)
{
    return filter->given[TL_FIELD_KIND] || filter->fields[TL_FIELD_ACTION].count > 0 ||
           filter->fields[TL_FIELD_ID].count > 0;
}

tally_status tl_filter_make_groups(struct tl_filter *filter)
{
    size_t groups_max = TL_FIELD_COUNT + TL_FILTER_WORDS_MAX;
    filter->groups = tl_arena_alloc(&filter->arena, groups_max * sizeof(*filter->groups));
    if (filter->groups == NULL) {
        return TALLY_ENOMEM;
    }
    const struct tl_filter_ranges *ranges = &filter->ranges;
    filter->exact = ranges->occurred_from == INT64_MIN && ranges->occurred_to == INT64_MAX &&
                    ranges->recorded_from == INT64_MIN && ranges->recorded_to == INT64_MAX;
    struct maker maker = { .filter = filter };
    tl_buf_init(&maker.term, TERM_BYTES_MAX);
    for (unsigned i = 0; i <= TL_FIELD_TAG; i++) {
        add_field(&maker, (enum tl_field)i);
    }
    add_targets(&maker);
    add_severity_min(&maker);
    add_state(&maker);
    add_kind(&maker);
    add_words(&maker);
    tl_buf_release(&maker.term);
    return maker.status;
}
