/*
 * life ROUNDS SEED - random lives of ledgers against a simple model of what is to be there.
 *
 * Each round makes a ledger and does random acts: append, let days pass, hold, release, purge, erase,
 * rotate keys, close epochs, open again with other rules, be killed in the middle, back up, restore.
 * After each of them every record is what the model says, and the ledger is VERIFIED. Every third
 * round is in memory, where nothing is killed or restored.
 *
 * Prints one line of JSON. Exit status 0 if all is well; else it says what was done last, and leaves
 * the ledger.
 */
#include <tally/tally.h>

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/base.h"
#include "base/clock.h"
#include "base/parse.h"
#include "crash/oracle.h"
#include "ledger/remove.h"
#include "support/fake_clock.h"

#define DAY_US         (24 * FAKE_HOUR)
#define RECORDS_MAX    400u
#define HOLDS_MAX      12u
#define RANGES_MAX     4u
#define ACTS           25u
#define TRACE_SIZE     65536u
#define FOREVER        UINT32_MAX
#define LIFE_PATH_SIZE 512u

enum member { NAME = 1, METADATA = 2, REASON = 4, ALL_MEMBERS = 7, WHOLE = 8 };

/* An event as it is to be. */
struct record {
    uint64_t seq;
    int64_t time_us;
    uint32_t until; /* day that was sealed */
    unsigned severity;
    unsigned actor;
    unsigned gone; /* enum member */
    bool covered;  /* by a PURGE, so that its content may go */
};

struct hold {
    char id[64];
    bool active;
    struct tally_range ranges[RANGES_MAX];
    size_t count;
};

/* What is to be true of the ledger. Copied for a backup. */
struct model {
    struct record records[RECORDS_MAX];
    size_t count;
    struct hold holds[HOLDS_MAX];
    size_t hold_count;
    uint64_t seen; /* all PURGE records below this seq were taken in */
};

/* One round. */
struct life {
    uint64_t random;
    struct tally_ledger *ledger;
    bool memory;
    char dir[LIFE_PATH_SIZE];
    char path[LIFE_PATH_SIZE + 32]; /* of the ledger */
    unsigned incarnation;
    unsigned rules; /* which of the rule sets */
    unsigned events;
    bool crashed;         /* an act that was cut short was not done again yet */
    bool only_finish;     /* erase nothing, but what was cut short */
    bool nothing_started; /* and there was none */
    struct model model;
    char trace[TRACE_SIZE];
    size_t trace_len;
};

static const char *const severities[] = { "low", "medium", "high", "critical" };
static const char *const pointers[] = { "/actor/name", "/metadata", "/reason" };

/* Days by severity, of each set of rules. */
static const int days_of[3][4] = { { 1, 3, 6, 0 }, { 2, 2, 9, 0 }, { 4, 1, 3, 30 } };

static unsigned pick(struct life *life, unsigned n)
{
    return (unsigned)(oracle_random(&life->random) % n);
}

static void trace(struct life *life, const char *fmt, ...) TL_PRINTF(2, 3);

static void trace(struct life *life, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    size_t room = TRACE_SIZE - life->trace_len;
    int len = vsnprintf(life->trace + life->trace_len, room, fmt, args);
    va_end(args);
    life->trace_len += len > 0 && (size_t)len < room ? (size_t)len : 0;
}

static bool complain(const struct life *life, const char *what, const char *why)
{
    (void)fprintf(stderr, "%s\n%s: %s\nthe ledger: %s\n", life->trace, what, why, life->path);
    return false;
}

static bool check(const struct life *life, const char *what, tally_status status,
                  const struct tally_error *error)
{
    char why[400];
    (void)snprintf(why, sizeof(why), "%s: %s", tally_status_name(status), error->message);
    return status == TALLY_OK || complain(life, what, why);
}

