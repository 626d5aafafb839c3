/* The rules in force, what others would do, and how they are set. */
#include <tally/tally.h>

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/io.h"
#include "check.h"
#include "fault.h"
#include "model/retention.h"
#include "support/fake_clock.h"
#include "support/purging.h"
#include "support/site.h"

#define FILE_MAX 65536u

static const struct tally_actor officer = { .by = "officer", .reason = "audit" };
static struct tally_ledger *ledger;

static int set_up(void **state)
{
    int rc = purging_set_up(state);
    ledger = rc == 0 ? site_open(&purging_site) : NULL;
    return rc;
}

static int tear_down(void **state)
{
    tally_close(TL_TAKE(ledger)); /* a failed check may have closed it */
    return purging_tear_down(state);
}

static void config_path(char path[SITE_PATH_SIZE])
{
    check_path(path, SITE_PATH_SIZE, purging_site.dir, "tally.yaml");
}

static void check_config(const char *want)
{
    char path[SITE_PATH_SIZE];
    char *text = NULL;
    size_t len = 0;
    config_path(path);
    check_ok(tl_io_read_file(path, FILE_MAX, &text, &len, NULL));
    assert_int_equal(len, strlen(want));
    assert_memory_equal(text, want, len);
    tl_free(text);
}

/* Opens the ledger again by its file alone. */
static void reopen(void)
{
    tally_close(TL_TAKE(ledger));
    purging_site.settings = NULL;
    purging_site.setting_count = 0;
    ledger = site_open(&purging_site);
}

static tally_status set(const char *key, const char *value, struct tally_error *err)
{
    const struct tally_setting setting = { key, value, "test" };
    return tally_retention_set(ledger, &setting, 1, &officer, err);
}

/* The rules as lines "KIND MATCH DAYS ORIGIN". */
static void add_rule(void *ctx, const struct tally_retention_rule *rule)
{
    char *out = ctx;
    size_t len = strlen(out);
    (void)snprintf(out + len, FILE_MAX - len, "%s|%s|%d|%s\n", rule->kind, rule->match, rule->days,
                   rule->origin);
}

static const char *rules(void)
{
    static char text[FILE_MAX];
    text[0] = '\0';
    check_ok(tally_retention_list(ledger, add_rule, text, NULL));
    return text;
}

static void rules_are_listed_with_where_they_come_from(void **state)
{
    (void)state;
    assert_string_equal(rules(), "severity|critical|3|test\nseverity|high|-1|test\n"
                                 "severity|low|-1|test\ndefault||1|test\n");
    site_configure(&purging_site,
                   "retention:\n  by_action:\n    user.*: 30\nretention.by_outcome.failure: 5\n");
    reopen();
    char path[SITE_PATH_SIZE];
    char want[2 * SITE_PATH_SIZE + 256];
    config_path(path);
    (void)snprintf(want, sizeof(want),
                   "action|user.*|30|%s:3\nseverity|critical|2555|default\n"
                   "severity|high|1095|default\noutcome|failure|5|%s:4\ndefault||365|default\n",
                   path, path);
    assert_string_equal(rules(), want);
}

static void presets_are_settings_that_can_be_tried(void **state)
{
    (void)state;
    size_t count = 0;
    const struct tally_retention_preset *presets = tally_retention_presets(&count);
    assert_true(count > 0);
    for (size_t i = 0; i < count; i++) {
        assert_true(presets[i].about[0] != '\0' && presets[i].settings[0] != NULL);
        for (size_t s = 0; presets[i].settings[s] != NULL; s++) {
            char key[128];
            (void)snprintf(key, sizeof(key), "%s", presets[i].settings[s]);
            char *value = strchr(key, '=');
            assert_non_null(value);
            *value++ = '\0';
            check_ok(set(key, value, NULL));
        }
    }
}

static struct tally_retention_effect try_default(const char *days)
{
    const struct tally_setting setting = { "retention.default_days", days, "test" };
    struct tally_retention_effect effect;
    check_ok(tally_retention_test(ledger, &setting, 1, &effect, NULL));
    return effect;
}

