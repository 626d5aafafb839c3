/* Where events with the name of another ledger end up: there, or at home with a reason. */
#include "ledger/router.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <tally/tally.h>

#include "base/clock.h"
#include "check.h"
#include "support/fake_clock.h"
#include "support/fault.h"
#include "support/site.h"

#define EVENT_SIZE  512u
#define RESULTS_MAX 16u

static char routes_dir[SITE_PATH_SIZE];
static struct site home;
static struct tl_router *router;
static int owner; /* of what is added, where it does not matter */

static struct tl_router_options options_of(uint32_t open_max, bool create)
{
    return (struct tl_router_options){
        .dir = routes_dir, .home = home.dir, .open_max = open_max, .create = create
    };
}

static void open_router(uint32_t open_max, bool create)
{
    struct tl_router_options options = options_of(open_max, create);
    check_ok(tl_router_open(&router, &options, NULL));
}

/* The ledgers lie in a directory of their own, with the home ledger among them. */
static int set_up(void **state)
{
    if (check_mkdir(state) != 0) {
        return -1;
    }
    check_path(routes_dir, sizeof(routes_dir), *state, "routes");
    assert_int_equal(mkdir(routes_dir, 0700), 0);
    site_init(&home, routes_dir, NULL, 0); /* routes/ledger */
    fake_clock_use();
    router = NULL;
    return 0;
}

static int tear_down(void **state)
{
    tl_router_close(router);
    fake_clock_end();
    return check_rmdir(state);
}

/* A ledger called `name` in the routes' directory, which is not open. */
static void make_ledger(const char *name)
{
    char path[SITE_PATH_SIZE];
    struct tally_init_result made;
    check_path(path, sizeof(path), routes_dir, name);
    struct tally_options options = TALLY_OPTIONS_INIT;
    options.uri = path;
    check_ok(tally_init(&options, NULL, &made, NULL));
}

static struct tally_ledger *open_ledger(const char *name, int writable)
{
    char path[SITE_PATH_SIZE];
    check_path(path, sizeof(path), routes_dir, name);
    struct tally_options options = TALLY_OPTIONS_INIT;
    options.uri = path;
    options.writable = writable;
    struct tally_ledger *ledger = NULL;
    check_ok(tally_open(&ledger, &options, NULL));
    return ledger;
}

/* A writer that closes after us has indexed everything: a look from outside finds it. */
static uint64_t count_in(const char *name)
{
    struct tally_ledger *ledger = open_ledger(name, 0);
    uint64_t count = site_count(ledger);
    tally_close(ledger);
    return count;
}

static struct tl_spool_record record_of(char text[EVENT_SIZE], const char *name, const char *id,
                                        const char *more)
{
    int len = snprintf(text, EVENT_SIZE,
                       "%s\n{\"action\":\"a\",\"id\":\"%s\","
                       "\"occurred_at\":\"2026-01-01T00:00:00.000000Z\",\"outcome\":\"success\","
                       "\"severity\":\"medium\"%s}",
                       name, id, more);
    assert_true(len > 0 && (unsigned)len < EVENT_SIZE);
    return (struct tl_spool_record){
        .kind = TL_SPOOL_ROUTED, .time_us = 5, .text = text, .len = (uint32_t)len
    };
}

static void add(const char *name, const char *id)
{
    char text[EVENT_SIZE];
    struct tl_spool_record record = record_of(text, name, id, "");
    check_ok(tl_router_add(router, &record, &owner, NULL));
}

static void deliver(void)
{
    check_ok(tl_router_deliver(router, NULL));
}

static size_t count_results(enum tl_route_end end)
{
    size_t count = 0;
    const struct tl_routed *routed = NULL;
    while ((routed = tl_router_next(router, routed)) != NULL) {
        assert_int_equal(routed->record.kind, TL_SPOOL_EVENT);
        assert_int_equal(routed->record.time_us, 5);
        count += routed->end == end;
    }
    return count;
}