static struct tally_options options_of(const struct life *life)
{
    static struct tally_setting settings[5];
    static char values[4][16];
    for (size_t i = 0; i < 4; i++) {
        static char names[4][48];
        (void)snprintf(names[i], sizeof(names[i]), "retention.by_severity.%s", severities[i]);
        (void)snprintf(values[i], sizeof(values[i]), "%d", days_of[life->rules][i]);
        settings[i] = (struct tally_setting){ names[i], values[i], "test" };
    }
    settings[4] = (struct tally_setting){ "epoch.seconds", "86400", "test" };
    struct tally_options options = TALLY_OPTIONS_INIT;
    options.uri = life->path;
    options.settings = settings;
    options.setting_count = TL_ARRAY_LEN(settings);
    options.writable = 1;
    options.accept_clock = 1;
    return options;
}

static bool open_ledger(struct life *life)
{
    struct tally_options options = options_of(life);
    struct tally_error error = TALLY_ERROR_INIT;
    return check(life, "open", tally_open(&life->ledger, &options, &error), &error);
}

static void close_ledger(struct life *life)
{
    tally_close(life->ledger);
    life->ledger = NULL;
}

static uint32_t day_after(int64_t us)
{
    return (uint32_t)((us + DAY_US - 1) / DAY_US);
}

static uint32_t until_of(const struct life *life, int64_t time_us, unsigned severity)
{
    int days = days_of[life->rules][severity];
    return days <= 0 ? FOREVER : day_after(time_us) + (uint32_t)days;
}

static bool is_held(const struct model *model, uint64_t seq)
{
    for (size_t h = 0; h < model->hold_count; h++) {
        const struct hold *hold = &model->holds[h];
        for (size_t r = 0; hold->active && r < hold->count; r++) {
            if (seq >= hold->ranges[r].first && seq <= hold->ranges[r].last) {
                return true;
            }
        }
    }
    return false;
}

/* Today, as a purge will see it; or more, if an epoch is closed before it begins. */
static bool today_of(struct life *life, uint32_t *today_out)
{
    struct tally_info info;
    struct tally_error error = TALLY_ERROR_INIT;
    if (!check(life, "info", tally_info(life->ledger, &info, &error), &error)) {
        return false;
    }
    uint32_t now = (uint32_t)(tl_clock->wall_us() / DAY_US);
    uint32_t bound = (uint32_t)(info.newest_us / DAY_US) + 1;
    *today_out = now < bound ? now : bound;
    return true;
}

static bool is_due(const struct life *life, const struct record *record, uint32_t today)
{
    uint32_t now = until_of(life, record->time_us, record->severity);
    return (record->gone & WHOLE) == 0 && record->until <= today && now <= today;
}

/* -- looking ----------------------------------------------------------------------------------- */

static bool check_text(const struct life *life, const struct record *record,
                       const struct tally_item *item)
{
    static const char *const texts[] = { "\"name\":\"Name of ", "\"metadata\":", "\"reason\":" };
    for (unsigned m = 0; m < TL_ARRAY_LEN(texts); m++) {
        bool want = (record->gone & (1u << m)) == 0;
        bool there = memmem(item->event, item->event_len, texts[m], strlen(texts[m])) != NULL;
        if (there != want) {
            return complain(life, "a member is there, or gone, against the model", texts[m]);
        }
    }
    return true;
}

static bool check_record(const struct life *life, const struct record *record)
{
    struct tally_page *page = NULL;
    struct tally_error error = TALLY_ERROR_INIT;
    if (!check(life, "get", tally_get_by_seq(life->ledger, record->seq, &page, &error), &error)) {
        return false;
    }
    const struct tally_item *item = &page->items[0];
    bool good = true;
    char what[80];
    (void)snprintf(what, sizeof(what), "record %llu is '%s'", (unsigned long long)record->seq,
                   item->state);
    if ((record->gone & WHOLE) != 0) {
        good = item->event == NULL || complain(life, what, "its content is to be gone");
    } else if (item->event == NULL) {
        good = complain(life, what, "its content is to be there");
    } else {
        const char *want = record->gone == 0 ? "present" : "partial";
        good = (strcmp(item->state, want) == 0 || complain(life, what, want)) &&
               check_text(life, record, item);
    }
    tally_page_free(page);
    return good;
}