/* Sealed for a day: medium. For three: critical. For ever: low. */
static void other_rules_are_tried_on_what_is_there(void **state)
{
    (void)state;
    purging_append(ledger, "m", 3, "medium");
    purging_append(ledger, "c", 2, "critical");
    purging_append(ledger, "l", 1, "low");
    struct tally_retention_effect same = try_default("1");
    assert_true(same.records >= 6);
    assert_int_equal(same.longer + same.shorter + same.due_now + same.held, 0);
    assert_int_equal(same.due_30, same.records - 1);

    struct tally_retention_effect longer = try_default("100");
    assert_true(longer.longer >= 3);
    assert_int_equal(longer.due_30, 2);
    assert_int_equal(longer.shorter, 0);

    const struct tally_setting shorter[] = { { "retention.by_severity.low", "9", "test" },
                                             { "retention.by_severity.critical", "1", "test" } };
    struct tally_retention_effect effect;
    check_ok(tally_retention_test(ledger, shorter, 2, &effect, NULL));
    assert_int_equal(effect.shorter, 3);
    assert_int_equal(effect.due_30, same.due_30); /* only an early purge shortens what is sealed */

    fake_clock_pass(5 * DAY);
    assert_int_equal(try_default("1").due_now, 0); /* a purge would not believe the clock either */
    (void)site_append(ledger, "wake", 1);
    effect = try_default("1");
    assert_int_equal(effect.due_now, same.due_30);
    const struct tally_condition condition = { "severity", "critical" };
    struct tally_query query = TALLY_QUERY_INIT;
    query.conditions = &condition;
    query.condition_count = 1;
    const struct tally_selection selection = { .query = &query };
    struct tally_held held;
    check_ok(tally_hold_add(ledger, "h", &selection, 0, 0, &officer, &held, NULL, NULL));
    assert_int_equal(held.records, 2);
    effect = try_default("1");
    assert_int_equal(effect.held, 2);
    assert_int_equal(effect.due_now, same.due_30 - 2);
    assert_int_equal(purging_count(ledger, "m", 3), 3); /* nothing was done */
}

static void a_rule_is_written_on_a_line_of_its_own(void **state)
{
    (void)state;
    site_configure(&purging_site,
                   "# ours\nspool.mode: auto\nretention.default_days: 7 # a week\nsource:\n  x: y");
    tally_status status = set("retention.default_days", "9", NULL);
    assert_int_equal(status, TALLY_EINVAL); /* "x" is no setting: the whole file is checked */
    site_configure(&purging_site,
                   "# ours\nretention.default_days: 7 # a week\nretention.default_days_: 1");
    check_status(set("retention.default_days", "9", NULL), TALLY_EINVAL);
    site_configure(&purging_site, "# ours\nretention.default_days: 7 # a week\n# end");
    check_ok(set("retention.default_days", "9", NULL));
    check_config("# ours\nretention.default_days: 9\n# end");
    check_ok(set("retention.by_action.user.*", "forever", NULL));
    check_config("# ours\nretention.default_days: 9\n# end\nretention.by_action.user.*: forever\n");
}

static void what_was_set_is_sealed_and_recorded(void **state)
{
    (void)state;
    purging_site.settings = NULL;
    purging_site.setting_count = 0;
    site_configure(&purging_site, "");
    reopen();
    uint64_t policies = site_count_kind(ledger, "policy", NULL, 0);
    check_ok(set("retention.default_days", "9", NULL));
    char policy[8192];
    assert_int_equal(site_count_kind(ledger, "policy", policy, sizeof(policy)), policies + 1);
    assert_non_null(strstr(policy, "\"days\":9,"));
    const struct tally_condition conditions[] = { { "action", "tally.config.change" } };
    struct tally_query query = TALLY_QUERY_INIT;
    query.conditions = conditions;
    query.condition_count = 1;
    struct tally_page *page = NULL;
    check_ok(tally_find(ledger, &query, &page, NULL));
    assert_int_equal(page->count, 1);
    assert_non_null(strstr(page->items[0].line, "retention.default_days"));
    tally_page_free(page);
    char path[SITE_PATH_SIZE];
    char want[SITE_PATH_SIZE + 64];
    config_path(path);
    (void)snprintf(want, sizeof(want), "default||9|%s:1\n", path);
    assert_non_null(strstr(rules(), want));
    reopen();
    assert_int_equal(site_count_kind(ledger, "policy", NULL, 0), policies + 1);
}

