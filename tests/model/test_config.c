#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "check.h"
#include "fault.h"
#include "model/config.h"
#include "model/config_keys.h"

static tally_status read_text(struct tl_config *config, const char *text, struct tally_error *err)
{
    return tl_config_read(config, "tally.yaml", tl_str_of(text), NULL, 0, err);
}

static tally_status read_setting(struct tl_config *config, const char *key, const char *value,
                                 struct tally_error *err)
{
    struct tally_setting setting = { key, value, "flag" };
    return tl_config_read(config, "tally.yaml", (struct tl_str){ 0 }, &setting, 1, err);
}

static void has_the_documented_defaults(void **state)
{
    (void)state;
    struct tl_config config;
    check_ok(tl_config_read(&config, NULL, (struct tl_str){ 0 }, NULL, 0, NULL));
    assert_true(tl_str_is(config.store, "sqlite"));
    assert_true(tl_str_is(config.keys_dir, "keys"));
    assert_int_equal(config.event.bytes_max, TL_EVENT_BYTES_DEFAULT);
    assert_false(config.event.refuse_oversize);
    assert_false(config.event.unknown_to_metadata);
    assert_int_equal(config.retention.default_days, 365);
    assert_false(config.retention.by_occurred);
    assert_int_equal(config.retention.by_severity_count, 2);
    assert_true(tl_str_is(config.retention.by_severity[0].match, "critical"));
    assert_int_equal(config.retention.by_severity[0].days, 2555);
    assert_int_equal(config.retention.by_severity[1].days, 1095);
    assert_int_equal(config.erasable_count, 10);
    assert_true(tl_str_is(config.erasable[0], "/actor/name"));
    assert_int_equal(config.text_member_count, 3);
    assert_int_equal(config.epoch_seconds, 3600);
    assert_int_equal(config.max_age_s, 0);
    assert_true(config.policy_enabled);
    assert_int_equal(config.policy_text_bytes, 0);
    assert_true(tl_str_is(
        tl_log_policy_text(config.policy),
        "{\"allow\":\"all\",\"deny\":[],\"enabled\":true,\"redact\":{\"keys\":[\"auth\",\"token\","
        "\"apikey\",\"passwd\",\"secret\",\"api_key\",\"password\",\"session_id\",\"private_key\","
        "\"access_token\",\"authorization\",\"client_secret\",\"refresh_token\",\"session_token\"],"
        "\"patterns\":[]},\"rules\":[],\"text_bytes\":0}"));
    tl_config_release(&config);
}

static void reads_a_file_and_then_the_settings(void **state)
{
    (void)state;
    static const char text[] = "store: memory:10\n"
                               "limits: {event_bytes: 64KiB}\n"
                               "ingest:\n"
                               "  oversize: refuse\n"
                               "  unknown: metadata\n"
                               "search.text: [metadata.note, reason, reason]\n"
                               "erasable: []\n"
                               "retention:\n"
                               "  default_days: forever\n"
                               "  basis: occurred\n"
                               "  by_severity: {low: 30d}\n"
                               "  by_action: {\"user.*\": 10}\n"
                               "  by_source: {svc.a: 0}\n"
                               "  by_tenant: {acme: 7}\n"
                               "epoch.seconds: 1h\n"
                               "verify.max_age_s: 2d\n"
                               "server:\n"
                               "  listen: [\"127.0.0.1:8420\", \"unix:/run/tally.sock\"]\n"
                               "  public_tlog: yes\n"
                               "  viewer_origins: https://admin.example:8443\n";
    const struct tally_setting settings[] = { { "retention.by_action.user.*", "20", "flag" },
                                              { "erasable", "/reason, /metadata/email", "flag" },
                                              { "store", "jsonl:x", "TALLY_STORE" },
                                              { "store", "sqlite", "flag" } };
    struct tl_config config;
    check_ok(tl_config_read(&config, "tally.yaml", tl_str_of(text), settings,
                            TL_ARRAY_LEN(settings), NULL));
    assert_true(tl_str_is(config.store, "sqlite"));
    assert_int_equal(config.event.bytes_max, 65536);
    assert_true(config.event.refuse_oversize);
    assert_true(config.event.unknown_to_metadata);
    assert_int_equal(config.text_member_count, 2);
    assert_true(tl_str_is(config.text_members[0], "metadata.note"));
    assert_int_equal(config.erasable_count, 2);
    assert_true(tl_str_is(config.erasable[0], "/metadata/email"));
    assert_int_equal(config.retention.default_days, -1);
    assert_true(config.retention.by_occurred);
    assert_int_equal(config.retention.by_severity_count, 3);
    assert_int_equal(config.retention.by_action_count, 1);
    assert_true(tl_str_is(config.retention.by_action[0].match, "user.*"));
    assert_int_equal(config.retention.by_action[0].days, 20);
    assert_true(tl_str_is(config.retention.by_service[0].match, "svc.a"));
    assert_int_equal(config.retention.by_service[0].days, -1);
    assert_int_equal(config.retention.by_tenant[0].days, 7);
    assert_int_equal(config.epoch_seconds, 3600);
    assert_int_equal(config.max_age_s, 172800);
    assert_int_equal(config.server.listen_count, 2);
    assert_true(tl_str_is(config.server.listen[1], "unix:/run/tally.sock"));
    assert_int_equal(config.server.viewer_origin_count, 1);
    assert_true(tl_str_is(config.server.viewer_origins[0], "https://admin.example:8443"));
    assert_true(config.server.public_tlog);
    assert_false(config.server.plain);
    tl_config_release(&config);
}

