/* Opens the commitments of contents: what is stored is what was sealed. */
#include "codec/json.h"
#include "codec/time.h"
#include "verify/run.h"

#define ODD_BYTES_MAX    ((size_t)256 << 20) /* an event that is not canonical, taken apart */
#define EVENT_BYTES_MAX  ((size_t)64 << 20)
#define OPENED_BYTES_MAX ((size_t)64 << 10)

static bool found(struct tl_run *run, enum tl_code code, uint64_t seq, const char *what)
{
    tl_found(&run->found, code, seq, "%s", what);
    return false;
}

static struct tl_str pointer_of(const struct tl_member *member)
{
    return (struct tl_str){ .text = member->pointer->text, .len = member->pointer->len };
}

static bool commits(struct tl_run *run, const struct tl_leaf *leaf, const uint8_t commit[32])
{
    if (memcmp(commit, leaf->commit, TL_COMMIT_LEN) != 0) {
        tl_found_hashes(&run->found, TL_CONTENT_MODIFIED, leaf->seq, leaf->commit, commit,
                        "the content is not what was sealed");
        return false;
    }
    return true;
}

static bool check_flag(struct tl_run *run, const struct tl_leaf *leaf, uint32_t members)
{
    bool flag = (leaf->flags & TL_LEAF_HAS_MEMBERS) != 0;
    if (flag != (members > 0)) {
        tl_leaf_damaged(run, leaf->seq);
        return found(run, TL_LEAF_INVALID, leaf->seq,
                     "the flag for erasable members does not fit the content");
    }
    return true;
}

static bool opens(struct tl_run *run, const struct tl_leaf *leaf, const uint8_t commit[32],
                  uint32_t members)
{
    return commits(run, leaf, commit) && check_flag(run, leaf, members);
}

static bool check_whole(struct tl_run *run, const struct tl_leaf *leaf,
                        const struct tally_record *record)
{
    uint8_t commit[TL_COMMIT_LEN];
    if (tl_commit_event(commit, &run->split, record->event, record->event_len, record->seed,
                        &run->buf) != TALLY_OK) {
        run->found.status = TALLY_ENOMEM;
        return false;
    }
    return opens(run, leaf, commit, run->split.count);
}

/* The member of the event at `pointer`, or NULL. */
static const struct tl_member *find_member(const struct tl_split *split, struct tl_str pointer)
{
    for (uint32_t i = 0; i < split->count; i++) {
        if (tl_str_equal(pointer_of(&split->members[i]), pointer)) {
            return &split->members[i];
        }
    }
    return NULL;
}

static bool is_erasable(const struct tl_erasable_set *set, struct tl_str pointer)
{
    for (uint32_t i = 0; i < set->count; i++) {
        struct tl_str one = { .text = set->pointers[i].text, .len = set->pointers[i].len };
        if (tl_str_equal(one, pointer)) {
            return true;
        }
    }
    return false;
}

/* Whether the members that `opened` tells of are those that the policy in force makes erasable. */
static bool check_members(struct tl_run *run, uint64_t seq, const struct tl_opened *opened)
{
    uint32_t there = 0;
    for (uint32_t i = 0; i < opened->count; i++) {
        const struct tl_opened_part *part = &opened->parts[i];
        bool found_it = find_member(&run->split, part->pointer) != NULL;
        there += found_it;
        if (!is_erasable(run->state.policy.erasable, part->pointer)) {
            return found(run, TL_ERASABLE_MISMATCH, seq,
                         "a member was split off that the policy in force does not name");
        }
        if (part->erased && found_it) {
            return found(run, TL_ERASABLE_MISMATCH, seq, "an erased member is in the event");
        }
        if (!part->erased && !found_it) {
            return found(run, TL_CONTENT_MODIFIED, seq, "a member that was not erased is gone");
        }
    }
    if (there < run->split.count) {
        return found(run, TL_ERASABLE_MISMATCH, seq,
                     "an erasable member of the event was not split off");
    }
    return true;
}

