/* Which records an erasure is about. */
#include "ledger/erase.h"
#include "ledger/walk.h"

#include "evidence/leaf.h"

/* A walk over the records, and what each is compared with. */
struct finder {
    struct tl_erase_found *found;
    struct tl_eraser *eraser;
    const struct tl_acts *acts;
    const struct tl_filter *also; /* beside the walk's own filter; or NULL */
    const struct tally_range *ranges;
    size_t range_count;
    size_t range_at; /* records come in order */
    struct tl_excuse_scope scope;
    struct tl_split split;
    uint64_t wrong_seq; /* of what cannot be erased */
    char wrong[TL_POINTER_LEN_MAX + 1];
    tally_status status; /* of the record that stopped the walk */
};

static void finder_free(struct finder **finder)
{
    if (*finder != NULL) {
        tl_excuse_scope_release(&(*finder)->scope);
        tl_free(*finder);
    }
    *finder = NULL;
}

struct tl_str tl_hold_on(struct tl_excuse_scope *scope, uint64_t seq)
{
    const struct tl_excuses *excuses = scope->excuses;
    tl_excuse_scope_at(scope, seq);
    for (size_t i = 0; i < scope->held_count; i++) {
        const struct tl_held_range *held = &excuses->held[scope->held[i]];
        const struct tl_hold *hold = &excuses->holds[held->hold];
        if (!hold->released && held->range.first <= seq && seq <= held->range.last) {
            return hold->name;
        }
    }
    return (struct tl_str){ 0 };
}

static bool in_ranges(struct finder *finder, uint64_t seq)
{
    while (finder->range_at < finder->range_count && finder->ranges[finder->range_at].last < seq) {
        finder->range_at++;
    }
    return finder->range_count == 0 || (finder->range_at < finder->range_count &&
                                        finder->ranges[finder->range_at].first <= seq);
}

/* How much of the record there is to erase. TALLY_ENOTFOUND: nothing. */
static tally_status measure(struct finder *finder, const struct tally_record *record,
                            uint64_t *members_out, uint64_t *bytes_out)
{
    *members_out = 0;
    *bytes_out = record->event_len;
    if (finder->eraser->whole) {
        return TALLY_OK;
    }
    struct tl_split *split = &finder->split;
    TL_TRY(tl_split_event(split, &finder->eraser->members, record->event, record->event_len));
    const struct tl_erasable_set *set = tl_policies_at(&finder->eraser->policies, record->seq);
    *bytes_out = 0;
    for (uint32_t i = 0; i < split->count; i++) {
        const struct tl_member *member = &split->members[i];
        const char *pointer = member->pointer->text;
        if (!tl_erasable_has(set, tl_str_of(pointer))) {
            finder->wrong_seq = record->seq;
            tl_str_copy(finder->wrong, sizeof(finder->wrong), tl_str_of(pointer));
            return TALLY_EINVAL;
        }
        *bytes_out += member->cut_end - member->cut_start;
    }
    *members_out = split->count;
    return split->count == 0 ? TALLY_ENOTFOUND : TALLY_OK;
}

static tally_status add_record(struct finder *finder, const struct tally_record *record)
{
    struct tl_erase_found *found = finder->found;
    uint64_t seq = record->seq;
    uint64_t members = 0;
    uint64_t bytes = 0;
    found->matched++;
    tally_status status =
        record->event == NULL ? TALLY_ENOTFOUND : measure(finder, record, &members, &bytes);
    if (status == TALLY_ENOTFOUND) {
        found->gone++;
        return TALLY_OK;
    }
    TL_TRY(status);
    struct tl_str hold = tl_hold_on(&finder->scope, seq);
    if (hold.text != NULL) {
        found->held++;
        tl_str_copy(found->hold, sizeof(found->hold), hold);
        return TALLY_OK;
    }
    found->members += members;
    found->bytes += bytes;
    return tl_ranges_add(&found->records, seq, seq);
}

static tally_status take_match(void *ctx, const struct tl_match *match)
{
    struct finder *finder = ctx;
    if (match->leaf->kind != TL_LEAF_ENTRY || !in_ranges(finder, match->record->seq) ||
        (finder->also != NULL && !tl_filter_matches(finder->also, match->facts, match->view))) {
        return TALLY_OK;
    }
    finder->status = add_record(finder, match->record);
    return finder->status;
}

/* Conditions that say whose records. Text is copied to `text`, which has room for the subject. */
static tally_status read_subject(const char *subject, char *text,
                                 struct tally_condition conditions[2], size_t *count_out,
                                 struct tally_error *err)
{
    static const char actor[] = "actor:";
    static const char target[] = "target:";
    if (strncmp(subject, actor, sizeof(actor) - 1) == 0 && subject[sizeof(actor) - 1] != '\0') {
        conditions[0] = (struct tally_condition){ "actor_id", subject + sizeof(actor) - 1 };
        *count_out = 1;
        return TALLY_OK;
    }
    const char *type = subject + sizeof(target) - 1;
    const char *colon =
        strncmp(subject, target, sizeof(target) - 1) == 0 ? strchr(type, ':') : NULL;
    if (colon == NULL || colon[1] == '\0') {
        return tl_fail(err, TALLY_EINVAL,
                       "a subject is 'actor:ID' or 'target:TYPE:ID', where TYPE may be empty");
    }
    *count_out = 0;
    conditions[(*count_out)++] = (struct tally_condition){ "target_id", colon + 1 };
    if (colon > type) {
        memcpy(text, type, (size_t)(colon - type));
        text[colon - type] = '\0';
        conditions[(*count_out)++] = (struct tally_condition){ "target_type", text };
    }
    return TALLY_OK;
}