/* Delivers, and checks how many events have come to which end, and how many go on waiting. */
static void check_round(size_t recorded, size_t at_home, size_t refused, size_t waiting)
{
    struct tl_router_counts counts;
    deliver();
    assert_int_equal(count_results(TL_ROUTE_RECORDED), recorded);
    assert_int_equal(count_results(TL_ROUTE_HOME), at_home);
    assert_int_equal(count_results(TL_ROUTE_REFUSED), refused);
    tl_router_commit(router);
    assert_null(tl_router_next(router, NULL));
    tl_router_count(router, &counts);
    assert_int_equal(counts.held, waiting);
    assert_int_equal(tl_router_holds(router, &owner), waiting > 0);
}

static void check_report(const char *name, uint64_t events)
{
    struct tl_route_report report;
    assert_true(tl_router_next_report(router, &report));
    assert_string_equal(report.name, name);
    assert_true(report.why[0] != '\0');
    assert_int_equal(report.events, events);
}

static void check_no_report(void)
{
    struct tl_route_report report;
    assert_false(tl_router_next_report(router, &report));
}

static void names_are_one_step_of_a_path(void **state)
{
    (void)state;
    static const char *const good[] = { "a", "A-9_z", "a.b", "tenant..x", "-", "_" };
    static const char *const bad[] = { "",    ".",  "..",  ".a",   "../x",     "a/b",  "a\\b",
                                       "a b", "a%", "a:b", "a\nb", "\xc3\xa4", "a\x7f" };
    char name[TL_ROUTE_NAME_MAX + 2];
    memset(name, 'x', sizeof(name));
    assert_true(tl_route_name_is_valid((struct tl_str){ name, TL_ROUTE_NAME_MAX }));
    assert_false(tl_route_name_is_valid((struct tl_str){ name, TL_ROUTE_NAME_MAX + 1 }));
    assert_false(tl_route_name_is_valid((struct tl_str){ "a\0b", 3 }));
    assert_false(tl_route_name_is_valid(tl_str_of(NULL))); /* of a resolver that cannot say */
    for (size_t i = 0; i < TL_ARRAY_LEN(good); i++) {
        assert_true(tl_route_name_is_valid(tl_str_of(good[i])));
    }
    for (size_t i = 0; i < TL_ARRAY_LEN(bad); i++) {
        assert_false(tl_route_name_is_valid(tl_str_of(bad[i])));
    }
}

static void the_tag_takes_its_place_among_the_members(void **state)
{
    (void)state;
    static const struct {
        const char *event, *tagged; /* NULL: not an event */
    } cases[] = {
        { "{}", "{'tags':['tally:unrouted']}" },
        { "{'action':'a'}", "{'action':'a','tags':['tally:unrouted']}" },
        { "{'action':'a','targets':[]}", "{'action':'a','tags':['tally:unrouted'],'targets':[]}" },
        { "{'transport':'x'}", "{'tags':['tally:unrouted'],'transport':'x'}" },
        { "{'tags':[],'targets':[]}", "{'tags':['tally:unrouted'],'targets':[]}" },
        { "{'tags':['a','b']}", "{'tags':['a','b','tally:unrouted']}" },
        { "{'tags':['tally:unrouted','b']}", "{'tags':['tally:unrouted','b']}" },
        { "", NULL },
        { "{", NULL },
        { "[]", NULL },
        { "{'action':'a'", NULL },
        { "{'tags':'a'}", NULL },
        { "{'tags':['a}", NULL },
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(cases); i++) {
        char event[EVENT_SIZE];
        char tagged[EVENT_SIZE] = "";
        struct tl_buf out;
        tl_buf_init(&out, EVENT_SIZE);
        site_unquote(event, sizeof(event), cases[i].event);
        if (cases[i].tagged != NULL) {
            site_unquote(tagged, sizeof(tagged), cases[i].tagged);
        }
        tally_status want = cases[i].tagged == NULL ? TALLY_ECORRUPT : TALLY_OK;
        check_status(tl_route_tag(&out, event, strlen(event)), want);
        assert_true(tl_str_is(tl_buf_str(&out), tagged));
        tl_buf_release(&out);
    }
}

