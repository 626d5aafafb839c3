/* Copies of a ledger, and ledgers from copies. */
#include <tally/tally.h>

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/io.h"
#include "base/parse.h"
#include "base/random.h"
#include "check.h"
#include "ledger/remove.h"
#include "support/logs.h"
#include "support/site.h"

static const struct tally_actor actor = { "ops@example.com", "nightly", "OPS-7", NULL };
static struct site site;
static char backup_dir[SITE_PATH_SIZE];
static char target[SITE_PATH_SIZE];
static const char *root_dir;

static int set_up(void **state)
{
    if (check_mkdir(state) != 0) {
        return -1;
    }
    root_dir = *state;
    site_init(&site, *state, NULL, 0);
    check_path(backup_dir, sizeof(backup_dir), *state, "backup");
    check_path(target, sizeof(target), *state, "restored");
    return 0;
}

static void fill(struct tally_ledger *ledger, const char *prefix, unsigned count)
{
    static _Thread_local struct tally_receipt receipts[3000];
    struct tally_events *events = NULL;
    check_ok(tally_events_new(&events, ledger, NULL));
    for (unsigned i = 0; i < count; i++) {
        char id[64];
        (void)snprintf(id, sizeof(id), "%s/%u", prefix, i);
        site_add(events, id, i);
    }
    check_ok(tally_append_events(ledger, events, receipts, NULL));
    tally_events_free(events);
}

static struct tally_backup_result make_backup(struct tally_ledger *ledger)
{
    struct tally_backup_result result;
    struct tally_error error = TALLY_ERROR_INIT;
    tally_status status = tally_backup(ledger, backup_dir, &actor, NULL, NULL, &result, &error);
    if (status != TALLY_OK) {
        print_error("%s\n", error.message);
    }
    check_ok(status);
    assert_int_equal(result.verified, 1);
    return result;
}

static uint64_t size_of(struct tally_ledger *ledger)
{
    char *note = NULL;
    uint64_t size = 0;
    check_ok(tally_checkpoint(ledger, 0, &note, NULL));
    const char *line = strchr(note, '\n') + 1;
    check_ok(tl_parse_u64(line, strcspn(line, "\n"), UINT64_MAX, &size));
    tally_free(note);
    return size;
}

/* Verifies what lies at `dir` by the trust file `trust` (NULL: its own) and what was remembered. */
static enum tally_verdict verify(const char *dir, const char *trust, const char *against,
                                 uint32_t *qualifiers_out, char *codes, size_t codes_size)
{
    struct tally_verify_options options = TALLY_VERIFY_OPTIONS_INIT;
    struct tally_report *report = NULL;
    options.trust_path = trust;
    options.against_path = against;
    check_ok(tally_verify_at(dir, &options, &report, NULL));
    enum tally_verdict verdict = report->verdict;
    *qualifiers_out = report->qualifiers;
    struct tl_buf text;
    tl_buf_init_fixed(&text, codes, codes_size);
    for (size_t i = 0; i < report->finding_count && i < 20; i++) {
        tl_buf_addf(&text, "%s ", report->findings[i].code);
    }
    codes[text.len] = '\0';
    tally_report_free(report);
    return verdict;
}

static void check_codes(const char *dir, const char *trust, const char *against,
                        enum tally_verdict want, const char *code)
{
    uint32_t qualifiers = 0;
    char codes[1024];
    enum tally_verdict verdict = verify(dir, trust, against, &qualifiers, codes, sizeof(codes));
    if (verdict != want || strstr(codes, code) == NULL) {
        fail_msg("%s is %s with '%s', not %s with %s", dir, tally_verdict_name(verdict), codes,
                 tally_verdict_name(want), code);
    }
}

static void path_in(char *out, const char *dir, const char *name)
{
    check_path(out, SITE_PATH_SIZE, dir, name);
}

static void check_copy(void)
{
    char trust[SITE_PATH_SIZE];
    path_in(trust, backup_dir, "trust.txt");
    check_codes(backup_dir, trust, NULL, TALLY_VERDICT_VERIFIED, "");
}

static void check_absent(const char *dir, const char *name)
{
    char path[SITE_PATH_SIZE];
    path_in(path, dir, name);
    assert_int_equal(access(path, F_OK), -1);
}

