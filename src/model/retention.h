/*
 * model/retention.h - how long contents are kept: rules on events, and the classes they make.
 *
 * Precedence: action (longest prefix), severity, service, tenant, outcome, default. Days <= 0: for ever.
 */
#ifndef TL_MODEL_RETENTION_H
#define TL_MODEL_RETENTION_H

#include "base/arena.h"
#include "base/str.h"
#include "model/event.h"

#define TL_RETENTION_RULES_MAX 256u

struct tl_retention_rule {
    struct tl_str
        match;    /* severity, service, tenant, outcome, or action (".*" at its end: prefix) */
    int32_t days; /* as configured; <= 0: for ever */
};

/* Immutable after init. Borrows from the configuration. */
struct tl_retention {
    int32_t default_days;
    bool by_occurred; /* retention.basis: occurred */
    struct tl_retention_rule *by_action;
    size_t by_action_count;
    struct tl_retention_rule *by_severity;
    size_t by_severity_count;
    struct tl_retention_rule *by_service;
    size_t by_service_count;
    struct tl_retention_rule *by_tenant;
    size_t by_tenant_count;
    struct tl_retention_rule *by_outcome;
    size_t by_outcome_count;
};

/* The days for an event: 1 or more, or -1 for ever. */
int32_t tl_retention_days(const struct tl_retention *retention, const struct tl_event_keys *keys);

/* One class of the policy that these rules need. */
struct tl_retention_class {
    uint16_t id;
    int32_t days;
    bool by_occurred;
    char name[24]; /* "365d", "365d-occurred", "forever" */
};

/*
 * Lists the classes, one for each number of days and each basis (imports may ask for `occurred`),
 * ascending id from 1, in a stable order: by days (for ever last), recorded before occurred.
 * Returns how many, at most `max`; TL_RETENTION_RULES_MAX * 2 + 2 is always enough.
 */
size_t tl_retention_classes(const struct tl_retention *retention, struct tl_retention_class *out,
                            size_t max);

#endif /* TL_MODEL_RETENTION_H */
