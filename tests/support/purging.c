#include "support/purging.h"

#include <stdio.h>
#include <string.h>

#include "check.h"
#include "support/fake_clock.h"

struct site purging_site;
const struct tally_actor purging_operator = { .by = "alice" };

const struct tally_setting purging_rules[PURGING_RULES] = {
    { .key = "retention.default_days", .value = "1", .origin = "test" },
    { .key = "retention.by_severity.critical", .value = "3", .origin = "test" },
    { .key = "retention.by_severity.low", .value = "0", .origin = "test" },
    { .key = "retention.by_severity.high", .value = "-7", .origin = "test" },
};

int purging_set_up(void **state)
{
    if (check_mkdir(state) != 0) {
        return -1;
    }
    fake_clock_use();
    fake_clock_pass(FAKE_HOUR); /* the day has begun */
    site_init(&purging_site, *state, purging_rules, PURGING_RULES);
    return 0;
}

int purging_tear_down(void **state)
{
    fake_clock_end();
    return check_rmdir(state);
}

struct tally_ledger *purging_memory(void)
{
    struct tally_options options = TALLY_OPTIONS_INIT;
    options.uri = "memory:10000";
    options.settings = purging_rules;
    options.setting_count = PURGING_RULES;
    struct tally_ledger *ledger = NULL;
    check_ok(tally_open(&ledger, &options, NULL));
    return ledger;
}

static void add(struct tally_events *events, const char *id, const char *severity)
{
    char text[256];
    (void)snprintf(
        text, sizeof(text),
        "{'id':'%s','action':'test.event','severity':'%s','metadata':{'secret':'of %s'}}", id,
        severity, id);
    site_add_text(events, text, 0);
}

/* Appends `count` events of a severity, "<prefix>-0" and so on. */
void purging_append(struct tally_ledger *ledger, const char *prefix, unsigned count,
                    const char *severity)
{
    static struct tally_receipt receipts[4096];
    struct tally_events *events = NULL;
    check_ok(tally_events_new(&events, ledger, NULL));
    for (unsigned n = 0; n < count; n++) {
        char id[64];
        (void)snprintf(id, sizeof(id), "%s-%u", prefix, n);
        add(events, id, severity);
    }
    check_ok(tally_append_events(ledger, events, receipts, NULL));
    tally_events_free(events);
}

/* How many of "<prefix>-0" ... have contents. */
unsigned purging_count(struct tally_ledger *ledger, const char *prefix, unsigned count)
{
    unsigned there = 0;
    for (unsigned n = 0; n < count; n++) {
        char id[64];
        struct tally_page *page = NULL;
        (void)snprintf(id, sizeof(id), "%s-%u", prefix, n);
        /* Without its contents a record is not found by its id. */
        there += tally_get_by_id(ledger, id, &page, NULL) == TALLY_OK ? 1 : 0;
        tally_page_free(page);
    }
    return there;
}

tally_status purging_try(struct tally_ledger *ledger, const struct tally_purge_options *options,
                         struct tally_purged *out, struct tally_error *err)
{
    return tally_purge(ledger, options, &purging_operator, out, NULL, err);
}

struct tally_purged purging_run_with(struct tally_ledger *ledger,
                                     const struct tally_purge_options *options)
{
    struct tally_purged purged;
    struct tally_error error = TALLY_ERROR_INIT;
    tally_status status = purging_try(ledger, options, &purged, &error);
    if (status != TALLY_OK) {
        print_error("%s\n", error.message);
    }
    check_ok(status);
    return purged;
}

struct tally_purged purging_run(struct tally_ledger *ledger)
{
    const struct tally_purge_options options = TALLY_PURGE_OPTIONS_INIT;
    return purging_run_with(ledger, &options);
}

/* Verifies, and counts the findings of a code. */
unsigned purging_findings(struct tally_ledger *ledger, const char *code)
{
    struct tally_verify_options options = TALLY_VERIFY_OPTIONS_INIT;
    struct tally_report *report = NULL;
    options.mac_key_path = ledger == NULL ? purging_site.mac_key : NULL;
    check_ok(ledger != NULL ? tally_verify(ledger, &options, &report, NULL)
                            : tally_verify_at(purging_site.dir, &options, &report, NULL));
    unsigned found = 0;
    for (size_t i = 0; i < report->finding_count; i++) {
        found += strcmp(report->findings[i].code, code) == 0 ? 1 : 0;
    }
    tally_report_free(report);
    return found;
}

/* VERIFIED, and nothing about purges but that there were some. */
void purging_verify(struct tally_ledger *ledger)
{
    (void)site_verify_open(ledger, NULL);
    assert_int_equal(purging_findings(ledger, "PURGE_COUNT"), 0);
    assert_int_equal(purging_findings(ledger, "PURGE_INCOMPLETE"), 0);
}

/* The newest event of tally.purge. */
void purging_check_event(struct tally_ledger *ledger, const char *metadata, const char *outcome)
{
    const struct tally_condition conditions[] = { { "action", "tally.purge" } };
    struct tally_query query = TALLY_QUERY_INIT;
    query.conditions = conditions;
    query.condition_count = 1;
    struct tally_page *page = NULL;
    char wanted[512];
    check_ok(tally_find(ledger, &query, &page, NULL));
    assert_true(page->count > 0);
    const char *event = page->items[0].event;
    site_unquote(wanted, sizeof(wanted), metadata);
    if (strstr(event, wanted) == NULL) {
        print_error("%s\nis not in\n%s\n", wanted, event);
        fail();
    }
    assert_non_null(strstr(event, outcome));
    assert_non_null(strstr(event, "\"severity\":\"low\""));
    assert_non_null(strstr(event, "\"service\":\"tally.purge\""));
    assert_non_null(strstr(event, "\"type\":\"ledger\""));
    assert_non_null(strstr(event, "\"alice\""));
    tally_page_free(page);
}
