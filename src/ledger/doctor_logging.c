/* What tally_doctor() has to say of logging: whether events get from the spool into the ledger. */
#include <inttypes.h>
#include <stdio.h>
#include <tally/activity.h>

#include "base/arena.h"
#include "base/buf.h"
#include "codec/json.h"
#include "ledger/doctor.h"
#include "ledger/losses.h"

#define ALONE_S      2  /* another process takes over sooner than that */
#define BEHIND_S     30 /* a sequencer that is well is never so far behind */
#define GAPS_MAX     1000u
#define ACTIONS_MAX  5u /* that are named */
#define RECORD_BYTES ((size_t)16 << 20)

/* Where findings go. */
struct doctor {
    tl_doctor_say_fn *say;
    void *ctx;
};

static void say(const struct doctor *doctor, const char *check, enum tally_health health,
                const char *what, const char *advice)
{
    doctor->say(doctor->ctx, check, health, what, advice);
}

static void look_at_waiting(const struct doctor *doctor, const struct tally_activity *activity)
{
    char what[320];
    uint64_t events = activity->spool_events;
    int64_t age = activity->oldest_unsent_s;
    (void)snprintf(what, sizeof(what),
                   "%" PRIu64 " events wait in the spool, the oldest for %" PRId64 " s", events,
                   events == 0 ? 0 : age);
    if (activity->trouble[0] != '\0') {
        (void)snprintf(what, sizeof(what), "nothing is recorded: %s", activity->trouble);
        say(doctor, "spool.waiting", TALLY_HEALTH_ERROR, what,
            "remove the cause; recording goes on by itself, and until the spool is full nothing is "
            "lost");
    } else if (events > 0 && activity->sequencer_pid == 0 && age >= ALONE_S) {
        say(doctor, "spool.waiting", TALLY_HEALTH_ERROR, what,
            "no process has the ledger open for writing: start one, or record anything with 'tally "
            "log', and what waits is recorded");
    } else if (events > 0 && age >= BEHIND_S) {
        say(doctor, "spool.waiting", TALLY_HEALTH_ERROR, what,
            "the process that holds ledger.lock records nothing: see whether it is stopped, or "
            "waits for its disk; if it is ended, another takes over");
    } else {
        say(doctor, "spool.waiting", TALLY_HEALTH_OK, what, "");
    }
}

static void look_at_damage(const struct doctor *doctor, const struct tally_activity *activity)
{
    char what[120];
    bool damaged = activity->quarantined > 0;
    (void)snprintf(what, sizeof(what), "%" PRIu64 " segments were damaged and put aside",
                   activity->quarantined);
    say(doctor, "spool.damage", damaged ? TALLY_HEALTH_WARNING : TALLY_HEALTH_OK, what,
        damaged ? "what could be read is recorded and the rest declared as lost; look at the disk, "
                  "then move spool/quarantine away"
                : "");
}

static void look_at_activity(const struct doctor *doctor, const struct tally_options *options)
{
    struct tally_error error = TALLY_ERROR_INIT;
    struct tally_activity activity = TALLY_ACTIVITY_INIT;
    if (tally_activity_read(options, &activity, &error) != TALLY_OK) {
        say(doctor, "spool.waiting", TALLY_HEALTH_ERROR, error.message,
            "whoever appends and whoever looks must be able to read the ledger's spool");
        return;
    }
    look_at_waiting(doctor, &activity);
    look_at_damage(doctor, &activity);
}

/* A record's JSON, read into `arena`; NULL if it cannot be. */
static const struct tl_json *read_item(struct tl_arena *arena, const struct tally_item *item)
{
    struct tl_json_limits limits = tl_json_limits_format;
    limits.keep_integers = true;
    const struct tl_json *root = NULL;
    tl_arena_init(arena, RECORD_BYTES);
    return tl_json_read(arena, item->line, item->line_len, &limits, &root, NULL) == TALLY_OK ? root
                                                                                             : NULL;
}

static void tell_losses(const struct doctor *doctor, const struct tally_page *page)
{
    char what[160];
    uint64_t lost = 0;
    bool all_exact = page->next == NULL;
    for (size_t i = 0; i < page->count; i++) {
        const struct tally_item *item = &page->items[i];
        uint64_t count = 0;
        bool exact = false;
        bool known = tl_gap_of_line(item->line, item->line_len, &count, &exact);
        lost += known ? count : 0;
        all_exact = all_exact && known && exact;
    }
    bool some = page->count > 0;
    (void)snprintf(what, sizeof(what),
                   "%s%" PRIu64
                   " events were declared as lost in the last 24 hours, in %zu records",
                   all_exact ? "" : "at least ", lost, page->count);
    say(doctor, "losses", some ? TALLY_HEALTH_WARNING : TALLY_HEALTH_OK, what,
        some ? "'tally find --kind gap' says when and why: a full spool (spool.max_bytes), a full "
               "disk, or a damaged segment"
             : "");
}

/* Writes `"a" 12, "b" 3` of the actions that a logger reported. */
static void name_actions(struct tl_buf *out, const struct tl_json *actions)
{
    uint32_t named = 0;
    for (const struct tl_json *at = actions->first; at != NULL; at = at->next) {
        if (at->type != TL_JSON_NUMBER || named == ACTIONS_MAX) {
            continue;
        }
        tl_buf_add_text(out, named++ == 0 ? "" : ", ");
        tl_json_write_string(out, at->key);
        tl_buf_add_char(out, ' ');
        tl_buf_add_str(out, at->text);
    }
    tl_buf_add_text(out, actions->count > named ? ", ..." : "");
}