static bool check_partly_erased(struct tl_run *run, const struct tl_leaf *leaf,
                                const struct tally_record *record)
{
    struct tl_opened opened;
    if (tl_opened_decode(&opened, record->opened, record->opened_len) != TALLY_OK) {
        return found(run, TL_RECORD_MALFORMED, leaf->seq, "what opens the content does not parse");
    }
    if (!check_members(run, leaf->seq, &opened)) {
        return false;
    }
    struct tl_commit_part parts[TL_ERASABLE_MAX];
    for (uint32_t i = 0; i < opened.count; i++) {
        const struct tl_opened_part *part = &opened.parts[i];
        parts[i].pointer = part->pointer;
        if (part->erased) {
            memcpy(parts[i].digest, part->part, sizeof(parts[i].digest));
            continue;
        }
        const struct tl_member *member = find_member(&run->split, part->pointer);
        tl_assert(member != NULL); /* check_members() has seen to that */
        struct tl_str value = { .text = record->event + member->value_start,
                                .len = member->value_end - member->value_start };
        tl_member_digest(parts[i].digest, part->part, part->pointer, value);
    }
    tl_buf_clear(&run->buf);
    tl_split_rest(&run->buf, &run->split, record->event, record->event_len);
    if (tl_buf_status(&run->buf) != TALLY_OK) {
        run->found.status = TALLY_ENOMEM;
        return false;
    }
    uint8_t commit[TL_COMMIT_LEN];
    tl_commit_parts(commit, opened.salt0, tl_buf_str(&run->buf), parts, opened.count);
    run->judge_end = leaf->seq >= run->judge_end ? leaf->seq + 1 : run->judge_end;
    return opens(run, leaf, commit, opened.count);
}

/* The text of a top-level member, between its quotes; absent if it is no string. Members come in
 * order, so that those after the one looked for need not be walked through. */
static struct tl_str top_text(const struct tl_run *run, const struct tally_record *record,
                              const char *name)
{
    struct tl_json_iter it = tl_json_walk(&run->index);
    while (tl_json_next(&it, record->event, record->event_len) == TALLY_OK) {
        if (!tl_str_is(it.raw_name, name)) {
            continue;
        }
        if (record->event[it.value_start] != '"') {
            break;
        }
        return (struct tl_str){ .text = record->event + it.value_start + 1,
                                .len = it.value_end - it.value_start - 2 };
    }
    return (struct tl_str){ 0 };
}

static void check_id(struct tl_run *run, const struct tl_leaf *leaf, struct tl_str id)
{
    uint8_t leaf_id[TL_LEAF_ID_LEN];
    if (id.text != NULL && memchr(id.text, '\\', id.len) != NULL) {
        tl_buf_clear(&run->buf);
        if (tl_json_unescape(&run->buf, id.text, id.len) != TALLY_OK) {
            id = (struct tl_str){ 0 };
        } else {
            id = tl_buf_str(&run->buf);
        }
    }
    if (id.text == NULL || tl_leaf_id(leaf_id, id) != TALLY_OK ||
        memcmp(leaf_id, leaf->id, sizeof(leaf_id)) != 0) {
        (void)found(run, TL_ID_MISMATCH, leaf->seq, "the id of the event is not that of the leaf");
    }
}

static void check_occurred(struct tl_run *run, const struct tl_leaf *leaf,
                           const struct tally_record *record)
{
    const struct tl_class *class = tl_policy_class(&run->state.policy, leaf->class_id);
    if (class == NULL || !class->by_occurred || class->days < 0) {
        return;
    }
    int64_t basis = 0;
    struct tl_str text = top_text(run, record, "occurred_at");
    if (text.text == NULL || tl_time_parse(&basis, text) != TALLY_OK) {
        (void)found(run, TL_RETENTION_MISMATCH, leaf->seq, "there is no time to count from");
        return;
    }
    basis = basis < 0 ? 0 : basis > leaf->time_us ? leaf->time_us : basis;
    uint32_t until = tl_retain_until(basis, class->days);
    if (until != leaf->retain_until) {
        tl_found_numbers(&run->found, TL_RETENTION_MISMATCH, leaf->seq, until, leaf->retain_until,
                         "not the day that the policy in force asks for");
    }
}

