/* What was purged, erased or put on hold after a backup is so again in what is restored from it. */
#include <tally/tally.h>

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/io.h"
#include "check.h"
#include "ledger/remove.h"
#include "support/fake_clock.h"
#include "support/purging.h"

static const struct tally_actor dpo = { "dpo@example.com", "on request", "DSR-1", NULL };
static char backup_dir[SITE_PATH_SIZE];
static char bundle_dir[SITE_PATH_SIZE];
static char target[SITE_PATH_SIZE];
static const char *root_dir;

static uint64_t seq_of(struct tally_ledger *ledger, const char *id)
{
    struct tally_page *page = NULL;
    check_ok(tally_get_by_id(ledger, id, &page, NULL));
    uint64_t seq = page->items[0].seq;
    tally_page_free(page);
    return seq;
}

static void hold(struct tally_ledger *ledger, const char *name, uint64_t first, uint64_t last)
{
    const struct tally_range range = { first, last };
    const struct tally_selection selection = { .ranges = &range, .range_count = 1 };
    struct tally_held held;
    check_ok(tally_hold_add(ledger, name, &selection, 0, 0, &dpo, &held, NULL, NULL));
}

static void erase(struct tally_ledger *ledger, const char *id, const char *member)
{
    struct tally_erase_options options = TALLY_ERASE_OPTIONS_INIT;
    struct tally_erased erased;
    options.id = id;
    options.members = &member;
    options.member_count = member == NULL ? 0 : 1;
    check_ok(tally_erase(ledger, &options, &dpo, &erased, NULL, NULL));
    assert_int_equal(erased.erased, 1);
}

static void write_bundle(struct tally_ledger *ledger, const char *dir, int tlog_only)
{
    struct tally_bundle_options options = TALLY_BUNDLE_OPTIONS_INIT;
    struct tally_bundle_result result;
    options.tlog_only = tlog_only;
    check_ok(tally_bundle_write(ledger, dir, &options, &result, NULL));
}

static uint64_t backed_up;

static void back_up(struct tally_ledger *ledger)
{
    struct tally_backup_result result;
    check_ok(tally_backup(ledger, backup_dir, &dpo, NULL, NULL, &result, NULL));
    backed_up = result.size;
}

static int set_up(void **state)
{
    if (purging_set_up(state) != 0) {
        return -1;
    }
    root_dir = *state;
    check_path(backup_dir, sizeof(backup_dir), *state, "backup");
    check_path(bundle_dir, sizeof(bundle_dir), *state, "bundle");
    check_path(target, sizeof(target), *state, "restored");
    return 0;
}

/* A ledger on disk with its first records, two of them on hold. */
static struct tally_ledger *begin(void)
{
    struct tally_ledger *ledger = site_open(&purging_site);
    purging_append(ledger, "due", 6, "medium");
    purging_append(ledger, "held", 3, "medium");
    purging_append(ledger, "freed", 2, "medium");
    purging_append(ledger, "keep", 4, "high");
    hold(ledger, "before", seq_of(ledger, "freed-0"), seq_of(ledger, "freed-1"));
    return ledger;
}

/* What the backup knows nothing of. */
static void live_on(struct tally_ledger *ledger)
{
    purging_append(ledger, "lost", 3, "medium");
    hold(ledger, "after", seq_of(ledger, "held-0"), seq_of(ledger, "held-2"));
    hold(ledger, "beyond", seq_of(ledger, "lost-0"), seq_of(ledger, "lost-0"));
    check_ok(tally_hold_release(ledger, "before", &dpo, NULL, NULL));
    check_ok(tally_hold_release(ledger, "beyond", &dpo, NULL, NULL));
    fake_clock_pass(2 * DAY);
    (void)site_append(ledger, "wake", 1);
    assert_true(purging_run(ledger).purged >= 8);
    erase(ledger, "keep-0", NULL);
    erase(ledger, "keep-1", "/metadata");
    erase(ledger, "wake", NULL); /* of a lost record alone */
}

static size_t grep_file(const char *path, const char *value)
{
    char *data = NULL;
    size_t len = 0;
    check_ok(tl_io_read_file(path, (size_t)64 << 20, &data, &len, NULL));
    size_t count = memmem(data, len, value, strlen(value)) != NULL;
    tl_free(data);
    return count;
}

/* How many files below `dir` have the value in them. */
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
        count += S_ISDIR(st.st_mode) ? grep(path, value) : grep_file(path, value);
    }
    assert_int_equal(closedir(entries), 0);
    return count;
}