static void tell_unlisted(const struct doctor *doctor, const struct tally_page *page)
{
    TL_CLEANUP(tl_arena_release) struct tl_arena arena = { 0 };
    const struct tl_json *at = page->count == 0 ? NULL : read_item(&arena, &page->items[0]);
    static const char *const path[] = { "event", "metadata", "actions" };
    for (size_t i = 0; i < TL_ARRAY_LEN(path) && at != NULL; i++) {
        at = tl_json_member(at, path[i]);
    }
    if (page->count > 0 && (at == NULL || at->type != TL_JSON_OBJECT)) {
        say(doctor, "policy.unlisted", TALLY_HEALTH_WARNING,
            "the newest report of actions that the policy does not list cannot be read",
            "look at it: tally find --action tally.policy.unlisted");
        return;
    }
    if (at == NULL || at->count == 0) {
        say(doctor, "policy.unlisted", TALLY_HEALTH_OK,
            "no action was reported in the last 24 hours that the policy does not list", "");
        return;
    }
    TL_CLEANUP(tl_buf_release) struct tl_buf what = { 0 };
    tl_buf_init(&what, RECORD_BYTES);
    tl_buf_add_text(&what, "not recorded, because the policy lists them nowhere: ");
    name_actions(&what, at);
    tl_buf_add_char(&what, '\0');
    say(doctor, "policy.unlisted", TALLY_HEALTH_WARNING,
        tl_buf_status(&what) == TALLY_OK ? what.data : "actions that the policy lists nowhere",
        "add each to policy.allow or to policy.deny");
}

/* Records of the last 24 hours for which `field` is `value`, the newest first, told by `tell`. */
static void look_back(const struct doctor *doctor, struct tally_ledger *ledger, const char *check,
                      const char *field, const char *value, uint32_t limit,
                      void (*tell)(const struct doctor *doctor, const struct tally_page *page))
{
    const struct tally_condition conditions[] = { { field, value }, { "recorded_from", "-24h" } };
    struct tally_query query = TALLY_QUERY_INIT;
    query.conditions = conditions;
    query.condition_count = TL_ARRAY_LEN(conditions);
    query.limit = limit;
    struct tally_error error = TALLY_ERROR_INIT;
    struct tally_page *page = NULL;
    if (tally_find(ledger, &query, &page, &error) != TALLY_OK) {
        say(doctor, check, TALLY_HEALTH_WARNING, error.message, "run 'tally verify'");
        return;
    }
    tell(doctor, page);
    tally_page_free(page);
}

/* Whoever sent and sends no more: a program that is down, or that lost its way here. */
static void look_at_sources(const struct doctor *doctor, struct tally_ledger *ledger)
{
    struct tally_error error = TALLY_ERROR_INIT;
    struct tally_sources *sources = NULL;
    if (tally_sources(ledger, &sources, &error) != TALLY_OK) {
        return; /* without an index nobody knows, and that was said */
    }
    TL_CLEANUP(tl_buf_release) struct tl_buf what = { 0 };
    uint32_t silent = 0;
    tl_buf_init(&what, RECORD_BYTES);
    tl_buf_add_text(&what, "nothing came for longer than ever in 30 days from: ");
    for (size_t i = 0; i < sources->source_count; i++) {
        if (sources->sources[i].silent != 0 && silent++ < ACTIONS_MAX) {
            tl_buf_add_text(&what, silent == 1 ? "" : ", ");
            tl_json_write_string(&what, tl_str_of(sources->sources[i].service));
        }
    }
    tl_buf_add_text(&what, silent > ACTIONS_MAX ? ", ..." : "");
    tl_buf_add_char(&what, '\0');
    tally_sources_free(sources);
    if (silent == 0) {
        say(doctor, "sources", TALLY_HEALTH_OK, "no service fell silent", "");
        return;
    }
    say(doctor, "sources", TALLY_HEALTH_WARNING,
        tl_buf_status(&what) == TALLY_OK ? what.data : "services fell silent",
        "see whether they run, and where they log to; 'tally sources' says since when");
}

static void look_at_records(const struct doctor *doctor, const struct tally_options *options)
{
    struct tally_options reading = *options;
    struct tally_error error = TALLY_ERROR_INIT;
    struct tally_ledger *ledger = NULL;
    reading.writable = 0;
    if (tally_open(&ledger, &reading, &error) != TALLY_OK) {
        say(doctor, "losses", TALLY_HEALTH_WARNING, error.message, "run 'tally verify'");
        return;
    }
    look_back(doctor, ledger, "losses", "kind", "gap", GAPS_MAX, tell_losses);
    look_back(doctor, ledger, "policy.unlisted", "action", "tally.policy.unlisted", 1,
              tell_unlisted);
    look_at_sources(doctor, ledger);
    tally_close(ledger);
}

void tl_doctor_logging(const struct tally_options *options, const struct tl_log_policy *policy,
                       tl_doctor_say_fn *fn, void *ctx)
{
    const struct doctor doctor = { .say = fn, .ctx = ctx };
    bool nothing = tl_log_policy_allows_nothing(policy);
    say(&doctor, "policy", nothing ? TALLY_HEALTH_WARNING : TALLY_HEALTH_OK,
        nothing ? "the policy records nothing of what is logged"
                : "the policy lets events be recorded",
        nothing ? "look at policy.enabled, policy.allow and policy.deny" : "");
    look_at_activity(&doctor, options);
    look_at_records(&doctor, options);
}
