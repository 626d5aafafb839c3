/*
 * A policy applied to an event, before there is any text of it: what is not to be kept never gets
 * into a file. What was done is noted in metadata.tally_policy (docs/events.md).
 */
#include "base/bytes.h"
#include "base/limits.h"
#include "model/event_draft.h"
#include "model/policy_parts.h"

static const struct tl_str mask = { TL_POLICY_MASK, sizeof(TL_POLICY_MASK) - 1 };
static const struct tl_str note_name = { "tally_policy", 12 };
static const struct tl_str trimmed_name = { "tally_trimmed", 13 };

struct masking {
    struct tl_draft *draft;
    const struct tl_log_policy *policy;
    struct tl_event_reader *reader;
    uint64_t masked, cut;
    bool started; /* the matcher, on this event */
};

static tally_status copy_text(struct masking *m, struct tl_str text, struct tl_str *copy_out)
{
    char *copy = tl_arena_alloc(&m->reader->arena, text.len + 1);
    if (copy == NULL) {
        return tl_draft_no_memory(m->draft);
    }
    if (text.len > 0) {
        memcpy(copy, text.text, text.len);
    }
    *copy_out = (struct tl_str){ .text = copy, .len = text.len };
    return TALLY_OK;
}

static tally_status new_node(struct masking *m, enum tl_json_type type, const char *key,
                             struct tl_json **node_out)
{
    struct tl_json *node = tl_arena_alloc(&m->reader->arena, sizeof(*node));
    if (node == NULL) {
        return tl_draft_no_memory(m->draft);
    }
    *node = (struct tl_json){ .type = type, .key = tl_str_of(key) };
    *node_out = node;
    return TALLY_OK;
}

/* Makes a value another one, which keeps its name and its place. */
static void replace(struct tl_json *node, enum tl_json_type type, struct tl_str text)
{
    *node = (struct tl_json){ .type = type, .key = node->key, .text = text, .next = node->next };
}

static void mask_value(struct masking *m, struct tl_json *node)
{
    if (node->type != TL_JSON_STRING || !tl_str_equal(node->text, mask)) {
        replace(node, TL_JSON_STRING, mask);
        m->masked++;
    }
}

/* Masks the matches in a text, which then lives in the arena. */
static tally_status mask_matches(struct masking *m, struct tl_str *text)
{
    if (m->policy->pattern_count == 0 || text->len == 0) {
        return TALLY_OK;
    }
    struct tl_event_reader *reader = m->reader;
    if (reader->matcher == NULL && tl_policy_matcher_new(&reader->matcher) != TALLY_OK) {
        return tl_draft_no_memory(m->draft);
    }
    if (!m->started) {
        tl_policy_matcher_restart(reader->matcher);
        m->started = true;
    }
    bool masked = false;
    tl_buf_clear(&reader->scratch);
    if (tl_policy_mask_matches(m->policy, reader->matcher, *text, &reader->scratch, &masked) !=
        TALLY_OK) {
        return tl_draft_no_memory(m->draft);
    }
    if (!masked) {
        return TALLY_OK;
    }
    m->masked++;
    return copy_text(m, tl_buf_str(&reader->scratch), text);
}

/* Gives `parent` a member; members come in canonical order. */
static struct tl_json *add_last(struct tl_json *parent, struct tl_json **link,
                                struct tl_json *added)
{
    *link = added;
    parent->count++;
    return added;
}