static void an_event_with_all_tags_it_may_have_gets_no_more(void **state)
{
    (void)state;
    struct tl_buf event;
    struct tl_buf out;
    tl_buf_init(&event, 4096);
    tl_buf_init(&out, 4096);
    for (unsigned i = 0; i < 64; i++) {
        tl_buf_addf(&event, i == 0 ? "{\"tags\":[\"%u\"" : ",\"%u\"", i);
    }
    tl_buf_add_text(&event, "]}");
    check_ok(tl_route_tag(&out, event.data, event.len));
    assert_true(tl_str_equal(tl_buf_str(&out), tl_buf_str(&event)));
    tl_buf_release(&event);
    tl_buf_release(&out);
}

static void each_event_is_in_the_ledger_of_its_name(void **state)
{
    (void)state;
    make_ledger("one");
    make_ledger("two");
    open_router(0, false);
    add("one", "1");
    add("two", "2");
    add("one", "3");
    check_round(3, 0, 0, 0);
    add("two", "4");
    check_round(1, 0, 0, 0);
    check_no_report();
    tl_router_close(router);
    router = NULL;
    assert_int_equal(count_in("one"), 2);
    assert_int_equal(count_in("two"), 2);
}

static void an_event_that_comes_again_is_recorded_once(void **state)
{
    (void)state;
    make_ledger("one");
    open_router(0, false);
    add("one", "1");
    deliver();
    tl_router_rollback(router); /* the home ledger could not record its own */
    assert_false(tl_router_holds(router, &owner));
    add("one", "1");
    add("one", "1");
    check_round(2, 0, 0, 0);
    tl_router_close(router);
    router = NULL;
    assert_int_equal(count_in("one"), 1);
}

static void an_id_that_is_taken_refuses_that_event_alone(void **state)
{
    (void)state;
    make_ledger("one");
    open_router(0, false);
    char text[EVENT_SIZE];
    add("one", "1");
    check_round(1, 0, 0, 0);
    struct tl_spool_record other = record_of(text, "one", "1", ",\"tenant_id\":\"t\"");
    check_ok(tl_router_add(router, &other, &owner, NULL));
    add("one", "2");
    check_round(1, 0, 1, 0);
}

static void hostile_names_stay_at_home_and_touch_no_file(void **state)
{
    char outside[SITE_PATH_SIZE];
    char long_name[66] = "";
    memset(long_name, 'x', 65);
    const char *const bad[] = { "../x", "", ".a", long_name, "a/b", "..", "/etc" };
    open_router(0, true);
    for (size_t i = 0; i < TL_ARRAY_LEN(bad); i++) {
        add(bad[i], "1");
    }
    deliver();
    const struct tl_routed *routed = tl_router_next(router, NULL);
    assert_non_null(memmem(routed->record.text, routed->record.len, "\"tally:unrouted\"", 16));
    assert_int_equal(routed->record.text[0], '{');
    check_round(0, TL_ARRAY_LEN(bad), 0, 0);
    check_report("", TL_ARRAY_LEN(bad));
    check_no_report();
    check_path(outside, sizeof(outside), *state, "x");
    assert_int_equal(access(outside, F_OK), -1);
}

static void what_is_no_event_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = { "", "no newline", "one\n", "one\nnothing", "\n[]" };
    make_ledger("one");
    open_router(0, false);
    for (size_t i = 0; i < TL_ARRAY_LEN(texts); i++) {
        const struct tl_spool_record record = { .kind = TL_SPOOL_ROUTED,
                                                .time_us = 5,
                                                .text = texts[i],
                                                .len = (uint32_t)strlen(texts[i]) };
        check_ok(tl_router_add(router, &record, &owner, NULL));
    }
    check_round(0, 0, TL_ARRAY_LEN(texts), 0);
}