static tally_status try_restore(const char *bundle, const char *note, int dry_run,
                                struct tally_restored *restored, struct tally_error *err)
{
    static const struct tally_actor who = { "ops@example.com", "host lost", "INC-1", NULL };
    struct tally_restore_options options = TALLY_RESTORE_OPTIONS_INIT;
    options.bundle_dir = bundle;
    options.lost_checkpoint = note;
    options.dry_run = dry_run;
    return tally_restore(backup_dir, target, &options, &who, restored, NULL, err);
}

static struct tally_restored restore(const char *bundle)
{
    struct tally_restored restored;
    struct tally_error error = TALLY_ERROR_INIT;
    tally_status status = try_restore(bundle, NULL, 0, &restored, &error);
    if (status != TALLY_OK) {
        print_error("%s\n", error.message);
    }
    check_ok(status);
    return restored;
}

static void check_refused(const char *bundle, const char *note, tally_status want, const char *word)
{
    struct tally_restored restored;
    for (int dry_run = 0; dry_run < 2; dry_run++) {
        struct tally_error error = TALLY_ERROR_INIT;
        check_status(try_restore(bundle, note, dry_run, &restored, &error), want);
        if (strstr(error.message, word) == NULL) {
            fail_msg("'%s' does not say '%s'", error.message, word);
        }
        assert_int_not_equal(tl_io->access(target, 0), 0);
    }
}

static void check_verified(const char *against)
{
    struct tally_verify_options options = TALLY_VERIFY_OPTIONS_INIT;
    struct tally_report *report = NULL;
    options.against_path = against;
    check_ok(tally_verify_at(target, &options, &report, NULL));
    assert_int_equal(report->verdict, TALLY_VERDICT_VERIFIED);
    assert_true((report->qualifiers & TALLY_QUALIFIER_RESTORED) != 0);
    tally_report_free(report);
}

static void check_kind(struct tally_ledger *ledger, const char *kind, uint64_t want,
                       const char *word)
{
    char payload[4096] = "";
    assert_int_equal(site_count_kind(ledger, kind, payload, sizeof(payload)), want);
    if (strstr(payload, word) == NULL) {
        fail_msg("%s does not say '%s'", payload, word);
    }
}

static void expect_removed(bool removed)
{
    static const char *const gone[] = { "of due-0",   "of due-5",  "of freed-0",
                                        "of freed-1", "of keep-0", "of keep-1" };
    static const char *const kept[] = { "of held-0", "of held-2", "of keep-2", "of keep-3" };
    for (size_t i = 0; i < TL_ARRAY_LEN(gone); i++) {
        if ((grep(target, gone[i]) == 0) != removed) {
            fail_msg("'%s' is %s", gone[i], removed ? "there" : "gone");
        }
    }
    for (size_t i = 0; i < TL_ARRAY_LEN(kept); i++) {
        assert_true(grep(target, kept[i]) > 0);
    }
    check_verified(NULL);
}

static void check_redone(const char *bundle)
{
    struct tally_restored restored = restore(bundle);
    assert_int_equal(restored.from_size, backed_up);
    assert_int_equal(restored.reapplied, 10);
    assert_true(restored.lost > 10);
    expect_removed(true);
    struct site made = { .accept_clock = 1 };
    (void)snprintf(made.dir, sizeof(made.dir), "%s", target);
    struct tally_ledger *ledger = site_open(&made);
    check_kind(ledger, "PURGE", 1, "again: PURGE");
    check_kind(ledger, "ERASE", 2, "again: ERASE");
    check_kind(ledger, "HOLD", 2, "after");
    check_kind(ledger, "RELEASE", 1, "before");
    assert_int_equal(purging_count(ledger, "due", 6), 0);
    assert_int_equal(purging_count(ledger, "held", 3), 3);
    purging_append(ledger, "new", 3, "high");
    (void)purging_run(ledger); /* the hold is in force */
    assert_int_equal(purging_count(ledger, "held", 3), 3);
    check_ok(tally_hold_release(ledger, "after", &dpo, NULL, NULL));
    tally_close(ledger);
    check_verified(NULL);
}

static void what_went_after_the_backup_does_not_come_back(void **state)
{
    (void)state;
    struct tally_ledger *ledger = begin();
    back_up(ledger);
    live_on(ledger);
    write_bundle(ledger, bundle_dir, 0);
    char *note = NULL;
    check_ok(tally_checkpoint(ledger, 0, &note, NULL));
    tally_close(ledger);
    check_redone(bundle_dir);
    char newest[SITE_PATH_SIZE];
    check_path(newest, sizeof(newest), root_dir, "newest");
    check_ok(tl_io_replace_file(newest, note, strlen(note), 0600, NULL));
    check_verified(newest); /* what the bundle holds was declared as lost */
    tally_free(note);
}