static bool complain_of(const struct life *life, const struct tally_finding *finding)
{
    char what[300];
    (void)snprintf(what, sizeof(what), "%s seq %llu", finding->code,
                   (unsigned long long)finding->seq);
    return complain(life, what, finding->what);
}

/* The number after `name`, or `otherwise`. */
static uint64_t number_in(const char *text, const char *name, uint64_t otherwise)
{
    uint64_t number = otherwise;
    const char *at = strstr(text, name);
    if (at != NULL) {
        at += strlen(name);
        (void)tl_parse_u64(at, strspn(at, "0123456789"), UINT64_MAX, &number);
    }
    return number;
}

/* Whether just such records are in the finding as a PURGE covers, and later rules keep. */
static bool check_incomplete(const struct life *life, const struct tally_finding *finding,
                             size_t *count)
{
    uint64_t last = number_in(finding->what, " to ", finding->seq);
    for (size_t i = 0; i < life->model.count; i++) {
        const struct record *record = &life->model.records[i];
        if (record->seq < finding->seq || record->seq > last) {
            continue;
        }
        if (!record->covered) {
            return complain_of(life, finding);
        }
        (*count)++;
    }
    return true; /* the rest are the ledger's own events */
}

static bool check_findings(const struct life *life, const struct tally_report *report)
{
    size_t want = 0;
    size_t incomplete = 0;
    for (size_t i = 0; i < life->model.count; i++) {
        const struct record *record = &life->model.records[i];
        want += record->covered && (record->gone & WHOLE) == 0 ? 1 : 0;
    }
    bool good = true;
    for (size_t i = 0; i < report->finding_count; i++) {
        const struct tally_finding *finding = &report->findings[i];
        /* In memory there is no trust file: the keys are not pinned. */
        bool unpinned = life->memory && finding->weight == TALLY_WEIGHT_UNVERIFIABLE;
        if (strcmp(finding->code, "PURGE_INCOMPLETE") == 0) {
            good = check_incomplete(life, finding, &incomplete) && good;
        } else if (finding->weight != TALLY_WEIGHT_NOTE && !unpinned &&
                   strcmp(finding->code, "RESTORED") != 0) {
            good = complain_of(life, finding);
        }
    }
    return good && (incomplete == want ||
                    complain(life, "PURGE_INCOMPLETE", "of fewer records than the model says"));
}

static bool check_verified(const struct life *life)
{
    struct tally_verify_options options = TALLY_VERIFY_OPTIONS_INIT;
    struct tally_report *report = NULL;
    struct tally_error error = TALLY_ERROR_INIT;
    if (!check(life, "verify", tally_verify(life->ledger, &options, &report, &error), &error)) {
        return false;
    }
    bool good = life->memory || report->verdict == TALLY_VERDICT_VERIFIED ||
                complain(life, "verdict", tally_verdict_name(report->verdict));
    good = check_findings(life, report) && good;
    tally_report_free(report);
    return good;
}

/* What a PURGE record covers, who ever had it sealed. It may be more than what went. */
static void take_purge(struct model *model, const char *line)
{
    uint64_t before_seq = number_in(line, "\"before_seq\":", 0);
    uint64_t cutoff_day = number_in(line, "\"cutoff_day\":", 0);
    for (size_t i = 0; i < model->count; i++) {
        struct record *record = &model->records[i];
        bool is_over = record->seq < before_seq && record->until <= cutoff_day;
        record->covered = record->covered || (is_over && !is_held(model, record->seq));
    }
}

/* Finds the next record of a kind, and moves *at behind it. *page_out is NULL after the last. */
static bool find_next(const struct life *life, const char *kind, uint64_t *at,
                      struct tally_page **page_out)
{
    struct tally_info info;
    struct tally_error error = TALLY_ERROR_INIT;
    bool good = check(life, "info", tally_info(life->ledger, &info, &error), &error);
    for (*page_out = NULL; good && *page_out == NULL && *at < info.size; (*at)++) {
        good = check(life, "get", tally_get_by_seq(life->ledger, *at, page_out, &error), &error);
        if (good && strcmp((*page_out)->items[0].kind, kind) != 0) {
            tally_page_free(*page_out);
            *page_out = NULL;
        }
    }
    return good;
}