static void refuses_wrong_settings_and_says_where(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } table[] = {
        { "stor: x\n", "tally.yaml:1:7: there is no setting 'stor'; the nearest is 'store'" },
        { "\nretention:\n  defalt_days: 3\n",
          "tally.yaml:3:16: there is no setting 'retention.defalt_days'; the nearest is "
          "'retention.default_days'" },
        { "zzzzzzzzzzzzzzzz: 1\n", "tally.yaml:1:19: there is no setting 'zzzzzzzzzzzzzzzz'" },
        { "store: [a]\n", "tally.yaml:1:8: 'store' takes one value, not a list" },
        { "store: ''\n", "tally.yaml:1:8: 'store' is to be a text that is not empty" },
        { "ingest.oversize: cut\n",
          "tally.yaml:1:18: 'ingest.oversize' is to be 'trim' or 'refuse'" },
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(table); i++) {
        struct tl_config config;
        struct tally_error err = TALLY_ERROR_INIT;
        check_status(read_text(&config, table[i].text, &err), TALLY_EINVAL);
        assert_string_equal(err.message, table[i].message);
    }
    static const struct {
        const char *key, *value;
    } bad[] = {
        { "limits.event_bytes", "64kb" },
        { "limits.event_bytes", "2MiB" },
        { "limits.event_bytes", "1023" },
        { "limits.event_bytes", "99999999999999999999MiB" },
        { "epoch.seconds", "59" },
        { "epoch.seconds", "2d" },
        { "retention.default_days", "x" },
        { "retention.default_days", "36501" },
        { "retention.default_days", "" },
        { "retention.default_days", "-" },
        { "retention.basis", "sealed" },
        { "retention.by_severity", "5" },
        { "retention.by_severity.", "5" },
        { "retention.by_severity.warn", "5" },
        { "retention.by_action.a b", "5" },
        { "retention.by_action.a*", "5" },
        { "erasable", "reason" },
        { "erasable", "/a/b/c" },
        { "erasable", "/a~2" },
        { "erasable", "/a,,/b" },
        { "search.text", "nothing" },
        { "search.text", "reasons" },
        { "policy.enabled", "yes" },
        { "policy.allow", "a,,b" },
        { "policy.rules", "{}" },
        { "policy.rules", "[{\"level\":\"some\"}]" },
        { "policy.rules.0.level", "none" },
        { "policy.redact.patterns", "a,b" },
        { "policy.redact.patterns", "[\"(\"]" },
        { "policy.redact.keys", "a,\xFF" },
        { "policy.text_bytes", "2MiB" },
        { "server.listen", "8080" },
        { "server.listen", "a:1,b:1,c:1,d:1,e:1,f:1,g:1,h:1,i:1" },
        { "server.plain", "true" },
        { "server.tokens", "" },
        { "server.rate_per_token", "1KiB" },
        { "server.rate_per_token", "1000001" },
        { "server.rate_per_address", "-1" },
        { "server.viewer_origins", "admin.example" },
        { "server.viewer_origins", "https://" },
        { "server.viewer_origins", "https://admin.example/" },
        { "server.viewer_origins", "https://admin.example,*" },
        { "", "x" },
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(bad); i++) {
        struct tl_config config;
        struct tally_error err = TALLY_ERROR_INIT;
        if (read_setting(&config, bad[i].key, bad[i].value, &err) != TALLY_EINVAL) {
            fail_msg("%s=%s was taken", bad[i].key, bad[i].value);
        }
        assert_memory_equal(err.message, "flag: ", 6);
    }
}