/* What was sealed under a commitment that holds, may still break the rules for events. */
static void check_rules(struct tl_run *run, const struct tl_leaf *leaf,
                        const struct tally_record *record)
{
    if (!run->canonical) {
        (void)found(run, TL_NON_CANONICAL, leaf->seq, "the event is not canonical JSON");
    }
    check_id(run, leaf, top_text(run, record, "id"));
    check_occurred(run, leaf, record);
}

/* The parts of a content whose commitment holds. The event is canonical. */
static void check_parts(struct tl_run *run, const struct tl_leaf *leaf,
                        const struct tally_record *record)
{
    struct tl_opened opened;
    if (tl_split_indexed(&run->split, run->state.policy.erasable, record->event, record->event_len,
                         &run->index) != TALLY_OK ||
        tl_opened_decode(&opened, record->opened, record->opened_len) != TALLY_OK) {
        (void)found(run, TL_RECORD_MALFORMED, leaf->seq, "what opens the content does not parse");
    } else if (check_members(run, leaf->seq, &opened) && check_flag(run, leaf, opened.count)) {
        check_rules(run, leaf, record);
    }
}

/* What a content says that is not written as it should be. */
struct odd {
    struct tl_arena arena;
    struct tl_opening opening; /* the parts in canonical form */
    struct tl_erasable_set set;
    struct tl_buf event;
    struct tl_buf opened;
};

/* Replaces a text by its canonical form. Errors: TALLY_EREFUSED, TALLY_ENOMEM */
static tally_status make_canonical(struct tl_run *run, struct odd *odd, struct tl_str *text)
{
    const struct tl_json *root = NULL;
    TL_TRY(tl_json_read(&odd->arena, text->text, text->len, &tl_json_limits_format, &root, NULL));
    tl_buf_clear(&run->buf);
    tl_json_write(&run->buf, root);
    TL_TRY(tl_buf_status(&run->buf));
    char *copy = tl_arena_alloc(&odd->arena, run->buf.len);
    if (copy == NULL) {
        return TALLY_ENOMEM;
    }
    memcpy(copy, run->buf.data, run->buf.len);
    *text = (struct tl_str){ .text = copy, .len = run->buf.len };
    return TALLY_OK;
}

/* *odd_out says whether a part was not canonical. */
static tally_status join_odd(struct tl_run *run, struct odd *odd, const struct tl_opening *line,
                             bool *odd_out)
{
    struct tl_opening *opening = &odd->opening;
    *opening = *line;
    TL_TRY(make_canonical(run, odd, &opening->rest));
    *odd_out = !tl_str_equal(opening->rest, line->rest);
    for (uint32_t i = 0; i < opening->count; i++) {
        if (!opening->members[i].gone) {
            TL_TRY(make_canonical(run, odd, &opening->members[i].value));
            *odd_out = *odd_out || !tl_str_equal(opening->members[i].value, line->members[i].value);
        }
    }
    return tl_opening_join(&odd->event, &odd->opened, opening, &odd->set);
}

/* A commitment holds, and is of something that is no canonical event. That alone is no tampering: the
 * rules for events are checked by what it says. */