static int stop(void *ctx, uint64_t done, uint64_t total)
{
    (void)ctx;
    return done < total;
}

static void an_erasure_that_the_backup_has_half_done_is_finished(void **state)
{
    (void)state;
    struct tally_ledger *ledger = begin();
    purging_append(ledger, "many", 200, "high"); /* more than the first batch */
    const struct tally_range range = { seq_of(ledger, "many-0"), seq_of(ledger, "many-199") };
    struct tally_erase_options options = TALLY_ERASE_OPTIONS_INIT;
    struct tally_erased erased;
    options.selection.ranges = &range;
    options.selection.range_count = 1;
    options.progress = stop;
    check_status(tally_erase(ledger, &options, &dpo, &erased, NULL, NULL), TALLY_ECANCELED);
    back_up(ledger);
    assert_true(grep(backup_dir, "of many-199") > 0);
    live_on(ledger); /* the first erasure of it finishes that one */
    write_bundle(ledger, bundle_dir, 0);
    tally_close(ledger);
    (void)restore(bundle_dir);
    assert_int_equal(grep(target, "of many-199"), 0);
    expect_removed(true);
}

static void a_tlog_directory_says_enough(void **state)
{
    (void)state;
    struct tally_ledger *ledger = begin();
    back_up(ledger);
    live_on(ledger);
    write_bundle(ledger, bundle_dir, 1);
    tally_close(ledger);
    check_redone(bundle_dir);
}

static void without_a_bundle_it_comes_back(void **state)
{
    (void)state;
    struct tally_ledger *ledger = begin();
    back_up(ledger);
    live_on(ledger);
    tally_close(ledger);
    assert_int_equal(restore(NULL).reapplied, 0);
    expect_removed(false);
}

static void a_bundle_as_old_as_the_backup_changes_nothing(void **state)
{
    (void)state;
    struct tally_ledger *ledger = begin();
    write_bundle(ledger, bundle_dir, 0);
    back_up(ledger);
    tally_close(ledger);
    assert_int_equal(restore(bundle_dir).reapplied, 0);
    expect_removed(false);
}

static void what_does_not_fit_is_refused_by_name(void **state)
{
    (void)state;
    char path[SITE_PATH_SIZE];
    struct tally_ledger *ledger = begin();
    check_path(path, sizeof(path), root_dir, "older");
    write_bundle(ledger, path, 0);
    (void)site_append(ledger, "one", 1);
    back_up(ledger);
    live_on(ledger);
    write_bundle(ledger, bundle_dir, 0);
    tally_close(ledger);
    check_refused(path, NULL, TALLY_ECONFLICT, "ROLLBACK");
    check_refused(root_dir, NULL, TALLY_EINVAL, "no bundle");

    struct site other;
    check_path(path, sizeof(path), root_dir, "third");
    assert_int_equal(mkdir(path, 0700), 0);
    site_init(&other, path, NULL, 0);
    ledger = site_open(&other);
    purging_append(ledger, "x", 40, "medium");
    check_path(path, sizeof(path), root_dir, "others");
    write_bundle(ledger, path, 0);
    tally_close(ledger);
    check_refused(path, NULL, TALLY_ECORRUPT, "GENESIS_MISMATCH");

    check_path(path, sizeof(path), bundle_dir, "openings.ndjson");
    char *text = NULL;
    size_t len = 0;
    check_ok(tl_io_read_file(path, (size_t)16 << 20, &text, &len, NULL));
    char *at = memmem(text, len, "of keep-2", 9);
    assert_non_null(at);
    at[0] = 'O';
    check_ok(tl_io_replace_file(path, text, len, 0600, NULL));
    tally_free(text);
    check_refused(bundle_dir, NULL, TALLY_ECORRUPT, "the bundle is TAMPERED");
}