static void a_copy_is_complete_and_has_no_keys(void **state)
{
    (void)state;
    struct tally_ledger *ledger = site_open(&site);
    fill(ledger, "a", 700);
    struct tally_backup_result result = make_backup(ledger);
    assert_int_equal(result.from, 0);
    assert_string_equal(result.checkpoint, "checkpoints/newest");
    assert_int_equal(size_of(ledger), result.size + 1); /* tally.backup itself */
    tally_close(ledger);
    check_absent(backup_dir, "keys");
    check_absent(backup_dir, "log.key");
    check_absent(backup_dir, "state");
    check_absent(backup_dir, "index.db");
    check_absent(backup_dir, "ledger.db-wal");
    check_copy();
}

static void the_second_one_adds_what_is_new(void **state)
{
    (void)state;
    struct tally_ledger *ledger = site_open(&site);
    fill(ledger, "a", 3000);
    struct tally_backup_result first = make_backup(ledger);
    fill(ledger, "b", 100);
    struct tally_backup_result second = make_backup(ledger);
    assert_int_equal(second.from, first.size);
    assert_int_equal(second.size, first.size + 101);
    assert_true(second.bytes < first.bytes / 8);
    struct tally_backup_result third = make_backup(ledger);
    assert_int_equal(third.size, second.size + 1);
    check_copy();
    tally_close(ledger);
}

static void it_is_recorded_who_made_it_and_why(void **state)
{
    (void)state;
    struct tally_ledger *ledger = site_open(&site);
    (void)make_backup(ledger);
    const struct tally_condition conditions[] = { { "action", "tally.backup" },
                                                  { "actor_id", "ops@example.com" } };
    struct tally_query query = TALLY_QUERY_INIT;
    query.conditions = conditions;
    query.condition_count = TL_ARRAY_LEN(conditions);
    struct tally_page *page = NULL;
    check_ok(tally_find(ledger, &query, &page, NULL));
    assert_int_equal(page->count, 1);
    assert_non_null(strstr(page->items[0].event, "\"reason\":\"nightly\""));
    assert_non_null(strstr(page->items[0].event, "\"ticket\":\"OPS-7\""));
    tally_page_free(page);
    tally_close(ledger);
}

static void check_refused(struct tally_ledger *ledger, const char *dir, tally_status want,
                          const char *word)
{
    struct tally_error error = TALLY_ERROR_INIT;
    struct tally_backup_result result;
    check_status(tally_backup(ledger, dir, &actor, NULL, NULL, &result, &error), want);
    if (strstr(error.message, word) == NULL) {
        fail_msg("'%s' does not say '%s'", error.message, word);
    }
}

static void what_is_no_part_of_the_ledger_is_refused_by_name(void **state)
{
    (void)state;
    struct site early;
    char elsewhere[SITE_PATH_SIZE];
    check_path(elsewhere, sizeof(elsewhere), root_dir, "elsewhere");
    assert_int_equal(mkdir(elsewhere, 0700), 0);
    struct tally_ledger *ledger = site_open(&site);
    fill(ledger, "a", 10);
    tally_close(ledger);
    early = site;
    path_in(early.dir, elsewhere, "ledger");
    site_copy(site.dir, early.dir);

    ledger = site_open(&site);
    fill(ledger, "b", 10);
    (void)make_backup(ledger);
    tally_close(ledger);

    struct tally_ledger *old = site_open(&early); /* RESUME alone: smaller than the backup */
    check_refused(old, backup_dir, TALLY_ECONFLICT, "ROLLBACK");
    fill(old, "c", 100);
    check_refused(old, backup_dir, TALLY_ECONFLICT, "HISTORY_REWRITTEN");
    check_refused(old, early.dir, TALLY_ECONFLICT, "no backup.json");
    tally_close(old);
    check_copy();

    struct site other;
    char third[SITE_PATH_SIZE];
    check_path(third, sizeof(third), root_dir, "third");
    assert_int_equal(mkdir(third, 0700), 0);
    site_init(&other, third, NULL, 0);
    ledger = site_open(&other);
    check_refused(ledger, backup_dir, TALLY_ECONFLICT, "holds what this ledger does not");
    tally_close(ledger);
    check_copy();
    ledger = site_memory("memory:1000");
    check_refused(ledger, backup_dir, TALLY_ENOTSUP, "memory");
    tally_close(ledger);
    ledger = site_open_read(&site);
    check_refused(ledger, backup_dir, TALLY_EINVAL, "writing");
    tally_close(ledger);
}