static void check_odd(struct tl_run *run, const struct tl_leaf *leaf, const struct tl_opening *line)
{
    TL_CLEANUP(tl_freep) struct odd *odd = tl_alloc_array(1, sizeof(*odd));
    if (odd == NULL) {
        run->found.status = TALLY_ENOMEM;
        return;
    }
    tl_arena_init(&odd->arena, ODD_BYTES_MAX);
    tl_buf_init(&odd->event, EVENT_BYTES_MAX);
    tl_buf_init(&odd->opened, OPENED_BYTES_MAX);
    bool is_odd = false;
    tally_status status = join_odd(run, odd, line, &is_odd);
    if (status == TALLY_ENOMEM && odd->arena.bytes > ODD_BYTES_MAX / 4) {
        (void)found(run, TL_CHECK_FAILED, leaf->seq, "the content is too intricate to be read");
    } else if (status == TALLY_ENOMEM) {
        run->found.status = status;
    } else if (status != TALLY_OK || tl_json_check_members(odd->event.data, odd->event.len,
                                                           &run->index, NULL) != TALLY_OK) {
        (void)found(run, TL_RECORD_MALFORMED, leaf->seq, "what was sealed is no event");
    } else {
        const struct tally_record record = { .seq = leaf->seq,
                                             .event = odd->event.data,
                                             .event_len = odd->event.len,
                                             .opened = (const uint8_t *)odd->opened.data,
                                             .opened_len = odd->opened.len };
        run->canonical = !is_odd;
        check_parts(run, leaf, &record);
    }
    tl_buf_release(&odd->event);
    tl_buf_release(&odd->opened);
    tl_arena_release(&odd->arena);
}

/* The commitment comes first: it is of the line as it stands, whether or not that makes sense. */
static void check_line(struct tl_run *run, const struct tl_leaf *leaf,
                       const struct tally_record *record, const struct tl_opening *line)
{
    uint8_t commit[TL_COMMIT_LEN];
    tl_opening_commit(commit, line);
    run->judge_end = leaf->seq >= run->judge_end ? leaf->seq + 1 : run->judge_end;
    if (!commits(run, leaf, commit)) {
        return;
    }
    if (run->canonical) {
        check_parts(run, leaf, record);
    } else {
        check_odd(run, leaf, line);
    }
}

/* An event that cannot be split, for which no member was: it may still be what was sealed. */
static void check_unsplit(struct tl_run *run, const struct tl_leaf *leaf,
                          const struct tally_record *record)
{
    TL_CLEANUP(tl_freep) struct tl_opening *line = tl_alloc_array(1, sizeof(*line));
    uint8_t commit[TL_COMMIT_LEN];
    if (line == NULL) {
        run->found.status = TALLY_ENOMEM;
        return;
    }
    line->rest = (struct tl_str){ .text = record->event, .len = record->event_len };
    if (record->seed != NULL) {
        tl_salt(line->salt0, record->seed, TL_STR(""));
    }
    tl_opening_commit(commit, line);
    if (commits(run, leaf, commit)) {
        check_odd(run, leaf, line);
    }
}

bool tl_content_check(struct tl_run *run, const struct tl_leaf *leaf,
                      const struct tally_record *record)
{
    const struct tl_handover *handover = run->in->handover;
    const struct tl_opening *line = handover == NULL ? NULL : handover->line(handover->ctx);
    bool sealed_whole = record->seed != NULL && record->opened == NULL;
    bool opened = record->seed == NULL && record->opened != NULL;
    if (record->event == NULL && line == NULL) {
        if (record->seed != NULL || record->opened != NULL) {
            return !found(run, TL_RECORD_MALFORMED, leaf->seq,
                          "the content is gone, and what opens it is not");
        }
        return false;
    }
    if ((!sealed_whole && !opened) || (sealed_whole && record->seed_len != TL_SEED_LEN)) {
        return !found(run, TL_RECORD_MALFORMED, leaf->seq, "nothing opens the content");
    }
    if (!run->state.policy_known) {
        return true; /* the damage that hides the policy is a finding */
    }
    run->report->contents++;
    run->canonical =
        record->event != NULL &&
        tl_json_check_members(record->event, record->event_len, &run->index, NULL) == TALLY_OK;
    if (line != NULL) {
        check_line(run, leaf, record, line);
    } else if (tl_split_indexed(&run->split, run->state.policy.erasable, record->event,
                                record->event_len, &run->index) != TALLY_OK) {
        check_unsplit(run, leaf, record);
    } else if (sealed_whole ? check_whole(run, leaf, record)
                            : check_partly_erased(run, leaf, record)) {
        check_rules(run, leaf, record);
    }
    return true;
}
