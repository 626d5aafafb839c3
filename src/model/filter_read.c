#include "model/filter_read.h"

#include "base/limits.h"
#include "base/parse.h"
#include "codec/ip.h"

/* A thousand values of some kilobytes, and the terms that they make. */
#define ARENA_BYTES_MAX ((size_t)64 << 20)

static tally_status bad(struct tally_error *err, enum tl_field field, const char *what)
{
    return tl_refuse(err, "bad_parameter", "", "%s %s", tl_field_name(field), what);
}

static tally_status no_memory(struct tally_error *err)
{
    (void)tl_fail(err, TALLY_ENOMEM, "no memory for a filter");
    return TALLY_ENOMEM;
}

static tally_status copy_text(struct tl_filter *filter, struct tl_str *text, char **copy_out,
                              struct tally_error *err)
{
    char *copy = tl_arena_alloc(&filter->arena, text->len + 1);
    if (copy == NULL) {
        return no_memory(err);
    }
    memcpy(copy, text->text, text->len);
    text->text = copy;
    *copy_out = copy;
    return TALLY_OK;
}

static bool is_one_of(struct tl_str value, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (tl_str_is(value, words[i])) {
            return true;
        }
    }
    return false;
}

static const char *const outcomes[] = { "success", "failure", "pending", "unknown" };
static const char *const severities[] = { "low", "medium", "high", "critical" };
static const char *const kinds[] = { "event",  "all",   "genesis", "epoch",   "policy",
                                     "purge",  "erase", "hold",    "release", "key",
                                     "anchor", "gap",   "resume",  "restore" };
static const char *const states[] = { "present", "partial", "erased", "purged", "evicted" };

static bool is_separator(char c)
{
    return c == '.' || c == ':' || c == '/';
}

/* "user.*" asks for what begins with "user."; no other star is an action. */
static tally_status read_action(struct tl_str *text, bool *prefix_out, struct tally_error *err)
{
    if (text->len >= 2 && text->text[text->len - 1] == '*' &&
        is_separator(text->text[text->len - 2])) {
        *prefix_out = true;
        text->len--;
    }
    return memchr(text->text, '*', text->len) == NULL
               ? TALLY_OK
               : bad(err, TL_FIELD_ACTION, "may have a '*' only after the last '.', ':' or '/'");
}

static tally_status read_ip(struct tl_filter *filter, struct tl_str *text, struct tally_error *err)
{
    char ip[TL_IP_TEXT_SIZE];
    size_t len = 0;
    if (tl_ip_canonical(ip, &len, *text) != TALLY_OK) {
        return bad(err, TL_FIELD_IP, "is no address");
    }
    char *copy = NULL;
    struct tl_str canonical = { .text = ip, .len = len };
    TL_TRY(copy_text(filter, &canonical, &copy, err));
    *text = canonical;
    return TALLY_OK;
}

/* The fields whose values are words of a list. */
static const struct {
    enum tl_field field;
    const char *const *words;
    size_t count;
} word_lists[] = {
    { TL_FIELD_OUTCOME, outcomes, TL_ARRAY_LEN(outcomes) },
    { TL_FIELD_SEVERITY, severities, TL_ARRAY_LEN(severities) },
    { TL_FIELD_SEVERITY_MIN, severities, TL_ARRAY_LEN(severities) },
    { TL_FIELD_KIND, kinds, TL_ARRAY_LEN(kinds) },
    { TL_FIELD_STATE, states, TL_ARRAY_LEN(states) },
};

static tally_status check_word(enum tl_field field, struct tl_str text, struct tally_error *err)
{
    for (size_t i = 0; i < TL_ARRAY_LEN(word_lists); i++) {
        if (word_lists[i].field == field &&
            !is_one_of(text, word_lists[i].words, word_lists[i].count)) {
            return bad(err, field, "is not one of its words");
        }
    }
    return TALLY_OK;
}

static bool is_folded(enum tl_field field)
{
    return field == TL_FIELD_OUTCOME || field == TL_FIELD_SEVERITY ||
           field == TL_FIELD_SEVERITY_MIN || field == TL_FIELD_KIND || field == TL_FIELD_STATE ||
           field == TL_FIELD_TRACE_ID || field == TL_FIELD_SPAN_ID || field == TL_FIELD_TEXT;
}

static tally_status read_words(struct tl_filter *filter, struct tl_str text, uint64_t *phrase_out,
                               struct tally_error *err)
{
    size_t at = 0;
    struct tl_str word = { 0 };
    uint64_t phrase = 0;
    while (tl_word_next(text, false, &at, &word)) {
        if (filter->word_count == TL_FILTER_WORDS_MAX) {
            return bad(err, TL_FIELD_TEXT, "has more than 64 words");
        }
        phrase |= UINT64_C(1) << filter->word_count;
        filter->words[filter->word_count++] = word;
    }
    if (phrase == 0) {
        return bad(err, TL_FIELD_TEXT, "has no word");
    }
    *phrase_out = phrase;
    return TALLY_OK;
}

