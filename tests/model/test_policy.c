#include <stdio.h>
#include <string.h>

#include <tally/log.h>

#include "check.h"
#include "codec/json.h"
#include "model/config.h"
#include "model/policy.h"

static void read_policy(struct tl_config *config, const char *yaml)
{
    struct tally_error err = TALLY_ERROR_INIT;
    if (tl_config_read(config, "p.yaml", tl_str_of(yaml), NULL, 0, &err) != TALLY_OK) {
        fail_msg("%s: %s", yaml, err.message);
    }
    assert_non_null(config->policy);
}

static struct tl_log_policy_decision decide(const struct tl_config *config, const char *action)
{
    struct tl_log_policy_facts facts = { .action = tl_str_of(action) };
    struct tl_log_policy_decision decision;
    memset(&decision, 0xff, sizeof(decision));
    tl_log_policy_decide(config->policy, &facts, &decision);
    return decision;
}

static void lists_and_patterns_say_what_is_recorded(void **state)
{
    (void)state;
    static const struct {
        const char *yaml, *action;
        bool allowed, unlisted;
    } table[] = {
        { "{}", "anything", true, false },
        { "policy.allow: all", "x", true, false },
        { "policy.allow: [all]", "x", true, false },
        { "policy.allow: '*'", "x", true, false },
        { "policy.allow: user.login", "user.login", true, false },
        { "policy.allow: user.login", "user.logi", false, true },
        { "policy.allow: user.login", "user.login2", false, true },
        { "policy.allow: user.login", "User.login", false, true },
        { "policy.allow: [all, b]", "c", false, true },
        { "policy.allow: [all, b]", "all", true, false },
        { "policy.allow: 'a, user.*'", "user.x.y", true, false },
        { "policy.allow: 'a, user.*'", "user.", true, false },
        { "policy.allow: 'a, user.*'", "users.x", false, true },
        { "policy.allow: ['*.delete']", "user.delete", true, false },
        { "policy.allow: ['*.delete']", "user.delete.all", false, true },
        { "policy.allow: ['*.delete']", "x.delete.delete", true, false },
        { "policy.allow: ['a*b*c']", "abc", true, false },
        { "policy.allow: ['a*b*c']", "axbxbyc", true, false },
        { "policy.allow: ['a*b*c']", "acb", false, true },
        { "policy.allow: ['a**']", "a", true, false },
        { "policy.deny: user.login", "user.login", false, false },
        { "policy.deny: user.login", "user.logout", true, false },
        { "policy: {allow: [user.*], deny: ['*.list']}", "user.list", false, false },
        { "policy: {allow: [user.*], deny: ['*.list']}", "bank.list", false, false },
        { "policy: {allow: [user.*], deny: ['*.list']}", "user.get", true, false },
        { "policy.deny: all", "x", false, false },
        { "policy.enabled: false", "x", false, false },
        { "policy.allow: [k, bb, a, ccc, dddd, e, f, g, h, i, a]", "ccc", true, false },
        { "policy.allow: [k, bb, a, ccc, dddd, e, f, g, h, i, a]", "ddd", false, true },
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(table); i++) {
        struct tl_config config;
        read_policy(&config, table[i].yaml);
        struct tl_log_policy_decision decision = decide(&config, table[i].action);
        if (decision.allowed != table[i].allowed || decision.unlisted != table[i].unlisted) {
            fail_msg("%s: %s: %d %d", table[i].yaml, table[i].action, decision.allowed,
                     decision.unlisted);
        }
        assert_int_equal(tl_log_policy_may_record(config.policy, tl_str_of(table[i].action)),
                         table[i].allowed);
        assert_int_equal(decision.level, TL_POLICY_FULL);
        assert_null(decision.severity.text);
        assert_int_equal(decision.delivery, TALLY_DELIVERY_DEFAULT);
        tl_config_release(&config);
    }
}

