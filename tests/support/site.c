#include "support/site.h"

#include <dirent.h>
#include <string.h>
#include <sys/stat.h>

#include "check.h"

#define TEXT_SIZE 4096u

static struct tally_options options_of(const struct site *site, int writable)
{
    struct tally_options options = TALLY_OPTIONS_INIT;
    options.uri = site->dir;
    options.settings = site->settings;
    options.setting_count = site->setting_count;
    options.writable = writable;
    options.accept_clock = site->accept_clock;
    return options;
}

void site_name(struct site *site, const char *dir)
{
    *site = (struct site){ .settings = NULL };
    check_path(site->dir, sizeof(site->dir), dir, "ledger");
    check_path(site->mac_key, sizeof(site->mac_key), dir, "mac.key");
}

static void write_key(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, 0600), 0);
}

tally_status site_try_init(struct site *site, struct tally_error *err)
{
    struct tally_options options = options_of(site, 1);
    struct tally_init_result made;
    TL_TRY(tally_init(&options, "test.example/site", &made, err));
    write_key(site->mac_key, made.mac_key);
    return TALLY_OK;
}

void site_init(struct site *site, const char *dir, const struct tally_setting *settings,
               size_t setting_count)
{
    site_name(site, dir);
    site->settings = settings;
    site->setting_count = setting_count;
    check_ok(site_try_init(site, NULL));
}

tally_status site_try_open(const struct site *site, int writable, struct tally_ledger **ledger_out,
                           struct tally_error *err)
{
    struct tally_options options = options_of(site, writable);
    return tally_open(ledger_out, &options, err);
}

static struct tally_ledger *open_checked(const struct site *site, int writable)
{
    struct tally_ledger *ledger = NULL;
    struct tally_error error = TALLY_ERROR_INIT;
    tally_status status = site_try_open(site, writable, &ledger, &error);
    if (status != TALLY_OK) {
        print_error("%s\n", error.message);
    }
    check_ok(status);
    return ledger;
}

struct tally_ledger *site_open(const struct site *site)
{
    return open_checked(site, 1);
}

struct tally_ledger *site_open_read(const struct site *site)
{
    return open_checked(site, 0);
}

struct tally_ledger *site_memory(const char *uri)
{
    struct tally_options options = TALLY_OPTIONS_INIT;
    options.uri = uri;
    struct tally_ledger *ledger = NULL;
    check_ok(tally_open(&ledger, &options, NULL));
    return ledger;
}

static uint64_t check_report(struct tally_report *report)
{
    if (report->verdict != TALLY_VERDICT_VERIFIED || report->skipped != 0) {
        print_error("%s, %llu skipped: %s\n", tally_verdict_name(report->verdict),
                    (unsigned long long)report->skipped, report->skipped_why);
        for (size_t i = 0; i < report->finding_count; i++) {
            const struct tally_finding *finding = &report->findings[i];
            print_error("  %s seq %lld: %s [%s] [%s]\n", finding->code,
                        finding->has_seq != 0 ? (long long)finding->seq : -1LL, finding->what,
                        finding->expected, finding->actual);
        }
        fail();
    }
    uint64_t size = report->size;
    assert_true(size > 0);
    tally_report_free(report);
    return size;
}

uint64_t site_verify(const struct site *site)
{
    struct tally_verify_options options = TALLY_VERIFY_OPTIONS_INIT;
    struct tally_report *report = NULL;
    options.mac_key_path = site->mac_key;
    check_ok(tally_verify_at(site->dir, &options, &report, NULL));
    return check_report(report);
}

uint64_t site_verify_open(struct tally_ledger *ledger, const struct site *site)
{
    struct tally_verify_options options = TALLY_VERIFY_OPTIONS_INIT;
    struct tally_report *report = NULL;
    options.mac_key_path = site == NULL ? NULL : site->mac_key;
    check_ok(tally_verify(ledger, &options, &report, NULL));
    return check_report(report);
}

static size_t make_text(char out[TEXT_SIZE], const char *id, unsigned n)
{
    int len = snprintf(out, TEXT_SIZE,
                       "{\"id\":\"%s\",\"action\":\"test.event\","
                       "\"occurred_at\":\"2026-01-01T00:00:00Z\",\"metadata\":{\"n\":%u}}",
                       id, n);
    assert_true(len > 0 && (size_t)len < TEXT_SIZE);
    return (size_t)len;
}