/* Takes in the PURGE records that are new, as long as holds are what they were. */
static bool take_purges(struct life *life)
{
    for (;;) {
        struct tally_page *page = NULL;
        if (!find_next(life, "purge", &life->model.seen, &page)) {
            return false;
        }
        if (page == NULL) {
            return true;
        }
        take_purge(&life->model, page->items[0].line);
        tally_page_free(page);
    }
}

static bool check_all(struct life *life)
{
    if (!take_purges(life)) {
        return false;
    }
    for (size_t i = 0; i < life->model.count; i++) {
        if (!check_record(life, &life->model.records[i])) {
            return false;
        }
    }
    return check_verified(life);
}

/* -- acts -------------------------------------------------------------------------------------- */

static bool do_append(struct life *life)
{
    unsigned count = 1 + pick(life, 8);
    trace(life, "append %u\n", count);
    for (unsigned i = 0; i < count && life->model.count < RECORDS_MAX; i++) {
        struct record record = { .severity = pick(life, 4), .actor = pick(life, 5) };
        char text[400];
        int len =
            snprintf(text, sizeof(text),
                     "{\"id\":\"e%u\",\"action\":\"test.life\",\"severity\":\"%s\",\"actor\":{"
                     "\"type\":\"user\",\"id\":\"u%u\",\"name\":\"Name of %u\"},"
                     "\"metadata\":{\"n\":%u},\"reason\":\"why %u\"}",
                     life->events, severities[record.severity], record.actor, record.actor,
                     life->events, life->events);
        struct tally_receipt receipt;
        struct tally_error error = TALLY_ERROR_INIT;
        if (!check(life, "append", tally_append(life->ledger, text, (size_t)len, &receipt, &error),
                   &error)) {
            return false;
        }
        life->events++;
        record.seq = receipt.seq;
        record.time_us = receipt.recorded_us;
        record.until = until_of(life, receipt.recorded_us, record.severity);
        life->model.records[life->model.count++] = record;
    }
    return true;
}

static bool do_pass(struct life *life)
{
    int64_t hours = 1 + (int64_t)pick(life, 60);
    trace(life, "pass %lld hours\n", (long long)hours);
    fake_clock_pass(hours * FAKE_HOUR);
    return true;
}

static const struct tally_actor alice = { .by = "alice", .reason = "a test" };

static bool do_hold(struct life *life)
{
    struct model *model = &life->model;
    if (model->hold_count == HOLDS_MAX || model->count == 0) {
        return true;
    }
    struct hold *hold = &model->holds[model->hold_count];
    *hold = (struct hold){ .active = true };
    (void)snprintf(hold->id, sizeof(hold->id), "case-%zu-%u", model->hold_count, life->incarnation);
    uint64_t at = 0;
    unsigned ranges = 1 + pick(life, RANGES_MAX);
    uint64_t end = model->records[model->count - 1].seq;
    for (unsigned i = 0; i < ranges && at <= end; i++) {
        uint64_t first = at + pick(life, 10);
        uint64_t last = first + pick(life, 6);
        if (last > end) {
            break;
        }
        hold->ranges[hold->count++] = (struct tally_range){ first, last };
        trace(life, "hold %s %llu-%llu\n", hold->id, (unsigned long long)first,
              (unsigned long long)last);
        at = last + 2;
    }
    if (hold->count == 0) {
        return true;
    }
    struct tally_selection selection = { .ranges = hold->ranges, .range_count = hold->count };
    struct tally_held held;
    struct tally_error error = TALLY_ERROR_INIT;
    model->hold_count++;
    return check(
        life, "hold",
        tally_hold_add(life->ledger, hold->id, &selection, 0, 0, &alice, &held, NULL, &error),
        &error);
}