/* Adds a value of a field that is looked up in the event or the facts. */
static tally_status add_value(struct tl_filter *filter, enum tl_field field, struct tl_str text,
                              struct tally_error *err)
{
    struct tl_filter_values *values = &filter->fields[field];
    if (text.len == 0) {
        if (field > TL_FIELD_TARGET_TYPE) {
            return bad(err, field, "is empty");
        }
        values->absent = true;
        return TALLY_OK;
    }
    char *copy = NULL;
    TL_TRY(copy_text(filter, &text, &copy, err));
    for (size_t i = 0; is_folded(field) && i < text.len; i++) {
        copy[i] = tl_fold(copy[i]);
    }
    TL_TRY(check_word(field, text, err));
    if (field == TL_FIELD_ACTION) {
        TL_TRY(read_action(&text, &values->prefixes[values->count], err));
    } else if (field == TL_FIELD_IP) {
        TL_TRY(read_ip(filter, &text, err));
    } else if (field == TL_FIELD_TEXT) {
        TL_TRY(read_words(filter, text, &filter->phrases[values->count], err));
    } else if (field == TL_FIELD_KIND) {
        filter->any_kind = filter->any_kind || tl_str_is(text, "all");
    } else if (field == TL_FIELD_SEVERITY_MIN) {
        int rank = tl_severity_rank(text);
        filter->rank_min =
            filter->rank_min == 0 || rank < filter->rank_min ? rank : filter->rank_min;
    }
    values->texts[values->count++] = text;
    return TALLY_OK;
}

static tally_status add_time(int64_t *bound, enum tl_field field, struct tl_str text,
                             int64_t now_us, struct tally_error *err)
{
    return tl_time_argument(bound, text, now_us) == TALLY_OK ? TALLY_OK
                                                             : bad(err, field, "is no time");
}

static tally_status add_seq(uint64_t *bound, enum tl_field field, struct tl_str text,
                            struct tally_error *err)
{
    return tl_parse_u64(text.text, text.len, UINT64_MAX, bound) == TALLY_OK
               ? TALLY_OK
               : bad(err, field, "is no number");
}

static tally_status add_range(struct tl_filter *filter, enum tl_field field, struct tl_str text,
                              int64_t now_us, struct tally_error *err)
{
    struct tl_filter_ranges *ranges = &filter->ranges;
    int64_t until = INT64_MAX;
    if (filter->given[field]) {
        return bad(err, field, "is given twice");
    }
    if (field == TL_FIELD_FROM) {
        return add_time(&ranges->occurred_from, field, text, now_us, err);
    }
    if (field == TL_FIELD_RECORDED_FROM) {
        return add_time(&ranges->recorded_from, field, text, now_us, err);
    }
    if (field == TL_FIELD_RECORDED_TO) {
        return add_time(&ranges->recorded_to, field, text, now_us, err);
    }
    if (field == TL_FIELD_SEQ_FROM) {
        return add_seq(&ranges->seq_first, field, text, err);
    }
    if (field == TL_FIELD_SEQ_TO) {
        return add_seq(&ranges->seq_end, field, text, err);
    }
    TL_TRY(add_time(&until, field, text, now_us, err));
    until += field == TL_FIELD_UNTIL;
    ranges->occurred_to = until < ranges->occurred_to ? until : ranges->occurred_to;
    return TALLY_OK;
}

static tally_status find_field(enum tl_field *field_out, const struct tally_condition *condition,
                               struct tally_error *err)
{
    if (condition->field == NULL || condition->value == NULL) {
        return tl_refuse(err, "bad_parameter", "", "a condition without a field or a value");
    }
    *field_out = tl_field_find(tl_str_of(condition->field));
    if (*field_out == TL_FIELD_COUNT) {
        return tl_refuse(err, "unknown_filter", "", "there is no filter '%.64s'", condition->field);
    }
    return TALLY_OK;
}

/* Makes room for as many values of each field as there are conditions on it. */
static tally_status make_room(struct tl_filter *filter, const struct tally_condition *conditions,
                              size_t count, struct tally_error *err)
{
    size_t counts[TL_FIELD_COUNT] = { 0 };
    for (size_t i = 0; i < count; i++) {
        enum tl_field field = TL_FIELD_COUNT;
        TL_TRY(find_field(&field, &conditions[i], err));
        counts[field]++;
    }
    for (size_t i = 0; i < TL_FIELD_COUNT; i++) {
        struct tl_filter_values *values = &filter->fields[i];
        if (counts[i] > 0) {
            values->texts = tl_arena_alloc(&filter->arena, counts[i] * sizeof(*values->texts));
            values->prefixes =
                tl_arena_alloc(&filter->arena, counts[i] * sizeof(*values->prefixes));
            if (values->texts == NULL || values->prefixes == NULL) {
                return no_memory(err);
            }
            memset(values->prefixes, 0, counts[i] * sizeof(*values->prefixes));
        }
    }
    filter->phrases =
        tl_arena_alloc(&filter->arena, (counts[TL_FIELD_TEXT] + 1) * sizeof(*filter->phrases));
    return filter->phrases == NULL ? no_memory(err) : TALLY_OK;
}