struct tally_receipt site_append(struct tally_ledger *ledger, const char *id, unsigned n)
{
    char text[TEXT_SIZE];
    size_t len = make_text(text, id, n);
    struct tally_receipt receipt;
    check_ok(tally_append(ledger, text, len, &receipt, NULL));
    return receipt;
}

void site_add(struct tally_events *events, const char *id, unsigned n)
{
    char text[TEXT_SIZE];
    size_t len = make_text(text, id, n);
    check_ok(tally_events_add(events, text, len, 0, NULL));
}

void site_unquote(char *out, size_t size, const char *quoted)
{
    size_t len = strlen(quoted);
    assert_true(len < size);
    for (size_t i = 0; i <= len; i++) {
        out[i] = quoted[i];
        if (quoted[i] == '\'') {
            out[i] = '"';
        }
    }
}

void site_add_text(struct tally_events *events, const char *quoted, uint32_t flags)
{
    char text[TEXT_SIZE];
    site_unquote(text, sizeof(text), quoted);
    check_ok(tally_events_add(events, text, strlen(text), flags, NULL));
}

static uint64_t count_where(struct tally_ledger *ledger, const struct tally_condition *condition,
                            size_t condition_count)
{
    struct tally_query query = TALLY_QUERY_INIT;
    query.conditions = condition;
    query.condition_count = condition_count;
    query.count = TALLY_COUNT_EXACT;
    uint64_t count = 0;
    int exact = 0;
    check_ok(tally_count(ledger, &query, &count, &exact, NULL));
    assert_int_equal(exact, 1);
    return count;
}

uint64_t site_count(struct tally_ledger *ledger)
{
    return count_where(ledger, NULL, 0);
}

bool site_has(struct tally_ledger *ledger, const char *id)
{
    struct tally_page *page = NULL;
    tally_status status = tally_get_by_id(ledger, id, &page, NULL);
    if (status == TALLY_ENOTFOUND) {
        return false;
    }
    check_ok(status);
    assert_string_equal(page->items[0].id, id);
    tally_page_free(page);
    return true;
}

uint64_t site_count_kind(struct tally_ledger *ledger, const char *kind, char *text_out, size_t size)
{
    const struct tally_condition condition = { "kind", kind };
    struct tally_query query = TALLY_QUERY_INIT;
    query.conditions = &condition;
    query.condition_count = 1;
    query.limit = 1;
    struct tally_page *page = NULL;
    check_ok(tally_find(ledger, &query, &page, NULL));
    if (text_out != NULL && page->count > 0) {
        (void)snprintf(text_out, size, "%s", page->items[0].line);
    }
    tally_page_free(page);
    return count_where(ledger, &condition, 1);
}

static void copy_file(const char *from, const char *to)
{
    char block[8192];
    FILE *in = fopen(from, "rb");
    FILE *out = fopen(to, "wb");
    assert_true(in != NULL && out != NULL);
    size_t len = 0;
    while ((len = fread(block, 1, sizeof(block), in)) > 0) {
        assert_int_equal(fwrite(block, 1, len, out), len);
    }
    assert_int_equal(fclose(in), 0);
    assert_int_equal(fclose(out), 0);
    assert_int_equal(chmod(to, 0600), 0);
}

void site_configure(const struct site *site, const char *text)
{
    char path[SITE_PATH_SIZE];
    check_path(path, sizeof(path), site->dir, "tally.yaml");
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

void site_copy(const char *from, const char *to)
{
    assert_int_equal(mkdir(to, 0700), 0);
    DIR *dir = opendir(from);
    assert_non_null(dir);
    struct dirent *entry = NULL;
    while ((entry = readdir(dir)) != NULL) {
        char source[SITE_PATH_SIZE];
        char target[SITE_PATH_SIZE];
        struct stat st;
        if (entry->d_name[0] == '.') {
            continue;
        }
        check_path(source, sizeof(source), from, entry->d_name);
        check_path(target, sizeof(target), to, entry->d_name);
        assert_int_equal(stat(source, &st), 0);
        if (S_ISDIR(st.st_mode)) {
            site_copy(source, target);
        } else {
            copy_file(source, target);
        }
    }
    assert_int_equal(closedir(dir), 0);
}
