#include "support/logs.h"

#include <dirent.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "codec/time.h"

int64_t logs_now_ms(void)
{
    struct timespec now;
    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &now), 0);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void logs_pause(void)
{
    const struct timespec pause = { .tv_nsec = 1000000 };
    (void)nanosleep(&pause, NULL);
}

struct tally_options logs_options(const struct site *site)
{
    struct tally_options options = TALLY_OPTIONS_INIT;
    options.uri = site->dir;
    options.settings = site->settings;
    options.setting_count = site->setting_count;
    options.writable = 1;
    options.accept_clock = site->accept_clock;
    options.unattended = 1;
    return options;
}

struct tally_ledger *logs_open(const struct site *site)
{
    struct tally_options options = logs_options(site);
    struct tally_ledger *ledger = NULL;
    check_ok(tally_open(&ledger, &options, NULL));
    return ledger;
}

struct tally_logger *logs_logger(struct tally_ledger *ledger,
                                 const struct tally_logger_options *options)
{
    struct tally_logger *logger = NULL;
    check_ok(tally_logger_open(&logger, ledger, options, NULL));
    return logger;
}

tally_status logs_put(struct tally_logger *logger, const char *id, const char *action, unsigned n,
                      const struct tally_log_options *options, struct tally_receipt *receipt_out)
{
    char text[512];
    int len = snprintf(text, sizeof(text),
                       "{\"id\":\"%s\",\"action\":\"%s\","
                       "\"occurred_at\":\"2026-01-01T00:00:00Z\",\"metadata\":{\"n\":%u}}",
                       id, action, n);
    assert_true(len > 0 && (size_t)len < sizeof(text));
    return tally_log_text(logger, text, (size_t)len, options, receipt_out, NULL);
}

tally_status logs_one(struct tally_logger *logger, const char *id, unsigned n)
{
    return logs_put(logger, id, "test.event", n, NULL, NULL);
}

struct tally_log_counters logs_counts(struct tally_logger *logger)
{
    struct tally_log_counters counters = { .struct_size = sizeof(counters) };
    tally_logger_count(logger, &counters);
    return counters;
}

struct tally_log_counters logs_check_balance(struct tally_logger *logger)
{
    struct tally_log_counters counts = logs_counts(logger);
    assert_int_equal(counts.logged,
                     counts.accepted + counts.disabled + counts.refused + counts.lost);
    assert_true(counts.unlisted <= counts.disabled && counts.late <= counts.accepted);
    return counts;
}

void logs_flush(struct tally_logger *logger)
{
    struct tally_left left = { .struct_size = sizeof(left) };
    struct tally_error error = TALLY_ERROR_INIT;
    tally_status status = tally_flush(logger, TALLY_LEVEL_RECORDED, LOGS_SOON_MS, &left, &error);
    if (status != TALLY_OK) {
        print_error("%s; %llu left, %llu lost\n", error.message, (unsigned long long)left.events,
                    (unsigned long long)left.lost);
    }
    check_ok(status);
    check_ok(error.status);
    assert_int_equal(left.events + left.unsynced + left.lost, 0);
}

/* What stands behind "name": in a line of JSON. */
static const char *member_of(const char *line, const char *name)
{
    char wanted[32];
    (void)snprintf(wanted, sizeof(wanted), "\"%s\":", name);
    const char *at = strstr(line, wanted);
    assert_non_null(at);
    return at + strlen(wanted);
}

static uint64_t number_of(const char *line, const char *name)
{
    uint64_t value = 0;
    for (const char *at = member_of(line, name); *at >= '0' && *at <= '9'; at++) {
        value = 10 * value + (uint64_t)(*at - '0');
    }
    return value;
}

static int64_t time_of(const char *line, const char *name)
{
    const char *text = member_of(line, name);
    int64_t us = 0;
    assert_int_equal(text[0], '"');
    check_ok(tl_time_parse(&us, (struct tl_str){ text + 1, strcspn(text + 1, "\"") }));
    return us;
}

struct logs_gaps logs_gaps_of(struct tally_ledger *ledger, const char *reason)
{
    const struct tally_condition condition = { "kind", "gap" };
    struct tally_query query = TALLY_QUERY_INIT;
    query.conditions = &condition;
    query.condition_count = 1;
    query.limit = 1000;
    struct tally_page *page = NULL;
    struct logs_gaps gaps = { .exact = true };
    char wanted[128];
    (void)snprintf(wanted, sizeof(wanted), "\"reason\":\"%s\"", reason == NULL ? "" : reason);
    check_ok(tally_find(ledger, &query, &page, NULL));
    for (size_t i = page->count; i-- > 0;) {
        const char *line = page->items[i].line;
        if (reason != NULL && strstr(line, wanted) == NULL) {
            continue;
        }
        gaps.records++;
        gaps.events += number_of(line, "count");
        gaps.exact = gaps.exact && strstr(line, "\"exact\":true") != NULL;
        gaps.from_us = time_of(line, "from");
        gaps.to_us = time_of(line, "to");
    }
    tally_page_free(page);
    return gaps;
}

uint64_t logs_count_action(struct tally_ledger *ledger, const char *action, char *text_out,
                           size_t size)
{
    const struct tally_condition condition = { "action", action };
    struct tally_query query = TALLY_QUERY_INIT;
    query.conditions = &condition;
    query.condition_count = 1;
    query.limit = 1;
    query.count = TALLY_COUNT_EXACT;
    struct tally_page *page = NULL;
    check_ok(tally_find(ledger, &query, &page, NULL));
    uint64_t total = page->total;
    if (text_out != NULL) {
        assert_true(page->count > 0 && page->items[0].event_len < size);
        memcpy(text_out, page->items[0].event, page->items[0].event_len);
        text_out[page->items[0].event_len] = '\0';
    }
    tally_page_free(page);
    return total;
}

unsigned logs_spool_files(const struct site *site, const char *suffix)
{
    char path[SITE_PATH_SIZE];
    unsigned count = 0;
    check_path(path, sizeof(path), site->dir, "spool");
    DIR *dir = opendir(path);
    assert_non_null(dir);
    struct dirent *entry = NULL;
    while ((entry = readdir(dir)) != NULL) {
        size_t len = strlen(entry->d_name);
        size_t end = strlen(suffix);
        count += len > end && strcmp(entry->d_name + len - end, suffix) == 0;
    }
    assert_int_equal(closedir(dir), 0);
    return count;
}

static void rename_in(const struct site *site, const char *from, const char *to)
{
    char old[SITE_PATH_SIZE];
    char new[SITE_PATH_SIZE];
    check_path(old, sizeof(old), site->dir, from);
    check_path(new, sizeof(new), site->dir, to);
    assert_int_equal(rename(old, new), 0);
}

void logs_hide_store(const struct site *site)
{
    rename_in(site, "ledger.db", "ledger.away");
}

void logs_show_store(const struct site *site)
{
    rename_in(site, "ledger.away", "ledger.db");
}