/* Puts {"tally_trimmed":{"bytes":n,"sha256":"...","text":"..."}} in place of a text. */
static tally_status cut_text(struct masking *m, struct tl_json *node)
{
    struct tl_json *mark = NULL;
    struct tl_json *bytes = NULL;
    struct tl_json *sha256 = NULL;
    struct tl_json *text = NULL;
    TL_TRY(new_node(m, TL_JSON_OBJECT, "tally_trimmed", &mark));
    TL_TRY(new_node(m, TL_JSON_NUMBER, "bytes", &bytes));
    TL_TRY(new_node(m, TL_JSON_STRING, "sha256", &sha256));
    TL_TRY(new_node(m, TL_JSON_STRING, "text", &text));
    bytes->number = (double)node->text.len;

    uint8_t hash[32];
    char hex[2 * sizeof(hash) + 1];
    m->reader->hash(hash, node->text.text, node->text.len);
    tl_hex_encode(hex, hash, sizeof(hash));
    TL_TRY(copy_text(m, (struct tl_str){ hex, sizeof(hex) - 1 }, &sha256->text));

    size_t len = m->policy->text_bytes;
    while (len > 0 && ((unsigned char)node->text.text[len] & 0xC0) == 0x80) {
        len--; /* a character is kept whole or not at all */
    }
    text->text = (struct tl_str){ .text = node->text.text, .len = len };
    TL_TRY(mask_matches(m, &text->text)); /* "x$" may match only now */
    if (text->text.len > m->policy->text_bytes) {
        text->text = mask;
    }
    replace(node, TL_JSON_OBJECT, (struct tl_str){ 0 });
    add_last(node, &node->first, mark);
    add_last(mark, &add_last(mark, &add_last(mark, &mark->first, bytes)->next, sha256)->next, text);
    m->cut++;
    return TALLY_OK;
}

/* Whether this is the hash in a mark of ours, which no expression may spoil. */
static bool is_hash_of_mark(const struct tl_json *parent, const struct tl_json *node)
{
    if (!tl_str_equal(parent->key, trimmed_name) || !tl_str_is(node->key, "sha256") ||
        node->text.len != 64) {
        return false;
    }
    for (size_t i = 0; i < node->text.len; i++) {
        char c = node->text.text[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) {
            return false;
        }
    }
    return true;
}

static tally_status apply_to_text(struct masking *m, const struct tl_json *parent,
                                  struct tl_json *node, uint32_t level)
{
    if (is_hash_of_mark(parent, node)) {
        return TALLY_OK;
    }
    TL_TRY(mask_matches(m, &node->text));
    size_t text_bytes = m->policy->text_bytes;
    if (text_bytes == 0 || node->text.len <= text_bytes) {
        return TALLY_OK;
    }
    if (level + 2 > TL_EVENT_DEPTH_MAX) {
        mask_value(m, node); /* there is no room for the mark */
        return TALLY_OK;
    }
    return cut_text(m, node);
}

/* Applies the policy to all inside `parent`; the reader bounds the depth. `level` counts the
 * containers around its members. */
static tally_status apply_inside(struct masking *m, const struct tl_json *parent, uint32_t level)
{
    bool in_object = parent->type == TL_JSON_OBJECT;
    bool look = tl_log_policy_looks_at_values(m->policy);
    for (struct tl_json *node = parent->first; node != NULL; node = node->next) {
        if (in_object && tl_log_policy_masks_name(m->policy, node->key)) {
            mask_value(m, node);
        } else if (node->type == TL_JSON_ARRAY || node->type == TL_JSON_OBJECT) {
            TL_TRY(apply_inside(m, node, level + 1));
        } else if (look && node->type == TL_JSON_STRING) {
            TL_TRY(apply_to_text(m, parent, node, level));
        }
    }
    return TALLY_OK;
}

static tally_status apply_to_reason(struct masking *m)
{
    struct tl_str *reason = &m->draft->text[TL_PLACE_REASON];
    TL_TRY(mask_matches(m, reason));
    if (reason->len > tl_place_rules[TL_PLACE_REASON].len_max) {
        *reason = mask; /* masks may be longer than what they mask */
    }
    return TALLY_OK;
}

/* Adds {"cut":n,"masked":n} to metadata, around the member of that name which may be there. Where
 * there is no room for it the event goes without. */