static void another_past_under_the_same_keys_is_a_fork(void **state)
{
    (void)state;
    struct tally_ledger *ledger = begin();
    back_up(ledger);
    tally_close(ledger);
    struct site copy = purging_site;
    char path[SITE_PATH_SIZE];
    check_path(path, sizeof(path), root_dir, "elsewhere");
    assert_int_equal(mkdir(path, 0700), 0);
    check_path(copy.dir, sizeof(copy.dir), path, "ledger");
    site_copy(purging_site.dir, copy.dir);
    ledger = site_open(&purging_site);
    purging_append(ledger, "a", 50, "high");
    write_bundle(ledger, bundle_dir, 0);

    struct tally_ledger *other = site_open(&copy);
    purging_append(other, "b", 5, "high");
    char *note = NULL;
    check_ok(tally_checkpoint(other, 0, &note, NULL));
    check_refused(bundle_dir, note, TALLY_ECONFLICT, "the lost checkpoint");
    tally_free(note);

    back_up(ledger);
    tally_close(ledger);
    purging_append(other, "c", 100, "high");
    check_path(path, sizeof(path), root_dir, "fork");
    write_bundle(other, path, 0);
    tally_close(other);
    check_refused(path, NULL, TALLY_ECONFLICT, "FORK");
}

static void what_a_longer_rule_kept_stays_if_the_bundle_shows_it(void **state)
{
    (void)state;
    static const struct tally_setting longer[] = {
        { .key = "retention.default_days", .value = "1", .origin = "test" },
        { .key = "retention.by_severity.critical", .value = "300", .origin = "test" },
    };
    struct tally_ledger *ledger = site_open(&purging_site);
    purging_append(ledger, "longer", 2, "critical");
    purging_append(ledger, "due", 2, "medium");
    back_up(ledger);
    tally_close(ledger);
    purging_site.settings = longer;
    purging_site.setting_count = TL_ARRAY_LEN(longer);
    ledger = site_open(&purging_site);
    fake_clock_pass(5 * DAY);
    (void)site_append(ledger, "wake", 1);
    (void)purging_run(ledger);
    assert_int_equal(purging_count(ledger, "longer", 2), 2);
    write_bundle(ledger, bundle_dir, 0);
    tally_close(ledger);
    assert_int_equal(restore(bundle_dir).reapplied, 2);
    assert_int_equal(grep(target, "of due-0"), 0);
    assert_true(grep(target, "of longer-0") > 0);
    check_verified(NULL);
}

/* Purges a record before its time, which a second person has signed. */
static void purge_early(struct tally_ledger *ledger, const char *id, const char *secret)
{
    struct tally_purge_options options = TALLY_PURGE_OPTIONS_INIT;
    struct tally_actor actor = dpo;
    struct tally_purged purged;
    char *request = NULL;
    char *approval = NULL;
    const struct tally_range range = { seq_of(ledger, id), seq_of(ledger, id) };
    options.ranges = &range;
    options.range_count = 1;
    check_status(tally_purge(ledger, &options, &actor, &purged, &request, NULL), TALLY_EDENIED);
    check_ok(tally_approve(request, secret, &approval, NULL));
    actor.approval = approval;
    check_ok(tally_purge(ledger, &options, &actor, &purged, NULL, NULL));
    assert_int_equal(purged.purged, 1);
    tally_free(request);
    tally_free(approval);
}

static void an_act_that_needs_an_approval_is_not_passed_over(void **state)
{
    (void)state;
    char path[SITE_PATH_SIZE];
    char *secret = NULL;
    char *line = NULL;
    check_ok(tally_approver_key("anna", &secret, &line, NULL));
    check_path(path, sizeof(path), purging_site.dir, "keys/trust.txt");
    FILE *file = fopen(path, "a");
    assert_non_null(file);
    assert_true(fprintf(file, "%s\n", line) > 0);
    assert_int_equal(fclose(file), 0);
    struct tally_ledger *ledger = begin();
    back_up(ledger);
    (void)site_append(ledger, "lost", 1);
    purge_early(ledger, "lost", secret);
    write_bundle(ledger, bundle_dir, 0);
    struct tally_restored restored;
    check_ok(try_restore(bundle_dir, NULL, 1, &restored, NULL)); /* the backup has it not */
    purge_early(ledger, "keep-0", secret);
    tl_remove_tree(bundle_dir);
    write_bundle(ledger, bundle_dir, 0);
    tally_close(ledger);
    check_refused(bundle_dir, NULL, TALLY_EDENIED, "an early PURGE, needs an approval");
    tally_free(secret);
    tally_free(line);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, purging_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_went_after_the_backup_does_not_come_back),
        TEST(an_erasure_that_the_backup_has_half_done_is_finished),
        TEST(a_tlog_directory_says_enough),
        TEST(without_a_bundle_it_comes_back),
        TEST(a_bundle_as_old_as_the_backup_changes_nothing),
        TEST(what_does_not_fit_is_refused_by_name),
        TEST(another_past_under_the_same_keys_is_a_fork),
        TEST(what_a_longer_rule_kept_stays_if_the_bundle_shows_it),
        TEST(an_act_that_needs_an_approval_is_not_passed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