static tally_status subject_filter(struct tl_filter **filter_out, const struct tally_ledger *ledger,
                                   const char *subject, struct tally_error *err)
{
    struct tally_condition conditions[2];
    struct tally_query query = TALLY_QUERY_INIT;
    TL_CLEANUP(tl_freep) char *text = tl_alloc_array(strlen(subject) + 1, 1);
    if (text == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a subject");
    }
    TL_TRY(read_subject(subject, text, conditions, &query.condition_count, err));
    query.conditions = conditions;
    return tl_walk_filter(filter_out, ledger, &query, err);
}

static tally_status any_filter(struct tl_filter **filter_out, const struct tally_ledger *ledger,
                               struct tally_error *err)
{
    const struct tally_condition all[] = { { "kind", "all" } };
    struct tally_query query = TALLY_QUERY_INIT;
    query.conditions = all;
    query.condition_count = 1;
    return tl_walk_filter(filter_out, ledger, &query, err);
}

static tally_status selection_filter(struct tl_filter **filter_out,
                                     const struct tally_ledger *ledger,
                                     const struct tally_query *selected, struct tally_error *err)
{
    struct tally_query query = TALLY_QUERY_INIT;
    if (selected != NULL && selected->struct_size != sizeof(*selected)) {
        return tl_fail(err, TALLY_EINVAL, "struct tally_query has an unknown size");
    }
    if (selected != NULL) {
        query.conditions = selected->conditions;
        query.condition_count = selected->condition_count;
    }
    return tl_walk_filter(filter_out, ledger, &query, err);
}

/* The record with this id, also if its content is gone. */
static tally_status find_id(struct tl_walk *walk, const char *id, struct tally_error *err)
{
    uint8_t leaf_id[1][TALLY_LEAF_ID_LEN];
    uint64_t seq = TALLY_SEQ_NONE;
    if (tl_leaf_id(leaf_id[0], tl_str_of(id)) == TALLY_OK) {
        TL_TRY(tl_store_find_ids(walk->reader.store, (const uint8_t(*)[TALLY_LEAF_ID_LEN])leaf_id,
                                 1, &seq, err));
    }
    walk->ranges.seq_first = seq == TALLY_SEQ_NONE ? 0 : seq;
    walk->ranges.seq_end = seq == TALLY_SEQ_NONE ? 0 : seq + 1;
    return TALLY_OK;
}

static void narrow(struct tl_walk *walk, const struct tally_selection *selection)
{
    if (selection->range_count > 0) {
        uint64_t first = selection->ranges[0].first;
        uint64_t last = selection->ranges[selection->range_count - 1].last;
        struct tl_filter_ranges *ranges = &walk->ranges;
        ranges->seq_first = first > ranges->seq_first ? first : ranges->seq_first;
        ranges->seq_end = last < ranges->seq_end ? last + 1 : ranges->seq_end;
    }
}

static tally_status walk_over(struct finder *finder, struct tally_ledger *ledger,
                              const struct tl_filter *filter,
                              const struct tally_erase_options *options, struct tally_error *err)
{
    TL_CLEANUP(tl_walk_end) struct tl_walk *walk = NULL;
    const struct tl_walk_order order = { .ascending = true };
    TL_TRY(tl_walk_begin(&walk, ledger, filter, err));
    if (options->id != NULL) {
        TL_TRY(find_id(walk, options->id, err));
    } else {
        narrow(walk, &options->selection);
    }
    struct tl_filter_ranges *ranges = &walk->ranges;
    uint64_t end = finder->acts->size; /* holds and policies of what came later are not known */
    ranges->seq_end = ranges->seq_end < end ? ranges->seq_end : end;
    tally_status status = tl_walk_run(walk, &order, take_match, finder, err);
    if (status == TALLY_OK || status != finder->status) {
        return status;
    }
    if (status == TALLY_EINVAL) {
        return tl_fail_code(
            err, status, "not_erasable",
            "record %llu has '%s', which its policy does not set apart: 'tally get' "
            "shows it; erase a member that is erasable, or the whole",
            (unsigned long long)finder->wrong_seq, finder->wrong);
    }
    return status == TALLY_ELIMIT
               ? tl_fail(err, status, "too many records at once: erase in smaller steps")
               : tl_fail(err, status, "a record cannot be read; run 'tally verify'");
}

tally_status tl_erase_find(struct tl_erase_found *found, struct tally_ledger *ledger,
                           const struct tally_erase_options *options, struct tl_eraser *eraser,
                           const struct tl_acts *acts, struct tally_error *err)
{
    *found = (struct tl_erase_found){ .records = { .max = TL_ERASE_RUNS_MAX } };
    TL_CLEANUP(finder_free) struct finder *finder = tl_alloc_array(1, sizeof(*finder));
    if (finder == NULL || tl_excuse_scope_init(&finder->scope, &acts->excuses) != TALLY_OK) {
        return tl_fail(err, TALLY_ENOMEM, "cannot look for what to erase");
    }
    finder->found = found;
    finder->eraser = eraser;
    finder->acts = acts;
    finder->ranges = options->selection.ranges;
    finder->range_count = options->selection.range_count;
    TL_TRY(tl_ranges_check(finder->ranges, finder->range_count, err));

    TL_CLEANUP(tl_filter_freep) struct tl_filter *selected = NULL;
    TL_CLEANUP(tl_filter_freep) struct tl_filter *subject = NULL;
    if (options->id != NULL) {
        TL_TRY(any_filter(&selected, ledger, err));
    } else {
        TL_TRY(selection_filter(&selected, ledger, options->selection.query, err));
    }
    if (options->subject != NULL) {
        TL_TRY(subject_filter(&subject, ledger, options->subject, err));
        finder->also = selected;
    }
    return walk_over(finder, ledger, subject != NULL ? subject : selected, options, err);
}