static void replace_text(const char *path, const char *text)
{
    check_ok(tl_io_replace_file(path, text, strlen(text), 0600, NULL));
}

static void a_damaged_backup_is_told(void **state)
{
    (void)state;
    char path[SITE_PATH_SIZE];
    struct tally_ledger *ledger = site_open(&site);
    fill(ledger, "a", 10);
    (void)make_backup(ledger);
    path_in(path, backup_dir, "backup.json");
    char *manifest = NULL;
    size_t len = 0;
    check_ok(tl_io_read_file(path, 4096, &manifest, &len, NULL));
    char *size = strstr(manifest, "\"size\":") + 7;
    size[0]++; /* more than there is */
    replace_text(path, manifest);
    check_refused(ledger, backup_dir, TALLY_ECORRUPT, "TRUNCATED");
    size[0]--;
    char *root = strstr(manifest, "\"root\":\"") + 8;
    root[0] = root[0] == '0' ? '1' : '0';
    replace_text(path, manifest);
    check_refused(ledger, backup_dir, TALLY_ECONFLICT, "holds what this ledger does not");
    replace_text(path, "{}");
    check_refused(ledger, backup_dir, TALLY_ECONFLICT, "is not that of a backup");
    tally_free(manifest);
    tally_close(ledger);
}

static tally_status try_restore(const char *to, const struct tally_restore_options *options,
                                struct tally_restored *restored, struct tally_error *err)
{
    static const struct tally_actor who = { "ops@example.com", "host lost", "INC-1", NULL };
    return tally_restore(backup_dir, to, options, &who, restored, NULL, err);
}

static struct tally_restored restore(const char *to, const struct tally_restore_options *options)
{
    struct tally_restored restored;
    struct tally_error error = TALLY_ERROR_INIT;
    tally_status status = try_restore(to, options, &restored, &error);
    if (status != TALLY_OK) {
        print_error("%s\n", error.message);
    }
    check_ok(status);
    return restored;
}

static struct site site_at(const char *dir, const struct tally_restored *restored)
{
    struct site made = { .accept_clock = 1 };
    (void)snprintf(made.dir, sizeof(made.dir), "%s", dir);
    (void)snprintf(made.mac_key, sizeof(made.mac_key), "%.500s.mac", dir);
    replace_text(made.mac_key, restored->keys.mac_key);
    assert_int_equal(chmod(made.mac_key, 0600), 0);
    return made;
}

static void a_restored_ledger_goes_on(void **state)
{
    (void)state;
    const struct tally_restore_options options = TALLY_RESTORE_OPTIONS_INIT;
    char trust[SITE_PATH_SIZE];
    struct tally_ledger *ledger = site_open(&site);
    fill(ledger, "a", 300);
    struct tally_backup_result backup = make_backup(ledger);
    char old_origin[256];
    (void)snprintf(old_origin, sizeof(old_origin), "%s", tally_origin(ledger));
    tally_close(ledger);

    struct tally_restored restored = restore(target, &options);
    assert_int_equal(restored.from_size, backup.size);
    assert_int_equal(restored.lost, 0);
    assert_string_not_equal(restored.keys.origin, old_origin);
    struct site made = site_at(target, &restored);
    check_codes(target, NULL, NULL, TALLY_VERDICT_VERIFIED, "RESTORED");
    uint32_t qualifiers = 0;
    char codes[1024];
    (void)verify(target, NULL, NULL, &qualifiers, codes, sizeof(codes));
    assert_true((qualifiers & TALLY_QUALIFIER_RESTORED) != 0);

    for (unsigned round = 0; round < 3; round++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "new%u", round);
        ledger = site_open(&made);
        assert_string_equal(tally_origin(ledger), restored.keys.origin);
        assert_true(site_has(ledger, "a/17"));
        fill(ledger, name, 300);
        char payload[4096];
        assert_int_equal(site_count_kind(ledger, "RESTORE", payload, sizeof(payload)), 1);
        assert_non_null(strstr(payload, "host lost"));
        tally_close(ledger);
        (void)site_verify(&made); /* with the new MAC key */
    }
    path_in(trust, site.dir, "keys/trust.txt");
    check_codes(target, trust, NULL, TALLY_VERDICT_UNVERIFIABLE, "ORIGIN_MISMATCH");
    (void)site_verify(&site); /* the old one is what it was */
}

