#include "model/retention.h"

#include <stdio.h>

/* Whether an action rule fits: exactly, or as the prefix before a star. */
static bool fits_action(struct tl_str match, struct tl_str action)
{
    if (match.len > 0 && match.text[match.len - 1] == '*') {
        return tl_str_starts(action, (struct tl_str){ .text = match.text, .len = match.len - 1 });
    }
    return tl_str_equal(match, action);
}

/* The longest rule that fits; of the same length, an exact one is the more special. */
static const struct tl_retention_rule *find_action(const struct tl_retention *retention,
                                                   struct tl_str action)
{
    const struct tl_retention_rule *best = NULL;
    for (size_t i = 0; i < retention->by_action_count; i++) {
        const struct tl_retention_rule *rule = &retention->by_action[i];
        if (tl_str_equal(rule->match, action)) {
            return rule;
        }
        if (fits_action(rule->match, action) &&
            (best == NULL || rule->match.len > best->match.len)) {
            best = rule;
        }
    }
    return best;
}

static const struct tl_retention_rule *find(const struct tl_retention_rule *rules, size_t count,
                                            struct tl_str value)
{
    for (size_t i = 0; value.len > 0 && i < count; i++) {
        if (tl_str_equal(rules[i].match, value)) {
            return &rules[i];
        }
    }
    return NULL;
}

static int32_t days_of(int32_t configured)
{
    return configured > 0 ? configured : -1;
}

int32_t tl_retention_days(const struct tl_retention *retention, const struct tl_event_keys *keys)
{
    const struct tl_retention_rule *rule = find_action(retention, keys->action);
    if (rule == NULL) {
        rule = find(retention->by_severity, retention->by_severity_count, keys->severity);
    }
    if (rule == NULL) {
        rule = find(retention->by_service, retention->by_service_count, keys->service);
    }
    if (rule == NULL) {
        rule = find(retention->by_tenant, retention->by_tenant_count, keys->tenant_id);
    }
    if (rule == NULL) {
        rule = find(retention->by_outcome, retention->by_outcome_count, keys->outcome);
    }
    return days_of(rule == NULL ? retention->default_days : rule->days);
}

/* Days as they sort: for ever comes last. */
static uint32_t order_of(int32_t days)
{
    return (uint32_t)days_of(days); /* -1 is the greatest */
}

/* The least number of days that comes after `last`; false if there is none. */
static bool next_days(const struct tl_retention *retention, bool started, int32_t last,
                      int32_t *days_out)
{
    const struct {
        const struct tl_retention_rule *rules;
        size_t count;
    } lists[] = {
        { retention->by_action, retention->by_action_count },
        { retention->by_severity, retention->by_severity_count },
        { retention->by_service, retention->by_service_count },
        { retention->by_tenant, retention->by_tenant_count },
        { retention->by_outcome, retention->by_outcome_count },
        { &(const struct tl_retention_rule){ .days = retention->default_days }, 1 },
    };
    bool found = false;
    for (size_t l = 0; l < TL_ARRAY_LEN(lists); l++) {
        for (size_t i = 0; i < lists[l].count; i++) {
            int32_t days = days_of(lists[l].rules[i].days);
            bool later = !started || order_of(days) > order_of(last);
            if (later && (!found || order_of(days) < order_of(*days_out))) {
                *days_out = days;
                found = true;
            }
        }
    }
    return found;
}

static void set_class(struct tl_retention_class *out, size_t index, int32_t days, bool by_occurred)
{
    *out = (struct tl_retention_class){ .id = (uint16_t)(index + 1),
                                        .days = days,
                                        .by_occurred = by_occurred };
    const char *basis = by_occurred ? "-occurred" : "";
    if (days < 0) {
        (void)snprintf(out->name, sizeof(out->name), "forever%s", basis);
    } else {
        (void)snprintf(out->name, sizeof(out->name), "%dd%s", days, basis);
    }
}

size_t tl_retention_classes(const struct tl_retention *retention, struct tl_retention_class *out,
                            size_t max)
{
    size_t count = 0;
    int32_t days = 0;
    bool started = false;
    while (next_days(retention, started, days, &days)) {
        for (unsigned occurred = 0; occurred <= 1 && count < max; occurred++) {
            set_class(&out[count], count, days, occurred == 1);
            count++;
        }
        started = true;
    }
    return count;
}
