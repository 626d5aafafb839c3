/* What is erased is in no file of the ledger any more, and the rest goes on verifying. */
#include <tally/tally.h>

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/io.h"
#include "check.h"
#include "support/site.h"

#define FILE_MAX ((size_t)256 << 20)

static const struct tally_actor dpo = { .by = "dpo", .reason = "GDPR 17", .ticket = "DSR-9" };

/* ------------------------------------------------------------------------------------------- */

static size_t grep_file(const char *path, const char *value)
{
    char *data = NULL;
    size_t len = 0;
    check_ok(tl_io_read_file(path, FILE_MAX, &data, &len, NULL));
    size_t count = 0;
    const char *at = data;
    while ((at = memmem(at, len - (size_t)(at - data), value, strlen(value))) != NULL) {
        count++;
        at++;
    }
    tl_free(data);
    return count;
}

/* How often the value is in the files below `dir`. */
static size_t grep(const char *dir, const char *value)
{
    size_t count = 0;
    DIR *entries = opendir(dir);
    assert_non_null(entries);
    for (struct dirent *entry = readdir(entries); entry != NULL; entry = readdir(entries)) {
        char path[SITE_PATH_SIZE];
        struct stat st;
        if (entry->d_name[0] == '.') {
            continue;
        }
        check_path(path, sizeof(path), dir, entry->d_name);
        assert_int_equal(stat(path, &st), 0);
        size_t found = S_ISDIR(st.st_mode) ? grep(path, value) : grep_file(path, value);
        if (found > 0 && !S_ISDIR(st.st_mode)) {
            print_message("%s: %zu of '%.20s'\n", path, found, value);
        }
        count += found;
    }
    assert_int_equal(closedir(entries), 0);
    return count;
}

static void append(struct tally_ledger *ledger, const char *quoted)
{
    struct tally_error error = TALLY_ERROR_INIT;
    size_t size = strlen(quoted) + 1;
    char *text = tl_alloc_array(size, 1);
    assert_non_null(text);
    site_unquote(text, size, quoted);
    tally_status status = tally_append(ledger, text, size - 1, NULL, &error);
    if (status != TALLY_OK) {
        print_error("%s\n", error.message);
    }
    check_ok(status);
    tl_free(text);
}

/* The item of an id; the page is freed with tally_page_free(). */
static struct tally_page *get(struct tally_ledger *ledger, const char *id)
{
    struct tally_page *page = NULL;
    check_ok(tally_get_by_id(ledger, id, &page, NULL));
    assert_int_equal(page->count, 1);
    return page;
}

static void expect_state(struct tally_ledger *ledger, const char *id, const char *state)
{
    struct tally_page *page = get(ledger, id);
    assert_string_equal(page->items[0].state, state);
    tally_page_free(page);
}

static uint64_t count_where(struct tally_ledger *ledger, const char *field, const char *value)
{
    const struct tally_condition condition = { field, value };
    struct tally_query query = TALLY_QUERY_INIT;
    query.conditions = &condition;
    query.condition_count = 1;
    uint64_t count = 0;
    int exact = 0;
    check_ok(tally_count(ledger, &query, &count, &exact, NULL));
    return count;
}

static struct tally_erase_options by_id(const char *id, const char *const *members, size_t count)
{
    struct tally_erase_options options = TALLY_ERASE_OPTIONS_INIT;
    options.id = id;
    options.members = members;
    options.member_count = count;
    return options;
}

static struct tally_erased erase(struct tally_ledger *ledger,
                                 const struct tally_erase_options *options)
{
    struct tally_error error = TALLY_ERROR_INIT;
    struct tally_erased erased = { .seq = 0 };
    tally_status status = tally_erase(ledger, options, &dpo, &erased, NULL, &error);
    if (status != TALLY_OK) {
        print_error("%s\n", error.message);
    }
    check_ok(status);
    return erased;
}

/* A ledger with one record that has a value in every kind of member. */
#define SHORT  "Zq7"
#define NAME   "Quibblethwaite \xf0\x9f\x90\xa7\xf0\x9d\x94\x98"
#define NUMBER "8675309.25"
#define FULL                                                                                     \
    "{'id':'full','action':'user.update','actor':{'id':'u-41','name':'" NAME "','type':'user'}," \
    "'targets':[{'id':'t-17','type':'doc'}],'metadata':{'n':" NUMBER ",'s':'" SHORT "'},"        \
    "'reason':'because of Xylophonic','source':{'ip':'203.0.113.77','service':'web'},"           \
    "'occurred_at':'2026-01-01T00:00:00Z'}"