static tally_status copy_members(struct tl_filter *filter, const struct tl_str *members,
                                 size_t count, struct tally_error *err)
{
    struct tl_str *copies = tl_arena_alloc(&filter->arena, (count + 1) * sizeof(*copies));
    if (copies == NULL) {
        return no_memory(err);
    }
    for (size_t i = 0; i < count; i++) {
        char *copy = NULL;
        copies[i] = members[i];
        TL_TRY(copy_text(filter, &copies[i], &copy, err));
    }
    filter->text_members = copies;
    filter->text_member_count = count;
    return TALLY_OK;
}

static tally_status read_all(struct tl_filter *filter, const struct tally_condition *conditions,
                             size_t count, int64_t now_us, struct tally_error *err)
{
    TL_TRY(make_room(filter, conditions, count, err));
    for (size_t i = 0; i < count; i++) {
        enum tl_field field = TL_FIELD_COUNT;
        TL_TRY(find_field(&field, &conditions[i], err));
        struct tl_str text = tl_str_of(conditions[i].value);
        TL_TRY(field >= TL_FIELD_FROM ? add_range(filter, field, text, now_us, err)
                                      : add_value(filter, field, text, err));
        filter->given[field] = true;
    }
    return TALLY_OK;
}

static void free_filter(void *at)
{
    struct tl_filter **filter = at;
    tl_filter_free(*filter);
    *filter = NULL;
}

tally_status tl_filter_new(struct tl_filter **filter_out, const struct tally_condition *conditions,
                           size_t count, int64_t now_us, const struct tl_str *text_members,
                           size_t text_member_count, struct tally_error *err)
{
    if (count > TL_FILTER_VALUES_MAX) {
        return tl_refuse(err, "bad_parameter", "", "more than %u conditions", TL_FILTER_VALUES_MAX);
    }
    TL_CLEANUP(free_filter) struct tl_filter *filter = tl_alloc_array(1, sizeof(*filter));
    if (filter == NULL) {
        return no_memory(err);
    }
    tl_arena_init(&filter->arena, ARENA_BYTES_MAX);
    filter->ranges = (struct tl_filter_ranges){ .seq_end = UINT64_MAX,
                                                .occurred_from = INT64_MIN,
                                                .occurred_to = INT64_MAX,
                                                .recorded_from = INT64_MIN,
                                                .recorded_to = INT64_MAX };
    TL_TRY(copy_members(filter, text_members, text_member_count, err));
    TL_TRY(read_all(filter, conditions, count, now_us, err));
    if (tl_filter_make_groups(filter) != TALLY_OK) {
        return no_memory(err);
    }
    *filter_out = TL_TAKE(filter);
    return TALLY_OK;
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void narrow_ranges(struct tl_filter_ranges *ranges, const struct tl_filter_ranges *other)
{
    *ranges = (struct tl_filter_ranges){
        .seq_first = ranges->seq_first > other->seq_first ? ranges->seq_first : other->seq_first,
        .seq_end = ranges->seq_end < other->seq_end ? ranges->seq_end : other->seq_end,
        .occurred_from = later(ranges->occurred_from, other->occurred_from),
        .occurred_to = earlier(ranges->occurred_to, other->occurred_to),
        .recorded_from = later(ranges->recorded_from, other->recorded_from),
        .recorded_to = earlier(ranges->recorded_to, other->recorded_to),
    };
}

tally_status tl_filter_narrow(struct tl_filter *filter, struct tl_filter *also,
                              struct tally_error *err)
{
    tl_assert(filter->also == NULL && also->also == NULL);
    filter->also = also;
    size_t count = filter->group_count + also->group_count;
    struct tl_filter_group *groups = tl_arena_alloc(&filter->arena, (count + 1) * sizeof(*groups));
    if (groups == NULL) {
        return no_memory(err);
    }
    memcpy(groups, filter->groups, filter->group_count * sizeof(*groups));
    memcpy(groups + filter->group_count, also->groups, also->group_count * sizeof(*groups));
    filter->groups = groups;
    filter->group_count = count;
    filter->exact = filter->exact && also->exact;
    narrow_ranges(&filter->ranges, &also->ranges);
    return TALLY_OK;
}

void tl_filter_free(struct tl_filter *filter)
{
    if (filter != NULL) {
        tl_filter_free(filter->also);
        tl_arena_release(&filter->arena);
        tl_free(filter);
    }
}
