/* The text of a policy: canonical JSON, in which every setting is as it was understood. */
#include "base/limits.h"
#include "codec/json.h"
#include "model/policy_parts.h"

#define TEXT_BYTES_MAX (16 * TL_CONFIG_BYTES_MAX) /* names of file and setting may need escapes */

static void write_list(struct tl_buf *out, const struct tl_str *list, size_t count, char *before)
{
    for (size_t i = 0; i < count; i++) {
        tl_buf_add_char(out, *before);
        tl_json_write_string(out, list[i]);
        *before = ',';
    }
}

static void write_array(struct tl_buf *out, const struct tl_str *list, size_t count)
{
    char before = '[';
    write_list(out, list, count, &before);
    tl_buf_add_text(out, before == '[' ? "[]" : "]");
}

static void write_actions(struct tl_buf *out, const struct tl_policy_actions *actions)
{
    if (actions->all) {
        tl_buf_add_text(out, "\"all\"");
        return;
    }
    char before = '[';
    write_list(out, actions->names, actions->name_count, &before);
    write_list(out, actions->patterns, actions->pattern_count, &before);
    tl_buf_add_text(out, before == '[' ? "[]" : "]");
}

static void write_rule(struct tl_buf *out, const struct tl_policy_rule *rule)
{
    const struct {
        const char *name;
        struct tl_str value;
    } members[] = {
        { "action", rule->action },
        { "delivery", tl_str_of(tl_policy_delivery_word(rule->delivery)) },
        { "level", tl_str_of(tl_policy_level_word(rule->level)) },
        { "service", rule->service },
        { "set_severity", rule->set_severity },
        { "severity", rule->severity },
        { "target_id", rule->target_id },
        { "target_type", rule->target_type },
        { "tenant", rule->tenant },
    };
    char before = '{';
    for (size_t i = 0; i < TL_ARRAY_LEN(members); i++) {
        if (members[i].value.len > 0) {
            tl_buf_add_char(out, before);
            tl_json_write_string(out, tl_str_of(members[i].name));
            tl_buf_add_char(out, ':');
            tl_json_write_string(out, members[i].value);
            before = ',';
        }
    }
    tl_buf_add_char(out, '}'); /* there always is a level */
}

static void write_policy(struct tl_buf *out, const struct tl_log_policy *policy)
{
    tl_buf_add_text(out, "{\"allow\":");
    write_actions(out, &policy->allow);
    tl_buf_add_text(out, ",\"deny\":");
    write_actions(out, &policy->deny);
    tl_buf_addf(out, ",\"enabled\":%s", policy->enabled ? "true" : "false");
    tl_buf_add_text(out, ",\"redact\":{\"keys\":");
    write_array(out, policy->masked.names, policy->masked.count);
    tl_buf_add_text(out, ",\"patterns\":");
    write_array(out, policy->pattern_texts, policy->pattern_count);
    tl_buf_add_text(out, "},\"rules\":[");
    for (size_t i = 0; i < policy->rule_count; i++) {
        if (i > 0) {
            tl_buf_add_char(out, ',');
        }
        write_rule(out, &policy->rules[i]);
    }
    tl_buf_addf(out, "],\"text_bytes\":%zu}", policy->text_bytes);
}

tally_status tl_policy_write(struct tl_log_policy *policy, struct tl_arena *arena,
                             struct tally_error *err)
{
    TL_CLEANUP(tl_buf_release) struct tl_buf out = { 0 };
    tl_buf_init(&out, TEXT_BYTES_MAX);
    write_policy(&out, policy);
    char *text = tl_buf_status(&out) == TALLY_OK ? tl_arena_alloc(arena, out.len) : NULL;
    if (text == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "no memory for settings");
    }
    memcpy(text, out.data, out.len);
    policy->text = (struct tl_str){ .text = text, .len = out.len };
    return TALLY_OK;
}