static void bounds_the_number_of_rules(void **state)
{
    (void)state;
    for (unsigned more = 0; more <= 1; more++) {
        struct tl_buf text;
        tl_buf_init(&text, 1 << 20);
        tl_buf_add_text(&text, "retention.by_tenant:\n");
        for (unsigned i = 0; i < TL_RETENTION_RULES_MAX - 2 + more; i++) {
            tl_buf_addf(&text, "  t%u: 5\n", i);
        }
        char *yaml = tl_buf_take(&text, NULL);
        struct tl_config config = { .max_age_s = 0 };
        check_status(read_text(&config, yaml, NULL), more == 0 ? TALLY_OK : TALLY_EINVAL);
        if (more == 0) {
            tl_config_release(&config);
        }
        tl_free(yaml);
    }
}

/* Collects "key=value (origin)" lines. */
static void collect(void *ctx, const struct tally_config_value *value)
{
    tl_buf_addf(ctx, "%s=%s (%s)\n", value->key, value->value, value->origin);
    assert_true(strlen(value->doc) > 10);
}

static void lists_every_value_with_its_origin(void **state)
{
    (void)state;
    struct tl_config config;
    const struct tally_setting settings[] = { { "store", "memory:1", "TALLY_STORE" } };
    check_ok(tl_config_read(&config, "tally.yaml",
                            TL_STR("search.text:\n- reason\n- tags\nretention.by_tenant.a: 1\n"),
                            settings, 1, NULL));
    struct tl_buf lines;
    tl_buf_init(&lines, 1 << 16);
    tl_config_each(&config, collect, &lines);
    char *text = tl_buf_take(&lines, NULL);
    assert_non_null(strstr(text, "\nretention.by_severity.critical=2555 (default)\n"
                                 "retention.by_severity.high=1095 (default)\n"
                                 "retention.by_tenant.a=1 (tally.yaml:4)\n"
                                 "retention.default_days=365 (default)\n"));
    assert_non_null(strstr(text, "\nsearch.text=reason,tags (tally.yaml:2)\n"));
    assert_non_null(strstr(text, "\nstore=memory:1 (TALLY_STORE)\n"));
    tl_free(text);
    tl_config_release(&config);
}

/* The variable of a key, without TALLY_. */
static void variable_of(char *out, const char *key)
{
    size_t i = 0;
    for (; key[i] != '\0'; i++) {
        out[i] = (char)toupper((unsigned char)key[i]);
        if (key[i] == '.') {
            out[i] = '_';
        }
    }
    out[i] = '\0';
}

static void gives_each_key_a_variable_of_its_own(void **state)
{
    (void)state;
    for (size_t i = 0; i < tl_config_key_count; i++) {
        const struct tl_config_key *key = &tl_config_keys[i];
        char variable[128];
        char name[128];
        char found[128];
        bool map = key->kind == TL_CONFIG_MAP;
        (void)snprintf(name, sizeof(name), "%s%s", key->name, map ? ".x_y" : "");
        variable_of(variable, name);
        check_ok(tl_config_key_of_variable(tl_str_of(variable), found, sizeof(found)));
        assert_string_equal(found, name);
        check_status(tl_config_key_of_variable(tl_str_of(variable), found, strlen(name)),
                     TALLY_ELIMIT);
        assert_true(i == 0 || strcmp(tl_config_keys[i - 1].name, key->name) < 0);
    }
    static const char *const unknown[] = {
        "", "X", "STOR", "STORES", "RETENTION_BY_SEVERITY", "RETENTION_BY_SEVERITY_"
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(unknown); i++) {
        char found[128];
        check_status(tl_config_key_of_variable(tl_str_of(unknown[i]), found, sizeof(found)),
                     TALLY_ENOTFOUND);
    }
}

static tally_status read_once(const void *ctx)
{
    const struct tally_setting settings[] = { { "store", "memory:1", "flag" },
                                              { "erasable", "/a,/b", "flag" } };
    struct tl_config config;
    tally_status status = tl_config_read(&config, "tally.yaml", tl_str_of(ctx), settings, 2, NULL);
    if (status == TALLY_OK) {
        tl_config_release(&config);
    }
    return status;
}

static void gives_out_of_memory_and_nothing_else(void **state)
{
    (void)state;
    assert_true(fault_each_alloc(read_once, "search.text: [reason]\nretention.by_tenant.a: 1\n") >
                0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_the_documented_defaults),
        cmocka_unit_test(reads_a_file_and_then_the_settings),
        cmocka_unit_test(refuses_wrong_settings_and_says_where),
        cmocka_unit_test(bounds_the_number_of_rules),
        cmocka_unit_test(lists_every_value_with_its_origin),
        cmocka_unit_test(gives_each_key_a_variable_of_its_own),
        cmocka_unit_test(gives_out_of_memory_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