static void an_event_that_its_ledger_refuses_stays_at_home(void **state)
{
    (void)state;
    make_ledger("one");
    open_router(0, false);
    char text[EVENT_SIZE];
    struct tl_spool_record own = record_of(text, "one", "1", ",\"unknown\":1");
    check_ok(tl_router_add(router, &own, &owner, NULL));
    add("one", "2");
    check_round(1, 1, 0, 0);
    check_report("one", 1);
}

static void the_home_ledger_by_its_name_is_no_detour(void **state)
{
    (void)state;
    struct tally_ledger *ledger = site_open(&home);
    open_router(0, false);
    add("ledger", "1");
    deliver();
    const struct tl_routed *routed = tl_router_next(router, NULL);
    assert_int_equal(routed->end, TL_ROUTE_HOME);
    assert_null(memmem(routed->record.text, routed->record.len, "unrouted", 8));
    check_round(0, 1, 0, 0);
    check_no_report();
    tally_close(ledger);
}

static void no_more_ledgers_are_open_than_may_be(void **state)
{
    (void)state;
    struct tl_router_counts counts;
    open_router(4, true);
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < 100; i++) {
            char name[16];
            char id[16];
            (void)snprintf(name, sizeof(name), "tenant-%u", i);
            (void)snprintf(id, sizeof(id), "%u", round);
            add(name, id);
            if (i % 10 == 9) {
                check_round(10, 0, 0, 0);
                tl_router_count(router, &counts);
                assert_int_equal(counts.open, 4);
            }
        }
    }
    assert_int_equal(counts.opened, 200);
    assert_true(counts.names <= 5); /* those that are open, and "" */
    tl_router_close(router);
    router = NULL;
    assert_int_equal(count_in("tenant-0"), 2);
    assert_int_equal(count_in("tenant-99"), 2);
}

static void a_ledger_that_is_in_use_stays_open(void **state)
{
    (void)state;
    struct tl_router_counts counts;
    open_router(2, true);
    for (unsigned i = 0; i < 6; i++) {
        char id[16];
        char name[16];
        (void)snprintf(id, sizeof(id), "%u", i);
        (void)snprintf(name, sizeof(name), "other-%u", i);
        add("busy", id);
        add(name, id);
        check_round(2, 0, 0, 0);
    }
    tl_router_count(router, &counts);
    assert_int_equal(counts.opened, 7);
}

static void an_idle_ledger_is_closed(void **state)
{
    (void)state;
    struct tl_router_counts counts;
    make_ledger("one");
    open_router(0, false);
    add("one", "1");
    check_round(1, 0, 0, 0);
    fake_clock_pass(59 * FAKE_SECOND);
    check_round(0, 0, 0, 0);
    tl_router_count(router, &counts);
    assert_int_equal(counts.open, 1);
    fake_clock_pass(FAKE_SECOND);
    check_round(0, 0, 0, 0);
    tl_router_count(router, &counts);
    assert_int_equal(counts.open, 0);
    add("one", "2");
    check_round(1, 0, 0, 0);
}

static void events_of_an_absent_ledger_wait_and_then_stay_at_home(void **state)
{
    (void)state;
    struct tl_router_counts counts;
    make_ledger("here");
    open_router(0, false);
    add("absent", "1");
    add("here", "2");
    check_round(1, 0, 0, 1);
    for (unsigned second = 0; second < 9; second++) {
        fake_clock_pass(FAKE_SECOND);
        add("here", "3"); /* which nobody keeps waiting */
        check_round(1, 0, 0, 1);
        check_no_report();
    }
    fake_clock_pass(FAKE_SECOND);
    check_round(0, 1, 0, 0);
    check_report("absent", 1);
    tl_router_count(router, &counts);
    assert_true(counts.failed < 9); /* it is not asked every time */

    add("absent", "4"); /* known to be away: no more waiting, and no more words this minute */
    add("absent", "5");
    check_round(0, 2, 0, 0);
    check_no_report();
    fake_clock_pass(60 * FAKE_SECOND);
    check_report("absent", 2);
}