static tally_status note(struct masking *m)
{
    struct tl_json **place = &m->draft->free_objects[TL_FREE_METADATA];
    if (*place == NULL) {
        TL_TRY(new_node(m, TL_JSON_OBJECT, NULL, place));
    }
    struct tl_json *metadata = *place;
    struct tl_json **link = &metadata->first;
    while (*link != NULL && tl_json_compare_names((*link)->key, note_name) < 0) {
        link = &(*link)->next;
    }
    struct tl_json *there = *link != NULL && tl_str_equal((*link)->key, note_name) ? *link : NULL;
    if (there == NULL ? metadata->count >= TL_EVENT_MEMBERS_MAX
                      : 3 + tl_draft_depth(there) > TL_EVENT_DEPTH_MAX) {
        return TALLY_OK;
    }
    struct tl_json *object = NULL;
    TL_TRY(new_node(m, TL_JSON_OBJECT, "tally_policy", &object));
    struct tl_json **last = &object->first;
    if (there != NULL) {
        struct tl_json *before = NULL;
        TL_TRY(new_node(m, there->type, "before", &before));
        *before = *there;
        before->key = TL_STR("before");
        before->next = NULL;
        last = &add_last(object, last, before)->next;
        metadata->count--;
    }
    const struct {
        const char *name;
        uint64_t count;
    } counts[] = { { "cut", m->cut }, { "masked", m->masked } };
    for (size_t i = 0; i < TL_ARRAY_LEN(counts); i++) {
        if (counts[i].count > 0) {
            struct tl_json *count = NULL;
            TL_TRY(new_node(m, TL_JSON_NUMBER, counts[i].name, &count));
            count->number = (double)counts[i].count;
            last = &add_last(object, last, count)->next;
        }
    }
    object->next = there == NULL ? *link : there->next;
    add_last(metadata, link, object);
    return TALLY_OK;
}

static void decide(struct tl_draft *draft, const struct tl_log_policy *policy)
{
    const struct tl_str *text = draft->text;
    struct tl_log_policy_facts facts = {
        .action = text[TL_PLACE_ACTION],
        .severity = text[TL_PLACE_SEVERITY],
        .tenant_id = text[TL_PLACE_TENANT_ID],
        .service = text[TL_PLACE_SERVICE],
        .target_type = text[TL_PLACE_TARGET_TYPE],
        .target_id = text[TL_PLACE_TARGET_ID],
    };
    if (facts.target_type.text == NULL && facts.target_id.text == NULL &&
        text[TL_PLACE_TARGET_NAME].text == NULL && draft->target_count > 0) {
        facts.target_type = draft->targets[0].type;
        facts.target_id = draft->targets[0].id;
    }
    tl_log_policy_decide(policy, &facts, &draft->reader->decision);
}

static void leave_out_values(struct tl_draft *draft)
{
    draft->free_objects[TL_FREE_NEW_VALUES] = NULL;
    draft->free_objects[TL_FREE_OLD_VALUES] = NULL;
    draft->free_objects[TL_FREE_REQUEST] = NULL;
    draft->free_objects[TL_FREE_RESPONSE] = NULL;
}

tally_status tl_draft_apply_policy(struct tl_draft *draft, const struct tl_log_policy *policy,
                                   uint32_t *notes_out)
{
    const struct tl_log_policy_decision *decision = &draft->reader->decision;
    decide(draft, policy);
    if (!decision->allowed) {
        return tl_fail(draft->err, TALLY_EDISABLED, "the policy does not record this action");
    }
    if (decision->severity.text != NULL) {
        draft->text[TL_PLACE_SEVERITY] = decision->severity;
    }
    if (decision->level == TL_POLICY_METADATA) {
        leave_out_values(draft);
    }
    struct masking m = { .draft = draft, .policy = policy, .reader = draft->reader };
    TL_TRY(apply_to_reason(&m));
    for (size_t i = 0; i < TL_FREE_COUNT; i++) {
        if (draft->free_objects[i] != NULL) {
            TL_TRY(apply_inside(&m, draft->free_objects[i], 2));
        }
    }
    if (m.masked + m.cut > 0) {
        TL_TRY(note(&m));
    }
    *notes_out |= (m.masked > 0 ? TL_EVENT_MASKED : 0u) | (m.cut > 0 ? TL_EVENT_CUT : 0u);
    return TALLY_OK;
}