static bool do_release(struct life *life)
{
    struct model *model = &life->model;
    if (model->hold_count == 0) {
        return true;
    }
    struct hold *hold = &model->holds[pick(life, (unsigned)model->hold_count)];
    struct tally_error error = TALLY_ERROR_INIT;
    trace(life, "release %s\n", hold->id);
    tally_status status = tally_hold_release(life->ledger, hold->id, &alice, NULL, &error);
    if (!hold->active) {
        return status == TALLY_ECONFLICT ||
               complain(life, "release", "of a hold that was released");
    }
    hold->active = false;
    return check(life, "release", status, &error);
}

/* What a purge does to the model; returns how many go. */
static uint64_t purge_model(struct life *life, uint32_t today)
{
    uint64_t count = 0;
    for (size_t i = 0; i < life->model.count; i++) {
        struct record *record = &life->model.records[i];
        if (is_due(life, record, today) && !is_held(&life->model, record->seq)) {
            record->gone |= WHOLE;
            count++;
        }
    }
    return count;
}

static bool run_purge(struct life *life, struct tally_purged *purged)
{
    struct tally_purge_options options = TALLY_PURGE_OPTIONS_INIT;
    struct tally_error error = TALLY_ERROR_INIT;
    return check(life, "purge", tally_purge(life->ledger, &options, &alice, purged, NULL, &error),
                 &error);
}

/* After a crash some of it is done already. The ledger's own events are of low severity, and go as
 * well; so it is never exactly as many as the model says. */
static bool do_purge(struct life *life)
{
    struct tally_purged purged;
    uint32_t today = 0;
    trace(life, "purge\n");
    if (!today_of(life, &today) || !run_purge(life, &purged)) {
        return false;
    }
    if (purged.cutoff_day < today || purged.cutoff_day > tl_clock->wall_us() / DAY_US) {
        return complain(life, "purge", "of another day than the model says");
    }
    uint64_t want = purge_model(life, purged.cutoff_day);
    return life->crashed || purged.purged >= want ||
           complain(life, "purge", "fewer records went than the model says");
}

/* What erasing does to one record of the model. */
static void erase_model(struct life *life, struct record *record, unsigned what)
{
    bool goes = !life->nothing_started && !is_held(&life->model, record->seq);
    if (goes && (record->gone & WHOLE) == 0) {
        record->gone |= what;
    }
}

/* An erasure that names nothing finishes what one before began, if that was sealed. */
static bool finish_erase(struct life *life)
{
    struct tally_erase_options options = TALLY_ERASE_OPTIONS_INIT;
    options.id = "nobody";
    struct tally_erased erased;
    struct tally_page *page = NULL;
    struct tally_error error = TALLY_ERROR_INIT;
    trace(life, "no: only finish what was begun\n");
    uint64_t at = life->model.seen; /* what is newer was not there before the crash */
    if (tally_erase(life->ledger, &options, &alice, &erased, NULL, &error) != TALLY_ENOTFOUND) {
        return complain(life, "erase of nobody", error.message);
    }
    if (!find_next(life, "erase", &at, &page)) {
        return false;
    }
    life->nothing_started = page == NULL;
    tally_page_free(page);
    return true;
}

static bool run_erase(struct life *life, const char *id, const char *subject, unsigned what)
{
    if (life->only_finish) {
        return finish_erase(life);
    }
    const char *members[3];
    struct tally_erase_options options = TALLY_ERASE_OPTIONS_INIT;
    options.id = id;
    options.subject = subject;
    for (unsigned m = 0; what != WHOLE && m < TL_ARRAY_LEN(pointers); m++) {
        if ((what & (1u << m)) != 0) {
            members[options.member_count++] = pointers[m];
        }
    }
    options.members = members;
    struct tally_erased erased;
    struct tally_error error = TALLY_ERROR_INIT;
    tally_status status = tally_erase(life->ledger, &options, &alice, &erased, NULL, &error);
    /* Nothing to do, or all of it on hold, is an answer as well. */
    return status == TALLY_ENOTFOUND || status == TALLY_EDENIED ||
           check(life, "erase", status, &error);
}