static void a_restored_ledger_is_backed_up_and_restored_again(void **state)
{
    (void)state;
    const struct tally_restore_options options = TALLY_RESTORE_OPTIONS_INIT;
    struct tally_ledger *ledger = site_open(&site);
    fill(ledger, "a", 10);
    (void)make_backup(ledger);
    tally_close(ledger);
    struct tally_restored restored = restore(target, &options);
    struct site made = site_at(target, &restored);
    ledger = site_open(&made);
    fill(ledger, "b", 10);
    struct tally_backup_result again = make_backup(ledger); /* of the same tree: goes on */
    assert_true(again.from > 10);
    tally_close(ledger);
    char second[SITE_PATH_SIZE];
    check_path(second, sizeof(second), root_dir, "second");
    restored = restore(second, &options);
    made = site_at(second, &restored);
    ledger = site_open(&made);
    char payload[4096];
    assert_int_equal(site_count_kind(ledger, "RESTORE", payload, sizeof(payload)), 2);
    fill(ledger, "c", 10);
    tally_close(ledger);
    (void)site_verify(&made);
}

static void save_checkpoint(struct tally_ledger *ledger, const char *path, char **note_out)
{
    char *note = NULL;
    check_ok(tally_checkpoint(ledger, 0, &note, NULL));
    replace_text(path, note);
    if (note_out != NULL) {
        *note_out = note;
        return;
    }
    tally_free(note);
}

static void what_was_lost_is_declared(void **state)
{
    (void)state;
    struct tally_restore_options options = TALLY_RESTORE_OPTIONS_INIT;
    char before[SITE_PATH_SIZE];
    char newest[SITE_PATH_SIZE];
    char later[SITE_PATH_SIZE];
    check_path(before, sizeof(before), root_dir, "before");
    check_path(newest, sizeof(newest), root_dir, "newest");
    check_path(later, sizeof(later), root_dir, "later");
    struct tally_ledger *ledger = site_open(&site);
    fill(ledger, "a", 10);
    save_checkpoint(ledger, before, NULL);
    struct tally_backup_result backup = make_backup(ledger);
    fill(ledger, "b", 10);
    char *note = NULL;
    save_checkpoint(ledger, newest, &note);
    uint64_t lost_size = size_of(ledger);
    fill(ledger, "c", 1);
    save_checkpoint(ledger, later, NULL);
    tally_close(ledger);

    options.lost_checkpoint = note;
    struct tally_restored restored = restore(target, &options);
    assert_int_equal(restored.lost, lost_size - backup.size);
    check_codes(target, NULL, before, TALLY_VERDICT_VERIFIED, "RESTORED");
    check_codes(target, NULL, newest, TALLY_VERDICT_VERIFIED, "ROLLBACK_DECLARED");
    check_codes(target, NULL, later, TALLY_VERDICT_TAMPERED, "ROLLBACK");

    struct tally_error error = TALLY_ERROR_INIT;
    char second[SITE_PATH_SIZE];
    check_path(second, sizeof(second), root_dir, "second");
    options.lost_checkpoint = NULL;
    options.lost_size = 3;
    check_status(try_restore(second, &options, &restored, &error), TALLY_EINVAL);
    options.lost_size = 0;
    note[strlen(note) / 2] ^= 1;
    options.lost_checkpoint = note;
    assert_int_not_equal(try_restore(second, &options, &restored, NULL), TALLY_OK);
    assert_int_equal(access(second, F_OK), -1);
    tally_free(note);
}