static void a_ledger_that_appears_gets_what_waited(void **state)
{
    (void)state;
    open_router(0, false);
    add("late", "1");
    check_round(0, 0, 0, 1);
    make_ledger("late");
    fake_clock_pass(FAKE_SECOND);
    add("late", "2");
    check_round(2, 0, 0, 0);

    tl_router_close(router);
    open_router(0, false);
    char path[SITE_PATH_SIZE];
    char hidden[SITE_PATH_SIZE];
    check_path(path, sizeof(path), routes_dir, "late");
    check_path(hidden, sizeof(hidden), routes_dir, "hidden");
    assert_int_equal(rename(path, hidden), 0);
    add("late", "3");
    check_round(0, 0, 0, 1);
    fake_clock_pass(30 * FAKE_SECOND);
    check_round(0, 1, 0, 0);
    assert_int_equal(rename(hidden, path), 0);
    fake_clock_pass(6 * FAKE_SECOND);
    add("late", "4"); /* after the longest pause, it is tried again */
    check_round(1, 0, 0, 0);
}

static void a_ledger_that_cannot_be_opened_is_a_condition(void **state)
{
    (void)state;
    char path[SITE_PATH_SIZE];
    make_ledger("broken");
    check_path(path, sizeof(path), routes_dir, "broken/keys/log.key");
    assert_int_equal(unlink(path), 0);
    check_path(path, sizeof(path), routes_dir, "file");
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fclose(file), 0);
    open_router(0, true);
    add("broken", "1");
    add("file", "2");
    add("new", "3");
    check_round(1, 0, 0, 2);
    fake_clock_pass(10 * FAKE_SECOND);
    check_round(0, 2, 0, 0);
    struct tl_route_report report;
    struct tl_buf out;
    tl_buf_init(&out, 4096);
    assert_true(tl_router_next_report(router, &report));
    tl_route_report_write(&out, &report);
    tl_buf_add_char(&out, '\0');
    check_ok(tl_buf_status(&out));
    assert_int_equal(strncmp(out.data, "{\"events\":1,\"name\":\"", 20), 0);
    assert_non_null(strstr(out.data, ",\"reason\":\""));
    tl_buf_release(&out);
    assert_true(tl_router_next_report(router, &report));
    check_no_report();
}

static void a_ledger_that_somebody_else_writes_gets_its_events(void **state)
{
    (void)state;
    struct tl_router_counts counts;
    fake_clock_end(); /* the other looks for our event after a while */
    make_ledger("one");
    struct tally_ledger *other = open_ledger("one", 1);
    open_router(0, false);
    add("one", "1");
    deliver();
    tl_router_count(router, &counts);
    assert_int_equal(counts.recorded, 1);
    tl_router_close(router);
    router = NULL;
    tally_close(other);
    assert_int_equal(count_in("one"), 1);
}

static void a_rollback_forgets_what_the_spool_gives_again(void **state)
{
    (void)state;
    int first = 0;
    int second = 0;
    char text[EVENT_SIZE];
    open_router(0, false);
    struct tl_spool_record record = record_of(text, "absent", "1", "");
    check_ok(tl_router_add(router, &record, &first, NULL));
    deliver();
    tl_router_commit(router);
    check_ok(tl_router_add(router, &record, &second, NULL));
    assert_true(tl_router_holds(router, &first) && tl_router_holds(router, &second));
    tl_router_rollback(router);
    assert_true(tl_router_holds(router, &first));
    assert_false(tl_router_holds(router, &second));
    fake_clock_pass(10 * FAKE_SECOND);
    deliver();
    assert_int_equal(count_results(TL_ROUTE_HOME), 1);
    tl_router_rollback(router); /* its result was not dealt with, and is given again */
    assert_int_equal(count_results(TL_ROUTE_HOME), 1);
    assert_true(tl_router_holds(router, &first));
    tl_router_commit(router);
    assert_false(tl_router_holds(router, &first));
}