static void whole_records_are_gone(void **state)
{
    struct site site;
    site_init(&site, *state, NULL, 0);
    struct tally_ledger *ledger = site_open(&site);
    (void)site_append(ledger, "before", 1);
    append(ledger, FULL);
    (void)site_append(ledger, "after", 2);
    const struct tally_erase_options options = by_id("full", NULL, 0);
    struct tally_erased erased = erase(ledger, &options);
    assert_int_equal(erased.matched, 1);
    assert_int_equal(erased.erased, 1);
    assert_int_equal(erased.acts, 1);
    assert_int_equal(erased.seq, 5);
    (void)site_verify_open(ledger, &site);
    assert_int_equal(count_where(ledger, "actor_id", "u-41"), 0);
    assert_int_equal(site_count(ledger), 3);
    tally_close(ledger);
    (void)site_verify(&site);
    assert_int_equal(grep(site.dir, "Quibblethwaite"), 0);
    assert_int_equal(grep(site.dir, "\xf0\x9f\x90\xa7"), 0);
    assert_int_equal(grep(site.dir, NUMBER), 0);
    assert_int_equal(grep(site.dir, SHORT), 0);
    assert_int_equal(grep(site.dir, "u-41"), 0);
    assert_int_equal(grep(site.dir, "t-17"), 0);
    assert_int_equal(grep(site.dir, "xylophonic"), 0);
    assert_int_equal(grep(site.dir, "203.0.113.77"), 0);
}

static void members_go_one_after_the_other(void **state)
{
    struct site site;
    site_init(&site, *state, NULL, 0);
    struct tally_ledger *ledger = site_open(&site);
    append(ledger, FULL);
    static const char *const name[] = { "/actor/name" };
    static const char *const two[] = { "/reason", "/metadata" };
    static const char *const rest[] = { "/source/ip", "/targets", "/metadata", "/old_values" };
    struct tally_erase_options options = by_id("full", name, 1);
    struct tally_erased erased = erase(ledger, &options);
    assert_int_equal(erased.members, 1);
    expect_state(ledger, "full", "partial");
    (void)site_verify_open(ledger, &site);
    assert_int_equal(count_where(ledger, "actor_id", "u-41"), 1);
    assert_int_equal(count_where(ledger, "target_id", "t-17"), 1);
    assert_int_equal(count_where(ledger, "actor_name", NAME), 0);
    assert_int_equal(count_where(ledger, "state", "partial"), 1);

    options = by_id("full", two, 2);
    erased = erase(ledger, &options);
    assert_int_equal(erased.members, 2);
    (void)site_verify_open(ledger, &site);
    assert_int_equal(count_where(ledger, "text", "xylophonic"), 0);

    options = by_id("full", two, 2); /* once more: nothing is left of them */
    erased = erase(ledger, &options);
    assert_int_equal(erased.gone, 1);
    assert_int_equal(erased.erased, 0);
    assert_int_equal(erased.seq, TALLY_SEQ_NONE);

    options = by_id("full", rest, 4);
    erased = erase(ledger, &options);
    assert_int_equal(erased.members, 2);
    assert_int_equal(count_where(ledger, "target_id", "t-17"), 0);
    (void)site_verify_open(ledger, &site);
    struct tally_page *page = get(ledger, "full");
    assert_string_equal(page->items[0].state, "partial");
    assert_null(memmem(page->items[0].event, page->items[0].event_len, "targets", 7));
    tally_page_free(page);
    assert_int_equal(count_where(ledger, "action", "user.update"), 1);
    tally_close(ledger);
    assert_int_equal(grep(site.dir, "Quibblethwaite"), 0);
    assert_int_equal(grep(site.dir, "xylophonic"), 0);
    assert_int_equal(grep(site.dir, NUMBER), 0);
    assert_int_equal(grep(site.dir, "203.0.113.77"), 0);
    assert_true(grep(site.dir, "u-41") > 0);

    ledger = site_open(&site);
    options = by_id("full", NULL, 0);
    erased = erase(ledger, &options);
    assert_int_equal(erased.erased, 1);
    (void)site_verify_open(ledger, &site);
    tally_close(ledger);
    (void)site_verify(&site);
    assert_int_equal(grep(site.dir, "u-41"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(whole_records_are_gone, check_mkdir, check_rmdir),
        cmocka_unit_test_setup_teardown(members_go_one_after_the_other, check_mkdir, check_rmdir),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