/* Chooses what to erase, erases it with `run`, and changes the model. */
static bool do_erase(struct life *life)
{
    struct model *model = &life->model;
    if (model->count == 0) {
        return true;
    }
    unsigned what = pick(life, 3) == 0 ? (unsigned)WHOLE : 1 + pick(life, ALL_MEMBERS);
    char name[32];
    if (pick(life, 3) == 0) {
        unsigned actor = pick(life, 5);
        (void)snprintf(name, sizeof(name), "actor:u%u", actor);
        trace(life, "erase %s %u\n", name, what);
        if (!run_erase(life, NULL, name, what)) {
            return false;
        }
        for (size_t i = 0; i < model->count; i++) {
            if (model->records[i].actor == actor) {
                erase_model(life, &model->records[i], what);
            }
        }
        return true;
    }
    size_t n = pick(life, (unsigned)model->count);
    struct tally_page *page = NULL;
    struct record *record = &model->records[n];
    if ((record->gone & WHOLE) != 0 ||
        tally_get_by_seq(life->ledger, record->seq, &page, NULL) != TALLY_OK) {
        return true;
    }
    (void)snprintf(name, sizeof(name), "%s", page->items[0].id);
    tally_page_free(page);
    trace(life, "erase %s (seq %llu) %u\n", name, (unsigned long long)record->seq, what);
    if (!run_erase(life, name, NULL, what)) {
        return false;
    }
    erase_model(life, record, what);
    return true;
}

static bool do_rotate(struct life *life)
{
    struct tally_rotated rotated;
    struct tally_error error = TALLY_ERROR_INIT;
    int mac = (int)pick(life, 2);
    trace(life, "rotate %d\n", mac);
    return check(life, "rotate",
                 tally_keys_rotate(life->ledger, mac, &alice, &rotated, NULL, &error), &error);
}

static bool do_epoch(struct life *life)
{
    struct tally_epoch epoch;
    struct tally_error error = TALLY_ERROR_INIT;
    trace(life, "epoch\n");
    return check(life, "epoch", tally_epoch_close(life->ledger, &epoch, &error), &error);
}

static bool do_reopen(struct life *life)
{
    if (life->memory) {
        return true;
    }
    close_ledger(life);
    life->rules = pick(life, 3);
    trace(life, "open with rules %u\n", life->rules);
    return open_ledger(life);
}

/* Backs up, goes on, loses everything, and starts again from the backup. */
static bool do_restore(struct life *life)
{
    if (life->memory || life->incarnation == 2) {
        return true;
    }
    char backup[LIFE_PATH_SIZE + 32];
    (void)snprintf(backup, sizeof(backup), "%s/backup%u", life->dir, life->incarnation);
    trace(life, "backup\n");
    struct tally_backup_result result;
    struct tally_error error = TALLY_ERROR_INIT;
    struct model *before = tl_alloc_array(1, sizeof(*before));
    if (before == NULL ||
        !check(life, "backup",
               tally_backup(life->ledger, backup, &alice, NULL, NULL, &result, &error), &error)) {
        tl_free(before);
        return false;
    }
    *before = life->model;
    bool good = do_append(life) && do_purge(life) && do_erase(life);
    close_ledger(life);
    life->incarnation++;
    (void)snprintf(life->path, sizeof(life->path), "%s/ledger%u", life->dir, life->incarnation);
    trace(life, "restore\n");
    struct tally_restore_options options = TALLY_RESTORE_OPTIONS_INIT;
    struct tally_restored restored;
    good =
        good &&
        check(life, "restore",
              tally_restore(backup, life->path, &options, &alice, &restored, NULL, &error), &error);
    life->model = *before;
    tl_free(before);
    return good && open_ledger(life);
}

typedef bool act_fn(struct life *life);

/* Does one of three acts, with the same choices each time. */
static bool act_by(struct life *life, unsigned act, uint64_t chance)
{
    uint64_t own = life->random;
    life->random = chance;
    bool good = act == 0 ? do_purge(life) : act == 1 ? do_erase(life) : do_rotate(life);
    life->random = own;
    return good;
}

/*
 * Somebody else begins an act, and is killed at any moment; then we do it, at once or after another
 * that finds it half done.
 */