static void a_full_router_takes_no_more_and_keeps_nobody_waiting(void **state)
{
    (void)state;
    char text[EVENT_SIZE];
    struct tl_spool_record record = record_of(text, "absent", "1", "");
    open_router(0, false);
    assert_int_equal(tl_router_room(router), TL_ROUTER_EVENTS_MAX);
    for (unsigned i = 0; i < TL_ROUTER_EVENTS_MAX; i++) {
        check_ok(tl_router_add(router, &record, &owner, NULL));
    }
    assert_int_equal(tl_router_room(router), 0);
    check_status(tl_router_add(router, &record, &owner, NULL), TALLY_ELIMIT);
    check_round(0, TL_ROUTER_EVENTS_MAX, 0, 0);
}

static void countless_bad_names_are_neither_kept_nor_told_each(void **state)
{
    (void)state;
    struct tl_router_counts counts;
    struct tl_route_report report;
    open_router(0, false);
    uint64_t told = 0;
    for (unsigned i = 0; i < 3 * TL_ROUTER_EVENTS_MAX / 2; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "n%u", i);
        add(name, "1");
        if (tl_router_room(router) <= TL_ROUTER_EVENTS_MAX / 4) {
            deliver();
            tl_router_commit(router);
        }
    }
    fake_clock_pass(10 * FAKE_SECOND);
    deliver();
    tl_router_commit(router);
    tl_router_count(router, &counts);
    assert_int_equal(counts.held, 0);
    assert_true(counts.names <= 1025);
    for (unsigned minute = 0; minute < 100; minute++) {
        unsigned reports = 0;
        while (tl_router_next_report(router, &report)) {
            told += report.events;
            reports++;
        }
        assert_true(reports <= 20);
        fake_clock_pass(60 * FAKE_SECOND);
        deliver();
    }
    assert_int_equal(told, 3 * TL_ROUTER_EVENTS_MAX / 2);
    tl_router_count(router, &counts);
    assert_int_equal(counts.names, 1);
}

static void a_router_without_a_place_is_not_opened(void **state)
{
    (void)state;
    struct tl_router_options options = options_of(0, false);
    options.dir = "";
    check_status(tl_router_open(&router, &options, NULL), TALLY_EINVAL);
    options.dir = "memory:10";
    check_status(tl_router_open(&router, &options, NULL), TALLY_EINVAL);
    assert_null(router);
    tl_router_close(NULL);
}

/* Whatever runs out of memory: no event is lost from the router. */
static tally_status deliver_once(const void *ctx)
{
    (void)ctx;
    char text[EVENT_SIZE];
    struct tl_spool_record here = record_of(text, "one", "1", "");
    char other[EVENT_SIZE];
    struct tl_spool_record bad = record_of(other, "../one", "2", "");
    struct tl_router_options options = options_of(0, false);
    struct tl_router *made = NULL;
    TL_TRY(tl_router_open(&made, &options, NULL));
    struct tl_router_counts counts;
    tally_status status = tl_router_add(made, &here, &owner, NULL);
    if (status == TALLY_OK) {
        status = tl_router_add(made, &bad, &owner, NULL);
    }
    if (status == TALLY_OK) {
        status = tl_router_deliver(made, NULL);
        tl_router_count(made, &counts);
        assert_int_equal(counts.held, 2);
        assert_true(tl_router_holds(made, &owner));
    }
    tl_router_close(made);
    return status;
}

static void without_memory_events_are_still_held(void **state)
{
    (void)state;
    make_ledger("one");
    (void)fault_each_alloc_or_ok(deliver_once, NULL);
    assert_int_equal(count_in("one"), 1);
}

