/*
 * model/policy_parts.h - what a policy is made of; inside model/ only.
 *
 * policy_read.c makes one of settings, policy.c answers by it, policy_mask.c applies it to an event.
 */
#ifndef TL_MODEL_POLICY_PARTS_H
#define TL_MODEL_POLICY_PARTS_H

#include "base/buf.h"
#include "model/policy.h"

/* What a masked value becomes. */
#define TL_POLICY_MASK "<redacted>"

#define TL_POLICY_RULES_MAX 256u
#define TL_POLICY_NAME_MAX  128u /* bytes of a member's name that is masked */

/* Names of actions, and patterns of them in which '*' is any number of characters. */
struct tl_policy_actions {
    bool all;
    const struct tl_str *names; /* sorted by length, then bytes; none twice */
    size_t name_count;
    const struct tl_str *patterns; /* sorted likewise */
    size_t pattern_count;
};

/* Names whose values are masked, all in lower case. */
struct tl_policy_names {
    const struct tl_str *names; /* sorted by length, then bytes; none twice */
    size_t count;
    uint32_t letters[TL_POLICY_NAME_MAX + 1]; /* by length: a bit for each first letter */
    uint16_t first[TL_POLICY_NAME_MAX + 2];   /* by length: the first such name */
};

/* What a rule asks of an event is absent where anything will do. */
struct tl_policy_rule {
    struct tl_str action; /* a name or a pattern */
    struct tl_str service, severity, target_id, target_type, tenant;
    enum tl_log_policy_level level;
    struct tl_str set_severity;
    uint8_t delivery;
};

struct tl_policy_regex; /* a compiled regular expression; immutable */

struct tl_log_policy {
    bool enabled;
    struct tl_policy_actions allow, deny;
    const struct tl_policy_rule *rules;
    size_t rule_count;
    struct tl_policy_names masked;
    struct tl_policy_regex *const *patterns; /* owned */
    const struct tl_str *pattern_texts;
    size_t pattern_count;
    size_t text_bytes; /* 0: no bound */
    struct tl_str text;
};

/* Orders by length, then bytes: most comparisons end at the length. */
static inline int tl_policy_compare(struct tl_str a, struct tl_str b)
{
    if (a.len != b.len) {
        return a.len < b.len ? -1 : 1;
    }
    return a.len == 0 ? 0 : memcmp(a.text, b.text, a.len);
}

/*
 * Writes `name` in lower case: letters of ASCII, and those of Latin, Greek, Cyrillic and Armenian
 * that have one. Returns the length, or `size` + 1 if there is no room. `name` may be any bytes.
 */
size_t tl_policy_lower(char *out, size_t size, struct tl_str name);

/* Words of settings; none for the default delivery is "". */
const char *tl_policy_level_word(enum tl_log_policy_level level);
const char *tl_policy_delivery_word(uint8_t delivery);

/* Makes policy->text of the rest, in the arena. Errors: TALLY_ENOMEM */
tally_status tl_policy_write(struct tl_log_policy *policy, struct tl_arena *arena,
                             struct tally_error *err);

/*
 * Compiles an expression, to be freed with tl_policy_regex_free().
 *
 * Errors: TALLY_EINVAL the message says what is wrong, and at which byte; TALLY_ENOMEM
 */
tally_status tl_policy_regex_new(struct tl_policy_regex **regex_out, struct tl_str text,
                                 struct tally_error *err);
void tl_policy_regex_free(struct tl_policy_regex *regex);

/* What matching needs besides the expression: memory of its own, and how much may still be done. */
struct tl_policy_matcher;

/* Errors: TALLY_ENOMEM */
tally_status tl_policy_matcher_new(struct tl_policy_matcher **matcher_out);

/* NULL is allowed. Confined to one thread, like the reader that holds it. */
void tl_policy_matcher_free(struct tl_policy_matcher *matcher);

/* Before each event: allows the work of one event. */
void tl_policy_matcher_restart(struct tl_policy_matcher *matcher);

/*
 * Masks every match of the policy's expressions in `text`, until none is left outside of masks.
 * *masked_out says whether there were any; then the new text is in `out`, else nothing is. A text
 * that takes too much work to look at is masked as a whole. `text` is not empty.
 *
 * Errors: TALLY_ENOMEM
 */
tally_status tl_policy_mask_matches(const struct tl_log_policy *policy,
                                    struct tl_policy_matcher *matcher, struct tl_str text,
                                    struct tl_buf *out, bool *masked_out);

#endif /* TL_MODEL_POLICY_PARTS_H */
