/* Answers by a policy. These are on the path of every event: most take a few nanoseconds. */
#include "model/policy.h"

#include "model/fold.h"
#include "model/policy_parts.h"

/* '*' stands for any number of characters. Goes back to the last '*' alone, so that the time is
 * bounded by the product of the lengths. */
static bool matches_pattern(struct tl_str pattern, struct tl_str text)
{
    size_t p = 0;
    size_t t = 0;
    size_t star = SIZE_MAX;
    size_t resume = 0;
    while (t < text.len) {
        if (p < pattern.len && pattern.text[p] == '*') {
            star = p++;
            resume = t;
        } else if (p < pattern.len && pattern.text[p] == text.text[t]) {
            p++;
            t++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            t = ++resume;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.text[p] == '*') {
        p++;
    }
    return p == pattern.len;
}

static bool holds(const struct tl_str *sorted, size_t count, struct tl_str name)
{
    size_t low = 0;
    size_t high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = tl_policy_compare(sorted[middle], name);
        if (order == 0) {
            return true;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return false;
}

static bool lists(const struct tl_policy_actions *actions, struct tl_str action)
{
    if (actions->all || holds(actions->names, actions->name_count, action)) {
        return true;
    }
    for (size_t i = 0; i < actions->pattern_count; i++) {
        if (matches_pattern(actions->patterns[i], action)) {
            return true;
        }
    }
    return false;
}

static bool is_wanted(struct tl_str wanted, struct tl_str fact)
{
    return wanted.text == NULL || (fact.text != NULL && tl_str_equal(wanted, fact));
}

static bool is_wanted_severity(struct tl_str wanted, struct tl_str fact)
{
    if (wanted.text == NULL) {
        return true;
    }
    if (fact.text == NULL) {
        fact = TL_STR("medium"); /* docs/events.md */
    }
    bool same = wanted.len == fact.len;
    for (size_t i = 0; same && i < wanted.len; i++) {
        same = wanted.text[i] == tl_fold(fact.text[i]);
    }
    return same;
}

static bool wants_action(const struct tl_policy_rule *rule, struct tl_str action)
{
    return rule->action.text == NULL || matches_pattern(rule->action, action);
}

static bool matches_rule(const struct tl_policy_rule *rule, const struct tl_log_policy_facts *facts)
{
    return wants_action(rule, facts->action) && is_wanted(rule->tenant, facts->tenant_id) &&
           is_wanted(rule->service, facts->service) &&
           is_wanted(rule->target_type, facts->target_type) &&
           is_wanted(rule->target_id, facts->target_id) &&
           is_wanted_severity(rule->severity, facts->severity);
}

void tl_log_policy_decide(const struct tl_log_policy *policy,
                          const struct tl_log_policy_facts *facts,
                          struct tl_log_policy_decision *decision_out)
{
    struct tl_log_policy_decision decision = { .action = facts->action,
                                               .allowed = policy->enabled };
    if (decision.allowed && !lists(&policy->allow, facts->action)) {
        decision.allowed = false;
        decision.unlisted = true;
    }
    if (lists(&policy->deny, facts->action)) {
        decision.allowed = false;
        decision.unlisted = false;
    }
    for (size_t i = 0; decision.allowed && i < policy->rule_count; i++) {
        const struct tl_policy_rule *rule = &policy->rules[i];
        if (matches_rule(rule, facts)) {
            decision.level = rule->level;
            decision.severity = rule->set_severity;
            decision.delivery = rule->delivery;
            decision.allowed = rule->level != TL_POLICY_NONE;
            break;
        }
    }
    *decision_out = decision;
}

/* Whether the action is all that the rule asks for. */
static bool asks_action_only(const struct tl_policy_rule *rule)
{
    return rule->tenant.text == NULL && rule->service.text == NULL &&
           rule->target_type.text == NULL && rule->target_id.text == NULL &&
           rule->severity.text == NULL;
}

bool tl_log_policy_may_record(const struct tl_log_policy *policy, struct tl_str action)
{
    if (!policy->enabled || lists(&policy->deny, action) || !lists(&policy->allow, action)) {
        return false;
    }
    for (size_t i = 0; i < policy->rule_count; i++) {
        const struct tl_policy_rule *rule = &policy->rules[i];
        if (!wants_action(rule, action)) {
            continue;
        }
        if (rule->level != TL_POLICY_NONE) {
            return true;
        }
        if (asks_action_only(rule)) {
            return false;
        }
    }
    return true;
}

bool tl_log_policy_allows_nothing(const struct tl_log_policy *policy)
{
    const struct tl_policy_actions *allow = &policy->allow;
    return !policy->enabled || policy->deny.all ||
           (!allow->all && allow->name_count + allow->pattern_count == 0);
}

static bool is_ascii(struct tl_str text)
{
    size_t i = 0;
    uint64_t all = 0;
    for (; i + sizeof(all) <= text.len; i += sizeof(all)) {
        uint64_t word = 0;
        memcpy(&word, text.text + i, sizeof(word));
        all |= word;
    }
    for (; i < text.len; i++) {
        all |= (unsigned char)text.text[i];
    }
    return (all & UINT64_C(0x8080808080808080)) == 0;
}

static bool masks(const struct tl_policy_names *names, struct tl_str name)
{
    uint32_t letter = UINT32_C(1) << ((unsigned char)name.text[0] & 31);
    if ((names->letters[name.len] & letter) == 0) {
        return false;
    }
    for (size_t i = names->first[name.len]; i < names->first[name.len + 1]; i++) {
        const char *known = names->names[i].text;
        size_t same = 0;
        while (same < name.len && tl_fold(name.text[same]) == known[same]) {
            same++;
        }
        if (same == name.len) {
            return true;
        }
    }
    return false;
}

bool tl_log_policy_masks_name(const struct tl_log_policy *policy, struct tl_str name)
{
    /* In lower case a name may be shorter, but not by so much. */
    if (name.len == 0 || name.len > (size_t)4 * TL_POLICY_NAME_MAX) {
        return false;
    }
    char lower[TL_POLICY_NAME_MAX];
    if (!is_ascii(name)) {
        name = (struct tl_str){ lower, tl_policy_lower(lower, sizeof(lower), name) };
    }
    return name.len <= TL_POLICY_NAME_MAX && masks(&policy->masked, name);
}

bool tl_log_policy_looks_at_values(const struct tl_log_policy *policy)
{
    return policy->pattern_count > 0 || policy->text_bytes > 0;
}

struct tl_str tl_log_policy_text(const struct tl_log_policy *policy)
{
    return policy->text;
}
