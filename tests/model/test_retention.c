#include "check.h"
#include "model/retention.h"

static struct tl_retention_rule by_action[] = { { { "user.*", 6 }, 10 },
                                                { { "user.role.*", 11 }, 20 },
                                                { { "user.role.update", 16 }, 0 } };
static struct tl_retention_rule by_severity[] = { { { "critical", 8 }, 2555 },
                                                  { { "high", 4 }, 1095 } };
static struct tl_retention_rule by_service[] = { { { "svc", 3 }, 40 } };
static struct tl_retention_rule by_tenant[] = { { { "acme", 4 }, 10 } };

static struct tl_retention_rule by_outcome[] = { { { "failure", 7 }, 50 } };

static const struct tl_retention rules = {
    .default_days = 365,
    .by_action = by_action,
    .by_action_count = TL_ARRAY_LEN(by_action),
    .by_severity = by_severity,
    .by_severity_count = TL_ARRAY_LEN(by_severity),
    .by_service = by_service,
    .by_service_count = TL_ARRAY_LEN(by_service),
    .by_tenant = by_tenant,
    .by_tenant_count = TL_ARRAY_LEN(by_tenant),
    .by_outcome = by_outcome,
    .by_outcome_count = TL_ARRAY_LEN(by_outcome),
};

static void takes_the_most_special_rule(void **state)
{
    (void)state;
    static const struct {
        const char *action, *severity, *service, *tenant, *outcome;
        int32_t days;
    } table[] = {
        { "x", "low", NULL, NULL, "success", 365 },
        { "x", "low", NULL, NULL, "failure", 50 },
        { "x", "low", NULL, "acme", "failure", 10 },
        { "x", "high", NULL, NULL, "failure", 1095 },
        { "x", "low", NULL, "acme", "success", 10 },
        { "x", "low", "svc", "acme", "success", 40 },
        { "x", "high", "svc", "acme", "success", 1095 },
        { "x", "critical", NULL, NULL, "success", 2555 },
        { "user.login", "critical", "svc", "acme", "success", 10 },
        { "user.role.add", "critical", NULL, NULL, "success", 20 },
        { "user.role.update", "low", NULL, NULL, "success", -1 },
        { "user", "low", NULL, NULL, "success", 365 },
        { "username.x", "low", "", "", "success", 365 },
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(table); i++) {
        struct tl_event_keys keys = { .action = tl_str_of(table[i].action),
                                      .severity = tl_str_of(table[i].severity),
                                      .service = tl_str_of(table[i].service),
                                      .tenant_id = tl_str_of(table[i].tenant),
                                      .outcome = tl_str_of(table[i].outcome) };
        assert_int_equal(tl_retention_days(&rules, &keys), table[i].days);
    }
}

static void lists_each_number_of_days_once_for_each_basis(void **state)
{
    (void)state;
    static const struct {
        int32_t days;
        bool by_occurred;
        const char *name;
    } want[] = {
        { 10, false, "10d" },     { 10, true, "10d-occurred" },
        { 20, false, "20d" },     { 20, true, "20d-occurred" },
        { 40, false, "40d" },     { 40, true, "40d-occurred" },
        { 50, false, "50d" },     { 50, true, "50d-occurred" },
        { 365, false, "365d" },   { 365, true, "365d-occurred" },
        { 1095, false, "1095d" }, { 1095, true, "1095d-occurred" },
        { 2555, false, "2555d" }, { 2555, true, "2555d-occurred" },
        { -1, false, "forever" }, { -1, true, "forever-occurred" },
    };
    struct tl_retention_class classes[64];
    assert_int_equal(tl_retention_classes(&rules, classes, 64), TL_ARRAY_LEN(want));
    for (size_t i = 0; i < TL_ARRAY_LEN(want); i++) {
        assert_int_equal(classes[i].id, i + 1);
        assert_int_equal(classes[i].days, want[i].days);
        assert_int_equal(classes[i].by_occurred, want[i].by_occurred);
        assert_string_equal(classes[i].name, want[i].name);
    }
    assert_int_equal(tl_retention_classes(&rules, classes, 3), 3);
}

static void treats_all_that_is_not_positive_as_for_ever(void **state)
{
    (void)state;
    struct tl_retention none = { .default_days = -7 };
    struct tl_event_keys keys = { .action = TL_STR("a") };
    struct tl_retention_class classes[4];
    assert_int_equal(tl_retention_days(&none, &keys), -1);
    assert_int_equal(tl_retention_classes(&none, classes, 4), 2);
    assert_string_equal(classes[0].name, "forever");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_the_most_special_rule),
        cmocka_unit_test(lists_each_number_of_days_once_for_each_basis),
        cmocka_unit_test(treats_all_that_is_not_positive_as_for_ever),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