/* A file operation fails: the event is in its ledger then, or after a while. */
static void deliver_in_spite(void *ctx, const atomic_bool *hit)
{
    (void)ctx;
    (void)hit;
    char text[EVENT_SIZE];
    struct tl_spool_record record = record_of(text, "one", "1", "");
    struct tl_router_options options = options_of(0, false);
    struct tl_router *made = NULL;
    struct tl_router_counts counts;
    check_ok(tl_router_open(&made, &options, NULL));
    check_ok(tl_router_add(made, &record, &owner, NULL));
    for (unsigned i = 0; i < 3; i++) {
        check_ok(tl_router_deliver(made, NULL));
        fake_clock_pass(FAKE_SECOND);
    }
    tl_router_count(made, &counts);
    assert_int_equal(counts.recorded, 1);
    assert_int_equal(counts.held, 1);
    tl_router_close(made);
}

static void a_disk_that_fails_once_delays_an_event(void **state)
{
    (void)state;
    make_ledger("one");
    (void)fault_each_io(FAULT_ERROR, EIO, deliver_in_spite, NULL);
    assert_int_equal(count_in("one"), 1);
}

/* A clock by which everything takes a tenth of a second that the router does, and nothing else. */
static struct tl_clock_ops slow;
static pthread_t slow_thread;
static _Atomic int64_t slow_us;
static int64_t look_at_slow_clock(void)
{
    bool is_slow = pthread_equal(pthread_self(), slow_thread) != 0;
    return atomic_fetch_add(&slow_us, is_slow ? FAKE_SECOND / 10 : 0);
}

static void ledgers_that_open_slowly_are_opened_a_few_at_a_time(void **state)
{
    (void)state;
    struct tl_router_counts counts;
    slow = *tl_clock;
    slow_thread = pthread_self();
    slow.steady_us = look_at_slow_clock;
    tl_clock = &slow;
    open_router(0, true);
    for (unsigned i = 0; i < 8; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "slow-%u", i);
        add(name, "1");
    }
    for (unsigned i = 1; i <= 8; i++) {
        deliver();
        tl_router_count(router, &counts);
        assert_true(counts.opened >= i && counts.opened <= i + i);
    }
    assert_int_equal(count_results(TL_ROUTE_RECORDED), 8);
    tl_router_close(router);
    router = NULL;
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_one_step_of_a_path),
        cmocka_unit_test(the_tag_takes_its_place_among_the_members),
        cmocka_unit_test(an_event_with_all_tags_it_may_have_gets_no_more),
        CASE(each_event_is_in_the_ledger_of_its_name),
        CASE(an_event_that_comes_again_is_recorded_once),
        CASE(an_id_that_is_taken_refuses_that_event_alone),
        CASE(hostile_names_stay_at_home_and_touch_no_file),
        CASE(what_is_no_event_is_refused),
        CASE(an_event_that_its_ledger_refuses_stays_at_home),
        CASE(the_home_ledger_by_its_name_is_no_detour),
        CASE(no_more_ledgers_are_open_than_may_be),
        CASE(a_ledger_that_is_in_use_stays_open),
        CASE(an_idle_ledger_is_closed),
        CASE(events_of_an_absent_ledger_wait_and_then_stay_at_home),
        CASE(a_ledger_that_appears_gets_what_waited),
        CASE(a_ledger_that_cannot_be_opened_is_a_condition),
        CASE(a_ledger_that_somebody_else_writes_gets_its_events),
        CASE(a_rollback_forgets_what_the_spool_gives_again),
        CASE(a_full_router_takes_no_more_and_keeps_nobody_waiting),
        CASE(countless_bad_names_are_neither_kept_nor_told_each),
        CASE(a_router_without_a_place_is_not_opened),
        CASE(without_memory_events_are_still_held),
        CASE(a_disk_that_fails_once_delays_an_event),
        CASE(ledgers_that_open_slowly_are_opened_a_few_at_a_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
