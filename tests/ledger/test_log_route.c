/* Events for other ledgers, from the resolver to where they are found. */
#include <tally/tally.h>

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "support/logs.h"
#include "support/site.h"

#define TAG "\"tally:unrouted\""

static struct site site;
static struct tally_ledger *ledger;
static struct tally_logger *logger;
static char routes[SITE_PATH_SIZE];
static const char *answer; /* of the resolver; NULL: the tenant of the event */
static bool answers_nothing;
static char texts[6][64]; /* what it was asked last */

static const char *resolve(void *ctx, const struct tally_route_input *input)
{
    assert_ptr_equal(ctx, &site);
    assert_int_equal(input->struct_size, sizeof(*input));
    const char *const given[] = { input->action,  input->tenant_id,   input->actor_id,
                                  input->service, input->target_type, input->target_id };
    for (unsigned i = 0; i < 6; i++) {
        (void)snprintf(texts[i], sizeof(texts[i]), "%s", given[i]);
    }
    if (answers_nothing) {
        return NULL;
    }
    return answer != NULL ? answer : input->tenant_id;
}

static void open_all(void)
{
    struct tally_logger_options options = TALLY_LOGGER_OPTIONS_INIT;
    options.route = resolve;
    options.route_ctx = &site;
    ledger = logs_open(&site);
    logger = logs_logger(ledger, &options);
}

static void close_all(void)
{
    tally_logger_close(logger, LOGS_SOON_MS, NULL);
    tally_close(ledger);
    logger = NULL;
    ledger = NULL;
}

static int set_up_with(void **state, const struct tally_setting *settings, size_t count)
{
    if (check_mkdir(state) != 0) {
        return -1;
    }
    answer = NULL;
    answers_nothing = false;
    site_init(&site, *state, settings, count);
    check_path(routes, sizeof(routes), site.dir, "ledgers");
    return mkdir(routes, 0700);
}

static int set_up(void **state)
{
    int rc = set_up_with(state, NULL, 0);
    open_all();
    return rc;
}

static int set_up_creating(void **state)
{
    static const struct tally_setting creating[] = { { "route.create", "yes", "test" },
                                                     { "route.open_max", "2", "test" } };
    int rc = set_up_with(state, creating, TL_ARRAY_LEN(creating));
    open_all();
    return rc;
}

static int tear_down(void **state)
{
    close_all();
    return check_rmdir(state);
}

static void make_ledger(const char *name)
{
    char path[SITE_PATH_SIZE];
    struct tally_init_result made;
    struct tally_options options = TALLY_OPTIONS_INIT;
    check_path(path, sizeof(path), routes, name);
    options.uri = path;
    check_ok(tally_init(&options, NULL, &made, NULL));
}

static tally_status put(const char *id, const char *tenant)
{
    char text[256];
    int len = snprintf(text, sizeof(text), "{\"id\":\"%s\",\"action\":\"a\",\"tenant_id\":\"%s\"}",
                       id, tenant);
    return tally_log_text(logger, text, (size_t)len, NULL, NULL, NULL);
}

/* Events in the ledger `name` below the routes. Needs the home ledger to be closed. */
static uint64_t count_in(const char *name, const char *id)
{
    char path[SITE_PATH_SIZE];
    struct tally_ledger *routed = NULL;
    struct tally_options options = TALLY_OPTIONS_INIT;
    check_path(path, sizeof(path), routes, name);
    options.uri = path;
    check_ok(tally_open(&routed, &options, NULL));
    uint64_t count = site_count(routed);
    if (id != NULL) {
        assert_true(site_has(routed, id));
    }
    tally_close(routed);
    return count;
}

static void check_at_home(const char *id, bool is_tagged)
{
    struct tally_page *page = NULL;
    check_ok(tally_get_by_id(ledger, id, &page, NULL));
    bool has_tag = strstr(page->items[0].line, TAG) != NULL;
    assert_int_equal(has_tag, is_tagged);
    tally_page_free(page);
}