static void wrong_settings_leave_the_file_alone(void **state)
{
    (void)state;
    static const char before[] = "retention:\n  default_days: 5\n";
    static const struct {
        const char *key, *value;
    } table[] = {
        { "spool.mode", "auto" },
        { "retention.nonsense", "4" },
        { "retention.default_days", "many" },
        { "retention.default_days", "" },
        { "retention.default_days", "4\n#" },
        { "retention.default_days", "10000000000" },
        { "retention.by_action.a b", "4" },
        { "retention.by_action.'a'", "4" },
        { "retention.by_tenant.x\ny", "4" },
        { "retention.default_days", "9" }, /* it stands there, nested */
    };
    site_configure(&purging_site, before);
    for (size_t i = 0; i < TL_ARRAY_LEN(table); i++) {
        struct tally_error err = TALLY_ERROR_INIT;
        check_status(set(table[i].key, table[i].value, &err), TALLY_EINVAL);
        assert_true(err.message[0] != '\0');
        check_config(before);
    }
    check_status(tally_retention_set(ledger, NULL, 0, &officer, NULL), TALLY_EINVAL);
    const struct tally_setting setting = { "retention.default_days", "9", "test" };
    check_status(tally_retention_set(ledger, &setting, 1, NULL, NULL), TALLY_EINVAL);
    check_config(before);
}

static void others_may_not_set(void **state)
{
    (void)state;
    const struct tally_setting setting = { "retention.default_days", "9", "test" };
    struct tally_ledger *other = site_open_read(&purging_site);
    check_status(tally_retention_set(other, &setting, 1, &officer, NULL), TALLY_ENOTSUP);
    tally_close(other);
    other = purging_memory();
    check_status(tally_retention_set(other, &setting, 1, &officer, NULL), TALLY_ENOTSUP);
    tally_close(other);
}

static void a_change_of_the_file_is_put_in_force(void **state)
{
    (void)state;
    struct tally_error err = TALLY_ERROR_INIT;
    reopen();
    uint64_t before = site_count_kind(ledger, "policy", NULL, 0);
    check_ok(tally_config_adopt(ledger, NULL));
    assert_int_equal(site_count_kind(ledger, "policy", NULL, 0), before);
    site_configure(&purging_site, "retention.by_tenant.acme: 7\n");
    check_ok(tally_config_adopt(ledger, NULL));
    assert_int_equal(site_count_kind(ledger, "policy", NULL, 0), before + 1);
    site_configure(&purging_site, "retention.by_tenant.acme: many\n");
    check_status(tally_config_adopt(ledger, &err), TALLY_EINVAL);
    assert_non_null(strstr(err.message, "tally.yaml:1:27"));
    assert_int_equal(site_count_kind(ledger, "policy", NULL, 0), before + 1);
    struct tally_ledger *other = purging_memory();
    check_status(tally_config_adopt(other, NULL), TALLY_ENOTSUP);
    tally_close(other);
    site_configure(&purging_site, "");
    other = site_open_read(&purging_site);
    check_status(tally_config_adopt(other, NULL), TALLY_EINVAL);
    tally_close(other);
}

static void a_secret_file_stays_secret(void **state)
{
    (void)state;
    char path[SITE_PATH_SIZE];
    struct stat st;
    site_configure(&purging_site, "");
    config_path(path);
    assert_int_equal(chmod(path, 0640), 0);
    check_ok(set("retention.default_days", "9", NULL));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
}

static tally_status list_once(const void *ctx)
{
    (void)ctx;
    static char text[FILE_MAX];
    text[0] = '\0';
    return tally_retention_list(ledger, add_rule, text, NULL);
}

static tally_status test_once(const void *ctx)
{
    (void)ctx;
    const struct tally_setting setting = { "retention.default_days", "9", "test" };
    struct tally_retention_effect effect;
    return tally_retention_test(ledger, &setting, 1, &effect, NULL);
}

static void memory_may_be_short(void **state)
{
    (void)state;
    assert_true(fault_each_alloc_or_ok(list_once, NULL) > 0);
    assert_true(fault_each_alloc_or_ok(test_once, NULL) > 0);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(rules_are_listed_with_where_they_come_from),
        CASE(presets_are_settings_that_can_be_tried),
        CASE(other_rules_are_tried_on_what_is_there),
        CASE(a_rule_is_written_on_a_line_of_its_own),
        CASE(what_was_set_is_sealed_and_recorded),
        CASE(wrong_settings_leave_the_file_alone),
        CASE(others_may_not_set),
        CASE(a_change_of_the_file_is_put_in_force),
        CASE(a_secret_file_stays_secret),
        CASE(memory_may_be_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