static void a_dry_run_changes_nothing(void **state)
{
    (void)state;
    struct tally_restore_options options = TALLY_RESTORE_OPTIONS_INIT;
    struct tally_ledger *ledger = site_open(&site);
    (void)make_backup(ledger);
    tally_close(ledger);
    options.dry_run = 1;
    options.lost_size = 100;
    struct tally_restored restored = restore(target, &options);
    assert_true(restored.lost > 0 && restored.from_size + restored.lost == 100);
    assert_string_equal(restored.keys.mac_key, "");
    assert_int_equal(access(target, F_OK), -1);
}

static void what_is_there_stays(void **state)
{
    (void)state;
    const struct tally_restore_options options = TALLY_RESTORE_OPTIONS_INIT;
    struct tally_ledger *ledger = site_open(&site);
    (void)make_backup(ledger);
    tally_close(ledger);
    struct tally_restored restored;
    check_status(try_restore(site.dir, &options, &restored, NULL), TALLY_ECONFLICT);
    check_status(try_restore("memory:10", &options, &restored, NULL), TALLY_ENOTSUP);
    (void)site_verify(&site);
    assert_int_equal(mkdir(target, 0700), 0); /* an empty directory is no obstacle */
    restored = restore(target, &options);
    check_status(try_restore(target, &options, &restored, NULL), TALLY_ECONFLICT);
    char stage[SITE_PATH_SIZE];
    char file[SITE_PATH_SIZE];
    check_path(stage, sizeof(stage), root_dir, "other.restoring");
    check_path(file, sizeof(file), stage, "precious");
    check_path(target, sizeof(target), root_dir, "other");
    assert_int_equal(mkdir(stage, 0700), 0);
    replace_text(file, "x");
    check_status(try_restore(target, &options, &restored, NULL), TALLY_ECONFLICT);
    assert_int_equal(access(file, F_OK), 0);
}

static void a_changed_backup_is_not_restored(void **state)
{
    (void)state;
    const struct tally_restore_options options = TALLY_RESTORE_OPTIONS_INIT;
    struct tally_ledger *ledger = site_open(&site);
    fill(ledger, "needle", 100);
    (void)make_backup(ledger);
    tally_close(ledger);
    char path[SITE_PATH_SIZE];
    path_in(path, backup_dir, "ledger.db");
    char *bytes = NULL;
    size_t len = 0;
    check_ok(tl_io_read_file(path, (size_t)64 << 20, &bytes, &len, NULL));
    char *at = memmem(bytes, len, "needle/50", 9);
    assert_non_null(at);
    at[0] = 'N';
    check_ok(tl_io_replace_file(path, bytes, len, 0600, NULL));
    tally_free(bytes);
    struct tally_restored restored;
    struct tally_error error = TALLY_ERROR_INIT;
    check_status(try_restore(target, &options, &restored, &error), TALLY_ECORRUPT);
    assert_non_null(strstr(error.message, "TAMPERED"));
    assert_int_equal(access(target, F_OK), -1);
    char stage[SITE_PATH_SIZE + 16];
    (void)snprintf(stage, sizeof(stage), "%s.restoring", target);
    assert_int_equal(access(stage, F_OK), -1);
}

static void an_old_copy_put_back_in_silence_is_a_rollback(void **state)
{
    (void)state;
    char copy[SITE_PATH_SIZE];
    char mark[SITE_PATH_SIZE];
    char kept[SITE_PATH_SIZE];
    char against[SITE_PATH_SIZE];
    check_path(copy, sizeof(copy), root_dir, "copy");
    check_path(kept, sizeof(kept), root_dir, "kept");
    check_path(against, sizeof(against), root_dir, "against");
    struct tally_ledger *ledger = site_open(&site);
    fill(ledger, "a", 10);
    tally_close(ledger);
    site_copy(site.dir, copy);
    ledger = site_open(&site);
    fill(ledger, "b", 10);
    save_checkpoint(ledger, against, NULL);
    tally_close(ledger);

    check_codes(copy, NULL, against, TALLY_VERDICT_TAMPERED, "ROLLBACK");
    char *bytes = NULL;
    size_t len = 0;
    path_in(mark, site.dir, "keys/highwater");
    check_ok(tl_io_read_file(mark, 4096, &bytes, &len, NULL));
    path_in(mark, copy, "keys/highwater");
    check_ok(tl_io_replace_file(mark, bytes, len, 0600, NULL));
    tally_free(bytes);
    check_codes(copy, NULL, NULL, TALLY_VERDICT_TAMPERED, "ROLLBACK");
    struct site old = site;
    memcpy(old.dir, copy, sizeof(copy));
    check_status(site_try_open(&old, 1, &ledger, NULL), TALLY_ECORRUPT);
}