static void an_empty_allow_list_allows_nothing_and_says_so(void **state)
{
    (void)state;
    static const struct {
        const char *yaml;
        bool nothing;
    } table[] = {
        { "{}", false },
        { "policy.allow: []", true },
        { "policy.allow:", true },
        { "policy.allow: a", false },
        { "policy.allow: a*", false },
        { "policy.deny: all", true },
        { "policy.enabled: false", true },
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(table); i++) {
        struct tl_config config;
        read_policy(&config, table[i].yaml);
        assert_int_equal(tl_log_policy_allows_nothing(config.policy), table[i].nothing);
        assert_true(!table[i].nothing || !decide(&config, "a").allowed);
        tl_config_release(&config);
    }
    struct tl_config config;
    struct tally_setting none = { "policy.allow", "", "flag" };
    check_ok(tl_config_read(&config, NULL, (struct tl_str){ 0 }, &none, 1, NULL));
    assert_true(tl_log_policy_allows_nothing(config.policy));
    tl_config_release(&config);
}

static const char rules_yaml[] =
    "policy:\n"
    "  rules:\n"
    "    - {action: user.*, tenant: acme, level: none}\n"
    "    - action: user.login\n"
    "      set_severity: critical\n"
    "      delivery: strict\n"
    "    - {service: web, target_type: bank, target_id: '7', level: metadata}\n"
    "    - {severity: medium, delivery: best_effort}\n"
    "    - {severity: low, level: none}\n";

static void the_first_rule_that_matches_decides(void **state)
{
    (void)state;
    static const struct {
        const char *action, *tenant, *service, *type, *id, *severity;
        bool allowed;
        enum tl_log_policy_level level;
        const char *set;
        int delivery;
    } table[] = {
        { "user.login", "acme", NULL, NULL, NULL, NULL, false, TL_POLICY_NONE, NULL, 0 },
        { "user.login", "acm", NULL, NULL, NULL, NULL, true, TL_POLICY_FULL, "critical", 3 },
        { "user.login", NULL, "web", "bank", "7", "low", true, TL_POLICY_FULL, "critical", 3 },
        { "user.x", NULL, "web", "bank", "7", "low", true, TL_POLICY_METADATA, NULL, 0 },
        { "x", NULL, "web", "bank", "8", "high", true, TL_POLICY_FULL, NULL, 0 },
        { "x", NULL, "web", "bank", NULL, "medium", true, TL_POLICY_FULL, NULL, 1 },
        { "x", NULL, NULL, NULL, NULL, NULL, true, TL_POLICY_FULL, NULL, 1 },
        { "x", NULL, NULL, NULL, NULL, "LOW", false, TL_POLICY_NONE, NULL, 0 },
    };
    struct tl_config config;
    read_policy(&config, rules_yaml);
    for (size_t i = 0; i < TL_ARRAY_LEN(table); i++) {
        struct tl_log_policy_facts facts = {
            .action = tl_str_of(table[i].action),
            .tenant_id = tl_str_of(table[i].tenant),
            .service = tl_str_of(table[i].service),
            .target_type = tl_str_of(table[i].type),
            .target_id = tl_str_of(table[i].id),
            .severity = tl_str_of(table[i].severity),
        };
        struct tl_log_policy_decision decision;
        tl_log_policy_decide(config.policy, &facts, &decision);
        assert_int_equal(decision.allowed, table[i].allowed);
        assert_false(decision.unlisted);
        assert_int_equal(decision.level, table[i].level);
        assert_int_equal(decision.delivery, table[i].delivery);
        assert_true(tl_str_equal(decision.severity, tl_str_of(table[i].set)));
    }
    assert_true(tl_log_policy_may_record(config.policy, TL_STR("user.login")));
    tl_config_release(&config);

    read_policy(&config, "policy.rules: [{action: a, tenant: t, level: none}, "
                         "{action: 'a*', level: none}]\n");
    assert_false(tl_log_policy_may_record(config.policy, TL_STR("a")));
    assert_true(tl_log_policy_may_record(config.policy, TL_STR("b")));
    tl_config_release(&config);
}

