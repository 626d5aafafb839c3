/* A policy of settings. docs/policy.md */
#include <stdio.h>

#include <tally/log.h>

#include "base/limits.h"
#include "base/parse.h"
#include "codec/json.h"
#include "codec/utf8.h"
#include "model/config_keys.h"
#include "model/fold.h"
#include "model/policy_parts.h"

#define ACTIONS_MAX       1024u
#define ACTION_BYTES_MAX  256u
#define NAMES_MAX         256u
#define PATTERNS_MAX      64u
#define PATTERN_BYTES_MAX 1024u
#define RULE_BYTES_MAX    1024u
#define TEXT_BYTES_MIN    64u /* so that the hash of a text that was cut is not cut as well */

static const struct tl_json_limits json_limits = {
    .bytes_max = TL_CONFIG_BYTES_MAX,
    .depth_max = 3,
    .members_max = 16,
    .elements_max = TL_POLICY_RULES_MAX,
};

struct reading {
    struct tl_arena *arena;
    struct tl_log_policy *policy;
    struct tl_policy_rule *rules;
    bool has_rule[TL_POLICY_RULES_MAX];
    const struct tl_config_entry *last_rule;
    struct tally_error *err;
};

static tally_status no_memory(struct reading *r)
{
    return tl_fail(r->err, TALLY_ENOMEM, "no memory for settings");
}

static tally_status bad(struct reading *r, const struct tl_config_entry *entry, const char *what)
{
    return tl_fail(r->err, TALLY_EINVAL, "%s: '%.80s' %s", entry->where, entry->name, what);
}

/* The same about an element, whose place is known if it is of a file. */
static tally_status bad_element(struct reading *r, const struct tl_config_entry *entry,
                                size_t index, const char *what)
{
    if (entry->places == NULL || index >= entry->count) {
        return bad(r, entry, what);
    }
    const struct tl_yaml_place *place = &entry->places[index];
    return tl_fail(r->err, TALLY_EINVAL, "%s:%u:%u: '%.80s' %s", entry->path, place->line,
                   place->column, entry->name, what);
}

/* Puts `name` into a list that is sorted by length, then bytes; `list` has room for it. */
static void put_sorted(struct tl_str *list, size_t *count, struct tl_str name)
{
    size_t at = *count;
    while (at > 0 && tl_policy_compare(list[at - 1], name) > 0) {
        at--;
    }
    if (at == 0 || tl_policy_compare(list[at - 1], name) != 0) {
        memmove(&list[at + 1], &list[at], (*count - at) * sizeof(*list));
        list[at] = name;
        ++*count;
    }
}

static bool is_action(struct tl_str text, bool *pattern_out)
{
    *pattern_out = false;
    for (size_t i = 0; i < text.len; i++) {
        char c = tl_fold(text.text[i]);
        *pattern_out = *pattern_out || c == '*';
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
              (c != '\0' && strchr("_.:/@-*", c) != NULL))) {
            return false;
        }
    }
    return text.len > 0 && text.len <= ACTION_BYTES_MAX;
}

static tally_status read_actions(struct reading *r, const struct tl_config_entry *entry,
                                 struct tl_policy_actions *actions)
{
    if (entry->count > ACTIONS_MAX) {
        return bad(r, entry, "is to have at most 1024 actions");
    }
    struct tl_str *names = tl_arena_alloc(r->arena, (entry->count + 1) * sizeof(*names));
    struct tl_str *patterns = tl_arena_alloc(r->arena, (entry->count + 1) * sizeof(*patterns));
    if (names == NULL || patterns == NULL) {
        return no_memory(r);
    }
    *actions = (struct tl_policy_actions){ .names = names, .patterns = patterns };
    if (entry->count == 1 && tl_str_is(entry->values[0], "all")) {
        actions->all = true;
        return TALLY_OK;
    }
    for (size_t i = 0; i < entry->count; i++) {
        bool is_pattern = false;
        if (!is_action(entry->values[i], &is_pattern)) {
            return bad_element(r, entry, i,
                               "is to have actions, or patterns of them such as 'user.*'");
        }
        if (is_pattern) {
            put_sorted(patterns, &actions->pattern_count, entry->values[i]);
        } else {
            put_sorted(names, &actions->name_count, entry->values[i]);
        }
    }
    return TALLY_OK;
}

static bool is_text(struct tl_str text)
{
    return text.len > 0 && text.len <= RULE_BYTES_MAX &&
           tl_utf8_valid_len(text.text, text.len) == text.len;
}