static void each_tenant_has_a_ledger_of_its_own(void **state)
{
    (void)state;
    make_ledger("one");
    make_ledger("two");
    for (unsigned i = 0; i < 20; i++) {
        char id[16];
        (void)snprintf(id, sizeof(id), "%u", i);
        check_ok(put(id, i % 2 == 0 ? "one" : "two"));
    }
    logs_flush(logger);
    assert_int_equal(site_count(ledger), 0);
    assert_int_equal(logs_check_balance(logger).unrouted, 0);
    close_all();
    assert_int_equal(count_in("one", "0"), 10);
    assert_int_equal(count_in("two", "19"), 10);
    open_all();
    assert_int_equal(logs_gaps_of(ledger, NULL).records, 0);
}

static void the_resolver_sees_what_it_may_need(void **state)
{
    (void)state;
    static const char text[] =
        "{\"action\":\"x.y\",\"tenant_id\":\"t\",\"actor\":{\"id\":\"me\"},\"source\":{"
        "\"service\":\"web\"},\"targets\":[{\"type\":\"T\",\"id\":\"1\"},{\"type\":\"U\"}]}";
    answer = "";
    check_ok(tally_log_text(logger, text, sizeof(text) - 1, NULL, NULL, NULL));
    static const char *const wanted[] = { "x.y", "t", "me", "web", "T", "1" };
    for (unsigned i = 0; i < 6; i++) {
        assert_string_equal(texts[i], wanted[i]);
    }
    check_ok(tally_log_text(logger, "{\"action\":\"bare\"}", 17, NULL, NULL, NULL));
    for (unsigned i = 1; i < 6; i++) {
        assert_string_equal(texts[i], "");
    }
}

static void what_has_no_usable_name_stays_at_home_with_a_tag(void **state)
{
    (void)state;
    static const char *const names[] = { "",
                                         ".",
                                         "..",
                                         "../one",
                                         "a/b",
                                         "/etc",
                                         ".hidden",
                                         "a b",
                                         ("01234567890123456789012345678901234567890123456789"
                                          "012345678901234") };
    for (unsigned i = 0; i < TL_ARRAY_LEN(names); i++) {
        char id[16];
        (void)snprintf(id, sizeof(id), "%u", i);
        answer = names[i];
        check_ok(put(id, "t"));
    }
    answers_nothing = true;
    check_ok(put("null", "t"));
    logs_flush(logger);
    for (unsigned i = 0; i < TL_ARRAY_LEN(names); i++) {
        char id[16];
        (void)snprintf(id, sizeof(id), "%u", i);
        check_at_home(id, true);
    }
    check_at_home("null", true);
    assert_int_equal(logs_check_balance(logger).unrouted, TL_ARRAY_LEN(names) + 1);
    assert_int_equal(site_count(ledger), TL_ARRAY_LEN(names) + 1);
    assert_int_equal(access(routes, F_OK), 0);
}

static void a_ledger_that_is_missing_is_told_and_its_events_kept(void **state)
{
    (void)state;
    check_ok(put("a", "missing"));
    check_ok(put("b", "missing"));
    check_soon(site_has(ledger, "b"));
    check_at_home("a", true);
    check_soon(logs_count_action(ledger, "tally.route.failed", NULL, 0) == 1);
    char text[4096];
    (void)logs_count_action(ledger, "tally.route.failed", text, sizeof(text));
    assert_non_null(strstr(text, "\"name\":\"missing\""));
    assert_non_null(strstr(text, "\"events\":2"));
    logs_flush(logger);
}

static void a_ledger_that_comes_in_time_gets_its_events(void **state)
{
    (void)state;
    check_ok(put("a", "later"));
    make_ledger("later");
    logs_flush(logger);
    assert_int_equal(site_count(ledger), 0);
    close_all();
    assert_int_equal(count_in("later", "a"), 1);
    open_all();
}