static void rules_of_a_setting_replace_those_of_the_file(void **state)
{
    (void)state;
    struct tally_setting setting = {
        "policy.rules", "[{\"action\":\"b\",\"level\":\"none\"},{\"delivery\":\"durable\"}]", "flag"
    };
    struct tl_config config;
    check_ok(tl_config_read(&config, "p.yaml", tl_str_of(rules_yaml), &setting, 1, NULL));
    assert_int_equal(decide(&config, "user.login").delivery, TALLY_DELIVERY_DURABLE);
    assert_false(decide(&config, "b").allowed);
    tl_config_release(&config);
    setting.value = "";
    check_ok(tl_config_read(&config, "p.yaml", tl_str_of(rules_yaml), &setting, 1, NULL));
    assert_int_equal(decide(&config, "user.login").delivery, TALLY_DELIVERY_DEFAULT);
    tl_config_release(&config);
}

static void letters_of_other_scripts_have_case_too(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        { "contrase\xC3\xB1"
          "a",
          "CONTRASE\xC3\x91"
          "A" },
        { "\xD0\xBF\xD0\xB0\xD1\x80\xD0\xBE\xD0\xBB\xD1\x8C",
          "\xD0\x9F\xD0\x90\xD0\xA0\xD0\x9E\xD0\x9B\xD0\xAC" },
        { "\xCE\xBA\xCF\x89\xCE\xB4\xCE\xB9\xCE\xBA\xCF\x8C\xCF\x82",
          "\xCE\x9A\xCF\x89\xCE\x94\xCE\x99\xCE\x9A\xCE\x8C\xCE\xA3" },
        { "has\xC5\x82o", "HAS\xC5\x81O" },
        { "\xE5\xAF\x86\xE7\xA0\x81", "\xE5\xAF\x86\xE7\xA0\x81" },
        { "token", "TO\xE2\x84\xAA"
                   "EN" },
        { "STRASSE", "strasse" },
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(pairs); i++) {
        char yaml[128];
        struct tl_config config;
        (void)snprintf(yaml, sizeof(yaml), "policy.redact.keys: ['%s']", pairs[i][0]);
        read_policy(&config, yaml);
        for (size_t j = 0; j < 2; j++) {
            assert_true(tl_log_policy_masks_name(config.policy, tl_str_of(pairs[i][j])));
        }
        assert_false(tl_log_policy_masks_name(config.policy, TL_STR("\xC3\xB1")));
        assert_false(tl_log_policy_masks_name(config.policy, TL_STR("tokem")));
        tl_config_release(&config);
    }
}

static void names_of_any_length_and_bytes_are_looked_up(void **state)
{
    (void)state;
    struct tl_config config;
    read_policy(&config, "{}");
    static const char *const secret[] = { "password",      "PassWord",      "auth",
                                          "AUTHORIZATION", "refresh_token", "client_secret" };
    for (size_t i = 0; i < TL_ARRAY_LEN(secret); i++) {
        assert_true(tl_log_policy_masks_name(config.policy, tl_str_of(secret[i])));
    }
    char name[700];
    memset(name, 'a', sizeof(name));
    for (size_t len = 0; len < sizeof(name); len++) {
        assert_false(tl_log_policy_masks_name(config.policy, (struct tl_str){ name, len }));
    }
    memset(name, '\xC3', sizeof(name)); /* no UTF-8 */
    for (size_t len = 0; len < sizeof(name); len++) {
        assert_false(tl_log_policy_masks_name(config.policy, (struct tl_str){ name, len }));
    }
    assert_false(tl_log_policy_masks_name(config.policy, TL_STR("authentication")));
    assert_false(tl_log_policy_masks_name(config.policy, TL_STR("passwore")));
    tl_config_release(&config);

    read_policy(&config, "policy.redact.keys: []");
    assert_false(tl_log_policy_masks_name(config.policy, TL_STR("password")));
    assert_false(tl_log_policy_looks_at_values(config.policy));
    tl_config_release(&config);
}