static bool do_crash(struct life *life)
{
    static act_fn *const between[] = { do_rotate, do_epoch, do_restore };
    if (life->memory) {
        return true;
    }
    unsigned act = pick(life, 3);
    unsigned after_us = pick(life, 1u << (8 + pick(life, 11)));
    unsigned other = pick(life, 2 * TL_ARRAY_LEN(between));
    bool only_finish = pick(life, 2) == 0;
    uint64_t chance = oracle_random(&life->random);
    trace(life, "killed after %u us, in act %u\n", after_us, act);
    life->crashed = true;
    close_ledger(life);
    pid_t pid = fork();
    if (pid == 0) {
        _exit(open_ledger(life) && act_by(life, act, chance) ? 0 : 1);
    }
    (void)usleep(after_us);
    (void)kill(pid, SIGKILL);
    int status = 0;
    if (waitpid(pid, &status, 0) != pid || (WIFEXITED(status) && WEXITSTATUS(status) != 0)) {
        return complain(life, "crash", "the one who was to be killed failed before");
    }
    if (!open_ledger(life) || (other < TL_ARRAY_LEN(between) && !between[other](life))) {
        return false;
    }
    life->only_finish = only_finish;
    bool good = act_by(life, act, chance);
    life->only_finish = false;
    life->nothing_started = false;
    life->crashed = false;
    return good;
}

static act_fn *choose(struct life *life)
{
    static act_fn *const acts[] = { do_append, do_append, do_append, do_append, do_pass,
                                    do_pass,   do_pass,   do_hold,   do_hold,   do_release,
                                    do_purge,  do_purge,  do_erase,  do_erase,  do_erase,
                                    do_rotate, do_epoch,  do_reopen, do_crash,  do_restore };
    return acts[pick(life, TL_ARRAY_LEN(acts))];
}

static bool begin(struct life *life)
{
    if (life->memory) {
        (void)snprintf(life->path, sizeof(life->path), "memory:100000");
        return open_ledger(life);
    }
    (void)snprintf(life->path, sizeof(life->path), "%s/ledger0", life->dir);
    struct tally_init_result made;
    struct tally_options options = options_of(life);
    struct tally_error error = TALLY_ERROR_INIT;
    return check(life, "init", tally_init(&options, NULL, &made, &error), &error) &&
           open_ledger(life);
}

static bool live(uint64_t seed, const char *dir, bool memory)
{
    struct life *life = tl_alloc_array(1, sizeof(*life));
    if (life == NULL) {
        return false;
    }
    life->random = seed;
    life->memory = memory;
    (void)snprintf(life->dir, sizeof(life->dir), "%s", dir);
    trace(life, "seed %llu\n", (unsigned long long)seed);
    fake_clock_use();
    fake_clock_synchronise(true);
    bool good = begin(life) && do_append(life);
    unsigned acts = 3 + pick(life, ACTS);
    for (unsigned i = 0; good && i < acts; i++) {
        good = choose(life)(life) && check_all(life);
    }
    tally_close(life->ledger);
    tl_free(life);
    return good;
}

/* Each round in a process of its own: a ledger that was open before fork() cannot be opened after. */
static bool run_round(uint64_t seed, const char *dir, bool memory)
{
    int status = 0;
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        (void)alarm(120);
        _exit(live(seed, dir, memory) ? 0 : 1);
    }
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        return 64;
    }
    unsigned long rounds = strtoul(argv[1], NULL, 10); /* check_tree: ok, a test's own argument */
    unsigned long seed = strtoul(argv[2], NULL, 10);   /* check_tree: ok, likewise */
    unsigned long failures = 0;
    unsigned long done = 0;
    for (; done < rounds && failures < 3; done++) {
        char dir[] = "/dev/shm/tally-life.XXXXXX";
        if (mkdtemp(dir) == NULL) {
            return 70;
        }
        if (run_round(seed * 1000003 + done, dir, done % 3 == 2)) {
            tl_remove_tree(dir);
        } else {
            failures++;
        }
    }
    (void)printf("{\"test\":\"life\",\"rounds\":%lu,\"seed\":%lu,\"failures\":%lu}\n", done, seed,
                 failures);
    return failures == 0 ? 0 : 1;
}