static tally_status read_name(struct reading *r, const struct tl_config_entry *entry, size_t index,
                              struct tl_str *name_out)
{
    struct tl_str name = entry->values[index];
    char lower[TL_POLICY_NAME_MAX];
    size_t len = is_text(name) ? tl_policy_lower(lower, sizeof(lower), name) : SIZE_MAX;
    if (len > TL_POLICY_NAME_MAX) {
        return bad_element(r, entry, index, "is to have names of 1 to 128 bytes");
    }
    char *copy = tl_arena_alloc(r->arena, len);
    if (copy == NULL) {
        return no_memory(r);
    }
    memcpy(copy, lower, len);
    *name_out = (struct tl_str){ .text = copy, .len = len };
    return TALLY_OK;
}

static tally_status read_names(struct reading *r, const struct tl_config_entry *entry)
{
    struct tl_policy_names *masked = &r->policy->masked;
    if (entry->count > NAMES_MAX) {
        return bad(r, entry, "is to have at most 256 names");
    }
    struct tl_str *names = tl_arena_alloc(r->arena, (entry->count + 1) * sizeof(*names));
    if (names == NULL) {
        return no_memory(r);
    }
    *masked = (struct tl_policy_names){ .names = names };
    for (size_t i = 0; i < entry->count; i++) {
        struct tl_str name = { 0 };
        TL_TRY(read_name(r, entry, i, &name));
        put_sorted(names, &masked->count, name);
    }
    size_t at = 0;
    for (size_t len = 0; len <= TL_POLICY_NAME_MAX; len++) {
        masked->first[len] = (uint16_t)at;
        for (; at < masked->count && names[at].len == len; at++) {
            tl_assert(names[at].text != NULL); /* no name is empty */
            masked->letters[len] |= UINT32_C(1) << ((unsigned char)names[at].text[0] & 31);
        }
    }
    masked->first[TL_POLICY_NAME_MAX + 1] = (uint16_t)at;
    return TALLY_OK;
}

/* Reads the array in the text of an entry. */
static tally_status read_array(struct reading *r, const struct tl_config_entry *entry,
                               enum tl_json_type elements, const struct tl_json **array_out)
{
    static const struct tl_json none = { .type = TL_JSON_ARRAY };
    const char *wanted = elements == TL_JSON_OBJECT ? "is to be a list of rules, or a JSON array"
                                                    : "is to be a list, or a JSON array of texts";
    const struct tl_json *array = &none;
    struct tl_str text = tl_str_of(entry->value);
    if (text.len > 0) {
        tally_status status =
            tl_json_read(r->arena, text.text, text.len, &json_limits, &array, NULL);
        if (status == TALLY_ENOMEM) {
            return no_memory(r);
        }
        if (status != TALLY_OK || array->type != TL_JSON_ARRAY) {
            return bad(r, entry, wanted);
        }
    }
    for (const struct tl_json *element = array->first; element != NULL; element = element->next) {
        if (element->type != elements) {
            return bad(r, entry, wanted);
        }
    }
    *array_out = array;
    return TALLY_OK;
}

static tally_status compile(struct reading *r, const struct tl_config_entry *entry, size_t index,
                            struct tl_policy_regex **regex_out)
{
    struct tl_str text = r->policy->pattern_texts[index];
    if (text.len == 0 || text.len > PATTERN_BYTES_MAX) {
        return bad_element(r, entry, index, "is to have expressions of 1 to 1024 bytes");
    }
    struct tally_error cause = TALLY_ERROR_INIT;
    tally_status status = tl_policy_regex_new(regex_out, text, &cause);
    if (status == TALLY_ENOMEM) {
        return no_memory(r);
    }
    if (status != TALLY_OK) {
        char what[sizeof(cause.message) + 64];
        (void)snprintf(what, sizeof(what), "is no regular expression in element %zu: %s", index,
                       cause.message);
        return bad_element(r, entry, index, what);
    }
    return TALLY_OK;
}

static tally_status read_patterns(struct reading *r, const struct tl_config_entry *entry)
{
    const struct tl_json *array = NULL;
    size_t count = entry->count;
    if (entry->values == NULL) {
        TL_TRY(read_array(r, entry, TL_JSON_STRING, &array));
        tl_assert(array != NULL); /* it was read */
        count = array->count;
    }
    if (count > PATTERNS_MAX) {
        return bad(r, entry, "is to have at most 64 expressions");
    }
    struct tl_str *texts = tl_arena_alloc(r->arena, (count + 1) * sizeof(*texts));
    /* NOLINTNEXTLINE(bugprone-sizeof-expression): pointers are what it holds */
    struct tl_policy_regex **patterns = tl_arena_alloc(r->arena, (count + 1) * sizeof(patterns[0]));
    if (texts == NULL || patterns == NULL) {
        return no_memory(r);
    }
    const struct tl_json *element = array == NULL ? NULL : array->first;
    for (size_t i = 0; i < count; i++) {
        if (element != NULL) {
            texts[i] = element->text;
            element = element->next;
        } else {
            tl_assert(entry->values != NULL); /* then there was no array */
            texts[i] = entry->values[i];
        }
    }
    r->policy->pattern_texts = texts;
    r->policy->patterns = patterns;
    for (size_t i = 0; i < count; i++) {
        TL_TRY(compile(r, entry, i, &patterns[i]));
        r->policy->pattern_count++;
    }
    return TALLY_OK;
}

