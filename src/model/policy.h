/*
 * model/policy.h - what is recorded of an event, decided before anything is stored.
 *
 * Which actions are recorded at all, by lists; then, by the first rule that matches, how much of
 * them, how severe and with which delivery; then which values are masked or cut. docs/policy.md.
 */
#ifndef TL_MODEL_POLICY_H
#define TL_MODEL_POLICY_H

#include "base/arena.h"
#include "base/str.h"

struct tl_log_policy; /* immutable after it was read; any thread may use it */

enum tl_log_policy_level {
    TL_POLICY_FULL = 0,
    TL_POLICY_METADATA = 1, /* without old_values, new_values, request, response */
    TL_POLICY_NONE = 2      /* not at all */
};

/* What decisions rest on: members as they stand between their quotes; absent ones have text NULL. */
struct tl_log_policy_facts {
    struct tl_str action, severity, tenant_id, service;
    struct tl_str target_type, target_id; /* of the first target */
};

struct tl_log_policy_decision {
    struct tl_str action; /* as in the facts; borrowed from them */
    bool allowed;         /* false: not recorded */
    bool unlisted;        /* because no list names its action */
    enum tl_log_policy_level level;
    struct tl_str severity; /* instead of the event's own; absent: as it is */
    uint8_t delivery;       /* enum tally_delivery; 0: as the logger says */
};

/* An absent severity is "medium", as it will be in the event. */
void tl_log_policy_decide(const struct tl_log_policy *policy,
                          const struct tl_log_policy_facts *facts,
                          struct tl_log_policy_decision *decision_out);

/* Whether an action may be recorded, as far as the action alone decides. */
bool tl_log_policy_may_record(const struct tl_log_policy *policy, struct tl_str action);

/* Whether no event at all may be recorded: switched off, nothing is listed, or all is denied. */
bool tl_log_policy_allows_nothing(const struct tl_log_policy *policy);

/*
 * Whether a member's value is masked for its name, which is compared without case and as a whole.
 * Quick: most names are told apart by length and first letter. `name` stands between quotes; one
 * with escapes is compared as it is.
 */
bool tl_log_policy_masks_name(const struct tl_log_policy *policy, struct tl_str name);

/* Whether values need to be looked at too: patterns to be masked, or a bound on the length of text. */
bool tl_log_policy_looks_at_values(const struct tl_log_policy *policy);

/* SHA-256 is not ours to compute: the text from which the policy was made, canonical, so that two
 * policies are the same exactly if their texts are. */
struct tl_str tl_log_policy_text(const struct tl_log_policy *policy);

#endif /* TL_MODEL_POLICY_H */