static void changing_redaction_changes_the_text_of_the_policy(void **state)
{
    (void)state;
    static const char *const same[][2] = {
        { "{}", "policy.allow: all" },
        { "policy.allow: [b, a, a]", "policy.allow: 'a,b'" },
        { "policy.redact.keys: [Token, password]", "policy.redact.keys: [password, token]" },
        { "policy.rules: [{action: a, level: none}]",
          "policy.rules: '[{\"level\":\"none\",\"action\":\"a\"}]'" },
        { "policy.text_bytes: 1KiB", "policy.text_bytes: 1024" },
        { "policy.redact.patterns: ['a\"b', c]", "policy.redact.patterns: '[\"a\\\"b\",\"c\"]'" },
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(same); i++) {
        struct tl_config a;
        struct tl_config b;
        read_policy(&a, same[i][0]);
        read_policy(&b, same[i][1]);
        struct tl_str text = tl_log_policy_text(a.policy);
        check_ok(tl_json_check_canonical(text.text, text.len, NULL));
        assert_true(tl_str_equal(text, tl_log_policy_text(b.policy)));
        tl_config_release(&b);
        if (i > 0) {
            read_policy(&b, "{}");
            assert_false(tl_str_equal(text, tl_log_policy_text(b.policy)));
            tl_config_release(&b);
        }
        tl_config_release(&a);
    }
    struct tl_config config;
    read_policy(&config, "policy:\n  allow: ['user.*', a]\n  deny: b\n"
                         "  redact: {keys: [pin, Nip], patterns: [x]}\n"
                         "  rules:\n  - {tenant: t, delivery: strict}\n");
    assert_true(tl_str_is(
        tl_log_policy_text(config.policy),
        "{\"allow\":[\"a\",\"user.*\"],\"deny\":[\"b\"],\"enabled\":true,\"redact\":{\"keys\":"
        "[\"nip\",\"pin\"],\"patterns\":[\"x\"]},\"rules\":[{\"delivery\":\"strict\",\"level\":"
        "\"full\",\"tenant\":\"t\"}],\"text_bytes\":0}"));
    tl_config_release(&config);
}

static void a_broken_policy_file_leaves_the_old_policy(void **state)
{
    (void)state;
    static const struct {
        const char *yaml, *message;
    } table[] = {
        { "policy.enabled: maybe", "p.yaml:1:17: 'policy.enabled' is to be 'false' or 'true'" },
        { "policy:\n  allow: [a, 'b c']\n",
          "p.yaml:2:14: 'policy.allow' is to have actions, or patterns of them such as 'user.*'" },
        { "policy.deny: 'a,,b'",
          "p.yaml:1:14: 'policy.deny' is to have actions, or patterns of them such as 'user.*'" },
        { "policy.redact:\n  patterns:\n  - a\n  - '(b'\n",
          "p.yaml:4:5: 'policy.redact.patterns' is no regular expression in element 1: missing "
          "closing parenthesis at byte 2" },
        { "policy.redact.patterns: a",
          "p.yaml:1:25: 'policy.redact.patterns' is to be a list, or a JSON array of texts" },
        { "policy.redact.patterns: '[1]'",
          "p.yaml:1:25: 'policy.redact.patterns' is to be a list, or a JSON array of texts" },
        { "policy.redact.patterns: ['']",
          "p.yaml:1:26: 'policy.redact.patterns' is to have expressions of 1 to 1024 bytes" },
        { "policy.redact.patterns: ['\\C']",
          "p.yaml:1:26: 'policy.redact.patterns' is no regular expression in element 0: using \\C "
          "is disabled by the application at byte 2" },
        { "policy.redact.keys: [a, '']",
          "p.yaml:1:25: 'policy.redact.keys' is to have names of 1 to 128 bytes" },
        { "policy.text_bytes: 63", "p.yaml:1:20: 'policy.text_bytes' is to be 0, or 64 and more" },
        { "policy.rules: x",
          "p.yaml:1:15: 'policy.rules' is to be a list of rules, or a JSON array" },
        { "policy.rules: [x]",
          "p.yaml:1:16: 'policy.rules' is to be a list of rules, or a JSON array" },
        { "policy.rules: '[{\"action\":1}]'",
          "p.yaml:1:15: 'policy.rules', rule 0: 'action' is to have texts" },
        { "policy.rules: '[{}]'", "p.yaml:1:15: 'policy.rules', rule 0 is empty" },
        { "policy.rules: [{}, {level: none}]", "p.yaml:1:28: 'policy.rules', rule 0 is empty" },
        { "policy.rules:\n- action: a\n  level: some\n",
          "p.yaml:3:10: 'policy.rules.0.level' is to be full, metadata or none" },
        { "policy.rules: [{action: 'a b'}]",
          "p.yaml:1:25: 'policy.rules.0.action' is to be an action, or a pattern of actions" },
        { "policy.rules: [{action: [a]}]",
          "p.yaml:1:25: 'policy.rules.0.action' takes one value, not a list" },
        { "policy.rules: [{actions: a}]",
          "p.yaml:1:26: 'policy.rules.0.actions' is no member of a rule: these are action, "
          "delivery, level, service, set_severity, severity, target_id, target_type and tenant" },
        { "policy.rules: [{tenant: ''}]",
          "p.yaml:1:25: 'policy.rules.0.tenant' is to be a text of 1 to 1024 bytes" },
        { "policy.rules: [{severity: HIGH}]",
          "p.yaml:1:27: 'policy.rules.0.severity' is to be low, medium, high or critical" },
        { "policy.rules: [{delivery: ''}]",
          "p.yaml:1:27: 'policy.rules.0.delivery' is to be best_effort, durable or strict" },
        { "policy.rules.x: 1", "p.yaml:1:17: 'policy.rules.x' is no setting: a rule is an element "
                               "of the list 'policy.rules'" },
        { "policy.rules: {action: a}",
          "p.yaml:1:24: 'policy.rules.action' is no setting: a rule is an element of the list "
          "'policy.rules'" },
        { "policy.rules.256.action: a",
          "p.yaml:1:26: 'policy.rules.256.action' is one rule more than 256" },
    };
    struct tl_config config;
    read_policy(&config, "policy.allow: [a]");
    const struct tl_log_policy *old = config.policy;
    for (size_t i = 0; i < TL_ARRAY_LEN(table); i++) {
        struct tally_error err = TALLY_ERROR_INIT;
        check_status(tl_config_read(&config, "p.yaml", tl_str_of(table[i].yaml), NULL, 0, &err),
                     TALLY_EINVAL);
        assert_string_equal(err.message, table[i].message);
    }
    assert_ptr_equal(config.policy, old);
    assert_true(decide(&config, "a").allowed);
    assert_false(decide(&config, "b").allowed);
    tl_config_release(&config);
}