static const char *const levels[] = { "full", "metadata", "none" };
static const char *const deliveries[] = { "", "best_effort", "durable", "strict" };

_Static_assert(TL_POLICY_FULL == 0 && TL_POLICY_METADATA == 1 && TL_POLICY_NONE == 2,
               "words stand at the place of their value");
_Static_assert(TALLY_DELIVERY_BEST_EFFORT == 1 && TALLY_DELIVERY_DURABLE == 2 &&
                   TALLY_DELIVERY_STRICT == 3,
               "words stand at the place of their value");

/* Returns where the word stands, or `count`. */
static size_t find_word(const char *const *words, size_t count, struct tl_str word)
{
    size_t i = 0;
    while (i < count && (word.len == 0 || !tl_str_is(word, words[i]))) {
        i++;
    }
    return i;
}

const char *tl_policy_level_word(enum tl_log_policy_level level)
{
    return levels[level];
}

const char *tl_policy_delivery_word(uint8_t delivery)
{
    return deliveries[delivery];
}

/* Puts a member of a rule into its place; otherwise says what it is to be. */
static const char *set_member(struct tl_policy_rule *rule, struct tl_str name, struct tl_str value)
{
    struct tl_str *const texts[] = { &rule->service, &rule->target_id, &rule->target_type,
                                     &rule->tenant };
    static const char *const text_names[] = { "service", "target_id", "target_type", "tenant" };
    bool pattern = false;
    size_t found = find_word(text_names, TL_ARRAY_LEN(text_names), name);
    if (found < TL_ARRAY_LEN(text_names)) {
        *texts[found] = value;
        return is_text(value) ? NULL : "is to be a text of 1 to 1024 bytes";
    }
    if (tl_str_is(name, "action")) {
        rule->action = value;
        return is_action(value, &pattern) ? NULL : "is to be an action, or a pattern of actions";
    }
    if (tl_str_is(name, "severity") || tl_str_is(name, "set_severity")) {
        *(name.len == 8 ? &rule->severity : &rule->set_severity) = value;
        return tl_severity_rank(value) > 0 ? NULL : "is to be low, medium, high or critical";
    }
    if (tl_str_is(name, "level")) {
        size_t level = find_word(levels, TL_ARRAY_LEN(levels), value);
        rule->level = (enum tl_log_policy_level)level;
        return level < TL_ARRAY_LEN(levels) ? NULL : "is to be full, metadata or none";
    }
    if (tl_str_is(name, "delivery")) {
        size_t delivery = find_word(deliveries, TL_ARRAY_LEN(deliveries), value);
        rule->delivery = (uint8_t)delivery;
        return delivery < TL_ARRAY_LEN(deliveries) ? NULL
                                                   : "is to be best_effort, durable or strict";
    }
    return "is no member of a rule: these are action, delivery, level, service, set_severity, "
           "severity, target_id, target_type and tenant";
}

static tally_status read_rules(struct reading *r, const struct tl_config_entry *entry)
{
    const struct tl_json *array = NULL;
    if (entry->count > 0) {
        return bad_element(r, entry, 0, "is to be a list of rules, or a JSON array");
    }
    TL_TRY(read_array(r, entry, TL_JSON_OBJECT, &array));
    tl_assert(array != NULL); /* it was read */
    for (const struct tl_json *element = array->first; element != NULL; element = element->next) {
        size_t index = r->policy->rule_count++;
        r->has_rule[index] = element->count > 0;
        for (const struct tl_json *member = element->first; member != NULL; member = member->next) {
            const char *wanted = "is to have texts";
            if (member->type == TL_JSON_STRING) {
                wanted = set_member(&r->rules[index], member->key, member->text);
            }
            if (wanted != NULL) {
                return tl_fail(r->err, TALLY_EINVAL, "%s: 'policy.rules', rule %zu: '%.*s' %s",
                               entry->where, index,
                               (int)(member->key.len < 80 ? member->key.len : 80), member->key.text,
                               wanted);
            }
        }
    }
    return TALLY_OK;
}