static void what_waited_in_the_lost_spool_is_carried_over(void **state)
{
    (void)state;
    const struct tally_restore_options options = TALLY_RESTORE_OPTIONS_INIT;
    struct tally_ledger *ledger = site_open(&site);
    (void)make_backup(ledger);
    tally_close(ledger);
    logs_hide_store(&site);
    ledger = logs_open(&site);
    struct tally_logger *logger = logs_logger(ledger, NULL);
    check_ok(logs_one(logger, "waited", 1));
    tally_logger_close(logger, 1000, NULL);
    tally_close(ledger);

    struct tally_restored restored = restore(target, &options);
    struct site made = site_at(target, &restored);
    char spool[SITE_PATH_SIZE];
    char old_spool[SITE_PATH_SIZE];
    path_in(spool, target, "spool");
    path_in(old_spool, site.dir, "spool");
    tl_remove_tree(spool);
    site_copy(old_spool, spool);
    ledger = site_open(&made);
    check_soon(site_has(ledger, "waited"));
    tally_close(ledger);
    (void)site_verify(&made);
}

/* Rounds of the drill: CI does 20. */
#define ROUNDS 20u

static atomic_bool over;

static void *write_on(void *ctx)
{
    struct tally_ledger *ledger = ctx;
    for (unsigned n = 0; !atomic_load(&over); n++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "w%u", n);
        fill(ledger, name, 1 + n % 20);
        (void)usleep(2000);
    }
    return NULL;
}

static void copies_at_any_moment_make_ledgers(void **state)
{
    (void)state;
    const struct tally_restore_options options = TALLY_RESTORE_OPTIONS_INIT;
    struct tally_ledger *ledger = site_open(&site);
    pthread_t writer;
    atomic_store(&over, false);
    assert_int_equal(pthread_create(&writer, NULL, write_on, ledger), 0);
    uint64_t before = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint8_t wait = 0;
        tl_random_bytes(&wait, sizeof(wait));
        (void)usleep(100u * wait);
        if (round % 5 == 4) { /* a whole one, now and then */
            (void)snprintf(backup_dir, sizeof(backup_dir), "%s/backup%u", root_dir, round);
            before = 0;
        }
        struct tally_backup_result result = make_backup(ledger);
        assert_int_equal(result.from, before);
        before = result.size;
        char to[SITE_PATH_SIZE];
        (void)snprintf(to, sizeof(to), "%s/r%u", root_dir, round);
        struct tally_restored restored = restore(to, &options);
        assert_int_equal(restored.from_size, result.size);
        struct site made = site_at(to, &restored);
        (void)site_verify(&made);
        tl_remove_tree(to);
    }
    atomic_store(&over, true);
    assert_int_equal(pthread_join(writer, NULL), 0);
    tally_close(ledger);
    (void)site_verify(&site);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, check_rmdir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_copy_is_complete_and_has_no_keys),
        TEST(the_second_one_adds_what_is_new),
        TEST(it_is_recorded_who_made_it_and_why),
        TEST(what_is_no_part_of_the_ledger_is_refused_by_name),
        TEST(a_damaged_backup_is_told),
        TEST(a_restored_ledger_goes_on),
        TEST(a_restored_ledger_is_backed_up_and_restored_again),
        TEST(what_was_lost_is_declared),
        TEST(a_dry_run_changes_nothing),
        TEST(what_is_there_stays),
        TEST(a_changed_backup_is_not_restored),
        TEST(an_old_copy_put_back_in_silence_is_a_rollback),
        TEST(what_waited_in_the_lost_spool_is_carried_over),
        TEST(copies_at_any_moment_make_ledgers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