static void more_ledgers_than_may_be_open_are_made_on_demand(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 12; i++) {
        char id[16];
        char tenant[16];
        (void)snprintf(id, sizeof(id), "%u", i);
        (void)snprintf(tenant, sizeof(tenant), "t%u", i % 4);
        check_ok(put(id, tenant));
    }
    logs_flush(logger);
    assert_int_equal(site_count(ledger), 0);
    close_all();
    for (unsigned i = 0; i < 4; i++) {
        char tenant[16];
        (void)snprintf(tenant, sizeof(tenant), "t%u", i);
        assert_int_equal(count_in(tenant, NULL), 3);
    }
    open_all();
}

static void an_id_that_is_taken_there_becomes_a_gap_here(void **state)
{
    (void)state;
    make_ledger("one");
    check_ok(put("same", "one"));
    check_ok(put("other", "one"));
    logs_flush(logger);
    static const char text[] = "{\"id\":\"same\",\"action\":\"b\",\"tenant_id\":\"one\"}";
    check_ok(tally_log_text(logger, text, sizeof(text) - 1, NULL, NULL, NULL));
    logs_flush(logger);
    struct logs_gaps gaps = logs_gaps_of(ledger, "id taken by another event");
    assert_int_equal(gaps.records, 1);
    assert_int_equal(gaps.events, 1);
    assert_true(gaps.exact);
}

/* Neither its own ledger nor this one can take it: it is not simply gone. */
static void an_id_that_is_taken_at_home_becomes_a_gap_too(void **state)
{
    (void)state;
    (void)site_append(ledger, "same", 1);
    check_ok(put("same", "missing"));
    logs_flush(logger);
    struct logs_gaps gaps = logs_gaps_of(ledger, NULL);
    assert_int_equal(gaps.records, 1);
    assert_int_equal(gaps.events, 1);
}

static void a_routed_event_waits_until_it_is_synced_at_most(void **state)
{
    (void)state;
    struct tally_log_options options = TALLY_LOG_OPTIONS_INIT;
    struct tally_receipt receipt;
    make_ledger("one");
    answer = "one";
    options.level = TALLY_LEVEL_RECORDED;
    check_status(logs_put(logger, "a", "a", 1, &options, &receipt), TALLY_EBUSY);
    assert_int_equal(receipt.level, TALLY_LEVEL_QUEUED);
    assert_int_equal(logs_check_balance(logger).late, 1);
    options.level = TALLY_LEVEL_SYNCED;
    options.timeout_ms = LOGS_SOON_MS;
    check_ok(logs_put(logger, "b", "a", 1, &options, &receipt));
    assert_int_equal(receipt.level, TALLY_LEVEL_SYNCED);
    logs_flush(logger);
}

static void a_ledger_in_memory_does_not_route(void **state)
{
    (void)state;
    struct tally_logger_options options = TALLY_LOGGER_OPTIONS_INIT;
    struct tally_ledger *memory = site_memory("memory:10");
    struct tally_logger *made = NULL;
    options.route = resolve;
    check_status(tally_logger_open(&made, memory, &options, NULL), TALLY_EINVAL);
    tally_close(memory);
}

#define TEST(name)     cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define CREATING(name) cmocka_unit_test_setup_teardown(name, set_up_creating, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_tenant_has_a_ledger_of_its_own),
        TEST(the_resolver_sees_what_it_may_need),
        TEST(what_has_no_usable_name_stays_at_home_with_a_tag),
        TEST(a_ledger_that_is_missing_is_told_and_its_events_kept),
        TEST(a_ledger_that_comes_in_time_gets_its_events),
        CREATING(more_ledgers_than_may_be_open_are_made_on_demand),
        TEST(an_id_that_is_taken_there_becomes_a_gap_here),
        TEST(an_id_that_is_taken_at_home_becomes_a_gap_too),
        TEST(a_routed_event_waits_until_it_is_synced_at_most),
        TEST(a_ledger_in_memory_does_not_route),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