/* One member of a rule: the entry of the map is "12.action". */
static tally_status read_rule_member(struct reading *r, const struct tl_config_entry *entry)
{
    size_t digits = 0;
    while (digits < entry->map.len && entry->map.text[digits] != '.') {
        digits++;
    }
    uint64_t index = 0;
    if (tl_parse_u64(entry->map.text, digits, UINT64_MAX, &index) != TALLY_OK ||
        digits == entry->map.len) {
        return bad(r, entry, "is no setting: a rule is an element of the list 'policy.rules'");
    }
    if (index >= TL_POLICY_RULES_MAX) {
        return bad(r, entry, "is one rule more than 256");
    }
    struct tl_str name = { entry->map.text + digits + 1, entry->map.len - digits - 1 };
    const char *wanted = set_member(&r->rules[index], name, tl_str_of(entry->value));
    if (wanted != NULL) {
        return bad(r, entry, wanted);
    }
    r->has_rule[index] = true;
    if (index >= r->policy->rule_count) {
        r->policy->rule_count = index + 1;
    }
    return TALLY_OK;
}

static tally_status read_entry(struct reading *r, const struct tl_config_entry *entry)
{
    switch (entry->key->kind) {
    case TL_CONFIG_ACTIONS:
        return read_actions(
            r, entry, entry->key->offset == TL_LIST_ALLOW ? &r->policy->allow : &r->policy->deny);
    case TL_CONFIG_NAMES:
        return read_names(r, entry);
    case TL_CONFIG_PATTERNS:
        return read_patterns(r, entry);
    case TL_CONFIG_RULES:
        r->last_rule = entry;
        return entry->map.text == NULL ? read_rules(r, entry) : read_rule_member(r, entry);
    case TL_CONFIG_SIZE:
        if (strcmp(entry->key->name, "policy.text_bytes") == 0 && r->policy->text_bytes > 0 &&
            r->policy->text_bytes < TEXT_BYTES_MIN) {
            return bad(r, entry, "is to be 0, or 64 and more");
        }
        return TALLY_OK;
    case TL_CONFIG_TEXT:
    case TL_CONFIG_PATH:
    case TL_CONFIG_TARGETS:
    case TL_CONFIG_NUMBER:
    case TL_CONFIG_LISTEN:
    case TL_CONFIG_ORIGINS:
    case TL_CONFIG_CHOICE:
    case TL_CONFIG_SECONDS:
    case TL_CONFIG_MS:
    case TL_CONFIG_DAYS:
    case TL_CONFIG_POINTERS:
    case TL_CONFIG_MEMBERS:
    case TL_CONFIG_MAP:
        return TALLY_OK;
    }
    return TALLY_OK;
}

/* A rule that asks for nothing and does nothing would end the search for another. */
static tally_status check_rules(struct reading *r)
{
    for (size_t i = 0; i < r->policy->rule_count; i++) {
        if (!r->has_rule[i]) {
            return tl_fail(r->err, TALLY_EINVAL, "%s: 'policy.rules', rule %zu is empty",
                           r->last_rule->where, i);
        }
    }
    return TALLY_OK;
}

void tl_policy_release(struct tl_log_policy *policy)
{
    if (policy != NULL) {
        for (size_t i = 0; i < policy->pattern_count; i++) {
            tl_policy_regex_free(policy->patterns[i]);
        }
        policy->pattern_count = 0;
    }
}

static void release_reading(struct reading *r)
{
    tl_policy_release(r->policy);
}

tally_status tl_policy_read(struct tl_log_policy **policy_out, struct tl_config *config,
                            struct tally_error *err)
{
    TL_CLEANUP(release_reading) struct reading r = { .arena = &config->arena, .err = err };
    struct tl_log_policy *policy = tl_arena_alloc(r.arena, sizeof(*policy));
    r.rules = tl_arena_alloc(r.arena, TL_POLICY_RULES_MAX * sizeof(*r.rules));
    if (policy == NULL || r.rules == NULL) {
        return no_memory(&r);
    }
    memset(r.rules, 0, TL_POLICY_RULES_MAX * sizeof(*r.rules));
    *policy = (struct tl_log_policy){ .enabled = config->policy_enabled,
                                      .text_bytes = config->policy_text_bytes,
                                      .rules = r.rules };
    r.policy = policy;
    for (const struct tl_config_entry *entry = config->entries; entry != NULL;
         entry = entry->next) {
        TL_TRY(read_entry(&r, entry));
    }
    TL_TRY(check_rules(&r));
    TL_TRY(tl_policy_write(policy, r.arena, err));
    r.policy = NULL;
    *policy_out = policy;
    return TALLY_OK;
}