static void lists_are_bounded(void **state)
{
    (void)state;
    static const struct {
        const char *key, *open, *close; /* of an element */
        unsigned max;
    } table[] = {
        { "policy.allow", "", "", 1024 },
        { "policy.redact.keys", "", "", 256 },
        { "policy.redact.patterns", "", "", 64 },
        { "policy.rules", "{action: ", "}", 256 },
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(table); i++) {
        for (unsigned more = 0; more <= 1; more++) {
            struct tl_buf yaml;
            tl_buf_init(&yaml, 1 << 20);
            tl_buf_addf(&yaml, "%s:\n", table[i].key);
            for (unsigned j = 0; j < table[i].max + more; j++) {
                tl_buf_addf(&yaml, "- %sa%u%s\n", table[i].open, j, table[i].close);
            }
            struct tl_config config;
            check_status(tl_config_read(&config, "p.yaml", tl_buf_str(&yaml), NULL, 0, NULL),
                         more == 0 ? TALLY_OK : TALLY_EINVAL);
            if (more == 0) {
                assert_true(decide(&config, "a63").allowed);
                tl_config_release(&config);
            }
            tl_buf_release(&yaml);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_and_patterns_say_what_is_recorded),
        cmocka_unit_test(an_empty_allow_list_allows_nothing_and_says_so),
        cmocka_unit_test(the_first_rule_that_matches_decides),
        cmocka_unit_test(rules_of_a_setting_replace_those_of_the_file),
        cmocka_unit_test(letters_of_other_scripts_have_case_too),
        cmocka_unit_test(names_of_any_length_and_bytes_are_looked_up),
        cmocka_unit_test(changing_redaction_changes_the_text_of_the_policy),
        cmocka_unit_test(a_broken_policy_file_leaves_the_old_policy),
        cmocka_unit_test(lists_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
